//! What there is to do, across tenants.

use domain::tenant::TenantId;
use uuid::Uuid;

use super::PlatformScope;
use crate::error::Result;

impl PlatformScope {
    /// Every application.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.all_apps", skip_all)]
    pub async fn all_apps(&self) -> Result<Vec<(TenantId, String)>> {
        let rows: Vec<(Uuid, String)> =
            sqlx::query_as("SELECT tenant_id, name FROM naru.all_apps()")
                .fetch_all(self.store.pool())
                .await?;
        Ok(rows
            .into_iter()
            .map(|(tenant, name)| (TenantId(tenant), name))
            .collect())
    }

    /// The applications of a repository (its normalised address), of one tenant or of all.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.apps_of_repo", skip_all)]
    pub async fn apps_of_repo(
        &self,
        normalized: &str,
        tenant: Option<TenantId>,
    ) -> Result<Vec<(TenantId, String)>> {
        let rows: Vec<(Uuid, String)> =
            sqlx::query_as("SELECT tenant_id, name FROM naru.apps_of_repo($1, $2)")
                .bind(normalized)
                .bind(tenant.map(|t| t.0))
                .fetch_all(self.store.pool())
                .await?;
        Ok(rows
            .into_iter()
            .map(|(tenant, name)| (TenantId(tenant), name))
            .collect())
    }

    /// The namespace map, by namespace.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.namespace_map", skip_all)]
    pub async fn namespace_map(&self) -> Result<Vec<(String, TenantId)>> {
        let rows: Vec<(String, Uuid)> =
            sqlx::query_as("SELECT namespace, tenant_id FROM naru.namespace_map()")
                .fetch_all(self.store.pool())
                .await?;
        Ok(rows
            .into_iter()
            .map(|(namespace, tenant)| (namespace, TenantId(tenant)))
            .collect())
    }

    /// Maps a namespace to a tenant; `false` when it is another's. Whether the tenant may have it is the caller's to
    /// decide.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.claim_namespace", skip_all, fields(tenant = %tenant))]
    pub async fn claim_namespace(&self, tenant: TenantId, namespace: &str) -> Result<bool> {
        Ok(sqlx::query_scalar("SELECT naru.claim_namespace($1, $2)")
            .bind(tenant.0)
            .bind(namespace)
            .fetch_one(self.store.pool())
            .await?)
    }
}
