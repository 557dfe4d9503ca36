//! The listener: one port per address that speaks HTTP/1.1 and HTTP/2, in clear or over TLS.

mod forwarded;
mod redirect;
pub(crate) mod sources;
pub(crate) mod tls;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use runtime::Lifecycle;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

pub(crate) use self::forwarded::Proxies;
pub(crate) use self::sources::{Seat, Sources};
use self::tls::Certificates;
use crate::audit;
use crate::front::Front;
use crate::front::host::Peer;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a peer may take over its request's headers, and how long a connection of HTTP/1.1 may rest between two.
const HEADERS: Duration = Duration::from_secs(60);
/// How long a peer may take over the first byte.
const FIRST_BYTE: Duration = Duration::from_secs(10);
/// How long a connection may stand on which nothing was asked yet.
const SILENT: Duration = Duration::from_secs(30);
/// How large a request's headers may be.
const MAX_HEADERS: usize = 64 << 10;
/// How many calls may be open on one connection.
const MAX_STREAMS: u32 = 1_000;
/// The first byte of a TLS record that carries a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// Binds every address, or none.
///
/// # Errors
/// The first address that cannot be had.
pub(crate) async fn bind(addresses: &[String]) -> Result<Vec<TcpListener>, (String, io::Error)> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        listeners.push(
            TcpListener::bind(address)
                .await
                .map_err(|error| (address.clone(), error))?,
        );
    }
    Ok(listeners)
}

/// Serves `front` on one listener until the stop.
pub(crate) fn serve(
    life: &Lifecycle,
    listener: TcpListener,
    tls: Option<Arc<Certificates>>,
    (sources, proxies): (Sources, Proxies),
    front: Front,
) {
    let accepting = life.clone();
    life.spawn("listen", async move {
        let stop = accepting.token();
        loop {
            let (stream, from) = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Out of descriptors, most likely: a short pause lets connections end.
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
            };
            let Some(seat) = sources.enter(from.ip()) else {
                tracing::debug!(source = %from.ip(), "a connection too many was closed");
                continue;
            };
            let answering = (front.clone(), proxies.clone());
            let until = (accepting.token(), seat);
            accepting.spawn_short(connection(stream, tls.clone(), answering, until));
        }
    });
}

async fn connection(
    stream: TcpStream,
    tls: Option<Arc<Certificates>>,
    front: (Front, Proxies),
    (stop, seat): (CancellationToken, Seat),
) {
    let _ = stream.set_nodelay(true);
    let peer = stream.peer_addr().ok().map(|address| Peer(address.ip()));
    let mut first = [0_u8; 1];
    let peeked = tokio::select! {
        () = stop.cancelled() => return,
        peeked = tokio::time::timeout(FIRST_BYTE, stream.peek(&mut first)) => peeked,
    };
    if !matches!(peeked, Ok(Ok(1))) {
        return;
    }
    let Some(certificates) = tls else {
        return http(stream, peer, false, front, (stop, seat)).await;
    };
    if first[0] != TLS_HANDSHAKE {
        return redirect::serve(stream).await;
    }
    match tokio::time::timeout(HANDSHAKE, handshake(stream, peer, &certificates)).await {
        Ok(Ok(tls)) => {
            let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
            http(tls, peer, http2, front, (stop, seat)).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

/// The name that the client sends decides which certificate it is shown.
async fn handshake(
    stream: TcpStream,
    peer: Option<Peer>,
    certificates: &Certificates,
) -> io::Result<TlsStream<TcpStream>> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let name = start.client_hello().server_name().map(str::to_owned);
    let from = peer.map(|peer| peer.0);
    let config = certificates.config_for(name.as_deref(), from).await;
    let config = config.map_err(|error| {
        tracing::error!(%error, host = name, "there is no certificate for a connection");
        io::Error::other(error)
    })?;
    start.into_stream(config).await
}

/// Speaks HTTP on a connection. With `http2` agreed on, SETTINGS go out at once, before the client says anything: the
/// argocd command takes a connection for ready only then.
async fn http<S>(
    stream: S,
    peer: Option<Peer>,
    http2: bool,
    (front, proxies): (Front, Proxies),
    (stop, seat): (CancellationToken, Seat),
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let asked = Arc::new(AtomicBool::new(false));
    let began = Arc::clone(&asked);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<_>| {
        began.store(true, Ordering::Relaxed);
        let front = front.clone();
        let source = peer.map(|peer| proxies.source(peer.0, request.headers()));
        if let Some(source) = source {
            request.extensions_mut().insert(Peer(source));
        }
        request.extensions_mut().insert(seat.clone());
        async move {
            let answer = audit::from(source, front.handle(request)).await;
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    if http2 {
        builder = builder.http2_only();
    }
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(64 << 10)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .keep_alive_interval(Duration::from_secs(60))
        .keep_alive_timeout(Duration::from_secs(20));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let silent = tokio::time::sleep(SILENT);
    tokio::pin!(silent);
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result { tracing::debug!(%error, "a connection broke") }
                return;
            }
            // Neither half a greeting nor a whole one that nothing follows holds a connection.
            () = silent.as_mut(), if !asked.load(Ordering::Relaxed) => {
                if !asked.load(Ordering::Relaxed) {
                    return tracing::debug!("a connection on which nothing was asked was closed");
                }
            }
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
                return;
            }
        }
    }
}
