//! What Git says: revisions become commits, commits become manifests, manifests become targets (client required).

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use cluster::Discovery;
use domain::application::{Source, VARIABLES};
use domain::cause::Cause;
use domain::manifest::{HeldSet, Manifest, ManifestSetHash, SourceType};
use domain::message;
use domain::quota::Quota;
use domain::resource::{split_api_version, text};
use domain::schema::SchemaSet;
use domain::signature::{Signature, Verdict};
use engine::prepare::{self, Kinds, Prepared, Scope};
use futures::future::try_join_all;
use serde_json::Value;

use super::subject::{self, Subject};
use crate::context::Context;
use crate::memory::{AppMemory, Render, Targets};
use crate::repos::{
    Followed, Making, Reference, RenderOrder, Rendered, RepoKey, Trouble, is_commit,
};

mod kept;

/// Which manifests are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The sources, canonical JSON.
    pub sources: Vec<Value>,
    /// Whether they are several by the spec's word.
    pub multiple: bool,
    /// The revision of each source where it is not the source's own.
    pub revisions: Vec<Option<String>>,
    /// Whether the repositories must be asked anew.
    pub fresh: bool,
    /// Whether caches must not answer.
    pub no_cache: bool,
    /// Manifests that somebody brought instead of Git's, JSON.
    pub brought: Vec<String>,
    /// Whether somebody only looks: what others know of the application stays as it is, and so do the sets that are kept
    /// of charts that come out otherwise each time, of which there are only so many.
    pub aside: bool,
}

/// What Git says.
#[derive(Clone, Debug)]
pub struct Desired {
    /// The sources, canonical JSON.
    pub sources: Vec<Value>,
    /// Whether they are several by the spec's word.
    pub multiple: bool,
    /// Whether somebody brought the manifests instead: Git says something else, whatever the commits are.
    pub brought: bool,
    /// The commits, one per source.
    pub revisions: Vec<String>,
    /// The manifest set.
    pub set: ManifestSetHash,
    /// The tool of each source.
    pub source_types: Vec<SourceType>,
    /// How the manifests of each came about when they were asked for last.
    pub makings: Vec<Making>,
    /// What the renderer noticed.
    pub causes: Vec<Cause>,
    /// The targets.
    pub prepared: Arc<Prepared>,
    /// The schemas they were sanitised with.
    pub schema: Arc<SchemaSet>,
}

impl Wish {
    /// What the application's own spec says.
    #[must_use]
    pub fn of_spec(subject: &Subject, fresh: bool, no_cache: bool) -> Self {
        Self {
            sources: subject.sources(),
            multiple: subject.multiple(),
            revisions: Vec::new(),
            fresh,
            no_cache,
            brought: Vec::new(),
            aside: false,
        }
    }

    fn revision<'a>(&'a self, at: usize, source: &'a Source) -> &'a str {
        let explicit = self
            .revisions
            .get(at)
            .and_then(Option::as_deref)
            .filter(|revision| !revision.is_empty());
        explicit.unwrap_or(&source.target_revision)
    }
}

/// Finds out what Git says, with as little work as what is known allows.
///
/// # Errors
/// Why it cannot be told.
pub async fn desire(
    ctx: &Context,
    subject: &Subject,
    wish: &Wish,
    memory: &mut AppMemory,
) -> Result<Desired, Trouble> {
    let (sources, keys) = placed(subject, &wish.sources).map_err(Trouble::theirs)?;
    let revisions = resolve(ctx, wish, &sources, &keys).await?;
    signed(ctx, subject, wish, &sources, &keys, &revisions).await?;
    let discovery = ctx.cluster.discovery();
    if !wish.brought.is_empty() {
        return brought(ctx, subject, wish, revisions, &discovery).await;
    }
    let orders = orders(
        subject,
        &wish.sources,
        (&sources, &keys),
        &revisions,
        &discovery,
    );
    let asked: Vec<(u64, &str)> = orders
        .iter()
        .map(|(at, order)| (name(order), revisions[*at].as_str()))
        .collect();
    let facts = facts(subject);
    let kept = ctx
        .memory
        .targets(&subject.key)
        .filter(|kept| still_good(kept, facts, &discovery));
    let schema_still = match &kept {
        Some(kept) => same_schema(ctx, kept).await?,
        None => false,
    };
    let kept = kept.filter(|_| schema_still);

    // Nothing that a render depends on has changed: what is known is what Git says.
    let known = renders(memory, &asked);
    if !wish.no_cache
        && let (Some(kept), Some(known)) = (&kept, &known)
        && known
            .iter()
            .all(|render| render.remotes.is_empty() && !render.passing)
        && kept
            .details
            .iter()
            .eq(known.iter().map(|render| &render.detail))
    {
        return Ok(desired(
            wish,
            revisions,
            known,
            kept.prepared.clone(),
            kept.schema.clone(),
        ));
    }

    let wanted = kept::Wanted {
        subject,
        wish,
        sources: &sources,
        revisions: &revisions,
        asked: &asked,
        discovery: &discovery,
    };
    if let Some(desired) = kept::again(ctx, &wanted, memory).await? {
        return Ok(desired);
    }
    let at_hand = kept
        .as_ref()
        .filter(|_| sources.len() == 1)
        .and_then(|kept| {
            memory
                .renders
                .first()
                .filter(|render| kept.details == [render.detail.clone()])
                .cloned()
        });
    let rendering =
        orders
            .into_iter()
            .zip(asked.clone())
            .map(|((at, mut order), (name, commit))| {
                order.no_cache = wish.no_cache;
                let last = memory.renders.iter().find(|render| render.order == name);
                if let Some(last) = last {
                    order.remotes.clone_from(&last.remotes);
                }
                if let Some(render) = &at_hand {
                    order.known.clone_from(&render.hash.0);
                    order.known_detail.clone_from(&render.detail);
                }
                let (key, url) = (&keys[at], &sources[at].repo_url);
                async move {
                    let rendered = render(ctx, subject, key, url, order).await?;
                    let rendered = held(ctx, subject, rendered, !wish.aside).await?;
                    Ok::<_, Trouble>((name, commit.to_owned(), rendered))
                }
            });
    let rendered = try_join_all(rendering).await;
    let rendered = match rendered {
        Ok(rendered) => rendered,
        Err(trouble) => return kept::instead(ctx, &wanted, trouble, memory).await,
    };
    let mut fresh = Vec::with_capacity(rendered.len());
    let mut manifests: Option<Vec<Manifest>> = Some(Vec::new());
    for (order, commit, rendered) in rendered {
        fresh.push(Render {
            order,
            commit,
            hash: rendered.hash,
            detail: rendered.detail,
            source_type: rendered.source_type,
            causes: rendered.causes,
            remotes: rendered.remotes,
            passing: rendered.passing,
            making: rendered.making,
        });
        match (&mut manifests, rendered.manifests) {
            (Some(all), Some(more)) => all.extend(more),
            (all, _) => *all = None,
        }
    }
    memory.renders.clone_from(&fresh);
    if !wish.aside {
        ctx.memory.rendered(&subject.key, &fresh);
    }
    let Some(manifests) = manifests else {
        // The set at hand is the one that Git says.
        let kept = kept.ok_or_else(unexpected)?;
        return Ok(desired(wish, revisions, &fresh, kept.prepared, kept.schema));
    };
    memory.unsaved = serde_json::to_vec(&manifests)
        .ok()
        .map(|bytes| (set_hash(&fresh), Arc::from(bytes)));
    let targets = prepare(ctx, subject, &manifests, &fresh, facts, &discovery).await?;
    let result = desired(
        wish,
        revisions,
        &fresh,
        targets.prepared.clone(),
        targets.schema.clone(),
    );
    if !wish.aside {
        ctx.memory.keep_targets(&subject.key, targets);
    }
    Ok(result)
}

/// What somebody brought instead of Git's manifests. It is neither remembered nor kept.
async fn brought(
    ctx: &Context,
    subject: &Subject,
    wish: &Wish,
    revisions: Vec<String>,
    discovery: &Arc<Discovery>,
) -> Result<Desired, Trouble> {
    let parse = |text: &String| {
        let invalid = |error| {
            Trouble::theirs(Cause::error(
                domain::message::app::SPEC_INVALID.with("error", error),
            ))
        };
        serde_json::from_str(text)
            .map(|object| Manifest::new(object, None))
            .map_err(invalid)
    };
    let manifests: Vec<Manifest> = wish.brought.iter().map(parse).collect::<Result<_, _>>()?;
    let targets = prepare(ctx, subject, &manifests, &[], facts(subject), discovery).await?;
    Ok(desired(
        wish,
        revisions,
        &[],
        targets.prepared,
        targets.schema,
    ))
}

/// What manifests that somebody brings are to an application, and the schemas they were sanitised with. Nothing is
/// remembered or kept.
///
/// # Errors
/// When the cluster does not say what kinds it has.
pub async fn targets_of(
    ctx: &Context,
    subject: &Subject,
    manifests: &[Manifest],
) -> Result<(Arc<Prepared>, Arc<SchemaSet>), Trouble> {
    let discovery = ctx.cluster.discovery();
    let made = prepare(ctx, subject, manifests, &[], facts(subject), &discovery).await?;
    Ok((made.prepared, made.schema))
}

/// Notes what the application's own sources follow, so that a moved revision wakes it.
pub fn follow(ctx: &Context, subject: &Subject, revisions: Option<&[String]>) {
    let sources = subject.sources();
    let followed = sources.iter().enumerate().filter_map(|(at, document)| {
        let source = subject::source(document).ok()?;
        Some(Followed {
            repo: repo_key(subject, &source),
            revision: source.target_revision.clone(),
            path: source.path.clone(),
            url: source.repo_url,
            commit: revisions.and_then(|revisions| revisions.get(at).cloned()),
        })
    });
    ctx.repos.follow(&subject.key, followed.collect());
}

/// Whether these commits are what the application's own sources say now, as far as is known without asking, or else
/// as the repositories say when they are asked.
pub async fn is_current(ctx: &Context, subject: &Subject, revisions: &[String], ask: bool) -> bool {
    let mut wish = Wish::of_spec(subject, false, false);
    let Ok((sources, keys)) = placed(subject, &wish.sources) else {
        return false;
    };
    if resolve(ctx, &wish, &sources, &keys)
        .await
        .is_ok_and(|now| now == revisions)
    {
        return true;
    }
    wish.fresh = true;
    ask && resolve(ctx, &wish, &sources, &keys)
        .await
        .is_ok_and(|now| now == revisions)
}

/// The manifest set as it is to be kept, asked for whole; the repo-server has it at hand.
///
/// # Errors
/// Why it cannot be told.
pub async fn whole_set(
    ctx: &Context,
    subject: &Subject,
    desired: &Desired,
) -> Result<Vec<u8>, Trouble> {
    let discovery = ctx.cluster.discovery();
    let mut manifests = Vec::new();
    let (sources, keys) = placed(subject, &desired.sources).map_err(Trouble::theirs)?;
    let orders = orders(
        subject,
        &desired.sources,
        (&sources, &keys),
        &desired.revisions,
        &discovery,
    );
    for (at, order) in orders {
        let (key, url) = (&keys[at], &sources[at].repo_url);
        let rendered = render(ctx, subject, key, url, order).await?;
        let rendered = held(ctx, subject, rendered, true).await?;
        manifests.extend(rendered.manifests.unwrap_or_default());
    }
    serde_json::to_vec(&manifests).map_err(|_| unexpected())
}

/// How often a render may ask for the way into more repositories.
const MAX_ROUNDS: usize = 80;

/// Renders a source; the repositories that it takes folders of by their addresses are ones that the project permits.
async fn render(
    ctx: &Context,
    subject: &Subject,
    key: &RepoKey,
    url: &str,
    mut order: RenderOrder,
) -> Result<Rendered, Trouble> {
    let rules = subject.rules();
    order.remotes.retain(|url| rules.permits_source(url));
    for _ in 0..MAX_ROUNDS {
        let rendered = ctx.repos.render(key, url, order.clone()).await?;
        if rendered.wanted.is_empty() {
            return Ok(rendered);
        }
        for wanted in rendered.wanted {
            if !rules.permits_source(&wanted) {
                let message =
                    domain::message::app::SOURCE_NOT_PERMITTED.with("repository", &wanted);
                let message = message.with("project", subject.spec.project());
                return Err(Trouble::theirs(Cause::error(message)));
            }
            order.remotes.push(wanted);
        }
    }
    Err(unexpected())
}

/// The largest set that is kept for an application, in bytes: the database is everybody's.
const MAX_HELD: usize = 4 << 20;

/// What is wanted of a render that comes out otherwise each time: what came out first for the same inputs, for as long as
/// the application is there. A chart that draws a password must not draw another whenever a cache is lost. What is new is
/// kept with `keep`: it may take the place of an older one.
async fn held(
    ctx: &Context,
    subject: &Subject,
    rendered: Rendered,
    keep: bool,
) -> Result<Rendered, Trouble> {
    let Some(made_of) = &rendered.undetermined else {
        return Ok(rendered);
    };
    let uid = text(&subject.app.metadata, &["uid"]);
    let name = HeldSet::name(uid, made_of);
    let tenant = ctx.store.tenant(subject.key.tenant);
    let unkept = |error: store::Error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "a manifest set that comes out otherwise each time cannot be kept"
        );
        Trouble::ours(Cause::error(
            domain::message::source::UNDETERMINED_UNKEPT.message(),
        ))
    };
    if let Some(manifests) = rendered.manifests.as_ref().filter(|_| keep) {
        let set = HeldSet {
            hash: rendered.hash.clone(),
            detail: rendered.detail.clone(),
            manifests: manifests.clone(),
        };
        let bytes = serde_json::to_vec(&set).map_err(|_| unexpected())?;
        if bytes.len() > MAX_HELD {
            let message = domain::message::source::TOO_LARGE
                .with(
                    "what",
                    "what a chart makes that comes out otherwise each time",
                )
                .with("limit", format!("{} MiB", MAX_HELD >> 20));
            return Err(Trouble::theirs(Cause::error(message)));
        }
        // Nothing where one is kept already.
        let kept = tenant.hold_manifest_set(uid, &name, &bytes).await;
        kept.map_err(unkept)?;
    }
    let Some(bytes) = tenant.manifest_set(&name).await.map_err(unkept)? else {
        // The one at hand: it was kept when it came, or is not to be kept.
        return Ok(rendered);
    };
    let first: HeldSet = serde_json::from_slice(&bytes).map_err(|_| unexpected())?;
    Ok(Rendered {
        hash: first.hash,
        detail: first.detail,
        manifests: Some(first.manifests),
        ..rendered
    })
}

fn repo_key(subject: &Subject, source: &Source) -> RepoKey {
    RepoKey {
        tenant: subject.key.tenant,
        project: Arc::from(subject.spec.project()),
        url: Arc::from(domain::repository::normalize_url(&source.repo_url)),
        chart: Arc::from(source.chart.as_str()),
    }
}

/// The sources of documents, and the repository of each.
fn placed(subject: &Subject, documents: &[Value]) -> Result<(Vec<Source>, Vec<RepoKey>), Cause> {
    let sources = documents.iter().map(subject::source);
    let sources: Vec<Source> = sources.collect::<Result<_, Cause>>()?;
    let keys = sources.iter().map(|source| repo_key(subject, source));
    let keys = keys.collect();
    Ok((sources, keys))
}

/// What is to be rendered, by the places of the sources that make something.
fn orders(
    subject: &Subject,
    documents: &[Value],
    (sources, keys): (&[Source], &[RepoKey]),
    revisions: &[String],
    discovery: &Discovery,
) -> Vec<(usize, RenderOrder)> {
    let references = references(sources, keys, revisions);
    let making = sources.iter().enumerate();
    let making = making.filter(|(_, source)| source.yields());
    making
        .map(|(at, _)| {
            let mut order = order(subject, &documents[at], &revisions[at], discovery);
            order.references.clone_from(&references);
            (at, order)
        })
        .collect()
}

/// The sources that others may refer to, at the commits that are wanted of them.
fn references(sources: &[Source], keys: &[RepoKey], revisions: &[String]) -> Vec<Reference> {
    let all = sources.iter().zip(keys).zip(revisions);
    all.filter(|((source, _), _)| !source.reference.is_empty())
        .map(|((source, repo), commit)| Reference {
            name: source.reference.clone(),
            repo: repo.clone(),
            url: source.repo_url.clone(),
            commit: commit.clone(),
            chart: source.chart.clone(),
        })
        .collect()
}

async fn resolve(
    ctx: &Context,
    wish: &Wish,
    sources: &[Source],
    keys: &[RepoKey],
) -> Result<Vec<String>, Trouble> {
    let asked = sources
        .iter()
        .zip(keys)
        .enumerate()
        .map(|(at, (source, key))| {
            ctx.repos
                .resolve(key, &source.repo_url, wish.revision(at, source), wish.fresh)
        });
    try_join_all(asked).await
}

/// Whether every source is signed as the project demands. What others refer to is a source too: it decides what is made.
async fn signed(
    ctx: &Context,
    subject: &Subject,
    wish: &Wish,
    sources: &[Source],
    keys: &[RepoKey],
    commits: &[String],
) -> Result<(), Trouble> {
    let named = &subject.rules().signature_keys;
    if named.is_empty() {
        return Ok(());
    }
    if !wish.brought.is_empty() {
        let message = message::app::SIGNATURE_LOCAL.with("project", subject.spec.project());
        return Err(Trouble::theirs(Cause::error(message)));
    }
    let now = ctx.clock.now().timestamp();
    for (at, source) in sources.iter().enumerate() {
        let (key, commit) = (&keys[at], commits[at].as_str());
        // An operation names the commit; what it was found by stands in the source.
        let revision = match wish.revision(at, source) {
            asked if is_commit(asked) => &source.target_revision,
            asked => asked,
        };
        let shown = if revision.is_empty() {
            "HEAD"
        } else {
            revision
        };
        let found = match source.chart.is_empty() && !source.is_artifact() {
            true => {
                let of = (commit, revision);
                let asked = ctx.repos.signature(key, &source.repo_url, of, named, now);
                asked.await?
            }
            // Nothing of Git's, so nothing that Git signs.
            false => Signature::only(Verdict::Unsigned),
        };
        found.permitted(named, shown).map_err(|refused| {
            Trouble::theirs(Cause::error(refused).field("spec.source.targetRevision"))
        })?;
    }
    Ok(())
}

fn order(subject: &Subject, document: &Value, commit: &str, discovery: &Discovery) -> RenderOrder {
    RenderOrder {
        source: document.to_string(),
        commit: commit.to_owned(),
        app: subject.key.name.to_string(),
        project: subject.spec.project().to_owned(),
        namespace: subject.destination.namespace.clone(),
        variables: subject
            .tenant
            .tenant
            .variables(subject.app.annotation(VARIABLES)),
        kube_version: discovery.server_version().git_version.clone(),
        api_versions: discovery.api_versions().to_vec(),
        renders_per_minute: subject
            .tenant
            .tenant
            .allowed(Quota::Renders)
            .unwrap_or_default(),
        rendering: subject.rendering.clone(),
        ..RenderOrder::default()
    }
}

/// Names everything of an order but the commit and what is at hand.
fn name(order: &RenderOrder) -> u64 {
    let RenderOrder {
        source,
        commit: _,
        app,
        project,
        namespace,
        variables,
        kube_version,
        api_versions,
        known: _,
        known_detail: _,
        no_cache: _,
        renders_per_minute: _,
        references,
        dependencies: _,
        remotes: _,
        rendering,
    } = order;
    let mut hasher = DefaultHasher::new();
    (
        source,
        app,
        project,
        namespace,
        variables,
        kube_version,
        api_versions,
        references,
        rendering,
    )
        .hash(&mut hasher);
    hasher.finish()
}

/// The renders at hand, if they are of just these orders and commits.
fn renders<'a>(memory: &'a AppMemory, asked: &[(u64, &str)]) -> Option<&'a [Render]> {
    let same = memory.renders.len() == asked.len()
        && memory
            .renders
            .iter()
            .zip(asked)
            .all(|(render, (name, commit))| render.order == *name && render.commit == *commit);
    (same && !memory.renders.is_empty()).then_some(&memory.renders)
}

fn desired(
    wish: &Wish,
    revisions: Vec<String>,
    renders: &[Render],
    prepared: Arc<Prepared>,
    schema: Arc<SchemaSet>,
) -> Desired {
    Desired {
        sources: wish.sources.clone(),
        multiple: wish.multiple,
        brought: !wish.brought.is_empty(),
        revisions,
        set: set_hash(renders),
        source_types: renders.iter().map(|render| render.source_type).collect(),
        makings: renders.iter().map(|render| render.making.clone()).collect(),
        causes: renders
            .iter()
            .flat_map(|render| render.causes.iter().cloned())
            .collect(),
        prepared,
        schema,
    }
}

/// One source's set keeps its name; that of several is made of theirs.
fn set_hash(renders: &[Render]) -> ManifestSetHash {
    match renders {
        [one] => one.hash.clone(),
        several => {
            let names: Vec<&str> = several
                .iter()
                .map(|render| render.hash.0.as_str())
                .collect();
            let hash = engine::canonical::hash(&Value::from(names));
            ManifestSetHash(hash.iter().map(|byte| format!("{byte:02x}")).collect())
        }
    }
}

fn unexpected() -> Trouble {
    Trouble::ours(Cause::error(
        domain::message::source::REPO_SERVER_UNAVAILABLE.message(),
    ))
}

/// Names what targets are made from besides manifests, schemas and kinds.
fn facts(subject: &Subject) -> u64 {
    let mut hasher = DefaultHasher::new();
    subject.destination.hash(&mut hasher);
    subject.spec.project().hash(&mut hasher);
    subject.kinds.hash(&mut hasher);
    subject.marking.hash(&mut hasher);
    // Their `Debug` shows every field; equal texts are equal values.
    format!(
        "{:?} {:?} {:?}",
        subject.options,
        subject.rules(),
        subject.tenant.territory()
    )
    .hash(&mut hasher);
    hasher.finish()
}

fn still_good(kept: &Targets, facts: u64, discovery: &Arc<Discovery>) -> bool {
    if kept.facts != facts {
        return false;
    }
    let kinds = ClusterKinds(discovery);
    Arc::ptr_eq(&kept.discovery, discovery)
        || kept.prepared.targets.iter().all(|target| {
            let scope = kinds.scope(&target.key.group, &target.version, &target.key.kind);
            let wanted = if target.namespaced {
                Scope::Namespaced
            } else {
                Scope::Cluster
            };
            scope == Some(wanted)
        })
}

async fn same_schema(ctx: &Context, kept: &Targets) -> Result<bool, Trouble> {
    let wanted: HashSet<(String, String)> = kept
        .prepared
        .targets
        .iter()
        .map(|target| (target.key.group.clone(), target.version.clone()))
        .collect();
    let wanted: Vec<(String, String)> = wanted.into_iter().collect();
    let now = ctx
        .cluster
        .schemas(&wanted)
        .await
        .map_err(cluster_trouble)?;
    Ok(Arc::ptr_eq(&now, &kept.schema)
        || wanted
            .iter()
            .all(|(group, version)| kept.schema.shares(&now, group, version)))
}

async fn prepare(
    ctx: &Context,
    subject: &Subject,
    manifests: &[Manifest],
    renders: &[Render],
    facts: u64,
    discovery: &Arc<Discovery>,
) -> Result<Targets, Trouble> {
    let wanted: BTreeSet<(String, String)> = manifests
        .iter()
        .map(|manifest| {
            let (group, version) = split_api_version(text(&manifest.object, &["apiVersion"]));
            (group.to_owned(), version.to_owned())
        })
        .collect();
    let wanted: Vec<(String, String)> = wanted.into_iter().collect();
    let schema = ctx
        .cluster
        .schemas(&wanted)
        .await
        .map_err(cluster_trouble)?;
    let prepared = prepare::prepare(
        manifests,
        &prepare::Context {
            app: &subject.key.name,
            tenant: &subject.tenant.tenant.name,
            destination: &subject.destination,
            territory: subject.tenant.territory(),
            options: &subject.options,
            project: subject.spec.project(),
            rules: subject.rules(),
            schema: &schema,
            kinds: &ClusterKinds(discovery),
            filter: &subject.kinds,
            marking: &subject.marking,
        },
    );
    Ok(Targets {
        details: renders.iter().map(|render| render.detail.clone()).collect(),
        facts,
        schema,
        discovery: discovery.clone(),
        prepared: Arc::new(prepared),
    })
}

/// What a cluster's silence means for an application.
pub fn cluster_trouble(error: cluster::Error) -> Trouble {
    let cause = error.cause();
    if error.is_transient() || matches!(error, cluster::Error::NotHolder) {
        Trouble::ours(cause)
    } else {
        Trouble::theirs(cause)
    }
}

/// The cluster's kinds as the engine asks for them.
pub struct ClusterKinds<'a>(pub &'a Discovery);

impl Kinds for ClusterKinds<'_> {
    fn scope(&self, group: &str, version: &str, kind: &str) -> Option<Scope> {
        let known = self.0.resolve(group, Some(version), kind)?;
        Some(if known.namespaced {
            Scope::Namespaced
        } else {
            Scope::Cluster
        })
    }

    fn versions_of(&self, kind: &str) -> Vec<String> {
        let mut versions: Vec<String> = self
            .0
            .preferred()
            .filter(|known| known.kind == kind)
            .map(cluster::ApiKind::api_version)
            .collect();
        versions.sort_unstable();
        versions
    }
}
