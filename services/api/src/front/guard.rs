//! What every RPC passes, whichever way it came: client version, identity, trace, metrics.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body::Frame;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::ServiceExt;
use tracing::Instrument;

use crate::failure;
use crate::front::host::Site;
use crate::identity::{self, Caller, credentials};
use crate::language;
use crate::metrics::{Handled, Metrics, code_name};
use crate::shared::Shared;

/// The header in which a token that soon ends is replaced.
pub(crate) const RENEW_TOKEN: HeaderName = HeaderName::from_static("renew-token");

type GrpcBody = tonic::body::Body;

/// How a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Road {
    /// Native gRPC.
    Grpc,
    /// gRPC-web.
    GrpcWeb,
    /// REST; the only road on which a cookie counts.
    Rest,
}

/// All services behind their common checks. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Guard {
    shared: Arc<Shared>,
    routes: Routes,
}

impl Guard {
    /// Guards these services.
    pub(crate) fn new(shared: Arc<Shared>, routes: Routes) -> Self {
        Self { shared, routes }
    }

    /// Calls one RPC. The request carries its [`Site`].
    pub(crate) async fn call(&self, request: Request<GrpcBody>, road: Road) -> Response<GrpcBody> {
        let path = request.uri().path().to_owned();
        let (service, method) = names(&path);
        let site = request.extensions().get::<Site>().cloned();
        let tenant = site
            .as_ref()
            .map_or_else(String::new, |site| site.tenant.name.to_string());
        let span = tracing::info_span!(
            "rpc",
            otel.kind = "server",
            tenant = tenant,
            rpc.service = service,
            rpc.method = method,
            road = ?road,
            account = tracing::field::Empty,
        );
        let counted = Count {
            metrics: self.shared.metrics.clone(),
            labels: Handled {
                tenant,
                grpc_service: service.to_owned(),
                grpc_method: method.to_owned(),
                grpc_code: code_name(Code::Cancelled),
            },
        };
        counted.body(self.checked(request, site, road, span).await)
    }

    async fn checked(
        &self,
        mut request: Request<GrpcBody>,
        site: Option<Site>,
        road: Road,
        span: tracing::Span,
    ) -> Response<GrpcBody> {
        let Some(site) = site else {
            tracing::error!("a request reached the services without its host");
            return failure::internal().into_http();
        };
        if let Err(status) = identity::client::check(request.headers().get(header::USER_AGENT)) {
            return status.into_http();
        }
        let token = credentials::token(request.headers(), road);
        let authenticated = self
            .shared
            .sessions
            .authenticate(&site.tenant, token.as_deref())
            .instrument(tracing::info_span!("authenticate", tenant = %site.tenant.name))
            .await;
        let mut renewed = None;
        let caller = match authenticated {
            Ok(session) => {
                // Whoever is signed in may have a trace of their own go on here; strangers' ids mean nothing.
                runtime::trace::adopt(&span, request.headers());
                span.record("account", session.actor.account.as_str());
                renewed = session.renewed;
                Caller(Ok(session.actor))
            }
            Err(status)
                if is_public(request.uri().path()) && status.code() == Code::Unauthenticated =>
            {
                Caller(Err(status))
            }
            Err(status) => return status.into_http(),
        };
        let tenant = caller
            .0
            .as_ref()
            .map_or(&site.tenant, |actor| &actor.tenant);
        let language = language::of(request.headers(), tenant);
        request.extensions_mut().insert(caller);
        let answered = language::scope(language, self.routes.clone().oneshot(request))
            .instrument(span)
            .await;
        let mut response = match answered {
            Ok(response) => response,
            Err(never) => match never {},
        };
        if let Some(token) = renewed.and_then(|token| HeaderValue::try_from(token).ok()) {
            response.headers_mut().insert(RENEW_TOKEN, token);
        }
        response
    }
}

/// The methods that answer callers without a token too (each decides what it tells them).
fn is_public(path: &str) -> bool {
    path.starts_with("/session.SessionService/")
        || path == "/version.VersionService/Version"
        || path == "/cluster.SettingsService/Get"
}

/// The service and method of a path; strangers' words do not become labels.
fn names(path: &str) -> (&str, &str) {
    let known = crate::grpc::is_known(path);
    path.strip_prefix('/')
        .filter(|_| known)
        .and_then(|rest| rest.split_once('/'))
        .unwrap_or(("unknown", "unknown"))
}

/// Counts an RPC once, by the code with which it ends; one that is dropped before counts as cancelled.
struct Count {
    metrics: Metrics,
    labels: Handled,
}

impl Count {
    fn body(mut self, response: Response<GrpcBody>) -> Response<GrpcBody> {
        if let Some(code) = response.headers().get("grpc-status") {
            self.labels.grpc_code = code_name(Code::from_bytes(code.as_bytes()));
            drop(self);
            return response;
        }
        response.map(|inner| GrpcBody::new(CountedBody { inner, count: self }))
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.metrics.handled.get_or_create(&self.labels).inc();
    }
}

struct CountedBody {
    inner: GrpcBody,
    count: Count,
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(code) = frame
                    .trailers_ref()
                    .and_then(|trailers| trailers.get("grpc-status"))
                {
                    self.count.labels.grpc_code = code_name(Code::from_bytes(code.as_bytes()));
                }
            }
            Some(Err(status)) => self.count.labels.grpc_code = code_name(status.code()),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}
