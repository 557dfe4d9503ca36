//! Repositories are listed once per interval, each at its own moment, and at once when somebody pushed.

use std::collections::HashMap;
use std::time::Duration;

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
use crate::repos::{Moved, RepoKey, Repos};

/// Asks for a repository to be listed now. Cheap to clone.
#[derive(Clone)]
pub struct PollNow(mpsc::UnboundedSender<Pushed>);

/// A repository to be listed now, and whose trace goes on there.
type Pushed = (RepoKey, Option<TraceParent>);

impl PollNow {
    /// Somebody pushed.
    pub fn ask(&self, repo: RepoKey, trace: Option<TraceParent>) {
        let _ = self.0.send((repo, trace));
    }
}

/// Lists repositories; a task of its own.
pub struct Poller {
    repos: Repos,
    queue: Queue,
    found: mpsc::UnboundedReceiver<RepoKey>,
    pushed: mpsc::UnboundedReceiver<Pushed>,
    interval: Duration,
    jitter: Duration,
}

impl Poller {
    /// The task, and the way to hurry it. `found` yields repositories that are used for the first time.
    #[must_use]
    pub fn new(
        repos: Repos,
        queue: Queue,
        found: mpsc::UnboundedReceiver<RepoKey>,
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
        let list = |repo: RepoKey, trace: Option<TraceParent>| {
            let repos = repos.clone();
            let span = tracing::info_span!("list_refs", tenant = %repo.tenant);
            runtime::trace::join(&span, trace.as_slice());
            let listed = async move {
                let moved: Moved = repos.poll(&repo).await;
                (repo, moved, runtime::trace::current())
            };
            listed.instrument(span)
        };
        let later = || interval + jitter.mul_f64(rand::rng().random_range(0.0..1.0));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(repo) = found.recv() => {
                    if !planned.contains_key(&repo) {
                        planned.insert(repo.clone(), due.insert(repo, later()));
                    }
                }
                Some((repo, trace)) = pushed.recv() => listing.push(list(repo, trace)),
                Some(expired) = due.next(), if !planned.is_empty() => {
                    let repo = expired.into_inner();
                    planned.remove(&repo);
                    // One that nobody follows any more is not planned again; it is found anew when it is used again.
                    if !repos.is_known(&repo) {
                        failures.remove(&repo);
                    }
                    if repos.in_use(&repo) {
                        planned.insert(repo.clone(), due.insert(repo.clone(), later()));
                        listing.push(list(repo, None));
                    } else if repos.is_known(&repo) {
                        planned.insert(repo.clone(), due.insert(repo, later()));
                    }
                }
                Some((repo, moved, trace)) = listing.next(), if !listing.is_empty() => {
                    let Moved { first, later, failed } = moved;
                    match failed {
                        false => drop(failures.remove(&repo)),
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
                    if !first.is_empty() || !later.is_empty() {
                        let (tenant, repository) = (repo.tenant, repo.url);
                        tracing::info!(%tenant, %repository, first = first.len(), later = later.len(), "revisions moved");
                    }
                    first.into_iter().for_each(|app| queue.push_traced(app, trace.clone()));
                    later.into_iter().for_each(|app| queue.push_later(app, trace.clone()));
                }
            }
        }
    }
}

/// How long after so many listings in a row that failed the next one is tried; with the interval it is as usual again.
fn pause(failures: u32) -> Duration {
    Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_that_fails_is_tried_soon_and_then_less_and_less_often() {
        let seconds: Vec<u64> = (1..=8).map(|n| pause(n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128]);
        assert!(pause(u32::MAX) >= Duration::from_secs(3600));
    }
}
