//! Charts that a chart depends on and that are not in its folder: brought from where it says, as `helm dependency build`
//! does, with the ways in that the tenant has.

use domain::cause::{Cause, Location};
use domain::message;
use domain::version::{Range, Version, Wanted as Revision, wanted};
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
        let at = |error: Error| {
            error.map(|cause| {
                cause.located(Some(Location {
                    path: failure.file.clone(),
                    line: 0,
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
                Some(access) => places.push((one, From::Access(access))),
                None if one.repository.len() > MAX_ADDRESS => return Err(at(nowhere(one))),
                None if needs.contains(&one.repository) => {}
                None => needs.push(one.repository.clone()),
            }
        }
        if !needs.is_empty() {
            let unknown = failure
                .wanted
                .iter()
                .find(|one| needs.contains(&one.repository));
            let error = unknown.map_or_else(|| failed(failure), nowhere);
            return Err(at(error).needing(needs));
        }
        for (one, place) in places {
            match place {
                From::Folder(path) => self.link(reader, &folder(one), one, path),
                From::Access(access) => self.fetch(reader, &folder(one), one, access),
            }
            .map_err(at)?;
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
        let Node::Folder(_) = found.node else {
            return Err(no_version(one));
        };
        let file = reader.read(&below(&found.path, "Chart.yaml"))?;
        let file = file.ok_or_else(|| no_version(one))?;
        let (documents, _) = yaml::documents(&file.text()?);
        let version = documents.first().and_then(|chart| {
            let version = chart.value.get("version").and_then(Value::as_str)?;
            Version::parse(version)
        });
        let fits = Range::parse(&one.version)
            .zip(version)
            .is_some_and(|(range, version)| range.has(&version));
        if !fits {
            return Err(no_version(one));
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
            .map_err(|error| match error.kind() {
                Kind::NotFound => no_version(one),
                _ => error,
            })?;
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

fn no_version(one: &Wanted) -> Error {
    let message = message::chart::DEPENDENCY_VERSION
        .with("chart", shown(&one.name))
        .with("repository", shown(&one.repository))
        .with("version", shown(&one.version));
    Error::of(Kind::NotFound, Cause::error(message))
}
