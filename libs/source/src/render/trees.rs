//! The trees besides a source's own that a render may read: the sources that it refers to.
//!
//! A path in one of them begins with a slash and the tree's number: `/1/values.yaml`. No path of the source's own tree
//! begins with a slash, so neither can be taken for the other.

use std::cell::OnceCell;
use std::fmt;

use domain::cause::Cause;
use domain::message;
use tokio::runtime::Handle;

use crate::error::{Error, Kind};
use crate::git::{Access, Files, Mirrors, Opened};

/// Another source of the application, which options refer to as `$name/…`.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Its name, without `$`.
    pub name: String,
    /// The repository, and how to get in.
    pub access: Access,
    /// The commit.
    pub commit: String,
    /// The chart that it is; empty where it is none.
    pub chart: String,
}

/// The trees of one render, each opened when it is first named.
pub(super) struct Trees {
    mirrors: Mirrors,
    runtime: Handle,
    mounted: Vec<Mounted>,
}

struct Mounted {
    reference: Reference,
    opened: OnceCell<Opened>,
}

impl fmt::Debug for Trees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.mounted.iter().map(|tree| &tree.reference.name))
            .finish()
    }
}

impl Trees {
    /// Trees that are asked for over these mirrors. Only for a thread that may block.
    pub(super) fn new(mirrors: Mirrors, runtime: Handle, references: &[Reference]) -> Self {
        let mount = |reference: &Reference| Mounted {
            reference: reference.clone(),
            opened: OnceCell::new(),
        };
        Self {
            mirrors,
            runtime,
            mounted: references.iter().map(mount).collect(),
        }
    }

    /// Refuses names that are none, as Argo CD does.
    ///
    /// # Errors
    /// Which one, and why.
    pub(super) fn check(references: &[Reference]) -> Result<(), Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        for (at, Reference { name, .. }) in references.iter().enumerate() {
            let message = if !name.chars().all(plain) || name.is_empty() {
                &message::source::REFERENCE_NAME
            } else if references[..at].iter().any(|other| other.name == *name) {
                &message::source::REFERENCE_TWICE
            } else {
                continue;
            };
            let cause = Cause::error(message.with("name", name)).field("spec.sources");
            return Err(Error::of(Kind::Invalid, cause));
        }
        Ok(())
    }

    /// The names of all, as options write them.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        let names = self.mounted.iter();
        names.map(|tree| format!("${}", tree.reference.name))
    }

    /// The number of the tree that options write so, `$name`; opens it. Not while a worker's question is answered, which
    /// is no time to wait.
    ///
    /// # Errors
    /// When it is a chart, or cannot be had.
    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, Error> {
        let Some(at) = self.names().position(|known| known == name) else {
            return Ok(None);
        };
        if !self.mounted[at].reference.chart.is_empty() {
            let message = message::source::REFERENCE_TO_CHART.with("name", name);
            let cause = Cause::error(message).field("spec.sources");
            return Err(Error::of(Kind::Invalid, cause));
        }
        let tree = &self.mounted[at];
        if tree.opened.get().is_none() {
            let Reference { access, commit, .. } = &tree.reference;
            let snapshot = self
                .runtime
                .block_on(self.mirrors.ensure_commit(access, commit))?;
            let opened = snapshot.open()?;
            tree.opened.get_or_init(|| opened);
        }
        Ok(Some(at + 1))
    }

    /// The name of a tree, as options write it.
    pub(super) fn name(&self, number: usize) -> Option<String> {
        self.names().nth(number.checked_sub(1)?)
    }

    /// A path as people know it.
    pub(super) fn shown(&self, path: &str) -> String {
        let named = split(path).and_then(|(number, rest)| Some((self.name(number)?, rest)));
        named.map_or_else(|| path.to_owned(), |(name, rest)| format!("{name}/{rest}"))
    }

    /// Looks at the files of a tree that is open.
    ///
    /// # Errors
    /// When it is not, or what `look` returns.
    pub(super) fn look<T>(
        &self,
        number: usize,
        look: impl FnOnce(&Files<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let missing = || {
            let message = message::source::PATH_OUTSIDE.with("path", join(number, ""));
            Error::new(Kind::Invalid, message)
        };
        let tree = number
            .checked_sub(1)
            .and_then(|at| self.mounted.get(at))
            .ok_or_else(missing)?;
        let opened = tree.opened.get().ok_or_else(missing)?;
        look(&opened.files().ok_or_else(missing)?)
    }
}

/// The tree's number of a path, and the path in it; `None` for one in the source's own tree.
pub(super) fn split(path: &str) -> Option<(usize, &str)> {
    let (number, rest) = path
        .strip_prefix('/')?
        .split_once('/')
        .unwrap_or((&path[1..], ""));
    Some((number.parse().ok()?, rest))
}

/// A path in a tree.
pub(super) fn join(number: usize, path: &str) -> String {
    format!("/{number}/{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_tree() {
        assert_eq!(split("a/b"), None);
        assert_eq!(split(""), None);
        assert_eq!(split("/1/a/b"), Some((1, "a/b")));
        assert_eq!(split("/12"), Some((12, "")));
        assert_eq!(split("/x/a"), None);
        assert_eq!(split(&join(3, "a")), Some((3, "a")));
    }
}
