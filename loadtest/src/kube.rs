//! The apiserver, spoken to directly and with nothing in between: the floor must not contain the product.

use std::time::Instant;

use anyhow::{Context, bail};
use base64::Engine;
use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::Target;
use crate::client::lines;

/// A client that acts as the service account that the product would act as.
#[derive(Clone)]
pub(crate) struct Kube {
    http: reqwest::Client,
    base: String,
    token: String,
    impersonate: String,
}

impl Kube {
    pub(crate) fn new(target: &Target) -> anyhow::Result<Self> {
        if target.kubeconfig.is_empty() {
            bail!("--kubeconfig (or KUBECONFIG) is not set: source .naru/env first");
        }
        let text =
            std::fs::read_to_string(&target.kubeconfig).context("cannot read the kubeconfig")?;
        let scalar = |key: &str| {
            text.lines()
                .find_map(|line| {
                    line.trim()
                        .trim_start_matches("- ")
                        .strip_prefix(key)?
                        .strip_prefix(':')
                })
                .map(|v| v.trim().trim_matches('"'))
        };
        let base = scalar("server")
            .context("the kubeconfig names no server")?
            .to_owned();
        let token = scalar("token")
            .context("the floor program needs a kubeconfig with a token, as `up` writes it")?;
        let mut builder = reqwest::Client::builder()
            .http2_adaptive_window(true)
            .tcp_nodelay(true);
        builder = match scalar("certificate-authority-data") {
            Some(data) => {
                let pem = base64::engine::general_purpose::STANDARD.decode(data)?;
                builder.tls_certs_only([reqwest::Certificate::from_pem(&pem)?])
            }
            None => builder.danger_accept_invalid_certs(true),
        };
        Ok(Self {
            http: builder.build()?,
            base,
            token: token.to_owned(),
            impersonate: target.impersonate.clone(),
        })
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token);
        if !self.impersonate.is_empty() {
            request = request.header("impersonate-user", &self.impersonate);
        }
        request
    }

    /// One server-side apply.
    pub(crate) async fn apply(&self, namespace: &str, object: &Value) -> anyhow::Result<()> {
        let part = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (version, kind) = (part(&object["apiVersion"]), part(&object["kind"]));
        let name = part(&object["metadata"]["name"]);
        let path = format!(
            "{}/{name}?fieldManager=argocd-controller&force=true",
            collection(namespace, &version, &kind)
        );
        let request = self
            .request(Method::PATCH, &path)
            .header("content-type", "application/apply-patch+yaml");
        let response = request.body(object.to_string()).send().await?;
        if !response.status().is_success() {
            bail!("apply of {name}: {}", response.text().await?);
        }
        response.bytes().await?;
        Ok(())
    }

    /// The same for all of them, at most `width` at a time.
    pub(crate) async fn apply_all(
        &self,
        namespace: &str,
        objects: &[Value],
        width: usize,
    ) -> anyhow::Result<()> {
        let mut running =
            futures::stream::iter(objects.iter().map(|object| self.apply(namespace, object)))
                .buffer_unordered(width);
        while let Some(done) = running.next().await {
            done?;
        }
        Ok(())
    }

    /// Writes an annotation into a ConfigMap, which is a change and no drift; the version that the object has since.
    pub(crate) async fn annotate(
        &self,
        namespace: &str,
        name: &str,
        value: &str,
    ) -> anyhow::Result<u64> {
        let path = format!("{}/{name}", collection(namespace, "v1", "ConfigMap"));
        let patch = json!({"metadata": {"annotations": {"loadtest": value}}});
        let answer: Value = self
            .request(Method::PATCH, &path)
            .header("content-type", "application/merge-patch+json")
            .body(patch.to_string())
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        version(&answer["metadata"]).with_context(|| format!("{name} came back without a version"))
    }

    /// Every change of the ConfigMaps of a label from now on: name, version, and the moment at which it came.
    pub(crate) async fn watch_config_maps(
        &self,
        namespace: &str,
        selector: &str,
    ) -> anyhow::Result<mpsc::UnboundedReceiver<(String, u64, Instant)>> {
        let path = collection(namespace, "v1", "ConfigMap");
        let list = self.get(&format!("{path}?limit=1")).await?;
        let from = version(&list["metadata"]).context("the cluster's list has no version")?;
        let path = format!("{path}?watch=1&labelSelector={selector}&resourceVersion={from}");
        let response = self
            .request(Method::GET, &path)
            .send()
            .await?
            .error_for_status()?;
        Ok(lines(response, |event, at| {
            let metadata = &event["object"]["metadata"];
            let name = metadata["name"].as_str().unwrap_or_default().to_owned();
            (name, version(metadata).unwrap_or_default(), at)
        }))
    }

    /// How many ConfigMaps of a label there are, and how many bytes of JSON they are without what the server writes down of
    /// who wrote what.
    pub(crate) async fn measure_config_maps(
        &self,
        namespace: &str,
        selector: &str,
    ) -> anyhow::Result<(usize, usize)> {
        let path = collection(namespace, "v1", "ConfigMap");
        let mut list = self
            .get(&format!("{path}?labelSelector={selector}"))
            .await?;
        let (mut count, mut bytes) = (0, 0);
        for item in list["items"].as_array_mut().into_iter().flatten() {
            if let Some(metadata) = item["metadata"].as_object_mut() {
                metadata.remove("managedFields");
            }
            count += 1;
            bytes += item.to_string().len();
        }
        Ok((count, bytes))
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let response = self.request(Method::GET, path).send().await?;
        Ok(response.error_for_status()?.json().await?)
    }

    /// The ConfigMaps of a namespace by label.
    pub(crate) async fn list_config_maps(
        &self,
        namespace: &str,
        selector: &str,
    ) -> anyhow::Result<usize> {
        self.count(namespace, "v1", "ConfigMap", selector).await
    }

    /// How many objects of a kind and a label there are.
    pub(crate) async fn count(
        &self,
        namespace: &str,
        version: &str,
        kind: &str,
        selector: &str,
    ) -> anyhow::Result<usize> {
        let path = collection(namespace, version, kind);
        let list = self
            .get(&format!("{path}?labelSelector={selector}"))
            .await?;
        Ok(list["items"].as_array().map_or(0, Vec::len))
    }

    /// Removes them.
    pub(crate) async fn delete(
        &self,
        namespace: &str,
        version: &str,
        kind: &str,
        selector: &str,
    ) -> anyhow::Result<()> {
        let path = collection(namespace, version, kind);
        self.request(Method::DELETE, &format!("{path}?labelSelector={selector}"))
            .send()
            .await?
            .error_for_status()?
            .bytes()
            .await?;
        Ok(())
    }
}

/// Where the objects of a kind are. The kinds of a load run all have a plural that ends in `s`.
fn collection(namespace: &str, version: &str, kind: &str) -> String {
    let root = if version.contains('/') { "apis" } else { "api" };
    let plural = kind.to_lowercase();
    format!("/{root}/{version}/namespaces/{namespace}/{plural}s")
}

/// The version in an object's or a list's metadata; the apiserver's are numbers that grow.
fn version(metadata: &Value) -> Option<u64> {
    metadata["resourceVersion"].as_str()?.parse().ok()
}
