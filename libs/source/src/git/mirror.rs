//! One bare mirror on disk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use git2::{ErrorClass, ErrorCode, Oid, Repository};
use parking_lot::Mutex;

use super::coalesce::Coalesce;
use super::refs::Refs;
use crate::error::{Error, Kind};

/// How many open handles are kept per mirror.
const HANDLES: usize = 8;
/// How many commits a mirror remembers the trees of.
const COMMITS: usize = 256;

/// One bare mirror: its folder, what is known of its origin, and open handles to read it.
pub(crate) struct Mirror {
    pub(crate) path: PathBuf,
    /// The listings of the origin, one at a time.
    pub(super) listing: Coalesce<Result<Arc<Refs>, Error>>,
    /// The last listing and when it was made.
    pub(super) listed: Mutex<Option<(Instant, Arc<Refs>)>>,
    /// The fetches, one at a time.
    pub(super) fetching: Coalesce<Result<(), Error>>,
    /// Whether the origin speaks protocol 2 over HTTP.
    pub(super) version2: AtomicBool,
    /// When it was last used, in uses of all mirrors.
    used: AtomicU64,
    ready: AtomicBool,
    handles: Mutex<Vec<Repository>>,
    /// The commits that were found here, by what they were asked for as, with their trees: neither is ever another.
    commits: Mutex<HashMap<String, (Oid, Oid)>>,
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mirror({})", self.path.display())
    }
}

impl Mirror {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            listing: Coalesce::new(),
            listed: Mutex::new(None),
            fetching: Coalesce::new(),
            version2: AtomicBool::new(false),
            used: AtomicU64::new(0),
            ready: AtomicBool::new(false),
            handles: Mutex::new(Vec::new()),
            commits: Mutex::new(HashMap::new()),
        }
    }

    /// Notes that it is used, after so many uses of all mirrors.
    pub(super) fn use_now(&self, uses: u64) {
        self.used.store(uses, Ordering::Relaxed);
    }

    /// When it was last used, in uses of all mirrors.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Makes the folder if it is missing, and clears what a killed fetch left. Only while holding the fetch.
    pub(crate) fn prepare(&self) -> Result<(), Error> {
        if self.ready.load(Ordering::Acquire) && self.path.join("HEAD").exists() {
            return Ok(());
        }
        if Repository::open_bare(&self.path).is_err() {
            self.discard()?;
            std::fs::create_dir_all(&self.path).map_err(Error::disk)?;
            let mut options = git2::RepositoryInitOptions::new();
            options
                .bare(true)
                .external_template(false)
                .initial_head("main");
            Repository::init_opts(&self.path, &options).map_err(Error::disk)?;
        }
        self.clear_leftovers();
        self.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Removes locks and half-written packs; this process is the only one that fetches, and one fetch at a time.
    pub(super) fn clear_leftovers(&self) {
        clear(&self.path, 0, &|name| name.ends_with(".lock"));
        clear(&self.path.join("objects"), 1, &|name| {
            name.starts_with("tmp_")
        });
    }

    /// Throws the mirror away; the next fetch begins anew.
    pub(crate) fn discard(&self) -> Result<(), Error> {
        self.ready.store(false, Ordering::Release);
        self.handles.lock().clear();
        self.doubt();
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::internal(error))
            }
            _ => Ok(()),
        }
    }

    /// Puts another folder in its place: what was fetched anew, whole.
    pub(super) fn replace(&self, from: &Path) -> Result<(), Error> {
        self.discard()?;
        std::fs::rename(from, &self.path).map_err(Error::disk)
    }

    /// An open handle; give it back with [`Mirror::give_back`].
    pub(crate) fn open(&self) -> Result<Repository, Error> {
        if let Some(handle) = self.handles.lock().pop() {
            return Ok(handle);
        }
        Repository::open_bare(&self.path).map_err(|error| {
            self.doubt();
            damaged(&error)
        })
    }

    pub(crate) fn give_back(&self, handle: Repository) {
        let mut handles = self.handles.lock();
        if self.ready.load(Ordering::Acquire) && handles.len() < HANDLES {
            handles.push(handle);
        }
    }

    /// Forgets what was found here, so that it is looked for again.
    pub(super) fn doubt(&self) {
        self.commits.lock().clear();
    }

    /// A commit that was found here, and its tree.
    pub(super) fn found(&self, commit: &str) -> Option<(Oid, Oid)> {
        self.commits.lock().get(commit).copied()
    }

    /// Remembers a commit that was found here.
    fn note(&self, commit: &str, found: (Oid, Oid)) {
        let mut commits = self.commits.lock();
        // One that is thrown away meanwhile says so before it forgets what was found.
        if !self.ready.load(Ordering::Acquire) {
            return;
        }
        if commits.len() >= COMMITS {
            commits.clear();
        }
        commits.insert(commit.to_owned(), found);
    }

    /// The tree of a commit (or annotated tag of one); `None` when the mirror has no such commit.
    pub(super) fn tree(&self, commit: &str) -> Result<Option<(Oid, Oid)>, Error> {
        let Ok(id) = Oid::from_str(commit) else {
            return Ok(None);
        };
        if !self.path.join("HEAD").exists() {
            return Ok(None);
        }
        let handle = self.open()?;
        let found = match handle.find_object(id, None) {
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(damaged(&error)),
            Ok(object) => match object.peel_to_commit() {
                Err(error) if error.code() == ErrorCode::NotFound => Err(damaged(&error)),
                Err(_) => Ok(None),
                Ok(commit) => Ok(Some((commit.id(), commit.tree_id()))),
            },
        };
        self.give_back(handle);
        if let Ok(Some(found)) = &found {
            self.note(commit, *found);
        }
        found
    }

    /// The one commit that begins so; `None` when there is none.
    pub(super) fn expand(&self, short: &str) -> Result<Option<Expanded>, Error> {
        let handle = self.open()?;
        let found = match handle
            .revparse_single(short)
            .and_then(|object| object.peel_to_commit())
        {
            Ok(commit) => Ok(Some(Expanded::Commit(commit.id().to_string()))),
            Err(error) if error.code() == ErrorCode::Ambiguous => Ok(Some(Expanded::Several)),
            Err(error) if error.class() == ErrorClass::Zlib => Err(damaged(&error)),
            Err(_) => Ok(None),
        };
        self.give_back(handle);
        found
    }
}

/// What a shortened commit stands for.
pub(super) enum Expanded {
    Commit(String),
    Several,
}

/// A read that failed: the mirror cannot be believed any more.
pub(crate) fn damaged(error: &git2::Error) -> Error {
    let internal = Error::internal(error);
    Error::of(Kind::Corrupt, internal.cause().clone()).detail(error)
}

fn clear(folder: &Path, depth: usize, unwanted: &dyn Fn(&str) -> bool) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            if depth < 8 && !(depth == 0 && entry.file_name() == "objects") {
                clear(&entry.path(), depth + 1, unwanted);
            }
        } else if entry.file_name().to_str().is_some_and(unwanted) {
            // Whatever stays is found again by the next fetch, which fails with its name.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
