//! Stands in for an ingress controller in one respect: it publishes an address in the status of Ingresses, as Traefik
//! does when it is told of a published service.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use crate::kube::Kube;

const ALL: &str = "/apis/networking.k8s.io/v1/ingresses";

/// Fills the status of every Ingress of `class` with `address`, now and from now on.
///
/// # Errors
/// Never; a cluster that does not answer is asked again.
pub async fn fill_status(kube: &Kube, class: &str, address: &str) -> Result<Infallible> {
    loop {
        // Whatever ended the watch, the list tells all that was missed.
        let _ = follow(kube, class, address).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn follow(kube: &Kube, class: &str, address: &str) -> Result<()> {
    let list = kube
        .get(ALL)
        .await?
        .context("the cluster knows no Ingress")?;
    for ingress in list["items"].as_array().context("a list")? {
        fill(kube, ingress, class, address).await?;
    }
    let version = list["metadata"]["resourceVersion"]
        .as_str()
        .context("a version")?;
    let path = format!(
        "{ALL}?watch=1&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion={version}"
    );
    let mut stream = kube
        .request(Method::GET, &path)
        .send()
        .await?
        .error_for_status()?
        .bytes_stream();
    let mut rest: Vec<u8> = Vec::new();
    while let Some(part) = stream.next().await {
        rest.extend_from_slice(&part?);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let event: Value = serde_json::from_slice(&line)?;
            match event["type"].as_str() {
                Some("ADDED" | "MODIFIED") => fill(kube, &event["object"], class, address).await?,
                Some("ERROR") => bail!("the watch ended: {}", event["object"]["message"]),
                _ => {}
            }
        }
    }
    Ok(())
}

async fn fill(kube: &Kube, ingress: &Value, class: &str, address: &str) -> Result<()> {
    let meta = &ingress["metadata"];
    let own = ingress["spec"]["ingressClassName"]
        .as_str()
        .or(meta["annotations"]["kubernetes.io/ingress.class"].as_str());
    let status = json!({"loadBalancer": {"ingress": [{"ip": address}]}});
    if own != Some(class) || !meta["deletionTimestamp"].is_null() || ingress["status"] == status {
        return Ok(());
    }
    let (Some(namespace), Some(name)) = (meta["namespace"].as_str(), meta["name"].as_str()) else {
        return Ok(());
    };
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/{name}/status");
    // One that went away meanwhile needs no address.
    let _ = kube.merge(&path, &json!({"status": status})).await;
    Ok(())
}
