//! The certificates of the public port: given ones, else ones that an authority of ours signs per host; replaced when
//! their files change, without a restart and without ending a connection.

mod authority;
mod given;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use domain::clock::Clock;
use parking_lot::{Mutex, RwLock};
use runtime::Lifecycle;
use runtime::expiry::{Expiry, end_of};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

pub(crate) use self::authority::make;
use self::authority::{Authority, Issued};
use self::given::{Given, Stamp};
use crate::config::Tls;
use crate::front::host::{Hosts, NotAsked};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How many hosts' certificates are kept.
const KEPT: usize = 4_096;
/// Under this name the certificate for clients without a known name is kept.
const DEFAULT: &str = "";

/// Why the certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// Only one of the two is given.
    #[error(
        "NARU_TLS__CERT and NARU_TLS__KEY go together, and so do NARU_TLS__CA_CERT and NARU_TLS__CA_KEY: set both, or neither"
    )]
    Half,
    /// A folder alone.
    #[error(
        "NARU_TLS__FOLDER holds no certificate for clients that send no name: set NARU_TLS__CERT and NARU_TLS__KEY, NARU_TLS__CA_CERT and NARU_TLS__CA_KEY, or NARU_TLS__SELF_SIGNED too"
    )]
    NoDefault,
    /// A file cannot be read or is not PEM.
    #[error("cannot read `{file}` as PEM: {cause}")]
    File {
        /// Which.
        file: String,
        /// Why.
        cause: rustls::pki_types::pem::Error,
    },
    /// The folder cannot be read.
    #[error("NARU_TLS__FOLDER: cannot read `{folder}`: {cause}")]
    Folder {
        /// Which.
        folder: String,
        /// Why.
        cause: std::io::Error,
    },
    /// A certificate of the folder is for nobody.
    #[error("the certificate `{0}` names no host in its subject alternative names")]
    Nameless(String),
    /// They do not fit each other.
    #[error("a certificate and a key in NARU_TLS__* do not fit each other: {0}")]
    Mismatch(#[from] rustls::Error),
    /// The authority cannot sign.
    #[error("NARU_TLS__CA_KEY: `{file}` cannot be used to sign: {why}")]
    Authority {
        /// Which.
        file: String,
        /// Why.
        why: String,
    },
    /// None could be made.
    #[error("cannot make a certificate: {0}")]
    Make(rcgen::Error),
}

/// All certificates of the port.
pub(crate) struct Certificates {
    settings: Tls,
    /// The names in the certificate for clients without a known name, where it is made here.
    names: Vec<String>,
    hosts: Arc<Hosts>,
    clock: Arc<dyn Clock>,
    base: ServerConfig,
    loaded: RwLock<Arc<Loaded>>,
    stamp: Mutex<Stamp>,
    issued: Mutex<HashMap<String, Issued>>,
    expiry: Expiry,
}

/// What stands in the files.
struct Loaded {
    default: Option<Arc<CertifiedKey>>,
    given: Given,
    authority: Option<Authority>,
}

impl Certificates {
    /// The certificates that the settings name, or `None` where the port speaks in clear. `names` are those of the
    /// certificate for clients that send no name.
    ///
    /// # Errors
    /// When the files cannot be used.
    pub(crate) fn new(
        settings: &Tls,
        names: Vec<String>,
        hosts: Arc<Hosts>,
        clock: Arc<dyn Clock>,
        expiry: Expiry,
    ) -> Result<Option<Arc<Self>>, TlsError> {
        let named = [&settings.cert, &settings.ca_cert, &settings.folder];
        let keys = settings.key.is_some() || settings.ca_key.is_some();
        if !settings.self_signed && !keys && named.iter().all(|file| file.is_none()) {
            return Ok(None);
        }
        let stamp = stamp(settings);
        let loaded = Loaded::read(settings, clock.now().into())?;
        loaded.tell(&expiry);
        let mut base = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            // Replaced per connection, once its name is known.
            .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()));
        base.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let this = Self {
            settings: settings.clone(),
            names,
            hosts,
            clock,
            base,
            loaded: RwLock::new(Arc::new(loaded)),
            stamp: Mutex::new(stamp),
            issued: Mutex::default(),
            expiry,
        };
        // What cannot be made at all is said at the start, not to the first client.
        this.default()?;
        Ok(Some(Arc::new(this)))
    }

    /// The settings of one connection, by the name that its client sent.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub(crate) async fn config_for(
        &self,
        name: Option<&str>,
        from: Option<IpAddr>,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let key = match name {
            Some(name) => self.of_host(&name.to_ascii_lowercase(), from).await?,
            None => None,
        };
        let key = match key {
            Some(key) => key,
            None => self.default()?,
        };
        let mut config = self.base.clone();
        config.cert_resolver = Arc::new(SingleCertAndKey::from(key));
        Ok(Arc::new(config))
    }

    /// The certificate of a host: a given one; else one of ours, if the host is served here.
    async fn of_host(
        &self,
        host: &str,
        from: Option<IpAddr>,
    ) -> Result<Option<Arc<CertifiedKey>>, TlsError> {
        let loaded = Arc::clone(&self.loaded.read());
        if let Some(key) = loaded.given.find(host) {
            return Ok(Some(key));
        }
        let Some(authority) = &loaded.authority else {
            return Ok(None);
        };
        let now = self.now();
        if let Some(key) = self.kept(host, now) {
            return Ok(Some(key));
        }
        match self.hosts.find(host, from).await {
            Ok(Some(_)) => self
                .issue(authority, host, &[host.to_owned()], now)
                .map(Some),
            Ok(None) => Ok(None),
            Err(NotAsked::TooMany(_)) => Ok(None),
            Err(NotAsked::Store(error)) => {
                tracing::warn!(%error, "whose host a certificate is asked for cannot be looked up");
                Ok(None)
            }
        }
    }

    /// The certificate for clients that send no name, or none that is served here.
    fn default(&self) -> Result<Arc<CertifiedKey>, TlsError> {
        let loaded = Arc::clone(&self.loaded.read());
        if let Some(key) = &loaded.default {
            return Ok(Arc::clone(key));
        }
        let now = self.now();
        match (self.kept(DEFAULT, now), &loaded.authority) {
            (Some(key), _) => Ok(key),
            (None, Some(authority)) => self.issue(authority, DEFAULT, &self.names, now),
            (None, None) => Err(TlsError::NoDefault),
        }
    }

    fn now(&self) -> SystemTime {
        self.clock.now().into()
    }

    fn kept(&self, host: &str, now: SystemTime) -> Option<Arc<CertifiedKey>> {
        let issued = self.issued.lock();
        let found = issued.get(host).filter(|issued| issued.is_fresh(now))?;
        Some(Arc::clone(&found.key))
    }

    fn issue(
        &self,
        authority: &Authority,
        host: &str,
        names: &[String],
        now: SystemTime,
    ) -> Result<Arc<CertifiedKey>, TlsError> {
        let made = authority.issue(names, now)?;
        let key = Arc::clone(&made.key);
        let mut issued = self.issued.lock();
        if issued.len() >= KEPT && !issued.contains_key(host) {
            issued.retain(|name, issued| name == DEFAULT || issued.is_fresh(now));
            let victim = issued.keys().find(|name| *name != DEFAULT).cloned();
            if let Some(victim) = victim.filter(|_| issued.len() >= KEPT) {
                issued.remove(&victim);
            }
        }
        issued.insert(host.to_owned(), made);
        Ok(key)
    }

    /// Looks at the files until the stop, and takes what changed.
    pub(crate) async fn watch(self: Arc<Self>, life: Lifecycle) {
        let stop = life.token();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let looking = Arc::clone(&self);
            if let Err(error) = tokio::task::spawn_blocking(move || looking.look()).await {
                tracing::error!(%error, "looking at the certificates broke off");
            }
        }
    }

    /// Takes what changed in the files since the last look. What cannot be used leaves everything as it was: a
    /// certificate and its key are seldom written in one step.
    fn look(&self) {
        let seen = stamp(&self.settings);
        let mut stamp = self.stamp.lock();
        if *stamp == seen {
            return;
        }
        *stamp = seen;
        drop(stamp);
        match Loaded::read(&self.settings, self.now()) {
            Ok(loaded) => {
                loaded.tell(&self.expiry);
                *self.loaded.write() = Arc::new(loaded);
                self.issued.lock().clear();
                tracing::info!("took changed certificates");
            }
            Err(error) => {
                tracing::warn!(%error, "changed certificates cannot be used; the old ones stay")
            }
        }
    }
}

impl Loaded {
    fn read(settings: &Tls, now: SystemTime) -> Result<Self, TlsError> {
        let default = match (&settings.cert, &settings.key) {
            (Some(cert), Some(key)) => Some(certified(cert, key)?),
            (None, None) => None,
            _ => return Err(TlsError::Half),
        };
        let authority = match (&settings.ca_cert, &settings.ca_key) {
            (Some(cert), Some(key)) => Some(Authority::load(cert, key)?),
            (None, None) if settings.self_signed && default.is_none() => {
                Some(Authority::ephemeral(now)?)
            }
            (None, None) => None,
            _ => return Err(TlsError::Half),
        };
        if default.is_none() && authority.is_none() {
            return Err(TlsError::NoDefault);
        }
        let given = match &settings.folder {
            Some(folder) => Given::load(folder)?,
            None => Given::default(),
        };
        Ok(Self {
            default,
            given,
            authority,
        })
    }

    /// Tells when those of the files end. What the authority signs is replaced in time without anybody's help.
    fn tell(&self, expiry: &Expiry) {
        let one = |chain: Option<&[CertificateDer<'static>]>| {
            let end = chain.and_then(end_of);
            let one = end.map(|end| (String::new(), end));
            one.into_iter().collect::<BTreeMap<_, _>>()
        };
        let default = self.default.as_deref().map(|key| key.cert.as_slice());
        expiry.tell("default", &one(default));
        let authority = self.authority.as_ref().and_then(Authority::kept);
        expiry.tell("authority", &one(authority));
        expiry.tell("given", self.given.ends());
    }
}

fn stamp(settings: &Tls) -> Stamp {
    let files = [
        &settings.cert,
        &settings.key,
        &settings.ca_cert,
        &settings.ca_key,
    ];
    Stamp::of(files.into_iter().flatten(), settings.folder.as_deref())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certified(cert: &Path, key: &Path) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = read_chain(cert)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|cause| TlsError::File {
        file: key.display().to_string(),
        cause,
    })?;
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &provider())?))
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|cause| TlsError::File {
            file: file.display().to_string(),
            cause,
        })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};
    use runtime::metrics::Registry;

    use super::*;

    /// Writes a certificate and its key that end then.
    fn write(folder: &Path, name: &str, end: u64) {
        let pair = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![format!("{name}.example")]).unwrap();
        params.not_after = (SystemTime::UNIX_EPOCH + Duration::from_secs(end)).into();
        let certificate = params.self_signed(&pair).unwrap();
        fs::write(folder.join(format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), pair.serialize_pem()).unwrap();
    }

    #[test]
    fn metrics_tell_when_the_certificates_of_files_end() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| Some(folder.path().join(name));
        let given = folder.path().join("given");
        fs::create_dir(&given).unwrap();
        write(folder.path(), "own", 2_000_000_000);
        write(&given, "a", 1_900_000_000);
        let made = make(&[], now).unwrap();
        fs::write(folder.path().join("ca.crt"), made.cert).unwrap();
        fs::write(folder.path().join("ca.key"), made.key.expose_str()).unwrap();
        let settings = Tls {
            cert: at("own.crt"),
            key: at("own.key"),
            ca_cert: at("ca.crt"),
            ca_key: at("ca.key"),
            folder: at("given"),
            self_signed: false,
        };
        let registry = Registry::new();
        let expiry = Expiry::new(&registry);
        let told = |settings: &Tls| -> Vec<String> {
            Loaded::read(settings, now).unwrap().tell(&expiry);
            let text = registry.encode();
            let name = "naru_certificate_expiration_timestamp_seconds{";
            let lines = text.lines().filter_map(|line| line.strip_prefix(name));
            let mut told: Vec<String> = lines.map(str::to_owned).collect();
            told.sort();
            told
        };
        let authority = "kind=\"authority\",name=\"\"} 1857680000";
        let default = "kind=\"default\",name=\"\"} 2000000000";
        let a = "kind=\"given\",name=\"a\"} 1900000000";
        assert_eq!(told(&settings), [authority, default, a]);

        write(&given, "a", 1_950_000_000);
        let renewed = "kind=\"given\",name=\"a\"} 1950000000";
        assert_eq!(told(&settings), [authority, default, renewed]);
        fs::remove_file(given.join("a.crt")).unwrap();
        assert_eq!(told(&settings), [authority, default]);

        // One that ends with the process needs nobody's care.
        let own = Tls {
            cert: None,
            key: None,
            ca_cert: None,
            ca_key: None,
            folder: None,
            self_signed: true,
        };
        assert_eq!(told(&own), Vec::<String>::new());
    }
}
