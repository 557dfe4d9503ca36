//! What one peer, or one tenant, may take of what is everybody's: memory for bodies, calls, look-ups.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::Edge;

pub(crate) const MIB: usize = 1 << 20;
pub(crate) const ONE: &str = "127.0.0.2";
pub(crate) const TWO: &str = "127.0.0.3";
pub(crate) const SYNC: &str = "/application.ApplicationService/Sync";
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// More than a minute lets through, however slow the machine.
pub(crate) const MANY: usize = 1_000;
/// A token that nobody issued.
pub(crate) const FORGED: &str = "eyJhbGciOiJIUzI1NiIsImtpZCI6IngifQ.e30.c2ln";

/// A server in clear with two tenants, one per address, and the token of each one's admin.
pub(crate) struct Bounds {
    edge: Edge,
    pub(crate) one: String,
    pub(crate) two: String,
}

impl Bounds {
    pub(crate) async fn open(database: &str, limits: Value) -> Result<Self> {
        Self::open_with(database, json!({"limits": limits})).await
    }

    /// With these settings besides.
    pub(crate) async fn open_with(database: &str, settings: Value) -> Result<Self> {
        let edge = Edge::open(database, |config, _| {
            config["tls"] = json!({});
            config["listen"] = json!([format!(
                "0.0.0.0:{}",
                config["listen"][0].as_str().map_or("0", port_of)
            )]);
            config["operator_hosts"] = json!(["127.0.0.1"]);
            for (name, value) in settings.as_object().into_iter().flatten() {
                config[name] = value.clone();
            }
        })
        .await?;
        let mut bounds = Self {
            edge,
            one: String::new(),
            two: String::new(),
        };
        let operator = bounds.log_in("127.0.0.1", "operator-password").await?;
        for (host, name) in [(ONE, "user01"), (TWO, "user02")] {
            let body = json!({"name": name, "hosts": [host], "admin_password": format!("password-{name}")});
            let made = Client::new().post(bounds.url("127.0.0.1", "/api/naru/v1/tenants"));
            let made = made.bearer_auth(&operator).json(&body).send().await?;
            ensure!(made.status() == 200, "{}", made.text().await?);
        }
        bounds.one = bounds.log_in(ONE, "password-user01").await?;
        bounds.two = bounds.log_in(TWO, "password-user02").await?;
        Ok(bounds)
    }

    pub(crate) fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.edge.port)
    }

    pub(crate) async fn log_in(&self, host: &str, password: &str) -> Result<String> {
        self.log_in_from(Client::new(), host, password).await
    }

    /// Logs a host's admin in with a client.
    pub(crate) async fn log_in_from(
        &self,
        client: Client,
        host: &str,
        password: &str,
    ) -> Result<String> {
        let body = json!({"username": "admin", "password": password});
        let answer = client.post(self.url(host, "/api/v1/session"));
        let answer: Value = answer.json(&body).send().await?.json().await?;
        let token = answer["token"].as_str();
        Ok(token.with_context(|| answer.to_string())?.to_owned())
    }

    /// Calls an RPC over gRPC-web with a message of so many bytes: the status before any data, and its text.
    pub(crate) async fn grpc(
        &self,
        host: &str,
        path: &str,
        token: &str,
        size: usize,
    ) -> Result<(u16, String)> {
        let mut body = vec![0];
        body.extend(u32::try_from(size)?.to_be_bytes());
        body.resize(5 + size, 0);
        let call = Client::new().post(self.url(host, path));
        let call = call.header("content-type", "application/grpc-web+proto");
        let answer = call.header("token", token).body(body).send().await?;
        let text = |name: &str| {
            let value = answer.headers().get(name);
            value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let status = text("grpc-status").map_or(Ok(0), |status| status.parse())?;
        Ok((status, text("grpc-message").unwrap_or_default()))
    }

    /// Begins an RPC with a body of which only a part is sent.
    async fn begin(&self, host: &str, path: &str, token: &str, sent: usize) -> Result<TcpStream> {
        let head = format!("Content-Type: application/grpc-web+proto\r\ntoken: {token}\r\n");
        self.begin_from("127.0.0.1", host, path, &head, sent).await
    }

    /// Begins a request from this address, with these headers and a body of which only a part is sent.
    pub(crate) async fn begin_from(
        &self,
        source: &str,
        host: &str,
        path: &str,
        headers: &str,
        sent: usize,
    ) -> Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(source.parse()?, 0))?;
        let ip: Ipv4Addr = host.parse()?;
        let at = SocketAddr::from((ip, self.edge.port));
        let mut stream = socket.connect(at).await?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {}\r\n\r\n",
            sent + MIB
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&vec![0; sent]).await?;
        Ok(stream)
    }
}

fn port_of(address: &str) -> &str {
    address.rsplit(':').next().unwrap_or_default()
}

/// A client whose connections come from this address.
pub(crate) fn from(source: &str) -> Result<Client> {
    let source: IpAddr = source.parse()?;
    Ok(Client::builder().local_address(source).build()?)
}

pub(crate) fn status(answer: &Response) -> u16 {
    answer.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_as_large_as_its_call_can_need() -> Result<()> {
    let bounds = Bounds::open("api_edge_sizes", json!({})).await?;
    let small = "/account.AccountService/UpdatePassword";
    let (code, said) = bounds.grpc(ONE, small, &bounds.one, 5 * MIB).await?;
    assert!(
        code == 8 && said.contains("4194304 bytes"),
        "{code}: {said}"
    );
    // What Argo CD lets through with manifests, this does too: the message itself is the only thing that is wrong.
    for path in [SYNC, "/application.ApplicationService/Create"] {
        let (code, said) = bounds.grpc(ONE, path, &bounds.one, 20 * MIB).await?;
        assert!(code != 8, "{path}: {said}");
    }
    let (code, said) = bounds.grpc(ONE, SYNC, &bounds.one, 199 * MIB).await?;
    assert!(code != 8, "{said}");
    let (code, _) = bounds.grpc(ONE, SYNC, &bounds.one, 201 * MIB).await?;
    assert_eq!(code, 8);

    // Anybody whom a tenant lets in is a stranger all the same.
    let list = "/application.ApplicationService/List";
    let body = json!({"changes": [{"object": "argocd-cm", "key": "users.anonymous.enabled", "value": "true"}]});
    let set = Client::new().patch(bounds.url(ONE, "/api/naru/v1/settings"));
    let set = set.bearer_auth(&bounds.one).json(&body).send().await?;
    ensure!(set.status() == 200, "{}", set.text().await?);
    testkit::wait::until_true("anybody is let in", PATIENCE, || async {
        Ok(bounds.grpc(ONE, list, "", 0).await?.0 != 16)
    })
    .await?;
    let (code, said) = bounds.grpc(ONE, list, "", 70 << 10).await?;
    assert!(code == 8 && said.contains("65536 bytes"), "{code}: {said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_given_up_on_whoever_sends_it() -> Result<()> {
    let bounds = Bounds::open("api_edge_slow", json!({"body_seconds": 1})).await?;
    for path in [SYNC, "/application.ApplicationService/List"] {
        let mut stream = bounds.begin(ONE, path, &bounds.one, 100).await?;
        let mut answer = vec![0; 4096];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await??;
        let text = String::from_utf8_lossy(&answer[..read]);
        assert!(text.contains("grpc-status: 4\r\n"), "{path}: {text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_in_flight_are_bounded_per_tenant_and_in_all() -> Result<()> {
    let limits = json!({"bodies_mib": 16, "body_seconds": 120});
    let bounds = Bounds::open("api_edge_bodies", limits).await?;
    let refused = async |host: &str, token: &str, size: usize| -> Result<bool> {
        let (code, said) = bounds.grpc(host, SYNC, token, size).await?;
        Ok(code == 8 && said.contains("bytes that they may hold together"))
    };
    // What asks whether a body is held may come before the last of it, and have it refused: then another is begun.
    let hold = async |host: &str, token: &str, size: usize, beyond: usize| {
        testkit::wait::until("nothing more is let in", PATIENCE, || async {
            let held = bounds.begin(host, SYNC, token, size).await?;
            for _ in 0..20 {
                if refused(host, token, beyond).await? {
                    return Ok(held);
                }
            }
            anyhow::bail!("it is let in")
        })
        .await
    };
    let held = hold(ONE, &bounds.one, 8 * MIB, 5 * MIB).await?;
    assert!(!refused(ONE, &bounds.one, MIB).await?, "what still fits");
    assert!(
        !refused(TWO, &bounds.two, 4 * MIB).await?,
        "another's share"
    );
    let more = hold(TWO, &bounds.two, 5 * MIB, 3 * MIB).await?;
    // What is small is let in, over either road.
    assert!(!refused(TWO, &bounds.two, 10).await?);
    let list = Client::new().get(bounds.url(TWO, "/api/v1/applications"));
    assert_eq!(status(&list.bearer_auth(&bounds.two).send().await?), 200);
    let url = bounds.url(TWO, "/api/v1/applications");
    let create = || async {
        let create = Client::new().post(url.as_str()).bearer_auth(&bounds.two);
        let create = create.header("content-type", "application/json");
        Ok(create.body(vec![b' '; 3 * MIB]).send().await?)
    };
    // The connection may be closed behind the answer before the whole body is out, and the answer be lost with it.
    let create = testkit::wait::until("an answer", PATIENCE, create).await?;
    assert_eq!(status(&create), 429, "{}", create.text().await?);
    drop((held, more));
    testkit::wait::until_true("there is room again", PATIENCE, || async {
        Ok(!refused(ONE, &bounds.one, 8 * MIB).await?)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_spend_their_own_minute_and_nobody_elses() -> Result<()> {
    let limits = json!({"strangers_per_minute": 30});
    let bounds = Bounds::open("api_edge_strangers", limits).await?;
    let operator = bounds.log_in("127.0.0.1", "operator-password").await?;
    let quotas = json!({"quotas": {"calls": 40}});
    let set = Client::new().put(bounds.url("127.0.0.1", "/api/naru/v1/tenants/user01/quotas"));
    let set = set.bearer_auth(&operator).json(&quotas).send().await?;
    ensure!(set.status() == 200, "{}", set.text().await?);
    let apps = bounds.url(ONE, "/api/v1/applications");
    let calls = |from: Client, token: &str| from.get(apps.as_str()).bearer_auth(token);

    // Nobody's calls and nobody's tokens: their source is refused at last, and the tenant has lost none of its own.
    let flood = from("127.0.0.9")?;
    assert_eq!(
        status(&calls(flood.clone(), &bounds.one).send().await?),
        200
    );
    let strange = async |n: usize| match n % 2 {
        0 => flood.get(bounds.url(ONE, "/api/version")).send().await,
        _ => calls(flood.clone(), FORGED).send().await,
    };
    let mut let_in = 0;
    let refused = loop {
        ensure!(let_in < MANY, "strangers come as often as they like");
        let answer = strange(let_in).await?;
        match status(&answer) {
            429 => break answer,
            200 | 401 => let_in += 1,
            other => anyhow::bail!("{other}: {}", answer.text().await?),
        }
    };
    assert!(let_in >= 30, "{let_in}");
    assert!(refused.headers().contains_key("retry-after"));
    assert!(refused.text().await?.contains("30 requests of this minute"));
    for kind in 0..2 {
        let both = || async { Ok(status(&strange(kind).await?) == 429) };
        testkit::wait::until_true("a refusal of either", PATIENCE, both).await?;
    }
    // Whoever is known is let in from there too, and others are not concerned.
    assert_eq!(status(&calls(flood, &bounds.one).send().await?), 200);
    let other = from("127.0.0.10")?;
    let version = other.get(bounds.url(ONE, "/api/version")).send().await?;
    assert_eq!(status(&version), 200);
    let quotas = Client::new().get(bounds.url(ONE, "/api/naru/v1/quotas"));
    let quotas: Value = quotas.bearer_auth(&bounds.one).send().await?.json().await?;
    let items = quotas["items"].as_array().context("quotas")?;
    let own = items
        .iter()
        .find(|item| item["name"] == "calls")
        .context("calls")?;
    let used = own["used"].as_u64().context("used")?;
    assert!((1..=10).contains(&used), "{own}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_are_nobodys_are_not_asked_for_without_end() -> Result<()> {
    let limits = json!({"strangers_per_minute": 30});
    let bounds = Bounds::open("api_edge_lookups", limits).await?;
    let flood = from("127.0.0.9")?;
    let mut unknown = 0;
    loop {
        ensure!(unknown < MANY, "hosts are asked for without end");
        let asked = flood.get(bounds.url("127.0.0.1", "/api/version"));
        let asked = asked.header("host", format!("stranger-{unknown}.naru.test"));
        match status(&asked.send().await?) {
            429 => break,
            421 => unknown += 1,
            other => anyhow::bail!("{other}"),
        }
    }
    assert!(unknown >= 30, "{unknown}");
    // A host that somebody has is found all the same.
    let asked = flood.get(bounds.url(ONE, "/healthz")).send().await?;
    assert_eq!(status(&asked), 200);
    Ok(())
}
