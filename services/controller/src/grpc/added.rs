//! The clusters that a tenant has added: whether they answer, trying credentials, and new tokens. Here, and nowhere
//! else, what the api sealed is opened.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{AddedCluster, NewToken, Refused};
use crowd::places::{Place, Places};
use domain::clock::Timestamp;
use domain::cluster::Login;
use domain::egress::Egress;
use domain::message::{self, Message};
use domain::tenant::TenantId;
use parking_lot::Mutex;
use proto::naru::internal::v1 as wire;
use store::{OpeningKeys, SealedLogin, TenantScope};
use tonic::{Code, Status};

use super::{database, say, tenant_id};
use crate::context::Context;

/// How long what a cluster said is told again without asking it.
const KEPT: Duration = Duration::from_secs(60);
/// The most that are kept; the whole is thrown away then.
const MAX_KEPT: usize = 10_000;

/// How many clusters are tried at once with what somebody sends, or have their tokens replaced: of one tenant, and in all.
/// Whoever is behind the address may take as long as it likes over its answer, and send what it likes.
const TRIED_AT_ONCE: (usize, usize) = (4, 64);
/// How many that are added already are asked at once.
const ASKED_AT_ONCE: (usize, usize) = (16, 256);

/// What the added clusters said when last asked.
pub(super) struct AddedClusters {
    context: Arc<Context>,
    said: Mutex<HashMap<(TenantId, String), Said>>,
    tried: Places<TenantId>,
    asked: Places<TenantId>,
}

#[derive(Clone)]
struct Said {
    asked: Instant,
    at: Timestamp,
    /// With which credentials.
    sealed: SealedLogin,
    version: Result<String, Message>,
}

impl AddedClusters {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            said: Mutex::default(),
            tried: Places::new(TRIED_AT_ONCE.0, TRIED_AT_ONCE.1),
            asked: Places::new(ASKED_AT_ONCE.0, ASKED_AT_ONCE.1),
        }
    }

    fn keys(&self) -> &OpeningKeys {
        self.context.clusters.keys()
    }

    fn egress(&self) -> &Arc<Egress> {
        self.context.clusters.egress()
    }

    /// Whether an added cluster answers.
    pub(super) async fn state(
        &self,
        asked: wire::AddedClusterRequest,
    ) -> Result<wire::AddedClusterResponse, Status> {
        let wire::AddedClusterRequest {
            tenant,
            server,
            fresh,
        } = asked;
        let id = tenant_id(&tenant)?;
        let scope = self.context.store.tenant(id);
        let sealed = stored(&scope, &server).await?;
        let open = self.context.clusters.find(id, &server);
        let key = (id, server);
        let known = self.said.lock().get(&key).cloned();
        let said = match known {
            Some(said) if !fresh && said.sealed == sealed && said.asked.elapsed() < KEPT => said,
            _ => {
                let _place = place(&self.asked, id)?;
                let version = self.version(&scope, &key.1, &sealed).await;
                let said = Said {
                    asked: Instant::now(),
                    at: self.context.clock.now(),
                    sealed,
                    version,
                };
                let mut all = self.said.lock();
                if all.len() >= MAX_KEPT {
                    all.clear();
                }
                all.insert(key, said.clone());
                said
            }
        };
        let (server_version, message) = match said.version {
            Ok(version) => (version, String::new()),
            Err(message) => (
                String::new(),
                serde_json::to_string(&message).unwrap_or_default(),
            ),
        };
        let (resources, apis) = open.as_ref().map_or((0, 0), |open| {
            let watched = open.cluster.discovery().watched().count();
            (open.cluster.index().len(), watched)
        });
        Ok(wire::AddedClusterResponse {
            reachable: message.is_empty(),
            message,
            server_version,
            asked_unix_seconds: said.at.timestamp(),
            resources: i64::try_from(resources).unwrap_or(i64::MAX),
            apis: i64::try_from(apis).unwrap_or(i64::MAX),
        })
    }

    /// Tries credentials before they are stored.
    pub(super) async fn attempt(
        &self,
        asked: wire::TryClusterRequest,
    ) -> Result<wire::TryClusterResponse, Status> {
        let wire::TryClusterRequest {
            tenant,
            server,
            sealed,
        } = asked;
        let id = tenant_id(&tenant)?;
        let _place = place(&self.tried, id)?;
        let scope = self.context.store.tenant(id);
        let stored = scope.clusters().sealed(&server).await;
        let stored = stored.map_err(|error| database(&error))?;
        let sealed = match (sealed.is_empty(), &stored) {
            (false, _) => SealedLogin(sealed),
            (true, Some(stored)) => stored.clone(),
            (true, None) => return Err(Status::not_found("the cluster is not added")),
        };
        let login = self.open(&scope, &server, &sealed)?;
        let same = stored.is_some_and(|stored| {
            self.open(&scope, &server, &stored)
                .is_ok_and(|known| known == login)
        });
        let version = self.ask(&server, &login).await;
        let server_version =
            version.map_err(|message| failed(Code::FailedPrecondition, &message))?;
        Ok(wire::TryClusterResponse {
            server_version,
            same_as_stored: same,
        })
    }

    /// Replaces a cluster's token by a new one of the same service account. The old one stays until the new one has
    /// been tried and stored.
    pub(super) async fn rotate(
        &self,
        asked: wire::RotateClusterRequest,
    ) -> Result<wire::RotateClusterResponse, Status> {
        let wire::RotateClusterRequest { tenant, server } = asked;
        let id = tenant_id(&tenant)?;
        let _place = place(&self.tried, id)?;
        let scope = self.context.store.tenant(id);
        let sealed = stored(&scope, &server).await?;
        let login = self.open(&scope, &server, &sealed)?;
        if login.bearer_token.is_none() {
            let text = format!("Cluster '{server}' does not use bearer token authentication");
            return Err(Status::invalid_argument(text));
        }
        let refused = |refused: &Refused| {
            let message = match refused {
                Refused::Address => message::credentials::CLUSTER_ADDRESS.with("server", &server),
                Refused::Said(why) => message::credentials::CLUSTER_ROTATION
                    .with("server", &server)
                    .with("why", why),
            };
            failed(Code::FailedPrecondition, &message)
        };
        let old =
            AddedCluster::new(&server, &login, self.egress()).map_err(|error| refused(&error))?;
        let token = old.new_token().await.map_err(|error| refused(&error))?;
        if let Err(status) = self.adopt(&scope, &server, &sealed, &login, &token).await {
            if let Err(error) = old.withdraw(&token).await {
                tracing::warn!(%error, "a token that nobody uses could not be taken back");
            }
            return Err(status);
        }
        // What is open goes on with the new one before the old one ends.
        self.context.clusters.review(&self.context, id).await;
        old.retire(&token).await.map_err(|error| refused(&error))?;
        tracing::info!(tenant, server, "a cluster's token was rotated");
        Ok(wire::RotateClusterResponse {})
    }

    /// Tries a new token and stores it.
    async fn adopt(
        &self,
        scope: &TenantScope,
        server: &str,
        sealed: &SealedLogin,
        login: &Login,
        token: &NewToken,
    ) -> Result<(), Status> {
        let mut next = login.clone();
        next.bearer_token = Some(token.token.clone());
        // A token is in use: no client certificate is kept beside it.
        next.cert.clear();
        next.key = None;
        let tried = self.ask(server, &next).await;
        tried.map_err(|message| failed(Code::FailedPrecondition, &message))?;
        let clusters = scope.clusters();
        let resealed = clusters
            .seal(&self.keys().sealing(), server, &next)
            .map_err(|error| database(&error))?;
        clusters
            .reseal(server, sealed, &resealed)
            .await
            .map_err(|error| match error.code() {
                store::Code::NotFound => {
                    Status::aborted("the cluster was changed meanwhile; try again")
                }
                _ => database(&error),
            })
    }

    async fn version(
        &self,
        scope: &TenantScope,
        server: &str,
        sealed: &SealedLogin,
    ) -> Result<String, Message> {
        let login = scope
            .clusters()
            .open(self.keys(), server, sealed)
            .map_err(|_| message::credentials::CLUSTER_SEALED.with("server", server))?;
        self.ask(server, &login).await
    }

    async fn ask(&self, server: &str, login: &Login) -> Result<String, Message> {
        let asked = async {
            AddedCluster::new(server, login, self.egress())?
                .version()
                .await
        };
        asked.await.map_err(|refused: Refused| match refused {
            Refused::Address => message::credentials::CLUSTER_ADDRESS.with("server", server),
            Refused::Said(why) => message::credentials::CLUSTER_UNREACHABLE
                .with("server", server)
                .with("why", why),
        })
    }

    fn open(
        &self,
        scope: &TenantScope,
        server: &str,
        sealed: &SealedLogin,
    ) -> Result<Login, Status> {
        scope
            .clusters()
            .open(self.keys(), server, sealed)
            .map_err(|_| {
                let message = message::credentials::CLUSTER_SEALED.with("server", server);
                failed(Code::FailedPrecondition, &message)
            })
    }
}

async fn stored(scope: &TenantScope, server: &str) -> Result<SealedLogin, Status> {
    let sealed = scope.clusters().sealed(server).await;
    sealed
        .map_err(|error| database(&error))?
        .ok_or_else(|| Status::not_found("the cluster is not added"))
}

/// A place among those that are asked at once.
fn place(places: &Places<TenantId>, tenant: TenantId) -> Result<Place<TenantId>, Status> {
    places.enter(tenant).map_err(|full| {
        let busy = message::credentials::CLUSTERS_BUSY.with("limit", full.most());
        failed(Code::ResourceExhausted, &busy)
    })
}

/// A refusal whose message travels as JSON in the details, so that the api tells it in its reader's language.
pub(super) fn failed(code: Code, message: &Message) -> Status {
    let details = serde_json::to_vec(message).unwrap_or_default();
    let said = say(code, message);
    Status::with_details(code, said.message(), details.into())
}
