//! Entries that are recorded at the same time share a transaction.
//!
//! An entry is on disk before the call that it speaks of goes on. A hundred calls at once would wait for a hundred commits;
//! what waits while one is under way goes into the next, all together. Whoever comes alone goes alone and at once.

use std::sync::Arc;

use domain::tenant::TenantId;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;
use tokio::sync::oneshot;
use tracing::Instrument;

use super::AuditEntry;
use crate::connect::Store;
use crate::error::{Code, Error, Result};

/// The most entries in one transaction: with before and after, an entry may have some hundred kilobytes.
const MOST: usize = 64;

/// An entry as naru.record_audit takes it.
#[derive(Serialize)]
struct Row {
    tenant: TenantId,
    #[serde(flatten)]
    entry: AuditEntry,
}

struct Job {
    row: Row,
    answer: oneshot::Sender<Result<i64>>,
}

/// What waits to be recorded; `None` while nobody works on it.
#[derive(Default)]
pub(crate) struct Together(Mutex<Option<Vec<Job>>>);

impl Together {
    /// Puts a job in line; true when nobody works on it yet.
    fn push(&self, job: Job) -> bool {
        let mut line = self.0.lock();
        let idle = line.is_none();
        line.get_or_insert_default().push(job);
        idle
    }

    /// The next jobs, in the order in which they came; `None` ends the work.
    fn next(&self) -> Option<Vec<Job>> {
        let mut line = self.0.lock();
        let waiting = line.as_mut()?;
        if waiting.is_empty() {
            *line = None;
            return None;
        }
        let left = waiting.split_off(waiting.len().min(MOST));
        Some(std::mem::replace(waiting, left))
    }
}

/// Records an entry; its id.
pub(super) async fn append(store: &Store, tenant: TenantId, entry: &AuditEntry) -> Result<i64> {
    let mut entry = entry.clone();
    if entry.details.is_null() {
        entry.details = Value::Object(serde_json::Map::new());
    }
    let (answer, answered) = oneshot::channel();
    let row = Row { tenant, entry };
    if store.inner.audit.push(Job { row, answer }) {
        let store = store.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "a transaction of several callers must not end because one of them went away; each waits for it"
        )]
        tokio::spawn(async move { work(&store).await }.in_current_span());
    }
    // Nobody answers when the runtime is going down.
    answered
        .await
        .unwrap_or_else(|_| Err(Error::Unavailable(sqlx::Error::PoolClosed)))
}

async fn work(store: &Store) {
    while let Some(batch) = store.inner.audit.next() {
        let (rows, answers): (Vec<Row>, Vec<_>) =
            batch.into_iter().map(|job| (job.row, job.answer)).unzip();
        let outcomes = match write(store, &rows).await {
            Ok(ids) => ids.into_iter().map(Ok).collect(),
            // One that cannot be stored, or whose tenant has just gone, is nobody else's trouble.
            Err(error) if rows.len() > 1 && error.code() != Code::Unavailable => {
                one_by_one(store, &rows).await
            }
            Err(error) => {
                let error = Arc::new(error);
                let shared = answers.iter().map(|_| Err(Error::Shared(error.clone())));
                shared.collect()
            }
        };
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // The caller may have gone; what was recorded stays.
            let _ = answer.send(outcome);
        }
    }
}

async fn one_by_one(store: &Store, rows: &[Row]) -> Vec<Result<i64>> {
    let mut outcomes = Vec::with_capacity(rows.len());
    for row in rows {
        let written = write(store, std::slice::from_ref(row)).await;
        outcomes.push(written.map(|ids| ids[0]));
    }
    outcomes
}

/// Records entries in one statement; their ids, in their order.
#[tracing::instrument(name = "db.audit.write", skip_all, fields(entries = rows.len()))]
async fn write(store: &Store, rows: &[Row]) -> Result<Vec<i64>> {
    let ids: Vec<i64> = sqlx::query_scalar(
        "SELECT naru.record_audit(x.tenant, x.about, x.actor, x.actor_kind, x.action, x.object, x.source, x.result,
                                  x.request_id, x.details)
         FROM jsonb_to_recordset($1) AS x (
             tenant uuid, about bigint, actor text, actor_kind text, action text, object text, source text, result text,
             request_id text, details jsonb)",
    )
    .bind(Json(rows))
    .fetch_all(store.pool())
    .await?;
    if ids.len() != rows.len() {
        return Err(Error::invalid("record", "not every entry was written"));
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_waits_goes_together_in_its_order_and_the_line_ends_when_nobody_is_in_it() {
        let line = Together::default();
        let job = |n: usize| Job {
            row: Row {
                tenant: TenantId(Uuid::nil()),
                entry: AuditEntry {
                    object: n.to_string(),
                    ..AuditEntry::default()
                },
            },
            answer: oneshot::channel().0,
        };
        assert!(line.push(job(0)), "nobody works yet");
        for n in 1..=MOST {
            assert!(!line.push(job(n)));
        }
        let first = line.next().unwrap();
        let objects: Vec<&str> = first
            .iter()
            .map(|job| job.row.entry.object.as_str())
            .collect();
        assert_eq!(
            (objects.len(), objects[0], objects[MOST - 1]),
            (MOST, "0", "63")
        );
        assert_eq!(line.next().unwrap().len(), 1);
        assert!(line.next().is_none());
        assert!(line.push(job(0)), "the line was given up");
    }
}
