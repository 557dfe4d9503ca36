//! What can be done to a live object besides editing its manifest: Argo CD's built-in actions, by its names and parameters.
//!
//! Which actions an object has is what a list shows; an action that is known for the kind may be run whether or not it is
//! listed just then, as in Argo CD, and changes nothing where it has nothing to do.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use domain::clock::Timestamp;
use domain::message::{self, Message};
use domain::resource::{split_api_version, text};
use serde_json::{Value, json};

mod batch;
mod external_secrets;
mod flux;
mod numaflow;
mod rollouts;
mod workflows;
mod workloads;

/// Something that can be done to an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// Its name, which rights and requests use.
    pub name: &'static str,
    /// Whether there is nothing for it to do now.
    pub disabled: bool,
    /// The parameters that it takes.
    pub parameters: &'static [&'static str],
    /// The class of the icon by which clients draw it; may be empty.
    pub icon: &'static str,
    /// What clients call it where that is not its name; may be empty.
    pub title: &'static str,
}

impl Action {
    /// One that is called so, and takes nothing.
    const fn named(name: &'static str) -> Self {
        Self {
            name,
            disabled: false,
            parameters: &[],
            icon: "",
            title: "",
        }
    }

    /// The same, where there is something for it to do or not.
    const fn disabled(self, disabled: bool) -> Self {
        Self { disabled, ..self }
    }
}

/// What an action comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The object is as the action would have it.
    Nothing,
    /// A merge patch of the object; what it says of the status goes where the kind has that written.
    Merge(Value),
    /// Another object, to be made beside it.
    Create(Value),
}

/// The actions of a kind, all that can be run.
const KNOWN: &[(&str, &str, &[&str])] = &[
    ("apps", "DaemonSet", &["restart"]),
    (
        "apps",
        "Deployment",
        &["pause", "restart", "resume", "scale"],
    ),
    ("apps", "StatefulSet", &["restart", "scale"]),
    ("argoproj.io", "AnalysisRun", &["terminate"]),
    ("argoproj.io", "CronWorkflow", &["create-workflow"]),
    (
        "argoproj.io",
        "Rollout",
        &[
            "abort",
            "pause",
            "promote-full",
            "restart",
            "resume",
            "retry",
            "skip-current-step",
        ],
    ),
    ("argoproj.io", "WorkflowTemplate", &["create-workflow"]),
    ("batch", "CronJob", &["create-job", "resume", "suspend"]),
    ("batch", "Job", &["resume", "suspend", "terminate"]),
    ("external-secrets.io", "ExternalSecret", &["refresh"]),
    ("external-secrets.io", "PushSecret", &["push"]),
    ("helm.toolkit.fluxcd.io", "HelmRelease", flux::ALL),
    ("image.toolkit.fluxcd.io", "ImageRepository", flux::ALL),
    (
        "image.toolkit.fluxcd.io",
        "ImageUpdateAutomation",
        flux::ALL,
    ),
    ("kustomize.toolkit.fluxcd.io", "Kustomization", flux::ALL),
    ("notification.toolkit.fluxcd.io", "Alert", flux::HELD),
    ("notification.toolkit.fluxcd.io", "Provider", flux::HELD),
    ("notification.toolkit.fluxcd.io", "Receiver", flux::ALL),
    (
        "numaflow.numaproj.io",
        "InterStepBufferService",
        &["force-promote"],
    ),
    (
        "numaflow.numaproj.io",
        "MonoVertex",
        &["force-promote", "pause", "unpause-fast", "unpause-gradual"],
    ),
    (
        "numaflow.numaproj.io",
        "Pipeline",
        &["force-promote", "pause", "unpause-fast", "unpause-gradual"],
    ),
    (
        "numaplane.numaproj.io",
        "MonoVertexRollout",
        &["pause", "unpause-fast", "unpause-gradual"],
    ),
    (
        "numaplane.numaproj.io",
        "PipelineRollout",
        &[
            "allow-data-loss",
            "disallow-data-loss",
            "pause",
            "unpause-fast",
            "unpause-gradual",
        ],
    ),
    ("source.toolkit.fluxcd.io", "Bucket", flux::ALL),
    ("source.toolkit.fluxcd.io", "GitRepository", flux::ALL),
    ("source.toolkit.fluxcd.io", "HelmChart", flux::ALL),
    ("source.toolkit.fluxcd.io", "HelmRepository", flux::ALL),
    ("source.toolkit.fluxcd.io", "OCIRepository", flux::ALL),
];

/// The actions that an object has as it is now, by name.
#[must_use]
pub fn actions(object: &Value) -> Vec<Action> {
    let (group, kind) = kind_of(object);
    match (group, kind) {
        ("apps", "DaemonSet") => workloads::daemon_set(),
        ("apps", "Deployment") => workloads::deployment(object),
        ("apps", "StatefulSet") => workloads::stateful_set(),
        ("argoproj.io", "AnalysisRun") => rollouts::analysis_run(object),
        ("argoproj.io", "Rollout") => rollouts::rollout(object),
        ("argoproj.io", "CronWorkflow" | "WorkflowTemplate") => workflows::actions(),
        ("batch", "CronJob") => batch::cron_job(object),
        ("batch", "Job") => batch::job(object),
        ("external-secrets.io", "ExternalSecret") => external_secrets::external_secret(object),
        ("external-secrets.io", "PushSecret") => external_secrets::push_secret(object),
        ("numaflow.numaproj.io" | "numaplane.numaproj.io", _) => numaflow::actions(object, kind),
        _ if flux::is_group(group) => flux::actions(object, known(group, kind)),
        _ => Vec::new(),
    }
}

/// What an action changes of an object.
///
/// # Errors
/// When the kind has no such action, or a parameter is not what it should be; the message says what to write.
pub fn run(
    object: &Value,
    action: &str,
    parameters: &BTreeMap<String, String>,
    now: Timestamp,
) -> Result<Change, Message> {
    let (group, kind) = kind_of(object);
    if !known(group, kind).contains(&action) {
        return Err(unknown(group, kind, action));
    }
    match (group, kind, action) {
        ("apps", _, "restart") => Ok(workloads::restart(now)),
        ("apps", _, "scale") => workloads::scale(parameters),
        ("apps", _, "pause") => Ok(workloads::pause()),
        ("apps", _, "resume") => Ok(workloads::resume(object)),
        ("argoproj.io", "AnalysisRun", "terminate") => Ok(rollouts::terminate()),
        ("argoproj.io", "CronWorkflow", _) => Ok(workflows::of_schedule(object, now)),
        ("argoproj.io", "WorkflowTemplate", _) => Ok(workflows::of_template(object, now)),
        ("argoproj.io", "Rollout", "abort") => Ok(rollouts::abort()),
        ("argoproj.io", "Rollout", "pause") => Ok(rollouts::pause()),
        ("argoproj.io", "Rollout", "promote-full") => Ok(rollouts::promote_full(object)),
        ("argoproj.io", "Rollout", "restart") => Ok(rollouts::restart(now)),
        ("argoproj.io", "Rollout", "resume") => Ok(rollouts::resume(object)),
        ("argoproj.io", "Rollout", "retry") => Ok(rollouts::retry(object)),
        ("argoproj.io", "Rollout", "skip-current-step") => Ok(rollouts::skip(object)),
        ("batch", "CronJob", "create-job") => Ok(batch::create_job(object, now)),
        ("batch", "Job", "terminate") => batch::terminate(object),
        ("external-secrets.io", _, _) => Ok(external_secrets::refresh(now)),
        ("numaflow.numaproj.io" | "numaplane.numaproj.io", _, _) => Ok(numaflow::run(kind, action)),
        (_, _, "reconcile") => Ok(flux::reconcile(now)),
        (_, _, "suspend") => Ok(batch::suspend()),
        (_, _, "resume") => Ok(batch::resume(object)),
        _ => Err(unknown(group, kind, action)),
    }
}

/// The merge patch (RFC 7386) that makes one object another. What the server writes is left as it is.
#[must_use]
pub fn merge_patch(from: &Value, to: &Value) -> Value {
    let mut patch = serde_json::Map::new();
    let empty = serde_json::Map::new();
    let (from, to) = (from.as_object(), to.as_object());
    let (from, to) = (from.unwrap_or(&empty), to.unwrap_or(&empty));
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        // A script's tables have no nulls: one that was there has not been removed.
        if !from[name].is_null() {
            patch.insert(name.clone(), Value::Null);
        }
    }
    for (name, value) in to {
        match from.get(name) {
            Some(before) if before == value => {}
            Some(before) if before.is_object() && value.is_object() => {
                let below = merge_patch(before, value);
                if below.as_object().is_some_and(|below| !below.is_empty()) {
                    patch.insert(name.clone(), below);
                }
            }
            _ => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(patch)
}

/// The names of a kind's actions.
fn known(group: &str, kind: &str) -> &'static [&'static str] {
    let of_kind = KNOWN.iter().find(|of| (of.0, of.1) == (group, kind));
    of_kind.map(|(.., names)| *names).unwrap_or_default()
}

fn unknown(group: &str, kind: &str, action: &str) -> Message {
    match known(group, kind) {
        [] => message::app::ACTION_NONE.with("kind", kind),
        names => message::app::ACTION_UNKNOWN
            .with("kind", kind)
            .with("action", action)
            .with("known", names.join(", ")),
    }
}

/// The moment, as annotations and fields have it.
fn stamp(now: Timestamp) -> String {
    now.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A value at the end of a path: the object that has nothing else.
fn nested(path: &[&str], value: Value) -> Value {
    path.iter()
        .rev()
        .fold(value, |below, name| json!({ *name: below }))
}

fn kind_of(object: &Value) -> (&str, &str) {
    let (group, _) = split_api_version(text(object, &["apiVersion"]));
    (group, text(object, &["kind"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_names_what_became_otherwise() {
        let from = json!({"kind": "A", "gone": 1, "null": null, "same": {"a": [1]}, "below": {"a": 1, "b": 2}, "list": [1]});
        let to = json!({"kind": "A", "same": {"a": [1]}, "below": {"a": 1, "b": 3, "c": {}}, "list": [1, 2]});
        let patch = json!({"gone": null, "below": {"b": 3, "c": {}}, "list": [1, 2]});
        assert_eq!(merge_patch(&from, &to), patch);
    }

    #[test]
    fn every_known_action_can_be_run_and_every_listed_one_is_known() {
        let replicas = BTreeMap::from([("replicas".to_owned(), "2".to_owned())]);
        for (group, kind, names) in KNOWN {
            for spec in [
                json!({}),
                json!({"paused": true, "suspend": true}),
                json!({"paused": false, "suspend": false}),
            ] {
                let object = json!({"apiVersion": format!("{group}/v1"), "kind": kind,
                    "metadata": {"name": "a"}, "spec": spec, "status": {}});
                let listed = actions(&object);
                assert!(listed.is_sorted_by_key(|action| action.name), "{kind}");
                for action in listed {
                    assert!(names.contains(&action.name), "{kind} {}", action.name);
                }
                for name in *names {
                    let outcome = run(&object, name, &replicas, Timestamp::UNIX_EPOCH);
                    let unknown = matches!(&outcome, Err(refusal)
                        if refusal.is(&message::app::ACTION_UNKNOWN) || refusal.is(&message::app::ACTION_NONE));
                    assert!(!unknown, "{kind} {name}");
                }
            }
        }
    }
}
