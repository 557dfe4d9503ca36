//! Kinds whose health is what their conditions say.

use domain::message;
use domain::resource::{annotation, at, text};
use domain::status::HealthCode;
use serde_json::Value;

use super::{Health, cause, condition, conditions, named, said};

fn reports(health: Health, object: &Value, what: &str, words: &str) -> Health {
    let message = named(message::health::CONDITION, object).with("condition", what);
    health.because(said(cause(message, object), words))
}

pub(super) fn autoscaler(object: &Value, version: &str) -> Health {
    let mut list: Vec<Value> = conditions(object).cloned().collect();
    if version == "v1" {
        let annotated =
            annotation(object, "autoscaling.alpha.kubernetes.io/conditions").unwrap_or_default();
        match serde_json::from_str::<Vec<Value>>(annotated) {
            Ok(conditions) => list = conditions,
            Err(_) if annotated.is_empty() => list.clear(),
            Err(_) => {
                return Health::new(
                    HealthCode::Unknown,
                    "failed to convert conditions annotation to typed",
                );
            }
        }
    }
    for condition in &list {
        let (kind, reason, words) = (
            text(condition, &["type"]),
            text(condition, &["reason"]),
            text(condition, &["message"]),
        );
        let failing = match kind {
            "AbleToScale" => matches!(reason, "FailedGetScale" | "FailedUpdateScale"),
            "ScalingActive" => matches!(
                reason,
                "FailedGetResourceMetric"
                    | "FailedGetObjectMetric"
                    | "FailedGetPodsMetric"
                    | "FailedGetExternalMetric"
                    | "FailedComputeMetricsReplicas"
                    | "InvalidSelector"
            ),
            _ => false,
        };
        if failing {
            return reports(Health::degraded(words), object, reason, words);
        }
        if matches!(kind, "AbleToScale" | "ScalingLimited")
            && text(condition, &["status"]) == "True"
        {
            return Health::healthy(words);
        }
    }
    Health::progressing("Waiting to Autoscale")
}

pub(super) fn disruption_budget(object: &Value) -> Health {
    let mut health = Health::progressing("Waiting for status");
    for condition in conditions(object) {
        let reason = text(condition, &["reason"]);
        let sentence = format!("PodDisruptionBudget has {reason}");
        if text(condition, &["status"]) == "False" && reason != "InsufficientPods" {
            return reports(
                Health::degraded(sentence),
                object,
                reason,
                text(condition, &["message"]),
            );
        }
        health = Health::healthy(sentence);
    }
    health
}

pub(super) fn api_service(object: &Value) -> Health {
    let Some(available) = condition(object, "Available") else {
        return Health::progressing("Waiting to be processed");
    };
    let sentence = format!(
        "{}: {}",
        text(available, &["reason"]),
        text(available, &["message"])
    );
    if text(available, &["status"]) == "True" {
        Health::healthy(sentence)
    } else {
        Health::progressing(sentence)
    }
}

pub(super) fn definition(object: &Value) -> Health {
    if at(object, &["status", "conditions"])
        .and_then(Value::as_array)
        .is_none_or(Vec::is_empty)
    {
        return Health::progressing("Status conditions not found");
    }
    let holds = |name: &str, status: &str| {
        condition(object, name).filter(|c| text(c, &["status"]) == status)
    };
    if let Some(ending) = holds("Terminating", "True") {
        return Health::progressing(format!(
            "CRD is terminating: {}",
            text(ending, &["message"])
        ));
    }
    if let Some(refused) = holds("NamesAccepted", "False") {
        let words = text(refused, &["message"]);
        let health = Health::degraded(format!("CRD names have not been accepted: {words}"));
        return reports(health, object, "NamesAccepted=False", words);
    }
    if let Some(violated) = holds("NonStructuralSchema", "True") {
        let words = text(violated, &["message"]);
        let health = Health::degraded(format!("Schema violations found: {words}"));
        return reports(health, object, "NonStructuralSchema=True", words);
    }
    if holds("Established", "True").is_none() {
        return reports(
            Health::degraded("CRD is not established"),
            object,
            "Established=False",
            "",
        );
    }
    Health::healthy("CRD is healthy")
}
