//! What is asked of a sync in words that are none: they have no effect, as in Argo CD, and that is told.
//!
//! A hook of no known kind is not even applied, and its application is Synced and Healthy without it.

use domain::cause::Cause;
use domain::manifest::Manifest;
use domain::message;
use domain::resource::{annotation, text};
use domain::spelling::nearest;
use serde_json::Value;

use crate::hooks::{DELETE_POLICY, HELM_DELETE_POLICY};
use crate::options::{
    self, HELM_HOOK, HELM_HOOKS, HELM_WEIGHT, HOOK, HOOKS, Role, SYNC_OPTIONS, SYNC_WAVE, words,
};

/// So many are told of one object, and of one application's own options.
const MOST: usize = 10;
/// No more of a word is shown.
const SHOWN: usize = 80;
/// What makes an object no hook, in Argo CD's annotation.
const SKIP: &[&str] = &["Skip"];
/// What Helm knows besides, and a sync does not run.
const HELM_ALONE: &[&str] = &[
    "crd-install",
    "pre-rollback",
    "post-rollback",
    "test",
    "test-success",
    "test-failure",
];
/// When a hook's object is deleted, in the words of both; either annotation takes either's.
const POLICIES: [&str; 3] = ["HookSucceeded", "HookFailed", "BeforeHookCreation"];
const HELM_POLICIES: [&str; 3] = ["hook-succeeded", "hook-failed", "before-hook-creation"];

const SWITCH: &[&str] = &["true", "false"];
const SWITCHED_OFF: &[&str] = &["false", "true"];
const CONFIRMED: &[&str] = &["false", "confirm", "true"];
/// Every sync option and the values that it may have, what changes something first.
const OPTIONS: &[(&str, &[&str])] = &[
    ("CreateNamespace", SWITCH),
    ("Prune", CONFIRMED),
    ("Delete", CONFIRMED),
    ("PruneLast", SWITCH),
    (
        "PrunePropagationPolicy",
        &["foreground", "background", "orphan"],
    ),
    ("Replace", SWITCH),
    ("Force", SWITCH),
    ("ServerSideApply", SWITCH),
    ("ApplyOutOfSyncOnly", SWITCH),
    ("SkipDryRunOnMissingResource", SWITCH),
    ("FailOnSharedResource", SWITCH),
    ("RespectIgnoreDifferences", SWITCH),
    ("Validate", SWITCHED_OFF),
    ("ClientSideApplyMigration", SWITCHED_OFF),
];

/// The words of a manifest's annotations that are none.
#[must_use]
pub fn annotations(manifest: &Manifest) -> Vec<Cause> {
    let object = &manifest.object;
    let mut found = Vec::new();
    hooks(object, &mut found);
    for (name, known, also) in [
        (DELETE_POLICY, POLICIES, HELM_POLICIES),
        (HELM_DELETE_POLICY, HELM_POLICIES, POLICIES),
    ] {
        let unknown = words(object, name).filter(|word| !also.contains(word));
        let unknown = unknown.filter(|word| !known.contains(word)).take(MOST);
        found.extend(unknown.map(|word| (name, no_effect(word, name, &known))));
    }
    waves(object, &mut found);
    let unknown = words(object, SYNC_OPTIONS).filter(|option| !is_option(option));
    let unknown = unknown.take(MOST);
    found.extend(unknown.map(|option| (SYNC_OPTIONS, no_option(option))));
    found.truncate(MOST);
    let located = |(name, message): Found| {
        let field = format!("metadata.annotations.{name}");
        Cause::warning(message)
            .on(manifest.key())
            .located(manifest.locate(&field))
            .variable(manifest.variable(&field))
            .field(field)
    };
    found.into_iter().map(located).collect()
}

/// The sync options of an application that are none.
#[must_use]
pub fn sync_options(options: &[String]) -> Vec<Cause> {
    let named = options.iter().map(|option| option.trim()).enumerate();
    let unknown = named.filter(|(_, option)| !option.is_empty() && !is_option(option));
    unknown
        .take(MOST)
        .map(|(at, option)| {
            Cause::warning(no_option(option)).field(format!("spec.syncPolicy.syncOptions[{at}]"))
        })
        .collect()
}

/// What was found in an annotation.
type Found = (&'static str, message::Message);

fn hooks(object: &Value, found: &mut Vec<Found>) {
    // Helm's annotation counts where there is none of Argo CD's.
    let (name, known, also) = match words(object, HOOK).next() {
        Some(_) => (HOOK, HOOKS, SKIP),
        None => (HELM_HOOK, HELM_HOOKS, HELM_ALONE),
    };
    let unknown = words(object, name).filter(|word| !known.contains(word));
    let unknown = unknown.filter(|word| !also.contains(word)).take(MOST);
    let never_applied = options::role(object) == Role::Ignored;
    found.extend(unknown.map(|word| match never_applied {
        true => (name, never(object, word, name, &known)),
        false => (name, no_effect(word, name, &known)),
    }));
}

fn never(object: &Value, word: &str, name: &str, known: &[&str]) -> message::Message {
    let word = shown(word);
    let message = match nearest(&word, known.iter().copied()) {
        Some(meant) => message::lint::UNKNOWN_HOOK_SIMILAR.with("meant", meant),
        None => message::lint::UNKNOWN_HOOK.with("known", known.join(", ")),
    };
    message
        .with("kind", text(object, &["kind"]))
        .with("name", name_of(object))
        .with("annotation", name)
        .with("word", word)
}

/// What an object is called; one that is named when it runs, by its prefix.
fn name_of(object: &Value) -> &str {
    match text(object, &["metadata", "name"]) {
        "" => text(object, &["metadata", "generateName"]),
        name => name,
    }
}

fn no_effect(word: &str, name: &str, known: &[&str]) -> message::Message {
    let word = shown(word);
    let message = match nearest(&word, known.iter().copied()) {
        Some(meant) => message::lint::UNKNOWN_WORD_SIMILAR.with("meant", meant),
        None => message::lint::UNKNOWN_WORD.with("known", known.join(", ")),
    };
    message.with("annotation", name).with("word", word)
}

fn waves(object: &Value, found: &mut Vec<Found>) {
    for name in [SYNC_WAVE, HELM_WEIGHT] {
        match annotation(object, name) {
            // The one that counts; nobody reads the other.
            Some(value) if value.trim().parse::<i64>().is_ok() => return,
            // A chart's value that is not set leaves it empty, and that means what it does.
            Some(value) if value.trim().is_empty() => {}
            Some(value) => {
                let message = message::lint::BAD_WAVE
                    .with("value", shown(value))
                    .with("wave", options::wave(object));
                found.push((name, message.with("annotation", name)));
            }
            None => {}
        }
    }
}

fn is_option(option: &str) -> bool {
    option.split_once('=').is_some_and(|(name, value)| {
        OPTIONS
            .iter()
            .any(|(known, values)| *known == name && values.contains(&value))
    })
}

fn no_option(option: &str) -> message::Message {
    let option = shown(option);
    let message = match meant(&option) {
        Some(meant) => message::lint::UNKNOWN_OPTION_SIMILAR.with("meant", meant),
        None => message::lint::UNKNOWN_OPTION.with("known", offered(&option)),
    };
    message.with("option", option)
}

/// The option that was most likely meant.
fn meant(option: &str) -> Option<String> {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    let name = nearest(name.trim(), OPTIONS.iter().map(|(known, _)| *known))?;
    let (_, values) = OPTIONS.iter().find(|(known, _)| *known == name)?;
    let value = match value.trim() {
        "" => values.first().copied(),
        value => nearest(value, values.iter().copied()),
    };
    Some(format!("{name}={}", value?))
}

/// What there is in place of an option: the values of its name, else all names.
fn offered(option: &str) -> String {
    let (name, _) = option.split_once('=').unwrap_or((option, ""));
    let offered: Vec<String> = match OPTIONS.iter().find(|(known, _)| *known == name.trim()) {
        Some((known, values)) => values.iter().map(|v| format!("{known}={v}")).collect(),
        None => OPTIONS.iter().map(|(known, _)| (*known).into()).collect(),
    };
    offered.join(", ")
}

/// A word as a sentence has it.
pub(crate) fn shown(word: &str) -> String {
    message::shortened(word, SHOWN)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn codes(annotations: Value) -> Vec<String> {
        let object = json!({"kind": "Job", "metadata": {"name": "a", "annotations": annotations}});
        let causes = super::annotations(&Manifest::new(object, None));
        causes.into_iter().map(|cause| cause.message.code).collect()
    }

    #[test]
    fn every_known_option_is_followed_and_the_nearest_is_what_was_meant() {
        for (name, values) in OPTIONS {
            let followed = values.iter().any(|value| {
                let option = format!("{name}={value}");
                options::SyncOptions::parse([option.as_str()]) != options::SyncOptions::default()
            });
            assert!(followed, "{name}");
        }
        assert_eq!(
            meant("createnamespac = TRUE").as_deref(),
            Some("CreateNamespace=true")
        );
        assert_eq!(meant("Prune").as_deref(), Some("Prune=false"));
        assert_eq!(meant("Prune=never"), None);
        assert_eq!(
            offered("Prune=never"),
            "Prune=false, Prune=confirm, Prune=true"
        );
    }

    #[test]
    fn what_is_written_right_is_nothing_to_tell_of() {
        assert!(codes(json!({HOOK: "PreSync, PostSync", DELETE_POLICY: "HookFailed,hook-succeeded", SYNC_WAVE: " -1",
            SYNC_OPTIONS: "Prune=false, Replace=false,"})).is_empty());
        assert!(codes(json!({HELM_HOOK: "crd-install", HELM_WEIGHT: "5"})).is_empty());
        assert!(codes(json!({HOOK: "Skip", HELM_HOOK: "nonsense"})).is_empty());
        let unset =
            json!({HOOK: "", DELETE_POLICY: "", SYNC_WAVE: "", HELM_WEIGHT: " ", SYNC_OPTIONS: ""});
        assert!(codes(unset).is_empty(), "charts write what is not set so");
        assert!(sync_options(&["CreateNamespace=true".into(), String::new()]).is_empty());
    }

    #[test]
    fn a_wrong_word_beside_a_right_one_keeps_nobody_from_running() {
        assert_eq!(
            codes(json!({HOOK: "PreSync,PostSyncc"})),
            ["lint.unknown-word-similar"]
        );
        assert_eq!(
            codes(json!({HOOK: "PostSyncc"})),
            ["lint.unknown-hook-similar"]
        );
        assert_eq!(codes(json!({HELM_HOOK: "whenever"})), ["lint.unknown-hook"]);
    }

    #[test]
    fn of_one_object_only_so_many_are_told_and_none_at_length() {
        let many = vec!["x".repeat(1_000); 3 * MOST];
        let told = codes(json!({SYNC_OPTIONS: many.join(",")}));
        assert_eq!(told.len(), MOST);
        let causes = sync_options(&many);
        assert_eq!(causes.len(), MOST);
        let longest = causes
            .iter()
            .map(|cause| cause.message.arguments["option"].chars().count());
        assert_eq!(longest.max(), Some(SHOWN + 1));
    }
}
