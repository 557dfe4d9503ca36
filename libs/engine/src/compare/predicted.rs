//! What the cluster would make of a target, beside what it has: where the cluster's own rules decide what differs.

use std::collections::{BTreeSet, HashMap, HashSet};

use domain::resource::at;
use domain::schema::{Node, SchemaSet};
use serde_json::{Map, Value};

use super::ignore::ignored_predicted;
use super::{Ignored, aggregated, built_in, forgiven, remove, spelled};
use crate::fields::{Element, MANAGER, Owned};
use crate::options::CompareOptions;
use crate::prepare::Target;
use crate::structural::{self, Delta, granular, merging};

/// Metadata that the cluster writes by itself: a dry run's says nothing of what is wanted.
const WRITTEN: [&str; 5] = [
    "creationTimestamp",
    "generation",
    "resourceVersion",
    "selfLink",
    "uid",
];
/// What a client-side apply notes of itself.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A dry run's result and the live object, less what is not compared.
pub(crate) struct Sides<'a> {
    pub(crate) predicted: Value,
    pub(crate) live: Value,
    pub(super) root: Option<Node<'a>>,
    rules: structural::Rules,
}

impl<'a> Sides<'a> {
    /// `predicted` and `body` are whole, with their managedFields.
    pub(crate) fn new(
        target: &Target,
        predicted: &Value,
        body: &Value,
        ignore: &Ignored<'_>,
        schema: &'a SchemaSet,
        options: CompareOptions,
    ) -> Self {
        let key = &target.key;
        let root = schema.root(&key.group, &target.version, &key.kind);
        let mut result = if options.webhooks {
            predicted.clone()
        } else {
            without_others(predicted, body, root)
        };
        as_written(&mut result, body);
        let (want, mut got) = ignored_predicted(&result, body, key, ignore, root);
        spelled(&want, &mut got, key, ignore.known);
        forgiven(&want, &mut got);
        let (mut want, mut got) = (want.into_owned(), got.into_owned());
        let aggregated = aggregated(key, &want, &got);
        for side in [&mut want, &mut got] {
            if aggregated {
                remove(side, "rules");
            }
            tidy(side);
        }
        Self {
            predicted: want,
            live: got,
            root,
            rules: structural::Rules {
                built_in: built_in(&key.group),
                exact: true,
            },
        }
    }

    /// What differs, in either direction.
    pub(crate) fn deltas(&self) -> Vec<Delta<'_>> {
        let Self {
            predicted,
            live,
            root,
            rules,
        } = self;
        both_ways(predicted, live, *root, *rules)
    }
}

/// What differs between what would be and what is: also what would not be any more.
pub(super) fn both_ways<'v>(
    predicted: &'v Value,
    live: &'v Value,
    root: Option<Node<'_>>,
    rules: structural::Rules,
) -> Vec<Delta<'v>> {
    let mut deltas = structural::differences(predicted, live, root, rules);
    let missing = structural::differences(live, predicted, root, rules);
    let gone = missing.into_iter().filter(|delta| delta.got.is_none());
    deltas.extend(gone.map(|delta| Delta {
        path: delta.path,
        want: None,
        got: delta.want,
    }));
    // Positions are those of the side that has the element.
    let mut seen = HashSet::new();
    deltas.retain(|delta| seen.insert((delta.path.clone(), delta.want.is_some())));
    deltas
}

/// A dry run's result without what mutation webhooks, and others who write along, made of it: what changes that is neither
/// ours then nor was ours before is as it is live. So what left Git stays a difference.
fn without_others(predicted: &Value, body: &Value, root: Option<Node<'_>>) -> Value {
    let after = Owned::of_manager(predicted, MANAGER);
    let before = Owned::of_manager(body, MANAGER);
    let ours = Ours {
        after: after.as_ref(),
        before: before.as_ref(),
    };
    kept(Some(predicted), Some(body), ours, root).unwrap_or_default()
}

/// Which fields of a place are ours, in the dry run's result and live.
#[derive(Clone, Copy)]
struct Ours<'a> {
    after: Option<&'a Owned>,
    before: Option<&'a Owned>,
}

impl Ours<'_> {
    fn at(self, step: &Element) -> Self {
        Self {
            after: self.after.and_then(|owned| owned.children.get(step)),
            before: self.before.and_then(|owned| owned.children.get(step)),
        }
    }

    fn any(self) -> bool {
        self.after.is_some() || self.before.is_some()
    }

    /// Whether the place was applied as one value.
    fn whole(self) -> bool {
        let mut sets = [self.after, self.before].into_iter().flatten();
        sets.any(|owned| owned.children.is_empty())
    }
}

/// What a place becomes where only our changes count.
fn kept(
    after: Option<&Value>,
    before: Option<&Value>,
    ours: Ours<'_>,
    node: Option<Node<'_>>,
) -> Option<Value> {
    if !ours.any() {
        return before.cloned();
    }
    match (after, before) {
        (Some(Value::Object(after)), Some(Value::Object(before)))
            if granular(node) && !ours.whole() =>
        {
            Some(Value::Object(fields(after, before, ours, node)))
        }
        (Some(Value::Array(after)), Some(Value::Array(before)))
            if merging(node) && !ours.whole() =>
        {
            Some(Value::Array(items(after, before, ours, node)))
        }
        (Some(after), None) => ours.after.map(|owned| only(after, owned, node)),
        (after, _) => after.cloned(),
    }
}

fn fields(
    after: &Map<String, Value>,
    before: &Map<String, Value>,
    ours: Ours<'_>,
    node: Option<Node<'_>>,
) -> Map<String, Value> {
    let names: BTreeSet<&String> = after.keys().chain(before.keys()).collect();
    let kept = names.into_iter().filter_map(|name| {
        let ours = ours.at(&Element::Field(name.clone()));
        let child = node.and_then(|n| n.value(name));
        let value = kept(after.get(name), before.get(name), ours, child)?;
        Some((name.clone(), value))
    });
    kept.collect()
}

fn items(after: &[Value], before: &[Value], ours: Ours<'_>, node: Option<Node<'_>>) -> Vec<Value> {
    let element = node.and_then(Node::element);
    let steps = |items: &[Value]| -> Vec<Element> {
        items
            .iter()
            .map(|item| Element::of_item(item, node))
            .collect()
    };
    let (afters, befores) = (steps(after), steps(before));
    // The first counts where a list has two of one key.
    let known: HashMap<&Element, &Value> = befores.iter().zip(before).rev().collect();
    let stay: HashSet<&Element> = afters.iter().collect();
    let mut result = Vec::with_capacity(after.len());
    for (item, step) in after.iter().zip(&afters) {
        let there = known.get(step).copied();
        result.extend(kept(Some(item), there, ours.at(step), element));
    }
    for (item, step) in before.iter().zip(&befores) {
        if !stay.contains(step) {
            result.extend(kept(None, Some(item), ours.at(step), element));
        }
    }
    result
}

/// The part of a new value that is ours.
fn only(value: &Value, owned: &Owned, node: Option<Node<'_>>) -> Value {
    if owned.children.is_empty() {
        return value.clone();
    }
    match value {
        Value::Object(fields) if granular(node) => {
            let ours = fields.iter().filter_map(|(name, value)| {
                let beneath = owned.children.get(&Element::Field(name.clone()))?;
                let child = node.and_then(|n| n.value(name));
                Some((name.clone(), only(value, beneath, child)))
            });
            Value::Object(ours.collect())
        }
        Value::Array(items) if merging(node) => {
            let element = node.and_then(Node::element);
            let ours = items.iter().filter_map(|item| {
                let beneath = owned.children.get(&Element::of_item(item, node))?;
                Some(only(item, beneath, element))
            });
            Value::Array(ours.collect())
        }
        _ => value.clone(),
    }
}

/// Gives a dry run's result what the cluster alone writes, as it is live.
fn as_written(predicted: &mut Value, body: &Value) {
    put(predicted, "status", body.get("status"));
    if let Some(metadata) = predicted.get_mut("metadata") {
        for name in WRITTEN {
            put(metadata, name, at(body, &["metadata", name]));
        }
    }
}

fn put(object: &mut Value, name: &str, value: Option<&Value>) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    match value {
        Some(value) => fields.insert(name.to_owned(), value.clone()),
        None => fields.remove(name),
    };
}

/// Takes out the records of who applied what.
fn tidy(object: &mut Value) {
    let Some(metadata) = object.get_mut("metadata") else {
        return;
    };
    remove(metadata, "managedFields");
    if let Some(annotations) = metadata.get_mut("annotations") {
        remove(annotations, LAST_APPLIED);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn applied(fields: Value, body: Value) -> Value {
        let mut body = body;
        body["apiVersion"] = json!("v1");
        body["metadata"] = json!({"managedFields": [{"manager": MANAGER, "operation": "Apply", "apiVersion": "v1",
            "fieldsV1": fields}]});
        body
    }

    #[test]
    fn what_others_change_is_as_it_is_live() {
        let before = applied(
            json!({"f:data": {"f:a": {}, "f:gone": {}}}),
            json!({"data": {"a": "1", "gone": "x", "kept": "y", "theirs": "1"}}),
        );
        let after = applied(
            json!({"f:data": {"f:a": {}, "f:new": {"f:ours": {}}}}),
            json!({"data": {"a": "2", "new": {"ours": 1, "theirs": 2}, "theirs": "2", "webhook": "z"}}),
        );
        let result = without_others(&after, &before, None);
        assert_eq!(
            result["data"],
            json!({"a": "2", "new": {"ours": 1}, "kept": "y", "theirs": "1"})
        );
    }

    #[test]
    fn what_was_applied_as_one_value_is_taken_as_one() {
        let before = applied(json!({"f:spec": {}}), json!({"spec": {"a": 1}}));
        let after = applied(json!({"f:spec": {}}), json!({"spec": {"b": [1]}}));
        let result = without_others(&after, &before, None);
        assert_eq!(result["spec"], json!({"b": [1]}));
    }
}
