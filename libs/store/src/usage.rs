//! How much of its quotas a tenant uses.

use std::collections::BTreeMap;

use domain::quota::Quota;
use sqlx::Row;

use crate::error::Result;
use crate::scope::TenantScope;

impl TenantScope {
    /// How many of each counted thing the tenant has; what is counted by the minute is not in here.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.tenant.usage", skip_all, fields(tenant = %self.tenant()))]
    pub async fn usage(&self) -> Result<BTreeMap<Quota, u64>> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT (SELECT count(*) FROM naru.applications) AS applications,
                    (SELECT count(*) FROM naru.applications
                     WHERE operation IS NOT NULL AND NOT metadata ? 'deletionTimestamp') AS operations,
                    (SELECT coalesce(sum(jsonb_array_length(status -> 'resources')), 0)::bigint FROM naru.applications
                     WHERE jsonb_typeof(status -> 'resources') = 'array') AS objects,
                    (SELECT count(*) FROM naru.repositories) + (SELECT count(*) FROM naru.write_repositories)
                        AS repositories,
                    (SELECT count(*) FROM naru.namespaces) AS namespaces,
                    to_regclass('naru.clusters') IS NOT NULL AS has_clusters",
        )
        .fetch_one(&mut *tx)
        .await?;
        let mut usage = BTreeMap::new();
        for quota in [
            Quota::Applications,
            Quota::Operations,
            Quota::Objects,
            Quota::Repositories,
            Quota::Namespaces,
        ] {
            let used: i64 = row.try_get(quota.as_str())?;
            usage.insert(quota, used.unsigned_abs());
        }
        if row.try_get("has_clusters")? {
            let clusters: i64 = sqlx::query_scalar("SELECT count(*) FROM naru.clusters")
                .fetch_one(&mut *tx)
                .await?;
            usage.insert(Quota::Clusters, clusters.unsigned_abs());
        }
        Ok(usage)
    }

    /// How many operations run or wait besides that of one application. One of an application that is being deleted does
    /// neither.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.tenant.operations", skip_all, fields(tenant = %self.tenant()))]
    pub async fn operations_besides(&self, but: &str) -> Result<u64> {
        let mut tx = self.begin().await?;
        let operations: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM naru.applications
             WHERE operation IS NOT NULL AND NOT metadata ? 'deletionTimestamp' AND name <> $1",
        )
        .bind(but)
        .fetch_one(&mut *tx)
        .await?;
        Ok(operations.unsigned_abs())
    }

    /// How many objects its applications manage. It reads every status: not for each application.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.tenant.objects", skip_all, fields(tenant = %self.tenant()))]
    pub async fn objects(&self) -> Result<u64> {
        let mut tx = self.begin().await?;
        let objects: i64 = sqlx::query_scalar(
            // Taken out of each status once.
            "SELECT coalesce(sum(jsonb_array_length(r.resources)), 0)::bigint
             FROM (SELECT status -> 'resources' AS resources FROM naru.applications OFFSET 0) r
             WHERE jsonb_typeof(r.resources) = 'array'",
        )
        .fetch_one(&mut *tx)
        .await?;
        Ok(objects.unsigned_abs())
    }
}
