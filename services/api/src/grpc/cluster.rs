//! Clusters: the one that the installation runs on, as each tenant sees it.

use std::sync::Arc;

use domain::application::{IN_CLUSTER_NAME, IN_CLUSTER_SERVER};
use proto::argocd::cluster as wire;
use proto::argocd::cluster::cluster_service_server::ClusterService;
use proto::k8s::meta::v1::{ListMeta, Time};
use proto::naru::internal::v1::{ClusterInfoRequest, ClusterInfoResponse};
use proto::v1alpha1;
use tonic::{Request, Response, Status};

use crate::failure;
use crate::grpc::not_served;
use crate::identity;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

/// The service.
pub(crate) struct Clusters {
    shared: Arc<Shared>,
}

impl Clusters {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }

    /// The cluster as it is now. That it cannot be asked is part of the answer.
    async fn in_cluster(&self, actor: &Actor) -> Result<v1alpha1::Cluster, Status> {
        let apps = self
            .shared
            .store
            .tenant(actor.tenant.id)
            .applications()
            .list()
            .await
            .map_err(failure::store)?;
        let known = match self.shared.controllers.owner().await {
            Ok(mut owner) => {
                let request = ClusterInfoRequest {
                    tenant: actor.tenant.id.to_string(),
                };
                owner.cluster_info(request).await.map(Response::into_inner)
            }
            Err(status) => Err(status),
        };
        let (word, message, info) = match known {
            Ok(info) if info.reachable => ("Successful", String::new(), info),
            Ok(info) => ("Failed", info.message.clone(), info),
            Err(status) => (
                "Unknown",
                status.message().to_owned(),
                ClusterInfoResponse::default(),
            ),
        };
        let now = Time {
            seconds: Some(self.shared.clock.now().timestamp()),
            nanos: Some(0),
        };
        let state = v1alpha1::ConnectionState {
            status: Some(word.to_owned()),
            message: Some(message),
            attempted_at: Some(now),
        };
        let synced = Time {
            seconds: Some(info.last_sync_unix_seconds),
            nanos: Some(0),
        };
        Ok(v1alpha1::Cluster {
            server: Some(IN_CLUSTER_SERVER.to_owned()),
            name: Some(IN_CLUSTER_NAME.to_owned()),
            config: Some(v1alpha1::ClusterConfig {
                tls_client_config: Some(v1alpha1::TlsClientConfig {
                    insecure: Some(false),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            // Both are out of date on the wire, and what the command's table reads.
            connection_state: Some(state.clone()),
            server_version: Some(info.server_version.clone()),
            info: Some(v1alpha1::ClusterInfo {
                connection_state: Some(state),
                server_version: Some(info.server_version),
                cache_info: Some(v1alpha1::ClusterCacheInfo {
                    resources_count: Some(info.resources),
                    apis_count: Some(info.apis),
                    last_cache_sync_time: (info.last_sync_unix_seconds > 0).then_some(synced),
                }),
                applications_count: Some(i64::try_from(apps.len()).unwrap_or(i64::MAX)),
                api_versions: info.api_versions,
            }),
            ..Default::default()
        })
    }
}

/// Which cluster a query means: by id, else by address, else by name; `None` when it names nothing.
fn meant(query: wire::ClusterQuery) -> Option<Meant> {
    let (server, name) = match query.id {
        Some(id) => match id.r#type.as_str() {
            "name" => (String::new(), unescape(&id.value)),
            "name_escaped" => (String::new(), unescape(&unescape(&id.value))),
            _ => (unescape(&id.value), String::new()),
        },
        None => (query.server, query.name),
    };
    match (server.is_empty(), name.is_empty()) {
        (false, _) => Some(Meant::Server(server)),
        (true, false) => Some(Meant::Name(name)),
        (true, true) => None,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Meant {
    Server(String),
    Name(String),
}

impl Meant {
    fn is_in_cluster(&self) -> bool {
        match self {
            Self::Server(server) => server.trim_end_matches('/') == IN_CLUSTER_SERVER,
            Self::Name(name) => name == IN_CLUSTER_NAME,
        }
    }
}

/// Go's `url.QueryUnescape`; what is not escaped well stays as it is.
pub(crate) fn unescape(text: &str) -> String {
    let spaced = text.replace('+', " ");
    match percent_encoding::percent_decode_str(&spaced).decode_utf8() {
        Ok(decoded) => decoded.into_owned(),
        Err(_) => text.to_owned(),
    }
}

#[tonic::async_trait]
impl ClusterService for Clusters {
    async fn list(
        &self,
        request: Request<wire::ClusterQuery>,
    ) -> Result<Response<v1alpha1::ClusterList>, Status> {
        let actor = identity::actor(&request)?;
        let wanted = meant(request.into_inner()).is_none_or(|meant| meant.is_in_cluster());
        let mut items = Vec::new();
        if wanted && permit::allows(&actor, Resource::Clusters, Action::Get, IN_CLUSTER_SERVER) {
            items.push(self.in_cluster(&actor).await?);
        }
        Ok(Response::new(v1alpha1::ClusterList {
            metadata: Some(ListMeta::default()),
            items,
        }))
    }

    /// Missing and forbidden are one answer.
    async fn get(
        &self,
        request: Request<wire::ClusterQuery>,
    ) -> Result<Response<v1alpha1::Cluster>, Status> {
        let actor = identity::actor(&request)?;
        let found = meant(request.into_inner()).is_some_and(|meant| meant.is_in_cluster());
        if !found || !permit::allows(&actor, Resource::Clusters, Action::Get, IN_CLUSTER_SERVER) {
            return Err(permit::denied());
        }
        Ok(Response::new(self.in_cluster(&actor).await?))
    }

    not_served! {
        "ClusterService";
        create(wire::ClusterCreateRequest) -> v1alpha1::Cluster,
        update(wire::ClusterUpdateRequest) -> v1alpha1::Cluster,
        delete(wire::ClusterQuery) -> wire::ClusterResponse,
        rotate_auth(wire::ClusterQuery) -> wire::ClusterResponse,
        invalidate_cache(wire::ClusterQuery) -> v1alpha1::Cluster,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_means_one_cluster_or_none() {
        let by = |kind: &str, value: &str| wire::ClusterQuery {
            id: Some(wire::ClusterId {
                r#type: kind.into(),
                value: value.into(),
            }),
            server: "ignored".into(),
            ..Default::default()
        };
        assert_eq!(
            meant(by("", "https%3A%2F%2Fx")),
            Some(Meant::Server("https://x".into()))
        );
        assert_eq!(
            meant(by("name", "in-cluster")),
            Some(Meant::Name("in-cluster".into()))
        );
        assert_eq!(
            meant(by("name_escaped", "a%2520b")),
            Some(Meant::Name("a b".into()))
        );
        assert_eq!(meant(wire::ClusterQuery::default()), None);
        assert!(Meant::Server("https://kubernetes.default.svc".into()).is_in_cluster());
    }
}
