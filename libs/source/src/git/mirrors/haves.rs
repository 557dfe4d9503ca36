//! What a mirror says that it has, when it asks for a commit.
//!
//! Of any commit that it has it has all: each pack was checked to lead to nothing that is not there, and nothing goes but the whole.

use git2::{Commit, ObjectType, Odb, OdbLookupFlags, Oid, Repository};

use super::super::mirror::Mirror;
use super::super::refs::Refs;

/// The most commits that are told.
const MOST: usize = 64;
/// How far back from a branch's tip is looked: a push over a few of them still has the others.
const BACK: usize = 64;
/// How many of those are told one by one; of the others every one that is twice as far.
const ONE_BY_ONE: usize = 8;
/// The largest commit that is read for that, in bytes: what is packed small may be of any size, and there are twice as many of them.
const LARGEST: usize = 1 << 20;
/// How many tips that the server has told are looked for.
const LOOKED_FOR: usize = 1_000;

impl Mirror {
    /// Commits that it has, those first that the server most likely has, too; none where all would have to be sent.
    pub(super) fn haves(&self, branch: &str, listed: &Refs) -> Vec<String> {
        let Ok(handle) = self.open() else {
            return Vec::new();
        };
        let haves = haves(&handle, branch, listed);
        self.give_back(handle);
        haves
    }
}

fn haves(handle: &Repository, branch: &str, listed: &Refs) -> Vec<String> {
    let Ok(database) = handle.odb() else {
        return Vec::new();
    };
    let mut haves: Vec<Oid> = Vec::new();
    // What the branch was, and what the next one began at.
    for name in [branch, listed.head.as_str()] {
        let mut next = handle.refname_to_id(name).ok();
        for step in 0..=BACK {
            let Some(commit) = next.and_then(|id| read(handle, &database, id)) else {
                break;
            };
            let told = step < ONE_BY_ONE || step.is_power_of_two();
            if told && !haves.contains(&commit.id()) {
                haves.push(commit.id());
            }
            next = commit.parent_id(0).ok();
        }
    }
    for tip in listed.refs.values().take(LOOKED_FOR) {
        if haves.len() >= MOST {
            break;
        }
        if let Ok(id) = Oid::from_str(tip)
            && !haves.contains(&id)
            && database.exists_ext(id, OdbLookupFlags::NO_REFRESH)
        {
            haves.push(id);
        }
    }
    haves.iter().map(Oid::to_string).collect()
}

/// A commit that is there, and not too large to be read.
fn read<'a>(handle: &'a Repository, database: &Odb<'_>, id: Oid) -> Option<Commit<'a>> {
    let (size, kind) = database.read_header(id).ok()?;
    if kind != ObjectType::Commit || size > LARGEST {
        return None;
    }
    handle.find_commit(id).ok()
}

#[cfg(test)]
mod tests {
    use super::super::super::mirror::tests::commit;
    use super::*;

    #[test]
    fn s02_history_is_not_read_beyond_a_commit_that_is_very_large() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::new(folder.path().join("mirror"));
        mirror.prepare().unwrap();
        let handle = mirror.open().unwrap();
        let branch = Some("refs/heads/main");
        let commit = |said: &str, parent| commit(&handle, branch, said, parent);
        let first = commit("first", None);
        let large = commit(&"x".repeat(LARGEST), Some(first));
        let third = commit("third", Some(large));
        let fourth = commit("fourth", Some(third));
        let told = mirror.haves("refs/heads/main", &Refs::default());
        assert_eq!(told, [fourth.to_string(), third.to_string()]);
    }

    #[test]
    fn what_is_told_is_there_and_goes_back_from_where_the_branch_was() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::new(folder.path().join("mirror"));
        let told = |branch: &str, listed: &Refs| mirror.haves(branch, listed);
        assert!(told("refs/heads/main", &Refs::default()).is_empty());
        mirror.prepare().unwrap();
        let handle = mirror.open().unwrap();
        let commit = |said: &str, parent| commit(&handle, None, said, parent);
        let mut history = vec![commit("0", None)];
        for number in 1..100 {
            let last = history.last().copied();
            history.push(commit(&number.to_string(), last));
        }
        let at = |back: usize| history[99 - back].to_string();
        handle
            .reference("refs/heads/main", history[99], true, "")
            .unwrap();
        let other = commit("other", None).to_string();

        let mut listed = Refs {
            head: "refs/heads/main".to_owned(),
            ..Refs::default()
        };
        let far: Vec<String> = [0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64].map(at).to_vec();
        assert_eq!(told("refs/heads/main", &listed), far);
        // A new branch may begin where any other is; one that is not there is not told.
        for (name, tip) in [("a", &other), ("b", &"1".repeat(40)), ("c", &at(3))] {
            let name = format!("refs/heads/{name}");
            listed.refs.insert(name, tip.clone());
        }
        let all = [far, vec![other]].concat();
        assert_eq!(told("refs/heads/new", &listed), all);
        for number in 0..200 {
            let tip = commit(&format!("tip {number}"), None);
            let name = format!("refs/heads/x/{number}");
            listed.refs.insert(name, tip.to_string());
        }
        assert_eq!(told("refs/heads/main", &listed).len(), MOST);
    }
}
