//! `.naru/env`: where everything is, for shells.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use testkit::paths;
use testkit::process::Supervisor;
use testkit::services::Services;

use super::example::Example;
use super::parts::{self, Parts};

/// Writes the file, whole.
pub(super) fn write(
    dir: &Path,
    parts: &Parts,
    running: Option<(&Services, &Example)>,
) -> Result<()> {
    let mut lines = Vec::new();
    let mut put = |name: &str, value: &str| {
        lines.push(format!("export {name}='{}'", value.replace('\'', "'\\''")))
    };
    if let Some((services, example)) = running {
        put("NARU_SERVER", &format!("127.0.0.1:{}", services.port));
        put("NARU_SCHEME", services.scheme);
        if let Some(authority) = &services.authority {
            put("NARU_CA", &authority.to_string_lossy());
        }
        put("NARU_ADMIN_PASSWORD", &services.admin_password);
        put(
            "NARU_USER01_SERVER",
            &format!("127.0.1.1:{}", services.port),
        );
        put("NARU_USER01_PASSWORD", &example.password);
        put("NARU_USER01_WEBHOOK_SECRET", &example.webhook_secret);
        put("NARU_USER01_REPO", &example.repo);
        put("NARU_USER01_GIT_USER", &example.login.user);
        put("NARU_USER01_GIT_PASSWORD", &example.login.password);
        put("NARU_ADMIN_REPO", &example.admin_repo);
        put("NARU_ADMIN_GIT_USER", &example.admin_login.user);
        put("NARU_ADMIN_GIT_PASSWORD", &example.admin_login.password);
    }
    put("NARU_GIT_URL", &parts.git.url);
    put("KUBECONFIG", &parts.kubeconfig.to_string_lossy());
    put("DATABASE_URL", &parts.beneath.database.admin);
    put("REDIS_URL", &parts.beneath.redis_url);
    for (name, value) in parts::listed(&Supervisor::open(dir)?.all())? {
        put(&name, &value);
    }
    paths::private_file(&dir.join("env"), (lines.join("\n") + "\n").as_bytes())
}

/// Reads the file; empty where there is none yet.
pub(crate) fn read(dir: &Path) -> Result<BTreeMap<String, String>> {
    let file = dir.join("env");
    if !file.is_file() {
        return Ok(BTreeMap::new());
    }
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let parse = |line: &str| {
        let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
        let value = value
            .strip_prefix('\'')?
            .strip_suffix('\'')?
            .replace("'\\''", "'");
        Some((name.to_owned(), value))
    };
    Ok(text.lines().filter_map(parse).collect())
}
