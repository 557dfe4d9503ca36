//! Changes of applications, fanned out: one LISTEN per process, one reader per watched tenant, any number of watchers.
//!
//! A notification only wakes the reader, which asks the store for what changed since the version it has; losing one
//! costs latency, until the next look. A change that comes alone is read at once; where many come, each read takes in those
//! of a few milliseconds, or of some more where it brings a crowd.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::application::Application;
use domain::tenant::TenantId;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use runtime::Lifecycle;
use store::{AppChange, ChangeKind, Store};
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

use crate::front::standing::Standing;
use crate::shared::Caches;

/// How many changes a slow watcher may be behind before it has to read them again.
const BUFFER: usize = 4_096;
/// How long a watched tenant goes without a look when nothing is announced.
const LOOK: Duration = Duration::from_secs(10);
/// How long after a read the next one comes at the earliest. A transaction announces each of its changes, of which the first one
/// has all of them read.
const PAUSE: Duration = Duration::from_millis(10);
/// The same after a read that brought a [`CROWD`]: nobody follows each of so many with their eyes.
const LONG_PAUSE: Duration = Duration::from_millis(25);
/// So many changes at once.
const CROWD: usize = 4;

/// One change of one application.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// It is there, and this is how it is now.
    Present(Arc<Application>),
    /// It is gone; this is how it was last.
    Gone(Arc<Application>),
}

impl Event {
    /// The application.
    pub(crate) fn application(&self) -> &Arc<Application> {
        match self {
            Self::Present(app) | Self::Gone(app) => app,
        }
    }

    /// The version at which it changed.
    pub(crate) fn version(&self) -> i64 {
        self.application().resource_version
    }

    fn of(change: AppChange) -> Self {
        match change {
            AppChange::Upsert(app) => Self::Present(Arc::new(app)),
            AppChange::Deleted(app) => Self::Gone(Arc::new(app)),
        }
    }
}

/// The change feed of this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    life: Lifecycle,
    watched: Mutex<HashMap<TenantId, Watched>>,
}

#[derive(Clone)]
struct Watched {
    wake: Arc<Notify>,
    events: broadcast::Sender<Event>,
}

impl Hub {
    /// A feed that reads from the store; [`Hub::run`] keeps it going.
    pub(crate) fn new(store: Store, life: Lifecycle) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                life,
                watched: Mutex::new(HashMap::new()),
            }),
        }
    }

    /// Listens until the stop, and tells `caches` when a tenant changed.
    pub(crate) async fn run(self, caches: Caches) {
        let stop = self.inner.life.token();
        loop {
            let platform = self.inner.store.platform();
            let mut changes = std::pin::pin!(platform.listen());
            self.wake_all();
            loop {
                let change = tokio::select! {
                    () = stop.cancelled() => return,
                    change = changes.next() => change,
                };
                match change {
                    Some(change) => match change.kind {
                        ChangeKind::App(_) => change
                            .tenant
                            .into_iter()
                            .for_each(|tenant| self.wake(tenant)),
                        ChangeKind::Tenant => {
                            caches.forget(change.tenant);
                            self.end_streams(&caches.standing).await;
                        }
                        ChangeKind::Identity => caches.forget_identity(change.tenant),
                        ChangeKind::Project(_) => caches.forget_projects(change.tenant),
                        ChangeKind::Resync => {
                            caches.forget(None);
                            self.wake_all();
                            self.end_streams(&caches.standing).await;
                        }
                        ChangeKind::Repo(_) | ChangeKind::Access => {}
                    },
                    None => break,
                }
            }
            // The feed reconnects by itself; when it ends all the same, begin anew after a breath.
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    /// Watches a tenant's applications from now on: what changes after this call is seen.
    ///
    /// # Errors
    /// When the store cannot be asked where "now" is.
    pub(crate) async fn watch(&self, tenant: TenantId) -> Result<Watch, store::Error> {
        // Subscribe before reading the version: a change in between is then seen twice rather than not at all.
        let subscribed = self
            .inner
            .watched
            .lock()
            .get(&tenant)
            .map(|watched| watched.events.subscribe());
        let seen = self.inner.store.tenant(tenant).current_version().await?;
        let events = match subscribed {
            Some(events) => events,
            None => self.start(tenant, seen),
        };
        Ok(Watch {
            store: self.inner.store.clone(),
            tenant,
            events,
            seen,
            behind: false,
            pending: Vec::new().into_iter(),
        })
    }

    /// Ends the streams of tenants that are closed, or gone, by now.
    async fn end_streams(&self, standing: &Standing) {
        let streaming = standing.streaming();
        if streaming.is_empty() {
            return;
        }
        match self.inner.store.platform().active_among(&streaming).await {
            Ok(active) => standing.end_all_but(&active),
            Err(error) => {
                tracing::warn!(%error, "it cannot be seen which tenants are closed");
            }
        }
    }

    fn start(&self, tenant: TenantId, seen: i64) -> broadcast::Receiver<Event> {
        let mut watched = self.inner.watched.lock();
        if let Some(there) = watched.get(&tenant) {
            return there.events.subscribe();
        }
        let (sender, receiver) = broadcast::channel(BUFFER);
        let entry = Watched {
            wake: Arc::new(Notify::new()),
            events: sender,
        };
        watched.insert(tenant, entry.clone());
        drop(watched);
        self.inner
            .life
            .spawn_short(Arc::clone(&self.inner).read(tenant, entry, seen));
        receiver
    }

    fn wake(&self, tenant: TenantId) {
        if let Some(watched) = self.inner.watched.lock().get(&tenant) {
            watched.wake.notify_one();
        }
    }

    fn wake_all(&self) {
        for watched in self.inner.watched.lock().values() {
            watched.wake.notify_one();
        }
    }
}

impl Inner {
    /// Reads one tenant's changes until nobody watches any more.
    async fn read(self: Arc<Self>, tenant: TenantId, watched: Watched, mut seen: i64) {
        let stop = self.life.token();
        let mut last = None;
        loop {
            let mut brought = 0;
            tokio::select! {
                () = stop.cancelled() => return,
                () = watched.wake.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
            if let Some(pause) = pause(last, Instant::now()) {
                tokio::time::sleep(pause).await;
                // What was announced until here is in what is read now.
                let _ = watched.wake.notified().now_or_never();
            }
            if self.forget_unwatched(tenant, &watched) {
                return;
            }
            match self
                .store
                .tenant(tenant)
                .applications()
                .changes_since(seen)
                .await
            {
                Ok(changes) => {
                    brought = changes.len();
                    for event in changes.into_iter().map(Event::of) {
                        seen = seen.max(event.version());
                        let _ = watched.events.send(event);
                    }
                }
                Err(error) => {
                    tracing::warn!(%tenant, %error, "changes cannot be read; trying again");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    watched.wake.notify_one();
                }
            }
            last = Some((Instant::now(), brought));
        }
    }

    fn forget_unwatched(&self, tenant: TenantId, watched: &Watched) -> bool {
        let mut all = self.watched.lock();
        let unwatched = watched.events.receiver_count() == 0;
        if unwatched {
            all.remove(&tenant);
        }
        unwatched
    }
}

/// How long the next read waits, the last one having ended then and brought so many changes.
fn pause(last: Option<(Instant, usize)>, now: Instant) -> Option<Duration> {
    let (ended, brought) = last?;
    let pause = match brought < CROWD {
        true => PAUSE,
        false => LONG_PAUSE,
    };
    let rested = now.saturating_duration_since(ended);
    pause.checked_sub(rested).filter(|left| !left.is_zero())
}

/// One watcher's view of a tenant's changes, in the order of their versions.
pub(crate) struct Watch {
    store: Store,
    tenant: TenantId,
    events: broadcast::Receiver<Event>,
    seen: i64,
    behind: bool,
    pending: std::vec::IntoIter<Event>,
}

impl Watch {
    /// The version from which on changes are seen.
    pub(crate) fn version(&self) -> i64 {
        self.seen
    }

    /// The next change. `None` when the process stops.
    ///
    /// # Errors
    /// When the watcher fell behind and the store cannot be asked.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, store::Error> {
        loop {
            // Remembered before the wait: who drops this future half-way misses nothing with the next call.
            if self.behind {
                let scope = self.store.tenant(self.tenant);
                let missed = scope.applications().changes_since(self.seen).await?;
                let missed: Vec<Event> = missed.into_iter().map(Event::of).collect();
                self.pending = missed.into_iter();
                self.behind = false;
            }
            let event = match self.pending.next() {
                Some(event) => event,
                None => match self.events.recv().await {
                    Ok(event) => event,
                    Err(broadcast::error::RecvError::Closed) => return Ok(None),
                    Err(broadcast::error::RecvError::Lagged(_)) => {
                        self.behind = true;
                        continue;
                    }
                },
            };
            if event.version() > self.seen {
                self.seen = event.version();
                return Ok(Some(event));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_comes_alone_is_read_at_once_and_those_that_follow_are_read_together() {
        let read = Instant::now();
        let after = |millis| read + Duration::from_millis(millis);
        let few = Some((read, CROWD - 1));
        assert_eq!(pause(None, read), None, "the first");
        assert_eq!(pause(few, read), Some(PAUSE));
        let left = Duration::from_millis(6);
        assert_eq!(pause(few, after(4)), Some(left));
        assert_eq!(pause(few, after(10)), None);
        assert_eq!(pause(few, after(5_000)), None);
        let many = Some((read, CROWD));
        assert_eq!(pause(many, after(10)), Some(LONG_PAUSE - PAUSE));
        assert_eq!(pause(many, after(25)), None);
    }
}
