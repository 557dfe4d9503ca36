//! Links that a tenant's settings would add to applications and to their objects.

use proto::argocd::application as wire;
use tonic::Status;

use super::find::{self, Query};
use super::resource::named;
use crate::permit::{Action, Actor};
use crate::shared::Shared;

/// The links of an application: none while the setting `application.links` says none.
pub(super) async fn of_application(
    shared: &Shared,
    actor: &Actor,
    request: wire::ListAppLinksRequest,
) -> Result<wire::LinksResponse, Status> {
    let asked = Query {
        name: &request.name,
        namespace: request.namespace.as_deref(),
        project: request.project.as_deref(),
    };
    find::find(shared, actor, Action::Get, asked).await?;
    Ok(wire::LinksResponse { items: Vec::new() })
}

/// The links of one object: none while the setting `resource.links` says none. As nothing is told of the object, nobody
/// looks whether it is there.
pub(super) async fn of_object(
    shared: &Shared,
    actor: &Actor,
    mut request: wire::ApplicationResourceRequest,
) -> Result<wire::LinksResponse, Status> {
    let named = named!(request);
    find::find(shared, actor, Action::Get, named.query()).await?;
    named.object(actor)?;
    Ok(wire::LinksResponse { items: Vec::new() })
}
