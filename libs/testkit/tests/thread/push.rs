//! A push is live without a click: at once by webhook, within the polling interval without.

use anyhow::Result;
use testkit::platform;

use crate::{PATIENCE, config_map, examples};

#[tokio::test]
async fn a_new_image_tag_is_deployed_by_webhook() -> Result<()> {
    let tenant = platform::tenant("webhook").await?;
    tenant.push_guide(&examples()).await?;
    tenant.connect().await?;
    tenant.turn_webhook_on()?;
    tenant
        .create_app(
            "hello-spring",
            "gitops/hello-world-spring",
            &platform::automated(),
        )
        .await?;
    tenant
        .client
        .app_done("hello-spring", None, PATIENCE)
        .await?;
    let deployment = tenant
        .checkout
        .read("gitops/hello-world-spring/deployment.yaml")?;
    let commit = tenant
        .checkout
        .push_file(
            "gitops/hello-world-spring/deployment.yaml",
            deployment.replace(":1.0.0", ":1.0.1"),
        )
        .await?;
    let app = tenant
        .client
        .app_done("hello-spring", Some(&commit), PATIENCE)
        .await?;
    assert!(
        app["status"]["summary"]["images"]
            .to_string()
            .contains(":1.0.1")
    );
    assert_eq!(
        app["status"]["operationState"]["operation"]["initiatedBy"]["automated"],
        true
    );
    Ok(())
}

#[tokio::test]
async fn a_push_is_found_by_polling_too_and_a_field_that_left_git_leaves_the_cluster() -> Result<()>
{
    let tenant = platform::tenant("poll").await?;
    tenant.checkout.write(
        "app/a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  stays: x\n  goes: away\n",
    )?;
    tenant
        .checkout
        .push_file("app/b.yaml", config_map("b", "1"))
        .await?;
    tenant.connect().await?;
    tenant
        .create_app("app", "app", &platform::automated())
        .await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    let path = |name: &str| format!("/api/v1/namespaces/{}/configmaps/{name}", tenant.name);
    assert_eq!(
        tenant
            .kube
            .get(&path("a"))
            .await?
            .map(|a| a["data"]["goes"].clone()),
        Some("away".into())
    );
    tenant.checkout.remove("app/b.yaml")?;
    let commit = tenant
        .checkout
        .push_file(
            "app/a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  stays: x\n",
        )
        .await?;
    tenant
        .client
        .app_done("app", Some(&commit), PATIENCE)
        .await?;
    let a = tenant.kube.get(&path("a")).await?.unwrap_or_default();
    assert_eq!(
        a["data"],
        serde_json::json!({"stays": "x"}),
        "the field is gone"
    );
    assert_eq!(
        tenant.kube.get(&path("b")).await?,
        None,
        "the object is pruned"
    );
    Ok(())
}

#[tokio::test]
async fn a_webhook_without_the_tenants_secret_is_refused() -> Result<()> {
    let (ours, theirs) = (
        platform::tenant("hook-a").await?,
        platform::tenant("hook-b").await?,
    );
    let push = serde_json::json!({"object_kind": "push", "ref": "refs/heads/main", "project": {"git_http_url": ours.repo_url}});
    for (secret, expected) in [
        (ours.webhook_secret.as_str(), true),
        (theirs.webhook_secret.as_str(), false),
        ("", false),
    ] {
        let answer = ours
            .client
            .request(reqwest::Method::POST, "/api/webhook")
            .header("x-gitlab-event", "Push Hook")
            .header("x-gitlab-token", secret)
            .json(&push)
            .send()
            .await?;
        assert_eq!(
            answer.status().is_success(),
            expected,
            "secret {secret:?}: {}",
            answer.status()
        );
    }
    Ok(())
}
