//! The service accounts as which whatever is done for a project's applications is done, where the tenant's settings say so.

use std::fmt;

use serde::Deserialize;

use super::pattern::Pattern;
use crate::cause::Cause;
use crate::message;
use crate::resource::is_subdomain;
use crate::tenant::is_dns_label;

/// Where to look when something is refused for its account.
const FIELD: &str = "spec.project";

/// The account as which is done what is done in some places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DestinationServiceAccount {
    /// Glob of the cluster's address.
    pub server: Pattern,
    /// Glob of the namespace that the application names.
    pub namespace: Pattern,
    /// `name`, or `namespace:name`.
    pub default_service_account: String,
}

/// A service account of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Where it lives.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.namespace, self.name)
    }
}

impl ServiceAccount {
    /// Reads `name`, which is of `home` then, or `namespace:name`. Nothing else passes: with one colon more the cluster
    /// would take the whole for the name of a user.
    fn read(text: &str, home: &str) -> Option<Self> {
        let (namespace, name) = text.split_once(':').unwrap_or((home, text));
        (is_dns_label(namespace) && is_subdomain(name)).then(|| Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// An application for which something is about to be done: a sync, a deletion, what somebody does by hand.
#[derive(Clone, Copy, Debug)]
pub struct Errand<'a> {
    /// Its project.
    pub project: &'a str,
    /// The address of the cluster that it goes to.
    pub server: &'a str,
    /// The namespace that it names; may be empty.
    pub namespace: &'a str,
    /// Where accounts are that are named without a namespace, where it names none either.
    pub home: &'a str,
}

impl Errand<'_> {
    /// The account of the first entry that is for its destination. `owns` says in which namespaces accounts may be.
    ///
    /// # Errors
    /// Why nobody may do it: no entry is for its destination, one cannot be read, or its account is somebody else's.
    pub fn deputy(
        &self,
        entries: &[DestinationServiceAccount],
        owns: impl Fn(&str) -> bool,
    ) -> Result<ServiceAccount, Cause> {
        for entry in entries {
            let matches = |pattern: &Pattern, text: &str| {
                // One that is no pattern may have been meant for this destination.
                let judged = pattern.judge(text);
                judged.ok_or_else(|| self.unreadable(pattern.as_str()))
            };
            if !matches(&entry.server, self.server)? || !matches(&entry.namespace, self.namespace)?
            {
                continue;
            }
            let home = match self.namespace {
                "" => self.home,
                named => named,
            };
            let named = entry.default_service_account.as_str();
            let account =
                ServiceAccount::read(named, home).ok_or_else(|| self.unreadable(named))?;
            if !owns(&account.namespace) {
                let message = message::sync::SERVICE_ACCOUNT_FOREIGN
                    .with("project", self.project)
                    .with("account", &account)
                    .with("namespace", &account.namespace);
                return Err(Cause::error(message).field(FIELD));
            }
            return Ok(account);
        }
        let message = message::sync::NO_SERVICE_ACCOUNT
            .with("project", self.project)
            .with("server", self.server)
            .with("namespace", self.namespace);
        Err(Cause::error(message).field(FIELD))
    }

    fn unreadable(&self, text: &str) -> Cause {
        let message = message::sync::SERVICE_ACCOUNT_INVALID
            .with("project", self.project)
            .with("text", text);
        Cause::error(message).field(FIELD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "https://kubernetes.default.svc";

    fn entry(server: &str, namespace: &str, account: &str) -> DestinationServiceAccount {
        DestinationServiceAccount {
            server: server.into(),
            namespace: namespace.into(),
            default_service_account: account.to_owned(),
        }
    }

    /// The account for a namespace of the shared cluster, or the code of why there is none.
    fn deputy(entries: &[DestinationServiceAccount], namespace: &str) -> Result<String, String> {
        let errand = Errand {
            project: "team",
            server: HERE,
            namespace,
            home: "user01",
        };
        let own = |namespace: &str| ["user01", "user01-dev"].contains(&namespace);
        let deputy = errand.deputy(entries, own);
        deputy
            .map(|account| account.to_string())
            .map_err(|cause| cause.message.code)
    }

    fn is(entries: &[DestinationServiceAccount], namespace: &str, account: &str) -> bool {
        deputy(entries, namespace).as_deref() == Ok(account)
    }

    fn refused(entries: &[DestinationServiceAccount], code: &message::Code) -> bool {
        deputy(entries, "user01") == Err(code.id.to_owned())
    }

    #[test]
    fn the_first_entry_that_matches_counts() {
        let entries = [
            entry("https://elsewhere", "*", "far"),
            entry(HERE, "user01-*", "dev"),
            entry("https://kubernetes*", "{user01,user02}", "user01:web"),
            entry("*", "*", "last"),
        ];
        assert!(is(&entries, "user01-dev", "user01-dev:dev"));
        assert!(is(&entries, "user01", "user01:web"));
        assert!(is(&entries[3..], "user01-dev", "user01-dev:last"));
    }

    #[test]
    fn an_account_without_a_namespace_is_of_the_destinations() {
        let all = [entry("*", "*", "web")];
        assert!(is(&all, "user01-dev", "user01-dev:web"));
        assert!(is(&all, "", "user01:web"), "or of the tenant's first");
        let none = [entry(HERE, "", "web")];
        assert!(is(&none, "", "user01:web"));
        assert!(refused(&none, &message::sync::NO_SERVICE_ACCOUNT));
    }

    #[test]
    fn no_match_is_refused_and_so_is_what_cannot_be_read() {
        assert!(refused(&[], &message::sync::NO_SERVICE_ACCOUNT));
        let other = [entry(HERE, "user02", "web")];
        assert!(refused(&other, &message::sync::NO_SERVICE_ACCOUNT));
        let denied = [entry(HERE, "!user02", "web")];
        assert!(
            refused(&denied, &message::sync::NO_SERVICE_ACCOUNT),
            "a `!` denies nothing here, as in Argo CD"
        );
        let patterns = [entry(HERE, "{user01", "web"), entry("*", "*", "web")];
        assert!(refused(&patterns, &message::sync::SERVICE_ACCOUNT_INVALID));
        for named in [
            "",
            " ",
            "a b",
            ":web",
            "user01:",
            "user01:naru:web",
            "system:serviceaccount:user01:web",
            "Web",
            "user01.x:web",
            "web\r\nimpersonate-group: system:masters",
        ] {
            let entries = [entry("*", "*", named), entry("*", "*", "web")];
            assert!(
                refused(&entries, &message::sync::SERVICE_ACCOUNT_INVALID),
                "{named:?}"
            );
        }
    }

    #[test]
    fn an_account_of_somebody_elses_namespace_is_refused() {
        for named in ["user02:naru", "kube-system:default", "user01-prod:web"] {
            let entries = [entry("*", "*", named), entry("*", "*", "web")];
            assert!(
                refused(&entries, &message::sync::SERVICE_ACCOUNT_FOREIGN),
                "{named}"
            );
        }
        assert_eq!(
            deputy(&[entry("*", "*", "web")], "kube-system"),
            Err(message::sync::SERVICE_ACCOUNT_FOREIGN.id.to_owned())
        );
    }
}
