//! What only a few may do at once: so many of a tenant and so many of all, and whoever has more waits.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use domain::message;
use parking_lot::Mutex;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::access::Access;
use crate::error::{Error, Kind};

/// How long somebody waits. With what the server may take besides it is less than who asks for a listing waits, a minute; and
/// a server whose answer is not read on meanwhile does not give up so soon.
const WAIT: Duration = Duration::from_secs(30);

/// Places, a share of them for each tenant.
#[derive(Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    of_tenant: usize,
    tenants: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A place, for as long as somebody has this.
#[derive(Debug)]
pub(super) struct Place {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(all: usize, of_tenant: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            of_tenant,
            tenants: Mutex::default(),
        }
    }

    /// Waits for a place: first among the tenant's own, so that one who has many waits for itself.
    pub(super) async fn place(&self, access: &Access) -> Result<Place, Error> {
        let waiting = async {
            let own = self.of(access.tenant()).acquire_owned().await?;
            let all = Arc::clone(&self.all).acquire_owned().await?;
            Ok::<_, AcquireError>(Place {
                _own: own,
                _all: all,
            })
        };
        match tokio::time::timeout(WAIT, waiting).await {
            Ok(place) => place.map_err(Error::internal),
            Err(_) => Err(late(access, WAIT)),
        }
    }

    fn of(&self, tenant: &str) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock();
        if let Some(places) = tenants.get(tenant).and_then(Weak::upgrade) {
            return places;
        }
        tenants.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(self.of_tenant));
        tenants.insert(tenant.to_owned(), Arc::downgrade(&places));
        places
    }
}

/// That a repository did not answer in time.
pub(super) fn late(access: &Access, after: Duration) -> Error {
    let message = message::source::TIMEOUT
        .with("url", access.url())
        .with("seconds", after.as_secs());
    Error::new(Kind::Unreachable, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::{Login, Rules};

    fn of(tenant: &str) -> Access {
        let url = "https://git.example/a.git";
        Access::new(tenant, "", url, Login::default(), Rules::default()).unwrap()
    }

    #[tokio::test]
    async fn one_who_has_many_waits_for_itself_and_others_do_not() {
        let places = Places::new(8, 2);
        let mut held = Vec::new();
        for tenant in ["a", "b", "c", "d"].map(of) {
            for _ in 0..2 {
                held.push(places.place(&tenant).await.unwrap());
            }
        }
        let (own, others) = (of("a"), of("e"));
        let mut next = Box::pin(places.place(&own));
        assert!(futures::poll!(&mut next).is_pending());
        let mut other = Box::pin(places.place(&others));
        assert!(
            futures::poll!(&mut other).is_pending(),
            "all have their own"
        );
        held.remove(0);
        // Who comes to the places of all first has one first.
        held.push(other.await.unwrap());
        assert!(futures::poll!(&mut next).is_pending());
        held.remove(1);
        held.push(next.await.unwrap());
        drop(held);
        drop(places.place(&of("f")).await.unwrap());
        assert_eq!(places.tenants.lock().len(), 1, "the others are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_and_whoever_gave_up_has_no_place() {
        let places = Places::new(1, 1);
        let held = places.place(&of("a")).await.unwrap();
        let error = places.place(&of("b")).await.unwrap_err();
        assert_eq!(error.cause().message.code, "source.timeout");
        assert_eq!(error.kind(), Kind::Unreachable);
        drop(held);
        places.place(&of("b")).await.unwrap();
    }
}
