//! The same over REST: Argo CD's JSON, codes and streams.

use anyhow::{Context, Result};
use futures::StreamExt;
use serde_json::{Value, json};
use testkit::platform;

use crate::{PATIENCE, config_map};

#[tokio::test]
async fn an_application_lives_and_dies_over_rest() -> Result<()> {
    let tenant = platform::tenant("rest").await?;
    let empty = tenant.client.get("/api/v1/applications").await?.ok()?;
    assert_eq!(
        empty["items"],
        Value::Null,
        "Go writes an empty list as null"
    );
    let commit = tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "1"))
        .await?;
    tenant.connect().await?;
    let made = tenant.create_app("app", "app", &json!({})).await?;
    assert_eq!(made["metadata"]["namespace"], "argocd");
    assert!(
        made["metadata"]["resourceVersion"]
            .as_str()
            .is_some_and(|version| version.parse::<i64>().is_ok())
    );
    assert!(made.get("kind").is_none(), "TypeMeta does not travel");
    let synced = tenant
        .client
        .post("/api/v1/applications/app/sync", &json!({}))
        .await?
        .ok()?;
    assert!(
        synced["operation"].is_object(),
        "the operation is on the application when Sync returns"
    );
    let app = tenant
        .client
        .app_done("app", Some(&commit), PATIENCE)
        .await?;
    assert_eq!(app["status"]["history"][0]["id"], 0);
    let tree = tenant
        .client
        .get("/api/v1/applications/app/resource-tree")
        .await?
        .ok()?;
    assert_eq!(tree["nodes"][0]["kind"], "ConfigMap");
    let managed = tenant
        .client
        .get("/api/v1/applications/app/managed-resources")
        .await?
        .ok()?;
    assert!(
        managed["items"][0]["liveState"]
            .as_str()
            .is_some_and(|live| live.contains("\"value\":\"1\"")),
        "{managed}"
    );
    let manifests = tenant
        .client
        .get("/api/v1/applications/app/manifests")
        .await?
        .ok()?;
    assert!(
        manifests["manifests"][0]
            .as_str()
            .is_some_and(|manifest| manifest.contains("ConfigMap")),
        "{manifests}"
    );
    let meta = tenant
        .client
        .get(&format!(
            "/api/v1/applications/app/revisions/{commit}/metadata"
        ))
        .await?
        .ok()?;
    assert!(
        meta["author"].is_string() && meta["date"].is_string(),
        "{meta}"
    );
    let resource = format!(
        "/api/v1/applications/app/resource?name=app&resourceName=a&namespace={}&version=v1&kind=ConfigMap",
        tenant.name
    );
    let body = tenant.client.get(&resource).await?.ok()?;
    assert!(
        body["manifest"]
            .as_str()
            .is_some_and(|manifest| manifest.contains("tracking-id")),
        "{body}"
    );
    let fields = tenant
        .client
        .get("/api/v1/applications?fields=items.metadata.name")
        .await?
        .ok()?;
    assert_eq!(fields["items"][0], json!({"metadata": {"name": "app"}}));
    assert_eq!(
        tenant
            .client
            .delete("/api/v1/applications/app?cascade=true")
            .await?
            .status,
        200
    );
    tenant.client.app_gone("app", PATIENCE).await?;
    let path = format!("/api/v1/namespaces/{}/configmaps/a", tenant.name);
    assert_eq!(tenant.kube.get(&path).await?, None, "the deletion cascaded");
    Ok(())
}

#[tokio::test]
async fn what_the_command_does_is_done_by_curl_too() -> Result<()> {
    let tenant = platform::tenant("curl").await?;
    let commit = tenant.push_guide(&crate::examples()).await?;
    let client = &tenant.client;
    let connected = tenant.connect().await?;
    assert_eq!(connected["repo"], tenant.repo_url.as_str(), "{connected}");
    let repos = client.get("/api/v1/repositories").await?.ok()?;
    assert_eq!(repos["items"][0]["connectionState"]["status"], "Successful");
    let projects = client.get("/api/v1/projects").await?.ok()?;
    assert_eq!(projects["items"][0]["metadata"]["name"], "default");
    let clusters = client.get("/api/v1/clusters").await?.ok()?;
    assert_eq!(clusters["items"][0]["name"], "in-cluster");
    let may = client
        .get("/api/v1/account/can-i/applications/sync/*")
        .await?
        .ok()?;
    assert_eq!(may, json!({"value": "no"}), "the admin's rule is for `*/*`");

    let app = "/api/v1/applications/hello-express";
    tenant
        .create_app("hello-express", "gitops/hello-world-express", &json!({}))
        .await?;
    client
        .post(&format!("{app}/sync"), &json!({}))
        .await?
        .ok()?;
    client
        .app_done("hello-express", Some(&commit), PATIENCE)
        .await?;
    let logs = client
        .get(&format!(
            "{app}/logs?namespace={}&kind=Deployment&group=apps&resourceName=hello-express",
            tenant.name
        ))
        .await?;
    assert_eq!(logs.status, 200, "{}", logs.body);

    // Set, and what it was before: there is one deployment, to which one can go back.
    let mut spec = client.app("hello-express").await?["spec"].clone();
    spec["source"]["targetRevision"] = json!("main");
    let set = client.put(&format!("{app}/spec"), &spec).await?.ok()?;
    assert_eq!(set["source"]["targetRevision"], "main");
    client
        .post(&format!("{app}/rollback"), &json!({"id": 0}))
        .await?
        .ok()?;
    let back = client
        .app_when("hello-express", PATIENCE, |app| {
            app["status"]["history"]
                .as_array()
                .is_some_and(|history| history.len() == 2)
        })
        .await?;
    assert_eq!(back["status"]["history"][1]["revision"], commit.as_str());
    let none = client
        .post(&format!("{app}/rollback"), &json!({"id": 7}))
        .await?;
    assert_eq!((none.status, &none.body["code"]), (400, &json!(3)));
    let nothing = client.delete(&format!("{app}/operation")).await?;
    assert_eq!((nothing.status, &nothing.body["code"]), (400, &json!(3)));
    let patch = r#"{"spec":{"syncPolicy":{"automated":{"selfHeal":true}}}}"#;
    let patched = json!({"patch": patch, "patchType": "merge"});
    client.patch(app, &patched).await?.ok()?;
    crate::set(&tenant, "argocd-cm", "naru.rollbackWithAutoSync", "refuse").await?;
    testkit::wait::until("the refusal", PATIENCE, || async {
        let refused = client
            .post(&format!("{app}/rollback"), &json!({"id": 7}))
            .await?;
        anyhow::ensure!(
            (refused.status, &refused.body["code"]) == (400, &json!(9)),
            "{}",
            refused.body
        );
        Ok(())
    })
    .await?;

    client.delete(app).await?.ok()?;
    client.app_gone("hello-express", PATIENCE).await?;
    let escaped = tenant.repo_url.replace(':', "%3A").replace('/', "%2F");
    client
        .delete(&format!("/api/v1/repositories/{escaped}"))
        .await?
        .ok()?;
    let repos = client.get("/api/v1/repositories").await?.ok()?;
    assert_eq!(repos["items"], Value::Null, "{repos}");
    Ok(())
}

#[tokio::test]
async fn a_repository_shows_its_revisions_and_the_folders_that_tools_read() -> Result<()> {
    let tenant = platform::tenant("offers").await?;
    let checkout = &tenant.checkout;
    checkout.write(
        "charts/web/Chart.yaml",
        "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    )?;
    checkout.write("charts/web/templates/a.yaml", config_map("a", "1"))?;
    checkout.write("plain/a.yaml", config_map("a", "1"))?;
    let made = "function(n) {apiVersion: 'v1', kind: 'ConfigMap', metadata: {name: n}}\n";
    checkout.write("made/a.jsonnet", made)?;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {
        "initContainers": [{"name": "first", "image": "busybox"}],
        "containers": [{"name": "web", "image": "nginx:1.27"}],
    }});
    checkout.write("overlays/pod.json", pod.to_string())?;
    let kustomization = "resources: [pod.json]\nimages: [{name: nginx, newTag: '1.28'}]\n";
    checkout
        .push_file("overlays/kustomization.yml", kustomization)
        .await?;
    for words in [
        &["tag", "v1.0.0"][..],
        &["tag", "--annotate", "nightly", "--message", "x"],
        &[
            "push",
            "-q",
            "origin",
            "v1.0.0",
            "nightly",
            "HEAD:refs/heads/next",
        ],
    ] {
        checkout.git(words).await?;
    }
    let client = &tenant.client;
    tenant.connect().await?;
    let escaped = tenant.repo_url.replace(':', "%3A").replace('/', "%2F");
    let repository = format!("/api/v1/repositories/{escaped}");
    let refs = client.get(&format!("{repository}/refs")).await?.ok()?;
    assert_eq!(refs["branches"], json!(["main", "next"]), "{refs}");
    assert_eq!(refs["tags"], json!(["nightly", "v1.0.0"]), "{refs}");

    let project = json!({"project": {"metadata": {"name": "narrow"}, "spec": {"sourceRepos": ["https://other.example/*"]}}});
    client.post("/api/v1/projects", &project).await?.ok()?;
    let apps = |revision: &str, project: &str| {
        format!("{repository}/apps?revision={revision}&appName=web&appProject={project}")
    };
    let found = client.get(&apps("main", "default")).await?.ok()?;
    let folders =
        json!([{"path": "charts/web", "type": "Helm"}, {"path": "overlays", "type": "Kustomize"}]);
    assert_eq!(found["items"], folders);
    let narrow = client.get(&apps("main", "narrow")).await?;
    assert_eq!(narrow.status, 403, "{}", narrow.body);
    assert_eq!(client.get(&apps("main", "nowhere")).await?.status, 404);
    let wrong = client.get(&apps("v9", "default")).await?;
    assert!(
        wrong.status >= 400 && wrong.body.to_string().contains("v9"),
        "{}",
        wrong.body
    );

    // What a form shows of each tool: the images as they come out, and of a directory that it is one.
    let details = async |options: Value| -> Result<Value> {
        let mut source = json!({"repoURL": tenant.repo_url, "targetRevision": "main"});
        for (name, value) in options.as_object().into_iter().flatten() {
            source[name] = value.clone();
        }
        let asked = json!({"source": source, "appName": "web", "appProject": "default"});
        let path = format!("{repository}/appdetails");
        client.post(&path, &asked).await?.ok()
    };
    let options = json!({"path": "overlays", "kustomize": {"images": ["busybox=alpine:3"]}});
    let shown = details(options).await?;
    assert_eq!(shown["type"], "Kustomize", "{shown}");
    assert_eq!(
        shown["kustomize"]["images"],
        json!(["alpine:3", "nginx:1.28"])
    );
    let jsonnet = json!({"tlas": [{"name": "n", "value": "a"}]});
    for options in [
        json!({"path": "plain"}),
        json!({"path": "made", "directory": {"jsonnet": jsonnet}}),
    ] {
        let shown = details(options).await?;
        assert_eq!(shown["type"], "Directory", "{shown}");
        for other in ["helm", "kustomize"] {
            assert_eq!(shown[other], Value::Null, "{shown}");
        }
    }

    // Another tenant's login opens nothing to a neighbour who knows the address.
    let other = platform::tenant("offered").await?;
    let refused = other.client.get(&format!("{repository}/refs")).await?;
    assert!(
        refused.status >= 400 && !refused.body.to_string().contains("main"),
        "{}",
        refused.body
    );
    Ok(())
}

#[tokio::test]
async fn a_watch_begins_with_what_is_there_and_goes_on() -> Result<()> {
    let tenant = platform::tenant("watch").await?;
    tenant
        .checkout
        .push_file("app/a.yaml", config_map("a", "1"))
        .await?;
    tenant.connect().await?;
    tenant.create_app("first", "app", &json!({})).await?;
    let stream = tenant
        .client
        .request(reqwest::Method::GET, "/api/v1/stream/applications")
        .header("accept", "text/event-stream")
        .send()
        .await?
        .error_for_status()?;
    let mut chunks = stream.bytes_stream();
    let mut text = String::new();
    tenant.create_app("second", "app", &json!({})).await?;
    tokio::time::timeout(PATIENCE, async {
        while !(text.contains("\"name\":\"first\"") && text.contains("\"name\":\"second\"")) {
            let chunk = chunks.next().await.context("the stream ended")??;
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        anyhow::Ok(())
    })
    .await??;
    let first = text
        .lines()
        .find(|line| line.starts_with("data: "))
        .context("an event")?;
    let event: Value = serde_json::from_str(first["data: ".len()..].trim())?;
    assert_eq!(event["result"]["type"], "ADDED");
    Ok(())
}

#[tokio::test]
async fn errors_have_argo_cds_codes_and_shape() -> Result<()> {
    let tenant = platform::tenant("codes").await?;
    let missing = tenant.client.get("/api/v1/applications/none").await?;
    assert_eq!(
        (missing.status, &missing.body["message"]),
        (403, &json!("permission denied"))
    );
    assert_eq!(missing.body["code"], 7);
    let named = tenant
        .client
        .get("/api/v1/applications/none?project=default")
        .await?;
    assert_eq!(named.status, 404, "{}", named.body);
    let nobody = tenant
        .client
        .with_token("")
        .get("/api/v1/applications")
        .await?;
    assert_eq!((nobody.status, &nobody.body["code"]), (401, &json!(16)));
    let untyped = tenant
        .client
        .request(reqwest::Method::POST, "/api/v1/applications")
        .body("{}")
        .send()
        .await?;
    assert_eq!(untyped.status().as_u16(), 415);
    let version = tenant
        .client
        .with_token("")
        .get("/api/version")
        .await?
        .ok()?;
    assert!(
        version["Version"]
            .as_str()
            .is_some_and(|version| version.starts_with("v3.2.11+naru.")),
        "{version}"
    );
    Ok(())
}
