//! Pods.

use domain::message;
use domain::resource::{annotation, at, text};
use domain::status::HealthCode;
use serde_json::Value;

use super::{Health, condition};
use crate::health::explain;
use crate::options::{self, Role};

const IGNORE_RESTART_POLICY: &str = "argocd.argoproj.io/ignore-restart-policy";

fn statuses<'a>(pod: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    at(pod, &["status", list])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

pub(super) fn pod(object: &Value) -> Health {
    let mut health = rule(object);
    if health.code != HealthCode::Healthy {
        health.causes = explain::pod(object);
    }
    if health.causes.is_empty() && health.code == HealthCode::Degraded {
        let message = message::health::POD_FAILED.with("pod", text(object, &["metadata", "name"]));
        health
            .causes
            .push(super::said(super::cause(message, object), &health.message));
    }
    health
}

fn rule(object: &Value) -> Health {
    let always = text(object, &["spec", "restartPolicy"]) == "Always";
    let hook = options::role(object) == Role::Hook;
    if always || (!hook && annotation(object, IGNORE_RESTART_POLICY) == Some("true")) {
        let failing: Vec<&str> = statuses(object, "containerStatuses")
            .filter(|status| {
                let reason = text(status, &["state", "waiting", "reason"]);
                reason.starts_with("Err")
                    || reason.ends_with("Error")
                    || reason.ends_with("BackOff")
            })
            .map(|status| text(status, &["state", "waiting", "message"]))
            .collect();
        if !failing.is_empty() {
            return Health::degraded(failing.join(", "));
        }
    }
    let words = text(object, &["status", "message"]);
    match text(object, &["status", "phase"]) {
        "Pending" => Health::progressing(words),
        "Succeeded" => Health::healthy(words),
        "Failed" if !words.is_empty() => Health::degraded(words),
        "Failed" => Health::degraded(
            statuses(object, "initContainerStatuses")
                .chain(statuses(object, "containerStatuses"))
                .map(why_ended)
                .find(|why| !why.is_empty())
                .unwrap_or_default(),
        ),
        "Running" if always => {
            if condition(object, "Ready").is_some_and(|c| text(c, &["status"]) == "True") {
                Health::healthy(words)
            } else if statuses(object, "containerStatuses")
                .any(|s| at(s, &["lastState", "terminated"]).is_some())
            {
                Health::degraded(words)
            } else {
                Health::progressing(words)
            }
        }
        "Running" => Health::progressing(words),
        _ => Health::new(HealthCode::Unknown, words),
    }
}

fn why_ended(status: &Value) -> String {
    let ended = |field| text(status, &["state", "terminated", field]);
    if !ended("message").is_empty() {
        return ended("message").to_owned();
    }
    if ended("reason") == "OOMKilled" {
        return "OOMKilled".to_owned();
    }
    match super::number(status, &["state", "terminated", "exitCode"]) {
        0 => String::new(),
        code => format!(
            "container {:?} failed with exit code {code}",
            text(status, &["name"])
        ),
    }
}
