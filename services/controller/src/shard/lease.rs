//! The lease loop: says that this process is alive, and holds the cluster's lease for as long as it can.

use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::ops::Need;
use store::{Controller, Lease, PlatformScope};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Gate, ITEM, MARGIN};

/// How long a lease lasts without renewal. With the margin and a standby's question it is what a takeover takes at most,
/// and less a renewal and the margin it is how late a renewal may come before the gate closes.
const TTL: Duration = Duration::from_millis(2750);
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(1);
/// How often a standby asks for it; a question that is answered with no writes nothing.
const ASK: Duration = Duration::from_millis(200);
const _: () = assert!(RENEW.as_millis() + MARGIN.as_millis() < TTL.as_millis());
const _: () = assert!(TTL.as_millis() + MARGIN.as_millis() + ASK.as_millis() < 4000);

/// One holding of the lease.
#[derive(Debug)]
pub struct Term {
    /// Carried by every write to the database.
    pub fence: i64,
    /// Cancelled when the lease is lost.
    pub lost: CancellationToken,
}

/// Whether this process holds the lease. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shard(watch::Receiver<Option<Arc<Term>>>);

impl Shard {
    /// The term in force, if any.
    #[must_use]
    pub fn term(&self) -> Option<Arc<Term>> {
        self.0
            .borrow()
            .clone()
            .filter(|term| !term.lost.is_cancelled())
    }

    /// Waits for a term that is in force.
    pub async fn next_term(&mut self) -> Arc<Term> {
        loop {
            if let Some(term) = self.term() {
                return term;
            }
            if self.0.changed().await.is_err() {
                // The keeper has ended with the process.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Runs the loop. On a thread and with a connection of its own: a busy process must not lose its lease.
pub struct Keeper {
    platform: PlatformScope,
    me: Controller,
    gate: Gate,
    /// Met while its questions are answered, whoever holds the lease.
    asks: Need,
    terms: watch::Sender<Option<Arc<Term>>>,
}

impl Keeper {
    /// The loop and what it tells.
    #[must_use]
    pub fn new(platform: PlatformScope, me: Controller, gate: Gate, asks: Need) -> (Self, Shard) {
        let (terms, receiver) = watch::channel(None);
        (
            Self {
                platform,
                me,
                gate,
                asks,
                terms,
            },
            Shard(receiver),
        )
    }

    /// Heartbeat and lease once a second, a standby's question more often, until `done`; then gives the lease up in good
    /// order.
    pub async fn run(self, done: CancellationToken) {
        let mut held: Option<Lease> = None;
        let mut beat: Option<Instant> = None;
        loop {
            let begun = Instant::now();
            held = match held {
                None => self.acquire().await,
                Some(lease) => self.renew(lease).await,
            };
            let silent = beat.is_none_or(|beat| begun.duration_since(beat) >= RENEW);
            if silent {
                beat = Some(begun);
            }
            if silent && let Err(error) = self.platform.heartbeat(&self.me).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the heartbeat could not be written"
                );
            }
            let pause = if held.is_some() { RENEW } else { ASK };
            tokio::select! {
                () = done.cancelled() => break,
                () = tokio::time::sleep_until((begun + pause).into()) => {}
            }
        }
        self.lose();
        if let Some(lease) = held
            && let Err(error) = self.platform.release_lease(&lease).await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the lease could not be given up; it runs out"
            );
        }
        let _ = self.platform.retire_controller(&self.me.id).await;
    }

    async fn acquire(&self) -> Option<Lease> {
        let asked = async {
            // Read first: an attempt locks the row, for which the holder's own writes would have to wait.
            match self.platform.lease_owner(ITEM).await? {
                Some(owner) if owner.id != self.me.id => Ok(None),
                _ => {
                    self.platform
                        .acquire_lease(ITEM, &self.me.id, TTL, MARGIN)
                        .await
                }
            }
        };
        let answer = asked.await;
        self.asks.set(answer.is_ok());
        match answer {
            Ok(Some(lease)) => {
                tracing::info!(item = ITEM, fence = lease.fence, "holding the lease");
                self.gate.hold_until(lease.until);
                let term = Term {
                    fence: lease.fence,
                    lost: CancellationToken::new(),
                };
                self.terms.send_replace(Some(Arc::new(term)));
                Some(lease)
            }
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the lease could not be asked for"
                );
                None
            }
        }
    }

    async fn renew(&self, lease: Lease) -> Option<Lease> {
        let left = lease.remaining().max(Duration::from_millis(10));
        let answer = tokio::time::timeout(left, self.platform.renew_lease(&lease, TTL)).await;
        self.asks.set(matches!(answer, Ok(Ok(_))));
        match answer {
            Ok(Ok(Some(renewed))) => {
                self.gate.hold_until(renewed.until);
                Some(renewed)
            }
            Ok(Ok(None)) => {
                tracing::warn!(item = ITEM, "the lease has passed on");
                self.lose();
                None
            }
            Ok(Err(error)) if Instant::now() < lease.until => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the lease could not be renewed yet"
                );
                Some(lease)
            }
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(
                    item = ITEM,
                    "the lease ran out; the database does not answer"
                );
                self.lose();
                None
            }
        }
    }

    fn lose(&self) {
        self.gate.close();
        if let Some(term) = self.terms.send_replace(None) {
            term.lost.cancel();
        }
    }
}
