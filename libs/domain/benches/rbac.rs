//! How long a decision takes: the admin's, one through groups and a project's role, and a refusal, in a policy of a
//! thousand lines and a hundred projects. The aim is five microseconds.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::Criterion;
use domain::rbac::{Enforcer, Policy, ProjectPolicy, Role, Subject};

fn enforcer() -> Enforcer {
    let mut csv = String::new();
    for team in 0..250 {
        let _ = write!(
            csv,
            "p, role:team-{team}, applications, *, team-{team}/*, allow\n\
             p, role:team-{team}, applications, delete, team-{team}/prod-*, deny\n\
             p, role:team-{team}, logs, get, team-{team}/*, allow\n\
             g, group-{team}, role:team-{team}\n"
        );
    }
    let projects: Vec<ProjectPolicy> = (0..100)
        .map(|number| ProjectPolicy {
            project: format!("team-{number}"),
            roles: vec![Role {
                name: "ci".to_owned(),
                policies: vec![format!(
                    "p, proj:team-{number}:ci, applications, sync, team-{number}/*, allow"
                )],
                groups: vec![format!("builders-{number}")],
            }],
        })
        .collect();
    let policy = Policy::parse(&csv, "", "", "").unwrap_or_default();
    Enforcer::compile(&policy, &projects).0
}

fn decisions(c: &mut Criterion) {
    let rights = enforcer();
    let admin = Subject::account("admin");
    let member = Subject::Account {
        name: "x".to_owned(),
        groups: (0..20).map(|team| format!("group-{team}")).collect(),
    };
    let role = Subject::project_role("team-7", "ci");
    let mut ask = |name: &str, subject: &Subject, action: &str, object: &str| {
        c.bench_function(name, |b| {
            b.iter(|| {
                rights.allows(
                    black_box(subject),
                    "applications",
                    action,
                    black_box(object),
                )
            });
        });
    };
    ask("admin", &admin, "sync", "team-7/app");
    ask("twentieth group", &member, "sync", "team-19/app");
    ask("project role", &role, "sync", "team-7/app");
    ask("refused", &member, "sync", "team-90/app");
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    decisions(&mut criterion);
    criterion.final_summary();
}
