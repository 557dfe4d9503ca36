//! Secrets that are kept elsewhere, of External Secrets.

use domain::clock::Timestamp;
use domain::resource::{at, text};
use serde_json::{Value, json};

use super::{Action, Change, stamp};

/// The units of Go's durations.
const UNITS: [&str; 8] = ["", "ns", "us", "µs", "ms", "s", "m", "h"];

/// Nothing is fetched again of one that is fetched once only.
pub(super) fn external_secret(object: &Value) -> Vec<Action> {
    let once = never_again(object) && text(object, &["spec", "refreshPolicy"]) != "OnChange";
    vec![Action::named("refresh").disabled(once)]
}

pub(super) fn push_secret(object: &Value) -> Vec<Action> {
    vec![Action::named("push").disabled(never_again(object))]
}

/// Has it done at once: the operator looks at the annotation for being another one.
pub(super) fn refresh(now: Timestamp) -> Change {
    Change::Merge(json!({"metadata": {"annotations": {"force-sync": stamp(now)}}}))
}

/// Whether the interval is nought, in any unit.
fn never_again(object: &Value) -> bool {
    match at(object, &["spec", "refreshInterval"]) {
        Some(Value::String(interval)) => interval
            .strip_prefix('0')
            .is_some_and(|unit| UNITS.contains(&unit)),
        Some(interval) => interval.as_i64() == Some(0),
        None => false,
    }
}
