//! How to get into a repository, as its tenant connected it.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use domain::cause::Cause;
use domain::message;
use domain::repository::{self, Access};
use domain::secret::Secret;
use domain::tenant::TenantId;
use parking_lot::Mutex;
use proto::convert::repository::{access_of_source, access_to_wire, dependencies_to_wire};
use proto::naru::internal::v1::RepositoryAccess;
use store::Store;

use super::{RepoKey, Trouble};

/// How long a credential is used before it is read again. Long enough for a burst of renders of one repository, short
/// enough that a revoked one is soon out of use wherever the change feed should be late.
const HOLDS: Duration = Duration::from_secs(10);

/// The credentials in use, for a moment, as [`Secret`]s.
pub(super) struct Accesses {
    store: Store,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_key: HashMap<RepoKey, (Instant, Access)>,
    /// Grows whenever something is forgotten: what was read before is then not kept.
    forgotten: u64,
}

impl Accesses {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            known: Mutex::default(),
        }
    }

    pub(super) async fn of(&self, key: &RepoKey, url: &str) -> Result<RepositoryAccess, Trouble> {
        Ok(to_wire(key, url, self.access(key, url).await?))
    }

    /// The ways into the places that a chart depends on, as a project's applications have them; empty ones where there are
    /// none.
    pub(super) async fn of_dependencies(
        &self,
        key: &RepoKey,
        places: &[String],
    ) -> Result<BTreeMap<String, RepositoryAccess>, Trouble> {
        if places.is_empty() {
            return Ok(BTreeMap::new());
        }
        let read = async {
            let scope = self.store.tenant(key.tenant);
            let repositories = scope.repositories().list().await?;
            let templates = scope.templates(false).list().await?;
            let trust = scope.trust().certificates().await?;
            let project = scope.projects().find(&key.project).await?;
            let rules = project.and_then(|project| project.rules().ok());
            let known = repository::Known {
                repositories: &repositories,
                templates: &templates,
                trust: &trust,
            };
            Ok(dependencies_to_wire(
                key.tenant,
                &key.project,
                rules.as_ref(),
                known,
                places,
            ))
        };
        read.await.map_err(|error: store::Error| database(&error))
    }

    pub(super) async fn tenant_key(&self, tenant: TenantId) -> Result<Secret, Trouble> {
        self.store
            .tenant(tenant)
            .tenant_key()
            .await
            .map_err(|error| database(&error))
    }

    pub(super) async fn signing_keys(
        &self,
        tenant: TenantId,
    ) -> Result<BTreeMap<String, String>, Trouble> {
        let scope = self.store.tenant(tenant);
        let keys = scope.trust().signing_keys().await;
        keys.map_err(|error| database(&error))
    }

    pub(super) fn forget(&self, tenant: TenantId) {
        let mut known = self.known.lock();
        known.by_key.retain(|key, _| key.tenant != tenant);
        known.forgotten += 1;
    }

    pub(super) fn forget_all(&self) {
        let mut known = self.known.lock();
        known.by_key.clear();
        known.forgotten += 1;
    }

    /// How to get in.
    pub(super) async fn access(&self, key: &RepoKey, url: &str) -> Result<Access, Trouble> {
        let forgotten = {
            let known = self.known.lock();
            if let Some((read, access)) = known.by_key.get(key)
                && read.elapsed() < HOLDS
            {
                return Ok(access.clone());
            }
            known.forgotten
        };
        let read = Instant::now();
        let access = self
            .read(key, url)
            .await
            .map_err(|error| database(&error))?;
        let mut known = self.known.lock();
        known.by_key.retain(|_, (read, _)| read.elapsed() < HOLDS);
        // What was changed while it was read may be older than the change.
        if known.forgotten == forgotten {
            known.by_key.insert(key.clone(), (read, access.clone()));
        }
        Ok(access)
    }

    async fn read(&self, key: &RepoKey, url: &str) -> store::Result<Access> {
        let scope = self.store.tenant(key.tenant);
        let ways = scope.ways_into(url, &key.project).await?;
        Ok(domain::repository::access(
            url,
            ways.connected.as_ref(),
            &ways.templates,
            &ways.trust,
        ))
    }
}

/// How to get in, as the repo-servers are told.
pub(super) fn to_wire(key: &RepoKey, url: &str, access: Access) -> RepositoryAccess {
    access_of_source(access_to_wire(key.tenant, url, access), &key.chart)
}

fn database(error: &store::Error) -> Trouble {
    tracing::warn!(%error, "a repository's credential could not be read");
    Trouble::ours(Cause::error(message::app::DATABASE_UNAVAILABLE.message()))
}
