//! Hands a result to the batching writer, if it says anything new (client required).

use std::time::Duration;

use domain::application::{Application, FinalizerChange, HistoryEntry};
use domain::operation::Operation;
use domain::status::Status;
use store::{SealedSet, StatusWrite, Verdict};

use super::{Failure, Next};
use crate::context::Context;
use crate::driver::queue::AppKey;

/// What a look came to.
#[derive(Debug)]
pub struct Report {
    /// The status as it is now.
    pub status: Status,
    /// The refresh that this answers.
    pub clear_refresh: Option<String>,
    /// The operation that this ends; the row must not ask for another one.
    pub clear_operation: Option<Operation>,
    /// The operation that this begins of itself.
    pub set_operation: Option<Operation>,
    /// What was deployed.
    pub history: Option<HistoryEntry>,
    /// The manifest set that is to be kept with it.
    pub set: Option<SealedSet>,
    /// Whether the row goes.
    pub remove: bool,
    /// The finalizers that it gets and loses.
    pub finalizers: FinalizerChange,
    /// When to look again.
    pub next: Next,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            status: Status::default(),
            clear_refresh: None,
            clear_operation: None,
            set_operation: None,
            history: None,
            set: None,
            remove: false,
            finalizers: FinalizerChange::default(),
            next: Next::Sleep,
        }
    }
}

/// Writes a result and says when to look again. Nothing is written when nothing changed.
///
/// # Errors
/// When it was not written.
#[tracing::instrument(name = "publish", skip_all)]
pub async fn report(
    ctx: &Context,
    key: &AppKey,
    tenant: &str,
    app: &Application,
    report: Report,
) -> Result<Next, Failure> {
    show(ctx, key, tenant, app, &report);
    let next = report.next;
    let Some(write) = write(key, app, report) else {
        return Ok(next);
    };
    let outcome = ctx.publisher.write(write).await?;
    Ok(match outcome.verdict {
        Verdict::Written | Verdict::Unchanged | Verdict::Removed | Verdict::Gone => next,
        // Somebody wrote what this result did not know.
        Verdict::Superseded => Next::After(Duration::ZERO),
    })
}

/// Hands in that an operation goes on, without waiting: its end, if it comes soon, is written with it.
pub fn progress(ctx: &Context, key: &AppKey, tenant: &str, app: &Application, report: Report) {
    show(ctx, key, tenant, app, &report);
    if let Some(write) = write(key, app, report) {
        drop(ctx.publisher.post(write));
    }
}

/// Hands in that an operation that somebody asked for has begun. Who watches hears of it in a moment, or of its end where that
/// comes before, which is then one write instead of two.
///
/// Until then the row says that the operation is asked for: a successor begins it again. What must not be done twice waits
/// until it is on record.
pub fn begun(ctx: &Context, key: &AppKey, tenant: &str, app: &Application, report: Report) {
    show(ctx, key, tenant, app, &report);
    if let Some(write) = write(key, app, report) {
        ctx.publisher.begun(write);
    }
}

fn show(ctx: &Context, key: &AppKey, tenant: &str, app: &Application, report: &Report) {
    let allowed = ctx.tenants.objects_allowed(key.tenant);
    let now = (&report.status, operates(app, report));
    ctx.metrics.show(key, tenant, app, now, allowed);
}

/// Whether an application has an operation once this is written. Of one that has ended there may be no further look for long.
fn operates(app: &Application, report: &Report) -> bool {
    report.clear_operation.is_none() && (app.operation.is_some() || report.set_operation.is_some())
}

fn write(key: &AppKey, app: &Application, report: Report) -> Option<StatusWrite> {
    let Report {
        status,
        clear_refresh,
        clear_operation,
        set_operation,
        history,
        set,
        remove,
        finalizers,
        next: _,
    } = report;
    let asks = clear_refresh.is_some()
        || clear_operation.is_some()
        || set_operation.is_some()
        || !finalizers.is_empty();
    let kept = history.is_some() || set.is_some();
    if status == app.status && !asks && !kept && !remove {
        return None;
    }
    let ends = clear_operation.is_some();
    // The end of an operation is recorded whatever became of the spec meanwhile; a mere comparison is of one spec.
    let of_generation = (!ends && set_operation.is_none() && !remove)
        .then(|| generation(app))
        .flatten();
    Some(StatusWrite {
        expect_generation: of_generation,
        clear_operation: ends,
        // Given with the end too, so that another operation asked for meanwhile is not taken for this one.
        set_operation: clear_operation.or(set_operation),
        clear_refresh,
        history,
        set,
        remove,
        finalizers,
        ..StatusWrite::status(key.tenant, app, status)
    })
}

/// Of which generation the spec is, where the row says so.
pub(super) fn generation(app: &Application) -> Option<i64> {
    app.metadata.get("generation")?.as_i64()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_operation_is_over_with_the_report_that_ends_it_and_there_with_the_one_that_begins_it() {
        let app = |operation| Application {
            metadata: json!({"name": "a"}),
            spec: json!({}),
            operation,
            status: Status::default(),
            resource_version: 1,
        };
        let (asked, quiet) = (app(Some(Operation::default())), app(None));
        let compared = Report::default();
        assert!(operates(&asked, &compared) && !operates(&quiet, &compared));
        let ends = Report {
            clear_operation: Some(Operation::default()),
            ..Report::default()
        };
        assert!(!operates(&asked, &ends));
        let begins = Report {
            set_operation: Some(Operation::default()),
            ..Report::default()
        };
        assert!(operates(&quiet, &begins));
    }
}
