//! Causes: what does not come up, or is refused, says why in a code and the cluster's words.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::admission::Admission;
use testkit::platform::{self, Tenant};
use testkit::wait;

use crate::hooks::{ended, job, results, sync};
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

/// A webhook that is asked about the tenant's pods and Services.
fn validating(tenant: &Tenant, admission: &Admission) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": tenant.name},
        "webhooks": [{
            "name": "refuses.example.com", "clientConfig": admission.client_config(),
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods", "services"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": tenant.name}},
            "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 10, "failurePolicy": "Fail"}]})
}

#[tokio::test]
async fn what_a_webhook_refuses_is_told_with_its_name_and_its_words() -> Result<()> {
    let tenant = platform::tenant("refused-by").await?;
    let admission = Admission::refusing("nothing is made on fridays").await?;
    let admin = platform::platform().await?.kube()?;
    let webhook = format!(
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{}",
        tenant.name
    );
    let configuration = validating(&tenant, &admission);
    admin.apply(&webhook, &configuration).await?;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"ports": [{"port": 80}]}});
    let trial = format!(
        "/api/v1/namespaces/{}/services?dryRun=All&timeout=5s",
        tenant.name
    );
    wait::until("the webhook is asked", PATIENCE, || async {
        let asked = tenant.kube.request(Method::POST, &trial).json(&service);
        asked.send().await?;
        ensure!(admission.asked() > 0, "not yet");
        Ok(())
    })
    .await?;
    let named = |said: &str, code: &str| {
        let words = [code, "`refuses.example.com`", "nothing is made on fridays"];
        words.iter().all(|word| said.contains(word))
    };

    // Pods, which the application does not make itself.
    let web = tenant
        .checkout
        .push_file("app/web.yaml", deployment("web", ""));
    web.await?;
    tenant.connect().await?;
    tenant.create_app("app", "app", &json!({})).await?;
    sync(&tenant, &json!({})).await?;
    ended(&tenant, "Succeeded").await?;
    let told = |app: &Value| named(&all_conditions(app), "[health.pods-webhook]");
    tenant.client.app_when("app", PATIENCE, told).await?;

    // An object of its own.
    let file = tenant.checkout.push_file("app/s.json", service.to_string());
    file.await?;
    sync(&tenant, &json!({})).await?;
    let app = ended(&tenant, "Failed").await?;
    let message = app["status"]["operationState"]["message"].as_str();
    let message = message.context("it says why")?;
    assert!(named(message, "[cluster.webhook-refused]"), "{message}");
    admin.delete(&webhook).await?;
    Ok(())
}
