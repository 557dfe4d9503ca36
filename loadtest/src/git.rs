//! A working copy of the repository that the applications are made from.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use base64::Engine;
use tempfile::TempDir;
use tokio::process::Command;

use crate::Target;

/// A clone in a temporary folder.
pub(crate) struct Clone {
    folder: TempDir,
    header: String,
}

impl Clone {
    pub(crate) async fn of(target: &Target) -> anyhow::Result<Self> {
        if target.repo.is_empty() {
            bail!("--repo (or NARU_USER01_REPO) is not set: source .naru/env first");
        }
        let login = base64::engine::general_purpose::STANDARD
            .encode(format!("{}:{}", target.git_user, target.git_password));
        let clone = Self {
            folder: tempfile::tempdir()?,
            header: format!("Authorization: Basic {login}"),
        };
        clone.git(&["clone", "--quiet", &target.repo, "."]).await?;
        Ok(clone)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs Git in the clone. The login travels in the environment, never on the command line.
    #[expect(
        clippy::disallowed_methods,
        reason = "a load program acts as a person would: with git"
    )]
    pub(crate) async fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::from(std::process::Command::new("git"))
            .args(arguments)
            .current_dir(self.path())
            .env("GIT_CONFIG_COUNT", "3")
            .env("GIT_CONFIG_KEY_0", "http.extraHeader")
            .env("GIT_CONFIG_VALUE_0", &self.header)
            .env("GIT_CONFIG_KEY_1", "user.name")
            .env("GIT_CONFIG_VALUE_1", "Load Test")
            .env("GIT_CONFIG_KEY_2", "user.email")
            .env("GIT_CONFIG_VALUE_2", "loadtest@example.com")
            .env("GIT_TERMINAL_PROMPT", "0")
            .output()
            .await
            .context("git cannot be run")?;
        if !output.status.success() {
            bail!(
                "git {} failed: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Commits everything and pushes it; the commit's id.
    pub(crate) async fn push(&self, message: &str) -> anyhow::Result<String> {
        self.commit(message).await?;
        self.send().await?;
        self.head().await
    }

    /// Commits everything.
    pub(crate) async fn commit(&self, message: &str) -> anyhow::Result<()> {
        self.git(&["add", "--all"]).await?;
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message])
            .await
            .map(drop)
    }

    /// Pushes what was committed.
    pub(crate) async fn send(&self) -> anyhow::Result<()> {
        self.git(&["push", "--quiet", "origin", "HEAD"])
            .await
            .map(drop)
    }

    /// The id of the last commit.
    pub(crate) async fn head(&self) -> anyhow::Result<String> {
        self.git(&["rev-parse", "HEAD"]).await
    }

    /// Takes the folders of applications out again and pushes that.
    pub(crate) async fn remove(&self, names: &[String]) -> anyhow::Result<()> {
        for name in names {
            fs::remove_dir_all(self.path().join("load").join(name))?;
        }
        self.push("a load run is over").await.map(drop)
    }
}
