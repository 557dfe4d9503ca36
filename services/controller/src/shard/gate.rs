//! The gate: whether a write to the cluster may start now.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::WriteGate;
use parking_lot::Mutex;

/// How long before the end of the lease no write starts, and how long after its end nobody else gets it.
///
/// A write to the cluster gives up within less than this time of its start, hence before the lease ends. The apiserver,
/// which counts from when the request arrived, gives up within as much again, hence before anybody else gets it.
pub const MARGIN: Duration = Duration::from_secs(1);

/// When writes may start, on this process's monotonic clock. Closed at first.
///
/// The clock goes on while the process is stopped (SIGSTOP): continued after another took over, it finds the gate
/// closed without asking anybody.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Mutex<Option<Instant>>>);

impl Gate {
    /// Opens it until a margin before the lease ends.
    pub fn hold_until(&self, lease_end: Instant) {
        *self.0.lock() = lease_end.checked_sub(MARGIN);
    }

    /// Closes it.
    pub fn close(&self) {
        *self.0.lock() = None;
    }

    /// Whether a write may start at `now`.
    #[must_use]
    pub fn open_at(&self, now: Instant) -> bool {
        self.0.lock().is_some_and(|until| now < until)
    }
}

impl WriteGate for Gate {
    fn may_write(&self) -> bool {
        self.open_at(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_write_starts_within_the_margin_of_the_leases_end() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let gate = Gate::default();
        assert!(!gate.open_at(start), "closed before the first lease");
        gate.hold_until(at(3000));
        assert!(gate.open_at(start) && gate.open_at(at(1999)));
        assert!(!gate.open_at(at(2000)), "a margin before the end");
        gate.hold_until(at(4000));
        assert!(gate.open_at(at(2999)), "a renewal moves the end");
        assert!(
            !gate.open_at(at(10_000)),
            "a process that was stopped finds it closed"
        );
        gate.close();
        assert!(!gate.open_at(start));
    }
}
