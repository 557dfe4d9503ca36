//! The files of a repository as a value, and as commits of a real one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What stands at a path.
#[derive(Clone, PartialEq)]
pub(crate) enum Entry {
    File(Vec<u8>),
    /// A symbolic link, and where it leads.
    Link(String),
}

impl Entry {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::File(content) => std::str::from_utf8(content).ok(),
            Self::Link(_) => None,
        }
    }
}

/// All files and links by their paths; folders are where something is in them, as in Git.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Tree(BTreeMap<String, Entry>);

impl Tree {
    /// Puts what a folder of the disk has below a path.
    pub(crate) fn copy(&mut self, from: &Path, to: &str) {
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let path = join(to, entry.file_name().to_str().unwrap());
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                self.copy(&entry.path(), &path);
            } else if kind.is_symlink() {
                let target = std::fs::read_link(entry.path()).unwrap();
                self.put(&path, Entry::Link(target.to_str().unwrap().to_owned()));
            } else {
                self.put(&path, Entry::File(std::fs::read(entry.path()).unwrap()));
            }
        }
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Entry> {
        self.0.get(path)
    }

    /// Puts something at a path, in place of whatever is there or in the way.
    pub(crate) fn put(&mut self, path: &str, entry: Entry) {
        self.take(path);
        for (at, _) in path.match_indices('/') {
            self.0.remove(&path[..at]);
        }
        self.0.insert(path.to_owned(), entry);
    }

    pub(crate) fn put_text(&mut self, path: &str, text: &str) {
        self.put(path, Entry::File(text.as_bytes().to_vec()));
    }

    /// Takes away what is at a path and below it, by the paths from there.
    pub(crate) fn take(&mut self, path: &str) -> Self {
        let below = format!("{path}/");
        let there = |at: &str| at == path || at.starts_with(&below);
        let taken = self.0.extract_if(.., |at, _| there(at));
        Self(
            taken
                .map(|(at, entry)| (at[path.len()..].trim_start_matches('/').to_owned(), entry))
                .collect(),
        )
    }

    /// Puts what was taken to another path.
    pub(crate) fn put_all(&mut self, path: &str, taken: Self) {
        for (at, entry) in taken.0 {
            self.put(&join(path, &at), entry);
        }
    }

    /// What is below a folder, by the paths from there; nothing where an edit has made it something else.
    pub(crate) fn below(&self, folder: &str) -> Self {
        let mut below = self.clone().take(folder);
        below.0.remove("");
        below
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// The folders, without the root.
    pub(crate) fn folders(&self) -> Vec<String> {
        let paths = self.0.keys();
        let folders = paths.flat_map(|path| {
            let ends = path.match_indices('/');
            ends.map(|(at, _)| path[..at].to_owned())
        });
        folders.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Has every text say something else for a word.
    pub(crate) fn say(&mut self, word: &str, instead: &str) {
        for entry in self.0.values_mut() {
            if let Some(text) = entry.text() {
                *entry = Entry::File(text.replace(word, instead).into_bytes());
            }
        }
    }
}

/// A path in a folder.
pub(crate) fn join(folder: &str, path: &str) -> String {
    match (folder, path) {
        ("", path) | (path, "") => path.to_owned(),
        (folder, path) => format!("{folder}/{path}"),
    }
}

/// The folder of a path.
pub(crate) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[expect(clippy::disallowed_methods, reason = "tests build their own fixtures")]
fn git(arguments: &[&str], folder: &Path, input: &[u8]) -> Output {
    let mut child = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    output
}

/// Makes a bare repository with a commit per tree on `main`, one after the other, and the tag `v1` at the last; says which
/// commits these are.
pub(crate) fn repository<'t>(folder: &Path, trees: impl Iterator<Item = &'t Tree>) -> Vec<String> {
    std::fs::create_dir_all(folder).unwrap();
    let init = ["init", "--quiet", "--bare", "--initial-branch=main"];
    git(&init, folder, b"");
    let mut stream = Vec::new();
    let mut count = 0;
    for tree in trees {
        count += 1;
        // Each at a moment of its own: a commit with the same files is another one too.
        let head = format!(
            "commit refs/heads/main\nmark :{count}\ncommitter A Tester <tester@example.com> {count} +0000\ndata 0\ndeleteall\n"
        );
        stream.extend(head.into_bytes());
        for (path, entry) in &tree.0 {
            let (mode, content) = match entry {
                Entry::File(content) => ("100644", content.as_slice()),
                Entry::Link(target) => ("120000", target.as_bytes()),
            };
            let head = format!("M {mode} inline {path}\ndata {}\n", content.len());
            stream.extend(head.into_bytes());
            stream.extend(content);
            stream.push(b'\n');
        }
    }
    stream.extend(format!("reset refs/tags/v1\nfrom :{count}\n\n").into_bytes());
    let import = ["fast-import", "--quiet", "--export-marks=marks"];
    git(&import, folder, &stream);
    let marks = std::fs::read_to_string(folder.join("marks")).unwrap();
    let mut commits = vec![String::new(); count];
    for line in marks.lines() {
        let (mark, commit) = line.split_once(' ').unwrap();
        let number: usize = mark[1..].parse().unwrap();
        commits[number - 1] = commit.to_owned();
    }
    commits
}

/// Has refs of a repository lead to one of its commits.
pub(crate) fn lead(folder: &Path, refs: &[&str], commit: &str) {
    let lines = refs.iter().map(|name| format!("update {name} {commit}\n"));
    let lines: String = lines.collect();
    git(&["update-ref", "--stdin"], folder, lines.as_bytes());
}
