//! Projects: what an application may be made of.

pub mod validate;
pub mod window;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::glob::{glob, path_glob};
use crate::rbac::{ProjectPolicy, Role};
use crate::resource::GroupKind;

/// A project as stored: documents, as for applications.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// `metadata` as a Kubernetes ObjectMeta document.
    pub metadata: Value,
    /// `spec`, canonical JSON.
    pub spec: Value,
    /// The tenant's counter at the last write.
    pub resource_version: i64,
}

impl Project {
    /// The spec of the project `default`: everything, everywhere the tenant may go.
    #[must_use]
    pub fn default_spec() -> Value {
        json!({
            "sourceRepos": ["*"],
            "destinations": [{"namespace": "*", "server": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        crate::resource::text(&self.metadata, &["name"])
    }

    /// What its roles add to the tenant's policy. A role that cannot be read has no right.
    #[must_use]
    pub fn policy(&self) -> ProjectPolicy {
        policy_of(self.name(), &self.spec)
    }

    /// The typed view of its rules.
    ///
    /// # Errors
    /// When a field that the platform reads has the wrong shape.
    pub fn rules(&self) -> Result<Rules, serde_json::Error> {
        Rules::deserialize(&self.spec)
    }
}

/// What a project permits. Absent and empty whitelists differ, as on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rules {
    /// Globs of repositories; `!` denies.
    pub source_repos: Vec<String>,
    /// Globs of destinations; `!` denies.
    pub destinations: Vec<AllowedDestination>,
    /// Cluster-scoped kinds; none when absent.
    pub cluster_resource_whitelist: Vec<Restriction>,
    /// Cluster-scoped kinds that are refused.
    pub cluster_resource_blacklist: Vec<Restriction>,
    /// Namespaced kinds; all when absent.
    pub namespace_resource_whitelist: Option<Vec<GroupKind>>,
    /// Namespaced kinds that are refused.
    pub namespace_resource_blacklist: Vec<GroupKind>,
    /// Keys that commits must be signed with; any when empty.
    pub signature_keys: Vec<SignatureKey>,
    /// Whether only clusters that belong to the project may be deployed to.
    pub permit_only_project_scoped_clusters: bool,
}

/// A key that commits may be signed with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SignatureKey {
    /// Its id.
    #[serde(rename = "keyID")]
    pub key_id: String,
}

/// Cluster-scoped objects of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Restriction {
    /// Glob of the group.
    pub group: String,
    /// Glob of the kind.
    pub kind: String,
    /// Glob of the name; every one when empty.
    pub name: String,
}

/// One destination of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AllowedDestination {
    /// Glob of the cluster's address.
    pub server: String,
    /// Glob of the cluster's name.
    pub name: String,
    /// Glob of the namespace.
    pub namespace: String,
}

fn policy_of(project: &str, spec: &Value) -> ProjectPolicy {
    let texts = |role: &Value, key: &str| -> Vec<String> {
        role.get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|text| text.as_str().map(str::to_owned))
            .collect()
    };
    let unquoted = |group: String| match validate::unquoted(&group) {
        Some(inner) => inner.to_owned(),
        None => group,
    };
    let roles = spec.get("roles").and_then(Value::as_array);
    ProjectPolicy {
        project: project.to_owned(),
        roles: roles
            .into_iter()
            .flatten()
            .map(|role| Role {
                name: crate::resource::text(role, &["name"]).to_owned(),
                policies: texts(role, "policies"),
                groups: texts(role, "groups").into_iter().map(unquoted).collect(),
            })
            .collect(),
    }
}

/// Whether a pattern denies.
fn denies(pattern: &str) -> bool {
    pattern.starts_with('!')
}

/// Whether a pattern matches, where one with `!` before it matches what the rest does not.
fn matches(pattern: &str, text: &str, glob: fn(&str, &str) -> bool) -> bool {
    match pattern.strip_prefix('!') {
        Some(denied) => !glob(denied, text),
        None => glob(pattern, text),
    }
}

impl Rules {
    /// Whether a repository may be used. A `*` stops at slashes, unless it is the whole pattern.
    #[must_use]
    pub fn permits_source(&self, url: &str) -> bool {
        let url = crate::repository::normalize_url(url);
        let mut allowed = false;
        for pattern in &self.source_repos {
            let normal = match pattern.strip_prefix('!') {
                Some(denied) => format!("!{}", crate::repository::normalize_url(denied)),
                None if pattern == "*" => pattern.clone(),
                None => crate::repository::normalize_url(pattern),
            };
            if matches(&normal, &url, path_glob) {
                allowed = true;
            } else if denies(&normal) {
                return false;
            }
        }
        allowed
    }

    /// Whether a cluster and namespace may be deployed to. While only the shared cluster is deployed to, which is no
    /// project's own, a project that keeps to its own clusters permits none.
    #[must_use]
    pub fn permits_destination(&self, server: &str, name: &str, namespace: &str) -> bool {
        if self.permit_only_project_scoped_clusters {
            return false;
        }
        let mut allowed = false;
        for rule in &self.destinations {
            let by_name = !name.is_empty() && matches(&rule.name, name, glob);
            let by_server = !server.is_empty() && matches(&rule.server, server, glob);
            let in_namespace = matches(&rule.namespace, namespace, glob);
            if (by_name || by_server) && in_namespace {
                allowed = true;
                continue;
            }
            let cluster_denied =
                (!by_name && denies(&rule.name)) || (!by_server && denies(&rule.server));
            let namespace_denied = !in_namespace && denies(&rule.namespace);
            if (cluster_denied && in_namespace) || (namespace_denied && by_server) {
                return false;
            }
        }
        allowed
    }

    /// Whether a kind may be managed.
    #[must_use]
    pub fn permits_kind(&self, kind: &GroupKind, name: &str, namespaced: bool) -> bool {
        let matches =
            |rule: &GroupKind| glob(&rule.group, &kind.group) && glob(&rule.kind, &kind.kind);
        if namespaced {
            !self.namespace_resource_blacklist.iter().any(matches)
                && self
                    .namespace_resource_whitelist
                    .as_ref()
                    .is_none_or(|list| list.iter().any(matches))
        } else {
            let matches = |rule: &Restriction| {
                glob(&rule.group, &kind.group)
                    && glob(&rule.kind, &kind.kind)
                    && (rule.name.is_empty() || glob(&rule.name, name))
            };
            !self.cluster_resource_blacklist.iter().any(matches)
                && self.cluster_resource_whitelist.iter().any(matches)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deny_wins_and_stars_cross_slashes() {
        let rules: Rules = serde_json::from_value(json!({
            "sourceRepos": ["https://git.example/**", "!https://git.example/secret/*"],
            "destinations": [{"server": "*", "namespace": "web-*"}, {"server": "*", "namespace": "!web-prod"}],
            "clusterResourceWhitelist": [{"group": "", "kind": "Namespace"}, {"group": "", "kind": "PersistentVolume", "name": "a-*"}],
            "namespaceResourceWhitelist": [],
        }))
        .unwrap();
        assert!(rules.permits_source("https://git.example/a/b.git"));
        assert!(!rules.permits_source("https://git.example/secret/b"));
        assert!(rules.permits_destination("https://x", "x", "web-a"));
        assert!(!rules.permits_destination("https://x", "x", "web-prod"));
        assert!(rules.permits_kind(&GroupKind::new("", "Namespace"), "web", false));
        let volume = GroupKind::new("", "PersistentVolume");
        assert!(rules.permits_kind(&volume, "a-1", false));
        assert!(!rules.permits_kind(&volume, "b-1", false));
        assert!(
            !rules.permits_kind(&GroupKind::new("", "ConfigMap"), "c", true),
            "an empty whitelist permits nothing"
        );
    }
}
