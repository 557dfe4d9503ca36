//! Which kinds a cluster has.

use std::collections::HashMap;
use std::sync::Arc;

use domain::resource::GroupKind;
use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::Error;
use crate::transport::{Identity, Transport};

mod read;

/// An answer younger than this is not asked for again because of an unknown name.
const RECENT: std::time::Duration = std::time::Duration::from_secs(1);

/// A group, version, kind or verb of the API is shorter.
const MAX_WORD: usize = 256;
/// A kind has fewer verbs.
const MAX_VERBS: usize = 32;

/// One kind in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKind {
    /// The group; empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The kind.
    pub kind: String,
    /// Its name in paths (`deployments`).
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// What can be done to it (`get`, `list`, `watch`, `patch`).
    pub verbs: Vec<String>,
    /// Whether the status of its objects is written apart: it is no part of what other writes change.
    pub status_apart: bool,
}

impl ApiKind {
    /// `apps/v1`, or `v1` for the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Its group and kind.
    #[must_use]
    pub fn group_kind(&self) -> GroupKind {
        GroupKind::new(self.group.clone(), self.kind.clone())
    }

    /// Whether its words are as short as an API's are: each object of it repeats them.
    fn is_sane(&self) -> bool {
        let words = [&self.group, &self.version, &self.kind, &self.plural];
        let mut words = words.into_iter().chain(&self.verbs);
        self.verbs.len() <= MAX_VERBS && words.all(|word| word.len() <= MAX_WORD)
    }

    /// Whether something can be done to it.
    #[must_use]
    pub fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }
}

/// What the cluster says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerVersion {
    /// `1`.
    pub major: String,
    /// `36`, sometimes with a suffix.
    pub minor: String,
    /// `v1.36.3`.
    pub git_version: String,
}

/// The kinds of a cluster at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    version: ServerVersion,
    /// Per group and kind, its versions, the preferred one first.
    kinds: HashMap<GroupKind, Vec<ApiKind>>,
    api_versions: Vec<String>,
}

impl Discovery {
    pub(crate) fn new(version: ServerVersion, all: Vec<ApiKind>) -> Self {
        let mut api_versions = Vec::new();
        let mut kinds: HashMap<GroupKind, Vec<ApiKind>> = HashMap::new();
        for kind in all.into_iter().filter(ApiKind::is_sane) {
            if kind.can("list") && kind.can("watch") && !is_excluded(&kind.group, &kind.kind) {
                api_versions.push(kind.api_version());
                api_versions.push(format!("{}/{}", kind.api_version(), kind.kind));
            }
            kinds.entry(kind.group_kind()).or_default().push(kind);
        }
        api_versions.sort_unstable();
        api_versions.dedup();
        Self {
            version,
            kinds,
            api_versions,
        }
    }

    /// A kind, in the version named or else in the one that the cluster prefers.
    #[must_use]
    pub fn resolve(&self, group: &str, version: Option<&str>, kind: &str) -> Option<&ApiKind> {
        let versions = self.kinds.get(&GroupKind::new(group, kind))?;
        match version {
            Some(version) => versions.iter().find(|known| known.version == version),
            None => versions.first(),
        }
    }

    /// Every kind once, in its preferred version.
    pub fn preferred(&self) -> impl Iterator<Item = &ApiKind> {
        self.kinds.values().filter_map(|versions| versions.first())
    }

    /// The kinds that the index watches.
    pub fn watched(&self) -> impl Iterator<Item = &ApiKind> {
        self.preferred().filter(|kind| {
            kind.can("list") && kind.can("watch") && !is_excluded(&kind.group, &kind.kind)
        })
    }

    /// Whether it has the kinds of another, each in the same versions. What the cluster says of its own version does not count:
    /// while one of several servers is upgraded after another, each says something else.
    pub(crate) fn has_kinds_of(&self, other: &Self) -> bool {
        self.kinds == other.kinds
    }

    /// Whether nothing is known yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// The cluster's version.
    #[must_use]
    pub fn server_version(&self) -> &ServerVersion {
        &self.version
    }

    /// What Helm's `Capabilities.APIVersions` and Argo CD's cluster info list: `v1`, `apps/v1`,
    /// `apps/v1/Deployment`, sorted.
    #[must_use]
    pub fn api_versions(&self) -> &[String] {
        &self.api_versions
    }
}

/// Argo CD's default exclusions: kinds that others make in numbers and nobody deploys.
#[must_use]
pub fn is_excluded(group: &str, kind: &str) -> bool {
    match group {
        "events.k8s.io" | "metrics.k8s.io" | "authentication.k8s.io" | "authorization.k8s.io" => {
            true
        }
        "" => matches!(kind, "Event" | "Endpoints" | "ComponentStatus" | "Binding"),
        "discovery.k8s.io" => kind == "EndpointSlice",
        "coordination.k8s.io" => matches!(kind, "Lease" | "LeaseCandidate"),
        "certificates.k8s.io" => kind == "CertificateSigningRequest",
        "cert-manager.io" => kind == "CertificateRequest",
        "cilium.io" => matches!(
            kind,
            "CiliumIdentity" | "CiliumEndpoint" | "CiliumEndpointSlice"
        ),
        "kyverno.io" | "reports.kyverno.io" | "wgpolicyk8s.io" => matches!(
            kind,
            "PolicyReport"
                | "ClusterPolicyReport"
                | "EphemeralReport"
                | "ClusterEphemeralReport"
                | "AdmissionReport"
                | "ClusterAdmissionReport"
                | "BackgroundScanReport"
                | "ClusterBackgroundScanReport"
                | "UpdateRequest"
        ),
        _ => false,
    }
}

/// Asks for kinds, and keeps the last answer.
pub(crate) struct Discoverer {
    transport: Transport,
    current: RwLock<Arc<Discovery>>,
    asking: tokio::sync::Mutex<Option<Instant>>,
    /// Tells of every answer that says something else than the one before, whoever had asked.
    news: watch::Sender<()>,
}

impl Discoverer {
    pub(crate) fn new(transport: Transport) -> Self {
        Self {
            transport,
            current: RwLock::default(),
            asking: tokio::sync::Mutex::default(),
            news: watch::channel(()).0,
        }
    }

    /// Tells of answers from now on.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Has the last answer gone by once more, whether or not it is another.
    pub(crate) fn tell(&self) {
        self.news.send_replace(());
    }

    pub(crate) fn current(&self) -> Arc<Discovery> {
        Arc::clone(&self.current.read())
    }

    /// Asks. Callers queue; one whose wish is younger than the last answer asks anew.
    pub(crate) async fn refresh(&self) -> Result<Arc<Discovery>, Error> {
        let mut answered = self.asking.lock().await;
        self.ask(&mut answered).await
    }

    /// Asks, unless the last answer is younger than [`RECENT`]: names of kinds come from tenants, who may invent many.
    pub(crate) async fn refresh_unless_recent(&self) -> Result<Arc<Discovery>, Error> {
        let mut answered = self.asking.lock().await;
        if answered.is_some_and(|answered| answered.elapsed() < RECENT) {
            return Ok(self.current());
        }
        self.ask(&mut answered).await
    }

    async fn ask(&self, answered: &mut Option<Instant>) -> Result<Arc<Discovery>, Error> {
        let before = self.current();
        let fresh = read::discover(&self.transport, &Identity::default(), &before).await?;
        let now = self.take_in(before, fresh);
        *answered = Some(Instant::now());
        Ok(now)
    }

    /// Takes an answer in. Where it says what the one before did that one stays, the very same: what somebody has made of it is
    /// known to be good without another look.
    fn take_in(&self, before: Arc<Discovery>, fresh: Discovery) -> Arc<Discovery> {
        if *before == fresh {
            return before;
        }
        let fresh = Arc::new(fresh);
        *self.current.write() = Arc::clone(&fresh);
        self.tell();
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(group: &str, version: &str, kind: &str) -> ApiKind {
        ApiKind {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
            plural: kind.to_lowercase(),
            namespaced: true,
            verbs: vec!["list".into(), "watch".into()],
            status_apart: false,
        }
    }

    #[test]
    fn the_first_version_is_preferred_and_exclusions_are_not_listed() {
        let all = vec![
            kind("autoscaling", "v2", "HorizontalPodAutoscaler"),
            kind("autoscaling", "v1", "HorizontalPodAutoscaler"),
            kind("", "v1", "Event"),
            kind("", "v1", "Pod"),
        ];
        let discovery = Discovery::new(ServerVersion::default(), all);
        let version = |v| {
            discovery
                .resolve("autoscaling", v, "HorizontalPodAutoscaler")
                .map(|k| k.version.as_str())
        };
        assert_eq!(version(None), Some("v2"));
        assert_eq!(version(Some("v1")), Some("v1"));
        assert_eq!(version(Some("v3")), None);
        assert_eq!(discovery.watched().count(), 2);
        let expected = [
            "autoscaling/v1",
            "autoscaling/v1/HorizontalPodAutoscaler",
            "autoscaling/v2",
        ];
        assert_eq!(discovery.api_versions()[..3], expected);
        assert_eq!(discovery.api_versions()[4..], ["v1", "v1/Pod"]);
    }

    #[test]
    fn another_version_of_a_kind_is_news_and_one_of_the_cluster_is_not() {
        let of = |minor: &str, versions: &[&str]| {
            let version = ServerVersion {
                minor: minor.into(),
                ..ServerVersion::default()
            };
            let all = versions.iter().map(|version| kind("", version, "Pod"));
            Discovery::new(version, all.collect())
        };
        let known = of("35", &["v1"]);
        assert!(of("36", &["v1"]).has_kinds_of(&known));
        assert!(!of("35", &["v1", "v2"]).has_kinds_of(&known));
        assert!(!of("35", &[]).has_kinds_of(&known));
    }

    #[test]
    fn what_no_api_has_is_no_kind() {
        let long = kind("", "v1", &"X".repeat(MAX_WORD + 1));
        let mut able = kind("", "v1", "Able");
        able.verbs.resize(MAX_VERBS + 1, "list".into());
        let all = vec![long, able, kind("", "v1", "Pod")];
        let discovery = Discovery::new(ServerVersion::default(), all);
        let known: Vec<_> = discovery.preferred().map(|known| &known.kind).collect();
        assert_eq!(known, ["Pod"]);
    }
}
