//! The part of an object that health, tree and lints read. What is not named here is not kept.

use std::hash::{DefaultHasher, Hash, Hasher};

use domain::resource::{HOOK_RUN, INSTALLATION_ID, TRACKING_ID, at, text};
use domain::tracking::LABEL;
use serde_json::{Map, Value, json};

/// Longer texts are cut.
const MAX_TEXT: usize = 4096;
/// Longer lists are cut.
const MAX_ITEMS: usize = 256;
/// Deeper values are dropped.
const MAX_DEPTH: usize = 24;

/// Copies what is kept of an object.
pub(super) fn prune(object: &Value, group: &str, version: &str, kind: &str) -> Value {
    let mut kept = Map::new();
    // Not the object's own words: a metadata watch says PartialObjectMetadata, a listing's item nothing.
    let api_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    kept.insert("apiVersion".to_owned(), Value::String(api_version));
    kept.insert("kind".to_owned(), Value::String(kind.to_owned()));
    kept.insert(
        "metadata".to_owned(),
        metadata(object.get("metadata").unwrap_or(&Value::Null), group, kind),
    );
    let fields = spec_fields(group, kind).or_else(|| stopping_fields(group, kind));
    if let (Some(spec), Some(fields)) = (object.get("spec"), fields) {
        kept.insert("spec".to_owned(), spec_part(spec, fields));
    }
    if let Some(found) = object.get("status") {
        let found = if keeps_status(group, kind) {
            status(found)
        } else {
            conditions_and_phase(found)
        };
        if found.as_object().is_some_and(|map| !map.is_empty()) {
            kept.insert("status".to_owned(), found);
        }
    }
    Value::Object(kept)
}

fn metadata(metadata: &Value, group: &str, kind: &str) -> Value {
    let mut kept = Map::new();
    for name in [
        "name",
        "namespace",
        "deletionTimestamp",
        "generation",
        "finalizers",
        "creationTimestamp",
    ] {
        if let Some(value) = metadata.get(name).filter(|value| !value.is_null()) {
            kept.insert(name.to_owned(), bounded(value, MAX_DEPTH));
        }
    }
    let labelled = spec_fields(group, kind).is_some() || (group.is_empty() && kind == "Namespace");
    if let Some(labels) = metadata.get("labels").filter(|_| labelled) {
        kept.insert("labels".to_owned(), bounded(labels, 2));
    } else if let Some(mark) = mark(metadata) {
        kept.insert("labels".to_owned(), json!({LABEL: bounded(mark, 1)}));
    }
    let annotations = metadata
        .get("annotations")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let annotations: Map<String, Value> = annotations
        .filter(|(name, _)| is_kept_annotation(name))
        .take(MAX_ITEMS)
        .map(|(name, value)| (name.clone(), bounded(value, 1)))
        .collect();
    if !annotations.is_empty() {
        kept.insert("annotations".to_owned(), Value::Object(annotations));
    }
    Value::Object(kept)
}

/// The label that names an object's application, where it may decide whose the object is. A hook's is the application's own
/// word also where a controller has given the hook an owner since.
fn mark(metadata: &Value) -> Option<&Value> {
    let has = |annotation| at(metadata, &["annotations", annotation]).is_some();
    let owned = metadata.get("ownerReferences").is_some();
    let own_word = !owned || (has(HOOK_RUN) && has(INSTALLATION_ID));
    let decides = own_word && !(has(TRACKING_ID) && has(INSTALLATION_ID));
    at(metadata, &["labels", LABEL]).filter(|_| decides)
}

/// Never the last-applied annotation: it repeats the whole object, a Secret's values included.
fn is_kept_annotation(name: &str) -> bool {
    name.starts_with("argocd.argoproj.io/")
        || name.starts_with("link.argocd.argoproj.io/")
        || name.starts_with("helm.sh/")
        || name.starts_with("naru.io/")
        || matches!(
            name,
            "deployment.kubernetes.io/revision"
                | "autoscaling.alpha.kubernetes.io/conditions"
                | "rollout.argoproj.io/workload-generation"
        )
}

/// The fields of spec that are kept. `template` keeps labels and containers only.
fn spec_fields(group: &str, kind: &str) -> Option<&'static [&'static str]> {
    const POD: &[&str] = &[
        "containers",
        "initContainers",
        "nodeName",
        "restartPolicy",
        "readinessGates",
        "priority",
    ];
    const WORKLOAD: &[&str] = &[
        "replicas",
        "selector",
        "template",
        "strategy",
        "updateStrategy",
        "paused",
        "minReadySeconds",
        "progressDeadlineSeconds",
        "serviceName",
        "revisionHistoryLimit",
    ];
    const JOB: &[&str] = &[
        "suspend",
        "parallelism",
        "completions",
        "backoffLimit",
        "template",
        "selector",
        "schedule",
        "jobTemplate",
    ];
    Some(match (group, kind) {
        ("", "Pod") => POD,
        ("apps", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet")
        | ("", "ReplicationController") => WORKLOAD,
        ("batch", "Job" | "CronJob") => JOB,
        ("argoproj.io", "Rollout") => &["replicas", "paused", "strategy", "workloadRef"],
        ("", "Service") => &[
            "type",
            "ports",
            "selector",
            "clusterIP",
            "externalName",
            "externalIPs",
            "loadBalancerIP",
        ],
        ("networking.k8s.io" | "extensions", "Ingress") => &[
            "ingressClassName",
            "rules",
            "tls",
            "defaultBackend",
            "backend",
        ],
        ("", "PersistentVolumeClaim") => {
            &["storageClassName", "volumeName", "accessModes", "resources"]
        }
        ("autoscaling", "HorizontalPodAutoscaler") => {
            &["scaleTargetRef", "minReplicas", "maxReplicas"]
        }
        ("apiregistration.k8s.io", "APIService") => &["service", "group", "version"],
        ("policy", "PodDisruptionBudget") => &["selector", "minAvailable", "maxUnavailable"],
        ("apiextensions.k8s.io", "CustomResourceDefinition") => &["group", "names", "scope"],
        _ => return None,
    })
}

/// The fields of spec by which somebody stops what a kind does, for kinds of which no more is kept.
fn stopping_fields(group: &str, kind: &str) -> Option<&'static [&'static str]> {
    match (group, kind) {
        ("source.toolkit.fluxcd.io", "HelmRepository") => Some(&["suspend", "type"]),
        ("cluster.x-k8s.io", _) => Some(&["paused"]),
        _ if group.ends_with(".toolkit.fluxcd.io") => Some(&["suspend"]),
        _ => None,
    }
}

/// Whether health reads more of a kind's status than conditions and single words.
fn keeps_status(group: &str, kind: &str) -> bool {
    spec_fields(group, kind).is_some()
        || matches!(
            (group, kind),
            (
                "gateway.networking.k8s.io",
                "Gateway" | "GRPCRoute" | "HTTPRoute"
            ) | ("snapshot.storage.k8s.io", _)
                | ("sparkoperator.k8s.io", "SparkApplication")
                | ("tower.ansible.com", "AnsibleJob")
        )
}

fn spec_part(spec: &Value, fields: &[&str]) -> Value {
    let mut kept = Map::new();
    for &name in fields {
        let Some(value) = spec.get(name) else {
            continue;
        };
        let value = match name {
            "template" => template(value),
            "jobTemplate" => at(value, &["spec"]).map_or(Value::Null, |spec| {
                Value::Object(Map::from_iter([(
                    "spec".to_owned(),
                    spec_part(spec, &["template", "suspend"]),
                )]))
            }),
            "containers" | "initContainers" => containers(value),
            _ => bounded(value, MAX_DEPTH),
        };
        kept.insert(name.to_owned(), value);
    }
    Value::Object(kept)
}

fn template(template: &Value) -> Value {
    let mut kept = Map::new();
    if let Some(labels) = at(template, &["metadata", "labels"]) {
        let metadata = Map::from_iter([("labels".to_owned(), bounded(labels, 2))]);
        kept.insert("metadata".to_owned(), Value::Object(metadata));
    }
    if let Some(spec) = template.get("spec") {
        kept.insert(
            "spec".to_owned(),
            spec_part(spec, &["containers", "initContainers", "restartPolicy"]),
        );
    }
    Value::Object(kept)
}

fn containers(list: &Value) -> Value {
    let kept = list
        .as_array()
        .into_iter()
        .flatten()
        .take(MAX_ITEMS)
        .map(|container| {
            let fields = ["name", "image", "ports", "resources", "restartPolicy"];
            let fields = fields
                .iter()
                .filter_map(|&name| Some((name.to_owned(), bounded(container.get(name)?, 8))));
            Value::Object(fields.collect())
        });
    Value::Array(kept.collect())
}

fn status(status: &Value) -> Value {
    let mut kept = bounded(status, MAX_DEPTH);
    if let Some(map) = kept.as_object_mut() {
        // A node list of images and the like has no reader.
        map.retain(|name, _| {
            !matches!(name.as_str(), "images" | "volumesInUse" | "volumesAttached")
        });
        if let Some(conditions) = map.get_mut("conditions") {
            *conditions = self::conditions(conditions);
        }
    }
    kept
}

/// Names the status of an object of whose status little is kept, without the times that move at every heartbeat: tenants'
/// own health checks read all of it. 0 where it is kept.
pub(super) fn status_of(object: &Value, group: &str, kind: &str) -> u64 {
    let Some(status) = object.get("status").filter(|_| !keeps_status(group, kind)) else {
        return 0;
    };
    let mut hasher = DefaultHasher::new();
    self::status(status).to_string().hash(&mut hasher);
    hasher.finish()
}

fn conditions_and_phase(status: &Value) -> Value {
    let mut kept = Map::new();
    for name in [
        "phase",
        "message",
        "observedGeneration",
        "health",
        "state",
        "status",
        "compliant",
        "currentState",
        "PostgresClusterStatus",
    ] {
        if let Some(value) = status
            .get(name)
            .filter(|value| value.is_string() || value.is_number())
        {
            kept.insert(name.to_owned(), bounded(value, 1));
        }
    }
    if let Some(found) = status.get("conditions") {
        kept.insert("conditions".to_owned(), conditions(found));
    }
    Value::Object(kept)
}

/// Conditions without the times that move at every heartbeat.
fn conditions(list: &Value) -> Value {
    let kept = list
        .as_array()
        .into_iter()
        .flatten()
        .take(MAX_ITEMS)
        .map(|condition| {
            let fields = [
                "type",
                "status",
                "reason",
                "message",
                "observedGeneration",
                "lastTransitionTime",
            ];
            let fields = fields
                .iter()
                .filter_map(|&name| Some((name.to_owned(), bounded(condition.get(name)?, 2))));
            Value::Object(fields.collect())
        });
    Value::Array(kept.collect())
}

/// A copy with a limit on everything.
fn bounded(value: &Value, depth: usize) -> Value {
    match value {
        Value::String(text) => Value::String(cut(text).to_owned()),
        Value::Array(items) if depth > 0 => items
            .iter()
            .take(MAX_ITEMS)
            .map(|item| bounded(item, depth - 1))
            .collect(),
        Value::Object(map) if depth > 0 => {
            let members = map
                .iter()
                .take(MAX_ITEMS)
                .map(|(name, value)| (name.clone(), bounded(value, depth - 1)));
            Value::Object(members.collect())
        }
        Value::Array(_) | Value::Object(_) => Value::Null,
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn cut(text: &str) -> &str {
    let end = (0..=MAX_TEXT.min(text.len()))
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or_default();
    text.get(..end).unwrap_or_default()
}

/// The images of a pod, or of the template that a workload makes pods from.
pub(super) fn images<'a>(object: &'a Value, kind: &str) -> Vec<&'a str> {
    let path: &[&str] = match kind {
        "Pod" => &["spec"],
        "CronJob" => &["spec", "jobTemplate", "spec", "template", "spec"],
        _ => &["spec", "template", "spec"],
    };
    let Some(pod) = at(object, path) else {
        return Vec::new();
    };
    let lists = ["initContainers", "containers"];
    let containers = lists
        .iter()
        .filter_map(|&list| pod.get(list)?.as_array())
        .flatten();
    let mut images: Vec<&str> = containers
        .map(|container| text(container, &["image"]))
        .collect();
    images.retain(|image| !image.is_empty() && image.len() <= MAX_TEXT);
    images.sort_unstable();
    images.dedup();
    images.truncate(MAX_ITEMS);
    images
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_label_is_kept_where_it_may_say_whose_the_object_is() {
        let labels = |metadata: Value| {
            let mut object = json!({"metadata": metadata});
            object["metadata"]["labels"] = json!({LABEL: "hello", "team": "web"});
            let kept = prune(&object, "", "v1", "ConfigMap");
            kept["metadata"].get("labels").cloned()
        };
        let mark = Some(json!({LABEL: "hello"}));
        assert_eq!(labels(json!({"name": "a"})), mark);
        let named = json!({INSTALLATION_ID: "user01"});
        assert_eq!(labels(json!({"annotations": named})), mark);
        let tracked = json!({TRACKING_ID: "x"});
        assert_eq!(labels(json!({"annotations": tracked})), mark);
        let both = json!({TRACKING_ID: "x", INSTALLATION_ID: "user01"});
        assert_eq!(labels(json!({"annotations": both})), None);
        assert_eq!(labels(json!({"ownerReferences": [{"uid": "u"}]})), None);
        let owned = |annotations| {
            labels(json!({"ownerReferences": [{"uid": "u"}], "annotations": annotations}))
        };
        let hook = json!({INSTALLATION_ID: "user01", HOOK_RUN: "1.0.presync"});
        assert_eq!(owned(hook), mark, "a hook that was given an owner");
        assert_eq!(owned(json!({INSTALLATION_ID: "user01"})), None);
        assert_eq!(owned(json!({HOOK_RUN: "1.0.presync"})), None);
    }

    #[test]
    fn a_deployment_keeps_what_health_reads_and_no_environment() {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "a", "labels": {"x": "y"}, "managedFields": [], "annotations": {"other": "1"}},
            "spec": {"replicas": 2, "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [
                {"name": "c", "image": "i:1", "env": [{"name": "PASSWORD", "value": "hunter2"}], "ports": [{"containerPort": 80}]}]}}},
            "status": {"replicas": 2, "conditions": [{"type": "Available", "status": "True", "lastUpdateTime": "x"}]}});
        let kept = prune(&object, "apps", "v1", "Deployment");
        assert!(!kept.to_string().contains("hunter2"));
        assert_eq!(
            kept["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"],
            80
        );
        assert_eq!(kept["spec"]["template"]["metadata"]["labels"]["app"], "a");
        assert_eq!(
            kept["status"]["conditions"][0],
            json!({"type": "Available", "status": "True"})
        );
        assert_eq!(kept["metadata"].get("annotations"), None);
        assert_eq!(images(&object, "Deployment"), ["i:1"]);
    }

    #[test]
    fn an_unknown_kind_keeps_conditions_and_phase() {
        let object = json!({"metadata": {"name": "a", "generation": 3}, "spec": {"big": "x"}, "status": {"phase": "Ready",
            "observedGeneration": 2, "big": {"x": 1}, "conditions": [
                {"type": "Ready", "status": "True", "reason": "r", "message": "m", "observedGeneration": 2, "other": "x"}]}});
        let kept = prune(&object, "example.com", "v1", "Thing");
        assert_eq!(kept["metadata"]["generation"], 3);
        assert_eq!(
            kept["status"],
            json!({"phase": "Ready", "observedGeneration": 2, "conditions": [
                {"type": "Ready", "status": "True", "reason": "r", "message": "m", "observedGeneration": 2}]})
        );
        assert_eq!(kept.get("spec"), None);
    }

    #[test]
    fn what_stops_a_kind_is_kept_and_no_more_of_its_spec() {
        let object = json!({"metadata": {"name": "a"},
            "spec": {"suspend": true, "paused": true, "chart": {"spec": {}}},
            "status": {"history": [{}], "conditions": []}});
        let flux = prune(&object, "helm.toolkit.fluxcd.io", "v2", "HelmRelease");
        assert_eq!(flux["spec"], json!({"suspend": true}));
        assert_eq!(flux["status"], json!({"conditions": []}));
        let cluster = prune(&object, "cluster.x-k8s.io", "v1beta1", "Cluster");
        assert_eq!(cluster["spec"], json!({"paused": true}));
    }

    #[test]
    fn what_the_parents_of_a_route_say_is_kept() {
        let parents = json!({"parents": [{"parentRef": {"name": "g"},
            "conditions": [{"type": "Accepted", "status": "True"}]}]});
        let object = json!({"metadata": {"name": "a"}, "status": parents});
        let kept = prune(&object, "gateway.networking.k8s.io", "v1", "HTTPRoute");
        assert_eq!(kept["status"], parents);
        assert_eq!(kept.get("spec"), None);
    }

    #[test]
    fn a_rollout_keeps_what_health_reads() {
        let object = json!({"metadata": {"name": "a", "annotations": {"rollout.argoproj.io/workload-generation": "4"}},
            "spec": {"replicas": 2, "template": {"spec": {}}, "strategy": {"blueGreen": {"activeService": "a"}}},
            "status": {"currentPodHash": "b", "blueGreen": {"activeSelector": "b"}, "observedGeneration": "3"}});
        let kept = prune(&object, "argoproj.io", "v1alpha1", "Rollout");
        assert_eq!(kept["status"], object["status"]);
        assert_eq!(
            kept["spec"],
            json!({"replicas": 2, "strategy": {"blueGreen": {"activeService": "a"}}})
        );
        assert_eq!(
            kept["metadata"]["annotations"],
            object["metadata"]["annotations"]
        );
    }
}
