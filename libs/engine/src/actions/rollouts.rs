//! Argo Rollouts: what is rolled out step by step, and what analyses it.

use domain::clock::Timestamp;
use domain::resource::{at, text};
use serde_json::{Value, json};

use super::{Action, Change, stamp};

/// The phases of an analysis that has ended.
const ENDED: [&str; 4] = ["Successful", "Failed", "Error", "Inconclusive"];

pub(super) fn analysis_run(object: &Value) -> Vec<Action> {
    let ended = ENDED.contains(&text(object, &["status", "phase"]));
    let asked = holds(object, &["spec", "terminate"]);
    vec![Action::named("terminate").disabled(asked || ended)]
}

pub(super) fn terminate() -> Change {
    Change::Merge(json!({"spec": {"terminate": true}}))
}

pub(super) fn rollout(object: &Value) -> Vec<Action> {
    let promoted =
        text(object, &["status", "currentPodHash"]) == text(object, &["status", "stableRS"]);
    let aborted = holds(object, &["status", "abort"]);
    let held = holds(object, &["spec", "paused"]);
    let paused = conditions(object).map_or(held, |conditions| conditions > 0);
    let at_once =
        !promoted && (promotes(object) || !has(object, &["spec", "strategy", "blueGreen"]));
    let last = steps(object).is_none_or(|steps| step(object) == Some(steps));
    let restart = Action {
        title: "Restart Pods",
        ..Action::named("restart")
    };
    vec![
        Action::named("abort").disabled(promoted || aborted),
        Action::named("pause").disabled(promoted || aborted || held),
        Action::named("promote-full").disabled(!at_once),
        restart,
        Action::named("resume").disabled(!paused),
        Action::named("retry").disabled(promoted || !aborted),
        Action::named("skip-current-step").disabled(last),
    ]
}

pub(super) fn abort() -> Change {
    Change::Merge(json!({"status": {"abort": true}}))
}

pub(super) fn pause() -> Change {
    Change::Merge(json!({"spec": {"paused": true}}))
}

/// Goes to the end of all steps. Controllers before 0.10 know no such wish, and are put there.
pub(super) fn promote_full(object: &Value) -> Change {
    if object.get("status").is_none() {
        return Change::Nothing;
    }
    if promotes(object) {
        return Change::Merge(json!({"status": {"promoteFull": true}}));
    }
    let mut status = json!({"abort": null});
    if let Some(steps) = steps(object) {
        status["currentStepIndex"] = json!(steps);
    }
    Change::Merge(json!({"status": status}))
}

pub(super) fn restart(now: Timestamp) -> Change {
    Change::Merge(json!({"spec": {"restartAt": stamp(now)}}))
}

pub(super) fn resume(object: &Value) -> Change {
    let waits = conditions(object).is_some_and(|conditions| conditions > 0);
    let (status, spec) = (json!({"pauseConditions": null}), json!({"paused": false}));
    match (waits, holds(object, &["spec", "paused"])) {
        (false, false) => Change::Nothing,
        (true, false) => Change::Merge(json!({"status": status})),
        (false, true) => Change::Merge(json!({"spec": spec})),
        (true, true) => Change::Merge(json!({"status": status, "spec": spec})),
    }
}

pub(super) fn retry(object: &Value) -> Change {
    if has(object, &["status", "abort"]) {
        Change::Merge(json!({"status": {"abort": null}}))
    } else {
        Change::Nothing
    }
}

/// Goes to the next step, also where this one waits for somebody.
pub(super) fn skip(object: &Value) -> Change {
    let (Some(steps), Some(step)) = (steps(object), step(object)) else {
        return Change::Nothing;
    };
    if step >= steps {
        return Change::Nothing;
    }
    let mut status = json!({"currentStepIndex": step.saturating_add(1)});
    if conditions(object).is_some_and(|conditions| conditions > 0) {
        status["pauseConditions"] = Value::Null;
    }
    Change::Merge(json!({"status": status}))
}

/// Whether its controller knows of promoting in full. One before 0.10 writes a hash where newer ones write the generation.
fn promotes(object: &Value) -> bool {
    let observed = match at(object, &["status", "observedGeneration"]) {
        Some(Value::String(text)) => text.parse().ok(),
        Some(number) => number.as_i64(),
        None => None,
    };
    let generation = at(object, &["metadata", "generation"]).and_then(Value::as_i64);
    observed.is_some_and(|observed: i64| observed <= generation.unwrap_or_default())
}

/// How many reasons to wait it has, where it says any.
fn conditions(object: &Value) -> Option<usize> {
    let conditions = at(object, &["status", "pauseConditions"])?;
    conditions.as_array().map(Vec::len)
}

/// How many steps there are.
fn steps(object: &Value) -> Option<u64> {
    let steps = at(object, &["spec", "strategy", "canary", "steps"])?;
    steps.as_array().map(|steps| steps.len() as u64)
}

/// The step that it is at.
fn step(object: &Value) -> Option<u64> {
    at(object, &["status", "currentStepIndex"]).and_then(Value::as_u64)
}

fn holds(object: &Value, path: &[&str]) -> bool {
    at(object, path) == Some(&Value::Bool(true))
}

fn has(object: &Value, path: &[&str]) -> bool {
    at(object, path).is_some_and(|value| !value.is_null())
}
