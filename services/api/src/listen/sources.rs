//! How many connections each address holds, and all of them together: a bound that nobody can push others over.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::Limits;

/// The connections that are open now. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sources {
    limits: Limits,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_source: HashMap<IpAddr, usize>,
}

/// One connection's place, given back when this is dropped.
pub(super) struct Place {
    open: Arc<Mutex<Open>>,
    source: IpAddr,
}

impl Sources {
    /// None yet.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            open: Arc::default(),
        }
    }

    /// A place for a connection from this address, if one is left.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Place> {
        let source = of(address);
        let mut open = self.open.lock();
        if open.all >= self.limits.connections {
            return None;
        }
        let held = open.by_source.entry(source).or_default();
        if *held >= self.limits.connections_per_source {
            return None;
        }
        *held += 1;
        open.all += 1;
        Some(Place {
            open: Arc::clone(&self.open),
            source,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        open.all = open.all.saturating_sub(1);
        if let Some(held) = open.by_source.get_mut(&self.source) {
            *held -= 1;
            if *held == 0 {
                open.by_source.remove(&self.source);
            }
        }
    }
}

/// Whom an address belongs to: one host, or the network that a host of IPv6 takes its addresses from.
pub(crate) fn of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_fills_its_own_share_and_gives_it_back() {
        let sources = Sources::new(Limits {
            connections: 3,
            connections_per_source: 2,
            ..Limits::default()
        });
        let at = |text: &str| sources.enter(text.parse().unwrap());
        let held = [at("192.0.2.1").unwrap(), at("::ffff:192.0.2.1").unwrap()];
        assert!(at("192.0.2.1").is_none(), "mapped into IPv6 it is the same");
        let other = at("2001:db8::1").unwrap();
        assert!(at("2001:db8::2").is_none(), "all together are bounded too");
        drop(held);
        let again = at("2001:db8::2").unwrap();
        assert!(
            at("2001:db8:0:0:ffff::3").is_none(),
            "a network is one source"
        );
        drop((other, again));
        assert!(sources.open.lock().by_source.is_empty());
    }
}
