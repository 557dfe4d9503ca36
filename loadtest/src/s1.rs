//! S1: cold sync of many applications of one ConfigMap each.
//!
//! The applications are made before; t0 is the first Sync request; the end is the last application that the watch
//! reports as Synced and Healthy with its operation over.

use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;

use crate::Target;
use crate::client::{Client, each};
use crate::git::Clone;
use crate::process::Usage;
use crate::report::{Report, progress};

/// How much of it.
#[derive(Args)]
pub(crate) struct Options {
    /// Applications.
    #[arg(long, default_value_t = 1000)]
    apps: usize,
    /// Sync requests at a time.
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// Leave the applications there afterwards.
    #[arg(long)]
    keep: bool,
}

/// Two KiB that differ per object.
pub(crate) fn payload(name: &str) -> String {
    format!("{name:-<2048}")
}

/// Writes the folders `load/<name>` with `objects` ConfigMaps each, commits and pushes.
pub(crate) async fn push_apps(
    clone: &Clone,
    names: &[String],
    objects: usize,
) -> anyhow::Result<()> {
    for name in names {
        let folder = clone.path().join("load").join(name);
        fs::create_dir_all(&folder)?;
        for object in 0..objects {
            let text = format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}-{object}\n  labels:\n    loadtest: app\ndata:\n  payload: {}\n",
                payload(name)
            );
            fs::write(folder.join(format!("configmap-{object}.yaml")), text)?;
        }
    }
    clone.push("applications for a load run").await.map(drop)
}

pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<Report> {
    let client = Client::login(target).await?;
    let names: Vec<String> = (0..options.apps).map(|n| format!("s1-{n:05}")).collect();
    progress("writing the repository");
    push_apps(&Clone::of(target).await?, &names, 1).await?;
    let mut events = client.watch().await?;
    progress("making the applications");
    let client = &client;
    each(&names, options.clients, |name| async move {
        client
            .put_app(target, name, &format!("load/{name}"), false)
            .await
    })
    .await?;
    wait(&mut events, &names, |app| {
        app["status"]["sync"]["status"] == "OutOfSync"
    })
    .await
    .context("first comparison")?;
    progress("syncing");
    let usage = Usage::now(target);
    let began = Instant::now();
    each(&names, options.clients, |name| client.sync(name)).await?;
    let asked = began.elapsed();
    wait(&mut events, &names, |app| {
        app["status"]["sync"]["status"] == "Synced"
            && app["status"]["health"]["status"] == "Healthy"
            && app["operation"].is_null()
            && app["status"]["operationState"]["phase"] == "Succeeded"
    })
    .await?;
    let took = began.elapsed().as_secs_f64();
    let mut report = Report::new("S1");
    report.add("applications", options.apps);
    report.add("all Sync requests answered, s", asked.as_secs_f64());
    report.add("last one Synced and Healthy, s", took);
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    report.add("applications/s", options.apps as f64 / took);
    usage.report(target, &mut report);
    if !options.keep {
        progress("deleting the applications");
        client.delete_apps(&names).await?;
    }
    Ok(report)
}

/// Waits until every name has been seen in the wanted state.
async fn wait(
    events: &mut tokio::sync::mpsc::UnboundedReceiver<(String, serde_json::Value)>,
    names: &[String],
    wanted: impl Fn(&serde_json::Value) -> bool,
) -> anyhow::Result<()> {
    let mut left: HashSet<&str> = names.iter().map(String::as_str).collect();
    while !left.is_empty() {
        let Ok(event) = tokio::time::timeout(Duration::from_secs(120), events.recv()).await else {
            bail!(
                "nothing happened for two minutes; {} applications are left, {:?} among them",
                left.len(),
                left.iter().next()
            );
        };
        let (name, app) = event.context("the watch ended")?;
        if wanted(&app) {
            left.remove(name.as_str());
        }
    }
    Ok(())
}
