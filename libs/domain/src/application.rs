//! An application: what to deploy, from where, to where.
//!
//! Metadata and spec are documents: canonical JSON with every field that was ever written, unknown ones included.
//! [`Metadata`] and [`Spec`] are typed views of what the platform itself reads; a view is never written back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::operation::Operation;
use crate::revision::Target;
use crate::status::Status;

/// The annotation by which a client asks for a refresh; the controller removes it when done.
pub const REFRESH: &str = "argocd.argoproj.io/refresh";
/// The annotation that turns variables on or off for one application.
pub const VARIABLES: &str = "naru.io/variables";
/// The finalizer that makes deletion cascade.
pub const RESOURCES_FINALIZER: &str = "resources-finalizer.argocd.argoproj.io";
/// The finalizer that keeps an application until its `PreDelete` hooks have run.
pub const PRE_DELETE_FINALIZER: &str = "pre-delete-finalizer.argocd.argoproj.io";
/// The finalizer that keeps it until they are cleaned up.
pub const PRE_DELETE_CLEANUP: &str = "pre-delete-finalizer.argocd.argoproj.io/cleanup";
/// The finalizer that keeps an application until its `PostDelete` hooks have run.
pub const POST_DELETE_FINALIZER: &str = "post-delete-finalizer.argocd.argoproj.io";
/// The finalizer that keeps it until they are cleaned up.
pub const POST_DELETE_CLEANUP: &str = "post-delete-finalizer.argocd.argoproj.io/cleanup";
/// The in-cluster server address, as every Argo CD client writes it.
pub const IN_CLUSTER_SERVER: &str = "https://kubernetes.default.svc";
/// The in-cluster name.
pub const IN_CLUSTER_NAME: &str = "in-cluster";
/// The namespace that every application is said to live in.
pub const CONTROL_PLANE_NAMESPACE: &str = "argocd";

/// The one Kustomize that builds, as its versions are written.
pub const KUSTOMIZE_VERSION: &str = "v5.8.2";

/// An application as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Application {
    /// `metadata` as a Kubernetes ObjectMeta document (name, uid, labels, annotations, finalizers, deletionTimestamp ...);
    /// `resourceVersion`, `generation` and `creationTimestamp` are filled in on read.
    pub metadata: Value,
    /// `spec`, canonical JSON.
    pub spec: Value,
    /// The operation asked for, until the controller has finished it.
    pub operation: Option<Operation>,
    /// What the controller says.
    pub status: Status,
    /// The tenant's counter at the last write.
    pub resource_version: i64,
}

impl Application {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        crate::resource::text(&self.metadata, &["name"])
    }

    /// Its uid.
    #[must_use]
    pub fn uid(&self) -> &str {
        crate::resource::text(&self.metadata, &["uid"])
    }

    /// An annotation.
    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.get("annotations")?.get(name)?.as_str()
    }

    /// Whether its deletion has begun.
    #[must_use]
    pub fn deleting(&self) -> bool {
        self.metadata
            .get("deletionTimestamp")
            .is_some_and(Value::is_string)
    }

    /// Its finalizers.
    pub fn finalizers(&self) -> impl Iterator<Item = &str> {
        self.metadata
            .get("finalizers")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
    }

    /// The typed view of its spec.
    ///
    /// # Errors
    /// When a field that the platform reads has the wrong shape; the text names it.
    pub fn view(&self) -> Result<Spec, serde_json::Error> {
        Spec::deserialize(&self.spec)
    }
}

/// Finalizers that an application gets and loses; what it has already, or not, stays so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinalizerChange {
    /// Those that it gets, unless its deletion has begun.
    pub add: Vec<String>,
    /// Those that it loses.
    pub remove: Vec<String>,
}

impl FinalizerChange {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }
}

/// The typed view of `spec`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// The one source.
    pub source: Option<Source>,
    /// Several sources; they win over [`Spec::source`].
    pub sources: Vec<Source>,
    /// Where to.
    pub destination: Destination,
    /// The project; empty means `default`.
    pub project: String,
    /// When to sync by itself, and how.
    pub sync_policy: Option<SyncPolicy>,
    /// What a comparison leaves out.
    pub ignore_differences: Vec<IgnoreDifference>,
    /// How many history entries the wire shows; 10 when absent.
    pub revision_history_limit: Option<i64>,
}

/// The project in force of a spec as it is stored: `default` when it names none.
#[must_use]
pub fn project_of(spec: &Value) -> &str {
    project_or_default(crate::resource::text(spec, &["project"]))
}

/// The project in force where a spec names this one, or none.
#[must_use]
pub fn project_or_default(named: &str) -> &str {
    match named {
        "" => "default",
        project => project,
    }
}

impl Spec {
    /// The sources in force: `sources`, else the one `source`.
    #[must_use]
    pub fn effective_sources(&self) -> Vec<&Source> {
        if self.sources.is_empty() {
            self.source.iter().collect()
        } else {
            self.sources.iter().collect()
        }
    }

    /// The project in force.
    #[must_use]
    pub fn project(&self) -> &str {
        if self.project.is_empty() {
            "default"
        } else {
            &self.project
        }
    }

    /// The automation in force, if any.
    #[must_use]
    pub fn automated(&self) -> Option<&Automated> {
        self.sync_policy
            .as_ref()?
            .automated
            .as_ref()
            .filter(|a| a.enabled != Some(false))
    }
}

/// One source of manifests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Source {
    /// The repository.
    #[serde(rename = "repoURL")]
    pub repo_url: String,
    /// The folder in it.
    pub path: String,
    /// Branch, tag, commit or version; empty means HEAD.
    pub target_revision: String,
    /// What the tags begin with among which a version or a range is looked for; not of a chart or an artifact.
    pub tag_prefix: String,
    /// A Helm chart's name, for chart repositories.
    pub chart: String,
    /// The name under which other sources may refer to this one.
    #[serde(rename = "ref")]
    pub reference: String,
    /// A name to address this source by.
    pub name: String,
    /// Kustomize's options.
    pub kustomize: Option<Kustomize>,
    /// The plain directory's options.
    pub directory: Option<Directory>,
    /// Helm's options, kept whole.
    pub helm: Option<Value>,
    /// A plugin's options, kept whole.
    pub plugin: Option<Value>,
}

impl Source {
    /// What a revision of it asks for of a Git repository.
    #[must_use]
    pub fn target<'a>(&'a self, revision: &'a str) -> Target<'a> {
        Target {
            revision,
            tag_prefix: &self.tag_prefix,
        }
    }

    /// Whether it is an artifact of a registry: its revisions are digests, and nothing in it is Git's.
    #[must_use]
    pub fn is_artifact(&self) -> bool {
        self.chart.is_empty() && crate::repository::is_artifact(&self.repo_url)
    }

    /// Whether it makes manifests; one that others only refer to does not.
    #[must_use]
    pub fn yields(&self) -> bool {
        self.reference.is_empty()
            || !self.path.is_empty()
            || !self.chart.is_empty()
            || self.is_artifact()
    }
}

/// Options of a kustomization, as the Application spec has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kustomize {
    #[serde(skip_serializing_if = "String::is_empty")]
    /// Prefix of every name.
    pub name_prefix: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    /// Suffix of every name.
    pub name_suffix: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    /// Image overrides, `[old=]name[:tag|@digest]`.
    pub images: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    /// Labels for everything.
    pub common_labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    /// Annotations for everything.
    pub common_annotations: BTreeMap<String, String>,
    /// Whether labels may overwrite.
    pub force_common_labels: bool,
    /// Whether annotations may overwrite.
    pub force_common_annotations: bool,
    /// Whether build variables are filled into annotations.
    pub common_annotations_envsubst: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    /// The namespace of everything.
    pub namespace: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    /// Replica overrides.
    pub replicas: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    /// Patches.
    pub patches: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    /// Components.
    pub components: Vec<String>,
    /// Whether a missing component is left out.
    pub ignore_missing_components: bool,
    /// Whether labels stay out of selectors.
    pub label_without_selector: bool,
    /// Whether labels go into templates.
    pub label_include_templates: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    /// Kustomize's version.
    pub version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    /// The cluster's version for charts in it; empty for the one that it has.
    pub kube_version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    /// The cluster's APIs for charts in it; none for those that it has.
    pub api_versions: Vec<String>,
}

/// Options of a plain directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Directory {
    /// Whether sub-folders count.
    pub recurse: bool,
    /// A glob of files to leave out.
    pub exclude: String,
    /// A glob of files to take.
    pub include: String,
    /// Whether files count whatever their names end in.
    pub disable_extension_filter: bool,
    /// Jsonnet's options, kept whole.
    pub jsonnet: Option<Value>,
}

/// Where an application is deployed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Destination {
    /// The cluster by address.
    pub server: String,
    /// The cluster by name.
    pub name: String,
    /// The namespace of objects that name none.
    pub namespace: String,
}

/// When and how to sync.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncPolicy {
    /// Sync without a person.
    pub automated: Option<Automated>,
    /// `Name=value` options.
    pub sync_options: Vec<String>,
    /// What to do after a failure.
    pub retry: Option<Retry>,
    /// Labels and annotations of a namespace made for the application.
    pub managed_namespace_metadata: Option<Value>,
}

/// Sync without a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Automated {
    /// Whether objects that left Git are deleted.
    pub prune: bool,
    /// Whether drift is undone.
    pub self_heal: bool,
    /// Whether an empty manifest set may delete everything.
    pub allow_empty: bool,
    /// `Some(false)` switches it off without losing the rest.
    pub enabled: Option<bool>,
}

/// What to do after a failed sync.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Retry {
    /// How often; negative without end.
    pub limit: i64,
    /// How long to wait.
    pub backoff: Option<Backoff>,
    /// Whether a newer revision is taken up.
    pub refresh: bool,
}

/// How long to wait between tries. Durations as Go writes them (`5s`, `1m30s`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Backoff {
    /// The first wait.
    pub duration: String,
    /// What each further one is multiplied by; 2 when absent.
    pub factor: Option<i64>,
    /// The longest wait.
    pub max_duration: String,
}

/// What a comparison leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IgnoreDifference {
    /// The group, or a glob.
    pub group: String,
    /// The kind, or a glob.
    pub kind: String,
    /// The name; empty for all.
    pub name: String,
    /// The namespace; empty for all.
    pub namespace: String,
    /// RFC 6901 pointers.
    pub json_pointers: Vec<String>,
    /// jq expressions.
    pub jq_path_expressions: Vec<String>,
    /// Field managers whose fields are left out.
    pub managed_fields_managers: Vec<String>,
}

/// One past deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Grows by one from 0.
    pub id: i64,
    /// What was deployed, one per source.
    pub revisions: Vec<String>,
    /// The sources as they were, canonical JSON.
    pub sources: Vec<Value>,
    /// Whether the spec had `sources` (several) rather than `source`.
    pub multiple: bool,
    /// When the sync began.
    pub deploy_started_at: Timestamp,
    /// When it ended.
    pub deployed_at: Timestamp,
    /// Who asked.
    pub initiated_by: crate::operation::Initiator,
    /// The manifest set that was applied.
    pub manifest_set: crate::manifest::ManifestSetHash,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_project_is_the_default_one() {
        assert_eq!(project_of(&serde_json::json!({"project": ""})), "default");
        assert_eq!(project_of(&serde_json::json!({"project": "x"})), "x");
        assert_eq!(project_of(&serde_json::json!({})), "default");
    }
}
