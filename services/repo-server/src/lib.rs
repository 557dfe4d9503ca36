//! Renders on request: reads Git for the api and the controller, and hands back manifests.
//!
//! Deliberately without a database and without any cluster: it runs strangers' kustomizations. Credentials come with the
//! one request that needs them and are kept nowhere.
//!
//! # Invariants
//! - Only the api and the controller get an answer, each over mutual TLS.
//! - One render per key at a time; each tenant has its fair share of the rest.
//! - What is cached is sealed under the key that came with the request, and found again only under it.
//! - A failure that people can mend carries its cause (JSON) in the status's details.
//!
//! # Reading order
//! [`config`], `grpc`, `renders`, `memory`, `metrics`.

pub mod config;
mod failures;
mod grpc;
mod memory;
mod metrics;
mod rates;
mod renders;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use cache::Cache;
use crowd::fair::Fair;
use domain::egress::NotANetwork;
use proto::naru::internal::v1::repo_server_server::RepoServerServer;
use runtime::Lifecycle;
use runtime::expiry::Expiry;
use runtime::metrics::Registry;
use runtime::mtls::{self, MutualTlsError};
use runtime::ops::{self, Readiness};
use sandbox::Sandbox;
use source::git::{Mirrors, Rules};
use source::render::{Renderer, WorkerPool};
use tokio::net::TcpListener;
use tonic::service::Routes;

use crate::config::Config;
use crate::grpc::Service;
use crate::metrics::Metrics;
use crate::renders::Renders;

/// No request is larger: keys, options and variables.
const MAX_REQUEST: usize = 8 << 20;
/// No manifest set is larger on the wire; callers take as much.
const MAX_ANSWER: usize = 128 << 20;
/// How many may ask at once what chart repositories offer, and how many of one tenant, which leaves as many as it has: what they wait
/// for are its own servers.
const LISTINGS: (usize, usize) = (8, 4);

/// Why the repo-server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error("NARU_DATA_DIR cannot be used")]
    Data(#[source] io::Error),
    /// The address is taken or wrong.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The identity cannot be used.
    #[error("NARU_INTERNAL__* cannot be used")]
    Identity(#[from] MutualTlsError),
    /// Not a network.
    #[error("NARU_EGRESS__*: {0}")]
    Egress(#[from] NotANetwork),
    /// Not a Redis address, or not its authority.
    #[error("NARU_REDIS_*: {0}")]
    Cache(#[from] cache::Unusable),
    /// The renderer does not start.
    #[error("NARU_RENDERER cannot be started in its sandbox: {0}")]
    Renderer(String),
}

/// Runs until told to stop; `true` when all went well.
///
/// # Errors
/// When it cannot start.
pub async fn run(config: Config) -> Result<bool, StartError> {
    let life = Lifecycle::new();
    let registry = Registry::new();
    let metrics = Metrics::new(&registry);
    Expiry::new(&registry).tell_internal(&config.internal)?;
    // This very program, also after its file was replaced.
    let launcher = config
        .sandbox
        .clone()
        .unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
    let sandbox = Sandbox::new(Some(launcher));
    let level = sandbox.level().await;
    let readiness = Readiness::default();
    let (warm, listening) = (readiness.needs("renderer"), readiness.needs("listening"));
    if let Some(address) = &config.metrics_listen {
        ops::serve(&life, address, registry, readiness, format!("{level}\n"))
            .await
            .map_err(|cause| StartError::Listen {
                address: address.clone(),
                cause,
            })?;
    }
    let mirrors = Mirrors::new(
        config.data_dir.clone(),
        config.git_limits(),
        config.egress.parse()?,
        sandbox.clone(),
        Some(Arc::new(metrics.clone())),
    )
    .map_err(StartError::Data)?;
    let pool = WorkerPool::new(
        sandbox.clone(),
        config.renderer.clone(),
        config.worker_limits(),
    );
    pool.warm().await.map_err(|error| {
        StartError::Renderer(
            error
                .log_detail()
                .map_or_else(|| error.to_string(), str::to_owned),
        )
    })?;
    warm.set(true);
    let cache = config
        .redis_url
        .as_deref()
        .map(|url| Cache::connect(url, config.redis_ca.as_deref(), &config.redis_prefix))
        .transpose()?;
    let renderer = Renderer::new(mirrors.clone(), pool);
    let charts = renderer.charts().clone();
    let renders = Renders::new(renderer, cache, &config, life.clone(), metrics);
    let service = Service {
        mirrors,
        charts,
        renders,
        listings: Fair::sparing(LISTINGS.0, LISTINGS.1),
        rules: Rules {
            files: config.allow_file_urls,
        },
    };

    let listener = TcpListener::bind(&config.listen)
        .await
        .map_err(|cause| StartError::Listen {
            address: config.listen.clone(),
            cause,
        })?;
    let server = RepoServerServer::new(service)
        .max_decoding_message_size(MAX_REQUEST)
        .max_encoding_message_size(MAX_ANSWER);
    mtls::serve(
        &life,
        listener,
        &config.internal,
        Routes::new(server),
        proto::internal::callers,
    )?;
    listening.set(true);
    tracing::info!(listen = config.listen, level, "the repo-server is ready");
    Ok(life.run_until_stopped().await)
}
