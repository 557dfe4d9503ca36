//! Patterns of a project. They are compiled when the project is read: every object of its applications is held against
//! them.

use std::fmt;

use serde::{Deserialize, Deserializer};

use crate::glob::{Glob, MAX_LENGTH};
use crate::repository::judged_pattern;

/// A pattern, compiled. Two that are written alike are equal.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub struct Pattern {
    written: String,
    compiled: Compiled,
}

#[derive(Clone)]
enum Compiled {
    /// `*` alone, which crosses every separator.
    Everything,
    /// A text without anything that stands for another.
    Itself,
    /// Anything else, and where its stars stop.
    Glob(Glob, Option<char>),
    /// It is no pattern.
    Nothing,
}

impl Pattern {
    fn new(written: String, separator: Option<char>) -> Self {
        let compiled = if written == "*" {
            Compiled::Everything
        } else if written.len() > MAX_LENGTH {
            Compiled::Nothing
        } else if !written.contains(['*', '?', '[', '{', '\\']) {
            Compiled::Itself
        } else {
            let glob = Glob::new(&written, separator);
            glob.map_or(Compiled::Nothing, |glob| Compiled::Glob(glob, separator))
        };
        Self { written, compiled }
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    /// Whether it matches; `None` when it is no pattern, for whoever must not take that for "does not match". Nor is
    /// anything known of a text that is longer than any name or address: what many stars cost grows with it.
    #[must_use]
    pub fn judge(&self, text: &str) -> Option<bool> {
        match &self.compiled {
            Compiled::Everything => Some(true),
            Compiled::Itself => Some(self.written == text),
            Compiled::Glob(glob, separator) => {
                (text.len() <= MAX_LENGTH).then(|| glob.matches(text, *separator))
            }
            Compiled::Nothing => None,
        }
    }

    /// Whether it matches. What is no pattern matches nothing.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.judge(text).unwrap_or(false)
    }

    /// Whether it matches, for whoever refuses what it does: what is no pattern is taken to.
    #[must_use]
    pub fn may_match(&self, text: &str) -> bool {
        self.judge(text).unwrap_or(true)
    }

    /// Whether it is a pattern at all.
    #[must_use]
    pub fn is_one(&self) -> bool {
        !matches!(self.compiled, Compiled::Nothing)
    }

    /// How much there is to hold a text against besides the pattern itself, about in characters, braces multiplied out.
    fn size(&self) -> usize {
        match &self.compiled {
            Compiled::Glob(glob, _) => glob.size(),
            Compiled::Everything | Compiled::Itself | Compiled::Nothing => 0,
        }
    }
}

impl From<String> for Pattern {
    fn from(written: String) -> Self {
        Self::new(written, None)
    }
}

impl From<&str> for Pattern {
    fn from(written: &str) -> Self {
        Self::new(written.to_owned(), None)
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Self::from("")
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

/// A pattern that denies where a `!` stands before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Deniable {
    denies: bool,
    pattern: Pattern,
}

/// What such a pattern says of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// It matches; one with `!` does where the rest does not.
    Yes,
    /// It does not match.
    No,
    /// It has a `!`, and the rest matches, or is no pattern: whoever wrote that meant to deny something.
    Denied,
}

impl Deniable {
    /// One of addresses, in the form in which these are judged; its `*` stop at slashes.
    pub(super) fn of_source(written: &str) -> Self {
        let (denies, rest) = denial(written);
        Self {
            denies,
            pattern: Pattern::new(judged_pattern(rest), Some('/')),
        }
    }

    /// Whether it has a `!`.
    pub(super) fn denies(&self) -> bool {
        self.denies
    }

    /// What stands behind the `!`, if there is one.
    pub(super) fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    pub(super) fn says(&self, text: &str) -> Says {
        match (self.denies, self.pattern.judge(text)) {
            (true, Some(false)) | (false, Some(true)) => Says::Yes,
            (true, Some(true) | None) => Says::Denied,
            (false, Some(false) | None) => Says::No,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.denies && self.pattern.is_empty()
    }

    pub(super) fn size(&self) -> usize {
        self.pattern.size()
    }
}

impl From<String> for Deniable {
    fn from(written: String) -> Self {
        Self::from(written.as_str())
    }
}

impl From<&str> for Deniable {
    fn from(written: &str) -> Self {
        let (denies, rest) = denial(written);
        Self {
            denies,
            pattern: Pattern::from(rest),
        }
    }
}

/// Whether a `!` stands before it, and the rest.
fn denial(written: &str) -> (bool, &str) {
    match written.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, written),
    }
}

/// Reads a list of patterns of addresses.
pub(super) fn sources<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<Deniable>, D::Error> {
    let written = Vec::<String>::deserialize(list)?;
    let patterns = written.iter().map(|one| Deniable::of_source(one));
    Ok(patterns.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::glob::judge;

    #[test]
    fn a_compiled_pattern_says_what_the_written_one_does() {
        let long = "x".repeat(MAX_LENGTH + 1);
        let patterns = [
            "",
            "*",
            "**",
            "a",
            "a*",
            "a/*",
            "a/**",
            "?",
            "[a-c]/b",
            "[!a]",
            "{a,b}/{b,c*}",
            "{a",
            "[",
            "\\*",
            "}",
            "!a",
            long.as_str(),
        ];
        for written in patterns {
            for separator in [None, Some('/')] {
                let pattern = Pattern::new(written.to_owned(), separator);
                for text in [
                    "",
                    "*",
                    "a",
                    "a/b",
                    "a/b/c",
                    "b/c",
                    "}",
                    "!a",
                    long.as_str(),
                ] {
                    let expected = judge(written, text, separator);
                    let known = text.len() <= MAX_LENGTH || pattern.size() == 0;
                    let expected = expected.filter(|_| known);
                    assert_eq!(pattern.judge(text), expected, "{written} of {text}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_known_of_a_text_that_is_no_name() {
        let long = "a".repeat(MAX_LENGTH + 1);
        let pattern = Pattern::from("a*");
        assert!(pattern.matches(&long[1..]));
        assert!(!pattern.matches(&long) && pattern.may_match(&long));
        assert!(Pattern::from("*").matches(&long));
    }

    #[test]
    fn a_pattern_is_shown_as_it_was_written() {
        assert_eq!(format!("{:?}", Pattern::from("{a,b}*")), "\"{a,b}*\"");
    }
}
