//! Manifests become targets, as long as what they are made from stays what it is (client required).

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use cluster::Discovery;
use domain::manifest::Manifest;
use domain::resource::{split_api_version, text};
use engine::prepare::{self, Kinds, Scope, Target};

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
    let mut targets = kept.prepared.targets.iter();
    Arc::ptr_eq(&kept.discovery, discovery) || targets.all(|target| is_as_placed(target, &kinds))
}

/// Whether a target would come out the same by the kinds that there are now. One whose kind was not known never would: it was
/// placed as if that had namespaces, and the kind may be known by now.
fn is_as_placed(target: &Target, kinds: &impl Kinds) -> bool {
    let scope = kinds.scope(&target.key.group, &target.version, &target.key.kind);
    let wanted = if target.namespaced {
        Scope::Namespaced
    } else {
        Scope::Cluster
    };
    target.known && scope == Some(wanted)
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

/// What a cluster's silence means for an application. No edit of it mends a schema that cannot be read: a no is of the
/// cluster's rights, and an answer that says nothing of a server on the way. Nor does anything tell when that has passed.
fn cluster_trouble(error: cluster::Error) -> Trouble {
    let cause = error.cause();
    if error.passes() {
        Trouble::ours(cause)
    } else {
        Trouble::passing(cause)
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

#[cfg(test)]
mod tests {
    use domain::application::Destination;
    use domain::project::Rules;
    use domain::schema::SchemaSet;
    use domain::settings::KindFilter;
    use domain::tenant::TenantName;
    use domain::tracking::Marking;
    use engine::options::SyncOptions;
    use engine::prepare::Territory;
    use serde_json::{Value, json};

    use super::*;

    /// A cluster that has these kinds, whatever their group is and their version.
    struct Has(&'static [(&'static str, Scope)]);

    impl Kinds for Has {
        fn scope(&self, _: &str, _: &str, kind: &str) -> Option<Scope> {
            let known = self.0.iter().find(|(name, _)| *name == kind);
            known.map(|(_, scope)| *scope)
        }
    }

    fn lamp() -> Value {
        json!({"apiVersion": "example.com/v1", "kind": "Lamp", "metadata": {"name": "desk"}})
    }

    fn made_of_lamp(kinds: &Has) -> Target {
        made(&[lamp()], kinds).pop().unwrap()
    }

    /// What is made of objects where a cluster has these kinds, all of which may be deployed anywhere.
    fn made(objects: &[Value], kinds: &Has) -> Vec<Target> {
        let rules = json!({"destinations": [{"server": "*", "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}]});
        let manifests = objects.iter().map(|one| Manifest::new(one.clone(), None));
        let manifests: Vec<Manifest> = manifests.collect();
        let context = prepare::Context {
            app: "app",
            tenant: &TenantName::from_stored("web".to_owned()),
            destination: &Destination {
                server: "https://cluster.example".to_owned(),
                namespace: "web".to_owned(),
                ..Destination::default()
            },
            territory: Territory::AllBut(&[]),
            options: &SyncOptions::default(),
            project: "default",
            rules: &serde_json::from_value::<Rules>(rules).unwrap(),
            schema: &SchemaSet::default(),
            kinds,
            filter: &KindFilter::default(),
            marking: &Marking::default(),
        };
        prepare::prepare(&manifests, &context).targets
    }

    #[test]
    fn a_schema_that_cannot_be_read_is_asked_for_again() {
        let no = |code| {
            cluster::Error::Refused(Box::new(cluster::Refusal {
                code,
                ..cluster::Refusal::default()
            }))
        };
        let empty = cluster::Error::NotUnderstood("EOF".to_owned());
        let again = [no(503), no(403), empty].map(|error| {
            let trouble = cluster_trouble(error);
            (trouble.ours, trouble.passing)
        });
        assert_eq!(again, [(true, false), (false, true), (false, true)]);
    }

    #[test]
    fn a_target_whose_kind_was_not_known_is_made_anew_when_it_is() {
        let (none, lamps) = (Has(&[]), Has(&[("Lamp", Scope::Namespaced)]));
        let before = made_of_lamp(&none);
        assert!(before.refused.is_some() && before.namespaced);
        // Just as it would be of the kind that has come, but for the refusal.
        assert!(!is_as_placed(&before, &lamps));
        let after = made_of_lamp(&lamps);
        assert_eq!((after.refused.is_none(), after.hash), (true, before.hash));
        assert!(is_as_placed(&after, &lamps));
    }

    #[test]
    fn a_target_is_made_anew_when_its_kind_goes_or_lives_elsewhere() {
        let lamps = Has(&[("Lamp", Scope::Namespaced)]);
        let target = made_of_lamp(&lamps);
        assert!(!is_as_placed(&target, &Has(&[])));
        assert!(!is_as_placed(&target, &Has(&[("Lamp", Scope::Cluster)])));
    }

    #[test]
    fn a_target_whose_kind_is_defined_beside_it_stays_when_that_is_known() {
        let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "lamps.example.com"},
            "spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Lamp"},
                "versions": [{"name": "v1"}]}});
        let definitions = Has(&[("CustomResourceDefinition", Scope::Cluster)]);
        let both = Has(&[
            ("CustomResourceDefinition", Scope::Cluster),
            ("Lamp", Scope::Namespaced),
        ]);
        let targets = made(&[definition, lamp()], &definitions);
        assert_eq!(targets.len(), 2);
        for target in &targets {
            assert!(target.refused.is_none(), "{:?}", target.refused);
            assert!(is_as_placed(target, &both), "{}", target.key);
        }
        assert!(!is_as_placed(&targets[1], &definitions), "not there yet");
    }
}
