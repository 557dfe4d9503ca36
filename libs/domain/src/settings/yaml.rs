//! The YAML inside settings, as JSON. Small documents, hence without anchors and aliases.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// The deepest nesting.
const MAX_DEPTH: usize = 64;

enum Frame {
    Map(Map<String, Value>, Option<String>),
    List(Vec<Value>),
}

/// The document of a text; `Null` for an empty one.
///
/// # Errors
/// Where it cannot be read, with line and reason.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut frames: Vec<Frame> = Vec::new();
    let mut document = Value::Null;
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| format!("line {}: {}", error.marker().line(), error.info()))?;
        let at = |why: &str| format!("line {}: {why}", span.start.line());
        let finished = match event {
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => continue,
            Event::StreamEnd | Event::DocumentEnd => break,
            Event::Alias(_) => return Err(at("aliases are not used in settings")),
            Event::Scalar(text, style, _, _) => scalar(&text, style),
            Event::SequenceStart(..) | Event::MappingStart(..) if frames.len() >= MAX_DEPTH => {
                return Err(at("it is nested too deeply"));
            }
            Event::SequenceStart(..) => {
                frames.push(Frame::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                frames.push(Frame::Map(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match frames.pop() {
                Some(Frame::Map(map, _)) => Value::Object(map),
                Some(Frame::List(list)) => Value::Array(list),
                None => break,
            },
        };
        match frames.last_mut() {
            None => document = finished,
            Some(Frame::List(list)) => list.push(finished),
            Some(Frame::Map(map, key)) => match key.take() {
                Some(name) => {
                    map.insert(name, finished);
                }
                None => match finished {
                    Value::String(name) => *key = Some(name),
                    Value::Bool(_) | Value::Number(_) => *key = Some(finished.to_string()),
                    _ => return Err(at("a key must be a plain value")),
                },
            },
        }
    }
    Ok(document)
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "on" | "On" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "off" | "Off" => Value::Bool(false),
        _ => match text.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => Value::String(text.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_read_as_json() {
        let text = "a: true\nb:\n- x\n- 3\nc: |\n  two\n  lines\n'd': \"true\"\n";
        assert_eq!(
            read(text).unwrap(),
            json!({"a": true, "b": ["x", 3], "c": "two\nlines\n", "d": "true"})
        );
        assert_eq!(read("").unwrap(), Value::Null);
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        assert!(read("a: [1").unwrap_err().starts_with("line "));
        assert!(read("a: &x 1\nb: *x").unwrap_err().contains("aliases"));
        assert!(read(&"[".repeat(100)).is_err());
    }
}
