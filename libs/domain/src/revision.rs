//! What is asked for of a Git repository: a revision as it is written, among tags that begin in some way.

use std::borrow::Cow;

use crate::version::{self, Version, Wanted, wanted};

/// The longest beginning of a tag.
const MAX_PREFIX: usize = 200;
/// How much of one that is none is shown.
const SHOWN: usize = 60;

/// A revision, and what the tags begin with whose rest is a version. As in Argo CD the prefix is for versions and ranges alone:
/// HEAD, a commit and any other name stay what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Target<'a> {
    /// The revision as it is written; empty means HEAD.
    pub revision: &'a str,
    /// What the tags begin with; empty for those that are versions as a whole.
    pub tag_prefix: &'a str,
}

impl<'a> Target<'a> {
    /// Whether it is a range of versions, and no name.
    #[must_use]
    pub fn is_range(&self) -> bool {
        !self.revision.is_empty() && matches!(wanted(self.revision), Wanted::Newest(_))
    }

    /// Whether it is a version of those that stand behind the prefix.
    #[must_use]
    pub fn is_behind_prefix(&self) -> bool {
        !self.tag_prefix.is_empty() && Version::parse(self.revision).is_some()
    }

    /// The name that it is where it is no range: a version stands behind the prefix.
    #[must_use]
    pub fn name(&self) -> Cow<'a, str> {
        match self.is_behind_prefix() {
            true => Cow::Owned(format!("{}{}", self.tag_prefix, self.revision)),
            false => Cow::Borrowed(self.revision),
        }
    }

    /// The tag with the highest version of a range; `None` where it is no range, or no tag is in it.
    pub fn newest<'t>(&self, tags: impl IntoIterator<Item = &'t str>) -> Option<String> {
        if !self.is_range() {
            return None;
        }
        let tags: Vec<&str> = self.versions(tags).collect();
        let chosen = version::choose(self.revision, tags)?;
        Some(format!("{}{chosen}", self.tag_prefix))
    }

    /// What stands behind the prefix, of those tags that have it.
    pub fn versions<'t>(
        &self,
        tags: impl IntoIterator<Item = &'t str>,
    ) -> impl Iterator<Item = &'t str> {
        let prefix = self.tag_prefix;
        tags.into_iter()
            .filter_map(move |tag| tag.strip_prefix(prefix))
    }

    /// Whether a tag can begin so, by the rules that Git has for names; that nothing is asked for is fine.
    #[must_use]
    pub fn has_good_prefix(&self) -> bool {
        let prefix = self.tag_prefix;
        let bad =
            |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
        let inner = |part: &str| !part.is_empty() && !part.ends_with(".lock");
        let mut parts = prefix.rsplit('/');
        // Of the last one only the beginning is here.
        let last = parts.next().unwrap_or_default();
        prefix.len() <= MAX_PREFIX
            && !prefix.starts_with('-')
            && !prefix.contains("..")
            && !prefix.contains("@{")
            && !prefix.contains(bad)
            && !last.starts_with('.')
            && parts.all(|part| inner(part) && !part.starts_with('.'))
    }

    /// The prefix as a person is shown it, whatever is in it.
    #[must_use]
    pub fn shown_prefix(&self) -> String {
        let mut letters = self.tag_prefix.chars();
        let mut shown: String = letters
            .by_ref()
            .take(SHOWN)
            .flat_map(char::escape_debug)
            .collect();
        if letters.next().is_some() {
            shown.push('…');
        }
        shown
    }
}

impl<'a> From<&'a str> for Target<'a> {
    /// Among all tags.
    fn from(revision: &'a str) -> Self {
        Self {
            revision,
            tag_prefix: "",
        }
    }
}

impl<'a> From<&'a String> for Target<'a> {
    fn from(revision: &'a String) -> Self {
        revision.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind<'a>(tag_prefix: &'a str, revision: &'a str) -> Target<'a> {
        Target {
            revision,
            tag_prefix,
        }
    }

    const TAGS: [&str; 9] = [
        "prod/v1.0.0",
        "prod/v1.0.1",
        "prod/v1.1.0",
        "prod/v1.2.0-rc.1",
        "prod/latest",
        "staging/v2.0.0",
        "v3.0.0",
        "web-1.4.0",
        "website-1.9.0",
    ];

    /// As `MaxVersion` of Argo CD 3.5 answers.
    #[test]
    fn a_range_is_of_the_versions_behind_the_prefix_and_names_the_whole_tag() {
        for (prefix, range, tag) in [
            ("prod/", "v1.0.*", Some("prod/v1.0.1")),
            ("prod/", "1.x", Some("prod/v1.1.0")),
            ("prod/", "*", Some("prod/v1.1.0")),
            ("prod/", ">=1.0.0-0", Some("prod/v1.2.0-rc.1")),
            ("prod/", "> v1.0.0 < v1.1.0", Some("prod/v1.0.1")),
            ("prod/v", "1.0.x", Some("prod/v1.0.1")),
            ("staging/", "*", Some("staging/v2.0.0")),
            ("web-", "1.x", Some("web-1.4.0")),
            ("", "*", Some("v3.0.0")),
            ("prod/", "^2", None),
            ("dev/", "*", None),
            ("Prod/", "*", None),
        ] {
            let found = behind(prefix, range).newest(TAGS);
            assert_eq!(found.as_deref(), tag, "{prefix} {range}");
            assert!(behind(prefix, range).is_range());
        }
    }

    #[test]
    fn a_version_is_behind_the_prefix_and_any_other_name_is_not() {
        for (revision, name) in [
            ("v1.0.0", "prod/v1.0.0"),
            ("1.0", "prod/1.0"),
            ("1.0.0-rc.1", "prod/1.0.0-rc.1"),
            ("1234567", "prod/1234567"),
            ("", ""),
            ("HEAD", "HEAD"),
            ("main", "main"),
            ("refs/tags/v1.0.0", "refs/tags/v1.0.0"),
            ("prod/v1.0.0", "prod/v1.0.0"),
            ("abcdef0", "abcdef0"),
        ] {
            assert_eq!(behind("prod/", revision).name(), name);
            assert_eq!(Target::from(revision).name(), revision);
            assert_eq!(behind("prod/", revision).newest(TAGS), None, "{revision}");
        }
    }

    #[test]
    fn s13_a_prefix_with_which_no_tag_can_begin_is_known() {
        for good in [
            "", "prod/", "app1/v", "web-", "a.b/c", "팀/", "a@b", "x.lock",
        ] {
            assert!(behind(good, "*").has_good_prefix(), "{good:?}");
        }
        let long = "x".repeat(MAX_PREFIX + 1);
        for bad in [
            "-prod/",
            "--upload-pack=x",
            "../",
            "a/../b",
            "a..",
            "/a",
            "a//b",
            ".a/",
            "a/.b",
            "a.lock/",
            "a b/",
            "a*",
            "a?",
            "a[",
            "a~",
            "a^",
            "a:",
            "a\\",
            "@{",
            "a\n",
            "a\0",
            "\u{7f}",
            "\u{85}",
            &long,
        ] {
            assert!(!behind(bad, "*").has_good_prefix(), "{bad:?}");
        }
        assert_eq!(
            behind("a\n\0\u{202e}", "").shown_prefix(),
            "a\\n\\0\\u{202e}"
        );
        let shown = behind(&long, "").shown_prefix();
        assert!(shown.ends_with("x…") && shown.chars().count() == SHOWN + 1);
    }
}
