//! Two tenants of a test's own, on a server that all tests of this process share (a process logs in one way only).

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use store::{KeyFile, Role, Store};

/// Where the operator is served.
pub(crate) const OPERATOR: &str = "127.0.0.1";
/// Where a test's first tenant is.
pub(crate) const ONE: &str = "one";
/// Where its second is.
pub(crate) const TWO: &str = "two";
/// Where one is that it makes itself.
pub(crate) const THREE: &str = "three";

/// What all tests share: it lives as long as the process.
struct Server {
    port: u16,
    database: String,
    key: std::path::PathBuf,
}

/// A test's part of the server.
pub(crate) struct House {
    number: u8,
    port: u16,
    http: reqwest::Client,
    /// The database as the server sees it.
    pub(crate) store: Store,
    /// The operator's token.
    pub(crate) operator: String,
}

/// An answer: its status and body.
pub(crate) type Answer = (u16, Value);

impl House {
    pub(crate) async fn open() -> Result<Self> {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = tokio::task::spawn_blocking(|| {
            SERVER.get_or_init(|| start().map_err(|error| format!("{error:#}")))
        })
        .await?;
        let server = server
            .as_ref()
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let key = KeyFile::load(&server.key)?;
        let mut house = Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            port: server.port,
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()?,
            store: Store::connect(&server.database, Role::Api, key).await?,
            operator: String::new(),
        };
        testkit::wait::until("the api", Duration::from_secs(30), || async {
            Ok(house
                .http
                .get(house.url(OPERATOR, "/healthz"))
                .send()
                .await?)
        })
        .await?;
        house.operator = house.log_in(OPERATOR, "admin", "operator-password").await?;
        for (host, name) in [(ONE, "user01"), (TWO, "user02")] {
            let password = format!("password-{name}");
            let hosts = [house.host(host)];
            let body =
                json!({"name": house.name(name), "hosts": hosts, "admin_password": password});
            house.make(body).await?;
        }
        Ok(house)
    }

    /// A tenant's name, which no other test has.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{name}-{}", self.number)
    }

    /// The address of a host.
    pub(crate) fn host(&self, host: &str) -> String {
        let last = match host {
            ONE => 1,
            TWO => 2,
            THREE => 3,
            other => return other.to_owned(),
        };
        format!("127.9.{}.{last}", self.number)
    }

    pub(crate) async fn make(&self, body: Value) -> Result<Value> {
        let path = "/api/naru/v1/tenants";
        let (status, made) = self
            .call("POST", OPERATOR, path, &self.operator, Some(body))
            .await?;
        anyhow::ensure!(status == 200, "{made}");
        Ok(made)
    }

    pub(crate) fn url(&self, host: &str, path: &str) -> String {
        format!("http://{}:{}{path}", self.host(host), self.port)
    }

    pub(crate) async fn call(
        &self,
        verb: &str,
        host: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> Result<Answer> {
        let mut request = self.http.request(verb.parse()?, self.url(host, path));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if verb != "GET" {
            request = request
                .header("content-type", "application/json")
                .body(body.unwrap_or_else(|| json!({})).to_string());
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok((status, body))
    }

    /// Calls an RPC as a browser would, over gRPC-web: the status that comes before any data, and its text.
    pub(crate) async fn grpc(
        &self,
        host: &str,
        path: &str,
        token: &str,
        message: &[u8],
    ) -> Result<(u16, String)> {
        let response = self.send(host, path, token, message).await?;
        let text = |name| {
            let value = response.headers().get(name);
            value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let status = text("grpc-status").map_or(Ok(0), |status| status.parse())?;
        Ok((status, text("grpc-message").unwrap_or_default()))
    }

    pub(crate) async fn get(&self, host: &str, path: &str, token: &str) -> Result<Answer> {
        self.call("GET", host, path, token, None).await
    }

    async fn send(
        &self,
        host: &str,
        path: &str,
        token: &str,
        message: &[u8],
    ) -> Result<reqwest::Response> {
        let mut body = vec![0];
        body.extend(u32::try_from(message.len())?.to_be_bytes());
        body.extend(message);
        let mut request = self
            .http
            .post(self.url(host, path))
            .header("content-type", "application/grpc-web+proto")
            .body(body);
        if !token.is_empty() {
            request = request.header("token", token);
        }
        Ok(request.send().await?)
    }

    /// Calls an RPC with a token and nothing else: the status, and the token that replaces the one sent.
    pub(crate) async fn renewed(
        &self,
        host: &str,
        path: &str,
        token: &str,
    ) -> Result<(u16, Option<String>)> {
        let response = self.send(host, path, token, &[]).await?;
        let text = |name| {
            let value = response.headers().get(name);
            value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let status = text("grpc-status").map_or(Ok(0), |status| status.parse())?;
        Ok((status, text("renew-token")))
    }

    pub(crate) async fn try_login(&self, host: &str, name: &str, password: &str) -> Result<Answer> {
        let body = json!({"username": name, "password": password});
        self.call("POST", host, "/api/v1/session", "", Some(body))
            .await
    }

    /// The same from another address of this machine.
    pub(crate) async fn try_login_from(
        &self,
        source: &str,
        host: &str,
        name: &str,
        password: &str,
    ) -> Result<Answer> {
        let http = reqwest::Client::builder()
            .local_address(source.parse::<std::net::IpAddr>()?)
            .build()?;
        let body = json!({"username": name, "password": password});
        let request = http.post(self.url(host, "/api/v1/session")).json(&body);
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    }

    pub(crate) async fn log_in(&self, host: &str, name: &str, password: &str) -> Result<String> {
        let (status, answer) = self.try_login(host, name, password).await?;
        anyhow::ensure!(status == 200, "login of {name} on {host}: {answer}");
        Ok(answer["token"].as_str().context("no token")?.to_owned())
    }

    pub(crate) async fn admin(&self, host: &str) -> Result<String> {
        let name = if host == ONE { "user01" } else { "user02" };
        self.log_in(host, "admin", &format!("password-{name}"))
            .await
    }

    /// Changes settings of the host's own tenant: (object, key, value), where `null` takes a key away.
    pub(crate) async fn set(
        &self,
        host: &str,
        token: &str,
        changes: &[(&str, &str, Value)],
    ) -> Result<Answer> {
        let changes: Vec<Value> = changes
            .iter()
            .map(|(object, key, value)| match value {
                Value::Null => json!({"object": object, "key": key, "remove": true}),
                value => json!({"object": object, "key": key, "value": value}),
            })
            .collect();
        let body = json!({"changes": changes});
        self.call("PATCH", host, "/api/naru/v1/settings", token, Some(body))
            .await
    }

    pub(crate) async fn tenant(&self, name: &str) -> Result<store::TenantScope> {
        let name = self.name(name);
        let tenant = self.store.platform().tenant_by_name(&name).await?;
        Ok(self.store.tenant(tenant.context("no tenant")?.id))
    }
}

/// Starts the server on a thread and a runtime of its own, which go with the process.
fn start() -> Result<Server> {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = match tokio::runtime::Runtime::new() {
            Ok(runtime) => runtime,
            Err(error) => return drop(tell.send(Err(error.into()))),
        };
        runtime.block_on(async move {
            let folder = match tempfile::tempdir() {
                Ok(folder) => folder,
                Err(error) => return drop(tell.send(Err(error.into()))),
            };
            match prepare(folder.path()).await {
                Ok((config, server)) => {
                    drop(tell.send(Ok(server)));
                    if let Err(error) = api::run(config).await {
                        panic!("the server stopped: {error}");
                    }
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        });
    });
    told.recv()?
}

async fn prepare(folder: &Path) -> Result<(api::config::Config, Server)> {
    const NAME: &str = "api_identity";
    let postgres = testkit::platform::postgres().await?;
    postgres.drop_database(NAME).await?;
    let database = postgres.database(NAME).await?;
    store::migrate(&database.owner).await?;
    let redis = testkit::platform::redis().await?;
    let port = testkit::ports::free()?;
    let config = config(folder, port, &database.api, &redis.url)?;
    let server = Server {
        port,
        database: database.api,
        key: folder.join("key"),
    };
    Ok((config, server))
}

fn config(folder: &Path, port: u16, database: &str, redis: &str) -> Result<api::config::Config> {
    let made =
        |outcome: Result<(), api::Failure>| outcome.map_err(|error| anyhow::anyhow!("{error}"));
    made(api::generate_key(&folder.join("key")))?;
    made(api::generate_cluster_key(&folder.join("cluster-key")))?;
    let settings = testkit::services::lone_api(folder, port, database, redis)?;
    Ok(serde_json::from_value(settings)?)
}

/// What a token says.
pub(crate) fn claims_of(token: &str) -> Value {
    use base64::Engine;
    let decoder = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let body = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&decoder.decode(body).unwrap()).unwrap()
}
