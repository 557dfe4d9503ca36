//! Who may do what: Argo CD's role-based access control, as values.
//!
//! A [`Policy`] is what a tenant wrote; a [`Enforcer`] is that policy, the built-in one and the roles of the tenant's
//! projects, compiled; a [`Subject`] is who asks. Nobody is told yes by anything but [`Enforcer::allows`].
//!
//! # Invariants
//! - What no line allows is refused, and a line that denies wins over those that allow for the same subject.
//! - An empty name is nobody: it is refused whatever a policy says.
//! - A project's own policies count for that project's objects only.

mod builtin;
mod enforcer;
mod pattern;
mod policy;
mod words;

pub use builtin::{ADMIN, READONLY};
pub use enforcer::{Enforcer, Explanation};
pub use pattern::MatchMode;
pub use policy::{Effect, Grouping, Origin, Policy, Problem, ProjectPolicy, Role, RoleLines, Rule};
pub use words::{Action, Resource};

pub(crate) use policy::MAX_POLICY;

/// What rights name, of a project or of none: `<project>/<name>`, or the name alone.
#[must_use]
pub fn object(project: &str, name: &str) -> String {
    if project.is_empty() {
        name.to_owned()
    } else {
        format!("{project}/{name}")
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An account, with the groups that its token tells of.
    Account {
        /// Its name.
        name: String,
        /// Its groups.
        groups: Vec<String>,
    },
    /// Who holds a token of a project's role.
    ProjectRole {
        /// The project.
        project: String,
        /// The role.
        role: String,
        /// `proj:<project>:<role>`, as policies name it.
        name: String,
    },
    /// Who did not say; only the default role counts.
    Anonymous,
}

impl Subject {
    /// An account without groups.
    #[must_use]
    pub fn account(name: impl Into<String>) -> Self {
        Self::Account {
            name: name.into(),
            groups: Vec::new(),
        }
    }

    /// A project's role.
    #[must_use]
    pub fn project_role(project: &str, role: &str) -> Self {
        Self::ProjectRole {
            name: format!("proj:{project}:{role}"),
            project: project.to_owned(),
            role: role.to_owned(),
        }
    }

    /// Who a token's `sub` names, its capability taken off.
    #[must_use]
    pub fn parse(sub: &str) -> Self {
        let parts: Vec<&str> = sub.split(':').collect();
        match parts.as_slice() {
            ["proj", project, role] => Self::project_role(project, role),
            _ => Self::account(sub),
        }
    }

    /// As policies and refusals name it; empty for nobody.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Account { name, .. } | Self::ProjectRole { name, .. } => name,
            Self::Anonymous => "",
        }
    }

    /// The groups.
    #[must_use]
    pub fn groups(&self) -> &[String] {
        match self {
            Self::Account { groups, .. } => groups,
            Self::ProjectRole { .. } | Self::Anonymous => &[],
        }
    }
}
