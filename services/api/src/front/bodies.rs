//! How many bytes of requests' bodies are held at once: by one tenant, by strangers, and in all.
//!
//! Bytes are counted as they arrive and until their call has been carried out. What is counted are calls in flight, so that
//! the count itself stays as small as they are few.
//!
//! Besides what is open to all of a kind, each kind has room that is kept for beginnings: where the open room is taken, the
//! first bytes of a body find a place there, and of one holder's no more than a few. Whoever sends little is let in,
//! whoever fills the rest.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::message::{self, Message};
use domain::tenant::TenantId;
use parking_lot::Mutex;

use crate::config::Limits;

/// How much of a body may come where the open room is taken.
const BEGINNING: usize = 64 << 10;
/// How much of a stranger's: a login is smaller.
const STRANGERS_BEGINNING: usize = 4 << 10;
/// How much of the beginnings one source may hold.
const BEGINNINGS_OF_SOURCE: usize = 64 << 10;

/// Whose body it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// Somebody's whom a tenant knows.
    Tenant(TenantId),
    /// A stranger's, from this source.
    Stranger(IpAddr),
    /// A webhook's from this source, whose signature is not checked yet.
    Webhook(IpAddr),
}

/// The bodies in flight. One per process.
pub(crate) struct Bodies {
    all: usize,
    patience: Duration,
    held: Mutex<Held>,
}

/// Bytes in the open room and in the one that is kept for beginnings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bytes {
    open: usize,
    kept: usize,
}

#[derive(Default)]
struct Held {
    tenants: Bytes,
    strangers: Bytes,
    webhooks: Bytes,
    by: HashMap<Holder, Bytes>,
}

impl Held {
    fn of_kind(&mut self, holder: Holder) -> &mut Bytes {
        match holder {
            Holder::Tenant(_) => &mut self.tenants,
            Holder::Stranger(_) => &mut self.strangers,
            Holder::Webhook(_) => &mut self.webhooks,
        }
    }
}

/// How much a kind of holders may hold.
struct Share {
    /// Each.
    one: Bytes,
    /// All of the kind together.
    together: Bytes,
    /// How much of one body counts as its beginning.
    beginning: usize,
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

/// Whether so many more find room.
fn room(used: usize, more: usize, most: usize) -> Result<(), Full> {
    match used.saturating_add(more) <= most {
        true => Ok(()),
        false => Err(Full { most }),
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
            own: Mutex::default(),
        })
    }

    /// Of 32 parts 26 are open to tenants, and to webhooks a few of these; 2 are strangers', and 2, 1 and 1 kept for the
    /// beginnings of each kind.
    fn share(&self, holder: Holder) -> Share {
        let part = self.all / 32;
        let source = BEGINNINGS_OF_SOURCE.min(part);
        let share = |one: (usize, usize), together: (usize, usize), beginning| Share {
            one: Bytes {
                open: one.0,
                kept: one.1,
            },
            together: Bytes {
                open: together.0,
                kept: together.1,
            },
            beginning,
        };
        match holder {
            // One tenant leaves room for others.
            Holder::Tenant(_) => share((part * 24, part / 4), (part * 26, part * 2), BEGINNING),
            // A login is small; one source leaves room for others.
            Holder::Stranger(_) => share((part / 2, source), (part * 2, part), STRANGERS_BEGINNING),
            // The largest that GitHub sends finds room.
            Holder::Webhook(_) => share((part * 3, part / 16), (part * 4, part), BEGINNING),
        }
    }

    /// Whether so many more of this holder's find open room.
    fn open_room(&self, held: &mut Held, holder: Holder, more: usize) -> Result<(), Full> {
        let share = self.share(holder);
        let by = held.by.get(&holder).copied().unwrap_or_default();
        room(by.open, more, share.one.open)?;
        room(held.of_kind(holder).open, more, share.together.open)?;
        match holder {
            Holder::Stranger(_) => Ok(()),
            // What webhooks hold is of the tenants' room.
            Holder::Tenant(_) | Holder::Webhook(_) => {
                let both = held.tenants.open + held.webhooks.open;
                room(both, more, self.all / 32 * 26)
            }
        }
    }

    /// Whether so many more of this holder's find room among the beginnings.
    fn kept_room(&self, held: &mut Held, holder: Holder, more: usize) -> bool {
        let share = self.share(holder);
        let by = held.by.get(&holder).copied().unwrap_or_default();
        room(by.kept, more, share.one.kept).is_ok()
            && room(held.of_kind(holder).kept, more, share.together.kept).is_ok()
    }
}

/// What one body holds; given back when this is dropped.
pub(crate) struct Place {
    bodies: Arc<Bodies>,
    holder: Holder,
    own: Mutex<Bytes>,
}

impl Place {
    /// Counts so many more bytes.
    ///
    /// # Errors
    /// When its holder, or all of its kind together, hold too much already.
    pub(crate) fn grow(&self, more: usize) -> Result<(), Full> {
        let (bodies, holder) = (&self.bodies, self.holder);
        let mut own = self.own.lock();
        let mut held = bodies.held.lock();
        let come = own.open + own.kept + more;
        let add = match bodies.open_room(&mut held, holder, more) {
            Ok(()) => Bytes {
                open: more,
                kept: 0,
            },
            Err(_)
                if come <= bodies.share(holder).beginning
                    && bodies.kept_room(&mut held, holder, more) =>
            {
                Bytes {
                    open: 0,
                    kept: more,
                }
            }
            Err(full) => return Err(full),
        };
        let held = &mut *held;
        for counted in [&mut *own, held.by.entry(holder).or_default()] {
            counted.open += add.open;
            counted.kept += add.kept;
        }
        let kind = held.of_kind(holder);
        kind.open += add.open;
        kind.kept += add.kept;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let own = *self.own.lock();
        if own == Bytes::default() {
            return;
        }
        let mut held = self.bodies.held.lock();
        let kind = held.of_kind(self.holder);
        kind.open -= own.open;
        kind.kept -= own.kept;
        if let Some(by) = held.by.get_mut(&self.holder) {
            by.open -= own.open;
            by.kept -= own.kept;
            if *by == Bytes::default() {
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

    fn ip(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn a_tenant_fills_its_own_share_and_gives_it_back() {
        let bodies = bodies(64);
        let (one, again) = (bodies.open(tenant(1)), bodies.open(tenant(1)));
        one.grow(40 * MIB).unwrap();
        assert_eq!(again.grow(9 * MIB), Err(Full { most: 48 * MIB }));
        again.grow(8 * MIB).unwrap();
        let other = bodies.open(tenant(2));
        assert_eq!(other.grow(5 * MIB), Err(Full { most: 52 * MIB }));
        other.grow(4 * MIB).unwrap();
        let small = bodies.open(tenant(3));
        small.grow(BEGINNING).unwrap();
        assert!(small.grow(1).is_err(), "what is large waits");
        drop((one, again));
        other.grow(30 * MIB).unwrap();
        drop((other, small));
        let held = bodies.held.lock();
        assert!(held.by.is_empty() && held.tenants == Bytes::default());
    }

    #[test]
    fn beginnings_of_one_tenant_leave_room_for_those_of_others() {
        let bodies = bodies(64);
        let large = [(1, 48 * MIB), (2, 4 * MIB)].map(|(n, size)| {
            let place = bodies.open(tenant(n));
            place.grow(size).unwrap();
            place
        });
        let begin = |n: u128| {
            let place = bodies.open(tenant(n));
            place.grow(BEGINNING).map(|()| place)
        };
        let begun: Vec<_> = (0..1_000).map_while(|_| begin(2).ok()).collect();
        assert_eq!(begun.len(), 8);
        let others: Vec<_> = (1_000..1_020).map(|n| begin(n).unwrap()).collect();
        let stranger = bodies.open(Holder::Stranger(ip(1)));
        stranger.grow(BEGINNING).unwrap();
        drop((large, begun, others, stranger));
        assert!(bodies.held.lock().by.is_empty());
    }

    #[test]
    fn strangers_have_a_share_of_their_own_and_one_source_a_part_of_it() {
        let bodies = bodies(64);
        let at = |n: u32| bodies.open(Holder::Stranger(ip(n)));
        let first = at(1);
        first.grow(MIB).unwrap();
        let large = STRANGERS_BEGINNING + 1;
        assert_eq!(at(1).grow(large), Err(Full { most: MIB }));
        let more: Vec<_> = (2..5).map(at).collect();
        for place in &more {
            place.grow(MIB).unwrap();
        }
        assert_eq!(at(9).grow(large), Err(Full { most: 4 * MIB }));
        // A login is let in all the same, and of one source a few.
        let login = |n: u32| {
            let place = at(n);
            place.grow(STRANGERS_BEGINNING).map(|()| place)
        };
        let begun: Vec<_> = (0..1_000).map_while(|_| login(1).ok()).collect();
        assert_eq!(begun.len(), 16);
        let other = login(9).unwrap();
        bodies.open(tenant(1)).grow(40 * MIB).unwrap();
        drop((first, more, begun, other));
        assert_eq!(bodies.held.lock().strangers, Bytes::default());
    }

    #[test]
    fn webhooks_hold_a_part_of_the_tenants_room_and_small_ones_come_at_any_time() {
        let bodies = bodies(64);
        let at = |n: u32| bodies.open(Holder::Webhook(ip(n)));
        let (first, second) = (at(1), at(2));
        first.grow(6 * MIB).unwrap();
        assert_eq!(at(1).grow(MIB), Err(Full { most: 6 * MIB }));
        second.grow(2 * MIB).unwrap();
        assert_eq!(at(3).grow(MIB), Err(Full { most: 8 * MIB }));
        at(3).grow(BEGINNING).unwrap();
        let tenants = [1, 2].map(|n| bodies.open(tenant(n)));
        tenants[0].grow(44 * MIB).unwrap();
        assert_eq!(tenants[1].grow(MIB), Err(Full { most: 52 * MIB }));
        drop((first, second));
        tenants[1].grow(8 * MIB).unwrap();
        assert_eq!(at(3).grow(MIB), Err(Full { most: 52 * MIB }));
        at(3).grow(BEGINNING).unwrap();
    }
}
