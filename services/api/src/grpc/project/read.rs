//! Reading projects.

use domain::project::{Project, window};
use domain::rbac::object;
use domain::settings::Linked;
use proto::argocd::application::LinksResponse;
use proto::argocd::events::EventList;
use proto::argocd::project as wire;
use proto::k8s::meta::v1::ListMeta;
use proto::{convert, json, v1alpha1};
use tonic::Status;

use super::not_found;
use crate::failure;
use crate::grpc::deep_links;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

/// All that one may see, by name.
pub(super) async fn list(
    shared: &Shared,
    actor: &Actor,
    _: wire::ProjectQuery,
) -> Result<v1alpha1::AppProjectList, Status> {
    let scope = shared.store.tenant(actor.tenant.id);
    let version = scope.current_version().await.map_err(failure::store)?;
    let projects = scope.projects().list().await.map_err(failure::store)?;
    let items = projects
        .iter()
        .filter(|project| permit::allows(actor, Resource::Projects, Action::Get, project.name()))
        .map(convert::project::to_wire)
        .collect();
    let metadata = ListMeta {
        resource_version: Some(version.to_string()),
        ..ListMeta::default()
    };
    Ok(v1alpha1::AppProjectList {
        metadata: Some(metadata),
        items,
    })
}

/// The project of that name, for who may see it.
async fn visible(shared: &Shared, actor: &Actor, name: &str) -> Result<Project, Status> {
    permit::require(actor, Resource::Projects, Action::Get, name)?;
    let scope = shared.store.tenant(actor.tenant.id);
    let found = scope.projects().find(name).await.map_err(failure::store)?;
    found.ok_or_else(|| not_found(name))
}

pub(super) async fn get(
    shared: &Shared,
    actor: &Actor,
    query: wire::ProjectQuery,
) -> Result<v1alpha1::AppProject, Status> {
    let project = visible(shared, actor, &query.name).await?;
    Ok(convert::project::to_wire(&project))
}

/// A project with those of its own repositories that one may see.
pub(super) async fn detailed(
    shared: &Shared,
    actor: &Actor,
    query: wire::ProjectQuery,
) -> Result<wire::DetailedProjectsResponse, Status> {
    let name = query.name;
    permit::require(actor, Resource::Projects, Action::Get, &name)?;
    let scope = shared.store.tenant(actor.tenant.id);
    let found = scope.projects().find(&name).await.map_err(failure::store)?;
    let project = found.ok_or_else(|| {
        Status::not_found(format!(
            "error getting app project \"{name}\": appproject.argoproj.io \"{name}\" not found"
        ))
    })?;
    let repositories = scope.repositories().list().await.map_err(failure::store)?;
    Ok(wire::DetailedProjectsResponse {
        global_projects: Vec::new(),
        project: Some(convert::project::to_wire(&project)),
        repositories: repositories
            .iter()
            .filter(|repository| {
                repository.project == name
                    && permit::allows(
                        actor,
                        Resource::Repositories,
                        Action::Get,
                        &object(&repository.project, &repository.url),
                    )
            })
            .map(|one| convert::repository::to_wire(one, Default::default()))
            .collect(),
        clusters: Vec::new(),
    })
}

/// The projects whose rules it inherits: none while the setting `globalProjects` names none.
pub(super) async fn global_projects(
    shared: &Shared,
    actor: &Actor,
    query: wire::ProjectQuery,
) -> Result<wire::GlobalProjectsResponse, Status> {
    visible(shared, actor, &query.name).await?;
    Ok(wire::GlobalProjectsResponse { items: Vec::new() })
}

/// No Kubernetes event is ever about a project here: none is an object of the cluster.
pub(super) async fn events(
    shared: &Shared,
    actor: &Actor,
    query: wire::ProjectQuery,
) -> Result<EventList, Status> {
    visible(shared, actor, &query.name).await?;
    Ok(EventList {
        metadata: Some(ListMeta::default()),
        items: Vec::new(),
    })
}

/// The windows that are open now.
pub(super) async fn open_windows(
    shared: &Shared,
    actor: &Actor,
    query: wire::SyncWindowsQuery,
) -> Result<wire::SyncWindowsResponse, Status> {
    let project = visible(shared, actor, &query.name).await?;
    let now = shared.clock.now();
    let wire = convert::project::to_wire(&project);
    let windows = wire.spec.unwrap_or_default().sync_windows;
    let mut open = Vec::new();
    for one in windows {
        if window::is_open(&json::to_value(&one), now).map_err(Status::unknown)? {
            open.push(one);
        }
    }
    Ok(wire::SyncWindowsResponse { windows: open })
}

/// The links that the tenant's settings add to a project.
pub(super) async fn links(
    shared: &Shared,
    actor: &Actor,
    query: wire::ListProjectLinksRequest,
) -> Result<LinksResponse, Status> {
    if !permit::allows(actor, Resource::Projects, Action::Get, &query.name) {
        let text = format!("unauthorized access to project {}", query.name);
        return Err(Status::unknown(text));
    }
    let project = visible(shared, actor, &query.name).await?;
    let links = deep_links::of(shared, actor, Linked::Project).await?;
    let values = serde_json::json!({"project": deep_links::project(&project)});
    deep_links::shown(shared, actor, project.name(), links, values).await
}
