//! Smart HTTP: git's own backend behind a small server that knows each tenant's login.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{GitHome, backend, is_plain, push_hook};

pub(super) type Body = BoxBody<Bytes, std::io::Error>;

/// What to serve, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of repositories.
    pub home: GitHome,
    /// The address.
    pub listen: SocketAddr,
    /// The address by which clients know it, for what push hooks say; made from `listen` when absent.
    pub public_url: Option<String>,
    /// Certificate and key, PEM, to serve over TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The authority, PEM, of which every client must show a certificate; of TLS alone.
    pub client_ca: Option<PathBuf>,
}

/// What a request is about.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) tenant: String,
    pub(super) repository: String,
    /// What of git's backend is asked for.
    pub(super) rest: String,
}

pub(super) struct Server {
    pub(super) home: GitHome,
    pub(super) public_url: String,
    pub(super) http: reqwest::Client,
}

/// Serves until the process ends.
///
/// # Errors
/// When the address is taken or the certificate cannot be used.
pub async fn serve(options: Options) -> Result<()> {
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    let tls = options
        .tls
        .as_ref()
        .map(|(cert, key)| acceptor(cert, key, options.client_ca.as_deref()))
        .transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let public_url = options
        .public_url
        .unwrap_or_else(|| format!("{scheme}://{}", options.listen));
    let http = crate::http::builder()
        .tls_danger_accept_invalid_certs(true)
        .timeout(std::time::Duration::from_secs(10))
        .build()?;
    let server = Arc::new(Server {
        home: options.home,
        public_url,
        http,
    });
    loop {
        match listener.accept().await {
            Ok((stream, _)) => spawn(connection(stream, tls.clone(), server.clone())),
            // Out of descriptors: connections that end give some back.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "testkit's servers live as long as their process, without a drain"
)]
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

pub(crate) fn acceptor(cert: &Path, key: &Path, client_ca: Option<&Path>) -> Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let config = match client_ca {
        None => config.with_no_client_auth(),
        Some(file) => {
            let mut roots = rustls::RootCertStore::empty();
            for authority in CertificateDer::pem_file_iter(file)? {
                roots.add(authority?)?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            config.with_client_cert_verifier(verifier)
        }
    };
    Ok(TlsAcceptor::from(Arc::new(
        config.with_single_cert(chain, key)?,
    )))
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, server: Arc<Server>) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request| {
        let server = server.clone();
        async move { Ok::<_, Infallible>(handle(&server, request).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    // A client that goes away ends its connection with an error, which is nobody's concern.
    match tls {
        None => drop(
            builder
                .serve_connection(TokioIo::new(stream), service)
                .await,
        ),
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                drop(
                    builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await,
                );
            }
        }
    }
}

async fn handle(server: &Arc<Server>, request: Request<Incoming>) -> Response<Body> {
    if request.uri().path() == "/healthz" {
        return plain(StatusCode::OK, "ok\n");
    }
    let Some(target) = target(&request) else {
        return plain(StatusCode::NOT_FOUND, "not found\n");
    };
    if !may(server, &target, &request) {
        let mut refused = plain(
            StatusCode::UNAUTHORIZED,
            "sign in with your Git user and password\n",
        );
        refused.headers_mut().insert(
            WWW_AUTHENTICATE,
            http::HeaderValue::from_static("Basic realm=\"git\""),
        );
        return refused;
    }
    let Ok(home) = server.home.of(&target.tenant) else {
        return plain(StatusCode::NOT_FOUND, "not found\n");
    };
    let bare = home.join(format!("{}.git", target.repository));
    if !bare.is_dir() {
        return plain(StatusCode::NOT_FOUND, "repository not found\n");
    }
    let before = match target.rest.as_str() {
        "git-receive-pack" => push_hook::refs(&bare).await.ok(),
        _ => None,
    };
    let finished = {
        let (server, target) = (server.clone(), target.clone());
        move || async move {
            if let Some(before) = before {
                push_hook::report(&server, &target, &bare, &before).await;
            }
        }
    };
    match backend::run(&server.home, &target, request, finished).await {
        Ok(response) => response,
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}\n")),
    }
}

/// Only what smart HTTP needs: no dumb reading of files.
fn target(request: &Request<Incoming>) -> Option<Target> {
    let (tenant, rest) = request.uri().path().strip_prefix('/')?.split_once('/')?;
    let (repository, rest) = rest.split_once('/')?;
    let repository = repository.strip_suffix(".git").unwrap_or(repository);
    let known = match (request.method(), rest) {
        (&Method::GET, "info/refs") => request
            .uri()
            .query()
            .is_some_and(|query| query.starts_with("service=git-")),
        (&Method::POST, "git-upload-pack" | "git-receive-pack") => true,
        _ => false,
    };
    (known && is_plain(tenant) && is_plain(repository)).then(|| Target {
        tenant: tenant.to_owned(),
        repository: repository.to_owned(),
        rest: rest.to_owned(),
    })
}

/// The account's password opens, with its name or, as a token, alone or with the name under which GitHub takes tokens.
fn may(server: &Server, target: &Target, request: &Request<Incoming>) -> bool {
    let given = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if let Some(token) = given.and_then(|value| value.strip_prefix("Bearer ")) {
        return server
            .home
            .login(&target.tenant)
            .is_some_and(|login| token.as_bytes().ct_eq(login.password.as_bytes()).into());
    }
    let given = given
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(|text| STANDARD.decode(text.trim()).ok());
    let (Some(given), Some(login)) = (given, server.home.login(&target.tenant)) else {
        return false;
    };
    [login.user.as_str(), "x-access-token"]
        .into_iter()
        .any(|user| {
            let wanted = format!("{user}:{}", login.password);
            given.ct_eq(wanted.as_bytes()).into()
        })
}

pub(super) fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(text.to_owned()))
        .map_err(|never| match never {})
        .boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
