//! One look at one application: `controller::reconcile` without its database, repo-servers and connections. What it asks the
//! engine, and in which order, is the same, and stands beside the same names; keep the two alike. Left out is what these
//! worlds have not: settings, scripts, several sources, dry runs, namespaces that are made, forced and client-side applies.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::TimeDelta;
use domain::application::{Application, Spec};
use domain::cause::Cause;
use domain::clock::Timestamp;
use domain::manifest::{ManifestSetHash, SourceType};
use domain::message;
use domain::operation::{Operation, OperationState, Phase, ResourceResult};
use domain::project::gate::{Applicant, Begun};
use domain::resource::ResourceKey;
use domain::status::{Status, SyncCode};
use engine::autosync::{self, Decision};
use engine::compare::{self, Applied, Comparison};
use engine::operation::{self, End, TakenUp};
use engine::options::{CompareOptions, SyncOptions};
use engine::prepare::Prepared;
use engine::tree::{self, Checks};
use engine::{assemble, plan};
use serde_json::Value;

use crate::deleting;
use crate::driver::{Controller, Looked, Next, Stop, sooner};
use crate::invariants::Duty;
use crate::live::LiveSet;
use crate::waves::{self, Progress};
use crate::world::{World, claimant, destination, name_of};

/// How often what waits is looked at though nothing happens, in milliseconds.
pub(crate) const BACKSTOP: i64 = 30_000;
/// A cluster that is away for no longer than this is not called so, in milliseconds.
const BLINK: i64 = 5000;
/// One that answers and has not listed everything for so long is not known.
const UNLISTED: i64 = 30_000;
/// When it is looked at again.
const UNLISTED_AGAIN: i64 = 10_000;

/// An application that may be compared.
pub(crate) struct Subject {
    pub(crate) app: Application,
    pub(crate) spec: Spec,
    pub(crate) tenant: String,
    pub(crate) options: SyncOptions,
    /// How long an operation may take, where that is said.
    pub(crate) limit: Option<TimeDelta>,
}

impl Subject {
    pub(crate) fn read(world: &World, app: Application) -> Self {
        Self {
            tenant: world.tenant_of(app.name()).as_str().to_owned(),
            spec: app.view().unwrap_or_default(),
            options: world.options(app.name()),
            limit: world.limit_of(app.name()),
            app,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.app.name()
    }

    pub(crate) fn duty(&self) -> Duty<'_> {
        Duty {
            app: self.name(),
            tenant: &self.tenant,
            step: None,
        }
    }

    pub(crate) fn applicant<'a>(&'a self, world: &'a World) -> Applicant<'a> {
        Applicant {
            windows: &world.rules.sync_windows,
            name: self.name(),
            spec: &self.spec,
        }
    }

    fn sources(&self) -> Vec<Value> {
        self.app.spec.get("source").into_iter().cloned().collect()
    }
}

/// What Git says.
#[derive(Clone)]
pub(crate) struct Desired {
    pub(crate) revision: usize,
    pub(crate) prepared: Arc<Prepared>,
}

impl Desired {
    pub(crate) fn revisions(&self) -> Vec<String> {
        vec![name_of(self.revision)]
    }

    fn set(&self) -> ManifestSetHash {
        ManifestSetHash(name_of(self.revision))
    }
}

/// Git and cluster side by side.
pub(crate) struct Look {
    pub(crate) desired: Desired,
    pub(crate) live: LiveSet,
    pub(crate) comparison: Comparison,
}

/// An operation under way.
pub(crate) struct Run {
    pub(crate) subject: Subject,
    pub(crate) state: OperationState,
}

impl Run {
    /// The sync options in force.
    pub(crate) fn options(&self) -> SyncOptions {
        match self.state.operation.sync.sync_options.as_slice() {
            [] => self.subject.options.clone(),
            named => SyncOptions::parse(named.iter().map(String::as_str)),
        }
    }

    /// The attempt, as its hooks name it.
    pub(crate) fn attempt<'a>(&self, revision: &'a str) -> engine::hooks::Attempt<'a> {
        engine::hooks::Attempt {
            revision,
            started_at: self.state.started_at.timestamp_millis(),
            retries: self.state.retry_count,
        }
    }
}

/// What a look writes down.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) status: Status,
    /// The operation that this ends.
    pub(crate) clear: Option<Operation>,
    /// The operation that goes on, which the application began of itself.
    pub(crate) set: Option<Operation>,
    /// Whether the row goes.
    pub(crate) remove: bool,
}

/// Brings one application to what Git says, once.
pub(crate) fn reconcile(world: &mut World, me: &mut Controller, app: &str) -> Looked<Next> {
    let Some(row) = world.rows.get(app).cloned() else {
        me.memory.remove(app);
        return Ok(Next::Sleep);
    };
    if row.deleting() {
        return deleting::advance(world, me, row);
    }
    let subject = Subject::read(world, row);
    if subject.app.operation.is_none() {
        world.stopped.remove(app);
    }
    match cluster_state(world, me) {
        ClusterState::Known => {}
        ClusterState::NotYet(wait) => return Ok(Next::After(wait)),
        ClusterState::Away(cause, next) => {
            return without_cluster(world, me, &subject, *cause, next);
        }
    }
    match subject.app.operation.clone() {
        Some(asked) => advance(world, me, subject, asked),
        None => compare(world, me, subject),
    }
}

/// Whether the index says what the cluster has.
enum ClusterState {
    Known,
    /// It will in a moment; after how long it is looked at whether it does not.
    NotYet(i64),
    /// It does not, and when to look again if nothing happens before.
    Away(Box<Cause>, Next),
}

fn cluster_state(world: &World, me: &Controller) -> ClusterState {
    let lasted = |since: Timestamp| (world.now() - since).num_milliseconds();
    match (world.link.away, me.index.unlisted) {
        (Some(since), _) if lasted(since) < BLINK => {
            ClusterState::NotYet((BLINK - lasted(since)).max(100))
        }
        (Some(_), _) => {
            let message = message::cluster::UNREACHABLE.with("cluster", "simulated");
            ClusterState::Away(Box::new(Cause::error(message)), Next::Sleep)
        }
        (None, Some(since)) if lasted(since) < UNLISTED => {
            ClusterState::NotYet((UNLISTED - lasted(since)).max(100))
        }
        (None, Some(_)) => {
            let message = message::cluster::KIND_UNLISTED.with("kind", "ConfigMap");
            let cause = Cause::error(message.with("cluster", "simulated"));
            ClusterState::Away(Box::new(cause), Next::After(UNLISTED_AGAIN))
        }
        (None, None) => ClusterState::Known,
    }
}

/// Whether it does.
pub(crate) fn is_known(world: &World, me: &Controller) -> bool {
    matches!(cluster_state(world, me), ClusterState::Known)
}

/// Reports an application whose cluster is away. An operation on it waits, but no longer than it may take, nor than somebody wants
/// it to.
fn without_cluster(
    world: &mut World,
    me: &Controller,
    subject: &Subject,
    cause: Cause,
    next: Next,
) -> Looked<Next> {
    let (app, now) = (&subject.app, world.now());
    let recorded = app.status.operation.as_ref();
    let under_way = recorded.filter(|state| {
        !state.phase.completed() && app.operation.as_ref() == Some(&state.operation)
    });
    let deadline = under_way.and_then(|state| deadline(subject, state));
    let is_over = |state: &&OperationState| {
        state.phase == Phase::Terminating || deadline.is_some_and(|deadline| now >= deadline)
    };
    let mut report = Report {
        status: unknown(world, subject, vec![cause.clone()]),
        ..Report::default()
    };
    let mut next = next;
    match (under_way.filter(is_over), deadline) {
        (Some(state), _) => {
            world.count("stopped from afar");
            let mut state = state.clone();
            let ended = stopped(subject.limit, &state);
            let ended = match running_hook(&state) {
                Some(_) => in_vain(ended),
                None => ended,
            };
            let causes = ended.causes.iter().cloned().chain([cause]).collect();
            state.retry_count = 0;
            state.phase = Phase::Terminating;
            operation::conclude(&mut state, ended, now);
            report.status = unknown(world, subject, causes);
            report.clear = Some(state.operation.clone());
            report.status.operation = Some(state);
        }
        (None, Some(deadline)) => next = sooner(at(world, deadline), next),
        (None, None) => {}
    }
    publish(world, me, app, report, next)
}

/// The status of an application that cannot be compared.
fn unknown(world: &World, subject: &Subject, causes: Vec<Cause>) -> Status {
    let before = &subject.app.status;
    let facts = assemble::Facts {
        now: world.now(),
        comparison: None,
        health: &HashMap::new(),
        ignored_health: &[],
        causes,
        revisions: before.revisions.clone(),
        sources: before.compared_sources.clone(),
        multiple: before.multiple,
        destination: before.compared_destination.clone(),
        ignore_differences: before.compared_ignore_differences.clone(),
        source_types: before.source_types.clone(),
        manifest_set: before.manifest_set.clone(),
        external_urls: before.external_urls.clone(),
        images: before.images.clone(),
        requested: false,
    };
    assemble::assemble(before, facts)
}

/// When an operation is stopped that has not ended, where that is said.
fn deadline(subject: &Subject, state: &OperationState) -> Option<Timestamp> {
    state.started_at.checked_add_signed(subject.limit?)
}

/// The end of an operation that somebody stopped, or the time that it may take.
fn stopped(limit: Option<TimeDelta>, state: &OperationState) -> End {
    let before = state.causes.iter().cloned();
    let (Phase::Running, Some(limit)) = (state.phase, limit) else {
        let message = message::sync::TERMINATED.message();
        return End::new(Phase::Failed, message, before.collect());
    };
    let message = message::sync::TIMED_OUT
        .with("seconds", limit.num_seconds())
        .with("message", &state.message);
    let mut cause = Cause::error(message.clone());
    if let Some(hook) = running_hook(state) {
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

/// Compares, and syncs if the application does so by itself.
fn compare(world: &mut World, me: &mut Controller, subject: Subject) -> Looked<Next> {
    let look = look(world, me, &subject, "")?;
    let live: Vec<_> = look.live.entries().cloned().collect();
    let held = waves::release_idle(world, me, &subject, &live)?;
    let status = status(world, &subject, &look, held.clone(), false);
    let decision = autosync::decide(&autosync::Input {
        applicant: subject.applicant(world),
        sources: &status.compared_sources,
        deleting: false,
        busy: false,
        last: subject.app.status.operation.as_ref(),
        revisions: &status.revisions,
        manifest_set: status.manifest_set.as_ref(),
        sync: status.sync,
        resources: &status.resources,
        now: world.now(),
    });
    let (mut causes, next) = match decision {
        Decision::Sync(asked) => return begin(world, me, subject, *asked, status, look),
        Decision::Nothing(_) => (Vec::new(), Next::Sleep),
        Decision::Wait(until) => (Vec::new(), at(world, until)),
        Decision::Refused(cause) => (vec![*cause], Next::Sleep),
        Decision::Closed(closed) => {
            let next = closed.until.map_or(Next::Sleep, |until| at(world, until));
            (vec![closed.cause], next)
        }
    };
    // The product asks the rarer the longer they are kept.
    let next = match held.is_empty() {
        true => next,
        false => sooner(next, Next::After(BACKSTOP)),
    };
    let status = match causes.is_empty() {
        true => status,
        false => {
            causes.extend(held);
            self::status(world, &subject, &look, causes, false)
        }
    };
    let report = Report {
        status,
        ..Report::default()
    };
    publish(world, me, &subject.app, report, next)
}

/// Begins a sync that nobody asked for.
fn begin(
    world: &mut World,
    me: &mut Controller,
    subject: Subject,
    asked: Operation,
    status: Status,
    look: Look,
) -> Looked<Next> {
    let state = operation::begin(asked.clone(), world.now());
    memory(me, &subject).wave_ended = None;
    let report = Report {
        status: Status {
            operation: Some(state.clone()),
            ..status
        },
        set: Some(asked),
        ..Report::default()
    };
    // Whether it is written is not waited for.
    let _ = publish(world, me, &subject.app, report, Next::Sleep);
    run_on(world, me, Run { subject, state }, Some(look), false)
}

/// Takes the operation that the row asks for as far as it goes now.
fn advance(
    world: &mut World,
    me: &mut Controller,
    subject: Subject,
    asked: Operation,
) -> Looked<Next> {
    let now = world.now();
    let recorded = subject.app.status.operation.as_ref();
    let TakenUp {
        state,
        begun,
        until,
    } = operation::take_up(recorded, asked, now);
    if begun {
        memory(me, &subject).wave_ended = None;
    }
    if world.stopped.remove(subject.name()) && state.phase != Phase::Terminating {
        let wrong = format!("{}: a sync that was stopped begins", subject.name());
        world.judge.wrong.push(wrong);
    }
    let deadline = deadline(&subject, &state);
    let late = deadline.is_some_and(|deadline| now >= deadline);
    if state.phase == Phase::Terminating || late {
        world.count(if late { "late" } else { "stopped" });
        // As it is on record: taken up for its next try it would not say any more what it waited for.
        let recorded = recorded.filter(|_| !begun).cloned();
        let state = recorded.unwrap_or(state);
        let mut look = look(world, me, &subject, "")?;
        let mut run = Run { subject, state };
        let ended = stopped(run.subject.limit, &run.state);
        let all = waves::terminate(world, me, &mut run, &mut look.live);
        let all = all.inspect_err(|stop| keep(world, me, &run, *stop))?;
        run.state.retry_count = 0;
        run.state.phase = Phase::Terminating;
        if all {
            return end(world, me, run, ended, look);
        }
        let next = end(world, me, run, in_vain(ended), look)?;
        return Ok(sooner(next, Next::After(0)));
    }
    // A try whose time comes while a window is closed has not begun: it waits on, and may be superseded meanwhile.
    let due =
        recorded.filter(|state| !begun && until.is_none() && operation::next_try(state).is_some());
    let closed = due.and_then(|state| {
        let applicant = subject.applicant(world);
        applicant.held(begun_by(state), state.started_at, now)
    });
    if until.is_some() || closed.is_some() {
        let state = recorded.filter(|_| !begun).cloned().unwrap_or(state);
        let until = closed.as_ref().map_or(until, |closed| closed.until);
        let until = until.into_iter().chain(deadline).min();
        let closed = closed.map(|closed| closed.cause);
        return between(world, me, &subject, state, until, closed);
    }
    run_on(world, me, Run { subject, state }, None, begun)
}

/// Compares beside an operation that waits for its next try, and ends one that Git has got something newer for.
fn between(
    world: &mut World,
    me: &mut Controller,
    subject: &Subject,
    mut state: OperationState,
    until: Option<Timestamp>,
    closed: Option<Cause>,
) -> Looked<Next> {
    let look = look(world, me, subject, "")?;
    let revisions = look.desired.revisions();
    if operation::is_superseded(&state, &revisions, &subject.sources()) {
        world.count("superseded");
        memory(me, subject).wave_ended = None;
        operation::supersede(&mut state, &revisions, world.now());
        let mut status = status(world, subject, &look, Vec::new(), true);
        let clear = Some(state.operation.clone());
        status.operation = Some(state);
        let report = Report {
            status,
            clear,
            ..Report::default()
        };
        return publish(world, me, &subject.app, report, Next::After(0));
    }
    let report = Report {
        status: status(world, subject, &look, told(&state, closed), false),
        ..Report::default()
    };
    let next = until.map_or(Next::Sleep, |until| at(world, until));
    publish(world, me, &subject.app, report, next)
}

/// What an application says of an operation whose attempt has ended.
fn told(state: &OperationState, closed: Option<Cause>) -> Vec<Cause> {
    let mut causes = state.causes.clone();
    causes.extend(closed.or_else(|| operation::retry_waits(state)));
    causes
}

fn begun_by(state: &OperationState) -> Begun {
    match state.operation.initiated_by.automated {
        true => Begun::ByItself,
        false => Begun::ByHand,
    }
}

/// Carries an operation on.
fn run_on(
    world: &mut World,
    me: &mut Controller,
    mut run: Run,
    at_hand: Option<Look>,
    begun: bool,
) -> Looked<Next> {
    if begun {
        let report = Report {
            status: Status {
                operation: Some(run.state.clone()),
                ..run.subject.app.status.clone()
            },
            ..Report::default()
        };
        let _ = publish(world, me, &run.subject.app, report, Next::Sleep);
    }
    let by = begun_by(&run.state);
    let applicant = run.subject.applicant(world);
    if let Some(closed) = applicant.held(by, run.state.started_at, world.now()) {
        run.state.message = closed.message;
        let look = look(world, me, &run.subject, "")?;
        let next = closed.until.map_or(Next::Sleep, |until| at(world, until));
        return waits(world, me, &run, &look, vec![closed.cause], next);
    }
    let revisions = operation::revisions(&run.state, false);
    let named = revisions.into_iter().flatten().next().unwrap_or_default();
    let mut look = match at_hand {
        Some(look) => look,
        None => look(world, me, &run.subject, &named)?,
    };
    let plan = make_plan(world, &run, &look);
    let (revisions, sources) = (look.desired.revisions(), run.subject.sources());
    let result = run.state.result.get_or_insert_default();
    if result.revisions.is_empty() {
        result.revisions = revisions;
        result.sources = sources;
    }
    if let Some(first) = plan.refusals.first() {
        let message = message::sync::INVALID_TASKS.with("reasons", &first.message);
        let ended = End::new(Phase::Failed, message, plan.refusals.clone());
        let look = spec_look(world, me, &run.subject, look)?;
        return end(world, me, run, ended, look);
    }
    if plan.has_hooks() && !on_record(&run) {
        return waits(world, me, &run, &look, Vec::new(), Next::After(0));
    }
    let carried = waves::carry_out(world, me, &mut run, &plan, &mut look);
    match carried.inspect_err(|stop| keep(world, me, &run, *stop))? {
        Progress::Waits(next) => waits(world, me, &run, &look, Vec::new(), next),
        Progress::Ended(ended) => {
            let after = match world.stumbles(run.subject.name()) {
                true => Err(Stop::Unanswered),
                false => look_at(world, me, &run.subject, look.desired, look.live),
            };
            let look = after.and_then(|after| spec_look(world, me, &run.subject, after));
            let look = look.inspect_err(|stop| keep(world, me, &run, *stop))?;
            end(world, me, run, ended, look)
        }
    }
}

/// Has written down what became of objects in a look that comes to nothing, unless the process has ended. Whether it is written is
/// not waited for.
fn keep(world: &mut World, me: &Controller, run: &Run, stop: Stop) {
    let subject = &run.subject;
    let on_record = subject.app.status.operation.as_ref();
    let on_record = on_record.and_then(|state| state.result.as_ref());
    let known = on_record.map_or(&[][..], |result| &result.resources);
    if stop == Stop::Crash || known == waves::results(run) {
        return;
    }
    let report = Report {
        status: Status {
            operation: Some(run.state.clone()),
            ..subject.app.status.clone()
        },
        set: begun_by_itself(run),
        ..Report::default()
    };
    let _ = publish(world, me, &subject.app, report, Next::Sleep);
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

fn begun_by_itself(run: &Run) -> Option<Operation> {
    let operation = &run.state.operation;
    let automated = operation.initiated_by.automated;
    automated.then(|| operation.clone())
}

/// Records that an operation goes on.
fn waits(
    world: &mut World,
    me: &Controller,
    run: &Run,
    look: &Look,
    causes: Vec<Cause>,
    next: Next,
) -> Looked<Next> {
    let mut status = status(world, &run.subject, look, causes, false);
    status.operation = Some(run.state.clone());
    let report = Report {
        status,
        set: begun_by_itself(run),
        ..Report::default()
    };
    let next = match deadline(&run.subject, &run.state) {
        Some(deadline) => sooner(next, at(world, deadline)),
        None => next,
    };
    publish(world, me, &run.subject.app, report, next)
}

/// Ends an attempt: for good, or until the next one.
fn end(world: &mut World, me: &mut Controller, run: Run, ended: End, look: Look) -> Looked<Next> {
    let mut results = waves::results(&run).iter();
    let failed = results.find(|result| result.hook && result.hook_phase == Phase::Failed);
    if let Some(hook) = failed.filter(|_| ended.phase == Phase::Succeeded) {
        let wrong = format!(
            "{}: ends well though {} failed",
            run.subject.name(),
            hook.key
        );
        world.judge.wrong.push(wrong);
    }
    let Run { subject, mut state } = run;
    let now = world.now();
    memory(me, &subject).wave_ended = None;
    let again = operation::conclude(&mut state, ended, now);
    let superseded =
        operation::is_superseded(&state, &look.desired.revisions(), &subject.sources());
    let mut status = status(world, &subject, &look, told(&state, None), true);
    let mut report = Report::default();
    let next = match again {
        Some(again) => {
            let automated = state.operation.initiated_by.automated;
            report.set = automated.then(|| state.operation.clone());
            // Its time may be over before.
            let looked_at = deadline(&subject, &state).map_or(again.at, |end| end.min(again.at));
            match superseded {
                // It came during the attempt, and nothing else happens that would tell.
                true => Next::After(0),
                false => at(world, looked_at),
            }
        }
        None => {
            report.clear = Some(state.operation.clone());
            let mut entries = look.live.entries();
            let has_held = entries.any(|entry| engine::hooks::held(&entry.object));
            // A comparison does not say why an operation failed.
            let passing = !state.causes.is_empty();
            match status.sync == SyncCode::OutOfSync && subject.spec.automated().is_some() {
                true => Next::After(0),
                // Nothing need happen to a hook that was not let go.
                false if has_held || passing => Next::After(30_000),
                false => Next::Sleep,
            }
        }
    };
    status.operation = Some(state);
    report.status = status;
    publish(world, me, &subject.app, report, next)
}

fn make_plan(world: &World, run: &Run, look: &Look) -> plan::Plan {
    let Run { subject, state } = run;
    let options = run.options();
    let revision = name_of(look.desired.revision);
    let namespaces = [subject.tenant.clone()];
    plan::plan(
        &look.desired.prepared,
        &look.comparison,
        &plan::Request {
            sync: &state.operation.sync,
            options: &options,
            namespace: &subject.tenant,
            namespace_exists: true,
            territory: engine::prepare::Territory::Only {
                namespaces: &namespaces,
                patterns: &[],
                cluster_scoped: true,
            },
            namespace_metadata: None,
            approved: false,
            attempt: run.attempt(&revision),
            ignore: world.nothing.ignored(),
            live: &look.live.as_live(),
            schema: &world.nothing.schema,
        },
    )
}

/// A comparison with what the spec wants; the one at hand is of what an operation wanted.
fn spec_look(
    world: &mut World,
    me: &mut Controller,
    subject: &Subject,
    at_hand: Look,
) -> Looked<Look> {
    let newest = world.revision(subject.name(), "");
    if at_hand.desired.revision == newest {
        return Ok(at_hand);
    }
    let desired = Desired {
        revision: newest,
        prepared: world.prepared(subject.name(), newest),
    };
    look_at(world, me, subject, desired, at_hand.live)
}

/// Compares what Git says in a revision with what the index has.
pub(crate) fn look(
    world: &mut World,
    me: &mut Controller,
    subject: &Subject,
    revision: &str,
) -> Looked<Look> {
    let revision = world.revision(subject.name(), revision);
    let prepared = world.prepared(subject.name(), revision);
    let live = LiveSet::gather(me, &subject.tenant, subject.name(), &prepared.targets);
    let desired = Desired { revision, prepared };
    look_at(world, me, subject, desired, live)
}

/// The same, with live objects at hand.
fn look_at(
    world: &mut World,
    me: &mut Controller,
    subject: &Subject,
    desired: Desired,
    mut live: LiveSet,
) -> Looked<Look> {
    let mut comparison = compared(world, me, subject, &desired, &live);
    if !comparison.needs_body.is_empty() {
        live.fetch(world, me, &subject.duty(), &comparison.needs_body)?;
        comparison = compared(world, me, subject, &desired, &live);
    }
    // Which states were found to be as Git says, so that they need no body while both sides stay.
    let applied = &mut memory(me, subject).applied;
    for compared in &comparison.resources {
        let target = compared.target.map(|at| &desired.prepared.targets[at]);
        let same = compared.live && compared.differences.is_empty();
        if let (Some(target), true, Some(seen)) = (target, same, live.seen_with_body(&compared.key))
        {
            let target = target.hash;
            applied.insert(compared.key.clone(), Applied { target, seen });
        }
    }
    let listed = |key: &ResourceKey| comparison.find(key).is_some_and(|r| r.target.is_some());
    applied.retain(|key, _| listed(key));
    Ok(Look {
        desired,
        live,
        comparison,
    })
}

fn compared(
    world: &World,
    me: &mut Controller,
    subject: &Subject,
    desired: &Desired,
    live: &LiveSet,
) -> Comparison {
    compare::compare(&compare::Input {
        claimant: claimant(&subject.tenant, subject.name()),
        targets: &desired.prepared.targets,
        incomplete: desired.prepared.incomplete,
        live: &live.as_live(),
        applied: &memory(me, subject).applied,
        ignore: world.nothing.ignored(),
        options: CompareOptions::default().with_sync(&subject.options),
        schema: &world.nothing.schema,
    })
}

/// The status that follows.
fn status(
    world: &World,
    subject: &Subject,
    look: &Look,
    causes: Vec<Cause>,
    requested: bool,
) -> Status {
    let entries = look.live.as_entries();
    let health = tree::assess(&entries, &[], &Checks::new());
    let mut causes = causes;
    causes.extend(look.desired.prepared.causes.iter().cloned());
    let facts = assemble::Facts {
        now: world.now(),
        comparison: Some(&look.comparison),
        health: &health,
        ignored_health: &[],
        causes,
        revisions: look.desired.revisions(),
        sources: subject.sources(),
        multiple: false,
        destination: destination(&subject.tenant),
        ignore_differences: Vec::new(),
        source_types: vec![SourceType::Directory],
        manifest_set: Some(look.desired.set()),
        external_urls: Vec::new(),
        images: Vec::new(),
        requested,
    };
    assemble::assemble(&subject.app.status, facts)
}

pub(crate) fn memory<'a>(
    me: &'a mut Controller,
    subject: &Subject,
) -> &'a mut crate::driver::Memory {
    me.memory.entry(subject.name().to_owned()).or_default()
}

/// At a time; one that has just passed is now.
fn at(world: &World, time: domain::clock::Timestamp) -> Next {
    Next::After((time - world.now()).num_milliseconds().max(1))
}

/// What is on record of an operation after a result, as naru.publish has it: what the result did not know of stays, and so does a wish
/// to stop what it is of.
fn recorded(row: &Application, report: &Report) -> Option<OperationState> {
    let (before, mut after) = (
        row.status.operation.as_ref(),
        report.status.operation.clone(),
    );
    let is_of = |asked: &Operation| {
        let under_way = after.as_ref().filter(|state| !state.phase.completed());
        under_way.is_some_and(|state| state.operation == *asked)
    };
    if report.clear.is_none() && row.operation.as_ref().is_some_and(|asked| !is_of(asked)) {
        return before.cloned();
    }
    let stops = before.filter(|state| state.phase == Phase::Terminating);
    if let (Some(stops), Some(state)) = (stops, &mut after)
        && state.phase == Phase::Running
        && (state.started_at == stops.started_at || state.operation == stops.operation)
    {
        state.phase = Phase::Terminating;
    }
    after
}

/// Writes a result, under the fence; nothing where nothing changed. `next` is when to look again.
pub(crate) fn publish(
    world: &mut World,
    me: &Controller,
    app: &Application,
    report: Report,
    next: Next,
) -> Looked<Next> {
    let asks = report.clear.is_some() || report.set.is_some() || report.remove;
    if report.status == app.status && !asks {
        return Ok(next);
    }
    let name = app.name();
    let lost = !world.dice.calm && world.dice.chance(&format!("row {name}"), 1);
    let unheard = !world.dice.calm && world.dice.chance(&format!("row {name} heard"), 1);
    if lost {
        return Err(Stop::Unanswered);
    }
    if me.fence != world.lease.fence {
        return Err(Stop::NotHolder);
    }
    if !world.dice.calm && world.dice.chance(&format!("row {name} meanwhile"), 2) {
        world.ask_and_stop(name);
        me.queue.push(world.key_of(name));
    }
    let Some(row) = world.rows.get(name) else {
        return Ok(next);
    };
    if report.remove {
        world.rows.remove(name);
        world.writes += 1;
        return Ok(Next::Sleep);
    }
    let mut written = row.clone();
    match (
        report.clear.as_ref().or(report.set.as_ref()),
        &written.operation,
    ) {
        // Somebody asked for another one meanwhile.
        (Some(begun), Some(asked)) if begun != asked => return Ok(Next::After(0)),
        (Some(_), _) if report.clear.is_some() => {
            written.operation = None;
            // It was being begun when somebody stopped it.
            world.stopped.remove(name);
        }
        (Some(begun), _) => written.operation = Some(begun.clone()),
        (None, _) => {}
    }
    written.status = Status {
        operation: recorded(row, &report),
        ..report.status
    };
    if written != *row {
        world.writes += 1;
        world.rows.insert(name.to_owned(), written);
    }
    if unheard {
        return Err(Stop::Unanswered);
    }
    Ok(next)
}
