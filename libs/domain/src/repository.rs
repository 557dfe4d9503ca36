//! Repositories and how to get in.

use crate::secret::Secret;

/// The form in which two repository addresses are compared: lower case, no `.git`, `ssh://` and scp-like forms equal.
#[must_use]
pub fn normalize_url(url: &str) -> String {
    let url = url.trim().to_lowercase();
    let url = url.strip_suffix('/').unwrap_or(&url);
    let url = url.strip_suffix(".git").unwrap_or(url);
    if let Some(rest) = url.strip_prefix("ssh://") {
        return rest.replacen(":22/", "/", 1);
    }
    if !url.contains("://")
        && let Some((host, path)) = url.split_once(':')
        && host.contains('@')
    {
        return format!("{host}/{}", path.trim_start_matches('/'));
    }
    url.to_owned()
}

/// A repository as a tenant connected it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The address as written.
    pub url: String,
    /// `git`; other types come with the rendering work.
    pub kind: String,
    /// A name for people.
    pub name: String,
    /// The project it belongs to; empty for all.
    pub project: String,
    /// How to get in.
    pub credentials: Credentials,
    /// Whether certificates and host keys go unchecked.
    pub insecure: bool,
    /// Whether large files are fetched.
    pub enable_lfs: bool,
}

/// How to get into a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The login.
    pub username: String,
    /// The password or token.
    pub password: Option<Secret>,
    /// A bearer token.
    pub bearer_token: Option<Secret>,
    /// A private key for SSH, PEM.
    pub ssh_private_key: Option<Secret>,
    /// A client certificate, PEM.
    pub tls_client_cert: String,
    /// Its key, PEM.
    pub tls_client_key: Option<Secret>,
}

impl Credentials {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_repository_compare_equal() {
        assert_eq!(
            normalize_url("https://Git.example/a/b.git"),
            normalize_url("https://git.example/a/b")
        );
        assert_eq!(
            normalize_url("git@git.example:a/b.git"),
            normalize_url("ssh://git@git.example/a/b")
        );
        assert_ne!(
            normalize_url("https://git.example/a/b"),
            normalize_url("https://git.example/a/c")
        );
    }
}
