//! The actions of one live object: which it has, and running them.

use proto::argocd::application as wire;
use proto::naru::internal::v1::{ActionParameter, RunActionRequest};
use tonic::{Response, Status};

use super::find;
use super::live::peer;
use super::resource::{Named, named, told};
use crate::permit::{Action, Actor};
use crate::shared::Shared;

/// The actions that it has as it is now. The application itself, for which clients ask too, has none.
pub(super) async fn list(
    shared: &Shared,
    actor: &Actor,
    mut request: wire::ApplicationResourceRequest,
) -> Result<wire::ResourceActionsListResponse, Status> {
    let named = named!(request);
    let found = find::find(shared, actor, Action::Get, named.query()).await?;
    if named.is_application() {
        return Ok(wire::ResourceActionsListResponse::default());
    }
    let request = named.object(actor)?;
    shared
        .controllers
        .owner_of(actor.tenant.id, &found.app)
        .await?
        .resource_actions(request)
        .await
        .map(Response::into_inner)
        .map_err(peer)
}

/// Runs one; the call of older clients, which knows no parameters.
pub(super) async fn run(
    shared: &Shared,
    actor: &Actor,
    mut request: wire::ResourceActionRunRequest,
) -> Result<wire::ApplicationResponse, Status> {
    let named = named!(request);
    carry_out(shared, actor, named, request.action, Vec::new()).await
}

/// Runs one, with its parameters.
pub(super) async fn run_with(
    shared: &Shared,
    actor: &Actor,
    mut request: wire::ResourceActionRunRequestV2,
) -> Result<wire::ApplicationResponse, Status> {
    let named = named!(request);
    let given = request.resource_action_parameters.into_iter();
    let parameters = given.map(|one| ActionParameter {
        name: one.name,
        value: one.value,
    });
    carry_out(shared, actor, named, request.action, parameters.collect()).await
}

async fn carry_out(
    shared: &Shared,
    actor: &Actor,
    named: Named,
    action: String,
    parameters: Vec<ActionParameter>,
) -> Result<wire::ApplicationResponse, Status> {
    let deed = named.run(&action);
    let found = find::find_to(shared, actor, &deed, named.query()).await?;
    let resource = named.object(actor)?;
    told(
        actor,
        "running an action on an object of an application",
        &resource,
    );
    let request = RunActionRequest {
        resource: Some(resource),
        action,
        parameters,
    };
    shared
        .controllers
        .owner_of(actor.tenant.id, &found.app)
        .await?
        .run_action(request)
        .await
        .map_err(peer)?;
    Ok(wire::ApplicationResponse {})
}
