//! What a folder on somebody's machine would be deployed as, rendered on request: `argocd app diff --local
//! --server-side-generate`.

use bytes::Bytes;
use domain::application::{VARIABLES, project_of};
use domain::manifest::MAX_LOCAL;
use domain::message;
use domain::project::Project;
use proto::argocd::application as wire;
use proto::argocd::application::application_manifest_query_with_files_wrapper::Part;
use proto::argocd::repository::ManifestResponse;
use sha2::{Digest, Sha256};
use tonic::{Code, Status, Streaming};

use super::find::{self, Found, Query};
use super::manifests::{chosen, made, manner, shown};
use super::operate::rules_of;
use crate::failure;
use crate::permit::{Action, Actor};
use crate::shared::Shared;
use crate::sources;

/// The parts of a request, as they arrive.
type Parts = Streaming<wire::ApplicationManifestQueryWithFilesWrapper>;

/// Renders the application's source, the first one where there are several, as if a folder were its repository. Only the
/// manifests are answered, and nothing is kept.
pub(super) async fn get_manifests(
    shared: &Shared,
    actor: &Actor,
    mut parts: Parts,
) -> Result<ManifestResponse, Status> {
    let query = query(&mut parts).await?;
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
    // Of who may not, nothing more is read.
    let Found { app, project } = find::find(shared, actor, Action::Get, asked).await?;
    let received = received(&project, &mut parts, &query.checksum).await;
    if received.is_err() {
        // The command shows why it was refused only when it has sent everything. None of that is held.
        while let Ok(Some(_)) = parts.message().await {}
    }
    let archive = received?;

    let tenant = &*actor.tenant;
    let project = project_of(&app.spec);
    let namespace = domain::resource::text(&app.spec, &["destination", "namespace"]);
    let chosen = chosen(&app.spec, &wire::ApplicationManifestQuery::default())?;
    let references = sources::references(shared, tenant, project, &chosen).await?;
    let first = chosen.into_iter().next();
    let (source, _) = first.ok_or_else(|| {
        let message = message::app::SOURCE_MISSING.message();
        failure::say(Code::FailedPrecondition, &message)
    })?;
    let text = |field: &str| domain::resource::text(&source, &[field]);
    let place = (text("repoURL"), text("chart"));
    let access = sources::access_of_source(shared, tenant, place, project).await?;
    let order = sources::Order {
        source: &source,
        commit: String::new(),
        app: app.name(),
        project,
        namespace,
        variables: tenant.variables(app.annotation(VARIABLES)),
        no_cache: false,
        references,
    };
    let rendered = sources::render_local(shared, actor, &access, order, archive).await?;
    let objects = made(&rendered)?.into_iter();
    let manner = manner(shared, actor).await?;
    Ok(ManifestResponse {
        manifests: objects
            .map(|object| shown(object, &app, actor, &manner))
            .collect(),
        ..ManifestResponse::default()
    })
}

/// The first part: what is asked.
async fn query(parts: &mut Parts) -> Result<wire::ApplicationManifestQueryWithFiles, Status> {
    match parts.message().await?.and_then(|first| first.part) {
        Some(Part::Query(query)) => Ok(query),
        Some(Part::Chunk(_)) | None => Err(no_folder()),
    }
}

/// The archive of the folder, where the project takes what nobody has signed.
async fn received(project: &Project, parts: &mut Parts, checksum: &str) -> Result<Bytes, Status> {
    if !rules_of(project)?.signature_keys.is_empty() {
        let message = message::app::SIGNATURE_LOCAL.with("project", project.name());
        return Err(failure::say(Code::FailedPrecondition, &message));
    }
    // What is not written to takes no memory, and growing would take twice as much.
    let mut archive = Vec::with_capacity(MAX_LOCAL);
    while let Some(part) = parts.message().await? {
        let Some(Part::Chunk(wire::FileChunk { chunk })) = part.part else {
            return Err(no_folder());
        };
        if archive.len() + chunk.len() > MAX_LOCAL {
            let limit = format!("{} MiB", MAX_LOCAL >> 20);
            let message = message::source::LOCAL_TOO_LARGE.with("limit", limit);
            return Err(failure::say(Code::ResourceExhausted, &message));
        }
        archive.extend_from_slice(&chunk);
    }
    let found = hex::encode(Sha256::digest(&archive));
    if found != checksum {
        let message = message::source::LOCAL_CHECKSUM.with("found", found);
        return Err(failure::say(Code::InvalidArgument, &message));
    }
    Ok(archive.into())
}

fn no_folder() -> Status {
    let message = message::source::LOCAL_PARTS.message();
    failure::say(Code::InvalidArgument, &message)
}
