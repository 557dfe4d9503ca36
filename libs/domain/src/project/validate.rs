//! Whether a project may be stored as it is written. The words are those of Argo CD, which clients and scripts look for.

use std::collections::HashSet;

use serde_json::Value;

use super::pattern::Deniable;
use super::window;
use crate::glob::{Glob, MAX_LENGTH};
use crate::rbac::ProjectPolicy;
use crate::resource::text;

/// How many sync windows a project may have: each look at an application judges all that are for it.
const MAX_WINDOWS: usize = 100;
/// How many patterns a project may have, in all its lists: every object of its applications is held against them.
const MAX_PATTERNS: usize = 2_000;
/// How long those may be together that more than one text matches, about in characters: what they cost grows with the
/// text too.
const MAX_WILD: usize = 16 << 10;

/// The lists of patterns, and in which fields these stand.
const LISTS: [(&str, &[&str]); 5] = [
    ("destinations", &["server", "name", "namespace"]),
    ("clusterResourceWhitelist", &["group", "kind", "name"]),
    ("clusterResourceBlacklist", &["group", "kind", "name"]),
    ("namespaceResourceWhitelist", &["group", "kind"]),
    ("namespaceResourceBlacklist", &["group", "kind"]),
];
/// The lists of patterns in which a sync window says what it is for.
const WINDOW_LISTS: [&str; 3] = ["applications", "namespaces", "clusters"];

/// What kind of mistake it is, as callers tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It cannot be.
    Invalid,
    /// It stands there twice.
    Twice,
    /// It says too little.
    OutOfRange,
    /// Anything else.
    Unknown,
}

/// Why a project may not be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Fault {
    /// What kind of mistake.
    pub kind: Kind,
    /// What is told.
    pub text: String,
}

impl Fault {
    fn new(kind: Kind, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { kind, text }
    }
}

/// Brings the policies of roles into the form in which they are kept: one space behind each comma.
pub fn normalize_policies(spec: &mut Value) {
    for policy in items_mut(spec, "roles").flat_map(|role| items_mut(role, "policies")) {
        if let Value::String(line) = policy {
            let mut parts = line.split(',');
            let mut normal = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                normal.push_str(", ");
                normal.push_str(part.trim_matches(' '));
            }
            *line = normal;
        }
    }
}

/// Checks a spec for the project of that name.
///
/// # Errors
/// The first thing that is wrong.
pub fn validate(name: &str, spec: &Value) -> Result<(), Fault> {
    bounded(spec)?;
    patterns(spec)?;
    destinations(spec)?;
    let mut sources = HashSet::new();
    for source in texts(spec, "sourceRepos") {
        if source == "!*" {
            return Err(Fault::new(
                Kind::Invalid,
                "source repository has an invalid format, '!*'",
            ));
        }
        if !sources.insert(source) {
            let text = format!("source repository '{source}' already added");
            return Err(Fault::new(Kind::Invalid, text));
        }
    }
    roles(name, spec)?;
    windows(spec)?;
    service_accounts(spec)?;
    let policy = super::policy_of(name, spec);
    ProjectPolicy::parse(&policy)
        .map(|_| ())
        .map_err(|problem| Fault::new(Kind::Invalid, format!("policy syntax error: {problem}")))
}

/// Whether a spec has no more patterns than a project may have.
///
/// # Errors
/// Of what there is too much, and what helps.
pub(super) fn bounded(spec: &Value) -> Result<(), Fault> {
    let mut room = Room::default();
    for source in texts(spec, "sourceRepos") {
        room.take(&Deniable::of_source(source))?;
    }
    let accounts: (&str, &[&str]) = ("destinationServiceAccounts", &["server", "namespace"]);
    for (list, fields) in LISTS.into_iter().chain([accounts]) {
        for item in items(spec, list) {
            room.take_fields(item, fields)?;
        }
    }
    let orphaned = spec.get("orphanedResources").into_iter();
    for item in orphaned.flat_map(|orphaned| items(orphaned, "ignore")) {
        room.take_fields(item, &["group", "kind", "name"])?;
    }
    for window in items(spec, "syncWindows") {
        for pattern in WINDOW_LISTS
            .into_iter()
            .flat_map(|list| texts(window, list))
        {
            room.take(&Deniable::from(pattern))?;
        }
    }
    Ok(())
}

/// What a project's patterns have taken of what they may take.
#[derive(Default)]
struct Room {
    patterns: usize,
    wild: usize,
}

impl Room {
    fn take_fields(&mut self, item: &Value, fields: &[&str]) -> Result<(), Fault> {
        for field in fields {
            self.take(&Deniable::from(text(item, &[field])))?;
        }
        Ok(())
    }

    fn take(&mut self, pattern: &Deniable) -> Result<(), Fault> {
        self.patterns += usize::from(!pattern.is_empty());
        self.wild += pattern.size();
        let text = if self.patterns > MAX_PATTERNS {
            format!(
                "a project has at most {MAX_PATTERNS} patterns in all its lists; let one with `*` stand for many, or \
                 divide the project"
            )
        } else if self.wild > MAX_WILD {
            format!(
                "the patterns of a project that have wildcards come to {MAX_WILD} characters at most, braces multiplied \
                 out; write names as they are, which do not count, or divide the project"
            )
        } else {
            return Ok(());
        };
        Err(Fault::new(Kind::Invalid, text))
    }
}

/// Every pattern is one. Argo CD keeps others, which then match nothing: what they were to deny is allowed.
fn patterns(spec: &Value) -> Result<(), Fault> {
    for source in texts(spec, "sourceRepos") {
        check_pattern("source repository", source)?;
    }
    for (list, fields) in LISTS {
        for item in items(spec, list) {
            for field in fields {
                check_pattern(field, text(item, &[field]))?;
            }
        }
    }
    Ok(())
}

fn check_pattern(field: &str, pattern: &str) -> Result<(), Fault> {
    let rest = pattern.strip_prefix('!').unwrap_or(pattern);
    if Glob::new(rest, None).is_some() {
        return Ok(());
    }
    let shown: String = pattern.chars().take(100).collect();
    let mut text = format!("{field} has an invalid format, '{shown}'");
    if rest.len() > MAX_LENGTH {
        text = format!("{text}: it is longer than {MAX_LENGTH} bytes");
    }
    Err(Fault::new(Kind::Invalid, text))
}

fn destinations(spec: &Value) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    for destination in items(spec, "destinations") {
        let (server, namespace) = (
            text(destination, &["server"]),
            text(destination, &["namespace"]),
        );
        if server == "!*" || text(destination, &["name"]) == "!*" {
            let field = if server == "!*" { "server" } else { "name" };
            let text = format!("{field} has an invalid format, '!*'");
            return Err(Fault::new(Kind::Invalid, text));
        }
        if namespace == "!*" {
            return Err(Fault::new(
                Kind::Invalid,
                "namespace has an invalid format, '!*'",
            ));
        }
        // One cluster may be there by its name and by its address.
        let cluster = if server.is_empty() {
            text(destination, &["name"])
        } else {
            server
        };
        let key = format!("{cluster}/{namespace}");
        if !seen.insert(key.clone()) {
            let text = format!("destination '{key}' already added");
            return Err(Fault::new(Kind::Invalid, text));
        }
    }
    Ok(())
}

fn roles(project: &str, spec: &Value) -> Result<(), Fault> {
    let mut names = HashSet::new();
    for role in items(spec, "roles") {
        let name = text(role, &["name"]);
        if !names.insert(name) {
            let text = format!("role '{name}' already exists");
            return Err(Fault::new(Kind::Twice, text));
        }
        role_name(name)?;
        let mut policies = HashSet::new();
        for line in texts(role, "policies") {
            if !policies.insert(line) {
                let text = format!("policy '{line}' already exists for role '{name}'");
                return Err(Fault::new(Kind::Twice, text));
            }
            policy(project, name, line).map_err(|why| {
                let text = format!("invalid policy rule '{line}': {why}");
                Fault::new(Kind::Invalid, text)
            })?;
        }
        let mut groups = HashSet::new();
        for group in texts(role, "groups") {
            if !groups.insert(group) {
                let text = format!("group '{group}' already exists for role '{name}'");
                return Err(Fault::new(Kind::Twice, text));
            }
            group_name(group)?;
        }
    }
    Ok(())
}

fn role_name(name: &str) -> Result<(), Fault> {
    let word = |c: char| c.is_ascii_alphanumeric();
    if name.starts_with(word)
        && name.ends_with(word)
        && name.chars().all(|c| word(c) || c == '-' || c == '_')
    {
        return Ok(());
    }
    let text = format!(
        "invalid role name '{name}'. Must consist of alphanumeric characters, '-' or '_', and must start and end with \
         an alphanumeric character"
    );
    Err(Fault::new(Kind::Invalid, text))
}

/// The group that a role names, quotes taken off.
pub(super) fn unquoted(group: &str) -> Option<&str> {
    group
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
}

fn group_name(group: &str) -> Result<(), Fault> {
    let group = group.trim();
    let invalid = |text: String| Err(Fault::new(Kind::Invalid, text));
    let inner = unquoted(group);
    if inner.is_none() && group.contains(',') {
        return invalid(format!("group '{group}' must be quoted"));
    }
    let name = inner.unwrap_or(group);
    if name.trim().is_empty() {
        return invalid(format!("group '{group}' is empty"));
    }
    if name.contains(['"', '\n', '\r', '\t']) {
        return invalid(format!("group '{group}' contains invalid characters"));
    }
    Ok(())
}

/// What roles of a project may be about.
const SCOPED: &[&str] = &[
    "applications",
    "applicationsets",
    "repositories",
    "exec",
    "logs",
    "clusters",
];

fn policy(project: &str, role: &str, line: &str) -> Result<(), String> {
    let fields: Vec<&str> = line
        .split(',')
        .map(|field| field.trim_matches(' '))
        .collect();
    let ["p", subject, resource, action, object, effect] = fields.as_slice() else {
        return Err("must be of the form: 'p, sub, res, act, obj, eft'".to_owned());
    };
    let expected = format!("proj:{project}:{role}");
    if *subject != expected {
        return Err(format!(
            "policy subject must be: '{expected}', not '{subject}'"
        ));
    }
    if !SCOPED.contains(resource) {
        return Err(format!(
            "project resource must be: 'applications', 'applicationsets', 'repositories', 'exec', 'logs' or \
             'clusters', not '{resource}'"
        ));
    }
    let known = matches!(
        *action,
        "get" | "create" | "update" | "delete" | "sync" | "override" | "*"
    );
    let fine = ["action/", "update/", "delete/"]
        .iter()
        .any(|start| action.starts_with(start));
    if !known && !fine {
        return Err(format!("invalid action '{action}'"));
    }
    let word = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '*' | '_' | '-' | '.'))
    };
    let inside = object
        .strip_prefix(project)
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|rest| {
            let parts: Vec<&str> = rest.split('/').collect();
            parts.len() <= 2 && parts.into_iter().all(word)
        });
    if !inside {
        return Err(format!(
            "object must be of form '{project}/*', '{project}[/<NAMESPACE>]/<APPNAME>' or '{project}/<APPNAME>', not \
             '{object}'"
        ));
    }
    if !matches!(*effect, "allow" | "deny") {
        return Err("effect must be: 'allow' or 'deny'".to_owned());
    }
    Ok(())
}

fn windows(spec: &Value) -> Result<(), Fault> {
    if items(spec, "syncWindows").count() > MAX_WINDOWS {
        let text = format!(
            "a project has at most {MAX_WINDOWS} sync windows; join those that open at the same times"
        );
        return Err(Fault::new(Kind::Invalid, text));
    }
    let mut seen = HashSet::new();
    for window in items(spec, "syncWindows").filter(|window| !window.is_null()) {
        let (kind, schedule, duration) = (
            text(window, &["kind"]),
            text(window, &["schedule"]),
            text(window, &["duration"]),
        );
        let told = format!("window '{kind}':'{schedule}':'{duration}'");
        if !seen.insert(identity(window)) {
            let text = format!(
                "sync window with kind '{kind}', schedule '{schedule}', and duration '{duration}' already exists"
            );
            return Err(Fault::new(Kind::Twice, text));
        }
        window::check(window).map_err(|text| Fault::new(Kind::Unknown, text))?;
        for list in WINDOW_LISTS {
            for pattern in texts(window, list) {
                check_pattern(list, pattern)?;
            }
        }
        if WINDOW_LISTS
            .iter()
            .all(|key| items(window, key).next().is_none())
        {
            let text = format!("{told} requires one of application, cluster or namespace");
            return Err(Fault::new(Kind::OutOfRange, text));
        }
    }
    Ok(())
}

/// What makes a window the same as another: when it opens and what for, not what it says or lets people do by hand.
fn identity(window: &Value) -> Vec<&Value> {
    const MEMBERS: [&str; 8] = [
        "kind",
        "schedule",
        "duration",
        "applications",
        "namespaces",
        "clusters",
        "timeZone",
        "andOperator",
    ];
    let member = |name| window.get(name).unwrap_or(&Value::Null);
    MEMBERS.into_iter().map(member).collect()
}

fn service_accounts(spec: &Value) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    for entry in items(spec, "destinationServiceAccounts") {
        let (server, namespace) = (text(entry, &["server"]), text(entry, &["namespace"]));
        let invalid = |text: String| Err(Fault::new(Kind::Invalid, text));
        for (field, pattern) in [("server", server), ("namespace", namespace)] {
            if pattern == "!*" {
                return invalid(format!("{field} has an invalid format, '!*'"));
            }
        }
        let account = text(entry, &["defaultServiceAccount"]);
        if account.trim().is_empty() || account.contains(['!', '*', '[', ']', '{', '}', '\\', '/'])
        {
            return invalid(format!(
                "defaultServiceAccount has an invalid format, '{account}'"
            ));
        }
        for (field, pattern) in [("server", server), ("namespace", namespace)] {
            check_pattern(field, pattern)?;
        }
        let key = format!("{server}/{namespace}");
        if !seen.insert(key.clone()) {
            return invalid(format!("destinationServiceAccount '{key}' already added"));
        }
    }
    Ok(())
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn items_mut<'a>(value: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    value
        .get_mut(key)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

fn texts<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    items(value, key).filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(spec: &Value) -> (Kind, String) {
        let fault = validate("p", spec).unwrap_err();
        (fault.kind, fault.text)
    }

    #[test]
    fn lists_hold_nothing_twice() {
        let twice = json!([{"server": "s", "namespace": "n"}, {"server": "s", "namespace": "n"}]);
        assert_eq!(
            told(&json!({"destinations": twice})),
            (Kind::Invalid, "destination 's/n' already added".into())
        );
        assert_eq!(
            told(&json!({"sourceRepos": ["!*"]})).1,
            "source repository has an invalid format, '!*'"
        );
        assert_eq!(
            told(&json!({"sourceRepos": ["a", "a"]})).1,
            "source repository 'a' already added"
        );
        assert_eq!(
            told(&json!({"roles": [{"name": "r"}, {"name": "r"}]})),
            (Kind::Twice, "role 'r' already exists".into())
        );
        assert_eq!(
            told(&json!({"destinations": [{"server": "!*", "namespace": "x"}]})).1,
            "server has an invalid format, '!*'"
        );
    }

    #[test]
    fn every_pattern_is_one() {
        let bombs = "{}".repeat(10_000);
        for bad in ["{a", "![", bombs.as_str()] {
            for (list, item) in [
                ("sourceRepos", json!(bad)),
                ("destinations", json!({"namespace": bad, "server": "*"})),
                (
                    "clusterResourceWhitelist",
                    json!({"group": "", "kind": bad}),
                ),
                (
                    "namespaceResourceBlacklist",
                    json!({"group": bad, "kind": "*"}),
                ),
            ] {
                let (kind, text) = told(&json!({list: [item]}));
                assert_eq!(kind, Kind::Invalid);
                assert!(
                    text.contains(" has an invalid format, '") && text.len() < 200,
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn policies_stay_within_their_project() {
        let why = |line: &str| {
            let spec = json!({"roles": [{"name": "r", "policies": [line]}]});
            validate("p", &spec).err().map(|fault| fault.text)
        };
        assert_eq!(why("p, proj:p:r, applications, sync, p/*, allow"), None);
        assert_eq!(
            why("p, proj:p:r, applications, update/*, p/argocd/a.b, deny"),
            None
        );
        for (line, expected) in [
            (
                "g, a, proj:p:r",
                "must be of the form: 'p, sub, res, act, obj, eft'",
            ),
            (
                "p, proj:q:r, applications, get, p/*, allow",
                "policy subject must be: 'proj:p:r', not 'proj:q:r'",
            ),
            (
                "p, proj:p:r, accounts, get, p/*, allow",
                "project resource must be: 'applications', 'applicationsets', 'repositories', 'exec', 'logs' or \
                 'clusters', not 'accounts'",
            ),
            (
                "p, proj:p:r, applications, run, p/*, allow",
                "invalid action 'run'",
            ),
            (
                "p, proj:p:r, applications, get, */*, allow",
                "object must be of form 'p/*', 'p[/<NAMESPACE>]/<APPNAME>' or 'p/<APPNAME>', not '*/*'",
            ),
            (
                "p, proj:p:r, applications, get, p/*, maybe",
                "effect must be: 'allow' or 'deny'",
            ),
        ] {
            assert_eq!(
                why(line),
                Some(format!("invalid policy rule '{line}': {expected}"))
            );
        }
        assert!(why("p, proj:p:r, applications, get, pq/*, allow").is_some());
    }

    #[test]
    fn names_of_roles_and_groups() {
        assert!(
            told(&json!({"roles": [{"name": "-r"}]}))
                .1
                .starts_with("invalid role name '-r'.")
        );
        let group = |name: &str| {
            let spec = json!({"roles": [{"name": "r", "groups": [name]}]});
            validate("p", &spec).err().map(|fault| fault.text)
        };
        assert_eq!(group("team"), None);
        assert_eq!(group("\"a, b\""), None);
        assert_eq!(group("a,b").unwrap(), "group 'a,b' must be quoted");
        assert_eq!(group(" ").unwrap(), "group '' is empty");
    }

    #[test]
    fn windows_say_when_and_for_what() {
        let window = |extra: Value| {
            let mut window = json!({"kind": "allow", "schedule": "0 22 * * *", "duration": "1h"});
            window
                .as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            json!({"syncWindows": [window]})
        };
        assert!(validate("p", &window(json!({"applications": ["*"]}))).is_ok());
        assert_eq!(
            told(&window(json!({}))),
            (
                Kind::OutOfRange,
                "window 'allow':'0 22 * * *':'1h' requires one of application, cluster or namespace".into()
            )
        );
        assert_eq!(
            told(&window(json!({"kind": "x"}))).1,
            "kind 'x' mismatch: can only be allow or deny"
        );
        assert_eq!(
            told(&window(json!({"namespaces": ["web-{a"]}))).1,
            "namespaces has an invalid format, 'web-{a'"
        );
        // Two may open at the same time for different applications; what one says and allows by hand makes no other.
        let two = |extra: Value| {
            let mut spec = window(json!({"applications": ["a"]}));
            let other = window(extra)["syncWindows"][0].clone();
            spec["syncWindows"].as_array_mut().unwrap().push(other);
            spec
        };
        assert!(validate("p", &two(json!({"applications": ["b"]}))).is_ok());
        let same = json!({"applications": ["a"], "manualSync": true, "description": "d"});
        assert_eq!(
            told(&two(same)),
            (
                Kind::Twice,
                "sync window with kind 'allow', schedule '0 22 * * *', and duration '1h' already exists".into()
            )
        );
    }

    #[test]
    fn a_project_has_a_hundred_windows_at_most() {
        let windows = |count: usize| {
            let window = |minute: usize| {
                json!({"kind": "deny", "schedule": format!("{} {} * * *", minute % 60, minute / 60), "duration": "1m",
                    "applications": ["*"]})
            };
            json!({"syncWindows": (0..count).map(window).collect::<Vec<_>>()})
        };
        assert!(validate("p", &windows(MAX_WINDOWS)).is_ok());
        assert_eq!(
            told(&windows(MAX_WINDOWS + 1)),
            (
                Kind::Invalid,
                "a project has at most 100 sync windows; join those that open at the same times"
                    .into()
            )
        );
    }

    #[test]
    fn a_project_has_so_many_patterns_and_no_more() {
        let names = |count: usize| (0..count).map(|n| format!("name-{n}")).collect::<Vec<_>>();
        let sources = |count: usize| json!({"sourceRepos": names(count)});
        assert!(validate("p", &sources(MAX_PATTERNS)).is_ok());
        let many = "a project has at most 2000 patterns in all its lists; let one with `*` stand for many, or divide the \
                    project";
        assert_eq!(
            told(&sources(MAX_PATTERNS + 1)),
            (Kind::Invalid, many.into())
        );
        // Those of every list count.
        let window =
            json!({"kind": "deny", "schedule": "0 0 * * *", "duration": "1h", "clusters": ["c"]});
        for (list, value) in [
            ("destinations", json!([{"server": "s"}])),
            ("clusterResourceWhitelist", json!([{"kind": "k"}])),
            ("clusterResourceBlacklist", json!([{"name": "n"}])),
            ("namespaceResourceWhitelist", json!([{"group": "g"}])),
            ("namespaceResourceBlacklist", json!([{"kind": "k"}])),
            ("destinationServiceAccounts", json!([{"namespace": "n"}])),
            ("syncWindows", json!([window])),
            ("orphanedResources", json!({"ignore": [{"name": "n"}]})),
        ] {
            let mut spec = sources(MAX_PATTERNS);
            spec[list] = value;
            assert_eq!(told(&spec).1, many, "{list}");
        }
    }

    #[test]
    fn wildcards_take_no_more_than_there_is_room_for() {
        let lists = |patterns: Vec<String>| {
            let one = |pattern: String| json!({"group": pattern, "kind": "*"});
            json!({"namespaceResourceBlacklist": patterns.into_iter().map(one).collect::<Vec<_>>()})
        };
        let wild = |n: usize| format!("*{n}{}", "x".repeat(MAX_LENGTH / 2));
        assert!(validate("p", &lists((0..30).map(wild).collect())).is_ok());
        let why = "the patterns of a project that have wildcards come to 16384 characters at most, braces multiplied out; \
                   write names as they are, which do not count, or divide the project";
        let long = lists((0..40).map(wild).collect());
        assert_eq!(told(&long), (Kind::Invalid, why.into()));
        let names = lists((0..40).map(|n| wild(n).split_off(1)).collect());
        assert!(validate("p", &names).is_ok());
        // 128 texts of 60 characters each, and then four times that.
        let braces = format!("{}{}", "{a,b}".repeat(7), "x".repeat(53));
        assert!(validate("p", &lists(vec![braces.clone()])).is_ok());
        assert_eq!(told(&lists(vec![braces; 4])).1, why);
        // Each character is held against all that a class has.
        let class = |n: usize| format!("{n}*[{}]", "x".repeat(MAX_LENGTH / 2));
        assert!(validate("p", &lists((0..30).map(class).collect())).is_ok());
        assert_eq!(told(&lists((0..40).map(class).collect())).1, why);
    }

    #[test]
    fn a_pattern_that_is_too_long_is_told_so() {
        let source = |length: usize| json!({"sourceRepos": ["x".repeat(length)]});
        assert!(validate("p", &source(MAX_LENGTH)).is_ok());
        assert!(
            told(&source(MAX_LENGTH + 1))
                .1
                .ends_with("': it is longer than 1024 bytes")
        );
    }

    #[test]
    fn policies_are_kept_with_one_space_behind_each_comma() {
        let mut spec = json!({"roles": [{"name": "r", "policies": ["p,proj:p:r,  applications, get,p/*,allow"]}]});
        normalize_policies(&mut spec);
        assert_eq!(
            spec["roles"][0]["policies"][0],
            "p, proj:p:r, applications, get, p/*, allow"
        );
    }
}
