//! Objects on their way out: what keeps one, and for how long it is waited for.

use domain::clock::Timestamp;
use domain::message::{self, Message};
use domain::resource::{ResourceKey, at, text};
use serde_json::Value;

/// What is still there so long after it should be gone is kept by somebody.
const LINGERING: chrono::TimeDelta = chrono::TimeDelta::minutes(15);

/// Whether an object that was asked to go should be gone for long.
#[must_use]
pub fn lingers(object: &Value, now: Timestamp) -> bool {
    let due = text(object, &["metadata", "deletionTimestamp"]);
    chrono::DateTime::parse_from_rfc3339(due).is_ok_and(|due| now - due.to_utc() > LINGERING)
}

/// Whether nothing keeps an object any more that was asked to go: the write that took the last finalizer off is answered with the
/// last of it.
pub(super) fn is_let_go(object: &Value) -> bool {
    let none = |path: &[&str]| {
        let names = at(object, path).and_then(Value::as_array);
        names.is_none_or(Vec::is_empty)
    };
    // A pod without any is still waited for by its node, and a namespace has others.
    let grace = at(object, &["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_i64);
    let rests = grace.is_none_or(|seconds| seconds <= 0);
    rests && none(&["metadata", "finalizers"]) && none(&["spec", "finalizers"])
}

/// Whether an object was given finalizers while it is on its way out, which takes none any more.
pub(super) fn takes_no_finalizer(error: &cluster::Error) -> bool {
    const SAID: &str = "no new finalizers can be added if the object is being deleted";
    let refusal = error.refusal().filter(|refusal| refusal.code == 422);
    let mut causes = refusal.into_iter().flat_map(|refusal| &refusal.causes);
    causes.any(|cause| cause.field == "metadata.finalizers" && cause.message.contains(SAID))
}

/// That an object is being deleted, and which finalizers keep it: those of ours too.
#[must_use]
pub fn kept(key: &ResourceKey, object: &Value) -> Message {
    let finalizers = at(object, &["metadata", "finalizers"]).and_then(Value::as_array);
    let finalizers: Vec<&str> = finalizers
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let shown = match finalizers.as_slice() {
        [] => "-".to_owned(),
        some => some.join(", "),
    };
    message::health::DELETING
        .with("kind", &key.kind)
        .with("name", &key.name)
        .with("finalizers", shown)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_asked_to_go_is_waited_for_a_while() {
        let at = |text: &str| {
            let time = chrono::DateTime::parse_from_rfc3339(text);
            time.unwrap().to_utc()
        };
        let going = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        assert!(!lingers(&going, at("2026-01-01T00:15:00Z")));
        assert!(lingers(&going, at("2026-01-01T00:15:01Z")));
        assert!(!lingers(
            &json!({"metadata": {}}),
            at("2026-01-01T00:15:01Z")
        ));
    }

    #[test]
    fn what_nothing_keeps_any_more_is_gone_however_long_it_was_kept() {
        let gone = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0}});
        assert!(is_let_go(&gone));
        let kept = json!({"metadata": {"deletionGracePeriodSeconds": 0, "finalizers": ["example.com/never"]}});
        assert!(!is_let_go(&kept));
        let on_a_node_that_is_away = json!({"metadata": {"deletionGracePeriodSeconds": 30}});
        assert!(!is_let_go(&on_a_node_that_is_away));
        let namespace = json!({"metadata": {}, "spec": {"finalizers": ["kubernetes"]}});
        assert!(!is_let_go(&namespace));
    }

    #[test]
    fn what_takes_no_finalizer_is_on_its_way_out_and_what_has_a_wrong_one_is_not() {
        let refused = |code, field: &str, message: &str| {
            let cause = cluster::FieldCause {
                field: field.to_owned(),
                message: message.to_owned(),
                ..cluster::FieldCause::default()
            };
            let refusal = cluster::Refusal {
                code,
                causes: vec![cause],
                ..cluster::Refusal::default()
            };
            takes_no_finalizer(&cluster::Error::Refused(Box::new(refusal)))
        };
        let late = "Forbidden: no new finalizers can be added if the object is being deleted, \
                    found new finalizers []string{\"example.com/a\"}";
        assert!(refused(422, "metadata.finalizers", late));
        assert!(!refused(422, "data", late), "somebody quotes it");
        assert!(!refused(403, "metadata.finalizers", late));
        let wrong = "Invalid value: \"a\": name is neither a standard finalizer name";
        assert!(!refused(422, "metadata.finalizers", wrong));
    }

    #[test]
    fn a_hook_that_only_waits_for_us_is_named_with_our_finalizer() {
        let key = ResourceKey {
            kind: "ConfigMap".into(),
            name: "a".into(),
            ..ResourceKey::default()
        };
        let held =
            json!({"metadata": {"finalizers": [engine::hooks::FINALIZER, "example.com/never"]}});
        let said = kept(&key, &held);
        assert_eq!(
            said.arguments["finalizers"],
            format!("{}, example.com/never", engine::hooks::FINALIZER)
        );
    }
}
