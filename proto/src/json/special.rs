//! The messages that are no object in JSON.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};

use super::wire::{self, Raw, Reader};

/// A time; `null` when the message is empty.
pub(super) fn time(bytes: &[u8], micros: bool) -> Option<Value> {
    if bytes.is_empty() {
        return Some(Value::Null);
    }
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        match reader.field()? {
            (1, Raw::Varint(number)) => seconds = number.cast_signed(),
            (2, Raw::Varint(number)) => nanos = u32::try_from(number).ok()?,
            _ => {}
        }
    }
    let at = DateTime::<Utc>::from_timestamp(seconds, if micros { nanos } else { 0 })?;
    let format = if micros {
        SecondsFormat::Micros
    } else {
        SecondsFormat::Secs
    };
    Some(Value::String(at.to_rfc3339_opts(format, true)))
}

/// The bytes of a time that was written as text.
pub(super) fn time_bytes(text: &str, micros: bool) -> Option<Vec<u8>> {
    let at = DateTime::parse_from_rfc3339(text).ok()?;
    let mut out = Vec::new();
    wire::put_varint(&mut out, 1, at.timestamp().cast_unsigned());
    let nanos = if micros {
        at.timestamp_subsec_micros().saturating_mul(1000)
    } else {
        0
    };
    wire::put_varint(&mut out, 2, u64::from(nanos));
    Some(out)
}

/// A number or a string.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a 32-bit varint is sign-extended to 64 bits on the wire"
)]
pub(super) fn int_or_string(bytes: &[u8]) -> Option<Value> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        match reader.field()? {
            (1, Raw::Varint(kind)) => is_text = kind != 0,
            (2, Raw::Varint(value)) => number = value as i32,
            (3, Raw::Bytes(bytes)) => text = String::from_utf8_lossy(bytes).into_owned(),
            _ => {}
        }
    }
    Some(if is_text {
        Value::String(text)
    } else {
        Value::from(number)
    })
}

/// The bytes of a number or a string; `None` for everything else.
pub(super) fn int_or_string_bytes(value: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    if let Some(text) = value.as_str() {
        wire::put_varint(&mut out, 1, 1);
        wire::put_varint(&mut out, 2, 0);
        wire::put_bytes(&mut out, 3, text.as_bytes());
    } else {
        let number = i32::try_from(value.as_i64()?).ok()?;
        wire::put_varint(&mut out, 1, 0);
        wire::put_varint(&mut out, 2, i64::from(number).cast_unsigned());
        wire::put_bytes(&mut out, 3, b"");
    }
    Some(out)
}

/// Free JSON; `null` when there is none. Bytes that are no JSON are shown as text: nothing here fails on content.
pub(super) fn raw(bytes: &[u8]) -> Option<Value> {
    let mut content: &[u8] = &[];
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        if let (1, Raw::Bytes(bytes)) = reader.field()? {
            content = bytes;
        }
    }
    if content.is_empty() {
        return Some(Value::Null);
    }
    let text = || Value::String(String::from_utf8_lossy(content).into_owned());
    Some(serde_json::from_slice(content).unwrap_or_else(|_| text()))
}

/// The bytes of free JSON.
pub(super) fn raw_bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    wire::put_bytes(&mut out, 1, value.to_string().as_bytes());
    out
}

/// A ResourceOverride: dotted names, and the two lists of ignored fields as YAML text.
pub(super) fn resource_override(mut fields: Map<String, Value>) -> Value {
    let mut out = Map::new();
    for (from, to) in [
        ("healthLua", "health.lua"),
        ("useOpenLibs", "health.lua.useOpenLibs"),
        ("actions", "actions"),
    ] {
        if let Some(value) = fields.remove(from) {
            out.insert(to.to_owned(), value);
        }
    }
    for name in ["ignoreDifferences", "ignoreResourceUpdates"] {
        let ignored = fields.remove(name).unwrap_or_default();
        out.insert(name.to_owned(), Value::String(ignored_as_yaml(&ignored)));
    }
    out.extend(
        fields
            .remove("knownTypeFields")
            .map(|list| ("knownTypeFields".to_owned(), list)),
    );
    Value::Object(out)
}

fn ignored_as_yaml(ignored: &Value) -> String {
    let mut yaml = String::new();
    // In the order of their names, as a YAML encoder of maps writes them.
    for name in ["jqPathExpressions", "jsonPointers", "managedFieldsManagers"] {
        yaml.push_str(name);
        match ignored.get(name).and_then(Value::as_array) {
            None => yaml.push_str(": null\n"),
            Some(list) => {
                yaml.push_str(":\n");
                for item in list.iter().filter_map(Value::as_str) {
                    yaml.push_str("- ");
                    yaml.push_str(&scalar(item));
                    yaml.push('\n');
                }
            }
        }
    }
    yaml
}

/// Plain where that is surely safe, else double-quoted, which in YAML 1.2 is what JSON does.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(['/', '.'])
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/._-~[]".contains(&b))
        || text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
            && !matches!(
                text.to_ascii_lowercase().as_str(),
                "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n"
            );
    if plain {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}
