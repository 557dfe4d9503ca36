//! The hooks of a sync under way: how far they have come, what is in their way, when their objects go (client required;
//! what a hook's state means is the engine's decision).
//!
//! What is learnt of a hook is written down before anything follows from it: were the process killed between the two, its
//! successor would find an object gone and could not say whether the hook had succeeded.

use std::collections::HashMap;
use std::sync::Arc;

use cluster::LiveEntry;
use domain::cause::Cause;
use domain::message;
use domain::operation::{Phase, ResourceResult};
use domain::resource::{ResourceKey, annotation, is_leaving, text};
use engine::hooks::{self, Attempt, Before, DeletePolicy};
use engine::options::Propagation;
use engine::plan::pace::result_of;
use engine::plan::{Plan, Step};
use serde_json::Value;

use super::Run;
use super::waits::{self, Going};
use super::waves::{record, results};
use crate::context::Context;
use crate::reconcile::custom::{Checker, Known, SeenHook};
use crate::reconcile::live::LiveSet;
use crate::reconcile::look;
use crate::reconcile::writer::Writer;
use crate::reconcile::{apply, hooks as cluster_hooks};

/// The attempt under way, as its hooks name it.
pub(super) fn attempt<'a>(run: &Run, revision: &'a str) -> Attempt<'a> {
    Attempt {
        revision,
        started_at: run.state.started_at.timestamp_millis(),
        retries: run.state.retry_count,
    }
}

/// Whether an object is the one that this attempt made for a result.
fn is_of(object: &Value, attempt: &Attempt<'_>, result: &ResourceResult) -> bool {
    hooks::of_run(object, &attempt.run(&result.sync_phase))
}

/// Asks the cluster for the hooks on record as running that the index does not have, or has on their way out: it may lag behind
/// the process that had the operation before, which may have waited for such an object, and not every kind is watched. Those
/// that it does not show, and why: to ask again would not help, and no hook is waited for that nobody sees.
async fn catch_up(
    ctx: &Context,
    run: &Run,
    live: &mut LiveSet,
) -> Result<HashMap<ResourceKey, cluster::Error>, cluster::Error> {
    let attempt = attempt(run, "");
    let unseen = |result: &&ResourceResult| {
        let entry = live.find(&result.key);
        result.hook
            && result.hook_phase == Phase::Running
            && entry.is_none_or(|entry| !is_of(&entry.body, &attempt, result) || entry.deleting)
    };
    let unseen = results(run).iter().filter(unseen);
    let unseen: Vec<(ResourceKey, String)> = unseen
        .map(|result| (result.key.clone(), result.version.clone()))
        .collect();
    let mut refused = live.fetch_seen(ctx, &run.subject, &unseen).await?;
    // With a kind that the cluster has no more its objects are gone.
    refused.retain(|key, error| {
        let gone = matches!(error, cluster::Error::UnknownKind { .. });
        if gone {
            live.remove(key);
        }
        !gone
    });
    Ok(refused)
}

/// What is there of a hook: as the index has it, or as the cluster has just given it where its kind is not watched.
fn there(ctx: &Context, live: &LiveSet, key: &ResourceKey) -> Option<Arc<LiveEntry>> {
    let watched = live.find(key).cloned();
    watched.or_else(|| ctx.cluster.index().read(live.body(key)?))
}

/// The same of a hook that has ended: of one whose kind is not watched the cluster is asked, since nobody else comes upon it.
async fn left(
    ctx: &Context,
    run: &Run,
    ended: &ResourceResult,
    live: &LiveSet,
) -> Result<Option<Arc<LiveEntry>>, cluster::Error> {
    let key = &ended.key;
    let watched = live.find(key).cloned();
    if watched.is_some() || ctx.cluster.index().would_have(key) {
        return Ok(watched);
    }
    let account = ctx.account(run.subject.tenant(), &key.namespace)?;
    match account.get(key, Some(&ended.version)).await {
        Ok(body) => {
            let attempt = attempt(run, "");
            let body = body.filter(|body| is_of(body, &attempt, ended));
            Ok(body.and_then(|body| ctx.cluster.index().read(&body)))
        }
        Err(error) if error.passes() => Err(error),
        Err(error) => {
            tracing::warn!(resource = %key, %error, "nobody sees what is left of a hook");
            Ok(None)
        }
    }
}

/// Notes how far the hooks have come that were made; `true` if one has ended since.
pub(super) async fn observe(
    ctx: &Context,
    run: &mut Run,
    live: &mut LiveSet,
    known: &HashMap<ResourceKey, Known>,
) -> Result<bool, cluster::Error> {
    let refused = catch_up(ctx, run, live).await?;
    let live = &*live;
    let attempt = attempt(run, "");
    let Run { subject, state, .. } = run;
    let checker = Checker::of(subject, known);
    let mut ended = false;
    // Each with its own: what one hook came to stays on record where the next can not be asked about, and why it failed is what
    // keeps the operation from going on.
    let causes = &mut state.causes;
    let results = state.result.iter_mut().flat_map(|r| &mut r.resources);
    for result in results.filter(|r| r.hook && r.hook_phase == Phase::Running) {
        let entry = live.find(&result.key);
        let entry = entry.filter(|entry| is_of(&entry.body, &attempt, result));
        let below = entry.map_or_else(Vec::new, |entry| {
            look::beneath(ctx, subject.sight(), std::slice::from_ref(entry))
        });
        let below: Vec<_> = below.iter().map(|entry| entry.body.as_ref()).collect();
        let fetched = live.body(&result.key);
        let fetched = fetched.filter(|body| entry.is_none() && is_of(body, &attempt, result));
        let body = entry.map(|entry| entry.body.as_ref()).or(fetched);
        if let (None, Some(error)) = (body, refused.get(&result.key)) {
            let cause = subject.writer.cause(error).on(result.key.clone());
            ended = true;
            result.status = None;
            result.hook_phase = Phase::Error;
            result.message = cause.message.to_string();
            causes.push(cause);
            continue;
        }
        let seen = match (entry, fetched) {
            (Some(entry), _) => Some(seen_in(live, entry)),
            (None, Some(body)) => Some(SeenHook {
                key: &result.key,
                version: &result.version,
                state: text(body, &["metadata", "resourceVersion"]),
                essentials: body,
                whole: Some(body),
            }),
            (None, None) => None,
        };
        let check = match seen {
            Some(seen) => checker.verdict(ctx, seen).await?,
            None => None,
        };
        let standing = hooks::standing(&result.key, body, &below, check.as_ref());
        ended |= standing.phase != Phase::Running;
        causes.extend(standing.causes);
        result.status = None;
        result.hook_phase = standing.phase;
        result.message = standing.message;
    }
    Ok(ended)
}

/// A hook as the index has it, whole where that is at hand.
fn seen_in<'a>(live: &'a LiveSet, entry: &'a LiveEntry) -> SeenHook<'a> {
    let same = |body: &&Value| {
        text(body, &["metadata", "resourceVersion"]) == entry.resource_version.as_ref()
    };
    SeenHook {
        whole: live.body(&entry.key).filter(same),
        ..SeenHook::of(entry)
    }
}

/// Takes our finalizer off the hooks that are known to have ended. Where the cluster refuses, that is for later.
pub(super) async fn release_ended(
    ctx: &Context,
    run: &Run,
    live: &LiveSet,
) -> Result<(), cluster::Error> {
    let attempt = attempt(run, "");
    let results = run.state.result.iter().flat_map(|r| &r.resources);
    for result in results.filter(|r| r.hook && r.hook_phase != Phase::Running) {
        // An object of two phases is made anew for the second.
        let entry = left(ctx, run, result, live).await?;
        let entry = entry.filter(|entry| is_of(&entry.body, &attempt, result));
        let Some(entry) = entry else { continue };
        release(ctx, &run.subject.writer, &entry).await?;
    }
    Ok(())
}

/// Takes our finalizer off the hooks that an operation leaves which ends before its waves, where their kinds are not watched:
/// nobody else comes upon them. They run on.
pub(super) async fn leave_unwatched(
    ctx: &Context,
    run: &Run,
    live: &LiveSet,
) -> Result<(), cluster::Error> {
    let attempt = attempt(run, "");
    // It is ours, and must not stay there for ever because nobody is named who may sync.
    let writer = run.subject.writer.clone().or_own();
    let index = ctx.cluster.index();
    for hook in results(run).iter().filter(|result| result.hook) {
        if index.would_have(&hook.key) {
            continue;
        }
        let entry = left(ctx, run, hook, live).await?;
        let Some(entry) = entry.filter(|entry| is_of(&entry.body, &attempt, hook)) else {
            continue;
        };
        release(ctx, &writer, &entry).await?;
    }
    Ok(())
}

/// What the steps of a wave are to be done now.
pub(super) enum Way {
    /// These; nothing is in their way.
    Clear(Vec<Step>),
    /// None: objects of earlier runs have to go first.
    Blocked(Going),
    /// None: such an object can not be made to go.
    Refused(Cause),
}

/// Has the objects of earlier runs deleted, and notes the hooks that this attempt has made though it is not on record. That
/// nothing is in the way is never concluded from the index alone, nor that what goes is a hook of this attempt: it may have been
/// let go of since.
pub(super) async fn clear_way(
    ctx: &Context,
    run: &mut Run,
    steps: Vec<Step>,
    live: &LiveSet,
    propagation: Propagation,
) -> Result<Way, cluster::Error> {
    let attempt = attempt(run, "");
    let (mut clear, mut going, mut made) = (Vec::new(), Vec::new(), Vec::new());
    for step in steps {
        let Some(policy) = step.hook else {
            clear.push(step);
            continue;
        };
        let name = attempt.run(step.phase.as_str());
        let before = |entry: Option<&Arc<LiveEntry>>| {
            hooks::before(policy, &name, entry.map(|entry| entry.body.as_ref()))
        };
        let mut entry = live.find(&step.key).cloned();
        let mut way = before(entry.as_ref());
        let leaves = entry.as_ref().is_some_and(|there| there.deleting);
        if way == Before::Ready || (way == Before::Made && leaves) {
            entry = as_it_is(ctx, run, &step, entry).await?;
            if let Some(there) = &entry
                && !replaceable(run, there)
            {
                let message = message::sync::HOOK_NAME_TAKEN.with("resource", &step.key);
                return Ok(Way::Refused(Cause::error(message).on(step.key)));
            }
            way = before(entry.as_ref());
        }
        match way {
            Before::Ready => clear.push(step),
            Before::Made => made.push(apply::made(&step)),
            Before::Gone => going.extend(entry),
            Before::Delete => {
                if let Some(entry) = &entry {
                    match cluster_hooks::remove(ctx, &run.subject.writer, entry, propagation).await
                    {
                        Err(error) if error.passes() => return Err(error),
                        Err(error) => {
                            let cause = run.subject.writer.cause(&error);
                            return Ok(Way::Refused(cause.on(step.key)));
                        }
                        Ok(()) => {}
                    }
                }
                going.extend(entry);
            }
        }
    }
    record(run, made);
    let going = waits::hooks_going(&going, ctx.clock.now());
    Ok(going.map_or(Way::Clear(clear), Way::Blocked))
}

/// What the cluster has where a hook is about to be made: what is known may lag behind the process that had the operations
/// before, and what is applied onto a hook that has ended, or is on its way out, does not run.
async fn as_it_is(
    ctx: &Context,
    run: &Run,
    step: &Step,
    known: Option<Arc<LiveEntry>>,
) -> Result<Option<Arc<LiveEntry>>, cluster::Error> {
    let account = ctx.account(run.subject.tenant(), &step.key.namespace)?;
    match account.get(&step.key, Some(&step.version)).await {
        Ok(body) => Ok(body.and_then(|body| ctx.cluster.index().read(&body))),
        Err(error) if error.passes() => Err(error),
        // Why it cannot be there is said when it is made.
        Err(_) => Ok(known),
    }
}

/// Takes our finalizer off what hooks were applied to that is on its way out: nothing runs there, and it is in their way. At
/// once: it bears their names now, and whoever looks later can not tell it from hooks that somebody has deleted since.
pub(super) async fn let_go(
    ctx: &Context,
    run: &Run,
    going: &[ResourceKey],
    live: &LiveSet,
) -> Result<(), cluster::Error> {
    let answered = going.iter().filter_map(|key| live.body(key));
    for body in answered.filter(|body| is_leaving(body)) {
        let Some(entry) = ctx.cluster.index().read(body) else {
            continue;
        };
        release(ctx, &run.subject.writer, &entry).await?;
    }
    Ok(())
}

/// Takes our finalizer off a hook. Where the cluster refuses, that is for later.
async fn release(ctx: &Context, writer: &Writer, entry: &LiveEntry) -> Result<(), cluster::Error> {
    match cluster_hooks::release(ctx, writer, entry).await {
        Err(error) if error.passes() => Err(error),
        Err(error) => {
            tracing::warn!(resource = %entry.key, %error, "a hook's finalizer could not be taken off");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Whether the application may delete what has a hook's name.
fn replaceable(run: &Run, there: &LiveEntry) -> bool {
    let claimant = run.subject.claimant();
    claimant.may_replace(&there.body, &there.key)
}

/// Deletes the objects of hooks that ask for it now that the sync has come to its end. Where the cluster refuses, the
/// hook's result says so.
pub(super) async fn tidy(
    ctx: &Context,
    run: &mut Run,
    plan: &Plan,
    live: &LiveSet,
    succeeded: bool,
) -> Result<(), cluster::Error> {
    let goes = |policy: DeletePolicy| {
        if succeeded {
            policy.succeeded
        } else {
            policy.failed
        }
    };
    let steps = plan.steps.iter().chain(&plan.on_failure);
    for step in steps.filter(|step| !plan.dry_run && step.hook.is_some_and(goes)) {
        let ended = result_of(step, results(run)).filter(|r| r.hook_phase != Phase::Running);
        let Some(ended) = ended.cloned() else {
            continue;
        };
        let Some(entry) = left(ctx, run, &ended, live).await? else {
            continue;
        };
        match cluster_hooks::remove(ctx, &run.subject.writer, &entry, plan.propagation).await {
            Ok(()) => {}
            Err(error) if error.passes() => return Err(error),
            Err(error) => {
                let failed = ResourceResult {
                    hook_phase: Phase::Error,
                    message: format!("failed to delete resource: {error}"),
                    ..ended
                };
                record(run, vec![failed]);
            }
        }
    }
    Ok(())
}

/// What is told of a hook that could not be stopped.
fn not_deleted(error: &cluster::Error) -> (Phase, String) {
    (Phase::Failed, format!("Failed to delete: {error}"))
}

/// Stops the hooks of an operation that somebody stopped: those that run are deleted. `false` where some could not be: they are
/// tried again when the operation is over.
pub(super) async fn terminate(
    ctx: &Context,
    run: &mut Run,
    live: &mut LiveSet,
    known: &HashMap<ResourceKey, Known>,
) -> Result<bool, cluster::Error> {
    let refused = catch_up(ctx, run, live).await?;
    let live = &*live;
    // Those that are on record as ended: of a kind that is not watched nobody else lets them go.
    release_ended(ctx, run, live).await?;
    let of_attempt = attempt(run, "");
    let mut stopped = true;
    let Run { subject, state, .. } = run;
    let checker = Checker::of(subject, known);
    let results = state.result.iter_mut().flat_map(|r| &mut r.resources);
    for result in results.filter(|r| r.hook && r.hook_phase == Phase::Running) {
        result.status = None;
        let entry = there(ctx, live, &result.key);
        let entry = entry.filter(|entry| is_of(&entry.body, &of_attempt, result));
        let Some(entry) = entry else {
            let standing = hooks::standing(&result.key, None, &[], None);
            let unseen = refused.get(&result.key);
            stopped &= unseen.is_none();
            (result.hook_phase, result.message) = match unseen {
                Some(error) => not_deleted(error),
                None => (standing.phase, standing.message),
            };
            continue;
        };
        let check = checker.verdict(ctx, seen_in(live, &entry)).await?;
        let standing = hooks::standing(&result.key, Some(&entry.body), &[], check.as_ref());
        // One on its way out is stopped all the same: who began to stop it may have been cut short, and it still waits for us.
        if !matches!(standing.phase, Phase::Running | Phase::Error) {
            (result.hook_phase, result.message) = (standing.phase, standing.message);
            // Nothing runs any more; who looks next lets it go, if its kind is watched.
            if live.find(&result.key).is_none() {
                release(ctx, &subject.writer, &entry).await?;
            }
            continue;
        }
        let removed =
            cluster_hooks::remove(ctx, &subject.writer, &entry, Propagation::default()).await;
        stopped &= removed.is_ok();
        (result.hook_phase, result.message) = match removed {
            Ok(()) => (Phase::Succeeded, "Deleted".to_owned()),
            Err(error) if error.passes() => return Err(error),
            Err(error) => not_deleted(&error),
        };
    }
    // What was made without coming on record: the process was killed, or the cluster did not answer in time.
    let of_operation = of_attempt.operation();
    let known = super::waves::results(run);
    let unknown = live.entries().iter().filter(|entry| {
        annotation(&entry.body, hooks::RUN).is_some_and(|name| name.starts_with(&of_operation))
            && hooks::held(&entry.body)
            && known.iter().all(|result| result.key != entry.key)
    });
    for entry in unknown {
        match cluster_hooks::remove(ctx, &run.subject.writer, entry, Propagation::default()).await {
            Err(error) if error.passes() => return Err(error),
            Err(error) => {
                stopped = false;
                tracing::warn!(resource = %entry.key, %error, "a hook could not be stopped");
            }
            Ok(()) => {}
        }
    }
    Ok(stopped)
}
