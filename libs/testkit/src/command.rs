//! Short commands: their output, or one line of why not.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::paths;

/// A command with the caller's environment and nothing to read.
#[expect(
    clippy::disallowed_methods,
    reason = "testkit runs real tools; this is their one place"
)]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::from(std::process::Command::new(program));
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Cargo, with the environment that a person would start it in. What cargo tells the programs that it runs (the package
/// they belong to, above all) would make it build every crate anew whose build script asks for one of these, and the next
/// cargo that a person starts would build them all back.
pub fn cargo() -> Command {
    let mut cargo = command(paths::variable("CARGO").unwrap_or_else(|| "cargo".to_owned()));
    for name in paths::variables() {
        let told = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ];
        if told.iter().any(|start| name.starts_with(start))
            || matches!(name.as_str(), "CARGO_PRIMARY_PACKAGE" | "OUT_DIR")
        {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// The output of a command that must succeed.
///
/// # Errors
/// What it said, when it fails.
pub async fn output(command: &mut Command) -> Result<String> {
    let name = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let done = command
        .output()
        .await
        .with_context(|| format!("cannot run {name}"))?;
    if !done.status.success() {
        bail!("{}", failure(&name, command.as_std().get_args(), &done));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// The output of a command that reads `input` and must succeed.
///
/// # Errors
/// What it said, when it fails.
pub async fn output_of_input(command: &mut Command, input: &str) -> Result<String> {
    let name = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {name}"))?;
    let mut pipe = child.stdin.take().context("a pipe")?;
    let (written, done) = tokio::join!(
        async move {
            pipe.write_all(input.as_bytes()).await?;
            pipe.shutdown().await
        },
        child.wait_with_output()
    );
    let done = done?;
    if !done.status.success() {
        bail!("{}", failure(&name, command.as_std().get_args(), &done));
    }
    written.with_context(|| format!("{name} does not read"))?;
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

fn failure<'a>(
    name: &str,
    mut args: impl Iterator<Item = &'a OsStr>,
    done: &std::process::Output,
) -> String {
    let verb = args.next().unwrap_or_default().to_string_lossy();
    let said = String::from_utf8_lossy(&done.stderr);
    let said = said.trim();
    let said = if said.is_empty() {
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    } else {
        said.to_owned()
    };
    let tail: Vec<&str> = said
        .lines()
        .rev()
        .take(12)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    format!(
        "`{name} {verb}` failed ({}): {}",
        done.status,
        tail.join("\n")
    )
}

/// A program in PATH, or in one of the other folders where it may be.
#[must_use]
pub fn which(program: &str, also: &[&str]) -> Option<PathBuf> {
    let path = paths::variable("PATH").unwrap_or_default();
    path.split(':')
        .chain(also.iter().copied())
        .map(|dir| Path::new(dir).join(program))
        .find(|file| file.is_file())
}
