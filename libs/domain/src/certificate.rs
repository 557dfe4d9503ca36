//! Whom a tenant trusts when it reaches for repositories: SSH host keys and TLS certificates.
//!
//! They are kept and changed as Argo CD's own objects are (`argocd-ssh-known-hosts-cm`, `argocd-tls-certs-cm`), and
//! refused in its words.

mod known_host;

use std::collections::BTreeMap;

use globset::GlobBuilder;

pub use known_host::KnownHost;

/// The most bytes that all host keys, or the certificates of one host, may have.
const MAX_BYTES: usize = 512 << 10;

/// What a tenant trusts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Host keys, in their order.
    pub known_hosts: Vec<KnownHost>,
    /// Certificates by host, PEM.
    pub tls: BTreeMap<String, String>,
}

/// A certificate or host key that somebody wants to be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A host key.
    Ssh(KnownHost),
    /// The certificates of a host, PEM, already known to be certificates.
    Https {
        /// The host.
        host: String,
        /// One or more certificates.
        pem: String,
    },
}

/// Which are meant; empty and `*` mean all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selector<'a> {
    /// A pattern of hosts, as of file names.
    pub host: &'a str,
    /// `ssh`, or `https` alias `tls`.
    pub kind: &'a str,
    /// The type of the key.
    pub sub_kind: &'a str,
}

impl Trust {
    /// What a tenant trusts that has not said otherwise: the keys that the great Git hosts publish.
    #[must_use]
    pub fn defaults() -> Self {
        let mut trust = Self::default();
        trust.set_known_hosts(include_str!("certificate/known_hosts"));
        trust
    }

    /// Takes the lines of a `known_hosts` file; what is no entry is passed over.
    pub fn set_known_hosts(&mut self, text: &str) {
        self.known_hosts = text.lines().filter_map(KnownHost::parse_line).collect();
    }

    /// The lines of a `known_hosts` file.
    #[must_use]
    pub fn known_hosts_text(&self) -> String {
        self.known_hosts
            .iter()
            .map(|entry| format!("{entry}\n"))
            .collect()
    }

    /// Trusts some more; those that were not trusted as they are. One that stands already and differs is replaced
    /// with `upsert` only. Nothing is changed when one of them is refused.
    ///
    /// # Errors
    /// The reason, in Argo CD's words.
    pub fn add(&mut self, entries: Vec<Entry>, upsert: bool) -> Result<Vec<Entry>, String> {
        let mut next = self.clone();
        let mut added = Vec::new();
        for entry in entries {
            let changed = match &entry {
                Entry::Ssh(key) => next.add_key(key, upsert)?,
                Entry::Https { host, pem } => next.add_certificates(host, pem, upsert)?,
            };
            if changed {
                added.push(entry);
            }
        }
        let too_large = next.known_hosts_text().len() > MAX_BYTES
            || next.tls.values().map(String::len).sum::<usize>() > MAX_BYTES;
        if too_large {
            return Err(format!(
                "all host keys together, and all certificates together, may have {MAX_BYTES} bytes"
            ));
        }
        *self = next;
        Ok(added)
    }

    fn add_key(&mut self, key: &KnownHost, upsert: bool) -> Result<bool, String> {
        key.check()?;
        let same = |known: &&mut KnownHost| known.host == key.host && known.kind == key.kind;
        match self.known_hosts.iter_mut().find(same) {
            Some(known) if known.data == key.data => Ok(false),
            Some(known) if upsert => {
                known.data.clone_from(&key.data);
                Ok(true)
            }
            Some(known) => Err(format!(
                "key for '{}' (subtype: '{}') already exists, and upsert was not specified",
                known.host, known.kind
            )),
            None => {
                self.known_hosts.push(key.clone());
                Ok(true)
            }
        }
    }

    fn add_certificates(&mut self, host: &str, pem: &str, upsert: bool) -> Result<bool, String> {
        if !is_host_name(host) {
            return Err(format!("invalid hostname in request: {host}"));
        }
        match self.tls.get(host) {
            Some(known) if known == pem => Ok(false),
            Some(_) if !upsert => Err(format!(
                "TLS certificate for server '{host}' already exists, and upsert was not specified"
            )),
            Some(_) | None => {
                self.tls.insert(host.to_owned(), pem.to_owned());
                Ok(true)
            }
        }
    }

    /// Those that are meant, in their order.
    #[must_use]
    pub fn select(&self, selector: &Selector<'_>) -> Vec<Entry> {
        let keys = self
            .known_hosts
            .iter()
            .filter(|key| selector.means_key(key))
            .map(|key| Entry::Ssh(key.clone()));
        let certificates = self
            .tls
            .iter()
            .filter(|(host, _)| selector.means_certificate(host))
            .map(|(host, pem)| Entry::Https {
                host: host.clone(),
                pem: pem.clone(),
            });
        keys.chain(certificates).collect()
    }

    /// Trusts those that are meant no longer; which they were.
    pub fn remove(&mut self, selector: &Selector<'_>) -> Vec<Entry> {
        let removed = self.select(selector);
        self.known_hosts.retain(|key| !selector.means_key(key));
        self.tls.retain(|host, _| !selector.means_certificate(host));
        removed
    }
}

impl Selector<'_> {
    fn means_key(&self, key: &KnownHost) -> bool {
        matches!(self.kind, "" | "*" | "ssh")
            && matches_host(self.host, &key.host)
            && (matches!(self.sub_kind, "" | "*") || self.sub_kind == key.kind)
    }

    fn means_certificate(&self, host: &str) -> bool {
        matches!(self.kind, "" | "*" | "https" | "tls") && matches_host(self.host, host)
    }
}

/// As file names are matched; a pattern that is none matches nothing.
fn matches_host(pattern: &str, host: &str) -> bool {
    pattern.is_empty()
        || GlobBuilder::new(pattern)
            .literal_separator(true)
            .build()
            .is_ok_and(|glob| glob.compile_matcher().is_match(host))
}

/// Whether a text names one host: a name or an address.
fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let v6 = text.trim_start_matches('[').trim_end_matches(']');
    text.len() <= 253 && text.split('.').all(label) || v6.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    const OTHER: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAfuCHKVTjquxvt6CM6tdG4SLp1Btn/nOeHHE5UOzRdf";

    fn key(host: &str, data: &str) -> Entry {
        Entry::Ssh(KnownHost {
            host: host.into(),
            kind: "ssh-ed25519".into(),
            data: data.into(),
        })
    }

    fn certificates(host: &str, pem: &str) -> Entry {
        Entry::Https {
            host: host.into(),
            pem: pem.into(),
        }
    }

    #[test]
    fn what_stands_already_is_replaced_with_upsert_only() {
        let mut trust = Trust::default();
        let first = key("git.example", KEY);
        assert_eq!(
            trust.add(vec![first.clone()], false),
            Ok(vec![first.clone()])
        );
        assert_eq!(trust.add(vec![first], false), Ok(vec![]), "the same again");
        let refused = trust.add(
            vec![certificates("h", "A"), key("git.example", OTHER)],
            false,
        );
        assert_eq!(
            refused.unwrap_err(),
            "key for 'git.example' (subtype: 'ssh-ed25519') already exists, and upsert was not specified"
        );
        assert!(trust.tls.is_empty(), "all or nothing");
        assert_eq!(
            trust
                .add(vec![key("git.example", OTHER)], true)
                .unwrap()
                .len(),
            1
        );
        assert_eq!(
            trust.known_hosts_text(),
            format!("git.example ssh-ed25519 {OTHER}\n")
        );
        trust.add(vec![certificates("h", "A")], false).unwrap();
        assert_eq!(
            trust.add(vec![certificates("h", "B")], false).unwrap_err(),
            "TLS certificate for server 'h' already exists, and upsert was not specified"
        );
        assert_eq!(
            trust
                .add(vec![certificates("h h", "B")], false)
                .unwrap_err(),
            "invalid hostname in request: h h"
        );
    }

    #[test]
    fn those_that_are_meant_are_removed() {
        let mut trust = Trust::default();
        let entries = vec![
            key("a.example", KEY),
            key("b.example", KEY),
            certificates("a.example", "A"),
        ];
        trust.add(entries, false).unwrap();
        let means = |host, kind, sub_kind| Selector {
            host,
            kind,
            sub_kind,
        };
        assert_eq!(trust.select(&means("a.*", "", "")).len(), 2);
        assert_eq!(trust.select(&means("", "ssh", "*")).len(), 2);
        assert_eq!(trust.select(&means("", "ssh", "ssh-rsa")).len(), 0);
        assert_eq!(trust.select(&means("[", "", "")).len(), 0);
        assert_eq!(
            trust.remove(&means("*", "tls", "")),
            [certificates("a.example", "A")]
        );
        assert_eq!(trust.remove(&Selector::default()).len(), 2);
        assert_eq!(trust, Trust::default());
    }

    #[test]
    fn the_great_git_hosts_are_known_from_the_start() {
        let trust = Trust::defaults();
        let github = trust.select(&Selector {
            host: "github.com",
            kind: "ssh",
            sub_kind: "ssh-ed25519",
        });
        let [Entry::Ssh(key)] = github.as_slice() else {
            panic!("{github:?}")
        };
        // As GitHub publishes it.
        assert_eq!(
            key.fingerprint(),
            "+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
        );
        assert!(trust.known_hosts.iter().all(|key| key.check().is_ok()));
    }
}
