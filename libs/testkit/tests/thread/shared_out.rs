//! Two repo-servers: each has repositories of its own, and those of the other while that is away.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::client::Client;
use testkit::git::checkout::Checkout;
use testkit::platform::{Platform, automated};
use testkit::progress::Progress;

use crate::{PATIENCE, config_map};

/// So many that neither server has all of them by chance.
const REPOSITORIES: usize = 16;
const SECOND: &str = "naru-repo-server-2";

/// How many mirrors a repo-server has.
fn mirrors(platform: &Path, server: &str) -> Result<usize> {
    let mut count = 0;
    let below = platform.join(server).join("mirrors");
    for tenant in std::fs::read_dir(&below).with_context(|| below.display().to_string())? {
        count += std::fs::read_dir(tenant?.path())?.count();
    }
    Ok(count)
}

/// Pushes a value to each repository, and waits until every application is at that.
async fn all_become(client: &Client, checkouts: &[Checkout], value: &str) -> Result<()> {
    let mut commits = Vec::new();
    for (number, checkout) in checkouts.iter().enumerate() {
        let map = config_map(&format!("map-{number}"), value);
        commits.push(checkout.push_file("app/a.yaml", map).await?);
    }
    for (number, commit) in commits.iter().enumerate() {
        client
            .app_done(&format!("app-{number}"), Some(commit), PATIENCE)
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn repositories_are_shared_out_and_taken_over_while_a_repo_server_is_away() -> Result<()> {
    let dir = testkit::paths::test_platform()?.with_extension("shared");
    let platform = Platform::start_shared_out(&dir, Progress::silent(), 2).await?;
    let tenant = platform.tenant("shared").await?;
    tenant.turn_webhook_on()?;
    let client = &tenant.client;
    let mut checkouts = Vec::new();
    for number in 0..REPOSITORIES {
        let (url, checkout) = tenant
            .another_repository(&format!("repository-{number}"))
            .await?;
        let map = config_map(&format!("map-{number}"), "first");
        checkout.push_file("app/a.yaml", map).await?;
        let app = json!({
            "metadata": {"name": format!("app-{number}")},
            "spec": {
                "project": "default",
                "source": {"repoURL": url, "path": "app"},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": tenant.name},
                "syncPolicy": automated(),
            },
        });
        client.post("/api/v1/applications", &app).await?.ok()?;
        checkouts.push(checkout);
    }
    all_become(client, &checkouts, "second").await?;
    let (first, second) = (
        mirrors(&dir, "repo-server")?,
        mirrors(&dir, "repo-server-2")?,
    );
    ensure!(
        first > 0 && second > 0 && first + second == REPOSITORIES,
        "{first} and {second}: each is in one place"
    );

    let supervisor = platform.supervisor()?;
    let process = supervisor.find(SECOND).context("it runs")?;
    process.kill().await?;
    all_become(client, &checkouts, "third").await?;
    assert_eq!(mirrors(&dir, "repo-server")?, REPOSITORIES);
    supervisor.restart(SECOND).await?;
    all_become(client, &checkouts, "fourth").await?;
    platform.stop().await
}
