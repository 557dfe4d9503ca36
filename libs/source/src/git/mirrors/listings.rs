//! The listings that are remembered: what they take together, and which of them go where that is too much.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::super::refs::Refs;
use super::{Mirror, Mirrors};

/// How many bytes of listings are kept in memory, of one tenant's repositories and of all.
const MOST_OF_TENANT: usize = 32 << 20;
const MOST: usize = 128 << 20;
/// From how many bytes on a listing is looked at what its tenant has besides: of small ones it is looked at with all.
const HEAVY: usize = 1 << 20;

/// What all listings take together.
#[derive(Debug, Default)]
pub(super) struct Taken(Arc<AtomicUsize>);

/// A listing that is remembered.
#[derive(Debug)]
pub(in super::super) struct Listed {
    at: Instant,
    refs: Arc<Refs>,
    weight: usize,
    /// What all take, of which this is a part until it goes.
    taken: Arc<AtomicUsize>,
}

impl Listed {
    fn new(refs: &Arc<Refs>, taken: &Taken) -> Self {
        let weight = refs.weight();
        taken.0.fetch_add(weight, Ordering::Relaxed);
        Self {
            at: Instant::now(),
            refs: Arc::clone(refs),
            weight,
            taken: Arc::clone(&taken.0),
        }
    }

    /// The refs, unless they were listed longer ago.
    pub(super) fn within(&self, time: Duration) -> Option<&Arc<Refs>> {
        (self.at.elapsed() < time).then_some(&self.refs)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.weight, Ordering::Relaxed);
    }
}

impl Mirrors {
    /// Remembers a listing, and forgets others while they are too much.
    pub(super) fn remember(&self, tenant: &str, mirror: &Arc<Mirror>, refs: &Arc<Refs>) {
        let listed = Listed::new(refs, &self.0.taken);
        let weight = listed.weight;
        let before = mirror.listed.lock().replace(listed);
        drop(before);
        if weight > HEAVY || self.0.taken.0.load(Ordering::Relaxed) > MOST {
            self.bound(tenant, mirror);
        }
    }

    /// Forgets listings while they are too much, of the tenant or of all, the oldest first.
    fn bound(&self, tenant: &str, newest: &Arc<Mirror>) {
        let mut gone = Vec::new();
        let mirrors = self.0.mirrors.lock();
        let mut all: Vec<(Instant, usize, bool, &Arc<Mirror>)> = mirrors
            .iter()
            .filter_map(|((whose, _), mirror)| {
                let listed = mirror.listed.lock();
                let one = listed.as_ref()?;
                Some((one.at, one.weight, whose == tenant, mirror))
            })
            .collect();
        all.sort_by_key(|(at, ..)| *at);
        let mut total: usize = all.iter().map(|(_, weight, ..)| weight).sum();
        let theirs = all.iter().filter(|(_, _, theirs, _)| *theirs);
        let mut of_tenant: usize = theirs.map(|(_, weight, ..)| weight).sum();
        // Where all are too much, by more than that: else each further one would be a reason to look through all.
        let most = match total > MOST {
            true => MOST / 4 * 3,
            false => MOST,
        };
        for (_, weight, theirs, mirror) in all {
            let too_much = total > most || (theirs && of_tenant > MOST_OF_TENANT);
            if too_much && !Arc::ptr_eq(mirror, newest) {
                gone.push(mirror.listed.lock().take());
                total = total.saturating_sub(weight);
                if theirs {
                    of_tenant = of_tenant.saturating_sub(weight);
                }
            }
        }
        drop(mirrors);
        // Only now: others wait for the list.
        drop(gone);
    }
}

impl Mirror {
    /// The last listing, if it was made longer ago: for who lets it go.
    pub(super) fn outdated(&self, time: Duration) -> Option<Listed> {
        let mut listed = self.listed.lock();
        match &*listed {
            Some(one) if one.within(time).is_none() => listed.take(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LOOK, tests};
    use super::*;

    #[test]
    fn s02_listings_are_bounded_of_a_tenant_and_of_all_and_go_when_they_are_old() {
        let data = tempfile::tempdir().unwrap();
        let mirrors = tests::mirrors(data.path(), Duration::from_secs(3600));
        let megabytes = |many: usize| {
            let mut refs = Refs::default();
            refs.refs.insert("x".repeat(many << 20), String::new());
            Arc::new(refs)
        };
        let listed = |tenant: &str, name: &str, many: usize| {
            let access = tests::access(tenant, name);
            let mirror = mirrors.mirror(&access);
            mirrors.remember(tenant, &mirror, &megabytes(many));
            mirror
        };
        let kept = |mirror: &Mirror| mirror.listed.lock().is_some();
        let taken = || mirrors.0.taken.0.load(Ordering::Relaxed) >> 20;

        let small = listed("b", "small", 0);
        let first = listed("a", "first", 20);
        let second = listed("a", "second", 20);
        assert!(!kept(&first) && kept(&second), "one tenant has so much");
        assert!(kept(&small), "and others what they have");
        assert_eq!(taken(), 20);
        // The same again is no more.
        listed("a", "second", 20);
        assert_eq!(taken(), 20);

        let others: Vec<_> = ["c", "d", "e", "f"]
            .map(|tenant| listed(tenant, "other", 30))
            .into();
        assert!(!kept(&second) && !kept(&small), "the oldest make room");
        assert!(others.iter().skip(1).all(|mirror| kept(mirror)));
        assert_eq!(taken(), 90);
        let huge = listed("a", "huge", 130);
        assert!(kept(&huge), "whoever asks for one has it");
        assert_eq!(taken(), 130);

        let short = tests::mirrors(data.path(), Duration::ZERO);
        let access = tests::access("a", "old");
        let old = short.mirror(&access);
        short.remember("a", &old, &megabytes(1));
        for _ in 0..LOOK {
            short.use_now(&access);
        }
        assert!(!kept(&old), "it answers nobody");
        assert_eq!(short.0.taken.0.load(Ordering::Relaxed), 0);
    }
}
