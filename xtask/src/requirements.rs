//! What the machine must have, installed where we may, named where we may not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;
use testkit::command::{command, output, which};
use testkit::progress::Progress;
use testkit::{paths, postgres, tools};

/// What a verb needs besides Rust and Go.
#[derive(Clone, Copy)]
pub(crate) struct Needs {
    pub(crate) postgres: bool,
    pub(crate) redis: bool,
    pub(crate) sshd: bool,
}

/// A build from nothing writes about this much.
const GIGABYTES: u64 = 12;
/// With everything built, this is plenty.
const GIGABYTES_WARM: u64 = 2;

/// Makes sure that everything is there.
///
/// # Errors
/// One line: what is missing and how to get it.
pub(crate) async fn ensure(needs: Needs, progress: &Progress) -> Result<()> {
    tools::go()?;
    disk()?;
    let sbin = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"];
    let mut missing = Vec::new();
    for (needed, program, package) in [
        (true, "git", "git"),
        (needs.redis, "redis-server", "redis-server"),
        (needs.sshd, "sshd", "openssh-server"),
        (needs.sshd, "ssh", "openssh-client"),
    ] {
        if needed && which(program, &sbin).is_none() {
            missing.push(package);
        }
    }
    if needs.postgres && postgres::binaries().is_err() {
        missing.push("postgresql");
    } else if !needs.postgres && postgres::binaries().is_err() && which("psql", &[]).is_none() {
        missing.push("postgresql-client");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !geteuid().is_root() || which("apt-get", &[]).is_none() {
        bail!(
            "missing on this machine: {list}; install these packages (on Debian and Ubuntu: sudo apt-get install {list}) and run this again"
        );
    }
    progress
        .step(&format!("installing {list}"), install(&missing))
        .await
}

async fn install(packages: &[&str]) -> Result<()> {
    // Packages of servers would start one; ours are private ones.
    let quiet = NoStarts::set();
    let list = packages.join(" ");
    let mut get = command("apt-get");
    get.args(["install", "-y", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive");
    if output(&mut get).await.is_err() {
        // The lists may be old or missing on a fresh machine.
        let mut update = command("apt-get");
        output(update.arg("update"))
            .await
            .with_context(|| format!("apt-get update fails, so {list} cannot be installed"))?;
        output(&mut get).await.with_context(|| {
            format!("apt-get cannot install {list}: install them yourself and run this again")
        })?;
    }
    drop(quiet);
    Ok(())
}

/// While it lives, installing a package starts no server. Somebody else's rule is left as it is.
struct NoStarts;

const RULE: &str = "/usr/sbin/policy-rc.d";

impl NoStarts {
    fn set() -> Option<Self> {
        if Path::new(RULE).exists() {
            return None;
        }
        fs::write(RULE, "#!/bin/sh\nexit 101\n").ok()?;
        fs::set_permissions(RULE, fs::Permissions::from_mode(0o755)).ok()?;
        Some(Self)
    }
}

impl Drop for NoStarts {
    fn drop(&mut self) {
        let _ = fs::remove_file(RULE);
    }
}

fn disk() -> Result<()> {
    let cache = paths::cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let room = statvfs(&cache)?;
    let free = room.blocks_available() * room.fragment_size() / (1 << 30);
    let built = cache.join("tools").join("kube-apiserver-v1.36.3").exists()
        && paths::target()?.join("debug/naru-api").exists();
    let wanted = if built { GIGABYTES_WARM } else { GIGABYTES };
    if free < wanted {
        bail!(
            "{free} GB are free at {}, {wanted} GB are wanted: free some, or set NARU_CACHE to a folder on a larger disk",
            cache.display()
        );
    }
    Ok(())
}
