//! A plan that is looked at: it says what the sync then does, writes nothing, and tells no value.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::Client;
use testkit::platform::{self, Tenant};
use testkit::wait;

use crate::hooks::{application, ended, gone, job, path, sync};
use crate::{PATIENCE, all_conditions, code, config_map, said, set, with_key};

/// What the Secret holds, at first and later; nobody is to be told.
const CANARIES: [&str; 2] = ["Y2FuYXJ5LW9uZQ==", "Y2FuYXJ5LXR3bw=="];

fn secret(value: &str) -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\ndata:\n  password: {value}\n")
}

fn map(tenant: &Tenant, name: &str) -> String {
    format!("/api/v1/namespaces/{}/configmaps/{name}", tenant.name)
}

/// What a sync with these choices would do.
async fn plan(client: &Client, query: &str) -> Result<Value> {
    let path = format!("/api/naru/v1/applications/app/plan{query}");
    client.get(&path).await?.ok()
}

/// The same, once it is as `wanted` says: the index hears of what was applied a moment later.
async fn plan_when(client: &Client, query: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    wait::until("the plan", PATIENCE, || async {
        let plan = plan(client, query).await?;
        ensure!(wanted(&plan), "{plan}");
        Ok(plan)
    })
    .await
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// The steps as `Sync 0 update ConfigMap/a`.
fn steps(plan: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for phase in list(&plan["phases"]) {
        for wave in list(&phase["waves"]) {
            all.extend(list(&wave["steps"]).map(|step| {
                format!(
                    "{} {} {} {}/{}",
                    word(phase, "name"),
                    wave["wave"],
                    word(step, "action"),
                    word(step, "kind"),
                    word(step, "name")
                )
            }));
        }
    }
    all
}

/// The step of an object.
fn step<'a>(plan: &'a Value, kind: &str, name: &str) -> Option<&'a Value> {
    list(&plan["phases"])
        .flat_map(|phase| list(&phase["waves"]))
        .flat_map(|wave| list(&wave["steps"]))
        .find(|step| word(step, "kind") == kind && word(step, "name") == name)
}

/// What a result of the sync has to list, in order, if the plan was right: `Sync ConfigMap/a`.
fn promised(plan: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for phase in list(&plan["phases"]).filter(|phase| phase["on_failure"] == false) {
        for step in list(&phase["waves"]).flat_map(|wave| list(&wave["steps"])) {
            if word(step, "action") != "hook-delete" {
                let (kind, name) = (word(step, "kind"), word(step, "name"));
                all.push(format!("{} {kind}/{name}", word(phase, "name")));
            }
        }
    }
    all
}

/// What the sync did.
fn done(app: &Value) -> Vec<String> {
    let results = list(&app["status"]["operationState"]["syncResult"]["resources"]);
    results
        .filter(|result| result["status"] != "PruneSkipped")
        .map(|result| {
            let (kind, name) = (word(result, "kind"), word(result, "name"));
            format!("{} {kind}/{name}", word(result, "syncPhase"))
        })
        .collect()
}

/// What is left alone, as `skipped ConfigMap/a`.
fn left(plan: &Value) -> Vec<String> {
    let shown = |left: &Value| {
        let (kind, name) = (word(left, "kind"), word(left, "name"));
        format!("{} {kind}/{name}", word(left, "reason"))
    };
    list(&plan["left_alone"]).map(shown).collect()
}

fn refusals(plan: &Value) -> Vec<&str> {
    let causes = list(&plan["refusals"]);
    causes.map(|cause| word(cause, "code")).collect()
}

/// What the application would do by itself, and the first cause of that.
fn by_itself(plan: &Value) -> (&str, &str) {
    let auto = &plan["auto_sync"];
    (word(auto, "answer"), word(&auto["causes"][0], "code"))
}

fn without_values(plan: &Value) {
    let text = plan.to_string();
    for canary in CANARIES.iter().chain(&["canary-", "from-git"]) {
        assert!(!text.contains(canary), "{canary}: {text}");
    }
}

/// Objects in two waves, hooks around them, and a Secret.
fn files() -> Vec<(&'static str, String)> {
    let wave = "  annotations:\n    argocd.argoproj.io/sync-wave: \"1\"\n";
    let late = config_map("late", "from-git").replace("\ndata:\n", &format!("\n{wave}data:\n"));
    vec![
        ("before.json", job("before", &[("hook", "PreSync")], "")),
        ("after.json", job("after", &[("hook", "PostSync")], "")),
        ("fail.json", job("fail", &[("hook", "SyncFail")], "")),
        ("a.yaml", config_map("a", "canary-1")),
        ("late.yaml", late),
        ("s.yaml", secret(CANARIES[0])),
    ]
}

#[tokio::test]
async fn a_first_sync_does_what_its_plan_says_and_asking_writes_nothing() -> Result<()> {
    let platform = platform::platform().await?;
    let tenant = application(platform, "plan-first", &files()).await?;
    let plan = plan(&tenant.client, "").await?;
    assert_eq!(
        steps(&plan),
        [
            "PreSync 0 hook-create Job/before",
            "Sync 0 create Secret/s",
            "Sync 0 create ConfigMap/a",
            "Sync 1 create ConfigMap/late",
            "PostSync 0 hook-create Job/after",
            "SyncFail 0 hook-create Job/fail",
        ]
    );
    assert_eq!(plan["would_begin"], true, "{plan}");
    assert_eq!(
        (plan["sync"].as_str(), plan["selective"].as_bool()),
        (Some("OutOfSync"), Some(false))
    );
    assert_eq!(plan["counts"], json!({"create": 3, "hook-create": 3}));
    assert_eq!(by_itself(&plan), ("nothing", "plan.auto-off"));
    let a = step(&plan, "ConfigMap", "a").context("no step for a")?;
    assert_eq!(
        (word(a, "method"), word(a, "file"), a["line"].as_u64()),
        ("server-side", "app/a.yaml", Some(1)),
        "{a}"
    );
    assert_eq!(word(&a["causes"][0], "code"), "plan.creates");
    let before = step(&plan, "Job", "before").context("no step for the hook")?;
    assert_eq!(before["delete_policies"], json!(["BeforeHookCreation"]));
    let fails = list(&plan["phases"]).filter(|phase| phase["on_failure"] == true);
    let fails: Vec<&str> = fails.map(|phase| word(phase, "name")).collect();
    assert_eq!(fails, ["SyncFail"]);
    without_values(&plan);

    // Neither in the cluster nor on record.
    for object in [map(&tenant, "a"), path(&tenant, "before")] {
        assert_eq!(tenant.kube.get(&object).await?, None, "{object}");
    }
    let app = tenant.client.app("app").await?;
    assert_eq!(
        (&app["operation"], &app["status"]["operationState"]),
        (&Value::Null, &Value::Null)
    );

    sync(&tenant, &json!({})).await?;
    let app = ended(&tenant, "Succeeded").await?;
    assert_eq!(done(&app), promised(&plan));
    let result = &app["status"]["operationState"]["syncResult"];
    assert_eq!(plan["revisions"], json!([result["revision"]]));
    Ok(())
}

#[tokio::test]
async fn what_changes_what_is_chosen_and_what_left_git_is_told_before() -> Result<()> {
    let platform = platform::platform().await?;
    let tenant = application(platform, "plan-change", &files()).await?;
    let client = &tenant.client;
    let first = tenant.checkout.head().await?;
    sync(&tenant, &json!({})).await?;
    ended(&tenant, "Succeeded").await?;
    client.app_done("app", None, PATIENCE).await?;
    let edited = config_map("a", "canary-2");
    tenant.checkout.write("app/a.yaml", edited)?;
    tenant.checkout.write("app/s.yaml", secret(CANARIES[1]))?;
    tenant.checkout.remove("app/late.yaml")?;
    tenant.checkout.commit("two change and one goes").await?;
    tenant.checkout.push().await?;

    // Of one object only.
    let chosen = plan(client, "?resources=:ConfigMap:a").await?;
    assert_eq!(steps(&chosen), ["Sync 0 update ConfigMap/a"]);
    assert_eq!(chosen["selective"], true);
    let mut alone = left(&chosen);
    alone.sort_unstable();
    assert_eq!(
        alone,
        [
            "hook-not-run Job/after",
            "hook-not-run Job/before",
            "hook-not-run Job/fail",
            "not-selected ConfigMap/late",
            "not-selected Secret/s",
        ]
    );
    let a = step(&chosen, "ConfigMap", "a").context("no step for a")?;
    assert_eq!(
        a["fields"],
        json!([{"path": "data.value", "change": "change", "file": "app/a.yaml", "line": 6, "variable": ""}])
    );
    without_values(&chosen);
    let one = json!({"resources": [{"group": "", "kind": "ConfigMap", "name": "a"}]});
    sync(&tenant, &one).await?;
    let app = ended(&tenant, "Succeeded").await?;
    assert_eq!(done(&app), promised(&chosen));

    // Without pruning, what left Git is left alone.
    let is_there = |plan: &Value| {
        step(plan, "ConfigMap", "a").is_some_and(|step| step["action"] == "unchanged")
    };
    let kept = plan_when(client, "", is_there).await?;
    assert_eq!(left(&kept), ["prune-not-asked ConfigMap/late"]);

    let whole = plan_when(client, "?prune=true", is_there).await?;
    assert_eq!(
        steps(&whole),
        [
            "PreSync 0 hook-delete Job/before",
            "PreSync 0 hook-create Job/before",
            "Sync 0 update Secret/s",
            "Sync 0 unchanged ConfigMap/a",
            "Sync 1 prune ConfigMap/late",
            "PostSync 0 hook-delete Job/after",
            "PostSync 0 hook-create Job/after",
            "SyncFail 0 hook-create Job/fail",
        ]
    );
    let s = step(&whole, "Secret", "s").context("no step for s")?;
    let fields: Vec<&str> = list(&s["fields"])
        .map(|field| word(field, "path"))
        .collect();
    assert_eq!(fields, ["data.password"]);
    without_values(&whole);
    assert!(tenant.kube.get(&map(&tenant, "late")).await?.is_some());
    sync(&tenant, &json!({"prune": true})).await?;
    let app = ended(&tenant, "Succeeded").await?;
    assert_eq!(done(&app), promised(&whole));
    gone(&tenant.kube, &map(&tenant, "late")).await?;

    // To another revision than its own, without leaving its own.
    let comes_back = |plan: &Value| {
        step(plan, "ConfigMap", "late").is_some_and(|step| step["action"] == "create")
    };
    let back = plan_when(client, &format!("?revision={first}"), comes_back).await?;
    assert_eq!(back["revisions"], json!([first]));
    let a = step(&back, "ConfigMap", "a").context("no step for a")?;
    assert_eq!(a["action"], "update", "{a}");
    assert_eq!(by_itself(&back), ("nothing", "plan.auto-off"));
    client.app_done("app", None, PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn what_a_sync_would_be_refused_for_stands_in_its_plan() -> Result<()> {
    let platform = platform::platform().await?;
    let ghost =
        json!({"apiVersion": "nowhere.example/v1", "kind": "Ghost", "metadata": {"name": "g"}});
    let files = [
        ("a.yaml", config_map("a", "1")),
        ("g.json", ghost.to_string()),
    ];
    let tenant = application(platform, "plan-refused", &files).await?;
    let client = &tenant.client;
    let refused = plan(client, "").await?;
    assert_eq!(refusals(&refused), ["sync.unknown-kind"], "{refused}");
    assert_eq!(
        (&refused["would_begin"], &refused["phases"]),
        (&json!(false), &json!([]))
    );
    assert_eq!(word(&refused["refusals"][0], "file"), "app/g.json");
    sync(&tenant, &json!({})).await?;
    let app = ended(&tenant, "Failed").await?;
    let said_then = all_conditions(&app);
    assert!(said_then.contains("[sync.unknown-kind]"), "{said_then}");

    // Of the objects: as many as the tenant may have.
    tenant.checkout.remove("app/g.json")?;
    let second = config_map("b", "1");
    tenant.checkout.push_file("app/b.yaml", second).await?;
    let operator = platform.operator()?;
    let quotas = format!("/api/naru/v1/tenants/{}/quotas", tenant.name);
    let few = json!({"quotas": {"objects": 1}});
    operator.put(&quotas, &few).await?.ok()?;
    let full = |plan: &Value| refusals(plan) == ["tenant.quota-reached"];
    plan_when(client, "", full).await?;
    operator.put(&quotas, &json!({"quotas": {}})).await?.ok()?;
    plan_when(client, "", |plan| refusals(plan).is_empty()).await?;

    // The project's windows; what is planned is told all the same.
    let words = [
        "proj",
        "windows",
        "add",
        "default",
        "-k",
        "deny",
        "--duration",
        "1h",
        "--applications",
        "*",
        "--schedule",
        "* * * * *",
    ];
    let added = client.argocd(&words).await?;
    ensure!(code(&added) == 0, "{}", said(&added));
    let words = ["app", "set", "app", "--sync-policy", "automated"];
    let follows = client.argocd(&words).await?;
    ensure!(code(&follows) == 0, "{}", said(&follows));
    let refresh = "/api/v1/applications/app?refresh=normal";
    client.get(refresh).await?.ok()?;
    let why = "sync.window-stays-closed";
    let closed = |plan: &Value| refusals(plan) == [why] && by_itself(plan) == ("closed", why);
    let shut = plan_when(client, "", closed).await?;
    assert_eq!(shut["would_begin"], false);
    assert_eq!(
        steps(&shut),
        ["Sync 0 create ConfigMap/a", "Sync 0 create ConfigMap/b"]
    );
    let body = json!({"name": "app"});
    let answer = client.post("/api/v1/applications/app/sync", &body).await?;
    assert_eq!(answer.status, 403, "{}", answer.body);
    Ok(())
}

#[tokio::test]
async fn whoever_may_see_an_application_may_see_its_plan_and_nobody_else() -> Result<()> {
    let platform = platform::platform().await?;
    let files = [("a.yaml", config_map("a", "1"))];
    let tenant = application(platform, "plan-rights", &files).await?;
    let reader = with_key(&tenant, "reader").await?;
    let nobody = with_key(&tenant, "nobody").await?;
    let policy = "p, reader, applications, get, */*, allow";
    set(&tenant, "argocd-rbac-cm", "policy.csv", policy).await?;
    let unable = |plan: &Value| refusals(plan) == ["plan.no-right"];
    let seen = plan_when(&reader, "", unable).await?;
    assert_eq!(steps(&seen), ["Sync 0 create ConfigMap/a"]);
    assert_eq!(seen["would_begin"], false);

    // In the reader's language.
    let place = "/api/naru/v1/applications/app/plan";
    let asked = tenant.client.request(Method::GET, place);
    let korean = asked.header("accept-language", "ko").send().await?;
    let korean: Value = serde_json::from_str(&korean.error_for_status()?.text().await?)?;
    let cause = &korean["auto_sync"]["causes"][0];
    assert_eq!(word(cause, "code"), "plan.auto-off");
    assert!(word(cause, "message").contains("자동으로"), "{cause}");

    // What one may not see is as what is not there, and so is another tenant's.
    let other = platform.tenant("plan-other").await?;
    let missing = tenant.client.get(&place.replace("/app/", "/none/")).await?;
    for hidden in [nobody.get(place).await?, other.client.get(place).await?] {
        assert_eq!(
            (hidden.status, &hidden.body),
            (missing.status, &missing.body)
        );
        assert_eq!(hidden.status, 403);
    }

    for (bad, told) in [
        ("?resources=ConfigMap", "GROUP:KIND:NAME"),
        ("?strategy=both", "`apply`"),
        ("?dry_run=true", "dry_run"),
    ] {
        let answer = tenant.client.get(&format!("{place}{bad}")).await?;
        assert_eq!(answer.status, 400, "{bad}: {}", answer.body);
        let words = word(&answer.body, "message");
        assert!(words.contains(told), "{bad}: {words}");
    }
    Ok(())
}

#[tokio::test]
async fn a_plan_tells_why_manifests_were_made_anew_and_which_variables_were_replaced() -> Result<()>
{
    let platform = platform::platform().await?;
    let kustomization = "resources: [a.yaml]\ncommonAnnotations: {for: \"${USER_IDENTITY}\"}\n";
    let files = [
        ("kustomization.yaml", kustomization.to_owned()),
        ("a.yaml", config_map("a", "${USER_IDENTITY}")),
    ];
    let tenant = application(platform, "plan-variables", &files).await?;
    let client = &tenant.client;
    sync(&tenant, &json!({})).await?;
    ended(&tenant, "Succeeded").await?;
    client.app_done("app", None, PATIENCE).await?;

    // What the cluster has may change meanwhile, and be another reason to ask again.
    let mut last = Value::Null;
    for round in 1..=5 {
        let edited = config_map("a", &format!("{round} for ${{USER_IDENTITY}}"));
        let commit = tenant.checkout.push_file("app/a.yaml", edited).await?;
        let seen = |app: &Value| app["status"]["sync"]["revision"] == commit.as_str();
        client.app_when("app", PATIENCE, seen).await?;
        last = plan(client, "").await?;
        if last["renders"][0]["cache"] == "changed" {
            break;
        }
    }
    let render = &last["renders"][0];
    assert_eq!(
        (word(render, "changed"), word(render, "changed_name")),
        ("path", "app/a.yaml"),
        "{render}"
    );
    assert_eq!(render["source_position"], 1, "{render}");
    assert_eq!(word(render, "tool"), "Kustomize");
    assert_eq!(render["revision"], last["revisions"][0]);
    assert_eq!(
        render["variables"],
        json!([{"name": "USER_IDENTITY", "field": "", "file": "app/kustomization.yaml", "line": 2}])
    );
    let a = step(&last, "ConfigMap", "a").context("no step for a")?;
    assert_eq!(
        a["variables"],
        json!([{"name": "USER_IDENTITY", "field": "data.value", "file": "app/a.yaml", "line": 6}])
    );
    assert_eq!(
        a["fields"],
        json!([{"path": "data.value", "change": "change", "file": "app/a.yaml", "line": 6,
            "variable": "USER_IDENTITY"}])
    );

    // Of the refreshes only a hard one goes past what is remembered.
    let refreshed = async |kind: &str| -> Result<String> {
        let path = format!("/api/v1/applications/app?refresh={kind}");
        client.get(&path).await?.ok()?;
        let told = plan(client, "").await?;
        Ok(word(&told["renders"][0], "cache").to_owned())
    };
    assert_ne!(refreshed("normal").await?, "bypassed");
    let mut cache = String::new();
    for _ in 0..5 {
        cache = refreshed("hard").await?;
        if cache == "bypassed" {
            break;
        }
    }
    assert_eq!(cache, "bypassed");
    Ok(())
}
