//! Manifests become targets, as long as what they are made from stays what it is (client required).

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use cluster::Discovery;
use domain::manifest::Manifest;
use domain::resource::{split_api_version, text};
use engine::prepare::{self, Kinds, Scope};

use crate::context::Context;
use crate::memory::{Render, Targets};
use crate::reconcile::subject::Subject;
use crate::repos::Trouble;

/// Names what targets are made from besides manifests, schemas and kinds.
pub(super) fn facts(subject: &Subject) -> u64 {
    let mut hasher = DefaultHasher::new();
    subject.destination.hash(&mut hasher);
    subject.spec.project().hash(&mut hasher);
    subject.kinds.hash(&mut hasher);
    subject.marking.hash(&mut hasher);
    // Their `Debug` shows every field; equal texts are equal values.
    format!(
        "{:?} {:?} {:?}",
        subject.options,
        subject.rules(),
        subject.tenant().territory()
    )
    .hash(&mut hasher);
    hasher.finish()
}

pub(super) fn still_good(kept: &Targets, facts: u64, discovery: &Arc<Discovery>) -> bool {
    if kept.facts != facts {
        return false;
    }
    let kinds = ClusterKinds(discovery);
    Arc::ptr_eq(&kept.discovery, discovery)
        || kept.prepared.targets.iter().all(|target| {
            let scope = kinds.scope(&target.key.group, &target.version, &target.key.kind);
            let wanted = if target.namespaced {
                Scope::Namespaced
            } else {
                Scope::Cluster
            };
            scope == Some(wanted)
        })
}

pub(super) async fn same_schema(ctx: &Context, kept: &Targets) -> Result<bool, Trouble> {
    let wanted: HashSet<(String, String)> = kept
        .prepared
        .targets
        .iter()
        .map(|target| (target.key.group.clone(), target.version.clone()))
        .collect();
    let wanted: Vec<(String, String)> = wanted.into_iter().collect();
    let now = ctx
        .cluster
        .schemas(&wanted)
        .await
        .map_err(cluster_trouble)?;
    Ok(Arc::ptr_eq(&now, &kept.schema)
        || wanted
            .iter()
            .all(|(group, version)| kept.schema.shares(&now, group, version)))
}

pub(super) async fn prepare(
    ctx: &Context,
    subject: &Subject,
    manifests: &[Manifest],
    renders: &[Render],
    facts: u64,
    discovery: &Arc<Discovery>,
) -> Result<Targets, Trouble> {
    let wanted: BTreeSet<(String, String)> = manifests
        .iter()
        .map(|manifest| {
            let (group, version) = split_api_version(text(&manifest.object, &["apiVersion"]));
            (group.to_owned(), version.to_owned())
        })
        .collect();
    let wanted: Vec<(String, String)> = wanted.into_iter().collect();
    let schema = ctx
        .cluster
        .schemas(&wanted)
        .await
        .map_err(cluster_trouble)?;
    let prepared = prepare::prepare(
        manifests,
        &prepare::Context {
            app: &subject.key.name,
            tenant: &subject.tenant().tenant.name,
            destination: &subject.destination,
            territory: subject.tenant().territory(),
            options: &subject.options,
            project: subject.spec.project(),
            rules: subject.rules(),
            schema: &schema,
            kinds: &ClusterKinds(discovery),
            filter: &subject.kinds,
            marking: &subject.marking,
        },
    );
    Ok(Targets {
        details: renders.iter().map(|render| render.detail.clone()).collect(),
        facts,
        schema,
        discovery: discovery.clone(),
        prepared: Arc::new(prepared),
    })
}

/// What a cluster's silence means for an application.
fn cluster_trouble(error: cluster::Error) -> Trouble {
    let cause = error.cause();
    if error.is_transient() || matches!(error, cluster::Error::NotHolder) {
        Trouble::ours(cause)
    } else {
        Trouble::theirs(cause)
    }
}

/// The cluster's kinds as the engine asks for them.
pub struct ClusterKinds<'a>(pub &'a Discovery);

impl Kinds for ClusterKinds<'_> {
    fn scope(&self, group: &str, version: &str, kind: &str) -> Option<Scope> {
        let known = self.0.resolve(group, Some(version), kind)?;
        Some(if known.namespaced {
            Scope::Namespaced
        } else {
            Scope::Cluster
        })
    }

    fn versions_of(&self, kind: &str) -> Vec<String> {
        let mut versions: Vec<String> = self
            .0
            .preferred()
            .filter(|known| known.kind == kind)
            .map(cluster::ApiKind::api_version)
            .collect();
        versions.sort_unstable();
        versions
    }
}
