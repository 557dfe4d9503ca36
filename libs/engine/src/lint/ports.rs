//! The way of a request: Ingress port, Service port, container port.

use domain::cause::Cause;
use domain::message;
use domain::resource::{at, text};
use serde_json::Value;

use super::{
    Around, is_external, list, place, port_text, selects, services, template, template_path,
};
use crate::prepare::Target;

/// A backend of an Ingress.
struct Backend<'a> {
    path: String,
    service: &'a str,
    port: Option<String>,
    port_field: String,
}

fn backends<'a>(ingress: &'a Target) -> Vec<Backend<'a>> {
    let mut found = Vec::new();
    let mut read = |path: String, backend: Option<&'a Value>| {
        let Some(service) = backend.and_then(|backend| backend.get("service")) else {
            return;
        };
        let number = at(service, &["port", "number"]);
        let name = at(service, &["port", "name"]);
        let field = if number.is_none() && name.is_some() {
            "name"
        } else {
            "number"
        };
        let port = number.or(name).and_then(port_text);
        let port_field = format!("{path}.service.port.{field}");
        found.push(Backend {
            path,
            service: text(service, &["name"]),
            port,
            port_field,
        });
    };
    let object = &ingress.object;
    read(
        "spec.defaultBackend".to_owned(),
        at(object, &["spec", "defaultBackend"]),
    );
    for (r, rule) in list(object, &["spec", "rules"]).enumerate() {
        for (p, path) in list(rule, &["http", "paths"]).enumerate() {
            read(
                format!("spec.rules[{r}].http.paths[{p}].backend"),
                path.get("backend"),
            );
        }
    }
    found
}

/// Ingresses that send to a Service or a port that is not there.
pub(super) fn ingresses(targets: &[Target], around: Around<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    for ingress in targets
        .iter()
        .filter(|t| t.key.group == "networking.k8s.io" && t.key.kind == "Ingress")
    {
        for backend in backends(ingress)
            .into_iter()
            .filter(|b| !b.service.is_empty())
        {
            let namespace = &ingress.key.namespace;
            let target = services(targets)
                .find(|s| s.key.name == backend.service && s.key.namespace == *namespace);
            let elsewhere = || {
                around.services?.iter().copied().find(|s| {
                    text(s, &["metadata", "name"]) == backend.service
                        && text(s, &["metadata", "namespace"]) == namespace
                })
            };
            let Some(service) = target.map(|t| t.object.as_ref()).or_else(elsewhere) else {
                if around.services.is_some() {
                    let field = format!("{}.service.name", backend.path);
                    let message = message::lint::INGRESS_SERVICE
                        .with("service", backend.service)
                        .with("namespace", namespace)
                        .with("field", &field);
                    causes.push(warn(message, ingress, field));
                }
                continue;
            };
            let Some(port) = backend.port.filter(|_| !is_external(service)) else {
                continue;
            };
            let offered = |p: &Value| {
                [p.get("port"), p.get("name")]
                    .into_iter()
                    .flatten()
                    .filter_map(port_text)
                    .any(|known| known == port)
            };
            if list(service, &["spec", "ports"]).any(offered) {
                continue;
            }
            let message = message::lint::INGRESS_PORT
                .with("service", backend.service)
                .with("port", &port)
                .with(
                    "ports",
                    shown(list(service, &["spec", "ports"]).filter_map(|p| p.get("port"))),
                )
                .with("field", &backend.port_field);
            let mut cause = warn(message, ingress, backend.port_field);
            if let Some(target) = target {
                cause = cause.evidence(chain(target, targets));
            }
            causes.push(cause);
        }
    }
    causes
}

/// The rest of the way, with its places: `service.yaml:8 port 8080 -> 8080; deployment.yaml:21 containerPort 8080`.
fn chain(service: &Target, targets: &[Target]) -> String {
    let mut parts = Vec::new();
    for (position, port) in list(&service.object, &["spec", "ports"]).enumerate() {
        let number = port.get("port").and_then(port_text).unwrap_or_default();
        let target = port
            .get("targetPort")
            .and_then(port_text)
            .unwrap_or_else(|| number.clone());
        let place = place(service, &format!("spec.ports[{position}].port"));
        parts.push(format!("{place} port {number}, targetPort {target}"));
    }
    for workload in selected(service, targets) {
        for (field, port) in container_ports(workload) {
            let number = port
                .get("containerPort")
                .and_then(port_text)
                .unwrap_or_default();
            parts.push(format!(
                "{} containerPort {number}",
                place(workload, &field)
            ));
        }
    }
    parts.join("; ")
}

/// The workloads whose pods a Service selects.
fn selected<'a>(service: &'a Target, targets: &'a [Target]) -> impl Iterator<Item = &'a Target> {
    let selector = at(&service.object, &["spec", "selector"]);
    targets.iter().filter(move |workload| {
        workload.key.namespace == service.key.namespace
            && selector
                .zip(template(workload))
                .is_some_and(|(selector, template)| {
                    at(template, &["metadata", "labels"])
                        .is_some_and(|labels| selects(selector, labels))
                })
    })
}

/// A workload's declared ports with the paths of their numbers.
fn container_ports(workload: &Target) -> Vec<(String, &Value)> {
    let Some((path, template)) = template_path(workload).zip(template(workload)) else {
        return Vec::new();
    };
    let around = path
        .iter()
        .map(|part| format!("{part}."))
        .collect::<String>();
    let mut found = Vec::new();
    for containers in ["containers", "initContainers"] {
        for (c, container) in list(template, &["spec", containers]).enumerate() {
            for (p, port) in list(container, &["ports"]).enumerate() {
                found.push((
                    format!("{around}spec.{containers}[{c}].ports[{p}].containerPort"),
                    port,
                ));
            }
        }
    }
    found
}

/// Services that send to a port which none of their pods' containers declares.
pub(super) fn target_ports(targets: &[Target]) -> Vec<Cause> {
    let mut causes = Vec::new();
    for service in services(targets).filter(|s| !is_external(&s.object)) {
        for workload in selected(service, targets) {
            let declared = container_ports(workload);
            if declared.is_empty() {
                // Declaring ports is optional; who declares none says nothing.
                continue;
            }
            for (position, port) in list(&service.object, &["spec", "ports"]).enumerate() {
                let number = port.get("port").and_then(port_text);
                let written = port.get("targetPort").and_then(port_text);
                let (Some(number), Some(target)) = (number.clone(), written.clone().or(number))
                else {
                    continue;
                };
                let opens = |(_, declared): &(String, &Value)| {
                    ["containerPort", "name"]
                        .into_iter()
                        .filter_map(|field| declared.get(field).and_then(port_text))
                        .any(|known| known == target)
                };
                if declared.iter().any(opens) {
                    continue;
                }
                let field = format!(
                    "spec.ports[{position}].{}",
                    if written.is_some() {
                        "targetPort"
                    } else {
                        "port"
                    }
                );
                let message = message::lint::SERVICE_TARGET_PORT
                    .with("port", number)
                    .with("target", target)
                    .with("workload", &workload.key)
                    .with(
                        "ports",
                        shown(
                            declared
                                .iter()
                                .filter_map(|(_, port)| port.get("containerPort")),
                        ),
                    )
                    .with("field", format!("spec.ports[{position}].targetPort"));
                let at = declared
                    .first()
                    .map(|(field, _)| place(workload, field))
                    .unwrap_or_default();
                causes.push(warn(message, service, field).evidence(at));
            }
        }
    }
    causes
}

fn shown<'a>(ports: impl Iterator<Item = &'a Value>) -> String {
    let ports: Vec<String> = ports.filter_map(port_text).collect();
    if ports.is_empty() {
        "-".to_owned()
    } else {
        ports.join(", ")
    }
}

fn warn(message: message::Message, target: &Target, field: String) -> Cause {
    let location = target.locate(&field);
    Cause::warning(message)
        .on(target.key.clone())
        .located(location)
        .variable(target.variable(&field))
        .field(field)
}
