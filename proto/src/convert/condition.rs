//! Causes as an application's conditions.
//!
//! Clients read a type that ends in `Error` as "the state is unknown", and one that ends in `Warning` as a remark; so
//! only [`Severity::Error`] makes the former.

use domain::cause::{Cause, Severity};
use domain::clock::Timestamp;
use domain::message::Language;

use super::time;
use crate::v1alpha1::ApplicationCondition;

/// A cause, since when it has held, and whether a sync has failed by it.
pub(super) fn to_wire(
    cause: &Cause,
    since: Option<Timestamp>,
    of_sync: bool,
    language: Language,
) -> ApplicationCondition {
    ApplicationCondition {
        r#type: Some(type_of(cause, of_sync)),
        message: Some(cause.render(language)),
        last_transition_time: since.map(time::to_wire),
    }
}

/// Errors by Argo CD's own types; lints by their name (`lint.unknown-field` is `UnknownFieldWarning`); reasons by their
/// area (`health.image-pull` is `HealthWarning`), since the application's state is what clients look at there. What the cluster
/// says is the same whoever asked it: where a sync did, it is no word on the comparison.
fn type_of(cause: &Cause, of_sync: bool) -> String {
    let code = cause.message.code.as_str();
    let (area, name) = code.split_once('.').unwrap_or((code, code));
    match cause.severity {
        Severity::Error if area == "sync" => "SyncError".to_owned(),
        Severity::Error if area == "app" && name.starts_with("deletion-") => {
            "DeletionError".to_owned()
        }
        Severity::Error if area == "app" => "InvalidSpecError".to_owned(),
        Severity::Error if of_sync => "SyncError".to_owned(),
        Severity::Error => "ComparisonError".to_owned(),
        Severity::Warning => format!("{}Warning", pascal(name)),
        Severity::Reason => format!("{}Warning", pascal(area)),
    }
}

fn pascal(words: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    };
    words.split(['-', '.']).map(capital).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::message::Message;

    use super::*;

    #[test]
    fn a_type_says_error_only_for_errors() {
        let cause = |severity, code: &str| {
            Cause::new(
                severity,
                Message {
                    code: code.to_owned(),
                    arguments: BTreeMap::new(),
                },
            )
        };
        let of = |severity, code: &str| type_of(&cause(severity, code), false);
        assert_eq!(of(Severity::Error, "sync.refused"), "SyncError");
        assert_eq!(
            of(Severity::Error, "app.destination-missing"),
            "InvalidSpecError"
        );
        assert_eq!(
            of(Severity::Error, "app.deletion-hook-failed"),
            "DeletionError"
        );
        assert_eq!(of(Severity::Error, "source.not-found"), "ComparisonError");
        assert_eq!(
            of(Severity::Warning, "lint.unknown-field"),
            "UnknownFieldWarning"
        );
        assert_eq!(of(Severity::Reason, "health.image-pull"), "HealthWarning");
        assert_eq!(of(Severity::Reason, "sync.out-of-sync"), "SyncWarning");
        assert_eq!(of(Severity::Error, "cluster.forbidden"), "ComparisonError");
        let of_sync = |severity, code: &str| type_of(&cause(severity, code), true);
        assert_eq!(of_sync(Severity::Error, "cluster.forbidden"), "SyncError");
        assert_eq!(
            of_sync(Severity::Error, "app.destination-missing"),
            "InvalidSpecError"
        );
        assert_eq!(
            of_sync(Severity::Reason, "health.image-pull"),
            "HealthWarning"
        );
    }
}
