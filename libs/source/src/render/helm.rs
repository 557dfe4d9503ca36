//! Helm charts, through a worker.

use std::collections::BTreeMap;

use domain::cause::Cause;
use domain::manifest::Manifest;
use domain::message;
use domain::settings::Rendering;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::runtime::Handle;

use super::dependencies::Dependencies;
use super::environment::Environment;
use super::reader::Reader;
use super::web;
use super::worker::{ChartDetails, Failure, Job, WorkerPool};
use super::{ask, hash, made, overrides};
use crate::error::{Error, Kind};
use crate::git::MAX_PATH;

/// An application's options, as Argo CD's ApplicationSourceHelm has them.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Options {
    release_name: String,
    namespace: String,
    kube_version: String,
    api_versions: Vec<String>,
    value_files: Vec<String>,
    ignore_missing_value_files: bool,
    values: String,
    values_object: Option<Value>,
    parameters: Vec<Parameter>,
    file_parameters: Vec<FileParameter>,
    skip_crds: bool,
    skip_tests: bool,
    skip_schema_validation: bool,
    /// `v3`, `v2` or nothing: there is one Helm, and it reads charts of both.
    #[serde(skip_serializing)]
    version: String,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Parameter {
    name: String,
    value: String,
    force_string: bool,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct FileParameter {
    name: String,
    path: String,
}

/// What a chart came out as.
pub(super) struct Made {
    pub(super) manifests: Vec<Manifest>,
    /// Whether it comes out otherwise each time.
    pub(super) undetermined: bool,
}

/// Renders the chart of a folder; one that names functions of chance or time twice, to see whether it matters. Blocks;
/// only on a thread where that is allowed.
pub(super) fn render(
    reader: &Reader<'_, '_>,
    folder: &str,
    options: Option<&Value>,
    environment: &Environment,
    dependencies: &Dependencies<'_>,
    pool: &WorkerPool,
    causes: &mut Vec<Cause>,
) -> Result<Made, Error> {
    let rendering = &dependencies.input.rendering;
    let options = with_files(fill_in(options, environment, reader)?, reader, rendering)?;
    let helm = serde_json::to_value(&options).map_err(Error::internal)?;
    let trees = trees(&options, reader)?;
    let job = Job::Helm { helm, trees };
    let shown = if folder.is_empty() { "." } else { folder };
    let run = || {
        let failed = |failure: &Failure| {
            made::explain(
                failure,
                message::source::HELM_FAILED.with("path", shown),
                reader,
            )
        };
        let once = || ask::run(reader, folder, &job, pool, dependencies.runtime);
        match once()? {
            // Charts that it depends on and that are not in its folder: they are brought there, and it is tried again.
            Err(failure) if !failure.wanted.is_empty() => {
                dependencies.bring(reader, &|_| folder.to_owned(), &failure, &failed)?;
                once()?.map_err(|failure| failed(&failure))
            }
            outcome => outcome.map_err(|failure| failed(&failure)),
        }
    };
    let built = run()?;
    let chance = built.chance;
    let manifests = made::manifests(built.objects);
    let undetermined = !chance.is_empty()
        && hash::names(&made::manifests(run()?.objects)) != hash::names(&manifests);
    if undetermined {
        let message = message::source::UNDETERMINED.with("path", shown);
        causes.push(Cause::warning(message.with("functions", chance.join(", "))));
    }
    Ok(Made {
        manifests,
        undetermined,
    })
}

/// What can be set of the chart of a folder. Blocks; only on a thread where that is allowed.
pub(super) fn details(
    reader: &Reader<'_, '_>,
    folder: &str,
    options: Option<&Value>,
    environment: &Environment,
    pool: &WorkerPool,
    (runtime, rendering): (&Handle, &Rendering),
) -> Result<ChartDetails, Error> {
    let options = with_files(fill_in(options, environment, reader)?, reader, rendering)?;
    let helm = serde_json::to_value(&options).map_err(Error::internal)?;
    let trees = trees(&options, reader)?;
    let job = Job::Details { helm, trees };
    let shown = if folder.is_empty() { "." } else { folder };
    let done = ask::run(reader, folder, &job, pool, runtime)?.map_err(|failure| {
        let failed = message::source::HELM_FAILED.with("path", shown);
        made::explain(&failure, failed, reader)
    })?;
    done.details
        .ok_or_else(|| Error::internal("the renderer gave no details"))
}

/// The options with Argo CD's defaults, and the build variables filled in where Argo CD does.
fn fill_in(
    options: Option<&Value>,
    environment: &Environment,
    reader: &Reader<'_, '_>,
) -> Result<Options, Error> {
    let mut filled = match options {
        Some(given) => overrides::options(given, "spec.source.helm")?,
        None => Options::default(),
    };
    if !matches!(filled.version.as_str(), "" | "v2" | "v3") {
        let message = message::source::OPTION_REFUSED.with("field", "spec.source.helm.version");
        let cause = Cause::error(message).field("spec.source.helm.version");
        let why = format!("there is no Helm {}; write v3, or nothing", filled.version);
        return Err(Error::of(Kind::Invalid, cause.evidence(why)));
    }
    if filled.release_name.is_empty() {
        filled.release_name = environment.used("ARGOCD_APP_NAME", reader);
    }
    if filled.namespace.is_empty() {
        filled.namespace = environment.used("ARGOCD_APP_NAMESPACE", reader);
    }
    for parameter in &mut filled.parameters {
        parameter.value = environment.expand(&parameter.value, reader);
    }
    let files = filled.value_files.iter_mut();
    let files = files.chain(filled.file_parameters.iter_mut().map(|one| &mut one.path));
    for file in files {
        // The name of another source is none of a variable, whatever it is called.
        let rest = other_source(file, reader).map_or(0, str::len);
        *file = format!(
            "{}{}",
            &file[..rest],
            environment.expand(&file[rest..], reader)
        );
    }
    Ok(filled)
}

/// The options with files of web servers at hand, by their paths from the root.
fn with_files(
    mut options: Options,
    reader: &Reader<'_, '_>,
    rendering: &Rendering,
) -> Result<Options, Error> {
    let parameters = options.file_parameters.iter_mut().map(|one| &mut one.path);
    let files = options.value_files.iter_mut().chain(parameters);
    let files: Vec<&mut String> = files.filter(|file| web::is_address(file)).collect();
    let permitted = |file: &&mut String| {
        let scheme = file.split(':').next().unwrap_or_default();
        let mut schemes = rendering.value_file_schemes.iter();
        schemes.any(|known| known.eq_ignore_ascii_case(scheme))
    };
    if let Some(file) = files.iter().find(|file| !permitted(file)) {
        let shown = domain::repository::without_passwords(file);
        let message = message::source::SCHEME_OFF.with("url", shown);
        return Err(Error::new(Kind::Invalid, message));
    }
    web::bring(reader, files.iter().map(|file| file.as_str()))?;
    for file in files {
        *file = format!("/{}", reader.mount_web("", file));
    }
    Ok(options)
}

/// The name of another source with which a path begins, `$name`; none where it begins with a build variable.
fn other_source<'a>(path: &'a str, reader: &Reader<'_, '_>) -> Option<&'a str> {
    let name = path
        .split('/')
        .next()
        .filter(|name| name.starts_with('$'))?;
    let variable = name.starts_with("${") || name.starts_with("$ARGOCD_");
    let known = reader.trees().names().any(|known| known == name);
    (known || !variable).then_some(name)
}

/// The trees of the other sources that the options name.
fn trees(options: &Options, reader: &Reader<'_, '_>) -> Result<BTreeMap<String, usize>, Error> {
    let value_files = options
        .value_files
        .iter()
        .map(|file| (file, "spec.source.helm.valueFiles"));
    let parameters = options
        .file_parameters
        .iter()
        .map(|one| (&one.path, "spec.source.helm.fileParameters"));
    let mut found = BTreeMap::new();
    for (path, field) in value_files.chain(parameters) {
        // No file has such a name, and a pattern would be tried on each of a folder.
        if path.len() > MAX_PATH {
            let cause = Cause::error(message::source::OPTION_REFUSED.with("field", field));
            let why = format!("a path has no more than {MAX_PATH} bytes");
            return Err(Error::of(Kind::Invalid, cause.field(field).evidence(why)));
        }
        let Some(name) = other_source(path, reader) else {
            continue;
        };
        let Some(number) = reader.trees().number(name)? else {
            let there: Vec<String> = reader.trees().names().collect();
            let message = match there.is_empty() {
                true => message::source::REFERENCE_WITHOUT_ANY.with("name", name),
                false => message::source::REFERENCE_UNKNOWN
                    .with("name", name)
                    .with("names", there.join(", ")),
            };
            return Err(Error::of(Kind::Invalid, Cause::error(message).field(field)));
        };
        found.insert(name.to_owned(), number);
    }
    Ok(found)
}
