//! What a sync would do, asked of the controller that would do it.
//!
//! The request becomes the operation that a sync with the same choices would leave on the application, by the same
//! functions; it goes to the controller instead of into the database. What a sync would be refused for does not refuse the
//! answer: it stands in it.

use domain::application::project_of;
use domain::message::{self, Message};
use proto::argocd::application::{ApplicationSyncRequest, SyncOptions};
use proto::naru::internal::v1::PlanRequest;
use proto::naru::v1 as wire;
use proto::v1alpha1::{SyncOperationResource, SyncStrategy, SyncStrategyApply, SyncStrategyHook};
use tonic::{Code, Status};

use super::find::{self, Query, object};
use super::live::peer;
use super::operate;
use super::validate::source_documents;
use crate::failure;
use crate::language;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

/// How many objects may be named.
const RESOURCES: usize = 500;

/// What a sync would do. Whoever may see the application sees it.
pub(in crate::grpc) async fn foresee(
    shared: &Shared,
    actor: &Actor,
    query: wire::PlanQuery,
) -> Result<wire::SyncPlan, Status> {
    let asked = Query {
        name: &query.name,
        namespace: Some(&query.app_namespace),
        project: Some(&query.project),
    };
    let find::Found { app, project } = find::find(shared, actor, Action::Get, asked).await?;
    let spec = operate::spec_of(&app)?;
    let request = as_sync(query)?;
    let sources = source_documents(&app.spec);
    let permitted = operate::rules_of(&project)
        .and_then(|rules| operate::permitted(&project, &rules, &sources))
        .is_ok();
    let (revision, revisions) = match permitted {
        // As a dry run, which may be of any revision.
        true => operate::resolve(shared, actor, &app, &spec, &request, false).await?,
        // Nobody looks into such a repository; the controller says why.
        false => (request.revision().to_owned(), Vec::new()),
    };
    let account = &actor.account;
    let operation = operate::operation(&app, &spec, &request, revision, revisions, account)?;
    let operation = serde_json::to_vec(&operation).map_err(|error| {
        tracing::error!(%error, "an operation cannot be written as JSON");
        failure::internal()
    })?;
    let asked = PlanRequest {
        tenant: actor.tenant.id.to_string(),
        app: app.name().to_owned(),
        operation,
        language: language::current().code().to_owned(),
    };
    let mut owner = shared.controllers.owner_of(actor.tenant.id, &app).await?;
    let mut plan = owner.plan(asked).await.map_err(peer)?.into_inner();
    let right = object(&app);
    if !permit::allows(actor, Resource::Applications, Action::Sync, &right) {
        refuse(&mut plan, &message::plan::NO_RIGHT.with("object", right));
    }
    if spec.automated().is_some()
        && let Some(refusal) = operate::strays(&spec, &request)?
    {
        refuse(&mut plan, &message::plan::PINNED.with("refusal", refusal));
    }
    app.name().clone_into(&mut plan.application);
    project_of(&app.spec).clone_into(&mut plan.project);
    Ok(plan)
}

/// Adds why a sync would be refused.
fn refuse(plan: &mut wire::SyncPlan, message: &Message) {
    plan.would_begin = false;
    let cause = wire::PlanCause {
        code: message.code.clone(),
        message: message.render(language::current()),
        severity: "Error".to_owned(),
        ..wire::PlanCause::default()
    };
    plan.refusals.insert(0, cause);
}

/// The sync that is meant.
fn as_sync(query: wire::PlanQuery) -> Result<ApplicationSyncRequest, Status> {
    let refused = |message: Message| failure::say(Code::InvalidArgument, &message);
    let named = query.resources.len();
    if named > RESOURCES {
        let message = message::plan::TOO_MANY_RESOURCES.with("count", named);
        return Err(refused(message.with("limit", RESOURCES)));
    }
    let force = || SyncStrategyApply {
        force: query.force.then_some(true),
    };
    let strategy = match query.strategy.as_str() {
        "" if !query.force => None,
        "" | "hook" => Some(SyncStrategy {
            apply: None,
            hook: Some(SyncStrategyHook {
                sync_strategy_apply: Some(force()),
            }),
        }),
        "apply" => Some(SyncStrategy {
            apply: Some(force()),
            hook: None,
        }),
        other => {
            let message = message::plan::STRATEGY_INVALID.with("strategy", other);
            return Err(refused(message));
        }
    };
    let resources = query.resources.iter().map(|named| {
        resource(named)
            .ok_or_else(|| refused(message::plan::RESOURCE_INVALID.with("resource", named)))
    });
    let resources: Vec<SyncOperationResource> = resources.collect::<Result<_, Status>>()?;
    Ok(ApplicationSyncRequest {
        name: query.name,
        revision: Some(query.revision).filter(|revision| !revision.is_empty()),
        revisions: query.revisions,
        source_positions: query.source_positions,
        prune: Some(query.prune),
        strategy,
        resources,
        sync_options: (!query.sync_options.is_empty()).then_some(SyncOptions {
            items: query.sync_options,
        }),
        ..ApplicationSyncRequest::default()
    })
}

/// An object by the text that names it, as the command's `--resource` does.
fn resource(text: &str) -> Option<SyncOperationResource> {
    let mut parts = text.splitn(3, ':');
    let (group, kind, place) = (parts.next()?, parts.next()?, parts.next()?);
    let (namespace, name) = place.split_once('/').unwrap_or(("", place));
    if kind.is_empty() || name.is_empty() || name.contains('/') {
        return None;
    }
    Some(SyncOperationResource {
        group: Some(group.to_owned()),
        kind: Some(kind.to_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use proto::json;
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_named_as_the_command_names_them() {
        let named = |text| {
            let resource = resource(text)?;
            let of = |part: &Option<String>| part.clone().unwrap_or_default();
            Some([
                of(&resource.group),
                of(&resource.kind),
                of(&resource.namespace),
                of(&resource.name),
            ])
        };
        let parts = |parts: [&str; 4]| Some(parts.map(str::to_owned));
        assert_eq!(
            named("apps:Deployment:a/web"),
            parts(["apps", "Deployment", "a", "web"])
        );
        assert_eq!(named(":ConfigMap:a"), parts(["", "ConfigMap", "", "a"]));
        let role = "rbac.authorization.k8s.io:Role:a/system:x";
        assert_eq!(named(role).unwrap()[3], "system:x");
        for none in [
            "",
            "a",
            "ConfigMap:a",
            "::a",
            ":ConfigMap:",
            ":ConfigMap:a/b/c",
        ] {
            assert_eq!(named(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_asked_is_what_a_sync_would_be_asked() {
        let query = wire::PlanQuery {
            name: "a".into(),
            revision: "main".into(),
            prune: true,
            strategy: "apply".into(),
            force: true,
            sync_options: vec!["Replace=true".into()],
            ..wire::PlanQuery::default()
        };
        let request = as_sync(query.clone()).unwrap();
        assert_eq!((request.revision(), request.prune()), ("main", true));
        assert!(!request.dry_run());
        assert_eq!(request.sync_options.unwrap().items, ["Replace=true"]);
        let strategy = json::to_value(&request.strategy.unwrap());
        assert_eq!(strategy, json!({"apply": {"force": true}}));
        let left_open = wire::PlanQuery {
            name: "a".into(),
            ..wire::PlanQuery::default()
        };
        let request = as_sync(left_open).unwrap();
        assert_eq!(request.revision, None);
        assert!(request.strategy.is_none() && request.sync_options.is_none());
        for bad in [
            wire::PlanQuery {
                strategy: "both".into(),
                ..query.clone()
            },
            wire::PlanQuery {
                resources: vec!["x".into()],
                ..query.clone()
            },
            wire::PlanQuery {
                resources: vec![":ConfigMap:a".into(); RESOURCES + 1],
                ..query
            },
        ] {
            let refusal = as_sync(bad).unwrap_err();
            assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal}");
        }
    }
}
