//! What server-side apply makes of an object, told by the schema alone, beside what the server itself says in a dry run: for
//! objects that Git, people and other managers edit at random. `NARU_SEED` says with which edits it begins.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use cluster::{Account, ApplyMethod, ApplyOptions, DeleteOptions, Error};
use domain::resource::{GroupKind, ResourceKey, split_api_version, text};
use domain::schema::SchemaSet;
use domain::tracking::Marking;
use engine::Target;
use engine::claim::{Alone, Claimant};
use engine::compare::{Difference, Ignored, Input, Live, Predicted};
use engine::options::{CompareOptions, Role, SyncOptions};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{World, eventually};

/// Rounds with each object; a round has an edit of Git's, or some, and often one of somebody else.
const ROUNDS: usize = 24;
const ROUNDS_IN_FULL: usize = 400;
/// Looks at an object of which no controller writes at the same time.
const LOOKS: usize = 50;

/// An object, and what happens to it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    /// Its address.
    path: String,
    /// What Git always says.
    base: Value,
    /// What Git may say besides, by place.
    places: BTreeMap<String, Vec<Value>>,
    /// What somebody edits.
    edits: Vec<Value>,
    /// What another manager applies.
    applies: Vec<Value>,
}

impl Subject {
    fn wanted(&self, said: &BTreeMap<&str, &Value>) -> Value {
        let mut object = self.base.clone();
        for (place, value) in said {
            put(&mut object, place, (*value).clone());
        }
        object
    }
}

fn put(object: &mut Value, place: &str, value: Value) {
    let mut there = object;
    for word in place.split('/').skip(1) {
        there = match word.parse::<usize>() {
            Ok(position) => &mut there[position],
            Err(_) => &mut there[word],
        };
    }
    *there = value;
}

#[derive(Debug, Default)]
struct Tally {
    same: usize,
    different: usize,
    refused: usize,
}

fn definition() -> Value {
    let text = json!({"type": "string"});
    let pair = json!({"type": "object", "properties": {"x": text, "y": text}});
    let labels = json!({"type": "object", "additionalProperties": text});
    let one = |mut schema: Value| {
        schema["x-kubernetes-map-type"] = json!("atomic");
        schema
    };
    let number_or_text = json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]});
    let spec = json!({
        "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "port"],
            "items": {"type": "object", "required": ["name"], "properties": {
                "name": text, "port": {"type": "integer", "default": 80}, "value": text, "deep": pair}}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": text},
        "list": {"type": "array", "items": text},
        "objects": {"type": "array", "x-kubernetes-list-type": "atomic", "items": pair},
        "pair": pair, "whole": one(pair.clone()), "labels": labels, "wholeLabels": one(labels.clone()),
        "size": number_or_text, "amount": number_or_text,
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "half": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"known": text}},
        "template": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
        "count": {"type": "integer"}, "on": {"type": "boolean"}, "text": text});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "knots.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Knot", "plural": "knots", "singular": "knot", "listKind": "KnotList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": spec}}}}}]}})
}

/// Makes the kind, and waits until its schema is published.
async fn schemas(world: &World, account: &Account) -> Arc<SchemaSet> {
    account
        .apply(&definition(), &ApplyOptions::default())
        .await
        .unwrap();
    let index = world.cluster.index();
    let kind = GroupKind::new("example.com", "Knot");
    eventually("knots are watched", || index.is_synced(&kind).then_some(())).await;
    let wanted = [
        ("", "v1"),
        ("apps", "v1"),
        ("networking.k8s.io", "v1"),
        ("example.com", "v1"),
    ];
    let wanted = wanted.map(|(group, version)| (group.to_owned(), version.to_owned()));
    let published = || async {
        let schemas = world.cluster.schemas(&wanted).await?;
        let known = schemas.root("example.com", "v1", "Knot").is_some();
        known
            .then_some(schemas)
            .ok_or_else(|| anyhow::anyhow!("no schema"))
    };
    testkit::wait::until("the new kind's schema", crate::SOON, published)
        .await
        .unwrap()
}

fn target(object: Value) -> Target {
    Target {
        key: ResourceKey::of(&object),
        version: split_api_version(text(&object, &["apiVersion"]))
            .1
            .to_owned(),
        object: Arc::new(object),
        hash: [0; 32],
        location: None,
        lines: Vec::new().into(),
        replaced: Vec::new().into(),
        namespaced: true,
        known: true,
        options: SyncOptions::default(),
        wave: 0,
        role: Role::Ordinary,
        refused: None,
        forbidden_kind: false,
        outside: false,
    }
}

/// What differs between a target and its live object, in one of the ways to compare.
fn differences(
    target: &Target,
    body: &Value,
    predicted: Option<&Value>,
    options: CompareOptions,
    schema: &SchemaSet,
) -> Vec<Difference> {
    let live = Live {
        key: target.key.clone(),
        version: &target.version,
        uid: text(body, &["metadata", "uid"]),
        owned: false,
        seen: None,
        essentials: body,
        body: Some(body),
        predicted: predicted.map(Predicted::Object),
    };
    let comparison = engine::compare(&Input {
        claimant: Claimant {
            tenant: "merge",
            app: "hello",
            marking: &Marking::default(),
            alone: Alone::Nowhere,
        },
        targets: std::slice::from_ref(target),
        incomplete: false,
        live: &[live],
        applied: &HashMap::new(),
        ignore: Ignored {
            rules: &[],
            named: &HashMap::new(),
            unnamed: &HashSet::new(),
            known: &[],
        },
        options,
        schema,
    });
    let compared = comparison.find(&target.key).expect("it is compared");
    assert!(compared.sync.is_some() && comparison.needs_dry_run.is_empty());
    compared.differences.clone()
}

/// The live object and what a dry run makes of it, both of one state; `None` where the server refuses.
async fn look(account: &Account, key: &ResourceKey, want: &Value) -> Option<(Value, Value)> {
    let options = ApplyOptions {
        dry_run: true,
        ..ApplyOptions::default()
    };
    let version = |object: &Value| text(object, &["metadata", "resourceVersion"]).to_owned();
    for _ in 0..LOOKS {
        let before = account.get(key, None).await.unwrap().unwrap();
        let tried = match account.apply(want, &options).await {
            Ok(tried) => tried,
            Err(Error::Refused(_)) => return None,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(tried.method, ApplyMethod::ServerSide);
        let after = account.get(key, None).await.unwrap().unwrap();
        if version(&before) == version(&after) {
            return Some((before, tried.object));
        }
    }
    panic!("{key} never stays as it is");
}

/// What one of two ways to compare sees and the other does not.
fn disagreement(by_schema: &[Difference], by_server: &[Difference]) -> Vec<String> {
    let beneath = |path: &str, of: &str| {
        path.strip_prefix(of)
            .is_some_and(|rest| rest.starts_with(['.', '[']))
    };
    // Where all of a struct is taken out, the server fills its defaults in: for it only what is otherwise then differs.
    let refilled =
        |mine: &Difference, its: &Difference| mine.want.is_none() && beneath(&its.path, &mine.path);
    // A map that is wanted empty is none when the server writes it down: for it all of the map is gone.
    let emptied =
        |mine: &Difference, its: &Difference| its.want.is_none() && beneath(&mine.path, &its.path);
    let agree = |mine: &Difference, its: &Difference| {
        mine.path == its.path || refilled(mine, its) || emptied(mine, its)
    };
    let mine = by_schema
        .iter()
        .filter(|mine| !by_server.iter().any(|its| agree(mine, its)))
        .map(|mine| format!("only the schema: {mine:?}"));
    let its = by_server
        .iter()
        .filter(|its| !by_schema.iter().any(|mine| agree(mine, its)))
        .map(|its| format!("only the server: {its:?}"));
    mine.chain(its).collect()
}

/// Another manager's turn: what it did, if anything.
async fn disturb(world: &World, subject: &Subject, random: &mut StdRng) -> Option<Value> {
    let admin = &world.plane.admin;
    match random.random_range(0..4) {
        0 => None,
        1 => {
            let mut object = subject.applies.choose(random)?.clone();
            for name in ["apiVersion", "kind"] {
                object[name] = subject.base[name].clone();
            }
            object["metadata"]["name"] = subject.base["metadata"]["name"].clone();
            // What is no longer possible beside what Git says is refused, and nothing has happened.
            let done = admin.apply(&subject.path, &object).await.is_ok();
            done.then_some(json!({"applied": object}))
        }
        _ => {
            let patch = subject.edits.choose(random)?;
            let done = admin.merge(&subject.path, patch).await.is_ok();
            done.then(|| json!({"edited": patch}))
        }
    }
}

/// Has Git say something else at a place, or nothing.
fn change<'s>(subject: &'s Subject, said: &mut BTreeMap<&'s str, &'s Value>, random: &mut StdRng) {
    let places: Vec<_> = subject.places.iter().collect();
    let Some(&(place, values)) = places.choose(random) else {
        return;
    };
    let value = values.choose(random).filter(|_| random.random_bool(0.7));
    match value {
        Some(value) => said.insert(place, value),
        None => said.remove(place.as_str()),
    };
}

async fn rounds(
    world: &World,
    account: &Account,
    schema: &SchemaSet,
    subject: &Subject,
    (seed, rounds): (u64, usize),
) -> Tally {
    let merged = CompareOptions {
        merged: true,
        ..CompareOptions::default()
    };
    // All that the server says, also what it is not asked for: nobody writes along here.
    let by_server = CompareOptions {
        server_side: Some(true),
        webhooks: true,
        ..CompareOptions::default()
    };
    let mut random = StdRng::seed_from_u64(seed);
    let mut tally = Tally::default();
    let mut said = BTreeMap::new();
    let key = ResourceKey::of(&subject.base);
    let apply = ApplyOptions::default();
    account.apply(&subject.base, &apply).await.unwrap();
    for round in 0..rounds {
        let theirs = disturb(world, subject, &mut random).await;
        let before = said.clone();
        for _ in 0..random.random_range(0..3) {
            change(subject, &mut said, &mut random);
        }
        let want = target(subject.wanted(&said));
        let Some((body, predicted)) = look(account, &key, &want.object).await else {
            tally.refused += 1;
            said = before;
            continue;
        };
        let by_schema = differences(&want, &body, None, merged, schema);
        let by_server = differences(&want, &body, Some(&predicted), by_server, schema);
        let scene = || {
            format!(
                "NARU_SEED={seed}: {key}, round {round}, after {theirs:?}\nwanted: {}\nlive: {body}\npredicted: {predicted}",
                want.object
            )
        };
        let wrong = disagreement(&by_schema, &by_server);
        assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), scene());
        if by_schema.is_empty() {
            tally.same += 1;
        } else {
            tally.different += 1;
        }
        let applied = account.apply(&want.object, &apply).await.unwrap();
        for options in [merged, CompareOptions::default()] {
            let left = differences(&want, &applied.object, None, options, schema);
            assert!(
                left.is_empty(),
                "right after an apply, {options:?}: {left:?}\n{}\napplied: {}",
                scene(),
                applied.object
            );
        }
    }
    tally
}

pub(crate) async fn the_schema_says_what_the_server_makes_of_an_apply(world: &World) {
    let seed = testkit::paths::variable("NARU_SEED").and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or(1);
    let full = std::env::args().any(|word| word == "--include-ignored");
    let count = if full { ROUNDS_IN_FULL } else { ROUNDS };
    world.tenant("merge").await;
    let account = world.cluster.as_platform();
    let schema = schemas(world, &account).await;
    let subjects: Vec<Subject> =
        serde_json::from_str(include_str!("merging/objects.json")).unwrap();
    let walks = subjects
        .iter()
        .map(|subject| rounds(world, &account, &schema, subject, (seed, count)));
    let tallies = futures::future::join_all(walks).await;
    let mut all = Tally::default();
    for tally in &tallies {
        all.same += tally.same;
        all.different += tally.different;
        all.refused += tally.refused;
    }
    let looks = count * subjects.len();
    assert!(
        all.same > looks / 10 && all.different > looks / 4 && all.refused < looks / 4,
        "NARU_SEED={seed}: the edits must come out both ways, and few be refused: {tallies:?}"
    );
    let definition = ResourceKey::of(&definition());
    account
        .delete(&definition, None, &DeleteOptions::default())
        .await
        .unwrap();
    let index = world.cluster.index();
    let kind = GroupKind::new("example.com", "Knot");
    eventually("no kind", || (!index.is_synced(&kind)).then_some(())).await;
}
