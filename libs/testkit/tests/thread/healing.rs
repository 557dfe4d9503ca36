//! Drift is undone where self-heal is on, and shown, untouched, where it is off.

use anyhow::{Result, ensure};
use serde_json::json;
use testkit::platform::{self, Tenant};
use testkit::wait;

use crate::{PATIENCE, code, config_map, said};

async fn one_config_map(label: &str, policy: &serde_json::Value) -> Result<(Tenant, String)> {
    let tenant = platform::tenant(label).await?;
    tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "from-git"))
        .await?;
    tenant.connect().await?;
    tenant.create_app("app", "app", policy).await?;
    let path = format!("/api/v1/namespaces/{}/configmaps/a", tenant.name);
    Ok((tenant, path))
}

#[tokio::test]
async fn what_is_deleted_or_edited_comes_back() -> Result<()> {
    let (tenant, path) = one_config_map("heal", &platform::automated()).await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    tenant.kube.delete(&path).await?;
    wait::until("the deleted object comes back", PATIENCE, || async {
        ensure!(
            tenant
                .kube
                .get(&path)
                .await?
                .is_some_and(|a| a["data"]["value"] == "from-git"),
            "not yet"
        );
        Ok(())
    })
    .await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    tenant
        .kube
        .merge(&path, &json!({"data": {"value": "edited"}}))
        .await?;
    wait::until("the edit is undone", PATIENCE, || async {
        ensure!(
            tenant
                .kube
                .get(&path)
                .await?
                .is_some_and(|a| a["data"]["value"] == "from-git"),
            "not yet"
        );
        Ok(())
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn without_self_heal_drift_shows_as_a_diff_that_the_command_agrees_with() -> Result<()> {
    let (tenant, path) = one_config_map("drift", &json!({"automated": {"prune": true}})).await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    let same = tenant.client.argocd(&["app", "diff", "app"]).await?;
    assert_eq!(code(&same), 0, "{}", said(&same));
    tenant
        .kube
        .merge(&path, &json!({"data": {"value": "edited"}}))
        .await?;
    tenant
        .client
        .app_when("app", PATIENCE, |app| {
            app["status"]["sync"]["status"] == "OutOfSync"
        })
        .await?;
    let diff = tenant.client.argocd(&["app", "diff", "app"]).await?;
    assert_eq!(code(&diff), 1, "{}", said(&diff));
    assert!(
        said(&diff).contains("edited") && said(&diff).contains("from-git"),
        "{}",
        said(&diff)
    );
    // A refresh that has looked again leaves it as it is.
    tenant
        .client
        .get("/api/v1/applications/app?refresh=normal")
        .await?
        .ok()?;
    assert_eq!(
        tenant
            .kube
            .get(&path)
            .await?
            .map(|a| a["data"]["value"].clone()),
        Some("edited".into())
    );
    Ok(())
}

#[tokio::test]
async fn a_field_that_somebody_adds_is_drift_only_where_git_names_it() -> Result<()> {
    let (tenant, path) = one_config_map("added", &json!({"automated": {"prune": true}})).await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    tenant
        .kube
        .merge(
            &path,
            &json!({"metadata": {"labels": {"seen-by": "somebody"}}}),
        )
        .await?;
    tenant
        .client
        .get("/api/v1/applications/app?refresh=hard")
        .await?
        .ok()?;
    let app = tenant.client.app("app").await?;
    assert_eq!(app["status"]["sync"]["status"], "Synced");
    let diff = tenant.client.argocd(&["app", "diff", "app"]).await?;
    assert_eq!(code(&diff), 0, "{}", said(&diff));
    Ok(())
}
