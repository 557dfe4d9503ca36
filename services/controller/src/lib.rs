//! Keeps each application true to Git, for the clusters of its shard.
//!
//! Deliberately keeps nothing of its own: the truth is in Postgres, Git and the cluster, and what is remembered here
//! only saves time. It renders nothing (that is the repo-server's) and decides nothing about objects (that is the
//! engine's); it observes, carries out, and reports.
//!
//! # Invariants
//! - It works in a cluster only while it holds that cluster's lease: it writes to the cluster only while the lease's gate is
//!   open, and to the database only under the lease's fence. An application that is sent to another cluster is let go by the
//!   holder of the one before another begins.
//! - What a tenant's input causes is done as the tenant's service account, or as the one that its project names instead
//!   ([`reconcile::writer`]).
//! - Hints wake, they never inform; losing every one costs time, never correctness.
//! - Nothing ticks per application: with nothing changed there is one heartbeat a second, one renewal of all leases, and one
//!   listing per repository and interval.
//! - One application is worked on by one worker at a time, and tenants take turns.
//!
//! # Reading order
//! [`config`], [`shard`], [`driver`], [`reconcile`], [`clusters`], [`repos`], [`publisher`], [`memory`], [`grpc`].

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, ConnectOptions, Terms};
use crowd::fair::Fair;
use domain::clock::{Clock, IdSource};
use domain::shard::Unit;
use runtime::clock::{RandomIds, SystemClock};
use runtime::config::{ConfigError, EX_USAGE};
use runtime::expiry::Expiry;
use runtime::metrics::Registry;
use runtime::ops::{self, Need, Readiness};
use runtime::{Lifecycle, telemetry};
use script::Scripts;
use store::{Controller, KeyFile, OpeningKeys, Options, Role, Store};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub mod clusters;
pub mod config;
pub mod context;
pub mod driver;
pub mod grpc;
pub mod memory;
pub mod metrics;
pub mod publisher;
pub mod reconcile;
pub mod repos;
pub mod sealing;
pub mod shard;
pub mod tenants;

use clusters::Clusters;
use config::Config;
use context::Context;
use driver::polls::Poller;
use driver::queue::Queue;
use driver::{Driver, Missed};
use memory::Memory;
use metrics::Metrics;
use reconcile::desire::RENDERS;
use repos::{RepoServers, Repos};
use shard::{Gate, Keeper, Shard};
use tenants::Tenants;

/// The longest that a read of the cluster may take.
const READ: Duration = Duration::from_secs(5);
/// The longest that a write to the cluster may take: what was begun before the margin has ended when the lease does.
const WRITE: Duration = Duration::from_millis(950);
const _: () = assert!(WRITE.as_millis() < shard::MARGIN.as_millis());

/// Says what is wrong with the settings.
#[must_use]
pub fn refuse_settings(error: &ConfigError) -> ExitCode {
    let _guard = telemetry::init("naru-controller", &runtime::config::Telemetry::default());
    for problem in &error.problems {
        tracing::error!(%problem, "bad setting");
    }
    ExitCode::from(EX_USAGE)
}

/// Runs the controller until it is told to stop.
pub async fn run(config: Config) -> ExitCode {
    let _guard = match telemetry::init("naru-controller", &config.telemetry) {
        Ok(guard) => guard,
        Err(error) => {
            return refuse_settings(&ConfigError {
                problems: vec![error.to_string()],
            });
        }
    };
    let life = Lifecycle::new();
    life.heed_signals();
    match start(&life, config).await {
        Ok(()) => {
            if life.run_until_stopped().await {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            tracing::error!(
                error = error.as_ref() as &dyn std::error::Error,
                "the controller cannot start"
            );
            ExitCode::FAILURE
        }
    }
}

type Startup = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Starts every part; each lives on `life`. Where it is told to stop while it waits for the database, nothing more begins.
async fn start(life: &Lifecycle, config: Config) -> Startup {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry);
    Expiry::new(&registry).tell_internal(&config.internal)?;
    let readiness = Readiness::default();
    let (asks, listening) = (readiness.needs("lease"), readiness.needs("listening"));
    if let Some(address) = &config.metrics_listen {
        ops::serve(life, address, registry, readiness, String::new()).await?;
    }
    let key_file = KeyFile::load(&config.key_file)?;
    let cluster_keys = OpeningKeys::load(&config.cluster_key_file)?;
    let egress = config.egress.parse()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let me = Controller {
        id: RandomIds.id().to_string(),
        address: config.advertise.clone(),
    };
    let gate = Gate::default();
    let drained = CancellationToken::new();
    let holder = me.id.clone();
    let options = Options {
        trace: runtime::trace::current,
        ..Options::default()
    };
    // Before anything is held: what a process has that cannot look at the database is nobody's.
    let store = Store::wait_for(
        &config.database_url,
        Role::Controller,
        key_file.clone(),
        options,
    );
    let Some(store) = life.unless_stopped(store).await.transpose()? else {
        return Ok(());
    };
    let shard = hold_leases(
        life,
        &config,
        key_file,
        me,
        gate.clone(),
        asks,
        drained.clone(),
    );
    let Some(shard) = shard.await? else {
        return Ok(());
    };
    let terms = Terms {
        request_timeout: READ,
        write_timeout: WRITE,
        gate: Arc::new(gate),
        fingerprint_key: fingerprint_key(),
        clock: clock.clone(),
    };
    let cluster = Cluster::connect(ConnectOptions {
        name: domain::application::IN_CLUSTER_NAME.to_owned(),
        kubeconfig: config.kubeconfig.clone(),
        context: None,
        terms: terms.clone(),
    })
    .await?;
    let (clusters, events) = Clusters::new(life, shard.clone(), cluster_keys, egress, terms);
    let servers = RepoServers::new(&config.repo_servers, &config.internal)?;
    let (repos, found) = Repos::new(store.clone(), servers, config.poll_interval());
    let (publisher, writer) =
        publisher::publisher(store.platform(), shard.clone(), metrics.clone());
    let context = Arc::new(Context {
        tenants: Tenants::new(store.clone()),
        repos: repos.clone(),
        renders: Fair::sparing(RENDERS.1, RENDERS.0),
        publisher,
        memory: Memory::default(),
        metrics,
        clock,
        store,
        shard,
        unit: Unit::Shared,
        cluster: cluster.clone(),
        clusters: clusters.clone(),
        closed: CancellationToken::new(),
        scripts: Scripts::new(std::env::current_exe()?),
    });

    let listener = TcpListener::bind(&config.listen).await?;
    grpc::serve(life, listener, &config.internal, context.clone())?;
    life.spawn("results", writer.run(drained.clone()));
    life.spawn(
        "sealing",
        sealing::run(context.store.platform(), holder, life.token()),
    );
    life.spawn("cluster", until(life.token(), cluster.run()));
    life.spawn("clusters", clusters.sweep(life.token()));
    let feeds = Feeds { found, events };
    drive(life, &config, context, repos, feeds, drained);
    listening.set(true);
    Ok(())
}

/// What tells of work.
struct Feeds {
    /// Repositories that are followed from now on, and applications that follow what has moved.
    found: mpsc::UnboundedReceiver<repos::News>,
    /// What happens in clusters that tenants have added.
    events: mpsc::Receiver<clusters::Event>,
}

/// The driver, its workers and what feeds them. `drained` is cancelled when the last worker has ended.
fn drive(
    life: &Lifecycle,
    config: &Config,
    context: Arc<Context>,
    repos: Repos,
    feeds: Feeds,
    drained: CancellationToken,
) {
    let queue = Queue::new(config.workers_per_tenant);
    let (timers, alarms) = driver::timers::timers();
    let (poller, polls) = Poller::new(
        repos,
        queue.clone(),
        feeds.found,
        config.poll_interval(),
        config.poll_jitter(),
    );
    let (tenancy, steward) = driver::tenancy::tenancy(
        context.clone(),
        queue.clone(),
        config.tenant_weights.clone(),
    );
    let driver = Driver {
        context,
        queue: queue.clone(),
        timers,
        polls,
        tenancy,
        missed: Missed::default(),
    };
    life.spawn("alarms", alarms.run(queue, life.token()));
    life.spawn("polls", poller.run(life.token()));
    life.spawn("tenancy", steward.run(life.token()));
    let (alive, mut ended) = mpsc::channel::<()>(1);
    for _ in 0..config.workers.max(1) {
        let (driver, alive, stop) = (driver.clone(), alive.clone(), life.token());
        life.spawn("worker", async move {
            driver.work(stop).await;
            drop(alive);
        });
    }
    drop(alive);
    life.spawn("driver", driver.run(feeds.events, life.token()));
    let stop = life.token();
    life.spawn("drain", async move {
        // Nobody ever sends; the channel closes when the last worker has gone.
        let _ = ended.recv().await;
        stop.cancelled().await;
        drained.cancel();
    });
}

/// The lease loops on a thread, a runtime and connections of their own: a busy process must not lose its leases. `None` when it is
/// told to stop before the database answers.
async fn hold_leases(
    life: &Lifecycle,
    config: &Config,
    key_file: KeyFile,
    me: Controller,
    gate: Gate,
    asks: Need,
    drained: CancellationToken,
) -> Result<Option<Shard>, Box<dyn std::error::Error + Send + Sync>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let url = config.database_url.clone();
    let stop = life.token();
    let (send, started) = tokio::sync::oneshot::channel();
    let (over, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::Builder::new()
        .name("lease".to_owned())
        .spawn(move || {
            runtime.block_on(async move {
                let options = Options {
                    // One for renewals, which wait for no question.
                    max_connections: 2,
                    ..Options::default()
                };
                let waited = Store::wait_for(&url, Role::Controller, key_file, options);
                let Some(waited) = stop.run_until_cancelled(waited).await else {
                    let _ = send.send(Ok(None));
                    return;
                };
                match waited {
                    Ok(store) => {
                        let (keeper, shard) = Keeper::new(store.platform(), me, gate, asks);
                        let _ = send.send(Ok(Some(shard)));
                        keeper.run(stop, drained).await;
                        store.close().await;
                    }
                    Err(error) => {
                        let _ = send.send(Err(error));
                    }
                }
            });
            drop(over);
        })?;
    let Some(shard) = started.await?? else {
        return Ok(None);
    };
    life.spawn("lease", async move {
        // Dropped when the thread ends, however it does.
        let _ = ended.await;
    });
    Ok(Some(shard))
}

async fn until(stop: CancellationToken, task: impl Future<Output = ()>) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = task => {}
    }
}

/// Fingerprints are compared within one process only, so a key of its own is as good as a kept one and says nothing.
fn fingerprint_key() -> [u8; 32] {
    rand::random()
}
