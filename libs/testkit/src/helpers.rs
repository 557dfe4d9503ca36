//! The small processes beside the product, each the developer's own command under another verb.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::control_plane::ControlPlane;
use crate::git::GitHome;
use crate::ground::Ground;
use crate::http;
use crate::process::Spec;

/// A running Git server over smart HTTP.
#[derive(Clone, Debug)]
pub struct GitServer {
    /// Its folder.
    pub home: GitHome,
    /// Its address.
    pub url: String,
}

impl GitServer {
    /// The Git server of a folder, started now if it does not run. `xtask` is the developer's command.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(ground: &mut Ground, xtask: &Path, wanted: Option<u16>) -> Result<Self> {
        let home = GitHome::open(&ground.dir().join("repositories"))?;
        let port = ground.port("git", "git-server", wanted)?;
        let url = format!("http://127.0.0.1:{port}");
        let spec = Spec::new("git-server", xtask)
            .arg("git-server")
            .arg(format!("--root={}", home.dir().display()))
            .arg(format!("--listen=127.0.0.1:{port}"));
        let (process, _) = ground.supervisor.ensure(&spec).await?;
        let http = http::builder().build()?;
        let probe = || async {
            let status = http.get(format!("{url}/healthz")).send().await?.status();
            if status.is_success() {
                Ok(())
            } else {
                bail!("answers {status}")
            }
        };
        process.ready(Duration::from_secs(20), probe).await?;
        Ok(Self { home, url })
    }

    /// The address of a tenant's repository.
    #[must_use]
    pub fn repository(&self, tenant: &str, name: &str) -> String {
        format!("{}/{tenant}/{name}.git", self.url)
    }
}

/// The name of the filler of Ingress status among the processes.
pub const INGRESS_STATUS: &str = "ingress-status";

/// Starts the filler of Ingress status, if it does not run.
///
/// # Errors
/// When it does not start.
pub async fn ingress_status(ground: &mut Ground, xtask: &Path, plane: &ControlPlane) -> Result<()> {
    let file = ground.dir().join("kubernetes/ingress.token");
    let token = ground
        .known_secret("kubernetes-admin")
        .context("this folder has no control plane")?;
    crate::paths::private_file(&file, token.as_bytes())?;
    let spec = Spec::new(INGRESS_STATUS, xtask)
        .arg("ingress-status")
        .arg(format!("--server={}", plane.admin.server()))
        .arg(format!(
            "--ca={}",
            ground.dir().join("kubernetes/certs/ca.pem").display()
        ))
        .arg(format!("--token-file={}", file.display()));
    ground.supervisor.ensure(&spec).await.map(drop)
}
