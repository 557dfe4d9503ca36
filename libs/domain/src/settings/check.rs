//! What a key may hold.

use regex::{Regex, RegexBuilder};

use super::{BuildOptions, KindFilter, accounts, duration, links, yaml};
use crate::clock::Timestamp;
use crate::message::{Message, settings as say};
use crate::rbac::{Effect, Policy, Rule};

/// The largest value; a ConfigMap as a whole has a megabyte.
pub(super) const MAX_VALUE: usize = 256 << 10;
/// The costliest hash: each step doubles the work of a login.
const MAX_COST: u32 = 12;
/// The most shells that are tried for one terminal.
const MAX_SHELLS: usize = 16;
/// The longest regular expression, and how large a compiled one may be.
const MAX_PATTERN: usize = 1_000;
const MAX_COMPILED: usize = 1 << 20;

/// The kind of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Anything.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number, not negative.
    Integer,
    /// A duration as Go writes it.
    Duration,
    /// An http or https address.
    Url,
    /// A list of http or https addresses, in YAML.
    Urls,
    /// A path on the same host, or an http or https address.
    Place,
    /// A regular expression.
    Pattern,
    /// A label's key.
    LabelKey,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A mapping, in YAML.
    Mapping,
    /// A list, in YAML.
    List,
    /// A list or a mapping, in YAML.
    Structure,
    /// `login`, `apiKey`, or both.
    Capabilities,
    /// A bcrypt hash.
    PasswordHash,
    /// A time as RFC 3339 writes it.
    Time,
    /// An account's tokens, in JSON.
    Tokens,
    /// Lines of a policy.
    Policy,
    /// A secret that requests are signed with.
    SigningSecret,
    /// Options of `kustomize build`.
    BuildOptions,
    /// A list of kinds, in YAML.
    Kinds,
    /// Names of programs, with commas between.
    Shells,
    /// A list of links, in YAML.
    Links,
}

impl Check {
    /// The word for it, where keys are described.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Bool => "boolean",
            Self::Integer => "integer",
            Self::Duration => "duration",
            Self::Url => "url",
            Self::Urls => "url-list",
            Self::Place => "url-or-path",
            Self::Pattern => "regular-expression",
            Self::LabelKey => "label-key",
            Self::OneOf(_) => "one-of",
            Self::Mapping => "yaml-mapping",
            Self::List => "yaml-list",
            Self::Structure => "yaml",
            Self::Capabilities => "capabilities",
            Self::PasswordHash => "bcrypt-hash",
            Self::Time => "time",
            Self::Tokens => "token-list",
            Self::Policy => "policy",
            Self::SigningSecret => "secret",
            Self::BuildOptions => "build-options",
            Self::Kinds => "kind-list",
            Self::Shells => "shells",
            Self::Links => "link-list",
        }
    }

    /// Whether a text fits, and if not, what to write instead.
    ///
    /// # Errors
    /// The message; the caller adds object and key.
    pub fn check(self, text: &str) -> Result<(), Message> {
        if text.len() > MAX_VALUE {
            return Err(say::TOO_LONG.with("limit", MAX_VALUE));
        }
        if text.contains('\0') {
            return Err(say::NOT_TEXT.message());
        }
        match self {
            Self::Text => Ok(()),
            Self::Bool => holds(go_bool(text).is_some(), || say::NOT_BOOL.message()),
            Self::Integer => holds(text.parse::<u32>().is_ok(), || say::NOT_INTEGER.message()),
            Self::Duration => holds(duration::go_duration(text).is_some(), || {
                say::NOT_DURATION.message()
            }),
            Self::Url => holds(text.is_empty() || is_url(text), || say::NOT_URL.message()),
            Self::Place => holds(text.is_empty() || is_url(text) || is_path(text), || {
                say::NOT_URL.message()
            }),
            Self::Urls => {
                let list = structure(text)?;
                let all = list.as_array().is_some_and(|items| {
                    items.iter().all(|item| item.as_str().is_some_and(is_url))
                });
                holds(all || list.is_null(), || say::NOT_URL.message())
            }
            Self::Pattern => match password_pattern(text) {
                Some(_) => Ok(()),
                None => Err(say::NOT_PATTERN.message()),
            },
            Self::LabelKey => holds(text.is_empty() || is_label_key(text), || {
                say::NOT_LABEL.message()
            }),
            Self::OneOf(words) => holds(words.contains(&text), || {
                say::NOT_ONE_OF.with("words", words.join(", "))
            }),
            Self::Mapping => {
                let value = structure(text)?;
                holds(value.is_object() || value.is_null(), || {
                    say::NOT_MAPPING.message()
                })
            }
            Self::List => {
                let value = structure(text)?;
                holds(value.is_array() || value.is_null(), || {
                    say::NOT_LIST.message()
                })
            }
            Self::Structure => structure(text).map(|_| ()),
            Self::BuildOptions => BuildOptions::parse(text).map(drop),
            Self::Kinds => KindFilter::check(text),
            Self::Shells => holds(text.is_empty() || are_shells(text), || {
                say::NOT_SHELLS.with("limit", MAX_SHELLS)
            }),
            Self::Links => links::read(&structure(text)?).map(drop),
            Self::Capabilities => {
                match accounts::capabilities(text)
                    .find(|word| accounts::Capability::parse(word).is_none())
                {
                    Some(word) => Err(say::NOT_CAPABILITY.with("word", word)),
                    None => Ok(()),
                }
            }
            Self::PasswordHash => holds(is_hash(text), || say::NOT_HASH.with("cost", MAX_COST)),
            Self::Time => holds(timestamp(text).is_some(), || say::NOT_TIME.message()),
            Self::Tokens => {
                let read = serde_json::from_str::<Vec<accounts::AccountToken>>(text);
                let unique = read.is_ok_and(|tokens| {
                    let ids: std::collections::BTreeSet<_> =
                        tokens.iter().map(|token| &token.id).collect();
                    ids.len() == tokens.len() && tokens.iter().all(|token| !token.id.is_empty())
                });
                holds(unique, || say::NOT_TOKENS.message())
            }
            Self::Policy => policy(text),
            Self::SigningSecret => holds(!text.trim().is_empty(), || say::EMPTY_SECRET.message()),
        }
    }
}

fn holds(fine: bool, otherwise: impl FnOnce() -> Message) -> Result<(), Message> {
    if fine { Ok(()) } else { Err(otherwise()) }
}

fn structure(text: &str) -> Result<serde_json::Value, Message> {
    yaml::read(text).map_err(|why| say::NOT_YAML.with("why", why))
}

/// A boolean as Go reads it.
pub(super) fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A time as RFC 3339 writes it.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    chrono::DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| at.with_timezone(&chrono::Utc))
}

/// Whether it is an http or https address. Other schemes would run in the browser of whoever follows them.
pub(super) fn is_url(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let rest = lower
        .strip_prefix("https://")
        .or_else(|| lower.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with(['/', '?', '#'])
            && !text.contains(|c: char| c.is_whitespace() || c.is_control())
    })
}

/// A path on the same host; `//host` would lead elsewhere.
fn is_path(text: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '\\' && c != ':';
    !text.starts_with("//") && text.chars().all(plain)
}

/// Names or paths of programs, with commas between; what is around a name is part of it.
fn are_shells(text: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control();
    let is_name = |name: &str| (1..=255).contains(&name.len()) && name.chars().all(plain);
    text.split(',').count() <= MAX_SHELLS && text.split(',').all(is_name)
}

fn is_label_key(text: &str) -> bool {
    let name = |name: &str| {
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        (1..=63).contains(&name.len())
            && ends(name.chars().next())
            && ends(name.chars().last())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    match text.split_once('/') {
        Some((prefix, rest)) => {
            prefix.len() <= 253 && prefix.split('.').all(crate::tenant::is_dns_label) && name(rest)
        }
        None => name(text),
    }
}

/// Whether it is a bcrypt hash in any of its forms (`$2a$`, `$2b$`, `$2x$`, and `$2y$` as htpasswd makes it), at a cost
/// that a login may have.
fn is_hash(text: &str) -> bool {
    let Some((cost, rest)) = ["$2a$", "$2b$", "$2x$", "$2y$"]
        .iter()
        .find_map(|form| text.strip_prefix(form))
        .and_then(|rest| rest.split_once('$'))
    else {
        return false;
    };
    cost.len() == 2
        && cost
            .parse::<u32>()
            .is_ok_and(|cost| (4..=MAX_COST).contains(&cost))
        && rest.len() == 53
        && rest
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'/')
}

/// A regular expression for passwords; `None` when it is none, or larger than one should be.
#[must_use]
pub fn password_pattern(text: &str) -> Option<Regex> {
    if text.len() > MAX_PATTERN {
        return None;
    }
    RegexBuilder::new(text)
        .size_limit(MAX_COMPILED)
        .build()
        .ok()
}

/// Whether each line is a policy or a grouping.
fn policy(text: &str) -> Result<(), Message> {
    let refused = |line: u32| say::NOT_POLICY.with("line", line);
    let policy = Policy::parse(text, "", "", "")
        .map_err(|problems| refused(problems.first().map_or(0, |problem| problem.line)))?;
    let says_nothing = |rule: &&Rule| rule.effect == Effect::Neither;
    match policy.rules.iter().find(says_nothing) {
        Some(rule) => Err(refused(rule.line)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(check: Check, fine: &[&str], bad: &[&str]) {
        for text in fine {
            assert!(check.check(text).is_ok(), "{check:?} {text}");
        }
        for text in bad {
            assert!(check.check(text).is_err(), "{check:?} {text}");
        }
    }

    #[test]
    fn every_kind_takes_what_it_should_and_nothing_else() {
        takes(Check::Bool, &["true", "F", "0"], &["", "yes", "tRUE"]);
        takes(Check::Integer, &["0", "15"], &["-1", "a", ""]);
        takes(Check::Duration, &["24h", "0"], &["1x", "24"]);
        takes(
            Check::Url,
            &["https://a.example/x", "http://a:8080", ""],
            &[
                "javascript:alert(1)",
                "//a",
                "https:///x",
                "ftp://a",
                "https://a b",
            ],
        );
        takes(
            Check::Urls,
            &["- https://a\n- https://b\n", ""],
            &["- javascript:x", "a: b"],
        );
        takes(
            Check::Place,
            &["./custom/my.css", "/x.css", "https://a/x.css"],
            &["//evil.example/x.css", "javascript:x", "a b"],
        );
        takes(
            Check::Pattern,
            &["^.{8,32}$"],
            &["(", "(a{1000}){1000}{1000}"],
        );
        takes(
            Check::LabelKey,
            &["app.kubernetes.io/instance", "mine"],
            &["a/b/c", "-x", "a b"],
        );
        takes(Check::OneOf(&["a", "b"]), &["a"], &["c", ""]);
        takes(Check::Mapping, &["a: b", ""], &["- a", "a: ["]);
        takes(Check::List, &["- a", ""], &["a: b"]);
        takes(
            Check::Links,
            &["- title: a\n  url: https://a/{{ .app.b }}\n  if: 1 < 2", ""],
            &["a: b", "- a", "- title: a\n  url: '{{'"],
        );
        takes(
            Check::Capabilities,
            &["login, apiKey", "apiKey", ""],
            &["logn"],
        );
        takes(Check::Time, &["2024-01-02T03:04:05Z"], &["yesterday"]);
        takes(
            Check::Tokens,
            &["[]", r#"[{"id":"a","iat":1}]"#],
            &[
                "{}",
                r#"[{"id":"a","iat":1},{"id":"a","iat":2}]"#,
                r#"[{"id":"","iat":1}]"#,
            ],
        );
        takes(
            Check::Policy,
            &[
                "# all\np, role:x, applications, get, */*, allow\ng, bob, role:x\n",
                "p, a, b, c, d, deny",
            ],
            &[
                "p, a, b",
                "p, a, b, c, d",
                "x, y, z",
                "p, a, b, c, d, maybe",
                "g, a, ",
            ],
        );
        takes(Check::SigningSecret, &["x"], &["", "  "]);
        takes(
            Check::Shells,
            &["bash,sh,powershell,cmd", "/bin/bash", ""],
            &[
                "bash, sh",
                "bash,",
                ",",
                "sh -c",
                "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q",
            ],
        );
    }

    #[test]
    fn a_hash_is_bcrypt_and_affordable() {
        let body = "C6UzMDM.H6dfI/f/IKcEeO7ZFVb0Yv0eQ1uJ0pY1o8aB0vJ0yQ9bK";
        for form in ["2a", "2b", "2x", "2y"] {
            assert!(is_hash(&format!("${form}$10${body}")), "{form}");
        }
        for bad in [
            format!("$2a$31${body}"),
            format!("$2a$13${body}"),
            format!("$1$10${body}"),
            "hunter2".to_owned(),
            String::new(),
        ] {
            assert!(!is_hash(&bad), "{bad}");
        }
    }
}
