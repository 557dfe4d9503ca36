//! What each tenant's accounts and roles may, compiled once and forgotten when a policy or a project changes.

use std::sync::Arc;
use std::time::Duration;

use domain::rbac::{Enforcer, Policy, ProjectPolicy};
use domain::settings::RbacConfig;
use domain::tenant::TenantId;
use store::Store;
use tonic::Status;

use crate::failure;
use crate::identity::Configs;
use crate::ttl::TtlMap;

/// How long rights are trusted without asking the store again. It bounds how long a change that another process made
/// takes to count here when its announcement was lost.
const FRESH: Duration = Duration::from_secs(2);
/// How many tenants' rights are kept.
const TENANTS: usize = 4_096;

/// Every tenant's rights, as far as they were asked for lately.
pub(crate) struct Rights {
    store: Store,
    configs: Arc<Configs>,
    fresh: TtlMap<TenantId, Arc<Enforcer>>,
    /// What was compiled last, to be used again while nothing that it was made of has changed.
    compiled: TtlMap<TenantId, Arc<Compiled>>,
}

struct Compiled {
    policy: Policy,
    projects: Vec<ProjectPolicy>,
    enforcer: Arc<Enforcer>,
}

impl Rights {
    /// Rights from the policies and projects in the store.
    pub(crate) fn new(store: Store, configs: Arc<Configs>) -> Self {
        Self {
            store,
            configs,
            fresh: TtlMap::new(FRESH, TENANTS),
            compiled: TtlMap::new(Duration::from_secs(600), TENANTS),
        }
    }

    /// A tenant's rights.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub(crate) async fn of(&self, tenant: TenantId) -> Result<Arc<Enforcer>, Status> {
        if let Some(enforcer) = self.fresh.get(&tenant) {
            return Ok(enforcer);
        }
        let mark = self.fresh.mark();
        let projects: Vec<ProjectPolicy> = self
            .store
            .tenant(tenant)
            .projects()
            .list()
            .await
            .map_err(failure::store)?
            .iter()
            .map(domain::project::Project::policy)
            .collect();
        let config = self.configs.of(tenant).await.map_err(failure::store)?;
        let policy = policy(tenant, config.rbac());
        let last = self
            .compiled
            .get(&tenant)
            .filter(|last| last.policy == policy && last.projects == projects);
        let enforcer = match last {
            Some(last) => Arc::clone(&last.enforcer),
            None => self.compile(tenant, policy, projects),
        };
        self.fresh.put_since(mark, tenant, Arc::clone(&enforcer));
        Ok(enforcer)
    }

    fn compile(
        &self,
        tenant: TenantId,
        policy: Policy,
        projects: Vec<ProjectPolicy>,
    ) -> Arc<Enforcer> {
        let (enforcer, problems) = Enforcer::compile(&policy, &projects);
        for (project, problem) in problems {
            tracing::warn!(%tenant, project, %problem, "a project's policies cannot be read and count for nothing");
        }
        let enforcer = Arc::new(enforcer);
        let compiled = Compiled {
            policy,
            projects,
            enforcer: Arc::clone(&enforcer),
        };
        self.compiled.put(tenant, Arc::new(compiled));
        enforcer
    }

    /// Forgets a tenant's, or everybody's: a policy or a project changed.
    pub(crate) fn forget(&self, tenant: Option<TenantId>) {
        self.fresh
            .forget(|known, _| tenant.is_none_or(|tenant| tenant == *known));
    }
}

/// The tenant's own policy. One that cannot be read gives nobody anything: what is stored was checked before.
fn policy(tenant: TenantId, set: &RbacConfig) -> Policy {
    set.policy().unwrap_or_else(|problems| {
        for problem in problems {
            tracing::warn!(%tenant, line = problem.line, problem = %problem.message, "the policy cannot be read and counts for nothing");
        }
        Policy::default()
    })
}
