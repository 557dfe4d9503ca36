//! Secret values become runs of `+`, equal where they were equal.

use std::collections::{BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

const FIRST: usize = 8;
const STEP: usize = 4;

/// Masks the data of several states of one Secret: per key, the first distinct value becomes 8 `+`, each further one 4
/// more. The annotation that kubectl leaves, which repeats the values, goes.
pub fn mask(states: &mut [Option<&mut Value>]) {
    for state in states.iter_mut().flatten() {
        encode(state);
        if let Some(annotations) = state
            .pointer_mut("/metadata/annotations")
            .and_then(Value::as_object_mut)
        {
            annotations.remove(super::LAST_APPLIED);
        }
    }
    let keys: BTreeSet<String> = states
        .iter()
        .flatten()
        .filter_map(|state| state.get("data")?.as_object())
        .flat_map(|data| data.keys().cloned())
        .collect();
    for key in keys {
        let mut runs = HashMap::new();
        for state in states.iter_mut().flatten() {
            if let Some(value) = state.get_mut("data").and_then(|data| data.get_mut(&key)) {
                hide(value, &mut runs);
            }
        }
    }
}

/// Masks annotations of several states of one Secret as [`mask`] does its data, also where a state's record of what was
/// applied repeats them.
pub(super) fn mask_annotations(states: &mut [&mut Value], names: &[String]) {
    let mut records: Vec<Option<Value>> = states.iter().map(|state| record(state)).collect();
    for name in names {
        let mut runs = HashMap::new();
        let repeated = records.iter_mut().flatten();
        for state in states.iter_mut().map(|state| &mut **state).chain(repeated) {
            if let Some(value) = annotations(state).and_then(|all| all.get_mut(name)) {
                hide(value, &mut runs);
            }
        }
    }
    for (state, record) in states.iter_mut().zip(records) {
        if let (Some(all), Some(record)) = (annotations(state), record) {
            let text = crate::canonical::text(&record);
            all.insert(super::LAST_APPLIED.to_owned(), Value::String(text));
        }
    }
}

fn annotations(state: &mut Value) -> Option<&mut Map<String, Value>> {
    state.pointer_mut("/metadata/annotations")?.as_object_mut()
}

/// A state's record of what was applied.
fn record(state: &Value) -> Option<Value> {
    let annotations = state.pointer("/metadata/annotations")?;
    serde_json::from_str(annotations.get(super::LAST_APPLIED)?.as_str()?).ok()
}

/// Puts a run in the place of a value: the one that an equal value has, else the next.
fn hide(value: &mut Value, runs: &mut HashMap<String, String>) {
    let text = match &*value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let next = "+".repeat(FIRST + STEP * runs.len());
    *value = Value::String(runs.entry(text).or_insert(next).clone());
}

/// Moves `stringData` into `data`, so that the same value is the same text on every side.
fn encode(state: &mut Value) {
    let Some(fields) = state.as_object_mut() else {
        return;
    };
    let Some(Value::Object(texts)) = fields.remove("stringData") else {
        return;
    };
    let data = fields
        .entry("data")
        .or_insert_with(|| Value::Object(Map::new()));
    if !data.is_object() {
        *data = Value::Object(Map::new());
    }
    for (name, text) in texts {
        data[&name] = match text {
            Value::String(text) => Value::String(STANDARD.encode(text)),
            other => other,
        };
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_values_get_equal_runs_and_none_is_left() {
        let mut target = json!({"stringData": {"a": "one", "b": "same"}});
        let mut live = json!({"data": {"a": STANDARD.encode("two"), "b": STANDARD.encode("same"), "c": null},
            "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "secret"}}});
        mask(&mut [Some(&mut target), None, Some(&mut live)]);
        assert_eq!(target, json!({"data": {"a": "++++++++", "b": "++++++++"}}));
        assert_eq!(
            live["data"],
            json!({"a": "++++++++++++", "b": "++++++++", "c": "++++++++"})
        );
        assert_eq!(live["metadata"]["annotations"], json!({}));
    }

    #[test]
    fn annotations_are_masked_where_it_is_asked_for_and_in_what_was_applied_too() {
        let with = |token: &str| json!({"metadata": {"annotations": {"token": token, "app": "a"}}});
        let (mut target, mut live, mut absent) = (with("one"), with("two"), Value::Null);
        let last = with("one").to_string();
        live["metadata"]["annotations"][super::super::LAST_APPLIED] = json!(last);
        let names = ["token".to_owned(), "nobodys".to_owned()];
        mask_annotations(&mut [&mut target, &mut live, &mut absent], &names);
        assert_eq!(target, with("++++++++"));
        assert_eq!(live["metadata"]["annotations"]["token"], "++++++++++++");
        assert_eq!(record(&live), Some(with("++++++++")));
        assert_eq!(absent, Value::Null);
    }
}
