//! Every text that a person reads, in Korean and English, under a code that never changes.
//!
//! A message is a [`Code`] and named arguments; it becomes text only where it is read, in the reader's language. One
//! file per area declares its codes with [`messages!`]; a missing language does not compile, and a test checks that
//! both texts name the same arguments and that no code occurs twice.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The languages of the catalogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Language {
    /// English, the one used where nobody said otherwise.
    #[default]
    #[serde(rename = "en")]
    English,
    /// Korean.
    #[serde(rename = "ko")]
    Korean,
}

impl Language {
    /// Its code, as `Accept-Language` names it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }

    /// The first language of an `Accept-Language` value that the catalogue has; `None` when it names neither.
    ///
    /// Quality values order the list (RFC 9110, 12.5.4); the sub-tag is ignored (`ko-KR` is Korean).
    #[must_use]
    pub fn accepted(header: &str) -> Option<Self> {
        let mut wishes: Vec<(f32, usize, Self)> = header
            .split(',')
            .enumerate()
            .filter_map(|(position, item)| {
                let mut parts = item.split(';');
                let language = match parts
                    .next()?
                    .trim()
                    .split('-')
                    .next()?
                    .to_ascii_lowercase()
                    .as_str()
                {
                    "ko" => Self::Korean,
                    "en" => Self::English,
                    _ => return None,
                };
                let quality = parts
                    .find_map(|p| p.trim().strip_prefix("q=")?.parse().ok())
                    .unwrap_or(1.0);
                (quality > 0.0).then_some((quality, position, language))
            })
            .collect();
        wishes.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        wishes.first().map(|wish| wish.2)
    }
}

/// A declared message: its stable code and its texts, with `{argument}` where arguments go.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// `area.what-happened`; never changed once released.
    pub id: &'static str,
    /// The English text.
    pub en: &'static str,
    /// The Korean text.
    pub ko: &'static str,
}

impl Code {
    /// The message without arguments.
    #[must_use]
    pub fn message(&self) -> Message {
        Message {
            code: self.id.to_owned(),
            arguments: BTreeMap::new(),
        }
    }

    /// The message with its first argument; [`Message::with`] adds more.
    #[must_use]
    pub fn with(&self, name: &str, value: impl fmt::Display) -> Message {
        self.message().with(name, value)
    }
}

/// What to tell a person: a code and its arguments. Arguments never hold secrets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// [`Code::id`].
    pub code: String,
    /// What fills the braces.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, String>,
}

impl Message {
    /// Adds an argument.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.arguments.insert(name.to_owned(), value.to_string());
        self
    }

    /// Whether this is the message of that code.
    #[must_use]
    pub fn is(&self, code: &Code) -> bool {
        self.code == code.id
    }

    /// The text in a language. A code that the catalogue no longer has shows as itself with its arguments.
    #[must_use]
    pub fn render(&self, language: Language) -> String {
        let Some(code) = find(&self.code) else {
            return format!("{} {:?}", self.code, self.arguments);
        };
        let mut rest = match language {
            Language::English => code.en,
            Language::Korean => code.ko,
        };
        let mut text = String::with_capacity(rest.len() + 32);
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let Some((name, tail)) = after.split_once('}') else {
                break;
            };
            text.push_str(self.arguments.get(name).map_or("?", String::as_str));
            rest = tail;
        }
        text.push_str(rest);
        text
    }
}

impl fmt::Display for Message {
    /// The English text, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Language::English))
    }
}

impl std::error::Error for Message {}

/// As much of a text as a sentence has room for: so many letters, and a sign where there are more.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Declares an area's messages: constants, and the list that the catalogue is made of.
macro_rules! messages {
    ($($(#[$doc:meta])+ $name:ident = $id:literal { en: $en:literal, ko: $ko:literal $(,)? })+) => {
        $($(#[$doc])+ pub const $name: $crate::message::Code = $crate::message::Code { id: $id, en: $en, ko: $ko };)+
        /// Every message of this area.
        pub(super) const ALL: &[$crate::message::Code] = &[$($name),+];
    };
}

pub mod access;
pub mod account;
pub mod api;
pub mod app;
pub mod chart;
pub mod cluster;
pub mod credentials;
pub mod health;
pub mod lint;
pub mod plan;
pub mod rbac;
pub mod settings;
pub mod source;
pub mod sync;
pub mod tenant;
pub mod terminal;

const AREAS: &[&[Code]] = &[
    access::ALL,
    account::ALL,
    api::ALL,
    app::ALL,
    chart::ALL,
    cluster::ALL,
    credentials::ALL,
    health::ALL,
    lint::ALL,
    plan::ALL,
    rbac::ALL,
    settings::ALL,
    source::ALL,
    sync::ALL,
    tenant::ALL,
    terminal::ALL,
];

/// Every message there is.
pub fn all() -> impl Iterator<Item = &'static Code> {
    AREAS.iter().flat_map(|area| area.iter())
}

/// The declared message of a code.
#[must_use]
pub fn find(id: &str) -> Option<&'static Code> {
    all().find(|code| code.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn arguments(text: &str) -> BTreeSet<&str> {
        text.split('{')
            .skip(1)
            .filter_map(|part| part.split_once('}'))
            .map(|(name, _)| name)
            .collect()
    }

    #[test]
    fn both_languages_name_the_same_arguments_and_no_code_occurs_twice() {
        let mut seen = BTreeSet::new();
        for code in all() {
            assert_eq!(arguments(code.en), arguments(code.ko), "{}", code.id);
            assert!(seen.insert(code.id), "{} occurs twice", code.id);
            assert!(
                code.id
                    .split_once('.')
                    .is_some_and(|(area, what)| !area.is_empty() && !what.is_empty())
            );
        }
    }

    #[test]
    fn a_message_is_rendered_in_the_readers_language() {
        let message = tenant::RESERVED_NAME.with("name", "argocd");
        assert!(message.render(Language::English).contains("argocd"));
        assert!(message.render(Language::Korean).contains("예약"));
    }

    #[test]
    fn both_messages_about_logins_of_repositories_name_all_that_open_one() {
        for (message, language, kinds) in [
            (
                api::REPOSITORY_LOGIN,
                Language::English,
                ["SSH key", "client certificate", "GitHub App"],
            ),
            (
                credentials::KEPT_ONLY,
                Language::English,
                ["SSH key", "client certificate", "GitHub App"],
            ),
            (
                api::REPOSITORY_LOGIN,
                Language::Korean,
                ["SSH 키", "클라이언트 인증서", "GitHub App"],
            ),
            (
                credentials::KEPT_ONLY,
                Language::Korean,
                ["SSH 키", "클라이언트 인증서", "GitHub App"],
            ),
        ] {
            let told = message.message().render(language);
            for kind in kinds {
                assert!(told.contains(kind), "{kind}: {told}");
            }
        }
    }

    #[test]
    fn accept_language_follows_quality_then_order() {
        assert_eq!(
            Language::accepted("ko-KR,ko;q=0.9,en;q=0.8"),
            Some(Language::Korean)
        );
        assert_eq!(
            Language::accepted("en;q=0.5, ko;q=0.9"),
            Some(Language::Korean)
        );
        assert_eq!(Language::accepted("fr, en"), Some(Language::English));
        assert_eq!(Language::accepted("fr"), None);
    }
}
