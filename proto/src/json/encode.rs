//! From a message's bytes to JSON.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::project::{Mask, Wanted};
use super::schema::{Field, Form, Kind, Message, Presence, Schema, Shape};
use super::special;
use super::wire::{Raw, Reader};

/// A message as JSON; `None` when the bytes are malformed.
pub(super) fn message(schema: &Schema, message: &Message, bytes: &[u8]) -> Option<Value> {
    masked(schema, message, bytes, None)
}

/// The same, without what a mask leaves out: what is in that is not even looked at.
pub(super) fn masked(
    schema: &Schema,
    message: &Message,
    bytes: &[u8],
    mask: Option<&Mask>,
) -> Option<Value> {
    Some(match message.form {
        Form::Object => {
            let mut value = Value::Object(object(schema, message, bytes, mask)?);
            if let Some(mask) = mask {
                mask.tidy(&mut value);
            }
            value
        }
        Form::Time => special::time(bytes, false)?,
        Form::MicroTime => special::time(bytes, true)?,
        Form::IntOrString => special::int_or_string(bytes)?,
        Form::Raw => special::raw(bytes)?,
        Form::ResourceOverride => special::resource_override(object(schema, message, bytes, None)?),
    })
}

fn object(
    schema: &Schema,
    message: &Message,
    bytes: &[u8],
    mask: Option<&Mask>,
) -> Option<Map<String, Value>> {
    let wanted = |at: usize| mask.map_or(Wanted::Whole, |mask| mask.of(at));
    let mut values: Vec<Option<Value>> = vec![None; message.fields.len()];
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let (number, raw) = reader.field()?;
        let Some(at) = message.by_number(number) else {
            continue;
        };
        let within = match wanted(at) {
            Wanted::Nothing => continue,
            Wanted::Whole => None,
            Wanted::Parts(mask) => Some(mask),
        };
        let field = &message.fields[at];
        let place = &mut values[at];
        match (field.shape, raw) {
            (Shape::One, raw) => *place = Some(one(schema, field.kind, raw, within)?),
            (Shape::List, Raw::Bytes(packed)) if is_number(field.kind) => {
                let list = list_in(place);
                let mut numbers = Reader::new(packed);
                while !numbers.is_empty() {
                    let number = Raw::Varint(numbers.varint()?);
                    list.push(one(schema, field.kind, number, None)?);
                }
            }
            (Shape::List, raw) => {
                let value = one(schema, field.kind, raw, within)?;
                list_in(place).push(value);
            }
            (Shape::Map, Raw::Bytes(bytes)) => {
                let (key, value) = entry(schema, field, bytes)?;
                if !matches!(place, Some(Value::Object(_))) {
                    *place = Some(Value::Object(Map::new()));
                }
                if let Some(Value::Object(map)) = place {
                    map.insert(key, value);
                }
            }
            (Shape::Map, _) => return None,
        }
    }
    let mut object = Map::new();
    for (at, (field, value)) in message.fields.iter().zip(values).enumerate() {
        let within = match wanted(at) {
            Wanted::Nothing => continue,
            Wanted::Whole => None,
            Wanted::Parts(mask) => Some(mask),
        };
        let Some(value) = present(schema, field, value, within) else {
            continue;
        };
        match value {
            Value::Object(inner) if field.inline => object.extend(inner),
            value => {
                object.insert(field.json.clone(), value);
            }
        }
    }
    Some(object)
}

/// What is written of a field, if anything.
fn present(
    schema: &Schema,
    field: &Field,
    value: Option<Value>,
    mask: Option<&Mask>,
) -> Option<Value> {
    match field.presence {
        Presence::There => value,
        Presence::NotEmpty => value.filter(|value| !is_empty(value)),
        Presence::Always => Some(value.unwrap_or_else(|| zero(field))),
        Presence::Empty => Some(value.unwrap_or_else(|| match field.shape {
            Shape::List => Value::Array(Vec::new()),
            Shape::Map => Value::Object(Map::new()),
            Shape::One => zero(field),
        })),
        Presence::Struct => value.or_else(|| match field.kind {
            Kind::Message(inner) => masked(schema, schema.at(inner), &[], mask),
            _ => Some(zero(field)),
        }),
    }
}

fn zero(field: &Field) -> Value {
    match (field.shape, field.kind) {
        (Shape::One, Kind::Bool) => Value::Bool(false),
        (Shape::One, Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64) => Value::from(0),
        (Shape::One, Kind::String) => Value::String(String::new()),
        _ => Value::Null,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn is_number(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64
    )
}

fn list_in(place: &mut Option<Value>) -> &mut Vec<Value> {
    if !matches!(place, Some(Value::Array(_))) {
        *place = Some(Value::Array(Vec::new()));
    }
    match place {
        Some(Value::Array(list)) => list,
        _ => unreachable!("a list was just put there"),
    }
}

fn entry(schema: &Schema, field: &Field, bytes: &[u8]) -> Option<(String, Value)> {
    let (mut key, mut value) = (String::new(), None);
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        match reader.field()? {
            (1, Raw::Bytes(text)) => key = text_of(text),
            (2, raw) => value = Some(one(schema, field.kind, raw, None)?),
            _ => {}
        }
    }
    let value = match (value, field.kind) {
        (Some(value), _) => value,
        (None, Kind::Message(inner)) => message(schema, schema.at(inner), &[])?,
        (None, Kind::String) => Value::String(String::new()),
        (None, Kind::Bool) => Value::Bool(false),
        (None, Kind::Bytes) => Value::Null,
        (None, _) => Value::from(0),
    };
    Some((key, value))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a 32-bit varint is sign-extended to 64 bits on the wire"
)]
fn one(schema: &Schema, kind: Kind, raw: Raw<'_>, mask: Option<&Mask>) -> Option<Value> {
    Some(match (kind, raw) {
        (Kind::Bool, Raw::Varint(number)) => Value::Bool(number != 0),
        (Kind::Int32, Raw::Varint(number)) => Value::from(number as i32),
        (Kind::Int64, Raw::Varint(number)) => Value::from(number.cast_signed()),
        (Kind::Uint32, Raw::Varint(number)) => Value::from(number as u32),
        (Kind::Uint64, Raw::Varint(number)) => Value::from(number),
        (Kind::String, Raw::Bytes(bytes)) => Value::String(text_of(bytes)),
        (Kind::Bytes, Raw::Bytes(bytes)) => Value::String(BASE64_STANDARD.encode(bytes)),
        (Kind::Message(inner), Raw::Bytes(bytes)) => masked(schema, schema.at(inner), bytes, mask)?,
        _ => return None,
    })
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
