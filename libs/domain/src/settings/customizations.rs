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
    /// The fields whose values comparisons read as what they are.
    pub known: Vec<KnownField>,
    kinds: Vec<Kind>,
}

/// A field of a kind, and what its values are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownField {
    /// The kind's group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The field's path, which leads through lists into each of their elements.
    pub path: Vec<String>,
    /// What its values are.
    pub is: KnownType,
}

impl KnownField {
    /// Whether it is a field of an object.
    #[must_use]
    pub fn is_of(&self, key: &ResourceKey) -> bool {
        self.group == key.group && self.kind == key.kind
    }
}

/// What values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownType {
    /// Amounts as Kubernetes writes them, or maps of such: `core/Quantity`, `core/v1/ResourceList`.
    Quantity,
    /// Durations as Go writes them: `meta/v1/Duration`.
    Duration,
    /// Structures of the core group, with amounts within: `core/v1/PodSpec` and its like.
    Core,
}

impl KnownType {
    /// The type of a name; `None` for one that nobody knows, which changes nothing.
    fn named(name: &str) -> Option<Self> {
        match name {
            "core/Quantity" | "core/v1/ResourceList" => Some(Self::Quantity),
            "meta/v1/Duration" => Some(Self::Duration),
            other => other.strip_prefix("core/v1/").map(|_| Self::Core),
        }
    }
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
            let known = of.known_type_fields.iter().filter_map(|field| {
                Some(KnownField {
                    group: group.to_owned(),
                    kind: kind.to_owned(),
                    path: field.field.split('.').map(str::to_owned).collect(),
                    is: KnownType::named(&field.kind)?,
                })
            });
            all.known.extend(known);
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
    fn fields_are_known_by_the_names_of_their_types() {
        let mut raw = Raw::default();
        let key = "resource.customizations.knownTypeFields.example.com_Thing";
        let fields = "- {field: spec.size, type: core/Quantity}\n- {field: spec.pods.spec, type: core/v1/PodSpec}\n- {field: a, type: nobodys}\n";
        raw.set(&Object::Cm, key, fields);
        let whole =
            "Widget:\n  knownTypeFields:\n  - field: spec.every\n    type: meta/v1/Duration\n";
        raw.set(&Object::Cm, "resource.customizations", whole);
        let known = Config::from_raw(raw).customizations().known;
        let known: Vec<(&str, &str, String, KnownType)> = known
            .iter()
            .map(|field| {
                let path = field.path.join("/");
                (field.group.as_str(), field.kind.as_str(), path, field.is)
            })
            .collect();
        let size = "spec/size".to_owned();
        let pods = "spec/pods/spec".to_owned();
        let every = "spec/every".to_owned();
        assert_eq!(
            known,
            [
                ("", "Widget", every, KnownType::Duration),
                ("example.com", "Thing", size, KnownType::Quantity),
                ("example.com", "Thing", pods, KnownType::Core),
            ]
        );
    }

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
