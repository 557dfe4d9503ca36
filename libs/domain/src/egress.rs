//! Where the platform connects to on a tenant's word: to repositories and to clusters that tenants have added.
//!
//! Whoever connects resolves a name once, judges the addresses here, and connects to one of those: what the name says a
//! moment later changes nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

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

    /// Whether an address is in it; one of IPv4 is in no network of IPv6, however it is written.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
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

/// Where nothing of a tenant's is: this machine, this link (and the metadata of every cloud), nobody and everybody.
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
    // A translator's own network, where each installation says where in it the address of IPv4 is (RFC 8215).
    Network {
        address: IpAddr::V6(Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0)),
        bits: 48,
    },
];

/// The addresses that may be connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// Allowed, whatever else says no: a Git server or a cluster beside the platform, say.
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
}

/// The address of IPv4 inside one of IPv6: 6to4, NAT64, SIIT, Teredo (whose client's address is written inverted).
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
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => {
            v4(high, low)
        }
        [0x2001, 0, _, _, _, _, high, low] => v4(!high, !low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(egress: &Egress, address: &str) -> bool {
        egress.allows(address.parse().unwrap())
    }

    #[test]
    fn s13_nothing_of_a_tenant_is_on_this_machine_this_link_or_in_a_clouds_metadata() {
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
            "64:ff9b:1::a9fe:a9fe",
            "64:ff9b:1:a9fe:a9:fe00::",
            "::ffff:0:169.254.169.254",
            "::ffff:0:127.0.0.1",
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
}
