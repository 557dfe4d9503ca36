//! What is live, asked of the controller that has the application's cluster.

use std::sync::Arc;

use domain::application::Application;
use domain::delta::Misfit;
use domain::message::{self, Message};
use futures::{Stream, StreamExt};
use proto::argocd::application as wire;
use proto::convert::tree;
use proto::naru::internal::v1::{AppRequest, TreeUpdate};
use proto::v1alpha1;
use tonic::{Code, Response, Status};

use super::find::{self, Query, object};
use crate::failure;
use crate::grpc::Parts;
use crate::grpc::recheck::while_permitted;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

async fn checked(
    shared: &Shared,
    actor: &Actor,
    query: &wire::ResourcesQuery,
) -> Result<(AppRequest, Application), Status> {
    let asked = Query {
        name: &query.application_name,
        namespace: query.app_namespace.as_deref(),
        project: query.project.as_deref(),
    };
    let found = find::find(shared, actor, Action::Get, asked).await?;
    let request = AppRequest {
        tenant: actor.tenant.id.to_string(),
        app: found.app.name().to_owned(),
    };
    Ok((request, found.app))
}

/// Desired and live state of every managed object; hooks are left out.
pub(super) async fn managed_resources(
    shared: &Shared,
    actor: &Actor,
    query: wire::ResourcesQuery,
) -> Result<wire::ManagedResourcesResponse, Status> {
    let (request, app) = checked(shared, actor, &query).await?;
    let answer = shared
        .controllers
        .owner_of(actor.tenant.id, &app)
        .await?
        .managed_resources(request)
        .await
        .map_err(peer)?;
    let mut answer = answer.into_inner();
    let is = |wanted: &str, there: &str| wanted.is_empty() || wanted == there;
    answer.items.retain(|item| {
        !item.hook()
            && is(query.name(), item.name())
            && is(query.namespace(), item.namespace())
            && is(query.group(), item.group())
            && is(query.kind(), item.kind())
    });
    Ok(answer)
}

/// Everything that belongs to the application, with what its objects made.
pub(super) async fn resource_tree(
    shared: &Shared,
    actor: &Actor,
    query: wire::ResourcesQuery,
) -> Result<v1alpha1::ApplicationTree, Status> {
    let (request, app) = checked(shared, actor, &query).await?;
    shared
        .controllers
        .owner_of(actor.tenant.id, &app)
        .await?
        .resource_tree(request)
        .await
        .map(Response::into_inner)
        .map_err(peer)
}

/// The tree, and again whenever it changes. Ends without an error when the process stops.
pub(super) async fn watch_resource_tree(
    shared: &Arc<Shared>,
    actor: &Actor,
    query: wire::ResourcesQuery,
) -> Result<Parts<v1alpha1::ApplicationTree>, Status> {
    let (request, app) = checked(shared, actor, &query).await?;
    let right = object(&app);
    let trees = shared
        .controllers
        .owner_of(actor.tenant.id, &app)
        .await?
        .watch_resource_tree(request)
        .await
        .map_err(peer)?
        .into_inner();
    let stop = shared.life.token();
    let trees = whole(trees).take_until(stop.cancelled_owned());
    let may =
        move |actor: &Actor| permit::allows(actor, Resource::Applications, Action::Get, &right);
    Ok(while_permitted(shared, actor, may, Box::pin(trees)))
}

/// The trees that updates make, each of the one before and the first of an empty one.
fn whole(
    updates: impl Stream<Item = Result<TreeUpdate, Status>> + Send + 'static,
) -> impl Stream<Item = Result<v1alpha1::ApplicationTree, Status>> + Send + 'static {
    let lost = |misfit: Misfit| {
        let error = &misfit as &dyn std::error::Error;
        tracing::error!(error, "a tree could not be put together");
        failure::internal()
    };
    let before = Some(v1alpha1::ApplicationTree::default());
    updates.scan(before, move |shown, update| {
        // After an error there is nothing that an update could be of.
        let made = shown.take().map(|before| {
            let update = update.map_err(peer)?;
            tree::apply(before, update).map_err(lost)
        });
        if let Some(Ok(tree)) = &made {
            *shown = Some(tree.clone());
        }
        std::future::ready(made)
    })
}

/// What the controller said, in the reader's language where it is a message of the catalogue; or that it is away. Its
/// details are ours alone.
pub(super) fn peer(status: Status) -> Status {
    if let Ok(said) = serde_json::from_slice::<Message>(status.details()) {
        return failure::say(status.code(), &said);
    }
    match status.code() {
        Code::Unavailable => {
            tracing::warn!(error = %status, "the controller is away");
            failure::say(Code::Unavailable, &message::api::NO_CONTROLLER.message())
        }
        code => Status::new(code, status.message()),
    }
}

#[cfg(test)]
mod tests {
    use domain::message::Language;
    use proto::v1alpha1::{ApplicationTree, ResourceNode};

    use super::*;
    use crate::language;

    #[tokio::test]
    async fn a_tree_is_put_together_of_what_has_changed() {
        let of = |versions: &[&str]| {
            let node = |version: &&str| ResourceNode {
                resource_version: Some((*version).to_owned()),
                ..ResourceNode::default()
            };
            ApplicationTree {
                nodes: versions.iter().map(node).collect(),
                ..ApplicationTree::default()
            }
        };
        let (first, second) = (of(&["1"]), of(&["2", "3"]));
        let none = ApplicationTree::default();
        let updates = [
            Ok(tree::between(&none, &first)),
            Ok(tree::between(&first, &second)),
            // Of another tree than the one that was shown.
            Ok(tree::between(&first, &none)),
            Ok(tree::between(&first, &second)),
        ];
        let trees = whole(futures::stream::iter(updates));
        let trees: Vec<Result<ApplicationTree, Status>> = trees.collect().await;
        assert_eq!(trees.len(), 3, "it ends with the error");
        assert_eq!(trees[0].as_ref().unwrap(), &first);
        assert_eq!(trees[1].as_ref().unwrap(), &second);
        assert_eq!(trees[2].as_ref().unwrap_err().code(), Code::Internal);
    }

    #[tokio::test]
    async fn what_the_controller_says_is_told_in_the_readers_language() {
        let message = message::app::OWNER_WRITTEN.with("place", "`metadata`");
        let details = serde_json::to_vec(&message).unwrap();
        let said = Status::with_details(Code::InvalidArgument, message.to_string(), details.into());
        let told = language::scope(Language::Korean, async { peer(said) }).await;
        assert_eq!(told.code(), Code::InvalidArgument);
        assert_eq!(told.message(), message.render(Language::Korean));
        assert!(told.details().is_empty());
        let plain = peer(Status::not_found("pods \"a\" not found"));
        assert_eq!(plain.message(), "pods \"a\" not found");
    }
}
