//! Webhooks: `POST /api/webhook` on a tenant's host, verified with that tenant's secret before anything is parsed.
//!
//! What is pushed is not believed: the repository's name wakes the controller, which looks for itself.

mod github;
mod gitlab;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use domain::repository::normalize_url;
use domain::tenant::TenantId;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use runtime::places::{Full, Place, Places};
use store::WebhookProvider;

use crate::audit;
use crate::front::host::Site;
use crate::front::{come_again, limit, plain};
use crate::listen::sources;
use crate::metrics;
use crate::shared::Shared;

/// The largest body that is read; GitHub sends none larger.
const MAX_BODY: usize = 25 << 20;
/// How many bodies are read at once, of one tenant and in all.
const READING: (usize, usize) = (4, 8);
/// How many of them may be unverified: a signature can be checked only over a whole body, so that strangers can make us
/// hold this many. Those whose secret is known already keep places that no stranger has, at their tenant and in all.
const UNVERIFIED: (usize, usize) = (3, 6);
/// How many of those one source may send.
const OF_SOURCE: usize = 2;
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

/// The bodies that are being read. One per process.
pub(crate) struct Reading {
    tenants: Places<TenantId>,
    unverified: Places<TenantId>,
    sources: Places<IpAddr>,
}

/// What one body takes.
type Taken = (Place<TenantId>, Option<(Place<TenantId>, Place<IpAddr>)>);

impl Reading {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            tenants: Places::new(READING.0, READING.1),
            unverified: Places::new(UNVERIFIED.0, UNVERIFIED.1),
            sources: Places::new(OF_SOURCE, UNVERIFIED.1),
        }
    }

    /// A place for a body of this tenant; of a stranger's, from whom nothing is known but where it comes from, one among
    /// strangers' too.
    fn enter(&self, tenant: TenantId, stranger: Option<IpAddr>) -> Result<Taken, Full> {
        let unverified = match stranger {
            Some(from) => {
                let of_source = self.sources.enter(sources::of(from))?;
                Some((self.unverified.enter(tenant)?, of_source))
            }
            None => None,
        };
        Ok((self.tenants.enter(tenant)?, unverified))
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
    let taken = match shared.strangers.take(audit::source()) {
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
    let stranger = match provider {
        Provider::GitLab if gitlab::verified(headers, &secret) => None,
        Provider::GitLab => return Err(refused()),
        Provider::GitHub => audit::source(),
    };
    let _reading = shared
        .webhooks
        .enter(site.tenant.id, stranger)
        .map_err(|full| {
            let (most, whose) = match full {
                Full::Each(most) => (most, "of this tenant or from this address"),
                Full::All(most) => (most, "in all"),
            };
            let mut response = plain(StatusCode::TOO_MANY_REQUESTS, "");
            *response.body_mut() = Body::from(format!(
                "{most} webhooks {whose} are being read, as many as may be at once; send it again\n"
            ));
            response
        })?;
    let body = tonic::body::Body::new(body);
    let allowance = limit::Allowance {
        most: MAX_BODY,
        patience: limit::STRANGERS_PATIENCE,
        place: None,
    };
    let body = limit::Limited::new(body, allowance);
    let body = body.collect().await;
    let Ok(body) = body.map(http_body_util::Collected::to_bytes) else {
        return Err(plain(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the webhook's body is too large or broke off\n",
        ));
    };
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

fn away() -> Response<Body> {
    plain(
        StatusCode::SERVICE_UNAVAILABLE,
        "the platform cannot reach its database; send it again\n",
    )
}
