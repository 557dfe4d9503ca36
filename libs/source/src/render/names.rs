//! Names that are looked for in other names: kustomize puts prefixes and suffixes around them.
//!
//! Thousands of names may be looked for in thousands of others, so they are sorted, and what begins at a place of a name is
//! found without asking each.

use std::collections::BTreeMap;

/// Names, each of one thing or more.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// In order.
    all: Vec<Name>,
}

/// A name.
#[derive(Debug)]
pub(super) struct Name {
    text: String,
    /// The first and the last of what has it.
    pub(super) first: usize,
    pub(super) last: usize,
    /// The longest other that it begins with.
    inner: Option<usize>,
}

/// Which of the names are in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    /// None of them.
    Nothing,
    /// That of one thing.
    One(usize),
    /// Those of several.
    Several,
}

impl Name {
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }
}

/// Of pairs of a name and what has it, in the order of the latter.
impl FromIterator<(String, usize)> for Names {
    fn from_iter<I: IntoIterator<Item = (String, usize)>>(pairs: I) -> Self {
        let mut sorted: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for (text, who) in pairs {
            sorted
                .entry(text)
                .and_modify(|(_, last)| *last = who)
                .or_insert((who, who));
        }
        let mut all: Vec<Name> = Vec::with_capacity(sorted.len());
        // Those that the one at hand may begin with, each within the next.
        let mut inner: Vec<usize> = Vec::new();
        for (text, (first, last)) in sorted {
            while inner
                .last()
                .is_some_and(|at| !text.starts_with(&all[*at].text))
            {
                inner.pop();
            }
            let longest = inner.last().copied();
            inner.push(all.len());
            all.push(Name {
                text,
                first,
                last,
                inner: longest,
            });
        }
        Self { all }
    }
}

impl Names {
    /// Those that are in a text, of each place the longest that begins there.
    pub(super) fn within<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a Name> {
        let begins = text.char_indices().map(|(at, _)| at).chain([text.len()]);
        begins.filter_map(move |at| self.beginning(text.get(at..)?))
    }

    /// Which of them are in a text.
    pub(super) fn all_within(&self, text: &str) -> Within {
        let mut only: Option<&Name> = None;
        for one in self.within(text) {
            let others = one.first != one.last || one.inner.is_some();
            if others || only.is_some_and(|only| only.text != one.text) {
                return Within::Several;
            }
            only = Some(one);
        }
        only.map_or(Within::Nothing, |one| Within::One(one.last))
    }

    /// The longest that a text begins with. It begins the one that goes before the text in order, too.
    fn beginning(&self, text: &str) -> Option<&Name> {
        let after = self.all.partition_point(|one| one.text.as_str() <= text);
        let mut one = self.all.get(after.checked_sub(1)?)?;
        let both = one.text.bytes().zip(text.bytes());
        let common = both.take_while(|(a, b)| a == b).count();
        while one.len() > common {
            one = self.all.get(one.inner?)?;
        }
        Some(one)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn names(all: &[&str]) -> Names {
        let all = all.iter().enumerate();
        all.map(|(who, text)| ((*text).to_owned(), who)).collect()
    }

    #[test]
    fn what_is_found_is_what_asking_each_finds() {
        let all = [
            "a", "ab", "abc", "abd", "b", "ba", "c-d", "", "aba", "가", "가나",
        ];
        let given = names(&all);
        for text in [
            "",
            "a",
            "abab",
            "xabcx",
            "abdab",
            "c-",
            "zc-dz",
            "q",
            "가나다",
            "나",
            "abx",
        ] {
            let longest = given.within(text).max_by_key(|one| one.len());
            let expected = all.iter().filter(|one| text.contains(**one));
            let expected = expected.max_by_key(|one| one.len());
            assert_eq!(
                longest.map(|one| one.text.as_str()),
                expected.copied(),
                "{text}"
            );
        }
    }

    #[test]
    fn one_name_in_another_is_told_from_several() {
        let given = names(&["web", "db", "db-old", "two", "two"]);
        for (text, expected) in [
            ("x-web-x", Within::One(0)),
            ("web-web", Within::One(0)),
            ("db", Within::One(1)),
            ("db-old", Within::Several),
            ("web-db", Within::Several),
            ("two-x", Within::Several),
            ("cache", Within::Nothing),
        ] {
            assert_eq!(given.all_within(text), expected, "{text}");
        }
    }

    #[test]
    fn many_names_are_found_in_many() {
        let began = Instant::now();
        let many = 20_000;
        let all = (0..many).map(|n| (format!("configuration-of-a-service-{n}"), n));
        let given: Names = all.collect();
        for n in 0..many {
            let text = format!("before-configuration-of-a-service-{n}-behind");
            let longest = given.within(&text).max_by_key(|one| one.len());
            assert_eq!(longest.map(|one| one.last), Some(n));
        }
        // Each asked of each, this takes minutes in a test.
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}
