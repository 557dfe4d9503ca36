//! Sync windows keep syncs back, say so, and let them go on when they open.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::platform::{self, Tenant};

use crate::{PATIENCE, code, conditions, config_map, said};

const BLOCKED: &str = "Sync operation blocked by sync window";

async fn prepared(label: &str) -> Result<Tenant> {
    let tenant = platform::tenant(label).await?;
    let object = config_map("a", "from-git");
    tenant.checkout.push_file("app/a.yaml", object).await?;
    tenant.connect().await?;
    Ok(tenant)
}

/// Runs the command, which must succeed, and tells what it printed.
async fn argocd(tenant: &Tenant, words: &[&str]) -> Result<String> {
    let output = tenant.client.argocd(words).await?;
    ensure!(code(&output) == 0, "argocd {words:?}:\n{}", said(&output));
    Ok(said(&output))
}

/// Gives the project `default` one more window for all applications.
async fn add_window(tenant: &Tenant, kind: &str, schedule: &str, more: &[&str]) -> Result<()> {
    let mut words = vec!["proj", "windows", "add", "default", "-k", kind];
    words.extend(["--duration", "1h", "--applications", "*"]);
    words.extend(["--schedule", schedule]);
    words.extend(more);
    argocd(tenant, &words).await.map(drop)
}

async fn delete_window(tenant: &Tenant) -> Result<()> {
    let words = ["proj", "windows", "delete", "default", "0"];
    argocd(tenant, &words).await.map(drop)
}

async fn there(tenant: &Tenant, name: &str) -> Result<bool> {
    let path = format!("/api/v1/namespaces/{}/configmaps/{name}", tenant.name);
    Ok(tenant.kube.get(&path).await?.is_some())
}

async fn windows_of(tenant: &Tenant, app: &str) -> Result<Value> {
    let path = format!("/api/v1/applications/{app}/syncwindows");
    tenant.client.get(&path).await?.ok()
}

/// Whether it is kept back, and says so under that code.
fn kept_back(app: &Value, code: &str) -> bool {
    let said = conditions(app, "SyncWarning");
    app["status"]["sync"]["status"] == "OutOfSync" && said.iter().any(|said| said.contains(code))
}

fn held(app: &Value) -> bool {
    let state = &app["status"]["operationState"];
    state["phase"] == "Running" && state["message"] == BLOCKED
}

#[tokio::test]
async fn a_denied_sync_begins_once_the_window_is_taken_away() -> Result<()> {
    let tenant = prepared("windows-deny").await?;
    let client = &tenant.client;
    add_window(&tenant, "deny", "* * * * *", &[]).await?;
    tenant
        .create_app("app", "app", &platform::automated())
        .await?;
    let stays = |app: &Value| kept_back(app, "[sync.window-stays-closed]");
    let app = client.app_when("app", PATIENCE, stays).await?;
    assert!(
        app.to_string().contains("`deny:* * * * *:1h`"),
        "the window is named: {app}"
    );
    assert_eq!(app["status"]["operationState"], Value::Null, "{app}");
    assert!(!there(&tenant, "a").await?);

    let body = json!({"name": "app"});
    let refused = client.post("/api/v1/applications/app/sync", &body).await?;
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert_eq!(
        refused.body["message"],
        "cannot sync: blocked by sync window: nothing is synced for now, and no time is known at which that ends: project \
         `default` says so by its sync window `deny:* * * * *:1h`; change syncWindows of the project (spec.project) \
         [sync.window-stays-closed]"
    );
    let window =
        json!({"kind": "deny", "schedule": "* * * * *", "duration": "1h", "manualSync": false});
    assert_eq!(
        windows_of(&tenant, "app").await?,
        json!({"activeWindows": [window], "assignedWindows": [window], "canSync": false})
    );
    let shown = argocd(&tenant, &["app", "get", "app"]).await?;
    for line in ["SyncWindow:         Sync Denied", "deny:* * * * *:1h"] {
        assert!(shown.contains(line), "{shown}");
    }
    let listed = argocd(&tenant, &["proj", "windows", "list", "default"]).await?;
    assert!(
        listed.contains("Active") && listed.contains("deny"),
        "{listed}"
    );

    // What another tenant has is as hidden as what nobody has.
    let other = platform::tenant("windows-other").await?;
    let path = "/api/v1/applications/app/syncwindows";
    let (hidden, missing) = (
        other.client.get(path).await?,
        client.get(&path.replace("/app/", "/nowhere/")).await?,
    );
    assert_eq!(
        (hidden.status, &hidden.body),
        (missing.status, &missing.body)
    );
    assert_eq!(hidden.status, 403);

    delete_window(&tenant).await?;
    client.app_done("app", None, PATIENCE).await?;
    assert!(there(&tenant, "a").await?);
    assert_eq!(windows_of(&tenant, "app").await?["canSync"], true);

    // From midnight to noon, by clocks that are half a day apart: at any moment one of the two is open, and not both.
    for zone in ["UTC", "Etc/GMT+12"] {
        let more = ["--duration", "12h", "--time-zone", zone];
        add_window(&tenant, "allow", "0 0 * * *", &more).await?;
    }
    let windows = windows_of(&tenant, "app").await?;
    assert_eq!(windows["assignedWindows"].as_array().map(Vec::len), Some(2));
    assert_eq!(windows["activeWindows"].as_array().map(Vec::len), Some(1));
    assert_eq!(windows["canSync"], true, "{windows}");
    Ok(())
}

#[tokio::test]
async fn a_person_may_sync_where_all_windows_in_the_way_say_so() -> Result<()> {
    let tenant = prepared("windows-manual").await?;
    let client = &tenant.client;
    // One denies now, another allows at a time that hardly comes: only what denies is in the way.
    add_window(&tenant, "deny", "* * * * *", &["--manual-sync"]).await?;
    add_window(&tenant, "allow", "0 0 29 2 *", &[]).await?;
    tenant
        .create_app("app", "app", &platform::automated())
        .await?;
    let stays = |app: &Value| kept_back(app, "[sync.window-stays-closed]");
    client.app_when("app", PATIENCE, stays).await?;
    let shown = argocd(&tenant, &["app", "get", "app"]).await?;
    assert!(
        shown.contains("SyncWindow:         Manual Allowed"),
        "{shown}"
    );
    let windows = windows_of(&tenant, "app").await?;
    assert_eq!(windows["canSync"], true);
    assert_eq!(windows["activeWindows"].as_array().map(Vec::len), Some(1));
    assert_eq!(windows["assignedWindows"].as_array().map(Vec::len), Some(2));
    argocd(&tenant, &["app", "sync", "app"]).await?;
    let app = client.app_done("app", None, PATIENCE).await?;
    let began = &app["status"]["operationState"]["operation"]["initiatedBy"];
    assert_eq!(began["automated"], Value::Null, "{app}");
    Ok(())
}

#[tokio::test]
async fn what_was_kept_back_begins_when_the_window_opens() -> Result<()> {
    let tenant = prepared("windows-open").await?;
    let client = &tenant.client;
    let app = tenant.create_app("app", "app", &json!({})).await?;
    // The platform's own time of day, in minutes: the window opens in a quarter of a minute at the earliest.
    let made = app["metadata"]["creationTimestamp"].as_str();
    let time = made.and_then(|made| made.get(11..19)).context("no time")?;
    let parts: Vec<u32> = time.split(':').map(str::parse).collect::<Result<_, _>>()?;
    let opens = parts[0] * 60 + parts[1] + if parts[2] < 45 { 1 } else { 2 };
    let (hour, minute) = (opens / 60 % 24, opens % 60);
    add_window(&tenant, "allow", &format!("{minute} {hour} * * *"), &[]).await?;
    argocd(
        &tenant,
        &["app", "set", "app", "--sync-policy", "automated"],
    )
    .await?;
    let closed = |app: &Value| kept_back(app, "[sync.window-closed]");
    let app = client.app_when("app", PATIENCE, closed).await?;
    assert!(
        app.to_string()
            .contains(&format!("{hour:02}:{minute:02} UTC")),
        "the opening is named: {app}"
    );
    // Nothing else happens until then.
    client.app_done("app", None, PATIENCE * 2).await?;
    Ok(())
}

#[tokio::test]
async fn an_operation_that_waits_between_waves_is_held_and_goes_on() -> Result<()> {
    let tenant = prepared("windows-held").await?;
    let client = &tenant.client;
    let wave = "  annotations:\n    argocd.argoproj.io/sync-wave: \"1\"\n";
    let later = config_map("later", "from-git").replace("\ndata:\n", &format!("\n{wave}data:\n"));
    tenant.checkout.push_file("app/later.yaml", later).await?;
    let service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  type: LoadBalancer\n  selector:\n    app: web\n  ports:\n  - port: 80\n";
    tenant.checkout.push_file("app/web.yaml", service).await?;
    tenant.create_app("app", "app", &json!({})).await?;
    argocd(&tenant, &["app", "sync", "app", "--async"]).await?;
    let waits = |app: &Value| {
        let message = app["status"]["operationState"]["message"].as_str();
        message.is_some_and(|message| message.starts_with("waiting for healthy state"))
    };
    client.app_when("app", PATIENCE, waits).await?;
    add_window(&tenant, "deny", "* * * * *", &[]).await?;
    client.app_when("app", PATIENCE, held).await?;
    // What it waited for comes, and it is looked at again.
    let address = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}});
    let path = format!("/api/v1/namespaces/{}/services/web/status", tenant.name);
    let kube = platform::platform().await?.kube()?;
    kube.merge(&path, &address).await?;
    let healthy = |app: &Value| {
        let resources = app["status"]["resources"].as_array();
        let mut resources = resources.into_iter().flatten();
        held(app)
            && resources.any(|one| one["name"] == "web" && one["health"]["status"] == "Healthy")
    };
    let app = client.app_when("app", PATIENCE, healthy).await?;
    assert!(!there(&tenant, "later").await?, "{app}");
    assert!(kept_back(&app, "[sync.window-stays-closed]"), "{app}");
    delete_window(&tenant).await?;
    client.app_done("app", None, PATIENCE).await?;
    assert!(there(&tenant, "later").await?);

    // A rollback is taken, and waits; it can be stopped while it does.
    add_window(&tenant, "deny", "* * * * *", &[]).await?;
    let back = json!({"name": "app", "id": 0});
    let path = "/api/v1/applications/app/rollback";
    client.post(path, &back).await?.ok()?;
    client.app_when("app", PATIENCE, held).await?;
    argocd(&tenant, &["app", "terminate-op", "app"]).await?;
    let stopped = |app: &Value| app["status"]["operationState"]["phase"] == "Failed";
    client.app_when("app", PATIENCE, stopped).await?;
    Ok(())
}

#[tokio::test]
async fn a_next_try_that_a_window_keeps_back_gives_way_to_a_newer_commit() -> Result<()> {
    let tenant = platform::tenant("windows-retry").await?;
    let client = &tenant.client;
    // No cluster takes that name.
    let refused = config_map("Pa_1", "1");
    let broken = tenant.checkout.push_file("app/a.yaml", refused).await?;
    tenant.connect().await?;
    let backoff = json!({"duration": "5s", "factor": 1, "maxDuration": "5s"});
    let mut policy = platform::automated();
    policy["retry"] = json!({"limit": -1, "backoff": backoff});
    tenant.create_app("app", "app", &policy).await?;
    let waits = |app: &Value| app.to_string().contains("[sync.retry-waits]");
    client.app_when("app", PATIENCE, waits).await?;
    add_window(&tenant, "deny", "* * * * *", &[]).await?;
    // Its time has come, and it still says what failed.
    let kept = |app: &Value| {
        let (state, said) = (&app["status"]["operationState"], app.to_string());
        state["phase"] == "Running"
            && !state["finishedAt"].is_null()
            && said.contains("[sync.window-stays-closed]")
            && !said.contains("[sync.retry-waits]")
    };
    let app = client.app_when("app", PATIENCE, kept).await?;
    let tries = app["status"]["operationState"]["retryCount"].clone();
    // The same commit supersedes nothing.
    let refresh = "/api/v1/applications/app?refresh=normal";
    let app = client.get(refresh).await?.ok()?;
    assert!(kept(&app), "{app}");

    let fixed = config_map("pa-1", "1");
    let newest = tenant.checkout.push_file("app/a.yaml", fixed).await?;
    client.get(refresh).await?.ok()?;
    let given_up = |app: &Value| {
        let state = &app["status"]["operationState"];
        state["phase"] == "Failed" && kept_back(app, "[sync.window-stays-closed]")
    };
    let app = client.app_when("app", PATIENCE, given_up).await?;
    let state = &app["status"]["operationState"];
    let message = state["message"].as_str().context("no message")?;
    assert!(
        message.contains("Not tried again") && message.contains(&newest),
        "{message}"
    );
    assert_eq!(state["syncResult"]["revision"], broken, "{state}");
    assert_eq!(state["retryCount"], tries, "it was not tried meanwhile");
    assert!(!there(&tenant, "pa-1").await?, "the window is closed");

    delete_window(&tenant).await?;
    let app = client.app_done("app", Some(&newest), PATIENCE).await?;
    let state = &app["status"]["operationState"];
    assert_eq!(state["syncResult"]["revision"], newest, "{state}");
    assert_eq!(state["retryCount"].as_i64().unwrap_or_default(), 0);
    assert!(there(&tenant, "pa-1").await?);
    Ok(())
}
