//! Recording entries. One is on disk before the call that it speaks of goes on.

use domain::tenant::TenantId;
use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;

use super::AuditEntry;
use crate::connect::Store;
use crate::error::{Error, Result};
use crate::together::{self, Lines, Part};

/// An entry as naru.record_audits takes it.
#[derive(Serialize)]
pub(crate) struct Row {
    tenant: TenantId,
    #[serde(flatten)]
    entry: AuditEntry,
}

/// Records an entry, together with those that others add meanwhile; its id.
pub(super) async fn append(store: &Store, tenant: TenantId, entry: &AuditEntry) -> Result<i64> {
    let mut entry = entry.clone();
    if entry.details.is_null() {
        entry.details = Value::Object(serde_json::Map::new());
    }
    together::share(store, (), Row { tenant, entry }).await
}

impl Part for Row {
    /// All tenants' entries are in one.
    type Line = ();
    /// The entry's id.
    type Answer = i64;

    const READS: bool = false;

    fn lines(store: &Store) -> &Lines<Self> {
        &store.inner.audit
    }

    #[tracing::instrument(name = "db.audit.write", skip_all, fields(entries = rows.len()))]
    async fn run(store: &Store, (): (), rows: &[Self]) -> Result<Vec<i64>> {
        let ids: Vec<i64> = sqlx::query_scalar("SELECT r FROM naru.record_audits($1) r")
            .bind(Json(rows))
            .fetch_all(store.pool())
            .await?;
        if ids.len() != rows.len() {
            return Err(Error::invalid("record", "not every entry was written"));
        }
        Ok(ids)
    }
}
