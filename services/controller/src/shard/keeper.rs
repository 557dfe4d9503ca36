//! The lease loops: say that this process is alive, keep what it holds, and take and give up units as the division says.
//!
//! What is held is renewed apart from the looking: a question that is slow to be answered costs no lease.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::shard::{Unit, divide};
use parking_lot::Mutex;
use runtime::ops::Need;
use store::{Controller, Lease, PlatformScope};
use tokio_util::sync::CancellationToken;

use super::term::{Shard, Term};
use super::{Gate, MARGIN};

/// How long a lease lasts without renewal. With the margin and a question it is what a takeover takes at most, and less a
/// renewal and the margin it is how late a renewal may come before the gate closes.
const TTL: Duration = Duration::from_millis(2750);
/// How often all are renewed, in one statement, and how often this process says that it is alive.
const RENEW: Duration = Duration::from_secs(1);
/// How often is asked what there is to take while somebody else may leave something; the question writes nothing.
const ASK: Duration = Duration::from_millis(200);
/// A controller that was not heard of for so long takes part in no division any more. It ends before the leases that it had.
const LIVE: Duration = Duration::from_secs(3);
/// What is free for so long is taken by anybody: whoever is to have it does not take it.
const GRACE: Duration = Duration::from_secs(10);
/// A unit is given up that was to be another's for so long: what passes by itself moves nothing.
const SETTLED: Duration = Duration::from_secs(3);
/// So many units are given up at once: what moves stands still for a moment, and the rest goes on.
const MOVES: usize = 4;
/// How long what is under way may take to end before it is dropped, as it is when a lease is lost.
const DRAIN: Duration = Duration::from_secs(10);
/// How long the last results of a unit have to be written.
const FLUSH: Duration = Duration::from_millis(500);
const _: () = assert!(RENEW.as_millis() + MARGIN.as_millis() < TTL.as_millis());
const _: () = assert!(TTL.as_millis() + MARGIN.as_millis() + ASK.as_millis() < 4000);
const _: () = assert!(LIVE.as_millis() < TTL.as_millis() + MARGIN.as_millis());

/// Runs the loops. On a thread and with connections of its own: a busy process must not lose its leases.
pub struct Keeper {
    platform: PlatformScope,
    me: Controller,
    /// The gate of the shared cluster, whose connection lasts from term to term.
    gate: Gate,
    /// Met while its questions are answered, whoever holds what.
    asks: Need,
    shard: Shard,
    held: Mutex<HashMap<Unit, Held>>,
}

struct Held {
    lease: Lease,
    term: Arc<Term>,
    /// Since when it is to be another's.
    unwanted: Option<Instant>,
    leaving: Option<Leaving>,
}

/// A unit that is being given up.
#[derive(Clone, Copy)]
struct Leaving {
    since: Instant,
    /// Since when nothing is under way.
    quiet: Option<Instant>,
}

impl Leaving {
    /// Whether all is done, or has taken long enough.
    fn is_over(&mut self, quiet: bool, now: Instant) -> bool {
        self.quiet = match quiet {
            true => self.quiet.or(Some(now)),
            false => None,
        };
        let written = self.quiet.is_some_and(|since| now >= since + FLUSH);
        written || now >= self.since + DRAIN
    }
}

/// What is free, and since when.
#[derive(Default)]
struct Free(HashMap<Unit, Instant>);

impl Free {
    /// Whether anybody may take it.
    fn is_abandoned(&mut self, unit: &Unit, now: Instant) -> bool {
        let since = *self.0.entry(unit.clone()).or_insert(now);
        now >= since + GRACE
    }
}

impl Keeper {
    /// The loops and what they tell.
    #[must_use]
    pub fn new(platform: PlatformScope, me: Controller, gate: Gate, asks: Need) -> (Self, Shard) {
        let shard = Shard::default();
        let keeper = Self {
            platform,
            me,
            gate,
            asks,
            shard: shard.clone(),
            held: Mutex::default(),
        };
        (keeper, shard)
    }

    /// Heartbeat and renewals once a second, questions more often, until `done`; then gives all up in good order. From `stop`
    /// on nothing is taken any more.
    pub async fn run(self, stop: CancellationToken, done: CancellationToken) {
        self.beat().await;
        tokio::select! {
            () = done.cancelled() => {}
            () = self.keep() => {}
            () = self.follow(&stop) => {}
        }
        let held = std::mem::take(&mut *self.held.lock());
        for Held { lease, term, .. } in held.into_values() {
            self.shard.end(&term);
            if let Err(error) = self.platform.release_lease(&lease).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    item = lease.item,
                    "a lease could not be given up; it runs out"
                );
            }
        }
        let _ = self.platform.retire_controller(&self.me.id).await;
    }

    /// Says that this process lives, and renews what it holds.
    async fn keep(&self) {
        loop {
            let begun = Instant::now();
            self.renew().await;
            self.beat().await;
            tokio::time::sleep_until((begun + RENEW).into()).await;
        }
    }

    async fn beat(&self) {
        let beat = self.platform.heartbeat(&self.me);
        match tokio::time::timeout(RENEW, beat).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the heartbeat could not be written"
            ),
            Err(_) => tracing::warn!("the heartbeat was not written in time"),
        }
    }

    async fn renew(&self) {
        let leases: Vec<Lease> = {
            let mut held = self.held.lock();
            // Lost meanwhile: a write was refused.
            held.retain(|_, one| !one.term.lost.is_cancelled());
            held.values().map(|one| one.lease.clone()).collect()
        };
        let Some(left) = leases.iter().map(Lease::remaining).min() else {
            return;
        };
        let left = left.max(Duration::from_millis(10));
        let answer = self.platform.renew_leases(&self.me.id, &leases, TTL);
        match tokio::time::timeout(left, answer).await {
            Ok(Ok(renewed)) => self.renewed(&leases, renewed),
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the leases could not be renewed yet"
                );
                self.run_out();
            }
            Err(_) => self.run_out(),
        }
    }

    /// Takes in which leases were kept, of those that were asked for.
    fn renewed(&self, asked: &[Lease], renewed: Vec<Lease>) {
        let mut held = self.held.lock();
        let name = |lease: &Lease| (lease.item.clone(), lease.fence);
        let mut passed_on: HashSet<(String, i64)> = asked.iter().map(name).collect();
        for lease in renewed {
            passed_on.remove(&name(&lease));
            // One that is given up meanwhile is not held any more.
            let same = held
                .values_mut()
                .find(|one| name(&one.lease) == name(&lease));
            if let Some(one) = same {
                one.term.renew(lease.until);
                one.lease = lease;
            }
        }
        held.retain(|_, one| {
            let gone = passed_on.contains(&name(&one.lease));
            if gone {
                tracing::warn!(item = one.lease.item, "the lease has passed on");
                self.shard.end(&one.term);
            }
            !gone
        });
    }

    /// Lets go of what has run out, since the database does not answer.
    fn run_out(&self) {
        let now = Instant::now();
        self.held.lock().retain(|_, one| {
            let over = now >= one.lease.until;
            if over {
                tracing::warn!(
                    item = one.lease.item,
                    "the lease ran out; the database does not answer"
                );
                self.shard.end(&one.term);
            }
            !over
        });
    }

    /// Takes and gives up units as the division says.
    async fn follow(&self, stop: &CancellationToken) {
        let mut free = Free::default();
        loop {
            let begun = Instant::now();
            let settled = match self.look(&mut free, stop).await {
                Ok(settled) => {
                    self.asks.set(true);
                    settled
                }
                Err(error) => {
                    self.asks.set(false);
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "it could not be asked what there is to do"
                    );
                    false
                }
            };
            self.give_up().await;
            let pause = if settled { RENEW } else { ASK };
            tokio::select! {
                () = self.shard.looked_for() => {}
                () = tokio::time::sleep_until((begun + pause).into()) => {}
            }
        }
    }

    /// One look; whether nothing can be left to this process by anybody.
    async fn look(&self, free: &mut Free, stop: &CancellationToken) -> store::Result<bool> {
        let units = self.platform.cluster_units(MARGIN).await?;
        let live = self.platform.controllers(LIVE).await?;
        let mut controllers: Vec<String> = live.into_iter().map(|one| one.id).collect();
        if !controllers.contains(&self.me.id) {
            controllers.push(self.me.id.clone());
        }
        let owners = divide(&units, &controllers);
        let now = Instant::now();
        let mut settled = controllers.len() == 1;
        let mut taken = Vec::new();
        {
            let mut held = self.held.lock();
            let known: HashSet<&Unit> = units.iter().map(|(unit, _)| unit).collect();
            let mut moving = held.values().filter(|one| one.leaving.is_some()).count();
            for (unit, one) in held.iter_mut() {
                // A cluster that is added no more.
                if !known.contains(unit) {
                    one.leave(now);
                }
            }
            for ((unit, holder), owner) in units.iter().zip(&owners) {
                let mine = owner.is_some_and(|owner| owner == self.me.id);
                match held.get_mut(unit) {
                    Some(one) if mine => one.unwanted = None,
                    Some(one) => {
                        let since = *one.unwanted.get_or_insert(now);
                        if now >= since + SETTLED && moving < MOVES && one.leave(now) {
                            moving += 1;
                        }
                    }
                    None => {
                        settled = false;
                        let open = holder.as_ref().is_none_or(|holder| *holder == self.me.id);
                        match open {
                            true if mine || free.is_abandoned(unit, now) => {
                                taken.push(unit.clone())
                            }
                            true => {}
                            false => drop(free.0.remove(unit)),
                        }
                    }
                }
            }
            settled &= held.values().all(|one| one.leaving.is_none());
            free.0
                .retain(|unit, _| known.contains(unit) && !held.contains_key(unit));
        }
        for unit in taken {
            if !stop.is_cancelled() {
                self.take(unit).await?;
            }
        }
        Ok(settled)
    }

    async fn take(&self, unit: Unit) -> store::Result<()> {
        let item = unit.item();
        let asked = self
            .platform
            .acquire_lease(&item, &self.me.id, TTL, MARGIN)
            .await?;
        // Another was quicker.
        let Some(lease) = asked else { return Ok(()) };
        tracing::info!(item, fence = lease.fence, "holding the lease");
        let gate = match unit {
            Unit::Shared => self.gate.clone(),
            Unit::Added { .. } => Gate::default(),
        };
        let term = Arc::new(Term::new(unit.clone(), lease.fence, gate));
        let held = Held {
            term: term.clone(),
            unwanted: None,
            leaving: None,
            lease,
        };
        let until = held.lease.until;
        let mut all = self.held.lock();
        all.insert(unit, held);
        self.shard.begin(term, until);
        Ok(())
    }

    /// Gives up what is to be another's and has come to rest.
    ///
    /// Nothing is written any more from then on, and the lease ends as long after as a write may take to be given up here;
    /// whoever comes waits the margin out besides, as after a loss.
    async fn give_up(&self) {
        let now = Instant::now();
        let over: Vec<Held> = {
            let mut held = self.held.lock();
            let over = held.extract_if(|_, one| {
                let quiet = one.term.is_quiet();
                let leaving = one.leaving.as_mut();
                leaving.is_some_and(|leaving| leaving.is_over(quiet, now))
            });
            over.map(|(_, one)| one).collect()
        };
        for Held { lease, term, .. } in over {
            tracing::info!(item = lease.item, "giving the lease up");
            self.shard.end(&term);
            if let Err(error) = self.platform.renew_lease(&lease, MARGIN).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    item = lease.item,
                    "a lease could not be given up; it runs out"
                );
            }
        }
    }
}

impl Held {
    /// Has nothing begin any more; `false` where that was so already.
    fn leave(&mut self, now: Instant) -> bool {
        if self.leaving.is_some() {
            return false;
        }
        tracing::info!(item = self.lease.item, "the unit is to be another's");
        self.term.leave();
        self.leaving = Some(Leaving {
            since: now,
            quiet: None,
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_given_up_when_its_last_result_is_written_or_takes_too_long() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut leaving = Leaving {
            since: start,
            quiet: None,
        };
        assert!(!leaving.is_over(false, at(1000)));
        assert!(!leaving.is_over(true, at(1200)));
        assert!(!leaving.is_over(true, at(1600)), "results are written yet");
        assert!(!leaving.is_over(false, at(1650)), "something goes on");
        assert!(!leaving.is_over(true, at(1800)));
        assert!(leaving.is_over(true, at(2300)));
        let mut hanging = Leaving {
            since: start,
            quiet: None,
        };
        assert!(!hanging.is_over(false, at(9_999)));
        assert!(hanging.is_over(false, at(10_000)));
    }

    #[test]
    fn what_nobody_takes_is_anybodys_after_a_while() {
        let start = Instant::now();
        let mut free = Free::default();
        assert!(!free.is_abandoned(&Unit::Shared, start));
        assert!(!free.is_abandoned(&Unit::Shared, start + GRACE / 2));
        assert!(free.is_abandoned(&Unit::Shared, start + GRACE));
    }
}
