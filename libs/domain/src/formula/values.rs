//! What values are to each other, and as text.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Budget, Fault, MAX_GIVEN, MAX_MADE, MAX_PATTERN, MAX_ROW, PATTERN};

/// The largest compiled regular expression.
const MAX_COMPILED: usize = 256 << 10;
/// How many steps a byte of a regular expression stands for.
const OF_PATTERN: usize = 4;
/// How many bytes of a text it goes through in a step.
const IN_TEXT: usize = 16;

/// A pattern as Go writes it, to be looked for in a text.
///
/// Its compiled size is bounded only once it is understood, and that takes long by itself: a class that ignores case is gone
/// through letter by letter. So it is short, and both it and the text take steps by their length.
pub(super) fn pattern(
    text: &str,
    within: &str,
    budget: &mut Budget,
) -> Result<regex::Regex, Fault> {
    if text.len() > MAX_PATTERN {
        return Err(Fault::new("a regular expression is longer than one may be"));
    }
    budget.spend(PATTERN + text.len() * OF_PATTERN + within.len() / IN_TEXT)?;
    regex::RegexBuilder::new(text)
        .size_limit(MAX_COMPILED)
        .build()
        .map_err(|_| Fault::new("a regular expression is none, or too large"))
}

/// The text that a value is.
pub(super) fn text(value: &Value) -> Result<&str, Fault> {
    match value.as_str() {
        Some(text) if text.len() <= MAX_GIVEN => Ok(text),
        Some(_) => Err(Fault::new("a text is longer than anything is done with")),
        None => Err(Fault::new(
            "a value that is no text stands where a text has to",
        )),
    }
}

/// What is in a list or a map, of which there may not be more than anything is done with.
pub(super) fn row<T>(count: usize, row: T) -> Result<T, Fault> {
    if count > MAX_ROW {
        return Err(Fault::new(
            "a value has more members than anything is done with",
        ));
    }
    Ok(row)
}

/// Takes what a value weighs, about as many bytes as it has, from what is left; whether it weighs more.
pub(super) fn outweighs(value: &Value, left: &mut usize) -> bool {
    let own = match value {
        Value::String(text) => text.len(),
        _ => 1,
    };
    let Some(less) = left.checked_sub(own) else {
        return true;
    };
    *left = less;
    match value {
        Value::Array(items) => items.iter().any(|item| outweighs(item, left)),
        Value::Object(map) => map.iter().any(|(name, item)| {
            *left = left.saturating_sub(name.len());
            outweighs(item, left)
        }),
        _ => false,
    }
}

/// Whether two values are the same; numbers are, however they are written.
pub(super) fn equal(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// Which of two texts, or of two numbers, is the lesser.
pub(super) fn order(one: &Value, other: &Value) -> Result<Ordering, Fault> {
    let ordered = match (one, other) {
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (Value::Number(one), Value::Number(other)) => match (one.as_i64(), other.as_i64()) {
            (Some(one), Some(other)) => Some(one.cmp(&other)),
            _ => one
                .as_f64()
                .zip(other.as_f64())
                .and_then(|(one, other)| one.partial_cmp(&other)),
        },
        _ => None,
    };
    ordered.ok_or_else(|| Fault::new("values of different kinds are compared"))
}

/// Whether Go's templates take it for nothing: false, zero, or empty.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(holds) => !holds,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// How long a value is.
pub(super) fn length(value: &Value) -> Result<usize, Fault> {
    match value {
        Value::String(text) => Ok(text.len()),
        Value::Array(items) => Ok(items.len()),
        Value::Object(map) => Ok(map.len()),
        _ => Err(Fault::new("the length of what has none is asked for")),
    }
}

/// Values as Go prints them, with a text between each two.
pub(super) fn joined(items: &[Value], between: &str) -> Result<String, Fault> {
    let mut made = String::new();
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            made.push_str(between);
        }
        write(&mut made, item)?;
    }
    Ok(made)
}

/// A value as Go prints it.
pub(super) fn print(value: &Value) -> Result<String, Fault> {
    let mut made = String::new();
    write(&mut made, value)?;
    Ok(made)
}

/// Writes it behind what is there, as long as that may become. Values are as deep as JSON is read, and no deeper.
pub(super) fn write(made: &mut String, value: &Value) -> Result<(), Fault> {
    match value {
        Value::Null => made.push_str("<nil>"),
        Value::Bool(holds) => made.push_str(if *holds { "true" } else { "false" }),
        Value::Number(number) => made.push_str(&number.to_string()),
        Value::String(_) => made.push_str(text(value)?),
        Value::Array(items) => {
            made.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    made.push(' ');
                }
                write(made, item)?;
            }
            made.push(']');
        }
        Value::Object(map) => {
            made.push_str("map[");
            for (at, (name, value)) in map.iter().enumerate() {
                if at > 0 {
                    made.push(' ');
                }
                made.push_str(name);
                made.push(':');
                write(made, value)?;
            }
            made.push(']');
        }
    }
    if made.len() > MAX_MADE {
        return Err(Fault::new("a text becomes longer than it may be"));
    }
    Ok(())
}
