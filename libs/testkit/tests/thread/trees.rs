//! The tree of an application, and its watch: what changes is shown, and what is shown is the tree.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::platform::Tenant;

use crate::objects::deployed;
use crate::{PATIENCE, config_map};

/// A watch of a tree, and what it has shown last.
struct Watched<'a> {
    tenant: &'a Tenant,
    stream: reqwest::Response,
    left: Vec<u8>,
    shown: Value,
}

impl<'a> Watched<'a> {
    async fn open(tenant: &'a Tenant) -> Result<Self> {
        let path = "/api/v1/stream/applications/a/resource-tree";
        let stream = tenant.client.request(Method::GET, path).send().await?;
        let mut watched = Self {
            tenant,
            stream: stream.error_for_status()?,
            left: Vec::new(),
            shown: Value::Null,
        };
        watched.next().await?;
        Ok(watched)
    }

    /// Takes in the next tree.
    async fn next(&mut self) -> Result<()> {
        loop {
            if let Some(end) = self.left.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.left.drain(..=end).collect();
                if line.trim_ascii().is_empty() {
                    continue;
                }
                let mut event: Value = serde_json::from_slice(&line)?;
                ensure!(event["result"].is_object(), "{event}");
                self.shown = event["result"].take();
                return Ok(());
            }
            let part = tokio::time::timeout(PATIENCE, self.stream.chunk()).await;
            let part = part.with_context(|| format!("nothing comes after {}", self.shown))??;
            let part = part.context("the watch ended")?;
            self.left.extend_from_slice(&part);
        }
    }

    /// Waits until a tree is shown that is as wanted, and is the tree that is asked for then: one that changes meanwhile is shown
    /// again.
    async fn when(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<()> {
        loop {
            if wanted(&self.shown) {
                let path = "/api/v1/applications/a/resource-tree";
                let asked = self.tenant.client.get(path).await?.ok()?;
                if asked == self.shown {
                    return Ok(());
                }
            }
            self.next().await?;
        }
    }
}

/// The nodes of a kind.
fn of_kind<'a>(nodes: &'a Value, kind: &str) -> Vec<&'a Value> {
    let nodes = nodes.as_array().into_iter().flatten();
    nodes.filter(|node| node["kind"] == kind).collect()
}

/// The ConfigMap of a name.
fn map<'a>(nodes: &'a Value, name: &str) -> Option<&'a Value> {
    let maps = of_kind(nodes, "ConfigMap");
    maps.into_iter().find(|node| node["name"] == name)
}

#[tokio::test]
async fn the_watch_of_a_tree_shows_what_comes_changes_and_goes() -> Result<()> {
    let tenant = deployed("trees").await?;
    let maps = format!("/api/v1/namespaces/{}/configmaps", tenant.name);
    let web = format!("/apis/apps/v1/namespaces/{}/deployments/web", tenant.name);
    let mut watched = Watched::open(&tenant).await?;
    watched
        .when(|tree| of_kind(&tree["nodes"], "Pod").len() == 1)
        .await?;

    // What Git brings.
    let b = config_map("b", "1");
    let commit = tenant.checkout.push_file("app/b.yaml", b).await?;
    let refresh = "/api/v1/applications/a?refresh=normal";
    tenant.client.get(refresh).await?.ok()?;
    let there = |tree: &Value| {
        map(&tree["nodes"], "b").is_some_and(|node| node["health"]["status"] != "Missing")
    };
    watched.when(there).await?;
    let client = &tenant.client;
    client.app_done("a", Some(&commit), PATIENCE).await?;

    // What somebody changes, makes of an object, and deletes.
    let patch = json!({"metadata": {"annotations": {"note": "mine"}}});
    let changed = tenant.kube.merge(&format!("{maps}/a"), &patch).await?;
    let version = &changed["metadata"]["resourceVersion"];
    watched
        .when(|tree| {
            map(&tree["nodes"], "a").is_some_and(|node| node["resourceVersion"] == *version)
        })
        .await?;
    let patch = json!({"spec": {"replicas": 2}});
    tenant.kube.merge(&web, &patch).await?;
    watched
        .when(|tree| of_kind(&tree["nodes"], "Pod").len() == 2)
        .await?;
    tenant.kube.delete(&format!("{maps}/b")).await?;
    let gone = |tree: &Value| {
        map(&tree["nodes"], "b").is_some_and(|node| node["health"]["status"] == "Missing")
    };
    watched.when(gone).await?;

    // What no application has, from when the project asks for it.
    let lost = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "lost"}});
    tenant.kube.apply(&format!("{maps}/lost"), &lost).await?;
    let mut project = client.get("/api/v1/projects/default").await?.ok()?;
    project["spec"]["orphanedResources"] = json!({"warn": true});
    let body = json!({"project": project});
    let put = client.put("/api/v1/projects/default", &body).await?;
    put.ok()?;
    watched
        .when(|tree| map(&tree["orphanedNodes"], "lost").is_some())
        .await?;
    tenant.kube.delete(&format!("{maps}/lost")).await?;
    watched
        .when(|tree| map(&tree["orphanedNodes"], "lost").is_none())
        .await
}
