//! What the operator does with a tenant after it was made: state, quotas, namespaces, export and end.

use std::collections::BTreeMap;

use domain::clock::Timestamp;
use domain::quota::Quotas;
use domain::tenant::{TenantId, TenantState};
use serde_json::Value;
use sqlx::Row;
use sqlx::types::Json;
use uuid::Uuid;

use super::PlatformScope;
use crate::error::{Error, Result, sql_state};

/// How often a tenant is destroyed that others are in the way of.
const DESTROY_TRIES: u32 = 5;

/// Why a namespace is not mapped to a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is.
    Claimed,
    /// It is another's.
    Taken,
    /// Its name is another tenant's, living or destroyed.
    Reserved,
    /// The tenant has as many as it may.
    Quota,
}

/// What became of taking a namespace from a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// It is nobody's now.
    Released,
    /// It was not the tenant's.
    Absent,
    /// It is the tenant's own and goes only with it.
    Home,
    /// An application goes there, or has something there.
    Used,
}

/// What remains of a destroyed tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Tombstone {
    /// Its id.
    pub tenant: TenantId,
    /// When its rows went.
    pub destroyed_at: Timestamp,
    /// The proof that nothing else remains; without one the deletion is not finished.
    pub proof: Option<Value>,
}

impl PlatformScope {
    /// Suspends a tenant, resumes it, or begins to delete it.
    ///
    /// # Errors
    /// `NotFound` when it is not there, is being deleted, or is the operator's own.
    #[tracing::instrument(name = "db.platform.set_tenant_state", skip_all, fields(tenant = %tenant))]
    pub async fn set_tenant_state(&self, tenant: TenantId, state: TenantState) -> Result<()> {
        let done: bool = sqlx::query_scalar("SELECT naru.set_tenant_state($1, $2)")
            .bind(tenant.0)
            .bind(state.as_str())
            .fetch_one(self.store.pool())
            .await?;
        found(done, tenant)
    }

    /// Which of these tenants are there and active.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.active_among", skip_all)]
    pub async fn active_among(&self, tenants: &[TenantId]) -> Result<Vec<TenantId>> {
        let ids: Vec<Uuid> = tenants.iter().map(|tenant| tenant.0).collect();
        let active: Vec<Uuid> = sqlx::query_scalar("SELECT naru.active_among($1)")
            .bind(ids)
            .fetch_all(self.store.pool())
            .await?;
        Ok(active.into_iter().map(TenantId).collect())
    }

    /// Says what the installation allows each tenant.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.set_quota_defaults", skip_all)]
    pub async fn set_quota_defaults(&self, defaults: &Quotas) -> Result<()> {
        sqlx::query("SELECT naru.set_quota_defaults($1)")
            .bind(Json(defaults))
            .execute(self.store.pool())
            .await?;
        Ok(())
    }

    /// Replaces what one tenant is allowed instead.
    ///
    /// # Errors
    /// `NotFound` when it is not there.
    #[tracing::instrument(name = "db.platform.set_tenant_quotas", skip_all, fields(tenant = %tenant))]
    pub async fn set_tenant_quotas(&self, tenant: TenantId, quotas: &Quotas) -> Result<()> {
        let done: bool = sqlx::query_scalar("SELECT naru.set_tenant_quotas($1, $2)")
            .bind(tenant.0)
            .bind(Json(quotas))
            .fetch_one(self.store.pool())
            .await?;
        found(done, tenant)
    }

    /// Maps a namespace to a tenant, if it may be. Whether the tenant's patterns have it is the caller's to decide.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.map_namespace", skip_all, fields(tenant = %tenant))]
    pub async fn map_namespace(&self, tenant: TenantId, namespace: &str) -> Result<Claim> {
        let word: String = sqlx::query_scalar("SELECT naru.map_namespace($1, $2)")
            .bind(tenant.0)
            .bind(namespace)
            .fetch_one(self.store.pool())
            .await?;
        Ok(match word.as_str() {
            "claimed" => Claim::Claimed,
            "reserved" => Claim::Reserved,
            "quota" => Claim::Quota,
            _ => Claim::Taken,
        })
    }

    /// Takes a namespace that nothing uses from a tenant.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.release_namespace", skip_all, fields(tenant = %tenant))]
    pub async fn release_namespace(&self, tenant: TenantId, namespace: &str) -> Result<Release> {
        let word: String = sqlx::query_scalar("SELECT naru.release_namespace($1, $2)")
            .bind(tenant.0)
            .bind(namespace)
            .fetch_one(self.store.pool())
            .await?;
        Ok(match word.as_str() {
            "released" => Release::Released,
            "home" => Release::Home,
            "used" => Release::Used,
            _ => Release::Absent,
        })
    }

    /// How many rows each table has of a tenant.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.tenant_rows", skip_all, fields(tenant = %tenant))]
    pub async fn tenant_rows(&self, tenant: TenantId) -> Result<BTreeMap<String, i64>> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT relation, held FROM naru.tenant_rows($1)")
                .bind(tenant.0)
                .fetch_all(self.store.pool())
                .await?;
        Ok(rows.into_iter().collect())
    }

    /// A page of a tenant's rows of one table, as JSON, after a place; and the place where it ended.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.export_tenant", skip_all, fields(tenant = %tenant))]
    pub async fn export_tenant(
        &self,
        tenant: TenantId,
        relation: &str,
        after: &str,
        most: i64,
    ) -> Result<(Vec<Value>, Option<String>)> {
        let rows = sqlx::query(
            "SELECT place::text AS place, document FROM naru.export_tenant($1, $2, $3::tid, $4)",
        )
        .bind(tenant.0)
        .bind(relation)
        .bind(after)
        .bind(most)
        .fetch_all(self.store.pool())
        .await?;
        let last = match rows.last() {
            Some(row) => Some(row.try_get("place")?),
            None => None,
        };
        let documents = rows
            .iter()
            .map(|row| Ok(row.try_get::<Json<Value>, _>("document")?.0))
            .collect::<Result<_>>()?;
        Ok((documents, last))
    }

    /// Deletes every row of a tenant that is being deleted, leaving one tombstone. `false` when it was done already.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.destroy_tenant", skip_all, fields(tenant = %tenant))]
    pub async fn destroy_tenant(&self, tenant: TenantId) -> Result<bool> {
        let mut tries = 1;
        let done = loop {
            let done = sqlx::query_scalar("SELECT naru.destroy_tenant($1)")
                .bind(tenant.0)
                .fetch_one(self.store.pool());
            match done.await {
                Ok(done) => break done,
                // Some who seal, as of a repository's credentials or the record's first key, hold the tenant's key before they come
                // to the tenant. The database lets one of the two go on: they end, and then nobody is in the way.
                Err(error)
                    if tries < DESTROY_TRIES && sql_state(&error).as_deref() == Some("40P01") =>
                {
                    tries += 1;
                }
                Err(error) => return Err(error.into()),
            }
        };
        self.store.inner.tenant_keys.lock().remove(&tenant);
        Ok(done)
    }

    /// What remains of the last destroyed tenant of a name.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.tombstone", skip_all)]
    pub async fn tombstone(&self, name: &str) -> Result<Option<Tombstone>> {
        let row = sqlx::query("SELECT tenant_id, destroyed_at, proof FROM naru.tombstone($1)")
            .bind(name)
            .fetch_optional(self.store.pool())
            .await?;
        row.map(|row| {
            Ok(Tombstone {
                tenant: TenantId(row.try_get("tenant_id")?),
                destroyed_at: row.try_get("destroyed_at")?,
                proof: row
                    .try_get::<Option<Json<Value>>, _>("proof")?
                    .map(|proof| proof.0),
            })
        })
        .transpose()
    }

    /// Writes the proof on a tombstone, once: the deletion is finished.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.prove_destroyed", skip_all, fields(tenant = %tenant))]
    pub async fn prove_destroyed(&self, tenant: TenantId, proof: &Value) -> Result<()> {
        sqlx::query("SELECT naru.prove_destroyed($1, $2)")
            .bind(tenant.0)
            .bind(Json(proof))
            .execute(self.store.pool())
            .await?;
        Ok(())
    }
}

fn found(done: bool, tenant: TenantId) -> Result<()> {
    if done {
        Ok(())
    } else {
        Err(Error::not_found("tenant", tenant.to_string()))
    }
}
