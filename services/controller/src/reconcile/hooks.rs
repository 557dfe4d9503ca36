//! Lets go of hooks, and deletes them, as whom their application is written (client required).

use std::sync::Arc;
use std::time::Duration;

use cluster::{DeleteOptions, Index, LiveEntry, PatchKind, WriteOptions};
use domain::cause::Cause;
use domain::clock::Timestamp;
use domain::message;
use domain::operation::OperationState;
use domain::resource::{ResourceKey, annotation};
use domain::status::Status;
use engine::claim::Claimant;
use engine::hooks;
use engine::options::{self, Propagation, Role};
use engine::tree::Checks;
use futures::StreamExt;
use serde_json::{Value, json};

use super::apply::propagated;
use super::writer::Writer;
use super::{Next, STILL_HELD};
use crate::context::Context;

pub mod unwatched;

/// How many hooks of one application are let go at once.
const AT_ONCE: usize = 16;
/// How often a finalizer is taken off anew where somebody else was writing.
const TRIES: usize = 5;
/// The longest that hooks are left alone which the cluster keeps.
const RARELY: Duration = Duration::from_secs(600);
/// What says that it does.
const KEPT: [&message::Code; 2] = [
    &message::sync::HOOK_NOT_STOPPED,
    &message::sync::HOOK_NOT_RELEASED,
];

/// Takes our finalizer off a hook. One that is gone, or has none, is let go already.
///
/// # Errors
/// When nobody may, or the cluster refuses or does not answer.
pub async fn release(
    ctx: &Context,
    writer: &Writer,
    entry: &LiveEntry,
) -> Result<(), cluster::Error> {
    if !hooks::held(&entry.body) {
        return Ok(());
    }
    let account = writer.account(ctx, &entry.key.namespace)?;
    let version = Some(entry.version.as_ref());
    let mut fresh: Option<Value> = None;
    for _ in 0..TRIES {
        let (body, state) = match &fresh {
            Some(body) => (
                body,
                domain::resource::text(body, &["metadata", "resourceVersion"]),
            ),
            None => (entry.body.as_ref(), entry.resource_version.as_ref()),
        };
        if !hooks::held(body) {
            return Ok(());
        }
        // The uid keeps it from an object of that name that came later, the version from what others add meanwhile.
        let uid: &str = entry.uid.as_ref();
        let patch = json!({"metadata": {"uid": uid, "resourceVersion": state,
            "finalizers": hooks::other_finalizers(body)}});
        let patched = account.patch(
            &entry.key,
            version,
            PatchKind::Merge,
            &patch,
            WriteOptions::default(),
        );
        match patched.await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error),
        }
        fresh = account.get(&entry.key, version).await?;
        let same = fresh.as_ref().is_some_and(|body| {
            domain::resource::text(body, &["metadata", "uid"]) == entry.uid.as_ref()
        });
        if !same {
            return Ok(());
        }
    }
    Ok(())
}

/// Deletes a hook's object, whatever it is doing.
///
/// # Errors
/// When nobody may, or the cluster refuses or does not answer.
pub async fn remove(
    ctx: &Context,
    writer: &Writer,
    entry: &LiveEntry,
    propagation: Propagation,
) -> Result<(), cluster::Error> {
    let account = writer.account(ctx, &entry.key.namespace)?;
    let options = DeleteOptions {
        uid: Some(entry.uid.to_string()),
        propagation: propagated(propagation),
        ..DeleteOptions::default()
    };
    let deleted = account
        .delete(&entry.key, Some(&entry.version), &options)
        .await;
    match deleted {
        // Another object of that name in its place is not this one.
        Err(error) if !error.is_conflict() => return Err(error),
        Ok(_) | Err(_) => {}
    }
    // Last, so that it cannot be mistaken for one that somebody keeps.
    release(ctx, writer, entry).await
}

/// Lets go of what an operation left behind that ended, or whose process did, before it could; deletes what runs of one that was
/// stopped, as was to be done then. `last` is the operation on record, and what the tenant's own checks say. Why some could not be:
/// what is in the way may pass without anything happening to the hooks ([`again`]).
pub async fn release_idle(
    ctx: &Context,
    writer: &Writer,
    claimant: Claimant<'_>,
    live: &[Arc<LiveEntry>],
    last: Option<(&OperationState, &Checks)>,
) -> Vec<Cause> {
    let left = live.iter().filter(|entry| {
        hooks::held(&entry.body)
            && options::role(&entry.body) == Role::Hook
            && claimant.may_replace(&entry.body, &entry.key)
    });
    let outlives = |entry: &LiveEntry| {
        last.is_some_and(|(last, checks)| {
            hooks::outlives(&entry.key, &entry.body, last, checks.get(&entry.key))
        })
    };
    let left: Vec<_> = left
        .map(|entry| (entry, outlives(entry)))
        // Where nobody may, whoever asks for more is told why, and that somebody may is heard of. That something runs on is told.
        .filter(|(_, stops)| *stops || writer.nobody().is_none())
        .map(|(entry, stops)| async move {
            let done = match stops {
                true => remove(ctx, writer, entry, Propagation::default()).await,
                false => release(ctx, writer, entry).await,
            };
            let error = done.err()?;
            tracing::warn!(resource = %entry.key, %error, "a hook that was left could not be let go");
            let cause = still_kept(&entry.key, stops).on(entry.key.clone());
            Some(cause.evidence(error.to_string()))
        })
        .collect();
    // Each of them is tried, whatever came of the others.
    futures::stream::iter(left)
        .buffered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await
}

/// The applications of a tenant whose hooks our finalizer keeps, running or not: what one leaves behind that went while its cluster was
/// away, nobody else names.
#[must_use]
pub fn whose(index: &Index, installation: &str) -> Vec<Arc<str>> {
    index.apps_with(installation, |entry| is_kept(&entry.body))
}

/// Whether an object is a hook that we made and our finalizer keeps. Argo CD's has the same name, but its hooks do not say in which
/// run they were made.
fn is_kept(object: &Value) -> bool {
    hooks::held(object)
        && options::role(object) == Role::Hook
        && annotation(object, hooks::RUN).is_some()
}

/// That a hook is kept: one that was to be stopped runs on, of any other nothing is left but our finalizer.
fn still_kept(hook: &ResourceKey, stops: bool) -> Cause {
    match stops {
        true => Cause::error(message::sync::HOOK_NOT_STOPPED.with("resource", hook)),
        false => Cause::warning(message::sync::HOOK_NOT_RELEASED.with("resource", hook)),
    }
}

/// When hooks are tried again that are still kept: after as long as a status says that they have been. Somebody may have given
/// what was missing, and nothing is to be asked every few seconds for days.
#[must_use]
pub fn again(status: &Status, now: Timestamp) -> Next {
    Next::After(status.lasted(&KEPT, now).clamp(STILL_HELD, RARELY))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn only_hooks_that_we_made_are_looked_for() {
        let hook = json!({"metadata": {"finalizers": [hooks::FINALIZER],
            "annotations": {"argocd.argoproj.io/hook": "PreSync", "naru.io/hook-run": "1.0.presync"}}});
        assert!(is_kept(&hook));
        let without = |pointer: &str| {
            let mut hook = hook.clone();
            if let Some(part) = hook.pointer_mut(pointer) {
                *part = Value::Null;
            }
            is_kept(&hook)
        };
        assert!(!without("/metadata/finalizers"), "it is let go");
        assert!(!without("/metadata/annotations/naru.io~1hook-run"));
        assert!(!without("/metadata/annotations/argocd.argoproj.io~1hook"));
    }

    #[test]
    fn a_hook_is_tried_the_rarer_the_longer_it_is_kept() {
        let began = Timestamp::UNIX_EPOCH;
        let mut status = Status::default();
        let after = |status: &Status, seconds| again(status, began + TimeDelta::seconds(seconds));
        assert_eq!(after(&status, 300), Next::After(STILL_HELD), "it is new");
        status.causes = vec![
            Cause::reason(message::sync::OUT_OF_SYNC.message()),
            Cause::warning(message::sync::HOOK_NOT_RELEASED.message()),
        ];
        status.cause_since = vec![began - TimeDelta::hours(1), began];
        assert_eq!(after(&status, 0), Next::After(STILL_HELD));
        let minutes = Duration::from_secs(120);
        assert_eq!(after(&status, 120), Next::After(minutes), "of the hook");
        status.causes[1] = Cause::error(message::sync::HOOK_NOT_STOPPED.message());
        assert_eq!(after(&status, 86_400), Next::After(RARELY));
        assert_eq!(
            after(&status, -5),
            Next::After(STILL_HELD),
            "a clock was set"
        );
    }
}
