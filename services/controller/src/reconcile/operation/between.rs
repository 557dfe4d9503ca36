//! An operation that waits for its next try. Beside it its application is compared as any other: what Git says is told, and a refresh is
//! answered. Nothing is written to the cluster.

use std::time::Duration;

use domain::application::REFRESH;
use domain::cause::Cause;
use domain::clock::Timestamp;
use domain::operation::OperationState;
use engine::operation;

use super::ending::{is_superseded, told};
use crate::context::Context;
use crate::memory::{AppMemory, Times};
use crate::reconcile::desire::{self, Desired, Wish};
use crate::reconcile::look::{self, Look};
use crate::reconcile::publish::{self, Report};
use crate::reconcile::subject::Subject;
use crate::reconcile::{Failure, Next, STILL_HELD, at, look_at};
use crate::repos::Trouble;

/// Compares, and leaves the operation as it is until then, where that is known; `closed` says which window keeps back a try whose time
/// has come. One that Git has got something newer for ends: the look that follows decides what comes in its place, as of any new commit.
pub(super) async fn compare(
    ctx: &Context,
    subject: &Subject,
    state: OperationState,
    until: Option<Timestamp>,
    closed: Option<Cause>,
    memory: &mut AppMemory,
) -> Result<Next, Failure> {
    let refresh = subject.app.annotation(REFRESH).map(str::to_owned);
    let hard = refresh.as_deref() == Some("hard");
    let wish = Wish::of_spec(subject, refresh.is_some(), hard);
    let said = desire::desire(ctx, subject, &wish, memory).await;
    let (desired, superseded) = confirmed(ctx, subject, &state, wish, said, memory).await;
    let (look, trouble) = look_at(ctx, subject, desired, memory).await?;
    let report = match &look.desired {
        Ok(desired) if superseded => end(ctx, subject, state, &look, desired, memory),
        _ => {
            let mut next = until.map_or(Next::Sleep, |until| at(ctx, until));
            next = next.sooner(look.again.map_or(Next::Sleep, Next::After));
            // What Git says now could not be asked, or not be rendered, and nothing happens when it can.
            if trouble.is_some() || is_superseded(&state, &look.desired) {
                next = next.sooner(Next::After(STILL_HELD));
            }
            let causes = told(&state, &look, closed);
            Report {
                status: look::status(ctx, subject, &look, causes, refresh.is_some()),
                next,
                ..Report::default()
            }
        }
    };
    let report = Report {
        clear_refresh: refresh,
        finalizers: look::finalizers(subject, &look),
        ..report
    };
    publish::report(
        ctx,
        &subject.key,
        subject.tenant_name(),
        &subject.app,
        report,
    )
    .await
}

/// What Git says, and whether that supersedes the operation. Whoever was in charge before may have known of a newer commit than is
/// known here, so that the repositories are asked before something takes its place; while they do not answer nothing does.
async fn confirmed(
    ctx: &Context,
    subject: &Subject,
    state: &OperationState,
    wish: Wish,
    said: Result<Desired, Trouble>,
    memory: &mut AppMemory,
) -> (Result<Desired, Trouble>, bool) {
    let differs = is_superseded(state, &said);
    if wish.fresh || !differs {
        return (said, differs);
    }
    let wish = Wish {
        fresh: true,
        ..wish
    };
    match desire::desire(ctx, subject, &wish, memory).await {
        Ok(desired) => {
            let desired = Ok(desired);
            let superseded = is_superseded(state, &desired);
            (desired, superseded)
        }
        Err(_) => (said, false),
    }
}

/// The end of an operation that is superseded.
fn end(
    ctx: &Context,
    subject: &Subject,
    mut state: OperationState,
    look: &Look,
    desired: &Desired,
    memory: &mut AppMemory,
) -> Report {
    memory.times = Times::default();
    operation::supersede(&mut state, &desired.revisions, ctx.clock.now());
    tracing::info!(
        revision = desired.revisions.first().map_or("", String::as_str),
        "a sync that waited for its next try is superseded"
    );
    ctx.metrics.synced(
        &subject.key,
        subject.tenant_name(),
        subject.spec.project(),
        state.phase,
        state.operation.sync.dry_run,
    );
    let mut status = look::status(ctx, subject, look, Vec::new(), true);
    let ended = state.operation.clone();
    status.operation = Some(state);
    Report {
        status,
        clear_operation: Some(ended),
        next: Next::After(Duration::ZERO),
        ..Report::default()
    }
}
