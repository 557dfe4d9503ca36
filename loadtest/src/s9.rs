//! S9: so many changes a second in a cluster full of objects: from a change to the resource tree that shows it.
//!
//! A change is an annotation of a ConfigMap of an application, written by somebody else: it is no drift, and shows in the tree as
//! another version. t0 is when the request leaves. Some of the applications' trees are watched through the API; a bare watch of
//! the cluster sees the same changes in the same run and is the floor. Only changes of watched applications are samples; of a
//! change that was gathered with a later one of the same object, the later one counts.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::Target;
use crate::client::Client;
use crate::git::Clone;
use crate::kube::Kube;
use crate::process::Usage;
use crate::report::{Report, percent, percentile, progress};
use crate::s1::make_apps;
use crate::s2::settle;

/// How much of it.
#[derive(Args)]
pub(crate) struct Options {
    /// Applications.
    #[arg(long, default_value_t = 500)]
    apps: usize,
    /// ConfigMaps per application.
    #[arg(long, default_value_t = 40)]
    objects: usize,
    /// How many of the applications are watched.
    #[arg(long, default_value_t = 20)]
    watched: usize,
    /// Changes a second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Leave the applications there afterwards.
    #[arg(long)]
    keep: bool,
}

const PREFIX: &str = "s9-";
/// So long is waited, after the last change, for those that were not shown yet.
const LATE: Duration = Duration::from_secs(30);

/// A change that was made.
struct Change {
    object: String,
    sent: Instant,
    version: u64,
}

/// When which version of an object came.
#[derive(Default)]
struct Seen(HashMap<String, Vec<(u64, Instant)>>);

impl Seen {
    fn add(&mut self, object: &str, version: u64, at: Instant) {
        let versions = self.0.entry(object.to_owned()).or_default();
        // A tree names every object again whenever one of them has changed.
        if versions.last().is_none_or(|(last, _)| *last < version) {
            versions.push((version, at));
        }
    }

    /// After how many milliseconds a change, or a later one of the same object, was seen.
    fn delay(&self, change: &Change) -> Option<f64> {
        let versions = self.0.get(&change.object)?;
        let (_, at) = versions
            .iter()
            .find(|(version, _)| *version >= change.version)?;
        Some(at.saturating_duration_since(change.sent).as_secs_f64() * 1e3)
    }
}

/// The trees that are watched, and what they have shown.
struct Trees {
    events: Vec<UnboundedReceiver<(Value, Instant)>>,
    seen: Seen,
}

impl Trees {
    /// Opens the watches and waits for what each shows first.
    async fn watch(client: &Client, names: &[&String]) -> anyhow::Result<Self> {
        let (mut events, mut seen) = (Vec::new(), Seen::default());
        for name in names {
            let mut tree = client.watch_tree(name).await?;
            let first = tokio::time::timeout(Duration::from_secs(60), tree.recv()).await;
            let (nodes, at) = first
                .with_context(|| format!("the tree of {name} does not come"))?
                .with_context(|| format!("the watch of {name}'s tree ended"))?;
            read(&nodes, at, &mut seen);
            events.push(tree);
        }
        Ok(Self { events, seen })
    }

    /// Takes in what has come.
    fn drain(&mut self) {
        for tree in &mut self.events {
            while let Ok((nodes, at)) = tree.try_recv() {
                read(&nodes, at, &mut self.seen);
            }
        }
    }
}

fn read(nodes: &Value, at: Instant, seen: &mut Seen) {
    for node in nodes.as_array().into_iter().flatten() {
        let version = node["resourceVersion"]
            .as_str()
            .and_then(|version| version.parse().ok());
        if let (Some(name), Some(version)) = (node["name"].as_str(), version) {
            seen.add(name, version, at);
        }
    }
}

pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<Report> {
    ensure!(
        (1..=options.apps).contains(&options.watched) && options.objects > 0 && options.rate > 0,
        "--watched is at least one and at most --apps, --objects and --rate are at least one"
    );
    let client = Client::login(target).await?;
    let kube = Kube::new(target)?;
    let clone = Clone::of(target).await?;
    let names: Vec<String> = (0..options.apps)
        .map(|n| format!("{PREFIX}{n:05}"))
        .collect();
    progress("making the applications and waiting for them");
    make_apps(target, &client, &clone, &names, options.objects).await?;
    settle(&client, PREFIX, options.apps).await?;

    let chosen: Vec<&String> = names
        .iter()
        .step_by(options.apps / options.watched)
        .take(options.watched)
        .collect();
    let mut trees = Trees::watch(&client, &chosen).await?;
    let mut bare = kube
        .watch_config_maps(&target.namespace, "loadtest=app")
        .await?;
    progress(&format!("changing objects for {} seconds", options.seconds));
    let usage = Usage::now(target);
    let began = Instant::now();
    let changes = change(target, options, &kube, &names).await?;
    let lasted = began.elapsed().as_secs_f64();
    let used = usage.ours(target);
    let samples: Vec<&Change> = changes
        .iter()
        .filter(|change| {
            chosen
                .iter()
                .any(|name| change.object.starts_with(&format!("{name}-")))
        })
        .collect();
    let mut seen = Seen::default();
    let late = Instant::now();
    let missing = loop {
        trees.drain();
        while let Ok((name, version, at)) = bare.try_recv() {
            seen.add(&name, version, at);
        }
        let shown =
            |change: &&&Change| trees.seen.delay(change).is_some() && seen.delay(change).is_some();
        let missing = samples.len() - samples.iter().filter(shown).count();
        if missing == 0 || late.elapsed() > LATE {
            break missing;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let mut report = Report::new("S9");
    report.add("applications", options.apps);
    report.add("objects", options.apps * options.objects);
    report.add("watched applications", chosen.len());
    report.add("changes", changes.len());
    report.add("changes/s", changes.len() as f64 / lasted);
    report.add("samples", samples.len());
    report.add("samples never shown", missing);
    add(&mut report, &samples, &trees.seen, &seen)?;
    report.add(
        "cpu seconds per 1,000 changes, ours",
        used / changes.len() as f64 * 1e3,
    );
    usage.report(target, &mut report);
    if !options.keep {
        progress("deleting the applications");
        client.delete_apps(&names).await?;
        clone.remove(&names).await?;
    }
    Ok(report)
}

/// Makes the changes at the rate that is wanted, spread over all applications and their objects.
async fn change(
    target: &Target,
    options: &Options,
    kube: &Kube,
    names: &[String],
) -> anyhow::Result<Vec<Change>> {
    let began = tokio::time::Instant::now();
    let period = Duration::from_secs(1) / options.rate;
    futures::stream::iter(0..options.rate * options.seconds)
        .map(|number| async move {
            let turn = number as usize;
            let name = &names[turn % names.len()];
            let object = format!("{name}-{}", turn / names.len() % options.objects);
            tokio::time::sleep_until(began + period * number).await;
            let sent = Instant::now();
            let version = kube
                .annotate(&target.namespace, &object, &number.to_string())
                .await?;
            anyhow::Ok(Change {
                object,
                sent,
                version,
            })
        })
        .buffer_unordered(64)
        .try_collect()
        .await
}

fn add(report: &mut Report, samples: &[&Change], tree: &Seen, bare: &Seen) -> anyhow::Result<()> {
    let (mut shown, mut floor, mut above) = (Vec::new(), Vec::new(), Vec::new());
    for change in samples {
        if let (Some(tree), Some(bare)) = (tree.delay(change), bare.delay(change)) {
            shown.push(tree);
            floor.push(bare);
            above.push(tree - bare);
        }
    }
    if shown.is_empty() {
        bail!("no change of a watched application was shown");
    }
    for samples in [&mut shown, &mut floor, &mut above] {
        samples.sort_by(f64::total_cmp);
    }
    for (what, samples) in [
        ("change to tree", &shown),
        ("floor: change to bare watch", &floor),
        ("tree above bare watch", &above),
    ] {
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            report.add(format!("{name} ms, {what}"), percentile(samples, share));
        }
    }
    let (tree, bare) = (percentile(&shown, 0.99), percentile(&floor, 0.99));
    report.add(
        "ms, p99 of the tree less p99 of the bare watch",
        tree - bare,
    );
    report.add("% of the floor, p99", percent(bare, tree));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_with_the_first_version_that_holds_it() {
        let sent = Instant::now();
        let after = |ms: u64| sent + Duration::from_millis(ms);
        let mut seen = Seen::default();
        seen.add("a", 4, after(1));
        seen.add("a", 7, after(20));
        // The same tree again.
        seen.add("a", 7, after(30));
        let delay = |version: u64| {
            let change = Change {
                object: "a".to_owned(),
                sent,
                version,
            };
            seen.delay(&change).map(f64::round)
        };
        assert_eq!(delay(6), Some(20.0));
        assert_eq!(delay(7), Some(20.0));
        assert_eq!(delay(8), None);
    }
}
