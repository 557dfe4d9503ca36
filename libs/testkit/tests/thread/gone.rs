//! A commit that was deployed, then pushed over, thrown away by its server, and is in no mirror.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::command::{command, output};
use testkit::platform::{self, Tenant};

use crate::{PATIENCE, all_conditions, code, conditions, config_map, said};

/// Runs a command of `argocd` that has to succeed; what it printed.
async fn run(tenant: &Tenant, args: &[&str]) -> Result<String> {
    let output = tenant.client.argocd(args).await?;
    let said = said(&output);
    ensure!(code(&output) == 0, "argocd {}: {said}", args.join(" "));
    Ok(said)
}

/// Writes the last commit anew, pushes it over what is there, and has the server throw that away.
async fn push_over(tenant: &Tenant, value: &str) -> Result<()> {
    let checkout = &tenant.checkout;
    checkout.write("app/a.yaml", config_map("a", value))?;
    checkout.git(&["add", "-A"]).await?;
    let amend = ["commit", "-q", "--amend", "-m", "written anew"];
    checkout.git(&amend).await?;
    let push = ["push", "-q", "--force", "origin", "HEAD:refs/heads/main"];
    checkout.git(&push).await?;
    let home = &platform::platform().await?.git().home;
    let bare = home.ensure_repository(&tenant.name, "base-project").await?;
    for args in [
        ["reflog", "expire", "--expire=now", "--all"].as_slice(),
        &["gc", "--quiet", "--prune=now"],
    ] {
        output(command("git").arg("-C").arg(&bare).args(args)).await?;
    }
    Ok(())
}

/// Connects the repository for the project alone, so that it has a mirror of its own, which has fetched nothing yet.
async fn begin_a_mirror(tenant: &Tenant) -> Result<()> {
    let login = &tenant.git_login;
    let own = json!({
        "repo": tenant.repo_url, "project": "default",
        "username": login.user, "password": login.password,
    });
    tenant
        .client
        .post("/api/v1/repositories", &own)
        .await?
        .ok()?;
    Ok(())
}

#[tokio::test]
async fn what_was_deployed_of_a_commit_that_nobody_has_any_more_can_be_deployed_again() -> Result<()>
{
    let tenant = platform::tenant("gone").await?;
    let client = &tenant.client;
    tenant
        .checkout
        .write("pinned/b.yaml", config_map("b", "first"))?;
    let first = tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "first"))
        .await?;
    tenant.connect().await?;
    tenant.create_app("app", "app", &json!({})).await?;
    let pinned = json!({
        "metadata": {"name": "pinned"},
        "spec": {
            "project": "default",
            "source": {"repoURL": tenant.repo_url, "path": "pinned", "targetRevision": first},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": tenant.name},
        },
    });
    client.post("/api/v1/applications", &pinned).await?.ok()?;
    run(&tenant, &["app", "sync", "app"]).await?;
    run(&tenant, &["app", "sync", "pinned"]).await?;
    push_over(&tenant, "second").await?;
    run(&tenant, &["app", "sync", "app"]).await?;
    let path = format!("/api/v1/namespaces/{}/configmaps/a", tenant.name);
    let value = async || -> Result<Value> {
        let there = tenant.kube.get(&path).await?;
        Ok(there.map_or(Value::Null, |there| there["data"]["value"].clone()))
    };
    assert_eq!(value().await?, "second");

    begin_a_mirror(&tenant).await?;
    let back = run(&tenant, &["app", "rollback", "app", "0"]).await?;
    assert!(back.contains(&first), "{back}");
    assert_eq!(value().await?, "first");
    let app = client.app("app").await?;
    assert_eq!(app["status"]["sync"]["status"], "OutOfSync", "Git differs");
    let history = app["status"]["history"].as_array();
    let last = history.and_then(|history| history.last()).cloned();
    let last = last.unwrap_or_default();
    assert_eq!((&last["id"], &last["revision"]), (&json!(2), &json!(first)));

    // What follows it is compared with the same, and says so.
    client
        .get("/api/v1/applications/pinned?refresh=hard")
        .await?
        .ok()?;
    let as_kept = |app: &Value| {
        app["status"]["sync"]["status"] == "Synced"
            && conditions(app, "AsKeptWarning")
                .iter()
                .any(|said| said.contains(&first))
    };
    client.app_when("pinned", PATIENCE, as_kept).await?;
    run(&tenant, &["app", "sync", "pinned"]).await?;

    // A commit that was never deployed is none, as before; nor does a deployment stand for another source.
    let never = "0123456789".repeat(4);
    let sync = ["app", "sync", "app", "--revision", &never];
    let refused = client.argocd(&sync).await?;
    assert_ne!(code(&refused), 0);
    let refused = said(&refused);
    assert!(refused.contains("is no branch, tag or commit"), "{refused}");
    let elsewhere = ["app", "set", "pinned", "--path", "app", "--validate=false"];
    run(&tenant, &elsewhere).await?;
    let gone = |app: &Value| {
        app["status"]["sync"]["status"] == "Unknown"
            && all_conditions(app).contains("is no branch, tag or commit")
    };
    client.app_when("pinned", PATIENCE, gone).await?;
    Ok(())
}
