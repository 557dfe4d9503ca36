//! Sets of one tenant that are kept at the same time share a transaction.
//!
//! Each deployment of something new keeps its set, and whoever deploys much at once would wait for as many commits, each with
//! a look at the tenant's row. What waits while one is under way goes into the next, all together; whoever comes alone goes alone
//! and at once.

use std::collections::HashMap;
use std::sync::Arc;

use domain::tenant::TenantId;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tracing::Instrument;

use super::write;
use crate::error::{Code, Error, Result};
use crate::scope::TenantScope;

/// The most sets in one transaction.
const MOST: usize = 64;

struct Job {
    hash: String,
    sealed: Vec<u8>,
    answer: oneshot::Sender<Result<()>>,
}

/// What waits, by tenant. A tenant of whom nothing waits and nothing runs has no entry.
#[derive(Default)]
pub(crate) struct Together(Mutex<HashMap<TenantId, Vec<Job>>>);

impl Together {
    /// Puts a job in line; true when nobody works on that line yet.
    fn push(&self, tenant: TenantId, job: Job) -> bool {
        let mut lines = self.0.lock();
        let idle = !lines.contains_key(&tenant);
        lines.entry(tenant).or_default().push(job);
        idle
    }

    /// The next jobs of a line, in the order in which they came; `None` ends the line.
    fn next(&self, tenant: TenantId) -> Option<Vec<Job>> {
        let mut lines = self.0.lock();
        let line = lines.get_mut(&tenant)?;
        if line.is_empty() {
            lines.remove(&tenant);
            return None;
        }
        let left = line.split_off(line.len().min(MOST));
        Some(std::mem::replace(line, left))
    }
}

/// Keeps a sealed set under its hash, together with those that others keep meanwhile.
pub(super) async fn keep(scope: &TenantScope, hash: &str, sealed: Vec<u8>) -> Result<()> {
    let (answer, answered) = oneshot::channel();
    let job = Job {
        hash: hash.to_owned(),
        sealed,
        answer,
    };
    if scope.store().inner.sets.push(scope.tenant(), job) {
        let scope = scope.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "a transaction of several callers must not end because one of them went away; each waits for it"
        )]
        tokio::spawn(async move { work(&scope).await }.in_current_span());
    }
    // Nobody answers when the runtime is going down.
    answered
        .await
        .unwrap_or_else(|_| Err(Error::Unavailable(sqlx::Error::PoolClosed)))
}

/// Works on a tenant's line until it is empty.
async fn work(scope: &TenantScope) {
    while let Some(mut batch) = scope.store().inner.sets.next(scope.tenant()) {
        // In one order, so that two processes that keep the same ones do not wait for each other in a circle.
        batch.sort_unstable_by(|a, b| a.hash.cmp(&b.hash));
        let (mut hashes, mut sets, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for job in batch {
            hashes.push(job.hash);
            sets.push(job.sealed);
            answers.push(job.answer);
        }
        let outcomes = match write(scope, &hashes, &sets).await {
            Ok(()) => answers.iter().map(|_| Ok(())).collect(),
            // One that is refused, as one whose key was dropped meanwhile, is nobody else's trouble.
            Err(error) if hashes.len() > 1 && error.code() != Code::Unavailable => {
                one_by_one(scope, &hashes, &sets).await
            }
            Err(error) => {
                let error = Arc::new(error);
                let shared = answers.iter().map(|_| Err(Error::Shared(error.clone())));
                shared.collect::<Vec<_>>()
            }
        };
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // The caller may have gone; what was kept stays.
            let _ = answer.send(outcome);
        }
    }
}

async fn one_by_one(scope: &TenantScope, hashes: &[String], sets: &[Vec<u8>]) -> Vec<Result<()>> {
    let mut outcomes = Vec::with_capacity(hashes.len());
    for (hash, set) in hashes.iter().zip(sets) {
        let alone = (std::slice::from_ref(hash), std::slice::from_ref(set));
        outcomes.push(write(scope, alone.0, alone.1).await);
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_waits_of_one_tenant_goes_together_and_the_line_ends_when_nobody_is_in_it() {
        let lines = Together::default();
        let [tenant, other] = [1, 2].map(|n| TenantId(Uuid::from_u128(n)));
        let job = |n: usize| Job {
            hash: n.to_string(),
            sealed: Vec::new(),
            answer: oneshot::channel().0,
        };
        assert!(lines.push(tenant, job(0)), "nobody works yet");
        for n in 1..=MOST {
            assert!(!lines.push(tenant, job(n)));
        }
        assert!(
            lines.push(other, job(0)),
            "another tenant's is another line"
        );
        let hashes =
            |batch: Vec<Job>| -> Vec<String> { batch.into_iter().map(|job| job.hash).collect() };
        let first = hashes(lines.next(tenant).unwrap());
        assert_eq!((first.len(), first[0].as_str()), (MOST, "0"));
        assert_eq!(hashes(lines.next(tenant).unwrap()), [MOST.to_string()]);
        assert!(lines.next(tenant).is_none());
        assert!(lines.push(tenant, job(0)), "the line was given up");
        assert_eq!(hashes(lines.next(other).unwrap()), ["0"]);
    }
}
