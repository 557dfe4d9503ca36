//! Our reading of addresses beside kustomize's own: of what people write, and of what is put together at random of what
//! addresses are made of. `NARU_SEED` says with which it begins.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde::Deserialize;
use testkit::command::{command, output_of_input};
use testkit::progress::Progress;
use testkit::tools;

use super::tests::{NONE, READ};
use super::{Remote, is_file, parse};

const ENTRIES: usize = 20_000;
const ENTRIES_IN_FULL: usize = 400_000;

const BEGINNINGS: &[&str] = &[
    "https://h/org/repo",
    "https://me@dev.azure.com/org/p/_git/repo",
    "git@h:org/repo",
    "me@h/org/repo",
    "github.com/org/repo",
    "ssh://git@h/org/repo",
    "file:///srv/repo",
    "",
];
const PIECES: &[&str] = &[
    "git::",
    "GIT::",
    "ssh://",
    "https://",
    "HTTP://",
    "http://",
    "file://",
    "ftp://",
    "git@",
    "me@",
    "me:secret@",
    "x.y@",
    "github.com",
    "GitHub.com",
    "gitlab.example",
    "h:8443",
    "/",
    "/",
    "/",
    ":",
    "//",
    "///",
    "_git/",
    ".git",
    "org",
    "repo",
    "a.b",
    "..",
    ".",
    "base",
    "dev",
    "?",
    "ref=",
    "version=",
    "&",
    "v1.0",
    "main",
    "timeout=5",
    "%2F",
    "%zz",
    "%4",
    ";",
    "+",
    "#",
    "=",
    "한글",
    "a.yaml",
    ".json",
    "-",
    "@",
    "~",
    " ",
];
const ENDS: &[&str] = &[
    "",
    "?ref=v1",
    "//base?ref=main",
    "/base",
    "?version=v2&timeout=10",
    "/../x",
    "//a/../../b",
];

/// How kustomize reads an address.
#[derive(Debug, Deserialize)]
struct Theirs {
    repository: String,
    path: String,
    revision: String,
}

fn at_random(random: &mut StdRng) -> String {
    let mut entry = String::new();
    entry.extend(BEGINNINGS.choose(random).copied());
    for _ in 0..random.random_range(0..=6) {
        entry.extend(PIECES.choose(random).copied());
    }
    entry.extend(ENDS.choose(random).copied());
    entry
}

async fn ask_kustomize(entries: &[String]) -> Vec<Option<Theirs>> {
    let program = tools::addresses(&Progress::silent()).await.unwrap();
    let asked = serde_json::to_string(entries).unwrap();
    let said = output_of_input(&mut command(program), &asked)
        .await
        .unwrap();
    serde_json::from_str(&said).unwrap()
}

/// Whether it is on purpose that we do not take what kustomize does.
fn is_refused(entry: &str, theirs: &Theirs) -> bool {
    // It asks the web server first, and so do we.
    let of_the_web = is_file(entry);
    // Taken for a path from the root of the disk, it does not leave the repository, and then does.
    let leads_out = entry.contains("///") && entry.contains("..");
    let address = theirs.repository.as_str();
    // What stands before `://` is a scheme where it has nothing but letters; else it begins the authority.
    let rest = match address.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|c| c.is_ascii_alphabetic()) => rest,
        _ => address,
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let with_login = authority.rsplit_once('@').is_some_and(|(user, _)| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !user.starts_with(|c: char| c.is_ascii_alphabetic()) || !user.chars().all(plain)
    });
    of_the_web || leads_out || with_login
}

/// Whether both read an entry as the same.
fn agree(entry: &str, ours: Option<&Remote>, theirs: Option<&Theirs>) -> bool {
    match (ours, theirs) {
        (None, None) => true,
        (Some(_), None) => false,
        (None, Some(theirs)) => is_refused(entry, theirs),
        (Some(ours), Some(theirs)) => {
            // Whoever runs kustomize has a name; we have the one with which GitHub lets in.
            let repository = match theirs.repository.starts_with("github.com:") {
                true => format!("git@{}", theirs.repository),
                false => theirs.repository.clone(),
            };
            ours.repository == repository
                && ours.path == theirs.path
                && ours.revision == theirs.revision
        }
    }
}

#[tokio::test]
async fn addresses_at_random_are_read_as_kustomize_reads_them() {
    let seed = testkit::paths::variable("NARU_SEED").and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(1);
    let mut random = StdRng::seed_from_u64(seed);
    let full = std::env::args().any(|word| word == "--include-ignored");
    let count = if full { ENTRIES_IN_FULL } else { ENTRIES };
    let listed = READ.iter().map(|(entry, ..)| *entry).chain(NONE.to_vec());
    let mut entries: Vec<String> = listed.map(str::to_owned).collect();
    entries.extend((0..count).map(|_| at_random(&mut random)));
    let all = ask_kustomize(&entries).await;
    assert_eq!(all.len(), entries.len());
    let (mut addresses, mut refused) = (0, 0);
    for (entry, theirs) in entries.iter().zip(&all) {
        let ours = parse(entry);
        assert!(
            agree(entry, ours.as_ref(), theirs.as_ref()),
            "NARU_SEED={seed}: {entry:?} is {ours:?} to us and {theirs:?} to kustomize"
        );
        addresses += usize::from(ours.is_some());
        refused += usize::from(ours.is_none() && theirs.is_some());
    }
    println!("NARU_SEED={seed}: {addresses} addresses, {refused} that kustomize alone takes");
    assert!(
        addresses > count / 4 && entries.len() - addresses - refused > count / 10,
        "both have to come out: {addresses}, {refused}"
    );
}
