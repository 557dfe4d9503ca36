//! kill -9 of each part during syncs, and a controller that is stopped and continued while another takes over.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::platform::{self, Platform, Tenant};
use testkit::progress::Progress;
use testkit::wait;

use crate::{PATIENCE, config_map};

/// How long everything may take to be Synced again after the killed part was started again.
const RECOVERY: Duration = Duration::from_secs(30);
const APPS: usize = 12;

/// A platform that this test has to itself: others must not lose their servers.
pub(crate) async fn own_platform(name: &str) -> Result<Platform> {
    Platform::start(
        &testkit::paths::test_platform()?.with_extension(name),
        Progress::silent(),
    )
    .await
}

async fn with_apps(platform: &Platform) -> Result<Tenant> {
    let tenant = platform.tenant("faults").await?;
    for n in 0..APPS {
        tenant.checkout.write(
            &format!("apps/{n}/a.yaml"),
            config_map(&format!("app-{n}"), "0"),
        )?;
    }
    tenant.checkout.commit("applications").await?;
    tenant.checkout.push().await?;
    tenant.connect().await?;
    tenant.turn_webhook_on()?;
    for n in 0..APPS {
        tenant
            .create_app(
                &format!("app-{n}"),
                &format!("apps/{n}"),
                &platform::automated(),
            )
            .await?;
    }
    for n in 0..APPS {
        tenant
            .client
            .app_done(&format!("app-{n}"), None, PATIENCE)
            .await?;
    }
    Ok(tenant)
}

/// Every application is Synced at the commit, and the cluster has what it says.
async fn all_at(
    platform: &Platform,
    tenant: &Tenant,
    commit: &str,
    value: &str,
    within: Duration,
) -> Result<()> {
    let kube = platform.kube()?;
    wait::until("every application is Synced again", within, || async {
        for n in 0..APPS {
            let app = tenant.client.app(&format!("app-{n}")).await?;
            ensure!(
                app["status"]["sync"]["status"] == "Synced"
                    && app["status"]["sync"]["revision"] == commit,
                "{}",
                testkit::client::summary(&app)
            );
            let path = format!("/api/v1/namespaces/{}/configmaps/app-{n}", tenant.name);
            let live = kube.get(&path).await?.context("the object is there")?;
            ensure!(
                live["data"]["value"] == value,
                "app-{n} has {}",
                live["data"]["value"]
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn kill_9_of_each_part_loses_nothing() -> Result<()> {
    let platform = own_platform("faults").await?;
    let tenant = with_apps(&platform).await?;
    let victims = [
        "naru-api",
        "naru-repo-server",
        "naru-controller",
        "redis",
        "postgres",
        "kube-apiserver",
    ];
    for (round, victim) in victims.iter().enumerate() {
        let value = format!("{victim}-{round}");
        for n in 0..APPS {
            tenant.checkout.write(
                &format!("apps/{n}/a.yaml"),
                config_map(&format!("app-{n}"), &value),
            )?;
        }
        let commit = tenant.checkout.commit(victim).await?;
        let supervisor = platform.supervisor()?;
        let process = supervisor
            .find(victim)
            .with_context(|| format!("{victim} runs"))?;
        // The push wakes the platform: the kill falls into the syncs.
        tenant.checkout.push().await?;
        process.kill().await?;
        let acknowledged = tenant.client.get("/api/v1/applications").await;
        supervisor.restart(victim).await?;
        all_at(&platform, &tenant, &commit, &value, RECOVERY)
            .await
            .with_context(|| format!("after kill -9 of {victim}"))?;
        if let Ok(answer) = acknowledged
            && answer.status == 200
        {
            assert_eq!(
                answer.body["items"].as_array().map(Vec::len),
                Some(APPS),
                "{victim}"
            );
        }
    }
    platform.stop().await
}

#[tokio::test]
async fn a_controller_that_was_stopped_and_continued_starts_no_write() -> Result<()> {
    let platform = own_platform("fencing").await?;
    let tenant = with_apps(&platform).await?;
    let first = platform
        .supervisor()?
        .find("naru-controller")
        .context("a controller runs")?;
    platform.another_controller("naru-controller-2").await?;
    first.signal(Signal::SIGSTOP)?;
    for n in 0..APPS {
        tenant.checkout.write(
            &format!("apps/{n}/a.yaml"),
            config_map(&format!("app-{n}"), "taken-over"),
        )?;
    }
    let commit = tenant
        .checkout
        .commit("while the first one is stopped")
        .await?;
    tenant.checkout.push().await?;
    all_at(&platform, &tenant, &commit, "taken-over", PATIENCE).await?;
    let before = writes(&platform)?;
    first.signal(Signal::SIGCONT)?;
    // It is the holder no more: a change that follows is the second one's to make, once.
    let path = format!("/api/v1/namespaces/{}/configmaps/app-0", tenant.name);
    tenant
        .kube
        .merge(&path, &serde_json::json!({"data": {"value": "edited"}}))
        .await?;
    all_at(&platform, &tenant, &commit, "taken-over", PATIENCE).await?;
    let after = writes(&platform)?;
    let new: Vec<&Value> = after.iter().skip(before.len()).collect();
    assert_eq!(new.len(), 1, "one write heals one edit: {new:?}");
    platform.stop().await
}

/// The writes of controllers in the apiserver's audit log, oldest first.
pub(crate) fn writes(platform: &Platform) -> Result<Vec<Value>> {
    platform.control_plane().recorded(|event| {
        event["userAgent"]
            .as_str()
            .is_some_and(|agent| agent.starts_with("naru-controller"))
            && event["stage"] == "ResponseComplete"
            && event["responseStatus"]["code"]
                .as_i64()
                .is_some_and(|code| code < 300)
            && matches!(
                event["verb"].as_str(),
                Some("create" | "update" | "patch" | "delete")
            )
            && event["objectRef"]["resource"] == "configmaps"
    })
}
