//! What the deletion of an application takes with it.

use std::collections::BTreeMap;

use domain::application::RESOURCES_FINALIZER;
use domain::resource::ResourceKey;

use super::order::rank;
use crate::claim::{Claimant, Owner};
use crate::compare::Live;
use crate::options::{self, Propagation, SyncOptions};

mod hooks;

pub use hooks::{
    Fate, HookSeen, Moment, Turn, cleanup, deletion_hooks, finalizer_change, of_deletion, turn,
};

/// One object to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doomed {
    /// Which object.
    pub key: ResourceKey,
    /// The version to delete it in.
    pub version: String,
    /// The uid that the deletion must match.
    pub uid: String,
    /// Whether its deletion has begun, so that it is only waited for.
    pub deleting: bool,
    /// Whether it is a hook that our finalizer keeps.
    pub held: bool,
}

/// What a deletion does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletionPlan {
    /// The objects, wave by wave, the last applied first; a wave begins when the one before is gone. None while one of them
    /// waits for approval, as in Argo CD: what a person has not approved yet would stand there without the rest.
    pub waves: Vec<Vec<Doomed>>,
    /// How many objects are to go.
    pub left: usize,
    /// The objects that stay: `Delete=false`.
    pub kept: Vec<ResourceKey>,
    /// The objects that wait for a person's approval: `Delete=confirm`.
    pub unconfirmed: Vec<ResourceKey>,
    /// How each deletion reaches what its object owns.
    pub propagation: Propagation,
}

impl DeletionPlan {
    /// Whether nothing is left to delete or wait for.
    #[must_use]
    pub fn done(&self) -> bool {
        self.left == 0
    }
}

/// How an application's finalizers want its objects deleted; `None` when they stay.
#[must_use]
pub fn cascade<'a>(finalizers: impl IntoIterator<Item = &'a str>) -> Option<Propagation> {
    finalizers.into_iter().find_map(|finalizer| {
        let rest = finalizer.to_ascii_lowercase();
        match rest.strip_prefix(RESOURCES_FINALIZER)? {
            "" | "/foreground" => Some(Propagation::Foreground),
            "/background" => Some(Propagation::Background),
            _ => None,
        }
    })
}

/// How far the deletion of an application has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The hooks of a moment run.
    Hooks(Moment),
    /// They are cleaned up.
    Cleanup(Moment),
    /// The objects go.
    Objects(Propagation),
    /// Nothing is left to do.
    Over,
}

/// How far the deletion of an application has come, by the finalizers that it still has.
#[must_use]
pub fn stage<'a>(finalizers: impl IntoIterator<Item = &'a str>) -> Stage {
    let finalizers: Vec<&str> = finalizers.into_iter().collect();
    let of = |moment: Moment| {
        if finalizers.contains(&moment.finalizer()) {
            Some(Stage::Hooks(moment))
        } else {
            let cleanup = finalizers.contains(&moment.cleanup());
            cleanup.then_some(Stage::Cleanup(moment))
        }
    };
    of(Moment::Before)
        .or_else(|| cascade(finalizers.iter().copied()).map(Stage::Objects))
        .or_else(|| of(Moment::After))
        .unwrap_or(Stage::Over)
}

/// Plans the deletion of an application's objects. Only its own go: never those of other applications or tenants, nor
/// those that another object owns.
#[must_use]
pub fn deletion(
    live: &[Live<'_>],
    claimant: &Claimant<'_>,
    options: &SyncOptions,
    propagation: Propagation,
    approved: bool,
) -> DeletionPlan {
    let mut plan = DeletionPlan {
        propagation,
        ..DeletionPlan::default()
    };
    let mut waves: BTreeMap<i64, Vec<Doomed>> = BTreeMap::new();
    for there in live {
        if claimant.owner(there.essentials, &there.key, there.owned) != Owner::Ours || there.owned {
            continue;
        }
        let own = SyncOptions::of_object(there.essentials);
        if own.no_delete || options.no_delete {
            plan.kept.push(there.key.clone());
        } else if (own.confirm_delete || options.confirm_delete) && !approved {
            plan.unconfirmed.push(there.key.clone());
        } else {
            waves
                .entry(-options::wave(there.essentials))
                .or_default()
                .push(Doomed {
                    key: there.key.clone(),
                    version: there.version.to_owned(),
                    uid: there.uid.to_owned(),
                    deleting: crate::compare::deleting(there),
                    held: crate::hooks::held(there.essentials),
                });
        }
    }
    let going: usize = waves.values().map(Vec::len).sum();
    plan.left = going + plan.unconfirmed.len();
    if !plan.unconfirmed.is_empty() {
        return plan;
    }
    plan.waves = waves
        .into_values()
        .map(|mut wave| {
            wave.sort_by(|a, b| {
                rank(&b.key.kind)
                    .cmp(&rank(&a.key.kind))
                    .then_with(|| a.key.cmp(&b.key))
            });
            wave
        })
        .collect();
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finalizers_say_how_far_a_deletion_has_come() {
        let mut finalizers = vec![
            "mine",
            "post-delete-finalizer.argocd.argoproj.io/cleanup",
            "post-delete-finalizer.argocd.argoproj.io",
            "resources-finalizer.argocd.argoproj.io/background",
            "pre-delete-finalizer.argocd.argoproj.io/cleanup",
            "pre-delete-finalizer.argocd.argoproj.io",
        ];
        let mut stages = Vec::new();
        while !finalizers.is_empty() {
            stages.push(stage(finalizers.iter().copied()));
            finalizers.pop();
        }
        assert_eq!(
            stages,
            [
                Stage::Hooks(Moment::Before),
                Stage::Cleanup(Moment::Before),
                Stage::Objects(Propagation::Background),
                Stage::Hooks(Moment::After),
                Stage::Cleanup(Moment::After),
                Stage::Over,
            ]
        );
    }
}
