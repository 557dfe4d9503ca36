//! The unmodified `argocd` command, over gRPC and gRPC-web: exit codes and what people read.

use anyhow::Result;
use testkit::platform::{self, Tenant};

use crate::{PATIENCE, code, examples, said};

/// Runs a command and checks its exit code; what it printed.
async fn run(tenant: &Tenant, expected: i32, args: &[&str]) -> Result<String> {
    let output = tenant.client.argocd(args).await?;
    assert_eq!(
        code(&output),
        expected,
        "argocd {}:\n{}",
        args.join(" "),
        said(&output)
    );
    Ok(said(&output))
}

async fn walk(tenant: &Tenant, web: &[&str]) -> Result<()> {
    let with = |args: &[&'static str]| -> Vec<String> {
        args.iter()
            .map(|a| (*a).to_owned())
            .chain(web.iter().map(|a| (*a).to_owned()))
            .collect()
    };
    let go = |expected: i32, args: Vec<String>| async move {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        run(tenant, expected, &args).await
    };
    let version = go(0, with(&["version"])).await?;
    assert!(version.contains("v3.2.11+naru"), "{version}");
    let mut add = with(&["repo", "add"]);
    add.extend([
        tenant.repo_url.clone(),
        "--username".into(),
        tenant.git_login.user.clone(),
        "--password".into(),
        tenant.git_login.password.clone(),
    ]);
    assert!(go(0, add).await?.contains("added"));
    let repos = go(0, with(&["repo", "list"])).await?;
    assert!(
        repos.contains(&tenant.repo_url) && repos.contains("Successful"),
        "{repos}"
    );
    assert!(go(0, with(&["proj", "list"])).await?.contains("default"));
    assert!(
        go(0, with(&["cluster", "list"]))
            .await?
            .contains("in-cluster")
    );
    assert_eq!(
        go(0, with(&["account", "can-i", "sync", "applications", "*"]))
            .await?
            .trim(),
        "yes"
    );
    for (name, path) in [
        ("hello-express", "gitops/hello-world-express"),
        ("hello-flask", "gitops/hello-world-flask"),
    ] {
        let mut create = with(&["app", "create"]);
        create.extend([
            name.into(),
            "--repo".into(),
            tenant.repo_url.clone(),
            "--path".into(),
            path.into(),
        ]);
        create.extend([
            "--dest-server".into(),
            "https://kubernetes.default.svc".into(),
            "--dest-namespace".into(),
            tenant.name.clone(),
        ]);
        assert!(go(0, create.clone()).await?.contains("created"));
        assert!(
            go(0, create).await?.contains("unchanged"),
            "the same again changes nothing"
        );
    }
    assert!(go(0, with(&["app", "list"])).await?.contains("hello-flask"));
    // A difference: nothing is there yet.
    go(1, with(&["app", "diff", "hello-express"])).await?;
    let synced = go(0, with(&["app", "sync", "hello-express"])).await?;
    assert!(
        synced.contains("Succeeded") && synced.contains("hello-express-svc"),
        "{synced}"
    );
    go(
        0,
        with(&["app", "wait", "hello-express", "--timeout", "60"]),
    )
    .await?;
    let shown = go(0, with(&["app", "get", "hello-express"])).await?;
    assert!(
        shown.contains("Synced") && shown.contains("Healthy"),
        "{shown}"
    );
    go(0, with(&["app", "diff", "hello-express"])).await?;
    let manifests = go(0, with(&["app", "manifests", "hello-express"])).await?;
    assert!(
        manifests.contains("kind: Deployment")
            && manifests.contains(&format!("namespace: {}", tenant.name)),
        "{manifests}"
    );
    let resources = go(0, with(&["app", "resources", "hello-express"])).await?;
    assert!(
        resources.contains("Deployment") && resources.contains("Ingress"),
        "{resources}"
    );
    go(0, with(&["app", "logs", "hello-express"])).await?;
    let history = go(0, with(&["app", "history", "hello-express"])).await?;
    assert!(history.contains("0  "), "{history}");
    // Another deployment, so that there is something to go back to.
    let file = "gitops/hello-world-express/deployment.yaml";
    let text = tenant.checkout.read(file)?;
    tenant
        .checkout
        .push_file(file, text.replace("replicas: 1", "replicas: 2"))
        .await?;
    go(0, with(&["app", "get", "hello-express", "--refresh"])).await?;
    go(0, with(&["app", "sync", "hello-express"])).await?;
    go(0, with(&["app", "rollback", "hello-express", "0"])).await?;
    tenant.checkout.push_file(file, text).await?;
    go(
        0,
        with(&[
            "app",
            "set",
            "hello-express",
            "--sync-policy",
            "auto",
            "--self-heal",
        ]),
    )
    .await?;
    let refused = go(20, with(&["app", "rollback", "hello-express", "0"])).await?;
    assert!(refused.contains("auto-sync is enabled"), "{refused}");
    go(
        0,
        with(&[
            "app",
            "patch",
            "hello-express",
            "--type",
            "merge",
            "--patch",
            r#"{"metadata":{"labels":{"a":"b"}}}"#,
        ]),
    )
    .await?;
    let one = go(0, with(&["app", "get", "hello-express", "-o", "json"])).await?;
    assert!(one.contains(r#""a": "b""#), "{one}");
    for name in ["hello-express", "hello-flask"] {
        let mut delete = with(&["app", "delete", "-y", "--wait"]);
        delete.insert(2, name.into());
        go(0, delete).await?;
    }
    let missing = go(20, with(&["app", "get", "hello-express"])).await?;
    assert!(
        missing.contains("PermissionDenied") && missing.contains("permission denied"),
        "{missing}"
    );
    let mut remove = with(&["repo", "rm"]);
    remove.push(tenant.repo_url.clone());
    assert!(go(0, remove).await?.contains("removed"));
    Ok(())
}

#[tokio::test]
async fn the_command_walks_through_over_grpc() -> Result<()> {
    let tenant = platform::tenant("walk").await?;
    tenant.push_guide(&examples()).await?;
    walk(&tenant, &[]).await
}

#[tokio::test]
async fn the_command_walks_through_over_grpc_web() -> Result<()> {
    let tenant = platform::tenant("walk-web").await?;
    tenant.push_guide(&examples()).await?;
    walk(&tenant, &["--grpc-web"]).await
}

#[tokio::test]
async fn signing_in_works_at_the_tenants_host_and_at_the_operators() -> Result<()> {
    let tenant = platform::tenant("login").await?;
    let login = |user: &str, password: &str| {
        ["login", "--username", user, "--password", password]
            .map(str::to_owned)
            .to_vec()
    };
    let own = login("admin", &tenant.password);
    let mut args: Vec<&str> = own.iter().map(String::as_str).collect();
    args.insert(1, tenant.client.server());
    assert_eq!(code(&tenant.client.argocd(&args).await?), 0);
    let operators = platform::platform().await?.url("127.0.0.1");
    let there = testkit::client::Client::login(&operators, &tenant.name, &tenant.password).await?;
    let info = there.get("/api/v1/session/userinfo").await?.ok()?;
    assert_eq!(info["loggedIn"], true, "{info}");
    assert!(
        testkit::client::Client::login(tenant.client.base(), "admin", "wrong-password")
            .await
            .is_err()
    );
    Ok(())
}

#[tokio::test]
async fn waiting_watches_and_ends() -> Result<()> {
    let tenant = platform::tenant("wait").await?;
    tenant.push_guide(&examples()).await?;
    tenant.connect().await?;
    tenant
        .create_app(
            "hello-spring",
            "gitops/hello-world-spring",
            &platform::automated(),
        )
        .await?;
    run(
        &tenant,
        0,
        &[
            "app",
            "wait",
            "hello-spring",
            "--sync",
            "--health",
            "--timeout",
            "60",
        ],
    )
    .await?;
    tenant
        .client
        .app_done("hello-spring", None, PATIENCE)
        .await?;
    Ok(())
}
