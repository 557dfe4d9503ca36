//! Jobs and what runs them.

use domain::message;
use domain::resource::{at, text};
use domain::status::HealthCode;
use serde_json::Value;

use super::{Health, cause, conditions, named, said};

pub(super) fn job(object: &Value) -> Health {
    let name = text(object, &["metadata", "name"]);
    let (mut failed, mut suspended, mut ended) = (None, false, false);
    let mut words = "";
    for condition in conditions(object) {
        match text(condition, &["type"]) {
            "Failed" => {
                (failed, ended) = (Some(text(condition, &["message"])), true);
            }
            "Complete" => {
                (words, ended) = (text(condition, &["message"]), true);
            }
            "Suspended" => {
                words = text(condition, &["message"]);
                ended = true;
                suspended |= text(condition, &["status"]) == "True";
            }
            _ => {}
        }
    }
    if !ended {
        return Health::progressing(words).because(cause(
            message::health::JOB_RUNNING.with("name", name),
            object,
        ));
    }
    if let Some(failure) = failed {
        let reason = cause(message::health::JOB_FAILED.with("name", name), object);
        return Health::degraded(failure).because(said(reason, failure));
    }
    if suspended {
        return Health::new(HealthCode::Suspended, "")
            .because(cause(named(message::health::PAUSED, object), object));
    }
    Health::healthy(words)
}

pub(super) fn cron_job(object: &Value) -> Health {
    if at(object, &["spec", "suspend"]) == Some(&Value::Bool(true)) {
        return Health::healthy("CronJob is Suspended");
    }
    let Some(status) = object.get("status").filter(|s| s.is_object()) else {
        return Health::progressing("Waiting for CronJob");
    };
    let (scheduled, succeeded) = (
        text(status, &["lastScheduleTime"]),
        text(status, &["lastSuccessfulTime"]),
    );
    if scheduled.is_empty() {
        return Health::healthy("CronJob has not been scheduled yet");
    }
    if succeeded.is_empty() {
        return Health::healthy("The Cronjob never completed succesfully. It may not be healthy");
    }
    if status
        .get("active")
        .and_then(Value::as_array)
        .is_some_and(|active| !active.is_empty())
    {
        return Health::healthy(
            "The job is running. Its last execution may not have been successful",
        );
    }
    if succeeded < scheduled {
        let message =
            message::health::CRON_JOB_FAILED.with("name", text(object, &["metadata", "name"]));
        return Health::degraded("CronJob has not completed its last execution successfully")
            .because(cause(message, object));
    }
    Health::healthy("CronJob has completed its last execution successfully")
}

pub(super) fn workflow(object: &Value) -> Health {
    let words = text(object, &["status", "message"]);
    match text(object, &["status", "phase"]) {
        "" | "Pending" | "Running" => Health::progressing(words),
        "Succeeded" => Health::healthy(words),
        "Failed" | "Error" => Health::degraded(words),
        _ => Health::new(HealthCode::Unknown, words),
    }
}
