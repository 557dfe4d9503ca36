//! What is usually wrong with a kustomization that kustomize refuses, told by the line to edit and not in kustomize's words.

use domain::cause::{Cause, Location};
use domain::message;
use domain::spelling;
use serde_json::Value;

use super::detect::KUSTOMIZATIONS;
use super::overrides::below;
use super::reader::Reader;
use super::worker::Failure;
use super::yaml::{self, Document};

/// The fields of a kustomization.
const FIELDS: [&str; 34] = [
    "apiVersion",
    "kind",
    "metadata",
    "openapi",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "patchesStrategicMerge",
    "patchesJson6902",
    "patches",
    "images",
    "imageTags",
    "replacements",
    "replicas",
    "vars",
    "sortOptions",
    "resources",
    "components",
    "crds",
    "bases",
    "configMapGenerator",
    "secretGenerator",
    "helmGlobals",
    "helmCharts",
    "helmChartInflationGenerator",
    "generatorOptions",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "buildMetadata",
];

/// The fields that name other files and folders whose objects are taken.
const TAKING: [&str; 3] = ["resources", "bases", "components"];

/// The mistake; `None` where it is none of those that are known here.
pub(super) fn of(reader: &Reader<'_, '_>, failure: &Failure) -> Option<Cause> {
    match quoted(&failure.error, "unknown field \"", '"') {
        Some(field) => unknown(reader, &failure.file, field),
        None => missing(reader, failure),
    }
}

/// A field that kustomizations do not have.
fn unknown(reader: &Reader<'_, '_>, path: &str, field: &str) -> Option<Cause> {
    let document = kustomization(reader, path)?;
    let whole = document.value.get(field).is_some();
    let near = spelling::nearest(field, FIELDS).filter(|_| whole);
    let message = match near {
        Some(meant) => message::source::KUSTOMIZE_FIELD_SIMILAR.with("meant", meant),
        None => message::source::KUSTOMIZE_FIELD.message(),
    };
    let is_it = |path: &str| match whole {
        true => path == field,
        false => path.rsplit('.').next() == Some(field),
    };
    let line = line_of(&document, is_it)?;
    let cause = Cause::error(message.with("field", field));
    Some(cause.located(Some(Location {
        path: reader.trees().shown(path),
        line,
    })))
}

/// A file or folder that a kustomization takes, and that is not there. Kustomize tries a file, then a folder, and tells of
/// both; of kustomizations that take each other the last one that it names has it.
fn missing(reader: &Reader<'_, '_>, failure: &Failure) -> Option<Cause> {
    const TAKEN: &str = "recursed accumulation of path '";
    let (folder, said) = match failure.error.rsplit_once(TAKEN) {
        Some((_, rest)) => rest.split_once('\'')?,
        None => {
            let folder = failure.file.rsplit_once('/');
            let folder = folder.map_or("", |(folder, _)| folder);
            (folder, failure.error.as_str())
        }
    };
    let entry = quoted(said, "accumulating resources from '", '\'')?;
    let absent = ["no such file", "does not exist", "doesn't exist"];
    // An address of another place is not for this repository to have.
    if entry.contains("//") || !absent.into_iter().any(|words| said.contains(words)) {
        return None;
    }
    let folder = if folder == "." { "" } else { folder };
    let (path, document) = KUSTOMIZATIONS.into_iter().find_map(|name| {
        let path = below(folder, name);
        let document = kustomization(reader, &path)?;
        Some((path, document))
    })?;
    let named = |field: &str| {
        let list = document.value.get(field).and_then(Value::as_array)?;
        list.iter().position(|item| item.as_str() == Some(entry))
    };
    let (field, position) = TAKING
        .into_iter()
        .find_map(|field| Some((field, named(field)?)))?;
    let at = format!("{field}[{position}]");
    let line = line_of(&document, |path| path == at).unwrap_or(document.line);
    let message = message::source::KUSTOMIZE_RESOURCE_MISSING
        .with("resource", entry)
        .with("field", field);
    Some(Cause::error(message).located(Some(Location {
        path: reader.trees().shown(&path),
        line,
    })))
}

/// A kustomization that was read.
fn kustomization(reader: &Reader<'_, '_>, path: &str) -> Option<Document> {
    let text = reader.all_read().get(path)?.text().ok()?;
    yaml::documents(&text).0.into_iter().next()
}

/// The line of the first field whose path is wanted.
fn line_of(document: &Document, wanted: impl Fn(&str) -> bool) -> Option<u32> {
    let mut lines = document.lines.iter();
    lines.find(|(path, _)| wanted(path)).map(|(_, line)| *line)
}

fn quoted<'a>(text: &'a str, before: &str, quote: char) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(quote).map(|(word, _)| word)
}
