//! Accounts, as `argocd-cm` and `argocd-secret` write them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Object, Raw};
use crate::clock::Timestamp;
use crate::secret::Secret;

/// The account that every tenant has.
pub const ADMIN: &str = "admin";

/// What an account may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Capability {
    /// To log in with a password.
    Login,
    /// To have tokens made for it.
    ApiKey,
}

impl Capability {
    /// The word in settings and in tokens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::ApiKey => "apiKey",
        }
    }

    /// The capability of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "login" => Some(Self::Login),
            "apiKey" => Some(Self::ApiKey),
            _ => None,
        }
    }
}

/// A token that was made for an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountToken {
    /// Its id, the `jti` of the token.
    pub id: String,
    /// When it was made, in Unix seconds.
    #[serde(rename = "iat")]
    pub issued_at: i64,
    /// When it ends, in Unix seconds; never when zero.
    #[serde(rename = "exp", default, skip_serializing_if = "is_zero")]
    pub expires_at: i64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape that serde wants"
)]
fn is_zero(seconds: &i64) -> bool {
    *seconds == 0
}

/// An account of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub name: String,
    /// Whether it may be used at all.
    pub enabled: bool,
    /// What for, in the order written.
    pub capabilities: Vec<Capability>,
    /// The hash of its password; nobody can log in while there is none.
    pub password_hash: Option<Secret>,
    /// When the password was set; tokens made before are void.
    pub password_mtime: Option<Timestamp>,
    /// The tokens made for it.
    pub tokens: Vec<AccountToken>,
}

impl Account {
    /// An account that can do nothing yet.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let capabilities = if name == ADMIN {
            vec![Capability::Login]
        } else {
            Vec::new()
        };
        Self {
            name: name.to_owned(),
            enabled: true,
            capabilities,
            password_hash: None,
            password_mtime: None,
            tokens: Vec::new(),
        }
    }

    /// Whether it may be used for something.
    #[must_use]
    pub fn can(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }

    /// The token of an id.
    #[must_use]
    pub fn token(&self, id: &str) -> Option<&AccountToken> {
        self.tokens.iter().find(|token| token.id == id)
    }
}

/// Where the keys of an account stand: those of `admin` have names of their own.
fn secret_key(name: &str, what: &str) -> String {
    if name == ADMIN {
        format!("{ADMIN}.{what}")
    } else {
        format!("accounts.{name}.{what}")
    }
}

fn enabled_key(name: &str) -> String {
    if name == ADMIN {
        format!("{ADMIN}.enabled")
    } else {
        format!("accounts.{name}.enabled")
    }
}

/// Whether a key of an object speaks of accounts.
#[must_use]
pub fn is_account_key(object: &Object, key: &str) -> bool {
    match object {
        Object::Cm => key.starts_with("accounts.") || key == "admin.enabled",
        Object::Secret => key.starts_with("accounts.") || key.starts_with("admin."),
        _ => false,
    }
}

/// The account that a key of `argocd-cm` or `argocd-secret` speaks of.
#[must_use]
pub fn name_in(key: &str) -> Option<&str> {
    match key.strip_prefix("accounts.") {
        Some(rest) => rest.split('.').next(),
        None => key.strip_prefix("admin.").map(|_| ADMIN),
    }
}

/// The accounts that the keys tell of.
#[must_use]
pub fn read(raw: &Raw) -> BTreeMap<String, Account> {
    let mut accounts = BTreeMap::from([(ADMIN.to_owned(), Account::new(ADMIN))]);
    for (key, _) in raw.keys(&Object::Cm) {
        if let Some(name) = key.strip_prefix("accounts.").and_then(|_| name_in(key)) {
            accounts
                .entry(name.to_owned())
                .or_insert_with(|| Account::new(name));
        }
    }
    for (name, account) in &mut accounts {
        if let Some(words) = raw.text(&Object::Cm, &format!("accounts.{name}")) {
            for capability in capabilities(words).filter_map(Capability::parse) {
                if !account.can(capability) {
                    account.capabilities.push(capability);
                }
            }
        }
        account.enabled = raw
            .text(&Object::Cm, &enabled_key(name))
            .and_then(super::check::go_bool)
            .unwrap_or(true);
        let secret = |what: &str| raw.get(&Object::Secret, &secret_key(name, what));
        account.password_hash = secret("password")
            .map(|value| Secret::from(value.expose()))
            .filter(|hash| !hash.is_empty());
        account.password_mtime =
            secret("passwordMtime").and_then(|value| super::check::timestamp(value.expose()));
        account.tokens = secret("tokens")
            .and_then(|value| serde_json::from_str(value.expose()).ok())
            .unwrap_or_default();
    }
    accounts
}

/// Writes an account into the keys; what says nothing is left out, as Argo CD does.
pub fn write(raw: &mut Raw, account: &Account) {
    let name = &account.name;
    let words: Vec<&str> = account
        .capabilities
        .iter()
        .filter(|capability| name != ADMIN || **capability != Capability::Login)
        .map(|capability| capability.as_str())
        .collect();
    if name != ADMIN || !words.is_empty() {
        raw.set(&Object::Cm, &format!("accounts.{name}"), &words.join(", "));
    }
    if !account.enabled {
        raw.set(&Object::Cm, &enabled_key(name), "false");
    }
    if let Some(hash) = &account.password_hash {
        raw.set(
            &Object::Secret,
            &secret_key(name, "password"),
            hash.expose_str(),
        );
    }
    if let Some(at) = account.password_mtime {
        let text = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        raw.set(&Object::Secret, &secret_key(name, "passwordMtime"), &text);
    }
    if !account.tokens.is_empty()
        && let Ok(text) = serde_json::to_string(&account.tokens)
    {
        raw.set(&Object::Secret, &secret_key(name, "tokens"), &text);
    }
}

/// The words of a list of capabilities.
pub(super) fn capabilities(words: &str) -> impl Iterator<Item = &str> {
    words
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(name: &str) -> Account {
        Account {
            enabled: false,
            capabilities: vec![Capability::Login, Capability::ApiKey],
            password_hash: Some(Secret::from("$2a$10$x")),
            password_mtime: Timestamp::from_timestamp(1_700_000_000, 0),
            tokens: vec![AccountToken {
                id: "ci".into(),
                issued_at: 1,
                expires_at: 0,
            }],
            ..Account::new(name)
        }
    }

    #[test]
    fn an_account_is_read_as_it_was_written() {
        let mut raw = Raw::default();
        for account in [full("admin"), full("bob"), Account::new("carol")] {
            write(&mut raw, &account);
        }
        let read = read(&raw);
        assert_eq!(read["admin"], full("admin"));
        assert_eq!(read["bob"], full("bob"));
        assert_eq!(read["carol"], Account::new("carol"));
        assert_eq!(raw.text(&Object::Cm, "accounts.admin"), Some("apiKey"));
        assert_eq!(raw.text(&Object::Cm, "admin.enabled"), Some("false"));
    }

    #[test]
    fn admin_is_there_without_any_key() {
        assert_eq!(read(&Raw::default())["admin"], Account::new("admin"));
    }
}
