//! Which part of the work is this process's: a lease for each unit, and the gate that closes when it runs out.
//!
//! A unit is a cluster with all that is done there: the shared one, or one that a tenant has added. The controllers that
//! live divide them (`domain::shard`); with the shared cluster go the tenants' namespaces. Repositories are listed by
//! whoever has applications that follow them.

mod gate;
mod keeper;
mod term;

pub use gate::{Gate, MARGIN};
pub use keeper::Keeper;
pub use term::{AtWork, Shard, Term};
