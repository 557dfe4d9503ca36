//! What a right does not reach: the accounts that run the platform, and what another line denies.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::house::{House, ONE, OPERATOR};

const PASSWORD: &str = "/api/v1/account/password";
const SETTINGS: &str = "/api/naru/v1/settings";

fn said(answer: &(u16, Value)) -> &str {
    answer.1["message"].as_str().unwrap_or_default()
}

/// An account of the first tenant with a key of its own, and this policy.
async fn with_policy(house: &House, admin: &str, name: &str, policy: &str) -> Result<String> {
    let changes = [
        (
            "argocd-cm",
            format!("accounts.{name}"),
            json!("login, apiKey"),
        ),
        ("argocd-rbac-cm", "policy.csv".to_owned(), json!(policy)),
    ];
    let changes: Vec<_> = changes
        .iter()
        .map(|(object, key, value)| (*object, key.as_str(), value.clone()))
        .collect();
    let set = house.set(ONE, admin, &changes).await?;
    anyhow::ensure!(set.0 == 200, "{}", set.1);
    let path = format!("/api/v1/account/{name}/token");
    let (status, made) = house.call("POST", ONE, &path, admin, None).await?;
    anyhow::ensure!(status == 200, "{made}");
    Ok(made["token"].as_str().context("no token")?.to_owned())
}

#[tokio::test]
async fn only_an_operator_changes_the_accounts_that_run_the_platform() -> Result<()> {
    let house = House::open().await?;
    let set = async |token: &str, changes: &[(&str, &str, Value)]| {
        house.set(OPERATOR, token, changes).await
    };
    // Every right that the operator's own tenant can give, and not the grant.
    let made = set(
        &house.operator,
        &[
            ("argocd-cm", "accounts.mallory", json!("login")),
            ("argocd-cm", "accounts.trudy", json!("login, apiKey")),
            ("argocd-cm", "accounts.admin", json!("login, apiKey")),
            (
                "argocd-rbac-cm",
                "policy.csv",
                json!("g, mallory, role:admin"),
            ),
        ],
    )
    .await?;
    assert_eq!(made.0, 200, "{}", made.1);
    let password = async |token: &str, current: &str, name: &str| {
        let body =
            json!({"currentPassword": current, "newPassword": "mallorys-word", "name": name});
        house
            .call("PUT", OPERATOR, PASSWORD, token, Some(body))
            .await
    };
    let given = password(&house.operator, "operator-password", "mallory").await?;
    assert_eq!(given.0, 200, "{}", given.1);
    let mallory = house.log_in(OPERATOR, "mallory", "mallorys-word").await?;
    let path = "/api/v1/account/admin/token";
    let key = |id: &str| Some(json!({"id": id}));
    let own = house
        .call("POST", OPERATOR, path, &house.operator, key("own"))
        .await?;
    assert_eq!(own.0, 200, "{}", own.1);

    let hash = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
    let mut refused = vec![
        (
            "the password",
            password(&mallory, "mallorys-word", "admin").await?,
        ),
        (
            "a token",
            house
                .call("POST", OPERATOR, path, &mallory, key("stolen"))
                .await?,
        ),
        (
            "the end of a token",
            house
                .call("DELETE", OPERATOR, &format!("{path}/own"), &mallory, None)
                .await?,
        ),
    ];
    for (object, key, value) in [
        ("argocd-secret", "admin.password", json!(hash)),
        (
            "argocd-secret",
            "admin.passwordMtime",
            json!("2020-01-01T00:00:00Z"),
        ),
        (
            "argocd-secret",
            "admin.tokens",
            json!(r#"[{"id":"stolen","iat":1}]"#),
        ),
        ("argocd-cm", "admin.enabled", json!("false")),
        ("argocd-cm", "accounts.admin", Value::Null),
    ] {
        refused.push((key, set(&mallory, &[(object, key, value)]).await?));
    }
    for (what, answer) in &refused {
        assert_eq!(answer.0, 403, "{what}: {}", answer.1);
        assert!(said(answer).contains("`admin`"), "{what}: {}", answer.1);
    }

    // Its rights reach everybody else, and the operator's reach its own account.
    let other = password(&mallory, "mallorys-word", "trudy").await?;
    assert_eq!(other.0, 200, "{}", other.1);
    let off = [("argocd-cm", "accounts.trudy.enabled", json!("false"))];
    assert_eq!(set(&mallory, &off).await?.0, 200);
    let path = format!("{path}/own");
    let ended = house
        .call("DELETE", OPERATOR, &path, &house.operator, None)
        .await?;
    assert_eq!(ended.0, 200, "{}", ended.1);
    let gone = [
        ("argocd-cm", "accounts.mallory", Value::Null),
        ("argocd-cm", "accounts.trudy", Value::Null),
        ("argocd-cm", "accounts.admin", Value::Null),
        ("argocd-rbac-cm", "policy.csv", Value::Null),
    ];
    let ended = set(&house.operator, &gone).await?;
    assert_eq!(ended.0, 200, "{}", ended.1);
    Ok(())
}

#[tokio::test]
async fn whoever_is_denied_one_account_is_no_administrator() -> Result<()> {
    let house = House::open().await?;
    let admin = house.admin(ONE).await?;
    let all = "p, dave, accounts, *, *, allow\np, dave, projects, *, *, allow\n\
               p, dave, clusters, *, *, allow\np, dave, repositories, *, *, allow";
    let dave = with_policy(&house, &admin, "dave", all).await?;
    assert_eq!(house.get(ONE, SETTINGS, &dave).await?.0, 200, "the control");
    for denied in [
        "p, dave, accounts, update, admin, deny",
        "p, dave, *, up*, a*, deny",
        "g, dave, role:kept\np, role:kept, projects, update, payments, deny",
        "p, dave, repositories, update, https://git.example/a, deny",
    ] {
        let policy = [(
            "argocd-rbac-cm",
            "policy.csv",
            json!(format!("{all}\n{denied}")),
        )];
        assert_eq!(house.set(ONE, &admin, &policy).await?.0, 200, "{denied}");
        let enable = [("argocd-cm", "admin.enabled", json!("true"))];
        let changed = house.set(ONE, &dave, &enable).await?;
        assert_eq!(
            (changed.0, said(&changed)),
            (403, "permission denied"),
            "{denied}"
        );
        assert_eq!(house.get(ONE, SETTINGS, &dave).await?.0, 403, "{denied}");
        assert_eq!(house.get(ONE, SETTINGS, &admin).await?.0, 200, "{denied}");
    }
    // What is denied of something else takes nothing away.
    let other = json!(format!("{all}\np, dave, exec, create, */*, deny"));
    let policy = [("argocd-rbac-cm", "policy.csv", other)];
    assert_eq!(house.set(ONE, &admin, &policy).await?.0, 200);
    assert_eq!(house.get(ONE, SETTINGS, &dave).await?.0, 200);
    Ok(())
}

/// A project that only its tenant's admin sees, with a role and a repository.
async fn hidden_project(house: &House, admin: &str) -> Result<()> {
    let project = json!({"project": {"metadata": {"name": "hidden"}, "spec": {
        "sourceRepos": ["*"],
        "destinations": [{"server": "*", "namespace": "*"}],
        "roles": [{
            "name": "ci",
            "policies": [
                "p, proj:hidden:ci, applications, get, hidden/*, allow",
                "p, proj:hidden:ci, applications, sync, hidden/secret-name, deny",
            ],
        }],
    }}});
    let (status, made) = house
        .call("POST", ONE, "/api/v1/projects", admin, Some(project))
        .await?;
    anyhow::ensure!(status == 200, "{made}");
    let scope = house.tenant("user01").await?;
    let repository = domain::repository::Repository {
        url: "https://git.invalid/hidden.git".into(),
        kind: "git".into(),
        name: String::new(),
        project: "hidden".into(),
        credentials: domain::repository::Credentials::default(),
        insecure: false,
        enable_lfs: false,
        options: domain::repository::Options::default(),
    };
    scope.repositories().put(&repository).await?;
    Ok(())
}

#[tokio::test]
async fn the_lines_of_a_project_are_explained_to_who_sees_the_project() -> Result<()> {
    let house = House::open().await?;
    let admin = house.admin(ONE).await?;
    hidden_project(&house, &admin).await?;
    let sees_accounts = "p, erin, accounts, get, *, allow";
    let erin = with_policy(&house, &admin, "erin", sees_accounts).await?;
    let explain = async |token: &str, action: &str, object: &str| {
        let body = json!({
            "subject": "proj:hidden:ci", "resource": "applications", "action": action, "object": object,
        });
        let path = "/api/naru/v1/rbac/explain";
        house.call("POST", ONE, path, token, Some(body)).await
    };
    for (action, object, allowed) in [
        ("get", "hidden/web", true),
        ("sync", "hidden/secret-name", false),
    ] {
        let (status, told) = explain(&admin, action, object).await?;
        assert_eq!(
            (status, &told["origin"], &told["allowed"]),
            (200, &json!("project"), &json!(allowed)),
            "{told}"
        );
        let (status, told) = explain(&erin, action, object).await?;
        let nothing = json!({
            "allowed": allowed, "line": 0, "origin": "", "path": [], "project": "", "role": "", "rule": "",
        });
        assert_eq!((status, &told), (200, &nothing), "{action} {object}");
    }
    // A role is told its own lines.
    let path = "/api/v1/projects/hidden/roles/ci/token";
    let (_, made) = house.call("POST", ONE, path, &admin, None).await?;
    let role = made["token"].as_str().context("no token")?;
    let (_, told) = explain(role, "get", "hidden/web").await?;
    assert_eq!(told["role"], "ci", "{told}");
    Ok(())
}

#[tokio::test]
async fn a_projects_repositories_are_shown_to_who_may_get_them() -> Result<()> {
    let house = House::open().await?;
    let admin = house.admin(ONE).await?;
    hidden_project(&house, &admin).await?;
    let path = "/api/v1/projects/hidden/detailed";
    let shown = async |token: &str| -> Result<Vec<String>> {
        let (status, told) = house.get(ONE, path, token).await?;
        anyhow::ensure!(status == 200, "{told}");
        let all = told["repositories"].as_array().into_iter().flatten();
        Ok(all.map(|one| one["repo"].to_string()).collect())
    };
    assert_eq!(shown(&admin).await?.len(), 1);
    let sees = "p, frank, projects, get, hidden, allow";
    let frank = with_policy(&house, &admin, "frank", sees).await?;
    assert_eq!(shown(&frank).await?, Vec::<String>::new());
    let both = format!("{sees}\np, frank, repositories, get, hidden/*, allow");
    let policy = [("argocd-rbac-cm", "policy.csv", json!(both))];
    assert_eq!(house.set(ONE, &admin, &policy).await?.0, 200);
    assert_eq!(shown(&frank).await?.len(), 1);
    Ok(())
}
