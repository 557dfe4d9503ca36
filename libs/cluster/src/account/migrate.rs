//! Taking over what a client-side manager owns.

use domain::resource::text;
use serde_json::{Map, Value, json};

use crate::FIELD_MANAGER;

/// The patch that makes our applies own what `manager` and our own three-way merges own. `None` when they own nothing.
///
/// It names the resourceVersion that it was made for, so that nobody's change in between is lost.
pub(super) fn take_over(object: &Value, manager: &str) -> Option<Value> {
    let entries = object.get("metadata")?.get("managedFields")?.as_array()?;
    let (old, mut kept): (Vec<_>, Vec<_>) = entries
        .iter()
        .cloned()
        .partition(|entry| is_client_side(entry, manager));
    if old.is_empty() {
        return None;
    }
    // Our own entry is there: the apply that gave us this object made it.
    let ours = kept.iter_mut().find(|entry| is_ours(entry))?;
    let mut fields = ours.get("fieldsV1").cloned().unwrap_or_else(|| json!({}));
    for entry in &old {
        if let Some(other) = entry.get("fieldsV1") {
            unite(&mut fields, other);
        }
    }
    ours.as_object_mut()?.insert("fieldsV1".to_owned(), fields);
    let resource_version = text(object, &["metadata", "resourceVersion"]);
    Some(json!([
        {"op": "replace", "path": "/metadata/managedFields", "value": kept},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": resource_version},
    ]))
}

/// The fields that our applies own.
pub(super) fn ours(object: &Value) -> Option<&Value> {
    object
        .get("metadata")?
        .get("managedFields")?
        .as_array()?
        .iter()
        .find(|entry| is_ours(entry))?
        .get("fieldsV1")
}

fn is_ours(entry: &Value) -> bool {
    text(entry, &["manager"]) == FIELD_MANAGER
        && text(entry, &["operation"]) == "Apply"
        && whole(entry)
}

fn is_client_side(entry: &Value, manager: &str) -> bool {
    let name = text(entry, &["manager"]);
    (name == manager || name == FIELD_MANAGER)
        && text(entry, &["operation"]) == "Update"
        && whole(entry)
}

fn whole(entry: &Value) -> bool {
    text(entry, &["subresource"]).is_empty()
}

/// Adds one FieldsV1 to another. A leaf (`{}`) owns its place, which beside others is written `.`.
fn unite(fields: &mut Value, other: &Value) {
    let (Some(fields), Some(other)) = (fields.as_object_mut(), other.as_object()) else {
        return;
    };
    if fields.is_empty() != other.is_empty() {
        fields.insert(".".to_owned(), Value::Object(Map::new()));
    }
    for (name, below) in other {
        match fields.get_mut(name) {
            Some(known) => unite(known, below),
            None => {
                fields.insert(name.clone(), below.clone());
            }
        }
    }
    if fields.len() == 1 && fields.contains_key(".") {
        fields.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_old_manager_owned_becomes_ours() {
        let object = json!({"metadata": {"resourceVersion": "7", "managedFields": [
            {"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": {"f:data": {".": {}, "f:old": {}}}},
            {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {"f:data": {"f:new": {}}}},
            {"manager": "other", "operation": "Update", "fieldsV1": {"f:x": {}}}]}});
        let patch = take_over(&object, "kubectl-client-side-apply").unwrap();
        let entries = patch[0]["value"].as_array().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(
            entries[0]["fieldsV1"],
            json!({"f:data": {".": {}, "f:new": {}, "f:old": {}}})
        );
        assert_eq!(patch[1]["value"], "7");
        assert_eq!(take_over(&object, "nobody"), None);
    }
}
