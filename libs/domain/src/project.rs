//! Projects: what an application may be made of.

pub mod deputy;
pub mod gate;
pub mod orphaned;
pub mod pattern;
pub mod validate;
pub mod window;

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::{Value, json};

use self::deputy::DestinationServiceAccount;
use self::orphaned::OrphanedResources;
use self::pattern::{Deniable, Pattern, Says};
use self::window::Window;
use crate::rbac::{ProjectPolicy, Role};
use crate::repository::judged_forms;
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
    /// When a field that the platform reads has the wrong shape, or there are more patterns than a project may have: one
    /// that was stored before they were counted may have them.
    pub fn rules(&self) -> Result<Rules, serde_json::Error> {
        validate::bounded(&self.spec).map_err(serde_json::Error::custom)?;
        Rules::deserialize(&self.spec)
    }
}

/// What a project permits. Absent and empty whitelists differ, as on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rules {
    /// Globs of repositories; `!` denies.
    #[serde(deserialize_with = "pattern::sources")]
    pub source_repos: Vec<Deniable>,
    /// Globs of destinations; `!` denies.
    pub destinations: Vec<AllowedDestination>,
    /// Cluster-scoped kinds; none when absent.
    pub cluster_resource_whitelist: Vec<Restriction>,
    /// Cluster-scoped kinds that are refused.
    pub cluster_resource_blacklist: Vec<Restriction>,
    /// Namespaced kinds; all when absent.
    pub namespace_resource_whitelist: Option<Vec<Kinds>>,
    /// Namespaced kinds that are refused.
    pub namespace_resource_blacklist: Vec<Kinds>,
    /// Keys that commits must be signed with; any when empty.
    pub signature_keys: Vec<SignatureKey>,
    /// Whether only clusters that belong to the project may be deployed to.
    pub permit_only_project_scoped_clusters: bool,
    /// When its applications may be synced.
    pub sync_windows: Vec<Window>,
    /// The accounts that its applications are synced as, where the tenant's settings say so.
    pub destination_service_accounts: Vec<DestinationServiceAccount>,
    /// Whether it watches for objects that no application has; absent where it does not.
    pub orphaned_resources: Option<OrphanedResources>,
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
    pub group: Pattern,
    /// Glob of the kind.
    pub kind: Pattern,
    /// Glob of the name; every one when empty.
    pub name: Pattern,
}

/// Namespaced objects of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Kinds {
    /// Glob of the group.
    #[serde(default)]
    pub group: Pattern,
    /// Glob of the kind.
    pub kind: Pattern,
}

/// One destination of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AllowedDestination {
    /// Glob of the cluster's address.
    pub server: Deniable,
    /// Glob of the cluster's name.
    pub name: Deniable,
    /// Glob of the namespace.
    pub namespace: Deniable,
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

impl Rules {
    /// Whether a repository may be used. A `*` stops at slashes, unless it is the whole pattern.
    #[must_use]
    pub fn permits_source(&self, url: &str) -> bool {
        judged_forms(url).is_some_and(|forms| self.says_of(&forms) == Says::Yes)
    }

    /// Whether a chart of a repository may be used. That of a registry is a repository of its own, which may be denied.
    #[must_use]
    pub fn permits_chart(&self, url: &str, chart: &str) -> bool {
        let registry = url.starts_with("oci://") || !url.contains("://");
        if chart.is_empty() || !registry {
            return self.permits_source(url);
        }
        let place = format!("{}/{chart}", url.trim().trim_end_matches('/'));
        let denied = |forms: Vec<String>| self.says_of(&forms) == Says::Denied;
        self.permits_source(url) && judged_forms(&place).is_some_and(|forms| !denied(forms))
    }

    fn says_of(&self, forms: &[String]) -> Says {
        let mut says = Says::No;
        for rule in &self.source_repos {
            let pattern = rule.pattern();
            match rule.denies() {
                // One that is no pattern was meant to deny something.
                true if forms.iter().any(|form| pattern.may_match(form)) => {
                    return Says::Denied;
                }
                false if !forms.iter().any(|form| pattern.matches(form)) => {}
                _ => says = Says::Yes,
            }
        }
        says
    }

    /// Whether a cluster of some project's (empty: of none) may be deployed to by one of that name, as far as it keeps to its
    /// own clusters. The shared cluster is no project's.
    #[must_use]
    pub fn permits_cluster_of(&self, owner: &str, project: &str) -> bool {
        !self.permit_only_project_scoped_clusters || owner == project
    }

    /// Whether a cluster and namespace may be deployed to; see also [`Rules::permits_cluster_of`].
    #[must_use]
    pub fn permits_destination(&self, server: &str, name: &str, namespace: &str) -> bool {
        let mut allowed = false;
        for rule in &self.destinations {
            let in_namespace = rule.namespace.says(namespace);
            // Whoever says only the name, or only the address, does not match by the other.
            let named = !name.is_empty() && rule.name.says(name) == Says::Yes;
            let addressed = !server.is_empty() && rule.server.says(server) == Says::Yes;
            if (named || addressed) && in_namespace == Says::Yes {
                allowed = true;
                continue;
            }
            let cluster_denied =
                (!named && rule.name.denies()) || (!addressed && rule.server.denies());
            if (cluster_denied && in_namespace == Says::Yes)
                || (in_namespace == Says::Denied && addressed)
            {
                return false;
            }
        }
        allowed
    }

    /// Whether a kind may be managed.
    #[must_use]
    pub fn permits_kind(&self, kind: &GroupKind, name: &str, namespaced: bool) -> bool {
        let GroupKind { group, kind } = kind;
        if namespaced {
            let mut refusals = self.namespace_resource_blacklist.iter();
            let permits = |rule: &Kinds| rule.group.matches(group) && rule.kind.matches(kind);
            !refusals.any(|rule| rule.group.may_match(group) && rule.kind.may_match(kind))
                && self
                    .namespace_resource_whitelist
                    .as_ref()
                    .is_none_or(|list| list.iter().any(permits))
        } else {
            let mut refusals = self.cluster_resource_blacklist.iter();
            !refusals.any(|rule| {
                rule.group.may_match(group)
                    && rule.kind.may_match(kind)
                    && (rule.name.is_empty() || rule.name.may_match(name))
            }) && self.cluster_resource_whitelist.iter().any(|rule| {
                rule.group.matches(group)
                    && rule.kind.matches(kind)
                    && (rule.name.is_empty() || rule.name.matches(name))
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_way_of_writing_an_address_leads_around_a_project() {
        let rules = |sources: &[&str]| -> Rules {
            serde_json::from_value(json!({"sourceRepos": sources})).unwrap()
        };
        let own = rules(&["https://git.example/team/*"]);
        assert!(own.permits_source("https://git.example/team/app.git"));
        let all_but = rules(&["https://git.example/**", "!https://git.example/secret/*"]);
        assert!(all_but.permits_source("https://me@git.example/team/app"));
        for secret in [
            r"https://git.example/team/..\secret/x",
            "https://git.example/team/../secret/x",
            "https://git.example/team/%2e%2e/secret/x",
            "https://git.example:443/secret/x",
            "https://me@git.example/secret/x",
            "https://git.example./secret/x",
            "https://git.example//secret/x",
            "https://git.example/%73ecret/x",
        ] {
            assert!(!own.permits_source(secret), "{secret}");
            assert!(!all_but.permits_source(secret), "{secret}");
        }
        let charts = rules(&["**", "!registry.example/secret/**"]);
        assert!(charts.permits_source("registry.example/team/x"));
        assert!(charts.permits_chart("registry.example", "team/x"));
        for secret in [
            "registry.example/secret/x",
            "oci://registry.example/secret/x",
            "OCI://Registry.Example/secret/x",
            "registry.example//secret/x",
            "registry.example:443/secret/x",
            "registry.example./secret/x",
        ] {
            assert!(!charts.permits_source(secret), "{secret}");
        }
        assert!(!charts.permits_chart("registry.example", "secret/x"));
        assert!(!charts.permits_chart("oci://registry.example/", "secret/x"));
        let named = rules(&["oci://registry.example/team/**"]);
        assert!(named.permits_source("registry.example/team/x"));
        assert!(!named.permits_source("https://registry.example/team/x"));
        assert!(!named.permits_source("registry.example/other"));
        let everything = rules(&["*"]);
        assert!(!everything.permits_source("https://git.example/team/../secret/x"));
    }

    #[test]
    fn a_denial_that_is_no_pattern_denies_everything() {
        let destination =
            |server: &str, namespace: &str| json!({"server": server, "namespace": namespace});
        let rules = |extra: Value| -> Rules {
            let mut spec = json!({
                "sourceRepos": ["**"],
                "destinations": [destination("*", "*")],
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            });
            for (key, value) in extra.as_object().unwrap() {
                match (&mut spec[key], value) {
                    (Value::Array(list), Value::Array(more)) => list.extend(more.iter().cloned()),
                    (place, value) => *place = value.clone(),
                }
            }
            serde_json::from_value(spec).unwrap()
        };
        assert!(rules(json!({})).permits_source("https://git.example/a"));
        assert!(
            !rules(json!({"sourceRepos": ["!https://git.example/{a"]}))
                .permits_source("https://git.example/a")
        );
        let goes = |rules: &Rules| rules.permits_destination("https://x", "x", "web");
        assert!(goes(&rules(json!({}))));
        assert!(!goes(&rules(
            json!({"destinations": [destination("!https://[", "*")]})
        )));
        assert!(!goes(&rules(
            json!({"destinations": [destination("*", "!{web")]})
        )));
        let kinds = |key: &str, namespaced| {
            let rules = rules(json!({key: [{"group": "*", "kind": "{Secret"}]}));
            rules.permits_kind(&GroupKind::new("", "ConfigMap"), "c", namespaced)
        };
        assert!(!kinds("namespaceResourceBlacklist", true));
        assert!(!kinds("clusterResourceBlacklist", false));
    }

    #[test]
    fn a_stored_project_with_too_many_patterns_is_read_and_says_so() {
        let project = |count: usize| Project {
            metadata: json!({"name": "p"}),
            spec: json!({"sourceRepos": (0..count).map(|n| format!("a-{n}")).collect::<Vec<_>>()}),
            resource_version: 1,
        };
        assert!(project(2_000).rules().is_ok());
        let why = project(2_001).rules().unwrap_err().to_string();
        assert!(
            why.starts_with("a project has at most 2000 patterns"),
            "{why}"
        );
    }

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
