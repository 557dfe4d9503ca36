//! A Redis of one's own: loopback, with a password, nothing kept on the disk.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::command::which;
use crate::ground::Ground;
use crate::paths;
use crate::process::Spec;

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
        let program = which("redis-server", &["/usr/sbin", "/usr/local/bin"])
            .context("redis-server is missing: apt-get install redis-server")?;
        let password = ground.secret("redis")?;
        let port = ground.port("redis", "redis", wanted)?;
        let folder = ground.folder("redis")?;
        let config = folder.join("redis.conf");
        let text = format!(
            "bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave \"\"\nappendonly no\ndaemonize no\ndir {}\n\
             maxmemory 512mb\nmaxmemory-policy allkeys-lru\n",
            folder.display()
        );
        paths::private_file(&config, text.as_bytes())?;
        let spec = Spec::new("redis", program).arg(config.to_string_lossy());
        // The file's name says nothing of the port; a changed one must restart it.
        let spec = spec.arg("--port").arg(port.to_string());
        let (process, _) = ground.supervisor.ensure(&spec).await?;
        process
            .ready(Duration::from_secs(20), || ping(port, &password))
            .await?;
        Ok(Self {
            url: format!("redis://:{password}@127.0.0.1:{port}/0"),
        })
    }
}

/// Makes sure that a Redis of somebody else's can be used.
///
/// # Errors
/// Why it cannot.
pub async fn check(url: &str) -> Result<()> {
    let shape = "--redis-url is not a URL such as redis://:password@host:6379/0";
    let parsed = url::Url::parse(url).context(shape)?;
    if !matches!(parsed.scheme(), "redis" | "rediss") {
        bail!("{shape}");
    }
    let host = parsed.host_str().context(shape)?;
    let reached = TcpStream::connect((host, parsed.port().unwrap_or(6379)));
    let mut stream = tokio::time::timeout(Duration::from_secs(10), reached)
        .await
        .map_err(anyhow::Error::from)
        .and_then(|reached| Ok(reached?))
        .context("--redis-url: nothing answers there; start Redis, or correct the address")?;
    if parsed.scheme() == "rediss" {
        return Ok(());
    }
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
    pong(&mut stream, &login)
        .await
        .context("--redis-url: Redis does not let this login in; correct the password")
}

async fn ping(port: u16, password: &str) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    pong(&mut stream, &format!("AUTH {password}\r\n")).await
}

async fn pong(stream: &mut TcpStream, login: &str) -> Result<()> {
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
