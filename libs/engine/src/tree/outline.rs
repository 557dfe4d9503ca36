//! The objects that an application's tree begins with, by what they are alone: nothing is compared.

use std::collections::{BTreeMap, HashMap};

use domain::resource::ResourceKey;
use domain::status::ResourceStatus;

use super::Entry;
use crate::claim::{Claimant, Owner};
use crate::options::Role;
use crate::prepare::Target;

/// What a tree needs to know of a target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Which object.
    pub key: ResourceKey,
    /// The version that its manifest names.
    pub version: String,
    /// Whether it is a hook.
    pub hook: bool,
    /// Whether what lives there is none of the application's business.
    pub outside: bool,
}

impl From<&Target> for Wanted {
    fn from(target: &Target) -> Self {
        Self {
            key: target.key.clone(),
            version: target.version.clone(),
            hook: target.role == Role::Hook,
            outside: target.outside,
        }
    }
}

/// The objects that a comparison would list, as [`Comparison::statuses`](crate::Comparison::statuses) does, without saying how
/// they stand: what Git wants, hooks where they are there, and what is live and the application's own.
#[must_use]
pub fn outline(
    claimant: &Claimant<'_>,
    wanted: &[Wanted],
    live: &[Entry<'_>],
) -> Vec<ResourceStatus> {
    let owner = |entry: &Entry<'_>| claimant.owner(entry.body, entry.key, !entry.owners.is_empty());
    let there: HashMap<&ResourceKey, &Entry<'_>> =
        live.iter().map(|entry| (entry.key, entry)).collect();
    let is_there = |wanted: &Wanted| {
        let theirs = |entry: &Entry<'_>| matches!(owner(entry), Owner::Installation(_));
        let entry = there.get(&wanted.key).copied();
        !wanted.outside && entry.is_some_and(|entry| !theirs(entry))
    };
    // Nothing for a hook that is not there: it is no object, and what has its name is not the application's either.
    let mut found: BTreeMap<&ResourceKey, Option<&str>> = BTreeMap::new();
    for one in wanted {
        let shown = !one.hook || is_there(one);
        found.insert(&one.key, shown.then_some(one.version.as_str()));
    }
    for entry in live {
        let other = entry.owners.is_empty() && !found.contains_key(entry.key);
        if other && owner(entry) == Owner::Ours {
            found.insert(entry.key, Some(entry.version));
        }
    }
    let shown = found
        .into_iter()
        .filter_map(|(key, version)| Some(listed(key, version?)));
    shown.collect()
}

/// An object as a tree begins with it.
#[must_use]
pub fn listed(key: &ResourceKey, version: &str) -> ResourceStatus {
    ResourceStatus {
        key: key.clone(),
        version: version.to_owned(),
        status: None,
        health: None,
        health_message: String::new(),
        requires_pruning: false,
        requires_deletion_confirmation: false,
        sync_wave: 0,
        hook: false,
    }
}
