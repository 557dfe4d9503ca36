//! Asking for a deployment, going back to an earlier one, and stopping one that runs.

use domain::application::{Application, Retry, Source, Spec, project_of};
use domain::clock::Timestamp;
use domain::message;
use domain::operation::{Initiator, Operation, OperationState, Phase, SyncRequest};
use domain::project::gate::{Applicant, Begun, Gate};
use domain::project::{Project, Rules};
use domain::resource::ResourceKey;
use proto::argocd::application as wire;
use proto::{convert, json, v1alpha1};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::find::{self, Query, object};
use crate::failure::{self, Refused};
use crate::language;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;
use crate::sources;

/// Asks for a sync. The answer carries the operation; the controller takes it from there.
pub(super) async fn sync(
    shared: &Shared,
    actor: &Actor,
    request: wire::ApplicationSyncRequest,
) -> Result<v1alpha1::Application, Status> {
    let asked = Query {
        name: &request.name,
        namespace: request.app_namespace.as_deref(),
        project: request.project.as_deref(),
    };
    let found = find::find(shared, actor, Action::Get, asked).await?;
    let app = found.app;
    let rules = rules_of(&found.project)?;
    let spec = spec_of(&app)?;
    refuse_closed(&app, &spec, &rules, shared.clock.now())?;
    permit::require(actor, Resource::Applications, Action::Sync, &object(&app))?;
    let automated = spec.automated().is_some() && !request.dry_run();
    if !request.manifests.is_empty() {
        permit::require(
            actor,
            Resource::Applications,
            Action::Override,
            &object(&app),
        )?;
        if automated {
            return Err(Status::failed_precondition(
                "cannot use local sync when Automatic Sync Policy is enabled unless for dry run",
            ));
        }
    }
    if !request.manifests.is_empty() && !rules.signature_keys.is_empty() {
        let message = message::app::SIGNATURE_LOCAL.with("project", found.project.name());
        return Err(failure::say(Code::FailedPrecondition, &message));
    }
    refuse_deleting(&app)?;
    let sources = super::validate::source_documents(&app.spec);
    permitted(&found.project, &rules, &sources)?;
    let (revision, revisions) = resolve(shared, actor, &app, &spec, &request, automated).await?;
    let operation = operation(&app, &spec, &request, revision, revisions, &actor.account)?;
    set(shared, actor, app, operation).await
}

pub(super) fn operation(
    app: &Application,
    spec: &Spec,
    request: &wire::ApplicationSyncRequest,
    revision: String,
    revisions: Vec<String>,
    account: &str,
) -> Result<Operation, Status> {
    let policy = spec.sync_policy.as_ref();
    let retry = match &request.retry_strategy {
        Some(asked) => {
            serde_json::from_value::<Retry>(json::to_value(asked)).map_err(|problem| {
                Status::invalid_argument(format!("the retry strategy cannot be read: {problem}"))
            })?
        }
        None => policy
            .and_then(|policy| policy.retry.clone())
            .unwrap_or_default(),
    };
    let sync_options = match &request.sync_options {
        Some(asked) => asked.items.clone(),
        None => policy
            .map(|policy| policy.sync_options.clone())
            .unwrap_or_default(),
    };
    let several = !spec.sources.is_empty();
    let documents = super::validate::source_documents(&app.spec);
    let resource = |resource: &v1alpha1::SyncOperationResource| ResourceKey {
        group: resource.group().to_owned(),
        kind: resource.kind().to_owned(),
        namespace: resource.namespace().to_owned(),
        name: resource.name().to_owned(),
    };
    Ok(Operation {
        sync: SyncRequest {
            revision,
            revisions,
            prune: request.prune(),
            dry_run: request.dry_run(),
            sync_strategy: request.strategy.as_ref().map(json::to_value),
            resources: request.resources.iter().map(resource).collect(),
            source: if several {
                None
            } else {
                documents.first().cloned()
            },
            sources: if several { documents } else { Vec::new() },
            manifests: request.manifests.clone(),
            sync_options,
            auto_heal_attempts_count: 0,
        },
        initiated_by: Initiator {
            username: account.to_owned(),
            automated: false,
        },
        info: request.infos.iter().map(json::to_value).collect(),
        retry,
    })
}

/// The commits to deploy: one, or one per source. Names are looked up now, so that the operation says what it deploys.
pub(super) async fn resolve(
    shared: &Shared,
    actor: &Actor,
    app: &Application,
    spec: &Spec,
    request: &wire::ApplicationSyncRequest,
    automated: bool,
) -> Result<(String, Vec<String>), Status> {
    if automated && let Some(refusal) = strays(spec, request)? {
        return Err(Status::failed_precondition(refusal));
    }
    if spec.sources.is_empty() {
        if !request.manifests.is_empty() {
            return Ok(Default::default());
        }
        let nothing = Source::default();
        let source = spec.source.as_ref().unwrap_or(&nothing);
        let revision = match request.revision() {
            "" => target(spec),
            wanted => wanted,
        };
        let commit = commit(shared, actor, app, source, revision).await?;
        return Ok((commit, Vec::new()));
    }
    let targets = targets(spec, request)?;
    let mut commits = Vec::with_capacity(targets.len());
    for (source, wanted) in spec.sources.iter().zip(targets) {
        commits.push(match request.manifests.is_empty() {
            true => commit(shared, actor, app, source, wanted).await?,
            false => String::new(),
        });
    }
    Ok((String::new(), commits))
}

/// The revision of the one source.
fn target(spec: &Spec) -> &str {
    spec.source
        .as_ref()
        .map_or("", |source| &source.target_revision)
}

/// The revision of each of several sources: its own, or the one that is asked for at its position.
fn targets<'a>(
    spec: &'a Spec,
    request: &'a wire::ApplicationSyncRequest,
) -> Result<Vec<&'a str>, Status> {
    let mut targets: Vec<&str> = spec
        .sources
        .iter()
        .map(|source| source.target_revision.as_str())
        .collect();
    for (at, position) in request.source_positions.iter().enumerate() {
        let index = position
            .checked_sub(1)
            .and_then(|index| usize::try_from(index).ok())
            .filter(|index| *index < targets.len());
        let (Some(index), Some(revision)) = (index, request.revisions.get(at)) else {
            return Err(Status::unknown("source position is out of range"));
        };
        targets[index] = revision;
    }
    Ok(targets)
}

/// Why an application that syncs by itself is not synced to what is asked for: it is another revision than its own.
pub(super) fn strays(
    spec: &Spec,
    request: &wire::ApplicationSyncRequest,
) -> Result<Option<String>, Status> {
    if spec.sources.is_empty() {
        let (target, wanted) = (target(spec), request.revision());
        let other = !wanted.is_empty() && wanted != or_head(target);
        return Ok(
            other.then(|| format!("Cannot sync to {wanted}: auto-sync currently set to {target}"))
        );
    }
    let targets = targets(spec, request)?;
    let mut pairs = spec.sources.iter().zip(targets);
    let other = pairs.find(|(source, wanted)| or_head(wanted) != or_head(&source.target_revision));
    Ok(other.map(|(source, wanted)| {
        format!(
            "Cannot sync source {} to {wanted}: auto-sync currently set to {}",
            source.repo_url, source.target_revision
        )
    }))
}

fn or_head(revision: &str) -> &str {
    if revision.is_empty() {
        "HEAD"
    } else {
        revision
    }
}

/// Where a source is, and of which chart.
fn place(source: &Source) -> (&str, &str) {
    (&source.repo_url, &source.chart)
}

async fn commit(
    shared: &Shared,
    actor: &Actor,
    app: &Application,
    source: &Source,
    revision: &str,
) -> Result<String, Status> {
    let project = project_of(&app.spec);
    let target = source.target(revision);
    sources::commit_of(shared, &actor.tenant, place(source), project, target)
        .await?
        .map_err(|trouble| match trouble.is_ours() {
            true => trouble.into(),
            false => Status::failed_precondition(format!(
                "error resolving repo revision: {}",
                trouble.wrapped()
            )),
        })
}

/// An application as its project's windows choose it.
pub(super) fn applicant<'a>(
    app: &'a Application,
    spec: &'a Spec,
    rules: &'a Rules,
) -> Applicant<'a> {
    Applicant {
        windows: &rules.sync_windows,
        name: app.name(),
        spec,
    }
}

/// Asked before the right to sync, as in Argo CD, whose words come first; which window of which project it is, and until
/// when, comes after them.
fn refuse_closed(
    app: &Application,
    spec: &Spec,
    rules: &Rules,
    now: Timestamp,
) -> Result<(), Status> {
    let applicant = applicant(app, spec, rules);
    Gate::new(&applicant.assigned()).map_err(|error| {
        Status::permission_denied(format!(
            "cannot sync: invalid sync window: invalid sync windows: {error}"
        ))
    })?;
    match applicant.closed(Begun::ByHand, now) {
        None => Ok(()),
        Some(closed) => Err(Status::permission_denied(format!(
            "cannot sync: blocked by sync window: {}",
            closed.cause.render(language::current())
        ))),
    }
}

/// Goes back to what an entry of the history deployed, however old it is. Where a window keeps it back it is taken all
/// the same, as in Argo CD, and waits.
pub(super) async fn rollback(
    shared: &Shared,
    actor: &Actor,
    request: wire::ApplicationRollbackRequest,
) -> Result<v1alpha1::Application, Status> {
    let asked = Query {
        name: &request.name,
        namespace: request.app_namespace.as_deref(),
        project: request.project.as_deref(),
    };
    let find::Found { app, project } = find::find(shared, actor, Action::Sync, asked).await?;
    let rules = rules_of(&project)?;
    refuse_deleting(&app)?;
    let spec = spec_of(&app)?;
    let automated = spec.automated().is_some();
    if automated {
        let config = shared.configs.of(actor.tenant.id).await;
        let config = config.map_err(failure::store)?;
        if config.rollback_refused_with_auto_sync() {
            return Err(Status::failed_precondition(
                "rollback cannot be initiated when auto-sync is enabled",
            ));
        }
    }
    let scope = shared.store.tenant(actor.tenant.id);
    let entry = scope
        .history()
        .find(app.uid(), request.id)
        .await
        .map_err(failure::store)?
        .ok_or_else(|| {
            let text = format!(
                "application argocd/{} does not have deployment with id {}",
                app.name(),
                request.id
            );
            Status::invalid_argument(text)
        })?;
    permitted(&project, &rules, &entry.sources)?;
    let (revision, revisions) = match entry.multiple {
        true => (String::new(), entry.revisions),
        false => (
            entry.revisions.into_iter().next().unwrap_or_default(),
            Vec::new(),
        ),
    };
    let mut operation = Operation {
        sync: SyncRequest {
            revision,
            revisions,
            prune: request.prune(),
            dry_run: request.dry_run(),
            sync_strategy: Some(json!({"apply": {}})),
            source: if entry.multiple {
                None
            } else {
                entry.sources.first().cloned()
            },
            sources: if entry.multiple {
                entry.sources
            } else {
                Vec::new()
            },
            sync_options: spec
                .sync_policy
                .map(|policy| policy.sync_options)
                .unwrap_or_default(),
            ..SyncRequest::default()
        },
        initiated_by: Initiator {
            username: actor.account.clone(),
            automated: false,
        },
        info: Vec::<Value>::new(),
        retry: Retry::default(),
    };
    if automated && !request.dry_run() {
        operation.hold(app.status.manifest_set.as_ref(), &app.status.revisions);
    }
    set(shared, actor, app, operation).await
}

/// Stops the operation that runs.
pub(super) async fn terminate(
    shared: &Shared,
    actor: &Actor,
    request: wire::OperationTerminateRequest,
) -> Result<wire::OperationTerminateResponse, Status> {
    let asked = Query {
        name: &request.name,
        namespace: request.app_namespace.as_deref(),
        project: request.project.as_deref(),
    };
    let found = find::find(shared, actor, Action::Sync, asked).await?;
    let scope = shared.store.tenant(actor.tenant.id);
    let applications = scope.applications();
    let now = shared.clock.now();
    let stopped = applications.update_read(found.app, move |app| stop(app, now));
    stopped.await.map_err(Status::from)?;
    Ok(wire::OperationTerminateResponse {})
}

/// Wishes for the end of the operation that is asked for. The controller may not have said yet that it has begun.
fn stop(app: &mut Application, now: Timestamp) -> Result<(), Refused> {
    let Some(asked) = &app.operation else {
        return Err(Refused(Status::invalid_argument(
            "Unable to terminate operation. No operation is in progress",
        )));
    };
    let recorded = app.status.operation.as_mut();
    let under_way = recorded.filter(|state| !state.phase.completed() && state.operation == *asked);
    if let Some(state) = under_way {
        state.phase = Phase::Terminating;
    } else {
        app.status.operation = Some(OperationState {
            operation: asked.clone(),
            phase: Phase::Terminating,
            message: message::sync::RUNNING.message(),
            causes: Vec::new(),
            started_at: now,
            finished_at: None,
            retry_count: 0,
            result: None,
        });
    }
    Ok(())
}

/// Writes the operation of an application that was read, and forgets the last one's state, in one update: a watcher must never see
/// neither.
async fn set(
    shared: &Shared,
    actor: &Actor,
    read: Application,
    operation: Operation,
) -> Result<v1alpha1::Application, Status> {
    let scope = shared.store.tenant(actor.tenant.id);
    let applications = scope.applications();
    let written = applications.update_read(read, move |app| ask_for(app, operation));
    let app = written.await.map_err(Status::from)?;
    tracing::info!(tenant = %actor.tenant.name, app = app.name(), account = actor.account, "asked for an operation");
    Ok(convert::application::to_wire(&app, language::current()))
}

/// Asks for an operation of an application that nobody else changes now. Since it was read it may have been told to go, or another
/// one asked for.
fn ask_for(app: &mut Application, mut operation: Operation) -> Result<(), Refused> {
    refuse_deleting(app).map_err(Refused)?;
    if app.operation.is_some() {
        return Err(Refused(Status::failed_precondition(
            "another operation is already in progress",
        )));
    }
    if let Some(before) = &app.status.operation {
        operation.keep_hold(&before.operation);
    }
    app.operation = Some(operation);
    app.status.operation = None;
    Ok(())
}

pub(super) fn rules_of(project: &Project) -> Result<Rules, Status> {
    project.rules().map_err(|error| {
        let message = message::app::PROJECT_INVALID.with("project", project.name());
        failure::say(Code::FailedPrecondition, &message.with("error", error))
    })
}

/// What is deployed must be permitted by the project as it is now, whatever it was when it was written.
pub(super) fn permitted(project: &Project, rules: &Rules, sources: &[Value]) -> Result<(), Status> {
    let place = |source| {
        let text = |field| domain::resource::text(source, &[field]);
        (text("repoURL"), text("chart"))
    };
    let mut places = sources.iter().map(place);
    match places.find(|(url, chart)| !rules.permits_chart(url, chart)) {
        Some((url, _)) => Err(Status::permission_denied(format!(
            "application repo {url} is not permitted in project '{}'",
            project.name()
        ))),
        None => Ok(()),
    }
}

fn refuse_deleting(app: &Application) -> Result<(), Status> {
    if app.deleting() {
        Err(Status::failed_precondition("application is deleting"))
    } else {
        Ok(())
    }
}

pub(super) fn spec_of(app: &Application) -> Result<Spec, Status> {
    app.view().map_err(|problem| {
        Status::failed_precondition(format!("the spec cannot be read: {problem}"))
    })
}

#[cfg(test)]
mod tests {
    use domain::status;

    use super::*;

    fn app(spec: Value) -> Application {
        Application {
            metadata: json!({"name": "a"}),
            spec,
            operation: None,
            status: status::Status::default(),
            resource_version: 1,
        }
    }

    #[test]
    fn an_operation_takes_from_the_policy_what_the_request_leaves_open() {
        let app = app(json!({
            "source": {"repoURL": "r", "path": "p"},
            "syncPolicy": {"syncOptions": ["A=b"], "retry": {"limit": 3}},
        }));
        let spec = app.view().unwrap();
        let mut request = wire::ApplicationSyncRequest {
            prune: Some(true),
            ..Default::default()
        };
        let made = operation(&app, &spec, &request, "abc".into(), vec![], "admin").unwrap();
        assert_eq!(
            (made.sync.sync_options, made.retry.limit),
            (vec!["A=b".to_owned()], 3)
        );
        assert_eq!(made.sync.source.unwrap()["path"], "p");
        assert_eq!(made.initiated_by.username, "admin");
        request.sync_options = Some(wire::SyncOptions { items: vec![] });
        request.retry_strategy = Some(v1alpha1::RetryStrategy {
            limit: Some(1),
            ..Default::default()
        });
        let made = operation(&app, &spec, &request, "abc".into(), vec![], "admin").unwrap();
        assert!(
            made.sync.sync_options.is_empty(),
            "an empty list replaces the policy's"
        );
        assert_eq!(made.retry.limit, 1);
    }

    #[test]
    fn an_operation_is_stopped_whether_or_not_it_is_said_to_have_begun() {
        let (begun, now) = (Timestamp::UNIX_EPOCH, Timestamp::MAX_UTC);
        let mut app = app(json!({}));
        assert!(stop(&mut app, now).is_err(), "none is in progress");
        let asked = Operation {
            initiated_by: Initiator {
                username: "admin".into(),
                automated: false,
            },
            ..Operation::default()
        };
        app.operation = Some(asked.clone());
        let phase = |app: &Application| {
            let state = app.status.operation.as_ref().unwrap();
            (state.phase, state.started_at, state.operation == asked)
        };
        assert!(stop(&mut app, begun).is_ok());
        assert_eq!(phase(&app), (Phase::Terminating, begun, true));
        if let Some(state) = &mut app.status.operation {
            state.phase = Phase::Running;
        }
        assert!(stop(&mut app, now).is_ok());
        assert_eq!(phase(&app), (Phase::Terminating, begun, true));
        // What is on record is of an earlier one.
        if let Some(state) = &mut app.status.operation {
            state.phase = Phase::Succeeded;
        }
        assert!(stop(&mut app, now).is_ok());
        assert_eq!(phase(&app), (Phase::Terminating, now, true));
    }

    #[test]
    fn an_operation_is_asked_for_only_where_none_is_and_the_application_stays() {
        let mut app = app(json!({}));
        app.metadata = json!({"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"});
        // It was told to go after whoever asks had read it.
        let refusal = ask_for(&mut app, Operation::default()).unwrap_err().0;
        assert_eq!(refusal.message(), "application is deleting");
        assert_eq!(app.operation, None);
        app.metadata = json!({"name": "a"});
        assert!(ask_for(&mut app, Operation::default()).is_ok());
        assert_eq!(app.operation, Some(Operation::default()));
        let refusal = ask_for(&mut app, Operation::default()).unwrap_err().0;
        assert_eq!(
            refusal.message(),
            "another operation is already in progress"
        );
    }

    #[test]
    fn a_strategy_travels_as_it_was_sent() {
        let app = app(json!({"source": {"repoURL": "r"}}));
        let spec = app.view().unwrap();
        let hook = v1alpha1::SyncStrategyHook {
            sync_strategy_apply: Some(v1alpha1::SyncStrategyApply { force: Some(true) }),
        };
        let strategy = v1alpha1::SyncStrategy {
            apply: None,
            hook: Some(hook),
        };
        let request = wire::ApplicationSyncRequest {
            strategy: Some(strategy),
            ..Default::default()
        };
        let made = operation(&app, &spec, &request, String::new(), vec![], "admin").unwrap();
        assert_eq!(
            made.sync.sync_strategy.unwrap(),
            json!({"hook": {"force": true}})
        );
    }
}
