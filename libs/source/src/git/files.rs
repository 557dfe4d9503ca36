//! The files of one commit, read from Git's objects.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use domain::message;
use git2::{ErrorCode, ObjectType, Oid, Repository, Tree, TreeEntry};
use serde::{Deserialize, Serialize};

use super::mirror::{damaged, too_large};
use crate::error::{Error, Kind};

/// How many symbolic links one path may go through.
const MAX_LINKS: usize = 40;
/// The longest path.
pub(crate) const MAX_PATH: usize = 4096;
const LINK: i32 = 0o120_000;
/// How many folders are kept parsed. libgit2 keeps none over 4 KiB, so that a thousand look-ups in a folder of a thousand
/// entries would parse a million.
const PARSED: usize = 64;
/// The largest folder that is read, in bytes of its entries' names and ids, and how much of such ones is kept parsed: a
/// few bytes of a pack may be a folder of millions.
const MAX_FOLDER: usize = 8 << 20;
const MAX_PARSED: usize = 16 << 20;
/// How many entries of folders are kept by their names.
const MAX_ENTRIES: usize = 200_000;

/// What stands at a path, without following the last link: enough to notice any change of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Node {
    /// Nothing.
    #[serde(rename = "-")]
    Missing,
    /// A file: its blob.
    #[serde(rename = "f")]
    File(String),
    /// A folder: its tree.
    #[serde(rename = "d")]
    Folder(String),
    /// A symbolic link: its blob.
    #[serde(rename = "l")]
    Link(String),
    /// A submodule: its commit.
    #[serde(rename = "s")]
    Submodule(String),
}

/// A kind of folder entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A submodule.
    Submodule,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ItemKind,
}

/// Where a path led, links followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The path without links, from the root.
    pub path: String,
    /// What is there: never a link.
    pub node: Node,
}

/// The files of one commit.
pub struct Files<'r> {
    repository: &'r Repository,
    root: Oid,
    folders: RefCell<HashMap<String, Option<Oid>>>,
    parsed: RefCell<HashMap<Oid, Tree<'r>>>,
    /// How large those are.
    parsed_size: Cell<usize>,
    /// What is known of a tree that is looked into again and again.
    known: Option<&'r Known>,
}

/// A folder's entries by name.
type Entries = HashMap<String, (ItemKind, Oid)>;

/// What is known of the folders of a tree that stays open between looks: parsing one of thousands of entries for each look
/// would be their square.
#[derive(Debug, Default)]
pub(super) struct Known {
    folders: RefCell<HashMap<String, Option<Oid>>>,
    entries: RefCell<HashMap<Oid, Rc<Entries>>>,
    /// How many those are.
    count: Cell<usize>,
}

impl std::fmt::Debug for Files<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Files({})", self.root)
    }
}

fn kind(entry: &TreeEntry<'_>) -> Option<ItemKind> {
    match (entry.kind()?, entry.filemode()) {
        (ObjectType::Tree, _) => Some(ItemKind::Folder),
        (ObjectType::Blob, LINK) => Some(ItemKind::Link),
        (ObjectType::Blob, _) => Some(ItemKind::File),
        (ObjectType::Commit, _) => Some(ItemKind::Submodule),
        _ => None,
    }
}

fn outside(path: &str) -> Error {
    Error::new(
        Kind::Invalid,
        message::source::PATH_OUTSIDE.with("path", path),
    )
}

/// Follows a path, `.`, `..` and symbolic links included, without ever leaving the tree that `node` knows: what stands at a
/// clean path of it. `link` reads a link, given where it is and its blob. A submodule is the end of the way, as a file is.
/// `passed` hears of the paths whose entries decide where it leads, also where it leads nowhere: links, what is in the way, what
/// is not there, and folders that are left again by `..`.
///
/// # Errors
/// When it leads out of the tree, or through too many links.
pub(crate) fn walk(
    path: &str,
    node: impl Fn(&str) -> Result<Node, Error>,
    link: impl Fn(&str, &str) -> Result<Vec<u8>, Error>,
    passed: impl Fn(&str, &Node),
) -> Result<Found, Error> {
    if path.len() > MAX_PATH || path.contains('\0') {
        return Err(outside(&path.chars().take(100).collect::<String>()));
    }
    let mut done: Vec<String> = Vec::new();
    let mut todo: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
    let mut links = 0;
    let mut last = node("")?;
    while let Some(part) = todo.pop() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                passed(&done.join("/"), &last);
                done.pop().ok_or_else(|| outside(path))?;
                last = node(&done.join("/"))?;
                continue;
            }
            _ => {}
        }
        match &last {
            Node::Folder(_) => {}
            Node::Submodule(_) => break,
            // Below a file.
            _ => {
                passed(&done.join("/"), &last);
                last = Node::Missing;
                break;
            }
        }
        done.push(part);
        let at = done.join("/");
        last = node(&at)?;
        match &last {
            Node::Missing => {
                passed(&at, &last);
                break;
            }
            Node::Link(id) => {
                // Before it is read: where it leads out, another one there may not.
                passed(&at, &last);
                links += 1;
                let target = String::from_utf8(link(&at, id)?).map_err(|_| outside(path))?;
                if links > MAX_LINKS || target.starts_with('/') {
                    return Err(outside(path));
                }
                done.pop();
                todo.extend(target.split('/').rev().map(str::to_owned));
                last = node(&done.join("/"))?;
            }
            Node::File(_) | Node::Folder(_) | Node::Submodule(_) => {}
        }
    }
    Ok(Found {
        path: done.join("/"),
        node: last,
    })
}

impl<'r> Files<'r> {
    pub(super) fn new(repository: &'r Repository, root: Oid) -> Self {
        Self {
            repository,
            root,
            folders: RefCell::default(),
            parsed: RefCell::default(),
            parsed_size: Cell::default(),
            known: None,
        }
    }

    /// The same, with what is known from earlier looks.
    pub(super) fn with(repository: &'r Repository, root: Oid, known: &'r Known) -> Self {
        Self {
            known: Some(known),
            ..Self::new(repository, root)
        }
    }

    /// What stands at a clean path, no link followed.
    ///
    /// # Errors
    /// When the mirror is damaged.
    pub fn node(&self, path: &str) -> Result<Node, Error> {
        if path.is_empty() {
            return Ok(Node::Folder(self.root.to_string()));
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(tree) = self.folder(folder)? else {
            return Ok(Node::Missing);
        };
        if let Some(known) = self.known {
            let entries = self.entries(known, tree)?;
            return Ok(match entries.get(name) {
                None => Node::Missing,
                Some((ItemKind::Folder, id)) => Node::Folder(id.to_string()),
                Some((ItemKind::Link, id)) => Node::Link(id.to_string()),
                Some((ItemKind::File, id)) => Node::File(id.to_string()),
                Some((ItemKind::Submodule, id)) => Node::Submodule(id.to_string()),
            });
        }
        let tree = self.tree(tree)?;
        Ok(match tree.get_name(name) {
            None => Node::Missing,
            Some(entry) => match (entry.kind(), entry.filemode()) {
                (Some(ObjectType::Tree), _) => Node::Folder(entry.id().to_string()),
                (Some(ObjectType::Blob), LINK) => Node::Link(entry.id().to_string()),
                (Some(ObjectType::Blob), _) => Node::File(entry.id().to_string()),
                (Some(ObjectType::Commit), _) => Node::Submodule(entry.id().to_string()),
                _ => Node::Missing,
            },
        })
    }

    fn tree(&self, id: Oid) -> Result<Tree<'r>, Error> {
        if let Some(known) = self.parsed.borrow().get(&id) {
            return Ok(known.clone());
        }
        let (tree, size) = self.read_tree(id)?;
        let mut parsed = self.parsed.borrow_mut();
        if parsed.len() >= PARSED || self.parsed_size.get() + size > MAX_PARSED {
            parsed.clear();
            self.parsed_size.set(0);
        }
        self.parsed_size.set(self.parsed_size.get() + size);
        parsed.insert(id, tree.clone());
        Ok(tree)
    }

    /// A folder, and how large it is.
    fn read_tree(&self, id: Oid) -> Result<(Tree<'r>, usize), Error> {
        let database = self.repository.odb().map_err(|error| damaged(&error))?;
        let (size, _) = database.read_header(id).map_err(|error| damaged(&error))?;
        if size > MAX_FOLDER {
            return Err(too_large("the list of a folder's entries", MAX_FOLDER));
        }
        let tree = self.repository.find_tree(id);
        Ok((tree.map_err(|error| damaged(&error))?, size))
    }

    /// The entries of a folder that stays known.
    fn entries(&self, known: &Known, id: Oid) -> Result<Rc<Entries>, Error> {
        if let Some(entries) = known.entries.borrow().get(&id) {
            return Ok(Rc::clone(entries));
        }
        let tree = self.tree(id)?;
        let named = tree.iter().filter_map(|entry| {
            let name = String::from_utf8(entry.name_bytes().to_vec()).ok()?;
            Some((name, (kind(&entry)?, entry.id())))
        });
        let entries: Rc<Entries> = Rc::new(named.collect());
        let mut all = known.entries.borrow_mut();
        if all.len() >= PARSED || known.count.get() + entries.len() > MAX_ENTRIES {
            all.clear();
            known.count.set(0);
        }
        known.count.set(known.count.get() + entries.len());
        all.insert(id, Rc::clone(&entries));
        Ok(entries)
    }

    /// The tree of a folder, no link followed.
    fn folder(&self, path: &str) -> Result<Option<Oid>, Error> {
        if path.is_empty() {
            return Ok(Some(self.root));
        }
        if let Some(known) = self.folders().borrow().get(path) {
            return Ok(*known);
        }
        let found = match self.node(path)? {
            Node::Folder(id) => Some(Oid::from_str(&id).map_err(Error::internal)?),
            _ => None,
        };
        let mut folders = self.folders().borrow_mut();
        folders.insert(path.to_owned(), found);
        Ok(found)
    }

    /// A file or folder by a path without dots in a folder that is known, so that no link leads there: whoever was there before
    /// has walked through all that does. `None` says nothing.
    ///
    /// # Errors
    /// When the mirror is damaged.
    pub(crate) fn straight(&self, path: &str) -> Result<Option<Found>, Error> {
        let plain = |part: &str| !matches!(part, "" | "." | "..");
        if path.len() > MAX_PATH || path.contains('\0') || !path.split('/').all(plain) {
            return Ok(None);
        }
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        // One that is not known may be anything, and to look for it would note it.
        if !folder.is_empty() && !matches!(self.folders().borrow().get(folder), Some(Some(_))) {
            return Ok(None);
        }
        Ok(match self.node(path)? {
            node @ (Node::File(_) | Node::Folder(_)) => Some(Found {
                path: path.to_owned(),
                node,
            }),
            _ => None,
        })
    }

    /// The folders that are known, by their paths: no link leads to them.
    fn folders(&self) -> &RefCell<HashMap<String, Option<Oid>>> {
        self.known.map_or(&self.folders, |known| &known.folders)
    }

    /// Follows a path as [`walk`] does.
    ///
    /// # Errors
    /// When it leads out of the repository, or through too many links.
    pub fn find(&self, path: &str) -> Result<Found, Error> {
        if let Some(found) = self.straight(path)? {
            return Ok(found);
        }
        walk(
            path,
            |at| self.node(at),
            |_, link| self.blob(link, MAX_PATH as u64),
            |_, _| {},
        )
    }

    /// The entries of a folder by its tree, sorted by name as a file system lists them.
    ///
    /// Names that are not UTF-8 are left out: no tool could name them.
    ///
    /// # Errors
    /// When the mirror is damaged.
    pub fn list(&self, tree: &str) -> Result<Vec<Item>, Error> {
        let id = Oid::from_str(tree).map_err(Error::internal)?;
        let (tree, _) = self.read_tree(id)?;
        let mut items: Vec<Item> = tree
            .iter()
            .filter_map(|entry| {
                let name = String::from_utf8(entry.name_bytes().to_vec()).ok()?;
                let kind = kind(&entry)?;
                Some(Item { name, kind })
            })
            .collect();
        items.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(items)
    }

    /// The size of a blob.
    ///
    /// # Errors
    /// When the mirror is damaged.
    pub fn size(&self, blob: &str) -> Result<u64, Error> {
        let id = Oid::from_str(blob).map_err(Error::internal)?;
        let database = self.repository.odb().map_err(|error| damaged(&error))?;
        let (size, _) = database.read_header(id).map_err(|error| damaged(&error))?;
        Ok(size as u64)
    }

    /// The content of a blob.
    ///
    /// # Errors
    /// When it is larger than `limit`, or the mirror is damaged.
    pub fn blob(&self, blob: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let size = self.size(blob)?;
        if size > limit {
            let limit = if limit >= 1 << 20 {
                format!("{} MiB", limit >> 20)
            } else {
                format!("{limit} bytes")
            };
            return Err(Error::new(
                Kind::TooLarge,
                message::source::TOO_LARGE
                    .with("what", "a file")
                    .with("limit", limit),
            ));
        }
        let id = Oid::from_str(blob).map_err(Error::internal)?;
        match self.repository.find_blob(id) {
            Ok(blob) => Ok(blob.content().to_vec()),
            Err(error) if error.code() == ErrorCode::NotFound => Err(damaged(&error)),
            Err(error) => Err(damaged(&error)),
        }
    }
}
