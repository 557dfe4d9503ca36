//! The namespaces that a tenant may use.

/// The namespaces that a tenant may use.
#[derive(Clone, Copy, Debug)]
pub enum Territory<'a> {
    /// An ordinary tenant: its rows of the namespace map, and what `CreateNamespace=true` may add.
    Only {
        /// The rows.
        namespaces: &'a [String],
        /// The patterns of namespaces that may be made, with the tenant's name filled in.
        patterns: &'a [String],
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

    /// What to say is allowed.
    pub(crate) fn describe(&self, creating: bool) -> String {
        match self {
            Self::Only {
                namespaces,
                patterns,
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
