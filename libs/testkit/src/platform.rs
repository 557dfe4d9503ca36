//! The whole platform, running: one per test run, shared by its test programs, with a fresh tenant per test.
//!
//! Whoever uses it holds a lock on its folder. A guard among its processes stops everything when nobody has held the
//! lock for a while, so that neither a killed test nor a forgotten one leaves servers behind.

mod address;
mod tenant;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::fcntl::Flock;
use tokio::sync::OnceCell;

use crate::client::Client;
use crate::control_plane::{self, ControlPlane};
use crate::git::ssh::SshServer;
use crate::ground::{self, Ground};
use crate::helpers::{self, GitServer};
use crate::kube::Kube;
use crate::lock;
use crate::paths;
use crate::postgres::{self, Postgres};
use crate::process::{Process, Spec, Supervisor};
use crate::progress::Progress;
use crate::redis::Redis;
use crate::services::{self, Beneath, Binaries, Services};
pub use tenant::{Tenant, automated};

/// After so long without a user the guard stops everything.
const IDLE: Duration = Duration::from_secs(180);
const GUARD: &str = "guard";

/// A running platform.
pub struct Platform {
    dir: PathBuf,
    plane: ControlPlane,
    git: GitServer,
    ssh: Option<SshServer>,
    services: Services,
    beneath: Beneath,
    binaries: Binaries,
    options: services::Options,
    token: String,
    /// Held as long as this process lives.
    _in_use: Flock<File>,
}

static SHARED: OnceCell<Platform> = OnceCell::const_new();
static IN_USE: OnceCell<Flock<File>> = OnceCell::const_new();

/// The platform of this test run, started now if it does not run.
///
/// # Errors
/// When a part does not start.
pub async fn platform() -> Result<&'static Platform> {
    SHARED
        .get_or_try_init(|| async {
            Platform::start(&paths::test_platform()?, Progress::silent()).await
        })
        .await
}

/// The PostgreSQL of this test run, for tests that need nothing else.
///
/// # Errors
/// When it does not start.
pub async fn postgres() -> Result<Postgres> {
    let dir = paths::test_platform()?;
    enter(&dir).await?;
    let _starting = lock::exclusive(&dir.join("start.lock")).await?;
    Postgres::start(
        &mut Ground::open(&dir, Progress::silent())?,
        &postgres::Options::default(),
    )
    .await
}

/// The Redis of this test run, for tests that need nothing else. Each test takes a key prefix of its own.
///
/// # Errors
/// When it does not start.
pub async fn redis() -> Result<Redis> {
    let dir = paths::test_platform()?;
    enter(&dir).await?;
    let _starting = lock::exclusive(&dir.join("start.lock")).await?;
    Redis::start(&mut Ground::open(&dir, Progress::silent())?, None).await
}

/// The control plane of this test run, for tests that need nothing else. Each test takes a namespace of its own.
///
/// # Errors
/// When it does not start.
pub async fn control_plane() -> Result<ControlPlane> {
    let dir = paths::test_platform()?;
    enter(&dir).await?;
    let _starting = lock::exclusive(&dir.join("start.lock")).await?;
    ControlPlane::start(
        &mut Ground::open(&dir, Progress::silent())?,
        &plane_options(),
    )
    .await
}

fn plane_options() -> control_plane::Options {
    control_plane::Options {
        audit: true,
        enterable: true,
        ..control_plane::Options::default()
    }
}

/// Says for the rest of this process that the test run's folder is in use.
async fn enter(dir: &Path) -> Result<()> {
    IN_USE.get_or_try_init(|| use_folder(dir)).await.map(drop)
}

async fn use_folder(dir: &Path) -> Result<Flock<File>> {
    paths::private_dir(dir)?;
    loop {
        // Held alone only while everything is being stopped.
        if let Some(held) = lock::try_shared(&dir.join("in-use.lock"))? {
            return Ok(held);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Platform {
    /// The platform of a folder, started now where it does not run. A test that kills parts takes a folder of its own.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start(dir: &Path, progress: Progress) -> Result<Self> {
        Self::start_watched(dir, progress, None, "info").await
    }

    /// The same, with the services' traces sent to an OTLP endpoint.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start_traced(
        dir: &Path,
        progress: Progress,
        otlp_endpoint: Option<String>,
    ) -> Result<Self> {
        Self::start_watched(dir, progress, otlp_endpoint, "info").await
    }

    /// The same, with this much in its logs (`debug,store=trace`).
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start_watched(
        dir: &Path,
        progress: Progress,
        otlp_endpoint: Option<String>,
        log: &str,
    ) -> Result<Self> {
        let options = services::Options {
            otlp_endpoint,
            log: log.to_owned(),
            ..services::Options::default()
        };
        Self::start_as(dir, progress, options).await
    }

    /// The same, with so many repo-servers.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start_shared_out(
        dir: &Path,
        progress: Progress,
        repo_servers: usize,
    ) -> Result<Self> {
        let options = services::Options {
            repo_servers,
            ..services::Options::default()
        };
        Self::start_as(dir, progress, options).await
    }

    async fn start_as(dir: &Path, progress: Progress, options: services::Options) -> Result<Self> {
        clear_if_worn(dir).await?;
        let in_use = use_folder(dir).await?;
        let _starting = lock::exclusive(&dir.join("start.lock")).await?;
        let mut ground = Ground::open(dir, progress)?;
        let binaries = Binaries::build(&ground).await?;
        guard(&ground, &binaries.xtask).await?;
        let postgres = Postgres::start(&mut ground, &postgres::Options::default()).await?;
        let database = postgres.database("naru").await?;
        let redis = Redis::start(&mut ground, None).await?;
        let plane = ControlPlane::start(&mut ground, &plane_options()).await?;
        let git = GitServer::start(&mut ground, &binaries.xtask, None).await?;
        let ssh = SshServer::start(&mut ground, &git.home).await.ok();
        helpers::ingress_status(&mut ground, &binaries.xtask, &plane).await?;
        let beneath = Beneath {
            database,
            redis_url: redis.url,
            kubeconfig: plane.controller_kubeconfig.clone(),
        };
        let options = services::Options {
            addresses: address::all(),
            poll_seconds: 10,
            ..options
        };
        let services = Services::start(&mut ground, &binaries, &beneath, &options).await?;
        let admin = Client::login(
            &services.url("127.0.0.1"),
            "admin",
            &services.admin_password,
        )
        .await?;
        let token = admin.token().to_owned();
        Ok(Self {
            dir: dir.to_owned(),
            plane,
            git,
            ssh,
            services,
            beneath,
            binaries,
            options,
            token,
            _in_use: in_use,
        })
    }

    /// A client as the operator: `admin` of tenant naru.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn operator(&self) -> Result<Client> {
        Ok(Client::new(&self.services.url("127.0.0.1"))?.with_token(&self.token))
    }

    /// The password of the operator's `admin`.
    #[must_use]
    pub fn operator_password(&self) -> &str {
        &self.services.admin_password
    }

    /// The cluster, with every right.
    ///
    /// # Errors
    /// When its authority cannot be read.
    pub fn kube(&self) -> Result<Kube> {
        self.plane.admin.fresh()
    }

    /// The control plane.
    #[must_use]
    pub fn control_plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// The Git server over HTTP.
    #[must_use]
    pub fn git(&self) -> &GitServer {
        &self.git
    }

    /// The Git server over SSH.
    ///
    /// # Errors
    /// When there is no sshd on this machine.
    pub fn ssh(&self) -> Result<&SshServer> {
        self.ssh
            .as_ref()
            .context("sshd is missing: apt-get install openssh-server")
    }

    /// The address of the api at one of its hosts.
    #[must_use]
    pub fn url(&self, host: &str) -> String {
        self.services.url(host)
    }

    /// What the services lean on.
    #[must_use]
    pub fn beneath(&self) -> &Beneath {
        &self.beneath
    }

    /// The folder, with logs in `logs`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its processes: to kill one, to stop it for a while, to start it again as it was.
    ///
    /// # Errors
    /// When the folder is gone.
    pub fn supervisor(&self) -> Result<Supervisor> {
        Supervisor::open(&self.dir)
    }

    /// Starts one more controller, called `name` (`naru-controller-2`).
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn another_controller(&self, name: &str) -> Result<Process> {
        let mut ground = Ground::open(&self.dir, Progress::silent())?;
        Services::another_controller(
            &mut ground,
            &self.binaries,
            &self.beneath,
            &self.options,
            name,
        )
        .await
    }

    /// The same platform over TLS, started now if it is not yet: the port, and the authority of its certificate.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn over_tls(&self) -> Result<(u16, PathBuf)> {
        let _starting = lock::exclusive(&self.dir.join("start.lock")).await?;
        let mut ground = Ground::open(&self.dir, Progress::silent())?;
        Services::another_api_over_tls(&mut ground, &self.binaries, &self.beneath, &self.options)
            .await
    }

    /// Stops the filler of Ingress status; what it has filled stays.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop_ingress_status(&self) -> Result<()> {
        match self.supervisor()?.find(helpers::INGRESS_STATUS) {
            Some(process) => process.stop().await,
            None => Ok(()),
        }
    }

    /// Starts the filler of Ingress status again.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_ingress_status(&self) -> Result<()> {
        self.supervisor()?
            .restart(helpers::INGRESS_STATUS)
            .await
            .map(drop)
    }

    /// Stops everything and removes the data: for a platform that one test has to itself.
    ///
    /// # Errors
    /// When a part does not stop.
    pub async fn stop(self) -> Result<()> {
        let supervisor = self.supervisor()?;
        ground::stop_all(&supervisor).await?;
        clear(&self.dir)
    }
}

/// A fresh tenant on the shared platform, called after `label`.
///
/// # Errors
/// When the platform does not start or makes no tenant.
pub async fn tenant(label: &str) -> Result<Tenant> {
    platform().await?.tenant(label).await
}

async fn guard(ground: &Ground, xtask: &Path) -> Result<()> {
    let spec = Spec::new(GUARD, xtask)
        .arg("guard")
        .arg(format!("--dir={}", ground.dir().display()));
    ground.supervisor.ensure(&spec).await.map(drop)
}

/// What the guard does: waits until nobody has used the folder for a while, then stops everything in it.
///
/// # Errors
/// When the folder cannot be read.
pub async fn watch_over(dir: &Path) -> Result<()> {
    let mut idle = Duration::ZERO;
    let look = Duration::from_secs(3);
    loop {
        match lock::try_exclusive(&dir.join("in-use.lock"))? {
            Some(held) if idle >= IDLE => return stop_others(dir, held).await,
            Some(_) => idle += look,
            None => idle = Duration::ZERO,
        }
        tokio::time::sleep(look).await;
    }
}

async fn stop_others(dir: &Path, _alone: Flock<File>) -> Result<()> {
    let supervisor = Supervisor::open(dir)?;
    for process in supervisor.all() {
        if process.name() != GUARD {
            process.stop().await?;
        }
    }
    clear(dir)
}

/// Stops the shared platform, if nobody else uses it, and removes its data.
///
/// # Errors
/// When a part does not stop.
pub async fn stop_shared() -> Result<()> {
    let dir = paths::test_platform()?;
    if !dir.exists() {
        return Ok(());
    }
    let Some(_alone) = lock::try_exclusive(&dir.join("in-use.lock"))? else {
        return Ok(());
    };
    ground::stop_all(&Supervisor::open(&dir)?).await?;
    clear(&dir)
}

/// Starts over where the last run has ended, or has used up most addresses and nobody is there any more.
async fn clear_if_worn(dir: &Path) -> Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    let Some(_alone) = lock::try_exclusive(&dir.join("in-use.lock"))? else {
        return Ok(());
    };
    let supervisor = Supervisor::open(dir)?;
    let ended = supervisor.find("naru-api").is_none();
    if ended || address::is_worn(dir) {
        ground::stop_all(&supervisor).await?;
        clear(dir)?;
    }
    Ok(())
}

/// Removes what a run has left: not the certificates and ports, which the next one may use again.
fn clear(dir: &Path) -> Result<()> {
    let outside = postgres::data_outside(dir);
    let left = [
        "postgres",
        "redis",
        "kubernetes",
        "repositories",
        "repo-server",
        "repo-server-2",
        "logs",
        "addresses",
    ]
    .map(|name| dir.join(name));
    for path in left.iter().chain([&outside]) {
        let removed = if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}
