//! Clusters that a tenant adds, and how to get into them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::application::{Destination, IN_CLUSTER_NAME, IN_CLUSTER_SERVER};
use crate::clock::Timestamp;
use crate::message::{self, Message};
use crate::repository::without_login;
use crate::secret::Secret;

/// The longest address.
const MAX_SERVER: usize = 2000;

/// A cluster as a tenant added it; what opens it is a [`Login`], kept apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Its address, without a slash at the end.
    pub server: String,
    /// Its name.
    pub name: String,
    /// The project it belongs to; empty for all.
    pub project: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// The namespaces to look at; empty for all.
    pub namespaces: Vec<String>,
    /// Whether cluster-scoped objects are looked at besides those namespaces.
    pub cluster_resources: bool,
    /// The slice that a client wants it in.
    pub shard: Option<i64>,
    /// What of its configuration everybody may see who may see it.
    pub shown: Shown,
    /// When somebody last asked for a fresh look.
    pub refresh_requested: Option<Timestamp>,
}

/// The part of a configuration that may be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Shown {
    /// Whether its certificate goes unchecked.
    pub insecure: bool,
    /// Whether answers come uncompressed.
    pub disable_compression: bool,
    /// The proxy on the way, without its login.
    pub proxy_url: String,
}

/// How to get into a cluster. It exists where a client's request is sealed, and in a controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// The login of basic authentication.
    pub username: String,
    /// Its password.
    pub password: Option<Secret>,
    /// A token.
    pub bearer_token: Option<Secret>,
    /// Whether the cluster's certificate goes unchecked.
    pub insecure: bool,
    /// The name that its certificate is for; empty for the address's.
    pub server_name: String,
    /// The authorities that its certificate may come from, PEM; empty for the public ones.
    pub ca: String,
    /// A client certificate, PEM.
    pub cert: String,
    /// Its key, PEM.
    pub key: Option<Secret>,
    /// Whether answers come uncompressed.
    pub disable_compression: bool,
    /// The proxy on the way, which may hold a login.
    pub proxy_url: Option<Secret>,
}

impl Cluster {
    /// Whether this is the cluster that the installation runs on, of which each tenant has its namespaces.
    #[must_use]
    pub fn is_in_cluster(&self) -> bool {
        is_in_cluster(&self.server) || self.name == IN_CLUSTER_NAME
    }

    /// A cluster as rights name it.
    #[must_use]
    pub fn object(&self) -> String {
        crate::rbac::object(&self.project, &self.server)
    }
}

impl Login {
    /// What of it may be shown.
    #[must_use]
    pub fn shown(&self) -> Shown {
        Shown {
            insecure: self.insecure,
            disable_compression: self.disable_compression,
            proxy_url: self
                .proxy_url
                .as_ref()
                .map(|url| without_login(url.expose_str()))
                .unwrap_or_default(),
        }
    }

    /// Everything in it that must never be seen.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        [
            &self.password,
            &self.bearer_token,
            &self.key,
            &self.proxy_url,
        ]
        .into_iter()
        .flatten()
    }

    /// Whether its parts go together.
    ///
    /// # Errors
    /// What is wrong, in the words of Kubernetes' clients.
    pub fn check(&self) -> Result<(), &'static str> {
        let parts = [&self.password, &self.bearer_token];
        let mut texts = parts.into_iter().flatten().map(Secret::expose_str);
        if self.insecure && !self.ca.is_empty() {
            Err("specifying a root certificates file with the insecure flag is not allowed")
        } else if self.cert.is_empty() != self.key.is_none() {
            Err("certificate and key go together: tlsClientConfig.certData and keyData")
        } else if texts.any(|text| text.chars().any(char::is_control)) {
            Err("a token or password holds a line break or another control character")
        } else {
            Ok(())
        }
    }
}

/// The cluster that a destination means, among those that a tenant has added. One that has both name and address means none.
#[must_use]
pub fn meant<'a>(destination: &Destination, added: &'a [Cluster]) -> Option<&'a Cluster> {
    let Destination { server, name, .. } = destination;
    let is_meant = |one: &&Cluster| match server.as_str() {
        "" => !name.is_empty() && one.name == *name,
        server => name.is_empty() && one.server == server.trim_end_matches('/'),
    };
    added
        .iter()
        .find(is_meant)
        .filter(|one| !one.is_in_cluster())
}

/// Whether an address means the cluster that the installation runs on.
#[must_use]
pub fn is_in_cluster(server: &str) -> bool {
    server.trim_end_matches('/') == IN_CLUSTER_SERVER
}

/// A cluster's address in the form in which it is kept.
///
/// # Errors
/// When it is no address of HTTP, or holds a login.
pub fn server(text: &str) -> Result<String, Message> {
    let trimmed = text.trim_end_matches('/');
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| trimmed.strip_prefix(scheme));
    let host = rest.and_then(|rest| rest.split('/').next());
    let good = host.is_some_and(|host| !host.is_empty() && !host.contains('@'))
        && trimmed.len() <= MAX_SERVER
        && !trimmed.contains(|c: char| c.is_control() || matches!(c, ' ' | '?' | '#'));
    if good {
        Ok(trimmed.to_owned())
    } else {
        let shown: String = without_login(trimmed).chars().take(200).collect();
        Err(message::credentials::CLUSTER_SERVER.with("server", shown.escape_debug()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_http_and_hold_no_login() {
        assert_eq!(
            server("https://k8s.example:6443/").as_deref(),
            Ok("https://k8s.example:6443")
        );
        for bad in [
            "",
            "k8s",
            "https://",
            "ftp://k8s",
            "https://a b",
            "https://a?x",
            "https://a\n",
        ] {
            assert!(server(bad).is_err(), "{bad}");
        }
        let refused = server("https://me:hunter2@k8s").unwrap_err().to_string();
        assert!(!refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn a_destination_means_a_cluster_by_address_or_name() {
        let added = [Cluster {
            server: "https://k8s.example:6443".into(),
            name: "prod".into(),
            ..Cluster::default()
        }];
        let to = |server: &str, name: &str| {
            let destination = Destination {
                server: server.into(),
                name: name.into(),
                namespace: "web".into(),
            };
            meant(&destination, &added).is_some()
        };
        assert!(to("https://k8s.example:6443/", "") && to("", "prod"));
        assert!(!to("", "") && !to("https://k8s.example:6443", "prod"));
        assert!(!to(IN_CLUSTER_SERVER, "") && !to("", IN_CLUSTER_NAME));
    }

    #[test]
    fn what_is_shown_holds_no_secret() {
        let login = Login {
            bearer_token: Some(Secret::from("t")),
            proxy_url: Some(Secret::from("http://u:p@proxy:1")),
            insecure: true,
            ..Login::default()
        };
        assert_eq!(login.shown().proxy_url, "http://proxy:1");
        assert_eq!(login.secrets().count(), 2);
        assert_eq!(login.check(), Ok(()));
        let both = Login {
            ca: "x".into(),
            ..login
        };
        assert!(both.check().is_err());
    }
}
