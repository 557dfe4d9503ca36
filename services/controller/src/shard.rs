//! Which part of the work is this process's: the cluster's lease, and the gate that closes when it runs out.
//!
//! One work item for now: slice 0 of the shared cluster, and with it the polls of every repository.

mod gate;
mod lease;

pub use gate::{Gate, MARGIN};
pub use lease::{Keeper, Shard, Term};

/// The work item of the shared cluster.
pub const ITEM: &str = "cluster/shared/0";
