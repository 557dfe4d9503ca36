//! Who may do what: projects and their roles over the wire, refusals that tell nothing, streams that end with the right.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::client::Client;
use testkit::platform::{self, Tenant};

use crate::{PATIENCE, code, config_map, said, set, with_key};

/// A project that permits the tenant's repository and namespace, with a role `ci` of these policies.
fn project(tenant: &Tenant, name: &str, policies: &[&str]) -> Value {
    json!({"project": {
        "metadata": {"name": name},
        "spec": {
            "sourceRepos": [tenant.repo_url],
            "destinations": [{"server": "https://kubernetes.default.svc", "namespace": tenant.name}],
            "roles": [{"name": "ci", "policies": policies}],
        },
    }})
}

/// Makes the project, and a token of its role.
async fn role(tenant: &Tenant, name: &str, policies: &[&str]) -> Result<Client> {
    tenant
        .client
        .post("/api/v1/projects", &project(tenant, name, policies))
        .await?
        .ok()?;
    let path = format!("/api/v1/projects/{name}/roles/ci/token");
    let answer = tenant
        .client
        .post(&path, &json!({"project": name, "role": "ci"}))
        .await?
        .ok()?;
    let token = answer["token"].as_str().context("no token")?;
    Ok(tenant.client.with_token(token))
}

async fn app(tenant: &Tenant, name: &str, project: &str) -> Result<()> {
    let body = json!({
        "metadata": {"name": name},
        "spec": {
            "project": project,
            "source": {"repoURL": tenant.repo_url, "path": "app", "targetRevision": "HEAD"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": tenant.name},
        },
    });
    tenant
        .client
        .post("/api/v1/applications", &body)
        .await?
        .ok()?;
    Ok(())
}

async fn ready(name: &str) -> Result<Tenant> {
    let tenant = platform::tenant(name).await?;
    tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "1"))
        .await?;
    tenant.connect().await?;
    Ok(tenant)
}

#[tokio::test]
async fn s06_forbidden_and_missing_are_one_answer_byte_for_byte() -> Result<()> {
    let tenant = ready("s06").await?;
    let ci = role(
        &tenant,
        "team",
        &["p, proj:team:ci, applications, get, team/*, allow"],
    )
    .await?;
    app(&tenant, "hidden", "default").await?;
    for suffix in ["", "/resource-tree", "/managed-resources", "/manifests"] {
        let there = ci
            .get(&format!("/api/v1/applications/hidden{suffix}"))
            .await?;
        let not = ci
            .get(&format!("/api/v1/applications/absent{suffix}"))
            .await?;
        assert_eq!(there.status, 403, "{suffix}: {}", there.body);
        assert_eq!(
            (there.status, there.body),
            (not.status, not.body),
            "{suffix}"
        );
    }
    let project = |name: &str| format!("/api/v1/projects/{name}");
    let (there, not) = (
        ci.get(&project("default")).await?,
        ci.get(&project("absent1")).await?,
    );
    assert_eq!((there.status, not.status), (403, 403));
    let same = |body: &Value, name: &str| body.to_string().replace(name, "NAME");
    assert_eq!(same(&there.body, "default"), same(&not.body, "absent1"));
    let listed = ci.get("/api/v1/applications").await?.ok()?;
    assert_eq!(
        listed["items"],
        Value::Null,
        "a list leaves out what one may not see"
    );
    let projects = ci.get("/api/v1/projects").await?.ok()?;
    assert_eq!(
        projects["items"].as_array().map(Vec::len),
        Some(1),
        "{projects}"
    );
    Ok(())
}

#[tokio::test]
async fn s15_streams_end_with_the_right_and_with_the_token() -> Result<()> {
    let tenant = ready("s15").await?;
    let policy = "p, proj:team:ci, applications, get, team/*, allow";
    let ci = role(&tenant, "team", &[policy]).await?;
    app(&tenant, "a", "team").await?;
    let open = |path: &str| {
        let request = ci.request(reqwest::Method::GET, path);
        async move {
            let answer = request.send().await?;
            ensure!(answer.status().is_success(), "{}", answer.status());
            Ok::<_, anyhow::Error>(answer)
        }
    };
    let watch = open("/api/v1/stream/applications").await?;
    let tree = open("/api/v1/stream/applications/a/resource-tree").await?;
    let mut without = tenant.client.get("/api/v1/projects/team").await?.ok()?;
    without["spec"]["roles"][0]["policies"] = json!([]);
    tenant
        .client
        .put("/api/v1/projects/team", &json!({"project": without}))
        .await?
        .ok()?;
    for stream in [watch, tree] {
        let ended = tokio::time::timeout(Duration::from_secs(5), stream.text()).await;
        ended.context("the stream goes on without the right")??;
    }
    without = tenant.client.get("/api/v1/projects/team").await?.ok()?;
    without["spec"]["roles"][0]["policies"] = json!([policy]);
    tenant
        .client
        .put("/api/v1/projects/team", &json!({"project": without}))
        .await?
        .ok()?;
    testkit::wait::until("the right is back", PATIENCE, || async {
        ci.get("/api/v1/applications/a").await?.ok().map(|_| ())
    })
    .await?;
    let watch = open("/api/v1/stream/applications").await?;
    let iat = without["spec"]["roles"][0]["jwtTokens"][0]["iat"].clone();
    tenant
        .client
        .delete(&format!("/api/v1/projects/team/roles/ci/token/{iat}"))
        .await?
        .ok()?;
    let ended = tokio::time::timeout(Duration::from_secs(5), watch.text()).await;
    ended.context("the stream goes on without the token")??;
    assert_eq!(ci.get("/api/v1/applications/a").await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn s17_what_is_not_in_the_tree_is_not_the_applications() -> Result<()> {
    let tenant = ready("s17").await?;
    tenant
        .create_app("a", "app", &platform::automated())
        .await?;
    tenant.client.app_done("a", None, PATIENCE).await?;
    let resource = |kind: &str, name: &str| {
        format!(
            "/api/v1/applications/a/resource?namespace={}&resourceName={name}&version=v1&kind={kind}",
            tenant.name
        )
    };
    tenant.client.get(&resource("ConfigMap", "a")).await?.ok()?;
    for (kind, name) in [
        ("ConfigMap", "kube-root-ca.crt"),
        ("Secret", "a"),
        ("configmaps", "a"),
        ("ServiceAccount", "naru"),
    ] {
        let answer = tenant.client.get(&resource(kind, name)).await?;
        assert_eq!(answer.status, 400, "{kind} {name}: {}", answer.body);
    }
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "not-mine"},
        "spec": {"containers": [{"name": "c", "image": "registry.example/c:1"}]},
    });
    let pods = format!("/api/v1/namespaces/{}/pods/not-mine", tenant.name);
    tenant.kube.apply(&pods, &pod).await?;
    let seen = tenant.client.get(&resource("Pod", "not-mine")).await?;
    assert_eq!(seen.status, 400, "{}", seen.body);
    let logs = format!(
        "/api/v1/applications/a/logs?namespace={}&podName=not-mine",
        tenant.name
    );
    let answer = tenant.client.get(&logs).await?;
    assert_eq!(
        answer.body,
        json!(""),
        "of a pod that is not the application's nothing is told"
    );
    Ok(())
}

#[tokio::test]
async fn s18_a_project_is_asked_whenever_something_is_deployed() -> Result<()> {
    let tenant = ready("s18").await?;
    role(&tenant, "team", &[]).await?;
    app(&tenant, "a", "team").await?;
    // Neither another repository nor another namespace, when it is made and when it is changed.
    let mut wanted = tenant.client.app("a").await?;
    wanted["spec"]["source"]["repoURL"] = json!("https://git.example/other");
    let answer = tenant
        .client
        .put("/api/v1/applications/a?validate=false", &wanted)
        .await?;
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .body
            .to_string()
            .contains("is not permitted in project 'team'"),
        "{}",
        answer.body
    );
    wanted = tenant.client.app("a").await?;
    wanted["spec"]["destination"]["namespace"] = json!("kube-system");
    let answer = tenant
        .client
        .put("/api/v1/applications/a?validate=false", &wanted)
        .await?;
    assert_eq!(answer.status, 400, "{}", answer.body);
    // A project in use keeps what its applications use.
    let mut team = tenant.client.get("/api/v1/projects/team").await?.ok()?;
    team["spec"]["sourceRepos"] = json!([]);
    let answer = tenant
        .client
        .put("/api/v1/projects/team", &json!({"project": team}))
        .await?;
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .body
            .to_string()
            .contains("1 applications source became invalid"),
        "{}",
        answer.body
    );
    assert_eq!(
        tenant.client.delete("/api/v1/projects/team").await?.status,
        400
    );
    // Whoever does not say which version was changed would undo what others did; nor is a project anywhere else.
    let mut team = tenant.client.get("/api/v1/projects/team").await?.ok()?;
    team["metadata"]["resourceVersion"] = Value::Null;
    let answer = tenant
        .client
        .put("/api/v1/projects/team", &json!({"project": team}))
        .await?;
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .body
            .to_string()
            .contains("metadata.resourceVersion: Invalid value: 0: must be specified"),
        "{}",
        answer.body
    );
    let elsewhere = json!({"project": {"metadata": {"name": "other", "namespace": "elsewhere"}}});
    let answer = tenant.client.post("/api/v1/projects", &elsewhere).await?;
    assert_eq!((answer.status, &answer.body["code"]), (400, &json!(9)));
    // Kinds are looked at object by object.
    let mut team = tenant.client.get("/api/v1/projects/team").await?.ok()?;
    team["spec"]["namespaceResourceBlacklist"] = json!([{"group": "", "kind": "ConfigMap"}]);
    tenant
        .client
        .put("/api/v1/projects/team", &json!({"project": team}))
        .await?
        .ok()?;
    let sync = tenant
        .client
        .post("/api/v1/applications/a/sync", &json!({"name": "a"}))
        .await?;
    sync.ok()?;
    let failed = |app: &Value| app["status"]["operationState"]["phase"] == "Failed";
    let app = tenant.client.app_when("a", PATIENCE, failed).await?;
    assert!(app.to_string().contains("ConfigMap"), "{app}");
    // Signed commits are demanded: nothing else is synced, and it is said.
    let mut team = tenant.client.get("/api/v1/projects/team").await?.ok()?;
    team["spec"]["signatureKeys"] = json!([{"keyID": "4AEE18F83AFDEB23"}]);
    tenant
        .client
        .put("/api/v1/projects/team", &json!({"project": team}))
        .await?
        .ok()?;
    tenant
        .client
        .post("/api/v1/applications/a/sync", &json!({"name": "a"}))
        .await?
        .ok()?;
    let failed = |app: &Value| app["status"]["operationState"]["phase"] == "Error";
    let app = tenant.client.app_when("a", PATIENCE, failed).await?;
    assert!(app.to_string().contains("is not signed"), "{app}");
    Ok(())
}

#[tokio::test]
async fn s18_a_project_is_asked_at_creation_and_about_what_is_gone_back_to() -> Result<()> {
    let tenant = ready("s18-back").await?;
    let client = &tenant.client;
    let (url, other) = tenant.another_repository("other").await?;
    let elsewhere = config_map("a", "elsewhere");
    other.push_file("app/a.yaml", elsewhere).await?;
    let mut both = project(&tenant, "team", &[]);
    both["project"]["spec"]["sourceRepos"] = json!([tenant.repo_url, url]);
    client.post("/api/v1/projects", &both).await?.ok()?;
    let of = |name: &str, url: &str, namespace: &str| {
        json!({
            "metadata": {"name": name},
            "spec": {
                "project": "team",
                "source": {"repoURL": url, "path": "app", "targetRevision": "HEAD"},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
            },
        })
    };
    let map = format!("/api/v1/namespaces/{}/configmaps/a", tenant.name);
    let deployed = async |value: &str| -> Result<()> {
        let sync = json!({"name": "a"});
        client
            .post("/api/v1/applications/a/sync", &sync)
            .await?
            .ok()?;
        testkit::wait::until("it is deployed", PATIENCE, || async {
            let map = tenant.kube.get(&map).await?.context("not yet")?;
            ensure!(map["data"]["value"] == value, "{map}");
            Ok(())
        })
        .await?;
        client.app_done("a", None, PATIENCE).await.map(drop)
    };
    let from_there = of("a", &url, &tenant.name);
    let create = "/api/v1/applications";
    client.post(create, &from_there).await?.ok()?;
    deployed("elsewhere").await?;
    let from_here = of("a", &tenant.repo_url, &tenant.name);
    client
        .put("/api/v1/applications/a", &from_here)
        .await?
        .ok()?;
    deployed("1").await?;

    // No application has it any more, so that the project may forget it; the history does not.
    let mut team = client.get("/api/v1/projects/team").await?.ok()?;
    team["spec"]["sourceRepos"] = json!([tenant.repo_url]);
    client
        .put("/api/v1/projects/team", &json!({"project": team}))
        .await?
        .ok()?;
    let back = "/api/v1/applications/a/rollback";
    let refused = client.post(back, &json!({"id": 0})).await?;
    let words = refused.body.to_string();
    assert_eq!(refused.status, 403, "{words}");
    assert!(
        words.contains("is not permitted in project 'team'"),
        "{words}"
    );
    let unchecked = "/api/v1/applications?validate=false";
    let upsert = "/api/v1/applications?upsert=true&validate=false";
    let new = of("new", &url, &tenant.name);
    let outside = of("new", &tenant.repo_url, "kube-system");
    let (source, destination) = (
        "is not permitted in project 'team'",
        "do not match any of the allowed destinations in project 'team'",
    );
    for (path, app, told) in [
        (unchecked, &new, source),
        (unchecked, &outside, destination),
        (upsert, &new, source),
        (upsert, &from_there, source),
    ] {
        let answer = client.post(path, app).await?;
        let words = answer.body.to_string();
        assert_eq!(answer.status, 400, "{path}: {words}");
        assert!(words.contains(told), "{path}: {words}");
    }
    assert_eq!(client.get("/api/v1/applications/new").await?.status, 403);
    let kept = client.app("a").await?;
    assert_eq!(kept["spec"]["source"]["repoURL"], tenant.repo_url.as_str());
    let map = tenant.kube.get(&map).await?.context("it is gone")?;
    assert_eq!(map["data"]["value"], "1");
    Ok(())
}

#[tokio::test]
async fn every_proj_subcommand_works() -> Result<()> {
    let tenant = platform::tenant("proj").await?;
    let key = "4AEE18F83AFDEB23";
    let server = "https://kubernetes.default.svc";
    for line in [
        "proj create team -d https://kubernetes.default.svc,team -s https://git.example/a --description first".to_owned(),
        "proj set team --description second".to_owned(),
        "proj add-source team https://git.example/b".to_owned(),
        "proj remove-source team https://git.example/b".to_owned(),
        format!("proj add-destination team {server} more"),
        format!("proj remove-destination team {server} more"),
        "proj allow-cluster-resource team rbac.authorization.k8s.io ClusterRole".to_owned(),
        "proj deny-cluster-resource team rbac.authorization.k8s.io ClusterRole".to_owned(),
        "proj deny-namespace-resource team apps StatefulSet".to_owned(),
        "proj allow-namespace-resource team apps StatefulSet".to_owned(),
        format!("proj add-signature-key team {key}"),
        format!("proj remove-signature-key team {key}"),
        "proj add-orphaned-ignore team apps Deployment --name x".to_owned(),
        "proj remove-orphaned-ignore team apps Deployment --name x".to_owned(),
        "proj add-source-namespace team elsewhere".to_owned(),
        "proj remove-source-namespace team elsewhere".to_owned(),
        format!("proj add-destination-service-account team {server} team deployer"),
        format!("proj remove-destination-service-account team {server} team deployer"),
        "proj role create team ci".to_owned(),
        "proj role add-policy team ci -a get -p allow -o *".to_owned(),
        "proj role add-group team ci builders".to_owned(),
        "proj role create-token team ci --id first".to_owned(),
        "proj role list-tokens team ci".to_owned(),
        "proj role get team ci".to_owned(),
        "proj role list team".to_owned(),
        "proj role remove-group team ci builders".to_owned(),
        "proj role remove-policy team ci -a get -p allow -o *".to_owned(),
        "proj windows add team -k allow --schedule * * * * * --duration 1h --applications *".to_owned(),
        "proj windows list team".to_owned(),
        "proj windows enable-manual-sync team 0".to_owned(),
        "proj windows disable-manual-sync team 0".to_owned(),
        "proj windows update team 0 --duration 2h".to_owned(),
        "proj windows delete team 0".to_owned(),
        "proj get team".to_owned(),
        "proj list".to_owned(),
    ] {
        let schedule = line.replace("* * * * *", "SCHEDULE");
        let words: Vec<&str> = schedule
            .split(' ')
            .map(|word| if word == "SCHEDULE" { "* * * * *" } else { word })
            .collect();
        let output = tenant.client.argocd(&words).await?;
        assert_eq!(code(&output), 0, "argocd {line}:\n{}", said(&output));
    }
    let open = tenant
        .client
        .get("/api/v1/projects/team/syncwindows")
        .await?
        .ok()?;
    assert_eq!(open["windows"], Value::Null, "{open}");
    let tokens = tenant.client.get("/api/v1/projects/team").await?.ok()?;
    let iat = tokens["spec"]["roles"][0]["jwtTokens"][0]["iat"].to_string();
    for words in [
        vec!["proj", "role", "delete-token", "team", "ci", &iat],
        vec!["proj", "role", "delete", "team", "ci"],
        vec!["proj", "delete", "team"],
    ] {
        let output = tenant.client.argocd(&words).await?;
        assert_eq!(code(&output), 0, "argocd {words:?}:\n{}", said(&output));
    }
    let output = tenant.client.argocd(&["proj", "delete", "default"]).await?;
    assert_ne!(code(&output), 0);
    assert!(said(&output).contains("reserved"), "{}", said(&output));
    Ok(())
}

#[tokio::test]
async fn a_policy_is_checked_and_a_right_explained() -> Result<()> {
    let tenant = platform::tenant("explain").await?;
    let draft = json!({"policy_csv": "p, bob, applications, get, */*, allow\nx, y"});
    let checked = tenant
        .client
        .post("/api/naru/v1/rbac/validate", &json!({"policy": draft}))
        .await?
        .ok()?;
    assert_eq!(checked["problems"][0]["line"], 2, "{checked}");
    assert_eq!(checked["problems"][0]["code"], "rbac.line-kind");
    let asked = json!({
        "subject": "bob", "resource": "applications", "action": "get", "object": "default/a",
        "policy": {"policy_csv": "p, bob, applications, get, */*, allow"},
    });
    let told = tenant
        .client
        .post("/api/naru/v1/rbac/explain", &asked)
        .await?
        .ok()?;
    assert_eq!(told["allowed"], true, "{told}");
    assert_eq!(
        (&told["origin"], &told["line"]),
        (&json!("policy.csv"), &json!(1))
    );
    Ok(())
}

#[tokio::test]
async fn s15_a_policy_decides_for_an_account_and_a_disabled_one_is_cut_off() -> Result<()> {
    let tenant = ready("policy").await?;
    let bob = with_key(&tenant, "bob").await?;
    app(&tenant, "a", "default").await?;
    assert_eq!(bob.get("/api/v1/applications/a").await?.status, 403);
    let policy = "p, bob, applications, get, default/*, allow\np, bob, logs, get, default/*, allow";
    set(&tenant, "argocd-rbac-cm", "policy.csv", policy).await?;
    bob.get("/api/v1/applications/a").await?.ok()?;
    let can = async |words: &[&str]| -> Result<String> {
        let mut args = vec!["account", "can-i"];
        args.extend(words);
        let output = bob.argocd(&args).await?;
        assert_eq!(code(&output), 0, "{words:?}: {}", said(&output));
        Ok(said(&output).trim().to_owned())
    };
    assert_eq!(can(&["get", "applications", "default/*"]).await?, "yes");
    assert_eq!(can(&["get", "logs", "default/argocd/a"]).await?, "yes");
    assert_eq!(can(&["sync", "applications", "default/*"]).await?, "no");
    assert_eq!(can(&["get", "projects", "*"]).await?, "no");
    let sync = bob
        .post("/api/v1/applications/a/sync", &json!({"name": "a"}))
        .await?;
    assert_eq!(sync.status, 403, "{}", sync.body);
    let watch = || async {
        let request = bob.request(reqwest::Method::GET, "/api/v1/stream/applications");
        let answer = request.send().await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        Ok::<_, anyhow::Error>(answer)
    };
    let open = watch().await?;
    set(&tenant, "argocd-rbac-cm", "policy.csv", "").await?;
    let ended = tokio::time::timeout(Duration::from_secs(5), open.text()).await;
    ended.context("the watch goes on without the policy")??;
    set(&tenant, "argocd-rbac-cm", "policy.default", "role:readonly").await?;
    let open = watch().await?;
    set(&tenant, "argocd-cm", "accounts.bob.enabled", "false").await?;
    let ended = tokio::time::timeout(Duration::from_secs(5), open.text()).await;
    ended.context("the watch goes on for a disabled account")??;
    assert_eq!(bob.get("/api/v1/applications/a").await?.status, 401);
    Ok(())
}
