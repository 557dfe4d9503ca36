//! A tenant's settings: Argo CD's own objects and keys, what each may hold, and what they say.
//!
//! A [`Config`] is the raw text of every key and the typed view of it. What is stored was checked by [`Config::apply`]
//! before; the typed view still falls back to Argo CD's defaults for a text that says nothing, so that reading never
//! fails.
//!
//! Accounts are part of it: `accounts.*` and `admin.*` are how clients write them ([`accounts`]).

pub mod accounts;
pub mod catalogue;
mod change;
mod check;
mod customizations;
mod duration;
mod kinds;
mod links;
mod object;
mod overrides;
mod references;
mod rendering;
mod typed;
mod yaml;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

pub use accounts::{Account, AccountToken, Capability};
pub use change::{Change, Difference, Problem, differences};
pub use check::{Check, password_pattern};
pub use customizations::{Actions, Customizations, KnownField, KnownType};
pub use duration::go_duration;
pub use kinds::KindFilter;
pub use links::{DeepLink, Linked};
pub use object::Object;
pub use overrides::{IgnoreDifferences, KnownTypeField, ResourceOverride};
pub use rendering::{BuildOptions, Rendering};
pub use typed::{Analytics, Banner, Connector, Help, Kustomize, OidcConfig, RbacConfig};

use crate::secret::Secret;

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text that the tenant's admin may read again.
    Text(String),
    /// What nobody reads again.
    Secret(Secret),
}

impl Value {
    /// The content, for the one use that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Secret(secret) => secret.expose_str(),
        }
    }
}

/// The keys of every object, as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw {
    objects: BTreeMap<Object, BTreeMap<String, Value>>,
}

impl Raw {
    /// What a key holds.
    #[must_use]
    pub fn get(&self, object: &Object, key: &str) -> Option<&Value> {
        self.objects.get(object)?.get(key)
    }

    /// What a key of an object without secrets holds.
    #[must_use]
    pub fn text(&self, object: &Object, key: &str) -> Option<&str> {
        match self.get(object, key)? {
            Value::Text(text) => Some(text),
            Value::Secret(_) => None,
        }
    }

    /// Puts a text into a key; in an object of secrets it becomes one.
    pub fn set(&mut self, object: &Object, key: &str, text: &str) {
        let value = if object.is_secret() {
            Value::Secret(Secret::from(text))
        } else {
            Value::Text(text.to_owned())
        };
        self.objects
            .entry(object.clone())
            .or_default()
            .insert(key.to_owned(), value);
    }

    /// Takes a key away.
    pub fn remove(&mut self, object: &Object, key: &str) {
        if let Some(keys) = self.objects.get_mut(object) {
            keys.remove(key);
            if keys.is_empty() {
                self.objects.remove(object);
            }
        }
    }

    /// The keys of an object, by name.
    pub fn keys(&self, object: &Object) -> impl Iterator<Item = (&str, &Value)> {
        self.objects
            .get(object)
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), value))
    }

    /// Every key there is.
    pub fn iter(&self) -> impl Iterator<Item = (&Object, &str, &Value)> {
        self.objects.iter().flat_map(|(object, keys)| {
            keys.iter()
                .map(move |(key, value)| (object, key.as_str(), value))
        })
    }

    /// The objects that have keys.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.keys()
    }

    /// The version of all of it: equal content, equal version.
    #[must_use]
    pub fn version(&self) -> String {
        let mut digest = Sha256::new();
        for (object, key, value) in self.iter() {
            for part in [object.name(), key, value.expose()] {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part.as_bytes());
            }
        }
        digest.finalize()[..16]
            .iter()
            .fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
    }
}

/// A tenant's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    raw: Raw,
    rbac: RbacConfig,
    accounts: BTreeMap<String, Account>,
}

impl Config {
    /// The view of what is stored.
    #[must_use]
    pub fn from_raw(raw: Raw) -> Self {
        Self {
            rbac: RbacConfig::read(&raw),
            accounts: accounts::read(&raw),
            raw,
        }
    }

    /// The keys as they are stored.
    #[must_use]
    pub fn raw(&self) -> &Raw {
        &self.raw
    }

    /// Who may do what.
    #[must_use]
    pub fn rbac(&self) -> &RbacConfig {
        &self.rbac
    }

    /// The accounts, by name; `admin` is always among them.
    #[must_use]
    pub fn accounts(&self) -> &BTreeMap<String, Account> {
        &self.accounts
    }

    /// One account.
    #[must_use]
    pub fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.get(name)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::from_raw(Raw::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_content_has_an_equal_version_and_nothing_else() {
        let mut one = Raw::default();
        one.set(&Object::Cm, "url", "https://a.example");
        let mut two = one.clone();
        assert_eq!(one.version(), two.version());
        two.set(&Object::Secret, "webhook.github.secret", "x");
        assert_ne!(one.version(), two.version());
        two.remove(&Object::Secret, "webhook.github.secret");
        assert_eq!(one, two);
    }

    #[test]
    fn a_secret_object_holds_secrets() {
        let mut raw = Raw::default();
        raw.set(&Object::Secret, "webhook.github.secret", "hunter2");
        assert!(raw.text(&Object::Secret, "webhook.github.secret").is_none());
        assert!(!format!("{raw:?}").contains("hunter2"));
    }
}
