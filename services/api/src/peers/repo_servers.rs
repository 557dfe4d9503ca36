//! The repo-servers: each repository is asked of the same one first, so that its mirror is warm there.

use std::cmp::Reverse;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};

use domain::message;
use domain::repository::normalize_url;
use proto::naru::internal::v1::RepositoryAccess;
use proto::naru::internal::v1::repo_server_client::RepoServerClient;
use runtime::config::MutualTls;
use runtime::mtls::{self, Channel, Component, MutualTlsError};
use tonic::{Code, Response, Status};

use crate::failure;

/// The largest message, both ways.
const MAX_MESSAGE: usize = 200 << 20;

/// A client of one repo-server.
pub(crate) type Client = RepoServerClient<Channel>;

/// All repo-servers.
pub(crate) struct RepoServers {
    servers: Vec<(String, Client)>,
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
        })
    }

    /// Each of them, with its address.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, Client)> {
        self.servers
            .iter()
            .map(|(address, client)| (address.as_str(), client.clone()))
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
        for index in order(
            self.servers.iter().map(|(address, _)| address.as_str()),
            access,
        ) {
            match call(self.servers[index].1.clone()).await {
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

/// Rendezvous hashing: the servers in the order in which this mirror prefers them. The controller orders them alike, so
/// that each mirror lives in one place.
fn order<'a>(servers: impl Iterator<Item = &'a str>, access: &RepositoryAccess) -> Vec<usize> {
    let mut scored: Vec<(u64, usize)> = servers
        .enumerate()
        .map(|(index, server)| (score(server, access), index))
        .collect();
    scored.sort_by_key(|(score, _)| Reverse(*score));
    scored.into_iter().map(|(_, index)| index).collect()
}

fn score(server: &str, access: &RepositoryAccess) -> u64 {
    // SipHash with its fixed keys: the same in every process of one build, and nobody's safety rests on it.
    let mut hasher = DefaultHasher::new();
    (
        server,
        &access.tenant,
        &access.credential_scope,
        normalize_url(&access.url),
    )
        .hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_keeps_its_server_when_another_leaves() {
        let servers = ["https://a:1", "https://b:1", "https://c:1"];
        for n in 0..50 {
            let access = |url: String| RepositoryAccess {
                tenant: "t".into(),
                url,
                ..Default::default()
            };
            let mirror = access(format!("https://git/{n}.git"));
            let all = order(servers.into_iter(), &mirror);
            assert_eq!(
                all,
                order(servers.into_iter(), &access(format!("https://GIT/{n}"))),
                "however it is written"
            );
            let gone = (all[0] + 1) % 3;
            let rest: Vec<&str> = servers
                .into_iter()
                .enumerate()
                .filter(|(i, _)| *i != gone)
                .map(|(_, s)| s)
                .collect();
            assert_eq!(
                rest[order(rest.iter().copied(), &mirror)[0]],
                servers[all[0]]
            );
        }
    }
}
