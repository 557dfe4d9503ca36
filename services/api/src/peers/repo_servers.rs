//! The repo-servers: each repository is asked of the same one first, so that its mirror is warm there.

use std::future::Future;
use std::time::Duration;

use crowd::fair::{Fair, Turn};
use domain::message;
use domain::repository::rank;
use proto::naru::internal::v1::RepositoryAccess;
use proto::naru::internal::v1::repo_server_client::RepoServerClient;
use runtime::config::MutualTls;
use runtime::mtls::{self, Channel, Component, MutualTlsError};
use tonic::{Code, Response, Status};

use crate::failure;

/// The largest message, both ways.
const MAX_MESSAGE: usize = 200 << 20;

/// How long an answer may take: a render has a limit of its own, which is shorter.
const PATIENCE: Duration = Duration::from_secs(240);

/// How many folders that people send are with repo-servers at once: as many as one of them takes.
const LOCALS: usize = 3;

/// A client of one repo-server.
pub(crate) type Client = RepoServerClient<Channel>;

/// All repo-servers.
pub(crate) struct RepoServers {
    servers: Vec<(String, Client)>,
    locals: Fair,
}

impl RepoServers {
    /// Connects to each on first use.
    ///
    /// # Errors
    /// When an address or the identity cannot be used.
    pub(crate) fn new(addresses: &[String], identity: &MutualTls) -> Result<Self, MutualTlsError> {
        let connect = |address: &String| {
            let channel = mtls::channel(identity, address, Component::RepoServer)?;
            let client = RepoServerClient::new(channel)
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE);
            Ok((address.clone(), client))
        };
        Ok(Self {
            servers: addresses.iter().map(connect).collect::<Result<_, _>>()?,
            locals: Fair::new(LOCALS),
        })
    }

    /// Each of them, with its address.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, Client)> {
        self.servers
            .iter()
            .map(|(address, client)| (address.as_str(), client.clone()))
    }

    /// Waits for the tenant's turn to send a folder. A repo-server takes what it has a place for, and refuses the rest.
    pub(crate) async fn turn_to_send(&self, tenant: &str) -> Turn {
        self.locals.turn(tenant).await
    }

    /// Asks the repository's own server, and the next in its order while one is away.
    ///
    /// # Errors
    /// What the first server that answered said, with its causes; `Unavailable` when none did.
    pub(crate) async fn ask<T, F>(
        &self,
        access: &RepositoryAccess,
        call: impl Fn(Client) -> F,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let order = rank(
            self.servers.iter().map(|(address, _)| address.as_str()),
            &access.tenant,
            &access.credential_scope,
            &access.url,
        );
        for index in order {
            let asked = call(self.servers[index].1.clone());
            let Ok(answer) = tokio::time::timeout(PATIENCE, asked).await else {
                let message = message::api::NO_REPO_SERVER.message();
                return Err(failure::say(Code::DeadlineExceeded, &message));
            };
            match answer {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status)
                    if status.code() == Code::Unavailable && status.details().is_empty() =>
                {
                    tracing::warn!(server = self.servers[index].0, error = %status, "a repo-server is away");
                }
                Err(status) => return Err(status),
            }
        }
        Err(failure::say(
            Code::Unavailable,
            &message::api::NO_REPO_SERVER.message(),
        ))
    }
}
