//! The outer edge of the front door against a real PostgreSQL and Redis: names and certificates, browsers, and peers who
//! send too much or too slowly.

#[path = "edge/bounds.rs"]
mod bounds;
#[path = "edge/crowds.rs"]
mod crowds;
#[path = "edge/hooks.rs"]
mod hooks;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::header::{HeaderMap, SET_COOKIE};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const OPERATOR: &str = "argocd.naru.test";
const ONE: &str = "argocd.user01.naru.test";
const TWO: &str = "argocd.user02.naru.test";

/// A server over TLS with an authority of its own, the operator signed in, and two tenants with hosts from a template.
struct Edge {
    port: u16,
    folder: tempfile::TempDir,
    ca: PathBuf,
    /// The database, as its owner.
    owner: String,
    /// Goes with this.
    _server: tokio::process::Child,
}

/// Settings as the environment has them: nested with `__`, lists with commas.
fn set(command: &mut tokio::process::Command, name: &str, value: &Value) {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    match value {
        Value::Object(settings) => {
            let between = if name == "NARU" { "_" } else { "__" };
            for (key, value) in settings {
                set(
                    command,
                    &format!("{name}{between}{}", key.to_uppercase()),
                    value,
                );
            }
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(text).collect();
            command.env(name, items.join(","));
        }
        value => {
            command.env(name, text(value));
        }
    }
}

impl Edge {
    async fn open(database: &str, change: impl FnOnce(&mut Value, &Path)) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let postgres = testkit::platform::postgres().await?;
        postgres.drop_database(database).await?;
        let database = postgres.database(database).await?;
        store::migrate(&database.owner).await?;
        let redis = testkit::platform::redis().await?;
        let folder = tempfile::tempdir()?;
        let path = folder.path();
        let made =
            |outcome: Result<(), api::Failure>| outcome.map_err(|error| anyhow::anyhow!("{error}"));
        made(api::generate_key(&path.join("key")))?;
        made(api::generate_cluster_key(&path.join("cluster-key")))?;
        let (ca, ca_key) = (path.join("ca.crt"), path.join("ca.key"));
        let names = ["naru.test", "127.0.0.1", "::1", "localhost"].map(str::to_owned);
        made(api::generate_authority(&ca, &ca_key, &names))?;
        let port = testkit::ports::free()?;
        let mut config = testkit::services::lone_api(path, port, &database.api, &redis.url)?;
        config["listen"] = json!([format!("127.0.0.1:{port}")]);
        config["tls"] = json!({"ca_cert": ca, "ca_key": ca_key});
        config["operator_hosts"] = json!([OPERATOR]);
        config["tenant_host_template"] = json!(["argocd.{tenant}.naru.test", "{tenant}.naru.test"]);
        change(&mut config, path);
        let mut command = testkit::command::command(env!("CARGO_BIN_EXE_naru-api"));
        command.env_clear();
        set(&mut command, "NARU", &config);
        let server = command.spawn()?;
        let owner = database.owner;
        let edge = Self {
            port,
            folder,
            ca,
            owner,
            _server: server,
        };
        testkit::wait::until("the api", Duration::from_secs(30), || async {
            Ok(TcpStream::connect(("127.0.0.1", port)).await?)
        })
        .await?;
        Ok(edge)
    }

    /// Makes the two tenants; they have the hosts that the template says and no other.
    async fn with_tenants(self) -> Result<Self> {
        let operator = self.log_in(OPERATOR, "admin", "operator-password").await?;
        for name in ["user01", "user02"] {
            let body = json!({"name": name, "admin_password": format!("password-{name}")});
            let made = self
                .client()?
                .post(self.url(OPERATOR, "/api/naru/v1/tenants"))
                .bearer_auth(&operator)
                .json(&body)
                .send()
                .await?;
            ensure!(made.status() == 200, "{}", made.text().await?);
            let made: Value = made.json().await?;
            let hosts = json!([
                format!("argocd.{name}.naru.test"),
                format!("{name}.naru.test")
            ]);
            assert_eq!(made["tenant"]["hosts"], hosts);
        }
        Ok(self)
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.port)
    }

    fn at(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// A client that trusts the authority and nothing else, and knows the names.
    fn client(&self) -> Result<reqwest::Client> {
        let mut client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&std::fs::read(&self.ca)?)?])
            .redirect(reqwest::redirect::Policy::none());
        for host in [OPERATOR, ONE, TWO, "user01.naru.test", "stranger.naru.test"] {
            client = client.resolve(host, self.at());
        }
        Ok(client.build()?)
    }

    async fn log_in(&self, host: &str, name: &str, password: &str) -> Result<String> {
        let body = json!({"username": name, "password": password});
        let response = self
            .client()?
            .post(self.url(host, "/api/v1/session"))
            .json(&body)
            .send()
            .await?;
        ensure!(response.status() == 200, "{}", response.text().await?);
        let answer: Value = response.json().await?;
        Ok(answer["token"].as_str().context("no token")?.to_owned())
    }

    /// The certificate that a client of this name is shown, checked by nobody.
    async fn shown(&self, name: Option<&str>) -> Result<Vec<u8>> {
        let tls = self.handshake(name).await?;
        let chain = tls
            .get_ref()
            .1
            .peer_certificates()
            .context("no certificate")?;
        Ok(chain[0].to_vec())
    }

    async fn handshake(
        &self,
        name: Option<&str>,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.ca)?)?;
        let mut config = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.enable_sni = name.is_some();
        let name = ServerName::try_from(name.unwrap_or("localhost").to_owned())?;
        let stream = TcpStream::connect(self.at()).await?;
        Ok(tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_host_has_a_certificate_of_its_own_and_the_command_trusts_it() -> Result<()> {
    let edge = Edge::open("api_edge_hosts", |_, _| {})
        .await?
        .with_tenants()
        .await?;
    let (one, two) = (edge.shown(Some(ONE)).await?, edge.shown(Some(TWO)).await?);
    assert_ne!(one, two);
    assert_eq!(one, edge.shown(Some(ONE)).await?, "made once");
    let alpn = edge
        .handshake(Some(ONE))
        .await?
        .get_ref()
        .1
        .alpn_protocol()
        .map(<[u8]>::to_vec);
    assert_eq!(alpn.as_deref(), Some(&b"h2"[..]));
    assert!(
        edge.shown(None).await.is_ok(),
        "who sends no name sees one for this machine"
    );
    // A name on no list gets none made for it, and is then refused by its host.
    assert!(edge.shown(Some("stranger.naru.test")).await.is_err());
    let unchecked = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .resolve("stranger.naru.test", edge.at())
        .build()?;
    let stranger = unchecked
        .get(edge.url("stranger.naru.test", "/api/version"))
        .send()
        .await?;
    assert_eq!(stranger.status(), 421);
    // In clear the same port sends to https, to the same host.
    let plain = edge
        .client()?
        .get(format!("http://{ONE}:{}/x?y=1", edge.port))
        .send()
        .await?;
    assert_eq!(plain.status(), 307);
    assert_eq!(plain.headers()["location"], edge.url(ONE, "/x?y=1"));
    hardened(plain.headers(), false);

    let argocd = testkit::tools::path("argocd", &testkit::progress::Progress::silent()).await?;
    let names =
        [ONE, TWO, "user01.naru.test"].map(|name| (name, IpAddr::from(Ipv4Addr::LOCALHOST)));
    for (host, tenant, other) in [
        (ONE, "user01", TWO),
        (TWO, "user02", ONE),
        ("user01.naru.test", "user01", TWO),
    ] {
        let home = tempfile::tempdir()?;
        let run = async |args: &[&str]| -> Result<String> {
            let mut command = testkit::names::knowing(edge.folder.path(), &names, &argocd)?;
            command.args(args).arg("--server-crt").arg(&edge.ca);
            command
                .env("ARGOCD_CONFIG_DIR", home.path())
                .env("SSL_CERT_FILE", &edge.ca);
            testkit::command::output(&mut command).await
        };
        let server = format!("{host}:{}", edge.port);
        let password = format!("password-{tenant}");
        let login = [
            "login",
            &server,
            "--username",
            "admin",
            "--password",
            &password,
        ];
        run(&login).await?;
        assert!(run(&["account", "get-user-info"]).await?.contains("admin"));
        assert!(
            run(&["account", "get-user-info", "--grpc-web"])
                .await?
                .contains("admin")
        );
        let elsewhere = format!("{other}:{}", edge.port);
        let token = edge.log_in(host, "admin", &password).await?;
        let refused = run(&[
            "app",
            "list",
            "--server",
            &elsewhere,
            "--auth-token",
            &token,
        ])
        .await;
        assert!(refused.unwrap_err().to_string().contains("invalid session"));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn given_certificates_come_first_and_are_taken_anew_without_ending_a_connection() -> Result<()>
{
    let edge = Edge::open("api_edge_given", |config, path| {
        std::fs::create_dir(path.join("given")).expect("a folder");
        config["tls"]["folder"] = json!(path.join("given"));
    })
    .await?
    .with_tenants()
    .await?;
    let given = edge.folder.path().join("given");
    let write = |serial: &str, names: &[&str], file: &str| -> Result<Vec<u8>> {
        // Issued by the same authority from outside, as somebody who gives certificates would.
        let authority = rcgen::Issuer::from_ca_cert_pem(
            &std::fs::read_to_string(&edge.ca)?,
            rcgen::KeyPair::from_pem(&std::fs::read_to_string(edge.folder.path().join("ca.key"))?)?,
        )?;
        let pair = rcgen::KeyPair::generate()?;
        let mut params = rcgen::CertificateParams::new(
            names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>(),
        )?;
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, serial);
        let made = params.signed_by(&pair, &authority)?;
        std::fs::write(given.join(format!("{file}.crt")), made.pem())?;
        std::fs::write(given.join(format!("{file}.key")), pair.serialize_pem())?;
        Ok(made.der().to_vec())
    };
    let token = edge.log_in(ONE, "admin", "password-user01").await?;
    // A connection that was there before, kept by HTTP/1.1.
    let mut kept = edge.handshake(Some(ONE)).await?;
    let issued = edge.shown(Some(ONE)).await?;
    let wildcard = write("first", &["*.user01.naru.test"], "wild")?;
    let shows = async |name: &str, wanted: &[u8]| {
        testkit::wait::until_true(
            "the changed certificate",
            Duration::from_secs(20),
            || async { Ok(edge.shown(Some(name)).await? == wanted) },
        )
        .await
    };
    shows(ONE, &wildcard).await?;
    assert_ne!(issued, wildcard);
    let exact = write("second", &[ONE], "exact")?;
    shows(ONE, &exact).await?;
    // Half of a pair changes nothing, and the whole pair does.
    std::fs::write(given.join("exact.key"), "half")?;
    let replaced = edge.shown(Some(ONE)).await?;
    assert_eq!(replaced, exact);
    let third = write("third", &[ONE], "exact")?;
    shows(ONE, &third).await?;
    assert_ne!(edge.shown(Some(TWO)).await?, third, "others have theirs");
    // The old connection speaks on: HTTP/2 was agreed on, so that SETTINGS are answered.
    kept.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await?;
    let mut frame = [0; 9];
    tokio::time::timeout(Duration::from_secs(5), kept.read_exact(&mut frame)).await??;
    assert_eq!(frame[3], 4, "SETTINGS");
    let again = edge
        .client()?
        .get(edge.url(ONE, "/api/v1/session/userinfo"))
        .bearer_auth(token)
        .send()
        .await?;
    assert_eq!(again.status(), 200);
    Ok(())
}

fn hardened(headers: &HeaderMap, secure: bool) {
    let text = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or("?").to_owned())
    };
    let policy = text("content-security-policy").unwrap_or_default();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{headers:?}"
    );
    assert_eq!(text("x-content-type-options").as_deref(), Some("nosniff"));
    assert_eq!(text("referrer-policy").as_deref(), Some("no-referrer"));
    assert_eq!(headers.contains_key("strict-transport-security"), secure);
}

#[tokio::test(flavor = "multi_thread")]
async fn s09_a_browser_is_believed_only_from_the_same_origin() -> Result<()> {
    let edge = Edge::open("api_edge_browser", |_, _| {})
        .await?
        .with_tenants()
        .await?;
    let client = edge.client()?;
    let ours = format!("https://{ONE}:{}", edge.port);
    let credentials = json!({"username": "admin", "password": "password-user01"});
    let signed_in = client
        .post(edge.url(ONE, "/api/v1/session"))
        .header("origin", &ours)
        .json(&credentials)
        .send()
        .await?;
    assert_eq!(signed_in.status(), 200);
    hardened(signed_in.headers(), true);
    let cookie = signed_in.headers()[SET_COOKIE].to_str()?.to_owned();
    let (pair, attributes) = cookie.split_once("; ").context("attributes")?;
    assert!(pair.starts_with("__Host-argocd.token="), "{cookie}");
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Strict");

    let sibling = format!("https://{TWO}:{}", edge.port);
    let app = json!({"metadata": {"name": "x"}});
    let post = |path: &str| client.post(edge.url(ONE, path)).header("cookie", pair);
    for (name, value) in [
        ("origin", sibling.as_str()),
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "cross-site"),
        ("x-nothing", "said"),
    ] {
        let refused = post("/api/v1/applications")
            .header(name, value)
            .json(&app)
            .send()
            .await?;
        assert_eq!(refused.status(), 403, "{name}: {value}");
        hardened(refused.headers(), true);
        let web = post("/application.ApplicationService/List")
            .header("content-type", "application/grpc-web+proto")
            .header(name, value)
            .body(vec![0; 5])
            .send()
            .await?;
        assert_eq!(web.status(), 403, "{name}: {value}");
        if name != "x-nothing" {
            // Signing somebody in as somebody else.
            let login = client
                .post(edge.url(ONE, "/api/v1/session"))
                .header(name, value);
            assert_eq!(
                login.json(&credentials).send().await?.status(),
                403,
                "{name}: {value}"
            );
        }
    }
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let refused = post("/api/v1/applications")
            .header("origin", &ours)
            .header("content-type", kind);
        assert_eq!(
            refused.body(app.to_string()).send().await?.status(),
            415,
            "{kind}"
        );
    }
    let read = client
        .get(edge.url(ONE, "/api/v1/applications"))
        .header("cookie", pair);
    assert_eq!(read.send().await?.status(), 200);
    let peeked = client
        .get(edge.url(ONE, "/api/v1/applications"))
        .header("cookie", pair);
    assert_eq!(
        peeked
            .header("sec-fetch-site", "same-site")
            .send()
            .await?
            .status(),
        403
    );
    let planted = pair.replace("__Host-", "");
    let planted = client
        .get(edge.url(ONE, "/api/v1/applications"))
        .header("cookie", planted);
    assert_eq!(
        planted.send().await?.status(),
        401,
        "a cookie that a sibling could set counts for nothing"
    );

    let left = post("/auth/logout").header("origin", &ours).send().await?;
    assert_eq!(left.status(), 303);
    assert!(left.headers()[SET_COOKIE].to_str()?.ends_with("Max-Age=0"));
    let gone = client
        .get(edge.url(ONE, "/api/v1/applications"))
        .header("cookie", pair);
    assert_eq!(gone.send().await?.status(), 401);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_clear_no_cookie_is_set_or_counts() -> Result<()> {
    let edge = Edge::open("api_edge_clear", |config, _| {
        config["tls"] = json!({});
        config["operator_hosts"] = json!(["127.0.0.1"]);
    })
    .await?;
    let client = reqwest::Client::new();
    let base = format!("http://127.0.0.1:{}", edge.port);
    let credentials = json!({"username": "admin", "password": "operator-password"});
    let signed_in = client
        .post(format!("{base}/api/v1/session"))
        .json(&credentials)
        .send()
        .await?;
    assert!(!signed_in.headers().contains_key(SET_COOKIE));
    hardened(signed_in.headers(), false);
    let answer: Value = signed_in.json().await?;
    let token = answer["token"].as_str().context("no token")?;
    for cookie in ["__Host-argocd.token", "argocd.token"] {
        let read = client.get(format!("{base}/api/v1/applications"));
        let read = read
            .header("cookie", format!("{cookie}={token}"))
            .send()
            .await?;
        assert_eq!(read.status(), 401, "{cookie}");
    }
    let read = client
        .get(format!("{base}/api/v1/applications"))
        .bearer_auth(token)
        .send()
        .await?;
    assert_eq!(read.status(), 200);
    Ok(())
}

/// A request that says it is large and never sends a word: the status of what is answered, and after how long.
async fn never_ending(edge: &Edge, head: &str) -> Result<(u16, Duration)> {
    let mut stream = TcpStream::connect(edge.at()).await?;
    let began = Instant::now();
    stream.write_all(head.as_bytes()).await?;
    let mut answer = vec![0; 1024];
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut answer)).await??;
    let text = String::from_utf8_lossy(&answer[..read]).into_owned();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((
        status.with_context(|| format!("no status: {text}"))?,
        began.elapsed(),
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_cannot_make_us_hold_much() -> Result<()> {
    let edge = Edge::open("api_edge_limits", |config, _| {
        config["tls"] = json!({});
        config["operator_hosts"] = json!(["127.0.0.1"]);
        config["limits"] = json!({"connections_per_source": 20});
    })
    .await?;
    let post = |path: &str, length: usize, more: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n"
        )
    };
    // Refused from the headers alone: nothing of the body is waited for.
    let (status, took) = never_ending(&edge, &post("/api/v1/applications", 60 << 20, "")).await?;
    assert_eq!(status, 401);
    assert!(took < Duration::from_secs(5), "{took:?}");
    let bad = "Authorization: Bearer a.b.c\r\n";
    let (status, _) = never_ending(&edge, &post("/api/v1/applications", 60 << 20, bad)).await?;
    assert_eq!(status, 401);
    // A login that dribbles is given up on.
    let (status, took) = never_ending(&edge, &post("/api/v1/session", 1000, "")).await?;
    assert_eq!(status, 408);
    assert!(took < Duration::from_secs(20), "{took:?}");
    // A login is small. What is refused unread ends its connection, perhaps while the next request takes it up.
    let client = reqwest::Client::builder()
        .pool_max_idle_per_host(0)
        .build()?;
    let base = format!("http://127.0.0.1:{}", edge.port);
    let body = json!({"username": "admin", "password": "x".repeat(70 << 10)}).to_string();
    let large = client
        .post(format!("{base}/api/v1/session"))
        .header("content-type", "application/json")
        .body(body);
    assert_eq!(large.send().await?.status(), 413);
    let mut frame = vec![0];
    frame.extend((70_u32 << 10).to_be_bytes());
    frame.extend(vec![0; 70 << 10]);
    let web = client
        .post(format!("{base}/session.SessionService/Create"))
        .header("content-type", "application/grpc-web+proto")
        .body(frame)
        .send()
        .await?;
    assert_eq!(web.headers()["grpc-status"], "8", "{:?}", web.headers());
    let headers = client
        .get(format!("{base}/api/version"))
        .header("x-large", "x".repeat(70 << 10));
    // The rest of it is not read, so that the answer may be lost with the connection.
    let answered = headers.send().await;
    assert!(answered.is_err() || answered.is_ok_and(|answer| answer.status() == 431));

    // Whoever holds too many connections gets no more, until some end.
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(TcpStream::connect(edge.at()).await?);
    }
    let mut open = 0;
    for stream in &mut held {
        let mut byte = [0];
        let silent = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut byte)).await;
        open += usize::from(silent.is_err());
    }
    assert!((1..=20).contains(&open), "{open}");
    drop(held);
    testkit::wait::until("a place", Duration::from_secs(20), || async {
        let answer = reqwest::Client::new()
            .get(format!("{base}/healthz"))
            .send()
            .await?;
        Ok(answer.error_for_status()?)
    })
    .await?;
    // Half a greeting holds a connection no longer than a whole silence does.
    let mut half = TcpStream::connect(edge.at()).await?;
    half.write_all(b"P").await?;
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(90), half.read_to_end(&mut rest)).await??;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_replaced_by_commands_that_may_be_killed_while_the_door_is_open() -> Result<()> {
    let edge = Edge::open("api_edge_keys", |_, _| {})
        .await?
        .with_tenants()
        .await?;
    let before = edge.log_in(ONE, "admin", "password-user01").await?;
    let file = edge.folder.path().join("key");
    let naru = |args: &[&str]| {
        let mut command = testkit::command::command(env!("CARGO_BIN_EXE_naru-api"));
        command
            .args(args)
            .env("NARU_DATABASE_URL", &edge.owner)
            .env("NARU_KEY_FILE", &file);
        command
    };
    let still_works = async || -> Result<()> {
        edge.log_in(ONE, "admin", "password-user01").await?;
        let info = edge
            .client()?
            .get(edge.url(ONE, "/api/v1/session/userinfo"))
            .bearer_auth(&before);
        ensure!(info.send().await?.json::<Value>().await?["loggedIn"] == true);
        Ok(())
    };
    // Killed wherever it is, it has lost nothing.
    for millis in [30, 60, 120, 500, 2_000] {
        let mut killed = naru(&["rotate-tenant-key", "--tenant", "user01"]).spawn()?;
        tokio::time::sleep(Duration::from_millis(millis)).await;
        killed.kill().await?;
        still_works().await?;
    }
    testkit::command::output(&mut naru(&["rotate-tenant-key", "--tenant", "user01"])).await?;
    still_works().await?;
    let refused =
        testkit::command::output(&mut naru(&["rotate-tenant-key", "--tenant", "nobody"])).await;
    assert!(refused.unwrap_err().to_string().contains("nobody"));

    let new = edge.folder.path().join("new");
    testkit::command::output(&mut naru(&["key", &new.to_string_lossy()])).await?;
    let (new, old) = (
        std::fs::read_to_string(new)?,
        std::fs::read_to_string(&file)?,
    );
    std::fs::write(&file, format!("{new}{old}"))?;
    still_works().await?;
    testkit::command::output(&mut naru(&["rotate-key"])).await?;
    std::fs::write(&file, &new)?;
    still_works().await?;
    edge.log_in(TWO, "admin", "password-user02").await?;
    std::fs::write(&file, &old)?;
    let refused = testkit::command::output(&mut naru(&["rotate-key"])).await;
    assert!(
        refused.unwrap_err().to_string().contains("NARU_KEY_FILE"),
        "the old key opens nothing any more"
    );
    Ok(())
}

#[tokio::test]
async fn a_migration_waits_for_a_database_that_hangs_up_at_first() -> Result<()> {
    let (name, postgres) = ("api_edge_migration", testkit::platform::postgres().await?);
    postgres.drop_database(name).await?;
    let mut owner = url::Url::parse(&postgres.database(name).await?.owner)?;
    let host = owner.host_str().context("a host")?.to_owned();
    let at = (host, owner.port().unwrap_or(5432));
    // Before the database: one that hangs up on the first two, and leads everybody else to it.
    let door = TcpListener::bind("127.0.0.1:0").await?;
    let port = door.local_addr()?.port();
    let lead = async || -> Result<()> {
        for _ in 0..2 {
            drop(door.accept().await?);
        }
        loop {
            let (mut near, _) = door.accept().await?;
            let mut far = TcpStream::connect((at.0.as_str(), at.1)).await?;
            // Whoever hangs up has said why.
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        }
    };
    let led = owner.set_host(Some("127.0.0.1")).is_ok() && owner.set_port(Some(port)).is_ok();
    ensure!(led, "no place for an address in the URL");
    let mut migrate = testkit::command::command(env!("CARGO_BIN_EXE_naru-api"));
    migrate
        .arg("migrate")
        .env("NARU_DATABASE_URL", owner.as_str());
    tokio::select! {
        led = lead() => led?,
        migrated = testkit::command::output(&mut migrate) => drop(migrated?),
    }
    let made = "select count(*) > 0 from naru._sqlx_migrations where success";
    assert_eq!(postgres.sql(Some(name), made).await?, "t");
    Ok(())
}
