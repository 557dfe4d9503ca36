//! Asking repo-servers about repositories: with the tenant's credentials, and in words that its people understand.

mod local;

use std::collections::BTreeMap;

use domain::application::project_or_default;
use domain::cause::Cause;
use domain::certificate::Trust;
use domain::message::{self, Language};
use domain::project::SignatureKey;
use domain::repository::{self, Known, Repository, Template, without_passwords};
use domain::revision::Target;
use domain::signature::{Signature, Verdict};
use domain::tenant::{Tenant, TenantId};
use proto::convert::repository::{access_to_wire, dependencies_to_wire};
use proto::naru::internal::v1::{
    AppDetailsRequest, AppDetailsResponse, ArtifactNotesRequest, ArtifactNotesResponse, Chart,
    ChartDetailsRequest, ChartDetailsResponse, DiscoverRequest, ListChartsRequest, ListRefsRequest,
    ListVersionsRequest, RenderRequest, RenderResponse, RepositoryAccess, ResolveRequest,
    RevisionMetadataRequest, RevisionMetadataResponse, SignatureRequest, SourceReference,
    TestAccessRequest,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tonic::{Code, Status};

pub(crate) use self::local::render_local;
use crate::failure;
use crate::language;
use crate::shared::Shared;

/// Why a repository could not be read or rendered. It is told in the language of whoever reads it, whenever that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    /// The typed reasons; empty when the trouble is ours.
    causes: Vec<Cause>,
    /// What was said where there are no causes.
    said: String,
    /// Whether nobody could be asked at all.
    away: bool,
}

impl Trouble {
    fn of(status: &Status) -> Self {
        let details = status.details();
        let causes = serde_json::from_slice::<Vec<Cause>>(details)
            .or_else(|_| serde_json::from_slice::<Cause>(details).map(|cause| vec![cause]))
            .unwrap_or_default();
        Self {
            causes,
            said: status.message().to_owned(),
            away: status.code() == Code::Unavailable,
        }
    }

    /// Whether nobody could be asked, so that nothing is known about the repository itself.
    pub(crate) fn is_ours(&self) -> bool {
        self.away && self.causes.is_empty()
    }

    /// What to tell a reader of that language.
    pub(crate) fn text(&self, language: Language) -> String {
        if self.causes.is_empty() {
            return self.said.clone();
        }
        let lines: Vec<String> = self
            .causes
            .iter()
            .map(|cause| cause.render(language))
            .collect();
        lines.join("; ")
    }

    /// As Go prints a status inside another error.
    pub(crate) fn wrapped(&self) -> String {
        let status = Status::from(self.clone());
        format!(
            "rpc error: code = {} desc = {}",
            crate::metrics::code_name(status.code()),
            status.message()
        )
    }
}

impl From<Trouble> for Status {
    /// Whatever a Git server said about a login is not about the caller's: only "try again" has a code of its own.
    fn from(trouble: Trouble) -> Self {
        let code = if trouble.is_ours() {
            Code::Unavailable
        } else {
            Code::Unknown
        };
        Self::new(code, trouble.text(language::current()))
    }
}

/// Whether an address may be kept: it is shown in answers, metrics, logs and the record.
///
/// # Errors
/// When it has a password, which the refusal does not repeat.
pub(crate) fn without_password(url: &str) -> Result<(), Status> {
    let shown = without_passwords(url);
    if shown == url {
        return Ok(());
    }
    let message = message::api::ADDRESS_WITH_PASSWORD.with("url", shown);
    Err(failure::say(Code::InvalidArgument, &message))
}

/// How to get into the repository that an application of a project uses at this address: as it is connected, else with
/// a template's login, else as anybody.
///
/// # Errors
/// When the store cannot be asked.
pub(crate) async fn access(
    shared: &Shared,
    tenant: &Tenant,
    url: &str,
    project: &str,
) -> Result<RepositoryAccess, Status> {
    let scope = shared.store.tenant(tenant.id);
    let found = scope.ways_into(url, project).await;
    let store::Ways {
        connected,
        templates,
        trust,
    } = found.map_err(failure::store)?;
    let ways = Ways {
        tenant: tenant.id,
        templates,
        trust,
    };
    Ok(ways.access(url, connected.as_ref()))
}

/// The same for an application's source, which may name a chart.
///
/// # Errors
/// When the store cannot be asked.
pub(crate) async fn access_of_source(
    shared: &Shared,
    tenant: &Tenant,
    (url, chart): (&str, &str),
    project: &str,
) -> Result<RepositoryAccess, Status> {
    let access = access(shared, tenant, url, project).await?;
    Ok(proto::convert::repository::access_of_source(access, chart))
}

/// What of a tenant opens repositories besides their own logins.
pub(crate) struct Ways {
    tenant: TenantId,
    templates: Vec<Template>,
    trust: Trust,
}

impl Ways {
    /// A tenant's, to read.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub(crate) async fn of(shared: &Shared, tenant: &Tenant) -> Result<Self, Status> {
        Self::with(shared, tenant, false).await
    }

    /// A tenant's, to push.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub(crate) async fn to_push(shared: &Shared, tenant: &Tenant) -> Result<Self, Status> {
        Self::with(shared, tenant, true).await
    }

    async fn with(shared: &Shared, tenant: &Tenant, write: bool) -> Result<Self, Status> {
        let scope = shared.store.tenant(tenant.id);
        let templates = scope.templates(write).list().await;
        let trust = scope.trust().certificates().await;
        Ok(Self {
            tenant: tenant.id,
            templates: templates.map_err(failure::store)?,
            trust: trust.map_err(failure::store)?,
        })
    }

    /// The way into a repository as it is connected, or would be.
    pub(crate) fn access(&self, url: &str, connected: Option<&Repository>) -> RepositoryAccess {
        let access = domain::repository::access(url, connected, &self.templates, &self.trust);
        access_to_wire(self.tenant, url, access)
    }

    /// Whether a connected repository is opened by a template.
    pub(crate) fn inherited(&self, connected: &Repository) -> bool {
        let url = &connected.url;
        domain::repository::access(url, Some(connected), &self.templates, &self.trust).inherited
    }

    /// What of the way into it is kept for later, so that it cannot be tried; as clients name it.
    pub(crate) fn kept_only(&self, connected: &Repository) -> Option<String> {
        let url = &connected.url;
        let access = domain::repository::access(url, Some(connected), &self.templates, &self.trust);
        domain::repository::kept_only(&connected.kind, &access.credentials)
    }
}

/// Whether the repository can be read.
///
/// # Errors
/// Why it cannot.
pub(crate) async fn test(shared: &Shared, access: &RepositoryAccess) -> Result<(), Trouble> {
    let request = TestAccessRequest {
        repository: Some(access.clone()),
    };
    let asked = shared.repo_servers.ask(access, |mut client| {
        let request = request.clone();
        async move { client.test_access(request).await }
    });
    asked.await.map(drop).map_err(|status| Trouble::of(&status))
}

/// The tip of every branch and tag, by its full name.
///
/// # Errors
/// Why the repository cannot be read.
pub(crate) async fn refs(
    shared: &Shared,
    access: &RepositoryAccess,
) -> Result<BTreeMap<String, String>, Trouble> {
    let request = ListRefsRequest {
        repository: Some(access.clone()),
        fresh: true,
    };
    let asked = shared.repo_servers.ask(access, |mut client| {
        let request = request.clone();
        async move { client.list_refs(request).await }
    });
    asked
        .await
        .map(|answer| answer.refs)
        .map_err(|status| Trouble::of(&status))
}

/// The charts of a chart repository over HTTP.
///
/// # Errors
/// Why it cannot be read.
pub(crate) async fn charts(
    shared: &Shared,
    access: &RepositoryAccess,
) -> Result<Vec<Chart>, Trouble> {
    let request = ListChartsRequest {
        repository: Some(access.clone()),
    };
    let asked = shared.repo_servers.ask(access, |mut client| {
        let request = request.clone();
        async move { client.list_charts(request).await }
    });
    asked
        .await
        .map(|answer| answer.charts)
        .map_err(|status| Trouble::of(&status))
}

/// The tags of a registry's repository.
///
/// # Errors
/// Why they cannot be read.
pub(crate) async fn versions(
    shared: &Shared,
    access: &RepositoryAccess,
) -> Result<Vec<String>, Trouble> {
    let request = ListVersionsRequest {
        repository: Some(access.clone()),
        chart: String::new(),
        fresh: true,
    };
    let asked = shared.repo_servers.ask(access, |mut client| {
        let request = request.clone();
        async move { client.list_versions(request).await }
    });
    asked
        .await
        .map(|answer| answer.versions)
        .map_err(|status| Trouble::of(&status))
}

/// The tool of every folder of a commit whose files name one.
///
/// # Errors
/// Why the repository cannot be read.
pub(crate) async fn discover(
    shared: &Shared,
    access: &RepositoryAccess,
    commit: &str,
) -> Result<BTreeMap<String, String>, Trouble> {
    let request = DiscoverRequest {
        repository: Some(access.clone()),
        commit: commit.to_owned(),
    };
    let asked = shared.repo_servers.ask(access, |mut client| {
        let request = request.clone();
        async move { client.discover(request).await }
    });
    asked
        .await
        .map(|answer| answer.tools)
        .map_err(|status| Trouble::of(&status))
}

/// The commit that a revision names now, or the digest of an artifact. A whole commit and a digest are taken as they are.
///
/// # Errors
/// Why it names none.
pub(crate) async fn resolve(
    shared: &Shared,
    access: &RepositoryAccess,
    revision: &str,
) -> Result<String, Trouble> {
    revision_of(shared, access, revision.into(), "").await
}

/// What a revision of a source asks for.
pub(crate) fn target_of<'a>(source: &'a Value, revision: &'a str) -> Target<'a> {
    Target {
        revision,
        tag_prefix: domain::resource::text(source, &["tagPrefix"]),
    }
}

/// The commit, or the version of a chart where one is named, that a revision is now. A whole commit and a version are
/// taken as they are.
///
/// # Errors
/// Why it is none.
pub(crate) async fn revision_of(
    shared: &Shared,
    access: &RepositoryAccess,
    target: Target<'_>,
    chart: &str,
) -> Result<String, Trouble> {
    let revision = target.revision;
    let artifact = repository::is_artifact(&access.url);
    let fixed = match artifact {
        true => repository::is_digest(revision),
        false => is_commit(revision),
    };
    if chart.is_empty() && fixed {
        return Ok(revision.to_owned());
    }
    let request = ResolveRequest {
        repository: Some(access.clone()),
        revision: revision.to_owned(),
        fresh: true,
        tag_prefix: target.tag_prefix.to_owned(),
        chart: chart.to_owned(),
    };
    let asked = shared.repo_servers.ask(access, |mut client| {
        let request = request.clone();
        async move { client.resolve(request).await }
    });
    asked
        .await
        .map(|answer| answer.commit)
        .map_err(|status| Trouble::of(&status))
}

/// What [`commit_of`] looks up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sought {
    tenant: TenantId,
    project: String,
    url: String,
    chart: String,
    revision: String,
    tag_prefix: String,
    /// What is said where it cannot be told is said to whoever reads that language.
    language: Language,
}

/// What that is, or why it cannot be told; the outer error is that nobody could be asked how to get in.
pub(crate) type Looked = Result<Result<String, Trouble>, Status>;

/// The commit, or the version of a chart, that a revision of an application's source is now.
///
/// Whoever deploys many applications has all of them ask this at the same time, mostly of one repository. They share a look,
/// which begins after each of them has asked: nobody is told of what was there before.
pub(crate) async fn commit_of(
    shared: &Shared,
    tenant: &Tenant,
    (url, chart): (&str, &str),
    project: &str,
    target: Target<'_>,
) -> Looked {
    let sought = Sought {
        tenant: tenant.id,
        project: project.to_owned(),
        url: url.to_owned(),
        chart: chart.to_owned(),
        revision: target.revision.to_owned(),
        tag_prefix: target.tag_prefix.to_owned(),
        language: language::current(),
    };
    let look = || async {
        let access = access_of_source(shared, tenant, (url, chart), project).await?;
        Ok::<_, Status>(revision_of(shared, &access, target, chart).await)
    };
    shared.lookups.ask(sought, look).await
}

/// Author, date and message of a commit.
///
/// # Errors
/// Why they cannot be read.
pub(crate) async fn metadata(
    shared: &Shared,
    access: &RepositoryAccess,
    commit: &str,
) -> Result<RevisionMetadataResponse, Trouble> {
    let request = RevisionMetadataRequest {
        repository: Some(access.clone()),
        commit: commit.to_owned(),
    };
    let asked = shared.repo_servers.ask(access, |mut client| {
        let request = request.clone();
        async move { client.revision_metadata(request).await }
    });
    asked.await.map_err(|status| Trouble::of(&status))
}

/// What the version of a chart says of itself.
///
/// # Errors
/// Why it cannot be read.
pub(crate) async fn chart_details(
    shared: &Shared,
    access: &RepositoryAccess,
    chart: &str,
    revision: &str,
) -> Result<ChartDetailsResponse, Trouble> {
    let request = ChartDetailsRequest {
        repository: Some(access.clone()),
        chart: chart.to_owned(),
        revision: revision.to_owned(),
    };
    let asked = shared.repo_servers.ask(access, |mut client| {
        let request = request.clone();
        async move { client.chart_details(request).await }
    });
    asked.await.map_err(|status| Trouble::of(&status))
}

/// What whoever published an artifact noted with it.
///
/// # Errors
/// Why it cannot be read.
pub(crate) async fn artifact_notes(
    shared: &Shared,
    access: &RepositoryAccess,
    revision: &str,
) -> Result<ArtifactNotesResponse, Trouble> {
    let request = ArtifactNotesRequest {
        repository: Some(access.clone()),
        revision: revision.to_owned(),
    };
    let asked = shared.repo_servers.ask(access, |mut client| {
        let request = request.clone();
        async move { client.artifact_notes(request).await }
    });
    asked.await.map_err(|status| Trouble::of(&status))
}

/// Who signed a commit that this named, as far as the tenant's keys tell; those in `named` are looked at first.
///
/// # Errors
/// Why it cannot be told.
pub(crate) async fn signature(
    shared: &Shared,
    tenant: TenantId,
    access: &RepositoryAccess,
    (commit, named_by): (&str, Target<'_>),
    named: &[SignatureKey],
) -> Result<Signature, Trouble> {
    let keys = shared.store.tenant(tenant).trust().signing_keys().await;
    let keys = keys.map_err(|error| Trouble::of(&failure::store(error)))?;
    let request = SignatureRequest {
        repository: Some(access.clone()),
        commit: commit.to_owned(),
        revision: named_by.revision.to_owned(),
        tag_prefix: named_by.tag_prefix.to_owned(),
        keys: domain::signature::keys(keys, named),
        now: shared.clock.now().timestamp(),
    };
    let asked = shared.repo_servers.ask(access, |mut client| {
        let request = request.clone();
        async move { client.signature(request).await }
    });
    let answer = asked.await.map_err(|status| Trouble::of(&status))?;
    Ok(Signature {
        verdict: Verdict::parse(&answer.verdict),
        key: answer.key,
        primary: answer.primary,
        cipher: answer.cipher,
    })
}

/// What to render.
pub(crate) struct Order<'a> {
    /// The source, canonical JSON.
    pub(crate) source: &'a Value,
    /// A full commit, the version of a chart, or the digest of an artifact.
    pub(crate) commit: String,
    /// The application.
    pub(crate) app: &'a str,
    /// Its project.
    pub(crate) project: &'a str,
    /// Its destination's namespace.
    pub(crate) namespace: &'a str,
    /// What may be replaced in files.
    pub(crate) variables: BTreeMap<String, String>,
    /// Render, whatever is cached.
    pub(crate) no_cache: bool,
    /// The application's sources that options may refer to.
    pub(crate) references: Vec<SourceReference>,
}

/// Whether a source makes manifests; one that others only refer to does not.
pub(crate) fn yields(source: &Value) -> bool {
    let text = |key: &str| domain::resource::text(source, &[key]);
    text("ref").is_empty()
        || !text("path").is_empty()
        || !text("chart").is_empty()
        || repository::is_artifact(text("repoURL"))
}

/// The sources of an application that its options may refer to, each at a revision.
///
/// # Errors
/// When the store cannot be asked, or a revision names no commit.
pub(crate) async fn references(
    shared: &Shared,
    tenant: &Tenant,
    project: &str,
    sources: &[(Value, String)],
) -> Result<Vec<SourceReference>, Status> {
    let mut found = Vec::new();
    for (source, revision) in sources {
        let text = |key: &str| domain::resource::text(source, &[key]);
        if text("ref").is_empty() {
            continue;
        }
        let access = access(shared, tenant, text("repoURL"), project).await?;
        // A chart's version is no commit, and nothing is taken from a chart.
        let commit = match text("chart").is_empty() {
            true => revision_of(shared, &access, target_of(source, revision), "").await?,
            false => String::new(),
        };
        found.push(SourceReference {
            name: text("ref").to_owned(),
            repository: Some(access),
            commit,
            chart: text("chart").to_owned(),
        });
    }
    Ok(found)
}

/// The manifests of one source at one commit, for the cluster as it is.
///
/// # Errors
/// Why there are none.
pub(crate) async fn render(
    shared: &Shared,
    tenant: &Tenant,
    access: &RepositoryAccess,
    order: Order<'_>,
) -> Result<RenderResponse, Trouble> {
    let project = order.project.to_owned();
    let mut request = request(shared, tenant, access, order).await?;
    for _ in 0..MAX_ROUNDS {
        let asked = shared.repo_servers.ask(access, |mut client| {
            let request = request.clone();
            async move { client.render(request).await }
        });
        let answer = asked.await.map_err(|status| Trouble::of(&status))?;
        if answer.wanted.is_empty() && answer.needs.is_empty() {
            return Ok(answer);
        }
        let ways = ways_into(shared, tenant, &project, &answer.wanted).await?;
        request.remotes.extend(ways);
        let ways = dependencies(shared, tenant, &project, answer.needs).await;
        let ways = ways.map_err(|status| Trouble::of(&status))?;
        request.dependencies.extend(ways);
    }
    Err(Trouble::of(&failure::internal()))
}

/// How often a render may ask for the way into more repositories.
const MAX_ROUNDS: usize = 80;

/// The ways into repositories that a source takes folders of by their addresses, where its project permits them.
async fn ways_into(
    shared: &Shared,
    tenant: &Tenant,
    project: &str,
    wanted: &[String],
) -> Result<Vec<RepositoryAccess>, Trouble> {
    let scope = shared.store.tenant(tenant.id);
    let found = scope.projects().find(project_or_default(project)).await;
    let found = found.map_err(|error| Trouble::of(&failure::store(error)))?;
    let rules = found.and_then(|project| project.rules().ok());
    let mut ways = Vec::new();
    for url in wanted {
        if !rules
            .as_ref()
            .is_some_and(|rules| rules.permits_source(url))
        {
            let message = message::app::SOURCE_NOT_PERMITTED.with("repository", url);
            let cause = Cause::error(message.with("project", project));
            let details = serde_json::to_vec(&[cause]).unwrap_or_default();
            let refused = Status::with_details(Code::FailedPrecondition, "", details.into());
            return Err(Trouble::of(&refused));
        }
        let way = access(shared, tenant, url, project).await;
        ways.push(way.map_err(|status| Trouble::of(&status))?);
    }
    Ok(ways)
}

/// What can be set for one source at one commit.
///
/// # Errors
/// Why it cannot be told.
pub(crate) async fn details(
    shared: &Shared,
    tenant: &Tenant,
    access: &RepositoryAccess,
    order: Order<'_>,
) -> Result<AppDetailsResponse, Trouble> {
    let project = order.project.to_owned();
    let mut source = request(shared, tenant, access, order).await?;
    for _ in 0..MAX_ROUNDS {
        let asked = shared.repo_servers.ask(access, |mut client| {
            let request = AppDetailsRequest {
                source: Some(source.clone()),
            };
            async move { client.app_details(request).await }
        });
        let answer = asked.await.map_err(|status| Trouble::of(&status))?;
        if answer.wanted.is_empty() {
            return Ok(answer);
        }
        let ways = ways_into(shared, tenant, &project, &answer.wanted).await?;
        source.remotes.extend(ways);
    }
    Err(Trouble::of(&failure::internal()))
}

async fn request(
    shared: &Shared,
    tenant: &Tenant,
    access: &RepositoryAccess,
    order: Order<'_>,
) -> Result<RenderRequest, Trouble> {
    let key = shared
        .store
        .tenant(tenant.id)
        .tenant_key()
        .await
        .map_err(|error| Trouble::of(&failure::store(error)))?;
    let (kube_version, api_versions) = cluster(shared, tenant).await;
    let config = shared.configs.of(tenant.id).await;
    let config = config.map_err(|error| Trouble::of(&failure::store(error)))?;
    let rendering = serde_json::to_string(&config.rendering());
    Ok(RenderRequest {
        rendering: rendering.map_err(|_| Trouble::of(&failure::internal()))?,
        repository: Some(access.clone()),
        tenant_key: key.expose().to_vec(),
        source: order.source.to_string(),
        commit: order.commit,
        app_name: order.app.to_owned(),
        project: order.project.to_owned(),
        destination_namespace: order.namespace.to_owned(),
        variables: order.variables.into_iter().collect(),
        kube_version,
        api_versions,
        no_cache: order.no_cache,
        renders_per_minute: tenant
            .allowed(domain::quota::Quota::Renders)
            .unwrap_or_default(),
        references: order.references,
        ..RenderRequest::default()
    })
}

/// The ways into the places that a chart depends on, as a project's applications have them; empty ones where there are none.
async fn dependencies(
    shared: &Shared,
    tenant: &Tenant,
    project: &str,
    places: Vec<String>,
) -> Result<BTreeMap<String, RepositoryAccess>, Status> {
    let scope = shared.store.tenant(tenant.id);
    let repositories = scope.repositories().list().await.map_err(failure::store)?;
    let named = scope.projects().find(project).await;
    let rules = named
        .map_err(failure::store)?
        .and_then(|project| project.rules().ok());
    let ways = Ways::of(shared, tenant).await?;
    let known = Known {
        repositories: &repositories,
        templates: &ways.templates,
        trust: &ways.trust,
    };
    Ok(dependencies_to_wire(
        tenant.id,
        project,
        rules.as_ref(),
        known,
        &places,
    ))
}

/// The shared cluster's version and kinds; nothing while nobody knows them, which only charts would notice.
async fn cluster(shared: &Shared, tenant: &Tenant) -> (String, Vec<String>) {
    let Ok(mut owner) = shared.controllers.owner().await else {
        return Default::default();
    };
    let request = proto::naru::internal::v1::ClusterInfoRequest {
        tenant: tenant.id.to_string(),
    };
    match owner.cluster_info(request).await {
        Ok(answer) => {
            let info = answer.into_inner();
            (info.server_version, info.api_versions)
        }
        Err(error) => {
            tracing::debug!(%error, "the cluster's version is not known");
            Default::default()
        }
    }
}

/// Whether a revision is a whole commit.
pub(crate) fn is_commit(revision: &str) -> bool {
    matches!(revision.len(), 40 | 64) && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use domain::message;

    use super::*;

    #[test]
    fn a_repo_servers_causes_are_told_in_full() {
        let cause = Cause::error(message::source::UNREACHABLE.with("url", "https://git.example/a"));
        let details = serde_json::to_vec(&vec![cause]).unwrap();
        let status = Status::with_details(Code::FailedPrecondition, "x", details.into());
        let trouble = Trouble::of(&status);
        let text = trouble.text(Language::English);
        assert!(
            text.contains("https://git.example/a") && text.contains("source.unreachable"),
            "{text}"
        );
        assert_ne!(trouble.text(Language::Korean), text);
        assert!(
            trouble
                .wrapped()
                .starts_with("rpc error: code = Unknown desc = ")
        );
        assert_eq!(
            Status::from(Trouble::of(&Status::unauthenticated("plain"))).code(),
            Code::Unknown
        );
        assert_eq!(
            Status::from(Trouble::of(&Status::unavailable("away"))).code(),
            Code::Unavailable
        );
    }
}
