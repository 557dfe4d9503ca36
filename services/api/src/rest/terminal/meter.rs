//! How much goes through a terminal, and for how long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::front::terminals::Allowance;

/// How long a terminal stays open in which nothing happens.
pub(super) const IDLE: Duration = Duration::from_secs(10 * 60);
/// How long one stays open at most.
pub(super) const LONGEST: Duration = Duration::from_secs(60 * 60);
/// How much goes through one at most, in MiB, both ways together.
pub(super) const MOST_MIB: u64 = 256;
/// How much goes through in a second, each way; what comes faster waits.
const A_SECOND: u64 = 512 << 10;
/// How much goes through at once, before anything waits.
const AT_ONCE: u64 = 1 << 20;
/// What a message at least counts for that says nothing: it is read and answered all the same.
const LEAST: usize = 64;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the shell.
    Typed,
    /// From it.
    Shown,
    /// To nobody: that whoever has it open is still there. Nothing happens by that.
    Alive,
}

/// What a terminal has used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spent {
    /// Nothing happened for long.
    Idle,
    /// Its time.
    Time,
    /// Its bytes.
    Bytes,
    /// What all terminals of the tenant may use; there is some again after that time.
    Tenant(Duration),
}

/// The meter of one terminal.
#[derive(Debug)]
pub(super) struct Meter {
    began: Instant,
    counted: Mutex<Counted>,
    tenant: Arc<Allowance>,
}

#[derive(Debug)]
struct Counted {
    last: Instant,
    /// Until when its time was taken off the tenant's.
    taken: Instant,
    typed: Bucket,
    shown: Bucket,
    alive: Bucket,
}

/// One way: what went through, and what of it is still to be waited for.
#[derive(Debug)]
struct Bucket {
    bytes: u64,
    /// When all that went through would have, at the pace that is allowed.
    through: Instant,
}

impl Bucket {
    fn count(&mut self, bytes: u64, now: Instant) -> Duration {
        self.bytes += bytes;
        self.through = self.through.max(now) + paced(bytes);
        let ahead = self.through.saturating_duration_since(now);
        ahead.saturating_sub(paced(AT_ONCE))
    }
}

/// How long so much takes at the pace that is allowed.
fn paced(bytes: u64) -> Duration {
    Duration::from_micros(bytes.saturating_mul(1_000_000) / A_SECOND)
}

impl Meter {
    /// Of a terminal that is opened now, whose tenant has so much left.
    pub(super) fn new(now: Instant, tenant: Arc<Allowance>) -> Self {
        let bucket = || Bucket {
            bytes: 0,
            through: now,
        };
        Self {
            began: now,
            counted: Mutex::new(Counted {
                last: now,
                taken: now,
                typed: bucket(),
                shown: bucket(),
                alive: bucket(),
            }),
            tenant,
        }
    }

    /// Counts; says how long to wait before more goes the same way.
    pub(super) fn count(&self, way: Way, bytes: usize, now: Instant) -> Duration {
        let least = if way == Way::Alive { LEAST } else { 0 };
        let bytes = u64::try_from(bytes.max(least)).unwrap_or(u64::MAX);
        self.tenant.take(Duration::ZERO, bytes, now);
        let mut counted = self.counted.lock();
        let bucket = match way {
            Way::Typed => &mut counted.typed,
            Way::Shown => &mut counted.shown,
            Way::Alive => return counted.alive.count(bytes, now),
        };
        let wait = bucket.count(bytes, now);
        counted.last = now;
        wait
    }

    /// Takes off the tenant's what was used since it was last done.
    pub(super) fn settle(&self, now: Instant) {
        let mut counted = self.counted.lock();
        let open = now.saturating_duration_since(counted.taken);
        counted.taken += open;
        self.tenant.take(open, 0, now);
    }

    /// What is used up, if anything.
    pub(super) fn spent(&self, now: Instant) -> Option<Spent> {
        self.settle(now);
        let counted = self.counted.lock();
        let since = |then: Instant| now.saturating_duration_since(then);
        let bytes = counted.typed.bytes + counted.shown.bytes + counted.alive.bytes;
        if bytes > MOST_MIB << 20 {
            Some(Spent::Bytes)
        } else if since(self.began) >= LONGEST {
            Some(Spent::Time)
        } else if since(counted.last) >= IDLE {
            Some(Spent::Idle)
        } else {
            self.tenant.spent(now).map(Spent::Tenant)
        }
    }

    /// How much was typed, and how much was shown.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let counted = self.counted.lock();
        (counted.typed.bytes, counted.shown.bytes)
    }

    /// For how long it has been open.
    pub(super) fn open_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Meter {
        Meter::new(now, Arc::new(Allowance::new(now)))
    }

    #[test]
    fn who_is_only_still_there_is_idle_and_counts() {
        let now = Instant::now();
        let one = opened(now);
        let mut at = now;
        while at < now + IDLE {
            one.count(Way::Alive, 0, at);
            at += Duration::from_secs(5);
        }
        assert_eq!(one.spent(at), Some(Spent::Idle));
        assert_eq!(one.bytes(), (0, 0));
        let one = opened(now);
        let many = (0..).find(|_| !one.count(Way::Alive, 0, now).is_zero());
        assert!(many.is_some_and(|many| many < 20_000), "{many:?}");
        one.count(Way::Alive, 257 << 20, now);
        assert_eq!(one.spent(now), Some(Spent::Bytes));
    }

    #[test]
    fn terminals_of_one_tenant_use_what_is_the_tenants() {
        let now = Instant::now();
        let tenant = Arc::new(Allowance::new(now));
        let long = now + LONGEST - Duration::from_secs(1);
        let mut last = None;
        for number in 1..100 {
            let one = Meter::new(now, Arc::clone(&tenant));
            one.count(Way::Typed, 1, long);
            last = one.spent(long);
            if last.is_some() {
                assert!((20..40).contains(&number), "{number}");
                break;
            }
        }
        assert!(matches!(last, Some(Spent::Tenant(_))), "{last:?}");
        // One that ended has left its use behind.
        let tenant = Arc::new(Allowance::new(now));
        for _ in 0..9 {
            Meter::new(now, Arc::clone(&tenant)).count(Way::Shown, 240 << 20, now);
        }
        let next = Meter::new(now, tenant).spent(now);
        assert!(matches!(next, Some(Spent::Tenant(_))), "{next:?}");
    }

    #[test]
    fn a_terminal_ends_when_it_is_idle_old_or_has_passed_on_too_much() {
        let now = Instant::now();
        let meter = opened(now);
        assert_eq!(meter.spent(now + IDLE - Duration::from_secs(1)), None);
        assert_eq!(meter.spent(now + IDLE), Some(Spent::Idle));
        let mut at = now;
        while at < now + LONGEST {
            meter.count(Way::Typed, 1, at);
            assert_eq!(meter.spent(at), None);
            at += IDLE / 2;
        }
        meter.count(Way::Shown, 1, at);
        assert_eq!(meter.spent(at), Some(Spent::Time));
        let meter = opened(now);
        meter.count(Way::Shown, 128 << 20, now);
        meter.count(Way::Typed, 128 << 20, now);
        assert_eq!(meter.spent(now), None);
        meter.count(Way::Typed, 1, now);
        assert_eq!(meter.spent(now), Some(Spent::Bytes));
        assert_eq!(meter.bytes(), ((128 << 20) + 1, 128 << 20));
    }

    #[test]
    fn what_comes_too_fast_waits_each_way_for_itself() {
        let now = Instant::now();
        let meter = opened(now);
        assert_eq!(meter.count(Way::Shown, 1 << 20, now), Duration::ZERO);
        let second = Duration::from_secs(1);
        assert_eq!(meter.count(Way::Shown, 512 << 10, now), second);
        assert_eq!(meter.count(Way::Typed, 1, now), Duration::ZERO);
        let later = now + Duration::from_secs(3);
        assert_eq!(meter.count(Way::Shown, 512 << 10, later), Duration::ZERO);
    }
}
