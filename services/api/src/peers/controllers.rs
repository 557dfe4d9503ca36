//! The controllers, each asked for whatever is live in the clusters that it has: found by the clusters' leases.

use std::collections::HashMap;

use domain::application::{Application, IN_CLUSTER_NAME};
use domain::cluster;
use domain::message;
use domain::shard::Unit;
use domain::tenant::TenantId;
use parking_lot::Mutex;
use proto::naru::internal::v1::controller_client::ControllerClient;
use runtime::config::MutualTls;
use runtime::mtls::{self, Channel, Component};
use store::Store;
use tonic::{Code, Status};

use crate::failure;

/// The largest message, both ways.
const MAX_MESSAGE: usize = 200 << 20;
/// So many ways to controllers are kept; each has another address after its next start.
const MOST: usize = 32;

/// Finds and calls the controllers.
pub(crate) struct Controllers {
    store: Store,
    identity: MutualTls,
    /// The ways there, by address.
    known: Mutex<HashMap<String, ControllerClient<Channel>>>,
}

impl Controllers {
    /// Looks leases up in the store.
    pub(crate) fn new(store: Store, identity: MutualTls) -> Self {
        Self {
            store,
            identity,
            known: Mutex::default(),
        }
    }

    /// A client of the controller that has the shared cluster now.
    ///
    /// # Errors
    /// `Unavailable` while nobody does.
    pub(crate) async fn owner(&self) -> Result<ControllerClient<Channel>, Status> {
        let address = self.holder(&Unit::Shared).await?;
        self.client(address.ok_or_else(nobody)?)
    }

    /// The same of the controller that has the cluster where an application goes.
    ///
    /// # Errors
    /// `Unavailable` while nobody does.
    pub(crate) async fn owner_of(
        &self,
        tenant: TenantId,
        app: &Application,
    ) -> Result<ControllerClient<Channel>, Status> {
        let destination = app.view().unwrap_or_default().destination;
        let shared = match (destination.server.as_str(), destination.name.as_str()) {
            (server, "") => cluster::is_in_cluster(server),
            (server, name) => server.is_empty() && name == IN_CLUSTER_NAME,
        };
        let unit = if shared {
            Unit::Shared
        } else {
            let scope = self.store.tenant(tenant);
            let added = scope.clusters().list().await.map_err(failure::store)?;
            Unit::of(tenant, cluster::meant(&destination, &added))
        };
        let address = self.holder(&unit).await?;
        self.client(address.ok_or_else(nobody)?)
    }

    /// The same of the controller that has a cluster which a tenant has added; while nobody has, of that which has the shared
    /// one.
    ///
    /// # Errors
    /// `Unavailable` while there is neither.
    pub(crate) async fn owner_at(
        &self,
        tenant: TenantId,
        server: &str,
    ) -> Result<ControllerClient<Channel>, Status> {
        let unit = Unit::Added {
            tenant,
            server: server.to_owned(),
        };
        match self.holder(&unit).await? {
            Some(address) => self.client(address),
            None => self.owner().await,
        }
    }

    /// The address of the controller that has a unit.
    async fn holder(&self, unit: &Unit) -> Result<Option<String>, Status> {
        let platform = self.store.platform();
        let owner = platform.lease_owner(&unit.item()).await;
        Ok(owner.map_err(failure::store)?.map(|owner| owner.address))
    }

    fn client(&self, address: String) -> Result<ControllerClient<Channel>, Status> {
        let mut known = self.known.lock();
        if let Some(client) = known.get(&address) {
            return Ok(client.clone());
        }
        let channel =
            mtls::channel(&self.identity, &address, Component::Controller).map_err(|error| {
                tracing::error!(%error, address, "the controller's address cannot be used");
                failure::internal()
            })?;
        let client = ControllerClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(address, client.clone());
        Ok(client)
    }
}

fn nobody() -> Status {
    failure::say(Code::Unavailable, &message::api::NO_CONTROLLER.message())
}
