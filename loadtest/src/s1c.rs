//! S1c: cold sync of a thousand applications of four objects, and the most that our processes hold meanwhile.
//!
//! As S1. Memory is looked at four times a second, from the first application made to the last one Synced.

use std::fs;

use clap::Args;

use crate::Target;
use crate::client::Client;
use crate::floor;
use crate::git::Clone;
use crate::objects::{self, Naming};
use crate::process::{OURS, peak};
use crate::report::{Report, progress};
use crate::s1::cold_sync;

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

/// What [`objects::four`] gives.
const OBJECTS: usize = 4;

pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<Report> {
    let client = Client::login(target).await?;
    let floor = floor::applies(target, options.apps, |name| four(name, "floor")).await?;
    let clone = Clone::of(target).await?;
    let names: Vec<String> = (0..options.apps).map(|n| format!("s1c-{n:05}")).collect();
    progress("writing the repository");
    for name in &names {
        let folder = clone.path().join("load").join(name);
        fs::create_dir_all(&folder)?;
        objects::write(&folder.join("objects.yaml"), &four(name, "app"))?;
    }
    clone.push("applications for a load run").await?;
    let work = cold_sync(target, &client, &names, options.clients);
    let (cold, most) = peak(target, &OURS, work).await;
    let mut report = Report::new("S1c");
    report.add("applications", options.apps);
    report.add("objects per application", OBJECTS);
    cold?.report(target, &mut report, (options.apps, OBJECTS), Some(floor));
    report.add("memory MiB (Pss_Anon), ours, at most", most / 1024);
    if !options.keep {
        progress("deleting the applications");
        client.delete_apps(&names).await?;
        clone.remove(&names).await?;
    }
    Ok(report)
}

fn four(name: &str, label: &str) -> Vec<serde_json::Value> {
    objects::four(&Naming {
        prefix: &format!("{name}-"),
        app: name,
        label,
    })
}
