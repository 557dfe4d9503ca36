//! S2: nothing changes. Processor time of our processes per application and hour, and what was written meanwhile.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::Method;

use crate::Target;
use crate::client::Client;
use crate::git::Clone;
use crate::process::Usage;
use crate::report::{Report, progress};
use crate::s1::make_apps;

/// How much of it.
#[derive(Args)]
pub(crate) struct Options {
    /// Applications.
    #[arg(long, default_value_t = 1000)]
    apps: usize,
    /// ConfigMaps per application.
    #[arg(long, default_value_t = 10)]
    objects: usize,
    /// How long to look on.
    #[arg(long, default_value_t = 15)]
    minutes: u64,
    /// The apiserver's audit log, to count the writes of our user agent.
    #[arg(long)]
    audit_log: Option<PathBuf>,
    /// Leave the applications there afterwards.
    #[arg(long)]
    keep: bool,
}

pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<Report> {
    let client = Client::login(target).await?;
    let names: Vec<String> = (0..options.apps).map(|n| format!("s2-{n:05}")).collect();
    progress("making the applications and waiting for them");
    let clone = Clone::of(target).await?;
    make_apps(target, &client, &clone, &names, options.objects).await?;
    settle(&client, "s2-", options.apps).await?;
    let before = version(&client).await?;
    let audit_before = writes(options);
    let usage = Usage::now(target);
    progress(&format!("looking on for {} minutes", options.minutes));
    tokio::time::sleep(Duration::from_secs(options.minutes * 60)).await;
    let mut report = Report::new("S2");
    report.add("applications", options.apps);
    report.add("objects per application", options.objects);
    report.add("minutes", options.minutes);
    let ours = usage.report(target, &mut report);
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    report.add(
        "cpu seconds per application and hour",
        ours / options.apps as f64 * 60.0 / options.minutes as f64,
    );
    report.add(
        "rows written (tenant's counter)",
        version(&client).await? - before,
    );
    if let (Some(before), Some(after)) = (audit_before, writes(options)) {
        report.add("writes to the cluster", after - before);
    }
    if !options.keep {
        progress("deleting the applications");
        client.delete_apps(&names).await?;
    }
    Ok(report)
}

/// Waits until as many applications of that prefix are Synced and Healthy and the tenant's counter has stood still for ten
/// seconds.
pub(crate) async fn settle(client: &Client, prefix: &str, apps: usize) -> anyhow::Result<()> {
    let mut last = (-1, 0);
    loop {
        let fields = "items.metadata.name,items.status.sync.status,items.status.health";
        let list = client
            .call(
                Method::GET,
                &format!("/api/v1/applications?fields={fields}"),
                None,
            )
            .await?;
        let done = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|app| {
                app["metadata"]["name"]
                    .as_str()
                    .is_some_and(|name| name.starts_with(prefix))
                    && app["status"]["sync"]["status"] == "Synced"
                    && app["status"]["health"]["status"] == "Healthy"
            });
        if done.count() >= apps {
            let now = version(client).await?;
            last = if now == last.0 {
                (now, last.1 + 1)
            } else {
                (now, 0)
            };
            if last.1 >= 5 {
                return Ok(());
            }
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn version(client: &Client) -> anyhow::Result<i64> {
    let list = client
        .call(Method::GET, "/api/v1/applications?fields=metadata", None)
        .await?;
    Ok(list["metadata"]["resourceVersion"]
        .as_str()
        .and_then(|version| version.parse().ok())
        .unwrap_or_default())
}

/// Writes of our user agent in the audit log so far.
fn writes(options: &Options) -> Option<i64> {
    let text = fs::read_to_string(options.audit_log.as_ref()?).ok()?;
    let wrote = |line: &&str| {
        line.contains("naru-controller")
            && ["create", "update", "patch", "delete"]
                .iter()
                .any(|verb| line.contains(&format!("\"verb\":\"{verb}\"")))
    };
    i64::try_from(text.lines().filter(wrote).count()).ok()
}
