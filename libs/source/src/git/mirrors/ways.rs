//! Ways to ask a server that are faster, and that not every server knows: one that is refused is left alone for a while, and tried
//! again then. A server may be another one by that time, or there was another one behind its address.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// After so many refusals in a row a way is left alone.
const TRIES: u32 = 3;
/// For how long at first; each further refusal has it left alone for twice as long, up to the longest.
const FIRST: Duration = Duration::from_secs(2 * 60);
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Whether a server is asked in a way.
#[derive(Debug, Default)]
pub(in super::super) struct Way(Mutex<Tried>);

#[derive(Debug, Default)]
struct Tried {
    /// How often in a row it was refused.
    refused: u32,
    /// Until when it is left alone.
    until: Option<Instant>,
}

impl Way {
    /// Whether it is tried now.
    pub(super) fn is_open(&self) -> bool {
        let until = self.0.lock().until;
        until.is_none_or(|until| until <= Instant::now())
    }

    /// Notes that the server has answered so.
    pub(super) fn went(&self) {
        *self.0.lock() = Tried::default();
    }

    /// Notes that the server says that it does not answer so: nothing that may pass.
    pub(super) fn refused(&self) {
        let mut tried = self.0.lock();
        tried.refused = tried.refused.saturating_add(1);
        if let Some(again) = tried.refused.checked_sub(TRIES) {
            let times = 1_u32.checked_shl(again).unwrap_or(u32::MAX);
            let pause = FIRST.saturating_mul(times).min(LONGEST);
            tried.until = Some(Instant::now() + pause);
        }
    }

    /// Leaves it alone for once: it says nothing of what the server can do, and whoever asks next has another way.
    pub(super) fn rest(&self, time: Duration) {
        let mut tried = self.0.lock();
        tried.until = tried.until.max(Some(Instant::now() + time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How long it is left alone from now on.
    async fn left_alone(way: &Way) -> Duration {
        let begun = Instant::now();
        while !way.is_open() {
            tokio::time::advance(SECOND).await;
        }
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_in_a_row_is_tried_again_after_a_pause_that_grows() {
        let way = Way::default();
        for _ in 1..TRIES {
            way.refused();
            assert!(way.is_open());
        }
        way.went();
        for _ in 1..TRIES {
            way.refused();
            assert!(way.is_open(), "not in a row");
        }
        let mut paused = Vec::new();
        for _ in 0..8 {
            way.refused();
            paused.push(left_alone(&way).await.as_secs() / 60);
        }
        assert_eq!(paused, [2, 4, 8, 16, 32, 60, 60, 60]);
        // However often.
        way.0.lock().refused = u32::MAX;
        way.refused();
        assert_eq!(left_alone(&way).await, LONGEST);
        way.went();
        way.refused();
        assert!(way.is_open(), "from the beginning");
    }

    #[tokio::test(start_paused = true)]
    async fn what_rests_is_not_refused_and_shortens_no_pause() {
        let way = Way::default();
        for _ in 0..2 * TRIES {
            way.rest(90 * SECOND);
            assert_eq!(left_alone(&way).await, 90 * SECOND);
        }
        for _ in 0..TRIES {
            way.refused();
        }
        way.rest(SECOND);
        assert_eq!(left_alone(&way).await, FIRST);
    }
}
