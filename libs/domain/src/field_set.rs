//! The fields that one manager of an object owns, as `metadata.managedFields` says.

use serde_json::Value;

/// A tree of owned fields. Its element names are those of Kubernetes' FieldsV1: `f:<field>`, `k:<keys as JSON>`,
/// `v:<value as JSON>`, `i:<index>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    owned: bool,
    /// Sorted by name.
    children: Box<[(Box<str>, Self)]>,
}

/// No object of a cluster nests deeper.
const MAX_DEPTH: usize = 128;

impl FieldSet {
    /// Reads a `fieldsV1` value. What is no FieldsV1 reads as an empty set.
    #[must_use]
    pub fn from_fields_v1(fields: &Value) -> Self {
        Self::read(fields, MAX_DEPTH)
    }

    fn read(fields: &Value, depth: usize) -> Self {
        let Some(map) = fields.as_object().filter(|_| depth > 0) else {
            return Self::default();
        };
        let mut children: Vec<(Box<str>, Self)> = map
            .iter()
            .filter(|(name, _)| name.as_str() != ".")
            .map(|(name, below)| (name.as_str().into(), Self::read(below, depth - 1)))
            .collect();
        children.sort_by(|a, b| a.0.cmp(&b.0));
        // A leaf `{}` is owned; a branch is owned only where `.` says so.
        Self {
            owned: map.is_empty() || map.contains_key("."),
            children: children.into(),
        }
    }

    /// Whether this very place is owned, not only something below it.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        self.owned
    }

    /// Whether nothing is owned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.owned && self.children.is_empty()
    }

    /// The set below an element name, as FieldsV1 writes it.
    #[must_use]
    pub fn child(&self, element: &str) -> Option<&Self> {
        let at = self
            .children
            .binary_search_by(|(name, _)| name.as_ref().cmp(element))
            .ok()?;
        self.children.get(at).map(|(_, below)| below)
    }

    /// The set below a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Self> {
        self.child(&format!("f:{name}"))
    }

    /// What is below, by element name.
    pub fn children(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.children
            .iter()
            .map(|(name, below)| (name.as_ref(), below))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn leaves_and_dots_are_owned_and_branches_are_not() {
        let set = FieldSet::from_fields_v1(&json!({
            "f:data": {"f:a": {}},
            "f:ports": {"k:{\"port\":80}": {".": {}, "f:port": {}}},
        }));
        assert!(!set.field("data").unwrap().is_owned());
        assert!(set.field("data").unwrap().field("a").unwrap().is_owned());
        assert!(set.field("data").unwrap().field("b").is_none());
        let port = set
            .field("ports")
            .unwrap()
            .child("k:{\"port\":80}")
            .unwrap();
        assert!(port.is_owned());
        assert!(FieldSet::from_fields_v1(&json!(null)).is_empty());
    }
}
