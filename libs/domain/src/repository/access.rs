//! Which login opens a repository: its own, else the nearest template's, else none.

use super::{Credentials, Options, Repository, Template, is_artifact, normalize_url};
use crate::certificate::Trust;

/// All that one request to a repo-server needs to get in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Names the credential by where it is kept, never by what it is: with the tenant, the key of the mirror. Empty
    /// where nothing opens the repository but its address.
    pub scope: String,
    /// What stands there, `git`, `helm` or `oci`; empty where nothing is connected.
    pub kind: String,
    /// How to get in.
    pub credentials: Credentials,
    /// How it is reached, besides.
    pub options: Options,
    /// Whether certificates and host keys go unchecked.
    pub insecure: bool,
    /// Whether the login is a template's.
    pub inherited: bool,
    /// The host keys that the tenant trusts, as in a `known_hosts` file; empty where the address is not of SSH.
    pub known_hosts: String,
    /// The certificates that the tenant trusts for the host, PEM; empty where the address is not of TLS.
    pub tls_ca: String,
}

/// How to get into the repository at an address: as it is connected, completed by the template whose address is the
/// longest that this one begins with, with the host keys and certificates that the tenant trusts for it.
///
/// Whoever asks repo-servers asks with this, so that all use one mirror.
#[must_use]
pub fn access(
    url: &str,
    connected: Option<&Repository>,
    templates: &[Template],
    trust: &Trust,
) -> Access {
    let mut access = Access::default();
    if let Some(repository) = connected {
        access.kind.clone_from(&repository.kind);
        access.credentials = repository.credentials.clone();
        access.options = repository.options.clone();
        access.insecure = repository.insecure;
        if has_login(&access.credentials) {
            access.scope = format!("{}/{}", repository.project, repository.url);
        }
    }
    if access.scope.is_empty()
        && let Some(template) = nearest(url, templates)
        && !template.credentials.is_empty()
    {
        access.credentials = template.credentials.clone();
        let (own, theirs) = (&mut access.options, &template.options);
        own.force_http_basic_auth |= theirs.force_http_basic_auth;
        own.enable_oci |= theirs.enable_oci;
        own.insecure_oci_force_http |= theirs.insecure_oci_force_http;
        if own.proxy.is_none() {
            own.proxy.clone_from(&theirs.proxy);
            own.no_proxy.clone_from(&theirs.no_proxy);
        }
        access.inherited = true;
        // No project is called `*`.
        access.scope = format!("*/{}", template.url);
    }
    if is_artifact(url) {
        "oci".clone_into(&mut access.kind);
    }
    if is_ssh(url) {
        access.known_hosts = trust.known_hosts_text();
    } else if !url.to_ascii_lowercase().starts_with("http://")
        && let Some(host) = host_of(url)
    {
        access.tls_ca = trust.tls.get(&host).cloned().unwrap_or_default();
    }
    access
}

fn has_login(credentials: &Credentials) -> bool {
    !credentials.username.is_empty()
        || !credentials.tls_client_cert.is_empty()
        || credentials.azure_workload_identity
        || credentials.secrets().next().is_some()
}

/// The template with the longest address that this one begins with.
///
/// A template's address names at least a whole host: `https://git.example` is not the beginning of
/// `https://git.example.attacker.test/x`, to which its password would go otherwise.
fn nearest<'a>(url: &str, templates: &'a [Template]) -> Option<&'a Template> {
    let url = normalize_url(url);
    templates
        .iter()
        .map(|template| (normalize_url(&template.url), template))
        .filter(|(prefix, _)| covers(prefix, &url))
        .max_by_key(|(prefix, _)| prefix.len())
        .map(|(_, template)| template)
}

pub(super) fn covers(prefix: &str, url: &str) -> bool {
    let Some(rest) = url.strip_prefix(prefix) else {
        return false;
    };
    let authority = |text: &str| {
        let start = text.find("://").map_or(0, |at| at + 3);
        text.get(start..)
            .map_or(start, |rest| start + rest.find('/').unwrap_or(rest.len()))
    };
    let host_ends = authority(url);
    // Either the prefix goes on behind the host, or it ends exactly with it.
    prefix.len() > host_ends
        || (prefix.len() == host_ends && (rest.is_empty() || rest.starts_with('/')))
}

/// Whether an address is reached over SSH: `ssh://…` or `user@host:path`.
#[must_use]
pub fn is_ssh(url: &str) -> bool {
    match url.split_once("://") {
        Some((scheme, _)) => scheme.eq_ignore_ascii_case("ssh"),
        None => url
            .split_once(':')
            .is_some_and(|(host, _)| host.contains('@')),
    }
}

/// The host of an address, lower case, without port.
#[must_use]
pub fn host_of(url: &str) -> Option<String> {
    let authority = match url.split_once("://") {
        Some((_, rest)) => rest.split(['/', '?', '#']).next()?,
        None if is_ssh(url) => url.split_once(':')?.0,
        // A registry's address has no scheme.
        None => url.split('/').next()?,
    };
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => host.split(':').next()?,
    };
    (!host.is_empty()).then(|| host.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn template(url: &str) -> Template {
        Template {
            url: url.to_owned(),
            kind: "git".to_owned(),
            credentials: Credentials {
                username: url.to_owned(),
                password: Some(Secret::from("p")),
                ..Credentials::default()
            },
            ..Template::default()
        }
    }

    fn used(url: &str, templates: &[&str]) -> String {
        let templates: Vec<Template> = templates.iter().map(|url| template(url)).collect();
        access(url, None, &templates, &Trust::default())
            .credentials
            .username
    }

    #[test]
    fn the_longest_template_is_used() {
        let templates = [
            "https://git.example",
            "https://git.example/team",
            "https://git.example/te",
        ];
        assert_eq!(
            used("https://git.example/team/a.git", &templates),
            templates[1]
        );
        assert_eq!(
            used("https://GIT.example/other/a", &templates),
            templates[0]
        );
        assert_eq!(used("https://git.example/tea/a", &templates), templates[2]);
        assert_eq!(
            used(
                "git@git.example:team/a.git",
                &["ssh://git@git.example/team"]
            ),
            "ssh://git@git.example/team"
        );
    }

    #[test]
    fn a_template_never_reaches_another_host() {
        let templates = [
            "https://git.example",
            "https://git.ex",
            "https://",
            "git@git.example",
        ];
        for url in [
            "https://git.example.attacker.test/team/a",
            "https://git.example:8443/team/a",
            "https://git.example@attacker.test/a",
            "git@git.example.attacker.test:a",
        ] {
            assert_eq!(used(url, &templates), "", "{url}");
        }
    }

    #[test]
    fn a_repository_with_a_login_of_its_own_inherits_none() {
        let own = Repository {
            url: "https://git.example/a".into(),
            kind: "git".into(),
            name: String::new(),
            project: "web".into(),
            credentials: Credentials {
                username: "own".into(),
                ..Credentials::default()
            },
            insecure: false,
            enable_lfs: false,
            options: Options::default(),
        };
        let templates = [template("https://git.example")];
        let found = access(&own.url, Some(&own), &templates, &Trust::default());
        assert_eq!(
            (found.credentials.username.as_str(), found.inherited),
            ("own", false)
        );
        assert_eq!(found.scope, "web/https://git.example/a");
        let bare = Repository {
            credentials: Credentials::default(),
            insecure: true,
            ..own
        };
        let found = access(&bare.url, Some(&bare), &templates, &Trust::default());
        assert!(found.inherited && found.insecure);
        assert_eq!(found.scope, "*/https://git.example");
        let found = access("https://elsewhere/a", None, &templates, &Trust::default());
        assert_eq!(found, Access::default());
    }

    #[test]
    fn only_the_trust_that_an_address_needs_travels() {
        let mut trust = Trust::default();
        trust.tls.insert("git.example".into(), "PEM".into());
        trust.set_known_hosts("git.example ssh-ed25519 AAAA");
        let ask = |url: &str| {
            let found = access(url, None, &[], &trust);
            (found.tls_ca, !found.known_hosts.is_empty())
        };
        assert_eq!(ask("https://git.example:8443/a"), ("PEM".into(), false));
        assert_eq!(ask("https://other.example/a"), (String::new(), false));
        assert_eq!(ask("git@git.example:a"), (String::new(), true));
        assert_eq!(ask("ssh://git@git.example:2222/a"), (String::new(), true));
        assert_eq!(ask("git.example:5000/charts"), ("PEM".into(), false));
        assert_eq!(ask("oci://git.example/charts"), ("PEM".into(), false));
        assert_eq!(ask("http://git.example/charts"), (String::new(), false));
        assert_eq!(host_of("https://me:p@[::1]:8443/a").as_deref(), Some("::1"));
    }
}
