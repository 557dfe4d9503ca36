//! Where in a cluster a tenant may be: in which namespaces, and whether outside of them.

use domain::message::{self, Message};

/// Where in a cluster a tenant may be.
#[derive(Clone, Copy, Debug)]
pub enum Territory<'a> {
    /// An ordinary tenant: its rows of the namespace map, and what `CreateNamespace=true` may add. Or a cluster of which only
    /// some namespaces are followed.
    Only {
        /// The rows.
        namespaces: &'a [String],
        /// The patterns of namespaces that may be made, with the tenant's name filled in.
        patterns: &'a [String],
        /// Whether objects may be looked at that live in no namespace; whether they may be made is for others to say.
        cluster_scoped: bool,
    },
    /// The operator's tenant: everything that is not mapped to somebody else.
    AllBut(&'a [String]),
}

impl Territory<'_> {
    /// Whether a namespace may be used, or made where `creating`.
    #[must_use]
    pub fn permits(&self, namespace: &str, creating: bool) -> bool {
        match self {
            Self::Only {
                namespaces,
                patterns,
                cluster_scoped: _,
            } => {
                namespaces.iter().any(|own| own == namespace)
                    || (creating
                        && !domain::tenant::is_reserved(namespace)
                        && patterns
                            .iter()
                            .any(|pattern| domain::glob::glob(pattern, namespace)))
            }
            Self::AllBut(mapped) => !mapped.iter().any(|other| other == namespace),
        }
    }

    /// Whether objects may be looked at that live in no namespace.
    #[must_use]
    pub fn has_cluster_scoped(&self) -> bool {
        match self {
            Self::Only { cluster_scoped, .. } => *cluster_scoped,
            Self::AllBut(_) => true,
        }
    }

    /// Why a namespace that is not permitted is not. `makeable` where the destination's own is meant, which `CreateNamespace=true` may
    /// make: that is said only where it would.
    #[must_use]
    pub fn refusal(&self, namespace: &str, creating: bool, makeable: bool) -> Message {
        let patterns = match self {
            Self::AllBut(_) => {
                return message::sync::NAMESPACE_OF_TENANT.with("namespace", namespace);
            }
            Self::Only { patterns, .. } => *patterns,
        };
        let helps = makeable && !creating && self.permits(namespace, true);
        let fits = |pattern: &&String| helps && domain::glob::glob(pattern, namespace);
        let message = match patterns.iter().find(fits) {
            Some(pattern) => message::sync::NAMESPACE_NOT_MADE.with("pattern", pattern),
            None => message::sync::NAMESPACE_NOT_YOURS.message(),
        };
        message
            .with("namespace", namespace)
            .with("allowed", self.describe(creating))
    }

    /// What to say is allowed.
    pub(crate) fn describe(&self, creating: bool) -> String {
        match self {
            Self::Only {
                namespaces,
                patterns,
                cluster_scoped: _,
            } => {
                let patterns = patterns
                    .iter()
                    .filter(|_| creating || namespaces.is_empty());
                namespaces
                    .iter()
                    .chain(patterns)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(", ")
            }
            Self::AllBut(_) => "*".to_owned(),
        }
    }
}
