//! What comes out of a tool that makes objects from files, rather than passing them on: charts and Jsonnet.

use domain::cause::{Cause, Location};
use domain::manifest::Manifest;
use domain::message::{self, Message};
use serde_json::Value;

use super::reader::Reader;
use super::worker::{Built, Failure};
use crate::error::{Error, Kind};

/// How much of a tool's own words is passed on.
const MAX_EVIDENCE: usize = 2000;

/// The objects, lists taken apart, each at the file that it was made from.
pub(super) fn manifests(built: Vec<Built>) -> Vec<Manifest> {
    let mut all = Vec::with_capacity(built.len());
    for one in built {
        let location = (!one.path.is_empty()).then(|| Location {
            path: one.path.clone(),
            line: 0,
        });
        for object in unpack(one.object) {
            all.push(Manifest::new(object, location.clone()));
        }
    }
    all
}

/// The items of a list; a list of null is nothing.
fn unpack(object: Value) -> Vec<Value> {
    let Value::Object(mut map) = object else {
        return vec![object];
    };
    let whole = map.contains_key("spec") || map.contains_key("status");
    match map.get_mut("items") {
        Some(Value::Array(items)) => std::mem::take(items),
        Some(Value::Null) if !whole => Vec::new(),
        _ => vec![Value::Object(map)],
    }
}

/// A tool's words without the places in its memory that it names (`0xc000123450`): they are others each time, and what is
/// said of the same failure would change with every render.
pub(super) fn without_addresses(text: &str) -> String {
    /// No shorter number is an address.
    const SHORTEST: usize = 8;
    let mut parts = text.split("0x");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        result.push_str("0x");
        match digits >= SHORTEST {
            true => {
                result.push('…');
                result.push_str(&part[digits..]);
            }
            false => result.push_str(part),
        }
    }
    result
}

/// A tool's words without their middle where they are many: what it did stands first, what stopped it last.
fn shortened(text: &str) -> String {
    let length = text.chars().count();
    if length <= MAX_EVIDENCE {
        return text.to_owned();
    }
    let head: String = text.chars().take(MAX_EVIDENCE / 2).collect();
    let tail: String = text.chars().skip(length - MAX_EVIDENCE / 2).collect();
    format!("{head} … {tail}")
}

/// A failure as a cause; `failed` is the tool's message for what has no name of its own.
pub(super) fn explain(failure: &Failure, failed: Message, reader: &Reader<'_, '_>) -> Error {
    let file = reader.trees().shown(&failure.file);
    let (kind, message) = match failure.kind.as_str() {
        "remote" => (
            Kind::Unsupported,
            message::source::REMOTE_FILE.with("resource", &failure.feature),
        ),
        "outside" => (
            Kind::Invalid,
            message::source::PATH_OUTSIDE.with("path", &failure.feature),
        ),
        "missing" => {
            let message = match reader.trees().reference(&failure.file) {
                Some((repository, commit)) => message::source::OPTION_FILE_MISSING_ELSEWHERE
                    .with("repository", repository)
                    .with("commit", commit),
                None => message::source::OPTION_FILE_MISSING.message(),
            };
            (
                Kind::Invalid,
                message.with("path", &file).with("field", &failure.feature),
            )
        }
        "option" => (
            Kind::Invalid,
            message::source::OPTION_REFUSED.with("field", &failure.feature),
        ),
        "dependency" => (
            Kind::Unsupported,
            message::source::DEPENDENCY_MISSING.with("charts", &failure.feature),
        ),
        "lock" => (
            Kind::Invalid,
            message::chart::LOCK_OUTDATED.with("path", &file),
        ),
        "too-large" => {
            let message = message::source::TOO_LARGE
                .with("what", "the rendered result")
                .with("limit", "64 MiB");
            (Kind::TooLarge, message)
        }
        "too-many" => {
            let message = message::source::TOO_LARGE
                .with("what", "the number of values in the rendered result")
                .with("limit", 500_000);
            (Kind::TooLarge, message)
        }
        _ => (Kind::Invalid, failed),
    };
    let mut cause = Cause::error(message);
    // That a file is missing is said; how it was looked for is our own affair.
    if failure.kind != "missing" {
        cause = cause.evidence(shortened(&without_addresses(&failure.error)));
    }
    if failure.feature.starts_with("spec.") {
        cause = cause.field(failure.feature.clone());
    } else if !file.is_empty() {
        cause = cause.located(Some(Location {
            path: file,
            line: failure.line,
        }));
    }
    Error::of(kind, cause)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_in_memory_are_left_out_of_a_tools_words() {
        for (text, expected) in [
            (
                "from generator &{0x299bb44ae540 <nil>}: id",
                "from generator &{0x… <nil>}: id",
            ),
            ("0xc000123450 and 0xC000123450", "0x… and 0x…"),
            (
                "the mode 0x1f, 0xdeadbee, 0x",
                "the mode 0x1f, 0xdeadbee, 0x",
            ),
            ("no address", "no address"),
        ] {
            assert_eq!(without_addresses(text), expected);
        }
    }

    #[test]
    fn lists_are_taken_apart_and_a_list_of_null_is_nothing() {
        assert_eq!(
            unpack(json!({"kind": "List", "items": [{"kind": "A"}, {"kind": "B"}]})),
            [json!({"kind": "A"}), json!({"kind": "B"})]
        );
        assert!(unpack(json!({"kind": "List", "items": null})).is_empty());
        let own = json!({"kind": "X", "items": null, "spec": {}});
        assert_eq!(unpack(own.clone()), [own]);
    }
}
