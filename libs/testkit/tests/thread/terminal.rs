//! A shell in a container, as Argo CD's pages open it: who may, where, and until when.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::Client;
use testkit::platform::Tenant;
use testkit::wait;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::objects::deployed;
use crate::{PATIENCE, set, with_key};

/// Within this a terminal ends that may not go on.
const AT_ONCE: Duration = Duration::from_secs(8);

/// A terminal that is open.
pub(crate) struct Terminal {
    socket: WebSocketStream<TcpStream>,
    shown: String,
}

impl Terminal {
    /// Opens one, as whoever the client is.
    pub(crate) async fn open(client: &Client, query: &str) -> Result<Self> {
        let address = client.server();
        let mut request = format!("ws://{address}/terminal?{query}").into_client_request()?;
        let token = HeaderValue::try_from(format!("Bearer {}", client.token()))?;
        request.headers_mut().insert("authorization", token);
        let stream = TcpStream::connect(address).await?;
        let (socket, _) = client_async(request, stream).await?;
        Ok(Self {
            socket,
            shown: String::new(),
        })
    }

    async fn send(&mut self, message: &Value) -> Result<()> {
        let sent = self.socket.send(Message::text(message.to_string()));
        sent.await.context("the terminal takes nothing more")
    }

    pub(crate) async fn type_in(&mut self, text: &str) -> Result<()> {
        self.send(&json!({"operation": "stdin", "data": text, "rows": 24, "cols": 80}))
            .await
    }

    /// The next message that says something; `None` at the end.
    async fn next(&mut self) -> Result<Option<Value>> {
        while let Some(message) = self.socket.next().await {
            match message {
                Ok(Message::Text(text)) => return Ok(Some(serde_json::from_str(&text)?)),
                Ok(Message::Close(_)) => return Ok(None),
                Ok(_) => {}
                Err(error) => bail!("the terminal broke off: {error}"),
            }
        }
        Ok(None)
    }

    /// Reads until this is shown.
    async fn until(&mut self, wanted: &str) -> Result<()> {
        let reading = async {
            while !self.shown.contains(wanted) {
                let said = self.next().await?.context("the terminal ended")?;
                ensure!(said["operation"] == "stdout", "{said}");
                self.shown
                    .push_str(said["data"].as_str().context("no data")?);
            }
            Ok(())
        };
        let read = tokio::time::timeout(PATIENCE, reading).await;
        match read {
            Ok(read) => read,
            Err(_) => bail!("no {wanted:?} in {:?}", self.shown),
        }
    }

    /// Reads until it ends; the messages on the way.
    pub(crate) async fn end(mut self, within: Duration) -> Result<String> {
        let reading = async {
            let mut all = String::new();
            while let Some(said) = self.next().await? {
                all.push_str(&said.to_string());
            }
            Ok::<_, anyhow::Error>(all)
        };
        let read = tokio::time::timeout(within, reading).await;
        read.context("the terminal goes on")?
    }
}

/// What a request for a terminal that is refused is answered: the status, and the words.
pub(crate) async fn refused(
    client: &Client,
    query: &str,
    more: &[(&str, &str)],
) -> Result<(u16, String)> {
    let mut request = client
        .request(Method::GET, &format!("/terminal?{query}"))
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    ensure!(status != 101, "it was opened");
    Ok((status, answer.text().await?.trim().to_owned()))
}

/// The pod of a tenant's application `a`.
async fn pod(tenant: &Tenant) -> Result<String> {
    wait::until("the pod is shown and runs", PATIENCE, || async {
        let tree = tenant
            .client
            .get("/api/v1/applications/a/resource-tree")
            .await?
            .ok()?;
        let nodes = tree["nodes"].as_array().context("no nodes")?;
        let pod = nodes
            .iter()
            .find(|node| node["kind"] == "Pod")
            .context("no pod")?;
        ensure!(pod["health"]["status"] == "Healthy", "{pod}");
        Ok(pod["name"].as_str().context("no name")?.to_owned())
    })
    .await
}

/// The place of a terminal, as the pages name it.
fn place(pod: &str, namespace: &str) -> String {
    format!(
        "pod={pod}&container=main&appName=a&appNamespace=argocd&projectName=default&namespace={namespace}"
    )
}

/// A tenant with an application whose containers may be entered, and the place of its one container.
pub(crate) async fn enterable(label: &str) -> Result<(Tenant, String)> {
    let tenant = deployed(label).await?;
    set(&tenant, "argocd-cm", "exec.enabled", "true").await?;
    set(&tenant, "argocd-cm", "exec.shells", "no-such-shell,sh").await?;
    let place = place(&pod(&tenant).await?, &tenant.name);
    Ok((tenant, place))
}

#[tokio::test]
async fn a_shell_answers_knows_its_size_and_is_on_record_without_a_word() -> Result<()> {
    let tenant = deployed("terminal").await?;
    let client = &tenant.client;
    let place = place(&pod(&tenant).await?, &tenant.name);
    let (status, words) = refused(client, &place, &[]).await?;
    assert_eq!((status, words.as_str()), (404, ""), "not switched on");
    set(&tenant, "argocd-cm", "exec.enabled", "true").await?;
    set(&tenant, "argocd-cm", "exec.shells", "no-such-shell,sh").await?;
    let shown = client.get("/api/v1/settings").await?.ok()?;
    assert_eq!(shown["execEnabled"], true);

    let mut terminal = Terminal::open(client, &place).await?;
    terminal
        .send(&json!({"operation": "resize", "cols": 120, "rows": 40}))
        .await?;
    // The size comes on a road of its own, and may be a moment behind.
    let line = "until stty size | grep -q '^40 120'; do sleep 0.1; done; echo said-$((40*120))\r";
    terminal.type_in(line).await?;
    terminal.until("said-4800").await?;
    terminal.type_in("exit\r").await?;
    terminal.end(PATIENCE).await?;

    let entry = wait::until("the end is on record", PATIENCE, || async {
        let page = client
            .get("/api/naru/v1/audit?action=terminal&result=OK")
            .await?
            .ok()?;
        page["items"][0].as_object().context("no entry")?;
        Ok(page["items"][0].clone())
    })
    .await?;
    let object = entry["object"].as_str().context("no object")?;
    assert!(object.starts_with("default/a/"), "{entry}");
    assert_eq!(entry["actor"], "admin");
    let details = entry["details"].as_str().context("no details")?;
    assert!(details.contains(r#""ended":"shell""#), "{details}");
    assert!(!entry.to_string().contains("said-"), "{entry}");
    Ok(())
}

#[tokio::test]
async fn a_terminal_is_refused_in_argo_cds_words() -> Result<()> {
    let (tenant, there) = enterable("refused").await?;
    let (other, elsewhere) = enterable("refused-b").await?;
    let client = &tenant.client;
    let with = |name: &str, value: &str| {
        let parts = there.split('&').map(|part| match part.split_once('=') {
            Some((named, _)) if named == name => format!("{name}={value}"),
            _ => part.to_owned(),
        });
        parts.collect::<Vec<_>>().join("&")
    };
    for (query, status, words) in [
        (with("container", ""), 400, "Missing required parameters"),
        (with("pod", "..%2Fx"), 400, "Pod name is not valid"),
        (
            with("appNamespace", "other"),
            403,
            "namespace 'other' is not permitted",
        ),
        (with("appName", "absent"), 404, "App not found"),
        (
            with("pod", "absent"),
            400,
            "Pod doesn't belong to specified app",
        ),
        // Another tenant's pod, whose application has the same name.
        (
            elsewhere.clone(),
            400,
            "Pod doesn't belong to specified app",
        ),
        (with("container", "other"), 400, "Cannot find container"),
    ] {
        let answer = refused(client, &query, &[]).await?;
        assert_eq!(answer, (status, words.to_owned()), "{query}");
    }
    let answer = client.get(&format!("/terminal?{there}")).await?;
    assert_eq!(answer.status, 400, "no websocket: {}", answer.body);

    // Who is nobody, or somebody without the right.
    let nobody = client.with_token("");
    assert_eq!(refused(&nobody, &there, &[]).await?.0, 400);
    let foreign = client.with_token(other.client.token());
    assert_eq!(refused(&foreign, &there, &[]).await?.0, 401);
    let bob = with_key(&tenant, "bob").await?;
    let (status, words) = refused(&bob, &there, &[]).await?;
    assert_eq!(status, 401, "{words}");
    assert!(words.contains("applications, get, default/a"), "{words}");
    let seeing = "p, bob, applications, get, default/*, allow";
    set(&tenant, "argocd-rbac-cm", "policy.csv", seeing).await?;
    wait::until("bob sees the application", PATIENCE, || async {
        bob.get("/api/v1/applications/a").await?.ok().map(drop)
    })
    .await?;
    let (status, words) = refused(&bob, &there, &[]).await?;
    assert_eq!(status, 401, "{words}");
    assert!(words.contains("exec, create, default/a"), "{words}");
    // Nor does it tell what is there.
    assert_eq!(refused(&bob, &with("appName", "absent"), &[]).await?.0, 401);
    Ok(())
}

#[tokio::test]
async fn s09_a_page_of_another_site_opens_no_terminal() -> Result<()> {
    let (tenant, place) = enterable("origin").await?;
    for origin in ["https://evil.example", "null"] {
        let (status, words) = refused(&tenant.client, &place, &[("origin", origin)]).await?;
        assert_eq!(status, 403, "{origin}: {words}");
        assert!(words.contains("another origin"), "{words}");
    }
    let site = [("sec-fetch-site", "same-site")];
    assert_eq!(refused(&tenant.client, &place, &site).await?.0, 403);
    Ok(())
}

#[tokio::test]
async fn s15_a_terminal_ends_with_the_right_with_the_token_and_with_the_setting() -> Result<()> {
    let (tenant, place) = enterable("s15-exec").await?;
    let bob = with_key(&tenant, "bob").await?;
    let policy =
        "p, bob, applications, get, default/*, allow\np, bob, exec, create, default/*, allow";
    let open = async |client: &Client| -> Result<Terminal> {
        let opened = wait::until("a terminal is opened", PATIENCE, || {
            Terminal::open(client, &place)
        });
        let mut terminal = opened.await?;
        terminal.type_in("echo said-$((6*7))\r").await?;
        terminal.until("said-42").await?;
        Ok(terminal)
    };
    set(&tenant, "argocd-rbac-cm", "policy.csv", policy).await?;
    let terminal = open(&bob).await?;
    set(&tenant, "argocd-rbac-cm", "policy.csv", "").await?;
    let last = terminal.end(AT_ONCE).await?;
    assert!(last.contains("Permission denied"), "{last}");

    set(&tenant, "argocd-rbac-cm", "policy.csv", policy).await?;
    let terminal = open(&bob).await?;
    set(&tenant, "argocd-cm", "accounts.bob.enabled", "false").await?;
    let last = terminal.end(AT_ONCE).await?;
    assert!(last.contains(r#"{"Code":1}"#), "{last}");

    let terminal = open(&tenant.client).await?;
    set(&tenant, "argocd-cm", "exec.enabled", "false").await?;
    let last = terminal.end(AT_ONCE).await?;
    assert!(last.contains("Permission denied"), "{last}");
    Ok(())
}

#[tokio::test]
async fn s15_a_terminal_ends_when_its_application_leaves_the_project() -> Result<()> {
    let (tenant, place) = enterable("s15-moved").await?;
    let client = &tenant.client;
    let other = json!({"project": {"metadata": {"name": "other"}, "spec": {
        "sourceRepos": ["*"],
        "destinations": [{"server": "*", "namespace": "*"}],
        "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
    }}});
    client.post("/api/v1/projects", &other).await?.ok()?;
    let opened = wait::until("a terminal is opened", PATIENCE, || {
        Terminal::open(client, &place)
    });
    let mut terminal = opened.await?;
    terminal.type_in("echo said-$((6*7))\r").await?;
    terminal.until("said-42").await?;
    let patch = json!({"spec": {"project": "other"}}).to_string();
    let body = json!({"name": "a", "patch": patch, "patchType": "merge"});
    client.patch("/api/v1/applications/a", &body).await?.ok()?;
    let last = terminal.end(AT_ONCE).await?;
    assert!(last.contains("Permission denied"), "{last}");
    Ok(())
}
