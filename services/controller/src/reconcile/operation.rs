//! The life of a sync: begun, carried out wave by wave, ended, perhaps tried again.
//!
//! Each look takes it as far as it goes without waiting and records where it stands, so that another process can go on
//! from there: applying is idempotent, and what the record says is done is not done again.

use std::time::{Duration, Instant};

use domain::application::{Application, HistoryEntry, REFRESH};
use domain::cause::{Cause, Severity};
use domain::clock::Timestamp;
use domain::message::{self, Message};
use domain::operation::{Operation, OperationState, Phase, ResourceResult, ResultCode, SyncResult};
use domain::resource::ResourceKey;
use domain::status::{HealthCode, Status, SyncCode};
use engine::options::SyncOptions;
use engine::plan::{self, Plan, Step};
use engine::retry;

use super::desire::{self, Desired, Wish};
use super::look::{self, Look};
use super::publish::{self, Report};
use super::subject::Subject;
use super::{Failure, Next, apply};
use crate::context::Context;
use crate::memory::AppMemory;
use crate::repos::Trouble;

/// How long an operation waits for services of ours before it ends with an error.
const PATIENCE: chrono::TimeDelta = chrono::TimeDelta::minutes(5);
/// A waiting operation is looked at this often even if no event comes.
const BACKSTOP: Duration = Duration::from_secs(30);
/// The annotation with which a person approves deletions.
const APPROVED: &str = "argocd.argoproj.io/deletion-approved";
/// The history entries that a status carries where the application does not say.
const HISTORY: i64 = 10;

/// An operation under way.
struct Run {
    subject: Subject,
    state: OperationState,
    /// The refresh that the next write answers.
    refresh: Option<String>,
}

/// How an attempt ended.
struct End {
    phase: Phase,
    message: Message,
    causes: Vec<Cause>,
}

impl End {
    fn new(phase: Phase, message: Message, causes: Vec<Cause>) -> Self {
        Self { phase, message, causes }
    }
}

/// Takes the operation that the row asks for as far as it goes now.
///
/// # Errors
/// When something of ours did not answer.
pub async fn advance(
    ctx: &Context,
    subject: Subject,
    asked: Operation,
    memory: &mut AppMemory,
) -> Result<Next, Failure> {
    let now = ctx.clock.now();
    let refresh = subject.app.annotation(REFRESH).map(str::to_owned);
    let under_way = subject.app.status.operation.clone().filter(|state| !state.phase.completed() && state.operation == asked);
    let begun = under_way.is_none();
    let mut state = under_way.unwrap_or_else(|| new_state(asked, now));
    if state.phase == Phase::Terminating {
        let mut run = Run { subject, state, refresh };
        run.state.retry_count = 0;
        let look = spec_look(ctx, &run.subject, None, memory, false).await?;
        return end(ctx, run, End::new(Phase::Failed, message::sync::TERMINATED.message(), Vec::new()), look, memory).await;
    }
    if let Some(finished) = state.finished_at {
        // It waits for its next try.
        let Some(again) = retry::again(&state.operation.retry, state.retry_count, finished) else {
            state.finished_at = None;
            return run_on(ctx, Run { subject, state, refresh }, None, begun, memory).await;
        };
        if let Ok(wait) = again.at.signed_duration_since(now).to_std()
            && !wait.is_zero()
        {
            return Ok(Next::After(wait));
        }
        state.retry_count = again.attempt;
        state.finished_at = None;
        state.result = None;
        state.causes.clear();
        state.message = message::sync::RUNNING.message();
    }
    run_on(ctx, Run { subject, state, refresh }, None, begun, memory).await
}

/// Begins a sync that nobody asked for: the application syncs by itself.
///
/// # Errors
/// When something of ours did not answer.
pub async fn begin_automated(
    ctx: &Context,
    subject: Subject,
    asked: Operation,
    status: Status,
    look: Look,
    refresh: Option<String>,
    memory: &mut AppMemory,
) -> Result<Next, Failure> {
    let state = new_state(asked.clone(), ctx.clock.now());
    let report = Report {
        status: Status { operation: Some(state.clone()), ..status },
        set_operation: Some(asked),
        clear_refresh: refresh,
        ..Report::default()
    };
    publish::progress(ctx, &subject.key, subject.tenant_name(), &subject.app, report);
    run_on(ctx, Run { subject, state, refresh: None }, Some(look), false, memory).await
}

/// The end of an operation on an application that cannot even be compared.
#[must_use]
pub fn refused(ctx: &Context, app: &Application, asked: &Operation, causes: Vec<Cause>) -> OperationState {
    let now = ctx.clock.now();
    let before = app.status.operation.clone().filter(|state| !state.phase.completed());
    let mut state = before.unwrap_or_else(|| new_state(asked.clone(), now));
    state.phase = Phase::Error;
    if let Some(first) = causes.first() {
        state.message = first.message.clone();
    }
    state.causes = causes;
    state.finished_at = Some(now);
    state.result.get_or_insert_default();
    state
}

fn new_state(asked: Operation, now: Timestamp) -> OperationState {
    OperationState {
        operation: asked,
        phase: Phase::Running,
        message: message::sync::RUNNING.message(),
        causes: Vec::new(),
        started_at: now,
        finished_at: None,
        retry_count: 0,
        result: None,
    }
}

/// Carries an operation on. `look` is a comparison of what the operation wants, if one is at hand.
async fn run_on(
    ctx: &Context,
    mut run: Run,
    at_hand: Option<Look>,
    begun: bool,
    memory: &mut AppMemory,
) -> Result<Next, Failure> {
    if begun {
        // Said at once, so that people see it begin; a quick end overtakes it.
        let status = Status { operation: Some(run.state.clone()), ..run.subject.app.status.clone() };
        let report = Report { status, ..Report::default() };
        publish::progress(ctx, &run.subject.key, run.subject.tenant_name(), &run.subject.app, report);
    }
    let mut look = match at_hand {
        Some(look) => look,
        None => {
            let wish = wish(&run, begun);
            let desired = desire::desire(ctx, &run.subject, &wish, memory).await;
            match desired {
                Ok(desired) => look::look(ctx, &run.subject, Ok(desired), memory).await.map_err(Failure::Cluster)?,
                Err(trouble) => return no_manifests(ctx, run, trouble, memory).await,
            }
        }
    };
    let Ok(desired) = look.desired.clone() else {
        let trouble = look.desired.as_ref().err().cloned();
        return match trouble {
            Some(trouble) => no_manifests(ctx, run, trouble, memory).await,
            None => Ok(Next::Sleep),
        };
    };
    let plan = make_plan(ctx, &run, &desired, &look);
    let result = run.state.result.get_or_insert_with(|| SyncResult {
        revisions: desired.revisions.clone(),
        sources: desired.sources.clone(),
        multiple: desired.multiple,
        resources: Vec::new(),
    });
    if !plan.refusals.is_empty() {
        result.resources = plan.refusals.iter().filter_map(|cause| invalid(cause, &desired)).collect();
        let end_ = invalid_tasks(plan.refusals);
        let look = spec_look(ctx, &run.subject, Some(look), memory, false).await?;
        return end(ctx, run, end_, look, memory).await;
    }
    let end_ = match carry_out(ctx, &mut run, &plan, &desired, &mut look, memory).await? {
        Progress::Ended(end_) => end_,
        Progress::Waits(next) => return waits(ctx, &run, &look, next).await,
    };
    // What the operation did is compared with what the spec wants, which may be something else.
    let after = look::look_at(ctx, &run.subject, look.desired, look.live, memory).await;
    let look = spec_look(ctx, &run.subject, Some(after.map_err(Failure::Cluster)?), memory, true).await?;
    end(ctx, run, end_, look, memory).await
}

enum Progress {
    Ended(End),
    Waits(Next),
}

/// Carries out what is left of a plan, as far as it goes without waiting.
async fn carry_out(
    ctx: &Context,
    run: &mut Run,
    plan: &Plan,
    desired: &Desired,
    look: &mut Look,
    memory: &mut AppMemory,
) -> Result<Progress, Failure> {
    let done: Vec<ResourceKey> = results(run).iter().filter(|r| r.status != ResultCode::SyncFailed).map(|r| r.key.clone()).collect();
    let waves: Vec<Vec<Step>> = plan.waves().map(<[Step]>::to_vec).collect();
    let saving = save_manifests(ctx, &run.subject, plan, memory.unsaved.as_ref(), memory.saved.as_ref());
    let (saved, progress) =
        tokio::join!(saving, waves_in_turn(ctx, run, &waves, &done, plan.dry_run, look, &mut memory.wave_ended));
    if saved {
        memory.saved = memory.unsaved.take().map(|(hash, _)| hash);
    }
    memory.deployed = Some(desired.set.clone());
    progress
}

async fn waves_in_turn(
    ctx: &Context,
    run: &mut Run,
    waves: &[Vec<Step>],
    done: &[ResourceKey],
    dry_run: bool,
    look: &mut Look,
    wave_ended: &mut Option<Instant>,
) -> Result<Progress, Failure> {
    let mut causes = Vec::new();
    for (at, wave) in waves.iter().enumerate() {
        let rest: Vec<Step> = wave.iter().filter(|step| !done.contains(&step.key)).cloned().collect();
        if !rest.is_empty() {
            // The steps before must be healthy, as the plan has it; the namespace alone needs no waiting.
            let before = &waves[..at];
            if !dry_run
                && before.iter().flatten().any(|step| step.phase == plan::SyncPhase::Sync)
                && let Some(waiting) = barrier(look, before, wave_ended)
            {
                return Ok(match waiting {
                    Barrier::Wait(message, next) => {
                        run.state.message = message;
                        Progress::Waits(next)
                    }
                    Barrier::Failed(causes) => {
                        Progress::Ended(End::new(Phase::Failed, message::sync::WAVE_FAILED.message(), causes))
                    }
                });
            }
            let outcome = apply::wave(ctx, &run.subject, &rest, dry_run, &mut look.live).await;
            *wave_ended = Some(Instant::now());
            record(run, outcome.results);
            causes.extend(outcome.causes);
            if let Some(error) = outcome.interrupted {
                return interrupted(ctx, run, error);
            }
            if outcome.namespace_made {
                ctx.tenants.reload().await?;
                if let Some(tenant) = ctx.tenants.get(run.subject.key.tenant).await? {
                    run.subject.tenant = tenant;
                }
            }
            if !causes.is_empty() {
                let message =
                    if dry_run { message::sync::TRY_FAILED } else { message::sync::APPLY_FAILED };
                return Ok(Progress::Ended(End::new(Phase::Failed, message.message(), causes)));
            }
        }
    }
    let message = match (dry_run, results(run).is_empty()) {
        (true, _) => message::sync::TRIED,
        (false, true) => message::sync::NOTHING_TO_DO,
        (false, false) => message::sync::SUCCEEDED,
    };
    Ok(Progress::Ended(End::new(Phase::Succeeded, message.message(), Vec::new())))
}

/// The cluster went away, or the lease did, in the middle: the operation stays, and is carried on later.
fn interrupted(ctx: &Context, run: &Run, error: cluster::Error) -> Result<Progress, Failure> {
    let too_long = ctx.clock.now().signed_duration_since(run.state.started_at) > PATIENCE;
    if too_long && error.is_transient() {
        let cause = error.cause();
        return Ok(Progress::Ended(End::new(Phase::Error, cause.message.clone(), vec![cause])));
    }
    Err(Failure::Cluster(error))
}

enum Barrier {
    Wait(Message, Next),
    Failed(Vec<Cause>),
}

/// What keeps the next wave from beginning.
fn barrier(look: &Look, before: &[Vec<Step>], wave_ended: &mut Option<Instant>) -> Option<Barrier> {
    let delay = Duration::from_secs(plan::WAVE_DELAY_SECONDS);
    let applied = before.iter().flatten().filter(|step| matches!(step.action, plan::Action::Apply { .. }));
    let mut waiting: Vec<&ResourceKey> = Vec::new();
    let mut failed = Vec::new();
    for step in applied {
        let health = look.live.find(&step.key).and_then(|entry| engine::health::assess(&entry.body));
        match health {
            Some(health) if health.code == HealthCode::Degraded => failed.extend(health.causes),
            Some(health) if health.code != HealthCode::Healthy => waiting.push(&step.key),
            _ => {}
        }
    }
    // The delay gives controllers time to notice; what they then say counts.
    if let Some(rest) = wave_ended.and_then(|ended| delay.checked_sub(ended.elapsed())).filter(|rest| !rest.is_zero()) {
        return Some(Barrier::Wait(waiting_for(&waiting, before), Next::After(rest)));
    }
    if !failed.is_empty() {
        return Some(Barrier::Failed(failed));
    }
    if waiting.is_empty() {
        return None;
    }
    Some(Barrier::Wait(waiting_for(&waiting, before), Next::After(BACKSTOP)))
}

fn waiting_for(waiting: &[&ResourceKey], before: &[Vec<Step>]) -> Message {
    let last = before.iter().flatten().next_back().map(|step| &step.key);
    let Some(first) = waiting.first().copied().or(last) else { return message::sync::RUNNING.message() };
    let name = format!("{}/{}/{}", first.group, first.kind, first.name);
    let name = name.trim_start_matches('/');
    match waiting.len() {
        0 | 1 => message::sync::WAITING_HEALTHY.with("resource", name),
        count => message::sync::WAITING_HEALTHY_MORE.with("resource", name).with("count", count - 1),
    }
}

/// Records that an operation goes on.
async fn waits(ctx: &Context, run: &Run, look: &Look, next: Next) -> Result<Next, Failure> {
    let mut status = look::status(ctx, &run.subject, look, Vec::new(), run.refresh.is_some());
    status.operation = Some(run.state.clone());
    let set_operation = run.state.operation.initiated_by.automated.then(|| run.state.operation.clone());
    let report = Report { status, clear_refresh: run.refresh.clone(), set_operation, next, ..Report::default() };
    publish::report(ctx, &run.subject.key, run.subject.tenant_name(), &run.subject.app, report).await
}

/// Git does not say what is wanted: an edit helps, or our own service has to come back.
async fn no_manifests(ctx: &Context, run: Run, trouble: Trouble, memory: &mut AppMemory) -> Result<Next, Failure> {
    let too_long = ctx.clock.now().signed_duration_since(run.state.started_at) > PATIENCE;
    if trouble.ours && !too_long {
        return Err(Failure::Repository(trouble));
    }
    let causes = trouble.causes.to_vec();
    let message = causes.first().map_or_else(|| message::source::INTERNAL.message(), |cause| cause.message.clone());
    let look = look::look(ctx, &run.subject, Err(trouble), memory).await.map_err(Failure::Cluster)?;
    end(ctx, run, End::new(Phase::Error, message, causes), look, memory).await
}

/// What the operation wants: the spec's sources unless it names others.
fn wish(run: &Run, begun: bool) -> Wish {
    let sync = &run.state.operation.sync;
    let by_person = !run.state.operation.initiated_by.automated;
    let mut wish = Wish::of_spec(&run.subject, (begun && by_person) || run.refresh.is_some(), false);
    if !sync.sources.is_empty() {
        wish.sources.clone_from(&sync.sources);
        wish.multiple = true;
    } else if let Some(source) = &sync.source {
        wish.sources = vec![source.clone()];
        wish.multiple = false;
    }
    // A retry that takes up newer revisions forgets the one it began with.
    let pinned = !(run.state.operation.retry.refresh && run.state.retry_count > 0 && !by_person);
    if pinned {
        wish.revisions = if wish.multiple {
            sync.revisions.iter().cloned().map(Some).collect()
        } else {
            vec![Some(sync.revision.clone())]
        };
    }
    wish.brought.clone_from(&sync.manifests);
    wish
}

fn make_plan(ctx: &Context, run: &Run, desired: &Desired, look: &Look) -> Plan {
    let Run { subject, state, .. } = run;
    let sync = &state.operation.sync;
    let asked = SyncOptions::parse(sync.sync_options.iter().map(String::as_str));
    let namespace = subject.destination.namespace.as_str();
    let key = ResourceKey { kind: "Namespace".into(), name: namespace.to_owned(), ..ResourceKey::default() };
    let approved = subject.app.annotation(APPROVED).and_then(|at| chrono::DateTime::parse_from_rfc3339(at).ok());
    let policy = subject.spec.sync_policy.as_ref();
    plan::plan(&desired.prepared, &look.comparison, &plan::Request {
        sync,
        options: if sync.sync_options.is_empty() { &subject.options } else { &asked },
        namespace,
        namespace_exists: ctx.cluster.index().get(&key).is_some(),
        territory: subject.tenant.territory(),
        namespace_metadata: policy.and_then(|policy| policy.managed_namespace_metadata.as_ref()),
        approved: approved.is_some_and(|at| at >= state.started_at),
    })
}

fn invalid_tasks(refusals: Vec<Cause>) -> End {
    let mut reasons: Vec<String> = Vec::new();
    for refusal in &refusals {
        let reason = refusal.message.to_string();
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    End::new(Phase::Failed, message::sync::INVALID_TASKS.with("reasons", reasons.join("; ")), refusals)
}

fn invalid(cause: &Cause, desired: &Desired) -> Option<ResourceResult> {
    let key = cause.resource.clone()?;
    let target = desired.prepared.targets.iter().find(|target| target.key == key);
    Some(ResourceResult {
        version: target.map(|target| target.version.clone()).unwrap_or_default(),
        key,
        status: ResultCode::SyncFailed,
        message: cause.message.to_string(),
        hook_phase: Phase::Failed,
        sync_phase: plan::SyncPhase::Sync.as_str().to_owned(),
        images: Vec::new(),
    })
}

fn results(run: &Run) -> &[ResourceResult] {
    run.state.result.as_ref().map_or(&[], |result| &result.resources)
}

/// Notes what became of objects, in the place of what was noted before.
fn record(run: &mut Run, results: Vec<ResourceResult>) {
    let Some(result) = &mut run.state.result else { return };
    for fresh in results {
        match result.resources.iter_mut().find(|known| known.key == fresh.key) {
            Some(known) => *known = fresh,
            None => result.resources.push(fresh),
        }
    }
}

/// Keeps the manifest set while the objects are applied; `true` when it is kept now.
async fn save_manifests(
    ctx: &Context,
    subject: &Subject,
    plan: &Plan,
    unsaved: Option<&(domain::manifest::ManifestSetHash, std::sync::Arc<[u8]>)>,
    saved: Option<&domain::manifest::ManifestSetHash>,
) -> bool {
    let Some((hash, bytes)) = unsaved.filter(|(hash, _)| !plan.dry_run && saved != Some(hash)) else { return false };
    match ctx.store.tenant(subject.key.tenant).put_manifest_set(hash, bytes).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a manifest set could not be kept yet");
            false
        }
    }
}

/// A comparison with what the spec wants. The one at hand is of what an operation wanted; often that is the same.
async fn spec_look(
    ctx: &Context,
    subject: &Subject,
    at_hand: Option<Look>,
    memory: &mut AppMemory,
    applied: bool,
) -> Result<Look, Failure> {
    let wish = Wish::of_spec(subject, false, false);
    let look = match at_hand {
        Some(look) => {
            let same = match &look.desired {
                Ok(desired) => desired.sources == wish.sources && desire::is_current(ctx, subject, &desired.revisions).await,
                Err(_) => false,
            };
            if same {
                look
            } else {
                let desired = desire::desire(ctx, subject, &wish, memory).await;
                if applied {
                    look::look_at(ctx, subject, desired, look.live, memory).await.map_err(Failure::Cluster)?
                } else {
                    look::look(ctx, subject, desired, memory).await.map_err(Failure::Cluster)?
                }
            }
        }
        None => {
            let desired = desire::desire(ctx, subject, &wish, memory).await;
            look::look(ctx, subject, desired, memory).await.map_err(Failure::Cluster)?
        }
    };
    desire::follow(ctx, subject, look.desired.as_ref().ok().map(|desired| desired.revisions.as_slice()));
    Ok(look)
}

/// Ends an attempt: for good, or until the next one.
async fn end(ctx: &Context, run: Run, ended: End, look: Look, memory: &mut AppMemory) -> Result<Next, Failure> {
    let Run { subject, mut state, refresh } = run;
    let now = ctx.clock.now();
    memory.wave_ended = None;
    state.finished_at = Some(now);
    state.result.get_or_insert_default();
    state.causes = ended.causes;
    let failed = matches!(ended.phase, Phase::Failed | Phase::Error) && state.phase != Phase::Terminating;
    let again = retry::again(&state.operation.retry, state.retry_count, now).filter(|_| failed);
    let outcome = ended.message.to_string();
    state.message = match (&again, state.retry_count) {
        (Some(again), _) => message::sync::RETRYING
            .with("outcome", outcome)
            .with("attempt", again.attempt)
            .with("time", again.announced.format("%-I:%M%p")),
        (None, 0) => ended.message,
        (None, count) => message::sync::RETRIED.with("outcome", outcome).with("count", count),
    };
    state.phase = if again.is_some() { Phase::Running } else { ended.phase };
    let mut status = look::status(ctx, &subject, &look, operation_causes(&state, &look), true);
    settle(&mut state, &status);

    let mut report = Report { clear_refresh: refresh, ..Report::default() };
    if let Some(again) = again {
        report.next = Next::After(again.at.signed_duration_since(now).to_std().unwrap_or_default());
        let automated = state.operation.initiated_by.automated;
        report.set_operation = automated.then(|| state.operation.clone());
    } else {
        let dry_run = state.operation.sync.dry_run;
        tracing::info!(
            operation = if state.operation.initiated_by.automated { "auto-sync" } else { "sync" },
            phase = state.phase.as_str(),
            revision = state.result.as_ref().and_then(|r| r.revisions.first()).map(String::as_str).unwrap_or_default(),
            milliseconds = now.signed_duration_since(state.started_at).num_milliseconds(),
            "the sync has ended"
        );
        ctx.metrics.synced(&subject.key, subject.tenant_name(), subject.spec.project(), state.phase, dry_run);
        report.clear_operation = Some(state.operation.clone());
        let entry = history(ctx, &subject, &state, memory, now).await?;
        if let Some(entry) = &entry {
            remember(&mut status, &subject, entry.clone());
        }
        report.history = entry;
        // Whether it syncs again by itself is decided at the next look.
        if status.sync == SyncCode::OutOfSync && subject.spec.automated().is_some() {
            report.next = Next::After(Duration::ZERO);
        }
    }
    status.operation = Some(state);
    report.status = status;
    publish::report(ctx, &subject.key, subject.tenant_name(), &subject.app, report).await
}

/// Why the operation did not end well, where the comparison does not say so itself.
fn operation_causes(state: &OperationState, look: &Look) -> Vec<Cause> {
    let known = |cause: &&Cause| look.comparison.causes.iter().all(|other| other.message.code != cause.message.code);
    let failed = matches!(state.phase, Phase::Failed | Phase::Error | Phase::Running);
    let errors = state.causes.iter().filter(|cause| cause.severity == Severity::Error);
    if failed { errors.filter(known).cloned().collect() } else { Vec::new() }
}

/// What an applied object came to by the end, as Argo CD's results say.
fn settle(state: &mut OperationState, status: &Status) {
    let Some(result) = &mut state.result else { return };
    for resource in result.resources.iter_mut().filter(|r| r.status == ResultCode::Synced && r.hook_phase == Phase::Running)
    {
        let health = status.resources.iter().find(|known| known.key == resource.key).and_then(|known| known.health);
        resource.hook_phase = match health {
            None | Some(HealthCode::Healthy) => Phase::Succeeded,
            Some(HealthCode::Degraded) => Phase::Failed,
            Some(_) => Phase::Running,
        };
    }
}

/// The history entry of a sync that deployed everything; other operations make none.
async fn history(
    ctx: &Context,
    subject: &Subject,
    state: &OperationState,
    memory: &AppMemory,
    now: Timestamp,
) -> Result<Option<HistoryEntry>, Failure> {
    let sync = &state.operation.sync;
    let deployed = state.phase == Phase::Succeeded && !sync.dry_run && sync.resources.is_empty() && sync.manifests.is_empty();
    let Some(result) = state.result.as_ref().filter(|_| deployed) else { return Ok(None) };
    let last = match subject.app.status.history.last() {
        Some(last) => Some(last.id),
        None => {
            let history = ctx.store.tenant(subject.key.tenant);
            history.history().newest(subject.app.uid(), 1).await?.last().map(|entry| entry.id)
        }
    };
    Ok(Some(HistoryEntry {
        id: last.map_or(0, |id| id + 1),
        revisions: result.revisions.clone(),
        sources: result.sources.clone(),
        multiple: result.multiple,
        deploy_started_at: state.started_at,
        deployed_at: now,
        initiated_by: state.operation.initiated_by.clone(),
        manifest_set: memory.deployed.clone().unwrap_or_default(),
    }))
}

/// Puts an entry into the part of the history that a status carries.
fn remember(status: &mut Status, subject: &Subject, entry: HistoryEntry) {
    status.history.push(entry);
    let limit = usize::try_from(subject.spec.revision_history_limit.unwrap_or(HISTORY)).unwrap_or_default();
    let surplus = status.history.len().saturating_sub(limit);
    status.history.drain(..surplus);
}
