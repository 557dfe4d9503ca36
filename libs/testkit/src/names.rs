//! Commands that know names of their own: each runs in a mount namespace where `/etc/hosts` is another file.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::command::command;

/// A command for which these names lead to these addresses, besides `localhost`. The rest of the machine sees nothing of
/// it. The file is written into `dir`, which must outlive the command.
///
/// # Errors
/// When the file cannot be written.
pub fn knowing(
    dir: &Path,
    names: &[(&str, IpAddr)],
    program: impl AsRef<OsStr>,
) -> Result<Command> {
    let file = dir.join("hosts");
    let mut text = "127.0.0.1 localhost\n".to_owned();
    for (name, address) in names {
        text.push_str(&format!("{address} {name}\n"));
    }
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    let mut unshare = command("unshare");
    // Who is not root becomes it in a namespace of users, where mounting is allowed.
    if !nix::unistd::geteuid().is_root() {
        unshare.arg("--map-root-user");
    }
    unshare.args(["--mount", "--propagation=private", "--", "sh", "-c"]);
    unshare.arg("mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"");
    unshare.arg("sh").arg(file).arg(program);
    Ok(unshare)
}
