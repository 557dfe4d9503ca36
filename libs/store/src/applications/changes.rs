//! What happened to a tenant's applications since a version.

use domain::application::Application;
use sqlx::Row;

use super::{Applications, row};
use crate::error::Result;
use crate::scope::reading;

/// One change, as a watcher sees it.
#[derive(Clone, Debug, PartialEq)]
pub enum AppChange {
    /// Made or changed: as it is now.
    Upsert(Application),
    /// Gone: as it was, with the version of its end.
    Deleted(Application),
}

impl AppChange {
    /// The application.
    #[must_use]
    pub fn app(&self) -> &Application {
        let (Self::Upsert(app) | Self::Deleted(app)) = self;
        app
    }
}

impl Applications<'_> {
    /// Every application that was written after `version`, and every one that went, oldest change first. All of one
    /// moment; the last one's version is where to go on.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.applications.changes_since", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn changes_since(&self, version: i64) -> Result<Vec<AppChange>> {
        // In a sub-select, where the planner does not see the version: it would find that there is little above it, and that a plan
        // for any version promises less, and would plan anew each time.
        let statement = reading(
            "SELECT false AS gone, name, uid, generation, resource_version, metadata, spec, operation, status, created_at
             FROM naru.applications WHERE resource_version > (SELECT $2::bigint)
             UNION ALL
             SELECT true, name, uid, generation, resource_version, metadata, spec, NULL, status, created_at
             FROM naru.application_deletions WHERE resource_version > (SELECT $2::bigint)
             ORDER BY resource_version",
        );
        let rows = sqlx::query(&statement)
            .bind(self.scope.setting())
            .bind(version)
            .fetch_all(self.scope.store().pool())
            .await?;
        rows.iter()
            .map(|row| {
                let app = row::application(row)?;
                Ok(if row.try_get("gone")? {
                    AppChange::Deleted(app)
                } else {
                    AppChange::Upsert(app)
                })
            })
            .collect()
    }
}
