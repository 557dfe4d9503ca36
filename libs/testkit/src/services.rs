//! The product: its three binaries, built from the clone and run as anybody would.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::certs::{Authority, Identity};
use crate::command::{cargo, command, output};
use crate::ground::Ground;
use crate::http;
use crate::paths;
use crate::postgres::Database;
use crate::process::{Process, Spec};
use crate::tools;

/// Where the Git servers and the clusters of a demo and of tests are.
const THIS_MACHINE: &str = "127.0.0.0/8,::1";

/// What was built.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The front door.
    pub api: PathBuf,
    /// Renders.
    pub repo_server: PathBuf,
    /// Applies.
    pub controller: PathBuf,
    /// The developer's command, which also is the small helpers (`git-server`, `ingress-status`).
    pub xtask: PathBuf,
    /// The Go worker of the repo-server.
    pub renderer: PathBuf,
}

impl Binaries {
    /// Builds the workspace and the renderer.
    ///
    /// # Errors
    /// When either does not build.
    pub async fn build(ground: &Ground) -> Result<Self> {
        let renderer = tools::renderer(&ground.progress).await?;
        let target = paths::target()?;
        if paths::variable("NARU_BINARIES_BUILT").is_none() {
            let log = ground.supervisor.log("cargo-build");
            ground
                .progress
                .step_with_log("building the workspace", &log, cargo_build(&target, &log))
                .await?;
        }
        let folder = target.join("debug");
        let binary = |name: &str| -> Result<PathBuf> {
            let file = folder.join(name);
            if file.is_file() {
                Ok(file)
            } else {
                bail!("cargo built no {name} in {}", folder.display())
            }
        };
        Ok(Self {
            api: binary("naru-api")?,
            repo_server: binary("naru-repo-server")?,
            controller: binary("naru-controller")?,
            xtask: binary("xtask")?,
            renderer,
        })
    }
}

/// The settings of an api that is started by itself, with no repo-server or controller that answers: plain HTTP on every
/// address, the operator on 127.0.0.1 with the password `operator-password`. What a test wants otherwise it changes.
///
/// Its keys are to be made by the api's own functions: `key` and `cluster-key` in the folder.
///
/// # Errors
/// When the folder cannot be written or there is no free port.
pub fn lone_api(folder: &Path, port: u16, database_url: &str, redis_url: &str) -> Result<Value> {
    std::fs::write(folder.join("password"), "operator-password")?;
    let Identity { ca, cert, key } = Authority::open(&folder.join("pki"))?.component("api")?;
    Ok(json!({
        "listen": [format!("0.0.0.0:{port}")],
        "database_url": database_url,
        "redis_url": redis_url,
        "redis_prefix": format!("api-{port}:"),
        "key_file": folder.join("key"),
        "cluster_public_key_file": folder.join("cluster-key.pub"),
        "internal": {"ca": ca, "cert": cert, "key": key},
        "repo_servers": ["https://127.0.0.1:1"],
        "operator_hosts": ["127.0.0.1"],
        "operator_password_file": folder.join("password"),
        "metrics_listen": format!("127.0.0.1:{}", crate::ports::free()?),
        "telemetry": {"log": "warn"},
    }))
}

async fn cargo_build(target: &Path, log: &Path) -> Result<()> {
    let mut build = cargo();
    build
        .args(["build", "--workspace", "--bins", "--locked"])
        .current_dir(paths::clone_root()?);
    build
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_TERM_COLOR", "never");
    let out =
        std::fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    build.stdout(Stdio::null()).stderr(out);
    if !build.status().await.context("cannot run cargo")?.success() {
        let said = std::fs::read_to_string(log).unwrap_or_default();
        let first = said
            .lines()
            .find(|line| line.starts_with("error"))
            .unwrap_or("it said nothing of an error");
        let advice = if said.contains("No space left") {
            "; the disk is full: free a few GB and run this again"
        } else {
            ""
        };
        bail!(
            "the workspace does not build: {first}{advice} (all of it: {})",
            log.display()
        );
    }
    Ok(())
}

/// How the services are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The api's port; a free one by default.
    pub port: Option<u16>,
    /// The loopback addresses on which it listens; the first is the operator's.
    pub addresses: Vec<Ipv4Addr>,
    /// Whether it speaks TLS, with certificates of an authority that is made in the folder.
    pub tls: bool,
    /// The domain under which tenants get hosts of their own.
    pub domain: Option<String>,
    /// How often repositories are asked for news without a webhook.
    pub poll_seconds: u64,
    /// What is logged.
    pub log: String,
    /// Where traces are sent; `OTEL_EXPORTER_OTLP_ENDPOINT` when absent, nowhere without it.
    pub otlp_endpoint: Option<String>,
    /// How many repo-servers share the repositories.
    pub repo_servers: usize,
}

impl Default for Options {
    fn default() -> Self {
        let addresses = vec![Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 1, 1)];
        Self {
            port: None,
            addresses,
            tls: false,
            domain: None,
            poll_seconds: 120,
            log: "info".to_owned(),
            otlp_endpoint: None,
            repo_servers: 1,
        }
    }
}

/// What the services lean on.
#[derive(Clone, Debug)]
pub struct Beneath {
    /// PostgreSQL.
    pub database: Database,
    /// Redis.
    pub redis_url: String,
    /// The cluster, as Naru's own account.
    pub kubeconfig: PathBuf,
}

/// The running services.
#[derive(Clone, Debug)]
pub struct Services {
    /// The api's port.
    pub port: u16,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The authority of its certificates, over TLS.
    pub authority: Option<PathBuf>,
    /// The first password of the operator's admin.
    pub admin_password: String,
}

impl Services {
    /// The address of the api at one of its hosts.
    #[must_use]
    pub fn url(&self, host: &str) -> String {
        format!("{}://{host}:{}", self.scheme, self.port)
    }

    /// Migrates, then starts what does not run or has changed.
    ///
    /// # Errors
    /// When a migration fails or a service does not become ready.
    pub async fn start(
        ground: &mut Ground,
        binaries: &Binaries,
        beneath: &Beneath,
        options: &Options,
    ) -> Result<Self> {
        let stage = Stage::set(ground, binaries, options).await?;
        migrate(&binaries.api, &beneath.database.owner).await?;
        let scheme = if options.tls { "https" } else { "http" };
        let port = ground.port("api", "naru-api", options.port)?;
        let password = ground.secret("operator-admin")?;

        let mut specs = Vec::new();
        for place in 0..stage.repo_servers.len() {
            specs.push(stage.repo_server(ground, binaries, beneath, place)?);
        }
        let controller = stage.controller(ground, binaries, beneath, "naru-controller")?;
        let mut api = stage.api(ground, binaries, beneath, options, "naru-api", port)?;
        let mut authority = None;
        if options.tls {
            let (cert, key) = public_authority(&binaries.api, ground, options).await?;
            api = api
                .env("NARU_TLS__CA_CERT", cert.to_string_lossy())
                .env("NARU_TLS__CA_KEY", key.to_string_lossy());
            authority = Some(cert);
        }
        specs.extend([controller, api]);
        // They start side by side: none needs another one to become ready.
        let mut started = Vec::new();
        for spec in &specs {
            started.push(ground.supervisor.ensure(spec).await?.0);
        }
        for process in &started {
            ready(process).await?;
        }
        Ok(Self {
            port,
            scheme,
            authority,
            admin_password: password,
        })
    }

    /// Starts one more api, which speaks TLS: its port, and the authority of its certificate.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn another_api_over_tls(
        ground: &mut Ground,
        binaries: &Binaries,
        beneath: &Beneath,
        options: &Options,
    ) -> Result<(u16, PathBuf)> {
        let name = "naru-api-tls";
        let port = ground.port(name, name, None)?;
        let (cert, key) = public_authority(&binaries.api, ground, options).await?;
        let spec = Stage::set(ground, binaries, options)
            .await?
            .api(ground, binaries, beneath, options, name, port)?
            .env("NARU_TLS__CA_CERT", cert.to_string_lossy())
            .env("NARU_TLS__CA_KEY", key.to_string_lossy());
        let (process, _) = ground.supervisor.ensure(&spec).await?;
        ready(&process).await?;
        Ok((port, cert))
    }

    /// Starts one more controller, called `name`, to take over from the other.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn another_controller(
        ground: &mut Ground,
        binaries: &Binaries,
        beneath: &Beneath,
        options: &Options,
        name: &str,
    ) -> Result<Process> {
        let stage = Stage::set(ground, binaries, options).await?;
        let spec = stage.controller(ground, binaries, beneath, name)?;
        let (process, _) = ground.supervisor.ensure(&spec).await?;
        ready(&process).await?;
        Ok(process)
    }
}

/// Waits until a service says that it is ready.
///
/// # Errors
/// When it ends, or is not ready in time.
pub async fn ready(process: &Process) -> Result<()> {
    let listen = process
        .spec()
        .env
        .get("NARU_METRICS_LISTEN")
        .context("this is no service")?;
    let url = format!("http://{listen}/readyz");
    let http = http::builder().build()?;
    let probe = || async {
        let response = http
            .get(&url)
            .send()
            .await
            .map_err(|error| anyhow::anyhow!(http::chain(&error)))?;
        if response.status().is_success() {
            Ok(())
        } else {
            bail!("{}", response.text().await?.trim())
        }
    };
    process.ready(Duration::from_secs(60), probe).await
}

/// The hosts of a tenant under a domain.
#[must_use]
pub fn tenant_hosts(tenant: &str, domain: &str) -> [String; 2] {
    [
        format!("argocd.{tenant}.{domain}"),
        format!("{tenant}.{domain}"),
    ]
}

/// The authority that signs for the public port, made where there is none yet. It can sign for nothing but this machine
/// and the domain, so that trusting it costs nobody anything.
async fn public_authority(
    api: &Path,
    ground: &Ground,
    options: &Options,
) -> Result<(PathBuf, PathBuf)> {
    let domain = options.domain.as_deref().unwrap_or("localhost");
    let file = |end: &str| ground.dir().join(format!("ca-{domain}.{end}"));
    let (cert, key) = (file("crt"), file("key"));
    if !cert.is_file() {
        let _ = std::fs::remove_file(&key);
        let mut make = command(api);
        make.arg("ca").arg(&cert).arg(&key);
        make.args(["localhost", "127.0.0.1", "::1"]);
        make.args(options.domain.as_deref());
        output(&mut make)
            .await
            .context("no certificate authority can be made")?;
    }
    Ok((cert, key))
}

fn operator_hosts(options: &Options) -> String {
    let mut hosts = vec![
        options
            .addresses
            .first()
            .map_or_else(|| "127.0.0.1".to_owned(), ToString::to_string),
        "localhost".to_owned(),
    ];
    if let Some(domain) = &options.domain {
        hosts.extend([domain.clone(), format!("argocd.{domain}")]);
    }
    hosts.join(",")
}

fn listed<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(",")
}

async fn migrate(api: &Path, owner_url: &str) -> Result<()> {
    let mut migrate = command(api);
    output(migrate.arg("migrate").env("NARU_DATABASE_URL", owner_url))
        .await
        .context("the database cannot be migrated")
        .map(drop)
}

/// The name of the first, second ... of several: `a`, `a-2`.
fn numbered(name: &str, place: usize) -> String {
    match place {
        0 => name.to_owned(),
        place => format!("{name}-{}", place + 1),
    }
}

/// What the services share.
struct Stage {
    authority: Authority,
    key_file: PathBuf,
    /// The controllers' private key; the public one lies beside it.
    cluster_key: PathBuf,
    /// The ports of the repo-servers.
    repo_servers: Vec<u16>,
    log: String,
    otlp_endpoint: Option<String>,
    poll_seconds: u64,
}

impl Stage {
    async fn set(ground: &mut Ground, binaries: &Binaries, options: &Options) -> Result<Self> {
        let authority = Authority::open(&ground.dir().join("certs"))?;
        let key_file = ground.dir().join("key");
        if !key_file.is_file() {
            paths::private_file(
                &key_file,
                STANDARD.encode(rand::random::<[u8; 32]>()).as_bytes(),
            )?;
        }
        let cluster_key = ground.dir().join("cluster-key");
        if !cluster_key.is_file() {
            let mut make = command(&binaries.api);
            output(make.arg("cluster-key").arg(&cluster_key))
                .await
                .context("the controllers' key cannot be made")?;
        }
        let mut repo_servers = Vec::new();
        for place in 0..options.repo_servers {
            let service = numbered("naru-repo-server", place);
            repo_servers.push(ground.port(&numbered("repo-server", place), &service, None)?);
        }
        let (log, poll_seconds) = (options.log.clone(), options.poll_seconds);
        let otlp_endpoint = options
            .otlp_endpoint
            .clone()
            .or_else(|| paths::variable("OTEL_EXPORTER_OTLP_ENDPOINT"));
        Ok(Self {
            authority,
            key_file,
            cluster_key,
            repo_servers,
            log,
            otlp_endpoint,
            poll_seconds,
        })
    }

    /// The settings that each has: identity, key, operations port, logs.
    fn common(
        &self,
        ground: &mut Ground,
        program: &Path,
        name: &str,
        component: &str,
    ) -> Result<Spec> {
        let Identity { ca, cert, key } = self.authority.component(component)?;
        let metrics = ground.port(&format!("{name}-metrics"), name, None)?;
        let mut spec = Spec::new(name, program)
            .env("NARU_INTERNAL__CA", ca.to_string_lossy())
            .env("NARU_INTERNAL__CERT", cert.to_string_lossy())
            .env("NARU_INTERNAL__KEY", key.to_string_lossy())
            .env("NARU_METRICS_LISTEN", format!("127.0.0.1:{metrics}"))
            .env("NARU_TELEMETRY__LOG", &self.log);
        if component != "repo-server" {
            spec = spec.env("NARU_KEY_FILE", self.key_file.to_string_lossy());
        }
        match component {
            "api" => {
                let public = format!("{}.pub", self.cluster_key.display());
                spec = spec.env("NARU_CLUSTER_PUBLIC_KEY_FILE", public);
            }
            "controller" => {
                let private = self.cluster_key.to_string_lossy();
                spec = spec
                    .env("NARU_CLUSTER_KEY_FILE", private)
                    .env("NARU_EGRESS__ALLOW", THIS_MACHINE);
            }
            _ => {}
        }
        if let Some(endpoint) = &self.otlp_endpoint {
            spec = spec.env("NARU_TELEMETRY__OTLP_ENDPOINT", endpoint);
        }
        Ok(spec)
    }

    fn api(
        &self,
        ground: &mut Ground,
        binaries: &Binaries,
        beneath: &Beneath,
        options: &Options,
        name: &str,
        port: u16,
    ) -> Result<Spec> {
        let password = ground.secret("operator-admin")?;
        let password_file = ground.dir().join("operator-password");
        paths::private_file(&password_file, password.as_bytes())?;
        let api = self
            .common(ground, &binaries.api, name, "api")?
            .env(
                "NARU_LISTEN",
                listed(&options.addresses, |address| format!("{address}:{port}")),
            )
            .env("NARU_DATABASE_URL", &beneath.database.api)
            .env("NARU_REDIS_URL", &beneath.redis_url)
            .env("NARU_REPO_SERVERS", self.repo_server_urls())
            .env("NARU_OPERATOR_HOSTS", operator_hosts(options))
            .env(
                "NARU_OPERATOR_PASSWORD_FILE",
                password_file.to_string_lossy(),
            );
        Ok(match &options.domain {
            Some(domain) => api.env(
                "NARU_TENANT_HOST_TEMPLATE",
                tenant_hosts("{tenant}", domain).join(","),
            ),
            None => api,
        })
    }

    /// Where the repo-servers are asked.
    fn repo_server_urls(&self) -> String {
        listed(&self.repo_servers, |port| {
            format!("https://127.0.0.1:{port}")
        })
    }

    fn repo_server(
        &self,
        ground: &mut Ground,
        binaries: &Binaries,
        beneath: &Beneath,
        place: usize,
    ) -> Result<Spec> {
        let data = ground.folder(&numbered("repo-server", place))?;
        let name = numbered("naru-repo-server", place);
        let port = self.repo_servers.get(place);
        let port = port.context("there are not so many repo-servers")?;
        Ok(self
            .common(ground, &binaries.repo_server, &name, "repo-server")?
            .env("NARU_LISTEN", format!("127.0.0.1:{port}"))
            .env("NARU_REDIS_URL", &beneath.redis_url)
            .env("NARU_DATA_DIR", data.to_string_lossy())
            .env("NARU_RENDERER", binaries.renderer.to_string_lossy())
            .env("NARU_EGRESS__ALLOW", THIS_MACHINE)
            .env("NARU_ALLOW_FILE_URLS", "true"))
    }

    fn controller(
        &self,
        ground: &mut Ground,
        binaries: &Binaries,
        beneath: &Beneath,
        name: &str,
    ) -> Result<Spec> {
        let port = ground.port(name, name, None)?;
        Ok(self
            .common(ground, &binaries.controller, name, "controller")?
            .env("NARU_LISTEN", format!("127.0.0.1:{port}"))
            .env("NARU_ADVERTISE", format!("https://127.0.0.1:{port}"))
            .env("NARU_DATABASE_URL", &beneath.database.controller)
            .env("NARU_REPO_SERVERS", self.repo_server_urls())
            .env("NARU_KUBECONFIG", beneath.kubeconfig.to_string_lossy())
            .env("NARU_POLL_INTERVAL_SECONDS", self.poll_seconds.to_string())
            .env(
                "NARU_POLL_JITTER_SECONDS",
                (self.poll_seconds / 2).to_string(),
            ))
    }
}
