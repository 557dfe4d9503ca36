//! The Gateway API's own kinds: what each parent of a route, or each listener of a gateway, says of it.

use domain::resource::{at, text};
use serde_json::Value;

use super::conventions::{reports, unobserved, words};
use super::{Health, conditions, number};

/// A gateway is what it says of itself, then what its listeners say.
pub(super) fn gateway(object: &Value) -> Health {
    let own: Vec<&Value> = conditions(object).collect();
    if let Some(health) = said(&own, object, "") {
        return health;
    }
    let listeners = list(object, "listeners");
    let of_listener = |listener: &&Value| {
        let name = format!("listener {}: ", text(listener, &["name"]));
        said(&inner(listener), object, &name)
    };
    let found = listeners.iter().find_map(of_listener);
    found.unwrap_or_else(|| match own.is_empty() && listeners.is_empty() {
        true => unobserved(object),
        false => Health::healthy(""),
    })
}

/// A route is what its parents say of it. `observed`: what they said of another generation does not count.
pub(super) fn route(object: &Value, observed: bool) -> Health {
    let mut parents = list(object, "parents");
    parents.retain(|parent| {
        let conditions = inner(parent);
        !conditions.is_empty() && (!observed || conditions.iter().all(|c| is_of_now(object, c)))
    });
    let of_parent = |parent: &&Value| {
        let name = format!("parent {}: ", text(parent, &["parentRef", "name"]));
        said(&inner(parent), object, &name)
    };
    let found = parents.iter().find_map(of_parent);
    found.unwrap_or_else(|| match parents.is_empty() {
        true => unobserved(object),
        false => Health::healthy(""),
    })
}

fn list<'a>(object: &'a Value, name: &str) -> Vec<&'a Value> {
    let list = at(object, &["status", name]).and_then(Value::as_array);
    list.into_iter().flatten().collect()
}

fn inner(part: &Value) -> Vec<&Value> {
    let list = part.get("conditions").and_then(Value::as_array);
    list.into_iter().flatten().collect()
}

fn is_of_now(object: &Value, condition: &Value) -> bool {
    let observed = condition.get("observedGeneration").and_then(Value::as_i64);
    observed.is_none_or(|observed| observed == number(object, &["metadata", "generation"]))
}

/// What conditions say against an object; `None` where they say nothing against it.
fn said(conditions: &[&Value], object: &Value, who: &str) -> Option<Health> {
    let refused = ["ResolvedRefs", "Accepted"]
        .into_iter()
        .find_map(|kind| find(conditions, kind, |status| status == "False"));
    if let Some(condition) = refused {
        let health = Health::degraded(format!("{who}{}", words(condition)));
        return Some(health.because(reports(object, condition)));
    }
    let waiting = find(conditions, "Programmed", |status| status != "True")?;
    let health = Health::progressing(format!("{who}{}", words(waiting)));
    Some(health.because(reports(object, waiting)))
}

fn find<'a>(
    conditions: &[&'a Value],
    kind: &str,
    holds: impl Fn(&str) -> bool,
) -> Option<&'a Value> {
    let mut all = conditions.iter().copied();
    all.find(|c| text(c, &["type"]) == kind && holds(text(c, &["status"])))
}
