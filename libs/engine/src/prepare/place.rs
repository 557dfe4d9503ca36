//! Where an object goes, and whether it may.

use std::collections::HashMap;

use domain::application::Destination;
use domain::manifest::Manifest;
use domain::message::{self, Message};
use domain::project::Rules;
use domain::resource::{ResourceKey, at, split_api_version, text};
use domain::tracking::MAX_LABEL;
use serde_json::Value;

use super::{Context, Scope};
use crate::options::SyncOptions;

/// The kinds that CustomResourceDefinitions among the manifests will give the cluster: (group, version, kind).
pub(super) type Promised = HashMap<(String, String, String), Scope>;

pub(super) fn promised_kinds(manifests: &[Manifest]) -> Promised {
    let mut promised = Promised::new();
    for definition in manifests.iter().map(|m| &m.object) {
        if text(definition, &["kind"]) != "CustomResourceDefinition" {
            continue;
        }
        let scope = match text(definition, &["spec", "scope"]) {
            "Cluster" => Scope::Cluster,
            _ => Scope::Namespaced,
        };
        let versions = at(definition, &["spec", "versions"]).and_then(Value::as_array);
        for version in versions.into_iter().flatten() {
            let gvk = (
                text(definition, &["spec", "group"]).to_owned(),
                text(version, &["name"]).to_owned(),
                text(definition, &["spec", "names", "kind"]).to_owned(),
            );
            promised.insert(gvk, scope);
        }
    }
    promised
}

/// What is known of an object's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) namespaced: bool,
    /// Whether the cluster has the kind, or will have it when this sync has applied its definition.
    pub(super) known: bool,
}

/// Gives a namespaced object the destination's namespace where it names none; takes it from a cluster-scoped one.
pub(super) fn place(object: &mut Value, context: &Context<'_>, promised: &Promised) -> Placed {
    let (group, version) = split_api_version(text(object, &["apiVersion"]));
    let kind = text(object, &["kind"]);
    let scope = context.kinds.scope(group, version, kind).or_else(|| {
        promised
            .get(&(group.to_owned(), version.to_owned(), kind.to_owned()))
            .copied()
    });
    let namespaced = scope != Some(Scope::Cluster);
    let empty = text(object, &["metadata", "namespace"]).is_empty();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        if !namespaced {
            metadata.remove("namespace");
        } else if empty && !context.destination.namespace.is_empty() {
            metadata.insert(
                "namespace".to_owned(),
                Value::String(context.destination.namespace.clone()),
            );
        }
    }
    Placed {
        namespaced,
        known: scope.is_some(),
    }
}

/// Why an object must not be applied.
pub(super) struct Refusal {
    pub(super) message: Message,
    pub(super) field: &'static str,
    pub(super) forbidden_kind: bool,
    /// Whether the namespace is not the tenant's.
    pub(super) outside: bool,
}

pub(super) fn refusal(
    object: &Value,
    key: &ResourceKey,
    placed: Placed,
    context: &Context<'_>,
) -> Option<Refusal> {
    // First, whatever else is wrong: it decides whether the live object may be looked at.
    if let Some((message, field)) = not_yours(key, placed, context) {
        return Some(Refusal {
            message,
            field,
            forbidden_kind: false,
            outside: true,
        });
    }
    let refuse = |message, field| {
        Some(Refusal {
            message,
            field,
            forbidden_kind: false,
            outside: false,
        })
    };
    if key.group == "argoproj.io"
        && matches!(
            key.kind.as_str(),
            "Application" | "ApplicationSet" | "AppProject"
        )
    {
        return refuse(
            message::sync::APPLICATION_IN_GIT
                .with("kind", &key.kind)
                .with("name", &key.name),
            "kind",
        );
    }
    let (rules, project) = (context.rules, context.project);
    if let Some(message) = kind_forbidden(rules, project, key, placed.namespaced) {
        return Some(Refusal {
            message,
            field: "kind",
            forbidden_kind: true,
            outside: false,
        });
    }
    if placed.namespaced && key.namespace.is_empty() {
        return refuse(
            message::sync::NAMESPACE_MISSING.with("resource", key),
            "metadata.namespace",
        );
    }
    if placed.namespaced
        && let Some(message) = namespace_forbidden(rules, project, context.destination, key)
    {
        return refuse(message, "metadata.namespace");
    }
    let tolerant = context.options.skip_dry_run_on_missing
        || SyncOptions::of_object(object).skip_dry_run_on_missing;
    if !placed.known && !tolerant {
        let api_version = text(object, &["apiVersion"]);
        let elsewhere = context.kinds.versions_of(&key.kind);
        let message = if elsewhere.is_empty() {
            message::sync::UNKNOWN_KIND.message()
        } else {
            message::sync::UNKNOWN_KIND_VERSION.with("versions", elsewhere.join(", "))
        };
        return refuse(
            message.with("kind", &key.kind).with("version", api_version),
            "apiVersion",
        );
    }
    None
}

/// No apiserver takes a larger request.
const MAX_OBJECT: usize = 3 << 20;

/// Why an object whose JSON has so many bytes must not be applied.
pub(super) fn too_large(key: &ResourceKey, size: usize) -> Option<Refusal> {
    if size <= MAX_OBJECT {
        return None;
    }
    let message = message::sync::OBJECT_TOO_LARGE
        .with("resource", key)
        .with("size", size)
        .with("limit", MAX_OBJECT);
    Some(Refusal {
        message,
        field: "metadata.name",
        forbidden_kind: false,
        outside: false,
    })
}

/// The label alone would name the application, and cannot hold its name.
pub(super) fn nameless(key: &ResourceKey, context: &Context<'_>) -> Option<Refusal> {
    if context.marking.can_name(context.app) {
        return None;
    }
    let message = message::sync::LABEL_TOO_LONG
        .with("resource", key)
        .with("app", context.app)
        .with("length", context.app.len())
        .with("limit", MAX_LABEL);
    Some(Refusal {
        message,
        field: "metadata.labels",
        forbidden_kind: false,
        outside: false,
    })
}

/// Why a project does not permit an object of its kind.
#[must_use]
pub fn kind_forbidden(
    rules: &Rules,
    project: &str,
    key: &ResourceKey,
    namespaced: bool,
) -> Option<Message> {
    if rules.permits_kind(&key.group_kind(), &key.name, namespaced) {
        return None;
    }
    let message = if namespaced {
        message::sync::NAMESPACED_KIND_FORBIDDEN
    } else {
        message::sync::CLUSTER_KIND_FORBIDDEN
    };
    let message = message.with("kind", key.group_kind());
    Some(message.with("project", project))
}

/// Why a project does not permit a namespaced object where it is.
#[must_use]
pub fn namespace_forbidden(
    rules: &Rules,
    project: &str,
    destination: &Destination,
    key: &ResourceKey,
) -> Option<Message> {
    if rules.permits_destination(&destination.server, &destination.name, &key.namespace) {
        return None;
    }
    let message = message::sync::NAMESPACE_NOT_IN_PROJECT.with("namespace", &key.namespace);
    Some(message.with("project", project))
}

/// An object's namespace, or a Namespace's own name, must be the tenant's; and where only namespaces are followed, nothing
/// outside of them is.
fn not_yours(
    key: &ResourceKey,
    placed: Placed,
    context: &Context<'_>,
) -> Option<(Message, &'static str)> {
    if !placed.namespaced && !context.territory.has_cluster_scoped() {
        let message = message::sync::CLUSTER_LEVEL_UNMANAGED.with("kind", &key.kind);
        return Some((message.with("name", &key.name), "kind"));
    }
    let is_namespace = key.is_namespace();
    let (namespace, field, creating, makeable) = match (placed.namespaced, is_namespace) {
        (true, _) if key.namespace.is_empty() => return None,
        (true, _) => {
            let destination = key.namespace == context.destination.namespace;
            (
                &key.namespace,
                "metadata.namespace",
                destination && context.options.create_namespace,
                destination,
            )
        }
        (false, true) => (&key.name, "metadata.name", true, false),
        (false, false) => return None,
    };
    if context.territory.permits(namespace, creating) {
        return None;
    }
    let message = context.territory.refusal(namespace, creating, makeable);
    Some((message, field))
}
