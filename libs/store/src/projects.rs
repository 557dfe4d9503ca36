//! A tenant's projects.

use domain::project::Project;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

use crate::applications::row::{metadata, stored_metadata};
use crate::error::{Error, Result, exactly_one, unless_unique};
use crate::scope::{MAX_NAME, TenantScope, reading};

const COLUMNS: &str = "name, uid, generation, resource_version, metadata, spec, created_at";

/// A tenant's projects.
#[derive(Clone, Copy, Debug)]
pub struct Projects<'a> {
    pub(crate) scope: &'a TenantScope,
}

impl Projects<'_> {
    /// All of them, by name.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.projects.list", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn list(&self) -> Result<Vec<Project>> {
        let statement = reading(&format!(
            "SELECT {COLUMNS} FROM naru.projects ORDER BY name"
        ));
        let rows = sqlx::query(&statement)
            .bind(self.scope.setting())
            .fetch_all(self.scope.store().pool())
            .await?;
        rows.iter().map(project).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.projects.find", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn find(&self, name: &str) -> Result<Option<Project>> {
        let statement = reading(&format!(
            "SELECT {COLUMNS} FROM naru.projects WHERE name = $2"
        ));
        let row = sqlx::query(&statement)
            .bind(self.scope.setting())
            .bind(name)
            .fetch_optional(self.scope.store().pool())
            .await?;
        row.as_ref().map(project).transpose()
    }

    /// Makes one from its documents; `metadata` carries its name and a fresh uid.
    ///
    /// # Errors
    /// `AlreadyExists` for a name in use, `Invalid` without name or uid.
    #[tracing::instrument(name = "db.projects.create", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn create(&self, wanted: &Project) -> Result<Project> {
        let (name, uid) = (
            wanted.name(),
            domain::resource::text(&wanted.metadata, &["uid"]),
        );
        if name.is_empty() || uid.is_empty() || name.len() > MAX_NAME {
            return Err(Error::invalid(
                "project",
                "metadata.name and metadata.uid are required",
            ));
        }
        let mut tx = self.scope.begin_write().await?;
        let statement = format!(
            "INSERT INTO naru.projects (tenant_id, name, uid, resource_version, metadata, spec)
             VALUES (naru.current_tenant(), $1, $2, naru.touch('project ' || $1), $3, $4) RETURNING {COLUMNS}"
        );
        let row = sqlx::query(&statement)
            .bind(name)
            .bind(uid)
            .bind(Json(stored_metadata(&wanted.metadata)))
            .bind(Json(&wanted.spec))
            .fetch_one(&mut *tx)
            .await
            .map_err(|error| unless_unique(error, "project", name))?;
        let made = project(&row)?;
        tx.commit().await?;
        Ok(made)
    }

    /// Replaces one's documents; with `expected`, only when its resource version is still that one.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` for another version than expected.
    #[tracing::instrument(name = "db.projects.replace", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn replace(&self, wanted: &Project, expected: Option<i64>) -> Result<Project> {
        let name = wanted.name();
        let mut tx = self.scope.begin_write().await?;
        let current: Option<i64> =
            sqlx::query_scalar("SELECT resource_version FROM naru.projects WHERE name = $1")
                .bind(name)
                .fetch_optional(&mut *tx)
                .await?;
        match (current, expected) {
            (None, _) => return Err(Error::not_found("project", name)),
            (Some(current), Some(expected)) if current != expected => {
                return Err(Error::Conflict {
                    what: "project",
                    name: name.to_owned(),
                });
            }
            _ => {}
        }
        let statement = format!(
            "UPDATE naru.projects p
             SET metadata = $2, spec = $3, resource_version = v,
                 generation = p.generation + CASE WHEN p.spec <> $3 THEN 1 ELSE 0 END
             FROM naru.touch('project ' || $1) v WHERE p.name = $1 RETURNING {COLUMNS}"
        );
        let row = sqlx::query(&statement)
            .bind(name)
            .bind(Json(stored_metadata(&wanted.metadata)))
            .bind(Json(&wanted.spec))
            .fetch_optional(&mut *tx)
            .await?
            .ok_or_else(|| Error::not_found("project", name))?;
        let written = project(&row)?;
        tx.commit().await?;
        Ok(written)
    }

    /// Deletes one. Whether anything still uses it is for the caller to know.
    ///
    /// # Errors
    /// `NotFound` when there is no such project.
    #[tracing::instrument(name = "db.projects.delete", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn delete(&self, name: &str) -> Result<()> {
        let mut tx = self.scope.begin_write().await?;
        let done = sqlx::query("DELETE FROM naru.projects WHERE name = $1")
            .bind(name)
            .execute(&mut *tx)
            .await?;
        exactly_one(done.rows_affected(), "project", name)?;
        sqlx::query("SELECT naru.touch('project ' || $1)")
            .bind(name)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

pub(crate) fn project(row: &PgRow) -> Result<Project> {
    let resource_version = row.try_get("resource_version")?;
    Ok(Project {
        metadata: metadata(row, resource_version)?,
        spec: row.try_get::<Json<Value>, _>("spec")?.0,
        resource_version,
    })
}
