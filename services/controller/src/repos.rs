//! What the controller knows of repositories: their tips, who uses them, and the way to the repo-servers.
//!
//! Tips are listed once per repository and interval, or at once when somebody pushed or insists; applications that
//! follow a tip share the listing, and so do the projects of a tenant that get in by the same way.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::cause::Cause;
use domain::message;
use domain::project::SignatureKey;
use domain::render::Answered;
use domain::repository::{self, place};
use domain::revision::Target;
use domain::signature::Signature;
use domain::tenant::TenantId;
use domain::version;
use parking_lot::Mutex;
use proto::naru::internal::v1::SignatureRequest;
use store::Store;
use tracing::field::Empty;

use crate::driver::queue::AppKey;

mod access;
mod listing;
mod refs;
mod servers;
mod shared;
mod trouble;

pub use listing::Need;
pub use refs::is_commit;
pub use servers::{Making, Reference, RenderOrder, Rendered, RepoServers};
pub use trouble::Trouble;

use access::Accesses;
use refs::{Named, Refs};
use servers::Outcome;
use shared::{Listings, Tips};

/// A repository as one tenant's project sees it: the pair decides the credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepoKey {
    /// Whose.
    pub tenant: TenantId,
    /// The project whose applications use it.
    pub project: Arc<str>,
    /// The address, as [`repository::exact_url`] has it: what is listed at one is not what is at another.
    pub url: Arc<str>,
    /// The chart, of a chart repository; empty for a Git repository.
    pub chart: Arc<str>,
}

impl RepoKey {
    /// A repository, or a chart of it, by its address as it is written.
    #[must_use]
    pub fn new(tenant: TenantId, project: &str, url: &str, chart: &str) -> Self {
        Self {
            tenant,
            project: Arc::from(project),
            url: Arc::from(repository::exact_url(url)),
            chart: Arc::from(chart),
        }
    }

    /// Whether an artifact of a registry stands there.
    fn is_artifact(&self) -> bool {
        self.chart.is_empty() && repository::is_artifact(&self.url)
    }

    /// Whether a revision can become no other: a whole commit, the version of a chart, or the digest of an artifact.
    fn is_fixed(&self, revision: &str) -> bool {
        match &*self.chart {
            "" if self.is_artifact() => repository::is_digest(revision),
            "" => is_commit(revision),
            _ => version::wanted(revision) == version::Wanted::Exact,
        }
    }
}

/// A revision that an application follows, and the commit that it was when the application was last compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The repository.
    pub repo: RepoKey,
    /// The address as the application writes it.
    pub url: String,
    /// The folder as the application writes it.
    pub path: String,
    /// The revision as the application writes it.
    pub revision: String,
    /// What the tags begin with among which it is looked for.
    pub tag_prefix: String,
    /// The commit; `None` when it could not be told.
    pub commit: Option<String>,
    /// The commit that was found last, whatever came of it.
    pub tried: Option<String>,
    /// When that was asked, where it was: what has been listed since may say something else.
    pub asked: Option<Instant>,
}

impl Followed {
    fn target(&self) -> Target<'_> {
        Target {
            revision: &self.revision,
            tag_prefix: &self.tag_prefix,
        }
    }
}

struct Repo {
    key: RepoKey,
    /// The address as some application writes it.
    url: String,
    /// When it was first used.
    since: Instant,
    /// Its tips, as the way in shows them that its project has; nothing before that is known.
    tips: Mutex<Option<Arc<Tips>>>,
    /// Whether the way in is still the same, as far as is heard.
    entered: AtomicBool,
    /// Who reads the way in.
    entering: tokio::sync::Mutex<()>,
    users: Mutex<HashMap<Arc<str>, Vec<Followed>>>,
    /// What stands at the users' paths, by commit, of the commits that are followed now.
    ids: Mutex<HashMap<String, HashMap<String, String>>>,
}

impl Repo {
    fn new(key: &RepoKey, url: &str, since: Instant) -> Self {
        Self {
            key: key.clone(),
            url: url.to_owned(),
            since,
            tips: Mutex::default(),
            entered: AtomicBool::new(false),
            entering: tokio::sync::Mutex::default(),
            users: Mutex::default(),
            ids: Mutex::default(),
        }
    }

    /// The revisions that can move, of those that are followed and of one more.
    fn revisions(&self, more: Option<&str>) -> Vec<String> {
        let users = self.users.lock();
        let followed = users.values().flatten().map(|one| one.revision.as_str());
        let all = followed
            .chain(more)
            .filter(|revision| !self.key.is_fixed(revision));
        let all: BTreeSet<&str> = all.collect();
        all.into_iter().map(str::to_owned).collect()
    }
}

/// What the poller is told of.
#[derive(Debug)]
pub enum News {
    /// A repository that is used for the first time.
    Used(RepoKey),
    /// An application that follows what has moved before it did so.
    Behind(AppKey),
}

/// The applications that a moved revision concerns.
#[derive(Debug, Default)]
pub struct Moved {
    /// Those whose folder differs, or of which that is not known.
    pub first: Vec<AppKey>,
    /// The others: they only follow, unless they use something outside their folder.
    pub later: Vec<AppKey>,
    /// Whether the repository could not be listed.
    pub failed: bool,
    /// How old the listing is that says so.
    pub age: Duration,
}

/// Fewer applications than this are not worth the question which of them come first.
const FEW: usize = 4;

/// How many bytes of what sources depend on are remembered.
const MAX_NEEDS: usize = 16 << 20;
/// How many places one source depends on.
const MAX_NEEDS_OF_SOURCE: usize = 100;

/// How often a render may ask for the ways into more places that charts depend on.
const MAX_ROUNDS: usize = 24;

/// How long a comparison is held against a repository that stopped answering before it is called unknown: Argo CD's
/// grace period for repository errors.
const GRACE: Duration = Duration::from_secs(180);

/// The repositories in use. Cheap to clone.
#[derive(Clone)]
pub struct Repos(Arc<Inner>);

struct Inner {
    repos: Mutex<HashMap<RepoKey, Arc<Repo>>>,
    /// What each application follows, so that a change of its sources is seen.
    followed: Mutex<HashMap<AppKey, Vec<RepoKey>>>,
    servers: RepoServers,
    accesses: Accesses,
    listings: Listings,
    /// The places that sources' charts depend on, as they were last rendered with.
    needs: Mutex<Needs>,
    /// How old a listing may be for those who do not insist.
    age: Duration,
    /// Tells the poller.
    news: tokio::sync::mpsc::UnboundedSender<News>,
}

/// What sources depend on, by repository and source.
#[derive(Default)]
struct Needs {
    of: HashMap<(RepoKey, u64), Vec<String>>,
    bytes: usize,
}

impl Needs {
    fn of(&self, about: &(RepoKey, u64)) -> Vec<String> {
        self.of.get(about).cloned().unwrap_or_default()
    }

    fn keep(&mut self, about: (RepoKey, u64), needs: Vec<String>) {
        self.forget(&about);
        if needs.is_empty() {
            return;
        }
        // All are asked for again, which costs a question each.
        if self.bytes > MAX_NEEDS {
            *self = Self::default();
        }
        self.bytes += size(&about.0, &needs);
        self.of.insert(about, needs);
    }

    fn forget(&mut self, about: &(RepoKey, u64)) {
        if let Some(needs) = self.of.remove(about) {
            self.bytes -= size(&about.0, &needs);
        }
    }
}

fn size(key: &RepoKey, needs: &[String]) -> usize {
    let needs: usize = needs.iter().map(|need| need.len() + 24).sum();
    key.url.len() + 100 + needs
}

fn hash_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl Repos {
    /// No repositories yet. The receiver is the poller's.
    #[must_use]
    pub fn new(
        store: Store,
        servers: RepoServers,
        interval: Duration,
    ) -> (Self, tokio::sync::mpsc::UnboundedReceiver<News>) {
        let (news, told) = tokio::sync::mpsc::unbounded_channel();
        let inner = Inner {
            repos: Mutex::default(),
            followed: Mutex::default(),
            servers,
            accesses: Accesses::new(store),
            listings: Listings::default(),
            needs: Mutex::default(),
            // A poll that is due replaces the listing long before this; a listing older than this means polls fail.
            age: interval + GRACE,
            news,
        };
        (Self(Arc::new(inner)), told)
    }

    /// The commit that a revision is; of a chart the version, of an artifact the digest.
    ///
    /// # Errors
    /// When the repository cannot be reached or has no such revision.
    pub async fn resolve(
        &self,
        key: &RepoKey,
        url: &str,
        target: Target<'_>,
        fresh: bool,
    ) -> Result<String, Trouble> {
        let revision = target.revision;
        if key.is_fixed(revision) {
            return Ok(match &*key.chart {
                "" if !key.is_artifact() => revision.to_ascii_lowercase(),
                _ => revision.to_owned(),
            });
        }
        let repo = self.repo(key, url);
        let need = if fresh {
            Need::fresh()
        } else {
            Need::Known(self.0.age)
        };
        let tips = self.tips(&repo, need, Some(revision)).await?;
        match tips.resolve(target) {
            Named::Commit(commit) => Ok(commit),
            Named::Unclear => {
                let access = self.0.accesses.of(key, url).await?;
                let servers = &self.0.servers;
                servers.resolve(access, &key.chart, target, fresh).await
            }
        }
    }

    /// Renders one source at one commit.
    ///
    /// # Errors
    /// When the repo-server says so, or none answers.
    #[tracing::instrument(
        name = "render",
        skip_all,
        fields(app = order.app, commit = order.commit, cache = Empty, changed = Empty)
    )]
    pub async fn render(
        &self,
        key: &RepoKey,
        url: &str,
        order: RenderOrder,
    ) -> Result<Rendered, Trouble> {
        let access = self.0.accesses.of(key, url).await?;
        let tenant_key = self.0.accesses.tenant_key(key.tenant).await?;
        let mut references = Vec::with_capacity(order.references.len());
        for one in &order.references {
            references.push(proto::naru::internal::v1::SourceReference {
                name: one.name.clone(),
                repository: Some(self.0.accesses.of(&one.repo, &one.url).await?),
                commit: one.commit.clone(),
                chart: one.chart.clone(),
            });
        }
        let mut remotes = Vec::with_capacity(order.remotes.len());
        for url in &order.remotes {
            let key = RepoKey::new(key.tenant, &key.project, url, "");
            remotes.push(self.0.accesses.of(&key, url).await?);
        }
        let about = (key.clone(), hash_of(&order.source));
        let mut needs = self.0.needs.lock().of(&about);
        // What it depends on is known once it was asked for, and may be another thing at another commit.
        for _ in 0..MAX_ROUNDS {
            let mut order = order.clone();
            order.dependencies = self.0.accesses.of_dependencies(key, &needs).await?;
            let sent = (references.clone(), remotes.clone());
            let servers = &self.0.servers;
            let rendering = servers.render(access.clone(), sent.0, sent.1, &tenant_key, order);
            match rendering.await {
                Ok(Outcome::Rendered(rendered)) => {
                    self.0.needs.lock().keep(about, needs);
                    noted(rendered.making.answered.as_ref());
                    return Ok(rendered);
                }
                Ok(Outcome::Needs(more)) => {
                    if needs.len() + more.len() > MAX_NEEDS_OF_SOURCE {
                        needs.clear();
                    }
                    needs.extend(more);
                }
                Err(trouble) => {
                    // What it failed with may be one of them, and be mended in the chart.
                    self.0.needs.lock().forget(&about);
                    return Err(trouble);
                }
            }
        }
        Err(Trouble::ours(Cause::error(
            message::source::REPO_SERVER_UNAVAILABLE.message(),
        )))
    }

    /// Who signed a commit that this named, as far as the tenant's keys tell; those in `named` are looked at first.
    ///
    /// # Errors
    /// When the repository cannot be reached or has no such commit.
    #[tracing::instrument(name = "signature", skip_all, fields(commit))]
    pub async fn signature(
        &self,
        key: &RepoKey,
        url: &str,
        (commit, named_by): (&str, Target<'_>),
        named: &[SignatureKey],
        now: i64,
    ) -> Result<Signature, Trouble> {
        let access = self.0.accesses.of(key, url).await?;
        let keys = self.0.accesses.signing_keys(key.tenant).await?;
        let asked = SignatureRequest {
            repository: Some(access),
            commit: commit.to_owned(),
            revision: named_by.revision.to_owned(),
            tag_prefix: named_by.tag_prefix.to_owned(),
            keys: domain::signature::keys(keys, named),
            now,
        };
        self.0.servers.signature(asked).await
    }

    /// Notes what an application follows now, instead of what it did before. Who lists tells those alone that follow: what has
    /// moved between an application's question and this is told here.
    pub fn follow(&self, app: &AppKey, followed: Vec<Followed>) {
        let mut keys: Vec<RepoKey> = followed.iter().map(|f| f.repo.clone()).collect();
        keys.dedup();
        let before = self
            .0
            .followed
            .lock()
            .insert(app.clone(), keys.clone())
            .unwrap_or_default();
        for gone in before.iter().filter(|key| !keys.contains(key)) {
            self.leave(gone, app);
        }
        let mut behind = false;
        for key in &keys {
            let mine: Vec<Followed> = followed
                .iter()
                .filter(|f| f.repo == *key)
                .cloned()
                .collect();
            let Some(first) = mine.first() else { continue };
            let repo = self.repo(key, &first.url);
            // In this order: a listing that ends after the second step finds the application.
            repo.users.lock().insert(app.name.clone(), mine.clone());
            let tips = repo.known(Need::Known(self.0.age));
            let is_listed_since = |then| repo.is_listed_since(then);
            behind |= tips.is_some_and(|tips| {
                tips.is_ok_and(|tips| is_behind(key, &mine, &tips, is_listed_since))
            });
        }
        if behind {
            let _ = self.0.news.send(News::Behind(app.clone()));
        }
    }

    /// Forgets an application.
    pub fn forget(&self, app: &AppKey) {
        for key in self.0.followed.lock().remove(app).unwrap_or_default() {
            self.leave(&key, app);
        }
    }

    /// Forgets what is known of everything: another process was in charge meanwhile.
    pub fn forget_all(&self) {
        self.0.repos.lock().clear();
        self.0.followed.lock().clear();
        *self.0.needs.lock() = Needs::default();
        self.0.accesses.forget_all();
    }

    /// Forgets all credentials: any may have changed unheard.
    pub fn forget_access(&self) {
        self.0.accesses.forget_all();
        self.leave_ways(|_| true);
    }

    /// Forgets a tenant's credentials: one may have changed.
    pub fn forget_credentials(&self, tenant: TenantId) {
        self.0.accesses.forget(tenant);
        self.leave_ways(|key| key.tenant == tenant);
    }

    /// Has repositories look for their way in before they believe a listing again.
    fn leave_ways(&self, which: impl Fn(&RepoKey) -> bool) {
        let repos = self.0.repos.lock();
        for (_, repo) in repos.iter().filter(|(key, _)| which(key)) {
            repo.entered.store(false, Ordering::SeqCst);
        }
    }

    /// The repositories of a tenant at an address, however they are reached.
    #[must_use]
    pub fn at(&self, tenant: TenantId, url: &str) -> Vec<RepoKey> {
        let here = place(url);
        let repos = self.0.repos.lock();
        repos
            .keys()
            .filter(|key| key.tenant == tenant && place(&key.url) == here)
            .cloned()
            .collect()
    }

    /// The same repository as other projects reach it that use it since then or later.
    #[must_use]
    pub fn newer(&self, key: &RepoKey, since: Instant) -> Vec<RepoKey> {
        newer(self.0.repos.lock().values(), key, since)
    }

    /// All repositories that a tenant uses.
    #[must_use]
    pub fn of_tenant(&self, tenant: TenantId) -> Vec<RepoKey> {
        let repos = self.0.repos.lock();
        repos
            .keys()
            .filter(|key| key.tenant == tenant)
            .cloned()
            .collect()
    }

    /// Whether anybody uses this repository.
    #[must_use]
    pub fn is_known(&self, key: &RepoKey) -> bool {
        self.0.repos.lock().contains_key(key)
    }

    /// Whether anybody follows a revision of this repository that can move.
    #[must_use]
    pub fn in_use(&self, key: &RepoKey) -> bool {
        let repos = self.0.repos.lock();
        repos.get(key).is_some_and(|repo| {
            repo.users
                .lock()
                .values()
                .flatten()
                .any(|f| !key.is_fixed(&f.revision))
        })
    }

    /// Lists a repository's tips, unless that was done as recently as is needed, and says which applications' commits are no
    /// longer what they follow.
    pub async fn poll(&self, key: &RepoKey, need: Need) -> Moved {
        let Some(repo) = self.0.repos.lock().get(key).cloned() else {
            return Moved::default();
        };
        let tips = self.tips(&repo, need, None).await;
        if let Err(trouble) = &tips {
            tracing::info!(tenant = %key.tenant, repository = %key.url, %trouble, "the repository could not be listed");
        }
        let failed = tips
            .as_ref()
            .is_err_and(|trouble| trouble.ours || trouble.passing);
        let still_good = self.tips_known(&repo);
        let age = repo.age();
        let moved = moved(&repo, tips.as_deref().ok(), still_good);
        let app = |name: Arc<str>| AppKey {
            tenant: key.tenant,
            name,
        };
        // Which files of a chart or an artifact differ is not asked: they are fetched whole.
        if moved.len() < FEW || !key.chart.is_empty() || key.is_artifact() {
            return Moved {
                first: moved.into_iter().map(|step| app(step.app)).collect(),
                later: Vec::new(),
                failed,
                age,
            };
        }
        let known = self.path_ids(&repo, &moved).await;
        let id =
            |commit: &Option<String>, path: &str| known.get(commit.as_ref()?)?.get(path).cloned();
        let mut result = Moved {
            failed,
            age,
            ..Moved::default()
        };
        for Step { app: name, ways } in moved {
            let same = ways.iter().all(|Way { from, to, path }| {
                id(from, path)
                    .zip(id(to, path))
                    .is_some_and(|(before, after)| before == after && !after.is_empty())
            });
            if same {
                &mut result.later
            } else {
                &mut result.first
            }
            .push(app(name));
        }
        result
    }

    /// What stands at the paths of the applications that move, before and after. What cannot be told is left out.
    async fn path_ids(
        &self,
        repo: &Repo,
        moved: &[Step],
    ) -> HashMap<String, HashMap<String, String>> {
        let mut wanted: HashMap<String, HashSet<String>> = HashMap::new();
        for way in moved.iter().flat_map(|step| &step.ways) {
            for commit in [&way.from, &way.to].into_iter().flatten() {
                wanted
                    .entry(commit.clone())
                    .or_default()
                    .insert(way.path.clone());
            }
        }
        let mut known = std::mem::take(&mut *repo.ids.lock());
        known.retain(|commit, _| wanted.contains_key(commit));
        for (commit, paths) in wanted {
            let of_commit = known.entry(commit.clone()).or_default();
            let missing: Vec<String> = paths
                .into_iter()
                .filter(|path| !of_commit.contains_key(path))
                .collect();
            if missing.is_empty() {
                continue;
            }
            let asked = async {
                let access = self.0.accesses.of(&repo.key, &repo.url).await?;
                self.0.servers.path_ids(access, &commit, &missing).await
            };
            match asked.await {
                Ok(ids) => of_commit.extend(missing.into_iter().zip(ids)),
                Err(trouble) => {
                    tracing::debug!(%trouble, "which applications come first is not known")
                }
            }
        }
        repo.ids.lock().clone_from(&known);
        known
    }

    fn repo(&self, key: &RepoKey, url: &str) -> Arc<Repo> {
        let mut repos = self.0.repos.lock();
        if let Some(repo) = repos.get(key) {
            return repo.clone();
        }
        let repo = Arc::new(Repo::new(key, url, Instant::now()));
        repos.insert(key.clone(), repo.clone());
        let _ = self.0.news.send(News::Used(key.clone()));
        repo
    }

    fn leave(&self, key: &RepoKey, app: &AppKey) {
        let mut repos = self.0.repos.lock();
        let Some(repo) = repos.get(key) else { return };
        let mut users = repo.users.lock();
        users.remove(&app.name);
        let unused = users.is_empty();
        drop(users);
        if unused {
            repos.remove(key);
        }
    }
}

/// Leaves on record how manifests were come by.
fn noted(answered: Option<&Answered>) {
    let Some(answered) = answered else { return };
    let (span, cache) = (tracing::Span::current(), answered.as_str());
    span.record("cache", cache);
    match answered.changed() {
        None => tracing::debug!(cache, "manifests were come by"),
        Some(changed) => {
            span.record("changed", tracing::field::display(changed));
            tracing::debug!(cache, %changed, "manifests were come by");
        }
    }
}

fn newer<'a>(
    repos: impl Iterator<Item = &'a Arc<Repo>>,
    key: &RepoKey,
    since: Instant,
) -> Vec<RepoKey> {
    let here = place(&key.url);
    let others = repos.filter(|repo| {
        let other = &repo.key;
        repo.since >= since
            && other != key
            && other.tenant == key.tenant
            && place(&other.url) == here
    });
    others.map(|repo| repo.key.clone()).collect()
}

/// Whether something is followed that is another commit by now, or may be: what failed may have failed for a commit of before a push
/// whose listing came meanwhile, and that listing knew of no follower. What failed for the commit that still is one would fail again,
/// however often others have the repository listed. What only the repo-server can tell is looked at with the next listing.
fn is_behind(
    key: &RepoKey,
    followed: &[Followed],
    tips: &Refs,
    is_listed_since: impl Fn(Instant) -> bool,
) -> bool {
    let mut moving = followed.iter().filter(|one| !key.is_fixed(&one.revision));
    moving.any(|one| {
        let seen = one.commit.as_ref().or(one.tried.as_ref());
        match (seen, tips.resolve(one.target())) {
            (Some(seen), Named::Commit(now)) => now != *seen,
            (_, Named::Unclear) if one.commit.is_some() => false,
            (_, Named::Commit(_) | Named::Unclear) => one.asked.is_some_and(&is_listed_since),
        }
    })
}

/// An application whose commits are no longer what it follows.
struct Step {
    app: Arc<str>,
    ways: Vec<Way>,
}

/// One source's way from commit to commit.
struct Way {
    from: Option<String>,
    to: Option<String>,
    path: String,
}

/// The users whose commits are no longer what they follow. Without tips, what was good until now is looked at again
/// when the grace is over; what was bad stays so.
fn moved(repo: &Repo, tips: Option<&Refs>, still_good: bool) -> Vec<Step> {
    let users = repo.users.lock();
    // Many follow the same.
    let mut known: HashMap<Target<'_>, Named> = HashMap::new();
    let steps = users.iter().filter_map(|(app, followed)| {
        let ways: Vec<Way> = followed
            .iter()
            .map(|f| {
                let resolve = |tips: &Refs| {
                    let known = known.entry(f.target());
                    known.or_insert_with(|| tips.resolve(f.target())).clone()
                };
                let to = match tips.map(resolve) {
                    Some(Named::Commit(now)) => Some(now),
                    // A range may mean another commit now; looking costs one question to the repo-server.
                    Some(Named::Unclear) | None => None,
                };
                Way {
                    from: f.commit.clone(),
                    to,
                    path: f.path.clone(),
                }
            })
            .collect();
        let concerned = match tips {
            Some(_) => ways
                .iter()
                .any(|way| way.to.is_none() || way.from != way.to),
            None => !still_good && ways.iter().any(|way| way.from.is_some()),
        };
        concerned.then(|| Step {
            app: app.clone(),
            ways,
        })
    });
    steps.collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn projects_that_came_since_a_push_are_found() {
        let push = Instant::now();
        let later = push + Duration::from_secs(1);
        let key = |tenant: u128, project: &str, url: &str| {
            RepoKey::new(TenantId(Uuid::from_u128(tenant)), project, url, "")
        };
        let here = "https://h/a.git";
        let asked = key(1, "asked", here);
        let repos = [
            (asked.clone(), later),
            (key(1, "came", "https://H/a"), later),
            (key(1, "was there", here), push - Duration::from_secs(1)),
            (key(1, "elsewhere", "https://h/b.git"), later),
            (key(2, "another tenant's", here), later),
        ];
        let repos = repos.map(|(key, since)| Arc::new(Repo::new(&key, &key.url, since)));
        let found = newer(repos.iter(), &asked, push);
        assert_eq!(found, [key(1, "came", "https://H/a")]);
    }

    #[test]
    fn who_begins_to_follow_what_has_moved_meanwhile_is_told() {
        let key = RepoKey::new(TenantId(Uuid::from_u128(1)), "p", "https://h/a.git", "");
        let (former, now) = ("a".repeat(40), "b".repeat(40));
        let tips = HashMap::from([("refs/heads/main".to_owned(), now.clone())]);
        let tips = Refs::new(tips, "refs/heads/main".to_owned());
        let (asked, listed) = (Instant::now(), std::cell::Cell::new(false));
        let looked = |revision: &str, commit: Option<&String>, tried: Option<&String>| {
            let followed = Followed {
                repo: key.clone(),
                url: key.url.to_string(),
                path: "app".to_owned(),
                revision: revision.to_owned(),
                tag_prefix: String::new(),
                commit: commit.cloned(),
                tried: tried.cloned(),
                asked: Some(asked),
            };
            is_behind(&key, &[followed], &tips, |then| {
                then == asked && listed.get()
            })
        };
        let behind = |revision: &str, commit| looked(revision, commit, commit);
        let failed = |revision: &str, tried| looked(revision, None, tried);
        assert!(behind("main", Some(&former)) && behind("HEAD", Some(&former)));
        assert!(!behind("main", Some(&now)));
        assert!(!behind(&former, Some(&former)), "a commit stays what it is");
        assert!(!behind("v1.*", Some(&former)), "nobody knows");
        assert!(
            !failed("main", None),
            "it could not be told, and nothing else is said since"
        );
        assert!(
            failed("main", Some(&former)),
            "it failed for what was there before"
        );
        listed.set(true);
        assert!(failed("main", None), "it may be told by now");
        assert!(failed("main", Some(&former)));
        assert!(
            !failed("main", Some(&now)),
            "it would fail for the same again with each listing"
        );
        assert!(failed("v1.*", Some(&former)), "there may be a newer one");
        assert!(!behind("main", Some(&now)) && !behind("v1.*", Some(&former)));
    }
}
