//! Changing an application, and its end.

use std::collections::HashMap;

use domain::application::{Application, REFRESH};
use domain::operation::Operation;
use domain::status::Status;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::types::Json;
use sqlx::{Connection, Executor, PgConnection, Row};
use tokio::time::{Instant, timeout_at};

use super::{Applications, COLUMNS, repo_urls, row, together, touched};
use crate::error::{Code, Error, Result};
use crate::scope::TenantScope;
use crate::transaction::Transaction;

impl Applications<'_> {
    /// Changes one: `change` sees it as it is now, under lock, and decides. With `expected`, only when its resource
    /// version is still that one. Name and uid stay; the generation grows with the spec; a change that changes nothing
    /// writes nothing. When it leaves an application that is being deleted without finalizers, the application goes.
    ///
    /// `change` must not wait for anything: the tenant's other writers wait for it.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` (another version than expected), or what `change` says.
    #[tracing::instrument(name = "db.applications.update", skip_all, fields(tenant = %self.scope.tenant(), app = name))]
    pub async fn update<E, F>(
        &self,
        name: &str,
        expected: Option<i64>,
        change: F,
    ) -> Result<Application, E>
    where
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut Application) -> Result<(), E> + Send + 'static,
    {
        together::change(
            self.scope.store(),
            self.scope.tenant(),
            name,
            expected,
            None,
            change,
        )
        .await
    }

    /// The same for one that has been read, and is handed on as it was read: where its version is still that one it is not read again.
    /// Where it is another `change` sees what it is by now.
    ///
    /// # Errors
    /// `NotFound`, or what `change` says.
    #[tracing::instrument(name = "db.applications.update_read", skip_all, fields(tenant = %self.scope.tenant(), app = read.name()))]
    pub async fn update_read<E, F>(&self, read: Application, change: F) -> Result<Application, E>
    where
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut Application) -> Result<(), E> + Send + 'static,
    {
        let name = read.name().to_owned();
        together::change(
            self.scope.store(),
            self.scope.tenant(),
            &name,
            None,
            Some(read),
            change,
        )
        .await
    }
}

/// Changes that go into one transaction.
pub(super) trait Changes {
    /// The applications they are of, each once.
    fn names(&self) -> Vec<String>;
    /// Those of them that were read before, as they were, by name; given once.
    fn read(&mut self) -> HashMap<String, Application>;
    /// What to write over the current state of the one at that place; nothing when there is nothing to write.
    fn decide(&mut self, at: usize, current: Option<&Application>) -> Option<Application>;
}

/// An application as naru.write_applications takes it.
#[derive(Serialize)]
struct Document<'a> {
    name: &'a str,
    metadata: Value,
    spec: &'a Value,
    operation: Option<&'a Operation>,
    status: &'a Status,
    repo_urls: Vec<String>,
    refresh: bool,
}

impl<'a> Document<'a> {
    /// What is to be written over `before`.
    fn of(next: &'a Application, before: Option<&Application>) -> Self {
        let asked = next.annotation(REFRESH);
        Self {
            name: next.name(),
            metadata: row::stored_metadata(&next.metadata),
            spec: &next.spec,
            operation: next.operation.as_ref(),
            status: &next.status,
            repo_urls: repo_urls(&next.spec),
            refresh: asked.is_some() && asked != before.and_then(|app| app.annotation(REFRESH)),
        }
    }
}

/// Reads applications, each by its key as [`super::named`] has it. Of one whose version is known already, which no two states of a
/// tenant's applications have in common, the documents are left out: they may be large, and somebody has just read them.
const CURRENT: &str = "
    SELECT name, uid, generation, resource_version, created_at,
           CASE WHEN resource_version IS DISTINCT FROM known THEN metadata END AS metadata,
           CASE WHEN resource_version IS DISTINCT FROM known THEN spec END AS spec,
           CASE WHEN resource_version IS DISTINCT FROM known THEN operation END AS operation,
           CASE WHEN resource_version IS DISTINCT FROM known THEN status END AS status
    FROM unnest((SELECT $1::text[]), (SELECT $2::bigint[])) n (wanted, known)
    CROSS JOIN LATERAL (SELECT * FROM naru.applications WHERE name = n.wanted LIMIT 1) a";

/// To where a transaction that several share goes back when one of them is refused. It is set in the round trip that begins the
/// transaction, and ends with it: nobody waits for either.
const SAVEPOINT: &str = "SAVEPOINT before_writes";
const BACK: &str = "ROLLBACK TO SAVEPOINT before_writes";

/// Makes changes in one transaction. Tells what each wrote, in their order; nothing where there was nothing to write. Where that takes
/// too long it is not known whether anything was written.
#[tracing::instrument(name = "db.applications.write", skip_all, fields(tenant = %scope.tenant(), changes = tracing::field::Empty))]
pub(super) async fn all(
    scope: &TenantScope,
    changes: &mut (impl Changes + Send),
) -> Result<Vec<Result<Option<Application>>>> {
    let names = changes.names();
    tracing::Span::current().record("changes", names.len());
    let savepoint = if names.len() > 1 { SAVEPOINT } else { "" };
    let end = Instant::now() + scope.store().inner.longest;
    let begun = timeout_at(end, scope.begin_write_and(savepoint)).await;
    let mut tx = begun.map_err(|_| Error::late())??;
    let Ok(written) = timeout_at(end, write(&mut tx, &names, changes)).await else {
        tx.give_up();
        return Err(Error::late());
    };
    let written = written?;
    if written.iter().any(|outcome| matches!(outcome, Ok(Some(_)))) {
        let committed = timeout_at(end, tx.commit()).await;
        committed.map_err(|_| Error::late())??;
    }
    Ok(written)
}

/// Decides and writes, in a transaction that has begun.
async fn write(
    tx: &mut Transaction,
    names: &[String],
    changes: &mut (impl Changes + Send),
) -> Result<Vec<Result<Option<Application>>>> {
    let several = names.len() > 1;
    let mut read = changes.read();
    let version = |name: &String| read.get(name).map(|app| app.resource_version);
    let versions: Vec<Option<i64>> = names.iter().map(version).collect();
    let rows = sqlx::query(CURRENT)
        .bind(names)
        .bind(versions)
        .fetch_all(&mut **tx)
        .await?;
    let (mut current, mut unreadable) = (HashMap::new(), HashMap::new());
    for row in &rows {
        let (name, version): (String, i64) =
            (row.try_get("name")?, row.try_get("resource_version")?);
        let app = match read.remove(&name) {
            Some(app) if app.resource_version == version => Ok(app),
            _ => row::application(row),
        };
        match app {
            Ok(app) => {
                current.insert(name, app);
            }
            // The trouble of whoever wants to change it, and nobody else's.
            Err(error) => {
                unreadable.insert(name, error);
            }
        }
    }
    let mut written: Vec<Result<Option<Application>>> = names.iter().map(|_| Ok(None)).collect();
    let (mut wanted, mut removed) = (Vec::new(), false);
    for (at, name) in names.iter().enumerate() {
        if let Some(error) = unreadable.remove(name) {
            written[at] = Err(error);
            continue;
        }
        let Some(next) = changes.decide(at, current.get(name)) else {
            continue;
        };
        if next.deleting() && next.finalizers().next().is_none() {
            let gone = remove(tx, name).await?;
            removed = true;
            written[at] = Ok(Some(Application {
                resource_version: gone.resource_version,
                ..next
            }));
            continue;
        }
        wanted.push((at, next));
    }
    if removed && several && !wanted.is_empty() {
        // What goes is not to come back with a write that is refused.
        tx.execute(SAVEPOINT).await?;
    }
    for (at, outcome) in put_each(tx, several, wanted, &current).await? {
        written[at] = outcome.map(Some);
    }
    Ok(written)
}

/// An application as it is to be, and the place of the change that wants it so.
type Wanted = (usize, Application);

/// Writes them, all at once. Where the transaction is `several` changes' and one is refused, which a quota does, each is written by
/// itself: those that are refused are nobody else's trouble. What was decided still holds then, for the tenant's counter stays locked.
async fn put_each(
    tx: &mut Transaction,
    several: bool,
    mut wanted: Vec<Wanted>,
    current: &HashMap<String, Application>,
) -> Result<Vec<(usize, Result<Application>)>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    match put(tx, &mut wanted, current).await {
        Ok(()) => {}
        Err(error) if !several || error.code() == Code::Unavailable => return Err(error),
        Err(_) => {
            tx.execute(BACK).await?;
            return put_one_by_one(tx, wanted, current).await;
        }
    }
    let written = wanted.into_iter().map(|(at, next)| (at, Ok(next)));
    Ok(written.collect())
}

async fn put_one_by_one(
    tx: &mut Transaction,
    wanted: Vec<Wanted>,
    current: &HashMap<String, Application>,
) -> Result<Vec<(usize, Result<Application>)>> {
    let mut written = Vec::with_capacity(wanted.len());
    for mut one in wanted {
        let mut part = tx.begin().await?;
        let outcome = put(&mut part, std::slice::from_mut(&mut one), current).await;
        let (at, next) = one;
        match outcome {
            Ok(()) => {
                part.commit().await?;
                written.push((at, Ok(next)));
            }
            Err(error) if error.code() == Code::Unavailable => return Err(error),
            Err(error) => {
                part.rollback().await?;
                written.push((at, Err(error)));
            }
        }
    }
    Ok(written)
}

/// Writes them in one statement. Each is then as it is stored: what was sent is not read again, the database adds no more than
/// its version, its generation and when it was made.
async fn put(
    connection: &mut PgConnection,
    wanted: &mut [Wanted],
    current: &HashMap<String, Application>,
) -> Result<()> {
    let documents: Vec<Document<'_>> = wanted
        .iter()
        .map(|(_, next)| Document::of(next, current.get(next.name())))
        .collect();
    let rows = sqlx::query(
        "SELECT name, uid, generation, resource_version, created_at FROM naru.write_applications($1)",
    )
    .bind(Json(&documents))
    .fetch_all(connection)
    .await?;
    let mut added = HashMap::with_capacity(rows.len());
    for row in rows {
        added.insert(row.try_get::<String, _>("name")?, row);
    }
    for (_, next) in wanted {
        let row = added
            .remove(next.name())
            .ok_or_else(|| Error::not_found("application", next.name()))?;
        next.resource_version = row.try_get("resource_version")?;
        row::fill_in(&mut next.metadata, &row, next.resource_version)?;
    }
    Ok(())
}

/// Whether `next` differs from `current`. Name and uid are put right; without a difference so is the version.
///
/// # Errors
/// When it cannot be stored: found out here, since the database would refuse with it all that share its statement.
pub(super) fn checked(current: &Application, next: &mut Application) -> Result<bool> {
    let Some(fields) = next.metadata.as_object_mut() else {
        return Err(Error::invalid("application", "metadata must be an object"));
    };
    fields.insert("name".into(), current.name().into());
    fields.insert("uid".into(), current.uid().into());
    let same = row::stored_metadata(&next.metadata) == row::stored_metadata(&current.metadata)
        && next.spec == current.spec
        && next.operation == current.operation
        && next.status == current.status;
    if same {
        next.metadata = current.metadata.clone();
        next.resource_version = current.resource_version;
    } else if brings_nul(&current.metadata, &next.metadata)
        || brings_nul(&current.spec, &next.spec)
        || brings_nul(&current.operation, &next.operation)
        || brings_nul(&current.status, &next.status)
    {
        return Err(Error::invalid("text", "it holds a NUL"));
    }
    Ok(!same)
}

/// Whether a change brings a NUL along. What stays as it was is stored already.
fn brings_nul<T: PartialEq + Serialize>(before: &T, after: &T) -> bool {
    before != after && has_nul(after)
}

/// Whether a text in it holds a NUL, which PostgreSQL cannot store. In JSON that is written as hardly anything else is: only what
/// has it is taken apart, while the tenant's other writers wait.
fn has_nul(value: &impl Serialize) -> bool {
    let written = serde_json::to_string(value).unwrap_or_default();
    written.contains("\\u0000") && holds_nul(&json!(value))
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Deletes the row and remembers it for those who watch.
pub(super) async fn remove(tx: &mut Transaction, name: &str) -> Result<Application> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_found_wherever_it_is_and_its_name_is_none() {
        for with in [
            json!("a\0"),
            json!({"a\0": 1}),
            json!([{"a": ["\\u0000", "\0"]}]),
            json!("\\\0"),
        ] {
            assert!(has_nul(&with), "{with}");
        }
        for without in [
            json!("\\u0000"),
            json!({"\\\\u0000": [0, null, "0"]}),
            json!("\u{1}"),
        ] {
            assert!(!has_nul(&without), "{without}");
        }
    }
}
