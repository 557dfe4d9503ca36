//! From a kubeconfig, or the pod we run in, to a [`Cluster`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::clock::{Clock, Timestamp};
use http::header::{HeaderValue, USER_AGENT};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::sync::watch;

use crate::account::Account;
use crate::discovery::{ApiKind, Discoverer, Discovery};
use crate::error::Error;
use crate::gate::WriteGate;
use crate::index::{Index, Keeper};
use crate::schemas::Schemas;
use crate::transport::{Identity, Limits, Transport};

/// How to reach a cluster.
pub struct ConnectOptions {
    /// What people call it (`in-cluster`).
    pub name: String,
    /// The kubeconfig file; without one, the service account of the pod that this runs in.
    pub kubeconfig: Option<PathBuf>,
    /// The context of that file; its current one when absent.
    pub context: Option<String>,
    /// The longest that a read may take.
    pub request_timeout: Duration,
    /// The longest that a write may take; must be below the margin that the lease's holder keeps.
    pub write_timeout: Duration,
    /// Whether this process may write.
    pub gate: Arc<dyn WriteGate>,
    /// Keys the fingerprints, so that they say nothing about contents to others. The same key gives the same
    /// fingerprints after a restart.
    pub fingerprint_key: [u8; 32],
    /// For [`Connection::since`].
    pub clock: Arc<dyn Clock>,
}

/// Whether the cluster answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Whether it answered when last asked. Before the first answer, no.
    pub reachable: bool,
    /// What went wrong; empty while reachable.
    pub message: String,
    /// Since when it is so.
    pub since: Timestamp,
}

/// One Kubernetes cluster. Clones are handles to the same one.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) server: String,
    pub(crate) transport: Transport,
    pub(crate) discoverer: Discoverer,
    pub(crate) schemas: Schemas,
    pub(crate) index: Index,
    pub(crate) keeper: tokio::sync::Mutex<Keeper>,
    pub(crate) connection: watch::Sender<Connection>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Cluster {
    /// Reads the configuration. Nothing is sent: a cluster that is down is found out by [`Cluster::run`].
    ///
    /// # Errors
    /// [`Error::Configuration`] when the kubeconfig or the pod's service account cannot be used.
    pub async fn connect(options: ConnectOptions) -> Result<Self, Error> {
        let config = configuration(&options).await?;
        let server = config
            .cluster_url
            .to_string()
            .trim_end_matches('/')
            .to_owned();
        let client = crate::gated::client(&config, Arc::clone(&options.gate))?;
        let limits = Limits {
            read: options.request_timeout,
            write: options.write_timeout,
        };
        let transport = Transport::new(client, &options.name, limits, options.gate);
        let (index, keeper) = crate::index::create(options.fingerprint_key);
        let since = options.clock.now();
        let (connection, _) = watch::channel(Connection {
            reachable: false,
            message: String::new(),
            since,
        });
        Ok(Self {
            inner: Arc::new(Inner {
                name: options.name,
                server,
                discoverer: Discoverer::new(transport.clone()),
                schemas: Schemas::new(transport.clone()),
                transport,
                index,
                keeper: tokio::sync::Mutex::new(keeper),
                connection,
                clock: options.clock,
            }),
        })
    }

    /// Keeps kinds, index and connection state true until it is dropped; never ends by itself. Run it once: a second
    /// one waits for the first to be dropped.
    pub async fn run(self) {
        crate::index::run(self).await;
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its address, as configured.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.inner.server
    }

    /// Whether it answers, and changes of that.
    #[must_use]
    pub fn connection(&self) -> watch::Receiver<Connection> {
        self.inner.connection.subscribe()
    }

    /// What lives in it.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.inner.index
    }

    /// Ends when every kind has been listed once.
    pub async fn ready(&self) {
        self.inner.index.ready().await;
    }

    /// The kinds it has, as last asked. Empty before the first answer.
    #[must_use]
    pub fn discovery(&self) -> Arc<Discovery> {
        self.inner.discoverer.current()
    }

    /// Asks for its kinds anew, and once for all who ask at the same time.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn refresh_discovery(&self) -> Result<Arc<Discovery>, Error> {
        let fresh = self.inner.discoverer.refresh().await?;
        self.inner.schemas.expire();
        Ok(fresh)
    }

    /// A kind, in the version named or else in the preferred one; asks the cluster again when it is not known.
    ///
    /// # Errors
    /// [`Error::UnknownKind`] when the cluster has no such kind, or when it does not answer.
    pub async fn resolve(
        &self,
        group: &str,
        version: Option<&str>,
        kind: &str,
    ) -> Result<ApiKind, Error> {
        if let Some(known) = self.discovery().resolve(group, version, kind) {
            return Ok(known.clone());
        }
        let fresh = self.inner.discoverer.refresh_unless_recent().await?;
        self.inner.schemas.expire();
        fresh.resolve(group, version, kind).cloned().ok_or_else(|| {
            let version = version.map_or_else(
                || group.to_owned(),
                |version| match group {
                    "" => version.to_owned(),
                    group => format!("{group}/{version}"),
                },
            );
            Error::UnknownKind {
                version,
                kind: kind.to_owned(),
            }
        })
    }

    /// The field trees of these groups and versions (`("apps", "v1")`), and of all that were loaded before. Only
    /// what changed since is asked for. Versions that the cluster does not have are absent from the answer.
    ///
    /// # Errors
    /// When the cluster does not answer and nothing is cached.
    pub async fn schemas(
        &self,
        wanted: &[(String, String)],
    ) -> Result<Arc<domain::schema::SchemaSet>, Error> {
        self.inner.schemas.load(wanted).await
    }

    /// Requests as a tenant's service account, on the shared connections.
    ///
    /// # Errors
    /// When the names are no names.
    pub fn as_account(&self, namespace: &str, service_account: &str) -> Result<Account, Error> {
        Ok(Account::new(
            self.clone(),
            Identity::service_account(namespace, service_account)?,
        ))
    }

    /// Requests as Naru itself. Never for anything that a tenant's input causes.
    #[must_use]
    pub fn as_platform(&self) -> Account {
        Account::new(self.clone(), Identity::default())
    }

    pub(crate) fn set_connection(&self, failure: Option<String>) {
        let now = self.inner.clock.now();
        let message = failure.clone().unwrap_or_default();
        self.inner.connection.send_if_modified(|state| {
            if state.reachable == failure.is_none() && state.message == message {
                return false;
            }
            if state.reachable == failure.is_some() {
                tracing::info!(cluster = %self.inner.name, reachable = failure.is_none(), %message, "cluster connection");
                state.since = now;
            }
            state.reachable = failure.is_none();
            state.message.clone_from(&message);
            true
        });
    }
}

async fn configuration(options: &ConnectOptions) -> Result<kube::Config, Error> {
    // Somebody else may have chosen the same provider before; there is only one in this build.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let broken = |error: &dyn std::fmt::Display| Error::Configuration(error.to_string());
    let mut config = match &options.kubeconfig {
        Some(path) => {
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || Kubeconfig::read_from(path)).await;
            let kubeconfig = read
                .map_err(|error| broken(&error))?
                .map_err(|error| broken(&error))?;
            let chosen = KubeConfigOptions {
                context: options.context.clone(),
                ..KubeConfigOptions::default()
            };
            kube::Config::from_custom_kubeconfig(kubeconfig, &chosen)
                .await
                .map_err(|error| broken(&error))?
        }
        None => kube::Config::incluster().map_err(|error| broken(&error))?,
    };
    config
        .headers
        .push((USER_AGENT, HeaderValue::from_static("naru-controller")));
    Ok(config)
}
