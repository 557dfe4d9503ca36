//! Reads a commit's files for a render: notes every look, replaces variables, keeps to the limits.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::cause::{Cause, Location};
use domain::message;

use super::overrides::below;
use super::provenance::{self, Replacement};
use super::read_set::{Looks, ReadSet, listing};
use super::renderer::{RenderInput, Target};
use super::submodules::Submodule;
use super::substitute;
use super::trees::{self, Trees};
use super::web::{self, WebFile};
use crate::error::{Error, Kind};
use crate::git::{Files, Found, Item, ItemKind, MAX_PATH, Node, walk};

/// The most that one render may read.
const MAX_TOTAL: u64 = 64 << 20;
/// The largest single file.
const MAX_FILE: u64 = 16 << 20;
/// How often one render may look.
const MAX_LOOKS: usize = 20_000;
/// The most entries of folders that one render may list: a folder may be in itself many times over, by its tree's id.
const MAX_ITEMS: usize = 200_000;

/// The most bytes of files, and entries, that are looked at in a folder for who will probably ask.
const MAX_PEEKED: u64 = 128 << 10;
const MAX_PEEKED_ITEMS: usize = 256;

/// How a pointer of Git LFS begins, and how long it is at most.
const POINTER: (&[u8], usize) = (b"version https://git-lfs.github.com/spec/v1\n", 1024);
/// The ends of the names of files that tools read as what they are: of these a pointer is of no use to anybody.
const READ_BY_TOOLS: [&str; 7] = [
    ".yaml",
    ".yml",
    ".json",
    ".jsonnet",
    ".libsonnet",
    ".tpl",
    ".tgz",
];

/// A file as it was read.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// Where it really is, links followed, as people know it.
    pub(super) path: String,
    /// Its content, variables replaced.
    pub(super) content: Arc<[u8]>,
    /// Which, by their lines; not all where they are very many.
    pub(super) replaced: Arc<[Replacement]>,
}

impl File {
    /// Its content as text; UTF-16 with a mark is understood, as by Argo CD.
    pub(super) fn text(&self) -> Result<String, Error> {
        let broken = || {
            let cause = Cause::error(message::source::NOT_TEXT.message());
            Error::of(
                Kind::Invalid,
                cause.located(Some(Location {
                    path: self.path.clone(),
                    line: 0,
                })),
            )
        };
        let wide = |from: fn([u8; 2]) -> u16| {
            let units = self.content[2..]
                .chunks_exact(2)
                .map(|pair| from([pair[0], pair[1]]));
            char::decode_utf16(units)
                .collect::<Result<String, _>>()
                .map_err(|_| broken())
        };
        match &*self.content {
            [0xFF, 0xFE, ..] => wide(u16::from_le_bytes),
            [0xFE, 0xFF, ..] => wide(u16::from_be_bytes),
            [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8(rest.to_vec()).map_err(|_| broken()),
            all => String::from_utf8(all.to_vec()).map_err(|_| broken()),
        }
    }
}

/// A file that nobody has asked for yet, and the variables in it.
struct Peeked {
    file: File,
    variables: BTreeMap<String, Option<String>>,
}

/// A folder with what is in it, as [`Reader::peek`] finds it.
#[derive(Debug)]
pub(super) struct Folder {
    /// Its path without links.
    pub(super) real: String,
    pub(super) items: Vec<Item>,
    /// Of small files, variables replaced.
    pub(super) contents: BTreeMap<String, Arc<[u8]>>,
}

/// Reads a commit's files for one render, and those of the trees that it refers to.
pub(super) struct Reader<'f, 'r> {
    files: &'f Files<'r>,
    trees: &'f Trees,
    variables: &'f BTreeMap<String, String>,
    target: &'f Target,
    set: RefCell<ReadSet>,
    read: RefCell<HashMap<String, File>>,
    /// What was read of folders that were only peeked into, for when it is asked for.
    peeked: RefCell<HashMap<String, Peeked>>,
    total: Cell<u64>,
    looks: Cell<usize>,
    items: Cell<usize>,
    mounts: RefCell<BTreeMap<String, Mount>>,
    /// The files of web servers that were fetched, by their addresses.
    web: RefCell<BTreeMap<String, File>>,
    /// How many more replacements are noted.
    noted: Cell<usize>,
    /// The submodule that a look came to and that is not open.
    closed: RefCell<Option<Submodule>>,
    now: i64,
}

/// What is seen at a path where the repository has nothing: a chart that another one depends on.
#[derive(Clone, Debug)]
pub(super) enum Mount {
    /// An archive.
    File(Arc<[u8]>),
    /// A file of a web server, by its address.
    Web(String),
    /// A folder of the repository that is somewhere else.
    Folder(String),
}

/// The name of what no repository has.
const MOUNTED: &str = "mounted";

impl<'f, 'r> Reader<'f, 'r> {
    pub(super) fn new(files: &'f Files<'r>, trees: &'f Trees, input: &'f RenderInput) -> Self {
        Self {
            files,
            trees,
            variables: &input.variables,
            target: &input.target,
            set: RefCell::default(),
            read: RefCell::default(),
            peeked: RefCell::default(),
            total: Cell::new(0),
            looks: Cell::new(0),
            items: Cell::new(0),
            mounts: RefCell::default(),
            web: RefCell::default(),
            noted: Cell::new(provenance::MAX_NOTED),
            closed: RefCell::default(),
            now: input.now,
        }
    }

    /// Shows something at a path from now on. What it is made of is for the caller to note.
    ///
    /// # Errors
    /// When the source reads too much with it: it is held until the render is over.
    pub(super) fn mount(&self, path: String, mount: Mount) -> Result<(), Error> {
        if let Mount::File(content) = &mount {
            self.count(content.len())?;
        }
        self.mounts.borrow_mut().insert(path, mount);
        Ok(())
    }

    /// Whether a file of a web server is at hand.
    pub(super) fn has_web(&self, url: &str) -> bool {
        self.web.borrow().contains_key(url)
    }

    /// Keeps a file of a web server for this render, variables replaced as in one of Git's, and notes it.
    ///
    /// # Errors
    /// When the source reads too much with it.
    pub(super) fn keep_web(&self, url: &str, bytes: &[u8], file: WebFile) -> Result<(), Error> {
        let kept = self.replaced(url.to_owned(), bytes)?;
        self.web.borrow_mut().insert(url.to_owned(), kept);
        self.note(|set| {
            set.web.insert(url.to_owned(), file);
        });
        Ok(())
    }

    /// Shows a file of a web server that is at hand in a folder; says at which path.
    pub(super) fn mount_web(&self, folder: &str, url: &str) -> String {
        let path = below(folder, &web::name(url));
        let mut mounts = self.mounts.borrow_mut();
        mounts.insert(path.clone(), Mount::Web(url.to_owned()));
        path
    }

    /// When it is rendered, in Unix seconds.
    pub(super) fn now(&self) -> i64 {
        self.now
    }

    /// A tool's words with paths as people know them.
    pub(super) fn said(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (path, mount) in &*self.mounts.borrow() {
            if let Mount::Web(url) = mount {
                let name = path.rsplit('/').next().unwrap_or(path);
                text = text.replace(path.as_str(), url).replace(name, url);
            }
        }
        self.trees.said(&text)
    }

    /// A file as it is read: variables replaced, and noted. It is counted, with what they add, before it is made.
    fn replaced(&self, path: String, bytes: &[u8]) -> Result<File, Error> {
        self.count(bytes.len())?;
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Ok(File {
                path,
                content: bytes.into(),
                replaced: Arc::default(),
            });
        };
        self.count(substitute::added(text, self.variables))?;
        let mut set = self.set.borrow_mut();
        let mut replaced: Vec<Replacement> = Vec::new();
        let note = |name: &str, line: Option<u32>| {
            set.variables
                .insert(name.to_owned(), self.variables.get(name).cloned());
            let Some(line) = line else { return };
            let left = self.noted.get();
            let on_line = || replaced.iter().rev().take_while(|one| one.line == line);
            let new =
                on_line().count() < provenance::MAX_NAMES && !on_line().any(|one| one.name == name);
            if left > 0 && new {
                self.noted.set(left - 1);
                let name = name.to_owned();
                replaced.push(Replacement { line, name });
            }
        };
        let content = substitute::substitute(text, self.variables, note);
        Ok(File {
            path,
            content: content.as_bytes().into(),
            replaced: replaced.into(),
        })
    }

    /// What a variable is replaced by.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Counts bytes that are held for this render.
    fn count(&self, bytes: usize) -> Result<(), Error> {
        self.total.set(self.total.get() + bytes as u64);
        if self.total.get() <= MAX_TOTAL {
            return Ok(());
        }
        let message = message::source::TOO_LARGE
            .with("what", "what the source reads")
            .with("limit", "64 MiB");
        Err(Error::new(Kind::TooLarge, message))
    }

    /// Where a path leads below a mounted folder.
    fn moved(&self, path: &str) -> Option<String> {
        let mounts = self.mounts.borrow();
        mounts.iter().find_map(|(at, mount)| {
            let rest = path.strip_prefix(at.as_str())?;
            match mount {
                Mount::Folder(target) if rest.is_empty() || rest.starts_with('/') => {
                    Some(format!("{target}{rest}"))
                }
                _ => None,
            }
        })
    }

    /// What is mounted at a path.
    fn mounted(&self, path: &str) -> Option<File> {
        match self.mounts.borrow().get(path)? {
            Mount::File(content) => Some(File {
                path: path.to_owned(),
                content: Arc::clone(content),
                replaced: Arc::default(),
            }),
            Mount::Web(url) => self.web.borrow().get(url).cloned(),
            Mount::Folder(_) => None,
        }
    }

    /// The entries of a folder that are only mounted.
    fn mounted_in(&self, folder: &str) -> Vec<Item> {
        let below = match folder {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let mounts = self.mounts.borrow();
        let mut items: Vec<Item> = mounts
            .iter()
            .filter_map(|(at, mount)| {
                let rest = at.strip_prefix(&below)?;
                let (name, kind) = match (rest.split_once('/'), mount) {
                    (Some((name, _)), _) => (name, ItemKind::Folder),
                    (None, Mount::Folder(_)) => (rest, ItemKind::Folder),
                    (None, Mount::File(_)) => (rest, ItemKind::File),
                    // Only who names its address gets it.
                    (None, Mount::Web(_)) => return None,
                };
                Some(Item {
                    name: name.to_owned(),
                    kind,
                })
            })
            .collect();
        items.dedup();
        items
    }

    /// What stands at a path, links followed.
    pub(super) fn find(&self, path: &str) -> Result<Found, Error> {
        self.look()?;
        if let Some(target) = self.moved(path) {
            return self.find_own(&target);
        }
        if self.mounted(path).is_some() {
            return Ok(Found {
                path: path.to_owned(),
                node: Node::File(MOUNTED.to_owned()),
            });
        }
        let found = self.find_own(path)?;
        if found.node == Node::Missing && !self.mounted_in(path).is_empty() {
            return Ok(Found {
                path: path.to_owned(),
                node: Node::Folder(MOUNTED.to_owned()),
            });
        }
        Ok(found)
    }

    /// What stands at a path of a tree itself.
    fn find_own(&self, path: &str) -> Result<Found, Error> {
        let base = trees::split(path).map(|(tree, _)| tree);
        let whole = |at: &str| base.map_or_else(|| at.to_owned(), |tree| trees::join(tree, at));
        let found = self.in_tree(base, |files| {
            let path = trees::split(path).map_or(path, |(_, path)| path);
            // A submodule is none of the folders on such a way, open or not.
            if let Some(found) = files.straight(path)? {
                return Ok(found);
            }
            walk(
                path,
                |at| self.node(files, base, &whole(at)),
                |at, link| self.within(&whole(at), |files, _| files.blob(link, MAX_PATH as u64)),
                |at, node| self.stood(&whole(at), node),
            )
        });
        let found = found.map_err(|error| self.outside(path, error))?;
        let found = Found {
            path: whole(&found.path),
            ..found
        };
        self.stood(&found.path, &found.node);
        Ok(found)
    }

    /// Notes what stood at a path without links.
    fn stood(&self, path: &str, node: &Node) {
        self.looks(path, |looks, at| match node {
            Node::Folder(_) => {
                looks.folders.insert(at.to_owned());
            }
            // A submodule that is nothing is noted as what it is.
            node => {
                let entry = looks.entries.entry(at.to_owned());
                entry.or_insert_with(|| node.clone());
            }
        });
    }

    /// What stands at a path without links, a submodule being the folder that it is in a working copy; `files` are those of
    /// the tree `base`.
    fn node(&self, files: &Files<'_>, base: Option<usize>, path: &str) -> Result<Node, Error> {
        let (tree, at) = self.trees.place(path);
        let node = match tree == base {
            true => files.node(at),
            false => self.in_tree(tree, |files| files.node(at)),
        }?;
        let Node::Submodule(commit) = &node else {
            return Ok(node);
        };
        self.looks(path, |looks, at| {
            looks.entries.insert(at.to_owned(), node.clone());
        });
        if self.trees.is_left_out(path) {
            return Ok(Node::Missing);
        }
        let submodule = Submodule {
            path: path.to_owned(),
            commit: commit.clone(),
        };
        let error = submodule.closed(self.trees);
        *self.closed.borrow_mut() = Some(submodule);
        Err(error)
    }

    /// Whether a look came to a submodule that is not open.
    pub(super) fn before_submodule(&self) -> bool {
        self.closed.borrow().is_some()
    }

    /// The submodule that a look came to and that is not open: once it is, all is begun again.
    pub(super) fn take_submodule(&self) -> Option<Submodule> {
        self.looks.set(0);
        self.items.set(0);
        self.closed.take()
    }

    /// A path that leads out of another tree, named with that tree.
    fn outside(&self, path: &str, error: Error) -> Error {
        let leads_out = error.cause().message.is(&message::source::PATH_OUTSIDE);
        if trees::split(path).is_none() || !leads_out {
            return error;
        }
        let message = message::source::PATH_OUTSIDE.with("path", self.trees.shown(path));
        Error::new(Kind::Invalid, message)
    }

    /// The trees besides the source's own.
    pub(super) fn trees(&self) -> &Trees {
        self.trees
    }

    /// Looks into a tree, or the source's own.
    fn in_tree<T>(
        &self,
        tree: Option<usize>,
        look: impl FnOnce(&Files<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match tree {
            None => look(self.files),
            Some(tree) => self.trees.look(tree, look),
        }
    }

    /// Looks into the tree of a path without links, given the path in it.
    pub(super) fn within<T>(
        &self,
        path: &str,
        look: impl FnOnce(&Files<'_>, &str) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (tree, path) = self.trees.place(path);
        self.in_tree(tree, |files| look(files, path))
    }

    /// Notes something of the tree of a path without links, given the path in it.
    fn looks(&self, path: &str, note: impl FnOnce(&mut Looks, &str)) {
        let mut set = self.set.borrow_mut();
        let (tree, path) = self.trees.place(path);
        match tree.and_then(|tree| self.trees.name(tree)) {
            None => note(&mut set.own, path),
            Some(name) => note(set.others.entry(name).or_default(), path),
        }
    }

    /// The version of the cluster that is rendered for; empty where it is not known.
    pub(super) fn kube_version(&self) -> &str {
        let version = &self.target.kube_version;
        self.note(|set| set.cluster.version = Some(version.clone()));
        version
    }

    /// Whether that cluster has an API.
    pub(super) fn has_api(&self, api: &str) -> Result<bool, Error> {
        self.look()?;
        let has = self.target.has(api);
        self.note(|set| {
            set.cluster.apis.insert(api.to_owned(), has);
        });
        Ok(has)
    }

    /// All its APIs.
    pub(super) fn apis(&self) -> &[String] {
        self.note(|set| set.cluster.all = Some(self.target.name()));
        &self.target.api_versions
    }

    fn look(&self) -> Result<(), Error> {
        self.looks.set(self.looks.get() + 1);
        if self.looks.get() > MAX_LOOKS {
            let message = message::source::TOO_LARGE
                .with("what", "the number of files")
                .with("limit", MAX_LOOKS);
            return Err(Error::new(Kind::TooLarge, message));
        }
        Ok(())
    }

    /// The entries of a folder, sorted; `None` when it is none.
    pub(super) fn list(&self, path: &str) -> Result<Option<Vec<Item>>, Error> {
        let found = self.find(path)?;
        let Node::Folder(tree) = &found.node else {
            return Ok(None);
        };
        let mounted = self.mounted_in(path);
        if tree == MOUNTED {
            return Ok(Some(mounted));
        }
        let items = self.within(&found.path, |files, _| files.list(tree))?;
        self.items.set(self.items.get() + items.len());
        if self.items.get() > MAX_ITEMS {
            let message = message::source::TOO_LARGE
                .with("what", "the number of files and folders")
                .with("limit", MAX_ITEMS);
            return Err(Error::new(Kind::TooLarge, message));
        }
        self.looks(&found.path, |looks, at| {
            looks.listings.insert(at.to_owned(), listing(&items));
        });
        let mut all = items;
        all.retain(|item| !mounted.iter().any(|other| other.name == item.name));
        all.extend(mounted);
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(all))
    }

    /// The size of a file; `None` when it is none.
    pub(super) fn size(&self, found: &Found) -> Result<Option<u64>, Error> {
        match &found.node {
            Node::File(blob) => self
                .within(&found.path, |files, _| files.size(blob))
                .map(Some),
            _ => Ok(None),
        }
    }

    /// A file; `None` when it is none.
    pub(super) fn read(&self, path: &str) -> Result<Option<File>, Error> {
        let found = self.find(path)?;
        self.read_found(path, found, MAX_FILE)
    }

    /// What was found at a path, if it is a file, and one no larger than that.
    fn read_found(&self, path: &str, found: Found, most: u64) -> Result<Option<File>, Error> {
        let Node::File(blob) = &found.node else {
            return Ok(None);
        };
        if blob == MOUNTED {
            let file = self.mounted(path);
            if let Some(file) = &file
                && web::is_address(&file.path)
            {
                let mut read = self.read.borrow_mut();
                read.insert(path.to_owned(), file.clone());
            }
            return Ok(file);
        }
        if let Some(file) = self.read.borrow().get(&found.path) {
            return Ok(Some(file.clone()));
        }
        let located = |error: Error| {
            error.map(|cause| {
                cause.located(Some(Location {
                    path: self.trees.shown(&found.path),
                    line: 0,
                }))
            })
        };
        let peeked = self.peeked.borrow_mut().remove(&found.path);
        if let Some(Peeked { file, variables }) = peeked {
            self.count(file.content.len())?;
            self.note(|set| set.variables.extend(variables));
            self.read.borrow_mut().insert(found.path, file.clone());
            return Ok(Some(file));
        }
        let bytes = self.within(&found.path, |files, _| files.blob(blob, most));
        let bytes = bytes.map_err(located)?;
        let read_by_tools = READ_BY_TOOLS.iter().any(|end| found.path.ends_with(end));
        if read_by_tools && bytes.starts_with(POINTER.0) && bytes.len() <= POINTER.1 {
            let shown = self.trees.shown(&found.path);
            let message = message::source::LFS_NOT_SUPPORTED.with("path", shown);
            return Err(located(Error::new(Kind::Unsupported, message)));
        }
        let file = self.replaced(self.trees.shown(&found.path), &bytes)?;
        self.read.borrow_mut().insert(found.path, file.clone());
        Ok(Some(file))
    }

    /// What a folder has in it, for who will probably ask: nothing of this is noted or counted. `None` where it is none, is
    /// large, or has something in it that is shown there only.
    pub(super) fn peek(&self, path: &str) -> Option<Folder> {
        let within = |at: &String| {
            let rest = at.strip_prefix(path);
            rest.is_some_and(|rest| path.is_empty() || rest.starts_with('/'))
        };
        // Files of web servers are in no listing.
        if self.moved(path).is_some() || self.mounts.borrow().keys().any(within) {
            return None;
        }
        let set = self.set.take();
        let read = self.read.take();
        let counted = (self.total.get(), self.looks.get(), self.items.get());
        let closed = self.closed.take();
        let folder = self.folder(path);
        self.set.replace(set);
        self.read.replace(read);
        self.total.set(counted.0);
        self.looks.set(counted.1);
        self.items.set(counted.2);
        self.closed.replace(closed);
        folder
    }

    fn folder(&self, path: &str) -> Option<Folder> {
        let real = self.find(path).ok()?.path;
        let items = self.list(path).ok()??;
        if items.len() > MAX_PEEKED_ITEMS {
            return None;
        }
        let (mut contents, mut left) = (BTreeMap::new(), MAX_PEEKED);
        for item in items.iter().filter(|item| item.kind == ItemKind::File) {
            // What is no link stands where its folder really is, which is all that leads there.
            let at = below(real.trim_end_matches('/'), &item.name);
            let Ok(node) = self.within(&at, |files, at| files.node(at)) else {
                continue;
            };
            self.set.take();
            let path = at.clone();
            let before = self.total.get();
            // One for which there is no room left is not read.
            let file = self.read_found(&at, Found { path, node }, left);
            // By what was read for it, whatever came of that: variables make much small, and little large.
            let room = left.checked_sub(self.total.get() - before);
            left = room.unwrap_or_default();
            if let (Ok(Some(file)), Some(_)) = (file, room) {
                contents.insert(item.name.clone(), file.content.clone());
                let variables = std::mem::take(&mut self.set.borrow_mut().variables);
                let mut peeked = self.peeked.borrow_mut();
                peeked.insert(at, Peeked { file, variables });
            }
        }
        Some(Folder {
            real,
            items,
            contents,
        })
    }

    /// Every file that was read so far, by its path.
    pub(super) fn all_read(&self) -> BTreeMap<String, File> {
        self.read
            .borrow()
            .iter()
            .map(|(path, file)| (path.clone(), file.clone()))
            .collect()
    }

    /// Notes something that is no file.
    pub(super) fn note(&self, note: impl FnOnce(&mut ReadSet)) {
        note(&mut self.set.borrow_mut());
    }

    pub(super) fn into_set(self) -> ReadSet {
        self.set.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use domain::egress::Egress;
    use git2::FileMode;
    use sandbox::Sandbox;
    use tokio::runtime::Builder;

    use super::*;
    use crate::git::{Access, Limits, Login, Memory, Mirrors, Rules};

    /// What is said of a folder `app` with these files, where variables are replaced.
    fn reading<T>(
        files: &[(&str, String)],
        variables: &[(&str, &str)],
        say: impl FnOnce(&Reader<'_, '_>) -> T,
    ) -> T {
        let memory = Memory::new(|objects| {
            let mut folder = objects.treebuilder(None)?;
            for (name, content) in files {
                let blob = objects.blob(content.as_bytes())?;
                folder.insert(*name, blob, FileMode::Blob.into())?;
            }
            let folder = folder.write()?;
            let mut root = objects.treebuilder(None)?;
            root.insert("app", folder, FileMode::Tree.into())?;
            root.write()
        })
        .unwrap();
        let variables = variables.iter();
        let input = RenderInput {
            variables: variables
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..RenderInput::default()
        };
        let data = tempfile::tempdir().unwrap();
        let mirrors = Mirrors::new(
            data.path().to_owned(),
            Limits::default(),
            Egress::default(),
            Sandbox::new(None),
            None,
        )
        .unwrap();
        let url = "https://git.example/a.git";
        let own = Access::new("t", "", url, Login::default(), Rules::default()).unwrap();
        let runtime = Builder::new_current_thread().build().unwrap();
        let trees = Trees::new(&own, mirrors, runtime.handle().clone(), &input, None);
        say(&Reader::new(&memory.files(), &trees, &input))
    }

    #[test]
    fn s02_what_is_shown_of_a_folder_is_bounded_by_what_is_read_and_by_what_comes_of_it() {
        let long = "N".repeat(1000);
        let shown = |text: &str, value: &str| {
            let files = ["a", "b", "c"].map(|name| (name, text.to_owned()));
            reading(&files, &[(long.as_str(), value)], |reader| {
                let folder = reader.peek("app").unwrap();
                (folder.items.len(), folder.contents.len())
            })
        };
        let of_variables = format!("${{{long}}}").repeat(100);
        assert_eq!(shown("kind: X\n", "x"), (3, 3));
        assert_eq!(shown(&of_variables, "x"), (3, 1), "small in the end");
        let large = "v".repeat(1024);
        let name = format!("${{{long}}}\n").repeat(50);
        assert_eq!(shown(&name, &large), (3, 2), "nearly as large");
        let files = [("a", "${A}".repeat(1000))];
        let grown = reading(&files, &[("A", large.as_str())], |reader| {
            reader.peek("app").unwrap().contents.len()
        });
        assert_eq!(grown, 0, "large in the end");
    }

    #[test]
    fn s02_what_variables_add_counts_before_it_is_made() {
        let read = |times: usize| {
            let files = [("x.txt", "${A}".repeat(times))];
            let large = "v".repeat(1024);
            reading(&files, &[("A", large.as_str())], |reader| {
                let file = reader.read("app/x.txt");
                file.map(|file| file.unwrap().content.len())
            })
        };
        assert_eq!(read(1000).unwrap(), 1000 * 1024);
        let refused = read(65_537).unwrap_err();
        assert_eq!(refused.kind(), Kind::TooLarge, "{refused}");
    }
}
