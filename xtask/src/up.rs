//! `cargo xtask up`: from a fresh clone to the guide's application, Synced and Healthy.
//!
//! Every step first looks whether it is already done, so an interrupted run is continued and a second one is quick.

pub(crate) mod environment;
mod example;
mod parts;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use nix::fcntl::Flock;
use testkit::ground::Ground;
use testkit::progress::Progress;
use testkit::services::{Binaries, Services};
use testkit::{lock, paths, services};

use crate::requirements::{self, Needs};
use crate::say;

#[derive(Args, Clone)]
pub(crate) struct Arguments {
    /// Use this cluster instead of a simulated one of our own
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Use this PostgreSQL, as a role that may make roles and databases (postgres://role:password@host:5432/postgres)
    #[arg(long)]
    database_url: Option<String>,
    /// Use this Redis (redis://:password@host:6379/0)
    #[arg(long)]
    redis_url: Option<String>,
    /// Give every tenant hosts under this domain too (argocd.user01.<domain>, user01.<domain>)
    #[arg(long)]
    domain: Option<String>,
    /// Serve over TLS, with certificates of an authority that is made on the spot
    #[arg(long)]
    tls: bool,
    /// The api's port (a free one by default)
    #[arg(long, alias = "port")]
    api_port: Option<u16>,
    /// The demo Git server's port
    #[arg(long)]
    git_port: Option<u16>,
    /// PostgreSQL's port
    #[arg(long)]
    postgres_port: Option<u16>,
    /// Redis's port
    #[arg(long)]
    redis_port: Option<u16>,
    /// The Kubernetes API's port
    #[arg(long)]
    kube_port: Option<u16>,
    /// Let PostgreSQL and etcd wait for the disk at every write, as they must where speed is compared
    #[arg(long)]
    durable: bool,
    /// Record every write to the cluster in an audit log
    #[arg(long)]
    audit: bool,
    /// How often, in seconds, repositories are asked for news without a webhook
    #[arg(long, default_value_t = 120)]
    poll_seconds: u64,
    /// Stop after the parts beneath the services
    #[arg(long, hide = true)]
    infra_only: bool,
}

/// Where everything of `up` is.
pub(crate) fn folder() -> Result<PathBuf> {
    Ok(paths::clone_root()?.join(".naru"))
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let progress = Progress::terminal();
    let root = paths::clone_root()?;
    let dir = folder()?;
    paths::private_dir(&dir)?;
    let _alone = alone(&dir)?;
    if let Some(domain) = &arguments.domain {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = domain.contains('.')
            && domain
                .split('.')
                .all(|label| !label.is_empty() && label.chars().all(plain));
        anyhow::ensure!(
            fits,
            "--domain `{domain}` is not a domain: give a name such as naru.example, without scheme, port or spaces"
        );
    }
    let needs = Needs {
        postgres: arguments.database_url.is_none(),
        redis: arguments.redis_url.is_none(),
        sshd: false,
    };
    requirements::ensure(needs, &progress).await?;
    let mut ground = Ground::open(&dir, progress.clone())?;
    if arguments.infra_only {
        let parts = parts::start(&mut ground, &arguments).await?;
        return environment::write(&dir, &parts, None);
    }
    let binaries = Binaries::build(&ground).await?;
    let parts = parts::start(&mut ground, &arguments).await?;
    let options = services::Options {
        port: arguments.api_port,
        tls: arguments.tls,
        domain: arguments.domain.clone(),
        poll_seconds: arguments.poll_seconds,
        ..services::Options::default()
    };
    let starting = Services::start(&mut ground, &binaries, &parts.beneath, &options);
    let services = progress
        .step(
            "starting the api, the repo-server and the controller",
            starting,
        )
        .await?;
    let example = example::put(&mut ground, &root, &parts, &services).await?;
    environment::write(&dir, &parts, Some((&services, &example)))?;
    example.wait(&progress).await?;
    say::line(&example.text(&dir, &services, arguments.domain.as_deref()));
    Ok(())
}

/// Two at once would start everything twice.
fn alone(dir: &Path) -> Result<Flock<std::fs::File>> {
    lock::try_exclusive(&dir.join("up.lock"))?
        .context("another `cargo xtask up` is at work in this clone: wait for it")
}
