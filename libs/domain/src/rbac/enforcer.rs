//! The compiled rights of a tenant.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::message::Message;
use crate::rbac::pattern::{MatchMode, Pattern, Reader};
use crate::rbac::policy::{Effect, Grouping, Origin, Policy, ProjectPolicy, RoleLines, Rule};
use crate::rbac::{Subject, builtin};

/// A tenant's policy with the built-in one and the roles of its projects, ready to be asked.
#[derive(Debug, Default)]
pub struct Enforcer {
    tenant: Table,
    /// Every project of the tenant; one whose policies cannot be read has none.
    projects: HashMap<String, Table>,
    default_role: String,
    scopes: Vec<String>,
}

/// Why the answer is what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The answer.
    pub allowed: bool,
    /// Where the line stands that decided; `None` when no line says anything.
    pub origin: Option<Origin>,
    /// That line.
    pub rule: String,
    /// From whom the line came: the account, group or default role that was asked for, then each role on the way.
    pub path: Vec<String>,
}

/// The built-in policy, which every tenant shares. Its fields are globs whatever the tenant's mode.
static BUILT_IN: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table::default();
    for rule in builtin::rules() {
        table.add(rule, &mut Reader::new(MatchMode::Glob), Origin::BuiltIn);
    }
    for grouping in builtin::groupings() {
        table.link(grouping);
    }
    table
});

/// Lines by the name that they are about.
#[derive(Debug, Default)]
struct Table {
    by_name: HashMap<String, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    roles: Vec<String>,
    by_resource: HashMap<String, Vec<Line>>,
    /// Lines whose resource is a pattern.
    others: Vec<(Pattern, Line)>,
}

#[derive(Debug)]
struct Line {
    action: Pattern,
    object: Pattern,
    rule: Rule,
    origin: Origin,
}

impl Table {
    fn add(&mut self, rule: Rule, reader: &mut Reader, origin: Origin) {
        if rule.effect == Effect::Neither {
            return;
        }
        let mut read = |text: &str| match reader.read(text) {
            // A field that is no pattern allows nothing; in a line that denies it denies everything.
            None if rule.effect == Effect::Deny => Some(Pattern::Everything),
            read => read,
        };
        let fields = (read(&rule.resource), read(&rule.action), read(&rule.object));
        let (Some(resource), Some(action), Some(object)) = fields else {
            return;
        };
        let entry = self.by_name.entry(rule.subject.clone()).or_default();
        let line = Line {
            action,
            object,
            rule,
            origin,
        };
        match resource {
            Pattern::Exactly(resource) => {
                entry.by_resource.entry(resource).or_default().push(line);
            }
            pattern => entry.others.push((pattern, line)),
        }
    }

    fn link(&mut self, grouping: Grouping) {
        let entry = self.by_name.entry(grouping.member).or_default();
        entry.roles.push(grouping.role);
    }
}

impl Entry {
    fn lines(&self, resource: &str) -> impl Iterator<Item = &Line> {
        let exact = self.by_resource.get(resource).into_iter().flatten();
        let others = self
            .others
            .iter()
            .filter(move |(pattern, _)| pattern.matches(resource))
            .map(|(_, line)| line);
        exact.chain(others)
    }
}

/// The name of an object that nothing but a pattern for all of them matches: nobody can call one so.
const ANY: &str = "\u{1}any object\u{1}";

/// What is asked for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    resource: &'a str,
    action: &'a str,
    object: &'a str,
}

/// A line that decides, and the position on the path at which it was found.
struct Found<'a> {
    line: &'a Line,
    at: usize,
}

/// The names that one asks for, each with the position of the one from which it was reached.
type Path<'a> = Vec<(&'a str, usize)>;

impl Enforcer {
    /// Compiles a policy and the roles of projects. What is wrong with a project's policies is told by the project's
    /// name; they then count for nothing.
    #[must_use]
    pub fn compile(policy: &Policy, projects: &[ProjectPolicy]) -> (Self, Vec<(String, Message)>) {
        let mut tenant = Table::default();
        let mut reader = Reader::new(policy.mode);
        for rule in &policy.rules {
            tenant.add(rule.clone(), &mut reader, Origin::Policy(rule.line));
        }
        for grouping in &policy.groupings {
            tenant.link(grouping.clone());
        }
        let mut problems = Vec::new();
        let mut compiled = HashMap::with_capacity(projects.len());
        let mut all = Reader::of_projects(policy.mode);
        for project in projects {
            let mut reader = all.part();
            let table = match project.parse() {
                Ok(RoleLines { rules, groupings }) => {
                    let mut table = Table::default();
                    for (role, rule) in rules {
                        let origin = Origin::Role {
                            project: project.project.clone(),
                            role: project.roles[role].name.clone(),
                            position: (rule.line > 0).then_some(rule.line),
                        };
                        table.add(rule, &mut reader, origin);
                    }
                    for grouping in groupings {
                        table.link(grouping);
                    }
                    table
                }
                Err(message) => {
                    problems.push((project.project.clone(), message));
                    Table::default()
                }
            };
            all.spend(&reader);
            compiled.insert(project.project.clone(), table);
        }
        let enforcer = Self {
            tenant,
            projects: compiled,
            default_role: policy.default_role.clone(),
            scopes: policy.scopes.clone(),
        };
        (enforcer, problems)
    }

    /// The claims in which a token tells of its holder's groups.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Whether the subject may.
    #[must_use]
    pub fn allows(&self, subject: &Subject, resource: &str, action: &str, object: &str) -> bool {
        let asked = Asked {
            resource,
            action,
            object,
        };
        self.each(subject, asked, |_, found| {
            found.is_some_and(|found| found.line.rule.effect == Effect::Allow)
        })
    }

    /// Whether the subject may do so with every object of a resource: something is allowed with all, and nothing denied with
    /// any. A question about the object `*` cannot tell that: a line that denies one name does not match it, and one that
    /// allows names of one letter does.
    #[must_use]
    pub fn allows_every(&self, subject: &Subject, resource: &str, action: &str) -> bool {
        let asked = Asked {
            resource,
            action,
            object: ANY,
        };
        self.each(subject, asked, |path, found| {
            found.is_some_and(|found| found.line.rule.effect == Effect::Allow)
                && path
                    .first()
                    .is_some_and(|(name, _)| !self.denies_some(name, resource, action))
        })
    }

    /// Whether one name, or a role that it has, is denied any object of a resource.
    fn denies_some<'a>(&'a self, name: &'a str, resource: &str, action: &str) -> bool {
        let mut names = vec![name];
        let mut at = 0;
        while let Some(name) = names.get(at).copied() {
            let entries = self
                .tables(name, None)
                .filter_map(|table| table.by_name.get(name));
            for entry in entries {
                if entry
                    .lines(resource)
                    .any(|line| line.rule.effect == Effect::Deny && line.action.matches(action))
                {
                    return true;
                }
                for role in &entry.roles {
                    if !names.contains(&role.as_str()) {
                        names.push(role);
                    }
                }
            }
            at += 1;
        }
        false
    }

    /// Why the subject may, or may not: the line that allows, else the first that denies.
    #[must_use]
    pub fn explain(
        &self,
        subject: &Subject,
        resource: &str,
        action: &str,
        object: &str,
    ) -> Explanation {
        let asked = Asked {
            resource,
            action,
            object,
        };
        let mut told = Explanation {
            allowed: false,
            origin: None,
            rule: String::new(),
            path: Vec::new(),
        };
        self.each(subject, asked, |path, found| {
            let Some(Found { line, at }) = found else {
                return false;
            };
            let allowed = line.rule.effect == Effect::Allow;
            if allowed || told.origin.is_none() {
                told = Explanation {
                    allowed,
                    origin: Some(line.origin.clone()),
                    rule: text(&line.rule),
                    path: names(path, at),
                };
            }
            allowed
        });
        told
    }

    /// Asks for the default role, then for the subject, then for each of its groups that some line gives a role, until
    /// `enough` says so. What one of them is denied, another may still be allowed, as in Argo CD.
    fn each<'a>(
        &'a self,
        subject: &'a Subject,
        asked: Asked<'a>,
        mut enough: impl FnMut(&Path<'a>, Option<Found<'a>>) -> bool,
    ) -> bool {
        let project = project_of(asked.resource, asked.object);
        let named = project.and_then(|name| Some((name, self.projects.get(name)?)));
        let own = named.map(|(_, table)| table);
        let mut path = Vec::with_capacity(8);
        let mut ask = |name: &'a str, as_group| {
            let found = self.decide(name, own, as_group, asked, &mut path);
            enough(&path, found)
        };
        // The default role counts with the project's policies and without; these are never about it, so once will do.
        if ask(&self.default_role, false) {
            return true;
        }
        if let (Subject::ProjectRole { project, .. }, Some((name, _))) = (subject, named)
            && project != name
        {
            return false;
        }
        ask(subject.name(), false) || subject.groups().iter().any(|group| ask(group, true))
    }

    /// The tables in which a name may stand.
    fn tables<'a>(&'a self, name: &str, own: Option<&'a Table>) -> impl Iterator<Item = &'a Table> {
        // Few names are built in, and none needs to be looked for there.
        let built_in = (name == "admin" || name.starts_with("role:")).then_some(&*BUILT_IN);
        [built_in, Some(&self.tenant), own].into_iter().flatten()
    }

    /// The line that decides for one name: the first that denies, else the first that allows. A group is asked for only
    /// if some line gives it a role.
    fn decide<'a>(
        &'a self,
        name: &'a str,
        own: Option<&'a Table>,
        as_group: bool,
        asked: Asked<'a>,
        path: &mut Path<'a>,
    ) -> Option<Found<'a>> {
        path.clear();
        if name.is_empty() {
            return None;
        }
        path.push((name, 0));
        let mut allowed = None;
        let mut at = 0;
        while let Some((name, _)) = path.get(at).copied() {
            let entries = || {
                self.tables(name, own)
                    .filter_map(|table| table.by_name.get(name))
            };
            if at == 0 && as_group && entries().all(|entry| entry.roles.is_empty()) {
                return None;
            }
            for entry in entries() {
                for line in entry.lines(asked.resource).filter(|line| {
                    line.action.matches(asked.action) && line.object.matches(asked.object)
                }) {
                    if line.rule.effect == Effect::Deny {
                        return Some(Found { line, at });
                    }
                    allowed.get_or_insert(Found { line, at });
                }
                for role in &entry.roles {
                    if !path.iter().any(|(known, _)| known == role) {
                        path.push((role, at));
                    }
                }
            }
            at += 1;
        }
        allowed
    }
}

/// The project whose own policies count for an object.
fn project_of<'a>(resource: &str, object: &'a str) -> Option<&'a str> {
    match resource {
        "applications" | "applicationsets" | "repositories" | "clusters" | "logs" | "exec" => {
            object.split_once('/').map(|(project, _)| project)
        }
        "projects" => Some(object),
        _ => None,
    }
}

fn names(path: &Path<'_>, at: usize) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = at;
    loop {
        let (name, from) = path[at];
        names.push(name.to_owned());
        if at == 0 {
            break;
        }
        at = from;
    }
    names.reverse();
    names
}

fn text(rule: &Rule) -> String {
    let Rule {
        subject,
        resource,
        action,
        object,
        effect,
        ..
    } = rule;
    let effect = match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
        Effect::Neither => "",
    };
    format!("p, {subject}, {resource}, {action}, {object}, {effect}")
}
