//! The cluster of a case: the kinds that it knows, and objects as our applies have made them and others have changed them.

use std::sync::Arc;

use domain::cause::Cause;
use domain::field_set::FieldSet;
use domain::manifest::Manifest;
use domain::resource::ResourceKey;
use domain::schema::{Document, ListMerge, Node, SchemaSet, Type};
use engine::compare::{Applied, Seen};
use engine::prepare::{Context, Kinds, Scope};
use serde_json::{Map, Value, json};

use crate::case::LiveGiven;

pub(crate) struct Known;

impl Kinds for Known {
    fn scope(&self, group: &str, version: &str, kind: &str) -> Option<Scope> {
        match (group, version, kind) {
            ("", "v1", "Namespace" | "PersistentVolume" | "Node")
            | ("rbac.authorization.k8s.io", "v1", "ClusterRole")
            | ("apiextensions.k8s.io", "v1", "CustomResourceDefinition") => Some(Scope::Cluster),
            (
                ""
                | "apps"
                | "batch"
                | "rbac.authorization.k8s.io"
                | "networking.k8s.io"
                | "example.com",
                "v1",
                _,
            ) => Some(Scope::Namespaced),
            _ => None,
        }
    }

    fn versions_of(&self, kind: &str) -> Vec<String> {
        if kind == "Ingress" {
            vec!["networking.k8s.io/v1".into()]
        } else {
            vec![]
        }
    }
}

pub(crate) fn schemas() -> SchemaSet {
    let all: Map<String, Value> =
        serde_json::from_str(include_str!("../fixtures/schemas.json")).expect("a well-formed case");
    let mut set = SchemaSet::default();
    for (name, document) in all {
        let (group, version) = name.split_once('/').expect("a well-formed case");
        let document =
            Document::from_open_api(document.to_string().as_bytes()).expect("a well-formed case");
        set.insert(group, version, Arc::new(document));
    }
    set
}

/// What server-side apply records for an object that one manager applied.
fn fields_v1(value: &Value, node: Option<Node<'_>>) -> Value {
    let atomic = |t: Option<&Type>| {
        matches!(
            t,
            Some(Type::Object { atomic: true, .. } | Type::Map { atomic: true, .. })
        )
    };
    match (value, node.map(Node::kind)) {
        (Value::Object(fields), kind) if !atomic(kind) => fields
            .iter()
            .map(|(name, value)| {
                (
                    format!("f:{name}"),
                    fields_v1(value, node.and_then(|n| n.value(name))),
                )
            })
            .collect(),
        (
            Value::Array(items),
            Some(Type::List {
                merge: ListMerge::Map { .. },
                ..
            }),
        ) => items
            .iter()
            .map(|item| {
                let mut beneath = fields_v1(item, node.and_then(Node::element));
                beneath["."] = json!({});
                (
                    format!(
                        "k:{}",
                        engine::fields::keys_of(item, node).expect("a well-formed case")
                    ),
                    beneath,
                )
            })
            .collect(),
        (
            Value::Array(items),
            Some(Type::List {
                merge: ListMerge::Set,
                ..
            }),
        ) => items
            .iter()
            .map(|item| (format!("v:{item}"), json!({})))
            .collect(),
        _ => json!({}),
    }
}

fn merge_patch(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    for (name, patch) in patch {
        if patch.is_null() {
            value
                .as_object_mut()
                .expect("a well-formed case")
                .remove(name);
        } else {
            merge_patch(&mut value[name], patch);
        }
    }
}

/// The target that an apply was of.
fn applied_target(applied: &Value, context: &Context<'_>) -> engine::Target {
    let manifest = Manifest::new(applied.clone(), None);
    let prepared = engine::prepare(&[manifest], context);
    prepared.targets[0].clone()
}

/// What an apply made.
fn applied_body(applied: &Value, context: &Context<'_>) -> Value {
    let target = applied_target(applied, context);
    let mut body = target.object.as_ref().clone();
    let root = context
        .schema
        .root(&target.key.group, &target.version, &target.key.kind);
    let mut fields = fields_v1(&body, root);
    for name in ["f:apiVersion", "f:kind"] {
        fields
            .as_object_mut()
            .expect("a well-formed case")
            .remove(name);
    }
    for name in ["f:name", "f:namespace"] {
        fields["f:metadata"]
            .as_object_mut()
            .expect("a well-formed case")
            .remove(name);
    }
    body["metadata"]["managedFields"] = json!([{"manager": engine::fields::MANAGER, "operation": "Apply",
        "apiVersion": body["apiVersion"], "fieldsType": "FieldsV1", "fieldsV1": fields}]);
    body
}

pub(crate) fn live_body(given: &LiveGiven, context: &Context<'_>, position: usize) -> Value {
    let mut body = match (&given.applied, &given.body) {
        (Some(applied), None) => applied_body(applied, context),
        (None, Some(body)) => body.clone(),
        _ => panic!("a live object is either applied or a body"),
    };
    if !given.then.is_null() {
        merge_patch(&mut body, &given.then);
    }
    if let Some(Value::Array(entries)) = body.pointer_mut("/metadata/managedFields") {
        entries.extend(given.others.iter().cloned());
    }
    body["metadata"]["uid"] = json!(format!("uid-{position}"));
    body
}

/// What was found of a live object before it was changed.
pub(crate) fn before(given: &LiveGiven, context: &Context<'_>) -> (ResourceKey, Applied) {
    let applied = given.applied.as_ref().expect("a well-formed case");
    let target = applied_target(applied, context);
    let seen = seen(&applied_body(applied, context)).expect("a well-formed case");
    let found = Applied {
        target: target.hash,
        seen,
    };
    (target.key, found)
}

pub(crate) fn refusal(words: &str) -> Cause {
    Cause::error(domain::message::cluster::INVALID_OBJECT.message()).evidence(words)
}

pub(crate) fn seen(body: &Value) -> Option<Seen> {
    let mut content = body.clone();
    let managed = content["metadata"]["managedFields"].take();
    Some(Seen {
        fingerprint: engine::canonical::hash(&content),
        managed: managed
            .get(0)
            .map(|entry| Arc::new(FieldSet::from_fields_v1(&entry["fieldsV1"]))),
    })
}
