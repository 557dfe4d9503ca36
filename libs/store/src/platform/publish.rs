//! The controller's results, written in batches under its lease's fence.

use std::collections::HashSet;

use domain::application::{FinalizerChange, HistoryEntry};
use domain::operation::Operation;
use domain::status::Status;
use domain::tenant::TenantId;
use serde::Serialize;
use sqlx::types::Json;

use super::PlatformScope;
use super::leases::passed_on;
use crate::error::{Error, Result};
use crate::manifest_sets::SealedSet;

/// One application's result.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusWrite {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub app: String,
    /// Which of that name: an application that was made anew is another one.
    pub uid: String,
    /// What the controller says of it now. What is on record of an operation that it did not know of stays, and so does a wish to
    /// stop one: `migrations/0029_wishes_kept.sql` says who may write over whom.
    pub status: Status,
    /// The resource version at which the controller looked at the row; a refresh asked for later stays asked for.
    pub observed_version: i64,
    /// Write only while the spec is of this generation.
    pub expect_generation: Option<i64>,
    /// Whether the operation is done with.
    pub clear_operation: bool,
    /// An operation that the controller asks for itself; refused when there is another.
    pub set_operation: Option<Operation>,
    /// The refresh annotation that was seen and is done with; one that was set anew meanwhile stays.
    pub clear_refresh: Option<String>,
    /// What was deployed.
    pub history: Option<HistoryEntry>,
    /// The manifest set of that: it is kept with the result, also where that is superseded.
    pub set: Option<SealedSet>,
    /// Whether its deletion is finished: the row goes.
    pub remove: bool,
    /// The finalizers that it gets and loses.
    pub finalizers: FinalizerChange,
}

impl StatusWrite {
    /// A write of a status and nothing else.
    #[must_use]
    pub fn status(
        tenant: TenantId,
        app: &domain::application::Application,
        status: Status,
    ) -> Self {
        Self {
            tenant,
            app: app.name().to_owned(),
            uid: app.uid().to_owned(),
            status,
            observed_version: app.resource_version,
            expect_generation: None,
            clear_operation: false,
            set_operation: None,
            clear_refresh: None,
            history: None,
            set: None,
            remove: false,
            finalizers: FinalizerChange::default(),
        }
    }
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The row is written.
    Written,
    /// The row said so already.
    Unchanged,
    /// Somebody wrote meanwhile what the result did not know, or it is another lease's work now; nothing was written, look
    /// again.
    Superseded,
    /// The row is gone, as asked.
    Removed,
    /// There is no such application any more; nothing was written.
    Gone,
}

/// What became of a write, and the row's version after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishOutcome {
    /// What became of it.
    pub verdict: Verdict,
    /// The row's version now; `None` when it was gone before.
    pub resource_version: Option<i64>,
}

/// A [`StatusWrite`] as the schema's function reads it. Absent fields read as null there.
#[derive(Serialize)]
struct Row<'a> {
    tenant: TenantId,
    name: &'a str,
    uid: &'a str,
    status: &'a Status,
    observed: i64,
    generation: Option<i64>,
    clear_operation: bool,
    set_operation: Option<&'a Operation>,
    clear_refresh: Option<&'a str>,
    history: Option<&'a HistoryEntry>,
    remove: bool,
    add_finalizers: &'a [String],
    remove_finalizers: &'a [String],
}

impl<'a> From<&'a StatusWrite> for Row<'a> {
    fn from(write: &'a StatusWrite) -> Self {
        let StatusWrite {
            tenant,
            app,
            uid,
            status,
            observed_version,
            expect_generation,
            clear_operation,
            set_operation,
            clear_refresh,
            history,
            // It goes as it is, beside the rows.
            set: _,
            remove,
            finalizers,
        } = write;
        Self {
            tenant: *tenant,
            name: app,
            uid,
            status,
            observed: *observed_version,
            generation: *expect_generation,
            clear_operation: *clear_operation,
            set_operation: set_operation.as_ref(),
            clear_refresh: clear_refresh.as_deref(),
            history: history.as_ref(),
            remove: *remove,
            add_finalizers: &finalizers.add,
            remove_finalizers: &finalizers.remove,
        }
    }
}

impl PlatformScope {
    /// Writes a batch under a lease: one statement, one transaction, one outcome per write in their order. An
    /// application may occur once. A batch whose answer was lost may be sent again.
    ///
    /// # Errors
    /// `Stale` when the lease has passed on, `Invalid` for an application that occurs twice, `Conflict` when the key that a set is
    /// sealed under was dropped; nothing is written then.
    #[tracing::instrument(name = "db.platform.publish", skip_all, fields(item = item, writes = batch.len()))]
    pub async fn publish(
        &self,
        batch: &[StatusWrite],
        item: &str,
        fence: i64,
    ) -> Result<Vec<PublishOutcome>> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let mut seen = HashSet::with_capacity(batch.len());
        if let Some(twice) = batch
            .iter()
            .find(|write| !seen.insert((write.tenant, write.app.as_str())))
        {
            return Err(Error::invalid(
                "batch",
                format!("application `{}` occurs twice", twice.app),
            ));
        }
        let rows: Vec<Row<'_>> = batch.iter().map(Row::from).collect();
        let sets: Vec<(i64, &SealedSet)> = (1..)
            .zip(batch)
            .filter_map(|(place, write)| Some((place, write.set.as_ref()?)))
            .collect();
        let places: Vec<i64> = sets.iter().map(|(place, _)| *place).collect();
        let hashes: Vec<&str> = sets.iter().map(|(_, set)| set.hash.as_str()).collect();
        let sealed: Vec<&[u8]> = sets.iter().map(|(_, set)| set.sealed.as_slice()).collect();
        let outcomes: Vec<(String, Option<i64>)> =
            sqlx::query_as("SELECT outcome, version FROM naru.publish($1, $2, $3, $4, $5, $6)")
                .bind(item)
                .bind(fence)
                .bind(Json(rows))
                .bind(places)
                .bind(hashes)
                .bind(sealed)
                .fetch_all(self.store.pool())
                .await
                .map_err(|error| passed_on(error, item, fence))?;
        if outcomes.len() != batch.len() {
            return Err(Error::invalid(
                "batch",
                format!("{} outcomes for {} writes", outcomes.len(), batch.len()),
            ));
        }
        outcomes
            .into_iter()
            .map(|(outcome, resource_version)| {
                Ok(PublishOutcome {
                    verdict: verdict(&outcome)?,
                    resource_version,
                })
            })
            .collect()
    }
}

fn verdict(outcome: &str) -> Result<Verdict> {
    Ok(match outcome {
        "written" => Verdict::Written,
        "unchanged" => Verdict::Unchanged,
        "superseded" => Verdict::Superseded,
        "removed" => Verdict::Removed,
        "gone" => Verdict::Gone,
        other => {
            return Err(Error::invalid(
                "batch",
                format!("unknown outcome `{other}`"),
            ));
        }
    })
}
