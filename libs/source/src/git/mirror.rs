//! One bare mirror on disk.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crowd::asked::Asked;
use domain::message;
use git2::{ErrorCode, ObjectType, Oid, Repository};
use parking_lot::Mutex;

use super::below::below;
use super::mirrors::{Listed, Way};
use super::places::Standing;
use super::refs::{MAX_REFS, Refs};
use super::remove::remove_all;
use crate::error::{Error, Kind};

/// How many open handles are kept per mirror.
const HANDLES: usize = 8;
/// How often a handle is given back before it is closed. It keeps the folders that were looked into through it, as many as
/// there are, and the next one is opened in the time of a few looks.
const USES: u32 = 256;
/// The largest commit, and tag on the way to one, that is read, in bytes: what is packed small may be of any size.
const MAX_COMMIT: usize = 16 << 20;
/// How many tags may lead to each other on the way to a commit.
const MAX_TAGS: usize = 16;
/// How many files, folders and packed lines the refs of a mirror may be: a server may tell a fetch of more of them than it
/// lists, and each file takes a block of the disk.
pub(super) const MAX_REF_FILES: usize = 2 * MAX_REFS;
/// How many commits a mirror remembers the trees of, and how many beginnings the commits of.
const COMMITS: usize = 256;

/// One bare mirror: its folder, what is known of its origin, and open handles to read it.
pub(crate) struct Mirror {
    pub(crate) path: PathBuf,
    /// The listings of the origin, one at a time.
    pub(super) listing: Asked<(), Result<Arc<Refs>, Error>>,
    /// The last listing.
    pub(super) listed: Mutex<Option<Listed>>,
    /// The fetches, one at a time.
    pub(super) fetching: Asked<(), Result<(), Error>>,
    /// For how long those have waited for a place of ours.
    pub(super) standing: Standing,
    /// Whether the origin speaks protocol 2 over HTTP.
    pub(super) version2: AtomicBool,
    /// Asking it for the tip of a branch by its id.
    pub(super) by_id: Way,
    /// Asking it so in process.
    pub(super) in_process: Way,
    /// Asking it for a commit that is below no branch or tag.
    pub(super) unlisted: Way,
    /// How many small packs there were when they were put together last, or could not be.
    pub(super) gathered: AtomicUsize,
    /// The same of refs that are a file each.
    pub(super) packed: AtomicUsize,
    /// Whether a fetch was begun that has not come to its end.
    begun: AtomicBool,
    /// When it was last used, in uses of all mirrors.
    used: AtomicU64,
    ready: AtomicBool,
    handles: Mutex<Vec<Handle>>,
    commits: Mutex<Commits>,
}

/// An open handle to a mirror.
pub(crate) struct Handle {
    repository: Repository,
    /// How often it may still be given back.
    left: u32,
}

impl Deref for Handle {
    type Target = Repository;

    fn deref(&self) -> &Repository {
        &self.repository
    }
}

/// The commits that were found in a mirror.
#[derive(Debug, Default)]
struct Commits {
    /// By what they were asked for as, with their trees: neither is ever another.
    found: HashMap<String, (Oid, Oid)>,
    /// By how they begin, as everything said that the origin had.
    begun_so: HashMap<String, String>,
    /// How often all of it was forgotten.
    doubts: u64,
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
            listing: Asked::new(Duration::ZERO),
            listed: Mutex::new(None),
            fetching: Asked::new(Duration::ZERO),
            standing: Standing::default(),
            version2: AtomicBool::new(false),
            by_id: Way::default(),
            in_process: Way::default(),
            unlisted: Way::default(),
            gathered: AtomicUsize::new(0),
            packed: AtomicUsize::new(0),
            begun: AtomicBool::new(false),
            used: AtomicU64::new(0),
            ready: AtomicBool::new(false),
            handles: Mutex::new(Vec::new()),
            commits: Mutex::default(),
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
        if self.ready() && self.path.join("HEAD").exists() {
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

    /// Notes that a fetch begins. Where nobody waited any more for the one before, its child was killed with it, and what that left
    /// is cleared: else this one would fail at its locks. Only while holding the fetch.
    pub(super) fn begin(&self) {
        if self.begun.swap(true, Ordering::Relaxed) {
            self.clear_leftovers();
        }
    }

    /// Notes that it has come to its end, and has cleared what it left.
    pub(super) fn end(&self) {
        self.begun.store(false, Ordering::Relaxed);
    }

    /// Removes locks and half-written packs; this process is the only one that fetches, and one fetch at a time.
    pub(super) fn clear_leftovers(&self) {
        let objects = self.path.join("objects");
        clear(&self.path, Some(&objects), |name| name.ends_with(".lock"));
        // Only here: a ref may have that name.
        let _ = std::fs::remove_file(self.path.join("packed-refs.new"));
        clear(&objects, None, |name| {
            name.starts_with("tmp_") || name.starts_with(".tmp-")
        });
    }

    /// Throws the mirror away; the next fetch begins anew.
    pub(crate) fn discard(&self) -> Result<(), Error> {
        self.ready.store(false, Ordering::Release);
        self.gathered.store(0, Ordering::Relaxed);
        self.packed.store(0, Ordering::Relaxed);
        self.handles.lock().clear();
        self.doubt();
        let removed = remove_all(&self.path);
        // Again: what was found while it went is gone as well.
        self.doubt();
        removed.map_err(Error::internal)
    }

    /// Whether its refs are more files, folders and lines than this; no more of the files are looked at.
    pub(super) fn has_more_refs(&self, most: usize) -> bool {
        // A line takes less of the disk than a file, and as much of git's memory.
        let left = most.checked_sub(self.packed_refs());
        left.is_none_or(|left| below(&self.path.join("refs"), None).nth(left).is_some())
    }

    /// How many refs stand in the file of those that were packed.
    fn packed_refs(&self) -> usize {
        let Ok(file) = std::fs::File::open(self.path.join("packed-refs")) else {
            return 0;
        };
        let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
        // What a tag leads to has a line of its own.
        let refs = lines.filter(|line| line.first().is_some_and(u8::is_ascii_hexdigit));
        refs.count()
    }

    /// Puts another folder in its place: what was fetched anew, whole.
    pub(super) fn replace(&self, from: &Path) -> Result<(), Error> {
        self.discard()?;
        std::fs::rename(from, &self.path).map_err(Error::disk)
    }

    /// An open handle; give it back with [`Mirror::give_back`].
    pub(crate) fn open(&self) -> Result<Handle, Error> {
        if let Some(handle) = self.handles.lock().pop() {
            return Ok(handle);
        }
        let opened = Repository::open_bare(&self.path).map_err(|error| {
            self.doubt();
            damaged(&error)
        });
        Ok(Handle {
            repository: opened?,
            left: USES,
        })
    }

    pub(crate) fn give_back(&self, mut handle: Handle) {
        let Some(left) = handle.left.checked_sub(1) else {
            return;
        };
        handle.left = left;
        let mut handles = self.handles.lock();
        if self.ready() && handles.len() < HANDLES {
            handles.push(handle);
        }
    }

    /// The handles that nobody uses, for who closes them: of all mirrors that were ever read they would be too many.
    pub(super) fn rest(&self) -> Vec<Handle> {
        std::mem::take(&mut *self.handles.lock())
    }

    /// Whether it has been fetched or made by this process, and was not thrown away since.
    pub(super) fn ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Whether nothing is known of it: another one in its place is no worse.
    pub(super) fn is_blank(&self) -> bool {
        let open = !self.handles.lock().is_empty();
        let found = !self.commits.lock().found.is_empty();
        !(self.ready() || open || found || self.listed.lock().is_some())
    }

    /// Forgets what was found here, so that it is looked for again.
    pub(super) fn doubt(&self) {
        let mut commits = self.commits.lock();
        commits.found.clear();
        commits.begun_so.clear();
        commits.doubts += 1;
    }

    /// A commit that was found here, and its tree.
    pub(super) fn found(&self, commit: &str) -> Option<(Oid, Oid)> {
        self.commits.lock().found.get(commit).copied()
    }

    fn doubts(&self) -> u64 {
        self.commits.lock().doubts
    }

    /// Remembers a commit that was found here by a look that began after so many doubts: where there was another meanwhile, it
    /// may have been found in what is thrown away.
    fn note(&self, commit: &str, found: (Oid, Oid), doubts: u64) {
        let mut commits = self.commits.lock();
        if commits.doubts != doubts {
            return;
        }
        if commits.found.len() >= COMMITS {
            commits.found.clear();
        }
        commits.found.insert(commit.to_owned(), found);
    }

    /// The tree of a commit (or annotated tag of one); `None` when the mirror has no such commit.
    pub(super) fn tree(&self, commit: &str) -> Result<Option<(Oid, Oid)>, Error> {
        let Ok(id) = Oid::from_str(commit) else {
            return Ok(None);
        };
        let doubts = self.doubts();
        if !self.path.join("HEAD").exists() {
            return Ok(None);
        }
        let handle = self.open()?;
        let found = commit_of(&handle, id);
        self.give_back(handle);
        if let Ok(Some(found)) = &found {
            self.note(commit, *found, doubts);
        }
        found
    }

    /// The one commit that begins so, as it was found when everything had been fetched. What is here by chance says nothing of what
    /// else begins so: often only tips are fetched.
    pub(super) fn begins_so(&self, short: &str) -> Option<String> {
        self.commits.lock().begun_so.get(short).cloned()
    }

    /// Remembers it.
    pub(super) fn note_begin(&self, short: &str, commit: &str) {
        let mut commits = self.commits.lock();
        if commits.begun_so.len() >= COMMITS {
            commits.begun_so.clear();
        }
        commits.begun_so.insert(short.to_owned(), commit.to_owned());
    }

    /// The one commit that begins so; `None` when there is none.
    pub(super) fn expand(&self, short: &str) -> Result<Option<Expanded>, Error> {
        let handle = self.open()?;
        let found = expanded(&handle, short);
        self.give_back(handle);
        found
    }
}

/// How often more of a beginning is tried where several objects have it, before it is told as one of several commits.
const MAX_LONGER: usize = 32;

/// Files and folders that begin like a commit are not what is meant, as for Git: they are told apart by what follows.
fn expanded(handle: &Repository, short: &str) -> Result<Option<Expanded>, Error> {
    let database = handle.odb().map_err(|error| damaged(&error))?;
    // A handle that has found one that begins so does not look for others in the packs that came since it was opened.
    database.refresh().map_err(|error| damaged(&error))?;
    let (mut todo, mut longer) = (vec![short.to_owned()], 0);
    let mut only: Option<Oid> = None;
    while let Some(begin) = todo.pop() {
        let Ok(begins) = Oid::from_str(&begin) else {
            return Ok(None);
        };
        // Not by what Git's library makes of a text: it would read what is found, whatever that is and however large.
        match database.exists_prefix(begins, begin.len()) {
            Ok(id) => {
                let Some((commit, _)) = commit_of(handle, id)? else {
                    continue;
                };
                if only.is_some_and(|other| other != commit) {
                    return Ok(Some(Expanded::Several));
                }
                only = Some(commit);
            }
            Err(error) if error.code() == ErrorCode::Ambiguous => {
                longer += 1;
                if longer > MAX_LONGER {
                    return Ok(Some(Expanded::Several));
                }
                let digits = ('0'..='9').chain('a'..='f');
                todo.extend(digits.map(|next| format!("{begin}{next}")));
            }
            Err(_) => {}
        }
    }
    Ok(only.map(|commit| Expanded::Commit(commit.to_string())))
}

/// A commit, or that of a tag, and its tree; `None` when there is no such object, or it leads to no commit.
fn commit_of(handle: &Repository, mut id: Oid) -> Result<Option<(Oid, Oid)>, Error> {
    let database = handle.odb().map_err(|error| damaged(&error))?;
    for hop in 0..MAX_TAGS {
        let (size, kind) = match database.read_header(id) {
            // Where a tag leads there has to be something.
            Err(error) if hop == 0 && error.code() == ErrorCode::NotFound => return Ok(None),
            found => found.map_err(|error| damaged(&error))?,
        };
        let read = matches!(kind, ObjectType::Commit | ObjectType::Tag);
        if read && size > MAX_COMMIT {
            return Err(too_large("a commit or tag", MAX_COMMIT));
        }
        id = match kind {
            ObjectType::Commit => {
                let commit = handle.find_commit(id).map_err(|error| damaged(&error))?;
                return Ok(Some((commit.id(), commit.tree_id())));
            }
            ObjectType::Tag => {
                let tag = handle.find_tag(id).map_err(|error| damaged(&error))?;
                tag.target_id()
            }
            _ => return Ok(None),
        };
    }
    Ok(None)
}

/// That an object is larger than is read.
pub(super) fn too_large(what: &str, limit: usize) -> Error {
    let message = message::source::TOO_LARGE
        .with("what", what)
        .with("limit", format!("{} MiB", limit >> 20));
    Error::new(Kind::TooLarge, message)
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

/// Removes files below a folder, but for those below another one.
fn clear(folder: &Path, but: Option<&Path>, unwanted: impl Fn(&str) -> bool) {
    for entry in below(folder, but) {
        let is_file = entry.file_type().is_ok_and(|kind| !kind.is_dir());
        if is_file && entry.file_name().to_str().is_some_and(&unwanted) {
            // Whatever stays is found again by the next fetch, which fails with its name.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use git2::{Commit, Signature, Time};

    use super::*;

    /// Makes a commit without a file, to which a ref leads from then on if one is named.
    pub(in super::super) fn commit(
        handle: &Repository,
        name: Option<&str>,
        said: &str,
        parent: Option<Oid>,
    ) -> Oid {
        let tree = handle.treebuilder(None).unwrap().write().unwrap();
        let tree = handle.find_tree(tree).unwrap();
        let who = Signature::new("a", "a", &Time::new(0, 0)).unwrap();
        let parent = parent.map(|id| handle.find_commit(id).unwrap());
        let parents: Vec<&Commit<'_>> = parent.iter().collect();
        let made = handle.commit(name, &who, &who, said, &tree, &parents);
        made.unwrap()
    }

    #[test]
    fn what_a_fetch_left_that_nobody_waited_for_is_cleared_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::new(folder.path().join("mirror"));
        mirror.prepare().unwrap();
        let lock = mirror.path.join("packed-refs.lock");
        let begin = || {
            std::fs::write(&lock, "").unwrap();
            mirror.begin();
            lock.exists()
        };
        assert!(begin(), "nobody looks where nothing was begun");
        assert!(!begin());
        mirror.end();
        assert!(begin());
    }

    #[test]
    fn what_a_killed_fetch_left_is_cleared_however_deep_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::new(folder.path().join("mirror"));
        mirror.prepare().unwrap();
        let heads = mirror.path.join("refs/heads");
        let deep = heads.join("d/".repeat(40));
        std::fs::create_dir_all(&deep).unwrap();
        let pack = mirror.path.join("objects/pack");
        let left = vec![
            heads.join("a.lock"),
            deep.join("b.lock"),
            pack.join("tmp_pack_x"),
            pack.join(".tmp-7-pack-x.pack"),
            mirror.path.join("packed-refs.new"),
        ];
        let kept = vec![
            heads.join("tmp_a"),
            heads.join("packed-refs.new"),
            deep.join("b"),
            pack.join("c.lock"),
        ];
        for path in left.iter().chain(&kept) {
            std::fs::write(path, "").unwrap();
        }
        mirror.clear_leftovers();
        for (path, there) in [(left, false), (kept, true)]
            .iter()
            .flat_map(|(paths, there)| paths.iter().map(move |path| (path, *there)))
        {
            assert_eq!(path.exists(), there, "{}", path.display());
        }
    }

    #[test]
    fn s02_the_refs_of_a_mirror_are_counted_with_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::new(folder.path().join("mirror"));
        mirror.prepare().unwrap();
        // Two folders are there already.
        let deep = mirror.path.join("refs/heads/a/b");
        std::fs::create_dir_all(&deep).unwrap();
        for name in ["c", "d"] {
            std::fs::write(deep.join(name), "").unwrap();
        }
        assert!(mirror.has_more_refs(5));
        assert!(!mirror.has_more_refs(6));
        // Two that are packed, of which one is a tag of a commit.
        let (id, packed) = ("1".repeat(40), mirror.path.join("packed-refs"));
        let lines = format!("# pack-refs\n{id} refs/heads/e\n{id} refs/tags/f\n^{id}\n");
        std::fs::write(packed, lines).unwrap();
        assert!(mirror.has_more_refs(7));
        assert!(!mirror.has_more_refs(8));
        // Lines alone, too.
        remove_all(&mirror.path.join("refs")).unwrap();
        assert!(mirror.has_more_refs(1));
        assert!(!mirror.has_more_refs(2));
    }

    #[test]
    fn a_handle_is_closed_after_so_many_uses_and_another_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::new(folder.path().join("mirror"));
        mirror.prepare().unwrap();
        let kept = || {
            let handle = mirror.open().unwrap();
            assert!(handle.is_bare());
            mirror.give_back(handle);
            mirror.handles.lock().len()
        };
        for used in 1..=USES {
            assert_eq!(kept(), 1, "{used}");
        }
        assert_eq!(kept(), 0, "it has been used enough");
        assert_eq!(kept(), 1);
    }

    #[test]
    fn what_was_found_is_forgotten_with_the_mirror_also_by_who_looked_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::new(folder.path().join("mirror"));
        let commit = || {
            mirror.prepare().unwrap();
            let handle = mirror.open().unwrap();
            commit(&handle, None, "change", None).to_string()
        };
        let id = commit();
        assert_eq!(mirror.found(&id), None);
        let found = mirror.tree(&id).unwrap().unwrap();
        assert_eq!(mirror.found(&id), Some(found));
        let began = mirror.doubts();
        mirror.discard().unwrap();
        assert_eq!(mirror.found(&id), None, "it is gone");
        assert_eq!(mirror.tree(&id).unwrap(), None);
        // The next one is ready before a look has ended that began in the former.
        mirror.prepare().unwrap();
        mirror.note(&id, found, began);
        assert_eq!(mirror.found(&id), None, "it was in another mirror");
        assert_eq!(commit(), id);
        assert_eq!(mirror.tree(&id).unwrap(), Some(found));
        assert_eq!(mirror.found(&id), Some(found));
    }

    #[test]
    fn s02_a_commit_is_found_by_what_leads_to_it_and_is_not_read_at_any_size() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::new(folder.path().join("mirror"));
        mirror.prepare().unwrap();
        let handle = mirror.open().unwrap();
        let who = Signature::new("a", "a", &Time::new(0, 0)).unwrap();
        let tree = handle.treebuilder(None).unwrap().write().unwrap();
        let tree = handle.find_tree(tree).unwrap();
        let commit = |said: &str| handle.commit(None, &who, &who, said, &tree, &[]).unwrap();
        let tag = |name: &str, id: Oid| {
            let target = handle.find_object(id, None).unwrap();
            handle.tag(name, &target, &who, "tag", true).unwrap()
        };
        let id = commit("change");
        let twice = tag("twice", tag("once", id));
        let blob = handle.blob(b"x").unwrap();
        let mut deep = id;
        for number in 0..MAX_TAGS {
            deep = tag(&number.to_string(), deep);
        }
        let found = |id: Oid| mirror.tree(&id.to_string()).unwrap();
        assert_eq!(found(id), Some((id, tree.id())));
        assert_eq!(found(twice), Some((id, tree.id())));
        for none in [
            blob,
            tag("blob", blob),
            deep,
            Oid::from_bytes(&[7; 20]).unwrap(),
        ] {
            assert_eq!(found(none), None, "{none}");
        }
        let short = |id: Oid| match mirror.expand(&id.to_string()[..12]).unwrap() {
            Some(Expanded::Commit(whole)) => Some(whole),
            _ => None,
        };
        assert_eq!(short(id), Some(id.to_string()));
        assert_eq!(
            (short(blob), short(Oid::from_bytes(&[7; 20]).unwrap())),
            (None, None)
        );

        let large = commit(&"x".repeat(MAX_COMMIT));
        for id in [large, tag("large", large)] {
            let refused = mirror.tree(&id.to_string()).unwrap_err();
            assert_eq!(refused.kind(), Kind::TooLarge, "{refused}");
        }
    }
}
