//! The clusters that tenants have added, for as long as applications are deployed there: a connection, an index and a
//! [`Context`] for each (client required).
//!
//! Each is its tenant's alone, also where two tenants have added the same: it is reached with what that tenant gave, and
//! what happens there wakes nobody else's applications.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{Cluster, Refused, Terms, Wake};
use domain::cause::Cause;
use domain::cluster::{Cluster as Added, Login};
use domain::egress::Egress;
use domain::message;
use domain::tenant::TenantId;
use parking_lot::Mutex;
use runtime::Lifecycle;
use store::{OpeningKeys, SealedLogin};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::context::Context;
use crate::driver::queue::AppKey;

/// How long a cluster stays open to which nothing is deployed any more.
const IDLE: Duration = Duration::from_secs(60);
/// How often such are looked for.
const SWEEP: Duration = Duration::from_secs(15);
/// How much news may wait for the driver; a cluster that has more is looked at as a whole later.
const NEWS: usize = 1024;

/// Something happened in a cluster that a tenant has added.
pub struct Event {
    /// Whose it is.
    pub tenant: TenantId,
    /// What happened there; that the connection came or went where nothing is said.
    pub wake: Option<Wake>,
}

/// The clusters that tenants have added. Cheap to clone.
#[derive(Clone)]
pub struct Clusters(Arc<Inner>);

struct Inner {
    life: Lifecycle,
    keys: OpeningKeys,
    egress: Arc<Egress>,
    terms: Terms,
    events: mpsc::Sender<Event>,
    /// One is opened at a time, and once.
    opening: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

/// A tenant's cluster, by its address.
type Place = (TenantId, String);

#[derive(Default)]
struct State {
    open: HashMap<Place, Open>,
    /// Where applications are, as far as that is an added cluster.
    at: HashMap<AppKey, Place>,
}

struct Open {
    context: Arc<Context>,
    added: Added,
    sealed: SealedLogin,
    /// How many applications are there.
    apps: usize,
    /// Since when there is none.
    idle: Instant,
    /// Ends what keeps it true.
    _run: DropGuard,
}

impl Clusters {
    /// None is open yet. The other end is told what happens in those that will be.
    #[must_use]
    pub fn new(
        life: &Lifecycle,
        keys: OpeningKeys,
        egress: Egress,
        terms: Terms,
    ) -> (Self, mpsc::Receiver<Event>) {
        let (events, told) = mpsc::channel(NEWS);
        let inner = Inner {
            life: life.clone(),
            keys,
            egress: Arc::new(egress),
            terms,
            events,
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

    /// What an application needs that is deployed to a cluster of its tenant's, which is opened where it is not yet;
    /// `shared` is the same for the shared cluster. The inner error says why nobody gets in.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn enter(
        &self,
        shared: &Context,
        app: &AppKey,
        added: &Added,
    ) -> store::Result<Result<Arc<Context>, Cause>> {
        let place = (app.tenant, added.server.clone());
        if let Some(known) = self.known(&place, app, added) {
            return Ok(Ok(known));
        }
        let _turn = self.0.opening.lock().await;
        if let Some(known) = self.known(&place, app, added) {
            return Ok(Ok(known));
        }
        let scope = shared.store.tenant(app.tenant);
        let Some(sealed) = scope.clusters().sealed(&added.server).await? else {
            let message = message::app::DESTINATION_UNKNOWN.with("cluster", &added.server);
            return Ok(Err(Cause::error(message).field("spec.destination")));
        };
        let login = match self.unseal(shared, app.tenant, &added.server, &sealed) {
            Ok(login) => login,
            Err(cause) => return Ok(Err(cause)),
        };
        let Inner { egress, terms, .. } = &*self.0;
        let cluster = match Cluster::added(added, &login, egress, terms.clone()) {
            Ok(cluster) => cluster,
            Err(why) => return Ok(Err(refused(&added.server, &why))),
        };
        let closed = self.0.life.token().child_token();
        let context = Arc::new(Context {
            tenants: shared.tenants.at(added),
            metrics: shared.metrics.at(&added.server),
            closed: closed.clone(),
            cluster,
            ..shared.clone()
        });
        tracing::info!(tenant = %app.tenant, server = %added.server, "a tenant's cluster is followed");
        self.0.life.spawn_short(follow(
            app.tenant,
            context.cluster.clone(),
            self.0.events.clone(),
            closed.clone(),
        ));
        let open = Open {
            context: context.clone(),
            added: added.clone(),
            sealed,
            apps: 0,
            idle: Instant::now(),
            _run: closed.drop_guard(),
        };
        let mut state = self.0.state.lock();
        state.open.insert(place.clone(), open);
        state.settle(app, Some(&place));
        Ok(Ok(context))
    }

    /// The cluster as it is open now, if it is as the tenant has it; the application is noted to be there.
    fn known(&self, place: &Place, app: &AppKey, added: &Added) -> Option<Arc<Context>> {
        let mut state = self.0.state.lock();
        let open = state.open.get(place)?;
        if !same(&open.added, added) {
            state.open.remove(place);
            return None;
        }
        let context = open.context.clone();
        state.settle(app, Some(place));
        Some(context)
    }

    /// An application is in no added cluster, or gone. What it needed where it was last.
    pub fn leave(&self, app: &AppKey) -> Option<Arc<Context>> {
        let mut state = self.0.state.lock();
        let place = state.at.get(app).cloned()?;
        let context = state.open.get(&place).map(|open| open.context.clone());
        state.settle(app, None);
        context
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

    /// Closes all of them: another process is in charge.
    pub fn close_all(&self) {
        let State { open, at } = &mut *self.0.state.lock();
        open.clear();
        at.clear();
    }

    /// Closes those to which nothing is deployed any more, until the stop.
    pub async fn sweep(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SWEEP) => {}
            }
            let mut state = self.0.state.lock();
            state
                .open
                .retain(|_, open| open.apps > 0 || open.idle.elapsed() < IDLE);
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
    /// Notes where an application is.
    fn settle(&mut self, app: &AppKey, place: Option<&Place>) {
        if self.at.get(app) == place {
            return;
        }
        if let Some(before) = self.at.remove(app)
            && let Some(open) = self.open.get_mut(&before)
        {
            open.apps = open.apps.saturating_sub(1);
            open.idle = Instant::now();
        }
        if let Some(place) = place
            && let Some(open) = self.open.get_mut(place)
        {
            open.apps += 1;
            self.at.insert(app.clone(), place.clone());
        }
    }
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

/// Keeps a cluster true and tells what happens in it, until it is closed.
async fn follow(
    tenant: TenantId,
    cluster: Cluster,
    events: mpsc::Sender<Event>,
    closed: CancellationToken,
) {
    let mut wakes = cluster.index().subscribe();
    let mut connection = cluster.connection();
    let tell = async {
        loop {
            let wake = tokio::select! {
                wake = wakes.next() => Some(wake),
                changed = connection.changed() => match changed {
                    Ok(()) => None,
                    Err(_) => return,
                },
            };
            if events.send(Event { tenant, wake }).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = closed.cancelled() => {}
        () = cluster.clone().run() => {}
        () = tell => {}
    }
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
