//! Certificates that were given: a folder of `<name>.crt` and `<name>.key`, each for the names that it says it is for.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use runtime::expiry::end_of;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{TlsError, certified};

/// Certificates by the names that they are for.
#[derive(Debug, Default)]
pub(super) struct Given {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    /// When they end, by the names of their files.
    ends: BTreeMap<String, i64>,
}

impl Given {
    /// Reads every pair of a folder.
    pub(super) fn load(folder: &Path) -> Result<Self, TlsError> {
        let mut given = Self::default();
        for cert in certificates(folder)? {
            let key = certified(&cert, &cert.with_extension("key"))?;
            let names = key.cert.first().map(names).unwrap_or_default();
            if names.is_empty() {
                return Err(TlsError::Nameless(cert.display().to_string()));
            }
            if let (Some(file), Some(end)) = (cert.file_stem(), end_of(&key.cert)) {
                let file = file.to_string_lossy().into_owned();
                given.ends.insert(file, end);
            }
            for name in names {
                given.by_name.insert(name, Arc::clone(&key));
            }
        }
        Ok(given)
    }

    /// When they end, in seconds since 1970, by the names of their files.
    pub(super) fn ends(&self) -> &BTreeMap<String, i64> {
        &self.ends
    }

    /// The certificate of a name: its own, else one for every name beside it.
    pub(super) fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        if let Some(key) = self.by_name.get(name) {
            return Some(Arc::clone(key));
        }
        let (_, domain) = name.split_once('.')?;
        self.by_name.get(&format!("*.{domain}")).cloned()
    }
}

/// The certificates of a folder, in one order. A Secret's folder has links to links in it; they are followed.
fn certificates(folder: &Path) -> Result<Vec<PathBuf>, TlsError> {
    let unreadable = |error: std::io::Error| TlsError::Folder {
        folder: folder.display().to_string(),
        cause: error,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "crt") && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The names in a certificate, lower case.
fn names(certificate: &CertificateDer<'static>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let Ok(Some(extension)) = parsed.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// What the files look like from outside; another look means that they were changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp(Vec<(PathBuf, Option<(SystemTime, u64)>)>);

impl Stamp {
    /// Looks at these files, and at what is in the folder.
    pub(super) fn of<'a>(files: impl Iterator<Item = &'a PathBuf>, folder: Option<&Path>) -> Self {
        let mut paths: Vec<PathBuf> = files.cloned().collect();
        for cert in folder
            .map(certificates)
            .and_then(Result::ok)
            .unwrap_or_default()
        {
            paths.push(cert.with_extension("key"));
            paths.push(cert);
        }
        let look = |path: PathBuf| {
            let meta = std::fs::metadata(&path).ok();
            let seen = meta.and_then(|meta| Some((meta.modified().ok()?, meta.len())));
            (path, seen)
        };
        Self(paths.into_iter().map(look).collect())
    }
}
