//! How many connections each address holds, and all of them together: a bound that nobody can push others over.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use crowd::places::{Place, Places};

use crate::config::Limits;

/// The connections that are open now. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sources(Places<IpAddr>);

impl Sources {
    /// None yet.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self(Places::new(
            limits.connections_per_source,
            limits.connections,
        ))
    }

    /// A place for a connection from this address, if one is left.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Seat> {
        let place = self.0.enter(of(address)).ok()?;
        Some(Seat {
            _place: Arc::new(place),
        })
    }
}

/// The place of a connection, for as long as anybody has it: the connection, and what goes on over it when HTTP has ended
/// there. The listener puts it into every request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    _place: Arc<Place<IpAddr>>,
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
        let sources = Sources::new(&Limits {
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
        // What a connection became keeps its place.
        let upgraded = again.clone();
        drop((other, again));
        assert_eq!(sources.0.kinds(), 1);
        drop(upgraded);
        assert_eq!(sources.0.kinds(), 0);
    }
}
