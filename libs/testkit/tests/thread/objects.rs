//! Single live objects, changed and deleted through an application: by whom, which, and what is told of them.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::client::{Answer, Client};
use testkit::platform::{self, Tenant};
use testkit::wait;

use crate::hooks::gone;
use crate::{PATIENCE, code, config_map, said, set, with_key};

const MERGE: &str = "application/merge-patch+json";
const JSON: &str = "application/json-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// What the Secret holds; nobody is to be told.
pub(crate) const CANARY: &str = "Y2FuYXJ5LW9sZA==";

pub(crate) const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 1
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: registry.example/web:1.0.0
";

/// A tenant with an application `a`, deployed, of a ConfigMap, a Secret and a Deployment.
pub(crate) async fn deployed(label: &str) -> Result<Tenant> {
    let tenant = platform::tenant(label).await?;
    tenant.checkout.write("app/a.yaml", config_map("a", "1"))?;
    tenant.checkout.write("app/web.yaml", DEPLOYMENT)?;
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\ndata:\n  password: {CANARY}\n"
    );
    tenant.checkout.push_file("app/s.yaml", secret).await?;
    tenant.connect().await?;
    // It follows Git, and leaves alone what is done by hand.
    tenant
        .create_app("a", "app", &json!({"automated": {}}))
        .await?;
    tenant.client.app_done("a", None, PATIENCE).await?;
    Ok(tenant)
}

/// The path of an object of an application.
fn path(app: &str, namespace: &str, object: (&str, &str, &str), more: &str) -> String {
    let (group, kind, name) = object;
    format!(
        "/api/v1/applications/{app}/resource?namespace={namespace}&resourceName={name}&version=v1&group={group}\
         &kind={kind}{more}"
    )
}

/// Patches as whoever the client is.
async fn patch(
    client: &Client,
    namespace: &str,
    object: (&str, &str, &str),
    kind: &str,
    patch: &Value,
) -> Result<Answer> {
    let kind = kind.replace('+', "%2B");
    let path = path("a", namespace, object, &format!("&patchType={kind}"));
    client.post(&path, &json!(patch.to_string())).await
}

/// Where the cluster has an object of a namespace.
pub(crate) fn live(namespace: &str, kinds: &str, name: &str) -> String {
    let root = if kinds == "deployments" || kinds == "replicasets" {
        "/apis/apps/v1"
    } else {
        "/api/v1"
    };
    format!("{root}/namespaces/{namespace}/{kinds}/{name}")
}

const MAP: (&str, &str, &str) = ("", "ConfigMap", "a");
const SECRET: (&str, &str, &str) = ("", "Secret", "s");
const WEB: (&str, &str, &str) = ("apps", "Deployment", "web");

#[tokio::test]
async fn objects_are_patched_and_deleted_and_a_secret_stays_one() -> Result<()> {
    let tenant = deployed("objects").await?;
    let (client, ns) = (&tenant.client, tenant.name.as_str());
    let argocd = async |args: &[&str]| -> Result<String> {
        let output = client.argocd(args).await?;
        ensure!(code(&output) == 0, "{args:?}: {}", said(&output));
        Ok(said(&output))
    };
    let kube = async |kinds: &str, name: &str| -> Result<Value> {
        let found = tenant.kube.get(&live(ns, kinds, name)).await?;
        found.with_context(|| format!("no {name}"))
    };

    // What an object made is in the tree too: a pod is deleted, by force, and another comes.
    let tree = client
        .get("/api/v1/applications/a/resource-tree")
        .await?
        .ok()?;
    let nodes = tree["nodes"].as_array().context("no nodes")?;
    let pod = nodes
        .iter()
        .find(|node| node["kind"] == "Pod")
        .and_then(|node| node["name"].as_str())
        .context("no pod")?;
    let forced = path("a", ns, ("", "Pod", pod), "&force=true");
    client.delete(&forced).await?.ok()?;
    gone(&tenant.kube, &live(ns, "pods", pod)).await?;

    // The three types of patch, the first by the command.
    argocd(&[
        "app",
        "patch-resource",
        "a",
        "--kind",
        "ConfigMap",
        "--patch",
        r#"{"data": {"value": "2"}}"#,
    ])
    .await?;
    assert_eq!(kube("configmaps", "a").await?["data"]["value"], "2");
    let operations = json!([{"op": "add", "path": "/data/more", "value": "3"}]);
    let seen = patch(client, ns, MAP, JSON, &operations).await?.ok()?;
    let seen: Value = serde_json::from_str(seen["manifest"].as_str().context("no manifest")?)?;
    assert_eq!(seen["data"], json!({"value": "2", "more": "3"}));
    let image = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "main", "image": "registry.example/web:1.0.1"},
    ]}}}});
    patch(client, ns, WEB, STRATEGIC, &image).await?.ok()?;
    let web = kube("deployments", "web").await?;
    let main = &web["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(main["image"], "registry.example/web:1.0.1");
    let managers = web["metadata"]["managedFields"].to_string();
    assert!(managers.contains("argocd-server"), "{managers}");

    // A Secret's values are in no answer, a refusal's words included.
    let other = json!({"data": {"password": "Y2FuYXJ5LW5ldw=="}});
    let seen = patch(client, ns, SECRET, MERGE, &other).await?.ok()?;
    let manifest = seen["manifest"].as_str().context("no manifest")?;
    assert!(manifest.contains("++++++++"), "{manifest}");
    assert!(!manifest.contains("Y2FuYXJ5"), "{manifest}");
    for (kind, bad, told) in [
        (
            MERGE,
            json!({"data": {"password": "canary is no base64"}}),
            "are left out",
        ),
        // Nor whether a guess is right.
        (
            JSON,
            json!([{"op": "test", "path": "/data/password", "value": "canary"}]),
            "operation 1 of the patch",
        ),
    ] {
        let refused = patch(client, ns, SECRET, kind, &bad).await?;
        assert!(refused.status >= 400, "{}", refused.body);
        let words = refused.body.to_string();
        assert!(words.contains(told), "{words}");
        assert!(
            !words.contains("canary") && !words.contains("Y2FuYXJ5"),
            "{words}"
        );
    }
    let taken = json!([{"op": "copy", "from": "/data/password", "path": "/metadata/annotations"}]);
    let refused = patch(client, ns, SECRET, JSON, &taken).await?;
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert_eq!(
        kube("secrets", "s").await?["data"]["password"],
        "Y2FuYXJ5LW5ldw=="
    );

    // What is shown in place of a value is not written back, neither of data nor of an annotation that settings hide.
    let key = "resource.sensitive.mask.annotations";
    set(&tenant, "argocd-cm", key, "token").await?;
    let token = json!({"metadata": {"annotations": {"token": "canary"}}});
    patch(client, ns, SECRET, MERGE, &token).await?.ok()?;
    for back in [
        json!({"data": {"password": "++++++++"}}),
        json!({"metadata": {"annotations": {"token": "++++++++"}}}),
    ] {
        let refused = patch(client, ns, SECRET, MERGE, &back).await?;
        assert_eq!(refused.status, 400, "{}", refused.body);
        let words = refused.body.to_string();
        assert!(words.contains("plus signs"), "{words}");
    }
    let secret = kube("secrets", "s").await?;
    assert_eq!(secret["data"]["password"], "Y2FuYXJ5LW5ldw==");
    assert_eq!(secret["metadata"]["annotations"]["token"], "canary");

    // A Deployment goes and leaves what it made; a ConfigMap by the command.
    let sets = format!("/apis/apps/v1/namespaces/{ns}/replicasets");
    client
        .delete(&path("a", ns, WEB, "&orphan=true"))
        .await?
        .ok()?;
    gone(&tenant.kube, &live(ns, "deployments", "web")).await?;
    let left = tenant.kube.get(&sets).await?.context("no list")?;
    assert_ne!(left["items"], json!([]), "orphans stay");
    argocd(&["app", "delete-resource", "a", "--kind", "ConfigMap"]).await?;
    gone(&tenant.kube, &live(ns, "configmaps", "a")).await?;

    // Each is on record, under the object's name.
    let record = client
        .get("/api/naru/v1/audit?action=Resource")
        .await?
        .ok()?;
    let said = record.to_string();
    for wanted in [
        format!("a/{ns}/ConfigMap"),
        format!("a/{ns}/Secret/s"),
        format!("a/{ns}/Pod/{pod}"),
    ] {
        assert!(said.contains(&wanted), "no {wanted}: {said}");
    }
    assert!(
        !said.contains("canary") && !said.contains("Y2FuYXJ5"),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn s17_only_objects_of_the_tree_are_touched_and_never_anothers() -> Result<()> {
    let tenant = deployed("touch").await?;
    let (client, ns) = (&tenant.client, tenant.name.as_str());
    let mark = json!({"metadata": {"labels": {"touched": "yes"}}});

    // What is not in the tree, or is called otherwise than there.
    for object in [
        ("", "ConfigMap", "kube-root-ca.crt"),
        ("", "ServiceAccount", "naru"),
        ("", "configmaps", "a"),
        ("apps", "ConfigMap", "a"),
        ("", "ConfigMap", "../secrets/s"),
    ] {
        let answer = patch(client, ns, object, MERGE, &mark).await?;
        assert_eq!(answer.status, 400, "{object:?}: {}", answer.body);
        let answer = client.delete(&path("a", ns, object, "")).await?;
        assert_eq!(answer.status, 400, "{object:?}: {}", answer.body);
        assert!(
            answer.body.to_string().contains("not found as part of"),
            "{}",
            answer.body
        );
    }

    // Another tenant's, with the same names.
    let other = deployed("touch-b").await?;
    for (client, namespace) in [(client, other.name.as_str()), (&other.client, ns)] {
        let answer = client.delete(&path("a", namespace, MAP, "")).await?;
        assert_eq!(answer.status, 400, "{}", answer.body);
        let answer = patch(client, namespace, MAP, MERGE, &mark).await?;
        assert_eq!(answer.status, 400, "{}", answer.body);
    }

    // Another application's, which Git names here as well.
    tenant
        .checkout
        .push_file("second/a.yaml", config_map("a", "second"))
        .await?;
    tenant.create_app("second", "second", &json!({})).await?;
    let shown = path("second", ns, MAP, "");
    wait::until("the object is shown", PATIENCE, || async {
        client.get(&shown).await?.ok().map(drop)
    })
    .await?;
    let answer = client.delete(&shown).await?;
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(
        answer.body.to_string().contains("belongs to another"),
        "{}",
        answer.body
    );

    // What its project no longer permits.
    let mut project = client.get("/api/v1/projects/default").await?.ok()?;
    project["spec"]["namespaceResourceBlacklist"] = json!([{"group": "", "kind": "Secret"}]);
    client
        .put("/api/v1/projects/default", &json!({"project": project}))
        .await?
        .ok()?;
    wait::until("the project counts", PATIENCE, || async {
        let answer = patch(client, ns, SECRET, MERGE, &mark).await?;
        ensure!(answer.status == 403, "{}", answer.body);
        ensure!(answer.body.to_string().contains("does not permit the kind"));
        Ok(())
    })
    .await?;

    // A request that cannot be meant says what to write.
    for (object, kind, bad, wanted) in [
        (MAP, "merge", json!({}), MERGE),
        (MAP, JSON, json!({"a": "b"}), "JSON list of operations"),
        (MAP, JSON, json!([{"op": "put"}]), "operation 1"),
        (MAP, MERGE, json!([]), "JSON object"),
        (("", "", "a"), MERGE, json!({}), "`kind` is missing"),
        (
            ("", "ConfigMap", ""),
            MERGE,
            json!({}),
            "`resourceName` is missing",
        ),
    ] {
        let answer = patch(client, ns, object, kind, &bad).await?;
        assert_eq!(answer.status, 400, "{bad}: {}", answer.body);
        let words = answer.body["message"].as_str().unwrap_or_default();
        assert!(words.contains(wanted), "{bad}: {words}");
    }
    for (who, namespace) in [(&tenant, ns), (&other, other.name.as_str())] {
        let map = who.kube.get(&live(namespace, "configmaps", "a")).await?;
        let map = map.context("the ConfigMap is gone")?;
        assert_eq!(map["metadata"]["labels"], Value::Null, "{map}");
        assert_eq!(map["data"]["value"], "1");
    }
    Ok(())
}

#[tokio::test]
async fn a_right_on_the_application_is_none_on_its_objects() -> Result<()> {
    let tenant = deployed("parts").await?;
    let ns = tenant.name.as_str();
    let bob = with_key(&tenant, "bob").await?;
    let mark = json!({"metadata": {"labels": {"by": "bob"}}});
    let may = async |object: (&str, &str, &str)| -> Result<(u16, u16)> {
        let patched = patch(&bob, ns, object, MERGE, &mark).await?;
        // Of an object that is not there nothing is deleted, and who may not, hears the same of one that is.
        let absent = (object.0, object.1, "absent");
        let deleted = bob.delete(&path("a", ns, absent, "")).await?;
        for answer in [&patched, &deleted] {
            let words = &answer.body["message"];
            ensure!(
                answer.status != 403 || words == "permission denied",
                "{words}"
            );
        }
        Ok((patched.status, deleted.status))
    };
    let on_application = "p, bob, applications, get, */*, allow\n\
         p, bob, applications, update, */*, allow\np, bob, applications, delete, */*, allow\n";
    set(&tenant, "argocd-rbac-cm", "policy.csv", on_application).await?;
    assert_eq!(may(MAP).await?, (403, 403));

    let policy = format!(
        "{on_application}p, bob, applications, update//ConfigMap/{ns}/*, */*, allow\n\
         p, bob, applications, delete/*/Deployment/*, */*, allow\n"
    );
    set(&tenant, "argocd-rbac-cm", "policy.csv", &policy).await?;
    assert_eq!(may(MAP).await?, (200, 403));
    assert_eq!(may(WEB).await?, (403, 400));
    assert_eq!(may(SECRET).await?, (403, 403));

    // Where the settings let the right on an application reach its objects.
    set(&tenant, "argocd-rbac-cm", "policy.csv", on_application).await?;
    let inherit = "server.rbac.disableApplicationFineGrainedRBACInheritance";
    set(&tenant, "argocd-cm", inherit, "false").await?;
    assert_eq!(may(SECRET).await?, (200, 400));
    Ok(())
}

#[tokio::test]
async fn s17_events_are_told_of_objects_in_the_tree_alone() -> Result<()> {
    let tenant = deployed("events").await?;
    let (client, ns) = (&tenant.client, tenant.name.as_str());
    let uid = async |kinds: &str, name: &str| -> Result<String> {
        let found = tenant.kube.get(&live(ns, kinds, name)).await?;
        let found = found.with_context(|| format!("no {name}"))?;
        let uid = found["metadata"]["uid"].as_str().context("no uid")?;
        Ok(uid.to_owned())
    };
    let events = |namespace: &str, name: &str, uid: &str| {
        format!(
            "/api/v1/applications/a/events?resourceNamespace={namespace}&resourceName={name}&resourceUID={uid}"
        )
    };
    let web = uid("deployments", "web").await?;
    let of_web = events(ns, "web", &web);
    let said = wait::until("the Deployment's events", PATIENCE, || async {
        let said = client.get(&of_web).await?.ok()?;
        ensure!(said["items"].is_array(), "{said}");
        Ok(said)
    })
    .await?;
    let first = &said["items"][0];
    assert_eq!(first["reason"], "ScalingReplicaSet", "{first}");
    assert_eq!(first["involvedObject"]["uid"], web.as_str());
    assert!(first["lastTimestamp"].is_string(), "{first}");
    assert_eq!(first["metadata"]["managedFields"], Value::Null);

    // Of the application itself nothing is said in the cluster.
    let own = client.get("/api/v1/applications/a/events").await?.ok()?;
    assert_eq!(own["items"], Value::Null, "{own}");

    // What is not in the tree, or is another object than it was.
    let account = uid("serviceaccounts", "naru").await?;
    for path in [
        events(ns, "naru", &account),
        events(ns, "web", &account),
        events("default", "web", &web),
        events(ns, "web", ""),
    ] {
        let answer = client.get(&path).await?;
        assert_eq!(answer.status, 400, "{path}: {}", answer.body);
    }
    let other = deployed("events-b").await?;
    let answer = other.client.get(&of_web).await?;
    assert_eq!(answer.status, 400, "{}", answer.body);
    Ok(())
}

/// A schedule that never comes, of a Job that never ends by itself.
const CRON_JOB: &str = "\
apiVersion: batch/v1
kind: CronJob
metadata:
  name: nightly
spec:
  schedule: '0 0 1 1 *'
  suspend: true
  jobTemplate:
    spec:
      template:
        metadata:
          annotations: {naru.test/outcome: pending}
        spec:
          restartPolicy: Never
          containers:
          - name: main
            image: registry.example/nightly:1.0.0
";

/// Runs an action as whoever the client is.
async fn run(
    client: &Client,
    app: &str,
    namespace: &str,
    object: (&str, &str, &str),
    action: &str,
    replicas: Option<&str>,
) -> Result<Answer> {
    let (group, kind, name) = object;
    let parameters: Vec<Value> = replicas
        .into_iter()
        .map(|value| json!({"name": "replicas", "value": value}))
        .collect();
    let body = json!({
        "name": app, "namespace": namespace, "resourceName": name, "version": "v1", "group": group, "kind": kind,
        "action": action, "resourceActionParameters": parameters,
    });
    let path = format!("/api/v1/applications/{app}/resource/actions/v2");
    client.post(&path, &body).await
}

#[tokio::test]
async fn actions_are_listed_and_run() -> Result<()> {
    let tenant = deployed("actions").await?;
    tenant
        .checkout
        .push_file("app/nightly.yaml", CRON_JOB)
        .await?;
    let (client, ns) = (&tenant.client, tenant.name.as_str());
    client
        .get("/api/v1/applications/a?refresh=normal")
        .await?
        .ok()?;
    let has = |app: &Value| app["status"]["resources"].to_string().contains("nightly");
    client.app_when("a", PATIENCE, has).await?;
    client.app_done("a", None, PATIENCE).await?;
    let argocd = async |args: &[&str]| -> Result<String> {
        let output = client.argocd(args).await?;
        ensure!(code(&output) == 0, "{args:?}: {}", said(&output));
        Ok(said(&output))
    };
    let web = async || -> Result<Value> {
        let found = tenant.kube.get(&live(ns, "deployments", "web")).await?;
        found.context("no Deployment")
    };
    let listed = async || -> Result<Vec<String>> {
        let listed = argocd(&["app", "actions", "list", "a"]).await?;
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(listed.lines().map(words).collect())
    };
    assert_eq!(
        listed().await?,
        [
            "GROUP KIND NAME ACTION DISABLED",
            "apps Deployment web restart false",
            "apps Deployment web resume true",
            "apps Deployment web scale false",
            "batch CronJob nightly create-job false",
            "batch CronJob nightly resume false",
        ]
    );

    let act = async |action: &str, kind: &str| {
        argocd(&["app", "actions", "run", "a", action, "--kind", kind]).await
    };
    act("restart", "Deployment").await?;
    act("pause", "Deployment").await?;
    let seen = web().await?;
    let annotations = &seen["spec"]["template"]["metadata"]["annotations"];
    assert!(
        annotations["kubectl.kubernetes.io/restartedAt"].is_string(),
        "{annotations}"
    );
    assert_eq!(seen["spec"]["paused"], true);
    assert!(
        listed()
            .await?
            .contains(&"apps Deployment web pause false".to_owned())
    );
    act("resume", "Deployment").await?;
    assert_eq!(web().await?["spec"]["paused"], Value::Null);
    // What Git does not say is no drift.
    let app = client
        .get("/api/v1/applications/a?refresh=normal")
        .await?
        .ok()?;
    assert_eq!(app["status"]["sync"]["status"], "Synced", "{app}");
    run(client, "a", ns, WEB, "scale", Some("3")).await?.ok()?;
    assert_eq!(web().await?["spec"]["replicas"], 3);
    let app = client
        .get("/api/v1/applications/a?refresh=normal")
        .await?
        .ok()?;
    assert_eq!(app["status"]["sync"]["status"], "OutOfSync", "{app}");

    // A schedule is run by hand, and what came of it is ended.
    act("create-job", "CronJob").await?;
    let jobs = format!("/apis/batch/v1/namespaces/{ns}/jobs");
    let made = tenant.kube.get(&jobs).await?.context("no list")?;
    let job = made["items"][0]["metadata"]["name"]
        .as_str()
        .context("no Job")?
        .to_owned();
    assert!(job.starts_with("nightly-"), "{job}");
    wait::until("the Job is ended", PATIENCE, || async {
        let ended = run(client, "a", ns, ("batch", "Job", &job), "terminate", None).await?;
        ended.ok()?;
        let seen = tenant.kube.get(&format!("{jobs}/{job}")).await?;
        let seen = seen.context("no Job")?;
        let conditions = seen["status"]["conditions"].to_string();
        ensure!(conditions.contains("\"Failed\""), "{conditions}");
        Ok(())
    })
    .await?;
    act("resume", "CronJob").await?;
    let cron = format!("/apis/batch/v1/namespaces/{ns}/cronjobs/nightly");
    let seen = tenant.kube.get(&cron).await?.context("no CronJob")?;
    assert_eq!(seen["spec"]["suspend"], false);

    // Older clients ask in another way.
    let old = path("a", ns, WEB, "").replace("/resource?", "/resource/actions?");
    client.post(&old, &json!("restart")).await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn s17_an_action_is_run_by_who_may_on_what_is_the_applications() -> Result<()> {
    let tenant = deployed("acting").await?;
    let (client, ns) = (&tenant.client, tenant.name.as_str());
    for (object, action, replicas, wanted) in [
        (WEB, "explode", None, "pause, restart, resume, scale"),
        (WEB, "scale", Some("many"), "`replicas`"),
        (WEB, "scale", None, "`replicas`"),
        (MAP, "restart", None, "no actions"),
        (("apps", "Deployment", "none"), "restart", None, "not found"),
        (
            ("apps", "Deployment", ""),
            "restart",
            None,
            "`resourceName`",
        ),
    ] {
        let answer = run(client, "a", ns, object, action, replicas).await?;
        assert_eq!(answer.status, 400, "{action}: {}", answer.body);
        let words = answer.body["message"].as_str().unwrap_or_default();
        assert!(words.contains(wanted), "{action}: {words}");
    }
    // Another tenant's, and another application's, which Git names here as well.
    let other = deployed("acting-b").await?;
    let answer = run(&other.client, "a", ns, WEB, "restart", None).await?;
    assert_eq!(answer.status, 400, "{}", answer.body);
    tenant
        .checkout
        .push_file("second/web.yaml", DEPLOYMENT)
        .await?;
    tenant.create_app("second", "second", &json!({})).await?;
    let shown = path("second", ns, WEB, "");
    wait::until("the object is shown", PATIENCE, || async {
        client.get(&shown).await?.ok().map(drop)
    })
    .await?;
    let answer = run(client, "second", ns, WEB, "restart", None).await?;
    assert_eq!(answer.status, 400, "{}", answer.body);
    let words = answer.body.to_string();
    assert!(words.contains("belongs to another"), "{words}");

    // One action of one kind.
    let bob = with_key(&tenant, "bob").await?;
    let policy = "p, bob, applications, get, */*, allow\np, bob, applications, update, */*, allow\n\
         p, bob, applications, update/*, */*, allow\np, bob, applications, action/apps/Deployment/restart, */*, allow\n";
    set(&tenant, "argocd-rbac-cm", "policy.csv", policy).await?;
    let refused = run(&bob, "a", ns, WEB, "scale", Some("2")).await?;
    assert_eq!(
        (refused.status, &refused.body["message"]),
        (403, &json!("permission denied"))
    );
    run(&bob, "a", ns, WEB, "restart", None).await?.ok()?;
    let list = path("a", ns, WEB, "").replace("/resource?", "/resource/actions?");
    let seen = bob.get(&list).await?.ok()?;
    let names: Vec<&str> = seen["actions"]
        .as_array()
        .context("no actions")?
        .iter()
        .filter_map(|action| action["name"].as_str())
        .collect();
    assert_eq!(names, ["restart", "resume", "scale"]);
    assert_eq!(seen["actions"][2]["params"], json!([{"name": "replicas"}]));
    // The application itself has none.
    let own = path("a", "argocd", ("argoproj.io", "Application", "a"), "")
        .replace("/resource?", "/resource/actions?");
    assert_eq!(client.get(&own).await?.ok()?, json!({}));
    let kept = tenant.kube.get(&live(ns, "deployments", "web")).await?;
    assert_eq!(kept.context("no Deployment")?["spec"]["replicas"], 1);

    // Which of them, is on record.
    let record = client
        .get("/api/naru/v1/audit?action=RunResourceActionV2")
        .await?
        .ok()?;
    let words = record.to_string();
    assert!(
        words.contains(&format!("a/{ns}/Deployment/web/restart")),
        "{words}"
    );
    Ok(())
}
