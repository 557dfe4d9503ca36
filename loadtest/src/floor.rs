//! The floor: what this machine can do at most, without the product.
//!
//! (a) server-side applies a second of the ConfigMaps that S1 uses, by concurrency; (b) one list of them; (c) a listing of
//! refs and a fetch of one new commit. The best of (a) is the floor that S1 is held against, taken in the same session,
//! as the same impersonated service account.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use crate::Target;
use crate::client::each;
use crate::git::Clone;
use crate::kube::Kube;
use crate::process::Usage;
use crate::report::{Report, progress};
use crate::s1::payload;

/// How much of it.
#[derive(Args)]
pub(crate) struct Options {
    /// Objects per run.
    #[arg(long, default_value_t = 1000)]
    objects: usize,
    /// Runs at these concurrencies.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 16, 32, 64, 128])]
    concurrency: Vec<usize>,
}

pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<Report> {
    let mut report = Report::new("floor");
    let kube = Kube::new(target)?;
    let mut best = 0.0_f64;
    for &width in &options.concurrency {
        progress(&format!(
            "{} server-side applies, {width} at a time",
            options.objects
        ));
        let names: Vec<String> = (0..options.objects)
            .map(|n| format!("floor-{width}-{n:05}"))
            .collect();
        let began = Instant::now();
        each(&names, width, |name| async {
            kube.apply(&target.namespace, &object(&target.namespace, name))
                .await
        })
        .await?;
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let rate = options.objects as f64 / began.elapsed().as_secs_f64();
        report.add(format!("applies/s at concurrency {width}"), rate);
        best = best.max(rate);
        let began = Instant::now();
        let found = kube.list_config_maps(&target.namespace, LABEL).await?;
        report.add(
            format!("list of {found} objects, ms"),
            began.elapsed().as_secs_f64() * 1e3,
        );
        kube.delete(&target.namespace, "v1", "ConfigMap", LABEL)
            .await?;
    }
    report.add("floor, applies/s", best);
    if !target.repo.is_empty() {
        let (writer, reader) = (Clone::of(target).await?, Clone::of(target).await?);
        writer.push("floor").await?;
        let began = Instant::now();
        reader.git(&["ls-remote", "--quiet", "origin"]).await?;
        report.add("ls-remote, ms", began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        reader.git(&["fetch", "--quiet", "origin"]).await?;
        report.add(
            "fetch of one commit, ms",
            began.elapsed().as_secs_f64() * 1e3,
        );
    }
    Ok(report)
}

/// What the floor's objects are found by.
const LABEL: &str = "loadtest=floor";
/// How many applies are under way at once where a scenario takes its own floor; the best counts.
const WIDTHS: [usize; 3] = [16, 32, 64];

/// Server-side applies a second of a scenario's own objects, as the account that the product acts as. `make` gives the objects
/// of one application by its name and labels them `loadtest: floor`; they are gone again when this returns.
pub(crate) async fn applies(
    target: &Target,
    apps: usize,
    make: impl Fn(&str) -> Vec<Value>,
) -> anyhow::Result<f64> {
    let kube = Kube::new(target)?;
    let mut best = 0.0_f64;
    for width in WIDTHS {
        let mut objects: Vec<Value> = (0..apps)
            .flat_map(|n| make(&format!("floor-{width}-{n:05}")))
            .collect();
        for object in &mut objects {
            object["metadata"]["namespace"] = json!(target.namespace);
        }
        progress(&format!(
            "the floor: {} server-side applies, {width} at a time",
            objects.len()
        ));
        let (usage, began) = (Usage::now(target), Instant::now());
        kube.apply_all(&target.namespace, &objects, width).await?;
        let rate = objects.len() as f64 / began.elapsed().as_secs_f64();
        let each = usage.each(target, objects.len());
        progress(&format!(
            "{rate:.0} applies/s; processor milliseconds for each: {each}"
        ));
        best = best.max(rate);
        clear(&kube, &target.namespace, &objects).await?;
    }
    Ok(best)
}

/// Removes the floor's objects and waits until the cluster has nothing more to do with them.
async fn clear(kube: &Kube, namespace: &str, objects: &[Value]) -> anyhow::Result<()> {
    let part = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut kinds: BTreeSet<(String, String)> = objects
        .iter()
        .map(|object| (part(&object["apiVersion"]), part(&object["kind"])))
        .collect();
    for (version, kind) in &kinds {
        kube.delete(namespace, version, kind, LABEL).await?;
    }
    if kinds.iter().any(|(_, kind)| kind == "Deployment") {
        kinds.insert(("apps/v1".to_owned(), "ReplicaSet".to_owned()));
    }
    for (version, kind) in &kinds {
        let began = Instant::now();
        while kube.count(namespace, version, kind, LABEL).await? > 0 {
            if began.elapsed() > Duration::from_secs(300) {
                bail!("the floor's objects of kind {kind} were not gone after five minutes");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    Ok(())
}

pub(crate) fn object(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {"loadtest": "floor"}},
        "data": {"payload": payload(name)},
    })
}
