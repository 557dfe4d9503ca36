//! Locks between processes: files of a folder, let go of by the kernel when their holder ends.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    options
        .open(path)
        .with_context(|| format!("cannot open the lock {}", path.display()))
}

/// Waits until nobody else holds it.
///
/// # Errors
/// When the file cannot be opened.
pub async fn exclusive(path: &Path) -> Result<Flock<File>> {
    loop {
        if let Some(held) = try_exclusive(path)? {
            return Ok(held);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The same for what is held for an instant only, without giving way to other tasks.
///
/// # Errors
/// When the file cannot be opened.
pub fn wait_exclusive(path: &Path) -> Result<Flock<File>> {
    attempt(path, FlockArg::LockExclusive)?
        .with_context(|| format!("cannot lock {}", path.display()))
}

/// Takes it if nobody holds it.
///
/// # Errors
/// When the file cannot be opened.
pub fn try_exclusive(path: &Path) -> Result<Option<Flock<File>>> {
    attempt(path, FlockArg::LockExclusiveNonblock)
}

/// Takes it together with others who share it; `None` where somebody holds it alone.
///
/// # Errors
/// When the file cannot be opened.
pub fn try_shared(path: &Path) -> Result<Option<Flock<File>>> {
    attempt(path, FlockArg::LockSharedNonblock)
}

fn attempt(path: &Path, how: FlockArg) -> Result<Option<Flock<File>>> {
    match Flock::lock(open(path)?, how) {
        Ok(held) => Ok(Some(held)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}
