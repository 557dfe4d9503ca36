//! Whatever a tenant causes in its namespace is asked of the cluster as the tenant's own account: read from what the
//! apiserver has on record of the controller's requests. Where projects name accounts, see [`crate::deputies`].

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::platform::{self, Tenant};

use crate::hooks::{gone, job};
use crate::objects::live;
use crate::terminal::{Terminal, enterable};
use crate::{PATIENCE, code, config_map, said};

/// What the platform itself makes of a namespace before it is the tenant's.
const OF_THE_PLATFORM: [&str; 3] = ["namespaces", "serviceaccounts", "rolebindings"];

/// What the controller has asked for in a tenant's namespace, each made as the tenant's account and nobody else.
async fn asked(tenant: &Tenant) -> Result<BTreeSet<String>> {
    let plane = platform::platform().await?.control_plane();
    let account = format!("system:serviceaccount:{}:naru", tenant.name);
    let own = format!("system:serviceaccounts:{}", tenant.name);
    let groups = ["system:authenticated", "system:serviceaccounts", &own];
    let events = plane.recorded(|event| {
        let of = &event["objectRef"];
        event["user"]["username"] == "naru-controller"
            && of["namespace"] == tenant.name.as_str()
            && !OF_THE_PLATFORM.iter().any(|name| of["resource"] == *name)
    })?;
    let mut seen = BTreeSet::new();
    for event in events {
        let whom = &event["impersonatedUser"];
        ensure!(whom["username"] == account.as_str(), "{event}");
        let all = whom["groups"].as_array().context("no groups")?;
        let all: BTreeSet<&str> = all.iter().filter_map(Value::as_str).collect();
        ensure!(all == BTreeSet::from(groups), "{event}");
        let of = &event["objectRef"];
        let resource = of["resource"].as_str().unwrap_or_default();
        let part = of["subresource"].as_str().map(|part| format!("/{part}"));
        let verb = event["verb"].as_str().unwrap_or_default();
        seen.insert(format!("{verb} {resource}{}", part.unwrap_or_default()));
        if event["requestURI"].to_string().contains("dryRun=All") {
            seen.insert("a trial".to_owned());
        }
    }
    Ok(seen)
}

/// A NetworkPolicy that is replaced as a whole; and a Service that is a hook of the deletion.
fn policy_and_hook(port: u16) -> (String, String) {
    let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "open", "annotations": {"argocd.argoproj.io/sync-options": "Replace=true"}},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"],
            "ingress": [{"ports": [{"port": port, "protocol": "TCP"}]}]}});
    let hook = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "bye", "annotations": {"argocd.argoproj.io/hook": "PreDelete"}},
        "spec": {"ports": [{"port": 80}]}});
    (policy.to_string(), hook.to_string())
}

#[tokio::test]
async fn s14_what_a_tenant_causes_is_asked_for_as_its_own_account() -> Result<()> {
    let (tenant, place) = enterable("as-whom").await?;
    let client = &tenant.client;
    let mut terminal = Terminal::open(client, &place).await?;
    terminal.type_in("exit\r").await?;
    terminal.end(PATIENCE).await?;

    // A sync with a hook, one that replaces, and one that prunes.
    let app = "/api/v1/applications/a";
    let prune = ["app", "set", "a", "--auto-prune"];
    let set = client.argocd(&prune).await?;
    ensure!(code(&set) == 0, "{}", said(&set));
    let synced = async || -> Result<()> {
        let commit = tenant.checkout.commit("another").await?;
        tenant.checkout.push().await?;
        client.get(&format!("{app}?refresh=normal")).await?.ok()?;
        client.app_done("a", Some(&commit), PATIENCE).await?;
        Ok(())
    };
    let (policy, hook) = policy_and_hook(80);
    tenant.checkout.write("app/a.yaml", config_map("a", "2"))?;
    tenant.checkout.write("app/policy.json", policy)?;
    tenant.checkout.write("app/bye.json", hook)?;
    let before = job("before", &[("hook", "PreSync")], "");
    tenant.checkout.write("app/before.json", before)?;
    synced().await?;
    let policy = policy_and_hook(81).0;
    tenant.checkout.write("app/policy.json", policy)?;
    synced().await?;
    tenant.checkout.remove("app/policy.json")?;
    synced().await?;

    let web = live(&tenant.name, "deployments", "web");
    let there = tenant.kube.get(&web).await?.context("no Deployment")?;
    let uid = there["metadata"]["uid"].as_str().context("no uid")?;
    let events = format!(
        "{app}/events?resourceNamespace={}&resourceName=web&resourceUID={uid}",
        tenant.name
    );
    client.get(&events).await?.ok()?;

    let patch = r#"{"data": {"value": "3"}}"#;
    for args in [
        &["app", "diff", "a", "--server-side-diff"][..],
        &["app", "logs", "a"],
        &["app", "get-resource", "a", "--kind", "Secret"],
        &[
            "app",
            "actions",
            "run",
            "a",
            "restart",
            "--kind",
            "Deployment",
        ],
        &[
            "app",
            "patch-resource",
            "a",
            "--kind",
            "ConfigMap",
            "--patch",
            patch,
        ],
        &["app", "delete-resource", "a", "--kind", "ConfigMap"],
        &["app", "delete", "a", "-y"],
    ] {
        let output = client.argocd(args).await?;
        ensure!(code(&output) == 0, "{args:?}: {}", said(&output));
    }
    gone(&tenant.kube, &web).await?;

    let seen = asked(&tenant).await?;
    for wanted in [
        "a trial",
        "delete configmaps",
        "delete deployments",
        "delete networkpolicies",
        "get pods/exec",
        "get pods/log",
        "get secrets",
        "list events",
        "patch configmaps",
        "patch deployments",
        "patch secrets",
        "patch services",
        "update networkpolicies",
    ] {
        assert!(seen.contains(wanted), "no `{wanted}`: {seen:?}");
    }
    assert!(seen.iter().any(|one| one.ends_with(" jobs")), "{seen:?}");
    Ok(())
}
