//! What lives in the cluster: one entry per object, kept true by one watch per kind.
//!
//! Reading takes a lock for as long as the look-up lasts. Only the keeper's task ([`run`]) writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::resource::{GroupKind, ResourceKey};
use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

mod body;
mod entry;
mod fingerprint;
mod keeper;
mod named;
mod recognised;
mod rights;
mod state;
mod wake;
mod watched;
mod watcher;

pub use entry::{LiveEntry, Owner, Tracking};
pub use fingerprint::Fingerprint;
pub(crate) use keeper::{Keeper, run};
pub use wake::{Wake, Wakes};
pub(crate) use watched::Watched;

use crate::budget::Share;
use entry::Reader;
use named::Named;
use state::State;

/// How long the keeper has to take the answer to a write in. Nobody may be there any more who does.
const TAKING_IN: Duration = Duration::from_secs(5);

/// A handle to what lives in the cluster. Clones are cheap.
#[derive(Clone)]
pub struct Index {
    state: Arc<RwLock<State>>,
    changes: mpsc::Sender<Change>,
    wakes: wake::Sender,
    ready: watch::Receiver<bool>,
    reader: Arc<Reader>,
}

/// What the watches and we ourselves report to the keeper.
enum Change {
    /// An object is there, as a watch says. What it takes counts in a budget until it is taken in.
    Seen {
        entry: Arc<LiveEntry>,
        _counted: Share,
    },
    /// An object is gone; with the version at which it went.
    Gone {
        key: ResourceKey,
        resource_version: u64,
    },
    /// Every object of a kind, in a namespace or in all, has been reported since the listing began.
    Listed {
        kind: GroupKind,
        namespace: Box<str>,
        resource_version: u64,
        named: Named,
    },
    /// The cluster has the kind no more: nobody waits for it, and what was known of it goes. With whom to tell when that is so.
    Dropped {
        kind: GroupKind,
        done: oneshot::Sender<()>,
    },
    /// The kind cannot be listed in that version (any more), in a namespace or anywhere: nobody waits for that, and what was known
    /// of it there goes, though it may be there. With whom to tell when that is so.
    Refused {
        kind: GroupKind,
        namespace: Box<str>,
        version: Arc<str>,
        done: oneshot::Sender<()>,
    },
    /// The answer to our own write, and whom to tell when it is in.
    Observed {
        entry: Arc<LiveEntry>,
        done: oneshot::Sender<()>,
    },
}

pub(crate) fn create(fingerprint_key: [u8; 32], watched: &Watched) -> (Index, Keeper) {
    let (changes, inbox) = mpsc::channel(watched.queue);
    let (ready_sender, ready) = watch::channel(false);
    let state = Arc::new(RwLock::new(State::default()));
    let wakes = wake::Sender::new(watched.wakes);
    let reader = Arc::new(Reader::new(fingerprint_key, watched.strange));
    let index = Index {
        state,
        changes,
        wakes,
        ready,
        reader,
    };
    let share = Share::of_bytes(&watched.budget);
    (index, Keeper::new(inbox, ready_sender, share))
}

impl Index {
    /// The objects that name an application, by either mark, and its tenant.
    #[must_use]
    pub fn snapshot(&self, installation: &str, app: &str) -> Vec<Arc<LiveEntry>> {
        self.state.read().tracked(installation, app)
    }

    /// The applications that name a tenant on an object like this.
    #[must_use]
    pub fn apps_with(
        &self,
        installation: &str,
        like: impl Fn(&LiveEntry) -> bool,
    ) -> Vec<Arc<str>> {
        self.state.read().apps_with(installation, like)
    }

    /// The objects that nobody owns and whose label alone names an application, without a tenant: in these namespaces, or
    /// wherever they are.
    #[must_use]
    pub fn labelled(&self, app: &str, namespaces: Option<&[String]>) -> Vec<Arc<LiveEntry>> {
        self.state.read().labelled(app, namespaces)
    }

    /// One object.
    #[must_use]
    pub fn get(&self, key: &ResourceKey) -> Option<Arc<LiveEntry>> {
        self.state.read().get(key)
    }

    /// The objects that name this one as an owner.
    #[must_use]
    pub fn children(&self, uid: &str) -> Vec<Arc<LiveEntry>> {
        self.state.read().children(uid)
    }

    /// Everything below these objects, each once, parents before children; the objects themselves are not in it.
    #[must_use]
    pub fn descendants<'a>(&self, uids: impl IntoIterator<Item = &'a str>) -> Vec<Arc<LiveEntry>> {
        self.state.read().descendants(uids)
    }

    /// The objects of a namespace; of the empty one, the cluster-scoped objects.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<LiveEntry>> {
        self.state.read().in_namespace(namespace)
    }

    /// The objects of a kind.
    #[must_use]
    pub fn of_kind(&self, kind: &GroupKind) -> Vec<Arc<LiveEntry>> {
        self.state.read().of_kind(kind)
    }

    /// How many objects there are, by kind.
    #[must_use]
    pub fn counts(&self) -> HashMap<GroupKind, usize> {
        self.state.read().counts()
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.read().len()
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a kind has been listed wherever it is watched.
    #[must_use]
    pub fn is_synced(&self, kind: &GroupKind) -> bool {
        self.state.read().is_synced(kind)
    }

    /// Whether an object's kind has been listed where the object would be, so that a missing entry means a missing object.
    #[must_use]
    pub fn would_have(&self, key: &ResourceKey) -> bool {
        self.state.read().would_have(key)
    }

    /// Ends when every kind has been listed once.
    pub async fn ready(&self) {
        let mut ready = self.ready.clone();
        if ready.wait_for(|ready| *ready).await.is_err() {
            // The keeper is gone with the cluster; nothing will ever be ready.
            std::future::pending::<()>().await;
        }
    }

    /// Whether every kind has been listed once.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// For how long the cluster has answered and yet not every kind is listed, and one that is not. `None` where all are
    /// listed, it does not answer, or its kinds are not known.
    #[must_use]
    pub fn lagging(&self) -> Option<(Duration, GroupKind)> {
        if self.is_ready() {
            return None;
        }
        let (since, kind) = self.state.read().lagging()?;
        Some((since.elapsed(), kind))
    }

    /// What changes from now on.
    #[must_use]
    pub fn subscribe(&self) -> Wakes {
        self.wakes.subscribe()
    }

    /// Takes in the object that the cluster answered to a write of ours, so that a comparison need not wait for the
    /// watch to say the same; the newer of the two stays. Gives the entry as it is now in the index.
    ///
    /// `None` where the object's version is not the one that is watched, or it is not taken in soon: the watch brings it,
    /// unless the cluster is not followed any more.
    pub async fn observe(&self, object: &Value) -> Option<Arc<LiveEntry>> {
        let key = ResourceKey::of(object);
        let api_version = domain::resource::text(object, &["apiVersion"]);
        let (_, version) = domain::resource::split_api_version(api_version);
        let watched = self.state.read().watched_version(&key.group_kind())?;
        if watched.as_ref() != version {
            return None;
        }
        let entry = Arc::new(self.reader.read(object, &key.group, &key.kind, &watched)?);
        let taken_in = async {
            let (done, taken) = oneshot::channel();
            let observed = Change::Observed { entry, done };
            self.changes.send(observed).await.ok()?;
            taken.await.ok()
        };
        tokio::time::timeout(TAKING_IN, taken_in).await.ok()??;
        self.get(&key)
    }

    /// An object as the index would have it, for one of a kind that it does not watch. `None` when it has no name or uid.
    #[must_use]
    pub fn read(&self, object: &Value) -> Option<Arc<LiveEntry>> {
        let key = ResourceKey::of(object);
        let api_version = domain::resource::text(object, &["apiVersion"]);
        let (_, version) = domain::resource::split_api_version(api_version);
        let entry = self
            .reader
            .read(object, &key.group, &key.kind, &version.into());
        entry.map(Arc::new)
    }

    /// The fingerprint of a whole object as the index takes it, for one in the watched version.
    #[must_use]
    pub fn fingerprint(&self, object: &Value) -> Fingerprint {
        self.reader.fingerprint(object)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pods() -> GroupKind {
        GroupKind::new("", "Pod")
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_in_is_not_waited_for() {
        let (index, _keeper) = create([0; 32], &Watched::default());
        index
            .state
            .write()
            .expect(pods(), "v1".into(), Box::default());
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "a", "namespace": "web", "uid": "u", "resourceVersion": "5"}});
        assert!(index.observe(&pod).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_is_not_listed_is_named_while_the_cluster_answers() {
        let (index, _keeper) = create([0; 32], &Watched::default());
        index
            .state
            .write()
            .expect(pods(), "v1".into(), Box::default());
        assert_eq!(index.lagging(), None, "it has not answered yet");
        index.state.write().set_reachable(true);
        tokio::time::advance(Duration::from_secs(31)).await;
        index.state.write().set_reachable(true);
        assert_eq!(index.lagging(), Some((Duration::from_secs(31), pods())));
        index.state.write().set_reachable(false);
        assert_eq!(index.lagging(), None, "it is away");
        index.state.write().set_reachable(true);
        index.state.write().set_listed(&pods(), "");
        assert_eq!(index.lagging(), None, "all is listed");
    }
}
