//! Applications in clusters that tenants have added, with the rights that the tenants gave.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::Client;
use testkit::kube::Kube;
use testkit::platform::{self, Tenant, automated};
use testkit::unruly::{Mood, Unruly};
use testkit::wait;

use crate::hooks::{ended, gone, is_held, job, says, sync};
use crate::objects::DEPLOYMENT;
use crate::{PATIENCE, all_conditions, conditions, config_map, said};

/// A service account with a ClusterRole, in one namespace or everywhere; a token of it.
pub(crate) async fn guest(
    kube: &Kube,
    name: &str,
    namespace: &str,
    role: Role<'_>,
) -> Result<String> {
    kube.ensure_namespace(namespace).await?;
    let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace}});
    kube.apply(&format!("{accounts}/{name}"), &account).await?;
    let (kind, path, role) = match role {
        Role::Everywhere(role) => ("ClusterRoleBinding", "clusterrolebindings".to_owned(), role),
        Role::Here(role) => (
            "RoleBinding",
            format!("namespaces/{namespace}/rolebindings"),
            role,
        ),
    };
    let called = format!("{namespace}-{name}");
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": called},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]});
    let path = format!("/apis/rbac.authorization.k8s.io/v1/{path}/{called}");
    kube.apply(&path, &binding).await?;
    let request =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let answer = kube
        .request(Method::POST, &format!("{accounts}/{name}/token"))
        .json(&request)
        .send()
        .await?
        .error_for_status()?;
    let answer: Value = answer.json().await?;
    let token = answer["status"]["token"].as_str().context("no token")?;
    Ok(token.to_owned())
}

#[derive(Clone, Copy)]
pub(crate) enum Role<'a> {
    Everywhere(&'a str),
    Here(&'a str),
}

/// Adds a cluster, or changes it.
pub(crate) async fn add(
    tenant: &Tenant,
    server: &str,
    token: &str,
    namespaces: &[&str],
) -> Result<Value> {
    let cluster = json!({"server": server, "name": "far", "namespaces": namespaces,
        "config": {"bearerToken": token, "tlsClientConfig": {"insecure": true}}});
    tenant
        .client
        .post("/api/v1/clusters?upsert=true", &cluster)
        .await?
        .ok()
}

/// An application of the folder `app` that goes to the added cluster.
pub(crate) fn app(tenant: &Tenant, name: &str, namespace: &str, policy: &Value) -> Value {
    json!({
        "metadata": {"name": name, "finalizers": ["resources-finalizer.argocd.argoproj.io"]},
        "spec": {
            "project": "default",
            "source": {"repoURL": tenant.repo_url, "path": "app"},
            "destination": {"name": "far", "namespace": namespace},
            "syncPolicy": policy,
        },
    })
}

fn map(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps/a")
}

async fn value(kube: &Kube, namespace: &str) -> Result<Option<String>> {
    let map = kube.get(&map(namespace)).await?;
    Ok(map.map(|map| map["data"]["value"].as_str().unwrap_or_default().to_owned()))
}

/// Opens a watch of an application.
async fn watch(client: &Client, app: &str) -> Result<reqwest::Response> {
    let path = format!("/api/v1/stream/applications?name={app}");
    let opened = client.request(Method::GET, &path).send().await?;
    Ok(opened.error_for_status()?)
}

/// Reads a watch until the application is Synced at a commit: at no moment before was its state unknown.
async fn known_until(mut watch: reqwest::Response, commit: &str) -> Result<()> {
    let mut left: Vec<u8> = Vec::new();
    loop {
        let part = tokio::time::timeout(PATIENCE, watch.chunk()).await??;
        left.extend_from_slice(&part.context("the watch ended")?);
        while let Some(end) = left.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = left.drain(..=end).collect();
            if line.trim_ascii().is_empty() {
                continue;
            }
            let mut event: Value = serde_json::from_slice(&line)?;
            let app = event["result"]["application"].take();
            let sync = &app["status"]["sync"];
            ensure!(sync["status"] != "Unknown", "{}", all_conditions(&app));
            if sync["status"] == "Synced" && sync["revision"] == commit {
                return Ok(());
            }
        }
    }
}

/// Waits until the controller's metrics say of a tenant's cluster that it answers, or that it does not.
async fn told(tenant: &str, server: &str, answers: bool) -> Result<()> {
    let supervisor = platform::platform().await?.supervisor()?;
    let controller = supervisor.find("naru-controller").context("it runs")?;
    let listen = &controller.spec().env["NARU_METRICS_LISTEN"];
    let http = testkit::http::builder().build()?;
    let wanted = format!(
        "argocd_cluster_connection_status{{server=\"{server}\",tenant=\"{tenant}\"}} {}",
        u8::from(answers)
    );
    wait::until("the metrics say so", PATIENCE, || async {
        let said = http.get(format!("http://{listen}/metrics")).send().await?;
        let said = said.text().await?;
        ensure!(said.lines().any(|line| line == wanted), "no {wanted}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_application_lives_in_a_cluster_that_was_added() -> Result<()> {
    let platform = platform::platform().await?;
    let (tenant, other) = (
        platform::tenant("far").await?,
        platform::tenant("far-b").await?,
    );
    let kube = platform.kube()?;
    let home = format!("{}-guests", tenant.name);
    let made = format!("{}-made", tenant.name);
    let first = guest(&kube, "first", &home, Role::Everywhere("cluster-admin")).await?;
    let second = guest(&kube, "second", &home, Role::Everywhere("cluster-admin")).await?;
    let behind = kube.server().trim_start_matches("https://").parse()?;
    let way = Unruly::start(behind).await?;
    let server = format!("https://{}", way.address);
    add(&tenant, &server, &first, &[]).await?;

    tenant.checkout.write("app/a.yaml", config_map("a", "1"))?;
    tenant
        .checkout
        .push_file("app/web.yaml", DEPLOYMENT)
        .await?;
    tenant.connect().await?;
    tenant.turn_webhook_on()?;
    let mut policy = automated();
    policy["syncOptions"] = json!(["CreateNamespace=true"]);
    let client = &tenant.client;
    let body = app(&tenant, "a", &made, &policy);
    client.post("/api/v1/applications", &body).await?.ok()?;
    client.app_done("a", None, PATIENCE).await?;
    ensure!(value(&kube, &made).await?.as_deref() == Some("1"));
    let tree = client
        .get("/api/v1/applications/a/resource-tree")
        .await?
        .ok()?;
    ensure!(tree.to_string().contains("\"Pod\""), "{tree}");
    let seen = client
        .get("/api/v1/clusters/far?id.type=name")
        .await?
        .ok()?;
    ensure!(
        seen["info"]["applicationsCount"] == 1 && seen["info"]["cacheInfo"]["resourcesCount"] != 0,
        "{seen}"
    );

    // What happens there is seen as it happens, and undone.
    kube.merge(&map(&made), &json!({"data": {"value": "by hand"}}))
        .await?;
    wait::until("the value is Git's again", PATIENCE, || async {
        ensure!(
            value(&kube, &made).await?.as_deref() == Some("1"),
            "not yet"
        );
        Ok(())
    })
    .await?;

    // It is this tenant's alone.
    let theirs = app(&other, "a", &made, &policy);
    let refused = other.client.post("/api/v1/applications", &theirs).await?;
    ensure!(
        refused.status == 400
            && refused
                .body
                .to_string()
                .contains("no clusters with this name"),
        "{}",
        refused.body
    );

    // Other credentials: it goes on with them, without a gap, and those before are used no more.
    client.app_done("a", None, PATIENCE).await?;
    let watch = watch(client, "a").await?;
    add(&tenant, &server, &second, &[]).await?;
    kube.delete(&format!("/api/v1/namespaces/{home}/serviceaccounts/first"))
        .await?;
    let third = config_map("a", "3");
    let commit = tenant.checkout.push_file("app/a.yaml", third).await?;
    wait::until("the push has arrived", PATIENCE, || async {
        ensure!(
            value(&kube, &made).await?.as_deref() == Some("3"),
            "not yet"
        );
        Ok(())
    })
    .await?;
    client.app_done("a", Some(&commit), PATIENCE).await?;
    known_until(watch, &commit).await?;

    // While it does not answer nobody knows, and that is said.
    way.set(Mood::Silent);
    let unknown = |app: &Value| {
        app["status"]["sync"]["status"] == "Unknown"
            && all_conditions(app).contains("cluster.unreachable")
    };
    let away = client.app_when("a", PATIENCE, unknown).await?;
    let listed = away["status"]["resources"].as_array();
    let listed = listed.context("they are not gone for that")?;
    let nobody_knows = |of: &Value| of["status"] == "Unknown";
    ensure!(
        listed.len() == 2 && listed.iter().all(nobody_knows),
        "{listed:?}"
    );
    told(&tenant.name, &server, false).await?;
    way.set(Mood::Straight);
    client.app_done("a", None, PATIENCE).await?;
    told(&tenant.name, &server, true).await?;

    // Its objects go with it, there.
    client
        .delete("/api/v1/applications/a?cascade=true")
        .await?
        .ok()?;
    client.app_gone("a", PATIENCE).await?;
    gone(&kube, &map(&made)).await
}

#[tokio::test]
async fn a_sync_is_stopped_while_its_cluster_is_away_and_its_hook_when_it_is_back() -> Result<()> {
    let platform = platform::platform().await?;
    let tenant = platform::tenant("far-stop").await?;
    let kube = platform.kube()?;
    let home = format!("{}-guests", tenant.name);
    let token = guest(&kube, "guest", &home, Role::Everywhere("cluster-admin")).await?;
    let behind = kube.server().trim_start_matches("https://").parse()?;
    let way = Unruly::start(behind).await?;
    add(&tenant, &format!("https://{}", way.address), &token, &[]).await?;
    let hook = job("before", &[("hook", "PreSync")], "pending");
    tenant.checkout.push_file("app/before.json", hook).await?;
    tenant.connect().await?;
    let client = &tenant.client;
    let body = app(&tenant, "app", &home, &json!({}));
    client.post("/api/v1/applications", &body).await?.ok()?;
    sync(&tenant, &json!({})).await?;
    says(&tenant, "waiting for completion of hook batch/Job/before").await?;

    way.set(Mood::Silent);
    let away = |app: &Value| all_conditions(app).contains("cluster.unreachable");
    client.app_when("app", PATIENCE, away).await?;
    let stopped = client.delete("/api/v1/applications/app/operation");
    stopped.await?.ok()?;
    let app = ended(&tenant, "Error").await?;
    let state = &app["status"]["operationState"];
    ensure!(
        state["message"] == "Operation termination had errors",
        "{state}"
    );
    let path = format!("/apis/batch/v1/namespaces/{home}/jobs/before");
    let there = kube.get(&path).await?.context("nobody gets there")?;
    ensure!(
        there["metadata"]["deletionTimestamp"].is_null(),
        "{}",
        there["metadata"]
    );
    way.set(Mood::Straight);
    gone(&kube, &path).await
}

/// A hook that an installation's application of its name made, which is not there any more, and our finalizer keeps. Its path.
async fn leave_hook(kube: &Kube, home: &str, name: &str, installation: &str) -> Result<String> {
    let mut hook: Value = serde_json::from_str(&job(name, &[("hook", "PreSync")], "pending"))?;
    hook["metadata"]["finalizers"] = json!(["argocd.argoproj.io/hook-finalizer"]);
    let id = format!("{name}:batch/Job:{home}/{name}");
    for (mark, value) in [
        ("argocd.argoproj.io/tracking-id", id.as_str()),
        ("argocd.argoproj.io/installation-id", installation),
        ("naru.io/hook-run", "1.0.presync"),
    ] {
        hook["metadata"]["annotations"][mark] = json!(value);
    }
    let path = format!("/apis/batch/v1/namespaces/{home}/jobs/{name}");
    kube.apply(&path, &hook).await?;
    Ok(path)
}

#[tokio::test]
async fn hooks_that_an_application_left_in_an_added_cluster_are_let_go_by_whoever_lists_it_next()
-> Result<()> {
    let platform = platform::platform().await?;
    let tenant = platform::tenant("far-left").await?;
    let kube = platform.kube()?;
    let home = format!("{}-guests", tenant.name);
    let token = guest(&kube, "guest", &home, Role::Everywhere("cluster-admin")).await?;
    let left = leave_hook(&kube, &home, "left", &tenant.name).await?;
    let anothers = leave_hook(&kube, &home, "anothers", "somebody-else").await?;

    // It went while its cluster was away. Somebody looks at that one again, because something else goes there.
    add(&tenant, kube.server(), &token, &[]).await?;
    let file = config_map("a", "1");
    tenant.checkout.push_file("app/a.yaml", file).await?;
    tenant.connect().await?;
    let body = app(&tenant, "other", &home, &automated());
    let made = tenant.client.post("/api/v1/applications", &body);
    made.await?.ok()?;
    tenant.client.app_done("other", None, PATIENCE).await?;
    wait::until("the hook is let go", PATIENCE, || async {
        let there = kube.get(&left).await?.context("it runs on")?;
        ensure!(!is_held(&there), "{}", there["metadata"]);
        Ok(())
    })
    .await?;
    let there = kube.get(&anothers).await?.context("it is not ours")?;
    ensure!(is_held(&there), "{}", there["metadata"]);
    let release = json!({"metadata": {"finalizers": null}});
    kube.merge(&anothers, &release).await?;
    Ok(())
}

#[tokio::test]
async fn in_an_added_cluster_an_application_can_do_what_its_credentials_can() -> Result<()> {
    let platform = platform::platform().await?;
    let tenant = platform::tenant("part").await?;
    let kube = platform.kube()?;
    let here = format!("{}-here", tenant.name);
    let token = guest(&kube, "guest", &here, Role::Here("admin")).await?;
    add(&tenant, kube.server(), &token, &[&here]).await?;
    tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "1"))
        .await?;
    tenant.connect().await?;
    tenant.turn_webhook_on()?;
    let client = &tenant.client;
    let mut policy = automated();
    // An operation that tries again goes on with its revision.
    policy["retry"] = json!({"limit": 0});
    let body = app(&tenant, "a", &here, &policy);
    client.post("/api/v1/applications", &body).await?.ok()?;
    client.app_done("a", None, PATIENCE).await?;

    // Neither into a namespace that was not named, though the tenant itself has it in the shared cluster, ...
    let elsewhere = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: b\n  namespace: {}\n",
        tenant.name
    );
    tenant.checkout.push_file("app/b.yaml", elsewhere).await?;
    let refused = |app: &Value| all_conditions(app).contains("sync.namespace-not-yours");
    client.app_when("a", PATIENCE, refused).await?;
    // ... nor outside of namespaces, where nothing is followed, ...
    tenant.checkout.remove("app/b.yaml")?;
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: far-reaching\nrules: []\n";
    tenant.checkout.push_file("app/role.yaml", role).await?;
    let refused = |app: &Value| all_conditions(app).contains("sync.cluster-level-unmanaged");
    client.app_when("a", PATIENCE, refused).await?;
    ensure!(
        kube.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/far-reaching")
            .await?
            .is_none()
    );
    // ... nor what the credentials may not.
    tenant.checkout.remove("app/role.yaml")?;
    let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata:\n  name: far-reaching\nspec:\n  hard:\n    pods: 1\n";
    tenant.checkout.push_file("app/quota.yaml", quota).await?;
    let refused = |app: &Value| {
        let state = &app["status"]["operationState"];
        state["phase"] == "Failed" && state.to_string().contains("ResourceQuota")
            || all_conditions(app).contains("cluster.forbidden")
    };
    client.app_when("a", PATIENCE, refused).await?;
    let quota = format!("/api/v1/namespaces/{here}/resourcequotas/far-reaching");
    ensure!(kube.get(&quota).await?.is_none());

    // A cluster that is no longer known is no place to clean up.
    goes_nowhere_and_is_deleted(client).await?;
    ensure!(
        value(&kube, &here).await?.as_deref() == Some("1"),
        "it stays"
    );
    Ok(())
}

/// Takes the cluster `far` away from under the application `a`, and deletes that.
async fn goes_nowhere_and_is_deleted(client: &Client) -> Result<()> {
    let output = client.argocd(&["cluster", "rm", "far", "-y"]).await?;
    ensure!(said(&output).contains("removed"), "{}", said(&output));
    let lost = |app: &Value| {
        conditions(app, "InvalidSpecError")
            .iter()
            .any(|text| text.contains("app.destination-unknown"))
    };
    client.app_when("a", PATIENCE, lost).await?;
    client
        .delete("/api/v1/applications/a?cascade=true")
        .await?
        .ok()?;
    client.app_gone("a", PATIENCE).await
}

#[tokio::test]
async fn what_was_left_in_the_shared_cluster_stays_when_an_application_is_deleted_that_goes_nowhere()
-> Result<()> {
    let platform = platform::platform().await?;
    let tenant = platform::tenant("left").await?;
    let kube = platform.kube()?;
    let here = format!("{}-here", tenant.name);
    let token = guest(&kube, "guest", &here, Role::Here("admin")).await?;
    add(&tenant, kube.server(), &token, &[&here]).await?;
    tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "1"))
        .await?;
    tenant.connect().await?;
    let client = &tenant.client;
    let mut body = app(&tenant, "a", &here, &automated());
    let shared = json!({"server": "https://kubernetes.default.svc", "namespace": tenant.name});
    let far = std::mem::replace(&mut body["spec"]["destination"], shared);
    client.post("/api/v1/applications", &body).await?.ok()?;
    client.app_done("a", None, PATIENCE).await?;

    // It moves; what it had stays where it was, and still bears its name.
    body["spec"]["destination"] = far;
    client
        .put("/api/v1/applications/a/spec", &body["spec"])
        .await?
        .ok()?;
    wait::until("the application is there, too", PATIENCE, || async {
        ensure!(
            value(&kube, &here).await?.as_deref() == Some("1"),
            "not yet"
        );
        Ok(())
    })
    .await?;
    client.app_done("a", None, PATIENCE).await?;

    // Without its cluster it goes nowhere, least of all back.
    goes_nowhere_and_is_deleted(client).await?;
    for namespace in [&tenant.name, &here] {
        let stays = value(&kube, namespace).await?;
        ensure!(stays.as_deref() == Some("1"), "{namespace}: {stays:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_may_be_made_and_not_read_is_told_and_holds_no_sync_up() -> Result<()> {
    let platform = platform::platform().await?;
    let tenant = platform::tenant("far-unread").await?;
    let kube = platform.kube()?;
    let here = format!("{}-here", tenant.name);
    let role = format!("{here}-writer");
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"],
        "verbs": ["list", "watch", "create", "patch", "delete"]}]);
    let rbac = "rbac.authorization.k8s.io/v1";
    let writes = json!({"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": role}, "rules": rules});
    kube.apply(&format!("/apis/{rbac}/clusterroles/{role}"), &writes)
        .await?;
    let token = guest(&kube, "writer", &here, Role::Here(&role)).await?;
    add(&tenant, kube.server(), &token, &[&here]).await?;
    let object = config_map("a", "1");
    tenant.checkout.push_file("app/a.yaml", object).await?;
    tenant.connect().await?;
    let body = app(&tenant, "app", &here, &json!({}));
    let client = &tenant.client;
    client.post("/api/v1/applications", &body).await?.ok()?;
    sync(&tenant, &json!({})).await?;
    client.app_done("app", None, PATIENCE).await?;

    let by_hand = json!({"data": {"value": "by hand"}});
    kube.merge(&map(&here), &by_hand).await?;
    let told = |app: &Value| {
        app["status"]["sync"]["status"] == "Unknown"
            && all_conditions(app).contains("[cluster.forbidden]")
    };
    client.app_when("app", PATIENCE, told).await?;
    sync(&tenant, &json!({})).await?;
    client.app_done("app", None, PATIENCE).await?;
    ensure!(value(&kube, &here).await?.as_deref() == Some("1"));
    Ok(())
}
