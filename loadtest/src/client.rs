//! The public API over REST, as any client would use it.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::Target;

/// The address of the cluster that the platform runs on.
pub(crate) const IN_CLUSTER: &str = "https://kubernetes.default.svc";

/// A signed-in client.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Client {
    pub(crate) async fn login(target: &Target) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .danger_accept_invalid_certs(true)
            .tcp_nodelay(true)
            .build()
            .context("cannot make an HTTP client")?;
        let mut client = Self {
            http,
            base: format!("{}://{}", target.scheme, target.server),
            token: String::new(),
        };
        let login = json!({"username": target.user, "password": target.password});
        let session = client
            .call(Method::POST, "/api/v1/session", Some(&login))
            .await
            .context("cannot sign in")?;
        client.token = session["token"]
            .as_str()
            .context("the server gave no token")?
            .to_owned();
        Ok(client)
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let text = self.text(method, path, body).await?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// The same, for whom the answer is enough: its text is received and not taken apart.
    async fn text(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<String> {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base))
            .bearer_auth(&self.token);
        // Argo CD answers 415 to any call that is no GET and names another type, bodies or not.
        request = request.header("content-type", "application/json");
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            bail!("{method} {path}: {status}: {text}");
        }
        Ok(text)
    }

    /// Every change of every application, from now on, as `(name, application)`.
    pub(crate) async fn watch(&self) -> anyhow::Result<mpsc::UnboundedReceiver<(String, Value)>> {
        let fields = "result.type,result.application.metadata.name,result.application.metadata.resourceVersion,\
                      result.application.status.sync,result.application.status.health,result.application.status.operationState,\
                      result.application.operation";
        let response = self
            .http
            .get(format!(
                "{}/api/v1/stream/applications?fields={fields}",
                self.base
            ))
            .bearer_auth(&self.token)
            .send()
            .await?
            .error_for_status()?;
        Ok(lines(response, |mut event, _| {
            let app = event["result"]["application"].take();
            let name = app["metadata"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            (name, app)
        }))
    }

    /// The resource tree of an application, now and whenever it changes: the name and the version of each node, and the moment
    /// at which they came.
    pub(crate) async fn watch_tree(
        &self,
        name: &str,
    ) -> anyhow::Result<mpsc::UnboundedReceiver<(Value, Instant)>> {
        let fields = "result.nodes.name,result.nodes.resourceVersion";
        let response = self
            .http
            .get(format!(
                "{}/api/v1/stream/applications/{name}/resource-tree?fields={fields}",
                self.base
            ))
            .bearer_auth(&self.token)
            .send()
            .await?
            .error_for_status()?;
        Ok(lines(response, |mut event, at| {
            (event["result"]["nodes"].take(), at)
        }))
    }

    /// Creates or replaces an application of one folder.
    pub(crate) async fn put_app(
        &self,
        target: &Target,
        name: &str,
        path: &str,
        automated: bool,
    ) -> anyhow::Result<()> {
        self.put_app_at(IN_CLUSTER, target, name, path, automated)
            .await
    }

    /// The same, in the cluster of that address.
    pub(crate) async fn put_app_at(
        &self,
        server: &str,
        target: &Target,
        name: &str,
        path: &str,
        automated: bool,
    ) -> anyhow::Result<()> {
        let policy = if automated {
            json!({"automated": {"prune": true, "selfHeal": true}})
        } else {
            json!({})
        };
        let app = json!({
            "metadata": {"name": name, "finalizers": ["resources-finalizer.argocd.argoproj.io"]},
            "spec": {
                "project": "default",
                "source": {"repoURL": target.repo, "path": path, "targetRevision": "HEAD"},
                "destination": {"server": server, "namespace": target.namespace},
                "syncPolicy": policy,
            },
        });
        self.call(
            Method::POST,
            "/api/v1/applications?upsert=true&validate=false",
            Some(&app),
        )
        .await
        .map(drop)
    }

    /// Asks for a sync.
    pub(crate) async fn sync(&self, name: &str) -> anyhow::Result<()> {
        let body = json!({"prune": true, "strategy": {"hook": {}}});
        self.text(
            Method::POST,
            &format!("/api/v1/applications/{name}/sync"),
            Some(&body),
        )
        .await
        .map(drop)
    }

    /// Deletes applications and waits until they are gone.
    pub(crate) async fn delete_apps(&self, names: &[String]) -> anyhow::Result<()> {
        each(names, 32, |name| async move {
            self.call(
                Method::DELETE,
                &format!("/api/v1/applications/{name}?cascade=true"),
                None,
            )
            .await
            .map(drop)
        })
        .await?;
        for _ in 0..600 {
            let list = self
                .call(
                    Method::GET,
                    "/api/v1/applications?fields=items.metadata.name",
                    None,
                )
                .await?;
            let left = list["items"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|app| app["metadata"]["name"].as_str());
            if !left
                .into_iter()
                .any(|name| names.iter().any(|deleted| deleted == name))
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        bail!("the applications were not gone after five minutes")
    }
}

/// What is read from each line of an answer that goes on, a JSON value, and from the moment at which it came.
pub(crate) fn lines<T: Send + 'static>(
    response: reqwest::Response,
    read: impl Fn(Value, Instant) -> T + Send + 'static,
) -> mpsc::UnboundedReceiver<T> {
    let (sender, receiver) = mpsc::unbounded_channel();
    #[expect(clippy::disallowed_methods, reason = "a load program has no drain")]
    tokio::spawn(async move {
        let mut chunks = response.bytes_stream();
        let mut pending = Vec::new();
        while let Some(Ok(chunk)) = chunks.next().await {
            let at = Instant::now();
            pending.extend_from_slice(&chunk);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                let Ok(event) = serde_json::from_slice::<Value>(&line) else {
                    continue;
                };
                if sender.send(read(event, at)).is_err() {
                    return;
                }
            }
        }
    });
    receiver
}

/// Does something for every name, at most `width` at a time; the first error ends it.
pub(crate) async fn each<'a, F, R>(names: &'a [String], width: usize, act: F) -> anyhow::Result<()>
where
    F: Fn(&'a str) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    let mut running =
        futures::stream::iter(names.iter().map(|name| act(name))).buffer_unordered(width);
    while let Some(done) = running.next().await {
        done?;
    }
    Ok(())
}
