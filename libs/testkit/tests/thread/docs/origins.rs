//! Where manifests come from, as a page prints it: `yaml sources` has the `source` or the `sources` of an application, `yaml
//! kustomization` a `kustomization.yaml` in Git. Each is deployed by an application of its own, all side by side.
//!
//! The addresses are those of servers that the test starts, which have what pages name there (see [`World`]).

use std::path::Path;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testkit::charts::{self, Registry, Site};
use testkit::platform::Tenant;

use super::trials::TENANT;
use super::{has_keys, made, side_by_side};
use crate::{PATIENCE, config_map, said};

/// What a page has of one application.
#[derive(Debug, PartialEq)]
pub(super) struct Origin {
    line: usize,
    /// Whether it is a kustomization in Git, and no part of the application.
    in_git: bool,
    /// The block.
    pub(super) text: String,
}

impl Origin {
    /// A block of that kind begins.
    pub(super) fn begun(line: usize, kind: &str) -> Self {
        Self {
            line,
            in_git: kind == "yaml kustomization",
            text: String::new(),
        }
    }

    fn name(&self) -> String {
        format!("origin-{}", self.line)
    }

    async fn hold(&self, world: &World, tenant: &Tenant, home: &Path) -> Result<()> {
        let name = self.name();
        let parts = if self.in_git {
            format!("source: {{repoURL: {}, path: {name}}}\n", tenant.repo_url)
        } else {
            world.real(&self.text, tenant)
        };
        let spec = format!("{parts}syncPolicy: {{automated: {{}}}}\n");
        let app = made(&name, &spec, tenant, home).await?;
        has_keys(&parts, &app["spec"])?;
        let app = tenant.client.app_done(&name, None, PATIENCE).await?;
        let objects = app["status"]["resources"].as_array().map_or(0, Vec::len);
        ensure!(objects > 0, "nothing comes of\n{}", self.text);
        Ok(())
    }
}

/// Deploys all of them.
pub(super) async fn hold(origins: &[Origin], tenant: &Tenant, home: &Path) -> Result<()> {
    if origins.is_empty() {
        return Ok(());
    }
    let world = World::start(tenant).await?;
    for origin in origins.iter().filter(|origin| origin.in_git) {
        let file = format!("{}/kustomization.yaml", origin.name());
        let text = world.real(&origin.text, tenant);
        tenant.checkout.write(&file, text)?;
    }
    tenant.checkout.commit("the page's kustomizations").await?;
    tenant.checkout.push().await?;
    let world = &world;
    let tried = origins.iter().map(|origin| async move {
        let tried = origin.hold(world, tenant, home).await;
        tried.with_context(|| format!("the application of line {}", origin.line))
    });
    side_by_side(tried).await
}

/// What stands behind the addresses of pages: a chart repository and a registry that have the chart `web`, in the registry an
/// artifact besides, and three Git repositories.
struct World {
    /// What pages say, and what that is here.
    names: Vec<(String, String)>,
    _site: Site,
    _registry: Registry,
    _work: TempDir,
}

impl World {
    /// Starts the servers, and connects them.
    async fn start(tenant: &Tenant) -> Result<Self> {
        let work = tempfile::tempdir()?;
        let archive = charts::package(work.path(), "web", "1.4.2", "published").await?;
        let site = Site::start(None).await?;
        site.publish(work.path()).await?;
        let registry = Registry::start().await?;
        registry.push(&archive, "charts").await?;
        let files = work.path().join("artifact");
        let map = config_map("of-an-artifact", "1");
        charts::write(&files, &[("overlays/prod/map.yaml", &map)])?;
        registry.publish("team/app", "1.4.2", &files).await?;
        connect(&site, &registry, tenant).await?;
        let mut names = vec![
            ("https://charts.example.com".to_owned(), site.url.clone()),
            ("registry.example.com".to_owned(), registry.address.clone()),
        ];
        for (name, files) in repositories() {
            let (url, checkout) = tenant.another_repository(name).await?;
            for (file, text) in files {
                checkout.write(file, text)?;
            }
            checkout.commit("what pages name").await?;
            checkout.push().await?;
            checkout.git(&["tag", "v1"]).await?;
            checkout.git(&["push", "-q", "origin", "v1"]).await?;
            names.push((format!("https://git.example/team/{name}.git"), url));
        }
        Ok(Self {
            names,
            _site: site,
            _registry: registry,
            _work: work,
        })
    }

    /// A block with the names that things have here.
    fn real(&self, text: &str, tenant: &Tenant) -> String {
        let text = text.replace(TENANT, &tenant.name);
        let names = self.names.iter();
        names.fold(text, |text, (printed, real)| text.replace(printed, real))
    }
}

/// The Git repositories, and the files of each.
fn repositories() -> [(&'static str, Vec<(&'static str, String)>); 3] {
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  greeting: {{ .Values.greeting }}\n";
    let folder = |name: &str| ("resources: [map.yaml]\n".to_owned(), config_map(name, "1"));
    let (web, db) = (folder("base-web"), folder("base-db"));
    [
        (
            "charts",
            vec![
                (
                    "web/Chart.yaml",
                    "apiVersion: v2\nname: web\nversion: 1.0.0\n".to_owned(),
                ),
                ("web/values.yaml", "greeting: nobody\n".to_owned()),
                ("web/templates/map.yaml", template.to_owned()),
            ],
        ),
        (
            "values",
            vec![("web/prod.yaml", "greeting: hello\n".to_owned())],
        ),
        (
            "base",
            vec![
                ("web/kustomization.yaml", web.0),
                ("web/map.yaml", web.1),
                ("db/kustomization.yaml", db.0),
                ("db/map.yaml", db.1),
            ],
        ),
    ]
}

/// Connects the tenant's own repository, the chart repository and the registry.
async fn connect(site: &Site, registry: &Registry, tenant: &Tenant) -> Result<()> {
    tenant.connect().await?;
    let login = charts::login();
    let below = format!("{}/charts", registry.address);
    let artifact = format!("oci://{}/team/app", registry.address);
    let authority = registry.ca.to_string_lossy();
    let signed_in = ["--username", &login.user, "--password", &login.password];
    let certificate = ["cert", "add-tls", "127.0.0.1", "--from", &authority];
    let helm = ["repo", "add", &site.url, "--type", "helm", "--name", "site"];
    let mut oci = vec!["repo", "add", below.as_str()];
    oci.extend(["--type", "helm", "--name", "charts"]);
    oci.push("--enable-oci");
    oci.extend(signed_in);
    let mut files = vec!["repo", "add", artifact.as_str()];
    files.extend(["--type", "oci", "--name", "app"]);
    files.extend(signed_in);
    for words in [&certificate[..], &helm[..], &oci[..], &files[..]] {
        let output = tenant.client.argocd(words).await?;
        ensure!(output.status.success(), "{}", said(&output));
    }
    Ok(())
}
