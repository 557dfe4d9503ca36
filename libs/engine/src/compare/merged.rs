//! What an apply of a target would make of its live object, told by the schema alone: for who asks for server-side apply.
//!
//! The same question goes to the cluster with `ServerSideDiff=true`. Here nobody is asked, and nobody answers for what
//! webhooks and defaults would add; the defaults that are known are reckoned with.

use serde_json::Value;

use super::predicted::both_ways;
use super::{Pair, not_ours};
use crate::structural::{self, Delta, Owners, Rules};

/// The live object as it would be. `None` where that is not a matter of merging: without a schema, or where the cluster
/// would not apply the target so.
pub(super) fn predicted(pair: &Pair<'_>) -> Option<Value> {
    let owners = Owners {
        ours: pair.ours.as_ref(),
        others: &pair.others,
    };
    structural::applied(&pair.want, &pair.got, owners, pair.root?)
}

/// What differs between that and what is there, in either direction.
pub(super) fn deltas<'v>(predicted: &'v Value, pair: &'v Pair<'_>) -> Vec<Delta<'v>> {
    let rules = Rules {
        exact: true,
        ..pair.rules
    };
    let mut deltas = both_ways(predicted, &pair.got, pair.root, rules);
    deltas.retain(|delta| match (delta.want, delta.got) {
        (None, Some(got)) => {
            let stays = not_ours(&delta.path) || (rules.built_in && comes_back(&delta.path, got));
            !stays
        }
        _ => true,
    });
    deltas
}

/// Whether the cluster fills a value in again, as it is, where it is taken away.
fn comes_back(path: &str, value: &Value) -> bool {
    if structural::is_default(path, value) {
        return true;
    }
    value.as_object().is_some_and(|fields| {
        !fields.is_empty()
            && fields
                .iter()
                .all(|(name, value)| comes_back(&format!("{path}.{name}"), value))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_all_defaults_comes_back() {
        let all = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}});
        assert!(comes_back("spec.strategy", &all));
        let some = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}});
        assert!(!comes_back("spec.strategy", &some));
        assert!(!comes_back("spec.selector", &json!({})));
        assert!(comes_back("spec.replicas", &json!(1)));
    }
}
