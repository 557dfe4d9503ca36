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
                    if repos.in_use(&repo) {
                        planned.insert(repo.clone(), due.insert(repo.clone(), later()));
                        listing.push(list(repo, None));
                    } else if repos.is_known(&repo) {
                        planned.insert(repo.clone(), due.insert(repo, later()));
                    }
                }
                Some((repo, moved, trace)) = listing.next(), if !listing.is_empty() => {
                    let Moved { first, later } = moved;
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
