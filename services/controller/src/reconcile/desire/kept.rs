//! What was deployed once and cannot be rendered any more: the server has thrown the commit away, and no mirror has it, or it
//! takes something from elsewhere that is gone, a base of another repository or a chart. History keeps the manifests of every
//! deployment, by their hash.
//!
//! The project is asked about the sources as always. What a set took from elsewhere is in it and was permitted then: history
//! does not say where it was from.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::Discovery;
use domain::application::Source;
use domain::cause::Cause;
use domain::manifest::Manifest;
use domain::message;

use super::{Desired, Wish, desired, facts, prepare, renders, unexpected};
use crate::context::Context;
use crate::memory::AppMemory;
use crate::reconcile::subject::Subject;
use crate::repos::Trouble;

/// What is said of a commit, a version or a digest that is not there.
const GONE: [&message::Code; 4] = [
    &message::source::REVISION_NOT_FOUND,
    &message::chart::NOT_FOUND,
    &message::chart::VERSION_NOT_FOUND,
    &message::chart::ARTIFACT_NOT_FOUND,
];

/// For how long nobody is asked again for what was not there.
const HOLDS: Duration = Duration::from_secs(60);

/// What is wanted, and where it is to come from.
pub(super) struct Wanted<'a> {
    pub(super) subject: &'a Subject,
    pub(super) wish: &'a Wish,
    pub(super) sources: &'a [Source],
    pub(super) revisions: &'a [String],
    /// The names of the orders, and their commits.
    pub(super) asked: &'a [(u64, &'a str)],
    pub(super) discovery: &'a Arc<Discovery>,
}

/// What history says.
enum Found {
    /// What was deployed.
    Kept(Box<Desired>),
    /// It was deployed, and what that was is not kept.
    Unkept,
    /// It was never deployed.
    Nothing,
}

/// What history keeps, where that was taken a moment ago because there was no other way; nobody is asked then.
pub(super) async fn again(
    ctx: &Context,
    wanted: &Wanted<'_>,
    memory: &mut AppMemory,
) -> Result<Option<Desired>, Trouble> {
    let Wish {
        fresh, no_cache, ..
    } = wanted.wish;
    let lately = memory
        .as_kept
        .is_some_and(|(name, at)| name == wanted.name() && at.elapsed() < HOLDS);
    if !lately || *fresh || *no_cache {
        return Ok(None);
    }
    Ok(match find(ctx, wanted, memory).await? {
        Found::Kept(desired) => Some(*desired),
        Found::Unkept | Found::Nothing => None,
    })
}

/// What history keeps of the same sources at the same revisions, where these were asked for by what they are and one of them
/// is not there any more; else the trouble as it is.
pub(super) async fn instead(
    ctx: &Context,
    wanted: &Wanted<'_>,
    trouble: Trouble,
    memory: &mut AppMemory,
) -> Result<Desired, Trouble> {
    if !is_gone(&trouble) || !wanted.is_fixed() {
        return Err(trouble);
    }
    match find(ctx, wanted, memory).await? {
        Found::Kept(desired) => {
            let revision = desired.revisions.join(", ");
            tracing::info!(
                revision,
                "what cannot be rendered any more is as history keeps it"
            );
            memory.as_kept = Some((wanted.name(), Instant::now()));
            if renders(memory, wanted.asked).is_some() {
                // What is remembered of it cannot be had again either.
                memory.renders.clear();
            }
            Ok(*desired)
        }
        Found::Unkept => {
            let message = message::sync::GONE.with("revision", wanted.revisions.join(", "));
            let causes = std::iter::once(Cause::error(message));
            let causes = causes.chain(trouble.causes.iter().cloned());
            Err(Trouble {
                causes: causes.collect(),
                ..trouble
            })
        }
        Found::Nothing => Err(trouble),
    }
}

async fn find(
    ctx: &Context,
    wanted: &Wanted<'_>,
    memory: &mut AppMemory,
) -> Result<Found, Trouble> {
    let Wanted {
        subject,
        wish,
        sources,
        revisions,
        asked: _,
        discovery,
    } = *wanted;
    // Switched off since then, maybe: what is rendered now is another thing, and what is kept is not to be had around that.
    if sources
        .iter()
        .any(|one| subject.rendering.switches_off(one))
    {
        return Ok(Found::Nothing);
    }
    let tenant = ctx.store.tenant(subject.key.tenant);
    let history = tenant.history();
    let deployed = history.deployed(subject.app.uid(), &wish.sources, revisions);
    let Some(entry) = deployed.await.map_err(unread)? else {
        return Ok(Found::Nothing);
    };
    let kept = tenant.manifest_set(&entry.manifest_set).await;
    let Some(bytes) = kept.map_err(unread)? else {
        return Ok(Found::Unkept);
    };
    let manifests: Vec<Manifest> = serde_json::from_slice(&bytes).map_err(|_| unexpected())?;
    memory.has_saved(&entry.manifest_set);
    let made = prepare(ctx, subject, &manifests, &[], facts(subject), discovery).await?;
    let as_kept = message::sync::AS_KEPT.with("revision", revisions.join(", "));
    Ok(Found::Kept(Box::new(Desired {
        set: entry.manifest_set,
        source_types: subject.app.status.source_types.clone(),
        causes: vec![Cause::warning(as_kept)],
        ..desired(wish, revisions.to_vec(), &[], made.prepared, made.schema)
    })))
}

impl Wanted<'_> {
    /// Whether every revision is asked for by what it is. A branch or a range names what is there now, and nothing else will
    /// do.
    fn is_fixed(&self) -> bool {
        let mut all = self.sources.iter().enumerate();
        all.all(|(at, source)| {
            let asked = self.wish.revision(at, source);
            asked.eq_ignore_ascii_case(&self.revisions[at])
        })
    }

    fn name(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.asked.hash(&mut hasher);
        hasher.finish()
    }
}

fn is_gone(trouble: &Trouble) -> bool {
    let mut said = trouble.causes.iter();
    said.any(|cause| GONE.iter().any(|code| cause.message.is(code)))
}

fn unread(error: store::Error) -> Trouble {
    tracing::warn!(
        error = &error as &dyn std::error::Error,
        "what history keeps cannot be read"
    );
    Trouble::ours(Cause::error(message::app::DATABASE_UNAVAILABLE.message()))
}
