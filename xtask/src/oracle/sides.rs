//! What is compared: Argo CD, and Naru at two tenants' hosts and at the operator's. Every side has a repository with the
//! guide's folders (Naru's as printed, Argo CD's with the variable filled in), the same accounts, and the same files to
//! read; each adds its own cluster under another address.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::client::Client;
use testkit::git::checkout::Checkout;
use testkit::ground::Ground;
use testkit::platform::{Platform, Tenant};
use testkit::{paths, wait};

use super::parts::Running;
use super::side::{Ingredients, Settings, Side};
use crate::samples::{self, REPOSITORY};

/// The accounts beside `admin`, and what they may be used for.
const ACCOUNTS: [(&str, &str); 4] = [
    ("reader", "login, apiKey"),
    ("nobody", "login, apiKey"),
    ("worker", "login, apiKey"),
    ("robot", "apiKey"),
];
const POLICY: &str = "g, reader, role:readonly";
/// The links of applications, of their objects and of projects.
const LINKS: [(&str, &str); 3] = [
    (
        "application.links",
        r#"
- title: Logs
  url: https://logs.example/{{ .cluster.name }}?app={{.app.metadata.name}}&project={{.application.spec.project}}
  description: what it writes
  icon.class: fa-book
- title: Server
  url: https://clusters.example/?server={{ .cluster.server | urlquery }}
- title: Nothing
  url: https://nothing.example/{{ .app.metadata.labels.nothing | default "none" | upper }}
- title: No value
  url: https://nothing.example/{{ .app.metadata.labels.nothing }}
- title: Other
  url: https://other.example/
  if: application.spec.project == "other"
- title: Fault
  url: https://fault.example/
  if: app.metadata.labels.nothing == "x"
"#,
    ),
    (
        "project.links",
        r#"
- title: Team
  url: https://teams.example/{{.project.metadata.name}}
  if: project.metadata.name != "other"
"#,
    ),
    (
        "resource.links",
        r#"
- title: Kind
  url: https://kinds.example/{{.resource.kind}}/{{.resource.metadata.name}}?project={{.project.metadata.name}}
  if: resource.kind in ["Service", "Deployment"]
- title: Port
  url: https://ports.example/{{ (index .resource.spec.ports 0).port }}
  if: resource.kind == "Service"
"#,
    ),
];
/// What the operator's namespace and Git account are called.
const OPERATORS: &str = "oracle-operator";

/// The files that commands read.
pub(super) struct Inputs {
    dir: PathBuf,
    root: PathBuf,
}

impl Inputs {
    /// The committed ones, the signing keys of the tests, and a certificate.
    pub(super) fn lay(ground: &Ground, platform: &Platform, root: &Path) -> Result<Self> {
        let dir = ground.folder("inputs")?;
        for folder in ["xtask/src/oracle/inputs", "libs/domain/src/openpgp/tests"] {
            for entry in std::fs::read_dir(root.join(folder))? {
                let entry = entry?;
                std::fs::copy(entry.path(), dir.join(entry.file_name()))?;
            }
        }
        let certificate = std::fs::read(platform.dir().join("certs/ca.pem"))?;
        paths::private_file(&dir.join("ca.pem"), &certificate)?;
        paths::private_file(&dir.join("two.pem"), &certificate.repeat(2))?;
        Ok(Self {
            dir,
            root: root.to_owned(),
        })
    }
}

/// Both products.
pub(super) struct Sides {
    pub(super) argo_cd: Side,
    /// A tenant, another one, and the operator.
    pub(super) naru: Vec<Side>,
}

impl Sides {
    /// All of them, ready.
    pub(super) async fn make(
        ground: &Ground,
        running: &Running,
        platform: &Platform,
        inputs: &Inputs,
    ) -> Result<Self> {
        let tenant = platform.tenant("oracle").await?;
        let argo_cd = argo_cd(ground, running, inputs, &tenant.name).await?;
        let another = platform.tenant("oracle").await?;
        let naru = vec![
            self::tenant(platform, inputs, tenant).await?,
            self::tenant(platform, inputs, another).await?,
            operator(platform, inputs).await?,
        ];
        Ok(Self { argo_cd, naru })
    }
}

/// Argo CD's side, with a namespace and a repository called as Naru's first tenant is.
async fn argo_cd(ground: &Ground, running: &Running, inputs: &Inputs, name: &str) -> Result<Side> {
    let kube = &running.plane.admin;
    kube.ensure_namespace(name).await?;
    let login = running.git.home.ensure_login(name)?;
    running.git.home.ensure_repository(name, REPOSITORY).await?;
    let repo = running.git.repository(name, REPOSITORY);
    let work = ground.folder("checkouts")?.join(name);
    let checkout = Checkout::clone(&repo, Some(&login), &work).await?;
    copy(&checkout, &inputs.root)?;
    samples::replace_everywhere(&checkout.dir().join("gitops"), name)?;
    let mut settings: serde_json::Map<String, Value> = ACCOUNTS
        .iter()
        .map(|(name, uses)| (format!("accounts.{name}"), json!(uses)))
        .collect();
    settings.extend(LINKS.map(|(key, links)| (key.to_owned(), json!(links))));
    let maps = "/api/v1/namespaces/argocd/configmaps";
    let policy = json!({"data": {"policy.csv": POLICY}});
    kube.merge(&format!("{maps}/argocd-rbac-cm"), &policy)
        .await?;
    kube.merge(&format!("{maps}/argocd-cm"), &json!({"data": settings}))
        .await?;
    known(&running.client).await?;
    let made = Ingredients {
        client: running.client.clone(),
        password: running.password.clone(),
        namespace: name.to_owned(),
        git: running.git.url.clone(),
        repo,
        login,
        checkout,
        kube: kube.clone(),
        settings: Settings::ConfigMaps,
        kubeconfig: running.plane.kubeconfig.clone(),
        inputs: inputs.dir.clone(),
    };
    side(made).await
}

async fn tenant(platform: &Platform, inputs: &Inputs, tenant: Tenant) -> Result<Side> {
    let made = Ingredients {
        client: tenant.client.clone(),
        password: tenant.password.clone(),
        ..naru(platform, inputs, &tenant.name).await?
    };
    accounts(&made.client).await?;
    known(&made.client).await?;
    side(made).await
}

/// The operator's own tenant, at the operator's host.
async fn operator(platform: &Platform, inputs: &Inputs) -> Result<Side> {
    platform.kube()?.ensure_namespace(OPERATORS).await?;
    let made = naru(platform, inputs, OPERATORS).await?;
    accounts(&made.client).await?;
    known(&made.client).await?;
    side(made).await
}

/// A side of Naru whose namespace and Git account are called `name`; the operator's until somebody else is named.
async fn naru(platform: &Platform, inputs: &Inputs, name: &str) -> Result<Ingredients> {
    let git = platform.git();
    let login = git.home.ensure_login(name)?;
    git.home.ensure_repository(name, REPOSITORY).await?;
    let repo = git.repository(name, REPOSITORY);
    let work = platform.dir().join("checkouts").join(name);
    if work.exists() {
        std::fs::remove_dir_all(&work)?;
    }
    let checkout = Checkout::clone(&repo, Some(&login), &work).await?;
    copy(&checkout, &inputs.root)?;
    Ok(Ingredients {
        client: platform.operator()?,
        password: platform.operator_password().to_owned(),
        namespace: name.to_owned(),
        git: git.url.clone(),
        repo,
        login,
        checkout,
        kube: platform.kube()?,
        settings: Settings::OfTenant,
        kubeconfig: platform.control_plane().kubeconfig.clone(),
        inputs: inputs.dir.clone(),
    })
}

fn copy(checkout: &Checkout, root: &Path) -> Result<()> {
    checkout.copy_folder(&root.join("examples/gitops"), "gitops")?;
    checkout.copy_folder(&root.join("xtask/src/oracle/files"), "files")
}

async fn side(made: Ingredients) -> Result<Side> {
    let message = "the guide's samples, and the scripts' own";
    let commit = made.checkout.commit(message).await?;
    made.checkout.push().await?;
    Ok(Side::new(made, &commit))
}

/// Gives Naru the accounts and the links; Argo CD has them in its ConfigMaps.
async fn accounts(admin: &Client) -> Result<()> {
    let mut changes: Vec<Value> = ACCOUNTS
        .iter()
        .map(|(name, uses)| json!({"object": "argocd-cm", "key": format!("accounts.{name}"), "value": uses}))
        .collect();
    changes.push(json!({"object": "argocd-rbac-cm", "key": "policy.csv", "value": POLICY}));
    let links =
        LINKS.map(|(key, links)| json!({"object": "argocd-cm", "key": key, "value": links}));
    changes.extend(links);
    // As Argo CD: the scripts go on from where it refused.
    changes.push(
        json!({"object": "argocd-cm", "key": "naru.rollbackWithAutoSync", "value": "refuse"}),
    );
    let body = json!({"changes": changes});
    admin.patch("/api/naru/v1/settings", &body).await?.ok()?;
    Ok(())
}

/// Waits until the accounts and the policy count.
async fn known(admin: &Client) -> Result<()> {
    let path = "/api/v1/account/reader/token";
    wait::until("the accounts", Duration::from_secs(60), || async {
        let body = json!({"name": "reader", "id": "probe"});
        let token = admin.post(path, &body).await?.ok()?;
        admin.delete(&format!("{path}/probe")).await?.ok()?;
        ensure!(token["token"].is_string(), "{token}");
        let robot = admin.get("/api/v1/account/robot").await?.ok()?;
        ensure!(robot["enabled"] == true, "{robot}");
        Ok(())
    })
    .await
    .context("the accounts are not there")
}
