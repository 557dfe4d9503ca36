//! What Git says, rendered on request.

use domain::application::{Application, VARIABLES, project_of};
use domain::manifest::HeldSet;
use domain::resource::ResourceKey;
use domain::tracking::{Marking, Whose};
use proto::argocd::application as wire;
use proto::argocd::repository::ManifestResponse;
use proto::naru::internal::v1::RenderResponse;
use serde_json::Value;
use tonic::Status;

use super::find::{self, Query};
use super::mask::mask;
use super::validate::source_documents;
use crate::failure;
use crate::permit::{Action, Actor};
use crate::shared::Shared;
use crate::sources;

/// Renders the application's sources, at the revisions that are asked for. Only the manifests are answered.
pub(super) async fn get_manifests(
    shared: &Shared,
    actor: &Actor,
    query: wire::ApplicationManifestQuery,
) -> Result<ManifestResponse, Status> {
    if query.name.is_empty() {
        return Err(Status::unknown(
            "invalid request: application name is missing",
        ));
    }
    let asked = Query {
        name: &query.name,
        namespace: query.app_namespace.as_deref(),
        project: query.project.as_deref(),
    };
    let app = find::find(shared, actor, Action::Get, asked).await?.app;
    let tenant = &*actor.tenant;
    let project = project_of(&app.spec);
    let namespace = domain::resource::text(&app.spec, &["destination", "namespace"]);
    let manner = manner(shared, actor).await?;
    let mut manifests = Vec::new();
    let chosen = chosen(&app.spec, &query)?;
    let references = sources::references(shared, tenant, project, &chosen).await?;
    for (source, revision) in chosen {
        if !sources::yields(&source) {
            continue;
        }
        let text = |field: &str| domain::resource::text(&source, &[field]);
        let (url, chart) = (text("repoURL"), text("chart"));
        let access = sources::access_of_source(shared, tenant, (url, chart), project).await?;
        let target = sources::target_of(&source, &revision);
        let order = sources::Order {
            source: &source,
            commit: sources::revision_of(shared, &access, target, chart).await?,
            app: app.name(),
            project,
            namespace,
            variables: tenant.variables(app.annotation(VARIABLES)),
            no_cache: query.no_cache(),
            references: references.clone(),
        };
        let rendered = sources::render(shared, tenant, &access, order).await?;
        let objects = objects(shared, actor, &app, rendered).await?;
        let objects = objects.into_iter();
        manifests.extend(objects.map(|object| shown(object, &app, actor, &manner)));
    }
    Ok(ManifestResponse {
        manifests,
        ..ManifestResponse::default()
    })
}

/// The objects of a render; of one that comes out otherwise each time those that are deployed, where some are.
async fn objects(
    shared: &Shared,
    actor: &Actor,
    app: &Application,
    rendered: RenderResponse,
) -> Result<Vec<Value>, Status> {
    if !rendered.undetermined.is_empty() {
        let uid = domain::resource::text(&app.metadata, &["uid"]);
        let name = HeldSet::name(uid, &rendered.undetermined);
        let scope = shared.store.tenant(actor.tenant.id);
        if let Some(bytes) = scope.manifest_set(&name).await.map_err(failure::store)? {
            let held: HeldSet =
                serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))?;
            let manifests = held.manifests.into_iter();
            return Ok(manifests.map(|manifest| manifest.object).collect());
        }
    }
    made(&rendered)
}

/// The objects of a render.
pub(super) fn made(rendered: &RenderResponse) -> Result<Vec<Value>, Status> {
    let manifests = rendered.manifests.iter();
    manifests
        .map(|manifest| {
            serde_json::from_slice(&manifest.object).map_err(|error| unreadable(&error))
        })
        .collect()
}

fn unreadable(error: &serde_json::Error) -> Status {
    tracing::error!(%error, "a rendered manifest is not JSON");
    failure::internal()
}

/// The annotations of Secrets whose values the tenant's settings hide.
pub(super) async fn hidden(shared: &Shared, actor: &Actor) -> Result<Vec<String>, Status> {
    let config = shared.configs.of(actor.tenant.id).await;
    Ok(config.map_err(failure::store)?.masked_annotations())
}

/// What the tenant's settings say of how its objects are shown.
pub(super) struct Manner {
    /// The annotations of Secrets whose values nobody is shown.
    hidden: Vec<String>,
    /// How objects are marked.
    marking: Marking,
}

/// How the tenant's objects are shown.
pub(super) async fn manner(shared: &Shared, actor: &Actor) -> Result<Manner, Status> {
    let config = shared.configs.of(actor.tenant.id).await;
    let config = config.map_err(failure::store)?;
    Ok(Manner {
        hidden: config.masked_annotations(),
        marking: config.marking(),
    })
}

/// An object as whoever may see the application sees it: marked as applying it would, and without the values of a Secret.
pub(super) fn shown(
    mut object: Value,
    app: &Application,
    actor: &Actor,
    manner: &Manner,
) -> String {
    let whose = Whose {
        tenant: actor.tenant.name.as_str(),
        app: app.name(),
        namespace: domain::resource::text(&app.spec, &["destination", "namespace"]),
    };
    let key = ResourceKey::of(&object);
    manner.marking.mark(&mut object, &key, whose);
    mask(&mut object, &manner.hidden);
    object.to_string()
}

/// The sources with the revisions at which to render them.
pub(super) fn chosen(
    spec: &Value,
    query: &wire::ApplicationManifestQuery,
) -> Result<Vec<(Value, String)>, Status> {
    let several = spec
        .get("sources")
        .and_then(Value::as_array)
        .is_some_and(|sources| !sources.is_empty());
    let revision = |source: &Value| domain::resource::text(source, &["targetRevision"]).to_owned();
    let mut chosen: Vec<(Value, String)> = source_documents(spec)
        .into_iter()
        .map(|source| (source.clone(), revision(&source)))
        .collect();
    if several {
        for (at, position) in query.source_positions.iter().enumerate() {
            let index = usize::try_from(*position - 1)
                .ok()
                .filter(|index| *index < chosen.len());
            let (Some(index), Some(wanted)) = (index, query.revisions.get(at)) else {
                return Err(Status::unknown("source position is out of range"));
            };
            chosen[index].1.clone_from(wanted);
        }
    } else if let (Some(first), false) = (chosen.first_mut(), query.revision().is_empty()) {
        first.1 = query.revision().to_owned();
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn revisions_go_to_the_sources_they_are_for() {
        let one = json!({"source": {"repoURL": "r", "path": "p", "targetRevision": "main"}});
        let ask = |revision: &str| wire::ApplicationManifestQuery {
            revision: Some(revision.into()),
            ..Default::default()
        };
        assert_eq!(chosen(&one, &ask("")).unwrap()[0].1, "main");
        assert_eq!(chosen(&one, &ask("v2")).unwrap()[0].1, "v2");
        let two =
            json!({"sources": [{"repoURL": "a", "path": "p"}, {"repoURL": "b", "ref": "values"}]});
        let query = wire::ApplicationManifestQuery {
            source_positions: vec![1],
            revisions: vec!["x".into()],
            ..Default::default()
        };
        let rendered = chosen(&two, &query).unwrap();
        assert_eq!(
            rendered
                .iter()
                .map(|(_, revision)| revision.as_str())
                .collect::<Vec<_>>(),
            ["x", ""]
        );
        let beyond = wire::ApplicationManifestQuery {
            source_positions: vec![3],
            ..query
        };
        assert_eq!(
            chosen(&two, &beyond).unwrap_err().message(),
            "source position is out of range"
        );
    }
}
