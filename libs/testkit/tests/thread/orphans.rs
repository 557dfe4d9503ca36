//! Objects of a namespace that no application has: where a project asks, they are shown and warned of.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testkit::platform;

use crate::{PATIENCE, code, conditions, config_map, said};

#[tokio::test]
async fn what_no_application_has_is_shown_where_the_project_asks() -> Result<()> {
    let tenant = platform::tenant("orphans").await?;
    tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "1"))
        .await?;
    tenant.connect().await?;
    for app in ["one", "two"] {
        let path = if app == "one" { "app" } else { "two" };
        tenant
            .checkout
            .push_file("two/b.yaml", config_map("b", "1"))
            .await?;
        tenant
            .create_app(app, path, &json!({"automated": {}}))
            .await?;
        tenant.client.app_done(app, None, PATIENCE).await?;
    }
    let maps = format!("/api/v1/namespaces/{}/configmaps", tenant.name);
    let lost = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "lost"}});
    tenant.kube.apply(&format!("{maps}/lost"), &lost).await?;
    let warned = |app: &Value| -> Vec<String> {
        let all = conditions(app, "OrphanedResourceWarning");
        all.into_iter().map(str::to_owned).collect()
    };
    assert!(warned(&tenant.client.app("one").await?).is_empty());

    // Another application's, and what every namespace of a tenant has, are nobody's business.
    let ask = async |rules: Value| -> Result<()> {
        let mut project = tenant.client.get("/api/v1/projects/default").await?.ok()?;
        project["spec"]["orphanedResources"] = rules;
        let body = json!({"project": project});
        tenant
            .client
            .put("/api/v1/projects/default", &body)
            .await?
            .ok()?;
        Ok(())
    };
    ask(json!({"warn": true})).await?;
    let one = |app: &Value| {
        warned(app)
            .iter()
            .any(|text| text.contains("1 orphaned") && text.contains("lost"))
    };
    tenant.client.app_when("one", PATIENCE, one).await?;
    let shown = tenant
        .client
        .argocd(&["app", "resources", "one", "--orphaned"])
        .await?;
    let shown = (code(&shown), said(&shown));
    assert!(shown.0 == 0 && shown.1.contains("lost"), "{}", shown.1);
    for other in ["kube-root-ca.crt", " b ", "naru"] {
        assert!(!shown.1.contains(other), "{}", shown.1);
    }

    // It comes and goes by itself, and is left out where the project says so.
    tenant.kube.delete(&format!("{maps}/lost")).await?;
    let none = |app: &Value| warned(app).is_empty();
    tenant.client.app_when("one", PATIENCE, none).await?;
    tenant.kube.apply(&format!("{maps}/lost"), &lost).await?;
    tenant.client.app_when("one", PATIENCE, one).await?;
    ask(json!({"warn": true, "ignore": [{"kind": "ConfigMap", "name": "lo*"}]})).await?;
    tenant.client.app_when("one", PATIENCE, none).await?;

    // What an application leaves behind has none any more.
    let deleted = tenant
        .client
        .delete("/api/v1/applications/two?cascade=false")
        .await?;
    deleted.ok()?;
    let left = |app: &Value| {
        warned(app)
            .iter()
            .any(|text| text.contains("ConfigMap") && text.contains("/b"))
    };
    tenant.client.app_when("one", PATIENCE, left).await?;
    let tree = tenant
        .client
        .get("/api/v1/applications/one/resource-tree")
        .await?
        .ok()?;
    let nodes = tree["orphanedNodes"].as_array().context("no orphans")?;
    assert!(nodes.iter().any(|node| node["name"] == "b"), "{tree}");
    Ok(())
}
