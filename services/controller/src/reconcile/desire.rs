//! What Git says: revisions become commits, commits become manifests, manifests become targets (client required).

use std::sync::Arc;
use std::time::Instant;

use cluster::Discovery;
use domain::application::Source;
use domain::cause::Cause;
use domain::manifest::{Manifest, ManifestSetHash, SourceType};
use domain::message;
use domain::revision::Target;
use domain::schema::SchemaSet;
use domain::signature::{Signature, Verdict};
use engine::prepare::Prepared;
use futures::future::try_join_all;
use serde_json::Value;

use super::subject::{self, Subject};
use crate::context::Context;
use crate::memory::{AppMemory, Render};
use crate::repos::{Followed, Making, RenderOrder, Rendered, RepoKey, Trouble, is_commit};

mod held;
mod kept;
mod orders;
mod targets;

use orders::{placed, repo_key};
pub use targets::ClusterKinds;
use targets::{facts, prepare, same_schema, still_good};

/// How many looks have manifests made anew at once: of one tenant, and in all. There are more workers than that. Until the targets are
/// made such a look holds its manifests several times over, which may be megabytes, and what it waits for is a service of ours, or
/// a Git server behind it, that has turns of its own: there they are given up after a while, here they are not. Hence each tenant
/// leaves as many as it has: two whose servers never answer have 24, and whoever comes next finds one.
pub const RENDERS: (usize, usize) = (16, 32);

/// How many bytes of targets a look may have without such a turn: of all workers together an eighth of the memory that the chart gives
/// the process. Of an application that has more, of thousands of objects or of large ones, it has them, and what is done with them,
/// until it ends, and so it keeps its turn.
const LARGE: usize = 4 << 20;

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

    fn target<'a>(&'a self, at: usize, source: &'a Source) -> Target<'a> {
        source.target(self.revision(at, source))
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
    let desired = find_out(ctx, subject, wish, memory).await;
    let size = ctx.memory.size_of_targets(&subject.key);
    // Those that are kept no more have been made room of: it takes some that are large for that.
    if desired.is_err() || size.is_some_and(|size| size <= LARGE) {
        memory.turn = None;
    }
    desired
}

/// Waits for the turn of a look that has manifests made anew, or large ones at hand. What it has from before is enough: it may ask
/// more than once what Git says, and would wait for itself. Who only looks on is no worker, and has bounds of its own.
async fn take_turn(ctx: &Context, subject: &Subject, wish: &Wish, memory: &mut AppMemory) {
    if !wish.aside && !memory.copied && memory.turn.is_none() {
        let turn = ctx.renders.turn(subject.tenant_name()).await;
        memory.turn = Some(Arc::new(turn));
    }
}

async fn find_out(
    ctx: &Context,
    subject: &Subject,
    wish: &Wish,
    memory: &mut AppMemory,
) -> Result<Desired, Trouble> {
    memory.asked = Some(Instant::now());
    memory.found.clear();
    let (sources, keys) = placed(subject, &wish.sources).map_err(Trouble::theirs)?;
    let resolved = resolve(ctx, wish, &sources, &keys).await;
    if wish.fresh {
        // What was listed for that says nothing new, however often it is asked for and whatever came of it.
        memory.asked = Some(Instant::now());
    }
    let revisions = resolved?;
    memory.found.clone_from(&revisions);
    signed(ctx, subject, wish, &sources, &keys, &revisions).await?;
    let discovery = ctx.cluster.discovery();
    if !wish.brought.is_empty() {
        return brought(ctx, subject, wish, revisions, &discovery).await;
    }
    let orders = orders::of(
        subject,
        &wish.sources,
        (&sources, &keys),
        &revisions,
        &discovery,
    );
    let asked: Vec<(u64, &str)> = orders
        .iter()
        .map(|(at, order)| (orders::name(order), revisions[*at].as_str()))
        .collect();
    let facts = facts(subject);
    // Before it has them: others make room of what is kept.
    let size = ctx.memory.size_of_targets(&subject.key);
    if size.is_some_and(|size| size > LARGE) {
        take_turn(ctx, subject, wish, memory).await;
    }
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
    take_turn(ctx, subject, wish, memory).await;
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
                    let rendered = held::first(ctx, subject, rendered, !wish.aside).await?;
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

/// Notes what the application's own sources follow, so that a moved revision wakes it: the commits that they are, or those that were
/// found when it was asked last and of which nothing came.
pub fn follow(ctx: &Context, subject: &Subject, revisions: Option<&[String]>, memory: &AppMemory) {
    let sources = subject.sources();
    let followed = sources.iter().enumerate().filter_map(|(at, document)| {
        let source = subject::source(document).ok()?;
        Some(Followed {
            repo: repo_key(subject, &source),
            revision: source.target_revision.clone(),
            tag_prefix: source.tag_prefix.clone(),
            path: source.path.clone(),
            url: source.repo_url,
            commit: revisions.and_then(|revisions| revisions.get(at).cloned()),
            tried: memory.found.get(at).cloned(),
            asked: memory.asked,
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
    let orders = orders::of(
        subject,
        &desired.sources,
        (&sources, &keys),
        &desired.revisions,
        &discovery,
    );
    for (at, order) in orders {
        let (key, url) = (&keys[at], &sources[at].repo_url);
        let rendered = render(ctx, subject, key, url, order).await?;
        let rendered = held::first(ctx, subject, rendered, true).await?;
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
                .resolve(key, &source.repo_url, wish.target(at, source), wish.fresh)
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
                let of = (commit, source.target(revision));
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
