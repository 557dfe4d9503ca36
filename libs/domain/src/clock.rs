//! Time and chance, as arguments.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// An instant, to the precision that the store keeps (microseconds).
pub type Timestamp = DateTime<Utc>;

/// Tells the time. The real one lives in `runtime`; tests move theirs by hand.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Makes identifiers. The real one lives in `runtime`.
pub trait IdSource: Send + Sync + 'static {
    /// A fresh identifier.
    fn id(&self) -> Uuid;
}
