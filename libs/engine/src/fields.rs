//! Which fields a manager owns: all its entries in `metadata.managedFields`, read as one tree to walk beside objects.
//!
//! The index keeps [`domain::field_set::FieldSet`], which answers whether two sets are equal; walking needs the keys of
//! list elements in one spelling.

use std::collections::BTreeMap;

use domain::resource::{at, text};
use domain::schema::{ListMerge, Node, Type};
use serde_json::{Map, Value};

/// The field manager under which everything of ours is applied.
pub const MANAGER: &str = "argocd-controller";
/// The client-side manager whose fields an apply of ours takes over.
const TAKEN_OVER: &str = "kubectl-client-side-apply";

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Element {
    /// `f:name`.
    Field(String),
    /// `k:{"name":"x"}`: canonical JSON of the keys.
    Key(String),
    /// `v:"x"`: canonical JSON of the value.
    Item(String),
}

impl Element {
    /// Reads a step as FieldsV1 writes it; `None` for what leads to no place beneath.
    pub(crate) fn read(step: &str) -> Option<Self> {
        match step.split_once(':')? {
            ("f", field) => Some(Self::Field(field.to_owned())),
            ("k", keys) => Some(Self::Key(canonical(keys))),
            ("v", item) => Some(Self::Item(canonical(item))),
            _ => None,
        }
    }

    /// The step to an element of a list.
    pub(crate) fn of_item(item: &Value, list: Option<Node<'_>>) -> Self {
        keys_of(item, list).map_or_else(|| Self::Item(crate::canonical::text(item)), Self::Key)
    }
}

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owned {
    /// Whether the place itself is in the set, apart from what is beneath.
    pub owned: bool,
    /// What is beneath.
    pub children: BTreeMap<Element, Self>,
}

impl Owned {
    /// The fields of an object's own version that a manager owns, sub-resources aside; `None` when it owns none.
    #[must_use]
    pub fn of_manager(object: &Value, manager: &str) -> Option<Self> {
        let version = text(object, &["apiVersion"]);
        let mut set: Option<Self> = None;
        for entry in at(object, &["metadata", "managedFields"])
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if text(entry, &["manager"]) != manager
                || !text(entry, &["subresource"]).is_empty()
                || text(entry, &["apiVersion"]) != version
            {
                continue;
            }
            if let Some(fields) = entry.get("fieldsV1").and_then(Value::as_object) {
                set.get_or_insert_default().read(fields);
            }
        }
        set
    }

    /// What others than our manager have of an object, in whatever version and through whatever sub-resource; not what an
    /// apply of ours takes over.
    #[must_use]
    pub fn of_others(object: &Value) -> Self {
        let mut set = Self::default();
        for entry in at(object, &["metadata", "managedFields"])
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let manager = text(entry, &["manager"]);
            let taken_over = manager == TAKEN_OVER
                && text(entry, &["operation"]) == "Update"
                && text(entry, &["subresource"]).is_empty();
            if manager == MANAGER || taken_over {
                continue;
            }
            if let Some(fields) = entry.get("fieldsV1").and_then(Value::as_object) {
                set.read(fields);
            }
        }
        set
    }

    /// This set without the places that `others` have too: what goes when its manager lets go.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        let mut rest = Self {
            owned: self.owned,
            children: BTreeMap::new(),
        };
        for (step, beneath) in &self.children {
            let Some(theirs) = others.children.get(step) else {
                rest.children.insert(step.clone(), beneath.clone());
                continue;
            };
            let mut left = beneath.without(theirs);
            left.owned &= !theirs.holds(step);
            if left.owned || !left.children.is_empty() {
                rest.children.insert(step.clone(), left);
            }
        }
        rest
    }

    /// Whether the place itself stays for this set's sake: a field does with anything beneath it, an element of a list
    /// only when it was itself named.
    #[must_use]
    pub fn holds(&self, step: &Element) -> bool {
        self.owned || (matches!(step, Element::Field(_)) && !self.children.is_empty())
    }

    fn read(&mut self, fields: &Map<String, Value>) {
        if fields.is_empty() {
            self.owned = true;
        }
        for (name, beneath) in fields {
            self.owned |= name == ".";
            let Some(element) = Element::read(name) else {
                continue;
            };
            if let Some(beneath) = beneath.as_object() {
                self.children.entry(element).or_default().read(beneath);
            }
        }
    }

    /// This set without the fields that identify elements of lists: without its keys an element is none.
    #[must_use]
    pub fn but_keys(&self) -> Self {
        let children = self.children.iter().map(|(step, beneath)| {
            let mut beneath = beneath.but_keys();
            beneath.children.retain(|child, _| !is_key_of(child, step));
            (step.clone(), beneath)
        });
        Self {
            owned: self.owned,
            children: children.collect(),
        }
    }

    /// Takes the fields of this set out of a value. Containers that others fill too stay.
    pub fn remove_from(&self, value: &mut Value, node: Option<Node<'_>>) {
        match value {
            Value::Object(fields) => {
                for (element, beneath) in &self.children {
                    let Element::Field(name) = element else {
                        continue;
                    };
                    if beneath.children.is_empty() {
                        fields.remove(name);
                    } else if let Some(child) = fields.get_mut(name) {
                        beneath.remove_from(child, node.and_then(|n| n.value(name)));
                    }
                }
            }
            Value::Array(items) => {
                let element = node.and_then(Node::element);
                items.retain_mut(|item| {
                    let keys = keys_of(item, node).map(Element::Key);
                    let steps = [keys, Some(Element::Item(crate::canonical::text(item)))];
                    for step in steps.into_iter().flatten() {
                        let Some(beneath) = self.children.get(&step) else {
                            continue;
                        };
                        if beneath.owned && beneath.children.keys().all(|c| is_key_of(c, &step)) {
                            return false;
                        }
                        beneath.remove_from(item, element);
                    }
                    true
                });
            }
            _ => {}
        }
    }
}

/// Whether a child is one of the very fields that identify its list element.
fn is_key_of(child: &Element, step: &Element) -> bool {
    let (Element::Field(name), Element::Key(keys)) = (child, step) else {
        return false;
    };
    serde_json::from_str::<Map<String, Value>>(keys).is_ok_and(|keys| keys.contains_key(name))
}

fn canonical(json: &str) -> String {
    serde_json::from_str::<Value>(json)
        .map_or_else(|_| json.to_owned(), |value| crate::canonical::text(&value))
}

/// The keys of a list element, as [`Element::Key`] writes them; `None` where the list is no keyed list.
#[must_use]
pub fn keys_of(item: &Value, list: Option<Node<'_>>) -> Option<String> {
    let Type::List {
        merge: ListMerge::Map { keys },
        ..
    } = list?.kind()
    else {
        return None;
    };
    let mut values = Map::new();
    for key in keys {
        if let Some(value) = item.get(key.name.as_ref()).or(key.default.as_ref()) {
            values.insert(key.name.to_string(), value.clone());
        }
    }
    Some(crate::canonical::text(&Value::Object(values)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_managers_own_entries_of_the_objects_version_count() {
        let entry = |manager: &str, version: &str, subresource: &str, field: &str| {
            json!({"manager": manager, "operation": "Apply", "apiVersion": version, "subresource": subresource,
                   "fieldsV1": {"f:spec": {format!("f:{field}"): {}}}})
        };
        let object = json!({"apiVersion": "apps/v1", "metadata": {"managedFields": [
            entry(MANAGER, "apps/v1", "", "replicas"),
            entry(MANAGER, "apps/v1", "scale", "selector"),
            entry(MANAGER, "apps/v1beta1", "", "template"),
            entry("kubectl-edit", "apps/v1", "", "paused"),
        ]}});
        let set = Owned::of_manager(&object, MANAGER).unwrap();
        let spec = &set.children[&Element::Field("spec".into())];
        assert_eq!(
            spec.children.keys().collect::<Vec<_>>(),
            [&Element::Field("replicas".into())]
        );
        assert!(Owned::of_manager(&object, "nobody").is_none());
    }

    #[test]
    fn what_another_has_too_does_not_go() {
        let entry = |manager: &str, operation: &str, fields: Value| {
            json!({"manager": manager, "operation": operation, "apiVersion": "v1",
                "fieldsV1": fields})
        };
        let object = json!({"apiVersion": "v1", "metadata": {"managedFields": [
            entry(MANAGER, "Apply", json!({"f:data": {"f:a": {}, "f:b": {}, "f:c": {}},
                "f:list": {"k:{\"name\":\"x\"}": {".": {}, "f:name": {}, "f:v": {}}}})),
            entry("other", "Apply", json!({"f:data": {"f:a": {}},
                "f:list": {"k:{\"name\":\"x\"}": {".": {}, "f:name": {}}}})),
            entry(TAKEN_OVER, "Update", json!({"f:data": {".": {}, "f:b": {}}})),
        ]}});
        let ours = Owned::of_manager(&object, MANAGER).unwrap();
        let alone = ours.without(&Owned::of_others(&object));
        let field = |name: &str| Element::Field(name.into());
        let data = &alone.children[&field("data")];
        assert_eq!(
            data.children.keys().collect::<Vec<_>>(),
            [&field("b"), &field("c")]
        );
        let item =
            &alone.children[&field("list")].children[&Element::Key("{\"name\":\"x\"}".into())];
        assert!(!item.owned);
        assert_eq!(item.children.keys().collect::<Vec<_>>(), [&field("v")]);
    }
}
