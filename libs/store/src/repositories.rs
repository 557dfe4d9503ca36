//! The repositories that a tenant has connected, their credentials sealed.

mod sealed;

use domain::repository::{Repository, normalize_url};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::error::{Error, Result, exactly_one};
use crate::scope::{MAX_NAME, Spot, TenantScope, reading};

pub(crate) use sealed::Sealed;

const COLUMNS: &str = "normalized, project, url, kind, name, sealed, insecure, enable_lfs";

/// A tenant's repositories: those that it reads, or those that it pushes to.
#[derive(Clone, Copy, Debug)]
pub struct Repositories<'a> {
    pub(crate) scope: &'a TenantScope,
    pub(crate) table: &'static str,
}

impl Repositories<'_> {
    fn spot<'r>(&self, row: &'r [&'r str]) -> Spot<'r> {
        Spot {
            table: self.table,
            column: "sealed",
            row,
        }
    }

    /// All of them, by address and project.
    ///
    /// # Errors
    /// When the database does not answer or credentials do not open.
    #[tracing::instrument(name = "db.repositories.list", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn list(&self) -> Result<Vec<Repository>> {
        let table = self.table;
        let statement = reading(&format!(
            "SELECT {COLUMNS} FROM naru.{table} ORDER BY normalized, project"
        ));
        let rows = sqlx::query(&statement)
            .bind(self.scope.setting())
            .fetch_all(self.scope.store().pool())
            .await?;
        let mut repositories = Vec::with_capacity(rows.len());
        for row in &rows {
            repositories.push(self.repository(row).await?);
        }
        Ok(repositories)
    }

    /// The one of an address (in any spelling) in exactly this project; empty means the one for all projects.
    ///
    /// # Errors
    /// When the database does not answer or credentials do not open.
    #[tracing::instrument(name = "db.repositories.find", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn find(&self, url: &str, project: &str) -> Result<Option<Repository>> {
        self.first(url, &[project.to_owned()]).await
    }

    /// The one that an application of a project uses: the project's own before the one for all.
    ///
    /// # Errors
    /// When the database does not answer or credentials do not open.
    #[tracing::instrument(name = "db.repositories.find_for", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn find_for(&self, url: &str, project: &str) -> Result<Option<Repository>> {
        self.first(url, &[project.to_owned(), String::new()]).await
    }

    async fn first(&self, url: &str, projects: &[String]) -> Result<Option<Repository>> {
        let table = self.table;
        let statement = reading(&format!(
            "SELECT {COLUMNS} FROM naru.{table} WHERE normalized = $2 AND project = ANY ($3)
             ORDER BY project DESC LIMIT 1"
        ));
        let row = sqlx::query(&statement)
            .bind(self.scope.setting())
            .bind(normalize_url(url))
            .bind(projects)
            .fetch_optional(self.scope.store().pool())
            .await?;
        match row {
            Some(row) => self.repository(&row).await.map(Some),
            None => Ok(None),
        }
    }

    /// Connects one, or replaces what is known of it. The applications that use it are woken.
    ///
    /// # Errors
    /// `Invalid` for an address that is empty or too long.
    #[tracing::instrument(name = "db.repositories.put", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn put(&self, repository: &Repository) -> Result<()> {
        let Repository {
            url,
            kind,
            name,
            project,
            credentials,
            insecure,
            enable_lfs,
            options,
        } = repository;
        let normalized = normalize_url(url);
        if normalized.is_empty() || normalized.len() > MAX_NAME {
            return Err(Error::invalid(
                "repository",
                "its address is empty or too long",
            ));
        }
        if project.len() > MAX_NAME || url.len() > MAX_NAME || name.len() > MAX_NAME {
            return Err(Error::invalid(
                "repository",
                "its name or project is too long",
            ));
        }
        let document = Sealed::new(credentials, options).json()?;
        let sealed = self
            .scope
            .seal(self.spot(&[&normalized, project]), &document)
            .await?;
        let mut tx = self.scope.begin().await?;
        let statement = format!(
            "INSERT INTO naru.{}
                 (tenant_id, normalized, project, url, kind, name, sealed, insecure, enable_lfs)
             VALUES (naru.current_tenant(), $1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (tenant_id, normalized, project) DO UPDATE SET
                 url = excluded.url, kind = excluded.kind, name = excluded.name, sealed = excluded.sealed,
                 insecure = excluded.insecure, enable_lfs = excluded.enable_lfs",
            self.table
        );
        let done = sqlx::query(&statement)
            .bind(&normalized)
            .bind(project)
            .bind(url)
            .bind(kind)
            .bind(name)
            .bind(sealed)
            .bind(insecure)
            .bind(enable_lfs)
            .execute(&mut *tx)
            .await?;
        exactly_one(done.rows_affected(), "repository", url)?;
        self.wake(&mut tx, &normalized).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Disconnects one.
    ///
    /// # Errors
    /// `NotFound` when it was not connected.
    #[tracing::instrument(name = "db.repositories.delete", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn delete(&self, url: &str, project: &str) -> Result<()> {
        let normalized = normalize_url(url);
        let mut tx = self.scope.begin().await?;
        let statement = format!(
            "DELETE FROM naru.{} WHERE normalized = $1 AND project = $2",
            self.table
        );
        let done = sqlx::query(&statement)
            .bind(&normalized)
            .bind(project)
            .execute(&mut *tx)
            .await?;
        exactly_one(done.rows_affected(), "repository", url)?;
        self.wake(&mut tx, &normalized).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Wakes the applications that read it; none of them pushes.
    async fn wake(&self, tx: &mut sqlx::PgConnection, normalized: &str) -> Result<()> {
        if self.table != "repositories" {
            return Ok(());
        }
        sqlx::query("SELECT pg_notify('naru', $1)")
            .bind(format!("{} repo {normalized}", self.scope.whose()))
            .execute(tx)
            .await?;
        Ok(())
    }

    pub(crate) async fn repository(&self, row: &PgRow) -> Result<Repository> {
        let (normalized, project): (String, String) =
            (row.try_get("normalized")?, row.try_get("project")?);
        let document = self
            .scope
            .open(self.spot(&[&normalized, &project]), row.try_get("sealed")?)
            .await?;
        let (credentials, options) = Sealed::read(&document, "repositories")?;
        Ok(Repository {
            url: row.try_get("url")?,
            kind: row.try_get("kind")?,
            name: row.try_get("name")?,
            project,
            credentials,
            insecure: row.try_get("insecure")?,
            enable_lfs: row.try_get("enable_lfs")?,
            options,
        })
    }
}
