//! The front door against a real PostgreSQL and Redis: two tenants who use the same names for everything.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// A server of one's own, and how to get at it.
struct Door {
    port: u16,
    http: reqwest::Client,
    _folder: tempfile::TempDir,
}

const OPERATOR: &str = "127.0.0.1";
const ONE: &str = "127.0.1.1";
const TWO: &str = "127.0.1.2";

impl Door {
    async fn open(database: &str) -> Result<Self> {
        // The client speaks no TLS here, but wants to be able to.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let postgres = testkit::platform::postgres().await?;
        postgres.drop_database(database).await?;
        let database = postgres.database(database).await?;
        store::migrate(&database.owner).await?;
        let folder = tempfile::tempdir()?;
        let port = testkit::ports::free()?;
        let redis = testkit::platform::redis().await?;
        let config = config(folder.path(), port, &database.api, &redis.url)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the server of a test lives as long as its runtime"
        )]
        tokio::spawn(async move {
            if let Err(error) = api::run(config).await {
                panic!("the server stopped: {error}");
            }
        });
        let door = Self {
            port,
            http: reqwest::Client::new(),
            _folder: folder,
        };
        testkit::wait::until("the api", Duration::from_secs(30), || async {
            Ok(door.http.get(door.url(OPERATOR, "/healthz")).send().await?)
        })
        .await?;
        Ok(door)
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.port)
    }

    async fn call(
        &self,
        verb: &str,
        host: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> Result<(u16, Value)> {
        let mut request = self
            .http
            .request(verb.parse()?, self.url(host, path))
            .bearer_auth(token);
        if verb != "GET" {
            request = request
                .header("content-type", "application/json")
                .body(body.unwrap_or_default().to_string());
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok((
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }

    async fn log_in(&self, host: &str, name: &str, password: &str) -> Result<String> {
        let body = json!({"username": name, "password": password});
        let (status, answer) = self
            .call("POST", host, "/api/v1/session", "", Some(body))
            .await?;
        anyhow::ensure!(
            status == 200,
            "login of {name} on {host}: {status} {answer}"
        );
        Ok(answer["token"].as_str().context("no token")?.to_owned())
    }
}

fn config(folder: &Path, port: u16, database: &str, redis: &str) -> Result<api::config::Config> {
    let made =
        |outcome: Result<(), api::Failure>| outcome.map_err(|error| anyhow::anyhow!("{error}"));
    made(api::generate_key(&folder.join("key")))?;
    made(api::generate_cluster_key(&folder.join("cluster-key")))?;
    let mut settings = testkit::services::lone_api(folder, port, database, redis)?;
    settings["listen"] = json!([OPERATOR, ONE, TWO].map(|host| format!("{host}:{port}")));
    Ok(serde_json::from_value(settings)?)
}

fn app(path: &str) -> Value {
    json!({
        "metadata": {"name": "hello"},
        "spec": {
            "source": {"repoURL": "https://git.example/a.git", "path": path},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "web"},
        },
    })
}

#[tokio::test]
async fn two_tenants_share_a_door_and_nothing_else() -> Result<()> {
    let door = Door::open("api_door").await?;
    let operator = door.log_in(OPERATOR, "admin", "operator-password").await?;
    for (name, host) in [("user01", ONE), ("user02", TWO)] {
        let body =
            json!({"name": name, "hosts": [host], "admin_password": format!("password-{name}")});
        let (status, made) = door
            .call(
                "POST",
                OPERATOR,
                "/api/naru/v1/tenants",
                &operator,
                Some(body),
            )
            .await?;
        assert_eq!(status, 200, "{made}");
    }
    let one = door.log_in(ONE, "admin", "password-user01").await?;
    let two = door.log_in(TWO, "admin", "password-user02").await?;

    // The same name in both is two applications.
    let path = "/api/v1/applications?validate=false";
    for (host, token, folder) in [(ONE, &one, "a"), (TWO, &two, "b")] {
        let (status, made) = door
            .call("POST", host, path, token, Some(app(folder)))
            .await?;
        assert_eq!(
            (status, &made["spec"]["project"]),
            (200, &json!("default")),
            "{made}"
        );
    }
    let (_, seen) = door
        .call("GET", TWO, "/api/v1/applications/hello", &two, None)
        .await?;
    assert_eq!(seen["spec"]["source"]["path"], "b");

    // A token counts on its own tenant's host, and on the operator's for its own tenant.
    let (status, refusal) = door
        .call("GET", TWO, "/api/v1/applications/hello", &one, None)
        .await?;
    assert_eq!((status, &refusal["code"]), (401, &json!(16)), "{refusal}");
    let (_, seen) = door
        .call("GET", OPERATOR, "/api/v1/applications/hello", &one, None)
        .await?;
    assert_eq!(seen["spec"]["source"]["path"], "a");
    let by_name = door
        .log_in(OPERATOR, "user02/admin", "password-user02")
        .await?;
    let (_, seen) = door
        .call(
            "GET",
            OPERATOR,
            "/api/v1/applications/hello",
            &by_name,
            None,
        )
        .await?;
    assert_eq!(seen["spec"]["source"]["path"], "b");

    // Nobody but the operator sees tenants, and the operator's rights end at its own applications.
    let (status, refusal) = door
        .call("GET", ONE, "/api/naru/v1/tenants", &one, None)
        .await?;
    assert_eq!(
        (status, &refusal["message"]),
        (403, &json!("permission denied"))
    );
    let (status, refusal) = door
        .call(
            "GET",
            OPERATOR,
            "/api/v1/applications/hello",
            &operator,
            None,
        )
        .await?;
    assert_eq!(
        (status, &refusal["message"]),
        (403, &json!("permission denied"))
    );

    unknown_hosts(&door).await?;
    idempotent_create(&door, &one).await?;
    deleting(&door, &one, &two).await?;
    logging_out(&door, &two).await
}

async fn unknown_hosts(door: &Door) -> Result<()> {
    let at = door.url(OPERATOR, "/api/version");
    let stranger = door
        .http
        .get(&at)
        .header("host", "stranger.example")
        .header("x-forwarded-host", ONE)
        .send()
        .await?;
    assert_eq!(
        stranger.status(),
        421,
        "a forwarded host counts for nothing"
    );
    Ok(())
}

async fn idempotent_create(door: &Door, token: &str) -> Result<()> {
    let path = "/api/v1/applications?validate=false";
    let (_, before) = door
        .call("GET", ONE, "/api/v1/applications/hello", token, None)
        .await?;
    let (status, same) = door.call("POST", ONE, path, token, Some(app("a"))).await?;
    assert_eq!(
        (status, &same["metadata"]["resourceVersion"]),
        (200, &before["metadata"]["resourceVersion"])
    );
    let (status, refusal) = door.call("POST", ONE, path, token, Some(app("c"))).await?;
    let text = "existing application spec is different, use upsert flag to force update";
    assert_eq!((status, &refusal["message"]), (400, &json!(text)));
    let upsert = format!("{path}&upsert=true");
    let (status, changed) = door
        .call("POST", ONE, &upsert, token, Some(app("c")))
        .await?;
    assert_eq!(
        (status, &changed["spec"]["source"]["path"]),
        (200, &json!("c"))
    );
    Ok(())
}

async fn deleting(door: &Door, one: &str, two: &str) -> Result<()> {
    let (status, _) = door
        .call(
            "DELETE",
            ONE,
            "/api/v1/applications/hello?cascade=false",
            one,
            None,
        )
        .await?;
    assert_eq!(status, 200);
    let (status, _) = door
        .call("GET", ONE, "/api/v1/applications/hello", one, None)
        .await?;
    assert_eq!(status, 403, "missing and forbidden are one answer");
    let (status, _) = door
        .call(
            "GET",
            ONE,
            "/api/v1/applications/hello?project=default",
            one,
            None,
        )
        .await?;
    assert_eq!(status, 404);
    // Whoever waits for the end hears of it even when it was quicker.
    let url = door.url(ONE, "/api/v1/stream/applications?name=hello");
    let mut events = door.http.get(url).bearer_auth(one).send().await?;
    let first = events.chunk().await?.context("the stream ended")?;
    let event: Value = serde_json::from_slice(&first)?;
    assert_eq!(event["result"]["type"], "DELETED");
    let (status, _) = door
        .call("GET", TWO, "/api/v1/applications/hello", two, None)
        .await?;
    assert_eq!(status, 200, "the other tenant's is still there");
    Ok(())
}

async fn logging_out(door: &Door, token: &str) -> Result<()> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let left = client
        .post(door.url(TWO, "/auth/logout"))
        .bearer_auth(token)
        .send()
        .await?;
    assert_eq!(left.status(), 303);
    let (status, refusal) = door
        .call("GET", TWO, "/api/v1/applications", token, None)
        .await?;
    let text = "invalid session: token is revoked, please re-login";
    assert_eq!((status, &refusal["message"]), (401, &json!(text)));
    Ok(())
}
