//! One field of a policy line, compiled.

use regex::Regex;

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
    Glob(Glob),
    Regex(Box<Regex>),
    /// It cannot be compiled, so it matches nothing.
    Nothing,
}

impl Pattern {
    pub(super) fn new(text: &str, mode: MatchMode) -> Self {
        match mode {
            MatchMode::Regex => {
                Regex::new(text).map_or(Self::Nothing, |regex| Self::Regex(Box::new(regex)))
            }
            MatchMode::Glob => Self::glob(text),
        }
    }

    fn glob(text: &str) -> Self {
        let plain = |text: &str| !text.contains(['*', '?', '[', ']', '{', '}', '\\']);
        if text == "*" {
            return Self::Everything;
        }
        if plain(text) {
            return Self::Exactly(text.to_owned());
        }
        match text.strip_suffix('*') {
            Some(start) if plain(start) => Self::StartsWith(start.to_owned()),
            _ => Glob::new(text, None).map_or(Self::Nothing, Self::Glob),
        }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Exactly(wanted) => wanted == text,
            Self::StartsWith(start) => text.starts_with(start.as_str()),
            Self::Glob(glob) => glob.matches(text, None),
            Self::Regex(regex) => regex.is_match(text),
            Self::Nothing => false,
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
                Pattern::new(pattern, MatchMode::Glob).matches(text),
                crate::glob::glob(pattern, text),
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn a_regular_expression_is_found_anywhere() {
        let regex = |pattern| Pattern::new(pattern, MatchMode::Regex);
        assert!(regex("get|sync").matches("sync"));
        assert!(regex("team").matches("my-team/app"));
        assert!(!regex("^team-[0-9]+/.*$").matches("team-x/app"));
        assert!(!regex("*").matches("anything"), "no expression");
    }
}
