//! Reads of one tenant's applications that come at the same time share a statement.
//!
//! Each row goes to whoever asked for it, and is decoded there: a document that cannot be is nobody else's trouble, and large ones
//! do not wait for each other.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use domain::application::project_or_default;
use domain::tenant::TenantId;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::COLUMNS;
use crate::connect::Store;
use crate::error::Result;
use crate::scope::reading;
use crate::together::{Lines, Part};

/// An application of this name, and whose work it is.
pub(crate) struct AtWork(pub(super) String);

impl Part for AtWork {
    type Line = TenantId;
    type Answer = Option<PgRow>;

    const READS: bool = true;

    fn lines(store: &Store) -> &Lines<Self> {
        &store.inner.at_work
    }

    #[tracing::instrument(name = "db.applications.read_at_work", skip_all, fields(%tenant, applications = asked.len()))]
    async fn run(store: &Store, tenant: TenantId, asked: &[Self]) -> Result<Vec<Option<PgRow>>> {
        let names: Vec<&str> = asked.iter().map(|one| one.0.as_str()).collect();
        // Each by its key, as `super::named` has it. The same name may be asked for twice: a row says for which place it is.
        let statement = reading(&format!(
            "SELECT n.place, {COLUMNS}, work_item FROM unnest((SELECT $2::text[])) WITH ORDINALITY n (wanted, place)
             CROSS JOIN LATERAL (SELECT * FROM naru.applications WHERE name = n.wanted LIMIT 1) a"
        ));
        let rows = sqlx::query(&statement)
            .bind(store.tenant(tenant).setting())
            .bind(names)
            .fetch_all(store.pool())
            .await?;
        placed(rows, asked.len())
    }
}

/// In which project the application of this name is, as its spec names it: empty where it names none.
pub(crate) struct ProjectOf(pub(super) String);

impl Part for ProjectOf {
    type Line = TenantId;
    type Answer = Option<String>;

    const READS: bool = true;

    fn lines(store: &Store) -> &Lines<Self> {
        &store.inner.project_of
    }

    #[tracing::instrument(name = "db.applications.read_project_of", skip_all, fields(%tenant, applications = asked.len()))]
    async fn run(store: &Store, tenant: TenantId, asked: &[Self]) -> Result<Vec<Option<String>>> {
        let names: Vec<&str> = asked.iter().map(|one| one.0.as_str()).collect();
        let statement = reading(
            "SELECT n.place, coalesce(a.spec ->> 'project', '') AS project
             FROM unnest((SELECT $2::text[])) WITH ORDINALITY n (wanted, place)
             CROSS JOIN LATERAL (SELECT spec FROM naru.applications WHERE name = n.wanted LIMIT 1) a",
        );
        let rows = sqlx::query(&statement)
            .bind(store.tenant(tenant).setting())
            .bind(names)
            .fetch_all(store.pool())
            .await?;
        let placed = placed(rows, asked.len())?.into_iter();
        placed
            .map(|row| Ok(row.map(|row| row.try_get("project")).transpose()?))
            .collect()
    }
}

/// An application of this name where its spec names this project, and the project.
pub(crate) struct InProject {
    pub(super) name: String,
    pub(super) project: String,
}

/// The rows of an application and its project. A project is one for all its applications that are asked for.
pub(crate) struct Found {
    pub(super) app: PgRow,
    pub(super) project: Option<Arc<PgRow>>,
}

impl Part for InProject {
    type Line = TenantId;
    type Answer = Option<Found>;

    const READS: bool = true;

    fn lines(store: &Store) -> &Lines<Self> {
        &store.inner.in_project
    }

    #[tracing::instrument(name = "db.applications.read_in_project", skip_all, fields(%tenant, applications = asked.len()))]
    async fn run(store: &Store, tenant: TenantId, asked: &[Self]) -> Result<Vec<Option<Found>>> {
        let names: Vec<&str> = asked.iter().map(|one| one.name.as_str()).collect();
        let named: Vec<&str> = asked.iter().map(|one| one.project.as_str()).collect();
        let projects: BTreeSet<&str> = named.iter().copied().map(project_or_default).collect();
        let projects: Vec<&str> = projects.into_iter().collect();
        let statement = reading(&format!(
            "SELECT n.place, false AS is_project, {COLUMNS}
             FROM unnest((SELECT $2::text[]), (SELECT $3::text[])) WITH ORDINALITY n (wanted, named, place)
             CROSS JOIN LATERAL (SELECT * FROM naru.applications
                                 WHERE name = n.wanted AND coalesce(spec ->> 'project', '') = n.named LIMIT 1) a
             UNION ALL
             SELECT 0, true, name, uid, generation, resource_version, metadata, spec, NULL, NULL, created_at
             FROM unnest((SELECT $4::text[])) n (wanted)
             CROSS JOIN LATERAL (SELECT * FROM naru.projects WHERE name = n.wanted LIMIT 1) p"
        ));
        let rows = sqlx::query(&statement)
            .bind(store.tenant(tenant).setting())
            .bind(names)
            .bind(named)
            .bind(projects)
            .fetch_all(store.pool())
            .await?;
        let (mut apps, mut projects) = (Vec::with_capacity(rows.len()), HashMap::new());
        for row in rows {
            if row.try_get("is_project")? {
                projects.insert(row.try_get::<String, _>("name")?, Arc::new(row));
            } else {
                apps.push(row);
            }
        }
        let apps = placed(apps, asked.len())?.into_iter();
        let found = apps.zip(asked).map(|(app, one)| {
            let project = projects.get(project_or_default(&one.project)).cloned();
            app.map(|app| Found { app, project })
        });
        Ok(found.collect())
    }
}

/// Puts rows into the places that they are for, which are counted from one.
fn placed(rows: Vec<PgRow>, places: usize) -> Result<Vec<Option<PgRow>>> {
    let mut placed: Vec<Option<PgRow>> = (0..places).map(|_| None).collect();
    for row in rows {
        let place: i64 = row.try_get("place")?;
        let place = place.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        if let Some(place) = place.and_then(|at| placed.get_mut(at)) {
            *place = Some(row);
        }
    }
    Ok(placed)
}
