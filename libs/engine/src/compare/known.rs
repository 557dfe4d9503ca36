//! Fields of which a tenant's settings say what their values are: amounts and durations, which mean the same in several
//! spellings, and structures of Kubernetes that have such amounts within. A custom resource's schema often calls them text.

use std::borrow::Cow;

use domain::resource::ResourceKey;
use domain::schema::{Scalar, Type};
use domain::settings::{KnownField, KnownType, go_duration};
use serde_json::{Map, Value};

use super::ignore::{elements, told_by};
use crate::structural::same_scalar;

/// Maps of amounts in the structures of the core group.
const AMOUNTS: [&str; 12] = [
    "allocatable",
    "allocatedResources",
    "capacity",
    "default",
    "defaultRequest",
    "hard",
    "limits",
    "max",
    "min",
    "overhead",
    "requests",
    "used",
];
/// Single amounts there.
const AMOUNT: [&str; 2] = ["divisor", "sizeLimit"];

/// Spells values of `got` as `want` has them, where a field is known and both mean the same.
pub(crate) fn spelled(
    want: &Value,
    got: &mut Cow<'_, Value>,
    key: &ResourceKey,
    known: &[KnownField],
) {
    for field in known.iter().filter(|field| field.is_of(key)) {
        at(want, got.to_mut(), &field.path, field.is);
    }
}

/// A path leads through lists into each of their elements.
fn at(want: &Value, got: &mut Value, path: &[String], is: KnownType) {
    match (want, got) {
        (Value::Array(want), Value::Array(got)) => {
            pairs(want, got, |want, got| at(want, got, path, is));
        }
        (Value::Object(want), Value::Object(got)) => match path.split_first() {
            Some((name, rest)) => {
                if let (Some(want), Some(got)) = (want.get(name), got.get_mut(name)) {
                    at(want, got, rest, is);
                }
            }
            None => match is {
                KnownType::Core => amounts(want, got),
                KnownType::Quantity => each(want, got),
                KnownType::Duration => {}
            },
        },
        (want, got) if path.is_empty() => one(want, got, is),
        _ => {}
    }
}

/// Elements that stand for each other: by their names, else by their positions.
fn pairs(want: &[Value], got: &mut [Value], visit: impl Fn(&Value, &mut Value)) {
    let names = elements(got, None);
    for (position, item) in want.iter().enumerate() {
        let there = match told_by(item, None) {
            Some(name) => names.get(&name).copied(),
            None => Some(position),
        };
        if let Some(other) = there.and_then(|there| got.get_mut(there)) {
            visit(item, other);
        }
    }
}

/// The amounts within a structure.
fn amounts(want: &Map<String, Value>, got: &mut Map<String, Value>) {
    for (name, want) in want {
        let Some(got) = got.get_mut(name) else {
            continue;
        };
        match (want, got) {
            (Value::Object(want), Value::Object(got)) if AMOUNTS.contains(&name.as_str()) => {
                each(want, got);
            }
            (Value::Object(want), Value::Object(got)) => amounts(want, got),
            (Value::Array(want), Value::Array(got)) => pairs(want, got, |want, got| {
                if let (Value::Object(want), Value::Object(got)) = (want, got) {
                    amounts(want, got);
                }
            }),
            (want, got) if AMOUNT.contains(&name.as_str()) => one(want, got, KnownType::Quantity),
            _ => {}
        }
    }
}

/// A map of amounts.
fn each(want: &Map<String, Value>, got: &mut Map<String, Value>) {
    for (name, want) in want {
        if let Some(got) = got.get_mut(name) {
            one(want, got, KnownType::Quantity);
        }
    }
}

fn one(want: &Value, got: &mut Value, is: KnownType) {
    let same = match is {
        KnownType::Quantity => same_scalar(want, got, Some(&Type::Scalar(Scalar::Quantity))),
        KnownType::Duration => duration(want).is_some_and(|want| duration(got) == Some(want)),
        KnownType::Core => false,
    };
    if same {
        got.clone_from(want);
    }
}

/// A duration and whether it is a negative one.
fn duration(value: &Value) -> Option<(bool, std::time::Duration)> {
    let text = value.as_str()?;
    match text.strip_prefix('-') {
        Some(rest) => Some((true, go_duration(rest)?)),
        None => Some((false, go_duration(text)?)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is there, spelled as what is wanted where a field is known.
    fn after(path: &str, is: KnownType, want: &Value, got: &Value) -> Value {
        let field = KnownField {
            group: "example.com".to_owned(),
            kind: "Thing".to_owned(),
            path: path.split('.').map(str::to_owned).collect(),
            is,
        };
        let key = ResourceKey {
            group: "example.com".to_owned(),
            kind: "Thing".to_owned(),
            ..ResourceKey::default()
        };
        let mut got = Cow::Borrowed(got);
        spelled(want, &mut got, &key, std::slice::from_ref(&field));
        let other = ResourceKey {
            kind: "Other".to_owned(),
            ..key
        };
        let mut untouched = Cow::Borrowed(want);
        spelled(&json!({}), &mut untouched, &other, &[field]);
        assert!(matches!(untouched, Cow::Borrowed(_)));
        got.into_owned()
    }

    #[test]
    fn one_meaning_gets_one_spelling() {
        for (is, want, got) in [
            (KnownType::Quantity, json!("1.25G"), json!("1250M")),
            (KnownType::Quantity, json!("2"), json!(2)),
            (KnownType::Duration, json!("8760h"), json!("8760h0m0s")),
            (KnownType::Duration, json!("-90s"), json!("-1m30s")),
        ] {
            let (want, got) = (json!({"spec": {"a": want}}), json!({"spec": {"a": got}}));
            assert_eq!(after("spec.a", is, &want, &got), want);
        }
        for (is, want, got) in [
            (KnownType::Quantity, json!("1G"), json!("1Gi")),
            (KnownType::Quantity, json!("some"), json!("other")),
            (KnownType::Duration, json!("1h"), json!("-1h")),
            (KnownType::Duration, json!("60"), json!("1m")),
            (KnownType::Core, json!("1"), json!("1000m")),
        ] {
            let (want, got) = (json!({"spec": {"a": want}}), json!({"spec": {"a": got}}));
            assert_eq!(after("spec.a", is, &want, &got), got);
        }
    }

    #[test]
    fn elements_of_lists_are_found_by_their_names() {
        let want = json!({"list": [{"name": "a", "size": "1"}, {"name": "b", "size": "2"}]});
        let got =
            json!({"list": [{"name": "new", "size": "1000m"}, {"name": "b", "size": "2000m"}]});
        let expected =
            json!({"list": [{"name": "new", "size": "1000m"}, {"name": "b", "size": "2"}]});
        assert_eq!(
            after("list.size", KnownType::Quantity, &want, &got),
            expected
        );
    }

    #[test]
    fn elements_of_long_lists_are_found_at_once() {
        let list = |size: &str, first: usize| {
            let items =
                (first..first + 60_000).map(|at| json!({"name": at.to_string(), "size": size}));
            json!({"list": items.collect::<Vec<_>>()})
        };
        // None of those that are wanted stands where it is.
        let (want, got) = (list("1", 0), list("1000m", 30_000));
        let spelled = after("list.size", KnownType::Quantity, &want, &got);
        assert_eq!(spelled["list"][0]["size"], "1");
        assert_eq!(spelled["list"][30_000]["size"], "1000m");
    }

    #[test]
    fn of_two_elements_of_one_name_the_first_counts_and_without_one_the_place() {
        let named = json!({"name": "a", "size": "1000m"});
        let (want, got) = (
            json!({"list": [{"size": "1"}, {"name": "a", "size": "1"}, {"size": "1"}]}),
            json!({"list": [named, named, {"size": "1000m"}, {"size": "1000m"}]}),
        );
        let spelled = after("list.size", KnownType::Quantity, &want, &got);
        let sizes = spelled["list"].as_array().unwrap().iter();
        let sizes: Vec<&Value> = sizes.map(|item| &item["size"]).collect();
        assert_eq!(sizes, ["1", "1000m", "1", "1000m"]);
    }

    #[test]
    fn structures_have_their_amounts_where_kubernetes_has_them() {
        let of = |cpu: &str, size: &str, env: &str| {
            json!({"spec": {
                "containers": [{"name": "run", "resources": {"requests": {"cpu": cpu}},
                    "env": [{"name": "LIMIT", "value": env}]}],
                "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": size}}]}})
        };
        let list = |cpu: &str| json!({"list": {"cpu": cpu}});
        let spelled = after("list", KnownType::Quantity, &list("2000m"), &list("2"));
        assert_eq!(spelled, list("2000m"));
        let (want, got) = (of("2000m", "1Gi", "1000m"), of("2", "1024Mi", "1"));
        let expected = of("2000m", "1Gi", "1");
        assert_eq!(after("spec", KnownType::Core, &want, &got), expected);
    }
}
