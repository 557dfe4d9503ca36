//! Whose doing a difference is: what the cluster has on record of a field that is not as Git says.
//!
//! A manager that changes a field takes it from those who had it, so a field that is still ours differs because Git changed.
//! On an object that never was ours nobody has changed what Git says: it is about to be adopted.
//! Nobody is on record for a field that is gone; that it was there is known from the last look that found no difference.

use domain::field_set::FieldSet;
use domain::resource::{at, text};
use domain::schema::Node;
use serde_json::Value;

use super::Applied;
use crate::fields::{Element, MANAGER};
use crate::prepare::TargetHash;
use crate::structural::Delta;

/// How a field came to differ, where that happened in the cluster and not in Git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// A manager set it.
    By(Hand),
    /// It was as Git says once, and the cluster has no manager on record for it.
    Unrecorded,
}

/// A field manager, as the cluster has it on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hand {
    /// Its name.
    pub manager: String,
    /// `Apply` or `Update`; `Update/scale` where it wrote by way of a sub-resource.
    pub operation: String,
    /// When it last wrote any of its fields, as the cluster says it.
    pub time: String,
}

/// The two sides that differences were found between.
#[derive(Clone, Copy)]
pub(super) struct Between<'a> {
    pub(super) want: &'a Value,
    pub(super) got: &'a Value,
    pub(super) root: Option<Node<'a>>,
}

/// What is known of how a live object became what it is.
#[derive(Clone, Copy)]
pub(super) struct Past<'a> {
    /// The whole live object.
    pub(super) body: &'a Value,
    /// Its last state that was as Git said.
    pub(super) applied: Option<&'a Applied>,
    /// What Git says now.
    pub(super) target: TargetHash,
}

/// The same with what the cluster has on record, which is read once.
pub(super) struct History<'a> {
    past: Past<'a>,
    records: Vec<Record<'a>>,
}

/// One entry of managedFields.
struct Record<'a> {
    entry: &'a Value,
    fields: FieldSet,
}

impl Between<'_> {
    /// Where a difference is, as records name places; `None` where that cannot be said.
    pub(super) fn steps(self, delta: &Delta<'_>) -> Option<Vec<Element>> {
        let (side, there) = match (delta.want, delta.got) {
            (Some(want), _) => (self.want, want),
            (None, got) => (self.got, got?),
        };
        let (steps, reached) = follow(&delta.path, side, self.root)?;
        // Positions in lists are those of either side; on the wrong one a path leads elsewhere.
        std::ptr::eq(reached, there).then_some(steps)
    }
}

impl History<'_> {
    /// Whose doing it is that a place differs, which Git names or not, and the cluster fills or not; `None` where it is
    /// Git's, or nobody can say.
    pub(super) fn drift(&self, steps: &[Element], want: bool, got: bool) -> Option<Drift> {
        let (ours, others): (Vec<_>, Vec<_>) = self
            .records
            .iter()
            .filter(|record| holds(&record.fields, steps))
            .partition(|record| text(record.entry, &["manager"]) == MANAGER);
        if !ours.is_empty() {
            return None;
        }
        let last = others
            .into_iter()
            .max_by_key(|record| text(record.entry, &["time"]));
        match last {
            Some(record) => self.past.was_ours().then(|| Drift::By(record.hand())),
            None if !want || !self.past.was_there(steps) => None,
            None if got && self.past.is_unclear() => None,
            None => Some(Drift::Unrecorded),
        }
    }
}

impl<'a> Past<'a> {
    pub(super) fn read(self) -> History<'a> {
        History {
            past: self,
            records: self.records().collect(),
        }
    }

    /// Whether the object was applied by us, or found to be as Git says.
    fn was_ours(&self) -> bool {
        self.applied.is_some()
            || self
                .entries()
                .any(|entry| text(entry, &["manager"]) == MANAGER)
    }

    /// Whether somebody wrote in another version, where a field may have another name.
    fn is_unclear(&self) -> bool {
        let version = text(self.body, &["apiVersion"]);
        self.entries()
            .any(|entry| text(entry, &["apiVersion"]) != version)
    }

    fn entries(&self) -> impl Iterator<Item = &'a Value> {
        at(self.body, &["metadata", "managedFields"])
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    }

    fn records(&self) -> impl Iterator<Item = Record<'a>> {
        let version = text(self.body, &["apiVersion"]);
        self.entries()
            .filter(move |entry| text(entry, &["apiVersion"]) == version)
            .map(|entry| Record {
                entry,
                fields: entry
                    .get("fieldsV1")
                    .map(FieldSet::from_fields_v1)
                    .unwrap_or_default(),
            })
            // An entry of no fields would read as one that has the whole object as one value.
            .filter(|record| record.fields.children().next().is_some())
    }

    /// Whether a field that Git names was as Git says when the object was last found to be so.
    fn was_there(&self, steps: &[Element]) -> bool {
        self.applied.is_some_and(|applied| {
            let ours = applied.seen.managed.as_deref();
            applied.target == self.target || ours.is_some_and(|fields| holds(fields, steps))
        })
    }
}

impl Record<'_> {
    fn hand(&self) -> Hand {
        let said = |field| text(self.entry, &[field]).to_owned();
        let mut operation = said("operation");
        let subresource = text(self.entry, &["subresource"]);
        if !subresource.is_empty() {
            operation.push('/');
            operation.push_str(subresource);
        }
        Hand {
            manager: said("manager"),
            operation,
            time: said("time"),
        }
    }
}

/// Whether a set has a place, something beneath it, or the value that it is part of.
fn holds(fields: &FieldSet, steps: &[Element]) -> bool {
    let mut set = fields;
    for step in steps {
        match child(set, step) {
            Some(beneath) => set = beneath,
            None => return set.is_owned() && set.children().next().is_none(),
        }
    }
    !set.is_empty()
}

fn child<'a>(set: &'a FieldSet, step: &Element) -> Option<&'a FieldSet> {
    if let Element::Field(name) = step {
        return set.field(name);
    }
    set.children()
        .find(|(name, _)| Element::read(name).as_ref() == Some(step))
        .map(|(_, beneath)| beneath)
}

/// The steps of a dotted path through a value, and what it leads to. Names may have dots too: the longest that is there
/// counts.
fn follow<'v>(
    path: &str,
    value: &'v Value,
    node: Option<Node<'_>>,
) -> Option<(Vec<Element>, &'v Value)> {
    let mut steps = Vec::new();
    let (mut rest, mut value, mut node) = (path, value, node);
    while !rest.is_empty() {
        match value {
            Value::Object(fields) => {
                let (name, beneath) = fields
                    .iter()
                    .filter(|(name, _)| begins(rest, name))
                    .max_by_key(|(name, _)| name.len())?;
                steps.push(Element::Field(name.clone()));
                rest = rest.get(name.len()..)?;
                node = node.and_then(|node| node.value(name));
                value = beneath;
            }
            Value::Array(items) => {
                let (position, after) = rest.strip_prefix('[')?.split_once(']')?;
                let item = items.get(position.parse::<usize>().ok()?)?;
                steps.push(Element::of_item(item, node));
                rest = after;
                node = node.and_then(Node::element);
                value = item;
            }
            _ => return None,
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
    }
    Some((steps, value))
}

fn begins(path: &str, name: &str) -> bool {
    path.strip_prefix(name)
        .is_some_and(|after| after.is_empty() || after.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::compare::Seen;

    fn entry(manager: &str, time: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": "Update", "apiVersion": "v1", "time": time, "fieldsV1": fields})
    }

    fn body(managed: Value) -> Value {
        json!({"apiVersion": "v1", "metadata": {"managedFields": managed}, "data": {"a.b": "2"}})
    }

    fn drift(body: &Value, applied: Option<&Applied>, path: &str, want: &Value) -> Option<Drift> {
        let between = Between {
            want,
            got: body,
            root: None,
        };
        let leads_to = |side| follow(path, side, None).map(|(_, value)| value);
        let delta = Delta {
            path: path.to_owned(),
            want: leads_to(want),
            got: leads_to(body),
        };
        let past = Past {
            body,
            applied,
            target: [1; 32],
        };
        let steps = between.steps(&delta)?;
        let history = past.read();
        history.drift(&steps, delta.want.is_some(), delta.got.is_some())
    }

    fn by(manager: &str, operation: &str, time: &str) -> Option<Drift> {
        Some(Drift::By(Hand {
            manager: manager.to_owned(),
            operation: operation.to_owned(),
            time: time.to_owned(),
        }))
    }

    fn applied(target: TargetHash, ours: &Value) -> Applied {
        let seen = Seen {
            fingerprint: [0; 32],
            managed: Some(Arc::new(FieldSet::from_fields_v1(ours))),
        };
        Applied { target, seen }
    }

    #[test]
    fn the_last_manager_that_has_a_field_set_it() {
        let fields = json!({"f:data": {"f:a.b": {}}});
        let live = body(json!([
            entry(
                "kubectl-edit",
                "2026-01-02T03:04:06Z",
                json!({"f:data": {"f:a.b": {}}})
            ),
            entry("kubectl", "2026-01-02T03:04:05Z", fields),
            entry(
                "later",
                "2026-01-02T03:04:07Z",
                json!({"f:data": {"f:other": {}}})
            ),
        ]));
        let want = json!({"data": {"a.b": "1"}});
        let same = applied([1; 32], &json!({}));
        let found = drift(&live, Some(&same), "data.a.b", &want);
        assert_eq!(found, by("kubectl-edit", "Update", "2026-01-02T03:04:06Z"));
    }

    #[test]
    fn nobody_has_changed_what_never_was_ours() {
        let theirs = entry(
            "kubectl-create",
            "2026-01-02T03:04:05Z",
            json!({"f:data": {"f:a.b": {}}}),
        );
        let want = json!({"data": {"a.b": "1"}});
        let adopted = body(json!([theirs]));
        assert_eq!(drift(&adopted, None, "data.a.b", &want), None);
        let ours = entry(
            MANAGER,
            "2026-01-02T03:04:04Z",
            json!({"f:data": {"f:c": {}}}),
        );
        let found = drift(&body(json!([theirs, ours])), None, "data.a.b", &want);
        assert_eq!(
            found,
            by("kubectl-create", "Update", "2026-01-02T03:04:05Z")
        );
    }

    #[test]
    fn what_is_still_ours_differs_because_git_changed() {
        let fields = json!({"f:data": {"f:a.b": {}}});
        let live = body(json!([
            entry("kubectl", "2026-01-02T03:04:06Z", fields.clone()),
            entry(MANAGER, "2026-01-02T03:04:05Z", fields),
        ]));
        let want = json!({"data": {"a.b": "1"}});
        assert_eq!(drift(&live, None, "data.a.b", &want), None);
    }

    #[test]
    fn a_list_replaced_as_a_whole_is_its_owners_in_every_place() {
        let mut scaled = entry("hpa", "2026-01-02T03:04:05Z", json!({"f:items": {}}));
        scaled["subresource"] = json!("scale");
        let mut live = body(json!([scaled]));
        live["items"] = json!(["x", "y"]);
        let want = json!({"items": ["x", "z"]});
        let same = applied([1; 32], &json!({}));
        let found = drift(&live, Some(&same), "items[1]", &want);
        assert_eq!(found, by("hpa", "Update/scale", "2026-01-02T03:04:05Z"));
    }

    #[test]
    fn what_is_gone_was_taken_out_only_where_it_was_there() {
        let live = body(json!([]));
        let want = json!({"data": {"gone": "1"}});
        let found = |applied: &Applied| drift(&live, Some(applied), "data.gone", &want);
        let same = applied([1; 32], &json!({"f:data": {"f:other": {}}}));
        assert_eq!(found(&same), Some(Drift::Unrecorded));
        let ours = applied([2; 32], &json!({"f:data": {"f:gone": {}}}));
        assert_eq!(found(&ours), Some(Drift::Unrecorded));
        let new = applied([2; 32], &json!({"f:data": {"f:other": {}}}));
        assert_eq!(found(&new), None);
        assert_eq!(drift(&live, None, "data.gone", &want), None);
    }

    #[test]
    fn entries_of_another_version_or_of_no_fields_say_nothing() {
        let fields = json!({"f:data": {"f:a.b": {}}});
        let mut other = entry("kubectl", "2026-01-02T03:04:05Z", fields);
        other["apiVersion"] = json!("v2");
        let none = entry("kubectl", "2026-01-02T03:04:05Z", json!({}));
        let want = json!({"data": {"a.b": "1"}});
        let same = applied([1; 32], &json!({}));
        let found = |managed: Value| drift(&body(managed), Some(&same), "data.a.b", &want);
        assert_eq!(found(json!([other])), None);
        assert_eq!(found(json!([none])), Some(Drift::Unrecorded));
    }
}
