//! Drift is undone where self-heal is on, and shown, untouched, where it is off.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::platform::{self, Tenant};
use testkit::wait;

use crate::{PATIENCE, all_conditions, code, config_map, said};

async fn one_config_map(label: &str, policy: &serde_json::Value) -> Result<(Tenant, String)> {
    let tenant = platform::tenant(label).await?;
    tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "from-git"))
        .await?;
    tenant.connect().await?;
    tenant.create_app("app", "app", policy).await?;
    let path = format!("/api/v1/namespaces/{}/configmaps/a", tenant.name);
    Ok((tenant, path))
}

/// Waits until the ConfigMap is there as Git has it.
async fn healed(tenant: &Tenant, path: &str) -> Result<()> {
    wait::until("the object is as Git has it", PATIENCE, || async {
        let map = tenant.kube.get(path).await?.unwrap_or_default();
        ensure!(map["data"]["value"] == "from-git", "{map}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_deleted_or_edited_comes_back() -> Result<()> {
    let (tenant, path) = one_config_map("heal", &platform::automated()).await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    tenant.kube.delete(&path).await?;
    healed(&tenant, &path).await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    tenant
        .kube
        .merge(&path, &json!({"data": {"value": "edited"}}))
        .await?;
    healed(&tenant, &path).await
}

/// Sets or takes away the annotation by which an application is left alone.
async fn leave_alone(tenant: &Tenant, alone: &Value) -> Result<()> {
    let patch = json!({"metadata": {"annotations": {"argocd.argoproj.io/skip-reconcile": alone}}});
    let body = json!({"patch": patch.to_string(), "patchType": "merge"});
    tenant
        .client
        .patch("/api/v1/applications/app", &body)
        .await?
        .ok()?;
    Ok(())
}

#[tokio::test]
async fn an_application_that_is_left_alone_is_taken_up_again_where_git_is_then() -> Result<()> {
    let (tenant, path) = one_config_map("alone", &platform::automated()).await?;
    let other = tenant
        .checkout
        .push_file("other/b.yaml", config_map("b", "1"));
    other.await?;
    tenant.create_app("beside", "other", &json!({})).await?;
    tenant.turn_webhook_on()?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    leave_alone(&tenant, &json!("true")).await?;
    let edit = json!({"data": {"value": "edited"}});
    tenant.kube.merge(&path, &edit).await?;
    let pushed = tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "later"));
    let commit = pushed.await?;
    // The one beside it has seen both.
    tenant
        .client
        .app_when("beside", PATIENCE, |app| {
            app["status"]["sync"]["revision"] == commit.as_str()
        })
        .await?;
    let app = tenant.client.app("app").await?;
    assert_eq!(app["status"]["sync"]["status"], "Synced", "{app}");
    assert_ne!(app["status"]["sync"]["revision"], commit.as_str());
    let map = tenant.kube.get(&path).await?.context("it is there")?;
    assert_eq!(map["data"]["value"], "edited");

    leave_alone(&tenant, &Value::Null).await?;
    tenant
        .client
        .app_done("app", Some(&commit), PATIENCE)
        .await?;
    let map = tenant.kube.get(&path).await?.context("it is there")?;
    assert_eq!(map["data"]["value"], "later");
    Ok(())
}

#[tokio::test]
async fn without_self_heal_drift_shows_as_a_diff_that_the_command_agrees_with() -> Result<()> {
    let (tenant, path) = one_config_map("drift", &json!({"automated": {"prune": true}})).await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    let same = tenant.client.argocd(&["app", "diff", "app"]).await?;
    assert_eq!(code(&same), 0, "{}", said(&same));
    tenant
        .kube
        .merge(&path, &json!({"data": {"value": "edited"}}))
        .await?;
    tenant
        .client
        .app_when("app", PATIENCE, |app| {
            app["status"]["sync"]["status"] == "OutOfSync"
        })
        .await?;
    let diff = tenant.client.argocd(&["app", "diff", "app"]).await?;
    assert_eq!(code(&diff), 1, "{}", said(&diff));
    assert!(
        said(&diff).contains("edited") && said(&diff).contains("from-git"),
        "{}",
        said(&diff)
    );
    // A refresh that has looked again leaves it as it is.
    tenant
        .client
        .get("/api/v1/applications/app?refresh=normal")
        .await?
        .ok()?;
    assert_eq!(
        tenant
            .kube
            .get(&path)
            .await?
            .map(|a| a["data"]["value"].clone()),
        Some("edited".into())
    );
    Ok(())
}

#[tokio::test]
async fn drift_says_which_manager_changed_which_field_and_when() -> Result<()> {
    let (tenant, path) = one_config_map("drift-by", &json!({"automated": {"prune": true}})).await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    let told = async |words: String| {
        let tells = |app: &Value| {
            let said = all_conditions(app);
            said.contains("`data") && said.contains(&words)
        };
        tenant.client.app_when("app", PATIENCE, tells).await
    };
    let edited = json!({"data": {"value": "edited"}});
    let changed = tenant.kube.merge(&path, &edited).await?;
    let time = written_at(&changed, "testkit-edit")?;
    told(format!(
        "`testkit-edit` set it in the cluster (Update, last at {time})"
    ))
    .await?;
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"value": "applied"}});
    let changed = tenant.kube.apply(&path, &applied).await?;
    let time = written_at(&changed, "testkit")?;
    told(format!(
        "`testkit` set it in the cluster (Apply, last at {time})"
    ))
    .await?;
    let gone = json!({"data": {"value": null}});
    tenant.kube.merge(&path, &gone).await?;
    told("was taken out in the cluster".to_owned()).await?;
    Ok(())
}

/// When a manager last wrote an object, as the cluster has it on record.
fn written_at(object: &Value, manager: &str) -> Result<String> {
    object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|entry| entry["manager"] == manager)
        .and_then(|entry| entry["time"].as_str())
        .map(str::to_owned)
        .with_context(|| format!("{manager} is not on record"))
}

#[tokio::test]
async fn a_field_that_somebody_adds_is_drift_only_where_git_names_it() -> Result<()> {
    let (tenant, path) = one_config_map("added", &json!({"automated": {"prune": true}})).await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    tenant
        .kube
        .merge(
            &path,
            &json!({"metadata": {"labels": {"seen-by": "somebody"}}}),
        )
        .await?;
    tenant
        .client
        .get("/api/v1/applications/app?refresh=hard")
        .await?
        .ok()?;
    let app = tenant.client.app("app").await?;
    assert_eq!(app["status"]["sync"]["status"], "Synced");
    let diff = tenant.client.argocd(&["app", "diff", "app"]).await?;
    assert_eq!(code(&diff), 0, "{}", said(&diff));
    Ok(())
}

#[tokio::test]
async fn auto_sync_holds_still_after_a_rollback_until_git_or_a_person_goes_on() -> Result<()> {
    let (tenant, path) = one_config_map("hold", &platform::automated()).await?;
    let value = async || -> Result<Value> {
        let there = tenant.kube.get(&path).await?;
        Ok(there.map_or(Value::Null, |there| there["data"]["value"].clone()))
    };
    let push = async |text: &str| {
        let file = config_map("a", text);
        tenant.checkout.push_file("app/a.yaml", file).await
    };
    let become_ = async |text: &str| {
        wait::until(text, PATIENCE, || async {
            let value = value().await?;
            ensure!(value == text, "{value}");
            Ok(())
        })
        .await
    };
    tenant.client.app_done("app", None, PATIENCE).await?;
    push("second").await?;
    become_("second").await?;
    tenant.client.app_done("app", None, PATIENCE).await?;

    let back = tenant
        .client
        .argocd(&["app", "rollback", "app", "0"])
        .await?;
    assert_eq!(code(&back), 0, "{}", said(&back));
    let held = |app: &Value| {
        let conditions = all_conditions(app);
        app["status"]["sync"]["status"] == "OutOfSync" && conditions.contains("rolled back")
    };
    tenant.client.app_when("app", PATIENCE, held).await?;
    // Looking again, and drift, change nothing.
    tenant
        .kube
        .merge(&path, &json!({"data": {"more": "drift"}}))
        .await?;
    tenant
        .client
        .get("/api/v1/applications/app?refresh=hard")
        .await?
        .ok()?;
    tenant.client.app_when("app", PATIENCE, held).await?;
    assert_eq!(value().await?, "from-git");

    push("third").await?;
    become_("third").await?;
    tenant.client.app_done("app", None, PATIENCE).await?;

    let back = tenant
        .client
        .argocd(&["app", "rollback", "app", "1"])
        .await?;
    assert_eq!(code(&back), 0, "{}", said(&back));
    become_("second").await?;
    tenant.client.app_when("app", PATIENCE, held).await?;
    let synced = tenant.client.argocd(&["app", "sync", "app"]).await?;
    assert_eq!(code(&synced), 0, "{}", said(&synced));
    become_("third").await
}

/// Changes what an application's `automated` says, and has it looked at.
async fn automate(tenant: &Tenant, automated: &Value) -> Result<()> {
    let patch = json!({"spec": {"syncPolicy": {"automated": automated}}});
    let body = json!({"patch": patch.to_string(), "patchType": "merge"});
    let path = "/api/v1/applications/app";
    tenant.client.patch(path, &body).await?.ok()?;
    let refresh = format!("{path}?refresh=normal");
    tenant.client.get(&refresh).await?.ok().map(drop)
}

#[tokio::test]
async fn nothing_happens_by_itself_that_is_switched_off_or_not_asked_for() -> Result<()> {
    let (tenant, path) = one_config_map("asked-for", &json!({"automated": {}})).await?;
    let client = &tenant.client;
    let value = async || -> Result<Option<Value>> {
        let there = tenant.kube.get(&path).await?;
        Ok(there.map(|there| there["data"]["value"].clone()))
    };
    client.app_done("app", None, PATIENCE).await?;

    // Switched off, a commit is seen and not deployed.
    automate(&tenant, &json!({"enabled": false})).await?;
    let second = config_map("a", "second");
    let commit = tenant.checkout.push_file("app/a.yaml", second).await?;
    automate(&tenant, &json!({"enabled": false})).await?;
    let seen = |app: &Value| {
        let sync = &app["status"]["sync"];
        sync["status"] == "OutOfSync" && sync["revision"] == commit.as_str()
    };
    client.app_when("app", PATIENCE, seen).await?;
    assert_eq!(value().await?, Some(json!("from-git")));
    automate(&tenant, &json!({"enabled": true})).await?;
    client.app_done("app", Some(&commit), PATIENCE).await?;
    assert_eq!(value().await?, Some(json!("second")));

    // What left Git stays where nobody asks for more, and where it is all that there is.
    tenant.checkout.remove("app/a.yaml")?;
    tenant.checkout.push_file("app/README.md", "empty").await?;
    automate(&tenant, &json!({"prune": false})).await?;
    let left = |app: &Value| app["status"]["resources"][0]["requiresPruning"] == true;
    client.app_when("app", PATIENCE, left).await?;
    automate(&tenant, &json!({"prune": true})).await?;
    let told = |app: &Value| all_conditions(app).contains("[sync.wipe-out]");
    let app = client.app_when("app", PATIENCE, told).await?;
    assert_eq!(app["status"]["sync"]["status"], "OutOfSync", "{app}");
    assert_eq!(value().await?, Some(json!("second")));
    automate(&tenant, &json!({"prune": true, "allowEmpty": true})).await?;
    wait::until("it is pruned", PATIENCE, || async {
        let value = value().await?;
        ensure!(value.is_none(), "{value:?}");
        Ok(())
    })
    .await
}
