//! Large answers, a few at a time: so many of a tenant and so many of all, and whoever has more waits.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// How many are read at once, and of one tenant: there is a listing's whole size for each.
const ALL: usize = 8;
const OF_TENANT: usize = 2;

/// The places of large answers.
#[derive(Debug)]
pub(super) struct Large {
    all: Arc<Semaphore>,
    tenants: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A place, for as long as somebody has this.
#[derive(Debug)]
pub(super) struct Place {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Large {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(ALL)),
            tenants: Mutex::default(),
        }
    }
}

impl Large {
    /// Waits for a place: first among the tenant's own, so that one who has many waits for itself.
    pub(super) async fn place(&self, tenant: &str) -> Result<Place, Error> {
        let own = self.of(tenant).acquire_owned().await;
        let own = own.map_err(Error::internal)?;
        let all = Arc::clone(&self.all).acquire_owned().await;
        Ok(Place {
            _own: own,
            _all: all.map_err(Error::internal)?,
        })
    }

    fn of(&self, tenant: &str) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock();
        if let Some(places) = tenants.get(tenant).and_then(Weak::upgrade) {
            return places;
        }
        tenants.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(OF_TENANT));
        tenants.insert(tenant.to_owned(), Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_who_has_many_waits_for_itself_and_others_do_not() {
        let large = Large::default();
        let mut held = Vec::new();
        for _ in 0..OF_TENANT {
            held.push(large.place("a").await.unwrap());
        }
        let mut next = Box::pin(large.place("a"));
        assert!(futures::poll!(&mut next).is_pending());
        for tenant in ["b", "c", "d"] {
            for _ in 0..OF_TENANT {
                held.push(large.place(tenant).await.unwrap());
            }
        }
        assert_eq!(held.len(), ALL);
        let mut other = Box::pin(large.place("e"));
        assert!(
            futures::poll!(&mut other).is_pending(),
            "all have their own"
        );
        held.remove(0);
        // Who comes to the places of all first has one first.
        other.await.unwrap();
        next.await.unwrap();
        drop(held);
        drop(large.place("f").await.unwrap());
        assert_eq!(large.tenants.lock().len(), 1, "the others are forgotten");
    }
}
