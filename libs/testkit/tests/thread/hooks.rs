//! Hooks: what runs before, with and after the manifests, and when something failed.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::kube::Kube;
use testkit::platform::{self, Platform, Tenant};
use testkit::progress::Progress;
use testkit::wait;

use crate::{PATIENCE, all_conditions, code, config_map, said, set};

/// A Job that is a hook; `outcome` is what becomes of its pod (see testkit's simulated nodes), done at once where empty.
pub(crate) fn job(name: &str, annotations: &[(&str, &str)], outcome: &str) -> String {
    let annotations: serde_json::Map<String, Value> = annotations
        .iter()
        .map(|(name, value)| (format!("argocd.argoproj.io/{name}"), json!(value)))
        .collect();
    let metadata = if name.ends_with('-') {
        json!({"generateName": name, "annotations": annotations})
    } else {
        json!({"name": name, "annotations": annotations})
    };
    let pod = if outcome.is_empty() {
        json!({})
    } else {
        json!({"naru.test/outcome": outcome})
    };
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"backoffLimit": 0, "template": {
        "metadata": {"annotations": pod},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "run", "image": "registry.invalid/run:1"}]}}}})
    .to_string()
}

/// A tenant with an application `app` of these files.
pub(crate) async fn application(
    platform: &Platform,
    label: &str,
    files: &[(&str, String)],
) -> Result<Tenant> {
    let tenant = platform.tenant(label).await?;
    for (name, text) in files {
        tenant.checkout.write(&format!("app/{name}"), text)?;
    }
    tenant.checkout.commit("an application with hooks").await?;
    tenant.checkout.push().await?;
    tenant.connect().await?;
    tenant.create_app("app", "app", &json!({})).await?;
    Ok(tenant)
}

pub(crate) fn path(tenant: &Tenant, job: &str) -> String {
    format!("/apis/batch/v1/namespaces/{}/jobs/{job}", tenant.name)
}

pub(crate) async fn sync(tenant: &Tenant, what: &Value) -> Result<()> {
    let asked = tenant.client.post("/api/v1/applications/app/sync", what);
    asked.await?.ok()?;
    Ok(())
}

/// The application when its operation has ended in this phase.
pub(crate) async fn ended(tenant: &Tenant, phase: &str) -> Result<Value> {
    let state = |app: &Value| app["status"]["operationState"]["phase"] == phase;
    tenant.client.app_when("app", PATIENCE, state).await
}

/// The application when its operation says this.
pub(crate) async fn says(tenant: &Tenant, words: &str) -> Result<Value> {
    // What failed already is told along.
    let said = |app: &Value| {
        let message = app["status"]["operationState"]["message"].as_str();
        message.is_some_and(|message| message.starts_with(words))
    };
    tenant.client.app_when("app", PATIENCE, said).await
}

/// What became of each object, as `PreSync Job/a Succeeded`.
pub(crate) fn results(app: &Value) -> Vec<String> {
    let all = &app["status"]["operationState"]["syncResult"]["resources"];
    let text = |result: &Value, name: &str| result[name].as_str().unwrap_or_default().to_owned();
    all.as_array()
        .into_iter()
        .flatten()
        .map(|r| {
            let of = |name| text(r, name);
            let hook = if of("hookType").is_empty() {
                ""
            } else {
                "hook "
            };
            format!(
                "{} {hook}{}/{} {}",
                of("syncPhase"),
                of("kind"),
                of("name"),
                of("hookPhase")
            )
        })
        .collect()
}

/// The same, of those that are made side by side.
fn sorted(app: &Value) -> Vec<String> {
    let mut results = results(app);
    results.sort();
    results
}

/// Has the pod of a job that waits end, well or badly.
pub(crate) async fn finish(kube: &Kube, tenant: &Tenant, job: &str, phase: &str) -> Result<()> {
    let pods = format!("/api/v1/namespaces/{}/pods", tenant.name);
    let selected = format!("{pods}?labelSelector=job-name%3D{job}");
    let pod = wait::until("the job has its pod", PATIENCE, || async {
        let found = kube.get(&selected).await?.unwrap_or_default();
        let name = found["items"][0]["metadata"]["name"].as_str();
        name.map(str::to_owned).context("not yet")
    })
    .await?;
    let ended = json!({"status": {"phase": phase}});
    kube.merge(&format!("{pods}/{pod}/status"), &ended).await?;
    Ok(())
}

/// Waits until the cluster has no such object any more.
pub(crate) async fn gone(kube: &Kube, path: &str) -> Result<()> {
    wait::until("the object is gone", PATIENCE, || async {
        let there = kube.get(path).await?;
        ensure!(there.is_none(), "{}", there.unwrap_or_default()["metadata"]);
        Ok(())
    })
    .await
}

pub(crate) fn is_held(job: &Value) -> bool {
    let finalizers = job["metadata"]["finalizers"].as_array();
    finalizers.is_some_and(|all| all.contains(&json!("argocd.argoproj.io/hook-finalizer")))
}

#[tokio::test]
async fn hooks_run_before_with_and_after_the_manifests() -> Result<()> {
    let platform = platform::platform().await?;
    let files = [
        (
            "before.json",
            job("before", &[("hook", "PreSync")], "pending"),
        ),
        (
            "with.json",
            job(
                "with",
                &[("hook", "Sync"), ("hook-delete-policy", "HookSucceeded")],
                "",
            ),
        ),
        ("after.json", job("after", &[("hook", "PostSync")], "")),
        ("fail.json", job("fail", &[("hook", "SyncFail")], "")),
        ("a.yaml", config_map("a", "1")),
    ];
    let tenant = application(platform, "hooks", &files).await?;
    let new = tenant.client.app("app").await?;
    let listed = new["status"]["resources"].as_array().map_or(0, Vec::len);
    assert!(listed <= 1, "a hook that is not there is no resource");
    let map = format!("/api/v1/namespaces/{}/configmaps/a", tenant.name);
    sync(&tenant, &json!({})).await?;
    says(&tenant, "waiting for completion of hook batch/Job/before").await?;
    assert!(
        tenant.kube.get(&map).await?.is_none(),
        "the manifests wait for PreSync"
    );
    let before = tenant.kube.get(&path(&tenant, "before")).await?;
    assert!(before.is_some_and(|job| is_held(&job)));

    finish(&platform.kube()?, &tenant, "before", "Succeeded").await?;
    let app = ended(&tenant, "Succeeded").await?;
    assert_eq!(
        results(&app),
        [
            "PreSync hook Job/before Succeeded",
            "Sync ConfigMap/a Succeeded",
            "Sync hook Job/with Succeeded",
            "PostSync hook Job/after Succeeded",
        ]
    );
    tenant.client.app_done("app", None, PATIENCE).await?;
    gone(&tenant.kube, &path(&tenant, "with")).await?;
    assert!(tenant.kube.get(&path(&tenant, "fail")).await?.is_none());
    for name in ["before", "after"] {
        wait::until("the hook is let go", PATIENCE, || async {
            let job = tenant.kube.get(&path(&tenant, name)).await?.context(name)?;
            ensure!(!is_held(&job), "{}", job["metadata"]);
            Ok(())
        })
        .await?;
    }
    let shown = tenant
        .client
        .argocd(&["app", "get", "app", "--show-operation"])
        .await?;
    let shown = said(&shown);
    assert!(
        shown.contains("PreSync") && shown.contains("PostSync"),
        "{shown}"
    );
    Ok(())
}

#[tokio::test]
async fn a_hook_is_made_anew_each_time_and_not_where_only_some_objects_are_synced() -> Result<()> {
    let platform = platform::platform().await?;
    let files = [
        ("before.json", job("before", &[("hook", "PreSync")], "")),
        ("named.json", job("named-", &[("hook", "PostSync")], "")),
        ("a.yaml", config_map("a", "1")),
    ];
    let tenant = application(platform, "hooks-again", &files).await?;
    let uid = || async {
        let job = tenant
            .kube
            .get(&path(&tenant, "before"))
            .await?
            .context("the job")?;
        Ok::<_, anyhow::Error>(job["metadata"]["uid"].clone())
    };
    sync(&tenant, &json!({})).await?;
    let app = ended(&tenant, "Succeeded").await?;
    let first = uid().await?;
    let revision = app["status"]["sync"]["revision"]
        .as_str()
        .unwrap_or_default();
    let start = format!("PostSync hook Job/named-{}-postsync-", &revision[..7]);
    assert!(
        results(&app).iter().any(|line| line.starts_with(&start)),
        "{:?}",
        results(&app)
    );

    sync(
        &tenant,
        &json!({"resources": [{"group": "", "kind": "ConfigMap", "name": "a"}]}),
    )
    .await?;
    let app = ended(&tenant, "Succeeded").await?;
    assert_eq!(results(&app), ["Sync ConfigMap/a Succeeded"]);
    assert_eq!(uid().await?, first);
    sync(&tenant, &json!({"strategy": {"apply": {}}})).await?;
    let app = ended(&tenant, "Succeeded").await?;
    assert_eq!(results(&app), ["Sync ConfigMap/a Succeeded"]);

    sync(&tenant, &json!({})).await?;
    wait::until("the hook ran again", PATIENCE, || async {
        ensure!(uid().await? != first, "the same object");
        Ok(())
    })
    .await?;
    ended(&tenant, "Succeeded").await?;
    Ok(())
}

#[tokio::test]
async fn a_hook_that_fails_ends_the_sync_and_says_why() -> Result<()> {
    let platform = platform::platform().await?;
    let files = [
        (
            "before.json",
            job(
                "before",
                &[("hook", "PreSync"), ("hook-delete-policy", "HookFailed")],
                "fail",
            ),
        ),
        ("fail.json", job("fail", &[("hook", "SyncFail")], "")),
        ("after.json", job("after", &[("hook", "PostSync")], "")),
        ("a.yaml", config_map("a", "1")),
    ];
    let tenant = application(platform, "hooks-fail", &files).await?;
    sync(&tenant, &json!({})).await?;
    let app = ended(&tenant, "Failed").await?;
    assert_eq!(
        results(&app),
        [
            "PreSync hook Job/before Failed",
            "SyncFail hook Job/fail Succeeded"
        ]
    );
    let message = app["status"]["operationState"]["message"].as_str();
    let words = "one or more synchronization tasks completed unsuccessfully";
    assert!(
        message.is_some_and(|message| message.starts_with(words)),
        "{message:?}"
    );
    assert!(
        all_conditions(&app).contains("[sync.hook-failed]"),
        "{}",
        all_conditions(&app)
    );
    gone(&tenant.kube, &path(&tenant, "before")).await?;
    let map = format!("/api/v1/namespaces/{}/configmaps/a", tenant.name);
    assert!(
        tenant.kube.get(&map).await?.is_none(),
        "nothing is applied after a failed PreSync"
    );
    Ok(())
}

#[tokio::test]
async fn a_sync_that_has_failed_waits_for_the_hooks_that_run() -> Result<()> {
    let platform = platform::platform().await?;
    let goes = [("hook", "PreSync"), ("hook-delete-policy", "HookFailed")];
    let files = [
        ("fails.json", job("fails", &goes, "fail")),
        ("slow.json", job("slow", &goes, "pending")),
        ("alarm.json", job("alarm", &[("hook", "SyncFail")], "")),
        ("a.yaml", config_map("a", "1")),
    ];
    let tenant = application(platform, "hooks-beside", &files).await?;
    sync(&tenant, &json!({})).await?;
    let app = says(&tenant, "waiting for completion of hook batch/Job/slow").await?;
    let expected = [
        "PreSync hook Job/fails Failed",
        "PreSync hook Job/slow Running",
    ];
    assert_eq!(sorted(&app), expected);
    let alarm = path(&tenant, "alarm");
    assert!(tenant.kube.get(&alarm).await?.is_none(), "it is not over");

    finish(&platform.kube()?, &tenant, "slow", "Succeeded").await?;
    let app = ended(&tenant, "Failed").await?;
    let expected = [
        "PreSync hook Job/fails Failed",
        "PreSync hook Job/slow Succeeded",
        "SyncFail hook Job/alarm Succeeded",
    ];
    assert_eq!(sorted(&app), expected);
    // By its own end the one would stay: it is the sync that has failed.
    for name in ["fails", "slow"] {
        gone(&tenant.kube, &path(&tenant, name)).await?;
    }

    // Whoever does not want to wait stops it.
    sync(&tenant, &json!({})).await?;
    says(&tenant, "waiting for completion of hook batch/Job/slow").await?;
    let stopped = tenant.client.delete("/api/v1/applications/app/operation");
    stopped.await?.ok()?;
    ended(&tenant, "Failed").await?;
    gone(&tenant.kube, &path(&tenant, "slow")).await
}

#[tokio::test]
async fn the_hooks_beside_a_manifest_that_is_refused_run_to_their_end() -> Result<()> {
    let platform = platform::platform().await?;
    let goes = [("hook", "Sync"), ("hook-delete-policy", "HookFailed")];
    let refused =
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: s\nspec:\n  ports: [{port: 99999999}]\n";
    let files = [
        ("with.json", job("with", &goes, "pending")),
        ("s.yaml", refused.to_owned()),
    ];
    let tenant = application(platform, "hooks-with", &files).await?;
    sync(&tenant, &json!({})).await?;
    let app = says(&tenant, "waiting for completion of hook batch/Job/with").await?;
    let expected = ["Sync Service/s Failed", "Sync hook Job/with Running"];
    assert_eq!(sorted(&app), expected);

    finish(&platform.kube()?, &tenant, "with", "Succeeded").await?;
    let app = ended(&tenant, "Failed").await?;
    let expected = ["Sync Service/s Failed", "Sync hook Job/with Succeeded"];
    assert_eq!(sorted(&app), expected);
    assert!(
        all_conditions(&app).contains("99999999"),
        "{}",
        all_conditions(&app)
    );
    gone(&tenant.kube, &path(&tenant, "with")).await
}

#[tokio::test]
async fn a_manifest_that_is_refused_runs_the_hooks_of_failure() -> Result<()> {
    let platform = platform::platform().await?;
    let refused =
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: s\nspec:\n  ports: [{port: 99999999}]\n";
    let files = [
        ("fail.json", job("fail", &[("hook", "SyncFail")], "pending")),
        ("s.yaml", refused.to_owned()),
    ];
    let tenant = application(platform, "hooks-refused", &files).await?;
    sync(&tenant, &json!({})).await?;
    says(&tenant, "waiting for completion of hook batch/Job/fail").await?;
    finish(&platform.kube()?, &tenant, "fail", "Succeeded").await?;
    let app = ended(&tenant, "Failed").await?;
    assert_eq!(
        results(&app),
        ["Sync Service/s Failed", "SyncFail hook Job/fail Succeeded"]
    );
    assert!(
        all_conditions(&app).contains("99999999"),
        "{}",
        all_conditions(&app)
    );
    Ok(())
}

#[tokio::test]
async fn a_sync_that_is_stopped_takes_its_running_hooks_with_it() -> Result<()> {
    let platform = platform::platform().await?;
    let files = [
        (
            "before.json",
            job("before", &[("hook", "PreSync")], "pending"),
        ),
        ("a.yaml", config_map("a", "1")),
    ];
    let tenant = application(platform, "hooks-stop", &files).await?;
    sync(&tenant, &json!({})).await?;
    says(&tenant, "waiting for completion of hook batch/Job/before").await?;
    let stopped = tenant
        .client
        .argocd(&["app", "terminate-op", "app"])
        .await?;
    assert_eq!(code(&stopped), 0, "{}", said(&stopped));
    let app = ended(&tenant, "Failed").await?;
    assert_eq!(results(&app), ["PreSync hook Job/before Succeeded"]);
    gone(&tenant.kube, &path(&tenant, "before")).await?;

    // Deleted while it runs, whatever keeps it: the application's deletion does not wait for a hook's end.
    sync(&tenant, &json!({})).await?;
    says(&tenant, "waiting for completion of hook batch/Job/before").await?;
    tenant
        .client
        .delete("/api/v1/applications/app?cascade=true")
        .await?
        .ok()?;
    tenant.client.app_gone("app", PATIENCE).await?;
    gone(&tenant.kube, &path(&tenant, "before")).await
}

#[tokio::test]
async fn a_hook_that_somebody_takes_away_is_told_as_that() -> Result<()> {
    let platform = platform::platform().await?;
    let files = [(
        "before.json",
        job("before", &[("hook", "PreSync")], "pending"),
    )];
    let tenant = application(platform, "hooks-gone", &files).await?;
    sync(&tenant, &json!({})).await?;
    says(&tenant, "waiting for completion of hook batch/Job/before").await?;
    let job = path(&tenant, "before");
    tenant
        .kube
        .merge(&job, &json!({"metadata": {"finalizers": null}}))
        .await?;
    tenant.kube.delete(&job).await?;
    taken_away(&tenant).await?;

    // The same while our finalizer still keeps it: it would not come to its end, and is let go.
    sync(&tenant, &json!({})).await?;
    says(&tenant, "waiting for completion of hook batch/Job/before").await?;
    tenant.kube.delete(&job).await?;
    taken_away(&tenant).await?;
    gone(&tenant.kube, &job).await
}

async fn taken_away(tenant: &Tenant) -> Result<()> {
    let app = ended(tenant, "Failed").await?;
    assert_eq!(results(&app), ["PreSync hook Job/before Error"]);
    assert!(
        all_conditions(&app).contains("[sync.hook-vanished]"),
        "{}",
        all_conditions(&app)
    );
    Ok(())
}

#[tokio::test]
async fn a_hook_replaces_nothing_that_the_application_did_not_make() -> Result<()> {
    let platform = platform::platform().await?;
    let files = [("before.json", job("before", &[("hook", "PreSync")], ""))];
    let tenant = platform.tenant("hooks-taken").await?;
    let other = platform.tenant("hooks-theirs").await?;
    let jobs = format!("/apis/batch/v1/namespaces/{}/jobs", tenant.name);
    let mine: Value = serde_json::from_str(&job("before", &[], "pending"))?;
    tenant.kube.apply(&format!("{jobs}/before"), &mine).await?;
    tenant.checkout.write("app/before.json", &files[0].1)?;
    let mut theirs: Value = serde_json::from_str(&job("theirs", &[("hook", "PreSync")], ""))?;
    theirs["metadata"]["namespace"] = json!(other.name);
    tenant
        .checkout
        .write("elsewhere/theirs.json", theirs.to_string())?;
    tenant.checkout.commit("hooks").await?;
    tenant.checkout.push().await?;
    tenant.connect().await?;
    tenant.create_app("app", "app", &json!({})).await?;
    sync(&tenant, &json!({})).await?;
    let app = ended(&tenant, "Failed").await?;
    assert!(
        all_conditions(&app).contains("[sync.hook-name-taken]"),
        "{}",
        all_conditions(&app)
    );
    let there = tenant
        .kube
        .get(&format!("{jobs}/before"))
        .await?
        .context("still there")?;
    assert!(there["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"].is_null());

    tenant
        .create_app("elsewhere", "elsewhere", &json!({}))
        .await?;
    let nothing = json!({});
    let asked = tenant
        .client
        .post("/api/v1/applications/elsewhere/sync", &nothing);
    asked.await?.ok()?;
    let failed = |app: &Value| app["status"]["operationState"]["phase"] == "Failed";
    let app = tenant
        .client
        .app_when("elsewhere", PATIENCE, failed)
        .await?;
    assert!(
        all_conditions(&app).contains("[sync.namespace-not-yours]"),
        "{}",
        all_conditions(&app)
    );
    assert!(other.kube.get(&path(&other, "theirs")).await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_dry_run_makes_no_hook() -> Result<()> {
    let platform = platform::platform().await?;
    let files = [
        (
            "before.json",
            job("before", &[("hook", "PreSync")], "pending"),
        ),
        ("a.yaml", config_map("a", "1")),
    ];
    let tenant = application(platform, "hooks-dry", &files).await?;
    sync(&tenant, &json!({"dryRun": true})).await?;
    let app = ended(&tenant, "Succeeded").await?;
    assert_eq!(
        results(&app),
        [
            "PreSync hook Job/before Succeeded",
            "Sync ConfigMap/a Succeeded"
        ]
    );
    assert!(tenant.kube.get(&path(&tenant, "before")).await?.is_none());
    Ok(())
}

/// Asks for a sync while there is no controller, and stops it: it is stopped though nobody has said that it has begun.
async fn stopped_before_anybody_begins(platform: &Platform, tenant: &Tenant) -> Result<()> {
    let controller = platform
        .supervisor()?
        .find("naru-controller")
        .context("a controller runs")?;
    controller.kill().await?;
    sync(tenant, &json!({})).await?;
    let stopped = tenant.client.delete("/api/v1/applications/app/operation");
    stopped.await?.ok()?;
    platform.supervisor()?.restart("naru-controller").await?;
    let app = ended(tenant, "Failed").await?;
    assert!(results(&app).is_empty(), "{:?}", results(&app));
    Ok(())
}

#[tokio::test]
async fn a_hook_runs_once_though_the_controller_is_killed_under_it() -> Result<()> {
    let dir = testkit::paths::test_platform()?.with_extension("hooks");
    let platform = Platform::start(&dir, Progress::silent()).await?;
    let files = [
        (
            "before.json",
            job(
                "before",
                &[
                    ("hook", "PreSync"),
                    ("hook-delete-policy", "BeforeHookCreation,HookSucceeded"),
                ],
                "pending",
            ),
        ),
        (
            "leave.json",
            job(
                "leave",
                &[
                    ("hook", "PreDelete"),
                    ("hook-delete-policy", "HookSucceeded"),
                ],
                "pending",
            ),
        ),
        ("a.yaml", config_map("a", "1")),
    ];
    let tenant = application(&platform, "hooks-kill", &files).await?;
    let job = path(&tenant, "before");
    let controller = platform
        .supervisor()?
        .find("naru-controller")
        .context("a controller runs")?;
    sync(&tenant, &json!({})).await?;
    // As soon as the object is there: whether it was written down that it is, nobody knows.
    let made = wait::until("the hook is made", PATIENCE, || async {
        tenant.kube.get(&job).await?.context("not yet")
    })
    .await?;
    controller.kill().await?;
    platform.supervisor()?.restart("naru-controller").await?;
    says(&tenant, "waiting for completion of hook batch/Job/before").await?;
    let controller = platform
        .supervisor()?
        .find("naru-controller")
        .context("a controller runs")?;
    finish(&platform.kube()?, &tenant, "before", "Succeeded").await?;
    controller.kill().await?;
    let still = tenant.kube.get(&job).await?;
    if let Some(still) = still {
        assert_eq!(still["metadata"]["uid"], made["metadata"]["uid"], "one run");
    }
    platform.supervisor()?.restart("naru-controller").await?;
    let app = ended(&tenant, "Succeeded").await?;
    assert_eq!(
        results(&app),
        [
            "PreSync hook Job/before Succeeded",
            "Sync ConfigMap/a Succeeded"
        ]
    );
    gone(&tenant.kube, &job).await?;
    stopped_before_anybody_begins(&platform, &tenant).await?;
    assert!(tenant.kube.get(&job).await?.is_none(), "it did not begin");

    // The same of a deletion: a second run would not end, since nobody ends its pod.
    let job = path(&tenant, "leave");
    let deleted = tenant
        .client
        .delete("/api/v1/applications/app?cascade=true");
    deleted.await?.ok()?;
    for finished in [false, true] {
        wait::until("the hook is made", PATIENCE, || async {
            tenant.kube.get(&job).await?.context("not yet")
        })
        .await?;
        if finished {
            finish(&platform.kube()?, &tenant, "leave", "Succeeded").await?;
        }
        let controller = platform
            .supervisor()?
            .find("naru-controller")
            .context("a controller runs")?;
        controller.kill().await?;
        platform.supervisor()?.restart("naru-controller").await?;
    }
    tenant.client.app_gone("app", PATIENCE).await?;
    gone(&tenant.kube, &job).await?;
    platform.stop().await
}

#[tokio::test]
async fn hooks_of_kinds_that_nobody_watches_are_let_go_too() -> Result<()> {
    let platform = platform::platform().await?;
    let lease = |name: &str, policy: &str, holder: &str| {
        let annotations = json!({"argocd.argoproj.io/hook": "PreSync", "argocd.argoproj.io/hook-delete-policy": policy});
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"holderIdentity": holder},
            "metadata": {"name": name, "annotations": annotations}})
        .to_string()
    };
    let files = [
        ("goes.json", lease("goes", "HookSucceeded", "done")),
        ("stays.json", lease("stays", "HookFailed", "done")),
        ("a.yaml", config_map("a", "1")),
    ];
    let tenant = application(platform, "hooks-lease", &files).await?;
    let script = "if obj.spec.holderIdentity == \"waits\" then\n  return {status = \"Progressing\", message = \"held\"}\nend\n\
                  if obj.spec.holderIdentity == \"fails\" then\n  return {status = \"Degraded\", message = \"lost\"}\nend\n\
                  return {status = \"Healthy\", message = \"done\"}\n";
    let key = "resource.customizations.health.coordination.k8s.io_Lease";
    set(&tenant, "argocd-cm", key, script).await?;
    let path = |name: &str| {
        format!(
            "/apis/coordination.k8s.io/v1/namespaces/{}/leases/{name}",
            tenant.name
        )
    };
    sync(&tenant, &json!({})).await?;
    let app = ended(&tenant, "Succeeded").await?;
    let expected = [
        "PreSync hook Lease/goes Succeeded",
        "PreSync hook Lease/stays Succeeded",
        "Sync ConfigMap/a Succeeded",
    ];
    assert_eq!(results(&app), expected);
    gone(&tenant.kube, &path("goes")).await?;
    let stays = tenant.kube.get(&path("stays")).await?;
    assert!(!is_held(&stays.context("it stays")?));

    // One that runs goes with the sync that is stopped, and one that is done is let go.
    let waits = lease("goes", "HookSucceeded", "waits");
    tenant.checkout.push_file("app/goes.json", waits).await?;
    sync(&tenant, &json!({})).await?;
    says(
        &tenant,
        "waiting for completion of hook coordination.k8s.io/Lease/goes",
    )
    .await?;
    let stopped = tenant
        .client
        .argocd(&["app", "terminate-op", "app"])
        .await?;
    assert_eq!(code(&stopped), 0, "{}", said(&stopped));
    ended(&tenant, "Failed").await?;
    gone(&tenant.kube, &path("goes")).await?;
    let stays = tenant.kube.get(&path("stays")).await?;
    assert!(!is_held(&stays.context("it stays")?));

    // One that runs is waited for though another has failed beside it, and both are let go at the end.
    let fails = lease("fails", "HookFailed", "fails");
    tenant.checkout.push_file("app/fails.json", fails).await?;
    sync(&tenant, &json!({})).await?;
    let app = says(
        &tenant,
        "waiting for completion of hook coordination.k8s.io/Lease/goes",
    )
    .await?;
    let expected = [
        "PreSync hook Lease/fails Failed",
        "PreSync hook Lease/goes Running",
        "PreSync hook Lease/stays Succeeded",
    ];
    assert_eq!(sorted(&app), expected);
    let done = json!({"spec": {"holderIdentity": "done"}});
    tenant.kube.merge(&path("goes"), &done).await?;
    ended(&tenant, "Failed").await?;
    gone(&tenant.kube, &path("fails")).await?;
    let goes = tenant.kube.get(&path("goes")).await?;
    assert!(!is_held(&goes.context("it stays")?));
    let done = lease("fails", "HookFailed", "done");
    tenant.checkout.push_file("app/fails.json", done).await?;

    // One that runs is let go by a sync that ends before its waves, since nobody is named meanwhile who may sync.
    sync(&tenant, &json!({})).await?;
    says(
        &tenant,
        "waiting for completion of hook coordination.k8s.io/Lease/goes",
    )
    .await?;
    let impersonates = "application.sync.impersonation.enabled";
    set(&tenant, "argocd-cm", impersonates, "true").await?;
    ended(&tenant, "Error").await?;
    let goes = tenant.kube.get(&path("goes")).await?;
    assert!(!is_held(&goes.context("it stays")?));
    Ok(())
}

#[tokio::test]
async fn an_application_does_not_go_while_the_cluster_keeps_its_hook_held() -> Result<()> {
    let platform = platform::platform().await?;
    let before = job("before", &[("hook", "PreSync")], "pending");
    let tenant = application(platform, "hooks-held", &[("before.json", before)]).await?;
    sync(&tenant, &json!({})).await?;
    says(&tenant, "waiting for completion of hook batch/Job/before").await?;
    // Nobody answers at that address, so that no Job is changed.
    let webhook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": tenant.name},
        "webhooks": [{
            "name": "jobs.example.com", "clientConfig": {"url": "https://127.0.0.1:1/"},
            "rules": [{"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["jobs"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": tenant.name}},
            "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 10, "failurePolicy": "Fail"}]});
    let webhooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    let (admin, webhooks) = (platform.kube()?, format!("{webhooks}/{}", tenant.name));
    admin.apply(&webhooks, &webhook).await?;
    let job = path(&tenant, "before");
    wait::until("no Job is changed", PATIENCE, || async {
        let tried = json!({"metadata": {"labels": {"tried": "yes"}}});
        let changed = tenant.kube.merge(&job, &tried).await;
        ensure!(changed.is_err(), "it is");
        Ok(())
    })
    .await?;

    // Without any finalizer it would be gone at once.
    let patch = json!({"metadata": {"finalizers": ["post-delete-finalizer.argocd.argoproj.io"]}});
    let patch = json!({"name": "app", "patch": patch.to_string(), "patchType": "merge"});
    let path_of_app = "/api/v1/applications/app";
    tenant.client.patch(path_of_app, &patch).await?.ok()?;
    let deleted = "/api/v1/applications/app?cascade=false";
    tenant.client.delete(deleted).await?.ok()?;
    let stays = |app: &Value| {
        let said = all_conditions(app);
        said.contains("[sync.hook-not-released]")
            && said.contains("[app.deletion-waits-for-release]")
    };
    tenant.client.app_when("app", PATIENCE, stays).await?;
    admin.delete(&webhooks).await?;
    tenant.client.app_gone("app", PATIENCE).await?;
    let there = tenant.kube.get(&job).await?.context("it runs on")?;
    assert!(!is_held(&there), "{there}");
    Ok(())
}

#[tokio::test]
async fn a_hook_runs_in_a_namespace_that_the_same_sync_makes() -> Result<()> {
    let tenant = platform::platform().await?.tenant("hooks-new").await?;
    tenant
        .checkout
        .push_file("app/before.json", job("before", &[("hook", "PreSync")], ""))
        .await?;
    tenant.connect().await?;
    let namespace = format!("{}-new", tenant.name);
    let app = json!({
        "metadata": {"name": "app"},
        "spec": {
            "project": "default",
            "source": {"repoURL": tenant.repo_url, "path": "app", "targetRevision": "HEAD"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
            "syncPolicy": {"syncOptions": ["CreateNamespace=true"]},
        },
    });
    let created = tenant
        .client
        .post("/api/v1/applications?validate=false", &app);
    created.await?.ok()?;
    sync(&tenant, &json!({})).await?;
    let app = ended(&tenant, "Succeeded").await?;
    assert_eq!(
        results(&app),
        [
            format!("PreSync Namespace/{namespace} Succeeded"),
            "PreSync hook Job/before Succeeded".to_owned()
        ]
    );
    Ok(())
}
