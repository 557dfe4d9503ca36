//! Adding clusters, changing them, and having their tokens replaced.

use domain::application::IN_CLUSTER_SERVER;
use domain::cluster::{self, Cluster, Login};
use domain::message::{self, Message};
use proto::argocd::cluster as wire;
use proto::naru::internal::v1::{RotateClusterRequest, TryClusterRequest, TryClusterResponse};
use proto::{convert, v1alpha1};
use store::SealedLogin;
use tonic::{Code, Response, Status};

use super::state;
use crate::failure;
use crate::grpc::repository::changes;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

/// What a client sent.
pub(super) fn payload(cluster: Option<v1alpha1::Cluster>) -> Result<v1alpha1::Cluster, Status> {
    cluster.ok_or_else(|| Status::invalid_argument("missing payload in request"))
}

/// The answer to who would change the shared cluster.
pub(super) fn not_yours() -> Status {
    let message = message::credentials::CLUSTER_SHARED.with("server", IN_CLUSTER_SERVER);
    failure::say(Code::InvalidArgument, &message)
}

/// Adds a cluster, once a controller has got into it with what is given.
pub(super) async fn create(
    shared: &Shared,
    actor: &Actor,
    request: wire::ClusterCreateRequest,
) -> Result<v1alpha1::Cluster, Status> {
    let wire::ClusterCreateRequest { cluster, upsert } = request;
    let sent = payload(cluster)?;
    let server = cluster::server(sent.server())
        .map_err(|message| failure::say(Code::InvalidArgument, &message))?;
    let login = login(&sent)?;
    let wanted = convert::cluster::from_wire(&sent, server, &login);
    permit::require(actor, Resource::Clusters, Action::Create, &wanted.object())?;
    if wanted.is_in_cluster() {
        return Err(not_yours());
    }
    let sealed = seal(shared, actor, &wanted.server, &login)?;
    let tried = attempt(shared, actor, &wanted.server, Some(&sealed)).await?;
    let scope = shared.store.tenant(actor.tenant.id);
    let known = scope.clusters().find(&wanted.server).await;
    let known = known.map_err(failure::store)?;
    let kept = match known {
        Some(known) => match differences(&known, &wanted, tried.same_as_stored) {
            differs if differs.iter().all(|(_, differs)| !differs) => known,
            differs if !upsert => return Err(changes::told("cluster", &differs)),
            _ => {
                for object in [known.object(), wanted.object()] {
                    permit::require(actor, Resource::Clusters, Action::Update, &object)?;
                }
                keep(shared, actor, &wanted, Some(&sealed)).await?;
                wanted
            }
        },
        None => {
            keep(shared, actor, &wanted, Some(&sealed)).await?;
            wanted
        }
    };
    state::reached(shared, actor, &kept, tried.server_version).await
}

/// Changes what is named of a cluster, or all of it.
pub(super) async fn update(
    shared: &Shared,
    actor: &Actor,
    known: Cluster,
    sent: &v1alpha1::Cluster,
    fields: &[String],
) -> Result<v1alpha1::Cluster, Status> {
    let names = |field: &str| fields.is_empty() || fields.iter().any(|named| named == field);
    let server = known.server.clone();
    let login = names("config").then(|| login(sent)).transpose()?;
    let told = login.clone().unwrap_or_default();
    let all = convert::cluster::from_wire(sent, server.clone(), &told);
    let mut wanted = known;
    if names("project") {
        wanted.project = all.project;
        permit::require(actor, Resource::Clusters, Action::Update, &wanted.object())?;
    }
    if names("name") {
        wanted.name = all.name;
    }
    if names("namespaces") {
        wanted.namespaces = all.namespaces;
    }
    if names("shard") {
        wanted.shard = all.shard;
    }
    if names("clusterResources") {
        wanted.cluster_resources = all.cluster_resources;
    }
    if names("labels") {
        wanted.labels = all.labels;
    }
    if names("annotations") {
        wanted.annotations = all.annotations;
    }
    if names("config") {
        wanted.shown = all.shown;
    }
    if wanted.is_in_cluster() {
        return Err(not_yours());
    }
    let sealed = match &login {
        Some(login) => Some(seal(shared, actor, &server, login)?),
        None => None,
    };
    let tried = attempt(shared, actor, &server, sealed.as_ref()).await?;
    keep(shared, actor, &wanted, sealed.as_ref()).await?;
    state::reached(shared, actor, &wanted, tried.server_version).await
}

/// Has the controller that has a cluster replace its token.
pub(super) async fn rotate(shared: &Shared, actor: &Actor, found: &Cluster) -> Result<(), Status> {
    let request = RotateClusterRequest {
        tenant: actor.tenant.id.to_string(),
        server: found.server.clone(),
    };
    let owner = shared.controllers.owner_at(actor.tenant.id, &found.server);
    let mut owner = owner.await?;
    let rotated = owner.rotate_cluster(request).await;
    rotated.map_err(|status| said(&status, ""))?;
    tracing::info!(tenant = %actor.tenant.name, account = actor.account, cluster = found.server, "rotated a cluster's token");
    Ok(())
}

/// What opens the cluster; ways in that would make the platform do more than connect are refused.
fn login(sent: &v1alpha1::Cluster) -> Result<Login, Status> {
    let refuse =
        |message: &message::Code| Err(failure::say(Code::InvalidArgument, &message.message()));
    let config = sent.config.as_ref();
    if config.is_some_and(|config| config.exec_provider_config.is_some()) {
        return refuse(&message::credentials::CLUSTER_EXEC);
    }
    if config.is_some_and(|config| config.aws_auth_config.is_some()) {
        return refuse(&message::credentials::CLUSTER_AWS);
    }
    if config.is_some_and(|config| !config.proxy_url().is_empty()) {
        return refuse(&message::credentials::CLUSTER_PROXY);
    }
    let login = convert::cluster::login_from_wire(config);
    login
        .check()
        .map_err(|why| Status::invalid_argument(format!("error getting REST config: {why}")))?;
    Ok(login)
}

fn seal(
    shared: &Shared,
    actor: &Actor,
    server: &str,
    login: &Login,
) -> Result<SealedLogin, Status> {
    let scope = shared.store.tenant(actor.tenant.id);
    scope
        .clusters()
        .seal(&shared.cluster_key, server, login)
        .map_err(failure::store)
}

/// Has a controller get into the cluster, with these credentials or with those that are stored.
async fn attempt(
    shared: &Shared,
    actor: &Actor,
    server: &str,
    sealed: Option<&SealedLogin>,
) -> Result<TryClusterResponse, Status> {
    let request = TryClusterRequest {
        tenant: actor.tenant.id.to_string(),
        server: server.to_owned(),
        sealed: sealed.map(|sealed| sealed.0.clone()).unwrap_or_default(),
    };
    let mut owner = shared.controllers.owner().await?;
    owner
        .try_cluster(request)
        .await
        .map(Response::into_inner)
        .map_err(|status| said(&status, "error getting server version: "))
}

async fn keep(
    shared: &Shared,
    actor: &Actor,
    wanted: &Cluster,
    sealed: Option<&SealedLogin>,
) -> Result<(), Status> {
    let scope = shared.store.tenant(actor.tenant.id);
    let put = scope.clusters().put(wanted, sealed).await;
    put.map_err(failure::store)?;
    tracing::info!(tenant = %actor.tenant.name, account = actor.account, cluster = wanted.server, "kept a cluster");
    Ok(())
}

/// What a controller refused, in the reader's language.
fn said(status: &Status, doing: &str) -> Status {
    match serde_json::from_slice::<Message>(status.details()) {
        Ok(message) => {
            let text = message.render(crate::language::current());
            match status.code() {
                Code::ResourceExhausted => Status::resource_exhausted(text),
                _ => Status::unknown(format!("{doing}{text}")),
            }
        }
        Err(_) => Status::new(status.code(), status.message()),
    }
}

fn differences(known: &Cluster, wanted: &Cluster, same_login: bool) -> Vec<(&'static str, bool)> {
    vec![
        ("Name", known.name != wanted.name),
        ("Config", !same_login),
        ("Namespaces", known.namespaces != wanted.namespaces),
        ("Shard", known.shard != wanted.shard),
        (
            "ClusterResources",
            known.cluster_resources != wanted.cluster_resources,
        ),
        ("Project", known.project != wanted.project),
        ("Labels", known.labels != wanted.labels),
        ("Annotations", known.annotations != wanted.annotations),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(config: v1alpha1::ClusterConfig) -> v1alpha1::Cluster {
        v1alpha1::Cluster {
            config: Some(config),
            ..Default::default()
        }
    }

    #[test]
    fn a_way_in_that_would_run_or_borrow_something_of_the_platforms_is_refused() {
        let exec = sent(v1alpha1::ClusterConfig {
            exec_provider_config: Some(v1alpha1::ExecProviderConfig {
                command: Some("/bin/sh".into()),
                ..Default::default()
            }),
            ..Default::default()
        });
        let aws = sent(v1alpha1::ClusterConfig {
            aws_auth_config: Some(v1alpha1::AwsAuthConfig::default()),
            ..Default::default()
        });
        for (cluster, field) in [(exec, "execProviderConfig"), (aws, "awsAuthConfig")] {
            let refused = login(&cluster).unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument);
            assert!(refused.message().contains(field), "{refused}");
        }
        assert!(login(&v1alpha1::Cluster::default()).is_ok());
    }

    #[test]
    fn what_differs_is_named() {
        let one = Cluster {
            server: "https://k8s".into(),
            name: "a".into(),
            ..Cluster::default()
        };
        let two = Cluster {
            name: "b".into(),
            ..one.clone()
        };
        let refused = changes::told("cluster", &differences(&one, &two, false));
        assert!(refused.message().ends_with("\"Name,Config\""), "{refused}");
    }
}
