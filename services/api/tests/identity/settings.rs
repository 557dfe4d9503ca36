//! Settings: who may change them, what is refused, and that they count on the next call.

use anyhow::Result;
use serde_json::{Value, json};

use crate::house::{House, ONE, OPERATOR, TWO, claims_of};

const SETTINGS: &str = "/api/naru/v1/settings";

#[tokio::test]
async fn settings_are_validated_then_in_force_on_the_next_call() -> Result<()> {
    let house = House::open().await?;
    let admin = house.admin(ONE).await?;

    let unknown = house
        .set(
            ONE,
            &admin,
            &[("argocd-cm", "users.anonymos.enabled", json!("true"))],
        )
        .await?;
    assert_eq!(
        (unknown.0, unknown.1["message"].as_str().unwrap()),
        (
            400,
            "`argocd-cm` has no key `users.anonymos.enabled`; did you mean `users.anonymous.enabled`?"
        )
    );
    let mixed = [
        ("argocd-cm", "url", json!("https://argocd.user01.example")),
        ("argocd-cm", "exec.enabled", json!("maybe")),
    ];
    assert_eq!(house.set(ONE, &admin, &mixed).await?.0, 400);
    let (_, shown) = house.get(ONE, "/api/v1/settings", &admin).await?;
    assert_eq!(shown["url"], Value::Null, "all or nothing");

    let fine = [
        ("argocd-cm", "url", json!("https://argocd.user01.example")),
        ("argocd-cm", "ui.bannercontent", json!("welcome")),
        ("argocd-cm", "exec.enabled", json!("true")),
        ("argocd-cm", "users.session.duration", json!("1h")),
        ("secret/hook", "token", json!("canary-hook")),
        (
            "argocd-secret",
            "webhook.gitlab.secret",
            json!("$hook:token"),
        ),
    ];
    let (status, changed) = house.set(ONE, &admin, &fine).await?;
    assert_eq!(status, 200, "{changed}");
    assert!(!changed.to_string().contains("canary"), "{changed}");
    let (_, shown) = house.get(ONE, "/api/v1/settings", &admin).await?;
    assert_eq!(shown["url"], "https://argocd.user01.example");
    assert_eq!(
        (&shown["uiBannerContent"], &shown["execEnabled"]),
        (&json!("welcome"), &json!(true))
    );
    let (_, stranger) = house.get(ONE, "/api/v1/settings", "").await?;
    assert_eq!(stranger["uiBannerContent"], Value::Null, "{stranger}");
    let (_, other) = house.get(TWO, "/api/v1/settings", "").await?;
    assert_eq!(other["url"], Value::Null);
    // A login from now on lasts an hour.
    let token = house.admin(ONE).await?;
    let claims = claims_of(&token);
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        3_600
    );

    let (_, all) = house.get(ONE, SETTINGS, &admin).await?;
    assert!(!all.to_string().contains("canary"), "{all}");
    let secret = all["objects"]
        .as_array()
        .unwrap()
        .iter()
        .find(|object| object["name"] == "argocd-secret")
        .unwrap();
    assert!(
        secret["secrets"]["admin.password"]
            .as_str()
            .unwrap()
            .starts_with("hash:")
    );

    // With a version, only while nothing else changed.
    let version = all["resource_version"].as_str().unwrap().to_owned();
    let change = json!({"object": "argocd-cm", "key": "exec.enabled", "value": "false"});
    let with = |version: &str, dry: bool| json!({"changes": [change], "resource_version": version, "dry_run": dry});
    let (status, dry) = house
        .call("PATCH", ONE, SETTINGS, &admin, Some(with(&version, true)))
        .await?;
    assert_eq!(
        (status, &dry["changed"][0]["after"]),
        (200, &json!("false"))
    );
    let (_, same) = house.get(ONE, SETTINGS, &admin).await?;
    assert_eq!(
        same["resource_version"],
        json!(version),
        "a dry run changes nothing"
    );
    let first = house
        .call("PATCH", ONE, SETTINGS, &admin, Some(with(&version, false)))
        .await?;
    assert_eq!(first.0, 200, "{}", first.1);
    let second = house
        .call("PATCH", ONE, SETTINGS, &admin, Some(with(&version, false)))
        .await?;
    assert_eq!(second.0, 409, "{}", second.1);

    let body =
        json!({"changes": [{"object": "argocd-cm", "key": "url", "value": "javascript:alert(1)"}]});
    let path = "/api/naru/v1/settings/validate";
    let (_, checked) = house.call("POST", ONE, path, &admin, Some(body)).await?;
    assert_eq!(
        checked["problems"][0]["code"], "settings.not-url",
        "{checked}"
    );
    let policy = "g, bob, role:dev\np, role:dev, application, sync, default/*, allow\n";
    let body =
        json!({"changes": [{"object": "argocd-rbac-cm", "key": "policy.csv", "value": policy}]});
    let (_, checked) = house.call("POST", ONE, path, &admin, Some(body)).await?;
    let problem = &checked["problems"][0];
    assert_eq!(
        (&problem["code"], &problem["key"]),
        (&json!("rbac.resource"), &json!("policy.csv:2")),
        "{checked}"
    );
    let body = json!({"changes": [
        {"object": "argocd-rbac-cm", "key": "policy.csv", "value": "g, bob, role:dev\n"},
        {"object": "argocd-rbac-cm", "key": "policy.team.csv", "value": "\np, role:dev, application, sync, default/*, allow\n"},
    ]});
    let (_, checked) = house.call("POST", ONE, path, &admin, Some(body)).await?;
    assert_eq!(
        checked["problems"][0]["key"], "policy.team.csv:2",
        "{checked}"
    );
    let (_, keys) = house.get(ONE, "/api/naru/v1/settings/keys", &admin).await?;
    assert!(keys["keys"].as_array().unwrap().len() > 90);

    only_its_own(&house, &admin).await
}

async fn only_its_own(house: &House, admin: &str) -> Result<()> {
    let other = format!("{SETTINGS}?tenant={}", house.name("user02"));
    let missing = format!("{SETTINGS}?tenant=nobody");
    let (theirs, nobodys) = (
        house.get(ONE, &other, admin).await?,
        house.get(ONE, &missing, admin).await?,
    );
    assert_eq!(
        theirs,
        (
            403,
            json!({"code": 7, "error": "permission denied", "message": "permission denied"})
        )
    );
    assert_eq!(theirs, nobodys);
    let body = json!({"tenant": house.name("user02"), "changes": [{"object": "argocd-cm", "key": "exec.enabled", "value": "true"}]});
    let refused = house
        .call("PATCH", ONE, SETTINGS, admin, Some(body.clone()))
        .await?;
    assert_eq!(refused.0, 403);
    let (status, done) = house
        .call("PATCH", OPERATOR, SETTINGS, &house.operator, Some(body))
        .await?;
    assert_eq!(status, 200, "{done}");
    let (_, shown) = house.get(TWO, "/api/v1/settings", "").await?;
    assert_eq!(shown["execEnabled"], true);
    let nobody = house.get(OPERATOR, &missing, &house.operator).await?;
    assert_eq!(nobody.0, 404);
    Ok(())
}
