//! The objects that settings stand in.

use std::fmt;

/// An object of settings, by the name that Argo CD gives it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Object {
    /// `argocd-cm`: most settings.
    Cm,
    /// `argocd-rbac-cm`: who may do what.
    Rbac,
    /// `argocd-secret`: passwords, tokens, webhook secrets.
    Secret,
    /// `argocd-notifications-cm`: triggers, templates and services.
    Notifications,
    /// `argocd-notifications-secret`: the services' secrets.
    NotificationsSecret,
    /// `secret/<name>`: a secret of the tenant's own that `$<name>:<key>` refers to.
    Named(String),
}

/// How the tenant's own secrets begin.
const NAMED: &str = "secret/";

impl Object {
    /// The objects with a fixed name.
    pub const FIXED: [Self; 5] = [
        Self::Cm,
        Self::Rbac,
        Self::Secret,
        Self::Notifications,
        Self::NotificationsSecret,
    ];

    /// The object of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if let Some(own) = name.strip_prefix(NAMED) {
            let valid = own.len() <= 253 && own.split('.').all(crate::tenant::is_dns_label);
            return valid.then(|| Self::Named(name.to_owned()));
        }
        Self::FIXED.into_iter().find(|object| object.name() == name)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Cm => "argocd-cm",
            Self::Rbac => "argocd-rbac-cm",
            Self::Secret => "argocd-secret",
            Self::Notifications => "argocd-notifications-cm",
            Self::NotificationsSecret => "argocd-notifications-secret",
            Self::Named(name) => name,
        }
    }

    /// The tenant's own secret of a name without its prefix.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::Named(format!("{NAMED}{name}"))
    }

    /// Whether what stands in it is never shown again.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(
            self,
            Self::Secret | Self::NotificationsSecret | Self::Named(_)
        )
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_known_by_argo_cds_names_and_own_secrets_by_their_prefix() {
        for object in Object::FIXED {
            assert_eq!(Object::parse(object.name()), Some(object.clone()));
        }
        assert_eq!(Object::parse("secret/okta"), Some(Object::named("okta")));
        assert_eq!(Object::parse("secret/"), None);
        assert_eq!(Object::parse("secret/A b"), None);
        assert_eq!(Object::parse("argo-cm"), None);
    }
}
