//! Clusters: the one that the installation runs on, as each tenant sees it, and those that a tenant adds.
//!
//! What opens an added cluster is sealed to the controllers' key as soon as it is read from the request; from then on the
//! api cannot read it. Whatever needs it (a version, a new token) a controller does.

mod query;
mod state;
mod write;

use std::sync::Arc;

use domain::application::{Application, IN_CLUSTER_SERVER};
use domain::cluster::Cluster;
use futures::{StreamExt, stream};
use proto::argocd::cluster as wire;
use proto::argocd::cluster::cluster_service_server::ClusterService;
use proto::k8s::meta::v1::ListMeta;
use proto::v1alpha1;
use tonic::{Request, Response, Status};

use crate::failure;
use crate::identity;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

use query::Meant;
pub(crate) use query::unescape;

/// How many clusters are asked at once.
const AT_ONCE: usize = 8;

/// The service.
pub(crate) struct Clusters {
    shared: Arc<Shared>,
}

/// A cluster that an actor may do something with.
enum Found {
    /// The tenant's part of the shared one.
    Shared,
    /// One that it has added.
    Added(Box<Cluster>),
}

impl Clusters {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }

    async fn added(&self, actor: &Actor) -> Result<Vec<Cluster>, Status> {
        let scope = self.shared.store.tenant(actor.tenant.id);
        scope.clusters().list().await.map_err(failure::store)
    }

    /// The cluster that a query means, if the actor may do this with it; missing and forbidden are one answer.
    async fn find(
        &self,
        actor: &Actor,
        action: Action,
        query: wire::ClusterQuery,
    ) -> Result<Found, Status> {
        let meant = query::meant(query).ok_or_else(permit::denied)?;
        let may = |object: &str| permit::allows(actor, Resource::Clusters, action, object);
        if meant.is_in_cluster() {
            return match may(IN_CLUSTER_SERVER) {
                true => Ok(Found::Shared),
                false => Err(permit::denied()),
            };
        }
        let mut added = self.added(actor).await?.into_iter();
        added
            .find(|one| meant.is(one) && may(&one.object()))
            .map(|cluster| Found::Added(Box::new(cluster)))
            .ok_or_else(permit::denied)
    }

    async fn answer(
        &self,
        actor: &Actor,
        apps: &[Application],
        found: Found,
        fresh: bool,
    ) -> v1alpha1::Cluster {
        match found {
            Found::Shared => state::shared(&self.shared, actor, apps).await,
            Found::Added(cluster) => state::added(&self.shared, actor, apps, &cluster, fresh).await,
        }
    }
}

#[tonic::async_trait]
impl ClusterService for Clusters {
    async fn list(
        &self,
        request: Request<wire::ClusterQuery>,
    ) -> Result<Response<v1alpha1::ClusterList>, Status> {
        let actor = identity::actor(&request)?;
        let meant = query::meant(request.into_inner());
        let may = |object: &str| permit::allows(&actor, Resource::Clusters, Action::Get, object);
        let is_meant = |one: &Cluster| meant.as_ref().is_none_or(|meant: &Meant| meant.is(one));
        let added = self.added(&actor).await?;
        let mut found: Vec<Found> = added
            .into_iter()
            .filter(|one| is_meant(one) && may(&one.object()))
            .map(|cluster| Found::Added(Box::new(cluster)))
            .collect();
        let shared = meant.as_ref().is_none_or(Meant::is_in_cluster);
        if shared && may(IN_CLUSTER_SERVER) {
            found.push(Found::Shared);
        }
        let apps = state::applications(&self.shared, &actor).await?;
        let answers: Vec<_> = found
            .into_iter()
            .map(|one| self.answer(&actor, &apps, one, false))
            .collect();
        let items = stream::iter(answers).buffered(AT_ONCE).collect().await;
        Ok(Response::new(v1alpha1::ClusterList {
            metadata: Some(ListMeta::default()),
            items,
        }))
    }

    async fn get(
        &self,
        request: Request<wire::ClusterQuery>,
    ) -> Result<Response<v1alpha1::Cluster>, Status> {
        let actor = identity::actor(&request)?;
        let found = self.find(&actor, Action::Get, request.into_inner()).await?;
        let apps = state::applications(&self.shared, &actor).await?;
        let answer = self.answer(&actor, &apps, found, false).await;
        Ok(Response::new(answer))
    }

    async fn create(
        &self,
        request: Request<wire::ClusterCreateRequest>,
    ) -> Result<Response<v1alpha1::Cluster>, Status> {
        let actor = identity::actor(&request)?;
        write::create(&self.shared, &actor, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn update(
        &self,
        request: Request<wire::ClusterUpdateRequest>,
    ) -> Result<Response<v1alpha1::Cluster>, Status> {
        let actor = identity::actor(&request)?;
        let wire::ClusterUpdateRequest {
            cluster,
            updated_fields,
            id,
        } = request.into_inner();
        let cluster = write::payload(cluster)?;
        let query = wire::ClusterQuery {
            server: cluster.server().to_owned(),
            name: cluster.name().to_owned(),
            id,
        };
        match self.find(&actor, Action::Update, query).await? {
            Found::Shared => Err(write::not_yours()),
            Found::Added(known) => {
                write::update(&self.shared, &actor, *known, &cluster, &updated_fields)
                    .await
                    .map(Response::new)
            }
        }
    }

    async fn delete(
        &self,
        request: Request<wire::ClusterQuery>,
    ) -> Result<Response<wire::ClusterResponse>, Status> {
        let actor = identity::actor(&request)?;
        let query = request.into_inner();
        let Found::Added(found) = self.find(&actor, Action::Delete, query).await? else {
            // It is the platform's, not one that was added.
            return Err(Status::not_found(format!(
                "failed to enforce and delete cluster server: rpc error: code = NotFound desc = cluster {IN_CLUSTER_SERVER:?} not found"
            )));
        };
        let scope = self.shared.store.tenant(actor.tenant.id);
        let gone = scope.clusters().delete(&found.server).await;
        gone.map_err(failure::store)?;
        tracing::info!(tenant = %actor.tenant.name, account = actor.account, cluster = found.server, "removed a cluster");
        Ok(Response::new(wire::ClusterResponse {}))
    }

    async fn rotate_auth(
        &self,
        request: Request<wire::ClusterQuery>,
    ) -> Result<Response<wire::ClusterResponse>, Status> {
        let actor = identity::actor(&request)?;
        let query = request.into_inner();
        let Found::Added(found) = self.find(&actor, Action::Update, query).await? else {
            return Err(Status::invalid_argument(format!(
                "Cluster '{IN_CLUSTER_SERVER}' does not use bearer token authentication"
            )));
        };
        write::rotate(&self.shared, &actor, &found).await?;
        Ok(Response::new(wire::ClusterResponse {}))
    }

    async fn invalidate_cache(
        &self,
        request: Request<wire::ClusterQuery>,
    ) -> Result<Response<v1alpha1::Cluster>, Status> {
        let actor = identity::actor(&request)?;
        let query = request.into_inner();
        let mut found = self.find(&actor, Action::Update, query).await?;
        if let Found::Added(cluster) = &mut found {
            cluster.refresh_requested = Some(self.shared.clock.now());
            let scope = self.shared.store.tenant(actor.tenant.id);
            let put = scope.clusters().put(cluster, None).await;
            put.map_err(failure::store)?;
        }
        let apps = state::applications(&self.shared, &actor).await?;
        Ok(Response::new(self.answer(&actor, &apps, found, true).await))
    }
}
