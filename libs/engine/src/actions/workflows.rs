//! What Argo's workflows are made from.

use domain::clock::Timestamp;
use domain::resource::{at, text};
use serde_json::{Map, Value, json};

use super::{Action, Change, stamp};

/// The label by which a controller knows the workflows that are its own.
const INSTANCE: &str = "workflows.argoproj.io/controller-instanceid";

pub(super) fn actions() -> Vec<Action> {
    vec![Action {
        icon: "fa fa-fw fa-plus",
        title: "Create Workflow",
        ..Action::named("create-workflow")
    }]
}

/// A workflow that does what the template says.
pub(super) fn of_template(object: &Value, now: Timestamp) -> Change {
    let name = text(object, &["metadata", "name"]);
    let mut metadata = metadata(object, now);
    let labels = json!({"workflows.argoproj.io/workflow-template": name});
    metadata.insert("labels".to_owned(), labels);
    made(metadata, json!({"workflowTemplateRef": {"name": name}}))
}

/// The workflow that the schedule would make, now. Its name has the minute: asked for twice in one, it is there already.
pub(super) fn of_schedule(object: &Value, now: Timestamp) -> Change {
    let given = |part: &str| at(object, &["spec", "workflowMetadata", part]);
    let map = |part: &str| given(part).and_then(Value::as_object).cloned();
    let mut labels = map("labels").unwrap_or_default();
    let schedule = text(object, &["metadata", "name"]);
    labels.insert(
        "workflows.argoproj.io/cron-workflow".to_owned(),
        json!(schedule),
    );
    if let Some(instance) = at(object, &["metadata", "labels", INSTANCE]) {
        labels.insert(INSTANCE.to_owned(), instance.clone());
    }
    let mut annotations = map("annotations").unwrap_or_default();
    annotations.insert(
        "workflows.argoproj.io/scheduled-time".to_owned(),
        json!(stamp(now)),
    );
    let mut metadata = metadata(object, now);
    metadata.insert("labels".to_owned(), Value::Object(labels));
    metadata.insert("annotations".to_owned(), Value::Object(annotations));
    if let Some(finalizers) = given("finalizers").filter(|list| list.is_array()) {
        metadata.insert("finalizers".to_owned(), finalizers.clone());
    }
    let spec = at(object, &["spec", "workflowSpec"]);
    made(metadata, spec.cloned().unwrap_or_else(|| json!({})))
}

/// The name, the place and the owner of what is made from an object.
fn metadata(object: &Value, now: Timestamp) -> Map<String, Value> {
    let name = text(object, &["metadata", "name"]);
    let owner = json!({
        "apiVersion": text(object, &["apiVersion"]), "kind": text(object, &["kind"]), "name": name,
        "uid": text(object, &["metadata", "uid"]),
    });
    let mut metadata = Map::new();
    for (field, value) in [
        (
            "name",
            json!(format!("{name}-{}", now.format("%Y%m%d%H%M"))),
        ),
        ("namespace", json!(text(object, &["metadata", "namespace"]))),
        ("ownerReferences", json!([owner])),
    ] {
        metadata.insert(field.to_owned(), value);
    }
    metadata
}

fn made(metadata: Map<String, Value>, spec: Value) -> Change {
    Change::Create(
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
        "metadata": metadata, "spec": spec}),
    )
}
