//! Custom resources whose kind has no rule and that follow the conventions of conditions and of generations that their
//! controller has observed, as kstatus reads them.

use domain::cause::Cause;
use domain::message;
use domain::resource::{split_api_version, text};
use serde_json::Value;

use super::{Health, cause, condition, named, number, said};

/// How a custom resource fares by what it says in the words that many have in common; `None` where it uses none of them.
/// It is degraded only where it says itself that it does not get on.
pub(super) fn custom_resource(object: &Value) -> Option<Health> {
    let (group, _) = split_api_version(text(object, &["apiVersion"]));
    if !is_custom(group) {
        return None;
    }
    let status = object.get("status")?;
    let is = |name: &str| condition(object, name).filter(|c| text(c, &["status"]) == "True");
    if is_old(object, status) {
        return Some(unobserved(object));
    }
    let decisive = is("Stalled")
        .or_else(|| is("Failed"))
        .or_else(|| is("Reconciling"))
        .or_else(|| condition(object, "Ready"))
        // It may be available and on its way to something else; which of the two counts is not ours to guess.
        .or_else(|| is("Available").filter(|_| is("Progressing").or(is("Degraded")).is_none()))?;
    if is_old(object, decisive) {
        return Some(unobserved(object));
    }
    let words = words(decisive);
    Some(match (text(decisive, &["type"]), is("Ready").is_some()) {
        ("Stalled" | "Failed", _) => Health::degraded(words).because(reports(object, decisive)),
        ("Available", _) | ("Ready", true) => Health::healthy(words),
        _ => Health::progressing(words).because(reports(object, decisive)),
    })
}

/// Whether a group is none of the cluster's own, whose kinds have meanings of their own.
fn is_custom(group: &str) -> bool {
    group.contains('.') && !group.ends_with(".k8s.io")
}

/// Whether a part of the status is of a generation before the one that there is.
pub(super) fn is_old(object: &Value, part: &Value) -> bool {
    let observed = part.get("observedGeneration").and_then(Value::as_i64);
    observed.is_some_and(|observed| observed < number(object, &["metadata", "generation"]))
}

pub(super) fn unobserved(object: &Value) -> Health {
    let message = named(message::health::UNOBSERVED, object);
    Health::progressing("waiting for the latest generation to be observed")
        .because(cause(message, object))
}

/// What a condition says in a sentence.
pub(super) fn words(condition: &Value) -> &str {
    match text(condition, &["message"]) {
        "" => text(condition, &["reason"]),
        message => message,
    }
}

pub(super) fn reports(object: &Value, condition: &Value) -> Cause {
    let part = |name: &str| text(condition, &[name]);
    let mut shown = format!("{}={}", part("type"), part("status"));
    if !part("reason").is_empty() {
        shown = format!("{shown} ({})", part("reason"));
    }
    let message = named(message::health::CONDITION, object).with("condition", shown);
    said(cause(message, object), part("message"))
}
