//! What a repository offers to whoever makes an application of it: its branches and tags, the folders that tools read, its
//! charts.

use domain::rbac::object;
use domain::repository::normalize_url;
use proto::argocd::repository as wire;
use proto::naru::internal::v1::RepositoryAccess;
use tonic::Status;

use crate::failure;
use crate::grpc::cluster::unescape;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;
use crate::sources;

/// The way into a repository that the actor may see: one of the project that is named, else one of all, else one that is
/// not connected at all.
pub(super) async fn access(
    shared: &Shared,
    actor: &Actor,
    url: &str,
    project: &str,
) -> Result<RepositoryAccess, Status> {
    sources::without_password(url)?;
    let scope = shared.store.tenant(actor.tenant.id);
    let connected = scope.repositories().find_for(url, project).await;
    let connected = connected.map_err(failure::store)?;
    let owner = connected.as_ref().map_or("", |found| &found.project);
    let named = object(owner, url);
    permit::require(actor, Resource::Repositories, Action::Get, &named)?;
    let ways = sources::Ways::of(shared, &actor.tenant).await?;
    let access = ways.access(url, connected.as_ref());
    // One place can be written in many ways, of which a policy names one. Where nothing opens it, anybody may read it.
    let place = match &connected {
        Some(found) => found.url.clone(),
        None if access.credential_scope.is_empty() => return Ok(access),
        None => normalize_url(url),
    };
    let placed = object(owner, &place);
    permit::require(actor, Resource::Repositories, Action::Get, &placed)?;
    Ok(access)
}

/// Its branches and tags, sorted.
pub(super) async fn refs(
    shared: &Shared,
    actor: &Actor,
    query: &wire::RepoQuery,
) -> Result<wire::Refs, Status> {
    let access = access(shared, actor, &unescape(&query.repo), &query.app_project).await?;
    let all = sources::refs(shared, &access).await?;
    let named = |kind: &str| {
        let names = all.keys().filter_map(|name| name.strip_prefix(kind));
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort_unstable();
        names
    };
    Ok(wire::Refs {
        branches: named("refs/heads/"),
        tags: named("refs/tags/"),
    })
}

/// The charts of a chart repository over HTTP with their versions, sorted by name.
pub(super) async fn charts(
    shared: &Shared,
    actor: &Actor,
    query: &wire::RepoQuery,
) -> Result<wire::HelmChartsResponse, Status> {
    let access = access(shared, actor, &unescape(&query.repo), &query.app_project).await?;
    let access = RepositoryAccess {
        kind: "helm".to_owned(),
        ..access
    };
    let charts = sources::charts(shared, &access).await?.into_iter();
    let items = charts.map(|chart| wire::HelmChart {
        name: chart.name,
        versions: chart.versions,
    });
    Ok(wire::HelmChartsResponse {
        items: items.collect(),
    })
}

/// The tags of a registry's repository, as the registry lists them.
pub(super) async fn tags(
    shared: &Shared,
    actor: &Actor,
    query: &wire::RepoQuery,
) -> Result<wire::Refs, Status> {
    let access = access(shared, actor, &unescape(&query.repo), &query.app_project).await?;
    let access = RepositoryAccess {
        kind: "oci".to_owned(),
        ..access
    };
    Ok(wire::Refs {
        branches: Vec::new(),
        tags: sources::versions(shared, &access).await?,
    })
}

/// Whether a project permits a repository.
///
/// # Errors
/// That it does not, or is not there.
pub(super) async fn permitted(
    shared: &Shared,
    actor: &Actor,
    url: &str,
    name: &str,
) -> Result<(), Status> {
    let scope = shared.store.tenant(actor.tenant.id);
    let project = scope.projects().find(name).await;
    let project = project.map_err(failure::store)?;
    let project = project.ok_or_else(|| crate::grpc::project::not_found(name))?;
    if project.rules().is_ok_and(|rules| rules.permits_source(url)) {
        return Ok(());
    }
    Err(Status::permission_denied(format!(
        "repository '{url}' not permitted in project '{name}'"
    )))
}

/// The folders of a revision whose files name a tool. It makes the platform fetch and look through the repository, so it is
/// for who may make or change the application, of a repository that the project permits.
pub(super) async fn apps(
    shared: &Shared,
    actor: &Actor,
    query: &wire::RepoAppsQuery,
) -> Result<wire::RepoAppsResponse, Status> {
    let url = unescape(&query.repo);
    let access = access(shared, actor, &url, &query.app_project).await?;
    // As Argo CD asks: the project may be empty, the slash is there.
    let app = format!("{}/{}", query.app_project, query.app_name);
    if ![Action::Create, Action::Update]
        .into_iter()
        .any(|action| permit::allows(actor, Resource::Applications, action, &app))
    {
        return Err(permit::denied());
    }
    permitted(shared, actor, &url, &query.app_project).await?;
    let commit = sources::resolve(shared, &access, &query.revision).await?;
    let found = sources::discover(shared, &access, &commit).await?;
    let mut items: Vec<_> = found
        .into_iter()
        .map(|(path, tool)| wire::AppInfo { r#type: tool, path })
        .collect();
    items.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(wire::RepoAppsResponse { items })
}
