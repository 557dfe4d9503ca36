//! Sync options, of applications and of objects: what each changes about a sync, at a real apiserver.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::platform::{self, Tenant};
use testkit::wait;

use crate::hooks::{ended, gone, job, path, results, sync};
use crate::{PATIENCE, all_conditions, code, config_map, said, set};

/// A tenant with an application `app` of these files and options.
async fn application(label: &str, files: &[(&str, String)], options: &[&str]) -> Result<Tenant> {
    let tenant = platform::tenant(label).await?;
    for (name, text) in files {
        tenant.checkout.write(&format!("app/{name}"), text)?;
    }
    tenant.checkout.commit("an application").await?;
    tenant.checkout.push().await?;
    tenant.connect().await?;
    let policy = json!({"syncOptions": options});
    tenant.create_app("app", "app", &policy).await?;
    Ok(tenant)
}

/// A ConfigMap with annotations of ours.
fn annotated(name: &str, value: &str, annotations: &[(&str, &str)]) -> String {
    let annotations: serde_json::Map<String, Value> = annotations
        .iter()
        .map(|(name, value)| (format!("argocd.argoproj.io/{name}"), json!(value)))
        .collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "annotations": annotations},
        "data": {"value": value}})
    .to_string()
}

fn map(tenant: &Tenant, name: &str) -> String {
    format!("/api/v1/namespaces/{}/configmaps/{name}", tenant.name)
}

async fn there(tenant: &Tenant, name: &str) -> Result<Value> {
    let found = tenant.kube.get(&map(tenant, name)).await?;
    found.with_context(|| format!("no ConfigMap {name}"))
}

/// Waits until the operation says just this.
async fn says(tenant: &Tenant, words: &str) -> Result<Value> {
    let said = |app: &Value| app["status"]["operationState"]["message"] == words;
    tenant.client.app_when("app", PATIENCE, said).await
}

/// Syncs, and waits until that has ended in this phase.
async fn synced(tenant: &Tenant, what: &Value, phase: &str) -> Result<Value> {
    sync(tenant, what).await?;
    ended(tenant, phase).await
}

async fn argocd(tenant: &Tenant, words: &[&str]) -> Result<String> {
    let output = tenant.client.argocd(words).await?;
    ensure!(code(&output) == 0, "argocd {words:?}:\n{}", said(&output));
    Ok(said(&output))
}

#[tokio::test]
async fn a_dry_run_says_what_it_would_change() -> Result<()> {
    let files = [
        ("a.yaml", config_map("a", "1")),
        ("b.yaml", config_map("b", "1")),
    ];
    let tenant = application("dry-words", &files, &[]).await?;
    synced(&tenant, &json!({}), "Succeeded").await?;
    let file = config_map("a", "2");
    let commit = tenant.checkout.push_file("app/a.yaml", file).await?;
    sync(&tenant, &json!({"dryRun": true, "revision": commit})).await?;
    let app = says(&tenant, "successfully synced (dry run)").await?;
    let all = &app["status"]["operationState"]["syncResult"]["resources"];
    let words: Vec<&Value> = (all.as_array().into_iter().flatten())
        .map(|result| &result["message"])
        .collect();
    assert_eq!(
        words,
        [
            "configmap/a configured (dry run)",
            "configmap/b unchanged (dry run)"
        ]
    );
    assert_eq!(there(&tenant, "a").await?["data"]["value"], "1");
    Ok(())
}

#[tokio::test]
async fn another_revision_is_deployed_unless_the_application_follows_its_own() -> Result<()> {
    let files = [("a.yaml", config_map("a", "1"))];
    let tenant = application("revision", &files, &[]).await?;
    let app = synced(&tenant, &json!({}), "Succeeded").await?;
    let first = app["status"]["operationState"]["syncResult"]["revision"].as_str();
    let first = first.context("no revision")?;
    let file = config_map("a", "2");
    let second = tenant.checkout.push_file("app/a.yaml", file).await?;
    for (revision, value) in [(second.as_str(), "2"), (first, "1")] {
        sync(&tenant, &json!({"revision": revision})).await?;
        let deployed = |app: &Value| {
            let state = &app["status"]["operationState"];
            state["phase"] == "Succeeded" && state["syncResult"]["revision"] == *revision
        };
        tenant.client.app_when("app", PATIENCE, deployed).await?;
        assert_eq!(there(&tenant, "a").await?["data"]["value"], value);
    }
    // It is not what the application follows, and said to be.
    let differs = |app: &Value| {
        let sync = &app["status"]["sync"];
        sync["status"] == "OutOfSync" && sync["revision"] == second.as_str()
    };
    let app = tenant.client.app_when("app", PATIENCE, differs).await?;
    let history = app["status"]["history"].as_array().into_iter().flatten();
    let revisions: Vec<&Value> = history.map(|entry| &entry["revision"]).collect();
    assert_eq!(revisions, [first, second.as_str(), first]);

    let automated = ["app", "set", "app", "--sync-policy", "automated"];
    argocd(&tenant, &automated).await?;
    let own = Some(second.as_str());
    tenant.client.app_done("app", own, PATIENCE).await?;
    let path = "/api/v1/applications/app/sync";
    let asked = json!({"revision": first});
    let refused = tenant.client.post(path, &asked).await?;
    assert_eq!(refused.body["code"], 9, "{}", refused.body);
    let words = format!("Cannot sync to {first}: auto-sync currently set to HEAD");
    assert_eq!(refused.body["message"], words);
    assert_eq!(there(&tenant, "a").await?["data"]["value"], "2");
    Ok(())
}

#[tokio::test]
async fn what_asks_for_it_is_deleted_when_a_person_confirms() -> Result<()> {
    let asks = [("sync-options", "Prune=confirm,Delete=confirm")];
    let files = [
        ("a.json", annotated("a", "1", &asks)),
        ("b.json", annotated("b", "1", &asks)),
        ("c.yaml", config_map("c", "1")),
    ];
    let tenant = application("confirm", &files, &[]).await?;
    let app = synced(&tenant, &json!({}), "Succeeded").await?;
    let asks: Vec<&Value> = (app["status"]["resources"].as_array().into_iter().flatten())
        .filter(|resource| resource["requiresDeletionConfirmation"] == true)
        .map(|resource| &resource["name"])
        .collect();
    assert_eq!(asks, ["a", "b"]);

    tenant.checkout.remove("app/a.json")?;
    tenant.checkout.write("app/c.yaml", config_map("c", "2"))?;
    tenant.checkout.commit("one goes").await?;
    tenant.checkout.push().await?;
    sync(&tenant, &json!({"prune": true})).await?;
    says(&tenant, "waiting for pruning confirmation of ConfigMap/a").await?;
    there(&tenant, "a").await?;
    assert_eq!(there(&tenant, "c").await?["data"]["value"], "1");
    // One operation at a time.
    let path = "/api/v1/applications/app/sync";
    let second = tenant.client.post(path, &json!({})).await?;
    assert_eq!(second.body["code"], 9, "{}", second.body);
    let words = "another operation is already in progress";
    assert_eq!(second.body["message"], words);
    argocd(&tenant, &["app", "confirm-deletion", "app"]).await?;
    let app = ended(&tenant, "Succeeded").await?;
    let gone = tenant.kube.get(&map(&tenant, "a")).await?;
    assert!(gone.is_none(), "{gone:?}");
    assert!(
        results(&app).contains(&"Sync ConfigMap/a Succeeded".to_owned()),
        "{:?}",
        results(&app)
    );
    assert_eq!(there(&tenant, "c").await?["data"]["value"], "2");

    // What was confirmed for that sync is not confirmed for a deletion, and nothing goes without it.
    wait::until("a second has passed", PATIENCE, || async {
        let app = tenant.client.app("app").await?;
        let confirmed = app["metadata"]["annotations"]["argocd.argoproj.io/deletion-approved"]
            .as_str()
            .context("the annotation")?;
        let confirmed = chrono::DateTime::parse_from_rfc3339(confirmed)?;
        ensure!(now() > confirmed.timestamp(), "not yet");
        Ok(())
    })
    .await?;
    let deleted = tenant
        .client
        .delete("/api/v1/applications/app?cascade=true");
    deleted.await?.ok()?;
    let waits = |app: &Value| all_conditions(app).contains("[app.deletion-unconfirmed]");
    tenant.client.app_when("app", PATIENCE, waits).await?;
    there(&tenant, "b").await?;
    there(&tenant, "c").await?;
    argocd(&tenant, &["app", "confirm-deletion", "app"]).await?;
    tenant.client.app_gone("app", PATIENCE).await?;
    for name in ["b", "c"] {
        let left = tenant.kube.get(&map(&tenant, name)).await?;
        assert!(left.is_none(), "{left:?}");
    }
    Ok(())
}

fn now() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

#[tokio::test]
async fn what_a_wave_deletes_is_gone_before_the_next_begins() -> Result<()> {
    let files = [
        ("a.yaml", config_map("a", "1")),
        ("b.json", annotated("b", "1", &[("sync-wave", "5")])),
    ];
    let tenant = application("waves-gone", &files, &[]).await?;
    synced(&tenant, &json!({}), "Succeeded").await?;
    let hold = json!({"metadata": {"finalizers": ["example.com/never"]}});
    tenant.kube.merge(&map(&tenant, "a"), &hold).await?;
    tenant.checkout.remove("app/a.yaml")?;
    let later = annotated("b", "2", &[("sync-wave", "5")]);
    tenant.checkout.write("app/b.json", later)?;
    tenant.checkout.commit("one goes, one changes").await?;
    tenant.checkout.push().await?;
    sync(&tenant, &json!({"prune": true})).await?;
    says(&tenant, "waiting for deletion of ConfigMap/a").await?;
    assert_eq!(there(&tenant, "b").await?["data"]["value"], "1");
    let release = json!({"metadata": {"finalizers": null}});
    tenant.kube.merge(&map(&tenant, "a"), &release).await?;
    ended(&tenant, "Succeeded").await?;
    assert_eq!(there(&tenant, "b").await?["data"]["value"], "2");
    Ok(())
}

#[tokio::test]
async fn what_is_on_its_way_out_is_made_when_it_is_gone() -> Result<()> {
    let files = [
        ("a.yaml", config_map("a", "1")),
        ("b.yaml", config_map("b", "1")),
        ("c.json", annotated("c", "1", &[("sync-wave", "5")])),
    ];
    // Of these options: once it is applied it is as Git says, though it goes.
    let tenant = application("waves-out", &files, &["ApplyOutOfSyncOnly=true"]).await?;
    synced(&tenant, &json!({}), "Succeeded").await?;
    let first = there(&tenant, "a").await?;
    let hold = json!({"metadata": {"finalizers": ["example.com/never"]}});
    tenant.kube.merge(&map(&tenant, "a"), &hold).await?;
    tenant.kube.delete(&map(&tenant, "a")).await?;
    tenant.checkout.write("app/a.yaml", config_map("a", "2"))?;
    tenant.checkout.write("app/b.yaml", config_map("b", "2"))?;
    let later = annotated("c", "2", &[("sync-wave", "5")]);
    tenant.checkout.write("app/c.json", later)?;
    tenant.checkout.commit("all change").await?;
    tenant.checkout.push().await?;
    sync(&tenant, &json!({})).await?;
    says(&tenant, "waiting for deletion of ConfigMap/a").await?;
    assert_eq!(there(&tenant, "b").await?["data"]["value"], "2");
    assert_eq!(there(&tenant, "c").await?["data"]["value"], "1");
    let release = json!({"metadata": {"finalizers": null}});
    tenant.kube.merge(&map(&tenant, "a"), &release).await?;
    let app = ended(&tenant, "Succeeded").await?;
    assert!(results(&app).contains(&"Sync ConfigMap/a Succeeded".to_owned()));
    let second = there(&tenant, "a").await?;
    assert_ne!(second["metadata"]["uid"], first["metadata"]["uid"]);
    assert_eq!(second["data"]["value"], "2");
    assert_eq!(there(&tenant, "c").await?["data"]["value"], "2");
    Ok(())
}

#[tokio::test]
async fn what_takes_no_finalizer_on_its_way_out_is_made_when_it_is_gone() -> Result<()> {
    let files = [("a.yaml", config_map("a", "1"))];
    let tenant = application("waves-late", &files, &[]).await?;
    synced(&tenant, &json!({}), "Succeeded").await?;
    let first = there(&tenant, "a").await?;
    let hold = json!({"metadata": {"finalizers": ["example.com/never"]}});
    tenant.kube.merge(&map(&tenant, "a"), &hold).await?;
    tenant.kube.delete(&map(&tenant, "a")).await?;
    let more = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"value": "2"},
        "metadata": {"name": "a", "finalizers": ["example.com/more"]}});
    let file = more.to_string();
    tenant.checkout.push_file("app/a.yaml", file).await?;
    sync(&tenant, &json!({})).await?;
    says(&tenant, "waiting for deletion of ConfigMap/a").await?;
    let release = json!({"metadata": {"finalizers": null}});
    tenant.kube.merge(&map(&tenant, "a"), &release).await?;
    ended(&tenant, "Succeeded").await?;
    let second = there(&tenant, "a").await?;
    assert_ne!(second["metadata"]["uid"], first["metadata"]["uid"]);
    assert_eq!(second["data"]["value"], "2");
    // So that the tenant can go.
    tenant.kube.merge(&map(&tenant, "a"), &release).await?;
    Ok(())
}

#[tokio::test]
async fn a_namespace_on_its_way_out_is_waited_for_and_made_again() -> Result<()> {
    let tenant = platform::tenant("ns-out").await?;
    // Only who runs the cluster may delete a namespace.
    let kube = &platform::platform().await?.kube()?;
    let client = &tenant.client;
    let file = config_map("a", "1");
    tenant.checkout.push_file("app/a.yaml", file).await?;
    tenant.connect().await?;
    let namespace = format!("{}-out", tenant.name);
    let app = json!({
        "metadata": {"name": "app"},
        "spec": {
            "project": "default",
            "source": {"repoURL": tenant.repo_url, "path": "app", "targetRevision": "HEAD"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
            "syncPolicy": {"syncOptions": ["CreateNamespace=true"]},
        },
    });
    let created = client.post("/api/v1/applications?validate=false", &app);
    created.await?.ok()?;
    synced(&tenant, &json!({}), "Succeeded").await?;
    let itself = format!("/api/v1/namespaces/{namespace}");
    let first = kube.get(&itself).await?.context("it was made")?;
    let held = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "held", "namespace": namespace, "finalizers": ["example.com/never"]}});
    let path = format!("{itself}/configmaps/held");
    kube.apply(&path, &held).await?;
    kube.delete(&itself).await?;
    // What is still there could be written, and would go.
    gone(kube, &format!("{itself}/configmaps/a")).await?;

    sync(&tenant, &json!({})).await?;
    let waits = format!("waiting for deletion of Namespace/{namespace}");
    says(&tenant, &waits).await?;
    let release = json!({"metadata": {"finalizers": null}});
    kube.merge(&path, &release).await?;
    ended(&tenant, "Succeeded").await?;
    let second = kube.get(&itself).await?.context("it is made again")?;
    assert_ne!(second["metadata"]["uid"], first["metadata"]["uid"]);
    let a = kube.get(&format!("{itself}/configmaps/a")).await?;
    assert!(a.is_some());
    Ok(())
}

#[tokio::test]
async fn what_goes_last_goes_when_all_else_is_there() -> Result<()> {
    let last = [("sync-options", "PruneLast=true")];
    let files = [
        ("a.json", annotated("a", "1", &last)),
        ("b.json", annotated("b", "1", &[("sync-wave", "5")])),
        ("c.yaml", config_map("c", "1")),
    ];
    let tenant = application("prune-last", &files, &[]).await?;
    synced(&tenant, &json!({}), "Succeeded").await?;
    tenant.checkout.remove("app/a.json")?;
    tenant.checkout.remove("app/c.yaml")?;
    tenant.checkout.commit("two go").await?;
    tenant.checkout.push().await?;
    let app = synced(&tenant, &json!({"prune": true}), "Succeeded").await?;
    let (c, b, a) = (
        "Sync ConfigMap/c Succeeded",
        "Sync ConfigMap/b Succeeded",
        "Sync ConfigMap/a Succeeded",
    );
    assert_eq!(results(&app), [c, b, a]);
    Ok(())
}

#[tokio::test]
async fn an_object_is_replaced_and_by_force_made_anew() -> Result<()> {
    let files = [
        (
            "a.json",
            annotated("a", "1", &[("sync-options", "Replace=true")]),
        ),
        (
            "b.json",
            annotated("b", "1", &[("sync-options", "Replace=true,Force=true")]),
        ),
        ("c.yaml", config_map("c", "1")),
    ];
    let tenant = application("replace", &files, &[]).await?;
    synced(&tenant, &json!({}), "Succeeded").await?;
    let mut uids = Vec::new();
    for name in ["a", "b", "c"] {
        let more = json!({"data": {"more": "somebody's"}});
        let live = tenant.kube.merge(&map(&tenant, name), &more).await?;
        uids.push(live["metadata"]["uid"].clone());
    }
    synced(&tenant, &json!({}), "Succeeded").await?;
    let (a, b, c) = (
        there(&tenant, "a").await?,
        there(&tenant, "b").await?,
        there(&tenant, "c").await?,
    );
    assert_eq!(a["metadata"]["uid"], uids[0]);
    assert_eq!(a["data"], json!({"value": "1"}), "replaced as a whole");
    assert_ne!(b["metadata"]["uid"], uids[1]);
    assert_eq!(b["data"], json!({"value": "1"}));
    assert_eq!(c["data"]["more"], "somebody's", "applied, field by field");
    Ok(())
}

#[tokio::test]
async fn force_makes_anew_what_cannot_be_changed_and_loses_nothing() -> Result<()> {
    let force = json!({"argocd.argoproj.io/sync-options": "Force=true"});
    let service = |port: u64| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "annotations": force},
            "spec": {"ports": [{"port": port}]}})
        .to_string()
    };
    let fixed = |data: Value| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "annotations": force},
            "immutable": true, "data": data})
        .to_string()
    };
    let files = [
        ("s.json", service(80)),
        ("m.json", fixed(json!({"value": "1"}))),
    ];
    let tenant = application("force", &files, &[]).await?;
    synced(&tenant, &json!({}), "Succeeded").await?;
    let path = format!("/api/v1/namespaces/{}/services/s", tenant.name);
    let before = tenant.kube.get(&path).await?.context("the Service")?;
    let first = there(&tenant, "m").await?;

    // What goes slowly is waited for, and made when it is gone.
    let hold = json!({"metadata": {"finalizers": ["example.com/never"]}});
    tenant.kube.merge(&map(&tenant, "m"), &hold).await?;
    let second = fixed(json!({"value": "2"}));
    tenant.checkout.push_file("app/m.json", second).await?;
    sync(&tenant, &json!({})).await?;
    says(&tenant, "waiting for deletion of ConfigMap/m").await?;
    let release = json!({"metadata": {"finalizers": null}});
    tenant.kube.merge(&map(&tenant, "m"), &release).await?;
    ended(&tenant, "Succeeded").await?;
    let second = there(&tenant, "m").await?;
    assert_ne!(second["metadata"]["uid"], first["metadata"]["uid"]);
    assert_eq!(second["data"], json!({"value": "2"}));

    // What the cluster would not have in any object is not deleted for it, or is put back.
    tenant.checkout.write("app/s.json", service(99_999_999))?;
    let invalid = fixed(json!({"not a key": "3"}));
    tenant.checkout.write("app/m.json", invalid)?;
    tenant.checkout.commit("neither can be").await?;
    tenant.checkout.push().await?;
    synced(&tenant, &json!({}), "Failed").await?;
    let after = tenant.kube.get(&path).await?.context("the Service")?;
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    let third = there(&tenant, "m").await?;
    assert_eq!(third["data"], json!({"value": "2"}));
    Ok(())
}

#[tokio::test]
async fn a_sync_is_stopped_between_two_tries_and_says_what_failed() -> Result<()> {
    let invalid = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},
        "data": {"not a key": "1"}});
    let files = [("a.json", invalid.to_string())];
    let tenant = application("tries", &files, &[]).await?;
    set(&tenant, "argocd-cm", "naru.syncTimeout", "10s").await?;
    let backoff = json!({"duration": "10m", "maxDuration": "10m"});
    let retry = json!({"retryStrategy": {"limit": 5, "backoff": backoff}});
    let app = synced(&tenant, &retry, "Failed").await?;
    let said = all_conditions(&app);
    assert!(
        said.contains("[sync.timed-out]") && said.contains("Retrying attempt #1"),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn a_sync_that_takes_longer_than_the_settings_allow_is_stopped_and_says_what_it_waited_for()
-> Result<()> {
    let files = [(
        "before.json",
        job("before", &[("hook", "PreSync")], "pending"),
    )];
    let tenant = application("too-long", &files, &[]).await?;
    set(&tenant, "argocd-cm", "naru.syncTimeout", "3s").await?;
    let app = synced(&tenant, &json!({}), "Failed").await?;
    let says_why = |app: &Value| {
        let said = all_conditions(app);
        assert!(
            said.contains("[sync.timed-out]") && said.contains("batch/Job/before"),
            "{said}"
        );
    };
    says_why(&app);
    gone(&tenant.kube, &path(&tenant, "before")).await?;
    // Nothing but the hook is to be deployed, so that no later look finds anything amiss, and says it all the same.
    let looked = tenant
        .client
        .get("/api/v1/applications/app?refresh=normal")
        .await?
        .ok()?;
    says_why(&looked);
    Ok(())
}

/// A Deployment without a pod to wait for.
fn deployment() -> String {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
        "replicas": 0, "selector": {"matchLabels": {"app": "d"}},
        "template": {"metadata": {"labels": {"app": "d"}},
            "spec": {"containers": [{"name": "run", "image": "registry.invalid/run:1"}]}}}})
    .to_string()
}

/// Waits until the Deployment has its one ReplicaSet, and gives that.
async fn replica_set(tenant: &Tenant, deployment: &Value) -> Result<Value> {
    let sets = format!("/apis/apps/v1/namespaces/{}/replicasets", tenant.name);
    wait::until("the Deployment has its ReplicaSet", PATIENCE, || async {
        let sets = tenant.kube.get(&sets).await?.unwrap_or_default();
        let set = sets["items"][0].clone();
        let owner = &set["metadata"]["ownerReferences"][0]["uid"];
        ensure!(*owner == deployment["metadata"]["uid"], "{set}");
        Ok(set)
    })
    .await
}

#[tokio::test]
async fn what_is_pruned_leaves_its_own_behind_where_that_is_asked_for() -> Result<()> {
    let files = [("d.json", deployment()), ("c.yaml", config_map("c", "1"))];
    let options = ["PrunePropagationPolicy=orphan"];
    let tenant = application("propagation", &files, &options).await?;
    synced(&tenant, &json!({}), "Succeeded").await?;
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/d", tenant.name);
    let first = tenant.kube.get(&path).await?.context("the Deployment")?;
    let made = replica_set(&tenant, &first).await?;
    tenant.checkout.remove("app/d.json")?;
    tenant.checkout.commit("it goes").await?;
    tenant.checkout.push().await?;
    synced(&tenant, &json!({"prune": true}), "Succeeded").await?;
    gone(&tenant.kube, &path).await?;
    let name = made["metadata"]["name"].as_str().unwrap_or_default();
    let set = format!(
        "/apis/apps/v1/namespaces/{}/replicasets/{name}",
        tenant.name
    );
    let left = tenant.kube.get(&set).await?.context("the ReplicaSet")?;
    assert_eq!(left["metadata"]["uid"], made["metadata"]["uid"]);
    assert!(left["metadata"]["ownerReferences"].is_null(), "{left}");

    // In the background: the Deployment goes though what it owns cannot, which goes later. A new one takes the old one's over.
    let options =
        json!({"spec": {"syncPolicy": {"syncOptions": ["PrunePropagationPolicy=background"]}}});
    let options = options.to_string();
    let words = [
        "app", "patch", "app", "--type", "merge", "--patch", &options,
    ];
    argocd(&tenant, &words).await?;
    tenant
        .checkout
        .push_file("app/d.json", deployment())
        .await?;
    synced(&tenant, &json!({}), "Succeeded").await?;
    let second = tenant.kube.get(&path).await?.context("the Deployment")?;
    replica_set(&tenant, &second).await?;
    let hold = json!({"metadata": {"finalizers": ["example.com/never"]}});
    tenant.kube.merge(&set, &hold).await?;
    tenant.checkout.remove("app/d.json")?;
    tenant.checkout.commit("it goes again").await?;
    tenant.checkout.push().await?;
    synced(&tenant, &json!({"prune": true}), "Succeeded").await?;
    gone(&tenant.kube, &path).await?;
    wait::until("the ReplicaSet is to go", PATIENCE, || async {
        let left = tenant.kube.get(&set).await?.context("the ReplicaSet")?;
        let going = &left["metadata"]["deletionTimestamp"];
        ensure!(going.is_string(), "{}", left["metadata"]);
        Ok(())
    })
    .await?;
    let release = json!({"metadata": {"finalizers": null}});
    tenant.kube.merge(&set, &release).await?;
    gone(&tenant.kube, &set).await
}

/// Syncs an application of the Deployment, whose ReplicaSet cannot go from then on: where that is.
async fn with_a_set_that_stays(tenant: &Tenant, deployment: &str) -> Result<String> {
    synced(tenant, &json!({}), "Succeeded").await?;
    let made = tenant.kube.get(deployment).await?;
    let set = replica_set(tenant, &made.context("the Deployment")?).await?;
    let name = set["metadata"]["name"].as_str().context("no name")?;
    let set = format!(
        "/apis/apps/v1/namespaces/{}/replicasets/{name}",
        tenant.name
    );
    let hold = json!({"metadata": {"finalizers": ["example.com/never"]}});
    tenant.kube.merge(&set, &hold).await?;
    Ok(set)
}

/// Lets that ReplicaSet go. The cluster's own finalizers may be beside ours, and are its to take off.
async fn let_go(tenant: &Tenant, set: &str) -> Result<()> {
    wait::until("the ReplicaSet is let go", PATIENCE, || async {
        let Some(there) = tenant.kube.get(set).await? else {
            return Ok(());
        };
        let all = there["metadata"]["finalizers"].as_array();
        let left: Vec<&Value> = (all.into_iter().flatten())
            .filter(|name| **name != "example.com/never")
            .collect();
        let version = &there["metadata"]["resourceVersion"];
        let patch = json!({"metadata": {"finalizers": left, "resourceVersion": version}});
        tenant.kube.merge(set, &patch).await.map(drop)
    })
    .await?;
    gone(&tenant.kube, set).await
}

#[tokio::test]
async fn a_deletion_goes_as_it_is_asked_to_and_leaves_what_is_to_stay() -> Result<()> {
    let stays = [("sync-options", "Delete=false")];
    let files = [
        ("d.json", deployment()),
        ("a.json", annotated("a", "1", &stays)),
        ("c.yaml", config_map("c", "1")),
    ];
    let tenant = application("delete-how", &files, &[]).await?;
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/d", tenant.name);
    let delete = async |policy: &str| -> Result<()> {
        let app = "/api/v1/applications/app?cascade=true&propagationPolicy=";
        let path = format!("{app}{policy}");
        tenant.client.delete(&path).await?.ok().map(drop)
    };

    // What it owns goes first, and keeps it and the application.
    let set = with_a_set_that_stays(&tenant, &path).await?;
    delete("foreground").await?;
    wait::until("the Deployment waits", PATIENCE, || async {
        let there = tenant.kube.get(&path).await?.context("it is gone")?;
        let finalizers = there["metadata"]["finalizers"].as_array();
        let waits = finalizers.is_some_and(|all| all.contains(&json!("foregroundDeletion")));
        ensure!(waits, "{}", there["metadata"]);
        Ok(())
    })
    .await?;
    gone(&tenant.kube, &map(&tenant, "c")).await?;
    let pending = |app: &Value| all_conditions(app).contains("[app.pending-deletion]");
    tenant.client.app_when("app", PATIENCE, pending).await?;
    assert!(tenant.kube.get(&path).await?.is_some(), "it waits");
    let_go(&tenant, &set).await?;
    tenant.client.app_gone("app", PATIENCE).await?;
    assert!(tenant.kube.get(&path).await?.is_none(), "it stayed behind");
    there(&tenant, "a").await?;

    // What it owns goes later, and keeps nothing.
    tenant.create_app("app", "app", &json!({})).await?;
    let set = with_a_set_that_stays(&tenant, &path).await?;
    delete("background").await?;
    tenant.client.app_gone("app", PATIENCE).await?;
    assert!(tenant.kube.get(&path).await?.is_none(), "it stayed behind");
    let left = tenant.kube.get(&set).await?;
    assert!(left.is_some(), "the ReplicaSet was waited for");
    let_go(&tenant, &set).await?;
    there(&tenant, "a").await?;
    Ok(())
}

/// What the apiserver was told to do about fields that it does not know, when the controller wrote that ConfigMap.
async fn validations(tenant: &Tenant, name: &str) -> Result<BTreeSet<String>> {
    let plane = platform::platform().await?.control_plane();
    let writes = plane.recorded(|event| {
        let of = &event["objectRef"];
        of["resource"] == "configmaps"
            && of["namespace"] == tenant.name.as_str()
            && of["name"] == name
            && event["user"]["username"] == "naru-controller"
    })?;
    let told = writes.iter().filter_map(|event| {
        let asked = event["requestURI"].as_str()?.split_once('?')?.1.to_owned();
        let mut said = asked.split('&');
        said.find_map(|said| said.strip_prefix("fieldValidation=").map(str::to_owned))
    });
    Ok(told.collect())
}

#[tokio::test]
async fn the_cluster_is_told_not_to_look_for_unknown_fields_where_that_is_said() -> Result<()> {
    let merged = [("sync-options", "ServerSideApply=false")];
    let unsaid = [("sync-options", "ServerSideApply=false,Validate=false")];
    let unknown = |file: String| file.replacen('{', "{\"nobody\":\"1\",", 1);
    let files = [
        ("a.json", unknown(annotated("a", "1", &merged))),
        ("b.json", unknown(annotated("b", "1", &unsaid))),
        ("c.json", unknown(annotated("c", "1", &[]))),
    ];
    let tenant = application("validate", &files, &[]).await?;
    synced(&tenant, &json!({}), "Succeeded").await?;
    // Of what it applies itself it would look for nothing but keys that come twice, and none do.
    for (name, told) in [("a", "Warn"), ("b", "Ignore"), ("c", "Ignore")] {
        assert_eq!(
            validations(&tenant, name).await?,
            BTreeSet::from([told.to_owned()]),
            "{name}"
        );
    }
    // What the schema does not declare is not applied, and told, in either case.
    let app = tenant.client.app_done("app", None, PATIENCE).await?;
    let said = all_conditions(&app);
    for file in ["app/a.json", "app/b.json", "app/c.json"] {
        assert!(
            said.contains("[lint.unknown-field]") && said.contains(file),
            "{said}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_namespace_that_a_sync_makes_gets_what_a_tenant_may_write_on_it() -> Result<()> {
    let tenant = platform::tenant("ns-meta").await?;
    let file = config_map("a", "1");
    tenant.checkout.push_file("app/a.yaml", file).await?;
    tenant.connect().await?;
    let namespace = format!("{}-made", tenant.name);
    let app = |team: &str| {
        let labels = json!({"team": team, "pod-security.kubernetes.io/enforce": "privileged"});
        let metadata =
            json!({"labels": labels, "annotations": {"contact": "a@b.c", "naru.io/x": "1"}});
        json!({
            "metadata": {"name": "app"},
            "spec": {
                "project": "default",
                "source": {"repoURL": tenant.repo_url, "path": "app", "targetRevision": "HEAD"},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
                "syncPolicy": {"syncOptions": ["CreateNamespace=true"], "managedNamespaceMetadata": metadata},
            },
        })
    };
    let create = "/api/v1/applications?validate=false";
    tenant.client.post(create, &app("one")).await?.ok()?;
    let synced_app = synced(&tenant, &json!({}), "Succeeded").await?;
    let result = &synced_app["status"]["operationState"]["syncResult"];
    let wanted = &result["managedNamespaceMetadata"];
    assert_eq!(wanted["labels"]["team"], "one", "{result}");
    assert_eq!(wanted["annotations"]["contact"], "a@b.c");
    let admin = platform::platform().await?.kube()?;
    let path = format!("/api/v1/namespaces/{namespace}");
    let made = admin.get(&path).await?.context("the namespace")?;
    assert_eq!(made["metadata"]["labels"]["team"], "one");
    assert_eq!(made["metadata"]["annotations"]["contact"], "a@b.c");
    let foreign = |made: &Value| {
        made["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
            || made["metadata"]["annotations"]["naru.io/x"] == "1"
    };
    assert!(!foreign(&made), "{}", made["metadata"]);

    // What changes is written by the next sync.
    let change = "/api/v1/applications?upsert=true&validate=false";
    tenant.client.post(change, &app("two")).await?.ok()?;
    synced(&tenant, &json!({}), "Succeeded").await?;
    let made = admin.get(&path).await?.context("the namespace")?;
    assert_eq!(made["metadata"]["labels"]["team"], "two");
    assert!(!foreign(&made), "{}", made["metadata"]);
    Ok(())
}

/// Makes a ConfigMap as a client-side apply does, with a key that Git does not have.
async fn by_client_side_apply(tenant: &Tenant, name: &str, manager: &str) -> Result<()> {
    let path = format!(
        "/api/v1/namespaces/{}/configmaps?fieldManager={manager}",
        tenant.name
    );
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
        "data": {"value": "1", "old": "x"}});
    let made = tenant.kube.request(Method::POST, &path).json(&object);
    made.send().await?.error_for_status()?;
    Ok(())
}

#[tokio::test]
async fn what_a_client_side_apply_wrote_is_taken_over_unless_it_shall_not_be() -> Result<()> {
    const KUBECTL: &str = "kubectl-client-side-apply";
    let annotation = "argocd.argoproj.io/client-side-apply-migration-manager";
    for (label, manager, options, named, old) in [
        ("migrate", KUBECTL, vec![], None, Value::Null),
        (
            "migrate-not",
            KUBECTL,
            vec!["ClientSideApplyMigration=false"],
            None,
            json!("x"),
        ),
        (
            "migrate-whom",
            "their-tool",
            vec![],
            Some("their-tool"),
            Value::Null,
        ),
        ("migrate-other", "their-tool", vec![], None, json!("x")),
    ] {
        let files = [("a.yaml", config_map("a", "1"))];
        let tenant = application(label, &files, &options).await?;
        by_client_side_apply(&tenant, "a", manager).await?;
        if let Some(named) = named {
            let patch = json!({"metadata": {"annotations": {annotation: named}}}).to_string();
            let words = ["app", "patch", "app", "--type", "merge", "--patch", &patch];
            argocd(&tenant, &words).await?;
        }
        synced(&tenant, &json!({}), "Succeeded").await?;
        assert_eq!(there(&tenant, "a").await?["data"]["old"], old, "{label}");
    }
    Ok(())
}

#[tokio::test]
async fn only_what_differs_is_applied_where_that_is_asked_for() -> Result<()> {
    let files = [
        ("a.yaml", config_map("a", "1")),
        ("b.yaml", config_map("b", "1")),
    ];
    let tenant = application("differing", &files, &["ApplyOutOfSyncOnly=true"]).await?;
    synced(&tenant, &json!({}), "Succeeded").await?;
    let changed = config_map("b", "2");
    tenant.checkout.push_file("app/b.yaml", changed).await?;
    let app = synced(&tenant, &json!({}), "Succeeded").await?;
    assert_eq!(results(&app), ["Sync ConfigMap/b Succeeded"]);
    Ok(())
}

#[tokio::test]
async fn an_object_of_another_application_fails_a_sync_that_does_not_share() -> Result<()> {
    let files = [("a.yaml", config_map("a", "1"))];
    let tenant = application("unshared", &files, &["FailOnSharedResource=true"]).await?;
    tenant
        .create_app("first", "app", &platform::automated())
        .await?;
    tenant.client.app_done("first", None, PATIENCE).await?;
    let app = synced(&tenant, &json!({}), "Failed").await?;
    let message = app["status"]["operationState"]["message"].as_str();
    let named = message.is_some_and(|message| message.contains("belongs to application `first`"));
    assert!(named, "{message:?}");
    let object = there(&tenant, "a").await?;
    let whose = &object["metadata"]["annotations"];
    let id = whose["argocd.argoproj.io/tracking-id"].as_str();
    assert!(id.is_some_and(|id| id.starts_with("first:")), "{whose}");
    Ok(())
}

#[tokio::test]
async fn a_kind_that_the_cluster_has_not_yet_is_tried_where_that_is_asked_for() -> Result<()> {
    let ghost = |options: &str| {
        json!({"apiVersion": "nowhere.example/v1", "kind": "Ghost", "metadata": {"name": "g",
            "annotations": {"argocd.argoproj.io/sync-options": options}}})
        .to_string()
    };
    let files = [
        ("a.yaml", config_map("a", "1")),
        ("ghost.json", ghost("Prune=false")),
    ];
    let tenant = application("not-yet", &files, &[]).await?;
    // Nothing is applied of a plan that cannot be carried out.
    let app = synced(&tenant, &json!({}), "Failed").await?;
    assert!(all_conditions(&app).contains("[sync.unknown-kind]"));
    assert!(tenant.kube.get(&map(&tenant, "a")).await?.is_none());
    let tolerated = ghost("SkipDryRunOnMissingResource=true");
    tenant
        .checkout
        .push_file("app/ghost.json", tolerated)
        .await?;
    let app = synced(&tenant, &json!({}), "Failed").await?;
    assert!(
        all_conditions(&app).contains("[cluster.unknown-kind]"),
        "{}",
        all_conditions(&app)
    );
    there(&tenant, "a").await?;
    Ok(())
}

#[tokio::test]
async fn a_retry_deploys_what_is_newest_only_where_that_is_asked_for() -> Result<()> {
    let ghost =
        json!({"apiVersion": "nowhere.example/v1", "kind": "Ghost", "metadata": {"name": "g"}});
    let ghost = ghost.to_string();
    let tenant = application("retry-refresh", &[("g.json", ghost.clone())], &[]).await?;
    let backoff = json!({"duration": "1s", "factor": 1, "maxDuration": "1s"});
    let retry = |limit: i64, refresh: bool| json!({"retryStrategy": {"limit": limit, "refresh": refresh, "backoff": backoff}});

    sync(&tenant, &retry(-1, true)).await?;
    let failed = |app: &Value| app["status"]["operationState"]["retryCount"].as_i64() > Some(0);
    tenant.client.app_when("app", PATIENCE, failed).await?;
    let fixed = annotated("g", "1", &[]);
    let newest = tenant.checkout.push_file("app/g.json", fixed).await?;
    let app = ended(&tenant, "Succeeded").await?;
    let result = &app["status"]["operationState"]["syncResult"];
    assert_eq!(result["revision"], newest);
    assert_eq!(there(&tenant, "g").await?["data"]["value"], "1");

    let broken = tenant.checkout.push_file("app/g.json", ghost).await?;
    sync(&tenant, &retry(2, false)).await?;
    tenant.client.app_when("app", PATIENCE, failed).await?;
    let fixed = annotated("g", "2", &[]);
    tenant.checkout.push_file("app/g.json", fixed).await?;
    let app = ended(&tenant, "Failed").await?;
    let result = &app["status"]["operationState"]["syncResult"];
    assert_eq!(result["revision"], broken);
    assert_eq!(there(&tenant, "g").await?["data"]["value"], "1");
    Ok(())
}

/// A tenant with an application that syncs by itself and whose one ConfigMap no cluster takes. It is tried again after ten minutes, and
/// waits for that.
async fn waiting_for_a_retry(label: &str, asks: bool) -> Result<(Tenant, String)> {
    let tenant = platform::tenant(label).await?;
    let refused = annotated("Pa_1", "1", &[]);
    let broken = tenant.checkout.push_file("app/m.json", refused).await?;
    tenant.connect().await?;
    let backoff = json!({"duration": "10m", "factor": 1, "maxDuration": "10m"});
    let retry = json!({"limit": 5, "backoff": backoff});
    let mut policy = json!({"retry": retry});
    if !asks {
        policy["automated"] = json!({"prune": true, "selfHeal": true});
    }
    tenant.create_app("app", "app", &policy).await?;
    if asks {
        sync(&tenant, &json!({"retryStrategy": retry})).await?;
    }
    let waits = |app: &Value| {
        let state = &app["status"]["operationState"];
        state["phase"] == "Running"
            && !state["finishedAt"].is_null()
            && all_conditions(app).contains("[sync.retry-waits]")
    };
    let app = tenant.client.app_when("app", PATIENCE, waits).await?;
    let said = all_conditions(&app);
    ensure!(
        said.contains(&broken) && said.contains("attempt #1") && said.contains("terminate-op"),
        "{said}"
    );
    Ok((tenant, broken))
}

#[tokio::test]
async fn a_fix_is_deployed_without_waiting_for_the_next_try_of_what_it_corrects() -> Result<()> {
    let (tenant, broken) = waiting_for_a_retry("superseded", false).await?;
    // The same commit supersedes nothing, and a refresh is answered beside the operation.
    let refresh = "/api/v1/applications/app?refresh=normal";
    let app = tenant.client.get(refresh).await?.ok()?;
    assert_eq!(app["status"]["operationState"]["phase"], "Running");
    assert_eq!(app["status"]["sync"]["revision"], broken);
    assert_eq!(app["status"]["sync"]["status"], "OutOfSync");

    let fixed = annotated("pa-1", "1", &[]);
    let newest = tenant.checkout.push_file("app/m.json", fixed).await?;
    tenant.client.get(refresh).await?.ok()?;
    let app = tenant
        .client
        .app_done("app", Some(&newest), PATIENCE)
        .await?;
    let state = &app["status"]["operationState"];
    assert_eq!(state["phase"], "Succeeded");
    assert_eq!(state["syncResult"]["revision"], newest);
    assert_eq!(state["retryCount"].as_i64().unwrap_or_default(), 0);
    assert!(!all_conditions(&app).contains("[sync.retry-waits]"));
    assert_eq!(there(&tenant, "pa-1").await?["data"]["value"], "1");
    Ok(())
}

#[tokio::test]
async fn what_a_person_asked_for_keeps_its_revision_while_git_goes_on_beside_it() -> Result<()> {
    let (tenant, broken) = waiting_for_a_retry("not-superseded", true).await?;
    let fixed = annotated("pa-1", "1", &[]);
    let newest = tenant.checkout.push_file("app/m.json", fixed).await?;
    let refresh = "/api/v1/applications/app?refresh=normal";
    let app = tenant.client.get(refresh).await?.ok()?;
    assert_eq!(app["status"]["sync"]["revision"], newest);
    let state = &app["status"]["operationState"];
    assert_eq!(state["phase"], "Running");
    assert_eq!(state["syncResult"]["revision"], broken);
    assert!(tenant.kube.get(&map(&tenant, "pa-1")).await?.is_none());

    argocd(&tenant, &["app", "terminate-op", "app"]).await?;
    ended(&tenant, "Failed").await?;
    synced(&tenant, &json!({}), "Succeeded").await?;
    assert_eq!(there(&tenant, "pa-1").await?["data"]["value"], "1");
    Ok(())
}
