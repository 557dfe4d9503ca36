//! Repositories are listed once per interval, each at its own moment, and at once when somebody pushed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use domain::trace::TraceParent;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rand::Rng;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;
use tracing::Instrument;

use super::queue::Queue;
use crate::repos::{Moved, Need, News, RepoKey, Repos};

/// Asks for a repository to be listed now. Cheap to clone.
#[derive(Clone)]
pub struct PollNow(mpsc::UnboundedSender<Pushed>);

/// A repository to be listed now.
struct Pushed {
    repo: RepoKey,
    /// Whose trace goes on there.
    trace: Option<TraceParent>,
    /// When that was heard of: a listing of this time or later says what was pushed.
    since: Instant,
}

impl PollNow {
    /// Somebody pushed, which was heard of at this time.
    pub fn ask(&self, repo: RepoKey, trace: Option<TraceParent>, since: Instant) {
        let _ = self.0.send(Pushed { repo, trace, since });
    }
}

/// However long a listing takes, the next one is not due at once.
const SOONEST: Duration = Duration::from_secs(1);

/// So many traces are remembered of those who push while a repository is listed.
const TRACES: usize = 8;

/// The repositories that are being listed: each once, and once more afterwards where somebody pushed meanwhile, however
/// many did.
#[derive(Default)]
struct Listings(HashMap<RepoKey, Option<Again>>);

/// The listing that follows the one that is under way.
#[derive(Debug, PartialEq, Eq)]
struct Again {
    /// Whose traces go on there.
    traces: Vec<TraceParent>,
    /// When the last push was heard of.
    since: Instant,
}

impl Listings {
    /// Whether a listing that is due may begin; one that is under way is as good.
    fn poll(&mut self, repo: &RepoKey) -> bool {
        if self.0.contains_key(repo) {
            return false;
        }
        self.0.insert(repo.clone(), None);
        true
    }

    /// Whether a listing may begin for a push. One that is under way may have looked before it: another follows.
    fn push(&mut self, repo: &RepoKey, trace: Option<&TraceParent>, since: Instant) -> bool {
        if let Some(next) = self.0.get_mut(repo) {
            let next = next.get_or_insert_with(|| Again {
                traces: Vec::new(),
                since,
            });
            next.since = next.since.max(since);
            if next.traces.len() < TRACES {
                next.traces.extend(trace.cloned());
            }
            return false;
        }
        self.poll(repo)
    }

    /// A listing has ended. Where another follows it begins.
    fn end(&mut self, repo: &RepoKey) -> Option<Again> {
        let next = self.0.get_mut(repo).and_then(Option::take);
        if next.is_none() {
            self.0.remove(repo);
        }
        next
    }
}

/// Lists repositories; a task of its own.
pub struct Poller {
    repos: Repos,
    queue: Queue,
    found: mpsc::UnboundedReceiver<News>,
    pushed: mpsc::UnboundedReceiver<Pushed>,
    interval: Duration,
    jitter: Duration,
}

impl Poller {
    /// The task, and the way to hurry it. `found` yields repositories that are used for the first time, and
    /// applications that follow what moved before they did.
    #[must_use]
    pub fn new(
        repos: Repos,
        queue: Queue,
        found: mpsc::UnboundedReceiver<News>,
        interval: Duration,
        jitter: Duration,
    ) -> (Self, PollNow) {
        let (sender, pushed) = mpsc::unbounded_channel();
        (
            Self {
                repos,
                queue,
                found,
                pushed,
                interval,
                jitter,
            },
            PollNow(sender),
        )
    }

    /// Lists until the stop, and wakes the applications whose revisions moved.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            repos,
            queue,
            mut found,
            mut pushed,
            interval,
            jitter,
        } = self;
        let mut due: DelayQueue<RepoKey> = DelayQueue::new();
        let mut planned: HashMap<RepoKey, Key> = HashMap::new();
        let mut failures: HashMap<RepoKey, u32> = HashMap::new();
        let mut listing = FuturesUnordered::new();
        let mut listings = Listings::default();
        let list = |repo: RepoKey, traces: &[TraceParent], need: Need| {
            let repos = repos.clone();
            let span = tracing::info_span!("list_refs", tenant = %repo.tenant);
            runtime::trace::join(&span, traces);
            let listed = async move {
                let moved: Moved = repos.poll(&repo, need).await;
                (repo, need, moved, runtime::trace::current())
            };
            listed.instrument(span)
        };
        let later = || spread(interval, jitter, &mut rand::rng());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(news) = found.recv() => match news {
                    News::Used(repo) => if !planned.contains_key(&repo) {
                        planned.insert(repo.clone(), due.insert(repo, later()));
                    },
                    News::Behind(app) => queue.push(app),
                },
                Some(Pushed { repo, trace, since }) = pushed.recv() => {
                    if listings.push(&repo, trace.as_ref(), since) {
                        listing.push(list(repo, trace.as_slice(), Need::Since(since)));
                    }
                }
                Some(expired) = due.next(), if !planned.is_empty() => {
                    let repo = expired.into_inner();
                    planned.remove(&repo);
                    // One that nobody follows any more is not planned again; it is found anew when it is used again.
                    if !repos.is_known(&repo) {
                        failures.remove(&repo);
                    }
                    if repos.in_use(&repo) {
                        planned.insert(repo.clone(), due.insert(repo.clone(), later()));
                        if listings.poll(&repo) {
                            // Another project may have just listed it.
                            let held = failures.get(&repo).map_or(interval, |n| pause(*n));
                            let need = Need::Asked(held.min(interval));
                            listing.push(list(repo, &[], need));
                        }
                    } else if repos.is_known(&repo) {
                        planned.insert(repo.clone(), due.insert(repo, later()));
                    }
                }
                Some((repo, need, moved, trace)) = listing.next(), if !listing.is_empty() => {
                    // A project that came since the push was not asked for with the others, and may have believed the listing
                    // before this one, which they share.
                    if let Need::Since(since) = need {
                        for other in repos.newer(&repo, since) {
                            if listings.poll(&other) {
                                listing.push(list(other, trace.as_slice(), Need::Known(interval)));
                            }
                        }
                    }
                    if let Some(Again { traces, since }) = listings.end(&repo) {
                        listing.push(list(repo.clone(), &traces, Need::Since(since)));
                    }
                    let Moved { first, later: others, failed, age } = moved;
                    match failed {
                        false => {
                            failures.remove(&repo);
                            if let Some(key) = planned.get(&repo) {
                                due.reset(key, later().saturating_sub(age).max(SOONEST));
                            }
                        }
                        // A server that blinks costs a push no whole interval.
                        true => if let Some(key) = planned.get(&repo) {
                            let failed = failures.entry(repo.clone()).or_insert(0);
                            *failed += 1;
                            let again = pause(*failed);
                            if again < interval {
                                due.reset(key, again);
                            }
                        },
                    }
                    if !first.is_empty() || !others.is_empty() {
                        let (tenant, repository) = (repo.tenant, repo.url);
                        tracing::info!(%tenant, %repository, first = first.len(), later = others.len(), "revisions moved");
                    }
                    first.into_iter().for_each(|app| queue.push_traced(app, trace.clone()));
                    others.into_iter().for_each(|app| queue.push_later(app, trace.clone()));
                }
            }
        }
    }
}

/// When a listing is due after the last one: at least an interval later, and at most by the jitter more, so that repositories
/// that were found together are not asked together for ever.
fn spread(interval: Duration, jitter: Duration, random: &mut impl Rng) -> Duration {
    interval + jitter.mul_f64(random.random_range(0.0..1.0))
}

/// How long after so many listings in a row that failed the next one is tried; with the interval it is as usual again.
fn pause(failures: u32) -> Duration {
    Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::tenant::TenantId;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_repository_is_listed_once_more_however_many_push_while_it_is_listed() {
        let repo = |url: &str| RepoKey {
            tenant: TenantId(Uuid::from_u128(1)),
            project: Arc::from("default"),
            url: Arc::from(url),
            chart: Arc::from(""),
        };
        let trace = |n: u8| TraceParent::parse(&format!("00-{n:032x}-{n:016x}-01")).unwrap();
        let (one, other) = (repo("one"), repo("other"));
        let mut listings = Listings::default();
        let begun = Instant::now();
        let after = |n: u64| begun + Duration::from_secs(n);
        assert!(listings.push(&one, Some(&trace(1)), begun));
        for n in 2..=100 {
            let began = listings.push(&one, Some(&trace(n)), after(n.into()));
            assert!(!began, "one is under way");
        }
        assert!(!listings.push(&one, None, begun));
        assert!(!listings.poll(&one), "it is as good as one that is due");
        assert!(listings.poll(&other));
        let next = listings.end(&one).unwrap();
        assert_eq!(next.traces.len(), TRACES);
        assert_eq!(next.traces[0], trace(2));
        assert_eq!(next.since, after(100), "it has to be of the last push");
        // What was begun for them is under way.
        assert!(!listings.push(&one, None, begun));
        let next = Again {
            traces: Vec::new(),
            since: begun,
        };
        assert_eq!(listings.end(&one), Some(next));
        assert_eq!(listings.end(&one), None);
        assert_eq!(listings.end(&other), None);
        assert!(listings.0.is_empty());
        assert!(listings.push(&one, None, begun));
    }

    #[test]
    fn a_listing_that_fails_is_tried_soon_and_then_less_and_less_often() {
        let seconds: Vec<u64> = (1..=8).map(|n| pause(n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128]);
        assert!(pause(u32::MAX) >= Duration::from_secs(3600));
    }

    #[test]
    fn listings_are_due_an_interval_later_and_apart_by_no_more_than_the_jitter() {
        let (interval, jitter) = (Duration::from_secs(120), Duration::from_secs(60));
        let mut random = StdRng::seed_from_u64(7);
        let mut apart = [0; 6];
        for _ in 0..1_000 {
            let due = spread(interval, jitter, &mut random);
            assert!((interval..interval + jitter).contains(&due), "{due:?}");
            let part = (due - interval).as_secs() / 10;
            apart[usize::try_from(part).unwrap()] += 1;
        }
        assert!(apart.iter().all(|part| *part > 100), "{apart:?}");
        let together = spread(interval, Duration::ZERO, &mut random);
        assert_eq!(together, interval, "where none is wanted");
    }
}
