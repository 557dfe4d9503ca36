//! The unmodified `argocd` command, over gRPC and gRPC-web, in clear and over TLS, as a tenant at its own host, as the
//! tenant on the operator's host, and as the operator's own tenant: exit codes and what people read.

use anyhow::Result;
use testkit::client::Client;
use testkit::git::Login;
use testkit::git::checkout::Checkout;
use testkit::platform::{self, Tenant};

use crate::{PATIENCE, code, examples, said};

const SERVER: &str = "https://kubernetes.default.svc";

/// Somebody at a terminal: an account, the repository that is followed, the namespace that it goes to.
struct Walker {
    client: Client,
    repo: String,
    login: Login,
    namespace: String,
    /// What is added to every command.
    also: &'static [&'static str],
}

impl Walker {
    fn new(tenant: &Tenant, client: Client, also: &'static [&'static str]) -> Self {
        Self {
            client,
            repo: tenant.repo_url.clone(),
            login: tenant.git_login.clone(),
            namespace: tenant.name.clone(),
            also,
        }
    }

    /// Runs a command and checks its exit code; what it printed.
    async fn go(&self, expected: i32, args: &[&str]) -> Result<String> {
        let output = self.client.argocd(&[args, self.also].concat()).await?;
        assert_eq!(
            code(&output),
            expected,
            "argocd {}:\n{}",
            args.join(" "),
            said(&output)
        );
        Ok(said(&output))
    }

    /// The same, where it must work and print every part.
    async fn see(&self, args: &[&str], parts: &[&str]) -> Result<()> {
        let seen = self.go(0, args).await?;
        for part in parts {
            assert!(
                seen.contains(part),
                "argocd {}: no {part}:\n{seen}",
                args.join(" ")
            );
        }
        Ok(())
    }

    async fn create(&self, name: &str, path: &str, says: &str) -> Result<()> {
        let create = [
            "app",
            "create",
            name,
            "--repo",
            &self.repo,
            "--path",
            path,
            "--dest-server",
            SERVER,
            "--dest-namespace",
            &self.namespace,
        ];
        self.see(&create, &[says]).await
    }
}

/// Every command of the guide, and more: `checkout` is a working copy of the walker's repository.
async fn walk(walker: &Walker, checkout: &Checkout) -> Result<()> {
    let app = "hello-express";
    walker.see(&["version"], &["v3.2.11+naru"]).await?;
    let (user, password) = (&walker.login.user, &walker.login.password);
    let add = [
        "repo",
        "add",
        &walker.repo,
        "--username",
        user,
        "--password",
        password,
    ];
    walker.see(&add, &["added"]).await?;
    walker
        .see(&["repo", "list"], &[&walker.repo, "Successful"])
        .await?;
    walker.see(&["proj", "list"], &["default"]).await?;
    walker.see(&["cluster", "list"], &["in-cluster"]).await?;
    // The admin's rule is for `*/*`, which a lone `*` is not, as in Argo CD.
    for (object, may) in [("*", "no"), ("*/*", "yes")] {
        let can_i = ["account", "can-i", "sync", "applications", object];
        assert_eq!(walker.go(0, &can_i).await?.trim(), may, "{object}");
    }
    for (name, path) in [
        (app, "gitops/hello-world-express"),
        ("hello-flask", "gitops/hello-world-flask"),
    ] {
        walker.create(name, path, "created").await?;
        // The same again changes nothing.
        walker.create(name, path, "unchanged").await?;
    }
    walker.see(&["app", "list"], &["hello-flask"]).await?;
    // A difference: nothing is there yet.
    walker.go(1, &["app", "diff", app]).await?;
    walker
        .see(&["app", "sync", app], &["Succeeded", "hello-express-svc"])
        .await?;
    walker
        .go(0, &["app", "wait", app, "--timeout", "60"])
        .await?;
    walker
        .see(&["app", "get", app], &["Synced", "Healthy"])
        .await?;
    walker.go(0, &["app", "diff", app]).await?;
    let namespace = format!("namespace: {}", walker.namespace);
    walker
        .see(
            &["app", "manifests", app],
            &["kind: Deployment", &namespace],
        )
        .await?;
    walker
        .see(&["app", "resources", app], &["Deployment", "Ingress"])
        .await?;
    walker.go(0, &["app", "logs", app]).await?;
    walker.see(&["app", "history", app], &["0  "]).await?;
    // Another deployment, so that there is something to go back to.
    let file = "gitops/hello-world-express/deployment.yaml";
    let text = checkout.read(file)?;
    checkout
        .push_file(file, text.replace("replicas: 1", "replicas: 2"))
        .await?;
    walker.go(0, &["app", "get", app, "--refresh"]).await?;
    walker.go(0, &["app", "sync", app]).await?;
    walker.go(0, &["app", "rollback", app, "0"]).await?;
    checkout.push_file(file, text).await?;
    walker
        .go(
            0,
            &["app", "set", app, "--sync-policy", "auto", "--self-heal"],
        )
        .await?;
    let patch = r#"{"metadata":{"labels":{"a":"b"}}}"#;
    walker
        .go(
            0,
            &["app", "patch", app, "--type", "merge", "--patch", patch],
        )
        .await?;
    walker
        .see(&["app", "get", app, "-o", "json"], &[r#""a": "b""#])
        .await?;
    walker
        .go(0, &["app", "delete", app, "hello-flask", "-y", "--wait"])
        .await?;
    let missing = walker.go(20, &["app", "get", app]).await?;
    assert!(
        missing.contains("PermissionDenied") && missing.contains("permission denied"),
        "{missing}"
    );
    walker
        .see(&["repo", "rm", &walker.repo], &["removed"])
        .await
}

const GRPC: &[&str] = &[];
const WEB: &[&str] = &["--grpc-web"];

#[tokio::test]
async fn the_command_walks_through_over_grpc() -> Result<()> {
    let tenant = platform::tenant("walk").await?;
    tenant.push_guide(&examples()).await?;
    let walker = Walker::new(&tenant, tenant.client.clone(), GRPC);
    walk(&walker, &tenant.checkout).await
}

#[tokio::test]
async fn the_command_walks_through_over_grpc_web() -> Result<()> {
    let tenant = platform::tenant("walk-web").await?;
    tenant.push_guide(&examples()).await?;
    let walker = Walker::new(&tenant, tenant.client.clone(), WEB);
    walk(&walker, &tenant.checkout).await
}

#[tokio::test]
async fn the_command_walks_through_over_tls_as_the_tenant_on_the_operators_host() -> Result<()> {
    let tenant = platform::tenant("walk-tls").await?;
    tenant.push_guide(&examples()).await?;
    let (port, authority) = platform::platform().await?.over_tls().await?;
    let client = Client::new(&format!("https://127.0.0.1:{port}"))?.trusting(&authority)?;
    let login = [
        "login",
        client.server(),
        "--username",
        &tenant.name,
        "--password",
        &tenant.password,
    ];
    let output = client.argocd(&login).await?;
    assert_eq!(code(&output), 0, "{}", said(&output));
    // From here on with what signing in has left in the command's own configuration.
    let walker = Walker::new(&tenant, client, GRPC);
    walk(&walker, &tenant.checkout).await
}

#[tokio::test]
async fn the_command_walks_through_over_grpc_web_and_tls_that_it_does_not_check() -> Result<()> {
    let tenant = platform::tenant("walk-web-tls").await?;
    tenant.push_guide(&examples()).await?;
    let (port, _) = platform::platform().await?.over_tls().await?;
    let plain = tenant.client.server();
    let host = plain.split(':').next().unwrap_or(plain);
    let client = tenant.client.at(&format!("https://{host}:{port}"))?;
    let walker = Walker::new(&tenant, client, WEB);
    walk(&walker, &tenant.checkout).await
}

#[tokio::test]
async fn the_command_walks_through_as_the_operators_own_tenant() -> Result<()> {
    let platform = platform::platform().await?;
    let namespace = format!("walk-naru-{:06x}", rand::random::<u32>() >> 8);
    platform.kube()?.ensure_namespace(&namespace).await?;
    let home = &platform.git().home;
    let login = home.ensure_login("naru")?;
    home.ensure_repository("naru", &namespace).await?;
    let repo = platform.git().repository("naru", &namespace);
    let work = tempfile::tempdir()?;
    let checkout = Checkout::clone(&repo, Some(&login), &work.path().join("copy")).await?;
    checkout.copy_folder(&examples().join("gitops"), "gitops")?;
    // Tenant naru has no placeholders: what stands for them is written into the files.
    for file in [
        "hello-world-express/deployment.yaml",
        "hello-world-express/service.yaml",
        "hello-world-express/ingress.yaml",
        "hello-world-flask/deployment.yaml",
        "hello-world-flask/service.yaml",
        "hello-world-flask/ingress.yaml",
    ] {
        let file = format!("gitops/{file}");
        let text = checkout.read(&file)?;
        checkout.write(&file, text.replace("${USER_IDENTITY}", &namespace))?;
    }
    checkout
        .commit("the guide's samples, variables filled in")
        .await?;
    checkout.push().await?;
    let mut walker = Walker {
        client: platform.operator()?,
        repo,
        login,
        namespace,
        also: GRPC,
    };
    walk(&walker, &checkout).await?;
    let (port, authority) = platform.over_tls().await?;
    walker.client = walker
        .client
        .at(&format!("https://127.0.0.1:{port}"))?
        .trusting(&authority)?;
    walker.also = WEB;
    walk(&walker, &checkout).await
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
    let there = Client::login(&operators, &tenant.name, &tenant.password).await?;
    let info = there.get("/api/v1/session/userinfo").await?.ok()?;
    assert_eq!(info["loggedIn"], true, "{info}");
    assert!(
        Client::login(tenant.client.base(), "admin", "wrong-password")
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
    let wait = [
        "app",
        "wait",
        "hello-spring",
        "--sync",
        "--health",
        "--timeout",
        "60",
    ];
    Walker::new(&tenant, tenant.client.clone(), GRPC)
        .go(0, &wait)
        .await?;
    tenant
        .client
        .app_done("hello-spring", None, PATIENCE)
        .await?;
    Ok(())
}
