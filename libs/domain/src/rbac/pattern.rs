//! One field of a policy line, compiled.

use regex::{Regex, RegexBuilder};

use crate::glob::Glob;

/// How the fields of policy lines are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchMode {
    /// As globs in which `*` crosses slashes.
    #[default]
    Glob,
    /// As regular expressions, found anywhere in the text unless anchored.
    Regex,
}

impl MatchMode {
    /// What `policy.matchMode` says. Every word but `regex` is glob, as in Argo CD.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        if word == "regex" {
            Self::Regex
        } else {
            Self::Glob
        }
    }
}

/// A compiled field. The plain forms, which nearly all lines have, cost a comparison.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Everything,
    Exactly(String),
    StartsWith(String),
    Contains(String),
    Glob(Glob),
    Regex(Box<Regex>),
}

/// What an expression may take in memory, compiled, in bytes. Whoever writes a policy is a tenant's admin; the memory is
/// everybody's.
const SMALL: usize = 64 * 1024;
/// A large one counts for as many small ones as it may be larger. A class such as `\w` is large, for it has the letters of
/// all alphabets.
const LARGE: usize = 16 * SMALL;

fn expression(text: &str, size: usize) -> Option<Regex> {
    RegexBuilder::new(text)
        .size_limit(size)
        .dfa_size_limit(SMALL)
        .build()
        .ok()
}

/// Whether an expression is a text to look for, and nothing more.
fn is_literal(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | ':' | '@'))
}

/// The most small expressions of a tenant's policy; a text to look for is none.
pub(super) const MAX_EXPRESSIONS: usize = 500;
/// How much of globs it may have, in characters once braces are multiplied out; the plain forms count for nothing.
const MAX_GLOBS: usize = 1024 * 1024;
/// The same for all projects of a tenant together, and the share of one: whoever may change one project must not use up what
/// the lines of others need.
const ALL_PROJECTS: usize = 4;
const ONE_PROJECT: usize = 10;

/// Reads the fields of a tenant's lines.
pub(super) struct Reader {
    mode: MatchMode,
    /// How many more expressions it may have.
    expressions: usize,
    /// How much more of globs.
    globs: usize,
}

impl Reader {
    pub(super) fn new(mode: MatchMode) -> Self {
        Self {
            mode,
            expressions: MAX_EXPRESSIONS,
            globs: MAX_GLOBS,
        }
    }

    /// For the roles of all projects.
    pub(super) fn of_projects(mode: MatchMode) -> Self {
        Self {
            mode,
            expressions: MAX_EXPRESSIONS * ALL_PROJECTS,
            globs: MAX_GLOBS * ALL_PROJECTS,
        }
    }

    /// For the roles of one of them.
    pub(super) fn part(&self) -> Self {
        Self {
            mode: self.mode,
            expressions: self.expressions.min(MAX_EXPRESSIONS / ONE_PROJECT),
            globs: self.globs.min(MAX_GLOBS / ONE_PROJECT),
        }
    }

    /// Takes off what one has used.
    pub(super) fn spend(&mut self, part: &Self) {
        let given = self.part();
        self.expressions -= given.expressions - part.expressions;
        self.globs -= given.globs - part.globs;
    }

    /// `None` for a field that is no pattern, and for every one beyond what there may be.
    pub(super) fn read(&mut self, text: &str) -> Option<Pattern> {
        if self.mode == MatchMode::Glob {
            let pattern = Pattern::glob(text)?;
            if let Pattern::Glob(glob) = &pattern {
                self.globs = self.globs.checked_sub(glob.size())?;
            }
            return Some(pattern);
        }
        if let Some(plain) = Pattern::plain_regex(text) {
            return Some(plain);
        }
        let mut compiled = |size: usize| {
            let left = self.expressions.checked_sub(size / SMALL)?;
            let regex = expression(text, size)?;
            self.expressions = left;
            Some(Pattern::Regex(Box::new(regex)))
        };
        compiled(SMALL).or_else(|| compiled(LARGE))
    }
}

impl Pattern {
    /// An expression that needs no machine: `None` for others.
    fn plain_regex(text: &str) -> Option<Self> {
        if text == ".*" {
            return Some(Self::Everything);
        }
        if is_literal(text) {
            return Some(Self::Contains(text.to_owned()));
        }
        let inner = text.strip_prefix('^')?.strip_suffix('$')?;
        is_literal(inner).then(|| Self::Exactly(inner.to_owned()))
    }

    fn glob(text: &str) -> Option<Self> {
        let plain = |text: &str| !text.contains(['*', '?', '[', ']', '{', '}', '\\']);
        if text == "*" {
            return Some(Self::Everything);
        }
        if plain(text) {
            return Some(Self::Exactly(text.to_owned()));
        }
        match text.strip_suffix('*') {
            Some(start) if plain(start) => Some(Self::StartsWith(start.to_owned())),
            _ => Glob::new(text, None).map(Self::Glob),
        }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Exactly(wanted) => wanted == text,
            Self::StartsWith(start) => text.starts_with(start.as_str()),
            Self::Glob(glob) => glob.matches(text, None),
            Self::Contains(part) => text.contains(part.as_str()),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_forms_say_the_same_as_the_glob() {
        for (pattern, text) in [
            ("*", "x/y"),
            ("a/b", "a/b"),
            ("a/b", "a/c"),
            ("a/*", "a/b/c"),
            ("a/*", "b/a/"),
            ("*/*", "a/b"),
            ("*/*", "ab"),
        ] {
            assert_eq!(
                Pattern::glob(pattern).is_some_and(|pattern| pattern.matches(text)),
                crate::glob::glob(pattern, text),
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn a_regular_expression_is_found_anywhere() {
        let regex = |pattern| Reader::new(MatchMode::Regex).read(pattern).unwrap();
        assert!(regex("get|sync").matches("sync"));
        assert!(regex("team").matches("my-team/app"));
        assert!(!regex("^team-[0-9]+/.*$").matches("team-x/app"));
        assert!(
            Reader::new(MatchMode::Regex).read("*").is_none(),
            "no expression"
        );
        for (pattern, text) in [
            ("get", "widget"),
            ("get", "set"),
            ("^get$", "get"),
            ("^get$", "widget"),
            (".*", ""),
            ("a/b", "x/a/b"),
            ("^a-b", "a-bc"),
            ("", "x"),
        ] {
            let whole = Regex::new(pattern).unwrap();
            assert_eq!(
                regex(pattern).matches(text),
                whole.is_match(text),
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn a_tenants_globs_take_little_memory() {
        let mut reader = Reader::new(MatchMode::Glob);
        let many = format!("{}{}", "{a,b}".repeat(7), "x".repeat(80));
        let read = (0..300).filter(|_| reader.read(&many).is_some()).count();
        assert!(read > 50 && read * 128 * 80 <= MAX_GLOBS, "{read}");
        assert!(reader.read("team-*").is_some() && reader.read("*/*").is_some());
    }

    #[test]
    fn an_expression_takes_little_memory() {
        for usual in [
            "^[a-z0-9.-]+/team-[0-9]{1,3}-.*$",
            r"^[\w.-]+$",
            "^(get|sync|action/.*)$",
            r"\w+/\d+",
        ] {
            assert!(expression(usual, LARGE).is_some(), "{usual}");
        }
        for bomb in [r"\w{1000}", "(a{1000}){1000}", "(x|y|z){50000}"] {
            assert!(expression(bomb, LARGE).is_none(), "{bomb}");
        }
        let mut reader = Reader::new(MatchMode::Regex);
        assert!(reader.read("(x|y|z){1000}").is_some());
        for number in 0..MAX_EXPRESSIONS - LARGE / SMALL {
            assert!(reader.read(&format!("a{number}.*")).is_some());
        }
        assert!(reader.read("a.*").is_none() && reader.read("a").is_some());
    }
}
