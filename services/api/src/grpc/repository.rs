//! Repositories: connecting them, and whether they can be read.

mod changes;
mod state;

use std::sync::Arc;

use domain::message;
use domain::repository::{Repository, normalize_url};
use proto::argocd::repository as wire;
use proto::argocd::repository::repository_service_server::RepositoryService;
use proto::k8s::meta::v1::ListMeta;
use proto::{convert, v1alpha1};
use tonic::{Code, Request, Response, Status};

use crate::failure;
use crate::grpc::cluster::unescape;
use crate::grpc::not_served;
use crate::identity;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;
use crate::sources;

/// The service.
pub(crate) struct Repositories {
    shared: Arc<Shared>,
}

impl Repositories {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }

    /// Those that the actor may see, by project and address.
    async fn visible(&self, actor: &Actor) -> Result<Vec<Repository>, Status> {
        let scope = self.shared.store.tenant(actor.tenant.id);
        let mut all = scope.repositories().list().await.map_err(failure::store)?;
        all.retain(|one| {
            permit::allows(
                actor,
                Resource::Repositories,
                Action::Get,
                &object(&one.project, &one.url),
            )
        });
        all.sort_by_key(|one| format!("{}/{}", one.project, one.url));
        Ok(all)
    }

    async fn listed(
        &self,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<v1alpha1::RepositoryList>, Status> {
        let actor = identity::actor(&request)?;
        let refresh = request.into_inner().force_refresh;
        let visible = self.visible(&actor).await?;
        let states = state::all(&self.shared, &actor.tenant, &visible, refresh).await?;
        let items = visible
            .iter()
            .zip(states)
            .map(|(one, state)| convert::repository::to_wire(one, state));
        Ok(Response::new(v1alpha1::RepositoryList {
            metadata: Some(ListMeta::default()),
            items: items.collect(),
        }))
    }

    /// The one that a query means: alone with its address, or of the project that is named.
    async fn meant(&self, actor: &Actor, query: &wire::RepoQuery) -> Result<Repository, Status> {
        let url = unescape(&query.repo);
        let mut found = self.visible(actor).await?;
        found.retain(|one| normalize_url(&one.url) == normalize_url(&url));
        if found.is_empty() {
            return Err(permit::denied());
        }
        let alone = found.len() == 1 && query.app_project.is_empty();
        let project = &query.app_project;
        let at = if alone {
            Some(0)
        } else {
            found.iter().position(|one| one.project == *project)
        };
        at.map(|at| found.swap_remove(at)).ok_or_else(|| {
            Status::unknown(format!(
                "repository not found for url {url:?} and project {project:?}"
            ))
        })
    }

    async fn connect(
        &self,
        request: Request<wire::RepoCreateRequest>,
    ) -> Result<Response<v1alpha1::Repository>, Status> {
        let actor = identity::actor(&request)?;
        let wire::RepoCreateRequest {
            repo,
            upsert,
            creds_only: _,
        } = request.into_inner();
        let repo = repo.ok_or_else(|| Status::invalid_argument("missing payload in request"))?;
        permit::require(
            &actor,
            Resource::Repositories,
            Action::Create,
            &object(repo.project(), repo.repo()),
        )?;
        let logins = [
            (
                "githubAppPrivateKey",
                !repo.github_app_private_key().is_empty() || repo.github_app_id() != 0,
            ),
            (
                "gcpServiceAccountKey",
                !repo.gcp_service_account_key().is_empty(),
            ),
            (
                "useAzureWorkloadIdentity",
                repo.use_azure_workload_identity(),
            ),
            (
                "azureServicePrincipalClientId",
                !repo.azure_service_principal_client_id().is_empty(),
            ),
        ];
        let wanted = convert::repository::from_wire(&repo);
        served(&wanted, repo.enable_oci(), &logins)?;
        if wanted.project.is_empty() {
            let access = sources::access_to(&actor.tenant, &wanted.url, Some(&wanted));
            sources::test(&self.shared, &access).await?;
        }
        let scope = self.shared.store.tenant(actor.tenant.id);
        let existing = scope
            .repositories()
            .find(&wanted.url, &wanted.project)
            .await
            .map_err(failure::store)?;
        match existing {
            Some(existing) if existing == wanted => {}
            Some(existing) if !upsert => return Err(changes::refused(&existing, &wanted)),
            _ => {
                scope
                    .repositories()
                    .put(&wanted)
                    .await
                    .map_err(failure::store)?;
                state::forget(&self.shared, &actor.tenant, &wanted).await;
                tracing::info!(tenant = %actor.tenant.name, account = actor.account, "connected a repository");
            }
        }
        Ok(Response::new(v1alpha1::Repository {
            repo: Some(wanted.url),
            r#type: Some(wanted.kind),
            name: Some(wanted.name),
            ..v1alpha1::Repository::default()
        }))
    }

    async fn disconnect(
        &self,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<wire::RepoResponse>, Status> {
        let actor = identity::actor(&request)?;
        let found = self.meant(&actor, &request.into_inner()).await?;
        permit::require(
            &actor,
            Resource::Repositories,
            Action::Delete,
            &object(&found.project, &found.url),
        )?;
        let scope = self.shared.store.tenant(actor.tenant.id);
        scope
            .repositories()
            .delete(&found.url, &found.project)
            .await
            .map_err(failure::store)?;
        state::forget(&self.shared, &actor.tenant, &found).await;
        tracing::info!(tenant = %actor.tenant.name, account = actor.account, "disconnected a repository");
        Ok(Response::new(wire::RepoResponse {}))
    }
}

/// A repository as rights name it.
fn object(project: &str, url: &str) -> String {
    if project.is_empty() {
        url.to_owned()
    } else {
        format!("{project}/{url}")
    }
}

/// Refuses what is not served yet, by its name.
fn served(repository: &Repository, oci: bool, logins: &[(&str, bool)]) -> Result<(), Status> {
    if repository.kind != "git" || oci {
        let kind = if oci { "oci" } else { &repository.kind };
        return Err(failure::say(
            Code::InvalidArgument,
            &message::api::REPOSITORY_KIND.with("kind", kind),
        ));
    }
    match logins.iter().find(|(_, used)| *used) {
        Some((field, _)) => Err(failure::say(
            Code::InvalidArgument,
            &message::api::REPOSITORY_LOGIN.with("field", field),
        )),
        None => Ok(()),
    }
}

#[tonic::async_trait]
impl RepositoryService for Repositories {
    async fn list(
        &self,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<v1alpha1::RepositoryList>, Status> {
        self.listed(request).await
    }

    async fn list_repositories(
        &self,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<v1alpha1::RepositoryList>, Status> {
        self.listed(request).await
    }

    async fn get(
        &self,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<v1alpha1::Repository>, Status> {
        let actor = identity::actor(&request)?;
        let query = request.into_inner();
        let found = self.meant(&actor, &query).await?;
        let state = state::one(&self.shared, &actor.tenant, &found, query.force_refresh).await?;
        Ok(Response::new(convert::repository::to_wire(&found, state)))
    }

    async fn create(
        &self,
        request: Request<wire::RepoCreateRequest>,
    ) -> Result<Response<v1alpha1::Repository>, Status> {
        self.connect(request).await
    }

    async fn create_repository(
        &self,
        request: Request<wire::RepoCreateRequest>,
    ) -> Result<Response<v1alpha1::Repository>, Status> {
        self.connect(request).await
    }

    async fn delete(
        &self,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<wire::RepoResponse>, Status> {
        self.disconnect(request).await
    }

    async fn delete_repository(
        &self,
        request: Request<wire::RepoQuery>,
    ) -> Result<Response<wire::RepoResponse>, Status> {
        self.disconnect(request).await
    }

    async fn validate_access(
        &self,
        request: Request<wire::RepoAccessQuery>,
    ) -> Result<Response<wire::RepoResponse>, Status> {
        let actor = identity::actor(&request)?;
        let query = request.into_inner();
        permit::require(
            &actor,
            Resource::Repositories,
            Action::Create,
            &object(&query.project, &query.repo),
        )?;
        let logins = [
            (
                "githubAppPrivateKey",
                !query.github_app_private_key.is_empty() || query.github_app_id != 0,
            ),
            (
                "gcpServiceAccountKey",
                !query.gcp_service_account_key.is_empty(),
            ),
            (
                "useAzureWorkloadIdentity",
                query.use_azure_workload_identity,
            ),
            (
                "azureServicePrincipalClientId",
                !query.azure_service_principal_client_id.is_empty(),
            ),
        ];
        let wanted = convert::repository::from_query(&query);
        served(&wanted, query.enable_oci, &logins)?;
        sources::test(
            &self.shared,
            &sources::access_to(&actor.tenant, &wanted.url, Some(&wanted)),
        )
        .await?;
        Ok(Response::new(wire::RepoResponse {}))
    }

    not_served! {
        "RepositoryService";
        get_write(wire::RepoQuery) -> v1alpha1::Repository,
        list_write_repositories(wire::RepoQuery) -> v1alpha1::RepositoryList,
        list_refs(wire::RepoQuery) -> wire::Refs,
        list_oci_tags(wire::RepoQuery) -> wire::Refs,
        list_apps(wire::RepoAppsQuery) -> wire::RepoAppsResponse,
        get_app_details(wire::RepoAppDetailsQuery) -> wire::RepoAppDetailsResponse,
        get_helm_charts(wire::RepoQuery) -> wire::HelmChartsResponse,
        create_write_repository(wire::RepoCreateRequest) -> v1alpha1::Repository,
        update(wire::RepoUpdateRequest) -> v1alpha1::Repository,
        update_repository(wire::RepoUpdateRequest) -> v1alpha1::Repository,
        update_write_repository(wire::RepoUpdateRequest) -> v1alpha1::Repository,
        delete_write_repository(wire::RepoQuery) -> wire::RepoResponse,
        validate_write_access(wire::RepoAccessQuery) -> wire::RepoResponse,
    }
}
