//! Seals: reading them, and the entries that they close.

use domain::clock::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::Audit;
use super::chain::{COLUMNS, Link};
use crate::error::Result;

/// A seal, as it rests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Its number, from 1.
    pub seq: i64,
    /// The first entry that it closes.
    pub from_id: i64,
    /// The last.
    pub to_id: i64,
    /// How many.
    pub count: i64,
    /// The entries' digests, one after another.
    pub digests: Vec<u8>,
    /// The seal itself.
    pub hash: Vec<u8>,
    /// The hash of the seal before; empty for the first.
    pub previous: Vec<u8>,
    /// When.
    pub sealed_at: Timestamp,
}

impl Audit<'_> {
    /// Seals after the one of a number, in order, at most `limit`.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.audit.seals", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn seals(&self, after: i64, limit: i64) -> Result<Vec<Seal>> {
        let mut tx = self.scope.begin().await?;
        let rows = sqlx::query(
            "SELECT seq, from_id, to_id, count, digests, hash, previous, sealed_at
             FROM naru.audit_seals WHERE seq > $1 ORDER BY seq LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(&mut *tx)
        .await?;
        rows.iter().map(seal).collect()
    }

    /// The last seal.
    pub(crate) async fn last_seal(&self) -> Result<Option<Seal>> {
        let mut tx = self.scope.begin().await?;
        let row = sqlx::query(
            "SELECT seq, from_id, to_id, count, digests, hash, previous, sealed_at
             FROM naru.audit_seals ORDER BY seq DESC LIMIT 1",
        )
        .fetch_optional(&mut *tx)
        .await?;
        row.as_ref().map(seal).transpose()
    }

    /// The entries after one and up to another, in order, at most `limit`.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.audit.links", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn links(&self, after: i64, up_to: i64, limit: i64) -> Result<Vec<Link>> {
        let mut tx = self.scope.begin().await?;
        let statement = format!(
            "SELECT {COLUMNS} FROM naru.audit WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3"
        );
        let rows = sqlx::query(&statement)
            .bind(after)
            .bind(up_to)
            .bind(limit)
            .fetch_all(&mut *tx)
            .await?;
        rows.iter().map(link).collect()
    }
}

fn seal(row: &PgRow) -> Result<Seal> {
    Ok(Seal {
        seq: row.try_get("seq")?,
        from_id: row.try_get("from_id")?,
        to_id: row.try_get("to_id")?,
        count: row.try_get("count")?,
        digests: row.try_get("digests")?,
        hash: row.try_get("hash")?,
        previous: row.try_get("previous")?,
        sealed_at: row.try_get("sealed_at")?,
    })
}

fn link(row: &PgRow) -> Result<Link> {
    Ok(Link {
        id: row.try_get("id")?,
        at: row.try_get("at")?,
        about: row.try_get("about")?,
        actor: row.try_get("actor")?,
        actor_kind: row.try_get("actor_kind")?,
        action: row.try_get("action")?,
        object: row.try_get("object")?,
        source: row.try_get("source")?,
        result: row.try_get("result")?,
        request_id: row.try_get("request_id")?,
        details: row.try_get("details")?,
    })
}
