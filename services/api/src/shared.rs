//! What the handlers work with.

use std::sync::Arc;

use cache::Cache;
use crowd::asked::Asked;
use crowd::places::Places;
use domain::clock::{Clock, IdSource};
use domain::tenant::{Tenant, TenantId};
use runtime::Lifecycle;
use sha2::{Digest, Sha256};
use store::{SealingKey, Store, TenantScope};
use tonic::{Code, Status};

use crate::audit;
use crate::failure;
use crate::front::bodies::Bodies;
use crate::front::host::Hosts;
use crate::front::standing::Standing;
use crate::front::strangers::{Recognised, Strangers};
use crate::front::terminals::Terminals;
use crate::hub::Hub;
use crate::identity::{Configs, Logins, Sessions};
use crate::metrics::Metrics;
use crate::peers::{Controllers, RepoServers};
use crate::permit::Actor;
use crate::rights::Rights;
use crate::sources::{Looked, Sought};

/// Logging in.
const LOGIN: &str = "/session.SessionService/Create";

/// What is remembered of a token.
fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Everything that lives as long as the process.
pub(crate) struct Shared {
    /// The truth.
    pub(crate) store: Store,
    /// What can be computed again.
    pub(crate) cache: Cache,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// New identifiers.
    pub(crate) ids: Arc<dyn IdSource>,
    /// Whose host is whose.
    pub(crate) hosts: Arc<Hosts>,
    /// What tenants have set.
    pub(crate) configs: Arc<Configs>,
    /// Who may do what.
    pub(crate) rights: Arc<Rights>,
    /// Who calls.
    pub(crate) sessions: Arc<Sessions>,
    /// Who logs in.
    pub(crate) logins: Logins,
    /// Who is let in.
    pub(crate) standing: Arc<Standing>,
    /// How often strangers may come.
    pub(crate) strangers: Arc<Strangers>,
    /// Whose tokens are not strangers'.
    pub(crate) recognised: Recognised<[u8; 32]>,
    /// What is held of requests' bodies.
    pub(crate) bodies: Arc<Bodies>,
    /// What terminals have used.
    pub(crate) terminals: Terminals,
    /// Whose links are being made.
    pub(crate) links: Places<TenantId>,
    /// What bounds the record of who did what.
    pub(crate) audit: audit::Bounds,
    /// What changes.
    pub(crate) hub: Hub,
    /// Who renders.
    pub(crate) repo_servers: RepoServers,
    /// Which revisions are looked up now.
    pub(crate) lookups: Asked<Sought, Looked>,
    /// Who sees the clusters.
    pub(crate) controllers: Controllers,
    /// What clusters' credentials are sealed to.
    pub(crate) cluster_key: SealingKey,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// The hosts that a new tenant gets, with `{tenant}` where its name goes.
    pub(crate) tenant_host_templates: Vec<String>,
    /// When to stop.
    pub(crate) life: Lifecycle,
}

/// What is remembered of tenants, to be forgotten when one changes.
#[derive(Clone)]
pub(crate) struct Caches {
    /// Their hosts.
    pub(crate) hosts: Arc<Hosts>,
    /// Their settings.
    pub(crate) configs: Arc<Configs>,
    /// Their sessions.
    pub(crate) sessions: Arc<Sessions>,
    /// Whose streams may go on.
    pub(crate) standing: Arc<Standing>,
    /// Their rights.
    pub(crate) rights: Arc<Rights>,
}

impl Caches {
    /// Forgets all of a tenant, or of everybody.
    pub(crate) fn forget(&self, tenant: Option<TenantId>) {
        self.hosts.forget();
        self.configs.forget(tenant);
        self.sessions.forget(tenant);
        self.rights.forget(tenant);
    }

    /// Forgets what a tenant's projects say: who may what, and which tokens their roles have.
    pub(crate) fn forget_projects(&self, tenant: Option<TenantId>) {
        self.sessions.forget(tenant);
        self.rights.forget(tenant);
    }

    /// Forgets who a tenant's accounts are.
    pub(crate) fn forget_identity(&self, tenant: Option<TenantId>) {
        self.configs.forget(tenant);
        self.sessions.forget(tenant);
        self.rights.forget(tenant);
    }
}

impl Shared {
    /// A tenant's rows, to be written on behalf of this actor.
    pub(crate) fn written_by(&self, actor: &Actor, tenant: TenantId) -> TenantScope {
        self.store.tenant(tenant).written_by(actor.operator)
    }

    /// A token that was issued just now is no stranger's, whoever else is behind its address.
    pub(crate) fn recognise(&self, token: &str) {
        self.recognised.remember(digest(token));
    }

    /// Who sent this token to this tenant's host, as [`Sessions::authenticate`] says; a source that sends what is nobody's
    /// may do so only so often, unless it logs in where a password of late was right: wrong ones are counted by themselves.
    ///
    /// # Errors
    /// `ResourceExhausted` when it did so too often; else what the sessions say.
    pub(crate) async fn authenticate(
        &self,
        site: &Arc<Tenant>,
        token: Option<&str>,
        path: &str,
    ) -> Result<Actor, Status> {
        let digest = token.map(digest);
        let recognised = digest.filter(|digest| self.recognised.knows(digest));
        let source = audit::source();
        let at_home =
            path == LOGIN && source.is_some_and(|source| self.logins.is_known(site.id, source));
        let taken = match recognised {
            None if !at_home => Some(self.strangers.take(source)?),
            _ => None,
        };
        let outcome = self.sessions.authenticate(site, token).await;
        let known = outcome.as_ref().is_ok_and(|actor| !actor.is_stranger());
        // What could not be asked is held against nobody.
        let unasked = outcome
            .as_ref()
            .is_err_and(|status| status.code() == Code::Unavailable);
        if let Some(taken) = taken.filter(|_| known || unasked) {
            taken.give_back();
        }
        if let Some(digest) = digest.filter(|_| known) {
            self.recognised.remember(digest);
        }
        if let Some(digest) = recognised.filter(|_| !known && !unasked) {
            self.recognised.forget(&digest);
        }
        outcome
    }

    /// The tenant of a name. Only who runs the platform may hear whether there is one.
    ///
    /// # Errors
    /// `NotFound`; when the store cannot be asked.
    pub(crate) async fn tenant_named(&self, name: &str) -> Result<Tenant, Status> {
        let found = self.store.platform().tenant_by_name(name).await;
        found
            .map_err(failure::store)?
            .ok_or_else(|| failure::no_tenant(name))
    }

    /// What is remembered of tenants.
    pub(crate) fn caches(&self) -> Caches {
        Caches {
            hosts: Arc::clone(&self.hosts),
            configs: Arc::clone(&self.configs),
            sessions: Arc::clone(&self.sessions),
            standing: Arc::clone(&self.standing),
            rights: Arc::clone(&self.rights),
        }
    }
}
