//! The resource tree: an application's objects and everything beneath them, as clients draw it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::clock::Timestamp;
use domain::resource::{ResourceKey, annotation, at};
use domain::status::{HealthCode, ResourceStatus};
use serde_json::Value;

use crate::health::{self, Checked, Health};

mod network;
mod outline;
mod pod;

pub use network::{Address, Network};
pub use outline::{Wanted, listed, outline};

/// A live object as the index has it.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Which object.
    pub key: &'a ResourceKey,
    /// The version it is read in.
    pub version: &'a str,
    /// Its uid.
    pub uid: &'a str,
    /// Its resourceVersion.
    pub resource_version: &'a str,
    /// The uids of its owners.
    pub owners: Vec<&'a str>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// The parts that health and this module read.
    pub body: &'a Value,
    /// The images that it names.
    pub images: Vec<&'a str>,
}

/// No object has so many of its application's own above it that it is looked at more often than this, on average: a chain of
/// thousands, each of them the application's own, would be walked from each of its links.
const MAX_LOOKS: usize = 16;

/// What tenants' own checks say, by object.
pub type Checks = HashMap<ResourceKey, Checked>;

/// How each live object fares, with what is beneath it: the input of [`assemble`](crate::assemble()).
#[must_use]
pub fn assess(
    live: &[Entry<'_>],
    beneath: &[Entry<'_>],
    checks: &Checks,
) -> HashMap<ResourceKey, Health> {
    let children = Children::of(live.iter().chain(beneath));
    live.iter()
        .filter_map(|entry| Some((entry.key.clone(), fares(entry, &children, checks)?)))
        .collect()
}

fn fares(entry: &Entry<'_>, children: &Children<'_>, checks: &Checks) -> Option<Health> {
    let below = children.bodies_below(entry.uid);
    health::assess_checked(entry.body, &below, checks.get(entry.key))
}

/// A node's parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Which object.
    pub key: ResourceKey,
    /// The version it is read in.
    pub version: String,
    /// Its uid.
    pub uid: String,
}

/// One node. For an object that is not there, uid, resource version and time are empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Which object.
    pub key: ResourceKey,
    /// The version it is read in.
    pub version: String,
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Its parents within the tree; none for the application's own objects.
    pub parents: Vec<Parent>,
    /// Facts for people: (name, value).
    pub info: Vec<(String, String)>,
    /// The images that it names.
    pub images: Vec<String>,
    /// How it fares: code and sentence; `None` for kinds without a rule.
    pub health: Option<(HealthCode, String)>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Where its traffic comes from and goes to.
    pub network: Option<Network>,
}

/// The nodes of an application: its own objects, in the order of `managed`, then what is beneath, by key.
///
/// `live` are the managed objects that are there; `beneath` is everything below them.
#[must_use]
pub fn build(
    managed: &[ResourceStatus],
    live: &[Entry<'_>],
    beneath: &[Entry<'_>],
    checks: &Checks,
) -> Vec<Node> {
    let children = Children::of(live.iter().chain(beneath));
    let entries: HashMap<&ResourceKey, &Entry<'_>> =
        live.iter().map(|entry| (entry.key, entry)).collect();
    let by_uid: HashMap<&str, &Entry<'_>> = live
        .iter()
        .chain(beneath)
        .map(|entry| (entry.uid, entry))
        .collect();
    let own: BTreeSet<&ResourceKey> = managed.iter().map(|status| &status.key).collect();
    let mut nodes: Vec<Node> = managed
        .iter()
        .map(|status| match entries.get(&status.key) {
            Some(entry) => node(entry, Vec::new(), fares(entry, &children, checks)),
            None => absent(status),
        })
        .collect();
    let mut below: Vec<&Entry<'_>> = beneath
        .iter()
        .filter(|entry| !own.contains(entry.key))
        .collect();
    below.sort_by_key(|entry| entry.key);
    below.dedup_by_key(|entry| entry.key);
    for entry in below {
        let parents: Vec<Parent> = entry
            .owners
            .iter()
            .filter(|uid| **uid != entry.uid)
            .filter_map(|uid| by_uid.get(uid))
            .map(|owner| Parent {
                key: owner.key.clone(),
                version: owner.version.to_owned(),
                uid: owner.uid.to_owned(),
            })
            .collect();
        // A node without a parent would be drawn as one of the application's own.
        if !parents.is_empty() {
            let health = health::assess_checked(entry.body, &[], checks.get(entry.key));
            nodes.push(node(entry, parents, health));
        }
    }
    nodes
}

/// The entries by the uid of each owner.
struct Children<'a> {
    by_owner: HashMap<&'a str, Vec<&'a Entry<'a>>>,
    /// How many may still be come by.
    left: Cell<usize>,
}

impl<'a> Children<'a> {
    fn of(entries: impl Iterator<Item = &'a Entry<'a>>) -> Self {
        let mut by_owner: HashMap<&str, Vec<&Entry<'_>>> = HashMap::new();
        let mut owned: usize = 0;
        for entry in entries {
            for owner in &entry.owners {
                by_owner.entry(owner).or_default().push(entry);
                owned += 1;
            }
        }
        Self {
            by_owner,
            left: Cell::new(owned.saturating_mul(MAX_LOOKS)),
        }
    }

    /// The bodies of everything below an object, at any depth, each once; nothing more of it once enough was come by below others.
    fn bodies_below(&self, uid: &'a str) -> Vec<&'a Value> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::from([uid]);
        let mut front = vec![uid];
        while let Some(parent) = front.pop() {
            for entry in self.by_owner.get(parent).into_iter().flatten() {
                let Some(left) = self.left.get().checked_sub(1) else {
                    return found;
                };
                self.left.set(left);
                if seen.insert(entry.uid) {
                    found.push(entry.body);
                    front.push(entry.uid);
                }
            }
        }
        found
    }
}

fn node(entry: &Entry<'_>, parents: Vec<Parent>, health: Option<Health>) -> Node {
    let mut images: Vec<String> = entry
        .images
        .iter()
        .map(|image| (*image).to_owned())
        .collect();
    images.sort();
    images.dedup();
    let mut info = Vec::new();
    if let Some(revision) = revision(entry) {
        info.push(("Revision".to_owned(), format!("Rev:{revision}")));
    }
    let is_pod = entry.key.group.is_empty() && entry.key.kind == "Pod";
    if is_pod {
        info.extend(pod::info(entry.body));
    }
    Node {
        key: entry.key.clone(),
        version: entry.version.to_owned(),
        uid: entry.uid.to_owned(),
        resource_version: entry.resource_version.to_owned(),
        parents,
        info,
        images: if is_pod { images } else { Vec::new() },
        health: health.map(|health| (health.code, health.message)),
        created_at: entry.created_at,
        network: network::of(entry.body, entry.key),
    }
}

fn absent(status: &ResourceStatus) -> Node {
    Node {
        key: status.key.clone(),
        version: status.version.clone(),
        uid: String::new(),
        resource_version: String::new(),
        parents: Vec::new(),
        info: Vec::new(),
        images: Vec::new(),
        health: Some((HealthCode::Missing, String::new())),
        created_at: None,
        network: None,
    }
}

/// The number of a rollout step.
fn revision(entry: &Entry<'_>) -> Option<i64> {
    let told = [
        "deployment.kubernetes.io/revision",
        "rollout.argoproj.io/revision",
    ]
    .into_iter()
    .find_map(|name| annotation(entry.body, name));
    let revision = match told {
        Some(text) => text.parse().ok()?,
        None => at(entry.body, &["revision"])?.as_i64()?,
    };
    (revision > 0).then_some(revision)
}

/// The links that an application's tree offers, and the images that it runs: both sorted, each once.
#[must_use]
pub fn summary(nodes: &[Node]) -> (Vec<String>, Vec<String>) {
    let mut urls = BTreeMap::new();
    let mut images = BTreeSet::new();
    for node in nodes {
        for url in node
            .network
            .iter()
            .flat_map(|network| &network.external_urls)
        {
            urls.insert(url.clone(), ());
        }
        images.extend(node.images.iter().cloned());
    }
    (urls.into_keys().collect(), images.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many are found below each of so many, of which each owns the next one.
    fn below_each_of(length: usize) -> Vec<usize> {
        let (key, body) = (ResourceKey::default(), Value::Null);
        let uids: Vec<String> = (0..length).map(|at| format!("{at}")).collect();
        let owners = std::iter::once(None).chain(uids.iter().map(Some));
        let chain: Vec<Entry<'_>> = uids
            .iter()
            .zip(owners)
            .map(|(uid, owner)| Entry {
                key: &key,
                version: "v1",
                uid: uid.as_str(),
                resource_version: "1",
                owners: owner.map(String::as_str).into_iter().collect(),
                created_at: None,
                body: &body,
                images: Vec::new(),
            })
            .collect();
        let children = Children::of(chain.iter());
        chain
            .iter()
            .map(|entry| children.bodies_below(entry.uid).len())
            .collect()
    }

    #[test]
    fn what_is_in_a_long_chain_is_looked_at_only_so_often() {
        let short = 2 * MAX_LOOKS;
        assert_eq!(below_each_of(short), (0..short).rev().collect::<Vec<_>>());
        let long: usize = below_each_of(1_000).iter().sum();
        assert_eq!(long, 999 * MAX_LOOKS);
    }
}
