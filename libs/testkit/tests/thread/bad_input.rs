//! Bad input: a clear error, a typed cause, and nothing else disturbed.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::platform::{self, Tenant};
use testkit::unruly::{Mood, Unruly};
use testkit::wait;

use crate::hooks::{ended, sync};
use crate::{PATIENCE, all_conditions, code, conditions, config_map, said, set};

/// Creates an application without validation and waits until a condition mentions every part.
async fn fails_with(tenant: &Tenant, name: &str, path: &str, parts: &[&str]) -> Result<()> {
    let app = json!({
        "metadata": {"name": name},
        "spec": {
            "project": "default",
            "source": {"repoURL": tenant.repo_url, "path": path, "targetRevision": "HEAD"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": tenant.name},
            "syncPolicy": {"automated": {"prune": true, "selfHeal": true}},
        },
    });
    tenant
        .client
        .post("/api/v1/applications?validate=false", &app)
        .await?
        .ok()?;
    let wanted = |app: &Value| parts.iter().all(|part| all_conditions(app).contains(part));
    let app = tenant.client.app_when(name, PATIENCE, wanted).await?;
    assert_ne!(
        app["status"]["health"]["status"], "Healthy",
        "what cannot be compared is never healthy: {app}"
    );
    Ok(())
}

#[tokio::test]
async fn an_application_without_a_repository_is_told_how_to_name_one() -> Result<()> {
    let tenant = platform::tenant("no-repository").await?;
    let app = json!({
        "metadata": {"name": "app"},
        "spec": {
            "project": "default",
            "source": {"path": "app"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": tenant.name},
        },
    });
    let refused = tenant.client.post("/api/v1/applications", &app).await?;
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert_eq!(
        refused.body["message"],
        "application spec for app is invalid: InvalidSpecError: repository not accessible: no repository is named: set \
         spec.source.repoURL (`--repo`) [source.repository-unnamed]"
    );
    Ok(())
}

#[tokio::test]
async fn each_mistake_in_git_is_a_typed_cause_with_file_and_line() -> Result<()> {
    let tenant = platform::tenant("mistakes").await?;
    tenant.checkout.write("good/a.yaml", config_map("a", "1"))?;
    tenant.checkout.write(
        "broken/a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: [\n",
    )?;
    tenant.checkout.write(
        "elsewhere/a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: kube-system\n",
    )?;
    tenant.checkout.write("forbidden/a.yaml", "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: everything\nrules: []\n")?;
    tenant.checkout.write(
        "nested/a.yaml",
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: child\nspec: {}\n",
    )?;
    tenant.checkout.write(
        "nameless/a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  labels: {}\n",
    )?;
    let large = config_map("large", &"x".repeat(5 << 20));
    tenant.checkout.write("large/a.yaml", large)?;
    tenant
        .checkout
        .push_file(
            "unknown/a.yaml",
            "apiVersion: example.com/v1\nkind: Nothing\nmetadata:\n  name: a\n",
        )
        .await?;
    tenant.connect().await?;
    tenant
        .create_app("good", "good", &platform::automated())
        .await?;
    fails_with(
        &tenant,
        "missing",
        "no/such/folder",
        &["ComparisonError", "no/such/folder"],
    )
    .await?;
    fails_with(
        &tenant,
        "broken",
        "broken",
        &["ComparisonError", "broken/a.yaml:"],
    )
    .await?;
    fails_with(
        &tenant,
        "elsewhere",
        "elsewhere",
        &["kube-system", "elsewhere/a.yaml"],
    )
    .await?;
    fails_with(&tenant, "forbidden", "forbidden", &["ClusterRole"]).await?;
    fails_with(
        &tenant,
        "nested",
        "nested",
        &["Application", "nested/a.yaml"],
    )
    .await?;
    fails_with(
        &tenant,
        "unknown",
        "unknown",
        &["Nothing", "unknown/a.yaml"],
    )
    .await?;
    fails_with(
        &tenant,
        "nameless",
        "nameless",
        &["[sync.invalid-object]", "metadata.name", "nameless/a.yaml"],
    )
    .await?;
    fails_with(
        &tenant,
        "large",
        "large",
        &["[sync.object-too-large]", "large/a.yaml"],
    )
    .await?;
    let good = tenant.client.app_done("good", None, PATIENCE).await?;
    assert!(
        conditions(&good, "ComparisonError").is_empty(),
        "the good one is not disturbed: {}",
        all_conditions(&good)
    );
    Ok(())
}

#[tokio::test]
async fn what_git_says_twice_or_half_is_named_and_the_rest_deployed() -> Result<()> {
    let tenant = platform::tenant("twice").await?;
    tenant.checkout.write("app/a.yaml", config_map("a", "1"))?;
    tenant.checkout.write("app/b.yaml", config_map("a", "2"))?;
    tenant
        .checkout
        .push_file(
            "app/c.yaml",
            "apiVersion: v1\nmetadata:\n  name: c\ndata: {}\n",
        )
        .await?;
    tenant.connect().await?;
    tenant
        .create_app("app", "app", &platform::automated())
        .await?;
    let app = tenant.client.app_done("app", None, PATIENCE).await?;
    let twice = conditions(&app, "RepeatedResourceWarning");
    assert!(
        twice.iter().any(|said| said.contains("app/b.yaml")),
        "{}",
        all_conditions(&app)
    );
    assert!(
        all_conditions(&app).contains("[source.kind-missing]")
            && all_conditions(&app).contains("app/c.yaml"),
        "{}",
        all_conditions(&app)
    );
    let path = format!("/api/v1/namespaces/{}/configmaps/a", tenant.name);
    let live = tenant.kube.get(&path).await?.unwrap_or_default();
    assert_eq!(live["data"]["value"], "2", "the last one counts");
    Ok(())
}

/// The definition of the kind Gadget of a group; its scope is `Namespaced` or `Cluster`.
pub(crate) fn definition(group: &str, scope: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("gadgets.{group}")},
        "spec": {"group": group, "scope": scope,
            "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}}]}})
}

/// Lets a tenant define kinds, and have objects of those of a group wherever they live.
pub(crate) async fn let_define(tenant: &Tenant, group: &str) -> Result<()> {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": group},
        "rules": [
            {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["*"]},
            {"apiGroups": [group], "resources": ["*"], "verbs": ["*"]}]});
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": group},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": group},
        "subjects": [{"kind": "ServiceAccount", "namespace": tenant.name, "name": "naru"}]});
    let admin = platform::platform().await?.kube()?;
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role_at = format!("{rbac}/clusterroles/{group}");
    admin.apply(&role_at, &role).await?;
    let binding_at = format!("{rbac}/clusterrolebindings/{group}");
    admin.apply(&binding_at, &binding).await?;
    Ok(())
}

#[tokio::test]
async fn a_definition_and_its_object_come_in_one_commit() -> Result<()> {
    let tenant = platform::tenant("defined").await?;
    let group = format!("{}.example", tenant.name);
    let definition = definition(&group, "Namespaced");
    let gadget = json!({"apiVersion": format!("{group}/v1"), "kind": "Gadget", "metadata": {"name": "g"},
        "spec": {"size": 3}});
    let_define(&tenant, &group).await?;
    // The object's file comes first: it is the kinds that say what is applied before what.
    tenant
        .checkout
        .write("app/a-gadget.json", gadget.to_string())?;
    tenant
        .checkout
        .push_file("app/b-definition.json", definition.to_string())
        .await?;
    tenant.connect().await?;
    tenant
        .create_app("app", "app", &platform::automated())
        .await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    let path = format!("/apis/{group}/v1/namespaces/{}/gadgets/g", tenant.name);
    let live = tenant.kube.get(&path).await?.unwrap_or_default();
    assert_eq!(live["spec"]["size"], 3);
    Ok(())
}

/// An application of one ConfigMap that follows Git, which nothing disturbs.
async fn undisturbed(tenant: &Tenant) -> Result<()> {
    tenant
        .checkout
        .push_file("fine/a.yaml", config_map("fine", "1"))
        .await?;
    tenant
        .create_app("fine", "fine", &platform::automated())
        .await?;
    tenant.client.app_done("fine", None, PATIENCE).await?;
    Ok(())
}

/// Changes that ConfigMap, which is deployed whatever else is under way.
async fn changed(tenant: &Tenant) -> Result<()> {
    let file = config_map("fine", "2");
    let commit = tenant.checkout.push_file("fine/a.yaml", file).await?;
    let done = tenant.client.app_done("fine", Some(&commit), PATIENCE);
    done.await.map(drop)
}

#[tokio::test]
async fn a_finalizer_that_never_ends_is_named_and_keeps_nobody_else() -> Result<()> {
    let tenant = platform::tenant("endless").await?;
    tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "1"))
        .await?;
    tenant.connect().await?;
    tenant
        .create_app("app", "app", &platform::automated())
        .await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    let path = format!("/api/v1/namespaces/{}/configmaps/a", tenant.name);
    let hold = json!({"metadata": {"finalizers": ["example.com/never"]}});
    tenant.kube.merge(&path, &hold).await?;
    let deleted = tenant
        .client
        .delete("/api/v1/applications/app?cascade=true");
    deleted.await?.ok()?;
    let named = |app: &Value| {
        let said = all_conditions(app);
        said.contains("[app.pending-deletion]") && said.contains("example.com/never")
    };
    tenant.client.app_when("app", PATIENCE, named).await?;
    undisturbed(&tenant).await?;
    let release = json!({"metadata": {"finalizers": null}});
    tenant.kube.merge(&path, &release).await?;
    tenant.client.app_gone("app", PATIENCE).await
}

/// A webhook that is asked about ConfigMaps of the tenant with the label `slow`, and never answers.
fn silent_webhook(tenant: &Tenant, address: std::net::SocketAddr) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": tenant.name},
        "webhooks": [{
            "name": "slow.example.com", "clientConfig": {"url": format!("https://{address}/")},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": tenant.name}},
            "objectSelector": {"matchLabels": {"slow": "yes"}},
            "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 10, "failurePolicy": "Fail"}]})
}

#[tokio::test]
async fn a_webhook_that_hangs_is_suspected_and_delays_nothing_else() -> Result<()> {
    let tenant = platform::tenant("hanging").await?;
    let silent = Unruly::start(std::net::SocketAddr::from(([127, 0, 0, 1], 1))).await?;
    silent.set(Mood::Silent);
    let admin = platform::platform().await?.kube()?;
    let webhook = format!(
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{}",
        tenant.name
    );
    let configuration = silent_webhook(&tenant, silent.address);
    admin.apply(&webhook, &configuration).await?;
    let slow = |name: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "labels": {"slow": "yes"}}, "data": {"value": "1"}})
    };
    let maps = format!("/api/v1/namespaces/{}/configmaps", tenant.name);
    let trial = format!("{maps}?dryRun=All&timeout=1s");
    wait::until("the webhook is asked", PATIENCE, || async {
        let asked = tenant
            .kube
            .request(Method::POST, &trial)
            .json(&slow("trial"));
        asked.send().await?;
        ensure!(silent.came() > 0, "not yet");
        Ok(())
    })
    .await?;
    tenant.checkout.write("app/a.json", slow("a").to_string())?;
    tenant
        .checkout
        .push_file("app/b.yaml", config_map("b", "1"))
        .await?;
    tenant.connect().await?;
    tenant.create_app("app", "app", &json!({})).await?;
    sync(&tenant, &json!({})).await?;
    undisturbed(&tenant).await?;
    let failed = |app: &Value| {
        let state = &app["status"]["operationState"];
        let said = state["message"].as_str().unwrap_or_default();
        state["phase"] == "Failed"
            && said.contains("[cluster.write-unfinished]")
            && said.contains(&format!("ConfigMap {}/a", tenant.name))
    };
    tenant.client.app_when("app", PATIENCE * 2, failed).await?;
    let b = tenant.kube.get(&format!("{maps}/b")).await?;
    assert!(b.is_some(), "what is applied beside it is there");
    admin.delete(&webhook).await?;
    sync(&tenant, &json!({})).await?;
    ended(&tenant, "Succeeded").await?;
    Ok(())
}

/// The most memory that each service has taken so far, in MiB.
async fn peaks() -> Result<Vec<u64>> {
    let supervisor = platform::platform().await?.supervisor()?;
    let peak = |name: &str| -> Result<u64> {
        let process = supervisor.find(name).context("it runs")?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.context("no peak")?.trim().trim_end_matches(" kB");
        Ok(peak.parse::<u64>()? >> 10)
    };
    let services = ["naru-api", "naru-repo-server", "naru-controller"];
    services.into_iter().map(peak).collect()
}

#[tokio::test]
async fn ten_thousand_objects_of_one_application_delay_no_other() -> Result<()> {
    /// What they may take of memory, in MiB, beside all that goes on meanwhile: a hundred KiB of each object.
    const MEMORY: u64 = 1024;
    const MANY: usize = 10_000;
    /// As many as the cluster takes in some seconds; a full run has it take all.
    const SOME: usize = 2_000;
    let tenant = platform::tenant("many").await?;
    let before = peaks().await?;
    let objects: Vec<String> = (0..MANY)
        .map(|at| config_map(&format!("m-{at}"), "1"))
        .collect();
    tenant
        .checkout
        .push_file("many/a.yaml", objects.join("---\n"))
        .await?;
    tenant.connect().await?;
    tenant.create_app("many", "many", &json!({})).await?;
    undisturbed(&tenant).await?;
    let listed = |app: &Value| {
        let resources = app["status"]["resources"].as_array();
        app["status"]["sync"]["status"] == "OutOfSync"
            && resources.is_some_and(|resources| resources.len() == MANY)
    };
    let app = tenant.client.app_when("many", PATIENCE * 2, listed).await?;
    let told = all_conditions(&app);
    assert!(
        told.len() < 100_000,
        "what is said of so many is bounded: {} bytes",
        told.len()
    );

    let full = std::env::args().any(|word| word == "--include-ignored");
    let count = if full { MANY } else { SOME };
    let fewer = objects[..count].join("---\n");
    tenant.checkout.push_file("many/a.yaml", fewer).await?;
    let listed = |app: &Value| {
        let resources = app["status"]["resources"].as_array();
        resources.is_some_and(|resources| resources.len() == count)
    };
    let refreshed = tenant
        .client
        .get("/api/v1/applications/many?refresh=normal");
    refreshed.await?.ok()?;
    tenant.client.app_when("many", PATIENCE, listed).await?;
    // The command follows the sync, by events that have all of it, while the neighbour is deployed.
    let (synced, ()) = tokio::try_join!(
        tenant.client.argocd(&["app", "sync", "many"]),
        changed(&tenant)
    )?;
    assert_eq!(code(&synced), 0, "{:?}", said(&synced).lines().last());
    let app = tenant.client.app_done("many", None, PATIENCE).await?;
    let result = &app["status"]["operationState"]["syncResult"]["resources"];
    assert_eq!(result.as_array().map(Vec::len), Some(count));
    let maps = format!(
        "/api/v1/namespaces/{}/configmaps/m-{}",
        tenant.name,
        count - 1
    );
    assert!(tenant.kube.get(&maps).await?.is_some(), "{maps}");
    let after = peaks().await?;
    let mut grown = before.iter().zip(&after);
    assert!(
        grown.all(|(before, after)| after.saturating_sub(*before) < MEMORY),
        "MiB of the api, the repo-server and the controller: {before:?}, then {after:?}"
    );
    Ok(())
}

#[tokio::test]
async fn the_command_line_says_what_is_wrong() -> Result<()> {
    let tenant = platform::tenant("wrong").await?;
    tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "1"))
        .await?;
    let wrong_login = tenant
        .client
        .argocd(&[
            "repo",
            "add",
            &tenant.repo_url,
            "--username",
            "nobody",
            "--password",
            "wrong",
        ])
        .await?;
    assert_eq!(code(&wrong_login), 20, "{}", said(&wrong_login));
    assert!(
        !said(&wrong_login).contains("password wrong"),
        "the password is not repeated"
    );
    let unknown = format!("{}-nowhere", tenant.repo_url.trim_end_matches(".git"));
    let args = [
        "repo",
        "add",
        &unknown,
        "--username",
        &tenant.git_login.user,
        "--password",
        &tenant.git_login.password,
    ];
    assert_eq!(code(&tenant.client.argocd(&args).await?), 20);
    let unreachable = tenant
        .client
        .argocd(&["repo", "add", "http://127.0.0.1:1/a.git"])
        .await?;
    assert_eq!(code(&unreachable), 20);
    assert!(
        said(&unreachable).contains("127.0.0.1:1"),
        "{}",
        said(&unreachable)
    );
    tenant.connect().await?;
    let create = |path: &'static str, namespace: &'static str| {
        let (repo, client) = (tenant.repo_url.clone(), tenant.client.clone());
        async move {
            let args = [
                "app",
                "create",
                "x",
                "--repo",
                &repo,
                "--path",
                path,
                "--dest-namespace",
                namespace,
            ];
            let server = ["--dest-server", "https://kubernetes.default.svc"];
            client
                .argocd(&[args.as_slice(), server.as_slice()].concat())
                .await
        }
    };
    let no_path = create("nowhere", "x").await?;
    assert_eq!(code(&no_path), 20);
    assert!(said(&no_path).contains("nowhere"), "{}", said(&no_path));
    assert_eq!(
        code(&tenant.client.argocd(&["app", "get", "never-made"]).await?),
        20
    );
    Ok(())
}

#[tokio::test]
async fn no_secret_is_seen_anywhere() -> Result<()> {
    let tenant = platform::tenant("secrets").await?;
    let annotation = "example.com/token";
    let key = "resource.sensitive.mask.annotations";
    set(&tenant, "argocd-cm", key, annotation).await?;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"key": "tooth-fairy"},
        "metadata": {"name": "s", "annotations": {annotation: "tooth-fairy"}}})
    .to_string();
    tenant.checkout.push_file("app/s.yaml", secret).await?;
    tenant.connect().await?;
    tenant
        .create_app("app", "app", &platform::automated())
        .await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    let encoded = "dG9vdGgtZmFpcnk";
    let resource = format!(
        "/api/v1/applications/app/resource?resourceName=s&namespace={}&version=v1&kind=Secret",
        tenant.name
    );
    for path in [
        "/api/v1/applications/app/managed-resources",
        "/api/v1/applications/app/manifests",
        "/api/v1/applications/app",
        &resource,
        "/api/v1/repositories",
    ] {
        let text = tenant.client.get(path).await?.body.to_string();
        assert!(
            !text.contains("tooth-fairy") && !text.contains(encoded),
            "{path} shows the secret"
        );
        assert!(
            !text.contains(&tenant.git_login.password),
            "{path} shows the Git password"
        );
    }
    let logs = platform::platform().await?.dir().join("logs");
    for log in std::fs::read_dir(logs)? {
        let log = log?.path();
        let name = log
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default()
            .to_owned();
        if name.starts_with("naru-") {
            let text = std::fs::read_to_string(&log)?;
            assert!(
                !text.contains("tooth-fairy") && !text.contains(encoded),
                "{name} holds the secret"
            );
            assert!(
                !text.contains(&tenant.git_login.password),
                "{name} holds the Git password"
            );
        }
    }
    Ok(())
}
