//! How often somebody unknown may have us look something up: per source, and never at the cost of a tenant or of whoever is
//! known.
//!
//! A source is a stranger's until what it sends turns out to be somebody's: a call without a token that counts, a token
//! that nobody issued, a host that nobody has. Sources fall into a fixed number of baskets, so that a flood of them takes
//! no memory; what was somebody's of late passes by the bound, so that strangers behind the same address shut nobody out.

use std::borrow::Borrow;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use domain::message::{self, Message};
use domain::quota::{PerMinute, whole_seconds};
use domain::tenant::TenantId;
use parking_lot::Mutex;
use tonic::Status;

use crate::failure;
use crate::listen::sources;
use crate::ttl::TtlMap;

/// How many baskets sources fall into.
const BASKETS: u64 = 4_096;
/// How long what was somebody's is remembered.
const REMEMBERED: Duration = Duration::from_secs(3_600);
/// How much of it.
const MOST: usize = 20_000;

/// What strangers have taken of this minute. One per process.
#[derive(Debug)]
pub(crate) struct Strangers {
    allowed: u64,
    baskets: RandomState,
    taken: Mutex<PerMinute<u64>>,
}

/// A source has had all of its minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany {
    allowed: u64,
    /// After how long it may come again.
    pub(crate) wait: Duration,
}

impl TooMany {
    /// What the caller is told.
    pub(crate) fn message(self) -> Message {
        message::api::STRANGERS_REACHED
            .with("allowed", self.allowed)
            .with("seconds", whole_seconds(self.wait))
    }
}

impl From<TooMany> for Status {
    fn from(too_many: TooMany) -> Self {
        failure::come_again(&too_many.message(), too_many.wait)
    }
}

/// One of a source's minute, taken.
#[must_use]
pub(crate) struct Taken<'a> {
    strangers: &'a Strangers,
    basket: Option<u64>,
}

impl Taken<'_> {
    /// It was no stranger after all.
    pub(crate) fn give_back(self) {
        if let Some(basket) = self.basket {
            self.strangers.taken.lock().give_back(&basket);
        }
    }
}

impl Strangers {
    /// Nobody has come yet; each source may so often in a minute, 0 without limit.
    pub(crate) fn new(allowed: u64) -> Self {
        Self {
            allowed,
            baskets: RandomState::new(),
            taken: Mutex::new(PerMinute::new(BASKETS as usize)),
        }
    }

    /// Lets a source look for something that may be nobody's.
    ///
    /// # Errors
    /// When it did so too often in this minute.
    pub(crate) fn take(&self, source: Option<IpAddr>) -> Result<Taken<'_>, TooMany> {
        self.take_from(source.map(sources::of))
    }

    /// The same for what is one tenant's alone, such as webhooks: many tenants' come from one address, and what is wrong
    /// with one's is held against no other.
    ///
    /// # Errors
    /// When the source did so too often in this minute at this tenant.
    pub(crate) fn take_at(
        &self,
        tenant: TenantId,
        source: Option<IpAddr>,
    ) -> Result<Taken<'_>, TooMany> {
        self.take_from(source.map(|source| (tenant, sources::of(source))))
    }

    fn take_from(&self, who: Option<impl Hash>) -> Result<Taken<'_>, TooMany> {
        let basket = who.map(|who| self.baskets.hash_one(who) % BASKETS);
        if let Some(basket) = basket {
            let taken = self.taken.lock().take(basket, self.allowed, Instant::now());
            taken.map_err(|wait| TooMany {
                allowed: self.allowed,
                wait,
            })?;
        }
        Ok(Taken {
            strangers: self,
            basket,
        })
    }
}

/// What turned out to be somebody's of late.
#[derive(Debug)]
pub(crate) struct Recognised<K>(TtlMap<K, ()>);

impl<K: Eq + Hash + Clone> Recognised<K> {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self(TtlMap::new(REMEMBERED, MOST))
    }

    /// Whether it was somebody's of late.
    pub(crate) fn knows<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.get(key).is_some()
    }

    /// Remembers it.
    pub(crate) fn remember(&self, key: K) {
        self.0.put(key, ());
    }

    /// Forgets it: it is nobody's any more.
    pub(crate) fn forget(&self, key: &K) {
        self.0.forget(|known, ()| known == key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u32) -> Option<IpAddr> {
        Some(IpAddr::from(n.to_be_bytes()))
    }

    #[test]
    fn a_source_has_its_own_minute_and_what_was_somebodys_is_not_of_it() {
        let strangers = Strangers::new(10);
        for _ in 0..100 {
            strangers.take(ip(1)).unwrap().give_back();
        }
        for _ in 0..10 {
            let _ = strangers.take(ip(1)).unwrap();
        }
        let refused = strangers.take(ip(1)).err().unwrap();
        assert!(refused.wait <= Duration::from_secs(6), "{refused:?}");
        assert!(strangers.take(ip(2)).is_ok());
        assert!(strangers.take(None).is_ok());
    }

    #[test]
    fn a_flood_of_sources_takes_no_memory() {
        let strangers = Strangers::new(10);
        for n in 0..100_000 {
            let _ = strangers.take(ip(n));
        }
        assert!(strangers.taken.lock().len() <= 4_096);
        let one = |text: &str| {
            strangers
                .baskets
                .hash_one(sources::of(text.parse().unwrap()))
        };
        assert_eq!(one("2001:db8::1"), one("2001:db8::ffff"));
    }
}
