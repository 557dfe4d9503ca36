//! The policy that is always there: `role:readonly`, `role:admin`, and the account `admin`.

use super::policy::{Effect, Grouping, Rule};

/// The role that may see everything.
pub const READONLY: &str = "role:readonly";
/// The role that may do everything.
pub const ADMIN: &str = "role:admin";

/// What the two roles add up to, by resource: the readers' actions, and those that administrators have besides.
const RIGHTS: &[(&str, &str, &[&str], &[&str])] = &[
    (
        "applications",
        "*/*",
        &["get"],
        &[
            "create", "update", "update/*", "delete", "delete/*", "sync", "rollback", "override",
            "action/*",
        ],
    ),
    (
        "applicationsets",
        "*/*",
        &["get"],
        &["get", "create", "update", "delete"],
    ),
    (
        "certificates",
        "*",
        &["get"],
        &["create", "update", "delete"],
    ),
    ("clusters", "*", &["get"], &["create", "update", "delete"]),
    (
        "repositories",
        "*",
        &["get"],
        &["create", "update", "delete"],
    ),
    (
        "write-repositories",
        "*",
        &["get"],
        &["create", "update", "delete"],
    ),
    ("projects", "*", &["get"], &["create", "update", "delete"]),
    ("accounts", "*", &["get"], &["update"]),
    ("gpgkeys", "*", &["get"], &["create", "delete"]),
    ("logs", "*/*", &["get"], &[]),
    ("exec", "*/*", &[], &["create"]),
];

/// The rules of both roles.
pub(super) fn rules() -> Vec<Rule> {
    let of = |role: &'static str, index: usize| {
        RIGHTS
            .iter()
            .flat_map(move |(resource, object, read, write)| {
                [read, write][index].iter().map(move |action| Rule {
                    line: 0,
                    subject: role.to_owned(),
                    resource: (*resource).to_owned(),
                    action: (*action).to_owned(),
                    object: (*object).to_owned(),
                    effect: Effect::Allow,
                })
            })
    };
    of(READONLY, 0).chain(of(ADMIN, 1)).collect()
}

/// Who has the roles.
pub(super) fn groupings() -> Vec<Grouping> {
    [(ADMIN, READONLY), ("admin", ADMIN)]
        .into_iter()
        .map(|(member, role)| Grouping {
            line: 0,
            member: member.to_owned(),
            role: role.to_owned(),
        })
        .collect()
}
