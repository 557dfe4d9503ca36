//! Git as the outside world: servers over HTTP and SSH with a login per tenant, and checkouts that push to them.

mod backend;
pub mod checkout;
pub mod github;
pub mod proxy;
mod push_hook;
pub mod server;
pub mod ssh;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rand::Rng;
use rand::distr::Alphanumeric;
use serde::{Deserialize, Serialize};

use crate::command::{command, output};
use crate::paths;

/// The folder of a Git server: `<tenant>/<name>.git`, and beside them each tenant's login and push hook.
#[derive(Clone, Debug)]
pub struct GitHome {
    dir: PathBuf,
}

/// How a tenant signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

/// Where pushes to a tenant's repositories are reported, as GitLab does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushHook {
    /// The address.
    pub url: String,
    /// What stands in `X-Gitlab-Token`.
    pub token: String,
}

impl GitHome {
    /// Over `dir`, made where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(dir: &Path) -> Result<Self> {
        paths::private_dir(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn of(&self, tenant: &str) -> Result<PathBuf> {
        if !is_plain(tenant) {
            bail!("`{tenant}` is no name for a Git account");
        }
        Ok(self.dir.join(tenant))
    }

    /// The tenant's login, made now if it has none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn ensure_login(&self, tenant: &str) -> Result<Login> {
        if let Some(login) = self.login(tenant) {
            return Ok(login);
        }
        paths::private_dir(&self.of(tenant)?)?;
        let password: String = rand::rng()
            .sample_iter(Alphanumeric)
            .take(20)
            .map(char::from)
            .collect();
        paths::private_file(
            &self.of(tenant)?.join("login"),
            format!("{tenant}:{password}").as_bytes(),
        )?;
        Ok(Login {
            user: tenant.to_owned(),
            password,
        })
    }

    fn login(&self, tenant: &str) -> Option<Login> {
        let text = fs::read_to_string(self.of(tenant).ok()?.join("login")).ok()?;
        let (user, password) = text.trim().split_once(':')?;
        Some(Login {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    /// A repository of the tenant, empty where it is new.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn ensure_repository(&self, tenant: &str, name: &str) -> Result<PathBuf> {
        self.ensure_login(tenant)?;
        if !is_plain(name) {
            bail!("`{name}` is no name for a repository");
        }
        let bare = self.of(tenant)?.join(format!("{name}.git"));
        if !bare.join("config").is_file() {
            output(
                git()
                    .args(["init", "-q", "--bare", "--initial-branch=main"])
                    .arg(&bare),
            )
            .await?;
            for (key, value) in [
                ("http.receivepack", "true"),
                ("uploadpack.allowFilter", "true"),
                ("uploadpack.allowAnySHA1InWant", "true"),
                ("gc.auto", "0"),
                ("receive.autogc", "false"),
            ] {
                output(git().arg("-C").arg(&bare).args(["config", key, value])).await?;
            }
        }
        Ok(bare)
    }

    /// Reports pushes to the tenant's repositories from now on, or no longer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_push_hook(&self, tenant: &str, hook: Option<&PushHook>) -> Result<()> {
        let file = self.of(tenant)?.join("hook.json");
        match hook {
            Some(hook) => paths::private_file(&file, &serde_json::to_vec(hook)?),
            None if file.exists() => fs::remove_file(&file).context("cannot remove the push hook"),
            None => Ok(()),
        }
    }

    fn push_hook(&self, tenant: &str) -> Option<PushHook> {
        serde_json::from_slice(&fs::read(self.of(tenant).ok()?.join("hook.json")).ok()?).ok()
    }
}

/// Whether a name is one path segment without surprises.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.chars().all(plain)
}

/// `git` without the user's own settings.
pub(crate) fn git() -> tokio::process::Command {
    let mut git = command("git");
    for (name, value) in [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_AUTHOR_NAME", "Learner"),
        ("GIT_AUTHOR_EMAIL", "learner@example.com"),
        ("GIT_COMMITTER_NAME", "Learner"),
        ("GIT_COMMITTER_EMAIL", "learner@example.com"),
    ] {
        git.env(name, value);
    }
    // Those of a repository in which the caller itself may be running.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        git.env_remove(name);
    }
    git
}
