//! A kustomization that takes a submodule and a chart of a repository: what the tenant's settings and the project permit.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::charts::{Site, login, package};
use testkit::git::checkout::Checkout;
use testkit::platform::{self, Tenant};
use testkit::wait;

use crate::{PATIENCE, code, said};

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

async fn live(tenant: &Tenant, name: &str, key: &str) -> Result<String> {
    let path = format!("/api/v1/namespaces/{}/configmaps/{name}", tenant.name);
    let map = tenant.kube.get(&path).await?.context("there is none")?;
    Ok(map["data"][key].as_str().unwrap_or_default().to_owned())
}

/// Has a commit stand in the folder `lib`, as `git submodule` does, and pushes that.
async fn point(checkout: &Checkout, commit: &str) -> Result<String> {
    // An empty folder is what a submodule is before it is fetched.
    checkout.write("lib/x", "")?;
    checkout.remove("lib/x")?;
    let entry = format!("160000,{commit},lib");
    checkout
        .git(&["update-index", "--add", "--cacheinfo", &entry])
        .await?;
    let commit = checkout.commit("another commit of the library").await?;
    checkout.push().await?;
    Ok(commit)
}

fn map(text: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: library}}\ndata: {{text: {text}}}\n"
    )
}

#[tokio::test]
async fn a_submodule_and_a_chart_are_deployed_where_settings_and_project_permit_them() -> Result<()>
{
    let tenant = platform::tenant("elsewhere").await?;
    tenant.connect().await?;
    tenant.turn_webhook_on()?;
    let (library_url, library) = tenant.another_repository("library").await?;
    library.write("base/kustomization.yaml", "resources: [map.yaml]\n")?;
    let first = library.push_file("base/map.yaml", map("first")).await?;

    let work = tempfile::tempdir()?;
    let site = Site::start(Some(login())).await?;
    package(work.path(), "web", "1.0.0", "chart").await?;
    site.publish(work.path()).await?;
    let url = site.url.as_str();
    let (user, password) = (login().user, login().password);
    let add = [
        "repo",
        "add",
        url,
        "--type",
        "helm",
        "--name",
        "charts",
        "--username",
        &user,
        "--password",
        &password,
    ];
    run(&tenant, 0, &add).await?;

    let checkout = &tenant.checkout;
    let last = library_url.rsplit('/').next().unwrap_or_default();
    checkout.write(
        ".gitmodules",
        format!("[submodule \"lib\"]\n\tpath = lib\n\turl = ../{last}\n"),
    )?;
    let kustomization = json!({
        "resources": ["../lib/base"],
        "helmCharts": [{"name": "web", "repo": url, "version": "1.0.0", "releaseName": "shop",
            "valuesInline": {"text": "inline"}}],
    });
    checkout.write("app/kustomization.yaml", kustomization.to_string())?;
    point(checkout, &first).await?;

    let create = |name, project| {
        [
            "app",
            "create",
            name,
            "--project",
            project,
            "--repo",
            &tenant.repo_url,
            "--path",
            "app",
            "--dest-server",
            "https://kubernetes.default.svc",
            "--dest-namespace",
            &tenant.name,
            "--sync-policy",
            "automated",
        ]
    };
    let refused = run(&tenant, 20, &create("web", "default")).await?;
    ensure!(refused.contains("--enable-helm"), "{refused}");
    let set = async |options: &str| {
        let change =
            json!({"object": "argocd-cm", "key": "kustomize.buildOptions", "value": options});
        let body = json!({"changes": [change]});
        tenant.client.patch("/api/naru/v1/settings", &body).await
    };
    let refused = set("--enable-helm --enable-exec").await?;
    ensure!(
        refused.status == 400 && refused.body.to_string().contains("--enable-exec"),
        "{}",
        refused.body
    );
    set("--enable-helm").await?.ok()?;

    // The project is asked about the submodule's repository, and about the login of the chart's.
    let own = tenant.repo_url.as_str();
    for (project, sources, missing) in [
        ("charts", [own, url], library_url.as_str()),
        ("library", [own, library_url.as_str()], "chart.login-needed"),
    ] {
        let mut narrow = vec!["proj", "create", project, "--dest", "*,*"];
        for source in sources {
            narrow.extend(["--src", source]);
        }
        run(&tenant, 0, &narrow).await?;
        let refused = run(&tenant, 20, &create("narrow", project)).await?;
        ensure!(refused.contains(missing), "{project}: {refused}");
    }

    run(&tenant, 0, &create("web", "default")).await?;
    tenant.client.app_done("web", None, PATIENCE).await?;
    assert_eq!(live(&tenant, "library", "text").await?, "first");
    assert_eq!(live(&tenant, "shop-web", "text").await?, "inline");
    let manifests = run(&tenant, 0, &["app", "manifests", "web", "--source", "git"]).await?;
    ensure!(
        manifests.contains("name: library") && manifests.contains("name: shop-web"),
        "{manifests}"
    );

    // What is pushed there is deployed once this repository says so.
    let second = library.push_file("base/map.yaml", map("second")).await?;
    run(&tenant, 0, &["app", "get", "web", "--hard-refresh"]).await?;
    assert_eq!(live(&tenant, "library", "text").await?, "first");
    let commit = point(checkout, &second).await?;
    tenant
        .client
        .app_done("web", Some(&commit), PATIENCE)
        .await?;
    assert_eq!(live(&tenant, "library", "text").await?, "second");

    // A setting is in force with the next look.
    set("").await?.ok()?;
    let broken = || async {
        let app = tenant
            .client
            .get("/api/v1/applications/web?refresh=normal")
            .await?
            .ok()?;
        Ok(app["status"]["conditions"]
            .to_string()
            .contains("--enable-helm"))
    };
    wait::until_true("the chart is refused again", PATIENCE, broken).await?;
    assert_eq!(live(&tenant, "shop-web", "text").await?, "inline");
    Ok(())
}
