//! Which hosts are reached without the proxy: a repository's `noProxy`, read as Argo CD reads it.

use std::net::IpAddr;

use crate::egress::Network;

/// Whether a list of hosts, with commas between, says that this one is reached directly: names with all below them (`.x.y` and
/// `*.x.y` for those below alone), addresses, networks, each with a port where only that one is meant, and `*` for all.
#[must_use]
pub fn goes_directly(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_matches(['[', ']']).to_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let address: Option<IpAddr> = host.parse().ok();
    let entries = list.split(',').map(|entry| entry.trim().to_lowercase());
    entries.filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if entry.contains('/') {
            let network: Option<Network> = entry.parse().ok();
            return network
                .zip(address)
                .is_some_and(|(network, address)| network.has(address.to_canonical()));
        }
        let (name, only) = split(&entry);
        if only.is_some_and(|only| only != port.to_string()) {
            return false;
        }
        if let Ok(listed) = name.parse::<IpAddr>() {
            return address.is_some_and(|address| address.to_canonical() == listed.to_canonical());
        }
        if address.is_some() {
            return false;
        }
        let below = name.strip_prefix('*').unwrap_or(name);
        match below.strip_prefix('.') {
            Some("") | None if below.is_empty() => false,
            Some(parent) => is_below(host, parent),
            None => host == below || is_below(host, below),
        }
    })
}

fn is_below(host: &str, parent: &str) -> bool {
    let front = host.strip_suffix(parent);
    front.is_some_and(|front| front.len() > 1 && front.ends_with('.'))
}

/// The host of an entry, and the port that it names.
fn split(entry: &str) -> (&str, Option<&str>) {
    if let Some(rest) = entry.strip_prefix('[') {
        let (host, port) = rest.split_once(']').unwrap_or((rest, ""));
        return (host, port.strip_prefix(':'));
    }
    match entry.rsplit_once(':') {
        // Two colons are an address of IPv6.
        Some((host, port)) if !host.contains(':') => (host, Some(port)),
        _ => (entry, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_left_out_as_in_gos_rules() {
        for (list, host, port, directly) in [
            ("", "git.example", 443, false),
            ("*", "git.example", 443, true),
            ("git.example", "git.example", 443, true),
            ("GIT.example , other", "git.EXAMPLE", 443, true),
            ("git.example", "a.git.example", 443, true),
            ("git.example", "agit.example", 443, false),
            (".git.example", "git.example", 443, false),
            (".git.example", "a.git.example", 443, true),
            ("*.git.example", "a.git.example", 443, true),
            ("*.git.example", "git.example", 443, false),
            ("git.example:8443", "git.example", 443, false),
            ("git.example:8443", "git.example", 8443, true),
            ("10.0.0.0/8", "10.1.2.3", 443, true),
            ("10.0.0.0/8", "11.1.2.3", 443, false),
            ("10.0.0.0/8", "git.example", 443, false),
            ("10.1.2.3", "10.1.2.3", 443, true),
            ("10.1.2.3:80", "10.1.2.3", 443, false),
            ("fd00::/8", "[fd00::1]", 443, true),
            ("[fd00::1]:443", "fd00::1", 443, true),
            ("fd00::1", "fd00::1", 443, true),
            ("1.2.3", "4.1.2.3", 443, false),
            (".,:,[,*.", "git.example", 443, false),
        ] {
            assert_eq!(
                goes_directly(list, host, port),
                directly,
                "{list} {host}:{port}"
            );
        }
    }
}
