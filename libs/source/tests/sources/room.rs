//! Mirrors that were not used for long make room for others, and are fetched anew when somebody comes for them.

use std::path::{Path, PathBuf};

use sandbox::Sandbox;
use source::git::{Access, Limits, Login, Mirrors, Rules};
use tempfile::TempDir;

use crate::{here, run};

/// A repository with a file that takes 600 KiB however it is packed, and its commit.
fn repository(folder: &Path, tenant: &str, name: &str, seed: u64) -> (Access, String) {
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
    let access = Access::new(tenant, name, &url, Login::default(), rules).unwrap();
    (access, commit)
}

/// The mirrors of a tenant that are there.
fn there(data: &Path, tenant: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data.join("mirrors").join(tenant)).unwrap();
    let mut there: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    there.sort_unstable();
    there
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
    let (one, of_one) = repository(folder.path(), "tenant", "one", 1);
    let (two, of_two) = repository(folder.path(), "tenant", "two", 2);
    let (three, of_three) = repository(folder.path(), "tenant", "three", 3);

    mirrors.ensure_commit(&one, &of_one).await.unwrap();
    let first = there(&data, "tenant");
    assert_eq!(first.len(), 1, "it has room");
    mirrors.ensure_commit(&two, &of_two).await.unwrap();
    let second = there(&data, "tenant");
    assert_eq!(second.len(), 1, "two have no room");
    assert_ne!(first, second, "the one that was fetched stays");

    // One that somebody reads stays as long as they do.
    let read = mirrors.ensure_commit(&one, &of_one).await.unwrap();
    assert_eq!(there(&data, "tenant"), first);
    mirrors.ensure_commit(&two, &of_two).await.unwrap();
    assert_eq!(there(&data, "tenant").len(), 2, "both are used");
    let found = read.read(|files| files.find("file").map(drop)).await;
    assert!(found.is_ok(), "{found:?}");
    drop(read);
    mirrors.ensure_commit(&three, &of_three).await.unwrap();
    let third = there(&data, "tenant");
    assert_eq!(third.len(), 1, "nobody uses the others any more");
    assert!(third != first && third != second);

    // What an earlier process left is known to the next one, and what it removed is gone.
    drop(mirrors);
    let beside = first[0].with_extension("anew");
    std::fs::create_dir_all(beside.join("objects")).unwrap();
    let mirrors = open();
    assert!(!beside.exists(), "nobody goes on with it");
    mirrors.ensure_commit(&one, &of_one).await.unwrap();
    assert_eq!(there(&data, "tenant"), first);
    let left = std::fs::read_dir(data.join("tmp")).unwrap().count();
    assert_eq!(left, 0, "nothing lies about");
}

#[tokio::test]
async fn what_a_fetch_that_fails_has_brought_counts() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let open = |disk| {
        let limits = Limits {
            disk,
            ..Limits::default()
        };
        Mirrors::new(data.clone(), limits, here(), Sandbox::new(None), None).unwrap()
    };
    let (one, of_one) = repository(folder.path(), "tenant", "one", 1);
    let (two, of_two) = repository(folder.path(), "tenant", "two", 2);
    let mirrors = open(4 << 20);
    mirrors.ensure_commit(&two, &of_two).await.unwrap();
    let second = there(&data, "tenant");
    mirrors.ensure_commit(&one, &of_one).await.unwrap();
    assert_eq!(there(&data, "tenant").len(), 2);
    drop(mirrors);

    let mirrors = open(1 << 20);
    std::fs::remove_dir_all(folder.path().join("two")).unwrap();
    let wanted = "1".repeat(40);
    let failed = mirrors.ensure_commit(&two, &wanted).await.unwrap_err();
    let code = failed.cause().message.code.as_str();
    assert_eq!(code, "source.repository-not-found", "{failed}");
    assert_eq!(there(&data, "tenant"), second, "two have no room");
}

#[tokio::test]
async fn whoever_has_most_makes_room_of_their_own_and_leaves_everybody_elses() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    // Of five mirrors.
    let limits = Limits {
        disk: 3500 << 10,
        ..Limits::default()
    };
    let mirrors = Mirrors::new(data.clone(), limits, here(), Sandbox::new(None), None).unwrap();
    let made = |tenant: &str, seed: u64| {
        repository(folder.path(), tenant, &format!("{tenant}-{seed}"), seed)
    };
    let large: Vec<_> = (1..=5).map(|seed| made("large", seed)).collect();
    for (access, commit) in &large {
        mirrors.ensure_commit(access, commit).await.unwrap();
    }
    assert_eq!(there(&data, "large").len(), 5, "what is free is anybody's");

    // Two are more than a third of the room, and less than what the largest has.
    for (tenant, seed) in [("small", 6), ("middle", 7), ("middle", 8)] {
        let (access, commit) = made(tenant, seed);
        mirrors.ensure_commit(&access, &commit).await.unwrap();
    }
    let others = || (there(&data, "small"), there(&data, "middle"));
    let (small, middle) = others();
    assert_eq!((small.len(), middle.len()), (1, 2), "they have found room");
    assert_eq!(there(&data, "large").len(), 2);

    // However often the largest comes for another, and though the others' were used longest ago.
    for (access, commit) in &large {
        mirrors.ensure_commit(access, commit).await.unwrap();
        assert_eq!(others(), (small.clone(), middle.clone()));
        assert_eq!(there(&data, "large").len(), 2);
    }
}
