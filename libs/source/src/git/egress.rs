//! Where a repository may be: the addresses that a tenant's word may make us connect to.
//!
//! A name is resolved once, the addresses are judged, and the connection goes to one of those: what the name says a
//! moment later changes nothing. Redirects are not followed at all.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use domain::message;

use super::access::{Access, Scheme};
use crate::error::{Error, Kind};

/// A network: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Not a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a network such as 10.96.0.0/12")]
pub struct NotANetwork(String);

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = || NotANetwork(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().map_err(|_| wrong())?,
            None => most,
        };
        if bits > most {
            return Err(wrong());
        }
        Ok(Self { address, bits })
    }
}

impl Network {
    const fn v4(address: [u8; 4], bits: u8) -> Self {
        let [a, b, c, d] = address;
        Self {
            address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            bits,
        }
    }

    const fn v6(first: u16, second: u16, bits: u8) -> Self {
        Self {
            address: IpAddr::V6(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0)),
            bits,
        }
    }

    fn has(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                (own.to_bits() ^ other.to_bits()) & mask == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.bits))
                    .unwrap_or(0);
                (own.to_bits() ^ other.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

/// Where no repository is: this machine, this link (and the metadata of every cloud), nobody and everybody.
const NEVER: &[Network] = &[
    Network::v4([0, 0, 0, 0], 8),
    Network::v4([127, 0, 0, 0], 8),
    Network::v4([169, 254, 0, 0], 16),
    Network::v4([100, 100, 100, 200], 32),
    Network::v4([168, 63, 129, 16], 32),
    Network::v4([192, 0, 0, 0], 24),
    Network::v4([224, 0, 0, 0], 4),
    Network::v4([240, 0, 0, 0], 4),
    Network::v6(0, 0, 96),
    Network::v6(0xfe80, 0, 10),
    Network::v6(0xfec0, 0, 10),
    Network::v6(0xff00, 0, 8),
    Network::v6(0xfd00, 0x0ec2, 32),
];

/// The addresses that may be connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// Allowed, whatever else says no: a Git server beside the platform, say.
    pub allow: Vec<Network>,
    /// Refused besides those that always are: the cluster's pods and services, the platform's own parts.
    pub deny: Vec<Network>,
}

impl Egress {
    /// Whether an address may be connected to.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let within = |networks: &[Network]| networks.iter().any(|network| network.has(address));
        if within(&self.allow) {
            return true;
        }
        // An address of IPv6 that stands for one of IPv4 leads there.
        let inner = embedded(address).is_none_or(|inner| self.allows(inner));
        inner && !within(NEVER) && !within(&self.deny)
    }

    /// The addresses of a repository's host that may be connected to; none for a file.
    pub(super) async fn addresses(&self, access: &Access) -> Result<Vec<SocketAddr>, Error> {
        let Some((host, port)) = access.target() else {
            return Ok(Vec::new());
        };
        let unreachable = || {
            Error::new(
                Kind::Unreachable,
                message::source::UNREACHABLE.with("url", access.url()),
            )
        };
        let found = tokio::net::lookup_host((host.as_str(), port)).await;
        let found: Vec<SocketAddr> = found.map_err(|_| unreachable())?.collect();
        if found.is_empty() {
            return Err(unreachable());
        }
        let allowed: Vec<SocketAddr> = found
            .into_iter()
            .filter(|address| self.allows(address.ip()))
            .collect();
        if allowed.is_empty() {
            return Err(Error::new(
                Kind::Invalid,
                message::source::ADDRESS_NOT_ALLOWED.with("url", access.url()),
            ));
        }
        Ok(allowed)
    }
}

/// The address of IPv4 inside one of IPv6: 6to4, NAT64, Teredo (whose client's address is written inverted).
fn embedded(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(address) = address else {
        return None;
    };
    let v4 = |high: u16, low: u16| {
        Some(IpAddr::V4(Ipv4Addr::from_bits(
            (u32::from(high) << 16) | u32::from(low),
        )))
    };
    match address.segments() {
        [0x2002, high, low, ..] => v4(high, low),
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2001, 0, _, _, _, _, high, low] => v4(!high, !low),
        _ => None,
    }
}

/// Resolves names for connections made in process, to allowed addresses only.
pub(super) struct Resolver(pub(super) Arc<Egress>);

/// What the resolver says when a name leads nowhere that is allowed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the address is not allowed")]
pub(super) struct NotAllowed;

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver(…)")
    }
}

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let egress = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|address| egress.allows(address.ip()))
                .collect();
            if allowed.is_empty() {
                return Err(NotAllowed.into());
            }
            Ok(Box::new(allowed.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

impl Access {
    /// Host and port that are connected to; none for a file.
    pub(super) fn target(&self) -> Option<(String, u16)> {
        let usual = match self.scheme {
            Scheme::File => return None,
            Scheme::Http => 443,
            Scheme::Ssh => 22,
        };
        if let Ok(url) = url::Url::parse(&self.url)
            && self.url.contains("://")
        {
            let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
            return Some((host, url.port_or_known_default().unwrap_or(usual)));
        }
        // user@host:path
        let (host, _) = self.url.split_once(':')?;
        let (_, host) = host.split_once('@')?;
        Some((host.to_owned(), usual))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::{Login, Rules};

    fn allows(egress: &Egress, address: &str) -> bool {
        egress.allows(address.parse().unwrap())
    }

    #[test]
    fn s13_no_repository_is_on_this_machine_this_link_or_in_a_clouds_metadata() {
        let usual = Egress::default();
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::1",
            "2001:0:1:2:3:4:80ff:fffe",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            "224.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "168.63.129.16",
        ] {
            assert!(!allows(&usual, address), "{address}");
        }
        for address in ["192.0.2.1", "10.1.2.3", "2001:db8::1", "64:ff9b::c000:201"] {
            assert!(allows(&usual, address), "{address}");
        }
    }

    #[test]
    fn s13_the_installation_says_what_else_is_its_own_and_what_is_allowed_all_the_same() {
        let egress = Egress {
            allow: vec!["10.96.7.7".parse().unwrap(), "::1/128".parse().unwrap()],
            deny: vec![
                "10.96.0.0/12".parse().unwrap(),
                "fd12::/16".parse().unwrap(),
            ],
        };
        assert!(!allows(&egress, "10.100.0.1") && !allows(&egress, "fd12:1::1"));
        assert!(!allows(&egress, "::ffff:10.100.0.1") && !allows(&egress, "64:ff9b::a64:1"));
        assert!(allows(&egress, "10.96.7.7") && allows(&egress, "::1"));
        assert!(allows(&egress, "10.112.0.1"));
        for wrong in ["", "10.0.0.0/33", "::/129", "host", "10.0.0.0/x"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.has("203.0.113.9".parse().unwrap()));
    }

    #[tokio::test]
    async fn s13_however_an_address_is_written_it_is_the_resolved_one_that_counts() {
        let access = |url: &str| Access::new("t", "", url, Login::default(), Rules::default());
        for url in [
            "http://127.1/a",
            "http://2130706433/a",
            "http://0x7f.0.0.1/a",
            "http://[::ffff:7f00:1]:8080/a",
            "http://localhost/a",
            "ssh://git@127.0.0.1:2222/a",
            "git@localhost:a/b.git",
        ] {
            let access = access(url).unwrap();
            let refused = Egress::default().addresses(&access).await.unwrap_err();
            assert_eq!(
                refused.cause().message.code,
                "source.address-not-allowed",
                "{url}"
            );
        }
        let here = Egress {
            allow: vec!["127.0.0.0/8".parse().unwrap()],
            ..Egress::default()
        };
        let access = access("ssh://git@127.0.0.1:2222/a").unwrap();
        let found = here.addresses(&access).await.unwrap();
        assert_eq!(found, ["127.0.0.1:2222".parse().unwrap()]);
    }
}
