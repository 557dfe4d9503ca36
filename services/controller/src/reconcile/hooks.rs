//! Lets go of hooks, and deletes them, as whom their application is written (client required).

use std::sync::Arc;

use cluster::{DeleteOptions, LiveEntry, PatchKind, WriteOptions};
use engine::claim::Claimant;
use engine::hooks;
use engine::options::{self, Propagation, Role};
use futures::StreamExt;
use serde_json::{Value, json};

use super::apply::propagated;
use super::writer::Writer;
use crate::context::Context;

/// How many hooks of one application are let go at once.
const AT_ONCE: usize = 16;
/// How often a finalizer is taken off anew where somebody else was writing.
const TRIES: usize = 5;

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

/// Lets go of what an operation left behind that ended, or whose process did, before it could.
pub async fn release_idle(
    ctx: &Context,
    writer: &Writer,
    claimant: Claimant<'_>,
    live: &[Arc<LiveEntry>],
) {
    if writer.nobody().is_some() {
        // Whoever asks for more is told why.
        return;
    }
    let left = live.iter().filter(|entry| {
        hooks::held(&entry.body)
            && options::role(&entry.body) == Role::Hook
            && claimant.may_replace(&entry.body, &entry.key)
    });
    let releases: Vec<_> = left
        .map(|entry| async move {
            if let Err(error) = release(ctx, writer, entry).await {
                tracing::warn!(resource = %entry.key, %error, "a hook's finalizer could not be taken off");
            }
        })
        .collect();
    futures::stream::iter(releases)
        .buffer_unordered(AT_ONCE)
        .collect::<()>()
        .await;
}
