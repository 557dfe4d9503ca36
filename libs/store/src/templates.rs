//! Credential templates: logins for every repository below an address, sealed.

use domain::repository::{Template, normalize_url};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::error::{Error, Result, exactly_one};
use crate::repositories::Sealed;
use crate::scope::{MAX_NAME, Spot, TenantScope, reading};

/// A tenant's credential templates: those to read with, or those to push with.
#[derive(Clone, Copy, Debug)]
pub struct Templates<'a> {
    pub(crate) scope: &'a TenantScope,
    pub(crate) write: bool,
}

fn spot<'a>(row: &'a [&'a str]) -> Spot<'a> {
    Spot {
        table: "repository_templates",
        column: "sealed",
        row,
    }
}

impl Templates<'_> {
    /// All of them, by address.
    ///
    /// # Errors
    /// When the database does not answer or credentials do not open.
    #[tracing::instrument(name = "db.templates.list", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn list(&self) -> Result<Vec<Template>> {
        let statement = reading(
            "SELECT normalized, url, kind, sealed FROM naru.repository_templates WHERE write = $2 ORDER BY normalized",
        );
        let rows = sqlx::query(&statement)
            .bind(self.scope.setting())
            .bind(self.write)
            .fetch_all(self.scope.store().pool())
            .await?;
        let mut templates = Vec::with_capacity(rows.len());
        for row in &rows {
            templates.push(self.template(row).await?);
        }
        Ok(templates)
    }

    /// The one of exactly this address, in any spelling.
    ///
    /// # Errors
    /// When the database does not answer or its credentials do not open.
    #[tracing::instrument(name = "db.templates.find", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn find(&self, url: &str) -> Result<Option<Template>> {
        let statement = reading(
            "SELECT normalized, url, kind, sealed FROM naru.repository_templates WHERE normalized = $2 AND write = $3",
        );
        let row = sqlx::query(&statement)
            .bind(self.scope.setting())
            .bind(normalize_url(url))
            .bind(self.write)
            .fetch_optional(self.scope.store().pool())
            .await?;
        match row {
            Some(row) => self.template(&row).await.map(Some),
            None => Ok(None),
        }
    }

    /// Keeps one, or replaces what is known of it. Everything of the tenant that may use it is looked at again.
    ///
    /// # Errors
    /// `Invalid` for an address that is empty or too long.
    #[tracing::instrument(name = "db.templates.put", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn put(&self, template: &Template) -> Result<()> {
        let Template {
            url,
            kind,
            credentials,
            options,
        } = template;
        let normalized = normalize_url(url);
        if normalized.is_empty() || url.len() > MAX_NAME {
            return Err(Error::invalid(
                "credential template",
                "its address is empty or too long",
            ));
        }
        let document = Sealed::new(credentials, options).json()?;
        let sealed = self
            .scope
            .seal(spot(&[&normalized, self.purpose()]), &document)
            .await?;
        let mut tx = self.scope.begin_write().await?;
        let done = sqlx::query(
            "INSERT INTO naru.repository_templates (tenant_id, normalized, write, url, kind, sealed)
             VALUES (naru.current_tenant(), $1, $2, $3, $4, $5)
             ON CONFLICT (tenant_id, normalized, write) DO UPDATE SET
                 url = excluded.url, kind = excluded.kind, sealed = excluded.sealed",
        )
        .bind(&normalized)
        .bind(self.write)
        .bind(url)
        .bind(kind)
        .bind(sealed)
        .execute(&mut *tx)
        .await?;
        exactly_one(done.rows_affected(), "credential template", url)?;
        self.scope.access_changed(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Forgets one.
    ///
    /// # Errors
    /// `NotFound` when there was none.
    #[tracing::instrument(name = "db.templates.delete", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn delete(&self, url: &str) -> Result<()> {
        let mut tx = self.scope.begin_write().await?;
        let done = sqlx::query(
            "DELETE FROM naru.repository_templates WHERE normalized = $1 AND write = $2",
        )
        .bind(normalize_url(url))
        .bind(self.write)
        .execute(&mut *tx)
        .await?;
        exactly_one(done.rows_affected(), "credential template", url)?;
        self.scope.access_changed(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    fn purpose(&self) -> &'static str {
        if self.write { "write" } else { "read" }
    }

    pub(crate) async fn template(&self, row: &PgRow) -> Result<Template> {
        let normalized: String = row.try_get("normalized")?;
        let document = self
            .scope
            .open(spot(&[&normalized, self.purpose()]), row.try_get("sealed")?)
            .await?;
        let (credentials, options) = Sealed::read(&document, "repository_templates")?;
        Ok(Template {
            url: row.try_get("url")?,
            kind: row.try_get("kind")?,
            credentials,
            options,
        })
    }
}
