//! The settings of `naru-api`, each named as its environment variable.

use std::collections::BTreeMap;
use std::path::PathBuf;

use domain::secret::Secret;
use runtime::config::{IDENTITY, MutualTls, Settings, Telemetry, comma_list};
use serde::{Deserialize, Deserializer};

/// Settings of the server.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// `NARU_LISTEN`: the addresses to listen on, `host:port`, with commas.
    #[serde(deserialize_with = "comma_list")]
    pub listen: Vec<String>,
    /// `NARU_TLS__*`: how to speak TLS; plaintext when absent.
    #[serde(default)]
    pub tls: Tls,
    /// `NARU_TRUSTED_PROXIES`: the networks, with commas, of the proxies whose `X-Forwarded-For` says where a request comes
    /// from; nobody's does when empty.
    #[serde(default, deserialize_with = "comma_list")]
    pub trusted_proxies: Vec<String>,
    /// `NARU_LIMITS__*`: how much a peer may hold.
    #[serde(default)]
    pub limits: Limits,
    /// `NARU_DATABASE_URL`: where the truth is, with the role `naru_api`.
    #[serde(deserialize_with = "secret")]
    pub database_url: Secret,
    /// `NARU_REDIS_URL`: where what can be computed again is kept.
    #[serde(deserialize_with = "secret")]
    pub redis_url: Secret,
    /// `NARU_REDIS_CA`: the authority of its certificate, PEM; those that the machine trusts when absent.
    #[serde(default)]
    pub redis_ca: Option<PathBuf>,
    /// `NARU_REDIS_PREFIX`: what every key begins with, so that installations can share a Redis.
    #[serde(default = "default_redis_prefix")]
    pub redis_prefix: String,
    /// `NARU_KEY_FILE`: the file of the key that wraps the tenants' keys.
    pub key_file: PathBuf,
    /// `NARU_CLUSTER_PUBLIC_KEY_FILE`: the file of the public key that clusters' credentials are sealed to; only
    /// controllers have the private one.
    pub cluster_public_key_file: PathBuf,
    /// `NARU_INTERNAL__*`: this service's identity towards the others.
    pub internal: MutualTls,
    /// `NARU_REPO_SERVERS`: their addresses, with commas.
    #[serde(deserialize_with = "comma_list")]
    pub repo_servers: Vec<String>,
    /// `NARU_OPERATOR_HOSTS`: the hosts, without port, on which the operator's own tenant is served.
    #[serde(deserialize_with = "comma_list")]
    pub operator_hosts: Vec<String>,
    /// `NARU_OPERATOR_PASSWORD_FILE`: the first password of the operator's admin; written there when the file is absent.
    pub operator_password_file: PathBuf,
    /// `NARU_TENANT_HOST_TEMPLATE`: hosts that every new tenant gets, with `{tenant}` where its name goes, with commas.
    #[serde(default, deserialize_with = "comma_list")]
    pub tenant_host_template: Vec<String>,
    /// `NARU_QUOTAS__*`: what each tenant may use (`NARU_QUOTAS__APPLICATIONS`), unless the operator gave it quotas of its
    /// own; 0 means no limit.
    #[serde(default)]
    pub quotas: BTreeMap<String, u64>,
    /// `NARU_METRICS_LISTEN`: where `/metrics`, `/healthz` and `/readyz` are served.
    pub metrics_listen: String,
    /// `NARU_TELEMETRY__*`: logs and traces.
    #[serde(default)]
    pub telemetry: Telemetry,
}

impl Settings for Config {
    const PURPOSES: &'static [(&'static str, &'static str)] = &[
        (
            "NARU_LISTEN",
            "the addresses to serve on, such as 0.0.0.0:8080, with commas",
        ),
        (
            "NARU_DATABASE_URL",
            "PostgreSQL, as the role naru_api: postgres://naru_api:...@host/naru",
        ),
        (
            "NARU_REDIS_URL",
            "Redis: redis://host:6379, or rediss://host:6379 over TLS",
        ),
        (
            "NARU_KEY_FILE",
            "the file of the key that wraps the tenants' keys; `naru-api key FILE` makes one",
        ),
        (
            "NARU_CLUSTER_PUBLIC_KEY_FILE",
            "the file of the public key that added clusters' credentials are sealed to; `naru-api cluster-key FILE` makes FILE and FILE.pub",
        ),
        IDENTITY[0],
        IDENTITY[1],
        IDENTITY[2],
        (
            "NARU_REPO_SERVERS",
            "the https addresses of the repo-servers, with commas",
        ),
        (
            "NARU_OPERATOR_HOSTS",
            "the hosts, without port, on which the operator's own tenant is served, with commas",
        ),
        (
            "NARU_OPERATOR_PASSWORD_FILE",
            "the file of the operator's first password; written there when absent",
        ),
        (
            "NARU_METRICS_LISTEN",
            "where /metrics, /healthz and /readyz are served, such as 0.0.0.0:9090",
        ),
    ];
}

/// How to speak TLS.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Tls {
    /// `NARU_TLS__CERT`: the certificate chain, PEM.
    pub cert: Option<PathBuf>,
    /// `NARU_TLS__KEY`: its key, PEM.
    pub key: Option<PathBuf>,
    /// `NARU_TLS__CA_CERT`: the authority of the installation, PEM; it signs a certificate for each host that is served.
    pub ca_cert: Option<PathBuf>,
    /// `NARU_TLS__CA_KEY`: its key, PEM.
    pub ca_key: Option<PathBuf>,
    /// `NARU_TLS__FOLDER`: given certificates, `<name>.crt` and `<name>.key`, each for the hosts that it names.
    pub folder: Option<PathBuf>,
    /// `NARU_TLS__SELF_SIGNED`: where neither is given, sign with an authority that lives as long as the process.
    pub self_signed: bool,
}

/// How much one peer, and all of them, may hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// `NARU_LIMITS__CONNECTIONS`: connections at once.
    pub connections: usize,
    /// `NARU_LIMITS__CONNECTIONS_PER_SOURCE`: connections at once from one address.
    pub connections_per_source: usize,
    /// `NARU_LIMITS__STRANGERS_PER_MINUTE`: requests a minute from one address that turn out to be nobody's: without a token
    /// that counts, or to a host that is not served; 0 means no limit.
    pub strangers_per_minute: u64,
    /// `NARU_LIMITS__BODIES_MIB`: MiB of requests' bodies that are held at once; a tenant may hold three quarters of it,
    /// strangers together a sixteenth, besides what is kept for beginnings.
    pub bodies_mib: usize,
    /// `NARU_LIMITS__BODY_SECONDS`: how long the body of a signed-in caller's request may take to arrive, and a second more
    /// for each MiB that came.
    pub body_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            connections_per_source: 4_000,
            strangers_per_minute: 6_000,
            bodies_mib: 280,
            body_seconds: 60,
        }
    }
}

/// Settings of `naru-api rotate-key` and `naru-api rotate-tenant-key`.
#[derive(Clone, Debug, Deserialize)]
pub struct RotateConfig {
    /// `NARU_DATABASE_URL`: the database, with the role `naru_owner`.
    #[serde(deserialize_with = "secret")]
    pub database_url: Secret,
    /// `NARU_KEY_FILE`: the file of the keys that wrap the tenants' keys, the current one first.
    pub key_file: PathBuf,
    /// `NARU_TELEMETRY__*`: logs and traces.
    #[serde(default)]
    pub telemetry: Telemetry,
}

/// Settings of `naru-api migrate`.
#[derive(Clone, Debug, Deserialize)]
pub struct MigrateConfig {
    /// `NARU_DATABASE_URL`: the database, with the role `naru_owner`.
    #[serde(deserialize_with = "secret")]
    pub database_url: Secret,
    /// `NARU_TELEMETRY__*`: logs and traces.
    #[serde(default)]
    pub telemetry: Telemetry,
}

impl Settings for RotateConfig {
    const PURPOSES: &'static [(&'static str, &'static str)] = &[
        (
            "NARU_DATABASE_URL",
            "PostgreSQL, as the role naru_owner: postgres://naru_owner:...@host/naru",
        ),
        (
            "NARU_KEY_FILE",
            "the file of the keys that wrap the tenants' keys, the current one first",
        ),
    ];
}

impl Settings for MigrateConfig {
    const PURPOSES: &'static [(&'static str, &'static str)] = &[(
        "NARU_DATABASE_URL",
        "PostgreSQL, as the role naru_owner: postgres://naru_owner:...@host/naru",
    )];
}

fn default_redis_prefix() -> String {
    "naru:".to_owned()
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::from)
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
