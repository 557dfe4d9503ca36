//! Mirrors that were not used for long make room for others, and are fetched anew when somebody comes for them.

use std::path::{Path, PathBuf};

use sandbox::Sandbox;
use source::git::{Access, Limits, Login, Mirrors, Rules};
use tempfile::TempDir;

use crate::{here, run};

/// A repository with a file that takes 600 KiB however it is packed, and its commit.
fn repository(folder: &Path, name: &str, seed: u64) -> (Access, String) {
    let work = folder.join(name);
    std::fs::create_dir_all(&work).unwrap();
    let mut state = seed;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let content: Vec<u8> = (0..600 << 7).flat_map(|_| noise()).collect();
    std::fs::write(work.join("file"), content).unwrap();
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
        let sign = ["-c", "commit.gpgsign=false"];
        run("git", &work, &[&who[..], &sign, arguments].concat())
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "all"]);
    let commit = git(&["rev-parse", "HEAD"]);
    let url = format!("file://{}/.git", work.display());
    let rules = Rules { files: true };
    let access = Access::new("tenant", name, &url, Login::default(), rules).unwrap();
    (access, commit)
}

/// The mirrors that are there.
fn there(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data.join("mirrors/tenant")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn a_mirror_that_was_not_used_for_long_makes_room_and_comes_back() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let limits = Limits {
        disk: 1 << 20,
        ..Limits::default()
    };
    let open = || Mirrors::new(data.clone(), limits, here(), Sandbox::new(None), None).unwrap();
    let mirrors = open();
    let (one, of_one) = repository(folder.path(), "one", 1);
    let (two, of_two) = repository(folder.path(), "two", 2);
    let (three, of_three) = repository(folder.path(), "three", 3);

    mirrors.ensure_commit(&one, &of_one).await.unwrap();
    let first = there(&data);
    assert_eq!(first.len(), 1, "it has room");
    mirrors.ensure_commit(&two, &of_two).await.unwrap();
    let second = there(&data);
    assert_eq!(second.len(), 1, "two have no room");
    assert_ne!(first, second, "the one that was fetched stays");

    // One that somebody reads stays as long as they do.
    let read = mirrors.ensure_commit(&one, &of_one).await.unwrap();
    assert_eq!(there(&data), first);
    mirrors.ensure_commit(&two, &of_two).await.unwrap();
    assert_eq!(there(&data).len(), 2, "both are used");
    let found = read.read(|files| files.find("file").map(drop)).await;
    assert!(found.is_ok(), "{found:?}");
    drop(read);
    mirrors.ensure_commit(&three, &of_three).await.unwrap();
    let third = there(&data);
    assert_eq!(third.len(), 1, "nobody uses the others any more");
    assert!(third != first && third != second);

    // What an earlier process left is known to the next one, and what it removed is gone.
    drop(mirrors);
    let beside = first[0].with_extension("anew");
    std::fs::create_dir_all(beside.join("objects")).unwrap();
    let mirrors = open();
    assert!(!beside.exists(), "nobody goes on with it");
    mirrors.ensure_commit(&one, &of_one).await.unwrap();
    assert_eq!(there(&data), first);
    let left = std::fs::read_dir(data.join("tmp")).unwrap().count();
    assert_eq!(left, 0, "nothing lies about");
}
