//! The other services, over mutual TLS: who renders, and who sees the clusters.

mod controllers;
mod repo_servers;

pub(crate) use controllers::Controllers;
pub(crate) use repo_servers::RepoServers;
