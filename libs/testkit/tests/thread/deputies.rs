//! What is done as the service accounts that projects name: syncs, deletions, and what people do by hand. With their rights,
//! with nobody else's, and not at all where there is none.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::client::Answer;
use testkit::kube::Kube;
use testkit::platform::{self, Tenant};
use testkit::wait;

use crate::clusters::{Role, add, app, guest};
use crate::faults::own_platform;
use crate::hooks::{application, ended, finish, gone, is_held, job, path, says, sync};
use crate::objects::live;
use crate::terminal::{self, Terminal, enterable};
use crate::{PATIENCE, all_conditions, code, conditions, config_map, said, set};

const SETTING: &str = "application.sync.impersonation.enabled";
const SERVER: &str = "https://kubernetes.default.svc";
/// Who the controller is to the cluster.
const NARU: &str = "naru-controller";

async fn argocd(tenant: &Tenant, words: &[&str]) -> Result<String> {
    let output = tenant.client.argocd(words).await?;
    ensure!(code(&output) == 0, "argocd {words:?}:\n{}", said(&output));
    Ok(said(&output))
}

/// Has the project `default` name an account for the tenant's namespace, or not any more.
async fn name(tenant: &Tenant, verb: &str, account: &str) -> Result<()> {
    name_at(tenant, verb, (SERVER, tenant.name.as_str()), account).await
}

/// The same for a namespace of a cluster.
async fn name_at(tenant: &Tenant, verb: &str, place: (&str, &str), account: &str) -> Result<()> {
    let command = format!("{verb}-destination-service-account");
    let words = ["proj", &command, "default", place.0, place.1, account];
    argocd(tenant, &words).await.map(drop)
}

/// Waits until a plan is refused for just this, or for nothing: the controller knows by then what was changed.
async fn refused(tenant: &Tenant, code: Option<&str>) -> Result<()> {
    refused_of(tenant, "app", code).await
}

/// The same of another application.
async fn refused_of(tenant: &Tenant, app: &str, code: Option<&str>) -> Result<()> {
    wait::until("the plan", PATIENCE, || async {
        let path = format!("/api/naru/v1/applications/{app}/plan?prune=true");
        let plan = tenant.client.get(&path).await?.ok()?;
        let refusals = plan["refusals"].as_array().into_iter().flatten();
        let codes: Vec<&str> = refusals
            .filter_map(|refusal| refusal["code"].as_str())
            .collect();
        ensure!(codes == Vec::from_iter(code), "{plan}");
        Ok(())
    })
    .await
}

/// Syncs, and waits until just that has ended in this phase with these words.
async fn synced(tenant: &Tenant, mut what: Value, phase: &str, words: &str) -> Result<Value> {
    static SYNCS: AtomicUsize = AtomicUsize::new(0);
    let mark = SYNCS.fetch_add(1, Ordering::Relaxed).to_string();
    what["infos"] = json!([{"name": "mark", "value": mark}]);
    sync(tenant, &what).await?;
    let over = |app: &Value| {
        let state = &app["status"]["operationState"];
        let message = state["message"].as_str().unwrap_or_default();
        state["operation"]["info"] == what["infos"]
            && state["phase"] == phase
            && message.contains(words)
    };
    tenant.client.app_when("app", PATIENCE, over).await
}

fn map(tenant: &Tenant, name: &str) -> String {
    live(&tenant.name, "configmaps", name)
}

/// Gives the account `deployer` of the tenant's namespace what a sync needs, and waits until that counts.
async fn entitle(tenant: &Tenant) -> Result<()> {
    let rules = json!([
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch", "delete"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "create", "patch", "delete"]},
    ]);
    grant(tenant, &rules).await
}

/// Gives the account `deployer` of the tenant's namespace these rights there and no others, as the tenant itself can. To read
/// ConfigMaps is among them: by that it is seen that they count.
async fn grant(tenant: &Tenant, rules: &Value) -> Result<()> {
    grant_as(&tenant.kube, tenant, rules).await
}

/// The same by somebody who may hand out more than the tenant has.
async fn grant_as(kube: &Kube, tenant: &Tenant, rules: &Value) -> Result<()> {
    let here = &tenant.name;
    let rbac = "rbac.authorization.k8s.io";
    let role = json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role",
        "metadata": {"name": "deployer", "namespace": here}, "rules": rules});
    let binding = json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding",
        "metadata": {"name": "deployer", "namespace": here},
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "deployer"},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": here}]});
    let all = format!("/apis/{rbac}/v1/namespaces/{here}");
    kube.apply(&format!("{all}/roles/deployer"), &role).await?;
    kube.apply(&format!("{all}/rolebindings/deployer"), &binding)
        .await?;
    entitled(kube, here).await
}

/// Waits until the rights of the account `deployer` count.
async fn entitled(kube: &Kube, namespace: &str) -> Result<()> {
    let deployer = kube.impersonating(&user(namespace, "deployer"));
    wait::until("the rights count", PATIENCE, || async {
        let none = live(namespace, "configmaps", "none");
        deployer.get(&none).await.map(drop)
    })
    .await
}

fn user(namespace: &str, account: &str) -> String {
    format!("system:serviceaccount:{namespace}:{account}")
}

/// How much the apiserver has on record.
async fn recorded() -> Result<usize> {
    let plane = platform::platform().await?.control_plane();
    Ok(plane.recorded(|_| true)?.len())
}

/// As whom somebody has written objects of these kinds in a namespace, as `patch configmaps naru`; with the word `trial`
/// before it where it was one. Of what was read, parts alone: `get pods/log naru`.
async fn writers(who: &str, namespace: &str, kinds: &[&str]) -> Result<BTreeSet<String>> {
    writers_since(0, who, namespace, kinds).await
}

/// The same, since so much was on record.
async fn writers_since(
    since: usize,
    who: &str,
    namespace: &str,
    kinds: &[&str],
) -> Result<BTreeSet<String>> {
    let plane = platform::platform().await?.control_plane();
    let events = plane.recorded(|_| true)?;
    let ours = user(namespace, "");
    let mut seen = BTreeSet::new();
    for event in events.iter().skip(since) {
        let of = &event["objectRef"];
        let resource = of["resource"].as_str().unwrap_or_default();
        let part = of["subresource"].as_str().map(|part| format!("/{part}"));
        let verb = event["verb"].as_str().unwrap_or_default();
        if event["user"]["username"] != who
            || of["namespace"] != namespace
            || !kinds.contains(&resource)
            || (verb == "get" && part.is_none())
        {
            continue;
        }
        let whom = event["impersonatedUser"]["username"]
            .as_str()
            .unwrap_or("nobody");
        let whom = whom.strip_prefix(&ours).unwrap_or(whom);
        let uri = event["requestURI"].as_str().unwrap_or_default();
        let trial = if uri.contains("dryRun=All") {
            "trial "
        } else {
            ""
        };
        let part = part.unwrap_or_default();
        seen.insert(format!("{trial}{verb} {resource}{part} {whom}"));
    }
    Ok(seen)
}

#[tokio::test]
async fn a_sync_has_the_rights_of_the_account_that_its_project_names_and_no_others() -> Result<()> {
    let platform = platform::platform().await?;
    let files = [
        ("a.yaml", config_map("a", "1")),
        ("b.yaml", config_map("b", "1")),
    ];
    let tenant = application(platform, "deputy", &files).await?;
    let client = &tenant.client;
    set(&tenant, "argocd-cm", SETTING, "true").await?;
    let shown = client.get("/api/v1/settings").await?.ok()?;
    assert_eq!(shown["impersonationEnabled"], true, "{shown}");

    // Nobody is named.
    let missing = "destinationServiceAccounts of project `default` has none for server";
    refused(&tenant, Some("sync.no-service-account")).await?;
    let app = synced(&tenant, json!({}), "Error", missing).await?;
    let errors = conditions(&app, "SyncError");
    assert!(
        errors
            .iter()
            .any(|said| said.contains("[sync.no-service-account]")),
        "{errors:?}"
    );
    synced(&tenant, json!({"dryRun": true}), "Error", missing).await?;

    // Where that is not enforced, nobody has to be; who is named is whom it is done as all the same.
    let enforced = "application.sync.impersonation.enforced";
    set(&tenant, "argocd-cm", enforced, "false").await?;
    refused(&tenant, None).await?;
    name(&tenant, "add", "kube-system:default").await?;
    refused(&tenant, Some("sync.service-account-foreign")).await?;
    name(&tenant, "remove", "kube-system:default").await?;
    set(&tenant, "argocd-cm", enforced, "true").await?;
    refused(&tenant, Some("sync.no-service-account")).await?;

    // One who may do nothing.
    name(&tenant, "add", "deployer").await?;
    refused(&tenant, None).await?;
    let no = "one or more objects failed to apply";
    let app = synced(&tenant, json!({}), "Failed", no).await?;
    let state = &app["status"]["operationState"];
    let words = state["syncResult"]["resources"][0]["message"].to_string();
    assert!(words.contains(&user(&tenant.name, "deployer")), "{words}");
    let errors = conditions(&app, "SyncError");
    assert!(
        errors
            .iter()
            .any(|said| said.contains("[sync.service-account-forbidden]")),
        "{errors:?}"
    );
    assert!(tenant.kube.get(&map(&tenant, "a")).await?.is_none());

    // One who may do some things, and not others.
    entitle(&tenant).await?;
    let tried = "successfully synced (dry run)";
    synced(&tenant, json!({"dryRun": true}), "Succeeded", tried).await?;
    let done = "successfully synced (all tasks run)";
    synced(&tenant, json!({}), "Succeeded", done).await?;
    assert!(tenant.kube.get(&map(&tenant, "a")).await?.is_some());
    let before = job(
        "before",
        &[("hook", "PreSync"), ("hook-delete-policy", "HookSucceeded")],
        "",
    );
    tenant.checkout.write("app/before.json", before)?;
    tenant.checkout.remove("app/b.yaml")?;
    let commit = tenant.checkout.commit("a hook, and no b").await?;
    tenant.checkout.push().await?;
    let refresh = "/api/v1/applications/app?refresh=normal";
    client.get(refresh).await?.ok()?;
    sync(&tenant, &json!({"prune": true})).await?;
    client.app_done("app", Some(&commit), PATIENCE).await?;
    gone(&tenant.kube, &map(&tenant, "b")).await?;
    gone(&tenant.kube, &path(&tenant, "before")).await?;
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: more\n";
    tenant.checkout.push_file("app/more.yaml", account).await?;
    client.get(refresh).await?.ok()?;
    synced(&tenant, json!({"prune": true}), "Failed", no).await?;
    let more = live(&tenant.name, "serviceaccounts", "more");
    assert!(tenant.kube.get(&more).await?.is_none());

    let written = writers(NARU, &tenant.name, &["configmaps", "jobs"]).await?;
    let wanted = [
        "trial patch configmaps deployer",
        "patch configmaps deployer",
        "delete configmaps deployer",
        "patch jobs deployer",
        "delete jobs deployer",
    ];
    as_deployer(&written, &wanted);
    Ok(())
}

/// All of it was done as the account `deployer`, and what is wanted is there.
fn as_deployer(seen: &BTreeSet<String>, wanted: &[&str]) {
    for wanted in wanted {
        assert!(seen.contains(*wanted), "no `{wanted}`: {seen:?}");
    }
    let other = |one: &&String| !one.ends_with(" deployer");
    let others: Vec<&String> = seen.iter().filter(other).collect();
    assert!(others.is_empty(), "{others:?} of {seen:?}");
}

/// What people do by hand with the application `a` and its objects, and what the cluster was told to say to each.
async fn by_hand(tenant: &Tenant, uid: &str) -> Result<Vec<Answer>> {
    let (client, here) = (&tenant.client, &tenant.name);
    let app = "/api/v1/applications/a";
    let at = format!("namespace={here}&version=v1");
    let map = format!("{app}/resource?{at}&resourceName=a&group=&kind=ConfigMap");
    let web = format!("{at}&resourceName=web&group=apps&kind=Deployment");
    let merge = format!("{map}&patchType=application/merge-patch%2Bjson");
    let patch = json!({"data": {"value": "3"}}).to_string();
    let restart = json!({"name": "a", "namespace": here, "resourceName": "web", "version": "v1", "group": "apps",
        "kind": "Deployment", "action": "restart"});
    let said = format!("resourceNamespace={here}&resourceName=web&resourceUID={uid}");
    let logs =
        format!("namespace={here}&container=main&group=apps&kind=Deployment&resourceName=web");
    Ok(vec![
        client.get(&map).await?,
        client.get(&format!("{app}/resource/actions?{web}")).await?,
        client.get(&format!("{app}/events?{said}")).await?,
        client.post(&merge, &json!(patch)).await?,
        client
            .post(&format!("{app}/resource/actions/v2"), &restart)
            .await?,
        client.get(&format!("{app}/logs?{logs}")).await?,
        // Last, since it ends what the others are about.
        client.delete(&map).await?,
    ])
}

#[tokio::test]
async fn s14_what_is_done_by_hand_has_the_rights_that_a_sync_has_and_no_others() -> Result<()> {
    let (tenant, place) = enterable("deputy-hand").await?;
    let (client, here) = (&tenant.client, &tenant.name);
    let web = tenant.kube.get(&live(here, "deployments", "web")).await?;
    let web = web.context("no Deployment")?;
    let uid = web["metadata"]["uid"].as_str().context("no uid")?;
    set(&tenant, "argocd-cm", SETTING, "true").await?;
    let since = recorded().await?;

    // Nobody is named.
    refused_of(&tenant, "a", Some("sync.no-service-account")).await?;
    let missing = "destinationServiceAccounts of project `default` has none for server";
    for answer in by_hand(&tenant, uid).await? {
        let said = answer.body.to_string();
        assert!(answer.status == 400 && said.contains(missing), "{answer:?}");
    }
    let (_, words) = terminal::refused(client, &place, &[]).await?;
    assert!(words.contains(missing), "{words}");
    let kinds = ["configmaps", "deployments", "pods", "events"];
    let asked = writers_since(since, NARU, here, &kinds).await?;
    assert_eq!(asked, BTreeSet::new(), "nothing is asked of the cluster");

    // One who may do nothing.
    name(&tenant, "add", "deployer").await?;
    refused_of(&tenant, "a", None).await?;
    let deployer = user(here, "deployer");
    for answer in by_hand(&tenant, uid).await? {
        let said = answer.body.to_string();
        // Why there are no logs is a line of them.
        let refused = answer.status == 403 || said.contains("podName");
        assert!(refused && said.contains(&deployer), "{answer:?}");
    }
    let (_, words) = terminal::refused(client, &place, &[]).await?;
    assert!(words.contains(&deployer), "{words}");
    let map = tenant.kube.get(&live(here, "configmaps", "a")).await?;
    assert_eq!(map.context("it is gone")?["data"]["value"], "1");

    // One who may do all of it.
    let rules = json!([
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch", "delete"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    ]);
    grant(&tenant, &rules).await?;
    let mut shell = Terminal::open(client, &place).await?;
    shell.type_in("exit\r").await?;
    shell.end(PATIENCE).await?;
    for answer in by_hand(&tenant, uid).await? {
        let said = answer.body.to_string();
        assert!(
            answer.status == 200 && !said.contains("forbidden"),
            "{answer:?}"
        );
    }
    gone(&tenant.kube, &live(here, "configmaps", "a")).await?;
    let asked = writers_since(since, NARU, here, &kinds).await?;
    let wanted = [
        "patch configmaps deployer",
        "delete configmaps deployer",
        "patch deployments deployer",
        "get pods/log deployer",
        "get pods/exec deployer",
        "list events deployer",
    ];
    as_deployer(&asked, &wanted);
    Ok(())
}

/// Deletes the application `app` with its objects.
async fn delete(tenant: &Tenant) -> Result<()> {
    let path = "/api/v1/applications/app?cascade=true";
    tenant.client.delete(path).await?.ok().map(drop)
}

/// Waits until the application `app` is kept by a cause of each of these codes.
async fn kept(tenant: &Tenant, codes: &[&str]) -> Result<Value> {
    let named = |app: &Value| {
        let said = all_conditions(app);
        codes.iter().all(|code| said.contains(&format!("[{code}]")))
    };
    tenant.client.app_when("app", PATIENCE, named).await
}

#[tokio::test]
async fn s14_a_deletion_has_the_rights_that_a_sync_has_and_no_others() -> Result<()> {
    let platform = platform::platform().await?;
    let files = [("a.yaml", config_map("a", "1"))];
    let tenant = application(platform, "deputy-gone", &files).await?;
    set(&tenant, "argocd-cm", SETTING, "true").await?;
    name(&tenant, "add", "deployer").await?;
    let rights =
        |verbs: &[&str]| json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]);
    grant(&tenant, &rights(&["get", "create", "patch"])).await?;
    refused(&tenant, None).await?;
    let done = "successfully synced (all tasks run)";
    synced(&tenant, json!({}), "Succeeded", done).await?;

    // It may not delete.
    delete(&tenant).await?;
    let app = kept(&tenant, &["app.deletion-forbidden"]).await?;
    let errors = conditions(&app, "DeletionError").join("; ");
    let account = format!("the service account `{}:deployer`", tenant.name);
    assert!(errors.contains(&account), "{errors}");
    assert!(errors.contains(&user(&tenant.name, "deployer")), "{errors}");
    // Nobody may.
    name(&tenant, "remove", "deployer").await?;
    let codes = ["sync.no-service-account", "app.deletion-no-account"];
    kept(&tenant, &codes).await?;
    let there = tenant.kube.get(&map(&tenant, "a")).await?;
    let there = there.context("it is gone")?;
    assert_eq!(there["metadata"]["deletionTimestamp"], Value::Null);
    // It may.
    name(&tenant, "add", "deployer").await?;
    kept(&tenant, &["app.deletion-forbidden"]).await?;
    grant(&tenant, &rights(&["get", "create", "patch", "delete"])).await?;
    tenant.client.app_gone("app", PATIENCE).await?;
    gone(&tenant.kube, &map(&tenant, "a")).await?;

    let written = writers(NARU, &tenant.name, &["configmaps"]).await?;
    as_deployer(&written, &["delete configmaps deployer"]);
    Ok(())
}

#[tokio::test]
async fn an_application_that_nobody_may_delete_goes_without_its_objects_or_without_the_setting()
-> Result<()> {
    let platform = platform::platform().await?;
    let files = [("a.yaml", config_map("a", "1"))];
    let tenant = application(platform, "deputy-out", &files).await?;
    let client = &tenant.client;
    let done = "successfully synced (all tasks run)";
    synced(&tenant, json!({}), "Succeeded", done).await?;
    let codes = ["sync.no-service-account", "app.deletion-no-account"];

    set(&tenant, "argocd-cm", SETTING, "true").await?;
    refused(&tenant, Some("sync.no-service-account")).await?;
    delete(&tenant).await?;
    kept(&tenant, &codes).await?;
    let leave = "/api/v1/applications/app?cascade=false";
    client.delete(leave).await?.ok()?;
    tenant.client.app_gone("app", PATIENCE).await?;
    assert!(tenant.kube.get(&map(&tenant, "a")).await?.is_some());

    tenant.create_app("app", "app", &json!({})).await?;
    client.app_done("app", None, PATIENCE).await?;
    delete(&tenant).await?;
    kept(&tenant, &codes).await?;
    set(&tenant, "argocd-cm", SETTING, "false").await?;
    tenant.client.app_gone("app", PATIENCE).await?;
    gone(&tenant.kube, &map(&tenant, "a")).await
}

#[tokio::test]
async fn what_only_a_named_account_may_read_is_known_to_be_gone_after_a_takeover_too() -> Result<()>
{
    let platform = own_platform("deputy-gone").await?;
    let template = json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "p"},
        "template": {"metadata": {"labels": {"app": "p"}},
            "spec": {"containers": [{"name": "run", "image": "registry.invalid/run:1"}]}}});
    let files = [("p.json", template.to_string())];
    let tenant = application(&platform, "deputy-gone", &files).await?;
    set(&tenant, "argocd-cm", SETTING, "true").await?;
    name(&tenant, "add", "deployer").await?;
    let rules = json!([
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["podtemplates"], "verbs": ["get", "create", "patch", "delete"]},
    ]);
    grant_as(&platform.kube()?, &tenant, &rules).await?;
    refused(&tenant, None).await?;
    let done = "successfully synced (all tasks run)";
    synced(&tenant, json!({}), "Succeeded", done).await?;

    // A controller that has just taken the cluster asks for what is on record before it is gone, or waits for three minutes.
    let supervisor = platform.supervisor()?;
    let controller = supervisor
        .find("naru-controller")
        .context("a controller runs")?;
    controller.kill().await?;
    supervisor.restart("naru-controller").await?;
    delete(&tenant).await?;
    tenant.client.app_gone("app", PATIENCE).await?;
    gone(&platform.kube()?, &live(&tenant.name, "podtemplates", "p")).await?;
    platform.stop().await
}

#[tokio::test]
async fn s14_hooks_of_a_deletion_have_the_rights_that_a_sync_has_and_no_others() -> Result<()> {
    let platform = platform::platform().await?;
    let hook = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {
        "name": "before", "annotations": {"argocd.argoproj.io/hook": "PreDelete"}}});
    let files = [
        ("a.yaml", config_map("a", "1")),
        ("before.json", hook.to_string()),
    ];
    let tenant = application(platform, "deputy-bye", &files).await?;
    let client = &tenant.client;
    set(&tenant, "argocd-cm", SETTING, "true").await?;
    name(&tenant, "add", "deployer").await?;
    entitle(&tenant).await?;
    refused(&tenant, None).await?;
    let done = "successfully synced (all tasks run)";
    synced(&tenant, json!({}), "Succeeded", done).await?;

    delete(&tenant).await?;
    let no = |app: &Value| all_conditions(app).contains("[sync.service-account-forbidden]");
    client.app_when("app", PATIENCE, no).await?;
    let before = live(&tenant.name, "serviceaccounts", "before");
    assert!(tenant.kube.get(&before).await?.is_none(), "made by another");
    assert!(tenant.kube.get(&map(&tenant, "a")).await?.is_some());

    let mended = job("before", &[("hook", "PreDelete")], "");
    tenant.checkout.push_file("app/before.json", mended).await?;
    // The answer may come when the application is gone.
    client
        .get("/api/v1/applications/app?refresh=normal")
        .await?;
    tenant.client.app_gone("app", PATIENCE).await?;
    let written = writers(NARU, &tenant.name, &["configmaps", "jobs"]).await?;
    let wanted = ["patch jobs deployer", "delete configmaps deployer"];
    as_deployer(&written, &wanted);
    Ok(())
}

/// A tenant whose sync, made as `deployer`, waits for its hook `before`, after which that account has lost its rights on Jobs.
async fn disentitled(label: &str) -> Result<Tenant> {
    let before = job("before", &[("hook", "PreSync")], "pending");
    let tenant = application(
        platform::platform().await?,
        label,
        &[("before.json", before)],
    )
    .await?;
    set(&tenant, "argocd-cm", SETTING, "true").await?;
    name(&tenant, "add", "deployer").await?;
    entitle(&tenant).await?;
    refused(&tenant, None).await?;
    sync(&tenant, &json!({})).await?;
    says(&tenant, "waiting for completion of hook batch/Job/before").await?;

    let nothing = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
    grant(&tenant, &nothing).await?;
    let deployer = tenant.kube.impersonating(&user(&tenant.name, "deployer"));
    let job = path(&tenant, "before");
    wait::until("the rights are gone", PATIENCE, || async {
        ensure!(deployer.get(&job).await.is_err(), "it may read jobs");
        Ok(())
    })
    .await?;
    Ok(tenant)
}

/// The application when its conditions have this code, and with it who lacks a right; or, without a code, none of those of hooks.
async fn tells_of_hooks(tenant: &Tenant, code: Option<&str>) -> Result<Value> {
    let so = |app: &Value| {
        let said = all_conditions(app);
        match code {
            Some(code) => said.contains(code) && said.contains(&user(&tenant.name, "deployer")),
            None => !said.contains("[sync.hook-not-"),
        }
    };
    tenant.client.app_when("app", PATIENCE, so).await
}

#[tokio::test]
async fn a_hook_that_could_not_be_stopped_is_deleted_once_it_may_be() -> Result<()> {
    let tenant = disentitled("deputy-kept").await?;
    let job = path(&tenant, "before");
    argocd(&tenant, &["app", "terminate-op", "app"]).await?;
    let app = ended(&tenant, "Error").await?;
    let state = &app["status"]["operationState"];
    assert_eq!(state["message"], "Operation termination had errors");
    tells_of_hooks(&tenant, Some("[sync.hook-not-stopped]")).await?;
    let there = tenant.kube.get(&job).await?.context("it stays")?;
    assert!(is_held(&there), "{there}");
    assert!(there["metadata"]["deletionTimestamp"].is_null(), "{there}");

    entitle(&tenant).await?;
    gone(&tenant.kube, &job).await?;
    tells_of_hooks(&tenant, None).await.map(drop)
}

#[tokio::test]
async fn a_hook_of_a_kind_that_nobody_watches_is_asked_for_until_it_could_be_stopped() -> Result<()>
{
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"holderIdentity": "waits"},
        "metadata": {"name": "before", "annotations": {"argocd.argoproj.io/hook": "PreSync"}}});
    let files = [("before.json", lease.to_string())];
    let tenant = application(platform::platform().await?, "deputy-lease", &files).await?;
    let key = "resource.customizations.health.coordination.k8s.io_Lease";
    let script = "return {status = \"Progressing\", message = \"held\"}\n";
    set(&tenant, "argocd-cm", key, script).await?;
    set(&tenant, "argocd-cm", SETTING, "true").await?;
    name(&tenant, "add", "deployer").await?;
    let nothing = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
    let enough = json!([
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "patch", "delete"]},
    ]);
    grant(&tenant, &enough).await?;
    refused(&tenant, None).await?;
    sync(&tenant, &json!({})).await?;
    let waits = "waiting for completion of hook coordination.k8s.io/Lease/before";
    says(&tenant, waits).await?;

    grant(&tenant, &nothing).await?;
    let deployer = tenant.kube.impersonating(&user(&tenant.name, "deployer"));
    let leases = "/apis/coordination.k8s.io/v1/namespaces";
    let lease = format!("{leases}/{}/leases/before", tenant.name);
    wait::until("the rights are gone", PATIENCE, || async {
        ensure!(deployer.get(&lease).await.is_err(), "it may read leases");
        Ok(())
    })
    .await?;
    argocd(&tenant, &["app", "terminate-op", "app"]).await?;
    ended(&tenant, "Error").await?;
    tells_of_hooks(&tenant, Some("[sync.hook-not-stopped]")).await?;
    let there = tenant.kube.get(&lease).await?.context("it stays")?;
    assert!(is_held(&there), "{there}");

    grant(&tenant, &enough).await?;
    gone(&tenant.kube, &lease).await?;
    tells_of_hooks(&tenant, None).await.map(drop)
}

#[tokio::test]
async fn a_hook_that_could_not_be_let_go_is_tried_again_though_nothing_happens_to_it() -> Result<()>
{
    let tenant = disentitled("deputy-held").await?;
    let kube = platform::platform().await?.kube()?;
    finish(&kube, &tenant, "before", "Succeeded").await?;
    ended(&tenant, "Succeeded").await?;
    tells_of_hooks(&tenant, Some("[sync.hook-not-released]")).await?;
    let job = path(&tenant, "before");
    let there = tenant.kube.get(&job).await?.context("it stays")?;
    assert!(is_held(&there), "{there}");

    entitle(&tenant).await?;
    wait::until("the hook is let go", PATIENCE, || async {
        let there = tenant.kube.get(&job).await?.context("it stays")?;
        ensure!(!is_held(&there), "it is held");
        Ok(())
    })
    .await?;
    tells_of_hooks(&tenant, None).await.map(drop)
}

#[tokio::test]
async fn s14_no_project_borrows_an_account_that_is_not_its_tenants() -> Result<()> {
    let platform = platform::platform().await?;
    let files = [("a.yaml", config_map("a", "1"))];
    let tenant = application(platform, "borrower", &files).await?;
    let other = platform::tenant("lender").await?;
    set(&tenant, "argocd-cm", SETTING, "true").await?;
    // Another tenant's, the system's, and one of a namespace that nobody has: the same answer.
    let theirs = format!("{}:naru", other.name);
    for account in [theirs.as_str(), "kube-system:default", "nobody-has-it:naru"] {
        name(&tenant, "add", account).await?;
        refused(&tenant, Some("sync.service-account-foreign")).await?;
        let words = format!("names the service account `{account}`, and namespace");
        let app = synced(&tenant, json!({}), "Error", &words).await?;
        assert_eq!(app["status"]["sync"]["status"], "OutOfSync", "{app}");
        name(&tenant, "remove", account).await?;
        refused(&tenant, Some("sync.no-service-account")).await?;
    }
    // What would be the name of a user rather than of an account.
    name(&tenant, "add", &format!("{}:naru:x", tenant.name)).await?;
    refused(&tenant, Some("sync.service-account-invalid")).await?;
    assert!(tenant.kube.get(&map(&tenant, "a")).await?.is_none());
    assert_eq!(
        writers(NARU, &tenant.name, &["configmaps"]).await?,
        BTreeSet::new(),
        "nobody wrote"
    );
    Ok(())
}

#[tokio::test]
async fn in_an_added_cluster_the_credentials_decide_whom_syncs_are_made_as() -> Result<()> {
    let platform = platform::platform().await?;
    let tenant = platform::tenant("far-deputy").await?;
    let kube = platform.kube()?;
    let here = format!("{}-here", tenant.name);
    // Who may act as the accounts of the namespace, and not as any group.
    let token = guest(&kube, "guest", &here, Role::Here("admin")).await?;
    guest(&kube, "deployer", &here, Role::Here("edit")).await?;
    entitled(&kube, &here).await?;
    let server = kube.server();
    add(&tenant, server, &token, &[&here]).await?;
    set(&tenant, "argocd-cm", SETTING, "true").await?;
    let object = config_map("a", "1");
    tenant.checkout.push_file("app/a.yaml", object).await?;
    tenant.connect().await?;
    let body = app(&tenant, "app", &here, &json!({}));
    let made = tenant.client.post("/api/v1/applications", &body);
    made.await?.ok()?;
    refused(&tenant, Some("sync.no-service-account")).await?;

    let place = (server, here.as_str());
    name_at(&tenant, "add", place, "deployer").await?;
    refused(&tenant, None).await?;
    let done = "successfully synced (all tasks run)";
    synced(&tenant, json!({}), "Succeeded", done).await?;
    let written = writers(&user(&here, "guest"), &here, &["configmaps"]).await?;
    assert!(!written.is_empty(), "nothing is on record");
    as_deployer(&written, &[]);

    name_at(&tenant, "remove", place, "deployer").await?;
    refused(&tenant, Some("sync.no-service-account")).await?;
    let elsewhere = "kube-system:default";
    name_at(&tenant, "add", place, elsewhere).await?;
    refused(&tenant, None).await?;
    let object = config_map("a", "2");
    tenant.checkout.push_file("app/a.yaml", object).await?;
    let refresh = "/api/v1/applications/app?refresh=normal";
    tenant.client.get(refresh).await?.ok()?;
    let no = "one or more objects failed to apply";
    let app = synced(&tenant, json!({}), "Failed", no).await?;
    let result = &app["status"]["operationState"]["syncResult"]["resources"][0];
    let words = result["message"].as_str().unwrap_or_default();
    assert!(words.contains("cannot impersonate"), "{app}");
    Ok(())
}
