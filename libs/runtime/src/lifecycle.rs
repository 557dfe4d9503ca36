//! One life per process: everything long-lived is spawned here, and a stop waits for it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a drain may take before what is left is dropped.
const DRAIN: Duration = Duration::from_secs(20);

/// The life of a process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    soft: CancellationToken,
    tracker: TaskTracker,
    failed: Arc<AtomicBool>,
    /// Whether signals begin the stop.
    heeds: Arc<AtomicBool>,
}

impl Lifecycle {
    /// A life that has just begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the process should finish what it does and take nothing new.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// Runs a task that is expected to live until the stop.
    ///
    /// Ending before it, or panicking at any time, stops the process with a failing code: a controller without its
    /// lease loop, say, must not live on.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the home of tokio::spawn"
    )]
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let life = self.clone();
        self.tracker.spawn(async move {
            let ended = tokio::spawn(task).await;
            if life.soft.is_cancelled() && ended.is_ok() {
                return;
            }
            tracing::error!(
                task = name,
                panicked = ended.is_err(),
                "a task that must run has ended; stopping"
            );
            life.failed.store(true, Ordering::SeqCst);
            life.soft.cancel();
        });
    }

    /// Runs a task that may end by itself: one connection, one request, one render. A stop waits for it.
    pub fn spawn_short<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn(task);
    }

    /// Runs a task that lives as long as the process: a stop neither ends it nor waits for it.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the home of tokio::spawn"
    )]
    pub fn spawn_to_the_end<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(tokio::spawn(task));
    }

    /// Begins the stop.
    pub fn stop(&self) {
        self.soft.cancel();
    }

    /// From now on a signal (TERM, INT) begins the stop: said as the process begins, so that one that still waits for something
    /// that it needs can be told to stop as well. The first process of a container would take no notice else.
    pub fn heed_signals(&self) {
        if self.heeds.swap(true, Ordering::SeqCst) {
            return;
        }
        let (Ok(mut terminate), Ok(mut interrupt)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        ) else {
            return;
        };
        let soft = self.soft.clone();
        self.spawn_to_the_end(async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("told to stop"),
                _ = interrupt.recv() => tracing::info!("interrupted"),
                () = soft.cancelled() => {}
            }
            soft.cancel();
        });
    }

    /// What the process waits for as it begins; `None` when it is told to stop before that is there.
    pub async fn unless_stopped<T>(&self, awaited: impl Future<Output = T>) -> Option<T> {
        self.soft.run_until_cancelled(awaited).await
    }

    /// Waits for a signal (TERM, INT) or a failed task, then drains. `true` when all went well.
    pub async fn run_until_stopped(&self) -> bool {
        self.heed_signals();
        self.soft.cancelled().await;
        self.tracker.close();
        if tokio::time::timeout(DRAIN, self.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                seconds = DRAIN.as_secs(),
                "some tasks did not finish in time and were dropped"
            );
        }
        !self.failed.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn a_process_that_waits_for_what_it_needs_can_be_told_to_stop() {
        let life = Lifecycle::new();
        assert_eq!(life.unless_stopped(async { 1 }).await, Some(1));
        let waits = life.unless_stopped(pending::<()>());
        let (waited, ()) = tokio::join!(waits, async { life.stop() });
        assert_eq!(waited, None);
    }
}
