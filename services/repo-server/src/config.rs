//! The repo-server's settings.

use std::path::PathBuf;
use std::time::Duration;

use runtime::config::{EgressRules, IDENTITY, MutualTls, Settings, Telemetry};
use serde::Deserialize;
use source::git::Limits;
use source::render::WorkerLimits;

/// Settings, read once at the start. No `Debug`: the Redis URL may hold a password.
#[derive(Clone, Deserialize)]
pub struct Config {
    /// Where the internal gRPC listens, `host:port`.
    pub listen: String,
    /// The identity among the services.
    pub internal: MutualTls,
    /// Where the mirrors are; nobody else uses this folder.
    pub data_dir: PathBuf,
    /// The renderer's program.
    pub renderer: PathBuf,
    /// The launcher of children; this very program when absent.
    #[serde(default)]
    pub sandbox: Option<PathBuf>,
    /// Redis; nothing outlives this process when absent.
    #[serde(default)]
    pub redis_url: Option<String>,
    /// The authority of its certificate, PEM; those that the machine trusts when absent.
    #[serde(default)]
    pub redis_ca: Option<PathBuf>,
    /// What every Redis key begins with.
    #[serde(default = "redis_prefix")]
    pub redis_prefix: String,
    /// Whether `file://` repositories are allowed.
    #[serde(default)]
    pub allow_file_urls: bool,
    /// Where repositories may be.
    #[serde(default)]
    pub egress: EgressRules,
    /// Where `/metrics`, `/healthz` and `/readyz` listen; nowhere when absent.
    #[serde(default)]
    pub metrics_listen: Option<String>,
    /// How many renders may run at once.
    #[serde(default = "parallelism")]
    pub parallelism: usize,
    /// How many renderer processes may run at once.
    #[serde(default = "workers")]
    pub workers: usize,
    /// How much memory a renderer process may write to, in MiB.
    #[serde(default = "worker_memory")]
    pub worker_memory_mib: u64,
    /// How long one kustomization may take.
    #[serde(default = "render_seconds")]
    pub render_seconds: u64,
    /// How long one fetch may take.
    #[serde(default = "fetch_seconds")]
    pub fetch_seconds: u64,
    /// How large one fetched pack may be, in MiB.
    #[serde(default = "pack_mib")]
    pub pack_mib: u64,
    /// How much memory each process of a fetch may write to, in MiB.
    #[serde(default = "fetch_memory_mib")]
    pub fetch_memory_mib: u64,
    /// How much all mirrors may take on the disk, in MiB.
    #[serde(default = "mirrors_mib")]
    pub mirrors_mib: u64,
    /// How much memory remembered renders may take in this process, in MiB.
    #[serde(default = "memory_mib")]
    pub memory_mib: usize,
    /// Logs and traces.
    #[serde(default)]
    pub telemetry: Telemetry,
}

impl Settings for Config {
    const PURPOSES: &'static [(&'static str, &'static str)] = &[
        (
            "NARU_LISTEN",
            "where the internal gRPC listens, such as 0.0.0.0:8081",
        ),
        IDENTITY[0],
        IDENTITY[1],
        IDENTITY[2],
        (
            "NARU_DATA_DIR",
            "the folder of the mirrors; nobody else may use it",
        ),
        ("NARU_RENDERER", "the file of the renderer's program"),
    ];
}

impl Config {
    pub(crate) fn git_limits(&self) -> Limits {
        Limits {
            fetch: Duration::from_secs(self.fetch_seconds),
            pack: self.pack_mib << 20,
            memory: self.fetch_memory_mib << 20,
            disk: self.mirrors_mib << 20,
            ..Limits::default()
        }
    }

    pub(crate) fn worker_limits(&self) -> WorkerLimits {
        WorkerLimits {
            workers: self.workers,
            memory: self.worker_memory_mib << 20,
            deadline: Duration::from_secs(self.render_seconds),
            ..WorkerLimits::default()
        }
    }
}

fn redis_prefix() -> String {
    "naru:".to_owned()
}

fn parallelism() -> usize {
    8
}

fn workers() -> usize {
    2
}

fn worker_memory() -> u64 {
    512
}

fn render_seconds() -> u64 {
    60
}

fn fetch_seconds() -> u64 {
    90
}

fn pack_mib() -> u64 {
    2048
}

fn fetch_memory_mib() -> u64 {
    1024
}

fn mirrors_mib() -> u64 {
    6144
}

fn memory_mib() -> usize {
    32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_without_a_default_says_what_it_is_for() {
        let problems = runtime::config::required::<Config>();
        assert!(!problems.is_empty());
        for problem in problems {
            assert!(problem.contains(" is not set: "), "{problem}");
        }
    }
}
