//! One listing of a repository, however many of a tenant's projects use it.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::platform;

use crate::{PATIENCE, config_map};

const PROJECTS: [&str; 3] = ["one", "two", "three"];
const PUSHES: usize = 6;

/// How often the refs of a tenant's repositories were asked for.
async fn listed(tenant: &str) -> Result<usize> {
    let supervisor = platform::platform().await?.supervisor()?;
    let server = supervisor.find("naru-repo-server").context("it runs")?;
    let listen = &server.spec().env["NARU_METRICS_LISTEN"];
    let http = testkit::http::builder().build()?;
    let said = http.get(format!("http://{listen}/metrics")).send().await?;
    let said = said.text().await?;
    let of_it = said.lines().filter(|line| {
        line.starts_with("argocd_git_request_total")
            && line.contains(&format!("/{tenant}/"))
            && line.contains("ls-remote")
    });
    let counts = of_it.filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok());
    Ok(counts.sum())
}

#[tokio::test]
async fn projects_that_use_a_repository_share_its_listings() -> Result<()> {
    let tenant = platform::tenant("listings").await?;
    for name in PROJECTS {
        tenant
            .checkout
            .write(&format!("{name}/a.yaml"), config_map(name, "0"))?;
    }
    tenant
        .checkout
        .push_file("readme", "three folders\n")
        .await?;
    tenant.connect().await?;
    tenant.turn_webhook_on()?;
    let client = &tenant.client;
    for name in PROJECTS {
        let project = json!({"project": {"metadata": {"name": name}, "spec": {
            "sourceRepos": [tenant.repo_url],
            "destinations": [{"server": "*", "namespace": tenant.name}],
        }}});
        client.post("/api/v1/projects", &project).await?.ok()?;
        let app = json!({
            "metadata": {"name": name},
            "spec": {
                "project": name,
                "source": {"repoURL": tenant.repo_url, "path": name},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": tenant.name},
                "syncPolicy": platform::automated(),
            },
        });
        client.post("/api/v1/applications", &app).await?.ok()?;
    }
    for name in PROJECTS {
        client.app_done(name, None, PATIENCE).await?;
    }
    let before = listed(&tenant.name).await?;
    ensure!(before > 0, "somebody has asked");
    for push in 1..=PUSHES {
        let name = PROJECTS[push % PROJECTS.len()];
        let file = config_map(name, &push.to_string());
        let commit = tenant
            .checkout
            .push_file(&format!("{name}/a.yaml"), file)
            .await?;
        for name in PROJECTS {
            client.app_done(name, Some(&commit), PATIENCE).await?;
        }
    }
    let asked = listed(&tenant.name).await? - before;
    // One for each push, and some that were due meanwhile; each project by itself would have asked three times as often.
    ensure!(
        (PUSHES..2 * PUSHES).contains(&asked),
        "{asked} listings for {PUSHES} pushes"
    );
    Ok(())
}
