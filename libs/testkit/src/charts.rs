//! Charts as the outside world: a chart repository over HTTP and an OCI registry on loopback, each behind a login, and
//! charts that the pinned `helm` packages for them.

mod registry;
mod site;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use registry::{LAYER, Registry};
pub use site::{Reply, Site};

use crate::command::{command, output};
use crate::git::Login;
use crate::progress::Progress;
use crate::tools;

/// The login of both.
#[must_use]
pub fn login() -> Login {
    Login {
        user: "charts".to_owned(),
        password: "charts-password".to_owned(),
    }
}

/// The pinned `helm`, with nothing of the user's own.
///
/// # Errors
/// When it cannot be built.
pub async fn helm(home: &Path) -> Result<tokio::process::Command> {
    let mut helm = command(tools::path("helm", &Progress::silent()).await?);
    for (name, folder) in [
        ("HELM_CACHE_HOME", "cache"),
        ("HELM_CONFIG_HOME", "config"),
        ("HELM_DATA_HOME", "data"),
    ] {
        helm.env(name, home.join(folder));
    }
    Ok(helm)
}

/// Writes files below a folder.
///
/// # Errors
/// When they cannot be written.
pub fn write(folder: &Path, files: &[(&str, &str)]) -> Result<()> {
    for (name, text) in files {
        let file = folder.join(name);
        let parent = file.parent().context("a file has a folder")?;
        std::fs::create_dir_all(parent)?;
        std::fs::write(&file, text)?;
    }
    Ok(())
}

/// Packages a small chart: one ConfigMap that is named after the release and says `text`. Answers the archive.
///
/// # Errors
/// What helm said.
pub async fn package(work: &Path, name: &str, version: &str, text: &str) -> Result<PathBuf> {
    let folder = work.join(format!("{name}-source"));
    let chart = format!(
        "apiVersion: v2\nname: {name}\nversion: {version}\ndescription: made for a test\nhome: https://{name}.example\n\
         maintainers: [{{name: Team, email: team@{name}.example}}, {{name: Nobody}}]\n"
    );
    let template = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{{{ .Release.Name }}}}-{name}\ndata:\n  text: {{{{ .Values.text }}}}\n  version: {{{{ .Chart.Version }}}}\n"
    );
    write(
        &folder,
        &[
            ("Chart.yaml", &chart),
            ("values.yaml", &format!("text: {text}\n")),
            ("templates/map.yaml", &template),
        ],
    )?;
    pack(work, &folder).await?;
    Ok(work.join(format!("{name}-{version}.tgz")))
}

/// Packages the chart of a folder into `work`.
///
/// # Errors
/// What helm said.
pub async fn pack(work: &Path, folder: &Path) -> Result<()> {
    let mut package = helm(work).await?;
    package
        .arg("package")
        .arg(folder)
        .arg("--destination")
        .arg(work);
    output(&mut package).await.map(drop)
}
