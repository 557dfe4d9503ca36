//! Mutual TLS between the services: who calls is known from the certificate, and each RPC lists who may.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Endpoint, Uri};
use tonic::{Request, Status};
use tower::{Service, ServiceExt};
use tracing::Instrument;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::Lifecycle;
use crate::config::MutualTls;

/// How long a handshake may take: a peer that says nothing holds no more than a socket for this long.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// The services, as their certificates name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Component {
    /// The front door.
    Api,
    /// Renders.
    RepoServer,
    /// Applies.
    Controller,
}

impl Component {
    /// The last part of `spiffe://naru/<component>`, and of the DNS name `naru-<component>`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::RepoServer => "repo-server",
            Self::Controller => "controller",
        }
    }

    fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = certificate.subject_alternative_name().ok()??;
        names
            .value
            .general_names
            .iter()
            .find_map(|name| match name {
                GeneralName::URI("spiffe://naru/api") => Some(Self::Api),
                GeneralName::URI("spiffe://naru/repo-server") => Some(Self::RepoServer),
                GeneralName::URI("spiffe://naru/controller") => Some(Self::Controller),
                _ => None,
            })
    }
}

/// Why mutual TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum MutualTlsError {
    /// A file cannot be read or is not PEM.
    #[error("cannot read `{file}` as PEM")]
    File {
        /// Which.
        file: String,
        /// Why.
        #[source]
        cause: rustls::pki_types::pem::Error,
    },
    /// The files do not fit each other.
    #[error("the certificate, key and authority in NARU_INTERNAL__* do not fit each other: {0}")]
    Mismatch(String),
    /// Not an address.
    #[error("`{0}` is not an address such as https://host:port")]
    Address(String),
}

/// The certificates in a file.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, MutualTlsError> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|cause| MutualTlsError::File {
            file: file.display().to_string(),
            cause,
        })
}

fn identity(
    files: &MutualTls,
) -> Result<
    (
        Vec<CertificateDer<'static>>,
        PrivateKeyDer<'static>,
        RootCertStore,
    ),
    MutualTlsError,
> {
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|cause| MutualTlsError::File {
        file: files.key.display().to_string(),
        cause,
    })?;
    let mut roots = RootCertStore::empty();
    for authority in certificates(&files.ca)? {
        roots
            .add(authority)
            .map_err(|error| MutualTlsError::Mismatch(error.to_string()))?;
    }
    Ok((certificates(&files.cert)?, key, roots))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The settings of a listener that only our components get into.
///
/// # Errors
/// When a file is missing or they do not fit each other.
pub fn server_config(files: &MutualTls) -> Result<ServerConfig, MutualTlsError> {
    let mismatch = |error: &dyn std::fmt::Display| MutualTlsError::Mismatch(error.to_string());
    let (chain, key, roots) = identity(files)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| mismatch(&error))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| mismatch(&error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| mismatch(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn client_config(files: &MutualTls) -> Result<ClientConfig, MutualTlsError> {
    let mismatch = |error: rustls::Error| MutualTlsError::Mismatch(error.to_string());
    let (chain, key, roots) = identity(files)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(mismatch)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(mismatch)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// A channel whose requests carry the span under way.
pub type Channel =
    InterceptedService<tonic::transport::Channel, fn(Request<()>) -> Result<Request<()>, Status>>;

/// A channel to a component at `url`, connected on first use and again whenever it breaks.
///
/// The peer must hold the certificate of that component: an address that another one took over is refused.
///
/// # Errors
/// When the files or the address cannot be used.
pub fn channel(
    files: &MutualTls,
    url: &str,
    component: Component,
) -> Result<Channel, MutualTlsError> {
    let address = || MutualTlsError::Address(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| address())?;
    let authority = uri.authority().ok_or_else(address)?.clone();
    let target = format!(
        "{}:{}",
        authority.host(),
        authority.port_u16().unwrap_or(443)
    );
    let tls = TlsConnector::from(Arc::new(client_config(files)?));
    let name =
        ServerName::try_from(format!("naru-{}", component.as_str())).map_err(|_| address())?;
    let connect = tower::service_fn(move |_: Uri| {
        let (tls, name, target) = (tls.clone(), name.clone(), target.clone());
        async move {
            let tcp = TcpStream::connect(target).await?;
            tcp.set_nodelay(true)?;
            Ok::<_, io::Error>(TokioIo::new(tls.connect(name, tcp).await?))
        }
    });
    // The connector speaks TLS itself; tonic must see a plain scheme, or it would want to add its own.
    let endpoint = Endpoint::from_shared(format!("http://{authority}"))
        .map_err(|_| address())?
        .connect_timeout(HANDSHAKE)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20);
    Ok(InterceptedService::new(
        endpoint.connect_with_connector_lazy(connect),
        crate::trace::carry,
    ))
}

/// The names of the components that may call an RPC, by its path (`/naru.internal.v1.RepoServer/Render`). An empty answer
/// refuses everybody.
pub type AllowList = fn(path: &str) -> &'static [&'static str];

/// Serves `routes` on `listener` until the stop, to components that `allow` names.
///
/// # Errors
/// When the files cannot be used.
pub fn serve(
    life: &Lifecycle,
    listener: TcpListener,
    files: &MutualTls,
    routes: Routes,
    allow: AllowList,
) -> Result<(), MutualTlsError> {
    let acceptor = TlsAcceptor::from(Arc::new(server_config(files)?));
    let accepting = life.clone();
    life.spawn("internal", async move {
        let stop = accepting.token();
        loop {
            let stream = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    // Out of descriptors, most likely: the next one may go again.
                    Err(error) => { tracing::warn!(%error, "cannot accept"); tokio::task::yield_now().await; continue }
                },
            };
            accepting.spawn_short(connection(stream, acceptor.clone(), routes.clone(), allow, accepting.token()));
        }
    });
    Ok(())
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    routes: Routes,
    allow: AllowList,
    stop: tokio_util::sync::CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let tls = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => {
            return tracing::warn!(%error, "a peer without a certificate of ours was refused");
        }
        Err(_) => return tracing::warn!("a peer did not finish its handshake"),
    };
    let Some(peer) = tls
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| Component::of_certificate(chain.first()?))
    else {
        return tracing::warn!("a peer's certificate names no component");
    };
    let service = TowerToHyperService::new(Guarded {
        routes,
        peer,
        allow,
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .max_concurrent_streams(1024)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20);
    let connection = builder.serve_connection(TokioIo::new(tls), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// Refuses a peer that the RPC does not list, before the request is read.
#[derive(Clone)]
struct Guarded {
    routes: Routes,
    peer: Component,
    allow: AllowList,
}

impl Service<http::Request<hyper::body::Incoming>> for Guarded {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<hyper::body::Incoming>) -> Self::Future {
        if !(self.allow)(request.uri().path()).contains(&self.peer.as_str()) {
            tracing::warn!(
                peer = self.peer.as_str(),
                path = request.uri().path(),
                "a component called what it may not"
            );
            let refused = tonic::Status::permission_denied("permission denied").into_http();
            return Box::pin(async move { Ok(refused) });
        }
        request.extensions_mut().insert(self.peer);
        let routes = self.routes.clone();
        // Only what the list names gets here, hence the path says which RPC it is and nothing else.
        let (service, method) = request
            .uri()
            .path()
            .trim_start_matches('/')
            .split_once('/')
            .unwrap_or_default();
        let span = tracing::info_span!(
            "rpc",
            otel.kind = "server",
            rpc.service = service,
            rpc.method = method,
            peer = self.peer.as_str(),
        );
        crate::trace::adopt(&span, request.headers());
        let answer = routes.oneshot(request.map(tonic::body::Body::new));
        Box::pin(answer.instrument(span))
    }
}
