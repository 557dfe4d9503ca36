//! S4: from a push that returned to the application reported Synced at that commit, one push at a time.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;

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

const APP: &str = "s4-app";

pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<Report> {
    let client = Client::login(target).await?;
    let clone = Clone::of(target).await?;
    write(&clone, "start")?;
    let first = clone.push("start").await?;
    let mut events = client.watch().await?;
    client
        .put_app(target, APP, &format!("load/{APP}"), true)
        .await?;
    synced(&mut events, &first)
        .await
        .context("the first sync")?;
    let usage = Usage::now(target);
    let mut samples = Vec::with_capacity(options.pushes);
    for push in 0..options.pushes {
        write(&clone, &format!("push-{push}"))?;
        let commit = clone.push(&format!("push {push}")).await?;
        let returned = Instant::now();
        synced(&mut events, &commit).await?;
        samples.push(returned.elapsed().as_secs_f64() * 1e3);
        if push % 20 == 19 {
            progress(&format!("{} pushes", push + 1));
        }
    }
    samples.sort_by(f64::total_cmp);
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

async fn synced(
    events: &mut tokio::sync::mpsc::UnboundedReceiver<(String, serde_json::Value)>,
    commit: &str,
) -> anyhow::Result<()> {
    loop {
        let Ok(event) = tokio::time::timeout(Duration::from_secs(60), events.recv()).await else {
            bail!("not Synced at {commit} after a minute");
        };
        let (name, app) = event.context("the watch ended")?;
        if name == APP
            && app["status"]["sync"]["status"] == "Synced"
            && app["status"]["sync"]["revision"] == commit
        {
            return Ok(());
        }
    }
}
