//! Kinds that fare as their condition Ready says: cert-manager's, and External Secrets'.

use domain::resource::text;
use serde_json::Value;

use super::{Health, condition, conditions};

/// One that is being issued is so whatever else it says.
pub(super) fn certificate(object: &Value) -> Health {
    match condition(object, "Issuing").filter(|issuing| text(issuing, &["status"]) == "True") {
        Some(issuing) => Health::progressing(text(issuing, &["message"])),
        None => ready(object, "Waiting for certificate"),
    }
}

pub(super) fn issuer(object: &Value) -> Health {
    ready(object, "Initializing issuer")
}

pub(super) fn cluster_issuer(object: &Value) -> Health {
    ready(object, "Initializing ClusterIssuer")
}

pub(super) fn external_secret(object: &Value) -> Health {
    ready(object, "Waiting for ExternalSecret")
}

/// As the condition says; before it says anything there is a sentence of the kind's own.
fn ready(object: &Value, before: &str) -> Health {
    conditions(object)
        .filter(|condition| text(condition, &["type"]) == "Ready")
        .find_map(|condition| match text(condition, &["status"]) {
            "True" => Some(Health::healthy(text(condition, &["message"]))),
            "False" => Some(Health::degraded(text(condition, &["message"]))),
            _ => None,
        })
        .unwrap_or_else(|| Health::progressing(before))
}
