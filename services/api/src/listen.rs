//! The listener: one port per address that speaks HTTP/1.1 and HTTP/2, in clear or over TLS.

mod redirect;
pub(crate) mod tls;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use runtime::Lifecycle;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::front::Front;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a peer may take over its request's headers.
const HEADERS: Duration = Duration::from_secs(60);
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
    tls: Option<Arc<rustls::ServerConfig>>,
    front: Front,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let accepting = life.clone();
    life.spawn("listen", async move {
        let stop = accepting.token();
        loop {
            let stream = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        // Out of descriptors, most likely: a short pause lets connections end.
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
            };
            accepting.spawn_short(connection(
                stream,
                acceptor.clone(),
                front.clone(),
                accepting.token(),
            ));
        }
    });
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    front: Front,
    stop: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = tls else {
        return http(stream, false, front, stop).await;
    };
    let mut first = [0_u8; 1];
    let peeked = tokio::select! {
        () = stop.cancelled() => return,
        peeked = tokio::time::timeout(HEADERS, stream.peek(&mut first)) => peeked,
    };
    if !matches!(peeked, Ok(Ok(1))) {
        return;
    }
    if first[0] != TLS_HANDSHAKE {
        return redirect::serve(stream).await;
    }
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(tls)) => {
            let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
            http(tls, http2, front, stop).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

/// Speaks HTTP on a connection. With `http2` agreed on, SETTINGS go out at once, before the client says anything: the
/// argocd command takes a connection for ready only then.
async fn http<S>(stream: S, http2: bool, front: Front, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request| {
        let front = front.clone();
        async move { Ok::<_, std::convert::Infallible>(front.handle(request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    if http2 {
        builder = builder.http2_only();
    }
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(1_000)
        .max_header_list_size(64 << 10)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .keep_alive_interval(Duration::from_secs(60))
        .keep_alive_timeout(Duration::from_secs(20));
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => if let Err(error) = result { tracing::debug!(%error, "a connection broke") },
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
