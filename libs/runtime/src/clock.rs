//! The real clock and the real source of identifiers; the only place that asks the machine for either.

use domain::clock::{Clock, IdSource, Timestamp};
use uuid::Uuid;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one clock that reads the machine's"
    )]
    fn now(&self) -> Timestamp {
        chrono::Utc::now()
    }
}

/// Random identifiers (UUID version 4).
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one source of identifiers"
    )]
    fn id(&self) -> Uuid {
        Uuid::new_v4()
    }
}
