//! Hooks of kinds that nobody watches, whose operation is over: its record alone tells of them, so that they are asked for (client
//! required).

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::LiveEntry;
use domain::cause::Cause;
use domain::operation::{OperationState, Phase, ResourceResult, ResultCode};
use domain::resource::ResourceKey;
use engine::claim::Claimant;
use engine::hooks;
use engine::operation::was_stopped;
use engine::tree::Checks;
use futures::StreamExt;

use super::{AT_ONCE, release_idle, still_kept};
use crate::context::Context;
use crate::memory::AppMemory;
use crate::reconcile::custom::{Checker, SeenHook};
use crate::reconcile::live::Sight;
use crate::reconcile::subject::Subject;
use crate::reconcile::writer::Writer;
use crate::reconcile::{Next, STILL_HELD};

/// What there is of them.
#[derive(Default)]
struct Seen {
    /// Those that our finalizer keeps.
    held: Vec<Arc<LiveEntry>>,
    /// Why others are not shown: they were made, and may be kept.
    refused: Vec<Cause>,
    /// Whether the cluster did not answer for some.
    open: bool,
}

/// Lets go of those of the last operation as [`release_idle`] does of the others, until nothing is kept. Why some still are, and when
/// to ask again for those of which the cluster did not say.
pub async fn release(
    ctx: &Context,
    subject: &Subject,
    memory: &mut AppMemory,
) -> (Vec<Cause>, Next) {
    let last = subject.app.status.operation.as_ref();
    let Some(last) = last.filter(|last| memory.let_go != Some(last.started_at)) else {
        return (Vec::new(), Next::Sleep);
    };
    let Seen {
        held,
        refused,
        mut open,
    } = look_for(ctx, &subject.writer, last).await;
    if held.is_empty() && refused.is_empty() && !open {
        memory.let_go = Some(last.started_at);
        return (Vec::new(), Next::Sleep);
    }
    let checker = Checker::of(subject, &memory.checked);
    let (mut judged, mut checks) = (Vec::with_capacity(held.len()), Checks::new());
    for entry in held {
        // What runs is deleted where its operation was stopped, and its own check may say whether it does.
        let check = match was_stopped(last) {
            true => checker.verdict(ctx, SeenHook::of(&entry)).await,
            false => Ok(None),
        };
        match check {
            Ok(check) => {
                checks.extend(check.map(|check| (entry.key.clone(), check)));
                judged.push(entry);
            }
            Err(error) => {
                tracing::warn!(resource = %entry.key, %error, "a hook that was left could not be checked");
                open = true;
            }
        }
    }
    let (claimant, last) = (subject.claimant(), Some((last, &checks)));
    let kept = release_idle(ctx, &subject.writer, claimant, &judged, last).await;
    let next = match open {
        true => Next::After(STILL_HELD),
        false => Next::Sleep,
    };
    (refused.into_iter().chain(kept).collect(), next)
}

/// Lets go of those of an operation whose application goes; they run on. Why some are still kept: of what is not shown nobody knows
/// that it is.
pub async fn leave(
    ctx: &Context,
    writer: &Writer,
    claimant: Claimant<'_>,
    last: &OperationState,
) -> Vec<Cause> {
    let seen = look_for(ctx, writer, last).await;
    release_idle(ctx, writer, claimant, &seen.held, None).await
}

/// Whether an operation has made hooks of such kinds.
#[must_use]
pub fn has_any(ctx: &Context, state: &OperationState) -> bool {
    let index = ctx.cluster.index();
    !of(state, |key| index.would_have(key)).is_empty()
}

/// Asks for those of an operation.
async fn look_for(ctx: &Context, writer: &Writer, last: &OperationState) -> Seen {
    let index = ctx.cluster.index();
    let sight = Sight {
        tenant: &writer.tenant,
        kinds: None,
    };
    let mut asked = Vec::new();
    for (key, result) in of(last, |key| index.would_have(key)) {
        if sight.sees(key) {
            asked.push(async move { (result, writer.ask(ctx, key, Some(&result.version)).await) });
        }
    }
    let answers: Vec<_> = futures::stream::iter(asked)
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut seen = Seen::default();
    for (result, answer) in answers {
        match answer {
            Ok(body) => {
                let entry = body.and_then(|body| index.read(&body));
                seen.held
                    .extend(entry.filter(|entry| hooks::held(&entry.body)));
            }
            // With its kind its object is gone.
            Err(cluster::Error::UnknownKind { .. }) => {}
            Err(error) if error.passes() => seen.open = true,
            Err(error) => {
                let stops = was_stopped(last) && result.hook_phase != Phase::Succeeded;
                let cause = still_kept(&result.key, stops).on(result.key.clone());
                seen.refused.push(cause.evidence(error.to_string()));
            }
        }
    }
    seen
}

/// The hooks on record that were made, but for those of kinds that are watched. One of two phases has one object.
fn of(
    state: &OperationState,
    watched: impl Fn(&ResourceKey) -> bool,
) -> BTreeMap<&ResourceKey, &ResourceResult> {
    let results = state.result.iter().flat_map(|result| &result.resources);
    let tried = |result: &ResourceResult| {
        state.operation.sync.dry_run || result.status == Some(ResultCode::SyncFailed)
    };
    let made = results.filter(|result| result.hook && !tried(result) && !watched(&result.key));
    made.map(|result| (&result.key, result)).collect()
}

#[cfg(test)]
mod tests {
    use domain::clock::Timestamp;
    use domain::operation::{Operation, SyncResult};

    use super::*;

    fn hook(kind: &str, name: &str) -> ResourceResult {
        ResourceResult {
            key: ResourceKey {
                kind: kind.into(),
                name: name.into(),
                ..ResourceKey::default()
            },
            version: "v1".into(),
            status: None,
            message: String::new(),
            hook_phase: Phase::Running,
            sync_phase: "PreSync".into(),
            hook: true,
            images: Vec::new(),
        }
    }

    #[test]
    fn hooks_that_were_made_are_asked_for_where_nobody_hears_of_them() {
        let mut state = engine::operation::begin(Operation::default(), Timestamp::UNIX_EPOCH);
        let names = |state: &OperationState| -> Vec<String> {
            let of = of(state, |key| key.kind == "Job");
            of.into_keys().map(|key| key.name.clone()).collect()
        };
        assert!(names(&state).is_empty(), "nothing is on record");
        let refused = ResourceResult {
            status: Some(ResultCode::SyncFailed),
            ..hook("Lease", "refused")
        };
        let ordinary = ResourceResult {
            hook: false,
            ..hook("Lease", "ordinary")
        };
        let later = ResourceResult {
            sync_phase: "PostSync".into(),
            ..hook("Lease", "waits")
        };
        state.result = Some(SyncResult {
            resources: vec![
                hook("Lease", "waits"),
                hook("Job", "watched"),
                refused,
                ordinary,
                later,
            ],
            ..SyncResult::default()
        });
        assert_eq!(names(&state), ["waits"]);
        state.operation.sync.dry_run = true;
        assert!(names(&state).is_empty(), "a trial makes none");
    }
}
