//! One text per JSON value, so that equal values have equal hashes.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Takes the text piece by piece.
trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Sha256 {
    fn put(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

/// A hasher that counts.
#[derive(Default)]
struct Measure {
    hasher: Sha256,
    length: usize,
}

impl Sink for Measure {
    fn put(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.length += bytes.len();
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// The SHA-256 of a value's canonical JSON: object keys sorted, no spaces.
#[must_use]
pub fn hash(value: &Value) -> [u8; 32] {
    let mut hasher = Sha256::new();
    write(value, &mut hasher);
    hasher.finalize().into()
}

/// [`hash`], and how long that text is.
#[must_use]
pub fn measured(value: &Value) -> ([u8; 32], usize) {
    let mut measure = Measure::default();
    write(value, &mut measure);
    (measure.hasher.finalize().into(), measure.length)
}

/// A value's canonical JSON.
#[must_use]
pub fn text(value: &Value) -> String {
    let mut bytes = Vec::new();
    write(value, &mut bytes);
    String::from_utf8(bytes).unwrap_or_default()
}

fn write(value: &Value, out: &mut dyn Sink) {
    match value {
        Value::Object(fields) => {
            // The map keeps its keys sorted unless some crate in the build asked serde_json to keep their order.
            let mut entries: Vec<_> = fields.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            out.put(b"{");
            for (position, (key, value)) in entries.into_iter().enumerate() {
                if position > 0 {
                    out.put(b",");
                }
                scalar(&Value::String(key.clone()), out);
                out.put(b":");
                write(value, out);
            }
            out.put(b"}");
        }
        Value::Array(items) => {
            out.put(b"[");
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.put(b",");
                }
                write(item, out);
            }
            out.put(b"]");
        }
        other => scalar(other, out),
    }
}

fn scalar(value: &Value, out: &mut dyn Sink) {
    out.put(value.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn key_order_does_not_matter_and_values_do() {
        let a: Value = serde_json::from_str(r#"{"b":1,"a":{"y":[1,2],"x":"é\n"}}"#).unwrap();
        let b: Value = serde_json::from_str(r#"{"a":{"x":"é\n","y":[1,2]},"b":1}"#).unwrap();
        assert_eq!(hash(&a), hash(&b));
        assert_eq!(text(&a), r#"{"a":{"x":"é\n","y":[1,2]},"b":1}"#);
        assert_eq!(measured(&a), (hash(&b), text(&b).len()));
        assert_ne!(
            hash(&a),
            hash(&json!({"a": {"x": "é\n", "y": [2, 1]}, "b": 1}))
        );
    }
}
