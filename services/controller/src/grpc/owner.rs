//! What says whose an object is: no patch of a person's changes it. An object that changed hands so would be compared, pruned
//! and deleted by an application that the person may have no right on.

use domain::message;
use domain::resource::{INSTALLATION_ID, ResourceKey, TRACKING_ID, at};
use domain::tracking::{Id, LABEL, Marking, Marks, Method};
use engine::hooks;
use serde_json::Value;
use tonic::{Code, Status};

use super::say;

/// Refuses a patch that writes what says whose the object is.
///
/// # Errors
/// Where it does.
pub(super) fn stays(
    patch: &Value,
    object: &Value,
    key: &ResourceKey,
    marking: &Marking,
) -> Result<(), Status> {
    let parts = said_by(marking.method == Method::Label || is_by_label(object, key));
    let place = match patch {
        Value::Array(operations) => operations.iter().find_map(|one| of_operation(one, parts)),
        other => of_merge(other, parts),
    };
    place.map_or(Ok(()), |place| Err(refused(place, parts)))
}

/// Whether an object's label says whose it is whatever the method is now: an earlier one has marked it, and no tracking id
/// goes before the label.
fn is_by_label(object: &Value, key: &ResourceKey) -> bool {
    let marks = Marks::of(object, key);
    marks.id == Id::None && marks.installation.is_some()
}

/// Refuses an object that says itself whose it is. The label of one that another owns says nothing.
///
/// # Errors
/// Where it does.
pub(super) fn is_nobodys(made: &Value, marking: &Marking) -> Result<(), Status> {
    let owners = at(made, &["metadata", "ownerReferences"]).and_then(Value::as_array);
    let owned = owners.is_some_and(|owners| !owners.is_empty());
    let parts = said_by(marking.method == Method::Label && !owned);
    of_merge(made, parts).map_or(Ok(()), |place| Err(refused(place, parts)))
}

fn refused(place: String, parts: &[Part]) -> Status {
    let names: Vec<&str> = parts
        .iter()
        .flat_map(|(_, names)| *names)
        .copied()
        .collect();
    let written = message::app::OWNER_WRITTEN
        .with("place", place)
        .with("names", names.join(", "));
    say(Code::InvalidArgument, &written)
}

/// A map of an object's metadata, and the names in it that nobody writes.
type Part = (&'static str, &'static [&'static str]);

/// The annotations that say whose an object is, and which attempt made it; and the label, where it decides.
static OWNER: [Part; 2] = [
    ("annotations", &[TRACKING_ID, INSTALLATION_ID, hooks::RUN]),
    ("labels", &[LABEL]),
];

fn said_by(label: bool) -> &'static [Part] {
    if label { &OWNER } else { &OWNER[..1] }
}

/// Where a JSON patch's operation writes what says whose the object is.
fn of_operation(operation: &Value, said: &[Part]) -> Option<String> {
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
            [] | ["metadata"] => true,
            ["metadata", map, within @ ..] => said.iter().any(|(part, names)| {
                part == map && within.first().is_none_or(|name| names.contains(name))
            }),
            _ => false,
        }
    };
    let found = places.into_iter().find(protected);
    found.map(|pointer| format!("`{pointer}`"))
}

/// Where a merge patch writes what says whose the object is; so do directives that replace a whole map.
fn of_merge(patch: &Value, said: &[Part]) -> Option<String> {
    said.iter()
        .find_map(|(part, names)| within(patch, part, names))
}

/// The same, of one map of the metadata.
fn within(patch: &Value, part: &str, names: &[&str]) -> Option<String> {
    let mut place = String::new();
    let mut at = patch;
    for name in ["metadata", part] {
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
    let mut written = written.filter(|key| names.contains(&key.as_str()) || key.starts_with('$'));
    written.next().map(|key| format!("`metadata.{part}.{key}`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Of an object that no patch here looks at.
    const KEY: ResourceKey = ResourceKey {
        group: String::new(),
        kind: String::new(),
        namespace: String::new(),
        name: String::new(),
    };

    #[test]
    fn whose_an_object_is_stays_as_it_is() {
        let stays = |patch: &Value| stays(patch, &json!({}), &KEY, &Marking::default());
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

    #[test]
    fn so_does_the_label_where_it_decides() {
        let by = |method| Marking {
            method,
            ..Marking::default()
        };
        let stays =
            |patch: &Value, by: &Marking, object: &Value| stays(patch, object, &KEY, by).is_ok();
        let annotations = json!({INSTALLATION_ID: "t", TRACKING_ID: "a:/ConfigMap:n/c"});
        let both = json!({"metadata": {"annotations": annotations, "labels": {LABEL: "a"}}});
        let mut before = both.clone();
        before["metadata"]["annotations"] = json!({INSTALLATION_ID: "t"});
        let pointer = format!("/metadata/labels/{}", LABEL.replace('/', "~1"));
        let labelled = json!({"metadata": {"labels": {LABEL: "b"}}});
        for patch in [
            labelled.clone(),
            json!({"metadata": {"labels": null}}),
            json!({"metadata": {"labels": {"$patch": "replace"}}}),
            json!([{"op": "remove", "path": pointer}]),
            json!([{"op": "replace", "path": "/metadata/labels", "value": {}}]),
        ] {
            assert!(!stays(&patch, &by(Method::Label), &both), "{patch}");
            for other in [Method::Annotation, Method::AnnotationAndLabel] {
                assert!(stays(&patch, &by(other), &both), "{patch}");
                // A sync has not marked it anew yet.
                assert!(!stays(&patch, &by(other), &before), "{patch}");
            }
        }
        let fine = json!({"metadata": {"labels": {"team": "web"}}});
        assert!(stays(&fine, &by(Method::Label), &before));
        let mut made = labelled;
        assert!(is_nobodys(&made, &by(Method::Label)).is_err());
        made["metadata"]["ownerReferences"] = json!([{"uid": "u"}]);
        assert!(is_nobodys(&made, &by(Method::Label)).is_ok());
        made["metadata"]["annotations"] = json!({INSTALLATION_ID: "t"});
        assert!(is_nobodys(&made, &by(Method::Annotation)).is_err());
    }
}
