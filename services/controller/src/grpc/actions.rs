//! The actions of one live object: which it has, and carrying them out as the tenant's account.

use domain::resource::ResourceKey;
use engine::actions::{self, Change};
use proto::argocd::application::ResourceActionsListResponse;
use proto::naru::internal::v1 as wire;
use proto::v1alpha1::{ResourceAction, ResourceActionParam};
use tonic::{Code, Status};

use super::resource::{self, by_hand, permitted, with_uid};
use super::say;
use crate::context::Context;
use crate::driver::queue::AppKey;

/// The actions that an object of the application's tree has as it is now.
pub(super) async fn list(
    ctx: &Context,
    app: &AppKey,
    request: wire::ResourceRequest,
) -> Result<ResourceActionsListResponse, Status> {
    let object = resource::find(ctx, app, Some(request)).await?;
    let actions = actions::actions(&object.body).into_iter().map(to_wire);
    Ok(ResourceActionsListResponse {
        actions: actions.collect(),
    })
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
    let now = ctx.clock.now();
    let change = actions::run(&object.body, &request.action, &parameters, now)
        .map_err(|message| say(Code::InvalidArgument, &message))?;
    let account = &object.account;
    let done = match change {
        Change::Nothing => return Ok(wire::RunActionResponse {}),
        Change::Merge(patch) => {
            let patch = with_uid(patch, object.uid());
            let merge = cluster::PatchKind::Merge;
            let version = Some(object.version.as_str());
            account
                .patch(&object.key, version, merge, &patch, by_hand())
                .await
        }
        Change::Create(made) => {
            permitted(&object.subject, &ResourceKey::of(&made))?;
            account.create(&made, by_hand()).await
        }
    };
    done.map(|_| wire::RunActionResponse {})
        .map_err(|error| object.refused(&error))
}
