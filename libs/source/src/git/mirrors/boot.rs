//! Whether the machine was started anew since mirrors were written.
//!
//! A fetch does not wait until the disk has what it wrote: a mirror is a cache, and somebody waits for the fetch. When the power goes
//! there may be only a part of what was written last, which not every reader tells from the whole; so the next run of the machine begins
//! without mirrors. A process that ends, however it does, leaves what it wrote.

use std::io;
use std::path::Path;

use super::super::remove::remove_all;

/// The file beside the mirrors that says in which run of the machine they were written.
const NOTE: &str = "boot";
/// Where Linux names the run that it is in.
const RUN: &str = "/proc/sys/kernel/random/boot_id";

/// Names this run of the machine; `None` where nobody says.
pub(super) fn run() -> Option<String> {
    let said = std::fs::read_to_string(RUN).ok()?;
    let name = said.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Removes mirrors that were written in another run than this one.
///
/// # Errors
/// When they cannot be removed, or that cannot be noted.
pub(super) fn clear_earlier(mirrors: &Path, run: Option<&str>) -> io::Result<()> {
    let note = mirrors.with_file_name(NOTE);
    if std::fs::read_to_string(&note).ok().as_deref() == run {
        return Ok(());
    }
    if mirrors.exists() {
        let path = mirrors.display();
        tracing::info!(%path, "mirrors of an earlier run of the machine are fetched anew");
    }
    // In this order: what could not be removed whole is so next time.
    remove_all(mirrors)?;
    match run {
        Some(run) => std::fs::write(&note, run),
        None => std::fs::remove_file(&note),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_stay_for_as_long_as_the_machine_runs_and_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let mirrors = folder.path().join("mirrors");
        let left = |run: Option<&str>| {
            std::fs::create_dir_all(mirrors.join("tenant")).unwrap();
            clear_earlier(&mirrors, run).unwrap();
            mirrors.exists()
        };
        assert!(left(None), "nobody says, and what is written is forced");
        assert!(
            !left(Some("first")),
            "nobody knows since when they are there"
        );
        assert!(left(Some("first")), "another process");
        assert!(!left(Some("second")));
        assert!(left(Some("second")));
        // Half a note is none.
        std::fs::write(folder.path().join(NOTE), "seco").unwrap();
        assert!(!left(Some("second")));
        assert!(!left(None));
        assert!(left(None));
    }
}
