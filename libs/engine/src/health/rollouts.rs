//! Argo Rollouts: what is rolled out step by step, and what analyses it.

use domain::message;
use domain::resource::{annotation, at, text};
use domain::status::HealthCode;
use serde_json::Value;

use super::{Health, cause, conditions, named, number};

/// The generation of what a rollout refers to, as its controller last saw it.
const WORKLOAD: &str = "rollout.argoproj.io/workload-generation";

/// Controllers since 1.0 say the phase themselves; of older ones it is read from what they count.
pub(super) fn rollout(object: &Value) -> Health {
    if !is_observed(object) || !is_workload_observed(object) {
        return Health::progressing("Waiting for rollout spec update to be observed")
            .because(cause(named(message::health::NOT_OBSERVED, object), object));
    }
    let phase = text(object, &["status", "phase"]);
    if phase.is_empty() {
        return failure(object)
            .or_else(|| paused(object))
            .or_else(|| counted(object))
            .or_else(|| stable(object))
            .unwrap_or_else(|| Health::healthy(""));
    }
    let code = match phase {
        "Paused" => HealthCode::Suspended,
        word => HealthCode::parse(word).unwrap_or(HealthCode::Unknown),
    };
    Health::new(code, text(object, &["status", "message"]))
}

pub(super) fn analysis_run(object: &Value) -> Health {
    let words = |otherwise: &'static str| match text(object, &["status", "message"]) {
        "" => otherwise,
        said => said,
    };
    match text(object, &["status", "phase"]) {
        "Pending" | "Running" => Health::progressing("Analysis run is running"),
        "Successful" => Health::healthy(words("Analysis run completed successfully")),
        "Failed" => Health::degraded(words("Analysis run failed")),
        "Error" => Health::degraded(words("Analysis run had an error")),
        "Inconclusive" => Health::new(HealthCode::Unknown, words("Analysis run was inconclusive")),
        _ => Health::progressing(
            "Waiting for analysis run to finish: status has not been reconciled.",
        ),
    }
}

/// Whether the controller has seen the newest spec. One before 0.10 writes a hash, by which nobody can tell.
fn is_observed(object: &Value) -> bool {
    if object.get("status").is_none() {
        return false;
    }
    let generation = number(object, &["metadata", "generation"]);
    let observed = whole(at(object, &["status", "observedGeneration"]));
    observed.is_none_or(|observed| observed >= generation)
}

/// The same of what the rollout refers to.
fn is_workload_observed(object: &Value) -> bool {
    if at(object, &["spec", "workloadRef"]).is_none_or(Value::is_null)
        || at(object, &["metadata", "annotations"]).is_none_or(Value::is_null)
    {
        return true;
    }
    let seen = annotation(object, WORKLOAD).and_then(|text| text.parse::<i64>().ok());
    seen == whole(at(object, &["status", "workloadObservedGeneration"]))
}

/// A number that is written as one, or as text.
fn whole(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::String(text) => text.parse().ok(),
        number => number.as_i64(),
    }
}

fn failure(object: &Value) -> Option<Health> {
    let failed = |condition: &&Value| {
        let reason = text(condition, &["reason"]);
        match text(condition, &["type"]) {
            "InvalidSpec" => true,
            "Progressing" => matches!(reason, "RolloutAborted" | "ProgressDeadlineExceeded"),
            _ => false,
        }
    };
    let condition = conditions(object).find(failed)?;
    Some(Health::degraded(text(condition, &["message"])))
}

fn paused(object: &Value) -> Option<Health> {
    let waits = at(object, &["status", "pauseConditions"])
        .and_then(Value::as_array)
        .is_some_and(|reasons| !reasons.is_empty());
    let held = at(object, &["spec", "paused"]) == Some(&Value::Bool(true));
    (waits || held).then(|| Health::new(HealthCode::Suspended, "Rollout is paused"))
}

fn counted(object: &Value) -> Option<Health> {
    if at(object, &["status", "currentPodHash"]).is_none() {
        let sentence = "Waiting for rollout to finish: status has not been reconciled.";
        return Some(Health::progressing(sentence));
    }
    let wanted = at(object, &["spec", "replicas"]).and_then(Value::as_i64);
    let status = |field| number(object, &["status", field]);
    let (updated, available) = (status("updatedReplicas"), status("availableReplicas"));
    let sentence = if updated < wanted.unwrap_or(1) {
        "Waiting for roll out to finish: More replicas need to be updated"
    } else if available < updated {
        "Waiting for roll out to finish: updated replicas are still becoming available"
    } else {
        return None;
    };
    Some(Health::progressing(sentence))
}

/// What its strategy still waits for.
fn stable(object: &Value) -> Option<Health> {
    let current = text(object, &["status", "currentPodHash"]);
    let strategy = |name| at(object, &["spec", "strategy", name]).is_some_and(|one| !one.is_null());
    let stable = match at(object, &["status", "stableRS"]) {
        Some(stable) => stable.as_str().unwrap_or_default(),
        // Where controllers before 0.8 have it.
        None => text(object, &["status", "canary", "stableRS"]),
    };
    let sentence = if strategy("blueGreen") {
        if text(object, &["status", "blueGreen", "activeSelector"]) != current {
            "active service cutover pending"
        } else if !stable.is_empty() && stable != current {
            "waiting for analysis to complete"
        } else {
            return None;
        }
    } else if strategy("canary") {
        let status = |field| number(object, &["status", field]);
        if status("replicas") > status("updatedReplicas") {
            "Waiting for roll out to finish: old replicas are pending termination"
        } else if stable.is_empty() || stable != current {
            "Waiting for rollout to finish steps"
        } else {
            return None;
        }
    } else {
        return None;
    };
    Some(Health::progressing(sentence))
}
