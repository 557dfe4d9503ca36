//! Webhooks: `POST /api/webhook` on a tenant's host, verified with that tenant's secret before anything is parsed.
//!
//! What is pushed is not believed: the repository's name wakes the controller, which looks for itself.

mod azure_devops;
mod bitbucket;
mod bitbucket_server;
mod github;
mod gitlab;
mod gogs;
#[cfg(test)]
mod mutated;
mod proof;
mod provider;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use domain::repository::place;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tonic::Status;

use crate::audit;
use crate::failure;
use crate::front::bodies::Holder;
use crate::front::host::Site;
use crate::front::{come_again, limit, plain};
use crate::listen::sources;
use crate::metrics;
use crate::shared::Shared;
use proof::Keys;
use provider::Provider;

/// The largest body that is read; GitHub sends none larger.
const MAX_BODY: usize = 25 << 20;
/// The longest address that is passed on.
const MAX_URL: usize = 2_000;

/// The most addresses of one repository that are passed on: providers send one for each way to clone it.
const MAX_ADDRESSES: usize = 8;

/// What a provider's event means to us.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    /// These addresses of one repository got new commits.
    Push(Vec<String>),
    /// Nothing to do.
    Other,
}

impl Event {
    /// A push to the repository at these addresses, as far as they are told.
    fn push(addresses: impl IntoIterator<Item = Option<String>>) -> Self {
        Self::Push(
            addresses
                .into_iter()
                .flatten()
                .take(MAX_ADDRESSES)
                .collect(),
        )
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
    if provider.tries_the_connection(&parts.headers) {
        // Signed by nobody; it asks whether anybody is here, and the answer is all there is to it.
        return plain(StatusCode::OK, "");
    }
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
    let refused = || plain(StatusCode::UNAUTHORIZED, provider.refusal(headers));
    let keys = keys(&scope, provider).await.map_err(|error| {
        tracing::error!(%error, "the webhook's secret cannot be read");
        away()
    })?;
    // A signature can be checked only over a whole body, so that until then it is a stranger's.
    let holder = match provider.proven_before_the_body(headers, &keys) {
        Some(true) => Some(Holder::Tenant(site.tenant.id)),
        Some(false) => return Err(refused()),
        None if keys.is_empty() => return Err(refused()),
        None => audit::source().map(|from| Holder::Webhook(sources::of(from))),
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
    if !provider.proven(headers, &body, &keys) {
        return Err(refused());
    }
    // It is the tenant's own from here on, as any call is.
    if let Err(status) = shared.standing.admit(&site.tenant, false) {
        let text = format!("{}\n", status.message());
        return Err(Response::builder()
            .status(StatusCode::TOO_MANY_REQUESTS)
            .body(Body::from(text))
            .unwrap_or_default());
    }
    let event = provider.parse(headers, &body);
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
        .map(|url| place(url))
        .collect();
    for repository in &repositories {
        scope.wake_repository(repository).await.map_err(|error| {
            tracing::error!(%error, "a push cannot be passed on");
            away()
        })?;
    }
    tracing::info!(repositories = repositories.len(), "a push was announced");
    Ok(!repositories.is_empty())
}

/// What this tenant's webhooks of a provider are proven with; none where nothing is set.
async fn keys(scope: &store::TenantScope, provider: Provider) -> store::Result<Keys> {
    let mut keys = Keys::default();
    for known in provider.known_as() {
        match scope.webhook_secret(*known).await {
            Ok(secret) if secret.is_empty() => {}
            Ok(secret) => keys.secrets.push(secret),
            Err(error) if error.code() == store::Code::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    if provider == Provider::AzureDevOps {
        let settings = scope.config().load().await?;
        keys.username = settings.secret(azure_devops::USERNAME);
    }
    Ok(keys)
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
