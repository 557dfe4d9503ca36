//! A working copy that commits and pushes, as a person at a keyboard would.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::process::Command;

use super::{Login, git};
use crate::command::output;

/// A working copy of a repository's branch `main`.
#[derive(Clone, Debug)]
pub struct Checkout {
    dir: PathBuf,
    url: String,
    login: Option<Login>,
}

impl Checkout {
    /// Clones `url` into `dir`, which must not exist.
    ///
    /// # Errors
    /// What git said.
    pub async fn clone(url: &str, login: Option<&Login>, dir: &Path) -> Result<Self> {
        let checkout = Self {
            dir: dir.to_owned(),
            url: url.to_owned(),
            login: login.cloned(),
        };
        let mut clone = checkout.remote();
        output(clone.args(["clone", "-q", url]).arg(dir)).await?;
        output(
            checkout
                .local()
                .args(["symbolic-ref", "HEAD", "refs/heads/main"]),
        )
        .await?;
        Ok(checkout)
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// git, with the login where only it and the server see it.
    fn remote(&self) -> Command {
        let mut git = git();
        if let Some(login) = &self.login {
            let basic = STANDARD.encode(format!("{}:{}", login.user, login.password));
            git.env("GIT_CONFIG_COUNT", "1");
            git.env("GIT_CONFIG_KEY_0", format!("http.{}.extraHeader", self.url));
            git.env(
                "GIT_CONFIG_VALUE_0",
                format!("Authorization: Basic {basic}"),
            );
        }
        git
    }

    fn local(&self) -> Command {
        let mut git = self.remote();
        git.arg("-C").arg(&self.dir);
        git
    }

    /// Writes a file, with its folders.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let file = self.dir.join(path);
        fs::create_dir_all(file.parent().context("a file has a folder")?)?;
        fs::write(&file, content).with_context(|| format!("cannot write {path}"))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(&self, path: &str) -> Result<String> {
        fs::read_to_string(self.dir.join(path)).with_context(|| format!("cannot read {path}"))
    }

    /// Removes a file or a folder.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove(&self, path: &str) -> Result<()> {
        let file = self.dir.join(path);
        if file.is_dir() {
            fs::remove_dir_all(file)?
        } else {
            fs::remove_file(file)?
        }
        Ok(())
    }

    /// Copies a folder's files, as they are.
    ///
    /// # Errors
    /// When one cannot be read or written.
    pub fn copy_folder(&self, from: &Path, to: &str) -> Result<()> {
        for entry in
            fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?
        {
            let path = entry?.path();
            let name = path
                .file_name()
                .context("an entry has a name")?
                .to_string_lossy()
                .into_owned();
            let inner = format!("{to}/{name}");
            if path.is_dir() {
                self.copy_folder(&path, &inner)?;
            } else {
                self.write(&inner, fs::read(&path)?)?;
            }
        }
        Ok(())
    }

    /// Commits everything and tells the commit.
    ///
    /// # Errors
    /// What git said; nothing to commit is none.
    pub async fn commit(&self, message: &str) -> Result<String> {
        output(self.local().args(["add", "-A"])).await?;
        let commit = [
            "-c",
            "gc.auto=0",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            message,
        ];
        output(self.local().args(commit)).await?;
        self.head().await
    }

    /// The commit that is checked out.
    ///
    /// # Errors
    /// When there is none yet.
    pub async fn head(&self) -> Result<String> {
        Ok(output(self.local().args(["rev-parse", "--verify", "HEAD"]))
            .await?
            .trim()
            .to_owned())
    }

    /// Pushes `main`.
    ///
    /// # Errors
    /// What git said.
    pub async fn push(&self) -> Result<()> {
        output(
            self.local()
                .args(["push", "-q", "origin", "HEAD:refs/heads/main"]),
        )
        .await
        .map(drop)
    }

    /// Runs git in the working copy: tags, branches, forced pushes.
    ///
    /// # Errors
    /// What git said.
    pub async fn git(&self, args: &[&str]) -> Result<String> {
        output(self.local().args(args)).await
    }

    /// Writes one file, commits and pushes it; tells the commit.
    ///
    /// # Errors
    /// What git said.
    pub async fn push_file(&self, path: &str, content: impl AsRef<[u8]>) -> Result<String> {
        self.write(path, content)?;
        let commit = self.commit(&format!("change {path}")).await?;
        self.push().await?;
        Ok(commit)
    }
}
