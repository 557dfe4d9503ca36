//! What is known of a revision: a commit, the version of a chart, the digest of an artifact.

use domain::application::{Application, project_of};
use domain::message;
use domain::project::Project;
use domain::repository::is_artifact;
use domain::resource::text;
use proto::argocd::application as wire;
use proto::k8s::meta::v1::Time;
use proto::naru::internal::v1 as internal;
use proto::v1alpha1;
use serde_json::Value;
use tonic::{Code, Status};

use super::find::{self, Query};
use super::validate::source_documents;
use crate::failure;
use crate::permit::{Action, Actor};
use crate::shared::Shared;
use crate::sources;

/// The source that a question is about: one that the application has, or had at an entry of its history.
struct Asked {
    app: Application,
    project: Project,
    source: Value,
}

impl Asked {
    async fn of(
        shared: &Shared,
        actor: &Actor,
        query: &wire::RevisionMetadataQuery,
    ) -> Result<Self, Status> {
        let asked = Query {
            name: &query.name,
            namespace: query.app_namespace.as_deref(),
            project: query.project.as_deref(),
        };
        let find::Found { app, project } = find::find(shared, actor, Action::Get, asked).await?;
        let doing = "error getting app source by source index and version ID";
        let sources = match query.version_id {
            None => source_documents(&app.spec),
            Some(version) => {
                let scope = shared.store.tenant(actor.tenant.id);
                let entry = scope
                    .history()
                    .find(app.uid(), i64::from(version))
                    .await
                    .map_err(failure::store)?;
                let missing = || {
                    format!(
                        "{doing}: error getting source by version ID: revision history not found for version ID {version}"
                    )
                };
                entry.ok_or_else(|| Status::unknown(missing()))?.sources
            }
        };
        let index = query.source_index.unwrap_or(0);
        let source = usize::try_from(index)
            .ok()
            .and_then(|index| sources.get(index))
            .ok_or_else(|| {
                let count = match sources.len() {
                    1 => "is only 1 source".to_owned(),
                    count => format!("are only {count} sources"),
                };
                Status::unknown(format!(
                    "{doing}: source index {index} not found because there {count}"
                ))
            })?;
        let source = source.clone();
        Ok(Self {
            app,
            project,
            source,
        })
    }

    /// Where it is, and of which chart.
    fn place(&self) -> (&str, &str) {
        (
            text(&self.source, &["repoURL"]),
            text(&self.source, &["chart"]),
        )
    }
}

/// Author, date, message and tags of a commit of one of the application's sources.
pub(super) async fn metadata(
    shared: &Shared,
    actor: &Actor,
    query: wire::RevisionMetadataQuery,
) -> Result<v1alpha1::RevisionMetadata, Status> {
    let asked = Asked::of(shared, actor, &query).await?;
    let (url, chart) = asked.place();
    if !chart.is_empty() || is_artifact(url) {
        // As Argo CD answers for what is no commit.
        let revision = &query.revision;
        return Err(Status::unknown(format!(
            "revision {revision} must be resolved"
        )));
    }
    let access = sources::access(shared, &actor.tenant, url, project_of(&asked.app.spec)).await?;
    let wanted = sources::target_of(&asked.source, &query.revision);
    let commit = sources::revision_of(shared, &access, wanted, "").await?;
    let known = sources::metadata(shared, &access, &commit).await?;
    let named = asked
        .project
        .rules()
        .map_or(Vec::new(), |rules| rules.signature_keys);
    let signature_info = match named.is_empty() {
        true => None,
        false => {
            let revision = match sources::is_commit(&query.revision) {
                true => text(&asked.source, &["targetRevision"]),
                false => &query.revision,
            };
            let of = (commit.as_str(), sources::target_of(&asked.source, revision));
            let tenant = actor.tenant.id;
            let found = sources::signature(shared, tenant, &access, of, &named).await?;
            Some(found.info())
        }
    };
    Ok(v1alpha1::RevisionMetadata {
        author: Some(known.author),
        date: Some(Time {
            seconds: Some(known.unix_seconds),
            nanos: Some(0),
        }),
        tags: known.tags,
        message: Some(known.message),
        signature_info,
        ..v1alpha1::RevisionMetadata::default()
    })
}

/// What the version of a chart says of itself.
pub(super) async fn chart_details(
    shared: &Shared,
    actor: &Actor,
    query: wire::RevisionMetadataQuery,
) -> Result<v1alpha1::ChartDetails, Status> {
    let asked = Asked::of(shared, actor, &query).await?;
    let (url, chart) = asked.place();
    if chart.is_empty() {
        // Argo CD's words, which clients may know.
        let name = &query.name;
        return Err(Status::unknown(format!(
            "no chart found for application: {name}"
        )));
    }
    let project = project_of(&asked.app.spec);
    let access = sources::access_of_source(shared, &actor.tenant, (url, chart), project).await?;
    let found = sources::chart_details(shared, &access, chart, &query.revision).await?;
    let internal::ChartDetailsResponse {
        description,
        maintainers,
        home,
    } = found;
    Ok(v1alpha1::ChartDetails {
        description: given(description),
        home: given(home),
        maintainers,
    })
}

/// What whoever published an artifact noted with it.
pub(super) async fn artifact_notes(
    shared: &Shared,
    actor: &Actor,
    query: wire::RevisionMetadataQuery,
) -> Result<v1alpha1::OciMetadata, Status> {
    let asked = Asked::of(shared, actor, &query).await?;
    let (url, chart) = asked.place();
    if !chart.is_empty() || !is_artifact(url) {
        let message = message::chart::NO_ARTIFACT.with("app", &query.name);
        return Err(failure::say(Code::Unknown, &message));
    }
    let project = project_of(&asked.app.spec);
    let access = sources::access(shared, &actor.tenant, url, project).await?;
    let found = sources::artifact_notes(shared, &access, &query.revision).await?;
    let internal::ArtifactNotesResponse {
        created,
        authors,
        documentation,
        source,
        version,
        description,
    } = found;
    Ok(v1alpha1::OciMetadata {
        created_at: given(created),
        authors: given(authors),
        // Argo CD 3.2.11 leaves it out too.
        image_url: None,
        docs_url: given(documentation),
        source_url: given(source),
        version: given(version),
        description: given(description),
    })
}

fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
