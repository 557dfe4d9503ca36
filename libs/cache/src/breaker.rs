//! Not asking again for a moment after Redis did not answer, and saying so once.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long Redis is left alone after it did not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a lasting failure is logged.
const REMINDER: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Breaker {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Since when it does not answer.
    failing_since: Option<Instant>,
    ask_again: Option<Instant>,
    logged: Option<Instant>,
}

impl Breaker {
    /// Whether Redis may be asked now.
    pub(crate) fn closed(&self) -> bool {
        self.state
            .lock()
            .ask_again
            .is_none_or(|at| Instant::now() >= at)
    }

    pub(crate) fn succeeded(&self) {
        let mut state = self.state.lock();
        if let Some(since) = state.failing_since {
            tracing::info!(seconds = since.elapsed().as_secs(), "Redis answers again");
            *state = State::default();
        }
    }

    pub(crate) fn failed(&self, error: &dyn std::error::Error) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.failing_since.get_or_insert(now);
        state.ask_again = Some(now + PAUSE);
        if state
            .logged
            .is_none_or(|at| now.duration_since(at) >= REMINDER)
        {
            state.logged = Some(now);
            tracing::warn!(error = %error, "Redis does not answer; everything is computed anew meanwhile");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_redis_is_left_alone_until_it_answers() {
        let breaker = Breaker::default();
        assert!(breaker.closed());
        breaker.failed(&std::io::Error::other("refused"));
        assert!(!breaker.closed());
        breaker.succeeded();
        assert!(breaker.closed());
    }
}
