//! What a tenant writes, and where it went wrong.

use crate::message::{self, Message};
use crate::rbac::pattern::{MAX_EXPRESSIONS, Reader};
use crate::rbac::{Action, MatchMode, Resource};

/// Whether a line allows or denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It allows.
    Allow,
    /// It denies, whatever else allows.
    Deny,
    /// It says another word, and does neither.
    Neither,
}

/// Where a line stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the policy that is always there.
    BuiltIn,
    /// In the tenant's policy, at this line, from 1.
    Policy(u32),
    /// In a role of a project; `None` for the right to see the project, which every role has.
    Role {
        /// The project.
        project: String,
        /// The role.
        role: String,
        /// The position among the role's policies, from 1.
        position: Option<u32>,
    },
}

/// `p, subject, resource, action, object, effect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The line, from 1; 0 in the built-in policy. In a project's role the position among its policies.
    pub line: u32,
    /// Whom it is about: an account, a group or a role.
    pub subject: String,
    /// Pattern of the resource.
    pub resource: String,
    /// Pattern of the action.
    pub action: String,
    /// Pattern of the object.
    pub object: String,
    /// What it does.
    pub effect: Effect,
}

/// `g, member, role`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// The line, from 1; 0 in the built-in policy.
    pub line: u32,
    /// An account, a group or a role.
    pub member: String,
    /// What it has.
    pub role: String,
}

/// Something in a policy that is wrong, or surely not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1; 0 when it is about no line.
    pub line: u32,
    /// What is wrong, and how to write it.
    pub message: Message,
    /// Whether the policy cannot be used; otherwise it is a warning.
    pub fatal: bool,
}

impl Problem {
    fn error(line: u32, message: Message) -> Self {
        Self {
            line,
            message,
            fatal: true,
        }
    }

    fn warning(line: u32, message: Message) -> Self {
        Self {
            line,
            message,
            fatal: false,
        }
    }
}

/// A tenant's policy, parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Its rules.
    pub rules: Vec<Rule>,
    /// Who has which role.
    pub groupings: Vec<Grouping>,
    /// The role that everybody has; empty for none.
    pub default_role: String,
    /// The claims in which a token tells of groups.
    pub scopes: Vec<String>,
    /// How fields are read.
    pub mode: MatchMode,
}

/// The longest policy, in bytes: some thousand lines.
pub(crate) const MAX_POLICY: usize = 256 * 1024;

/// So many problems are told of a policy; the rest are counted in one.
const MAX_PROBLEMS: usize = 100;

/// What a token's groups are called where no `scopes` are set.
const DEFAULT_SCOPE: &str = "groups";

impl Policy {
    /// Reads the four settings of `argocd-rbac-cm`.
    ///
    /// # Errors
    /// What is wrong, by line. Warnings are not among them; [`Policy::check`] tells those too.
    pub fn parse(
        csv: &str,
        default_role: &str,
        scopes: &str,
        match_mode: &str,
    ) -> Result<Self, Vec<Problem>> {
        let (policy, mut problems) = Self::read(csv, default_role, scopes, match_mode);
        problems.warnings = Counted::default();
        let problems = problems.told();
        if problems.is_empty() {
            Ok(policy)
        } else {
            Err(problems)
        }
    }

    /// What is wrong or suspicious, by line. Where that is a great deal, errors before warnings, and how much more there is.
    #[must_use]
    pub fn check(csv: &str, default_role: &str, scopes: &str, match_mode: &str) -> Vec<Problem> {
        let (policy, mut problems) = Self::read(csv, default_role, scopes, match_mode);
        policy.suspicions(&mut problems);
        problems.told()
    }

    fn read(csv: &str, default_role: &str, scopes: &str, mode: &str) -> (Self, Problems) {
        let mut problems = Problems::default();
        let csv = if csv.len() > MAX_POLICY {
            let most = format!("{} KiB", MAX_POLICY / 1024);
            problems.push(Problem::error(
                0,
                message::rbac::TOO_LONG.with("most", most),
            ));
            ""
        } else {
            csv
        };
        if !matches!(mode, "" | "glob" | "regex") {
            problems.push(Problem::warning(
                0,
                message::rbac::MATCH_MODE.with("mode", mode),
            ));
        }
        let scopes = parse_scopes(scopes).unwrap_or_else(|| {
            problems.push(Problem::error(
                0,
                message::rbac::SCOPES.with("scopes", scopes),
            ));
            vec![DEFAULT_SCOPE.to_owned()]
        });
        let mut policy = Self {
            default_role: default_role.trim().to_owned(),
            scopes,
            mode: MatchMode::parse(mode),
            ..Self::default()
        };
        for (number, text) in (1_u32..).zip(csv.lines()) {
            match parse_line(number, text) {
                Ok(None) => {}
                Ok(Some(Line::Rule(rule))) => policy.rules.push(rule),
                Ok(Some(Line::Grouping(grouping))) => policy.groupings.push(grouping),
                Err(message) => problems.push(Problem::error(number, message)),
            }
        }
        (policy, problems)
    }

    fn suspicions(&self, found: &mut Problems) {
        let mut reader = Reader::new(self.mode);
        for rule in &self.rules {
            if rule.effect == Effect::Neither {
                found.push(Problem::warning(rule.line, message::rbac::EFFECT.message()));
            }
            let told = match self.mode {
                MatchMode::Glob => &message::rbac::PATTERN,
                MatchMode::Regex => &message::rbac::EXPRESSION,
            };
            let fields = [&rule.resource, &rule.action, &rule.object];
            let bad = |field: &&String| reader.read(field).is_none();
            let told = |field: &String| {
                let shown: String = field.chars().take(100).collect();
                let told = told.with("field", shown);
                Problem::warning(rule.line, told.with("most", MAX_EXPRESSIONS.to_string()))
            };
            for field in fields.into_iter().filter(bad) {
                found.push(told(field));
            }
            if self.mode == MatchMode::Regex {
                continue;
            }
            let plain = |text: &str| !text.contains(['*', '?', '[', '{']);
            if plain(&rule.resource) && Resource::parse(&rule.resource).is_none() {
                let message = message::rbac::RESOURCE.with("resource", &rule.resource);
                found.push(Problem::warning(
                    rule.line,
                    message.with("known", Resource::WORDS.join(", ")),
                ));
            }
            let verb = rule.action.split('/').next().unwrap_or_default();
            if plain(verb) && Action::parse(verb).is_none() && verb != "rollback" {
                let message = message::rbac::ACTION.with("action", &rule.action);
                found.push(Problem::warning(
                    rule.line,
                    message.with("known", Action::WORDS.join(", ")),
                ));
            }
            let scoped = matches!(
                rule.resource.as_str(),
                "applications" | "applicationsets" | "logs" | "exec"
            );
            if scoped && rule.object != "*" && !rule.object.contains('/') {
                let message = message::rbac::OBJECT.with("object", &rule.object);
                found.push(Problem::warning(rule.line, message));
            }
        }
    }
}

/// What is found in a policy. A policy may have tens of thousands of lines, each of them wrong, and nobody reads so many problems.
#[derive(Default)]
struct Problems {
    errors: Counted,
    warnings: Counted,
}

/// The first problems, and how many there are.
#[derive(Default)]
struct Counted {
    first: Vec<Problem>,
    count: usize,
}

impl Problems {
    fn push(&mut self, problem: Problem) {
        let alike = match problem.fatal {
            true => &mut self.errors,
            false => &mut self.warnings,
        };
        alike.count += 1;
        if alike.first.len() < MAX_PROBLEMS {
            alike.first.push(problem);
        }
    }

    /// By line, and how many more there are at the end. That is an error where errors are among them.
    fn told(self) -> Vec<Problem> {
        let Self { errors, warnings } = self;
        let count = errors.count + warnings.count;
        let fatal = errors.count > errors.first.len();
        let mut told = errors.first;
        told.extend(warnings.first);
        told.truncate(MAX_PROBLEMS);
        told.sort_by_key(|problem| problem.line);
        let more = count - told.len();
        if more > 0 {
            told.push(Problem {
                line: 0,
                message: message::rbac::MORE.with("count", more),
                fatal,
            });
        }
        told
    }
}

enum Line {
    Rule(Rule),
    Grouping(Grouping),
}

fn parse_line(number: u32, text: &str) -> Result<Option<Line>, Message> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let fields = fields(text).ok_or_else(|| message::rbac::QUOTES.with("line", text))?;
    let fields: Vec<&str> = fields.iter().map(|field| field.trim()).collect();
    match fields.as_slice() {
        ["p", subject, resource, action, object, effect] => {
            if subject.is_empty() {
                return Err(message::rbac::EMPTY_SUBJECT.message());
            }
            let effect = match *effect {
                "allow" => Effect::Allow,
                "deny" => Effect::Deny,
                _ => Effect::Neither,
            };
            Ok(Some(Line::Rule(Rule {
                line: number,
                subject: (*subject).to_owned(),
                resource: (*resource).to_owned(),
                action: (*action).to_owned(),
                object: (*object).to_owned(),
                effect,
            })))
        }
        ["g", member, role] => {
            if member.is_empty() || role.is_empty() {
                return Err(message::rbac::EMPTY_SUBJECT.message());
            }
            Ok(Some(Line::Grouping(Grouping {
                line: number,
                member: (*member).to_owned(),
                role: (*role).to_owned(),
            })))
        }
        ["p", ..] => Err(message::rbac::RULE_SHAPE.with("line", text)),
        ["g", ..] => Err(message::rbac::GROUPING_SHAPE.with("line", text)),
        [first, ..] => Err(message::rbac::LINE_KIND.with("kind", first)),
        [] => Ok(None),
    }
}

/// The fields of a line of CSV, quotes taken off. `None` when a quote never ends, or stands in the middle of a field.
fn fields(text: &str) -> Option<Vec<String>> {
    let mut all = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut field = String::new();
            let mut tail = quoted;
            loop {
                let (before, after) = tail.split_once('"')?;
                field.push_str(before);
                match after.strip_prefix('"') {
                    Some(more) => {
                        field.push('"');
                        tail = more;
                    }
                    None => {
                        tail = after;
                        break;
                    }
                }
            }
            all.push(field);
            match tail.strip_prefix(',') {
                Some(more) => rest = more,
                None if tail.is_empty() => return Some(all),
                None => return None,
            }
        } else {
            let (field, more) = match rest.split_once(',') {
                Some((field, more)) => (field, Some(more)),
                None => (rest, None),
            };
            if field.contains('"') {
                return None;
            }
            all.push(field.to_owned());
            match more {
                Some(more) => rest = more,
                None => return Some(all),
            }
        }
    }
}

/// `scopes` is a list in YAML's flow form: `[groups, email]`.
fn parse_scopes(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(vec![DEFAULT_SCOPE.to_owned()]);
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    Some(
        inner
            .split(',')
            .map(|scope| scope.trim().trim_matches(['"', '\'']).to_owned())
            .filter(|scope| !scope.is_empty())
            .collect(),
    )
}

/// The roles of a project, as far as rights go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProjectPolicy {
    /// The project.
    pub project: String,
    /// Its roles.
    pub roles: Vec<Role>,
}

/// One role of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Its policies, each a line.
    pub policies: Vec<String>,
    /// The groups that have it.
    pub groups: Vec<String>,
}

/// What the roles of a project say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleLines {
    /// The rules, each with its role's position among the project's.
    pub rules: Vec<(usize, Rule)>,
    /// Which groups have which role.
    pub groupings: Vec<Grouping>,
}

impl ProjectPolicy {
    /// The rules and groupings of its roles.
    ///
    /// # Errors
    /// What is wrong with the first line that cannot be read. The whole project's policy then counts for nothing.
    pub fn parse(&self) -> Result<RoleLines, Message> {
        let RoleLines {
            mut rules,
            mut groupings,
        } = RoleLines::default();
        for (index, role) in self.roles.iter().enumerate() {
            let subject = format!("proj:{}:{}", self.project, role.name);
            rules.push((
                index,
                Rule {
                    line: 0,
                    subject: subject.clone(),
                    resource: "projects".to_owned(),
                    action: "get".to_owned(),
                    object: self.project.clone(),
                    effect: Effect::Allow,
                },
            ));
            for (position, text) in (1_u32..).zip(&role.policies) {
                match parse_line(position, text)? {
                    Some(Line::Rule(rule)) => rules.push((index, rule)),
                    Some(Line::Grouping(grouping)) => groupings.push(grouping),
                    None => {}
                }
            }
            for group in &role.groups {
                if group.is_empty() {
                    return Err(message::rbac::EMPTY_SUBJECT.message());
                }
                groupings.push(Grouping {
                    line: 0,
                    member: group.clone(),
                    role: subject.clone(),
                });
            }
        }
        Ok(RoleLines { rules, groupings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(csv: &str) -> Vec<(u32, String)> {
        Policy::check(csv, "", "", "")
            .into_iter()
            .map(|problem| (problem.line, problem.message.code))
            .collect()
    }

    #[test]
    fn lines_comments_and_quotes() {
        let csv = "# who\n\np, role:dev, applications, *, dev/*, allow\n g, \"a, b\", role:dev\n\
                   p, \"say \"\"hi\"\"\", logs, get, */*, allow\n";
        let policy = Policy::parse(csv, " role:readonly ", "[groups, 'email']", "").unwrap();
        assert_eq!(policy.rules[0].line, 3);
        assert_eq!(policy.groupings[0].member, "a, b");
        assert_eq!(policy.rules[1].subject, "say \"hi\"");
        assert_eq!(policy.rules[1].effect, Effect::Allow);
        assert_eq!(policy.default_role, "role:readonly");
        assert_eq!(policy.scopes, ["groups", "email"]);
    }

    #[test]
    fn every_error_names_its_line() {
        let csv = "p, a, applications, get, */*, allow\nx, a, b\np, a, applications\ng, a\np, , logs, get, */*, allow\n\
                   p, \"a, logs, get\ng, , role:admin\np, a, logs, get, */*";
        assert_eq!(
            problems(csv),
            [
                (2, "rbac.line-kind".to_owned()),
                (3, "rbac.rule-shape".to_owned()),
                (4, "rbac.grouping-shape".to_owned()),
                (5, "rbac.empty-subject".to_owned()),
                (6, "rbac.quotes".to_owned()),
                (7, "rbac.empty-subject".to_owned()),
                (8, "rbac.rule-shape".to_owned()),
            ]
        );
        assert_eq!(Policy::parse(csv, "", "", "").unwrap_err().len(), 7);
    }

    #[test]
    fn what_is_surely_not_meant_is_a_warning() {
        let csv = "p, a, application, get, */*, allow\np, a, applications, fetch, */*, allow\n\
                   p, a, applications, get, default, allow\np, a, logs, get, */*, permit\n\
                   p, a, applications, action/apps/Deployment/restart, x/*, allow\np, a, *, *, *, allow";
        assert_eq!(
            problems(csv),
            [
                (1, "rbac.resource".to_owned()),
                (2, "rbac.action".to_owned()),
                (3, "rbac.object".to_owned()),
                (4, "rbac.effect".to_owned()),
            ]
        );
        assert!(Policy::parse(csv, "", "", "").is_ok());
        assert_eq!(
            Policy::check("", "", "groups", "")[0].message.code,
            "rbac.scopes"
        );
        assert_eq!(
            Policy::check("", "", "", "exact")[0].message.code,
            "rbac.match-mode"
        );
        let bombs = "{}".repeat(10_000);
        assert_eq!(
            problems(&format!("p, a, applications, get, {bombs}/*, deny"))[0],
            (1, "rbac.pattern".to_owned())
        );
        let long = "p, a, applications, get, */*, allow\n".repeat(10_000);
        assert_eq!(
            Policy::parse(&long, "", "", "").unwrap_err()[0]
                .message
                .code,
            "rbac.too-long"
        );
        let regex = Policy::check("p, a, (, get, .*, allow", "", "", "regex");
        assert_eq!(regex[0].message.code, "rbac.expression");
    }

    #[test]
    fn of_very_many_problems_the_first_are_told_and_errors_before_warnings() {
        let told = |csv: &str| {
            let problems = Policy::check(csv, "", "", "");
            let more = problems.iter().find(|problem| problem.line == 0);
            let more = more.map(|more| (more.message.arguments["count"].clone(), more.fatal));
            let errors = problems.iter().filter(|problem| problem.fatal).count();
            (problems.len(), errors, more)
        };
        let doubtful = "p, a, applications, fetch, */*, allow\n";
        assert_eq!(told(&doubtful.repeat(100)), (100, 0, None));
        let more = |count: &str, fatal| Some((count.to_owned(), fatal));
        assert_eq!(told(&doubtful.repeat(103)), (101, 0, more("3", false)));
        // What makes the policy unusable comes last, and is told.
        let mixed = format!("{}x\nx\n", doubtful.repeat(103));
        assert_eq!(told(&mixed), (101, 2, more("5", false)));
        let last = Policy::check(&mixed, "", "", "").pop().unwrap();
        assert_eq!(last.message.code, "rbac.more", "at the end");
        let wrong = "x\n".repeat(50_000);
        assert_eq!(told(&wrong), (101, 101, more("49900", true)));
        let refused = Policy::parse(&wrong, "", "", "").unwrap_err();
        assert_eq!(refused.len(), 101);
        assert_eq!(refused[0].line, 1);
        let refused = Policy::parse(&mixed, "", "", "").unwrap_err();
        let lines: Vec<u32> = refused.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [104, 105], "warnings are no reason");
    }
}
