//! What may be lost: values that can be computed again, in Redis, each sealed under its tenant's key.
//!
//! Deliberately without errors: whatever goes wrong is a miss. What must not be lost rests in `store`.
//!
//! # Invariants
//! - Redis may be emptied, stopped or replaced at any moment; that costs time, never correctness.
//! - An entry opens only under the key of its tenant and in its own place (prefix, tenant, kind, key): one that was
//!   changed, moved, or written by somebody else is a miss.
//! - Values are made smaller before they are sealed, and never become larger than they may be when they are opened.
//! - A Redis that does not answer costs a caller half a second once, then nothing until it is tried again.
//!
//! # Reading order
//! [`Cache`].
//!
//! ```no_run
//! # async fn example(tenant: domain::tenant::TenantId, key: domain::secret::Secret) -> Result<(), cache::Unusable> {
//! let cache = cache::Cache::connect("redis://127.0.0.1:6379/0", None, "naru:")?;
//! let day = std::time::Duration::from_secs(86_400);
//! cache.put(tenant, &key, "manifests", "0a1b", b"...", day).await;
//! assert!(cache.get(tenant, &key, "manifests", "0a1b").await.is_some());
//! # Ok(()) }
//! ```

mod breaker;
mod pack;
mod place;
mod seal;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::secret::Secret;
use domain::tenant::TenantId;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, ConnectionAddr, FromRedisValue, RedisError, RedisResult, TlsCertificates};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::OnceCell;

use breaker::Breaker;
use place::Place;

/// How long Redis may take; anything it holds can be computed again in about that time.
const PATIENCE: Duration = Duration::from_millis(500);
/// The largest value worth keeping.
const LARGEST: usize = 32 << 20;

/// What is said of the Redis cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Its address is none.
    #[error(
        "the Redis URL cannot be read; write redis://[:password@]host:port[/database], or rediss:// for TLS"
    )]
    Url(#[source] RedisError),
    /// Its certificate would not be checked.
    #[error(
        "the Redis URL ends with #insecure, which is refused; name the authority of its certificate"
    )]
    Unchecked,
    /// An authority is named for a connection that asks for no certificate.
    #[error("an authority is named, but the Redis URL asks for no TLS; write rediss://")]
    InClear,
    /// The file of the authority is not there.
    #[error("the certificate of the Redis' authority cannot be read")]
    NoAuthority(#[source] std::io::Error),
    /// It is no certificate.
    #[error("the file of the Redis' authority holds no certificate that can be used (PEM)")]
    Authority(#[source] Option<RedisError>),
}

/// Entries in Redis. Cheap to clone; connects when first used, and again when the connection is lost.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    prefix: String,
    connection: OnceCell<ConnectionManager>,
    breaker: Breaker,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cache({})", self.inner.prefix)
    }
}

impl Cache {
    /// A cache whose entries' names all begin with `prefix`. Over TLS (`rediss://`) the certificate has to be of the
    /// authority in the file, or of one that the machine trusts where none is named. Nothing is connected yet.
    ///
    /// # Errors
    /// When the URL or the authority cannot be used.
    pub fn connect(url: &str, authority: Option<&Path>, prefix: &str) -> Result<Self, Unusable> {
        let inner = Inner {
            client: client(url, authority)?,
            prefix: prefix.to_owned(),
            connection: OnceCell::new(),
            breaker: Breaker::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The value of an entry, if there is one and it is genuine.
    #[tracing::instrument(name = "cache.get", skip_all, fields(tenant = %tenant, kind = kind))]
    pub async fn get(
        &self,
        tenant: TenantId,
        tenant_key: &Secret,
        kind: &str,
        key: &str,
    ) -> Option<Bytes> {
        let place = self.place(tenant, kind, key);
        let sealed: Vec<u8> = self
            .ask(redis::cmd("GET").arg(place.name()))
            .await
            .flatten()?;
        let value = seal::open(tenant_key, &place.bytes(), &sealed);
        if value.is_none() {
            tracing::warn!(%tenant, kind, "a cache entry does not open under its tenant's key and is passed over");
        }
        // One of another form is one that is not there.
        pack::unpack(value?, LARGEST).map(Bytes::from)
    }

    /// Keeps a value for at most `ttl`. A value over 32 MiB is not kept.
    #[tracing::instrument(name = "cache.put", skip_all, fields(tenant = %tenant, kind = kind))]
    pub async fn put(
        &self,
        tenant: TenantId,
        tenant_key: &Secret,
        kind: &str,
        key: &str,
        value: &[u8],
        ttl: Duration,
    ) {
        let milliseconds = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX >> 1);
        if value.len() > LARGEST || milliseconds == 0 {
            return;
        }
        let place = self.place(tenant, kind, key);
        let Some(sealed) = seal::seal(tenant_key, &place.bytes(), &pack::pack(value)) else {
            return;
        };
        let _: Option<()> = self
            .ask(
                redis::cmd("SET")
                    .arg(place.name())
                    .arg(sealed)
                    .arg("PX")
                    .arg(milliseconds),
            )
            .await;
    }

    /// Drops an entry.
    #[tracing::instrument(name = "cache.forget", skip_all, fields(tenant = %tenant, kind = kind))]
    pub async fn forget(&self, tenant: TenantId, kind: &str, key: &str) {
        let _: Option<()> = self
            .ask(redis::cmd("UNLINK").arg(self.place(tenant, kind, key).name()))
            .await;
    }

    /// Drops every entry under the prefix.
    #[tracing::instrument(name = "cache.forget_all", skip_all)]
    pub async fn forget_all(&self) {
        self.forget_below(&self.inner.prefix).await;
    }

    /// What the names of a tenant's entries begin with.
    #[must_use]
    pub fn prefix(&self, tenant: TenantId) -> String {
        format!("{}{tenant}:", self.inner.prefix)
    }

    /// Drops every entry of a tenant, and says how many are there afterwards; `None` when Redis does not answer.
    #[tracing::instrument(name = "cache.forget_tenant", skip_all, fields(tenant = %tenant))]
    pub async fn forget_tenant(&self, tenant: TenantId) -> Option<u64> {
        let prefix = self.prefix(tenant);
        self.forget_below(&prefix).await?;
        let (mut cursor, mut left) = (0_u64, 0);
        loop {
            let (next, names) = self.scan(&prefix, cursor).await?;
            left += names.len() as u64;
            if next == 0 {
                return Some(left);
            }
            cursor = next;
        }
    }

    /// Drops every entry whose name begins so; `None` when Redis does not answer.
    async fn forget_below(&self, prefix: &str) -> Option<()> {
        let mut cursor = 0_u64;
        loop {
            let (next, names) = self.scan(prefix, cursor).await?;
            if !names.is_empty() {
                let _: Option<()> = self.ask(redis::cmd("UNLINK").arg(names)).await;
            }
            if next == 0 {
                return Some(());
            }
            cursor = next;
        }
    }

    /// One step through the names that begin so: where the next one goes on (0 at the end), and what this one found.
    async fn scan(&self, prefix: &str, cursor: u64) -> Option<(u64, Vec<Vec<u8>>)> {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor)
            .arg("MATCH")
            .arg(format!("{}*", glob_escaped(prefix)))
            .arg("COUNT")
            .arg(1000);
        self.ask(&scan).await
    }

    /// Whether Redis answers, for the health page; readiness does not depend on it.
    pub async fn ping(&self) -> bool {
        self.ask::<String>(&redis::cmd("PING")).await.is_some()
    }

    fn place<'a>(&'a self, tenant: TenantId, kind: &'a str, key: &'a str) -> Place<'a> {
        Place {
            prefix: &self.inner.prefix,
            tenant,
            kind,
            key,
        }
    }

    /// Asks Redis; `None` when it does not answer, or is not to be asked again yet.
    async fn ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> Option<T> {
        if !self.inner.breaker.closed() {
            return None;
        }
        // The connection has deadlines of its own; this one covers the wait for it as well.
        let answer = tokio::time::timeout(PATIENCE * 2, self.query(command)).await;
        match answer {
            Ok(Ok(value)) => {
                self.inner.breaker.succeeded();
                Some(value)
            }
            Ok(Err(error)) => {
                // Redis's errors name the command's failure, never its arguments.
                self.inner.breaker.failed(&error);
                None
            }
            Err(elapsed) => {
                self.inner.breaker.failed(&elapsed);
                None
            }
        }
    }

    async fn query<T: FromRedisValue>(&self, command: &redis::Cmd) -> RedisResult<T> {
        let connect = || async {
            let config = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(PATIENCE))
                .set_response_timeout(Some(PATIENCE))
                .set_number_of_retries(0);
            ConnectionManager::new_lazy_with_config(self.inner.client.clone(), config)
        };
        let mut connection = self
            .inner
            .connection
            .get_or_try_init(connect)
            .await?
            .clone();
        command.query_async(&mut connection).await
    }
}

/// The way to a Redis, before it is taken.
fn client(url: &str, authority: Option<&Path>) -> Result<Client, Unusable> {
    // Only the first call of a process does anything; the provider is the same everywhere.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::open(url).map_err(Unusable::Url)?;
    let tls = match client.get_connection_info().addr() {
        // It would fail with each connection, and a cache that is never there is noticed late.
        ConnectionAddr::TcpTls { insecure: true, .. } => return Err(Unusable::Unchecked),
        ConnectionAddr::TcpTls { .. } => true,
        _ => false,
    };
    let Some(authority) = authority else {
        return Ok(client);
    };
    if !tls {
        return Err(Unusable::InClear);
    }
    let pem = std::fs::read(authority).map_err(Unusable::NoAuthority)?;
    // A file without any, also where its lines are indented, is taken for an authority that signs nothing.
    if CertificateDer::pem_slice_iter(&pem).next().is_none() {
        return Err(Unusable::Authority(None));
    }
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(pem),
    };
    Client::build_with_tls(url, certificates).map_err(|error| Unusable::Authority(Some(error)))
}

/// The prefix as SCAN's pattern reads it literally.
fn glob_escaped(prefix: &str) -> String {
    let mut escaped = String::with_capacity(prefix.len());
    for c in prefix.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
