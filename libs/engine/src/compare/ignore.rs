//! What an application leaves out of its comparison.

use std::borrow::Cow;

use domain::application::IgnoreDifference;
use domain::cause::Cause;
use domain::glob::glob;
use domain::message;
use domain::resource::ResourceKey;
use domain::schema::Node;
use serde_json::Value;

use crate::fields::Owned;

/// What is wrong with the rules themselves.
pub(super) fn complaints(rules: &[IgnoreDifference]) -> Vec<Cause> {
    let mut causes = Vec::new();
    if rules
        .iter()
        .any(|rule| !rule.jq_path_expressions.is_empty())
    {
        causes.push(
            Cause::warning(message::sync::JQ_UNSUPPORTED.message()).field("spec.ignoreDifferences"),
        );
    }
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
    rules: &[IgnoreDifference],
    root: Option<Node<'_>>,
) -> (Cow<'a, Value>, Cow<'a, Value>) {
    let (mut want, mut got) = (Cow::Borrowed(want), Cow::Borrowed(got));
    for rule in rules.iter().filter(|rule| applies(rule, key)) {
        for pointer in &rule.json_pointers {
            if want.pointer(pointer).is_some() {
                remove(want.to_mut(), pointer);
            }
            if got.pointer(pointer).is_some() {
                remove(got.to_mut(), pointer);
            }
        }
        for set in managers(rule, &got) {
            set.remove_from(want.to_mut(), root);
            set.remove_from(got.to_mut(), root);
        }
    }
    (want, got)
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

/// The target as `RespectIgnoreDifferences=true` has it applied: with the live values of the pointed fields.
#[must_use]
pub fn respected(
    want: &Value,
    live: &Value,
    key: &ResourceKey,
    rules: &[IgnoreDifference],
) -> Value {
    let mut result = want.clone();
    for pointer in rules
        .iter()
        .filter(|rule| applies(rule, key))
        .flat_map(|rule| &rule.json_pointers)
    {
        match (live.pointer(pointer), result.pointer_mut(pointer)) {
            (Some(value), Some(place)) => *place = value.clone(),
            (None, Some(_)) => remove(&mut result, pointer),
            (_, None) => {}
        }
    }
    result
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
