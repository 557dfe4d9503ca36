//! Whether an application syncs by itself now.

use chrono::TimeDelta;
use domain::application::Retry;
use domain::cause::Cause;
use domain::clock::Timestamp;
use domain::manifest::ManifestSetHash;
use domain::message::{self, Language};
use domain::operation::{Initiator, Operation, OperationState, Phase, SyncRequest};
use domain::project::gate::{Applicant, Begun, Closed};
use domain::resource::ResourceKey;
use domain::status::{ResourceStatus, SyncCode};
use serde_json::Value;

use crate::retry::AUTOMATED_LIMIT;

/// After this long without a self-heal their count begins anew.
const COOL_DOWN: TimeDelta = TimeDelta::seconds(330);
/// The waits before the first, second, … self-heal in a row, in seconds.
const HEAL_WAITS: [i64; 7] = [0, 2, 6, 18, 54, 162, 300];

/// Everything that decides it.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The application: its name, its spec and its project's windows.
    pub applicant: Applicant<'a>,
    /// Its sources as canonical JSON, one per source.
    pub sources: &'a [Value],
    /// Whether its deletion has begun.
    pub deleting: bool,
    /// Whether an operation is asked for or under way.
    pub busy: bool,
    /// The last operation.
    pub last: Option<&'a OperationState>,
    /// The revisions just compared, one per source.
    pub revisions: &'a [String],
    /// The manifest set just compared.
    pub manifest_set: Option<&'a ManifestSetHash>,
    /// What the comparison says.
    pub sync: SyncCode,
    /// The objects compared.
    pub resources: &'a [ResourceStatus],
    /// Now.
    pub now: Timestamp,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing, for nothing is to be done.
    Nothing(Idle),
    /// Begin this operation.
    Sync(Box<Operation>),
    /// Ask again at this time.
    Wait(Timestamp),
    /// Nothing, and somebody must look.
    Refused(Box<Cause>),
    /// Nothing while the project's windows keep it back.
    Closed(Box<Closed>),
}

/// Why an application does nothing by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// It does not sync by itself.
    Off,
    /// Its deletion has begun.
    Deleting,
    /// An operation is asked for or under way.
    Busy,
    /// It is not OutOfSync.
    InStep,
    /// All that differs left Git, and it does not prune by itself.
    OnlyPruning,
    /// What Git says has been synced, and it does not heal itself.
    SyncedOnce,
}

/// Decides whether an application syncs by itself now.
#[must_use]
pub fn decide(input: &Input<'_>) -> Decision {
    let spec = input.applicant.spec;
    let Some(automated) = spec.automated() else {
        return Decision::Nothing(Idle::Off);
    };
    let idle = match input {
        Input { deleting: true, .. } => Some(Idle::Deleting),
        Input { busy: true, .. } => Some(Idle::Busy),
        Input { sync, .. } if *sync != SyncCode::OutOfSync => Some(Idle::InStep),
        _ => None,
    };
    if let Some(idle) = idle {
        return Decision::Nothing(idle);
    }
    let out_of_sync = || {
        input
            .resources
            .iter()
            .filter(|r| r.status.is_some_and(|s| s != SyncCode::Synced))
    };
    if !automated.prune && out_of_sync().all(|r| r.requires_pruning) {
        return Decision::Nothing(Idle::OnlyPruning);
    }
    let multiple = !spec.sources.is_empty();
    let revision = input.revisions.join(", ");
    if let Some(last) = input
        .last
        .filter(|last| last.operation.holds(input.manifest_set, input.revisions))
    {
        let deployed = &last.operation.sync;
        let deployed = match deployed.revisions.as_slice() {
            [] => deployed.revision.clone(),
            several => several.join(", "),
        };
        let message = message::sync::HELD
            .with("account", &last.operation.initiated_by.username)
            .with("deployed", deployed)
            .with("revision", &revision);
        return Decision::Refused(Box::new(Cause::reason(message)));
    }
    let mut request = SyncRequest {
        prune: automated.prune,
        sync_options: spec
            .sync_policy
            .as_ref()
            .map(|p| p.sync_options.clone())
            .unwrap_or_default(),
        ..SyncRequest::default()
    };
    if multiple {
        request.revisions = input.revisions.to_vec();
        request.sources = input.sources.to_vec();
    } else {
        request.revision = input.revisions.first().cloned().unwrap_or_default();
        request.source = input.sources.first().cloned();
    }

    if let Some(last) = input.last.filter(|last| attempted(last, input)) {
        if last.phase != Phase::Succeeded {
            let message = message::sync::LAST_ATTEMPT_FAILED
                .with("revision", &revision)
                .with("message", last.message.render(Language::English));
            let mut cause = Cause::error(message);
            // The most specific reason of that attempt says what to edit.
            if let Some(reason) = last.causes.first() {
                cause.resource.clone_from(&reason.resource);
                cause.location.clone_from(&reason.location);
                cause.evidence = Some(reason.message.render(Language::English));
            }
            return Decision::Refused(Box::new(cause));
        }
        if !automated.self_heal {
            return Decision::Nothing(Idle::SyncedOnce);
        }
        let count = heals(last, input.now);
        if let Some(until) = heal_at(last, count).filter(|until| *until > input.now) {
            return Decision::Wait(until);
        }
        request.auto_heal_attempts_count = count.saturating_add(1);
        // As on the wire: group, kind and name only.
        request.resources = out_of_sync()
            .map(|r| ResourceKey {
                namespace: String::new(),
                ..r.key.clone()
            })
            .collect();
    }

    if automated.prune
        && !automated.allow_empty
        && input.resources.iter().all(|r| r.requires_pruning)
    {
        let message = message::sync::WIPE_OUT.with("revision", &revision);
        return Decision::Refused(Box::new(Cause::error(message)));
    }
    if let Some(closed) = input.applicant.closed(Begun::ByItself, input.now) {
        return Decision::Closed(Box::new(closed));
    }
    let retry = spec.sync_policy.as_ref().and_then(|p| p.retry.clone());
    Decision::Sync(Box::new(Operation {
        sync: request,
        initiated_by: Initiator {
            username: String::new(),
            automated: true,
        },
        info: Vec::new(),
        retry: retry.unwrap_or(Retry {
            limit: AUTOMATED_LIMIT,
            ..Retry::default()
        }),
    }))
}

/// Whether the last operation was for just these revisions and sources. One that ended without any result counts: it
/// would only fail again. So does one that came to nothing: its result says what it was for. One that was given up since Git said
/// something else does not: it was not tried to its end, and Git says the same again.
fn attempted(last: &OperationState, input: &Input<'_>) -> bool {
    if last.message.is(&message::sync::SUPERSEDED) {
        return false;
    }
    match &last.result {
        None => last.phase.completed(),
        Some(result) => result.revisions == input.revisions && result.sources == input.sources,
    }
}

/// How many self-heals came right before.
fn heals(last: &OperationState, now: Timestamp) -> i64 {
    match last.finished_at {
        Some(finished) if now.signed_duration_since(finished) < COOL_DOWN => {
            last.operation.sync.auto_heal_attempts_count.max(0)
        }
        _ => 0,
    }
}

fn heal_at(last: &OperationState, count: i64) -> Option<Timestamp> {
    let step = usize::try_from(count)
        .unwrap_or_default()
        .min(HEAL_WAITS.len() - 1);
    last.finished_at?
        .checked_add_signed(TimeDelta::seconds(HEAL_WAITS[step]))
}
