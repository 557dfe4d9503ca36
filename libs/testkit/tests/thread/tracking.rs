//! By what an application's objects are known: an annotation, a label, or both; and that a change from one to another loses
//! nothing and takes nothing that is somebody else's.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::kube::Kube;
use testkit::platform::{self, Tenant};
use testkit::wait;

use crate::hooks::{self, application, gone, is_held, job, says};
use crate::{PATIENCE, all_conditions, config_map, set};

const METHOD: &str = "application.resourceTrackingMethod";
const LABEL: &str = "app.kubernetes.io/instance";
const TRACKING_ID: &str = "argocd.argoproj.io/tracking-id";
const INSTALLATION_ID: &str = "argocd.argoproj.io/installation-id";

fn map(tenant: &Tenant, name: &str) -> String {
    format!("/api/v1/namespaces/{}/configmaps/{name}", tenant.name)
}

/// The tracking id and the label of a ConfigMap, which has to name its tenant.
async fn marks(tenant: &Tenant, name: &str) -> Result<(Option<String>, Option<String>)> {
    let there = tenant.kube.get(&map(tenant, name)).await?;
    let there = there.with_context(|| format!("no {name}"))?;
    let metadata = &there["metadata"];
    let named = &metadata["annotations"][INSTALLATION_ID];
    ensure!(*named == json!(tenant.name), "{metadata}");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Ok((
        text(&metadata["annotations"][TRACKING_ID]),
        text(&metadata["labels"][LABEL]),
    ))
}

fn id(tenant: &Tenant, name: &str) -> Option<String> {
    Some(format!("app:/ConfigMap:{}/{name}", tenant.name))
}

fn by_label() -> Option<String> {
    Some("app".to_owned())
}

/// Changes the method, and waits until the application's targets are marked by it.
async fn by(tenant: &Tenant, method: &str) -> Result<()> {
    set(tenant, "argocd-cm", METHOD, method).await?;
    let (annotated, labelled) = (method != "label", method != "annotation");
    wait::until("the method is known", PATIENCE, || async {
        let path = "/api/v1/applications/app/managed-resources";
        let managed = tenant.client.get(path).await?.ok()?;
        let targets: Vec<&str> = managed["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|item| item["targetState"].as_str())
            .filter(|state| *state != "null")
            .collect();
        ensure!(!targets.is_empty(), "{managed}");
        for target in targets {
            ensure!(target.contains(TRACKING_ID) == annotated, "{target}");
            ensure!(target.contains(LABEL) == labelled, "{target}");
        }
        Ok(())
    })
    .await
}

/// Syncs with pruning, and waits until that has succeeded.
async fn synced(tenant: &Tenant, mark: &str) -> Result<Value> {
    refresh(tenant).await?;
    let mark = json!([{"name": "mark", "value": mark}]);
    hooks::sync(tenant, &json!({"prune": true, "infos": mark})).await?;
    let over = |app: &Value| {
        let state = &app["status"]["operationState"];
        state["phase"] == "Succeeded" && state["operation"]["info"][0] == mark[0]
    };
    tenant.client.app_when("app", PATIENCE, over).await
}

async fn refresh(tenant: &Tenant) -> Result<Value> {
    let asked = tenant.client.get("/api/v1/applications/app?refresh=normal");
    asked.await?.ok()
}

async fn is(tenant: &Tenant, status: &str) -> Result<()> {
    let is = |app: &Value| app["status"]["sync"]["status"] == status;
    tenant.client.app_when("app", PATIENCE, is).await?;
    Ok(())
}

/// The objects of the application's status, by name.
fn listed(app: &Value) -> Vec<&str> {
    let all = app["status"]["resources"].as_array();
    let named = all.into_iter().flatten();
    named.filter_map(|object| object["name"].as_str()).collect()
}

#[tokio::test]
async fn a_change_of_the_method_loses_nothing_and_takes_nothing() -> Result<()> {
    let platform = platform::platform().await?;
    let files = [
        ("a.yaml", config_map("a", "1")),
        ("b.yaml", config_map("b", "1")),
        ("c.yaml", config_map("c", "1")),
    ];
    let tenant = application(platform, "tracking", &files).await?;
    let neighbour = application(platform, "tracking-next", &files).await?;
    for one in [&tenant, &neighbour] {
        synced(one, "first").await?;
    }
    assert_eq!(marks(&tenant, "a").await?, (id(&tenant, "a"), None));

    // Whoever may write into the namespace may write any label; this one says whose it is.
    let object = |name: &str, metadata: Value| {
        let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
        object["metadata"]["name"] = json!(name);
        object
    };
    let labels = json!({LABEL: "app"});
    let theirs = object(
        "theirs",
        json!({"labels": labels, "annotations": {INSTALLATION_ID: "elsewhere"}}),
    );
    tenant.kube.apply(&map(&tenant, "theirs"), &theirs).await?;
    let copied = json!({TRACKING_ID: id(&tenant, "a"), INSTALLATION_ID: tenant.name});
    let copy = object("copy", json!({"labels": labels, "annotations": copied}));
    tenant.kube.apply(&map(&tenant, "copy"), &copy).await?;

    // By label: OutOfSync until a sync, as in Argo CD; what left Git meanwhile is known by its annotation.
    by(&tenant, "label").await?;
    is(&tenant, "OutOfSync").await?;
    tenant.checkout.remove("app/b.yaml")?;
    tenant.checkout.commit("without b").await?;
    tenant.checkout.push().await?;
    synced(&tenant, "by label").await?;
    is(&tenant, "Synced").await?;
    gone(&tenant.kube, &map(&tenant, "b")).await?;
    assert_eq!(marks(&tenant, "a").await?, (None, by_label()));

    // In a namespace of the tenant's own a label alone is enough.
    let alone = object("alone", json!({"labels": labels}));
    tenant.kube.apply(&map(&tenant, "alone"), &alone).await?;
    let app = tenant
        .client
        .app_when("app", PATIENCE, |app| listed(app).contains(&"alone"))
        .await?;
    assert_eq!(
        app["status"]["sync"]["status"], "OutOfSync",
        "it is not in Git"
    );
    assert!(!listed(&app).contains(&"theirs"), "{:?}", listed(&app));
    assert!(!listed(&app).contains(&"copy"), "{:?}", listed(&app));
    synced(&tenant, "pruned").await?;
    gone(&tenant.kube, &map(&tenant, "alone")).await?;

    // Back to the annotation: Synced without a sync, as in Argo CD, and what left Git is known by its label.
    by(&tenant, "annotation").await?;
    let app = refresh(&tenant).await?;
    assert_eq!(
        app["status"]["sync"]["status"],
        "Synced",
        "{}",
        all_conditions(&app)
    );
    tenant.checkout.remove("app/c.yaml")?;
    tenant.checkout.commit("without c").await?;
    tenant.checkout.push().await?;
    synced(&tenant, "by annotation").await?;
    is(&tenant, "Synced").await?;
    gone(&tenant.kube, &map(&tenant, "c")).await?;
    assert_eq!(marks(&tenant, "a").await?, (id(&tenant, "a"), None));

    by(&tenant, "annotation+label").await?;
    is(&tenant, "OutOfSync").await?;
    synced(&tenant, "by both").await?;
    is(&tenant, "Synced").await?;
    assert_eq!(marks(&tenant, "a").await?, (id(&tenant, "a"), by_label()));

    // What goes with the application is what it is known to have, by the mark of before too.
    by(&tenant, "label").await?;
    let deleted = tenant
        .client
        .delete("/api/v1/applications/app?cascade=true");
    deleted.await?.ok()?;
    tenant.client.app_gone("app", PATIENCE).await?;
    gone(&tenant.kube, &map(&tenant, "a")).await?;
    for kept in ["theirs", "copy"] {
        let there = tenant.kube.get(&map(&tenant, kept)).await?;
        assert!(there.is_some(), "{kept} is not the application's");
    }
    for name in ["a", "b", "c"] {
        let of_neighbour = marks(&neighbour, name).await?;
        assert_eq!(of_neighbour, (id(&neighbour, name), None), "{name}");
    }
    Ok(())
}

/// Has the pod of the job of this uid end well; that of the one before may still be there.
async fn finish(kube: &Kube, tenant: &Tenant, job: &str) -> Result<()> {
    let pods = format!("/api/v1/namespaces/{}/pods", tenant.name);
    let pod = wait::until("the job has its pod", PATIENCE, || async {
        let found = kube.get(&pods).await?.unwrap_or_default();
        let mut all = found["items"].as_array().into_iter().flatten();
        let own = all.find(|pod| pod["metadata"]["ownerReferences"][0]["uid"] == job);
        let name = own.and_then(|pod| pod["metadata"]["name"].as_str());
        name.map(str::to_owned).context("not yet")
    })
    .await?;
    let ended = json!({"status": {"phase": "Succeeded"}});
    kube.merge(&format!("{pods}/{pod}/status"), &ended).await?;
    Ok(())
}

#[tokio::test]
async fn hooks_are_let_go_and_made_anew_whatever_the_method_was() -> Result<()> {
    let platform = platform::platform().await?;
    let before = job("before", &[("hook", "PreSync")], "pending");
    let files = [("before.json", before), ("a.yaml", config_map("a", "1"))];
    let tenant = application(platform, "tracking-hooks", &files).await?;
    let kube = platform.kube()?;
    let path = hooks::path(&tenant, "before");
    let waiting = "waiting for completion of hook batch/Job/before";
    let mut last = String::new();
    for (number, method) in ["label", "annotation", "label"].into_iter().enumerate() {
        by(&tenant, method).await?;
        let mark = json!([{"name": "mark", "value": number.to_string()}]);
        hooks::sync(&tenant, &json!({"infos": mark})).await?;
        // The one of before is there, by the other mark, and makes room.
        let made = wait::until("the hook is made", PATIENCE, || async {
            let there = tenant.kube.get(&path).await?.context("no hook")?;
            let uid = there["metadata"]["uid"].as_str().unwrap_or_default();
            ensure!(uid != last, "it is the one of before");
            Ok(there)
        })
        .await?;
        last = made["metadata"]["uid"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(is_held(&made), "{made}");
        let annotated = made["metadata"]["annotations"][TRACKING_ID].is_string();
        assert_eq!(annotated, method == "annotation", "{made}");
        says(&tenant, waiting).await?;

        // The method changes while it runs.
        let other = if method == "label" {
            "annotation"
        } else {
            "label"
        };
        by(&tenant, other).await?;
        finish(&kube, &tenant, &last).await?;
        let over = |app: &Value| {
            let state = &app["status"]["operationState"];
            state["phase"] == "Succeeded" && state["operation"]["info"][0] == mark[0]
        };
        tenant.client.app_when("app", PATIENCE, over).await?;
        wait::until("the hook is let go", PATIENCE, || async {
            let there = tenant.kube.get(&path).await?.context("it stays")?;
            ensure!(!is_held(&there), "{}", there["metadata"]);
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_nobody_would_read_again_is_refused() -> Result<()> {
    let tenant = platform::tenant("tracking-set").await?;
    set(
        &tenant,
        "argocd-cm",
        "application.instanceLabelKey",
        "argocd.argoproj.io/instance",
    )
    .await?;
    let change = |method: &str| json!({"changes": [{"object": "argocd-cm", "key": METHOD, "value": method}]});
    for (method, words) in [
        ("label", "annotation+label"),
        ("labels", "annotation, label, annotation+label"),
    ] {
        let answer = tenant
            .client
            .patch("/api/naru/v1/settings", &change(method))
            .await?;
        assert_eq!(answer.status, 400, "{}", answer.body);
        let said = answer.body["message"].as_str().unwrap_or_default();
        assert!(said.contains(words), "{said}");
    }
    set(&tenant, "argocd-cm", METHOD, "annotation+label").await?;
    let shown = tenant.client.get("/api/v1/settings").await?.ok()?;
    assert_eq!(shown["trackingMethod"], "annotation+label");
    assert_eq!(shown["appLabelKey"], "argocd.argoproj.io/instance");
    assert_eq!(shown["installationID"], json!(tenant.name));
    Ok(())
}
