//! Who did what: every call that writes, refused ones and logins too, without a secret.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::client::Client;
use testkit::platform;
use testkit::wait;

use crate::{PATIENCE, config_map};

async fn entries(client: &Client, query: &str) -> Result<Vec<Value>> {
    let page = client
        .get(&format!("/api/naru/v1/audit?{query}"))
        .await?
        .ok()?;
    Ok(page["items"].as_array().cloned().unwrap_or_default())
}

#[tokio::test]
async fn what_is_done_is_recorded_sealed_and_read_by_the_tenants_admin_alone() -> Result<()> {
    let operator = platform::platform().await?.operator()?;
    let tenant = platform::tenant("audit").await?;
    tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "1"))
        .await?;
    tenant.connect().await?;
    tenant.create_app("app", "app", &json!({})).await?;
    let reading = tenant.client.get("/api/v1/applications").await?;
    assert_eq!(reading.status, 200);
    tenant.client.delete("/api/v1/applications/none").await?;
    let wrong = Client::login(tenant.client.base(), "admin", "not the password").await;
    assert!(wrong.is_err());

    let all = entries(&tenant.client, "").await?;
    let find = |action: &str, result: &str| {
        all.iter().find(|entry| {
            entry["action"]
                .as_str()
                .is_some_and(|path| path.ends_with(action))
                && entry["result"] == result
        })
    };
    let created = find("ApplicationService/Create", "OK").context("the application")?;
    assert_eq!(
        (&created["object"], &created["actor"]),
        (&json!("app"), &json!("admin"))
    );
    assert_eq!(created["actor_kind"], "account");
    assert!(
        created["source"]
            .as_str()
            .is_some_and(|ip| ip.starts_with("127.")),
        "{created}"
    );
    assert!(!created["ended_at"].as_str().unwrap_or_default().is_empty());
    let connected = find("RepositoryService/Create", "OK").context("the repository")?;
    assert_eq!(connected["object"], tenant.repo_url.as_str());
    assert!(
        find("ApplicationService/Delete", "PermissionDenied").is_some(),
        "refused ones too: {all:#?}"
    );
    assert!(find("SessionService/Create", "OK").is_some(), "logins");
    assert!(
        find("SessionService/Create", "Unauthenticated").is_some(),
        "and those that failed"
    );
    assert!(
        find("ApplicationService/List", "OK").is_none(),
        "what only reads is not recorded"
    );
    let text = serde_json::to_string(&all)?;
    for secret in [
        tenant.password.as_str(),
        tenant.git_login.password.as_str(),
        "not the password",
    ] {
        assert!(!text.contains(secret), "the record has a secret");
    }

    // Page by page the same.
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let query = format!("/api/naru/v1/audit?limit=2&cursor={cursor}");
        let page = tenant.client.get(&query).await?.ok()?;
        paged.extend(page["items"].as_array().cloned().unwrap_or_default());
        cursor = page["next"].as_str().unwrap_or_default().to_owned();
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(paged.len(), all.len());
    assert_eq!(
        entries(&tenant.client, "object=app&action=Create")
            .await?
            .len(),
        1
    );
    assert_eq!(
        entries(&tenant.client, "until=2020-01-01T00:00:00Z")
            .await?
            .len(),
        0
    );
    assert_eq!(
        tenant.client.get("/api/naru/v1/audit?from=x").await?.status,
        400
    );

    let verified = wait::until("the seal", Duration::from_secs(60), || async {
        let said = tenant.client.get("/api/naru/v1/audit/verify").await?.ok()?;
        // A number that is zero and a flag that is not set are left out, as everywhere in the answers.
        let unsealed = said["unsealed"].as_i64().unwrap_or(0);
        ensure!(said["intact"] == true && unsealed == 0, "{said}");
        ensure!(
            said["last_seal"].as_i64().is_some_and(|seal| seal > 0),
            "{said}"
        );
        Ok(said)
    })
    .await?;
    let known = format!(
        "/api/naru/v1/audit/verify?known_seal={}&known_hash={}",
        verified["last_seal"],
        verified["last_hash"].as_str().context("a hash")?
    );
    assert_eq!(tenant.client.get(&known).await?.ok()?["intact"], true);
    let forged = tenant.client.get(&format!("{known}00")).await?.ok()?;
    assert_eq!(
        (forged["intact"] == true, &forged["broken_why"]),
        (false, &json!("unknown"))
    );
    let export = tenant
        .client
        .request(reqwest::Method::GET, "/api/naru/v1/audit/export")
        .send()
        .await?
        .error_for_status()?
        .text()
        .await?;
    assert!(
        export.contains("\\\"entry\\\":") && export.contains("\\\"seal\\\":"),
        "{export}"
    );

    // Nobody else's, but for the operator, who names the tenant.
    let other = platform::tenant("audit-b").await?;
    let named = format!("tenant={}", tenant.name);
    let refused = other
        .client
        .get(&format!("/api/naru/v1/audit?{named}"))
        .await?;
    assert_eq!(
        (refused.status, &refused.body["message"]),
        (403, &json!("permission denied"))
    );
    assert!(!entries(&operator, &named).await?.is_empty());
    let made = entries(
        &operator,
        &format!("object={}&action=TenantService/Create", tenant.name),
    )
    .await?;
    assert_eq!(
        made.len(),
        1,
        "what the operator does is in the operator's own record"
    );
    assert_eq!(made[0]["actor_kind"], "operator");
    Ok(())
}

#[tokio::test]
async fn a_change_of_settings_says_from_what_to_what() -> Result<()> {
    let operator = platform::platform().await?.operator()?;
    let tenant = platform::tenant("audit-set").await?;
    let path = format!("/api/naru/v1/tenants/{}", tenant.name);
    let settings = json!({"settings": {"variables_enabled": false, "language": "ko"}});
    operator.put(&path, &settings).await?.ok()?;
    let query = format!("object={}&action=TenantService/Update", tenant.name);
    let entry = wait::until("the entry", PATIENCE, || async {
        entries(&operator, &query).await?.pop().context("none")
    })
    .await?;
    let details: Value = serde_json::from_str(entry["details"].as_str().context("details")?)?;
    assert_eq!(details["before"]["settings"]["language"], "en");
    assert_eq!(details["after"]["settings"]["language"], "ko");

    let secret = "a secret that no record has";
    let changes = json!({"changes": [
        {"object": "argocd-cm", "key": "url", "value": "https://argocd.example"},
        {"object": "argocd-secret", "key": "webhook.gitlab.secret", "value": secret},
    ]});
    tenant
        .client
        .patch("/api/naru/v1/settings", &changes)
        .await?
        .ok()?;
    let own = entries(&tenant.client, "action=SettingsService/Update").await?;
    let details: Value = serde_json::from_str(own[0]["details"].as_str().context("details")?)?;
    assert_eq!(
        details["after"]["argocd-cm"]["url"],
        "https://argocd.example"
    );
    let mark = &details["after"]["argocd-secret"]["webhook.gitlab.secret"];
    assert!(
        mark.as_str()
            .is_some_and(|mark| mark.starts_with("secret:")),
        "{details}"
    );
    assert!(!own[0].to_string().contains(secret));
    Ok(())
}
