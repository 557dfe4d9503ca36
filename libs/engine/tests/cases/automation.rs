//! What is shown of syncs that begin by themselves, of those that are tried again, and of how applications fare.

use std::collections::HashMap;

use domain::application::{Destination, Retry, Source, Spec, SyncPolicy};
use domain::clock::Timestamp;
use domain::message;
use domain::operation::{Operation, OperationState, Phase, SyncResult};
use domain::project::gate::{Applicant, Begun, Closed};
use domain::project::window::Window;
use domain::resource::ResourceKey;
use domain::status::{HealthCode, ResourceStatus, Status, SyncCode};
use engine::assemble::Facts;
use engine::autosync::{Decision, Input, decide};
use engine::compare::Live;
use engine::operation::{self, End};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::lines;

/// More tries than this are not shown.
const TRIES: i64 = 8;

/// A look at an application.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Look {
    /// What is special about it, for readers.
    #[serde(rename = "//")]
    _why: String,
    /// `syncPolicy` of its spec.
    policy: SyncPolicy,
    /// The windows of its project.
    windows: Vec<Window>,
    /// What Git says now.
    revision: String,
    /// Objects that are as Git says, that differ, and that left Git.
    same: Vec<String>,
    differ: Vec<String>,
    left: Vec<String>,
    deleting: bool,
    busy: bool,
    /// The last operation, and how many seconds ago it ended; the seconds since midnight where there is none.
    last: Option<Last>,
    after: i64,
    /// When a sync began that is under way, in seconds since midnight.
    since: i64,
}

/// An attempt of an operation, which fails.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Attempt {
    /// What is special about it, for readers.
    #[serde(rename = "//")]
    _why: String,
    /// How often the operation is tried again, and whether newer revisions are taken up then.
    limit: i64,
    refresh: bool,
    /// What was asked for; of an application of several sources one each.
    revision: String,
    revisions: Vec<String>,
    /// How often it was tried again so far.
    tried: i64,
    /// The revisions that it has found, where it has begun already.
    found: Vec<String>,
    /// Whether somebody stops it.
    stopped: bool,
}

/// An operation that has ended.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    phase: Phase,
    revision: String,
    #[serde(default)]
    heals: i64,
    /// What Git said when it was gone back to its revision.
    held: Option<String>,
    /// What Git said when it was given up for that, while it waited for its next try.
    superseded: Option<String>,
}

fn midnight() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

fn source() -> Value {
    json!({"repoURL": "https://git.example/a"})
}

fn after(seconds: i64) -> Timestamp {
    midnight() + chrono::TimeDelta::seconds(seconds)
}

impl Look {
    fn resources(&self) -> Vec<ResourceStatus> {
        let of = |names: &[String], status: SyncCode, requires_pruning: bool| {
            let one = |name: &String| ResourceStatus {
                key: ResourceKey {
                    group: String::new(),
                    kind: "ConfigMap".into(),
                    namespace: "user01".into(),
                    name: name.clone(),
                },
                version: "v1".into(),
                status: Some(status),
                health: None,
                health_message: String::new(),
                requires_pruning,
                requires_deletion_confirmation: false,
                sync_wave: 0,
                hook: false,
            };
            names.iter().map(one).collect::<Vec<_>>()
        };
        let mut all = of(&self.same, SyncCode::Synced, false);
        all.extend(of(&self.differ, SyncCode::OutOfSync, false));
        all.extend(of(&self.left, SyncCode::OutOfSync, true));
        all
    }
}

impl Last {
    fn state(&self) -> OperationState {
        let mut operation = Operation::default();
        operation.sync.revision.clone_from(&self.revision);
        operation.sync.auto_heal_attempts_count = self.heals;
        if let Some(held) = &self.held {
            operation.initiated_by.username = "ada".into();
            operation.hold(None, std::slice::from_ref(held));
        }
        let failed = message::sync::APPLY_FAILED.message();
        let message = match &self.superseded {
            Some(revision) => message::sync::SUPERSEDED
                .with("outcome", failed)
                .with("revision", revision),
            None => failed,
        };
        OperationState {
            operation,
            phase: self.phase,
            message,
            causes: vec![],
            started_at: midnight(),
            finished_at: Some(midnight()),
            retry_count: 0,
            result: Some(SyncResult {
                revisions: vec![self.revision.clone()],
                sources: vec![source()],
                ..SyncResult::default()
            }),
        }
    }
}

/// What an application does by itself.
pub(crate) fn by_itself(look: &Look) -> Value {
    let spec = Spec {
        source: Some(Source::default()),
        sync_policy: Some(look.policy.clone()),
        ..Spec::default()
    };
    let resources = look.resources();
    let in_step = resources
        .iter()
        .all(|one| one.status == Some(SyncCode::Synced));
    let last = look.last.as_ref().map(Last::state);
    let now = after(look.after);
    let decision = decide(&Input {
        applicant: Applicant {
            windows: &look.windows,
            name: "hello",
            spec: &spec,
        },
        sources: &[source()],
        deleting: look.deleting,
        busy: look.busy,
        last: last.as_ref(),
        revisions: std::slice::from_ref(&look.revision),
        manifest_set: None,
        sync: match in_step {
            true => SyncCode::Synced,
            false => SyncCode::OutOfSync,
        },
        resources: &resources,
        now,
    });
    let seconds = |until: Timestamp| until.signed_duration_since(now).num_seconds();
    match decision {
        Decision::Nothing(idle) => json!(format!("nothing: {idle:?}")),
        Decision::Wait(until) => json!(format!("waits for {} s", seconds(until))),
        Decision::Refused(cause) => lines(&[*cause]),
        Decision::Closed(closed) => {
            json!({"kept back": lines(&[closed.cause]), "until": closed.until.map(seconds)})
        }
        Decision::Sync(operation) => {
            let Operation { sync, retry, .. } = *operation;
            let only = sync.resources.iter().map(ToString::to_string);
            json!({"syncs": sync.revision, "prunes": sync.prune, "only": only.collect::<Value>(),
                "heals": sync.auto_heal_attempts_count, "tries again": retry.limit})
        }
    }
}

/// Whether windows let a person begin a sync, and one that began by itself go on.
pub(crate) fn by_hand(look: &Look) -> Value {
    let spec = Spec::default();
    let applicant = Applicant {
        windows: &look.windows,
        name: "hello",
        spec: &spec,
    };
    let now = after(look.after);
    let told = |closed: Option<Closed>| match closed {
        Some(closed) => lines(&[closed.cause]),
        None => json!("yes"),
    };
    let begins = applicant.closed(Begun::ByHand, now);
    let goes_on = applicant.held(Begun::ByItself, after(look.since), now);
    json!({"begins": told(begins), "goes on": told(goes_on)})
}

/// What an attempt deploys, and what becomes of its operation when it has failed.
pub(crate) fn attempted(attempt: &Attempt) -> Value {
    let mut asked = Operation {
        retry: Retry {
            limit: attempt.limit,
            refresh: attempt.refresh,
            ..Retry::default()
        },
        ..Operation::default()
    };
    asked.sync.revision.clone_from(&attempt.revision);
    asked.sync.revisions.clone_from(&attempt.revisions);
    asked.sync.sources = attempt.revisions.iter().map(|_| source()).collect();
    let mut state = operation::begin(asked, midnight());
    state.retry_count = attempt.tried;
    if !attempt.found.is_empty() {
        state.result = Some(SyncResult {
            revisions: attempt.found.clone(),
            ..SyncResult::default()
        });
    }
    let deploys = operation::revisions(&state, !attempt.revisions.is_empty());
    let newest = operation::takes_newest(&state);
    if attempt.stopped {
        state.phase = Phase::Terminating;
    }
    let end = End::new(
        Phase::Failed,
        message::sync::APPLY_FAILED.message(),
        Vec::new(),
    );
    let again = operation::conclude(&mut state, end, midnight());
    json!({"deploys": deploys, "looks for the newest": newest, "phase": state.phase.as_str(),
        "says": state.message.to_string(), "tried again": again.map(|again| again.attempt),
        "was for": state.result.map(|result| result.revisions)})
}

/// After how many seconds each further try comes, and after how many the operation says so.
pub(crate) fn tried_again(retry: &Retry) -> Value {
    let since = |at: Timestamp| at.signed_duration_since(midnight()).num_seconds();
    let tries = (0..TRIES).map_while(|count| engine::retry::again(retry, count, midnight()));
    tries
        .map(|again| json!([since(again.at), since(again.announced)]))
        .collect()
}

/// How an application of these objects fares.
pub(crate) fn fares(comparison: &engine::Comparison, live: &[Live<'_>]) -> Value {
    json!(status(comparison, live).health.map(HealthCode::as_str))
}

/// Why it is so, as an application says it, the most important first.
pub(crate) fn says(comparison: &engine::Comparison, live: &[Live<'_>]) -> Value {
    lines(&status(comparison, live).causes)
}

fn status(comparison: &engine::Comparison, live: &[Live<'_>]) -> Status {
    let health: HashMap<_, _> = live
        .iter()
        .filter_map(|there| {
            let health = engine::health::assess(there.essentials)?;
            Some((there.key.clone(), health))
        })
        .collect();
    let ignored: Vec<ResourceKey> = live
        .iter()
        .filter(|there| !engine::health::counts(there.essentials))
        .map(|there| there.key.clone())
        .collect();
    let facts = Facts {
        now: midnight(),
        comparison: Some(comparison),
        health: &health,
        ignored_health: &ignored,
        causes: vec![],
        revisions: vec![],
        sources: vec![],
        multiple: false,
        destination: Destination::default(),
        ignore_differences: vec![],
        source_types: vec![],
        manifest_set: None,
        external_urls: vec![],
        images: vec![],
        requested: false,
    };
    engine::assemble(&Status::default(), facts)
}
