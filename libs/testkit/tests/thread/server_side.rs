//! What the cluster would make of Git: as `argocd app diff --server-side-diff` shows it, as the comparison where an
//! annotation asks for it, and for whom it is not tried.

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::admission::Admission;
use testkit::client::Client;
use testkit::platform::{self, Tenant};
use testkit::wait;

use crate::objects::{CANARY, DEPLOYMENT, deployed, live};
use crate::{PATIENCE, all_conditions, code, conditions, config_map, field, said};

/// What the command shows, once it shows `wanted`; it differs then.
async fn shows(tenant: &Tenant, wanted: &str) -> Result<String> {
    let args = ["app", "diff", "a", "--server-side-diff"];
    wait::until("the diff", PATIENCE, || async {
        let output = tenant.client.argocd(&args).await?;
        let words = said(&output);
        ensure!(code(&output) == 1 && words.contains(wanted), "{words}");
        Ok(words)
    })
    .await
}

#[tokio::test]
async fn the_command_shows_what_the_cluster_would_make_of_git() -> Result<()> {
    let tenant = deployed("ssd").await?;
    let same = tenant
        .client
        .argocd(&["app", "diff", "a", "--server-side-diff"])
        .await?;
    assert_eq!(code(&same), 0, "{}", said(&same));

    let edit = json!({"data": {"value": "edited"}});
    let map = live(&tenant.name, "configmaps", "a");
    tenant.kube.merge(&map, &edit).await?;
    let words = shows(&tenant, "edited").await?;
    assert!(words.contains("/ConfigMap"), "{words}");
    for other in ["/Deployment", "/Secret", "managedFields"] {
        assert!(!words.contains(other), "{words}");
    }

    // A Secret's values are told apart and not shown.
    let edit = json!({"data": {"password": "Y2FuYXJ5LW5ldw=="}});
    let secret = live(&tenant.name, "secrets", "s");
    tenant.kube.merge(&secret, &edit).await?;
    let words = shows(&tenant, "/Secret").await?;
    assert!(words.contains("++++++++"), "{words}");
    assert!(!words.contains("Y2FuYXJ5"), "{words}");

    // Nothing of it has been written.
    let map = tenant.kube.get(&map).await?.unwrap_or_default();
    assert_eq!(map["data"]["value"], "edited");
    Ok(())
}

/// A ConfigMap that no change of its data is taken for, and its compare options.
fn immutable(value: &str, options: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: fixed\n  annotations:\n    \
         argocd.argoproj.io/compare-options: {options}\nimmutable: true\ndata:\n  value: {value:?}\n"
    )
}

#[tokio::test]
async fn an_application_that_asks_for_it_is_compared_by_the_cluster() -> Result<()> {
    let tenant = platform::tenant("ssd-asks").await?;
    let (client, checkout) = (&tenant.client, &tenant.checkout);
    checkout.write("app/fixed.yaml", immutable("1", "IgnoreExtraneous"))?;
    checkout.write("app/web.yaml", DEPLOYMENT)?;
    checkout
        .push_file("app/free.yaml", config_map("free", "1"))
        .await?;
    tenant.connect().await?;
    let app = json!({
        "metadata": {"name": "a", "annotations": {"argocd.argoproj.io/compare-options": "ServerSideDiff=true"}},
        "spec": {
            "project": "default",
            "source": {"repoURL": tenant.repo_url, "path": "app", "targetRevision": "HEAD"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": tenant.name},
        },
    });
    client.post("/api/v1/applications", &app).await?.ok()?;
    client
        .post("/api/v1/applications/a/sync", &json!({}))
        .await?
        .ok()?;
    client.app_done("a", None, PATIENCE).await?;
    let same = client.argocd(&["app", "diff", "a"]).await?;
    assert_eq!(code(&same), 0, "{}", said(&same));

    // What the cluster would not take is Unknown, and why is told; the rest is compared.
    checkout.write("app/free.yaml", config_map("free", "2"))?;
    checkout
        .push_file("app/fixed.yaml", immutable("2", "IgnoreExtraneous"))
        .await?;
    let of = |app: &Value, name: &str| -> Value {
        let all = app["status"]["resources"].as_array();
        let found = all.and_then(|all| all.iter().find(|one| one["name"] == name));
        found.map(|one| one["status"].clone()).unwrap_or_default()
    };
    let refresh = "/api/v1/applications/a?refresh=normal";
    let app = wait::until("the application is Unknown", PATIENCE, || async {
        let app = client.get(refresh).await?.ok()?;
        let sync = &app["status"]["sync"]["status"];
        ensure!(sync == "Unknown", "{sync} {}", all_conditions(&app));
        Ok(app)
    })
    .await?;
    let told = conditions(&app, "ComparisonError");
    assert!(
        told.iter().any(|told| told.contains("immutable")),
        "{}",
        all_conditions(&app)
    );
    assert_eq!(
        (of(&app, "fixed"), of(&app, "free"), of(&app, "web")),
        (json!("Unknown"), json!("OutOfSync"), json!("Synced"))
    );

    // An object that is taken out is compared as without the annotation.
    checkout
        .push_file("app/fixed.yaml", immutable("2", "ServerSideDiff=false"))
        .await?;
    wait::until("the object is compared", PATIENCE, || async {
        let app = client.get(refresh).await?.ok()?;
        let sync = (&app["status"]["sync"]["status"], of(&app, "fixed"));
        ensure!(
            sync.0 == "OutOfSync" && sync.1 == "OutOfSync",
            "{sync:?} {}",
            all_conditions(&app)
        );
        Ok(())
    })
    .await
}

/// A webhook that is asked about the tenant's ConfigMaps.
fn mutating(tenant: &Tenant, admission: &Admission) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": tenant.name},
        "webhooks": [{
            "name": "injects.example.com", "clientConfig": admission.client_config(),
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": tenant.name}},
            "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 10, "failurePolicy": "Fail"}]})
}

/// Gives the application these compare options, and has it compared.
async fn compared(tenant: &Tenant, options: &str) -> Result<Value> {
    let annotations = json!({"argocd.argoproj.io/compare-options": options});
    let patch = json!({"metadata": {"annotations": annotations}}).to_string();
    let words = ["app", "patch", "a", "--type", "merge", "--patch", &patch];
    let patched = tenant.client.argocd(&words).await?;
    ensure!(code(&patched) == 0, "{}", said(&patched));
    let refreshed = tenant.client.get("/api/v1/applications/a?refresh=normal");
    refreshed.await?.ok()
}

#[tokio::test]
async fn what_a_webhook_changes_along_counts_only_where_that_is_asked_for() -> Result<()> {
    let tenant = platform::tenant("ssd-webhook").await?;
    let (client, sync) = (&tenant.client, "/api/v1/applications/a/sync");
    let pushed = tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "1"));
    pushed.await?;
    tenant.connect().await?;
    tenant.create_app("a", "app", &json!({})).await?;
    client.post(sync, &json!({})).await?.ok()?;
    client.app_done("a", None, PATIENCE).await?;

    let patch = json!([{"op": "add", "path": "/data/injected", "value": "by-webhook"}]);
    let admission = Admission::start(&patch).await?;
    let admin = platform::platform().await?.kube()?;
    let webhook = format!(
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{}",
        tenant.name
    );
    admin
        .apply(&webhook, &mutating(&tenant, &admission))
        .await?;
    let map = live(&tenant.name, "configmaps", "a");
    wait::until("the webhook is asked", PATIENCE, || async {
        let trial = tenant
            .kube
            .request(Method::PATCH, &format!("{map}?dryRun=All"))
            .header("content-type", "application/merge-patch+json")
            .body(r#"{"data": {"trial": "1"}}"#);
        let tried: Value = trial.send().await?.json().await?;
        ensure!(tried["data"]["injected"] == "by-webhook", "{tried}");
        Ok(())
    })
    .await?;

    // A trial that the webhook changes is no difference.
    let before = admission.asked();
    let app = compared(&tenant, "ServerSideDiff=true").await?;
    let state = &app["status"]["sync"]["status"];
    assert_eq!(state, "Synced", "{}", all_conditions(&app));
    assert!(admission.asked() > before, "nothing was tried");
    let same = ["app", "diff", "a", "--server-side-diff"];
    let shown = client.argocd(&same).await?;
    assert_eq!(code(&shown), 0, "{}", said(&shown));

    // Where it counts it is one, until a sync has made it so.
    let app = compared(&tenant, "ServerSideDiff=true,IncludeMutationWebhook=true").await?;
    let state = &app["status"]["sync"]["status"];
    assert_eq!(state, "OutOfSync", "{}", all_conditions(&app));
    shows(&tenant, "by-webhook").await?;
    client.post(sync, &json!({})).await?.ok()?;
    client.app_done("a", None, PATIENCE).await?;
    let there = tenant.kube.get(&map).await?.unwrap_or_default();
    assert_eq!(there["data"]["injected"], "by-webhook", "{there}");
    admin.delete(&webhook).await?;
    Ok(())
}

/// What somebody hears who asks without the command: code and message, then the answer, as far as it is text.
async fn ask(
    client: &Client,
    app: &str,
    object: (&str, &str, &str),
    target: &Value,
) -> Result<String> {
    let (kind, namespace, name) = object;
    let named = [
        field(2, kind.as_bytes()),
        field(3, namespace.as_bytes()),
        field(4, name.as_bytes()),
        field(6, br#"{"data": {"value": "believed"}}"#),
    ];
    let target = if target.is_null() {
        String::new()
    } else {
        target.to_string()
    };
    let query = [
        field(1, app.as_bytes()),
        field(4, &named.concat()),
        field(5, target.as_bytes()),
    ];
    let query = query.concat();
    let mut frame = vec![0];
    frame.extend(u32::try_from(query.len())?.to_be_bytes());
    frame.extend(query);
    let path = "/application.ApplicationService/ServerSideDiff";
    let answer = client
        .request(Method::POST, path)
        .header("content-type", "application/grpc-web+proto")
        .body(frame)
        .send()
        .await?;
    let header = |name: &str| {
        let value = answer.headers().get(name);
        value.map_or_else(String::new, |value| {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        })
    };
    let status = format!("{} {}", header("grpc-status"), header("grpc-message"));
    let body = answer.bytes().await?;
    Ok(format!("{status}\n{}", String::from_utf8_lossy(&body)))
}

fn manifest(kind: &str, namespace: &str, name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "data": data})
}

#[tokio::test]
async fn s17_nothing_is_tried_that_is_not_the_applications() -> Result<()> {
    let tenant = deployed("ssd-own").await?;
    let other = deployed("ssd-other").await?;
    let (client, ns) = (&tenant.client, tenant.name.as_str());
    let map = |namespace: &str, name: &str| {
        manifest("ConfigMap", namespace, name, &json!({"value": "2"}))
    };

    // What it has: what is live is looked up, whatever is said of it.
    let words = ask(client, "a", ("ConfigMap", ns, "a"), &map(ns, "a")).await?;
    assert!(words.contains(r#""value":"1""#), "{words}");
    assert!(words.contains(r#""value":"2""#), "{words}");
    assert!(!words.contains("believed"), "{words}");

    // Another tenant's namespace, object and application.
    let foreign = other.name.as_str();
    let named = ("ConfigMap", foreign, "a");
    let words = ask(client, "a", named, &map(foreign, "a")).await?;
    assert!(
        words.starts_with("7 ") && words.contains("is not yours"),
        "{words}"
    );
    let words = ask(client, "a", named, &Value::Null).await?;
    assert!(!words.contains(r#""value""#), "{words}");
    tenant.create_app("mine", "app", &json!({})).await?;
    let words = ask(&other.client, "mine", named, &map(foreign, "a")).await?;
    assert!(words.starts_with("7 permission denied"), "{words}");

    // An object of the tenant that is not this application's is as if it were not there.
    let aside = manifest("ConfigMap", ns, "aside", &json!({"note": "canary"}));
    tenant
        .kube
        .apply(&live(&tenant.name, "configmaps", "aside"), &aside)
        .await?;
    for target in [map(ns, "aside"), Value::Null] {
        let words = ask(client, "a", ("ConfigMap", ns, "aside"), &target).await?;
        assert!(words.starts_with(' '), "{words}");
        assert!(!words.contains("canary"), "{words}");
    }

    // Whether a guess of a Secret's value is right is not told.
    let secret = ("Secret", ns, "s");
    let guess = async |value: &str| {
        let target = manifest("Secret", ns, "s", &json!({"password": value}));
        ask(client, "a", secret, &target).await
    };
    let (right, wrong) = (guess(CANARY).await?, guess("Z3Vlc3M=").await?);
    assert_eq!(right, wrong);
    assert!(right.contains("++++++++"), "{right}");
    assert!(!right.contains("Y2FuYXJ5"), "{right}");

    // What its project no longer permits.
    let mut project = client.get("/api/v1/projects/default").await?.ok()?;
    project["spec"]["namespaceResourceBlacklist"] = json!([{"group": "", "kind": "ConfigMap"}]);
    client
        .put("/api/v1/projects/default", &json!({"project": project}))
        .await?
        .ok()?;
    let kept = map(ns, "a");
    wait::until("the project counts", PATIENCE, || async {
        let words = ask(client, "a", ("ConfigMap", ns, "a"), &kept).await?;
        ensure!(
            words.starts_with("7 ") && words.contains("does not permit the kind"),
            "{words}"
        );
        Ok(())
    })
    .await
}
