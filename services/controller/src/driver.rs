//! Turns what happens into work: a notification, a live change, an alarm or a moved revision becomes an application in
//! the queue, and a worker brings it to what Git says. Nothing ticks per application.
//!
//! What wakes an application says where to look, never what is there; losing every hint costs time, never correctness.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::Wake;
use domain::shard::Unit;
use domain::tenant::TenantId;
use domain::trace::TraceParent;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use store::{Change, ChangeKind};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::clusters::{Event, News};
use crate::context::Context;
use crate::reconcile::{self, Next};
use crate::shard::Term;

pub mod polls;
pub mod queue;
pub mod tenancy;
pub mod timers;

use polls::PollNow;
use queue::{AppKey, Queue};
use tenancy::Tenancy;
use timers::Timers;

/// After this long without success an application is looked at no more often than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The same, where it is a repository's server that does not answer, which is nobody's fault here and may take long.
const LONGEST_PAUSE_OF_THEIRS: Duration = Duration::from_secs(60);
/// When an application is looked at again at which a look broke off, if nothing happens before: it will break off again.
const BROKEN_AGAIN: Duration = Duration::from_secs(60);
/// How many applications are looked at once because hooks of them are kept where they are not.
const LOST_AT_ONCE: usize = 200;
/// When applications are listed again that could not be.
const MISSED_AGAIN: Duration = Duration::from_secs(1);
/// When an application tries again that found as many worked on in added clusters as may be, if it has not been told by then that
/// there is a turn.
const BUSY: Duration = Duration::from_secs(5);

/// What drives the work. Cheap to clone.
#[derive(Clone)]
pub struct Driver {
    /// What the work needs.
    pub context: Arc<Context>,
    /// What to look at next.
    pub queue: Queue,
    /// When to look again.
    pub timers: Timers,
    /// Lists a repository now.
    pub polls: PollNow,
    /// Makes tenants' namespaces.
    pub tenancy: Tenancy,
    /// Whether applications are to be listed once more.
    pub missed: Missed,
}

/// That applications which were to be looked at could not be listed. Where the database was away the change feed begins anew when
/// it is back; a question of ours that failed alone is nobody's news. Cheap to clone.
#[derive(Clone, Default)]
pub struct Missed(Arc<Mutex<Option<tokio::time::Instant>>>);

impl Missed {
    /// Some could not be.
    fn note(&self) {
        let mut due = self.0.lock();
        due.get_or_insert_with(|| tokio::time::Instant::now() + MISSED_AGAIN);
    }

    /// Ends when all are to be listed; never while none was missed. That is forgotten then.
    async fn due(&self) {
        let due = *self.0.lock();
        match due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
        *self.0.lock() = None;
    }
}

/// The terms that the driver knows of.
type Known = HashMap<Unit, Arc<Term>>;

/// Whose applications are to be looked at since terms have ended or begun.
#[derive(Debug, PartialEq, Eq)]
enum Affected {
    /// All that are ours.
    Everybody,
    /// Those of these tenants.
    Tenants(HashSet<TenantId>),
}

impl Affected {
    /// With the shared cluster it is everybody, whether that came or went.
    fn by<'a>(ended: &[Unit], begun: impl Iterator<Item = &'a Unit>) -> Self {
        let mut tenants = HashSet::new();
        let mut shared = ended.contains(&Unit::Shared);
        for unit in begun {
            match unit {
                Unit::Shared => shared = true,
                Unit::Added { tenant, .. } => {
                    tenants.insert(*tenant);
                }
            }
        }
        match shared {
            true => Self::Everybody,
            false => Self::Tenants(tenants),
        }
    }
}

impl Driver {
    /// Follows the leases, the change feed and the cluster until the stop.
    pub async fn run(self, mut events: mpsc::Receiver<Event>, stop: CancellationToken) {
        let mut changes = pin!(self.context.store.platform().listen());
        let mut wakes = self.context.cluster.index().subscribe();
        let mut connection = self.context.cluster.connection();
        let mut news = self.context.shard.news();
        let mut known = Known::new();
        self.take_stock(&mut known).await;
        loop {
            let shared = known.contains_key(&Unit::Shared);
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = news.changed() => self.take_stock(&mut known).await,
                change = changes.next() => {
                    let Some(change) = change else { return };
                    self.changed(change).await;
                }
                wake = wakes.next() => if shared { self.woken(wake).await },
                Some(event) = events.recv() => self.told(event),
                () = self.missed.due() => self.all().await,
                Ok(()) = connection.changed() => {
                    let reachable = connection.borrow_and_update().reachable;
                    self.context.metrics.cluster_reachable(reachable);
                    if shared {
                        if reachable {
                            self.tenancy.ensure_all();
                        }
                        self.all().await;
                    }
                }
            }
        }
    }

    /// Takes in which terms have ended and begun.
    async fn take_stock(&self, known: &mut Known) {
        let now = self.context.shard.terms();
        let is_in = |term: &Arc<Term>| now.iter().any(|other| Arc::ptr_eq(term, other));
        let ended: Vec<Unit> = known
            .values()
            .filter(|term| !is_in(term))
            .map(|term| term.unit.clone())
            .collect();
        for unit in &ended {
            known.remove(unit);
            self.rest(unit);
        }
        let begun: Vec<Arc<Term>> = now
            .into_iter()
            .filter(|term| !known.contains_key(&term.unit))
            .collect();
        for term in &begun {
            known.insert(term.unit.clone(), term.clone());
            self.begin(&term.unit);
        }
        let begun = begun.iter().map(|term| &term.unit);
        self.look_at(Affected::by(&ended, begun)).await;
        let held = i64::try_from(known.len()).unwrap_or(i64::MAX);
        self.context.metrics.clusters_held.set(held);
    }

    /// Has everything looked at that terms which ended or began concern: listed once, however many they are.
    async fn look_at(&self, affected: Affected) {
        match affected {
            Affected::Everybody => self.all().await,
            Affected::Tenants(tenants) if tenants.is_empty() => {}
            Affected::Tenants(tenants) => {
                for tenant in &tenants {
                    self.refresh(*tenant).await;
                }
                self.apps(|whose| tenants.contains(&whose)).await;
            }
        }
    }

    /// Works on what is in the queue until the stop.
    pub async fn work(self, stop: CancellationToken) {
        loop {
            let turn = tokio::select! {
                () = stop.cancelled() => return,
                turn = self.queue.pop() => turn,
            };
            self.context
                .metrics
                .queue_depth
                .set(i64::try_from(self.queue.waiting()).unwrap_or(i64::MAX));
            if !self.context.shard.concerns(turn.app.tenant) {
                // Whoever has its clusters now sees to what is kept there.
                self.context.memory.keeps_none(&turn.app);
                self.pass_on();
                continue;
            }
            let began = Instant::now();
            let tenant = self.context.tenants.name_of(turn.app.tenant);
            let span = tracing::info_span!("reconcile", %tenant, app = %turn.app.name, operation = tracing::field::Empty);
            runtime::trace::join(&span, &turn.traces);
            let look = unbroken(reconcile::reconcile(&self.context, &turn.app));
            let next = look.instrument(span).await;
            if matches!(next, Err(reconcile::Failure::Broken)) {
                // What was noted of it may be half of what there was to note.
                reconcile::forget(&self.context, &turn.app);
            }
            let busy = matches!(next, Ok(Next::Busy));
            self.plan(&turn.app, next);
            if !busy {
                self.pass_on();
            }
            self.context
                .metrics
                .reconciled(&tenant, began.elapsed().as_secs_f64());
        }
    }

    /// What has ended may have given a turn in an added cluster back: whoever found none comes again. It passes the turn on in its
    /// turn, whether it needs it any more or not.
    fn pass_on(&self) {
        if let Some(app) = self.context.clusters.whose_turn() {
            self.queue.push(app);
        }
    }

    fn plan(&self, app: &AppKey, next: Result<Next, reconcile::Failure>) {
        let next = match next {
            Ok(Next::Busy) => Next::Busy,
            Ok(next) => {
                self.context.memory.succeeded(app);
                next
            }
            Err(failure) => {
                let longest = match &failure {
                    reconcile::Failure::Repository(trouble) if !trouble.ours => {
                        LONGEST_PAUSE_OF_THEIRS
                    }
                    _ => LONGEST_PAUSE,
                };
                let pause = match &failure {
                    reconcile::Failure::Broken => BROKEN_AGAIN,
                    _ => pause(self.context.memory.failed(app), longest),
                };
                tracing::warn!(
                    tenant = %app.tenant, app = %app.name, %failure, retry_in_ms = pause.as_millis() as u64,
                    "an application could not be looked at"
                );
                Next::After(pause)
            }
        };
        match next {
            Next::Sleep => self.timers.cancel(app.clone()),
            Next::Settled => {
                self.timers.cancel(app.clone());
                // In this order: what comes after the look at the cluster wakes it again.
                self.queue.answered(app);
                if !reconcile::is_settled(&self.context, app) {
                    self.queue.push(app.clone());
                }
            }
            Next::Gone => {
                self.timers.cancel(app.clone());
                // What it leaves behind is nobody's now.
                self.watchers(app.tenant);
            }
            Next::Left(delay) => {
                self.timers.set(app.clone(), delay);
                self.watchers(app.tenant);
            }
            Next::After(delay) if delay.is_zero() => {
                self.timers.cancel(app.clone());
                self.queue.push(app.clone());
            }
            Next::After(delay) => self.timers.set(app.clone(), delay),
            Next::Busy => self.timers.set(app.clone(), BUSY),
        }
    }

    /// A unit is ours: everything in it is to be looked at.
    fn begin(&self, unit: &Unit) {
        let context = &self.context;
        match unit {
            Unit::Shared => {
                context.metrics.lease_held.set(1);
                context.forget_everything();
                self.tenancy.ensure_all();
            }
            Unit::Added { tenant, .. } => {
                context.repos.forget_credentials(*tenant);
                context.tenants.forget_clusters(*tenant);
            }
        }
    }

    /// A unit is ours no more: what waits is forgotten, what is under way is dropped by the workers. With the shared cluster
    /// that is whatever waits anywhere: what is in units that are still ours is to be looked at anew.
    fn rest(&self, unit: &Unit) {
        let context = &self.context;
        match unit {
            Unit::Shared => {
                tracing::warn!("standing by");
                context.metrics.lease_held.set(0);
                self.queue.clear();
                self.timers.clear();
                context.forget_everything();
            }
            Unit::Added { tenant, server } => {
                let apps = context.clusters.close(*tenant, server);
                apps.iter().for_each(|app| reconcile::forget(context, app));
            }
        }
    }

    /// Takes a change in. What is known of tenants is right also while nothing of theirs is ours.
    async fn changed(&self, change: Change) {
        let Change {
            tenant,
            kind,
            published,
            trace,
        } = change;
        let ours = tenant.is_some_and(|tenant| self.context.shard.concerns(tenant));
        match (tenant, kind) {
            // What we wrote ourselves we know.
            (_, ChangeKind::App(_)) if published => {}
            // Who is signed in is the api's concern.
            (_, ChangeKind::Identity) => {}
            (Some(tenant), ChangeKind::App(name)) => {
                if ours {
                    let app = AppKey::new(tenant, &name);
                    self.context.memory.tell(Some(&app));
                    self.queue.push_traced(app, trace);
                }
            }
            (Some(tenant), ChangeKind::Repo(url)) => {
                self.context.repos.forget_credentials(tenant);
                if ours {
                    self.pushed(tenant, &url, trace).await;
                }
            }
            (Some(tenant), ChangeKind::Project(_)) => {
                self.context.tenants.forget_projects(tenant);
                self.of_tenant(tenant).await;
            }
            (Some(tenant), ChangeKind::Access) => {
                // There may be a cluster that is nobody's yet.
                self.context.shard.look();
                self.context.repos.forget_credentials(tenant);
                self.context.tenants.forget_clusters(tenant);
                self.context.clusters.review(&self.context, tenant).await;
                let (known, now) = (self.context.repos.of_tenant(tenant), Instant::now());
                known
                    .into_iter()
                    .for_each(|repo| self.polls.ask(repo, trace.clone(), now));
                self.of_tenant(tenant).await;
            }
            (Some(tenant), ChangeKind::Tenant) => {
                // Before its applications are looked at: it may have been closed.
                self.refresh(tenant).await;
                self.tenancy.ensure(tenant);
                self.of_tenant(tenant).await;
            }
            (_, ChangeKind::Resync) | (None, _) => {
                self.context.shard.look();
                self.context.repos.forget_access();
                // Before anything is looked at: it would be by what was known before.
                self.context.tenants.forget_all();
                self.context.clusters.review_all(&self.context).await;
                self.context.memory.tell(None);
                self.tenancy.ensure_all();
                self.all().await;
            }
        }
    }

    /// Reads a tenant anew.
    async fn refresh(&self, tenant: TenantId) {
        if let Err(error) = self.context.tenants.refresh(tenant).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a tenant could not be read"
            );
        }
    }

    /// Somebody pushed, or connected the repository anew.
    async fn pushed(&self, tenant: TenantId, url: &str, trace: Option<TraceParent>) {
        let known = self.context.repos.at(tenant, url);
        if !known.is_empty() {
            // Projects that get in by the same way share a listing that begins from now on.
            let now = Instant::now();
            known
                .into_iter()
                .for_each(|repo| self.polls.ask(repo, trace.clone(), now));
            return;
        }
        match self
            .context
            .store
            .platform()
            .apps_of_repo(url, Some(tenant))
            .await
        {
            Ok(apps) => apps.iter().for_each(|(tenant, name)| {
                self.queue
                    .push_traced(AppKey::new(*tenant, name), trace.clone())
            }),
            Err(error) => {
                self.missed.note();
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a push could not be followed"
                );
            }
        }
    }

    async fn woken(&self, wake: Wake) {
        match wake {
            Wake::App { installation, app } => {
                if let Some(tenant) = self.context.tenants.id_of(&installation) {
                    let app = AppKey { tenant, name: app };
                    if !self.context.memory.knows(&app) {
                        // Of an application that there may not be any more.
                        self.watchers(tenant);
                    }
                    self.queue.push_woken(app);
                }
            }
            Wake::Untracked(key) => {
                let memory = &self.context.memory;
                let concerned = memory.who_wants(&key).into_iter();
                concerned
                    .chain(memory.who_watches(&key.namespace))
                    .for_each(|app| self.queue.push(app));
            }
            Wake::Labelled { namespace, app } => {
                let named = self.context.memory.who_is_labelled(&app, &namespace);
                let clusters = &self.context.clusters;
                named
                    .into_iter()
                    .filter(|app| !clusters.has(app, None))
                    .for_each(|app| self.queue.push(app));
            }
            Wake::Namespace(namespace) => {
                self.tenancy.namespace_changed(&namespace);
                let clusters = &self.context.clusters;
                let waiting = self.context.memory.who_awaits(&namespace).into_iter();
                waiting
                    .filter(|app| !clusters.has(app, None))
                    .for_each(|app| self.queue.push(app));
            }
            // Until everything is listed all applications wait for that; its end is a resync.
            Wake::Kinds if !self.context.cluster.index().is_ready() => {}
            Wake::Kinds | Wake::Resync => self.all().await,
        }
    }

    /// Something happened in a cluster that a tenant has added. It is a stranger's word, and concerns alone the applications
    /// that are known to be there, and those of that tenant of which hooks are kept there.
    fn told(&self, event: Event) {
        let Event {
            tenant,
            server,
            news,
        } = event;
        let clusters = &self.context.clusters;
        let there = |app: &AppKey| app.tenant == tenant && clusters.has(app, Some(&server));
        match news {
            News::Wake(Wake::App { installation, app }) => {
                let app = AppKey { tenant, name: app };
                if self.context.tenants.id_of(&installation) == Some(tenant) && there(&app) {
                    self.queue.push(app);
                }
            }
            News::Wake(Wake::Untracked(key)) => {
                let memory = &self.context.memory;
                let concerned = memory.who_wants(&key).into_iter();
                concerned
                    .chain(memory.who_watches(&key.namespace))
                    .filter(there)
                    .for_each(|app| self.queue.push(app));
            }
            News::Wake(Wake::Labelled { namespace, app }) => {
                let named = self.context.memory.who_is_labelled(&app, &namespace);
                named
                    .into_iter()
                    .filter(there)
                    .for_each(|app| self.queue.push(app));
            }
            // Whose a namespace is there, nobody asks; one that goes may be waited for.
            News::Wake(Wake::Namespace(namespace)) => {
                let waiting = self.context.memory.who_awaits(&namespace).into_iter();
                waiting.filter(there).for_each(|app| self.queue.push(app));
            }
            News::Wake(Wake::Kinds | Wake::Resync) | News::Anything => {
                let apps = clusters.apps_at(tenant, &server);
                apps.into_iter().for_each(|app| self.queue.push(app));
            }
            // Whether there is such an application is looked at; of one that there is not, what it left is let go.
            News::Kept(apps) => {
                let apps = apps.into_iter().map(|name| AppKey { tenant, name });
                let elsewhere = apps.filter(|app| !there(app));
                elsewhere
                    .take(LOST_AT_ONCE)
                    .for_each(|app| self.queue.push(app));
            }
        }
    }

    /// Wakes a tenant's applications that watch for objects that no application has.
    fn watchers(&self, tenant: TenantId) {
        let watchers = self.context.memory.watchers_of(tenant);
        watchers.into_iter().for_each(|app| self.queue.push(app));
    }

    async fn of_tenant(&self, tenant: TenantId) {
        if self.context.shard.concerns(tenant) {
            self.apps(|whose| whose == tenant).await;
        }
    }

    async fn all(&self) {
        if !self.context.shard.terms().is_empty() {
            self.apps(|_| true).await;
        }
    }

    /// Has applications looked at that may be ours.
    async fn apps(&self, wanted: impl Fn(TenantId) -> bool) {
        let shard = &self.context.shard;
        match self.context.store.platform().all_apps().await {
            Ok(apps) => {
                let ours = |tenant: TenantId| wanted(tenant) && shard.concerns(tenant);
                let apps = apps.iter().filter(|(tenant, _)| ours(*tenant));
                let apps = apps.map(|(tenant, name)| AppKey::new(*tenant, name));
                let apps = new_first(apps, |app| self.context.memory.knows(app));
                apps.into_iter().for_each(|app| self.queue.push(app));
            }
            Err(error) => {
                self.missed.note();
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the applications could not be listed"
                );
            }
        }
    }
}

/// Applications of which nothing is known come before the others: what has just become ours has been looked at by nobody since it was
/// another's, while whatever happens to the rest wakes it anyway.
fn new_first(
    apps: impl Iterator<Item = AppKey>,
    is_known: impl Fn(&AppKey) -> bool,
) -> Vec<AppKey> {
    let (known, mut first): (Vec<AppKey>, Vec<AppKey>) = apps.partition(is_known);
    first.extend(known);
    first
}

/// Has a look that panics fail alone. What is in an application is its tenant's: a worker that ended with it would end the process,
/// and every process after that one.
async fn unbroken<T>(
    look: impl Future<Output = Result<T, reconcile::Failure>>,
) -> Result<T, reconcile::Failure> {
    let looked = AssertUnwindSafe(look).catch_unwind().await;
    looked.unwrap_or(Err(reconcile::Failure::Broken))
}

/// Doubles from the first to the longest.
fn pause(failures: u32, longest: Duration) -> Duration {
    FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16)))
        .min(longest)
}

/// Something to hold while work is under way; all are dropped when it has ended.
pub type Alive = mpsc::Sender<()>;

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses = |longest| (1..=9).map(move |n| pause(n, longest).as_secs_f64());
        let ours: Vec<f64> = pauses(LONGEST_PAUSE).collect();
        assert_eq!(ours, [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0, 10.0]);
        let theirs: Vec<f64> = pauses(LONGEST_PAUSE_OF_THEIRS).collect();
        assert_eq!(theirs, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
        assert_eq!(pause(u32::MAX, LONGEST_PAUSE), LONGEST_PAUSE);
    }

    #[tokio::test]
    async fn a_look_that_panics_fails_alone() {
        use reconcile::Failure;
        async fn breaks() -> Result<Next, Failure> {
            tokio::task::yield_now().await;
            panic!("something about an application")
        }
        let broken = unbroken(breaks());
        assert!(matches!(broken.await, Err(Failure::Broken)));
        let whole = unbroken(async { Ok::<_, Failure>(1) });
        assert!(matches!(whole.await, Ok(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_listed_is_listed_once_more_in_a_moment() {
        let missed = Missed::default();
        let within = |time| tokio::time::timeout(time, missed.due());
        let long = MISSED_AGAIN * 9;
        assert!(within(long).await.is_err(), "none was missed");
        missed.note();
        let begun = tokio::time::Instant::now();
        // Whatever else happens meanwhile does not put it off.
        assert!(within(MISSED_AGAIN / 2).await.is_err());
        missed.note();
        assert!(within(long).await.is_ok());
        assert_eq!(begun.elapsed(), MISSED_AGAIN);
        assert!(within(long).await.is_err(), "once");
    }

    #[test]
    fn what_has_just_become_ours_is_looked_at_before_what_was() {
        let app = |name: &str| AppKey::new(TenantId(Uuid::from_u128(1)), name);
        let all = ["a", "b", "c", "d"].map(app);
        let known = [app("a"), app("c")];
        let order = new_first(all.into_iter(), |app| known.contains(app));
        assert_eq!(order, ["b", "d", "a", "c"].map(app));
    }

    #[test]
    fn whoever_gets_or_loses_the_shared_cluster_looks_at_everybodys_applications_anew() {
        let tenant = |number| TenantId(Uuid::from_u128(number));
        let added = |number, server: &str| Unit::Added {
            tenant: tenant(number),
            server: server.to_owned(),
        };
        let by = |ended: &[Unit], begun: &[Unit]| Affected::by(ended, begun.iter());
        assert_eq!(by(&[], &[added(1, "a"), Unit::Shared]), Affected::Everybody);
        // What waited of the clusters that are left was forgotten with the rest.
        assert_eq!(by(&[Unit::Shared], &[]), Affected::Everybody);
        let begun = [added(1, "a"), added(1, "b"), added(2, "a")];
        let both = Affected::Tenants(HashSet::from([tenant(1), tenant(2)]));
        assert_eq!(by(&[added(3, "a")], &begun), both);
        let nobody = Affected::Tenants(HashSet::new());
        assert_eq!(by(&[added(3, "a")], &[]), nobody);
    }
}
