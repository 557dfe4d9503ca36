//! A kind that others bring: how it fares, and actions that write its status apart from the rest.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::{platform, wait};

use crate::{PATIENCE, code, said, synced_by_command};

const ROLLOUT: &str = "\
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: web
spec:
  replicas: 1
  strategy:
    canary:
      steps:
      - setWeight: 20
";

/// Makes the kind as Argo Rollouts does, as far as this needs it.
async fn define() -> Result<()> {
    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"type": "object", "properties": {"spec": any, "status": any}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "rollouts.argoproj.io"},
        "spec": {"group": "argoproj.io", "scope": "Namespaced",
            "names": {"plural": "rollouts", "singular": "rollout", "kind": "Rollout"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": schema}}]}});
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "rollouts", "labels": {"rbac.authorization.k8s.io/aggregate-to-admin": "true"}},
        "rules": [{"apiGroups": ["argoproj.io"], "resources": ["rollouts", "rollouts/status"], "verbs": ["*"]}]});
    let admin = platform::platform().await?.kube()?;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let path = format!("{definitions}/rollouts.argoproj.io");
    admin.apply(&path, &definition).await?;
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles/rollouts";
    admin.apply(roles, &role).await.map(drop)
}

#[tokio::test]
async fn a_rollout_is_seen_as_it_fares_and_is_led_on_by_its_actions() -> Result<()> {
    define().await?;
    let tenant = platform::tenant("rollouts").await?;
    let client = &tenant.client;
    tenant
        .checkout
        .push_file("app/web.yaml", ROLLOUT.to_owned())
        .await?;
    tenant.connect().await?;
    tenant.create_app("a", "app", &json!({})).await?;
    wait::until("the kind is known and permitted", PATIENCE, || {
        synced_by_command(client, "a")
    })
    .await?;
    let fares =
        |wanted: &'static str| move |app: &Value| app["status"]["health"]["status"] == wanted;
    client.app_when("a", PATIENCE, fares("Progressing")).await?;

    // What its controller would say of it.
    let live = format!(
        "/apis/argoproj.io/v1alpha1/namespaces/{}/rollouts/web",
        tenant.name
    );
    let status = json!({"observedGeneration": "1", "phase": "Paused", "message": "CanaryPauseStep", "currentPodHash": "b",
        "stableRS": "a", "currentStepIndex": 0, "pauseConditions": [{"reason": "CanaryPauseStep"}]});
    let admin = platform::platform().await?.kube()?;
    let told = json!({"status": status});
    admin.merge(&format!("{live}/status"), &told).await?;
    client.app_when("a", PATIENCE, fares("Suspended")).await?;

    let act = async |action: &str| -> Result<Value> {
        let run = ["app", "actions", "run", "a", action, "--kind", "Rollout"];
        let done = client.argocd(&run).await?;
        ensure!(code(&done) == 0, "{action}: {}", said(&done));
        tenant.kube.get(&live).await?.context("no Rollout")
    };
    let seen = act("skip-current-step").await?;
    assert_eq!(seen["status"]["currentStepIndex"], 1, "{seen}");
    assert_eq!(seen["status"]["pauseConditions"], Value::Null, "{seen}");
    assert_eq!(seen["status"]["phase"], "Paused", "{seen}");
    let seen = act("abort").await?;
    assert_eq!(seen["status"]["abort"], true, "{seen}");
    let seen = act("restart").await?;
    assert!(seen["spec"]["restartAt"].is_string(), "{seen}");
    // Beyond the last step there is nothing to skip.
    let seen = act("skip-current-step").await?;
    assert_eq!(seen["status"]["currentStepIndex"], 1, "{seen}");
    let listed = client.argocd(&["app", "actions", "list", "a"]).await?;
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let listed: Vec<String> = said(&listed).lines().map(words).collect();
    for line in [
        "argoproj.io Rollout web abort true",
        "argoproj.io Rollout web retry false",
        "argoproj.io Rollout web skip-current-step true",
    ] {
        assert!(listed.iter().any(|one| one == line), "{line}: {listed:?}");
    }
    Ok(())
}
