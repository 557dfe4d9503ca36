//! From the domain to the wire and back.
//!
//! Documents (metadata, spec, sources) pass through [`crate::json`], so that a field is named in one place only; what
//! the controller says is put together field by field.

pub mod application;
pub mod cluster;
mod condition;
mod operation;
pub mod project;
pub mod repository;
mod status;
pub mod time;
pub mod tree;

use domain::application::CONTROL_PLANE_NAMESPACE;
use prost::{Message, Name};
use serde_json::{Map, Value};

use crate::json;
use crate::k8s::meta::v1::ObjectMeta;

/// A text that the wire leaves out when it is empty.
fn text(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

/// A stored document as a message. Documents are made of messages, so one that fits none is not ours, and shows as
/// empty rather than taking a whole list down.
fn document<M: Message + Name + Default>(value: &Value) -> M {
    json::from_value(value).unwrap_or_default()
}

/// The metadata that a client sees of a stored document.
fn metadata(stored: &Value, resource_version: i64) -> ObjectMeta {
    let mut metadata: ObjectMeta = document(stored);
    metadata.namespace = Some(CONTROL_PLANE_NAMESPACE.to_owned());
    // Clients compare it as a whole number.
    metadata.resource_version = Some(resource_version.to_string());
    metadata
}

/// What a client may say in metadata, as a document: the rest (uid, version, times, namespace) is the server's.
#[must_use]
pub fn metadata_document(metadata: &ObjectMeta) -> Value {
    const ITS_OWN: &[&str] = &[
        "name",
        "generateName",
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
    ];
    let mut document = Map::new();
    if let Value::Object(all) = json::to_value(metadata) {
        document.extend(
            all.into_iter()
                .filter(|(key, _)| ITS_OWN.contains(&key.as_str())),
        );
    }
    Value::Object(document)
}
