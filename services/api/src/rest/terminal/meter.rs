//! How much goes through a terminal, and for how long.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

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

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the shell.
    Typed,
    /// From it.
    Shown,
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
}

/// The meter of one terminal.
#[derive(Debug)]
pub(super) struct Meter {
    began: Instant,
    counted: Mutex<Counted>,
}

#[derive(Debug)]
struct Counted {
    last: Instant,
    typed: Bucket,
    shown: Bucket,
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
    /// Of a terminal that is opened now.
    pub(super) fn new(now: Instant) -> Self {
        let bucket = || Bucket {
            bytes: 0,
            through: now,
        };
        Self {
            began: now,
            counted: Mutex::new(Counted {
                last: now,
                typed: bucket(),
                shown: bucket(),
            }),
        }
    }

    /// Counts; says how long to wait before more goes the same way.
    pub(super) fn count(&self, way: Way, bytes: usize, now: Instant) -> Duration {
        let mut counted = self.counted.lock();
        counted.last = now;
        let bucket = match way {
            Way::Typed => &mut counted.typed,
            Way::Shown => &mut counted.shown,
        };
        bucket.count(u64::try_from(bytes).unwrap_or(u64::MAX), now)
    }

    /// What is used up, if anything.
    pub(super) fn spent(&self, now: Instant) -> Option<Spent> {
        let (typed, shown) = self.bytes();
        let counted = self.counted.lock();
        let since = |then: Instant| now.saturating_duration_since(then);
        if typed + shown > MOST_MIB << 20 {
            Some(Spent::Bytes)
        } else if since(self.began) >= LONGEST {
            Some(Spent::Time)
        } else if since(counted.last) >= IDLE {
            Some(Spent::Idle)
        } else {
            None
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

    #[test]
    fn a_terminal_ends_when_it_is_idle_old_or_has_passed_on_too_much() {
        let now = Instant::now();
        let meter = Meter::new(now);
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
        let meter = Meter::new(now);
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
        let meter = Meter::new(now);
        assert_eq!(meter.count(Way::Shown, 1 << 20, now), Duration::ZERO);
        let second = Duration::from_secs(1);
        assert_eq!(meter.count(Way::Shown, 512 << 10, now), second);
        assert_eq!(meter.count(Way::Typed, 1, now), Duration::ZERO);
        let later = now + Duration::from_secs(3);
        assert_eq!(meter.count(Way::Shown, 512 << 10, later), Duration::ZERO);
    }
}
