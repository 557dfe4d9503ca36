//! Globs as Argo CD's library reads them: `*`, `**`, `?`, `[a-c]`, `[!abc]`, `{a,b}` and `\` before any of these.
//!
//! Compiled once, and matched without backtracking into more than the last star, or where that would not do in one go through
//! the text, so that no pattern can be made to take long.

/// The longest pattern, in bytes: longer than any name or address that one could be for.
pub const MAX_LENGTH: usize = 1024;
/// The most groups in braces, and the most alternatives and bytes that these may multiply into.
const MAX_GROUPS: usize = 8;
const MAX_ALTERNATIVES: usize = 256;
const MAX_MULTIPLIED: usize = 16 * 1024;

/// A compiled glob.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Glob {
    alternatives: Vec<Vec<Token>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Token {
    Literal(char),
    /// One character that is no separator.
    One,
    /// Any run of characters without a separator.
    Run,
    /// Any run of characters.
    AnyRun,
    /// One of a set, or none of it.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Token {
    fn size(&self) -> usize {
        match self {
            Self::Literal(_) | Self::One | Self::Run | Self::AnyRun => 1,
            Self::Class { negated: _, ranges } => ranges.len().max(1),
        }
    }

    /// Whether a character is one that it takes.
    fn takes(&self, c: char, separator: Option<char>) -> bool {
        match self {
            Self::Literal(wanted) => c == *wanted,
            Self::One | Self::Run => Some(c) != separator,
            Self::AnyRun => true,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated
            }
        }
    }

    /// Whether it takes as many as there are.
    fn repeats(&self) -> bool {
        matches!(self, Self::Run | Self::AnyRun)
    }
}

impl Glob {
    /// Compiles a pattern. Where a separator is given, `*` and `?` stop at it and only `**` crosses it.
    ///
    /// `None` for a pattern that no glob is: an open bracket or brace, longer than [`MAX_LENGTH`], or too many
    /// alternatives.
    #[must_use]
    pub fn new(pattern: &str, separator: Option<char>) -> Option<Self> {
        let alternatives = expand(pattern)?;
        let compiled = alternatives
            .iter()
            .map(|text| tokens(text, separator))
            .collect::<Option<Vec<_>>>()?;
        Some(Self {
            alternatives: compiled,
        })
    }

    /// How much of it there is to keep and to hold a text against, about in characters.
    #[must_use]
    pub fn size(&self) -> usize {
        self.alternatives.iter().flatten().map(Token::size).sum()
    }

    /// Whether it matches the whole text.
    #[must_use]
    pub fn matches(&self, text: &str, separator: Option<char>) -> bool {
        self.alternatives
            .iter()
            .any(|tokens| matches(tokens, text, separator))
    }
}

/// Argo CD's glob: `*` crosses every separator. What is no glob matches nothing.
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    judge(pattern, text, None).unwrap_or(false)
}

/// Whether a glob matches; with a separator, `*` stops at it unless it is the whole pattern. `None` when the pattern is
/// no glob, for whoever must not take that for "does not match": a pattern that denies, say.
#[must_use]
pub fn judge(pattern: &str, text: &str, separator: Option<char>) -> Option<bool> {
    if pattern == "*" {
        return Some(true);
    }
    if !pattern.contains(['*', '?', '[', '{', '\\']) {
        return (pattern.len() <= MAX_LENGTH).then(|| pattern == text);
    }
    Glob::new(pattern, separator).map(|glob| glob.matches(text, separator))
}

/// Multiplies braces out, group by group: each round takes the first group out of one pattern. Patterns are whatever
/// somebody sent, hence no recursion and no more rounds than groups times alternatives.
fn expand(pattern: &str) -> Option<Vec<String>> {
    if pattern.len() > MAX_LENGTH || pattern.matches('{').count() > MAX_GROUPS {
        return None;
    }
    let mut whole = Vec::new();
    let mut multiplied = 0;
    let mut open = vec![pattern.to_owned()];
    while let Some(pattern) = open.pop() {
        let chars: Vec<char> = pattern.chars().collect();
        let Some((start, end, commas)) = braces(&chars)? else {
            whole.push(pattern);
            continue;
        };
        if whole.len() + open.len() + commas.len() >= MAX_ALTERNATIVES {
            return None;
        }
        multiplied += pattern.len() * commas.len();
        if multiplied > MAX_MULTIPLIED {
            return None;
        }
        let text = |from: usize, to: usize| chars[from..to].iter().collect::<String>();
        let (before, after) = (text(0, start), text(end + 1, chars.len()));
        let mut from = start + 1;
        for to in commas.into_iter().chain([end]) {
            open.push(format!("{before}{}{after}", text(from, to)));
            from = to + 1;
        }
    }
    Some(whole)
}

/// The first group in braces: where it opens, where it closes, and its own commas. `None` when it never closes.
fn braces(chars: &[char]) -> Option<Option<(usize, usize, Vec<usize>)>> {
    let (mut open, mut depth, mut commas) = (0, 0_usize, Vec::new());
    let mut in_class = false;
    let mut at = 0;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 1,
            '[' => in_class = true,
            ']' => in_class = false,
            '{' if !in_class => {
                if depth == 0 {
                    open = at;
                }
                depth += 1;
            }
            '}' if !in_class && depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    return Some(Some((open, at, commas)));
                }
            }
            ',' if depth == 1 && !in_class => commas.push(at),
            _ => {}
        }
        at += 1;
    }
    if depth == 0 { Some(None) } else { None }
}

fn tokens(pattern: &str, separator: Option<char>) -> Option<Vec<Token>> {
    let mut all = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        let token = match c {
            '\\' => Token::Literal(chars.next().unwrap_or('\\')),
            '?' => Token::One,
            '*' => {
                let mut stars = 1;
                while chars.next_if_eq(&'*').is_some() {
                    stars += 1;
                }
                if stars > 1 || separator.is_none() {
                    Token::AnyRun
                } else {
                    Token::Run
                }
            }
            '[' => class(&mut chars)?,
            c => Token::Literal(c),
        };
        all.push(token);
    }
    Some(all)
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let negated = chars.next_if_eq(&'!').is_some();
    let mut ranges = Vec::new();
    loop {
        let from = match chars.next()? {
            ']' if !ranges.is_empty() => return Some(Token::Class { negated, ranges }),
            ']' => return None,
            '\\' => chars.next()?,
            c => c,
        };
        let to = match chars.next_if_eq(&'-') {
            Some(_) => match chars.next()? {
                ']' => {
                    ranges.extend([(from, from), ('-', '-')]);
                    return Some(Token::Class { negated, ranges });
                }
                to => to,
            },
            None => from,
        };
        ranges.push((from, to));
    }
}

/// Where to go on from when what follows the last run does not match: behind its token, one character further.
#[derive(Clone, Copy)]
struct Resume<'a> {
    token: usize,
    rest: &'a str,
}

fn longer(resume: Option<Resume<'_>>) -> Option<(Resume<'_>, char)> {
    let resume = resume?;
    Some((resume, resume.rest.chars().next()?))
}

fn matches(tokens: &[Token], text: &str, separator: Option<char>) -> bool {
    let intricate = |token: &Token| matches!(token, Token::AnyRun | Token::Class { .. });
    match tokens.contains(&Token::Run) && tokens.iter().any(intricate) {
        true => side_by_side(tokens, text, separator),
        false => one_by_one(tokens, text, separator),
    }
}

/// Character by character for all tokens at once. With runs of both kinds a text's length would count twice if one within
/// separators began anew for each character that one across them takes; and a class may take the separator at which a run
/// gives up, so that the run before it is not to be forgotten.
fn side_by_side(tokens: &[Token], text: &str, separator: Option<char>) -> bool {
    // Whether what came so far can stand before each token, and behind the last.
    let mut before = vec![false; tokens.len()];
    let mut behind = tokens.is_empty();
    if let Some(first) = before.first_mut() {
        *first = true;
    }
    for c in text.chars() {
        // From the token in front: its own word on this character, and whether it may take none.
        let (mut reached, mut skipped) = (false, false);
        for (token, here) in tokens.iter().zip(&mut before) {
            let was = *here || skipped;
            let taken = was && token.takes(c, separator);
            *here = reached || (taken && token.repeats());
            skipped = was && token.repeats();
            reached = taken && !token.repeats();
        }
        behind = reached;
    }
    let mut skipped = false;
    for (token, here) in tokens.iter().zip(before) {
        skipped = (here || skipped) && token.repeats();
    }
    behind || skipped
}

fn one_by_one(tokens: &[Token], text: &str, separator: Option<char>) -> bool {
    let (mut at, mut rest) = (0, text);
    let mut run: Option<Resume<'_>> = None;
    let mut any_run: Option<Resume<'_>> = None;
    loop {
        let next = rest.chars().next();
        let step = match (tokens.get(at), next) {
            (None, None) => return true,
            (Some(Token::AnyRun), _) => {
                any_run = Some(Resume { token: at, rest });
                run = None;
                at += 1;
                continue;
            }
            (Some(Token::Run), _) => {
                run = Some(Resume { token: at, rest });
                at += 1;
                continue;
            }
            (Some(token), Some(c)) => token.takes(c, separator),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if step {
            rest = &rest[next.map_or(0, char::len_utf8)..];
            at += 1;
            continue;
        }
        // A run may take one character more, if that is no separator; else the run across separators may.
        if let Some((resume, c)) = longer(run).filter(|(_, c)| Some(*c) != separator) {
            let resume = Resume {
                rest: &resume.rest[c.len_utf8()..],
                ..resume
            };
            run = Some(resume);
            (at, rest) = (resume.token + 1, resume.rest);
        } else if let Some((resume, c)) = longer(any_run) {
            let resume = Resume {
                rest: &resume.rest[c.len_utf8()..],
                ..resume
            };
            any_run = Some(resume);
            run = None;
            (at, rest) = (resume.token + 1, resume.rest);
        } else {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_glob(pattern: &str, text: &str) -> bool {
        judge(pattern, text, Some('/')).unwrap_or(false)
    }

    #[test]
    fn stars_cross_separators_only_where_there_are_none() {
        assert!(glob("*", "") && glob("*", "a/b"));
        assert!(glob("default/*", "default/a/b"));
        assert!(glob("a*c", "abbbc") && !glob("a*c", "abbbd"));
        assert!(path_glob("https://h/*", "https://h/a"));
        assert!(!path_glob("https://h/*", "https://h/a/b"));
        assert!(path_glob("https://h/**", "https://h/a/b"));
        assert!(path_glob("*", "https://h/a/b"));
        assert!(path_glob("https://h/*/b", "https://h/a/b"));
        assert!(!path_glob("https://h/?", "https://h//"));
    }

    #[test]
    fn classes_alternatives_and_escapes() {
        assert!(glob("[a-c]x", "bx") && !glob("[!a-c]x", "bx") && glob("[!a-c]x", "dx"));
        assert!(glob("team-{a,b*}/x", "team-b1/x") && !glob("team-{a,b*}/x", "team-c/x"));
        assert!(glob("{a,{b,c}}d", "cd"));
        assert!(glob("\\*", "*") && !glob("\\*", "x"));
        assert!(glob("[a-]", "-"));
        assert!(glob("?", "나") && !glob("?", ""));
    }

    #[test]
    fn what_is_no_glob_matches_nothing() {
        for bad in ["[", "[]", "{a", "[a-"] {
            assert!(Glob::new(bad, None).is_none(), "{bad}");
            assert!(!glob(bad, bad), "{bad}");
        }
        assert!(Glob::new(&"{a,b}".repeat(20), None).is_none());
        assert!(judge("{a", "b", None).is_none() && judge("a", "b", None) == Some(false));
    }

    #[test]
    fn no_pattern_takes_the_stack_or_long() {
        for many in ["{}", "{", "{a,", "{{}}", "[", "[a", "\\", "*", "{a,b}*"] {
            let pattern = many.repeat(100_000);
            assert!(Glob::new(&pattern, None).is_none(), "{many}");
            assert!(!glob(&pattern, "a") && !path_glob(&pattern, "a"), "{many}");
        }
        let nested = format!("{}a{}", "{b,".repeat(MAX_GROUPS), "}".repeat(MAX_GROUPS));
        assert!(glob(&nested, "a") && glob(&nested, "b") && !glob(&nested, "c"));
        assert!(Glob::new(&"{a,b}".repeat(MAX_GROUPS + 1), None).is_none());
        assert!(Glob::new(&format!("{}{}", "{a,b}".repeat(8), "x".repeat(80)), None).is_none());
        assert!(Glob::new(&"{a,b}".repeat(7), None).is_some());
    }

    #[test]
    fn many_stars_take_no_longer() {
        let pattern = format!("{}b", "a*".repeat(60));
        assert!(!glob(&pattern, &"a".repeat(5_000)));
    }

    #[test]
    fn stars_of_both_kinds_take_no_longer() {
        let began = std::time::Instant::now();
        let pattern = format!("**a*{}b", "a".repeat(500));
        assert!(!path_glob(&pattern, &"a".repeat(5_000)));
        assert!(path_glob(&pattern, &format!("/{}b", "a".repeat(5_000))));
        // With the text's length counted twice it takes minutes in a test.
        assert!(began.elapsed() < std::time::Duration::from_secs(20));
    }

    #[test]
    fn both_ways_of_matching_come_to_the_same() {
        let all = |parts: &[&str], most: u32| {
            let mut all = vec![String::new()];
            for length in 1..=most {
                let number = parts.len().pow(length);
                all.extend((0..number).map(|mut number| {
                    let mut text = String::new();
                    for _ in 0..length {
                        text += parts[number % parts.len()];
                        number /= parts.len();
                    }
                    text
                }));
            }
            all
        };
        let texts = all(&["a", "b", "/"], 4);
        for pattern in all(&["a", "/", "*", "**", "?"], 4) {
            let tokens = tokens(&pattern, Some('/')).unwrap();
            for text in &texts {
                assert_eq!(
                    side_by_side(&tokens, text, Some('/')),
                    one_by_one(&tokens, text, Some('/')),
                    "{pattern} of {text}"
                );
            }
        }
    }

    #[test]
    fn a_class_may_take_the_separator_that_stars_stop_at() {
        assert!(path_glob("*[!a]*", "b/") && path_glob("*[!a]*", "ab/b"));
        assert!(!path_glob("*[!a]*", "a") && !path_glob("*[!a]*", "a//a"));
        assert!(path_glob("a[/]*", "a/b") && !path_glob("a[/]*", "a/b/c"));
    }

    #[test]
    fn each_member_of_a_class_counts() {
        let size = |pattern: &str| Glob::new(pattern, None).unwrap().size();
        assert_eq!(size("a?*"), 3);
        assert_eq!(size("[a-c]x"), 2);
        assert_eq!(size("[!abc]x"), 4);
    }
}
