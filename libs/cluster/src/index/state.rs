//! The index's maps. Every way to find an object is kept beside the objects, so that no question walks them all.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use domain::resource::{GroupKind, ResourceKey};
use tokio::time::Instant;

use super::entry::{LiveEntry, Tracking, version_number, weight_of_key};
use super::recognised::Labelled;
use super::wake::Wake;

/// An owner chain is followed this far: Deployment, ReplicaSet, Pod and a few more.
const MAX_CHAIN: usize = 16;
/// No object has more above it: an object may name dozens of owners, and each of these as many.
const MAX_ABOVE: usize = 256;
/// How many deletions are remembered, so that an older answer of ours does not bring an object back.
const MAX_GRAVES: usize = 8192;

/// Entries are shared between the maps; their key is the identity.
type Entry = Arc<LiveEntry>;
type Keys = HashSet<Arc<ResourceKey>>;

#[derive(Default)]
pub(super) struct State {
    entries: HashMap<Arc<ResourceKey>, Entry>,
    by_uid: HashMap<Box<str>, Arc<ResourceKey>>,
    by_app: HashMap<Tracking, Keys>,
    by_label: HashMap<Labelled, Keys>,
    by_owner: HashMap<Box<str>, Keys>,
    by_namespace: HashMap<Box<str>, Keys>,
    by_kind: HashMap<GroupKind, Keys>,
    kinds: HashMap<GroupKind, Kind>,
    graves: HashMap<ResourceKey, u64>,
    /// What the graves take.
    buried: usize,
    /// What the entries take.
    weight: usize,
    /// Since when the cluster answers; nothing while it does not.
    reachable_since: Option<Instant>,
}

/// What is known of a watched kind.
struct Kind {
    version: Arc<str>,
    /// Where it has not been listed yet: namespaces, or the empty one for everywhere.
    unlisted: HashSet<Box<str>>,
    /// The namespaces in which it may not be listed: nobody waits for that, and nobody knows what is there.
    refused: HashSet<Box<str>>,
}

impl Kind {
    /// Whether nobody waits for it.
    fn synced(&self) -> bool {
        self.unlisted.is_empty()
    }
}

impl State {
    pub(super) fn get(&self, key: &ResourceKey) -> Option<Entry> {
        self.entries.get(key).cloned()
    }

    pub(super) fn tracked(&self, installation: &str, app: &str) -> Vec<Entry> {
        let tracking = Tracking {
            installation: installation.into(),
            app: app.into(),
        };
        self.collect(self.by_app.get(&tracking))
    }

    /// The applications of a tenant with an object like this, by name.
    pub(super) fn apps_with(
        &self,
        installation: &str,
        like: impl Fn(&LiveEntry) -> bool,
    ) -> Vec<Arc<str>> {
        let has = |keys: &Keys| {
            let mut entries = keys.iter().filter_map(|key| self.entries.get(key));
            entries.any(|entry| like(entry.as_ref()))
        };
        let of = self.by_app.iter();
        let of = of.filter(|(tracking, _)| tracking.installation.as_ref() == installation);
        let with = of.filter(|(_, keys)| has(keys));
        let mut apps: Vec<Arc<str>> = with.map(|(of, _)| Arc::clone(&of.app)).collect();
        apps.sort_unstable();
        apps
    }

    /// What a label alone names, in these namespaces or in all.
    pub(super) fn labelled(&self, app: &str, namespaces: Option<&[String]>) -> Vec<Entry> {
        let app: Arc<str> = app.into();
        let at = |namespace: &str| {
            let labelled = Labelled {
                namespace: namespace.into(),
                app: Arc::clone(&app),
            };
            self.collect(self.by_label.get(&labelled))
        };
        match namespaces {
            Some(namespaces) => namespaces.iter().flat_map(|name| at(name)).collect(),
            None if self.by_label.is_empty() => Vec::new(),
            None => self.by_namespace.keys().flat_map(|name| at(name)).collect(),
        }
    }

    /// The objects that name this one as an owner, where they may: anybody may write down anybody's uid.
    pub(super) fn children(&self, uid: &str) -> Vec<Entry> {
        let mut children = self.collect(self.by_owner.get(uid));
        if let Some(owner) = self.by_uid.get(uid) {
            children.retain(|child| may_own(owner, &child.key));
        }
        children
    }

    pub(super) fn in_namespace(&self, namespace: &str) -> Vec<Entry> {
        self.collect(self.by_namespace.get(namespace))
    }

    pub(super) fn of_kind(&self, kind: &GroupKind) -> Vec<Entry> {
        self.collect(self.by_kind.get(kind))
    }

    pub(super) fn descendants<'a>(&self, uids: impl IntoIterator<Item = &'a str>) -> Vec<Entry> {
        let mut found = Vec::new();
        let mut seen: HashSet<Box<str>> = uids.into_iter().map(Box::from).collect();
        let mut level: Vec<Box<str>> = seen.iter().cloned().collect();
        while !level.is_empty() {
            let mut below = Vec::new();
            for entry in level.iter().flat_map(|uid| self.children(uid)) {
                if seen.insert(entry.uid.clone()) {
                    below.push(entry.uid.clone());
                    found.push(entry);
                }
            }
            level = below;
        }
        found
    }

    pub(super) fn counts(&self) -> HashMap<GroupKind, usize> {
        self.by_kind
            .iter()
            .map(|(kind, keys)| (kind.clone(), keys.len()))
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// About how many bytes all this takes, where entries are weighed.
    pub(super) fn weight(&self) -> usize {
        self.weight + self.buried
    }

    /// The cluster answers, or does not any more.
    pub(super) fn set_reachable(&mut self, reachable: bool) {
        match reachable {
            true => self.reachable_since = self.reachable_since.or_else(|| Some(Instant::now())),
            false => self.reachable_since = None,
        }
    }

    /// Since when the cluster has answered although a kind is not listed, and the first such kind.
    pub(super) fn lagging(&self) -> Option<(Instant, GroupKind)> {
        let since = self.reachable_since?;
        let unlisted = self.kinds.iter().filter(|(_, known)| !known.synced());
        let kind = unlisted.map(|(kind, _)| kind).min()?;
        Some((since, kind.clone()))
    }

    /// Nobody follows the cluster any more: no kind is listed, and none will be.
    pub(super) fn expect_nothing(&mut self) {
        self.kinds.clear();
        self.reachable_since = None;
    }

    pub(super) fn is_synced(&self, kind: &GroupKind) -> bool {
        let listed = |known: &Kind| known.synced() && known.refused.is_empty();
        self.kinds.get(kind).is_some_and(listed)
    }

    pub(super) fn would_have(&self, key: &ResourceKey) -> bool {
        let listed =
            |known: &Kind| known.synced() && !known.refused.contains(key.namespace.as_str());
        self.kinds.get(&key.group_kind()).is_some_and(listed)
    }

    /// Whether a kind has been listed in a namespace, or everywhere.
    pub(super) fn is_listed(&self, kind: &GroupKind, namespace: &str) -> bool {
        let listed = |known: &Kind| {
            !known.unlisted.contains(namespace) && !known.refused.contains(namespace)
        };
        self.kinds.get(kind).is_some_and(listed)
    }

    /// Whether every watched kind has been listed, and there is at least one.
    pub(super) fn all_synced(&self) -> bool {
        !self.kinds.is_empty() && self.kinds.values().all(Kind::synced)
    }

    pub(super) fn watched_version(&self, kind: &GroupKind) -> Option<Arc<str>> {
        self.kinds.get(kind).map(|known| Arc::clone(&known.version))
    }

    /// A watch of a kind begins, in a namespace or everywhere.
    pub(super) fn expect(&mut self, kind: GroupKind, version: Arc<str>, namespace: Box<str>) {
        let known = self.kinds.entry(kind).or_insert_with(|| Kind {
            version: Arc::clone(&version),
            unlisted: HashSet::new(),
            refused: HashSet::new(),
        });
        known.version = version;
        known.refused.remove(&namespace);
        known.unlisted.insert(namespace);
    }

    pub(super) fn set_listed(&mut self, kind: &GroupKind, namespace: &str) {
        if let Some(known) = self.kinds.get_mut(kind) {
            known.unlisted.remove(namespace);
        }
    }

    /// A kind may not be listed, in a namespace or anywhere. That the index has nothing of it there says nothing then.
    pub(super) fn refuse(&mut self, kind: &GroupKind, namespace: &str) -> HashSet<Wake> {
        if namespace.is_empty() {
            return self.forget_kind(kind);
        }
        if let Some(known) = self.kinds.get_mut(kind) {
            known.unlisted.remove(namespace);
            known.refused.insert(namespace.into());
        }
        self.retain(kind, namespace, &HashSet::new(), u64::MAX)
    }

    pub(super) fn forget_kind(&mut self, kind: &GroupKind) -> HashSet<Wake> {
        self.kinds.remove(kind);
        let keys = self.keys_of(kind);
        keys.iter()
            .flat_map(|key| self.remove(key, u64::MAX))
            .collect()
    }

    fn keys_of(&self, kind: &GroupKind) -> Vec<Arc<ResourceKey>> {
        let keys = self.by_kind.get(kind).into_iter().flatten();
        keys.cloned().collect()
    }

    fn collect(&self, keys: Option<&Keys>) -> Vec<Entry> {
        keys.into_iter()
            .flatten()
            .filter_map(|key| self.entries.get(key).cloned())
            .collect()
    }

    /// Takes in what a watch has named: it was there after whatever that watch and those before it have said, so that no deletion is
    /// newer. One that a listing seemed to tell, because it did not show all that there is, was none.
    pub(super) fn put_named(&mut self, entry: Entry) -> HashSet<Wake> {
        self.open_grave(&entry.key);
        self.put(entry)
    }

    /// Takes an entry in, unless a newer one, or that it is gone since, is known. Gives whom that concerns.
    pub(super) fn put(&mut self, entry: Entry) -> HashSet<Wake> {
        let number = version_number(&entry.resource_version);
        if self
            .graves
            .get(&entry.key)
            .is_some_and(|&grave| grave >= number && number > 0)
        {
            return HashSet::new();
        }
        let before = self.entries.get(&entry.key).cloned();
        if let Some(before) = &before {
            let known = version_number(&before.resource_version);
            if before.uid == entry.uid
                && before.version == entry.version
                && known > 0
                && known >= number
            {
                return HashSet::new();
            }
        }
        self.open_grave(&entry.key);
        let mut wakes = HashSet::new();
        let quiet = before
            .as_ref()
            .is_some_and(|before| !before.differs(&entry));
        if !quiet && let Some(before) = &before {
            self.concerned(before, &mut wakes);
        }
        if let Some(before) = &before {
            self.unlink(before);
        }
        self.link(&entry);
        if !quiet {
            self.concerned(&entry, &mut wakes);
        }
        wakes
    }

    /// Takes an entry out, unless a newer one is known. Gives whom that concerns.
    pub(super) fn remove(&mut self, key: &ResourceKey, resource_version: u64) -> HashSet<Wake> {
        let mut wakes = HashSet::new();
        let Some(entry) = self.entries.get(key).cloned() else {
            self.bury(key, resource_version);
            return wakes;
        };
        if version_number(&entry.resource_version) > resource_version && resource_version > 0 {
            return wakes;
        }
        self.concerned(&entry, &mut wakes);
        self.unlink(&entry);
        self.bury(key, resource_version);
        wakes
    }

    /// A listing of a kind, in a namespace or everywhere, at a version has ended: what it did not name and is not newer is
    /// gone.
    pub(super) fn retain(
        &mut self,
        kind: &GroupKind,
        namespace: &str,
        listed: &HashSet<ResourceKey>,
        resource_version: u64,
    ) -> HashSet<Wake> {
        let keys = self.keys_of(kind);
        let missing = keys.iter().filter(|key| {
            (namespace.is_empty() || key.namespace == namespace) && !listed.contains(key.as_ref())
        });
        missing
            .flat_map(|key| self.remove(key, resource_version))
            .collect()
    }

    fn bury(&mut self, key: &ResourceKey, resource_version: u64) {
        if resource_version == 0 || resource_version == u64::MAX {
            return;
        }
        if self.graves.len() >= MAX_GRAVES {
            // The older half goes; answers of ours are never that late.
            let mut versions: Vec<u64> = self.graves.values().copied().collect();
            let middle = versions.len() / 2;
            let (_, &mut median, _) = versions.select_nth_unstable(middle);
            self.graves.retain(|_, version| *version > median);
            self.buried = self.graves.keys().map(weight_of_key).sum();
        }
        if self.graves.insert(key.clone(), resource_version).is_none() {
            self.buried += weight_of_key(key);
        }
    }

    /// An object is there again.
    fn open_grave(&mut self, key: &ResourceKey) {
        if self.graves.remove(key).is_some() {
            self.buried -= weight_of_key(key);
        }
    }

    fn link(&mut self, entry: &Entry) {
        let key = Arc::new(entry.key.clone());
        self.weight += entry.weight;
        self.by_uid.insert(entry.uid.clone(), Arc::clone(&key));
        if let Some(tracking) = &entry.tracking {
            self.by_app
                .entry(tracking.clone())
                .or_default()
                .insert(Arc::clone(&key));
        }
        if let Some(labelled) = labelled(entry) {
            self.by_label
                .entry(labelled)
                .or_default()
                .insert(Arc::clone(&key));
        }
        for owner in &entry.owners {
            self.by_owner
                .entry(owner.uid.clone())
                .or_default()
                .insert(Arc::clone(&key));
        }
        self.by_namespace
            .entry(key.namespace.as_str().into())
            .or_default()
            .insert(Arc::clone(&key));
        self.by_kind
            .entry(key.group_kind())
            .or_default()
            .insert(Arc::clone(&key));
        self.entries.insert(key, Arc::clone(entry));
    }

    fn unlink(&mut self, entry: &Entry) {
        let key = &entry.key;
        self.entries.remove(key);
        self.weight = self.weight.saturating_sub(entry.weight);
        if self
            .by_uid
            .get(&entry.uid)
            .is_some_and(|known| known.as_ref() == key)
        {
            self.by_uid.remove(&entry.uid);
        }
        if let Some(tracking) = &entry.tracking {
            take_out(&mut self.by_app, tracking, key);
        }
        if let Some(labelled) = labelled(entry) {
            take_out(&mut self.by_label, &labelled, key);
        }
        for owner in &entry.owners {
            take_out(&mut self.by_owner, &owner.uid, key);
        }
        take_out(&mut self.by_namespace, key.namespace.as_str(), key);
        take_out(&mut self.by_kind, &key.group_kind(), key);
    }

    /// Walks up from an entry to every tracked object on the way.
    fn concerned(&self, entry: &Entry, wakes: &mut HashSet<Wake>) {
        if entry.key.is_namespace() {
            wakes.insert(Wake::Namespace(entry.key.name.as_str().into()));
        }
        let before = wakes.len();
        let mut labels = HashSet::new();
        let mut level = vec![Arc::clone(entry)];
        let mut seen: HashSet<Box<str>> = HashSet::new();
        for _ in 0..MAX_CHAIN {
            let mut above = Vec::new();
            for entry in level {
                if let Some(tracking) = &entry.tracking {
                    let Tracking { installation, app } = tracking.clone();
                    wakes.insert(Wake::App { installation, app });
                }
                if let Some(Labelled { namespace, app }) = labelled(&entry) {
                    labels.insert(Wake::Labelled { namespace, app });
                }
                for owner in &entry.owners {
                    if seen.len() < MAX_ABOVE
                        && seen.insert(owner.uid.clone())
                        && let Some(entry) = self
                            .by_uid
                            .get(&owner.uid)
                            .filter(|owner| may_own(owner, &entry.key))
                            .and_then(|key| self.entries.get(key))
                    {
                        above.push(Arc::clone(entry));
                    }
                }
            }
            if above.is_empty() {
                break;
            }
            level = above;
        }
        if wakes.len() == before && entry.owners.is_empty() && entry.tracking.is_none() {
            wakes.insert(Wake::Untracked(entry.key.clone()));
        }
        wakes.extend(labels);
    }
}

/// Whether an object may be another's owner: it has no namespace, or the same. What names an owner elsewhere has none, and is
/// collected as such.
fn may_own(owner: &ResourceKey, owned: &ResourceKey) -> bool {
    owner.namespace.is_empty() || owner.namespace == owned.namespace
}

/// Where an entry's label stands alone, if it does.
fn labelled(entry: &LiveEntry) -> Option<Labelled> {
    Some(Labelled {
        namespace: entry.key.namespace.as_str().into(),
        app: entry.labelled.clone()?,
    })
}

/// Removes a key from one of a map's sets, and the set with its last key.
fn take_out<K, Q>(map: &mut HashMap<K, Keys>, at: &Q, key: &ResourceKey)
where
    K: std::borrow::Borrow<Q> + Eq + std::hash::Hash,
    Q: Eq + std::hash::Hash + ?Sized,
{
    if let Some(keys) = map.get_mut(at) {
        keys.remove(key);
        if keys.is_empty() {
            map.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::entry::Reader;
    use super::*;

    fn entry(
        kind: &str,
        name: &str,
        version: u64,
        owner: Option<&str>,
        app: Option<&str>,
    ) -> Entry {
        let mut metadata = json!({"name": name, "namespace": "web", "uid": name, "resourceVersion": version.to_string(),
            "labels": {"version": version.to_string()}});
        if let Some(owner) = owner {
            metadata["ownerReferences"] =
                json!([{"uid": owner, "kind": "X", "name": owner, "apiVersion": "v1"}]);
        }
        if let Some(app) = app {
            metadata["annotations"] = json!({
                "argocd.argoproj.io/tracking-id": format!("{app}:/{kind}:web/{name}"),
                "argocd.argoproj.io/installation-id": "user01"});
        }
        let object: Value = json!({"metadata": metadata});
        Arc::new(
            Reader::new([0; 32], false)
                .read(&object, "", kind, &"v1".into())
                .unwrap(),
        )
    }

    fn app(name: &str) -> Wake {
        Wake::App {
            installation: "user01".into(),
            app: name.into(),
        }
    }

    #[test]
    fn a_change_below_a_tracked_object_wakes_its_application() {
        let mut state = State::default();
        assert_eq!(
            state.put(entry("Pod", "root", 1, None, Some("hello"))),
            HashSet::from([app("hello")])
        );
        state.put(entry("Pod", "middle", 2, Some("root"), None));
        assert_eq!(
            state.put(entry("Pod", "leaf", 3, Some("middle"), None)),
            HashSet::from([app("hello")])
        );
        assert_eq!(
            state.remove(&entry("Pod", "leaf", 3, None, None).key, 4),
            HashSet::from([app("hello")])
        );
        assert_eq!(
            state.put(entry("Pod", "root", 5, None, Some("other"))),
            HashSet::from([app("hello"), app("other")])
        );
        assert!(state.tracked("user01", "hello").is_empty());
        assert_eq!(state.tracked("user01", "other").len(), 1);
        assert!(state.tracked("user02", "other").is_empty());
        let names: Vec<_> = state
            .descendants(["root"])
            .iter()
            .map(|entry| entry.key.name.clone())
            .collect();
        assert_eq!(names, ["middle"]);
    }

    #[test]
    fn the_applications_are_found_that_have_such_an_object() {
        let mut state = State::default();
        state.put(entry("Job", "a", 1, None, Some("hello")));
        state.put(entry("Job", "b", 2, None, Some("hello")));
        state.put(entry("Job", "c", 3, None, Some("again")));
        state.put(entry("Pod", "d", 4, None, Some("other")));
        state.put(entry("Job", "e", 5, None, None));
        let jobs = |installation| state.apps_with(installation, |entry| entry.key.kind == "Job");
        let names: Vec<Arc<str>> = vec!["again".into(), "hello".into()];
        assert_eq!(jobs("user01"), names);
        assert!(jobs("user02").is_empty());
    }

    #[test]
    fn an_owner_that_comes_after_what_it_owns_wakes_its_application_and_has_it_beneath_it() {
        let mut state = State::default();
        let leaf = state.put(entry("Pod", "leaf", 1, Some("middle"), None));
        assert_eq!(leaf, HashSet::new(), "nobody knows whose it is");
        state.put(entry("Pod", "root", 2, None, Some("hello")));
        let wakes = state.put(entry("Pod", "middle", 3, Some("root"), None));
        assert_eq!(wakes, HashSet::from([app("hello")]));
        let below = state.descendants(["root"]);
        let names = below.iter().map(|entry| entry.key.name.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["middle", "leaf"]);
        assert_eq!(
            state.put(entry("Pod", "leaf", 4, Some("middle"), None)),
            HashSet::from([app("hello")])
        );
    }

    #[test]
    fn what_names_an_owner_elsewhere_is_not_beneath_it() {
        let beneath = |namespace: &str, owner: &str| -> Entry {
            let owners = json!([{"uid": owner, "kind": "X", "name": owner, "apiVersion": "v1"}]);
            let object = json!({"metadata": {"name": "leaf", "namespace": namespace, "uid": namespace,
                "resourceVersion": "1", "ownerReferences": owners}});
            let reader = Reader::new([0; 32], false);
            Arc::new(reader.read(&object, "", "Pod", &"v1".into()).unwrap())
        };
        let mut state = State::default();
        state.put(entry("Pod", "root", 1, None, Some("hello")));
        assert_eq!(state.put(beneath("theirs", "root")), HashSet::new());
        assert!(state.descendants(["root"]).is_empty());
        let wakes = state.put(beneath("web", "root"));
        assert_eq!(wakes, HashSet::from([app("hello")]));
        assert_eq!(state.children("root").len(), 1);
        let node = json!({"metadata": {"name": "n", "uid": "node", "resourceVersion": "1"}});
        let reader = Reader::new([0; 32], false);
        let node = reader.read(&node, "", "Node", &"v1".into()).unwrap();
        state.put(Arc::new(node));
        state.put(beneath("any", "node"));
        assert_eq!(state.children("node").len(), 1, "it has no namespace");
    }

    #[test]
    fn of_what_is_above_an_object_only_so_much_is_asked() {
        let named = |name: &str, owners: std::ops::Range<usize>| -> Entry {
            let owners: Vec<Value> = owners
                .map(|at| json!({"uid": format!("above-{at}"), "kind": "X", "name": "x"}))
                .collect();
            let object = json!({"metadata": {"name": name, "namespace": "web", "uid": name,
                "resourceVersion": "1", "ownerReferences": owners,
                "annotations": {
                    "argocd.argoproj.io/tracking-id": format!("{name}:/Pod:web/{name}"),
                    "argocd.argoproj.io/installation-id": "user01"}}});
            let reader = Reader::new([0; 32], false);
            Arc::new(reader.read(&object, "", "Pod", &"v1".into()).unwrap())
        };
        let mut state = State::default();
        // Each of the 64 has 64 others above it.
        for at in 0..64 {
            state.put(named(&format!("above-{at}"), 64 * (at + 1)..64 * (at + 2)));
        }
        for at in 64..64 * 65 {
            state.put(named(&format!("above-{at}"), 0..0));
        }
        let wakes = state.put(named("leaf", 0..64)).len();
        assert_eq!(wakes, MAX_ABOVE + 1);
    }

    #[test]
    fn what_a_label_alone_names_is_found_by_namespace_and_wakes_as_such() {
        let labelled = |namespace: &str, name: &str, label: &str| -> Entry {
            let object = json!({"metadata": {"name": name, "namespace": namespace, "uid": name,
                "resourceVersion": "1", "labels": {domain::tracking::LABEL: label}}});
            let reader = Reader::new([0; 32], false);
            Arc::new(reader.read(&object, "", "Pod", &"v1".into()).unwrap())
        };
        let mut state = State::default();
        let root = labelled("web", "root", "hello");
        let wakes = HashSet::from([
            Wake::Untracked(root.key.clone()),
            Wake::Labelled {
                namespace: "web".into(),
                app: "hello".into(),
            },
        ]);
        assert_eq!(state.put(root.clone()), wakes);
        state.put(labelled("other", "theirs", "hello"));
        state.put(labelled("web", "another", "other"));
        let beneath = state.put(entry("Pod", "leaf", 3, Some("root"), None));
        assert!(
            beneath
                .iter()
                .all(|wake| matches!(wake, Wake::Labelled { .. }))
        );
        assert_eq!(beneath.len(), 1);
        let named = |state: &State, namespaces: Option<&[String]>| {
            let found = state.labelled("hello", namespaces);
            let mut names: Vec<_> = found.iter().map(|e| e.key.name.clone()).collect();
            names.sort();
            names
        };
        assert_eq!(named(&state, Some(&["web".to_owned()])), ["root"]);
        assert_eq!(named(&state, None), ["root", "theirs"]);
        state.remove(&root.key, 4);
        assert_eq!(named(&state, None), ["theirs"]);
        assert!(state.tracked("user01", "hello").is_empty());
    }

    #[test]
    fn older_news_changes_nothing() {
        let mut state = State::default();
        let key = entry("Pod", "a", 1, None, None).key.clone();
        state.put(entry("Pod", "a", 7, None, None));
        state.put(entry("Pod", "a", 5, None, None));
        assert_eq!(state.get(&key).unwrap().resource_version.as_ref(), "7");
        state.remove(&key, 6);
        assert!(
            state.get(&key).is_some(),
            "the deletion was of an earlier one"
        );
        state.remove(&key, 9);
        state.put(entry("Pod", "a", 8, None, None));
        assert!(
            state.get(&key).is_none(),
            "an answer older than the deletion"
        );
        assert!(
            state.by_namespace.is_empty() && state.by_kind.is_empty() && state.by_uid.is_empty()
        );
    }

    #[test]
    fn a_listing_removes_what_it_does_not_name_but_not_what_is_newer() {
        let mut state = State::default();
        for (name, version) in [("kept", 1), ("gone", 2), ("newer", 30)] {
            state.put(entry("Pod", name, version, None, None));
        }
        let listed = HashSet::from([entry("Pod", "kept", 1, None, None).key.clone()]);
        state.retain(&GroupKind::new("", "Pod"), "", &listed, 20);
        let mut names: Vec<_> = state
            .in_namespace("web")
            .iter()
            .map(|entry| entry.key.name.clone())
            .collect();
        names.sort();
        assert_eq!(names, ["kept", "newer"]);
    }

    #[test]
    fn what_one_listing_did_not_show_is_there_when_the_next_one_names_it() {
        let mut state = State::default();
        let there = entry("Pod", "a", 7, None, Some("hello"));
        let key = there.key.clone();
        state.put_named(there.clone());
        let nothing = HashSet::new();
        state.retain(&GroupKind::new("", "Pod"), "", &nothing, 20);
        assert!(state.get(&key).is_none());
        state.put(there.clone());
        assert!(state.get(&key).is_none(), "an answer may be older");
        let wakes = state.put_named(there.clone());
        assert_eq!(wakes, HashSet::from([app("hello")]));
        assert!(state.graves.is_empty());
        assert_eq!(state.get(&key).unwrap().resource_version.as_ref(), "7");
        // An answer of ours is newer than what a watch tells a little late.
        state.put(entry("Pod", "a", 30, None, Some("hello")));
        state.put_named(there);
        assert_eq!(state.get(&key).unwrap().resource_version.as_ref(), "30");
    }

    #[test]
    fn what_is_remembered_of_the_dead_is_counted() {
        let mut state = State::default();
        let key = |number: u64| {
            entry("Pod", &format!("pod-{number:05}"), 1, None, None)
                .key
                .clone()
        };
        state.remove(&key(1), 5);
        let one = state.weight();
        assert!(one > 0);
        state.remove(&key(1), 6);
        assert_eq!(state.weight(), one, "it is the same grave");
        state.put(entry("Pod", "pod-00001", 7, None, None));
        assert_eq!(state.weight(), 0, "it is there again");
        for number in 2..MAX_GRAVES as u64 + 3 {
            state.remove(&key(number), number);
        }
        assert_eq!(state.weight(), state.graves.len() * one);
        assert!(state.graves.len() < MAX_GRAVES);
    }
}
