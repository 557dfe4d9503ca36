//! What Flux reconciles.

use domain::clock::Timestamp;
use serde_json::{Value, json};

use super::{Action, Change, batch, stamp};

/// The actions of what is reconciled.
pub(super) const ALL: &[&str] = &["reconcile", "resume", "suspend"];
/// The actions of what is only told of.
pub(super) const HELD: &[&str] = &["resume", "suspend"];

/// Whether an API group is one of Flux's.
pub(super) fn is_group(group: &str) -> bool {
    group.ends_with(".toolkit.fluxcd.io")
}

/// Those of its kind's that there are: what is suspended can only be resumed.
pub(super) fn actions(object: &Value, names: &[&'static str]) -> Vec<Action> {
    let suspended = batch::is_suspended(object);
    let of_name = |name: &'static str| {
        let resumes = name == "resume";
        Action::named(name).disabled(resumes != suspended)
    };
    names.iter().copied().map(of_name).collect()
}

/// Asks for it to be looked at now, by the annotation by which Flux's own command does.
pub(super) fn reconcile(now: Timestamp) -> Change {
    let asked = json!({"reconcile.fluxcd.io/requestedAt": stamp(now)});
    Change::Merge(json!({"metadata": {"annotations": asked}}))
}
