//! The objects of applications of several kinds. The floor applies the same values that the repository holds as JSON, which is
//! YAML too.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::s1::payload;

/// How the objects of an application are called.
pub(crate) struct Naming<'a> {
    /// What every name begins with; a renderer may put it there instead.
    pub(crate) prefix: &'a str,
    /// What the pods of its Deployment are chosen by.
    pub(crate) app: &'a str,
    /// The label `loadtest`.
    pub(crate) label: &'a str,
}

/// Six ConfigMaps, a ServiceAccount, a Role, a Service and a Deployment of no replicas.
pub(crate) fn ten(naming: &Naming) -> Vec<Value> {
    let mut objects: Vec<Value> = (0..6).map(|n| config_map(naming, n)).collect();
    objects.extend([
        service_account(naming),
        role(naming),
        service(naming),
        deployment(naming),
    ]);
    objects
}

/// A ConfigMap, a ServiceAccount, a Service and a Deployment of no replicas.
pub(crate) fn four(naming: &Naming) -> Vec<Value> {
    vec![
        config_map(naming, 0),
        service_account(naming),
        service(naming),
        deployment(naming),
    ]
}

/// Writes objects as documents of one file.
pub(crate) fn write(file: &Path, objects: &[Value]) -> std::io::Result<()> {
    let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
    fs::write(file, documents.join("\n---\n") + "\n")
}

fn metadata(naming: &Naming, name: &str) -> Value {
    json!({
        "name": format!("{}{name}", naming.prefix),
        "labels": {"loadtest": naming.label},
    })
}

fn config_map(naming: &Naming, number: usize) -> Value {
    let name = format!("settings-{number}");
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(naming, &name),
        "data": {"payload": payload(&name)},
    })
}

fn service_account(naming: &Naming) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(naming, "web")})
}

fn role(naming: &Naming) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata(naming, "reader"),
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
    })
}

/// Without an address of its own: those are few.
fn service(naming: &Naming) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata(naming, "web"),
        "spec": {
            "clusterIP": "None",
            "selector": {"app": naming.app},
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
        },
    })
}

fn deployment(naming: &Naming) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(naming, "web"),
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": naming.app}},
            "template": {
                "metadata": {"labels": {"app": naming.app, "loadtest": naming.label}},
                "spec": {"containers": [{"name": "web", "image": "example.com/web:1"}]},
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_has_as_many_objects_as_its_mix_says_each_with_a_name_of_its_own() {
        let naming = Naming {
            prefix: "a-",
            app: "a",
            label: "app",
        };
        for (objects, count) in [(ten(&naming), 10), (four(&naming), 4)] {
            let names: std::collections::BTreeSet<String> = objects
                .iter()
                .map(|object| format!("{} {}", object["kind"], object["metadata"]["name"]))
                .collect();
            assert_eq!(names.len(), count);
            assert!(names.iter().all(|name| name.contains("\"a-")));
        }
    }

    #[test]
    fn only_what_is_meant_as_one_looks_like_an_action_of_a_template() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("objects.yaml");
        let naming = Naming {
            prefix: "{{ .Release.Name }}-",
            app: "{{ .Release.Name }}",
            label: "app",
        };
        write(&file, &ten(&naming)).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        // Ten names, one selector of the Service, and two places in the Deployment.
        assert_eq!(text.matches("{{").count(), 10 + 1 + 2);
        assert_eq!(text.matches("\n---\n").count(), 9);
    }
}
