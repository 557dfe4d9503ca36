//! Removing a mirror, however deep it is: Git makes a folder for each level of a ref's name, and that may have two thousand.

use std::io;
use std::path::Path;

/// How many levels, and bytes of a path besides the folder's own, are gone down at once. For each level the standard library
/// has a folder open and calls itself, and a path that is longer than 4 KiB is none: such as one that was just short enough
/// before its mirror was put somewhere else.
const LEVELS: usize = 32;
const LONGEST: usize = 1024;

/// Removes a folder with all that is in it; one that is not there is removed already.
pub(super) fn remove_all(folder: &Path) -> io::Result<()> {
    flatten(folder)?;
    there(std::fs::remove_dir_all(folder)).map(|_| ())
}

/// What goes meanwhile is gone.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// Brings what lies deep up to the folder itself.
fn flatten(folder: &Path) -> io::Result<()> {
    let longest = folder.as_os_str().len().saturating_add(LONGEST);
    let (mut number, mut folders) = (0_u64, vec![(folder.to_owned(), 1)]);
    while let Some((within, level)) = folders.pop() {
        for entry in there(std::fs::read_dir(&within))?.into_iter().flatten() {
            let entry = entry?;
            if !there(entry.file_type())?.is_some_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = entry.path();
            if level < LEVELS && path.as_os_str().len() < longest {
                folders.push((path, level + 1));
                continue;
            }
            let up = loop {
                let up = folder.join(format!("deep-{number}"));
                number += 1;
                // One is there where this was interrupted.
                if up.symlink_metadata().is_err() {
                    break up;
                }
            };
            if there(std::fs::rename(path, &up))?.is_some() {
                folders.push((up, 2));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How deep what is below a folder lies, and how long its longest path is.
    fn extent(folder: &Path) -> (usize, usize) {
        let (mut extent, mut folders) = ((0, 0), vec![(folder.to_owned(), 0)]);
        while let Some((folder, level)) = folders.pop() {
            extent = (level.max(extent.0), folder.as_os_str().len().max(extent.1));
            for entry in std::fs::read_dir(&folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    folders.push((entry.path(), level + 1));
                }
            }
        }
        extent
    }

    #[test]
    fn s02_what_lies_deep_is_removed_a_few_levels_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = folder.path().join("mirror");
        let lies = |name: &str, levels: usize| {
            let mut path = mirror.join("refs");
            std::fs::create_dir_all(&path).unwrap();
            for _ in 0..levels {
                path.push(name);
                std::fs::create_dir_all(&path).unwrap();
                std::fs::write(path.join("ref"), "a").unwrap();
            }
        };
        lies("d", 1_800);
        lies(&"n".repeat(250), 14);
        // What is there where one of before was interrupted.
        std::fs::create_dir_all(mirror.join("deep-0/ref")).unwrap();
        let (level, length) = extent(&mirror);
        assert!(level > 1_800 && length > 3_500);
        flatten(&mirror).unwrap();
        let (level, length) = extent(&mirror);
        assert!(level <= LEVELS, "{level}");
        let own = mirror.as_os_str().len();
        assert!(length <= own + LONGEST + 256, "{length}");
        assert!(mirror.join("deep-0/ref").exists());
        remove_all(&mirror).unwrap();
        assert!(!mirror.exists());
        remove_all(&mirror).unwrap();
    }
}
