//! One run at a time, and whoever arrives joins only a run that begins after them.

use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

/// Runs a job for many callers at once.
///
/// A caller that arrives while the job runs waits for the *next* run, because what it wants to see may have happened
/// after this one looked; all that wait share that next run.
#[derive(Debug)]
pub(crate) struct Coalesce<T> {
    clock: AtomicU64,
    /// How many callers there are.
    callers: AtomicUsize,
    running: tokio::sync::Mutex<()>,
    /// The last result, for as long as somebody may want it.
    last: Mutex<Option<(u64, T)>>,
}

/// A caller, from its coming to its going.
struct Caller<'a, T>(&'a Coalesce<T>);

impl<'a, T> Caller<'a, T> {
    fn of(coalesce: &'a Coalesce<T>) -> Self {
        coalesce.callers.fetch_add(1, Ordering::SeqCst);
        Self(coalesce)
    }
}

impl<T> Drop for Caller<'_, T> {
    fn drop(&mut self) {
        // Whoever comes from here on wants what begins after them: kept, it would only take room, and there may be much of it.
        if self.0.callers.fetch_sub(1, Ordering::SeqCst) == 1 {
            *self.0.last.lock() = None;
        }
    }
}

impl<T: Clone> Coalesce<T> {
    pub(crate) fn new() -> Self {
        Self {
            clock: AtomicU64::new(0),
            callers: AtomicUsize::new(0),
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
        let _here = Caller::of(self);
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

    /// The result of another job, during which none of these runs. Nobody shares it.
    pub(crate) async fn alone<R, F: Future<Output = R>>(&self, job: impl FnOnce() -> F) -> R {
        let _turn = self.running.lock().await;
        job().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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

    #[tokio::test]
    async fn another_job_waits_its_turn_and_is_nobody_elses() {
        let (runs, coalesce) = (AtomicUsize::new(0), Coalesce::new());
        let job = || async {
            tokio::task::yield_now().await;
            runs.fetch_add(1, Ordering::SeqCst) + 1
        };
        let (first, second, third, fourth) = tokio::join!(
            coalesce.run(job),
            coalesce.alone(job),
            coalesce.run(job),
            coalesce.run(job)
        );
        assert_eq!((first, second, third, fourth), (1, 2, 3, 3));
    }

    #[tokio::test]
    async fn a_result_that_nobody_can_want_any_more_is_not_kept() {
        let (runs, coalesce) = (AtomicUsize::new(0), Coalesce::new());
        let job = || async {
            tokio::task::yield_now().await;
            Arc::new(runs.fetch_add(1, Ordering::SeqCst))
        };
        let (first, second) = tokio::join!(coalesce.run(job), coalesce.run(job));
        assert_eq!((*first, *second), (0, 1));
        assert_eq!(Arc::strong_count(&second), 1, "nobody waited for it");
        // Whoever waited and goes leaves nothing behind either.
        let mut waiting = Box::pin(coalesce.run(job));
        let mut going = Box::pin(coalesce.run(job));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert!(futures::poll!(&mut going).is_pending());
        let third = waiting.await;
        assert_eq!(Arc::strong_count(&third), 2, "one waits");
        drop(going);
        assert_eq!(Arc::strong_count(&third), 1);
    }
}
