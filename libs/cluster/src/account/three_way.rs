//! kubectl's three-way merge: what Git says, on what is there, without what Git once said.

use std::collections::{HashMap, HashSet};

use domain::field_set::FieldSet;
use domain::schema::{ListMerge, MapKey, Node, Type};
use serde_json::{Map, Value};

/// What we applied before: the object itself, the fields that our applies own, or both.
#[derive(Clone, Copy, Default)]
pub(super) struct Base<'a> {
    pub(super) object: Option<&'a Value>,
    pub(super) owned: Option<&'a FieldSet>,
}

impl<'a> Base<'a> {
    fn field(self, name: &str) -> Self {
        Self {
            object: self.object.and_then(|object| object.get(name)),
            owned: self.owned.and_then(|owned| owned.field(name)),
        }
    }

    fn exists(self) -> bool {
        self.object.is_some() || self.owned.is_some()
    }
}

/// Objects of a cluster are not deeper; below, what Git says is taken whole.
const MAX_DEPTH: usize = 64;

pub(super) fn merge(
    base: Base<'_>,
    wanted: &Value,
    live: &Value,
    schema: Option<Node<'_>>,
) -> Value {
    values(base, wanted, live, schema, MAX_DEPTH)
}

fn values(
    base: Base<'_>,
    wanted: &Value,
    live: &Value,
    schema: Option<Node<'_>>,
    depth: usize,
) -> Value {
    let atomic = matches!(
        schema.map(Node::kind),
        Some(Type::Object { atomic: true, .. } | Type::Map { atomic: true, .. })
    );
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) if !atomic && depth > 0 => {
            Value::Object(members(base, wanted, live, schema, depth))
        }
        (Value::Array(wanted), Value::Array(live)) if depth > 0 => {
            Value::Array(elements(base, wanted, live, schema, depth))
        }
        _ => wanted.clone(),
    }
}

fn members(
    base: Base<'_>,
    wanted: &Map<String, Value>,
    live: &Map<String, Value>,
    schema: Option<Node<'_>>,
    depth: usize,
) -> Map<String, Value> {
    let mut merged = Map::new();
    let beneath = depth.saturating_sub(1);
    for (name, there) in live {
        match wanted.get(name) {
            Some(Value::Null) => {}
            Some(wish) => {
                let schema = schema.and_then(|schema| schema.value(name));
                merged.insert(
                    name.clone(),
                    values(base.field(name), wish, there, schema, beneath),
                );
            }
            None => {
                let before = base.field(name);
                // A branch of which only parts were ours loses these parts; a leaf goes.
                if let (true, true, Value::Object(below)) = (before.exists(), depth > 0, there) {
                    let left = members(
                        before,
                        &Map::new(),
                        below,
                        schema.and_then(|s| s.value(name)),
                        beneath,
                    );
                    if !left.is_empty() {
                        merged.insert(name.clone(), Value::Object(left));
                    }
                } else if !before.exists() {
                    merged.insert(name.clone(), there.clone());
                }
            }
        }
    }
    let new = wanted
        .iter()
        .filter(|(name, wish)| !wish.is_null() && !live.contains_key(name.as_str()));
    merged.extend(new.map(|(name, wish)| (name.clone(), wish.clone())));
    merged
}

fn elements(
    base: Base<'_>,
    wanted: &[Value],
    live: &[Value],
    schema: Option<Node<'_>>,
    depth: usize,
) -> Vec<Value> {
    let Some(Type::List {
        merge: ListMerge::Map { keys },
        ..
    }) = schema.map(Node::kind)
    else {
        return wanted.to_vec();
    };
    let identities = |list: &[Value]| -> Option<Vec<String>> {
        let found: Vec<String> = list.iter().map(|element| identity(element, keys)).collect();
        let distinct = found.iter().collect::<HashSet<_>>().len() == found.len();
        distinct.then_some(found)
    };
    // Repeated keys identify nothing: Git's list as it is.
    let (Some(wished), Some(there)) = (identities(wanted), identities(live)) else {
        return wanted.to_vec();
    };
    let before = base
        .object
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    // Found by their identity: lists may be long. Of those that repeat one before, the first counts.
    let mut known: HashMap<String, &Value> = HashMap::new();
    for one in before {
        known.entry(identity(one, keys)).or_insert(one);
    }
    let found: HashMap<&str, &Value> = there.iter().map(String::as_str).zip(live).collect();
    let names: HashSet<&str> = wished.iter().map(String::as_str).collect();
    let element = schema.and_then(Node::element);
    let base_of = |identity: &str| Base {
        object: known.get(identity).copied(),
        owned: base.owned.and_then(|owned| owned.child(identity)),
    };
    let mut merged: Vec<Value> = wanted
        .iter()
        .zip(&wished)
        .map(|(wish, identity)| {
            found.get(identity.as_str()).map_or_else(
                || wish.clone(),
                |found| {
                    let beneath = depth.saturating_sub(1);
                    values(base_of(identity), wish, found, element, beneath)
                },
            )
        })
        .collect();
    let others = live
        .iter()
        .zip(&there)
        .filter(|(_, identity)| !names.contains(identity.as_str()));
    merged.extend(
        others
            .filter(|(_, identity)| !base_of(identity).exists())
            .map(|(found, _)| found.clone()),
    );
    merged
}

/// The element's key as FieldsV1 writes it: `k:{"containerPort":80,"protocol":"TCP"}`.
fn identity(element: &Value, keys: &[MapKey]) -> String {
    let mut parts: Vec<(&str, &Value)> = keys
        .iter()
        .filter_map(|key| {
            Some((
                key.name.as_ref(),
                element.get(key.name.as_ref()).or(key.default.as_ref())?,
            ))
        })
        .collect();
    parts.sort_unstable_by_key(|(name, _)| *name);
    let parts: Vec<String> = parts
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("k:{{{}}}", parts.join(","))
}

#[cfg(test)]
mod tests {
    use domain::schema::Document;
    use serde_json::json;

    use super::*;

    fn document() -> Document {
        let document = json!({"components": {"schemas": {"Pod": {
            "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Pod"}],
            "type": "object", "properties": {
                "env": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "properties": {"name": {"type": "string"}, "value": {"type": "string"}}}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}}}}}}});
        Document::from_open_api(document.to_string().as_bytes()).unwrap()
    }

    fn run(base: Value, wanted: Value, live: Value) -> Value {
        let document = document();
        let base = Base {
            object: Some(&base),
            owned: None,
        };
        merge(base, &wanted, &live, document.root("", "v1", "Pod"))
    }

    #[test]
    fn what_left_git_goes_and_what_others_added_stays() {
        let merged = run(
            json!({"labels": {"a": "1", "gone": "1"}, "env": [{"name": "A"}, {"name": "GONE"}]}),
            json!({"labels": {"a": "2"}, "env": [{"name": "A", "value": "x"}]}),
            json!({"labels": {"a": "1", "gone": "1", "theirs": "1"}, "env": [{"name": "THEIRS"}, {"name": "GONE"}, {"name": "A", "extra": 1}]}),
        );
        assert_eq!(merged["labels"], json!({"a": "2", "theirs": "1"}));
        assert_eq!(
            merged["env"],
            json!([{"name": "A", "value": "x", "extra": 1}, {"name": "THEIRS"}])
        );
    }

    #[test]
    fn repeated_keys_are_taken_as_git_says() {
        let wanted = json!({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]});
        let merged = run(
            json!({}),
            wanted.clone(),
            json!({"env": [{"name": "A", "value": "1"}, {"name": "B"}]}),
        );
        assert_eq!(merged["env"], wanted["env"]);
    }

    #[test]
    fn below_what_an_object_has_nothing_is_taken_apart() {
        let deep =
            |leaf: Value| (0..2 * MAX_DEPTH - 8).fold(leaf, |below, _| json!({"labels": below}));
        let live = deep(json!("theirs"));
        let merged = run(deep(json!("gone")), json!({"env": []}), live.clone());
        assert_eq!(merged, json!({"env": []}));
        let wanted = deep(json!("ours"));
        assert_eq!(run(live.clone(), wanted.clone(), live), wanted);
    }

    #[test]
    fn of_long_lists_each_element_is_found_at_once() {
        let list = |from: usize| {
            let env = (from..from + 60_000).map(|at| json!({"name": format!("N{at}")}));
            json!({"env": env.collect::<Vec<_>>()})
        };
        let merged = run(list(0), list(30_000), list(0));
        assert_eq!(
            merged,
            list(30_000),
            "what was ours and is wanted no more is gone"
        );
    }

    #[test]
    fn fields_that_our_applies_own_go_too() {
        let document = document();
        let owned = FieldSet::from_fields_v1(
            &json!({"f:labels": {"f:gone": {}}, "f:env": {"k:{\"name\":\"GONE\"}": {".": {}}}}),
        );
        let base = Base {
            object: None,
            owned: Some(&owned),
        };
        let live = json!({"labels": {"gone": "1", "theirs": "1"}, "env": [{"name": "GONE"}, {"name": "THEIRS"}]});
        let merged = merge(
            base,
            &json!({"env": []}),
            &live,
            document.root("", "v1", "Pod"),
        );
        assert_eq!(
            merged,
            json!({"labels": {"theirs": "1"}, "env": [{"name": "THEIRS"}]})
        );
    }
}
