//! A folder on somebody's disk, rendered by the platform and compared with what is deployed: `app diff --local
//! --server-side-generate`.

use std::process::Output;

use anyhow::{Context, Result};
use rand::RngCore;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::client::Client;
use testkit::command::{command, output};
use testkit::platform::{self, Tenant};

use crate::{PATIENCE, code, config_map, field, said, set, with_key};

/// The call that the command makes.
const CALL: &str = "/application.ApplicationService/GetManifestsWithFiles";

async fn diff(client: &Client, folder: &str) -> Result<Output> {
    let app = "app";
    client
        .argocd(&[
            "app",
            "diff",
            app,
            "--local",
            folder,
            "--server-side-generate",
        ])
        .await
}

/// Makes the call without the command: the status and what is said.
async fn call(
    client: &Client,
    app: &str,
    checksum: &str,
    archive: &[u8],
) -> Result<(String, String)> {
    let query = [field(1, app.as_bytes()), field(2, checksum.as_bytes())].concat();
    let mut body = Vec::new();
    for part in [field(1, &query), field(2, &field(1, archive))] {
        body.push(0);
        body.extend(u32::try_from(part.len())?.to_be_bytes());
        body.extend(part);
    }
    let response = client
        .request(Method::POST, CALL)
        .header("content-type", "application/grpc-web+proto")
        .header("token", client.token())
        .body(body)
        .send()
        .await?;
    let header = |name| {
        let value = response.headers().get(name);
        value.map_or_else(String::new, |value| {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        })
    };
    Ok((header("grpc-status"), header("grpc-message")))
}

/// A tenant with an application that is deployed, whose files name the tenant's own variable.
async fn deployed(label: &str) -> Result<Tenant> {
    let tenant = platform::tenant(label).await?;
    let checkout = &tenant.checkout;
    checkout.write("app/kustomization.yaml", "resources: [a.yaml, ../base]\n")?;
    checkout.write("base/kustomization.yaml", "resources: [b.yaml]\n")?;
    checkout.write("base/b.yaml", config_map("b", "${USER_IDENTITY}"))?;
    checkout
        .push_file("app/a.yaml", config_map("a", "one"))
        .await?;
    tenant.connect().await?;
    tenant
        .create_app("app", "app", &platform::automated())
        .await?;
    tenant.client.app_done("app", None, PATIENCE).await?;
    Ok(tenant)
}

#[tokio::test]
async fn an_edit_on_disk_is_the_only_difference() -> Result<()> {
    let tenant = deployed("local").await?;
    let (client, checkout) = (&tenant.client, &tenant.checkout);
    let root = checkout.dir().display().to_string();
    let same = diff(client, &root).await?;
    assert_eq!(code(&same), 0, "{}", said(&same));

    checkout.write("app/a.yaml", config_map("a", "two"))?;
    let edited = diff(client, &root).await?;
    assert_eq!(code(&edited), 1, "{}", said(&edited));
    let shown = said(&edited);
    assert!(shown.contains("/a =="), "{shown}");
    assert!(
        shown.contains("one") && shown.contains("two") && !shown.contains("/b =="),
        "{shown}"
    );
    // Nothing of it was kept or deployed.
    let live = format!("/api/v1/namespaces/{}/configmaps/a", tenant.name);
    let live = tenant.kube.get(&live).await?.unwrap_or_default();
    assert_eq!(live["data"]["value"], "one");
    let manifests = client.argocd(&["app", "manifests", "app"]).await?;
    assert!(
        said(&manifests).contains("one") && !said(&manifests).contains("two"),
        "{}",
        said(&manifests)
    );
    client.app_done("app", None, PATIENCE).await?;

    // The folder of the application is not the root of its repository.
    let inner = diff(client, &format!("{root}/app")).await?;
    assert_eq!(code(&inner), 20, "{}", said(&inner));
    assert!(
        said(&inner).contains("source.local-path-missing"),
        "{}",
        said(&inner)
    );

    // A mistake is told as one in Git is.
    checkout.write("app/a.yaml", "kind: [\n")?;
    let broken = diff(client, &root).await?;
    assert_eq!(code(&broken), 20, "{}", said(&broken));
    assert!(said(&broken).contains("File: a.yaml"), "{}", said(&broken));
    Ok(())
}

#[tokio::test]
async fn s02_a_folder_that_is_too_large_or_none_is_refused_with_the_reason() -> Result<()> {
    let tenant = deployed("local-bad").await?;
    let (client, checkout) = (&tenant.client, &tenant.checkout);
    let root = checkout.dir().display().to_string();
    let mut large = vec![0; 34 << 20];
    rand::rng().fill_bytes(&mut large);
    checkout.write("large.yaml", &large)?;
    let refused = diff(client, &root).await?;
    assert_eq!(code(&refused), 20, "{}", said(&refused));
    assert!(
        said(&refused).contains("larger than 32 MiB"),
        "{}",
        said(&refused)
    );
    checkout.remove("large.yaml")?;

    std::os::unix::fs::symlink("/etc/passwd", checkout.dir().join("out.yaml"))?;
    let refused = diff(client, &root).await?;
    assert_eq!(code(&refused), 20, "{}", said(&refused));
    assert!(
        said(&refused).contains("`out.yaml` is a link that leads out of the archive"),
        "{}",
        said(&refused)
    );
    checkout.remove("out.yaml")?;

    let archive = b"kind: ConfigMap\n";
    let checksum = hex::encode(Sha256::digest(archive));
    let (_, text) = call(client, "app", &checksum, archive).await?;
    assert!(text.contains("not a gzip archive"), "{text}");
    let (status, text) = call(client, "app", &"0".repeat(64), archive).await?;
    assert_eq!(status, "3", "{text}");
    assert!(text.contains(&checksum), "{text}");

    let same = diff(client, &root).await?;
    assert_eq!(code(&same), 0, "{}", said(&same));
    Ok(())
}

#[tokio::test]
async fn s18_who_may_not_learns_nothing_and_what_must_be_signed_is_not_brought() -> Result<()> {
    let tenant = deployed("local-who").await?;
    let other = platform::tenant("local-other").await?;
    let nobody = with_key(&tenant, "nobody").await?;
    for stranger in [&nobody, &other.client] {
        let there = call(stranger, "app", "", b"x").await?;
        let absent = call(stranger, "absent", "", b"x").await?;
        assert_eq!(there.0, "7", "{there:?}");
        assert_eq!(there, absent);
    }

    let key = ["proj", "add-signature-key", "default", "D56C4FCA57A46444"];
    let added = tenant.client.argocd(&key).await?;
    assert_eq!(code(&added), 0, "{}", said(&added));
    let archive = b"x";
    let checksum = hex::encode(Sha256::digest(archive));
    let (_, text) = call(&tenant.client, "app", &checksum, archive).await?;
    assert!(text.contains("signature keys are required"), "{text}");
    Ok(())
}

#[tokio::test]
async fn s18_what_is_not_in_the_folder_is_for_who_may_read_it() -> Result<()> {
    let tenant = deployed("local-read").await?;
    let (url, private) = tenant.another_repository("private").await?;
    private.write("web/kustomization.yaml", "resources: [a.yaml]\n")?;
    let secret = config_map("taken", "of-the-private-repository");
    private.push_file("web/a.yaml", secret).await?;
    let kustomization = format!("resources:\n- {url}//web?ref=main\n");
    tenant
        .checkout
        .write("app/kustomization.yaml", kustomization)?;
    let file = tempfile::NamedTempFile::new()?;
    let mut tar = command("tar");
    tar.arg("-czf").arg(file.path()).arg("-C");
    tar.arg(tenant.checkout.dir())
        .arg("--exclude=.git")
        .arg(".");
    output(&mut tar).await?;
    let archive = std::fs::read(file.path())?;
    let checksum = hex::encode(Sha256::digest(&archive));

    let bob = with_key(&tenant, "bob").await?;
    let get = "p, bob, applications, get, default/app, allow\n";
    let sees = "g, bob, role:readonly\n";
    let brings = format!("{sees}p, bob, applications, override, default/app, allow\n");
    for (policy, missing) in [(get, "repositories, get"), (sees, "applications, override")] {
        set(&tenant, "argocd-rbac-cm", "policy.csv", policy).await?;
        let (status, text) = call(&bob, "app", &checksum, &archive).await?;
        let text = text.replace("%20", " ");
        assert_eq!(status, "7", "{text}");
        assert!(text.contains(missing), "{text}");
        assert_eq!(text.contains(&url), policy == sees, "{text}");
    }
    set(&tenant, "argocd-rbac-cm", "policy.csv", &brings).await?;
    let root = tenant.checkout.dir().display().to_string();
    let taken = diff(&bob, &root).await?;
    assert_eq!(code(&taken), 1, "{}", said(&taken));
    assert!(
        said(&taken).contains("of-the-private-repository"),
        "{}",
        said(&taken)
    );
    Ok(())
}

#[tokio::test]
async fn s18_manifests_are_brought_to_a_sync_by_who_may_and_as_the_project_permits() -> Result<()> {
    let tenant = deployed("local-sync").await?;
    let client = &tenant.client;
    let bob = with_key(&tenant, "bob").await?;
    let path = "/api/v1/applications/app/sync";
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"value": "brought"}});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "brought"}, "rules": []});
    let one = json!({"manifests": [map.to_string()]});
    let both = json!({"manifests": [map.to_string(), role.to_string()]});
    let live = format!("/api/v1/namespaces/{}/configmaps/a", tenant.name);
    let value = async || -> Result<Value> {
        let there = tenant.kube.get(&live).await?.context("it is gone")?;
        Ok(there["data"]["value"].clone())
    };
    let ended = async |phase: &str, words: &str| -> Result<Value> {
        let so = |app: &Value| {
            let state = &app["status"]["operationState"];
            state["phase"] == *phase && app["status"].to_string().contains(words)
        };
        client.app_when("app", PATIENCE, so).await
    };

    // Where it follows Git by itself nobody brings anything.
    let refused = client.post(path, &one).await?;
    assert_eq!(refused.body["code"], 9, "{}", refused.body);
    assert!(
        refused.body.to_string().contains("local sync"),
        "{}",
        refused.body
    );
    let by_hand = ["app", "set", "app", "--sync-policy", "none"];
    let output = client.argocd(&by_hand).await?;
    assert_eq!(code(&output), 0, "{}", said(&output));

    // A right to sync is none to bring something.
    let syncs = "p, bob, applications, get, default/app, allow\n\
                 p, bob, applications, sync, default/app, allow\n";
    set(&tenant, "argocd-rbac-cm", "policy.csv", syncs).await?;
    let refused = bob.post(path, &one).await?;
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert_eq!(value().await?, "one");

    // Nor does the right to bring something permit more than the project does.
    let denied =
        "proj deny-cluster-resource default rbac.authorization.k8s.io ClusterRole --list deny";
    let denied: Vec<&str> = denied.split(' ').collect();
    let output = client.argocd(&denied).await?;
    assert_eq!(code(&output), 0, "{}", said(&output));
    let brings = format!("{syncs}p, bob, applications, override, default/app, allow\n");
    set(&tenant, "argocd-rbac-cm", "policy.csv", &brings).await?;
    bob.post(path, &both).await?.ok()?;
    ended("Failed", "ClusterRole").await?;
    assert_eq!(value().await?, "one", "nothing of it is applied");

    bob.post(path, &one).await?.ok()?;
    let app = ended("Succeeded", "configmap/a configured").await?;
    assert_eq!(value().await?, "brought");
    let asked = &app["status"]["operationState"]["operation"]["initiatedBy"];
    assert_eq!(asked["username"], "bob", "{app}");

    // What must be signed cannot be brought.
    let key = ["proj", "add-signature-key", "default", "D56C4FCA57A46444"];
    let added = client.argocd(&key).await?;
    assert_eq!(code(&added), 0, "{}", said(&added));
    let refused = client.post(path, &one).await?;
    assert_eq!(refused.body["code"], 9, "{}", refused.body);
    Ok(())
}
