//! Says what differs, for people.

use domain::cause::{Cause, Location};
use domain::message::{self, Message};
use domain::resource::TRACKING_ID;
use domain::status::SyncCode;
use serde_json::Value;

use super::Compared;
use super::drift::{Between, Drift, History, Past};
use crate::fields::Element;
use crate::prepare::Target;
use crate::structural::Delta;

/// A field that differs, in words. Values of Secrets are masked, long ones cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The dotted path.
    pub path: String,
    /// What Git says; `None` when it says nothing (any more).
    pub want: Option<String>,
    /// What the cluster has; `None` when it has nothing.
    pub got: Option<String>,
    /// Where Git says it.
    pub location: Option<Location>,
    /// The variables that Git's value was made of.
    pub variable: Option<Box<str>>,
    /// Where the cluster's records have it, for the fields that are named: whose doing it is is found out for those that
    /// are shown.
    steps: Option<Vec<Element>>,
}

/// Longer values are cut: a cause is a sentence.
const MAX_VALUE: usize = 120;
/// Fields named per object.
const MAX_FIELDS: usize = 3;
/// Causes of one comparison.
const MAX_CAUSES: usize = 30;

pub(super) fn describe(
    deltas: &[Delta<'_>],
    target: &Target,
    between: Between<'_>,
) -> Vec<Difference> {
    let secret = target.key.group.is_empty() && target.key.kind == "Secret";
    let show = |path: &str, value: Option<&Value>, mask: &str| {
        value.map(|value| {
            if secret
                && (path == "data"
                    || path.starts_with("data.")
                    || path.starts_with("stringData")
                    // Settings may name annotations that hold secrets; which do is not known here.
                    || path.starts_with("metadata.annotations"))
            {
                mask.to_owned()
            } else {
                shorten(&crate::canonical::text(value))
            }
        })
    };
    deltas
        .iter()
        .enumerate()
        .map(|(position, delta)| Difference {
            path: delta.path.clone(),
            want: show(&delta.path, delta.want, "++++++++"),
            got: show(&delta.path, delta.got, "++++++++++++"),
            location: target.locate(&delta.path),
            variable: target.variable(&delta.path),
            steps: (position < MAX_FIELDS)
                .then(|| between.steps(delta))
                .flatten(),
        })
        .collect()
}

fn shorten(text: &str) -> String {
    message::shortened(text, MAX_VALUE)
}

/// `past` tells what is known of an object that is there.
pub(super) fn causes<'p>(
    resources: &[Compared],
    targets: &[Target],
    past: impl Fn(&Compared) -> Option<Past<'p>>,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mark = format!("metadata.annotations.{TRACKING_ID}");
    // What may not be applied has said so already.
    let explained =
        |r: &&Compared| r.sync == Some(SyncCode::OutOfSync) && r.counts && r.blocked.is_none();
    for compared in resources.iter().filter(explained) {
        let target = compared.target.and_then(|at| targets.get(at));
        let start = causes.len();
        if compared.requires_pruning {
            let message = if compared.options.no_prune {
                message::sync::PRUNE_DISABLED
            } else {
                message::sync::REQUIRES_PRUNING
            };
            causes.push(Cause::reason(message.with("resource", &compared.key)));
        } else if !compared.live {
            let cause = Cause::reason(message::sync::MISSING.with("resource", &compared.key));
            causes.push(cause.located(target.and_then(|target| target.location.clone())));
        } else {
            let history = past(compared).map(Past::read);
            // Whose a shared object is, its warning says, and Git does not.
            let marked =
                |difference: &Difference| compared.shared_with.is_some() && difference.path == mark;
            let mut told: Vec<&Difference> = compared.differences.iter().collect();
            told.retain(|difference| !marked(difference));
            let named = told.iter().take(MAX_FIELDS);
            causes.extend(named.map(|difference| of_difference(difference, history.as_ref())));
            if told.len() > MAX_FIELDS {
                let more = told.len() - MAX_FIELDS;
                causes.push(Cause::reason(
                    message::sync::MORE_FIELDS.with("count", more),
                ));
            }
        }
        for cause in &mut causes[start..] {
            cause.resource = Some(compared.key.clone());
        }
        if causes.len() >= MAX_CAUSES {
            break;
        }
    }
    causes
}

fn of_difference(difference: &Difference, history: Option<&History<'_>>) -> Cause {
    let drift = history.and_then(|history| {
        let (want, got) = (difference.want.is_some(), difference.got.is_some());
        history.drift(difference.steps.as_deref()?, want, got)
    });
    let message = message(difference, drift.as_ref()).with("field", &difference.path);
    Cause::reason(message)
        .field(difference.path.clone())
        .located(difference.location.clone())
        .variable(difference.variable.clone())
}

/// What is said of a difference and of whose doing it is, without its field.
fn message(difference: &Difference, drift: Option<&Drift>) -> Message {
    use domain::message::sync as m;
    let (want, got) = (difference.want.as_deref(), difference.got.as_deref());
    let (code, hand) = match (drift, want, got) {
        (None, Some(_), Some(_)) => (m::FIELD_DIFFERS, None),
        (None, Some(_), None) => (m::FIELD_MISSING, None),
        (None | Some(Drift::Unrecorded), None, _) => (m::FIELD_REMOVED, None),
        (Some(Drift::Unrecorded), Some(_), Some(_)) => (m::FIELD_CHANGED_UNRECORDED, None),
        (Some(Drift::Unrecorded), Some(_), None) => (m::FIELD_TAKEN_OUT, None),
        (Some(Drift::By(hand)), Some(_), Some(_)) => (m::FIELD_CHANGED, Some(hand)),
        (Some(Drift::By(hand)), Some(_), None) => (m::FIELD_LEFT_OUT, Some(hand)),
        (Some(Drift::By(hand)), None, _) => (m::FIELD_ADDED, Some(hand)),
    };
    let mut message = code.message();
    for (name, value) in [("want", want), ("got", got)] {
        if let Some(value) = value {
            message = message.with(name, value);
        }
    }
    match hand {
        Some(hand) => message
            .with("manager", shorten(&hand.manager))
            .with("operation", shorten(&hand.operation))
            .with("time", shorten(&hand.time)),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use domain::resource::ResourceKey;

    use super::*;
    use crate::options::{Role, SyncOptions};

    fn compared(name: String) -> Compared {
        let key = ResourceKey {
            kind: "ConfigMap".to_owned(),
            name,
            ..ResourceKey::default()
        };
        let difference = Difference {
            path: "data.a".to_owned(),
            want: Some("1".to_owned()),
            got: Some("2".to_owned()),
            location: None,
            variable: None,
            steps: None,
        };
        Compared {
            key,
            version: "v1".to_owned(),
            target: None,
            uid: String::new(),
            live: true,
            deleting: false,
            sync: Some(SyncCode::OutOfSync),
            requires_pruning: false,
            confirm_delete: false,
            counts: true,
            differences: vec![difference],
            blocked: None,
            shared_with: None,
            wave: 0,
            role: Role::Ordinary,
            options: SyncOptions::default(),
        }
    }

    #[test]
    fn records_are_read_of_those_objects_only_whose_causes_are_shown() {
        let resources: Vec<Compared> = (0..2 * MAX_CAUSES)
            .map(|at| compared(format!("c{at:02}")))
            .collect();
        let read = Cell::new(0);
        let past = |_: &Compared| {
            read.set(read.get() + 1);
            None
        };
        assert_eq!(causes(&resources, &[], past).len(), MAX_CAUSES);
        assert_eq!(read.get(), MAX_CAUSES);
    }
}
