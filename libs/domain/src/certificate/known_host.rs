//! One line of a `known_hosts` file.

use std::fmt;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

use super::is_host_name;

/// A host's public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownHost {
    /// The host, `[host]:port`, or a hashed name.
    pub host: String,
    /// `ssh-ed25519` and the like.
    pub kind: String,
    /// The key, base64, and whatever follows it on the line.
    pub data: String,
}

impl KnownHost {
    /// Reads a line; comments and what is no entry are `None`.
    pub(super) fn parse_line(line: &str) -> Option<Self> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let mut parts = line.splitn(3, ' ');
        let (host, kind, data) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            host: host.to_owned(),
            kind: kind.to_owned(),
            data: data.to_owned(),
        })
    }

    /// The SHA-256 of the key, base64 without padding; empty for what is no key.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.blob()
            .map(|blob| BASE64_STANDARD_NO_PAD.encode(Sha256::digest(blob)))
            .unwrap_or_default()
    }

    /// Whether the host is one, and the key is a key of its type. Its line must not become two.
    pub(super) fn check(&self) -> Result<(), String> {
        let host = match self
            .host
            .strip_prefix('[')
            .and_then(|rest| rest.rsplit_once("]:"))
        {
            Some((host, port)) if port.parse::<u16>().is_ok() => host,
            _ => &self.host,
        };
        let hashed = host.starts_with("|1|") && !host.contains(char::is_whitespace);
        if !hashed && !is_host_name(host) {
            return Err(format!("invalid hostname in request: {host}"));
        }
        let named = self.blob().is_some_and(|blob| {
            let length = blob
                .first_chunk::<4>()
                .map(|bytes| u32::from_be_bytes(*bytes) as usize);
            length.and_then(|length| blob.get(4..4 + length)) == Some(self.kind.as_bytes())
        });
        if named && !self.data.contains(char::is_control) {
            Ok(())
        } else {
            Err(format!(
                "the key for '{}' is not a public key of type '{}'",
                self.host, self.kind
            ))
        }
    }

    fn blob(&self) -> Option<Vec<u8>> {
        let key = self.data.split_whitespace().next()?;
        BASE64_STANDARD.decode(key).ok()
    }
}

impl fmt::Display for KnownHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.host, self.kind, self.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(host: &str, kind: &str, data: &str) -> KnownHost {
        KnownHost {
            host: host.into(),
            kind: kind.into(),
            data: data.into(),
        }
    }

    #[test]
    fn only_keys_of_their_type_pass() {
        let good = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
        assert_eq!(
            key("[git.example]:2222", "ssh-ed25519", good).check(),
            Ok(())
        );
        assert_eq!(key("::1", "ssh-ed25519", good).check(), Ok(()));
        for bad in [
            key("git.example", "ssh-rsa", good),
            key("git.example", "ssh-ed25519", "AAAA"),
            key("git.example", "ssh-ed25519", "?"),
            key("git.example evil", "ssh-ed25519", good),
            key(
                "git.example",
                "ssh-ed25519",
                &format!("{good}\nevil ssh-ed25519 {good}"),
            ),
        ] {
            assert!(bad.check().is_err(), "{bad}");
        }
        assert_eq!(KnownHost::parse_line("# h k d"), None);
        assert_eq!(KnownHost::parse_line("h k"), None);
        assert_eq!(
            KnownHost::parse_line(" h k d e "),
            Some(key("h", "k", "d e"))
        );
    }
}
