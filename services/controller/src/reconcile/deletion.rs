//! The end of an application: the hooks before it run, its objects go, wave by wave, the hooks after it run, then its row
//! goes (client required; what goes is the engine's decision). The application's finalizers say how far that has come.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use cluster::{DeleteOptions, LiveEntry};
use domain::application::{Application, FinalizerChange, REFRESH};
use domain::cause::Cause;
use domain::clock::Timestamp;
use domain::message;
use domain::resource::{GroupKind, ResourceKey};
use domain::status::{HealthCode, Status};
use domain::tracking::Marking;
use engine::options::{Propagation, SyncOptions};
use engine::plan::{self, Stage};
use futures::StreamExt;
use serde_json::Value;

use super::apply::{self, is_late, propagated};
use super::live::{LiveSet, Sight};
use super::publish::{self, Report};
use super::writer::Writer;
use super::{Failure, Next, PATIENCE, hooks, subject};
use crate::context::Context;
use crate::driver::queue::AppKey;
use crate::memory::AppMemory;
use crate::tenants::TenantFacts;

mod moments;

/// How many deletions of one application are sent at once.
const AT_ONCE: usize = 16;
/// What goes slowly is looked at this often even if no event comes.
const BACKSTOP: Duration = Duration::from_secs(30);
/// A refused deletion is tried again after this.
const AGAIN: Duration = Duration::from_secs(10);
/// The longer it is refused the rarer it is tried, but never less often than this: somebody waits who has mended it.
const RARELY: Duration = Duration::from_secs(60);
/// What says that a deletion is refused, or what goes before its end.
const REFUSALS: [&message::Code; 3] = [
    &message::app::DELETION_REFUSED,
    &message::app::DELETION_FORBIDDEN,
    &message::sync::HOOK_NOT_RELEASED,
];
/// For so long a row stays that names the hooks which our finalizer keeps: it has no finalizer any more by which a person could end
/// that.
const HELD: Duration = Duration::from_secs(600);
/// Hooks of an application that is not where they are any more are tried again no less often than this: an added cluster where
/// none is stays open for a minute after that was found out last.
const OPEN: Duration = Duration::from_secs(45);
/// One that the cluster did not finish in time is asked for again after this.
const SOON: Duration = Duration::from_secs(2);
/// For so long after a cluster has come to this controller, or has come back, nothing is taken for gone: watches tell a little
/// late of what was done last by whoever had it before, and wait a moment before they begin anew.
const SETTLES: Duration = Duration::from_secs(10);
/// For so long what is on record is asked for before it is: a watch that is dead is begun anew by then.
const HEARD: Duration = Duration::from_secs(180);
/// The annotation with which a person approves deletions.
const APPROVED: &str = "argocd.argoproj.io/deletion-approved";

/// What a look at one stage of a deletion came to.
enum Came {
    /// Why it waits, and when to look again.
    Waits(Vec<Cause>, Next),
    /// It is over.
    Through {
        /// The finalizers that are over with it.
        done: Vec<String>,
        /// What of it the next stage has to clean up and finds nowhere else.
        left: Vec<Cause>,
    },
}

impl Came {
    /// It is over with these finalizers, and leaves nothing.
    fn over(done: Vec<String>) -> Self {
        let left = Vec::new();
        Self::Through { done, left }
    }
}

/// Takes the deletion of an application as far as it goes now.
///
/// # Errors
/// When something of ours did not answer.
#[tracing::instrument(name = "delete", skip_all)]
pub async fn advance(
    ctx: &Context,
    key: &AppKey,
    app: Application,
    tenant: &Arc<TenantFacts>,
    memory: &mut AppMemory,
) -> Result<Next, Failure> {
    let name = tenant.tenant.name.as_str();
    let went = match plan::stage(app.finalizers()) {
        Stage::Over => return remove(ctx, key, tenant, &app, Vec::new()).await,
        // As in Argo CD: what is nowhere has nothing to delete, and what is here was left for good.
        Stage::Objects(_) if !subject::leads_somewhere(&app, tenant) => Ok(through(&app)),
        _ if !is_known(ctx) => Ok(not_known(ctx, &app)),
        Stage::Hooks(moment) => moments::run(ctx, key, &app, tenant, moment, memory).await,
        Stage::Cleanup(moment) => moments::clean(ctx, key, &app, tenant, moment, memory).await,
        Stage::Objects(propagation) => objects(ctx, key, &app, tenant, propagation).await,
    };
    let came = match went {
        Ok(came) => came,
        Err(failure) => {
            if let Some(cause) = told(&failure, ctx.memory.failures(key)) {
                let causes = with_left(&app, vec![cause]);
                pending(ctx, key, name, &app, causes, Next::Sleep).await?;
            }
            // What was said stays true until the cluster answers. It is asked again as any other that fails: a look that counted as
            // one that went well would begin anew with the shortest of pauses.
            return Err(failure);
        }
    };
    match came {
        Came::Waits(causes, next) => pending(ctx, key, name, &app, causes, next).await,
        Came::Through { done, left } => {
            let stays = app
                .finalizers()
                .filter(|name| !done.iter().any(|gone| gone == name));
            if plan::stage(stays) == Stage::Over {
                return remove(ctx, key, tenant, &app, done).await;
            }
            pass(ctx, key, name, &app, done, left).await
        }
    }
}

/// Whether the index says what the cluster has.
fn is_known(ctx: &Context) -> bool {
    ctx.cluster.connection().borrow().reachable && ctx.cluster.index().is_ready()
}

fn not_known(ctx: &Context, app: &Application) -> Came {
    let cause = super::unlisted(ctx).unwrap_or_else(|| {
        let message = message::cluster::UNREACHABLE.with("cluster", ctx.cluster.name());
        Cause::error(message)
    });
    Came::Waits(with_left(app, vec![cause]), Next::After(AGAIN))
}

/// What a look says that does not get to clean up, with what is to be: the row alone tells of that.
fn with_left(app: &Application, mut causes: Vec<Cause>) -> Vec<Cause> {
    if let Stage::Cleanup(_) = plan::stage(app.finalizers()) {
        causes.extend(moments::left(&app.status).cloned());
    }
    causes
}

/// What is told of a look that came to nothing, as so many before it: a cluster that answers with errors for long is what the
/// deletion waits for, and nobody would know. Nothing where it is not told, or not yet, nor that the cluster is another's by now, who
/// goes on with it.
fn told(failure: &Failure, failed: u32) -> Option<Cause> {
    match failure {
        Failure::Cluster(error) if error.is_transient() && failed >= PATIENCE => {
            Some(error.cause())
        }
        _ => None,
    }
}

/// The objects are through with.
fn through(app: &Application) -> Came {
    Came::over(cascading(app).map(str::to_owned).collect())
}

/// The finalizers that have the objects go.
fn cascading(app: &Application) -> impl Iterator<Item = &str> {
    app.finalizers()
        .filter(|name| plan::cascade([*name]).is_some())
}

/// Nobody may delete what there is: it stays, and the application with it, until somebody is named who may, or it is left there.
fn nobody_may(why: &Cause, finalizer: &str) -> Vec<Cause> {
    let stays = message::app::DELETION_NO_ACCOUNT.with("finalizer", finalizer);
    vec![why.clone(), Cause::error(stays)]
}

/// When a refused deletion is tried again: after as long as it has been refused. A person who reads why needs some time, and
/// nothing is to be asked every few seconds for days.
fn again(status: &Status, now: Timestamp) -> Next {
    Next::After(status.lasted(&REFUSALS, now).clamp(AGAIN, RARELY))
}

/// Deletes the application's objects as far as that goes without waiting.
async fn objects(
    ctx: &Context,
    key: &AppKey,
    app: &Application,
    tenant: &Arc<TenantFacts>,
    propagation: Propagation,
) -> Result<Came, Failure> {
    // As in Argo CD, what the settings leave out stays.
    let settings = ctx.tenants.settings(key.tenant).await?;
    let sight = Sight {
        tenant,
        kinds: Some(&settings.kinds),
    };
    let claimant = tenant.claimant(&key.name, &settings.marking);
    let live = LiveSet::gather(ctx, sight, claimant, &[]);
    if !is_known(ctx) {
        // It was lost meanwhile, and with it what was gathered.
        return Ok(not_known(ctx, app));
    }
    let plan = plan::deletion(
        &live.as_live(),
        &claimant,
        &options(app),
        propagation,
        approved(app),
    );
    if plan.done() {
        if let Some(kind) = unseen(ctx, app, sight) {
            let message = message::app::DELETION_UNSEEN.with("kind", kind);
            return Ok(Came::Waits(vec![Cause::error(message)], Next::After(AGAIN)));
        }
        return Ok(match uncertain(ctx, key, app, tenant, sight).await? {
            Some(next) => makes_sure(next),
            None => through(app),
        });
    }
    let mut causes = vec![Cause::reason(
        message::app::PENDING_DELETION.with("count", plan.left),
    )];
    if let Some(waiting) = plan.unconfirmed.first() {
        let message = message::app::DELETION_UNCONFIRMED.with("resource", waiting);
        causes.push(Cause::reason(message).on(waiting.clone()));
    }
    let writer = Writer::read(ctx, key, app, tenant).await?;
    let finalizer = cascading(app).collect::<Vec<_>>().join(", ");
    if let Some(why) = writer.nobody() {
        causes.splice(0..0, nobody_may(why, &finalizer));
        return Ok(Came::Waits(causes, Next::After(BACKSTOP)));
    }
    let first = plan.waves.first().map_or(&[][..], Vec::as_slice);
    // One of those that have been asked to go says what it waits for.
    let staying = first.iter().filter(|doomed| doomed.deleting);
    let staying = staying.filter_map(|doomed| live.find(&doomed.key));
    let why = staying.filter_map(|entry| engine::health::assess(&entry.body));
    causes.extend(why.flat_map(|health| health.causes).next());
    let mut sends = Vec::new();
    for doomed in first {
        let held = live.find(&doomed.key).filter(|_| doomed.held);
        if !doomed.deleting || held.is_some() {
            sends.push(send(ctx, &writer, doomed, held, plan.propagation));
        }
    }
    let sent: Vec<_> = futures::stream::iter(sends)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut next = Next::After(BACKSTOP);
    for (doomed, error) in sent.into_iter().flatten() {
        if is_late(&error) {
            // It may be done yet; where it never is, this is why.
            let message = message::cluster::WRITE_UNFINISHED.with("resource", &doomed.key);
            let cause = Cause::reason(message).on(doomed.key.clone());
            causes.push(cause.evidence(error.to_string()));
            next = Next::After(SOON);
            continue;
        }
        // A webhook that does not answer is told of: nobody would know otherwise what an object waits for.
        if apply::passes(&error) {
            return Err(Failure::Cluster(error));
        }
        causes.insert(0, writer.stays(&doomed.key, &error, &finalizer));
        next = again(&app.status, ctx.clock.now());
    }
    Ok(Came::Waits(causes, next))
}

/// A kind of which the application has objects and nobody sees whether they are gone: the credentials do not list it. One
/// that the cluster does not have any more has none.
fn unseen(ctx: &Context, app: &Application, sight: Sight<'_>) -> Option<GroupKind> {
    let discovery = ctx.cluster.discovery();
    let index = ctx.cluster.index();
    let watched: HashMap<GroupKind, bool> = discovery
        .watched()
        .map(|kind| (kind.group_kind(), kind.namespaced))
        .collect();
    let looked_at = |key: &&ResourceKey| {
        let territory = sight.tenant.territory();
        let namespaced = watched.get(&key.group_kind()).copied();
        namespaced.is_some_and(|namespaced| namespaced || territory.has_cluster_scoped())
            && sight.sees(key)
    };
    let keys = app.status.resources.iter().map(|resource| &resource.key);
    keys.filter(looked_at)
        .find(|key| !index.would_have(key))
        .map(ResourceKey::group_kind)
}

/// When to look again whether nothing is left of an application of which the index has nothing; `None` where that is
/// certain. The shared cluster is watched by each controller, whoever has it, so that the index of one that has just taken it may
/// lack what another made a moment ago; and after any cluster was away it lacks what was being made as the connection broke.
async fn uncertain(
    ctx: &Context,
    key: &AppKey,
    app: &Application,
    tenant: &Arc<TenantFacts>,
    sight: Sight<'_>,
) -> Result<Option<Next>, Failure> {
    let Some(held) = whole_for(ctx)? else {
        return Ok(None);
    };
    if let Some(next) = settles(held) {
        return Ok(Some(next));
    }
    if held >= HEARD {
        return Ok(None);
    }
    let writer = Writer::read(ctx, key, app, tenant).await?;
    find_overlooked(ctx, app, &writer, sight).await
}

/// For how long the index may be taken for whole: since the cluster has been ours, or has answered again. `None` where that has been so
/// all the time.
///
/// # Errors
/// As [`shared_for`].
fn whole_for(ctx: &Context) -> Result<Option<Duration>, Failure> {
    let back = back_for(&ctx.cluster.connection().borrow(), ctx.clock.now());
    Ok(shared_for(ctx)?.into_iter().chain(back).min())
}

/// For how long the shared cluster has been ours; `None` in one that a tenant has added, which is listed anew by whoever takes
/// it.
///
/// # Errors
/// When it is ours no more: whoever has it then finds out what is left.
fn shared_for(ctx: &Context) -> Result<Option<Duration>, Failure> {
    if ctx.cluster.is_added() {
        return Ok(None);
    }
    let lost = Failure::Cluster(cluster::Error::NotHolder);
    ctx.term()
        .map(|term| Some(term.began.elapsed()))
        .ok_or(lost)
}

/// For how long a cluster has answered again; `None` where it has done so all the time.
fn back_for(connection: &cluster::Connection, now: Timestamp) -> Option<Duration> {
    let back = now.signed_duration_since(connection.since);
    connection.broken.then(|| back.to_std().unwrap_or_default())
}

/// When to look again in a cluster that has been ours, or has answered again, for so long; `None` once its watches have caught up.
fn settles(held: Duration) -> Option<Next> {
    SETTLES.checked_sub(held).map(Next::After)
}

/// That it is made sure that nothing is left.
fn makes_sure(next: Next) -> Came {
    let cause = Cause::reason(message::app::DELETION_SETTLES.message());
    Came::Waits(vec![cause], next)
}

/// Asks the cluster for the objects on record that the index does not have, and takes in what there is of them. When to look
/// again; `None` where all of them are certain to be gone.
async fn find_overlooked(
    ctx: &Context,
    app: &Application,
    writer: &Writer,
    sight: Sight<'_>,
) -> Result<Option<Next>, Failure> {
    let index = ctx.cluster.index();
    let unheard =
        |key: &&ResourceKey| index.get(key).is_none() && index.would_have(key) && sight.sees(key);
    let asked = on_record(&app.status).into_iter().filter(unheard);
    let asked: Vec<_> = asked.map(|key| writer.ask(ctx, key, None)).collect();
    let answers: Vec<_> = futures::stream::iter(asked)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut heard = Vec::with_capacity(answers.len());
    for answer in answers {
        let of = match said(answer).map_err(Failure::Cluster)? {
            Said::There(object) => match index.observe(&object).await {
                Some(_) => Heard::Found,
                None => Heard::Open,
            },
            Said::Gone => Heard::Gone,
            Said::Nothing => Heard::Open,
        };
        heard.push(of);
    }
    Ok(next_of(&heard))
}

/// What the cluster says of an object that the index does not have.
#[derive(Debug, PartialEq)]
enum Said {
    There(Value),
    Gone,
    /// Neither.
    Nothing,
}

/// What an answer says of an object.
///
/// # Errors
/// When it has to be asked for again.
fn said(answer: Result<Option<Value>, cluster::Error>) -> Result<Said, cluster::Error> {
    match answer {
        Ok(Some(object)) => Ok(Said::There(object)),
        Ok(None) | Err(cluster::Error::UnknownKind { .. }) => Ok(Said::Gone),
        Err(error) if error.passes() => Err(error),
        // Whoever may not read it may have been allowed to make it once.
        Err(_) => Ok(Said::Nothing),
    }
}

/// What became of an object that was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Heard {
    /// The index has it now.
    Found,
    /// It is gone.
    Gone,
    /// That is for its watch to say.
    Open,
}

/// When to look again after that; `None` where nothing is left. What stays open does so until [`HEARD`].
fn next_of(heard: &[Heard]) -> Option<Next> {
    if heard.contains(&Heard::Found) {
        return Some(Next::After(Duration::ZERO));
    }
    heard.contains(&Heard::Open).then_some(Next::After(AGAIN))
}

/// The objects that the row names: those that were compared last, and those that the last operation wrote.
fn on_record(status: &Status) -> HashSet<&ResourceKey> {
    let compared = status.resources.iter().map(|resource| &resource.key);
    let results = status.operation.iter().filter_map(|of| of.result.as_ref());
    let written = results.flat_map(|result| &result.resources);
    compared.chain(written.map(|result| &result.key)).collect()
}

/// Asks for one object to go; what went wrong, if anything did.
async fn send(
    ctx: &Context,
    writer: &Writer,
    doomed: &plan::Doomed,
    held: Option<&Arc<LiveEntry>>,
    propagation: Propagation,
) -> Option<(plan::Doomed, cluster::Error)> {
    if let Some(hook) = held {
        let removed = hooks::remove(ctx, writer, hook, propagation).await;
        return removed.err().map(|error| (doomed.clone(), error));
    }
    let options = DeleteOptions {
        uid: Some(doomed.uid.clone()),
        propagation: propagated(propagation),
        ..DeleteOptions::default()
    };
    let sent = async {
        let account = writer.account(ctx, &doomed.key.namespace)?;
        account
            .delete(&doomed.key, Some(&doomed.version), &options)
            .await
    };
    // Another object of that name in its place is no longer ours to delete.
    let error = sent.await.err().filter(|error| !error.is_conflict())?;
    Some((doomed.clone(), error))
}

/// A stage is over: its finalizers go, and the next stage follows, which is told what is left of it.
async fn pass(
    ctx: &Context,
    key: &AppKey,
    tenant: &str,
    app: &Application,
    done: Vec<String>,
    left: Vec<Cause>,
) -> Result<Next, Failure> {
    let status = match left.is_empty() {
        true => app.status.clone(),
        false => waiting(app, left, ctx.clock.now()),
    };
    let report = Report {
        status,
        finalizers: FinalizerChange {
            remove: done,
            ..FinalizerChange::default()
        },
        next: Next::After(Duration::ZERO),
        ..Report::default()
    };
    publish::report(ctx, key, tenant, app, report).await
}

/// The row goes; nothing of it is in the cluster any more, or what is there was asked to stay. Where a cluster that answers would not
/// have a hook let go it stays for a while and says so: nobody names that hook afterwards. `done` are finalizers of what is over.
async fn remove(
    ctx: &Context,
    key: &AppKey,
    tenant: &Arc<TenantFacts>,
    app: &Application,
    done: Vec<String>,
) -> Result<Next, Failure> {
    let name = tenant.tenant.name.as_str();
    let writer = Writer::read(ctx, key, app, tenant).await?.or_own();
    let mut kept = let_go(ctx, key, tenant, &writer, Some(app)).await;
    if !kept.is_empty() && writer.is_deputy() {
        // So it is done when the row is gone, and with it the project that names another.
        kept = let_go(ctx, key, tenant, &Writer::own(tenant), Some(app)).await;
    }
    let now = ctx.clock.now();
    if kept.is_empty() || !is_known(ctx) || is_given_up(&app.status, now) {
        return erase(ctx, key, name, app).await;
    }
    if !done.is_empty() {
        // What is over is not begun again meanwhile.
        return pass(ctx, key, name, app, done, Vec::new()).await;
    }
    let ends = message::app::DELETION_WAITS_FOR_RELEASE.message();
    kept.push(Cause::reason(ends));
    pending(ctx, key, name, app, kept, again(&app.status, now)).await
}

/// Whether it has been said for long that nothing else is waited for: a deletion does not wait for ever for what was asked to stay.
/// How long a hook was kept before, while the application still had a finalizer or was not even deleted, does not count.
fn is_given_up(status: &Status, now: Timestamp) -> bool {
    status.lasted(&[&message::app::DELETION_WAITS_FOR_RELEASE], now) >= HELD
}

/// When the hooks of an application that is gone, or elsewhere, are tried again that have been kept for so long; `None` where they
/// are left. Nobody can be told of them.
#[must_use]
pub fn once_more(kept_for: Duration) -> Option<Duration> {
    (kept_for < HELD).then(|| kept_for.clamp(AGAIN, OPEN))
}

/// The end of an application into whose cluster nobody gets. Where nothing is to be done there its row goes all the same:
/// somebody has asked for what there is to stay, and may not be able to open the cluster ever again.
///
/// # Errors
/// When that could not be written.
pub async fn locked_out(
    ctx: &Context,
    key: &AppKey,
    tenant: &str,
    app: &Application,
    cause: Cause,
) -> Result<Next, Failure> {
    match plan::stage(app.finalizers()) {
        Stage::Over => erase(ctx, key, tenant, app).await,
        Stage::Hooks(_) | Stage::Cleanup(_) | Stage::Objects(_) => {
            let causes = with_left(app, vec![cause]);
            pending(ctx, key, tenant, app, causes, Next::Sleep).await
        }
    }
}

async fn erase(
    ctx: &Context,
    key: &AppKey,
    tenant: &str,
    app: &Application,
) -> Result<Next, Failure> {
    let report = Report {
        status: app.status.clone(),
        remove: true,
        next: Next::Gone,
        ..Report::default()
    };
    let next = publish::report(ctx, key, tenant, app, report).await?;
    if next == Next::Gone {
        tracing::info!(app = %key.name, "the application is deleted");
    }
    Ok(next)
}

/// What stays of an application's hooks must not wait for somebody who is gone. Those whose kinds nobody watches are known by the row,
/// if there is one. Why some are still kept.
pub async fn let_go(
    ctx: &Context,
    key: &AppKey,
    tenant: &TenantFacts,
    writer: &Writer,
    app: Option<&Application>,
) -> Vec<Cause> {
    let sight = Sight {
        tenant,
        kinds: None,
    };
    // A hook of ours names its tenant by whatever it is marked; by a label alone, none is.
    let marking = Marking::default();
    let claimant = tenant.claimant(&key.name, &marking);
    let live = LiveSet::gather(ctx, sight, claimant, &[]);
    // They run on where they do: there may be no record any more of what became of their operation.
    let mut kept = hooks::release_idle(ctx, writer, claimant, live.entries(), None).await;
    // A cluster that is away is not asked for what it has.
    let app = app.filter(|_| is_known(ctx));
    if let Some(last) = app.and_then(|app| app.status.operation.as_ref()) {
        kept.extend(hooks::unwatched::leave(ctx, writer, claimant, last).await);
    }
    kept
}

/// Reports why a deletion waits.
///
/// # Errors
/// When that could not be written.
pub async fn pending(
    ctx: &Context,
    key: &AppKey,
    tenant: &str,
    app: &Application,
    causes: Vec<Cause>,
    next: Next,
) -> Result<Next, Failure> {
    let report = Report {
        status: waiting(app, causes, ctx.clock.now()),
        clear_refresh: app.annotation(REFRESH).map(str::to_owned),
        next,
        ..Report::default()
    };
    publish::report(ctx, key, tenant, app, report).await
}

/// The status of an application whose deletion waits.
fn waiting(app: &Application, causes: Vec<Cause>, now: Timestamp) -> Status {
    let before = &app.status;
    let since = causes.iter().map(|cause| {
        let known = before
            .causes
            .iter()
            .zip(&before.cause_since)
            .find(|(old, _)| old.message.code == cause.message.code);
        known.map_or(now, |(_, since)| *since)
    });
    Status {
        health: Some(HealthCode::Progressing),
        health_since: if before.health == Some(HealthCode::Progressing) {
            before.health_since
        } else {
            Some(now)
        },
        cause_since: since.collect(),
        reconciled_at: if app.annotation(REFRESH).is_some() {
            Some(now)
        } else {
            before.reconciled_at
        },
        causes,
        ..before.clone()
    }
}

fn options(app: &Application) -> SyncOptions {
    let spec = app.view().unwrap_or_default();
    let options = spec
        .sync_policy
        .map(|policy| policy.sync_options)
        .unwrap_or_default();
    SyncOptions::parse(options.iter().map(String::as_str))
}

/// Whether a person approved the deletion after it was asked for.
fn approved(app: &Application) -> bool {
    let approved = app.annotation(APPROVED).and_then(time);
    approved
        .zip(asked_at(app))
        // The command writes whole seconds.
        .is_some_and(|(approved, asked)| approved.timestamp() >= asked.timestamp())
}

/// When the deletion was asked for, in milliseconds since 1970: its hooks are named after it.
fn began(app: &Application) -> i64 {
    asked_at(app).map_or(0, |asked| asked.timestamp_millis())
}

fn asked_at(app: &Application) -> Option<chrono::DateTime<chrono::FixedOffset>> {
    let asked = app.metadata.get("deletionTimestamp")?;
    asked.as_str().and_then(time)
}

fn time(text: &str) -> Option<chrono::DateTime<chrono::FixedOffset>> {
    chrono::DateTime::parse_from_rfc3339(text).ok()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use domain::operation::{Operation, Phase, ResourceResult, SyncResult};

    use super::*;

    fn map(name: &str) -> ResourceKey {
        ResourceKey {
            kind: "ConfigMap".into(),
            namespace: "web".into(),
            name: name.into(),
            ..ResourceKey::default()
        }
    }

    #[test]
    fn on_record_is_what_was_compared_and_what_an_operation_wrote() {
        let compared = |name| engine::tree::listed(&map(name), "v1");
        let written = |name| ResourceResult {
            key: map(name),
            version: "v1".into(),
            status: None,
            message: String::new(),
            hook_phase: Phase::Running,
            sync_phase: "PreSync".into(),
            hook: true,
            images: Vec::new(),
        };
        let mut status = Status {
            resources: vec![compared("a"), compared("b")],
            ..Status::default()
        };
        let (a, b, hook) = (map("a"), map("b"), map("hook"));
        assert_eq!(on_record(&status), HashSet::from([&a, &b]));
        let asked = Operation::default();
        let mut state = engine::operation::begin(asked, Timestamp::UNIX_EPOCH);
        state.result = Some(SyncResult {
            resources: vec![written("b"), written("hook")],
            ..SyncResult::default()
        });
        status.operation = Some(state);
        assert_eq!(on_record(&status), HashSet::from([&a, &b, &hook]));
    }

    #[test]
    fn nothing_is_taken_for_gone_until_the_watches_have_caught_up() {
        let next = |millis| settles(Duration::from_millis(millis));
        assert_eq!(next(0), Some(Next::After(SETTLES)));
        let left = Duration::from_millis(500);
        assert_eq!(next(9_500), Some(Next::After(left)));
        assert_eq!(next(10_001), None);
    }

    #[test]
    fn what_is_known_of_a_cluster_that_was_away_counts_from_when_it_is_back() {
        let mut connection = cluster::Connection {
            reachable: true,
            message: String::new(),
            since: Timestamp::UNIX_EPOCH,
            broken: false,
        };
        let back = |connection: &cluster::Connection, seconds| {
            let now = Timestamp::UNIX_EPOCH + TimeDelta::seconds(seconds);
            back_for(connection, now)
        };
        assert_eq!(
            back(&connection, 5),
            None,
            "it was listed when it was opened"
        );
        connection.broken = true;
        assert_eq!(back(&connection, 5), Some(Duration::from_secs(5)));
        assert_eq!(
            back(&connection, -5),
            Some(Duration::ZERO),
            "a clock was set"
        );
    }

    fn refused(code: u16) -> cluster::Error {
        cluster::Error::Refused(Box::new(cluster::Refusal {
            code,
            ..cluster::Refusal::default()
        }))
    }

    #[test]
    fn a_cluster_that_answers_with_errors_for_long_is_told() {
        let of = |error, failed| told(&Failure::Cluster(error), failed);
        assert_eq!(of(refused(500), PATIENCE - 1), None, "it may pass");
        assert_eq!(of(refused(500), PATIENCE), Some(refused(500).cause()));
        let late = cluster::Error::TimedOut { seconds: 30 };
        assert!(of(late, PATIENCE).is_some());
        let elsewhere = of(cluster::Error::NotHolder, 1_000);
        assert!(elsewhere.is_none(), "another goes on");
        assert_eq!(told(&Failure::Broken, 1_000), None);
    }

    #[test]
    fn what_an_account_may_not_read_does_not_count_as_gone() {
        let of = |answer| said(answer).expect("a word");
        let object = serde_json::json!({"kind": "ConfigMap"});
        assert_eq!(of(Ok(Some(object.clone()))), Said::There(object));
        assert_eq!(of(Ok(None)), Said::Gone);
        let unknown = cluster::Error::UnknownKind {
            version: "example.com".into(),
            kind: "Thing".into(),
        };
        assert_eq!(of(Err(unknown)), Said::Gone, "it went with its kind");
        for code in [400, 401, 403, 405] {
            assert_eq!(of(Err(refused(code))), Said::Nothing, "{code}");
        }
        let nobody = Cause::error(message::app::DELETION_NO_ACCOUNT.message());
        let nobody = cluster::Error::NobodyMay(Box::new(nobody));
        assert_eq!(of(Err(nobody)), Said::Nothing);
        for error in [refused(429), refused(503), cluster::Error::NotHolder] {
            assert!(said(Err(error)).is_err(), "it is asked for again");
        }
    }

    #[test]
    fn an_application_goes_when_each_of_its_objects_is_known_to_be_gone() {
        use Heard::{Found, Gone, Open};
        assert_eq!(next_of(&[]), None);
        assert_eq!(next_of(&[Gone, Gone]), None);
        assert_eq!(next_of(&[Gone, Open]), Some(Next::After(AGAIN)));
        let at_once = Some(Next::After(Duration::ZERO));
        assert_eq!(next_of(&[Open, Found, Gone]), at_once);
    }

    #[test]
    fn a_deletion_is_tried_the_rarer_the_longer_it_is_refused() {
        let began = Timestamp::UNIX_EPOCH;
        let mut status = Status::default();
        let after = |status: &Status, seconds| again(status, began + TimeDelta::seconds(seconds));
        assert_eq!(after(&status, 300), Next::After(AGAIN), "it is new");
        status.causes = vec![
            Cause::reason(message::app::PENDING_DELETION.message()),
            Cause::error(message::app::DELETION_FORBIDDEN.message()),
        ];
        status.cause_since = vec![began - TimeDelta::hours(1), began];
        assert_eq!(after(&status, 1), Next::After(AGAIN));
        let half = Duration::from_secs(30);
        assert_eq!(after(&status, 30), Next::After(half), "not since it waits");
        assert_eq!(after(&status, 86_400), Next::After(RARELY));
        assert_eq!(after(&status, -5), Next::After(AGAIN), "a clock was set");
    }

    #[test]
    fn hooks_of_what_is_gone_are_tried_again_but_not_for_ever() {
        let next = |seconds| once_more(Duration::from_secs(seconds)).map(|next| next.as_secs());
        assert_eq!([next(0), next(30)], [Some(10), Some(30)]);
        assert_eq!([next(599), next(600)], [Some(45), None]);
    }

    #[test]
    fn what_is_to_be_cleaned_up_is_not_forgotten_over_a_cluster_that_is_away() {
        let message = message::app::DELETION_CLEARS_HOOK.with("unwatched", true);
        let left = Cause::reason(message).on(map("hook"));
        let mut app = Application {
            metadata: serde_json::json!({"finalizers": [plan::Moment::After.cleanup()]}),
            spec: Value::Null,
            operation: None,
            status: Status {
                causes: vec![left.clone()],
                ..Status::default()
            },
            resource_version: 1,
        };
        let away = Cause::error(message::cluster::UNREACHABLE.message());
        let both = [away.clone(), left];
        assert_eq!(with_left(&app, vec![away.clone()]), both);
        app.metadata = serde_json::json!({"finalizers": [plan::Moment::After.finalizer()]});
        assert_eq!(with_left(&app, vec![away.clone()]), [away], "it is earlier");
    }

    #[test]
    fn a_row_waits_for_a_hook_that_is_kept_but_not_for_ever() {
        let began = Timestamp::UNIX_EPOCH;
        let mut status = Status::default();
        let gives_up = |status: &Status, seconds| {
            let now = began + TimeDelta::seconds(seconds);
            is_given_up(status, now)
        };
        assert!(!gives_up(&status, 86_400), "nothing was said yet");
        let ends = message::app::DELETION_WAITS_FOR_RELEASE.message();
        status.causes = vec![
            Cause::warning(message::sync::HOOK_NOT_RELEASED.message()),
            Cause::reason(ends),
        ];
        status.cause_since = vec![began - TimeDelta::hours(1), began];
        assert!(!gives_up(&status, 599), "it was kept before");
        assert!(gives_up(&status, 600));
        status.causes.pop();
        assert!(!gives_up(&status, 86_400), "a stage before waits for it");
    }
}
