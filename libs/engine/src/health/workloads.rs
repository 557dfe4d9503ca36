//! Deployment, ReplicaSet, DaemonSet, StatefulSet: as `kubectl rollout status` tells.

use domain::message;
use domain::resource::{at, text};
use domain::status::HealthCode;
use serde_json::Value;

use super::{Health, cause, condition, explain, named, number, said};

/// Whether the controller has not seen the newest spec.
fn lags(object: &Value) -> bool {
    number(object, &["metadata", "generation"]) > number(object, &["status", "observedGeneration"])
}

fn unseen(object: &Value, sentence: &str) -> Health {
    Health::progressing(sentence)
        .because(cause(named(message::health::NOT_OBSERVED, object), object))
}

fn waiting(
    object: &Value,
    code: message::Code,
    sentence: String,
    done: i64,
    wanted: i64,
) -> Health {
    let message = named(code, object)
        .with("done", done)
        .with("wanted", wanted);
    Health::progressing(sentence).because(cause(message, object))
}

pub(super) fn deployment(object: &Value) -> Health {
    if at(object, &["spec", "paused"]) == Some(&Value::Bool(true)) {
        return Health::new(HealthCode::Suspended, "Deployment is paused")
            .because(cause(named(message::health::PAUSED, object), object));
    }
    if lags(object) {
        return unseen(
            object,
            "Waiting for rollout to finish: observed deployment generation less than desired generation",
        );
    }
    let name = text(object, &["metadata", "name"]);
    if let Some(progress) = condition(object, "Progressing")
        && text(progress, &["reason"]) == "ProgressDeadlineExceeded"
    {
        let seconds = at(object, &["spec", "progressDeadlineSeconds"])
            .and_then(Value::as_i64)
            .unwrap_or(600);
        let message = message::health::DEADLINE_EXCEEDED
            .with("name", name)
            .with("seconds", seconds);
        return Health::degraded(format!(
            "Deployment {name:?} exceeded its progress deadline"
        ))
        .because(said(cause(message, object), text(progress, &["message"])))
        .or_failure(object);
    }
    let status = |field| number(object, &["status", field]);
    let (updated, all, available) = (
        status("updatedReplicas"),
        status("replicas"),
        status("availableReplicas"),
    );
    let wanted = at(object, &["spec", "replicas"]).and_then(Value::as_i64);
    if let Some(wanted) = wanted.filter(|wanted| updated < *wanted) {
        let sentence = format!(
            "Waiting for rollout to finish: {updated} out of {wanted} new replicas have been updated..."
        );
        return waiting(
            object,
            message::health::WAITING_FOR_UPDATE,
            sentence,
            updated,
            wanted,
        )
        .or_failure(object);
    }
    if all > updated {
        // Numbers are a stranger's word, in a cluster that a tenant has added.
        let old = all.saturating_sub(updated);
        let sentence =
            format!("Waiting for rollout to finish: {old} old replicas are pending termination...");
        let message = named(message::health::WAITING_FOR_OLD, object).with("count", old);
        return Health::progressing(sentence)
            .because(cause(message, object))
            .or_failure(object);
    }
    if available < updated {
        let sentence = format!(
            "Waiting for rollout to finish: {available} of {updated} updated replicas are available..."
        );
        return waiting(
            object,
            message::health::WAITING_FOR_READY,
            sentence,
            available,
            updated,
        )
        .or_failure(object);
    }
    Health::healthy("")
}

impl Health {
    /// Puts a condition ReplicaFailure first: it says why pods are missing.
    fn or_failure(mut self, object: &Value) -> Self {
        if let Some(reason) = explain::unmade(object, object) {
            self.causes.insert(0, reason);
        }
        self
    }
}

pub(super) fn replica_set(object: &Value) -> Health {
    if lags(object) {
        return unseen(
            object,
            "Waiting for rollout to finish: observed replica set generation less than desired generation",
        );
    }
    if let Some(failure) =
        condition(object, "ReplicaFailure").filter(|c| text(c, &["status"]) == "True")
    {
        return Health::degraded(text(failure, &["message"])).or_failure(object);
    }
    let available = number(object, &["status", "availableReplicas"]);
    match at(object, &["spec", "replicas"]).and_then(Value::as_i64) {
        Some(wanted) if available < wanted => {
            let sentence = format!(
                "Waiting for rollout to finish: {available} out of {wanted} new replicas are available..."
            );
            waiting(
                object,
                message::health::WAITING_FOR_READY,
                sentence,
                available,
                wanted,
            )
        }
        _ => Health::healthy(""),
    }
}

pub(super) fn daemon_set(object: &Value) -> Health {
    if lags(object) {
        return unseen(
            object,
            "Waiting for rollout to finish: observed daemon set generation less than desired generation",
        );
    }
    let name = text(object, &["metadata", "name"]);
    let status = |field| number(object, &["status", field]);
    let (updated, wanted, available) = (
        status("updatedNumberScheduled"),
        status("desiredNumberScheduled"),
        status("numberAvailable"),
    );
    if text(object, &["spec", "updateStrategy", "type"]) == "OnDelete" {
        return Health::healthy(format!(
            "daemon set {updated} out of {wanted} new pods have been updated"
        ));
    }
    if updated < wanted {
        let sentence = format!(
            "Waiting for daemon set {name:?} rollout to finish: {updated} out of {wanted} new pods have been updated..."
        );
        return waiting(
            object,
            message::health::WAITING_FOR_UPDATE,
            sentence,
            updated,
            wanted,
        );
    }
    if available < wanted {
        let sentence = format!(
            "Waiting for daemon set {name:?} rollout to finish: {available} of {wanted} updated pods are available..."
        );
        return waiting(
            object,
            message::health::WAITING_FOR_READY,
            sentence,
            available,
            wanted,
        );
    }
    Health::healthy("")
}

pub(super) fn stateful_set(object: &Value) -> Health {
    let status = |field| number(object, &["status", field]);
    if status("observedGeneration") == 0 || lags(object) {
        return unseen(
            object,
            "Waiting for statefulset spec update to be observed...",
        );
    }
    let (ready, updated) = (status("readyReplicas"), status("updatedReplicas"));
    let wanted = at(object, &["spec", "replicas"]).and_then(Value::as_i64);
    if let Some(wanted) = wanted.filter(|wanted| ready < *wanted) {
        let sentence = format!(
            "Waiting for {} pods to be ready...",
            wanted.saturating_sub(ready)
        );
        return waiting(
            object,
            message::health::WAITING_FOR_READY,
            sentence,
            ready,
            wanted,
        );
    }
    let strategy = text(object, &["spec", "updateStrategy", "type"]);
    let rolling =
        at(object, &["spec", "updateStrategy", "rollingUpdate"]).filter(|r| r.is_object());
    if let (Some(rolling), "RollingUpdate") = (rolling, strategy) {
        if let (Some(wanted), Some(partition)) =
            (wanted, rolling.get("partition").and_then(Value::as_i64))
        {
            let share = wanted.saturating_sub(partition);
            if updated < share {
                let sentence = format!(
                    "Waiting for partitioned roll out to finish: {updated} out of {share} new pods have been updated..."
                );
                return waiting(
                    object,
                    message::health::WAITING_FOR_UPDATE,
                    sentence,
                    updated,
                    share,
                );
            }
        }
        return Health::healthy(format!(
            "partitioned roll out complete: {updated} new pods have been updated..."
        ));
    }
    if strategy == "OnDelete" {
        return Health::healthy(format!("statefulset has {ready} ready pods"));
    }
    let (update, current) = (
        text(object, &["status", "updateRevision"]),
        text(object, &["status", "currentRevision"]),
    );
    if update != current {
        let sentence = format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {update}..."
        );
        let wanted = wanted.unwrap_or(1);
        return waiting(
            object,
            message::health::WAITING_FOR_UPDATE,
            sentence,
            updated,
            wanted,
        );
    }
    let at_current = status("currentReplicas");
    Health::healthy(format!(
        "statefulset rolling update complete {at_current} pods at revision {current}..."
    ))
}
