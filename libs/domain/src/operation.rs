//! What somebody asked to be done, and how it went.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::application::Retry;
use crate::cause::Cause;
use crate::clock::Timestamp;
use crate::manifest::ManifestSetHash;
use crate::message::Message;
use crate::resource::ResourceKey;

/// Who asked for an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Initiator {
    /// The account; empty for the controller.
    pub username: String,
    /// Whether the controller itself asked.
    pub automated: bool,
}

/// A sync that was asked for. Its JSON is the wire's `operation`, so that nothing of a request is lost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Operation {
    /// What to sync.
    pub sync: SyncRequest,
    /// Who asked.
    pub initiated_by: Initiator,
    /// Free-text facts for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub info: Vec<Value>,
    /// What to do after a failure.
    pub retry: Retry,
}

/// The fact of an operation that says at which revisions auto-sync holds still after it.
const HOLD: &str = "naru.io/hold";

impl Operation {
    /// Has auto-sync hold still after this operation: what Git says now, named by its manifest set or else by its
    /// revisions, is not synced by itself until Git says something else or somebody syncs.
    pub fn hold(&mut self, set: Option<&ManifestSetHash>, revisions: &[String]) {
        let what = set.map_or_else(|| revisions.join(","), |set| set.0.clone());
        self.info.push(json!({"name": HOLD, "value": what}));
    }

    /// Whether auto-sync holds still while Git says this.
    #[must_use]
    pub fn holds(&self, set: Option<&ManifestSetHash>, revisions: &[String]) -> bool {
        self.held()
            .is_some_and(|held| set.is_some_and(|set| set.0 == held) || held == revisions.join(","))
    }

    /// What an operation before it held stays held where this one deploys nothing, or not everything: it has not gone on.
    pub fn keep_hold(&mut self, before: &Self) {
        let partly = self.sync.dry_run || !self.sync.resources.is_empty();
        if let Some(held) = before.held().filter(|_| partly && self.held().is_none()) {
            let fact = json!({"name": HOLD, "value": held});
            self.info.push(fact);
        }
    }

    fn held(&self) -> Option<&str> {
        let facts = self.info.iter().filter(|fact| fact["name"] == HOLD);
        facts.filter_map(|fact| fact["value"].as_str()).next_back()
    }
}

/// The particulars of a sync.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncRequest {
    /// The revision asked for; empty means the spec's.
    pub revision: String,
    /// The revisions asked for, one per source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<String>,
    /// Whether objects that left Git are deleted.
    pub prune: bool,
    /// Whether nothing may be changed.
    pub dry_run: bool,
    /// `apply` or `hook`, as asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_strategy: Option<Value>,
    /// Only these objects; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceKey>,
    /// The source to use instead of the spec's (rollback), canonical JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Value>,
    /// The same for several sources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Value>,
    /// Manifests to apply instead of Git's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<String>,
    /// `Name=value` options.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sync_options: Vec<String>,
    /// How many self-heals came before this one.
    #[serde(skip_serializing_if = "is_zero")]
    pub auto_heal_attempts_count: i64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands skip_serializing_if a reference"
)]
fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// Where an operation stands. The words are Argo CD's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Under way (also while it waits for a retry).
    Running,
    /// Asked to stop.
    Terminating,
    /// Ended, something could not be applied.
    Failed,
    /// Ended, could not be done at all.
    Error,
    /// Ended well.
    Succeeded,
}

impl Phase {
    /// Whether it has ended.
    #[must_use]
    pub fn completed(self) -> bool {
        matches!(self, Self::Failed | Self::Error | Self::Succeeded)
    }

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Terminating => "Terminating",
            Self::Failed => "Failed",
            Self::Error => "Error",
            Self::Succeeded => "Succeeded",
        }
    }
}

/// How an operation goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationState {
    /// What was asked.
    pub operation: Operation,
    /// Where it stands.
    pub phase: Phase,
    /// One sentence.
    pub message: Message,
    /// Why, where it did not end well.
    #[serde(default)]
    pub causes: Vec<Cause>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How often it was tried again.
    #[serde(default)]
    pub retry_count: i64,
    /// What was done.
    pub result: Option<SyncResult>,
}

/// What a sync did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncResult {
    /// What was synced, one per source.
    pub revisions: Vec<String>,
    /// The sources, canonical JSON.
    pub sources: Vec<Value>,
    /// Whether the spec had `sources` (several) rather than `source`.
    #[serde(default)]
    pub multiple: bool,
    /// What became of each object.
    pub resources: Vec<ResourceResult>,
    /// The labels and annotations that the spec wanted of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_namespace_metadata: Option<Value>,
}

/// What became of one object. The words are Argo CD's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceResult {
    /// The object.
    #[serde(flatten)]
    pub key: ResourceKey,
    /// The version it was applied in.
    pub version: String,
    /// `Synced`, `SyncFailed`, `Pruned` or `PruneSkipped`; none for a hook whose `hook_phase` says more.
    pub status: Option<ResultCode>,
    /// kubectl's word (`deployment.apps/web configured`), or why not.
    pub message: String,
    /// `Running`, `Succeeded`, `Failed`; `Error` for a hook that vanished.
    pub hook_phase: Phase,
    /// `Sync` for ordinary objects.
    pub sync_phase: String,
    /// Whether it is a hook, of the kind that `sync_phase` names.
    #[serde(default)]
    pub hook: bool,
    /// The images that it names.
    #[serde(default)]
    pub images: Vec<String>,
}

/// What became of one object, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResultCode {
    /// Applied.
    Synced,
    /// Not applied.
    SyncFailed,
    /// Deleted.
    Pruned,
    /// Would have been deleted.
    PruneSkipped,
}

impl ResultCode {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "Synced",
            Self::SyncFailed => "SyncFailed",
            Self::Pruned => "Pruned",
            Self::PruneSkipped => "PruneSkipped",
        }
    }
}
