//! The clusters that tenants have added, for as long as applications are deployed there: a connection, an index and a
//! [`Context`] for each (client required).
//!
//! Each is its tenant's alone, also where two tenants have added the same: it is reached with what that tenant gave, and
//! what happens there wakes nobody else's applications. How much all of them take is bounded, of a tenant and in all. Each
//! is open only while this process holds its lease, and written to through a gate of that term.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{Budget, Cluster, Refused, Terms, Wake};
use domain::cause::Cause;
use domain::cluster::{Cluster as Added, Login};
use domain::egress::Egress;
use domain::message;
use domain::shard::Unit;
use domain::tenant::TenantId;
use parking_lot::Mutex;
use runtime::Lifecycle;
use store::{OpeningKeys, SealedLogin};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::context::Context;
use crate::driver::queue::AppKey;
use crate::shard::{Shard, Term};

mod follow;
mod turns;
mod whereabouts;

pub use turns::Turn;
use turns::Turns;
use whereabouts::{Moved, Place, Whereabouts};

/// How long a cluster stays open to which nothing is deployed any more.
const IDLE: Duration = Duration::from_secs(60);
/// How long one stays open that is away when the last application goes: what that leaves there is let go of when it is back.
const AWAY: Duration = Duration::from_secs(3600);
/// How often such are looked for.
const SWEEP: Duration = Duration::from_secs(15);
/// How much news may wait for the driver; a cluster that has more is looked at as a whole later.
const NEWS: usize = 1024;
/// How many moves of applications an onlooker may not have heard of before it is told to look whichever moved.
const MOVES: usize = 256;
/// How many bytes the objects of a tenant's clusters take at most, and how many watches they get.
const BUDGET_OF_TENANT: (usize, usize) = (256 << 20, 2_000);
/// The same of all tenants' together.
const BUDGET_OF_ALL: (usize, usize) = (768 << 20, 8_000);
/// How many applications are worked on at once in added clusters: of one tenant, and in all. Those behind them take as
/// long over their answers as they like, so that most workers are left for the others.
const WORKED_AT_ONCE: (usize, usize) = (4, 12);

/// Something happened in a cluster that a tenant has added.
pub struct Event {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its address.
    pub server: String,
    /// What happened there.
    pub news: News,
}

/// What happened in such a cluster.
pub enum News {
    /// This.
    Wake(Wake),
    /// It may be anything.
    Anything,
    /// It was looked through, and hooks are there which our finalizer keeps, of these applications.
    Kept(Vec<Arc<str>>),
}

/// Where an application is.
pub struct Placed {
    /// What it needs there.
    pub place: Arc<Context>,
    /// What it needed where it was until now, if that was elsewhere and is open.
    pub left: Option<Arc<Context>>,
}

/// The clusters that tenants have added. Cheap to clone.
#[derive(Clone)]
pub struct Clusters(Arc<Inner>);

struct Inner {
    life: Lifecycle,
    shard: Shard,
    keys: OpeningKeys,
    egress: Arc<Egress>,
    terms: Terms,
    budget: Arc<Budget>,
    turns: Turns,
    events: mpsc::Sender<Event>,
    /// Tells those who look on which application is elsewhere than before.
    moves: broadcast::Sender<AppKey>,
    /// One is opened at a time, and once; none while what is open is reviewed.
    opening: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: HashMap<Place, Open>,
    /// Where applications are, as far as that is an added cluster.
    whereabouts: Whereabouts,
    budgets: HashMap<TenantId, Arc<Budget>>,
}

struct Open {
    context: Arc<Context>,
    /// In which it was opened.
    term: Arc<Term>,
    added: Added,
    sealed: SealedLogin,
    /// When it was last known to be of use.
    used: Instant,
    /// Whether an application was there.
    had: bool,
    /// When nobody knew last what it has.
    away: Instant,
    /// Ends what keeps it true.
    _run: DropGuard,
}

impl Clusters {
    /// None is open yet. The other end is told what happens in those that will be.
    #[must_use]
    pub fn new(
        life: &Lifecycle,
        shard: Shard,
        keys: OpeningKeys,
        egress: Egress,
        terms: Terms,
    ) -> (Self, mpsc::Receiver<Event>) {
        let (events, told) = mpsc::channel(NEWS);
        let inner = Inner {
            life: life.clone(),
            shard,
            keys,
            egress: Arc::new(egress),
            terms,
            budget: Budget::new(BUDGET_OF_ALL.0, BUDGET_OF_ALL.1, None),
            turns: Turns::new(WORKED_AT_ONCE.0, WORKED_AT_ONCE.1),
            events,
            moves: broadcast::channel(MOVES).0,
            opening: tokio::sync::Mutex::default(),
            state: Mutex::default(),
        };
        (Self(Arc::new(inner)), told)
    }

    /// What opens credentials.
    #[must_use]
    pub fn keys(&self) -> &OpeningKeys {
        &self.0.keys
    }

    /// Where added clusters may be.
    #[must_use]
    pub fn egress(&self) -> &Arc<Egress> {
        &self.0.egress
    }

    /// A turn at working on an application in one of its tenant's clusters; nothing while as many are worked on as may be, and
    /// then [`Self::whose_turn`] names it when there is one.
    #[must_use]
    pub fn turn(&self, app: &AppKey) -> Option<Turn> {
        self.0.turns.enter(app)
    }

    /// An application that found no turn and would find one now.
    #[must_use]
    pub fn whose_turn(&self) -> Option<AppKey> {
        self.0.turns.next()
    }

    /// The applications that are elsewhere than before, from now on.
    #[must_use]
    pub fn moves(&self) -> broadcast::Receiver<AppKey> {
        self.0.moves.subscribe()
    }

    /// What an application needs that is deployed to a cluster of its tenant's, which is opened where it is not yet;
    /// `shared` is the same for the shared cluster. The inner error says why nobody gets in.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn enter(
        &self,
        shared: &Arc<Context>,
        app: &AppKey,
        added: &Added,
    ) -> store::Result<Result<Placed, Cause>> {
        let place = match self.open(shared, app.tenant, added).await? {
            Ok(place) => place,
            Err(cause) => return Ok(Err(cause)),
        };
        let at = (app.tenant, added.server.clone());
        let left = self.settle(app, Some(&at)).and_then(|moved| match moved {
            Moved { from: Some(from) } => self.find(from.0, &from.1),
            // Where another has the shared cluster, that one has let go of what was there.
            Moved { from: None } => shared.term().map(|_| shared.clone()),
        });
        Ok(Ok(Placed { place, left }))
    }

    /// An application is in no added cluster, or gone. What it needed where it was until now, if that is open.
    pub fn leave(&self, app: &AppKey) -> Option<Arc<Context>> {
        let (tenant, server) = self.settle(app, None)?.from?;
        self.find(tenant, &server)
    }

    /// Notes where an application is, and tells if that is elsewhere than before.
    fn settle(&self, app: &AppKey, place: Option<&Place>) -> Option<Moved> {
        let moved = self.0.state.lock().whereabouts.settle(app, place)?;
        // Nobody looking on is no error.
        let _ = self.0.moves.send(app.clone());
        Some(moved)
    }

    /// What somebody needs who only looks at a tenant's cluster: it is opened where it is not yet, and stays open while it is
    /// looked at, or an application is there. The inner error says why nobody gets in.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open(
        &self,
        shared: &Context,
        tenant: TenantId,
        added: &Added,
    ) -> store::Result<Result<Arc<Context>, Cause>> {
        let Some(term) = self.0.shard.term(&Unit::of(tenant, Some(added))) else {
            return Ok(Err(not_holder()));
        };
        let place = (tenant, added.server.clone());
        if let Some(known) = self.known(&place, added, &term) {
            return Ok(Ok(known));
        }
        let _turn = self.0.opening.lock().await;
        if let Some(known) = self.known(&place, added, &term) {
            return Ok(Ok(known));
        }
        let scope = shared.store.tenant(tenant);
        let Some(sealed) = scope.clusters().sealed(&added.server).await? else {
            let message = message::app::DESTINATION_UNKNOWN.with("cluster", &added.server);
            return Ok(Err(Cause::error(message).field("spec.destination")));
        };
        let opened = self
            .unseal(shared, tenant, &added.server, &sealed)
            .and_then(|login| self.reach(tenant, added, &login, &term))
            .and_then(|cluster| self.admit(term, shared, added, sealed, cluster));
        Ok(opened)
    }

    /// The way into a cluster, as open as the term; nothing is sent.
    fn reach(
        &self,
        tenant: TenantId,
        added: &Added,
        login: &Login,
        term: &Term,
    ) -> Result<Cluster, Cause> {
        let Inner {
            egress,
            terms,
            budget,
            ..
        } = &*self.0;
        let budget = self.0.state.lock().budget(tenant, budget);
        let terms = Terms {
            gate: Arc::new(term.gate.clone()),
            ..terms.clone()
        };
        Cluster::added(added, login, egress, &budget, terms)
            .map_err(|why| refused(&added.server, &why))
    }

    /// Has a cluster followed from now on, unless its term has ended since that was begun.
    fn admit(
        &self,
        term: Arc<Term>,
        shared: &Context,
        added: &Added,
        sealed: SealedLogin,
        cluster: Cluster,
    ) -> Result<Arc<Context>, Cause> {
        let Unit::Added { tenant, server } = &term.unit else {
            return Err(not_holder());
        };
        let place: Place = (*tenant, server.clone());
        let closed = self.0.life.token().child_token();
        let context = Arc::new(Context {
            unit: term.unit.clone(),
            publisher: shared.publisher.of(term.unit.clone()),
            tenants: shared.tenants.at(added),
            metrics: shared.metrics.at(&added.server),
            closed: closed.clone(),
            cluster: cluster.clone(),
            ..shared.clone()
        });
        let open = Open {
            context: context.clone(),
            term: term.clone(),
            added: added.clone(),
            sealed,
            used: Instant::now(),
            had: false,
            away: Instant::now(),
            _run: closed.clone().drop_guard(),
        };
        {
            let mut state = self.0.state.lock();
            // Whoever ends a term closes what is open afterwards.
            if term.lost.is_cancelled() {
                return Err(not_holder());
            }
            state.open.insert(place.clone(), open);
        }
        tracing::info!(tenant = %place.0, server = %place.1, "a tenant's cluster is followed");
        let events = self.0.events.clone();
        let name = context.tenants.name_of(place.0);
        let answers = context.metrics.reachability(&name);
        let told = follow::Told {
            place,
            name,
            events,
            answers,
        };
        self.0
            .life
            .spawn_short(follow::follow(cluster, told, closed));
        Ok(context)
    }

    /// The cluster as it is open now, if it is as the tenant has it, in this term.
    fn known(&self, place: &Place, added: &Added, term: &Arc<Term>) -> Option<Arc<Context>> {
        let mut state = self.0.state.lock();
        let open = state.open.get_mut(place)?;
        if !same(&open.added, added) || !Arc::ptr_eq(&open.term, term) {
            state.open.remove(place);
            return None;
        }
        open.used = Instant::now();
        Some(open.context.clone())
    }

    /// Whether an application is in an added cluster; in the one at this address, where one is named.
    #[must_use]
    pub fn has(&self, app: &AppKey, server: Option<&str>) -> bool {
        self.0.state.lock().whereabouts.is_at(app, server)
    }

    /// The applications that are in a tenant's cluster.
    #[must_use]
    pub fn apps_at(&self, tenant: TenantId, server: &str) -> Vec<AppKey> {
        let place = (tenant, server.to_owned());
        self.0.state.lock().whereabouts.apps_at(&place)
    }

    /// The clusters of a tenant that are open.
    #[must_use]
    pub fn of_tenant(&self, tenant: TenantId) -> Vec<Arc<Context>> {
        let state = self.0.state.lock();
        let own = state.open.iter().filter(|((whose, _), _)| *whose == tenant);
        own.map(|(_, open)| open.context.clone()).collect()
    }

    /// Those that are stay so for a while: something of the tenant's is there that is tried again.
    pub fn linger(&self, tenant: TenantId) {
        let mut state = self.0.state.lock();
        let open = state.open.iter_mut();
        let own = open.filter(|((whose, _), _)| *whose == tenant);
        own.for_each(|(_, open)| open.used = Instant::now());
    }

    /// A tenant's cluster, while it is open.
    #[must_use]
    pub fn find(&self, tenant: TenantId, server: &str) -> Option<Arc<Context>> {
        let state = self.0.state.lock();
        let open = state.open.get(&(tenant, server.to_owned()));
        open.map(|open| open.context.clone())
    }

    /// Takes in that a tenant's clusters have changed: one that is gone is closed, others are reached from now on with the
    /// credentials that they have now.
    pub async fn review(&self, shared: &Context, tenant: TenantId) {
        // What is being opened now may have been read before the change.
        let _turn = self.0.opening.lock().await;
        let places: Vec<(String, SealedLogin, Arc<Context>)> = {
            let state = self.0.state.lock();
            let own = state.open.iter().filter(|((whose, _), _)| *whose == tenant);
            own.map(|((_, server), open)| {
                (server.clone(), open.sealed.clone(), open.context.clone())
            })
            .collect()
        };
        for (server, used, context) in places {
            let place = (tenant, server.clone());
            let sealed = match shared.store.tenant(tenant).clusters().sealed(&server).await {
                Ok(Some(sealed)) if sealed == used => continue,
                Ok(sealed) => sealed,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a tenant's cluster could not be read"
                    );
                    continue;
                }
            };
            let replaced = sealed.and_then(|sealed| {
                let login = self.unseal(shared, tenant, &server, &sealed).ok()?;
                let replaced = context.cluster.log_in_with(&login, &self.0.egress);
                replaced.is_ok().then_some(sealed)
            });
            let mut state = self.0.state.lock();
            match (replaced, state.open.get_mut(&place)) {
                (Some(sealed), Some(open)) => open.sealed = sealed,
                // Opened anew where it is still wanted, and then it says what is wrong.
                _ => drop(state.open.remove(&place)),
            }
        }
    }

    /// The same of all that are open, whosever they are: nobody knows what has changed.
    pub async fn review_all(&self, shared: &Context) {
        let tenants: HashSet<TenantId> = {
            let state = self.0.state.lock();
            state.open.keys().map(|(tenant, _)| *tenant).collect()
        };
        for tenant in tenants {
            self.review(shared, tenant).await;
        }
    }

    /// Closes one whose term has ended: another process is in charge. The applications that were there.
    pub fn close(&self, tenant: TenantId, server: &str) -> Vec<AppKey> {
        let place = (tenant, server.to_owned());
        let mut state = self.0.state.lock();
        drop(state.open.remove(&place));
        let apps = state.whereabouts.apps_at(&place);
        for app in &apps {
            state.whereabouts.settle(app, None);
        }
        apps
    }

    /// Closes those to which nothing is deployed any more, until the stop.
    pub async fn sweep(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SWEEP) => {}
            }
            self.0.state.lock().sweep();
        }
    }

    fn unseal(
        &self,
        shared: &Context,
        tenant: TenantId,
        server: &str,
        sealed: &SealedLogin,
    ) -> Result<Login, Cause> {
        let scope = shared.store.tenant(tenant);
        let opened = scope.clusters().open(&self.0.keys, server, sealed);
        opened.map_err(|_| {
            Cause::error(message::credentials::CLUSTER_SEALED.with("server", server))
                .field("spec.destination")
        })
    }
}

impl State {
    /// Closes what nobody needs any more: no application is there, and nobody looks.
    fn sweep(&mut self) {
        let Self {
            open,
            whereabouts,
            budgets,
        } = self;
        open.retain(|place, open| {
            let (now, has) = (Instant::now(), whereabouts.is_used(place));
            open.had |= has;
            if has || Arc::strong_count(&open.context) > 1 {
                open.used = now;
            }
            if !is_known(&open.context.cluster) {
                open.away = now;
            }
            let known = now.saturating_duration_since(open.away);
            stays(now.saturating_duration_since(open.used), open.had, known)
        });
        budgets.retain(|_, budget| Arc::strong_count(budget) > 1);
    }

    /// What a tenant's clusters may take, within what all may.
    fn budget(&mut self, tenant: TenantId, all: &Arc<Budget>) -> Arc<Budget> {
        let (bytes, watches) = BUDGET_OF_TENANT;
        let made = || Budget::new(bytes, watches, Some(all.clone()));
        self.budgets.entry(tenant).or_insert_with(made).clone()
    }
}

/// Whether it is known what a cluster has.
fn is_known(cluster: &Cluster) -> bool {
    cluster.connection().borrow().reachable && cluster.index().is_ready()
}

/// Whether a cluster stays open that nobody has needed for so long. Where it `had` an application, which may have gone while it was
/// away, it stays until it has been `known` for a while again what is left there.
fn stays(unused: Duration, had: bool, known: Duration) -> bool {
    unused < IDLE || (had && unused < AWAY && known < IDLE)
}

/// Whether a cluster is looked at in the same way as before. Its credentials are compared by [`Clusters::review`].
fn same(open: &Added, now: &Added) -> bool {
    let seen = |added: &Added| {
        (
            added.name.clone(),
            added.project.clone(),
            added.namespaces.clone(),
            added.cluster_resources,
        )
    };
    seen(open) == seen(now)
}

fn not_holder() -> Cause {
    Cause::error(message::cluster::NOT_HOLDER.message())
}

fn refused(server: &str, why: &Refused) -> Cause {
    let message = match why {
        Refused::Address => message::credentials::CLUSTER_ADDRESS.with("server", server),
        Refused::Said(why) => message::credentials::CLUSTER_UNREACHABLE
            .with("server", server)
            .with("why", why),
    };
    Cause::error(message).field("spec.destination")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_that_is_away_when_its_last_application_goes_stays_open_for_a_while() {
        let (moment, long) = (Duration::from_secs(1), IDLE);
        let hour = AWAY;
        assert!(stays(moment, false, hour), "it was of use");
        assert!(!stays(long, true, hour), "it has answered all along");
        assert!(stays(long, true, Duration::ZERO), "it is away");
        assert!(stays(long, true, moment), "it has just come back");
        assert!(!stays(long, false, Duration::ZERO), "nothing was there");
        assert!(!stays(hour, true, Duration::ZERO), "not for ever");
    }
}
