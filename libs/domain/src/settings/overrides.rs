//! `resource.customizations`: what a kind is compared by, and what its health is.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{Config, Object, check, yaml};

/// What a comparison leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoreDifferences {
    /// JSON pointers.
    pub json_pointers: Vec<String>,
    /// jq expressions.
    pub jq_path_expressions: Vec<String>,
    /// Whose fields.
    pub managed_fields_managers: Vec<String>,
}

/// A field whose type is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownTypeField {
    /// The field's path.
    pub field: String,
    /// The type, as `core/Quantity`.
    pub kind: String,
}

/// The customisation of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceOverride {
    /// The health script.
    pub health_lua: String,
    /// Whether that script may use the standard libraries.
    pub use_open_libs: bool,
    /// The actions' document.
    pub actions: String,
    /// What a comparison leaves out.
    pub ignore_differences: IgnoreDifferences,
    /// What does not wake a comparison.
    pub ignore_resource_updates: IgnoreDifferences,
    /// Fields whose type is known.
    pub known_type_fields: Vec<KnownTypeField>,
}

/// How the keys begin.
const PREFIX: &str = "resource.customizations";

impl Config {
    /// The customisations by `<group>/<kind>`, with what is left out of every comparison.
    #[must_use]
    pub fn resource_overrides(&self) -> BTreeMap<String, ResourceOverride> {
        let mut all = self.customized();
        if let Some(kind) = self.status_left_out() {
            all.entry(kind.to_owned())
                .or_default()
                .ignore_differences
                .json_pointers
                .push("/status".to_owned());
        }
        all
    }

    /// The customisations by `<group>/<kind>` as they are written.
    pub(super) fn customized(&self) -> BTreeMap<String, ResourceOverride> {
        let mut all: BTreeMap<String, ResourceOverride> = BTreeMap::new();
        if let Some(Ok(Json::Object(kinds))) = self.raw.text(&Object::Cm, PREFIX).map(yaml::read) {
            for (kind, document) in &kinds {
                all.insert(kind.clone(), whole(document));
            }
        }
        for (key, value) in self.raw.keys(&Object::Cm) {
            let Some((what, kind)) = key
                .strip_prefix(PREFIX)
                .and_then(|rest| rest.strip_prefix('.'))
                .and_then(|rest| rest.split_once('.'))
            else {
                continue;
            };
            let kind = match kind {
                "all" => "*/*".to_owned(),
                _ => kind.replacen('_', "/", 1),
            };
            part(all.entry(kind).or_default(), what, value.expose());
        }
        all
    }

    /// The kinds whose `status` is no part of a comparison.
    fn status_left_out(&self) -> Option<&'static str> {
        let options = self.raw.text(&Object::Cm, "resource.compareoptions");
        let options = options
            .map(yaml::read)
            .and_then(Result::ok)
            .unwrap_or_default();
        match options.get("ignoreResourceStatusField") {
            Some(Json::String(text)) if text == "none" || text == "off" => None,
            Some(Json::Bool(false)) => None,
            Some(Json::String(text)) if text == "crd" => {
                Some("apiextensions.k8s.io/CustomResourceDefinition")
            }
            _ => Some("*/*"),
        }
    }
}

fn part(into: &mut ResourceOverride, what: &str, text: &str) {
    match what {
        "health" => text.clone_into(&mut into.health_lua),
        "useOpenLibs" => into.use_open_libs = check::go_bool(text).unwrap_or_default(),
        "actions" => text.clone_into(&mut into.actions),
        "ignoreDifferences" => into.ignore_differences = ignored(text),
        "ignoreResourceUpdates" => into.ignore_resource_updates = ignored(text),
        "knownTypeFields" => {
            into.known_type_fields = yaml::read(text).map_or(vec![], |d| fields(&d))
        }
        _ => {}
    }
}

fn whole(document: &Json) -> ResourceOverride {
    let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    // Written as text inside the document, or as the structure itself.
    let inner = |name: &str| match &document[name] {
        Json::String(text) => ignored(text),
        structure => ignored_in(structure),
    };
    ResourceOverride {
        health_lua: text("health.lua"),
        use_open_libs: document["health.lua.useOpenLibs"]
            .as_bool()
            .unwrap_or_default(),
        actions: text("actions"),
        ignore_differences: inner("ignoreDifferences"),
        ignore_resource_updates: inner("ignoreResourceUpdates"),
        known_type_fields: fields(&document["knownTypeFields"]),
    }
}

fn ignored(text: &str) -> IgnoreDifferences {
    yaml::read(text).map_or_else(|_| IgnoreDifferences::default(), |value| ignored_in(&value))
}

fn ignored_in(document: &Json) -> IgnoreDifferences {
    let list = |name: &str| {
        document[name]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .map(str::to_owned)
            .collect()
    };
    IgnoreDifferences {
        json_pointers: list("jsonPointers"),
        jq_path_expressions: list("jqPathExpressions"),
        managed_fields_managers: list("managedFieldsManagers"),
    }
}

fn fields(document: &Json) -> Vec<KnownTypeField> {
    let items = document.as_array().into_iter().flatten();
    items
        .map(|item| KnownTypeField {
            field: item["field"].as_str().unwrap_or_default().to_owned(),
            kind: item["type"].as_str().unwrap_or_default().to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Raw;

    #[test]
    fn both_ways_of_writing_customisations_are_read() {
        let mut raw = Raw::default();
        let document = "apps/Deployment:\n  health.lua: return 1\n  ignoreDifferences: |\n    jsonPointers:\n    - /spec/replicas\n";
        raw.set(&Object::Cm, PREFIX, document);
        raw.set(
            &Object::Cm,
            "resource.customizations.health.cert-manager.io_Certificate",
            "return 2",
        );
        raw.set(
            &Object::Cm,
            "resource.customizations.ignoreDifferences.all",
            "managedFieldsManagers: [hpa]",
        );
        let all = Config::from_raw(raw).resource_overrides();
        let deployment = &all["apps/Deployment"];
        assert_eq!(deployment.health_lua, "return 1");
        assert_eq!(
            deployment.ignore_differences.json_pointers,
            ["/spec/replicas"]
        );
        assert_eq!(all["cert-manager.io/Certificate"].health_lua, "return 2");
        let everything = &all["*/*"].ignore_differences;
        assert_eq!(everything.managed_fields_managers, ["hpa"]);
        assert_eq!(everything.json_pointers, ["/status"]);
    }

    #[test]
    fn status_is_left_out_unless_told_otherwise() {
        let with = |text: &str| {
            let mut raw = Raw::default();
            raw.set(&Object::Cm, "resource.compareoptions", text);
            Config::from_raw(raw).resource_overrides()
        };
        assert!(Config::default().resource_overrides().contains_key("*/*"));
        assert!(with("ignoreResourceStatusField: none").is_empty());
        assert!(with("ignoreResourceStatusField: off").is_empty());
        assert!(
            with("ignoreResourceStatusField: crd")
                .contains_key("apiextensions.k8s.io/CustomResourceDefinition")
        );
    }
}
