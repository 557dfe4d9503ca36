//! S13 for clusters: an address of a tenant's never leads to where the platform itself is, however it is written, whenever it
//! is asked, and whatever its name led to before.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::client::Answer;
use testkit::platform::{self, Platform, Tenant};
use testkit::progress::Progress;
use testkit::{names, services, wait};

use crate::PATIENCE;

/// The name of a cluster, which leads to what a file says.
const FAR: &str = "far.example";
/// Where clouds tell a machine its secrets.
const METADATA: &str = "169.254.169.254";

/// The path of a cluster's address.
fn path(server: &str) -> String {
    let escaped = server.replace(':', "%3A").replace('/', "%2F");
    format!("/api/v1/clusters/{escaped}")
}

/// Refused for its address, in words that hold no secret.
fn inward(what: &str, answer: &Answer) -> Result<()> {
    let text = answer.body.to_string();
    ensure!(
        answer.status >= 400 && text.contains("NARU_EGRESS__ALLOW") && !text.contains("canary"),
        "{what}: {} {text}",
        answer.status
    );
    Ok(())
}

#[tokio::test]
async fn s13_a_cluster_is_not_where_the_platform_itself_is() -> Result<()> {
    let tenant = platform::tenant("inward").await?;
    for server in [
        "https://169.254.169.254",
        "https://169.254.169.254:6443/",
        "https://[::ffff:169.254.169.254]",
        "https://[fe80::1]:6443",
        "https://0.0.0.0:6443",
    ] {
        let body =
            json!({"server": server, "name": "inward", "config": {"bearerToken": "canary-token"}});
        inward(
            server,
            &tenant.client.post("/api/v1/clusters", &body).await?,
        )?;
        // What was not added is neither changed nor rotated.
        let changed = tenant.client.put(&path(server), &body).await?;
        let rotated = format!("{}/rotate-auth", path(server));
        let rotated = tenant.client.post(&rotated, &json!({})).await?;
        assert_eq!((changed.status, rotated.status), (403, 403), "{server}");
    }
    let list = tenant.client.get("/api/v1/clusters").await?.ok()?;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    Ok(())
}

/// A token of the service account that `argocd cluster add` makes, which may do everything there.
async fn manager(platform: &Platform, tenant: &Tenant) -> Result<String> {
    let kubeconfig = platform.control_plane().kubeconfig.to_string_lossy();
    let mut contexts = testkit::command::command("kubectl");
    contexts.args(["config", "current-context", "--kubeconfig", &kubeconfig]);
    let context = testkit::command::output(&mut contexts).await?;
    let mut add = vec!["cluster", "add", context.trim(), "--kubeconfig"];
    add.extend([&*kubeconfig, "--name", "here", "-y"]);
    let added = tenant.client.argocd(&add).await?;
    ensure!(added.status.success(), "{}", crate::said(&added));
    let mut secret = testkit::command::command("kubectl");
    secret.args(["--kubeconfig", &kubeconfig, "--namespace", "kube-system"]);
    secret.args(["get", "secret", "argocd-manager-long-lived-token"]);
    secret.args(["--output", "go-template={{.data.token | base64decode}}"]);
    testkit::command::output(&mut secret).await
}

/// The controller again, where [`FAR`] leads to what the file in `folder` says.
async fn with_names(platform: &Platform, folder: &Path) -> Result<()> {
    let supervisor = platform.supervisor()?;
    let controller = supervisor.find("naru-controller");
    let controller = controller.context("a controller runs")?;
    controller.stop().await?;
    let mut spec = controller.spec().clone();
    let home = [(FAR, "127.0.0.1".parse()?)];
    let command = names::knowing(folder, &home, &spec.program)?;
    let word = |word: &std::ffi::OsStr| word.to_string_lossy().into_owned();
    // Found as any command is.
    spec.program = "/usr/bin/env".into();
    let program = command.as_std().get_program();
    let words = std::iter::once(program).chain(command.as_std().get_args());
    spec.args = words.map(word).collect();
    services::ready(&supervisor.start(&spec)?).await
}

#[tokio::test]
async fn s13_a_name_that_later_leads_inward_is_refused_when_it_is_changed_and_rotated() -> Result<()>
{
    let own = testkit::paths::test_platform()?.with_extension("inward");
    let platform = Platform::start(&own, Progress::silent()).await?;
    let folder = tempfile::tempdir()?;
    let tenant = platform.tenant("inward").await?;
    let token = manager(&platform, &tenant).await?;
    with_names(&platform, folder.path()).await?;
    let port = platform
        .kube()?
        .server()
        .rsplit(':')
        .next()
        .map(str::to_owned);
    let server = format!("https://{FAR}:{}", port.context("a port")?);
    let body = |name: &str| {
        json!({"server": server, "name": name, "config": {
            "bearerToken": token, "tlsClientConfig": {"insecure": true},
        }})
    };
    let rotate = format!("{}/rotate-auth", path(&server));
    wait::until("the cluster is added", PATIENCE, || async {
        tenant
            .client
            .post("/api/v1/clusters", &body("far"))
            .await?
            .ok()
    })
    .await?;
    tenant
        .client
        .put(&path(&server), &body("farther"))
        .await?
        .ok()?;
    tenant.client.post(&rotate, &json!({})).await?.ok()?;

    // The file stands where the controller sees it, so that it is written over in place.
    let hosts = format!("127.0.0.1 localhost\n{METADATA} {FAR}\n");
    std::fs::write(folder.path().join("hosts"), hosts)?;
    let changed = tenant.client.put(&path(&server), &body("inward")).await?;
    inward("changed", &changed)?;
    let upsert = "/api/v1/clusters?upsert=true";
    let again = tenant.client.post(upsert, &body("inward")).await?;
    inward("added again", &again)?;
    inward("rotated", &tenant.client.post(&rotate, &json!({})).await?)?;
    let look = format!("{}/invalidate-cache", path(&server));
    let looked = tenant.client.post(&look, &json!({})).await?.ok()?;
    let state = &looked["connectionState"];
    assert_eq!(state["status"], "Failed", "{looked}");
    assert!(state.to_string().contains("NARU_EGRESS__ALLOW"), "{looked}");
    let list = tenant.client.get("/api/v1/clusters").await?.ok()?;
    let names: Vec<&Value> = list["items"].as_array().into_iter().flatten().collect();
    let kept = names.iter().any(|one| one["name"] == "farther");
    assert!(kept && !list.to_string().contains("\"inward\""), "{list}");
    tokio::time::timeout(Duration::from_secs(60), platform.stop()).await?
}
