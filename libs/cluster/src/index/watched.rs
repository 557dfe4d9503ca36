//! What of a cluster is watched, and how much it may be.

use std::sync::Arc;

use domain::cluster::Cluster;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::budget::{Budget, Share};
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
/// How many pages of its listings are asked for at the same time.
const MOST_PAGES: usize = 4;
/// How many changes may wait for the keeper; a full queue slows the watches down.
const QUEUE: usize = 4096;
/// The same of a stranger's cluster, where each may be megabytes.
const STRANGE_QUEUE: usize = 16;
/// How many changes are taken in under one lock.
const BATCH: usize = 512;
/// How many wakes may wait for a reader before it is told to look at everything.
const WAKES: usize = 8192;
/// The same of a stranger's cluster.
const STRANGE_WAKES: usize = 1024;

/// What of a cluster is watched, and how much it may be.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// Only these namespaces; all of them when empty.
    namespaces: Vec<Box<str>>,
    /// Whether cluster-scoped objects are watched beside some namespaces.
    cluster_scoped: bool,
    /// The most that is read of one answer, in bytes.
    pub(crate) largest_answer: usize,
    /// Whether it is a stranger's cluster, of which is counted what is kept.
    pub(super) strange: bool,
    /// The most objects that are kept.
    pub(super) most_objects: usize,
    /// What all that is kept may take, and how many watches may be open at once.
    pub(super) budget: Arc<Budget>,
    /// What may be held of events.
    pub(super) events: Arc<Events>,
    /// What may be held of listings by pages.
    pub(super) pages: Arc<Pages>,
    /// How many objects are asked for at once where they are listed by pages.
    pub(super) page: usize,
    /// How many changes may wait for the keeper.
    pub(super) queue: usize,
    /// How many of them are taken in under one lock.
    pub(super) batch: usize,
    /// How many wakes may wait for a reader.
    pub(super) wakes: usize,
}

/// How much may be held of events that have not come to their end.
#[derive(Debug)]
pub(super) struct Events {
    /// Of one.
    largest: usize,
    /// Of all that have not ended.
    budget: Arc<Budget>,
}

/// What one watch holds.
pub(super) struct Held {
    largest: usize,
    share: Share,
}

impl Held {
    pub(super) fn new(events: &Events) -> Self {
        Self {
            largest: events.largest,
            share: Share::of_bytes(&events.budget),
        }
    }

    /// Holds so many now. `false` where that is more than may be.
    pub(super) fn hold(&mut self, bytes: usize) -> bool {
        bytes <= self.largest && self.share.hold(bytes)
    }
}

/// How many pages of listings may be read at the same time. How large one is, is known only when all of it is there.
#[derive(Debug)]
pub(super) struct Pages {
    turns: Semaphore,
    largest: usize,
    budget: Arc<Budget>,
}

/// The right to one page, for as long as it is read.
pub(super) struct Turn<'a> {
    _permit: SemaphorePermit<'a>,
    _share: Share,
}

impl Pages {
    /// Waits until it is somebody's turn. `None` where there is no room for another page.
    pub(super) async fn turn(&self) -> Option<Turn<'_>> {
        let permit = self.turns.acquire().await.ok()?;
        let mut share = Share::of_bytes(&self.budget);
        share.hold(self.largest).then_some(Turn {
            _permit: permit,
            _share: share,
        })
    }
}

impl Default for Watched {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            cluster_scoped: true,
            largest_answer: LARGEST_ANSWER,
            strange: false,
            most_objects: usize::MAX,
            budget: Budget::unbounded(),
            events: Arc::new(Events {
                largest: LARGEST_EVENT,
                budget: Budget::unbounded(),
            }),
            pages: Arc::new(Pages {
                turns: Semaphore::new(Semaphore::MAX_PERMITS),
                largest: LARGEST_ANSWER,
                budget: Budget::unbounded(),
            }),
            page: 500,
            queue: QUEUE,
            batch: BATCH,
            wakes: WAKES,
        }
    }
}

impl Watched {
    /// What is watched of a cluster that a tenant has added; all that it takes counts in the budget.
    pub(crate) fn of(added: &Cluster, budget: &Arc<Budget>) -> Self {
        let named = added.namespaces.iter().map(|name| name.trim());
        let mut namespaces: Vec<Box<str>> = named
            .filter(|name| !name.is_empty())
            .map(Box::from)
            .collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        let part = |bytes, watches| Budget::new(bytes, watches, Some(Arc::clone(budget)));
        Self {
            namespaces,
            cluster_scoped: added.cluster_resources,
            largest_answer: LARGEST_STRANGE_ANSWER,
            strange: true,
            most_objects: MOST_OBJECTS,
            budget: part(MOST_BYTES, MOST_WATCHES),
            events: Arc::new(Events {
                largest: LARGEST_STRANGE_EVENT,
                budget: part(MOST_UNFINISHED, 0),
            }),
            pages: Arc::new(Pages {
                turns: Semaphore::new(MOST_PAGES),
                largest: LARGEST_STRANGE_ANSWER,
                budget: Arc::clone(budget),
            }),
            page: 100,
            queue: STRANGE_QUEUE,
            batch: STRANGE_QUEUE,
            wakes: STRANGE_WAKES,
        }
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

    fn of(added: &Cluster) -> Watched {
        Watched::of(added, &Budget::unbounded())
    }

    #[test]
    fn watches_hold_only_so_much_together() {
        let events = of(&Cluster::default()).events;
        let mut watches: Vec<Held> = (0..6).map(|_| Held::new(&events)).collect();
        let taken = watches
            .iter_mut()
            .filter_map(|watch| watch.hold(LARGEST_STRANGE_EVENT).then_some(()));
        assert_eq!(taken.count(), MOST_UNFINISHED / LARGEST_STRANGE_EVENT);
        drop(watches);
        let mut one = Held::new(&events);
        assert!(one.hold(LARGEST_STRANGE_EVENT) && !one.hold(LARGEST_STRANGE_EVENT + 1));
    }

    #[tokio::test]
    async fn so_many_pages_are_read_at_once_as_there_is_room_for() {
        let budget = Budget::new(3 * LARGEST_STRANGE_ANSWER, 0, None);
        let pages = Watched::of(&Cluster::default(), &budget).pages;
        let first = pages.turn().await;
        let others = [pages.turn().await, pages.turn().await];
        assert!(first.is_some() && others.iter().all(Option::is_some));
        assert!(pages.turn().await.is_none(), "no room for a fourth");
        drop(first);
        assert!(pages.turn().await.is_some());
    }

    #[test]
    fn what_a_cluster_takes_counts_in_the_budget() {
        let budget = Budget::new(100, 10, None);
        let watched = Watched::of(&Cluster::default(), &budget);
        let (mut bytes, mut watches) = (
            Share::of_bytes(&watched.budget),
            Share::of_watches(&watched.budget),
        );
        assert!(bytes.hold(90) && !bytes.hold(101));
        assert!(watches.hold(10) && !watches.hold(11));
        assert!(!Held::new(&watched.events).hold(20));
        drop(bytes);
        assert!(Held::new(&watched.events).hold(20));
    }

    #[test]
    fn a_cluster_is_watched_as_far_as_it_was_added() {
        let places = |namespaces: &[&str], cluster_resources, namespaced| {
            let added = Cluster {
                namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
                cluster_resources,
                ..Cluster::default()
            };
            of(&added).places(&kind(namespaced)).join(",")
        };
        assert_eq!(Watched::default().places(&kind(true)), [Box::default()]);
        assert_eq!(of(&Cluster::default()).places(&kind(false)).len(), 1);
        assert_eq!(places(&["b", " a", "b", ""], false, true), "a,b");
        let none = Cluster {
            namespaces: vec!["a".into()],
            ..Cluster::default()
        };
        assert!(of(&none).places(&kind(false)).is_empty());
        let besides = Cluster {
            cluster_resources: true,
            ..none
        };
        assert_eq!(of(&besides).places(&kind(false)).len(), 1);
    }
}
