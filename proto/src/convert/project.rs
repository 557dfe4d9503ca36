//! Projects.

use domain::project::Project;
use serde_json::Value;

use super::{document, metadata};
use crate::json;
use crate::v1alpha1;

/// A project as a client sees it.
#[must_use]
pub fn to_wire(project: &Project) -> v1alpha1::AppProject {
    v1alpha1::AppProject {
        metadata: Some(metadata(&project.metadata, project.resource_version)),
        spec: Some(document(&project.spec)),
        status: Some(status(&project.spec)),
    }
}

/// The tokens of every role, where newer clients look for them.
fn status(spec: &Value) -> v1alpha1::AppProjectStatus {
    let roles = spec.get("roles").and_then(Value::as_array);
    let by_role = roles.into_iter().flatten().filter_map(|role| {
        let name = role.get("name")?.as_str()?.to_owned();
        let tokens = role.get("jwtTokens").and_then(Value::as_array);
        let items = tokens.into_iter().flatten().map(document).collect();
        Some((name, v1alpha1::JwtTokens { items }))
    });
    v1alpha1::AppProjectStatus {
        jwt_tokens_by_role: by_role.collect(),
    }
}

/// Brings the tokens that a client sent in the status into the roles of the spec, where they are kept: by id, the
/// newest first. One without an id has its time for one.
pub fn merge_tokens(spec: &mut Value, sent: Option<&v1alpha1::AppProjectStatus>) {
    let roles = spec.get_mut("roles").and_then(Value::as_array_mut);
    for role in roles.into_iter().flatten() {
        let name = role.get("name").and_then(Value::as_str).unwrap_or_default();
        let mut tokens: Vec<Value> = sent
            .and_then(|status| status.jwt_tokens_by_role.get(name))
            .into_iter()
            .flat_map(|tokens| &tokens.items)
            .map(json::to_value)
            .collect();
        let own = role.get("jwtTokens").and_then(Value::as_array);
        tokens.extend(own.into_iter().flatten().cloned());
        let mut kept: Vec<Value> = Vec::with_capacity(tokens.len());
        for mut token in tokens {
            let issued = token.get("iat").and_then(Value::as_i64).unwrap_or_default();
            if id(&token).is_empty() {
                token["id"] = Value::String(issued.to_string());
            }
            if !kept.iter().any(|known| id(known) == id(&token)) {
                kept.push(token);
            }
        }
        kept.sort_by_key(|token| {
            std::cmp::Reverse(token.get("iat").and_then(Value::as_i64).unwrap_or_default())
        });
        if let Value::Object(fields) = role {
            if kept.is_empty() {
                fields.remove("jwtTokens");
            } else {
                fields.insert("jwtTokens".to_owned(), Value::Array(kept));
            }
        }
    }
}

fn id(token: &Value) -> &str {
    token.get("id").and_then(Value::as_str).unwrap_or_default()
}

/// The spec that a client sent, as a document.
///
/// The wire cannot tell an empty list from an absent one, and for `namespaceResourceWhitelist` that is the difference
/// between nothing and everything. A stored empty one therefore stays when the client shows none: a client that reads
/// a project and writes it back never widens it.
#[must_use]
pub fn spec_document(spec: &v1alpha1::AppProjectSpec, stored: Option<&Value>) -> Value {
    const WHITELIST: &str = "namespaceResourceWhitelist";
    let mut document = json::to_value(spec);
    let forbids_all = |stored: &Value| {
        stored
            .get(WHITELIST)
            .and_then(Value::as_array)
            .is_some_and(Vec::is_empty)
    };
    if let Value::Object(fields) = &mut document
        && stored.is_some_and(forbids_all)
    {
        fields
            .entry(WHITELIST)
            .or_insert_with(|| Value::Array(Vec::new()));
    }
    document
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_of_both_places_are_kept_once_and_shown_in_both() {
        let sent = v1alpha1::AppProjectStatus {
            jwt_tokens_by_role: [(
                "ci".to_owned(),
                document(&json!({"items": [{"iat": 5, "id": "b"}, {"iat": 1}]})),
            )]
            .into(),
        };
        let mut spec = json!({"roles": [{"name": "ci", "jwtTokens": [{"iat": 5, "id": "b"}, {"iat": 9, "id": "c"}]}, {"name": "x"}]});
        merge_tokens(&mut spec, Some(&sent));
        assert_eq!(
            spec["roles"],
            json!([{"name": "ci", "jwtTokens": [{"iat": 9, "id": "c"}, {"iat": 5, "id": "b"}, {"iat": 1, "id": "1"}]}, {"name": "x"}])
        );
        assert_eq!(status(&spec).jwt_tokens_by_role["ci"].items.len(), 3);
    }

    #[test]
    fn a_project_that_forbids_all_kinds_is_not_widened_by_writing_it_back() {
        let project = Project {
            metadata: json!({"name": "p"}),
            spec: json!({"sourceRepos": ["*"], "namespaceResourceWhitelist": []}),
            resource_version: 3,
        };
        let wire = to_wire(&project);
        assert_eq!(
            json::to_value(&wire),
            json!({"metadata": {"name": "p", "namespace": "argocd", "resourceVersion": "3"}, "spec": {"sourceRepos": ["*"]}, "status": {}})
        );
        let spec = wire.spec.unwrap();
        assert_eq!(spec_document(&spec, Some(&project.spec)), project.spec);
        assert_eq!(spec_document(&spec, None), json!({"sourceRepos": ["*"]}));
        assert_eq!(
            json::to_value(&v1alpha1::AppProject::default()),
            json!({"metadata": {}, "spec": {}, "status": {}})
        );
    }
}
