//! Brings one application to what Git says, once. Takes no hint about what changed. Whoever holds the cluster that it goes to
//! does so, once whoever had it before has let it go.
//!
//! The steps, in the order they happen: [`subject`] (client required), [`desire`] (client required), [`live`] and
//! [`look`] (client required for bodies, the comparison itself is the engine's), [`custom`] (client required), [`operation`] (the state machine of a
//! sync), [`apply`] and [`hooks`] (client required), [`publish`] (client required); [`deletion`] is the other end of a life.
//! [`writer`] says as whom all of it is done.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::application::{Application, REFRESH};
use domain::cause::Cause;
use domain::clock::Timestamp;
use domain::cluster::Cluster;
use domain::message;
use domain::quota::Quota;
use domain::shard::Unit;
use domain::status::Status;
use engine::autosync::{self, Decision};
use tokio_util::sync::CancellationToken;

use crate::clusters::Placed;
use crate::context::Context;
use crate::driver::queue::AppKey;
use crate::memory::AppMemory;
use crate::publisher::Unwritten;
use crate::repos::Trouble;
use crate::shard::{MARGIN, Term};

pub mod apply;
pub mod custom;
pub mod deletion;
pub mod desire;
pub mod hooks;
pub mod live;
pub mod look;
pub mod operation;
pub mod orphans;
pub mod publish;
pub mod subject;
pub mod writer;

use desire::{Desired, Wish};
use look::Look;
use publish::Report;
use subject::Subject;
use writer::Writer;

/// The annotation that has an application left alone.
const SKIP: &str = "argocd.argoproj.io/skip-reconcile";
/// A fault of ours is told to people after so many tries; until then it may pass by itself.
const PATIENCE: u32 = 3;
/// A cluster that is away for no longer than this is not called so: an apiserver that restarts, or the first listing.
const BLINK: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Nothing is looked at again sooner for what a clock says: it may be a little behind.
const SOON: Duration = Duration::from_millis(100);
/// A cluster that answers, and of which a kind cannot be listed for so long, is not known until somebody mends that.
const UNLISTED: Duration = Duration::from_secs(30);
/// When it is looked at again.
const UNLISTED_AGAIN: Duration = Duration::from_secs(10);
/// The longest that one look takes in a cluster that a tenant has added: as long as a rendering may, and a minute there.
const LONGEST: Duration = Duration::from_secs(240);
/// The longest that hooks are let go of there whose application is gone.
const LETTING_GO: Duration = Duration::from_secs(60);
/// When an application tries again whose tenant runs as many operations as it may.
const FULL: Duration = Duration::from_secs(5);
/// When hooks are looked at again first that our finalizer still keeps.
const STILL_HELD: Duration = Duration::from_secs(30);
/// When one tries again that another controller has not let go yet; that it has wakes it.
const ANOTHERS: Duration = Duration::from_secs(1);

/// When to look again, if nothing happens before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When something happens.
    Sleep,
    /// The same. What was written is what was compared: unless the cluster has something else by now, whatever it woke the
    /// application for meanwhile is answered.
    Settled,
    /// After this long.
    After(Duration),
    /// When there is room: as much is worked on in added clusters as may be. Nothing was looked at.
    Busy,
    /// Never: there is no such application any more.
    Gone,
    /// There is no such application any more, or it is another controller's, but something of it is here, which is tried again after
    /// this long.
    Left(Duration),
}

impl Next {
    /// The sooner of two times to look again, where there are two.
    #[must_use]
    pub fn sooner(self, other: Self) -> Self {
        match (self, other) {
            (Self::After(one), Self::After(other)) => Self::After(one.min(other)),
            (_, Self::After(_)) => other,
            _ => self,
        }
    }
}

/// Why a look came to nothing; it is tried again.
#[derive(Debug)]
pub enum Failure {
    /// The database did not answer.
    Store(store::Error),
    /// The result could not be written.
    Unwritten(Unwritten),
    /// The cluster did not answer, or is not ours any more.
    Cluster(cluster::Error),
    /// A repo-server did not answer.
    Repository(Trouble),
    /// A fault of ours, which something about that application brings out.
    Broken,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Unwritten(error) => error.fmt(f),
            Self::Cluster(error) => error.fmt(f),
            Self::Repository(trouble) => trouble.fmt(f),
            Self::Broken => f.write_str("the look at it broke off"),
        }
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<Unwritten> for Failure {
    fn from(error: Unwritten) -> Self {
        Self::Unwritten(error)
    }
}

/// Brings one application to what Git says, once.
///
/// # Errors
/// When something of ours did not answer; the caller comes again.
pub async fn reconcile(ctx: &Arc<Context>, key: &AppKey) -> Result<Next, Failure> {
    let scope = ctx.store.tenant(key.tenant);
    let Some((app, item)) = scope.applications().find_at_work(&key.name).await? else {
        return gone(ctx, key).await;
    };
    if app.annotation(SKIP) == Some("true") {
        return Ok(Next::Sleep);
    }
    if let Some(tenant) = ctx.tenants.get(key.tenant).await?
        && !tenant.active()
    {
        // Neither compared, nor synced, nor polled; what it has stays, and the tenant's change wakes it.
        forget(ctx, key);
        ctx.clusters.leave(key);
        return Ok(Next::Sleep);
    }
    let meant = subject::meant(ctx, key, &app).await?;
    let unit = Unit::of(key.tenant, meant.as_ref());
    let Some(term) = ctx.shard.term(&unit) else {
        return step_aside(ctx, key, &app, item.as_deref()).await;
    };
    // Whoever is in charge next looks anew.
    let Some(_at_work) = term.enter() else {
        return Ok(Next::Sleep);
    };
    let work = async {
        if !claimed(ctx, key, &term, item.as_deref()).await? {
            return Ok(Next::After(ANOTHERS));
        }
        in_charge(ctx, key, app, meant).await
    };
    tokio::select! {
        biased;
        () = term.lost.cancelled() => {
            // What was noted meanwhile is for whoever is in charge next to find out.
            forget(ctx, key);
            Ok(Next::Sleep)
        }
        next = work => next,
    }
}

/// Whether an application is the work of this term, now if it was not before; not while it is that of another controller,
/// which has not let it go.
async fn claimed(
    ctx: &Context,
    key: &AppKey,
    term: &Term,
    item: Option<&str>,
) -> Result<bool, Failure> {
    // One that is nobody's yet becomes the shared cluster's with the first that is written of it.
    let own = item.map_or(term.unit == Unit::Shared, |item| item == term.item);
    if own {
        return Ok(true);
    }
    let platform = ctx.store.platform();
    let lease = (term.item.as_str(), term.fence);
    let claimed = platform.claim_application(lease, key.tenant, &key.name, MARGIN);
    claimed.await.map_err(Failure::from)
}

/// What an application leaves behind here that goes to a cluster which is not ours: its hooks are let go, and then itself.
async fn step_aside(
    ctx: &Arc<Context>,
    key: &AppKey,
    app: &Application,
    item: Option<&str>,
) -> Result<Next, Failure> {
    let had = item.and_then(|item| ctx.shard.holding(item));
    if had.is_none()
        && let Some(pause) = ctx.memory.kept(key, Instant::now())
    {
        // Another controller's by now, to which this is nothing. Whatever that writes wakes it here too.
        return match pause.is_zero() {
            true if has_hooks_under_way(app) => Ok(keeps(ctx, key).map_or(Next::Sleep, Next::Left)),
            true => Ok(left_behind(ctx, key).await?.unwrap_or(Next::Sleep)),
            false => Ok(Next::Left(pause)),
        };
    }
    let at_work = had.as_ref().map(|term| term.enter());
    // Whoever is in charge next lets it go.
    if let Some(None) = &at_work {
        return Ok(Next::Sleep);
    }
    let turn = match had.is_some() && ctx.clusters.has(key, None) {
        true => match ctx.clusters.turn(key) {
            Some(turn) => Some(turn),
            None => return Ok(Next::Busy),
        },
        false => None,
    };
    let left = ctx.clusters.leave(key);
    let mut all = true;
    if let Some(term) = had {
        match left {
            Some(left) => all = let_go_in(&[left], key).await?,
            None if term.unit == Unit::Shared => all = let_go(ctx, key).await?,
            None => {}
        }
        let platform = ctx.store.platform();
        let lease = (term.item.as_str(), term.fence);
        let released = platform.release_application(lease, key.tenant, &key.name);
        released.await?;
    }
    drop((turn, at_work));
    forget(ctx, key);
    // Whoever has it now does not wait for that, nor for what is kept where it was before.
    let again = match all {
        true => ctx.memory.kept(key, Instant::now()),
        false => keeps(ctx, key),
    };
    Ok(again.map_or(Next::Sleep, Next::Left))
}

/// Notes that hooks of an application are kept where it is not any more; when that is tried again, for which the clusters stay open.
fn keeps(ctx: &Context, key: &AppKey) -> Option<Duration> {
    let now = Instant::now();
    let again = ctx.memory.keeps(key, now, deletion::once_more)?;
    ctx.clusters.linger(key.tenant);
    Some(again)
}

/// Brings an application to what Git says that is ours.
async fn in_charge(
    ctx: &Arc<Context>,
    key: &AppKey,
    app: Application,
    meant: Option<Cluster>,
) -> Result<Next, Failure> {
    let turn = match meant.is_some() || ctx.clusters.has(key, None) {
        true => match ctx.clusters.turn(key) {
            Some(turn) => Some(turn),
            None => return Ok(Next::Busy),
        },
        false => None,
    };
    let Placed { place, left } = match subject::placed(ctx, key, meant.as_ref()).await? {
        Ok(placed) => placed,
        // Not for people: whoever is in charge then looks anew.
        Err(cause) if cause.message.is(&message::cluster::NOT_HOLDER) => {
            return Err(Failure::Cluster(cluster::Error::NotHolder));
        }
        Err(cause) => {
            let outside = meant.as_ref().map(|added| from_outside(ctx, key, added));
            return locked_out(outside.as_ref().unwrap_or(ctx), key, &app, cause).await;
        }
    };
    let_go_elsewhere(ctx, key, &app, &place, turn.is_some()).await?;
    let mut memory = place.memory.take(key, app.uid());
    let look = async {
        if let Some(left) = &left
            && !let_go(left, key).await?
        {
            keeps(ctx, key);
        }
        with_memory(&place, key, app, &mut memory).await
    };
    let next = match turn {
        Some(_turn) => match in_time(&place.closed, look).await {
            Ended::Done(next) => next,
            // It is open anew, in another way, or there is none.
            Ended::Closed => Ok(Next::After(Duration::ZERO)),
            Ended::Late => Err(Failure::Cluster(cluster::Error::TimedOut {
                seconds: LONGEST.as_secs(),
            })),
        },
        None => look.await,
    };
    let again = ctx.memory.kept(key, Instant::now());
    match next {
        Ok(Next::Gone) => {
            ctx.clusters.leave(key);
            forget(&place, key);
            Ok(again.map_or(Next::Gone, Next::Left))
        }
        next => {
            place.memory.put(key, memory);
            let next = next?;
            Ok(again.map_or(next, |again| next.sooner(Next::After(again))))
        }
    }
}

/// What an application left behind that is gone.
async fn gone(ctx: &Arc<Context>, key: &AppKey) -> Result<Next, Failure> {
    let again = left_behind(ctx, key).await?;
    Ok(again.unwrap_or(Next::Gone))
}

/// Lets go of the hooks of an application that is gone, or not ours: it may have been in each cluster that its tenant has. When to
/// come again, if that is to be done.
async fn left_behind(ctx: &Arc<Context>, key: &AppKey) -> Result<Option<Next>, Failure> {
    let added = ctx.clusters.of_tenant(key.tenant);
    let turn = match added.is_empty() {
        true => None,
        false => match ctx.clusters.turn(key) {
            Some(turn) => Some(turn),
            None => return Ok(Some(Next::Busy)),
        },
    };
    ctx.clusters.leave(key);
    forget(ctx, key);
    let mut all = match ctx.term().is_some() {
        true => let_go(ctx, key).await?,
        false => true,
    };
    all &= let_go_in(&added, key).await?;
    drop(turn);
    if all {
        ctx.memory.keeps_none(key);
        return Ok(None);
    }
    Ok(keeps(ctx, key).map(Next::Left))
}

/// The same in some clusters, as long as they are open and answer.
async fn let_go_in(places: &[Arc<Context>], key: &AppKey) -> Result<bool, Failure> {
    let letting_go = async {
        let mut all = true;
        for place in places {
            tokio::select! {
                () = place.closed.cancelled() => {}
                done = let_go(place, key) => all &= done?,
            }
        }
        Ok::<bool, Failure>(all)
    };
    match tokio::time::timeout(LETTING_GO, letting_go).await {
        Ok(done) => done,
        Err(_) => {
            tracing::warn!("hooks of an application that is elsewhere were not let go in time");
            Ok(false)
        }
    }
}

/// Tries again what is kept of an application's hooks where it was before it came to a place, once that is to be done.
async fn let_go_elsewhere(
    ctx: &Arc<Context>,
    key: &AppKey,
    app: &Application,
    place: &Arc<Context>,
    has_turn: bool,
) -> Result<(), Failure> {
    let due = ctx.memory.kept(key, Instant::now());
    if due.is_none_or(|pause| !pause.is_zero()) {
        return Ok(());
    }
    if has_hooks_under_way(app) {
        keeps(ctx, key);
        return Ok(());
    }
    let turn = match has_turn {
        true => None,
        false => ctx.clusters.turn(key),
    };
    let mut places = ctx.clusters.of_tenant(key.tenant);
    places.extend(ctx.term().map(|_| ctx.clone()));
    // It may be open anew by now.
    places.retain(|other| other.unit != place.unit);
    // Nobody else's looks wait for it: without a turn it is for later.
    let all = (has_turn || turn.is_some()) && let_go_in(&places, key).await?;
    match all {
        true => ctx.memory.keeps_none(key),
        false => {
            keeps(ctx, key);
        }
    }
    Ok(())
}

/// Whether hooks of an application may run: where it was and where it is may be the same cluster by two addresses, and none that runs is
/// let go.
fn has_hooks_under_way(app: &Application) -> bool {
    app.operation.is_some() || app.deleting()
}

/// Lets go of an application's hooks in a cluster where it is not any more; `false` where some are kept.
async fn let_go(place: &Context, key: &AppKey) -> Result<bool, Failure> {
    if let Some(tenant) = place.tenants.get(key.tenant).await?
        && tenant.active()
    {
        // There may be no application any more whose project could be asked, nor one that could say what the cluster refuses.
        let writer = Writer::own(&tenant);
        let kept = deletion::let_go(place, key, &tenant, &writer, None).await;
        return Ok(kept.is_empty());
    }
    Ok(true)
}

/// How something ended that may take a stranger's answers.
enum Ended<T> {
    /// By itself.
    Done(T),
    /// With the cluster: it is not followed in this way any more.
    Closed,
    /// It took too long.
    Late,
}

/// Does something in a cluster that a tenant has added: neither for ever, nor when it was closed.
async fn in_time<T>(closed: &CancellationToken, work: impl Future<Output = T>) -> Ended<T> {
    tokio::select! {
        () = closed.cancelled() => Ended::Closed,
        done = tokio::time::timeout(LONGEST, work) => done.map_or(Ended::Late, Ended::Done),
    }
}

/// What a report needs of a cluster that nobody gets into: it is written under that cluster's lease.
fn from_outside(ctx: &Context, key: &AppKey, added: &Cluster) -> Context {
    let unit = Unit::of(key.tenant, Some(added));
    Context {
        publisher: ctx.publisher.of(unit.clone()),
        metrics: ctx.metrics.at(&added.server),
        unit,
        ..ctx.clone()
    }
}

/// Nobody gets into the cluster that an application goes to, until somebody changes what is known of the cluster.
async fn locked_out(
    ctx: &Context,
    key: &AppKey,
    app: &Application,
    cause: Cause,
) -> Result<Next, Failure> {
    let tenant = ctx.tenants.name_of(key.tenant);
    if app.deleting() {
        let next = deletion::locked_out(ctx, key, &tenant, app, cause).await?;
        if next == Next::Gone {
            ctx.clusters.leave(key);
            forget(ctx, key);
        }
        return Ok(next);
    }
    hopeless(ctx, key, &tenant, app, vec![cause]).await
}

/// Whether the shared cluster has of an application just what was compared when its last operation ended.
#[must_use]
pub fn is_settled(ctx: &Context, key: &AppKey) -> bool {
    let tenant = ctx.tenants.name_of(key.tenant);
    let index = ctx.cluster.index();
    let there = index.snapshot(&tenant, &key.name);
    let beneath = index.descendants(there.iter().map(|entry| entry.uid.as_ref()));
    beneath.is_empty() && ctx.memory.settled(key) == Some(live::state_of(&there))
}

/// Forgets an application that is gone.
pub fn forget(ctx: &Context, key: &AppKey) {
    ctx.memory.forget(key);
    ctx.repos.forget(key);
    ctx.metrics.forget(key);
}

async fn with_memory(
    ctx: &Context,
    key: &AppKey,
    app: Application,
    memory: &mut AppMemory,
) -> Result<Next, Failure> {
    let Some(tenant) = ctx.tenants.get(key.tenant).await? else {
        // Made a moment ago, or destroyed: the change feed says which.
        return Ok(Next::Sleep);
    };
    if app.deleting() {
        return deletion::advance(ctx, key, app, &tenant, memory).await;
    }
    let subject = match subject::read(ctx, key, app, &tenant).await? {
        Ok(subject) => subject,
        Err((app, causes)) => {
            ctx.repos.forget(key);
            return hopeless(ctx, key, tenant.tenant.name.as_str(), &app, causes).await;
        }
    };
    match cluster_state(ctx) {
        ClusterState::Known => {}
        ClusterState::NotYet(wait) => return Ok(Next::After(wait)),
        ClusterState::Away(cause, next) => {
            // Patience is for one that answers.
            memory.times.interrupted = None;
            return operation::without_cluster(ctx, &subject, *cause, next).await;
        }
    }
    match subject.app.operation.clone() {
        Some(asked) => operation::advance(ctx, subject, asked, memory).await,
        None => compare(ctx, subject, memory).await,
    }
}

/// Compares, and syncs if the application does so by itself.
async fn compare(ctx: &Context, subject: Subject, memory: &mut AppMemory) -> Result<Next, Failure> {
    let refresh = subject.app.annotation(REFRESH).map(str::to_owned);
    let wish = Wish::of_spec(
        &subject,
        refresh.is_some(),
        refresh.as_deref() == Some("hard"),
    );
    let desired = desire::desire(ctx, &subject, &wish, memory).await;
    let (look, again) = look_at(ctx, &subject, desired, memory).await?;
    let (claimant, live) = (subject.claimant(), look.live.entries());
    let last = subject.app.status.operation.as_ref();
    let last = last.map(|state| (state, &look.checks));
    let mut held = hooks::release_idle(ctx, &subject.writer, claimant, live, last).await;
    let (unwatched, later) = hooks::unwatched::release(ctx, &subject, memory).await;
    held.extend(unwatched);
    let lasting = operation::lasting(&subject.app, &look);
    let lasting: Vec<Cause> = held.iter().cloned().chain(lasting).collect();
    let mut status = look::status(ctx, &subject, &look, lasting.clone(), refresh.is_some());
    let decision = decided(ctx, &subject, &status);
    // Whatever else is waited for, this is asked again.
    let mut next = look.again.map_or(Next::Sleep, Next::After).sooner(later);
    if !held.is_empty() {
        next = next.sooner(hooks::again(&status, ctx.clock.now()));
    }
    match decision {
        Decision::Sync(_) if look.desired.is_ok() && busy(ctx, &subject).await? => {
            let causes = std::iter::once(no_turn(&subject)).chain(lasting).collect();
            status = look::status(ctx, &subject, &look, causes, refresh.is_some());
            next = next.sooner(Next::After(FULL));
        }
        Decision::Sync(asked) if look.desired.is_ok() => {
            return operation::begin_automated(ctx, subject, *asked, status, look, refresh, memory)
                .await;
        }
        Decision::Nothing(_) | Decision::Sync(_) => {}
        Decision::Wait(until) => {
            next = next.sooner(at(ctx, until));
            let causes = std::iter::once(heals_later(until)).chain(lasting).collect();
            status = look::status(ctx, &subject, &look, causes, refresh.is_some());
        }
        Decision::Refused(cause) => {
            let causes = std::iter::once(*cause).chain(lasting).collect();
            status = look::status(ctx, &subject, &look, causes, refresh.is_some());
        }
        Decision::Closed(closed) => {
            if let Some(until) = closed.until {
                next = next.sooner(at(ctx, until));
            }
            let causes = std::iter::once(closed.cause).chain(held).collect();
            status = look::status(ctx, &subject, &look, causes, refresh.is_some());
        }
    }
    let report = Report {
        status,
        clear_refresh: refresh,
        finalizers: look::finalizers(&subject, &look),
        next,
        ..Report::default()
    };
    let next = publish::report(
        ctx,
        &subject.key,
        subject.tenant_name(),
        &subject.app,
        report,
    )
    .await?;
    match again {
        // What was said stays true until the service, or the server, answers; it is asked again.
        Some(trouble) => Err(Failure::Repository(trouble)),
        None => Ok(next),
    }
}

/// Follows what Git says, and compares it with the cluster; and the trouble with Git that is asked about again, where there is such.
async fn look_at(
    ctx: &Context,
    subject: &Subject,
    desired: Result<Desired, Trouble>,
    memory: &mut AppMemory,
) -> Result<(Look, Option<Trouble>), Failure> {
    desire::follow(
        ctx,
        subject,
        desired
            .as_ref()
            .ok()
            .map(|desired| desired.revisions.as_slice()),
        memory,
    );
    let again = desired
        .as_ref()
        .err()
        .filter(|trouble| trouble.ours || trouble.passing)
        .cloned();
    if let Some(trouble) = &again
        && trouble.ours
        && ctx.memory.failures(&subject.key) < PATIENCE
    {
        return Err(Failure::Repository(trouble.clone()));
    }
    let look = look::look(ctx, subject, desired, memory)
        .await
        .map_err(Failure::Cluster)?;
    Ok((look, again))
}

/// Whether an application that was compared syncs by itself now.
fn decided(ctx: &Context, subject: &Subject, status: &Status) -> Decision {
    autosync::decide(&autosync::Input {
        applicant: subject.applicant(),
        sources: &status.compared_sources,
        deleting: subject.app.deleting(),
        busy: subject.app.operation.is_some(),
        last: subject.app.status.operation.as_ref(),
        revisions: &status.revisions,
        manifest_set: status.manifest_set.as_ref(),
        sync: status.sync,
        resources: &status.resources,
        now: ctx.clock.now(),
    })
}

/// At a time; one that has just passed is now.
fn at(ctx: &Context, time: Timestamp) -> Next {
    let wait = time.signed_duration_since(ctx.clock.now());
    let wait = wait.to_std().unwrap_or_default();
    Next::After(wait.max(Duration::from_millis(1)))
}

/// Whether the tenant runs as many operations as it may.
async fn busy(ctx: &Context, subject: &Subject) -> Result<bool, Failure> {
    let Some(allowed) = subject.tenant().tenant.allowed(Quota::Operations) else {
        return Ok(false);
    };
    // There are no more operations than applications.
    let tenant = &subject.tenant().tenant;
    if tenant
        .allowed(Quota::Applications)
        .is_some_and(|applications| applications <= allowed)
    {
        return Ok(false);
    }
    let scope = ctx.store.tenant(subject.key.tenant);
    Ok(scope.operations_besides(&subject.key.name).await? >= allowed)
}

/// That as many operations run as may; one more begins when one of them has ended.
fn no_turn(subject: &Subject) -> Cause {
    let allowed = subject.tenant().tenant.allowed(Quota::Operations);
    let message = message::sync::WAITING_TURN.with("allowed", allowed.unwrap_or_default());
    Cause::reason(message)
}

/// That drift is undone at a time, and not before.
fn heals_later(until: Timestamp) -> Cause {
    let time = until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    Cause::reason(message::sync::HEAL_WAITS.with("time", time))
}

/// Whether the index says what the cluster has.
enum ClusterState {
    Known,
    /// It will in a moment, and that wakes the application; after how long it is looked at whether it does not.
    NotYet(Duration),
    /// It does not, and when to look again if nothing happens before.
    Away(Box<Cause>, Next),
}

fn cluster_state(ctx: &Context) -> ClusterState {
    let connection = ctx.cluster.connection().borrow().clone();
    if connection.reachable {
        if ctx.cluster.index().is_ready() {
            return ClusterState::Known;
        }
        return match unlisted(ctx) {
            Some(cause) => ClusterState::Away(Box::new(cause), Next::After(UNLISTED_AGAIN)),
            None => ClusterState::NotYet(may_list(ctx)),
        };
    }
    let away = ctx.clock.now().signed_duration_since(connection.since);
    let away = away.to_std().unwrap_or_default();
    if away < BLINK {
        return ClusterState::NotYet((BLINK - away).max(SOON));
    }
    let cause = Cause::error(message::cluster::UNREACHABLE.with("cluster", ctx.cluster.name()));
    let evidence = connection.message;
    let cause = match evidence.is_empty() {
        true => cause,
        false => cause.evidence(evidence),
    };
    ClusterState::Away(Box::new(cause), Next::Sleep)
}

/// How long a cluster that answers may still take to list its kinds before one is called unlisted.
fn may_list(ctx: &Context) -> Duration {
    let left = |(since, _)| UNLISTED.saturating_sub(since).max(SOON);
    ctx.cluster.index().lagging().map_or(UNLISTED_AGAIN, left)
}

/// Why nobody knows what a cluster has that answers: one of its kinds cannot be listed, and that is not about to end.
#[must_use]
pub fn unlisted(ctx: &Context) -> Option<Cause> {
    let (since, kind) = ctx.cluster.index().lagging()?;
    if since < UNLISTED {
        return None;
    }
    let message = message::cluster::KIND_UNLISTED.with("kind", kind);
    Some(Cause::error(message.with("cluster", ctx.cluster.name())))
}

/// Reports an application that no look can help: only an edit can. An operation on it ends at once.
async fn hopeless(
    ctx: &Context,
    key: &AppKey,
    tenant: &str,
    app: &Application,
    causes: Vec<Cause>,
) -> Result<Next, Failure> {
    let refresh = app.annotation(REFRESH).map(str::to_owned);
    let requested = refresh.is_some() || app.operation.is_some();
    let mut status = look::unknown(ctx, app, causes.clone(), requested);
    let mut report = Report {
        clear_refresh: refresh,
        ..Report::default()
    };
    if let Some(asked) = &app.operation {
        status.operation = Some(operation::refused(ctx, app, asked, causes));
        report.clear_operation = Some(asked.clone());
    }
    report.status = status;
    publish::report(ctx, key, tenant, app, report).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_times_to_look_again_the_sooner_counts() {
        let after = |seconds| Next::After(Duration::from_secs(seconds));
        // A window that opens tomorrow, and a check that is asked again in a minute.
        assert_eq!(after(60).sooner(after(86_400)), after(60));
        assert_eq!(after(86_400).sooner(after(60)), after(60));
        assert_eq!(Next::Sleep.sooner(after(60)), after(60));
        assert_eq!(after(60).sooner(Next::Sleep), after(60));
        assert_eq!(Next::Sleep.sooner(Next::Sleep), Next::Sleep);
    }

    #[test]
    fn what_is_healed_later_is_told_with_the_time() {
        let until = Timestamp::from_timestamp(1_700_000_054, 0).unwrap();
        let cause = heals_later(until);
        assert!(cause.message.is(&message::sync::HEAL_WAITS));
        let time = cause.message.arguments.get("time").map(String::as_str);
        assert_eq!(time, Some("2023-11-14T22:14:14Z"));
    }
}
