//! Renders: detects the tool, runs it, checks and names what comes out.

use std::collections::BTreeMap;

use crowd::seats::Seat;
use domain::application::Source;
use domain::cause::{Cause, Location, Severity};
use domain::manifest::{Manifest, ManifestSetHash, ReplacedElsewhere, SourceType};
use domain::message;
use domain::render::{Changed, Read};
use domain::settings::Rendering;
use futures::future::{try_join, try_join_all};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use super::dependencies::Dependencies;
use super::detect::{self, Tool};
use super::environment::Environment;
use super::held::Held;
use super::images::Images;
use super::jsonnet::Jsonnet;
use super::overrides::OptionsFile;
use super::read_set::ReadSet;
use super::reader::Reader;
use super::trees::{Reference, Trees};
use super::worker::WorkerPool;
use super::{
    checks, directory, hash, helm, kustomize, lints, overrides, provenance, submodules, substitute,
};
use crate::charts::Charts;
use crate::error::{Error, Kind};
use crate::git::{Access, Files, Mirrors, Node, Snapshot};

/// The cluster that is rendered for, as far as charts may know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Its version, `v1.34.1`; empty where it is not known.
    pub kube_version: String,
    /// Its APIs, `apps/v1` and `apps/v1/Deployment`, sorted.
    pub api_versions: Vec<String>,
}

impl Target {
    /// A cluster's version and APIs, in any order.
    #[must_use]
    pub fn new(kube_version: String, mut api_versions: Vec<String>) -> Self {
        api_versions.sort_unstable();
        Self {
            kube_version,
            api_versions,
        }
    }

    pub(super) fn has(&self, api: &str) -> bool {
        let found = self
            .api_versions
            .binary_search_by(|known| known.as_str().cmp(api));
        found.is_ok()
    }

    /// A name that only an equal list of APIs has.
    #[must_use]
    pub fn name(&self) -> String {
        let mut hash = Sha256::new();
        for api in &self.api_versions {
            hash.update(api);
            hash.update([0]);
        }
        hex::encode(&hash.finalize()[..16])
    }
}

/// What a render is asked for, besides the repository and the commit.
#[derive(Clone, Debug, Default)]
pub struct RenderInput {
    /// The ApplicationSource, JSON.
    pub source: Value,
    /// The application.
    pub app_name: String,
    /// Its project.
    pub project: String,
    /// The namespace of objects that name none.
    pub namespace: String,
    /// The variables that may be replaced; empty: none are.
    pub variables: BTreeMap<String, String>,
    /// The cluster that it is for.
    pub target: Target,
    /// The other sources that its options may refer to.
    pub references: Vec<Reference>,
    /// Whether a chart's repository is asked if it still has the same archive, and the revisions of `remotes` anew.
    pub fresh: bool,
    /// When it is asked for, in Unix seconds.
    pub now: i64,
    /// The ways into the places that charts depend on, by what the chart writes; `None` where there is none.
    pub dependencies: BTreeMap<String, Option<Access>>,
    /// The ways into the repositories that it may take folders of by their addresses.
    pub remotes: Vec<Access>,
    /// What the tenant's settings say about it.
    pub rendering: Rendering,
}

impl RenderInput {
    /// The source's options in a form in which equal ones are equal bytes. The revision is left out: it has been
    /// resolved, and where it is filled into options it is part of the [`ReadSet`].
    #[must_use]
    pub fn source_key(&self) -> Vec<u8> {
        let mut source = self.source.clone();
        if let Some(fields) = source.as_object_mut() {
            fields.remove("targetRevision");
        }
        hash::canonical(&source)
    }

    /// A text field of the source.
    pub(super) fn text(&self, field: &str) -> &str {
        self.source
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The chart of a chart repository; empty for a folder of a Git repository.
    fn chart(&self) -> &str {
        self.text("chart")
    }

    /// Whether it is an artifact of a registry.
    pub(super) fn is_artifact(&self) -> bool {
        self.chart().is_empty() && domain::repository::is_artifact(self.text("repoURL"))
    }

    /// Whether it is a chart of a chart repository, or an artifact.
    #[must_use]
    pub fn is_of_charts(&self) -> bool {
        !self.chart().is_empty() || self.is_artifact()
    }

    /// The other sources that may be read, which are repositories of Git.
    fn repositories(&self) -> impl Iterator<Item = &Reference> {
        let others = self.references.iter();
        others.filter(|one| one.chart.is_empty() && !one.access.is_registry())
    }

    /// The source's folder as a clean path; a chart is its own.
    pub(super) fn folder(&self) -> String {
        if !self.chart().is_empty() {
            return String::new();
        }
        let parts = self
            .text("path")
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".");
        parts.collect::<Vec<_>>().join("/")
    }
}

/// What came out of a render.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// The objects, in the tool's order.
    pub manifests: Vec<Manifest>,
    /// The name of the set.
    pub hash: ManifestSetHash,
    /// The name of the set together with where everything was written.
    pub detail: String,
    /// What rendered it.
    pub source_type: SourceType,
    /// Warnings.
    pub causes: Vec<Cause>,
    /// The variables that were replaced in files in which no object was written; the first of them where they are many.
    pub elsewhere: Vec<ReplacedElsewhere>,
    /// Names everything that it was made of, where it comes out otherwise each time: whoever has a set of that name keeps
    /// to it.
    pub undetermined: Option<String>,
    /// What it depended on.
    pub read_set: ReadSet,
}

/// Renders sources. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Renderer {
    mirrors: Mirrors,
    charts: Charts,
    pool: WorkerPool,
    /// What each of its threads has until it has ended, with a turn while it does not wait for servers.
    seat: Option<Seat>,
}

impl Renderer {
    /// A renderer over mirrors and workers.
    #[must_use]
    pub fn new(mirrors: Mirrors, pool: WorkerPool) -> Self {
        Self {
            charts: Charts::new(&mirrors),
            mirrors,
            pool,
            seat: None,
        }
    }

    /// The same in a seat, which its threads have until they have ended: a thread waits for other places, and reads on, when nobody
    /// waits for it any more. The turn is others' while it waits.
    #[must_use]
    pub fn seated(&self, seat: Seat) -> Self {
        Self {
            seat: Some(seat),
            ..self.clone()
        }
    }

    pub(super) fn seat(&self) -> Option<Seat> {
        self.seat.clone()
    }

    /// The chart repositories that it renders from.
    #[must_use]
    pub fn charts(&self) -> &Charts {
        &self.charts
    }

    /// The files of a commit, of a version of a chart, or of an artifact, and how that is called. Its turn is others' where a server is
    /// waited for: they may have made room for others, and a chart's repository may have to be asked anew.
    pub(super) async fn files(
        &self,
        access: &Access,
        revision: &str,
        input: &RenderInput,
    ) -> Result<(Snapshot, String), Error> {
        let finding = self.find(access, revision, input);
        match &self.seat {
            Some(seat) => seat.lending(finding).await,
            None => finding.await,
        }
    }

    async fn find(
        &self,
        access: &Access,
        revision: &str,
        input: &RenderInput,
    ) -> Result<(Snapshot, String), Error> {
        let chart = input.chart();
        if input.is_artifact() {
            let snapshot = self.charts.artifact(access, revision).await?;
            return Ok((snapshot, revision.to_owned()));
        }
        if chart.is_empty() {
            let snapshot = self.mirrors.ensure_commit(access, revision).await?;
            let commit = snapshot.commit();
            return Ok((snapshot, commit));
        }
        let passes = input
            .source
            .pointer("/helm/passCredentials")
            .and_then(Value::as_bool);
        let access = access
            .clone()
            .passing_credentials(passes.unwrap_or_default());
        let snapshot = self
            .charts
            .ensure(&access, chart, revision, input.fresh)
            .await?;
        Ok((snapshot, revision.to_owned()))
    }

    /// Whether nothing has to be fetched of what is known to be read before anything is: the source's own repository, chart or artifact,
    /// and the repositories of the sources that it refers to.
    pub async fn has(&self, access: &Access, commit: &str, input: &RenderInput) -> bool {
        let own = match input.is_of_charts() {
            true => self.charts.has(access, input.chart(), commit).await,
            false => self.mirrors.has_commit(access, commit).await,
        };
        if !own {
            return false;
        }
        for other in input.repositories() {
            if !self.mirrors.has_commit(&other.access, &other.commit).await {
                return false;
            }
        }
        true
    }

    /// Has that fetched, all at once, for whoever has something better to hold than a turn while a server takes its time.
    ///
    /// # Errors
    /// When something of it cannot be had.
    pub async fn fetch(
        &self,
        access: &Access,
        commit: &str,
        input: &RenderInput,
    ) -> Result<(), Error> {
        let own = async { self.files(access, commit, input).await.map(drop) };
        let others = input.repositories().map(|other| async move {
            let fetched = self.mirrors.ensure_commit(&other.access, &other.commit);
            fetched.await.map(drop)
        });
        let others: Vec<_> = others.collect();
        match try_join(own, try_join_all(others)).await {
            // Whoever reads it mends it.
            Err(error) if error.kind() != Kind::Corrupt => Err(error.fetched()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    pub(super) fn mirrors(&self) -> &Mirrors {
        &self.mirrors
    }

    pub(super) fn pool(&self) -> &WorkerPool {
        &self.pool
    }

    /// The manifests of a source at a commit. A damaged mirror is fetched anew, once.
    ///
    /// # Errors
    /// When the commit cannot be had, or the source cannot be rendered; the error's cause says what to edit and where.
    #[tracing::instrument(name = "source.render", skip_all, fields(app = input.app_name))]
    pub async fn render(
        &self,
        access: &Access,
        commit: &str,
        input: &RenderInput,
    ) -> Result<Rendered, Error> {
        let render = || self.try_render(access, commit, input);
        self.mended(access, input, render).await
    }

    /// What comes of a job; where it meets something damaged all that the source takes files from is thrown away, and it is done
    /// once more.
    async fn mended<T, F>(
        &self,
        access: &Access,
        input: &RenderInput,
        job: impl Fn() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        match job().await {
            Err(error) if error.kind() == Kind::Corrupt => {
                tracing::warn!(tenant = access.tenant(), url = access.url(), %error, "a damaged mirror is fetched anew");
                match input.chart() {
                    "" if input.is_artifact() => self.charts.forget(access, "")?,
                    "" => self.mirrors.forget(access).await?,
                    chart => self.charts.forget(access, chart)?,
                }
                self.forget_others(input).await?;
                job().await
            }
            result => result,
        }
    }

    /// Throws away the mirrors of what a source takes files from besides its own repository.
    pub(super) async fn forget_others(&self, input: &RenderInput) -> Result<(), Error> {
        let references = input.references.iter().map(|other| &other.access);
        for other in references.chain(&input.remotes) {
            self.mirrors.forget(other).await?;
        }
        Ok(())
    }

    async fn try_render(
        &self,
        access: &Access,
        commit: &str,
        input: &RenderInput,
    ) -> Result<Rendered, Error> {
        substitute::check(&input.variables)?;
        Trees::check(&input.references)?;
        let fetched = self.files(access, commit, input).await;
        let (snapshot, commit) = fetched.map_err(Error::fetched)?;
        let (own, input, pool) = (access.clone(), input.clone(), self.pool.clone());
        let (mirrors, charts, runtime) =
            (self.mirrors.clone(), self.charts.clone(), Handle::current());
        let seat = self.seat();
        snapshot
            .read(move |files| {
                let trees = Trees::new(&own, mirrors, runtime.clone(), &input, seat);
                render(files, &trees, &commit, &input, &charts, &pool, &runtime)
            })
            .await
    }

    /// The first of what `set` notes that is another at this commit, so that a render may come out otherwise than the one
    /// that it was noted for; nothing where it would not. A damaged mirror is fetched anew, once.
    ///
    /// # Errors
    /// When the commit cannot be had; with what it needs, where all that is missing is the way into a place.
    pub async fn changed(
        &self,
        access: &Access,
        commit: &str,
        input: &RenderInput,
        set: &ReadSet,
    ) -> Result<Option<Changed>, Error> {
        let (changed, _) = self.looked_through(access, commit, input, set).await?;
        Ok(changed)
    }

    /// The same, for a set of which it is known where it was found to hold: the files of a commit are what they are, so that
    /// there only what is asked can be another.
    ///
    /// # Errors
    /// Those of [`Renderer::changed`].
    pub async fn changed_since(
        &self,
        access: &Access,
        commit: &str,
        input: &RenderInput,
        set: &ReadSet,
        held: &Held,
    ) -> Result<Option<Changed>, Error> {
        if self.holds(access, commit, input, set, held) {
            return Ok(None);
        }
        let (changed, called) = self.looked_through(access, commit, input, set).await?;
        if is_of_commit(set, input) && changed.is_none() {
            held.note(commit, called, &input.app_name);
        }
        Ok(changed)
    }

    /// Whether it is known already that the set holds at this commit, for which nothing is read.
    #[must_use]
    pub fn holds(
        &self,
        access: &Access,
        commit: &str,
        input: &RenderInput,
        set: &ReadSet,
        held: &Held,
    ) -> bool {
        let holds = is_of_commit(set, input)
            && held
                .at(commit, &input.app_name)
                .is_some_and(|called| set.suits(input, &called))
            && substitute::check(&input.variables).is_ok();
        if holds {
            self.mirrors.use_now(access);
        }
        holds
    }

    /// What is another, and what the commit is called.
    async fn looked_through(
        &self,
        access: &Access,
        commit: &str,
        input: &RenderInput,
        set: &ReadSet,
    ) -> Result<(Option<Changed>, String), Error> {
        let look = || self.look_through(access, commit, input, set);
        self.mended(access, input, look).await
    }

    async fn look_through(
        &self,
        access: &Access,
        commit: &str,
        input: &RenderInput,
        set: &ReadSet,
    ) -> Result<(Option<Changed>, String), Error> {
        if substitute::check(&input.variables).is_err() {
            // No render would come out, whether it uses that one or not.
            let changed = Changed::new(Read::Variable, "");
            return Ok((Some(changed), commit.to_owned()));
        }
        let (snapshot, commit) = self.files(access, commit, input).await?;
        let (own, input, set) = (access.clone(), input.clone(), set.clone());
        let (mirrors, runtime) = (self.mirrors.clone(), Handle::current());
        let seat = self.seat();
        snapshot
            .read(move |files| {
                let trees = Trees::new(&own, mirrors, runtime, &input, seat);
                let changed = set.changed(files, &trees, &input, &commit)?;
                Ok((changed, commit))
            })
            .await
    }
}

/// Whether a set is of a commit's files alone: other repositories are asked what a revision of theirs is, and a chart's versions
/// what they are.
fn is_of_commit(set: &ReadSet, input: &RenderInput) -> bool {
    set.is_of_one_tree() && !input.is_of_charts()
}

/// The manifests of a source whose repository's files are these, at what is called so. Blocks.
///
/// # Errors
/// Why it cannot be rendered.
pub(super) fn render(
    files: &Files<'_>,
    trees: &Trees,
    commit: &str,
    input: &RenderInput,
    charts: &Charts,
    pool: &WorkerPool,
    runtime: &Handle,
) -> Result<Rendered, Error> {
    let reader = Reader::new(files, trees, input);
    let made = submodules::through(&reader, || {
        make(&reader, commit, input, charts, pool, runtime)
    })?;
    Ok(finish(reader, made, input))
}

/// What a source came out as.
struct Made {
    manifests: Vec<Manifest>,
    tool: SourceType,
    causes: Vec<Cause>,
    elsewhere: Vec<ReplacedElsewhere>,
    /// Whether it comes out otherwise each time.
    undetermined: bool,
}

fn make(
    reader: &Reader<'_, '_>,
    commit: &str,
    input: &RenderInput,
    charts: &Charts,
    pool: &WorkerPool,
    runtime: &Handle,
) -> Result<Made, Error> {
    let given: Source = overrides::options(&input.source, overrides::SOURCE)?;
    if !given.yields() {
        // A source that others refer to, and nothing else.
        return Ok(Made {
            manifests: Vec::new(),
            tool: SourceType::Directory,
            causes: Vec::new(),
            elsewhere: Vec::new(),
            undetermined: false,
        });
    }
    let placed = place(reader, commit, input)?;
    let made = build(reader, commit, &placed, input, charts, pool, runtime);
    let mut made = made.map_err(|error| placed.blamed(error))?;
    let own = std::mem::take(&mut made.causes).into_iter();
    made.causes = own
        .map(|cause| overrides::placed(cause, &placed.files))
        .collect();
    made.causes
        .extend(placed.files.iter().flat_map(OptionsFile::unread));
    if !input.variables.is_empty() {
        made.elsewhere = provenance::trace(reader, &mut made.manifests);
    }
    Ok(made)
}

fn build(
    reader: &Reader<'_, '_>,
    commit: &str,
    placed: &Placed,
    input: &RenderInput,
    charts: &Charts,
    pool: &WorkerPool,
    runtime: &Handle,
) -> Result<Made, Error> {
    let Placed {
        folder,
        tree,
        source,
        tool,
        files: _,
    } = placed;
    let mut causes = Vec::new();
    causes.extend(lints::two_tools(reader, folder, source, &input.rendering)?);
    let environment = Environment::new(input, commit);
    let dependencies = Dependencies {
        charts,
        input,
        runtime,
    };
    let mut undetermined = false;
    let manifests = match *tool {
        SourceType::Helm => {
            let made = helm::render(
                reader,
                folder,
                source.helm.as_ref(),
                &environment,
                &dependencies,
                pool,
                &mut causes,
            )?;
            undetermined = made.undetermined;
            made.manifests
        }
        SourceType::Kustomize => {
            let made = kustomize::render(
                reader,
                folder,
                source.kustomize.as_ref(),
                &environment,
                &dependencies,
                pool,
                &mut causes,
            )?;
            undetermined = made.undetermined;
            made.manifests
        }
        SourceType::Directory => {
            let options = source.directory.clone().unwrap_or_default();
            let jsonnet = Jsonnet::new(
                reader,
                folder,
                options.jsonnet.as_ref(),
                &environment,
                pool,
                runtime,
            )?;
            let made = directory::render(reader, folder, &options, &jsonnet, &mut causes);
            let no_chart = lints::no_chart(reader, folder)?;
            let manifests = match (made, &no_chart) {
                // Templates are no YAML.
                (Err(error), Some(why)) => return Err(error.also(why.clone())),
                (made, _) => made?,
            };
            misnamed(reader, folder, &manifests, &mut causes)?;
            causes.extend(no_chart);
            // One that says what is wrong with the folder says why it has none.
            if manifests.is_empty() && causes.is_empty() {
                causes.extend(lints::no_manifests(reader, folder)?);
            }
            manifests
        }
    };
    checks::refuse(&manifests)?;
    checks::placeholders(&manifests, &mut causes);
    reader.note(|set| set.close(folder, tree));
    Ok(Made {
        manifests,
        tool: *tool,
        causes,
        elsewhere: Vec::new(),
        undetermined,
    })
}

/// Where a source is, its options with the repository's own, and the tool for them.
pub(super) struct Placed {
    pub(super) folder: String,
    pub(super) tree: String,
    pub(super) source: Source,
    pub(super) tool: SourceType,
    /// Where the repository's own options stand.
    files: Vec<OptionsFile>,
}

impl Placed {
    /// A failure about an option, at the file that sets it where the application does not.
    pub(super) fn blamed(&self, error: Error) -> Error {
        error.map(|cause| overrides::placed(cause, &self.files))
    }
}

pub(super) fn place(
    reader: &Reader<'_, '_>,
    commit: &str,
    input: &RenderInput,
) -> Result<Placed, Error> {
    let given: Source = overrides::options(&input.source, overrides::SOURCE)?;
    let path = match given.path.as_str() {
        _ if !given.chart.is_empty() => ".",
        // A chart in a registry is a whole one.
        "" if given.is_artifact() => ".",
        path => path,
    };
    let (folder, tree) = folder(reader, path, commit)?;
    let (merged, files) = overrides::merged(reader, &folder, &input.app_name, &input.source)?;
    let source = overrides::options(&merged, overrides::SOURCE)?;
    let shown = if folder.is_empty() { "." } else { &folder };
    match detect::tool(reader, &folder, &source, &input.rendering)? {
        Tool::Known(tool) => Ok(Placed {
            folder,
            tree,
            source,
            tool,
            files,
        }),
        Tool::Plugin => Err(unsupported(shown, "a config management plugin")),
    }
}

fn finish(reader: Reader<'_, '_>, made: Made, input: &RenderInput) -> Rendered {
    let (hash, detail) = hash::names(&made.manifests);
    let read_set = reader.into_set();
    let undetermined = made
        .undetermined
        .then(|| read_set.name(&input.source_key()));
    Rendered {
        undetermined,
        manifests: made.manifests,
        hash,
        detail,
        source_type: made.tool,
        causes: made.causes,
        elsewhere: made.elsewhere,
        read_set,
    }
}

fn unsupported(path: &str, tool: &str) -> Error {
    Error::new(
        Kind::Unsupported,
        message::source::TOOL_NOT_SUPPORTED
            .with("path", path)
            .with("tool", tool),
    )
}

/// The source's folder, links followed, and its tree.
fn folder(reader: &Reader<'_, '_>, path: &str, commit: &str) -> Result<(String, String), Error> {
    let cause =
        |code: &message::Code| Cause::error(code.with("path", path)).field("spec.source.path");
    if path.is_empty() {
        return Err(Error::of(
            Kind::Invalid,
            cause(&message::source::PATH_NOT_GIVEN),
        ));
    }
    if path.starts_with('/') {
        let relative = match path.trim_matches('/') {
            "" => ".",
            relative => relative,
        };
        let message = message::source::PATH_ABSOLUTE.with("path", path);
        let cause = Cause::error(message.with("relative", relative));
        return Err(Error::of(Kind::Invalid, cause.field("spec.source.path")));
    }
    let found = reader.find(path)?;
    match found.node {
        Node::Folder(tree) => Ok((found.path, tree)),
        Node::File(_) => Err(Error::of(
            Kind::Invalid,
            cause(&message::source::PATH_NOT_FOLDER),
        )),
        _ => {
            let message = message::source::PATH_MISSING
                .with("path", path)
                .with("commit", commit.get(..12).unwrap_or(commit));
            Err(Error::of(
                Kind::NotFound,
                Cause::error(message).field("spec.source.path"),
            ))
        }
    }
}

/// A kustomization that no tool reads, and what is wrong in it besides its name.
fn misnamed(
    reader: &Reader<'_, '_>,
    folder: &str,
    manifests: &[Manifest],
    causes: &mut Vec<Cause>,
) -> Result<(), Error> {
    let found = detect::misnamed(reader, folder)?;
    if found.is_empty() {
        return Ok(());
    }
    let mut images = Images::default();
    for manifest in manifests {
        images.add(&manifest.object);
    }
    for file in found {
        causes.push(file.cause());
        causes.extend(images.check(&file.path, &file.document, Severity::Warning));
    }
    // A line of its own for what only the name of the file hides.
    causes.sort_by_key(|cause| {
        (
            cause.severity,
            cause
                .location
                .as_ref()
                .map(|Location { path, line }| (path.clone(), *line)),
        )
    });
    Ok(())
}
