//! The apiserver, spoken to directly and with nothing in between: the floor must not contain the product.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use base64::Engine;
use futures::StreamExt;
use reqwest::{Method, StatusCode};
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

    /// Where the API is.
    pub(crate) fn server(&self) -> &str {
        &self.base
    }

    /// One server-side apply.
    pub(crate) async fn apply(&self, namespace: &str, object: &Value) -> anyhow::Result<()> {
        let part = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (version, kind) = (part(&object["apiVersion"]), part(&object["kind"]));
        self.apply_in(&collection(namespace, &version, &kind), object)
            .await
    }

    async fn apply_in(&self, collection: &str, object: &Value) -> anyhow::Result<()> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        // As the product asks: unsaid, the server reads the body twice.
        let path = format!(
            "{collection}/{name}?fieldManager=argocd-controller&force=true&fieldValidation=Ignore"
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
        let patch = json!({"metadata": {"annotations": {"loadtest": value}}});
        let answer = self.merge(namespace, name, &patch).await?;
        version(&answer["metadata"]).with_context(|| format!("{name} came back without a version"))
    }

    /// What a ConfigMap holds as its payload.
    pub(crate) async fn payload(&self, namespace: &str, name: &str) -> anyhow::Result<String> {
        let path = format!("{}/{name}", collection(namespace, "v1", "ConfigMap"));
        let object = self.get(&path).await?;
        let payload = object["data"]["payload"].as_str();
        Ok(payload
            .with_context(|| format!("{name} has no payload"))?
            .to_owned())
    }

    /// Writes another payload into a ConfigMap, which is a drift.
    pub(crate) async fn set_payload(
        &self,
        namespace: &str,
        name: &str,
        payload: &str,
    ) -> anyhow::Result<()> {
        let patch = json!({"data": {"payload": payload}});
        self.merge(namespace, name, &patch).await.map(drop)
    }

    async fn merge(&self, namespace: &str, name: &str, patch: &Value) -> anyhow::Result<Value> {
        let path = format!("{}/{name}", collection(namespace, "v1", "ConfigMap"));
        let answer = self
            .request(Method::PATCH, &path)
            .header("content-type", "application/merge-patch+json")
            .body(patch.to_string())
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        Ok(answer)
    }

    /// Makes a namespace with an account that may do everything in it; a token of that account, for a day.
    pub(crate) async fn guest(&self, namespace: &str) -> anyhow::Result<String> {
        let home = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace},
        });
        self.apply_in("/api/v1/namespaces", &home).await?;
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "guest"},
        });
        self.apply(namespace, &account).await?;
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "guest"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "guest", "namespace": namespace}],
        });
        self.apply(namespace, &binding).await?;
        let accounts = collection(namespace, "v1", "ServiceAccount");
        let wanted = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86_400},
        });
        let answer: Value = self
            .request(Method::POST, &format!("{accounts}/guest/token"))
            .json(&wanted)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        let token = answer["status"]["token"].as_str();
        Ok(token.context("the cluster gave no token")?.to_owned())
    }

    /// Removes a namespace and waits until it is gone.
    pub(crate) async fn delete_namespace(&self, name: &str) -> anyhow::Result<()> {
        let path = format!("/api/v1/namespaces/{name}");
        let answer = self.request(Method::DELETE, &path).send().await?;
        answer.error_for_status()?.bytes().await?;
        for _ in 0..600 {
            let answer = self.request(Method::GET, &path).send().await?;
            if answer.status() == StatusCode::NOT_FOUND {
                return Ok(());
            }
            answer.error_for_status()?.bytes().await?;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        bail!("the namespace {name} was not gone after five minutes")
    }

    /// Every change of the ConfigMaps of a label from now on: name, version, and the moment at which it came.
    pub(crate) async fn watch_config_maps(
        &self,
        namespace: &str,
        selector: &str,
    ) -> anyhow::Result<mpsc::UnboundedReceiver<(String, u64, Instant)>> {
        let response = self.watch(namespace, selector).await?;
        Ok(lines(response, |event, at| {
            let metadata = &event["object"]["metadata"];
            let name = metadata["name"].as_str().unwrap_or_default().to_owned();
            (name, version(metadata).unwrap_or_default(), at)
        }))
    }

    /// The same: name, payload, and the moment at which it came.
    pub(crate) async fn watch_payloads(
        &self,
        namespace: &str,
        selector: &str,
    ) -> anyhow::Result<mpsc::UnboundedReceiver<(String, String, Instant)>> {
        let response = self.watch(namespace, selector).await?;
        Ok(lines(response, |event, at| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let object = &event["object"];
            let (name, payload) = (&object["metadata"]["name"], &object["data"]["payload"]);
            (text(name), text(payload), at)
        }))
    }

    /// A watch of the ConfigMaps of a label, from now on.
    async fn watch(&self, namespace: &str, selector: &str) -> anyhow::Result<reqwest::Response> {
        let path = collection(namespace, "v1", "ConfigMap");
        let list = self.get(&format!("{path}?limit=1")).await?;
        let from = version(&list["metadata"]).context("the cluster's list has no version")?;
        let path = format!("{path}?watch=1&labelSelector={selector}&resourceVersion={from}");
        let response = self.request(Method::GET, &path).send().await?;
        Ok(response.error_for_status()?)
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
