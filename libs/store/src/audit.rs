//! Who did what: append-only, nobody can change or delete an entry.

use domain::clock::Timestamp;
use serde_json::Value;
use sqlx::Row;
use sqlx::types::Json;

use crate::error::{Result, exactly_one};
use crate::scope::TenantScope;

/// Something that was done.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// The account; empty for the platform itself.
    pub actor: String,
    /// The verb, as permissions name it (`applications, sync`).
    pub action: String,
    /// The object (`default/hello`).
    pub object: String,
    /// Particulars; never secrets.
    pub details: Value,
}

/// A tenant's audit trail.
#[derive(Clone, Copy, Debug)]
pub struct Audit<'a> {
    pub(crate) scope: &'a TenantScope,
}

impl Audit<'_> {
    /// Adds an entry.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.audit.append", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn append(&self, entry: &AuditEntry) -> Result<()> {
        let AuditEntry {
            actor,
            action,
            object,
            details,
        } = entry;
        let mut tx = self.scope.begin().await?;
        let done = sqlx::query(
            "INSERT INTO naru.audit (tenant_id, actor, action, object, details)
             VALUES (naru.current_tenant(), $1, $2, $3, $4)",
        )
        .bind(actor)
        .bind(action)
        .bind(object)
        .bind(Json(details))
        .execute(&mut *tx)
        .await?;
        exactly_one(done.rows_affected(), "audit entry", object)?;
        tx.commit().await?;
        Ok(())
    }

    /// The newest entries, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.audit.newest", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn newest(&self, limit: i64) -> Result<Vec<(Timestamp, AuditEntry)>> {
        let mut tx = self.scope.begin().await?;
        let rows = sqlx::query(
            "SELECT at, actor, action, object, details FROM naru.audit ORDER BY id DESC LIMIT $1",
        )
        .bind(limit)
        .fetch_all(&mut *tx)
        .await?;
        rows.iter()
            .map(|row| {
                let entry = AuditEntry {
                    actor: row.try_get("actor")?,
                    action: row.try_get("action")?,
                    object: row.try_get("object")?,
                    details: row.try_get::<Json<Value>, _>("details")?.0,
                };
                Ok((row.try_get("at")?, entry))
            })
            .collect()
    }
}
