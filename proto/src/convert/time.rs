//! Times: whole seconds on the wire, rounded down, so that two that are ordered stay ordered.

use chrono::DateTime;
use domain::clock::Timestamp;

use crate::k8s::meta::v1::Time;

/// A time for the wire.
#[must_use]
pub fn to_wire(at: Timestamp) -> Time {
    Time {
        seconds: Some(at.timestamp()),
        nanos: Some(0),
    }
}

/// A time from the wire; `None` for Go's zero time, which is the empty message.
#[must_use]
pub fn from_wire(time: &Time) -> Option<Timestamp> {
    DateTime::from_timestamp(time.seconds?, 0)
}
