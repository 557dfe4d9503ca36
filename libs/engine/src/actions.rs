//! What can be done to a live object besides editing its manifest: Argo CD's built-in actions of the common workloads, by
//! its names and parameters.
//!
//! Which actions an object has is what a list shows; an action that is known for the kind may be run whether or not it is
//! listed just then, as in Argo CD, and changes nothing where it has nothing to do.

use std::collections::BTreeMap;

use domain::clock::Timestamp;
use domain::message::{self, Message};
use domain::resource::{split_api_version, text};
use serde_json::Value;

mod batch;
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

/// What an action comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The object is as the action would have it.
    Nothing,
    /// A merge patch of the object.
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
    ("batch", "CronJob", &["create-job", "resume", "suspend"]),
    ("batch", "Job", &["resume", "suspend", "terminate"]),
];

/// The actions that an object has as it is now, by name.
#[must_use]
pub fn actions(object: &Value) -> Vec<Action> {
    match kind_of(object) {
        ("apps", "DaemonSet") => workloads::daemon_set(),
        ("apps", "Deployment") => workloads::deployment(object),
        ("apps", "StatefulSet") => workloads::stateful_set(),
        ("batch", "CronJob") => batch::cron_job(object),
        ("batch", "Job") => batch::job(object),
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
    match (kind_of(object), action) {
        (("apps", "DaemonSet" | "Deployment" | "StatefulSet"), "restart") => {
            Ok(workloads::restart(now))
        }
        (("apps", "Deployment" | "StatefulSet"), "scale") => workloads::scale(parameters),
        (("apps", "Deployment"), "pause") => Ok(workloads::pause()),
        (("apps", "Deployment"), "resume") => Ok(workloads::resume(object)),
        (("batch", "CronJob"), "create-job") => Ok(batch::create_job(object, now)),
        (("batch", "CronJob" | "Job"), "suspend") => Ok(batch::suspend()),
        (("batch", "CronJob" | "Job"), "resume") => Ok(batch::resume(object)),
        (("batch", "Job"), "terminate") => batch::terminate(object),
        ((group, kind), _) => Err(unknown(group, kind, action)),
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

fn unknown(group: &str, kind: &str, action: &str) -> Message {
    let known = KNOWN
        .iter()
        .find(|known| (known.0, known.1) == (group, kind));
    match known {
        Some((.., names)) => message::app::ACTION_UNKNOWN
            .with("kind", kind)
            .with("action", action)
            .with("known", names.join(", ")),
        None => message::app::ACTION_NONE.with("kind", kind),
    }
}

fn kind_of(object: &Value) -> (&str, &str) {
    let (group, _) = split_api_version(text(object, &["apiVersion"]));
    (group, text(object, &["kind"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
