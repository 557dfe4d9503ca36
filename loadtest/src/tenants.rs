//! Tenants that only exist: what each costs every process in memory, and what all of them cost while nothing happens.
//!
//! The slope is the growth of Pss_Anon from before the first tenant to a moment after the last one, divided by how many were
//! made: it counts what a process keeps for a tenant, not what it is itself.

use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::json;

use crate::Target;
use crate::client::{Client, each};
use crate::process::{Usage, memory};
use crate::report::{Report, progress};

/// How much of it.
#[derive(Args)]
pub(crate) struct Options {
    /// Tenants.
    #[arg(long, default_value_t = 1000)]
    tenants: u32,
    /// For how long nothing happens, in seconds.
    #[arg(long, default_value_t = 60)]
    idle: u64,
    /// The operator's host, `host:port`.
    #[arg(long, env = "NARU_SERVER", default_value = "127.0.0.1:8080")]
    operator: String,
    /// The operator's password.
    #[arg(
        long,
        env = "NARU_ADMIN_PASSWORD",
        hide_env_values = true,
        default_value = ""
    )]
    operator_password: String,
    /// Leave the tenants there afterwards.
    #[arg(long)]
    keep: bool,
}

/// After so long without a request everything that was begun has ended.
const SETTLED: Duration = Duration::from_secs(20);

/// The password of the admin of each.
pub(crate) const PASSWORD: &str = "of-a-load-program";

pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<Report> {
    let operators = Target {
        server: options.operator.clone(),
        user: "admin".to_owned(),
        password: options.operator_password.clone(),
        ..target.clone()
    };
    let client = Client::login(&operators).await?;
    // What the first ones bring besides themselves (connections, code that runs for the first time) is no tenant's cost.
    let names = |from: u32, to: u32| (from..to).map(|n| format!("load-{n:05}"));
    for name in names(0, 20) {
        make(&client, &name).await?;
    }
    tokio::time::sleep(SETTLED).await;
    let before = memory(target);
    for (at, name) in names(20, 20 + options.tenants).enumerate() {
        make(&client, &name).await?;
        if at % 100 == 99 {
            progress(&format!("{} tenants", at + 1));
        }
    }
    tokio::time::sleep(SETTLED).await;
    let after = memory(target);
    let usage = Usage::now(target);
    tokio::time::sleep(Duration::from_secs(options.idle)).await;
    let mut report = Report::new("tenants");
    report.add("tenants", options.tenants);
    for (name, kib) in &after {
        let grown = *kib as f64 - before.get(name).copied().unwrap_or_default() as f64;
        report.add(
            format!("KiB a tenant, {name}"),
            grown / f64::from(options.tenants),
        );
    }
    let ours = usage.report(target, &mut report);
    #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
    report.add("idle % of a core, ours", ours / options.idle as f64 * 100.0);
    if !options.keep {
        progress("deleting the tenants");
        let all: Vec<String> = names(0, 20 + options.tenants).collect();
        // Most of a deletion is waiting for the cluster to end a namespace.
        each(&all, 32, |name| {
            let client = &client;
            async move {
                let path = format!("/api/naru/v1/tenants/{name}?without_export=true");
                while client.call(Method::DELETE, &path, None).await?["finished"] != true {}
                Ok(())
            }
        })
        .await?;
    }
    Ok(report)
}

/// Makes a tenant of that name.
pub(crate) async fn make(client: &Client, name: &str) -> anyhow::Result<()> {
    let body = json!({
        "name": name, "hosts": [format!("{name}.load.test")], "admin_password": PASSWORD,
    });
    client
        .call(Method::POST, "/api/naru/v1/tenants", Some(&body))
        .await?;
    Ok(())
}
