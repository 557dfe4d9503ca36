//! The fair queue: tenants take turns, an application waits at most once and is worked on by one worker at a time.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use domain::tenant::TenantId;
use parking_lot::Mutex;
use tokio::sync::Notify;

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
        Self { tenant, name: Arc::from(name) }
    }
}

impl fmt::Display for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.name)
    }
}

/// What to work on next. Cheap to clone.
///
/// An application that is pushed while it waits waits once; pushed while it is worked on, it comes again afterwards.
#[derive(Clone, Debug)]
pub struct Queue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lines: Mutex<Lines>,
    ready: Notify,
    /// How many applications of one tenant may be worked on at once.
    per_tenant: usize,
}

#[derive(Debug, Default)]
struct Lines {
    /// Every application that waits or is worked on.
    places: HashMap<AppKey, Place>,
    tenants: HashMap<TenantId, Line>,
    /// Tenants with something to do and room to do it, each once.
    ring: VecDeque<TenantId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Waiting,
    Running,
    RunningThenWaiting,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Arc<str>>,
    running: usize,
    in_ring: bool,
    /// What is left of this turn; a tenant of weight n is served n times before the next one is.
    left: u32,
    weight: u32,
}

/// The right to work on one application; dropped when the work is done.
#[derive(Debug)]
pub struct Turn {
    /// What to work on.
    pub app: AppKey,
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
        Self(Arc::new(Inner {
            lines: Mutex::new(Lines::default()),
            ready: Notify::new(),
            per_tenant: per_tenant.max(1),
        }))
    }

    /// How many times a tenant is served before the next one is.
    pub fn set_weight(&self, tenant: TenantId, weight: u32) {
        self.0.lines.lock().tenants.entry(tenant).or_default().weight = weight;
    }

    /// Asks for an application to be looked at.
    pub fn push(&self, app: AppKey) {
        let mut lines = self.0.lines.lock();
        match lines.places.get_mut(&app) {
            Some(Place::Waiting | Place::RunningThenWaiting) => return,
            Some(place @ Place::Running) => {
                *place = Place::RunningThenWaiting;
                return;
            }
            None => lines.enqueue(app, self.0.per_tenant),
        }
        drop(lines);
        self.0.ready.notify_one();
    }

    /// The next turn; waits for one.
    pub async fn pop(&self) -> Turn {
        loop {
            let notified = self.0.ready.notified();
            if let Some(app) = self.try_pop() {
                return Turn { app, queue: self.clone() };
            }
            notified.await;
        }
    }

    /// Forgets all that waits. What is being worked on ends by itself and does not come again.
    pub fn clear(&self) {
        let mut lines = self.0.lines.lock();
        lines.places.retain(|_, place| *place != Place::Waiting);
        lines.places.values_mut().for_each(|place| *place = Place::Running);
        lines.ring.clear();
        for line in lines.tenants.values_mut() {
            line.waiting.clear();
            line.in_ring = false;
        }
        lines.tenants.retain(|_, line| line.running > 0 || line.weight > 1);
    }

    /// How many applications wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.lines.lock().tenants.values().map(|line| line.waiting.len()).sum()
    }

    fn try_pop(&self) -> Option<AppKey> {
        let mut lines = self.0.lines.lock();
        let app = lines.take(self.0.per_tenant)?;
        let more = !lines.ring.is_empty();
        drop(lines);
        // One permit is stored however many pushes there were; the one who took it passes it on.
        if more {
            self.0.ready.notify_one();
        }
        Some(app)
    }

    fn done(&self, app: &AppKey) {
        let mut lines = self.0.lines.lock();
        let again = lines.places.remove(app) == Some(Place::RunningThenWaiting);
        if let Some(line) = lines.tenants.get_mut(&app.tenant) {
            line.running = line.running.saturating_sub(1);
        }
        if again {
            lines.enqueue(app.clone(), self.0.per_tenant);
        } else {
            lines.settle(app.tenant, self.0.per_tenant);
        }
        let more = !lines.ring.is_empty();
        drop(lines);
        if more {
            self.0.ready.notify_one();
        }
    }
}

impl Lines {
    fn enqueue(&mut self, app: AppKey, per_tenant: usize) {
        let line = self.tenants.entry(app.tenant).or_default();
        line.waiting.push_back(app.name.clone());
        let tenant = app.tenant;
        self.places.insert(app, Place::Waiting);
        self.settle(tenant, per_tenant);
    }

    fn take(&mut self, per_tenant: usize) -> Option<AppKey> {
        let tenant = self.ring.pop_front()?;
        let line = self.tenants.get_mut(&tenant)?;
        line.in_ring = false;
        let name = line.waiting.pop_front()?;
        line.running += 1;
        if line.left == 0 {
            line.left = line.weight.max(1);
        }
        line.left -= 1;
        let again_first = line.left > 0;
        let app = AppKey { tenant, name };
        self.places.insert(app.clone(), Place::Running);
        self.settle(tenant, per_tenant);
        if again_first && self.ring.back() == Some(&tenant) {
            self.ring.rotate_right(1);
        }
        Some(app)
    }

    /// Puts a tenant into the ring if it has something to do and room, and forgets it if it has nothing at all.
    fn settle(&mut self, tenant: TenantId, per_tenant: usize) {
        let Some(line) = self.tenants.get_mut(&tenant) else { return };
        if !line.in_ring && !line.waiting.is_empty() && line.running < per_tenant {
            line.in_ring = true;
            self.ring.push_back(tenant);
        } else if line.waiting.is_empty() && line.running == 0 && line.weight <= 1 {
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
        assert_eq!(order(&queue, 8).await, ["a0", "a1", "b0", "a2", "a3", "b1", "b2", "b3"]);
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
        assert!(queue.try_pop().is_none(), "it is worked on by one worker at a time");
        drop(turn);
        assert_eq!(queue.pop().await.app, app);
        assert!(queue.0.lines.lock().tenants.is_empty(), "an idle tenant leaves nothing behind");
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
    async fn clearing_forgets_what_waits() {
        let queue = Queue::new(2);
        queue.push(AppKey::new(tenant(1), "a"));
        queue.push(AppKey::new(tenant(1), "b"));
        let turn = queue.pop().await;
        queue.push(turn.app.clone());
        queue.clear();
        drop(turn);
        assert!(queue.try_pop().is_none());
    }
}
