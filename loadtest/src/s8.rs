//! S8: a controller starts in a cluster full of objects, until every application is compared.
//!
//! The applications are Synced before. The controller that `cargo xtask up` has started is asked to stop; t0 is the start of the
//! next one, with the same command; the end is when it shows as many applications as Synced as there are. Nothing is written for
//! an application that is as it was, so that the controller's own `argocd_app_info` is where to look: five times a second, which
//! is as exact as the figure is. Redis is warm. The floor is one list of the same objects, taken before each start.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use testkit::paths;
use testkit::process::{Process, Supervisor};

use crate::Target;
use crate::client::Client;
use crate::git::Clone;
use crate::kube::Kube;
use crate::process::{Usage, held, peak, replaced};
use crate::report::{Report, percent, percentile, progress};
use crate::s1::make_apps;
use crate::s2::settle;

/// How much of it.
#[derive(Args)]
pub(crate) struct Options {
    /// Applications.
    #[arg(long, default_value_t = 1000)]
    apps: usize,
    /// ConfigMaps per application.
    #[arg(long, default_value_t = 20)]
    objects: usize,
    /// Starts.
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// The folder of `up`, which knows how the controller was started; the clone's own by default.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// What the controller is called there.
    #[arg(long, default_value = "naru-controller")]
    name: String,
    /// Where the controller shows what it counts.
    #[arg(long, env = "NARU_METRICS_CONTROLLER")]
    metrics: String,
    /// Leave the applications there afterwards.
    #[arg(long)]
    keep: bool,
}

const PREFIX: &str = "s8-";
/// After so long without a request everything that was begun has ended.
const SETTLED: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(200);
/// So long is waited for all to be compared.
const PATIENCE: Duration = Duration::from_secs(300);

/// One start.
struct Start {
    /// One list of the objects, in seconds.
    floor: f64,
    took: f64,
    /// Memory at most until all were compared, and when nothing happened any more, in KiB.
    most: u64,
    steady: u64,
    usage: Usage,
    /// With the process that was started.
    target: Target,
}

pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<Report> {
    let supervisor = supervisor(options.folder.as_deref())?;
    let client = Client::login(target).await?;
    let kube = Kube::new(target)?;
    let clone = Clone::of(target).await?;
    let names: Vec<String> = (0..options.apps)
        .map(|n| format!("{PREFIX}{n:05}"))
        .collect();
    progress("making the applications and waiting for them");
    make_apps(target, &client, &clone, &names, options.objects).await?;
    settle(&client, PREFIX, options.apps).await?;
    let mut starts = Vec::with_capacity(options.starts);
    for number in 1..=options.starts {
        progress(&format!("start {number}"));
        starts.push(start(target, options, &supervisor, &kube).await?);
    }
    let mut report = Report::new("S8");
    add(&mut report, options, &starts);
    progress("the controller is another process now: `cargo xtask up` writes .naru/env anew");
    if !options.keep {
        progress("deleting the applications");
        client.delete_apps(&names).await?;
        clone.remove(&names).await?;
    }
    Ok(report)
}

async fn start(
    target: &Target,
    options: &Options,
    supervisor: &Supervisor,
    kube: &Kube,
) -> anyhow::Result<Start> {
    let began = Instant::now();
    kube.list_config_maps(&target.namespace, "loadtest=app")
        .await?;
    let floor = began.elapsed().as_secs_f64();
    let old = running(supervisor, &options.name)?;
    old.stop().await?;
    let began = Instant::now();
    let new = supervisor.start(old.spec())?;
    let target = replaced(target, "controller", new.id());
    let usage = Usage::now(&target);
    let work = compared(options, began);
    let (took, most) = peak(&target, &["controller"], work).await;
    let took = took?;
    tokio::time::sleep(SETTLED).await;
    Ok(Start {
        floor,
        took,
        most,
        steady: held(&target, &["controller"]),
        usage,
        target,
    })
}

/// What knows how the controller was started.
pub(crate) fn supervisor(folder: Option<&Path>) -> anyhow::Result<Supervisor> {
    let folder = match folder {
        Some(folder) => folder.to_owned(),
        None => paths::clone_root()?.join(".naru"),
    };
    Supervisor::open(&folder)
}

/// The controller that was started under that name.
pub(crate) fn running(supervisor: &Supervisor, name: &str) -> anyhow::Result<Process> {
    supervisor.find(name).with_context(|| {
        format!(
            "no {name} runs that `cargo xtask up` has started: start it, or say --folder and --name"
        )
    })
}

/// Waits until the controller shows every application as Synced: in how many seconds since then.
async fn compared(options: &Options, since: Instant) -> anyhow::Result<f64> {
    let mut looks = tokio::time::interval(LOOK);
    let mut seen = 0;
    while since.elapsed() < PATIENCE {
        looks.tick().await;
        // It does not listen yet.
        let Ok(answer) = reqwest::get(&options.metrics).await else {
            continue;
        };
        seen = shown(&answer.error_for_status()?.text().await?, PREFIX);
        if seen >= options.apps {
            return Ok(since.elapsed().as_secs_f64());
        }
    }
    bail!(
        "after {} s {seen} of {} applications were compared and Synced",
        PATIENCE.as_secs(),
        options.apps
    )
}

/// How many applications, of a prefix, a controller shows as Synced.
pub(crate) fn shown(metrics: &str, prefix: &str) -> usize {
    let ours = format!("name=\"{prefix}");
    let synced = |line: &&str| {
        line.starts_with("argocd_app_info{")
            && line.contains(&ours)
            && line.contains("sync_status=\"Synced\"")
    };
    metrics.lines().filter(synced).count()
}

fn add(report: &mut Report, options: &Options, starts: &[Start]) {
    let sorted = |figure: fn(&Start) -> f64| {
        let mut figures: Vec<f64> = starts.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures
    };
    let (took, floor) = (sorted(|start| start.took), sorted(|start| start.floor));
    report.add("applications", options.apps);
    report.add("objects", options.apps * options.objects);
    report.add("starts", starts.len());
    report.add("all compared, s, median", percentile(&took, 0.5));
    report.add("all compared, s, max", percentile(&took, 1.0));
    report.add(
        "floor, one list of the objects, s, median",
        percentile(&floor, 0.5),
    );
    let share = percent(percentile(&floor, 0.5), percentile(&took, 0.5));
    report.add("% of the floor", share);
    let peaks = sorted(|start| start.most as f64 / start.steady as f64);
    report.add(
        "memory at most, times the steady one, max",
        percentile(&peaks, 1.0),
    );
    if let Some(last) = starts.last() {
        report.add(
            "memory MiB (Pss_Anon), controller, at most",
            last.most / 1024,
        );
        report.add(
            "memory MiB (Pss_Anon), controller, steady",
            last.steady / 1024,
        );
        // Until it rests again: the start and the seconds after it.
        report.section("last start");
        last.usage.report(&last.target, report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_runs_applications_that_are_compared_count() {
        let line = |name: &str, sync: &str| {
            format!("argocd_app_info{{tenant=\"t\",name=\"{name}\",sync_status=\"{sync}\"}} 1\n")
        };
        let text = [
            line("s8-00000", "Synced"),
            line("s8-00001", "Unknown"),
            line("other", "Synced"),
        ]
        .concat();
        assert_eq!(shown(&text, PREFIX), 1);
    }
}
