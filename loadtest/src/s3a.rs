//! S3a: what our processes hold in memory, before there is any application and with four hundred of six objects each. Their
//! children stand apart: those of the repo-server are the renderer's workers, of which one stays when there is nothing to do.
//!
//! Before the first look nothing may have been deployed by this platform, or what that left behind is counted.

use std::time::Duration;

use clap::Args;

use crate::Target;
use crate::client::Client;
use crate::git::Clone;
use crate::process::{OURS, alone, held, memory};
use crate::report::{Report, progress};
use crate::s1::{cold_sync, push_apps};

/// How much of it.
#[derive(Args)]
pub(crate) struct Options {
    /// Applications.
    #[arg(long, default_value_t = 400)]
    apps: usize,
    /// ConfigMaps of each.
    #[arg(long, default_value_t = 6)]
    objects: usize,
    /// Leave the applications there afterwards.
    #[arg(long)]
    keep: bool,
}

/// After so long without a request everything that was begun has ended.
const SETTLED: Duration = Duration::from_secs(30);

pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<Report> {
    let client = Client::login(target).await?;
    let mut report = Report::new("S3a");
    report.section("idle");
    look(target, &mut report);
    let clone = Clone::of(target).await?;
    let names: Vec<String> = (0..options.apps).map(|n| format!("s3a-{n:05}")).collect();
    progress("writing the repository");
    push_apps(&clone, &names, options.objects).await?;
    cold_sync(target, &client, &names, 32).await?;
    tokio::time::sleep(SETTLED).await;
    let objects = options.apps * options.objects;
    report.section(format!("{} applications, {objects} objects", options.apps));
    look(target, &mut report);
    if !options.keep {
        report.section("");
        progress("deleting the applications");
        client.delete_apps(&names).await?;
        clone.remove(&names).await?;
    }
    Ok(report)
}

/// Adds what is held now.
fn look(target: &Target, report: &mut Report) {
    for (name, kib) in memory(target) {
        report.add(format!("memory MiB (Pss_Anon), {name}"), kib / 1024);
    }
    let (all, own) = (held(target, &OURS), alone(target, &OURS));
    report.add("memory MiB (Pss_Anon), ours without children", own / 1024);
    report.add(
        "memory MiB (Pss_Anon), their children",
        all.saturating_sub(own) / 1024,
    );
    report.add("memory MiB (Pss_Anon), ours", all / 1024);
}
