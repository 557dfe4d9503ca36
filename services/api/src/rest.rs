//! REST: every route is a gRPC call in another dress, and takes the same road. Besides, what is no call: webhooks, terminals.

mod answer;
mod cookie;
mod logout;
mod messages;
mod stream;
mod terminal;
mod transcode;

use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use http::StatusCode;

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
        .route(
            "/terminal",
            any(terminal::open).with_state(Arc::clone(shared)),
        )
        .fallback(any(transcode::call).with_state(guard))
}
