//! S6: many kustomizations over one base in one repository. One of them changes, push by push; then the base does (S6b).
//!
//! The applications are compared and never synced. A time is from a push that returned to the changed application reported at
//! that commit, and to the last of all; the next push waits for those. Renders are counted by the repo-server itself.

use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::Target;
use crate::client::{Client, each};
use crate::git::Clone;
use crate::process::Usage;
use crate::report::{Report, percentile, progress};

/// How much of it.
#[derive(Args)]
pub(crate) struct Options {
    /// Applications.
    #[arg(long, default_value_t = 1000)]
    apps: usize,
    /// Pushes that change one application.
    #[arg(long, default_value_t = 20)]
    pushes: usize,
    /// Where the repo-server shows what it counts; renders are not counted without it.
    #[arg(long, env = "NARU_METRICS_REPO_SERVER")]
    metrics: Option<String>,
    /// Leave the applications there afterwards.
    #[arg(long)]
    keep: bool,
}

const BASE: &str = "load/s6-base";

pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<Report> {
    let client = Client::login(target).await?;
    let names: Vec<String> = (0..options.apps).map(|n| format!("s6-{n:05}")).collect();
    progress("writing the repository");
    let clone = Clone::of(target).await?;
    write_base(&clone, "first")?;
    for name in &names {
        write_overlay(&clone, name, "first")?;
    }
    let mut events = client.watch().await?;
    let first = clone.push("kustomizations for a load run").await?;
    progress("making the applications");
    each(&names, 32, |name| {
        let client = &client;
        async move {
            let path = format!("load/{name}");
            client.put_app(target, name, &path, false).await
        }
    })
    .await?;
    compared(&mut events, &names, &first, |_| ())
        .await
        .context("the first comparison")?;
    let mut report = Report::new("S6");
    report.add("applications", options.apps);

    let rendered = renders(options).await?;
    let usage = Usage::now(target);
    let (mut changed, mut all) = (Vec::new(), Vec::new());
    for push in 0..options.pushes {
        // Another one each time, far from the one before.
        let name = &names[(push * 7919) % names.len()];
        write_overlay(&clone, name, &format!("push-{push}"))?;
        let commit = clone.push(&format!("push {push}")).await?;
        let returned = Instant::now();
        let each = |seen: &str| {
            if seen == name {
                changed.push(milliseconds(returned));
            }
        };
        compared(&mut events, &names, &commit, each).await?;
        all.push(milliseconds(returned));
    }
    for (what, samples) in [
        ("the changed one", &mut changed),
        ("the last of all", &mut all),
    ] {
        samples.sort_by(f64::total_cmp);
        for (name, share) in [("p50", 0.5), ("max", 1.0)] {
            let figure = format!("{name} ms, push returned to {what}");
            report.add(figure, percentile(samples, share));
        }
    }
    if let (Some(before), Some(after)) = (rendered, renders(options).await?) {
        report.add("pushes", options.pushes);
        report.add("renders", after - before);
    }
    usage.report(target, &mut report);

    progress("changing what all of them share");
    write_base(&clone, "second")?;
    let rendered = renders(options).await?;
    let usage = Usage::now(target);
    let commit = clone.push("the base").await?;
    let returned = Instant::now();
    compared(&mut events, &names, &commit, |_| ()).await?;
    let took = returned.elapsed().as_secs_f64();
    report.section("S6b");
    report.add("last one compared, s", took);
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    report.add("applications/s", options.apps as f64 / took);
    if let (Some(before), Some(after)) = (rendered, renders(options).await?) {
        report.add("renders", after - before);
    }
    usage.report(target, &mut report);
    if !options.keep {
        progress("deleting the applications");
        client.delete_apps(&names).await?;
    }
    Ok(report)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// A Deployment of no replicas, a Service, an Ingress and settings.
pub(crate) fn write_base(clone: &Clone, version: &str) -> anyhow::Result<()> {
    let folder = clone.path().join(BASE);
    fs::create_dir_all(&folder)?;
    let files = [
        (
            "kustomization.yaml",
            "resources: [deployment.yaml, service.yaml, ingress.yaml]\nconfigMapGenerator:\n- name: settings\n  literals: \
             [MODE=training, LEVEL=info]\n"
                .to_owned(),
        ),
        (
            "deployment.yaml",
            format!(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 0\n  selector:\n    \
                 matchLabels:\n      app: web\n  template:\n    metadata:\n      labels:\n        app: web\n    spec:\n      \
                 containers:\n      - name: web\n        image: example.com/web:{version}\n        envFrom:\n        - configMapRef:\n            \
                 name: settings\n"
            ),
        ),
        (
            "service.yaml",
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  selector:\n    app: web\n  ports:\n  - port: 80\n"
                .to_owned(),
        ),
        (
            "ingress.yaml",
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: web\nspec:\n  rules:\n  - host: web.example.com\n    \
             http:\n      paths:\n      - path: /\n        pathType: Prefix\n        backend:\n          service:\n            name: web\n            \
             port:\n              number: 80\n"
                .to_owned(),
        ),
    ];
    for (name, text) in files {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}

/// A suffix, a label, an image and a host of the application's own.
pub(crate) fn write_overlay(clone: &Clone, name: &str, tag: &str) -> anyhow::Result<()> {
    let folder = clone.path().join("load").join(name);
    fs::create_dir_all(&folder)?;
    let text = format!(
        "resources: [../s6-base]\nnameSuffix: -{name}\nlabels:\n- pairs:\n    load: {name}\n  includeSelectors: true\nimages:\n\
         - name: example.com/web\n  newName: example.com/{name}\ncommonAnnotations:\n  push: {tag}\npatches:\n- target:\n    \
         kind: Ingress\n  patch: |-\n    - op: replace\n      path: /spec/rules/0/host\n      value: {name}.example.com\n"
    );
    fs::write(folder.join("kustomization.yaml"), text)?;
    Ok(())
}

/// Waits until every one of them has been reported as compared at the commit, and says each name when it is.
pub(crate) async fn compared(
    events: &mut UnboundedReceiver<(String, serde_json::Value)>,
    names: &[String],
    commit: &str,
    mut each: impl FnMut(&str),
) -> anyhow::Result<()> {
    let mut left: HashSet<&str> = names.iter().map(String::as_str).collect();
    while !left.is_empty() {
        let Ok(event) = tokio::time::timeout(Duration::from_secs(120), events.recv()).await else {
            bail!(
                "nothing happened for two minutes; {} applications are not compared at {commit}",
                left.len()
            );
        };
        let (name, app) = event.context("the watch ended")?;
        if app["status"]["sync"]["revision"] == commit && left.remove(name.as_str()) {
            each(&name);
        }
    }
    Ok(())
}

/// How often the repo-server has rendered so far; hits are none.
async fn renders(options: &Options) -> anyhow::Result<Option<u64>> {
    let Some(url) = &options.metrics else {
        return Ok(None);
    };
    let text = reqwest::get(url).await?.error_for_status()?.text().await?;
    let counted = text.lines().filter(|line| {
        let rendered = ["first", "changed", "bypassed", "failed"];
        line.starts_with("naru_render_total{")
            && rendered
                .iter()
                .any(|how| line.contains(&format!("cache=\"{how}\"")))
    });
    let counts = counted.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    Ok(Some(counts.sum()))
}
