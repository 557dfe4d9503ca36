//! Services that select nothing.

use domain::cause::Cause;
use domain::message;
use domain::resource::{at, text};
use serde_json::Value;

use super::{Around, selects, template, template_path_of};
use crate::prepare::Target;

/// Services whose selector matches no pod template of the application although one nearly does. Speaks only where a
/// workload of the same application and namespace carries the same label names, so that Services for other people's pods
/// are left in peace.
pub(super) fn services(targets: &[Target], around: Around<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    for service in super::services(targets) {
        let Some(selector) = at(&service.object, &["spec", "selector"]).filter(|s| s.is_object())
        else {
            continue;
        };
        let neighbours: Vec<(&Target, &Value)> = targets
            .iter()
            .filter(|t| t.key.namespace == service.key.namespace)
            .filter_map(|t| Some((t, at(template(t)?, &["metadata", "labels"])?)))
            .collect();
        if neighbours
            .iter()
            .any(|(_, labels)| selects(selector, labels))
            || matched_elsewhere(service, selector, around)
        {
            continue;
        }
        let nearest = neighbours
            .iter()
            .filter(|(_, labels)| near(selector, labels))
            .min_by_key(|(workload, _)| &workload.key);
        if let Some((workload, labels)) = nearest {
            let named: serde_json::Map<String, Value> = labels
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(name, _)| selector.get(name).is_some())
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            let message = message::lint::SERVICE_SELECTOR
                .with("selector", shown(selector))
                .with("workload", &workload.key)
                .with("labels", shown(&Value::Object(named)));
            let cause = Cause::warning(message)
                .on(service.key.clone())
                .field("spec.selector");
            causes.push(cause.located(service.locate("spec.selector")));
        }
    }
    causes
}

/// Every name of the selector is a label, and every value equal or a slip of the pen away.
fn near(selector: &Value, labels: &Value) -> bool {
    selector.as_object().is_some_and(|selector| {
        selector.iter().all(|(name, value)| {
            let (Some(wanted), Some(label)) =
                (value.as_str(), labels.get(name).and_then(Value::as_str))
            else {
                return false;
            };
            let allowed = if wanted.len() < 5 { 1 } else { 3 };
            strsim::osa_distance(wanted, label) <= allowed
                || wanted.contains(label)
                || label.contains(wanted)
        })
    })
}

fn matched_elsewhere(service: &Target, selector: &Value, around: Around<'_>) -> bool {
    around.workloads.into_iter().flatten().any(|object| {
        let (group, _) = domain::resource::split_api_version(text(object, &["apiVersion"]));
        text(object, &["metadata", "namespace"]) == service.key.namespace
            && template_path_of(group, text(object, &["kind"]))
                .and_then(|path| at(at(object, path)?, &["metadata", "labels"]))
                .is_some_and(|labels| selects(selector, labels))
    })
}

fn shown(labels: &Value) -> String {
    let pairs = labels.as_object().into_iter().flatten();
    pairs
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect::<Vec<_>>()
        .join(",")
}
