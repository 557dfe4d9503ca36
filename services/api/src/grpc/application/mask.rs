//! Secrets' values, hidden so that only their being equal shows.

use serde_json::{Map, Value};

/// What kubectl's client-side apply leaves behind, values included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// What stands for a value, as Argo CD writes the first one of a key.
const HIDDEN: &str = "++++++++";

/// Hides the values of a core Secret, and of those of its annotations that settings name; anything else stays as it is.
pub(super) fn mask(object: &mut Value, annotations: &[String]) {
    let secret = object.get("apiVersion") == Some(&Value::from("v1"))
        && object.get("kind") == Some(&Value::from("Secret"));
    if secret {
        hide(object, annotations);
    }
}

fn hide(object: &mut Value, hidden: &[String]) {
    // Kubernetes itself moves `stringData` into `data`; so does the comparison.
    if let Some(Value::Object(plain)) = object
        .as_object_mut()
        .and_then(|fields| fields.remove("stringData"))
    {
        let data = object
            .as_object_mut()
            .map(|fields| fields.entry("data").or_insert_with(|| Map::new().into()));
        if let Some(Value::Object(data)) = data {
            data.extend(plain);
        }
    }
    if let Some(Value::Object(data)) = object.get_mut("data") {
        data.values_mut().for_each(|value| *value = HIDDEN.into());
    }
    let Some(Value::Object(annotations)) = object.pointer_mut("/metadata/annotations") else {
        return;
    };
    for (_, value) in annotations
        .iter_mut()
        .filter(|(name, _)| hidden.contains(name))
    {
        *value = HIDDEN.into();
    }
    let Some(kept) = annotations.get(LAST_APPLIED).and_then(Value::as_str) else {
        return;
    };
    match serde_json::from_str::<Value>(kept) {
        Ok(mut last) if last.is_object() => {
            // Whatever it calls itself, it stands on a Secret.
            hide(&mut last, hidden);
            annotations.insert(LAST_APPLIED.to_owned(), last.to_string().into());
        }
        // What cannot be read cannot be hidden either.
        _ => {
            annotations.remove(LAST_APPLIED);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_kubectl_left_on_a_secret_is_hidden_whatever_it_calls_itself() {
        for last in [r#"{"data":{"a":"aHVudGVy"}}"#, r#""aHVudGVy""#, "aHVudGVy"] {
            let mut secret = json!({"apiVersion": "v1", "kind": "Secret",
                "metadata": {"annotations": {LAST_APPLIED: last}}});
            mask(&mut secret, &[]);
            assert!(!secret.to_string().contains("aHVudGVy"), "{secret}");
        }
    }

    #[test]
    fn no_value_of_a_secret_gets_out() {
        let last =
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "aHVudGVy"}}).to_string();
        let mut secret = json!({
            "apiVersion": "v1", "kind": "Secret", "data": {"a": "aHVudGVy"}, "stringData": {"b": "hunter"},
            "metadata": {"annotations": {LAST_APPLIED: last, "token": "hunter", "app": "a"}},
        });
        mask(&mut secret, &["token".to_owned()]);
        assert!(!secret.to_string().contains("aHVudGVy") && !secret.to_string().contains("hunter"));
        assert_eq!(secret["data"], json!({"a": HIDDEN, "b": HIDDEN}));
        let annotations = &secret["metadata"]["annotations"];
        assert_eq!(annotations["token"], HIDDEN);
        assert_eq!(annotations["app"], "a");
    }

    #[test]
    fn other_kinds_are_left_alone() {
        let mut other = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}});
        let before = other.clone();
        mask(&mut other, &[]);
        assert_eq!(other, before);
    }
}
