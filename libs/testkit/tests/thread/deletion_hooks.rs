//! Hooks of a deletion: what runs before an application's objects go and when they are gone, and what keeps it.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::platform::{self, Tenant};
use testkit::wait;

use crate::hooks::{application, ended, finish, gone, is_held, job, path, results, sync};
use crate::{PATIENCE, all_conditions, code, conditions, config_map, said, set};

const PRE_DELETE: &str = "pre-delete-finalizer.argocd.argoproj.io";
const POST_DELETE: &str = "post-delete-finalizer.argocd.argoproj.io";

/// A Job that Helm would run at this moment.
fn helm_job(name: &str, moment: &str, policy: &str, outcome: &str) -> Result<String> {
    let mut job: Value = serde_json::from_str(&job(name, &[], outcome))?;
    job["metadata"]["annotations"] =
        json!({"helm.sh/hook": moment, "helm.sh/hook-delete-policy": policy});
    Ok(job.to_string())
}

fn map(tenant: &Tenant) -> String {
    format!("/api/v1/namespaces/{}/configmaps/a", tenant.name)
}

fn finalizers(app: &Value) -> Vec<&str> {
    let all = app["metadata"]["finalizers"].as_array();
    all.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

async fn delete(tenant: &Tenant, cascade: bool) -> Result<()> {
    let path = format!("/api/v1/applications/app?cascade={cascade}");
    tenant.client.delete(&path).await?.ok()?;
    Ok(())
}

/// The application when a cause of this code keeps it.
async fn kept(tenant: &Tenant, code: &str) -> Result<Value> {
    let named = |app: &Value| all_conditions(app).contains(code);
    tenant.client.app_when("app", PATIENCE, named).await
}

/// Waits until a hook is there.
async fn made(tenant: &Tenant, job: &str) -> Result<Value> {
    wait::until("the hook is made", PATIENCE, || async {
        tenant
            .kube
            .get(&path(tenant, job))
            .await?
            .context("not yet")
    })
    .await
}

#[tokio::test]
async fn hooks_run_before_the_objects_go_and_when_they_are_gone() -> Result<()> {
    let platform = platform::platform().await?;
    let files = [
        (
            "before.json",
            job("before", &[("hook", "PreDelete")], "pending"),
        ),
        (
            "after.json",
            helm_job("after", "post-delete", "hook-succeeded", "pending")?,
        ),
        ("a.yaml", config_map("a", "1")),
    ];
    let tenant = application(platform, "bye", &files).await?;
    sync(&tenant, &json!({})).await?;
    let app = ended(&tenant, "Succeeded").await?;
    assert_eq!(results(&app), ["Sync ConfigMap/a Succeeded"]);
    let app = tenant.client.app_done("app", None, PATIENCE).await?;
    for name in [PRE_DELETE, POST_DELETE] {
        let cleanup = format!("{name}/cleanup");
        for wanted in [name, cleanup.as_str()] {
            assert!(finalizers(&app).contains(&wanted), "{}", app["metadata"]);
        }
    }

    delete(&tenant, true).await?;
    let before = made(&tenant, "before").await?;
    assert!(is_held(&before));
    let app = kept(&tenant, "[app.deletion-waits-for-hook]").await?;
    assert!(
        all_conditions(&app).contains("batch/Job"),
        "{}",
        all_conditions(&app)
    );
    let is = &app["status"]["sync"]["status"];
    assert_eq!(is, "Synced", "what Git says is what is there");
    assert!(
        tenant.kube.get(&map(&tenant)).await?.is_some(),
        "the objects wait for PreDelete"
    );
    assert!(tenant.kube.get(&path(&tenant, "after")).await?.is_none());

    finish(&platform.kube()?, &tenant, "before", "Succeeded").await?;
    made(&tenant, "after").await?;
    assert!(
        tenant.kube.get(&map(&tenant)).await?.is_none(),
        "PostDelete waits until the objects are gone"
    );
    assert!(
        tenant.kube.get(&path(&tenant, "before")).await?.is_none(),
        "it went with them"
    );
    finish(&platform.kube()?, &tenant, "after", "Succeeded").await?;
    tenant.client.app_gone("app", PATIENCE).await?;
    gone(&tenant.kube, &path(&tenant, "after")).await
}

#[tokio::test]
async fn a_hook_that_fails_keeps_everything_until_it_is_mended() -> Result<()> {
    let platform = platform::platform().await?;
    let failing = job("before", &[("hook", "PreDelete")], "fail");
    let files = [("before.json", failing), ("a.yaml", config_map("a", "1"))];
    let tenant = application(platform, "bye-fail", &files).await?;
    sync(&tenant, &json!({})).await?;
    ended(&tenant, "Succeeded").await?;
    delete(&tenant, true).await?;
    let app = kept(&tenant, "[app.deletion-hook-failed]").await?;
    let errors = conditions(&app, "DeletionError").join("; ");
    assert!(
        errors.contains("/before") && errors.contains(PRE_DELETE),
        "{errors}"
    );
    assert!(tenant.kube.get(&map(&tenant)).await?.is_some());

    let mended = job("before", &[("hook", "PreDelete")], "");
    tenant.checkout.push_file("app/before.json", mended).await?;
    // The answer may come when the application is gone.
    tenant
        .client
        .get("/api/v1/applications/app?refresh=normal")
        .await?;
    tenant.client.app_gone("app", PATIENCE).await?;
    gone(&tenant.kube, &map(&tenant)).await?;
    gone(&tenant.kube, &path(&tenant, "before")).await
}

#[tokio::test]
async fn an_application_whose_hooks_nobody_knows_any_more_goes_when_its_finalizer_is_taken_off()
-> Result<()> {
    let platform = platform::platform().await?;
    let files = [
        ("before.json", job("before", &[("hook", "PreDelete")], "")),
        ("a.yaml", config_map("a", "1")),
    ];
    let tenant = application(platform, "bye-lost", &files).await?;
    sync(&tenant, &json!({})).await?;
    ended(&tenant, "Succeeded").await?;
    tenant.checkout.remove("app")?;
    tenant.checkout.push_file("README.md", "moved").await?;
    tenant
        .client
        .get("/api/v1/applications/app?refresh=normal")
        .await?
        .ok()?;
    delete(&tenant, true).await?;
    let app = kept(&tenant, "[app.deletion-hooks-unknown]").await?;
    assert!(
        finalizers(&app).contains(&PRE_DELETE),
        "{}",
        app["metadata"]
    );
    assert!(tenant.kube.get(&map(&tenant)).await?.is_some());

    let left = r#"{"metadata":{"finalizers":["resources-finalizer.argocd.argoproj.io"]}}"#;
    let patched = tenant
        .client
        .argocd(&["app", "patch", "app", "--type", "merge", "--patch", left])
        .await?;
    assert_eq!(code(&patched), 0, "{}", said(&patched));
    tenant.client.app_gone("app", PATIENCE).await?;
    gone(&tenant.kube, &map(&tenant)).await?;
    assert!(tenant.kube.get(&path(&tenant, "before")).await?.is_none());
    Ok(())
}

#[tokio::test]
async fn hooks_run_too_where_the_objects_stay() -> Result<()> {
    let platform = platform::platform().await?;
    let files = [
        ("after.json", job("after", &[("hook", "PostDelete")], "")),
        ("a.yaml", config_map("a", "1")),
    ];
    let tenant = application(platform, "bye-stay", &files).await?;
    sync(&tenant, &json!({})).await?;
    ended(&tenant, "Succeeded").await?;
    delete(&tenant, false).await?;
    tenant.client.app_gone("app", PATIENCE).await?;
    assert!(tenant.kube.get(&map(&tenant)).await?.is_some());
    let after = made(&tenant, "after").await?;
    assert!(
        !is_held(&after),
        "it stays, and whoever wants to may delete it"
    );
    Ok(())
}

/// Has the application go on without its hooks, with the finalizers that are to stay.
async fn go_on(tenant: &Tenant, left: &[&str]) -> Result<()> {
    let patch = json!({"metadata": {"finalizers": left}}).to_string();
    let patched = tenant
        .client
        .argocd(&["app", "patch", "app", "--type", "merge", "--patch", &patch])
        .await?;
    assert_eq!(code(&patched), 0, "{}", said(&patched));
    tenant.client.app_gone("app", PATIENCE).await
}

#[tokio::test]
async fn what_is_being_deleted_gets_no_finalizers_that_it_had_not() -> Result<()> {
    const CASCADE: &str = "resources-finalizer.argocd.argoproj.io";
    let platform = platform::platform().await?;
    let files = [
        (
            "before.json",
            job("before", &[("hook", "PreDelete")], "pending"),
        ),
        ("a.yaml", config_map("a", "1")),
    ];
    let tenant = application(platform, "bye-again", &files).await?;
    sync(&tenant, &json!({})).await?;
    ended(&tenant, "Succeeded").await?;
    delete(&tenant, false).await?;
    let app = kept(&tenant, "[app.deletion-waits-for-hook]").await?;
    let had: Vec<String> = finalizers(&app).into_iter().map(str::to_owned).collect();
    assert!(had.iter().any(|name| name == PRE_DELETE) && had.iter().all(|name| name != CASCADE));

    let mut wanted = json!(had);
    if let Some(all) = wanted.as_array_mut() {
        all.push(json!(CASCADE));
    }
    let whole = json!({"metadata": {"name": "app", "finalizers": wanted}, "spec": app["spec"]});
    let path = "/api/v1/applications/app";
    let patch = json!({"metadata": {"finalizers": wanted}}).to_string();
    let patch = json!({"name": "app", "patch": patch, "patchType": "merge"});
    let upsert = "/api/v1/applications?upsert=true";
    for answer in [
        tenant.client.put(path, &whole).await?,
        tenant.client.patch(path, &patch).await?,
        tenant.client.post(upsert, &whole).await?,
    ] {
        assert_eq!(finalizers(&answer.ok()?), had);
    }

    go_on(&tenant, &[]).await?;
    assert!(tenant.kube.get(&map(&tenant)).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn manifests_that_somebody_brings_leave_the_finalizers_of_git_s_hooks() -> Result<()> {
    let platform = platform::platform().await?;
    let files = [
        ("before.json", job("before", &[("hook", "PreDelete")], "")),
        ("a.yaml", config_map("a", "1")),
    ];
    let tenant = application(platform, "bye-brought", &files).await?;
    sync(&tenant, &json!({})).await?;
    ended(&tenant, "Succeeded").await?;
    let brought = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"value": "2"}});
    let mark = json!([{"name": "mark", "value": "brought"}]);
    let asked = json!({"manifests": [brought.to_string()], "infos": mark});
    sync(&tenant, &asked).await?;
    let over = |app: &Value| {
        let state = &app["status"]["operationState"];
        state["phase"] == "Succeeded" && state["operation"]["info"][0] == mark[0]
    };
    let app = tenant.client.app_when("app", PATIENCE, over).await?;
    assert!(
        finalizers(&app).contains(&PRE_DELETE),
        "{}",
        app["metadata"]
    );
    assert_eq!(app["status"]["sync"]["status"], "OutOfSync", "Git says 1");
    Ok(())
}

/// A hook after the deletion, of a kind that nobody watches.
fn farewell(name: &str, policy: &str) -> String {
    let annotations = json!({"argocd.argoproj.io/hook": "PostDelete", "argocd.argoproj.io/hook-delete-policy": policy});
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"holderIdentity": "bye"},
        "metadata": {"name": name, "annotations": annotations}})
    .to_string()
}

/// The files of an application that has two of them: one that goes when it has run, and one that stays.
fn with_leases() -> [(&'static str, String); 3] {
    [
        ("goes.json", farewell("goes", "HookSucceeded")),
        ("stays.json", farewell("stays", "HookFailed")),
        ("a.yaml", config_map("a", "1")),
    ]
}

#[tokio::test]
async fn hooks_of_kinds_that_nobody_watches_are_cleaned_up_too() -> Result<()> {
    let platform = platform::platform().await?;
    let tenant = application(platform, "bye-lease", &with_leases()).await?;
    sync(&tenant, &json!({})).await?;
    ended(&tenant, "Succeeded").await?;
    let leases = format!(
        "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
        tenant.name
    );
    let mut left: Value = serde_json::from_str(&farewell("goes", "HookSucceeded"))?;
    left["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] = json!(format!(
        "app:coordination.k8s.io/Lease:{}/goes",
        tenant.name
    ));
    left["metadata"]["annotations"]["naru.io/hook-run"] = json!("1600000000000.0-0.postdelete");
    tenant.kube.apply(&format!("{leases}/goes"), &left).await?;

    delete(&tenant, true).await?;
    tenant.client.app_gone("app", PATIENCE).await?;
    gone(&tenant.kube, &format!("{leases}/goes")).await?;
    let stays = tenant.kube.get(&format!("{leases}/stays")).await?;
    assert!(!is_held(&stays.context("it stays")?));
    Ok(())
}

#[tokio::test]
async fn hooks_that_nobody_watches_and_that_are_checked_are_cleaned_up_too() -> Result<()> {
    let platform = platform::platform().await?;
    let tenant = application(platform, "bye-checked", &with_leases()).await?;
    let key = "resource.customizations.health.coordination.k8s.io_Lease";
    let script = "return {status = \"Healthy\", message = \"done\"}\n";
    set(&tenant, "argocd-cm", key, script).await?;
    sync(&tenant, &json!({})).await?;
    ended(&tenant, "Succeeded").await?;
    delete(&tenant, true).await?;
    tenant.client.app_gone("app", PATIENCE).await?;
    let leases = format!(
        "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
        tenant.name
    );
    gone(&tenant.kube, &format!("{leases}/goes")).await?;
    let stays = tenant.kube.get(&format!("{leases}/stays")).await?;
    assert!(!is_held(&stays.context("it stays")?));
    Ok(())
}

#[tokio::test]
async fn hooks_that_nobody_watches_run_once_though_one_of_them_cannot_be_deleted() -> Result<()> {
    let platform = platform::platform().await?;
    let lease = |name: &str, label: &str| {
        let annotations = json!({"argocd.argoproj.io/hook": "PostDelete",
            "argocd.argoproj.io/hook-delete-policy": "HookSucceeded"});
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"holderIdentity": "bye"},
            "metadata": {"name": name, "labels": {"kept": label}, "annotations": annotations}})
    };
    let files = [
        ("goes.json", lease("goes", "no").to_string()),
        ("stays.json", lease("stays", "yes").to_string()),
        ("a.yaml", config_map("a", "1")),
    ];
    let tenant = application(platform, "bye-once", &files).await?;
    sync(&tenant, &json!({})).await?;
    ended(&tenant, "Succeeded").await?;
    // Nobody answers at that address, so that no such Lease is deleted.
    let webhook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": tenant.name},
        "webhooks": [{
            "name": "leases.example.com", "clientConfig": {"url": "https://127.0.0.1:1/"},
            "rules": [{"apiGroups": ["coordination.k8s.io"], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["leases"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": tenant.name}},
            "objectSelector": {"matchLabels": {"kept": "yes"}},
            "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 10, "failurePolicy": "Fail"}]});
    let webhooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    let (admin, webhooks) = (platform.kube()?, format!("{webhooks}/{}", tenant.name));
    admin.apply(&webhooks, &webhook).await?;
    let leases = "/apis/coordination.k8s.io/v1/namespaces";
    let path_of = |name: &str| format!("{leases}/{}/leases/{name}", tenant.name);
    let probe = path_of("probe");
    wait::until("no such Lease is deleted", PATIENCE, || async {
        let mut object = lease("probe", "yes");
        object["metadata"]["annotations"] = json!({});
        tenant.kube.apply(&probe, &object).await?;
        let deleted = tenant.kube.delete(&probe).await;
        ensure!(deleted.is_err(), "it is");
        Ok(())
    })
    .await?;

    delete(&tenant, true).await?;
    let app = kept(&tenant, "[app.deletion-refused]").await?;
    let left = finalizers(&app);
    assert!(
        !left.contains(&POST_DELETE),
        "it would run again: {}",
        app["metadata"]
    );
    gone(&tenant.kube, &path_of("goes")).await?;
    assert!(tenant.kube.get(&path_of("stays")).await?.is_some());
    admin.delete(&webhooks).await?;
    tenant.client.app_gone("app", PATIENCE).await?;
    gone(&tenant.kube, &path_of("stays")).await?;
    assert!(tenant.kube.get(&path_of("goes")).await?.is_none());
    Ok(())
}
