//! The fair queue: tenants take turns, an application waits at most once and is worked on by one worker at a time.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::tenant::TenantId;
use domain::trace::TraceParent;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// One application of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppKey {
    /// Whose.
    pub tenant: TenantId,
    /// Its name.
    pub name: Arc<str>,
}

impl AppKey {
    /// Puts the two together.
    #[must_use]
    pub fn new(tenant: TenantId, name: &str) -> Self {
        Self {
            tenant,
            name: Arc::from(name),
        }
    }
}

impl fmt::Display for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.name)
    }
}

/// How many applications of the later lane are worked on at once, so that what came since finds workers free and the
/// processor idle enough.
const LATER_AT_ONCE: usize = 3;
/// How long nothing must have been waited for before the later lane is served. Whoever pushes often pays for what only
/// follows once, not at every push.
const QUIET: Duration = Duration::from_millis(500);
/// The later lane is served after this long, whatever else there is to do.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many traces are remembered of those that wake an application while it waits.
const TRACES: usize = 8;

/// What to work on next. Cheap to clone.
///
/// An application that is pushed while it waits waits once; pushed while it is worked on, it comes again afterwards.
/// There are two lanes: what somebody waits for, and what may come later; within each, tenants take turns.
#[derive(Clone, Debug)]
pub struct Queue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    ready: Notify,
}

#[derive(Debug)]
struct State {
    /// Every application that waits or is worked on.
    places: HashMap<AppKey, Place>,
    /// How many of them wait.
    waiting: usize,
    soon: Lane,
    later: Lane,
    rest: Rest,
    weights: HashMap<TenantId, u32>,
    /// From where the next turn was asked for, the first first; of those alone that were traced.
    traces: HashMap<AppKey, Vec<TraceParent>>,
}

/// Whether the later lane is served.
#[derive(Debug)]
struct Rest {
    quiet: Duration,
    /// When somebody last waited for something.
    busy_at: Option<Instant>,
    /// Since when the later lane has waited.
    since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Soon,
    Later,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Waiting(Which),
    /// Worked on, from that lane; and whether it then waits again.
    Running(Which, Option<Again>),
}

/// That an application was asked for while it was worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Again {
    /// In which lane it then waits.
    which: Which,
    /// Whether all that asked for it was what its cluster has of it.
    woken: bool,
}

impl Again {
    /// By anything else.
    fn asked(which: Which) -> Self {
        Self {
            which,
            woken: false,
        }
    }
}

#[derive(Debug)]
struct Lane {
    tenants: HashMap<TenantId, Line>,
    /// Tenants with something to do and room to do it, each once.
    ring: VecDeque<TenantId>,
    running: usize,
    /// How many applications may be worked on at once, of one tenant and of all.
    per_tenant: usize,
    at_once: usize,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Arc<str>>,
    running: usize,
    in_ring: bool,
    /// What is left of this turn; a tenant of weight n is served n times before the next one is.
    left: u32,
}

/// The right to work on one application; dropped when the work is done.
#[derive(Debug)]
pub struct Turn {
    /// What to work on.
    pub app: AppKey,
    /// Whose traces go on here: the first is this work's own, the others are linked.
    pub traces: Vec<TraceParent>,
    queue: Queue,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.queue.done(&self.app);
    }
}

impl Queue {
    /// An empty queue that gives one tenant at most `per_tenant` turns at once.
    #[must_use]
    pub fn new(per_tenant: usize) -> Self {
        Self::resting(per_tenant, QUIET)
    }

    fn resting(per_tenant: usize, quiet: Duration) -> Self {
        let lane = |per_tenant: usize, at_once| Lane {
            tenants: HashMap::new(),
            ring: VecDeque::new(),
            running: 0,
            per_tenant,
            at_once,
        };
        let state = State {
            places: HashMap::new(),
            waiting: 0,
            soon: lane(per_tenant.max(1), usize::MAX),
            later: lane(LATER_AT_ONCE, LATER_AT_ONCE),
            rest: Rest {
                quiet,
                busy_at: None,
                since: None,
            },
            weights: HashMap::new(),
            traces: HashMap::new(),
        };
        Self(Arc::new(Inner {
            state: Mutex::new(state),
            ready: Notify::new(),
        }))
    }

    /// How many times a tenant is served before the next one is.
    pub fn set_weight(&self, tenant: TenantId, weight: u32) {
        self.0.state.lock().weights.insert(tenant, weight);
    }

    /// Asks for an application to be looked at.
    pub fn push(&self, app: AppKey) {
        self.push_traced(app, None);
    }

    /// The same, as part of a trace.
    pub fn push_traced(&self, app: AppKey, trace: Option<TraceParent>) {
        self.enqueue(app, Again::asked(Which::Soon), trace);
    }

    /// The same, since its cluster has something else of it than before.
    pub fn push_woken(&self, app: AppKey) {
        let which = Which::Soon;
        self.enqueue(app, Again { which, woken: true }, None);
    }

    /// Asks for an application to be looked at when nobody waits for anything else.
    pub fn push_later(&self, app: AppKey, trace: Option<TraceParent>) {
        self.enqueue(app, Again::asked(Which::Later), trace);
    }

    /// What its cluster has woken an application for while it was worked on is answered, and it does not come again for that.
    /// It does where anything else asked for it.
    pub fn answered(&self, app: &AppKey) {
        if let Some(Place::Running(_, again)) = self.0.state.lock().places.get_mut(app) {
            *again = again.filter(|again| !again.woken);
        }
    }

    fn enqueue(&self, app: AppKey, asked: Again, trace: Option<TraceParent>) {
        let mut state = self.0.state.lock();
        if let Some(trace) = trace {
            state.trace(&app, trace);
        }
        if state.enqueue(app, asked) {
            drop(state);
            self.0.ready.notify_one();
        }
    }

    /// The next turn; waits for one.
    pub async fn pop(&self) -> Turn {
        loop {
            let notified = self.0.ready.notified();
            if let Some(turn) = self.try_pop() {
                return turn;
            }
            let opens = self.0.state.lock().later_opens();
            match opens {
                Some(at) => tokio::select! {
                    biased;
                    () = notified => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => notified.await,
            }
        }
    }

    /// Forgets all that waits. What is being worked on ends by itself and does not come again.
    pub fn clear(&self) {
        let mut state = self.0.state.lock();
        state.places.retain(|_, place| match place {
            Place::Waiting(_) => false,
            Place::Running(_, again) => {
                *again = None;
                true
            }
        });
        state.waiting = 0;
        state.soon.clear();
        state.later.clear();
        state.rest.since = None;
        state.traces.clear();
    }

    /// How many applications wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.state.lock().waiting
    }

    fn try_pop(&self) -> Option<Turn> {
        let mut state = self.0.state.lock();
        let app = state.take()?;
        let traces = state.traces.remove(&app).unwrap_or_default();
        let more = state.more();
        drop(state);
        // One permit is stored however many pushes there were; the one who took it passes it on.
        if more {
            self.0.ready.notify_one();
        }
        Some(Turn {
            app,
            traces,
            queue: self.clone(),
        })
    }

    fn done(&self, app: &AppKey) {
        let mut state = self.0.state.lock();
        state.done(app);
        let more = state.more();
        drop(state);
        if more {
            self.0.ready.notify_one();
        }
    }
}

impl State {
    fn lane(&mut self, which: Which) -> &mut Lane {
        match which {
            Which::Soon => &mut self.soon,
            Which::Later => &mut self.later,
        }
    }

    fn trace(&mut self, app: &AppKey, trace: TraceParent) {
        let traces = self.traces.entry(app.clone()).or_default();
        if traces.len() < TRACES && !traces.contains(&trace) {
            traces.push(trace);
        }
    }

    /// `true` when the application waits anew, or sooner than before.
    fn enqueue(&mut self, app: AppKey, asked: Again) -> bool {
        let Again { which, woken } = asked;
        match self.places.get_mut(&app) {
            Some(Place::Waiting(Which::Soon)) => return false,
            Some(Place::Waiting(Which::Later)) if which == Which::Later => return false,
            // It changes lanes; its entry in the other one is passed over when its turn comes.
            Some(place @ Place::Waiting(_)) => *place = Place::Waiting(which),
            Some(Place::Running(_, again)) => {
                *again = Some(match *again {
                    Some(before) => Again {
                        which: match before.which {
                            Which::Soon => Which::Soon,
                            Which::Later => which,
                        },
                        woken: before.woken && woken,
                    },
                    None => asked,
                });
                return false;
            }
            None => {
                self.places.insert(app.clone(), Place::Waiting(which));
                self.waiting += 1;
            }
        }
        match which {
            Which::Soon => self.rest.busy_at = Some(Instant::now()),
            Which::Later => {
                self.rest.since.get_or_insert_with(Instant::now);
            }
        }
        self.lane(which).add(app);
        true
    }

    /// When the later lane is served next, if something waits there that it has room for.
    fn later_opens(&self) -> Option<Instant> {
        let since = self.rest.since.filter(|_| self.later.more())?;
        let quiet = self
            .rest
            .busy_at
            .map_or(since, |busy| busy + self.rest.quiet);
        Some(quiet.min(since + PATIENCE))
    }

    fn take(&mut self) -> Option<AppKey> {
        let open = self.later_opens().is_some_and(|at| at <= Instant::now());
        let Self {
            places,
            waiting,
            soon,
            later,
            weights,
            rest,
            traces: _,
        } = self;
        for (which, lane) in [(Which::Soon, soon), (Which::Later, later)] {
            if which == Which::Later && !open {
                return None;
            }
            while let Some(app) = lane.take(weights) {
                if places.get(&app) == Some(&Place::Waiting(which)) {
                    places.insert(app.clone(), Place::Running(which, None));
                    *waiting = waiting.saturating_sub(1);
                    return Some(app);
                }
                // It changed lanes meanwhile.
                lane.done(app.tenant);
            }
            if which == Which::Later && lane.tenants.is_empty() {
                rest.since = None;
            }
        }
        None
    }

    fn done(&mut self, app: &AppKey) {
        let Some(Place::Running(which, again)) = self.places.remove(app) else {
            return;
        };
        self.lane(which).done(app.tenant);
        match which {
            Which::Soon => self.rest.busy_at = Some(Instant::now()),
            Which::Later if self.later.tenants.is_empty() => self.rest.since = None,
            Which::Later => {}
        }
        if let Some(again) = again {
            self.enqueue(app.clone(), again);
        }
    }

    fn more(&self) -> bool {
        let open = self.later_opens().is_some_and(|at| at <= Instant::now());
        self.soon.more() || open
    }
}

impl Lane {
    fn more(&self) -> bool {
        !self.ring.is_empty() && self.running < self.at_once
    }

    fn clear(&mut self) {
        self.ring.clear();
        for line in self.tenants.values_mut() {
            line.waiting.clear();
            line.in_ring = false;
        }
        self.tenants.retain(|_, line| line.running > 0);
    }

    fn add(&mut self, app: AppKey) {
        self.tenants
            .entry(app.tenant)
            .or_default()
            .waiting
            .push_back(app.name);
        self.settle(app.tenant);
    }

    fn take(&mut self, weights: &HashMap<TenantId, u32>) -> Option<AppKey> {
        if self.running >= self.at_once {
            return None;
        }
        let tenant = self.ring.pop_front()?;
        let line = self.tenants.get_mut(&tenant)?;
        line.in_ring = false;
        let name = line.waiting.pop_front()?;
        line.running += 1;
        self.running += 1;
        if line.left == 0 {
            line.left = weights.get(&tenant).copied().unwrap_or(1).max(1);
        }
        line.left -= 1;
        let goes_on = line.left > 0;
        self.settle(tenant);
        if goes_on && self.ring.back() == Some(&tenant) {
            self.ring.rotate_right(1);
        }
        Some(AppKey { tenant, name })
    }

    fn done(&mut self, tenant: TenantId) {
        self.running = self.running.saturating_sub(1);
        if let Some(line) = self.tenants.get_mut(&tenant) {
            line.running = line.running.saturating_sub(1);
        }
        self.settle(tenant);
    }

    /// Puts a tenant into the ring if it has something to do and room, and forgets it if it has nothing at all.
    fn settle(&mut self, tenant: TenantId) {
        let Some(line) = self.tenants.get_mut(&tenant) else {
            return;
        };
        if !line.in_ring && !line.waiting.is_empty() && line.running < self.per_tenant {
            line.in_ring = true;
            self.ring.push_back(tenant);
        } else if line.waiting.is_empty() && line.running == 0 {
            self.tenants.remove(&tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn tenant(n: u128) -> TenantId {
        TenantId(Uuid::from_u128(n))
    }

    async fn order(queue: &Queue, n: usize) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..n {
            names.push(queue.pop().await.app.name.to_string());
        }
        names
    }

    #[tokio::test]
    async fn a_tenant_with_much_work_does_not_keep_another_waiting() {
        let queue = Queue::new(4);
        for n in 0..100 {
            queue.push(AppKey::new(tenant(1), &format!("a{n}")));
        }
        queue.push(AppKey::new(tenant(2), "b0"));
        assert_eq!(order(&queue, 3).await, ["a0", "b0", "a1"]);
    }

    #[tokio::test]
    async fn a_weighted_tenant_is_served_that_often_per_turn() {
        let queue = Queue::new(8);
        queue.set_weight(tenant(1), 2);
        for n in 0..4 {
            queue.push(AppKey::new(tenant(1), &format!("a{n}")));
            queue.push(AppKey::new(tenant(2), &format!("b{n}")));
        }
        assert_eq!(
            order(&queue, 8).await,
            ["a0", "a1", "b0", "a2", "a3", "b1", "b2", "b3"]
        );
    }

    #[tokio::test]
    async fn an_application_waits_once_and_comes_again_when_pushed_during_its_work() {
        let queue = Queue::new(4);
        let app = AppKey::new(tenant(1), "a");
        queue.push(app.clone());
        queue.push(app.clone());
        let turn = queue.pop().await;
        assert_eq!(queue.waiting(), 0);
        queue.push(app.clone());
        assert!(
            queue.try_pop().is_none(),
            "it is worked on by one worker at a time"
        );
        drop(turn);
        assert_eq!(queue.pop().await.app, app);
        assert!(
            queue.0.state.lock().soon.tenants.is_empty(),
            "an idle tenant leaves nothing behind"
        );
    }

    #[test]
    fn what_the_cluster_woke_is_answered_by_the_look_that_knows_of_it_and_nothing_else_is() {
        type Ask = fn(&Queue, AppKey);
        let queue = Queue::new(4);
        let app = AppKey::new(tenant(1), "a");
        let comes_again = |asked: &[Ask]| {
            queue.push_woken(app.clone());
            let turn = queue.try_pop().unwrap();
            queue.answered(&app);
            asked.iter().for_each(|ask| ask(&queue, app.clone()));
            queue.answered(&app);
            drop(turn);
            queue.try_pop().is_some()
        };
        let (woken, pushed): (Ask, Ask) = (Queue::push_woken, Queue::push);
        assert!(!comes_again(&[woken, woken]));
        assert!(comes_again(&[woken, pushed]));
        assert!(comes_again(&[pushed, woken]));
        queue.push(app.clone());
        let turn = queue.try_pop().unwrap();
        queue.answered(&app);
        queue.push_woken(app.clone());
        drop(turn);
        assert!(queue.try_pop().is_some(), "it came after the answer");
    }

    #[tokio::test]
    async fn one_tenant_never_holds_more_than_its_share_of_workers() {
        let queue = Queue::new(2);
        for n in 0..4 {
            queue.push(AppKey::new(tenant(1), &format!("a{n}")));
        }
        let first = queue.pop().await;
        let _second = queue.pop().await;
        assert!(queue.try_pop().is_none());
        drop(first);
        assert_eq!(queue.pop().await.app.name.as_ref(), "a2");
    }

    #[tokio::test]
    async fn who_woke_an_application_is_told_to_the_turn_that_answers() {
        let place = |n: usize| TraceParent::parse(&format!("00-{:032x}-{:016x}-01", n + 1, 1));
        let queue = Queue::new(2);
        let app = AppKey::new(tenant(1), "a");
        queue.push(app.clone());
        queue.push_traced(app.clone(), place(0));
        queue.push_later(app.clone(), place(1));
        queue.push_traced(app.clone(), place(0));
        let turn = queue.pop().await;
        assert_eq!(turn.traces, [place(0).unwrap(), place(1).unwrap()]);
        for n in 0..100 {
            queue.push_traced(app.clone(), place(n));
        }
        drop(turn);
        assert_eq!(queue.pop().await.traces.len(), TRACES, "no more than that");
        assert!(queue.0.state.lock().traces.is_empty());
    }

    #[tokio::test]
    async fn clearing_forgets_what_waits() {
        let queue = Queue::new(2);
        queue.push(AppKey::new(tenant(1), "a"));
        queue.push(AppKey::new(tenant(1), "b"));
        let turn = queue.pop().await;
        queue.push(turn.app.clone());
        queue.clear();
        assert_eq!(queue.waiting(), 0);
        drop(turn);
        assert!(queue.try_pop().is_none());
    }

    #[tokio::test]
    async fn what_may_come_later_gives_way_and_takes_few_workers() {
        let queue = Queue::resting(8, Duration::ZERO);
        for n in 0..10 {
            queue.push_later(AppKey::new(tenant(1), &format!("l{n}")), None);
        }
        queue.push(AppKey::new(tenant(1), "now"));
        // Somebody waits for it after all: it changes lanes and comes once.
        queue.push(AppKey::new(tenant(1), "l5"));
        let mut turns = Vec::new();
        let mut names = Vec::new();
        while let Some(turn) = queue.try_pop() {
            names.push(turn.app.name.to_string());
            turns.push(turn);
        }
        assert_eq!(names, ["now", "l5", "l0", "l1", "l2"]);
        assert_eq!(queue.waiting(), 6, "each counts once");
        drop(turns);
        let rest = order(&queue, 6).await;
        assert_eq!(rest, ["l3", "l4", "l6", "l7", "l8", "l9"]);
        assert!(queue.try_pop().is_none());
    }

    #[tokio::test]
    async fn what_may_come_later_waits_for_quiet_but_not_for_ever() {
        let queue = Queue::new(8);
        queue.push_later(AppKey::new(tenant(1), "later"), None);
        queue.push(AppKey::new(tenant(1), "now"));
        drop(queue.pop().await);
        assert!(queue.try_pop().is_none(), "somebody waited a moment ago");
        let opens = queue.0.state.lock().later_opens();
        assert!(opens.is_some_and(|at| at > Instant::now()));
        // Much is waited for, and the later lane has waited long enough.
        let long_ago = Instant::now().checked_sub(PATIENCE);
        queue.0.state.lock().rest.since = long_ago;
        assert_eq!(queue.pop().await.app.name.as_ref(), "later");
        assert_eq!(queue.0.state.lock().later_opens(), None);
    }
}
