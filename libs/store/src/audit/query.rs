//! Reading the record.

use domain::clock::Timestamp;
use serde_json::Value;
use sqlx::Row;
use sqlx::types::Json;

use super::{Audit, AuditEntry};
use crate::error::Result;

/// Which entries are wanted; what is not given does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Exactly this account.
    pub actor: Option<String>,
    /// An action that ends so (`SyncService/Sync`, or just `Sync`).
    pub action: Option<String>,
    /// An object that begins so.
    pub object: Option<String>,
    /// Exactly this result; empty for what has no end.
    pub result: Option<String>,
    /// Entries before this one: where the last page ended.
    pub before: Option<i64>,
}

/// A call as the record has it: its entry, and its end where that is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The entry's id.
    pub id: i64,
    /// When it began.
    pub at: Timestamp,
    /// When its end was written.
    pub ended_at: Option<Timestamp>,
    /// What was done, with the end's result.
    pub entry: AuditEntry,
    /// The end's particulars: what a change was from and to.
    pub outcome: Value,
}

impl Audit<'_> {
    /// Calls, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.audit.query", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn query(&self, filter: &Filter, limit: i64) -> Result<Vec<Recorded>> {
        let mut tx = self.scope.begin().await?;
        let rows = sqlx::query(
            "SELECT a.id, a.at, a.actor, a.actor_kind, a.action, a.object, a.source, a.request_id, a.details,
                    coalesce(e.result, a.result) AS result, e.at AS ended_at, coalesce(e.details, '{}') AS outcome
             FROM naru.audit a LEFT JOIN naru.audit e ON e.about = a.id AND e.tenant_id = a.tenant_id
             WHERE a.about IS NULL AND ($1::bigint IS NULL OR a.id < $1)
               AND ($2::timestamptz IS NULL OR a.at >= $2) AND ($3::timestamptz IS NULL OR a.at < $3)
               AND ($4::text IS NULL OR a.actor = $4)
               AND ($5::text IS NULL OR right(a.action, length($5)) = $5)
               AND ($6::text IS NULL OR starts_with(a.object, $6))
               AND ($7::text IS NULL OR coalesce(e.result, a.result) = $7)
             ORDER BY a.id DESC LIMIT $8",
        )
        .bind(filter.before)
        .bind(filter.from)
        .bind(filter.until)
        .bind(&filter.actor)
        .bind(&filter.action)
        .bind(&filter.object)
        .bind(&filter.result)
        .bind(limit)
        .fetch_all(&mut *tx)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Recorded {
                    id: row.try_get("id")?,
                    at: row.try_get("at")?,
                    ended_at: row.try_get("ended_at")?,
                    entry: AuditEntry {
                        about: None,
                        actor: row.try_get("actor")?,
                        actor_kind: row.try_get("actor_kind")?,
                        action: row.try_get("action")?,
                        object: row.try_get("object")?,
                        source: row.try_get("source")?,
                        result: row.try_get("result")?,
                        request_id: row.try_get("request_id")?,
                        details: row.try_get::<Json<Value>, _>("details")?.0,
                    },
                    outcome: row.try_get::<Json<Value>, _>("outcome")?.0,
                })
            })
            .collect()
    }

    /// The newest calls, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn newest(&self, limit: i64) -> Result<Vec<(Timestamp, AuditEntry)>> {
        let found = self.query(&Filter::default(), limit).await?;
        Ok(found
            .into_iter()
            .map(|call| (call.at, call.entry))
            .collect())
    }
}
