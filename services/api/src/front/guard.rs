//! What every RPC passes, whichever way it came: client version, identity, trace, metrics.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use domain::message;
use domain::tenant::Tenant;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body::Frame;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::ServiceExt;
use tracing::Instrument;

use crate::audit;
use crate::failure;
use crate::front::bodies::{Bodies, Holder};
use crate::front::host::Site;
use crate::front::limit;
use crate::identity::{self, Caller, credentials};
use crate::language;
use crate::listen::sources;
use crate::metrics::{Handled, Metrics, code_name};
use crate::rules;
use crate::shared::Shared;

/// Signing in: little is read of it, whoever sends it.
const SESSIONS: &str = "/session.SessionService/";
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

/// Who calls, found out from the headers before anything of the body is read, and how much of it may come.
#[derive(Clone)]
pub(crate) struct Admission {
    outcome: Result<Caller, Status>,
    allowance: limit::Allowance,
}

impl Admission {
    /// Of a call that is refused nothing is read, of a stranger's little, of anybody else's what its method can need.
    fn new(outcome: Result<Caller, Status>, path: &str, road: Road, bodies: &Arc<Bodies>) -> Self {
        let known = outcome.as_ref().ok().and_then(|caller| {
            let known = caller.is_known() && !path.starts_with(SESSIONS);
            caller.0.as_ref().ok().filter(|_| known)
        });
        let (most, patience, holder) = match known {
            Some(actor) => {
                let most = match (rules::carries_manifests(path), road) {
                    _ if rules::carries_a_folder(path) => limit::FOLDER,
                    (false, _) => limit::OBJECT,
                    (true, Road::Rest) => limit::REST,
                    (true, Road::Grpc | Road::GrpcWeb) => limit::MANIFESTS,
                };
                let holder = Holder::Tenant(actor.tenant.id);
                (most, bodies.patience(), Some(holder))
            }
            None => {
                let most = match outcome {
                    Ok(_) if path.starts_with(SESSIONS) => limit::LOGIN,
                    Ok(_) => limit::STRANGER,
                    Err(_) => 0,
                };
                let holder = audit::source().map(|from| Holder::Stranger(sources::of(from)));
                (most, limit::STRANGERS_PATIENCE, holder)
            }
        };
        let allowance = limit::Allowance {
            most,
            patience,
            place: holder.map(|holder| bodies.open(holder)),
        };
        Self { outcome, allowance }
    }

    /// How much of the body is read, and for how long.
    pub(crate) fn allowance(&self) -> &limit::Allowance {
        &self.allowance
    }
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

    /// Finds out who calls an RPC, from the headers alone.
    pub(crate) async fn admit(
        &self,
        path: &str,
        headers: &HeaderMap,
        site: &Site,
        road: Road,
    ) -> Admission {
        let language = language::of(headers, &site.tenant);
        let identified = self.identify(path, headers, site, road);
        let outcome = language::scope(language, identified).await;
        Admission::new(outcome, path, road, &self.shared.bodies)
    }

    async fn identify(
        &self,
        path: &str,
        headers: &HeaderMap,
        site: &Site,
        road: Road,
    ) -> Result<Caller, Status> {
        identity::client::check(headers.get(header::USER_AGENT))?;
        let token = credentials::token(headers, road, site.secure);
        let authenticated = self
            .shared
            .authenticate(&site.tenant, token.as_deref(), path)
            .instrument(tracing::info_span!("authenticate", tenant = %site.tenant.name));
        match authenticated.await {
            Ok(actor) => Ok(Caller(Ok(actor))),
            Err(status) if rules::is_public(path) && status.code() == Code::Unauthenticated => {
                Ok(Caller(Err(status)))
            }
            Err(status) => Err(status),
        }
    }

    async fn checked(
        &self,
        request: Request<GrpcBody>,
        site: Option<Site>,
        road: Road,
        span: tracing::Span,
    ) -> Response<GrpcBody> {
        let Some(site) = site else {
            tracing::error!("a request reached the services without its host");
            return failure::internal().into_http();
        };
        let path = request.uri().path();
        // Who came over REST was looked at, and the body read, before this; nobody else can put this here.
        let admitted = request.extensions().get::<Admission>().cloned();
        let is_read = admitted.is_some();
        let admission = match admitted {
            Some(admission) => admission,
            None => self.admit(path, request.headers(), &site, road).await,
        };
        // What is held of the body counts until the call has been carried out.
        let allowance = admission.allowance;
        let caller = match admission.outcome {
            Ok(caller) => caller,
            Err(status) => return status.into_http(),
        };
        if let Ok(actor) = &caller.0 {
            // Whoever is signed in may have a trace of their own go on here; strangers' ids mean nothing.
            runtime::trace::adopt(&span, request.headers());
            span.record("account", actor.account.as_str());
        }
        let mut request = match is_read {
            true => request,
            false => {
                request.map(|body| GrpcBody::new(limit::Limited::new(body, allowance.clone())))
            }
        };
        let tenant = caller
            .0
            .as_ref()
            .map_or(&site.tenant, |actor| &actor.tenant);
        let tenant = Arc::clone(tenant);
        let language = language::of(request.headers(), &tenant);
        if let Ok(actor) = &caller.0
            && actor.must_change_password
            && !before_the_change(request.uri().path())
        {
            let first = message::account::MUST_CHANGE.with("name", &actor.account);
            let refusal = Status::new(Code::FailedPrecondition, first.render(language));
            return refusal.into_http();
        }
        let sessions = &self.shared.sessions;
        let renewable = caller.0.as_ref().ok();
        let renewable = renewable.filter(|actor| sessions.ends_soon(actor)).cloned();
        request.extensions_mut().insert(caller);
        let answered = language::scope(language, self.dispatch(request, &site, &tenant))
            .instrument(span)
            .await;
        drop(allowance);
        let mut response = match answered {
            Ok(response) => response,
            Err(refused) => return refused.into_http(),
        };
        // Only who was let in, and still is after the call, goes on.
        if let Some(actor) = renewable
            && let Some(token) = sessions.renew(&actor).await
            && let Ok(value) = HeaderValue::try_from(&token)
        {
            self.shared.recognise(&token);
            response.headers_mut().insert(RENEW_TOKEN, value);
        }
        response
    }
}

impl Guard {
    /// Hands a call to its service, if its tenant is let in, and has it recorded if it writes.
    ///
    /// # Errors
    /// Why it was not.
    async fn dispatch(
        &self,
        request: Request<GrpcBody>,
        site: &Site,
        tenant: &Arc<Tenant>,
    ) -> Result<Response<GrpcBody>, Status> {
        let standing = &self.shared.standing;
        let caller = request.extensions().get::<Caller>();
        let stranger = !caller.is_some_and(Caller::is_known);
        standing.admit(tenant, stranger)?;
        let streaming = crate::grpc::is_streaming(request.uri().path());
        let serve = |request| {
            let routes = self.routes.clone();
            async move {
                match routes.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
        };
        let response = audit::recorded(&self.shared, &site.tenant, request, serve).await?;
        Ok(match streaming {
            true => response.map(|body| standing.stream(tenant.id, body)),
            false => response,
        })
    }
}

/// What an account may call before it has changed a password that somebody else set: what a login and the change take.
fn before_the_change(path: &str) -> bool {
    matches!(
        path,
        "/session.SessionService/Create"
            | "/session.SessionService/Delete"
            | "/session.SessionService/GetUserInfo"
            | "/account.AccountService/UpdatePassword"
            | "/version.VersionService/Version"
    )
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
