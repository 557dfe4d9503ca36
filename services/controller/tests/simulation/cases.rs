//! Puts the cases of `cases/` to the simulated cluster. `libs/cluster/tests/live/cases.rs` puts the same to a real one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use domain::resource::ResourceKey;
use serde::Deserialize;
use serde_json::Value;

use crate::cluster::{Answer, Apiserver, KINDS, Request, Verb};

/// How often what happens by itself is waited for.
const PATIENCE: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Why it is here, for readers.
    #[serde(rename = "//")]
    _why: String,
    steps: Vec<Step>,
}

/// A request, and what must be answered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    method: String,
    path: String,
    /// Whether a PATCH is an apply; else it is a merge.
    #[serde(default)]
    apply: bool,
    #[serde(default)]
    body: Value,
    code: u16,
    /// What the answer has at least.
    #[serde(default)]
    expect: Value,
    /// What it has not, as JSON pointers.
    #[serde(default)]
    absent: Vec<String>,
    /// What later steps may name, as JSON pointers into the answer.
    #[serde(default)]
    keep: BTreeMap<String, String>,
    /// Whether it comes about by itself, after a while.
    #[serde(default)]
    eventually: bool,
}

/// Puts all of them.
pub(crate) fn all() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulation/cases");
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.collect();
    files.sort();
    assert!(files.len() >= 8, "{} cases", files.len());
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let case: Case = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        put(&name, &case);
    }
}

fn put(name: &str, case: &Case) {
    let mut api = Apiserver::default();
    let mut kept = BTreeMap::from([("namespace".to_owned(), "cases".to_owned())]);
    let namespace =
        serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cases"}});
    let made = api.serve(&Request {
        verb: Verb::Create,
        key: ResourceKey::of(&namespace),
        body: namespace,
        manager: "kubectl".to_owned(),
        dry_run: false,
    });
    assert!(made.is_good(), "{}", made.message());
    for (number, step) in case.steps.iter().enumerate() {
        let request = request(step, &kept);
        let expected: Value =
            serde_json::from_str(&filled(&step.expect.to_string(), &kept)).unwrap();
        let mut tries = if step.eventually { PATIENCE } else { 1 };
        let answer = loop {
            tries -= 1;
            let answer = api.serve(&request);
            let wrong = wrong(step, &expected, &answer);
            match wrong {
                None => break answer,
                Some(_) if tries > 0 => {
                    for key in api.restless() {
                        api.tick(&key);
                    }
                }
                Some(wrong) => panic!("{name}, step {}: {wrong}\n{:#}", number + 1, answer.object),
            }
        };
        for (word, pointer) in &step.keep {
            let value = answer.object.pointer(pointer).and_then(Value::as_str);
            let value = value.unwrap_or_else(|| panic!("{name}: no {pointer}"));
            kept.insert(word.clone(), value.to_owned());
        }
    }
}

/// A text with what was kept in the place of its name.
fn filled(text: &str, kept: &BTreeMap<String, String>) -> String {
    let mut filled = text.to_owned();
    for (word, value) in kept {
        filled = filled.replace(&format!("{{{word}}}"), value);
    }
    filled
}

fn request(step: &Step, kept: &BTreeMap<String, String>) -> Request {
    let path = filled(&step.path, kept);
    let body: Value = serde_json::from_str(&filled(&step.body.to_string(), kept)).unwrap();
    let (path, query) = path.split_once('?').unwrap_or((path.as_str(), ""));
    let asks = |what: &str| query.split('&').any(|pair| pair == what);
    let mut managers = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("fieldManager="));
    let verb = match step.method.as_str() {
        "GET" => Verb::Get,
        "POST" => Verb::Create,
        "PUT" => Verb::Replace,
        "PATCH" if step.apply => Verb::Apply {
            force: asks("force=true"),
        },
        "PATCH" => Verb::Merge,
        "DELETE" => Verb::Delete,
        other => panic!("{other} is no method of these cases"),
    };
    Request {
        key: key(path, &body),
        verb,
        manager: managers.next().unwrap_or("kubectl").to_owned(),
        // Of a deletion that has options in its body, the body decides.
        dry_run: asks("dryRun=All") || !body["dryRun"].is_null(),
        body,
    }
}

/// What a path leads to; the name is the body's where the path has none.
fn key(path: &str, body: &Value) -> ResourceKey {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (group, rest) = match parts.as_slice() {
        ["api", "v1", rest @ ..] => ("", rest),
        ["apis", group, "v1", rest @ ..] => (*group, rest),
        _ => panic!("{path} is no path of these cases"),
    };
    let (namespace, plural, name) = match rest {
        ["namespaces"] => ("", "namespaces", None),
        ["namespaces", name] => ("", "namespaces", Some(*name)),
        ["namespaces", namespace, plural] => (*namespace, *plural, None),
        ["namespaces", namespace, plural, name] => (*namespace, *plural, Some(*name)),
        _ => panic!("{path} is no path of these cases"),
    };
    let kind = KINDS
        .iter()
        .find(|kind| (kind.group, kind.plural) == (group, plural));
    let kind = kind.unwrap_or_else(|| panic!("{path}: no such kind"));
    let own = domain::resource::text(body, &["metadata", "name"]);
    ResourceKey {
        group: group.to_owned(),
        kind: kind.kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.unwrap_or(own).to_owned(),
    }
}

fn wrong(step: &Step, expected: &Value, answer: &Answer) -> Option<String> {
    if step.code != answer.code {
        return Some(format!("answered {} and not {}", answer.code, step.code));
    }
    if let Some(path) = missing(expected, &answer.object, "") {
        return Some(format!("{path} is not as expected"));
    }
    let has = |pointer: &String| answer.object.pointer(pointer).is_some();
    let there = step.absent.iter().find(|pointer| has(pointer));
    let lacking = step.keep.values().find(|pointer| !has(pointer));
    match (there, lacking) {
        (Some(there), _) => Some(format!("{there} is there")),
        (None, Some(lacking)) => Some(format!("there is no {lacking}")),
        (None, None) => None,
    }
}

/// Where an answer is not at least what is expected.
fn missing(expected: &Value, got: &Value, path: &str) -> Option<String> {
    match (expected, got) {
        (Value::Null, _) => None,
        (Value::Object(expected), Value::Object(got)) => {
            expected.iter().find_map(|(name, expected)| {
                let path = format!("{path}/{name}");
                match got.get(name) {
                    Some(got) => missing(expected, got, &path),
                    None => Some(path),
                }
            })
        }
        (expected, got) => (expected != got).then(|| path.to_owned()),
    }
}
