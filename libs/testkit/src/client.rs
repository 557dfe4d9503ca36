//! A client of the platform, by REST and by the unmodified `argocd` command. Two tenants' clients differ only by host
//! and token.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command::command;
use crate::http;
use crate::progress::Progress;
use crate::tools;
use crate::wait;

/// Signed in as one account, at one host.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    token: String,
    http: reqwest::Client,
    /// Whose certificates are trusted over TLS; any where there is none.
    authority: Option<PathBuf>,
    /// The clusters that the command reaches by itself.
    kubeconfig: Option<PathBuf>,
    /// What the command opens files with for somebody to edit, and its words before the file.
    editor: Option<String>,
    /// The command's own configuration, apart from the user's.
    argocd_home: Arc<TempDir>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; a string where it is no JSON.
    pub body: Value,
}

impl Answer {
    /// The body of a success.
    ///
    /// # Errors
    /// The body of anything else.
    pub fn ok(self) -> Result<Value> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let said = self.body["message"]
            .as_str()
            .or(self.body["error"].as_str())
            .map(str::to_owned);
        bail!(
            "{}: {}",
            self.status,
            said.unwrap_or_else(|| self.body.to_string())
        );
    }
}

impl Client {
    /// Nobody yet, at `base` (`http://127.0.0.1:8080`).
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(base: &str) -> Result<Self> {
        let argocd_home = Arc::new(tempfile::Builder::new().prefix("argocd-").tempdir()?);
        Ok(Self {
            base: base.to_owned(),
            token: String::new(),
            http: http::unchecked()?,
            authority: None,
            kubeconfig: None,
            editor: None,
            argocd_home,
        })
    }

    /// The same, trusting only certificates of the authority in that file.
    ///
    /// # Errors
    /// When it is no certificate.
    pub fn trusting(self, authority: &Path) -> Result<Self> {
        Ok(Self {
            http: http::trusting(authority)?,
            authority: Some(authority.to_owned()),
            ..self
        })
    }

    /// Signs in.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn login(base: &str, username: &str, password: &str) -> Result<Self> {
        Self::new(base)?.sign_in(username, password).await
    }

    /// The same, signed in.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn sign_in(mut self, username: &str, password: &str) -> Result<Self> {
        let body = json!({"username": username, "password": password});
        let session = self
            .post("/api/v1/session", &body)
            .await?
            .ok()
            .with_context(|| format!("cannot sign in as {username}"))?;
        self.token = session["token"]
            .as_str()
            .context("the session has no token")?
            .to_owned();
        Ok(self)
    }

    /// The same with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    /// The same, whose command reaches the clusters of that kubeconfig by itself.
    #[must_use]
    pub fn with_kubeconfig(&self, file: &Path) -> Self {
        Self {
            kubeconfig: Some(file.to_owned()),
            ..self.clone()
        }
    }

    /// The same, whose command opens files with that program and its words, divided by spaces.
    #[must_use]
    pub fn with_editor(&self, editor: &str) -> Self {
        Self {
            editor: Some(editor.to_owned()),
            ..self.clone()
        }
    }

    /// The same account at another host, which must refuse it unless it serves the account's tenant.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn at(&self, base: &str) -> Result<Self> {
        Ok(Self {
            token: self.token.clone(),
            ..Self::new(base)?
        })
    }

    /// The address.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The address without its scheme: `host:port`.
    #[must_use]
    pub fn server(&self) -> &str {
        self.base
            .split_once("://")
            .map_or(self.base.as_str(), |(_, server)| server)
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A request, for what the other methods do not do (streams, headers).
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        if self.token.is_empty() {
            request
        } else {
            request.bearer_auth(&self.token)
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder, path: &str) -> Result<Answer> {
        let response = request
            .send()
            .await
            .map_err(|error| anyhow::anyhow!("{path}: {}", http::chain(&error)))?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok(Answer {
            status,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        })
    }

    /// GET.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::GET, path), path).await
    }

    /// POST.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(self.request(Method::POST, path).json(body), path)
            .await
    }

    /// PUT.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(self.request(Method::PUT, path).json(body), path)
            .await
    }

    /// PATCH.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(self.request(Method::PATCH, path).json(body), path)
            .await
    }

    /// DELETE. It names a content type as every writing request must, though it has no content.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.send(
            self.request(Method::DELETE, path)
                .header("content-type", "application/json"),
            path,
        )
        .await
    }

    /// The application of that name.
    ///
    /// # Errors
    /// When there is none.
    pub async fn app(&self, name: &str) -> Result<Value> {
        self.get(&format!("/api/v1/applications/{name}"))
            .await?
            .ok()
    }

    /// Waits until an application is as `wanted` says.
    ///
    /// # Errors
    /// What it is instead, when the deadline has passed.
    pub async fn app_when(
        &self,
        name: &str,
        within: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        wait::until(&format!("application {name}"), within, || async {
            let app = self.app(name).await?;
            ensure!(wanted(&app), "{}", summary(&app));
            Ok(app)
        })
        .await
    }

    /// Waits until an application is Synced (at `revision`, where one is given) and Healthy.
    ///
    /// # Errors
    /// What it is instead, when the deadline has passed.
    pub async fn app_done(
        &self,
        name: &str,
        revision: Option<&str>,
        within: Duration,
    ) -> Result<Value> {
        self.app_when(name, within, |app| {
            let status = &app["status"];
            status["sync"]["status"] == "Synced"
                && status["health"]["status"] == "Healthy"
                && status["operationState"]["phase"]
                    .as_str()
                    .is_none_or(|phase| phase != "Running")
                && revision.is_none_or(|revision| status["sync"]["revision"] == revision)
        })
        .await
    }

    /// Waits until there is no application of that name, of which nobody hears more than that they may not see it.
    ///
    /// # Errors
    /// What is answered instead, when the deadline has passed.
    pub async fn app_gone(&self, name: &str, within: Duration) -> Result<()> {
        let path = format!("/api/v1/applications/{name}");
        wait::until(&format!("application {name} is gone"), within, || async {
            let answer = self.get(&path).await?;
            ensure!(answer.status == 403, "{}: {}", answer.status, answer.body);
            Ok(())
        })
        .await
    }

    /// Runs the unmodified `argocd` against this server as this account, with a configuration of its own.
    ///
    /// # Errors
    /// When it cannot be run; a failure of its own is its exit code.
    pub async fn argocd(&self, args: &[&str]) -> Result<Output> {
        let program = tools::path("argocd", &Progress::silent()).await?;
        let mut argocd = command(program);
        argocd.args(args).args(["--server", self.server()]);
        match &self.authority {
            _ if self.base.starts_with("http:") => argocd.arg("--plaintext"),
            None => argocd.arg("--insecure"),
            // Signing in, the command looks only at what the system trusts.
            Some(authority) if args.first() == Some(&"login") => {
                argocd.env("SSL_CERT_FILE", authority)
            }
            Some(authority) => argocd.arg("--server-crt").arg(authority),
        };
        argocd
            .env("ARGOCD_CONFIG_DIR", self.argocd_home())
            .env_remove("ARGOCD_OPTS");
        if let Some(file) = &self.kubeconfig {
            argocd.env("KUBECONFIG", file);
        }
        if let Some(editor) = &self.editor {
            argocd.env("EDITOR", editor);
        }
        if !self.token.is_empty() && args.first() != Some(&"login") {
            argocd.env("ARGOCD_AUTH_TOKEN", &self.token);
        }
        argocd.output().await.context("cannot run argocd")
    }

    /// Where the command keeps its configuration.
    #[must_use]
    pub fn argocd_home(&self) -> PathBuf {
        self.argocd_home.path().to_owned()
    }
}

/// What an application is, on one line.
#[must_use]
pub fn summary(app: &Value) -> String {
    let status = &app["status"];
    let conditions: Vec<String> = status["conditions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .map(|condition| {
            format!(
                "{}: {}",
                condition["type"].as_str().unwrap_or_default(),
                condition["message"].as_str().unwrap_or_default()
            )
        })
        .collect();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let operation = &status["operationState"];
    format!(
        "{} at {}, {}, operation {} {} {}",
        text(&status["sync"]["status"]),
        text(&status["sync"]["revision"]),
        text(&status["health"]["status"]),
        text(&operation["phase"]),
        text(&operation["message"]),
        conditions.join("; ")
    )
}
