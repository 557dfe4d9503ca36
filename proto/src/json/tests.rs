//! REST's JSON against what Go writes, shape by shape.

use serde_json::{Value, json};

use super::*;
use crate::argocd::{application, session, v1alpha1};
use crate::k8s::meta::v1 as meta;

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[test]
fn our_own_messages_refuse_a_field_that_they_do_not_have() {
    let told = |value: Value| {
        let error = decode("naru.v1.UpdateSettingsRequest", &value).unwrap_err();
        error.message().to_string()
    };
    assert_eq!(
        told(json!({"changes": [{"object": "argocd-cm", "key": "url", "valu": "x"}]})),
        "the request has no field `changes[0].valu`; did you mean `value`? Nothing was done"
    );
    assert!(told(json!({"change": []})).contains("did you mean `changes`?"));
    assert!(told(json!({"whatever": null})).contains("(there are: "));
}

#[test]
fn an_empty_application_has_every_struct_that_go_never_omits() {
    let app = v1alpha1::Application {
        metadata: Some(meta::ObjectMeta {
            name: text("a"),
            creation_timestamp: Some(meta::Time::default()),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(
        to_value(&app),
        json!({
            "metadata": {"name": "a"},
            "spec": {"destination": {}, "project": ""},
            "status": {
                "sync": {"status": "", "comparedTo": {"source": {"repoURL": ""}, "destination": {}}},
                "health": {}, "summary": {}, "sourceHydrator": {},
            },
        })
    );
    assert_eq!(
        to_value(&v1alpha1::ApplicationList::default()),
        json!({"metadata": {}, "items": null})
    );
    assert_eq!(
        to_value(&session::GetUserInfoResponse::default()),
        json!({})
    );
    assert_eq!(to_value(&()), json!({}));
}

#[test]
fn a_source_keeps_what_later_versions_than_3_2_have() {
    let document = json!({
        "repoURL": "r", "path": "p", "targetRevision": "1.x", "tagPrefix": "web/",
        "directory": {"jsonnet": {}, "include": "*.sealed", "disableExtensionFilter": true},
    });
    let source: v1alpha1::ApplicationSource = from_value(&document).unwrap();
    assert_eq!(source.tag_prefix(), "web/");
    let directory = source.directory.as_ref().unwrap();
    assert!(directory.disable_extension_filter());
    assert_eq!(to_value(&source), document);
    let bytes = source.encode_to_vec();
    let again = v1alpha1::ApplicationSource::decode(bytes.as_slice()).unwrap();
    assert_eq!(to_value(&again), document);
    assert_eq!(
        to_value(&crate::convert::application::source(&document)),
        document
    );
}

#[test]
fn our_own_messages_always_have_the_same_keys() {
    assert_eq!(
        to_value(&crate::naru::v1::ValidatePolicyResponse::default()),
        json!({"valid": false, "problems": []})
    );
}

#[test]
fn presence_follows_the_tags() {
    let spec = v1alpha1::ApplicationSpec {
        revision_history_limit: Some(0),
        ..Default::default()
    };
    assert_eq!(
        to_value(&spec),
        json!({"destination": {}, "project": "", "revisionHistoryLimit": 0})
    );
    let automated = v1alpha1::SyncPolicyAutomated {
        prune: Some(false),
        enabled: Some(false),
        ..Default::default()
    };
    assert_eq!(to_value(&automated), json!({"enabled": false}));
    let entry = application::LogEntry {
        content: String::new(),
        last: false,
        ..Default::default()
    };
    assert_eq!(
        to_value(&entry),
        json!({"content": "", "timeStamp": null, "last": false, "timeStampStr": "", "podName": ""})
    );
    assert_eq!(
        to_value(&v1alpha1::Repository {
            repo: text("r"),
            ..Default::default()
        }),
        json!({"repo": "r", "connectionState": {"status": "", "message": "", "attemptedAt": null}})
    );
    let state = to_value(&v1alpha1::OperationState {
        finished_at: Some(meta::Time::default()),
        ..Default::default()
    });
    assert_eq!(
        state,
        json!({"operation": {"initiatedBy": {}, "retry": {}}, "phase": "", "startedAt": null, "finishedAt": null})
    );
    let refresh = meta::Time {
        seconds: Some(1_700_000_000),
        nanos: Some(0),
    };
    assert_eq!(to_value(&refresh), json!("2023-11-14T22:13:20Z"));
}

#[test]
fn what_is_inlined_renamed_or_free_survives_both_ways() {
    let source = json!({
        "repoURL": "r",
        "helm": {"valuesObject": {"b": [1, "x"], "a": null}},
        "kustomize": {"replicas": [{"name": "n", "count": 3}, {"name": "m", "count": "50%"}],
            "patches": [{"patch": "p", "target": {"kind": "Deployment", "name": "d", "labelSelector": "a=b"}, "options": {"allowNameChange": true}}]},
        "plugin": {"parameters": [{"name": "e", "map": {}}, {"name": "f", "array": ["x"]}, {"name": "g", "string": ""}]},
    });
    let message: v1alpha1::ApplicationSource = from_value(&source).unwrap();
    assert_eq!(to_value(&message), source);
    let target = message.kustomize.as_ref().unwrap().patches[0]
        .target
        .as_ref()
        .unwrap();
    assert_eq!(
        target.res_id.as_ref().unwrap().gvk.as_ref().unwrap().kind(),
        "Deployment"
    );

    let strategy = json!({"hook": {"force": true}});
    assert_eq!(
        to_value(&from_value::<v1alpha1::SyncStrategy>(&strategy).unwrap()),
        strategy
    );
    let node = v1alpha1::ResourceNode {
        resource_ref: Some(v1alpha1::ResourceRef {
            kind: text("Pod"),
            name: text("p"),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(to_value(&node), json!({"kind": "Pod", "name": "p"}));
    let ignored = v1alpha1::OverrideIgnoreDiff {
        j_son_pointers: vec!["/spec/x".into()],
        ..Default::default()
    };
    assert_eq!(
        to_value(&v1alpha1::ResourceOverride {
            ignore_differences: Some(ignored),
            ..Default::default()
        }),
        json!({
            "ignoreDifferences": "jqPathExpressions: null\njsonPointers:\n- /spec/x\nmanagedFieldsManagers: null\n",
            "ignoreResourceUpdates": "jqPathExpressions: null\njsonPointers: null\nmanagedFieldsManagers: null\n",
        })
    );
}

#[test]
fn reading_is_lenient_where_go_is_and_names_the_place_where_it_is_not() {
    let app: v1alpha1::Application = from_value(&json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "unknown": {"x": 1},
        "METADATA": {"Name": "a", "creationTimestamp": null},
        "spec": {"sources": null, "source": {"repourl": "r"}, "syncPolicy": {"syncOptions": [null]}},
        "status": {"reconciledAt": "2024-01-02T03:04:05.678+09:00"},
    }))
    .unwrap();
    assert_eq!(app.metadata.as_ref().unwrap().name(), "a");
    assert_eq!(
        app.spec
            .as_ref()
            .unwrap()
            .source
            .as_ref()
            .unwrap()
            .repo_url(),
        "r"
    );
    assert_eq!(
        app.spec
            .as_ref()
            .unwrap()
            .sync_policy
            .as_ref()
            .unwrap()
            .sync_options,
        [""]
    );
    assert_eq!(
        to_value(&app)["status"]["reconciledAt"],
        "2024-01-01T18:04:05Z"
    );

    let wrong = |value: serde_json::Value| {
        from_value::<v1alpha1::Application>(&value)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        wrong(json!({"spec": {"sources": [{}, {"path": 7}]}})),
        "spec.sources[1].path: expected a string, found a whole number"
    );
    assert_eq!(
        wrong(json!({"metadata": {"labels": {"a": true}}})),
        "metadata.labels.a: expected a string, found true"
    );
    assert_eq!(
        wrong(json!({"spec": {"revisionHistoryLimit": 1.5}})),
        "spec.revisionHistoryLimit: expected a whole number, found a fraction"
    );
    assert_eq!(wrong(json!([])), ": expected an object, found a list");
    assert!(matches!(
        decode("no.Such", &json!({})),
        Err(JsonError::UnknownMessage(_))
    ));
}

#[test]
fn every_message_survives_being_empty() {
    for name in schema::get().names() {
        let value = encode(name, &[]).unwrap();
        if !name.ends_with(".ResourceOverride") {
            let bytes = decode(name, &value).unwrap();
            assert_eq!(encode(name, &bytes).unwrap(), value, "{name}");
        }
    }
}
