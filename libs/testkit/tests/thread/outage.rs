//! A tenant's Git server that is away for a while: the application says what is wrong with it, and nobody has to ask again
//! once it is back.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde_json::Value;
use testkit::platform::{self, automated};
use testkit::unruly::{Mood, Unruly};

use crate::{PATIENCE, all_conditions, config_map};

#[tokio::test]
async fn a_git_server_that_is_back_is_followed_without_anybody_asking() -> Result<()> {
    let mut tenant = platform::tenant("outage").await?;
    let mut commit = tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "0"))
        .await?;
    // What is pushed goes to the server itself, and the platform comes by another way.
    let rest = tenant
        .repo_url
        .strip_prefix("http://")
        .context("a Git server in clear")?;
    let (behind, path) = rest.split_once('/').context("a path")?;
    let way = Unruly::start(behind.parse::<SocketAddr>()?).await?;
    tenant.repo_url = format!("http://{}/{path}", way.address);
    tenant.connect().await?;
    tenant.create_app("app", "app", &automated()).await?;
    let client = &tenant.client;
    client.app_done("app", Some(&commit), PATIENCE).await?;
    let refused = Mood::http("401 Unauthorized", b"who are you?");
    let away = Mood::http("503 Service Unavailable", b"later");
    let rubbish = Mood::Answering(b"\0\x01rubbish".repeat(50));
    for (mood, code, pushes) in [
        (refused.clone(), "source.login-refused", false),
        (refused, "source.login-refused", true),
        (away, "source.unreachable", false),
        (Mood::Cutting(0), "source.unreachable", true),
        (rubbish, "source.unreachable", true),
    ] {
        way.set(mood);
        let refreshed = client.get("/api/v1/applications/app?refresh=normal");
        refreshed.await?.ok()?;
        let named = |app: &Value| {
            all_conditions(app).contains(code) && app["status"]["sync"]["status"] == "Unknown"
        };
        client.app_when("app", PATIENCE, named).await?;
        if pushes {
            let text = config_map("a", &way.came().to_string());
            commit = tenant.checkout.push_file("app/a.yaml", text).await?;
        }
        way.set(Mood::Straight);
        let app = client.app_done("app", Some(&commit), PATIENCE).await?;
        assert!(!all_conditions(&app).contains(code), "{app}");
    }
    Ok(())
}
