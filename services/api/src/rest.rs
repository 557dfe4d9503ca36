//! REST: every route is a gRPC call in another dress, and takes the same road.

mod answer;
mod cookie;
mod logout;
mod messages;
mod stream;
mod transcode;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use http::{HeaderValue, Response, StatusCode, header};

use crate::front::guard::Guard;
use crate::front::plain;
use crate::shared::Shared;
use crate::webhook;

/// Everything that is neither gRPC nor gRPC-web.
pub(crate) fn router(shared: &Arc<Shared>, guard: Guard) -> Router {
    Router::new()
        .route("/healthz", any(async || plain(StatusCode::OK, "ok")))
        .route(
            "/api/webhook",
            axum::routing::post(webhook::receive).with_state(Arc::clone(shared)),
        )
        .route(
            "/auth/logout",
            any(logout::logout).with_state(Arc::clone(shared)),
        )
        .fallback(any(transcode::call).with_state(guard))
        .layer(axum::middleware::map_response(framed))
}

/// No page of another site may frame what is served here.
async fn framed(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(
        header::X_FRAME_OPTIONS,
        HeaderValue::from_static("sameorigin"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("frame-ancestors 'self';"),
    );
    response
}
