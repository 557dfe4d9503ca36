//! What a tenant's settings say of kinds in Lua and jq: health, what comparisons leave out, actions; and what hostile scripts
//! come to.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::platform::{self, Tenant};
use testkit::wait;

use crate::{PATIENCE, all_conditions, code, config_map, said, set, synced_by_command};

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

/// The rules of its own that an application was compared with last.
fn compared_rules(app: &Value) -> &Value {
    &app["status"]["sync"]["comparedTo"]["ignoreDifferences"]
}

#[tokio::test]
async fn health_is_what_the_settings_say_and_a_hostile_script_is_stopped() -> Result<()> {
    let (tenant, path) = deployed("lua", &json!({"automated": {}})).await?;
    let script = "hs = {}\nif obj.data.value == \"2\" then\n  hs.status = \"Degraded\"\n  hs.message = \"value is \" .. obj.data.value\n\
                  elseif obj.data.value == \"1\" then\n  hs.status = \"Progressing\"\nelse\n  hs.status = \"Healthy\"\nend\nreturn hs\n";
    set(&tenant, "argocd-cm", HEALTH, script).await?;
    health(&tenant, "Progressing").await?;
    let become_ = async |tenant: &Tenant, path: &str, value: &str, code: &str| {
        let patch = json!({"data": {"value": value}});
        tenant.kube.merge(path, &patch).await?;
        health(tenant, code).await
    };
    let app = become_(&tenant, &path, "2", "Degraded").await?;
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
    become_(&tenant, &path, "3", "Healthy").await?;

    // What does not end, what grows without end, what says too much, and what is wrong: each is named, and the scripts of
    // another tenant are run meanwhile.
    let (neighbour, other) = deployed("lua-next", &json!({"automated": {}})).await?;
    set(&neighbour, "argocd-cm", HEALTH, script).await?;
    health(&neighbour, "Progressing").await?;
    let mut flip = ["2", "3"].into_iter().cycle();
    for (hostile, words) in [
        ("while true do end", "longer than a second"),
        ("return {status = \"Fine\"}", "`Fine`"),
        (
            "local s = \"x\" while true do s = s .. s end",
            "more memory than a script may",
        ),
        ("return obj.none.more", "nil"),
        (
            "return {status = tostring(os.execute) .. tostring(io) .. tostring(load)}",
            "nilnilnil",
        ),
    ] {
        set(&tenant, "argocd-cm", HEALTH, hostile).await?;
        let value = flip.next().context("endless")?;
        let code = if value == "2" { "Degraded" } else { "Healthy" };
        become_(&neighbour, &other, value, code).await?;
        let told = |app: &Value| {
            let said = all_conditions(app);
            app["status"]["health"]["status"] == "Unknown" && said.contains(words)
        };
        let app = tenant.client.app_when("a", PATIENCE, told).await;
        app.with_context(|| hostile.to_owned())?;
    }
    let long = "return {status = \"Degraded\", message = string.rep(\"x\", 2000000)}";
    set(&tenant, "argocd-cm", HEALTH, long).await?;
    let app = health(&tenant, "Degraded").await?;
    let message = app["status"]["resources"][0]["health"]["message"].as_str();
    let message = message.context("no message")?;
    assert!(
        message.starts_with("xxx") && message.len() < 10_000,
        "{}",
        message.len()
    );
    Ok(())
}

#[tokio::test]
async fn a_custom_kind_is_assessed_again_when_its_status_changes() -> Result<()> {
    let tenant = platform::tenant("lua-kind").await?;
    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"type": "object", "properties": {"spec": any, "status": any}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.custom.example"},
        "spec": {"group": "custom.example", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": schema}}]}});
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let path = format!("{definitions}/widgets.custom.example");
    let admin = platform::platform().await?.kube()?;
    admin.apply(&path, &definition).await?;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "widgets", "labels": {"rbac.authorization.k8s.io/aggregate-to-admin": "true"}},
        "rules": [{"apiGroups": ["custom.example"], "resources": ["widgets"], "verbs": ["*"]}]});
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles/widgets";
    admin.apply(roles, &role).await?;

    let script = "if obj.status ~= nil and obj.status.size ~= nil then\n  return {status = \"Healthy\"}\nend\n\
                  return {status = \"Progressing\", message = \"waiting for a size\"}\n";
    let key = "resource.customizations.health.custom.example_Widget";
    set(&tenant, "argocd-cm", key, script).await?;
    let widget =
        "apiVersion: custom.example/v1\nkind: Widget\nmetadata:\n  name: a\nspec:\n  colour: red\n";
    tenant
        .checkout
        .push_file("app/a.yaml", widget.to_owned())
        .await?;
    tenant.connect().await?;
    tenant.create_app("a", "app", &json!({})).await?;
    wait::until("the kind is known and permitted", PATIENCE, || {
        synced_by_command(&tenant.client, "a")
    })
    .await?;
    health(&tenant, "Progressing").await?;
    let live = format!(
        "/apis/custom.example/v1/namespaces/{}/widgets/a/status",
        tenant.name
    );
    let size = json!({"status": {"size": 3}});
    admin.merge(&live, &size).await?;
    health(&tenant, "Healthy").await?;
    Ok(())
}

#[tokio::test]
async fn what_jq_names_is_left_out_of_comparisons_and_of_syncs_that_respect_it() -> Result<()> {
    let (tenant, path) = deployed(
        "jq",
        &json!({"automated": {}, "syncOptions": ["RespectIgnoreDifferences=true"]}),
    )
    .await?;
    // The answer shows the rules that were compared with last, which are those before.
    let left_out = async |rules: &Value, before: &Value| -> Result<()> {
        let patch = json!({"spec": {"ignoreDifferences": rules}}).to_string();
        let body = json!({"name": "a", "patch": patch, "patchType": "merge"});
        let url = "/api/v1/applications/a";
        let app = tenant.client.patch(url, &body).await?.ok()?;
        assert_eq!(&app["spec"]["ignoreDifferences"], rules);
        assert_eq!(compared_rules(&app), before);
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
    let rule = json!([{"kind": "ConfigMap", "jqPathExpressions": [".data | select(.value == \"live\" or .value == \"1\").value"]}]);
    left_out(&rule, &Value::Null).await?;
    let app = sync(&tenant, "Synced").await?;
    assert_eq!(compared_rules(&app), &rule);
    agrees(0).await?;
    let synced = tenant.client.argocd(&["app", "sync", "a"]).await?;
    assert_eq!(code(&synced), 0, "{}", said(&synced));
    let there = tenant.kube.get(&path).await?.context("gone")?;
    assert_eq!(there["data"]["value"], "live");

    // Without the rule it differs again, though nothing has changed but the rule; the settings' rule is as good.
    left_out(&Value::Null, &rule).await?;
    let app = sync(&tenant, "OutOfSync").await?;
    assert_eq!(compared_rules(&app), &Value::Null);
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
    let broken = json!([{"kind": "ConfigMap", "jqPathExpressions": [".data[", "def f: f; f"]}]);
    left_out(&broken, &Value::Null).await?;
    let told = |app: &Value| all_conditions(app).contains("`.data[`");
    tenant.client.app_when("a", PATIENCE, told).await?;
    let endless = json!([{"kind": "ConfigMap", "jqPathExpressions": ["def f: f; f"]}]);
    left_out(&endless, &broken).await?;
    // What takes too long leaves it open what is left out: nobody says that it differs, and nothing is overwritten.
    let told = |app: &Value| {
        app["status"]["sync"]["status"] == "Unknown"
            && all_conditions(app).contains("longer than a second")
    };
    tenant.client.app_when("a", PATIENCE, told).await?;
    Ok(())
}

#[tokio::test]
async fn what_a_named_manager_has_is_left_out_and_a_sync_leaves_it() -> Result<()> {
    let policy = json!({"automated": {}, "syncOptions": ["RespectIgnoreDifferences=true"]});
    let (tenant, path) = deployed("managers", &policy).await?;
    let left_to = async |manager: &str, status: &str| -> Result<()> {
        let rules = json!([{"kind": "ConfigMap", "managedFieldsManagers": [manager]}]);
        let patch = json!({"spec": {"ignoreDifferences": rules}}).to_string();
        let body = json!({"name": "a", "patch": patch, "patchType": "merge"});
        let url = "/api/v1/applications/a";
        tenant.client.patch(url, &body).await?.ok()?;
        let stands = |app: &Value| {
            compared_rules(app) == &rules && app["status"]["sync"]["status"] == *status
        };
        tenant.client.app_when("a", PATIENCE, stands).await?;
        let diff = tenant.client.argocd(&["app", "diff", "a"]).await?;
        let differs = i32::from(status == "OutOfSync");
        ensure!(code(&diff) == differs, "{}", said(&diff));
        Ok(())
    };
    // The testkit edits under a name of its own.
    let edited = json!({"data": {"value": "live"}});
    tenant.kube.merge(&path, &edited).await?;
    sync(&tenant, "OutOfSync").await?;
    left_to("somebody-else", "OutOfSync").await?;
    left_to("testkit-edit", "Synced").await?;
    synced_by_command(&tenant.client, "a").await?;
    let there = tenant.kube.get(&path).await?.context("gone")?;
    assert_eq!(there["data"]["value"], "live");
    // What nobody is named for is Git's again.
    left_to("somebody-else", "OutOfSync").await?;
    synced_by_command(&tenant.client, "a").await?;
    let there = tenant.kube.get(&path).await?.context("gone")?;
    assert_eq!(there["data"]["value"], "1");
    Ok(())
}

#[tokio::test]
async fn actions_of_the_settings_are_listed_and_run() -> Result<()> {
    let (tenant, path) = deployed("lua-act", &json!({"automated": {}})).await?;
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
    let admin = platform::platform().await?.kube()?;
    assert!(admin.get(stolen).await?.is_none());
    Ok(())
}
