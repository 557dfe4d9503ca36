//! The connection to the apiserver, which looks at the gate a last time: when a write's body is taken up, with its
//! headers still unsent.
//!
//! Between the first look and this one lie the pool, a handshake, perhaps a process that was stopped. What is left after
//! it is the same poll's `write(2)`, and whatever the network does with the bytes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body::{Frame, SizeHint};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use tower::{BoxError, ServiceBuilder};

use crate::error::Error;
use crate::gate::WriteGate;
use crate::resolver::Resolver;

/// A connection that takes longer than this has failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The gate closed while a write was on its way; none of it was sent.
#[derive(Debug, thiserror::Error)]
#[error("the lease has ended")]
struct Closed;

/// Whether a request failed because the gate closed on the way.
pub(crate) fn closed(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<Closed>())
}

/// A client of the configured cluster, whose writes pass the gate.
pub(crate) fn client(
    config: &kube::Config,
    resolver: Resolver,
    gate: Arc<dyn WriteGate>,
) -> Result<kube::Client, Error> {
    let broken = |error: &dyn std::fmt::Display| Error::Configuration(error.to_string());
    if config.proxy_url.is_some() {
        return Err(Error::Configuration("proxies are not supported".to_owned()));
    }
    let mut plain = resolver.connector();
    plain.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let connector = config
        .rustls_https_connector_with_connector(plain)
        .map_err(|error| broken(&error))?;
    let pool: Pool<_, Gated> = Pool::builder(TokioExecutor::new()).build(connector);
    let auth = config.auth_layer().map_err(|error| broken(&error))?;
    let headers = config
        .extra_headers_layer()
        .map_err(|error| broken(&error))?;
    let stack = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(auth)
        .layer(headers)
        .map_request(move |request: Request<Body>| Gated::wrap(request, &gate))
        .map_err(BoxError::from)
        .service(pool);
    Ok(ClientBuilder::new(stack, config.default_namespace.clone()).build())
}

/// A request's body, given out only while the gate is open.
struct Gated {
    body: Body,
    gate: Option<Arc<dyn WriteGate>>,
}

impl Gated {
    fn wrap(request: Request<Body>, gate: &Arc<dyn WriteGate>) -> Request<Self> {
        let gate = (request.method() != Method::GET).then(|| Arc::clone(gate));
        request.map(|body| Self { body, gate })
    }
}

impl http_body::Body for Gated {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.gate.as_ref().is_some_and(|gate| !gate.may_write()) {
            return Poll::Ready(Some(Err(Closed.into())));
        }
        Pin::new(&mut self.body)
            .poll_frame(cx)
            .map_err(BoxError::from)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
