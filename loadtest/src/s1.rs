//! S1: cold sync of many applications of one ConfigMap each.
//!
//! The applications are made before; t0 is the first Sync request; the end is the last application that the watch
//! reports as Synced and Healthy with its operation over. Where there is a kubeconfig, the floor is taken before in the same run.

use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;

use crate::Target;
use crate::client::{Client, each};
use crate::floor;
use crate::git::Clone;
use crate::process::Usage;
use crate::report::{Report, percent, progress};

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

/// Writes the folders of [`push_apps`], and makes for each an application that syncs by itself.
pub(crate) async fn make_apps(
    target: &Target,
    client: &Client,
    clone: &Clone,
    names: &[String],
    objects: usize,
) -> anyhow::Result<()> {
    push_apps(clone, names, objects).await?;
    each(names, 32, |name| async move {
        let path = format!("load/{name}");
        client.put_app(target, name, &path, true).await
    })
    .await
}

pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<Report> {
    let client = Client::login(target).await?;
    let names: Vec<String> = (0..options.apps).map(|n| format!("s1-{n:05}")).collect();
    let mut floor = None;
    if !target.kubeconfig.is_empty() {
        let object = |name: &str| vec![floor::object(&target.namespace, name)];
        floor = Some(floor::applies(target, options.apps, object).await?);
    }
    progress("writing the repository");
    push_apps(&Clone::of(target).await?, &names, 1).await?;
    let cold = cold_sync(target, &client, &names, options.clients).await?;
    let mut report = Report::new("S1");
    report.add("applications", options.apps);
    cold.report(target, &mut report, (options.apps, 1), floor);
    if !options.keep {
        progress("deleting the applications");
        client.delete_apps(&names).await?;
    }
    Ok(report)
}

/// How a cold sync went.
pub(crate) struct Cold {
    asked: Duration,
    took: Duration,
    usage: Usage,
}

impl Cold {
    /// Adds it, with what each process has used since the first request, and how much of the floor it is. `size` is the
    /// applications and the objects of each.
    pub(crate) fn report(
        &self,
        target: &Target,
        report: &mut Report,
        size: (usize, usize),
        floor: Option<f64>,
    ) {
        let (apps, objects) = size;
        let took = self.took.as_secs_f64();
        let rate = (apps * objects) as f64 / took;
        report.add("all Sync requests answered, s", self.asked.as_secs_f64());
        report.add("last one Synced and Healthy, s", took);
        report.add("applications/s", apps as f64 / took);
        report.add("objects/s", rate);
        if let Some(floor) = floor {
            report.add("floor in this run, applies/s", floor);
            report.add("% of the floor", percent(rate, floor));
        }
        self.usage.report(target, report);
    }
}

/// Makes the applications of the folders `load/<name>`, waits for their first comparison, and syncs them all.
pub(crate) async fn cold_sync(
    target: &Target,
    client: &Client,
    names: &[String],
    clients: usize,
) -> anyhow::Result<Cold> {
    let mut events = client.watch().await?;
    progress("making the applications");
    each(names, clients, |name| async move {
        client
            .put_app(target, name, &format!("load/{name}"), false)
            .await
    })
    .await?;
    wait(&mut events, names, |app| {
        app["status"]["sync"]["status"] == "OutOfSync"
    })
    .await
    .context("first comparison")?;
    progress("syncing");
    let usage = Usage::now(target);
    let began = Instant::now();
    each(names, clients, |name| client.sync(name)).await?;
    let asked = began.elapsed();
    wait(&mut events, names, |app| {
        app["status"]["sync"]["status"] == "Synced"
            && app["status"]["health"]["status"] == "Healthy"
            && app["operation"].is_null()
            && app["status"]["operationState"]["phase"] == "Succeeded"
    })
    .await?;
    Ok(Cold {
        asked,
        took: began.elapsed(),
        usage,
    })
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
