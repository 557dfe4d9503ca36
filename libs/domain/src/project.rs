//! Projects: what an application may be made of.

use serde::Deserialize;
use serde_json::{Value, json};

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
    pub cluster_resource_whitelist: Vec<GroupKind>,
    /// Cluster-scoped kinds that are refused.
    pub cluster_resource_blacklist: Vec<GroupKind>,
    /// Namespaced kinds; all when absent.
    pub namespace_resource_whitelist: Option<Vec<GroupKind>>,
    /// Namespaced kinds that are refused.
    pub namespace_resource_blacklist: Vec<GroupKind>,
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

/// Argo CD's glob: `*` crosses every separator.
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    globset::GlobBuilder::new(pattern)
        .literal_separator(false)
        .build()
        .is_ok_and(|glob| glob.compile_matcher().is_match(text))
}

fn permitted<'a>(patterns: impl Iterator<Item = &'a str>, matches: impl Fn(&str) -> bool) -> bool {
    let mut allowed = false;
    for pattern in patterns {
        if let Some(denied) = pattern.strip_prefix('!') {
            if matches(denied) {
                return false;
            }
        } else if matches(pattern) {
            allowed = true;
        }
    }
    allowed
}

impl Rules {
    /// Whether a repository may be used.
    #[must_use]
    pub fn permits_source(&self, url: &str) -> bool {
        let url = crate::repository::normalize_url(url);
        permitted(self.source_repos.iter().map(String::as_str), |pattern| {
            pattern == "*" || glob(&crate::repository::normalize_url(pattern), &url)
        })
    }

    /// Whether a cluster and namespace may be deployed to.
    #[must_use]
    pub fn permits_destination(&self, server: &str, name: &str, namespace: &str) -> bool {
        let mut allowed = false;
        for rule in &self.destinations {
            let (deny_server, rule_server) = negated(&rule.server);
            let (deny_namespace, rule_namespace) = negated(&rule.namespace);
            let cluster = if rule.server.is_empty() {
                glob(&rule.name, name)
            } else {
                glob(rule_server, server)
            };
            if cluster && glob(rule_namespace, namespace) {
                if deny_server || deny_namespace {
                    return false;
                }
                allowed = true;
            }
        }
        allowed
    }

    /// Whether a kind may be managed.
    #[must_use]
    pub fn permits_kind(&self, kind: &GroupKind, namespaced: bool) -> bool {
        let matches =
            |rule: &GroupKind| glob(&rule.group, &kind.group) && glob(&rule.kind, &kind.kind);
        if namespaced {
            !self.namespace_resource_blacklist.iter().any(matches)
                && self
                    .namespace_resource_whitelist
                    .as_ref()
                    .is_none_or(|list| list.iter().any(matches))
        } else {
            !self.cluster_resource_blacklist.iter().any(matches)
                && self.cluster_resource_whitelist.iter().any(matches)
        }
    }
}

fn negated(pattern: &str) -> (bool, &str) {
    pattern
        .strip_prefix('!')
        .map_or((false, pattern), |rest| (true, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deny_wins_and_stars_cross_slashes() {
        let rules: Rules = serde_json::from_value(json!({
            "sourceRepos": ["https://git.example/*", "!https://git.example/secret/*"],
            "destinations": [{"server": "*", "namespace": "web-*"}, {"server": "*", "namespace": "!web-prod"}],
            "clusterResourceWhitelist": [{"group": "", "kind": "Namespace"}],
            "namespaceResourceWhitelist": [],
        }))
        .unwrap();
        assert!(rules.permits_source("https://git.example/a/b.git"));
        assert!(!rules.permits_source("https://git.example/secret/b"));
        assert!(rules.permits_destination("https://x", "x", "web-a"));
        assert!(!rules.permits_destination("https://x", "x", "web-prod"));
        assert!(rules.permits_kind(&GroupKind::new("", "Namespace"), false));
        assert!(
            !rules.permits_kind(&GroupKind::new("", "ConfigMap"), true),
            "an empty whitelist permits nothing"
        );
    }
}
