//! Writes results in batches: whoever has one hands it in, one statement carries all that came meanwhile. After one that several have
//! shared as much time passes as it took, so that the next carries more; a result that comes by itself waits for nothing.
//!
//! That an operation has begun waits a moment for what comes of it: one that ends at once is one write, not two. What is
//! found in a unit is written under its lease's fence, in statements of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::shard::Unit;
use domain::tenant::TenantId;
use store::{Code, PlatformScope, PublishOutcome, StatusWrite};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::shard::{Shard, Term};

/// No more rows than this in one statement.
const BATCH: usize = 200;
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
    /// In which term it was found.
    term: Arc<Term>,
    /// Whether it waits for the next result of its application.
    held: bool,
}

/// Takes the results of one unit. Cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    orders: mpsc::UnboundedSender<Order>,
    shard: Shard,
    unit: Unit,
}

/// Writes them; a task of its own.
pub struct Writer {
    orders: mpsc::UnboundedReceiver<Order>,
    platform: PlatformScope,
    shard: Shard,
    metrics: Metrics,
}

/// The two ends, the one of the shared cluster. At most one result per worker is under way, hence no bound is needed.
#[must_use]
pub fn publisher(platform: PlatformScope, shard: Shard, metrics: Metrics) -> (Publisher, Writer) {
    let (sender, orders) = mpsc::unbounded_channel();
    (
        Publisher {
            orders: sender,
            shard: shard.clone(),
            unit: Unit::Shared,
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
    /// The same for the results of another unit.
    #[must_use]
    pub fn of(&self, unit: Unit) -> Self {
        Self {
            unit,
            ..self.clone()
        }
    }

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
        self.order(write, false)
    }

    /// Hands in that an operation has begun. It is written with the next result of its application, and alone when none
    /// comes for a while; not at all when the lease passes on before.
    pub fn begun(&self, write: StatusWrite) {
        drop(self.order(write, true));
    }

    fn order(
        &self,
        write: StatusWrite,
        held: bool,
    ) -> oneshot::Receiver<Result<PublishOutcome, Unwritten>> {
        let (done, answer) = oneshot::channel();
        // Without a term nobody answers, which says that the lease is lost.
        if let Some(term) = self.shard.term(&self.unit) {
            let _ = self.orders.send(Order {
                write,
                done,
                term,
                held,
            });
        }
        answer
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
    term: Arc<Term>,
    until: Instant,
}

impl Held {
    /// Takes an order in: to hold it, or to have it written now with what waits for it. What waits from a term that has
    /// ended, or from another one, may have been overtaken by somebody else.
    fn take_in(&mut self, order: Order, now: Instant, batches: &mut Batches) {
        if !order.held {
            if let Some(waiting) = self.0.remove(&key(&order.write))
                && Arc::ptr_eq(&waiting.term, &order.term)
            {
                batches.add(waiting.into());
            }
            batches.add(order);
            return;
        }
        let key = key(&order.write);
        let waiting = self.0.get_mut(&key);
        let again =
            waiting.filter(|w| Arc::ptr_eq(&w.term, &order.term) && w.write.uid == order.write.uid);
        if let Some(waiting) = again {
            // It was begun again: it waits no longer for that.
            merge(&mut waiting.write, order.write);
            return;
        }
        let waiting = Waiting {
            write: order.write,
            term: order.term,
            until: now + HOLD,
        };
        self.0.insert(key, waiting);
    }

    /// Has that written which has waited until then.
    fn release(&mut self, until: Instant, batches: &mut Batches) {
        let due = self.0.extract_if(|_, waiting| waiting.until <= until);
        for (_, waiting) in due.filter(|(_, waiting)| !waiting.term.lost.is_cancelled()) {
            batches.add(waiting.into());
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
            term: waiting.term,
            held: false,
        }
    }
}

/// What is written now: a statement for each term.
#[derive(Default)]
struct Batches(Vec<(Arc<Term>, Batch)>);

impl Batches {
    fn add(&mut self, order: Order) {
        let known = self
            .0
            .iter()
            .position(|(term, _)| Arc::ptr_eq(term, &order.term));
        let at = known.unwrap_or_else(|| {
            self.0.push((order.term.clone(), Batch::default()));
            self.0.len() - 1
        });
        self.0[at].1.add(order);
    }

    /// How many rows they are.
    fn size(&self) -> usize {
        self.0.iter().map(|(_, batch)| batch.writes.len()).sum()
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
            term: _,
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
        set,
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
    earlier.set = set.or(earlier.set.take());
    earlier.remove |= remove;
    if !finalizers.is_empty() {
        earlier.finalizers = finalizers;
    }
}

impl Writer {
    /// Writes until the stop, and then what is left.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut rested = Instant::now();
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
            let mut batches = Batches::default();
            if let Some(first) = first {
                held.take_in(first, Instant::now(), &mut batches);
            }
            if batches.size() > 0 && Instant::now() < rested {
                tokio::time::sleep_until(rested.into()).await;
            }
            let now = Instant::now();
            let until = if stopped { now + HOLD } else { now };
            held.release(until, &mut batches);
            while batches.size() < BATCH
                && let Ok(more) = self.orders.try_recv()
            {
                held.take_in(more, now, &mut batches);
            }
            let size = batches.size();
            for (term, batch) in batches.0 {
                let outcomes = self.write(&term, &batch.writes).await;
                batch.answer(&outcomes);
            }
            // What is only held has written nothing, and cuts no rest short.
            if size > 0 {
                let ended = Instant::now();
                // Whoever waits for that holds a worker, and nothing else that is scarce.
                rested = ended + store::rest_after(size, BATCH, ended.duration_since(now));
            }
            if stopped {
                return;
            }
        }
    }

    async fn write(
        &self,
        term: &Arc<Term>,
        writes: &[StatusWrite],
    ) -> Vec<Result<PublishOutcome, Unwritten>> {
        match self.publish(term, writes).await {
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
                    let alone = self.publish(term, std::slice::from_ref(write)).await;
                    outcomes.push(alone.and_then(|o| o.first().copied().ok_or(Unwritten::Refused)));
                }
                outcomes
            }
            Err(Unwritten::Refused) => vec![Err(Unwritten::Refused)],
        }
    }

    /// Tries for as long as the lease is held: a database that restarts loses nothing.
    async fn publish(
        &self,
        term: &Arc<Term>,
        writes: &[StatusWrite],
    ) -> Result<Vec<PublishOutcome>, Unwritten> {
        loop {
            if term.lost.is_cancelled() {
                return Err(Unwritten::LeaseLost);
            }
            let written = self.platform.publish(writes, &term.item, term.fence);
            match written.await {
                Ok(outcomes) => return Ok(outcomes),
                Err(error) => match error.code() {
                    Code::Stale => {
                        tracing::warn!(%error, "a write was refused");
                        self.shard.end(term);
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
    use crate::shard::Gate;

    fn term(fence: i64) -> Arc<Term> {
        Arc::new(Term::new(Unit::Shared, fence, Gate::default()))
    }

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
            set: None,
            remove: false,
            finalizers: domain::application::FinalizerChange::default(),
        }
    }

    fn order(write: StatusWrite, term: &Arc<Term>) -> Order {
        Order {
            write,
            done: oneshot::channel().0,
            term: term.clone(),
            held: false,
        }
    }

    fn begun() -> StatusWrite {
        StatusWrite {
            clear_refresh: Some("hard".into()),
            ..write(SyncCode::OutOfSync)
        }
    }

    fn begins(write: StatusWrite, term: &Arc<Term>) -> Order {
        Order {
            held: true,
            ..order(write, term)
        }
    }

    /// What is written in the one statement that there is.
    fn only(batches: &Batches) -> &[StatusWrite] {
        assert_eq!(batches.0.len(), 1);
        &batches.0[0].1.writes
    }

    #[test]
    fn a_later_result_takes_the_earlier_ones_place_and_keeps_what_it_asked_for() {
        let mut batch = Batch::default();
        let term = term(1);
        let begun = StatusWrite {
            set_operation: Some(Operation::default()),
            ..begun()
        };
        batch.add(order(begun, &term));
        let (done, mut second) = oneshot::channel();
        let ends = StatusWrite {
            clear_operation: true,
            ..write(SyncCode::Synced)
        };
        batch.add(Order {
            done,
            ..order(ends, &term)
        });
        assert_eq!(batch.writes.len(), 1);
        let merged = &batch.writes[0];
        assert_eq!(merged.status.sync, SyncCode::Synced);
        assert!(merged.clear_operation && merged.set_operation.is_some());
        assert_eq!(merged.clear_refresh.as_deref(), Some("hard"));
        batch.answer(&[Err(Unwritten::LeaseLost)]);
        assert_eq!(second.try_recv(), Ok(Err(Unwritten::LeaseLost)));
    }

    #[test]
    fn what_is_found_in_two_units_goes_into_two_statements() {
        let mut batches = Batches::default();
        let (one, other) = (term(1), term(7));
        let named = |app: &str| StatusWrite {
            app: app.into(),
            ..write(SyncCode::Synced)
        };
        for (app, term) in [("a", &one), ("b", &other), ("c", &one)] {
            batches.add(order(named(app), term));
        }
        assert_eq!(batches.size(), 3);
        let fences: Vec<(i64, usize)> = batches
            .0
            .iter()
            .map(|(term, batch)| (term.fence, batch.writes.len()))
            .collect();
        assert_eq!(fences, [(1, 2), (7, 1)]);
    }

    #[test]
    fn what_has_begun_is_written_with_its_end() {
        let (mut held, mut batches) = (Held::default(), Batches::default());
        let (now, term) = (Instant::now(), term(1));
        held.take_in(begins(begun(), &term), now, &mut batches);
        held.release(now, &mut batches);
        assert_eq!(batches.size(), 0);
        held.take_in(order(write(SyncCode::Synced), &term), now, &mut batches);
        held.release(now + HOLD, &mut batches);
        let writes = only(&batches);
        assert_eq!(writes.len(), 1, "once");
        assert_eq!(writes[0].status.sync, SyncCode::Synced);
        assert_eq!(writes[0].clear_refresh.as_deref(), Some("hard"));
    }

    #[test]
    fn what_goes_on_is_said_to_have_begun_and_beginning_again_puts_that_off_no_further() {
        let (mut held, mut batches) = (Held::default(), Batches::default());
        let (now, term) = (Instant::now(), term(1));
        held.take_in(begins(begun(), &term), now, &mut batches);
        let later = now + HOLD / 2;
        held.take_in(begins(begun(), &term), later, &mut batches);
        held.release(now + HOLD, &mut batches);
        assert_eq!(batches.size(), 1);
        held.release(later + HOLD, &mut batches);
        assert_eq!(batches.size(), 1);
    }

    #[test]
    fn what_waited_when_the_lease_passed_on_is_not_written() {
        let (mut held, now) = (Held::default(), Instant::now());
        let (before, after) = (term(1), term(3));
        let mut batches = Batches::default();
        held.take_in(begins(begun(), &before), now, &mut batches);
        before.lost.cancel();
        held.release(now + HOLD, &mut batches);
        assert_eq!(batches.size(), 0);
        held.take_in(begins(begun(), &before), now, &mut batches);
        held.take_in(order(write(SyncCode::Synced), &after), now, &mut batches);
        assert_eq!(only(&batches)[0].clear_refresh, None);
        assert!(held.0.is_empty());
    }

    #[test]
    fn of_an_application_that_was_made_anew_only_the_new_one_has_begun() {
        let (mut held, mut batches) = (Held::default(), Batches::default());
        let (now, term) = (Instant::now(), term(1));
        held.take_in(begins(begun(), &term), now, &mut batches);
        let anew = StatusWrite {
            uid: "v".into(),
            ..write(SyncCode::Unknown)
        };
        held.take_in(begins(anew, &term), now, &mut batches);
        held.release(now + HOLD, &mut batches);
        let writes = only(&batches);
        assert_eq!(writes.len(), 1);
        assert_eq!(writes[0].uid, "v");
        assert_eq!(writes[0].clear_refresh, None);
    }
}
