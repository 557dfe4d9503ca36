//! Counting by the minute: a bucket per key that fills over a minute, in memory that is bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// How long an empty bucket takes to fill.
const MINUTE: Duration = Duration::from_secs(60);
/// How often a full map is looked through for buckets that say nothing any more.
const SWEEP: Duration = Duration::from_secs(1);

/// How much each key has left: a bucket that holds what is allowed in a minute, and fills as the minute goes by.
///
/// Never more than a fixed number of keys are told apart. Whoever calls when all places are taken shares one bucket with
/// everybody else who does: a flood of keys takes no memory, pushes nobody out, and is bounded itself.
#[derive(Debug)]
pub struct PerMinute<K> {
    buckets: HashMap<K, Bucket>,
    /// Of all who found no place.
    rest: Option<Bucket>,
    most: usize,
    swept: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a quota is far below what a float counts exactly"
)]
impl Bucket {
    fn full(allowed: u64, now: Instant) -> Self {
        Self {
            left: allowed as f64,
            at: now,
        }
    }

    /// What is in it by now.
    fn left(&self, allowed: u64, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at);
        let filled = since.as_secs_f64() / MINUTE.as_secs_f64() * allowed as f64;
        (self.left + filled).min(allowed as f64)
    }

    fn take(&mut self, allowed: u64, now: Instant) -> Result<(), Duration> {
        self.left = self.left(allowed, now);
        self.at = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        let missing = (1.0 - self.left) / allowed as f64;
        Err(MINUTE.mul_f64(missing.clamp(0.0, 1.0)))
    }
}

impl<K: Eq + Hash> PerMinute<K> {
    /// Nobody has taken anything yet; at most `most` keys are told apart.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            buckets: HashMap::new(),
            rest: None,
            most,
            swept: None,
        }
    }

    /// Takes one of `allowed` a minute; 0 means without limit.
    ///
    /// # Errors
    /// After how long there is one again.
    pub fn take(&mut self, key: K, allowed: u64, now: Instant) -> Result<(), Duration> {
        if allowed == 0 {
            return Ok(());
        }
        if !self.has_place(&key, now) {
            let rest = self.rest.get_or_insert(Bucket::full(allowed, now));
            return rest.take(allowed, now);
        }
        let bucket = self.buckets.entry(key);
        let bucket = bucket.or_insert_with(|| Bucket::full(allowed, now));
        bucket.take(allowed, now)
    }

    /// Gives back what was taken and is not to count after all.
    pub fn give_back(&mut self, key: &K) {
        // More than full is cut off when it is next taken from.
        if let Some(bucket) = self.buckets.get_mut(key).or(self.rest.as_mut()) {
            bucket.left += 1.0;
        }
    }

    /// How many of a minute's `allowed` are taken.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a quota is far below what a float counts exactly, and the bucket never holds more"
    )]
    pub fn used(&self, key: &K, allowed: u64, now: Instant) -> u64 {
        self.buckets.get(key).map_or(0, |bucket| {
            let used = allowed as f64 - bucket.left(allowed, now);
            used.max(0.0).ceil() as u64
        })
    }

    /// How many keys are told apart now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether nobody has taken anything of late.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    fn has_place(&mut self, key: &K, now: Instant) -> bool {
        if self.buckets.len() < self.most || self.buckets.contains_key(key) {
            return true;
        }
        let due = |swept: Instant| now.saturating_duration_since(swept) >= SWEEP;
        if self.swept.is_none_or(due) {
            // Whoever has taken nothing for a minute has a full bucket, which is the same as none.
            let fresh = |bucket: &Bucket| now.saturating_duration_since(bucket.at) < MINUTE;
            self.buckets.retain(|_, bucket| fresh(bucket));
            self.swept = Some(now);
        }
        self.buckets.len() < self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_taken_comes_back_over_a_minute_and_never_more_than_allowed() {
        let mut calls = PerMinute::new(10);
        let begun = Instant::now();
        for _ in 0..60 {
            assert_eq!(calls.take("a", 60, begun), Ok(()));
        }
        assert_eq!(calls.used(&"a", 60, begun), 60);
        let wait = calls.take("a", 60, begun).unwrap_err();
        assert!(wait <= SECOND && wait > Duration::from_millis(900));
        assert_eq!(calls.take("a", 60, begun + SECOND), Ok(()));
        assert!(calls.take("a", 60, begun + SECOND).is_err());
        let later = begun + Duration::from_secs(3_600);
        assert_eq!(calls.used(&"a", 60, later), 0);
        for _ in 0..60 {
            assert_eq!(calls.take("a", 60, later), Ok(()));
        }
        assert!(calls.take("a", 60, later).is_err());
        assert_eq!(calls.take("b", 60, later), Ok(()), "each has its own");
    }

    #[test]
    fn what_is_given_back_was_not_taken() {
        let mut calls = PerMinute::new(10);
        let now = Instant::now();
        for _ in 0..100 {
            assert_eq!(calls.take("a", 2, now), Ok(()));
            calls.give_back(&"a");
        }
        calls.give_back(&"a");
        assert_eq!(calls.take("a", 2, now), Ok(()));
        assert_eq!(calls.take("a", 2, now), Ok(()));
        assert!(calls.take("a", 2, now).is_err(), "never more than allowed");
    }

    #[test]
    fn zero_is_without_limit() {
        let mut calls = PerMinute::new(10);
        let now = Instant::now();
        for _ in 0..1_000 {
            assert_eq!(calls.take("a", 0, now), Ok(()));
        }
        assert!(calls.is_empty());
    }

    #[test]
    fn a_flood_of_keys_takes_no_memory_pushes_nobody_out_and_is_bounded_itself() {
        let mut calls = PerMinute::new(100);
        let now = Instant::now();
        for _ in 0..10 {
            assert_eq!(calls.take(0, 10, now), Ok(()));
        }
        let let_in = (1..10_000).filter(|key| calls.take(*key, 10, now).is_ok());
        assert_eq!(
            let_in.count(),
            99 + 10,
            "places, and one bucket for the rest"
        );
        assert_eq!(calls.len(), 100);
        assert!(calls.take(0, 10, now).is_err(), "still counted");
        assert_eq!(calls.take(20_000, 10, now + MINUTE), Ok(()));
        assert_eq!(calls.len(), 1, "what says nothing any more is forgotten");
    }
}
