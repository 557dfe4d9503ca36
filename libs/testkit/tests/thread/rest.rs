//! The same over REST: Argo CD's JSON, codes and streams.

use anyhow::{Context, Result};
use futures::StreamExt;
use serde_json::{Value, json};
use testkit::platform;

use crate::{PATIENCE, config_map};

#[tokio::test]
async fn an_application_lives_and_dies_over_rest() -> Result<()> {
    let tenant = platform::tenant("rest").await?;
    let empty = tenant.client.get("/api/v1/applications").await?.ok()?;
    assert_eq!(
        empty["items"],
        Value::Null,
        "Go writes an empty list as null"
    );
    let commit = tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "1"))
        .await?;
    tenant.connect().await?;
    let made = tenant.create_app("app", "app", &json!({})).await?;
    assert_eq!(made["metadata"]["namespace"], "argocd");
    assert!(
        made["metadata"]["resourceVersion"]
            .as_str()
            .is_some_and(|version| version.parse::<i64>().is_ok())
    );
    assert!(made.get("kind").is_none(), "TypeMeta does not travel");
    let synced = tenant
        .client
        .post("/api/v1/applications/app/sync", &json!({}))
        .await?
        .ok()?;
    assert!(
        synced["operation"].is_object(),
        "the operation is on the application when Sync returns"
    );
    let app = tenant
        .client
        .app_done("app", Some(&commit), PATIENCE)
        .await?;
    assert_eq!(app["status"]["history"][0]["id"], 0);
    let tree = tenant
        .client
        .get("/api/v1/applications/app/resource-tree")
        .await?
        .ok()?;
    assert_eq!(tree["nodes"][0]["kind"], "ConfigMap");
    let managed = tenant
        .client
        .get("/api/v1/applications/app/managed-resources")
        .await?
        .ok()?;
    assert!(
        managed["items"][0]["liveState"]
            .as_str()
            .is_some_and(|live| live.contains("\"value\":\"1\"")),
        "{managed}"
    );
    let manifests = tenant
        .client
        .get("/api/v1/applications/app/manifests")
        .await?
        .ok()?;
    assert!(
        manifests["manifests"][0]
            .as_str()
            .is_some_and(|manifest| manifest.contains("ConfigMap")),
        "{manifests}"
    );
    let meta = tenant
        .client
        .get(&format!(
            "/api/v1/applications/app/revisions/{commit}/metadata"
        ))
        .await?
        .ok()?;
    assert!(
        meta["author"].is_string() && meta["date"].is_string(),
        "{meta}"
    );
    let resource = format!(
        "/api/v1/applications/app/resource?name=app&resourceName=a&namespace={}&version=v1&kind=ConfigMap",
        tenant.name
    );
    let body = tenant.client.get(&resource).await?.ok()?;
    assert!(
        body["manifest"]
            .as_str()
            .is_some_and(|manifest| manifest.contains("tracking-id")),
        "{body}"
    );
    let fields = tenant
        .client
        .get("/api/v1/applications?fields=items.metadata.name")
        .await?
        .ok()?;
    assert_eq!(fields["items"][0], json!({"metadata": {"name": "app"}}));
    assert_eq!(
        tenant
            .client
            .delete("/api/v1/applications/app?cascade=true")
            .await?
            .status,
        200
    );
    testkit::wait::until("the application is gone", PATIENCE, || async {
        anyhow::ensure!(
            tenant.client.get("/api/v1/applications/app").await?.status == 403,
            "still there"
        );
        Ok(())
    })
    .await?;
    let path = format!("/api/v1/namespaces/{}/configmaps/a", tenant.name);
    assert_eq!(tenant.kube.get(&path).await?, None, "the deletion cascaded");
    Ok(())
}

#[tokio::test]
async fn a_watch_begins_with_what_is_there_and_goes_on() -> Result<()> {
    let tenant = platform::tenant("watch").await?;
    tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "1"))
        .await?;
    tenant.connect().await?;
    tenant.create_app("first", "app", &json!({})).await?;
    let stream = tenant
        .client
        .request(reqwest::Method::GET, "/api/v1/stream/applications")
        .header("accept", "text/event-stream")
        .send()
        .await?
        .error_for_status()?;
    let mut chunks = stream.bytes_stream();
    let mut text = String::new();
    tenant.create_app("second", "app", &json!({})).await?;
    tokio::time::timeout(PATIENCE, async {
        while !(text.contains("\"name\":\"first\"") && text.contains("\"name\":\"second\"")) {
            let chunk = chunks.next().await.context("the stream ended")??;
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        anyhow::Ok(())
    })
    .await??;
    let first = text
        .lines()
        .find(|line| line.starts_with("data: "))
        .context("an event")?;
    let event: Value = serde_json::from_str(first["data: ".len()..].trim())?;
    assert_eq!(event["result"]["type"], "ADDED");
    Ok(())
}

#[tokio::test]
async fn errors_have_argo_cds_codes_and_shape() -> Result<()> {
    let tenant = platform::tenant("codes").await?;
    let missing = tenant.client.get("/api/v1/applications/none").await?;
    assert_eq!(
        (missing.status, &missing.body["message"]),
        (403, &json!("permission denied"))
    );
    assert_eq!(missing.body["code"], 7);
    let named = tenant
        .client
        .get("/api/v1/applications/none?project=default")
        .await?;
    assert_eq!(named.status, 404, "{}", named.body);
    let nobody = tenant
        .client
        .with_token("")
        .get("/api/v1/applications")
        .await?;
    assert_eq!((nobody.status, &nobody.body["code"]), (401, &json!(16)));
    let untyped = tenant
        .client
        .request(reqwest::Method::POST, "/api/v1/applications")
        .body("{}")
        .send()
        .await?;
    assert_eq!(untyped.status().as_u16(), 415);
    let version = tenant
        .client
        .with_token("")
        .get("/api/version")
        .await?
        .ok()?;
    assert!(
        version["Version"]
            .as_str()
            .is_some_and(|version| version.starts_with("v3.2.11+naru.")),
        "{version}"
    );
    Ok(())
}
