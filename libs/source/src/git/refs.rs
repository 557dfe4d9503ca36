//! The tips of a repository, and what a revision names among them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::message;
use domain::revision::Target;

use super::pkt::Malformed;
use crate::error::{Error, Kind};

/// The tips of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refs {
    /// The full name of the ref that HEAD points at; empty when it points at none.
    pub head: String,
    /// Full ref name to commit, annotated tags peeled.
    pub refs: BTreeMap<String, String>,
}

/// The most refs that are taken of a repository, and the most bytes of their names.
pub(super) const MAX_REFS: usize = 200_000;
pub(super) const MAX_NAMES: usize = 16 << 20;
/// What a ref takes in memory besides its name, in bytes: its commit as text, and a place in a map.
const REF: usize = 120;

/// Refs as they are listed, as many as are taken.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) refs: Refs,
    names: usize,
}

/// Why a listing is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is none.
    Malformed,
    /// It is larger than this.
    TooLarge(String),
}

impl From<Malformed> for Refused {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Listing {
    /// Takes a ref, and where there is one of that name already, what it leads to: a tag that is told peeled, too, is one.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn put(&mut self, name: &str, commit: &str) -> Result<(), Refused> {
        if let Some(known) = self.refs.refs.get_mut(name) {
            commit.clone_into(known);
            return Ok(());
        }
        self.names = self.names.saturating_add(name.len());
        if self.refs.refs.len() >= MAX_REFS {
            return Err(Refused::TooLarge(format!("{MAX_REFS} names")));
        }
        if self.names > MAX_NAMES {
            let limit = format!("{} MiB of names", MAX_NAMES >> 20);
            return Err(Refused::TooLarge(limit));
        }
        let refs = &mut self.refs.refs;
        refs.insert(name.to_owned(), commit.to_owned());
        Ok(())
    }

    /// How many bytes it takes in memory, about.
    pub(super) fn weight(&self) -> usize {
        let refs = self.refs.refs.len().saturating_mul(REF);
        refs.saturating_add(self.names)
    }

    /// A HEAD that points at a commit instead of a branch: a tip of its own.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn detached(&mut self, commit: &str) -> Result<(), Refused> {
        self.refs.head = "HEAD".to_owned();
        self.put("HEAD", commit)
    }
}

impl Refused {
    /// What to tell people, where a listing that is none has a cause of its own.
    pub(super) fn or(self, malformed: impl FnOnce() -> Error) -> Error {
        match self {
            Self::Malformed => malformed(),
            Self::TooLarge(limit) => too_large(limit),
        }
    }
}

/// That a repository has more refs than are taken, of which this is told as the most.
pub(super) fn too_large(limit: String) -> Error {
    let message = message::source::TOO_LARGE
        .with("what", "the list of branches and tags")
        .with("limit", limit);
    Error::new(Kind::TooLarge, message)
}

/// What a revision turned out to be, as far as the refs say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Commit(String),
    /// Seven or more hexadecimal digits that are no ref: the beginning of a commit.
    Short(String),
    Nothing,
}

/// Whether it is a whole commit id.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit())
}

impl Refs {
    /// How many bytes it takes in memory, about.
    pub(super) fn weight(&self) -> usize {
        let names = self.refs.keys().map(String::len).sum::<usize>();
        self.refs.len().saturating_mul(REF).saturating_add(names)
    }

    /// What a revision names: a whole commit, HEAD, a version constraint over the tags, a ref, the beginning of a commit.
    pub(super) fn find<'a>(&self, target: impl Into<Target<'a>>) -> Named {
        let target = target.into();
        let revision = target.revision;
        if is_commit(revision) {
            return Named::Commit(revision.to_ascii_lowercase());
        }
        if let Some(commit) = self.name(target).and_then(|name| self.refs.get(&name)) {
            return Named::Commit(commit.clone());
        }
        // Seven digits behind a prefix are a version.
        let short = !target.is_behind_prefix() && (7..40).contains(&revision.len());
        if short && revision.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Named::Short(revision.to_ascii_lowercase());
        }
        Named::Nothing
    }

    /// The full name of the ref that a revision stands for, if it is no commit.
    pub(super) fn name<'a>(&self, target: impl Into<Target<'a>>) -> Option<String> {
        let target = target.into();
        if matches!(target.revision, "" | "HEAD") {
            return Some(self.head.clone());
        }
        let newest = target.newest(self.tags()).map(Cow::Owned);
        let revision = newest.unwrap_or_else(|| target.name());
        // A branch wins over a tag of the same name: Argo CD takes the first that fits in Git's own order.
        let names = [
            revision.to_string(),
            format!("refs/heads/{revision}"),
            format!("refs/tags/{revision}"),
        ];
        names.into_iter().find(|name| self.refs.contains_key(name))
    }

    /// The names of the tags.
    pub(super) fn tags(&self) -> impl Iterator<Item = &str> {
        let names = self.refs.keys();
        names.filter_map(|name| name.strip_prefix("refs/tags/"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use rand::rngs::StdRng;
    use rand::seq::IndexedRandom;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn is_range(revision: &str) -> bool {
        Target::from(revision).is_range()
    }

    fn refs() -> Refs {
        let tip = |name: &str, digit: &str| (name.to_owned(), digit.repeat(40));
        Refs {
            head: "refs/heads/main".into(),
            refs: [
                tip("refs/heads/main", "a"),
                tip("refs/heads/dev", "b"),
                tip("refs/tags/v1.2.0", "1"),
                tip("refs/tags/v1.10.0", "2"),
                tip("refs/tags/v2.0.0-rc.1", "3"),
                tip("refs/tags/nightly", "4"),
            ]
            .into(),
        }
    }

    #[test]
    fn s02_a_listing_is_taken_up_to_a_size() {
        let commit = "a".repeat(40);
        let mut many = Listing::default();
        for number in 0..MAX_REFS {
            many.put(&format!("refs/tags/{number}"), &commit).unwrap();
        }
        let (peeled, taken) = ("b".repeat(40), many.weight());
        many.put("refs/tags/1", &peeled).unwrap();
        assert_eq!(
            (&many.refs.refs["refs/tags/1"], many.weight()),
            (&peeled, taken)
        );
        let refused = many.put("refs/tags/more", &commit).unwrap_err();
        let error = refused.or(|| panic!("it is one"));
        assert_eq!(error.cause().message.code, "source.too-large");
        assert!(error.to_string().contains("200000 names"), "{error}");
        assert!(many.refs.weight() < 48 << 20, "{}", many.refs.weight());
        // Few long ones are no better.
        let mut long = Listing::default();
        let name = |number: usize| format!("refs/tags/{number}{}", "x".repeat(60_000));
        let taken = (0..MAX_REFS).take_while(|number| long.put(&name(*number), &commit).is_ok());
        assert!(taken.count() <= MAX_NAMES / 60_000);
    }

    /// As `MaxVersion` of Argo CD answers with Masterminds/semver: by the rules that ranges of charts have.
    #[test]
    fn a_range_over_the_tags_is_what_it_is_over_the_versions_of_a_chart() {
        let names = [
            "refs/heads/1.x",
            "refs/tags/1.0.0",
            "refs/tags/v1.0.0",
            "refs/tags/v1.1.0",
            "refs/tags/v1.2.0-rc.1",
            "refs/tags/2026.01.15",
            "refs/tags/2026.02.03",
        ];
        let all = |names: &[&str]| Refs {
            head: "refs/heads/1.x".into(),
            refs: names
                .iter()
                .map(|name| ((*name).to_owned(), "a".repeat(40)))
                .collect(),
        };
        let tags = all(&names);
        for (range, name) in [
            ("1.x", "refs/tags/v1.1.0"),
            ("!=1.1.0, <2", "refs/tags/1.0.0"),
            ("!=2026.x", "refs/tags/v1.1.0"),
            // One that names a pre-release takes those of every version.
            (">=1.0.0-0, <2", "refs/tags/v1.2.0-rc.1"),
            // Days of the calendar have zeros that no number needs.
            ("2026.x", "refs/tags/2026.02.03"),
            ("<=2026.01", "refs/tags/2026.01.15"),
            // The first of two that are the same version, in the order of their names.
            ("<=1.0.0", "refs/tags/1.0.0"),
        ] {
            assert_eq!(tags.name(range).as_deref(), Some(name), "{range}");
            assert!(is_range(range), "{range}");
        }
        assert_eq!(tags.name(">=3000"), None);
        // Where no tag is in it, it is a name like any other.
        assert_eq!(
            all(&names[..1]).name("1.x").as_deref(),
            Some("refs/heads/1.x")
        );
        assert!(!is_range("") && !is_range("2026.01.15") && !is_range("main"));
    }

    #[test]
    fn revisions_are_found_in_argo_cds_order() {
        let found = |revision: &str| match refs().find(revision) {
            Named::Commit(commit) => commit[..1].to_owned(),
            Named::Short(short) => format!("short {short}"),
            Named::Nothing => "nothing".to_owned(),
        };
        for (revision, expected) in [
            ("", "a"),
            ("HEAD", "a"),
            ("dev", "b"),
            ("refs/heads/dev", "b"),
            ("nightly", "4"),
            ("v1.2.0", "1"),
            ("1.x", "2"),
            ("^1.0", "2"),
            ("~1.2", "1"),
            (">= 1.0, < 1.5", "1"),
            (">=1.0 <1.5", "1"),
            ("1.0 - 1.5", "1"),
            ("1.2.*", "1"),
            ("*", "2"),
            ("3.x || 1.2.x", "1"),
            ("^3", "nothing"),
            ("abcdef0", "short abcdef0"),
            ("gone", "nothing"),
        ] {
            assert_eq!(found(revision), expected, "{revision}");
        }
        assert_eq!(found(&"C".repeat(40)), "c");
        for (revision, range) in [("^3", true), ("3.x", true), ("gone", false), ("v3", false)] {
            assert_eq!(is_range(revision), range, "{revision}");
        }
    }

    #[test]
    fn behind_a_prefix_are_versions_and_ranges_and_nothing_else() {
        let tip = |name: &str, digit: &str| (name.to_owned(), digit.repeat(40));
        let refs = Refs {
            head: "refs/heads/main".into(),
            refs: [
                tip("refs/heads/main", "a"),
                tip("refs/heads/2.x", "b"),
                tip("refs/heads/prod/v1.9.0", "c"),
                tip("refs/tags/prod/v1.2.0", "1"),
                tip("refs/tags/prod/v1.10.0", "2"),
                tip("refs/tags/v1.2.0", "3"),
                tip("refs/tags/v2.0.0", "4"),
                tip("refs/tags/prod/main", "5"),
            ]
            .into(),
        };
        let found = |tag_prefix: &str, revision: &str| {
            let target = Target {
                revision,
                tag_prefix,
            };
            match refs.find(target) {
                Named::Commit(commit) => commit[..1].to_owned(),
                Named::Short(short) => format!("short {short}"),
                Named::Nothing => "nothing".to_owned(),
            }
        };
        for (prefix, revision, expected) in [
            ("prod/", "1.x", "2"),
            ("prod/", "~1.2", "1"),
            ("prod/", "v1.2.0", "1"),
            ("prod/v", "1.2.0", "1"),
            ("", "1.x", "3"),
            ("", "v1.2.0", "3"),
            // A version is of those behind the prefix, or of none.
            ("prod/", "v2.0.0", "nothing"),
            ("prod/", "^3", "nothing"),
            ("dev/", "1.x", "nothing"),
            // A branch of the name wins over no tag of it, as without a prefix.
            ("prod/", "v1.9.0", "c"),
            // A range that no tag behind the prefix is in is a name like any other.
            ("prod/", "2.x", "b"),
            ("prod/", "", "a"),
            ("prod/", "HEAD", "a"),
            ("prod/", "main", "a"),
            ("prod/", "prod/main", "5"),
            ("prod/", "prod/v1.2.0", "1"),
            ("prod/", "refs/tags/v2.0.0", "4"),
            ("prod/", "abcdef0", "short abcdef0"),
            ("abcdef", "1234567", "nothing"),
            ("", "1234567", "short 1234567"),
        ] {
            assert_eq!(found(prefix, revision), expected, "{prefix} {revision}");
        }
        assert_eq!(found("prod/", &"C".repeat(40)), "c");
    }

    /// What revisions are made of, and what they must not be made of.
    const PIECES: &[&str] = &[
        "HEAD",
        "main",
        "dev",
        "nightly",
        "v1.2.0",
        "v1.10.0",
        "v2.0.0-rc.1",
        "refs/",
        "refs/heads/",
        "refs/tags/",
        "v",
        "0",
        "1",
        "2",
        "1.x",
        "1.2",
        ".",
        "*",
        "^",
        "~",
        ">=",
        "<",
        "=",
        "!=",
        "-",
        " - ",
        "||",
        ",",
        " ",
        "abcdef0",
        "99999999999999999999",
        "+build",
        "-rc.1",
        "--upload-pack=x",
        "-x",
        "@{-1}",
        ":",
        "^{commit}",
        "..",
        "/",
        "\\",
        "\0",
        "\n",
        "\u{202e}",
        "한글",
    ];

    #[test]
    fn s13_whatever_a_revision_is_made_of_it_is_a_ref_the_beginning_of_a_commit_or_nothing() {
        let (refs, mut random) = (refs(), StdRng::seed_from_u64(29));
        let (mut ranges, mut found) = (0, 0);
        let begun = Instant::now();
        for round in 0..40_000 {
            let mut text = String::new();
            for _ in 0..random.random_range(1..7) {
                text.push_str(PIECES.choose(&mut random).unwrap());
            }
            if round % 97 == 0 {
                text = text.repeat(random.random_range(1..500));
            }
            let (range, name) = (is_range(&text), refs.name(&text));
            ranges += usize::from(range);
            match refs.find(&text) {
                Named::Commit(commit) if is_commit(&text) => {
                    assert!(commit.eq_ignore_ascii_case(&text), "{text:?}");
                }
                Named::Commit(commit) => {
                    found += 1;
                    let name = name.unwrap();
                    assert_eq!(refs.refs.get(&name), Some(&commit), "{text:?}");
                    // No more than a name, unless it is a range: nothing is cut off, and nothing is looked for in it.
                    let before = ["", "refs/heads/", "refs/tags/"];
                    let named = before
                        .iter()
                        .any(|before| format!("{before}{text}") == name);
                    assert!(named || range || text == "HEAD", "{text:?}: {name}");
                }
                Named::Short(short) => {
                    let digits = short.bytes().all(|byte| byte.is_ascii_hexdigit());
                    assert!(digits && short.eq_ignore_ascii_case(&text), "{text:?}");
                }
                Named::Nothing => {}
            }
        }
        assert!(ranges > 200 && found > 300, "{ranges} {found}");
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}
