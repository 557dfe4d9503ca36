//! The installation's keys, from a file; they wrap the tenants' keys and nothing else.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::secret::Secret;
use domain::tenant::TenantId;
use parking_lot::RwLock;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::seal::{self, Place};

/// The keys of the installation: 32 bytes each, in base64, a line each. The first is current; the others still unwrap
/// what they wrapped, until `naru-api rotate-key` has wrapped it anew. A changed file is read again. Cheap to clone.
#[derive(Clone)]
pub struct KeyFile {
    file: Option<PathBuf>,
    read: Arc<RwLock<Read>>,
}

struct Read {
    seen: Option<Seen>,
    keys: Vec<Secret>,
}

/// What a file looks like from outside.
type Seen = (SystemTime, u64);

impl KeyFile {
    /// Reads the keys from their file.
    ///
    /// # Errors
    /// When the file cannot be read or a line does not hold 32 bytes in base64.
    pub fn load(path: &Path) -> Result<Self> {
        let read = Read::of(path)?;
        Ok(Self {
            file: Some(path.to_owned()),
            read: Arc::new(RwLock::new(read)),
        })
    }

    /// Takes the keys as their file holds them.
    ///
    /// # Errors
    /// When a line is not 32 bytes in base64.
    pub fn from_base64(text: &Secret) -> Result<Self> {
        let keys = parse(text)?;
        Ok(Self {
            file: None,
            read: Arc::new(RwLock::new(Read { seen: None, keys })),
        })
    }

    /// Reads a file again that has changed. One that cannot be read leaves the keys as they were: it is being written.
    fn refresh(&self) {
        let Some(file) = &self.file else { return };
        let seen = seen(file);
        if seen.is_none() || self.read.read().seen == seen {
            return;
        }
        match Read::of(file) {
            Ok(read) => *self.read.write() = read,
            Err(error) => tracing::warn!(%error, "the changed key file cannot be used"),
        }
    }

    /// A fresh key, as its file should hold it.
    #[must_use]
    pub fn generate() -> Secret {
        let bytes = Zeroizing::new(seal::random::<32>());
        Secret::from(STANDARD.encode(bytes.as_slice()))
    }

    /// The name of the current key, by which rows say which wrapped them; it tells nothing about the key.
    pub(crate) fn id(&self) -> String {
        self.refresh();
        self.read.read().keys.first().map(id).unwrap_or_default()
    }

    /// Wraps a tenant's key under the current one; says under which.
    pub(crate) fn wrap(&self, tenant: TenantId, key: &Secret) -> Result<(Vec<u8>, String)> {
        self.refresh();
        let read = self.read.read();
        let current = read.keys.first().ok_or_else(empty)?;
        Ok((
            seal::seal(current, &place(tenant), key.expose())?,
            id(current),
        ))
    }

    /// Unwraps a tenant's key with the one that wrapped it.
    pub(crate) fn unwrap(&self, tenant: TenantId, wrapped: &[u8], by: &str) -> Result<Secret> {
        self.refresh();
        let read = self.read.read();
        let Some(key) = read.keys.iter().find(|key| id(key) == by) else {
            let held: Vec<String> = read.keys.iter().map(id).collect();
            return Err(Error::KeyFile(format!(
                "it holds key {}, the tenant's key is wrapped by key {by}; point NARU_KEY_FILE at that one, or add it as a further line",
                held.join(", ")
            )));
        };
        seal::open(key, &place(tenant), wrapped).map(|key| Secret::new(key.as_slice()))
    }
}

impl Read {
    fn of(path: &Path) -> Result<Self> {
        let seen = seen(path);
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::KeyFile(format!("{}: {error}", path.display())))?;
        let keys = parse(&Secret::from(text))?;
        Ok(Self { seen, keys })
    }
}

fn seen(file: &Path) -> Option<Seen> {
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

fn empty() -> Error {
    Error::KeyFile(
        "it must hold 32 bytes in base64, the current key first (`naru-api key FILE` makes one)"
            .into(),
    )
}

fn parse(text: &Secret) -> Result<Vec<Secret>> {
    let lines = text.expose_str().lines().map(str::trim);
    let mut keys = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let bytes = Zeroizing::new(STANDARD.decode(line).map_err(|_| empty())?);
        if bytes.len() != 32 {
            return Err(Error::KeyFile(format!(
                "it must hold 32 bytes in base64, but a line holds {}",
                bytes.len()
            )));
        }
        keys.push(Secret::new(bytes.as_slice()));
    }
    if keys.is_empty() {
        Err(empty())
    } else {
        Ok(keys)
    }
}

fn id(key: &Secret) -> String {
    let digest = Zeroizing::new(blake3::derive_key(
        "naru 2026 key-encryption-key id",
        key.expose(),
    ));
    hex::encode(digest.get(..8).unwrap_or_default())
}

fn place(tenant: TenantId) -> Place<'static> {
    Place {
        tenant,
        table: "tenant_keys",
        column: "wrapped",
        row: &[],
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyFile(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_and_has_an_id_of_its_own() {
        let a = KeyFile::from_base64(&KeyFile::generate()).unwrap();
        let b = KeyFile::from_base64(&KeyFile::generate()).unwrap();
        assert_eq!(a.id(), a.id());
        assert_ne!(a.id(), b.id());
        assert!(KeyFile::from_base64(&Secret::from("c2hvcnQ=")).is_err());
        assert!(KeyFile::from_base64(&Secret::from("?")).is_err());
        let tenant = TenantId(uuid::Uuid::from_u128(7));
        let (wrapped, by) = a.wrap(tenant, &Secret::from("k")).unwrap();
        assert_eq!(by, a.id());
        assert_eq!(a.unwrap(tenant, &wrapped, &by).unwrap(), Secret::from("k"));
        let refused = b.unwrap(tenant, &wrapped, &by).unwrap_err();
        assert!(refused.to_string().contains("NARU_KEY_FILE"), "{refused}");
    }

    #[test]
    fn a_changed_file_is_read_again_and_an_older_key_still_unwraps() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let old = KeyFile::generate();
        std::fs::write(&file, old.expose()).unwrap();
        let keys = KeyFile::load(&file).unwrap();
        let tenant = TenantId(uuid::Uuid::from_u128(7));
        let (wrapped, by) = keys.wrap(tenant, &Secret::from("k")).unwrap();
        let new = KeyFile::generate();
        let both = format!("{}\n{}\n", new.expose_str(), old.expose_str());
        std::fs::write(&file, both).unwrap();
        assert_ne!(keys.id(), by, "the first line is current");
        assert_eq!(
            keys.unwrap(tenant, &wrapped, &by).unwrap(),
            Secret::from("k")
        );
        std::fs::write(&file, "half a lin").unwrap();
        assert_eq!(
            keys.unwrap(tenant, &wrapped, &by).unwrap(),
            Secret::from("k")
        );
    }
}
