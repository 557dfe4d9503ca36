//! Projects from outside: what no way of writing one hands out, and what no pattern does to the api.

use anyhow::Result;
use domain::project::Project;
use serde_json::{Value, json};

use crate::house::{Answer, House, ONE};

const PROJECTS: &str = "/api/v1/projects";

/// Somebody who may change projects, and one repository and one cluster.
async fn keeper(house: &House) -> Result<String> {
    let admin = house.admin(ONE).await?;
    let policy = "p, kim, projects, *, *, allow\np, kim, repositories, update, https://git.example/own/*, allow\n\
                  p, kim, clusters, update, https://own.example, allow\n";
    let changes = [
        ("argocd-cm", "accounts.kim", json!("login")),
        ("argocd-rbac-cm", "policy.csv", json!(policy)),
    ];
    assert_eq!(house.set(ONE, &admin, &changes).await?.0, 200);
    let body = json!({"name": "kim", "newPassword": "a-new-password", "currentPassword": "password-user01"});
    let path = "/api/v1/account/password";
    let (status, answer) = house.call("PUT", ONE, path, &admin, Some(body)).await?;
    assert_eq!(status, 200, "{answer}");
    house.log_in(ONE, "kim", "a-new-password").await
}

async fn upsert(house: &House, token: &str, spec: Value) -> Result<Answer> {
    let body = json!({"upsert": true, "project": {"metadata": {"name": "own"}, "spec": spec}});
    house.call("POST", ONE, PROJECTS, token, Some(body)).await
}

#[tokio::test]
async fn a_project_that_is_replaced_hands_out_no_more_than_one_that_is_changed() -> Result<()> {
    let house = House::open().await?;
    let kim = keeper(&house).await?;
    let own = json!({
        "sourceRepos": ["https://git.example/own/app"],
        "destinations": [{"server": "https://own.example", "namespace": "*"}],
    });
    let (status, made) = upsert(&house, &kim, own.clone()).await?;
    assert_eq!(status, 200, "{made}");

    let with = |key: &str, value: Value| {
        let mut spec = own.clone();
        spec[key] = value;
        spec
    };
    let more = with(
        "sourceRepos",
        json!(["https://git.example/own/app", "https://git.example/own/b"]),
    );
    assert_eq!(upsert(&house, &kim, more).await?.0, 200);
    for (spec, wanted) in [
        (
            with("sourceRepos", json!(["https://git.example/other"])),
            "repositories, update, https://git.example/other",
        ),
        (
            with(
                "destinations",
                json!([{"server": "https://other.example", "namespace": "*"}]),
            ),
            "clusters, update, https://other.example",
        ),
        (
            with(
                "destinations",
                json!([{"name": "in-cluster", "namespace": "*"}]),
            ),
            "clusters, update, https://kubernetes.default.svc",
        ),
        (
            with("destinations", json!([{"name": "*", "namespace": "*"}])),
            "clusters, update, *",
        ),
    ] {
        let (status, told) = upsert(&house, &kim, spec).await?;
        assert_eq!(status, 403, "{told}");
        assert!(
            told["message"]
                .as_str()
                .is_some_and(|text| text.contains(wanted)),
            "{told}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_pattern_that_is_none_is_refused_wherever_it_is_sent() -> Result<()> {
    let house = House::open().await?;
    let admin = house.admin(ONE).await?;
    let bomb = "{}".repeat(30_000);
    for spec in [
        json!({"sourceRepos": ["*", "!https://git.example/{secret"]}),
        json!({"sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": format!("!{bomb}")}]}),
        json!({"sourceRepos": ["*"], "namespaceResourceBlacklist": [{"group": "*", "kind": bomb}]}),
    ] {
        let (status, told) = upsert(&house, &admin, spec).await?;
        assert_eq!(status, 400, "{told}");
        assert!(
            told["message"]
                .as_str()
                .is_some_and(|text| text.contains("has an invalid format, '")),
            "{told}"
        );
    }

    let line = format!("p, bob, applications, get, {bomb}/*, allow");
    let explain = json!({"subject": "bob", "resource": "applications", "action": "get", "object": "p/a",
        "policy": {"policy_csv": line}});
    let path = "/api/naru/v1/rbac/explain";
    let (status, told) = house.call("POST", ONE, path, &admin, Some(explain)).await?;
    assert_eq!((status, &told["allowed"]), (200, &json!(false)), "{told}");
    let validate = json!({"policy": {"policy_csv": line}});
    let path = "/api/naru/v1/rbac/validate";
    let (status, told) = house
        .call("POST", ONE, path, &admin, Some(validate))
        .await?;
    assert_eq!(
        (status, &told["problems"][0]["code"]),
        (200, &json!("rbac.pattern")),
        "{told}"
    );
    let long = "p, bob, applications, get, */*, allow\n".repeat(10_000);
    let (status, told) = house
        .set(
            ONE,
            &admin,
            &[("argocd-rbac-cm", "policy.csv", json!(long))],
        )
        .await?;
    assert_eq!(status, 400, "{told}");
    assert!(
        told["message"]
            .as_str()
            .is_some_and(|text| text.contains("262144 bytes")),
        "{told}"
    );
    Ok(())
}

#[tokio::test]
async fn a_project_with_too_many_patterns_is_refused_and_a_stored_one_can_be_mended() -> Result<()>
{
    let house = House::open().await?;
    let admin = house.admin(ONE).await?;
    let spec = |count: usize| {
        let sources = (0..count).map(|n| format!("https://git.example/{n}"));
        json!({"sourceRepos": sources.collect::<Vec<_>>()})
    };
    let (status, told) = upsert(&house, &admin, spec(2_001)).await?;
    assert_eq!(status, 400, "{told}");
    assert!(
        told["message"]
            .as_str()
            .is_some_and(|text| text.contains("at most 2000 patterns")),
        "{told}"
    );
    // One from before they were counted.
    let stored = Project {
        metadata: json!({"name": "own", "uid": "made-before"}),
        spec: spec(2_001),
        resource_version: 0,
    };
    let scope = house.tenant("user01").await?;
    scope.projects().create(&stored).await?;
    let path = format!("{PROJECTS}/own");
    let (status, shown) = house.get(ONE, &path, &admin).await?;
    assert_eq!(status, 200, "{shown}");
    assert_eq!(shown["spec"]["sourceRepos"], stored.spec["sourceRepos"]);
    let (status, told) = upsert(&house, &admin, spec(2_000)).await?;
    assert_eq!(status, 200, "{told}");
    Ok(())
}

#[tokio::test]
async fn a_projects_token_is_never_made_to_last_by_mistake() -> Result<()> {
    let house = House::open().await?;
    let admin = house.admin(ONE).await?;
    let spec = json!({"sourceRepos": ["*"], "roles": [{"name": "ci"}]});
    assert_eq!(upsert(&house, &admin, spec).await?.0, 200);
    let path = format!("{PROJECTS}/own/roles/ci/token");
    let (status, told) = house
        .call("POST", ONE, &path, &admin, Some(json!({"expiresIn": -1})))
        .await?;
    assert_eq!(status, 400, "{told}");
    assert!(
        told["message"]
            .as_str()
            .is_some_and(|text| text.starts_with("expiresIn must not be negative")),
        "{told}"
    );
    Ok(())
}
