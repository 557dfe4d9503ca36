//! Who manages which field, as server-side apply has it: what an apply takes, gives up and collides with. Without schemas:
//! maps merge field by field, lists are one value, but for finalizers, which are a set.

use std::collections::{BTreeMap, BTreeSet};

use domain::resource::{at, text};
use serde_json::{Map, Value, json};

/// The way to a field: steps as `managedFields` writes them.
pub(crate) type Path = Vec<String>;
/// Whose fields they are: manager, operation.
pub(crate) type Who = (String, String);

/// What is no manager's: the server's own, and what names the object.
const NOBODYS: [&str; 10] = [
    "name",
    "namespace",
    "generateName",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "managedFields",
    "selfLink",
];

/// The fields of an object that somebody may manage.
pub(crate) fn leaves(object: &Value) -> BTreeSet<Path> {
    let mut found = BTreeSet::new();
    let parts = object.as_object().into_iter().flatten();
    for (name, value) in parts.filter(|(name, _)| !is_named(name)) {
        let mut path = vec![format!("f:{name}")];
        if name == "metadata" {
            let fields = value.as_object().into_iter().flatten();
            for (name, value) in fields.filter(|(name, _)| !NOBODYS.contains(&name.as_str())) {
                path.push(format!("f:{name}"));
                walk(value, &mut path, &mut found);
                path.pop();
            }
        } else {
            walk(value, &mut path, &mut found);
        }
    }
    found
}

fn is_named(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "status")
}

fn walk(value: &Value, path: &mut Path, found: &mut BTreeSet<Path>) {
    match value {
        Value::Null => {}
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                path.push(format!("f:{name}"));
                walk(value, path, found);
                path.pop();
            }
        }
        Value::Array(items) if is_set(path) => {
            for item in items {
                path.push(format!("v:{item}"));
                found.insert(path.clone());
                path.pop();
            }
        }
        _ => {
            found.insert(path.clone());
        }
    }
}

fn is_set(path: &[String]) -> bool {
    path.len() == 2 && path[0] == "f:metadata" && path[1] == "f:finalizers"
}

/// What is at a place.
pub(crate) fn value(object: &Value, path: &[String]) -> Option<Value> {
    let (last, before) = path.split_last()?;
    let mut here = object;
    for step in before {
        here = here.get(step.strip_prefix("f:")?)?;
    }
    match last.strip_prefix("f:") {
        Some(name) => here.get(name).cloned(),
        None => {
            let item: Value = serde_json::from_str(last.strip_prefix("v:")?).ok()?;
            here.as_array()?.contains(&item).then_some(item)
        }
    }
}

/// Puts a value at a place.
pub(crate) fn set(object: &mut Value, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *object = value;
        return;
    };
    let Some(name) = first.strip_prefix("f:") else {
        if !object.is_array() {
            *object = json!([]);
        }
        if let Some(items) = object.as_array_mut()
            && !items.contains(&value)
        {
            items.push(value);
        }
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    if let Some(fields) = object.as_object_mut() {
        set(fields.entry(name).or_insert(Value::Null), rest, value);
    }
}

/// Takes a place out, and what is empty then around it.
pub(crate) fn remove(object: &mut Value, path: &[String]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    let Some(name) = first.strip_prefix("f:") else {
        let item = first.strip_prefix("v:").unwrap_or_default();
        if let Some(items) = object.as_array_mut() {
            // Written, as the path has it.
            items.retain(|there| serde_json::to_string(there).is_ok_and(|there| there != item));
        }
        return;
    };
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    if rest.is_empty() {
        fields.remove(name);
        return;
    }
    let Some(beneath) = fields.get_mut(name) else {
        return;
    };
    remove(beneath, rest);
    let empty = match &*beneath {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    if empty {
        fields.remove(name);
    }
}

/// Reads an object's managers.
pub(crate) fn managers(object: &Value) -> BTreeMap<Who, BTreeSet<Path>> {
    let entries = at(object, &["metadata", "managedFields"]).and_then(Value::as_array);
    let mut managers = BTreeMap::new();
    for entry in entries.into_iter().flatten() {
        let who = (
            text(entry, &["manager"]).to_owned(),
            text(entry, &["operation"]).to_owned(),
        );
        let mut paths = BTreeSet::new();
        read(&entry["fieldsV1"], &mut Vec::new(), &mut paths);
        managers.insert(who, paths);
    }
    managers
}

fn read(fields: &Value, path: &mut Path, found: &mut BTreeSet<Path>) {
    let Some(fields) = fields.as_object() else {
        return;
    };
    if fields.is_empty() && !path.is_empty() {
        found.insert(path.clone());
    }
    for (step, beneath) in fields {
        path.push(step.clone());
        read(beneath, path, found);
        path.pop();
    }
}

/// Writes an object's managers.
pub(crate) fn write(object: &mut Value, managers: &BTreeMap<Who, BTreeSet<Path>>) {
    let version = text(object, &["apiVersion"]).to_owned();
    let entries = managers.iter().filter(|(_, paths)| !paths.is_empty());
    let entries: Vec<Value> = entries
        .map(|((manager, operation), paths)| {
            json!({"manager": manager, "operation": operation, "apiVersion": version,
                "fieldsType": "FieldsV1", "fieldsV1": tree(paths)})
        })
        .collect();
    object["metadata"]["managedFields"] = Value::Array(entries);
}

fn tree(paths: &BTreeSet<Path>) -> Value {
    let mut top = Value::Object(Map::new());
    for path in paths {
        let mut here = &mut top;
        for step in path {
            if !here[step.as_str()].is_object() {
                here[step.as_str()] = json!({});
            }
            here = &mut here[step.as_str()];
        }
    }
    top
}

/// Notes that somebody has made an object what it is, other than by an apply: what they changed is theirs now.
pub(crate) fn touched(before: Option<&Value>, next: &mut Value, manager: &str) {
    let now = leaves(next);
    let changed: BTreeSet<Path> = now
        .iter()
        .filter(|path| before.and_then(|before| value(before, path)) != value(next, path))
        .cloned()
        .collect();
    let mut managers = before.map(managers).unwrap_or_default();
    for paths in managers.values_mut() {
        paths.retain(|path| now.contains(path) && !changed.contains(path));
    }
    let who = (manager.to_owned(), "Update".to_owned());
    managers.entry(who).or_default().extend(changed);
    write(next, &managers);
}

/// A field that is somebody else's.
pub(crate) struct Conflict {
    /// Where.
    pub(crate) field: String,
    /// Whose.
    pub(crate) manager: String,
}

/// What an apply makes of an object; the conflicts where it is not forced.
pub(crate) fn applied(
    before: &Value,
    wanted: &Value,
    manager: &str,
    force: bool,
) -> Result<Value, Vec<Conflict>> {
    let paths = leaves(wanted);
    let mut managers = managers(before);
    let me = (manager.to_owned(), "Apply".to_owned());
    let mut conflicts = Vec::new();
    for (who, owned) in &mut managers {
        if *who == me {
            continue;
        }
        owned.retain(|path| {
            let taken = paths.contains(path) && value(before, path) != value(wanted, path);
            if taken {
                conflicts.push(Conflict {
                    field: dotted(path),
                    manager: who.0.clone(),
                });
            }
            !taken
        });
    }
    if !conflicts.is_empty() && !force {
        return Err(conflicts);
    }
    let mut next = before.clone();
    let had = managers.remove(&me).unwrap_or_default();
    for path in had.difference(&paths) {
        if !managers.values().any(|owned| owned.contains(path)) {
            remove(&mut next, path);
        }
    }
    for path in &paths {
        if let Some(value) = value(wanted, path) {
            set(&mut next, path, value);
        }
    }
    managers.insert(me, paths);
    write(&mut next, &managers);
    Ok(next)
}

fn dotted(path: &[String]) -> String {
    let steps = path.iter().filter_map(|step| step.strip_prefix("f:"));
    steps.map(|step| format!(".{step}")).collect()
}
