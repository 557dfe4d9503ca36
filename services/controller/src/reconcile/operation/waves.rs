//! Wave after wave: what is left of a plan is carried out as far as it goes without waiting.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use domain::cause::Cause;
use domain::message;
use domain::operation::{Phase, ResourceResult};
use domain::resource::ResourceKey;
use engine::operation::End;
use engine::plan::pace::{self, Barrier, Sight};
use engine::plan::{Plan, Step};

use super::Run;
use super::ending::unkept;
use super::hooks::{self, Way};
use super::waits::{self, Going};
use crate::context::Context;
use crate::memory::{AppMemory, Times, Unsaved};
use crate::reconcile::custom::Known;
use crate::reconcile::desire::{self, Desired};
use crate::reconcile::look::{self, Look};
use crate::reconcile::subject::Subject;
use crate::reconcile::{Failure, Next, apply};

/// A waiting operation is looked at this often even if no event comes.
const BACKSTOP: Duration = Duration::from_secs(30);
/// How soon one is that waits for a namespace which may be gone already.
const SOON: Duration = Duration::from_secs(1);

/// How far it went.
pub(super) enum Progress {
    /// To the end.
    Ended(End),
    /// To something that has to be waited for.
    Waits(Next),
    /// The same, and why that takes so long.
    Lingers(Vec<Cause>, Next),
}

/// Carries out what is left of a plan, as far as it goes without waiting.
pub(super) async fn carry_out(
    ctx: &Context,
    run: &mut Run,
    plan: &Plan,
    desired: &Desired,
    look: &mut Look,
    memory: &mut AppMemory,
) -> Result<Progress, Failure> {
    let ended = hooks::observe(ctx, run, &mut look.live, &memory.checked).await;
    if ended.map_err(Failure::Cluster)? {
        // Written down first; what follows from it is for the next look.
        return Ok(Progress::Waits(Next::After(Duration::ZERO)));
    }
    if !plan.dry_run {
        let released = hooks::release_ended(ctx, run, &look.live).await;
        released.map_err(Failure::Cluster)?;
    }
    // It has failed already, and only what follows from that is left.
    if !run.state.causes.is_empty() {
        let why = match plan.dry_run {
            true => message::sync::TRY_FAILED,
            false => message::sync::WAVE_FAILED,
        };
        let end = failed(why, Vec::new());
        let times = &mut memory.times;
        return fail(ctx, run, plan, end, look, &memory.checked, times).await;
    }
    if !plan.dry_run && run.state.operation.sync.manifests.is_empty() {
        ensure_unsaved(ctx, &run.subject, desired, memory).await;
    }
    let tenant = ctx.store.tenant(run.subject.key.tenant);
    let (small, large): (Option<Unsaved>, Option<Unsaved>) = match unsaved(plan, memory) {
        Some(set) if set.1.len() <= store::SMALL_SET => (Some(set), None),
        large => (None, large),
    };
    let (large, progress) = tokio::join!(
        save_manifests(&tenant, large),
        waves_in_turn(ctx, run, plan, look, &memory.checked, &mut memory.times)
    );
    memory.deployed = Some(desired.set.clone());
    // A small one goes with the end of the operation, unless that is for a later look, which may be another process's.
    let (kept, ended) = match &progress {
        Ok(Progress::Ended(end)) => {
            run.set = small;
            (large, Some(end.phase))
        }
        Ok(_) | Err(_) => {
            let small = save_manifests(&tenant, small).await;
            (large.and_then(|large| Ok(small? || large)), None)
        }
    };
    match kept {
        Ok(true) => memory.saved = memory.unsaved.take().map(|(hash, _)| hash),
        Ok(false) => {}
        Err(error) => unkept(ended, error)?,
    }
    progress
}

async fn waves_in_turn(
    ctx: &Context,
    run: &mut Run,
    plan: &Plan,
    look: &mut Look,
    known: &HashMap<ResourceKey, Known>,
    times: &mut Times,
) -> Result<Progress, Failure> {
    let dry_run = plan.dry_run;
    // What was on record before this look; what it adds itself belongs to waves that are through.
    let done = results(run).to_vec();
    let others = pace::of_others(plan, &done, times.wave_ended.map(|ended| ended.elapsed()));
    if !others.is_empty() {
        let wanted: Vec<(ResourceKey, String)> = others
            .into_iter()
            .map(|step| (step.key.clone(), step.version.clone()))
            .collect();
        let fetched = look.live.fetch_seen(ctx, &run.subject, &wanted).await;
        for (key, error) in fetched.map_err(Failure::Cluster)? {
            // What the index has of it has to do: to ask again would not help, and a sync would never end that could make it.
            tracing::warn!(resource = %key, %error, "an object that another controller applied is not shown");
        }
        times.wave_ended = Some(Instant::now());
    }
    let makes = makes(run);
    let mut applied = 0;
    for wave in plan.waves() {
        let before = &plan.steps[..applied];
        applied += wave.len();
        let mut rest = pace::left(wave, &done);
        if !rest.is_empty() {
            if !dry_run && let Some(barrier) = barrier(look, before, results(run), times.wave_ended)
            {
                return match barrier {
                    Barrier::Wait(message, rest) => {
                        run.state.message = message;
                        Ok(Progress::Waits(Next::After(rest.unwrap_or(BACKSTOP))))
                    }
                    Barrier::Failed(keys) => {
                        let causes = look::explained(ctx, run.subject.sight(), look, &keys);
                        let end = failed(message::sync::WAVE_FAILED, causes);
                        fail(ctx, run, plan, end, look, known, times).await
                    }
                };
            }
            if !dry_run {
                if let Some(going) = waits::going(look, before, ctx.clock.now()) {
                    return Ok(lingers(run, going));
                }
                if let Some(message) = waits::unconfirmed(&rest) {
                    run.state.message = message;
                    return Ok(Progress::Waits(Next::After(BACKSTOP)));
                }
            }
            if !dry_run {
                let way = hooks::clear_way(ctx, run, rest, &look.live, plan.propagation).await;
                rest = match way.map_err(Failure::Cluster)? {
                    Way::Clear(steps) => steps,
                    Way::Blocked(going) => return Ok(lingers(run, going)),
                    Way::Refused(cause) => {
                        let end = failed(message::sync::APPLY_FAILED, vec![cause]);
                        return fail(ctx, run, plan, end, look, known, times).await;
                    }
                };
            }
            let (began, live) = (run.state.started_at, &mut look.live);
            let makes = makes.as_deref();
            let outcome = apply::wave(ctx, &run.subject, &rest, dry_run, began, makes, live).await;
            times.wave_ended = Some(Instant::now());
            record(run, outcome.results);
            let released = hooks::let_go(ctx, run, &outcome.going, &look.live).await;
            let stopped = outcome.interrupted.or(released.err());
            if outcome.namespace_made {
                times.namespace_left = false;
                ctx.tenants.reload().await?;
                if let Some(tenant) = ctx.tenants.get(run.subject.key.tenant).await? {
                    run.subject.writer.tenant = tenant;
                }
            }
            let mut causes = outcome.causes;
            if let Some(error) = stopped {
                // Nothing is given up while something else is gone and not made anew yet.
                let late = match outcome.going.is_empty() {
                    true => outcome.unfinished.as_slice(),
                    false => &[],
                };
                let since = &mut times.unfinished;
                let given_up = waits::give_up(ctx, run, &rest, late, since).await;
                if given_up.is_empty() {
                    return Err(Failure::Cluster(error));
                }
                causes.extend(given_up);
                let end = failed(message::sync::APPLY_FAILED, causes);
                return fail(ctx, run, plan, end, look, known, times).await;
            }
            times.unfinished.clear();
            // Whatever comes in the way next begins then.
            times.interrupted = None;
            // First of all: nobody makes them once the operation has failed for something else.
            if let Some(going) = waits::made_anew(look, &outcome.going, ctx.clock.now()) {
                return Ok(lingers_for(ctx, run, going, &outcome.going, times));
            }
            if !causes.is_empty() {
                let message = if dry_run {
                    message::sync::TRY_FAILED
                } else {
                    message::sync::APPLY_FAILED
                };
                return fail(ctx, run, plan, failed(message, causes), look, known, times).await;
            }
            let ended = hooks::observe(ctx, run, &mut look.live, known).await;
            if ended.map_err(Failure::Cluster)? {
                return Ok(Progress::Waits(Next::After(Duration::ZERO)));
            }
        }
    }
    if let Some(message) = pace::hooks_left(plan.steps.iter(), results(run)) {
        run.state.message = message;
        return Ok(Progress::Waits(Next::After(BACKSTOP)));
    }
    let tidied = hooks::tidy(ctx, run, plan, &look.live, true).await;
    tidied.map_err(Failure::Cluster)?;
    // Argo CD ends when it finds nothing left to do where it had to come again for the last wave's hooks.
    let waited = plan
        .waves()
        .last()
        .is_some_and(|wave| wave.iter().any(|step| step.hook.is_some()));
    let message = match (dry_run, results(run).is_empty() || waited) {
        (true, _) => message::sync::TRIED,
        (false, true) => message::sync::NOTHING_TO_DO,
        (false, false) => message::sync::SUCCEEDED,
    };
    Ok(Progress::Ended(End::new(
        Phase::Succeeded,
        message.message(),
        Vec::new(),
    )))
}

/// The namespace that the operation makes where it is not there.
fn makes(run: &Run) -> Option<String> {
    let namespace = &run.subject.destination.namespace;
    let makes = run.options().create_namespace && !namespace.is_empty();
    makes.then(|| namespace.clone())
}

/// Has the operation say what it waits for to be gone.
fn lingers(run: &mut Run, going: Going) -> Progress {
    run.state.message = going.message;
    Progress::Lingers(going.why, Next::After(BACKSTOP))
}

/// The same, of what is made when it is gone. An application is woken by what becomes of objects of its own, and the namespace that
/// it makes is none of them.
fn lingers_for(
    ctx: &Context,
    run: &mut Run,
    going: Going,
    keys: &[ResourceKey],
    times: &mut Times,
) -> Progress {
    run.state.message = going.message;
    let mut namespaces = keys.iter().filter(|key| key.is_namespace());
    let overlooked = namespaces.any(|key| {
        times.namespace_left |= key.name == run.subject.destination.namespace;
        ctx.memory.await_namespace(&run.subject.key, &key.name);
        // Whoever heard of it before that woke nobody.
        let index = ctx.cluster.index();
        let known = index.get(key);
        let leaves = known.is_some_and(|entry| entry.deleting);
        index.would_have(key) && !leaves
    });
    let pause = if overlooked { SOON } else { BACKSTOP };
    Progress::Lingers(going.why, Next::After(pause))
}

/// The end of an attempt that has failed.
fn failed(why: message::Code, causes: Vec<Cause>) -> End {
    End::new(Phase::Failed, why.message(), causes)
}

/// Ends an attempt that has failed, when the hooks that were begun have ended and its `SyncFail` hooks have run.
async fn fail(
    ctx: &Context,
    run: &mut Run,
    plan: &Plan,
    end: End,
    look: &mut Look,
    known: &HashMap<ResourceKey, Known>,
    times: &mut Times,
) -> Result<Progress, Failure> {
    let End {
        phase,
        message: why,
        causes,
    } = end;
    let fails_now = !causes.is_empty();
    run.state.causes.extend(causes);
    if !plan.dry_run {
        if let Some(message) = pace::hooks_left(plan.steps.iter(), results(run)) {
            run.state.message = message;
            // Of those that were made a moment ago nobody has asked yet how far they have come.
            let pause = if fails_now { Duration::ZERO } else { BACKSTOP };
            return Ok(Progress::Waits(Next::After(pause)));
        }
        let untried = |step: &&Step| pace::result_of(step, results(run)).is_none();
        let rest: Vec<Step> = plan.on_failure.iter().filter(untried).cloned().collect();
        if !rest.is_empty() {
            let way = hooks::clear_way(ctx, run, rest, &look.live, plan.propagation).await;
            let steps = match way.map_err(Failure::Cluster)? {
                Way::Clear(steps) => steps,
                Way::Blocked(going) => return Ok(lingers(run, going)),
                Way::Refused(cause) => {
                    let causes = run.state.causes.iter().cloned().chain([cause]).collect();
                    return Ok(Progress::Ended(End::new(phase, why, causes)));
                }
            };
            let (began, live) = (run.state.started_at, &mut look.live);
            let makes = makes(run);
            let makes = makes.as_deref();
            let outcome = apply::wave(ctx, &run.subject, &steps, false, began, makes, live).await;
            record(run, outcome.results);
            let released = hooks::let_go(ctx, run, &outcome.going, &look.live).await;
            if let Some(error) = outcome.interrupted.or(released.err()) {
                return Err(Failure::Cluster(error));
            }
            run.state.causes.extend(outcome.causes);
            if let Some(going) = waits::made_anew(look, &outcome.going, ctx.clock.now()) {
                return Ok(lingers_for(ctx, run, going, &outcome.going, times));
            }
            let ended = hooks::observe(ctx, run, &mut look.live, known).await;
            ended.map_err(Failure::Cluster)?;
            run.state.message =
                pace::waiting_for_hooks(&pace::running(plan.on_failure.iter(), results(run)));
            return Ok(Progress::Waits(Next::After(Duration::ZERO)));
        }
        if let Some(message) = pace::hooks_left(plan.on_failure.iter(), results(run)) {
            run.state.message = message;
            return Ok(Progress::Waits(Next::After(BACKSTOP)));
        }
        let tidied = hooks::tidy(ctx, run, plan, &look.live, false).await;
        tidied.map_err(Failure::Cluster)?;
    }
    // They stay until the end is written: one that is not comes to this again, and does not go on as if nothing had failed.
    let causes = run.state.causes.clone();
    Ok(Progress::Ended(End::new(phase, why, causes)))
}

/// What keeps the next wave from beginning.
fn barrier(
    look: &Look,
    before: &[Step],
    results: &[ResourceResult],
    wave_ended: Option<Instant>,
) -> Option<Barrier> {
    let health = |key: &ResourceKey| {
        let entry = look.live.find(key)?;
        engine::health::assess_checked(&entry.body, &[], look.checks.get(key))
    };
    let sight = Sight {
        results,
        since: wave_ended.map(|ended| ended.elapsed()),
        health: &health,
    };
    pace::barrier(before, &sight)
}

pub(super) fn results(run: &Run) -> &[ResourceResult] {
    run.state
        .result
        .as_ref()
        .map_or(&[], |result| &result.resources)
}

/// Notes what became of objects, in the place of what was noted before.
pub(super) fn record(run: &mut Run, results: Vec<ResourceResult>) {
    if let Some(result) = &mut run.state.result {
        pace::record(&mut result.resources, results);
    }
}

/// Has the manifest set at hand that is about to be deployed, unless the database has it.
async fn ensure_unsaved(
    ctx: &Context,
    subject: &Subject,
    desired: &Desired,
    memory: &mut AppMemory,
) {
    let at_hand = memory
        .unsaved
        .as_ref()
        .is_some_and(|(hash, _)| *hash == desired.set);
    if at_hand || memory.saved.as_ref() == Some(&desired.set) {
        return;
    }
    match desire::whole_set(ctx, subject, desired).await {
        Ok(bytes) => memory.unsaved = Some((desired.set.clone(), bytes.into())),
        Err(trouble) => tracing::warn!(%trouble, "a manifest set could not be fetched to be kept"),
    }
}

/// The manifest set that is to be kept of what a plan deploys, unless the database has it.
fn unsaved(plan: &Plan, memory: &AppMemory) -> Option<Unsaved> {
    let unsaved = memory.unsaved.as_ref();
    let missing = |(hash, _): &&Unsaved| !plan.dry_run && memory.saved.as_ref() != Some(hash);
    unsaved.filter(missing).cloned()
}

/// Keeps a manifest set by itself; `true` when there was one.
async fn save_manifests(
    tenant: &store::TenantScope,
    unsaved: Option<Unsaved>,
) -> store::Result<bool> {
    let Some((hash, bytes)) = unsaved else {
        return Ok(false);
    };
    tenant.put_manifest_set(&hash, &bytes).await?;
    Ok(true)
}
