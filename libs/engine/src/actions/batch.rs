//! Jobs and what runs them.

use domain::clock::Timestamp;
use domain::message::{self, Message};
use domain::resource::{at, text};
use serde_json::{Map, Value, json};

use super::{Action, Change};

/// The conditions of a Job after which nothing of it runs any more.
const ENDED: [&str; 4] = ["Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"];

const SUSPEND: Action = drawn("suspend", "fa fa-fw fa-pause");
const RESUME: Action = drawn("resume", "fa fa-fw fa-play");

const fn drawn(name: &'static str, icon: &'static str) -> Action {
    Action {
        icon,
        ..Action::named(name)
    }
}

pub(super) fn cron_job(object: &Value) -> Vec<Action> {
    let create = Action {
        title: "Create Job",
        ..drawn("create-job", "fa fa-fw fa-plus")
    };
    vec![
        create,
        if is_suspended(object) {
            RESUME
        } else {
            SUSPEND
        },
    ]
}

pub(super) fn job(object: &Value) -> Vec<Action> {
    if has_ended(object) {
        return Vec::new();
    }
    let suspended = is_suspended(object);
    let mut actions = vec![if suspended { RESUME } else { SUSPEND }];
    if object.get("status").is_some() {
        let terminate = drawn("terminate", "fa fa-fw fa-stop");
        actions.push(terminate.disabled(suspended));
    }
    actions
}

pub(super) fn suspend() -> Change {
    Change::Merge(json!({"spec": {"suspend": true}}))
}

pub(super) fn resume(object: &Value) -> Change {
    if is_suspended(object) {
        Change::Merge(json!({"spec": {"suspend": false}}))
    } else {
        Change::Nothing
    }
}

/// Ends a Job by a deadline that has passed. Argo CD writes a condition into the status instead, which in Kubernetes only
/// an administrator of the cluster may, and a tenant's account is none. The deadline of a suspended Job does not pass.
pub(super) fn terminate(object: &Value) -> Result<Change, Message> {
    if has_ended(object) {
        return Ok(Change::Nothing);
    }
    if is_suspended(object) {
        return Err(
            message::app::ACTION_SUSPENDED.with("name", text(object, &["metadata", "name"]))
        );
    }
    Ok(Change::Merge(json!({"spec": {"activeDeadlineSeconds": 1}})))
}

/// The Job that the schedule would make, now. Its name has the minute: asked for twice in one, it is there already.
pub(super) fn create_job(object: &Value, now: Timestamp) -> Change {
    let template = at(object, &["spec", "jobTemplate"]);
    let part = |name: &str| template.and_then(|template| template.get(name));
    let mut metadata = Map::new();
    for name in ["labels", "annotations"] {
        if let Some(Value::Object(given)) = part("metadata").and_then(|metadata| metadata.get(name))
        {
            metadata.insert(name.to_owned(), Value::Object(given.clone()));
        }
    }
    let owner = text(object, &["metadata", "name"]);
    let name = format!("{owner}-{}", now.format("%y%m%d%H%M"));
    metadata.insert("name".to_owned(), json!(name));
    let namespace = text(object, &["metadata", "namespace"]);
    metadata.insert("namespace".to_owned(), json!(namespace));
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    annotations["cronjob.kubernetes.io/instantiate"] = json!("manual");
    let reference = json!({
        "apiVersion": text(object, &["apiVersion"]), "kind": text(object, &["kind"]), "name": owner,
        "uid": text(object, &["metadata", "uid"]), "blockOwnerDeletion": true, "controller": true,
    });
    metadata.insert("ownerReferences".to_owned(), json!([reference]));
    let spec = part("spec").cloned().unwrap_or_default();
    Change::Create(
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}),
    )
}

/// Whether it waits to be resumed; things of Flux too say it so.
pub(super) fn is_suspended(object: &Value) -> bool {
    at(object, &["spec", "suspend"]) == Some(&Value::Bool(true))
}

fn has_ended(object: &Value) -> bool {
    let conditions = at(object, &["status", "conditions"]).and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| {
        text(condition, &["status"]) == "True" && ENDED.contains(&text(condition, &["type"]))
    })
}
