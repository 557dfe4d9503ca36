//! Where an object's traffic comes from and goes to.

use std::collections::{BTreeMap, BTreeSet};

use domain::link;
use domain::resource::{ResourceKey, at, text};
use serde_json::Value;

/// An address that a load balancer gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// By name.
    pub hostname: String,
    /// By number.
    pub ip: String,
}

/// Where an object's traffic comes from and goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The labels of the pods that a Service selects.
    pub target_labels: BTreeMap<String, String>,
    /// The objects that an Ingress sends to.
    pub target_refs: Vec<ResourceKey>,
    /// A pod's labels.
    pub labels: BTreeMap<String, String>,
    /// The addresses given.
    pub ingress: Vec<Address>,
    /// Links to it.
    pub external_urls: Vec<String>,
}

/// Annotations with this prefix are links.
const LINK: &str = "link.argocd.argoproj.io/";

pub(super) fn of(object: &Value, key: &ResourceKey) -> Option<Network> {
    let links = links(object);
    let mut network = match (key.group.as_str(), key.kind.as_str()) {
        ("", "Service") => service(object),
        ("", "Pod") => Network {
            labels: texts(at(object, &["metadata", "labels"])),
            ..Network::default()
        },
        ("networking.k8s.io" | "extensions", "Ingress") => ingress(object, key),
        _ if links.is_empty() => return None,
        _ => Network::default(),
    };
    network.external_urls.splice(0..0, links);
    Some(network)
}

fn links(object: &Value) -> Vec<String> {
    at(object, &["metadata", "annotations"])
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.starts_with(LINK))
        .filter_map(|(_, url)| link::annotated(url.as_str()?))
        .collect()
}

fn texts(map: Option<&Value>) -> BTreeMap<String, String> {
    map.and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn addresses(object: &Value) -> Vec<Address> {
    at(object, &["status", "loadBalancer", "ingress"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(
            |item| match (text(item, &["hostname"]), text(item, &["ip"])) {
                ("", "") => None,
                ("", ip) => Some(Address {
                    hostname: String::new(),
                    ip: ip.to_owned(),
                }),
                (hostname, _) => Some(Address {
                    hostname: hostname.to_owned(),
                    ip: String::new(),
                }),
            },
        )
        .collect()
}

fn service(object: &Value) -> Network {
    let balanced = text(object, &["spec", "type"]) == "LoadBalancer";
    Network {
        target_labels: texts(at(object, &["spec", "selector"])),
        ingress: if balanced {
            addresses(object)
        } else {
            Vec::new()
        },
        ..Network::default()
    }
}

fn ingress(object: &Value, key: &ResourceKey) -> Network {
    let addresses = addresses(object);
    let mut services = BTreeSet::new();
    let mut urls = BTreeSet::new();
    for name in ["defaultBackend", "backend"] {
        services.extend(at(object, &["spec", name]).and_then(backend_service));
    }
    let tls: Vec<&Value> = list(object, &["spec", "tls"]).collect();
    for rule in list(object, &["spec", "rules"]) {
        let mut host = text(rule, &["host"]).to_owned();
        if host.is_empty() {
            let given = addresses.iter().map(|a| {
                if a.hostname.is_empty() {
                    &a.ip
                } else {
                    &a.hostname
                }
            });
            host = given
                .into_iter()
                .find(|a| !a.is_empty())
                .cloned()
                .unwrap_or_default();
        }
        // As Argo CD has it: one TLS entry with a secret makes every link of the Ingress https.
        let secure = tls.iter().any(|entry| {
            entry.get("secretName").is_some_and(Value::is_string)
                || list(entry, &["hosts"]).any(|name| name.as_str() == Some(&host))
        });
        for path in list(rule, &["http", "paths"]) {
            services.extend(path.get("backend").and_then(backend_service));
            if !host.is_empty() {
                let scheme = if secure { "https" } else { "http" };
                let url = format!(
                    "{scheme}://{host}{}",
                    text(path, &["path"]).trim_end_matches('*')
                );
                urls.extend(link::address(&url).map(|_| url));
            }
        }
    }
    let reference = |name: String| ResourceKey {
        group: String::new(),
        kind: "Service".to_owned(),
        namespace: key.namespace.clone(),
        name,
    };
    Network {
        target_refs: services.into_iter().map(reference).collect(),
        ingress: addresses,
        external_urls: urls.into_iter().collect(),
        ..Network::default()
    }
}

fn list<'a>(object: &'a Value, path: &[&str]) -> impl Iterator<Item = &'a Value> {
    at(object, path)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn backend_service(backend: &Value) -> Option<String> {
    let name = match text(backend, &["service", "name"]) {
        "" => text(backend, &["serviceName"]),
        name => name,
    };
    (!name.is_empty()).then(|| name.to_owned())
}
