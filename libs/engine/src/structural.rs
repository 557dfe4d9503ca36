//! Whether what is wanted is what is there, as the cluster understands both.
//!
//! Wanted values must be present in the live object; what else is there is somebody else's business, except inside what
//! is replaced as a whole, and except for fields that we own and no longer want ([`removed`]).

use std::collections::{HashMap, HashSet};

use domain::schema::{ListMerge, Node, Type};
use serde_json::{Map, Value};

use crate::fields::{Element, Owned, keys_of};

mod applied;
mod defaults;
mod lookup;
mod merge;
mod scalar;

pub use applied::{Owners, applied};
pub use defaults::{default_at, is_default};
pub use merge::{aligned, merged, with_removed};
pub use scalar::{quantity, same as same_scalar};

use lookup::Lookup;

/// One field that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta<'a> {
    /// Its dotted path; list positions are those of the side that has it, the wanted one first.
    pub path: String,
    /// What is wanted.
    pub want: Option<&'a Value>,
    /// What is there.
    pub got: Option<&'a Value>,
}

/// How a comparison reads values.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Whether the kind is built into Kubernetes, whose encoding leaves out zero values.
    pub built_in: bool,
    /// Whether it is asked what an apply would change: also the order of lists that merge, and a zero that would give way
    /// to another default.
    pub exact: bool,
}

/// Everything that is wanted and not there, or otherwise there.
#[must_use]
pub fn differences<'a>(
    want: &'a Value,
    got: &'a Value,
    root: Option<Node<'_>>,
    rules: Rules,
) -> Vec<Delta<'a>> {
    let mut walk = Walk {
        rules,
        path: String::new(),
        found: Vec::new(),
    };
    walk.value(want, Some(got), root, false, false);
    walk.found
}

struct Walk<'a> {
    rules: Rules,
    path: String,
    found: Vec<Delta<'a>>,
}

impl<'a> Walk<'a> {
    fn report(&mut self, want: Option<&'a Value>, got: Option<&'a Value>) {
        self.found.push(Delta {
            path: self.path.clone(),
            want,
            got,
        });
    }

    fn beneath(&mut self, step: &str, visit: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if !self.path.is_empty() && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        visit(self);
        self.path.truncate(length);
    }

    /// `whole`: inside something replaced as a whole. `entry`: the value of a free key, where empty text is a value.
    fn value(
        &mut self,
        want: &'a Value,
        got: Option<&'a Value>,
        node: Option<Node<'_>>,
        whole: bool,
        entry: bool,
    ) {
        if want.is_null() {
            return;
        }
        let got = got.filter(|got| !got.is_null());
        let Some(got) = got else {
            if !absent_means(want, node, self.rules, entry) || self.gives_way(want) {
                self.report(Some(want), None);
            }
            return;
        };
        match (want, got) {
            (Value::Object(wanted), Value::Object(there)) => {
                self.object(wanted, there, node, whole)
            }
            (Value::Array(wanted), Value::Array(there)) => {
                self.list(want, got, wanted, there, node, whole)
            }
            _ => {
                if !scalar::same(want, got, node.map(Node::kind)) {
                    self.report(Some(want), Some(got));
                }
            }
        }
    }

    fn object(
        &mut self,
        want: &'a Map<String, Value>,
        got: &'a Map<String, Value>,
        node: Option<Node<'_>>,
        whole: bool,
    ) {
        let kind = node.map(Node::kind);
        let free = matches!(kind, Some(Type::Map { .. }));
        let atomic = matches!(
            kind,
            Some(Type::Object { atomic: true, .. } | Type::Map { atomic: true, .. })
        );
        let whole = whole || atomic;
        for (name, value) in want {
            let child = node.and_then(|n| n.value(name));
            self.beneath(name, |walk| {
                walk.value(value, got.get(name), child, whole, free)
            });
        }
        if !whole {
            return;
        }
        for (name, value) in got {
            if want.get(name).is_none_or(Value::is_null) {
                let child = node.and_then(|n| n.value(name));
                self.beneath(name, |walk| {
                    let default = walk.rules.built_in && is_default(&walk.path, value);
                    if !default && !absent_means(value, child, walk.rules, free) {
                        walk.report(None, Some(value));
                    }
                });
            }
        }
    }

    fn list(
        &mut self,
        want: &'a Value,
        got: &'a Value,
        wanted: &'a [Value],
        there: &'a [Value],
        node: Option<Node<'_>>,
        whole: bool,
    ) {
        let element = node.and_then(Node::element);
        let merge = match node.map(Node::kind) {
            Some(Type::List { merge, .. }) if !whole => merge,
            _ => &ListMerge::Atomic,
        };
        match merge {
            ListMerge::Map { .. } => {
                let mut places = Vec::with_capacity(wanted.len());
                let known = by_keys(there, node);
                for (position, item) in wanted.iter().enumerate() {
                    let place = known.get(&keys_of(item, node)).copied();
                    places.extend(place);
                    self.beneath(&format!("[{position}]"), |walk| {
                        match place.and_then(|place| there.get(place)) {
                            Some(other) => walk.value(item, Some(other), element, false, false),
                            None => walk.report(Some(item), None),
                        }
                    });
                }
                self.order(&places, want, got);
            }
            ListMerge::Set => {
                let mut places = Vec::with_capacity(wanted.len());
                let known = by_value(there);
                let kind = element.map(Node::kind);
                for (position, item) in wanted.iter().enumerate() {
                    let same = |other: &Value| scalar::same(item, other, kind);
                    let place = match known.get(&crate::canonical::text(item)) {
                        Some(place) => Some(*place),
                        None if scalar::has_one_spelling(item, kind) => None,
                        None => there.iter().position(same),
                    };
                    places.extend(place);
                    if place.is_none() {
                        self.beneath(&format!("[{position}]"), |walk| {
                            walk.report(Some(item), None)
                        });
                    }
                }
                self.order(&places, want, got);
            }
            ListMerge::Atomic if wanted.len() == there.len() => {
                for (position, (item, other)) in wanted.iter().zip(there).enumerate() {
                    self.beneath(&format!("[{position}]"), |walk| {
                        walk.value(item, Some(other), element, true, true)
                    });
                }
            }
            ListMerge::Atomic => self.report(Some(want), Some(got)),
        }
    }

    /// Whether a zero is not what the cluster fills in at this place (`replicas: 0`). Empty text is: nobody means it.
    fn gives_way(&self, value: &Value) -> bool {
        let says = value.is_number() || value.is_boolean();
        self.rules.exact
            && self.rules.built_in
            && says
            && defaults::has_other_default(&self.path, value)
    }

    /// `places`: where the wanted elements of a list are in the one that is there.
    fn order(&mut self, places: &[usize], want: &'a Value, got: &'a Value) {
        if self.rules.exact && !places.is_sorted() {
            self.report(Some(want), Some(got));
        }
    }
}

/// The topmost places that `owned` has, the live object fills, and the wanted object no longer names.
#[must_use]
pub fn removed<'a>(
    owned: &Owned,
    want: &Value,
    got: &'a Value,
    root: Option<Node<'_>>,
    rules: Rules,
) -> Vec<Delta<'a>> {
    let mut walk = Walk {
        rules,
        path: String::new(),
        found: Vec::new(),
    };
    walk.gone(owned, Some(want), got, root);
    walk.found
}

impl<'a> Walk<'a> {
    fn gone(
        &mut self,
        owned: &Owned,
        want: Option<&Value>,
        got: &'a Value,
        node: Option<Node<'_>>,
    ) {
        let items: &'a [Value] = got.as_array().map_or(&[], Vec::as_slice);
        let wanted = want.and_then(Value::as_array);
        let wanted_items: &[Value] = wanted.map_or(&[], Vec::as_slice);
        let (mut there, mut wants) = (Lookup::new(node), Lookup::new(node));
        for (step, beneath) in &owned.children {
            match step {
                Element::Field(name) => {
                    let Some(there) = got.get(name).filter(|v| !v.is_null()) else {
                        continue;
                    };
                    let wanted = want.and_then(|w| w.get(name)).filter(|v| !v.is_null());
                    let child = node.and_then(|n| n.value(name));
                    self.beneath(name, |walk| {
                        walk.gone_at(beneath, wanted, there, child, false)
                    });
                }
                Element::Key(_) | Element::Item(_) => {
                    let Some((position, item)) = there.find(items, step) else {
                        continue;
                    };
                    let wanted = wants.find(wanted_items, step).map(|(_, item)| item);
                    let child = node.and_then(Node::element);
                    self.beneath(&format!("[{position}]"), |walk| {
                        walk.gone_at(beneath, wanted, item, child, true)
                    });
                }
            }
        }
    }

    fn gone_at(
        &mut self,
        owned: &Owned,
        want: Option<&Value>,
        got: &'a Value,
        node: Option<Node<'_>>,
        element: bool,
    ) {
        if element && want.is_none() && owned.owned {
            self.report(None, Some(got));
        } else if want.is_some() || (!owned.owned && !owned.children.is_empty()) {
            self.gone(owned, want, got, node);
        } else if owned.children.is_empty() {
            // An empty container would change nothing; neither would a value that the cluster puts there by itself.
            let default = self.rules.built_in && is_default(&self.path, got);
            let empty = is_container(got) && absent_means(got, node, self.rules, false);
            if !default && !empty {
                self.report(None, Some(got));
            }
        } else {
            let before = self.found.len();
            self.gone(owned, None, got, node);
            // One line for a part that went as a whole, unless only some of it is ours.
            if self.found.len() > before + 1 && covers(owned, got, node) {
                self.found.truncate(before);
                self.report(None, Some(got));
            }
        }
    }
}

/// Whether every key of a live container is in the set.
fn covers(owned: &Owned, got: &Value, node: Option<Node<'_>>) -> bool {
    match got {
        Value::Object(fields) => fields
            .keys()
            .all(|name| owned.children.contains_key(&Element::Field(name.clone()))),
        Value::Array(items) => items
            .iter()
            .all(|item| owned.children.contains_key(&Element::of_item(item, node))),
        _ => true,
    }
}

/// Where the first element of each key is, in a list whose elements have keys.
fn by_keys(items: &[Value], list: Option<Node<'_>>) -> HashMap<Option<String>, usize> {
    let mut places = HashMap::with_capacity(items.len());
    for (position, item) in items.iter().enumerate() {
        places.entry(keys_of(item, list)).or_insert(position);
    }
    places
}

/// Where each element first is, by its canonical text.
fn by_value(items: &[Value]) -> HashMap<String, usize> {
    let mut places = HashMap::with_capacity(items.len());
    for (position, item) in items.iter().enumerate() {
        places
            .entry(crate::canonical::text(item))
            .or_insert(position);
    }
    places
}

/// Takes out the elements at these positions.
fn without(items: &mut Vec<Value>, gone: &HashSet<usize>) {
    let mut position = 0;
    items.retain(|_| {
        let stays = !gone.contains(&position);
        position += 1;
        stays
    });
}

/// Whether a value says no more than its absence. `entry`: it is an entry of a map or list, where even nothing counts.
///
/// Kubernetes leaves zero values out when it encodes its own kinds, but an empty struct is a value: `podSelector: {}`
/// selects everything and no `podSelector` nothing.
fn absent_means(value: &Value, node: Option<Node<'_>>, rules: Rules, entry: bool) -> bool {
    match value {
        Value::Null => true,
        _ if entry => false,
        Value::Object(fields) if fields.is_empty() => {
            matches!(node.map(Node::kind), Some(Type::Map { .. }))
        }
        Value::Object(_) => false,
        Value::Array(items) => items.is_empty() && rules.built_in,
        _ => rules.built_in && is_zero(value),
    }
}

/// Whether the fields of an object have owners of their own.
pub(crate) fn granular(node: Option<Node<'_>>) -> bool {
    !matches!(
        node.map(Node::kind),
        Some(Type::Object { atomic: true, .. } | Type::Map { atomic: true, .. })
    )
}

/// Whether the elements of a list have.
pub(crate) fn merging(node: Option<Node<'_>>) -> bool {
    matches!(
        node.map(Node::kind),
        Some(Type::List {
            merge: ListMerge::Map { .. } | ListMerge::Set,
            ..
        })
    )
}

fn is_container(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

/// The zero value of a single value's type.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Null | Value::Object(_) | Value::Array(_) => false,
    }
}
