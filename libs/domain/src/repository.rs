//! Repositories and how to get in.

mod access;
mod dependency;
mod judged;
mod proxy;
mod rank;

pub use access::{Access, access, host_of, is_ssh};
pub use dependency::{Known, dependency};
use judged::decoded as percent_decoded;
pub use judged::{judged, judged_forms, judged_pattern};
pub use proxy::goes_directly;
pub use rank::rank;

use crate::secret::Secret;

/// Whether an address is that of an OCI artifact: what stands there is a registry's, whatever it is connected as.
#[must_use]
pub fn is_artifact(url: &str) -> bool {
    url.starts_with("oci://")
}

/// Whether a revision is the digest of an artifact, which can become no other.
#[must_use]
pub fn is_digest(revision: &str) -> bool {
    let hex = revision.strip_prefix("sha256:").unwrap_or_default();
    hex.len() == 64
        && hex
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The form in which two repository addresses are compared: lower case, no `.git` but in a registry, `ssh://` and scp-like
/// forms equal.
#[must_use]
pub fn normalize_url(url: &str) -> String {
    exact_url(&url.to_lowercase())
}

/// The same for whoever must not take one repository for another: a server may tell `/A` from `/a`, hence only scheme and
/// host are in lower case.
#[must_use]
pub fn exact_url(url: &str) -> String {
    let url = with_lower_host(url.trim());
    let url = url.strip_suffix('/').unwrap_or(&url);
    if is_artifact(url) {
        return url.to_owned();
    }
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

fn with_lower_host(url: &str) -> String {
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + 3));
    let ends: &[char] = match scheme {
        "" => &['/', ':'],
        _ => &['/'],
    };
    let (authority, path) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
    let (login, host) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    let (scheme, host) = (scheme.to_lowercase(), host.to_lowercase());
    format!("{scheme}{login}{host}{path}")
}

/// Where a repository is, however it is reached: host and path, without scheme, login and port, and without the `ssh.` in
/// front of the host under which some serve SSH. Two repositories may share a place: who is told of one looks at both.
#[must_use]
pub fn place(url: &str) -> String {
    let url = normalize_url(url);
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let served = ["altssh.", "ssh."].into_iter();
    let host = served
        .filter_map(|over| host.strip_prefix(over))
        .find(|host| host.contains('.'))
        .unwrap_or(host);
    let path = percent_decoded(path);
    // Azure DevOps has a path of its own for SSH.
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["v3", organisation, project, name] if host == "dev.azure.com" => {
            format!("{host}/{organisation}/{project}/_git/{name}")
        }
        _ => format!("{host}/{path}"),
    }
}

/// A text without the passwords of the addresses in it: `https://me:secret@host/a` is `https://me@host/a`. An address is
/// shown wherever an application is (answers, metrics, logs, the record), hence none with a password is kept.
#[must_use]
pub fn without_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after.find(['/', '?', '#', ' ']).unwrap_or(after.len());
        let (authority, behind) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((who, host)) => {
                shown.push_str(who.split(':').next().unwrap_or_default());
                shown.push('@');
                shown.push_str(host);
            }
            None => shown.push_str(authority),
        }
        rest = behind;
    }
    shown + rest
}

/// A repository as a tenant connected it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The address as written.
    pub url: String,
    /// `git`, `helm` or `oci`.
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
    /// How it is reached, besides.
    pub options: Options,
}

/// A login for every repository below an address that is connected without one of its own, or not connected at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// The address that theirs begin with, as written.
    pub url: String,
    /// `git`, `helm` or `oci`.
    pub kind: String,
    /// How to get in.
    pub credentials: Credentials,
    /// How they are reached, besides.
    pub options: Options,
}

/// How a repository is reached, besides the login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether a Helm repository is an OCI registry.
    pub enable_oci: bool,
    /// Whether an OCI registry is spoken to without TLS.
    pub insecure_oci_force_http: bool,
    /// Whether the login is sent with the first request.
    pub force_http_basic_auth: bool,
    /// The proxy on the way, which may hold a login.
    pub proxy: Option<Secret>,
    /// Which hosts are reached without it.
    pub no_proxy: String,
    /// How many commits are fetched; 0 for all.
    pub depth: i64,
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
    /// A GitHub App.
    pub github_app: GithubApp,
    /// The GitHub App's private key, PEM.
    pub github_app_key: Option<Secret>,
    /// A Google Cloud service account, JSON.
    pub gcp_key: Option<Secret>,
    /// Whether Azure's workload identity is used.
    pub azure_workload_identity: bool,
}

/// Which GitHub App, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GithubApp {
    /// Its number.
    pub id: i64,
    /// The number of its installation.
    pub installation: i64,
    /// The address of GitHub Enterprise's API; empty for github.com.
    pub enterprise_url: String,
}

impl Credentials {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Everything in it that must never be seen.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let Self {
            username: _,
            password,
            bearer_token,
            ssh_private_key,
            tls_client_cert: _,
            tls_client_key,
            github_app: _,
            github_app_key,
            gcp_key,
            azure_workload_identity: _,
        } = self;
        [
            password,
            bearer_token,
            ssh_private_key,
            tls_client_key,
            github_app_key,
            gcp_key,
        ]
        .into_iter()
        .flatten()
    }

    /// The first way in that is kept but not used yet, where there is no other: as clients name it.
    fn kept_only(&self) -> Option<&'static str> {
        let used = self.password.is_some()
            || self.bearer_token.is_some()
            || self.ssh_private_key.is_some()
            || self.tls_client_key.is_some()
            || self.github_app_key.is_some();
        let kept = [
            (self.gcp_key.is_some(), "gcpServiceAccountKey"),
            (self.azure_workload_identity, "useAzureWorkloadIdentity"),
        ];
        kept.into_iter()
            .find(|(given, _)| *given && !used)
            .map(|(_, field)| field)
    }
}

impl Options {
    /// The proxy without the login that its address may hold.
    #[must_use]
    pub fn shown_proxy(&self) -> String {
        self.proxy
            .as_ref()
            .map(|proxy| without_login(proxy.expose_str()))
            .unwrap_or_default()
    }
}

/// An address without the login in it.
#[must_use]
pub fn without_login(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            let host = authority
                .rsplit_once('@')
                .map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

/// What of a way into a repository is kept for later and not used yet, as clients name it: such a repository cannot be
/// tried.
#[must_use]
pub fn kept_only(kind: &str, credentials: &Credentials) -> Option<String> {
    match kind {
        "git" | "helm" | "oci" => {}
        other => return Some(format!("type {other}")),
    }
    credentials.kept_only().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_kept_is_named() {
        let google = Credentials {
            gcp_key: Some(Secret::from("k")),
            ..Credentials::default()
        };
        let both = Credentials {
            password: Some(Secret::from("p")),
            ..google.clone()
        };
        let app = Credentials {
            github_app_key: Some(Secret::from("k")),
            ..Credentials::default()
        };
        assert_eq!(
            kept_only("git", &google).as_deref(),
            Some("gcpServiceAccountKey")
        );
        assert_eq!(kept_only("git", &both), None);
        assert_eq!(kept_only("git", &app), None);
        assert_eq!(kept_only("oci", &both), None);
        assert_eq!(kept_only("svn", &both).as_deref(), Some("type svn"));
        assert_eq!(kept_only("helm", &both), None);
    }

    #[test]
    fn a_proxy_is_shown_without_its_login() {
        let options = Options {
            proxy: Some(Secret::from("http://me:hunter2@proxy:3128/x@y")),
            ..Options::default()
        };
        assert_eq!(options.shown_proxy(), "http://proxy:3128/x@y");
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (written, shown) in [
            ("https://me:hunter2@host:8/a.git", "https://me@host:8/a.git"),
            ("https://me:hunt@er2@host", "https://me@host"),
            (
                "team/ssh://me:hunter2@host/a?x=b@c",
                "team/ssh://me@host/a?x=b@c",
            ),
            ("https://host:8/a:b@c", "https://host:8/a:b@c"),
            ("git@host:a/b.git", "git@host:a/b.git"),
            ("https://me@host/a", "https://me@host/a"),
            ("no address", "no address"),
        ] {
            assert_eq!(without_passwords(written), shown);
        }
    }

    #[test]
    fn one_place_is_reached_in_many_ways() {
        for (page, others) in [
            (
                "https://git.example/team/app",
                [
                    "http://me@GIT.example:8080/team/app.git",
                    "git@git.example:team/app.git",
                    "ssh://git@ssh.git.example:7999/Team/App",
                ],
            ),
            (
                "https://org@dev.azure.com/org/My%20Project/_git/app",
                [
                    "git@ssh.dev.azure.com:v3/org/My%20Project/app",
                    "https://dev.azure.com/org/my project/_git/app",
                    "ssh://git@ssh.dev.azure.com/v3/org/My%20Project/app",
                ],
            ),
        ] {
            for other in others {
                assert_eq!(place(page), place(other), "{other}");
            }
            assert_eq!(place(&place(page)), place(page));
        }
        assert_ne!(
            place("https://git.example/a"),
            place("https://git.example/b")
        );
        assert_ne!(place("https://a.example/a"), place("https://b.example/a"));
        assert_eq!(place("https://ssh.example"), "ssh.example/");
        assert_eq!(place("%%%://@:/"), place("%%%://@:/"));
    }

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
        assert_ne!(
            normalize_url("oci://registry.example/a"),
            normalize_url("oci://registry.example/a.git")
        );
    }

    #[test]
    fn an_exact_address_keeps_the_case_of_its_path() {
        for (written, exact) in [
            (
                "HTTPS://Git.example/Team/App.git",
                "https://git.example/Team/App",
            ),
            (
                "https://Me@Git.example:8443/A/",
                "https://Me@git.example:8443/A",
            ),
            ("git@Git.example:Team/App.git", "git@git.example/Team/App"),
            (
                "ssh://git@Git.example:22/Team/App",
                "git@git.example/Team/App",
            ),
            ("OCI://Registry.example/A", "oci://registry.example/A"),
            ("Registry.example:5000/A", "registry.example:5000/A"),
        ] {
            assert_eq!(exact_url(written), exact);
            assert_eq!(normalize_url(written), normalize_url(exact), "{written}");
        }
    }

    #[test]
    fn a_digest_is_one_of_sha256_as_registries_write_it() {
        let hex = "0123456789abcdef".repeat(4);
        assert!(is_digest(&format!("sha256:{hex}")));
        for bad in [
            hex.clone(),
            format!("sha256:{}", &hex[1..]),
            format!("sha256:{}", hex.to_uppercase()),
            format!("sha512:{hex}{hex}"),
            String::new(),
        ] {
            assert!(!is_digest(&bad), "{bad}");
        }
    }
}
