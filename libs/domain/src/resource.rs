//! Names of things in a cluster.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A group and kind, the version left open. The core group is the empty string.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupKind {
    /// The API group; empty for the core group.
    #[serde(default)]
    pub group: String,
    /// The kind.
    pub kind: String,
}

impl GroupKind {
    /// Puts the two together.
    #[must_use]
    pub fn new(group: impl Into<String>, kind: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            kind: kind.into(),
        }
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            f.write_str(&self.kind)
        } else {
            write!(f, "{}/{}", self.group, self.kind)
        }
    }
}

/// One object of a cluster, whatever version it is read in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ResourceKey {
    /// The API group; empty for the core group.
    #[serde(default)]
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The namespace; empty for cluster-scoped objects.
    #[serde(default)]
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ResourceKey {
    /// Its group and kind.
    #[must_use]
    pub fn group_kind(&self) -> GroupKind {
        GroupKind::new(self.group.clone(), self.kind.clone())
    }

    /// The key of a namespace.
    #[must_use]
    pub fn of_namespace(name: &str) -> Self {
        Self {
            kind: "Namespace".to_owned(),
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// Whether it is that of a namespace.
    #[must_use]
    pub fn is_namespace(&self) -> bool {
        self.group.is_empty() && self.kind == "Namespace"
    }

    /// The key of a manifest or a live object, as its own metadata says. Missing parts are empty.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        let (group, _) = split_api_version(text(object, &["apiVersion"]));
        Self {
            group: group.to_owned(),
            kind: text(object, &["kind"]).to_owned(),
            namespace: text(object, &["metadata", "namespace"]).to_owned(),
            name: text(object, &["metadata", "name"]).to_owned(),
        }
    }
}

impl fmt::Display for ResourceKey {
    /// `apps/Deployment web/hello`, `Namespace web`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.group.is_empty() {
            write!(f, "{}/", self.group)?;
        }
        write!(f, "{} ", self.kind)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// `apps/v1` -> (`apps`, `v1`); `v1` -> (``, `v1`).
#[must_use]
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// Whether Kubernetes takes it as the name of an object: an RFC 1123 subdomain of at most 253 bytes, whose parts, unlike
/// those of a host, may be of any length.
#[must_use]
pub fn is_subdomain(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(inner)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(part)
}

/// The string at a path of an object, or the empty string.
#[must_use]
pub fn text<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    at(object, path).and_then(Value::as_str).unwrap_or_default()
}

/// The value at a path of an object.
#[must_use]
pub fn at<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, key| value.get(key))
}

/// Whether an object is on its way out. What is applied to it does not begin to run, and what runs does not come to its end.
#[must_use]
pub fn is_leaving(object: &Value) -> bool {
    !text(object, &["metadata", "deletionTimestamp"]).is_empty()
}

/// The conditions that an object's status says.
pub fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    let conditions = at(object, &["status", "conditions"]).and_then(Value::as_array);
    conditions.into_iter().flatten()
}

/// Whether a condition of an object says this word, such as `True`.
#[must_use]
pub fn says(object: &Value, condition: &str, word: &str) -> bool {
    conditions(object)
        .any(|said| text(said, &["type"]) == condition && text(said, &["status"]) == word)
}

/// An annotation of an object.
#[must_use]
pub fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    at(object, &["metadata", "annotations"])?
        .get(name)?
        .as_str()
}

/// The annotation that ties an object to its application: `<app>:<group>/<Kind>:<namespace>/<name>`.
///
/// The form is Argo CD's (`argocd.argoproj.io/tracking-id`), so that an object can change hands in either direction.
pub const TRACKING_ID: &str = "argocd.argoproj.io/tracking-id";

/// The annotation that ties an object to its tenant; its value is the tenant's name.
pub const INSTALLATION_ID: &str = "argocd.argoproj.io/installation-id";
/// The annotation that names the attempt which made a hook.
pub const HOOK_RUN: &str = "naru.io/hook-run";

/// The value of [`TRACKING_ID`] for an object of an application.
///
/// A cluster-scoped object carries the application's destination namespace, as in Argo CD.
#[must_use]
pub fn tracking_id(app: &str, key: &ResourceKey, destination_namespace: &str) -> String {
    let namespace = if key.namespace.is_empty() {
        destination_namespace
    } else {
        &key.namespace
    };
    format!("{app}:{}/{}:{namespace}/{}", key.group, key.kind, key.name)
}

/// The application that a tracking id names, if the id matches the object that carries it.
///
/// An id copied along with an object to another name or namespace matches nothing, so a copy is nobody's.
#[must_use]
pub fn tracked_by<'a>(tracking_id: &'a str, key: &ResourceKey) -> Option<&'a str> {
    let (app, rest) = tracking_id.split_once(':')?;
    let (group_kind, name) = rest.rsplit_once(':')?;
    let (group, kind) = group_kind.split_once('/')?;
    let (namespace, name) = name.split_once('/')?;
    let same = group == key.group
        && kind == key.kind
        && name == key.name
        && (key.namespace.is_empty() || namespace == key.namespace);
    same.then_some(app)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> ResourceKey {
        ResourceKey {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: "web".into(),
            name: "a".into(),
        }
    }

    #[test]
    fn a_tracking_id_names_its_app_only_on_the_object_it_was_made_for() {
        let id = tracking_id("hello", &deployment(), "other");
        assert_eq!(id, "hello:apps/Deployment:web/a");
        assert_eq!(tracked_by(&id, &deployment()), Some("hello"));
        assert_eq!(
            tracked_by(
                &id,
                &ResourceKey {
                    name: "b".into(),
                    ..deployment()
                }
            ),
            None
        );
        assert_eq!(tracked_by("nonsense", &deployment()), None);
    }

    #[test]
    fn a_cluster_scoped_object_carries_the_destination_namespace() {
        let key = ResourceKey::of_namespace("x");
        let id = tracking_id("hello", &key, "web");
        assert_eq!(id, "hello:/Namespace:web/x");
        assert_eq!(tracked_by(&id, &key), Some("hello"));
    }
}
