//! A project that names keys deploys what these signed, and says why it does not deploy the rest.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use tempfile::TempDir;
use testkit::platform;

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

#[tokio::test]
async fn only_what_a_projects_keys_signed_is_deployed() -> Result<()> {
    let tenant = platform::tenant("signed").await?;
    let (ours, theirs) = (
        Key::make("ours@example.com").await?,
        Key::make("theirs@example.com").await?,
    );
    let argocd = async |wanted: i32, args: &[&str]| -> Result<String> {
        let output = tenant.client.argocd(args).await?;
        anyhow::ensure!(code(&output) == wanted, "{args:?}: {}", said(&output));
        Ok(said(&output))
    };
    let push = async |key: Option<&Key>, value: &str| -> Result<String> {
        tenant
            .checkout
            .write("app/a.yaml", config_map("a", value))?;
        tenant.checkout.git(&["add", "-A"]).await?;
        let commit = match key {
            None => vec!["commit".to_owned()],
            Some(key) => vec![
                "-c".to_owned(),
                format!("gpg.program={}", key.program()?),
                "-c".to_owned(),
                format!("user.signingKey={}", key.print),
                "commit".to_owned(),
                "-S".to_owned(),
            ],
        };
        let mut args: Vec<&str> = commit.iter().map(String::as_str).collect();
        args.extend(["-q", "-m", value]);
        tenant.checkout.git(&args).await?;
        tenant.checkout.push().await?;
        tenant.checkout.head().await
    };
    for key in [&ours, &theirs] {
        let file = key.home.path().join("public.asc");
        std::fs::write(&file, key.gpg(&["--armor", "--export"]).await?)?;
        argocd(0, &["gpg", "add", "--from", &file.to_string_lossy()]).await?;
    }
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
