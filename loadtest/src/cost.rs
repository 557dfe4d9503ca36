//! What it costs that nothing happens, by the number of applications: S2 at several numbers, as a plot.
//!
//! Each number keeps the applications of the one before and adds to them. Before the first one the same is taken of what is there
//! without them: that is the floor. The line is the one of least squares; a cost that is linear lies on it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;

use crate::Target;
use crate::client::Client;
use crate::git::Clone;
use crate::plot::{self, Fit};
use crate::process::Usage;
use crate::report::{Report, percent, progress};
use crate::s1::make_apps;
use crate::s2::settle;

/// How much of it.
#[derive(Args)]
pub(crate) struct Options {
    /// Numbers of applications, ascending.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 500, 1000, 2500, 5000])]
    apps: Vec<usize>,
    /// ConfigMaps per application.
    #[arg(long, default_value_t = 10)]
    objects: usize,
    /// How long to look on at each number.
    #[arg(long, default_value_t = 15)]
    minutes: u64,
    /// The file that the plot is written to.
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Leave the applications there afterwards.
    #[arg(long)]
    keep: bool,
}

const PREFIX: &str = "cost-";
/// As many are deleted at once as are gone within the time that a deletion is given.
const DELETED_AT_ONCE: usize = 1000;

pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<Report> {
    ensure!(
        options.apps.first().is_some_and(|least| *least > 0)
            && options.apps.is_sorted_by(|a, b| a < b)
            && options.minutes > 0,
        "--apps are numbers above 0, each larger than the one before, and --minutes is at least one"
    );
    let client = Client::login(target).await?;
    let clone = Clone::of(target).await?;
    let most = options.apps.last().copied().unwrap_or_default();
    let names: Vec<String> = (0..most).map(|n| format!("{PREFIX}{n:05}")).collect();
    let mut report = Report::new("cost");
    report.add("objects per application", options.objects);
    report.add("minutes", options.minutes);
    progress("without applications");
    let floor = per_hour(target, options).await;
    report.add("floor: cpu seconds per hour without them, ours", floor);
    let (mut points, mut made) = (Vec::new(), 0);
    for &apps in &options.apps {
        progress(&format!("{apps} applications"));
        make_apps(target, &client, &clone, &names[made..apps], options.objects).await?;
        made = apps;
        settle(&client, PREFIX, apps).await?;
        let cost = per_hour(target, options).await;
        report.section(format!("{apps} applications"));
        report.add("cpu seconds per hour, ours", cost);
        report.add("cpu seconds per application and hour", cost / apps as f64);
        report.add("% of the floor", percent(floor, cost));
        points.push((apps as f64, cost));
    }
    report.section("");
    let fit = Fit::of(&points);
    report.add(
        "line: cpu seconds per hour for another application",
        fit.slope,
    );
    report.add("line: cpu seconds per hour for none", fit.at_zero);
    report.add(
        "line: explains so much of the spread (R squared)",
        fit.explained,
    );
    if let Some(file) = &options.svg {
        let drawing = plot::draw(("applications", "CPU seconds per hour"), &points, &fit);
        std::fs::write(file, drawing)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if !options.keep {
        progress("deleting the applications");
        for some in names.chunks(DELETED_AT_ONCE) {
            client.delete_apps(some).await?;
        }
        clone.remove(&names).await?;
    }
    Ok(report)
}

/// Looks on: what our processes use in an hour of this.
async fn per_hour(target: &Target, options: &Options) -> f64 {
    let usage = Usage::now(target);
    tokio::time::sleep(Duration::from_secs(options.minutes * 60)).await;
    usage.ours(target) * 60.0 / options.minutes as f64
}
