//! `cargo xtask oracle`: Argo CD itself, on a control plane of its own, with the same samples, to compare with.
//!
//! The binary of the `argocd` command is its server, controller and repo-server too; a variable names which one.
//! `--compare` runs the same scripts of commands and REST calls against both and tells what differs.
//!
//! # Reading order
//! [`parts`] starts it; [`compare`] runs the [`script`]s on two of the [`sides`] at a time ([`side`]), and holds each
//! [`difference`] against the [`listed`] ones.

mod compare;
mod difference;
mod listed;
mod normal;
mod objects;
mod parts;
mod script;
mod side;
mod sides;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use testkit::client::summary;
use testkit::ground::{self, Ground};
use testkit::paths;
use testkit::progress::Progress;

use crate::samples::{self, APPLICATIONS, REPOSITORY};
use crate::say;
use parts::Running;

pub(crate) use compare::compare;

/// Whose repository it is, and what `${USER_IDENTITY}` is filled in with.
const TENANT: &str = "user01";

#[derive(Args)]
pub(crate) struct Arguments {
    /// Stops it
    #[arg(long)]
    stop: bool,
    /// Let etcd wait for the disk at every write, as it must where speed is compared
    #[arg(long)]
    durable: bool,
    /// Start without the samples
    #[arg(long)]
    empty: bool,
    /// Run the scripts against an Argo CD and a tenant made for it, and tell every difference that is not listed
    #[arg(long, conflicts_with_all = ["stop", "durable", "empty"])]
    compare: bool,
    /// Leave what `--compare` started running, for the next time
    #[arg(long, requires = "compare")]
    keep: bool,
    /// Run only these scripts (`--only projects`); what is listed for others need not be seen then
    #[arg(long, requires = "compare")]
    only: Vec<String>,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let progress = Progress::terminal();
    if arguments.compare {
        return compare(&progress, arguments.keep, &arguments.only).await;
    }
    let root = paths::clone_root()?;
    let dir = root.join(".naru/oracle");
    paths::private_dir(&root.join(".naru"))?;
    let mut ground = Ground::open(&dir, progress.clone())?;
    if arguments.stop {
        ground::stop_all(&ground.supervisor).await?;
        return Ok(());
    }
    let running = parts::start(&mut ground, arguments.durable).await?;
    let git = &running.git;
    let login = git.home.ensure_login(TENANT)?;
    git.home.ensure_repository(TENANT, REPOSITORY).await?;
    let repo = git.repository(TENANT, REPOSITORY);
    if !arguments.empty {
        put_samples(&ground, &running, &root, &repo).await?;
    }
    let env = [
        ("ORACLE_SERVER", running.client.server()),
        ("ORACLE_SCHEME", "http"),
        ("ORACLE_ADMIN_PASSWORD", &running.password),
        ("ORACLE_REPO", &repo),
        ("ORACLE_GIT_USER", &login.user),
        ("ORACLE_GIT_PASSWORD", &login.password),
        (
            "ORACLE_KUBECONFIG",
            &running.plane.kubeconfig.to_string_lossy(),
        ),
    ];
    let lines: String = env
        .iter()
        .map(|(name, value)| format!("export {name}='{value}'\n"))
        .collect();
    paths::private_file(&dir.join("env"), lines.as_bytes())?;
    say::line(&format!(
        "Argo CD is up at {}, account admin; the rest for your shell: . {}",
        running.client.base(),
        dir.join("env").display()
    ));
    say::line("cargo xtask oracle --stop stops it");
    Ok(())
}

/// The guide's samples, variables filled in, followed by the same two applications as `up` makes.
async fn put_samples(ground: &Ground, running: &Running, root: &Path, repo: &str) -> Result<()> {
    let login = running.git.home.ensure_login(TENANT)?;
    let client = &running.client;
    let work = ground.folder("checkouts")?.join(TENANT);
    let commit = samples::fill(repo, &login, &work, &root.join("examples"), Some(TENANT)).await?;
    running.plane.admin.ensure_namespace(TENANT).await?;
    samples::connect(client, repo, &login).await?;
    for (name, path) in APPLICATIONS {
        samples::application(client, name, repo, path, TENANT).await?;
        // Argo CD never calls hello-spring Synced: it compares the misspelt `nmaespace` of the printed Service too.
        let done = client.app_when(name, Duration::from_secs(180), |app| {
            let status = &app["status"];
            status["operationState"]["phase"] == "Succeeded"
                && status["operationState"]["syncResult"]["revision"] == commit.as_str()
                && status["health"]["status"] == "Healthy"
        });
        let app = ground
            .progress
            .step(
                &format!("waiting for {name} to be synced and Healthy"),
                done,
            )
            .await?;
        say::line(&format!("{name}: {}", summary(&app)));
    }
    Ok(())
}
