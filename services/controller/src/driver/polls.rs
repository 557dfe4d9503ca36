//! Repositories are listed once per interval, each at its own moment, and at once when somebody pushed.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rand::Rng;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

use super::queue::Queue;
use crate::repos::{Moved, RepoKey, Repos};

/// Asks for a repository to be listed now. Cheap to clone.
#[derive(Clone)]
pub struct PollNow(mpsc::UnboundedSender<RepoKey>);

impl PollNow {
    /// Somebody pushed.
    pub fn ask(&self, repo: RepoKey) {
        let _ = self.0.send(repo);
    }
}

/// Lists repositories; a task of its own.
pub struct Poller {
    repos: Repos,
    queue: Queue,
    found: mpsc::UnboundedReceiver<RepoKey>,
    pushed: mpsc::UnboundedReceiver<RepoKey>,
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
        let list = |repo: RepoKey| {
            let repos = repos.clone();
            async move {
                let moved: Moved = repos.poll(&repo).await;
                (repo, moved)
            }
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
                Some(repo) = pushed.recv() => listing.push(list(repo)),
                Some(expired) = due.next(), if !planned.is_empty() => {
                    let repo = expired.into_inner();
                    planned.remove(&repo);
                    // One that nobody follows any more is not planned again; it is found anew when it is used again.
                    if repos.in_use(&repo) {
                        planned.insert(repo.clone(), due.insert(repo.clone(), later()));
                        listing.push(list(repo));
                    } else if repos.is_known(&repo) {
                        planned.insert(repo.clone(), due.insert(repo, later()));
                    }
                }
                Some((repo, moved)) = listing.next(), if !listing.is_empty() => {
                    let Moved { first, later } = moved;
                    if !first.is_empty() || !later.is_empty() {
                        let (tenant, repository) = (repo.tenant, repo.url);
                        tracing::info!(%tenant, %repository, first = first.len(), later = later.len(), "revisions moved");
                    }
                    first.into_iter().for_each(|app| queue.push(app));
                    later.into_iter().for_each(|app| queue.push_later(app));
                }
            }
        }
    }
}
