//! What Argo CD expects to find in its cluster.

use std::path::Path;

use anyhow::{Context, Result};
use figment::Figment;
use figment::providers::{Format, Yaml};
use serde_json::{Value, json};
use testkit::command::{command, output};
use testkit::control_plane::ControlPlane;
use testkit::progress::Progress;
use testkit::{paths, tools};

const MODULE: &str = "github.com/argoproj/argo-cd/v3";
const CONFIG_MAPS: [&str; 6] = [
    "argocd-cm",
    "argocd-rbac-cm",
    "argocd-cmd-params-cm",
    "argocd-ssh-known-hosts-cm",
    "argocd-tls-certs-cm",
    "argocd-gpg-keys-cm",
];

/// Makes its definitions, its namespace, its settings and its default project.
pub(super) async fn apply(plane: &ControlPlane, progress: &Progress) -> Result<()> {
    let manifests = manifests().await?;
    let kubectl = tools::path("kubectl", progress).await?;
    let mut apply = command(kubectl);
    apply
        .arg("--kubeconfig")
        .arg(&plane.kubeconfig)
        .args(["apply", "--server-side", "--force-conflicts", "-k"])
        .arg(format!("{manifests}/crds"));
    output(&mut apply).await?;
    let kube = &plane.admin;
    kube.ensure_namespace("argocd").await?;
    for name in CONFIG_MAPS {
        let mut object = part("v1", "ConfigMap", name);
        if name == "argocd-cm" {
            object["data"] = shipped(Path::new(&manifests))?;
        }
        kube.apply(
            &format!("/api/v1/namespaces/argocd/configmaps/{name}"),
            &object,
        )
        .await?;
    }
    let secret = part("v1", "Secret", "argocd-secret");
    kube.apply("/api/v1/namespaces/argocd/secrets/argocd-secret", &secret)
        .await?;
    let project = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "default", "namespace": "argocd"},
        "spec": {
            "sourceRepos": ["*"], "destinations": [{"namespace": "*", "server": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        },
    });
    let path = "/apis/argoproj.io/v1alpha1/namespaces/argocd/appprojects/default";
    let made = || async { kube.apply(path, &project).await };
    testkit::wait::until("Argo CD's kinds", std::time::Duration::from_secs(30), made)
        .await
        .map(drop)
}

fn part(version: &str, kind: &str, name: &str) -> Value {
    json!({
        "apiVersion": version, "kind": kind,
        "metadata": {"name": name, "namespace": "argocd", "labels": {"app.kubernetes.io/part-of": "argocd"}},
    })
}

/// The settings that its installation comes with: kinds that are left out, updates that count for nothing.
fn shipped(manifests: &Path) -> Result<Value> {
    let file = manifests.join("base/config/argocd-cm.yaml");
    Figment::from(Yaml::file(&file))
        .extract_inner("data")
        .with_context(|| format!("cannot read {}", file.display()))
}

/// The folder of its installation, in the module that its binary was built from.
async fn manifests() -> Result<String> {
    let mut go = command(tools::go()?);
    go.args(["mod", "download", "-json", MODULE])
        .current_dir(paths::clone_root()?.join("xtask/tools/argocd"));
    let said: Value = serde_json::from_str(&output(go.env("GOFLAGS", "")).await?)?;
    let dir = said["Dir"]
        .as_str()
        .context("Go does not say where the module is")?;
    Ok(format!("{dir}/manifests"))
}
