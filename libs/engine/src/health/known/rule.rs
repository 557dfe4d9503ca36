//! Which part of a kind's rule holds for an object, and what is said of it then.

use std::borrow::Cow;

use domain::resource::{at, text};
use domain::status::HealthCode;
use serde_json::Value;

use super::{Known, When};
use crate::health::conventions::{is_old, reports, unobserved, words};
use crate::health::{Health, condition, conditions};

/// What made a part of a rule hold.
enum Found<'a> {
    Condition(&'a Value),
    /// A word of the status.
    Word(Cow<'a, str>),
    /// What is said is of a generation before the one that there is.
    Old,
    /// Something that is not worth repeating.
    Plain,
}

impl Known {
    pub(super) fn judge(&self, object: &Value) -> Health {
        let rules = self.rules.iter();
        let mut found = rules.filter_map(|(when, code)| Some((when.found(object)?, *code)));
        match found.next() {
            Some((Found::Old, _)) => unobserved(object),
            Some((found, HealthCode::Healthy)) if found.is_old(object) => unobserved(object),
            Some((found, code)) => found.health(code, object),
            None if self.otherwise == HealthCode::Progressing => on_its_way(object),
            None => Health::new(self.otherwise, ""),
        }
    }
}

impl When {
    fn found<'a>(&self, object: &'a Value) -> Option<Found<'a>> {
        match self {
            Self::Is(kind, status) => find(object, kind, status).map(Found::Condition),
            Self::All(all) => {
                let mut all = all.iter().map(|(kind, status)| find(object, kind, status));
                let first = all.next()??;
                all.all(|found| found.is_some())
                    .then_some(Found::Condition(first))
            }
            Self::Says(kind, status, words) => {
                let says = |condition: &&Value| {
                    let mut parts = ["reason", "message"].into_iter();
                    parts.any(|part| words.contains(&text(condition, &[part])))
                };
                conditions(object)
                    .filter(|condition| is(condition, kind, status))
                    .find(says)
                    .map(Found::Condition)
            }
            Self::Field(path, words) => {
                let word = word(at(object.get("status")?, path)?)?;
                let holds = words.is_empty() || words.contains(&&*word);
                holds.then_some(Found::Word(word))
            }
            Self::Spec(name) => {
                let value = at(object, &["spec", *name]).and_then(Value::as_bool);
                (value == Some(true)).then_some(Found::Plain)
            }
            Self::SpecSays(name, word) => {
                (text(object, &["spec", *name]) == *word).then_some(Found::Plain)
            }
            Self::Old => {
                let mut said = conditions(object).chain(object.get("status"));
                said.any(|part| is_old(object, part)).then_some(Found::Old)
            }
            Self::NoStatus => object.get("status").is_none().then_some(Found::Plain),
        }
    }
}

fn find<'a>(object: &'a Value, kind: &str, status: &str) -> Option<&'a Value> {
    conditions(object).find(|condition| is(condition, kind, status))
}

fn is(condition: &Value, kind: &str, status: &str) -> bool {
    let matches =
        |part: &str, wanted: &str| wanted.is_empty() || text(condition, &[part]) == wanted;
    matches("type", kind) && matches("status", status)
}

/// A single value as a word; `None` for what is empty or none.
fn word(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) if !text.is_empty() => Some(Cow::Borrowed(text.as_str())),
        Value::Bool(_) | Value::Number(_) => Some(Cow::Owned(value.to_string())),
        _ => None,
    }
}

impl Found<'_> {
    /// Whether it was said of a generation before the one that there is.
    fn is_old(&self, object: &Value) -> bool {
        let said = match self {
            Self::Condition(condition) => is_old(object, condition),
            Self::Word(_) | Self::Old | Self::Plain => false,
        };
        said || object
            .get("status")
            .is_some_and(|status| is_old(object, status))
    }

    fn health(&self, code: HealthCode, object: &Value) -> Health {
        match self {
            Self::Condition(condition) => {
                let health = Health::new(code, words(condition));
                match code {
                    HealthCode::Healthy => health,
                    _ => health.because(reports(object, condition)),
                }
            }
            Self::Word(word) => match text(object, &["status", "message"]) {
                "" => Health::new(code, &**word),
                said => Health::new(code, said),
            },
            Self::Old | Self::Plain => Health::new(code, ""),
        }
    }
}

/// One that has said nothing that decides.
fn on_its_way(object: &Value) -> Health {
    if let Some(condition) = condition(object, "Ready").or_else(|| conditions(object).next()) {
        return Health::progressing(words(condition)).because(reports(object, condition));
    }
    let status = object.get("status");
    let word = ["phase", "state"]
        .iter()
        .find_map(|name| word(status?.get(name)?));
    match word {
        Some(word) => Health::progressing(&*word),
        None => unobserved(object),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::health::built_in;

    fn code(api_version: &str, kind: &str, rest: Value) -> Option<HealthCode> {
        let mut object = rest;
        object["apiVersion"] = json!(api_version);
        object["kind"] = json!(kind);
        object["metadata"] = json!({"name": "x", "generation": 2});
        built_in(&object).map(|health| health.code)
    }

    #[test]
    fn a_status_of_an_older_generation_makes_nothing_healthy() {
        let of = |observed: i64, ready: &str| {
            let status = json!({"observedGeneration": observed,
                "conditions": [{"type": "Ready", "status": ready}]});
            code("karpenter.sh/v1", "NodePool", json!({"status": status}))
        };
        assert_eq!(of(2, "True"), Some(HealthCode::Healthy));
        assert_eq!(of(1, "True"), Some(HealthCode::Progressing));
        assert_eq!(of(1, "False"), Some(HealthCode::Degraded));
    }

    #[test]
    fn of_some_kinds_nothing_of_an_older_generation_counts() {
        let of = |observed: i64| {
            let status = json!({"conditions": [
                {"type": "Valid", "status": "False", "observedGeneration": observed}]});
            code(
                "projectcontour.io/v1",
                "HTTPProxy",
                json!({"status": status}),
            )
        };
        assert_eq!(of(2), Some(HealthCode::Degraded));
        assert_eq!(of(1), Some(HealthCode::Progressing));
    }

    #[test]
    fn the_rule_of_a_whole_group_is_for_kinds_that_have_none_of_their_own() {
        let status = json!({"status": {"conditions": [{"type": "Installed", "status": "True"},
            {"type": "Healthy", "status": "True"}]}});
        let of = |kind: &str| code("pkg.crossplane.io/v1", kind, status.clone());
        assert_eq!(of("Provider"), Some(HealthCode::Healthy));
        assert_eq!(of("Function"), Some(HealthCode::Healthy));
        let none = code("pkg.crossplane.io/v1", "Provider", json!({}));
        assert_eq!(none, Some(HealthCode::Progressing));
        let none = code(
            "apiextensions.crossplane.io/v1",
            "EnvironmentConfig",
            json!({}),
        );
        assert_eq!(none, Some(HealthCode::Healthy));
        assert_eq!(
            code("crossplane.io.example.com/v1", "Function", json!({})),
            None
        );
    }
}
