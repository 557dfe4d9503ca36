//! Reads of one tenant's applications that come at the same time share a statement.
//!
//! Each row goes to whoever asked for it, and is decoded there: a document that cannot be is nobody else's trouble, and large ones
//! do not wait for each other.

use domain::tenant::TenantId;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::COLUMNS;
use crate::connect::Store;
use crate::error::Result;
use crate::scope::reading;
use crate::together::{Lines, Part};

/// An application of this name, and whose work it is.
pub(crate) struct AtWork(pub(super) String);

impl Part for AtWork {
    type Line = TenantId;
    type Answer = Option<PgRow>;

    const READS: bool = true;

    fn lines(store: &Store) -> &Lines<Self> {
        &store.inner.at_work
    }

    #[tracing::instrument(name = "db.applications.read_at_work", skip_all, fields(%tenant, applications = asked.len()))]
    async fn run(store: &Store, tenant: TenantId, asked: &[Self]) -> Result<Vec<Option<PgRow>>> {
        let names: Vec<&str> = asked.iter().map(|one| one.0.as_str()).collect();
        // Each by its key, as `super::named` has it. The same name may be asked for twice: a row says for which place it is.
        let statement = reading(&format!(
            "SELECT n.place, {COLUMNS}, work_item FROM unnest((SELECT $2::text[])) WITH ORDINALITY n (wanted, place)
             CROSS JOIN LATERAL (SELECT * FROM naru.applications WHERE name = n.wanted LIMIT 1) a"
        ));
        let rows = sqlx::query(&statement)
            .bind(store.tenant(tenant).setting())
            .bind(names)
            .fetch_all(store.pool())
            .await?;
        placed(rows, asked.len())
    }
}

/// Puts rows into the places that they are for, which are counted from one.
fn placed(rows: Vec<PgRow>, places: usize) -> Result<Vec<Option<PgRow>>> {
    let mut placed: Vec<Option<PgRow>> = (0..places).map(|_| None).collect();
    for row in rows {
        let place: i64 = row.try_get("place")?;
        let place = place.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        if let Some(place) = place.and_then(|at| placed.get_mut(at)) {
            *place = Some(row);
        }
    }
    Ok(placed)
}
