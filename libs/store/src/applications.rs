//! A tenant's applications.

mod changes;
pub(crate) mod read;
pub(crate) mod row;
pub(crate) mod seen;
pub(crate) mod together;
mod write;

use domain::application::{Application, REFRESH};
use domain::project::Project;
use domain::resource::text;
use sqlx::Row;
use sqlx::types::Json;

pub use changes::AppChange;

use crate::error::{Error, Result, exactly_one, unless_unique};
use crate::projects;
use crate::scope::{MAX_NAME, TenantScope, reading};

pub(crate) use row::repo_urls;

const COLUMNS: &str =
    "name, uid, generation, resource_version, metadata, spec, operation, status, created_at";

/// A tenant's applications.
#[derive(Clone, Copy, Debug)]
pub struct Applications<'a> {
    pub(crate) scope: &'a TenantScope,
}

impl Applications<'_> {
    /// All of them, by name.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.applications.list", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn list(&self) -> Result<Vec<Application>> {
        let statement = reading(&format!(
            "SELECT {COLUMNS} FROM naru.applications ORDER BY name"
        ));
        let rows = sqlx::query(&statement)
            .bind(self.scope.setting())
            .fetch_all(self.scope.store().pool())
            .await?;
        rows.iter().map(row::application).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.applications.find", skip_all, fields(tenant = %self.scope.tenant(), app = name))]
    pub async fn find(&self, name: &str) -> Result<Option<Application>> {
        let statement = reading(&format!(
            "SELECT {COLUMNS} FROM naru.applications WHERE name = $2"
        ));
        let row = sqlx::query(&statement)
            .bind(self.scope.setting())
            .bind(name)
            .fetch_optional(self.scope.store().pool())
            .await?;
        row.as_ref().map(row::application).transpose()
    }

    /// One of them, and the work item whose holder works on it, where anybody has; together with those that others ask for at
    /// the same time.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.applications.find_at_work", skip_all, fields(tenant = %self.scope.tenant(), app = name))]
    pub async fn find_at_work(&self, name: &str) -> Result<Option<(Application, Option<String>)>> {
        let (store, wanted) = (self.scope.store(), read::AtWork(name.to_owned()));
        let row = crate::together::share(store, self.scope.tenant(), wanted).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((row::application(&row)?, row.try_get("work_item")?)))
    }

    /// One of them and its project, for who may see it: `may` is asked with its spec's project (empty where it names none).
    /// One that is not there and one that may not be seen are both `None`, and take as long: of the latter nothing but its
    /// project's name is read. The project is `None` where there is none of that name. Who may see the project that it was in
    /// last is spared the question for it. What others ask for at the same time is read with it, hence takes as long, too.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.applications.find_for", skip_all, fields(tenant = %self.scope.tenant(), app = name))]
    pub async fn find_for(
        &self,
        name: &str,
        may: impl Fn(&str) -> bool,
    ) -> Result<Option<(Application, Option<Project>)>> {
        let (store, tenant) = (self.scope.store(), self.scope.tenant());
        let seen = &store.inner.seen;
        let mut guess = seen.project(tenant, name);
        // Asked in any case, here as below, so that its time says nothing.
        let allowed = may(guess.as_deref().unwrap_or_default());
        guess = guess.filter(|_| allowed);
        loop {
            let named = match guess.take() {
                Some(named) => named,
                None => {
                    let wanted = read::ProjectOf(name.to_owned());
                    let named = crate::together::share(store, tenant, wanted).await?;
                    let allowed = may(named.as_deref().unwrap_or_default());
                    let Some(named) = named.filter(|_| allowed) else {
                        return Ok(None);
                    };
                    named
                }
            };
            let wanted = read::InProject {
                name: name.to_owned(),
                project: named.clone(),
            };
            // It went in between, or into another project, of which has not been asked.
            let Some(found) = crate::together::share(store, tenant, wanted).await? else {
                seen.note(tenant, name, None);
                continue;
            };
            let app = row::application(&found.app)?;
            let project = found.project.as_deref().map(projects::project);
            seen.note(tenant, name, Some(&named));
            return Ok(Some((app, project.transpose()?)));
        }
    }

    /// Some of them, by name; those that are not there are left out.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.applications.find_many", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn find_many(&self, names: &[String]) -> Result<Vec<Application>> {
        let statement = reading(&format!("{} ORDER BY name", named("$2")));
        let rows = sqlx::query(&statement)
            .bind(self.scope.setting())
            .bind(names)
            .fetch_all(self.scope.store().pool())
            .await?;
        rows.iter().map(row::application).collect()
    }

    /// Makes one from its documents; `metadata` carries its name and a fresh uid. Returns it as stored.
    ///
    /// # Errors
    /// `AlreadyExists` for a name in use, `Invalid` without name or uid.
    #[tracing::instrument(name = "db.applications.create", skip_all, fields(tenant = %self.scope.tenant(), app = app.name()))]
    pub async fn create(&self, app: &Application) -> Result<Application> {
        let (name, uid) = (app.name(), app.uid());
        if name.is_empty() || uid.is_empty() || name.len() > MAX_NAME {
            return Err(Error::invalid(
                "application",
                "metadata.name and metadata.uid are required",
            ));
        }
        let mut tx = self.scope.begin_write().await?;
        let statement = format!(
            "INSERT INTO naru.applications
                 (tenant_id, name, uid, resource_version, refresh_version, metadata, spec, operation, status, repo_urls)
             SELECT naru.current_tenant(), $1, $2, v, CASE WHEN $8 THEN v ELSE 0 END, $3, $4, $5, $6, $7
             FROM naru.touch('app ' || $1) v
             RETURNING {COLUMNS}"
        );
        let row = sqlx::query(&statement)
            .bind(name)
            .bind(uid)
            .bind(Json(row::stored_metadata(&app.metadata)))
            .bind(Json(&app.spec))
            .bind(app.operation.as_ref().map(Json))
            .bind(Json(&app.status))
            .bind(repo_urls(&app.spec))
            .bind(app.annotation(REFRESH).is_some())
            .fetch_one(&mut *tx)
            .await
            .map_err(|error| unless_unique(error, "application", name))?;
        let created = row::application(&row)?;
        tx.commit().await?;
        let project = text(&created.spec, &["project"]);
        let seen = &self.scope.store().inner.seen;
        seen.note(self.scope.tenant(), name, Some(project));
        Ok(created)
    }

    /// Asks for a refresh (`normal` or `hard`). Unlike an [`Applications::update`] that sets the annotation to what it
    /// already was, this is never taken for done by a comparison that began before.
    ///
    /// # Errors
    /// `NotFound` when there is no such application.
    #[tracing::instrument(name = "db.applications.request_refresh", skip_all, fields(tenant = %self.scope.tenant(), app = name))]
    pub async fn request_refresh(&self, name: &str, kind: &str) -> Result<Application> {
        let mut tx = self.scope.begin_write().await?;
        let statement = format!(
            "UPDATE naru.applications a
             SET resource_version = v, refresh_version = v,
                 metadata = a.metadata || jsonb_build_object('annotations',
                     coalesce(a.metadata -> 'annotations', '{{}}') || jsonb_build_object('{REFRESH}', $2::text))
             FROM naru.touch('app ' || $1) v
             WHERE a.name = $1
             RETURNING {COLUMNS}"
        );
        let row = sqlx::query(&statement)
            .bind(name)
            .bind(kind)
            .fetch_optional(&mut *tx)
            .await?
            .ok_or_else(|| Error::not_found("application", name))?;
        let app = row::application(&row)?;
        tx.commit().await?;
        Ok(app)
    }

    /// Deletes one at once, without a look at its finalizers. Returns what it was.
    ///
    /// # Errors
    /// `NotFound` when there is no such application.
    #[tracing::instrument(name = "db.applications.delete", skip_all, fields(tenant = %self.scope.tenant(), app = name))]
    pub async fn delete(&self, name: &str) -> Result<Application> {
        let mut tx = self.scope.begin_write().await?;
        let gone = write::remove(&mut tx, name).await?;
        tx.commit().await?;
        Ok(gone)
    }
}

/// Reads the applications of these names: each by its key, whatever the planner believes of the table. It knows little of one
/// that is young, and would rather read all that the tenant has. How many names there are it is not to see, for it would plan anew
/// each time there are few.
fn named(names: &str) -> String {
    format!(
        "SELECT {COLUMNS} FROM unnest((SELECT {names}::text[])) n (wanted)
         CROSS JOIN LATERAL (SELECT * FROM naru.applications WHERE name = n.wanted LIMIT 1) a"
    )
}

/// The one row of an application that a write must have touched.
fn touched(rows: u64, name: &str) -> Result<()> {
    exactly_one(rows, "application", name)
}
