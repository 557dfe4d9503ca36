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
        status: Some(v1alpha1::AppProjectStatus::default()),
    }
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
