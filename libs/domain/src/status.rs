//! What the controller says of an application.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::application::{Destination, HistoryEntry};
use crate::cause::Cause;
use crate::clock::Timestamp;
use crate::manifest::{ManifestSetHash, SourceType};
use crate::message;
use crate::operation::OperationState;
use crate::resource::ResourceKey;

/// Whether the cluster is what Git says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SyncCode {
    /// It is.
    Synced,
    /// It is not.
    OutOfSync,
    /// Nobody can say.
    #[default]
    Unknown,
}

impl SyncCode {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "Synced",
            Self::OutOfSync => "OutOfSync",
            Self::Unknown => "Unknown",
        }
    }
}

/// How an object or an application fares, from best to worst.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum HealthCode {
    /// Works.
    Healthy,
    /// Stopped on purpose.
    Suspended,
    /// On its way.
    Progressing,
    /// Not there.
    Missing,
    /// Does not work.
    Degraded,
    /// Nobody can say.
    #[default]
    Unknown,
}

impl HealthCode {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Suspended => "Suspended",
            Self::Progressing => "Progressing",
            Self::Missing => "Missing",
            Self::Degraded => "Degraded",
            Self::Unknown => "Unknown",
        }
    }

    /// The code of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let all = [
            Self::Healthy,
            Self::Suspended,
            Self::Progressing,
            Self::Missing,
            Self::Degraded,
            Self::Unknown,
        ];
        all.into_iter().find(|code| code.as_str() == word)
    }
}

/// One managed object's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceStatus {
    /// The object.
    #[serde(flatten)]
    pub key: ResourceKey,
    /// Its version in Git, or live when it left Git.
    pub version: String,
    /// Whether it is what Git says; `None` for hooks.
    pub status: Option<SyncCode>,
    /// How it fares; `None` for kinds without a rule.
    pub health: Option<HealthCode>,
    /// Why it fares so, for people, in English as the cluster says it.
    #[serde(default)]
    pub health_message: String,
    /// Whether it left Git and waits to be deleted.
    #[serde(default)]
    pub requires_pruning: bool,
    /// Whether a person has to confirm its deletion (`Delete=confirm`), where Git or the cluster says so.
    #[serde(default)]
    pub requires_deletion_confirmation: bool,
    /// Its wave.
    #[serde(default)]
    pub sync_wave: i64,
    /// Whether it is a hook.
    #[serde(default)]
    pub hook: bool,
}

/// Everything the controller says of an application. Its JSON is the store's, never the wire's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Whether the cluster is what Git says.
    pub sync: SyncCode,
    /// The revisions compared, one per source.
    pub revisions: Vec<String>,
    /// The sources compared, canonical JSON; empty before the first comparison.
    pub compared_sources: Vec<Value>,
    /// Whether the spec had `sources` (several) rather than `source`.
    pub multiple: bool,
    /// The destination compared.
    pub compared_destination: Destination,
    /// The spec's `ignoreDifferences` as they were compared with, canonical JSON. Most applications have none, and their rows
    /// say nothing of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compared_ignore_differences: Vec<Value>,
    /// How the application fares; `None` before the first comparison.
    pub health: Option<HealthCode>,
    /// Since when.
    pub health_since: Option<Timestamp>,
    /// The managed objects, sorted by key.
    pub resources: Vec<ResourceStatus>,
    /// Why it is so, most specific first, and the lints.
    pub causes: Vec<Cause>,
    /// Since when each of [`Status::causes`] has held, parallel to it.
    pub cause_since: Vec<Timestamp>,
    /// When it was last compared on request or after an operation.
    pub reconciled_at: Option<Timestamp>,
    /// The last operation.
    pub operation: Option<OperationState>,
    /// What rendered each source.
    pub source_types: Vec<SourceType>,
    /// The links that its Ingresses and Services offer.
    pub external_urls: Vec<String>,
    /// The images that run.
    pub images: Vec<String>,
    /// The manifest set that was compared.
    pub manifest_set: Option<ManifestSetHash>,
    /// The newest entries of its history, oldest first, at most as many as the wire shows.
    pub history: Vec<HistoryEntry>,
}

impl Status {
    /// For how long it says one of these; no time where it says none of them, or a clock was set.
    #[must_use]
    pub fn lasted(&self, codes: &[&message::Code], now: Timestamp) -> Duration {
        let causes = self.causes.iter().zip(&self.cause_since);
        let since = causes
            .filter(|(cause, _)| codes.iter().any(|code| cause.message.is(code)))
            .map(|(_, since)| *since)
            .min();
        let lasted = since.and_then(|since| now.signed_duration_since(since).to_std().ok());
        lasted.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_row_with_rules_of_its_own_says_what_was_left_out() {
        let name = "comparedIgnoreDifferences";
        let mut status = Status::default();
        let stored = serde_json::to_value(&status).unwrap();
        assert_eq!(stored.get(name), None);
        assert_eq!(serde_json::from_value::<Status>(stored).unwrap(), status);
        status.compared_ignore_differences = vec![json!({"kind": "ConfigMap"})];
        let stored = serde_json::to_value(&status).unwrap();
        assert_eq!(stored[name], json!([{"kind": "ConfigMap"}]));
        assert_eq!(serde_json::from_value::<Status>(stored).unwrap(), status);
    }
}
