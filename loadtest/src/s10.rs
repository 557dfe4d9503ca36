//! S10: a noisy neighbour. One tenant pushes, as in S4, first alone and then while all applications of another one are
//! refreshed hard without end: each of those renders its kustomization anew and compares it.
//!
//! The neighbour is a tenant that is made for it, and goes with it. What its quota of renders holds back is part of what is
//! measured.

use anyhow::Context;
use clap::Args;
use reqwest::Method;
use serde_json::json;

use crate::Target;
use crate::client::{Client, each};
use crate::report::{Report, percentile, progress};
use crate::{git, s4, s6, tenants};

/// How much of it.
#[derive(Args)]
pub(crate) struct Options {
    /// Applications of the neighbour.
    #[arg(long, default_value_t = 1000)]
    apps: usize,
    /// Pushes, each time.
    #[arg(long, default_value_t = 100)]
    pushes: usize,
    /// How many of the neighbour's applications are refreshed at a time.
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// The neighbour's name; there must be no tenant of that name.
    #[arg(long, default_value = "load-neighbour")]
    neighbour: String,
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
}

pub(crate) async fn run(target: &Target, options: &Options) -> anyhow::Result<Report> {
    let client = Client::login(target).await?;
    let clone = git::Clone::of(target).await?;
    let mut pushing = s4::Pushing::begin(target, &client, &clone).await?;
    progress("pushing alone");
    let quiet = pushing.push(options.pushes).await?;

    let operators = Target {
        server: options.operator.clone(),
        user: "admin".to_owned(),
        password: options.operator_password.clone(),
        ..target.clone()
    };
    let operator = Client::login(&operators).await?;
    tenants::make(&operator, &options.neighbour).await?;
    let measured = beside(target, options, &clone, &mut pushing).await;
    progress("deleting the neighbour");
    let path = format!(
        "/api/naru/v1/tenants/{}?without_export=true",
        options.neighbour
    );
    while operator.call(Method::DELETE, &path, None).await?["finished"] != true {}
    client.delete_apps(&[s4::APP.to_owned()]).await?;
    let (noisy, refreshed) = measured?;

    let mut report = Report::new("S10");
    report.add("pushes, each time", options.pushes);
    report.add("the neighbour's applications", options.apps);
    report.add("of them refreshed meanwhile", refreshed);
    for (when, samples) in [("alone", &quiet), ("beside the neighbour", &noisy)] {
        for (name, share) in [("p50", 0.5), ("p95", 0.95), ("max", 1.0)] {
            report.add(
                format!("{name} ms, push returned to Synced, {when}"),
                percentile(samples, share),
            );
        }
    }
    report.add(
        "p95 beside the neighbour, of p95 alone",
        percentile(&noisy, 0.95) / percentile(&quiet, 0.95),
    );
    Ok(report)
}

/// Pushes while the neighbour makes its noise; how long each took, and how often one of its applications was refreshed.
async fn beside(
    target: &Target,
    options: &Options,
    clone: &git::Clone,
    pushing: &mut s4::Pushing<'_>,
) -> anyhow::Result<(Vec<f64>, usize)> {
    // On the operator's host a tenant's admin is called after the tenant.
    let theirs = Target {
        server: options.operator.clone(),
        user: options.neighbour.clone(),
        password: tenants::PASSWORD.to_owned(),
        namespace: options.neighbour.clone(),
        ..target.clone()
    };
    let client = Client::login(&theirs).await?;
    let login = json!({
        "repo": target.repo, "username": target.git_user, "password": target.git_password,
    });
    client
        .call(Method::POST, "/api/v1/repositories", Some(&login))
        .await?;
    let names: Vec<String> = (0..options.apps).map(|n| format!("s10-{n:05}")).collect();
    s6::write_base(clone, "first")?;
    for name in &names {
        s6::write_overlay(clone, name, "first")?;
    }
    let mut events = client.watch().await?;
    let commit = clone.push("kustomizations of a neighbour").await?;
    progress("making the neighbour's applications");
    each(&names, options.clients, |name| {
        let (client, theirs) = (&client, &theirs);
        async move {
            let path = format!("load/{name}");
            client.put_app(theirs, name, &path, false).await
        }
    })
    .await?;
    s6::compared(&mut events, &names, &commit, |_| ())
        .await
        .context("the neighbour's first comparison")?;
    progress("pushing beside it");
    let refreshed = std::sync::atomic::AtomicUsize::new(0);
    let noise = async {
        loop {
            let refreshing = each(&names, options.clients, |name| {
                let (client, refreshed) = (&client, &refreshed);
                async move {
                    let path = format!("/api/v1/applications/{name}?refresh=hard");
                    // One that is refused, for its quota for one, is noise as well.
                    if client.call(Method::GET, &path, None).await.is_ok() {
                        refreshed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                    Ok(())
                }
            });
            if let Err(error) = refreshing.await {
                return error;
            }
        }
    };
    let samples = tokio::select! {
        samples = pushing.push(options.pushes) => samples?,
        error = noise => return Err(error),
    };
    Ok((samples, refreshed.into_inner()))
}
