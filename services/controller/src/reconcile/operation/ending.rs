//! How an attempt ends: for good, or until the next one; what is recorded of it.

use std::sync::Arc;
use std::time::Duration;

use cluster::LiveEntry;
use domain::application::{Application, HistoryEntry};
use domain::cause::{Cause, Severity};
use domain::clock::Timestamp;
use domain::message;
use domain::operation::{OperationState, Phase, ResourceResult, ResultCode};
use domain::shard::Unit;
use domain::status::{HealthCode, Status, SyncCode};
use engine::hooks;
use engine::operation::{self, End};
use engine::options::Role;
use engine::plan;
use engine::prepare::Target;
use store::SealedSet;

use super::{Run, deadline, keep};
use crate::context::Context;
use crate::memory::{AppMemory, Times, Unsaved};
use crate::reconcile::apply;
use crate::reconcile::desire::Desired;
use crate::reconcile::hooks as cluster_hooks;
use crate::reconcile::look::{self, Look};
use crate::reconcile::publish::{self, Report};
use crate::reconcile::subject::Subject;
use crate::reconcile::{Failure, LOOK_AGAIN, Next, STILL_HELD};
use crate::repos::Trouble;

/// The history entries that a status carries where the application does not say.
const HISTORY: i64 = 10;
/// How long a status says why an operation failed that says nothing of the application as it is: it was for another revision, or
/// a trial. The next look does not say so, and nothing need happen for it to come.
const TOLD: Duration = Duration::from_secs(30);

/// Ends an attempt: for good, or until the next one. The manifest set that it has deployed is kept with that; where it cannot be, one
/// that went well is not over yet.
pub(super) async fn end(
    ctx: &Context,
    mut run: Run,
    ended: End,
    look: Look,
    memory: &mut AppMemory,
) -> Result<Next, Failure> {
    let Some(set) = run.set.take() else {
        return write_end(ctx, run, ended, look, None, memory).await;
    };
    let tenant = ctx.store.tenant(run.subject.key.tenant);
    let sealed = match tenant.seal_manifest_set(&set.0, &set.1).await {
        Ok(sealed) => Some(sealed),
        Err(error) => match unkept(Some(ended.phase), error) {
            Ok(()) => None,
            Err(failure) => {
                memory.unsaved = Some(set);
                keep(ctx, &run);
                return Err(failure);
            }
        },
    };
    let goes_along = sealed.is_some();
    let written = write_end(ctx, run, ended, look, sealed, memory).await;
    match goes_along && written.is_ok() {
        true => has_kept(memory, set),
        false => memory.unsaved = Some(set),
    }
    written
}

/// What follows from a manifest set that cannot be kept now, in a look that ends an attempt so or does not end it. What is told as
/// deployed can be looked at and deployed again, so that a sync that went well ends when that is so; else it is kept with a later look.
pub(super) fn unkept(ended: Option<Phase>, error: store::Error) -> Result<(), Failure> {
    if ended == Some(Phase::Succeeded) {
        return Err(Failure::Store(error));
    }
    tracing::warn!(
        error = &error as &dyn std::error::Error,
        "a manifest set could not be kept yet"
    );
    Ok(())
}

/// Notes that a set was kept. Another one may wait to be: what the spec wants, where the operation wanted something else.
fn has_kept(memory: &mut AppMemory, (hash, _): Unsaved) {
    memory.unsaved = memory.unsaved.take().filter(|(other, _)| *other != hash);
    memory.saved = Some(hash);
}

async fn write_end(
    ctx: &Context,
    run: Run,
    ended: End,
    look: Look,
    set: Option<SealedSet>,
    memory: &mut AppMemory,
) -> Result<Next, Failure> {
    let Run {
        subject,
        mut state,
        refresh,
        // It is sealed by now.
        set: _,
    } = run;
    let now = ctx.clock.now();
    memory.times = Times::default();
    let again = operation::conclude(&mut state, ended, now);
    // Taken before the status is made of it: what is beneath and goes meanwhile is still told there.
    let below = look::beneath(ctx, subject.sight(), look.live.entries());
    let causes = told(&state, &look, None);
    let passing = causes != lasting_of(&state, &look);
    let mut status = look::status_above(ctx, &subject, &look, &below, causes, true);
    settle(&mut state, &status);

    let mut report = Report {
        clear_refresh: refresh,
        set,
        finalizers: look::finalizers(&subject, &look),
        ..Report::default()
    };
    if let Some(again) = again {
        // Its time may be over before.
        let looked_at = deadline(&subject, &state).map_or(again.at, |end| end.min(again.at));
        let pause = looked_at.signed_duration_since(now);
        report.next = match is_superseded(&state, &look.desired) {
            // It came during the attempt, and nothing else happens that would tell.
            true => Next::After(Duration::ZERO),
            false => Next::After(pause.to_std().unwrap_or_default()),
        };
        let automated = state.operation.initiated_by.automated;
        report.set_operation = automated.then(|| state.operation.clone());
    } else {
        let dry_run = state.operation.sync.dry_run;
        tracing::info!(
            operation = if state.operation.initiated_by.automated {
                "auto-sync"
            } else {
                "sync"
            },
            phase = state.phase.as_str(),
            revision = state
                .result
                .as_ref()
                .and_then(|r| r.revisions.first())
                .map(String::as_str)
                .unwrap_or_default(),
            milliseconds = now
                .signed_duration_since(state.started_at)
                .num_milliseconds(),
            "the sync has ended"
        );
        ctx.metrics.synced(
            &subject.key,
            subject.tenant_name(),
            subject.spec.project(),
            state.phase,
            dry_run,
        );
        report.clear_operation = Some(state.operation.clone());
        let entry = history(ctx, &subject, &state, memory, now).await?;
        if let Some(entry) = &entry {
            remember(&mut status, &subject, entry.clone());
        }
        report.history = entry;
        // Whether it syncs again by itself is decided at the next look.
        report.next = match status.sync == SyncCode::OutOfSync && subject.spec.automated().is_some()
        {
            true => Next::After(Duration::ZERO),
            false if passing => asked_again(ctx, &state, &look).sooner(Next::After(TOLD)),
            false => asked_again(ctx, &state, &look),
        };
        if state.phase == Phase::Succeeded
            && report.next == Next::Sleep
            && is_last(ctx, &look, &below)
            && let Some(compared) = look.live.state()
        {
            memory.settled = compared;
            report.next = Next::Settled;
        }
    }
    status.operation = Some(state);
    report.status = status;
    publish::report(
        ctx,
        &subject.key,
        subject.tenant_name(),
        &subject.app,
        report,
    )
    .await
}

/// When an application is looked at again of which something could not be told, or whose hooks may not have been let go: nothing
/// needs to happen for that to pass.
fn asked_again(ctx: &Context, state: &OperationState, look: &Look) -> Next {
    let next = look.again.map_or(Next::Sleep, Next::After);
    // Where they were, the cluster tells of it before, and that look says when the next is; of kinds that nobody watches it tells
    // nothing.
    let unwatched = || cluster_hooks::unwatched::has_any(ctx, state);
    let next = match has_held(look) || unwatched() {
        true => next.sooner(Next::After(STILL_HELD)),
        false => next,
    };
    match &look.desired {
        Err(trouble) if trouble.ours || trouble.passing => next.sooner(Next::After(LOOK_AGAIN)),
        Ok(_) | Err(_) => next,
    }
}

/// Whether another look at the same objects would find the same, and leave nothing to be done. What was beneath them is in the
/// status, and not in what names their state; where Git did not answer the next look asks again. In clusters that tenants have
/// added nobody asks.
fn is_last(ctx: &Context, look: &Look, below: &[Arc<LiveEntry>]) -> bool {
    ctx.unit == Unit::Shared && look.desired.is_ok() && below.is_empty() && !has_held(look)
}

/// Whether our finalizer was on a hook when the objects were looked at.
fn has_held(look: &Look) -> bool {
    let mut entries = look.live.entries().iter();
    entries.any(|entry| hooks::held(&entry.body))
}

/// What an application says of an operation whose attempt has ended: why it did not end well, and when it is tried again, or which
/// window keeps that back when its time has come.
pub(super) fn told(state: &OperationState, look: &Look, closed: Option<Cause>) -> Vec<Cause> {
    let mut causes = operation_causes(state, look);
    causes.extend(closed.or_else(|| operation::retry_waits(state)));
    causes
}

/// Whether an operation waits for its next try that Git has got something newer for. Nothing takes its place while nobody knows.
pub(super) fn is_superseded(state: &OperationState, desired: &Result<Desired, Trouble>) -> bool {
    desired
        .as_ref()
        .is_ok_and(|desired| operation::is_superseded(state, &desired.revisions, &desired.sources))
}

/// Why the operation did not end well, where the comparison does not say so itself.
fn operation_causes(state: &OperationState, look: &Look) -> Vec<Cause> {
    let known = |cause: &&Cause| {
        look.comparison
            .causes
            .iter()
            .all(|other| other.message.code != cause.message.code)
    };
    let failed = matches!(state.phase, Phase::Failed | Phase::Error | Phase::Running);
    let errors = state
        .causes
        .iter()
        .filter(|cause| cause.severity == Severity::Error);
    if failed {
        errors.filter(known).cloned().collect()
    } else {
        Vec::new()
    }
}

/// Why the last sync failed, as long as the next one would begin from the same: nothing has changed in Git or in the
/// spec, and what it could not do is still not done.
pub fn lasting(app: &Application, look: &Look) -> Vec<Cause> {
    let last = app.status.operation.as_ref();
    last.map_or_else(Vec::new, |last| lasting_of(last, look))
}

/// The same of an operation that may not be on record yet.
fn lasting_of(last: &OperationState, look: &Look) -> Vec<Cause> {
    let failed = Some(last).filter(|state| {
        matches!(state.phase, Phase::Failed | Phase::Error) && !state.operation.sync.dry_run
    });
    let (Some(state), Ok(desired)) = (failed, &look.desired) else {
        return Vec::new();
    };
    let Some(result) = state
        .result
        .as_ref()
        .filter(|r| r.revisions == desired.revisions && r.sources == desired.sources)
    else {
        return Vec::new();
    };
    let mut causes = operation_causes(state, look);
    // Of a hook no comparison says that it is still to be done.
    let of_hook = |cause: &Cause| {
        let hooks = result.resources.iter().filter(|r| r.hook);
        hooks
            .map(|r| &r.key)
            .any(|key| Some(key) == cause.resource.as_ref())
    };
    if look.comparison.sync == SyncCode::Synced {
        causes.retain(of_hook);
    }
    causes
}

/// What an applied object came to by the end, as Argo CD's results say.
fn settle(state: &mut OperationState, status: &Status) {
    let Some(result) = &mut state.result else {
        return;
    };
    for resource in result.resources.iter_mut().filter(|r| {
        !r.hook && r.status == Some(ResultCode::Synced) && r.hook_phase == Phase::Running
    }) {
        let health = status
            .resources
            .iter()
            .find(|known| known.key == resource.key)
            .and_then(|known| known.health);
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
    let deployed = state.phase == Phase::Succeeded
        && !sync.dry_run
        && sync.resources.is_empty()
        && sync.manifests.is_empty();
    let Some(result) = state.result.as_ref().filter(|_| deployed) else {
        return Ok(None);
    };
    let last = match subject.app.status.history.last() {
        Some(last) => Some(last.id),
        None if is_first(&subject.app, shown(subject)) => None,
        None => {
            let history = ctx.store.tenant(subject.key.tenant);
            history
                .history()
                .newest(subject.app.uid(), 1)
                .await?
                .last()
                .map(|entry| entry.id)
        }
    };
    Ok(Some(HistoryEntry {
        id: last.map_or(0, |id| id.saturating_add(1)),
        revisions: result.revisions.clone(),
        sources: result.sources.clone(),
        multiple: result.multiple,
        deploy_started_at: state.started_at,
        deployed_at: now,
        initiated_by: state.operation.initiated_by.clone(),
        manifest_set: memory.deployed.clone().unwrap_or_default(),
    }))
}

/// How many entries of the history a status carries.
fn shown(subject: &Subject) -> usize {
    usize::try_from(subject.spec.revision_history_limit.unwrap_or(HISTORY)).unwrap_or_default()
}

/// Whether nothing of an application was deployed before, by what its row says: its status carries the newest of what was, and
/// carries none. Under an earlier spec it may have been told to carry nothing, so that only who knows of no earlier spec knows.
fn is_first(app: &Application, shown: usize) -> bool {
    app.status.history.is_empty() && shown > 0 && publish::generation(app) == Some(1)
}

/// Puts an entry into the part of the history that a status carries.
fn remember(status: &mut Status, subject: &Subject, entry: HistoryEntry) {
    status.history.push(entry);
    let surplus = status.history.len().saturating_sub(shown(subject));
    status.history.drain(..surplus);
}

/// What a refused plan ends with; the refusals are told behind it.
pub(super) fn invalid_tasks(refusals: Vec<Cause>) -> End {
    let message = message::sync::INVALID_TASKS.message();
    End::new(Phase::Failed, message, refusals)
}

/// What became of an object that must not be applied.
pub(super) fn invalid(cause: &Cause, targets: &[Target]) -> Option<ResourceResult> {
    let key = cause.resource.clone()?;
    let target = targets.iter().find(|target| target.key == key);
    let hook = target.filter(|target| target.role == Role::Hook);
    let phase = hook
        .and_then(|target| engine::hooks::phases(&target.object).first().copied())
        .unwrap_or(plan::SyncPhase::Sync);
    Some(ResourceResult {
        version: target
            .map(|target| target.version.clone())
            .unwrap_or_default(),
        key,
        status: Some(ResultCode::SyncFailed),
        message: cause.message.to_string(),
        hook_phase: Phase::Failed,
        sync_phase: phase.as_str().to_owned(),
        hook: hook.is_some(),
        images: target
            .map(|target| apply::images(&target.object))
            .unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use domain::manifest::ManifestSetHash;
    use domain::operation::Initiator;
    use domain::resource::ResourceKey;
    use engine::options::SyncOptions;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_set_that_was_kept_leaves_another_one_to_be_kept() {
        let set = |name: &str| (ManifestSetHash(name.into()), Arc::from(*b"set"));
        let mut memory = AppMemory {
            unsaved: Some(set("spec")),
            ..AppMemory::default()
        };
        has_kept(&mut memory, set("deployed"));
        assert_eq!(memory.saved, Some(set("deployed").0));
        assert_eq!(memory.unsaved, Some(set("spec")));
        has_kept(&mut memory, set("spec"));
        assert_eq!((memory.saved, memory.unsaved), (Some(set("spec").0), None));
    }

    #[test]
    fn what_went_well_is_not_over_before_its_set_is_kept_and_what_did_not_does_not_wait_for_that() {
        let away = || store::Error::KeyFile("it is gone".to_owned());
        let unended = unkept(Some(Phase::Succeeded), away()).unwrap_err();
        assert!(matches!(unended, Failure::Store(_)), "it is tried again");
        for ended in [Some(Phase::Failed), Some(Phase::Error), None] {
            assert!(unkept(ended, away()).is_ok(), "{ended:?}");
        }
    }

    #[test]
    fn what_must_not_be_applied_is_told_with_its_phase_and_its_images() {
        let object = json!({"kind": "Pod", "spec": {"containers": [{"image": "web:2"}]},
            "metadata": {"name": "a", "annotations": {"argocd.argoproj.io/hook": "PostSync"}}});
        let key = ResourceKey::of(&object);
        let cause = Cause::error(message::sync::INVALID_TASKS.message()).on(key.clone());
        let target = |role| Target {
            key: key.clone(),
            version: "v1".into(),
            object: Arc::new(object.clone()),
            hash: [0; 32],
            location: None,
            lines: Arc::from([]),
            replaced: Arc::from([]),
            namespaced: true,
            known: true,
            options: SyncOptions::default(),
            wave: 0,
            role,
            refused: None,
            forbidden_kind: false,
            outside: false,
        };
        let told = |targets: &[Target]| {
            let told = invalid(&cause, targets).unwrap();
            assert_eq!(told.status, Some(ResultCode::SyncFailed));
            (told.sync_phase, told.hook, told.images)
        };
        let web = vec!["web:2".to_owned()];
        let hook = told(&[target(Role::Hook)]);
        assert_eq!(hook, ("PostSync".to_owned(), true, web.clone()));
        let ordinary = told(&[target(Role::Ordinary)]);
        assert_eq!(ordinary, ("Sync".to_owned(), false, web));
        // It has left Git, and is refused all the same.
        assert_eq!(told(&[]), ("Sync".to_owned(), false, Vec::new()));
    }

    #[test]
    fn a_deployment_is_the_first_where_no_spec_can_have_hidden_another() {
        let mut app = Application {
            metadata: json!({"generation": 1}),
            spec: json!({}),
            operation: None,
            status: Status::default(),
            resource_version: 1,
        };
        assert!(is_first(&app, 10));
        assert!(!is_first(&app, 0), "it is told to show nothing");
        app.metadata = json!({"generation": 2});
        assert!(!is_first(&app, 10), "it may have been");
        app.metadata = json!({});
        assert!(!is_first(&app, 10), "nobody knows");
        app.metadata = json!({"generation": 1});
        app.status.history.push(HistoryEntry {
            id: 0,
            revisions: Vec::new(),
            sources: Vec::new(),
            multiple: false,
            deploy_started_at: Timestamp::UNIX_EPOCH,
            deployed_at: Timestamp::UNIX_EPOCH,
            initiated_by: Initiator::default(),
            manifest_set: ManifestSetHash::default(),
        });
        assert!(!is_first(&app, 10));
    }
}
