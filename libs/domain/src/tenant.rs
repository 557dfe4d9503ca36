//! Who everything belongs to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::message::{self, Message};
use crate::quota::{Quota, Quotas};

/// The key of everything: no row, cache entry, queue slot, log line or metric exists without one.
///
/// Random, never reused: a later tenant of the same name inherits nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(pub Uuid);

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({})", self.0)
    }
}

/// A tenant's name: a DNS label (RFC 1123) of at most 63 characters that is not reserved.
///
/// It is also the name of the tenant's first namespace and the value of `${USER_IDENTITY}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct TenantName(String);

impl TenantName {
    /// The tenant that owns the operator's host.
    pub const OPERATOR: &'static str = "naru";

    /// The operator's own tenant, which no request can create.
    #[must_use]
    pub fn operator() -> Self {
        Self(Self::OPERATOR.to_owned())
    }

    /// Whether this is the operator's own tenant.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.0 == Self::OPERATOR
    }

    /// The name as stored: trusted, because it was checked when the tenant was made.
    #[must_use]
    pub fn from_stored(name: String) -> Self {
        Self(name)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantName {
    type Err = Message;

    fn from_str(name: &str) -> Result<Self, Message> {
        if !is_dns_label(name) {
            return Err(message::tenant::INVALID_NAME.with("name", name));
        }
        if is_reserved(name) {
            return Err(message::tenant::RESERVED_NAME.with("name", name));
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantName({})", self.0)
    }
}

/// Whether a name belongs to the platform or to Kubernetes, as a tenant's name and as a namespace that one could make.
///
/// `kube` and `openshift` themselves are among them: a tenant of that name would have `kube-*` for its own namespaces.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "default" | "naru" | "argocd" | "localhost" | "kube" | "openshift"
    ) || name.starts_with("kube-")
        || name.starts_with("openshift-")
}

/// Whether `name` is a DNS label as RFC 1123 has it: lower-case letters, digits and inner hyphens, 1 to 63 of them.
#[must_use]
pub fn is_dns_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// The signs that a variable's value may have between its letters and digits.
///
/// Each is itself in a plain scalar of YAML, in an address, a name's or an image's parts. A comma is none of them: in a list
/// on one line, `[${NAME}]`, it would make two entries of one.
const VARIABLE_SIGNS: &str = "-_./:@+=~";

/// The bytes that a variable's value may have.
const VARIABLE_BYTES: usize = 1024;

/// Whether a variable may have this value: one line that YAML reads as it stands, wherever in a line it is put.
///
/// ASCII alone: what is a letter elsewhere is none in a host, an image or an object's name, where variables mostly go.
#[must_use]
pub fn is_variable_value(value: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || VARIABLE_SIGNS.contains(c);
    // At the edges most signs mean something to YAML: a comment or a key would begin, a null or an anchor.
    let edge = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/');
    value.len() <= VARIABLE_BYTES
        && value.chars().all(inner)
        && value.starts_with(edge)
        && value.ends_with(edge)
}

/// What a tenant has decided for itself (and its operator for it).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TenantSettings {
    /// Whether `${NAME}` is replaced in files before rendering. Always off for the operator's tenant.
    pub variables_enabled: bool,
    /// Declared variables besides `USER_IDENTITY`, which is always the tenant's name.
    pub variables: std::collections::BTreeMap<String, String>,
    /// The language of messages where the request names none.
    pub language: message::Language,
    /// Whether a password that somebody else set must be changed before anything else.
    pub must_change_password: bool,
    /// The patterns that namespaces made by `CreateNamespace=true` must match (globs; the tenant's name is `{tenant}`).
    pub namespace_patterns: Vec<String>,
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self {
            variables_enabled: false,
            variables: std::collections::BTreeMap::new(),
            language: message::Language::English,
            must_change_password: false,
            namespace_patterns: vec!["{tenant}-*".to_owned()],
        }
    }
}

/// A tenant as the platform knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its key.
    pub id: TenantId,
    /// Its name.
    pub name: TenantName,
    /// The hosts on which it is served, without port.
    pub hosts: Vec<String>,
    /// The namespaces of the shared cluster that are its own.
    pub namespaces: Vec<String>,
    /// Its settings.
    pub settings: TenantSettings,
    /// What the operator has decided about it.
    pub standing: Standing,
}

/// Whether anything is done for a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TenantState {
    /// As usual.
    #[default]
    Active,
    /// Nobody gets in and nothing is done; all it has stays as it is.
    Suspended,
    /// The same, on its way out. There is no way back.
    Deleting,
}

impl TenantState {
    /// The word for it, as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleting => "deleting",
        }
    }

    /// The state as stored. A word of a newer program counts as suspended: nothing is done until it is understood.
    #[must_use]
    pub fn from_stored(word: &str) -> Self {
        match word {
            "active" => Self::Active,
            "deleting" => Self::Deleting,
            _ => Self::Suspended,
        }
    }

    /// What to tell those who are kept out; `None` when nobody is.
    #[must_use]
    pub fn closed(self) -> Option<Message> {
        match self {
            Self::Active => None,
            Self::Suspended => Some(message::tenant::SUSPENDED.message()),
            Self::Deleting => Some(message::tenant::DELETING.message()),
        }
    }
}

/// What the operator has decided about a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether anything is done for it.
    pub state: TenantState,
    /// Since when it is there, in seconds since 1970; 0 where nobody asked.
    pub created_at: i64,
    /// What it may use: the installation's quotas with its own over them.
    pub quotas: Quotas,
}

impl Tenant {
    /// How much of something it may use; `None` without limit, as everything is for the operator's own tenant.
    #[must_use]
    pub fn allowed(&self, quota: Quota) -> Option<u64> {
        if self.name.is_operator() {
            None
        } else {
            self.standing.quotas.allowed(quota)
        }
    }

    /// The variables that may be replaced in this tenant's files, for one application; empty means none.
    ///
    /// `annotation` is the application's `naru.io/variables`: `enabled` or `disabled`, overriding the tenant's setting.
    #[must_use]
    pub fn variables(
        &self,
        annotation: Option<&str>,
    ) -> std::collections::BTreeMap<String, String> {
        let enabled = match annotation {
            _ if self.name.is_operator() => false,
            Some("enabled") => true,
            Some("disabled") => false,
            _ => self.settings.variables_enabled,
        };
        if !enabled {
            return std::collections::BTreeMap::new();
        }
        let mut variables = self.settings.variables.clone();
        variables.insert("USER_IDENTITY".to_owned(), self.name.as_str().to_owned());
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_variables_are_one_safe_line_of_ascii() {
        let longest = "x".repeat(VARIABLE_BYTES);
        for good in [
            "user01",
            "a.b/c:1",
            "x@y",
            "/srv/_x/",
            "v1.2.3-rc.1+build~2",
            "a=b",
            "registry.example:5000/team/web@sha256:0a1b",
            longest.as_str(),
        ] {
            assert!(is_variable_value(good), "{good}");
        }
        let longer = format!("{longest}x");
        for bad in [
            "",
            "a\nb",
            "a b",
            "a: b",
            "x:",
            "- x",
            "-x",
            "{x}",
            "'",
            "a#b",
            "${X}",
            "*a",
            "&a",
            "!x",
            "@x",
            "~",
            "=",
            "a,b",
            "a\\b",
            "a%b",
            "홍길동",
            "é",
            "１",
            longer.as_str(),
        ] {
            assert!(!is_variable_value(bad), "{bad}");
        }
    }

    #[test]
    fn both_messages_about_values_of_variables_name_the_signs() {
        for message in [
            message::api::VARIABLE_INVALID.with("name", "X"),
            message::source::VARIABLE_UNSAFE.with("name", "X"),
        ] {
            for language in [message::Language::English, message::Language::Korean] {
                let told = message.render(language);
                assert!(told.contains(&format!("`{VARIABLE_SIGNS}`")), "{told}");
            }
        }
    }

    #[test]
    fn reserved_and_malformed_names_are_refused() {
        for name in [
            "default",
            "kube-system",
            "kube-x",
            "kube",
            "openshift",
            "naru",
            "argocd",
            "",
            "A",
            "a_b",
            "-a",
            "a-",
            &"a".repeat(64),
        ] {
            assert!(name.parse::<TenantName>().is_err(), "{name}");
        }
        for name in ["user01", "a", "team-payments", &"a".repeat(63)] {
            assert!(name.parse::<TenantName>().is_ok(), "{name}");
        }
    }

    #[test]
    fn variables_follow_the_setting_and_the_annotation_overrides_it() {
        let mut tenant = Tenant {
            id: TenantId(Uuid::nil()),
            name: TenantName::from_stored("user01".into()),
            hosts: vec![],
            namespaces: vec![],
            settings: TenantSettings {
                variables_enabled: true,
                ..TenantSettings::default()
            },
            standing: Standing::default(),
        };
        assert_eq!(
            tenant
                .variables(None)
                .get("USER_IDENTITY")
                .map(String::as_str),
            Some("user01")
        );
        assert!(tenant.variables(Some("disabled")).is_empty());
        tenant.name = TenantName::operator();
        assert!(tenant.variables(Some("enabled")).is_empty());
    }
}
