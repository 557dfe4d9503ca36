//! Sealing the tenants' records, by the holder of the lease [`SEALING`].

use domain::tenant::TenantId;
use uuid::Uuid;

use super::PlatformScope;
use super::leases::Lease;
use crate::audit::chain::{self, DIGEST, Sealed};
use crate::error::{Error, Result, sql_state};

/// The work item of sealing.
pub const SEALING: &str = "audit-sealing";

/// The most entries that one seal closes.
const BATCH: i64 = 1000;

impl PlatformScope {
    /// The tenants with entries that no seal closes.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.unsealed_audits", skip_all)]
    pub async fn unsealed_audits(&self) -> Result<Vec<TenantId>> {
        let rows: Vec<Uuid> = sqlx::query_scalar("SELECT naru.unsealed_audits()")
            .fetch_all(self.store.pool())
            .await?;
        Ok(rows.into_iter().map(TenantId).collect())
    }

    /// Closes a tenant's oldest open entries with a seal. Says how many; none when there were none, or another was
    /// quicker.
    ///
    /// # Errors
    /// `Stale` when the lease has passed on; when the database does not answer or the key does not open.
    #[tracing::instrument(name = "db.platform.seal_audit", skip_all, fields(tenant = %tenant))]
    pub async fn seal_audit(&self, lease: &Lease, tenant: TenantId) -> Result<usize> {
        let scope = self.store.tenant(tenant);
        let audit = scope.audit();
        let horizon: Option<i64> = sqlx::query_scalar("SELECT naru.audit_horizon($1, $2)")
            .bind(tenant.0)
            .bind(BATCH)
            .fetch_one(self.store.pool())
            .await?;
        let Some(horizon) = horizon else {
            return Ok(0);
        };
        let key = audit.ensure_key().await?;
        let last = audit.last_seal().await?;
        let (seq, after, previous) =
            last.map_or((0, 0, Vec::new()), |seal| (seal.seq, seal.to_id, seal.hash));
        let entries = audit.links(after, horizon, BATCH).await?;
        let (Some(first), Some(end)) = (entries.first(), entries.last()) else {
            return Ok(0);
        };
        let mut digests = Vec::with_capacity(entries.len() * DIGEST);
        for entry in &entries {
            digests.extend_from_slice(&chain::digest(&key, tenant, entry));
        }
        let hash = chain::hash(
            &key,
            &Sealed {
                tenant,
                seq: seq + 1,
                from_id: first.id,
                to_id: end.id,
                digests: &digests,
                previous: &previous,
            },
        );
        let sealed: bool =
            sqlx::query_scalar("SELECT naru.seal_audit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
                .bind(&lease.item)
                .bind(lease.fence)
                .bind(tenant.0)
                .bind(seq + 1)
                .bind(first.id)
                .bind(end.id)
                .bind(i64::try_from(entries.len()).unwrap_or(BATCH))
                .bind(&digests)
                .bind(hash.as_slice())
                .bind(&previous)
                .fetch_one(self.store.pool())
                .await
                .map_err(|error| match sql_state(&error).as_deref() {
                    Some("NR001") => Error::Stale {
                        item: lease.item.clone(),
                        fence: lease.fence,
                    },
                    _ => error.into(),
                })?;
        Ok(if sealed { entries.len() } else { 0 })
    }
}
