//! What a case says: what Git has, what the cluster has, and what is shown of what comes of it.

use std::collections::BTreeMap;

use domain::application::{IgnoreDifference, Retry};
use domain::cause::Location;
use domain::manifest::{Manifest, Replaced};
use domain::operation::SyncRequest;
use serde::Deserialize;
use serde_json::Value;

use crate::automation::{Attempt, Look};

/// What a case says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Case {
    /// Why it is here, for readers.
    #[serde(rename = "//")]
    pub(crate) _why: String,
    pub(crate) manifests: Vec<Given>,
    pub(crate) tenant: String,
    pub(crate) namespace: String,
    pub(crate) namespaces: Vec<String>,
    /// Whether nothing outside of namespaces is looked at.
    pub(crate) namespaces_only: bool,
    pub(crate) mapped: Option<Vec<String>>,
    pub(crate) options: Vec<String>,
    pub(crate) project: Option<Value>,
    /// `resource.exclusions` of the tenant's settings.
    pub(crate) exclusions: String,
    /// `application.resourceTrackingMethod` and `application.instanceLabelKey` of the tenant's settings.
    pub(crate) tracking: String,
    pub(crate) label: String,
    /// By what the objects of `applied` are tracked, where that was another method.
    pub(crate) formerly: String,
    /// Other settings of the tenant's, by their keys in `argocd-cm`.
    pub(crate) settings: BTreeMap<String, String>,
    /// Whether the tenant has added the cluster.
    pub(crate) added: bool,
    /// `resource.customizations.knownTypeFields` of the tenant's settings, by kind.
    pub(crate) known: BTreeMap<String, String>,
    pub(crate) live: Vec<LiveGiven>,
    /// Objects remembered as applied: nothing of theirs is compared while hash and state stay.
    pub(crate) remembered: bool,
    pub(crate) bodies: bool,
    pub(crate) ignore: Vec<IgnoreDifference>,
    /// The places that jq expressions name, by `kind/name`: as wanted and as live.
    pub(crate) places: BTreeMap<String, [Vec<String>; 2]>,
    /// The objects for which nobody could say that now, as `kind/name`.
    pub(crate) unnamed: Vec<String>,
    /// The application's compare options, as its annotation says them.
    pub(crate) compare: String,
    pub(crate) sync: SyncRequest,
    pub(crate) namespace_exists: bool,
    /// `managedNamespaceMetadata` of the application's spec.
    pub(crate) namespace_metadata: Option<Value>,
    pub(crate) approved: bool,
    pub(crate) around: Option<Vec<Value>>,
    /// Actions to run on each live object.
    pub(crate) runs: Vec<Run>,
    /// Looks at an application that may sync by itself.
    pub(crate) looks: Vec<Look>,
    /// How operations that failed are to be tried again.
    pub(crate) retries: Vec<Retry>,
    /// Attempts of operations that fail.
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) show: Vec<String>,
}

/// An action and its parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    pub(crate) action: String,
    #[serde(default)]
    pub(crate) parameters: BTreeMap<String, String>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            _why: String::new(),
            manifests: vec![],
            tenant: "user01".into(),
            namespace: "user01".into(),
            namespaces: vec!["user01".into()],
            namespaces_only: false,
            mapped: None,
            options: vec![],
            project: None,
            exclusions: String::new(),
            tracking: "annotation".into(),
            label: String::new(),
            formerly: String::new(),
            settings: BTreeMap::new(),
            added: false,
            known: BTreeMap::new(),
            live: vec![],
            remembered: false,
            bodies: true,
            ignore: vec![],
            places: BTreeMap::new(),
            unnamed: vec![],
            compare: String::new(),
            sync: SyncRequest::default(),
            namespace_exists: true,
            namespace_metadata: None,
            approved: false,
            around: None,
            runs: vec![],
            looks: vec![],
            retries: vec![],
            attempts: vec![],
            show: vec![],
        }
    }
}

/// A manifest, and where its fields are.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Given {
    pub(crate) object: Value,
    #[serde(default)]
    pub(crate) file: String,
    #[serde(default)]
    pub(crate) line: u32,
    #[serde(default)]
    pub(crate) lines: Vec<(String, u32)>,
    /// The variables that were replaced in it.
    #[serde(default)]
    pub(crate) replaced: Vec<Replaced>,
}

impl Given {
    pub(crate) fn manifest(&self) -> Manifest {
        let location = (!self.file.is_empty()).then(|| Location {
            path: self.file.clone(),
            line: self.line.max(1),
        });
        let mut lines = self.lines.clone();
        lines.sort();
        Manifest {
            object: self.object.clone(),
            location,
            lines,
            replaced: self.replaced.clone(),
        }
    }
}

/// A live object: what our apply of `applied` made, changed by the merge patch `then`; or a body as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LiveGiven {
    pub(crate) applied: Option<Value>,
    pub(crate) body: Option<Value>,
    #[serde(default)]
    pub(crate) then: Value,
    /// Whether it was looked at before `then`, and found to be as Git said.
    #[serde(default)]
    pub(crate) drifted: bool,
    /// What others than our manager have of it, as managedFields say it.
    #[serde(default)]
    pub(crate) others: Vec<Value>,
    /// What a dry run of its target makes of it.
    pub(crate) predicted: Option<Box<Self>>,
    /// What the cluster says against it instead.
    pub(crate) refused: Option<String>,
}
