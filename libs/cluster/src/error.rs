//! What can go wrong between us and a cluster.

use domain::cause::{Cause, Severity};
use domain::message::{self, Message};
use serde::Deserialize;

/// More of a server's words than this is not kept.
const MAX_WORDS: usize = 4096;
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
    pub(crate) fn read(code: u16, body: &[u8]) -> Self {
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
        let causes = details
            .causes
            .into_iter()
            .take(MAX_CAUSES)
            .map(|cause| FieldCause {
                reason: cut(cause.reason),
                message: cut(cause.message),
                field: cut(cause.field),
            });
        Self {
            code,
            reason: cut(status.reason),
            message: cut(status.message),
            causes: causes.collect(),
            retry_after_seconds: details.retry_after_seconds,
        }
    }

    /// Takes texts that must not be seen out of everything that was said.
    pub(crate) fn redact(&mut self, hidden: &[&str]) {
        let clean = |text: &mut String| {
            for word in hidden {
                if text.contains(word) {
                    *text = text.replace(word, "++++++++");
                }
            }
        };
        clean(&mut self.message);
        for cause in &mut self.causes {
            clean(&mut cause.message);
        }
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
            Self::Refused(refusal) => match refusal.code {
                403 => m::FORBIDDEN.message(),
                400 | 422 => m::INVALID_OBJECT.message(),
                code => m::REFUSED
                    .with("code", code)
                    .with("reason", &refusal.reason),
            },
        }
    }

    /// The typed reason, with the cluster's own words as evidence.
    #[must_use]
    pub fn cause(&self) -> Cause {
        let cause = Cause::new(Severity::Error, self.message());
        match self {
            Self::Refused(refusal) => {
                let cause = cause.evidence(refusal.message.clone());
                match refusal
                    .causes
                    .first()
                    .filter(|first| !first.field.is_empty())
                {
                    Some(first) => cause.field(first.field.clone()),
                    None => cause,
                }
            }
            Self::Configuration(why) | Self::NotUnderstood(why) | Self::Unreachable { why, .. } => {
                cause.evidence(why.clone())
            }
            _ => cause,
        }
    }
}
