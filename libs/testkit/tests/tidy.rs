//! What the compiler does not check: crate edges, one door per outside thing, module docs, orphan files, a true map.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which of our crates each of our crates may lean on. Everything else is an edge in the wrong direction.
const EDGES: &[(&str, &[&str])] = &[
    ("libs/domain", &[]),
    ("libs/engine", &["domain"]),
    ("libs/sandbox", &[]),
    ("libs/crowd", &[]),
    ("libs/source", &["domain", "sandbox", "crowd"]),
    ("libs/script", &["domain", "sandbox"]),
    ("libs/cluster", &["domain", "crowd"]),
    ("libs/store", &["domain"]),
    ("libs/cache", &["domain"]),
    ("libs/runtime", &["domain"]),
    ("libs/testkit", &["domain"]),
    ("proto", &["domain"]),
    (
        "services/api",
        &["domain", "proto", "store", "cache", "crowd", "runtime"],
    ),
    (
        "services/repo-server",
        &[
            "domain", "proto", "cache", "source", "sandbox", "crowd", "runtime",
        ],
    ),
    (
        "services/controller",
        &[
            "domain", "proto", "store", "cluster", "engine", "script", "sandbox", "crowd",
            "runtime",
        ],
    ),
    ("loadtest", &["proto", "testkit"]),
    ("xtask", &["testkit"]),
];

/// The doors: who alone may link a crate of the outside.
const DOORS: &[(&str, &[&str])] = &[
    ("sqlx", &["libs/store"]),
    ("redis", &["libs/cache"]),
    ("kube", &["libs/cluster"]),
    ("k8s-openapi", &["libs/cluster"]),
    ("git2", &["libs/source"]),
    ("mlua", &["libs/script"]),
    ("landlock", &["libs/sandbox"]),
    ("axum", &["libs/runtime", "services/api"]),
    ("tracing-subscriber", &["libs/runtime"]),
    ("clap", &["xtask", "loadtest"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("libs/testkit is two levels down")
        .to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref())
        .unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// The names under `[dependencies]` (and, when `dev`, `[dev-dependencies]`) of a manifest.
fn dependencies(manifest: &str, dev: bool) -> BTreeSet<String> {
    let mut section = "";
    let mut names = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim();
        } else if (section == "[dependencies]" || (dev && section == "[dev-dependencies]"))
            && let Some(end) = line.find(['.', ' ', '='])
            && !line.starts_with('#')
            && end > 0
        {
            names.insert(line[..end].to_owned());
        }
    }
    names
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if !["target", "gen", ".git", ".naru", "node_modules"]
                .iter()
                .any(|skip| name == *skip)
            {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    sources(&root(), &mut found);
    assert!(found.len() > 50, "the walk finds the sources");
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

#[test]
fn crates_lean_only_where_they_may() {
    let ours: BTreeSet<&str> = EDGES
        .iter()
        .map(|(path, _)| path.rsplit('/').next().unwrap_or(path))
        .collect();
    for (path, allowed) in EDGES {
        for name in dependencies(&read(root().join(path).join("Cargo.toml")), false) {
            if ours.contains(name.as_str()) {
                assert!(
                    allowed.contains(&name.as_str()),
                    "{path} must not depend on {name}"
                );
            }
        }
    }
}

#[test]
fn every_member_is_in_the_table_of_edges() {
    let manifest = read(root().join("Cargo.toml"));
    let members = manifest
        .split("members = [")
        .nth(1)
        .and_then(|rest| rest.split(']').next())
        .expect("a member list");
    for member in members
        .split(',')
        .map(|m| m.trim().trim_matches('"'))
        .filter(|m| !m.is_empty())
    {
        assert!(
            EDGES.iter().any(|(path, _)| *path == member),
            "{member} is missing in EDGES"
        );
    }
}

#[test]
fn each_outside_thing_has_one_door() {
    for (path, _) in EDGES {
        for name in dependencies(&read(root().join(path).join("Cargo.toml")), false) {
            if let Some((_, doors)) = DOORS.iter().find(|(outside, _)| *outside == name) {
                assert!(
                    doors.contains(path),
                    "{path} links {name}, whose door is {doors:?}"
                );
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for path in all_sources() {
        let text = read(&path);
        let first = text
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default();
        assert!(
            first.starts_with("//!") || first.starts_with("#![doc"),
            "{} has no module doc",
            relative(&path)
        );
    }
}

#[test]
fn no_file_is_an_orphan() {
    for path in all_sources() {
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        let folder = path.parent().expect("a file has a folder");
        let folder_name = folder
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let is_root = matches!(stem, "main" | "lib" | "build")
            || ["bin", "tests", "benches", "examples"].contains(&folder_name)
                && folder.join("../Cargo.toml").exists();
        if is_root {
            continue;
        }
        let parents = [
            folder.join("lib.rs"),
            folder.join("main.rs"),
            folder.with_extension("rs"),
            folder.join("mod.rs"),
        ];
        // An integration test with parts: tests/<name>/<part>.rs is declared in tests/<name>.rs or tests/<name>/main.rs.
        let declared = parents
            .iter()
            .filter(|parent| parent.exists())
            .any(|parent| {
                let text = read(parent);
                text.contains(&format!("mod {stem};"))
                    || text.contains(&format!("/{stem}.rs\""))
                    || text.contains(&format!("\"{stem}.rs\""))
            });
        assert!(declared, "{} is declared by no module", relative(&path));
    }
}

#[test]
fn the_map_is_true() {
    let map = read(root().join("ARCHITECTURE.md"));
    for (path, _) in EDGES {
        assert!(
            map.contains(&format!("`{path}`")),
            "ARCHITECTURE.md does not name {path}"
        );
    }
    for (position, part) in map.split('`').enumerate() {
        let top = part.split('/').next().unwrap_or_default();
        let is_path = position % 2 == 1
            && part.contains('/')
            && !part.contains([' ', '<', '*', '{', '$', ':', '('])
            && [
                "libs",
                "services",
                "proto",
                "migrations",
                "helm",
                "xtask",
                "loadtest",
                "docs",
                "examples",
            ]
            .contains(&top);
        if is_path {
            assert!(
                root().join(part).exists(),
                "ARCHITECTURE.md names `{part}`, which does not exist"
            );
        }
    }
}

#[test]
fn nothing_is_left_for_later_in_the_code() {
    // Written apart, so that this file does not find itself.
    let marks = [
        concat!("todo", "!("),
        concat!("unimpl", "emented!("),
        concat!("#[ign", "ore"),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
    ];
    for path in all_sources() {
        let text = read(&path);
        for mark in marks {
            assert!(!text.contains(mark), "{} contains {mark}", relative(&path));
        }
    }
}
