//! The actions of one live object: which it has, and carrying them out as whom its application is written.

use cluster::PatchKind;
use domain::message;
use domain::resource::{ResourceKey, text};
use domain::settings::Actions;
use engine::actions::{self, Change};
use proto::argocd::application::ResourceActionsListResponse;
use proto::naru::internal::v1 as wire;
use proto::v1alpha1::{ResourceAction, ResourceActionParam};
use script::{Answer, Changed, Job, Offer};
use serde_json::{Map, Value, json};
use tonic::{Code, Status};

use super::resource::{self, Object, by_hand, permitted, with_uid};
use super::{owner, say, scene};
use crate::context::Context;
use crate::driver::queue::AppKey;
use crate::reconcile::custom;
use crate::reconcile::subject::Subject;

/// The actions that an object of the application's tree has as it is now: those of the tenant's settings, and the built-in
/// ones where the settings have none for the kind or leave them.
pub(super) async fn list(
    ctx: &Context,
    app: &AppKey,
    request: wire::ResourceRequest,
) -> Result<ResourceActionsListResponse, Status> {
    let object = resource::find(ctx, app, Some(request)).await?;
    let own = object.subject.customizations.actions(&object.key);
    let mut listed: Vec<ResourceAction> = match own {
        Some(own) if !own.discovery.is_empty() => {
            let discovery = Job::Actions {
                script: own.discovery.clone(),
                object: object.body.clone(),
            };
            match run_script(ctx, &object, discovery).await? {
                Answer::Actions(offers) => offers.into_iter().map(offered).collect(),
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    };
    if own.is_none_or(|own| own.merge_builtin) {
        let known: Vec<Option<String>> = listed.iter().map(|action| action.name.clone()).collect();
        let built_in = actions::actions(&object.body).into_iter().map(to_wire);
        listed.extend(built_in.filter(|action| !known.contains(&action.name)));
        listed.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(ResourceActionsListResponse { actions: listed })
}

/// Runs a script of the tenant's settings over an object. Not over a Secret: what it wrote elsewhere would be its values.
async fn run_script(ctx: &Context, object: &Object, job: Job) -> Result<Answer, Status> {
    if resource::is_secret(&object.key) {
        let secret = message::app::ACTION_SECRET.with("resource", &object.key);
        return Err(say(Code::FailedPrecondition, &secret));
    }
    let mut outcome = ctx.scripts.run(object.subject.tenant_name(), &[job]).await;
    match outcome.pop() {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(refusal)) => {
            let failed = message::app::ACTION_SCRIPT
                .with("kind", &object.key.kind)
                .with("why", custom::words(&refusal));
            Err(say(Code::FailedPrecondition, &failed))
        }
        None => Err(Status::internal("no script was run")),
    }
}

fn offered(offer: Offer) -> ResourceAction {
    let Offer {
        name,
        disabled,
        parameters,
        icon,
        title,
    } = offer;
    let parameters = parameters.into_iter();
    ResourceAction {
        name: Some(name),
        params: parameters
            .map(|name| ResourceActionParam { name: Some(name) })
            .collect(),
        disabled: Some(disabled),
        icon_class: Some(icon),
        display_name: Some(title),
    }
}

fn to_wire(action: actions::Action) -> ResourceAction {
    let actions::Action {
        name,
        disabled,
        parameters,
        icon,
        title,
    } = action;
    let parameter = |name: &&str| ResourceActionParam {
        name: Some((*name).to_owned()),
    };
    ResourceAction {
        name: Some(name.to_owned()),
        params: parameters.iter().map(parameter).collect(),
        disabled: Some(disabled),
        icon_class: Some(icon.to_owned()),
        display_name: Some(title.to_owned()),
    }
}

/// Runs one. What it changes or makes must be permitted by the project, what the application's objects made included.
pub(super) async fn run(
    ctx: &Context,
    app: &AppKey,
    request: wire::RunActionRequest,
) -> Result<wire::RunActionResponse, Status> {
    let object = resource::find(ctx, app, request.resource).await?;
    object.may_change()?;
    permitted(&object.subject, &object.key)?;
    let parameters = request.parameters.into_iter();
    let parameters = parameters.map(|one| (one.name, one.value)).collect();
    let own = object.subject.customizations.actions(&object.key);
    let script = own.and_then(|own| script_of(own, &request.action));
    let changes = match (script, own) {
        (Some(script), _) => {
            let job = Job::Act {
                script: script.to_owned(),
                object: object.body.clone(),
                parameters,
            };
            match run_script(ctx, &object, job).await? {
                Answer::Changed(changed) => of_script(&object, changed)?,
                _ => Vec::new(),
            }
        }
        (None, Some(own)) if !own.merge_builtin => {
            let names: Vec<&str> = own.scripts.iter().map(|(name, _)| name.as_str()).collect();
            let unknown = message::app::ACTION_UNKNOWN
                .with("kind", &object.key.kind)
                .with("action", &request.action)
                .with("known", names.join(", "));
            return Err(say(Code::InvalidArgument, &unknown));
        }
        (None, _) => {
            let now = ctx.clock.now();
            let change = actions::run(&object.body, &request.action, &parameters, now);
            vec![change.map_err(|message| say(Code::InvalidArgument, &message))?]
        }
    };
    // All that is made has to be permitted before anything is written.
    for change in &changes {
        if let Change::Create(made) = change {
            may_be_made(ctx, &object.subject, made).await?;
        }
    }
    for change in changes {
        carry_out(&object, change).await?;
    }
    Ok(wire::RunActionResponse {})
}

/// Demands that an object could be one of the application's: where it would be, and of its kind, as for what Git has.
async fn may_be_made(ctx: &Context, subject: &Subject, made: &Value) -> Result<(), Status> {
    let key = ResourceKey::of(made);
    let server = &subject.destination.server;
    if subject.kinds.excludes(&key.group, &key.kind, server) {
        let excluded = message::app::ACTION_EXCLUDED.with("resource", key);
        return Err(say(Code::FailedPrecondition, &excluded));
    }
    let target = scene::target_of(ctx, subject, made.clone()).await?;
    let nothing = || Status::invalid_argument("the action makes no object");
    let (target, _) = target.ok_or_else(nothing)?;
    match &target.refused {
        Some(cause) => Err(say(Code::PermissionDenied, &cause.message)),
        None => Ok(()),
    }
}

/// The script of an action.
fn script_of<'a>(own: &'a Actions, action: &str) -> Option<&'a str> {
    let known = own.scripts.iter().find(|(name, _)| name == action);
    known.map(|(_, script)| script.as_str())
}

/// What a script's objects change. It changes the object that it was given, and no other; of nothing that it changes or makes
/// does it say whose that is.
fn of_script(object: &Object, changed: Vec<Changed>) -> Result<Vec<Change>, Status> {
    let marking = &object.subject.marking;
    let mut changes = Vec::new();
    for Changed { create, object: to } in changed {
        if create {
            owner::is_nobodys(&to, marking)?;
            changes.push(Change::Create(to));
        } else if ResourceKey::of(&to) == object.key {
            let patch = actions::merge_patch(&object.body, &to);
            owner::stays(&patch, &object.body, &object.key, marking)?;
            changes.push(Change::Merge(patch));
        } else {
            let other = message::app::ACTION_OF_ANOTHER
                .with("resource", ResourceKey::of(&to))
                .with("own", &object.key);
            return Err(say(Code::FailedPrecondition, &other));
        }
    }
    Ok(changes)
}

async fn carry_out(object: &Object, change: Change) -> Result<(), Status> {
    let account = &object.account;
    let done = match change {
        Change::Nothing => return Ok(()),
        Change::Merge(patch) => merge(object, patch).await,
        Change::Create(made) => account.create(&made, by_hand()).await.map(drop),
    };
    done.map_err(|error| object.refused(&error))
}

/// Changes parts of an object. As in Argo CD its status goes first, on its own, where the kind has it written apart. It was
/// thought up over the object as it was read, and a step that is skipped must not be skipped twice: in another state nothing
/// of the status is written, and where it is not written apart, nothing at all.
async fn merge(object: &Object, mut patch: Value) -> Result<(), cluster::Error> {
    let (account, key) = (&object.account, &object.key);
    let version = Some(object.version.as_str());
    let part = patch
        .as_object_mut()
        .and_then(|fields| fields.remove("status"));
    if let Some(status) = part {
        let state = text(&object.body, &["metadata", "resourceVersion"]);
        let of_status = json!({"metadata": {"resourceVersion": state}, "status": status});
        let apart = account.patch_status(key, version, &of_status, by_hand());
        if !apart.await? {
            patch = together(patch, of_status);
        }
    }
    if patch.as_object().is_some_and(Map::is_empty) {
        return Ok(());
    }
    let patch = with_uid(patch, object.uid());
    let merged = account.patch(key, version, PatchKind::Merge, &patch, by_hand());
    merged.await.map(drop)
}

/// One patch of both, which holds in the state alone that the status was thought up over.
fn together(mut patch: Value, of_status: Value) -> Value {
    let Value::Object(parts) = of_status else {
        return patch;
    };
    for (part, value) in parts {
        let there = patch.get_mut(&part).and_then(Value::as_object_mut);
        if let (Some(there), Some(more)) = (there, value.as_object()) {
            there.extend(more.clone());
        } else if let Some(all) = patch.as_object_mut() {
            all.insert(part, value);
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_is_not_apart_keeps_its_precondition() {
        let of_status = || json!({"metadata": {"resourceVersion": "7"}, "status": {"step": 2}});
        let both = together(json!({"spec": {"paused": false}}), of_status());
        assert_eq!(
            both,
            json!({"metadata": {"resourceVersion": "7"}, "spec": {"paused": false}, "status": {"step": 2}})
        );
        let patch = json!({"metadata": {"annotations": {"a": "b"}}});
        let both = with_uid(together(patch, of_status()), "u");
        let metadata = json!({"annotations": {"a": "b"}, "resourceVersion": "7", "uid": "u"});
        assert_eq!(both["metadata"], metadata);
        assert_eq!(together(json!({}), of_status()), of_status());
    }
}
