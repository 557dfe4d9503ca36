//! Paths and queries of the Kubernetes API. Every part is escaped: names come from manifests.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::discovery::ApiKind;

/// What may stand in a path segment or a query value as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

fn escape(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// The path of a kind's collection, in one namespace or over all when empty.
pub(crate) fn collection(kind: &ApiKind, namespace: &str) -> String {
    let mut path = if kind.group.is_empty() {
        format!("/api/{}", escape(&kind.version))
    } else {
        format!("/apis/{}/{}", escape(&kind.group), escape(&kind.version))
    };
    if kind.namespaced && !namespace.is_empty() {
        path.push_str("/namespaces/");
        path.push_str(&escape(namespace));
    }
    path.push('/');
    path.push_str(&escape(&kind.plural));
    path
}

/// The path of one object.
pub(crate) fn object(kind: &ApiKind, namespace: &str, name: &str) -> String {
    format!("{}/{}", collection(kind, namespace), escape(name))
}

/// A query that grows.
pub(crate) struct Query(String);

impl Query {
    pub(crate) fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.push_str(name);
        self.0.push('=');
        self.0.push_str(&escape(value));
        self
    }

    pub(crate) fn set_if(self, condition: bool, name: &str, value: &str) -> Self {
        if condition {
            self.set(name, value)
        } else {
            self
        }
    }

    pub(crate) fn build(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_inside_their_segment() {
        let kind = ApiKind {
            group: "apps".into(),
            version: "v1".into(),
            kind: "Deployment".into(),
            plural: "deployments".into(),
            namespaced: true,
            verbs: Vec::new(),
            status_apart: true,
        };
        assert_eq!(
            object(&kind, "web", "a"),
            "/apis/apps/v1/namespaces/web/deployments/a"
        );
        assert_eq!(
            object(&kind, "a/../b", "x?y=1"),
            "/apis/apps/v1/namespaces/a%2F..%2Fb/deployments/x%3Fy%3D1"
        );
        assert_eq!(
            Query::new("/x").set("a", "b&c").set("d", "e").build(),
            "/x?a=b%26c&d=e"
        );
    }
}
