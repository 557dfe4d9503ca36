//! What the controller counts, under Argo CD's names where it has them, with the tenant as a label.

use std::collections::HashMap;
use std::sync::Arc;

use domain::application::{Application, CONTROL_PLANE_NAMESPACE, IN_CLUSTER_SERVER};
use domain::operation::Phase;
use domain::status::Status;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use runtime::metrics::Registry;

use crate::driver::queue::AppKey;

/// The buckets of `argocd_app_reconcile`: Argo CD's, and finer ones below, where ours lie.
const RECONCILE_SECONDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 16.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AppInfo {
    tenant: String,
    namespace: String,
    name: String,
    project: String,
    autosync_enabled: String,
    repo: String,
    dest_server: String,
    dest_namespace: String,
    sync_status: String,
    health_status: String,
    operation: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SyncLabels {
    tenant: String,
    namespace: String,
    name: String,
    project: String,
    dest_server: String,
    phase: String,
    dry_run: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    tenant: String,
    namespace: String,
    dest_server: String,
}

/// Of the shared cluster, which is nobody's, the tenant is empty, which to Prometheus is no label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabels {
    server: String,
    tenant: String,
}

/// How many added clusters are told apart, of one tenant and of all: an address is whatever somebody writes.
const MOST_OF_TENANT: usize = 100;
const MOST: usize = 2_000;

/// The added clusters that are told of, and how often each is followed: twice for a moment where one is opened anew.
type Followed = HashMap<ClusterLabels, usize>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TenantLabel {
    tenant: String,
}

impl TenantLabel {
    fn of(tenant: &str) -> Self {
        Self {
            tenant: tenant.to_owned(),
        }
    }
}

/// The applications that are shown, each with how many objects it has, and the sums of these.
#[derive(Debug, Default)]
struct Shown {
    apps: HashMap<AppKey, (AppInfo, usize)>,
    tenants: HashMap<String, Held>,
}

/// What a tenant has in what is shown.
#[derive(Debug, Default)]
struct Held {
    apps: usize,
    objects: usize,
    /// What it may have, once that is known.
    allowed: Option<u64>,
}

impl Shown {
    /// Whether an application is shown so already, and its tenant with what it may have.
    fn has(&self, key: &AppKey, info: &AppInfo, objects: usize, allowed: Option<u64>) -> bool {
        let app = self.apps.get(key);
        let held = self.tenants.get(&info.tenant);
        app.is_some_and(|(before, had)| before == info && *had == objects)
            && held.is_some_and(|held| allowed.is_none() || held.allowed == allowed)
    }

    /// Takes an application in; how it was shown before.
    fn put(
        &mut self,
        key: &AppKey,
        info: AppInfo,
        objects: usize,
        allowed: Option<u64>,
    ) -> Option<AppInfo> {
        // In before it is taken out as it was: else a tenant of one application would lose what is known of it.
        let held = self.tenants.entry(info.tenant.clone()).or_default();
        held.apps += 1;
        held.objects += objects;
        held.allowed = allowed.or(held.allowed);
        let before = self.take(key);
        self.apps.insert(key.clone(), (info, objects));
        before
    }

    /// Takes an application out; how it was shown.
    fn take(&mut self, key: &AppKey) -> Option<AppInfo> {
        let (info, objects) = self.apps.remove(key)?;
        if let Some(held) = self.tenants.get_mut(&info.tenant) {
            held.apps -= 1;
            held.objects -= objects;
            if held.apps == 0 {
                self.tenants.remove(&info.tenant);
            }
        }
        Some(info)
    }
}

/// The controller's metrics, of one cluster. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The cluster's address.
    server: Arc<str>,
    app_info: Family<AppInfo, Gauge>,
    shown: Arc<Mutex<Shown>>,
    objects: Family<TenantLabel, Gauge>,
    objects_allowed: Family<TenantLabel, Gauge>,
    syncs: Family<SyncLabels, Counter>,
    reconcile: Family<ReconcileLabels, Histogram>,
    cluster: Family<ClusterLabels, Gauge>,
    followed: Arc<Mutex<Followed>>,
    /// Applications that wait to be looked at.
    pub queue_depth: Gauge,
    /// Whether this process holds the shared cluster's lease.
    pub lease_held: Gauge,
    /// How many clusters' leases it holds, the shared one's among them.
    pub clusters_held: Gauge,
    /// Rows that were written.
    pub status_writes: Counter,
}

impl Metrics {
    /// Registers them.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self {
            server: IN_CLUSTER_SERVER.into(),
            app_info: registry.add(
                "argocd_app_info",
                "Information about application",
                Family::default(),
            ),
            shown: Arc::default(),
            objects: registry.add(
                "naru_tenant_objects",
                "Objects of a tenant's applications that this controller is in charge of",
                Family::default(),
            ),
            objects_allowed: registry.add(
                "naru_tenant_objects_allowed",
                "The tenant's quota of objects; 0 without one",
                Family::default(),
            ),
            syncs: registry.add(
                "argocd_app_sync",
                "Number of application syncs",
                Family::default(),
            ),
            reconcile: registry.add(
                "argocd_app_reconcile",
                "Application reconciliation performance in seconds",
                Family::new_with_constructor(|| Histogram::new(RECONCILE_SECONDS)),
            ),
            cluster: registry.add(
                "argocd_cluster_connection_status",
                "The k8s cluster current connection status",
                Family::default(),
            ),
            followed: Arc::default(),
            queue_depth: registry.add(
                "workqueue_depth",
                "Applications that wait to be looked at",
                Gauge::default(),
            ),
            lease_held: registry.add(
                "naru_controller_lease_held",
                "Whether this process holds the shared cluster's lease",
                Gauge::default(),
            ),
            clusters_held: registry.add(
                "naru_controller_clusters_held",
                "Clusters whose leases this process holds",
                Gauge::default(),
            ),
            status_writes: registry.add(
                "naru_controller_status_writes",
                "Application rows written",
                Counter::default(),
            ),
        }
    }

    /// The same of another cluster.
    #[must_use]
    pub fn at(&self, server: &str) -> Self {
        Self {
            server: server.into(),
            ..self.clone()
        }
    }

    /// Shows an application as it is now, whether it has an operation, which the row that was read may not know yet, and of its
    /// tenant how many objects it may have, 0 for as many as it likes, where that is known.
    pub fn show(
        &self,
        key: &AppKey,
        tenant: &str,
        app: &Application,
        (status, operating): (&Status, bool),
        allowed: Option<u64>,
    ) {
        let spec = app.view().unwrap_or_default();
        let source = spec
            .effective_sources()
            .first()
            .map(|source| source.repo_url.clone())
            .unwrap_or_default();
        let operation = match operating {
            _ if app.deleting() => "delete",
            true => "sync",
            false => "",
        };
        let info = AppInfo {
            tenant: tenant.to_owned(),
            namespace: CONTROL_PLANE_NAMESPACE.to_owned(),
            name: key.name.to_string(),
            project: spec.project().to_owned(),
            autosync_enabled: spec.automated().is_some().to_string(),
            repo: source,
            dest_server: self.server.to_string(),
            dest_namespace: spec.destination.namespace.clone(),
            sync_status: status.sync.as_str().to_owned(),
            health_status: status.health.unwrap_or_default().as_str().to_owned(),
            operation: operation.to_owned(),
        };
        let objects = status.resources.len();
        let mut shown = self.shown.lock();
        if shown.has(key, &info, objects, allowed) {
            return;
        }
        let before = shown.put(key, info.clone(), objects, allowed);
        self.app_info.get_or_create(&info).set(1);
        if let Some(before) = before.filter(|before| *before != info) {
            self.app_info.remove(&before);
            self.sum(&shown, &before.tenant);
        }
        self.sum(&shown, tenant);
    }

    /// Shows what a tenant has, if it has applications here.
    fn sum(&self, shown: &Shown, tenant: &str) {
        let label = TenantLabel::of(tenant);
        if let Some(held) = shown.tenants.get(tenant) {
            let objects = i64::try_from(held.objects).unwrap_or(i64::MAX);
            self.objects.get_or_create(&label).set(objects);
            if let Some(allowed) = held.allowed {
                let allowed = i64::try_from(allowed).unwrap_or(i64::MAX);
                self.objects_allowed.get_or_create(&label).set(allowed);
            }
        } else {
            self.objects.remove(&label);
            self.objects_allowed.remove(&label);
        }
    }

    /// Shows an application no more.
    pub fn forget(&self, key: &AppKey) {
        let mut shown = self.shown.lock();
        if let Some(before) = shown.take(key) {
            self.app_info.remove(&before);
            self.sum(&shown, &before.tenant);
        }
    }

    /// Shows none any more: another process is in charge.
    pub fn forget_all(&self) {
        let mut shown = self.shown.lock();
        *shown = Shown::default();
        self.app_info.clear();
        self.objects.clear();
        self.objects_allowed.clear();
    }

    /// Counts a sync that ended.
    pub fn synced(&self, key: &AppKey, tenant: &str, project: &str, phase: Phase, dry_run: bool) {
        let labels = SyncLabels {
            tenant: tenant.to_owned(),
            namespace: CONTROL_PLANE_NAMESPACE.to_owned(),
            name: key.name.to_string(),
            project: project.to_owned(),
            dest_server: self.server.to_string(),
            phase: phase.as_str().to_owned(),
            dry_run: dry_run.to_string(),
        };
        self.syncs.get_or_create(&labels).inc();
    }

    /// Counts a look at an application.
    pub fn reconciled(&self, tenant: &str, seconds: f64) {
        let labels = ReconcileLabels {
            tenant: tenant.to_owned(),
            namespace: CONTROL_PLANE_NAMESPACE.to_owned(),
            dest_server: self.server.to_string(),
        };
        self.reconcile.get_or_create(&labels).observe(seconds);
    }

    /// Says whether the shared cluster answers.
    pub fn cluster_reachable(&self, reachable: bool) {
        let labels = ClusterLabels {
            server: IN_CLUSTER_SERVER.to_owned(),
            tenant: String::new(),
        };
        self.cluster
            .get_or_create(&labels)
            .set(i64::from(reachable));
    }

    /// Says whether the cluster answers, which this tenant has added, for as long as that is held. Nothing is said of it where
    /// as many are told of as may be.
    #[must_use]
    pub fn reachability(&self, tenant: &str) -> Reachability {
        let labels = ClusterLabels {
            server: self.server.to_string(),
            tenant: tenant.to_owned(),
        };
        let mut followed = self.followed.lock();
        let own = followed.keys().filter(|other| other.tenant == tenant);
        let full = followed.len() >= MOST || own.count() >= MOST_OF_TENANT;
        let told = followed.contains_key(&labels) || !full;
        if told {
            *followed.entry(labels.clone()).or_default() += 1;
        }
        drop(followed);
        Reachability {
            labels: told.then_some(labels),
            cluster: self.cluster.clone(),
            followed: self.followed.clone(),
        }
    }
}

/// Whether a tenant's cluster answers; told no more once this is dropped.
#[derive(Debug)]
pub struct Reachability {
    labels: Option<ClusterLabels>,
    cluster: Family<ClusterLabels, Gauge>,
    followed: Arc<Mutex<Followed>>,
}

impl Reachability {
    /// Says so.
    pub fn set(&self, reachable: bool) {
        if let Some(labels) = &self.labels {
            let status = self.cluster.get_or_create(labels);
            status.set(i64::from(reachable));
        }
    }
}

impl Drop for Reachability {
    fn drop(&mut self) {
        let Some(labels) = self.labels.take() else {
            return;
        };
        let mut followed = self.followed.lock();
        let Some(times) = followed.get_mut(&labels) else {
            return;
        };
        *times -= 1;
        if *times == 0 {
            followed.remove(&labels);
            self.cluster.remove(&labels);
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::status::ResourceStatus;
    use domain::tenant::TenantId;
    use serde_json::json;

    use super::*;

    /// What follows that in the lines that begin so.
    fn lines(registry: &Registry, beginning: &str) -> Vec<String> {
        let text = registry.encode();
        let lines = text.lines();
        let told = lines.filter_map(|line| line.strip_prefix(beginning));
        let mut told: Vec<String> = told.map(str::to_owned).collect();
        told.sort();
        told
    }

    /// What is told of tenants' objects.
    fn objects(registry: &Registry) -> Vec<String> {
        lines(registry, "naru_tenant_objects")
    }

    /// What is told of clusters.
    fn told(registry: &Registry) -> Vec<String> {
        lines(registry, "argocd_cluster_connection_status")
    }

    #[test]
    fn a_tenants_objects_are_those_of_the_applications_that_are_shown() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry);
        let key = |name: &str| AppKey::new(TenantId(uuid::Uuid::nil()), name);
        let show = |name: &str, objects: usize, allowed: Option<u64>| {
            let app = Application {
                metadata: json!({"name": name}),
                spec: json!({}),
                operation: None,
                status: Status::default(),
                resource_version: 1,
            };
            let object = json!({"kind": "ConfigMap", "name": "a", "version": "v1", "status": null, "health": null});
            let object: ResourceStatus = serde_json::from_value(object).unwrap();
            let status = Status {
                resources: vec![object; objects],
                ..Status::default()
            };
            metrics.show(&key(name), "team-a", &app, (&status, false), allowed);
        };
        let told = |objects: usize, allowed: u64| {
            [
                format!("_allowed{{tenant=\"team-a\"}} {allowed}"),
                format!("{{tenant=\"team-a\"}} {objects}"),
            ]
        };
        show("a", 2, Some(500));
        show("b", 3, None);
        assert_eq!(objects(&registry), told(5, 500));
        show("a", 1, Some(500));
        assert_eq!(objects(&registry), told(4, 500), "it has fewer");
        show("a", 1, Some(20));
        assert_eq!(objects(&registry), told(4, 20), "it may have fewer");
        metrics.forget(&key("a"));
        assert_eq!(objects(&registry), told(3, 20));
        metrics.forget(&key("b"));
        assert_eq!(objects(&registry), Vec::<String>::new());
        show("a", 7, Some(0));
        assert_eq!(objects(&registry), told(7, 0));
        metrics.forget_all();
        assert_eq!(objects(&registry), Vec::<String>::new());
        assert!(!registry.encode().contains("team-a"));
    }

    #[test]
    fn an_operation_is_shown_for_as_long_as_there_is_one() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry);
        let key = AppKey::new(TenantId(uuid::Uuid::nil()), "a");
        let shown = |metadata: serde_json::Value, operating: bool| {
            let app = Application {
                metadata,
                spec: json!({}),
                operation: None,
                status: Status::default(),
                resource_version: 1,
            };
            metrics.show(&key, "team-a", &app, (&app.status, operating), None);
            let lines = lines(&registry, "argocd_app_info{");
            let [line] = lines.as_slice() else {
                panic!("one line for one application: {lines:?}");
            };
            let (_, operation) = line.split_once("operation=\"").unwrap();
            operation.split('"').next().unwrap().to_owned()
        };
        let lives = || json!({"name": "a"});
        assert_eq!(shown(lives(), true), "sync");
        assert_eq!(shown(lives(), false), "");
        let goes = json!({"name": "a", "deletionTimestamp": "2024-01-01T00:00:00Z"});
        assert_eq!(shown(goes, true), "delete");
    }

    #[test]
    fn a_tenants_cluster_is_told_of_from_the_first_word_on_until_nobody_follows_it() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry);
        metrics.cluster_reachable(true);
        let shared = format!("{{server=\"{IN_CLUSTER_SERVER}\",tenant=\"\"}} 1");
        let far = metrics.at("https://far");
        let before = far.reachability("team-a");
        assert_eq!(
            told(&registry),
            std::slice::from_ref(&shared),
            "nobody knows yet"
        );
        before.set(true);
        let of_it = |status| format!("{{server=\"https://far\",tenant=\"team-a\"}} {status}");
        assert!(told(&registry).contains(&of_it(1)));
        let anew = far.reachability("team-a");
        anew.set(false);
        drop(before);
        assert!(told(&registry).contains(&of_it(0)), "it is followed anew");
        drop(anew);
        assert_eq!(told(&registry), [shared]);
    }

    #[test]
    fn s02_so_many_clusters_are_told_apart_of_a_tenant_and_in_all() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry);
        let follow = |tenant: &str, number: usize| {
            let reachability = metrics
                .at(&format!("https://{number}"))
                .reachability(tenant);
            reachability.set(true);
            reachability
        };
        let mut own: Vec<_> = (0..=MOST_OF_TENANT)
            .map(|number| follow("greedy", number))
            .collect();
        assert_eq!(told(&registry).len(), MOST_OF_TENANT);
        let other = follow("other", 0);
        assert_eq!(told(&registry).len(), MOST_OF_TENANT + 1);
        drop((own.remove(0), other));
        let late = follow("greedy", MOST);
        assert_eq!(told(&registry).len(), MOST_OF_TENANT, "it has found room");
        drop((own, late));
        assert_eq!(told(&registry), Vec::<String>::new());

        let all: Vec<_> = (0..=MOST)
            .map(|number| follow(&format!("t{number}"), 0))
            .collect();
        assert_eq!(told(&registry).len(), MOST);
        drop(all);
        assert_eq!(told(&registry), Vec::<String>::new());
    }
}
