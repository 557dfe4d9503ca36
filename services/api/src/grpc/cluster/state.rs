//! Whether clusters can be reached. That one cannot be asked is part of the answer.

use domain::application::{Application, IN_CLUSTER_NAME, IN_CLUSTER_SERVER};
use domain::cluster::Cluster;
use domain::message::Message;
use proto::k8s::meta::v1::Time;
use proto::naru::internal::v1::{
    AddedClusterRequest, AddedClusterResponse, ClusterInfoRequest, ClusterInfoResponse,
};
use proto::{convert, v1alpha1};
use serde_json::Value;
use tonic::{Response, Status};

use crate::failure;
use crate::language;
use crate::permit::Actor;
use crate::shared::Shared;

/// The tenant's part of the shared cluster as it is now.
pub(super) async fn shared(
    shared: &Shared,
    actor: &Actor,
    apps: &[Application],
) -> v1alpha1::Cluster {
    let known = match shared.controllers.owner().await {
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
    let now = shared.clock.now().timestamp();
    let synced = info.last_sync_unix_seconds;
    let cluster = v1alpha1::Cluster {
        server: Some(IN_CLUSTER_SERVER.to_owned()),
        name: Some(IN_CLUSTER_NAME.to_owned()),
        config: Some(v1alpha1::ClusterConfig {
            tls_client_config: Some(v1alpha1::TlsClientConfig {
                insecure: Some(false),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let told = v1alpha1::ClusterInfo {
        connection_state: Some(state(word, message, now)),
        server_version: Some(info.server_version),
        cache_info: Some(v1alpha1::ClusterCacheInfo {
            resources_count: Some(info.resources),
            apis_count: Some(info.apis),
            last_cache_sync_time: (synced > 0).then(|| seconds(synced)),
        }),
        applications_count: Some(count(apps, IN_CLUSTER_SERVER, IN_CLUSTER_NAME)),
        api_versions: info.api_versions,
    };
    with(cluster, told)
}

/// An added cluster, as the controller found it that has it.
pub(super) async fn added(
    shared: &Shared,
    actor: &Actor,
    apps: &[Application],
    cluster: &Cluster,
    fresh: bool,
) -> v1alpha1::Cluster {
    let owner = shared
        .controllers
        .owner_at(actor.tenant.id, &cluster.server);
    let said = match owner.await {
        Ok(mut owner) => {
            let request = AddedClusterRequest {
                tenant: actor.tenant.id.to_string(),
                server: cluster.server.clone(),
                fresh,
            };
            owner.added_cluster(request).await.map(Response::into_inner)
        }
        Err(status) => Err(status),
    };
    let now = shared.clock.now().timestamp();
    let cache = said.as_ref().map_or_else(
        |_| v1alpha1::ClusterCacheInfo::default(),
        |said| v1alpha1::ClusterCacheInfo {
            resources_count: Some(said.resources),
            apis_count: Some(said.apis),
            ..Default::default()
        },
    );
    let (state, version) = match said {
        Ok(AddedClusterResponse {
            reachable: true,
            server_version,
            asked_unix_seconds,
            ..
        }) => (
            state("Successful", String::new(), asked_unix_seconds),
            server_version,
        ),
        Ok(said) => {
            let message = serde_json::from_str::<Message>(&said.message);
            let text = message.map_or(said.message, |it| it.render(language::current()));
            (
                state("Failed", text, said.asked_unix_seconds),
                String::new(),
            )
        }
        Err(status) => (
            state("Unknown", status.message().to_owned(), now),
            String::new(),
        ),
    };
    answered(apps, cluster, state, version, cache)
}

/// An added cluster that has answered just now.
pub(super) async fn reached(
    shared: &Shared,
    actor: &Actor,
    cluster: &Cluster,
    version: String,
) -> Result<v1alpha1::Cluster, Status> {
    let now = shared.clock.now().timestamp();
    let state = state("Successful", String::new(), now);
    let apps = applications(shared, actor).await?;
    let cache = v1alpha1::ClusterCacheInfo::default();
    Ok(answered(&apps, cluster, state, version, cache))
}

fn answered(
    apps: &[Application],
    cluster: &Cluster,
    state: v1alpha1::ConnectionState,
    version: String,
    cache: v1alpha1::ClusterCacheInfo,
) -> v1alpha1::Cluster {
    let info = v1alpha1::ClusterInfo {
        connection_state: Some(state),
        server_version: Some(version),
        cache_info: Some(cache),
        applications_count: Some(count(apps, &cluster.server, &cluster.name)),
        ..Default::default()
    };
    with(convert::cluster::to_wire(cluster), info)
}

/// State and version stand twice: at the top they are out of date on the wire, and what the command's table reads.
fn with(cluster: v1alpha1::Cluster, info: v1alpha1::ClusterInfo) -> v1alpha1::Cluster {
    v1alpha1::Cluster {
        connection_state: info.connection_state.clone(),
        server_version: info.server_version.clone(),
        info: Some(info),
        ..cluster
    }
}

/// The tenant's applications, to be counted by where they go.
pub(super) async fn applications(
    shared: &Shared,
    actor: &Actor,
) -> Result<Vec<Application>, Status> {
    let scope = shared.store.tenant(actor.tenant.id);
    scope.applications().list().await.map_err(failure::store)
}

/// How many of them go there.
fn count(apps: &[Application], server: &str, name: &str) -> i64 {
    let goes = |spec: &Value| {
        let named = |field: &str| spec["destination"][field].as_str().unwrap_or_default();
        named("server").trim_end_matches('/') == server || named("name") == name
    };
    let count = apps.iter().filter(|app| goes(&app.spec)).count();
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn state(word: &str, message: String, at: i64) -> v1alpha1::ConnectionState {
    v1alpha1::ConnectionState {
        status: Some(word.to_owned()),
        message: Some(message),
        attempted_at: Some(seconds(at)),
    }
}

fn seconds(at: i64) -> Time {
    Time {
        seconds: Some(at),
        nanos: Some(0),
    }
}
