//! What is below a folder. Not by calling itself: a ref may lie two thousand folders deep, and a thread's stack is small.

use std::fs::{DirEntry, ReadDir};
use std::path::{Path, PathBuf};

/// Everything below a folder, but for what is below another one. What cannot be read is passed over.
pub(super) fn below<'a>(folder: &Path, but: Option<&'a Path>) -> Below<'a> {
    Below {
        folders: vec![folder.to_owned()],
        entries: None,
        but,
    }
}

/// See [`below`].
pub(super) struct Below<'a> {
    folders: Vec<PathBuf>,
    entries: Option<ReadDir>,
    but: Option<&'a Path>,
}

impl Iterator for Below<'_> {
    type Item = DirEntry;

    fn next(&mut self) -> Option<DirEntry> {
        loop {
            let Some(entries) = &mut self.entries else {
                self.entries = std::fs::read_dir(self.folders.pop()?).ok();
                continue;
            };
            match entries.next() {
                Some(Ok(entry)) => {
                    let path = entry.path();
                    let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                    if is_folder && self.but != Some(path.as_path()) {
                        self.folders.push(path);
                    }
                    return Some(entry);
                }
                Some(Err(_)) => {}
                None => self.entries = None,
            }
        }
    }
}
