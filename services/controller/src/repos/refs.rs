//! The tips of a repository, the versions of a chart or the digests of an artifact, and the revisions that can be told from
//! them alone.

use std::collections::HashMap;

use domain::revision::Target;
use domain::version::Versions;

/// How many bytes of versions are kept of one chart.
const MAX_VERSIONS: usize = 512 << 10;

/// The tip of every branch and tag; of a chart its versions, of an artifact what is followed of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refs {
    tips: HashMap<String, String>,
    head: String,
    versions: Option<Versions>,
    digests: Option<HashMap<String, String>>,
}

/// What a revision is, as far as the tips tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// This commit.
    Commit(String),
    /// A version range, a shortened commit or nothing: only the repo-server can tell.
    Unclear,
}

impl Refs {
    /// What a listing answered: full ref names with their commits, and the name that HEAD points at.
    #[must_use]
    pub(super) fn new(tips: HashMap<String, String>, head: String) -> Self {
        Self {
            tips,
            head,
            ..Self::default()
        }
    }

    /// The digests of an artifact's revisions.
    #[must_use]
    pub(super) fn of_artifact(digests: HashMap<String, String>) -> Self {
        Self {
            digests: Some(digests),
            ..Self::default()
        }
    }

    /// The versions of a chart. More than anybody should have of one are not kept: the repo-server is asked each time.
    #[must_use]
    pub(super) fn of_chart(versions: Vec<String>) -> Self {
        let size: usize = versions.iter().map(String::len).sum();
        let kept = match size <= MAX_VERSIONS {
            true => versions,
            false => Vec::new(),
        };
        Self {
            versions: Some(Versions::new(kept)),
            ..Self::default()
        }
    }

    /// The commit that a revision names: HEAD when empty, a branch before a tag of the same name.
    #[must_use]
    pub(super) fn resolve<'a>(&self, target: impl Into<Target<'a>>) -> Named {
        let target = target.into();
        let revision = target.revision;
        if let Some(digests) = &self.digests {
            let known = digests.get(revision);
            return known.map_or(Named::Unclear, |digest| Named::Commit(digest.clone()));
        }
        if let Some(versions) = &self.versions {
            let chosen = versions.choose(revision);
            return chosen.map_or(Named::Unclear, |one| Named::Commit(one.to_owned()));
        }
        if is_commit(revision) {
            return Named::Commit(revision.to_ascii_lowercase());
        }
        // A branch may be called like a range of the versions behind a prefix.
        if !target.tag_prefix.is_empty() && (target.is_range() || !target.has_good_prefix()) {
            return Named::Unclear;
        }
        let name = target.name();
        let tip = match &*name {
            "" | "HEAD" => self.tips.get(&self.head),
            name => self
                .tips
                .get(name)
                .or_else(|| self.tips.get(&format!("refs/heads/{name}")))
                .or_else(|| self.tips.get(&format!("refs/tags/{name}"))),
        };
        tip.map_or(Named::Unclear, |commit| Named::Commit(commit.clone()))
    }
}

/// Whether a revision is a whole commit, which no listing can change.
#[must_use]
pub fn is_commit(revision: &str) -> bool {
    matches!(revision.len(), 40 | 64) && revision.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_comes_before_a_tag_and_a_commit_is_itself() {
        let tip = |n: char| n.to_string().repeat(40);
        let refs = Refs::new(
            HashMap::from([
                ("refs/heads/main".to_owned(), tip('a')),
                ("refs/heads/v1".to_owned(), tip('b')),
                ("refs/tags/v1".to_owned(), tip('c')),
                ("refs/tags/app/1.0".to_owned(), tip('e')),
                ("refs/heads/2.x".to_owned(), tip('f')),
            ]),
            "refs/heads/main".to_owned(),
        );
        assert_eq!(refs.resolve("HEAD"), Named::Commit(tip('a')));
        assert_eq!(refs.resolve(""), Named::Commit(tip('a')));
        assert_eq!(refs.resolve("v1"), Named::Commit(tip('b')));
        assert_eq!(refs.resolve("refs/tags/v1"), Named::Commit(tip('c')));
        assert_eq!(refs.resolve(&tip('D')), Named::Commit(tip('d')));
        assert_eq!(refs.resolve("v1.*"), Named::Unclear);
        let behind = |tag_prefix, revision| {
            refs.resolve(Target {
                revision,
                tag_prefix,
            })
        };
        assert_eq!(behind("app/", "1.0"), Named::Commit(tip('e')));
        assert_eq!(behind("app/", "HEAD"), Named::Commit(tip('a')));
        assert_eq!(behind("app/", "v1"), Named::Unclear, "another tag's name");
        assert_eq!(behind("", "2.x"), Named::Commit(tip('f')));
        assert_eq!(behind("app/", "2.x"), Named::Unclear, "not the branch");
        assert_eq!(behind("-app/", "HEAD"), Named::Unclear, "it is refused");
    }

    #[test]
    fn a_tag_of_an_artifact_is_the_digest_that_was_answered_for_it() {
        let digests = HashMap::from([("latest".to_owned(), "sha256:a".to_owned())]);
        let refs = Refs::of_artifact(digests);
        let digest = Named::Commit("sha256:a".to_owned());
        assert_eq!(refs.resolve("latest"), digest);
        assert_eq!(refs.resolve(&"a".repeat(40)), Named::Unclear);
        assert_eq!(refs.resolve("1.x"), Named::Unclear);
    }

    #[test]
    fn a_range_is_the_newest_version_of_the_chart_that_is_in_it() {
        let there = ["1.0.0", "1.2.0", "2.0.0", "a1b2c3d"].map(str::to_owned);
        let refs = Refs::of_chart(there.to_vec());
        let version = |text: &str| Named::Commit(text.to_owned());
        assert_eq!(refs.resolve("1.x"), version("1.2.0"));
        assert_eq!(refs.resolve("a1b2c3d"), version("a1b2c3d"));
        assert_eq!(refs.resolve("3.x"), Named::Unclear);
    }
}
