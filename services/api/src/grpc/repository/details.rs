//! What a form about a source shows: its tool, and what can be set for that.

use domain::application::{Application, CONTROL_PLANE_NAMESPACE, VARIABLES, project_of};
use domain::resource::text;
use domain::revision::Target;
use proto::argocd::repository as wire;
use proto::{convert, json, v1alpha1};
use serde_json::Value;
use tonic::Status;

use super::offers;
use crate::failure;
use crate::grpc::application::source_documents;
use crate::grpc::cluster::unescape;
use crate::permit::{self, Action, Actor, Resource};
use crate::shared::Shared;
use crate::sources;

/// What can be set for a source. It makes the platform read the repository, so it is for who may see both it and the
/// application: one that is there, with a source that it has or had, or else one that the actor may create; and only for a
/// repository that the project permits.
pub(super) async fn of(
    shared: &Shared,
    actor: &Actor,
    mut query: wire::RepoAppDetailsQuery,
) -> Result<wire::RepoAppDetailsResponse, Status> {
    // In a REST call it is a part of the path.
    if let Some(source) = &mut query.source {
        source.repo_url = Some(unescape(source.repo_url()));
    }
    let Some(source) = &query.source else {
        return Err(Status::invalid_argument("missing payload in request"));
    };
    let (url, project) = (source.repo_url(), query.app_project.as_str());
    let access = offers::access(shared, actor, url, project).await?;
    // What is asked for is what is shown: a name, with the one namespace before it or without.
    let name = match query.app_name.split_once('/') {
        Some((CONTROL_PLANE_NAMESPACE, name)) => name,
        _ => query.app_name.as_str(),
    };
    if name.contains('/') {
        return Err(permit::denied());
    }
    // As Argo CD asks: the project may be empty, the slash is there.
    let object = format!("{project}/{name}");
    permit::require(actor, Resource::Applications, Action::Get, &object)?;
    let tenant = &*actor.tenant;
    let scope = shared.store.tenant(tenant.id);
    let app = scope.applications().find(name).await;
    let app = app.map_err(failure::store)?;
    match &app {
        None => permit::require(actor, Resource::Applications, Action::Create, &object)?,
        Some(app) if project_of(&app.spec) != project || !knows(app, source, &query) => {
            return Err(permit::denied());
        }
        Some(_) => {}
    }
    offers::permitted(shared, actor, url, project).await?;

    let references = match &app {
        Some(app) => {
            let all: Vec<(Value, String)> = source_documents(&app.spec)
                .into_iter()
                .map(|source| {
                    let revision = text(&source, &["targetRevision"]).to_owned();
                    (source, revision)
                })
                .collect();
            sources::references(shared, tenant, project, &all).await?
        }
        None => Vec::new(),
    };
    let document = json::to_value(source);
    let access = convert::repository::access_of_source(access, source.chart());
    let target = Target {
        revision: source.target_revision(),
        tag_prefix: source.tag_prefix(),
    };
    let namespace = app
        .as_ref()
        .map(|app| text(&app.spec, &["destination", "namespace"]));
    let order = sources::Order {
        source: &document,
        commit: sources::revision_of(shared, &access, target, source.chart()).await?,
        app: name,
        project,
        namespace: namespace.unwrap_or_default(),
        variables: tenant.variables(app.as_ref().and_then(|app| app.annotation(VARIABLES))),
        no_cache: false,
        references,
    };
    let found = sources::details(shared, tenant, &access, order).await?;
    let mut answer = wire::RepoAppDetailsResponse {
        r#type: found.source_type,
        ..wire::RepoAppDetailsResponse::default()
    };
    match answer.r#type.as_str() {
        "Helm" => {
            let parameter = |one: proto::naru::internal::v1::Parameter| v1alpha1::HelmParameter {
                name: Some(one.name),
                value: Some(one.value),
                ..v1alpha1::HelmParameter::default()
            };
            let given = source
                .helm
                .as_ref()
                .map(|helm| helm.file_parameters.clone());
            answer.helm = Some(wire::HelmAppSpec {
                name: String::new(),
                value_files: found.value_files,
                parameters: found.parameters.into_iter().map(parameter).collect(),
                values: found.values,
                file_parameters: given.unwrap_or_default(),
            });
        }
        "Kustomize" => {
            answer.kustomize = Some(wire::KustomizeAppSpec {
                images: found.images,
            });
        }
        _ => {}
    }
    Ok(answer)
}

/// Whether a source is one that the application has, or was deployed from.
fn knows(
    app: &Application,
    source: &v1alpha1::ApplicationSource,
    query: &wire::RepoAppDetailsQuery,
) -> bool {
    let asked = json::to_value(source);
    let same = |stored: &Value| json::to_value(&convert::application::source(stored)) == asked;
    if source_documents(&app.spec).iter().any(same) {
        return true;
    }
    app.status.history.iter().any(|entry| {
        let at = match entry.multiple {
            // Of several sources, the entry and the place are named.
            true if entry.id != i64::from(query.version_id) => return false,
            true => usize::try_from(query.source_index).unwrap_or(usize::MAX),
            false => 0,
        };
        let (Some(stored), Some(revision)) = (entry.sources.get(at), entry.revisions.get(at))
        else {
            return false;
        };
        let mut stored = stored.clone();
        if let Some(fields) = stored.as_object_mut() {
            fields.insert("targetRevision".to_owned(), revision.as_str().into());
        }
        same(&stored)
    })
}
