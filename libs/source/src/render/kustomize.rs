//! Kustomizations, through a worker.

use std::collections::{BTreeSet, HashMap};

use domain::application::{KUSTOMIZE_VERSION, Kustomize};
use domain::cause::{Cause, Location, Severity};
use domain::manifest::Manifest;
use domain::message;
use domain::repository::without_passwords;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::ask;
use super::dependencies::Dependencies;
use super::detect::KUSTOMIZATIONS;
use super::environment::Environment;
use super::hash;
use super::helm::Made;
use super::images::Images;
use super::made::without_addresses;
use super::mistakes;
use super::names::{Names, Within};
use super::origin::{Origins, Places};
use super::overrides::below;
use super::patches::Objects;
use super::reader::{File, Reader};
use super::remote;
use super::trees::{MAX_REMOTES, Trees, too_many};
use super::web;
use super::worker::{Build, Built, Done, Failure, Job, Wanted, WorkerPool};
use super::yaml;
use crate::error::{Error, Kind};

/// Builds the kustomization of a folder; one whose charts name functions of chance or time twice, to see whether it
/// matters. Blocks; only on a thread where that is allowed.
pub(super) fn render(
    reader: &Reader<'_, '_>,
    folder: &str,
    options: Option<&Kustomize>,
    environment: &Environment,
    dependencies: &Dependencies<'_>,
    pool: &WorkerPool,
    causes: &mut Vec<Cause>,
) -> Result<Made, Error> {
    if let Some(wanted) = options.map(|options| options.version.as_str()) {
        one_version(wanted)?;
    }
    let filled = options.map(|options| fill_in(options, environment, reader));
    let as_json = filled
        .as_ref()
        .map(serde_json::to_value)
        .transpose()
        .map_err(Error::internal)?;
    let build = Build {
        options: dependencies.input.rendering.build.clone(),
        kube_version: options.map_or_else(String::new, |given| given.kube_version.clone()),
        api_versions: options.map_or_else(Vec::new, |given| given.api_versions.clone()),
        origins: false,
    };
    let mut job = Job::Kustomize {
        options: as_json,
        build,
    };
    let once = |job: &Job| build_once(reader, folder, job, dependencies, pool);
    let mut built = once(&job)?;
    let mut manifests = manifests(reader, &built);
    if manifests.is_none() {
        // Which of its files an object is of, only the library can tell.
        if let Job::Kustomize { build, .. } = &mut job {
            build.origins = true;
        }
        built = once(&job)?;
        manifests = self::manifests(reader, &built);
    }
    let chance = std::mem::take(&mut built.chance);
    let manifests = manifests.unwrap_or_default();
    let undetermined = !chance.is_empty()
        && hash::names(&self::manifests(reader, &once(&job)?).unwrap_or_default())
            != hash::names(&manifests);
    if undetermined {
        let shown = if folder.is_empty() { "." } else { folder };
        let message = message::source::UNDETERMINED.with("path", shown);
        causes.push(Cause::warning(message.with("functions", chance.join(", "))));
    }
    check(reader, filled.as_ref(), &manifests, causes);
    Ok(Made {
        manifests,
        undetermined,
    })
}

/// Refuses another Kustomize than the one that there is, with or without the `v` of its versions.
fn one_version(wanted: &str) -> Result<(), Error> {
    let same = wanted.trim_start_matches('v') == KUSTOMIZE_VERSION.trim_start_matches('v');
    if wanted.is_empty() || same {
        return Ok(());
    }
    let message = message::source::KUSTOMIZE_VERSION
        .with("wanted", wanted)
        .with("version", KUSTOMIZE_VERSION);
    let cause = Cause::error(message).field("spec.source.kustomize.version");
    Err(Error::of(Kind::Invalid, cause))
}

/// Builds it, bringing what it takes of other places.
fn build_once(
    reader: &Reader<'_, '_>,
    folder: &str,
    job: &Job,
    dependencies: &Dependencies<'_>,
    pool: &WorkerPool,
) -> Result<Done, Error> {
    let (mut depth, mut charts, mut brought) = (0, 0, Vec::new());
    loop {
        reader.trees().in_time()?;
        match ask::run(reader, folder, job, pool, dependencies.runtime)? {
            Ok(built) => return Ok(built),
            // What was brought already and is wanted again is not what it is said to be.
            Err(failure)
                if !failure.wanted.is_empty()
                    && charts < MAX_KUSTOMIZATIONS
                    && !brought.contains(&(failure.file.clone(), failure.wanted.clone())) =>
            {
                charts += 1;
                let at = failure
                    .file
                    .rsplit_once('/')
                    .map_or("", |(folder, _)| folder);
                let place = |one: &Wanted| below(at, &format!("{PULLED}/{}", place_of(one)));
                let failed = |failure: &Failure| explain(reader, folder, failure);
                dependencies.bring(reader, &place, &failure, &failed)?;
                brought.push((failure.file, failure.wanted));
            }
            Err(failure) if failure.remotes.is_empty() => {
                return Err(explain(reader, folder, &failure));
            }
            Err(failure) if depth >= MAX_DEPTH => return Err(too_deep(&failure)),
            Err(failure) => {
                depth += 1;
                mount(reader, &failure)?;
            }
        }
    }
}

/// The folder of a chart of another place, told apart by where it is from.
fn place_of(one: &Wanted) -> String {
    let from = format!("{}\0{}\0{}", one.repository, one.name, one.version);
    hex::encode(&Sha256::digest(from)[..16])
}

/// What was built, each object with where it is written; `None` where that cannot be told of one of them.
fn manifests(reader: &Reader<'_, '_>, built: &Done) -> Option<Vec<Manifest>> {
    let read = reader.all_read();
    let mut origins = Origins::default();
    let written = built.written.as_ref();
    let files = written.and_then(|written| written.files.as_deref());
    let files: Vec<&File> = files
        .unwrap_or_default()
        .iter()
        .filter_map(|path| read.get(path))
        .collect();
    let places = Places::of(&files);
    let generated = written.and_then(|written| written.generated.as_deref());
    let generated = generated.unwrap_or_default();
    let mut made_by: HashMap<&str, Vec<(String, usize)>> = HashMap::new();
    for (at, one) in generated.iter().enumerate() {
        let same_kind = made_by.entry(one.kind.as_str()).or_default();
        same_kind.push((one.name.clone(), at));
    }
    let made_by = made_by.into_iter();
    let made_by: HashMap<&str, Names> = made_by
        .map(|(kind, names)| (kind, names.into_iter().collect()))
        .collect();
    let mut manifests = Vec::with_capacity(built.objects.len());
    for Built {
        object,
        path,
        generated: made,
    } in &built.objects
    {
        let (object, file) = (object.clone(), read.get(path));
        let whole = |file: &File| Location {
            path: file.path.clone(),
            line: 0,
        };
        manifests.push(match (written, made) {
            (None, true) => Manifest::new(object, file.map(whole)),
            (None, false) => origins.place(object, file),
            (Some(_), _) => {
                let kind = domain::resource::text(&object, &["kind"]);
                let name = domain::resource::text(&object, &["metadata", "name"]);
                let by = made_by.get(kind);
                let by = by.map_or(Within::Nothing, |names| names.all_within(name));
                match (places.find(&object), by) {
                    (Some(found), Within::Nothing) => found.of(object),
                    (None, Within::One(by)) => {
                        let file = generated.get(by).and_then(|by| read.get(&by.path));
                        Manifest::new(object, file.map(whole))
                    }
                    _ => return None,
                }
            }
        });
    }
    Some(manifests)
}

/// How many kustomizations with charts of other places one may span.
const MAX_KUSTOMIZATIONS: usize = 20;

/// Where charts of other places are seen, below the kustomization's folder.
const PULLED: &str = "+helm";

/// How often what was taken of other repositories may ask for more of them.
const MAX_DEPTH: usize = 10;

/// The longest address of another repository, in bytes.
const MAX_ADDRESS: usize = 2_000;

fn too_deep(failure: &Failure) -> Error {
    let message = message::source::TOO_LARGE
        .with(
            "what",
            "the chain of repositories that take from each other",
        )
        .with("limit", MAX_DEPTH);
    let named: Vec<&str> = failure.remotes.iter().take(3).map(String::as_str).collect();
    let cause =
        Cause::error(message).evidence(named.join(", ").chars().take(1000).collect::<String>());
    Error::of(Kind::TooLarge, cause)
}

/// Opens the folders of other repositories that a build asks for. Those that there is no way into are told all at once.
fn mount(reader: &Reader<'_, '_>, failure: &Failure) -> Result<(), Error> {
    let mut wanted: Vec<String> = Vec::new();
    let mut first = None;
    let files = failure.remotes.iter().map(String::as_str);
    match web::bring(reader, files.filter(|entry| remote::is_file(entry))) {
        Err(error) if !error.wanted().is_empty() => {
            wanted.extend_from_slice(error.wanted());
            first = Some(error.cause().clone());
        }
        result => result.map_err(|error| located(error, reader, failure))?,
    }
    for entry in &failure.remotes {
        if entry.len() > MAX_ADDRESS {
            let shown = &entry[..entry.floor_char_boundary(200)];
            let message = message::source::KUSTOMIZE_REMOTE.with("resource", shown);
            return Err(Error::new(Kind::Invalid, message));
        }
        let refused = || {
            let message =
                message::source::KUSTOMIZE_REMOTE.with("resource", without_passwords(entry));
            Cause::error(message).located(Some(Location {
                path: reader.trees().shown(&failure.file),
                line: 0,
            }))
        };
        if remote::is_file(entry) {
            continue;
        }
        let found = remote::parse(entry).ok_or_else(|| Error::of(Kind::Invalid, refused()))?;
        let name = Trees::remote_name(&found.repository, &found.revision);
        let number = reader.trees().number(&name);
        if number
            .map_err(|error| located(error, reader, failure))?
            .is_none()
        {
            first.get_or_insert_with(refused);
            if !wanted.contains(&found.repository) {
                wanted.push(found.repository);
            }
            if wanted.len() > MAX_REMOTES {
                return Err(too_many());
            }
        }
    }
    match first {
        Some(cause) => Err(Error::of(Kind::NotFound, cause).wanting(wanted)),
        None => Ok(()),
    }
}

/// A failure of another repository, at the kustomization that names it.
fn located(error: Error, reader: &Reader<'_, '_>, failure: &Failure) -> Error {
    error.map(|cause| match cause.location {
        Some(_) => cause,
        None => cause.located(Some(Location {
            path: reader.trees().shown(&failure.file),
            line: 0,
        })),
    })
}

/// Fills the build variables in where Argo CD does.
fn fill_in(options: &Kustomize, environment: &Environment, reader: &Reader<'_, '_>) -> Kustomize {
    let mut filled = options.clone();
    filled
        .images
        .iter_mut()
        .for_each(|image| *image = environment.expand(image, reader));
    filled
        .common_labels
        .values_mut()
        .for_each(|value| *value = environment.expand(value, reader));
    if filled.common_annotations_envsubst {
        filled
            .common_annotations
            .values_mut()
            .for_each(|value| *value = environment.expand(value, reader));
    }
    filled
}

/// The worker's failure, as a cause at the file (and line) to edit.
fn explain(reader: &Reader<'_, '_>, folder: &str, failure: &Failure) -> Error {
    let location = |line| {
        (!failure.file.is_empty()).then(|| Location {
            path: reader.trees().shown(&failure.file),
            line,
        })
    };
    let shown = if folder.is_empty() { "." } else { folder };
    let kustomization = reader.all_read().get(&failure.file).and_then(|file| {
        let text = file.text().ok()?;
        Some((yaml::documents(&text).0.into_iter().next(), text))
    });
    let line_of = |words: &str| {
        let (_, text) = kustomization.as_ref()?;
        text.lines()
            .position(|line| line.contains(words))
            .and_then(|at| u32::try_from(at + 1).ok())
    };
    match failure.kind.as_str() {
        "helm-off" => {
            let cause = Cause::error(message::source::KUSTOMIZE_HELM_OFF.message());
            let line = line_of("helmChart").unwrap_or(0);
            Error::of(Kind::Invalid, cause.located(location(line)))
        }
        "refused" => {
            let message = message::source::KUSTOMIZE_REFUSED
                .with("feature", &failure.feature)
                .with("reason", &failure.error);
            let last = failure.feature.rsplit('/').next().unwrap_or_default();
            let cause = Cause::error(message).located(location(line_of(last).unwrap_or(0)));
            Error::of(Kind::Invalid, cause)
        }
        "remote" => {
            let shown = without_passwords(&failure.feature);
            let message = message::source::KUSTOMIZE_REMOTE.with("resource", shown);
            let cause =
                Cause::error(message).located(location(line_of(&failure.feature).unwrap_or(0)));
            Error::of(Kind::Unsupported, cause)
        }
        "outside" => {
            let cause = Cause::error(message::source::PATH_OUTSIDE.with("path", &failure.feature));
            Error::of(
                Kind::Invalid,
                cause.located(location(line_of(&failure.feature).unwrap_or(0))),
            )
        }
        "too-many" => {
            let message = message::source::TOO_LARGE
                .with("what", "the number of values in the rendered result")
                .with("limit", 500_000);
            Error::new(Kind::TooLarge, message)
        }
        "too-large" => {
            let message = message::source::TOO_LARGE
                .with("what", "the rendered result")
                .with("limit", "64 MiB");
            Error::new(Kind::TooLarge, message)
        }
        _ => {
            // A number as tag is the usual reason for this one, and the message of the library does not say where.
            if failure.error.contains("newTag")
                && let Some((Some(document), _)) = &kustomization
                && let Some(cause) = Images::default()
                    .check(
                        &reader.trees().shown(&failure.file),
                        document,
                        Severity::Error,
                    )
                    .into_iter()
                    .find(|cause| cause.message.is(&message::lint::TAG_IS_NUMBER))
            {
                return Error::of(Kind::Invalid, cause);
            }
            if let Some(cause) = mistakes::of(reader, failure) {
                return Error::of(Kind::Invalid, cause);
            }
            let said = failure
                .error
                .split_once("yaml: line ")
                .map(|(_, rest)| rest);
            let line = said
                .and_then(|rest| {
                    rest.split(|c: char| !c.is_ascii_digit())
                        .next()?
                        .parse()
                        .ok()
                })
                .unwrap_or(0);
            let cause = Cause::error(message::source::KUSTOMIZE_FAILED.with("path", shown))
                .located(location(line));
            Error::of(
                Kind::Invalid,
                cause.evidence(
                    without_addresses(&failure.error)
                        .chars()
                        .take(1000)
                        .collect::<String>(),
                ),
            )
        }
    }
}

/// Overrides that match none of the images in the files that were read, and patches that are for no object in them.
fn check(
    reader: &Reader<'_, '_>,
    options: Option<&Kustomize>,
    manifests: &[Manifest],
    causes: &mut Vec<Cause>,
) {
    let (mut images, mut objects) = (Images::default(), Objects::default());
    for manifest in manifests {
        objects.add(&manifest.object);
    }
    let mut kustomizations = Vec::new();
    let mut made = BTreeSet::new();
    for (path, file) in reader.all_read() {
        let Ok(text) = file.text() else { continue };
        let name = path.rsplit('/').next().unwrap_or_default();
        for document in yaml::documents(&text).0 {
            images.add(&document.value);
            objects.add(&document.value);
            if KUSTOMIZATIONS.contains(&name) {
                let names = document
                    .value
                    .get("images")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten();
                made.extend(
                    names.filter_map(|item| item.get("newName")?.as_str().map(str::to_owned)),
                );
                objects.add_made(&document.value);
                kustomizations.push((file.path.clone(), document));
            }
        }
    }
    for made in &made {
        images.add(&serde_json::json!({"image": made}));
    }
    // Which images a chart has is in no file.
    let all_known = !objects.are_made();
    for (path, document) in &kustomizations {
        if all_known {
            causes.extend(images.check(path, document, Severity::Warning));
        }
        causes.extend(objects.check(path, document));
    }
    if let Some(options) = options {
        if all_known {
            causes.extend(images.check_options(&options.images, &made));
        }
        causes.extend(objects.check_options(&options.patches));
    }
}
