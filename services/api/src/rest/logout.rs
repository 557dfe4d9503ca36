//! `/auth/logout`: the end of a session, by whichever verb.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{HeaderValue, Request, Response, StatusCode, header};
use tonic::Code;

use super::cookie;
use crate::front::guard::Road;
use crate::front::host::Site;
use crate::front::plain;
use crate::identity::credentials;
use crate::shared::Shared;

/// Revokes the token that is sent along, takes the cookies away, and leads home.
pub(super) async fn logout(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Response<Body> {
    let Some(site) = request.extensions().get::<Site>() else {
        return plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a request came without its host\n",
        );
    };
    let token = credentials::token(request.headers(), Road::Rest, site.secure);
    let path = request.uri().path();
    let asked = shared.authenticate(&site.tenant, token.as_deref(), path);
    let ended = match asked.await {
        Ok(actor) => shared.sessions.revoke(&actor).await,
        // A token that does not count needs no end; of one that could not be looked at nothing is known.
        Err(status) if status.code() == Code::Unauthenticated => Ok(()),
        Err(status) => Err(status),
    };
    if let Err(status) = ended {
        tracing::warn!(%status, "a session could not be revoked");
        return plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "the session could not be ended; try again\n",
        );
    }
    let mut response = plain(StatusCode::SEE_OTHER, "");
    response
        .headers_mut()
        .insert(header::LOCATION, HeaderValue::from_static("/"));
    for gone in cookie::remove(request.headers(), site.secure) {
        response.headers_mut().append(header::SET_COOKIE, gone);
    }
    response
}
