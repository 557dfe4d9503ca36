//! One number for an object's content.

use std::fmt;

use domain::resource::text;
use serde_json::{Map, Value};

/// A keyed hash of an object's content without what the server writes by itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// Metadata that changes without anybody changing the object, or that names the object rather than describes it.
const NOT_CONTENT: [&str; 7] = [
    "resourceVersion",
    "managedFields",
    "generation",
    "creationTimestamp",
    "uid",
    "selfLink",
    "deletionGracePeriodSeconds",
];

impl Fingerprint {
    /// Of everything but status and the server's own metadata.
    pub(super) fn of_content(key: &[u8; 32], object: &Value) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(key);
        if let Some(object) = object.as_object() {
            each_sorted(object, |name, value| match (name, value) {
                // A listing's items do not repeat their kind.
                ("status" | "apiVersion" | "kind", _) => {}
                ("metadata", Value::Object(metadata)) => {
                    feed_text(&mut hasher, b'm', name);
                    each_sorted(metadata, |name, value| {
                        if !NOT_CONTENT.contains(&name) {
                            feed_text(&mut hasher, b'k', name);
                            feed(&mut hasher, value);
                        }
                    });
                }
                _ => {
                    feed_text(&mut hasher, b'k', name);
                    feed(&mut hasher, value);
                }
            });
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// Of the object's identity and resourceVersion: moves with every change, contents unseen.
    pub(super) fn of_version(key: &[u8; 32], object: &Value) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(key);
        feed_text(&mut hasher, b'u', text(object, &["metadata", "uid"]));
        feed_text(
            &mut hasher,
            b'r',
            text(object, &["metadata", "resourceVersion"]),
        );
        Self(*hasher.finalize().as_bytes())
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({})", hex::encode(&self.0[..8]))
    }
}

/// Visits members by name, whatever order the map keeps.
fn each_sorted(map: &Map<String, Value>, mut visit: impl FnMut(&str, &Value)) {
    if map.keys().is_sorted() {
        map.iter().for_each(|(name, value)| visit(name, value));
        return;
    }
    let mut members: Vec<_> = map.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    members
        .into_iter()
        .for_each(|(name, value)| visit(name, value));
}

fn feed_text(hasher: &mut blake3::Hasher, mark: u8, text: &str) {
    hasher.update(&[mark]);
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

fn feed(hasher: &mut blake3::Hasher, value: &Value) {
    match value {
        Value::Null => {
            hasher.update(b"n");
        }
        Value::Bool(truth) => {
            hasher.update(if *truth { b"t" } else { b"f" });
        }
        Value::Number(number) => feed_text(hasher, b'#', &number.to_string()),
        Value::String(text) => feed_text(hasher, b's', text),
        Value::Array(items) => {
            hasher.update(b"[");
            hasher.update(&(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| feed(hasher, item));
        }
        Value::Object(map) => {
            hasher.update(b"{");
            hasher.update(&(map.len() as u64).to_le_bytes());
            each_sorted(map, |name, value| {
                feed_text(hasher, b'k', name);
                feed(hasher, value);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn content_moves_it_and_bookkeeping_does_not() {
        let of = |object: &Value| Fingerprint::of_content(&[1; 32], object);
        let object = json!({"kind": "X", "metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {"n": [1, "1"]}});
        let mut noisy = object.clone();
        noisy["metadata"]["resourceVersion"] = json!("9");
        noisy["metadata"]["generation"] = json!(3);
        noisy["metadata"]["managedFields"] = json!([{}]);
        noisy["status"] = json!({"ready": true});
        assert_eq!(of(&object), of(&noisy));
        let mut other = object.clone();
        other["spec"]["n"] = json!(["1", 1]);
        assert_ne!(of(&object), of(&other));
        assert_ne!(of(&object), Fingerprint::of_content(&[2; 32], &object));
    }
}
