//! The declared rule of every RPC: who may call it, and whether it is put on record.
//!
//! Handlers ask [`crate::permit`] for the concrete object; this table says what they ask, so that it can be read in one
//! place, checked against what they do, and used where no handler has run yet. An RPC without a row is a failing test.

mod table;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::permit::{Action, Resource};

/// Who may call an RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Everybody, with or without a token; the handler decides what it tells.
    Public,
    /// Whoever is signed in.
    SignedIn,
    /// Whoever is signed in; what one may not see of the resource is left out.
    Filtered(Resource),
    /// Whoever has the right.
    Right {
        /// On what.
        resource: Resource,
        /// To do what.
        action: Action,
        /// Which fields of the request name the object.
        object: Object,
    },
    /// Whoever has the right to this account, and the account itself.
    OwnOr {
        /// To do what.
        action: Action,
        /// The field that names the account.
        account: &'static str,
    },
    /// Whoever is signed in, about their own tenant; who runs the platform, about any.
    OwnTenant,
    /// Whoever has every right over what the tenant's settings decide; for another tenant's, who runs the platform.
    Administrator,
    /// Who runs the platform.
    Operator,
}

/// How a request names the object of a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    /// An application, by the field with its name; its project is looked up, or named by the request.
    Application(&'static str),
    /// What a field says.
    Field(&'static str),
    /// One field and, before it where it is not empty, another with the project.
    InProject {
        /// The field with the project.
        project: &'static str,
        /// The field with the name.
        name: &'static str,
    },
    /// Nothing in particular.
    Any,
}

/// One RPC's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// `/<service>/<method>`.
    pub(crate) path: &'static str,
    /// Who may call it.
    pub(crate) rule: Rule,
    /// Whether each call is put on record: what changes something, and what reads out the whole of a tenant.
    pub(crate) recorded: bool,
}

/// The row of a path.
pub(crate) fn find(path: &str) -> Option<&'static Row> {
    static ROWS: LazyLock<HashMap<&'static str, &'static Row>> =
        LazyLock::new(|| table::TABLE.iter().map(|row| (row.path, row)).collect());
    ROWS.get(path).copied()
}

/// Whether calls of a method are put on record.
pub(crate) fn is_recorded(path: &str) -> bool {
    find(path).is_some_and(|row| row.recorded)
}

/// Whether a method answers callers without a token too.
pub(crate) fn is_public(path: &str) -> bool {
    find(path).is_some_and(|row| row.rule == Rule::Public)
}

/// The methods whose requests carry manifests; every other names something, or carries one object or policy.
const MANIFESTS: [&str; 3] = [
    "/application.ApplicationService/Create",
    "/application.ApplicationService/Sync",
    "/application.ApplicationService/ServerSideDiff",
];

/// The method whose requests carry a folder.
const FOLDER: &str = "/application.ApplicationService/GetManifestsWithFiles";

/// Whether a method's requests may be as large as manifests are.
pub(crate) fn carries_manifests(path: &str) -> bool {
    MANIFESTS.contains(&path)
}

/// Whether a method's requests may be as large as a packed folder is.
pub(crate) fn carries_a_folder(path: &str) -> bool {
    path == FOLDER
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rpc_has_exactly_one_row() {
        let served: BTreeSet<String> = crate::grpc::paths().clone().into_iter().collect();
        let mut declared = BTreeSet::new();
        for row in table::TABLE {
            assert!(
                declared.insert(row.path.to_owned()),
                "{} stands twice",
                row.path
            );
        }
        let missing: Vec<_> = served.difference(&declared).collect();
        assert!(missing.is_empty(), "without a rule: {missing:?}");
        let gone: Vec<_> = declared.difference(&served).collect();
        assert!(gone.is_empty(), "rules of nothing: {gone:?}");
    }

    #[test]
    fn only_these_are_open_to_everybody() {
        let public: Vec<&str> = table::TABLE
            .iter()
            .filter(|row| row.rule == Rule::Public)
            .map(|row| row.path)
            .collect();
        assert_eq!(
            public,
            [
                "/session.SessionService/GetUserInfo",
                "/session.SessionService/Create",
                "/session.SessionService/Delete",
                "/cluster.SettingsService/Get",
                "/version.VersionService/Version",
            ]
        );
        assert!(!is_public("/grpc.health.v1.Health/Check"));
        assert!(!is_public("/nobody/Knows"));
    }

    #[test]
    fn what_carries_manifests_is_served() {
        for path in MANIFESTS.into_iter().chain([FOLDER]) {
            assert!(find(path).is_some(), "{path}");
        }
        assert!(!carries_manifests("/session.SessionService/Create"));
    }

    /// What only reads, by the beginning of its name; everything else must be on record.
    const READS: [&str; 19] = [
        "Get",
        "List",
        "Watch",
        "Can",
        "Version",
        "ResourceTree",
        "ManagedResources",
        "PodLogs",
        "RevisionMetadata",
        "RevisionChartDetails",
        "ServerSideDiff",
        "ServerReflectionInfo",
        "Generate",
        "Query",
        "Verify",
        "Validate",
        "Describe",
        "Explain",
        "Check",
    ];

    #[test]
    fn what_only_reads_is_not_recorded_and_everything_else_is() {
        for row in table::TABLE {
            let method = row.path.rsplit('/').next().unwrap();
            let reads = READS.iter().any(|read| method.starts_with(read));
            assert_eq!(reads, !row.recorded, "{}", row.path);
        }
        assert!(is_recorded("/naru.v1.TenantService/Export"));
        assert!(!is_recorded("/x/Create"));
    }

    /// What the rule lets each caller do: everybody's column of the matrix, in its order.
    fn expected(rule: Rule) -> [&'static str; 8] {
        const STRANGER: &str = "-";
        const REFUSED: &str = "!";
        const THROUGH: &str = "+";
        let to = |may: bool| if may { THROUGH } else { REFUSED };
        let stranger = if rule == Rule::Public {
            THROUGH
        } else {
            STRANGER
        };
        let (viewer, admin, role) = match rule {
            Rule::Public | Rule::SignedIn | Rule::OwnTenant | Rule::Filtered(_) => {
                (true, true, true)
            }
            Rule::Right {
                resource, action, ..
            } => {
                let get = action == Action::Get;
                (get, true, get && resource == Resource::Applications)
            }
            Rule::OwnOr { action, .. } => (action == Action::Get, true, false),
            Rule::Administrator => (false, true, false),
            Rule::Operator => (false, false, false),
        };
        [
            stranger,
            stranger,
            to(viewer),
            to(admin),
            to(role),
            THROUGH,
            stranger,
            REFUSED,
        ]
    }

    /// S04: the matrix that the server is held against says what the rules say. It is edited by hand, never written from
    /// what the server answers.
    #[test]
    fn s04_the_matrix_is_that_of_the_rules() {
        let lines: Vec<&str> = include_str!("../tests/identity/matrix.tsv")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        let rules: Vec<String> = table::TABLE
            .iter()
            .map(|row| format!("{}\t{}", row.path, expected(row.rule).join("\t")))
            .collect();
        assert_eq!(lines, rules);
    }
}
