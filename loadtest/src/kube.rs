//! The apiserver, spoken to directly and with nothing in between: the floor must not contain the product.

use anyhow::{Context, bail};
use base64::Engine;
use serde_json::Value;

use crate::Target;

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

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token);
        if !self.impersonate.is_empty() {
            request = request.header("impersonate-user", &self.impersonate);
        }
        request
    }

    /// One server-side apply of a ConfigMap.
    pub(crate) async fn apply_config_map(
        &self,
        namespace: &str,
        name: &str,
        object: &Value,
    ) -> anyhow::Result<()> {
        let path = format!(
            "/api/v1/namespaces/{namespace}/configmaps/{name}?fieldManager=argocd-controller&force=true"
        );
        let request = self
            .request(reqwest::Method::PATCH, &path)
            .header("content-type", "application/apply-patch+yaml");
        let response = request.body(object.to_string()).send().await?;
        if !response.status().is_success() {
            bail!("apply of {name}: {}", response.text().await?);
        }
        response.bytes().await?;
        Ok(())
    }

    /// The ConfigMaps of a namespace by label.
    pub(crate) async fn list_config_maps(
        &self,
        namespace: &str,
        selector: &str,
    ) -> anyhow::Result<usize> {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps?labelSelector={selector}");
        let list: Value = self
            .request(reqwest::Method::GET, &path)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        Ok(list["items"].as_array().map_or(0, Vec::len))
    }

    /// Removes them.
    pub(crate) async fn delete_config_maps(
        &self,
        namespace: &str,
        selector: &str,
    ) -> anyhow::Result<()> {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps?labelSelector={selector}");
        self.request(reqwest::Method::DELETE, &path)
            .send()
            .await?
            .error_for_status()?
            .bytes()
            .await?;
        Ok(())
    }
}
