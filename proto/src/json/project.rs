//! The `fields=` parameter: a comma list of dotted paths to keep, or, after a leading `-`, to leave out.

use std::collections::HashSet;

use serde_json::{Map, Value};

struct Fields<'a> {
    paths: HashSet<&'a str>,
    exclude: bool,
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
    use serde_json::json;

    use super::*;

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
