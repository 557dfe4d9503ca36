//! Versions of charts and of Git's tags, and ranges of them, as Argo CD and Helm read both: a version may begin with `v` and leave
//! parts out, and `1.x`, `~1.2`, `^1`, `>=1 <2`, `1.2 - 1.4` and `1.x || 3.x` are ranges.
//!
//! A range names no version with a pre-release part unless it names one itself.

use std::borrow::Borrow;
use std::cmp::Ordering;

/// The longest version.
const MAX_VERSION: usize = 256;
/// The longest range, and the most alternatives of one.
const MAX_RANGE: usize = 512;
const MAX_ALTERNATIVES: usize = 32;

/// A version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    numbers: [u64; 3],
    pre: String,
}

impl Version {
    /// Reads one; `None` for what is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_VERSION {
            return None;
        }
        let (numbers, pre) = cut(text)?;
        let parts: Vec<&str> = numbers.split('.').collect();
        if parts.len() > 3 {
            return None;
        }
        let mut read = [0; 3];
        for (at, part) in parts.iter().enumerate() {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            read[at] = part.parse().ok()?;
        }
        // A number in a pre-release part begins with no 0.
        let padded = |part: &str| {
            part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit())
        };
        if pre.split('.').any(padded) {
            return None;
        }
        Some(Self {
            numbers: read,
            pre: pre.to_owned(),
        })
    }

    fn numbers(&self) -> (u64, u64, u64) {
        let [major, minor, patch] = self.numbers;
        (major, minor, patch)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| pre_order(&self.pre, &other.pre))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Without a pre-release part is after any with one; numbers are before words, and less is before more.
fn pre_order(a: &str, b: &str) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(one), Some(two)) => match (one.parse::<u64>(), two.parse::<u64>()) {
                (Ok(one), Ok(two)) => one.cmp(&two),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => one.cmp(two),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// The numbers and the pre-release part of a version's text, the build part dropped; `None` where a part is no such.
fn cut(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (text, build) = match text.split_once('+') {
        Some((text, build)) => (text, Some(build)),
        None => (text, None),
    };
    let (numbers, pre) = match text.split_once('-') {
        Some((numbers, pre)) => (numbers, Some(pre)),
        None => (text, None),
    };
    let words = |text: &str| {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        text.split('.')
            .all(|part| !part.is_empty() && part.bytes().all(word))
    };
    (build.is_none_or(words) && pre.is_none_or(words)).then_some((numbers, pre.unwrap_or("")))
}

/// How many versions are named of those that there are.
const NAMED: usize = 5;

/// The newest of what there is, as a person is told; what is no version is left out. A dash where nothing is left.
#[must_use]
pub fn newest_of<'a>(there: impl IntoIterator<Item = &'a str>) -> String {
    let known = there.into_iter();
    let mut known: Vec<(Version, &str)> = known
        .filter_map(|text| Some((Version::parse(text)?, text)))
        .collect();
    known.sort_by(|a, b| b.0.cmp(&a.0));
    let named: Vec<&str> = known.iter().take(NAMED).map(|(_, text)| *text).collect();
    match named.is_empty() {
        true => "-".to_owned(),
        false => named.join(", "),
    }
}

/// A range of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range(Vec<Vec<Comparison>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Comparison {
    operator: Operator,
    version: Version,
    /// How many of its numbers were written; the others are open.
    written: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    /// Nothing or `=`.
    Equal,
    NotEqual,
    Greater,
    Less,
    AtLeast,
    AtMost,
    Tilde,
    Caret,
}

impl Range {
    /// Reads one; `None` for what is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_RANGE || text.split("||").count() > MAX_ALTERNATIVES {
            return None;
        }
        text.split("||")
            .map(alternative)
            .collect::<Option<_>>()
            .map(Self)
    }

    /// Whether a version is in it.
    #[must_use]
    pub fn has(&self, version: &Version) -> bool {
        self.0.iter().any(|all| {
            let pre = all.iter().any(|one| !one.version.pre.is_empty());
            (pre || version.pre.is_empty()) && all.iter().all(|one| one.holds(version))
        })
    }
}

/// Comparisons with commas or spaces between them, or a range with a hyphen.
fn alternative(text: &str) -> Option<Vec<Comparison>> {
    let text = text.trim();
    if text.is_empty() {
        return comparison("", "*").map(|any| vec![any]);
    }
    if let Some((from, to)) = text.split_once(" - ") {
        let from = comparison(">=", from.trim())?;
        return Some(vec![from, comparison("<=", to.trim())?]);
    }
    let mut all = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let sign = |c: char| matches!(c, '=' | '!' | '<' | '>' | '~' | '^');
        let (operator, after) = rest.split_at(rest.find(|c| !sign(c))?);
        let after = after.trim_start();
        let end = after
            .find(|c: char| c == ',' || c.is_whitespace())
            .unwrap_or(after.len());
        let (version, behind) = after.split_at(end);
        all.push(comparison(operator, version)?);
        let next = behind.trim_start();
        rest = match next.strip_prefix(',') {
            // Something has to come behind a comma.
            Some(next) => Some(next.trim_start()).filter(|next| !next.is_empty())?,
            None => next,
        };
    }
    Some(all)
}

fn comparison(operator: &str, text: &str) -> Option<Comparison> {
    let operator = match operator {
        "" | "=" => Operator::Equal,
        "!=" => Operator::NotEqual,
        ">" => Operator::Greater,
        "<" => Operator::Less,
        ">=" | "=>" => Operator::AtLeast,
        "<=" | "=<" => Operator::AtMost,
        "~" | "~>" => Operator::Tilde,
        "^" => Operator::Caret,
        _ => return None,
    };
    let (numbers, pre) = cut(text)?;
    let parts: Vec<&str> = numbers.split('.').collect();
    let open = |part: &&str| matches!(*part, "x" | "X" | "*");
    let known = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if parts.len() > 3 || !parts.iter().all(|part| open(part) || known(part)) {
        return None;
    }
    let written = parts.iter().take_while(|part| !open(part)).count();
    let mut full: Vec<&str> = parts[..written].to_vec();
    full.resize(3, "0");
    let mut full = full.join(".");
    if !pre.is_empty() {
        full = format!("{full}-{pre}");
    }
    Some(Comparison {
        operator,
        version: Version::parse(&full)?,
        written,
    })
}

impl Comparison {
    fn holds(&self, version: &Version) -> bool {
        let own = &self.version;
        let (major, minor, patch) = own.numbers();
        let (their_major, their_minor, their_patch) = version.numbers();
        let same_major = major == their_major;
        let same_minor = same_major && minor == their_minor;
        match self.operator {
            Operator::Equal if self.written == 3 => version.cmp(own) == Ordering::Equal,
            Operator::Equal | Operator::Tilde => self.tilde(version),
            Operator::NotEqual => match self.written {
                1 => !same_major,
                2 => !same_minor || pre_order(&version.pre, &own.pre) != Ordering::Equal,
                _ => version.cmp(own) != Ordering::Equal,
            },
            Operator::Greater => match self.written {
                1 => their_major > major,
                2 => their_major > major || (same_major && their_minor > minor),
                _ => version > own,
            },
            Operator::Less => version < own,
            Operator::AtLeast => version >= own,
            Operator::AtMost => match self.written {
                1 => their_major <= major,
                0 | 2 => their_major < major || (same_major && their_minor <= minor),
                _ => version <= own,
            },
            Operator::Caret => {
                if version < own {
                    return false;
                }
                if major > 0 || self.written == 1 {
                    return same_major;
                }
                if their_major > 0 {
                    return false;
                }
                if minor > 0 || self.written == 2 {
                    return same_minor;
                }
                same_minor && patch == their_patch
            }
        }
    }

    fn tilde(&self, version: &Version) -> bool {
        let own = &self.version;
        let ((major, minor, _), (their_major, their_minor, _)) = (own.numbers(), version.numbers());
        if version < own {
            return false;
        }
        // `*`, and `~0.0.0`, which is as open.
        if own.numbers == [0; 3] && !matches!(self.written, 1 | 2) {
            return true;
        }
        major == their_major && (self.written == 1 || minor == their_minor)
    }
}

/// What a revision of a chart is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A version: it is taken as it is written, without asking anybody.
    Exact,
    /// The highest version of a range.
    Newest(Range),
    /// Neither: it names a version that is written just so.
    Named,
}

/// What a revision of a chart is.
#[must_use]
pub fn wanted(revision: &str) -> Wanted {
    if Version::parse(revision).is_some() {
        return Wanted::Exact;
    }
    Range::parse(revision).map_or(Wanted::Named, Wanted::Newest)
}

/// The version that a revision of a chart is, among those that there are; `None` where none is. The first of equal ones
/// wins, and a version that is none is left out.
pub fn choose<'a>(revision: &'a str, there: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut there = there.into_iter();
    match wanted(revision) {
        Wanted::Exact => Some(revision),
        Wanted::Named => there.find(|version| *version == revision),
        Wanted::Newest(range) => {
            let parsed = there.filter_map(|text| Some((Version::parse(text)?, text)));
            newest(&range, parsed)
        }
    }
}

/// The first of the highest versions that a range has.
fn newest<'a, V: Borrow<Version>>(
    range: &Range,
    there: impl Iterator<Item = (V, &'a str)>,
) -> Option<&'a str> {
    let fitting = there.filter(|(version, _)| range.has(version.borrow()));
    let best = fitting.reduce(|best, next| match next.0.borrow() > best.0.borrow() {
        true => next,
        false => best,
    });
    best.map(|(_, text)| text)
}

/// The versions of a chart, read once for many questions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions(Vec<(String, Option<Version>)>);

impl Versions {
    /// Versions as they are written.
    #[must_use]
    pub fn new(texts: Vec<String>) -> Self {
        let read = |text: String| {
            let version = Version::parse(&text);
            (text, version)
        };
        Self(texts.into_iter().map(read).collect())
    }

    /// As [`choose`].
    #[must_use]
    pub fn choose<'a>(&'a self, revision: &'a str) -> Option<&'a str> {
        let texts = || self.0.iter().map(|(text, _)| text.as_str());
        match wanted(revision) {
            Wanted::Exact => Some(revision),
            Wanted::Named => texts().find(|text| *text == revision),
            Wanted::Newest(range) => {
                let all = self.0.iter();
                let read =
                    all.filter_map(|(text, version)| Some((version.as_ref()?, text.as_str())));
                newest(&range, read)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_what_there_is_are_named() {
        let there = [
            "1.0.0",
            "v1.10.0",
            "1.9.0",
            "main",
            "2.0.0-rc.1",
            "1.2",
            "0.1.0",
        ];
        assert_eq!(newest_of(there), "2.0.0-rc.1, v1.10.0, 1.9.0, 1.2, 1.0.0");
        assert_eq!(newest_of(["main"]), "-");
    }

    /// As `semver.NewConstraint(range).Check(version)` of Masterminds/semver 3.4 answers.
    #[test]
    fn ranges_hold_what_the_library_of_helm_and_argo_cd_says() {
        for (range, within, without) in [
            ("1.x", "1.0.0 1.9.3 v1.2", "0.9.0 2.0.0 1.3.0-rc.1"),
            ("1", "1.0.0 1.9.0", "2.0.0"),
            ("1.2", "1.2.0 1.2.9", "1.3.0"),
            ("=1.2", "1.2.0 1.2.9", "1.3.0"),
            ("1.2.3", "1.2.3 1.2.3+build", "1.2.4 1.2.3-rc.1"),
            ("*", "0.0.0 9.9.9", "1.0.0-alpha"),
            ("", "0.0.1 3.0.0", "1.0.0-alpha"),
            (">=1.0.0-0", "1.0.0-alpha 2.0.0-rc.1 2.0.0", "0.9.0"),
            ("*-0", "1.0.0-alpha 2.0.0", ""),
            ("~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0"),
            ("~1", "1.0.0 1.9.0", "2.0.0"),
            ("~>1.2", "1.2.0 1.2.9", "1.3.0"),
            ("~0.0.0", "0.0.0 5.0.0", ""),
            ("^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0"),
            ("^0.2.3", "0.2.3 0.2.9", "0.3.0 1.0.0"),
            ("^0.0.3", "0.0.3", "0.0.4 0.1.0"),
            ("^0.0", "0.0.0 0.0.9", "0.1.0"),
            ("^0", "0.0.0 0.9.0", "1.0.0"),
            (">11", "12.0.0", "11.1.0 11.0.0"),
            (">11.1", "11.2.0 12.0.0", "11.1.9"),
            (">1.2.3", "1.2.4", "1.2.3"),
            ("<2", "1.9.9 0.1.0", "2.0.0 2.0.0-rc.1"),
            ("<=1", "1.9.9 0.1.0", "2.0.0"),
            ("<=1.2", "1.2.9 0.9.0", "1.3.0"),
            ("=<1.2.3", "1.2.3", "1.2.4"),
            ("=>1.2.3", "1.2.3", "1.2.2"),
            ("!=1.x", "2.0.0", "1.2.0"),
            ("!=1.2.x", "1.3.0", "1.2.4"),
            ("!=1.2.3", "1.2.4", "1.2.3"),
            (">= 1.0, < 1.5", "1.0.0 1.4.9", "1.5.0"),
            (">=1.0 <1.5", "1.0.0 1.4.9", "1.5.0"),
            ("1.0 - 1.5", "1.0.0 1.5.9", "1.6.0"),
            ("1.2.x || 3.x", "1.2.7 3.0.0", "2.0.0"),
            (
                "^1.0.0-beta.2",
                "1.0.0-beta.10 1.0.0 1.1.0-rc.1",
                "1.0.0-beta.1",
            ),
        ] {
            let read = Range::parse(range).expect(range);
            for version in within.split_whitespace() {
                assert!(
                    read.has(&Version::parse(version).unwrap()),
                    "{version} is in {range}"
                );
            }
            for version in without.split_whitespace() {
                assert!(
                    !read.has(&Version::parse(version).unwrap()),
                    "{version} is not in {range}"
                );
            }
        }
        for wrong in ["latest", ">", "1.2.3.4", "=>=1", "1.y", ">=1,", "a || b"] {
            assert_eq!(Range::parse(wrong), None, "{wrong}");
        }
        for wrong in [
            "", "x", "1.", "1.2.3.4", "1.2.3-01", "1.2.3-", "1.0.0_1", "main",
        ] {
            assert_eq!(Version::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_revision_of_a_chart_is_resolved_as_argo_cd_does() {
        let there = [
            "1.10.0",
            "1.9.0",
            "v1.2.0",
            "2.0.0-rc.1",
            "nightly",
            "0.1.0+b",
            "0.1.0+a",
        ];
        for (revision, chosen) in [
            ("1.x", Some("1.10.0")),
            ("~1.2", Some("v1.2.0")),
            ("*", Some("1.10.0")),
            (">=2.0.0-0", Some("2.0.0-rc.1")),
            ("0.1.x", Some("0.1.0+b")),
            ("nightly", Some("nightly")),
            ("latest", None),
            ("3.x", None),
            ("7.7.7", Some("7.7.7")),
            ("1.9", Some("1.9")),
        ] {
            assert_eq!(choose(revision, there), chosen, "{revision}");
        }
    }
}
