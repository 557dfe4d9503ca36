//! What looks wrong although it may well be green: warnings on any state.
//!
//! A lint speaks only where it is sure of something that a person would change; what it cannot see it does not guess.

use domain::cause::Cause;
use domain::resource::{at, text};
use serde_json::Value;

use crate::prepare::Target;

mod images;
mod ports;
mod selectors;

pub(crate) use images::field_of as image_field;

/// What else lives in the application's namespaces, as far as the caller knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around<'a> {
    /// All Services; `None` when not known.
    pub services: Option<&'a [&'a Value]>,
    /// All pods and workloads; `None` when not known.
    pub workloads: Option<&'a [&'a Value]>,
}

/// Everything that looks wrong in an application's targets.
#[must_use]
pub fn lint(targets: &[Target], around: Around<'_>) -> Vec<Cause> {
    let mut causes = ports::ingresses(targets, around);
    causes.extend(ports::target_ports(targets));
    causes.extend(selectors::services(targets, around));
    causes.extend(images::references(targets));
    causes
}

/// Where a workload keeps its pod template; `None` for kinds without one.
fn template_path(target: &Target) -> Option<&'static [&'static str]> {
    template_path_of(&target.key.group, &target.key.kind)
}

fn template_path_of(group: &str, kind: &str) -> Option<&'static [&'static str]> {
    match (group, kind) {
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job") => {
            Some(&["spec", "template"])
        }
        ("batch", "CronJob") => Some(&["spec", "jobTemplate", "spec", "template"]),
        ("", "Pod") => Some(&[]),
        _ => None,
    }
}

/// A workload's pod template.
fn template(target: &Target) -> Option<&Value> {
    at(&target.object, template_path(target)?)
}

/// The Services among the targets.
fn services(targets: &[Target]) -> impl Iterator<Item = &Target> {
    targets
        .iter()
        .filter(|t| t.key.group.is_empty() && t.key.kind == "Service")
}

fn list<'a>(object: &'a Value, path: &[&str]) -> impl Iterator<Item = &'a Value> + use<'a> {
    at(object, path)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// A port as it is written: a name or a number.
fn port_text(port: &Value) -> Option<String> {
    match port {
        Value::String(name) => Some(name.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether a pod template has all labels of a selector.
fn selects(selector: &Value, labels: &Value) -> bool {
    selector.as_object().is_some_and(|selector| {
        !selector.is_empty()
            && selector
                .iter()
                .all(|(name, value)| labels.get(name) == Some(value))
    })
}

/// A target's place as `file:line`, or its key.
fn place(target: &Target, field: &str) -> String {
    target
        .locate(field)
        .map_or_else(|| target.key.to_string(), |location| location.to_string())
}

fn is_external(service: &Value) -> bool {
    text(service, &["spec", "type"]) == "ExternalName"
}
