//! Changing an application, and its end.

use domain::application::{Application, REFRESH};
use sqlx::types::Json;
use sqlx::{Postgres, Row, Transaction};

use super::{Applications, COLUMNS, repo_urls, row, touched};
use crate::error::{Error, Result};

impl Applications<'_> {
    /// Changes one: `change` sees it as it is now, under lock, and decides. With `expected`, only when its resource
    /// version is still that one. Name and uid stay; the generation grows with the spec; a change that changes nothing
    /// writes nothing. When it leaves an application that is being deleted without finalizers, the application goes.
    ///
    /// `change` must not wait for anything: the tenant's other writers wait for it.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` (another version than expected), or what `change` says.
    pub async fn update<E, F>(
        &self,
        name: &str,
        expected: Option<i64>,
        change: F,
    ) -> Result<Application, E>
    where
        E: From<Error>,
        F: FnOnce(&mut Application) -> Result<(), E>,
    {
        let (mut tx, current) = self.lock(name, expected).await?;
        let mut next = current.clone();
        change(&mut next)?;
        if self.write(&mut tx, &current, &mut next).await? {
            tx.commit().await.map_err(Error::from)?;
        }
        Ok(next)
    }

    #[tracing::instrument(name = "db.applications.lock", skip_all, fields(tenant = %self.scope.tenant(), app = name))]
    async fn lock(
        &self,
        name: &str,
        expected: Option<i64>,
    ) -> Result<(Transaction<'static, Postgres>, Application)> {
        let mut tx = self.scope.begin_write().await?;
        let statement = format!("SELECT {COLUMNS} FROM naru.applications WHERE name = $1");
        let row = sqlx::query(&statement)
            .bind(name)
            .fetch_optional(&mut *tx)
            .await?
            .ok_or_else(|| Error::not_found("application", name))?;
        let current = row::application(&row)?;
        if expected.is_some_and(|version| version != current.resource_version) {
            return Err(Error::Conflict {
                what: "application",
                name: name.to_owned(),
            });
        }
        Ok((tx, current))
    }

    /// Writes `next` over `current`, whose tenant's counter is locked; says whether anything was written.
    #[tracing::instrument(name = "db.applications.write", skip_all, fields(tenant = %self.scope.tenant(), app = current.name()))]
    async fn write(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        current: &Application,
        next: &mut Application,
    ) -> Result<bool> {
        let name = current.name();
        if let Some(fields) = next.metadata.as_object_mut() {
            fields.insert("name".into(), name.into());
            fields.insert("uid".into(), current.uid().into());
        } else {
            return Err(Error::invalid("application", "metadata must be an object"));
        }
        let metadata = row::stored_metadata(&next.metadata);
        let same_metadata = metadata == row::stored_metadata(&current.metadata);
        if same_metadata
            && next.spec == current.spec
            && next.operation == current.operation
            && next.status == current.status
        {
            next.metadata = current.metadata.clone();
            next.resource_version = current.resource_version;
            return Ok(false);
        }
        if next.deleting() && next.finalizers().next().is_none() {
            let gone = remove(tx, name).await?;
            next.resource_version = gone.resource_version;
            return Ok(true);
        }
        let refresh = next.annotation(REFRESH).is_some()
            && next.annotation(REFRESH) != current.annotation(REFRESH);
        let statement = format!(
            "UPDATE naru.applications a
             SET resource_version = v, refresh_version = CASE WHEN $7 THEN v ELSE a.refresh_version END,
                 generation = a.generation + CASE WHEN a.spec <> $3 THEN 1 ELSE 0 END,
                 metadata = $2, spec = $3, operation = $4, status = $5, repo_urls = $6
             FROM naru.touch('app ' || $1) v
             WHERE a.name = $1
             RETURNING {COLUMNS}"
        );
        let row = sqlx::query(&statement)
            .bind(name)
            .bind(Json(metadata))
            .bind(Json(&next.spec))
            .bind(next.operation.as_ref().map(Json))
            .bind(Json(&next.status))
            .bind(repo_urls(&next.spec))
            .bind(refresh)
            .fetch_optional(&mut **tx)
            .await?
            .ok_or_else(|| Error::not_found("application", name))?;
        *next = row::application(&row)?;
        Ok(true)
    }
}

/// Deletes the row and remembers it for those who watch.
pub(super) async fn remove(
    tx: &mut Transaction<'static, Postgres>,
    name: &str,
) -> Result<Application> {
    let statement = format!("DELETE FROM naru.applications WHERE name = $1 RETURNING {COLUMNS}");
    let row = sqlx::query(&statement)
        .bind(name)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or_else(|| Error::not_found("application", name))?;
    let mut gone = row::application(&row)?;
    sqlx::query("DELETE FROM naru.application_deletions WHERE deleted_at < clock_timestamp() - interval '7 days'")
        .execute(&mut **tx)
        .await?;
    let kept = sqlx::query(
        "INSERT INTO naru.application_deletions
             (tenant_id, uid, name, generation, resource_version, metadata, spec, status, created_at)
         SELECT naru.current_tenant(), $2, $1, $3, naru.touch('app ' || $1), $4, $5, $6, $7
         RETURNING resource_version",
    )
    .bind(name)
    .bind(gone.uid().to_owned())
    .bind(row.try_get::<i64, _>("generation")?)
    .bind(Json(row::stored_metadata(&gone.metadata)))
    .bind(Json(&gone.spec))
    .bind(Json(&gone.status))
    .bind(row.try_get::<domain::clock::Timestamp, _>("created_at")?)
    .fetch_all(&mut **tx)
    .await?;
    touched(kept.len() as u64, name)?;
    if let Some(kept) = kept.first() {
        gone.resource_version = kept.try_get("resource_version")?;
        if let Some(fields) = gone.metadata.as_object_mut() {
            fields.insert(
                "resourceVersion".into(),
                gone.resource_version.to_string().into(),
            );
        }
    }
    Ok(gone)
}
