//! A chart of one repository with the values of another: a push to either is deployed, and a form sees both.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::platform::{self, Tenant};

use crate::{PATIENCE, code, said};

const TEMPLATE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\ndata:\n  \
                        greeting: {{ .Values.greeting | quote }}\n  colour: {{ .Values.colour | quote }}\n";

async fn deployed(tenant: &Tenant, key: &str) -> Result<String> {
    let path = format!("/api/v1/namespaces/{}/configmaps/web", tenant.name);
    let live = tenant.kube.get(&path).await?.context("no ConfigMap")?;
    Ok(live["data"][key].as_str().context("no value")?.to_owned())
}

/// Waits until the application is deployed from these commits.
async fn done(tenant: &Tenant, commits: &[&str]) -> Result<Value> {
    let at = |app: &Value| {
        let status = &app["status"];
        status["sync"]["status"] == "Synced"
            && status["sync"]["revisions"] == json!(commits)
            && status["operationState"]["phase"] == "Succeeded"
    };
    tenant.client.app_when("web", PATIENCE, at).await
}

#[tokio::test]
async fn a_push_to_the_repository_of_the_values_is_deployed() -> Result<()> {
    let tenant = platform::tenant("values").await?;
    let chart = &tenant.checkout;
    chart.write(
        "chart/Chart.yaml",
        "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    )?;
    chart.write("chart/templates/a.yaml", TEMPLATE)?;
    let charts = chart
        .push_file("chart/values.yaml", "greeting: hello\ncolour: blue\n")
        .await?;
    tenant.connect().await?;
    tenant.turn_webhook_on()?;
    let (url, values) = tenant.another_repository("values").await?;
    values.write("other.yaml", "greeting: nobody\n")?;
    let first = values.push_file("web/prod.yaml", "greeting: one\n").await?;

    let helm = json!({"valueFiles": ["$values/web/*.yaml"]});
    let app = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "web"},
        "spec": {
            "project": "default",
            "sources": [
                {"repoURL": tenant.repo_url, "path": "chart", "targetRevision": "main", "helm": helm},
                {"repoURL": url, "targetRevision": "main", "ref": "values"},
            ],
            "destination": {"server": "https://kubernetes.default.svc", "namespace": tenant.name},
            "syncPolicy": platform::automated(),
        },
    });
    let file = tenant.client.argocd_home().join("web.json");
    std::fs::create_dir_all(tenant.client.argocd_home())?;
    std::fs::write(&file, app.to_string())?;
    let file = file.display().to_string();
    let created = tenant
        .client
        .argocd(&["app", "create", "-f", &file])
        .await?;
    ensure!(code(&created) == 0, "{}", said(&created));
    done(&tenant, &[&charts, &first]).await?;
    assert_eq!(deployed(&tenant, "greeting").await?, "one");
    assert_eq!(deployed(&tenant, "colour").await?, "blue");

    // Only a file of the values: deployed anew.
    let second = values.push_file("web/prod.yaml", "greeting: two\n").await?;
    let app = done(&tenant, &[&charts, &second]).await?;
    assert_eq!(deployed(&tenant, "greeting").await?, "two");
    let deployments = app["status"]["history"].as_array().map_or(0, Vec::len);
    assert_eq!(deployments, 2);

    // What nobody reads of it: another commit, and nothing to deploy.
    let third = values.push_file("other.yaml", "greeting: x\n").await?;
    let app = done(&tenant, &[&charts, &third]).await?;
    let deployments = app["status"]["history"].as_array().map_or(0, Vec::len);
    assert_eq!(deployments, 2, "nothing was synced again");

    let shown = tenant.client.argocd(&["app", "manifests", "web"]).await?;
    ensure!(code(&shown) == 0, "{}", said(&shown));
    assert!(said(&shown).contains("greeting: two"), "{}", said(&shown));

    let escaped = tenant.repo_url.replace(':', "%3A").replace('/', "%2F");
    let path = format!("/api/v1/repositories/{escaped}/appdetails");
    let source = app["spec"]["sources"][0].clone();
    let asked = json!({"source": source, "appName": "web", "appProject": "default"});
    let details = tenant.client.post(&path, &asked).await?.ok()?;
    assert_eq!(details["type"], "Helm");
    assert_eq!(details["helm"]["values"], "greeting: hello\ncolour: blue\n");
    assert_eq!(details["helm"]["valueFiles"], json!(["values.yaml"]));
    assert_eq!(
        details["helm"]["parameters"],
        json!([{"name": "colour", "value": "blue"}, {"name": "greeting", "value": "two"}])
    );
    // A source that the application never had is not its reader's to look at.
    let mut other = asked.clone();
    other["source"]["path"] = json!(".");
    let refused = tenant.client.post(&path, &other).await?;
    assert_eq!(refused.status, 403, "{:?}", refused.body);

    // A name that no source has is a cause.
    let set = [
        "app",
        "set",
        "web",
        "--source-position",
        "1",
        "--values",
        "$gone/x.yaml",
    ];
    let refused = tenant.client.argocd(&set).await?;
    assert_ne!(code(&refused), 0);
    assert!(
        said(&refused).contains("source.reference-unknown"),
        "{}",
        said(&refused)
    );
    Ok(())
}

#[tokio::test]
async fn s18_a_folder_of_another_repository_is_for_projects_that_permit_it() -> Result<()> {
    let tenant = platform::tenant("bases").await?;
    let (url, bases) = tenant.another_repository("bases").await?;
    let config_map = |value: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\ndata:\n  greeting: {value}\n"
        )
    };
    bases.write("web/kustomization.yaml", "resources: [a.yaml]\n")?;
    bases.push_file("web/a.yaml", config_map("one")).await?;
    tenant.connect().await?;
    let kustomization = format!("resources:\n- {url}//web?ref=main\n");
    tenant
        .checkout
        .push_file("app/kustomization.yaml", kustomization)
        .await?;

    let narrow = json!({"project": {"metadata": {"name": "narrow"}, "spec": {
        "sourceRepos": [tenant.repo_url], "destinations": [{"server": "*", "namespace": "*"}],
    }}});
    tenant
        .client
        .post("/api/v1/projects", &narrow)
        .await?
        .ok()?;
    let create = async |project: &str| {
        let repo = tenant.repo_url.as_str();
        let mut args = vec!["app", "create", "web", "--repo", repo, "--path", "app"];
        let server = "https://kubernetes.default.svc";
        args.extend(["--dest-server", server, "--dest-namespace", &tenant.name]);
        args.extend([
            "--project",
            project,
            "--sync-policy",
            "automated",
            "--self-heal",
        ]);
        tenant.client.argocd(&args).await
    };
    let refused = create("narrow").await?;
    assert_ne!(code(&refused), 0);
    let text = said(&refused);
    assert!(
        text.contains("app.source-not-permitted") && text.contains(&url),
        "{text}"
    );

    let created = create("default").await?;
    ensure!(code(&created) == 0, "{}", said(&created));
    tenant.client.app_done("web", None, PATIENCE).await?;
    assert_eq!(deployed(&tenant, "greeting").await?, "one");
    bases.push_file("web/a.yaml", config_map("two")).await?;
    let hard = "/api/v1/applications/web?refresh=hard";
    tenant.client.get(hard).await?.ok()?;
    testkit::wait::until("the base's new commit", PATIENCE, || async {
        let greeting = deployed(&tenant, "greeting").await?;
        ensure!(greeting == "two", "{greeting}");
        Ok(())
    })
    .await?;

    let escaped = tenant.repo_url.replace(':', "%3A").replace('/', "%2F");
    let path = format!("/api/v1/repositories/{escaped}/appdetails");
    let source = tenant.client.app("web").await?["spec"]["source"].clone();
    let asked = json!({"source": source, "appName": "web", "appProject": "default"});
    let details = tenant.client.post(&path, &asked).await?.ok()?;
    assert_eq!(details["type"], "Kustomize");
    Ok(())
}
