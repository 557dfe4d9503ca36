//! What was deployed, without end. It is written by [`crate::PlatformScope::publish`] alone.

use domain::application::HistoryEntry;
use sqlx::types::Json;

use crate::error::Result;
use crate::scope::TenantScope;

/// A tenant's deployments.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    pub(crate) scope: &'a TenantScope,
}

impl History<'_> {
    /// One entry of an application (by uid), however old.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.history.find", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn find(&self, app_uid: &str, id: i64) -> Result<Option<HistoryEntry>> {
        let mut tx = self.scope.begin().await?;
        let entry: Option<Json<HistoryEntry>> =
            sqlx::query_scalar("SELECT entry FROM naru.history WHERE app_uid = $1 AND id = $2")
                .bind(app_uid)
                .bind(id)
                .fetch_optional(&mut *tx)
                .await?;
        Ok(entry.map(|e| e.0))
    }

    /// The newest entries of an application (by uid), oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.history.newest", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn newest(&self, app_uid: &str, limit: i64) -> Result<Vec<HistoryEntry>> {
        let mut tx = self.scope.begin().await?;
        let mut entries: Vec<Json<HistoryEntry>> = sqlx::query_scalar(
            "SELECT entry FROM naru.history WHERE app_uid = $1 ORDER BY id DESC LIMIT $2",
        )
        .bind(app_uid)
        .bind(limit)
        .fetch_all(&mut *tx)
        .await?;
        entries.reverse();
        Ok(entries.into_iter().map(|e| e.0).collect())
    }
}
