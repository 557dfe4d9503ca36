//! What the operator does with tenants: suspend, resume, quotas, namespaces, and an end that proves itself.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::Client;
use testkit::platform::{self, Tenant, automated};
use testkit::wait;

use crate::{PATIENCE, all_conditions, config_map, hooks};

fn path(tenant: &Tenant, rest: &str) -> String {
    format!("/api/naru/v1/tenants/{}{rest}", tenant.name)
}

async fn value_in(tenant: &Tenant, name: &str) -> Result<Value> {
    let kube = platform::platform().await?.kube()?;
    let path = format!("/api/v1/namespaces/{}/configmaps/{name}", tenant.name);
    let found = kube.get(&path).await?;
    Ok(found.map_or(Value::Null, |map| map["data"]["value"].clone()))
}

async fn has_value(tenant: &Tenant, name: &str, wanted: &str) -> Result<()> {
    wait::until(&format!("value {wanted}"), PATIENCE, || async {
        let value = value_in(tenant, name).await?;
        ensure!(value == wanted, "{value}");
        Ok(())
    })
    .await
}

async fn synced(label: &str) -> Result<Tenant> {
    let tenant = platform::tenant(label).await?;
    tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "1"))
        .await?;
    tenant.connect().await?;
    tenant.create_app("app", "app", &automated()).await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    Ok(tenant)
}

#[tokio::test]
async fn a_suspended_tenant_keeps_everything_and_gets_nothing_done() -> Result<()> {
    let operator = platform::platform().await?.operator()?;
    let (tenant, other) = (synced("suspend").await?, synced("beside").await?);
    let stream = tenant
        .client
        .request(Method::GET, "/api/v1/stream/applications?name=app")
        .header("accept", "text/event-stream")
        .send()
        .await?
        .error_for_status()?;
    let mut chunks = stream.bytes_stream();
    chunks.next().await.context("nothing came")??;

    let shown = operator
        .post(&path(&tenant, "/suspend"), &json!({}))
        .await?
        .ok()?;
    assert_eq!(shown["state"], "suspended");
    // Streams end by themselves, within five seconds.
    tokio::time::timeout(Duration::from_secs(5), async {
        while let Some(Ok(_)) = chunks.next().await {}
    })
    .await
    .context("the stream goes on")?;
    wait::until("the door to close", Duration::from_secs(5), || async {
        let refused = tenant.client.get("/api/v1/applications").await?;
        ensure!(refused.status == 403, "{refused:?}");
        ensure!(
            refused.body["message"]
                .as_str()
                .is_some_and(|said| said.contains("suspended"))
        );
        Ok(())
    })
    .await?;
    let login = Client::login(tenant.client.base(), "admin", &tenant.password).await;
    assert!(login.is_err(), "a suspended tenant's admin signs in");
    let at_operators = Client::login(operator.base(), &tenant.name, &tenant.password).await;
    assert!(at_operators.is_err(), "and at the operator's host");
    let webhook = tenant
        .client
        .request(Method::POST, "/api/webhook")
        .header("x-gitlab-event", "Push Hook")
        .header("x-gitlab-token", &tenant.webhook_secret)
        .json(&json!({"repository": {"git_http_url": tenant.repo_url}}))
        .send()
        .await?;
    assert_eq!(webhook.status(), 403);

    // Both push; the other one's goes out with the next poll, this one's does not.
    for (tenant, value) in [(&tenant, "2"), (&other, "2")] {
        tenant
            .checkout
            .push_file("app/a.yaml", config_map("a", value))
            .await?;
    }
    has_value(&other, "a", "2").await?;
    other
        .checkout
        .push_file("app/a.yaml", config_map("a", "3"))
        .await?;
    has_value(&other, "a", "3").await?;
    assert_eq!(value_in(&tenant, "a").await?, "1", "it is as it was");

    let shown = operator
        .post(&path(&tenant, "/resume"), &json!({}))
        .await?
        .ok()?;
    assert_eq!(shown["state"], "active");
    has_value(&tenant, "a", "2").await?;
    wait::until("the door to open", PATIENCE, || async {
        tenant.client.get("/api/v1/applications/app").await?.ok()
    })
    .await?;
    Ok(())
}

async fn deleted(operator: &Client, tenant: &Tenant, how: &str) -> Result<Value> {
    wait::until("the tenant's end", Duration::from_secs(120), || async {
        let said = operator.delete(&path(tenant, how)).await?.ok()?;
        ensure!(said["finished"] == true, "{said}");
        Ok(said)
    })
    .await
}

#[tokio::test]
async fn s20_a_deleted_tenant_leaves_a_tombstone_and_a_later_one_of_its_name_inherits_nothing()
-> Result<()> {
    let operator = platform::platform().await?.operator()?;
    let tenant = synced("ending").await?;
    let before = operator.get(&path(&tenant, "")).await?.ok()?;
    let refused = operator.delete(&path(&tenant, "")).await?;
    assert_ne!(refused.status, 200, "{refused:?}");

    let export = operator
        .request(Method::GET, &path(&tenant, "/export"))
        .send()
        .await?
        .error_for_status()?
        .text()
        .await?;
    assert!(
        export.contains("\\\"table\\\":\\\"applications\\\""),
        "{export}"
    );
    for secret in [
        &tenant.git_login.password,
        &tenant.password,
        &tenant.webhook_secret,
    ] {
        assert!(!export.contains(secret.as_str()), "the export has a secret");
    }

    let proof = deleted(&operator, &tenant, "?export_acknowledged=true").await?;
    assert_eq!(proof["id"], before["id"]);
    let left = proof["left"].as_object().context("a proof")?;
    assert!(left.values().all(|left| left == 0), "{left:?}");
    for place in [
        "postgres/applications",
        "postgres/audit",
        "redis/",
        "mirrors/",
    ] {
        assert!(
            left.keys().any(|name| name.starts_with(place)),
            "{place}: {left:?}"
        );
    }
    assert_eq!(
        deleted(&operator, &tenant, "?without_export=true").await?,
        proof,
        "asked again"
    );
    assert_eq!(operator.get(&path(&tenant, "")).await?.status, 404);
    let kube = platform::platform().await?.kube()?;
    assert_eq!(
        kube.get(&format!("/api/v1/namespaces/{}", tenant.name))
            .await?,
        None
    );

    let host = tenant
        .client
        .base()
        .split("//")
        .nth(1)
        .and_then(|at| at.rsplit_once(':'))
        .context("a host")?
        .0;
    let again = json!({"name": tenant.name, "hosts": [host], "admin_password": tenant.password});
    let made = operator.post("/api/naru/v1/tenants", &again).await?.ok()?;
    assert_ne!(made["tenant"]["id"], before["id"]);
    let old = tenant.client.get("/api/v1/applications").await?;
    assert_eq!(old.status, 401, "the old session opens nothing: {old:?}");
    let admin = Client::login(tenant.client.base(), "admin", &tenant.password).await?;
    assert_eq!(
        admin.get("/api/v1/applications").await?.ok()?["items"],
        Value::Null
    );
    assert_eq!(
        admin.get("/api/v1/repositories").await?.ok()?["items"],
        Value::Null
    );
    let audit = admin.get("/api/naru/v1/audit?action=Sync").await?.ok()?;
    assert_eq!(audit["items"].as_array().map_or(0, Vec::len), 0);
    deleted(&operator, &tenant, "?without_export=true").await?;
    Ok(())
}

#[tokio::test]
async fn a_quota_refuses_with_use_and_limit_and_shows_itself() -> Result<()> {
    let operator = platform::platform().await?.operator()?;
    let tenant = synced("quota").await?;
    let quotas = json!({"quotas": {"applications": 1, "objects": 1, "repositories": 1}});
    operator
        .put(&path(&tenant, "/quotas"), &quotas)
        .await?
        .ok()?;
    let refused = tenant
        .create_app("second", "app", &json!({}))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("429") && refused.contains("1 of 1"),
        "{refused}"
    );
    let more = json!({"repo": format!("{}-more", tenant.repo_url)});
    let refused = tenant.client.post("/api/v1/repositories", &more).await?;
    assert_ne!(refused.status, 200);
    let shown = tenant.client.get("/api/naru/v1/quotas").await?.ok()?;
    let applications = &shown["items"][0];
    assert_eq!(
        (&applications["used"], &applications["allowed"]),
        (&json!(1), &json!(1)),
        "{shown}"
    );
    let unknown = operator
        .put(&path(&tenant, "/quotas"), &json!({"quotas": {"apps": 1}}))
        .await?;
    assert_eq!(unknown.status, 400);

    // One object too many: the sync says so.
    tenant
        .checkout
        .push_file("app/b.yaml", config_map("b", "1"))
        .await?;
    tenant
        .client
        .get("/api/v1/applications/app?refresh=normal")
        .await?
        .ok()?;
    tenant
        .client
        .app_when("app", PATIENCE, |app| {
            app["status"]["operationState"]["message"]
                .as_str()
                .is_some_and(|said| said.contains("quota of objects reached: 2 of 1"))
        })
        .await?;

    // As many calls as are allowed, then a refusal that says when to come again.
    operator
        .put(&path(&tenant, "/quotas"), &json!({"quotas": {"calls": 5}}))
        .await?
        .ok()?;
    let refused = wait::until("the calls to run out", PATIENCE, || async {
        let answer = tenant
            .client
            .request(Method::GET, "/api/v1/applications")
            .send()
            .await?;
        ensure!(answer.status() == 429, "{}", answer.status());
        Ok(answer)
    })
    .await?;
    let after: u64 = refused.headers()["retry-after"].to_str()?.parse()?;
    assert!((1..=60).contains(&after));
    assert!(refused.text().await?.contains("quota of calls reached"));
    Ok(())
}

#[tokio::test]
async fn the_operator_alone_changes_tenants_and_namespaces_are_given_and_taken() -> Result<()> {
    let operator = platform::platform().await?.operator()?;
    let tenant = platform::tenant("spaces").await?;
    let own = format!("{}-x", tenant.name);
    for (method, rest) in [
        (Method::POST, "/suspend"),
        (Method::POST, "/resume"),
        (Method::PUT, ""),
        (Method::PUT, "/quotas"),
        (Method::POST, "/namespaces"),
        (Method::DELETE, "?without_export=true"),
        (Method::GET, "/export"),
    ] {
        let asked = tenant
            .client
            .request(method.clone(), &path(&tenant, rest))
            .json(&json!({}));
        let answer = asked.send().await?;
        assert_eq!(answer.status(), 403, "{method} {rest}");
    }
    let body = json!({"namespace": own});
    let given = operator
        .post(&path(&tenant, "/namespaces"), &body)
        .await?
        .ok()?;
    assert_eq!(given["namespaces"], json!([tenant.name, own]));
    let other = platform::tenant("spaces-b").await?;
    let taken = operator.post(&path(&other, "/namespaces"), &body).await?;
    assert_eq!(taken.status, 409, "{taken:?}");
    let named = operator
        .post(
            &path(&other, "/namespaces"),
            &json!({"namespace": "kube-system"}),
        )
        .await?;
    assert_eq!(named.status, 400, "{named:?}");
    let taken = operator
        .delete(&path(&tenant, &format!("/namespaces/{own}")))
        .await?
        .ok()?;
    assert_eq!(taken["namespaces"], json!([tenant.name]));
    let home = operator
        .delete(&path(&tenant, &format!("/namespaces/{}", tenant.name)))
        .await?;
    assert_ne!(home.status, 200);

    let settings = json!({"settings": {"variables_enabled": false, "language": "ko"}});
    let changed = operator.put(&path(&tenant, ""), &settings).await?.ok()?;
    assert_eq!(changed["settings"]["language"], "ko");
    assert_eq!(
        changed["hosts"].as_array().map(Vec::len),
        Some(2),
        "hosts stay"
    );
    Ok(())
}

#[tokio::test]
async fn a_sync_that_has_no_turn_says_so_and_begins_when_there_is_one() -> Result<()> {
    let platform = platform::platform().await?;
    let files = [
        (
            "before.json",
            hooks::job("before", &[("hook", "PreSync")], "pending"),
        ),
        ("a.yaml", config_map("a", "1")),
    ];
    let tenant = hooks::application(platform, "turns", &files).await?;
    let quotas = json!({"quotas": {"operations": 1}});
    let operator = platform.operator()?;
    operator
        .put(&path(&tenant, "/quotas"), &quotas)
        .await?
        .ok()?;
    hooks::sync(&tenant, &json!({})).await?;
    hooks::says(&tenant, "waiting for completion of hook batch/Job/before").await?;
    tenant
        .checkout
        .push_file("more/b.yaml", config_map("b", "1"))
        .await?;
    tenant.create_app("more", "more", &automated()).await?;
    let told = |app: &Value| all_conditions(app).contains("[sync.waiting-turn]");
    tenant.client.app_when("more", PATIENCE, told).await?;
    hooks::finish(&platform.kube()?, &tenant, "before", "Succeeded").await?;
    let app = tenant.client.app_done("more", None, PATIENCE).await?;
    assert!(!told(&app), "{}", all_conditions(&app));
    Ok(())
}
