//! Which cluster a query means.

use domain::application::IN_CLUSTER_NAME;
use domain::cluster::{self, Cluster};
use proto::argocd::cluster as wire;

/// Which cluster a query means: by id, else by address, else by name; `None` when it names nothing.
pub(super) fn meant(query: wire::ClusterQuery) -> Option<Meant> {
    let (server, name) = match query.id {
        Some(id) => match id.r#type.as_str() {
            "name" => (String::new(), unescape(&id.value)),
            "name_escaped" => (String::new(), unescape(&unescape(&id.value))),
            _ => (unescape(&id.value), String::new()),
        },
        None => (query.server, query.name),
    };
    match (server.is_empty(), name.is_empty()) {
        (false, _) => Some(Meant::Server(server)),
        (true, false) => Some(Meant::Name(name)),
        (true, true) => None,
    }
}

/// A cluster by its address or by its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meant {
    Server(String),
    Name(String),
}

impl Meant {
    /// Whether it is the tenant's part of the shared one.
    pub(super) fn is_in_cluster(&self) -> bool {
        match self {
            Self::Server(server) => cluster::is_in_cluster(server),
            Self::Name(name) => name == IN_CLUSTER_NAME,
        }
    }

    /// Whether it is this one.
    pub(super) fn is(&self, cluster: &Cluster) -> bool {
        match self {
            Self::Server(server) => server.trim_end_matches('/') == cluster.server,
            Self::Name(name) => *name == cluster.name,
        }
    }
}

/// Go's `url.QueryUnescape`; what is not escaped well stays as it is.
pub(crate) fn unescape(text: &str) -> String {
    let spaced = text.replace('+', " ");
    match percent_encoding::percent_decode_str(&spaced).decode_utf8() {
        Ok(decoded) => decoded.into_owned(),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_means_one_cluster_or_none() {
        let by = |kind: &str, value: &str| wire::ClusterQuery {
            id: Some(wire::ClusterId {
                r#type: kind.into(),
                value: value.into(),
            }),
            server: "ignored".into(),
            ..Default::default()
        };
        assert_eq!(
            meant(by("", "https%3A%2F%2Fx")),
            Some(Meant::Server("https://x".into()))
        );
        assert_eq!(
            meant(by("name", "in-cluster")),
            Some(Meant::Name("in-cluster".into()))
        );
        assert_eq!(
            meant(by("name_escaped", "a%2520b")),
            Some(Meant::Name("a b".into()))
        );
        assert_eq!(meant(wire::ClusterQuery::default()), None);
        assert!(Meant::Server("https://kubernetes.default.svc/".into()).is_in_cluster());
        let added = Cluster {
            server: "https://x".into(),
            name: "a b".into(),
            ..Cluster::default()
        };
        assert!(Meant::Server("https://x/".into()).is(&added));
        assert!(Meant::Name("a b".into()).is(&added) && !Meant::Name("a".into()).is(&added));
    }
}
