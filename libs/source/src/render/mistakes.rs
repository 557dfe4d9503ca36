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
use crate::git::{Found, Node};

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

/// The mappings in it whose keys are whatever people like.
const FREE: [&str; 8] = [
    "commonLabels",
    "commonAnnotations",
    "labels",
    "annotations",
    "pairs",
    "openapi",
    "valuesInline",
    "valuesLocal",
];

/// The field of those whose folders are taken as parts.
const COMPONENTS: &str = "components";

/// The fields that name other files and folders whose objects are taken.
const TAKING: [&str; 3] = ["resources", "bases", COMPONENTS];

/// The mistake; `None` where it is none of those that are known here.
pub(super) fn of(reader: &Reader<'_, '_>, failure: &Failure) -> Option<Cause> {
    // Files that it takes have unknown fields too, and are told of in other words.
    const UNKNOWN: &str = "invalid Kustomization: json: unknown field \"";
    match quoted(&failure.error, UNKNOWN, '"') {
        Some(field) => unknown(reader, &failure.file, field),
        None => missing(reader, failure),
    }
}

/// A field that kustomizations do not have.
fn unknown(reader: &Reader<'_, '_>, path: &str, field: &str) -> Option<Cause> {
    let document = kustomization(reader, path)?;
    // They are read whatever their case. One that there is elsewhere is wrong further down.
    let known = FIELDS.iter().any(|one| one.eq_ignore_ascii_case(field));
    let whole = !known && document.value.get(field).is_some();
    let near = spelling::nearest(field, FIELDS).filter(|_| whole);
    let message = match near {
        Some(meant) => message::source::KUSTOMIZE_FIELD_SIMILAR.with("meant", meant),
        None => message::source::KUSTOMIZE_FIELD.message(),
    };
    let is_it = |path: &str| match whole {
        true => path == field,
        false => is_below(path, field),
    };
    let mut places = document.lines.iter().filter(|(path, _)| is_it(path));
    let (first, line) = places.next()?;
    // Elsewhere it may be right, and kustomize does not say which one it means.
    let like = shape(first);
    let sure = places.all(|(path, _)| shape(path) == like);
    let cause = Cause::error(message.with("field", field));
    Some(cause.located(Some(Location {
        path: reader.trees().shown(path),
        line: if sure { *line } else { 0 },
    })))
}

/// Whether a path is of a field of that name below another one, where names mean something.
fn is_below(path: &str, field: &str) -> bool {
    let above = path
        .strip_suffix(field)
        .and_then(|above| above.strip_suffix('.'));
    above.is_some_and(|above| !above.split('.').any(|part| FREE.contains(&part)))
}

/// A path, whichever items of lists it goes through.
fn shape(path: &str) -> String {
    path.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// A file or folder that a kustomization takes, and that is not there. Kustomize tries a file, then a folder, and tells of
/// both; of kustomizations that take each other the last one that it names has it. That it is not there is looked up: the same words
/// are said of what is wrong within it.
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
    // Of components it names none.
    let resource = quoted(said, "accumulating resources from '", '\'');
    let of_components = said.contains("accumulating components: loader.New");
    // Two entries that are one by their indentation are told better by kustomize.
    if (resource.is_none() && !of_components) || said.contains(" is ambiguous: ") {
        return None;
    }
    let folder = if folder == "." { "" } else { folder };
    let (path, document) = KUSTOMIZATIONS.into_iter().find_map(|name| {
        let path = below(folder, name);
        let document = kustomization(reader, &path)?;
        Some((path, document))
    })?;
    let absent = |entry: &str| {
        // An address of another place is not for this repository to have.
        let found = (!entry.contains("//")).then(|| reader.find(&below(folder, entry)));
        let found = found.and_then(Result::ok);
        found.filter(|found| found.node == Node::Missing)
    };
    let meant = |field: &str, entry: &str| match resource {
        Some(resource) => entry == resource,
        None => field == COMPONENTS,
    };
    let (field, position, entry, Found { path: end, .. }) =
        TAKING.into_iter().find_map(|field| {
            let list = document.value.get(field).and_then(Value::as_array)?;
            let mut entries = list.iter().map(Value::as_str).enumerate();
            entries.find_map(|(position, entry)| {
                let entry = entry.filter(|&entry| meant(field, entry))?;
                Some((field, position, entry, absent(entry)?))
            })
        })?;
    let at = format!("{field}[{position}]");
    let mut lines = document.lines.iter();
    let line = lines.find(|(path, _)| *path == at);
    // The way to what is not there ends at the first part that is not.
    let message = match reader.trees().is_left_out(&end) {
        true => {
            let message = message::source::SUBMODULE_LEFT_OUT;
            message.with("path", reader.trees().shown(&end))
        }
        false => message::source::KUSTOMIZE_RESOURCE_MISSING.message(),
    };
    let message = message.with("resource", entry).with("field", field);
    Some(Cause::error(message).located(Some(Location {
        path: reader.trees().shown(&path),
        line: line.map_or(document.line, |(_, line)| *line),
    })))
}

/// A kustomization that was read.
fn kustomization(reader: &Reader<'_, '_>, path: &str) -> Option<Document> {
    let text = reader.all_read().get(path)?.text().ok()?;
    yaml::documents(&text).0.into_iter().next()
}

fn quoted<'a>(text: &'a str, before: &str, quote: char) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(quote).map(|(word, _)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_looked_for_where_names_mean_something() {
        for (path, found) in [
            ("images[0].newTagg", true),
            ("configMapGenerator[12].options.newTagg", true),
            ("newTagg", false),
            ("images[0].xnewTagg", false),
            ("commonLabels.newTagg", false),
            ("labels[0].pairs.newTagg", false),
            ("helmCharts[0].valuesInline.a[1].newTagg", false),
            ("labels[0].newTagg", true),
        ] {
            assert_eq!(is_below(path, "newTagg"), found, "{path}");
        }
        assert_eq!(shape("images[0].name"), shape("images[12].name"));
        assert_ne!(shape("images[0].name"), shape("patches[0].name"));
    }
}
