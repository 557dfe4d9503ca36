//! Argo CD's own processes, and what they lean on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use testkit::client::Client;
use testkit::control_plane::{self, ControlPlane};
use testkit::ground::Ground;
use testkit::helpers::{self, GitServer};
use testkit::process::{Process, Spec};
use testkit::redis::Redis;
use testkit::{paths, tools, wait};

use super::objects;
use crate::requirements::{self, Needs};

/// A running Argo CD.
pub(super) struct Running {
    pub(super) plane: ControlPlane,
    pub(super) git: GitServer,
    pub(super) password: String,
    /// Its `admin`.
    pub(super) client: Client,
}

/// Starts what does not run in that folder yet.
pub(super) async fn start(ground: &mut Ground, durable: bool) -> Result<Running> {
    let progress = ground.progress.clone();
    let needs = Needs {
        postgres: false,
        redis: true,
        sshd: false,
    };
    requirements::ensure(needs, &progress).await?;
    let redis = Redis::start(ground, None).await?;
    for tool in tools::CONTROL_PLANE {
        tools::path(tool, &progress).await?;
    }
    let options = control_plane::Options {
        durable,
        ..control_plane::Options::default()
    };
    let plane = progress
        .step(
            "starting a control plane for Argo CD",
            ControlPlane::start(ground, &options),
        )
        .await?;
    let xtask = paths::this_program()?;
    let git = GitServer::start(ground, &xtask, None).await?;
    helpers::ingress_status(ground, &xtask, &plane).await?;
    progress
        .step(
            "making Argo CD's objects",
            objects::apply(&plane, &progress),
        )
        .await?;
    let parts = Parts::lay(ground, plane, &redis).await?;
    let server = progress
        .step("starting Argo CD", parts.start(ground))
        .await?;
    let password = wait::until("Argo CD's first password", Duration::from_secs(60), || {
        parts.password()
    })
    .await?;
    let base = format!("http://{server}");
    let signing_in = wait::until("Argo CD", Duration::from_secs(60), || {
        Client::login(&base, "admin", &password)
    });
    let client = progress.step("signing in to Argo CD", signing_in).await?;
    Ok(Running {
        plane: parts.plane,
        git,
        password,
        client,
    })
}

/// What its processes share.
struct Parts {
    dir: PathBuf,
    program: PathBuf,
    plane: ControlPlane,
    redis: String,
    redis_password: String,
    repo_server: u16,
    path: String,
}

impl Parts {
    async fn lay(ground: &mut Ground, plane: ControlPlane, redis: &Redis) -> Result<Self> {
        let program = tools::path("argocd", &ground.progress).await?;
        let mut path = Vec::new();
        for tool in ["argocd", "kustomize", "helm"] {
            path.push(folder(&tools::path(tool, &ground.progress).await?)?);
        }
        path.push(paths::variable("PATH").unwrap_or_default());
        let redis_password = ground
            .known_secret("redis")
            .context("Redis has a password")?;
        let address = redis
            .url
            .rsplit_once('@')
            .and_then(|(_, rest)| rest.split('/').next())
            .context("Redis has an address")?;
        let repo_server = ground.port("argocd-repo-server", "argocd-repo-server", None)?;
        let dir = ground.folder("argocd")?;
        for name in [
            "ssh",
            "tls",
            "gnupg",
            "gpg-source",
            "plugins",
            "tmp",
            "conf",
        ] {
            ground.folder(&format!("argocd/{name}"))?;
        }
        Ok(Self {
            dir,
            program,
            plane,
            redis: address.to_owned(),
            redis_password,
            repo_server,
            path: path.join(":"),
        })
    }

    /// Starts its three parts and tells the server's address.
    async fn start(&self, ground: &mut Ground) -> Result<String> {
        let metrics = ground.port("argocd-repo-server-metrics", "argocd-repo-server", None)?;
        let repo_server = self
            .part("argocd-repo-server")
            .arg("--address=127.0.0.1")
            .arg(format!("--port={}", self.repo_server))
            .arg("--metrics-address=127.0.0.1")
            .arg(format!("--metrics-port={metrics}"))
            .arg("--disable-tls");
        let listens = self.repo_server;
        self.run(ground, repo_server, listens).await?;

        let metrics = ground.port(
            "argocd-controller-metrics",
            "argocd-application-controller",
            None,
        )?;
        let controller = self
            .client_of_repo_server("argocd-application-controller")
            .arg(format!("--metrics-port={metrics}"));
        self.run(ground, controller, metrics).await?;

        let port = ground.port("argocd-server", "argocd-server", None)?;
        let metrics = ground.port("argocd-server-metrics", "argocd-server", None)?;
        let server = self
            .client_of_repo_server("argocd-server")
            .arg("--insecure")
            .arg("--address=127.0.0.1")
            .arg(format!("--port={port}"))
            .arg(format!("--metrics-port={metrics}"));
        self.run(ground, server, port).await?;
        Ok(format!("127.0.0.1:{port}"))
    }

    fn part(&self, name: &str) -> Spec {
        let folder = |name: &str| self.dir.join(name).to_string_lossy().into_owned();
        Spec::new(name, &self.program)
            .arg(format!("--redis={}", self.redis))
            .env("ARGOCD_BINARY_NAME", name)
            .env("REDIS_PASSWORD", &self.redis_password)
            .env("ARGOCD_FAKE_IN_CLUSTER", "true")
            // That is then the one of this file.
            .env("KUBECONFIG", self.plane.kubeconfig.to_string_lossy())
            // Its repo-server would need the scripts of Argo CD's image to verify signatures; nothing here does.
            .env(
                "ARGOCD_GPG_ENABLED",
                (name != "argocd-repo-server").to_string(),
            )
            .env("ARGOCD_SSH_DATA_PATH", folder("ssh"))
            .env("ARGOCD_TLS_DATA_PATH", folder("tls"))
            .env("ARGOCD_GNUPGHOME", folder("gnupg"))
            .env("ARGOCD_GPG_DATA_PATH", folder("gpg-source"))
            .env("ARGOCD_PLUGINSOCKFILEPATH", folder("plugins"))
            .env("ARGOCD_APP_CONF_PATH", folder("conf"))
            .env("TMPDIR", folder("tmp"))
            .env("PATH", &self.path)
    }

    fn client_of_repo_server(&self, name: &str) -> Spec {
        self.part(name)
            .arg(format!("--kubeconfig={}", self.plane.kubeconfig.display()))
            .arg("--namespace=argocd")
            .arg(format!("--repo-server=127.0.0.1:{}", self.repo_server))
            .arg("--repo-server-plaintext")
    }

    async fn run(&self, ground: &mut Ground, spec: Spec, port: u16) -> Result<Process> {
        let (process, _) = ground.supervisor.ensure(&spec).await?;
        let listens = || async {
            Ok(tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .map(drop)?)
        };
        process.ready(Duration::from_secs(60), listens).await?;
        Ok(process)
    }

    async fn password(&self) -> Result<String> {
        let path = "/api/v1/namespaces/argocd/secrets/argocd-initial-admin-secret";
        let secret = self
            .plane
            .admin
            .get(path)
            .await?
            .context("it is not there yet")?;
        let encoded = secret["data"]["password"].as_str().context("it is empty")?;
        Ok(String::from_utf8(STANDARD.decode(encoded)?)?)
    }
}

fn folder(file: &Path) -> Result<String> {
    Ok(file
        .parent()
        .context("a tool is in a folder")?
        .to_string_lossy()
        .into_owned())
}
