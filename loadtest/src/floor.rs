//! The floor: what this machine can do at most, without the product.
//!
//! (a) server-side applies a second of the ConfigMaps that S1 uses, by concurrency; (b) one list of them; (c) a listing of
//! refs and a fetch of one new commit. The best of (a) is the floor that S1 is held against, taken in the same session,
//! as the same impersonated service account.

use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use crate::Target;
use crate::client::each;
use crate::git::Clone;
use crate::kube::Kube;
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
            kube.apply_config_map(&target.namespace, name, &object(&target.namespace, name))
                .await
        })
        .await?;
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let rate = options.objects as f64 / began.elapsed().as_secs_f64();
        report.add(format!("applies/s at concurrency {width}"), rate);
        best = best.max(rate);
        let began = Instant::now();
        let found = kube
            .list_config_maps(&target.namespace, "loadtest=floor")
            .await?;
        report.add(
            format!("list of {found} objects, ms"),
            began.elapsed().as_secs_f64() * 1e3,
        );
        kube.delete_config_maps(&target.namespace, "loadtest=floor")
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

fn object(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {"loadtest": "floor"}},
        "data": {"payload": payload(name)},
    })
}
