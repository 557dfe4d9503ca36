//! Options that a repository itself gives for its sources: `.argocd-source.yaml` and `.argocd-source-<app>.yaml`.

use domain::cause::{Cause, Location};
use domain::message;
use serde_json::Value;

use super::reader::Reader;
use super::yaml;
use crate::error::{Error, Kind};

/// The fields that a file cannot change.
const FIXED: [&str; 4] = ["chart", "path", "repoURL", "targetRevision"];

/// The path of an application's own file; `None` when its name cannot be part of one.
pub(super) fn file_of(folder: &str, app: &str) -> Option<String> {
    (!app.is_empty() && !app.contains('/'))
        .then(|| below(folder, &format!(".argocd-source-{app}.yaml")))
}

/// A name in a folder.
pub(super) fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

/// The source with the repository's own options merged in.
pub(super) fn merged(
    reader: &Reader<'_, '_>,
    folder: &str,
    app: &str,
    source: &Value,
) -> Result<Value, Error> {
    let mut merged = source.clone();
    let mut merge = |path: &str| -> Result<bool, Error> {
        let Some(file) = reader.read(path)? else {
            return Ok(false);
        };
        let at = |line| {
            Some(Location {
                path: file.path.clone(),
                line,
            })
        };
        let text = file.text()?;
        match yaml::documents(&text) {
            (_, Some(broken)) => {
                let cause =
                    Cause::error(message::source::YAML_BROKEN.message()).located(at(broken.line));
                Err(Error::of(Kind::Invalid, cause.evidence(broken.why)))
            }
            (documents, None) => {
                if let Some(first) = documents.into_iter().next() {
                    patch(&mut merged, first.value);
                }
                Ok(true)
            }
        }
    };
    merge(&below(folder, ".argocd-source.yaml"))?;
    if let Some(path) = file_of(folder, app) {
        let there = merge(&path)?;
        reader.note(|set| {
            set.application = Some((app.to_owned(), there));
            if !there {
                // Not of this application: whoever asks next looks for its own.
                set.own.entries.remove(&path);
            }
        });
    }
    for field in FIXED {
        match (source.get(field), merged.as_object_mut()) {
            (Some(value), Some(object)) => drop(object.insert(field.to_owned(), value.clone())),
            (None, Some(object)) => drop(object.remove(field)),
            _ => {}
        }
    }
    Ok(merged)
}

/// A merge patch as RFC 7386 has it.
fn patch(target: &mut Value, with: Value) {
    let Value::Object(with) = with else {
        *target = with;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Some(object) = target.as_object_mut() else {
        return;
    };
    for (key, value) in with {
        if value.is_null() {
            object.remove(&key);
        } else {
            patch(object.entry(key).or_insert(Value::Null), value);
        }
    }
}
