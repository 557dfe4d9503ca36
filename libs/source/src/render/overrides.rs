//! Options that a repository itself gives for its sources: `.argocd-source.yaml` and `.argocd-source-<app>.yaml`.

use domain::application::Source;
use domain::cause::{Cause, Location};
use domain::message;
use domain::spelling::nearest;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::reader::Reader;
use super::yaml::{self, Document};
use crate::error::{Error, Kind};

/// The fields that a file cannot change.
const FIXED: [&str; 5] = ["chart", "path", "repoURL", "tagPrefix", "targetRevision"];

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

/// The source with the repository's own options merged in, and the files that have some.
pub(super) fn merged(
    reader: &Reader<'_, '_>,
    folder: &str,
    app: &str,
    source: &Value,
) -> Result<(Value, Vec<OptionsFile>), Error> {
    let mut merged = source.clone();
    let mut files = Vec::new();
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
                let Some(document) = documents.into_iter().next() else {
                    return Ok(true);
                };
                let file = OptionsFile {
                    path: file.path.clone(),
                    document,
                };
                // A list would be read as the fields in their order.
                if !matches!(file.document.value, Value::Object(_) | Value::Null) {
                    let cause = Cause::error(message::source::OPTIONS_INVALID.message());
                    let cause = cause.evidence("invalid type: expected a map of fields");
                    return Err(file.blamed(Error::of(Kind::Invalid, cause)));
                }
                patch(&mut merged, file.document.value.clone());
                keep_fixed(&mut merged, source);
                // At the first file with which it is none: an application's own spec was read before it came here.
                if let Err(error) = options::<Source>(&merged, SOURCE) {
                    return Err(file.blamed(error));
                }
                files.push(file);
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
    Ok((merged, files))
}

/// Lets what a file cannot change be as the application has it.
fn keep_fixed(merged: &mut Value, source: &Value) {
    for field in FIXED {
        match (source.get(field), merged.as_object_mut()) {
            (Some(value), Some(object)) => drop(object.insert(field.to_owned(), value.clone())),
            (None, Some(object)) => drop(object.remove(field)),
            _ => {}
        }
    }
}

/// What the fields of a source begin with in an application's spec.
pub(super) const SOURCE: &str = "spec.source";

/// Reads options that stand at a field of the spec; a value of another form is a cause that names its own field.
pub(super) fn options<T: DeserializeOwned>(value: &Value, field: &str) -> Result<T, Error> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let below = error.path().to_string();
        let field = match below.as_str() {
            // Of the options as a whole.
            "." => field.to_owned(),
            below => format!("{field}.{below}"),
        };
        let cause = Cause::error(message::source::OPTIONS_INVALID.message()).field(field);
        Error::of(
            Kind::Invalid,
            cause.evidence(error.into_inner().to_string()),
        )
    })
}

/// How many fields of one file that nobody reads are told.
const MAX_UNREAD: usize = 20;

/// A file with options.
#[derive(Debug)]
pub(super) struct OptionsFile {
    path: String,
    document: Document,
}

impl OptionsFile {
    /// Where it sets a field of the spec; `None` where it does not.
    fn sets(&self, field: &str) -> Option<Location> {
        let below = field.strip_prefix(SOURCE)?.strip_prefix('.')?;
        let names = below.split('.').map(|name| name.split('[').next());
        let mut value = &self.document.value;
        for name in names {
            value = value.get(name?)?;
            if value.is_array() {
                // A file has the whole list or nothing of it.
                break;
            }
        }
        Some(self.at(below))
    }

    /// The line of a field, or of what it stands in.
    fn at(&self, field: &str) -> Location {
        let lines = &self.document.lines;
        let mut name = field;
        let line = loop {
            if let Some((_, line)) = lines.iter().find(|(known, _)| known == name) {
                break *line;
            }
            match name.rfind(['.', '[']) {
                Some(cut) => name = &name[..cut],
                None => break self.document.line,
            }
        };
        Location {
            path: self.path.clone(),
            line,
        }
    }

    /// A failure that it is the reason of.
    fn blamed(&self, error: Error) -> Error {
        error.map(|cause| {
            let field = cause.field.clone().unwrap_or_default();
            let at = self.sets(&field);
            cause.located(Some(at.unwrap_or_else(|| self.at(""))))
        })
    }

    /// What it sets and nothing reads.
    pub(super) fn unread(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        self.look(&self.document.value, "", &mut causes);
        causes
    }

    fn look(&self, value: &Value, above: &str, causes: &mut Vec<Cause>) {
        for (position, item) in value.as_array().into_iter().flatten().enumerate() {
            self.look(item, &format!("{above}[{position}]"), causes);
        }
        let (Some(known), Some(map)) = (known_below(above), value.as_object()) else {
            return;
        };
        for (name, value) in map {
            if causes.len() >= MAX_UNREAD {
                return;
            }
            let field = match above {
                "" => name.clone(),
                above => format!("{above}.{name}"),
            };
            if known.contains(&name.as_str()) {
                self.look(value, &field, causes);
                continue;
            }
            let message = match nearest(name, known.iter().copied()) {
                Some(meant) => message::lint::OPTIONS_FILE_FIELD_SIMILAR.with("meant", meant),
                None => message::lint::OPTIONS_FILE_FIELD.with("known", known.join(", ")),
            };
            let cause = Cause::warning(message.with("field", &field));
            causes.push(cause.located(Some(self.at(&field))).field(field));
        }
    }
}

/// A cause that is about an option, at the repository's own file where that is what sets it: the last one counts.
pub(super) fn placed(cause: Cause, files: &[OptionsFile]) -> Cause {
    let (Some(field), None) = (&cause.field, &cause.location) else {
        return cause;
    };
    let at = files.iter().rev().find_map(|file| file.sets(field));
    cause.located(at)
}

/// What a file may set, by what it stands in; `None` where anything may stand. As Argo CD's ApplicationSource has it.
fn known_below(above: &str) -> Option<&'static [&'static str]> {
    // All items of a list have the same fields.
    let (list, item) = match above.split_once('[') {
        Some((list, item)) => (list, item.split_once(']').map_or("", |(_, below)| below)),
        None => (above, ""),
    };
    if list == "kustomize.patches" {
        return Some(match (above.len() > list.len(), item) {
            (true, "") => &["options", "patch", "path", "target"],
            (true, ".target") => &[
                "annotationSelector",
                "group",
                "kind",
                "labelSelector",
                "name",
                "namespace",
                "version",
            ],
            _ => return None,
        });
    }
    Some(match above {
        "" => &["directory", "helm", "kustomize", "plugin"],
        "directory" => &[
            "disableExtensionFilter",
            "exclude",
            "include",
            "jsonnet",
            "recurse",
        ],
        "directory.jsonnet" => &["extVars", "libs", "tlas"],
        "helm" => &[
            "apiVersions",
            "fileParameters",
            "ignoreMissingValueFiles",
            "kubeVersion",
            "namespace",
            "parameters",
            "passCredentials",
            "releaseName",
            "skipCrds",
            "skipSchemaValidation",
            "skipTests",
            "valueFiles",
            "values",
            "valuesObject",
            "version",
        ],
        "kustomize" => &[
            "apiVersions",
            "commonAnnotations",
            "commonAnnotationsEnvsubst",
            "commonLabels",
            "components",
            "forceCommonAnnotations",
            "forceCommonLabels",
            "ignoreMissingComponents",
            "images",
            "kubeVersion",
            "labelIncludeTemplates",
            "labelWithoutSelector",
            "namePrefix",
            "nameSuffix",
            "namespace",
            "patches",
            "replicas",
            "version",
        ],
        "plugin" => &["env", "name", "parameters"],
        _ => return None,
    })
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
