//! The `fields=` parameter: a comma list of dotted paths to keep, or, after a leading `-`, to leave out.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::schema::{self, Form, Kind, Message, Presence, Schema, Shape};
use super::{JsonError, encode};

struct Fields<'a> {
    paths: HashSet<&'a str>,
    exclude: bool,
}

/// What is left of the value at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    All,
    Parts,
}

impl<'a> Fields<'a> {
    fn parse(fields: &'a str) -> Option<Self> {
        let (fields, exclude) = fields
            .strip_prefix('-')
            .map_or((fields, false), |rest| (rest, true));
        (!fields.is_empty()).then(|| Self {
            paths: fields.split(',').collect(),
            exclude,
        })
    }

    /// What [`Fields::trim`] leaves of the value at a path.
    fn left(&self, path: &str) -> Left {
        let named = self.paths.contains(path);
        let beneath = |listed: &&str| {
            let rest = listed.strip_prefix(path);
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        let any_of = |wanted: &dyn Fn(&&str) -> bool| self.paths.iter().any(wanted);
        match self.exclude {
            true if named => Left::Nothing,
            true if any_of(&beneath) => Left::Parts,
            true => Left::All,
            false if named => Left::All,
            false if any_of(&|listed| listed.starts_with(path)) => Left::Parts,
            false => Left::Nothing,
        }
    }

    fn trim(&self, path: &str, value: &mut Value) {
        match value {
            Value::Object(map) => map.retain(|key, value| {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                let named = self.paths.contains(path.as_str());
                // As in the reference, a listed path keeps everything that is a prefix of it, letter by letter.
                let keep = if self.exclude {
                    !named
                } else {
                    named || self.paths.iter().any(|listed| listed.starts_with(&path))
                };
                if keep && !named {
                    self.trim(&path, value);
                }
                keep
            }),
            Value::Array(list) => list.iter_mut().for_each(|item| self.trim(path, item)),
            _ => {}
        }
    }
}

/// What the `fields` parameter leaves of an answer or a stream's event (wrapped in `result`). An empty parameter
/// leaves all.
#[must_use]
pub fn project(mut value: Value, fields: &str) -> Value {
    if let Some(fields) = Fields::parse(fields) {
        fields.trim("", &mut value);
    }
    value
}

/// What the `fields` parameter leaves of each message of a stream, found out once: the rest is not even made, where every event
/// would be written whole and cut down then, for each who watches.
pub struct Projection {
    message: String,
    mask: Mask,
}

/// What is wanted of a message's fields, each in its place.
pub(super) struct Mask {
    fields: Vec<Part>,
    /// The parameter and the path of the message, where what is made of it has to be cut down after all.
    rest: Option<(String, String)>,
}

enum Part {
    Nothing,
    Whole,
    Parts(Mask),
}

/// What is wanted of a field.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// It does not stand there.
    Nothing,
    /// Whatever is in it.
    Whole,
    /// What a mask leaves of each of its messages.
    Parts(&'a Mask),
}

impl Projection {
    /// What `fields` leaves of messages of that full name which stand in the object's key `within` (or are the whole, where that is
    /// empty). `None` where it leaves all, or nothing, or there is no such object: [`project`] tells.
    #[must_use]
    pub fn of(name: &str, within: &str, fields: &str) -> Option<Self> {
        let parsed = Fields::parse(fields)?;
        let schema = schema::get();
        let message = schema
            .by_name(name)
            .filter(|message| message.form == Form::Object)?;
        let cut = within.is_empty() || parsed.left(within) == Left::Parts;
        cut.then(|| Self {
            message: name.to_owned(),
            mask: mask(schema, message, (&parsed, fields), within),
        })
    }

    /// What is left of a message, by its bytes.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn encode(&self, bytes: &[u8]) -> Result<Value, JsonError> {
        let schema = schema::get();
        let message = schema
            .by_name(&self.message)
            .ok_or_else(|| JsonError::UnknownMessage(self.message.clone()))?;
        encode::masked(schema, message, bytes, Some(&self.mask))
            .ok_or_else(|| JsonError::Bytes(self.message.clone()))
    }
}

impl Mask {
    /// What is wanted of the field at that place.
    pub(super) fn of(&self, at: usize) -> Wanted<'_> {
        match self.fields.get(at) {
            Some(Part::Nothing) => Wanted::Nothing,
            Some(Part::Parts(mask)) => Wanted::Parts(mask),
            Some(Part::Whole) | None => Wanted::Whole,
        }
    }

    /// Takes away what was made and is not wanted.
    pub(super) fn tidy(&self, value: &mut Value) {
        if let Some((fields, path)) = &self.rest
            && let Some(fields) = Fields::parse(fields)
        {
            fields.trim(path, value);
        }
    }
}

/// The mask of a message at a path. It ends: parts are wanted only where a path goes on.
fn mask(
    schema: &Schema,
    message: &Message,
    (parsed, fields): (&Fields<'_>, &str),
    path: &str,
) -> Mask {
    // Of maps, free JSON and what is inlined no schema says which keys there are.
    let mut made = false;
    let parts = message.fields.iter().map(|field| {
        if field.inline {
            made = true;
            return Part::Whole;
        }
        let path = match path {
            "" => field.json.clone(),
            path => format!("{path}.{}", field.json),
        };
        match (parsed.left(&path), field.kind) {
            (Left::Nothing, _) => Part::Nothing,
            (Left::All, _) => Part::Whole,
            (Left::Parts, Kind::Message(inner))
                if schema.at(inner).form == Form::Object
                    && match field.shape {
                        Shape::List => true,
                        // Whether it is empty is asked of all that is in it.
                        Shape::One => field.presence != Presence::NotEmpty,
                        Shape::Map => false,
                    } =>
            {
                Part::Parts(mask(schema, schema.at(inner), (parsed, fields), &path))
            }
            (Left::Parts, _) => {
                made = true;
                Part::Whole
            }
        }
    });
    let parts = parts.collect();
    Mask {
        fields: parts,
        rest: made.then(|| (fields.to_owned(), path.to_owned())),
    }
}

/// The only parts of an application that a list can be asked for.
const APPLICATION: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.annotations",
    "metadata.labels",
    "metadata.creationTimestamp",
    "metadata.deletionTimestamp",
    "spec",
    "spec.destination",
    "spec.project",
    "spec.source",
    "spec.sources",
    "spec.sourceHydrator",
    "spec.syncPolicy",
    "status.sourceHydrator",
    "status.summary",
    "status.sync.status",
    "status.sync.revision",
    "status.health",
    "status.operationState.startedAt",
    "status.operationState.finishedAt",
    "status.operationState.phase",
    "status.operationState.operation.sync",
    "status.resources",
    "operation.sync",
];

/// The same for a list of applications, which has a fixed table of paths (`items.spec`, `items.status.health` ...);
/// the list's own metadata always stays.
#[must_use]
pub fn project_applications(value: Value, fields: &str) -> Value {
    let Some(fields) = Fields::parse(fields) else {
        return value;
    };
    let named = |path: &str| fields.paths.contains(format!("items.{path}").as_str());
    let mut chosen: Vec<&str> = Vec::new();
    for path in APPLICATION {
        let within = |ancestor: &&str| {
            path.strip_prefix(*ancestor)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        let dropped = APPLICATION
            .iter()
            .filter(|ancestor| within(ancestor))
            .any(|ancestor| {
                // An ancestor that is kept has it already; one that is left out takes it along.
                fields.exclude || named(ancestor)
            });
        if named(path) != fields.exclude && !dropped {
            chosen.push(path);
        }
    }
    let Value::Object(mut list) = value else {
        return value;
    };
    if let Some(Value::Array(items)) = list.get_mut("items") {
        for item in items {
            *item = select(item, &chosen);
        }
    }
    list.retain(|key, _| key == "items" || key == "metadata");
    Value::Object(list)
}

fn select(application: &Value, chosen: &[&str]) -> Value {
    let mut out = Map::new();
    for path in chosen {
        let Some(value) = part(application, path) else {
            continue;
        };
        let mut keys = path.split('.').peekable();
        let mut place = &mut out;
        while let Some(key) = keys.next() {
            if keys.peek().is_none() {
                place.insert(key.to_owned(), value);
                break;
            }
            let inner = place
                .entry(key)
                .or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(map) = inner else { break };
            place = map;
        }
    }
    Value::Object(out)
}

/// A part, as the reference's getters give it: what is absent is `null` (or empty text) where a getter has no test for
/// it, and missing where it has.
fn part(application: &Value, path: &str) -> Option<Value> {
    // The getter of this path answers with the result of the last sync.
    let at = if path == "status.operationState.operation.sync" {
        "status.operationState.syncResult"
    } else {
        path
    };
    let parent = at.rsplit_once('.').map_or("", |(parent, _)| parent);
    let walk = |path: &str| {
        path.split('.')
            .filter(|key| !key.is_empty())
            .try_fold(application, |value, key| value.get(key))
    };
    match (walk(at), path) {
        (Some(value), _) => Some(value.clone()),
        (None, "status.resources") => None,
        (
            None,
            "metadata.name" | "metadata.namespace" | "spec.project" | "status.sync.revision",
        ) => Some(Value::String(String::new())),
        (None, _) => walk(parent).map(|_| Value::Null),
    }
}

#[cfg(test)]
mod tests {
    use prost::Name;
    use serde_json::json;

    use super::*;
    use crate::v1alpha1::ApplicationWatchEvent;

    /// An event of a watch with something of every shape: messages, lists of them, maps, times, free JSON.
    fn event() -> Value {
        json!({"type": "MODIFIED", "application": {
            "metadata": {"name": "a", "namespace": "argocd", "uid": "u", "resourceVersion": "7",
                "creationTimestamp": "2024-01-01T00:00:00Z", "labels": {"x": "1", "y.z": "2"}, "annotations": {"x": "1"},
                "ownerReferences": [{"kind": "A", "name": "o"}], "finalizers": ["f"]},
            "spec": {"project": "p", "destination": {"server": "s", "namespace": "n"},
                "source": {"repoURL": "r", "path": "k", "helm": {"valuesObject": {"a": {"b": 1}, "c": 2}}},
                "syncPolicy": {"automated": {"prune": true}}},
            "status": {
                "sync": {"status": "Synced", "revision": "abc", "comparedTo": {"source": {"repoURL": "r"}, "destination": {}}},
                "health": {"status": "Healthy"},
                "resources": [{"kind": "ConfigMap", "name": "one", "health": {"status": "Healthy"}}, {"kind": "Secret", "name": "two"}],
                "history": [{"id": 0, "revision": "abc", "deployedAt": "2024-01-01T00:00:00Z", "source": {"repoURL": "r"}}],
                "operationState": {"phase": "Succeeded", "message": "m", "startedAt": "2024-01-01T00:00:00Z",
                    "operation": {"sync": {"revision": "abc"}, "retry": {"limit": 3}},
                    "syncResult": {"revision": "abc", "resources": [{"kind": "ConfigMap", "name": "one"}]}},
                "summary": {"images": ["i"]}},
            "operation": {"sync": {"revision": "abc", "syncOptions": ["A=b"]}, "initiatedBy": {"username": "admin"}}}})
    }

    #[test]
    fn what_is_not_made_at_all_is_just_what_would_be_taken_away() {
        let name = ApplicationWatchEvent::full_name();
        let empty = json!({"type": "ADDED", "application": {"metadata": {"name": "a"}}});
        let mut cut = 0;
        for fields in [
            "result.type,result.application.metadata.name,result.application.metadata.resourceVersion,\
             result.application.status.sync,result.application.status.health,result.application.status.operationState,\
             result.application.operation",
            "result.application.status.resources.health,result.application.status.history.id",
            "result.application.status.resources.health.status,result.application.status.summary.images",
            "result.application.metadata.labels.x,result.application.metadata.creationTimestamp",
            "result.application.metadata.label",
            "result.application.metadata.labels.y",
            "result.application.spec.source.helm.valuesObject.a",
            "result.application.spec.source.helm.valuesObject.a.b,result.application.operation.sync.syncOptions",
            "result.application.spec.syncPolicy.automated.enabled,result.application.status.conditions.type",
            "result.application.metadata.name.first,result.application.status.operationState.operation.retry",
            "-result.application.status,result.application.metadata.uid",
            "-result.application.metadata.labels.x,result.application.status.resources.health",
            "-result.application.spec.source.helm.valuesObject.a,result.application.operation.sync",
            "-result.application.status.operationState.syncResult.resources.name,result.type",
            "-nothing.of.it",
            "result.nothing",
            "result",
            "res",
            "nothing",
            "-result",
            "",
        ] {
            for event in [event(), empty.clone()] {
                let bytes = super::super::decode(&name, &event).unwrap();
                let whole = json!({"result": super::super::encode(&name, &bytes).unwrap()});
                let Some(projection) = Projection::of(&name, "result", fields) else {
                    continue;
                };
                cut += 1;
                let made = json!({"result": projection.encode(&bytes).unwrap()});
                assert_eq!(made, project(whole, fields), "{fields}");
            }
        }
        assert_eq!(cut, 2 * 15, "the others leave all, or nothing");
    }

    #[test]
    fn a_message_that_stands_in_nothing_is_cut_down_too() {
        let name = ApplicationWatchEvent::full_name();
        let bytes = super::super::decode(&name, &event()).unwrap();
        let fields = "type,application.metadata.name,applicationSet.metadata.name";
        let made = Projection::of(&name, "", fields).unwrap().encode(&bytes);
        let wanted = json!({"type": "MODIFIED", "application": {"metadata": {"name": "a"}}});
        assert_eq!(made.unwrap(), wanted);
        assert!(Projection::of("nothing", "", fields).is_none());
    }

    #[test]
    fn listed_paths_stay_with_everything_beneath_and_above() {
        let event = json!({"result": {"type": "ADDED", "application": {
            "metadata": {"name": "a", "uid": "u"}, "spec": {"project": "p"}, "status": {"health": {"status": "Healthy"}}}}});
        assert_eq!(
            project(
                event.clone(),
                "result.type,result.application.metadata.name,result.application.status"
            ),
            json!({"result": {"type": "ADDED", "application": {
                "metadata": {"name": "a"}, "status": {"health": {"status": "Healthy"}}}}})
        );
        assert_eq!(
            project(
                event.clone(),
                "-result.application.status,result.application.metadata.uid"
            ),
            json!({"result": {"type": "ADDED", "application": {"metadata": {"name": "a"}, "spec": {"project": "p"}}}})
        );
        assert_eq!(project(event.clone(), ""), event);
        assert_eq!(
            project(json!({"items": [{"a": 1, "b": 2}]}), "items.a"),
            json!({"items": [{"a": 1}]})
        );
    }

    #[test]
    fn a_list_of_applications_has_a_fixed_table() {
        let list = json!({"metadata": {"resourceVersion": "7"}, "items": [{
            "metadata": {"name": "a", "uid": "u"}, "spec": {"project": "p", "source": {"repoURL": "r"}},
            "status": {"sync": {"status": "Synced"}, "operationState": {"phase": "Running", "syncResult": {"revision": "x"}}}}]});
        let fields = "items.metadata.name,items.metadata.uid,items.metadata.deletionTimestamp,items.spec,items.spec.project,\
                      items.status.operationState.operation.sync,items.operation.sync,items.status.resources";
        assert_eq!(
            project_applications(list.clone(), fields),
            json!({"metadata": {"resourceVersion": "7"}, "items": [{
                "metadata": {"name": "a", "deletionTimestamp": null},
                "spec": {"project": "p", "source": {"repoURL": "r"}},
                "status": {"operationState": {"operation": {"sync": {"revision": "x"}}}}}]})
        );
        let without = project_applications(list, "-items.spec,items.status.operationState.phase");
        assert!(without["items"][0].get("spec").is_none());
        assert!(
            without["items"][0]["status"]["operationState"]
                .get("phase")
                .is_none()
        );
        assert_eq!(without["items"][0]["status"]["sync"]["status"], "Synced");
    }
}
