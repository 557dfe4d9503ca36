//! What is asked of the repo-server for the sources of an application (no client required).

use std::hash::{DefaultHasher, Hash, Hasher};

use cluster::Discovery;
use domain::application::{Source, VARIABLES};
use domain::cause::Cause;
use domain::quota::Quota;
use serde_json::Value;

use crate::reconcile::subject::{self, Subject};
use crate::repos::{Reference, RenderOrder, RepoKey};

pub(super) fn repo_key(subject: &Subject, source: &Source) -> RepoKey {
    let project = subject.spec.project();
    RepoKey::new(subject.key.tenant, project, &source.repo_url, &source.chart)
}

/// The sources of documents, and the repository of each.
pub(super) fn placed(
    subject: &Subject,
    documents: &[Value],
) -> Result<(Vec<Source>, Vec<RepoKey>), Cause> {
    let sources = documents.iter().map(subject::source);
    let sources: Vec<Source> = sources.collect::<Result<_, Cause>>()?;
    let keys = sources.iter().map(|source| repo_key(subject, source));
    let keys = keys.collect();
    Ok((sources, keys))
}

/// What is to be rendered, by the places of the sources that make something.
pub(super) fn of(
    subject: &Subject,
    documents: &[Value],
    (sources, keys): (&[Source], &[RepoKey]),
    revisions: &[String],
    discovery: &Discovery,
) -> Vec<(usize, RenderOrder)> {
    let references = references(sources, keys, revisions);
    let making = sources.iter().enumerate();
    let making = making.filter(|(_, source)| source.yields());
    making
        .map(|(at, _)| {
            let mut order = order(subject, &documents[at], &revisions[at], discovery);
            order.references.clone_from(&references);
            (at, order)
        })
        .collect()
}

/// The sources that others may refer to, at the commits that are wanted of them.
fn references(sources: &[Source], keys: &[RepoKey], revisions: &[String]) -> Vec<Reference> {
    let all = sources.iter().zip(keys).zip(revisions);
    all.filter(|((source, _), _)| !source.reference.is_empty())
        .map(|((source, repo), commit)| Reference {
            name: source.reference.clone(),
            repo: repo.clone(),
            url: source.repo_url.clone(),
            commit: commit.clone(),
            chart: source.chart.clone(),
        })
        .collect()
}

fn order(subject: &Subject, document: &Value, commit: &str, discovery: &Discovery) -> RenderOrder {
    RenderOrder {
        source: document.to_string(),
        commit: commit.to_owned(),
        app: subject.key.name.to_string(),
        project: subject.spec.project().to_owned(),
        namespace: subject.destination.namespace.clone(),
        variables: subject
            .tenant()
            .tenant
            .variables(subject.app.annotation(VARIABLES)),
        kube_version: discovery.server_version().git_version.clone(),
        api_versions: discovery.api_versions().to_vec(),
        renders_per_minute: subject
            .tenant()
            .tenant
            .allowed(Quota::Renders)
            .unwrap_or_default(),
        rendering: subject.rendering.clone(),
        ..RenderOrder::default()
    }
}

/// Names everything of an order but the commit and what is at hand.
pub(super) fn name(order: &RenderOrder) -> u64 {
    let RenderOrder {
        source,
        commit: _,
        app,
        project,
        namespace,
        variables,
        kube_version,
        api_versions,
        known: _,
        known_detail: _,
        no_cache: _,
        renders_per_minute: _,
        references,
        dependencies: _,
        remotes: _,
        rendering,
    } = order;
    let mut hasher = DefaultHasher::new();
    (
        source,
        app,
        project,
        namespace,
        variables,
        kube_version,
        api_versions,
        references,
        rendering,
    )
        .hash(&mut hasher);
    hasher.finish()
}
