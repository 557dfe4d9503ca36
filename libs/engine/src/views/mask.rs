//! Secret values become runs of `+`, equal where they were equal.

use std::collections::{BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

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
        let mut runs: HashMap<String, String> = HashMap::new();
        for state in states.iter_mut().flatten() {
            let Some(value) = state.get_mut("data").and_then(|data| data.get_mut(&key)) else {
                continue;
            };
            let text = match &*value {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            let next = "+".repeat(FIRST + STEP * runs.len());
            *value = Value::String(runs.entry(text).or_insert(next).clone());
        }
    }
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
        .or_insert_with(|| Value::Object(serde_json::Map::new()));
    if !data.is_object() {
        *data = Value::Object(serde_json::Map::new());
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
}
