//! A forward proxy for HTTP that wants a login, and counts who came through.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::server::spawn;

/// The longest head of a request.
const MAX_HEAD: usize = 64 << 10;

/// The proxy, running. It lives as long as its process.
#[derive(Clone, Debug)]
pub struct Proxy {
    address: SocketAddr,
    passed: Arc<AtomicUsize>,
}

impl Proxy {
    /// One that lets through who gives this login, `user:password`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(login: &str) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let this = Self {
            address: listener.local_addr()?,
            passed: Arc::default(),
        };
        let wanted = format!("basic {}", STANDARD.encode(login));
        let passed = Arc::clone(&this.passed);
        spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (wanted, passed) = (wanted.clone(), Arc::clone(&passed));
                // Who breaks off is nobody's concern.
                spawn(async move { drop(pass(stream, &wanted, &passed).await) });
            }
        });
        Ok(this)
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has let through.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.passed.load(Ordering::SeqCst)
    }
}

async fn pass(mut client: TcpStream, wanted: &str, passed: &AtomicUsize) -> Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        ensure!(head.len() < MAX_HEAD, "the head is too long");
        ensure!(client.read_buf(&mut head).await? > 0, "no head");
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let (method, rest) = text.split_once(' ').context("a request line")?;
    let (target, _) = rest.split_once(' ').context("a request line")?;
    let given = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("proxy-authorization")
            .then_some(value.trim())
    });
    let scheme = |value: &str| match value.split_once(' ') {
        Some((scheme, rest)) => format!("{} {rest}", scheme.to_lowercase()),
        None => String::new(),
    };
    if given.map(scheme).as_deref() != Some(wanted) {
        let refused = "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"proxy\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        return Ok(client.write_all(refused.as_bytes()).await?);
    }
    let host = match target.split_once("://") {
        Some((_, rest)) => rest.split('/').next().unwrap_or_default(),
        None => target,
    };
    let mut server = TcpStream::connect(host).await?;
    passed.fetch_add(1, Ordering::SeqCst);
    match method {
        "CONNECT" => client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?,
        // Servers take the whole address too.
        _ => server.write_all(&head).await?,
    }
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
