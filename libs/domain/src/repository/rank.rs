//! Which repo-server a mirror lives on.

use std::cmp::Reverse;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::normalize_url;

/// Rendezvous hashing: the places of the servers in the order in which a mirror prefers them, so that each mirror lives
/// in one place and only those of a server that goes move. Everybody who asks repo-servers asks in this order.
#[must_use]
pub fn rank<'a>(
    servers: impl Iterator<Item = &'a str>,
    tenant: &str,
    scope: &str,
    url: &str,
) -> Vec<usize> {
    let url = normalize_url(url);
    let mut scored: Vec<(u64, usize)> = servers
        .enumerate()
        .map(|(index, server)| (score(server, tenant, scope, &url), index))
        .collect();
    scored.sort_by_key(|(score, _)| Reverse(*score));
    scored.into_iter().map(|(_, index)| index).collect()
}

fn score(server: &str, tenant: &str, scope: &str, url: &str) -> u64 {
    // SipHash with its fixed keys: the same in every process of one build, and nobody's safety rests on it.
    let mut hasher = DefaultHasher::new();
    (server, tenant, scope, url).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_keeps_its_server_when_another_leaves() {
        let servers = ["https://a:1", "https://b:1", "https://c:1"];
        for n in 0..50 {
            let order = |servers: &[&str], url: &str| rank(servers.iter().copied(), "t", "", url);
            let all = order(&servers, &format!("https://git/{n}.git"));
            assert_eq!(
                all,
                order(&servers, &format!("https://GIT/{n}")),
                "however it is written"
            );
            let gone = (all[0] + 1) % 3;
            let rest: Vec<&str> = servers
                .into_iter()
                .enumerate()
                .filter(|(i, _)| *i != gone)
                .map(|(_, s)| s)
                .collect();
            let left = order(&rest, &format!("https://git/{n}.git"));
            assert_eq!(rest[left[0]], servers[all[0]]);
        }
    }
}
