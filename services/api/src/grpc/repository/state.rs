//! Whether a repository can be reached: tried when it is asked for, and remembered for a while.

use std::time::Duration;

use domain::clock::Timestamp;
use domain::message;
use domain::repository::{Repository, normalize_url};
use domain::secret::Secret;
use domain::tenant::Tenant;
use futures::{StreamExt, TryStreamExt, stream};
use proto::convert::time;
use proto::v1alpha1::ConnectionState;
use serde::{Deserialize, Serialize};
use tonic::Status;

use super::Purpose;
use crate::failure;
use crate::language;
use crate::shared::Shared;
use crate::sources::{self, Trouble, Ways};

/// The kind of cache entry.
const KIND: &str = "repository-state";
/// How long an outcome is shown without trying again.
const KEPT: Duration = Duration::from_secs(3_600);
/// How many are tried at once.
const AT_ONCE: usize = 8;

/// What came of trying.
#[derive(Serialize, Deserialize)]
struct Tried {
    at: Timestamp,
    trouble: Option<Trouble>,
}

/// The states of repositories, in their order.
///
/// # Errors
/// When the tenant's key cannot be had.
pub(super) async fn all(
    shared: &Shared,
    tenant: &Tenant,
    purpose: Purpose,
    ways: &Ways,
    repositories: &[Repository],
    refresh: bool,
) -> Result<Vec<ConnectionState>, Status> {
    // Bodies of streams are polled here, inside the request's task, so that the reader's language is known.
    let tries: Vec<_> = repositories
        .iter()
        .map(|one| one_state(shared, tenant, purpose, ways, one, refresh))
        .collect();
    stream::iter(tries).buffered(AT_ONCE).try_collect().await
}

async fn one_state(
    shared: &Shared,
    tenant: &Tenant,
    purpose: Purpose,
    ways: &Ways,
    repository: &Repository,
    refresh: bool,
) -> Result<ConnectionState, Status> {
    if let Some(what) = ways.kept_only(repository) {
        return Ok(untried(shared, &what));
    }
    let key = shared
        .store
        .tenant(tenant.id)
        .tenant_key()
        .await
        .map_err(failure::store)?;
    if !refresh
        && let Some(tried) = remembered(shared, tenant, &key, &entry(purpose, repository)).await
    {
        return Ok(shown(&tried));
    }
    let access = ways.access(&repository.url, Some(repository));
    let trouble = sources::test(shared, &access).await.err();
    let tried = Tried {
        at: shared.clock.now(),
        trouble,
    };
    if let Ok(bytes) = serde_json::to_vec(&tried) {
        shared
            .cache
            .put(
                tenant.id,
                &key,
                KIND,
                &entry(purpose, repository),
                &bytes,
                KEPT,
            )
            .await;
    }
    Ok(shown(&tried))
}

/// Forgets what came of trying: the repository is another now.
pub(super) async fn forget(
    shared: &Shared,
    tenant: &Tenant,
    purpose: Purpose,
    repository: &Repository,
) {
    shared
        .cache
        .forget(tenant.id, KIND, &entry(purpose, repository))
        .await;
}

async fn remembered(shared: &Shared, tenant: &Tenant, key: &Secret, entry: &str) -> Option<Tried> {
    let bytes = shared.cache.get(tenant.id, key, KIND, entry).await?;
    serde_json::from_slice(&bytes).ok()
}

fn entry(purpose: Purpose, repository: &Repository) -> String {
    let (project, url) = (&repository.project, normalize_url(&repository.url));
    match purpose {
        Purpose::Reading => format!("{project} {url}"),
        Purpose::Pushing => format!("{project} {url} push"),
    }
}

/// The state of one that cannot be tried yet.
fn untried(shared: &Shared, what: &str) -> ConnectionState {
    let message = message::credentials::KEPT_ONLY.with("what", what);
    ConnectionState {
        status: Some("Unknown".to_owned()),
        message: Some(message.render(language::current())),
        attempted_at: Some(time::to_wire(shared.clock.now())),
    }
}

fn shown(tried: &Tried) -> ConnectionState {
    let (word, message) = match &tried.trouble {
        None => ("Successful", String::new()),
        Some(trouble) => (
            "Failed",
            format!(
                "Unable to connect to repository: {}",
                trouble.text(language::current())
            ),
        ),
    };
    ConnectionState {
        status: Some(word.to_owned()),
        message: Some(message),
        attempted_at: Some(time::to_wire(tried.at)),
    }
}
