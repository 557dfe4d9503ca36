//! Bad input: a clear error, a typed cause, and nothing else disturbed.

use anyhow::Result;
use serde_json::json;
use testkit::platform::{self, Tenant};

use crate::{PATIENCE, all_conditions, code, conditions, config_map, said};

/// Creates an application without validation and waits until a condition mentions every part.
async fn fails_with(tenant: &Tenant, name: &str, path: &str, parts: &[&str]) -> Result<()> {
    let app = json!({
        "metadata": {"name": name},
        "spec": {
            "project": "default",
            "source": {"repoURL": tenant.repo_url, "path": path, "targetRevision": "HEAD"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": tenant.name},
            "syncPolicy": {"automated": {"prune": true, "selfHeal": true}},
        },
    });
    tenant
        .client
        .post("/api/v1/applications?validate=false", &app)
        .await?
        .ok()?;
    let wanted =
        |app: &serde_json::Value| parts.iter().all(|part| all_conditions(app).contains(part));
    let app = tenant.client.app_when(name, PATIENCE, wanted).await?;
    assert_ne!(
        app["status"]["health"]["status"], "Healthy",
        "what cannot be compared is never healthy: {app}"
    );
    Ok(())
}

#[tokio::test]
async fn each_mistake_in_git_is_a_typed_cause_with_file_and_line() -> Result<()> {
    let tenant = platform::tenant("mistakes").await?;
    tenant.checkout.write("good/a.yaml", config_map("a", "1"))?;
    tenant.checkout.write(
        "broken/a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: [\n",
    )?;
    tenant.checkout.write(
        "elsewhere/a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: kube-system\n",
    )?;
    tenant.checkout.write("forbidden/a.yaml", "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: everything\nrules: []\n")?;
    tenant.checkout.write(
        "nested/a.yaml",
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: child\nspec: {}\n",
    )?;
    tenant
        .checkout
        .push_file(
            "unknown/a.yaml",
            "apiVersion: example.com/v1\nkind: Nothing\nmetadata:\n  name: a\n",
        )
        .await?;
    tenant.connect().await?;
    tenant
        .create_app("good", "good", &platform::automated())
        .await?;
    fails_with(
        &tenant,
        "missing",
        "no/such/folder",
        &["ComparisonError", "no/such/folder"],
    )
    .await?;
    fails_with(
        &tenant,
        "broken",
        "broken",
        &["ComparisonError", "broken/a.yaml:"],
    )
    .await?;
    fails_with(
        &tenant,
        "elsewhere",
        "elsewhere",
        &["kube-system", "elsewhere/a.yaml"],
    )
    .await?;
    fails_with(&tenant, "forbidden", "forbidden", &["ClusterRole"]).await?;
    fails_with(
        &tenant,
        "nested",
        "nested",
        &["Application", "nested/a.yaml"],
    )
    .await?;
    fails_with(
        &tenant,
        "unknown",
        "unknown",
        &["Nothing", "unknown/a.yaml"],
    )
    .await?;
    let good = tenant.client.app_done("good", None, PATIENCE).await?;
    assert!(
        conditions(&good, "ComparisonError").is_empty(),
        "the good one is not disturbed: {}",
        all_conditions(&good)
    );
    Ok(())
}

#[tokio::test]
async fn the_command_line_says_what_is_wrong() -> Result<()> {
    let tenant = platform::tenant("wrong").await?;
    tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "1"))
        .await?;
    let wrong_login = tenant
        .client
        .argocd(&[
            "repo",
            "add",
            &tenant.repo_url,
            "--username",
            "nobody",
            "--password",
            "wrong",
        ])
        .await?;
    assert_eq!(code(&wrong_login), 20, "{}", said(&wrong_login));
    assert!(
        !said(&wrong_login).contains("password wrong"),
        "the password is not repeated"
    );
    let unknown = format!("{}-nowhere", tenant.repo_url.trim_end_matches(".git"));
    let args = [
        "repo",
        "add",
        &unknown,
        "--username",
        &tenant.git_login.user,
        "--password",
        &tenant.git_login.password,
    ];
    assert_eq!(code(&tenant.client.argocd(&args).await?), 20);
    let unreachable = tenant
        .client
        .argocd(&["repo", "add", "http://127.0.0.1:1/a.git"])
        .await?;
    assert_eq!(code(&unreachable), 20);
    assert!(
        said(&unreachable).contains("127.0.0.1:1"),
        "{}",
        said(&unreachable)
    );
    tenant.connect().await?;
    let create = |path: &'static str, namespace: &'static str| {
        let (repo, client) = (tenant.repo_url.clone(), tenant.client.clone());
        async move {
            let args = [
                "app",
                "create",
                "x",
                "--repo",
                &repo,
                "--path",
                path,
                "--dest-namespace",
                namespace,
            ];
            let server = ["--dest-server", "https://kubernetes.default.svc"];
            client
                .argocd(&[args.as_slice(), server.as_slice()].concat())
                .await
        }
    };
    let no_path = create("nowhere", "x").await?;
    assert_eq!(code(&no_path), 20);
    assert!(said(&no_path).contains("nowhere"), "{}", said(&no_path));
    assert_eq!(
        code(&tenant.client.argocd(&["app", "get", "never-made"]).await?),
        20
    );
    Ok(())
}

#[tokio::test]
async fn no_secret_is_seen_anywhere() -> Result<()> {
    let tenant = platform::tenant("secrets").await?;
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\nstringData:\n  key: tooth-fairy\n";
    tenant.checkout.push_file("app/s.yaml", secret).await?;
    tenant.connect().await?;
    tenant
        .create_app("app", "app", &platform::automated())
        .await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    let encoded = "dG9vdGgtZmFpcnk";
    let resource = format!(
        "/api/v1/applications/app/resource?resourceName=s&namespace={}&version=v1&kind=Secret",
        tenant.name
    );
    for path in [
        "/api/v1/applications/app/managed-resources",
        "/api/v1/applications/app/manifests",
        "/api/v1/applications/app",
        &resource,
        "/api/v1/repositories",
    ] {
        let text = tenant.client.get(path).await?.body.to_string();
        assert!(
            !text.contains("tooth-fairy") && !text.contains(encoded),
            "{path} shows the secret"
        );
        assert!(
            !text.contains(&tenant.git_login.password),
            "{path} shows the Git password"
        );
    }
    let logs = platform::platform().await?.dir().join("logs");
    for log in std::fs::read_dir(logs)? {
        let log = log?.path();
        let name = log
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default()
            .to_owned();
        if name.starts_with("naru-") {
            let text = std::fs::read_to_string(&log)?;
            assert!(
                !text.contains("tooth-fairy") && !text.contains(encoded),
                "{name} holds the secret"
            );
            assert!(
                !text.contains(&tenant.git_login.password),
                "{name} holds the Git password"
            );
        }
    }
    Ok(())
}
