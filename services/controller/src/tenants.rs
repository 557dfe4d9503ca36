//! The tenants as the controller needs them: by id, by name, and which namespace is whose.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::project::{Project, Rules};
use domain::resource::ResourceKey;
use domain::settings::{Customizations, Rendering};
use domain::tenant::{Tenant, TenantId, TenantName, TenantState};
use engine::prepare::Territory;
use parking_lot::{Mutex, RwLock};
use store::Store;

/// What is known of tenants and projects. Cheap to clone.
#[derive(Clone)]
pub struct Tenants(Arc<Inner>);

struct Inner {
    store: Store,
    known: RwLock<Known>,
    /// How many objects each tenant's applications manage, and when that was counted.
    objects: Mutex<HashMap<TenantId, (Instant, u64)>>,
}

/// How long a count of objects is good enough for a quota.
const COUNTED: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Known {
    by_id: HashMap<TenantId, Arc<TenantFacts>>,
    by_name: HashMap<String, TenantId>,
    projects: HashMap<(TenantId, String), Option<Arc<ProjectFacts>>>,
    /// The addresses and names of the clusters that tenants have added.
    clusters: HashMap<TenantId, Arc<Vec<[String; 2]>>>,
    /// What tenants' settings say of what is done here.
    settings: HashMap<TenantId, TenantSettings>,
    /// Grows whenever something is forgotten: what was read before is then not kept.
    forgotten: u64,
}

/// A tenant and the namespaces that it may use.
#[derive(Debug)]
pub struct TenantFacts {
    /// The tenant.
    pub tenant: Tenant,
    /// The patterns of namespaces that it may have made, with its name filled in.
    patterns: Vec<String>,
    /// The namespaces of all tenants but this one.
    foreign: Arc<Vec<String>>,
}

impl TenantFacts {
    /// The namespaces that it may use.
    #[must_use]
    pub fn territory(&self) -> Territory<'_> {
        if self.tenant.name.is_operator() {
            Territory::AllBut(&self.foreign)
        } else {
            Territory::Only {
                namespaces: &self.tenant.namespaces,
                patterns: &self.patterns,
            }
        }
    }

    /// Whether an object in this namespace may be shown to and touched for the tenant.
    #[must_use]
    pub fn owns(&self, namespace: &str) -> bool {
        if namespace.is_empty() {
            return self.tenant.name.is_operator();
        }
        self.territory().permits(namespace, false)
    }

    /// Whether a cluster-scoped object may be looked at for the tenant, whosever it is.
    #[must_use]
    pub fn owns_cluster(&self, key: &ResourceKey) -> bool {
        let namespace = key.group.is_empty() && key.kind == "Namespace";
        self.tenant.name.is_operator() || (namespace && self.owns(&key.name))
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
        Self(Arc::new(Inner {
            store,
            known: RwLock::default(),
            objects: Mutex::default(),
        }))
    }

    /// Reads all tenants anew and forgets all projects.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn reload(&self) -> store::Result<Vec<Arc<TenantFacts>>> {
        let platform = self.0.store.platform();
        let tenants = platform.tenants().await?;
        let map: BTreeMap<String, TenantId> = platform.namespace_map().await?.into_iter().collect();
        let all: Vec<Arc<TenantFacts>> = tenants
            .into_iter()
            .map(|tenant| Arc::new(facts(tenant, &map)))
            .collect();
        let mut known = self.0.known.write();
        known.by_name = all
            .iter()
            .map(|f| (f.tenant.name.as_str().to_owned(), f.tenant.id))
            .collect();
        known.by_id = all.iter().map(|f| (f.tenant.id, f.clone())).collect();
        known.projects.clear();
        known.clusters.clear();
        known.settings.clear();
        known.forgotten += 1;
        Ok(all)
    }

    /// Reads one tenant anew, and what the others need to know of it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn refresh(&self, id: TenantId) -> store::Result<()> {
        let found = self.0.store.platform().tenant_by_id(id).await?;
        let mut known = self.0.known.write();
        if let Some(old) = known.by_id.remove(&id) {
            known.by_name.remove(old.tenant.name.as_str());
        }
        if let Some(tenant) = found {
            known.by_name.insert(tenant.name.as_str().to_owned(), id);
            let whole = facts(tenant, &BTreeMap::new());
            known.by_id.insert(id, Arc::new(whole));
        }
        // The operator's tenant goes anywhere but into the others' namespaces.
        let operator = known
            .by_name
            .get(TenantName::OPERATOR)
            .and_then(|id| known.by_id.get(id))
            .map(|facts| facts.tenant.clone());
        if let Some(tenant) = operator {
            let map: BTreeMap<String, TenantId> = known
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
            let id = tenant.id;
            known.by_id.insert(id, Arc::new(facts(tenant, &map)));
        }
        known.projects.retain(|(whose, _), _| *whose != id);
        known.settings.remove(&id);
        known.forgotten += 1;
        Ok(())
    }

    /// All of them, as known.
    ///
    /// # Errors
    /// Never; the shape is [`Tenants::reload`]'s.
    pub fn known(&self) -> store::Result<Vec<Arc<TenantFacts>>> {
        Ok(self.0.known.read().by_id.values().cloned().collect())
    }

    /// One of them, read if it is not known yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn get(&self, id: TenantId) -> store::Result<Option<Arc<TenantFacts>>> {
        if let Some(facts) = self.0.known.read().by_id.get(&id) {
            return Ok(Some(facts.clone()));
        }
        self.reload().await?;
        Ok(self.0.known.read().by_id.get(&id).cloned())
    }

    /// How many objects a tenant's applications manage, as of ten seconds ago at most.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn objects(&self, tenant: TenantId) -> store::Result<u64> {
        let counted = self.0.objects.lock().get(&tenant).copied();
        if let Some((at, objects)) = counted
            && at.elapsed() < COUNTED
        {
            return Ok(objects);
        }
        let objects = self.0.store.tenant(tenant).objects().await?;
        let mut all = self.0.objects.lock();
        all.retain(|_, (at, _)| at.elapsed() < COUNTED);
        all.insert(tenant, (Instant::now(), objects));
        Ok(objects)
    }

    /// The tenant of a name, if it is known.
    #[must_use]
    pub fn id_of(&self, name: &str) -> Option<TenantId> {
        self.0.known.read().by_name.get(name).copied()
    }

    /// The name of a tenant, for logs and metrics; its id while the name is not known.
    #[must_use]
    pub fn name_of(&self, id: TenantId) -> String {
        let known = self.0.known.read().by_id.get(&id).cloned();
        known.map_or_else(
            || id.to_string(),
            |facts| facts.tenant.name.as_str().to_owned(),
        )
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
        if let Some(known) = self.0.known.read().projects.get(&key) {
            return Ok(known.clone());
        }
        let found = self.0.store.tenant(tenant).projects().find(name).await?;
        let facts = found.map(|project: Project| {
            Arc::new(ProjectFacts {
                rules: project.rules().map_err(|error| error.to_string()),
            })
        });
        self.0.known.write().projects.insert(key, facts.clone());
        Ok(facts)
    }

    /// What a tenant's settings say of what is done here.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn settings(&self, tenant: TenantId) -> store::Result<TenantSettings> {
        let forgotten = {
            let known = self.0.known.read();
            if let Some(settings) = known.settings.get(&tenant) {
                return Ok(settings.clone());
            }
            known.forgotten
        };
        let config = self.0.store.tenant(tenant).config().plain().await?;
        let read = TenantSettings {
            rendering: Arc::new(config.rendering()),
            customizations: Arc::new(config.customizations()),
        };
        let mut known = self.0.known.write();
        if known.forgotten == forgotten {
            known.settings.insert(tenant, read.clone());
        }
        Ok(read)
    }

    /// Whether a tenant has added a cluster of this address or name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn has_cluster(&self, tenant: TenantId, wanted: &str) -> store::Result<bool> {
        let known = self.0.known.read().clusters.get(&tenant).cloned();
        let clusters = match known {
            Some(clusters) => clusters,
            None => {
                let added = self.0.store.tenant(tenant).clusters().list().await?;
                let added = added.into_iter().map(|one| [one.server, one.name]);
                let clusters = Arc::new(added.collect::<Vec<_>>());
                self.0
                    .known
                    .write()
                    .clusters
                    .insert(tenant, clusters.clone());
                clusters
            }
        };
        let wanted = wanted.trim_end_matches('/');
        Ok(clusters.iter().flatten().any(|known| known == wanted))
    }

    /// Forgets a tenant's clusters: one has changed.
    pub fn forget_clusters(&self, tenant: TenantId) {
        self.0.known.write().clusters.remove(&tenant);
    }

    /// Forgets a tenant's projects: one has changed.
    pub fn forget_projects(&self, tenant: TenantId) {
        self.0
            .known
            .write()
            .projects
            .retain(|(whose, _), _| *whose != tenant);
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
    }
}
