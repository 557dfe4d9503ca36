//! Webhooks: `POST /api/webhook` on a tenant's host, verified with that tenant's secret before anything is parsed.
//!
//! What is pushed is not believed: the repository's name wakes the controller, which looks for itself.

mod github;
mod gitlab;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use domain::repository::normalize_url;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use store::WebhookProvider;
use tonic::Status;

use crate::audit;
use crate::failure;
use crate::front::bodies::Holder;
use crate::front::host::Site;
use crate::front::{come_again, limit, plain};
use crate::listen::sources;
use crate::metrics;
use crate::shared::Shared;

/// The largest body that is read; GitHub sends none larger.
const MAX_BODY: usize = 25 << 20;
/// The longest address that is passed on.
const MAX_URL: usize = 2_000;

/// What a provider's event means to us.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    /// These addresses of one repository got new commits.
    Push(Vec<String>),
    /// Nothing to do.
    Other,
}

/// Who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Provider {
    GitLab,
    GitHub,
}

impl Provider {
    fn of(headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key(gitlab::EVENT) {
            Some(Self::GitLab)
        } else if headers.contains_key(github::EVENT) {
            Some(Self::GitHub)
        } else {
            None
        }
    }

    fn stored(self) -> WebhookProvider {
        match self {
            Self::GitLab => WebhookProvider::GitLab,
            Self::GitHub => WebhookProvider::GitHub,
        }
    }
}

/// Takes one webhook.
pub(crate) async fn receive(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Response<Body> {
    let Some(site) = request.extensions().get::<Site>().cloned() else {
        return plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a request came without its host\n",
        );
    };
    if site.tenant.standing.state.closed().is_some() {
        return plain(StatusCode::FORBIDDEN, "this tenant is suspended\n");
    }
    // Until it is verified it is a stranger's, for whom secrets are looked up only so often.
    let taken = match shared.strangers.take_at(site.tenant.id, audit::source()) {
        Ok(taken) => taken,
        Err(too_many) => return come_again(too_many),
    };
    let (parts, body) = request.into_parts();
    let Some(provider) = Provider::of(&parts.headers) else {
        return plain(StatusCode::BAD_REQUEST, "Unknown webhook event\n");
    };
    let outcome = handle(&shared, &site, provider, &parts.headers, body).await;
    if outcome.is_ok() {
        taken.give_back();
    }
    let (word, response) = match outcome {
        Ok(true) => ("accepted", plain(StatusCode::OK, "")),
        Ok(false) => ("ignored", plain(StatusCode::OK, "")),
        Err(response) => ("refused", response),
    };
    let labels = metrics::Webhook {
        tenant: site.tenant.name.to_string(),
        provider: provider.stored().as_str(),
        outcome: word,
    };
    shared.metrics.webhooks.get_or_create(&labels).inc();
    response
}

/// Whether something was woken.
#[tracing::instrument(name = "webhook", skip_all, fields(tenant = %site.tenant.name, provider = provider.stored().as_str()))]
async fn handle(
    shared: &Shared,
    site: &Site,
    provider: Provider,
    headers: &HeaderMap,
    body: Body,
) -> Result<bool, Response<Body>> {
    let scope = shared.store.tenant(site.tenant.id);
    let refused = || {
        plain(
            StatusCode::UNAUTHORIZED,
            "the webhook's secret is not this tenant's\n",
        )
    };
    let secret = match scope.webhook_secret(provider.stored()).await {
        Ok(secret) if !secret.is_empty() => secret,
        Ok(_) => return Err(refused()),
        Err(error) if error.code() == store::Code::NotFound => return Err(refused()),
        Err(error) => {
            tracing::error!(%error, "the webhook's secret cannot be read");
            return Err(away());
        }
    };
    // A signature can be checked only over a whole body, so that until then it is a stranger's.
    let holder = match provider {
        Provider::GitLab if gitlab::verified(headers, &secret) => {
            Some(Holder::Tenant(site.tenant.id))
        }
        Provider::GitLab => return Err(refused()),
        Provider::GitHub => audit::source().map(|from| Holder::Webhook(sources::of(from))),
    };
    let allowance = limit::Allowance {
        most: MAX_BODY,
        patience: limit::STRANGERS_PATIENCE,
        place: holder.map(|holder| shared.bodies.open(holder)),
    };
    // What is held of it counts until it has been carried out.
    let _place = allowance.place.clone();
    let body = limit::Limited::new(tonic::body::Body::new(body), allowance);
    let body = body.collect().await.map_err(unread)?.to_bytes();
    let event = match provider {
        Provider::GitLab => gitlab::parse(&body),
        Provider::GitHub if github::verified(headers, &body, &secret) => {
            github::parse(headers, &body)
        }
        Provider::GitHub => return Err(refused()),
    };
    let Ok(event) = event else {
        return Err(plain(
            StatusCode::BAD_REQUEST,
            "the webhook's body is not what its provider sends\n",
        ));
    };
    let Event::Push(addresses) = event else {
        return Ok(false);
    };
    let repositories: BTreeSet<String> = addresses
        .iter()
        .filter(|url| !url.is_empty() && url.len() <= MAX_URL)
        .map(|url| normalize_url(url))
        .collect();
    for repository in &repositories {
        scope.wake_repository(repository).await.map_err(|error| {
            tracing::error!(%error, "a push cannot be passed on");
            away()
        })?;
    }
    tracing::info!(?repositories, "a push was announced");
    Ok(!repositories.is_empty())
}

/// Why a body was not read to its end.
fn unread(error: Status) -> Response<Body> {
    match failure::comes_again(&error) {
        true => plain(
            StatusCode::TOO_MANY_REQUESTS,
            "too much of other requests is being received; send it again\n",
        ),
        false => plain(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the webhook's body is too large, too slow, or broke off\n",
        ),
    }
}

fn away() -> Response<Body> {
    plain(
        StatusCode::SERVICE_UNAVAILABLE,
        "the platform cannot reach its database; send it again\n",
    )
}
