//! What a tenant's settings say about kinds, as the engine uses it: what comparisons leave out, and scripts.

use serde_json::Value as Json;

use super::{Config, yaml};
use crate::application::IgnoreDifference;
use crate::glob::glob;
use crate::resource::ResourceKey;

/// What a tenant's settings say about kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Customizations {
    /// What every comparison leaves out, besides what an application leaves out.
    pub ignore: Vec<IgnoreDifference>,
    /// The annotations of Secrets whose values nobody is shown.
    pub masked: Vec<String>,
    kinds: Vec<Kind>,
}

/// The scripts of one kind, or of those that a pattern names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Kind {
    /// `group/kind`, or the kind alone where it has no group.
    name: String,
    health: String,
    actions: Actions,
}

/// The actions that settings give a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// The script that says which of them an object has.
    pub discovery: String,
    /// Each action's name and script.
    pub scripts: Vec<(String, String)>,
    /// Whether the built-in ones stay beside them.
    pub merge_builtin: bool,
}

impl Customizations {
    /// The health script of an object's kind: a name goes before a pattern.
    #[must_use]
    pub fn health(&self, key: &ResourceKey) -> Option<&str> {
        let script = |kind: &Kind| !kind.health.is_empty();
        self.find(key, script).map(|kind| kind.health.as_str())
    }

    /// The actions of an object's kind.
    #[must_use]
    pub fn actions(&self, key: &ResourceKey) -> Option<&Actions> {
        let any =
            |kind: &Kind| !kind.actions.discovery.is_empty() || !kind.actions.scripts.is_empty();
        self.find(key, any).map(|kind| &kind.actions)
    }

    /// Whether there is a health script of any kind.
    #[must_use]
    pub fn check_health(&self) -> bool {
        self.kinds.iter().any(|kind| !kind.health.is_empty())
    }

    fn find(&self, key: &ResourceKey, has: impl Fn(&Kind) -> bool) -> Option<&Kind> {
        let name = match key.group.as_str() {
            "" => key.kind.clone(),
            group => format!("{group}/{}", key.kind),
        };
        let having = || self.kinds.iter().filter(|kind| has(kind));
        let exact = having().find(|kind| kind.name == name);
        exact.or_else(|| having().find(|kind| kind.name.contains('*') && glob(&kind.name, &name)))
    }
}

impl Config {
    /// What it says about kinds. What cannot be read says nothing: writing it is refused.
    #[must_use]
    pub fn customizations(&self) -> Customizations {
        let mut all = Customizations {
            masked: self.masked_annotations(),
            ..Customizations::default()
        };
        for (name, of) in self.customized() {
            let left_out = of.ignore_differences;
            let (group, kind) = name.split_once('/').unwrap_or(("", &name));
            if left_out != super::IgnoreDifferences::default() {
                all.ignore.push(IgnoreDifference {
                    group: group.to_owned(),
                    kind: kind.to_owned(),
                    json_pointers: left_out.json_pointers,
                    jq_path_expressions: left_out.jq_path_expressions,
                    managed_fields_managers: left_out.managed_fields_managers,
                    ..IgnoreDifference::default()
                });
            }
            let actions =
                yaml::read(&of.actions).map_or_else(|_| Actions::default(), |of| actions(&of));
            if !of.health_lua.is_empty() || actions != Actions::default() {
                all.kinds.push(Kind {
                    health: of.health_lua,
                    actions,
                    name,
                });
            }
        }
        all
    }
}

fn actions(document: &Json) -> Actions {
    let text = |value: &Json, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let definitions = document["definitions"].as_array().into_iter().flatten();
    Actions {
        discovery: text(document, "discovery.lua"),
        scripts: definitions
            .map(|one| (text(one, "name"), text(one, "action.lua")))
            .collect(),
        merge_builtin: document["mergeBuiltinActions"]
            .as_bool()
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Object, Raw};

    #[test]
    fn kinds_are_found_by_name_before_pattern() {
        let mut raw = Raw::default();
        for (key, value) in [
            ("resource.customizations.health.ConfigMap", "core"),
            (
                "resource.customizations.health.cert-manager.io_Certificate",
                "exact",
            ),
            (
                "resource.customizations",
                "\"*.io/*\":\n  health.lua: pattern\n",
            ),
            (
                "resource.customizations.actions.apps_Deployment",
                "mergeBuiltinActions: true\ndiscovery.lua: return {}\ndefinitions:\n- name: grow\n  action.lua: return obj\n",
            ),
            (
                "resource.customizations.ignoreDifferences.apps_Deployment",
                "jsonPointers: [/spec/replicas]\njqPathExpressions: ['.spec.a']\n",
            ),
            ("resource.sensitive.mask.annotations", "token, api-key,"),
        ] {
            raw.set(&Object::Cm, key, value);
        }
        let all = Config::from_raw(raw).customizations();
        let key = |group: &str, kind: &str| ResourceKey {
            group: group.to_owned(),
            kind: kind.to_owned(),
            ..ResourceKey::default()
        };
        assert_eq!(all.health(&key("", "ConfigMap")), Some("core"));
        assert_eq!(
            all.health(&key("cert-manager.io", "Certificate")),
            Some("exact")
        );
        assert_eq!(
            all.health(&key("cert-manager.io", "Issuer")),
            Some("pattern")
        );
        assert_eq!(all.health(&key("apps", "Deployment")), None);
        assert!(all.check_health());
        let actions = all.actions(&key("apps", "Deployment")).unwrap();
        assert!(actions.merge_builtin);
        assert_eq!(
            actions.scripts,
            [("grow".to_owned(), "return obj".to_owned())]
        );
        // The status is no part of any comparison anyway.
        assert_eq!(all.ignore.len(), 1);
        assert_eq!(
            (all.ignore[0].group.as_str(), all.ignore[0].kind.as_str()),
            ("apps", "Deployment")
        );
        assert_eq!(all.ignore[0].json_pointers, ["/spec/replicas"]);
        assert_eq!(all.ignore[0].jq_path_expressions, [".spec.a"]);
        assert_eq!(all.masked, ["token", "api-key"]);
        assert_eq!(
            Config::default().customizations(),
            Customizations::default()
        );
    }
}
