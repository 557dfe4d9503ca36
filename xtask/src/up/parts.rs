//! What the services lean on: ours, or what the caller named.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use testkit::command::{command, output, which};
use testkit::control_plane::{self, ControlPlane};
use testkit::ground::Ground;
use testkit::helpers::{self, GitServer};
use testkit::postgres::{self, Postgres};
use testkit::process::Process;
use testkit::redis::Redis;
use testkit::services::Beneath;
use testkit::tools;

use super::Arguments;

/// The running parts.
pub(super) struct Parts {
    pub(super) beneath: Beneath,
    pub(super) git: GitServer,
    /// The cluster for people.
    pub(super) kubeconfig: PathBuf,
    pub(super) kubectl: PathBuf,
}

pub(super) async fn start(ground: &mut Ground, arguments: &Arguments) -> Result<Parts> {
    let xtask = testkit::paths::this_program()?;
    let progress = ground.progress.clone();
    let postgres = match &arguments.database_url {
        Some(url) => Postgres::attach(ground, url).await?,
        None => {
            let options = postgres::Options {
                port: arguments.postgres_port,
                durable: arguments.durable,
            };
            progress
                .step("starting PostgreSQL", Postgres::start(ground, &options))
                .await?
        }
    };
    let database = postgres.database("naru").await?;
    let redis_url = match &arguments.redis_url {
        Some(url) => {
            testkit::redis::check(url).await?;
            url.clone()
        }
        None => {
            progress
                .step("starting Redis", Redis::start(ground, arguments.redis_port))
                .await?
                .url
        }
    };
    let (kubeconfig, controller) = cluster(ground, arguments, &xtask).await?;
    let git = progress
        .step(
            "starting the demo Git server",
            GitServer::start(ground, &xtask, arguments.git_port),
        )
        .await?;
    let kubectl = match which("kubectl", &[]) {
        Some(found) => found,
        None => tools::path("kubectl", &progress).await?,
    };
    Ok(Parts {
        beneath: Beneath {
            database,
            redis_url,
            kubeconfig: controller,
        },
        git,
        kubeconfig,
        kubectl,
    })
}

/// The kubeconfigs for people and for the controller.
async fn cluster(
    ground: &mut Ground,
    arguments: &Arguments,
    xtask: &Path,
) -> Result<(PathBuf, PathBuf)> {
    if let Some(own) = &arguments.kubeconfig {
        let own = own
            .canonicalize()
            .with_context(|| format!("--kubeconfig: cannot read {}", own.display()))?;
        return Ok((own.clone(), own));
    }
    let options = control_plane::Options {
        port: arguments.kube_port,
        durable: arguments.durable,
        audit: arguments.audit,
        ..control_plane::Options::default()
    };
    for tool in tools::CONTROL_PLANE {
        tools::path(tool, &ground.progress).await?;
    }
    let progress = ground.progress.clone();
    let plane = progress
        .step(
            "starting the Kubernetes control plane with simulated nodes",
            ControlPlane::start(ground, &options),
        )
        .await?;
    helpers::ingress_status(ground, xtask, &plane).await?;
    Ok((plane.kubeconfig, plane.controller_kubeconfig))
}

impl Parts {
    /// Makes a namespace, as a person would with kubectl.
    pub(super) async fn ensure_namespace(&self, name: &str) -> Result<()> {
        let kubectl = || {
            let mut kubectl = command(&self.kubectl);
            kubectl.arg("--kubeconfig").arg(&self.kubeconfig);
            kubectl
        };
        if output(kubectl().args(["get", "namespace", name]))
            .await
            .is_err()
        {
            output(kubectl().args(["create", "namespace", name]))
                .await
                .context("the cluster makes no namespace")?;
        }
        Ok(())
    }
}

/// What the environment file says of the processes: the id of each, and where those that are ours show what they count.
pub(super) fn listed(processes: &[Process]) -> Result<Vec<(String, String)>> {
    let mut list = Vec::new();
    for process in processes {
        let name = process.name();
        let name = name.strip_prefix("naru-").unwrap_or(name);
        let name = name.to_uppercase().replace('-', "_");
        if let Some(metrics) = process.spec().env.get("NARU_METRICS_LISTEN") {
            let url = format!("http://{metrics}/metrics");
            list.push((format!("NARU_METRICS_{name}"), url));
        }
        list.push((format!("NARU_PID_{name}"), process.id().to_string()));
    }
    if list.is_empty() {
        bail!("nothing runs")
    }
    Ok(list)
}
