//! A tenant for one test: its client, its repository, its part of the cluster.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result};
use rand::Rng;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Platform, address};
use crate::client::Client;
use crate::git::checkout::Checkout;
use crate::git::{GitHome, Login, PushHook};
use crate::kube::Kube;

/// A tenant of its own, and everything that a test does as it.
#[derive(Debug)]
pub struct Tenant {
    /// Its name, which also is its namespace's and its Git account's.
    pub name: String,
    /// Its `admin`, at its own host.
    pub client: Client,
    /// The password of its `admin`.
    pub password: String,
    /// The secret of GitLab's webhooks.
    pub webhook_secret: String,
    /// The login of its Git account.
    pub git_login: Login,
    /// The address of its repository `base-project`.
    pub repo_url: String,
    /// A working copy of that repository, empty at first.
    pub checkout: Checkout,
    /// The cluster as the tenant's own service account.
    pub kube: Kube,
    home: GitHome,
    work: TempDir,
}

impl Platform {
    /// A fresh tenant, called after `label`, with placeholders on and an empty repository that is not connected yet.
    ///
    /// # Errors
    /// When the platform makes none.
    pub async fn tenant(&self, label: &str) -> Result<Tenant> {
        let name = format!("{label}-{:06x}", rand::rng().random_range(0..0x0100_0000));
        let address = address::take(&self.dir)?;
        let password = format!("password-of-{name}");
        let made = self
            .create_tenant(&name, address, &password)
            .await
            .with_context(|| format!("cannot make tenant {name}"))?;
        let secrets = &made["webhook_secrets"];
        let webhook_secret = secrets["gitlab"]
            .as_str()
            .context("the new tenant has no webhook secret")?
            .to_owned();
        let client =
            Client::login(&self.services.url(&address.to_string()), "admin", &password).await?;
        let git_login = self.git.home.ensure_login(&name)?;
        self.git
            .home
            .ensure_repository(&name, "base-project")
            .await?;
        let repo_url = self.git.repository(&name, "base-project");
        let work = tempfile::Builder::new().prefix("work-").tempdir()?;
        let checkout = Checkout::clone(
            &repo_url,
            Some(&git_login),
            &work.path().join("base-project"),
        )
        .await?;
        let kube = self
            .kube()?
            .impersonating(&format!("system:serviceaccount:{name}:naru"));
        let home = self.git.home.clone();
        Ok(Tenant {
            name,
            client,
            password,
            webhook_secret,
            git_login,
            repo_url,
            checkout,
            kube,
            home,
            work,
        })
    }

    async fn create_tenant(&self, name: &str, address: Ipv4Addr, password: &str) -> Result<Value> {
        let body = json!({
            "name": name, "hosts": [address.to_string(), format!("{name}.naru.test")], "admin_password": password,
            "settings": {"variables_enabled": true},
        });
        self.operator()?
            .post("/api/naru/v1/tenants", &body)
            .await?
            .ok()
    }
}

impl Tenant {
    /// Reports pushes to the platform from now on, as GitLab would.
    ///
    /// # Errors
    /// When the Git server's folder cannot be written.
    pub fn turn_webhook_on(&self) -> Result<()> {
        let hook = PushHook {
            url: format!("{}/api/webhook", self.client.base()),
            token: self.webhook_secret.clone(),
        };
        self.home.set_push_hook(&self.name, Some(&hook))
    }

    /// Makes another repository beside the tenant's own, connects it, and gives its address and a working copy.
    ///
    /// # Errors
    /// When it cannot be made, or the platform refuses it.
    pub async fn another_repository(&self, name: &str) -> Result<(String, Checkout)> {
        self.home.ensure_repository(&self.name, name).await?;
        let own = format!("/{}/base-project", self.name);
        let url = self
            .repo_url
            .replace(&own, &format!("/{}/{name}", self.name));
        let place = self.work.path().join(name);
        let checkout = Checkout::clone(&url, Some(&self.git_login), &place).await?;
        let login = &self.git_login;
        let body = json!({"repo": url, "username": login.user, "password": login.password});
        self.client
            .post("/api/v1/repositories", &body)
            .await?
            .ok()?;
        Ok((url, checkout))
    }

    /// Connects the repository, with its login.
    ///
    /// # Errors
    /// When the platform refuses.
    pub async fn connect(&self) -> Result<Value> {
        let body = json!({"repo": self.repo_url, "username": self.git_login.user, "password": self.git_login.password});
        self.client.post("/api/v1/repositories", &body).await?.ok()
    }

    /// Puts the training guide's folder into the repository, as printed, pushes it and tells the commit.
    ///
    /// # Errors
    /// What git said.
    pub async fn push_guide(&self, examples: &Path) -> Result<String> {
        self.checkout
            .copy_folder(&examples.join("gitops"), "gitops")?;
        let commit = self
            .checkout
            .commit("the guide's samples, as printed")
            .await?;
        self.checkout.push().await?;
        Ok(commit)
    }

    /// Creates an application of this repository's `path`; `policy` is its `syncPolicy`.
    ///
    /// # Errors
    /// When the platform refuses.
    pub async fn create_app(&self, name: &str, path: &str, policy: &Value) -> Result<Value> {
        let app = json!({
            "metadata": {"name": name},
            "spec": {
                "project": "default",
                "source": {"repoURL": self.repo_url, "path": path, "targetRevision": "HEAD"},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": self.name},
                "syncPolicy": policy,
            },
        });
        self.client.post("/api/v1/applications", &app).await?.ok()
    }
}

/// A `syncPolicy` that follows Git by itself.
#[must_use]
pub fn automated() -> Value {
    json!({"automated": {"prune": true, "selfHeal": true}})
}
