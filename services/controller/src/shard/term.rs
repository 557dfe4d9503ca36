//! The units that this process holds now, each for a term.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use domain::shard::Unit;
use domain::tenant::TenantId;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::Gate;

/// More than ever work on one unit at once.
const TURNS: usize = 1 << 16;

/// One holding of a unit's lease.
#[derive(Debug)]
pub struct Term {
    /// The unit.
    pub unit: Unit,
    /// Its work item.
    pub item: String,
    /// Carried by every write to the database.
    pub fence: i64,
    /// When it began.
    pub began: Instant,
    /// Whether the cluster may be written to.
    pub gate: Gate,
    /// Cancelled when the lease is lost, or given up.
    pub lost: CancellationToken,
    /// Whether it is about to be given up.
    leaving: AtomicBool,
    turns: Arc<Semaphore>,
}

/// The right to work in a unit, given back when this is dropped: it is not given up before.
#[derive(Debug)]
pub struct AtWork {
    _permit: OwnedSemaphorePermit,
}

impl Term {
    /// A term that begins now. The gate is opened by whoever holds the lease.
    #[must_use]
    pub fn new(unit: Unit, fence: i64, gate: Gate) -> Self {
        Self {
            item: unit.item(),
            unit,
            fence,
            began: Instant::now(),
            gate,
            lost: CancellationToken::new(),
            leaving: AtomicBool::new(false),
            turns: Arc::new(Semaphore::new(TURNS)),
        }
    }

    /// The right to begin something; nothing once the unit is about to be another's.
    #[must_use]
    pub fn enter(&self) -> Option<AtWork> {
        let permit = self.turns.clone().try_acquire_owned().ok()?;
        let open = !self.leaving.load(Ordering::SeqCst) && !self.lost.is_cancelled();
        open.then(|| AtWork { _permit: permit })
    }

    /// It goes on under a lease that ends then, unless it has ended.
    pub(super) fn renew(&self, lease_end: Instant) {
        if self.lost.is_cancelled() {
            return;
        }
        self.gate.hold_until(lease_end);
        // It may have ended in between.
        if self.lost.is_cancelled() {
            self.gate.close();
        }
    }

    /// Has nothing begin any more.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::SeqCst);
    }

    /// Whether nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.turns.available_permits() == TURNS
    }
}

/// What this process holds. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    terms: Mutex<HashMap<Unit, Arc<Term>>>,
    /// Told whenever a term begins or ends.
    news: watch::Sender<()>,
    /// Wakes whoever looks for what is to be taken.
    look: Notify,
}

impl Default for Shard {
    fn default() -> Self {
        Self(Arc::new(Inner {
            terms: Mutex::default(),
            news: watch::channel(()).0,
            look: Notify::new(),
        }))
    }
}

impl Shard {
    /// The term of a unit, while it is ours.
    #[must_use]
    pub fn term(&self, unit: &Unit) -> Option<Arc<Term>> {
        let term = self.0.terms.lock().get(unit).cloned();
        term.filter(|term| !term.lost.is_cancelled())
    }

    /// The same, by its work item.
    #[must_use]
    pub fn holding(&self, item: &str) -> Option<Arc<Term>> {
        self.terms().into_iter().find(|term| term.item == item)
    }

    /// All terms that are in force.
    #[must_use]
    pub fn terms(&self) -> Vec<Arc<Term>> {
        let terms = self.0.terms.lock();
        let in_force = terms.values().filter(|term| !term.lost.is_cancelled());
        in_force.cloned().collect()
    }

    /// Whether applications of this tenant may be ours: it has its part of the shared cluster.
    #[must_use]
    pub fn concerns(&self, tenant: TenantId) -> bool {
        let terms = self.0.terms.lock();
        let here = |term: &Arc<Term>| match &term.unit {
            Unit::Shared => true,
            Unit::Added { tenant: whose, .. } => *whose == tenant,
        };
        terms
            .values()
            .any(|term| !term.lost.is_cancelled() && here(term))
    }

    /// Tells of every term that begins or ends from now on.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<()> {
        self.0.news.subscribe()
    }

    /// Has somebody look now for what is to be taken: there may be another cluster.
    pub fn look(&self) {
        self.0.look.notify_one();
    }

    /// Ends when somebody asked to look.
    pub(super) async fn looked_for(&self) {
        self.0.look.notified().await;
    }

    /// A term begins, under a lease that ends then.
    pub fn begin(&self, term: Arc<Term>, lease_end: Instant) {
        let before = self.0.terms.lock().get(&term.unit).cloned();
        if let Some(before) = before {
            self.end(&before);
        }
        term.gate.hold_until(lease_end);
        self.0.terms.lock().insert(term.unit.clone(), term);
        self.0.news.send_replace(());
    }

    /// A term ends: nothing is written any more, and what is under way is dropped.
    pub fn end(&self, term: &Arc<Term>) {
        // First, so that whoever opens the gate after this finds that it may not.
        term.lost.cancel();
        {
            let mut terms = self.0.terms.lock();
            let known = terms.get(&term.unit);
            if known.is_some_and(|known| Arc::ptr_eq(known, term)) {
                term.gate.close();
                terms.remove(&term.unit);
            }
        }
        self.0.news.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;

    fn added(tenant: u128) -> Unit {
        Unit::Added {
            tenant: TenantId(Uuid::from_u128(tenant)),
            server: "https://far".to_owned(),
        }
    }

    fn in_a_minute() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn begun(shard: &Shard, unit: Unit, fence: i64) -> Arc<Term> {
        let term = Arc::new(Term::new(unit, fence, Gate::default()));
        shard.begin(term.clone(), in_a_minute());
        term
    }

    #[test]
    fn each_unit_is_held_and_lost_by_itself() {
        let shard = Shard::default();
        let mut news = shard.news();
        let shared = begun(&shard, Unit::Shared, 1);
        let far = begun(&shard, added(1), 7);
        assert!(news.has_changed().unwrap());
        news.mark_unchanged();
        shard.end(&shared);
        assert!(news.has_changed().unwrap());
        assert!(shard.term(&Unit::Shared).is_none() && shared.lost.is_cancelled());
        assert!(!shared.gate.open_at(Instant::now()));
        assert_eq!(shard.term(&added(1)).unwrap().fence, 7);
        assert!(far.gate.open_at(Instant::now()) && !far.lost.is_cancelled());
        assert_eq!(shard.holding(&far.item).unwrap().fence, 7);
        assert!(shard.holding(&shared.item).is_none());
    }

    #[test]
    fn who_holds_the_shared_cluster_is_concerned_with_every_tenant() {
        let shard = Shard::default();
        let tenant = |number| TenantId(Uuid::from_u128(number));
        assert!(!shard.concerns(tenant(1)));
        begun(&shard, added(1), 1);
        assert!(shard.concerns(tenant(1)) && !shard.concerns(tenant(2)));
        begun(&shard, Unit::Shared, 1);
        assert!(shard.concerns(tenant(2)));
    }

    #[test]
    fn the_end_of_an_earlier_term_closes_nothing_of_the_next() {
        let shard = Shard::default();
        let gate = Gate::default();
        let first = Arc::new(Term::new(Unit::Shared, 1, gate.clone()));
        shard.begin(first.clone(), in_a_minute());
        shard.end(&first);
        let second = Arc::new(Term::new(Unit::Shared, 2, gate.clone()));
        shard.begin(second, in_a_minute());
        shard.end(&first);
        assert!(gate.open_at(Instant::now()), "the next one's");
        assert_eq!(shard.term(&Unit::Shared).unwrap().fence, 2);
    }

    #[test]
    fn nothing_begins_in_a_unit_that_is_about_to_be_anothers() {
        let term = Term::new(Unit::Shared, 1, Gate::default());
        let turn = term.enter().unwrap();
        assert!(!term.is_quiet());
        term.leave();
        assert!(term.enter().is_none());
        assert!(!term.is_quiet(), "what is under way may end");
        drop(turn);
        assert!(term.is_quiet());
        let lost = Term::new(Unit::Shared, 2, Gate::default());
        lost.lost.cancel();
        assert!(lost.enter().is_none());
    }
}
