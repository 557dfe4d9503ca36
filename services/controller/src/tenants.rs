//! The tenants as the controller needs them: by id, by name, and which namespace is whose.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use domain::application::IN_CLUSTER_SERVER;
use domain::cluster::Cluster;
use domain::project::{Project, Rules};
use domain::quota::Quota;
use domain::resource::ResourceKey;
use domain::settings::{Customizations, KindFilter, Rendering};
use domain::tenant::{Tenant, TenantId, TenantName, TenantState};
use domain::tracking::Marking;
use engine::claim::{Alone, Claimant};
use engine::prepare::Territory;
use parking_lot::RwLock;
use store::Store;
use tokio::sync::broadcast;

mod objects;

use objects::Objects;

/// What is known of tenants and projects. Cheap to clone.
#[derive(Clone)]
pub struct Tenants {
    inner: Arc<Inner>,
    /// The cluster in which the tenants' facts hold, where it is not the shared one.
    at: Option<Arc<Cluster>>,
}

struct Inner {
    store: Store,
    known: RwLock<Known>,
    objects: Objects,
    /// Tells those who look on which tenant was read anew.
    refreshed: broadcast::Sender<TenantId>,
    /// Who reads tenants, one at a time: nobody takes in what was read before another's.
    reading: tokio::sync::Mutex<()>,
}

/// How many tenants may have been read anew before an onlooker is told to look whichever it was.
const REFRESHED: usize = 256;

#[derive(Default)]
struct Known {
    by_id: HashMap<TenantId, Arc<TenantFacts>>,
    by_name: HashMap<String, TenantId>,
    projects: HashMap<(TenantId, String), Option<Arc<ProjectFacts>>>,
    /// The clusters that tenants have added.
    clusters: HashMap<TenantId, Arc<Vec<Cluster>>>,
    /// What tenants' settings say of what is done here.
    settings: HashMap<TenantId, TenantSettings>,
    /// Grows whenever something is forgotten: what was read before is then not kept.
    forgotten: u64,
    /// Grows whenever tenants are to be read anew: what is being read of all may be older.
    renewed: u64,
    /// How many readings of all have begun.
    begun: u64,
    /// How many had when the one began that was taken in last.
    taken: u64,
    /// Whether `by_id` has all tenants that there are: what one may not is told by what the others have.
    whole: bool,
}

impl Known {
    /// Forgets a tenant but for its name, by which its objects are known; with it the operator's, which may go wherever it may not.
    fn forget(&mut self, id: TenantId) {
        self.by_id.remove(&id);
        if let Some(operator) = self.by_name.get(TenantName::OPERATOR) {
            self.by_id.remove(operator);
        }
        self.projects.retain(|(whose, _), _| *whose != id);
        self.settings.remove(&id);
        self.forgotten += 1;
        self.renewed += 1;
        self.whole = false;
    }

    /// The same of all; their ids.
    fn forget_all(&mut self) -> Vec<TenantId> {
        let before = std::mem::take(&mut self.by_id);
        self.projects.clear();
        self.clusters.clear();
        self.settings.clear();
        self.forgotten += 1;
        self.renewed += 1;
        self.whole = false;
        before.into_keys().collect()
    }

    /// All, where none is to be read.
    fn all(&self) -> Option<Vec<Arc<TenantFacts>>> {
        let all = || self.by_id.values().cloned().collect();
        self.whole.then(all)
    }

    /// The same, where a reading of them was taken in that has begun after so many others.
    fn since(&self, begun: u64) -> Option<Vec<Arc<TenantFacts>>> {
        self.all().filter(|_| self.taken > begun)
    }

    /// Takes in what was read of all tenants, and says whom it knew before; nothing where some were forgotten since that was
    /// begun: what they have become would be overwritten with what they were, and nobody would say so again.
    fn replace(&mut self, renewed: u64, all: &[Arc<TenantFacts>]) -> Option<Vec<TenantId>> {
        if self.renewed != renewed {
            return None;
        }
        let names = all.iter().map(|facts| &facts.tenant);
        let names = names.map(|tenant| (tenant.name.as_str().to_owned(), tenant.id));
        self.by_name = names.collect();
        let now = all.iter().map(|facts| (facts.tenant.id, facts.clone()));
        let before = std::mem::replace(&mut self.by_id, now.collect());
        self.projects.clear();
        self.clusters.clear();
        self.settings.clear();
        self.forgotten += 1;
        self.taken = self.begun;
        self.whole = true;
        Some(before.into_keys().collect())
    }

    /// Takes in what was read of one tenant, and says who is another now; nothing while not all are known: the operator's
    /// tenant would be let into namespaces of those that are missing.
    fn take_in(&mut self, id: TenantId, found: Option<Tenant>) -> Option<Vec<TenantId>> {
        if !self.whole {
            return None;
        }
        if let Some(old) = self.by_id.remove(&id) {
            self.by_name.remove(old.tenant.name.as_str());
        }
        if let Some(tenant) = found {
            self.by_name.insert(tenant.name.as_str().to_owned(), id);
            let whole = facts(tenant, &BTreeMap::new());
            self.by_id.insert(id, Arc::new(whole));
        }
        // The operator's tenant goes anywhere but into the others' namespaces.
        let operator = self
            .by_name
            .get(TenantName::OPERATOR)
            .and_then(|id| self.by_id.get(id))
            .map(|facts| facts.tenant.clone());
        let mut told = vec![id];
        if let Some(tenant) = operator {
            let map: BTreeMap<String, TenantId> = self
                .by_id
                .values()
                .flat_map(|facts| {
                    let id = facts.tenant.id;
                    facts
                        .tenant
                        .namespaces
                        .iter()
                        .map(move |ns| (ns.clone(), id))
                })
                .collect();
            let operator = tenant.id;
            self.by_id.insert(operator, Arc::new(facts(tenant, &map)));
            told.extend((operator != id).then_some(operator));
        }
        self.projects.retain(|(whose, _), _| *whose != id);
        self.settings.remove(&id);
        self.forgotten += 1;
        Some(told)
    }
}

/// A tenant and the namespaces that it may use, in the shared cluster or in one that it has added.
#[derive(Clone, Debug)]
pub struct TenantFacts {
    /// The tenant.
    pub tenant: Tenant,
    /// The cluster that it has added and that this is about; the shared one when absent.
    at: Option<Arc<Cluster>>,
    /// The patterns of namespaces that it may have made, with its name filled in.
    patterns: Vec<String>,
    /// The namespaces of all tenants but this one.
    foreign: Arc<Vec<String>>,
}

impl TenantFacts {
    /// The namespaces that it may use.
    #[must_use]
    pub fn territory(&self) -> Territory<'_> {
        match &self.at {
            // It is the tenant's own; what may be done there is for the credentials to say.
            Some(added) if added.namespaces.is_empty() => Territory::AllBut(&[]),
            Some(added) => Territory::Only {
                namespaces: &added.namespaces,
                patterns: &[],
                cluster_scoped: added.cluster_resources,
            },
            None if self.tenant.name.is_operator() => Territory::AllBut(&self.foreign),
            None => Territory::Only {
                namespaces: &self.tenant.namespaces,
                patterns: &self.patterns,
                cluster_scoped: true,
            },
        }
    }

    /// An application of the tenant's, as it asks whose an object is.
    #[must_use]
    pub fn claimant<'a>(&'a self, app: &'a str, marking: &'a Marking) -> Claimant<'a> {
        Claimant {
            tenant: self.tenant.name.as_str(),
            app,
            marking,
            alone: self.alone(),
        }
    }

    /// Where nobody but the tenant can be. The operator's tenant goes where anybody may be who is none of Naru's.
    fn alone(&self) -> Alone<'_> {
        match &self.at {
            Some(added) if added.namespaces.is_empty() => Alone::Everywhere,
            Some(added) => Alone::Namespaces(&added.namespaces),
            None if self.tenant.name.is_operator() => Alone::Nowhere,
            None => Alone::Namespaces(&self.tenant.namespaces),
        }
    }

    /// Whether objects without a namespace may be looked at and touched for the tenant.
    fn owns_the_whole(&self) -> bool {
        match &self.at {
            Some(added) => added.namespaces.is_empty() || added.cluster_resources,
            None => self.tenant.name.is_operator(),
        }
    }

    /// Whether it makes namespaces itself, and no map says whose they are.
    #[must_use]
    pub fn makes_namespaces(&self) -> bool {
        self.at.is_some() || self.tenant.name.is_operator()
    }

    /// The cluster that it has added and that this is about; the shared one when absent.
    #[must_use]
    pub fn added(&self) -> Option<&Cluster> {
        self.at.as_deref()
    }

    /// Whether an object in this namespace may be shown to and touched for the tenant.
    #[must_use]
    pub fn owns(&self, namespace: &str) -> bool {
        if namespace.is_empty() {
            return self.owns_the_whole();
        }
        self.territory().permits(namespace, false)
    }

    /// Whether a cluster-scoped object may be looked at for the tenant, whosever it is.
    #[must_use]
    pub fn owns_cluster(&self, key: &ResourceKey) -> bool {
        self.owns_the_whole() || (key.is_namespace() && self.owns(&key.name))
    }

    /// The namespaces that Naru makes and keeps for it.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        // The operator's tenant has no rows in the map; its account lives in a namespace of its own.
        let home = self.tenant.name.is_operator().then(|| self.home());
        self.tenant
            .namespaces
            .iter()
            .map(String::as_str)
            .chain(home)
    }

    /// The address of the cluster that this is about.
    #[must_use]
    pub fn server(&self) -> &str {
        self.added()
            .map_or(IN_CLUSTER_SERVER, |added| added.server.as_str())
    }

    /// Whether anything is done for it.
    #[must_use]
    pub fn active(&self) -> bool {
        self.tenant.standing.state == TenantState::Active
    }

    /// Where its service account lives.
    #[must_use]
    pub fn home(&self) -> &str {
        self.tenant.name.as_str()
    }
}

/// What a tenant's settings say of what is done here. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TenantSettings {
    /// How its sources are rendered.
    pub rendering: Arc<Rendering>,
    /// How kinds are compared and assessed.
    pub customizations: Arc<Customizations>,
    /// The kinds that are left out of everything.
    pub kinds: Arc<KindFilter>,
    /// How its objects are marked.
    pub marking: Arc<Marking>,
    /// After how long an operation is stopped that has not ended.
    pub sync_timeout: Option<Duration>,
    /// Whether what is done in clusters is done as the service accounts that projects name.
    pub sync_impersonates: bool,
    /// Whether nothing is done then where they name none.
    pub impersonation_enforced: bool,
}

/// A project's rules, or why they cannot be read.
#[derive(Debug)]
pub struct ProjectFacts {
    /// The rules.
    pub rules: Result<Rules, String>,
}

impl Tenants {
    /// Nothing known yet.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                known: RwLock::default(),
                objects: Objects::default(),
                refreshed: broadcast::channel(REFRESHED).0,
                reading: tokio::sync::Mutex::default(),
            }),
            at: None,
        }
    }

    /// The same, for what is done in a cluster that a tenant has added.
    #[must_use]
    pub fn at(&self, added: &Cluster) -> Self {
        Self {
            inner: self.inner.clone(),
            at: Some(Arc::new(added.clone())),
        }
    }

    /// The tenants that are read anew from now on, since they, their projects or their settings have changed.
    #[must_use]
    pub fn refreshed(&self) -> broadcast::Receiver<TenantId> {
        self.inner.refreshed.subscribe()
    }

    /// Tells those who look on of tenants that are read anew.
    fn tell(&self, tenants: impl IntoIterator<Item = TenantId>) {
        for tenant in tenants {
            // Nobody looking on is no error.
            let _ = self.inner.refreshed.send(tenant);
        }
    }

    /// Reads all tenants anew and forgets all projects, once for all who ask at the same time.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn reload(&self) -> store::Result<Vec<Arc<TenantFacts>>> {
        let asked = self.inner.known.read().begun;
        let _reading = self.inner.reading.lock().await;
        let meanwhile = self.inner.known.read().since(asked);
        match meanwhile {
            Some(all) => Ok(all),
            None => self.read_anew().await,
        }
    }

    /// The same, for whoever is the one that reads.
    async fn read_anew(&self) -> store::Result<Vec<Arc<TenantFacts>>> {
        loop {
            let renewed = {
                let mut known = self.inner.known.write();
                known.begun += 1;
                known.renewed
            };
            let all = self.read_all().await?;
            let before = self.inner.known.write().replace(renewed, &all);
            if let Some(before) = before {
                self.tell(before);
                return Ok(all);
            }
        }
    }

    async fn read_all(&self) -> store::Result<Vec<Arc<TenantFacts>>> {
        let platform = self.inner.store.platform();
        let tenants = platform.tenants().await?;
        let map: BTreeMap<String, TenantId> = platform.namespace_map().await?.into_iter().collect();
        let all = tenants.into_iter();
        Ok(all.map(|tenant| Arc::new(facts(tenant, &map))).collect())
    }

    /// Forgets what is known of all tenants: any may have changed unheard. Whoever needs one reads it.
    pub fn forget_all(&self) {
        let forgotten = self.inner.known.write().forget_all();
        self.tell(forgotten);
    }

    /// Reads one tenant anew, and what the others need to know of it.
    ///
    /// # Errors
    /// When the database does not answer. It is forgotten then: whoever needs it reads it.
    pub async fn refresh(&self, id: TenantId) -> store::Result<()> {
        // After whoever reads all: that may be older.
        let _reading = self.inner.reading.lock().await;
        let found = match self.inner.store.platform().tenant_by_id(id).await {
            Ok(found) => found,
            Err(error) => {
                self.inner.known.write().forget(id);
                self.tell([id]);
                return Err(error);
            }
        };
        let told = self.inner.known.write().take_in(id, found);
        match told {
            Some(told) => self.tell(told),
            None => {
                self.read_anew().await?;
                self.tell([id]);
            }
        }
        Ok(())
    }

    /// All of them, as known; read where some are not.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn known(&self) -> store::Result<Vec<Arc<TenantFacts>>> {
        let all = self.inner.known.read().all();
        match all {
            Some(all) => Ok(all),
            None => self.reload().await,
        }
    }

    /// One of them, read if it is not known yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn get(&self, id: TenantId) -> store::Result<Option<Arc<TenantFacts>>> {
        let known = || self.inner.known.read().by_id.get(&id).cloned();
        let mut found = known();
        if found.is_none() {
            // One reads for all who miss some.
            let _reading = self.inner.reading.lock().await;
            found = known();
            if found.is_none() {
                self.read_anew().await?;
                found = known();
            }
        }
        Ok(found.map(|facts| match &self.at {
            None => facts,
            Some(added) => Arc::new(TenantFacts {
                at: Some(added.clone()),
                ..facts.as_ref().clone()
            }),
        }))
    }

    /// How many objects a tenant may have, 0 for as many as it likes; nothing while it is to be read anew.
    #[must_use]
    pub fn objects_allowed(&self, tenant: TenantId) -> Option<u64> {
        let known = self.inner.known.read();
        let tenant = &known.by_id.get(&tenant)?.tenant;
        Some(tenant.allowed(Quota::Objects).unwrap_or(0))
    }

    /// How many objects a tenant's applications manage, as of ten seconds ago at most.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn objects(&self, tenant: TenantId) -> store::Result<u64> {
        let Inner { store, objects, .. } = self.inner.as_ref();
        let count = || async { store.tenant(tenant).objects().await };
        objects.of(tenant, count).await
    }

    /// The tenant of a name, if it is known.
    #[must_use]
    pub fn id_of(&self, name: &str) -> Option<TenantId> {
        self.inner.known.read().by_name.get(name).copied()
    }

    /// The name of a tenant, for logs and metrics; its id while the name is not known.
    #[must_use]
    pub fn name_of(&self, id: TenantId) -> String {
        let known = self.inner.known.read();
        if let Some(facts) = known.by_id.get(&id) {
            return facts.tenant.name.as_str().to_owned();
        }
        // It is to be read anew.
        let mut names = known.by_name.iter();
        let name = names.find_map(|(name, whose)| (*whose == id).then_some(name));
        name.cloned().unwrap_or_else(|| id.to_string())
    }

    /// A project; `None` when there is none of that name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn project(
        &self,
        tenant: TenantId,
        name: &str,
    ) -> store::Result<Option<Arc<ProjectFacts>>> {
        let key = (tenant, name.to_owned());
        let forgotten = {
            let known = self.inner.known.read();
            if let Some(project) = known.projects.get(&key) {
                return Ok(project.clone());
            }
            known.forgotten
        };
        let found = self
            .inner
            .store
            .tenant(tenant)
            .projects()
            .find(name)
            .await?;
        let facts = found.map(|project: Project| {
            Arc::new(ProjectFacts {
                rules: project.rules().map_err(|error| error.to_string()),
            })
        });
        let mut known = self.inner.known.write();
        // What was changed while it was read may be older than the change.
        if known.forgotten == forgotten {
            known.projects.insert(key, facts.clone());
        }
        Ok(facts)
    }

    /// What a tenant's settings say of what is done here.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn settings(&self, tenant: TenantId) -> store::Result<TenantSettings> {
        let forgotten = {
            let known = self.inner.known.read();
            if let Some(settings) = known.settings.get(&tenant) {
                return Ok(settings.clone());
            }
            known.forgotten
        };
        let config = self.inner.store.tenant(tenant).config().plain().await?;
        let read = TenantSettings {
            rendering: Arc::new(config.rendering()),
            customizations: Arc::new(config.customizations()),
            kinds: Arc::new(config.kind_filter()),
            marking: Arc::new(config.marking()),
            sync_timeout: config.sync_timeout(),
            sync_impersonates: config.sync_impersonates(),
            impersonation_enforced: config.impersonation_enforced(),
        };
        let mut known = self.inner.known.write();
        if known.forgotten == forgotten {
            known.settings.insert(tenant, read.clone());
        }
        Ok(read)
    }

    /// The clusters that a tenant has added.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn clusters(&self, tenant: TenantId) -> store::Result<Arc<Vec<Cluster>>> {
        let forgotten = {
            let known = self.inner.known.read();
            if let Some(clusters) = known.clusters.get(&tenant) {
                return Ok(clusters.clone());
            }
            known.forgotten
        };
        let added = self.inner.store.tenant(tenant).clusters().list().await?;
        let clusters = Arc::new(added);
        let mut known = self.inner.known.write();
        if known.forgotten == forgotten {
            known.clusters.insert(tenant, clusters.clone());
        }
        Ok(clusters)
    }

    /// Forgets a tenant's clusters: one has changed.
    pub fn forget_clusters(&self, tenant: TenantId) {
        let mut known = self.inner.known.write();
        known.clusters.remove(&tenant);
        known.forgotten += 1;
    }

    /// Forgets a tenant's projects: one has changed.
    pub fn forget_projects(&self, tenant: TenantId) {
        let mut known = self.inner.known.write();
        known.projects.retain(|(whose, _), _| *whose != tenant);
        known.forgotten += 1;
        drop(known);
        self.tell([tenant]);
    }
}

fn facts(tenant: Tenant, map: &BTreeMap<String, TenantId>) -> TenantFacts {
    let name = tenant.name.as_str();
    let patterns = tenant
        .settings
        .namespace_patterns
        .iter()
        .map(|p| p.replace("{tenant}", name))
        .collect();
    // Only the operator's tenant asks who else has a namespace; for the others the list would be long and unread.
    let foreign = match tenant.name.is_operator() {
        true => map
            .iter()
            .filter(|(_, whose)| **whose != tenant.id)
            .map(|(namespace, _)| namespace.clone())
            .collect(),
        false => Vec::new(),
    };
    TenantFacts {
        patterns,
        foreign: Arc::new(foreign),
        tenant,
        at: None,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn named(id: TenantId, name: &str) -> Arc<TenantFacts> {
        let tenant = Tenant {
            id,
            name: TenantName::from_stored(name.to_owned()),
            hosts: Vec::new(),
            namespaces: Vec::new(),
            settings: domain::tenant::TenantSettings::default(),
            standing: domain::tenant::Standing::default(),
        };
        Arc::new(facts(tenant, &BTreeMap::new()))
    }

    #[test]
    fn what_is_forgotten_of_tenants_is_read_before_it_is_used_and_their_names_stay() {
        let tenant = |number| TenantId(Uuid::from_u128(number));
        let mut known = Known {
            whole: true,
            ..Known::default()
        };
        for (number, name) in [(1, "one"), (2, "two"), (3, TenantName::OPERATOR)] {
            known.by_name.insert(name.to_owned(), tenant(number));
            known
                .by_id
                .insert(tenant(number), named(tenant(number), name));
            let project = (tenant(number), "default".to_owned());
            known.projects.insert(project, None);
        }
        let projects = |known: &Known| {
            let whose = known.projects.keys().map(|(whose, _)| *whose);
            whose.collect::<Vec<_>>()
        };
        known.projects.remove(&(tenant(3), "default".to_owned()));
        known.forget(tenant(1));
        assert_eq!(projects(&known), [tenant(2)]);
        let left: Vec<TenantId> = known.by_id.keys().copied().collect();
        assert_eq!(left, [tenant(2)], "nor where the operator's may go");
        assert!(!known.whole, "another may not use its namespaces");
        assert_eq!((known.forgotten, known.renewed), (1, 1));
        known.forget_all();
        assert!(projects(&known).is_empty());
        assert_eq!((known.forgotten, known.renewed), (2, 2));
        assert!(known.by_id.is_empty());
        assert_eq!(known.by_name.len(), 3);
    }

    #[test]
    fn what_was_read_before_a_tenant_changed_is_not_taken_for_what_it_is() {
        let mut known = Known::default();
        let one = TenantId(Uuid::from_u128(1));
        assert_eq!(known.take_in(one, None), None, "nobody else is known yet");
        let begun = known.renewed;
        known.forget(one);
        assert_eq!(known.replace(begun, &[]), None);
        assert!(!known.whole);
        assert_eq!(known.replace(known.renewed, &[]), Some(Vec::new()));
        assert!(known.whole);
        assert_eq!(known.take_in(one, None), Some(vec![one]));
    }

    #[test]
    fn a_reading_is_for_all_who_asked_before_it_began() {
        let mut known = Known::default();
        let read = |known: &mut Known| {
            known.begun += 1;
            let all = [named(TenantId(Uuid::from_u128(1)), "one")];
            known.replace(known.renewed, &all)
        };
        let before = known.begun;
        assert!(known.since(before).is_none(), "nobody has read");
        read(&mut known);
        assert_eq!(known.all().map(|all| all.len()), Some(1));
        assert_eq!(known.since(before).map(|all| all.len()), Some(1));
        assert!(known.since(known.begun).is_none(), "it may be older");
        known.forget(TenantId(Uuid::from_u128(2)));
        assert!(known.all().is_none(), "one is missing");
        assert!(known.since(before).is_none(), "and it is");
    }
}
