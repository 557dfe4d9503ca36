//! Whatever a tenant causes is asked of the cluster as the tenant's own account, in the namespace that it began with, in those that
//! it makes, and outside of any: read from what the apiserver has on record of the controller's requests. Where projects name
//! accounts, see [`crate::deputies`].

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::platform;

use crate::bad_input::{definition, let_define};
use crate::hooks::{gone, job};
use crate::objects::live;
use crate::terminal::{Terminal, enterable};
use crate::{PATIENCE, code, config_map, said};

/// What the platform itself makes of a namespace before it is the tenant's.
const OF_THE_PLATFORM: [&str; 3] = ["namespaces", "serviceaccounts", "rolebindings"];

/// What the controller has asked for in a tenant's namespace, as the account that the tenant has there.
async fn asked_in(namespace: &str) -> Result<BTreeSet<String>> {
    let in_it = |of: &Value| {
        let of_the_platform = OF_THE_PLATFORM.iter().any(|name| of["resource"] == *name);
        of["namespace"] == namespace && !of_the_platform
    };
    asked(namespace, in_it).await
}

/// What the controller has asked for of these objects, each time as the tenant's account of that namespace and nobody else.
async fn asked(home: &str, these: impl Fn(&Value) -> bool) -> Result<BTreeSet<String>> {
    let plane = platform::platform().await?.control_plane();
    let account = format!("system:serviceaccount:{home}:naru");
    let own = format!("system:serviceaccounts:{home}");
    let groups = ["system:authenticated", "system:serviceaccounts", &own];
    let events = plane.recorded(|event| {
        event["user"]["username"] == "naru-controller" && these(&event["objectRef"])
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

    let seen = asked_in(&tenant.name).await?;
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

#[tokio::test]
async fn s14_so_is_what_it_causes_in_a_namespace_that_it_makes_and_outside_of_any() -> Result<()> {
    let tenant = platform::tenant("as-whom-else").await?;
    let (client, checkout) = (&tenant.client, &tenant.checkout);
    let group = format!("{}.example", tenant.name);
    let_define(&tenant, &group).await?;
    let gadget = |size: u8| {
        let gadget = json!({"apiVersion": format!("{group}/v1"), "kind": "Gadget",
            "metadata": {"name": "g"}, "spec": {"size": size}});
        gadget.to_string()
    };
    let made = format!("{}-made", tenant.name);
    let mut policy = platform::automated();
    policy["syncOptions"] = json!(["CreateNamespace=true"]);
    let app = json!({"metadata": {"name": "app"}, "spec": {
        "project": "default",
        "source": {"repoURL": tenant.repo_url, "path": "app", "targetRevision": "HEAD"},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": made},
        "syncPolicy": policy,
    }});
    let synced = async || -> Result<()> {
        let commit = checkout.commit("another").await?;
        checkout.push().await?;
        let refresh = "/api/v1/applications/app?refresh=normal";
        client.get(refresh).await?.ok()?;
        client.app_done("app", Some(&commit), PATIENCE).await?;
        Ok(())
    };

    // Made, changed, pruned, and deleted with the application.
    let defined = definition(&group, "Cluster").to_string();
    checkout.write("app/definition.json", defined)?;
    checkout.write("app/gadget.json", gadget(3))?;
    checkout.write("app/a.yaml", config_map("a", "1"))?;
    checkout
        .push_file("app/b.yaml", config_map("b", "1"))
        .await?;
    tenant.connect().await?;
    let created = client.post("/api/v1/applications?validate=false", &app);
    created.await?.ok()?;
    client.app_done("app", None, PATIENCE).await?;
    checkout.write("app/gadget.json", gadget(4))?;
    checkout.write("app/a.yaml", config_map("a", "2"))?;
    synced().await?;
    checkout.remove("app/gadget.json")?;
    checkout.remove("app/b.yaml")?;
    synced().await?;
    let deleted = client.delete("/api/v1/applications/app?cascade=true");
    deleted.await?.ok()?;
    client.app_gone("app", PATIENCE).await?;

    let seen = asked_in(&made).await?;
    for wanted in ["delete configmaps", "patch configmaps"] {
        assert!(seen.contains(wanted), "no `{wanted}`: {seen:?}");
    }
    let name = format!("gadgets.{group}");
    let these = |of: &Value| of["apiGroup"] == group.as_str() || of["name"] == name.as_str();
    let seen = asked(&tenant.name, these).await?;
    for wanted in [
        "delete customresourcedefinitions",
        "delete gadgets",
        "patch customresourcedefinitions",
        "patch gadgets",
    ] {
        assert!(seen.contains(wanted), "no `{wanted}`: {seen:?}");
    }
    Ok(())
}
