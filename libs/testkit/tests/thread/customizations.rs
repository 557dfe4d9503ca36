//! What a tenant's settings say of kinds in Lua and jq: health, what comparisons leave out, actions; and what hostile scripts
//! come to.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::platform::{self, Tenant};
use testkit::wait;

use crate::{PATIENCE, all_conditions, code, config_map, said, set};

const HEALTH: &str = "resource.customizations.health.ConfigMap";
const IGNORE: &str = "resource.customizations.ignoreDifferences.ConfigMap";
const ACTIONS: &str = "resource.customizations.actions.ConfigMap";

/// A tenant with an application `a` of one ConfigMap `a`, deployed.
async fn deployed(label: &str, policy: &Value) -> Result<(Tenant, String)> {
    let tenant = platform::tenant(label).await?;
    tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "1"))
        .await?;
    tenant.connect().await?;
    tenant.create_app("a", "app", policy).await?;
    tenant.client.app_done("a", None, PATIENCE).await?;
    let path = format!("/api/v1/namespaces/{}/configmaps/a", tenant.name);
    Ok((tenant, path))
}

async fn health(tenant: &Tenant, code: &str) -> Result<Value> {
    let fares = |app: &Value| app["status"]["health"]["status"] == *code;
    tenant.client.app_when("a", PATIENCE, fares).await
}

async fn sync(tenant: &Tenant, code: &str) -> Result<Value> {
    let stands = |app: &Value| app["status"]["sync"]["status"] == *code;
    tenant.client.app_when("a", PATIENCE, stands).await
}

#[tokio::test]
async fn health_is_what_the_settings_say_and_a_hostile_script_is_stopped() -> Result<()> {
    let (tenant, path) = deployed("lua", &json!({"automated": {}})).await?;
    let script = "hs = {}\nif obj.data.value == \"2\" then\n  hs.status = \"Degraded\"\n  hs.message = \"value is \" .. obj.data.value\n\
                  else\n  hs.status = \"Healthy\"\nend\nreturn hs\n";
    set(&tenant, "argocd-cm", HEALTH, script).await?;
    health(&tenant, "Healthy").await?;
    tenant
        .kube
        .merge(&path, &json!({"data": {"value": "2"}}))
        .await?;
    let app = health(&tenant, "Degraded").await?;
    let object = &app["status"]["resources"][0];
    assert_eq!(object["health"]["message"], "value is 2", "{object}");
    let tree = tenant
        .client
        .get("/api/v1/applications/a/resource-tree")
        .await?
        .ok()?;
    assert_eq!(tree["nodes"][0]["health"]["status"], "Degraded", "{tree}");
    let shown = tenant.client.argocd(&["app", "get", "a"]).await?;
    assert!(said(&shown).contains("Degraded"), "{}", said(&shown));
    tenant
        .kube
        .merge(&path, &json!({"data": {"value": "3"}}))
        .await?;
    health(&tenant, "Healthy").await?;

    // What does not end, what grows without end, and what is wrong: each is named, and the application of another tenant
    // is looked at meanwhile.
    let (neighbour, other) =
        deployed("lua-next", &json!({"automated": {"selfHeal": true}})).await?;
    for (hostile, words) in [
        ("while true do end", "longer than a second"),
        ("local s = \"x\" while true do s = s .. s end", "memory"),
        ("return {status = \"Fine\"}", "Fine"),
        ("return obj.none.more", "nil"),
        (
            "return {status = tostring(os.execute) .. tostring(io) .. tostring(load)}",
            "nilnilnil",
        ),
    ] {
        set(&tenant, "argocd-cm", HEALTH, hostile).await?;
        let told = |app: &Value| {
            app["status"]["health"]["status"] == "Unknown" && all_conditions(app).contains(words)
        };
        let app = tenant.client.app_when("a", PATIENCE, told).await;
        app.with_context(|| hostile.to_owned())?;
        neighbour.kube.delete(&other).await?;
        wait::until("the neighbour is healed", PATIENCE, || async {
            let there = neighbour.kube.get(&other).await?;
            ensure!(there.is_some(), "not there");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_jq_names_is_left_out_of_comparisons_and_of_syncs_that_respect_it() -> Result<()> {
    let (tenant, path) = deployed(
        "jq",
        &json!({"syncOptions": ["RespectIgnoreDifferences=true"]}),
    )
    .await?;
    let left_out = async |rules: Value| -> Result<()> {
        let mut app = tenant.client.app("a").await?;
        app["spec"]["ignoreDifferences"] = rules;
        let url = "/api/v1/applications/a/spec";
        tenant.client.put(url, &app["spec"]).await?.ok()?;
        Ok(())
    };
    let agrees = async |differs: i32| -> Result<()> {
        let diff = tenant.client.argocd(&["app", "diff", "a"]).await?;
        ensure!(code(&diff) == differs, "{}", said(&diff));
        Ok(())
    };
    tenant
        .kube
        .merge(&path, &json!({"data": {"value": "live"}}))
        .await?;
    sync(&tenant, "OutOfSync").await?;
    agrees(1).await?;

    // The application's own rule: nothing differs, and a sync leaves the value as it is.
    let rule = json!([{"group": "", "kind": "ConfigMap", "jqPathExpressions": [".data | select(.value == \"live\" or .value == \"1\").value"]}]);
    left_out(rule).await?;
    sync(&tenant, "Synced").await?;
    agrees(0).await?;
    let synced = tenant.client.argocd(&["app", "sync", "a"]).await?;
    assert_eq!(code(&synced), 0, "{}", said(&synced));
    let there = tenant.kube.get(&path).await?.context("gone")?;
    assert_eq!(there["data"]["value"], "live");

    // Without the rule it differs again, though nothing has changed but the rule; the settings' rule is as good.
    left_out(Value::Null).await?;
    sync(&tenant, "OutOfSync").await?;
    set(
        &tenant,
        "argocd-cm",
        IGNORE,
        "jqPathExpressions:\n- .data.value\n",
    )
    .await?;
    sync(&tenant, "Synced").await?;
    agrees(0).await?;
    set(
        &tenant,
        "argocd-cm",
        IGNORE,
        "jsonPointers:\n- /data/other\n",
    )
    .await?;
    sync(&tenant, "OutOfSync").await?;

    // What cannot be evaluated leaves nothing out, and is named.
    let broken =
        json!([{"group": "", "kind": "ConfigMap", "jqPathExpressions": [".data[", "def f: f; f"]}]);
    left_out(broken).await?;
    let told = |app: &Value| all_conditions(app).contains("`.data[`");
    tenant.client.app_when("a", PATIENCE, told).await?;
    left_out(json!([{"group": "", "kind": "ConfigMap", "jqPathExpressions": ["def f: f; f"]}]))
        .await?;
    let told = |app: &Value| {
        app["status"]["sync"]["status"] == "OutOfSync"
            && all_conditions(app).contains("longer than a second")
    };
    tenant.client.app_when("a", PATIENCE, told).await?;
    Ok(())
}

#[tokio::test]
async fn actions_of_the_settings_are_listed_and_run() -> Result<()> {
    let (tenant, path) = deployed("lua-act", &json!({})).await?;
    let argocd = async |args: &[&str]| -> Result<(i32, String)> {
        let output = tenant.client.argocd(args).await?;
        Ok((code(&output), said(&output)))
    };
    let actions = "discovery.lua: |\n  actions = {}\n  actions[\"grow\"] = {[\"disabled\"] = obj.data.value == \"9\"}\n  return actions\n\
                   definitions:\n- name: grow\n  action.lua: |\n    obj.data.value = tostring(tonumber(obj.data.value) + 1)\n    return obj\n\
                   - name: copy\n  action.lua: |\n    local made = {apiVersion = \"v1\", kind = \"ConfigMap\", data = obj.data}\n    \
                   made.metadata = {name = obj.metadata.name .. \"-copy\", namespace = obj.metadata.namespace}\n    \
                   return {{operation = \"create\", resource = made}}\n\
                   - name: steal\n  action.lua: |\n    local made = {apiVersion = \"v1\", kind = \"ConfigMap\"}\n    \
                   made.metadata = {name = \"stolen\", namespace = \"default\"}\n    return {{operation = \"create\", resource = made}}\n\
                   - name: other\n  action.lua: |\n    obj.metadata.name = \"b\"\n    return obj\n\
                   - name: adopt\n  action.lua: |\n    obj.metadata.annotations[\"argocd.argoproj.io/tracking-id\"] = \"b:/ConfigMap:x/a\"\n    \
                   return obj\n";
    set(&tenant, "argocd-cm", ACTIONS, actions).await?;
    wait::until("the settings are known", PATIENCE, || async {
        let (code, said) = argocd(&["app", "actions", "list", "a", "--kind", "ConfigMap"]).await?;
        ensure!(code == 0 && said.contains("grow"), "{said}");
        Ok(())
    })
    .await?;
    let run = async |action: &str| {
        argocd(&["app", "actions", "run", "a", action, "--kind", "ConfigMap"]).await
    };
    for action in ["grow", "copy"] {
        let (code, said) = run(action).await?;
        assert_eq!(code, 0, "{action}: {said}");
    }
    let there = tenant.kube.get(&path).await?.context("gone")?;
    assert_eq!(there["data"], json!({"value": "2"}));
    let copy = tenant
        .kube
        .get(&format!("{path}-copy"))
        .await?
        .context("no copy")?;
    assert_eq!(copy["data"], json!({"value": "2"}));
    // Neither another namespace, nor another object, nor whose it is.
    for (action, words) in [
        ("steal", "default"),
        ("other", "it may change"),
        ("adopt", "whose object it is"),
    ] {
        let (code, said) = run(action).await?;
        assert!(code != 0 && said.contains(words), "{action}: {said}");
    }
    let stolen = "/api/v1/namespaces/default/configmaps/stolen";
    assert!(tenant.kube.get(stolen).await?.is_none());
    Ok(())
}
