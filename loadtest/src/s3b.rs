//! S3b: what objects cost each process in memory: those that nobody manages, then those of applications.
//!
//! A slope: Pss_Anon after some of them, again after more, divided by how many more. What the first ones bring besides themselves
//! (the kind, code that runs for the first time) is in both looks. Nothing is deleted in between, so that no object moves into
//! what another one has left. The floor is the objects' own JSON, without what the server writes down of who wrote what.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use serde_json::{Value, json};

use crate::Target;
use crate::client::Client;
use crate::git::Clone;
use crate::kube::Kube;
use crate::process::memory;
use crate::report::{Report, percent, progress};
use crate::s1::{make_apps, payload};
use crate::s2::settle;

/// How much of it.
#[derive(Args)]
pub(crate) struct Options {
    /// Objects before the first look, of each sort.
    #[arg(long, default_value_t = 10_000)]
    base: usize,
    /// Objects between the looks, of each sort.
    #[arg(long, default_value_t = 10_000)]
    objects: usize,
    /// Objects of an application.
    #[arg(long, default_value_t = 100)]
    per_app: usize,
    /// Leave everything there afterwards.
    #[arg(long)]
    keep: bool,
}

/// After so long without a request everything that was begun has ended.
const SETTLED: Duration = Duration::from_secs(20);
/// Of how many objects the figures speak.
const UNIT: f64 = 10_000.0;
const UNMANAGED: &str = "loadtest=unmanaged";
const MANAGED: &str = "loadtest=app";

/// Memory of each process, in KiB, before and after so many objects.
struct Slope {
    before: BTreeMap<String, u64>,
    after: BTreeMap<String, u64>,
}

pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<Report> {
    ensure!(
        options.objects > 0
            && options.per_app > 0
            && options.base.is_multiple_of(options.per_app)
            && options.objects.is_multiple_of(options.per_app),
        "--base and --objects have to be multiples of --per-app"
    );
    let client = Client::login(target).await?;
    let kube = Kube::new(target)?;
    let clone = Clone::of(target).await?;
    let mut report = Report::new("S3b");
    report.add("objects before the first look", options.base);
    report.add("objects between the looks", options.objects);
    report.add("objects of an application", options.per_app);

    let slope = unmanaged(target, options, &kube).await?;
    report.section("unmanaged");
    add(
        &mut report,
        options,
        &slope,
        json_size(target, &kube, UNMANAGED).await?,
    );

    let names: Vec<String> = (0..(options.base + options.objects) / options.per_app)
        .map(|n| format!("s3b-{n:05}"))
        .collect();
    let slope = managed(target, options, &client, &clone, &names).await?;
    report.section("managed");
    add(
        &mut report,
        options,
        &slope,
        json_size(target, &kube, MANAGED).await?,
    );

    if !options.keep {
        progress("deleting everything");
        client.delete_apps(&names).await?;
        clone.remove(&names).await?;
        kube.delete(&target.namespace, "v1", "ConfigMap", UNMANAGED)
            .await?;
    }
    Ok(report)
}

async fn unmanaged(target: &Target, options: &Options, kube: &Kube) -> anyhow::Result<Slope> {
    let objects: Vec<Value> = (0..options.base + options.objects)
        .map(|n| object(&target.namespace, &format!("s3b-unmanaged-{n:06}")))
        .collect();
    let (first, more) = objects.split_at(options.base);
    progress("objects that nobody manages");
    kube.apply_all(&target.namespace, first, 32).await?;
    tokio::time::sleep(SETTLED).await;
    let before = memory(target);
    kube.apply_all(&target.namespace, more, 32).await?;
    tokio::time::sleep(SETTLED).await;
    let after = memory(target);
    Ok(Slope { before, after })
}

async fn managed(
    target: &Target,
    options: &Options,
    client: &Client,
    clone: &Clone,
    names: &[String],
) -> anyhow::Result<Slope> {
    let (first, more) = names.split_at(options.base / options.per_app);
    progress("objects of applications");
    make_apps(target, client, clone, first, options.per_app).await?;
    settle(client, "s3b-", first.len()).await?;
    tokio::time::sleep(SETTLED).await;
    let before = memory(target);
    make_apps(target, client, clone, more, options.per_app).await?;
    settle(client, "s3b-", names.len()).await?;
    tokio::time::sleep(SETTLED).await;
    let after = memory(target);
    Ok(Slope { before, after })
}

/// What of JSON the objects of a label are, in MiB for ten thousand of them.
async fn json_size(target: &Target, kube: &Kube, selector: &str) -> anyhow::Result<f64> {
    let (count, bytes) = kube
        .measure_config_maps(&target.namespace, selector)
        .await?;
    Ok(bytes as f64 / 1024.0 / 1024.0 / count as f64 * UNIT)
}

fn add(report: &mut Report, options: &Options, slope: &Slope, floor: f64) {
    report.add("floor, MiB of JSON for 10,000 objects", floor);
    for (name, kib) in &slope.after {
        let before = slope.before.get(name).copied().unwrap_or_default();
        let grown = (*kib as f64 - before as f64) / 1024.0 / options.objects as f64 * UNIT;
        report.add(format!("MiB for 10,000 objects, {name}"), grown);
        if name == "controller" {
            report.add("% of the floor, controller", percent(grown, floor));
        }
    }
}

/// As large as those of the applications.
fn object(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {"loadtest": "unmanaged"}},
        "data": {"payload": payload(name)},
    })
}
