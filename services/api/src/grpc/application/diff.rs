//! The diff that the cluster makes: what it would make of manifests, beside what it has.

use domain::message;
use proto::argocd::application as wire;
use proto::naru::internal::v1::ServerSideDiffRequest;
use proto::v1alpha1::ResourceDiff;
use tonic::{Code, Response, Status};

use super::find::{self, Query};
use super::live::peer;
use crate::failure;
use crate::permit::{Action, Actor};
use crate::shared::Shared;

/// How many objects one request may ask about; the command asks about one, later ones about some.
const OBJECTS: usize = 500;
/// How many bytes their manifests may have together.
const MANIFESTS: usize = 16 << 20;

/// Both sides of each object that is asked about.
pub(super) async fn server_side(
    shared: &Shared,
    actor: &Actor,
    query: wire::ApplicationServerSideDiffQuery,
) -> Result<wire::ApplicationServerSideDiffResponse, Status> {
    let asked = Query {
        name: &query.app_name,
        namespace: query.app_namespace.as_deref(),
        project: query.project.as_deref(),
    };
    let found = find::find(shared, actor, Action::Get, asked).await?;
    bounded(&query)?;
    if query.live_resources.is_empty() {
        return Ok(wire::ApplicationServerSideDiffResponse::default());
    }
    let request = ServerSideDiffRequest {
        tenant: actor.tenant.id.to_string(),
        query: Some(without_states(query)),
    };
    shared
        .controllers
        .owner_of(actor.tenant.id, &found.app)
        .await?
        .server_side_diff(request)
        .await
        .map(Response::into_inner)
        .map_err(peer)
}

/// Demands a manifest for each object, and not too many.
fn bounded(query: &wire::ApplicationServerSideDiffQuery) -> Result<(), Status> {
    let (objects, manifests) = (query.live_resources.len(), query.target_manifests.len());
    let size: usize = query.target_manifests.iter().map(String::len).sum();
    let refusal = if objects != manifests {
        message::app::DIFF_UNEVEN
            .with("objects", objects)
            .with("manifests", manifests)
    } else if objects > OBJECTS {
        message::app::DIFF_TOO_MANY
            .with("objects", objects)
            .with("limit", OBJECTS)
    } else if size > MANIFESTS {
        message::app::DIFF_TOO_LARGE
            .with("size", size)
            .with("limit", MANIFESTS)
    } else {
        return Ok(());
    };
    Err(failure::say(Code::InvalidArgument, &refusal))
}

/// Of the live objects only which they are: what they hold is looked up, not believed.
fn without_states(
    mut query: wire::ApplicationServerSideDiffQuery,
) -> wire::ApplicationServerSideDiffQuery {
    let which = |object: ResourceDiff| ResourceDiff {
        group: object.group,
        kind: object.kind,
        namespace: object.namespace,
        name: object.name,
        ..ResourceDiff::default()
    };
    query.live_resources = query.live_resources.into_iter().map(which).collect();
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(objects: usize, manifests: Vec<String>) -> wire::ApplicationServerSideDiffQuery {
        let object = ResourceDiff {
            kind: Some("Secret".into()),
            name: Some("s".into()),
            live_state: Some("canary".into()),
            ..ResourceDiff::default()
        };
        wire::ApplicationServerSideDiffQuery {
            live_resources: vec![object; objects],
            target_manifests: manifests,
            ..wire::ApplicationServerSideDiffQuery::default()
        }
    }

    #[test]
    fn a_request_is_neither_uneven_nor_too_large() {
        assert!(bounded(&query(0, vec![])).is_ok());
        assert!(bounded(&query(2, vec![String::new(); 2])).is_ok());
        for (bad, told) in [
            (query(1, vec![]), "1 objects and brings 0 manifests"),
            (query(501, vec![String::new(); 501]), "501 objects"),
            (query(1, vec!["x".repeat(MANIFESTS + 1)]), "16777217 bytes"),
        ] {
            let refusal = bounded(&bad).unwrap_err();
            assert!(refusal.message().contains(told), "{refusal}");
        }
    }

    #[test]
    fn what_a_client_believes_of_live_objects_stays_here() {
        let sent = without_states(query(1, vec![String::new()]));
        assert_eq!(sent.live_resources[0].name(), "s");
        assert_eq!(sent.live_resources[0].live_state, None);
    }
}
