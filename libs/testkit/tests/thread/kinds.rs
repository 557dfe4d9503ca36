//! Kinds that a tenant's settings leave out; custom kinds: what their conditions and the settings' scripts say of objects and of
//! hooks, and actions that write their status.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use testkit::platform::{self, Tenant};
use testkit::wait;

use crate::hooks::{application, ended, results, says, sync};
use crate::{PATIENCE, all_conditions, code, conditions, config_map, said, set};

const EXCLUSIONS: &str = "resource.exclusions";
const INCLUSIONS: &str = "resource.inclusions";
const SECRETS: &str = "- apiGroups: [\"\"]\n  kinds: [Secret]\n";

fn secret(name: &str) -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\nstringData:\n  a: b\n")
}

async fn exclude(tenant: &Tenant, key: &str, kinds: &str) -> Result<()> {
    set(tenant, "argocd-cm", key, kinds).await
}

async fn app_when(tenant: &Tenant, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    tenant.client.app_when("app", PATIENCE, wanted).await
}

/// Whether an application says that an object is left out.
fn left_out(app: &Value, object: &str) -> bool {
    let words = format!("Resource /{object} is excluded in the settings");
    let said = conditions(app, "ExcludedResourceWarning");
    said.iter().any(|text| text.starts_with(&words))
}

/// The kinds of the objects that an application lists.
fn kinds(list: &Value) -> Vec<&str> {
    let all = list.as_array().into_iter().flatten();
    all.filter_map(|object| object["kind"].as_str()).collect()
}

#[tokio::test]
async fn a_kind_that_the_settings_leave_out_is_in_no_view_and_is_left_alone() -> Result<()> {
    let tenant = platform::tenant("kinds-out").await?;
    for (file, text) in [("a.yaml", config_map("a", "1")), ("s.yaml", secret("s"))] {
        tenant.checkout.write(&format!("app/{file}"), text)?;
    }
    tenant.checkout.commit("a map and a secret").await?;
    tenant.checkout.push().await?;
    tenant.connect().await?;
    tenant
        .create_app("app", "app", &json!({"automated": {}}))
        .await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    let live =
        |kinds: &str, name: &str| format!("/api/v1/namespaces/{}/{kinds}/{name}", tenant.name);
    let (map, own) = (live("configmaps", "a"), live("secrets", "s"));
    let lost = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "lost"}});
    tenant.kube.apply(&live("secrets", "lost"), &lost).await?;
    let mut project = tenant.client.get("/api/v1/projects/default").await?.ok()?;
    project["spec"]["orphanedResources"] = json!({"warn": true});
    let body = json!({"project": project});
    let url = "/api/v1/projects/default";
    tenant.client.put(url, &body).await?.ok()?;
    let orphaned = |app: &Value| !conditions(app, "OrphanedResourceWarning").is_empty();
    app_when(&tenant, orphaned).await?;

    // What is no list of kinds is refused: it would leave out everything.
    for bad in [
        "- kind: [Secret]\n",
        "kinds: [Secret]\n",
        "- apiGroups: [\"{\"]\n",
    ] {
        assert!(exclude(&tenant, EXCLUSIONS, bad).await.is_err(), "{bad}");
    }
    exclude(&tenant, EXCLUSIONS, SECRETS).await?;
    let app = app_when(&tenant, |app| left_out(app, "Secret s") && !orphaned(app)).await?;
    assert_eq!(kinds(&app["status"]["resources"]), ["ConfigMap"]);
    assert_eq!(app["status"]["sync"]["status"], "Synced");
    let get = async |what: &str| {
        tenant
            .client
            .get(&format!("/api/v1/applications/app/{what}"))
            .await
    };
    let tree = get("resource-tree").await?.ok()?;
    assert_eq!(kinds(&tree["nodes"]), ["ConfigMap"], "{tree}");
    assert!(kinds(&tree["orphanedNodes"]).is_empty(), "{tree}");
    let managed = get("managed-resources").await?.ok()?;
    assert_eq!(kinds(&managed["items"]), ["ConfigMap"], "{managed}");
    let object = format!(
        "resource?resourceName=s&namespace={}&version=v1&kind=Secret",
        tenant.name
    );
    let answer = get(&object).await?;
    assert_ne!(answer.status, 200, "{}", answer.body);
    let shown = tenant.client.argocd(&["app", "get", "app"]).await?;
    assert!(
        said(&shown).contains("ExcludedResourceWarning"),
        "{}",
        said(&shown)
    );

    // What left Git is not superfluous while it is left out, and is as soon as it is not.
    tenant.checkout.remove("app/s.yaml")?;
    let revision = tenant.checkout.commit("without the secret").await?;
    tenant.checkout.push().await?;
    let app = tenant
        .client
        .app_done("app", Some(&revision), PATIENCE)
        .await?;
    assert!(!left_out(&app, "Secret s"), "{}", all_conditions(&app));
    exclude(&tenant, EXCLUSIONS, "").await?;
    let superfluous = |app: &Value| app["status"]["sync"]["status"] == "OutOfSync" && orphaned(app);
    app_when(&tenant, superfluous).await?;

    // Only what is included, and of that not what is excluded.
    exclude(&tenant, INCLUSIONS, "- kinds: [Secret, Deployment]\n").await?;
    app_when(&tenant, |app| left_out(app, "ConfigMap a")).await?;
    exclude(
        &tenant,
        INCLUSIONS,
        "- clusters: [\"https://kubernetes.default.*\"]\n",
    )
    .await?;
    exclude(&tenant, EXCLUSIONS, SECRETS).await?;
    let only_map = |app: &Value| kinds(&app["status"]["resources"]) == ["ConfigMap"];
    app_when(&tenant, only_map).await?;

    // A deletion leaves it alone, too.
    let url = "/api/v1/applications/app?cascade=true";
    tenant.client.delete(url).await?.ok()?;
    tenant.client.app_gone("app", PATIENCE).await?;
    assert!(tenant.kube.get(&map).await?.is_none());
    assert!(tenant.kube.get(&own).await?.is_some());
    Ok(())
}

/// Has the cluster know a kind `Run` whose status is written apart, and tenants use it.
async fn define() -> Result<()> {
    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"type": "object", "properties": {"spec": any, "status": any}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "runs.kinds.example"},
        "spec": {"group": "kinds.example", "scope": "Namespaced",
            "names": {"plural": "runs", "singular": "run", "kind": "Run"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": schema}}]}});
    let admin = platform::platform().await?.kube()?;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let path = format!("{definitions}/runs.kinds.example");
    admin.apply(&path, &definition).await?;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "runs-kinds", "labels": {"rbac.authorization.k8s.io/aggregate-to-admin": "true"}},
        "rules": [{"apiGroups": ["kinds.example"], "resources": ["runs", "runs/status"], "verbs": ["*"]}]});
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles/runs-kinds";
    admin.apply(roles, &role).await?;
    Ok(())
}

fn run(name: &str, annotations: &Value) -> String {
    json!({"apiVersion": "kinds.example/v1", "kind": "Run", "metadata": {"name": name, "annotations": annotations},
        "spec": {"note": "from Git"}})
    .to_string()
}

fn live(tenant: &Tenant, name: &str) -> String {
    let namespace = &tenant.name;
    format!("/apis/kinds.example/v1/namespaces/{namespace}/runs/{name}")
}

/// Syncs until a run is there: the kind has to become known, and permitted.
async fn made(tenant: &Tenant, name: &str) -> Result<()> {
    let path = live(tenant, name);
    let admin = platform::platform().await?.kube()?;
    wait::until("the run is made", PATIENCE, || async {
        if admin.get(&path).await?.is_some() {
            return Ok(());
        }
        let asked = sync(tenant, &json!({})).await;
        bail!("not there yet: {asked:?}")
    })
    .await
}

/// Has a controller say something of a run.
async fn report(tenant: &Tenant, name: &str, status: &Value) -> Result<()> {
    let admin = platform::platform().await?.kube()?;
    let path = format!("{}/status", live(tenant, name));
    admin.merge(&path, &json!({"status": status})).await?;
    Ok(())
}

#[tokio::test]
async fn a_hook_of_a_custom_kind_ends_when_the_settings_script_says_so() -> Result<()> {
    define().await?;
    let platform = platform::platform().await?;
    let hook = json!({"argocd.argoproj.io/hook": "PreSync"});
    let files = [
        ("before.json", run("before", &hook)),
        ("a.yaml", config_map("a", "1")),
    ];
    let tenant = application(platform, "kinds-hook", &files).await?;
    let script = "local phase = obj.status ~= nil and obj.status.phase or \"\"\n\
                  if phase == \"Done\" then\n  return {status = \"Healthy\", message = \"all printed\"}\nend\n\
                  if phase == \"Broken\" then\n  return {status = \"Degraded\", message = \"no \" .. obj.status.lacks}\nend\n\
                  return {status = \"Progressing\", message = \"printing\"}\n";
    let key = "resource.customizations.health.kinds.example_Run";
    set(&tenant, "argocd-cm", key, script).await?;
    made(&tenant, "before").await?;
    let waits = "waiting for completion of hook kinds.example/Run/before";
    says(&tenant, waits).await?;
    let map = format!("/api/v1/namespaces/{}/configmaps/a", tenant.name);
    assert!(tenant.kube.get(&map).await?.is_none());
    report(&tenant, "before", &json!({"phase": "Done"})).await?;
    let app = ended(&tenant, "Succeeded").await?;
    let expected = [
        "PreSync hook Run/before Succeeded",
        "Sync ConfigMap/a Succeeded",
    ];
    assert_eq!(results(&app), expected);

    // Made anew, it is not what was said of the one before.
    let admin = platform.kube()?;
    let path = live(&tenant, "before");
    let first = admin.get(&path).await?.context("no run")?;
    sync(&tenant, &json!({})).await?;
    wait::until("the hook is made anew", PATIENCE, || async {
        let there = admin.get(&path).await?.context("gone")?;
        ensure!(
            there["metadata"]["uid"] != first["metadata"]["uid"],
            "the same"
        );
        Ok(())
    })
    .await?;
    says(&tenant, waits).await?;
    let broken = json!({"phase": "Broken", "lacks": "paper"});
    report(&tenant, "before", &broken).await?;
    let app = ended(&tenant, "Failed").await?;
    assert_eq!(results(&app), ["PreSync hook Run/before Failed"]);
    assert!(
        all_conditions(&app).contains("no paper"),
        "{}",
        all_conditions(&app)
    );
    Ok(())
}

#[tokio::test]
async fn a_custom_kind_fares_by_its_conditions_and_actions_write_its_status() -> Result<()> {
    define().await?;
    let platform = platform::platform().await?;
    let files = [("r.json", run("r", &json!({})))];
    let tenant = application(platform, "kinds-act", &files).await?;
    made(&tenant, "r").await?;
    ended(&tenant, "Succeeded").await?;
    let ready = |status: &str| {
        json!({"observedGeneration": 1, "conditions": [
            {"type": "Ready", "status": status, "reason": "Printing", "message": "page 3"}]})
    };
    let stalled = json!({"observedGeneration": 1, "conditions": [
        {"type": "Ready", "status": "False"}, {"type": "Stalled", "status": "True", "reason": "NoPaper"}]});
    for (status, code) in [
        (json!({"observedGeneration": 0}), "Progressing"),
        (ready("True"), "Healthy"),
        (ready("False"), "Progressing"),
        (stalled, "Degraded"),
        (ready("True"), "Healthy"),
    ] {
        report(&tenant, "r", &status).await?;
        let fares = |app: &Value| app["status"]["health"]["status"] == *code;
        app_when(&tenant, fares).await.context(code)?;
    }

    let actions = "discovery.lua: |\n  return {finish = {}}\n\
                   definitions:\n- name: finish\n  action.lua: |\n    obj.status.phase = \"Done\"\n    obj.spec.note = \"by hand\"\n    return obj\n";
    let key = "resource.customizations.actions.kinds.example_Run";
    set(&tenant, "argocd-cm", key, actions).await?;
    let argocd = async |args: &[&str]| -> Result<String> {
        let output = tenant.client.argocd(args).await?;
        ensure!(code(&output) == 0, "{}", said(&output));
        Ok(said(&output))
    };
    wait::until("the settings are known", PATIENCE, || async {
        let listed = argocd(&["app", "actions", "list", "app", "--kind", "Run"]).await?;
        ensure!(listed.contains("finish"), "{listed}");
        Ok(())
    })
    .await?;
    argocd(&["app", "actions", "run", "app", "finish", "--kind", "Run"]).await?;
    let there = platform.kube()?.get(&live(&tenant, "r")).await?;
    let there = there.context("no run")?;
    assert_eq!(there["status"]["phase"], "Done", "{there}");
    assert_eq!(there["status"]["observedGeneration"], 1, "{there}");
    assert_eq!(there["spec"]["note"], "by hand", "{there}");
    Ok(())
}
