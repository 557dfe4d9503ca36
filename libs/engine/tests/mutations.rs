//! The table of named mistakes (`mutations.toml`) is true as far as that can be seen without building. `cargo xtask
//! mutations` makes each of them, and shows that its cases turn red.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format, Toml};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    mutation: Vec<Mutation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutation {
    name: String,
    file: String,
    from: String,
    to: String,
    cases: Vec<String>,
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn table() -> Vec<Mutation> {
    let table = Figment::from(Toml::file(tests().join("mutations.toml"))).extract::<Table>();
    table.expect("a table of mutations").mutation
}

fn cases() -> BTreeSet<String> {
    let folders = std::fs::read_dir(tests().join("cases")).expect("the cases");
    folders
        .map(|entry| entry.expect("a case"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn each_mistake_can_be_made() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let known = cases();
    let mut names = BTreeSet::new();
    for mutation in table() {
        let Mutation {
            name,
            file,
            from,
            to,
            cases,
        } = mutation;
        assert!(names.insert(name.clone()), "{name}: there are two");
        let pure = ["libs/engine/src/", "libs/domain/src/"];
        assert!(
            pure.iter().any(|src| file.starts_with(src)) && !file.contains(".."),
            "{name}: {file} is no source of engine or domain"
        );
        let text = std::fs::read_to_string(root.join(&file)).unwrap_or_default();
        let count = text.matches(&from).count();
        assert_eq!(count, 1, "{name}: how often {file} has `{from}`");
        assert_ne!(from, to, "{name}: nothing is mistaken");
        assert!(!cases.is_empty(), "{name}: no case is named");
        for case in cases {
            assert!(known.contains(&case), "{name}: there is no case {case}");
        }
    }
}

#[test]
fn each_case_has_a_mistake() {
    let guarded: BTreeSet<String> = table()
        .into_iter()
        .flat_map(|mutation| mutation.cases)
        .collect();
    let cases = cases();
    let unguarded: Vec<&String> = cases.difference(&guarded).collect();
    assert!(
        unguarded.is_empty(),
        "no mutation in mutations.toml turns these cases red: {unguarded:?}"
    );
}
