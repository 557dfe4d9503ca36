//! A plain directory: YAML and JSON files as they are, Jsonnet files as they evaluate. Which they are their names say; where the
//! names need not end in any way, what is called neither JSON nor Jsonnet is YAML.

use domain::application::Directory;
use domain::cause::{Cause, Location};
use domain::manifest::Manifest;
use domain::message;
use globset::GlobBuilder;
use serde_json::Value;

use super::jsonnet::Jsonnet;
use super::origin;
use super::overrides::below;
use super::reader::{File, Reader};
use super::yaml::{self, Broken, Document};
use crate::error::{Error, Kind};
use crate::git::ItemKind;

/// The most that the manifest files of a source may hold together; Argo CD's limit.
const MAX_COMBINED: u64 = 10 << 20;
/// The most values that the manifests of a source may hold together.
const MAX_NODES: usize = 500_000;
/// How deep folders are searched.
const MAX_FOLDERS: usize = 64;
/// The longest pattern, in bytes, and the most groups in braces of one.
const MAX_PATTERN: usize = 16 << 10;
const MAX_GROUPS: usize = 64;
/// A file with these words in it is left out.
const SKIP_MARKER: &str = "+argocd:skip-file-rendering";

/// Reads the manifests of a folder.
pub(super) fn render(
    reader: &Reader<'_, '_>,
    folder: &str,
    options: &Directory,
    jsonnet: &Jsonnet<'_>,
    causes: &mut Vec<Cause>,
) -> Result<Vec<Manifest>, Error> {
    let patterns = Patterns::new(options, causes);
    let mut manifests = Vec::new();
    let mut nodes = 0;
    for file in files(reader, folder, options, &patterns)? {
        if file.path.ends_with(".jsonnet") {
            manifests.extend(jsonnet.evaluate(reader, &file.path)?);
        } else {
            nodes += read_file(&file, options, &mut manifests, causes)?;
        }
        if nodes > MAX_NODES {
            let message = message::source::TOO_LARGE
                .with("what", "the number of values in all manifest files")
                .with("limit", MAX_NODES);
            return Err(Error::new(Kind::TooLarge, message));
        }
    }
    Ok(manifests)
}

/// The options' globs. A `*` also matches a slash, as in Argo CD.
struct Patterns {
    include: Option<Option<globset::GlobMatcher>>,
    exclude: Option<globset::GlobMatcher>,
}

impl Patterns {
    fn new(options: &Directory, causes: &mut Vec<Cause>) -> Self {
        let mut compile = |pattern: &str, field: &str| {
            // One that is long or nested would take the memory or the stack to read.
            let fits = pattern.len() <= MAX_PATTERN && pattern.matches('{').count() <= MAX_GROUPS;
            let compiled = fits.then(|| {
                let mut builder = GlobBuilder::new(pattern);
                builder.literal_separator(false).backslash_escape(true);
                builder.build().ok()
            });
            let compiled = compiled.flatten();
            if compiled.is_none() {
                let cause = Cause::warning(message::lint::BAD_PATTERN.with("pattern", pattern));
                causes.push(cause.field(format!("spec.source.directory.{field}")));
            }
            compiled.map(|glob| glob.compile_matcher())
        };
        Self {
            include: (!options.include.is_empty()).then(|| compile(&options.include, "include")),
            exclude: (!options.exclude.is_empty())
                .then(|| compile(&options.exclude, "exclude"))
                .flatten(),
        }
    }

    fn take(&self, path: &str) -> bool {
        if self
            .exclude
            .as_ref()
            .is_some_and(|glob| glob.is_match(path))
        {
            return false;
        }
        // A pattern that cannot be read matches nothing.
        self.include
            .as_ref()
            .is_none_or(|glob| glob.as_ref().is_some_and(|glob| glob.is_match(path)))
    }
}

/// The files that may be manifests, in the order in which Argo CD walks them.
fn files(
    reader: &Reader<'_, '_>,
    root: &str,
    options: &Directory,
    patterns: &Patterns,
) -> Result<Vec<File>, Error> {
    let mut found = Vec::new();
    let mut combined = 0;
    // (path below the source's folder, is a folder), the next one last.
    let mut todo = vec![(String::new(), true)];
    while let Some((path, is_folder)) = todo.pop() {
        if is_folder {
            if path.split('/').count() > MAX_FOLDERS {
                let message = message::source::TOO_LARGE
                    .with("what", "the depth of folders")
                    .with("limit", MAX_FOLDERS);
                return Err(Error::new(Kind::TooLarge, message));
            }
            let items = reader.list(&at(root, &path))?.unwrap_or_default();
            for item in items.into_iter().rev() {
                let inner = if path.is_empty() {
                    item.name
                } else {
                    format!("{path}/{}", item.name)
                };
                match item.kind {
                    ItemKind::File | ItemKind::Link => todo.push((inner, false)),
                    ItemKind::Folder | ItemKind::Submodule if options.recurse => {
                        todo.push((inner, true));
                    }
                    ItemKind::Folder | ItemKind::Submodule => {}
                }
            }
            continue;
        }
        if !options.disable_extension_filter && !is_named_as_manifest(&path) {
            continue;
        }
        let place = reader.find(&at(root, &path))?;
        let Some(size) = reader.size(&place)? else {
            continue;
        }; // a link to nothing, or to a folder
        if !patterns.take(&path) {
            continue;
        }
        combined += size;
        if combined > MAX_COMBINED {
            let message = message::source::TOO_LARGE
                .with("what", "all manifest files together")
                .with("limit", "10 MiB");
            return Err(Error::new(Kind::TooLarge, message));
        }
        let Some(file) = reader.read(&at(root, &path))? else {
            continue;
        };
        if contains(&file.content, SKIP_MARKER.as_bytes()) {
            combined -= size;
            continue;
        }
        found.push(file);
    }
    Ok(found)
}

/// Whether a file's name ends as those of manifests do.
fn is_named_as_manifest(path: &str) -> bool {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension);
    matches!(extension, Some("yaml" | "yml" | "json" | "jsonnet"))
}

/// What a file has somewhere in it that is to be a manifest.
const MARKS: [&str; 3] = ["apiVersion:", "kind:", "metadata:"];

fn at(root: &str, path: &str) -> String {
    if path.is_empty() {
        root.to_owned()
    } else {
        below(root, path)
    }
}

fn contains(content: &[u8], words: &[u8]) -> bool {
    content.windows(words.len()).any(|window| window == words)
}

/// Reads a file's manifests; says how many values it holds.
fn read_file(
    file: &File,
    options: &Directory,
    manifests: &mut Vec<Manifest>,
    causes: &mut Vec<Cause>,
) -> Result<usize, Error> {
    let text = match file.text() {
        // Where every name counts, pictures and archives lie among what is read.
        Err(_) if options.disable_extension_filter && is_something_else(file) => return Ok(0),
        text => text?,
    };
    if file.path.ends_with(".json") {
        let document = yaml::json_file(&text).map_err(|why| broken(file, why, true))?;
        if kind(&document).is_none() {
            return Err(without_kind(file, &document));
        }
        let nodes = document.nodes;
        manifests.extend(unpack(file, document)?);
        return Ok(nodes);
    }
    let (documents, failed) = yaml::documents(&text);
    let mut good = Vec::new();
    let mut error = failed.map(|why| broken(file, why, false));
    let mut kindless = None;
    for document in documents {
        if kind(&document).is_none() {
            error = Some(without_kind(file, &document));
            kindless = Some(document.line);
            break;
        }
        good.push(document);
    }
    if let Some(error) = error {
        // A file that looks like no manifest at all may be anything and is left alone, unless a limit was met.
        let manifest_like = MARKS.iter().all(|word| text.contains(word));
        if !good.is_empty() || manifest_like || error.kind() == Kind::TooLarge {
            return Err(error);
        }
        // Left alone as in Argo CD, and said: somebody may wait for it.
        let almost = ["apiVersion:", "metadata:"]
            .iter()
            .all(|word| text.contains(word));
        let line = kindless.filter(|_| almost);
        causes.extend(line.map(|line| {
            let path = file.path.clone();
            let cause = Cause::warning(message::source::KIND_MISSING.message());
            cause.located(Some(Location { path, line }))
        }));
        return Ok(0);
    }
    let nodes = good.iter().map(|document| document.nodes).sum();
    for document in good {
        for (key, line) in &document.duplicates {
            let location = Location {
                path: file.path.clone(),
                line: *line,
            };
            let cause = Cause::warning(message::lint::DUPLICATE_KEY.with("key", key));
            causes.push(cause.field(key.clone()).located(Some(location)));
        }
        manifests.extend(unpack(file, document)?);
    }
    Ok(nodes)
}

/// Whether a file that is no text has nothing to do with manifests.
fn is_something_else(file: &File) -> bool {
    let is_manifest_like = MARKS
        .iter()
        .all(|word| contains(&file.content, word.as_bytes()));
    !is_named_as_manifest(&file.path) && !is_manifest_like
}

fn kind(document: &Document) -> Option<&str> {
    document
        .value
        .get("kind")
        .and_then(Value::as_str)
        .filter(|kind| !kind.is_empty())
}

fn broken(file: &File, why: Broken, json: bool) -> Error {
    let location = Some(Location {
        path: file.path.clone(),
        line: why.line,
    });
    if let Some(limit) = why.limit {
        let cause = Cause::error(message::source::YAML_BOMB.with("limit", limit));
        return Error::of(Kind::TooLarge, cause.located(location));
    }
    let code = if json {
        message::source::JSON_BROKEN
    } else {
        message::source::YAML_BROKEN
    };
    Error::of(
        Kind::Invalid,
        Cause::error(code.message())
            .located(location)
            .evidence(why.why),
    )
}

fn without_kind(file: &File, document: &Document) -> Error {
    let location = Some(Location {
        path: file.path.clone(),
        line: document.line,
    });
    Error::of(
        Kind::Invalid,
        Cause::error(message::source::KIND_MISSING.message()).located(location),
    )
}

/// The objects of a document: itself, or the items of a list; a list of null is nothing.
fn unpack(file: &File, document: Document) -> Result<Vec<Manifest>, Error> {
    let has = |field: &str| document.value.get(field).is_some();
    if document.value.get("items").is_some_and(Value::is_null) && !has("spec") && !has("status") {
        return Ok(Vec::new());
    }
    let line = document.line;
    let objects = origin::objects(&file.path, document);
    if objects.iter().all(|manifest| manifest.object.is_object()) {
        return Ok(objects);
    }
    let cause = Cause::error(message::source::KIND_MISSING.message());
    Err(Error::of(
        Kind::Invalid,
        cause
            .located(Some(Location {
                path: file.path.clone(),
                line,
            }))
            .evidence("an item of the list is no object"),
    ))
}
