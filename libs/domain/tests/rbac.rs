//! Argo CD's documented examples of rights, and what must hold for every policy.

use domain::rbac::{Enforcer, Origin, Policy, ProjectPolicy, Role, Subject};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

fn enforcer(csv: &str, default_role: &str, mode: &str) -> Enforcer {
    let policy = Policy::parse(csv, default_role, "", mode).expect("a policy");
    Enforcer::compile(&policy, &[]).0
}

fn user(name: &str, groups: &[&str]) -> Subject {
    Subject::Account {
        name: name.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

fn project(name: &str, role: &str, policies: &[&str], groups: &[&str]) -> ProjectPolicy {
    let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect();
    ProjectPolicy {
        project: name.to_owned(),
        roles: vec![Role {
            name: role.to_owned(),
            policies: texts(policies),
            groups: texts(groups),
        }],
    }
}

#[test]
fn every_object_is_allowed_where_all_are_and_none_is_denied() {
    let every = |csv: &str, default_role: &str, mode: &str| {
        let rights = enforcer(csv, default_role, mode);
        rights.allows_every(&user("bob", &["team"]), "accounts", "update")
    };
    let all = "p, bob, accounts, update, *, allow";
    assert!(every(all, "", ""));
    assert!(every("p, bob, *, *, *, allow", "", ""));
    assert!(every("p, bob, accounts, up.*, .*, allow", "", "regex"));
    assert!(every("g, bob, role:admin", "", ""));
    assert!(every("g, team, role:admin", "", ""));
    for some in ["?", "a*", "*/*", "admin"] {
        let csv = format!("p, bob, accounts, update, {some}, allow");
        assert!(!every(&csv, "", ""), "{some}");
    }
    for denied in [
        "p, bob, accounts, update, admin, deny",
        "p, bob, a*, u*, a*, deny",
        "g, bob, role:a\ng, role:a, role:b\ng, role:b, role:a\np, role:b, accounts, *, admin, deny",
    ] {
        assert!(!every(&format!("{all}\n{denied}"), "", ""), "{denied}");
        let admin = format!("g, bob, role:admin\n{denied}");
        assert!(!every(&admin, "", ""), "{denied}");
        // As for one object: what one name is denied, another may still be allowed.
        assert!(every(&format!("{denied}\ng, team, role:admin"), "", ""));
        assert!(every(denied, "role:admin", ""));
    }
    for other in [
        "p, bob, accounts, get, admin, deny",
        "p, bob, clusters, update, *, deny",
        "p, carol, accounts, update, *, deny",
    ] {
        assert!(every(&format!("{all}\n{other}"), "", ""), "{other}");
    }
}

#[test]
fn nobody_but_admin_has_a_right_without_a_policy() {
    let rights = enforcer("", "", "");
    let admin = Subject::account("admin");
    for (resource, action, object) in [
        ("applications", "get", "default/a"),
        ("applications", "sync", "default/a"),
        (
            "applications",
            "delete/apps/Deployment/ns/name",
            "default/a",
        ),
        (
            "applications",
            "action/apps/Deployment/restart",
            "default/a",
        ),
        ("exec", "create", "default/a"),
        ("logs", "get", "default/a"),
        ("accounts", "update", "somebody"),
        ("gpgkeys", "delete", "k"),
    ] {
        assert!(
            rights.allows(&admin, resource, action, object),
            "{resource} {action}"
        );
        assert!(!rights.allows(&Subject::account("bob"), resource, action, object));
        assert!(!rights.allows(&Subject::Anonymous, resource, action, object));
    }
    assert!(!rights.allows(&admin, "extensions", "invoke", "x"));
    assert!(!rights.allows(&admin, "accounts", "delete", "x"));
}

#[test]
fn a_denial_that_is_no_pattern_denies_everything() {
    for (mode, all, bad) in [("", "*", "{p/secret"), ("regex", ".*", "(p/secret")] {
        let csv = format!(
            "p, bob, applications, {all}, {all}, allow\np, bob, applications, {all}, {bad}, deny\n\
             p, eve, applications, {all}, {bad}, allow"
        );
        let rights = enforcer(&csv, "", mode);
        for name in ["bob", "eve"] {
            let subject = Subject::account(name);
            assert!(
                !rights.allows(&subject, "applications", "get", "p/a"),
                "{name}"
            );
        }
    }
}

#[test]
fn the_default_role_is_everybodys_and_cannot_be_denied() {
    let rights = enforcer("p, bob, applications, get, */*, deny", "role:readonly", "");
    assert!(rights.allows(&Subject::account("bob"), "applications", "get", "p/a"));
    assert!(rights.allows(&Subject::Anonymous, "applications", "get", "p/a"));
    assert!(rights.allows(
        &Subject::project_role("p", "ci"),
        "applications",
        "get",
        "p/a"
    ));
    assert!(!rights.allows(&Subject::account("bob"), "applications", "sync", "p/a"));
}

#[test]
fn the_documented_example_of_an_organisation() {
    let rights = enforcer(
        "p, role:org-admin, applications, *, */*, allow\n\
         p, role:org-admin, clusters, get, *, allow\n\
         p, role:org-admin, repositories, get, *, allow\n\
         p, role:org-admin, logs, get, *, allow\n\
         p, role:org-admin, exec, create, */*, allow\n\
         g, your-github-org:your-team, role:org-admin",
        "",
        "",
    );
    let member = user("x", &["other", "your-github-org:your-team"]);
    assert!(rights.allows(&member, "applications", "delete", "any/app"));
    assert!(rights.allows(&member, "logs", "get", "any/app"));
    assert!(!rights.allows(&member, "clusters", "update", "https://c"));
    assert!(!rights.allows(&user("x", &["other"]), "applications", "get", "any/app"));
    assert!(
        !rights.allows(
            &user("x", &["role:admin2"]),
            "applications",
            "get",
            "any/app"
        ),
        "a group that no line names is nothing"
    );
}

#[test]
fn a_claim_to_be_a_role_gives_only_what_lines_give_that_group() {
    // `role:admin` occurs as a member in the built-in policy, as it does in Argo CD: whoever issues groups decides.
    let rights = enforcer("", "", "");
    assert!(!rights.allows(&user("x", &["admins", ""]), "applications", "get", "p/a"));
}

#[test]
fn deny_wins_and_update_does_not_reach_below_the_application() {
    let rights = enforcer(
        "p, dev, applications, *, default/*, allow\n\
         p, dev, applications, delete, default/prod-app, deny\n\
         p, ops, applications, update, default/*, allow\n\
         p, pods, applications, delete/*/Pod/*/*, default/prod-app, allow\n\
         p, scale, applications, action/apps/Deployment/*, default/*, allow",
        "",
        "",
    );
    let may = |who: &str, action: &str, object: &str| {
        rights.allows(&Subject::account(who), "applications", action, object)
    };
    assert!(may("dev", "delete", "default/app") && !may("dev", "delete", "default/prod-app"));
    assert!(
        may("dev", "delete/apps/Deployment/ns/x", "default/prod-app"),
        "`*` crosses slashes"
    );
    assert!(
        may("ops", "update", "default/a")
            && !may("ops", "update/apps/Deployment/ns/x", "default/a")
    );
    assert!(may("pods", "delete//Pod/ns/x", "default/prod-app"));
    assert!(!may(
        "pods",
        "delete/apps/Deployment/ns/x",
        "default/prod-app"
    ));
    assert!(may("scale", "action/apps/Deployment/restart", "default/a"));
    assert!(!may(
        "scale",
        "action/apps/StatefulSet/restart",
        "default/a"
    ));
}

#[test]
fn roles_are_inherited_through_any_number_of_roles_even_in_a_circle() {
    let rights = enforcer(
        "g, alice, team\ng, team, role:a\ng, role:a, role:b\ng, role:b, role:a\np, role:b, projects, get, x, allow",
        "",
        "",
    );
    let alice = Subject::account("alice");
    assert!(rights.allows(&alice, "projects", "get", "x"));
    assert!(!rights.allows(&alice, "projects", "get", "y"));
    let told = rights.explain(&alice, "projects", "get", "x");
    assert_eq!(told.path, ["alice", "team", "role:a", "role:b"]);
    assert_eq!(told.origin, Some(Origin::Policy(5)));
    assert_eq!(told.rule, "p, role:b, projects, get, x, allow");
}

#[test]
fn regular_expressions_when_asked_for_and_the_built_in_roles_all_the_same() {
    let rights = enforcer(
        "p, dev, ^applications$, get|sync, ^team-[0-9]+/.*$, allow",
        "",
        "regex",
    );
    let dev = Subject::account("dev");
    assert!(rights.allows(&dev, "applications", "sync", "team-7/a"));
    assert!(!rights.allows(&dev, "applications", "sync", "team-x/a"));
    assert!(rights.allows(
        &Subject::account("admin"),
        "applications",
        "sync",
        "team-x/a"
    ));
}

#[test]
fn a_projects_role_counts_in_its_project_alone() {
    let team = project(
        "team",
        "ci",
        &["p, proj:team:ci, applications, sync, team/*, allow"],
        &["builders"],
    );
    let other = project("other", "ci", &[], &[]);
    let policy = Policy::parse(
        "p, proj:team:ci, applications, get, other/*, allow",
        "",
        "",
        "",
    )
    .unwrap();
    let (rights, problems) = Enforcer::compile(&policy, &[team, other]);
    assert!(problems.is_empty());
    let ci = Subject::project_role("team", "ci");
    assert!(rights.allows(&ci, "applications", "sync", "team/a"));
    assert!(
        rights.allows(&ci, "projects", "get", "team"),
        "every role sees its project"
    );
    assert!(!rights.allows(&ci, "projects", "get", "other"));
    assert!(
        !rights.allows(&ci, "applications", "get", "other/a"),
        "whatever the policy says"
    );
    assert!(!rights.allows(
        &Subject::project_role("team", "cd"),
        "applications",
        "sync",
        "team/a"
    ));
    let builder = user("x", &["builders"]);
    assert!(rights.allows(&builder, "applications", "sync", "team/a"));
    assert!(!rights.allows(&builder, "applications", "sync", "other/a"));
    let told = rights.explain(&builder, "applications", "sync", "team/a");
    assert_eq!(told.path, ["builders", "proj:team:ci"]);
    assert_eq!(
        told.origin,
        Some(Origin::Role {
            project: "team".into(),
            role: "ci".into(),
            position: Some(1)
        })
    );
}

#[test]
fn a_project_cannot_use_up_what_the_lines_of_others_need() {
    let many: Vec<String> = (0..1000)
        .map(|n| format!("p, proj:greedy:r, applications, get|x{n}.*, greedy/.*, allow"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let modest = "p, proj:modest:r, applications, get|sync, modest/a+, allow";
    let policy = Policy::parse("", "", "", "regex").unwrap();
    let projects = [
        project("greedy", "r", &many, &[]),
        project("modest", "r", &[modest], &[]),
    ];
    let (rights, _) = Enforcer::compile(&policy, &projects);
    let subject = Subject::project_role("modest", "r");
    assert!(rights.allows(&subject, "applications", "sync", "modest/aa"));
}

#[test]
fn a_projects_policies_that_cannot_be_read_count_for_nothing() {
    let broken = project("team", "ci", &["nonsense"], &[]);
    let (rights, problems) = Enforcer::compile(&Policy::default(), &[broken]);
    assert_eq!(problems.len(), 1);
    assert!(!rights.allows(
        &Subject::project_role("team", "ci"),
        "projects",
        "get",
        "team"
    ));
    assert!(rights.allows(&Subject::account("admin"), "applications", "get", "team/a"));
}

/// One line of the slow reading below.
struct Line {
    subject: String,
    resource: String,
    action: String,
    object: String,
    deny: bool,
}

/// The definition, read slowly: some line that one reaches allows, and none denies.
fn slowly(lines: &[Line], links: &[(String, String)], who: &str, asked: [&str; 3]) -> bool {
    let mut reached = vec![who.to_owned()];
    let mut at = 0;
    while at < reached.len() {
        for (member, role) in links {
            if *member == reached[at] && !reached.contains(role) {
                reached.push(role.clone());
            }
        }
        at += 1;
    }
    let hit = |line: &&Line| {
        reached.contains(&line.subject)
            && domain::glob::glob(&line.resource, asked[0])
            && domain::glob::glob(&line.action, asked[1])
            && domain::glob::glob(&line.object, asked[2])
    };
    let hits: Vec<&Line> = lines.iter().filter(hit).collect();
    hits.iter().any(|line| !line.deny) && hits.iter().all(|line| !line.deny)
}

#[test]
fn the_compiled_policy_says_what_the_definition_says() {
    const WHO: &[&str] = &["a", "b", "role:x", "role:y", "team"];
    const RESOURCES: &[&str] = &["applications", "projects", "logs", "*", "app*"];
    const ACTIONS: &[&str] = &["get", "sync", "*", "delete/*", "delete"];
    const OBJECTS: &[&str] = &["p/a", "p/*", "*/*", "*", "p", "{p,q}/a", "?/b"];
    let mut rng = StdRng::seed_from_u64(20_261_126);
    for _ in 0..300 {
        let pick = |rng: &mut StdRng, from: &[&str]| (*from.choose(rng).unwrap()).to_owned();
        let lines: Vec<Line> = (0..rng.random_range(0..8))
            .map(|_| Line {
                subject: pick(&mut rng, WHO),
                resource: pick(&mut rng, RESOURCES),
                action: pick(&mut rng, ACTIONS),
                object: pick(&mut rng, OBJECTS),
                deny: rng.random_bool(0.3),
            })
            .collect();
        let links: Vec<(String, String)> = (0..rng.random_range(0..5))
            .map(|_| (pick(&mut rng, WHO), pick(&mut rng, WHO)))
            .collect();
        let mut csv = String::new();
        for line in &lines {
            let effect = if line.deny { "deny" } else { "allow" };
            csv += &format!(
                "p, {}, {}, {}, \"{}\", {effect}\n",
                line.subject, line.resource, line.action, line.object
            );
        }
        for (member, role) in &links {
            csv += &format!("g, {member}, {role}\n");
        }
        let rights = enforcer(&csv, "", "");
        for who in WHO {
            for resource in ["applications", "projects", "logs"] {
                for action in ["get", "sync", "delete", "delete/x"] {
                    for object in ["p/a", "q/a", "q/b", "p"] {
                        let subject = Subject::account(*who);
                        let fast = rights.allows(&subject, resource, action, object);
                        let told = rights.explain(&subject, resource, action, object);
                        assert_eq!(
                            fast,
                            slowly(&lines, &links, who, [resource, action, object]),
                            "{who} {resource} {action} {object}\n{csv}"
                        );
                        assert_eq!(fast, told.allowed);
                    }
                }
            }
        }
    }
}
