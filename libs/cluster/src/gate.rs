//! May this process still write to the cluster?

/// Asked before each write begins and again when its bytes are about to leave. The Kubernetes API knows no fencing, so the holder of a lease stops
/// itself: the answer is yes only while the monotonic clock is inside the lease's end minus a margin.
pub trait WriteGate: Send + Sync {
    /// Whether a write may start now.
    fn may_write(&self) -> bool;
}

/// For programs that are the only writer.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlwaysMayWrite;

impl WriteGate for AlwaysMayWrite {
    fn may_write(&self) -> bool {
        true
    }
}
