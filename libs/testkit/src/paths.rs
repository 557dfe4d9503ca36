//! Where things are: the clone, the cache outside it, the folder of one test platform.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// An environment variable that is set and not empty.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the developer tools have no settings file; their few variables are read here"
)]
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The names of all environment variables that can be written.
pub fn variables() -> impl Iterator<Item = String> {
    env::vars_os().filter_map(|(name, _)| name.into_string().ok())
}

/// What is kept between runs and shared by clones: `$NARU_CACHE`, else `$XDG_CACHE_HOME/naru`, else `~/.cache/naru`.
///
/// # Errors
/// When none of the three can be told.
pub fn cache() -> Result<PathBuf> {
    if let Some(own) = variable("NARU_CACHE") {
        return Ok(PathBuf::from(own));
    }
    if let Some(base) = variable("XDG_CACHE_HOME") {
        return Ok(Path::new(&base).join("naru"));
    }
    match variable("HOME") {
        Some(home) => Ok(Path::new(&home).join(".cache/naru")),
        None => bail!(
            "neither NARU_CACHE, XDG_CACHE_HOME nor HOME is set: set NARU_CACHE to a folder for built tools"
        ),
    }
}

/// The top of the clone.
///
/// # Errors
/// When this does not run inside one.
pub fn clone_root() -> Result<PathBuf> {
    let start = variable("CARGO_MANIFEST_DIR")
        .map_or_else(env::current_dir, |dir| Ok(PathBuf::from(dir)))?;
    let found = start
        .ancestors()
        .find(|dir| dir.join("Cargo.lock").is_file() && dir.join("xtask/tools").is_dir());
    match found {
        Some(root) => Ok(root.to_owned()),
        None => bail!(
            "{} is not inside a clone of Naru: run this from within one",
            start.display()
        ),
    }
}

/// Where cargo builds the workspace: `$CARGO_TARGET_DIR`, else a folder in the cache, which fresh clones share.
///
/// # Errors
/// When the cache has no place.
pub fn target() -> Result<PathBuf> {
    variable("CARGO_TARGET_DIR")
        .map_or_else(|| Ok(cache()?.join("target")), |dir| Ok(PathBuf::from(dir)))
}

/// The folder of this clone's test platform.
///
/// # Errors
/// When the clone or the cache has no place.
pub fn test_platform() -> Result<PathBuf> {
    Ok(cache()?
        .join("run")
        .join(format!("test-{}", name_of(&clone_root()?))))
}

/// A short stable name for a folder's path.
#[must_use]
pub fn name_of(path: &Path) -> String {
    hex::encode(&Sha256::digest(path.as_os_str().as_encoded_bytes())[..6])
}

/// Makes a folder that only its owner reads, with its parents.
///
/// # Errors
/// When it cannot be made, with a word about the disk where that is the reason.
pub fn private_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    // One that lets others through, but not look, has its reason (a server of another user's lives in it).
    if fs::metadata(dir)?.permissions().mode() & 0o066 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Writes a file that only its owner reads, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn private_file(path: &Path, content: &[u8]) -> Result<()> {
    use std::io::Write;
    let dir = path.parent().context("a file needs a folder")?;
    let context = || format!("cannot write {}", path.display());
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(dir)
        .with_context(context)?;
    file.write_all(content).with_context(context)?;
    file.persist(path).with_context(context)?;
    Ok(())
}

/// The running program's file, also when a build has put a newer one in its place meanwhile.
///
/// # Errors
/// When the system does not tell.
pub fn this_program() -> Result<PathBuf> {
    let program = std::env::current_exe().context("cannot tell which program this is")?;
    // Linux marks the name of a file that was replaced while it ran.
    let name = program.to_string_lossy();
    Ok(name
        .strip_suffix(" (deleted)")
        .map_or_else(|| program.clone(), PathBuf::from))
}
