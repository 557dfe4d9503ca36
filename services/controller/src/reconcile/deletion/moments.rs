//! The hooks of a deletion are made, waited for and cleaned up, as whom their application is written (client required; what is
//! to do about each is the engine's decision).
//!
//! A moment is over when its finalizer is off the application: until then what its hooks came to has to stay in the cluster.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cluster::LiveEntry;
use domain::application::{Application, REFRESH};
use domain::cause::Cause;
use domain::message;
use domain::resource::ResourceKey;
use domain::status::Status;
use engine::claim::Claimant;
use engine::health::Checked;
use engine::options::Propagation;
use engine::plan::{self, Fate, HookSeen, Moment, Step, Turn};
use serde_json::Value;

use super::{
    AGAIN, BACKSTOP, Came, again, began, makes_sure, nobody_may, settles, whole_for, with_left,
};
use crate::context::Context;
use crate::driver::queue::AppKey;
use crate::memory::AppMemory;
use crate::reconcile::custom::{Checker, Known, SeenHook};
use crate::reconcile::desire::{self, Desired, Wish};
use crate::reconcile::live::{LiveSet, Sight};
use crate::reconcile::look;
use crate::reconcile::subject::{self, Subject};
use crate::reconcile::writer::Writer;
use crate::reconcile::{Failure, LOOK_AGAIN, Next, PATIENCE, apply, hooks};
use crate::tenants::TenantFacts;

/// The argument of a cause by which a hook is known to have no other record, since nobody watches its kind; no text shows it.
const UNWATCHED: &str = "unwatched";

/// Has the hooks of a moment run that Git has now, as far as that goes without waiting.
///
/// # Errors
/// When something of ours did not answer.
pub(super) async fn run(
    ctx: &Context,
    key: &AppKey,
    app: &Application,
    tenant: &Arc<TenantFacts>,
    moment: Moment,
    memory: &mut AppMemory,
) -> Result<Came, Failure> {
    let subject = match subject::read(ctx, key, app.clone(), tenant).await? {
        Ok(subject) => subject,
        // As in Argo CD: where nothing can have been deployed, nothing has to be undone.
        Err((_, causes)) if causes.iter().any(leads_nowhere) => return Ok(through(moment)),
        Err((_, causes)) => return Ok(unknown(moment, &causes, Next::Sleep)),
    };
    if let Some(why) = subject.writer.nobody() {
        let causes = nobody_may(why, moment.finalizer());
        return Ok(Came::Waits(causes, Next::After(BACKSTOP)));
    }
    let desired = match wanted(ctx, &subject, moment, memory).await? {
        Ok(desired) => desired,
        Err(came) => return Ok(came),
    };
    let steps = plan::deletion_hooks(&desired.prepared, &subject.options, moment, began(app));
    let steps = match steps {
        Ok(steps) => steps,
        Err(causes) => return Ok(Came::Waits(causes, Next::Sleep)),
    };
    let claimant = subject.claimant();
    let targets = &desired.prepared.targets;
    let mut live = LiveSet::gather(ctx, subject.sight(), claimant, targets);
    let mut unheard: Vec<Unheard> = Vec::new();
    for wave in steps.chunk_by(|a, b| a.wave == b.wave) {
        let there = match look_for(ctx, &subject, wave, &live, &memory.checked).await {
            Ok(there) => there,
            Err((_, error)) if error.passes() => return Err(Failure::Cluster(error)),
            Err((hook, error)) => {
                let causes = vec![error.cause().on(hook.clone()), moment.refused(&hook)];
                return Ok(Came::Waits(causes, Next::After(AGAIN)));
            }
        };
        let seen: Vec<HookSeen<'_>> = there.iter().map(There::seen).collect();
        let turn = plan::turn(moment, wave, &seen, &claimant);
        for entry in settled(&there, &live, moment, began(app)) {
            if let Some(kept) = let_go(ctx, &subject.writer, &entry).await? {
                let next = again(&app.status, ctx.clock.now());
                return Ok(Came::Waits(vec![kept], next));
            }
            unheard.push(Unheard {
                entry,
                check: None,
                held: false,
            });
        }
        if !turn.over() {
            return act(ctx, &subject, moment, turn, &there, &mut live).await;
        }
        let index = ctx.cluster.index();
        let watched = |key: &ResourceKey| index.would_have(key);
        unheard.extend(ended(&there, moment, began(app), watched));
    }
    // Only when the row says that they have run: one that is gone would be made again.
    let made = unheard.iter().map(|one| {
        let Unheard { entry, check, held } = one;
        (entry.body.as_ref(), check.as_ref(), *held)
    });
    let left = unsettled(made, moment);
    let done = vec![moment.finalizer().to_owned()];
    Ok(Came::Through { done, left })
}

fn through(moment: Moment) -> Came {
    Came::over(vec![moment.finalizer().to_owned()])
}

/// A hook of a moment that has succeeded, and that nobody would find later: its kind is not watched.
struct Unheard {
    entry: Arc<LiveEntry>,
    /// What its tenant's own check says.
    check: Option<Checked>,
    /// Whether our finalizer keeps it.
    held: bool,
}

/// What is left to be done about such hooks when their moment is over: those that are to go, as their policies say, are deleted, and
/// the others are let go.
fn unsettled<'a>(
    made: impl Iterator<Item = (&'a Value, Option<&'a Checked>, bool)>,
    moment: Moment,
) -> Vec<Cause> {
    let made: Vec<_> = made.collect();
    let bodies: Vec<_> = made
        .iter()
        .map(|(body, check, _)| (*body, *check))
        .collect();
    let fates = made.iter().zip(plan::cleanup(&bodies));
    let left = fates.filter_map(|((body, _, held), fate)| {
        let hook = ResourceKey::of(body);
        match fate {
            Fate::Delete => Some(moment.clears(&hook)),
            Fate::Stay => held.then(|| not_released(&hook)),
            Fate::Going => None,
        }
    });
    left.map(unwatched).collect()
}

/// What is said of a hook of which nothing else tells.
fn unwatched(cause: Cause) -> Cause {
    let message = cause.message.with(UNWATCHED, true);
    Cause { message, ..cause }
}

/// That our finalizer is still on a hook.
fn not_released(hook: &ResourceKey) -> Cause {
    let message = message::sync::HOOK_NOT_RELEASED.with("resource", hook);
    Cause::warning(message).on(hook.clone())
}

/// Whether a hook is to be deleted, of which such a thing is said.
fn is_to_go(cause: &Cause) -> bool {
    cause.message.is(&message::app::DELETION_CLEARS_HOOK)
}

/// What a status says of such hooks.
pub(super) fn left(status: &Status) -> impl Iterator<Item = &Cause> {
    let causes = status.causes.iter();
    causes.filter(|cause| {
        let says = is_to_go(cause) || cause.message.is(&message::sync::HOOK_NOT_RELEASED);
        says && cause.message.arguments.contains_key(UNWATCHED)
    })
}

/// Whether a destination is no cluster.
fn leads_nowhere(cause: &Cause) -> bool {
    cause.message.is(&message::app::DESTINATION_UNKNOWN)
}

fn unknown(moment: Moment, causes: &[Cause], next: Next) -> Came {
    let causes = causes.iter().cloned().chain([moment.unknown()]);
    Came::Waits(causes.collect(), next)
}

/// What Git says now, so that a hook can be mended there; the inner error is that nobody knows.
async fn wanted(
    ctx: &Context,
    subject: &Subject,
    moment: Moment,
    memory: &mut AppMemory,
) -> Result<Result<Desired, Came>, Failure> {
    let refresh = subject.app.annotation(REFRESH);
    let wish = Wish::of_spec(subject, refresh.is_some(), refresh == Some("hard"));
    let desired = desire::desire(ctx, subject, &wish, memory).await;
    let known = desired.as_ref().ok();
    desire::follow(
        ctx,
        subject,
        known.map(|desired| desired.revisions.as_slice()),
        memory,
    );
    match desired {
        Ok(desired) => Ok(Ok(desired)),
        Err(trouble) if trouble.ours && ctx.memory.failures(&subject.key) < PATIENCE => {
            Err(Failure::Repository(trouble))
        }
        Err(trouble) => {
            let again = trouble.ours || trouble.passing;
            let next = match again {
                true => Next::After(AGAIN),
                false => Next::Sleep,
            };
            Ok(Err(unknown(moment, &trouble.causes, next)))
        }
    }
}

/// What is there of a hook, and what its tenant's own check says of that.
struct There {
    entry: Option<Arc<LiveEntry>>,
    beneath: Vec<Arc<LiveEntry>>,
    check: Option<Checked>,
}

impl There {
    fn seen(&self) -> HookSeen<'_> {
        let beneath = self.beneath.iter().map(|entry| entry.body.as_ref());
        HookSeen {
            live: self.entry.as_ref().map(|entry| entry.body.as_ref()),
            beneath: beneath.collect(),
            check: self.check.as_ref(),
        }
    }
}

fn entry_of<'a>(there: &'a [There], key: &ResourceKey) -> Option<&'a Arc<LiveEntry>> {
    let mut entries = there.iter().filter_map(|there| there.entry.as_ref());
    entries.find(|entry| entry.key == *key)
}

/// The objects of this deletion that the index does not have and that have nothing to come to: they are neither found
/// again when the moment is over nor kept for anything.
fn settled(there: &[There], live: &LiveSet, moment: Moment, began: i64) -> Vec<Arc<LiveEntry>> {
    let unchecked = there.iter().filter(|there| there.check.is_none());
    let entries = unchecked.filter_map(|there| there.entry.as_ref());
    let settled = entries.filter(|entry| {
        live.find(&entry.key).is_none()
            && plan::of_deletion(&entry.body, moment, began)
            && engine::health::built_in(&entry.body).is_none()
    });
    settled.cloned().collect()
}

/// Those that have something to come to, and have come to it, of kinds that are not watched: what they came to has to stay until their
/// moment is over, and nobody finds them again then.
fn ended(
    there: &[There],
    moment: Moment,
    began: i64,
    watched: impl Fn(&ResourceKey) -> bool,
) -> Vec<Unheard> {
    let ended = there.iter().filter_map(|there| {
        let There { entry, check, .. } = there;
        let entry = entry.as_ref().filter(|entry| {
            let comes_to = check.is_some() || engine::health::built_in(&entry.body).is_some();
            comes_to && !watched(&entry.key) && plan::of_deletion(&entry.body, moment, began)
        })?;
        Some(Unheard {
            entry: entry.clone(),
            check: check.clone(),
            held: engine::hooks::held(&entry.body),
        })
    });
    ended.collect()
}

/// Finds the objects of a wave's hooks; an error is about the hook that it names.
async fn look_for(
    ctx: &Context,
    subject: &Subject,
    wave: &[Step],
    live: &LiveSet,
    known: &HashMap<ResourceKey, Known>,
) -> Result<Vec<There>, (ResourceKey, cluster::Error)> {
    let checker = Checker::of(subject, known);
    let mut all = Vec::with_capacity(wave.len());
    for step in wave {
        let watched = live.find(&step.key).cloned();
        let beneath = watched.as_ref().map_or_else(Vec::new, |entry| {
            look::beneath(ctx, subject.sight(), std::slice::from_ref(entry))
        });
        let entry = match watched {
            Some(entry) => Some(entry),
            // Not every kind is watched, nor one that has just been made.
            None => fetch(ctx, subject.tenant(), step)
                .await
                .map_err(|error| (step.key.clone(), error))?,
        };
        let check = match &entry {
            Some(entry) => checker
                .verdict(ctx, SeenHook::of(entry))
                .await
                .map_err(|error| (step.key.clone(), error))?,
            None => None,
        };
        all.push(There {
            entry,
            beneath,
            check,
        });
    }
    Ok(all)
}

async fn fetch(
    ctx: &Context,
    tenant: &TenantFacts,
    step: &Step,
) -> Result<Option<Arc<LiveEntry>>, cluster::Error> {
    let account = ctx.account(tenant, &step.key.namespace)?;
    let body = account.get(&step.key, Some(&step.version)).await?;
    Ok(body.and_then(|body| ctx.cluster.index().read(&body)))
}

/// Does what is to be done about a wave that is not over.
async fn act(
    ctx: &Context,
    subject: &Subject,
    moment: Moment,
    turn: Turn,
    there: &[There],
    live: &mut LiveSet,
) -> Result<Came, Failure> {
    let Turn {
        delete,
        make,
        failed,
        mut causes,
    } = turn;
    let mut next = Next::After(BACKSTOP);
    for entry in delete.iter().filter_map(|key| entry_of(there, key)) {
        let removed = hooks::remove(ctx, &subject.writer, entry, Propagation::default()).await;
        if let Err(error) = removed {
            // A webhook that does not answer is told of, as for any other object.
            if apply::passes(&error) {
                return Err(Failure::Cluster(error));
            }
            let stays = subject.writer.stays(&entry.key, &error, moment.finalizer());
            causes.insert(0, stays);
            next = again(&subject.app.status, ctx.clock.now());
        }
    }
    for entry in failed.iter().filter_map(|key| entry_of(there, key)) {
        drop(let_go(ctx, &subject.writer, entry).await?);
    }
    if !make.is_empty() {
        let now = ctx.clock.now();
        let made = apply::wave(ctx, subject, &make, false, now, None, live).await;
        if let Some(error) = made.interrupted {
            return Err(Failure::Cluster(error));
        }
        if made.causes.is_empty() {
            next = Next::After(LOOK_AGAIN);
            let about = |step: &Step| match made.going.contains(&step.key) {
                true => moment.clears(&step.key),
                false => moment.waits(&step.key),
            };
            causes.extend(make.iter().map(about));
        } else {
            next = Next::After(AGAIN);
            let named = made.causes.iter().filter_map(|c| c.resource.as_ref());
            let kept: Vec<Cause> = named.map(|hook| moment.refused(hook)).collect();
            causes.splice(0..0, made.causes.into_iter().chain(kept));
        }
    }
    Ok(Came::Waits(causes, next))
}

/// Deletes the hooks of a moment of which the row alone tells, or lets them go. What is said of those with which that is not done, of
/// which the row goes on telling; that the deleted ones go is not waited for.
///
/// # Errors
/// When the cluster does not answer.
async fn dismiss(
    ctx: &Context,
    app: &Application,
    writer: &Writer,
    claimant: Claimant<'_>,
    moment: Moment,
) -> Result<Vec<Cause>, Failure> {
    let began = began(app);
    let is_it = |body: &Value, hook: &ResourceKey| {
        // Another object of that name in its place is not this one.
        plan::of_deletion(body, moment, began) && claimant.may_replace(body, hook)
    };
    let mut staying = Vec::new();
    let told =
        left(&app.status).filter_map(|cause| Some((cause.resource.as_ref()?, is_to_go(cause))));
    let told: BTreeMap<&ResourceKey, bool> = told.collect();
    for (hook, goes) in told {
        let done = async {
            let body = match writer.ask(ctx, hook, None).await {
                // It went with its kind.
                Err(cluster::Error::UnknownKind { .. }) => None,
                body => body?.filter(|body| is_it(body, hook)),
            };
            match body.and_then(|body| ctx.cluster.index().read(&body)) {
                Some(entry) if goes => {
                    hooks::remove(ctx, writer, &entry, Propagation::default()).await
                }
                Some(entry) => hooks::release(ctx, writer, &entry).await,
                None => Ok(()),
            }
        };
        match done.await {
            Ok(()) => {}
            Err(error) if apply::passes(&error) => return Err(Failure::Cluster(error)),
            Err(error) if goes => staying.extend([
                writer.stays(hook, &error, moment.cleanup()),
                unwatched(moment.clears(hook)),
            ]),
            Err(error) => {
                let cause = not_released(hook).evidence(error.to_string());
                staying.push(unwatched(cause));
            }
        }
    }
    Ok(staying)
}

/// Cleans up after a moment: its hooks are deleted as their policies say, and the others are let go.
///
/// # Errors
/// When the cluster does not answer.
pub(super) async fn clean(
    ctx: &Context,
    key: &AppKey,
    app: &Application,
    tenant: &Arc<TenantFacts>,
    moment: Moment,
    memory: &AppMemory,
) -> Result<Came, Failure> {
    let sight = Sight {
        tenant,
        kinds: None,
    };
    let settings = ctx.tenants.settings(key.tenant).await?;
    let claimant = tenant.claimant(&key.name, &settings.marking);
    let live = LiveSet::gather(ctx, sight, claimant, &[]);
    let began = began(app);
    let made = live
        .entries()
        .iter()
        .filter(|entry| plan::of_deletion(&entry.body, moment, began));
    let made: Vec<&Arc<LiveEntry>> = made.collect();
    if made.is_empty() && left(&app.status).next().is_none() {
        return nothing(ctx, moment);
    }
    let writer = Writer::read(ctx, key, app, tenant).await?;
    if let Some(why) = writer.nobody() {
        let causes = with_left(app, nobody_may(why, moment.cleanup()));
        return Ok(Came::Waits(causes, Next::After(BACKSTOP)));
    }
    let mut causes = dismiss(ctx, app, &writer, claimant, moment).await?;
    let mut next = match causes.is_empty() {
        true => Next::After(BACKSTOP),
        false => again(&app.status, ctx.clock.now()),
    };
    let checker = Checker {
        tenant,
        customizations: &settings.customizations,
        known: &memory.checked,
    };
    let mut checks = Vec::with_capacity(made.len());
    for entry in &made {
        let check = checker.verdict(ctx, SeenHook::of(entry)).await;
        checks.push(check.map_err(Failure::Cluster)?);
    }
    let bodies = made.iter().zip(&checks);
    let bodies = bodies.map(|(entry, check)| (entry.body.as_ref(), check.as_ref()));
    let bodies: Vec<(&Value, Option<&Checked>)> = bodies.collect();
    for (entry, fate) in made.iter().zip(plan::cleanup(&bodies)) {
        match fate {
            Fate::Stay => drop(let_go(ctx, &writer, entry).await?),
            Fate::Going => causes.push(moment.clears(&entry.key)),
            Fate::Delete => {
                match hooks::remove(ctx, &writer, entry, Propagation::default()).await {
                    Ok(()) => causes.push(moment.clears(&entry.key)),
                    Err(error) if apply::passes(&error) => return Err(Failure::Cluster(error)),
                    Err(error) => {
                        causes.insert(0, writer.stays(&entry.key, &error, moment.cleanup()));
                        next = again(&app.status, ctx.clock.now());
                    }
                }
            }
        }
    }
    if !causes.is_empty() {
        return Ok(Came::Waits(causes, next));
    }
    match made.is_empty() {
        true => nothing(ctx, moment),
        false => Ok(cleared(moment)),
    }
}

/// Nothing is known of a moment that has to be cleaned up. Nor does the index of one that has just taken the cluster have what another
/// has made, nor that of a cluster which was away what was being made as the connection broke.
fn nothing(ctx: &Context, moment: Moment) -> Result<Came, Failure> {
    Ok(match whole_for(ctx)?.and_then(settles) {
        Some(next) => makes_sure(next),
        None => cleared(moment),
    })
}

fn cleared(moment: Moment) -> Came {
    Came::over(vec![moment.cleanup().to_owned()])
}

/// Takes our finalizer off a hook. Where the cluster refuses, that is for later: what is watched is found again before the row goes.
/// Why it is kept, where a webhook that is asked about it does not answer: what nobody finds again is not left for that.
async fn let_go(
    ctx: &Context,
    writer: &Writer,
    entry: &LiveEntry,
) -> Result<Option<Cause>, Failure> {
    match hooks::release(ctx, writer, entry).await {
        Ok(()) => Ok(None),
        Err(error) => kept(&entry.key, error),
    }
}

/// What comes of a hook that could not be let go.
fn kept(hook: &ResourceKey, error: cluster::Error) -> Result<Option<Cause>, Failure> {
    if apply::passes(&error) {
        return Err(Failure::Cluster(error));
    }
    tracing::warn!(resource = %hook, %error, "a hook's finalizer could not be taken off");
    // The code has it for a failure that passes, the words do not.
    Ok(error
        .passes()
        .then(|| not_released(hook).evidence(error.to_string())))
}

#[cfg(test)]
mod tests {
    use domain::status::HealthCode;
    use serde_json::json;

    use super::*;

    #[test]
    fn hooks_that_nobody_watches_are_on_the_row_until_they_are_gone() {
        let lease = |name: &str, policy: &str| {
            let annotations = json!({"argocd.argoproj.io/hook": "PostDelete",
                "argocd.argoproj.io/hook-delete-policy": policy});
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": name, "namespace": "web", "annotations": annotations}})
        };
        let (goes, stays) = (lease("goes", "HookSucceeded"), lease("stays", "HookFailed"));
        let of = |made: &[(&Value, Option<&Checked>, bool)]| {
            let said = unsettled(made.iter().copied(), Moment::After);
            let key = |cause: &Cause| (cause.resource.clone(), is_to_go(cause));
            (said.iter().map(key).collect::<Vec<_>>(), said)
        };
        let (to_go, to_stay) = (
            (Some(ResourceKey::of(&goes)), true),
            (Some(ResourceKey::of(&stays)), false),
        );
        let (keys, _) = of(&[(&goes, None, false), (&stays, None, false)]);
        assert_eq!(
            keys,
            std::slice::from_ref(&to_go),
            "the other is let go already"
        );
        let healthy = Some(engine::health::Health {
            code: HealthCode::Healthy,
            ..engine::health::postponed("", &goes)
        });
        let (keys, said) = of(&[
            (&goes, Some(&healthy), true),
            (&stays, Some(&healthy), true),
        ]);
        assert_eq!(keys, [to_go, to_stay]);
        let hook = ResourceKey::of(&stays);
        let mut status = Status {
            causes: vec![Moment::After.clears(&hook), not_released(&hook)],
            ..Status::default()
        };
        assert_eq!(left(&status).next(), None, "the index tells of that one");
        status.causes.extend(said.clone());
        assert!(left(&status).eq(&said));
        let stored = serde_json::to_value(&status).expect("it is written");
        let status: Status = serde_json::from_value(stored).expect("and read");
        assert!(left(&status).eq(&said), "another process goes on");
    }

    fn refused(code: u16, message: &str) -> cluster::Error {
        cluster::Error::Refused(Box::new(cluster::Refusal {
            code,
            message: message.to_owned(),
            ..cluster::Refusal::default()
        }))
    }

    #[test]
    fn a_hook_that_a_dead_webhook_keeps_is_told_of_and_not_left() {
        let hook = ResourceKey {
            kind: "Job".into(),
            namespace: "web".into(),
            name: "backup".into(),
            ..ResourceKey::default()
        };
        let of = |error| kept(&hook, error);
        let dead = "Internal error occurred: failed calling webhook \"w\": EOF";
        let told = of(refused(500, dead)).expect("a word on the hook");
        let told = told.expect("a cause");
        assert!(told.message.is(&message::sync::HOOK_NOT_RELEASED));
        assert_eq!(told.resource.as_ref(), Some(&hook));
        let later = of(refused(403, "it may not")).expect("a word on the hook");
        assert_eq!(later, None, "that is for later");
        for passing in [refused(500, "it starts"), cluster::Error::NotHolder] {
            assert!(of(passing).is_err(), "it is tried again");
        }
    }
}
