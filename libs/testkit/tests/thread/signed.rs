//! A project that names keys deploys what these signed, and says why it does not deploy the rest.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::git::checkout::Checkout;
use testkit::platform::{self, Tenant};

use crate::{PATIENCE, code, config_map, said};

/// A key of gpg's own making, and the agent that comes with it.
struct Key {
    home: TempDir,
    print: String,
}

impl Key {
    async fn make(name: &str) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("gpg-").tempdir()?;
        let mut key = Self {
            home,
            print: String::new(),
        };
        key.gpg(&["--quick-generate-key", name, "ed25519", "sign", "0"])
            .await?;
        let listed = key.gpg(&["--with-colons", "--list-keys"]).await?;
        let print = listed.lines().find(|line| line.starts_with("fpr"));
        let print = print.and_then(|line| line.split(':').nth(9));
        key.print = print.context("a fingerprint")?.to_owned();
        Ok(key)
    }

    async fn gpg(&self, args: &[&str]) -> Result<String> {
        let mut gpg = testkit::command::command("gpg");
        gpg.env("GNUPGHOME", self.home.path());
        gpg.args(["--batch", "--quiet", "--pinentry-mode", "loopback"]);
        testkit::command::output(gpg.args(["--passphrase", ""]).args(args)).await
    }

    fn id(&self) -> &str {
        &self.print[24..]
    }

    /// A program that signs with this key, for git.
    fn program(&self) -> Result<String> {
        let program = self.home.path().join("sign");
        let home = self.home.path().display();
        let script = format!("#!/bin/sh\nGNUPGHOME='{home}' exec gpg \"$@\"\n");
        std::fs::write(&program, script)?;
        executable(&program)?;
        Ok(program.to_string_lossy().into_owned())
    }

    /// Runs git, which signs with this key where it is told to.
    async fn git(&self, checkout: &Checkout, args: &[&str]) -> Result<String> {
        let program = format!("gpg.program={}", self.program()?);
        let key = format!("user.signingKey={}", self.print);
        let config = ["-c", &program, "-c", &key];
        checkout.git(&[&config[..], args].concat()).await
    }

    /// Has a tenant know the key.
    async fn add(&self, tenant: &Tenant) -> Result<()> {
        let file = self.home.path().join("public.asc");
        std::fs::write(&file, self.gpg(&["--armor", "--export"]).await?)?;
        let file = file.to_string_lossy();
        let args = ["gpg", "add", "--from", &file];
        argocd(tenant, 0, &args).await.map(drop)
    }
}

impl Drop for Key {
    #[expect(clippy::disallowed_methods, reason = "a destructor cannot wait")]
    fn drop(&mut self) {
        let mut stop = std::process::Command::new("gpgconf");
        let _ = stop
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--kill", "all"])
            .status();
    }
}

fn executable(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(
        file,
        std::fs::Permissions::from_mode(0o700),
    )?)
}

/// Writes a file and pushes it in a commit that is signed with this key, if with any; tells the commit.
async fn push(
    checkout: &Checkout,
    key: Option<&Key>,
    path: &str,
    content: impl AsRef<[u8]>,
) -> Result<String> {
    checkout.write(path, content)?;
    checkout.git(&["add", "-A"]).await?;
    let commit = ["commit", "-q", "-m", path];
    match key {
        None => checkout.git(&commit).await?,
        Some(key) => key.git(checkout, &[&commit[..], &["-S"]].concat()).await?,
    };
    checkout.push().await?;
    checkout.head().await
}

/// What the command says, which ends with this code.
async fn argocd(tenant: &Tenant, wanted: i32, args: &[&str]) -> Result<String> {
    let output = tenant.client.argocd(args).await?;
    anyhow::ensure!(code(&output) == wanted, "{args:?}: {}", said(&output));
    Ok(said(&output))
}

#[tokio::test]
async fn only_what_a_projects_keys_signed_is_deployed() -> Result<()> {
    let tenant = platform::tenant("signed").await?;
    let (ours, theirs) = (
        Key::make("ours@example.com").await?,
        Key::make("theirs@example.com").await?,
    );
    let argocd = async |wanted: i32, args: &[&str]| argocd(&tenant, wanted, args).await;
    let push = async |key: Option<&Key>, value: &str| {
        let file = config_map("a", value);
        push(&tenant.checkout, key, "app/a.yaml", file).await
    };
    ours.add(&tenant).await?;
    theirs.add(&tenant).await?;
    let unsigned = push(None, "1").await?;
    tenant.connect().await?;
    tenant.create_app("a", "app", &json!(null)).await?;
    argocd(0, &["proj", "add-signature-key", "default", ours.id()]).await?;

    let refused = argocd(1, &["app", "sync", "a", "--timeout", "60"]).await?;
    assert!(
        refused.contains("in Git is not signed, but a signature is required"),
        "{refused}"
    );
    let shown = argocd(0, &["app", "get", "a", "--refresh"]).await?;
    assert!(
        shown.contains("is not signed, but a signature is required"),
        "{shown}"
    );
    let metadata = |commit: &str| format!("/api/v1/applications/a/revisions/{commit}/metadata");
    let known = tenant.client.get(&metadata(&unsigned)).await?.ok()?;
    assert_eq!(known["signatureInfo"], "Revision is not signed.");

    let by_theirs = push(Some(&theirs), "2").await?;
    let refused = argocd(1, &["app", "sync", "a", "--timeout", "60"]).await?;
    let wanted = format!(
        "good signature made with EDDSA key {}, but this key is not allowed",
        theirs.id()
    );
    assert!(refused.contains(&wanted), "{refused}");
    argocd(0, &["gpg", "rm", theirs.id()]).await?;
    let refused = argocd(1, &["app", "sync", "a", "--timeout", "60"]).await?;
    assert!(
        refused.contains("Can't check signature: No public key"),
        "{refused}"
    );
    let known = tenant.client.get(&metadata(&by_theirs)).await?.ok()?;
    let wanted = format!("Invalid signature from EDDSA key {}", theirs.id());
    assert_eq!(known["signatureInfo"], wanted.as_str());

    let by_ours = push(Some(&ours), "3").await?;
    argocd(0, &["app", "sync", "a", "--timeout", "60"]).await?;
    tenant
        .client
        .app_done("a", Some(&by_ours), PATIENCE)
        .await?;
    let known = tenant.client.get(&metadata(&by_ours)).await?.ok()?;
    let wanted = format!("Good signature from EDDSA key {}", ours.id());
    assert_eq!(known["signatureInfo"], wanted.as_str());
    // What somebody brings is signed by nobody.
    let local = tenant.checkout.dir().join("app");
    let local = argocd(
        20,
        &["app", "sync", "a", "--local", &local.to_string_lossy()],
    )
    .await?;
    assert!(
        local.contains("Cannot use local sync when signature keys are required"),
        "{local}"
    );
    Ok(())
}

const TEMPLATE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\ndata:\n  \
                        values: {{ .Values.values }}\n  chart: {{ .Values.chart }}\n";

/// What is deployed of the values and of the chart.
async fn deployed(tenant: &Tenant) -> Result<Value> {
    let path = format!("/api/v1/namespaces/{}/configmaps/web", tenant.name);
    let live = tenant.kube.get(&path).await?;
    Ok(live.map_or(Value::Null, |live| live["data"].clone()))
}

#[tokio::test]
async fn each_source_has_to_be_signed_and_a_signed_tag_vouches_for_its_commit() -> Result<()> {
    let tenant = platform::tenant("signed-each").await?;
    let (ours, theirs) = (
        Key::make("ours@example.com").await?,
        Key::make("theirs@example.com").await?,
    );
    ours.add(&tenant).await?;
    theirs.add(&tenant).await?;
    let chart = &tenant.checkout;
    let about = "apiVersion: v2\nname: web\nversion: 1.0.0\n";
    chart.write("chart/Chart.yaml", about)?;
    chart.write("chart/templates/a.yaml", TEMPLATE)?;
    push(chart, Some(&ours), "chart/values.yaml", "chart: one\n").await?;
    tenant.connect().await?;
    let (url, values) = tenant.another_repository("values").await?;
    let live = ["push", "-q", "origin", "HEAD:refs/heads/live"];
    push(&values, None, "web.yaml", "values: one\n").await?;
    values.git(&live).await?;
    let helm = json!({"valueFiles": ["$values/web.yaml"]});
    let app = json!({"metadata": {"name": "web"}, "spec": {
        "project": "default",
        "sources": [
            {"repoURL": tenant.repo_url, "path": "chart", "targetRevision": "main", "helm": helm},
            {"repoURL": url, "targetRevision": "live", "ref": "values"},
        ],
        "destination": {"server": "https://kubernetes.default.svc", "namespace": tenant.name},
    }});
    let created = tenant.client.post("/api/v1/applications", &app);
    created.await?.ok()?;
    let named = ["proj", "add-signature-key", "default", ours.id()];
    argocd(&tenant, 0, &named).await?;
    let sync = ["app", "sync", "web", "--timeout", "60"];
    let refused = async |why: &str| -> Result<()> {
        let said = argocd(&tenant, 1, &sync).await?;
        anyhow::ensure!(said.contains(why), "no `{why}`: {said}");
        Ok(())
    };
    let follow = async |revision: &str| {
        let set = ["app", "set", "web", "--source-position", "2", "--revision"];
        argocd(&tenant, 0, &[&set[..], &[revision]].concat()).await
    };

    // Nothing is made of the source that others refer to, and it has to be signed all the same.
    refused("Target revision live in Git is not signed").await?;
    assert_eq!(deployed(&tenant).await?, Value::Null);

    for (key, tag) in [(&theirs, "v1"), (&ours, "v2")] {
        key.git(&values, &["tag", "-s", "-m", tag, tag]).await?;
        values.git(&["push", "-q", "origin", tag]).await?;
        follow(tag).await?;
        if tag == "v1" {
            let key = theirs.id();
            let why = "but this key is not allowed in AppProject";
            refused(&format!("good signature made with EDDSA key {key}, {why}")).await?;
        }
    }
    argocd(&tenant, 0, &sync).await?;
    let first = json!({"values": "one", "chart": "one"});
    assert_eq!(deployed(&tenant).await?, first);

    // A tag below says nothing of the next commit.
    push(&values, None, "web.yaml", "values: two\n").await?;
    values.git(&live).await?;
    follow("live").await?;
    refused("Target revision live in Git is not signed").await?;
    push(&values, Some(&ours), "web.yaml", "values: three\n").await?;
    values.git(&live).await?;
    argocd(&tenant, 0, &sync).await?;
    let second = json!({"values": "three", "chart": "one"});
    assert_eq!(deployed(&tenant).await?, second);

    // Nor does one source for another.
    push(chart, None, "chart/values.yaml", "chart: two\n").await?;
    refused("Target revision main in Git is not signed").await?;
    assert_eq!(deployed(&tenant).await?, second);
    push(chart, Some(&ours), "chart/values.yaml", "chart: three\n").await?;
    argocd(&tenant, 0, &sync).await?;
    let third = json!({"values": "three", "chart": "three"});
    assert_eq!(deployed(&tenant).await?, third);
    Ok(())
}
