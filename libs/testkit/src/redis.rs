//! A Redis of one's own: loopback, with a password, nothing kept on the disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certs::Identity;
use crate::command::which;
use crate::ground::Ground;
use crate::paths;
use crate::process::Spec;

/// How long a Redis of somebody else's may take to let a connection in.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running Redis.
#[derive(Clone, Debug)]
pub struct Redis {
    /// Where and with which password.
    pub url: String,
}

impl Redis {
    /// The private Redis of a folder, started now if it does not run.
    ///
    /// # Errors
    /// When Redis is not installed or does not start.
    pub async fn start(ground: &mut Ground, wanted: Option<u16>) -> Result<Self> {
        Self::run(ground, wanted, None).await
    }

    /// One that speaks TLS alone, as this identity.
    ///
    /// # Errors
    /// When Redis is not installed, was built without TLS, or does not start.
    pub async fn start_over_tls(ground: &mut Ground, identity: &Identity) -> Result<Self> {
        Self::run(ground, None, Some(identity)).await
    }

    async fn run(
        ground: &mut Ground,
        wanted: Option<u16>,
        identity: Option<&Identity>,
    ) -> Result<Self> {
        let program = which("redis-server", &["/usr/sbin", "/usr/local/bin"])
            .context("redis-server is missing: apt-get install redis-server")?;
        let password = ground.secret("redis")?;
        let port = ground.port("redis", "redis", wanted)?;
        let folder = ground.folder("redis")?;
        let config = folder.join("redis.conf");
        let listen = match identity {
            None => format!("port {port}"),
            Some(identity) => format!(
                "port 0\ntls-port {port}\ntls-auth-clients no\ntls-ca-cert-file {}\ntls-cert-file {}\ntls-key-file {}",
                identity.ca.display(),
                identity.cert.display(),
                identity.key.display()
            ),
        };
        let text = format!(
            "bind 127.0.0.1\n{listen}\nrequirepass {password}\nsave \"\"\nappendonly no\ndaemonize no\ndir {}\n\
             maxmemory 512mb\nmaxmemory-policy allkeys-lru\n",
            folder.display()
        );
        paths::private_file(&config, text.as_bytes())?;
        let spec = Spec::new("redis", program).arg(config.to_string_lossy());
        // The file's name says nothing of the port; a changed one must restart it.
        let option = identity.map_or("--port", |_| "--tls-port");
        let spec = spec.arg(option).arg(port.to_string());
        let (process, _) = ground.supervisor.ensure(&spec).await?;
        process
            .ready(Duration::from_secs(20), || ping(port, &password, identity))
            .await?;
        let scheme = identity.map_or("redis", |_| "rediss");
        Ok(Self {
            url: format!("{scheme}://:{password}@127.0.0.1:{port}/0"),
        })
    }
}

/// Makes sure that a Redis of somebody else's can be used.
///
/// # Errors
/// Why it cannot.
pub async fn check(url: &str) -> Result<()> {
    check_with(url, || {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        Ok(roots)
    })
    .await
}

/// The same of one whose certificate is of the authority in a file.
///
/// # Errors
/// Why it cannot.
pub async fn check_trusting(url: &str, authority: &Path) -> Result<()> {
    check_with(url, || only(authority)).await
}

async fn check_with(url: &str, roots: impl FnOnce() -> Result<RootCertStore>) -> Result<()> {
    let shape = "--redis-url is not a URL such as redis://:password@host:6379/0";
    let parsed = url::Url::parse(url).context(shape)?;
    if !matches!(parsed.scheme(), "redis" | "rediss") {
        bail!("{shape}");
    }
    let host = parsed.host_str().context(shape)?;
    let reached = TcpStream::connect((host, parsed.port().unwrap_or(6379)));
    let mut stream = tokio::time::timeout(PATIENCE, reached)
        .await
        .map_err(anyhow::Error::from)
        .and_then(|reached| Ok(reached?))
        .context("--redis-url: nothing answers there; start Redis, or correct the address")?;
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let login = match (parsed.username(), parsed.password()) {
        (_, None) => String::new(),
        ("", Some(password)) => format!("AUTH {}\r\n", decoded(password)),
        (user, Some(password)) => format!("AUTH {} {}\r\n", decoded(user), decoded(password)),
    };
    let answered = if parsed.scheme() == "rediss" {
        let secured = over_tls(stream, host, roots()?);
        let mut stream = tokio::time::timeout(PATIENCE, secured)
            .await
            .map_err(anyhow::Error::from)
            .flatten()
            .context("--redis-url: no TLS with a certificate that this machine trusts")?;
        pong(&mut stream, &login).await
    } else {
        pong(&mut stream, &login).await
    };
    answered.context("--redis-url: Redis does not let this login in; correct the password")
}

async fn ping(port: u16, password: &str, identity: Option<&Identity>) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let login = format!("AUTH {password}\r\n");
    let Some(identity) = identity else {
        return pong(&mut stream, &login).await;
    };
    let mut stream = over_tls(stream, "127.0.0.1", only(&identity.ca)?).await?;
    pong(&mut stream, &login).await
}

/// The authority in a file, and nobody else.
fn only(authority: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority)? {
        roots.add(certificate?)?;
    }
    Ok(roots)
}

async fn over_tls(
    stream: TcpStream,
    host: &str,
    roots: RootCertStore,
) -> Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned())?;
    let connector = TlsConnector::from(Arc::new(config));
    Ok(connector.connect(name, stream).await?)
}

async fn pong(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), login: &str) -> Result<()> {
    stream
        .write_all(format!("{login}PING\r\n").as_bytes())
        .await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"+PONG\r\n") {
        let mut part = [0; 256];
        let count = stream.read(&mut part).await?;
        if count == 0 || answer.len() > 1024 {
            bail!("Redis answers {}", String::from_utf8_lossy(&answer).trim());
        }
        answer.extend_from_slice(&part[..count]);
        if answer.starts_with(b"-") {
            bail!("Redis answers {}", String::from_utf8_lossy(&answer).trim());
        }
    }
    Ok(())
}
