//! The controller's settings.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use runtime::config::{EgressRules, IDENTITY, MutualTls, Settings, Telemetry, comma_list};
use serde::Deserialize;

/// Settings, read once at the start. No `Debug`: the database URL may hold a password.
#[derive(Clone, Deserialize)]
pub struct Config {
    /// Where the internal gRPC listens, `host:port`.
    pub listen: String,
    /// The https address at which the api reaches this process.
    pub advertise: String,
    /// PostgreSQL, as the role `naru_controller`.
    pub database_url: String,
    /// The key-encryption key: base64 of 32 bytes in a file.
    pub key_file: PathBuf,
    /// The private keys that clusters' credentials are sealed to: base64 of 32 bytes a line in a file, the one in use
    /// first.
    pub cluster_key_file: PathBuf,
    /// The identity among the services.
    pub internal: MutualTls,
    /// The repo-servers' https addresses.
    #[serde(deserialize_with = "comma_list")]
    pub repo_servers: Vec<String>,
    /// The cluster's kubeconfig; the pod's own service account when absent.
    #[serde(default)]
    pub kubeconfig: Option<PathBuf>,
    /// Where `/metrics`, `/healthz` and `/readyz` listen; nowhere when absent.
    #[serde(default)]
    pub metrics_listen: Option<String>,
    /// How often a repository's refs are listed when no webhook says that it moved.
    #[serde(default = "poll_interval")]
    pub poll_interval_seconds: u64,
    /// How much later than that a listing may come, so that not all come at once.
    #[serde(default = "poll_jitter")]
    pub poll_jitter_seconds: u64,
    /// How many applications are worked on at once. A worker by itself is cheap, and mostly waits: for a write of its own in a cluster,
    /// and for a statement that it shares with others; the more wait for that, the less each costs.
    #[serde(default = "workers")]
    pub workers: usize,
    /// How many of them may be one tenant's, so that one tenant's slow repositories leave room for the others.
    #[serde(default = "workers_per_tenant")]
    pub workers_per_tenant: usize,
    /// How many applications of a tenant (by name) are served per turn; 1 for those not named. `{team-a=3}` in a variable.
    #[serde(default)]
    pub tenant_weights: BTreeMap<String, u32>,
    /// Where clusters that tenants add may be.
    #[serde(default)]
    pub egress: EgressRules,
    /// Logs and traces.
    #[serde(default)]
    pub telemetry: Telemetry,
}

impl Settings for Config {
    const PURPOSES: &'static [(&'static str, &'static str)] = &[
        (
            "NARU_LISTEN",
            "where the internal gRPC listens, such as 0.0.0.0:8082",
        ),
        (
            "NARU_ADVERTISE",
            "the https address at which the api reaches this very process",
        ),
        (
            "NARU_DATABASE_URL",
            "PostgreSQL, as the role naru_controller: postgres://naru_controller:...@host/naru",
        ),
        (
            "NARU_KEY_FILE",
            "the file of the key that wraps the tenants' keys, the same as the api's",
        ),
        (
            "NARU_CLUSTER_KEY_FILE",
            "the file of the private keys that added clusters' credentials are sealed to; `naru-api cluster-key FILE` makes one",
        ),
        IDENTITY[0],
        IDENTITY[1],
        IDENTITY[2],
        (
            "NARU_REPO_SERVERS",
            "the https addresses of the repo-servers, with commas",
        ),
    ];
}

impl Config {
    /// How often a repository's refs are listed.
    #[must_use]
    pub fn poll_interval(&self) -> Duration {
        Duration::from_secs(self.poll_interval_seconds.max(1))
    }

    /// How much later it may be.
    #[must_use]
    pub fn poll_jitter(&self) -> Duration {
        Duration::from_secs(self.poll_jitter_seconds)
    }
}

fn poll_interval() -> u64 {
    120
}

fn poll_jitter() -> u64 {
    60
}

fn workers() -> usize {
    64
}

fn workers_per_tenant() -> usize {
    48
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_left_by_the_tenant_that_has_most_and_by_all_who_have_manifests_made() {
        let (one, all) = crate::reconcile::desire::RENDERS;
        let left = workers() - workers_per_tenant();
        assert!(left >= workers() / 4, "for other tenants");
        assert!(all < workers() && one < workers_per_tenant());
        assert!(all - one <= left, "none of them waits for a worker");
    }

    #[test]
    fn every_setting_without_a_default_says_what_it_is_for() {
        let problems = runtime::config::required::<Config>();
        assert!(!problems.is_empty());
        for problem in problems {
            assert!(problem.contains(" is not set: "), "{problem}");
        }
    }
}
