//! Carries out the steps of a plan, as whom the application is synced, and records what became of each (client required).
//!
//! It decides nothing: what to do, in which order and what may run side by side is in the plan.

use std::time::Duration;

use cluster::{
    Account, ApplyOptions, DeleteOptions, Deletion, LiveEntry, Validation, WriteOptions,
};
use domain::cause::Cause;
use domain::clock::Timestamp;
use domain::denial::Denial;
use domain::message;
use domain::operation::{ResourceResult, ResultCode};
use domain::resource::{ResourceKey, is_leaving, text};
use engine::options::Propagation;
use engine::plan::pace::named;
use engine::plan::{Action, How, Plan, Step, dispensable};
use futures::StreamExt;
use serde_json::Value;

use super::live::LiveSet;
use super::subject::Subject;
use crate::context::Context;

mod anew;
mod definitions;
mod leaving;
mod namespace;
mod results;

use anew::{as_it_was, needs_another, recreate};
use definitions::{established, is_served};
use leaving::{is_let_go, takes_no_finalizer};
pub use leaving::{kept, lingers};
use results::kubectl_name;
pub use results::{given_up, images, made, result};

/// How many requests of one application are under way at once.
const AT_ONCE: usize = 16;
/// How soon what is waited for is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What became of a wave.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What became of each object.
    pub results: Vec<ResourceResult>,
    /// Why some could not be done.
    pub causes: Vec<Cause>,
    /// The cluster does not answer, or is not ours any more: the rest was not tried, and must be.
    pub interrupted: Option<cluster::Error>,
    /// The objects whose writes the cluster did not finish in time, where that is why.
    pub unfinished: Vec<ResourceKey>,
    /// Objects that are made when what is there of them is gone: they are made anew, or were on their way out when they were
    /// applied. Nothing has become of them yet.
    pub going: Vec<ResourceKey>,
    /// Whether a namespace was made, so that the tenant's territory has changed.
    pub namespace_made: bool,
}

impl Outcome {
    /// Notes that a step has failed, in which words and why.
    fn failed(&mut self, step: &Step, words: String, cause: Cause, dry_run: bool) {
        let failed = result(step, ResultCode::SyncFailed, words, dry_run);
        self.results.push(failed);
        self.causes.push(cause);
    }
}

/// Carries out one wave. What was made anew since the attempt began is not made anew once more. What goes into the namespace
/// that whoever syncs makes where it is not there, if there is one, waits for one of that name that is on its way out.
#[tracing::instrument(name = "apply", skip_all, fields(objects = steps.len(), dry_run))]
pub async fn wave(
    ctx: &Context,
    subject: &Subject,
    steps: &[Step],
    dry_run: bool,
    began: Timestamp,
    makes: Option<&str>,
    live: &mut LiveSet,
) -> Outcome {
    let mut outcome = Outcome::default();
    for batch in Plan::batches(steps) {
        let mut executions = Vec::with_capacity(batch.len());
        for step in batch {
            let body = live.body(&step.key).filter(|_| dry_run);
            let before = live.find(&step.key);
            let before = before.map(|entry| Before::of(entry, body, began));
            executions.push(execute(ctx, subject, step, before, dry_run));
        }
        // In order, so that results read as the plan does.
        let done: Vec<Result<Done, Refused>> = futures::stream::iter(executions)
            .buffered(AT_ONCE)
            .collect()
            .await;
        let makes = makes.filter(|_| !dry_run);
        let done = forbidden_for_now(ctx, subject, batch, done, makes).await;
        let mut definitions = Vec::new();
        let mut prune_failed = false;
        for (step, done) in batch.iter().zip(done) {
            match done {
                Ok(done) => {
                    outcome.namespace_made |=
                        matches!(step.action, Action::CreateNamespace { .. }) && !dry_run;
                    outcome
                        .results
                        .push(result(step, done.code, done.words, dry_run));
                    match done.object {
                        Some(object) if !dry_run => {
                            if step.key.kind == "CustomResourceDefinition" && is_served(&object) {
                                definitions.push(step.key.clone());
                            }
                            live.take_in(ctx, step.key.clone(), object).await;
                        }
                        _ if done.gone && !dry_run => live.remove(&step.key),
                        _ => {}
                    }
                }
                Err(Refused::ByCluster(error)) if passes(&error) => {
                    if is_late(&error) {
                        outcome.unfinished.push(step.key.clone());
                    }
                    outcome.interrupted = Some(error);
                }
                Err(Refused::StillThere) => outcome.going.push(step.key.clone()),
                Err(Refused::Leaving(object)) => {
                    let stays = lingers(&object, ctx.clock.now()) && !is_let_go(&object);
                    if step.hook.is_none() && stays {
                        // Somebody keeps it, and nothing else would be deployed as long as that is waited for.
                        let cause = Cause::error(kept(&step.key, &object));
                        let words = cause.message.to_string();
                        outcome.failed(step, words, cause.on(step.key.clone()), dry_run);
                    } else {
                        outcome.going.push(step.key.clone());
                    }
                    live.take_in(ctx, step.key.clone(), object).await;
                }
                Err(Refused::NamespaceLeaving(object)) => {
                    let key = ResourceKey::of(&object);
                    if lingers(&object, ctx.clock.now()) {
                        let cause = namespace::stays(&object);
                        let words = cause.message.to_string();
                        outcome.failed(step, words, cause.on(step.key.clone()), dry_run);
                    } else if !outcome.going.contains(&key) {
                        outcome.going.push(key);
                    }
                }
                Err(refused) => {
                    prune_failed |= matches!(step.action, Action::Prune { .. });
                    let (words, cause) = refused.explain(step, subject);
                    outcome.failed(step, words, cause, dry_run);
                }
            }
        }
        // In a namespace that goes, and of a kind that does, nothing is made.
        let goes = outcome.going.iter().any(|key| !dispensable(key));
        if outcome.interrupted.is_some() || prune_failed || goes {
            return outcome;
        }
        if !definitions.is_empty() {
            established(ctx, &definitions).await;
        }
    }
    outcome
}

/// What became of a batch, where the cluster forbids some of it in the namespace that is made: one that is on its way out is what
/// they wait for. It is asked for once, however many there are.
async fn forbidden_for_now(
    ctx: &Context,
    subject: &Subject,
    batch: &[Step],
    done: Vec<Result<Done, Refused>>,
    makes: Option<&str>,
) -> Vec<Result<Done, Refused>> {
    let Some(makes) = makes else {
        return done;
    };
    let forbidden = |step: &Step, done: &Result<Done, Refused>| {
        matches!(done, Err(Refused::ByCluster(error)) if error.is_forbidden())
            && namespace::is_in(step, makes)
    };
    let mut all = batch.iter().zip(&done);
    if !all.any(|(step, done)| forbidden(step, done)) {
        return done;
    }
    let leaving = namespace::leaving(ctx, subject, makes).await;
    let judged = |(step, done): (&Step, Result<Done, Refused>)| match &leaving {
        _ if !forbidden(step, &done) => done,
        Ok(Some(object)) => Err(Refused::NamespaceLeaving(object.clone())),
        Ok(None) => done,
        Err(unread) => Err(unread.clone().into()),
    };
    batch.iter().zip(done).map(judged).collect()
}

/// Whether what went wrong is no word on the object: the same request may succeed later, here or elsewhere.
#[must_use]
pub fn passes(error: &cluster::Error) -> bool {
    (error.is_transient() && !is_word_on_object(error))
        || matches!(error, cluster::Error::NotHolder)
}

/// Whether a failure of the cluster's own, as its code has it, is about the object: it is larger than the cluster keeps, or
/// a webhook that is asked about it does not answer. To try again without a word would not help.
fn is_word_on_object(error: &cluster::Error) -> bool {
    let webhook = |words: &str| matches!(Denial::read(words), Some(Denial::WebhookFailed(_)));
    is_too_large(error) || error.refusal().is_some_and(|no| webhook(&no.message))
}

/// Whether the object is larger than the cluster takes or keeps.
fn is_too_large(error: &cluster::Error) -> bool {
    const SAID: [&str; 3] = [
        "Request entity too large",
        "etcdserver: request is too large",
        "trying to send message larger than max",
    ];
    let words = error.refusal().map_or("", |no| no.message.as_str());
    error.code() == Some(413) || SAID.iter().any(|said| words.contains(said))
}

/// Whether the cluster did not finish in time. It may have done what was asked, or do it yet.
#[must_use]
pub fn is_late(error: &cluster::Error) -> bool {
    matches!(error, cluster::Error::TimedOut { .. }) || error.code() == Some(504)
}

/// A step that went well.
struct Done {
    code: ResultCode,
    words: String,
    /// The object as the cluster has it now.
    object: Option<Value>,
    /// Whether it is gone now.
    gone: bool,
}

impl Done {
    fn said(code: ResultCode, words: impl Into<String>) -> Self {
        Self {
            code,
            words: words.into(),
            object: None,
            gone: false,
        }
    }
}

/// A step that did not.
enum Refused {
    ByCluster(cluster::Error),
    ByUs(Cause),
    /// What it makes anew is not gone yet.
    StillThere,
    /// What was applied to an object on its way out, as it was answered: it will be gone, and no hook runs there.
    Leaving(Value),
    /// The namespace that it goes into, which is on its way out and will be made again.
    NamespaceLeaving(Value),
}

/// What is there of an object when its step begins.
struct Before {
    uid: String,
    resource_version: String,
    /// What is in it, where it is asked what would become of it: a trial leaves the version as it is, whatever it would
    /// change. Of an object that differs from what is wanted the body was fetched.
    content: Option<[u8; 32]>,
    /// Whether it was made since the attempt began.
    fresh: bool,
}

impl Before {
    fn of(entry: &LiveEntry, body: Option<&Value>, began: Timestamp) -> Self {
        Self {
            uid: entry.uid.to_string(),
            resource_version: entry.resource_version.to_string(),
            content: body.map(content),
            fresh: entry.created_at.is_some_and(|made| is_fresh(made, began)),
        }
    }

    /// Whether an object is still what it was.
    fn is_still(&self, object: &Value) -> bool {
        self.resource_version == text(object, &["metadata", "resourceVersion"])
            && self.content.is_none_or(|was| was == content(object))
    }
}

/// Names what is in an object, less what only the cluster says of it.
fn content(object: &Value) -> [u8; 32] {
    engine::canonical::hash(&as_it_was(object.clone()))
}

/// Whether an object was made since an attempt began. The cluster says in which second, so that one which was made in the
/// very second of the beginning is taken for older, and at worst made anew once more.
fn is_fresh(made: Timestamp, began: Timestamp) -> bool {
    made > began
}

impl From<cluster::Error> for Refused {
    fn from(error: cluster::Error) -> Self {
        Self::ByCluster(error)
    }
}

impl Refused {
    fn explain(self, step: &Step, subject: &Subject) -> (String, Cause) {
        match self {
            Self::ByCluster(error) if is_too_large(&error) => {
                let cause = Cause::error(message::cluster::TOO_LARGE.message());
                let cause = cause.on(step.key.clone()).evidence(error.to_string());
                (cause.message.to_string(), cause)
            }
            Self::ByCluster(error) => {
                let words = error
                    .refusal()
                    .map_or_else(|| error.to_string(), |refusal| refusal.message.clone());
                (words, subject.writer.cause(&error).on(step.key.clone()))
            }
            Self::ByUs(cause) => (cause.message.to_string(), cause.on(step.key.clone())),
            Self::StillThere | Self::Leaving(_) | Self::NamespaceLeaving(_) => {
                let message = message::sync::WAITING_DELETION.with("resource", named(&step.key));
                let cause = Cause::reason(message).on(step.key.clone());
                (cause.message.to_string(), cause)
            }
        }
    }
}

#[tracing::instrument(
    name = "apply.object",
    skip_all,
    fields(kind = step.key.kind, namespace = step.key.namespace, name = step.key.name)
)]
async fn execute(
    ctx: &Context,
    subject: &Subject,
    step: &Step,
    before: Option<Before>,
    dry_run: bool,
) -> Result<Done, Refused> {
    match &step.action {
        Action::CreateNamespace { object } => {
            namespace::create(ctx, subject, &step.key.name, object, dry_run).await
        }
        Action::Apply {
            object,
            hash: _,
            how,
            exists: _,
        } => apply(ctx, subject, step, object, *how, before.as_ref(), dry_run).await,
        Action::Prune { uid, propagation } => {
            prune(ctx, subject, step, uid, *propagation, dry_run).await
        }
        Action::Keep(kept) => Ok(Done::said(ResultCode::PruneSkipped, kept.as_str())),
    }
}

async fn apply(
    ctx: &Context,
    subject: &Subject,
    step: &Step,
    object: &Value,
    how: How,
    before: Option<&Before>,
    dry_run: bool,
) -> Result<Done, Refused> {
    let account = subject.writer.account(ctx, &step.key.namespace)?;
    let validation = if how.validate {
        Validation::Warn
    } else {
        Validation::Ignore
    };
    let write = WriteOptions {
        dry_run,
        validation,
        ..WriteOptions::default()
    };
    let forces = how.force && !dry_run && dispensable(&step.key);
    let (object, created) = if how.replace {
        let anew = forces && before.is_some_and(|before| !before.fresh);
        let replaced = match anew {
            true => Err(None),
            false => account.replace(object, write).await.map_err(Some),
        };
        match replaced {
            Ok(object) => (object, before.is_none()),
            Err(Some(error)) if !(forces && needs_another(&error)) => {
                return Err(refused(&account, step, error, dry_run).await);
            }
            Err(_) => (
                recreate(&account, step, before, object, write).await?,
                false,
            ),
        }
    } else {
        let mut options = ApplyOptions {
            dry_run,
            validation,
            client_side: !how.server_side,
            ..ApplyOptions::default()
        };
        match subject.migrates_from() {
            _ if !how.migrate => options.migrate_from = None,
            Some(manager) => options.migrate_from = Some(manager.to_owned()),
            None => {}
        }
        match account.apply(object, &options).await {
            Ok(applied) => {
                for conflict in &applied.conflicts {
                    tracing::info!(resource = %step.key, field = conflict.field, "a field was taken from another manager");
                }
                (applied.object, applied.created)
            }
            Err(error) if forces && needs_another(&error) => (
                recreate(&account, step, before, object, write).await?,
                false,
            ),
            Err(error) => return Err(refused(&account, step, error, dry_run).await),
        }
    };
    if !dry_run && is_leaving(&object) {
        return Err(Refused::Leaving(object));
    }
    let unchanged = before.is_some_and(|before| before.is_still(&object));
    let word = match (created, unchanged) {
        (true, _) => "created",
        (false, true) => "unchanged",
        (false, false) => "configured",
    };
    let words = format!("{} {word}", kubectl_name(&step.key));
    Ok(Done {
        code: ResultCode::Synced,
        words,
        object: Some(object),
        gone: false,
    })
}

/// What a no to an object means. One that was deleted since it was looked at takes no finalizer more, a hook's for one: it is
/// on its way out as if its apply had been answered with that.
async fn refused(account: &Account, step: &Step, error: cluster::Error, dry_run: bool) -> Refused {
    if dry_run || !takes_no_finalizer(&error) {
        return error.into();
    }
    match account.get(&step.key, Some(&step.version)).await {
        Ok(Some(object)) if is_leaving(&object) => Refused::Leaving(object),
        // It is gone, or another has come in its place: the next look finds that.
        Ok(_) => Refused::StillThere,
        Err(unread) if passes(&unread) => unread.into(),
        Err(_) => error.into(),
    }
}

async fn prune(
    ctx: &Context,
    subject: &Subject,
    step: &Step,
    uid: &str,
    propagation: Propagation,
    dry_run: bool,
) -> Result<Done, Refused> {
    let account = subject.writer.account(ctx, &step.key.namespace)?;
    let options = DeleteOptions {
        uid: Some(uid.to_owned()),
        resource_version: None,
        propagation: propagated(propagation),
        grace_seconds: None,
        dry_run,
    };
    let deletion = account
        .delete(&step.key, Some(&step.version), &options)
        .await?;
    let words = if dry_run {
        "pruned (dry run)"
    } else {
        "pruned"
    };
    Ok(Done {
        gone: deletion != Deletion::Waiting,
        ..Done::said(ResultCode::Pruned, words)
    })
}

/// The cluster's word for it.
#[must_use]
pub fn propagated(propagation: Propagation) -> cluster::Propagation {
    match propagation {
        Propagation::Foreground => cluster::Propagation::Foreground,
        Propagation::Background => cluster::Propagation::Background,
        Propagation::Orphan => cluster::Propagation::Orphan,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_webhook_that_is_only_quoted_makes_no_failure_final() {
        let passing = |message: &str| {
            let refusal = cluster::Refusal {
                code: 500,
                message: message.to_owned(),
                ..cluster::Refusal::default()
            };
            passes(&cluster::Error::Refused(Box::new(refusal)))
        };
        let failed = "Internal error occurred: failed calling webhook \"w\": EOF";
        assert!(!passing(failed));
        assert!(passing(
            "Internal error occurred: the apiserver is starting"
        ));
        let quoted = format!("Internal error occurred: cannot keep {failed:?}");
        assert!(passing(&quoted));
    }

    #[test]
    fn what_an_attempt_has_made_anew_is_known_again_after_a_crash() {
        let at = |millis| Timestamp::from_timestamp_millis(millis).unwrap();
        assert!(is_fresh(at(6_000), at(5_500)));
        assert!(!is_fresh(at(5_000), at(5_500)));
        assert!(!is_fresh(at(5_000), at(5_000)));
    }

    #[test]
    fn a_trial_says_by_its_content_what_would_change() {
        let object = |value: &str| json!({"data": {"a": value}, "metadata": {"name": "a", "resourceVersion": "1"}});
        let before = |content| Before {
            uid: String::new(),
            resource_version: "1".to_owned(),
            content,
            fresh: false,
        };
        let known = before(Some(content(&object("1"))));
        assert!(known.is_still(&object("1")) && !known.is_still(&object("2")));
        assert!(
            before(None).is_still(&object("2")),
            "what was written would have another version"
        );
    }
}
