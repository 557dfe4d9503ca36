//! Puts the cases of `cases/` to the simulated cluster. `libs/cluster/tests/live/cases.rs` puts the same to a real one.

use std::path::Path;

use domain::resource::ResourceKey;
use serde_json::Value;

use crate::case::{self, Case, Kept, Step, filled};
use crate::cluster::{Apiserver, KINDS, Request, Verb};

/// How often what happens by itself is waited for.
const PATIENCE: usize = 50;

/// Puts all of them.
pub(crate) fn all() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulation/cases");
    for (name, case) in case::all(&folder) {
        put(&name, &case);
    }
}

fn put(name: &str, case: &Case) {
    let mut api = Apiserver::default();
    let mut kept = Kept::from([("namespace".to_owned(), "cases".to_owned())]);
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
        let mut tries = if step.eventually { PATIENCE } else { 1 };
        let answer = loop {
            tries -= 1;
            let answer = api.serve(&request);
            match step.wrong(&kept, answer.code, &answer.object) {
                None => break answer,
                Some(_) if tries > 0 => {
                    for key in api.restless() {
                        api.tick(&key);
                    }
                }
                Some(wrong) => panic!("{name}, step {}: {wrong}\n{:#}", number + 1, answer.object),
            }
        };
        step.learn(&answer.object, &mut kept);
    }
}

fn request(step: &Step, kept: &Kept) -> Request {
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
