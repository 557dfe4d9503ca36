//! S4: from a push that returned to the application reported Synced at that commit, one push at a time.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::Target;
use crate::client::Client;
use crate::git::Clone;
use crate::process::Usage;
use crate::report::{Report, percentile, progress};

/// How much of it.
#[derive(Args)]
pub(crate) struct Options {
    /// Pushes.
    #[arg(long, default_value_t = 200)]
    pushes: usize,
    /// Leave the application there afterwards.
    #[arg(long)]
    keep: bool,
}

/// The application that is pushed to.
pub(crate) const APP: &str = "s4-app";

pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<Report> {
    let client = Client::login(target).await?;
    let clone = Clone::of(target).await?;
    let mut pushing = Pushing::begin(target, &client, &clone).await?;
    let usage = Usage::now(target);
    let samples = pushing.push(options.pushes).await?;
    let mut report = Report::new("S4");
    report.add("pushes", options.pushes);
    for (name, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)] {
        report.add(
            format!("{name} ms, push returned to Synced"),
            percentile(&samples, share),
        );
    }
    usage.report(target, &mut report);
    if !options.keep {
        client.delete_apps(&[APP.to_owned()]).await?;
    }
    Ok(report)
}

/// An application that follows a repository, and is pushed to.
pub(crate) struct Pushing<'a> {
    clone: &'a Clone,
    events: UnboundedReceiver<(String, serde_json::Value)>,
    pushed: usize,
}

impl<'a> Pushing<'a> {
    /// Makes it, and waits until it is Synced.
    pub(crate) async fn begin(
        target: &Target,
        client: &Client,
        clone: &'a Clone,
    ) -> anyhow::Result<Self> {
        write(clone, "start")?;
        let first = clone.push("start").await?;
        let mut events = client.watch().await?;
        client
            .put_app(target, APP, &format!("load/{APP}"), true)
            .await?;
        synced(&mut events, APP, &first)
            .await
            .context("the first sync")?;
        Ok(Self {
            clone,
            events,
            pushed: 0,
        })
    }

    /// Pushes so often, each time when the one before is Synced; how many milliseconds each took from a push that returned,
    /// the shortest first.
    pub(crate) async fn push(&mut self, pushes: usize) -> anyhow::Result<Vec<f64>> {
        let mut samples = Vec::with_capacity(pushes);
        for push in 0..pushes {
            self.pushed += 1;
            write(self.clone, &format!("push-{}", self.pushed))?;
            let commit = self.clone.push(&format!("push {}", self.pushed)).await?;
            let returned = Instant::now();
            synced(&mut self.events, APP, &commit).await?;
            samples.push(returned.elapsed().as_secs_f64() * 1e3);
            if push % 20 == 19 {
                progress(&format!("{} pushes", push + 1));
            }
        }
        samples.sort_by(f64::total_cmp);
        Ok(samples)
    }
}

/// A ConfigMap and a Deployment of no replicas, whose pod template names the push.
fn write(clone: &Clone, value: &str) -> anyhow::Result<()> {
    let folder = clone.path().join("load").join(APP);
    fs::create_dir_all(&folder)?;
    fs::write(
        folder.join("configmap.yaml"),
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {APP}\ndata:\n  value: {value}\n"
        ),
    )?;
    fs::write(
        folder.join("deployment.yaml"),
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {APP}\nspec:\n  replicas: 0\n  selector:\n    matchLabels:\n      \
             app: {APP}\n  template:\n    metadata:\n      labels:\n        app: {APP}\n    spec:\n      containers:\n      - name: app\n        \
             image: example.com/app:{value}\n"
        ),
    )?;
    Ok(())
}

/// Waits until an application is reported as Synced at a commit.
pub(crate) async fn synced(
    events: &mut UnboundedReceiver<(String, serde_json::Value)>,
    app_name: &str,
    commit: &str,
) -> anyhow::Result<()> {
    loop {
        let Ok(event) = tokio::time::timeout(Duration::from_secs(60), events.recv()).await else {
            bail!("not Synced at {commit} after a minute");
        };
        let (name, app) = event.context("the watch ended")?;
        if name == app_name
            && app["status"]["sync"]["status"] == "Synced"
            && app["status"]["sync"]["revision"] == commit
        {
            return Ok(());
        }
    }
}
