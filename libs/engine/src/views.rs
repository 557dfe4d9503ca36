//! The four states of an object that clients compare on their own.
//!
//! The argocd command runs Argo CD's client-side three-way diff over (last-applied annotation, target, normalised live).
//! Server-side apply leaves no such annotation, so one is written here: what Git says, plus what we set and Git no longer
//! says. Values that mean the same are spelled as in Git. So the command sees just the differences that we see.

use std::borrow::Cow;

use domain::resource::{ResourceKey, at};
use domain::schema::SchemaSet;
use serde_json::{Map, Value};

use crate::compare::{Ignored, Pair, by_manager, by_place, forgiven, leaves_out, places, spelled};
use crate::fields::Owned;
use crate::options::{CompareOptions, SYNC_OPTIONS};
use crate::prepare::Target;
use crate::structural::{self, Delta};

mod by_server;
mod mask;

pub use by_server::{Diff, by_server, is_as_shown};
pub use mask::mask;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The four states as JSON text, `null` for an absent side, values of Secrets masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What Git says.
    pub target: String,
    /// What the cluster has.
    pub live: String,
    /// What the cluster has, prepared for a three-way diff.
    pub normalized_live: String,
    /// What the cluster would have after a sync.
    pub predicted_live: String,
}

impl View {
    /// The view without the values of these annotations, where the object is a Secret.
    #[must_use]
    pub fn hiding(mut self, key: &ResourceKey, names: &[String]) -> Self {
        if names.is_empty() || !is_secret(key) {
            return self;
        }
        hide(
            [
                &mut self.target,
                &mut self.live,
                &mut self.normalized_live,
                &mut self.predicted_live,
            ],
            names,
        );
        self
    }
}

/// An object as it leaves: of a Secret no values, neither of its data nor of these annotations.
pub fn veil(key: &ResourceKey, object: &mut Value, names: &[String]) {
    if is_secret(key) {
        mask(&mut [Some(&mut *object)]);
        mask::mask_annotations(&mut [object], names);
    }
}

fn is_secret(key: &ResourceKey) -> bool {
    key.group.is_empty() && key.kind == "Secret"
}

/// Masks annotations in states of a Secret that are text already.
fn hide<const N: usize>(texts: [&mut String; N], names: &[String]) {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let mut states: [Value; N] = std::array::from_fn(|at| read(texts[at].as_str()));
    let mut all: Vec<&mut Value> = states.iter_mut().collect();
    mask::mask_annotations(&mut all, names);
    for (text, state) in texts.into_iter().zip(&states) {
        *text = crate::canonical::text(state);
    }
}

/// The states of one object. `live` is its body with managedFields, `options` are its application's.
#[must_use]
pub fn view(
    target: Option<&Target>,
    live: Option<&Value>,
    ignore: &Ignored<'_>,
    options: CompareOptions,
    schema: &SchemaSet,
) -> View {
    let mut states = States::default();
    match (target, live) {
        (Some(target), Some(live)) => {
            let options = options.of_object(&target.object);
            let pair = Pair::new(target, live, ignore, schema, options);
            both(&mut states, target, live, ignore, &pair);
        }
        (Some(target), None) => {
            states.target = Some(presentable(&target.object));
            states.predicted = states.target.clone();
        }
        (None, Some(live)) => {
            states.live = Some(presentable(live));
            states.normalized = states.live.clone();
            if let Some(normalized) = &mut states.normalized {
                forget_unwanted(normalized);
            }
        }
        (None, None) => {}
    }
    let key = target
        .map(|t| t.key.clone())
        .or_else(|| live.map(ResourceKey::of))
        .unwrap_or_default();
    if is_secret(&key) {
        let States {
            target,
            live,
            normalized,
            predicted,
            last_applied,
        } = &mut states;
        mask(&mut [
            target.as_mut(),
            live.as_mut(),
            normalized.as_mut(),
            predicted.as_mut(),
            last_applied.as_mut(),
        ]);
    }
    if let (Some(normalized), Some(last)) = (&mut states.normalized, &states.last_applied) {
        annotate(normalized, LAST_APPLIED, crate::canonical::text(last));
    }
    View {
        target: shown(states.target.as_ref()),
        live: shown(states.live.as_ref()),
        normalized_live: shown(states.normalized.as_ref()),
        predicted_live: shown(states.predicted.as_ref()),
    }
}

/// A state as clients read it.
fn shown(state: Option<&Value>) -> String {
    state.map_or_else(|| "null".to_owned(), crate::canonical::text)
}

#[derive(Default)]
struct States {
    target: Option<Value>,
    live: Option<Value>,
    normalized: Option<Value>,
    predicted: Option<Value>,
    last_applied: Option<Value>,
}

fn both(states: &mut States, target: &Target, live: &Value, ignore: &Ignored<'_>, pair: &Pair<'_>) {
    let deltas = pair.deltas();
    let removed = removed_only(pair, &deltas);
    // The command takes what is left out by its place out of its own result, and shows that beside the live state as it is
    // here. Where nothing differs it must not be taken out: the command would find a map that is emptied so to be missing.
    let (want, got) = match deltas.is_empty() {
        true => (Cow::Borrowed(&*target.object), Cow::Borrowed(live)),
        false => by_place(&target.object, live, &target.key, ignore),
    };

    let mut there = Cow::Borrowed(&*got);
    spelled(&want, &mut there, &target.key, ignore.known);
    forgiven(&want, &mut there);
    let mut normalized = structural::aligned(&want, &there, pair.root, pair.rules);
    for set in by_manager(live, &target.key, ignore.rules) {
        // The command cannot leave these out itself: it does not see who owns what.
        set.remove_from(&mut normalized, pair.root);
        normalized = structural::with_removed(&normalized, &set, &want, pair.root);
    }
    if pair.aggregated {
        match target.object.get("rules") {
            Some(rules) => normalized["rules"] = rules.clone(),
            None => {
                normalized
                    .as_object_mut()
                    .map(|fields| fields.remove("rules"));
            }
        }
    }
    let mut predicted = match deltas.is_empty() && leaves_out(ignore.rules, &target.key) {
        true => normalized.clone(),
        false => structural::merged(&want, &normalized, removed.as_ref(), pair.root),
    };
    if pair.rules.built_in && !deltas.is_empty() {
        for pointer in places(&target.key, ignore) {
            fill_in(&mut normalized, live, pointer);
            fill_in(&mut predicted, live, pointer);
        }
    }
    let mut last = want.into_owned();
    if let Some(removed) = &removed {
        last = structural::with_removed(&last, removed, &got, pair.root);
        last.as_object_mut().map(|fields| fields.remove("status"));
    }
    for state in [&mut normalized, &mut predicted, &mut last] {
        *state = presentable(state);
    }
    for state in [&mut normalized, &mut predicted] {
        forget_unwanted(state);
    }
    states.target = Some(presentable(&target.object));
    states.live = Some(presentable(live));
    states.normalized = Some(normalized);
    states.predicted = Some(predicted);
    states.last_applied = Some(last);
}

/// Gives a place that was left out what the command fills in there by itself.
fn fill_in(state: &mut Value, live: &Value, pointer: &str) {
    if live.pointer(pointer).is_none() || state.pointer(pointer).is_some() {
        return;
    }
    let words = pointer.split('/').skip(1);
    let steps: Vec<String> = words
        .map(|word| {
            let position = !word.is_empty() && word.bytes().all(|letter| letter.is_ascii_digit());
            if position {
                "[]".to_owned()
            } else {
                word.replace("~1", "/").replace("~0", "~")
            }
        })
        .collect();
    let path = steps.join(".").replace(".[]", "[]");
    let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
    if let (Some(value), Some(name), Some(Value::Object(fields))) = (
        structural::default_at(&path),
        steps.last(),
        state.pointer_mut(parent),
    ) {
        fields.insert(name.clone(), value);
    }
}

/// Our fields, where some of them count as removed.
fn removed_only(pair: &Pair<'_>, deltas: &[Delta<'_>]) -> Option<Owned> {
    let some = deltas.iter().any(|delta| delta.want.is_none());
    some.then(|| pair.owned.clone()).flatten()
}

/// Without managedFields and a stale last-applied record. `ServerSideApply=true` would have the command compare without
/// the record that says what was removed; everything is applied server-side here anyway.
fn presentable(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            annotations.remove(LAST_APPLIED);
            let options = annotations.get(SYNC_OPTIONS).and_then(Value::as_str);
            if let Some(options) =
                options.filter(|options| options.contains("ServerSideApply=true"))
            {
                let rest: Vec<&str> = options
                    .split(',')
                    .map(str::trim)
                    .filter(|o| *o != "ServerSideApply=true")
                    .collect();
                let rest = rest.join(",");
                annotations.insert(SYNC_OPTIONS.to_owned(), Value::String(rest));
            }
        }
    }
    object
}

/// Without what nobody declares in Git: the command would show it as removed.
fn forget_unwanted(object: &mut Value) {
    object.as_object_mut().map(|fields| fields.remove("status"));
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("creationTimestamp");
    }
}

fn annotate(object: &mut Value, name: &str, text: String) {
    if at(object, &["metadata"]).is_none() {
        return;
    }
    let annotations = &mut object["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = Value::Object(Map::new());
    }
    annotations[name] = Value::String(text);
}
