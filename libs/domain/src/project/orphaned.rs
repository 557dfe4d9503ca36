//! Objects of a namespace that no application has, and which of them a project wants to know of.

use serde::Deserialize;

use super::pattern::Pattern;
use crate::resource::ResourceKey;

/// That a project watches for them. The rules are Argo CD's (its page on orphaned resources).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct OrphanedResources {
    /// Whether they are a warning of the application's; only where it says so.
    pub warn: Option<bool>,
    /// Which of them nobody need know of.
    pub ignore: Vec<Ignored>,
}

/// Objects that nobody need know of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Ignored {
    /// Glob of the group.
    pub group: Pattern,
    /// Glob of the kind; every one when empty.
    pub kind: Pattern,
    /// Glob of the name; every one when empty.
    pub name: Pattern,
}

impl OrphanedResources {
    /// Whether they are a warning.
    #[must_use]
    pub fn warns(&self) -> bool {
        self.warn == Some(true)
    }

    /// Whether nobody need know of an object that no application has: the rules say so, or every namespace has it.
    #[must_use]
    pub fn leaves_out(&self, key: &ResourceKey) -> bool {
        let of = |namespace: &str, kind: &str, name: &str| {
            key.group.is_empty()
                && (namespace.is_empty() || key.namespace == namespace)
                && (key.kind.as_str(), key.name.as_str()) == (kind, name)
        };
        if of("default", "Service", "kubernetes")
            || of("", "ServiceAccount", "default")
            || of("", "ConfigMap", "kube-root-ca.crt")
        {
            return true;
        }
        let fits = |pattern: &Pattern, text: &str| pattern.is_empty() || pattern.matches(text);
        self.ignore.iter().any(|ignored| {
            // Argo CD: an empty pattern of the group is the group without a name.
            fits(&ignored.kind, &key.kind)
                && ignored.group.matches(&key.group)
                && fits(&ignored.name, &key.name)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_every_namespace_has_and_what_is_ignored_is_left_out() {
        let rules = json!({"ignore": [{"group": "apps", "kind": "Deploy*", "name": "old-*"}, {"kind": "Secret"}]});
        let rules: OrphanedResources = serde_json::from_value(rules).unwrap();
        assert!(!rules.warns());
        for warn in [true, false] {
            let rules: OrphanedResources = serde_json::from_value(json!({"warn": warn})).unwrap();
            assert_eq!(rules.warns(), warn);
        }
        for (group, kind, name, expected) in [
            ("", "ServiceAccount", "default", true),
            ("", "ServiceAccount", "other", false),
            ("", "ConfigMap", "kube-root-ca.crt", true),
            ("", "Service", "kubernetes", false),
            ("apps", "Deployment", "old-web", true),
            ("apps", "Deployment", "web", false),
            ("", "Secret", "any", true),
            ("example.com", "Secret", "any", false),
        ] {
            let key = ResourceKey {
                group: group.into(),
                kind: kind.into(),
                namespace: "a".into(),
                name: name.into(),
            };
            assert_eq!(rules.leaves_out(&key), expected, "{key}");
        }
    }
}
