//! Histories that were pushed over: what is followed is what the refs say now, and what was deployed of an earlier one can
//! still be rendered.

use std::collections::HashMap;

use git2::{ObjectType, Oid};
use sandbox::Sandbox;
use serde_json::json;
use source::Kind;
use source::git::{Limits, Mirrors, Node};

use crate::{DEPLOYMENT, SERVICE, World, here, input, run, walk};

#[tokio::test]
async fn a_history_that_was_pushed_over_is_followed_and_what_was_deployed_of_it_stays() {
    let world = World::new();
    let access = world.access();
    let source = input(json!({"path": "a"}));
    let kind = async |commit: &str| {
        let rendered = world.renderer.render(&access, commit, &source).await;
        let rendered = rendered.unwrap();
        assert_eq!(rendered.manifests.len(), 1);
        rendered.manifests[0].object["kind"].clone()
    };
    let follows = async |revision: &str, commit: &str| {
        let found = world.mirrors.resolve(&access, revision, true).await;
        assert_eq!(found.unwrap(), commit, "{revision}");
    };
    let first = world.write("a/x.yaml", SERVICE).commit();
    world.git(&["tag", "v1"]);
    follows("main", &first).await;
    assert_eq!(kind(&first).await, "Service");

    // The commit is written anew, and the tag moved.
    world.write("a/x.yaml", DEPLOYMENT);
    world.git(&["add", "--all"]);
    world.git(&["commit", "--quiet", "--amend", "--message", "again"]);
    let second = world.git(&["rev-parse", "HEAD"]);
    world.git(&["tag", "--force", "v1"]);
    assert_ne!(first, second);
    follows("main", &second).await;
    follows("v1", &second).await;
    assert_eq!(kind(&second).await, "Deployment");

    // A history that has nothing in common with it.
    world.git(&["checkout", "--quiet", "--orphan", "other"]);
    let third = world.write("a/x.yaml", SERVICE).commit();
    world.git(&["branch", "--force", "main"]);
    world.git(&["branch", "x"]);
    assert_eq!(world.git(&["rev-list", "--count", "main"]), "1");
    follows("main", &third).await;
    assert_eq!(kind(&third).await, "Service");

    // A branch where another one's folder has to be.
    world.git(&["branch", "--delete", "--force", "x"]);
    world.write("b/y.yaml", SERVICE).commit();
    world.git(&["branch", "x/y"]);
    let fourth = world.git(&["rev-parse", "x/y"]);
    follows("x/y", &fourth).await;
    assert_eq!(kind(&fourth).await, "Service");

    // Whoever goes back needs nothing of a server that has thrown it away.
    world.git(&["reflog", "expire", "--expire=now", "--all"]);
    world.git(&["gc", "--quiet", "--prune=now"]);
    std::fs::rename(world.work(), world.folder.path().join("away")).unwrap();
    assert_eq!(kind(&first).await, "Service");
    assert_eq!(kind(&second).await, "Deployment");
    assert!(
        world.mirrors.resolve(&access, "main", true).await.is_err(),
        "nobody answers"
    );
}

/// The first of these commits and of these objects that begin with the same seven digits, as they are written. There are some
/// among twenty thousand, and always the same.
fn alike(
    commit: impl Fn(u32) -> String,
    (kind, object): (ObjectType, impl Fn(u32) -> String),
) -> (String, String) {
    let begins = |kind: ObjectType, content: &str| {
        let id = Oid::hash_object(kind, content.as_bytes()).unwrap();
        id.to_string()[..7].to_owned()
    };
    let mut known: HashMap<String, u32> = HashMap::new();
    for number in 0.. {
        if let Some(earlier) = known.get(&begins(kind, &object(number))) {
            return (commit(*earlier), object(number));
        }
        known.insert(begins(ObjectType::Commit, &commit(number)), number);
    }
    unreachable!("there are more numbers than such beginnings")
}

/// A commit of a tree, as it is written.
fn numbered(tree: &str, number: u32) -> String {
    let who = "A Tester <tester@example.com> 0 +0000";
    format!("tree {tree}\nauthor {who}\ncommitter {who}\n\n{number}\n")
}

/// Writes a commit that is below nothing yet.
fn written(world: &World, content: &str) -> String {
    world.write("commit", content);
    let id = world.git(&["hash-object", "-t", "commit", "-w", "commit"]);
    std::fs::remove_file(world.work().join("commit")).unwrap();
    id
}

/// Another commit above one.
fn above(world: &World, tree: &str, below: &str) -> String {
    world.git(&["commit-tree", tree, "-p", below, "-m", "above it"])
}

#[tokio::test]
async fn a_short_commit_that_several_begin_with_is_told_and_other_objects_are_none_of_them() {
    let world = World::new();
    world.write("a/x.yaml", SERVICE).commit();
    let tree = world.git(&["rev-parse", "HEAD^{tree}"]);
    let commit = |number: u32| numbered(&tree, number);
    let written = |content: &str| written(&world, content);
    let above = |below: &str| above(&world, &tree, below);
    let access = world.access();
    let asked = async |revision: &str, fresh| {
        let found = world.mirrors.resolve(&access, revision, fresh).await;
        found.map_err(|error| (error.kind(), error.cause().message.code.clone()))
    };
    let resolved = async |revision: &str| asked(revision, true).await;

    let (one, other) = alike(commit, (ObjectType::Commit, commit));
    let (one, other) = (written(&one), written(&other));
    assert_eq!(one[..7], other[..7]);
    let several = (Kind::Invalid, "source.revision-ambiguous".to_owned());
    // One of them is here already, and neither is a tip.
    world.git(&["branch", "one", &above(&one)]);
    world.mirrors.ensure_commit(&access, &one).await.unwrap();
    world.git(&["branch", "other", &above(&other)]);
    world.mirrors.list_refs(&access, true).await.unwrap();
    assert_eq!(asked(&one[..7], false).await, Err(several.clone()));
    world.git(&["branch", "--force", "one", &one]);
    world.git(&["branch", "--force", "other", &other]);
    assert_eq!(resolved(&one[..7]).await, Err(several));
    let longer = (8..40).find(|digits| one[..*digits] != other[..*digits]);
    for whole in [&one, &other] {
        let short = &whole[..longer.unwrap()];
        assert_eq!(resolved(short).await.as_ref(), Ok(whole));
    }

    // A file that begins like a commit which is the tip of nothing.
    let file = |number: u32| format!("{number}\n");
    let (below, file) = alike(commit, (ObjectType::Blob, file));
    let below = written(&below);
    world.git(&["branch", "above", &above(&below)]);
    world.write("a/number", &file).commit();
    let file = world.git(&["rev-parse", "HEAD:a/number"]);
    assert_eq!(file[..7], below[..7]);
    // Git takes it for the commit too.
    let named = format!("{}^{{commit}}", &below[..7]);
    assert_eq!(world.git(&["rev-parse", "--verify", &named]), below);
    assert_eq!(resolved(&below[..7]).await, Ok(below));
}

#[tokio::test]
async fn a_tip_that_begins_like_a_commit_that_was_found_is_not_taken_for_it() {
    let world = World::new();
    world.write("a/x.yaml", SERVICE).commit();
    let tree = world.git(&["rev-parse", "HEAD^{tree}"]);
    let commit = |number: u32| numbered(&tree, number);
    let (one, other) = alike(commit, (ObjectType::Commit, commit));
    let (one, other) = (written(&world, &one), written(&world, &other));
    let access = world.access();
    world.git(&["branch", "one", &above(&world, &tree, &one)]);
    let resolved = async |fresh| world.mirrors.resolve(&access, &one[..7], fresh).await;
    assert_eq!(resolved(true).await.unwrap(), one);
    world.git(&["branch", "other", &other]);
    world.mirrors.list_refs(&access, true).await.unwrap();
    let error = resolved(false).await.unwrap_err();
    assert_eq!(error.cause().message.code, "source.revision-ambiguous");
}

#[tokio::test]
async fn a_short_commit_that_was_found_once_needs_no_fetch() {
    let world = World::new();
    let access = world.access();
    let below = world.write("a/x.yaml", SERVICE).commit();
    world.write("a/x.yaml", DEPLOYMENT).commit();
    let resolved = async |fresh| world.mirrors.resolve(&access, &below[..12], fresh).await;
    assert_eq!(resolved(true).await.unwrap(), below);
    // What is listed is remembered for a while; who fetched would find nobody.
    std::fs::rename(world.work(), world.folder.path().join("away")).unwrap();
    assert_eq!(resolved(false).await.unwrap(), below);
    assert!(resolved(true).await.is_err(), "nobody answers");
}

#[tokio::test]
async fn what_came_in_many_fetches_is_put_together_and_nothing_of_it_is_lost() {
    let world = World::new();
    let access = world.access();
    let data = world.folder.path().join("data");
    let packs = || {
        let files = walk(&data.join("mirrors")).into_iter();
        let packs = files.filter(|path| path.extension().is_some_and(|end| end == "pack"));
        packs.count()
    };
    let read = async |mirrors: &Mirrors, commit: &str| {
        let snapshot = mirrors.ensure_commit(&access, commit).await.unwrap();
        let reading = snapshot.read(|files| match files.node("a/x")? {
            Node::File(blob) => files.blob(&blob, 1_000),
            other => panic!("{other:?}"),
        });
        String::from_utf8(reading.await.unwrap()).unwrap()
    };
    let mut commits = Vec::new();
    let mut most = 0;
    for number in 0..40 {
        world.write("a/x", &number.to_string());
        world.git(&["add", "--all"]);
        // Each is pushed over by the next one.
        match commits.is_empty() {
            true => world.git(&["commit", "--quiet", "--message", "0"]),
            false => world.git(&[
                "commit",
                "--quiet",
                "--amend",
                "--message",
                &number.to_string(),
            ]),
        };
        let commit = world.git(&["rev-parse", "HEAD"]);
        assert_eq!(read(&world.mirrors, &commit).await, number.to_string());
        commits.push(commit);
        most = most.max(packs());
    }
    assert!((20..40).contains(&most), "{most}");
    assert!(packs() < 20, "{}", packs());

    // Neither who had it open nor who opens it anew needs the server for any of them.
    std::fs::rename(world.work(), world.folder.path().join("away")).unwrap();
    let anew = Mirrors::new(
        data.clone(),
        Limits::default(),
        here(),
        Sandbox::new(None),
        None,
    );
    for mirrors in [&world.mirrors, &anew.unwrap()] {
        for (number, commit) in commits.iter().enumerate() {
            assert_eq!(read(mirrors, commit).await, number.to_string());
        }
    }
}

#[tokio::test]
async fn many_branches_are_put_into_one_file_and_go_and_come_as_before() {
    let world = World::new();
    let access = world.access();
    let first = world.write("a/x", "first").commit();
    let branches = |range: std::ops::Range<usize>, verb: &str| {
        for number in range {
            let name = format!("refs/heads/b/{number}");
            match verb {
                "delete" => world.git(&["update-ref", "-d", &name]),
                _ => world.git(&["update-ref", &name, "HEAD"]),
            };
        }
    };
    let known = || {
        let mirrors = walk(&world.folder.path().join("data/mirrors"));
        let head = mirrors.iter().find(|path| path.ends_with("HEAD")).unwrap();
        let mirror = head.parent().unwrap().to_owned();
        let loose = walk(&mirror.join("refs")).len();
        let all = run("git", &mirror, &["for-each-ref", "--format=%(refname)"]);
        (loose, all.lines().count())
    };
    branches(0..70, "make");
    world.mirrors.ensure_commit(&access, &first).await.unwrap();
    assert_eq!(known(), (0, 71));

    // Those that are gone leave the file, and one has the place of another's folder.
    branches(0..70, "delete");
    world.git(&["update-ref", "refs/heads/b", "HEAD"]);
    let second = world.write("a/x", "second").commit();
    world.mirrors.ensure_commit(&access, &second).await.unwrap();
    assert_eq!(known(), (2, 2));
    let found = world.mirrors.resolve(&access, "main", true).await;
    assert_eq!(found.unwrap(), second);
}
