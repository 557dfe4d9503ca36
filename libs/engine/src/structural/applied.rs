//! What server-side apply makes of a live object, by its own rules: what is wanted is merged in by the schema, and what our
//! manager applied before, no longer applies and nobody else has is taken out. What the cluster fills in then is not told.

use std::collections::{BTreeSet, HashMap, HashSet};

use domain::schema::{ListMerge, Node, Type};
use serde_json::{Map, Value};

use super::{Lookup, granular, merging, without};
use crate::fields::{Element, Owned};

/// Who has what of a live object.
#[derive(Clone, Copy, Debug)]
pub struct Owners<'a> {
    /// What our manager has.
    pub ours: Option<&'a Owned>,
    /// What all others have.
    pub others: &'a Owned,
}

/// No list of more elements is merged: nobody writes one, and every element is walked for every comparison.
const MOST: usize = 10_000;

/// The live object as an apply of what is wanted would leave it. `None` where the cluster would not apply it so (it refuses
/// two elements of one key), and where a list is too long.
#[must_use]
pub fn applied(want: &Value, live: &Value, owners: Owners<'_>, root: Node<'_>) -> Option<Value> {
    if is_too_long(want) || is_too_long(live) || repeats(want, Some(root)) {
        return None;
    }
    let mut result = live.clone();
    merge(&mut result, want, Some(root));
    if let Some(ours) = owners.ours {
        // An element without the fields that identify it would be none: they go with it, or stay.
        let ours = ours.but_keys();
        let place = Place {
            want: Some(want),
            ours: &ours,
            others: Some(owners.others),
            node: Some(root),
        };
        let_go(&mut result, place);
    }
    Some(result)
}

/// Whether any list is.
fn is_too_long(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().any(is_too_long),
        Value::Array(items) => items.len() > MOST || items.iter().any(is_too_long),
        _ => false,
    }
}

/// Whether a list that merges has two elements of one key.
fn repeats(value: &Value, node: Option<Node<'_>>) -> bool {
    match value {
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| repeats(value, node.and_then(|n| n.value(name)))),
        Value::Array(items) => {
            let element = node.and_then(Node::element);
            let mut seen = BTreeSet::new();
            let twice = |item: &Value| !seen.insert(Element::of_item(item, node));
            (merging(node) && items.iter().any(twice))
                || items.iter().any(|item| repeats(item, element))
        }
        _ => false,
    }
}

/// A place of a live object, from everybody's side.
#[derive(Clone, Copy)]
struct Place<'a> {
    want: Option<&'a Value>,
    ours: &'a Owned,
    others: Option<&'a Owned>,
    node: Option<Node<'a>>,
}

impl<'a> Place<'a> {
    fn field(self, name: &str, step: &Element, ours: &'a Owned) -> Self {
        Self {
            want: self.want.and_then(|want| want.get(name)),
            ours,
            others: self.others.and_then(|others| others.children.get(step)),
            node: self.node.and_then(|node| node.value(name)),
        }
    }

    fn element(self, step: &Element, ours: &'a Owned, want: Option<&'a Value>) -> Self {
        Self {
            want,
            ours,
            others: self.others.and_then(|others| others.children.get(step)),
            node: self.node.and_then(Node::element),
        }
    }

    /// Whether nobody keeps the place: `declared` fields of a struct are had by whoever has anything beneath.
    fn is_let_go(self, step: &Element, declared: bool) -> bool {
        let holds = |set: &Owned| set.owned || (declared && set.holds(step));
        let had = holds(self.ours) || self.ours.children.is_empty() || is_one(self.node);
        let kept = self.others.is_some_and(holds);
        had && !kept && !self.is_wanted(declared)
    }

    /// Whether what is wanted names the place. A list that merges is named by its elements alone.
    fn is_wanted(self, declared: bool) -> bool {
        match self.want {
            None => false,
            Some(Value::Array(items)) if declared && merging(self.node) => !items.is_empty(),
            Some(_) => true,
        }
    }
}

/// Whether a place is had as one value, whatever is in it.
fn is_one(node: Option<Node<'_>>) -> bool {
    let list = matches!(
        node.map(Node::kind),
        Some(Type::List {
            merge: ListMerge::Atomic,
            ..
        })
    );
    list || !granular(node)
}

/// Takes out what nobody has any more.
fn let_go(live: &mut Value, place: Place<'_>) {
    match live {
        Value::Object(fields) => let_go_fields(fields, place),
        Value::Array(items) => let_go_items(items, place),
        _ => {}
    }
}

fn let_go_fields(fields: &mut Map<String, Value>, place: Place<'_>) {
    for (step, ours) in &place.ours.children {
        let Element::Field(name) = step else {
            continue;
        };
        let Some(value) = fields.get_mut(name) else {
            continue;
        };
        let declared = place.node.and_then(|node| node.field(name)).is_some();
        let beneath = place.field(name, step, ours);
        if beneath.is_let_go(step, declared) {
            fields.remove(name);
            continue;
        }
        let filled = !is_empty(value);
        let_go(value, beneath);
        if filled && is_empty(value) {
            fields.remove(name);
        }
    }
}

fn let_go_items(items: &mut Vec<Value>, place: Place<'_>) {
    let wanted = place.want.and_then(Value::as_array);
    let wanted: &[Value] = wanted.map_or(&[], Vec::as_slice);
    let (mut there, mut wants) = (Lookup::new(place.node), Lookup::new(place.node));
    let mut gone = HashSet::new();
    for (step, ours) in &place.ours.children {
        let Some((position, _)) = there.find(items, step) else {
            continue;
        };
        let want = wants.find(wanted, step).map(|(_, item)| item);
        let beneath = place.element(step, ours, want);
        if ours.owned && beneath.is_let_go(step, false) {
            gone.insert(position);
        } else if let Some(item) = items.get_mut(position) {
            let_go(item, beneath);
        }
    }
    without(items, &gone);
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Merges what is wanted in. Nothing (`null`) takes a value away, but not one whose parts have owners of their own.
fn merge(live: &mut Value, want: &Value, node: Option<Node<'_>>) {
    match (&mut *live, want) {
        (Value::Object(fields), Value::Object(wanted)) if granular(node) => {
            merge_fields(fields, wanted, node);
        }
        (Value::Array(items), Value::Array(wanted)) if merging(node) => {
            *items = merged_items(items, wanted, node);
        }
        (Value::Object(fields), Value::Null) if granular(node) && !fields.is_empty() => {}
        (Value::Array(items), Value::Null) if merging(node) && !items.is_empty() => {}
        (live, want) => want.clone_into(live),
    }
}

fn merge_fields(
    fields: &mut Map<String, Value>,
    wanted: &Map<String, Value>,
    node: Option<Node<'_>>,
) {
    for (name, want) in wanted {
        match fields.get_mut(name) {
            Some(value) => merge(value, want, node.and_then(|n| n.value(name))),
            None => {
                fields.insert(name.clone(), want.clone());
            }
        }
    }
}

/// The elements of both sides: those that are wanted in the order in which they are wanted, the others between them where
/// they are.
fn merged_items(items: &[Value], wanted: &[Value], list: Option<Node<'_>>) -> Vec<Value> {
    let element = list.and_then(Node::element);
    let steps = |items: &[Value]| -> Vec<Element> {
        items
            .iter()
            .map(|item| Element::of_item(item, list))
            .collect()
    };
    let (there, wants) = (steps(items), steps(wanted));
    let places = only_places(&there);
    let asked: HashSet<&Element> = wants.iter().collect();
    let mut result = Vec::with_capacity(items.len().max(wanted.len()));
    let mut rest = items.iter().zip(&there).peekable();
    let nexts = nexts(&wants, &places);
    for ((want, step), next) in wanted.iter().zip(&wants).zip(nexts) {
        // What is wanted later, or was before, is put where it is wanted.
        while let Some((item, step)) = rest.next_if(|(_, step)| Some(*step) != next) {
            if !asked.contains(step) {
                result.push(item.clone());
            }
        }
        let only = places.get(step).copied().flatten();
        result.push(match only.and_then(|position| items.get(position)) {
            Some(item) => {
                let mut item = item.clone();
                merge(&mut item, want, element);
                item
            }
            // New; or there more than once, which becomes the one that is wanted.
            None => want.clone(),
        });
        rest.next_if(|(_, other)| *other == step);
    }
    let others = rest.filter(|(_, step)| !asked.contains(*step));
    result.extend(others.map(|(item, _)| item.clone()));
    result
}

/// Where each element is; nowhere that counts where it is more than once.
fn only_places(there: &[Element]) -> HashMap<&Element, Option<usize>> {
    let mut places = HashMap::with_capacity(there.len());
    for (position, step) in there.iter().enumerate() {
        places
            .entry(step)
            .and_modify(|place| *place = None)
            .or_insert(Some(position));
    }
    places
}

/// For each wanted element the first from it on that is there.
fn nexts<'a>(
    wants: &'a [Element],
    places: &HashMap<&Element, Option<usize>>,
) -> Vec<Option<&'a Element>> {
    let mut next = None;
    let mut nexts = Vec::with_capacity(wants.len());
    for step in wants.iter().rev() {
        if places.contains_key(step) {
            next = Some(step);
        }
        nexts.push(next);
    }
    nexts.reverse();
    nexts
}

#[cfg(test)]
mod tests {
    use domain::schema::Document;
    use serde_json::json;

    use super::*;

    fn document() -> Document {
        let text = json!({"type": "string"});
        let pair = json!({"type": "object", "properties": {"a": text, "b": text}});
        let mut whole = pair.clone();
        whole["x-kubernetes-map-type"] = json!("atomic");
        let kind = json!({
            "x-kubernetes-group-version-kind": [{"group": "g", "version": "v1", "kind": "Knot"}],
            "type": "object",
            "properties": {
                "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "port"],
                    "items": {"type": "object", "properties": {
                        "name": text, "port": {"type": "integer", "default": 80}, "value": text}}},
                "set": {"type": "array", "x-kubernetes-list-type": "set", "items": text},
                "list": {"type": "array", "items": text},
                "pair": pair,
                "whole": whole,
                "labels": {"type": "object", "additionalProperties": text},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "count": {"type": "integer"}}});
        let document = json!({"components": {"schemas": {"Knot": kind}}});
        Document::from_open_api(document.to_string().as_bytes()).unwrap()
    }

    fn owned(fields: Value) -> Owned {
        let entry = json!({"manager": "m", "apiVersion": "g/v1", "fieldsV1": fields});
        let object = json!({"apiVersion": "g/v1", "metadata": {"managedFields": [entry]}});
        Owned::of_manager(&object, "m").unwrap()
    }

    fn check(want: Value, live: Value, ours: Value, others: Value, expected: Value) {
        let document = document();
        let (ours, others) = (owned(ours), owned(others));
        let owners = Owners {
            ours: Some(&ours),
            others: &others,
        };
        let root = document.root("g", "v1", "Knot").unwrap();
        assert_eq!(applied(&want, &live, owners, root).unwrap(), expected);
    }

    #[test]
    fn lists_merge_as_the_schema_says() {
        check(
            json!({"keyed": [{"name": "x", "value": "2"}, {"name": "n"}], "set": ["b"], "list": ["b"]}),
            json!({"keyed": [{"name": "o", "port": 1}, {"name": "x", "port": 80, "value": "1"}], "set": ["a"], "list": ["a"]}),
            json!({}),
            json!({}),
            json!({"keyed": [{"name": "o", "port": 1}, {"name": "x", "port": 80, "value": "2"}, {"name": "n"}],
                "set": ["a", "b"], "list": ["b"]}),
        );
    }

    #[test]
    fn elements_stand_in_the_order_in_which_they_are_wanted() {
        for (want, live, expected) in [
            (json!(["b", "a"]), json!(["a", "b"]), json!(["b", "a"])),
            (
                json!(["a", "n", "b"]),
                json!(["a", "o", "b"]),
                json!(["a", "o", "n", "b"]),
            ),
            (json!(["n", "a"]), json!(["a", "o"]), json!(["n", "a", "o"])),
            (
                json!(["c", "a"]),
                json!(["a", "o", "c", "p"]),
                json!(["o", "c", "p", "a"]),
            ),
            (json!([]), json!(["a"]), json!(["a"])),
        ] {
            let (want, live) = (json!({"set": want}), json!({"set": live}));
            check(want, live, json!({}), json!({}), json!({"set": expected}));
        }
    }

    #[test]
    fn structs_and_maps_merge_unless_they_are_one_value() {
        check(
            json!({"pair": {"a": "2"}, "whole": {"a": "2"}, "labels": {"x": "2"}, "free": {"x": {"a": [2]}}}),
            json!({"pair": {"a": "1", "b": "1"}, "whole": {"a": "1", "b": "1"}, "labels": {"x": "1", "y": "1"},
                "free": {"x": {"a": [1, 2], "b": 1}, "y": 1}}),
            json!({}),
            json!({}),
            json!({"pair": {"a": "2", "b": "1"}, "whole": {"a": "2"}, "labels": {"x": "2", "y": "1"},
                "free": {"x": {"a": [2], "b": 1}, "y": 1}}),
        );
    }

    #[test]
    fn what_we_alone_had_and_no_longer_want_goes() {
        check(
            json!({"keyed": [{"name": "x"}], "labels": {"kept": "1"}, "free": {"a": {"kept": 1}}}),
            json!({"keyed": [{"name": "x", "port": 80, "value": "1"}, {"name": "gone", "port": 80},
                    {"name": "shared", "port": 80}],
                "set": ["gone", "shared"], "pair": {"a": "1", "b": "unowned"},
                "labels": {"kept": "1", "gone": "1", "theirs": "1"},
                "free": {"a": {"kept": 1, "gone": 1}, "b": {"gone": [1]}}, "list": ["1"], "count": 1}),
            json!({"f:keyed": {
                    "k:{\"name\":\"x\",\"port\":80}": {".": {}, "f:name": {}, "f:port": {}, "f:value": {}},
                    "k:{\"name\":\"gone\",\"port\":80}": {".": {}, "f:name": {}},
                    "k:{\"name\":\"shared\",\"port\":80}": {".": {}, "f:name": {}}},
                "f:set": {"v:\"gone\"": {}, "v:\"shared\"": {}},
                "f:pair": {"f:a": {}},
                "f:labels": {"f:kept": {}, "f:gone": {}},
                "f:free": {"f:a": {".": {}, "f:kept": {}, "f:gone": {}}, "f:b": {".": {}, "f:gone": {}}},
                "f:list": {}, "f:count": {}}),
            json!({"f:keyed": {"k:{\"name\":\"shared\",\"port\":80}": {".": {}, "f:name": {}}},
                "f:set": {"v:\"shared\"": {}}, "f:count": {}, "f:labels": {"f:theirs": {}}}),
            json!({"keyed": [{"name": "x", "port": 80}, {"name": "shared", "port": 80}], "set": ["shared"],
                "labels": {"kept": "1", "theirs": "1"}, "free": {"a": {"kept": 1}}, "count": 1}),
        );
    }

    #[test]
    fn nothing_takes_single_values_away_and_no_others() {
        check(
            json!({"count": null, "whole": null, "list": null, "pair": null, "keyed": null}),
            json!({"count": 1, "whole": {"a": "1"}, "list": ["1"], "pair": {"a": "1"}, "keyed": [{"name": "x"}]}),
            json!({}),
            json!({}),
            json!({"count": null, "whole": null, "list": null, "pair": {"a": "1"}, "keyed": [{"name": "x"}]}),
        );
    }

    #[test]
    fn a_list_costs_no_more_than_its_length() {
        let keys = |prefix: &str, count: usize| -> Vec<Value> {
            let element = |at: usize| json!({"name": format!("{prefix}{at}"), "port": 80});
            (0..count).map(element).collect()
        };
        let had = keys("old", MOST).into_iter().map(|element| {
            let key = format!("k:{{\"name\":{},\"port\":80}}", element["name"]);
            (key, json!({".": {}, "f:name": {}}))
        });
        let had = Value::Object(had.collect());
        check(
            json!({"keyed": keys("new", MOST)}),
            json!({"keyed": keys("old", MOST)}),
            json!({"f:keyed": had}),
            json!({}),
            json!({"keyed": keys("new", MOST)}),
        );
        let document = document();
        let root = document.root("g", "v1", "Knot").unwrap();
        let owners = Owners {
            ours: None,
            others: &Owned::default(),
        };
        let long = json!({"keyed": keys("new", MOST + 1)});
        assert_eq!(applied(&long, &json!({}), owners, root), None);
        assert_eq!(applied(&json!({}), &long, owners, root), None);
    }

    #[test]
    fn two_elements_of_one_key_are_not_applied() {
        let document = document();
        let root = document.root("g", "v1", "Knot").unwrap();
        let others = Owned::default();
        let owners = Owners {
            ours: None,
            others: &others,
        };
        let twice = json!({"keyed": [{"name": "x"}, {"name": "x", "port": 80}]});
        assert_eq!(applied(&twice, &json!({}), owners, root), None);
        let whole = json!({"list": ["x", "x"]});
        assert_eq!(applied(&whole, &json!({}), owners, root), Some(whole));
    }
}
