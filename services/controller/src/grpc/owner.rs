//! What says whose an object is: no patch of a person's changes it. An object that changed hands so would be compared, pruned
//! and deleted by an application that the person may have no right on.

use domain::message;
use domain::resource::{INSTALLATION_ID, TRACKING_ID};
use engine::hooks;
use serde_json::Value;
use tonic::{Code, Status};

use super::say;

/// Refuses a patch that writes what says whose the object is.
///
/// # Errors
/// Where it does.
pub(super) fn stays(patch: &Value) -> Result<(), Status> {
    let place = match patch {
        Value::Array(operations) => operations.iter().find_map(of_operation),
        other => of_merge(other),
    };
    place.map_or(Ok(()), |place| {
        let written = message::app::OWNER_WRITTEN
            .with("place", place)
            .with("names", OWNER.join(", "));
        Err(say(Code::InvalidArgument, &written))
    })
}

/// The annotations that say whose an object is, and which attempt made it.
const OWNER: [&str; 3] = [TRACKING_ID, INSTALLATION_ID, hooks::RUN];

/// Where a JSON patch's operation writes what says whose the object is.
fn of_operation(operation: &Value) -> Option<String> {
    let place = |name: &str| operation.get(name).and_then(Value::as_str);
    let op = place("op");
    if op == Some("test") {
        return None;
    }
    // What is moved away is written to as well.
    let from = place("from").filter(|_| op == Some("move"));
    let places = [place("path"), from].into_iter().flatten();
    let protected = |pointer: &&str| {
        let parts: Vec<String> = pointer
            .split('/')
            .skip(1)
            .map(|part| part.replace("~1", "/").replace("~0", "~"))
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            [] | ["metadata"] | ["metadata", "annotations"] => true,
            ["metadata", "annotations", name, ..] => OWNER.contains(name),
            _ => false,
        }
    };
    let found = places.into_iter().find(protected);
    found.map(|pointer| format!("`{pointer}`"))
}

/// Where a merge patch writes what says whose the object is; so do directives that replace a whole map.
fn of_merge(patch: &Value) -> Option<String> {
    let mut place = String::new();
    let mut at = patch;
    for name in ["metadata", "annotations"] {
        let fields = at.as_object()?;
        if let Some(directive) = fields.keys().find(|key| key.starts_with('$')) {
            return Some(format!("`{directive}`"));
        }
        place = format!("{place}.{name}");
        at = fields.get(name)?;
        if !at.is_object() {
            return Some(format!("`{}`", place.trim_start_matches('.')));
        }
    }
    let written = at.as_object()?.keys();
    let mut written = written.filter(|key| OWNER.contains(&key.as_str()) || key.starts_with('$'));
    written
        .next()
        .map(|key| format!("`metadata.annotations.{key}`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whose_an_object_is_stays_as_it_is() {
        for patch in [
            json!({"metadata": null}),
            json!({"metadata": {"annotations": null}}),
            json!({"metadata": {"annotations": {TRACKING_ID: "b:/ConfigMap:a/x"}}}),
            json!({"metadata": {"annotations": {hooks::RUN: null}}}),
            json!({"metadata": {"annotations": {"$patch": "replace", "a": "1"}}}),
            json!({"$patch": "replace", "metadata": {"name": "x"}}),
        ] {
            assert!(stays(&patch).is_err(), "{patch}");
        }
        let annotation = |name: &str| format!("/metadata/annotations/{}", name.replace('/', "~1"));
        for (op, from, path) in [
            ("add", String::new(), annotation(INSTALLATION_ID)),
            ("remove", String::new(), "/metadata/annotations".into()),
            ("replace", String::new(), "/metadata".into()),
            ("replace", String::new(), String::new()),
            ("move", annotation(TRACKING_ID), "/metadata/labels/a".into()),
            (
                "copy",
                "/metadata/labels".into(),
                "/metadata/annotations".into(),
            ),
        ] {
            let patch = json!([{"op": op, "from": from, "path": path, "value": {}}]);
            assert!(stays(&patch).is_err(), "{patch}");
        }
        for fine in [
            json!({"metadata": {"annotations": {"a": "1"}, "labels": {"b": null}}}),
            json!({"spec": {"replicas": 2}}),
            json!([{"op": "add", "path": "/metadata/annotations/a", "value": "1"}]),
            json!([{"op": "copy", "from": annotation(TRACKING_ID), "path": "/metadata/labels/a"}]),
        ] {
            assert!(stays(&fine).is_ok(), "{fine}");
        }
    }
}
