//! What a live object becomes or would have become: merged, aligned, with what was removed.

use std::collections::HashSet;

use domain::schema::{ListMerge, Node, Type};
use serde_json::{Map, Value};

use super::{Lookup, Rules, Walk, absent_means, by_keys, scalar, without};
use crate::fields::{Element, Owned, keys_of};

/// The live object with what is wanted merged into it, as server-side apply would, less the places that are `owned` and
/// no longer wanted.
#[must_use]
pub fn merged(want: &Value, got: &Value, owned: Option<&Owned>, root: Option<Node<'_>>) -> Value {
    let mut result = got.clone();
    if let Some(owned) = owned {
        drop_removed(owned, want, &mut result, root);
    }
    merge_into(&mut result, want, root);
    result
}

fn drop_removed(owned: &Owned, want: &Value, live: &mut Value, node: Option<Node<'_>>) {
    match (live, want) {
        (Value::Object(fields), Value::Object(wanted)) => {
            for (step, beneath) in &owned.children {
                let Element::Field(name) = step else { continue };
                let child = node.and_then(|n| n.value(name));
                match (
                    wanted.get(name).filter(|v| !v.is_null()),
                    fields.get_mut(name),
                ) {
                    (Some(want), Some(value)) => drop_removed(beneath, want, value, child),
                    (None, Some(value)) => {
                        if !beneath.children.is_empty() {
                            beneath.remove_from(value, child);
                        }
                        if beneath.children.is_empty() || (beneath.owned && emptied(value)) {
                            fields.remove(name);
                        }
                    }
                    (_, None) => {}
                }
            }
        }
        (Value::Array(items), Value::Array(wanted)) => drop_items(owned, wanted, items, node),
        _ => {}
    }
}

fn drop_items(owned: &Owned, wanted: &[Value], items: &mut Vec<Value>, node: Option<Node<'_>>) {
    let child = node.and_then(Node::element);
    let (mut there, mut wants) = (Lookup::new(node), Lookup::new(node));
    let mut gone = HashSet::new();
    for (step, beneath) in &owned.children {
        let Some((position, _)) = there.find(items, step) else {
            continue;
        };
        match wants.find(wanted, step) {
            Some((_, want)) => drop_removed(beneath, want, &mut items[position], child),
            None if beneath.owned => {
                gone.insert(position);
            }
            None => beneath.remove_from(&mut items[position], child),
        }
    }
    without(items, &gone);
}

fn merge_into(live: &mut Value, want: &Value, node: Option<Node<'_>>) {
    let kind = node.map(Node::kind);
    match (live, want) {
        (Value::Object(fields), Value::Object(wanted))
            if !matches!(
                kind,
                Some(Type::Object { atomic: true, .. } | Type::Map { atomic: true, .. })
            ) =>
        {
            for (name, value) in wanted {
                match fields.get_mut(name) {
                    Some(there) => merge_into(there, value, node.and_then(|n| n.value(name))),
                    None => {
                        fields.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(items), Value::Array(wanted)) => match kind {
            Some(Type::List {
                merge: ListMerge::Map { .. },
                ..
            }) => {
                let mut places = by_keys(items, node);
                for want in wanted {
                    let place = *places.entry(keys_of(want, node)).or_insert(items.len());
                    match items.get_mut(place) {
                        Some(item) => merge_into(item, want, node.and_then(Node::element)),
                        None => items.push(want.clone()),
                    }
                }
            }
            Some(Type::List {
                merge: ListMerge::Set,
                ..
            }) => {
                let mut known: HashSet<String> = items.iter().map(crate::canonical::text).collect();
                for want in wanted {
                    if known.insert(crate::canonical::text(want)) {
                        items.push(want.clone());
                    }
                }
            }
            _ => wanted.clone_into(items),
        },
        (live, want) => want.clone_into(live),
    }
}

/// The live object with each value that means what is wanted spelled as wanted, so that a reader without our rules sees
/// only the differences that we see.
#[must_use]
pub fn aligned(want: &Value, got: &Value, root: Option<Node<'_>>, rules: Rules) -> Value {
    align(want, got, root, rules, false)
}

fn align(want: &Value, got: &Value, node: Option<Node<'_>>, rules: Rules, whole: bool) -> Value {
    let kind = node.map(Node::kind);
    match (want, got) {
        (Value::Object(wanted), Value::Object(there)) => {
            let atomic = matches!(
                kind,
                Some(Type::Object { atomic: true, .. } | Type::Map { atomic: true, .. })
            );
            let whole = whole || atomic;
            let free = matches!(kind, Some(Type::Map { .. }));
            let mut result = there.clone();
            for (name, want) in wanted {
                let child = node.and_then(|n| n.value(name));
                match there.get(name).filter(|v| !v.is_null()) {
                    Some(got) => {
                        result.insert(name.clone(), align(want, got, child, rules, whole));
                    }
                    None if absent_means(want, child, rules, free) => {
                        result.insert(name.clone(), want.clone());
                    }
                    None => {}
                }
            }
            Value::Object(result)
        }
        (Value::Array(wanted), Value::Array(there)) => {
            let element = node.and_then(Node::element);
            match kind {
                Some(Type::List {
                    merge: ListMerge::Map { .. },
                    ..
                }) if !whole => {
                    let wants = by_keys(wanted, node);
                    let aligned = there.iter().map(|got| {
                        let place = wants.get(&keys_of(got, node));
                        match place.and_then(|place| wanted.get(*place)) {
                            Some(want) => align(want, got, element, rules, false),
                            None => got.clone(),
                        }
                    });
                    aligned.collect()
                }
                Some(Type::List {
                    merge: ListMerge::Set,
                    ..
                }) if !whole => got.clone(),
                // Replaced as a whole: equal lists are written as wanted, without what the cluster filled in.
                _ => {
                    let mut walk = Walk {
                        rules,
                        path: String::new(),
                        found: Vec::new(),
                    };
                    walk.list(want, got, wanted, there, node, true);
                    if walk.found.is_empty() {
                        want.clone()
                    } else {
                        got.clone()
                    }
                }
            }
        }
        _ if scalar::same(want, got, kind) => want.clone(),
        _ => got.clone(),
    }
}

/// The live object restricted to the removed places, over `base`: what a last-applied record must name besides the
/// wanted object so that a three-way diff deletes just these places.
#[must_use]
pub fn with_removed(base: &Value, owned: &Owned, got: &Value, root: Option<Node<'_>>) -> Value {
    let mut result = base.clone();
    add(owned, &mut result, got, root);
    result
}

fn add(owned: &Owned, base: &mut Value, got: &Value, node: Option<Node<'_>>) {
    match (base, got) {
        (Value::Object(fields), Value::Object(there)) => add_fields(owned, fields, there, node),
        (Value::Array(list), Value::Array(items)) => add_items(owned, list, items, node),
        _ => {}
    }
}

fn add_fields(
    owned: &Owned,
    fields: &mut Map<String, Value>,
    there: &Map<String, Value>,
    node: Option<Node<'_>>,
) {
    for (step, beneath) in &owned.children {
        let Element::Field(name) = step else {
            continue;
        };
        let Some(there) = there.get(name) else {
            continue;
        };
        let child = node.and_then(|n| n.value(name));
        match fields.get_mut(name) {
            Some(value) if !value.is_null() => add(beneath, value, there, child),
            _ => {
                fields.insert(name.clone(), restricted(beneath, there, child));
            }
        }
    }
}

fn add_items(owned: &Owned, list: &mut Vec<Value>, items: &[Value], node: Option<Node<'_>>) {
    let child = node.and_then(Node::element);
    let (mut there, mut known) = (Lookup::new(node), Lookup::new(node));
    for (step, beneath) in &owned.children {
        let Some((_, there)) = there.find(items, step) else {
            continue;
        };
        match known.find(list, step).map(|(position, _)| position) {
            Some(position) => add(beneath, &mut list[position], there, child),
            None => list.push(restricted(beneath, there, child)),
        }
    }
}

/// A live value without what is not in the set; the keys of list elements always stay.
fn restricted(owned: &Owned, got: &Value, node: Option<Node<'_>>) -> Value {
    if owned.children.is_empty() {
        return got.clone();
    }
    let mut result = match got {
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Object(_) => Value::Object(Map::new()),
        other => return other.clone(),
    };
    add(owned, &mut result, got, node);
    if let (Some(fields), Value::Object(there)) = (result.as_object_mut(), got) {
        for name in [
            "name",
            "key",
            "port",
            "containerPort",
            "mountPath",
            "ip",
            "type",
            "uid",
            "topologyKey",
        ] {
            if let (false, Some(value)) = (fields.contains_key(name), there.get(name)) {
                fields.insert(name.to_owned(), value.clone());
            }
        }
    }
    result
}

/// Whether nothing is left in a container.
fn emptied(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
