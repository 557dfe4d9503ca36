//! What an application is and whether it may be: its row, its spec, its project's rules, its destination (client
//! required for reading, none for judging).

use std::sync::Arc;
use std::time::Duration;

use domain::application::{
    Application, Destination, IN_CLUSTER_NAME, IN_CLUSTER_SERVER, IgnoreDifference, Source, Spec,
};
use domain::cause::Cause;
use domain::cluster::Cluster;
use domain::message;
use domain::project::Rules;
use domain::project::gate::Applicant;
use domain::settings::{Customizations, KindFilter, Rendering};
use domain::tracking::Marking;
use engine::claim::Claimant;
use engine::options::{COMPARE_OPTIONS, CompareOptions, SyncOptions};
use serde::Deserialize;
use serde_json::Value;

use super::live::Sight;
use super::writer::Writer;
use crate::clusters::Placed;
use crate::context::Context;
use crate::driver::queue::AppKey;
use crate::tenants::{ProjectFacts, TenantFacts};

/// The annotation of an application that names the manager whose fields syncs take over.
const MIGRATION_MANAGER: &str = "argocd.argoproj.io/client-side-apply-migration-manager";

/// An application that may be compared.
pub struct Subject {
    /// Which.
    pub key: AppKey,
    /// Its row.
    pub app: Application,
    /// Its spec.
    pub spec: Spec,
    /// The sync options of its spec.
    pub options: SyncOptions,
    /// Where it goes; address and name both filled in.
    pub destination: Destination,
    /// What the tenant's settings say about rendering.
    pub rendering: Arc<Rendering>,
    /// What they say about kinds.
    pub customizations: Arc<Customizations>,
    /// The kinds that they leave out.
    pub kinds: Arc<KindFilter>,
    /// How they have objects marked.
    pub marking: Arc<Marking>,
    /// After how long its operations are stopped that have not ended.
    pub sync_timeout: Option<Duration>,
    /// As whom it is synced, and whatever else a tenant causes is done; it knows whose the application is.
    pub writer: Writer,
    /// What comparisons leave out, by its spec and its tenant's settings.
    pub ignore: Vec<IgnoreDifference>,
    project: Arc<ProjectFacts>,
    no_rules: Rules,
}

impl Subject {
    /// Whose it is.
    #[must_use]
    pub fn tenant(&self) -> &Arc<TenantFacts> {
        &self.writer.tenant
    }

    /// What its project permits.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        self.project.rules.as_ref().unwrap_or(&self.no_rules)
    }

    /// What its tenant sees of the cluster.
    #[must_use]
    pub fn sight(&self) -> Sight<'_> {
        Sight {
            tenant: self.tenant(),
            kinds: Some(&self.kinds),
        }
    }

    /// As it asks whose an object is.
    #[must_use]
    pub fn claimant(&self) -> Claimant<'_> {
        self.tenant().claimant(&self.key.name, &self.marking)
    }

    /// As its project's windows choose it.
    #[must_use]
    pub fn applicant(&self) -> Applicant<'_> {
        Applicant {
            windows: &self.rules().sync_windows,
            name: self.app.name(),
            spec: &self.spec,
        }
    }

    /// What its annotation and its sync options ask of the comparison.
    #[must_use]
    pub fn compare_options(&self) -> CompareOptions {
        CompareOptions::parse(self.app.annotation(COMPARE_OPTIONS).unwrap_or_default())
            .with_sync(&self.options)
    }

    /// Whose fields a sync takes over, where it is said: a client-side apply's, from before the application was Naru's.
    #[must_use]
    pub fn migrates_from(&self) -> Option<&str> {
        self.app
            .annotation(MIGRATION_MANAGER)
            .filter(|manager| !manager.is_empty())
    }

    /// The tenant's name, which is also the installation id of its objects.
    #[must_use]
    pub fn tenant_name(&self) -> &str {
        self.tenant().tenant.name.as_str()
    }

    /// Its sources as canonical JSON, one per source.
    #[must_use]
    pub fn sources(&self) -> Vec<Value> {
        match self
            .app
            .spec
            .get("sources")
            .and_then(Value::as_array)
            .filter(|sources| !sources.is_empty())
        {
            Some(sources) => sources.clone(),
            None => self
                .app
                .spec
                .get("source")
                .filter(|source| source.is_object())
                .into_iter()
                .cloned()
                .collect(),
        }
    }

    /// What its spec leaves out of comparisons, as canonical JSON.
    #[must_use]
    pub fn ignore_differences(&self) -> Vec<Value> {
        let rules = self.app.spec.get("ignoreDifferences");
        rules.and_then(Value::as_array).cloned().unwrap_or_default()
    }

    /// Whether its spec has several sources.
    #[must_use]
    pub fn multiple(&self) -> bool {
        !self.spec.sources.is_empty()
    }
}

/// Reads all that an application names.
///
/// The inner error says why it cannot be compared at all; only an edit of the application or its project helps.
///
/// # Errors
/// When the database does not answer.
pub async fn read(
    ctx: &Context,
    key: &AppKey,
    app: Application,
    tenant: &Arc<TenantFacts>,
) -> store::Result<Result<Subject, (Application, Vec<Cause>)>> {
    let spec = match self::spec(&app) {
        Ok(spec) => spec,
        Err(cause) => return Ok(Err((app, vec![cause]))),
    };
    let project = match self::project(ctx, key, &spec).await? {
        Ok(project) => project,
        Err(cause) => return Ok(Err((app, vec![cause]))),
    };
    let rules = match self::rules(&project, &spec) {
        Ok(rules) => rules,
        Err(cause) => return Ok(Err((app, vec![cause]))),
    };
    let destination = match destination(&spec, tenant) {
        Ok(destination) => destination,
        Err(cause) => return Ok(Err((app, vec![cause]))),
    };
    let sources: Vec<&Source> = spec.effective_sources();
    let causes = permitted(&sources, &destination, tenant, &spec, rules);
    if !causes.is_empty() {
        return Ok(Err((app, causes)));
    }
    let options = spec
        .sync_policy
        .as_ref()
        .map(|policy| policy.sync_options.as_slice())
        .unwrap_or_default();
    let options = SyncOptions::parse(options.iter().map(String::as_str));
    let settings = ctx.tenants.settings(key.tenant).await?;
    let of_tenant = settings.customizations.ignore.iter();
    let ignore = spec.ignore_differences.iter().chain(of_tenant);
    let writer = match settings.sync_impersonates {
        true => {
            let enforced = settings.impersonation_enforced;
            Writer::named(&spec, &destination, tenant, rules, enforced)
        }
        false => Writer::own(tenant),
    };
    Ok(Ok(Subject {
        ignore: ignore.cloned().collect(),
        rendering: settings.rendering,
        customizations: settings.customizations,
        kinds: settings.kinds,
        marking: settings.marking,
        sync_timeout: settings.sync_timeout,
        writer,
        key: key.clone(),
        app,
        spec,
        options,
        destination,
        project: project.clone(),
        no_rules: Rules::default(),
    }))
}

/// What an application's spec says.
pub(super) fn spec(app: &Application) -> Result<Spec, Cause> {
    app.view()
        .map_err(|error| Cause::error(message::app::SPEC_INVALID.with("error", error)))
}

/// The project that it names.
pub(super) async fn project(
    ctx: &Context,
    key: &AppKey,
    spec: &Spec,
) -> store::Result<Result<Arc<ProjectFacts>, Cause>> {
    let name = spec.project();
    let found = ctx.tenants.project(key.tenant, name).await?;
    Ok(found.ok_or_else(|| {
        let message = message::app::PROJECT_NOT_FOUND.with("project", name);
        Cause::error(message).field("spec.project")
    }))
}

/// What that permits.
pub(super) fn rules<'a>(project: &'a ProjectFacts, spec: &Spec) -> Result<&'a Rules, Cause> {
    project.rules.as_ref().map_err(|error| {
        let message = message::app::PROJECT_INVALID
            .with("project", spec.project())
            .with("error", error);
        Cause::error(message).field("spec.project")
    })
}

/// The cluster that an application goes to, of those that its tenant has added; nothing where it goes to none of them.
///
/// # Errors
/// When the database does not answer.
pub async fn meant(
    ctx: &Context,
    key: &AppKey,
    app: &Application,
) -> store::Result<Option<Cluster>> {
    let clusters = ctx.tenants.clusters(key.tenant).await?;
    if clusters.is_empty() {
        return Ok(None);
    }
    let spec = app.view().unwrap_or_default();
    Ok(domain::cluster::meant(&spec.destination, &clusters).cloned())
}

/// What an application needs that goes where this one does, which is noted to be there: into the shared cluster, or into
/// one that its tenant has added. The inner error says why nobody gets into that one.
///
/// # Errors
/// When the database does not answer.
pub async fn placed(
    ctx: &Arc<Context>,
    key: &AppKey,
    meant: Option<&Cluster>,
) -> store::Result<Result<Placed, Cause>> {
    match meant {
        Some(added) => ctx.clusters.enter(ctx, key, added).await,
        None => Ok(Ok(Placed {
            place: ctx.clone(),
            left: ctx.clusters.leave(key),
        })),
    }
}

/// Whether an application's spec names a cluster that there is, seen from the one that it is looked at in.
#[must_use]
pub fn leads_somewhere(app: &Application, tenant: &TenantFacts) -> bool {
    match app.view() {
        Ok(spec) => destination(&spec, tenant).is_ok(),
        // It cannot be read, and says nothing against the cluster where the application was.
        Err(_) => true,
    }
}

/// The destination with address and name filled in.
pub(super) fn destination(spec: &Spec, tenant: &TenantFacts) -> Result<Destination, Cause> {
    let Destination {
        server,
        name,
        namespace,
    } = &spec.destination;
    let at = |server: &str, name: &str| {
        Ok(Destination {
            server: server.to_owned(),
            name: name.to_owned(),
            namespace: namespace.clone(),
        })
    };
    if let Some(added) = tenant.added()
        && domain::cluster::meant(&spec.destination, std::slice::from_ref(added)).is_some()
    {
        return at(&added.server, &added.name);
    }
    let refuse = |message, field: &str| Err(Cause::error(message).field(field));
    match (server.as_str(), name.as_str()) {
        ("", "") => refuse(
            message::app::DESTINATION_MISSING.message(),
            "spec.destination",
        ),
        (IN_CLUSTER_SERVER, "") | ("", IN_CLUSTER_NAME) if tenant.added().is_none() => {
            at(IN_CLUSTER_SERVER, IN_CLUSTER_NAME)
        }
        ("", unknown) => refuse(
            message::app::DESTINATION_UNKNOWN.with("cluster", unknown),
            "spec.destination.name",
        ),
        (unknown, "") => refuse(
            message::app::DESTINATION_UNKNOWN.with("cluster", unknown),
            "spec.destination.server",
        ),
        (server, name) => {
            let message = message::app::DESTINATION_AMBIGUOUS
                .with("name", name)
                .with("server", server);
            refuse(message, "spec.destination")
        }
    }
}

fn permitted(
    sources: &[&Source],
    destination: &Destination,
    tenant: &TenantFacts,
    spec: &Spec,
    rules: &Rules,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    if sources.iter().all(|source| source.repo_url.is_empty()) {
        causes.push(Cause::error(message::app::SOURCE_MISSING.message()).field("spec.source"));
    }
    for source in sources
        .iter()
        .filter(|source| !rules.permits_chart(&source.repo_url, &source.chart))
    {
        let message = message::app::SOURCE_NOT_PERMITTED.with("repository", &source.repo_url);
        causes.push(
            Cause::error(message.with("project", spec.project())).field("spec.source.repoURL"),
        );
    }
    let Destination {
        server,
        name,
        namespace,
    } = destination;
    let own = tenant.added().map_or("", |added| added.project.as_str());
    if !rules.permits_cluster_of(own, spec.project())
        || !rules.permits_destination(server, name, namespace)
    {
        let message = message::app::DESTINATION_NOT_PERMITTED
            .with("server", server)
            .with("namespace", namespace);
        causes
            .push(Cause::error(message.with("project", spec.project())).field("spec.destination"));
    }
    let options = spec
        .sync_policy
        .as_ref()
        .map(|policy| policy.sync_options.as_slice())
        .unwrap_or_default();
    let creating = SyncOptions::parse(options.iter().map(String::as_str)).create_namespace;
    if !namespace.is_empty() && !tenant.territory().permits(namespace, creating) {
        let message = tenant.territory().refusal(namespace, creating, true);
        causes.push(Cause::error(message).field("spec.destination.namespace"));
    }
    causes
}

/// The typed view of one source.
///
/// # Errors
/// A cause that names what cannot be read.
pub fn source(document: &Value) -> Result<Source, Cause> {
    Source::deserialize(document)
        .map_err(|error| Cause::error(message::app::SPEC_INVALID.with("error", error)))
}
