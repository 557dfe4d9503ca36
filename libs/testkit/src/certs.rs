//! A certificate authority of one's own: identities for the services, server certificates for everything else.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::paths;

/// After this the certificates are made anew; they are valid for much longer.
const RENEW: Duration = Duration::from_secs(300 * 24 * 3600);

/// The three files that a service is given.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The authority, PEM.
    pub ca: PathBuf,
    /// The certificate, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// An authority whose files stand in one folder.
pub struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// The one in `dir`, made now if there is none yet or it has grown old.
    ///
    /// # Errors
    /// When its files cannot be read or written.
    pub fn open(dir: &Path) -> Result<Self> {
        paths::private_dir(dir)?;
        let (cert, key) = (dir.join("ca.pem"), dir.join("ca.key"));
        if !is_fresh(&cert) || !key.is_file() {
            for entry in fs::read_dir(dir)? {
                fs::remove_file(entry?.path())?;
            }
            let pair = KeyPair::generate()?;
            let made = authority().self_signed(&pair)?;
            paths::private_file(&key, pair.serialize_pem().as_bytes())?;
            paths::private_file(&cert, made.pem().as_bytes())?;
        }
        let pair = KeyPair::from_pem(&fs::read_to_string(&key)?)
            .context("the authority's key is damaged")?;
        Ok(Self {
            dir: dir.to_owned(),
            issuer: Issuer::new(authority(), pair),
        })
    }

    /// The authority's certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// The identity of one of the services (`api`, `controller`, `repo-server`).
    ///
    /// # Errors
    /// When its files cannot be written.
    pub fn component(&self, component: &str) -> Result<Identity> {
        let mut names = names(&[&format!("naru-{component}"), "localhost", "127.0.0.1"])?;
        names.push(SanType::URI(Ia5String::try_from(format!(
            "spiffe://naru/{component}"
        ))?));
        self.issue(component, names)
    }

    /// The certificate of a server under these names and addresses.
    ///
    /// # Errors
    /// When its files cannot be written.
    pub fn server(&self, name: &str, hosts: &[&str]) -> Result<Identity> {
        self.issue(name, names(hosts)?)
    }

    fn issue(&self, name: &str, names: Vec<SanType>) -> Result<Identity> {
        let identity = Identity {
            ca: self.certificate(),
            cert: self.dir.join(format!("{name}.pem")),
            key: self.dir.join(format!("{name}.key")),
        };
        if is_fresh(&identity.cert) && identity.key.is_file() {
            return Ok(identity);
        }
        let pair = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let made = params.signed_by(&pair, &self.issuer)?;
        paths::private_file(&identity.key, pair.serialize_pem().as_bytes())?;
        paths::private_file(&identity.cert, made.pem().as_bytes())?;
        Ok(identity)
    }
}

/// What the authority says of itself; with its key, all that it takes to sign in its name.
fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "Naru development");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
}

fn names(hosts: &[&str]) -> Result<Vec<SanType>> {
    hosts
        .iter()
        .map(|host| {
            Ok(match host.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(Ia5String::try_from(*host)?),
            })
        })
        .collect()
}

fn is_fresh(file: &Path) -> bool {
    let written = fs::metadata(file).and_then(|meta| meta.modified());
    written.is_ok_and(|time| time.elapsed().is_ok_and(|age| age < RENEW))
}

/// A new signing key and its public half, PEM (PKCS #8).
///
/// # Errors
/// When there is no randomness.
pub fn signing_key() -> Result<(String, String)> {
    let pair = KeyPair::generate()?;
    Ok((pair.serialize_pem(), pair.public_key_pem()))
}
