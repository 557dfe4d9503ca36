//! What is known and kept of one chart repository (of a registry: of one chart) for one credential.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crowd::asked::Asked;
use domain::cause::Cause;
use domain::message;
use git2::{FileMode, ObjectType, Oid, Repository, Signature, Time};
use parking_lot::Mutex;
use reqwest::header::HeaderName;
use sha2::{Digest, Sha256};

use super::archive::{Entry, Tree};
use super::index::Index;
use crate::error::{Error, Kind};
use crate::git::{Mirror, Snapshot, damaged};

/// What a repository offers.
#[derive(Debug)]
pub(super) enum Listed {
    /// Every chart of a repository over HTTP.
    Index(Index),
    /// The versions of one chart of a registry.
    Tags(Vec<String>),
}

/// A listing, and by what its next version is told from it.
#[derive(Clone, Debug)]
pub(super) struct Remembered {
    pub(super) at: Instant,
    pub(super) conditions: Vec<(HeaderName, String)>,
    pub(super) listed: Arc<Listed>,
}

/// One repository's listing, and its archives on disk: each a commit, or where it is a dependency, a blob.
#[derive(Debug)]
pub(super) struct Shelf {
    mirror: Arc<Mirror>,
    /// The listings, one at a time.
    pub(super) asking: Asked<(), Result<Arc<Listed>, Error>>,
    pub(super) remembered: Mutex<Option<Remembered>>,
    /// Held while an archive is fetched and kept: whoever wants the same one finds it.
    pub(super) fetching: tokio::sync::Mutex<()>,
}

/// A kept archive.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Its SHA-256.
    pub(super) digest: String,
    /// The version that it is of.
    pub(super) version: String,
    id: Oid,
    tree: Option<Oid>,
}

/// In which form an archive is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Unpacked, as a commit.
    Files,
    /// As it is.
    Archive,
}

impl Shelf {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            mirror: Arc::new(Mirror::new(path)),
            asking: Asked::new(Duration::ZERO),
            remembered: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    /// Whether a listing is at hand.
    pub(super) fn remembers(&self) -> bool {
        self.remembered.lock().is_some()
    }

    /// Forgets the listing.
    pub(super) fn forget(&self) {
        *self.remembered.lock() = None;
        self.asking.forget(&());
    }

    /// What is kept of a version, as it was asked for. Blocks.
    pub(super) fn kept(&self, chart: &str, asked: &str, form: Form) -> Result<Option<Kept>, Error> {
        if !self.mirror.path.join("HEAD").exists() {
            return Ok(None);
        }
        let handle = self.mirror.open()?;
        let found = find(&handle, &name(chart, asked, form))?;
        self.mirror.give_back(handle);
        if found.is_some() {
            self.touch();
        }
        Ok(found)
    }

    /// Says when it was last used, for whoever has to make room.
    fn touch(&self) {
        // One that cannot be touched is removed earlier than others; it is fetched again.
        let _ = std::fs::write(self.mirror.path.join("used"), b".");
    }

    /// Keeps the files of an archive under a version as it was asked for. Blocks.
    pub(super) fn keep_files(
        &self,
        chart: &str,
        asked: &str,
        (version, digest): (&str, &str),
        files: Tree,
    ) -> Result<Kept, Error> {
        self.mirror.prepare()?;
        let handle = self.mirror.open()?;
        let tree = write_tree(&handle, files).map_err(|error| refused(chart, version, &error))?;
        let kept = commit(
            &handle,
            &name(chart, asked, Form::Files),
            tree,
            version,
            digest,
        )
        .map_err(Error::disk)?;
        self.mirror.give_back(handle);
        self.touch();
        Ok(kept)
    }

    /// Keeps an archive as it is. Blocks.
    pub(super) fn keep_archive(
        &self,
        chart: &str,
        asked: &str,
        (version, digest): (&str, &str),
        bytes: &[u8],
    ) -> Result<Kept, Error> {
        self.mirror.prepare()?;
        let handle = self.mirror.open()?;
        let write = || {
            let blob = handle.blob(bytes)?;
            let mut builder = handle.treebuilder(None)?;
            builder.insert("archive", blob, FileMode::Blob.into())?;
            let tree = builder.write()?;
            commit(
                &handle,
                &name(chart, asked, Form::Archive),
                tree,
                version,
                digest,
            )
        };
        let kept = write().map_err(Error::disk)?;
        self.mirror.give_back(handle);
        self.touch();
        Ok(kept)
    }

    /// A kept archive, as it is. Blocks.
    pub(super) fn archive(&self, kept: &Kept) -> Result<Arc<[u8]>, Error> {
        let handle = self.mirror.open()?;
        let read = || {
            let tree = handle.find_commit(kept.id)?.tree()?;
            let entry = tree.get_path(std::path::Path::new("archive"))?;
            handle
                .find_blob(entry.id())
                .map(|blob| Arc::from(blob.content()))
        };
        let read = read().map_err(|error| damaged(&error))?;
        self.mirror.give_back(handle);
        Ok(read)
    }

    /// The files of a kept archive.
    pub(super) fn snapshot(&self, kept: &Kept) -> Result<Snapshot, Error> {
        let tree = kept
            .tree
            .ok_or_else(|| Error::internal("a chart without files"))?;
        Ok(Snapshot::new(Arc::clone(&self.mirror), kept.id, tree))
    }

    /// Throws away what is kept.
    pub(super) fn discard(&self) -> Result<(), Error> {
        self.mirror.discard()
    }

    pub(super) fn path(&self) -> &std::path::Path {
        &self.mirror.path
    }
}

/// The ref of an archive. Neither a chart's name nor a version has to be one of a ref.
fn name(chart: &str, asked: &str, form: Form) -> String {
    let hash = Sha256::digest(format!("{chart}\0{asked}"));
    let kind = match form {
        Form::Files => "charts",
        Form::Archive => "archives",
    };
    format!("refs/{kind}/{}", hex::encode(&hash[..16]))
}

fn find(handle: &Repository, name: &str) -> Result<Option<Kept>, Error> {
    let Ok(id) = handle.refname_to_id(name) else {
        return Ok(None);
    };
    let commit = handle.find_commit(id).map_err(|error| damaged(&error))?;
    let Some((version, digest)) = commit.message().ok().and_then(|text| text.split_once('\n'))
    else {
        return Ok(None);
    };
    Ok(Some(Kept {
        digest: digest.to_owned(),
        version: version.to_owned(),
        id,
        tree: Some(commit.tree_id()),
    }))
}

fn commit(
    handle: &Repository,
    name: &str,
    tree: Oid,
    version: &str,
    digest: &str,
) -> Result<Kept, git2::Error> {
    // The same files of the same version are the same commit.
    let author = Signature::new("naru", "naru", &Time::new(0, 0))?;
    let tree_of = handle.find_tree(tree)?;
    let id = handle.commit(
        None,
        &author,
        &author,
        &format!("{version}\n{digest}"),
        &tree_of,
        &[],
    )?;
    handle.reference(name, id, true, "")?;
    Ok(Kept {
        digest: digest.to_owned(),
        version: version.to_owned(),
        id,
        tree: Some(tree),
    })
}

/// Writes files as a tree, folder by folder from the deepest.
pub(super) fn write_tree(handle: &Repository, files: Tree) -> Result<Oid, git2::Error> {
    let mut folders: std::collections::BTreeMap<String, Vec<(String, Oid, FileMode)>> =
        [(String::new(), Vec::new())].into();
    for (path, entry) in files {
        let (blob, mode) = match entry {
            Entry::File(content) => (handle.blob(&content)?, FileMode::Blob),
            Entry::Link(target) => (handle.blob(target.as_bytes())?, FileMode::Link),
        };
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", &path));
        let mut known = folder;
        while !known.is_empty() && !folders.contains_key(known) {
            folders.insert(known.to_owned(), Vec::new());
            known = known.rsplit_once('/').map_or("", |(above, _)| above);
        }
        if let Some(entries) = folders.get_mut(folder) {
            entries.push((file.to_owned(), blob, mode));
        }
    }
    let mut order: Vec<String> = folders.keys().cloned().collect();
    order
        .sort_by_key(|folder| std::cmp::Reverse((!folder.is_empty(), folder.matches('/').count())));
    let mut root = None;
    for folder in order {
        let mut builder = handle.treebuilder(None)?;
        for (name, id, mode) in folders.remove(&folder).unwrap_or_default() {
            builder.insert(name, id, mode.into())?;
        }
        let tree = builder.write()?;
        if folder.is_empty() {
            root = Some(tree);
            continue;
        }
        let (above, name) = folder.rsplit_once('/').unwrap_or(("", &folder));
        if let Some(entries) = folders.get_mut(above) {
            entries.push((name.to_owned(), tree, FileMode::Tree));
        }
    }
    root.ok_or_else(|| git2::Error::from_str("nothing was written"))
        .inspect(|root| debug_assert!(handle.find_object(*root, Some(ObjectType::Tree)).is_ok()))
}

fn refused(chart: &str, version: &str, error: &git2::Error) -> Error {
    let reason = "it has a file whose name is none";
    let message = match chart {
        "" => message::chart::ARTIFACT_REFUSED
            .with("digest", version)
            .with("reason", reason),
        chart => message::chart::ARCHIVE_REFUSED
            .with("chart", chart)
            .with("version", version)
            .with("reason", reason),
    };
    Error::of(
        Kind::Invalid,
        Cause::error(message).evidence(error.message()),
    )
}
