//! Chart repositories and registries as sources: connected, deployed and followed by the unmodified `argocd`.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::charts::{self, Registry, Site, login, package};
use testkit::command::output;
use testkit::platform::{self, Tenant};
use testkit::wait;

use crate::{PATIENCE, code, said};

/// Runs a command and checks its exit code; what it printed.
async fn run(tenant: &Tenant, expected: i32, args: &[&str]) -> Result<String> {
    let output = tenant.client.argocd(args).await?;
    let said = said(&output);
    let shown = args.join(" ");
    ensure!(
        code(&output) == expected,
        "argocd {shown}: {}\n{said}",
        code(&output)
    );
    Ok(said)
}

/// What the ConfigMap that the chart of [`package`] makes says, and the version of the chart.
async fn text(tenant: &Tenant, name: &str) -> Result<(String, String)> {
    let path = format!("/api/v1/namespaces/{}/configmaps/{name}", tenant.name);
    let map = tenant.kube.get(&path).await?.context("there is none")?;
    let value = |key: &str| map["data"][key].as_str().unwrap_or_default().to_owned();
    Ok((value("text"), value("version")))
}

async fn revision(tenant: &Tenant, app: &str) -> Result<String> {
    let path = format!("/api/v1/applications/{app}");
    let app = tenant.client.get(&path).await?.ok()?;
    let revision = app["status"]["sync"]["revision"].as_str();
    Ok(revision.unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_chart_of_a_repository_is_deployed_and_a_new_version_of_its_range_follows() -> Result<()>
{
    let tenant = platform::tenant("chart").await?;
    let work = tempfile::tempdir()?;
    let site = Site::start(Some(login())).await?;
    package(work.path(), "web", "1.0.0", "first").await?;
    package(work.path(), "web", "2.0.0", "other").await?;
    site.publish(work.path()).await?;
    let url = site.url.as_str();
    let (user, password) = (login().user, login().password);

    let add = |password| {
        [
            "repo",
            "add",
            url,
            "--type",
            "helm",
            "--name",
            "charts",
            "--username",
            "charts",
            "--password",
            password,
        ]
    };
    let refused = run(
        &tenant,
        20,
        &["repo", "add", url, "--type", "helm", "--name", "charts"],
    )
    .await?;
    ensure!(refused.contains("chart.login-needed"), "{refused}");
    let refused = run(&tenant, 20, &add("hunter2")).await?;
    ensure!(
        refused.contains("chart.login-refused") && !refused.contains("hunter2"),
        "{refused}"
    );
    // A template opens it as well.
    run(
        &tenant,
        0,
        &[
            "repocreds",
            "add",
            url,
            "--type",
            "helm",
            "--username",
            &user,
            "--password",
            &password,
        ],
    )
    .await?;
    run(
        &tenant,
        0,
        &["repo", "add", url, "--type", "helm", "--name", "charts"],
    )
    .await?;
    run(&tenant, 0, &["repocreds", "rm", url]).await?;
    let mut upsert = add(&password).to_vec();
    upsert.push("--upsert");
    run(&tenant, 0, &upsert).await?;
    let listed = run(&tenant, 0, &["repo", "list", "--refresh", "hard"]).await?;
    ensure!(
        listed.contains("helm  charts") && listed.contains("Successful"),
        "{listed}"
    );
    let escaped = url.replace(':', "%3A").replace('/', "%2F");
    let charts = tenant
        .client
        .get(&format!("/api/v1/repositories/{escaped}/helmcharts"))
        .await?
        .ok()?;
    ensure!(
        charts["items"][0]["name"] == "web" && charts["items"][0]["versions"][1] == "1.0.0",
        "{charts}"
    );

    let create = |name, chart, revision| {
        [
            "app",
            "create",
            name,
            "--repo",
            url,
            "--helm-chart",
            chart,
            "--revision",
            revision,
            "--dest-server",
            "https://kubernetes.default.svc",
            "--dest-namespace",
            &tenant.name,
        ]
    };
    let refused = run(&tenant, 20, &create("gone", "db", "1.x")).await?;
    ensure!(refused.contains("chart.not-found"), "{refused}");
    let refused = run(&tenant, 20, &create("gone", "web", "7.x")).await?;
    ensure!(refused.contains("chart.version-not-found"), "{refused}");
    let mut app = create("web", "web", "1.x").to_vec();
    app.extend(["--helm-set", "text=set"]);
    run(&tenant, 0, &app).await?;
    run(&tenant, 0, &["app", "sync", "web"]).await?;
    tenant.client.app_done("web", None, PATIENCE).await?;
    assert_eq!(revision(&tenant, "web").await?, "1.0.0");
    assert_eq!(
        text(&tenant, "web-web").await?,
        ("set".into(), "1.0.0".into())
    );
    let manifests = run(&tenant, 0, &["app", "manifests", "web", "--source", "git"]).await?;
    ensure!(manifests.contains("text: set"), "{manifests}");
    run(&tenant, 0, &["app", "diff", "web"]).await?;

    // What the version says of itself, as a web interface asks.
    let details =
        |revision: &str| format!("/api/v1/applications/web/revisions/{revision}/chartdetails");
    let said = json!({"description": "made for a test", "home": "https://web.example",
        "maintainers": ["Team <team@web.example>", "Nobody"]});
    for revision in ["1.0.0", "2.x"] {
        let found = tenant.client.get(&details(revision)).await?.ok()?;
        assert_eq!(found, said, "{revision}");
    }
    let refused = tenant.client.get(&details("7.x")).await?;
    ensure!(
        refused.body.to_string().contains("chart.version-not-found"),
        "{}",
        refused.body
    );
    let metadata = "/api/v1/applications/web/revisions/1.0.0/metadata";
    let refused = tenant.client.get(metadata).await?;
    ensure!(
        refused.body.to_string().contains("must be resolved"),
        "{}",
        refused.body
    );

    let form = format!("/api/v1/repositories/{escaped}/appdetails");
    let source = tenant.client.app("web").await?["spec"]["source"].clone();
    let asked = json!({"source": source, "appName": "web", "appProject": "default"});
    let details = tenant.client.post(&form, &asked).await?.ok()?;
    ensure!(
        details["type"] == "Helm" && details["helm"]["values"] == "text: first\n",
        "{details}"
    );

    // Published, and nothing else: the next look at the repository finds it.
    run(
        &tenant,
        0,
        &["app", "set", "web", "--sync-policy", "automated"],
    )
    .await?;
    package(work.path(), "web", "1.1.0", "second").await?;
    site.publish(work.path()).await?;
    let newer = || async {
        Ok(revision(&tenant, "web").await? == "1.1.0"
            && text(&tenant, "web-web").await?.1 == "1.1.0")
    };
    wait::until_true("the new version is deployed", PATIENCE, newer).await?;
    run(&tenant, 0, &["app", "history", "web"]).await?;
    let app = tenant.client.get("/api/v1/applications/web").await?.ok()?;
    let history = &app["status"]["history"];
    ensure!(
        history[0]["revision"] == "1.0.0" && history[1]["revision"] == "1.1.0",
        "{history}"
    );
    run(&tenant, 0, &["app", "set", "web", "--sync-policy", "none"]).await?;
    run(&tenant, 0, &["app", "rollback", "web", "0"]).await?;
    assert_eq!(text(&tenant, "web-web").await?.1, "1.0.0");
    let exact = run(&tenant, 0, &["app", "sync", "web", "--revision", "2.0.0"]).await?;
    ensure!(exact.contains("2.0.0"), "{exact}");
    assert_eq!(text(&tenant, "web-web").await?.1, "2.0.0");

    // The project is asked about the repository's address.
    run(
        &tenant,
        0,
        &[
            "proj",
            "create",
            "narrow",
            "--dest",
            "*,*",
            "--src",
            "https://charts.example/*",
        ],
    )
    .await?;
    let mut narrow = create("narrow", "web", "1.x").to_vec();
    narrow.extend(["--project", "narrow"]);
    let refused = run(&tenant, 20, &narrow).await?;
    ensure!(
        refused.contains("is not permitted in project 'narrow'"),
        "{refused}"
    );
    Ok(())
}

#[tokio::test]
async fn a_chart_of_a_registry_is_deployed() -> Result<()> {
    let tenant = platform::tenant("registry").await?;
    let work = tempfile::tempdir()?;
    let registry = Registry::start().await?;
    for version in ["1.0.0", "1.1.0+seven"] {
        let archive = package(work.path(), "web", version, "from a registry").await?;
        registry.push(&archive, "team/charts").await?;
    }
    let url = format!("{}/team/charts", registry.address);
    let login = login();
    let add = |url, password| {
        [
            "repo",
            "add",
            url,
            "--type",
            "helm",
            "--name",
            "charts",
            "--enable-oci",
            "--username",
            "charts",
            "--password",
            password,
        ]
    };
    let refused = run(&tenant, 20, &add(&url, &login.password)).await?;
    ensure!(refused.contains("source.certificate-refused"), "{refused}");
    let ca = registry.ca.to_string_lossy();
    run(&tenant, 0, &["cert", "add-tls", "127.0.0.1", "--from", &ca]).await?;
    let refused = run(&tenant, 20, &add(&url, "hunter2")).await?;
    ensure!(refused.contains("chart.login-refused"), "{refused}");
    let scheme = format!("https://{url}");
    let refused = run(&tenant, 20, &add(&scheme, &login.password)).await?;
    ensure!(refused.contains("chart.registry-address"), "{refused}");
    run(&tenant, 0, &add(&url, &login.password)).await?;
    let escaped = format!("{url}/web").replace(':', "%3A").replace('/', "%2F");
    let template = json!({"url": url, "type": "helm", "enableOCI": true, 
        "username": login.user, "password": login.password});
    tenant
        .client
        .post("/api/v1/repocreds", &template)
        .await?
        .ok()?;
    let tags = tenant
        .client
        .get(&format!("/api/v1/repositories/{escaped}/oci-tags"))
        .await?
        .ok()?;
    let mut tags: Vec<&str> = tags["tags"]
        .as_array()
        .context("tags")?
        .iter()
        .filter_map(|tag| tag.as_str())
        .collect();
    tags.sort_unstable();
    assert_eq!(tags, ["1.0.0", "1.1.0+seven"]);
    run(
        &tenant,
        0,
        &[
            "app",
            "create",
            "web",
            "--repo",
            &url,
            "--helm-chart",
            "web",
            "--revision",
            "^1",
            "--dest-server",
            "https://kubernetes.default.svc",
            "--dest-namespace",
            &tenant.name,
            "--sync-policy",
            "automated",
        ],
    )
    .await?;
    tenant.client.app_done("web", None, PATIENCE).await?;
    assert_eq!(revision(&tenant, "web").await?, "1.1.0+seven");
    assert_eq!(
        text(&tenant, "web-web").await?,
        ("from a registry".into(), "1.1.0+seven".into())
    );
    Ok(())
}

/// A chart in Git whose dependencies are in three other places.
fn umbrella(site: &str, registry: &str) -> String {
    format!(
        "apiVersion: v2\nname: umbrella\nversion: 0.1.0\ndependencies:\n\
         - {{name: web, version: ^1.0.0, repository: {site}}}\n\
         - {{name: cache, version: 1.x, repository: \"oci://{registry}/team/charts\"}}\n\
         - {{name: local, version: 0.x, repository: \"file://../local\"}}\n"
    )
}

#[tokio::test]
async fn charts_that_a_chart_in_git_depends_on_are_taken_from_where_it_says() -> Result<()> {
    let tenant = platform::tenant("umbrella").await?;
    tenant.connect().await?;
    let work = tempfile::tempdir()?;
    let (registry, site) = (Registry::start().await?, Site::start(Some(login())).await?);
    let cache = package(work.path(), "cache", "1.3.0", "from a registry").await?;
    registry.push(&cache, "team/charts").await?;
    package(work.path(), "web", "1.0.0", "from a repository").await?;
    site.publish(work.path()).await?;

    let folder = tenant.checkout.dir();
    charts::write(
        folder,
        &[
            (
                "umbrella/Chart.yaml",
                &umbrella(&site.url, &registry.address),
            ),
            (
                "local/Chart.yaml",
                "apiVersion: v2\nname: local\nversion: 0.3.0\n",
            ),
            (
                "local/templates/map.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: local}\ndata: {text: here}\n",
            ),
            (
                "locked/Chart.yaml",
                &format!(
                    "apiVersion: v2\nname: locked\nversion: 0.1.0\ndependencies:\n- {{name: web, version: '>=1.0.0', repository: {}}}\n",
                    site.url
                ),
            ),
        ],
    )?;
    // The lock is helm's own.
    let login = login();
    let mut add = charts::helm(work.path()).await?;
    add.args([
        "repo",
        "add",
        "site",
        &site.url,
        "--username",
        &login.user,
        "--password",
        &login.password,
    ]);
    output(&mut add).await?;
    let mut update = charts::helm(work.path()).await?;
    update
        .args(["dependency", "update"])
        .arg(folder.join("locked"));
    output(&mut update).await?;
    std::fs::remove_dir_all(folder.join("locked/charts"))?;
    tenant.checkout.commit("charts").await?;
    tenant.checkout.push().await?;

    let create = |name| {
        [
            "app",
            "create",
            name,
            "--repo",
            &tenant.repo_url,
            "--path",
            name,
            "--dest-server",
            "https://kubernetes.default.svc",
            "--dest-namespace",
            &tenant.name,
            "--sync-policy",
            "automated",
        ]
    };
    let refused = run(&tenant, 20, &create("umbrella")).await?;
    ensure!(refused.contains("chart.login-needed"), "{refused}");
    run(
        &tenant,
        0,
        &[
            "repo",
            "add",
            &site.url,
            "--type",
            "helm",
            "--name",
            "site",
            "--username",
            &login.user,
            "--password",
            &login.password,
        ],
    )
    .await?;
    run(
        &tenant,
        0,
        &[
            "repo",
            "add",
            &format!("{}/team", registry.address),
            "--type",
            "helm",
            "--name",
            "registry",
            "--enable-oci",
            "--insecure-skip-server-verification",
            "--username",
            &login.user,
            "--password",
            &login.password,
        ],
    )
    .await?;
    for name in ["umbrella", "locked"] {
        run(&tenant, 0, &create(name)).await?;
        tenant.client.app_done(name, None, PATIENCE).await?;
    }
    assert_eq!(
        text(&tenant, "umbrella-web").await?,
        ("from a repository".into(), "1.0.0".into())
    );
    assert_eq!(
        text(&tenant, "umbrella-cache").await?,
        ("from a registry".into(), "1.3.0".into())
    );
    assert_eq!(text(&tenant, "local").await?.0, "here");
    assert_eq!(text(&tenant, "locked-web").await?.1, "1.0.0");

    // A newer one is for whom nothing is locked.
    package(work.path(), "web", "1.1.0", "newer").await?;
    site.publish(work.path()).await?;
    for name in ["umbrella", "locked"] {
        run(&tenant, 0, &["app", "get", name, "--hard-refresh"]).await?;
    }
    run(&tenant, 0, &["app", "sync", "umbrella"]).await?;
    assert_eq!(text(&tenant, "umbrella-web").await?.1, "1.1.0");
    assert_eq!(text(&tenant, "locked-web").await?.1, "1.0.0");

    // A lock of other dependencies is none.
    let chart = folder.join("locked/Chart.yaml");
    std::fs::write(
        &chart,
        std::fs::read_to_string(&chart)?.replace(">=1.0.0", ">=1.0.1"),
    )?;
    tenant.checkout.commit("another range").await?;
    tenant.checkout.push().await?;
    let refreshed = run(&tenant, 0, &["app", "get", "locked", "--refresh"]).await?;
    ensure!(refreshed.contains("chart.lock-outdated"), "{refreshed}");
    // A project that permits another place only gives this one no login.
    run(
        &tenant,
        0,
        &[
            "proj",
            "create",
            "git-only",
            "--dest",
            "*,*",
            "--src",
            &tenant.repo_url,
        ],
    )
    .await?;
    let refused = run(
        &tenant,
        20,
        &[
            "app",
            "create",
            "narrow",
            "--project",
            "git-only",
            "--repo",
            &tenant.repo_url,
            "--path",
            "umbrella",
            "--dest-server",
            "https://kubernetes.default.svc",
            "--dest-namespace",
            &tenant.name,
        ],
    )
    .await?;
    ensure!(refused.contains("chart.login-needed"), "{refused}");
    Ok(())
}

/// What a chart learns of its cluster. Helm knows of no APIService by itself, and assumes another version.
const ASKING: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: asked\ndata:\n  \
    version: {{ .Capabilities.KubeVersion.Version }}\n  \
    there: {{ .Capabilities.APIVersions.Has \"apiregistration.k8s.io/v1/APIService\" | quote }}\n  \
    gone: {{ .Capabilities.APIVersions.Has \"example.com/v9\" | quote }}\n  \
    found: {{ lookup \"v1\" \"Namespace\" \"\" .Release.Namespace | toJson | quote }}\n";

#[tokio::test]
async fn a_chart_sees_what_its_cluster_can_do_and_nothing_that_is_in_it() -> Result<()> {
    let tenant = platform::tenant("asking").await?;
    let chart = "apiVersion: v2\nname: asking\nversion: 1.0.0\n";
    tenant.checkout.write("chart/Chart.yaml", chart)?;
    tenant
        .checkout
        .push_file("chart/templates/a.yaml", ASKING)
        .await?;
    tenant.connect().await?;
    tenant
        .create_app("app", "chart", &platform::automated())
        .await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    let path = format!("/api/v1/namespaces/{}/configmaps/asked", tenant.name);
    let live = tenant.kube.get(&path).await?.context("no ConfigMap")?;
    let about = tenant.kube.get("/version").await?.context("no version")?;
    let wanted =
        json!({"version": about["gitVersion"], "there": "true", "gone": "false", "found": "{}"});
    assert_eq!(live["data"], wanted);
    Ok(())
}
