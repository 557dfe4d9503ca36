//! The work that crosses tenants: finding one, making one, leases, the controller's batches, the change feed.
//!
//! Each method is one `SECURITY DEFINER` function of the schema; a service's role may call only those it needs.

pub mod audit;
pub mod feed;
pub mod leases;
pub mod operator;
pub mod publish;
pub mod tenants;
mod work;

use crate::connect::Store;

/// The work across tenants. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PlatformScope {
    pub(crate) store: Store,
}

impl PlatformScope {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }
}
