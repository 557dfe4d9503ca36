//! JSON as Argo CD's REST interface speaks it: Go's `encoding/json` over struct tags, not proto-JSON.
//!
//! Whole numbers are numbers, bytes are base64, times are RFC 3339 in whole seconds, empty lists are `null` where the
//! tag lacks `omitempty`, free JSON is inlined, and some structs are written even when empty. What a descriptor cannot
//! say stands in the table `facts`. Messages are read and written by that table and the descriptors, straight between
//! their bytes and [`serde_json::Value`]; no message has code of its own here.
//!
//! Reading is as lenient as Go: unknown keys are ignored, keys match in any case, `null` leaves a field alone. Messages of
//! our own (`naru.v1`) refuse a key that they do not have: a mistyped one would leave a default where something was meant.

mod decode;
mod encode;
mod facts;
mod project;
mod schema;
mod special;
mod wire;

use domain::message::{Message as Text, access};
use prost::{Message, Name};
use serde_json::Value;

pub use project::{Projection, project, project_applications};

/// Why JSON is not the message that it should be, or bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// A value has another type than its field.
    #[error("{path}: expected {expected}, found {found}")]
    Shape {
        /// Where, as a dotted path (`spec.sources[0].path`); empty for the whole.
        path: String,
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A message of our own has no such field.
    #[error("there is no field {path}")]
    Field {
        /// Where, as a dotted path.
        path: String,
        /// The field that was most likely meant.
        near: Option<String>,
        /// Those that there are, by name.
        known: String,
    },
    /// No message has that name.
    #[error("there is no message {0}")]
    UnknownMessage(String),
    /// The bytes are not a message of that name.
    #[error("the bytes are not a {0}")]
    Bytes(String),
}

impl JsonError {
    /// The same, for a person.
    #[must_use]
    pub fn message(&self) -> Text {
        match self {
            Self::Shape {
                path,
                expected,
                found,
            } => {
                let field = if path.is_empty() { "." } else { path };
                access::JSON_SHAPE
                    .with("field", field)
                    .with("expected", expected)
                    .with("found", found)
            }
            Self::Field {
                path,
                near: Some(near),
                ..
            } => access::JSON_FIELD_SIMILAR
                .with("field", path)
                .with("near", near),
            Self::Field { path, known, .. } => {
                access::JSON_FIELD.with("field", path).with("known", known)
            }
            Self::UnknownMessage(name) | Self::Bytes(name) => {
                access::NOT_A_MESSAGE.with("name", name)
            }
        }
    }
}

/// A message as JSON.
#[must_use]
pub fn to_value<M: Message + Name>(message: &M) -> Value {
    // Bytes that prost made of a message of this crate are read back; the fallback is for messages of other crates.
    encode(&M::full_name(), &message.encode_to_vec()).unwrap_or_default()
}

/// A message as JSON, by its full name and bytes.
///
/// # Errors
/// When there is no such message, or the bytes are none.
pub fn encode(name: &str, bytes: &[u8]) -> Result<Value, JsonError> {
    let schema = schema::get();
    let message = schema
        .by_name(name)
        .ok_or_else(|| JsonError::UnknownMessage(name.to_owned()))?;
    encode::message(schema, message, bytes).ok_or_else(|| JsonError::Bytes(name.to_owned()))
}

/// The message that a JSON value is.
///
/// # Errors
/// When a value has the wrong type; the error names where.
pub fn from_value<M: Message + Name + Default>(value: &Value) -> Result<M, JsonError> {
    let name = M::full_name();
    let bytes = decode(&name, value)?;
    M::decode(bytes.as_slice()).map_err(|_| JsonError::Bytes(name))
}

/// The bytes of the message that a JSON value is, by the message's full name.
///
/// # Errors
/// When there is no such message, or a value has the wrong type.
pub fn decode(name: &str, value: &Value) -> Result<Vec<u8>, JsonError> {
    let schema = schema::get();
    let message = schema
        .by_name(name)
        .ok_or_else(|| JsonError::UnknownMessage(name.to_owned()))?;
    decode::message(schema, message, value)
}

pub(crate) use decode::parameter;
pub(crate) use schema::get as schema;

#[cfg(test)]
mod tests;
