//! The Kubernetes API over plain REST: what tests and developer tools do to a cluster as somebody who is not Naru.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::http;
use crate::paths;

/// Someone's access to a cluster.
#[derive(Clone, Debug)]
pub struct Kube {
    client: Client,
    server: String,
    ca: PathBuf,
    token: String,
    impersonate: Option<String>,
}

impl Kube {
    /// To `server`, whose certificate `ca` signed, by bearer token.
    ///
    /// # Errors
    /// When the authority cannot be read.
    pub fn new(server: &str, ca: &Path, token: &str) -> Result<Self> {
        let client = http::trusting(ca)?;
        Ok(Self {
            client,
            server: server.to_owned(),
            ca: ca.to_owned(),
            token: token.to_owned(),
            impersonate: None,
        })
    }

    /// The same with connections of its own: those of a client end with the runtime that made them, and every test has
    /// its own runtime.
    ///
    /// # Errors
    /// When the authority cannot be read any more.
    pub fn fresh(&self) -> Result<Self> {
        Ok(Self {
            client: http::trusting(&self.ca)?,
            ..self.clone()
        })
    }

    /// The same as another user, such as `system:serviceaccount:user01:naru`.
    #[must_use]
    pub fn impersonating(&self, user: &str) -> Self {
        Self {
            impersonate: Some(user.to_owned()),
            ..self.clone()
        }
    }

    /// Where the API is.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// A request, for what the other methods do not do (watches, logs).
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .client
            .request(method, format!("{}{path}", self.server))
            .bearer_auth(&self.token);
        match &self.impersonate {
            Some(user) => request.header("impersonate-user", user),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder, what: &str) -> Result<Option<Value>> {
        let response = request
            .send()
            .await
            .map_err(|error| anyhow::anyhow!("{what}: {}", http::chain(&error)))?;
        let status = response.status();
        let text = response.text().await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() {
            let said: Value = serde_json::from_str(&text).unwrap_or_default();
            bail!(
                "{what}: {}: {}",
                status.as_u16(),
                said["message"].as_str().unwrap_or(text.trim())
            );
        }
        Ok(Some(
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }

    /// The object at `path`, or `None`.
    ///
    /// # Errors
    /// When the cluster refuses or does not answer.
    pub async fn get(&self, path: &str) -> Result<Option<Value>> {
        self.send(self.request(Method::GET, path), &format!("get {path}"))
            .await
    }

    /// Creates or changes an object by server-side apply as manager `testkit`.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub async fn apply(&self, path: &str, object: &Value) -> Result<Value> {
        let request = self.request(
            Method::PATCH,
            &format!("{path}?fieldManager=testkit&force=true"),
        );
        let request = request
            .header("content-type", "application/apply-patch+yaml")
            .body(object.to_string());
        self.send(request, &format!("apply {path}"))
            .await?
            .with_context(|| format!("apply {path}: not found"))
    }

    /// Changes an object by a merge patch, as manager `testkit-edit`.
    ///
    /// # Errors
    /// When there is none, or the cluster refuses.
    pub async fn merge(&self, path: &str, patch: &Value) -> Result<Value> {
        let request = self.request(Method::PATCH, &format!("{path}?fieldManager=testkit-edit"));
        let request = request
            .header("content-type", "application/merge-patch+json")
            .body(patch.to_string());
        self.send(request, &format!("change {path}"))
            .await?
            .with_context(|| format!("change {path}: not found"))
    }

    /// Deletes an object in the background. `false` where there was none.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub async fn delete(&self, path: &str) -> Result<bool> {
        let options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        Ok(self
            .send(
                self.request(Method::DELETE, path).json(&options),
                &format!("delete {path}"),
            )
            .await?
            .is_some())
    }

    /// Creates the namespace, if there is none.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub async fn ensure_namespace(&self, name: &str) -> Result<()> {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.apply(&format!("/api/v1/namespaces/{name}"), &namespace)
            .await
            .map(drop)
    }

    /// Writes a kubeconfig for this access.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_kubeconfig(&self, file: &Path, user: &str) -> Result<()> {
        use base64::Engine;
        let ca = base64::engine::general_purpose::STANDARD.encode(std::fs::read(&self.ca)?);
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: naru\nclusters:\n- name: naru\n  cluster:\n    server: {}\n    \
             certificate-authority-data: {ca}\ncontexts:\n- name: naru\n  context:\n    cluster: naru\n    user: {user}\nusers:\n\
             - name: {user}\n  user:\n    token: {}\n",
            self.server, self.token
        );
        paths::private_file(file, text.as_bytes())
    }
}
