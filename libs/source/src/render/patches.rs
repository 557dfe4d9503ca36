//! Patches that match nothing: kustomize leaves them out without a word.

use std::collections::BTreeSet;

use domain::cause::{Cause, Location};
use domain::message;
use domain::resource::text;
use serde_json::Value;

use super::yaml::Document;

/// How many objects are named of those that there are.
const MAX_NAMED: usize = 5;
/// How many patches of one render are looked at: each may be held against all objects.
const MAX_PATCHES: usize = 1_000;
/// How many patches of one render are told of.
const MAX_TOLD: usize = 20;

/// The lists of a kustomization whose entries have a target.
const LISTS: [&str; 2] = ["patches", "patchesJson6902"];

/// The kinds and names of objects that a patch may be for, under any name that they have on their way.
#[derive(Debug, Default)]
pub(super) struct Objects {
    known: BTreeSet<(String, String)>,
    /// Whether there may be others, under names that nobody sees.
    others: bool,
    /// How many patches were looked at.
    looked: usize,
    /// Of how many something was told.
    told: usize,
}

impl Objects {
    /// Takes in a document of a file, or an object that came out.
    pub(super) fn add(&mut self, value: &Value) {
        let name = text(value, &["metadata", "name"]);
        if !name.is_empty() {
            self.insert(text(value, &["kind"]), name);
        }
        for item in list(value, "items") {
            self.add(item);
        }
    }

    /// Takes in what a kustomization makes by itself.
    pub(super) fn add_made(&mut self, kustomization: &Value) {
        for (field, kind) in [
            ("configMapGenerator", "ConfigMap"),
            ("secretGenerator", "Secret"),
        ] {
            for made in list(kustomization, field) {
                self.insert(kind, text(made, &["name"]));
            }
        }
        let more = ["helmCharts", "helmChartInflationGenerator", "generators"];
        self.others |= more
            .iter()
            .any(|field| list(kustomization, field).next().is_some());
    }

    /// Whether charts or generators make some that are in no file.
    pub(super) fn are_made(&self) -> bool {
        self.others
    }

    fn insert(&mut self, kind: &str, name: &str) {
        self.known.insert((kind.to_owned(), name.to_owned()));
    }

    /// What is to say of a kustomization's patches.
    pub(super) fn check(&mut self, path: &str, kustomization: &Document) -> Vec<Cause> {
        let mut causes = Vec::new();
        for name in LISTS {
            for (position, patch) in list(&kustomization.value, name).enumerate() {
                let field = format!("{name}[{position}].target");
                let Some(cause) = self.unmatched(patch) else {
                    continue;
                };
                let mut lines = kustomization.lines.iter();
                let line = lines.find(|(known, _)| *known == field);
                let location = Location {
                    path: path.to_owned(),
                    line: line.map_or(kustomization.line, |(_, line)| *line),
                };
                causes.push(cause.field(field).located(Some(location)));
            }
        }
        causes
    }

    /// The same for the patches of the application's own options.
    pub(super) fn check_options(&mut self, patches: &[Value]) -> Vec<Cause> {
        let all = patches.iter().enumerate();
        let causes = all.filter_map(|(position, patch)| {
            let field = format!("spec.source.kustomize.patches[{position}].target");
            Some(self.unmatched(patch)?.field(field))
        });
        causes.collect()
    }

    /// That a patch is for nothing that there is; namespaces and labels may be given on the way, so they are not looked at.
    fn unmatched(&mut self, patch: &Value) -> Option<Cause> {
        self.looked += 1;
        let (kind, name) = (
            text(patch, &["target", "kind"]),
            text(patch, &["target", "name"]),
        );
        let meant = |(known_kind, known_name): &(String, String)| {
            fits(kind, known_kind) && fits(name, known_name)
        };
        let unsaid = self.others || (kind.is_empty() && name.is_empty());
        let enough = self.looked > MAX_PATCHES || self.told >= MAX_TOLD;
        if unsaid || enough || self.known.iter().any(meant) {
            return None;
        }
        self.told += 1;
        let of_kind = self.known.iter().filter(|(known, _)| fits(kind, known));
        let shown = of_kind.map(|(kind, name)| format!("{kind}/{name}"));
        let mut there: Vec<String> = shown.take(MAX_NAMED).collect();
        if there.is_empty() {
            let kinds: BTreeSet<&String> = self.known.iter().map(|(kind, _)| kind).collect();
            there = kinds.into_iter().take(MAX_NAMED).cloned().collect();
        }
        if there.is_empty() {
            there.push("-".to_owned());
        }
        let named = |word: &str| match word {
            "" => "*".to_owned(),
            word => word.to_owned(),
        };
        let message = message::lint::PATCH_UNMATCHED
            .with("target", format!("{}/{}", named(kind), named(name)))
            .with("objects", there.join(", "));
        Some(Cause::warning(message))
    }
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    let all = value.get(field).and_then(Value::as_array);
    all.into_iter().flatten()
}

/// Whether a target's pattern, a regular expression, may be for a text. Of the signs that mean something in one only the dot
/// is in names; with any other it may be for everything.
fn fits(pattern: &str, known: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    if pattern.is_empty() || !pattern.chars().all(plain) {
        return true;
    }
    let mut pairs = pattern.chars().zip(known.chars());
    pattern.chars().count() == known.chars().count() && pairs.all(|(a, b)| a == '.' || a == b)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_for_nothing_is_told_and_one_that_may_be_for_something_is_not() {
        let mut objects = Objects::default();
        objects.add(&json!({"kind": "Deployment", "metadata": {"name": "web"}}));
        objects.add_made(&json!({"configMapGenerator": [{"name": "settings"}]}));
        let mut unmatched = |target: Value| objects.unmatched(&json!({"target": target}));
        for target in [
            json!({"kind": "Deployment", "name": "web"}),
            json!({"kind": "Deployment"}),
            json!({"kind": "Deployment", "name": "w.b"}),
            json!({"kind": "Deploy.*", "name": "(a|b)"}),
            json!({"kind": "ConfigMap", "name": "settings"}),
            json!({"labelSelector": "app=web"}),
            Value::Null,
        ] {
            assert_eq!(unmatched(target.clone()), None, "{target}");
        }
        let told = unmatched(json!({"kind": "Deployment", "name": "wbe"})).unwrap();
        assert!(told.message.to_string().contains("Deployment/web"));
        let told = unmatched(json!({"kind": "Service"})).unwrap();
        let said = told.message.to_string();
        assert!(said.contains("Service/*") && said.contains("ConfigMap, Deployment"));
        objects.add_made(&json!({"helmCharts": [{"name": "x"}]}));
        assert_eq!(
            objects.unmatched(&json!({"target": {"kind": "Service"}})),
            None
        );
    }
}
