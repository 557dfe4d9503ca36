//! What looking at an application needs.

use std::sync::Arc;

use cluster::{Account, Cluster};
use crowd::fair::Fair;
use domain::clock::Clock;
use domain::project::deputy::ServiceAccount;
use domain::shard::Unit;
use script::Scripts;
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::clusters::Clusters;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::publisher::Publisher;
use crate::repos::Repos;
use crate::shard::{Shard, Term};
use crate::tenants::{TenantFacts, Tenants};

/// The name of a tenant's service account in each of its namespaces.
pub(crate) const ACCOUNT: &str = "naru";

/// What looking at an application needs, shared by all workers. There is one for each cluster: whatever is read of
/// `cluster` is judged by what `tenants` says may be done there.
#[derive(Clone)]
pub struct Context {
    /// The truth.
    pub store: Store,
    /// What of the work is ours.
    pub shard: Shard,
    /// The unit of work that the cluster is.
    pub unit: Unit,
    /// The cluster: the shared one, or one that a tenant has added.
    pub cluster: Cluster,
    /// Those that tenants have added.
    pub clusters: Clusters,
    /// Tenants and projects, as they are in this cluster.
    pub tenants: Tenants,
    /// Repositories.
    pub repos: Repos,
    /// Turns of looks that have manifests made anew or much of them in memory, of all clusters together.
    pub renders: Fair,
    /// Where results go.
    pub publisher: Publisher,
    /// What is known from the last look.
    pub memory: Memory,
    /// What is counted.
    pub metrics: Metrics,
    /// What runs the scripts of settings.
    pub scripts: Scripts,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Cancelled when nothing is done in this cluster any more.
    pub closed: CancellationToken,
}

impl Context {
    /// Forgets all that is known of applications: another process may have changed it unseen.
    pub fn forget_everything(&self) {
        self.memory.forget_all();
        self.repos.forget_all();
        self.metrics.forget_all();
    }

    /// The term in which the cluster is ours, while it is.
    #[must_use]
    pub fn term(&self) -> Option<Arc<Term>> {
        self.shard.term(&self.unit)
    }

    /// Requests as the tenant's service account for objects of a namespace (empty: cluster-scoped ones).
    ///
    /// A tenant has an account per namespace of its own, with rights only there; the operator's has one for all. In a cluster
    /// that it has added it is whom it gave.
    ///
    /// # Errors
    /// When the names are no names.
    pub fn account(
        &self,
        tenant: &TenantFacts,
        namespace: &str,
    ) -> Result<Account, cluster::Error> {
        if self.cluster.is_added() {
            return Ok(self.cluster.as_platform());
        }
        let home =
            namespace.is_empty() || tenant.tenant.name.is_operator() || !tenant.owns(namespace);
        let namespace = if home { tenant.home() } else { namespace };
        let account = self.cluster.as_account(namespace, ACCOUNT)?;
        Ok(account.on_behalf_of(&tenant.tenant.name))
    }

    /// Requests as the service account that a tenant's project names. That it may be is decided by who chose it
    /// ([`domain::project::deputy`]); in a cluster that the tenant has added the credentials decide that it gave.
    ///
    /// # Errors
    /// When the names are no names.
    pub fn deputy(
        &self,
        tenant: &TenantFacts,
        deputy: &ServiceAccount,
    ) -> Result<Account, cluster::Error> {
        let account = self.cluster.as_account(&deputy.namespace, &deputy.name)?;
        Ok(account.on_behalf_of(&tenant.tenant.name))
    }
}
