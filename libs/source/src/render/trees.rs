//! The trees besides a source's own that a render may read: the sources that it refers to, the repositories that a
//! kustomization takes folders of by their addresses, and the submodules of all of them.
//!
//! A path in one of them begins with a slash and the tree's number: `/1/values.yaml`. No path of the source's own tree
//! begins with a slash, so neither can be taken for the other. What is in a submodule has a path of the tree that the submodule
//! is in, as in a working copy.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use crowd::seats::Seat;
use domain::cause::Cause;
use domain::message::{self, Code};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::renderer::RenderInput;
use crate::error::{Error, Kind};
use crate::git::{Access, Files, Login, Mirrors, Opened, Rules};

/// The most repositories that one render may take folders of by their addresses.
pub(super) const MAX_REMOTES: usize = 50;

/// How long one render waits for all other places together: whoever has many slow ones holds a seat no longer than whoever
/// has one.
const WAITING: Duration = Duration::from_secs(120);

/// How long one render may take in all; no caller waits longer.
const RENDERING: Duration = Duration::from_secs(150);

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
    /// The address of the source's own repository.
    url: String,
    mirrors: Mirrors,
    runtime: Handle,
    references: Vec<Reference>,
    remotes: Vec<Access>,
    fresh: bool,
    /// What the render's thread has until it has ended, though nobody waits for it any more.
    seat: Option<Seat>,
    /// When it stops waiting for other places, but for what it has `queued`.
    deadline: Instant,
    /// How long it has waited for turns of its own to go on in: none of that is the other places'.
    queued: Cell<Duration>,
    /// When the whole render is given up.
    end: Instant,
    opened: RefCell<Vec<Rc<Tree>>>,
    /// The numbers of the submodules' trees, by where they stand.
    submodules: RefCell<BTreeMap<String, usize>>,
    /// The submodules that nothing is fetched for.
    left_out: RefCell<BTreeSet<String>>,
}

struct Tree {
    name: String,
    /// The address of its repository.
    url: String,
    /// What stands before a path in it for people.
    before: String,
    opened: Opened,
}

impl fmt::Debug for Trees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opened = self.opened.borrow();
        f.debug_list()
            .entries(opened.iter().map(|tree| &tree.name))
            .finish()
    }
}

impl Trees {
    /// Trees beside that of `own`, asked for over these mirrors. Only for a thread that may block.
    pub(super) fn new(
        own: &Access,
        mirrors: Mirrors,
        runtime: Handle,
        input: &RenderInput,
        seat: Option<Seat>,
    ) -> Self {
        Self {
            url: own.url().to_owned(),
            mirrors,
            runtime,
            references: input.references.clone(),
            remotes: input.remotes.clone(),
            fresh: input.fresh,
            seat,
            deadline: Instant::now() + WAITING,
            queued: Cell::default(),
            end: Instant::now() + RENDERING,
            opened: RefCell::default(),
            left_out: RefCell::default(),
            submodules: RefCell::default(),
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

    /// The names of all sources that can be referred to, as options write them.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        let names = self.references.iter();
        names.map(|reference| format!("${}", reference.name))
    }

    /// The number of a tree by the name that a read set has for it: `$name` of a source, or the [`Trees::remote_name`] of a
    /// repository. Opens it. Not while a worker's question is answered, which is no time to wait.
    ///
    /// # Errors
    /// When it is a chart, or cannot be had.
    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, Error> {
        if let Some(number) = self.known(name) {
            return Ok(Some(number));
        }
        if let Some((url, revision)) = name.split_once("?ref=") {
            return self.remote(name, url, revision);
        }
        let Some(at) = self.names().position(|known| known == name) else {
            return Ok(None);
        };
        let Reference {
            access,
            commit,
            chart,
            ..
        } = &self.references[at];
        // Nothing is taken from a chart or an artifact, as in Argo CD.
        if !chart.is_empty() || access.is_registry() {
            let message = message::source::REFERENCE_TO_CHART.with("name", name);
            let cause = Cause::error(message).field("spec.sources");
            return Err(Error::of(Kind::Invalid, cause));
        }
        self.open(name, format!("{name}/"), access, commit)
            .map(Some)
    }

    /// Waits for another place, as long as the render may; its turn is others' meanwhile. All that a render's thread waits for of
    /// servers it waits for here. Not while a worker's question is answered.
    ///
    /// # Errors
    /// What the work says, or `late` when it takes too long; that the whole render does, where there is no turn to go on in.
    pub(super) fn wait<T>(
        &self,
        access: &Access,
        late: &Code,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let waiting = async {
            let deadline = self.deadline + self.queued.get();
            match tokio::time::timeout_at(deadline, work).await {
                Ok(result) => result.map_err(Error::fetched),
                Err(_) => {
                    let message = late.with("url", access.shown());
                    let message = message.with("seconds", WAITING.as_secs());
                    Err(Error::new(Kind::Unreachable, message))
                }
            }
        };
        self.runtime.block_on(async {
            let Some(seat) = &self.seat else {
                return waiting.await;
            };
            let came = Cell::new(None::<Instant>);
            let coming = async {
                let result = waiting.await;
                came.set(Some(Instant::now()));
                result
            };
            let done = tokio::time::timeout_at(self.end, seat.lending(coming)).await;
            // What it has waited for since is a turn.
            let queued = came.get().map(|came| came.elapsed()).unwrap_or_default();
            self.queued.set(self.queued.get().saturating_add(queued));
            done.unwrap_or_else(|_| Err(self.over()))
        })
    }

    /// The name of a repository's tree at a revision. No address has a question mark.
    pub(super) fn remote_name(url: &str, revision: &str) -> String {
        format!("{url}?ref={revision}")
    }

    /// The number of a tree that is open.
    pub(super) fn known(&self, name: &str) -> Option<usize> {
        let opened = self.opened.borrow();
        let at = opened.iter().position(|tree| tree.name == name)?;
        Some(at + 1)
    }

    /// The way into a place by its address, where there is one.
    ///
    /// # Errors
    /// When it is an address of a form that is not allowed.
    pub(super) fn offered(&self, url: &str) -> Result<Option<&Access>, Error> {
        // In the form of those that are offered; whether files are allowed was asked when they were.
        let rules = Rules { files: true };
        let wanted = Access::new("any", "", url, Login::default(), rules)?;
        let mut offered = self.remotes.iter();
        Ok(offered.find(|access| access.url() == wanted.url()))
    }

    pub(super) fn mirrors(&self) -> &Mirrors {
        &self.mirrors
    }

    fn remote(&self, name: &str, url: &str, revision: &str) -> Result<Option<usize>, Error> {
        let Some(access) = self.offered(url)? else {
            return Ok(None);
        };
        if self.opened.borrow().len() >= MAX_REMOTES {
            return Err(too_many());
        }
        let resolve = |fresh| {
            let resolving = self.mirrors.resolve(access, revision, fresh);
            self.wait(access, &message::source::TIMEOUT, resolving)
        };
        let commit = match resolve(self.fresh) {
            // It may have been pushed since the repository was listed.
            Err(error) if error.kind() == Kind::NotFound && !self.fresh => resolve(true)?,
            result => result?,
        };
        self.open(name, format!("{url}//"), access, &commit)
            .map(Some)
    }

    fn open(
        &self,
        name: &str,
        before: String,
        access: &Access,
        commit: &str,
    ) -> Result<usize, Error> {
        let ensuring = self.mirrors.ensure_commit(access, commit);
        let snapshot = self.wait(access, &message::source::TIMEOUT, ensuring)?;
        let tree = Tree {
            name: name.to_owned(),
            url: access.url().to_owned(),
            before,
            opened: snapshot.open()?,
        };
        let mut opened = self.opened.borrow_mut();
        opened.push(Rc::new(tree));
        Ok(opened.len())
    }

    /// Lets a submodule's tree stand where the submodule is.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn enter(&self, submodule: &str, number: usize) -> Result<(), Error> {
        let mut submodules = self.submodules.borrow_mut();
        if submodules.len() >= MAX_REMOTES {
            return Err(too_many());
        }
        submodules.insert(submodule.to_owned(), number);
        Ok(())
    }

    /// Lets a submodule be nothing.
    pub(super) fn leave_out(&self, submodule: &str) {
        self.left_out.borrow_mut().insert(submodule.to_owned());
    }

    /// Whether a submodule is to be nothing.
    pub(super) fn is_left_out(&self, submodule: &str) -> bool {
        self.left_out.borrow().contains(submodule)
    }

    /// Whether the render may go on.
    ///
    /// # Errors
    /// When it took too long in all.
    pub(super) fn in_time(&self) -> Result<(), Error> {
        match Instant::now() < self.end {
            true => Ok(()),
            false => Err(self.over()),
        }
    }

    /// That the render took too long in all: it is the platform that had no turn, where it waited for one most of the time.
    fn over(&self) -> Error {
        let queued = self.queued.get();
        if queued >= RENDERING / 2 {
            let message = message::source::PLACES_TAKEN
                .with("url", &self.url)
                .with("seconds", queued.as_secs());
            return Error::new(Kind::Unreachable, message).fetched();
        }
        let message = message::source::RENDER_TIMEOUT
            .with("path", ".")
            .with("seconds", RENDERING.as_secs());
        Error::new(Kind::TooLarge, message)
    }

    /// Where a path without links really is: the number of its tree, none for the source's own, and the path in it.
    pub(super) fn place<'p>(&self, path: &'p str) -> (Option<usize>, &'p str) {
        let submodules = self.submodules.borrow();
        let mut above = path;
        while !submodules.is_empty() && !above.is_empty() {
            if let Some(number) = submodules.get(above) {
                return (Some(*number), path[above.len()..].trim_start_matches('/'));
            }
            above = above.rfind('/').map_or("", |slash| &above[..slash]);
        }
        match split(path) {
            Some((number, path)) => (Some(number), path),
            None => (None, path),
        }
    }

    /// The address of a tree's repository.
    pub(super) fn url(&self, number: Option<usize>) -> String {
        let tree = number.and_then(|number| self.tree(number));
        tree.map_or_else(|| self.url.clone(), |tree| tree.url.clone())
    }

    /// What a file in the format of Git's settings says about submodules.
    ///
    /// # Errors
    /// When it says nothing that Git understands.
    pub(super) fn settings(&self, content: &[u8]) -> Result<Vec<(String, String)>, Error> {
        self.in_time()?;
        self.runtime.block_on(self.mirrors.settings(content))
    }

    fn tree(&self, number: usize) -> Option<Rc<Tree>> {
        let opened = self.opened.borrow();
        opened.get(number.checked_sub(1)?).cloned()
    }

    /// The name of a tree.
    pub(super) fn name(&self, number: usize) -> Option<String> {
        self.tree(number).map(|tree| tree.name.clone())
    }

    /// The repository and the commit of the other source that a path leads into; `None` where it leads into none.
    pub(super) fn reference(&self, path: &str) -> Option<(String, String)> {
        let (number, _) = split(path)?;
        let tree = self.tree(number)?;
        let name = tree.name.strip_prefix('$')?;
        let mut references = self.references.iter();
        let found = references.find(|reference| reference.name == name)?;
        Some((found.access.shown().to_owned(), found.commit.clone()))
    }

    /// A path as people know it.
    pub(super) fn shown(&self, path: &str) -> String {
        let placed = split(path).and_then(|(number, rest)| Some((self.tree(number)?, rest)));
        placed.map_or_else(
            || path.to_owned(),
            |(tree, rest)| format!("{}{rest}", tree.before),
        )
    }

    /// A tool's words with paths as people know them; it sees other trees as folders of its own.
    pub(super) fn said(&self, text: &str) -> String {
        let mut parts = text.split("+tree/");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            // The way up to it. All of it at once: a text may consist of nothing else.
            text.truncate(text.trim_end_matches("../").len());
            text.push_str("+tree/");
            text.push_str(part);
        }
        let opened = self.opened.borrow();
        for (at, tree) in opened.iter().enumerate() {
            for slash in ["/", ""] {
                text = text.replace(&format!("{slash}+tree/{}/", at + 1), &tree.before);
            }
        }
        text
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
        let tree = self.tree(number).ok_or_else(missing)?;
        look(&tree.opened.files().ok_or_else(missing)?)
    }
}

/// That a render takes of too many repositories.
pub(super) fn too_many() -> Error {
    let message = message::source::TOO_LARGE
        .with("what", "the number of other repositories")
        .with("limit", MAX_REMOTES);
    Error::new(Kind::TooLarge, message)
}

/// The tree's number of a path, and the path in it; `None` for one in the source's own tree.
pub(super) fn split(path: &str) -> Option<(usize, &str)> {
    let below = path.strip_prefix('/')?;
    let (number, rest) = below.split_once('/').unwrap_or((below, ""));
    Some((number.parse().ok()?, rest))
}

/// A path in a tree.
pub(super) fn join(number: usize, path: &str) -> String {
    format!("/{number}/{path}")
}

#[cfg(test)]
mod tests {
    use domain::egress::Egress;
    use sandbox::Sandbox;
    use tokio::runtime::Builder;

    use super::*;
    use crate::git::Limits;

    #[test]
    fn what_a_render_waits_for_turns_of_its_own_is_no_other_places_time() {
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
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_time().build().unwrap();
        let (input, handle) = (RenderInput::default(), runtime.handle().clone());
        let mut trees = Trees::new(&own, mirrors, handle, &input, None);
        trees.deadline = Instant::now();
        let pending = std::future::pending::<Result<(), Error>>();
        let late = trees.wait(&own, &message::source::TIMEOUT, pending);
        assert_eq!(late.unwrap_err().cause().message.code, "source.timeout");
        let coming = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(())
        };
        trees.queued.set(RENDERING / 2 - Duration::from_secs(1));
        let came = trees.wait(&own, &message::source::TIMEOUT, coming);
        came.unwrap();
        // Nor is a render too large that had no turn.
        trees.in_time().unwrap();
        trees.end = Instant::now();
        let over = trees.in_time().unwrap_err();
        assert_eq!(over.cause().message.code, "source.render-timeout");
        trees.queued.set(RENDERING / 2);
        let over = trees.in_time().unwrap_err();
        assert_eq!(over.cause().message.code, "source.places-taken");
        assert!(over.is_about_fetching(), "the next time it may have one");
    }

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
