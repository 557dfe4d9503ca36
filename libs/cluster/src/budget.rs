//! What clusters that tenants have added may take together: of memory, and of watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What clusters that tenants have added may take together: of memory, and of watches, each of which has a connection. It
/// may be a part of a larger one, as a tenant's is of the process's.
#[derive(Debug)]
pub struct Budget {
    bytes: Pot,
    watches: Pot,
    within: Option<Arc<Self>>,
}

/// Some of which so much has been taken.
#[derive(Debug)]
struct Pot {
    most: usize,
    taken: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Bytes,
    Watches,
}

/// What somebody has of a budget; given back with its end.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    what: What,
    held: usize,
}

impl Budget {
    /// So many bytes and watches, which also count in that `within` which this is.
    #[must_use]
    pub fn new(bytes: usize, watches: usize, within: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self {
            bytes: Pot::of(bytes),
            watches: Pot::of(watches),
            within,
        })
    }

    /// One that never ends.
    pub(crate) fn unbounded() -> Arc<Self> {
        Self::new(usize::MAX, usize::MAX, None)
    }

    fn pot(&self, what: What) -> &Pot {
        match what {
            What::Bytes => &self.bytes,
            What::Watches => &self.watches,
        }
    }

    /// Takes all of it, or nothing: who asks for too much does not stand in the way of others.
    fn take(&self, what: What, amount: usize) -> bool {
        if !self.pot(what).take(amount) {
            return false;
        }
        let within = self.within.as_ref();
        let taken = within.is_none_or(|within| within.take(what, amount));
        if !taken {
            self.pot(what).give_back(amount);
        }
        taken
    }

    fn give_back(&self, what: What, amount: usize) {
        self.pot(what).give_back(amount);
        if let Some(within) = &self.within {
            within.give_back(what, amount);
        }
    }
}

impl Pot {
    fn of(most: usize) -> Self {
        Self {
            most,
            taken: AtomicUsize::new(0),
        }
    }

    fn take(&self, amount: usize) -> bool {
        let more = |taken: usize| taken.checked_add(amount).filter(|all| *all <= self.most);
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    fn give_back(&self, amount: usize) {
        self.taken.fetch_sub(amount, Ordering::Relaxed);
    }
}

impl Share {
    /// No byte yet.
    pub(crate) fn of_bytes(budget: &Arc<Budget>) -> Self {
        Self::new(budget, What::Bytes)
    }

    /// No watch yet.
    pub(crate) fn of_watches(budget: &Arc<Budget>) -> Self {
        Self::new(budget, What::Watches)
    }

    fn new(budget: &Arc<Budget>, what: What) -> Self {
        Self {
            budget: Arc::clone(budget),
            what,
            held: 0,
        }
    }

    /// Holds so much from now on. `false` where there is not as much; then it holds what it held.
    pub(crate) fn hold(&mut self, amount: usize) -> bool {
        if amount > self.held && !self.budget.take(self.what, amount - self.held) {
            return false;
        }
        if amount < self.held {
            self.budget.give_back(self.what, self.held - amount);
        }
        self.held = amount;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(self.what, self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_takes_of_a_part_is_taken_of_the_whole() {
        let whole = Budget::new(100, 10, None);
        let part = |bytes| Budget::new(bytes, 8, Some(Arc::clone(&whole)));
        let (one, other) = (part(70), part(70));
        let mut large = Share::of_bytes(&one);
        assert!(large.hold(60) && !large.hold(71), "more than its part");
        let mut late = Share::of_bytes(&other);
        assert!(late.hold(40) && !late.hold(41), "more than is left");
        assert!(large.hold(60), "who was refused takes nothing from others");
        assert!(large.hold(20) && late.hold(70));
        drop(late);
        assert!(large.hold(70));
        let mut watches = Share::of_watches(&one);
        assert!(watches.hold(8) && !watches.hold(9));
        drop((large, watches));
        for pot in [&whole.bytes, &whole.watches] {
            assert_eq!(pot.taken.load(Ordering::Relaxed), 0, "all is given back");
        }
    }
}
