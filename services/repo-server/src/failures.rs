//! Renders that failed again and again: for a moment they are not tried, so that whoever asks without end costs nothing.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use domain::cause::{Cause, Severity};
use domain::clock::Timestamp;
use domain::message;
use lru::LruCache;
use parking_lot::Mutex;
use source::{Error, Kind};

/// How often in a row an order fails before it is held back.
const TRIES: u32 = 3;
/// How long it is held back.
const HELD: Duration = Duration::from_secs(30);
/// The most orders that are counted.
const MOST: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();

/// Orders that failed, by a name that only equal ones have.
pub(crate) struct Failures(Mutex<LruCache<[u8; 32], Failed>>);

struct Failed {
    times: u32,
    last: Instant,
    error: Error,
}

impl Default for Failures {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MOST)))
    }
}

impl Failures {
    /// Why an order of this moment, in Unix seconds, is not tried now, and when it is.
    pub(crate) fn held(&self, name: &[u8; 32], moment: i64) -> Option<Error> {
        self.held_at(name, moment, Instant::now())
    }

    fn held_at(&self, name: &[u8; 32], moment: i64, now: Instant) -> Option<Error> {
        let mut all = self.0.lock();
        let failed = all.get(name)?;
        let left = HELD.checked_sub(now.saturating_duration_since(failed.last))?;
        if failed.times < TRIES || left.is_zero() {
            return None;
        }
        let next = moment.saturating_add(left.as_secs() as i64 + 1);
        let next = Timestamp::from_timestamp(next, 0).unwrap_or_default();
        let message = message::source::HELD_BACK.with("times", failed.times);
        let message = message.with("next", next.format("%Y-%m-%dT%H:%M:%SZ"));
        let note = Cause::new(Severity::Reason, message);
        Some(failed.error.clone().also(note))
    }

    /// Notes how an order went.
    pub(crate) fn note(&self, name: [u8; 32], error: Option<&Error>) {
        self.note_at(name, error, Instant::now());
    }

    fn note_at(&self, name: [u8; 32], error: Option<&Error>, now: Instant) {
        let mut all = self.0.lock();
        // What another try may find otherwise, or what the caller brings the next time, is none of its own.
        let own = error.filter(|error| {
            let kinds = [
                Kind::Invalid,
                Kind::Unsupported,
                Kind::TooLarge,
                Kind::NotFound,
            ];
            kinds.contains(&error.kind())
                && !error.is_about_fetching()
                && error.needs().is_empty()
                && error.wanted().is_empty()
        });
        let Some(error) = own else {
            all.pop(&name);
            return;
        };
        let times = all.get(&name).map_or(0, |failed| failed.times);
        let failed = Failed {
            times: times.saturating_add(1),
            last: now,
            error: error.clone(),
        };
        all.put(name, failed);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_three_times_in_a_row_is_held_back_for_a_moment_and_says_so() {
        let failures = Failures::default();
        let error = |kind| Error::new(kind, message::source::NOT_TEXT.message());
        let (name, other) = ([1; 32], [2; 32]);
        let now = Instant::now();
        for _ in 0..2 {
            failures.note_at(name, Some(&error(Kind::Invalid)), now);
            assert!(failures.held_at(&name, 0, now).is_none());
        }
        failures.note_at(name, None, now);
        for _ in 0..3 {
            assert!(failures.held_at(&name, 0, now).is_none());
            failures.note_at(name, Some(&error(Kind::Invalid)), now);
            failures.note_at(other, Some(&error(Kind::Unreachable)), now);
        }
        let held = failures.held_at(&name, 0, now + HELD / 2).unwrap();
        let codes: Vec<_> = held.causes().map(|cause| &*cause.message.code).collect();
        assert_eq!(codes, ["source.not-text", "source.held-back"]);
        assert!(
            format!("{held:?}").contains("1970-01-01T00:00:16Z"),
            "{held:?}"
        );
        assert!(failures.held_at(&other, 0, now).is_none(), "it may pass");
        assert!(failures.held_at(&name, 0, now + HELD).is_none());
        // The one try that it has then holds it back again.
        failures.note_at(name, Some(&error(Kind::Invalid)), now + HELD);
        assert!(failures.held_at(&name, 0, now + HELD).is_some());
    }
}
