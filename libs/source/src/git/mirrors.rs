//! All mirrors of a repo-server: listing, resolving, fetching, opening.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crowd::fair::{Fair, Turn};
use domain::cause::Cause;
use domain::egress::Egress;
use domain::message;
use domain::revision::Target;
use domain::signature::{Signature, Verdict};
use domain::version::newest_of;
use parking_lot::Mutex;
use sandbox::Sandbox;
use sha2::{Digest, Sha256};

use super::access::{Access, Scheme};
use super::command::{Bounds, Call};
use super::egress::{self, Names};
use super::files::{Files, Known};
use super::github_app::Tokens;
use super::http::{self, Clients};
use super::metadata::{self, Metadata};
use super::mirror::{Expanded, Handle, MAX_REF_FILES, Mirror};
use super::places::{self, Patience, is_late, late};
use super::refs::{self, MAX_REFS, Named, Refs, is_commit};
use super::remove::remove_all;
use super::signature::{self, Signed};
use crate::error::{Error, Kind};

mod boot;
mod haves;
mod listings;
mod packs;
mod room;
mod tips;
mod ways;

pub(super) use listings::Listed;
pub(crate) use room::size_of;
pub(super) use ways::Way;

use listings::Taken;
use room::Room;

/// How many tags of one commit are looked at for a signature.
const MOST_TAGS: usize = 16;
/// How many tags are named where none begins as asked for.
const NAMED_TAGS: usize = 5;

/// After how many uses of mirrors one that was not among them is closed, and how often that is looked for, in uses: each one that
/// is open has files and memory of its own.
const OPEN: u64 = 256;
const LOOK: u64 = 64;
/// How many listings by children of their own run at once, of all and of one tenant: each is two processes, with their memory. Each
/// tenant leaves as many places as it has: what they wait for are its own servers.
const CHILDREN: (usize, usize) = (64, 16);
/// How many fetches run at once, of all and of one tenant: each is some processes that may take much memory. No turn of a
/// render bounds them, which is given back meanwhile; a page that shows a commit fetches too, and whoever names one by its beginning.
/// Each tenant leaves as many as it has: two whose servers hang have not all of them.
const FETCHES: (usize, usize) = (16, 8);
/// How many repositories are known at once; those that were only listed are forgotten above it.
const KNOWN: usize = 20_000;

/// What fetching may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long listing refs may take.
    pub list: Duration,
    /// How long a fetch may take.
    pub fetch: Duration,
    /// How large one pack may be, in bytes.
    pub pack: u64,
    /// How much memory each process of a fetch may write to, in bytes: where a pack is taken, some 200 for each object of it.
    pub memory: u64,
    /// For how long a listing answers those who do not ask for a fresh one.
    pub remember: Duration,
    /// How much all mirrors may take on the disk, in bytes; beyond, those that were used longest ago go, of the tenant that
    /// has most.
    pub disk: u64,
}

impl Default for Limits {
    /// As Argo CD has them, where it has them.
    fn default() -> Self {
        Self {
            list: Duration::from_secs(15),
            fetch: Duration::from_secs(90),
            pack: 2 << 30,
            // What leaves room for the service below the 2 GiB that the chart gives it.
            memory: 1 << 30,
            remember: Duration::from_secs(180),
            disk: 6 << 30,
        }
    }
}

/// What was asked of a Git server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// The refs.
    List,
    /// The objects.
    Fetch,
}

/// Hears of every request to a Git server, for metrics.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// One request has ended.
    fn requested(&self, access: &Access, request: Request, took: Duration, succeeded: bool);
}

/// All mirrors of a repo-server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Mirrors(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    temporary: PathBuf,
    /// Whether a fetch waits until the disk has what it wrote.
    forced: bool,
    limits: Limits,
    names: Arc<Names>,
    sandbox: Sandbox,
    clients: Clients,
    /// The places of listings that children make.
    children: Fair,
    /// The turns of fetches; whoever has one waits for no mirror.
    fetches: Fair,
    tokens: Tokens,
    observer: Option<Arc<dyn Observer>>,
    mirrors: Mutex<HashMap<(String, String), Arc<Mirror>>>,
    /// Grows with each use of a mirror.
    uses: AtomicU64,
    /// What the listings take that are remembered.
    taken: Taken,
    room: Room,
}

/// A commit and the tags that lead to it, each of which may be signed.
#[derive(Debug)]
pub struct MaybeSigned {
    snapshot: Snapshot,
    /// Whether the first of the tags is the one that was named.
    named: bool,
    tags: Vec<String>,
}

/// A commit, ready to be read.
#[derive(Clone, Debug)]
pub struct Snapshot {
    mirror: Arc<Mirror>,
    commit: git2::Oid,
    tree: git2::Oid,
}

impl Snapshot {
    /// A commit that a mirror has.
    pub(crate) fn new(mirror: Arc<Mirror>, commit: git2::Oid, tree: git2::Oid) -> Self {
        Self {
            mirror,
            commit,
            tree,
        }
    }

    /// The commit.
    #[must_use]
    pub fn commit(&self) -> String {
        self.commit.to_string()
    }

    /// Its tree: two commits with the same one have the same files.
    #[must_use]
    pub fn tree(&self) -> String {
        self.tree.to_string()
    }

    async fn has_ref(&self, name: &str) -> Result<bool, Error> {
        let name = name.to_owned();
        self.opened(move |handle| Ok(handle.refname_to_id(&name).is_ok()))
            .await
    }

    /// Runs a job over the mirror, on a thread where blocking is allowed. Where the mirror turns out to be damaged, whoever comes
    /// next looks for the commit again.
    async fn opened<T: Send + 'static>(
        &self,
        job: impl FnOnce(&git2::Repository) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let mirror = Arc::clone(&self.mirror);
        let reading = tokio::task::spawn_blocking(move || {
            let handle = mirror.open()?;
            let result = job(&handle);
            if matches!(&result, Err(error) if error.kind() == Kind::Corrupt) {
                mirror.doubt();
            } else {
                mirror.give_back(handle);
            }
            result
        });
        reading.await.map_err(Error::internal)?
    }

    /// Opens it for a thread that may block.
    ///
    /// # Errors
    /// That the mirror cannot be opened.
    pub(crate) fn open(&self) -> Result<Opened, Error> {
        Ok(Opened {
            handle: Some(self.mirror.open()?),
            mirror: self.mirror.clone(),
            tree: self.tree,
            known: Known::default(),
        })
    }

    /// Runs a job that reads the commit's files, on a thread where blocking is allowed.
    ///
    /// # Errors
    /// What the job returns, or that the mirror cannot be opened.
    pub async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Files<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let tree = self.tree;
        self.opened(move |handle| job(&Files::new(handle, tree)))
            .await
    }
}

/// A commit that is open to be read, for as long as somebody has this.
pub(crate) struct Opened {
    mirror: Arc<Mirror>,
    handle: Option<Handle>,
    tree: git2::Oid,
    known: Known,
}

impl Opened {
    /// Its files.
    pub(crate) fn files(&self) -> Option<Files<'_>> {
        Some(Files::with(self.handle.as_ref()?, self.tree, &self.known))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.mirror.give_back(handle);
        }
    }
}

impl Mirrors {
    /// Mirrors below a folder that nobody else uses.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(
        folder: PathBuf,
        limits: Limits,
        egress: Egress,
        sandbox: Sandbox,
        observer: Option<Arc<dyn Observer>>,
    ) -> std::io::Result<Self> {
        let temporary = folder.join("tmp");
        // Credentials of calls that a crash interrupted.
        remove_all(&temporary)?;
        std::fs::create_dir_all(&temporary)?;
        let names = Arc::new(Names::new(Arc::new(egress)));
        let mirrors = folder.join("mirrors");
        let run = boot::run();
        boot::clear_earlier(&mirrors, run.as_deref())?;
        room::clear_leftovers(&mirrors);
        let inner = Inner {
            folder: mirrors,
            temporary,
            forced: run.is_none(),
            limits,
            clients: Clients::new(Arc::clone(&names)),
            children: Fair::sparing(CHILDREN.0, CHILDREN.1),
            fetches: Fair::sparing(FETCHES.0, FETCHES.1),
            tokens: Tokens::default(),
            names,
            sandbox,
            observer,
            mirrors: Mutex::default(),
            uses: AtomicU64::new(0),
            taken: Taken::default(),
            room: Room::default(),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// A folder beside the mirrors.
    pub(crate) fn sibling(&self, name: &str) -> PathBuf {
        self.0.folder.with_file_name(name)
    }

    /// The ways to servers over HTTP.
    pub(crate) fn clients(&self) -> &Clients {
        &self.0.clients
    }

    /// What fetching may cost.
    pub(crate) fn limits(&self) -> Limits {
        self.0.limits
    }

    fn mirror(&self, access: &Access) -> Arc<Mirror> {
        let name = hex::encode(&Sha256::digest(format!("{}\0{}", access.scope, access.url))[..16]);
        let mut mirrors = self.0.mirrors.lock();
        let path = self.0.folder.join(&access.tenant).join(&name);
        let mirror = mirrors
            .entry((access.tenant.clone(), name))
            .or_insert_with(|| Arc::new(Mirror::new(path)));
        let uses = self.0.uses.fetch_add(1, Ordering::Relaxed) + 1;
        mirror.use_now(uses);
        let mirror = mirror.clone();
        let (mut resting, mut outdated, mut forgotten) = (Vec::new(), Vec::new(), Vec::new());
        if uses.is_multiple_of(LOOK) {
            let unused = |one: &Mirror| one.used().saturating_add(OPEN) <= uses;
            for one in mirrors.values() {
                outdated.extend(one.outdated(self.0.limits.remember));
                if unused(one) {
                    resting.extend(one.rest());
                }
            }
            if mirrors.len() > KNOWN {
                mirrors.retain(|_, one| {
                    let stays = Arc::strong_count(one) > 1 || !unused(one) || !one.is_blank();
                    if !stays {
                        forgotten.push(Arc::clone(one));
                    }
                    stays
                });
            }
        }
        drop(mirrors);
        // Only now: others wait for the list.
        drop((resting, outdated, forgotten));
        mirror
    }

    /// Notes that a mirror is used though nothing of it is read.
    pub(crate) fn use_now(&self, access: &Access) {
        drop(self.mirror(access));
    }

    async fn call<'a>(&'a self, access: &'a Access, deadline: Duration) -> Result<Call<'a>, Error> {
        let looking = tokio::time::timeout(deadline, egress::addresses(&self.0.names, access));
        let addresses = looking.await.map_err(|_| late(access, deadline))??;
        Call::prepare(
            &self.0.sandbox,
            access,
            &addresses,
            &self.0.temporary,
            deadline,
            self.bounds(),
        )
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            file_size: self.0.limits.pack,
            memory: self.0.limits.memory,
            forced: self.0.forced,
        }
    }

    /// The way in for one request: with a token where a GitHub App is what opens the repository.
    async fn enter(&self, access: &Access) -> Result<Access, Error> {
        let entered = self.0.tokens.enter(&self.0.clients, access).await?;
        Ok(entered.unwrap_or_else(|| access.clone()))
    }

    pub(crate) async fn observed<T>(
        &self,
        access: &Access,
        request: Request,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let result = work.await;
        if let Some(observer) = &self.0.observer {
            observer.requested(access, request, begun.elapsed(), result.is_ok());
        }
        if let Err(error) = &result {
            if error.kind() == Kind::Denied {
                self.0.tokens.forget(access);
            }
            let detail = error.log_detail().unwrap_or_default();
            tracing::warn!(tenant = access.tenant(), url = access.url(), ?request, %error, detail, "a request to a repository failed");
        }
        result
    }

    async fn ask(
        &self,
        mirror: &Mirror,
        access: &Access,
        more: Option<&str>,
    ) -> Result<Refs, Error> {
        let limit = self.0.limits.list;
        let _place = match access.scheme {
            Scheme::Http => None,
            Scheme::Ssh | Scheme::File => Some(places::place(&self.0.children, access).await?),
        };
        self.observed(access, Request::List, async {
            let access = &self.enter(access).await?;
            match access.scheme {
                Scheme::Http => {
                    http::list(&self.0.clients, access, more, &mirror.version2, limit).await
                }
                Scheme::Ssh | Scheme::File => self.call(access, limit).await?.list(more).await,
            }
        })
        .await
    }

    /// The tips of a repository; `fresh` joins only a listing that begins after this call.
    ///
    /// # Errors
    /// When the repository cannot be reached or read.
    #[tracing::instrument(name = "git.list_refs", skip_all)]
    pub async fn list_refs(&self, access: &Access, fresh: bool) -> Result<Arc<Refs>, Error> {
        let mirror = self.mirror(access);
        if !fresh
            && let Some(listed) = &*mirror.listed.lock()
            && let Some(refs) = listed.within(self.0.limits.remember)
        {
            return Ok(refs.clone());
        }
        let listing = || async {
            let refs = Arc::new(self.ask(&mirror, access, None).await?);
            self.remember(access.tenant(), &mirror, &refs);
            Ok(refs)
        };
        mirror.listing.ask((), listing).await
    }

    /// The commit that a revision names. A whole commit is taken as it is, as by Argo CD.
    ///
    /// # Errors
    /// When the repository cannot be reached, or nothing has that name.
    pub async fn resolve<'a>(
        &self,
        access: &Access,
        target: impl Into<Target<'a>>,
        fresh: bool,
    ) -> Result<String, Error> {
        let mut target = target.into();
        target.revision = target.revision.trim();
        let revision = target.revision;
        if is_commit(revision) {
            return Ok(revision.to_ascii_lowercase());
        }
        let missing = || {
            let message = message::source::REVISION_NOT_FOUND
                .with("url", access.url())
                .with("revision", target.name());
            Error::new(Kind::NotFound, message)
        };
        if !target.has_good_prefix() {
            let message = message::source::TAG_PREFIX_INVALID.with("prefix", target.shown_prefix());
            let cause = Cause::error(message).field("spec.source.tagPrefix");
            return Err(Error::of(Kind::Invalid, cause));
        }
        if revision.len() > 250
            || revision.starts_with('-')
            || revision.chars().any(char::is_control)
        {
            return Err(missing());
        }
        let refs = self.list_refs(access, fresh).await?;
        if refs.refs.is_empty() {
            return Err(Error::new(
                Kind::NotFound,
                message::source::EMPTY_REPOSITORY.with("url", access.url()),
            ));
        }
        match refs.find(target) {
            Named::Commit(commit) => Ok(commit),
            Named::Nothing if revision.starts_with("refs/") => {
                let mirror = self.mirror(access);
                let refs = self.ask(&mirror, access, Some(revision)).await?;
                refs.refs.get(revision).cloned().ok_or_else(missing)
            }
            Named::Nothing => Err(unmatched(access, target, &refs).unwrap_or_else(missing)),
            Named::Short(short) => {
                let begin = |commit: &&String| commit.starts_with(&short);
                let mut tips = refs.refs.values().filter(begin);
                let tip = tips.next();
                let known = self.mirror(access).begins_so(&short);
                if let Some(tip) = tip
                    && tips.all(|other| other == tip)
                    && known.as_ref().is_none_or(|known| known == tip)
                {
                    return Ok(tip.clone());
                }
                // Whoever insists is told where several begin so by now, and so is everybody where a tip is one of them.
                match known.filter(|_| tip.is_none() && !fresh) {
                    Some(commit) => Ok(commit),
                    None => self.expand(access, &short).await?.ok_or_else(missing),
                }
            }
        }
    }

    /// A shortened commit that is no tip: only the mirror knows, once it has everything.
    async fn expand(&self, access: &Access, short: &str) -> Result<Option<String>, Error> {
        let mirror = self.mirror(access);
        let patience = self.patience(&mirror, access);
        self.fetch(&mirror, access, patience).await?;
        let (reading, text) = (mirror.clone(), short.to_owned());
        let found = tokio::task::spawn_blocking(move || reading.expand(&text))
            .await
            .map_err(Error::internal)??;
        match found {
            None => Ok(None),
            Some(Expanded::Commit(commit)) => {
                mirror.note_begin(short, &commit);
                Ok(Some(commit))
            }
            Some(Expanded::Several) => {
                let message = message::source::REVISION_AMBIGUOUS
                    .with("url", access.url())
                    .with("revision", short);
                Err(Error::new(Kind::Invalid, message))
            }
        }
    }

    /// How long somebody waits for turns at a repository: as long as one fetch may take, so that nobody is turned away for one that
    /// is within its limits.
    fn patience<'a>(&self, mirror: &'a Mirror, access: &'a Access) -> Patience<'a> {
        Patience::of(access, &mirror.standing, self.0.limits.fetch)
    }

    /// Waits for the turn of a fetch, and says that it has begun. Only while holding the mirror's fetch.
    async fn fetch_turn(&self, mirror: &Mirror, access: &Access, begun: &AtomicBool) -> Turn {
        let turn = {
            let _stands = mirror.standing.stands();
            self.0.fetches.turn(access.tenant()).await
        };
        begun.store(true, Ordering::Relaxed);
        turn
    }

    /// Fetches every branch and tag. A damaged mirror is fetched anew beside itself, and gives its place up once that has
    /// succeeded: a server that sends rubbish takes nothing away.
    #[tracing::instrument(name = "git.fetch", skip_all)]
    async fn fetch(
        &self,
        mirror: &Arc<Mirror>,
        access: &Access,
        patience: Patience<'_>,
    ) -> Result<(), Error> {
        let begun = AtomicBool::new(false);
        let job = || async {
            let _turn = self.fetch_turn(mirror, access, &begun).await;
            mirror.begin();
            let fetched = match self.fetch_once(mirror, access).await {
                Err(error) if error.kind() == Kind::Corrupt => {
                    tracing::warn!(
                        tenant = access.tenant(),
                        url = access.url(),
                        "a damaged mirror is fetched anew"
                    );
                    self.fetch_beside(mirror, access).await
                }
                result => result,
            };
            if fetched.is_ok() {
                self.gather(mirror, access).await;
            }
            mirror.end();
            // What one that failed has brought takes its room, too.
            self.make_room(mirror).await;
            fetched
        };
        patience.turn(&begun, mirror.fetching.ask((), job)).await
    }

    async fn fetch_once(&self, mirror: &Arc<Mirror>, access: &Access) -> Result<(), Error> {
        let preparing = mirror.clone();
        let prepared = tokio::task::spawn_blocking(move || preparing.prepare());
        prepared.await.map_err(Error::internal)??;
        let fetched = self
            .observed(access, Request::Fetch, async {
                let entered = self.enter(access).await?;
                let call = self.call(&entered, self.0.limits.fetch).await?;
                call.fetch(&mirror.path, None).await
            })
            .await;
        // Whether it succeeded or not: what was written is there. First, for the rest is not looked through elsewhere.
        self.bound_refs(mirror, MAX_REF_FILES).await?;
        if fetched.is_err() {
            // Here: on another thread it would go on when nobody waits for it any more, beside the next fetch and its locks.
            mirror.clear_leftovers();
        }
        fetched
    }

    /// Throws a mirror away whose refs are more files, folders and lines than this. Only while holding the fetch: where nobody waits
    /// for the count any more, the next one may fetch beside it, and takes no harm by that.
    async fn bound_refs(&self, mirror: &Arc<Mirror>, most: usize) -> Result<(), Error> {
        let counted = mirror.clone();
        let counting = tokio::task::spawn_blocking(move || counted.has_more_refs(most));
        if !counting.await.map_err(Error::internal)? {
            return Ok(());
        }
        self.discard(mirror).await?;
        Err(refs::too_large(format!("{MAX_REFS} names")))
    }

    async fn fetch_beside(&self, mirror: &Arc<Mirror>, access: &Access) -> Result<(), Error> {
        let beside = Arc::new(Mirror::new(mirror.path.with_extension("anew")));
        self.discard(&beside).await?;
        if let Err(error) = self.fetch_once(&beside, access).await {
            self.discard(&beside).await?;
            // Nothing of ours was damaged there.
            return Err(match error.kind() {
                Kind::Corrupt => Error::of(Kind::Unreachable, error.cause().clone()),
                _ => error,
            });
        }
        let mirror = mirror.clone();
        let replacing = tokio::task::spawn_blocking(move || mirror.replace(&beside.path));
        replacing.await.map_err(Error::internal)?
    }

    /// Whether a commit need not be fetched. Where the mirror cannot say so, it is for whoever reads it to find out why.
    pub async fn has_commit(&self, access: &Access, commit: &str) -> bool {
        let found = open(&self.mirror(access), commit).await;
        !matches!(found, Ok(None))
    }

    /// Makes sure that the mirror has a commit, and opens it. A commit that is there needs no fetch.
    ///
    /// # Errors
    /// When the repository cannot be reached, or has no such commit.
    pub async fn ensure_commit(&self, access: &Access, commit: &str) -> Result<Snapshot, Error> {
        let missing = || {
            let message = message::source::REVISION_NOT_FOUND
                .with("url", access.url())
                .with("revision", commit);
            Error::new(Kind::NotFound, message)
        };
        if !is_commit(commit) {
            return Err(missing());
        }
        let mirror = self.mirror(access);
        match open(&mirror, commit).await {
            Ok(Some(snapshot)) => return Ok(snapshot),
            Ok(None) => {}
            Err(error) if error.kind() == Kind::Corrupt => self.discard(&mirror).await?,
            Err(error) => return Err(error),
        }
        let patience = self.patience(&mirror, access);
        if let Some(snapshot) = self.fetch_tip(&mirror, access, commit, patience).await? {
            return Ok(snapshot);
        }
        self.fetch(&mirror, access, patience).await?;
        if let Some(snapshot) = open(&mirror, commit).await? {
            return Ok(snapshot);
        }
        // Not below any branch or tag (a merge request's, or one that was pushed over): many servers give it by its id.
        let (begun, limit) = (AtomicBool::new(false), self.0.limits.fetch);
        let job = || async {
            let _turn = self.fetch_turn(&mirror, access, &begun).await;
            // Who came before may have brought it.
            if let Some(snapshot) = open(&mirror, commit).await? {
                return Ok(snapshot);
            }
            if !mirror.unlisted.is_open() {
                return Err(late(access, limit));
            }
            mirror.begin();
            let fetched = self.fetch_id(&mirror, access, commit, &[]).await;
            if let Err(error) = &fetched {
                // Of as much time as such a commit took in vain others have the turns: there may be many of them, and each takes all of
                // a fetch's time where a server is silent about what it does not have.
                if is_late(error) {
                    mirror.unlisted.rest(limit);
                }
                // Here, as after another fetch that failed.
                mirror.clear_leftovers();
            }
            mirror.end();
            self.make_room(&mirror).await;
            fetched.map_err(|error| {
                if error.kind() == Kind::NotFound {
                    missing()
                } else {
                    error
                }
            })?;
            open(&mirror, commit).await?.ok_or_else(missing)
        };
        // Beside another fetch it would lose what it has half written to that one's clearing.
        patience.turn(&begun, mirror.fetching.alone((), job)).await
    }

    /// What a file in the format of Git's settings says about submodules, each key with its value.
    ///
    /// # Errors
    /// When Git does not understand it.
    pub(crate) async fn settings(&self, content: &[u8]) -> Result<Vec<(String, String)>, Error> {
        let Inner {
            sandbox,
            temporary,
            limits,
            ..
        } = &*self.0;
        let asked = (content, r"^submodule\..*\.(path|url|update)$");
        super::command::settings(sandbox, asked, temporary, limits.list).await
    }

    /// Throws a damaged mirror away, so that the next [`Mirrors::ensure_commit`] fetches it anew.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn forget(&self, access: &Access) -> Result<(), Error> {
        self.discard(&self.mirror(access)).await
    }

    /// Removes all mirrors of a tenant; says how many are left, of this moment: one that is being fetched comes back.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub async fn forget_tenant(&self, tenant: &str) -> Result<usize, Error> {
        let gone: Vec<Arc<Mirror>> = {
            let mut mirrors = self.0.mirrors.lock();
            let mut gone = Vec::new();
            mirrors.retain(|(whose, _), mirror| {
                if whose == tenant {
                    gone.push(mirror.clone());
                }
                whose != tenant
            });
            gone
        };
        let folder = self.0.folder.join(tenant);
        let (this, tenant) = (self.clone(), tenant.to_owned());
        let removing = tokio::task::spawn_blocking(move || {
            // That waits while room is made.
            this.0.room.forget(&tenant);
            for mirror in gone {
                mirror.discard()?;
            }
            remove_all(&folder).map_err(Error::internal)?;
            Ok(std::fs::read_dir(&folder).map_or(0, Iterator::count))
        });
        removing.await.map_err(Error::internal)?
    }

    async fn discard(&self, mirror: &Arc<Mirror>) -> Result<(), Error> {
        let mirror = mirror.clone();
        tokio::task::spawn_blocking(move || mirror.discard())
            .await
            .map_err(Error::internal)?
    }

    /// Author, date, tags and message of a commit.
    ///
    /// # Errors
    /// When the repository cannot be reached, or has no such commit.
    pub async fn commit_metadata(&self, access: &Access, commit: &str) -> Result<Metadata, Error> {
        let snapshot = self.ensure_commit(access, commit).await?;
        let tags: Vec<String> = match self.list_refs(access, false).await {
            Ok(refs) => {
                let ours = refs.refs.iter().filter(|(_, target)| *target == commit);
                ours.filter_map(|(name, _)| name.strip_prefix("refs/tags/"))
                    .map(str::to_owned)
                    .collect()
            }
            Err(_) => Vec::new(),
        };
        let commit = snapshot.commit;
        snapshot
            .opened(move |handle| metadata::read(handle, commit, tags))
            .await
    }
}

impl Mirrors {
    /// What may be signed of a commit: the annotated tag that it was named by, if it leads there, the commit itself, and other annotated
    /// tags of it. All that has to be asked of a server is asked here.
    ///
    /// # Errors
    /// When the repository cannot be reached, or has no such commit.
    #[tracing::instrument(name = "git.signed", skip_all)]
    pub async fn signed<'a>(
        &self,
        access: &Access,
        commit: &str,
        named_by: impl Into<Target<'a>>,
    ) -> Result<MaybeSigned, Error> {
        let named_by = named_by.into();
        let mut snapshot = self.ensure_commit(access, commit).await?;
        let (named, tags) = self.tags_of(access, commit, named_by).await?;
        if let Some(tag) = tags.first()
            && !snapshot.has_ref(tag).await?
        {
            // The commit came with another ref before the tag was there.
            let patience = self.patience(&snapshot.mirror, access);
            self.fetch(&snapshot.mirror, access, patience).await?;
            snapshot = self.ensure_commit(access, commit).await?;
        }
        Ok(MaybeSigned {
            snapshot,
            named,
            tags,
        })
    }

    /// The tags that lead to a commit, as far as they are looked at, and whether the first is the one that was named.
    async fn tags_of(
        &self,
        access: &Access,
        commit: &str,
        named_by: Target<'_>,
    ) -> Result<(bool, Vec<String>), Error> {
        let refs = match self.list_refs(access, false).await {
            Ok(refs) => refs,
            Err(_) if is_commit(named_by.revision) => return Ok((false, Vec::new())),
            Err(error) => return Err(error),
        };
        let leads_there = |name: &String| {
            name.starts_with("refs/tags/") && refs.refs.get(name).is_some_and(|to| to == commit)
        };
        let named = refs.name(named_by).filter(leads_there);
        let is_named = named.is_some();
        let mut tags: Vec<String> = named.into_iter().collect();
        for name in refs.refs.keys().filter(|name| leads_there(name)) {
            if tags.len() < MOST_TAGS && !tags.contains(name) {
                tags.push(name.clone());
            }
        }
        Ok((is_named, tags))
    }
}

impl MaybeSigned {
    /// Who signed it: the first of these whose signature is good. `keys` are those that count, armored; `now` is in seconds since 1970.
    ///
    /// # Errors
    /// When the mirror cannot be read.
    #[tracing::instrument(name = "git.signature", skip_all)]
    pub async fn verify(self, keys: Vec<String>, now: i64) -> Result<Signature, Error> {
        let Self {
            snapshot,
            named,
            tags,
        } = self;
        let commit = snapshot.commit;
        let reading = snapshot.opened(move |handle| {
            let mut signed = Vec::new();
            let (first, later) = tags.split_at(usize::from(named));
            for tag in first {
                signed.extend(Signed::tag(handle, tag, commit)?);
            }
            signed.extend(Signed::commit(handle, commit)?);
            for tag in later {
                signed.extend(Signed::tag(handle, tag, commit)?);
            }
            Ok(signed)
        });
        let signed = reading.await?;
        let verifying = tokio::task::spawn_blocking(move || {
            let mut found = Signature::only(Verdict::Unsigned);
            for one in &signed {
                let next = signature::verify(one, &keys, now);
                if next.verdict == Verdict::Good {
                    return next;
                }
                if found.verdict == Verdict::Unsigned {
                    found = next;
                }
            }
            found
        });
        // What breaks its reader is no good signature.
        let broken = |_| Signature::only(Verdict::Unreadable);
        Ok(verifying.await.unwrap_or_else(broken))
    }
}

/// Why a version or a range names nothing, where more can be said of it than that.
fn unmatched(access: &Access, target: Target<'_>, refs: &Refs) -> Option<Error> {
    use message::source::{PREFIXED_RANGE_UNMATCHED, RANGE_UNMATCHED, TAG_PREFIX_UNMATCHED};
    let prefix = target.tag_prefix;
    let range = target.is_range().then_some(target.revision);
    let newest = || newest_of(target.versions(refs.tags()));
    let begins = |tag: &str| tag.starts_with(prefix);
    let message = if prefix.is_empty() {
        RANGE_UNMATCHED
            .with("revision", range?)
            .with("tags", newest())
    } else if range.is_none() && !target.is_behind_prefix() {
        return None;
    } else if refs.tags().any(begins) {
        PREFIXED_RANGE_UNMATCHED
            .with("revision", range?)
            .with("tags", newest())
            .with("prefix", target.shown_prefix())
    } else {
        let tags: Vec<&str> = refs.tags().take(NAMED_TAGS).collect();
        let tags = match tags.is_empty() {
            true => "-".to_owned(),
            false => tags.join(", "),
        };
        TAG_PREFIX_UNMATCHED
            .with("tags", tags)
            .with("prefix", target.shown_prefix())
    };
    let message = message.with("url", access.url());
    Some(Error::new(Kind::NotFound, message))
}

async fn open(mirror: &Arc<Mirror>, commit: &str) -> Result<Option<Snapshot>, Error> {
    let found = match mirror.found(commit) {
        // No other thread is woken to find it again.
        Some(found) => Some(found),
        None => {
            let (reading, commit) = (mirror.clone(), commit.to_owned());
            let looking = tokio::task::spawn_blocking(move || reading.tree(&commit));
            looking.await.map_err(Error::internal)??
        }
    };
    Ok(found.map(|(commit, tree)| Snapshot {
        mirror: mirror.clone(),
        commit,
        tree,
    }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::git::{Login, Rules};

    pub(super) fn mirrors(data: &Path, remember: Duration) -> Mirrors {
        let limits = Limits {
            remember,
            ..Limits::default()
        };
        let sandbox = Sandbox::new(None);
        Mirrors::new(data.to_owned(), limits, Egress::default(), sandbox, None).unwrap()
    }

    pub(super) fn access(tenant: &str, name: &str) -> Access {
        let url = format!("https://git.example/{name}.git");
        Access::new(tenant, "", &url, Login::default(), Rules::default()).unwrap()
    }

    #[test]
    fn a_mirror_is_closed_once_so_many_others_were_used() {
        let data = tempfile::tempdir().unwrap();
        let mirrors = mirrors(data.path(), Duration::from_secs(180));
        let [first, other] = ["a", "b"].map(|name| access("t", name));
        let mirror = mirrors.mirror(&first);
        mirror.prepare().unwrap();
        let open = |mirror: &Mirror| mirror.give_back(mirror.open().unwrap());
        open(&mirror);
        let used = mirrors.mirror(&other);
        used.prepare().unwrap();
        open(&used);
        for _ in 2..OPEN {
            mirrors.use_now(&other);
        }
        let kept = mirror.rest();
        assert_eq!(kept.len(), 1, "it was among the last");
        kept.into_iter().for_each(|handle| mirror.give_back(handle));
        for _ in 0..LOOK {
            mirrors.use_now(&other);
        }
        assert_eq!(mirror.rest().len(), 0, "the others were used after it");
        assert_eq!(used.rest().len(), 1, "and stay open");
    }

    #[tokio::test]
    async fn s02_a_mirror_with_too_many_refs_is_thrown_away() {
        let data = tempfile::tempdir().unwrap();
        let mirrors = mirrors(data.path(), Duration::from_secs(180));
        let mirror = mirrors.mirror(&access("t", "a"));
        mirror.prepare().unwrap();
        let most = |most| mirrors.bound_refs(&mirror, most);
        // The folders of branches and of tags are there from the beginning.
        most(2).await.unwrap();
        assert!(mirror.ready() && mirror.path.exists());
        let refused = most(1).await.unwrap_err();
        assert_eq!(refused.cause().message.code, "source.too-large");
        assert!(!mirror.ready() && !mirror.path.exists());
    }

    #[tokio::test(start_paused = true)]
    async fn s02_listings_by_children_are_so_many_at_once() {
        let data = tempfile::tempdir().unwrap();
        let mirrors = mirrors(data.path(), Duration::from_secs(180));
        let of = |tenant: &str| {
            let rules = Rules { files: true };
            Access::new(tenant, "", "file:///nowhere", Login::default(), rules).unwrap()
        };
        let mut held = Vec::new();
        for _ in 0..CHILDREN.1 {
            held.push(places::place(&mirrors.0.children, &of("t")).await.unwrap());
        }
        // Had it a child, that would have the 15 seconds of a listing.
        let error = mirrors.list_refs(&of("t"), true).await.unwrap_err();
        assert_eq!(error.cause().message.code, "source.places-taken");
        assert!(error.to_string().contains("30"), "{error}");
        // Three more with all that they may have, and whoever comes next has a place.
        for tenant in ["second", "third", "fourth"] {
            held.extend(std::iter::from_fn(|| mirrors.0.children.turn_now(tenant)));
        }
        let other = of("other");
        drop(places::place(&mirrors.0.children, &other).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_behind_fetches_that_do_not_end_is_told_in_time() {
        let data = tempfile::tempdir().unwrap();
        let mirrors = mirrors(data.path(), Duration::from_secs(180));
        let access = access("t", "a");
        let mirror = mirrors.mirror(&access);
        let endless = mirror.fetching.alone((), std::future::pending::<()>);
        tokio::pin!(endless);
        assert!(futures::poll!(&mut endless).is_pending());
        let commit = "1".repeat(40);
        let waiting = mirrors.ensure_commit(&access, &commit);
        let told = tokio::time::timeout(Duration::from_secs(600), waiting).await;
        let error = told.unwrap().unwrap_err();
        assert_eq!(error.cause().message.code, "source.timeout");
        assert!(error.to_string().contains("90"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn s02_fetches_are_so_many_at_once() {
        let data = tempfile::tempdir().unwrap();
        let mirrors = mirrors(data.path(), Duration::from_secs(180));
        let turn = |tenant: &str| mirrors.0.fetches.turn_now(tenant);
        let held: Vec<_> = (0..FETCHES.1).map(|_| turn("t").unwrap()).collect();
        let second: Vec<_> = std::iter::from_fn(|| turn("second")).collect();
        assert_eq!(second.len(), FETCHES.1 / 2, "it leaves as many");
        // Of a repository that nobody fetches, and no server is asked.
        let (access, commit) = (access("t", "a"), "1".repeat(40));
        let error = mirrors.ensure_commit(&access, &commit).await.unwrap_err();
        assert_eq!(error.cause().message.code, "source.places-taken");
        assert!(error.to_string().contains("90"), "{error}");
        assert!(!mirrors.mirror(&access).path.exists());
        assert!(turn("other").is_some(), "others have turns");
        drop((held, second));
        assert!(turn("t").is_some(), "whoever gave up has none");
    }

    #[test]
    fn s02_repositories_that_were_only_asked_for_are_not_known_for_ever() {
        let data = tempfile::tempdir().unwrap();
        let mirrors = mirrors(data.path(), Duration::from_secs(180));
        let kept = access("t", "kept");
        mirrors.mirror(&kept).prepare().unwrap();
        let held = mirrors.mirror(&access("t", "held"));
        let listed = access("t", "listed");
        let mirror = mirrors.mirror(&listed);
        mirrors.remember("t", &mirror, &Arc::default());
        drop(mirror);
        for number in 0..KNOWN + 1_000 {
            mirrors.use_now(&access("t", &number.to_string()));
        }
        let known = mirrors.0.mirrors.lock().len();
        assert!(known <= KNOWN, "{known}");
        let before = mirrors.0.uses.load(Ordering::Relaxed);
        assert!(Arc::ptr_eq(&held, &mirrors.mirror(&access("t", "held"))));
        assert!(mirrors.mirror(&kept).ready());
        assert!(mirrors.mirror(&listed).listed.lock().is_some());
        assert_eq!(mirrors.0.uses.load(Ordering::Relaxed), before + 3);
    }
}
