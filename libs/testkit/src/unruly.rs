//! A server of theirs that misbehaves: it stands in front of a real one and does to what passes what it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::git::server::spawn;

/// How it is with its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mood {
    /// What comes passes, both ways.
    Straight,
    /// Connections are taken, and nothing is ever said.
    Silent,
    /// A byte of each answer passes per this time.
    Dripping(Duration),
    /// After so many bytes of the answers, the connection ends.
    Cutting(usize),
    /// The byte of the answers at this place is another one.
    Garbling(usize),
    /// Every request is answered with these bytes, and the connection ends.
    Answering(Vec<u8>),
}

impl Mood {
    /// An answer of HTTP with a status line and a body.
    #[must_use]
    pub fn http(status: &str, body: &[u8]) -> Self {
        let mut answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        answer.extend_from_slice(body);
        Self::Answering(answer)
    }
}

/// The server, running. It lives as long as its process.
#[derive(Debug)]
pub struct Unruly {
    /// Where it listens.
    pub address: SocketAddr,
    mood: watch::Sender<Mood>,
    came: Arc<AtomicUsize>,
}

impl Unruly {
    /// One in front of another server, well-behaved at first.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(behind: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (mood, told) = watch::channel(Mood::Straight);
        let came = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&came);
        spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut told = told.clone();
                spawn(async move {
                    let mood = told.borrow_and_update().clone();
                    tokio::select! {
                        // Who breaks off is nobody's concern.
                        _ = serve(stream, behind, mood) => {}
                        // Connections of another mood end with it.
                        _ = told.changed() => {}
                    }
                });
            }
        });
        Ok(Self {
            address,
            mood,
            came,
        })
    }

    /// Behaves so from now on, on new connections; those that are open end.
    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// How many connections have come.
    #[must_use]
    pub fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }
}

async fn serve(mut client: TcpStream, behind: SocketAddr, mood: Mood) -> Result<()> {
    let mut garbled = None;
    let (mut left, pause) = match mood {
        Mood::Silent => return std::future::pending().await,
        Mood::Answering(answer) => {
            let mut request = vec![0; 64 << 10];
            let read = client.read(&mut request).await?;
            anyhow::ensure!(read > 0, "it said nothing");
            client.write_all(&answer).await?;
            client.shutdown().await?;
            // What is still on its way must not reset the connection before the answer is read.
            while client.read(&mut request).await? > 0 {}
            return Ok(());
        }
        Mood::Straight => (usize::MAX, None),
        Mood::Dripping(pause) => (usize::MAX, Some(pause)),
        Mood::Cutting(left) => (left, None),
        Mood::Garbling(at) => {
            garbled = Some(at);
            (usize::MAX, None)
        }
    };
    let server = TcpStream::connect(behind)
        .await
        .context("nobody is behind")?;
    // What passes straight is not held back until there is more of it.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut client_in, mut client_out) = client.into_split();
    let (mut server_in, mut server_out) = server.into_split();
    let forth = async { tokio::io::copy(&mut client_in, &mut server_out).await };
    let back = async {
        let mut part = vec![0; if pause.is_some() { 1 } else { 16 << 10 }];
        while left > 0 {
            let room = left.min(part.len());
            let read = server_in.read(&mut part[..room]).await?;
            if read == 0 {
                break;
            }
            if let Some(byte) = garbled.and_then(|at| part[..read].get_mut(at)) {
                *byte ^= 0x55;
            }
            garbled = garbled.and_then(|at| at.checked_sub(read));
            client_out.write_all(&part[..read]).await?;
            left -= read;
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
        Ok::<_, std::io::Error>(())
    };
    tokio::select! {
        done = forth => { done?; }
        done = back => done?,
    }
    Ok(())
}
