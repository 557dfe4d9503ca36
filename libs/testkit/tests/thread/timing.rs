//! S06 by the clock: how long a refusal takes does not tell whether what was asked for is there.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;
use testkit::client::Client;
use testkit::platform;

use crate::config_map;

/// Pairs per measurement: the median of so many is steady where single answers are not.
const TRIES: usize = 1000;
/// By how much the medians may differ, in percent.
const WITHIN: u128 = 10;
/// A machine that does much else can favour one side once; a difference that is real is there every time.
const MEASUREMENTS: usize = 3;

async fn refused(client: &Client, path: &str) -> Result<Duration> {
    let begun = Instant::now();
    let answer = client.request(Method::GET, path).send().await?;
    let status = answer.status().as_u16();
    answer.bytes().await?;
    let took = begun.elapsed();
    ensure!(status == 403, "{path}: {status}");
    Ok(took)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The medians of both, asked in turns, each first as often as the other.
async fn medians(client: &Client, there: &str, missing: &str) -> Result<(Duration, Duration)> {
    let mut times = (Vec::new(), Vec::new());
    for number in 0..TRIES {
        if number % 2 == 0 {
            times.0.push(refused(client, there).await?);
            times.1.push(refused(client, missing).await?);
        } else {
            times.1.push(refused(client, missing).await?);
            times.0.push(refused(client, there).await?);
        }
    }
    Ok((median(times.0), median(times.1)))
}

#[tokio::test]
async fn s06_forbidden_takes_as_long_as_missing() -> Result<()> {
    let (tenant, other) = (
        platform::tenant("timing").await?,
        platform::tenant("timing-b").await?,
    );
    for tenant in [&tenant, &other] {
        tenant
            .checkout
            .push_file("app/a.yaml", config_map("a", "1"))
            .await?;
        tenant.connect().await?;
    }
    tenant.create_app("there", "app", &json!({})).await?;
    other.create_app("theirs", "app", &json!({})).await?;
    let team = json!({"project": {"metadata": {"name": "team"}, "spec": {"roles": [{
        "name": "ci", "policies": ["p, proj:team:ci, applications, get, team/*, allow"],
    }]}}});
    tenant.client.post("/api/v1/projects", &team).await?.ok()?;
    let made = tenant
        .client
        .post(
            "/api/v1/projects/team/roles/ci/token",
            &json!({"project": "team", "role": "ci"}),
        )
        .await?
        .ok()?;
    let ci = tenant
        .client
        .with_token(made["token"].as_str().context("a token")?);
    // Names of one length: only being there may tell them apart.
    for (who, kind, there, missing) in [
        (&ci, "applications", "there", "gone1"),
        (&tenant.client, "applications", "theirs", "absent"),
        (&ci, "projects", "default", "absent1"),
    ] {
        let path = |name: &str| format!("/api/v1/{kind}/{name}");
        let (there, missing) = (path(there), path(missing));
        for _ in 0..50 {
            refused(who, &there).await?;
            refused(who, &missing).await?;
        }
        let mut seen = Vec::new();
        for _ in 0..MEASUREMENTS {
            let (a, b) = medians(who, &there, &missing).await?;
            seen.push((a, b));
            if a.abs_diff(b).as_nanos() * 100 <= a.max(b).as_nanos() * WITHIN {
                break;
            }
        }
        let (a, b) = seen[seen.len() - 1];
        ensure!(
            a.abs_diff(b).as_nanos() * 100 <= a.max(b).as_nanos() * WITHIN,
            "{there} and {missing} are told apart by the clock, {} times in a row: {seen:?}",
            seen.len()
        );
    }
    Ok(())
}
