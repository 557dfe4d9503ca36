//! What can go wrong between us and a cluster.

use domain::cause::{Cause, Severity};
use domain::denial::Denial;
use domain::message::{self, Message};
use domain::secret::Redactor;
use serde::Deserialize;

use crate::tenant::ACCOUNT;

/// More of a server's words than this is not kept.
const MAX_WORDS: usize = 4096;
/// How Kubernetes says that a Role, or a binding, grants too much.
const GRANTING: &str = "is attempting to grant RBAC permissions not currently held";
/// More field causes than this are not kept.
const MAX_CAUSES: usize = 64;

/// Why a request had no result.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The way to the cluster is not configured correctly.
    #[error("failed to configure the connection to the cluster: {0}")]
    Configuration(String),
    /// No answer came.
    #[error("failed to reach the cluster `{cluster}`: {why}")]
    Unreachable {
        /// The cluster's name.
        cluster: String,
        /// What the network said.
        why: String,
    },
    /// No answer came in time. A write may or may not have happened.
    #[error("the cluster did not answer within {seconds} s")]
    TimedOut {
        /// How long was waited.
        seconds: u64,
    },
    /// [`crate::WriteGate`] said no; nothing was sent.
    #[error("the cluster's lease is not held any more, nothing was sent")]
    NotHolder,
    /// Nobody may make the request for whom it would be made; nothing was sent.
    #[error("{}", .0.message)]
    NobodyMay(Box<Cause>),
    /// The cluster said no.
    #[error("the cluster refused: {0}")]
    Refused(Box<Refusal>),
    /// The cluster has no such kind.
    #[error("the cluster has no kind `{kind}` in `{version}`")]
    UnknownKind {
        /// `apps/v1`; the group alone where any version would do.
        version: String,
        /// The kind.
        kind: String,
    },
    /// A namespace is another tenant's, or nobody's.
    #[error("the namespace `{namespace}` is not of the tenant `{tenant}`")]
    ForeignNamespace {
        /// The namespace.
        namespace: String,
        /// Who wanted it.
        tenant: String,
    },
    /// The answer, or the object to send, is not what it should be.
    #[error("failed to understand: {0}")]
    NotUnderstood(String),
}

/// The cluster's no, in its own words.
#[derive(Clone, Debug, Default)]
pub struct Refusal {
    /// The HTTP code.
    pub code: u16,
    /// Kubernetes' one-word reason (`Invalid`, `Forbidden`, `Conflict`); may be empty.
    pub reason: String,
    /// The sentence for people.
    pub message: String,
    /// Which fields it is about.
    pub causes: Vec<FieldCause>,
    /// After how many seconds to try again; 0 when not said.
    pub retry_after_seconds: u32,
    /// Whether it is the no of a cluster that a tenant has added, where the tenant says who may what.
    pub added: bool,
}

/// What is wrong with one field.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct FieldCause {
    /// One word: `FieldValueInvalid`, `FieldManagerConflict`.
    pub reason: String,
    /// The sentence.
    pub message: String,
    /// `spec.ports[0].port`; may be empty.
    pub field: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.code, self.reason, self.message)
    }
}

impl Refusal {
    /// Reads a refusal's body: a Kubernetes `Status`, or whatever a proxy on the way wrote.
    ///
    /// That of a cluster that a tenant has added comes with a redactor of what it was told, and is passed on only where it is
    /// Kubernetes' answer: the address may be of something else altogether.
    pub(crate) fn read(code: u16, body: &[u8], redactor: Option<&Redactor>) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Status {
            message: String,
            reason: String,
            details: Option<Details>,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Details {
            causes: Vec<FieldCause>,
            retry_after_seconds: u32,
        }
        let status = serde_json::from_slice(body).unwrap_or_else(|_| Status {
            message: String::from_utf8_lossy(body.get(..MAX_WORDS).unwrap_or(body)).into_owned(),
            ..Status::default()
        });
        let details = status.details.unwrap_or_default();
        if redactor.is_some() && status.reason.split_whitespace().count() != 1 {
            return Self {
                code,
                retry_after_seconds: details.retry_after_seconds,
                added: true,
                ..Self::default()
            };
        }
        // Cut last: half a secret is not known for one.
        let clean = |words: String| {
            cut(match redactor {
                Some(redactor) => redactor.redact(&words),
                None => words,
            })
        };
        let causes = details
            .causes
            .into_iter()
            .take(MAX_CAUSES)
            .map(|cause| FieldCause {
                reason: clean(cause.reason),
                message: clean(cause.message),
                field: clean(cause.field),
            });
        Self {
            code,
            reason: clean(status.reason),
            message: clean(status.message),
            causes: causes.collect(),
            retry_after_seconds: details.retry_after_seconds,
            added: redactor.is_some(),
        }
    }

    /// What to tell a person: why, where its words tell, else what its code says.
    fn for_people(&self) -> Message {
        use message::cluster as m;
        match (Denial::read(&self.message), self.code) {
            (Some(Denial::Webhook(name)), _) => m::WEBHOOK_REFUSED.with("webhook", name),
            (Some(Denial::WebhookFailed(name)), _) => m::WEBHOOK_FAILED.with("webhook", name),
            (Some(Denial::Policy(name)), _) => m::POLICY_REFUSED.with("policy", name),
            (Some(Denial::Quota), _) => m::QUOTA_EXCEEDED.message(),
            (Some(Denial::Limits), _) => m::LIMIT_RANGE.message(),
            (Some(Denial::PodSecurity), _) => m::POD_SECURITY.message(),
            (Some(Denial::ServiceAccount), _) => m::SERVICE_ACCOUNT_MISSING.message(),
            (Some(Denial::NamespaceEnding), _) => m::NAMESPACE_ENDING.message(),
            (Some(Denial::Immutable), _) => m::IMMUTABLE_FIELD.message(),
            (None, 403) => forbidden(&self.message, self.added),
            (None, 400 | 422) => m::INVALID_OBJECT.message(),
            (None, code) => m::REFUSED.with("code", code).with("reason", &self.reason),
        }
    }

    /// The field that it is about: the one that may not be changed, where it says so of one, else the first.
    fn field(&self) -> Option<&str> {
        let immutable =
            |cause: &&FieldCause| Denial::read(&cause.message) == Some(Denial::Immutable);
        let cause = self.causes.iter().find(immutable);
        let cause = cause.or(self.causes.first())?;
        (!cause.field.is_empty()).then_some(cause.field.as_str())
    }

    /// Takes texts that must not be seen out of everything that was said.
    pub(crate) fn redact(&mut self, hidden: &[String]) {
        let clean = |text: &mut String| {
            for word in hidden {
                if text.contains(word.as_str()) {
                    *text = text.replace(word.as_str(), "++++++++");
                }
            }
        };
        clean(&mut self.message);
        for cause in &mut self.causes {
            clean(&mut cause.message);
        }
    }

    /// Leaves out what a webhook or a policy says in words of its own: it was shown the object, and may quote it. Who says no stays, as
    /// do the words of Kubernetes, which knows of the request alone. Whether one of them said it.
    pub(crate) fn withhold(&mut self) -> bool {
        let begins = match Denial::read(&self.message) {
            Some(Denial::Webhook(name)) => {
                format!("admission webhook \"{name}\" denied the request")
            }
            Some(Denial::WebhookFailed(name)) => {
                format!("Internal error occurred: failed calling webhook \"{name}\"")
            }
            Some(Denial::Policy(name)) => {
                format!("forbidden: ValidatingAdmissionPolicy '{name}' denied request")
            }
            _ => return false,
        };
        self.message = format!("{begins}: the rest may hold values of the Secret and is left out");
        self.reason.clear();
        self.causes.clear();
        true
    }
}

/// Which right is missing, by the words of Kubernetes' authorization. What helps is known of the tenants' own accounts in the shared
/// cluster alone: what others may, and all in a cluster that was added, is for who made them to say.
fn forbidden(words: &str, added: bool) -> Message {
    use message::cluster as m;
    let reason = words
        .split_once(" is forbidden: ")
        .map_or(words, |(_, reason)| reason);
    let of = |before: &str| reason.strip_prefix(before)?.split_once('"');
    if let Some((account, rest)) = of("user \"")
        && rest.contains(GRANTING)
    {
        return m::FORBIDDEN_GRANT.with("account", account);
    }
    let own = of("User \"").filter(|(account, _)| {
        if added {
            return false;
        }
        let place = account.strip_prefix("system:serviceaccount:");
        place
            .and_then(|place| place.split_once(':'))
            .is_some_and(|(_, name)| name == ACCOUNT)
    });
    match own {
        Some((_, rest)) if rest.contains(" resource \"namespaces\" in API group \"\"") => {
            m::FORBIDDEN_NAMESPACE.message()
        }
        Some((_, rest)) if rest.contains(" at the cluster scope") => {
            m::FORBIDDEN_CLUSTER_SCOPE.message()
        }
        _ => m::FORBIDDEN.message(),
    }
}

/// Cuts a text at a character boundary.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > MAX_WORDS {
        let end = (0..=MAX_WORDS)
            .rev()
            .find(|&at| text.is_char_boundary(at))
            .unwrap_or_default();
        text.truncate(end);
    }
    text
}

impl Error {
    /// The cluster's no, if it was one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The HTTP code, if the cluster answered.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        self.refusal().map(|refusal| refusal.code)
    }

    /// Whether the object is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether the account lacks the right.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// Whether somebody else's change came first (a uid or resourceVersion precondition failed, or it exists).
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Refused(refusal) => matches!(refusal.code, 429 | 500 | 502..=504),
            _ => false,
        }
    }

    /// Whether it says nothing of what was asked: the same request may succeed later, or where another process has the cluster.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.is_transient() || matches!(self, Self::NotHolder)
    }

    /// What to tell a person.
    #[must_use]
    pub fn message(&self) -> Message {
        use message::cluster as m;
        match self {
            Self::Configuration(_) => m::CONFIGURATION.message(),
            Self::Unreachable { cluster, .. } => m::UNREACHABLE.with("cluster", cluster),
            Self::TimedOut { seconds } => m::TIMED_OUT.with("seconds", seconds),
            Self::NotHolder => m::NOT_HOLDER.message(),
            Self::UnknownKind { version, kind } => {
                m::UNKNOWN_KIND.with("version", version).with("kind", kind)
            }
            Self::ForeignNamespace { namespace, tenant } => m::FOREIGN_NAMESPACE
                .with("namespace", namespace)
                .with("tenant", tenant),
            Self::NotUnderstood(_) => m::NOT_UNDERSTOOD.message(),
            Self::NobodyMay(cause) => cause.message.clone(),
            Self::Refused(refusal) => refusal.for_people(),
        }
    }

    /// The typed reason, with the cluster's own words as evidence.
    #[must_use]
    pub fn cause(&self) -> Cause {
        let cause = Cause::new(Severity::Error, self.message());
        match self {
            Self::Refused(refusal) => {
                let cause = cause.evidence(refusal.message.clone());
                match refusal.field() {
                    Some(field) => cause.field(field),
                    None => cause,
                }
            }
            Self::Configuration(why) | Self::NotUnderstood(why) | Self::Unreachable { why, .. } => {
                cause.evidence(why.clone())
            }
            Self::NobodyMay(ours) => ours.as_ref().clone(),
            _ => cause,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, message: &str, causes: &[(&str, &str)]) -> Cause {
        let causes = causes.iter().map(|(field, message)| FieldCause {
            reason: String::new(),
            message: (*message).to_owned(),
            field: (*field).to_owned(),
        });
        let refusal = Refusal {
            code,
            message: message.to_owned(),
            causes: causes.collect(),
            ..Refusal::default()
        };
        Error::Refused(Box::new(refusal)).cause()
    }

    #[test]
    fn a_field_that_may_not_be_changed_is_named() {
        let cause = refused(
            422,
            "Deployment.apps \"a\" is invalid: [spec.replicas: Invalid value: -1, spec.selector: field is immutable]",
            &[
                ("spec.replicas", "Invalid value: -1"),
                ("spec.selector", "Invalid value: {}: field is immutable"),
            ],
        );
        assert!(cause.message.is(&message::cluster::IMMUTABLE_FIELD));
        assert_eq!(cause.field.as_deref(), Some("spec.selector"));
    }

    #[test]
    fn what_admission_refuses_is_no_lack_of_rights() {
        let quota = "pods \"a\" is forbidden: exceeded quota: q, requested: pods=1";
        let cause = refused(403, quota, &[]);
        assert!(cause.message.is(&message::cluster::QUOTA_EXCEEDED));
        assert_eq!(cause.evidence.as_deref(), Some(quota));
        let denied = "admission webhook \"w.example.com\" denied the request: no";
        let cause = refused(400, denied, &[]);
        assert!(cause.message.is(&message::cluster::WEBHOOK_REFUSED));
        assert_eq!(cause.message.arguments["webhook"], "w.example.com");
    }

    #[test]
    fn what_its_words_do_not_tell_is_told_by_its_code() {
        let code = |code, words: &str| refused(code, words, &[]).message;
        assert!(code(403, "User \"u\" cannot create it").is(&message::cluster::FORBIDDEN));
        assert!(code(422, "it is invalid").is(&message::cluster::INVALID_OBJECT));
        assert!(code(409, "it exists").is(&message::cluster::REFUSED));
    }

    #[test]
    fn what_the_tenants_own_account_lacks_is_told_with_what_helps() {
        const OWN: &str = "system:serviceaccount:user01:naru";
        let code = |words: String| refused(403, &words, &[]).message;
        let patch = |account: &str, what: &str| {
            code(format!(
                "x \"a\" is forbidden: User \"{account}\" cannot patch resource {what}"
            ))
        };
        let namespace = "\"namespaces\" in API group \"\" in the namespace \"a\"";
        let far =
            "\"clusterroles\" in API group \"rbac.authorization.k8s.io\" at the cluster scope";
        let near = "\"configmaps\" in API group \"\" in the namespace \"user02\"";
        assert!(patch(OWN, namespace).is(&message::cluster::FORBIDDEN_NAMESPACE));
        assert!(patch(OWN, far).is(&message::cluster::FORBIDDEN_CLUSTER_SCOPE));
        assert!(patch(OWN, near).is(&message::cluster::FORBIDDEN));
        for account in ["system:serviceaccount:user01:deployer", "naru", "admin"] {
            for what in [namespace, far] {
                assert!(patch(account, what).is(&message::cluster::FORBIDDEN));
            }
        }
        let grant = code(format!(
            "roles.rbac.authorization.k8s.io \"a\" is forbidden: user \"{OWN}\" (groups=[\"system:authenticated\"]) is \
             attempting to grant RBAC permissions not currently held:\n{{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}}"
        ));
        assert!(grant.is(&message::cluster::FORBIDDEN_GRANT));
        assert_eq!(
            grant.arguments.get("account").map(String::as_str),
            Some(OWN)
        );
    }

    #[test]
    fn who_may_what_in_a_cluster_that_was_added_is_not_guessed() {
        let redactor = Redactor::new([]);
        let told = |message: &str, redactor: Option<&Redactor>| {
            let status = serde_json::json!({"reason": "Forbidden", "message": message});
            let refusal = Refusal::read(403, status.to_string().as_bytes(), redactor);
            Error::Refused(Box::new(refusal)).cause().message
        };
        let own = "User \"system:serviceaccount:naru:naru\" cannot patch resource";
        for (what, shared) in [
            (
                "\"namespaces\" in API group \"\" in the namespace \"a\"",
                &message::cluster::FORBIDDEN_NAMESPACE,
            ),
            (
                "\"clusterroles\" in API group \"rbac.authorization.k8s.io\" at the cluster scope",
                &message::cluster::FORBIDDEN_CLUSTER_SCOPE,
            ),
        ] {
            let words = format!("x \"a\" is forbidden: {own} {what}");
            assert!(told(&words, None).is(shared), "{words}");
            let added = told(&words, Some(&redactor));
            assert!(added.is(&message::cluster::FORBIDDEN), "{words}");
        }
    }

    #[test]
    fn a_stranger_repeats_nothing_that_it_was_told() {
        let token = domain::secret::Secret::from("hunter2hunter2");
        let redactor = Redactor::new([&token]);
        let read = |reason: &str, message: &str| {
            let status = serde_json::json!({"reason": reason, "message": message, "details": {"retryAfterSeconds": 3,
                "causes": [{"reason": "hunter2hunter2", "message": "no hunter2hunter2", "field": "hunter2hunter2"}]}});
            Refusal::read(403, status.to_string().as_bytes(), Some(&redactor))
        };
        let at_the_cut = "x".repeat(MAX_WORDS - 4) + "hunter2hunter2";
        for refusal in [
            read("hunter2hunter2", "no hunter2hunter2"),
            read("Forbidden", &at_the_cut),
            read("", "hunter2hunter2"),
        ] {
            assert!(!format!("{refusal:?}").contains("hunt"), "{refusal:?}");
            assert_eq!((refusal.code, refusal.retry_after_seconds), (403, 3));
        }
        assert_eq!(read("Forbidden", "no").message, "no");
    }
}
