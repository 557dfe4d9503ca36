//! What is known of applications from the last look: renders, targets, what was applied. Losing it costs time only.
//!
//! Targets are the one large part; they are kept up to a budget, the longest unused go first.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::Discovery;
use crowd::fair::Turn;
use domain::cause::Cause;
use domain::clock::Timestamp;
use domain::manifest::{ManifestSetHash, SourceType};
use domain::resource::ResourceKey;
use domain::schema::SchemaSet;
use domain::tenant::TenantId;
use engine::compare::Applied;
use engine::prepare::Prepared;
use engine::tree::Wanted;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::driver::queue::AppKey;
use crate::reconcile::custom::{Again, Known};
use crate::repos::Making;

/// How many bytes of targets are kept.
const TARGETS: usize = 24 << 20;
/// How many bytes of rendered sets wait to be kept in the database.
const UNSAVED: usize = 16 << 20;
/// A check that nobody has asked for so long was not put off since: who waits for one asks every minute.
const UNASKED: Duration = Duration::from_secs(600);
/// How much an onlooker may not have heard of before it is told to look whatever it was.
const TOLD: usize = 1024;

/// A rendered set as it is to be kept, under its name.
pub type Unsaved = (ManifestSetHash, Arc<[u8]>);

/// What is known of one application. Taken out while it is worked on.
#[derive(Clone, Debug, Default)]
pub struct AppMemory {
    /// Which application of that name.
    pub uid: String,
    /// When it was asked last what Git says.
    pub asked: Option<Instant>,
    /// The commits that were found then, one per source, whatever came of them; none where they could not be told.
    pub found: Vec<String>,
    /// The last render of each source.
    pub renders: Vec<Render>,
    /// What was there after the last apply or the last comparison that found no difference.
    pub applied: HashMap<ResourceKey, Applied>,
    /// Names the way in which that was compared.
    pub compared_by: u64,
    /// The manifest set that the database has.
    pub saved: Option<ManifestSetHash>,
    /// The rendered set as it is to be kept, until it is.
    pub unsaved: Option<Unsaved>,
    /// The manifest set that was applied last.
    pub deployed: Option<ManifestSetHash>,
    /// What was last taken as history keeps it, since nobody has it any more, and when.
    pub as_kept: Option<(u64, Instant)>,
    /// Names what the cluster had, and in which state, when the last operation had ended.
    pub settled: u64,
    /// When the operation began of which nothing keeps a hook any more whose kind nobody watches: none of them is asked for.
    pub let_go: Option<Timestamp>,
    /// What the operation under way waits by.
    pub times: Times,
    /// What the tenant's own checks said of objects.
    pub checked: Arc<HashMap<ResourceKey, Known>>,
    /// How soon is asked again for what could not be said, and since when that is so.
    pub unasked: Option<(Again, Instant)>,
    /// The turn at having manifests made of the look that is under way, while it has one.
    pub turn: Option<Arc<Turn>>,
    /// Whether it is a reader's copy: nothing is noted for others. A reader may have begun before the application was changed. Nor
    /// does it wait behind those who work.
    pub copied: bool,
}

impl AppMemory {
    /// Notes that the database has the set that is wanted. One that waits to be kept is another's.
    pub fn has_saved(&mut self, set: &ManifestSetHash) {
        self.saved = Some(set.clone());
        self.unsaved = None;
    }

    /// What somebody needs who only looks on.
    fn glance(&self) -> Self {
        Self {
            uid: self.uid.clone(),
            renders: self.renders.clone(),
            checked: self.checked.clone(),
            ..Self::default()
        }
    }
}

/// When that began which the operation under way waits for.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// When its last wave was applied.
    pub wave_ended: Option<Instant>,
    /// Since when the cluster does not finish the writes of these objects.
    pub unfinished: HashMap<ResourceKey, Instant>,
    /// Since when the cluster does not let it go on.
    pub interrupted: Option<Instant>,
    /// Whether it has waited for the namespace that it makes to be gone, and not made it since.
    pub namespace_left: bool,
    /// Since when a service of ours does not say what Git wants.
    pub unrendered: Option<Instant>,
}

/// One source's last render.
#[derive(Clone, Debug)]
pub struct Render {
    /// Names everything that was asked besides the commit.
    pub order: u64,
    /// The commit.
    pub commit: String,
    /// The set.
    pub hash: ManifestSetHash,
    /// The set and its places.
    pub detail: String,
    /// The tool.
    pub source_type: SourceType,
    /// What the renderer noticed.
    pub causes: Vec<Cause>,
    /// The addresses of the other repositories that folders were taken of; they may move unheard.
    pub remotes: Vec<String>,
    /// Whether it has to be asked for again though nothing is known to have changed.
    pub passing: bool,
    /// How it came about when it was asked for last.
    pub making: Making,
}

/// The targets of an application, and what they were made from.
#[derive(Clone, Debug)]
pub struct Targets {
    /// The sets and places they came from.
    pub details: Vec<String>,
    /// Names the rest: destination, options, rules, territory, the kinds that are left out, how objects are marked.
    pub facts: u64,
    /// The schemas they were sanitised with.
    pub schema: Arc<SchemaSet>,
    /// The kinds they were placed by.
    pub discovery: Arc<Discovery>,
    /// The targets.
    pub prepared: Arc<Prepared>,
}

/// What is known. Cheap to clone.
#[derive(Clone)]
pub struct Memory(Arc<Mutex<Inner>>);

struct Inner {
    apps: HashMap<AppKey, AppMemory>,
    /// What onlookers see of those that are worked on.
    at_work: HashMap<AppKey, AppMemory>,
    /// Tells onlookers of whom something else is known than before; without a name, of anybody.
    told: broadcast::Sender<Option<AppKey>>,
    targets: LruCache<AppKey, (usize, Targets)>,
    targets_size: usize,
    unsaved_size: usize,
    /// Who has a target of a key, by a hash of it.
    wanted: HashMap<u64, Vec<AppKey>>,
    wants: HashMap<AppKey, Wants>,
    failures: HashMap<AppKey, u32>,
    /// Since when hooks are kept of applications where those are not any more, and when they are tried again.
    keeps: HashMap<AppKey, (Instant, Instant)>,
    /// Whose checks are put off, since when, and when that was asked last.
    postponed: HashMap<(TenantId, ResourceKey), (Instant, Instant)>,
    /// Who watches a namespace for objects that no application has.
    watching: HashMap<String, HashSet<AppKey>>,
    watches: HashMap<AppKey, String>,
    /// Who waits for a namespace to be gone.
    awaits: HashMap<AppKey, String>,
    /// Who takes a label alone for its own, by the name that it says, and where.
    labels: HashMap<Arc<str>, HashMap<TenantId, Labels>>,
    namespaces: HashSet<(TenantId, String)>,
}

/// The objects that an application wants.
#[derive(Debug, PartialEq, Eq)]
struct Wants {
    /// A hash of each key.
    keys: Vec<u64>,
    /// A hash of all that a tree shows of them.
    shown: u64,
}

/// Where a label alone counts for an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labels {
    /// In these namespaces.
    In(Vec<String>),
    /// In its whole cluster.
    Everywhere,
}

impl Default for Memory {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            apps: HashMap::new(),
            at_work: HashMap::new(),
            told: broadcast::channel(TOLD).0,
            targets: LruCache::unbounded(),
            targets_size: 0,
            unsaved_size: 0,
            wanted: HashMap::new(),
            wants: HashMap::new(),
            failures: HashMap::new(),
            keeps: HashMap::new(),
            postponed: HashMap::new(),
            watching: HashMap::new(),
            watches: HashMap::new(),
            awaits: HashMap::new(),
            labels: HashMap::new(),
            namespaces: HashSet::new(),
        })))
    }
}

impl Memory {
    /// Takes out what is known of an application; nothing if it is another one of that name. Who looks at it finds out anew
    /// whether it waits for a namespace.
    #[must_use]
    pub fn take(&self, app: &AppKey, uid: &str) -> AppMemory {
        let mut inner = self.0.lock();
        inner.awaits.remove(app);
        let known = inner.apps.remove(app);
        if let Some((_, bytes)) = known.as_ref().and_then(|memory| memory.unsaved.as_ref()) {
            inner.unsaved_size -= bytes.len();
        }
        let memory = known
            .filter(|memory| memory.uid == uid)
            .unwrap_or_else(|| AppMemory {
                uid: uid.to_owned(),
                ..AppMemory::default()
            });
        inner.at_work.insert(app.clone(), memory.glance());
        memory
    }

    /// A copy of what is known of an application, for a reader who puts nothing back.
    #[must_use]
    pub fn copy(&self, app: &AppKey, uid: &str) -> AppMemory {
        let known = self.0.lock().known(app, uid).cloned();
        AppMemory {
            unsaved: None,
            copied: true,
            ..known.unwrap_or_default()
        }
    }

    /// What is known of an application, as far as somebody needs it who only looks on.
    #[must_use]
    pub fn glance(&self, app: &AppKey, uid: &str) -> AppMemory {
        let inner = self.0.lock();
        let known = inner.known(app, uid).map(AppMemory::glance);
        AppMemory {
            copied: true,
            ..known.unwrap_or_default()
        }
    }

    /// Notes for onlookers what an application came to that is worked on.
    pub fn rendered(&self, app: &AppKey, renders: &[Render]) {
        if let Some(seen) = self.0.lock().at_work.get_mut(app) {
            seen.renders = renders.to_vec();
        }
    }

    /// Notes for onlookers what the checks say of the objects of an application that is worked on.
    pub fn judged(&self, app: &AppKey, checked: &Arc<HashMap<ResourceKey, Known>>) {
        let mut inner = self.0.lock();
        let Some(seen) = inner.at_work.get_mut(app) else {
            return;
        };
        let before = std::mem::replace(&mut seen.checked, checked.clone());
        let agrees = |(object, now): (&ResourceKey, &Known)| {
            before.get(object).is_some_and(|known| known.agrees(now))
        };
        if before.len() != checked.len() || !checked.iter().all(agrees) {
            inner.tell(Some(app));
        }
    }

    /// Of whom something else is known than before, from now on; of anybody, where nobody is named.
    #[must_use]
    pub fn told(&self) -> broadcast::Receiver<Option<AppKey>> {
        self.0.lock().told.subscribe()
    }

    /// Tells onlookers to look at an application anew; at any, where none is named.
    pub fn tell(&self, app: Option<&AppKey>) {
        self.0.lock().tell(app);
    }

    /// Puts it back. The look is over, and so is its turn.
    pub fn put(&self, app: &AppKey, mut memory: AppMemory) {
        memory.turn = None;
        let mut inner = self.0.lock();
        if let Some((_, bytes)) = &memory.unsaved {
            if inner.unsaved_size + bytes.len() > UNSAVED {
                memory.unsaved = None;
            } else {
                inner.unsaved_size += bytes.len();
            }
        }
        inner.at_work.remove(app);
        inner.apps.insert(app.clone(), memory);
    }

    /// The targets of an application, if they are still kept.
    #[must_use]
    pub fn targets(&self, app: &AppKey) -> Option<Targets> {
        self.0
            .lock()
            .targets
            .get(app)
            .map(|(_, targets)| targets.clone())
    }

    /// Roughly how many bytes the targets of an application take, if they are still kept.
    #[must_use]
    pub fn size_of_targets(&self, app: &AppKey) -> Option<usize> {
        let inner = self.0.lock();
        inner.targets.peek(app).map(|(size, _)| *size)
    }

    /// Keeps the targets of an application, and notes which objects it wants.
    pub fn keep_targets(&self, app: &AppKey, targets: Targets) {
        let size = size(&targets.prepared);
        let wanted: Vec<Wanted> = targets.prepared.targets.iter().map(Wanted::from).collect();
        let wants = Wants {
            keys: wanted.iter().map(|one| fold(&one.key)).collect(),
            shown: fold(&wanted),
        };
        let mut inner = self.0.lock();
        if inner.wants.get(app) != Some(&wants) {
            inner.stop_wanting(app);
            for key in &wants.keys {
                inner.wanted.entry(*key).or_default().push(app.clone());
            }
            inner.wants.insert(app.clone(), wants);
            inner.tell(Some(app));
        }
        inner.drop_targets(app);
        inner.targets.put(app.clone(), (size, targets));
        inner.targets_size += size;
        while inner.targets_size > TARGETS && inner.targets.len() > 1 {
            let Some((_, (size, _))) = inner.targets.pop_lru() else {
                break;
            };
            inner.targets_size -= size;
        }
    }

    /// The applications that have a target of this key.
    #[must_use]
    pub fn who_wants(&self, key: &ResourceKey) -> Vec<AppKey> {
        self.0
            .lock()
            .wanted
            .get(&fold(key))
            .cloned()
            .unwrap_or_default()
    }

    /// Has an application woken by what is made or goes in a namespace without being anybody's; by none with `None`.
    pub fn watch_namespace(&self, app: &AppKey, namespace: Option<&str>) {
        let mut inner = self.0.lock();
        if inner.watches.get(app).map(String::as_str) == namespace {
            return;
        }
        inner.stop_watching(app);
        if let Some(namespace) = namespace {
            let apps = inner.watching.entry(namespace.to_owned()).or_default();
            apps.insert(app.clone());
            inner.watches.insert(app.clone(), namespace.to_owned());
        }
    }

    /// Has an application woken by what becomes of a namespace, until it is looked at again.
    pub fn await_namespace(&self, app: &AppKey, namespace: &str) {
        let mut inner = self.0.lock();
        inner.awaits.insert(app.clone(), namespace.to_owned());
    }

    /// The applications that wait for a namespace: seldom any.
    #[must_use]
    pub fn who_awaits(&self, namespace: &str) -> Vec<AppKey> {
        let inner = self.0.lock();
        let waiting = inner.awaits.iter().filter(|(_, name)| *name == namespace);
        waiting.map(|(app, _)| app.clone()).collect()
    }

    /// Has an application woken by what a label alone names there; by nothing with `None`.
    pub fn watch_label(&self, app: &AppKey, places: Option<Labels>) {
        let mut inner = self.0.lock();
        match places {
            Some(places) => {
                let named = inner.labels.entry(app.name.clone()).or_default();
                named.insert(app.tenant, places);
            }
            None => inner.stop_watching_label(app),
        }
    }

    /// The applications that take a label alone for their own which says this name in this namespace.
    #[must_use]
    pub fn who_is_labelled(&self, name: &str, namespace: &str) -> Vec<AppKey> {
        let counts = |places: &Labels| match places {
            Labels::In(own) => own.iter().any(|name| name == namespace),
            Labels::Everywhere => true,
        };
        let inner = self.0.lock();
        let named = inner.labels.get(name).into_iter().flatten();
        let concerned = named.filter(|(_, places)| counts(places));
        concerned
            .map(|(tenant, _)| AppKey::new(*tenant, name))
            .collect()
    }

    /// What the cluster had of an application when its last operation had ended, as it is named in [`AppMemory::settled`].
    #[must_use]
    pub fn settled(&self, app: &AppKey) -> Option<u64> {
        self.0.lock().apps.get(app).map(|memory| memory.settled)
    }

    /// Whether anything is known of an application.
    #[must_use]
    pub fn knows(&self, app: &AppKey) -> bool {
        self.0.lock().apps.contains_key(app)
    }

    /// A tenant's applications that watch a namespace.
    #[must_use]
    pub fn watchers_of(&self, tenant: TenantId) -> Vec<AppKey> {
        let inner = self.0.lock();
        let of_tenant = inner.watches.keys().filter(|app| app.tenant == tenant);
        of_tenant.cloned().collect()
    }

    /// The applications that watch a namespace.
    #[must_use]
    pub fn who_watches(&self, namespace: &str) -> Vec<AppKey> {
        let inner = self.0.lock();
        let apps = inner.watching.get(namespace);
        apps.into_iter().flatten().cloned().collect()
    }

    /// Notes that a look went well.
    pub fn succeeded(&self, app: &AppKey) {
        self.0.lock().failures.remove(app);
    }

    /// Notes that a look failed, and says how often in a row.
    pub fn failed(&self, app: &AppKey) -> u32 {
        let mut inner = self.0.lock();
        let count = inner.failures.entry(app.clone()).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// How often in a row a look has failed.
    #[must_use]
    pub fn failures(&self, app: &AppKey) -> u32 {
        self.0.lock().failures.get(app).copied().unwrap_or_default()
    }

    /// Notes that a hook is kept of an application where that is not any more, and says when it is tried again: `again` says so by how
    /// long one has been, and that it is left so, which is forgotten then.
    #[must_use]
    pub fn keeps(
        &self,
        app: &AppKey,
        now: Instant,
        again: impl FnOnce(Duration) -> Option<Duration>,
    ) -> Option<Duration> {
        let mut inner = self.0.lock();
        let (since, due) = inner.keeps.entry(app.clone()).or_insert((now, now));
        let pause = again(now.saturating_duration_since(*since));
        match pause {
            Some(pause) => *due = now + pause,
            None => {
                inner.keeps.remove(app);
            }
        }
        pause
    }

    /// In how long that is tried again, if a hook is kept.
    #[must_use]
    pub fn kept(&self, app: &AppKey, now: Instant) -> Option<Duration> {
        let inner = self.0.lock();
        let (_, due) = inner.keeps.get(app)?;
        Some(due.saturating_duration_since(now))
    }

    /// Notes that none is.
    pub fn keeps_none(&self, app: &AppKey) {
        self.0.lock().keeps.remove(app);
    }

    /// Notes that the check of a tenant's object could not be carried out now, and says for how long it could not.
    #[must_use]
    pub fn postponed(&self, tenant: TenantId, object: &ResourceKey, now: Instant) -> Duration {
        let mut inner = self.0.lock();
        let asked = |last: Instant| now.saturating_duration_since(last) < UNASKED;
        inner.postponed.retain(|_, (_, last)| asked(*last));
        let whose = (tenant, object.clone());
        let (since, last) = inner.postponed.entry(whose).or_insert((now, now));
        *last = now;
        now.saturating_duration_since(*since)
    }

    /// Notes that a check could be carried out.
    pub fn checked(&self, tenant: TenantId, object: &ResourceKey) {
        let mut inner = self.0.lock();
        if !inner.postponed.is_empty() {
            inner.postponed.remove(&(tenant, object.clone()));
        }
    }

    /// Notes that a tenant's namespace is there; `true` the first time.
    pub fn namespace_made(&self, namespace: (TenantId, String)) -> bool {
        self.0.lock().namespaces.insert(namespace)
    }

    /// Notes that nobody could be told of it: the next time is the first again.
    pub fn namespace_untold(&self, namespace: &(TenantId, String)) {
        self.0.lock().namespaces.remove(namespace);
    }

    /// Forgets an application.
    pub fn forget(&self, app: &AppKey) {
        let mut inner = self.0.lock();
        if let Some(memory) = inner.apps.remove(app)
            && let Some((_, bytes)) = memory.unsaved
        {
            inner.unsaved_size -= bytes.len();
        }
        inner.at_work.remove(app);
        inner.drop_targets(app);
        inner.stop_wanting(app);
        inner.stop_watching(app);
        inner.stop_watching_label(app);
        inner.awaits.remove(app);
        inner.failures.remove(app);
        inner.tell(Some(app));
    }

    /// Forgets everything.
    pub fn forget_all(&self) {
        let Inner {
            apps,
            at_work,
            told,
            targets,
            targets_size,
            unsaved_size,
            wanted,
            wants,
            failures,
            keeps,
            postponed,
            watching,
            watches,
            awaits,
            labels,
            namespaces,
        } = &mut *self.0.lock();
        apps.clear();
        at_work.clear();
        targets.clear();
        *targets_size = 0;
        *unsaved_size = 0;
        wanted.clear();
        wants.clear();
        failures.clear();
        keeps.clear();
        postponed.clear();
        watching.clear();
        watches.clear();
        awaits.clear();
        labels.clear();
        namespaces.clear();
        // Nobody looking on is no error.
        let _ = told.send(None);
    }
}

impl Inner {
    /// What is known of an application, also while it is worked on.
    fn known(&self, app: &AppKey, uid: &str) -> Option<&AppMemory> {
        let known = self.apps.get(app).or_else(|| self.at_work.get(app));
        known.filter(|memory| memory.uid == uid)
    }

    fn tell(&self, app: Option<&AppKey>) {
        // Nobody looking on is no error.
        let _ = self.told.send(app.cloned());
    }

    fn drop_targets(&mut self, app: &AppKey) {
        if let Some((size, _)) = self.targets.pop(app) {
            self.targets_size -= size;
        }
    }

    fn stop_watching(&mut self, app: &AppKey) {
        let Some(namespace) = self.watches.remove(app) else {
            return;
        };
        if let Some(apps) = self.watching.get_mut(&namespace) {
            apps.remove(app);
            if apps.is_empty() {
                self.watching.remove(&namespace);
            }
        }
    }

    fn stop_watching_label(&mut self, app: &AppKey) {
        if let Some(named) = self.labels.get_mut(&app.name) {
            named.remove(&app.tenant);
            if named.is_empty() {
                self.labels.remove(&app.name);
            }
        }
    }

    fn stop_wanting(&mut self, app: &AppKey) {
        let keys = self.wants.remove(app).map(|wants| wants.keys);
        for key in keys.unwrap_or_default() {
            if let Some(apps) = self.wanted.get_mut(&key) {
                apps.retain(|other| other != app);
                if apps.is_empty() {
                    self.wanted.remove(&key);
                }
            }
        }
    }
}

fn fold(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// Roughly what targets take: a JSON tree is about five times its text.
fn size(prepared: &Prepared) -> usize {
    prepared
        .targets
        .iter()
        .map(|target| {
            let replaced = 64 * target.replaced.len();
            512 + 5 * target.object.to_string().len() + replaced
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use crowd::fair::Fair;
    use engine::options::{Role, SyncOptions};
    use engine::prepare::Target;
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_turn_ends_with_its_look() {
        let turns = Fair::with_share(1, 1);
        let memory = Memory::default();
        let app = AppKey::new(TenantId(Uuid::nil()), "a");
        let mut look = memory.take(&app, "1");
        look.turn = turns.turn_now("t").map(Arc::new);
        assert!(look.turn.is_some() && turns.turn_now("t").is_none());
        memory.put(&app, look);
        assert!(turns.turn_now("t").is_some());
    }

    #[test]
    fn an_application_made_anew_begins_without_memory() {
        let memory = Memory::default();
        let app = AppKey::new(TenantId(Uuid::nil()), "a");
        let mut first = memory.take(&app, "1");
        first.saved = Some(ManifestSetHash("x".into()));
        first.unsaved = Some((ManifestSetHash("y".into()), Arc::from(*b"yyyy")));
        memory.put(&app, first);
        assert!(memory.take(&app, "2").saved.is_none());
        assert_eq!(memory.0.lock().unsaved_size, 0);
    }

    #[test]
    fn hooks_that_are_kept_are_tried_again_until_they_are_not_or_it_is_left_so() {
        let (memory, begun) = (Memory::default(), Instant::now());
        let app = AppKey::new(TenantId(Uuid::nil()), "a");
        let minute = Duration::from_secs(60);
        let at = |minutes| begun + minute * minutes;
        let again = |lasts: Duration| (lasts < minute * 10).then_some(minute);
        let keeps = |minutes| memory.keeps(&app, at(minutes), again);
        assert_eq!(memory.kept(&app, at(0)), None);
        assert_eq!(keeps(0), Some(minute));
        // As each look does that finds no row, or one elsewhere.
        memory.forget(&app);
        drop(memory.take(&app, "1"));
        let half = Duration::from_secs(30);
        assert_eq!(memory.kept(&app, at(0) + half), Some(half));
        assert_eq!(memory.kept(&app, at(5)), Some(Duration::ZERO));
        assert_eq!(keeps(5), Some(minute));
        assert_eq!(keeps(10), None);
        assert_eq!(memory.kept(&app, at(10)), None);
        assert_eq!(keeps(11), Some(minute), "it begins anew");
        memory.keeps_none(&app);
        assert_eq!(memory.kept(&app, at(11)), None);
    }

    #[test]
    fn what_is_taken_from_the_database_leaves_no_other_set_to_be_kept() {
        let mut memory = AppMemory {
            unsaved: Some((ManifestSetHash("y".into()), Arc::from(*b"yyyy"))),
            ..AppMemory::default()
        };
        memory.has_saved(&ManifestSetHash("x".into()));
        assert_eq!(memory.saved, Some(ManifestSetHash("x".into())));
        assert!(memory.unsaved.is_none(), "else it is kept as this one's");
    }

    #[test]
    fn onlookers_see_what_is_known_of_an_application_that_is_worked_on() {
        let memory = Memory::default();
        let app = AppKey::new(TenantId(Uuid::nil()), "a");
        let mut told = memory.told();
        let known = memory.take(&app, "1");
        let render = Render {
            order: 1,
            commit: "c".into(),
            hash: ManifestSetHash("x".into()),
            detail: "d".into(),
            source_type: SourceType::Directory,
            causes: vec![],
            remotes: vec![],
            passing: false,
            making: Making::default(),
        };
        memory.rendered(&app, &[render]);
        assert_eq!(memory.glance(&app, "1").renders.len(), 1);
        assert!(memory.glance(&app, "2").renders.is_empty());
        memory.judged(&app, &Arc::default());
        assert!(told.try_recv().is_err(), "the checks say what they said");
        memory.put(&app, known);
        assert!(memory.glance(&app, "1").renders.is_empty());
        memory.forget(&app);
        assert_eq!(told.try_recv(), Ok(Some(app)));
    }

    #[test]
    fn onlookers_hear_of_another_list_of_targets_and_of_what_a_tree_shows_of_them() {
        let memory = Memory::default();
        let app = AppKey::new(TenantId(Uuid::nil()), "a");
        let mut told = memory.told();
        let mut keep = |name: &str, role: Role| {
            let key = ResourceKey {
                kind: "ConfigMap".into(),
                name: name.into(),
                ..ResourceKey::default()
            };
            let target = Target {
                key: key.clone(),
                version: "v1".into(),
                object: Arc::new(Value::Null),
                hash: [0; 32],
                location: None,
                lines: Arc::from([]),
                replaced: Arc::from([]),
                namespaced: true,
                known: true,
                options: SyncOptions::default(),
                wave: 0,
                role,
                refused: None,
                forbidden_kind: false,
                outside: false,
            };
            let prepared = Prepared {
                targets: vec![target],
                ..Prepared::default()
            };
            let targets = Targets {
                details: vec![],
                facts: 0,
                schema: Arc::default(),
                discovery: Arc::default(),
                prepared: Arc::new(prepared),
            };
            memory.keep_targets(&app, targets);
            assert_eq!(memory.size_of_targets(&app), Some(512 + 5 * "null".len()));
            assert_eq!(memory.who_wants(&key), std::slice::from_ref(&app));
            told.try_recv().is_ok()
        };
        assert!(keep("one", Role::Ordinary));
        assert!(!keep("one", Role::Ordinary), "it is the same list");
        assert!(keep("one", Role::Hook), "one that is not there is none now");
        assert!(keep("two", Role::Hook));
        let one = ResourceKey {
            kind: "ConfigMap".into(),
            name: "one".into(),
            ..ResourceKey::default()
        };
        assert!(memory.who_wants(&one).is_empty());
    }

    #[test]
    fn a_readers_copy_is_told_from_what_is_worked_on() {
        let memory = Memory::default();
        let app = AppKey::new(TenantId(Uuid::from_u128(1)), "a");
        let known = AppMemory {
            uid: "u".to_owned(),
            ..AppMemory::default()
        };
        memory.put(&app, known);
        assert!(memory.copy(&app, "u").copied && memory.copy(&app, "another").copied);
        assert!(memory.glance(&app, "u").copied && memory.glance(&app, "another").copied);
        assert!(!memory.take(&app, "u").copied);
        assert!(memory.copy(&app, "u").copied, "it is worked on");
    }

    #[test]
    fn a_label_wakes_whom_it_names_where_it_counts() {
        let memory = Memory::default();
        let app = |number: u128, name: &str| AppKey::new(TenantId(Uuid::from_u128(number)), name);
        let own = |namespace: &str| Some(Labels::In(vec![namespace.to_owned()]));
        memory.watch_label(&app(1, "hello"), own("one"));
        memory.watch_label(&app(2, "hello"), own("two"));
        memory.watch_label(&app(3, "hello"), Some(Labels::Everywhere));
        memory.watch_label(&app(1, "other"), own("one"));
        let mut named = memory.who_is_labelled("hello", "one");
        named.sort_by_key(|app| app.tenant.0);
        assert_eq!(named, [app(1, "hello"), app(3, "hello")]);
        memory.watch_label(&app(1, "hello"), None);
        memory.forget(&app(3, "hello"));
        assert!(memory.who_is_labelled("hello", "one").is_empty());
        assert_eq!(memory.who_is_labelled("hello", "two").len(), 1);
    }

    #[test]
    fn who_waits_for_a_namespace_is_woken_by_it_until_it_is_looked_at() {
        let memory = Memory::default();
        let app = |name: &str| AppKey::new(TenantId(Uuid::nil()), name);
        memory.await_namespace(&app("a"), "one");
        memory.await_namespace(&app("b"), "two");
        assert_eq!(memory.who_awaits("one"), [app("a")]);
        assert_eq!(memory.who_awaits("one"), [app("a")], "it may only change");
        let known = memory.take(&app("a"), "u");
        assert!(memory.who_awaits("one").is_empty());
        memory.await_namespace(&app("a"), "one");
        memory.put(&app("a"), known);
        assert_eq!(memory.who_awaits("one"), [app("a")]);
        memory.forget(&app("a"));
        assert!(memory.who_awaits("one").is_empty());
        assert_eq!(memory.who_awaits("two"), [app("b")]);
        memory.forget_all();
        assert!(memory.who_awaits("two").is_empty());
    }

    #[test]
    fn a_check_is_put_off_since_it_could_not_be_carried_out_first() {
        let memory = Memory::default();
        let (tenant, hook, start) = (
            TenantId(Uuid::nil()),
            ResourceKey::default(),
            Instant::now(),
        );
        let after = |seconds| memory.postponed(tenant, &hook, start + Duration::from_secs(seconds));
        assert_eq!(after(0), Duration::ZERO);
        assert_eq!(after(60), Duration::from_secs(60));
        assert_eq!(after(360), Duration::from_secs(360));
        memory.checked(tenant, &hook);
        assert_eq!(after(400), Duration::ZERO, "it was carried out meanwhile");
        assert_eq!(after(1_000), Duration::ZERO, "nobody has asked for long");
    }
}
