//! Artifacts of a registry as sources: connected, deployed and followed by the unmodified `argocd`.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::charts::{Registry, login, package, write};
use testkit::platform::{self, Tenant};
use testkit::wait;

use crate::{PATIENCE, code, said};

/// Runs a command and checks its exit code; what it printed.
async fn run(tenant: &Tenant, expected: i32, args: &[&str]) -> Result<String> {
    let output = tenant.client.argocd(args).await?;
    let said = said(&output);
    ensure!(
        code(&output) == expected,
        "argocd {}: {}\n{said}",
        args.join(" "),
        code(&output)
    );
    Ok(said)
}

/// What the ConfigMap says.
async fn text(tenant: &Tenant, name: &str) -> Result<String> {
    let path = format!("/api/v1/namespaces/{}/configmaps/{name}", tenant.name);
    let map = tenant.kube.get(&path).await?.context("there is none")?;
    Ok(map["data"]["text"].as_str().unwrap_or_default().to_owned())
}

async fn revision(tenant: &Tenant, app: &str) -> Result<String> {
    let path = format!("/api/v1/applications/{app}");
    let app = tenant.client.get(&path).await?.ok()?;
    let revision = app["status"]["sync"]["revision"].as_str();
    Ok(revision.unwrap_or_default().to_owned())
}

fn map(name: &str, text: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{text: {text}}}\n")
}

/// A folder of plain files, and a kustomization of them.
fn files(folder: &Path, text: &str) -> Result<()> {
    write(
        folder,
        &[
            ("plain/map.yaml", &map("plain", text)),
            ("base/map.yaml", &map("base", text)),
            ("base/kustomization.yaml", "resources: [map.yaml]\n"),
            (
                "overlay/kustomization.yaml",
                "resources: [../base]\nnamePrefix: my-\n",
            ),
        ],
    )
}

fn create<'a>(
    tenant: &'a Tenant,
    name: &'a str,
    (repo, path, revision): (&'a str, &'a str, &'a str),
) -> Vec<&'a str> {
    vec![
        "app",
        "create",
        name,
        "--repo",
        repo,
        "--path",
        path,
        "--revision",
        revision,
        "--dest-server",
        "https://kubernetes.default.svc",
        "--dest-namespace",
        &tenant.name,
    ]
}

#[tokio::test]
async fn an_artifact_is_deployed_and_its_tag_is_followed() -> Result<()> {
    let tenant = platform::tenant("artifact").await?;
    let work = tempfile::tempdir()?;
    let registry = Registry::start().await?;
    let folder = work.path().join("files");
    files(&folder, "first")?;
    let first = registry.publish("team/app", "1.0.0", &folder).await?;
    let url = format!("oci://{}/team/app", registry.address);
    let ca = registry.ca.to_string_lossy();
    run(&tenant, 0, &["cert", "add-tls", "127.0.0.1", "--from", &ca]).await?;

    let password = login().password;
    let add = |password| {
        [
            "repo",
            "add",
            url.as_str(),
            "--type",
            "oci",
            "--name",
            "app",
            "--username",
            "charts",
            "--password",
            password,
        ]
    };
    let refused = run(&tenant, 20, &add("hunter2")).await?;
    ensure!(
        refused.contains("chart.login-refused") && !refused.contains("hunter2"),
        "{refused}"
    );
    let app = create(&tenant, "plain", (&url, "plain", "1.x"));
    let refused = run(&tenant, 20, &app).await?;
    ensure!(refused.contains("chart.login-needed"), "{refused}");
    run(&tenant, 0, &add(&password)).await?;
    let listed = run(&tenant, 0, &["repo", "list", "--refresh", "hard"]).await?;
    ensure!(
        listed.contains("oci   app") && listed.contains("Successful"),
        "{listed}"
    );
    let escaped = url.replace(':', "%3A").replace('/', "%2F");
    let tags = format!("/api/v1/repositories/{escaped}/oci-tags");
    let tags = tenant.client.get(&tags).await?.ok()?;
    assert_eq!(tags["tags"], json!(["1.0.0"]));
    let shown = format!("/api/v1/repositories/{escaped}");
    let shown = tenant.client.get(&shown).await?.ok()?;
    ensure!(
        shown["type"] == "oci" && shown["connectionState"]["status"] == "Successful",
        "{shown}"
    );

    for (revision, path, said) in [
        ("7.x", "plain", "chart.artifact-not-found"),
        ("gone", "plain", "chart.artifact-not-found"),
        ("1.x", "nowhere", "source.path-missing"),
    ] {
        let app = create(&tenant, "gone", (&url, path, revision));
        let refused = run(&tenant, 20, &app).await?;
        ensure!(refused.contains(said), "{refused}");
    }
    run(&tenant, 0, &app).await?;
    let mut overlay = create(&tenant, "overlay", (&url, "overlay", &first));
    overlay.extend(["--sync-policy", "automated"]);
    run(&tenant, 0, &overlay).await?;
    run(&tenant, 0, &["app", "sync", "plain"]).await?;
    for name in ["plain", "overlay"] {
        tenant.client.app_done(name, None, PATIENCE).await?;
        assert_eq!(revision(&tenant, name).await?, first);
    }
    assert_eq!(text(&tenant, "plain").await?, "first");
    assert_eq!(text(&tenant, "my-base").await?, "first");
    let manifests = ["app", "manifests", "plain", "--source", "git"];
    let manifests = run(&tenant, 0, &manifests).await?;
    ensure!(manifests.contains("text: first"), "{manifests}");

    // A new version of the range, and then the same tag once more: found without anybody telling.
    let automated = ["app", "set", "plain", "--sync-policy", "automated"];
    run(&tenant, 0, &automated).await?;
    for text_now in ["second", "third"] {
        files(&folder, text_now)?;
        let newer = registry.publish("team/app", "1.1.0", &folder).await?;
        let there = || async {
            Ok(revision(&tenant, "plain").await? == newer
                && text(&tenant, "plain").await? == text_now)
        };
        wait::until_true("the new digest is deployed", PATIENCE, there).await?;
    }
    assert_eq!(
        text(&tenant, "my-base").await?,
        "first",
        "a digest is fixed"
    );
    run(
        &tenant,
        0,
        &["app", "set", "plain", "--sync-policy", "none"],
    )
    .await?;
    run(&tenant, 0, &["app", "rollback", "plain", "0"]).await?;
    assert_eq!(text(&tenant, "plain").await?, "first");
    let exact = ["app", "sync", "plain", "--revision", "1.1.0"];
    run(&tenant, 0, &exact).await?;
    assert_eq!(text(&tenant, "plain").await?, "third");

    // The project is asked about the artifact's address.
    let narrow = [
        "proj",
        "create",
        "narrow",
        "--dest",
        "*,*",
        "--src",
        "oci://registry.example/*",
    ];
    run(&tenant, 0, &narrow).await?;
    let mut narrow = create(&tenant, "narrow", (&url, "plain", "1.x"));
    narrow.extend(["--project", "narrow"]);
    let refused = run(&tenant, 20, &narrow).await?;
    ensure!(
        refused.contains("is not permitted in project 'narrow'"),
        "{refused}"
    );
    Ok(())
}

#[tokio::test]
async fn a_chart_is_deployed_as_an_artifact_with_a_templates_login() -> Result<()> {
    let tenant = platform::tenant("artichart").await?;
    let work = tempfile::tempdir()?;
    let registry = Registry::start().await?;
    let archive = package(work.path(), "web", "1.0.0", "from a registry").await?;
    registry.push(&archive, "team/charts").await?;
    let ca = registry.ca.to_string_lossy();
    run(&tenant, 0, &["cert", "add-tls", "127.0.0.1", "--from", &ca]).await?;
    let above = format!("oci://{}/team", registry.address);
    let login = login();
    let template = [
        "repocreds",
        "add",
        &above,
        "--type",
        "oci",
        "--username",
        &login.user,
        "--password",
        &login.password,
    ];
    run(&tenant, 0, &template).await?;
    let url = format!("{above}/charts/web");
    let mut app = create(&tenant, "web", (&url, ".", "1.0.0"));
    app.extend(["--helm-set", "text=set", "--sync-policy", "automated"]);
    run(&tenant, 0, &app).await?;
    tenant.client.app_done("web", None, PATIENCE).await?;
    assert_eq!(text(&tenant, "web-web").await?, "set");
    let revision = revision(&tenant, "web").await?;
    ensure!(revision.starts_with("sha256:"), "{revision}");

    let form = url.replace(':', "%3A").replace('/', "%2F");
    let form = format!("/api/v1/repositories/{form}/appdetails");
    let source = tenant.client.app("web").await?["spec"]["source"].clone();
    let asked = json!({"source": source, "appName": "web", "appProject": "default"});
    let details = tenant.client.post(&form, &asked).await?.ok()?;
    ensure!(
        details["type"] == "Helm" && details["helm"]["values"] == "text: from a registry\n",
        "{details}"
    );

    // What `helm push` noted with it, as a web interface asks.
    let about = |what: &str| format!("/api/v1/applications/web/revisions/{revision}/{what}");
    let notes = tenant.client.get(&about("ocimetadata")).await?.ok()?;
    ensure!(
        notes["version"] == "1.0.0"
            && notes["description"] == "made for a test"
            && notes["authors"]
                .as_str()
                .is_some_and(|authors| authors.contains("team@web.example"))
            && notes["createdAt"].is_string(),
        "{notes}"
    );
    for (what, said) in [
        ("chartdetails", "no chart found for application: web"),
        ("metadata", "must be resolved"),
    ] {
        let refused = tenant.client.get(&about(what)).await?.body.to_string();
        ensure!(refused.contains(said), "{refused}");
    }
    Ok(())
}
