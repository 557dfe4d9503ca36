//! What a case says: requests, and what a cluster answers to them. The tests of `libs/cluster` read cases by this file too.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

/// What was kept of answers, by the words under which later steps name it.
pub(crate) type Kept = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// Why it is here, for readers.
    #[serde(rename = "//")]
    _why: String,
    pub(crate) steps: Vec<Step>,
}

/// A request, and what must be answered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Whether a PATCH is an apply; else it is a merge.
    #[serde(default)]
    pub(crate) apply: bool,
    #[serde(default)]
    pub(crate) body: Value,
    code: u16,
    /// What the answer has at least.
    #[serde(default)]
    expect: Value,
    /// What it has not, as JSON pointers.
    #[serde(default)]
    absent: Vec<String>,
    /// What later steps may name, as JSON pointers into the answer.
    #[serde(default)]
    keep: Kept,
    /// Whether it comes about by itself, after a while.
    #[serde(default)]
    pub(crate) eventually: bool,
}

/// All cases of a folder, with their names.
pub(crate) fn all(folder: &Path) -> Vec<(String, Case)> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8, "{} cases", files.len());
    let read = files.iter().map(|file| {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(file).unwrap();
        let case: Case = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        (name, case)
    });
    read.collect()
}

/// A text with what was kept in the place of its name.
pub(crate) fn filled(text: &str, kept: &Kept) -> String {
    let mut filled = text.to_owned();
    for (word, value) in kept {
        filled = filled.replace(&format!("{{{word}}}"), value);
    }
    filled
}

impl Step {
    /// Why this is not what must be answered.
    pub(crate) fn wrong(&self, kept: &Kept, code: u16, answer: &Value) -> Option<String> {
        if self.code != code {
            return Some(format!("answered {code} and not {}", self.code));
        }
        let expected: Value =
            serde_json::from_str(&filled(&self.expect.to_string(), kept)).unwrap();
        if let Some(path) = missing(&expected, answer, "") {
            return Some(format!("{path} is not as expected"));
        }
        let has = |pointer: &String| answer.pointer(pointer).is_some();
        let there = self.absent.iter().find(|pointer| has(pointer));
        let lacking = self.keep.values().find(|pointer| !has(pointer));
        match (there, lacking) {
            (Some(there), _) => Some(format!("{there} is there")),
            (None, Some(lacking)) => Some(format!("there is no {lacking}")),
            (None, None) => None,
        }
    }

    /// Keeps what later steps may name.
    pub(crate) fn learn(&self, answer: &Value, kept: &mut Kept) {
        for (word, pointer) in &self.keep {
            let value = answer.pointer(pointer).and_then(Value::as_str).unwrap();
            kept.insert(word.clone(), value.to_owned());
        }
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
