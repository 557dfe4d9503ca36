//! One run at a time, and whoever arrives joins only a run that begins after them.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Runs a job for many callers at once.
///
/// A caller that arrives while the job runs waits for the *next* run, because what it wants to see may have happened
/// after this one looked; all that wait share that next run.
#[derive(Debug)]
pub(crate) struct Coalesce<T> {
    clock: AtomicU64,
    running: tokio::sync::Mutex<()>,
    last: Mutex<Option<(u64, T)>>,
}

impl<T: Clone> Coalesce<T> {
    pub(crate) fn new() -> Self {
        Self {
            clock: AtomicU64::new(0),
            running: tokio::sync::Mutex::new(()),
            last: Mutex::new(None),
        }
    }

    /// Forgets the last result; who waits for it runs the job again.
    pub(crate) fn forget(&self) {
        *self.last.lock() = None;
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The result of a run that began after this call.
    pub(crate) async fn run<F: Future<Output = T>>(&self, job: impl FnOnce() -> F) -> T {
        let arrived = self.tick();
        let _turn = self.running.lock().await;
        if let Some((began, result)) = &*self.last.lock()
            && *began > arrived
        {
            return result.clone();
        }
        let began = self.tick();
        let result = job().await;
        *self.last.lock() = Some((began, result.clone()));
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[tokio::test]
    async fn those_who_arrive_during_a_run_share_the_next_one() {
        let (runs, coalesce) = (AtomicUsize::new(0), Coalesce::new());
        let job = || async {
            tokio::task::yield_now().await;
            runs.fetch_add(1, Ordering::SeqCst) + 1
        };
        let (first, second, third) =
            tokio::join!(coalesce.run(job), coalesce.run(job), coalesce.run(job));
        assert_eq!((first, second, third), (1, 2, 2));
        assert_eq!(coalesce.run(job).await, 3);
    }
}
