//! All chart repositories of a repo-server: listing, resolving, fetching, opening.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use domain::cause::Cause;
use domain::message;
use domain::repository::without_login;
use domain::version::{Range, Version, Wanted, choose, newest_of, wanted};
use parking_lot::Mutex;
use reqwest::StatusCode;
use reqwest::header::HeaderName;
use sha2::{Digest, Sha256};
use url::Url;

use super::archive::{self, Layout, Packing, Tree};
use super::http::{self, Get, get, refusal, timed};
use super::index::{self, Entry, Index};
use super::oci::{Registry, is_digest_of, is_name, of_chart};
use super::shelf::{Form, Kept, Listed, Remembered, Shelf};
use crate::error::{Error, Kind};
use crate::git::{Access, Mirrors, Request, Snapshot, size_of};

/// The largest index.
const MAX_INDEX: usize = 64 << 20;
/// The largest archive.
pub(super) const MAX_ARCHIVE: usize = 32 << 20;
/// How much of a tenant's charts is kept on disk.
const MAX_TENANT: u64 = 512 << 20;
/// How many bytes of listings are kept in memory, of one tenant's repositories and of all.
const MAX_REMEMBERED_OF_TENANT: usize = 32 << 20;
const MAX_REMEMBERED: usize = 128 << 20;
/// How many repositories are known at once; those that nobody uses are forgotten above it.
const MAX_SHELVES: usize = 20_000;
/// What a version takes in memory besides its own text, in bytes.
const ENTRY: usize = 96;

/// All chart repositories of a repo-server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Charts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    mirrors: Mirrors,
    shelves: Mutex<HashMap<(String, String), Arc<Shelf>>>,
}

/// A chart's archive, for a chart that depends on it.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The version that was chosen.
    pub version: String,
    /// The archive's SHA-256.
    pub digest: String,
    /// The archive, checked.
    pub archive: Arc<[u8]>,
}

/// An archive as it came.
struct Fetched {
    version: String,
    digest: String,
    bytes: Bytes,
}

impl Charts {
    /// Charts beside the mirrors, reached by the same rules.
    #[must_use]
    pub fn new(mirrors: &Mirrors) -> Self {
        Self(Arc::new(Inner {
            folder: mirrors.sibling("charts"),
            mirrors: mirrors.clone(),
            shelves: Mutex::default(),
        }))
    }

    pub(super) fn mirrors(&self) -> &Mirrors {
        &self.0.mirrors
    }

    pub(super) fn shelf(&self, access: &Access, chart: &str) -> Arc<Shelf> {
        // A registry has a list for each chart; an index has all of them.
        let chart = if access.is_registry() { chart } else { "" };
        let name = format!("{}\0{}\0{chart}", access.scope(), access.url());
        let name = hex::encode(&Sha256::digest(name)[..16]);
        let path = self.0.folder.join(access.tenant()).join(&name);
        let mut shelves = self.0.shelves.lock();
        if shelves.len() >= MAX_SHELVES {
            shelves.retain(|_, shelf| Arc::strong_count(shelf) > 1 || shelf.remembers());
        }
        let shelf = shelves.entry((access.tenant().to_owned(), name));
        shelf.or_insert_with(|| Arc::new(Shelf::new(path))).clone()
    }

    /// Whether the repository can be read.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn test(&self, access: &Access) -> Result<(), Error> {
        if !access.is_registry() {
            return self.listed(access, "", true).await.map(drop);
        }
        let limit = self.0.mirrors.limits().list;
        let ping = async {
            Registry::new(self.0.mirrors.clients(), access, "")?
                .ping()
                .await
        };
        self.0
            .mirrors
            .observed(access, Request::List, timed(access, limit, ping))
            .await
    }

    /// The versions of each chart of a repository over HTTP, as its index has them.
    ///
    /// # Errors
    /// When it cannot be read, or is a registry, which lists no charts.
    pub async fn charts(&self, access: &Access) -> Result<BTreeMap<String, Vec<String>>, Error> {
        if access.is_registry() {
            let message = message::chart::REGISTRY_WITHOUT_INDEX.with("url", access.shown());
            return Err(Error::new(Kind::Unsupported, message));
        }
        match &*self.listed(access, "", true).await? {
            Listed::Index(index) => Ok(index
                .iter()
                .map(|(name, entries)| {
                    (
                        name.clone(),
                        entries.iter().map(|entry| entry.version.clone()).collect(),
                    )
                })
                .collect()),
            Listed::Tags(_) => Err(Error::internal("a registry with an index")),
        }
    }

    /// The versions of a chart (of a registry without one, the tags of the address itself); `fresh` joins only a listing that begins after this call.
    ///
    /// # Errors
    /// When the repository cannot be read, or has no such chart.
    #[tracing::instrument(name = "charts.versions", skip_all)]
    pub async fn versions(
        &self,
        access: &Access,
        chart: &str,
        fresh: bool,
    ) -> Result<Vec<String>, Error> {
        named(access, chart)?;
        match &*self.listed(access, chart, fresh).await? {
            Listed::Tags(tags) => Ok(tags.clone()),
            Listed::Index(index) => {
                let entries = index.get(chart).ok_or_else(|| no_chart(access, chart))?;
                Ok(entries.iter().map(|entry| entry.version.clone()).collect())
            }
        }
    }

    /// The version that a revision is. A version is taken as it is, as by Argo CD.
    ///
    /// # Errors
    /// When the repository cannot be read, or has no such version.
    pub async fn resolve(
        &self,
        access: &Access,
        chart: &str,
        revision: &str,
        fresh: bool,
    ) -> Result<String, Error> {
        if wanted(revision) == Wanted::Exact {
            return Ok(revision.to_owned());
        }
        let versions = self.versions(access, chart, fresh).await?;
        choose(revision, versions.iter().map(String::as_str))
            .map(str::to_owned)
            .ok_or_else(|| {
                let there = newest_of(versions.iter().map(String::as_str));
                no_version(access, chart, revision, &there)
            })
    }

    /// Whether the files of a version of a chart, or of an artifact by its digest, are kept. Where that cannot be said, it is for whoever
    /// reads them to find out why.
    pub(crate) async fn has(&self, access: &Access, chart: &str, version: &str) -> bool {
        let shelf = self.shelf(access, chart);
        let kept = self.look(&shelf, chart, version, Form::Files).await;
        !matches!(kept, Ok(None))
    }

    /// The files of a version of a chart, fetched now unless they are kept; `fresh` asks the repository whether they
    /// still are what it has.
    ///
    /// # Errors
    /// When the version cannot be had, or its archive is none.
    #[tracing::instrument(name = "charts.ensure", skip_all)]
    pub async fn ensure(
        &self,
        access: &Access,
        chart: &str,
        version: &str,
        fresh: bool,
    ) -> Result<Snapshot, Error> {
        named(access, chart)?;
        let shelf = self.shelf(access, chart);
        let kept = match self.look(&shelf, chart, version, Form::Files).await? {
            Some(kept) if !fresh => kept,
            _ => {
                let _alone = shelf.fetching.lock().await;
                match self.look(&shelf, chart, version, Form::Files).await? {
                    Some(kept) if !fresh => kept,
                    kept => self.renew(access, &shelf, chart, version, kept).await?,
                }
            }
        };
        shelf.snapshot(&kept)
    }

    /// Fetches what a version is now, unless it is what is kept.
    async fn renew(
        &self,
        access: &Access,
        shelf: &Arc<Shelf>,
        chart: &str,
        version: &str,
        kept: Option<Kept>,
    ) -> Result<Kept, Error> {
        let known = kept.as_ref().map(|kept| kept.digest.as_str());
        let Some(fetched) = self.fetch(access, chart, version, known).await? else {
            return kept.ok_or_else(|| Error::internal("nothing was fetched"));
        };
        let (shelf, name, asked) = (shelf.clone(), chart.to_owned(), version.to_owned());
        let keeping = tokio::task::spawn_blocking(move || {
            let files = unpacked(&name, &fetched)?;
            let of = (fetched.version.as_str(), fetched.digest.as_str());
            shelf.keep_files(&name, &asked, of, files)
        });
        let kept = keeping.await.map_err(Error::internal)??;
        self.make_room(access.tenant()).await;
        Ok(kept)
    }

    /// The archive of the newest version that a dependency may be, or of the one that is locked.
    ///
    /// # Errors
    /// When there is none, or it is no archive.
    #[tracing::instrument(name = "charts.pull", skip_all)]
    pub async fn pull(
        &self,
        access: &Access,
        chart: &str,
        revision: &str,
        fresh: bool,
    ) -> Result<Pulled, Error> {
        named(access, chart)?;
        let shelf = self.shelf(access, chart);
        let version = match wanted(revision) {
            Wanted::Exact => revision.to_owned(),
            // As Helm does, which sees the newest first and takes none that is named otherwise.
            Wanted::Newest(_) | Wanted::Named => {
                self.resolve(access, chart, revision, fresh).await?
            }
        };
        let _alone = shelf.fetching.lock().await;
        let known = self.look(&shelf, chart, &version, Form::Archive).await?;
        let read = |shelf: Arc<Shelf>, kept: Kept| async move {
            let reading = tokio::task::spawn_blocking(move || {
                let archive = shelf.archive(&kept)?;
                Ok(Pulled {
                    version: kept.version,
                    digest: kept.digest,
                    archive,
                })
            });
            reading.await.map_err(Error::internal)?
        };
        if let (Some(kept), false) = (&known, fresh) {
            return read(shelf.clone(), kept.clone()).await;
        }
        let digest = known.as_ref().map(|kept| kept.digest.as_str());
        let Some(fetched) = self.fetch(access, chart, &version, digest).await? else {
            let kept = known.ok_or_else(|| Error::internal("nothing was fetched"))?;
            return read(shelf.clone(), kept).await;
        };
        let (keeping, name) = (shelf.clone(), chart.to_owned());
        let pulled = tokio::task::spawn_blocking(move || {
            unpacked(&name, &fetched)?;
            let of = (fetched.version.as_str(), fetched.digest.as_str());
            keeping.keep_archive(&name, &version, of, &fetched.bytes)?;
            Ok(Pulled {
                version: fetched.version,
                digest: fetched.digest,
                archive: Arc::from(&*fetched.bytes),
            })
        });
        let pulled = pulled.await.map_err(Error::internal)?;
        self.make_room(access.tenant()).await;
        pulled
    }

    pub(super) async fn look(
        &self,
        shelf: &Arc<Shelf>,
        chart: &str,
        version: &str,
        form: Form,
    ) -> Result<Option<Kept>, Error> {
        let (looking, chart, version) = (shelf.clone(), chart.to_owned(), version.to_owned());
        let found = tokio::task::spawn_blocking(move || looking.kept(&chart, &version, form)).await;
        match found.map_err(Error::internal)? {
            Err(error) if error.kind() == Kind::Corrupt => {
                tracing::warn!(%error, "damaged charts are fetched anew");
                shelf.discard()?;
                Ok(None)
            }
            found => found,
        }
    }

    /// Throws away what is kept of a repository, as it is damaged.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget(&self, access: &Access, chart: &str) -> Result<(), Error> {
        self.shelf(access, chart).discard()
    }

    /// Removes all charts of a tenant; says how many repositories are left.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub async fn forget_tenant(&self, tenant: &str) -> Result<usize, Error> {
        self.0
            .shelves
            .lock()
            .retain(|(whose, _), _| whose != tenant);
        let folder = self.0.folder.join(tenant);
        let removing =
            tokio::task::spawn_blocking(move || match std::fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::internal(error))
                }
                _ => Ok(std::fs::read_dir(&folder).map_or(0, Iterator::count)),
            });
        removing.await.map_err(Error::internal)?
    }

    /// Removes what was used longest ago while a tenant has too much.
    pub(super) async fn make_room(&self, tenant: &str) {
        let folder = self.0.folder.join(tenant);
        let measuring = tokio::task::spawn_blocking(move || over(&folder));
        for gone in measuring.await.unwrap_or_default() {
            let shelf = {
                let shelves = self.0.shelves.lock();
                shelves.values().find(|shelf| shelf.path() == gone).cloned()
            };
            let removed = match shelf {
                Some(shelf) => shelf.discard().is_ok(),
                None => std::fs::remove_dir_all(&gone).is_ok(),
            };
            tracing::info!(
                tenant,
                removed,
                "charts that were not used for long made room"
            );
        }
    }

    /// What the repository offers, no older than listings may be.
    pub(super) async fn listed(
        &self,
        access: &Access,
        chart: &str,
        fresh: bool,
    ) -> Result<Arc<Listed>, Error> {
        let shelf = self.shelf(access, chart);
        let limits = self.0.mirrors.limits();
        if !fresh
            && let Some(known) = &*shelf.remembered.lock()
            && known.at.elapsed() < limits.remember
        {
            return Ok(known.listed.clone());
        }
        let listing = || async {
            let known = shelf.remembered.lock().clone();
            let asking = self.list(access, chart, known);
            let asking = timed(access, limits.list.max(Duration::from_secs(60)), asking);
            let remembered = self
                .0
                .mirrors
                .observed(access, Request::List, asking)
                .await?;
            let listed = remembered.listed.clone();
            *shelf.remembered.lock() = Some(remembered);
            self.bound(access.tenant(), &shelf);
            Ok(listed)
        };
        shelf.asking.ask((), listing).await
    }

    /// Forgets listings while they are too much, of the tenant or of all, the oldest first.
    fn bound(&self, tenant: &str, newest: &Arc<Shelf>) {
        let shelves = self.0.shelves.lock();
        let mut all: Vec<(Instant, usize, bool, &Arc<Shelf>)> = shelves
            .iter()
            .filter_map(|((whose, _), shelf)| {
                let remembered = shelf.remembered.lock();
                let one = remembered.as_ref()?;
                Some((one.at, weight(&one.listed), whose == tenant, shelf))
            })
            .collect();
        all.sort_by_key(|(at, ..)| *at);
        let mut total: usize = all.iter().map(|(_, weight, ..)| weight).sum();
        let theirs = all.iter().filter(|(_, _, theirs, _)| *theirs);
        let mut of_tenant: usize = theirs.map(|(_, weight, ..)| weight).sum();
        for (_, weight, theirs, shelf) in all {
            let too_much =
                total > MAX_REMEMBERED || (theirs && of_tenant > MAX_REMEMBERED_OF_TENANT);
            if too_much && !Arc::ptr_eq(shelf, newest) {
                shelf.forget();
                total -= weight;
                if theirs {
                    of_tenant -= weight;
                }
            }
        }
    }

    async fn list(
        &self,
        access: &Access,
        chart: &str,
        known: Option<Remembered>,
    ) -> Result<Remembered, Error> {
        let clients = self.0.mirrors.clients();
        let at = Instant::now();
        if access.is_registry() {
            let tags = Registry::new(clients, access, chart)?.tags().await;
            let tags = tags.map_err(|error| of_chart(error, access, chart))?;
            return Ok(Remembered {
                at,
                conditions: Vec::new(),
                listed: Arc::new(Listed::Tags(tags)),
            });
        }
        let asked = Get {
            url: below(access, "index.yaml")?,
            head: false,
            headers: known
                .as_ref()
                .map(|known| known.conditions.clone())
                .unwrap_or_default(),
            authorization: access.login_header(),
            limit: MAX_INDEX,
            what: "the index of the chart repository",
        };
        let answer = get(clients, access, asked).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if known.is_some() => {
                return known
                    .map(|known| Remembered { at, ..known })
                    .ok_or_else(|| Error::internal("nothing was known"));
            }
            status => return Err(refusal(access, status)),
        }
        let conditions = http::CONDITIONS.iter().filter_map(|(given, asked)| {
            let value = answer.headers.get(given)?.to_str().ok()?;
            Some((asked.clone(), value.to_owned()))
        });
        let conditions: Vec<(HeaderName, String)> = conditions.collect();
        let body = answer.body;
        let parsing = tokio::task::spawn_blocking(move || {
            let text = std::str::from_utf8(&body).map_err(|_| "it is not UTF-8".to_owned())?;
            index::parse(text)
        });
        let index = parsing.await.map_err(Error::internal)?.map_err(|why| {
            let cause = Cause::error(message::chart::INDEX_BROKEN.with("url", access.shown()));
            Error::of(Kind::Invalid, cause.evidence(why))
        })?;
        Ok(Remembered {
            at,
            conditions,
            listed: Arc::new(Listed::Index(index)),
        })
    }

    /// The archive of a version; `None` where it is the one that is known by its digest.
    async fn fetch(
        &self,
        access: &Access,
        chart: &str,
        version: &str,
        known: Option<&str>,
    ) -> Result<Option<Fetched>, Error> {
        let limit = self.0.mirrors.limits().fetch;
        let fetching = async {
            if access.is_registry() {
                self.of_registry(access, chart, version, known).await
            } else {
                self.of_index(access, chart, version, known).await
            }
        };
        self.0
            .mirrors
            .observed(access, Request::Fetch, timed(access, limit, fetching))
            .await
    }

    async fn of_registry(
        &self,
        access: &Access,
        chart: &str,
        version: &str,
        known: Option<&str>,
    ) -> Result<Option<Fetched>, Error> {
        let mut registry = Registry::new(self.0.mirrors.clients(), access, chart)?;
        let mut tag = version.to_owned();
        let (digest, size) = match registry.layer(version).await {
            Ok(found) => found,
            Err(error) if error.kind() == Kind::NotFound => {
                let tags = registry.tags().await;
                let tags = tags.map_err(|error| of_chart(error, access, chart))?;
                let found = pick(version, tags.iter().map(String::as_str));
                let missing = || {
                    let there = newest_of(tags.iter().map(String::as_str));
                    no_version(access, chart, version, &there)
                };
                tag = found.ok_or_else(missing)?.to_owned();
                registry.layer(&tag).await?
            }
            Err(error) => return Err(error),
        };
        if known == Some(digest.as_str()) {
            return Ok(None);
        }
        if size > MAX_ARCHIVE as u64 {
            return Err(too_large());
        }
        let bytes = registry.blob(&digest, MAX_ARCHIVE).await?;
        if !is_digest_of(&digest, &bytes) {
            return Err(mismatch(access, chart, &tag));
        }
        Ok(Some(Fetched {
            version: tag,
            digest,
            bytes,
        }))
    }

    async fn of_index(
        &self,
        access: &Access,
        chart: &str,
        version: &str,
        known: Option<&str>,
    ) -> Result<Option<Fetched>, Error> {
        let mut found = Err(Error::internal("no index was listed"));
        // What was published a moment ago is not in a listing that is older.
        for fresh in [known.is_some(), true] {
            if let Listed::Index(index) = &*self.listed(access, chart, fresh).await? {
                found = entry_of(index, access, chart, version).cloned();
            }
            if found.is_ok() {
                break;
            }
        }
        let entry = found?;
        let stated = entry.digest.trim_start_matches("sha256:").to_lowercase();
        if !stated.is_empty() && known == Some(stated.as_str()) {
            return Ok(None);
        }
        let bytes = match entry.url.strip_prefix("oci://") {
            Some(place) => self.of_elsewhere(access, place).await?,
            None => self.download(access, &entry.url).await?,
        };
        if !stated.is_empty() && !is_digest_of(&stated, &bytes) {
            return Err(mismatch(access, chart, &entry.version));
        }
        Ok(Some(Fetched {
            version: entry.version,
            digest: hex::encode(Sha256::digest(&bytes)),
            bytes,
        }))
    }

    async fn download(&self, access: &Access, url: &str) -> Result<Bytes, Error> {
        let url = below(access, url)?;
        let own = Url::parse(access.url()).is_ok_and(|own| own.origin() == url.origin());
        let asked = Get {
            authorization: (own || access.passes_credentials())
                .then(|| access.login_header())
                .flatten(),
            url,
            head: false,
            headers: Vec::new(),
            limit: MAX_ARCHIVE,
            what: "the archive of a chart",
        };
        let answer = get(self.0.mirrors.clients(), access, asked).await?;
        match answer.status {
            StatusCode::OK => Ok(answer.body),
            status => Err(refusal(access, status)),
        }
    }

    /// An archive that an index keeps in a registry, to which the index's own login does not go.
    async fn of_elsewhere(&self, access: &Access, place: &str) -> Result<Bytes, Error> {
        let broken = || {
            let cause = Cause::error(message::chart::INDEX_BROKEN.with("url", access.shown()));
            Error::of(
                Kind::Invalid,
                cause.evidence(format!(
                    "{} names no version",
                    without_login(&format!("oci://{place}"))
                )),
            )
        };
        let (path, tag) = place.rsplit_once(':').ok_or_else(broken)?;
        let (host, name) = path.split_once('/').ok_or_else(broken)?;
        if !is_name(name) {
            return Err(broken());
        }
        let url = Url::parse(&format!("https://{host}/")).map_err(|_| broken())?;
        let there = access.elsewhere(&url)?;
        let mut registry = Registry::new(self.0.mirrors.clients(), &there, name)?;
        let (digest, _) = registry.layer(tag).await?;
        let bytes = registry.blob(&digest, MAX_ARCHIVE).await?;
        if !is_digest_of(&digest, &bytes) {
            return Err(mismatch(access, name, tag));
        }
        Ok(bytes)
    }
}

/// The version of an index that is asked for: the one that is written so, else the newest that fits.
fn entry_of<'a>(
    index: &'a Index,
    access: &Access,
    chart: &str,
    version: &str,
) -> Result<&'a Entry, Error> {
    let entries = index.get(chart).ok_or_else(|| no_chart(access, chart))?;
    let there = entries.iter().filter(|entry| !entry.url.is_empty());
    let versions = there.clone().map(|entry| entry.version.as_str());
    let found = pick(version, versions.clone());
    let mut there = there.filter(|entry| found == Some(entry.version.as_str()));
    let missing = || no_version(access, chart, version, &newest_of(versions));
    there.next().ok_or_else(missing)
}

/// As Helm finds the archive of a version: written just so, else the newest that the version as a range holds.
fn pick<'a>(version: &str, there: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    if let Some(same) = there.clone().find(|one| *one == version) {
        return Some(same);
    }
    let range = Range::parse(version)?;
    let known = there.filter_map(|text| Some((Version::parse(text)?, text)));
    let fitting = known.filter(|(version, _)| range.has(version));
    let best = fitting.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, text)| text)
}

/// What a listing takes in memory, in bytes.
fn weight(listed: &Listed) -> usize {
    match listed {
        Listed::Index(index) => index
            .iter()
            .map(|(name, entries)| {
                let entries = entries.iter().map(|entry| {
                    ENTRY + entry.version.len() + entry.url.len() + entry.digest.len()
                });
                ENTRY + name.len() + entries.sum::<usize>()
            })
            .sum(),
        Listed::Tags(tags) => tags.iter().map(|tag| ENTRY + tag.len()).sum(),
    }
}

/// An address below the repository, or a whole one.
fn below(access: &Access, place: &str) -> Result<Url, Error> {
    let broken = |why: String| {
        let cause = Cause::error(message::chart::INDEX_BROKEN.with("url", access.shown()));
        Error::of(Kind::Invalid, cause.evidence(why))
    };
    // It may be signed, or have a login in it.
    let shown = without_login(place.split(['?', '#']).next().unwrap_or_default());
    let shown = &shown[..shown.floor_char_boundary(200)];
    let base = format!("{}/", access.url().trim_end_matches('/'));
    let base = Url::parse(&base).map_err(Error::internal)?;
    let url = base
        .join(place)
        .map_err(|error| broken(format!("{shown}: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() {
        return Err(broken(format!("{shown} is no place of an archive")));
    }
    if base.scheme() == "https" && url.scheme() == "http" {
        return Err(broken(format!("{shown} leaves TLS")));
    }
    Ok(url)
}

fn unpacked(chart: &str, fetched: &Fetched) -> Result<Tree, Error> {
    archive::unpack(&fetched.bytes, Layout::Chart, Packing::TarGzip).map_err(|reason| {
        let message = message::chart::ARCHIVE_REFUSED
            .with("chart", chart)
            .with("version", &fetched.version)
            .with("reason", reason);
        Error::new(Kind::Invalid, message)
    })
}

fn named(access: &Access, chart: &str) -> Result<(), Error> {
    let plain = chart.chars().all(|c| !c.is_control() && !c.is_whitespace());
    if chart.is_empty() && access.is_registry() {
        return Ok(());
    }
    if !chart.is_empty() && chart.len() <= 250 && plain && (!access.is_registry() || is_name(chart))
    {
        return Ok(());
    }
    let shown: String = chart
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    let cause = Cause::error(message::chart::NAME_REFUSED.with("chart", shown));
    Err(Error::of(Kind::Invalid, cause.field("spec.source.chart")))
}

fn no_chart(access: &Access, chart: &str) -> Error {
    let message = message::chart::NOT_FOUND
        .with("url", access.shown())
        .with("chart", chart);
    Error::of(
        Kind::NotFound,
        Cause::error(message).field("spec.source.chart"),
    )
}

fn no_version(access: &Access, chart: &str, version: &str, there: &str) -> Error {
    let message = message::chart::VERSION_NOT_FOUND
        .with("url", access.shown())
        .with("chart", chart)
        .with("version", version)
        .with("versions", there);
    let cause = Cause::error(message).field("spec.source.targetRevision");
    Error::of(Kind::NotFound, cause)
}

fn mismatch(access: &Access, chart: &str, version: &str) -> Error {
    let message = message::chart::DIGEST_MISMATCH
        .with("url", access.shown())
        .with("chart", chart)
        .with("version", version);
    Error::new(Kind::Invalid, message)
}

pub(super) fn too_large() -> Error {
    let message = message::source::TOO_LARGE
        .with("what", "the archive of a chart or an artifact")
        .with("limit", format!("{} MiB", MAX_ARCHIVE >> 20));
    Error::new(Kind::TooLarge, message)
}

/// The folders to remove so that the others fit, those that were used longest ago.
fn over(tenant: &Path) -> Vec<PathBuf> {
    let mut all: Vec<(SystemTime, u64, PathBuf)> = std::fs::read_dir(tenant)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| {
            let path = entry.path();
            let used = std::fs::metadata(path.join("used")).and_then(|file| file.modified());
            (used.unwrap_or(SystemTime::UNIX_EPOCH), size_of(&path), path)
        })
        .collect();
    let mut total: u64 = all.iter().map(|(_, size, _)| size).sum();
    all.sort();
    let mut gone = Vec::new();
    for (_, size, path) in all {
        if total <= MAX_TENANT {
            break;
        }
        total -= size;
        gone.push(path);
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_of_a_version_is_found_as_helm_finds_it() {
        let there = ["1.9.3", "1.9.0", "v1.2.0", "1.0.0+a"];
        for (version, found) in [
            ("1.9.0", Some("1.9.0")),
            ("1.9", Some("1.9.3")),
            ("v1.9.0", Some("1.9.0")),
            ("1.2.0", Some("v1.2.0")),
            ("1.0.0+a", Some("1.0.0+a")),
            ("2.0.0", None),
        ] {
            assert_eq!(pick(version, there.into_iter()), found, "{version}");
        }
    }
}
