//! Globs as Argo CD's library reads them: `*`, `**`, `?`, `[a-c]`, `[!abc]`, `{a,b}` and `\` before any of these.
//!
//! Compiled once, matched without allocation and without backtracking into more than the last star, so that no pattern
//! can be made to take long.

/// The most alternatives that braces may multiply into.
const MAX_ALTERNATIVES: usize = 256;

/// A compiled glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    alternatives: Vec<Vec<Token>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
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

impl Glob {
    /// Compiles a pattern. Where a separator is given, `*` and `?` stop at it and only `**` crosses it.
    ///
    /// `None` for a pattern that no glob is: an open bracket or brace, or too many alternatives. It matches nothing.
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

    /// Whether it matches the whole text.
    #[must_use]
    pub fn matches(&self, text: &str, separator: Option<char>) -> bool {
        self.alternatives
            .iter()
            .any(|tokens| matches(tokens, text, separator))
    }
}

/// Argo CD's glob: `*` crosses every separator.
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    pattern == "*" || Glob::new(pattern, None).is_some_and(|glob| glob.matches(text, None))
}

/// A glob whose `*` stops at slashes, as for addresses of repositories; a lone `*` is everything all the same.
#[must_use]
pub fn path_glob(pattern: &str, text: &str) -> bool {
    pattern == "*"
        || Glob::new(pattern, Some('/')).is_some_and(|glob| glob.matches(text, Some('/')))
}

/// Multiplies braces out.
fn expand(pattern: &str) -> Option<Vec<String>> {
    let chars: Vec<char> = pattern.chars().collect();
    let Some((open, close, commas)) = braces(&chars)? else {
        return Some(vec![pattern.to_owned()]);
    };
    let text = |from: usize, to: usize| chars[from..to].iter().collect::<String>();
    let (before, after) = (text(0, open), text(close + 1, chars.len()));
    let mut all = Vec::new();
    let mut from = open + 1;
    for to in commas.into_iter().chain([close]) {
        all.extend(expand(&format!("{before}{}{after}", text(from, to)))?);
        if all.len() > MAX_ALTERNATIVES {
            return None;
        }
        from = to + 1;
    }
    Some(all)
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
            (Some(Token::Literal(wanted)), Some(c)) => c == *wanted,
            (Some(Token::One), Some(c)) => Some(c) != separator,
            (Some(Token::Class { negated, ranges }), Some(c)) => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated
            }
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
    }

    #[test]
    fn many_stars_take_no_longer() {
        let pattern = format!("{}b", "a*".repeat(60));
        assert!(!glob(&pattern, &"a".repeat(5_000)));
    }
}
