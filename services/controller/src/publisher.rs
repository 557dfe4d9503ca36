//! Writes results in batches: whoever has one hands it in, one statement carries all that came meanwhile.
//!
//! That an operation has begun waits a moment for what comes of it: one that ends at once is one write, not two.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use domain::tenant::TenantId;
use store::{Code, PlatformScope, PublishOutcome, StatusWrite};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::shard::{ITEM, Shard};

/// No more rows than this in one statement.
const BATCH: usize = 200;
/// How long a batch waits for company while there is much to do. A lone result does not wait.
const LINGER: Duration = Duration::from_millis(5);
/// How long the word that an operation has begun waits for the next one.
const HOLD: Duration = Duration::from_millis(250);
/// Between tries while the database does not answer.
const PAUSE: Duration = Duration::from_millis(200);

/// Why a result was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwritten {
    /// The lease has passed on: another process looks at everything anew.
    #[error("the lease has passed on")]
    LeaseLost,
    /// The database refused the row.
    #[error("the database refused the row")]
    Refused,
}

struct Order {
    write: StatusWrite,
    done: oneshot::Sender<Result<PublishOutcome, Unwritten>>,
    /// The fence under which it waits for the next result of its application; nothing where it is written at once.
    held: Option<i64>,
}

/// Takes results. Cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    orders: mpsc::UnboundedSender<Order>,
    shard: Shard,
}

/// Writes them; a task of its own.
pub struct Writer {
    orders: mpsc::UnboundedReceiver<Order>,
    platform: PlatformScope,
    shard: Shard,
    metrics: Metrics,
}

/// The two ends. At most one result per worker is under way, hence no bound is needed.
#[must_use]
pub fn publisher(platform: PlatformScope, shard: Shard, metrics: Metrics) -> (Publisher, Writer) {
    let (sender, orders) = mpsc::unbounded_channel();
    (
        Publisher {
            orders: sender,
            shard: shard.clone(),
        },
        Writer {
            orders,
            platform,
            shard,
            metrics,
        },
    )
}

impl Publisher {
    /// Writes a result and says what became of it.
    ///
    /// # Errors
    /// When it was not written.
    pub async fn write(&self, write: StatusWrite) -> Result<PublishOutcome, Unwritten> {
        self.post(write).await.unwrap_or(Err(Unwritten::LeaseLost))
    }

    /// Hands a result in. The answer may be left unread: results of one application are written in order, and a later
    /// one that comes in time takes its place.
    pub fn post(&self, write: StatusWrite) -> oneshot::Receiver<Result<PublishOutcome, Unwritten>> {
        let (done, answer) = oneshot::channel();
        let held = None;
        let _ = self.orders.send(Order { write, done, held });
        answer
    }

    /// Hands in that an operation has begun. It is written with the next result of its application, and alone when none
    /// comes for a while; not at all when the lease passes on before.
    pub fn begun(&self, write: StatusWrite) {
        let Some(term) = self.shard.term() else {
            return;
        };
        let (done, _) = oneshot::channel();
        let held = Some(term.fence);
        let _ = self.orders.send(Order { write, done, held });
    }
}

/// Names an application.
type Key = (TenantId, String);

fn key(write: &StatusWrite) -> Key {
    (write.tenant, write.app.clone())
}

/// What waits for the next result of its application.
#[derive(Default)]
struct Held(HashMap<Key, Waiting>);

struct Waiting {
    write: StatusWrite,
    fence: i64,
    until: Instant,
}

impl Held {
    /// Takes an order in: to hold it, or to have it written now with what waits for it. `fence` is that of the term in
    /// force; what waits from an earlier one may have been overtaken by somebody else.
    fn take_in(&mut self, order: Order, fence: Option<i64>, now: Instant, batch: &mut Batch) {
        let Some(held) = order.held else {
            if let Some(waiting) = self.0.remove(&key(&order.write))
                && Some(waiting.fence) == fence
            {
                batch.add(waiting.into());
            }
            batch.add(order);
            return;
        };
        let key = key(&order.write);
        let waiting = self.0.get_mut(&key);
        let again = waiting.filter(|w| w.fence == held && w.write.uid == order.write.uid);
        if let Some(waiting) = again {
            // It was begun again: it waits no longer for that.
            merge(&mut waiting.write, order.write);
            return;
        }
        let waiting = Waiting {
            write: order.write,
            fence: held,
            until: now + HOLD,
        };
        self.0.insert(key, waiting);
    }

    /// Has that written which has waited until then.
    fn release(&mut self, until: Instant, fence: Option<i64>, batch: &mut Batch) {
        let due = self.0.extract_if(|_, waiting| waiting.until <= until);
        for (_, waiting) in due.filter(|(_, waiting)| Some(waiting.fence) == fence) {
            batch.add(waiting.into());
        }
    }

    /// Waits until something has waited for long enough.
    async fn due(&self) {
        match self.0.values().map(|waiting| waiting.until).min() {
            Some(until) => tokio::time::sleep_until(until.into()).await,
            None => std::future::pending().await,
        }
    }
}

impl From<Waiting> for Order {
    fn from(waiting: Waiting) -> Self {
        Self {
            write: waiting.write,
            // Nobody asks what became of it.
            done: oneshot::channel().0,
            held: None,
        }
    }
}

/// What goes into one statement: each application once.
#[derive(Default)]
struct Batch {
    writes: Vec<StatusWrite>,
    waiting: Vec<Vec<oneshot::Sender<Result<PublishOutcome, Unwritten>>>>,
    places: HashMap<Key, usize>,
}

impl Batch {
    fn add(&mut self, order: Order) {
        let Order {
            write,
            done,
            held: _,
        } = order;
        let key = key(&write);
        match self.places.get(&key) {
            Some(&at) if self.writes[at].uid == write.uid => {
                merge(&mut self.writes[at], write);
                self.waiting[at].push(done);
            }
            // One of that name was deleted and another made within milliseconds: the newer one is looked at again.
            Some(&at) => {
                self.writes[at] = write;
                for stale in self.waiting[at].drain(..) {
                    let _ = stale.send(Err(Unwritten::Refused));
                }
                self.waiting[at].push(done);
            }
            None => {
                self.places.insert(key, self.writes.len());
                self.writes.push(write);
                self.waiting.push(vec![done]);
            }
        }
    }

    fn answer(self, outcomes: &[Result<PublishOutcome, Unwritten>]) {
        for (waiting, outcome) in self.waiting.into_iter().zip(outcomes) {
            for done in waiting {
                let _ = done.send(*outcome);
            }
        }
    }
}

/// Puts a later result of an application in the place of an earlier one, keeping what the earlier one asked for besides
/// its status.
fn merge(earlier: &mut StatusWrite, later: StatusWrite) {
    let StatusWrite {
        tenant: _,
        app: _,
        uid: _,
        status,
        observed_version,
        expect_generation,
        clear_operation,
        set_operation,
        clear_refresh,
        history,
        remove,
        finalizers,
    } = later;
    earlier.status = status;
    earlier.observed_version = observed_version;
    earlier.expect_generation = expect_generation;
    earlier.clear_operation |= clear_operation;
    earlier.set_operation = set_operation.or(earlier.set_operation.take());
    earlier.clear_refresh = clear_refresh.or(earlier.clear_refresh.take());
    earlier.history = history.or(earlier.history.take());
    earlier.remove |= remove;
    if !finalizers.is_empty() {
        earlier.finalizers = finalizers;
    }
}

impl Writer {
    /// Writes until the stop, and then what is left.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut busy_until = Instant::now();
        let mut held = Held::default();
        loop {
            let (first, stopped) = tokio::select! {
                biased;
                order = self.orders.recv() => {
                    let ended = order.is_none();
                    (order, ended)
                }
                () = held.due() => (None, false),
                () = stop.cancelled() => (None, true),
            };
            let mut batch = Batch::default();
            if let Some(first) = first {
                held.take_in(first, self.fence(), Instant::now(), &mut batch);
            }
            if !batch.writes.is_empty() && Instant::now() < busy_until {
                tokio::time::sleep(LINGER).await;
            }
            let now = Instant::now();
            let until = if stopped { now + HOLD } else { now };
            held.release(until, self.fence(), &mut batch);
            while batch.writes.len() < BATCH
                && let Ok(more) = self.orders.try_recv()
            {
                held.take_in(more, self.fence(), now, &mut batch);
            }
            let size = batch.writes.len();
            if size > 0 {
                let outcomes = self.write(&batch.writes).await;
                batch.answer(&outcomes);
            }
            if size > 1 {
                busy_until = Instant::now() + 2 * LINGER;
            }
            if stopped {
                return;
            }
        }
    }

    /// That of the term in force.
    fn fence(&self) -> Option<i64> {
        self.shard.term().map(|term| term.fence)
    }

    async fn write(&self, writes: &[StatusWrite]) -> Vec<Result<PublishOutcome, Unwritten>> {
        match self.publish(writes).await {
            Ok(outcomes) => {
                let written = outcomes
                    .iter()
                    .filter(|o| o.verdict == store::Verdict::Written)
                    .count();
                self.metrics.status_writes.inc_by(written as u64);
                outcomes.into_iter().map(Ok).collect()
            }
            Err(Unwritten::LeaseLost) => vec![Err(Unwritten::LeaseLost); writes.len()],
            // One row that cannot be stored must not take the others with it.
            Err(Unwritten::Refused) if writes.len() > 1 => {
                let mut outcomes = Vec::with_capacity(writes.len());
                for write in writes {
                    let alone = self.publish(std::slice::from_ref(write)).await;
                    outcomes.push(alone.and_then(|o| o.first().copied().ok_or(Unwritten::Refused)));
                }
                outcomes
            }
            Err(Unwritten::Refused) => vec![Err(Unwritten::Refused)],
        }
    }

    /// Tries for as long as the lease is held: a database that restarts loses nothing.
    async fn publish(&self, writes: &[StatusWrite]) -> Result<Vec<PublishOutcome>, Unwritten> {
        loop {
            let term = self.shard.term().ok_or(Unwritten::LeaseLost)?;
            match self.platform.publish(writes, ITEM, term.fence).await {
                Ok(outcomes) => return Ok(outcomes),
                Err(error) => match error.code() {
                    Code::Stale => {
                        tracing::warn!(%error, "a write was refused");
                        term.lost.cancel();
                        return Err(Unwritten::LeaseLost);
                    }
                    Code::Unavailable => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "results wait for the database"
                        );
                        tokio::time::sleep(PAUSE).await;
                    }
                    _ => {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            tenant = %writes[0].tenant,
                            app = writes[0].app,
                            writes = writes.len(),
                            "results could not be written"
                        );
                        return Err(Unwritten::Refused);
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::operation::Operation;
    use domain::status::{Status, SyncCode};
    use uuid::Uuid;

    use super::*;

    fn write(sync: SyncCode) -> StatusWrite {
        StatusWrite {
            tenant: TenantId(Uuid::nil()),
            app: "a".into(),
            uid: "u".into(),
            status: Status {
                sync,
                ..Status::default()
            },
            observed_version: 1,
            expect_generation: None,
            clear_operation: false,
            set_operation: None,
            clear_refresh: None,
            history: None,
            remove: false,
            finalizers: domain::application::FinalizerChange::default(),
        }
    }

    #[test]
    fn a_later_result_takes_the_earlier_ones_place_and_keeps_what_it_asked_for() {
        let mut batch = Batch::default();
        let (done, _first) = oneshot::channel();
        let begun = StatusWrite {
            set_operation: Some(Operation::default()),
            clear_refresh: Some("hard".into()),
            ..write(SyncCode::OutOfSync)
        };
        let held = None;
        batch.add(Order {
            write: begun,
            done,
            held,
        });
        let (done, mut second) = oneshot::channel();
        batch.add(Order {
            write: StatusWrite {
                clear_operation: true,
                ..write(SyncCode::Synced)
            },
            done,
            held,
        });
        assert_eq!(batch.writes.len(), 1);
        let merged = &batch.writes[0];
        assert_eq!(merged.status.sync, SyncCode::Synced);
        assert!(merged.clear_operation && merged.set_operation.is_some());
        assert_eq!(merged.clear_refresh.as_deref(), Some("hard"));
        batch.answer(&[Err(Unwritten::LeaseLost)]);
        assert_eq!(second.try_recv(), Ok(Err(Unwritten::LeaseLost)));
    }

    fn order(write: StatusWrite, held: Option<i64>) -> Order {
        Order {
            write,
            done: oneshot::channel().0,
            held,
        }
    }

    fn begun() -> StatusWrite {
        StatusWrite {
            clear_refresh: Some("hard".into()),
            ..write(SyncCode::OutOfSync)
        }
    }

    #[test]
    fn what_has_begun_is_written_with_its_end() {
        let (mut held, mut batch) = (Held::default(), Batch::default());
        let now = Instant::now();
        held.take_in(order(begun(), Some(1)), Some(1), now, &mut batch);
        held.release(now, Some(1), &mut batch);
        assert!(batch.writes.is_empty());
        held.take_in(
            order(write(SyncCode::Synced), None),
            Some(1),
            now,
            &mut batch,
        );
        held.release(now + HOLD, Some(1), &mut batch);
        assert_eq!(batch.writes.len(), 1, "once");
        assert_eq!(batch.writes[0].status.sync, SyncCode::Synced);
        assert_eq!(batch.writes[0].clear_refresh.as_deref(), Some("hard"));
    }

    #[test]
    fn what_goes_on_is_said_to_have_begun_and_beginning_again_puts_that_off_no_further() {
        let (mut held, mut batch) = (Held::default(), Batch::default());
        let now = Instant::now();
        held.take_in(order(begun(), Some(1)), Some(1), now, &mut batch);
        let later = now + HOLD / 2;
        held.take_in(order(begun(), Some(1)), Some(1), later, &mut batch);
        held.release(now + HOLD, Some(1), &mut batch);
        assert_eq!(batch.writes.len(), 1);
        held.release(later + HOLD, Some(1), &mut batch);
        assert_eq!(batch.writes.len(), 1);
    }

    #[test]
    fn what_waited_when_the_lease_passed_on_is_not_written() {
        let (mut held, now) = (Held::default(), Instant::now());
        for fence in [None, Some(2)] {
            let mut batch = Batch::default();
            held.take_in(order(begun(), Some(1)), Some(1), now, &mut batch);
            held.release(now + HOLD, fence, &mut batch);
            assert!(batch.writes.is_empty());
            held.take_in(order(begun(), Some(1)), Some(1), now, &mut batch);
            held.take_in(order(write(SyncCode::Synced), None), fence, now, &mut batch);
            assert_eq!(batch.writes[0].clear_refresh, None);
        }
        assert!(held.0.is_empty());
    }

    #[test]
    fn of_an_application_that_was_made_anew_only_the_new_one_has_begun() {
        let (mut held, mut batch) = (Held::default(), Batch::default());
        let now = Instant::now();
        held.take_in(order(begun(), Some(1)), Some(1), now, &mut batch);
        let anew = StatusWrite {
            uid: "v".into(),
            ..write(SyncCode::Unknown)
        };
        held.take_in(order(anew, Some(1)), Some(1), now, &mut batch);
        held.release(now + HOLD, Some(1), &mut batch);
        assert_eq!(batch.writes.len(), 1);
        assert_eq!(batch.writes[0].uid, "v");
        assert_eq!(batch.writes[0].clear_refresh, None);
    }
}
