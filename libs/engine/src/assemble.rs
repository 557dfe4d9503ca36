//! Everything known of an application becomes its status.

use std::collections::{BTreeMap, HashMap};

use domain::application::Destination;
use domain::cause::{Cause, Severity};
use domain::clock::Timestamp;
use domain::manifest::{ManifestSetHash, SourceType};
use domain::message;
use domain::resource::ResourceKey;
use domain::status::{HealthCode, ResourceStatus, Status, SyncCode};
use serde_json::Value;

use crate::compare::Comparison;
use crate::health::{Health, Part, is_vague, rollup};
use crate::options::Role;

/// No status carries more.
const MAX_CAUSES: usize = 100;

/// What was found out in one reconciliation.
#[derive(Clone)]
pub struct Facts<'a> {
    /// Now.
    pub now: Timestamp,
    /// The comparison; `None` when there could be none (bad spec, cluster away): everything is Unknown, and what was listed stays so.
    pub comparison: Option<&'a Comparison>,
    /// How the live objects fare; objects without a rule are absent.
    pub health: &'a HashMap<ResourceKey, Health>,
    /// The live objects that do not count for the application's health (`ignore-healthcheck`).
    pub ignored_health: &'a [ResourceKey],
    /// Everything else that was noticed: of the source, of preparing, of linting, of auto-sync.
    pub causes: Vec<Cause>,
    /// The revisions compared.
    pub revisions: Vec<String>,
    /// The sources compared, canonical JSON.
    pub sources: Vec<Value>,
    /// Whether the spec has `sources`.
    pub multiple: bool,
    /// The destination compared.
    pub destination: Destination,
    /// The spec's `ignoreDifferences` that were compared with, canonical JSON.
    pub ignore_differences: Vec<Value>,
    /// What rendered each source.
    pub source_types: Vec<SourceType>,
    /// The manifest set compared.
    pub manifest_set: Option<ManifestSetHash>,
    /// Links.
    pub external_urls: Vec<String>,
    /// Images.
    pub images: Vec<String>,
    /// Whether this answers a refresh or ends an operation, so that clients wait for its time.
    pub requested: bool,
}

/// The status that follows from what was found out; operation and history stay as they are in `previous`.
#[must_use]
pub fn assemble(previous: &Status, facts: Facts<'_>) -> Status {
    let resources = match facts.comparison {
        Some(comparison) => resources(comparison, facts.health),
        None => unknown(&previous.resources),
    };
    let sync = facts.comparison.map_or(SyncCode::Unknown, |c| c.sync);
    let health = match facts.comparison {
        None => HealthCode::Unknown,
        // Nothing rendered and nothing live: there is nothing to call healthy.
        Some(comparison) if sync == SyncCode::Unknown && comparison.resources.is_empty() => {
            HealthCode::Unknown
        }
        Some(comparison) => rollup(parts(comparison, &facts)),
    };
    let causes = causes(sync, health, &facts);
    Status {
        sync,
        cause_since: since(previous, &causes, facts.now),
        causes,
        health: Some(health),
        health_since: match previous.health_since {
            Some(since) if previous.health == Some(health) => Some(since),
            _ => Some(facts.now),
        },
        resources,
        revisions: facts.revisions,
        compared_sources: facts.sources,
        multiple: facts.multiple,
        compared_destination: facts.destination,
        compared_ignore_differences: facts.ignore_differences,
        reconciled_at: if facts.requested || previous.reconciled_at.is_none() {
            Some(facts.now)
        } else {
            previous.reconciled_at
        },
        source_types: facts.source_types,
        external_urls: sorted(facts.external_urls),
        images: sorted(facts.images),
        manifest_set: facts.manifest_set,
        operation: previous.operation.clone(),
        history: previous.history.clone(),
    }
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts.dedup();
    texts
}

fn resources(
    comparison: &Comparison,
    health: &HashMap<ResourceKey, Health>,
) -> Vec<ResourceStatus> {
    let mut statuses = comparison.statuses();
    for status in &mut statuses {
        if !comparison.find(&status.key).is_some_and(|r| r.live) {
            status.health = Some(HealthCode::Missing);
        } else if let Some(health) = health.get(&status.key) {
            status.health = Some(health.code);
            status.health_message.clone_from(&health.message);
        }
    }
    statuses
}

/// The objects as they were listed last, where nobody knows by now how they are: they are not gone for that. A deletion asks for what
/// is listed, and a quota counts it.
fn unknown(listed: &[ResourceStatus]) -> Vec<ResourceStatus> {
    let unknown = |resource: &ResourceStatus| ResourceStatus {
        status: resource.status.map(|_| SyncCode::Unknown),
        health: resource.health.map(|_| HealthCode::Unknown),
        health_message: String::new(),
        ..resource.clone()
    };
    listed.iter().map(unknown).collect()
}

fn parts(comparison: &Comparison, facts: &Facts<'_>) -> Vec<Part> {
    comparison
        .resources
        .iter()
        .filter(|r| r.role == Role::Ordinary && !facts.ignored_health.contains(&r.key))
        .map(|r| Part {
            health: facts.health.get(&r.key).map(|h| h.code),
            live: r.live,
        })
        .collect()
}

/// Errors, then why it is not healthy, then why it is out of sync, then warnings; within each the most specific first.
/// A state that is not Synced and Healthy always has one.
fn causes(sync: SyncCode, health: HealthCode, facts: &Facts<'_>) -> Vec<Cause> {
    let mut causes = facts.causes.clone();
    causes.extend(
        facts
            .comparison
            .iter()
            .flat_map(|c| c.causes.iter().cloned()),
    );
    // That another application has an object too is a warning, and why it is out of sync; of nothing else.
    let explains = |cause: &Cause| {
        cause.severity != Severity::Warning
            || (sync == SyncCode::OutOfSync && cause.message.is(&message::sync::SHARED_RESOURCE))
    };
    let explained = causes.iter().any(explains);
    if sync != SyncCode::Synced && !explained {
        let code = if sync == SyncCode::OutOfSync {
            message::sync::OUT_OF_SYNC
        } else {
            message::sync::NOT_COMPARED
        };
        causes.push(Cause::reason(code.message()));
    }
    let mut of_health = health_causes(facts);
    if of_health.is_empty() && health != HealthCode::Healthy {
        match health {
            HealthCode::Missing if sync == SyncCode::OutOfSync => {}
            HealthCode::Missing => {
                of_health.push(Cause::reason(message::health::MISSING.message()))
            }
            _ if !explained => {
                of_health.push(Cause::reason(message::health::APP_UNKNOWN.message()))
            }
            _ => {}
        }
    }
    let specific = |cause: &Cause| {
        let parts = [
            cause.resource.is_some(),
            cause.location.is_some(),
            cause.field.is_some(),
            cause.evidence.is_some(),
        ];
        std::cmp::Reverse(parts.into_iter().filter(|known| *known).count())
    };
    causes.sort_by_key(|cause| (order(cause.severity), specific(cause)));
    let reasons = causes
        .iter()
        .position(|c| c.severity != Severity::Error)
        .unwrap_or(causes.len());
    causes.splice(reasons..reasons, of_health);
    let mut seen: Vec<Cause> = Vec::with_capacity(causes.len());
    for cause in causes {
        if !seen.contains(&cause) && seen.len() < MAX_CAUSES {
            seen.push(cause);
        }
    }
    seen
}

fn order(severity: Severity) -> u8 {
    match severity {
        Severity::Error => 0,
        Severity::Reason => 1,
        Severity::Warning => 2,
    }
}

/// Why objects are not healthy, the worst objects first; among them those that say more than that they are not done.
fn health_causes(facts: &Facts<'_>) -> Vec<Cause> {
    let mut by_code: BTreeMap<std::cmp::Reverse<HealthCode>, Vec<(&ResourceKey, &Health)>> =
        BTreeMap::new();
    for (key, health) in facts.health {
        let listed = facts
            .comparison
            .is_some_and(|c| c.find(key).is_some_and(|r| r.role == Role::Ordinary));
        if health.code != HealthCode::Healthy && listed && !facts.ignored_health.contains(key) {
            by_code
                .entry(std::cmp::Reverse(health.code))
                .or_default()
                .push((key, health));
        }
    }
    by_code
        .into_values()
        .flat_map(|mut objects| {
            let vague = |health: &Health| health.causes.first().is_none_or(is_vague);
            objects.sort_by_key(|(key, health)| (vague(health), *key));
            objects
        })
        .flat_map(|(_, health)| health.causes.iter().cloned())
        .collect()
}

/// A cause goes on as long as the same thing is said of the same place, whatever its numbers and evidence.
fn since(previous: &Status, causes: &[Cause], now: Timestamp) -> Vec<Timestamp> {
    let same = |a: &Cause, b: &Cause| {
        a.message.code == b.message.code
            && a.resource == b.resource
            && a.field == b.field
            && a.severity == b.severity
    };
    causes
        .iter()
        .map(|cause| {
            let before = previous
                .causes
                .iter()
                .zip(&previous.cause_since)
                .find(|(old, _)| same(old, cause));
            before.map_or(now, |(_, since)| *since)
        })
        .collect()
}
