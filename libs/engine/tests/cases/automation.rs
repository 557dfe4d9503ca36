//! What is shown of syncs that begin by themselves, of those that are tried again, and of how applications fare.

use std::collections::HashMap;

use domain::application::{Destination, Retry, Source, Spec, SyncPolicy};
use domain::clock::Timestamp;
use domain::message;
use domain::operation::{Operation, OperationState, Phase, SyncResult};
use domain::project::gate::Applicant;
use domain::project::window::Window;
use domain::resource::ResourceKey;
use domain::status::{HealthCode, ResourceStatus, Status, SyncCode};
use engine::assemble::Facts;
use engine::autosync::{Decision, Input, decide};
use engine::compare::Live;
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
        OperationState {
            operation,
            phase: self.phase,
            message: message::sync::APPLY_FAILED.message(),
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
    let status = engine::assemble(&Status::default(), facts);
    json!(status.health.map(HealthCode::as_str))
}
