//! The life of a sync: begun, carried out wave by wave, ended, perhaps tried again.
//!
//! Each look takes it as far as it goes without waiting and records where it stands, so that another process can go on
//! from there: applying is idempotent, and what the record says is done is not done again.

use std::time::{Duration, Instant};

use domain::application::{Application, REFRESH};
use domain::cause::Cause;
use domain::clock::Timestamp;
use domain::message;
use domain::operation::{Operation, OperationState, Phase, ResourceResult, SyncResult};
use domain::project::gate::Begun;
use domain::quota::Quota;
use domain::resource::{ResourceKey, text};
use domain::status::Status;
use engine::operation::{self, End, TakenUp};
use engine::options::SyncOptions;
use engine::origin;
use engine::plan::{self, Plan, pace};
use serde_json::Value;

use super::desire::{self, Desired, Wish};
use super::look::{self, Look};
use super::publish::{self, Report};
use super::subject::Subject;
use super::{Failure, LOOK_AGAIN, Next, at};
use crate::context::Context;
use crate::memory::{AppMemory, Times, Unsaved};
use crate::repos::Trouble;

mod between;
mod ending;
pub mod foresee;
mod hooks;
mod waits;
mod waves;

pub use ending::lasting;
use ending::{end, invalid, invalid_tasks};
use waves::{Progress, carry_out, results};

/// How long an operation waits for services of ours, and for a cluster that answers with errors, before it ends with one.
const PATIENCE: Duration = Duration::from_secs(300);
/// The annotation with which a person approves deletions.
const APPROVED: &str = "argocd.argoproj.io/deletion-approved";

/// An operation under way.
struct Run {
    subject: Subject,
    state: OperationState,
    /// The refresh that the next write answers.
    refresh: Option<String>,
    /// The manifest set that it has deployed and that is to be kept with its end.
    set: Option<Unsaved>,
}

impl Run {
    /// The sync options in force: the request's where it names some, else the application's.
    fn options(&self) -> SyncOptions {
        match self.state.operation.sync.sync_options.as_slice() {
            [] => self.subject.options.clone(),
            named => SyncOptions::parse(named.iter().map(String::as_str)),
        }
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
    tracing::Span::current().record(
        "operation",
        if asked.initiated_by.automated {
            "auto-sync"
        } else {
            "sync"
        },
    );
    let refresh = subject.app.annotation(REFRESH).map(str::to_owned);
    let recorded = subject.app.status.operation.as_ref();
    let TakenUp {
        state,
        begun,
        until,
    } = operation::take_up(recorded, asked, now);
    if begun {
        memory.times = Times::default();
    }
    let deadline = deadline(&subject, &state);
    let late = deadline.is_some_and(|deadline| now >= deadline);
    if state.phase == Phase::Terminating || late {
        let state = as_recorded(recorded, state, begun);
        let look = spec_look(ctx, &subject, None, memory, false).await;
        let mut look = match with_patience(look, &mut memory.times, Instant::now())? {
            Ok(look) => look,
            // As where it is away: the looks that follow delete what runs there.
            Err(error) => {
                let next = Next::After(LOOK_AGAIN);
                return without_cluster(ctx, &subject, error.cause(), next).await;
            }
        };
        let mut run = Run {
            subject,
            state,
            refresh,
            set: None,
        };
        // Before its hooks are stopped: it says which it waited for.
        let end_ = stopped(run.subject.sync_timeout, &run.state);
        let all = match hooks::terminate(ctx, &mut run, &mut look.live, &memory.checked).await {
            Ok(all) => all,
            // It is to be over; the looks that follow do what is left.
            Err(error) if gives_up(&error, &mut memory.times, Instant::now()) => false,
            Err(error) => {
                keep(ctx, &run);
                return Err(Failure::Cluster(error));
            }
        };
        // Not before: hooks bear the number of their try.
        run.state.retry_count = 0;
        // What is stopped is not tried again.
        run.state.phase = Phase::Terminating;
        if all {
            return end(ctx, run, end_, look, memory).await;
        }
        let next = end(ctx, run, in_vain(end_), look, memory).await?;
        // The next look goes on with its hooks, and says what keeps them.
        return Ok(next.sooner(Next::After(Duration::ZERO)));
    }
    // A try whose time comes while a window is closed has not begun: it waits on, and may be superseded meanwhile.
    let due =
        recorded.filter(|state| !begun && until.is_none() && operation::next_try(state).is_some());
    let closed = due.and_then(|state| {
        let applicant = subject.applicant();
        applicant.held(begun_by(state), state.started_at, now)
    });
    if until.is_some() || closed.is_some() {
        let state = as_recorded(recorded, state, begun);
        let until = closed.as_ref().map_or(until, |closed| closed.until);
        let until = until.into_iter().chain(deadline).min();
        let closed = closed.map(|closed| closed.cause);
        return between::compare(ctx, &subject, state, until, closed, memory).await;
    }
    run_on(
        ctx,
        Run {
            subject,
            state,
            refresh,
            set: None,
        },
        None,
        begun,
        memory,
    )
    .await
}

/// When an operation is stopped that has not ended, where the tenant's settings say so.
fn deadline(subject: &Subject, state: &OperationState) -> Option<Timestamp> {
    let limit = chrono::TimeDelta::from_std(subject.sync_timeout?).ok()?;
    state.started_at.checked_add_signed(limit)
}

/// What is stopped, or waits on, as it is on record: taken up for its next try it would not say any more what it waited for.
fn as_recorded(
    recorded: Option<&OperationState>,
    taken_up: OperationState,
    begun: bool,
) -> OperationState {
    recorded.filter(|_| !begun).cloned().unwrap_or(taken_up)
}

/// The end of an operation that somebody stopped, or the time that it may take.
fn stopped(limit: Option<Duration>, state: &OperationState) -> End {
    // It may have failed before: hooks still ran, or its next try was to come.
    let before = state.causes.iter().cloned();
    let (Phase::Running, Some(limit)) = (state.phase, limit) else {
        let message = message::sync::TERMINATED.message();
        return End::new(Phase::Failed, message, before.collect());
    };
    let message = message::sync::TIMED_OUT
        .with("seconds", limit.as_secs())
        .with("message", &state.message);
    let mut cause = Cause::error(message.clone());
    if let Some(hook) = running_hook(state) {
        // The cause lasts with its hook: no comparison says of a hook that it is still to be done.
        cause = cause.on(hook.key.clone());
    }
    let causes = std::iter::once(cause).chain(before);
    End::new(Phase::Failed, message, causes.collect())
}

/// A hook that is on record as running.
fn running_hook(state: &OperationState) -> Option<&ResourceResult> {
    let mut results = state.result.iter().flat_map(|result| &result.resources);
    results.find(|result| result.hook && result.hook_phase == Phase::Running)
}

/// The end of one that was stopped while hooks of it run on.
fn in_vain(ended: End) -> End {
    let message = match ended.message.is(&message::sync::TERMINATED) {
        true => message::sync::NOT_TERMINATED.message(),
        false => ended.message,
    };
    End::new(Phase::Error, message, ended.causes)
}

/// Whether something has lasted for longer than an operation has patience; it begins when that is asked first.
fn for_long(since: &mut Option<Instant>, now: Instant) -> bool {
    now.saturating_duration_since(*since.get_or_insert(now)) > PATIENCE
}

/// Whether an operation is given up that the cluster, though it answers, has not let go on for longer than there is patience: it
/// would be tried for ever, and nothing said of it.
fn gives_up(error: &cluster::Error, times: &mut Times, now: Instant) -> bool {
    error.is_transient() && for_long(&mut times.interrupted, now)
}

/// What a look came to at what is to be stopped. The inner error is the cluster's, for which there was patience for long enough: what
/// somebody wants to be over does not wait for a look that fails.
fn with_patience<T>(
    look: Result<T, Failure>,
    times: &mut Times,
    now: Instant,
) -> Result<Result<T, cluster::Error>, Failure> {
    match look {
        Err(Failure::Cluster(error)) if gives_up(&error, times, now) => Ok(Err(error)),
        look => look.map(Ok),
    }
}

/// The end of an attempt that is given up for that. It may have failed before, and have waited for the hooks that still ran.
fn cut_off(state: &OperationState, error: &cluster::Error) -> End {
    let cause = error.cause();
    let message = cause.message.clone();
    let causes = std::iter::once(cause).chain(state.causes.iter().cloned());
    End::new(Phase::Error, message, causes.collect())
}

/// The end of one that is stopped while its cluster is away, or shows nothing; the look that follows when it is back deletes what runs
/// there.
fn stopped_from_afar(limit: Option<Duration>, state: &OperationState) -> End {
    let ended = stopped(limit, state);
    match running_hook(state) {
        Some(_) => in_vain(ended),
        None => ended,
    }
}

/// Reports an application whose cluster is away, or answers with nothing but errors for long. An operation on it waits, but no longer
/// than it may take, nor than somebody wants it to.
///
/// # Errors
/// When that could not be written.
pub async fn without_cluster(
    ctx: &Context,
    subject: &Subject,
    cause: Cause,
    next: Next,
) -> Result<Next, Failure> {
    let (app, now) = (&subject.app, ctx.clock.now());
    let refresh = app.annotation(REFRESH).map(str::to_owned);
    let mut report = Report {
        status: look::unknown(ctx, app, vec![cause.clone()], refresh.is_some()),
        clear_refresh: refresh.clone(),
        next,
        ..Report::default()
    };
    let recorded = app.status.operation.as_ref();
    let under_way = recorded.filter(|state| {
        !state.phase.completed() && app.operation.as_ref() == Some(&state.operation)
    });
    let deadline = under_way.and_then(|state| deadline(subject, state));
    let is_over = |state: &&OperationState| {
        state.phase == Phase::Terminating || deadline.is_some_and(|deadline| now >= deadline)
    };
    match (under_way.filter(is_over), deadline) {
        (Some(state), _) => {
            let mut state = state.clone();
            let end_ = stopped_from_afar(subject.sync_timeout, &state);
            let causes = end_.causes.iter().cloned().chain([cause]).collect();
            // What is stopped is not tried again.
            state.retry_count = 0;
            state.phase = Phase::Terminating;
            operation::conclude(&mut state, end_, now);
            let (tenant, project) = (subject.tenant_name(), subject.spec.project());
            let dry_run = state.operation.sync.dry_run;
            ctx.metrics
                .synced(&subject.key, tenant, project, state.phase, dry_run);
            report.status = look::unknown(ctx, app, causes, refresh.is_some());
            report.clear_operation = Some(state.operation.clone());
            report.status.operation = Some(state);
        }
        (None, Some(deadline)) => report.next = at(ctx, deadline).sooner(next),
        (None, None) => {}
    }
    publish::report(ctx, &subject.key, subject.tenant_name(), app, report).await
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
    tracing::Span::current().record("operation", "auto-sync");
    let state = operation::begin(asked.clone(), ctx.clock.now());
    memory.times = Times::default();
    let report = Report {
        status: Status {
            operation: Some(state.clone()),
            ..status
        },
        set_operation: Some(asked),
        clear_refresh: refresh,
        finalizers: look::finalizers(&subject, &look),
        ..Report::default()
    };
    publish::progress(
        ctx,
        &subject.key,
        subject.tenant_name(),
        &subject.app,
        report,
    );
    run_on(
        ctx,
        Run {
            subject,
            state,
            refresh: None,
            set: None,
        },
        Some(look),
        false,
        memory,
    )
    .await
}

/// The end of an operation on an application that cannot even be compared.
#[must_use]
pub fn refused(
    ctx: &Context,
    app: &Application,
    asked: &Operation,
    causes: Vec<Cause>,
) -> OperationState {
    let now = ctx.clock.now();
    let before = app
        .status
        .operation
        .clone()
        .filter(|state| !state.phase.completed());
    let mut state = before.unwrap_or_else(|| operation::begin(asked.clone(), now));
    state.phase = Phase::Error;
    if let Some(first) = causes.first() {
        state.message = first.message.clone();
    }
    state.causes = causes;
    state.finished_at = Some(now);
    state.result.get_or_insert_default();
    state
}

/// Carries an operation on. `look` is a comparison of what the operation wants, if one is at hand.
#[tracing::instrument(name = "sync", skip_all, fields(begun))]
async fn run_on(
    ctx: &Context,
    mut run: Run,
    at_hand: Option<Look>,
    begun: bool,
    memory: &mut AppMemory,
) -> Result<Next, Failure> {
    if begun {
        // Said in any case, so that people see it begin; a quick end overtakes it.
        let status = Status {
            operation: Some(run.state.clone()),
            ..run.subject.app.status.clone()
        };
        let report = Report {
            status,
            ..Report::default()
        };
        publish::begun(
            ctx,
            &run.subject.key,
            run.subject.tenant_name(),
            &run.subject.app,
            report,
        );
    }
    if let Some(closed) =
        run.subject
            .applicant()
            .held(begun_by(&run.state), run.state.started_at, ctx.clock.now())
    {
        run.state.message = closed.message;
        let look = spec_look(ctx, &run.subject, at_hand, memory, false).await?;
        let next = closed.until.map_or(Next::Sleep, |until| at(ctx, until));
        return waits(ctx, &run, &look, vec![closed.cause], next).await;
    }
    let causes = forbidden(&run);
    if let Some(first) = causes.first() {
        let end_ = End::new(Phase::Error, first.message.clone(), causes.clone());
        let look = spec_look(ctx, &run.subject, at_hand, memory, false).await?;
        return end_early(ctx, run, end_, look, memory).await;
    }
    let mut look = match at_hand {
        Some(look) => look,
        None => {
            let wish = wish(&run, begun);
            let desired = desire::desire(ctx, &run.subject, &wish, memory).await;
            match desired {
                Ok(desired) => look::look(ctx, &run.subject, Ok(desired), memory)
                    .await
                    .map_err(Failure::Cluster)?,
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
    memory.times.unrendered = None;
    if let Some(cause) = hindered(ctx, &run, desired.prepared.targets.len()).await? {
        let message = cause.message.clone();
        let look = spec_look(ctx, &run.subject, Some(look), memory, false).await?;
        let end_ = End::new(Phase::Error, message, vec![cause]);
        return end_early(ctx, run, end_, look, memory).await;
    }
    if run.options().respect_ignored {
        let fetched = look.fetch_ignored(ctx, &run.subject).await;
        let causes = fetched.map_err(Failure::Cluster)?;
        if let Some(message) = causes.first().map(|cause| cause.message.clone()) {
            let look = spec_look(ctx, &run.subject, Some(look), memory, false).await?;
            let end_ = End::new(Phase::Error, message, causes);
            return end_early(ctx, run, end_, look, memory).await;
        }
    }
    // Who has taken it over knows that by the record alone.
    let namespace = ResourceKey::of_namespace(&run.subject.destination.namespace);
    let anew = memory.times.namespace_left || awaits_deletion(&run.state, &namespace);
    let plan = make_plan(ctx, &run, &desired, &look, anew, |plan, _| plan);
    let result = run.state.result.get_or_insert_with(|| SyncResult {
        revisions: desired.revisions.clone(),
        sources: desired.sources.clone(),
        multiple: desired.multiple,
        ..SyncResult::default()
    });
    if !plan.refusals.is_empty() {
        result.resources = plan
            .refusals
            .iter()
            .filter_map(|cause| invalid(cause, &desired.prepared.targets))
            .collect();
        let end_ = invalid_tasks(plan.refusals);
        let look = spec_look(ctx, &run.subject, Some(look), memory, false).await?;
        return end_early(ctx, run, end_, look, memory).await;
    }
    result.managed_namespace_metadata = namespace_metadata(&run.subject).cloned();
    if (plan.has_hooks() || plan.makes_anew()) && !plan.dry_run && !on_record(&run) {
        // A hook is known again by the attempt that made it, and what was made anew by when the attempt began, so the attempt
        // is on record before either: another operation may have been asked for meanwhile, and a successor must find the
        // same one.
        return waits(ctx, &run, &look, Vec::new(), Next::After(Duration::ZERO)).await;
    }
    let carried = carry_out(ctx, &mut run, &plan, &desired, &mut look, memory).await;
    // By what the operation deploys, which need not be what the spec wants.
    let targets = &desired.prepared.targets;
    origin::locate(&mut run.state.causes, targets);
    let progress = match carried {
        Err(Failure::Cluster(error)) if gives_up(&error, &mut memory.times, Instant::now()) => {
            Progress::Ended(cut_off(&run.state, &error))
        }
        // The cluster went away, or the lease did, in the middle: the operation stays, and is carried on later.
        Err(failure) => {
            keep(ctx, &run);
            return Err(failure);
        }
        Ok(progress) => {
            memory.times.interrupted = None;
            progress
        }
    };
    let end_ = match progress {
        Progress::Ended(mut end_) => {
            origin::locate(&mut end_.causes, targets);
            end_
        }
        Progress::Waits(next) => return waits(ctx, &run, &look, Vec::new(), next).await,
        Progress::Lingers(causes, next) => return waits(ctx, &run, &look, causes, next).await,
    };
    // What the operation did is compared with what the spec wants, which may be something else.
    let after = look::look_at(ctx, &run.subject, look.desired, look.live, memory).await;
    let after = after.map_err(Failure::Cluster);
    let after = after.inspect_err(|_| keep(ctx, &run))?;
    let look = match spec_look(ctx, &run.subject, Some(after), memory, true).await {
        Ok(look) => look,
        Err(failure) => {
            keep(ctx, &run);
            // What the spec wants may have been rendered into its place.
            memory.unsaved = run.set.or(memory.unsaved.take());
            return Err(failure);
        }
    };
    end(ctx, run, end_, look, memory).await
}

/// Who began an operation: the one who may pass a window with `manualSync`, or the application itself.
fn begun_by(state: &OperationState) -> Begun {
    match state.operation.initiated_by.automated {
        true => Begun::ByItself,
        false => Begun::ByHand,
    }
}

/// Whether the row says that this attempt runs.
fn on_record(run: &Run) -> bool {
    let recorded = run.subject.app.status.operation.as_ref();
    recorded.is_some_and(|state| {
        !state.phase.completed()
            && state.finished_at.is_none()
            && state.started_at == run.state.started_at
            && state.retry_count == run.state.retry_count
            && state.operation == run.state.operation
    })
}

/// What is written of an operation in the middle of a look.
fn recorded(run: &Run) -> Report {
    let status = Status {
        operation: Some(run.state.clone()),
        ..run.subject.app.status.clone()
    };
    Report {
        status,
        set_operation: begun_by_itself(run),
        ..Report::default()
    }
}

/// Has written down what became of objects in a look that comes to nothing: the next one does not do it again, nor say of what
/// was made that it was there.
fn keep(ctx: &Context, run: &Run) {
    let subject = &run.subject;
    let on_record = subject.app.status.operation.as_ref();
    let on_record = on_record.and_then(|state| state.result.as_ref());
    let known = on_record.map_or(&[][..], |result| &result.resources);
    if known != results(run) {
        let tenant = subject.tenant_name();
        publish::progress(ctx, &subject.key, tenant, &subject.app, recorded(run));
    }
}

/// The operation that an application began of itself, which the row has to ask for as long as it goes on.
fn begun_by_itself(run: &Run) -> Option<Operation> {
    let operation = &run.state.operation;
    let automated = operation.initiated_by.automated;
    automated.then(|| operation.clone())
}

/// Records that an operation goes on.
async fn waits(
    ctx: &Context,
    run: &Run,
    look: &Look,
    causes: Vec<Cause>,
    next: Next,
) -> Result<Next, Failure> {
    let mut status = look::status(ctx, &run.subject, look, causes, run.refresh.is_some());
    status.operation = Some(run.state.clone());
    let deadline = deadline(&run.subject, &run.state);
    let next = deadline.map_or(next, |deadline| next.sooner(at(ctx, deadline)));
    // What could not be said may be what is waited for; and a window may be closed for long.
    let next = look
        .again
        .map_or(next, |again| next.sooner(Next::After(again)));
    let report = Report {
        status,
        clear_refresh: run.refresh.clone(),
        set_operation: begun_by_itself(run),
        next,
        ..Report::default()
    };
    publish::report(
        ctx,
        &run.subject.key,
        run.subject.tenant_name(),
        &run.subject.app,
        report,
    )
    .await
}

/// Git does not say what is wanted: an edit helps, or our own service has to come back.
async fn no_manifests(
    ctx: &Context,
    run: Run,
    trouble: Trouble,
    memory: &mut AppMemory,
) -> Result<Next, Failure> {
    if trouble.ours && !for_long(&mut memory.times.unrendered, Instant::now()) {
        return Err(Failure::Repository(trouble));
    }
    let causes = trouble.causes.to_vec();
    let message = causes.first().map_or_else(
        || message::source::INTERNAL.message(),
        |cause| cause.message.clone(),
    );
    let look = look::look(ctx, &run.subject, Err(trouble), memory)
        .await
        .map_err(Failure::Cluster)?;
    let end_ = End::new(Phase::Error, message, causes);
    end_early(ctx, run, end_, look, memory).await
}

/// Ends an attempt before its waves: it may have begun them in an earlier look, before something came in the way.
async fn end_early(
    ctx: &Context,
    run: Run,
    ended: End,
    look: Look,
    memory: &mut AppMemory,
) -> Result<Next, Failure> {
    match hooks::leave_unwatched(ctx, &run, &look.live).await {
        Err(error) if gives_up(&error, &mut memory.times, Instant::now()) => {
            tracing::warn!(%error, "hooks are left that nobody watches");
        }
        left => left.map_err(Failure::Cluster)?,
    }
    end(ctx, run, ended, look, memory).await
}

/// Why the project lets nothing be deployed, or not from here: an operation may name other sources than the spec, and a
/// rollback does.
fn forbidden(run: &Run) -> Vec<Cause> {
    let rules = run.subject.rules();
    let project = run.subject.spec.project();
    wish(run, false)
        .sources
        .iter()
        .map(|source| (text(source, &["repoURL"]), text(source, &["chart"])))
        .filter(|(url, chart)| !rules.permits_chart(url, chart))
        .map(|(url, _)| {
            let message = message::app::SOURCE_NOT_PERMITTED.with("repository", url);
            Cause::error(message.with("project", project)).field("spec.source.repoURL")
        })
        .collect()
}

/// What the operation wants: the spec's sources unless it names others.
fn wish(run: &Run, begun: bool) -> Wish {
    let sync = &run.state.operation.sync;
    let by_person = !run.state.operation.initiated_by.automated;
    let mut wish = Wish::of_spec(
        &run.subject,
        (begun && by_person) || run.refresh.is_some() || operation::takes_newest(&run.state),
        false,
    );
    if !sync.sources.is_empty() {
        wish.sources.clone_from(&sync.sources);
        wish.multiple = true;
    } else if let Some(source) = &sync.source {
        wish.sources = vec![source.clone()];
        wish.multiple = false;
    }
    wish.revisions = operation::revisions(&run.state, wish.multiple);
    wish.brought.clone_from(&sync.manifests);
    wish
}

/// Why nothing may be applied of what is wanted: nobody may do so, or it is too much.
async fn hindered(ctx: &Context, run: &Run, wanted: usize) -> Result<Option<Cause>, Failure> {
    match run.subject.writer.nobody() {
        Some(cause) => Ok(Some(cause.clone())),
        None => too_many(ctx, run, wanted).await,
    }
}

/// Why the tenant may not have so many more objects.
async fn too_many(ctx: &Context, run: &Run, wanted: usize) -> Result<Option<Cause>, Failure> {
    let Some(allowed) = run.subject.tenant().tenant.allowed(Quota::Objects) else {
        return Ok(None);
    };
    let all = ctx.tenants.objects(run.subject.key.tenant).await?;
    let own = run.subject.app.status.resources.len() as u64;
    let used = all.saturating_sub(own).saturating_add(wanted as u64);
    Ok((used > allowed).then(|| {
        Cause::error(
            message::tenant::QUOTA_REACHED
                .with("quota", Quota::Objects.as_str())
                .with("used", used)
                .with("allowed", allowed),
        )
    }))
}

/// Plans what is left of an operation. `then` is shown the plan and what it was made of. One that has waited for its namespace to
/// be gone makes it `anew` though it is there: Naru makes a tenant's again by itself, and what is in it a moment later.
fn make_plan<T>(
    ctx: &Context,
    run: &Run,
    desired: &Desired,
    look: &Look,
    anew: bool,
    then: impl FnOnce(Plan, &plan::Request<'_>) -> T,
) -> T {
    let Run { subject, state, .. } = run;
    let sync = &state.operation.sync;
    let options = run.options();
    let namespace = subject.destination.namespace.as_str();
    let key = ResourceKey::of_namespace(namespace);
    let absent = (anew && options.create_namespace) || known_absent(ctx, &key);
    let approved = subject
        .app
        .annotation(APPROVED)
        .and_then(|at| chrono::DateTime::parse_from_rfc3339(at).ok());
    let live = look.live.as_live();
    let request = plan::Request {
        sync,
        options: &options,
        namespace,
        namespace_exists: !absent,
        territory: subject.tenant().territory(),
        namespace_metadata: namespace_metadata(subject),
        // The command writes whole seconds.
        approved: approved.is_some_and(|at| at.timestamp() >= state.started_at.timestamp()),
        attempt: hooks::attempt(run, desired.revisions.first().map_or("", String::as_str)),
        ignore: look.ignored(subject),
        live: &live,
        schema: &desired.schema,
    };
    then(
        plan::plan(&desired.prepared, &look.comparison, &request),
        &request,
    )
}

/// Whether an operation says that it waits for this object to be gone before any other.
fn awaits_deletion(state: &OperationState, key: &ResourceKey) -> bool {
    let codes = [
        message::sync::WAITING_DELETION,
        message::sync::WAITING_DELETION_MORE,
    ];
    let names = state.message.arguments.get("resource");
    codes.iter().any(|code| state.message.is(code)) && names == Some(&pace::named(key))
}

/// Whether an object is not there. Where its kind is not watched (namespaces are not in a cluster that was added with some of
/// them) that is not known, and the cluster says it when something is written.
fn known_absent(ctx: &Context, key: &ResourceKey) -> bool {
    let index = ctx.cluster.index();
    index.get(key).is_none() && index.would_have(key)
}

/// The labels and annotations that the spec wants of the namespace.
fn namespace_metadata(subject: &Subject) -> Option<&Value> {
    let policy = subject.spec.sync_policy.as_ref()?;
    policy.managed_namespace_metadata.as_ref()
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
                Ok(desired) => {
                    !desired.brought
                        && desired.sources == wish.sources
                        && desire::is_current(ctx, subject, &desired.revisions, applied).await
                }
                Err(_) => false,
            };
            if same {
                look
            } else {
                let desired = desire::desire(ctx, subject, &wish, memory).await;
                if applied {
                    look::look_at(ctx, subject, desired, look.live, memory)
                        .await
                        .map_err(Failure::Cluster)?
                } else {
                    look::look(ctx, subject, desired, memory)
                        .await
                        .map_err(Failure::Cluster)?
                }
            }
        }
        None => {
            let desired = desire::desire(ctx, subject, &wish, memory).await;
            look::look(ctx, subject, desired, memory)
                .await
                .map_err(Failure::Cluster)?
        }
    };
    desire::follow(
        ctx,
        subject,
        look.desired
            .as_ref()
            .ok()
            .map(|desired| desired.revisions.as_slice()),
        memory,
    );
    Ok(look)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use domain::application::Retry;

    use super::*;

    #[test]
    fn patience_begins_with_the_trouble() {
        let (mut since, begun) = (None, Instant::now());
        assert!(!for_long(&mut since, begun));
        assert!(!for_long(&mut since, begun + PATIENCE));
        assert!(for_long(
            &mut since,
            begun + PATIENCE + Duration::from_secs(1)
        ));
    }

    #[test]
    fn an_operation_is_given_up_whose_cluster_answers_with_errors_for_long() {
        let refused = |code| {
            cluster::Error::Refused(Box::new(cluster::Refusal {
                code,
                ..cluster::Refusal::default()
            }))
        };
        let (mut times, begun) = (Times::default(), Instant::now());
        let later = begun + PATIENCE + Duration::from_secs(1);
        assert!(!gives_up(&refused(500), &mut times, begun));
        let elsewhere = cluster::Error::NotHolder;
        assert!(!gives_up(&elsewhere, &mut times, later), "another goes on");
        assert!(gives_up(&refused(503), &mut times, later));

        let mut state = operation::begin(Operation::default(), Timestamp::UNIX_EPOCH);
        let before = Cause::error(message::sync::HOOK_FAILED.message());
        state.causes.push(before.clone());
        let end_ = cut_off(&state, &refused(500));
        assert_eq!((end_.phase, end_.causes.len()), (Phase::Error, 2));
        assert_eq!(end_.causes[0].message, end_.message);
        assert_eq!(end_.causes[1], before, "it had failed already");
    }

    #[test]
    fn what_is_to_be_stopped_is_though_no_look_at_it_succeeds() {
        let failed = |code| {
            let refusal = cluster::Refusal {
                code,
                ..cluster::Refusal::default()
            };
            let error = cluster::Error::Refused(Box::new(refusal));
            Err::<(), Failure>(Failure::Cluster(error))
        };
        let (mut times, begun) = (Times::default(), Instant::now());
        let later = begun + PATIENCE + Duration::from_secs(1);
        let mut after = |look, now| with_patience(look, &mut times, now);
        assert!(after(failed(500), begun).is_err(), "it may pass");
        assert!(matches!(after(Ok(()), later), Ok(Ok(()))));
        assert!(matches!(after(failed(503), later), Ok(Err(_))));
        let ours = after(Err(Failure::Broken), later);
        assert!(matches!(ours, Err(Failure::Broken)));
    }

    #[test]
    fn who_takes_a_sync_over_reads_that_it_waits_for_its_namespace() {
        let mut state = operation::begin(Operation::default(), Timestamp::UNIX_EPOCH);
        let (own, other) = (
            ResourceKey::of_namespace("a"),
            ResourceKey::of_namespace("b"),
        );
        assert!(!awaits_deletion(&state, &own), "it runs");
        state.message = message::sync::WAITING_DELETION.with("resource", pace::named(&own));
        assert!(awaits_deletion(&state, &own));
        assert!(!awaits_deletion(&state, &other));
        let more = message::sync::WAITING_DELETION_MORE.with("resource", pace::named(&own));
        state.message = more.with("count", 1);
        assert!(awaits_deletion(&state, &own));
        state.message = message::sync::WAITING_HEALTHY.with("resource", pace::named(&own));
        assert!(!awaits_deletion(&state, &own));
    }

    #[test]
    fn what_is_stopped_says_what_had_failed_before() {
        let mut state = operation::begin(Operation::default(), Timestamp::UNIX_EPOCH);
        let before = Cause::error(message::sync::HOOK_FAILED.message());
        state.causes.push(before.clone());
        let limit = Some(Duration::from_secs(60));
        let end_ = stopped(limit, &state);
        assert!(end_.message.is(&message::sync::TIMED_OUT));
        assert!(end_.causes[0].message.is(&message::sync::TIMED_OUT));
        assert_eq!(end_.causes[1..], *std::slice::from_ref(&before));
        state.phase = Phase::Terminating;
        let end_ = stopped(limit, &state);
        assert!(end_.message.is(&message::sync::TERMINATED));
        assert_eq!(end_.causes, *std::slice::from_ref(&before));
        let end_ = in_vain(stopped_from_afar(None, &state));
        assert!(end_.message.is(&message::sync::NOT_TERMINATED));
        assert_eq!(end_.causes, [before], "its cluster is away");
    }

    #[test]
    fn what_is_stopped_between_two_tries_says_what_failed() {
        let asked = Operation {
            retry: Retry {
                limit: 5,
                ..Retry::default()
            },
            ..Operation::default()
        };
        let mut state = operation::begin(asked.clone(), Timestamp::UNIX_EPOCH);
        let failed = message::sync::APPLY_FAILED.message();
        let end_ = End::new(Phase::Failed, failed, Vec::new());
        operation::conclude(&mut state, end_, Timestamp::UNIX_EPOCH);
        let due = Timestamp::UNIX_EPOCH + TimeDelta::hours(1);
        let taken = operation::take_up(Some(&state), asked, due);
        let message = state.message.clone();
        let stopped = as_recorded(Some(&state), taken.state, taken.begun);
        assert_eq!(stopped.message, message);
    }
}
