//! What is looked at in every manifest, whatever rendered it.

use domain::cause::Cause;
use domain::manifest::Manifest;
use domain::message;
use domain::resource::{split_api_version, text};
use serde_json::Value;

use super::substitute::left_over;
use crate::error::{Error, Kind};

/// The most objects of one source.
const MAX_OBJECTS: usize = 20_000;

/// Refuses what may not come out of Git.
pub(super) fn refuse(manifests: &[Manifest]) -> Result<(), Error> {
    if manifests.len() > MAX_OBJECTS {
        let message = message::source::TOO_LARGE
            .with("what", "the number of objects")
            .with("limit", MAX_OBJECTS);
        return Err(Error::new(Kind::TooLarge, message));
    }
    for manifest in manifests {
        let (group, _) = split_api_version(text(&manifest.object, &["apiVersion"]));
        let kind = text(&manifest.object, &["kind"]);
        if group == "argoproj.io" && matches!(kind, "Application" | "ApplicationSet" | "AppProject")
        {
            let cause = Cause::error(message::source::APPLICATION_NOT_SUPPORTED.with("kind", kind));
            return Err(Error::of(
                Kind::Unsupported,
                cause.on(manifest.key()).located(manifest.locate("kind")),
            ));
        }
    }
    Ok(())
}

/// Placeholders that stayed where they cannot be meant: names, namespaces, hosts, images, labels.
pub(super) fn placeholders(manifests: &[Manifest], causes: &mut Vec<Cause>) {
    for manifest in manifests {
        visit(&manifest.object, &mut String::new(), &mut |path, value| {
            if let Some(variable) = left_over(value)
                && matters(path)
            {
                let cause =
                    Cause::warning(message::lint::UNDECLARED_VARIABLE.with("variable", variable));
                causes.push(
                    cause
                        .on(manifest.key())
                        .field(path)
                        .located(manifest.locate(path)),
                );
            }
        });
    }
}

fn visit(value: &Value, path: &mut String, seen: &mut dyn FnMut(&str, &str)) {
    let before = path.len();
    match value {
        Value::String(text) if text.contains("${") => seen(path, text),
        Value::Object(map) => {
            for (key, value) in map {
                if before > 0 {
                    path.push('.');
                }
                path.push_str(key);
                if key.contains("${") {
                    seen(path, key);
                }
                visit(value, path, seen);
                path.truncate(before);
            }
        }
        Value::Array(list) => {
            for (position, value) in list.iter().enumerate() {
                path.push_str(&format!("[{position}]"));
                visit(value, path, seen);
                path.truncate(before);
            }
        }
        _ => {}
    }
}

/// Whether a field is a name, namespace, host, image or label.
fn matters(path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap_or_default();
    let last = last.split('[').next().unwrap_or_default();
    matches!(
        last,
        "name" | "namespace" | "nmaespace" | "host" | "hosts" | "image" | "generateName"
    ) || ["labels.", "matchLabels.", "selector."]
        .iter()
        .any(|labels| path.contains(labels))
}

#[cfg(test)]
mod tests {
    use domain::cause::Location;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_placeholder_is_a_cause_only_where_it_cannot_be_meant() {
        let object = json!({"kind": "X", "metadata": {"name": "${A}", "namespace": "${E}", "labels": {"x": "${B}"}},
            "spec": {"rules": [{"host": "web.${F}", "http": "${G}"}], "tls": [{"hosts": ["${H}"]}],
            "selector": {"${I}": "y"}, "containers": [{"image": "r/${C}", "command": ["sh", "-c", "echo ${HOME}"]}]}, "data": {"s": "${D}"}});
        let mut manifest = Manifest::new(
            object,
            Some(Location {
                path: "x.yaml".into(),
                line: 1,
            }),
        );
        manifest.lines = vec![("metadata.name".into(), 4)];
        let mut causes = Vec::new();
        placeholders(&[manifest], &mut causes);
        let fields: Vec<&str> = causes
            .iter()
            .filter_map(|cause| cause.field.as_deref())
            .collect();
        assert_eq!(
            fields,
            [
                "metadata.labels.x",
                "metadata.name",
                "metadata.namespace",
                "spec.containers[0].image",
                "spec.rules[0].host",
                "spec.selector.${I}",
                "spec.tls[0].hosts[0]"
            ]
        );
        assert_eq!(causes[1].location.as_ref().map(|at| at.line), Some(4));
    }
}
