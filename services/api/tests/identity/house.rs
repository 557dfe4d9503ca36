//! A server of one's own with two tenants, `user01` and `user02`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use store::{KeyFile, Role, Store};
use testkit::certs::Authority;

/// Where the operator is served.
pub(crate) const OPERATOR: &str = "127.0.0.1";
/// Where `user01` is.
pub(crate) const ONE: &str = "127.0.1.1";
/// Where `user02` is.
pub(crate) const TWO: &str = "127.0.1.2";
/// Where a tenant that a test makes is.
pub(crate) const THREE: &str = "127.0.1.3";

/// The server.
pub(crate) struct House {
    port: u16,
    http: reqwest::Client,
    /// The database as the server sees it.
    pub(crate) store: Store,
    /// The operator's token.
    pub(crate) operator: String,
    _folder: tempfile::TempDir,
}

/// An answer: its status and body.
pub(crate) type Answer = (u16, Value);

impl House {
    pub(crate) async fn open(database: &str) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let postgres = testkit::platform::postgres().await?;
        postgres.drop_database(database).await?;
        let database = postgres.database(database).await?;
        store::migrate(&database.owner).await?;
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let redis = testkit::platform::redis().await?;
        let config = config(folder.path(), port, &database.api, &redis.url)?;
        let key = KeyFile::load(&folder.path().join("key"))?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the server of a test lives as long as its runtime"
        )]
        tokio::spawn(async move {
            if let Err(error) = api::run(config).await {
                panic!("the server stopped: {error}");
            }
        });
        let mut house = Self {
            port,
            http: reqwest::Client::new(),
            store: Store::connect(&database.api, Role::Api, key).await?,
            operator: String::new(),
            _folder: folder,
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
        for (name, host) in [("user01", ONE), ("user02", TWO)] {
            let password = format!("password-{name}");
            let body = json!({"name": name, "hosts": [host], "admin_password": password});
            house.make(body).await?;
        }
        Ok(house)
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
        format!("http://{host}:{}{path}", self.port)
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

    pub(crate) async fn get(&self, host: &str, path: &str, token: &str) -> Result<Answer> {
        self.call("GET", host, path, token, None).await
    }

    pub(crate) async fn try_login(&self, host: &str, name: &str, password: &str) -> Result<Answer> {
        let body = json!({"username": name, "password": password});
        self.call("POST", host, "/api/v1/session", "", Some(body))
            .await
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
        let tenant = self.store.platform().tenant_by_name(name).await?;
        Ok(self.store.tenant(tenant.context("no tenant")?.id))
    }
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}

fn config(folder: &Path, port: u16, database: &str, redis: &str) -> Result<api::config::Config> {
    let key = folder.join("key");
    api::generate_key(&key).map_err(|error| anyhow::anyhow!("{error}"))?;
    std::fs::write(folder.join("password"), "operator-password")?;
    let identity = Authority::open(&folder.join("pki"))?.component("api")?;
    let addresses = [OPERATOR, ONE, TWO, THREE].map(|host| format!("{host}:{port}"));
    Ok(serde_json::from_value(json!({
        "listen": addresses,
        "database_url": database,
        "redis_url": redis,
        "redis_prefix": format!("house-{port}:"),
        "key_file": key,
        "internal": {"ca": identity.ca, "cert": identity.cert, "key": identity.key},
        "repo_servers": ["https://127.0.0.1:1"],
        "operator_hosts": [OPERATOR],
        "operator_password_file": folder.join("password"),
        "metrics_listen": format!("127.0.0.1:{}", free_port()?),
        "telemetry": {"log": "warn"},
    }))?)
}
