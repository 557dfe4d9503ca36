//! Changes of one tenant's applications that are wanted at the same time share a transaction.
//!
//! Every write of a tenant waits for the tenant's counter, and a durable commit takes milliseconds: a thousand changes
//! one after the other would take seconds however many callers there are. So what waits while one transaction is under
//! way goes into the next, all together; whoever comes alone goes alone and at once. Where several have come together the next
//! transaction waits for more, as long as the last one took, and leaves the counter to others meanwhile.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use domain::application::Application;
use domain::tenant::TenantId;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Instrument;

use super::write;
use crate::connect::Store;
use crate::error::{Error, Result};
use crate::together::{MOST, Worker, company, let_come};

/// One caller's change, in the steps of the transaction that carries it.
trait Job: Send {
    /// Of which application.
    fn name(&self) -> &str;
    /// The application as it was read before, where it was; given once.
    fn read(&mut self) -> Option<Application>;
    /// What to write over `current`, which is locked; nothing when there is nothing to write.
    fn decide(&mut self, current: Option<&Application>) -> Option<Application>;
    /// The transaction is over: the application as it stands, or why nothing was written.
    fn finish(self: Box<Self>, outcome: Result<Option<Application>>);
}

/// What waits, by tenant. A tenant of whom nothing waits and nothing runs has no entry.
#[derive(Default)]
pub(crate) struct Together(Mutex<HashMap<TenantId, VecDeque<Box<dyn Job>>>>);

impl Together {
    /// Puts a job in line; true when nobody works on that line yet.
    fn push(&self, tenant: TenantId, job: Box<dyn Job>) -> bool {
        let mut lines = self.0.lock();
        let idle = !lines.contains_key(&tenant);
        lines.entry(tenant).or_default().push_back(job);
        idle
    }

    /// The next jobs of a line, at most one per application; `None` ends the line.
    fn next(&self, tenant: TenantId) -> Option<Vec<Box<dyn Job>>> {
        let mut lines = self.0.lock();
        let line = lines.get_mut(&tenant)?;
        let mut names = HashSet::new();
        let (mut batch, mut left) = (Vec::new(), VecDeque::new());
        for job in line.drain(..) {
            if batch.len() < MOST && names.insert(job.name().to_owned()) {
                batch.push(job);
            } else {
                left.push_back(job);
            }
        }
        if batch.is_empty() {
            lines.remove(&tenant);
            return None;
        }
        *line = left;
        Some(batch)
    }

    /// Ends a line with all who wait in it.
    fn give_up(&self, tenant: TenantId) {
        let waiting = self.0.lock().remove(&tenant);
        drop(waiting);
    }
}

/// Changes an application; see [`super::Applications::update`].
pub(super) async fn change<E, F>(
    store: &Store,
    tenant: TenantId,
    name: &str,
    expected: Option<i64>,
    read: Option<Application>,
    change: F,
) -> Result<Application, E>
where
    E: From<Error> + Send + 'static,
    F: FnOnce(&mut Application) -> Result<(), E> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let job = Change {
        name: name.to_owned(),
        expected,
        read,
        change: Some(change),
        decided: None,
        answer,
    };
    if store.inner.together.push(tenant, Box::new(job)) {
        let store = store.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "a transaction of several callers must not end because one of them went away; each waits for it"
        )]
        tokio::spawn(async move { work(&store, tenant).await }.in_current_span());
    }
    match answered.await {
        Ok(outcome) => outcome,
        // The worker has ended: by a panic, or because the runtime is going down.
        Err(_) => Err(Error::Unavailable(sqlx::Error::PoolClosed).into()),
    }
}

/// Works on a tenant's line until it is empty.
async fn work(store: &Store, tenant: TenantId) {
    let worker = Worker::new(|| store.inner.together.give_up(tenant));
    let_come().await;
    worker.done();
    while let Some(mut batch) = store.inner.together.next(tenant) {
        let (changes, began) = (batch.len(), Instant::now());
        let worker = Worker::new(|| store.inner.together.give_up(tenant));
        match write::all(&store.tenant(tenant), &mut batch).await {
            Ok(written) => {
                for (job, outcome) in batch.into_iter().zip(written) {
                    job.finish(outcome);
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for job in batch {
                    job.finish(Err(Error::Shared(error.clone())));
                }
            }
        }
        company(changes, began.elapsed()).await;
        worker.done();
    }
}

impl write::Changes for Vec<Box<dyn Job>> {
    fn names(&self) -> Vec<String> {
        self.iter().map(|job| job.name().to_owned()).collect()
    }

    fn read(&mut self) -> HashMap<String, Application> {
        let read = self.iter_mut().filter_map(|job| {
            let app = job.read()?;
            Some((job.name().to_owned(), app))
        });
        read.collect()
    }

    fn decide(&mut self, at: usize, current: Option<&Application>) -> Option<Application> {
        self.get_mut(at)?.decide(current)
    }
}

struct Change<E, F> {
    name: String,
    expected: Option<i64>,
    read: Option<Application>,
    change: Option<F>,
    /// What was decided without a write: a refusal, or the application as it is.
    decided: Option<Result<Application, E>>,
    answer: oneshot::Sender<Result<Application, E>>,
}

impl<E, F> Job for Change<E, F>
where
    E: From<Error> + Send,
    F: FnOnce(&mut Application) -> Result<(), E> + Send,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&mut self) -> Option<Application> {
        self.read.take()
    }

    fn decide(&mut self, current: Option<&Application>) -> Option<Application> {
        let decided = match (current, self.change.take()) {
            (None, _) | (_, None) => Err(Error::not_found("application", &self.name).into()),
            (Some(current), Some(change)) => {
                if self
                    .expected
                    .is_some_and(|version| version != current.resource_version)
                {
                    let name = self.name.clone();
                    let what = "application";
                    Err(Error::Conflict { what, name }.into())
                } else {
                    let mut next = current.clone();
                    match change(&mut next).and_then(|()| Ok(write::checked(current, &mut next)?)) {
                        Ok(true) => return Some(next),
                        Ok(false) => Ok(next),
                        Err(refusal) => Err(refusal),
                    }
                }
            }
        };
        self.decided = Some(decided);
        None
    }

    fn finish(self: Box<Self>, outcome: Result<Option<Application>>) {
        let outcome = match (outcome, self.decided) {
            (Ok(Some(written)), _) => Ok(written),
            (_, Some(decided)) => decided,
            (Err(error), None) => Err(error.into()),
            (Ok(None), None) => Err(Error::not_found("application", &self.name).into()),
        };
        // The caller may have gone; what was written stays.
        let _ = self.answer.send(outcome);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    struct Named(&'static str);

    impl Job for Named {
        fn name(&self) -> &str {
            self.0
        }

        fn read(&mut self) -> Option<Application> {
            None
        }

        fn decide(&mut self, _: Option<&Application>) -> Option<Application> {
            None
        }

        fn finish(self: Box<Self>, _: Result<Option<Application>>) {}
    }

    #[test]
    fn a_transaction_takes_one_change_of_each_application_and_the_rest_keeps_its_order() {
        let (line, tenant) = (Together::default(), TenantId(Uuid::nil()));
        assert!(line.push(tenant, Box::new(Named("a"))), "nobody works yet");
        for name in ["b", "a", "c", "a"] {
            assert!(!line.push(tenant, Box::new(Named(name))));
        }
        let names =
            || -> Option<Vec<String>> { line.next(tenant).map(|b| write::Changes::names(&b)) };
        assert_eq!(names().unwrap(), ["a", "b", "c"]);
        assert_eq!(names().unwrap(), ["a"]);
        assert_eq!(names().unwrap(), ["a"]);
        assert_eq!(names(), None);
        assert!(
            line.push(tenant, Box::new(Named("a"))),
            "the line was given up"
        );
    }
}
