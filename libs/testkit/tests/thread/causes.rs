//! Causes: what does not come up, or is refused, says why in a code and the cluster's words.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::platform::{self, Tenant};
use testkit::wait;

use crate::hooks::{job, results};
use crate::{PATIENCE, all_conditions, conditions, config_map};

/// A Deployment of one pod, with annotations.
fn deployment(name: &str, annotations: &str) -> String {
    format!(
        "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
spec:
  replicas: 1
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}}}
      annotations: {{{annotations}}}
    spec:
      containers:
      - name: main
        image: registry.example/{name}:1.0.0
"
    )
}

/// A tenant with an application `app` of one ConfigMap, deployed.
async fn following(label: &str, config_map: String) -> Result<Tenant> {
    let tenant = platform::tenant(label).await?;
    tenant.checkout.push_file("app/a.yaml", config_map).await?;
    tenant.connect().await?;
    tenant
        .create_app("app", "app", &platform::automated())
        .await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    Ok(tenant)
}

async fn push(tenant: &Tenant, file: &str, text: String) -> Result<()> {
    tenant.checkout.push_file(file, text).await?;
    tenant
        .client
        .get("/api/v1/applications/app?refresh=normal")
        .await?
        .ok()?;
    Ok(())
}

#[tokio::test]
async fn a_container_that_keeps_ending_says_how_to_read_its_last_lines() -> Result<()> {
    let tenant = following("crash", config_map("a", "1")).await?;
    let text = deployment("web", "naru.test/outcome: crash");
    push(&tenant, "app/web.yaml", text).await?;
    let told = |app: &Value| {
        let said = all_conditions(app);
        said.contains("[health.crash-loop]") && said.contains("--container main --previous")
    };
    tenant.client.app_when("app", PATIENCE, told).await?;
    Ok(())
}

#[tokio::test]
async fn pods_that_a_quota_does_not_allow_are_told_as_that() -> Result<()> {
    let tenant = following("quota", config_map("a", "1")).await?;
    let path = format!("/api/v1/namespaces/{}/resourcequotas/none", tenant.name);
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
        "spec": {"hard": {"pods": "0"}}});
    // Whoever has a namespace does not say how much it may use.
    let operator = platform::platform().await?.kube()?;
    operator.apply(&path, &quota).await?;
    wait::until("the quota counts", PATIENCE, || async {
        let there = tenant.kube.get(&path).await?.unwrap_or_default();
        ensure!(there["status"]["hard"]["pods"] == "0", "{there}");
        Ok(())
    })
    .await?;
    push(&tenant, "app/web.yaml", deployment("web", "")).await?;
    let told = |app: &Value| {
        let said = all_conditions(app);
        said.contains("[health.pods-quota]") && said.contains("exceeded quota: none")
    };
    tenant.client.app_when("app", PATIENCE, told).await?;
    Ok(())
}

#[tokio::test]
async fn a_field_that_cannot_be_changed_is_named() -> Result<()> {
    let fixed = |value: &str| config_map("a", value) + "immutable: true\n";
    let tenant = following("immutable", fixed("1")).await?;
    push(&tenant, "app/a.yaml", fixed("2")).await?;
    let told = |app: &Value| {
        let said = &app["status"]["operationState"]["message"];
        let said = said.as_str().unwrap_or_default();
        let of_sync = conditions(app, "SyncError");
        let is_told = |said: &&str| {
            said.contains("[cluster.immutable-field]") && said.contains(", data, app/a.yaml:")
        };
        is_told(&said) && of_sync.iter().any(is_told)
    };
    tenant.client.app_when("app", PATIENCE, told).await?;
    Ok(())
}

#[tokio::test]
async fn a_wave_that_fails_says_what_its_containers_died_of() -> Result<()> {
    let tenant = following("failing-wave", config_map("a", "1")).await?;
    let web = deployment("web", "naru.test/outcome: crash").replace(
        "  replicas: 1\n",
        "  replicas: 1\n  progressDeadlineSeconds: 5\n",
    );
    tenant.checkout.write("app/web.yaml", web)?;
    let later = config_map("later", "1").replace(
        "  name: later\n",
        "  name: later\n  annotations: {argocd.argoproj.io/sync-wave: '1'}\n",
    );
    let on_failure = job("fail", &[("hook", "SyncFail")], "");
    tenant.checkout.write("app/fail.json", on_failure)?;
    push(&tenant, "app/later.yaml", later).await?;
    let told = |app: &Value| {
        let said = &app["status"]["operationState"]["message"];
        let said = said.as_str().unwrap_or_default();
        said.contains("[health.crash-loop]")
            && said.contains("[health.deadline-exceeded]")
            && results(app).contains(&"SyncFail hook Job/fail Succeeded".to_owned())
    };
    tenant.client.app_when("app", PATIENCE, told).await?;
    Ok(())
}

/// What a kubelet reports of the one container of a pod, which the cluster has placed.
fn reported(phase: &str, container: &Value) -> Value {
    let mut status =
        json!({"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0});
    if let (Some(status), Some(more)) = (status.as_object_mut(), container.as_object()) {
        status.extend(more.clone());
    }
    let conditions = json!([
        {"type": "PodScheduled", "status": "True"},
        {"type": "Ready", "status": "False", "reason": "ContainersNotReady"},
    ]);
    json!({"status": {"phase": phase, "conditions": conditions, "containerStatuses": [status]}})
}

#[tokio::test]
async fn why_a_container_does_not_come_up_is_told_as_its_kubelet_reports_it() -> Result<()> {
    let tenant = following("reports", config_map("a", "1")).await?;
    let text = deployment("web", "naru.test/outcome: pending");
    push(&tenant, "app/web.yaml", text).await?;
    let pods = format!("/api/v1/namespaces/{}/pods", tenant.name);
    let pod = wait::until("the Deployment has its pod", PATIENCE, || async {
        let selected = format!("{pods}?labelSelector=app%3Dweb");
        let found = tenant.kube.get(&selected).await?.unwrap_or_default();
        let pod = &found["items"][0];
        ensure!(pod["spec"]["nodeName"].is_string(), "{pod}");
        Ok(pod["metadata"]["name"]
            .as_str()
            .context("no name")?
            .to_owned())
    })
    .await?;
    let waits = |reason: &str, message: &str| {
        let waiting = json!({"reason": reason, "message": message});
        reported("Pending", &json!({"state": {"waiting": waiting}}))
    };
    let runs = |started: bool| {
        let running = json!({"startedAt": "2024-01-01T00:00:00Z"});
        let container = json!({"started": started, "state": {"running": running}});
        reported("Running", &container)
    };
    let ended = |reason: &str, code: i32, message: &str| {
        let waiting = json!({"reason": "CrashLoopBackOff", "message": "back-off"});
        let last = json!({"reason": reason, "exitCode": code, "message": message,
            "startedAt": "2024-01-01T00:00:00Z", "finishedAt": "2024-01-01T00:00:01Z"});
        let state = json!({"state": {"waiting": waiting}, "lastState": {"terminated": last}, "restartCount": 7});
        reported("Running", &state)
    };
    let kubelet = platform::platform().await?.kube()?;
    for (report, code, words) in [
        (
            waits("ErrImagePull", "manifest unknown"),
            "health.image-pull",
            [
                "registry.example/web:1.0.0",
                "app/web.yaml:16): manifest unknown",
            ],
        ),
        (
            waits(
                "CreateContainerConfigError",
                "configmap \"tuning\" not found",
            ),
            "health.config-missing",
            ["ConfigMap", "tuning"],
        ),
        (
            waits(
                "CreateContainerConfigError",
                "couldn't find key password in Secret elsewhere/db",
            ),
            "health.config-key-missing",
            ["Secret", "password"],
        ),
        (
            runs(false),
            "health.container-starting",
            ["main", "startup"],
        ),
        (
            runs(true),
            "health.container-not-ready",
            ["main", "readiness"],
        ),
        (
            ended("OOMKilled", 137, ""),
            "health.out-of-memory",
            ["main", "memory"],
        ),
        (
            ended("Error", 3, "panic: no database\n"),
            "health.crash-loop",
            ["exit code 3", "panic: no database"],
        ),
    ] {
        let path = format!("{pods}/{pod}/status");
        kubelet.merge(&path, &report).await?;
        let code = format!("[{code}]");
        let told = |app: &Value| {
            let told = conditions(app, "HealthWarning");
            let mut told = told.iter().filter(|said| said.contains(&code));
            told.any(|said| words.iter().all(|word| said.contains(word)))
        };
        let app = tenant.client.app_when("app", PATIENCE, told).await;
        app.with_context(|| code.clone())?;
    }
    Ok(())
}

#[tokio::test]
async fn a_pod_that_no_node_takes_says_why() -> Result<()> {
    let tenant = following("nowhere", config_map("a", "1")).await?;
    let picky = deployment("web", "").replace(
        "      containers:\n",
        "      nodeSelector: {naru.test/disk: none-has-it}\n      containers:\n",
    );
    push(&tenant, "app/web.yaml", picky).await?;
    let told = |app: &Value| {
        let said = all_conditions(app);
        said.contains("[health.unschedulable]") && said.contains("nodes are available")
    };
    tenant.client.app_when("app", PATIENCE, told).await?;
    Ok(())
}
