//! The controller that owns the cluster: found by its lease, asked for whatever is live.

use domain::message;
use parking_lot::Mutex;
use proto::naru::internal::v1::controller_client::ControllerClient;
use runtime::config::MutualTls;
use runtime::mtls::{self, Channel, Component};
use store::Store;
use tonic::{Code, Status};

use crate::failure;

/// The work item whose holder owns the one cluster there is.
const CLUSTER: &str = "cluster/shared/0";
/// The largest message, both ways.
const MAX_MESSAGE: usize = 200 << 20;

/// Finds and calls the owner of the cluster.
pub(crate) struct Controllers {
    store: Store,
    identity: MutualTls,
    last: Mutex<Option<(String, ControllerClient<Channel>)>>,
}

impl Controllers {
    /// Looks leases up in the store.
    pub(crate) fn new(store: Store, identity: MutualTls) -> Self {
        Self {
            store,
            identity,
            last: Mutex::new(None),
        }
    }

    /// A client of the controller that owns the cluster now.
    ///
    /// # Errors
    /// `Unavailable` while nobody does.
    pub(crate) async fn owner(&self) -> Result<ControllerClient<Channel>, Status> {
        let owner = self
            .store
            .platform()
            .lease_owner(CLUSTER)
            .await
            .map_err(failure::store)?;
        let Some(address) = owner.map(|owner| owner.address) else {
            return Err(failure::say(
                Code::Unavailable,
                &message::api::NO_CONTROLLER.message(),
            ));
        };
        let mut last = self.last.lock();
        if let Some((known, client)) = last.as_ref()
            && *known == address
        {
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
        *last = Some((address, client.clone()));
        Ok(client)
    }
}
