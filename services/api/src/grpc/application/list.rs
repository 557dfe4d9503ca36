//! All applications that one may see.

use domain::application::{Application, project_of};
use domain::resource::text;
use proto::argocd::application as wire;
use proto::k8s::meta::v1::ListMeta;
use proto::{convert, v1alpha1};
use tonic::Status;

use super::find::object;
use crate::failure;
use crate::language;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;

mod selector;

pub(super) use selector::Selector;

/// Lists them by name. What one may not see is left out without a word.
pub(super) async fn list(
    shared: &Shared,
    actor: &Actor,
    query: wire::ApplicationQuery,
) -> Result<v1alpha1::ApplicationList, Status> {
    let selector = Selector::parse(query.selector())
        .map_err(|problem| Status::unknown(format!("error parsing the selector: {problem}")))?;
    let scope = shared.store.tenant(actor.tenant.id);
    // The version first: a watch that begins there sees again what came in between, and misses nothing.
    let version = scope.current_version().await.map_err(failure::store)?;
    let apps = scope.applications().list().await.map_err(failure::store)?;
    let language = language::current();
    let namespace = query.app_namespace();
    let projects = projects(&query);
    let chosen = |app: &&Application| {
        (namespace.is_empty() || namespace == domain::application::CONTROL_PLANE_NAMESPACE)
            && query
                .name
                .as_deref()
                .is_none_or(|name| name.is_empty() || name == app.name())
            && (projects.is_empty()
                || projects
                    .iter()
                    .any(|project| project == project_of(&app.spec)))
            && (query.repo().is_empty() || query.repo() == first_repository(app))
            && selector.matches(&app.metadata)
            && permit::allows(actor, Resource::Applications, Action::Get, &object(app))
    };
    let items = apps
        .iter()
        .filter(chosen)
        .map(|app| convert::application::to_wire(app, language))
        .collect();
    let metadata = ListMeta {
        resource_version: Some(version.to_string()),
        ..ListMeta::default()
    };
    Ok(v1alpha1::ApplicationList {
        metadata: Some(metadata),
        items,
    })
}

/// The projects that a query names, in either of the two fields that clients use.
pub(super) fn projects(query: &wire::ApplicationQuery) -> &[String] {
    if query.project.is_empty() {
        &query.projects
    } else {
        &query.project
    }
}

fn first_repository(app: &Application) -> &str {
    match app.spec.get("sources").and_then(|sources| sources.get(0)) {
        Some(source) => text(source, &["repoURL"]),
        None => text(&app.spec, &["source", "repoURL"]),
    }
}
