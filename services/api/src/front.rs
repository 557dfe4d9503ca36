//! Where every request comes in: which tenant's host, which protocol, then on.

pub(crate) mod bodies;
pub(crate) mod browser;
pub(crate) mod grpc_web;
pub(crate) mod guard;
pub(crate) mod host;
pub(crate) mod limit;
pub(crate) mod standing;
pub(crate) mod strangers;
pub(crate) mod terminals;

use std::sync::Arc;

use axum::body::Body;
use domain::message::Language;
use domain::quota::whole_seconds;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tower::ServiceExt;

use crate::front::guard::Guard;
use crate::front::host::{NotAsked, Peer, Site};
use crate::front::strangers::TooMany;
use crate::shared::Shared;

/// Everything behind the port. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Front {
    shared: Arc<Shared>,
    guard: Guard,
    rest: axum::Router,
    secure: bool,
}

impl Front {
    /// Puts the protocols together. `secure` says that the port speaks TLS.
    pub(crate) fn new(shared: Arc<Shared>, guard: Guard, rest: axum::Router, secure: bool) -> Self {
        Self {
            shared,
            guard,
            rest,
            secure,
        }
    }

    /// Answers one request.
    pub(crate) async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        let mut response = self.answer(request).await;
        browser::harden(&mut response, self.secure);
        response
    }

    async fn answer(&self, mut request: Request<Incoming>) -> Response<Body> {
        let Some(host) = host::of(&request) else {
            return refused();
        };
        let from = request.extensions().get::<Peer>().map(|peer| peer.0);
        let tenant = match self.shared.hosts.find(&host, from).await {
            Ok(Some(tenant)) => tenant,
            Ok(None) => return refused(),
            Err(NotAsked::TooMany(too_many)) => return come_again(too_many),
            Err(NotAsked::Store(error)) => {
                tracing::error!(%error, "the tenant of a host cannot be looked up");
                return plain(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the platform cannot reach its database; try again\n",
                );
            }
        };
        if !browser::is_welcome(&request, self.secure) {
            return plain(
                StatusCode::FORBIDDEN,
                "this request comes from a page of another origin\n",
            );
        }
        request.extensions_mut().insert(Site {
            tenant,
            secure: self.secure,
        });
        match Protocol::of(request.headers().get(header::CONTENT_TYPE)) {
            Protocol::GrpcWeb => {
                grpc_web::call(&self.guard, request.map(tonic::body::Body::new)).await
            }
            Protocol::Grpc => self
                .guard
                .call(request.map(tonic::body::Body::new), guard::Road::Grpc)
                .await
                .map(Body::new),
            Protocol::Rest => match self.rest.clone().oneshot(request.map(Body::new)).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
        }
    }
}

/// How a request is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Grpc,
    GrpcWeb,
    Rest,
}

impl Protocol {
    fn of(content_type: Option<&HeaderValue>) -> Self {
        let content_type = content_type.map_or(&b""[..], HeaderValue::as_bytes);
        if content_type.starts_with(b"application/grpc-web") {
            Self::GrpcWeb
        } else if content_type.starts_with(b"application/grpc") {
            Self::Grpc
        } else {
            Self::Rest
        }
    }
}

/// The answer to a host on no list: nothing is served there, and nothing is said about what is served elsewhere.
fn refused() -> Response<Body> {
    plain(
        StatusCode::MISDIRECTED_REQUEST,
        "this host is not served here\n",
    )
}

/// The answer to who has had all that a stranger may.
pub(crate) fn come_again(too_many: TooMany) -> Response<Body> {
    let mut response = plain(StatusCode::TOO_MANY_REQUESTS, "");
    let text = too_many.message().render(Language::default());
    *response.body_mut() = Body::from(format!("{text}\n"));
    let seconds = whole_seconds(too_many.wait);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, seconds.into());
    response
}

/// A short plain answer.
pub(crate) fn plain(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_decides_the_protocol() {
        let of = |text: &'static str| Protocol::of(Some(&HeaderValue::from_static(text)));
        assert_eq!(of("application/grpc-web+proto"), Protocol::GrpcWeb);
        assert_eq!(of("application/grpc"), Protocol::Grpc);
        assert_eq!(of("application/grpc+proto"), Protocol::Grpc);
        assert_eq!(of("application/json"), Protocol::Rest);
        assert_eq!(Protocol::of(None), Protocol::Rest);
    }
}
