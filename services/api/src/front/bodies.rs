//! How many bytes of requests' bodies are held at once: by one tenant, by strangers, and in all.
//!
//! Bytes are counted as they arrive and until their call has been carried out. What is counted are calls in flight, so that
//! the count itself stays as small as they are few.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::message::{self, Message};
use domain::tenant::TenantId;
use parking_lot::Mutex;

use crate::config::Limits;

/// How much of a body may come even where large ones have taken all that they may: whoever sends little is let in.
const BEGINNING: usize = 64 << 10;

/// Whose body it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// Somebody's whom a tenant knows.
    Tenant(TenantId),
    /// A stranger's, from this source.
    Stranger(IpAddr),
}

/// The bodies in flight. One per process.
pub(crate) struct Bodies {
    all: usize,
    patience: Duration,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    all: usize,
    strangers: usize,
    by: HashMap<Holder, usize>,
}

/// There is no room for more, of those who may hold this many bytes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full {
    most: usize,
}

impl Full {
    /// What the caller is told.
    pub(crate) fn message(self) -> Message {
        message::api::BODIES_FULL.with("limit", self.most)
    }
}

impl Bodies {
    /// None yet.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            all: limits.bodies_mib << 20,
            patience: Duration::from_secs(limits.body_seconds),
            held: Mutex::default(),
        }
    }

    /// How long a body may take to arrive, besides the time that its size is worth.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// A body that nothing has come of yet.
    pub(crate) fn open(self: &Arc<Self>, holder: Holder) -> Arc<Place> {
        Arc::new(Place {
            bodies: Arc::clone(self),
            holder,
            bytes: Mutex::new(0),
        })
    }

    /// How much one holder may hold, and strangers together.
    fn share(&self, holder: Holder) -> usize {
        match holder {
            // One tenant leaves room for others.
            Holder::Tenant(_) => self.all / 4 * 3,
            // A login is small; one source leaves room for others.
            Holder::Stranger(_) => self.strangers() / 4,
        }
    }

    fn strangers(&self) -> usize {
        self.all / 16
    }
}

/// What one body holds; given back when this is dropped.
pub(crate) struct Place {
    bodies: Arc<Bodies>,
    holder: Holder,
    bytes: Mutex<usize>,
}

impl Place {
    /// Counts so many more bytes.
    ///
    /// # Errors
    /// When its holder, or everybody together, holds too much already.
    pub(crate) fn grow(&self, more: usize) -> Result<(), Full> {
        let bodies = &self.bodies;
        let mut own = self.bytes.lock();
        let mut held = bodies.held.lock();
        let room = |used: usize, most: usize| match used + more <= most {
            true => Ok(()),
            false => Err(Full { most }),
        };
        let by = held.by.get(&self.holder).copied().unwrap_or_default();
        room(by, bodies.share(self.holder))?;
        let stranger = matches!(self.holder, Holder::Stranger(_));
        if stranger {
            room(held.strangers, bodies.strangers())?;
        }
        let most = match *own + more <= BEGINNING {
            true => bodies.all,
            false => bodies.all / 8 * 7,
        };
        room(held.all, most)?;
        *held.by.entry(self.holder).or_default() += more;
        held.all += more;
        if stranger {
            held.strangers += more;
        }
        *own += more;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let own = *self.bytes.lock();
        if own == 0 {
            return;
        }
        let mut held = self.bodies.held.lock();
        held.all -= own;
        if matches!(self.holder, Holder::Stranger(_)) {
            held.strangers -= own;
        }
        if let Some(by) = held.by.get_mut(&self.holder) {
            *by -= own;
            if *by == 0 {
                held.by.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn bodies(mib: usize) -> Arc<Bodies> {
        Arc::new(Bodies::new(&Limits {
            bodies_mib: mib,
            ..Limits::default()
        }))
    }

    fn tenant(n: u128) -> Holder {
        Holder::Tenant(TenantId(uuid::Uuid::from_u128(n)))
    }

    #[test]
    fn a_tenant_fills_its_own_share_and_gives_it_back() {
        let bodies = bodies(64);
        let (one, again) = (bodies.open(tenant(1)), bodies.open(tenant(1)));
        one.grow(40 * MIB).unwrap();
        assert_eq!(again.grow(9 * MIB), Err(Full { most: 48 * MIB }));
        again.grow(8 * MIB).unwrap();
        let other = bodies.open(tenant(2));
        assert_eq!(other.grow(9 * MIB), Err(Full { most: 56 * MIB }));
        other.grow(8 * MIB).unwrap();
        let small = bodies.open(tenant(3));
        small.grow(BEGINNING).unwrap();
        assert!(small.grow(1).is_err(), "what is large waits");
        drop((one, again));
        other.grow(30 * MIB).unwrap();
        drop((other, small));
        let held = bodies.held.lock();
        assert!(held.by.is_empty() && held.all == 0);
    }

    #[test]
    fn strangers_have_a_share_of_their_own_and_one_source_a_part_of_it() {
        let bodies = bodies(64);
        let at = |n: u32| bodies.open(Holder::Stranger(IpAddr::from(n.to_be_bytes())));
        let first = at(1);
        first.grow(MIB).unwrap();
        assert_eq!(at(1).grow(1), Err(Full { most: MIB }));
        let more: Vec<_> = (2..5).map(at).collect();
        for place in &more {
            place.grow(MIB).unwrap();
        }
        assert_eq!(at(9).grow(1), Err(Full { most: 4 * MIB }));
        bodies.open(tenant(1)).grow(40 * MIB).unwrap();
        drop((first, more));
        assert_eq!(bodies.held.lock().strangers, 0);
    }
}
