//! The guide's samples: put into a repository, connected, and followed by two applications.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testkit::client::Client;
use testkit::git::Login;
use testkit::git::checkout::Checkout;
use testkit::platform::automated;

const VARIABLE: &str = "${USER_IDENTITY}";
/// The repository's name, as in the guide.
pub(crate) const REPOSITORY: &str = "base-project";
/// The applications and the folders that they follow.
pub(crate) const APPLICATIONS: [(&str, &str); 2] = [
    ("hello-spring", "gitops/hello-world-spring"),
    (
        "hello-spring-kustomize",
        "gitops/hello-world-spring-kustomize",
    ),
];

/// A repository with the samples, its working copy for people, and the commit that is there.
pub(crate) async fn fill(
    url: &str,
    login: &Login,
    work: &Path,
    examples: &Path,
    filled_in: Option<&str>,
) -> Result<String> {
    // An interrupted attempt leaves a copy that cannot be told from a good one; what counts is in the server.
    let copy = match work.join(".git").is_dir() {
        true => work.with_extension("look"),
        false => work.to_owned(),
    };
    if copy.exists() {
        std::fs::remove_dir_all(&copy)?;
    }
    let checkout = Checkout::clone(url, Some(login), &copy).await?;
    if copy == work {
        sign_in(&checkout, url, login).await?;
    }
    let commit = match checkout.head().await {
        Ok(commit) => commit,
        Err(_) => push_samples(&checkout, examples, filled_in).await?,
    };
    if copy != work {
        std::fs::remove_dir_all(&copy)?;
    }
    Ok(commit)
}

/// So that a person can push from the working copy without being asked.
async fn sign_in(checkout: &Checkout, url: &str, login: &Login) -> Result<()> {
    checkout.git(&["config", "user.name", &login.user]).await?;
    checkout
        .git(&[
            "config",
            "user.email",
            &format!("{}@example.com", login.user),
        ])
        .await?;
    let (scheme, rest) = url
        .split_once("://")
        .context("a Git server has an address")?;
    let signed = format!("{scheme}://{}:{}@{rest}", login.user, login.password);
    checkout
        .git(&["remote", "set-url", "--push", "origin", &signed])
        .await?;
    checkout
        .git(&["remote", "set-url", "origin", &signed])
        .await
        .map(drop)
}

async fn push_samples(
    checkout: &Checkout,
    examples: &Path,
    filled_in: Option<&str>,
) -> Result<String> {
    checkout.copy_folder(&examples.join("gitops"), "gitops")?;
    let (name, folder) = (
        "hello-world-spring-kustomize",
        "gitops/hello-world-spring-kustomize",
    );
    checkout.copy_folder(&examples.join("gitops/hello-world-spring"), folder)?;
    checkout.remove(&format!("{folder}/kustomize"))?;
    checkout.copy_folder(&examples.join("overlay").join(name), folder)?;
    if let Some(value) = filled_in {
        replace_everywhere(&checkout.dir().join("gitops"), value)?;
    }
    let commit = checkout.commit("the guide's samples").await?;
    checkout.push().await?;
    Ok(commit)
}

/// Puts a value where the variable stands, in every file of a folder.
pub(crate) fn replace_everywhere(dir: &Path, value: &str) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            replace_everywhere(&path, value)?;
        } else {
            let text = std::fs::read_to_string(&path)?;
            std::fs::write(&path, text.replace(VARIABLE, value))?;
        }
    }
    Ok(())
}

/// Connects a repository, with its login.
pub(crate) async fn connect(client: &Client, repo: &str, login: &Login) -> Result<()> {
    let body =
        json!({"repo": repo, "username": login.user, "password": login.password, "type": "git"});
    let answer = client
        .post("/api/v1/repositories?upsert=true", &body)
        .await?;
    answer
        .ok()
        .context("the repository cannot be connected")
        .map(drop)
}

/// Creates the application unless it is there; what somebody changed in it stays.
pub(crate) async fn application(
    client: &Client,
    name: &str,
    repo: &str,
    path: &str,
    namespace: &str,
) -> Result<()> {
    if client
        .get(&format!("/api/v1/applications/{name}"))
        .await?
        .status
        == 200
    {
        return Ok(());
    }
    let app: Value = json!({
        "metadata": {"name": name},
        "spec": {
            "project": "default",
            "source": {"repoURL": repo, "path": path, "targetRevision": "HEAD"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
            "syncPolicy": automated(),
        },
    });
    let answer = client.post("/api/v1/applications", &app).await?;
    answer
        .ok()
        .with_context(|| format!("application {name} cannot be created"))
        .map(drop)
}
