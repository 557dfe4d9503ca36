//! Which step comes before which.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::resource::text;

use super::{Action, Step};
use crate::compare::Compared;
use crate::prepare::Target;

/// Argo CD's order of kinds; kinds not named come last.
const KINDS: &[&str] = &[
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
];

/// A kind's place in the order.
pub(super) fn rank(kind: &str) -> usize {
    KINDS
        .iter()
        .position(|known| *known == kind)
        .unwrap_or(KINDS.len())
}

/// The wave of each target: its own, or that of the first object which needs it (a namespace's members, a definition's
/// custom resources), whichever is earlier.
pub(super) fn apply_waves(targets: &[Target]) -> Vec<i64> {
    let mut earliest: HashMap<(&str, &str, &str), i64> = HashMap::new();
    for target in targets {
        for needed in [
            ("ns", "", target.key.namespace.as_str()),
            ("crd", &target.key.group, &target.key.kind),
        ] {
            let wave = earliest.entry(needed).or_insert(target.wave);
            *wave = (*wave).min(target.wave);
        }
    }
    targets
        .iter()
        .map(|target| {
            let needed = match target.key.kind.as_str() {
                "Namespace" => ("ns", "", target.key.name.as_str()),
                "CustomResourceDefinition" => (
                    "crd",
                    text(&target.object, &["spec", "group"]),
                    text(&target.object, &["spec", "names", "kind"]),
                ),
                _ => return target.wave,
            };
            earliest
                .get(&needed)
                .map_or(target.wave, |wave| (*wave).min(target.wave))
        })
        .collect()
}

/// Mirrors the waves of what is pruned: what came first goes last.
pub(super) fn prune_waves<'a>(pruned: impl Iterator<Item = &'a Compared>) -> BTreeMap<i64, i64> {
    let waves: BTreeSet<i64> = pruned.map(|compared| compared.wave).collect();
    waves
        .iter()
        .copied()
        .zip(waves.iter().rev().copied())
        .collect()
}

/// Sorts the steps and numbers the batches: within a wave first everything that goes, side by side, then what comes,
/// kind by kind.
pub(super) fn sort(steps: &mut [Step]) {
    let goes = |step: &Step| matches!(step.action, Action::Prune { .. } | Action::Keep(_));
    steps.sort_by_cached_key(|step| {
        let rank = i64::try_from(rank(&step.key.kind)).unwrap_or(i64::MAX);
        let going = goes(step);
        let name = (
            step.key.kind.clone(),
            step.key.name.clone(),
            step.key.namespace.clone(),
        );
        (
            step.phase,
            step.wave,
            Reverse(going),
            if going { -rank } else { rank },
            name,
        )
    });
    let mut batch = 0;
    for at in 1..steps.len() {
        let (before, step) = (&steps[at - 1], &steps[at]);
        let together = (before.phase, before.wave) == (step.phase, step.wave)
            && goes(before) == goes(step)
            && (goes(step) || before.key.group_kind() == step.key.group_kind());
        batch += usize::from(!together);
        steps[at].batch = batch;
    }
}
