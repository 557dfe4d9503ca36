//! What of a cluster is watched, and how much it may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::cluster::Cluster;

use crate::discovery::ApiKind;

/// An object of a cluster has at most a few megabytes; OpenAPI documents are the largest answers.
const LARGEST_ANSWER: usize = 64 << 20;
/// The same of a stranger's cluster, which has no right to as much of our memory.
const LARGEST_STRANGE_ANSWER: usize = 8 << 20;
/// The largest event; etcd refuses objects a tenth of this size.
const LARGEST_EVENT: usize = 32 << 20;
/// The same of a stranger's cluster: the largest object that an apiserver takes, and as much again.
const LARGEST_STRANGE_EVENT: usize = 6 << 20;
/// How much of events that have not ended yet is held of a stranger's cluster, over all watches.
const MOST_UNFINISHED: usize = 32 << 20;
/// How many objects of a stranger's cluster are kept.
const MOST_OBJECTS: usize = 50_000;
/// How many bytes they may take.
const MOST_BYTES: usize = 128 << 20;
/// How many watches a stranger's cluster gets; each has a connection.
const MOST_WATCHES: usize = 1_000;

/// What of a cluster is watched, and how much it may be.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// Only these namespaces; all of them when empty.
    namespaces: Vec<Box<str>>,
    /// Whether cluster-scoped objects are watched beside some namespaces.
    cluster_scoped: bool,
    /// The most that is read of one answer, in bytes.
    pub(crate) largest_answer: usize,
    /// The most objects that are kept.
    pub(super) most_objects: usize,
    /// The most bytes that they may take.
    pub(super) most_bytes: usize,
    /// The most watches that are open at once.
    pub(super) most_watches: usize,
    /// What may be held of events.
    pub(super) events: Arc<Events>,
    /// How many objects are asked for at once where they are listed by pages.
    pub(super) page: usize,
}

/// How much may be held of events that have not come to their end.
#[derive(Debug)]
pub(super) struct Events {
    /// Of one.
    pub(super) largest: usize,
    /// Of all that have not ended.
    most: usize,
    held: AtomicUsize,
}

/// What one watch holds.
pub(super) struct Held {
    events: Arc<Events>,
    bytes: usize,
}

impl Held {
    pub(super) fn new(events: &Arc<Events>) -> Self {
        Self {
            events: Arc::clone(events),
            bytes: 0,
        }
    }

    /// Holds so many now. `false` where that is more than may be.
    pub(super) fn hold(&mut self, bytes: usize) -> bool {
        let held = &self.events.held;
        held.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
        let all = held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        bytes <= self.events.largest && all <= self.events.most
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.events.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Default for Watched {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            cluster_scoped: true,
            largest_answer: LARGEST_ANSWER,
            most_objects: usize::MAX,
            most_bytes: usize::MAX,
            most_watches: usize::MAX,
            events: Arc::new(Events {
                largest: LARGEST_EVENT,
                most: usize::MAX,
                held: AtomicUsize::new(0),
            }),
            page: 500,
        }
    }
}

impl Watched {
    /// What is watched of a cluster that a tenant has added.
    pub(crate) fn of(added: &Cluster) -> Self {
        let named = added.namespaces.iter().map(|name| name.trim());
        let mut namespaces: Vec<Box<str>> = named
            .filter(|name| !name.is_empty())
            .map(Box::from)
            .collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        Self {
            namespaces,
            cluster_scoped: added.cluster_resources,
            largest_answer: LARGEST_STRANGE_ANSWER,
            most_objects: MOST_OBJECTS,
            most_bytes: MOST_BYTES,
            most_watches: MOST_WATCHES,
            events: Arc::new(Events {
                largest: LARGEST_STRANGE_EVENT,
                most: MOST_UNFINISHED,
                held: AtomicUsize::new(0),
            }),
            page: 100,
        }
    }

    /// Whether it is counted what is kept.
    pub(super) fn is_bounded(&self) -> bool {
        self.most_bytes < usize::MAX
    }

    /// In which namespaces a kind is watched; the empty one stands for all, and for none where it has none.
    pub(super) fn places(&self, kind: &ApiKind) -> Vec<Box<str>> {
        match (self.namespaces.is_empty(), kind.namespaced) {
            (true, _) => vec![Box::default()],
            (false, true) => self.namespaces.clone(),
            (false, false) if self.cluster_scoped => vec![Box::default()],
            (false, false) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(namespaced: bool) -> ApiKind {
        ApiKind {
            group: String::new(),
            version: "v1".into(),
            kind: "Any".into(),
            plural: "anys".into(),
            namespaced,
            verbs: Vec::new(),
            status_apart: false,
        }
    }

    #[test]
    fn watches_hold_only_so_much_together() {
        let events = Watched::of(&Cluster::default()).events;
        let mut watches: Vec<Held> = (0..6).map(|_| Held::new(&events)).collect();
        let taken = watches
            .iter_mut()
            .filter_map(|watch| watch.hold(LARGEST_STRANGE_EVENT).then_some(()));
        assert_eq!(taken.count(), MOST_UNFINISHED / LARGEST_STRANGE_EVENT);
        drop(watches);
        let mut one = Held::new(&events);
        assert!(one.hold(LARGEST_STRANGE_EVENT) && !one.hold(LARGEST_STRANGE_EVENT + 1));
    }

    #[test]
    fn a_cluster_is_watched_as_far_as_it_was_added() {
        let places = |namespaces: &[&str], cluster_resources, namespaced| {
            let added = Cluster {
                namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
                cluster_resources,
                ..Cluster::default()
            };
            Watched::of(&added).places(&kind(namespaced)).join(",")
        };
        assert_eq!(Watched::default().places(&kind(true)), [Box::default()]);
        assert_eq!(
            Watched::of(&Cluster::default()).places(&kind(false)).len(),
            1
        );
        assert_eq!(places(&["b", " a", "b", ""], false, true), "a,b");
        let none = Cluster {
            namespaces: vec!["a".into()],
            ..Cluster::default()
        };
        assert!(Watched::of(&none).places(&kind(false)).is_empty());
        let besides = Cluster {
            cluster_resources: true,
            ..none
        };
        assert_eq!(Watched::of(&besides).places(&kind(false)).len(), 1);
    }
}
