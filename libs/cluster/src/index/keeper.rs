//! The one task that changes the index, and the tasks that feed it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use domain::resource::{GroupKind, says, text};
use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::{MutexGuard, Notify, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::rights::Rights;
use super::state::State;
use super::watcher::Watcher;
use super::{Change, Index, Wake, Watched};
use crate::budget::Share;
use crate::connect::Cluster;
use crate::discovery::{ApiKind, Discovery};

/// The connection is looked at this often, and at once when a watch fails.
const LOOK: Duration = Duration::from_secs(10);
/// While it is down, this often.
const LOOK_DOWN: Duration = Duration::from_secs(1);
/// Kinds are asked for this often even when nothing hints at a change.
const REDISCOVER: Duration = Duration::from_secs(600);
/// When a cluster that had more than may be is tried again.
const TOO_MUCH: Duration = Duration::from_secs(60);
/// Changes of definitions come in groups; one question answers them all.
const SETTLE: Duration = Duration::from_millis(250);
/// After a change they are asked for again so long after each other: a cluster lists a new kind a moment after it has
/// said that its definition is good, which is a long one where it is busy or has just started, and of several servers one knows
/// it before another.
const ECHOES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
];
/// While a definition is good whose kind is not listed they are asked for again after so long at the latest, and each time after
/// twice as long: that kind is about to come, or another server has its group and it never does.
const AWAITED: Duration = Duration::from_secs(1);
const LONGEST_AWAITED: Duration = Duration::from_secs(60);

/// What only the running task may hold.
pub(crate) struct Keeper {
    inbox: mpsc::Receiver<Change>,
    ready: watch::Sender<bool>,
    /// What is known, where that is weighed.
    share: Share,
}

impl Keeper {
    pub(super) fn new(
        inbox: mpsc::Receiver<Change>,
        ready: watch::Sender<bool>,
        share: Share,
    ) -> Self {
        Self {
            inbox,
            ready,
            share,
        }
    }

    /// Takes changes in, until there are more objects than may be.
    async fn keep(&mut self, index: &Index, watched: &Watched, kinds_changed: &Notify) {
        let mut batch = Vec::with_capacity(watched.batch);
        while self.inbox.recv_many(&mut batch, watched.batch).await > 0 {
            let mut told = Vec::new();
            let mut wakes = HashSet::new();
            let was_ready = *self.ready.borrow();
            let mut ready = false;
            let mut full = false;
            {
                let mut state = index.state.write();
                for change in batch.drain(..) {
                    wakes.extend(take(&mut state, change, &mut told, kinds_changed));
                    // With each: one alone may be megabytes.
                    full = watched.strange && !self.fits(&state, watched);
                    if full {
                        break;
                    }
                }
                if !was_ready {
                    // Until everything is listed, everything is news; one resync follows for all.
                    wakes.clear();
                    ready = state.all_synced();
                }
            }
            for done in told {
                // Whoever waited may have given up.
                let _ = done.send(());
            }
            if ready {
                self.ready.send_replace(true);
                wakes = HashSet::from([Wake::Resync]);
            }
            for wake in wakes {
                index.wakes.send(wake);
            }
            if full {
                return;
            }
        }
    }

    /// Whether what is known is no more than may be.
    fn fits(&mut self, state: &State, watched: &Watched) -> bool {
        state.len() <= watched.most_objects && self.share.hold(state.weight())
    }

    /// Forgets all that is known.
    fn clear(&mut self, index: &Index) {
        self.ready.send_replace(false);
        *index.state.write() = State::default();
        self.share.hold(0);
        self.ignore();
    }

    /// What the watches had still to say counts for nothing: no kind is expected. Whoever waits for an answer is released by
    /// the drop.
    fn ignore(&mut self) {
        while self.inbox.try_recv().is_ok() {}
    }
}

/// Keeps the index; with its end nothing that is known is true any more.
struct Kept<'a> {
    keeper: MutexGuard<'a, Keeper>,
    index: &'a Index,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.keeper.ready.send_replace(false);
        self.index.state.write().expect_nothing();
        self.keeper.ignore();
    }
}

impl Change {
    fn kind(&self) -> GroupKind {
        match self {
            Self::Seen { entry, .. } | Self::Observed { entry, .. } => entry.key.group_kind(),
            Self::Gone { key, .. } => key.group_kind(),
            Self::Listed { kind, .. } | Self::Dropped { kind, .. } | Self::Refused { kind, .. } => {
                kind.clone()
            }
        }
    }
}

fn take(
    state: &mut State,
    change: Change,
    told: &mut Vec<oneshot::Sender<()>>,
    kinds_changed: &Notify,
) -> HashSet<Wake> {
    let kind = change.kind();
    if defines_kinds(&kind) {
        kinds_changed.notify_one();
    }
    // The last words of a watch that was ended count for nothing. Whoever waits for an answer is released by the drop.
    let Some(watched) = state.watched_version(&kind) else {
        return HashSet::new();
    };
    match change {
        Change::Seen { entry, .. } | Change::Observed { entry, .. } if entry.version != watched => {
            HashSet::new()
        }
        // One in another version is asked for by now.
        Change::Refused { version, .. } if version != watched => HashSet::new(),
        // Counted with all that is known from now on.
        Change::Seen { entry, .. } => state.put_named(entry),
        Change::Gone {
            key,
            resource_version,
        } => state.remove(&key, resource_version),
        Change::Listed {
            kind,
            namespace,
            resource_version,
            named,
        } => {
            let wakes = state.retain(&kind, &namespace, named.keys(), resource_version);
            state.set_listed(&kind, &namespace);
            wakes
        }
        Change::Dropped { kind, done } => {
            told.push(done);
            state.forget_kind(&kind)
        }
        Change::Refused {
            kind,
            namespace,
            done,
            ..
        } => {
            told.push(done);
            state.refuse(&kind, &namespace)
        }
        Change::Observed { entry, done } => {
            told.push(done);
            state.put(entry)
        }
    }
}

/// Whether a change of such an object may change which kinds there are.
fn defines_kinds(kind: &GroupKind) -> bool {
    (kind.group == "apiextensions.k8s.io" && kind.kind == "CustomResourceDefinition")
        || (kind.group == "apiregistration.k8s.io" && kind.kind == "APIService")
}

/// Keeps a cluster's kinds, index and connection state true. Never ends by itself.
pub(crate) async fn run(cluster: Cluster) {
    let index = cluster.index();
    let mut kept = Kept {
        keeper: cluster.inner.keeper.lock().await,
        index,
    };
    loop {
        let why = follow(&cluster, &mut kept.keeper).await;
        // Watching on would cost memory that is everybody's; it is tried again, since much can be deleted.
        kept.keeper.clear(index);
        cluster.set_connection(Some(why));
        tokio::time::sleep(TOO_MUCH).await;
    }
}

/// Watches, until there is more than may be watched; why that is so.
async fn follow(cluster: &Cluster, keeper: &mut Keeper) -> String {
    let kinds_changed = Notify::new();
    let trouble = Arc::new(Notify::new());
    let full = Arc::new(Notify::new());
    let index = cluster.index();
    let watched = &cluster.inner.watched;
    let found = cluster.inner.discoverer.news();
    let rest = async {
        tokio::join!(
            look(cluster, &trouble, &kinds_changed),
            rediscover(cluster, &kinds_changed),
        )
    };
    tokio::select! {
        () = keeper.keep(index, watched, &kinds_changed) => too_much("objects"),
        () = full.notified() => too_much("objects"),
        () = watch_kinds(cluster, &trouble, &full, found) => too_much("kinds"),
        _ = rest => String::new(),
    }
}

fn too_much(what: &str) -> String {
    format!(
        "the cluster has more {what} than are followed, by itself or with the others that are added; \
         add it with the namespaces that matter (`argocd cluster add --namespace`)"
    )
}

/// Looks whether the cluster answers.
async fn look(cluster: &Cluster, trouble: &Notify, kinds_changed: &Notify) {
    let transport = &cluster.inner.transport;
    let mut was_up = None;
    loop {
        let asked = transport
            .get(
                &crate::transport::Identity::default(),
                "/version",
                "application/json",
            )
            .await;
        let failure = asked.err().map(|error| error.to_string());
        let up = failure.is_none();
        cluster.index().state.write().set_reachable(up);
        cluster.set_connection(failure);
        if up && was_up == Some(false) {
            // What happened meanwhile comes through the watches; what the clock brought does not.
            cluster.index().wakes.send(Wake::Resync);
            kinds_changed.notify_one();
        }
        was_up = Some(up);
        if up {
            let _ = tokio::time::timeout(LOOK, trouble.notified()).await;
        }
        tokio::time::sleep(if up { SETTLE } else { LOOK_DOWN }).await;
    }
}

/// Asks for the kinds at the start, when definitions change, and now and then.
async fn rediscover(cluster: &Cluster, kinds_changed: &Notify) {
    let mut pauses = Pauses::default();
    loop {
        match cluster.refresh_discovery().await {
            Ok(kinds) => {
                // Also where nothing is new: a watch that was refused is tried again.
                cluster.inner.discoverer.tell();
                let pause = pauses.next(awaits_kinds(cluster.index(), &kinds));
                let changed = tokio::time::timeout(pause, kinds_changed.notified()).await;
                if changed.is_ok() {
                    pauses = Pauses::default();
                }
                tokio::time::sleep(SETTLE).await;
            }
            Err(error) => {
                tracing::debug!(%error, "the cluster's kinds could not be asked for");
                tokio::time::sleep(LOOK_DOWN).await;
            }
        }
    }
}

/// How long nobody asks for the kinds again, if no definition changes.
struct Pauses {
    echoes: std::array::IntoIter<Duration, 3>,
    awaited: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            echoes: ECHOES.into_iter(),
            awaited: AWAITED,
        }
    }
}

impl Pauses {
    /// The next one; whether a kind that is defined is not listed.
    fn next(&mut self, awaits: bool) -> Duration {
        let pause = self.echoes.next().unwrap_or(REDISCOVER);
        if !awaits {
            return pause;
        }
        let longest = self.awaited;
        self.awaited = (longest * 2).min(LONGEST_AWAITED);
        pause.min(longest)
    }
}

/// Whether a definition says that its kind is served, and the cluster does not list it.
fn awaits_kinds(index: &Index, listed: &Discovery) -> bool {
    index.of_kind(&definitions()).iter().any(|definition| {
        let (group, kind) = defined(&definition.body);
        says(&definition.body, "Established", "True") && listed.resolve(group, None, kind).is_none()
    })
}

/// The kind of definitions.
fn definitions() -> GroupKind {
    GroupKind::new("apiextensions.k8s.io", "CustomResourceDefinition")
}

/// The group and the kind that a definition defines.
fn defined(definition: &Value) -> (&str, &str) {
    let part = |path: &[&str]| text(definition, path);
    (part(&["spec", "group"]), part(&["spec", "names", "kind"]))
}

/// Runs the watches of each kind, as kinds come and go, until there are more than may be.
async fn watch_kinds(
    cluster: &Cluster,
    trouble: &Arc<Notify>,
    full: &Arc<Notify>,
    mut found: watch::Receiver<()>,
) {
    let mut running: HashMap<(GroupKind, Box<str>), (ApiKind, AbortHandle)> = HashMap::new();
    // Dropping the set ends them all.
    let mut tasks = JoinSet::new();
    let watched = &cluster.inner.watched;
    let mut open = Share::of_watches(&watched.budget);
    let rights = Arc::<Rights>::default();
    let mut known: Arc<Discovery> = Arc::default();
    while found.changed().await.is_ok() {
        while tasks.try_join_next().is_some() {}
        let discovery = cluster.discovery();
        let places = discovery.watched().flat_map(|kind| {
            let places = watched.places(kind).into_iter();
            places.map(move |place| ((kind.group_kind(), place), kind))
        });
        let wanted: HashMap<(GroupKind, Box<str>), &ApiKind> = places.collect();
        // One that is not watched, or another version of one that is, is news to whoever wants it. One that is tried again is
        // none: what there is of it wakes whoever it concerns.
        let mut changed = !discovery.has_kinds_of(&known);
        known = Arc::clone(&discovery);
        let gone = running.keys().any(|place| !wanted.contains_key(place));
        let defined = match gone {
            true => defined_kinds(cluster.index()),
            false => HashSet::new(),
        };
        let ended: Vec<(GroupKind, Box<str>)> = running
            .iter()
            .filter(|(place, (kind, task))| {
                let stays = match wanted.get(place) {
                    Some(now) => *now == kind,
                    None => defined.contains(&place.0),
                };
                !stays || task.is_finished()
            })
            .map(|(place, _)| place.clone())
            .collect();
        let kept = running
            .keys()
            .filter(|place| !wanted.contains_key(*place) && !ended.contains(place));
        let kept = kept.count();
        if !open.hold(wanted.len().saturating_add(kept)) {
            return;
        }
        // Those that were listed in another version until now: what is refused there may be served in a moment, as what was
        // listed in this one.
        let mut listed = HashSet::new();
        for place in ended {
            if let Some((_, task)) = running.remove(&place) {
                task.abort();
            }
            if !wanted.contains_key(&place) {
                changed = true;
                let (kind, _) = place;
                drop_kind(&cluster.index().changes, kind).await;
            } else if cluster.index().state.read().is_listed(&place.0, &place.1) {
                listed.insert(place);
            }
        }
        let new: Vec<_> = wanted
            .into_iter()
            .filter(|(place, _)| !running.contains_key(place))
            .collect();
        expect(&cluster.index().state, &new);
        for (place, kind) in new {
            let watcher = Watcher {
                transport: cluster.inner.transport.clone(),
                reader: Arc::clone(&cluster.index().reader),
                changes: cluster.index().changes.clone(),
                trouble: Arc::clone(trouble),
                full: Arc::clone(full),
                rights: Arc::clone(&rights),
                strange: watched.strange,
                kind: kind.clone(),
                listed: listed.contains(&place),
                namespace: place.1.clone(),
                events: Arc::clone(&watched.events),
                pages: Arc::clone(&watched.pages),
                budget: Arc::clone(&watched.budget),
                page: watched.page,
            };
            running.insert(place, (kind.clone(), tasks.spawn(watcher.run())));
        }
        if changed {
            cluster.index().wakes.send(Wake::Kinds);
        }
    }
}

/// Has what is known of a kind go, behind whatever its watch had reported before it ended, and before it may come again.
async fn drop_kind(changes: &mpsc::Sender<Change>, kind: GroupKind) {
    let (done, dropped) = oneshot::channel();
    let sent = changes.send(Change::Dropped { kind, done }).await;
    if sent.is_ok() {
        let _ = dropped.await;
    }
}

/// The kinds of which a definition is there. Such a kind is not gone because it is not listed: a server that has just started
/// lists the kinds that are defined in it a moment after those that it has of itself. Where it is served no more its watch is
/// refused.
fn defined_kinds(index: &Index) -> HashSet<GroupKind> {
    let all = index.of_kind(&definitions()).into_iter();
    all.map(|one| {
        let (group, kind) = defined(&one.body);
        GroupKind::new(group, kind)
    })
    .collect()
}

/// Tells the index which kinds come, all at once, so that it is not ready before the last of them. Whatever is known of
/// a kind stays until its listing says otherwise.
fn expect(state: &RwLock<State>, new: &[((GroupKind, Box<str>), &ApiKind)]) {
    let mut state = state.write();
    for ((group_kind, place), kind) in new {
        let version = kind.version.as_str().into();
        state.expect(group_kind.clone(), version, place.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::budget::Budget;
    use crate::discovery::ServerVersion;

    fn pods() -> GroupKind {
        GroupKind::new("", "Pod")
    }

    #[tokio::test]
    async fn an_index_that_nobody_keeps_is_not_ready() {
        let (index, keeper) = crate::index::create([0; 32], &Watched::default());
        let keeper = tokio::sync::Mutex::new(keeper);
        let kept = Kept {
            keeper: keeper.lock().await,
            index: &index,
        };
        {
            let mut state = index.state.write();
            state.expect(pods(), "v1".into(), Box::default());
            state.set_listed(&pods(), "");
        }
        kept.keeper.ready.send_replace(true);
        assert!(index.is_ready() && index.is_synced(&pods()));
        drop(kept);
        assert!(!index.is_ready() && !index.is_synced(&pods()));
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "a", "namespace": "web", "uid": "u", "resourceVersion": "5"}});
        assert!(index.observe(&pod).await.is_none());
    }

    fn refused(namespace: &str, version: &str) -> (Change, oneshot::Receiver<()>) {
        let (done, known) = oneshot::channel();
        let change = Change::Refused {
            kind: pods(),
            namespace: namespace.into(),
            version: version.into(),
            done,
        };
        (change, known)
    }

    /// Takes one change in, and tells whoever waits for that.
    fn take_in(state: &mut State, change: Change) -> HashSet<Wake> {
        let mut told = Vec::new();
        let wakes = take(state, change, &mut told, &Notify::new());
        for done in told {
            let _ = done.send(());
        }
        wakes
    }

    #[test]
    fn what_may_not_be_listed_in_a_namespace_does_not_count_as_gone() {
        let (index, _keeper) = crate::index::create([0; 32], &Watched::default());
        let mut state = State::default();
        let keys = ["shop", "web"].map(|namespace| {
            state.expect(pods(), "v1".into(), namespace.into());
            state.set_listed(&pods(), namespace);
            let pod = json!({"metadata": {"name": "a", "namespace": namespace,
                "uid": namespace, "resourceVersion": "5"}});
            let entry = index.reader.read(&pod, "", "Pod", &"v1".into()).unwrap();
            let key = entry.key.clone();
            state.put(Arc::new(entry));
            key
        });
        let seen = |state: &State| keys.each_ref().map(|key| state.get(key).is_some());
        let certain = |state: &State| keys.each_ref().map(|key| state.would_have(key));
        assert!(state.is_synced(&pods()));

        let (of_another_version, mut known) = refused("web", "v1beta1");
        assert!(take_in(&mut state, of_another_version).is_empty());
        assert!(known.try_recv().is_err(), "that watch is over");
        assert_eq!((seen(&state), certain(&state)), ([true; 2], [true; 2]));

        let (of_this, mut known) = refused("web", "v1");
        assert!(!take_in(&mut state, of_this).is_empty());
        assert!(known.try_recv().is_ok());
        assert_eq!(seen(&state), [true, false]);
        assert_eq!(certain(&state), [true, false]);
        assert!(!state.is_synced(&pods()));
        assert!(state.all_synced(), "nobody waits for it");

        // It is tried again.
        state.expect(pods(), "v1".into(), "web".into());
        assert_eq!(certain(&state), [false; 2]);
        state.set_listed(&pods(), "web");
        assert_eq!(certain(&state), [true; 2]);
        assert!(state.is_synced(&pods()));
    }

    #[test]
    fn a_kind_that_may_be_listed_nowhere_is_forgotten() {
        let mut state = State::default();
        state.expect(pods(), "v1".into(), Box::default());
        state.set_listed(&pods(), "");
        let (everywhere, mut known) = refused("", "v1");
        take_in(&mut state, everywhere);
        assert!(known.try_recv().is_ok());
        assert_eq!(state.watched_version(&pods()), None);
    }

    #[test]
    fn a_kind_is_there_while_its_definition_is() {
        let (index, _keeper) = crate::index::create([0; 32], &Watched::default());
        let definition = json!({"metadata": {"name": "lamps.example.com", "uid": "u", "resourceVersion": "5"},
            "spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Lamp", "plural": "lamps"}}});
        let (group, kind) = ("apiextensions.k8s.io", "CustomResourceDefinition");
        let read = |object| index.reader.read(object, group, kind, &"v1".into());
        let entry = Arc::new(read(&definition).unwrap());
        let key = entry.key.clone();
        let lamp = GroupKind::new("example.com", "Lamp");
        assert!(!defined_kinds(&index).contains(&lamp));
        index.state.write().put(entry);
        assert_eq!(defined_kinds(&index), HashSet::from([lamp.clone()]));
        index.state.write().remove(&key, 6);
        assert!(!defined_kinds(&index).contains(&lamp));
    }

    #[test]
    fn a_kind_is_awaited_from_when_its_definition_is_good_until_it_is_listed() {
        let (index, _keeper) = crate::index::create([0; 32], &Watched::default());
        let define = |version: &str, established: &str| {
            let conditions = json!([{"type": "NamesAccepted", "status": "True"},
                {"type": "Established", "status": established}]);
            let definition = json!({"metadata": {"name": "lamps.example.com", "uid": "u", "resourceVersion": version},
                "spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Lamp", "plural": "lamps"}},
                "status": {"conditions": conditions}});
            let GroupKind { group, kind } = definitions();
            let entry = index.reader.read(&definition, &group, &kind, &"v1".into());
            index.state.write().put(Arc::new(entry.unwrap()));
        };
        let of = |group: &str| {
            let lamp = ApiKind {
                group: group.into(),
                version: "v1".into(),
                kind: "Lamp".into(),
                plural: "lamps".into(),
                namespaced: true,
                verbs: Vec::new(),
                status_apart: false,
            };
            Discovery::new(ServerVersion::default(), vec![lamp])
        };
        let (another, lamps) = (of("example.org"), of("example.com"));
        assert!(!awaits_kinds(&index, &another), "nothing is defined");
        define("5", "False");
        assert!(!awaits_kinds(&index, &another), "it is not good yet");
        define("6", "True");
        assert!(awaits_kinds(&index, &another));
        assert!(!awaits_kinds(&index, &lamps));
    }

    #[test]
    fn a_kind_that_is_awaited_is_asked_for_sooner_and_less_and_less_often() {
        let seconds = |awaits: bool| {
            let mut pauses = Pauses::default();
            [(); 8].map(|()| pauses.next(awaits).as_secs())
        };
        assert_eq!(seconds(false), [1, 5, 30, 600, 600, 600, 600, 600]);
        assert_eq!(seconds(true), [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[tokio::test]
    async fn of_a_strangers_cluster_no_more_is_kept_than_the_budget_has() {
        let budget = Budget::new(64 << 10, 10, None);
        let watched = Watched::of(&domain::cluster::Cluster::default(), &budget);
        let (index, mut keeper) = crate::index::create([0; 32], &watched);
        index
            .state
            .write()
            .expect(pods(), "v1".into(), Box::default());
        for number in 0..watched.queue {
            let name = format!("pod-{number}");
            let pod = json!({"status": {"message": "x".repeat(4096)},
                "metadata": {"name": name, "namespace": "web", "uid": name, "resourceVersion": "5"}});
            let entry = index.reader.read(&pod, "", "Pod", &"v1".into()).unwrap();
            let seen = Change::Seen {
                entry: Arc::new(entry),
                _counted: Share::of_bytes(&budget),
            };
            index.changes.try_send(seen).unwrap();
        }
        keeper.keep(&index, &watched, &Notify::new()).await;
        assert!(!index.is_empty() && index.len() < watched.queue);
        keeper.clear(&index);
        let mut all = Share::of_bytes(&budget);
        assert!(all.hold(64 << 10), "it is given back");
    }
}
