//! Projects.

use std::sync::Arc;

use proto::argocd::project as wire;
use proto::argocd::project::project_service_server::ProjectService;
use proto::k8s::meta::v1::ListMeta;
use proto::{convert, v1alpha1};
use tonic::{Request, Response, Status};

use crate::failure;
use crate::grpc::not_served;
use crate::identity;
use crate::permit::{self, Action, Resource};
use crate::shared::Shared;

/// The service.
pub(crate) struct Projects {
    shared: Arc<Shared>,
}

impl Projects {
    /// Serves with these means.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }
}

#[tonic::async_trait]
impl ProjectService for Projects {
    async fn list(
        &self,
        request: Request<wire::ProjectQuery>,
    ) -> Result<Response<v1alpha1::AppProjectList>, Status> {
        let actor = identity::actor(&request)?;
        let scope = self.shared.store.tenant(actor.tenant.id);
        let version = scope.current_version().await.map_err(failure::store)?;
        let projects = scope.projects().list().await.map_err(failure::store)?;
        let visible = projects
            .iter()
            .filter(|project| {
                permit::allows(&actor, Resource::Projects, Action::Get, project.name())
            })
            .map(convert::project::to_wire);
        let metadata = ListMeta {
            resource_version: Some(version.to_string()),
            ..ListMeta::default()
        };
        Ok(Response::new(v1alpha1::AppProjectList {
            metadata: Some(metadata),
            items: visible.collect(),
        }))
    }

    async fn get(
        &self,
        request: Request<wire::ProjectQuery>,
    ) -> Result<Response<v1alpha1::AppProject>, Status> {
        let actor = identity::actor(&request)?;
        let name = request.into_inner().name;
        permit::require(&actor, Resource::Projects, Action::Get, &name)?;
        let found = self
            .shared
            .store
            .tenant(actor.tenant.id)
            .projects()
            .find(&name)
            .await
            .map_err(failure::store)?;
        let project = found.ok_or_else(|| {
            Status::not_found(format!("appprojects.argoproj.io \"{name}\" not found"))
        })?;
        Ok(Response::new(convert::project::to_wire(&project)))
    }

    async fn get_detailed_project(
        &self,
        request: Request<wire::ProjectQuery>,
    ) -> Result<Response<wire::DetailedProjectsResponse>, Status> {
        let actor = identity::actor(&request)?;
        let name = request.into_inner().name;
        permit::require(&actor, Resource::Projects, Action::Get, &name)?;
        let scope = self.shared.store.tenant(actor.tenant.id);
        let found = scope.projects().find(&name).await.map_err(failure::store)?;
        let project = found.ok_or_else(|| {
            Status::not_found(format!(
                "error getting app project \"{name}\": appproject.argoproj.io \"{name}\" not found"
            ))
        })?;
        let repositories = scope.repositories().list().await.map_err(failure::store)?;
        let own = repositories
            .iter()
            .filter(|repository| repository.project == name);
        Ok(Response::new(wire::DetailedProjectsResponse {
            global_projects: Vec::new(),
            project: Some(convert::project::to_wire(&project)),
            repositories: own
                .map(|one| convert::repository::to_wire(one, Default::default()))
                .collect(),
            clusters: Vec::new(),
        }))
    }

    not_served! {
        "ProjectService";
        create_token(wire::ProjectTokenCreateRequest) -> wire::ProjectTokenResponse,
        delete_token(wire::ProjectTokenDeleteRequest) -> wire::EmptyResponse,
        create(wire::ProjectCreateRequest) -> v1alpha1::AppProject,
        get_global_projects(wire::ProjectQuery) -> wire::GlobalProjectsResponse,
        update(wire::ProjectUpdateRequest) -> v1alpha1::AppProject,
        delete(wire::ProjectQuery) -> wire::EmptyResponse,
        list_events(wire::ProjectQuery) -> proto::argocd::events::EventList,
        get_sync_windows_state(wire::SyncWindowsQuery) -> wire::SyncWindowsResponse,
        list_links(wire::ListProjectLinksRequest) -> proto::argocd::application::LinksResponse,
    }
}
