//! What an application leaves out of its comparison.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use domain::application::IgnoreDifference;
use domain::cause::Cause;
use domain::glob::glob;
use domain::message;
use domain::resource::ResourceKey;
use domain::schema::Node;
use domain::settings::KnownField;
use serde_json::Value;

use crate::fields::{Owned, keys_of};

/// Where the jq expressions of rules lead in the two states of an object, as JSON pointers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// In what is wanted.
    pub want: Vec<String>,
    /// In what the cluster would make of that, where it was asked.
    pub predicted: Vec<String>,
    /// In what is there.
    pub got: Vec<String>,
}

/// What a comparison leaves out, and what it reads otherwise than the schema says.
#[derive(Clone, Copy, Debug)]
pub struct Ignored<'a> {
    /// The application's rules, and its tenant's.
    pub rules: &'a [IgnoreDifference],
    /// The places that their jq expressions name, by object: whoever compares has had them evaluated.
    pub named: &'a HashMap<ResourceKey, Named>,
    /// The objects for which that could not be done now: nobody can say what of them is left out.
    pub unnamed: &'a HashSet<ResourceKey>,
    /// The fields of which the tenant's settings say what their values are.
    pub known: &'a [KnownField],
}

/// The jq expressions that are for an object.
#[must_use]
pub fn expressions(rules: &[IgnoreDifference], key: &ResourceKey) -> Vec<String> {
    let of = rules.iter().filter(|rule| applies(rule, key));
    let all = of.flat_map(|rule| &rule.jq_path_expressions);
    all.cloned().collect()
}

/// Whether rules leave anything of an object out.
#[must_use]
pub fn leaves_out(rules: &[IgnoreDifference], key: &ResourceKey) -> bool {
    rules.iter().any(|rule| applies(rule, key))
}

/// What is wrong with the rules themselves.
pub(super) fn complaints(rules: &[IgnoreDifference]) -> Vec<Cause> {
    let mut causes = Vec::new();
    let bad = |pointer: &&String| !pointer.starts_with('/');
    if let Some(pointer) = rules.iter().flat_map(|rule| &rule.json_pointers).find(bad) {
        let message = message::sync::IGNORED_POINTER_INVALID.with("pointer", pointer);
        causes.push(Cause::warning(message).field("spec.ignoreDifferences"));
    }
    causes
}

fn applies(rule: &IgnoreDifference, key: &ResourceKey) -> bool {
    let matches = |pattern: &str, text: &str| pattern == text || glob(pattern, text);
    matches(&rule.group, &key.group)
        && matches(&rule.kind, &key.kind)
        && (rule.name.is_empty() || rule.name == key.name)
        && (rule.namespace.is_empty() || rule.namespace == key.namespace)
}

/// Both sides without what the rules leave out; managers are looked up in `got`'s managedFields.
#[must_use]
pub fn ignored<'a>(
    want: &'a Value,
    got: &'a Value,
    key: &ResourceKey,
    ignore: &Ignored<'_>,
    root: Option<Node<'_>>,
) -> (Cow<'a, Value>, Cow<'a, Value>) {
    without(want, got, key, ignore, root, |named| &named.want)
}

/// The same for what the cluster would make of a target.
pub(crate) fn ignored_predicted<'a>(
    predicted: &'a Value,
    got: &'a Value,
    key: &ResourceKey,
    ignore: &Ignored<'_>,
    root: Option<Node<'_>>,
) -> (Cow<'a, Value>, Cow<'a, Value>) {
    without(predicted, got, key, ignore, root, |named| &named.predicted)
}

/// Both sides without what is left out; `side` are the places of the first one.
fn without<'a>(
    want: &'a Value,
    got: &'a Value,
    key: &ResourceKey,
    ignore: &Ignored<'_>,
    root: Option<Node<'_>>,
    side: fn(&Named) -> &Vec<String>,
) -> (Cow<'a, Value>, Cow<'a, Value>) {
    let (mut want, mut got) = without_places(want, got, key, ignore, side);
    for set in by_manager(&got, key, ignore.rules) {
        set.remove_from(want.to_mut(), root);
        set.remove_from(got.to_mut(), root);
    }
    (want, got)
}

/// Both sides without what is left out by its place; what is by who wrote it stays.
pub(crate) fn by_place<'a>(
    want: &'a Value,
    got: &'a Value,
    key: &ResourceKey,
    ignore: &Ignored<'_>,
) -> (Cow<'a, Value>, Cow<'a, Value>) {
    without_places(want, got, key, ignore, |named| &named.want)
}

fn without_places<'a>(
    want: &'a Value,
    got: &'a Value,
    key: &ResourceKey,
    ignore: &Ignored<'_>,
    side: fn(&Named) -> &Vec<String>,
) -> (Cow<'a, Value>, Cow<'a, Value>) {
    let (mut want, mut got) = (Cow::Borrowed(want), Cow::Borrowed(got));
    if let Some(named) = ignore.named.get(key) {
        remove_all(&mut want, side(named));
        remove_all(&mut got, &named.got);
    }
    for pointer in pointers(ignore.rules, key) {
        for object in [&mut want, &mut got] {
            if object.pointer(pointer).is_some() {
                remove(object.to_mut(), pointer);
            }
        }
    }
    (want, got)
}

/// The places in a live object that are left out, as JSON pointers.
pub(crate) fn places<'a>(
    key: &'a ResourceKey,
    ignore: &Ignored<'a>,
) -> impl Iterator<Item = &'a String> {
    let named = ignore.named.get(key).into_iter();
    named
        .flat_map(|named| &named.got)
        .chain(pointers(ignore.rules, key))
}

fn pointers<'a>(
    rules: &'a [IgnoreDifference],
    key: &'a ResourceKey,
) -> impl Iterator<Item = &'a String> {
    rules
        .iter()
        .filter(move |rule| applies(rule, key))
        .flat_map(|rule| &rule.json_pointers)
}

fn managers(rule: &IgnoreDifference, live: &Value) -> Vec<Owned> {
    rule.managed_fields_managers
        .iter()
        .filter_map(|manager| Owned::of_manager(live, manager))
        .collect()
}

/// The fields that the rules leave out by their managers, for a live object.
pub(crate) fn by_manager(
    live: &Value,
    key: &ResourceKey,
    rules: &[IgnoreDifference],
) -> Vec<Owned> {
    rules
        .iter()
        .filter(|rule| applies(rule, key))
        .flat_map(|rule| managers(rule, live))
        .collect()
}

/// The target as `RespectIgnoreDifferences=true` has it applied: with the live values of the fields that are left out, and
/// without those that another manager has.
#[must_use]
pub(crate) fn respected(
    want: &Value,
    live: &Value,
    key: &ResourceKey,
    ignore: &Ignored<'_>,
    root: Option<Node<'_>>,
) -> Value {
    let mut result = want.clone();
    let of = ignore.rules.iter().filter(|rule| applies(rule, key));
    let pointers = of.clone().flat_map(|rule| &rule.json_pointers);
    let named = ignore.named.get(key);
    let named = named.map_or(&[][..], |named| &named.want);
    let mut absent = Vec::new();
    let mut lists = Lists::new();
    for pointer in pointers.chain(named) {
        // What stands in an element that is not there is as Git has it.
        let Some(there) = counterpart(pointer, want, live, root, &mut lists) else {
            continue;
        };
        match (live.pointer(&there), result.pointer_mut(pointer)) {
            (Some(value), Some(place)) => *place = value.clone(),
            (None, Some(_)) => absent.push(pointer.clone()),
            (_, None) => {}
        }
    }
    let mut result = Cow::Owned(result);
    remove_all(&mut result, &absent);
    let mut result = result.into_owned();
    for set in of.flat_map(|rule| managers(rule, live)) {
        set.but_keys().remove_from(&mut result, root);
    }
    result
}

/// Where the elements are that have something to be told by, in the lists of a live object that were come through, by the places of
/// these: lists may be long, and as many places lead into them.
type Lists = HashMap<String, HashMap<String, usize>>;

/// The place in `live` that a place in `want` stands for: elements of lists are found by their keys, by their names where
/// no schema says what their keys are, else by their positions. `None` where an element on the way is not there.
fn counterpart(
    pointer: &str,
    want: &Value,
    live: &Value,
    root: Option<Node<'_>>,
    lists: &mut Lists,
) -> Option<String> {
    let (mut want, mut live, mut node) = (Some(want), Some(live), root);
    let mut there = String::new();
    for word in pointer.split('/').skip(1) {
        let name = word.replace("~1", "/").replace("~0", "~");
        match (want, live) {
            (Some(Value::Array(items)), Some(Value::Array(others))) => {
                let position: usize = name.parse().ok()?;
                let item = items.get(position)?;
                let at = match told_by(item, node) {
                    Some(told) => {
                        let list = lists.entry(there.clone());
                        let list = list.or_insert_with(|| elements(others, node));
                        list.get(&told).copied()?
                    }
                    None => (position < others.len()).then_some(position)?,
                };
                there.push_str(&format!("/{at}"));
                (want, live) = (Some(item), others.get(at));
                node = node.and_then(Node::element);
            }
            (at_want, at_live) => {
                there.push('/');
                there.push_str(word);
                want = at_want.and_then(|value| value.get(&name));
                live = at_live.and_then(|value| value.get(&name));
                node = node.and_then(|node| node.value(&name));
            }
        }
    }
    Some(there)
}

/// Where the elements of a list are that have something to be told by. Of those that share it the first counts.
pub(super) fn elements(items: &[Value], list: Option<Node<'_>>) -> HashMap<String, usize> {
    let mut elements = HashMap::new();
    for (position, item) in items.iter().enumerate() {
        if let Some(told) = told_by(item, list) {
            elements.entry(told).or_insert(position);
        }
    }
    elements
}

/// What an element of a list is told by: its keys, or its name where no schema says what its keys are.
pub(super) fn told_by(item: &Value, list: Option<Node<'_>>) -> Option<String> {
    keys_of(item, list).or_else(|| item.get("name")?.as_str().map(str::to_owned))
}

/// Removes places, those of a list from its end: what stands before keeps its position.
fn remove_all(object: &mut Cow<'_, Value>, pointers: &[String]) {
    let mut there: Vec<&String> = pointers
        .iter()
        .filter(|pointer| object.pointer(pointer).is_some())
        .collect();
    let words = |pointer: &str| -> Vec<(usize, String)> {
        let words = pointer.split('/');
        words
            .map(|word| (word.parse().unwrap_or_default(), word.to_owned()))
            .collect()
    };
    there.sort_by_cached_key(|pointer| std::cmp::Reverse(words(pointer)));
    there.dedup();
    for pointer in there {
        remove(object.to_mut(), pointer);
    }
}

fn remove(object: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        return;
    };
    let last = last.replace("~1", "/").replace("~0", "~");
    match object.pointer_mut(parent) {
        Some(Value::Object(fields)) => {
            fields.remove(&last);
        }
        Some(Value::Array(items)) => {
            if let Ok(position) = last.parse::<usize>()
                && position < items.len()
            {
                items.remove(position);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_of_a_list_are_removed_from_its_end() {
        let object = json!({"list": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, {"a": 1, "b": 2}], "more": 1});
        let pointers = [
            "/list/2",
            "/list/10/a",
            "/list/9",
            "/more",
            "/none/1",
            "/list/2",
        ];
        let pointers = pointers.map(str::to_owned);
        let mut less = Cow::Borrowed(&object);
        remove_all(&mut less, &pointers);
        assert_eq!(*less, json!({"list": [0, 1, 3, 4, 5, 6, 7, 8, {"b": 2}]}));
    }

    #[test]
    fn what_is_left_out_is_applied_as_it_is_there() {
        let rule = IgnoreDifference {
            group: "apps".to_owned(),
            kind: "Deployment".to_owned(),
            json_pointers: vec!["/spec/replicas".to_owned(), "/spec/paused".to_owned()],
            ..IgnoreDifference::default()
        };
        let key = ResourceKey {
            group: "apps".to_owned(),
            kind: "Deployment".to_owned(),
            ..ResourceKey::default()
        };
        let of = |want: &[&str]| Named {
            want: want.iter().map(|place| (*place).to_owned()).collect(),
            ..Named::default()
        };
        let named = HashMap::from([(key.clone(), of(&["/spec/list/0/v", "/spec/list/1/v"]))]);
        let rules = [rule];
        let ignore = Ignored {
            rules: &rules,
            named: &named,
            unnamed: &HashSet::new(),
            known: &[],
        };
        let want = json!({"spec": {"replicas": 1, "paused": true, "other": "git",
            "list": [{"name": "app", "v": 1}, {"name": "new", "v": 2}]}});
        // What a webhook has put before it is another element.
        let live = json!({"spec": {"replicas": 5, "other": "live",
            "list": [{"name": "proxy", "v": 7}, {"name": "app", "v": 9}]}});
        let expected = json!({"spec": {"replicas": 5, "other": "git",
            "list": [{"name": "app", "v": 9}, {"name": "new", "v": 2}]}});
        assert_eq!(respected(&want, &live, &key, &ignore, None), expected);
    }

    #[test]
    fn elements_of_long_lists_are_found_at_once() {
        let list = |first: usize, v: usize| {
            let items = (first..first + 20_000).map(|at| json!({"name": at.to_string(), "v": v}));
            json!({"list": items.collect::<Vec<_>>()})
        };
        let (want, live) = (list(0, 1), list(10_000, 2));
        let mut lists = Lists::new();
        for at in 0..20_000_usize {
            let place = format!("/list/{at}/v");
            let there = counterpart(&place, &want, &live, None, &mut lists);
            let expected = at.checked_sub(10_000).map(|at| format!("/list/{at}/v"));
            assert_eq!(there, expected);
        }
        assert_eq!(lists.len(), 1, "of each list one table");
    }

    #[test]
    fn an_element_is_told_by_its_name_or_its_place() {
        let want = json!([{"name": "a"}, {"v": 1}, {"v": 1}]);
        let live = json!([{"v": 2}, {"name": "a"}, {"name": "a"}]);
        let mut lists = Lists::new();
        let mut there = |at: &str| counterpart(at, &want, &live, None, &mut lists);
        assert_eq!(there("/0/v").as_deref(), Some("/1/v"), "the first");
        assert_eq!(there("/2/v").as_deref(), Some("/2/v"));
        let fewer = json!([{"v": 2}]);
        assert_eq!(
            counterpart("/1/v", &want, &fewer, None, &mut Lists::new()),
            None
        );
    }
}
