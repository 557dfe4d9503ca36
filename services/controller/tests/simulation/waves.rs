//! Wave after wave: `controller::reconcile::operation::waves`, `hooks` and `apply`, with the requests of these worlds.

use std::sync::Arc;
use std::time::Duration;

use controller::reconcile::apply;
use domain::cause::Cause;
use domain::message::{self, Code, Message};
use domain::operation::{Phase, ResourceResult, ResultCode};
use domain::resource::{ResourceKey, annotation, at, is_leaving, text};
use engine::fields::MANAGER;
use engine::hooks::{self, Before, DeletePolicy};
use engine::operation::End;
use engine::options::{self, Propagation, Role};
use engine::plan::pace::{self, Barrier, Sight, named};
use engine::plan::{Action, Plan, Step};
use serde_json::{Value, json};

use crate::cluster::{Answer, Request, Stored, Verb};
use crate::driver::{Controller, Looked, Next, Stop};
use crate::invariants::{Duty, Mark, StepDuty};
use crate::live::LiveSet;
use crate::look::{BACKSTOP, Look, Run, Subject, memory};
use crate::world::{World, claimant, millis};

/// How often a finalizer is taken off anew where somebody else was writing.
const TRIES: usize = 5;

/// How far it went.
pub(crate) enum Progress {
    Ended(End),
    Waits(Next),
}

/// Carries out what is left of a plan, as far as it goes without waiting.
pub(crate) fn carry_out(
    world: &mut World,
    me: &mut Controller,
    run: &mut Run,
    plan: &Plan,
    look: &mut Look,
) -> Looked<Progress> {
    if observe(world, me, run, &mut look.live)? {
        return Ok(Progress::Waits(Next::After(0)));
    }
    release_ended(world, me, run, &look.live)?;
    // It has failed already, and only what follows from that is left.
    if !run.state.causes.is_empty() {
        let ended = failed(message::sync::WAVE_FAILED, Vec::new());
        return fail(world, me, run, plan, ended, look);
    }
    let done = results(run).to_vec();
    let others = pace::of_others(plan, &done, since(world, me, run));
    if !others.is_empty() {
        let keys: Vec<ResourceKey> = others.iter().map(|step| step.key.clone()).collect();
        look.live.fetch(world, me, &run.subject.duty(), &keys)?;
        memory(me, &run.subject).wave_ended = Some(world.now());
    }
    let mut reached = 0;
    for wave in plan.waves() {
        let before = &plan.steps[..reached];
        reached += wave.len();
        let rest = pace::left(wave, &done);
        if !rest.is_empty()
            && let Some(progress) = one(world, me, run, plan, before, rest, look)?
        {
            return Ok(progress);
        }
    }
    if let Some(message) = pace::hooks_left(plan.steps.iter(), results(run)) {
        run.state.message = message;
        return Ok(Progress::Waits(Next::After(BACKSTOP)));
    }
    tidy(world, me, run, plan, &look.live, true)?;
    let message = message::sync::SUCCEEDED.message();
    let ended = End::new(Phase::Succeeded, message, Vec::new());
    Ok(Progress::Ended(ended))
}

/// One wave; what comes of it, unless the next one may begin.
fn one(
    world: &mut World,
    me: &mut Controller,
    run: &mut Run,
    plan: &Plan,
    before: &[Step],
    rest: Vec<Step>,
    look: &mut Look,
) -> Looked<Option<Progress>> {
    let since = since(world, me, run);
    match barrier(&look.live, before, results(run), since) {
        Some(Barrier::Wait(message, rest)) => {
            run.state.message = message;
            let pause = rest.map_or(BACKSTOP, millis);
            return Ok(Some(Progress::Waits(Next::After(pause.max(1)))));
        }
        Some(Barrier::Failed(keys)) => {
            let entries = keys.iter().filter_map(|key| look.live.find(key));
            let health = entries.filter_map(|entry| engine::health::assess(&entry.object));
            let causes: Vec<Cause> = health.flat_map(|health| health.causes).collect();
            let ended = failed(message::sync::WAVE_FAILED, causes);
            return fail(world, me, run, plan, ended, look).map(Some);
        }
        None => {}
    }
    if let Some(message) = going(&look.live, before) {
        run.state.message = message;
        return Ok(Some(Progress::Waits(Next::After(BACKSTOP))));
    }
    let steps = match clear_way(world, me, run, rest, &look.live, plan.propagation)? {
        Way::Clear(steps) => steps,
        Way::Blocked(message) => {
            run.state.message = message;
            return Ok(Some(Progress::Waits(Next::After(BACKSTOP))));
        }
        Way::Refused(cause) => {
            let ended = failed(message::sync::APPLY_FAILED, vec![cause]);
            return fail(world, me, run, plan, ended, look).map(Some);
        }
    };
    let (causes, going) = carried(world, me, run, &steps, before, look)?;
    if let Some(message) = going {
        run.state.message = message;
        return Ok(Some(Progress::Waits(Next::After(BACKSTOP))));
    }
    if !causes.is_empty() {
        let ended = failed(message::sync::APPLY_FAILED, causes);
        return fail(world, me, run, plan, ended, look).map(Some);
    }
    if observe(world, me, run, &mut look.live)? {
        return Ok(Some(Progress::Waits(Next::After(0))));
    }
    Ok(None)
}

/// Carries out steps side by side and notes what became of them; why some could not be done, and what has to be gone first.
fn carried(
    world: &mut World,
    me: &mut Controller,
    run: &mut Run,
    steps: &[Step],
    before: &[Step],
    look: &mut Look,
) -> Looked<(Vec<Cause>, Option<Message>)> {
    let outcome = apply_wave(world, me, run, steps, before, look);
    memory(me, &run.subject).wave_ended = Some(world.now());
    record(run, outcome.results);
    // A process that has ended does nothing more.
    let released = match outcome.interrupted {
        Some(Stop::Crash) => Ok(()),
        _ => let_go(world, me, run, &outcome.going, &look.live),
    };
    if let Some(stop) = outcome.interrupted.or(released.err()) {
        return Err(stop);
    }
    let going = outcome.going.first();
    let words = |key| message::sync::WAITING_DELETION.with("resource", named(key));
    Ok((outcome.causes, going.map(words)))
}

/// What became of a wave.
#[derive(Default)]
struct Outcome {
    results: Vec<ResourceResult>,
    causes: Vec<Cause>,
    interrupted: Option<Stop>,
    /// Objects that were on their way out when they were applied; nothing has become of the steps yet.
    going: Vec<ResourceKey>,
}

fn apply_wave(
    world: &mut World,
    me: &mut Controller,
    run: &Run,
    steps: &[Step],
    before: &[Step],
    look: &mut Look,
) -> Outcome {
    let mark = Mark {
        app: run.subject.name().to_owned(),
        attempt: (
            run.state.started_at.timestamp_millis(),
            run.state.retry_count,
        ),
        revision: look.desired.revision,
        fence: me.fence,
    };
    let duty = Duty {
        step: Some(StepDuty {
            mark: &mark,
            before,
            windowed: run.subject.name().starts_with('w'),
            fail_on_shared: run.options().fail_on_shared,
        }),
        ..run.subject.duty()
    };
    let mut outcome = Outcome::default();
    for batch in Plan::batches(steps) {
        let mut prune_failed = false;
        for step in batch {
            // All of a batch are under way at once: one that is interrupted keeps no other back, unless the process ends.
            if outcome.interrupted == Some(Stop::Crash) {
                return outcome;
            }
            match execute(world, me, step, &duty) {
                Ok(Done::Applied(object)) if is_leaving(&object) => {
                    outcome.going.push(step.key.clone());
                    look.live.take_answer(me, object);
                }
                Ok(Done::Applied(object)) => {
                    let words = format!("{} configured", step.key.name);
                    outcome
                        .results
                        .push(apply::result(step, ResultCode::Synced, words, false));
                    look.live.take_answer(me, object);
                }
                Ok(Done::Pruned { gone }) => {
                    let words = "pruned".to_owned();
                    outcome
                        .results
                        .push(apply::result(step, ResultCode::Pruned, words, false));
                    if gone {
                        look.live.remove(&step.key);
                    }
                }
                Ok(Done::Kept(words)) => {
                    let words = words.to_owned();
                    outcome.results.push(apply::result(
                        step,
                        ResultCode::PruneSkipped,
                        words,
                        false,
                    ));
                }
                Ok(Done::Refused(words)) => {
                    prune_failed |= matches!(step.action, Action::Prune { .. });
                    let message = message::cluster::INVALID_OBJECT.message();
                    let cause = Cause::error(message).on(step.key.clone());
                    outcome.causes.push(cause.evidence(words.clone()));
                    outcome
                        .results
                        .push(apply::result(step, ResultCode::SyncFailed, words, false));
                }
                Err(stop) => outcome.interrupted = Some(stop),
            }
        }
        if outcome.interrupted.is_some() || prune_failed {
            return outcome;
        }
    }
    outcome
}

/// What came of a step.
enum Done {
    Applied(Value),
    Pruned { gone: bool },
    Kept(&'static str),
    Refused(String),
}

fn execute(world: &mut World, me: &Controller, step: &Step, duty: &Duty<'_>) -> Looked<Done> {
    match &step.action {
        Action::Apply { object, .. } => {
            let request = |force| Request {
                verb: Verb::Apply { force },
                key: step.key.clone(),
                body: object.as_ref().clone(),
                manager: MANAGER.to_owned(),
                dry_run: false,
            };
            // Not forced at first: that is how the server names the others.
            let mut answer = world.call(me, request(false), duty)?;
            if is_ownership_conflict(&answer) {
                answer = world.call(me, request(true), duty)?;
            }
            Ok(match answer.is_good() {
                true => Done::Applied(answer.object),
                false => Done::Refused(answer.message().to_owned()),
            })
        }
        Action::Prune { uid, propagation } => {
            let answer = world.call(me, deletion(&step.key, uid, *propagation), duty)?;
            let waits = !text(&answer.object, &["metadata", "deletionTimestamp"]).is_empty();
            Ok(match answer.is_good() || answer.code == 404 {
                true => Done::Pruned { gone: !waits },
                false => Done::Refused(answer.message().to_owned()),
            })
        }
        Action::Keep(kept) => Ok(Done::Kept(kept.as_str())),
        Action::CreateNamespace { .. } => Ok(Done::Kept("there is no such step here")),
    }
}

fn is_ownership_conflict(answer: &Answer) -> bool {
    let causes = at(&answer.object, &["details", "causes"]).and_then(Value::as_array);
    let mut causes = causes.into_iter().flatten();
    answer.code == 409 && causes.any(|cause| text(cause, &["reason"]) == "FieldManagerConflict")
}

/// The request that deletes the object of a uid.
pub(crate) fn deletion(key: &ResourceKey, uid: &str, propagation: Propagation) -> Request {
    Request {
        verb: Verb::Delete,
        key: key.clone(),
        body: json!({"preconditions": {"uid": uid},
            "propagationPolicy": format!("{:?}", apply::propagated(propagation))}),
        manager: MANAGER.to_owned(),
        dry_run: false,
    }
}

fn failed(why: Code, causes: Vec<Cause>) -> End {
    End::new(Phase::Failed, why.message(), causes)
}

/// Ends an attempt that has failed, when the hooks that were begun have ended and its `SyncFail` hooks have run.
fn fail(
    world: &mut World,
    me: &mut Controller,
    run: &mut Run,
    plan: &Plan,
    ended: End,
    look: &mut Look,
) -> Looked<Progress> {
    let End {
        phase,
        message: why,
        causes,
    } = ended;
    let fails_now = !causes.is_empty();
    run.state.causes.extend(causes);
    if let Some(message) = pace::hooks_left(plan.steps.iter(), results(run)) {
        run.state.message = message;
        let pause = if fails_now { 0 } else { BACKSTOP };
        return Ok(Progress::Waits(Next::After(pause)));
    }
    let untried = |step: &&Step| pace::result_of(step, results(run)).is_none();
    let rest: Vec<Step> = plan.on_failure.iter().filter(untried).cloned().collect();
    if !rest.is_empty() {
        let steps = match clear_way(world, me, run, rest, &look.live, plan.propagation)? {
            Way::Clear(steps) => steps,
            Way::Blocked(message) => {
                run.state.message = message;
                return Ok(Progress::Waits(Next::After(BACKSTOP)));
            }
            Way::Refused(cause) => {
                let causes = run.state.causes.iter().cloned().chain([cause]).collect();
                return Ok(Progress::Ended(End::new(phase, why, causes)));
            }
        };
        let (causes, going) = carried(world, me, run, &steps, &[], look)?;
        run.state.causes.extend(causes);
        if let Some(message) = going {
            run.state.message = message;
            return Ok(Progress::Waits(Next::After(BACKSTOP)));
        }
        observe(world, me, run, &mut look.live)?;
        let running = pace::running(plan.on_failure.iter(), results(run));
        run.state.message = pace::waiting_for_hooks(&running);
        return Ok(Progress::Waits(Next::After(0)));
    }
    if let Some(message) = pace::hooks_left(plan.on_failure.iter(), results(run)) {
        run.state.message = message;
        return Ok(Progress::Waits(Next::After(BACKSTOP)));
    }
    tidy(world, me, run, plan, &look.live, false)?;
    // They stay until the end is written: a look that breaks off before comes to this again.
    let causes = run.state.causes.clone();
    Ok(Progress::Ended(End::new(phase, why, causes)))
}

fn since(world: &World, me: &mut Controller, run: &Run) -> Option<Duration> {
    let ended = memory(me, &run.subject).wave_ended?;
    Some((world.now() - ended).to_std().unwrap_or_default())
}

fn barrier(
    live: &LiveSet,
    before: &[Step],
    results: &[ResourceResult],
    since: Option<Duration>,
) -> Option<Barrier> {
    let health = |key: &ResourceKey| {
        let entry = live.find(key)?;
        engine::health::assess_checked(&entry.object, &[], None)
    };
    let sight = Sight {
        results,
        since,
        health: &health,
    };
    pace::barrier(before, &sight)
}

/// What an operation says while that is still there which the steps before have deleted.
fn going(live: &LiveSet, before: &[Step]) -> Option<Message> {
    let there = |step: &&Step| match &step.action {
        Action::Prune { uid, .. } => live.find(&step.key).is_some_and(|entry| entry.uid() == uid),
        _ => false,
    };
    let first = before.iter().find(there)?;
    Some(message::sync::WAITING_DELETION.with("resource", named(&first.key)))
}

pub(crate) fn results(run: &Run) -> &[ResourceResult] {
    let result = run.state.result.as_ref();
    result.map_or(&[], |result| &result.resources)
}

fn record(run: &mut Run, fresh: Vec<ResourceResult>) {
    if let Some(result) = &mut run.state.result {
        pace::record(&mut result.resources, fresh);
    }
}

/// Asks the cluster for the hooks on record as running that the index does not have, or has on their way out.
fn catch_up(world: &mut World, me: &mut Controller, run: &Run, live: &mut LiveSet) -> Looked<()> {
    let attempt = run.attempt("");
    let unseen = |result: &&ResourceResult| {
        let entry = live.find(&result.key);
        let name = attempt.run(&result.sync_phase);
        result.hook
            && result.hook_phase == Phase::Running
            && entry.is_none_or(|entry| {
                !hooks::of_run(&entry.object, &name) || is_leaving(&entry.object)
            })
    };
    let unseen = results(run).iter().filter(unseen);
    let unseen: Vec<ResourceKey> = unseen.map(|result| result.key.clone()).collect();
    live.fetch(world, me, &run.subject.duty(), &unseen)
}

/// Notes how far the hooks have come that were made; `true` if one has ended since.
fn observe(
    world: &mut World,
    me: &mut Controller,
    run: &mut Run,
    live: &mut LiveSet,
) -> Looked<bool> {
    catch_up(world, me, run, live)?;
    let attempt = run.attempt("");
    let (mut ended, mut causes) = (false, Vec::new());
    let results = run.state.result.iter_mut().flat_map(|r| &mut r.resources);
    for result in results.filter(|r| r.hook && r.hook_phase == Phase::Running) {
        let name = attempt.run(&result.sync_phase);
        let entry = live.find(&result.key);
        let body = entry.map(|entry| &entry.object);
        let body = body.filter(|body| hooks::of_run(body, &name));
        let standing = hooks::standing(&result.key, body, &[], None);
        ended |= standing.phase != Phase::Running;
        causes.extend(standing.causes);
        result.status = None;
        result.hook_phase = standing.phase;
        result.message = standing.message;
    }
    run.state.causes.extend(causes);
    Ok(ended)
}

/// Takes our finalizer off the hooks that are known to have ended.
fn release_ended(world: &mut World, me: &Controller, run: &Run, live: &LiveSet) -> Looked<()> {
    let attempt = run.attempt("");
    let ended = results(run)
        .iter()
        .filter(|r| r.hook && r.hook_phase != Phase::Running);
    for result in ended {
        let name = attempt.run(&result.sync_phase);
        let entry = live.find(&result.key);
        if let Some(entry) = entry.filter(|entry| hooks::of_run(&entry.object, &name)) {
            release(world, me, &run.subject.duty(), &result.key, entry)?;
        }
    }
    Ok(())
}

/// What the steps of a wave are to be done now.
enum Way {
    Clear(Vec<Step>),
    Blocked(Message),
    Refused(Cause),
}

/// Has the objects of earlier runs deleted, and notes the hooks that this attempt has made though it is not on record.
fn clear_way(
    world: &mut World,
    me: &Controller,
    run: &mut Run,
    steps: Vec<Step>,
    live: &LiveSet,
    propagation: Propagation,
) -> Looked<Way> {
    let attempt = run.attempt("");
    let (mut clear, mut going, mut made) = (Vec::new(), Vec::new(), Vec::new());
    for step in steps {
        let subject = &run.subject;
        let Some(policy) = step.hook else {
            clear.push(step);
            continue;
        };
        let name = attempt.run(step.phase.as_str());
        let before = |entry: Option<&Arc<Stored>>| {
            hooks::before(policy, &name, entry.map(|entry| &entry.object))
        };
        let mut entry = live.find(&step.key).cloned();
        let mut way = before(entry.as_ref());
        let leaves = entry.as_ref().is_some_and(|there| there.deleting());
        if way == Before::Ready || (way == Before::Made && leaves) {
            entry = world.fetch(me, &step.key, &subject.duty())?;
            if let Some(there) = &entry
                && !claimant(&subject.tenant, subject.name()).may_replace(&there.object, &step.key)
            {
                let message = message::sync::HOOK_NAME_TAKEN.with("resource", &step.key);
                return Ok(Way::Refused(Cause::error(message).on(step.key)));
            }
            way = before(entry.as_ref());
        }
        match way {
            Before::Ready => clear.push(step),
            Before::Made => made.push(apply::made(&step)),
            Before::Gone => going.push(step.key),
            Before::Delete => {
                if let Some(entry) = &entry
                    && !remove(world, me, &subject.duty(), &step.key, entry, propagation)?
                {
                    let cause = Cause::error(message::cluster::FORBIDDEN.message());
                    return Ok(Way::Refused(cause.on(step.key)));
                }
                going.push(step.key);
            }
        }
    }
    record(run, made);
    Ok(match going.first() {
        None => Way::Clear(clear),
        Some(first) => {
            Way::Blocked(message::sync::WAITING_HOOK_DELETION.with("resource", named(first)))
        }
    })
}

/// Takes our finalizer off what hooks were applied to that is on its way out.
fn let_go(
    world: &mut World,
    me: &Controller,
    run: &Run,
    going: &[ResourceKey],
    live: &LiveSet,
) -> Looked<()> {
    for key in going {
        if let Some(entry) = live.find(key).filter(|entry| entry.deleting()) {
            release(world, me, &run.subject.duty(), key, entry)?;
        }
    }
    Ok(())
}

/// Deletes the objects of hooks that ask for it now that the sync has come to its end.
fn tidy(
    world: &mut World,
    me: &Controller,
    run: &mut Run,
    plan: &Plan,
    live: &LiveSet,
    succeeded: bool,
) -> Looked<()> {
    let goes = |policy: DeletePolicy| match succeeded {
        true => policy.succeeded,
        false => policy.failed,
    };
    let steps = plan.steps.iter().chain(&plan.on_failure);
    for step in steps.filter(|step| step.hook.is_some_and(goes)) {
        let ended = pace::result_of(step, results(run));
        let ended = ended.filter(|result| result.hook_phase != Phase::Running);
        let (Some(ended), Some(entry)) = (ended.cloned(), live.find(&step.key)) else {
            continue;
        };
        let duty = run.subject.duty();
        if !remove(world, me, &duty, &step.key, entry, plan.propagation)? {
            let failed = ResourceResult {
                hook_phase: Phase::Error,
                message: "failed to delete resource".to_owned(),
                ..ended
            };
            record(run, vec![failed]);
        }
    }
    Ok(())
}

/// Stops the hooks of an operation that somebody stopped, or whose time is over; `false` where some could not be.
pub(crate) fn terminate(
    world: &mut World,
    me: &mut Controller,
    run: &mut Run,
    live: &mut LiveSet,
) -> Looked<bool> {
    catch_up(world, me, run, live)?;
    release_ended(world, me, run, live)?;
    let attempt = run.attempt("");
    let mut stopped = true;
    let Run { subject, state } = &mut *run;
    let duty = subject.duty();
    let results = state.result.iter_mut().flat_map(|r| &mut r.resources);
    for result in results.filter(|r| r.hook && r.hook_phase == Phase::Running) {
        let name = attempt.run(&result.sync_phase);
        let entry = live.find(&result.key);
        let entry = entry.filter(|entry| hooks::of_run(&entry.object, &name));
        let body = entry.map(|entry| &entry.object);
        let standing = hooks::standing(&result.key, body, &[], None);
        // One on its way out is stopped all the same: who began to stop it may have been cut short.
        let stops = matches!(standing.phase, Phase::Running | Phase::Error);
        let Some(entry) = entry.filter(|_| stops) else {
            (result.status, result.hook_phase) = (None, standing.phase);
            result.message = standing.message;
            continue;
        };
        let removed = remove(world, me, &duty, &result.key, entry, Propagation::default())?;
        stopped &= removed;
        result.status = None;
        (result.hook_phase, result.message) = match removed {
            true => (Phase::Succeeded, "Deleted".to_owned()),
            false => (Phase::Failed, "Failed to delete".to_owned()),
        };
    }
    // What was made without coming on record.
    let operation = attempt.operation();
    let known = self::results(run);
    let unknown = live.entries().filter(|entry| {
        let made = annotation(&entry.object, hooks::RUN).unwrap_or_default();
        let key = ResourceKey::of(&entry.object);
        made.starts_with(&operation)
            && hooks::held(&entry.object)
            && known.iter().all(|result| result.key != key)
    });
    for entry in unknown {
        let (key, duty) = (ResourceKey::of(&entry.object), run.subject.duty());
        stopped &= remove(world, me, &duty, &key, entry, Propagation::default())?;
    }
    Ok(stopped)
}

/// Takes our finalizer off a hook; `false` where the cluster refuses. One that is gone, or has none, is let go already.
fn release(
    world: &mut World,
    me: &Controller,
    duty: &Duty<'_>,
    key: &ResourceKey,
    entry: &Arc<Stored>,
) -> Looked<bool> {
    let mut there = entry.clone();
    for _ in 0..TRIES {
        if !hooks::held(&there.object) {
            return Ok(true);
        }
        let patch = json!({"metadata": {"uid": entry.uid(),
            "resourceVersion": there.object["metadata"]["resourceVersion"],
            "finalizers": hooks::other_finalizers(&there.object)}});
        let request = Request {
            verb: Verb::Merge,
            key: key.clone(),
            body: patch,
            manager: MANAGER.to_owned(),
            dry_run: false,
        };
        let answer = world.call(me, request, duty)?;
        if answer.code != 409 {
            return Ok(answer.is_good() || answer.code == 404);
        }
        match world.fetch(me, key, duty)? {
            Some(fresh) if fresh.uid() == entry.uid() => there = fresh,
            _ => return Ok(true),
        }
    }
    Ok(true)
}

/// Deletes a hook's object, whatever it is doing; `false` where the cluster refuses.
pub(crate) fn remove(
    world: &mut World,
    me: &Controller,
    duty: &Duty<'_>,
    key: &ResourceKey,
    entry: &Arc<Stored>,
    propagation: Propagation,
) -> Looked<bool> {
    let answer = world.call(me, deletion(key, entry.uid(), propagation), duty)?;
    // Another object of that name in its place is not this one.
    if !answer.is_good() && !matches!(answer.code, 404 | 409) {
        return Ok(false);
    }
    release(world, me, duty, key, entry)
}

/// Lets go of what an operation left behind that ended, or whose process did, before it could; deletes what runs of one that was
/// stopped. Each is tried, whatever came of the others; why some could not be.
pub(crate) fn release_idle(
    world: &mut World,
    me: &Controller,
    subject: &Subject,
    live: &[Arc<Stored>],
) -> Looked<Vec<Cause>> {
    let (duty, last) = (subject.duty(), subject.app.status.operation.as_ref());
    let mut kept = Vec::new();
    for entry in live {
        let key = ResourceKey::of(&entry.object);
        if !hooks::held(&entry.object)
            || options::role(&entry.object) != Role::Hook
            || !claimant(&subject.tenant, subject.name()).may_replace(&entry.object, &key)
        {
            continue;
        }
        let stops = last.is_some_and(|last| hooks::outlives(&key, &entry.object, last, None));
        let done = match stops {
            true => remove(world, me, &duty, &key, entry, Propagation::default()),
            false => release(world, me, &duty, &key, entry),
        };
        match done {
            Err(Stop::Crash) => return Err(Stop::Crash),
            Ok(true) => {}
            Ok(false) | Err(_) => {
                let message = match stops {
                    true => message::sync::HOOK_NOT_STOPPED.with("resource", &key),
                    false => message::sync::HOOK_NOT_RELEASED.with("resource", &key),
                };
                kept.push(Cause::warning(message).on(key));
            }
        }
    }
    Ok(kept)
}
