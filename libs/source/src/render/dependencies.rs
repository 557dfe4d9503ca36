//! Charts that a chart depends on and that are not in its folder: brought from where it says, as `helm dependency build`
//! does, with the ways in that the tenant has.

use domain::cause::{Cause, Location};
use domain::message;
use domain::version::{Range, Version, Wanted as Revision, newest_of, wanted};
use serde_json::Value;
use tokio::runtime::Handle;

use super::overrides::below;
use super::read_set::Remote;
use super::reader::{Mount, Reader};
use super::renderer::RenderInput;
use super::worker::{Failure, Wanted};
use super::yaml;
use crate::charts::Charts;
use crate::error::{Error, Kind};
use crate::git::{Access, Node};

/// How long a range stays what it was, in seconds: as a listing does.
const RANGE_HOLDS: i64 = 180;
/// The most charts that one depends on.
const MAX_CHARTS: usize = 100;

/// The longest address of a place, in bytes.
const MAX_ADDRESS: usize = 2_000;
/// How much of a name in a chart is shown.
const MAX_SHOWN: usize = 200;

/// From where charts are brought, and how.
pub(super) struct Dependencies<'a> {
    pub(super) charts: &'a Charts,
    pub(super) input: &'a RenderInput,
    pub(super) runtime: &'a Handle,
}

/// A place that charts come from.
enum From<'a> {
    /// A folder of the repository.
    Folder(&'a str),
    Access(&'a Access),
}

impl Dependencies<'_> {
    /// Brings what is missing into the `charts` folder of the folder that is for it. Blocks; only on a thread where that is
    /// allowed.
    pub(super) fn bring(
        &self,
        reader: &Reader<'_, '_>,
        folder: &dyn Fn(&Wanted) -> String,
        failure: &Failure,
        failed: &dyn Fn(&Failure) -> Error,
    ) -> Result<(), Error> {
        if failure.wanted.len() > MAX_CHARTS {
            let message = message::source::TOO_LARGE
                .with("what", "the number of dependencies")
                .with("limit", MAX_CHARTS);
            return Err(Error::new(Kind::TooLarge, message));
        }
        let at = |one: &Wanted, error: Error| {
            error.map(|cause| {
                cause.located(Some(Location {
                    path: reader.trees().shown(&failure.file),
                    line: line_of(reader, &failure.file, &one.name),
                }))
            })
        };
        let (mut places, mut needs) = (Vec::new(), Vec::new());
        for one in &failure.wanted {
            if one.repository.is_empty() {
                // It has to be in the folder, and is not.
                return Err(failed(failure));
            }
            if let Some(path) = one.repository.strip_prefix("file://") {
                places.push((one, From::Folder(path)));
                continue;
            }
            match self.input.dependencies.get(&one.repository) {
                Some(Some(access)) => places.push((one, From::Access(access))),
                Some(None) => return Err(at(one, nowhere(one))),
                None if one.repository.len() > MAX_ADDRESS => return Err(at(one, nowhere(one))),
                None if needs.contains(&one.repository) => {}
                None => needs.push(one.repository.clone()),
            }
        }
        if !needs.is_empty() {
            let unknown = failure
                .wanted
                .iter()
                .find(|one| needs.contains(&one.repository));
            let error = unknown.map_or_else(|| failed(failure), |one| at(one, nowhere(one)));
            return Err(error.needing(needs));
        }
        for (one, place) in places {
            match place {
                From::Folder(path) => self.link(reader, &folder(one), one, path),
                From::Access(access) => self.fetch(reader, &folder(one), one, access),
            }
            .map_err(|error| at(one, error))?;
        }
        Ok(())
    }

    /// A chart of the same repository.
    fn link(
        &self,
        reader: &Reader<'_, '_>,
        folder: &str,
        one: &Wanted,
        path: &str,
    ) -> Result<(), Error> {
        let outside = || {
            let message = message::source::PATH_OUTSIDE.with("path", &one.repository);
            Error::new(Kind::Invalid, message)
        };
        if path.starts_with('/') {
            return Err(outside());
        }
        let found = reader.find(&below(folder, path))?;
        let none = || {
            let message = message::chart::DEPENDENCY_FOLDER
                .with("chart", shown(&one.name))
                .with("repository", shown(&one.repository))
                .with("path", reader.trees().shown(&found.path));
            Error::of(Kind::NotFound, Cause::error(message))
        };
        let Node::Folder(_) = found.node else {
            return Err(none());
        };
        let file = reader.read(&below(&found.path, "Chart.yaml"))?;
        let file = file.ok_or_else(none)?;
        let (documents, _) = yaml::documents(&file.text()?);
        let version = documents.first();
        let version = version.and_then(|chart| chart.value.get("version")?.as_str());
        let fits = Range::parse(&one.version)
            .zip(version.and_then(Version::parse))
            .is_some_and(|(range, version)| range.has(&version));
        if !fits {
            return Err(no_version(one, &newest_of(version)));
        }
        let at = below(&below(folder, "charts"), &file_name(&one.name));
        reader.mount(at, Mount::Folder(found.path))
    }

    /// A chart of a repository or registry.
    fn fetch(
        &self,
        reader: &Reader<'_, '_>,
        folder: &str,
        one: &Wanted,
        access: &Access,
    ) -> Result<(), Error> {
        let pulling = self
            .charts
            .pull(access, &one.name, &one.version, self.input.fresh);
        let pulled = reader
            .trees()
            .wait(access, &message::chart::TIMEOUT, pulling)
            .map_err(|error| error.map(|cause| of_dependency(cause, one)))?;
        let range = wanted(&one.version) != Revision::Exact;
        let until = self.input.now + RANGE_HOLDS;
        reader.note(|set| {
            set.remotes.push(Remote {
                place: one.repository.clone(),
                url: access.url().to_owned(),
                scope: access.scope().to_owned(),
                chart: one.name.clone(),
                version: pulled.version.clone(),
                digest: pulled.digest.clone(),
                until: range.then_some(until),
            });
        });
        let name = format!("{}-{}.tgz", one.name, pulled.version);
        let at = below(&below(folder, "charts"), &file_name(&name));
        reader.mount(at, Mount::File(pulled.archive))
    }
}

/// A name as one of a file.
fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '+');
    name.chars()
        .map(|c| if plain(c) { c } else { '-' })
        .collect()
}

fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_SHOWN)]
}

fn nowhere(one: &Wanted) -> Error {
    let message = message::chart::DEPENDENCY_REPOSITORY
        .with("chart", shown(&one.name))
        .with("repository", shown(&one.repository));
    Error::of(Kind::Invalid, Cause::error(message))
}

/// What is said of a chart that an application names, said of one that another chart names.
fn of_dependency(cause: Cause, one: &Wanted) -> Cause {
    let message = &cause.message;
    let code = if message.is(&message::chart::NAME_REFUSED) {
        message::chart::DEPENDENCY_NAME
    } else if message.is(&message::chart::NOT_FOUND) {
        message::chart::DEPENDENCY_NOT_FOUND
    } else if message.is(&message::chart::VERSION_NOT_FOUND) {
        let there = message.arguments.get("versions");
        return no_version(one, there.map_or("-", String::as_str))
            .cause()
            .clone();
    } else {
        return cause;
    };
    let message = code
        .with("chart", shown(&one.name))
        .with("repository", shown(&one.repository));
    Cause::error(message)
}

fn no_version(one: &Wanted, there: &str) -> Error {
    let message = message::chart::DEPENDENCY_VERSION
        .with("chart", shown(&one.name))
        .with("repository", shown(&one.repository))
        .with("version", shown(&one.version))
        .with("versions", there);
    Error::of(Kind::NotFound, Cause::error(message))
}

/// The line at which a chart stands among those that a file names; 0 where it is not found.
fn line_of(reader: &Reader<'_, '_>, path: &str, name: &str) -> u32 {
    let read = reader.all_read();
    let text = read.get(path).and_then(|file| file.text().ok());
    let Some(document) = text.and_then(|text| yaml::documents(&text).0.into_iter().next()) else {
        return 0;
    };
    for list in ["dependencies", "helmCharts"] {
        let charts = document.value.get(list).and_then(Value::as_array);
        let mut charts = charts.into_iter().flatten();
        let at = charts.position(|chart| chart.get("name").and_then(Value::as_str) == Some(name));
        let field = at.map(|at| format!("{list}[{at}].name"));
        let mut lines = document.lines.iter();
        if let Some((_, line)) = lines.find(|(known, _)| Some(known) == field.as_ref()) {
            return *line;
        }
    }
    0
}
