//! What was said lately of an application, or of one of its objects.

use proto::argocd::application as wire;
use proto::argocd::events::EventList;
use proto::k8s::meta::v1::ListMeta;
use proto::naru::internal::v1::ResourceEventsRequest;
use tonic::Status;

use super::find::{self, Query};
use super::live::peer;
use crate::permit::{Action, Actor};
use crate::shared::Shared;

/// The events of an object, live. No Kubernetes event is ever about an application here: none is an object of the cluster.
pub(super) async fn list(
    shared: &Shared,
    actor: &Actor,
    query: wire::ApplicationResourceEventsQuery,
) -> Result<EventList, Status> {
    let asked = Query {
        name: &query.name,
        namespace: query.app_namespace.as_deref(),
        project: query.project.as_deref(),
    };
    let found = find::find(shared, actor, Action::Get, asked).await?;
    if query.resource_name().is_empty() && query.resource_uid().is_empty() {
        return Ok(EventList {
            metadata: Some(ListMeta::default()),
            items: Vec::new(),
        });
    }
    let request = ResourceEventsRequest {
        tenant: actor.tenant.id.to_string(),
        app: found.app.name().to_owned(),
        namespace: query.resource_namespace().to_owned(),
        name: query.resource_name().to_owned(),
        uid: query.resource_uid().to_owned(),
    };
    shared
        .controllers
        .owner_of(actor.tenant.id, &found.app)
        .await?
        .resource_events(request)
        .await
        .map(tonic::Response::into_inner)
        .map_err(peer)
}
