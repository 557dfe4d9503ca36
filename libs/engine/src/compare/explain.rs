//! Says what differs, for people.

use domain::cause::{Cause, Location};
use domain::message;
use domain::status::SyncCode;
use serde_json::Value;

use super::Compared;
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
}

/// Longer values are cut: a cause is a sentence.
const MAX_VALUE: usize = 120;
/// Fields named per object.
const MAX_FIELDS: usize = 3;
/// Causes of one comparison.
const MAX_CAUSES: usize = 30;

pub(super) fn describe(deltas: &[Delta<'_>], target: &Target) -> Vec<Difference> {
    let secret = target.key.group.is_empty() && target.key.kind == "Secret";
    let show = |path: &str, value: Option<&Value>, mask: &str| {
        value.map(|value| {
            if secret
                && (path == "data" || path.starts_with("data.") || path.starts_with("stringData"))
            {
                mask.to_owned()
            } else {
                shorten(&crate::canonical::text(value))
            }
        })
    };
    deltas
        .iter()
        .map(|delta| Difference {
            path: delta.path.clone(),
            want: show(&delta.path, delta.want, "++++++++"),
            got: show(&delta.path, delta.got, "++++++++++++"),
            location: target.locate(&delta.path),
        })
        .collect()
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= MAX_VALUE {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(MAX_VALUE).collect();
    short.push('…');
    short
}

pub(super) fn causes(resources: &[Compared], targets: &[Target]) -> Vec<Cause> {
    let mut causes = Vec::new();
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
            causes.extend(
                compared
                    .differences
                    .iter()
                    .take(MAX_FIELDS)
                    .map(of_difference),
            );
            if compared.differences.len() > MAX_FIELDS {
                let more = compared.differences.len() - MAX_FIELDS;
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

fn of_difference(difference: &Difference) -> Cause {
    let message = match (&difference.want, &difference.got) {
        (Some(want), Some(got)) => message::sync::FIELD_DIFFERS
            .with("want", want)
            .with("got", got),
        (Some(want), None) => message::sync::FIELD_MISSING.with("want", want),
        (None, got) => message::sync::FIELD_REMOVED.with("got", got.as_deref().unwrap_or_default()),
    };
    Cause::reason(message.with("field", &difference.path))
        .field(difference.path.clone())
        .located(difference.location.clone())
}
