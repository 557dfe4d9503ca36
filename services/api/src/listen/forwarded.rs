//! Where a request comes from: its peer, or who a trusted proxy says that it forwards for.

use std::net::IpAddr;
use std::sync::Arc;

use domain::egress::{Network, NotANetwork};
use http::{HeaderMap, HeaderName};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word counts. It decides the source alone, never host, scheme or tenant. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies(Arc<[Network]>);

impl Proxies {
    /// Those in these networks.
    ///
    /// # Errors
    /// The first that is none.
    pub(crate) fn parse(networks: &[String]) -> Result<Self, NotANetwork> {
        let networks: Result<Vec<_>, _> = networks.iter().map(|text| text.parse()).collect();
        networks.map(|networks| Self(networks.into()))
    }

    /// From whom a request comes whose connection is this peer's: behind a trusted proxy the right-most address that is no
    /// trusted proxy's, for what is left of that anybody can have written. The peer where there is none.
    pub(super) fn source(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusts(peer) {
            return peer;
        }
        let values: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
        let hops = values
            .iter()
            .rev()
            .flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
        for hop in hops {
            let text = std::str::from_utf8(hop).unwrap_or_default().trim();
            match text.parse() {
                Ok(address) if self.trusts(address) => {}
                Ok(address) => return address,
                Err(_) => return peer,
            }
        }
        peer
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.has(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rightmost_address_that_is_no_proxys_counts_and_only_from_a_proxy() {
        let proxies = ["10.0.0.0/8", "fd00::/64"].map(str::to_owned);
        let proxies = Proxies::parse(&proxies).unwrap();
        let of = |peer: &str, values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(FORWARDED_FOR, value.parse().unwrap());
            }
            let source = proxies.source(peer.parse().unwrap(), &headers);
            source.to_string()
        };
        assert_eq!(of("192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        for peer in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"] {
            assert_eq!(of(peer, &["198.51.100.1"]), "198.51.100.1");
            assert_eq!(of(peer, &["203.0.113.7, 198.51.100.1"]), "198.51.100.1");
            assert_eq!(of(peer, &["203.0.113.7", "2001:db8::1"]), "2001:db8::1");
            assert_eq!(of(peer, &["198.51.100.1,10.9.9.9 "]), "198.51.100.1");
            for none in [
                &["198.51.100.1, unknown"][..],
                &["198.51.100.1,"],
                &["10.9.9.9"],
                &[],
            ] {
                assert_eq!(of(peer, none), peer, "{none:?}");
            }
        }
        assert!(Proxies::parse(&["10.0.0.0/33".to_owned()]).is_err());
    }
}
