//! Renders, remembered by content: an earlier one answers for every commit at which all that it read is the same.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use cache::Cache;
use crowd::fair::Fair;
use crowd::seats::{Seat, Seats};
use domain::cause::Cause;
use domain::manifest::{Manifest, ManifestSetHash, ReplacedElsewhere, SourceType};
use domain::message;
use domain::render::Answered;
use domain::secret::Secret;
use domain::tenant::TenantId;
use parking_lot::Mutex;
use runtime::Lifecycle;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};
use source::git::Access;
use source::render::{ChartDetails, Details, Held, ReadSet, RenderInput, Rendered, Renderer};
use source::{Error, Kind};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;
use tracing::field::Empty;

use crate::config::Config;
use crate::failures::Failures;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::rates::Rates;

/// The kind of the entries in Redis; another number when their form changes, or what is noted in them.
const KIND: &str = "render-5";
/// How long Redis keeps an entry, as Argo CD keeps its manifests.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// How many folders that people send are held at once: 32 MiB each, 64 MiB unpacked, and as much again when it is read.
const LOCALS: usize = 3;

/// How many bytes of renders are remembered at once while nobody waits for it: each is held, several times over, until Redis has
/// it, and compressed outside of its turn.
const WRITES: u32 = 4 << 20;
/// What each of them counts for at least: the small ones take most for being compressed.
const WRITE: u32 = 1 << 20;

/// How many times as much memory as its JSON a render takes for what it read, in maps of paths and ids.
const READ: usize = 3;

/// A finished render, as it is remembered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// The manifests as they are written, a list of [`Manifest`]: as values they take ten times as much, and nearly everybody
    /// who asks has them.
    manifests: Box<RawValue>,
    pub(crate) hash: ManifestSetHash,
    pub(crate) detail: String,
    pub(crate) source_type: SourceType,
    pub(crate) causes: Vec<Cause>,
    pub(crate) elsewhere: Vec<ReplacedElsewhere>,
    pub(crate) undetermined: Option<String>,
    pub(crate) read_set: ReadSet,
    /// Where that was found to hold.
    #[serde(skip)]
    pub(crate) held: Held,
}

impl TryFrom<Rendered> for Remembered {
    type Error = Error;

    fn try_from(rendered: Rendered) -> Result<Self, Error> {
        Ok(Self {
            manifests: to_raw_value(&rendered.manifests).map_err(Error::internal)?,
            hash: rendered.hash,
            detail: rendered.detail,
            source_type: rendered.source_type,
            causes: rendered.causes,
            elsewhere: rendered.elsewhere,
            undetermined: rendered.undetermined,
            read_set: rendered.read_set,
            held: Held::default(),
        })
    }
}

impl Remembered {
    /// Its manifests, read as a list of these.
    pub(crate) fn manifests<'a, T: Deserialize<'a>>(&'a self) -> Result<Vec<T>, Error> {
        serde_json::from_str(self.manifests.get()).map_err(Error::internal)
    }

    /// How many bytes it takes in this process, where all of it is so many as JSON.
    fn size(&self, json: usize) -> usize {
        let manifests = self.manifests.get().len();
        let rest = json.saturating_sub(manifests);
        manifests.saturating_add(rest.saturating_mul(READ))
    }
}

/// A render, and how it was come by.
pub(crate) type Outcome = Result<(Arc<Remembered>, Answered), Error>;

/// What is asked for.
pub(crate) struct Order {
    pub(crate) tenant: TenantId,
    /// The key under which what is cached is sealed.
    pub(crate) key: Secret,
    pub(crate) access: Access,
    pub(crate) commit: String,
    pub(crate) input: RenderInput,
    /// Render, whatever is cached.
    pub(crate) no_cache: bool,
    /// How many renders the tenant may have in a minute; 0 without limit.
    pub(crate) per_minute: u64,
}

/// Renders, one per key at a time, remembered in this process and in Redis.
#[derive(Clone)]
pub(crate) struct Renders(Arc<Inner>);

struct Inner {
    renderer: Renderer,
    cache: Option<Cache>,
    memory: Memory<Remembered>,
    /// The seats of renders, see [`places`], and their turns, see [`turns`].
    seats: Seats,
    /// The turns of those whose charts and artifacts are fetched, each of which is in memory meanwhile. Each tenant leaves as many as it
    /// has: what they wait for are their own servers. Fetches of Git have their own.
    pulls: Fair,
    /// The places of folders that people send, taken before a turn.
    locals: Fair,
    rates: Rates,
    failures: Failures,
    running: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    writes: Arc<Semaphore>,
    life: Lifecycle,
    metrics: Metrics,
}

/// A render that is to be remembered: where, and under which key it is sealed.
struct Fresh {
    tenant: TenantId,
    seal: Secret,
    key: String,
    rendered: Arc<Remembered>,
}

impl Renders {
    pub(crate) fn new(
        renderer: Renderer,
        cache: Option<Cache>,
        config: &Config,
        life: Lifecycle,
        metrics: Metrics,
    ) -> Self {
        Self(Arc::new(Inner {
            renderer,
            cache,
            memory: Memory::new(config.memory_mib << 20),
            seats: Seats::new(places(config.parallelism), turns(config.parallelism)),
            pulls: Fair::sparing(config.parallelism, config.parallelism.div_ceil(2)),
            locals: Fair::new(LOCALS),
            rates: Rates::default(),
            failures: Failures::default(),
            running: Mutex::default(),
            writes: Arc::new(Semaphore::new(WRITES as usize)),
            life,
            metrics,
        }))
    }

    /// What can be set for a source; the images of a kustomization are those of its render.
    pub(crate) async fn details(&self, order: Order) -> Result<(Details, Vec<String>), Error> {
        let found = {
            let seat = self.seat(order.access.tenant()).await;
            self.0.rates.take(order.tenant, order.per_minute)?;
            let seat = self.fetched(&order, seat).await?;
            let Order {
                access,
                commit,
                input,
                ..
            } = &order;
            let renderer = self.0.renderer.seated(seat);
            renderer.details(access, commit, input).await?
        };
        if found.source_type != SourceType::Kustomize {
            return Ok((found, Vec::new()));
        }
        let (rendered, _) = self.get(order).await?;
        let images = source::render::images(&rendered.manifests::<Manifest>()?);
        Ok((found, images))
    }

    /// What a version of a chart says of itself. Nothing is rendered, so it needs no turn here.
    pub(crate) async fn chart(
        &self,
        access: &Access,
        chart: &str,
        revision: &str,
    ) -> Result<ChartDetails, Error> {
        self.0.renderer.chart(access, chart, revision).await
    }

    /// Waits for a seat of the tenant's and its turn. Each thread that works on what was ordered has it too: a thread ends when it has
    /// what it waits for, though whoever asked has gone, and otherwise whoever asks and goes again and again would have more of
    /// them than there are seats, and in the end all that the process has.
    pub(crate) async fn seat(&self, tenant: &str) -> Seat {
        self.0.seats.seat(tenant).await
    }

    /// Forgets what is remembered in this process. What is another tenant's comes back from Redis. What is being remembered is
    /// so before: it would come to be there afterwards, in Redis too.
    pub(crate) async fn forget(&self) {
        let _all = self.0.writes.acquire_many(WRITES).await;
        self.0.memory.clear();
        self.0.failures.clear();
    }

    /// The render, and how it was come by.
    #[tracing::instrument(
        name = "renders.get",
        skip_all,
        fields(app = order.input.app_name, cache = Empty, changed = Empty)
    )]
    pub(crate) async fn get(&self, order: Order) -> Outcome {
        let tenant = order.access.tenant().to_owned();
        self.counted(&tenant, self.answer(order)).await
    }

    /// The render of a folder that somebody sends. It is read to its end or not at all: one that waited unread would keep what
    /// others send from arriving. Neither it nor that it failed is remembered.
    pub(crate) async fn local(
        &self,
        order: Order,
        archive: impl Future<Output = Result<Vec<u8>, Error>>,
    ) -> Outcome {
        let tenant = order.access.tenant();
        let rendering = async {
            let place = self.0.locals.turn_now(tenant).ok_or_else(busy)?;
            self.0.rates.take(order.tenant, order.per_minute)?;
            let archive = archive.await?;
            let renderer = self.0.renderer.seated(self.seat(tenant).await);
            let rendered = renderer.render_local(&order.access, archive, place, &order.input);
            let rendered = Remembered::try_from(rendered.await?)?;
            Outcome::Ok((Arc::new(rendered), Answered::Local))
        };
        self.counted(tenant, rendering).await
    }

    /// Counts a tenant's render, and how it was come by.
    async fn counted(&self, tenant: &str, render: impl Future<Output = Outcome>) -> Outcome {
        let begun = Instant::now();
        let _pending = self.0.metrics.pending(tenant);
        let result = render.await;
        let how = match &result {
            Ok((_, answered)) => {
                noted(tenant, answered);
                answered.as_str()
            }
            // It is asked again, with what was missing.
            Err(error) if !error.needs().is_empty() => "incomplete",
            Err(_) => "failed",
        };
        self.0.metrics.rendered(tenant, how, begun.elapsed());
        result
    }

    async fn answer(&self, order: Order) -> Outcome {
        let key = key_of(&order);
        let alone = self.lock(&key).lock_owned().await;
        let mut seat = self.seat(order.access.tenant()).await;
        let mut how = Answered::Bypassed;
        if !order.no_cache {
            how = Answered::First;
            let renderer = &self.0.renderer;
            let Order {
                access,
                commit,
                input,
                ..
            } = &order;
            let mut known = self.remembered(&order, &key).await;
            if let Some(earlier) = &known {
                if renderer.holds(access, commit, input, &earlier.read_set, &earlier.held) {
                    return Ok((earlier.clone(), Answered::Hit));
                }
                if !renderer.has(access, commit, input).await {
                    // As many wait for a fetch as ask: none of them keeps a whole render in memory meanwhile.
                    drop(known.take());
                    seat = self.fetch(&order, seat).await?;
                    known = self.remembered(&order, &key).await;
                }
            }
            if let Some(earlier) = known {
                let changed = renderer
                    .seated(seat.clone())
                    .changed_since(access, commit, input, &earlier.read_set, &earlier.held)
                    .await?;
                match changed {
                    None => return Ok((earlier, Answered::Hit)),
                    Some(changed) => how = Answered::Changed(changed),
                }
            }
        }
        let name = name_of(&order, &key);
        if !order.no_cache
            && let Some(held) = self.0.failures.held(&name, order.input.now)
        {
            return Err(held);
        }
        self.0.rates.take(order.tenant, order.per_minute)?;
        let rendering = async {
            let seat = self.fetched(&order, seat).await?;
            let Order {
                access,
                commit,
                input,
                ..
            } = &order;
            let renderer = self.0.renderer.seated(seat.clone());
            let rendered = renderer.render(access, commit, input).await?;
            Ok::<(Rendered, Seat), Error>((rendered, seat))
        };
        let rendered = rendering.await;
        self.0.failures.note(name, rendered.as_ref().err());
        let (rendered, _seat) = rendered?;
        let rendered = Arc::new(Remembered::try_from(rendered)?);
        // What was drawn is its application's own, and kept by who deploys it: another one with the same source must not get it.
        if rendered.undetermined.is_none() {
            let Order {
                tenant, key: seal, ..
            } = order;
            let fresh = Fresh {
                tenant,
                seal,
                key,
                rendered: rendered.clone(),
            };
            self.remember(fresh, alone).await;
        }
        Ok((rendered, how))
    }

    /// Has what is to be rendered fetched, where it is not there.
    async fn fetched(&self, order: &Order, seat: Seat) -> Result<Seat, Error> {
        let Order {
            access,
            commit,
            input,
            ..
        } = order;
        match self.0.renderer.has(access, commit, input).await {
            true => Ok(seat),
            false => self.fetch(order, seat).await,
        }
    }

    /// Has what is to be rendered fetched, in which time the seat is another's: nothing of it is in memory yet, and no thread waits.
    async fn fetch(&self, order: &Order, seat: Seat) -> Result<Seat, Error> {
        let Order {
            access,
            commit,
            input,
            ..
        } = order;
        drop(seat);
        let pulling = match input.is_of_charts() {
            true => Some(self.0.pulls.turn(access.tenant()).await),
            false => None,
        };
        self.0.renderer.fetch(access, commit, input).await?;
        drop(pulling);
        Ok(self.seat(access.tenant()).await)
    }

    fn lock(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut running = self.0.running.lock();
        if let Some(lock) = running.get(key).and_then(Weak::upgrade) {
            return lock;
        }
        if running.len() >= 1024 {
            running.retain(|_, lock| lock.strong_count() > 0);
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        running.insert(key.to_owned(), Arc::downgrade(&lock));
        lock
    }

    async fn remembered(&self, order: &Order, key: &str) -> Option<Arc<Remembered>> {
        if let Some(found) = self.0.memory.get(key) {
            return Some(found);
        }
        let bytes = self
            .0
            .cache
            .as_ref()?
            .get(order.tenant, &order.key, KIND, key)
            .await?;
        // An entry of another form is one that is not there.
        let found: Arc<Remembered> = Arc::new(serde_json::from_slice(&bytes).ok()?);
        let size = found.size(bytes.len());
        self.0.memory.put(key.to_owned(), found.clone(), size);
        Some(found)
    }

    /// Remembers a render. Who asked for it does not wait for Redis, unless it is large or Redis falls behind; nor does who asks
    /// for the same next, unless this process does not keep it: it would be rendered again. What stays is what was rendered last.
    async fn remember(&self, fresh: Fresh, alone: OwnedMutexGuard<()>) {
        let Ok(bytes) = serde_json::to_vec(&*fresh.rendered) else {
            return;
        };
        // Before it is kept anywhere: who forgets everything waits for it.
        let held = place(&self.0.writes, bytes.len());
        let Fresh {
            tenant,
            seal,
            key,
            rendered,
        } = fresh;
        let size = rendered.size(bytes.len());
        let kept = self.0.memory.put(key.clone(), rendered, size);
        let Some(cache) = self.0.cache.clone() else {
            return;
        };
        // The writes of a key follow each other as its renders did: the place in the line is taken before the next one begins.
        let mut line = Box::pin(self.lock(&format!("write {key}")).lock_owned());
        let first = futures::poll!(&mut line);
        let alone = (!kept).then_some(alone);
        let waits = held.is_none();
        let writing = async move {
            let in_turn = match first {
                Poll::Ready(in_turn) => in_turn,
                Poll::Pending => line.await,
            };
            cache.put(tenant, &seal, KIND, &key, &bytes, KEPT).await;
            drop((alone, in_turn, held));
        };
        if waits {
            writing.await;
        } else {
            self.0.life.spawn_short(writing.in_current_span());
        }
    }
}

/// How many more seats there are than turns: each may be 64 MiB of what was read, half a GiB of all of them.
const LENDING: usize = 8;
/// How many seats there are at most, each of which may be a thread: half of those that all who block share.
const SEATS: usize = 256;

/// So many seats of renders. What a render only comes upon as it reads it waits for in its seat, and that may be servers which never
/// answer: each tenant leaves as many as it has, so that four with such servers have not all of them.
fn places(parallelism: usize) -> Fair {
    let turns = parallelism.max(1);
    let share = turns.div_ceil(2).max(turns.min(2));
    Fair::sparing(turns.saturating_add(LENDING).min(SEATS), share)
}

/// So many turns of renders: of those that compute, for whoever waits for a server lends its own. Each tenant leaves as many as it has,
/// so that two with large renders have not all of them. Of two turns a tenant that is alone would have one then, and has both.
fn turns(parallelism: usize) -> Fair {
    match parallelism {
        0..=2 => Fair::new(parallelism),
        _ => Fair::sparing(parallelism, parallelism.div_ceil(2)),
    }
}

/// The place of a render that is remembered while nobody waits for it, if there is one.
fn place(writes: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    let counts = u32::try_from(bytes).ok()?.max(WRITE);
    Arc::clone(writes).try_acquire_many_owned(counts).ok()
}

/// Leaves on record how a render was come by.
fn noted(tenant: &str, answered: &Answered) {
    let span = tracing::Span::current();
    let cache = answered.as_str();
    span.record("cache", cache);
    match answered.changed() {
        None => tracing::debug!(tenant, cache, "manifests were asked for"),
        Some(changed) => {
            span.record("changed", tracing::field::display(changed));
            tracing::debug!(tenant, cache, %changed, "manifests were asked for");
        }
    }
}

/// That there is no place for a folder.
fn busy() -> Error {
    Error::new(Kind::TooLarge, message::source::LOCAL_BUSY.message())
}

/// Names everything that a render is made of, where it has no read set: one that failed.
fn name_of(order: &Order, key: &str) -> [u8; 32] {
    let RenderInput {
        app_name,
        project,
        namespace,
        variables,
        target,
        references,
        fresh: _,
        now: _,
        dependencies,
        remotes,
        // Part of the key.
        source: _,
        rendering: _,
    } = &order.input;
    let references: Vec<_> = references.iter().map(|one| &one.commit).collect();
    let ways = dependencies.iter();
    let ways = ways.map(|(place, access)| (place.as_str(), access.as_ref()));
    let ways = ways.chain(remotes.iter().map(|access| ("", Some(access))));
    let ways: Vec<_> = ways
        .map(|(place, access)| (place, access.map(|way| (way.url(), way.scope()))))
        .collect();
    let parts = (key, &order.commit, app_name, project, namespace);
    let all = (
        parts,
        variables,
        target.name(),
        &target.kube_version,
        references,
        ways,
    );
    // Texts, and maps that are sorted: that cannot fail.
    Sha256::digest(serde_json::to_vec(&all).unwrap_or_default()).into()
}

/// What names a render besides what it reads: tenant, key, repository, options. The application's name and the variables
/// are in the read set, as far as they count.
///
/// The credential's scope and the tenant's key are part of it: whoever may not read the repository, or came with another
/// key, does not get what somebody else rendered.
fn key_of(order: &Order) -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    add(order.access.tenant().as_bytes());
    add(&Sha256::digest(order.key.expose()));
    add(order.access.scope().as_bytes());
    add(order.access.url().as_bytes());
    add(order.input.source_key().as_slice());
    // Not part of the source's name, by which what was drawn is kept: a setting must draw no other password.
    add(&serde_json::to_vec(&order.input.rendering).unwrap_or_default());
    // Applications that refer to others by the same names would otherwise take turns in one entry.
    for reference in &order.input.references {
        add(reference.name.as_bytes());
        add(reference.access.scope().as_bytes());
        add(reference.access.url().as_bytes());
        add(reference.chart.as_bytes());
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use crowd::fair::Turn;
    use domain::cause::Location;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_remembered_is_what_was_rendered_and_counts_for_what_it_takes() {
        let at = Location {
            path: "a.yaml".to_owned(),
            line: 1,
        };
        let object = json!({"kind": "X", "metadata": {"name": "<a>"}});
        let mut manifest = Manifest::new(object, Some(at));
        manifest.lines = vec![("kind".to_owned(), 1)];
        let bare = Manifest::new(json!({"kind": "Y"}), None);
        let rendered = Rendered {
            manifests: vec![manifest, bare],
            hash: ManifestSetHash("hash".to_owned()),
            detail: "detail".to_owned(),
            source_type: SourceType::Directory,
            causes: Vec::new(),
            elsewhere: Vec::new(),
            undetermined: None,
            read_set: ReadSet::default(),
        };
        let expected = rendered.manifests.clone();
        let first = Remembered::try_from(rendered).unwrap();
        let bytes = serde_json::to_vec(&first).unwrap();
        let again: Remembered = serde_json::from_slice(&bytes).unwrap();
        for one in [&first, &again] {
            assert_eq!(one.manifests::<Manifest>().unwrap(), expected);
            let text = serde_json::to_vec(&expected).unwrap().len();
            let read = bytes.len() - text;
            assert_eq!(one.size(bytes.len()), text + READ * read);
        }
    }

    /// All that a tenant may have at once.
    fn all(fair: &Fair, tenant: &str) -> Vec<Turn> {
        std::iter::from_fn(|| fair.turn_now(tenant)).collect()
    }

    #[test]
    fn four_tenants_that_wait_for_servers_leave_seats_to_others() {
        for parallelism in [1, 2, 3, 4, 5, 8, 16, 64] {
            let fair = places(parallelism);
            let held = ["first", "second", "third", "fourth"].map(|tenant| all(&fair, tenant));
            let share = all(&turns(parallelism), "alone").len();
            assert_eq!(held[0].len(), share, "as many as turns");
            let others = (0..100).map(|other| fair.turn_now(&other.to_string()));
            let others: Vec<Turn> = others.flatten().collect();
            assert!(others.len() > 1, "of {parallelism}");
            let held: usize = held.iter().map(Vec::len).sum();
            assert_eq!(held + others.len(), parallelism + LENDING);
        }
        let fair = places(usize::MAX);
        let held = (0..2 * SEATS).map(|tenant| all(&fair, &tenant.to_string()));
        let held: Vec<Turn> = held.flatten().collect();
        assert_eq!(held.len(), SEATS, "and no more threads than these");
    }

    #[test]
    fn a_tenant_that_is_alone_has_half_of_the_turns_and_two_leave_one() {
        for (parallelism, half) in [(0, 1), (1, 1), (2, 2), (3, 2), (4, 2), (5, 3), (8, 4)] {
            let fair = turns(parallelism);
            let first = all(&fair, "first");
            assert_eq!(first.len(), half, "of {parallelism}");
            let _second = all(&fair, "second");
            let third = fair.turn_now("third");
            assert_eq!(third.is_some(), parallelism > 3, "of {parallelism}");
        }
    }

    #[test]
    fn what_is_remembered_beside_the_answers_is_bounded_by_what_it_takes() {
        let writes = Arc::new(Semaphore::new(WRITES as usize));
        let all = WRITES as usize;
        assert!(place(&writes, all + 1).is_none(), "it waits");
        let half = place(&writes, all / 2 + 1);
        assert!(half.is_some() && place(&writes, all / 2).is_none());
        let rest = place(&writes, all / 2 - 1);
        assert!(rest.is_some() && place(&writes, 0).is_none());
        drop((half, rest));
        let small: Vec<_> = (0..WRITES / WRITE).map(|_| place(&writes, 1)).collect();
        assert!(small.iter().all(Option::is_some) && place(&writes, 1).is_none());
    }
}
