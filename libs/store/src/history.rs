//! What was deployed, without end. It is written by [`crate::PlatformScope::publish`] alone.

use domain::application::HistoryEntry;
use serde_json::Value;
use sqlx::types::Json;

use crate::error::Result;
use crate::scope::{TenantScope, reading};

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
        let statement = reading("SELECT entry FROM naru.history WHERE app_uid = $2 AND id = $3");
        let entry: Option<Json<HistoryEntry>> = sqlx::query_scalar(&statement)
            .bind(self.scope.setting())
            .bind(app_uid)
            .bind(id)
            .fetch_optional(self.scope.store().pool())
            .await?;
        Ok(entry.map(|e| e.0))
    }

    /// The newest entries of an application (by uid), oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.history.newest", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn newest(&self, app_uid: &str, limit: i64) -> Result<Vec<HistoryEntry>> {
        let statement =
            reading("SELECT entry FROM naru.history WHERE app_uid = $2 ORDER BY id DESC LIMIT $3");
        let mut entries: Vec<Json<HistoryEntry>> = sqlx::query_scalar(&statement)
            .bind(self.scope.setting())
            .bind(app_uid)
            .bind(limit)
            .fetch_all(self.scope.store().pool())
            .await?;
        entries.reverse();
        Ok(entries.into_iter().map(|e| e.0).collect())
    }

    /// The newest entry of an application (by uid) that deployed these sources at these revisions, however old.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.history.deployed", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn deployed(
        &self,
        app_uid: &str,
        sources: &[Value],
        revisions: &[String],
    ) -> Result<Option<HistoryEntry>> {
        let statement = reading(
            "SELECT entry FROM naru.history
             WHERE app_uid = $2 AND entry -> 'revisions' = $3 AND entry -> 'sources' = $4
             ORDER BY id DESC LIMIT 1",
        );
        let entry: Option<Json<HistoryEntry>> = sqlx::query_scalar(&statement)
            .bind(self.scope.setting())
            .bind(app_uid)
            .bind(Json(revisions))
            .bind(Json(sources))
            .fetch_optional(self.scope.store().pool())
            .await?;
        Ok(entry.map(|e| e.0))
    }
}
