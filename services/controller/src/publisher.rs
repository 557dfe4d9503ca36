//! Writes results in batches: whoever has one hands it in, one statement carries all that came meanwhile.

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
}

/// Takes results. Cheap to clone.
#[derive(Clone)]
pub struct Publisher(mpsc::UnboundedSender<Order>);

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
        Publisher(sender),
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
        let _ = self.0.send(Order { write, done });
        answer
    }
}

/// What goes into one statement: each application once.
#[derive(Default)]
struct Batch {
    writes: Vec<StatusWrite>,
    waiting: Vec<Vec<oneshot::Sender<Result<PublishOutcome, Unwritten>>>>,
    places: HashMap<(TenantId, String), usize>,
}

impl Batch {
    fn add(&mut self, Order { write, done }: Order) {
        let key = (write.tenant, write.app.clone());
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
        loop {
            let first = tokio::select! {
                biased;
                order = self.orders.recv() => order,
                () = stop.cancelled() => return,
            };
            let Some(first) = first else { return };
            let mut batch = Batch::default();
            batch.add(first);
            if Instant::now() < busy_until {
                tokio::time::sleep(LINGER).await;
            }
            while batch.writes.len() < BATCH
                && let Ok(more) = self.orders.try_recv()
            {
                batch.add(more);
            }
            let size = batch.writes.len();
            let outcomes = self.write(&batch.writes).await;
            batch.answer(&outcomes);
            if size > 1 {
                busy_until = Instant::now() + 2 * LINGER;
            }
        }
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
        batch.add(Order { write: begun, done });
        let (done, mut second) = oneshot::channel();
        batch.add(Order {
            write: StatusWrite {
                clear_operation: true,
                ..write(SyncCode::Synced)
            },
            done,
        });
        assert_eq!(batch.writes.len(), 1);
        let merged = &batch.writes[0];
        assert_eq!(merged.status.sync, SyncCode::Synced);
        assert!(merged.clear_operation && merged.set_operation.is_some());
        assert_eq!(merged.clear_refresh.as_deref(), Some("hard"));
        batch.answer(&[Err(Unwritten::LeaseLost)]);
        assert_eq!(second.try_recv(), Ok(Err(Unwritten::LeaseLost)));
    }
}
