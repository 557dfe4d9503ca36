//! Applications.

use domain::application::Application;
use domain::message::Language;
use serde_json::Value;

use super::{document, metadata, operation, status};
use crate::json;
use crate::v1alpha1;

/// The project of applications that name none.
const DEFAULT_PROJECT: &str = "default";

/// An application as a client sees it, its texts in the client's language.
#[must_use]
pub fn to_wire(application: &Application, language: Language) -> v1alpha1::Application {
    let mut spec: v1alpha1::ApplicationSpec = document(&application.spec);
    // `argocd app get` asks for the project by this name, and gives up on an empty one.
    if spec.project().is_empty() {
        spec.project = Some(DEFAULT_PROJECT.to_owned());
    }
    v1alpha1::Application {
        metadata: Some(metadata(
            &application.metadata,
            application.resource_version,
        )),
        spec: Some(spec),
        status: Some(status::to_wire(&application.status, language)),
        operation: application.operation.as_ref().map(operation::to_wire),
    }
}

/// The spec that a client sent, as a document.
#[must_use]
pub fn spec_document(spec: &v1alpha1::ApplicationSpec) -> Value {
    json::to_value(spec)
}

/// A source that was stored, as a client sees it.
#[must_use]
pub fn source(stored: &Value) -> v1alpha1::ApplicationSource {
    document(stored)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use domain::application::{Destination, HistoryEntry};
    use domain::cause::{Cause, Location};
    use domain::clock::Timestamp;
    use domain::manifest::{ManifestSetHash, SourceType};
    use domain::message::{lint, tenant};
    use domain::operation::{
        Initiator, Operation, OperationState, Phase, ResourceResult, ResultCode, SyncResult,
    };
    use domain::resource::ResourceKey;
    use domain::status::{HealthCode, ResourceStatus, Status, SyncCode};
    use serde_json::json;

    use super::*;
    use crate::convert::metadata_document;

    fn at(text: &str) -> Timestamp {
        text.parse::<DateTime<chrono::Utc>>().unwrap()
    }

    fn fresh() -> Application {
        Application {
            metadata: json!({"name": "hello", "uid": "u-1", "generation": 1, "creationTimestamp": "2024-01-01T00:00:00.5Z",
                "finalizers": ["resources-finalizer.argocd.argoproj.io"], "somethingNewer": true}),
            spec: json!({"destination": {"server": "https://kubernetes.default.svc", "namespace": "web"}, "project": "",
                "source": {"repoURL": "https://git.example/a.git", "path": "k8s", "somethingNewer": {"x": 1}},
                "syncPolicy": {"automated": {"prune": true}}}),
            operation: None,
            status: Status::default(),
            resource_version: 42,
        }
    }

    #[test]
    fn a_fresh_application_says_nothing_and_has_every_struct() {
        let value = json::to_value(&to_wire(&fresh(), Language::English));
        assert_eq!(
            value,
            json!({
                "metadata": {"name": "hello", "namespace": "argocd", "uid": "u-1", "generation": 1, "resourceVersion": "42",
                    "creationTimestamp": "2024-01-01T00:00:00Z", "finalizers": ["resources-finalizer.argocd.argoproj.io"]},
                "spec": {"destination": {"server": "https://kubernetes.default.svc", "namespace": "web"}, "project": "default",
                    "source": {"repoURL": "https://git.example/a.git", "path": "k8s"},
                    "syncPolicy": {"automated": {"prune": true}}},
                "status": {
                    "sync": {"status": "", "comparedTo": {"source": {"repoURL": ""}, "destination": {}}},
                    "health": {}, "summary": {}, "sourceHydrator": {},
                },
            })
        );
    }

    #[test]
    fn a_synced_application_has_all_that_waiters_read() {
        let key = ResourceKey {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: "web".into(),
            name: "a".into(),
        };
        let source = json!({"repoURL": "https://git.example/a.git", "path": "k8s"});
        let started = at("2024-01-02T03:04:05.900Z");
        let finished = at("2024-01-02T03:04:07.100Z");
        let operation = Operation {
            initiated_by: Initiator {
                username: "admin".into(),
                automated: false,
            },
            ..Operation::default()
        };
        let mut application = fresh();
        application.operation = Some(operation.clone());
        application.status = Status {
            sync: SyncCode::Synced,
            revisions: vec!["abc".into()],
            compared_sources: vec![source.clone()],
            compared_destination: Destination {
                namespace: "web".into(),
                ..Destination::default()
            },
            health: Some(HealthCode::Healthy),
            health_since: Some(finished),
            resources: vec![ResourceStatus {
                key: key.clone(),
                version: "v1".into(),
                status: Some(SyncCode::Synced),
                health: Some(HealthCode::Healthy),
                health_message: String::new(),
                requires_pruning: false,
                requires_deletion_confirmation: true,
                sync_wave: 0,
                hook: false,
            }],
            causes: vec![
                Cause::warning(
                    lint::UNKNOWN_FIELD
                        .with("field", "nmaespace")
                        .with("kind", "Deployment"),
                )
                .located(Some(Location {
                    path: "k8s/a.yaml".into(),
                    line: 4,
                })),
            ],
            cause_since: vec![started],
            reconciled_at: Some(finished),
            operation: Some(OperationState {
                operation,
                phase: Phase::Succeeded,
                message: tenant::RESERVED_NAME.with("name", "x"),
                causes: vec![],
                started_at: started,
                finished_at: Some(finished),
                retry_count: 0,
                result: Some(SyncResult {
                    revisions: vec!["abc".into()],
                    sources: vec![source.clone()],
                    multiple: false,
                    resources: vec![ResourceResult {
                        key,
                        version: "v1".into(),
                        status: Some(ResultCode::Synced),
                        message: "deployment.apps/a configured".into(),
                        hook_phase: Phase::Running,
                        sync_phase: "Sync".into(),
                        hook: false,
                        images: vec![],
                    }],
                    managed_namespace_metadata: Some(json!({"labels": {"team": "one"}})),
                }),
            }),
            source_types: vec![SourceType::Directory],
            history: vec![HistoryEntry {
                id: 0,
                revisions: vec!["abc".into()],
                sources: vec![source],
                multiple: false,
                deploy_started_at: started,
                deployed_at: finished,
                initiated_by: Initiator {
                    username: String::new(),
                    automated: true,
                },
                manifest_set: ManifestSetHash::default(),
            }],
            ..Status::default()
        };
        let value = json::to_value(&to_wire(&application, Language::English));
        assert_eq!(
            value["operation"],
            json!({"sync": {}, "initiatedBy": {"username": "admin"}, "retry": {}})
        );
        let condition = &value["status"]["conditions"][0];
        assert_eq!(condition["type"], "UnknownFieldWarning");
        assert_eq!(condition["lastTransitionTime"], "2024-01-02T03:04:05Z");
        assert!(
            condition["message"]
                .as_str()
                .unwrap()
                .contains("k8s/a.yaml:4")
        );
        let mut status = value["status"].clone();
        status["operationState"]["message"] = json!("m");
        status["conditions"] = json!(null);
        assert_eq!(
            status,
            json!({
                "sync": {"status": "Synced", "revision": "abc",
                    "comparedTo": {"source": {"repoURL": "https://git.example/a.git", "path": "k8s"}, "destination": {"namespace": "web"}}},
                "health": {"status": "Healthy", "lastTransitionTime": "2024-01-02T03:04:07Z"},
                "summary": {}, "sourceHydrator": {}, "sourceType": "Directory", "controllerNamespace": "argocd",
                "reconciledAt": "2024-01-02T03:04:07Z",
                "conditions": null,
                "resources": [{"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "web", "name": "a",
                    "status": "Synced", "health": {"status": "Healthy"}, "requiresDeletionConfirmation": true}],
                "history": [{"id": 0, "revision": "abc", "deployStartedAt": "2024-01-02T03:04:05Z", "deployedAt": "2024-01-02T03:04:07Z",
                    "initiatedBy": {"automated": true}, "source": {"repoURL": "https://git.example/a.git", "path": "k8s"}}],
                "operationState": {"phase": "Succeeded", "message": "m",
                    "startedAt": "2024-01-02T03:04:05Z", "finishedAt": "2024-01-02T03:04:07Z",
                    "operation": {"sync": {}, "initiatedBy": {"username": "admin"}, "retry": {}},
                    "syncResult": {"revision": "abc", "source": {"repoURL": "https://git.example/a.git", "path": "k8s"},
                        "resources": [{"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "web", "name": "a",
                            "status": "Synced", "message": "deployment.apps/a configured", "hookPhase": "Running", "syncPhase": "Sync"}],
                        "managedNamespaceMetadata": {"labels": {"team": "one"}}}},
            })
        );
    }

    #[test]
    fn what_was_left_out_of_the_comparison_stands_beside_what_was_compared() {
        let rules =
            json!([{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}]);
        let before = json!({"kind": "ConfigMap", "jqPathExpressions": [".data.value"]});
        let mut application = fresh();
        application.spec["ignoreDifferences"] = rules;
        let shown = |application: &Application| {
            let value = json::to_value(&to_wire(application, Language::English));
            value["status"]["sync"]["comparedTo"]["ignoreDifferences"].clone()
        };
        assert_eq!(shown(&application), Value::Null, "nothing was compared yet");
        application.status.compared_sources = vec![application.spec["source"].clone()];
        assert_eq!(shown(&application), Value::Null, "without any");
        application.status.compared_ignore_differences = vec![before.clone()];
        assert_eq!(shown(&application), json!([before]), "not those since");
    }

    #[test]
    fn what_a_client_sent_becomes_documents() {
        let wire: v1alpha1::Application = json::from_value(&json!({
            "metadata": {"name": "a", "namespace": "elsewhere", "uid": "forged", "resourceVersion": "7", "labels": {"k": "v"}},
            "spec": {"project": "p", "destination": {"name": "in-cluster"}, "sources": [{"repoURL": "r", "ref": "values"}],
                "syncPolicy": {"automated": {"enabled": false}}},
        }))
        .unwrap();
        assert_eq!(
            metadata_document(wire.metadata.as_ref().unwrap()),
            json!({"name": "a", "labels": {"k": "v"}})
        );
        assert_eq!(
            spec_document(wire.spec.as_ref().unwrap()),
            json!({"project": "p", "destination": {"name": "in-cluster"}, "sources": [{"repoURL": "r", "ref": "values"}],
                "syncPolicy": {"automated": {"enabled": false}}})
        );
        let spec: domain::application::Spec =
            serde_json::from_value(spec_document(wire.spec.as_ref().unwrap())).unwrap();
        assert!(spec.automated().is_none());
    }
}
