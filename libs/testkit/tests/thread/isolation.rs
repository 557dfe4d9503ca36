//! Two tenants that use the same names for everything never meet.

use anyhow::Result;
use serde_json::json;
use testkit::platform;

use crate::{PATIENCE, config_map};

#[tokio::test]
async fn the_same_names_are_two_worlds() -> Result<()> {
    let (a, b) = (
        platform::tenant("twin-a").await?,
        platform::tenant("twin-b").await?,
    );
    for tenant in [&a, &b] {
        tenant
            .checkout
            .push_file("app/a.yaml", config_map("same", &tenant.name))
            .await?;
        tenant.connect().await?;
        tenant
            .create_app("same", "app", &platform::automated())
            .await?;
    }
    for tenant in [&a, &b] {
        tenant.client.app_done("same", None, PATIENCE).await?;
        let path = format!("/api/v1/namespaces/{}/configmaps/same", tenant.name);
        assert_eq!(
            tenant
                .kube
                .get(&path)
                .await?
                .map(|c| c["data"]["value"].clone()),
            Some(json!(tenant.name))
        );
    }
    a.client
        .delete("/api/v1/applications/same?cascade=true")
        .await?
        .ok()?;
    a.client.app_gone("same", PATIENCE).await?;
    assert_eq!(
        b.client.app("same").await?["status"]["sync"]["status"],
        "Synced",
        "the other stays"
    );
    Ok(())
}

#[tokio::test]
async fn a_token_is_worth_nothing_at_another_tenants_host() -> Result<()> {
    let (a, b) = (
        platform::tenant("host-a").await?,
        platform::tenant("host-b").await?,
    );
    let stranger = a.client.at(b.client.base())?;
    for path in [
        "/api/v1/applications",
        "/api/v1/repositories",
        "/api/v1/projects",
        "/api/v1/clusters",
        "/api/naru/v1/tenants",
    ] {
        let answer = stranger.get(path).await?;
        assert_eq!(answer.status, 401, "{path}: {}", answer.body);
    }
    assert_ne!(
        a.client.get("/api/naru/v1/tenants").await?.status,
        200,
        "a tenant's admin is not the operator"
    );
    let unknown = a
        .client
        .with_token("")
        .request(reqwest::Method::GET, "/api/version")
        .header("host", "unknown.example")
        .send()
        .await?;
    assert!(
        !unknown.status().is_success(),
        "a host on no list is refused: {}",
        unknown.status()
    );
    Ok(())
}

#[tokio::test]
async fn a_tenant_cannot_deploy_into_anothers_namespace() -> Result<()> {
    let (a, b) = (
        platform::tenant("into-a").await?,
        platform::tenant("into-b").await?,
    );
    let manifest = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: intruder\n  namespace: {}\n",
        b.name
    );
    a.checkout.push_file("app/a.yaml", manifest).await?;
    a.connect().await?;
    a.create_app("intruder", "app", &platform::automated())
        .await?;
    let app = a
        .client
        .app_when("intruder", PATIENCE, |app| {
            !app["status"]["conditions"].is_null()
        })
        .await?;
    assert_ne!(app["status"]["sync"]["status"], "Synced", "{app}");
    let path = format!("/api/v1/namespaces/{}/configmaps/intruder", b.name);
    assert_eq!(b.kube.get(&path).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_namespace_that_is_not_the_tenants_is_not_claimed_by_a_refused_sync() -> Result<()> {
    let tenant = platform::tenant("claim").await?;
    let platform = platform::platform().await?;
    let foreign = format!("{}-foreign", tenant.name);
    platform.kube()?.ensure_namespace(&foreign).await?;
    tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "1"))
        .await?;
    tenant.connect().await?;
    let app = json!({
        "metadata": {"name": "app"},
        "spec": {
            "project": "default",
            "source": {"repoURL": tenant.repo_url, "path": "app", "targetRevision": "HEAD"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": foreign},
            "syncPolicy": {"automated": {}, "syncOptions": ["CreateNamespace=true"]},
        },
    });
    tenant
        .client
        .post("/api/v1/applications?validate=false", &app)
        .await?
        .ok()?;
    let refused = |app: &serde_json::Value| {
        app["status"]["operationState"]["syncResult"]
            .to_string()
            .contains(&foreign)
    };
    tenant.client.app_when("app", PATIENCE, refused).await?;
    let seen = platform
        .operator()?
        .get(&format!("/api/naru/v1/tenants/{}", tenant.name))
        .await?
        .ok()?;
    assert_eq!(
        seen["namespaces"],
        json!([tenant.name]),
        "the map holds the tenant's own namespace only"
    );
    let path = format!("/api/v1/namespaces/{foreign}/configmaps/a");
    assert_eq!(platform.kube()?.get(&path).await?, None);
    Ok(())
}
