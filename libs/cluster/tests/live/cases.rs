//! The cases by which the simulated cluster of the controller's tests answers are how this one answers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use testkit::kube::Kube;

use crate::{SOON, World};

const CASES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../services/controller/tests/simulation/cases"
);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Why it is here, for readers.
    #[serde(rename = "//")]
    _why: String,
    steps: Vec<Step>,
}

/// A request, and what must be answered; the simulation's `cases.rs` says what each part means.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    method: String,
    path: String,
    #[serde(default)]
    apply: bool,
    #[serde(default)]
    body: Value,
    code: u16,
    #[serde(default)]
    expect: Value,
    #[serde(default)]
    absent: Vec<String>,
    #[serde(default)]
    keep: BTreeMap<String, String>,
    #[serde(default)]
    eventually: bool,
}

type Kept = BTreeMap<String, String>;

pub(crate) async fn the_simulated_cluster_answers_as_this_one(world: &World) {
    let mut files: Vec<_> = fs::read_dir(Path::new(CASES))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 8, "{} cases", files.len());
    let cases = files.iter().map(|file| async move {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let case: Case = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        put(&world.plane.admin, name, &case).await;
    });
    futures::future::join_all(cases).await;
}

async fn put(kube: &Kube, name: &str, case: &Case) {
    let namespace = format!("cases-{name}");
    kube.ensure_namespace(&namespace).await.unwrap();
    let mut kept = Kept::from([("namespace".to_owned(), namespace)]);
    for (number, step) in case.steps.iter().enumerate() {
        let what = format!("{name}, step {}", number + 1);
        let answer = match step.eventually {
            true => {
                let kept = &kept;
                testkit::wait::until(&what, SOON, || ask(kube, step, kept)).await
            }
            false => ask(kube, step, &kept).await,
        };
        let answer = answer.unwrap_or_else(|error| panic!("{what}: {error:#}"));
        for (word, pointer) in &step.keep {
            let value = answer.pointer(pointer).and_then(Value::as_str).unwrap();
            kept.insert(word.clone(), value.to_owned());
        }
    }
}

/// A text with what was kept in the place of its name.
fn filled(text: &str, kept: &Kept) -> String {
    let mut filled = text.to_owned();
    for (word, value) in kept {
        filled = filled.replace(&format!("{{{word}}}"), value);
    }
    filled
}

async fn ask(kube: &Kube, step: &Step, kept: &Kept) -> Result<Value> {
    let method: Method = step.method.parse()?;
    let content_type = match (step.method.as_str(), step.apply) {
        ("PATCH", true) => "application/apply-patch+yaml",
        ("PATCH", false) => "application/merge-patch+json",
        _ => "application/json",
    };
    let mut request = kube
        .request(method, &filled(&step.path, kept))
        .header("content-type", content_type);
    if !step.body.is_null() {
        request = request.body(filled(&step.body.to_string(), kept));
    }
    let response = request.send().await?;
    let code = response.status().as_u16();
    let answer: Value = serde_json::from_str(&response.text().await?)?;
    if code != step.code {
        bail!("answered {code} and not {}: {answer}", step.code);
    }
    let expected: Value = serde_json::from_str(&filled(&step.expect.to_string(), kept))?;
    if let Some(path) = missing(&expected, &answer, "") {
        bail!("{path} is not as expected: {answer}");
    }
    let has = |pointer: &String| answer.pointer(pointer).is_some();
    if let Some(there) = step.absent.iter().find(|pointer| has(pointer)) {
        bail!("{there} is there: {answer}");
    }
    if let Some(lacking) = step.keep.values().find(|pointer| !has(pointer)) {
        bail!("there is no {lacking}: {answer}");
    }
    Ok(answer)
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
