//! From JSON to a message's bytes.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::JsonError;
use super::schema::{Field, Form, Kind, Message, Place, Schema, Shape};
use super::special;
use super::wire;

/// The bytes of the message that a value is. `null` is the empty message.
pub(super) fn message(
    schema: &Schema,
    message: &Message,
    value: &Value,
) -> Result<Vec<u8>, JsonError> {
    Decoder {
        schema,
        path: Vec::new(),
    }
    .message(message, value)
}

/// A step from the whole to the value at hand.
enum Step<'a> {
    Key(&'a str),
    Item(usize),
}

struct Decoder<'a> {
    schema: &'a Schema,
    path: Vec<Step<'a>>,
}

impl<'a> Decoder<'a> {
    fn message(&mut self, message: &Message, value: &'a Value) -> Result<Vec<u8>, JsonError> {
        if value.is_null() {
            return Ok(Vec::new());
        }
        match message.form {
            Form::Object => {
                let fields = value
                    .as_object()
                    .ok_or_else(|| self.shape("an object", value))?;
                self.object(
                    message,
                    fields.iter().map(|(key, value)| (key.as_str(), value)),
                )
            }
            Form::Time | Form::MicroTime => {
                let micros = message.form == Form::MicroTime;
                let bytes = value
                    .as_str()
                    .and_then(|text| special::time_bytes(text, micros));
                bytes.ok_or_else(|| self.shape("an RFC 3339 time", value))
            }
            Form::IntOrString => special::int_or_string_bytes(value)
                .ok_or_else(|| self.shape("a whole number or a string", value)),
            Form::Raw => Ok(special::raw_bytes(value)),
            // Settings alone carry one, and nobody writes settings through the API.
            Form::ResourceOverride => Err(self.shape("nothing (it is read-only)", value)),
        }
    }

    fn object(
        &mut self,
        message: &Message,
        entries: impl Iterator<Item = (&'a str, &'a Value)>,
    ) -> Result<Vec<u8>, JsonError> {
        let mut out = Vec::new();
        let mut inlined: Vec<(usize, Vec<(&'a str, &'a Value)>)> = Vec::new();
        for (key, value) in entries {
            let place = message.by_key(key);
            if place.is_none() && message.strict {
                self.path.push(Step::Key(key));
                return Err(unknown(message, key, self.shown()));
            }
            if value.is_null() {
                continue;
            }
            match place {
                None => {}
                Some(Place::Own(at)) => {
                    self.path.push(Step::Key(key));
                    self.field(&message.fields[at], value, &mut out)?;
                    self.path.pop();
                }
                Some(Place::Inlined(at)) => {
                    match inlined.iter_mut().find(|(field, _)| *field == at) {
                        Some((_, entries)) => entries.push((key, value)),
                        None => inlined.push((at, vec![(key, value)])),
                    }
                }
            }
        }
        for (at, entries) in inlined {
            let field = &message.fields[at];
            if let Kind::Message(inner) = field.kind {
                let bytes = self.object(self.schema.at(inner), entries.into_iter())?;
                wire::put_bytes(&mut out, field.number, &bytes);
            }
        }
        Ok(out)
    }

    fn field(
        &mut self,
        field: &Field,
        value: &'a Value,
        out: &mut Vec<u8>,
    ) -> Result<(), JsonError> {
        match field.shape {
            Shape::One => self.one(field.number, field.kind, value, out),
            Shape::List => {
                let list = value
                    .as_array()
                    .ok_or_else(|| self.shape("a list", value))?;
                for (at, item) in list.iter().enumerate() {
                    self.path.push(Step::Item(at));
                    self.one(field.number, field.kind, item, out)?;
                    self.path.pop();
                }
                Ok(())
            }
            Shape::Map => {
                let map = value
                    .as_object()
                    .ok_or_else(|| self.shape("an object", value))?;
                for (key, value) in map {
                    self.path.push(Step::Key(key));
                    let mut entry = Vec::new();
                    wire::put_bytes(&mut entry, 1, key.as_bytes());
                    self.one(2, field.kind, value, &mut entry)?;
                    wire::put_bytes(out, field.number, &entry);
                    self.path.pop();
                }
                Ok(())
            }
        }
    }

    /// One value. `null`, which reaches this only inside lists and maps, is the empty value, as in Go.
    fn one(
        &mut self,
        number: u32,
        kind: Kind,
        value: &'a Value,
        out: &mut Vec<u8>,
    ) -> Result<(), JsonError> {
        let null = value.is_null();
        match kind {
            Kind::Bool => {
                let truth = value
                    .as_bool()
                    .or(null.then_some(false))
                    .ok_or_else(|| self.shape("true or false", value))?;
                wire::put_varint(out, number, u64::from(truth));
            }
            Kind::Int32 => {
                let int = value
                    .as_i64()
                    .or(null.then_some(0))
                    .and_then(|int| i32::try_from(int).ok());
                let int = int.ok_or_else(|| self.shape("a whole number of 32 bits", value))?;
                wire::put_varint(out, number, i64::from(int).cast_unsigned());
            }
            Kind::Int64 => {
                let int = value
                    .as_i64()
                    .or(null.then_some(0))
                    .ok_or_else(|| self.shape("a whole number", value))?;
                wire::put_varint(out, number, int.cast_unsigned());
            }
            Kind::Uint32 => {
                let int = value
                    .as_u64()
                    .or(null.then_some(0))
                    .filter(|int| u32::try_from(*int).is_ok());
                let int = int
                    .ok_or_else(|| self.shape("a whole number of 32 bits, not negative", value))?;
                wire::put_varint(out, number, int);
            }
            Kind::Uint64 => {
                let int = value.as_u64().or(null.then_some(0));
                let int = int.ok_or_else(|| self.shape("a whole number, not negative", value))?;
                wire::put_varint(out, number, int);
            }
            Kind::String => {
                let text = value
                    .as_str()
                    .or(null.then_some(""))
                    .ok_or_else(|| self.shape("a string", value))?;
                wire::put_bytes(out, number, text.as_bytes());
            }
            Kind::Bytes => {
                let text = value.as_str().or(null.then_some(""));
                let bytes = text.and_then(|text| BASE64_STANDARD.decode(text).ok());
                let bytes = bytes.ok_or_else(|| self.shape("a string in base64", value))?;
                wire::put_bytes(out, number, &bytes);
            }
            Kind::Message(inner) => {
                let bytes = self.message(self.schema.at(inner), value)?;
                wire::put_bytes(out, number, &bytes);
            }
        }
        Ok(())
    }

    /// Where the value at hand is.
    fn shown(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => {
                    path.push('.');
                    path.push_str(key);
                }
                Step::Item(at) => {
                    // Writing to a string cannot fail.
                    let _ = write!(path, "[{at}]");
                }
            }
        }
        path
    }

    fn shape(&self, expected: &'static str, value: &Value) -> JsonError {
        JsonError::Shape {
            path: self.shown(),
            expected,
            found: describe(value),
        }
    }
}

fn unknown(message: &Message, key: &str, path: String) -> JsonError {
    let mut known: Vec<&str> = message
        .fields
        .iter()
        .map(|field| field.json.as_str())
        .collect();
    known.sort_unstable();
    JsonError::Field {
        path: path.chars().take(200).collect(),
        near: domain::spelling::nearest(key, known.iter().copied()).map(str::to_owned),
        known: known.join(", "),
    }
}

/// What a value is, without its content, which may be long or a secret at the wrong place.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) if number.is_f64() => "a fraction".to_owned(),
        Value::Number(_) => "a whole number".to_owned(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// Puts a query or path parameter (`application.metadata.name`, given as text) into the JSON of a message. A field that
/// the message does not have is ignored, as the reference gateway does; one of our own messages refuses it.
///
/// # Errors
/// When the text cannot be the field's value.
pub(crate) fn parameter(
    schema: &Schema,
    message: &Message,
    name: &str,
    values: &[&str],
    target: &mut Map<String, Value>,
) -> Result<(), JsonError> {
    let (head, rest) = name
        .split_once('.')
        .map_or((name, None), |(head, rest)| (head, Some(rest)));
    let Some(field) = message.by_parameter(head) else {
        return match message.strict {
            true => Err(unknown(message, head, name.to_owned())),
            false => Ok(()),
        };
    };
    if let Some(rest) = rest {
        let (Kind::Message(inner), Shape::One) = (field.kind, field.shape) else {
            return Ok(());
        };
        let place = target
            .entry(field.json.clone())
            .or_insert_with(|| Value::Object(Map::new()));
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        // A body that has something else there is refused when it is read as a whole.
        let Value::Object(inside) = place else {
            return Ok(());
        };
        return parameter(schema, schema.at(inner), rest, values, inside);
    }
    let shape = |expected, text: &str| JsonError::Shape {
        path: name.to_owned(),
        expected,
        found: format!("{text:?}"),
    };
    let read = |text: &str| -> Result<Value, JsonError> {
        Ok(match field.kind {
            Kind::Bool => Value::Bool(truth(text).ok_or_else(|| shape("true or false", text))?),
            Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 => Value::from(
                text.parse::<i64>()
                    .map_err(|_| shape("a whole number", text))?,
            ),
            Kind::String | Kind::Bytes => Value::from(text),
            Kind::Message(inner) if schema.at(inner).form == Form::Object => {
                return Err(shape("nothing: name one of its fields", text));
            }
            Kind::Message(_) => Value::from(text),
        })
    };
    let value = match (field.shape, values) {
        (Shape::List, values) => Value::Array(
            values
                .iter()
                .map(|text| read(text))
                .collect::<Result<_, _>>()?,
        ),
        (Shape::One, [.., last]) => read(last)?,
        (Shape::One, []) | (Shape::Map, _) => return Ok(()),
    };
    target.insert(field.json.clone(), value);
    Ok(())
}

/// Go's `strconv.ParseBool`.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}
