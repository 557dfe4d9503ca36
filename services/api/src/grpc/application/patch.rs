//! A patch of one object, as far as it can be judged without the object. What is wrong is said by place, never by what
//! stands there: it may be a Secret's.

use domain::message::{self, Message};
use proto::naru::internal::v1::PatchKind;
use serde_json::Value;

/// The types, as Kubernetes names them, with an example of each.
const TYPES: [(&str, PatchKind, &str); 3] = [
    (
        "application/merge-patch+json",
        PatchKind::Merge,
        r#"{"spec": {"replicas": 2}}"#,
    ),
    (
        "application/json-patch+json",
        PatchKind::Json,
        r#"[{"op": "replace", "path": "/spec/replicas", "value": 2}]"#,
    ),
    (
        "application/strategic-merge-patch+json",
        PatchKind::Strategic,
        r#"{"spec": {"replicas": 2}}"#,
    ),
];

/// Reads a patch of a type. Of a `secret` no value may be moved to where values are not masked.
///
/// # Errors
/// What to correct.
pub(super) fn read(kind: &str, patch: &str, secret: bool) -> Result<(PatchKind, Value), Message> {
    use message::app as m;
    let known = TYPES.iter().find(|(name, ..)| *name == kind);
    let Some((_, language, example)) = known else {
        return Err(m::PATCH_TYPE_UNKNOWN.with("type", kind));
    };
    let patch: Value = serde_json::from_str(patch).map_err(|problem| {
        m::PATCH_UNREADABLE
            .with("line", problem.line())
            .with("column", problem.column())
    })?;
    match (language, &patch) {
        (PatchKind::Json, Value::Array(operations)) => {
            let bad = operations.iter().position(|operation| !is_one(operation));
            if let Some(at) = bad {
                return Err(m::PATCH_OPERATION.with("position", at + 1));
            }
            let bad = operations.iter().position(reveals);
            if let Some(at) = bad.filter(|_| secret) {
                return Err(m::PATCH_REVEALS.with("position", at + 1));
            }
        }
        (PatchKind::Json, _) => {
            return Err(m::PATCH_NO_LIST.with("type", kind).with("example", example));
        }
        (PatchKind::Merge | PatchKind::Strategic, Value::Object(_)) => {}
        (PatchKind::Merge | PatchKind::Strategic, _) => {
            return Err(m::PATCH_NO_OBJECT
                .with("type", kind)
                .with("example", example));
        }
    }
    Ok((*language, patch))
}

fn is_one(operation: &Value) -> bool {
    serde_json::from_value::<json_patch::PatchOperation>(operation.clone()).is_ok()
}

/// Whether an operation takes what a Secret holds out of where it is masked, or tells whether a guess of it is right. Values
/// are in `data`, in the note of what was applied last, and in the whole object; what is left are a label and a kind.
fn reveals(operation: &Value) -> bool {
    let place = |name: &str| operation.get(name).and_then(Value::as_str);
    let safe = |pointer: &str| {
        pointer.starts_with("/metadata/labels/") || matches!(pointer, "/kind" | "/apiVersion")
    };
    let within = |pointer: &str| {
        ["/data/", "/stringData/"]
            .iter()
            .any(|at| pointer.starts_with(at))
    };
    let (from, path) = (place("from"), place("path").unwrap_or_default());
    match (operation.get("op").and_then(Value::as_str), from) {
        (Some("test"), _) => !safe(path),
        (Some("copy" | "move"), Some(from)) => !(safe(from) || within(from) && within(path)),
        _ => false,
    }
}

/// Refuses a patch of a Secret that writes what stands for a value: who sends back what was shown would lose the value.
/// `hidden` are the annotations whose values are not shown either.
///
/// # Errors
/// Where it does, and what to do.
pub(super) fn without_masks(patch: &Value, hidden: &[String]) -> Result<(), Message> {
    let place = match patch {
        Value::Array(operations) => operations.iter().find_map(|operation| {
            let path = operation.get("path").and_then(Value::as_str)?;
            masked(path, operation.get("value")?, hidden)
        }),
        whole => masked("", whole, hidden),
    };
    match place {
        Some(place) => Err(message::app::PATCH_MASKED.with("place", place)),
        None => Ok(()),
    }
}

/// The first place of a value, which goes to the place `at`, that is not shown and gets plus signs.
fn masked(at: &str, value: &Value, hidden: &[String]) -> Option<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .find_map(|(name, value)| masked(&format!("{at}/{}", escaped(name)), value, hidden)),
        Value::String(text) if is_mask(text) && is_hidden(at, hidden) => Some(at.to_owned()),
        _ => None,
    }
}

/// Whether a text is a run as it stands for a value; the shortest has eight.
fn is_mask(text: &str) -> bool {
    text.len() >= 8 && text.bytes().all(|byte| byte == b'+')
}

fn is_hidden(place: &str, hidden: &[String]) -> bool {
    if let Some(name) = place.strip_prefix("/metadata/annotations/") {
        return hidden.iter().any(|hidden| escaped(hidden) == name);
    }
    place.starts_with("/data/") || place.starts_with("/stringData/")
}

/// A name as JSON pointers write it.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(kind: &str, patch: &str) -> String {
        let refused = read(kind, patch, true).unwrap_err();
        assert!(!refused.to_string().contains("canary"), "{refused}");
        refused.code
    }

    #[test]
    fn three_types_and_no_other() {
        for (name, kind, example) in TYPES {
            assert_eq!(read(name, example, true).unwrap().0, kind);
        }
        for other in ["", "merge", "application/apply-patch+yaml"] {
            assert_eq!(refusal(other, "{}"), "app.patch-type-unknown", "{other}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_by_place() {
        let [(merge, ..), (json, ..), (strategic, ..)] = TYPES;
        for kind in [merge, json, strategic] {
            assert_eq!(refusal(kind, "canary"), "app.patch-unreadable");
        }
        assert_eq!(refusal(merge, r#"["canary"]"#), "app.patch-no-object");
        assert_eq!(refusal(strategic, r#""canary""#), "app.patch-no-object");
        assert_eq!(refusal(json, r#"{"a": "canary"}"#), "app.patch-no-list");
        let second = r#"[{"op": "remove", "path": "/a"}, {"op": "canary", "path": "/a", "value": "canary"}]"#;
        assert_eq!(refusal(json, second), "app.patch-operation");
        let refused = read(json, second, true).unwrap_err();
        assert!(refused.to_string().starts_with("operation 2 "), "{refused}");
        for bad in [
            json!([{"op": "add", "path": "/a"}]),
            json!([{"op": "copy", "path": "/a"}]),
            json!([1]),
        ] {
            assert_eq!(
                refusal(json, &bad.to_string()),
                "app.patch-operation",
                "{bad}"
            );
        }
    }

    #[test]
    fn a_secrets_values_stay_where_they_are_masked() {
        let [_, (kind, ..), _] = TYPES;
        let patch = |op: &str, from: &str, to: &str| {
            json!([{"op": "test", "path": "/kind", "value": "Secret"}, {"op": op, "from": from, "path": to}]).to_string()
        };
        for (op, from, to) in [
            ("copy", "/data/a", "/metadata/annotations/a"),
            ("move", "/data", "/metadata/annotations"),
            ("copy", "/stringData/a", "/type"),
            ("copy", "", "/metadata/annotations/a"),
            ("copy", "/data/a", "/data"),
            (
                "copy",
                "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration",
                "/metadata/labels/a",
            ),
        ] {
            let patch = patch(op, from, to);
            assert_eq!(refusal(kind, &patch), "app.patch-reveals", "{patch}");
            assert!(read(kind, &patch, false).is_ok(), "{patch}");
        }
        for (from, to) in [
            ("/data/a", "/data/b"),
            ("/metadata/labels/a", "/metadata/labels/b"),
        ] {
            assert!(read(kind, &patch("copy", from, to), true).is_ok());
        }
        let guess = r#"[{"op": "test", "path": "/data/a", "value": "canary"}]"#;
        assert_eq!(refusal(kind, guess), "app.patch-reveals");
    }

    #[test]
    fn what_stands_for_a_value_is_not_written_in_its_place() {
        let hidden = ["example.com/token".to_owned()];
        let place = |patch: Value| {
            let refused = without_masks(&patch, &hidden).err()?;
            Some(refused.to_string().split(' ').nth(6)?.to_owned())
        };
        let (run, longer) = ("++++++++", "++++++++++++");
        for (patch, at) in [
            (json!({"data": {"a": run, "b": "eA=="}}), "/data/a,"),
            (json!({"stringData": {"a": longer}}), "/stringData/a,"),
            (
                json!({"metadata": {"annotations": {"example.com/token": run}}}),
                "/metadata/annotations/example.com~1token,",
            ),
            (
                json!([{"op": "replace", "path": "/data/a", "value": longer}]),
                "/data/a,",
            ),
            (
                json!([{"op": "add", "path": "/metadata/annotations", "value": {"example.com/token": run}}]),
                "/metadata/annotations/example.com~1token,",
            ),
        ] {
            assert_eq!(place(patch).as_deref(), Some(at));
        }
        for patch in [
            json!({"data": {"a": "+++"}, "metadata": {"annotations": {"example.com/token": "new"}}}),
            json!({"metadata": {"annotations": {"example.com/other": run}, "labels": {"a": run}}}),
            json!({"data": {"a": null}, "immutable": true}),
            json!([{"op": "remove", "path": "/data/a"}]),
        ] {
            assert_eq!(place(patch), None);
        }
    }
}
