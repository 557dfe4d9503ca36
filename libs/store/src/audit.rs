//! Who did what: append-only, nobody can change or delete an entry, and seals show it when somebody did.
//!
//! Entries are written one after another and sealed in batches. A seal is keyed with what only a holder of the tenant's
//! key has ([`chain`]), and covers the seal before it: whoever writes to the database without that key can neither change
//! an entry nor take one away unseen ([`Audit::verify`]). What the last seals cover can be cut off together with them;
//! who wrote down a seal's number and hash elsewhere sees that too.

pub(crate) mod append;
pub mod chain;
mod query;
mod seals;
mod verify;

use domain::secret::Secret;
use serde::Serialize;
use serde_json::Value;

pub use query::{Filter, Recorded};
pub use seals::Seal;
pub use verify::{Broken, Verified};

use crate::error::{Error, Result};
use crate::scope::{Spot, TenantScope};

/// Something that was done, or is about to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AuditEntry {
    /// The entry whose end this one is; `None` for what stands for itself.
    pub about: Option<i64>,
    /// The account; empty for the platform itself.
    pub actor: String,
    /// What kind of actor: `account`, `operator`, `anonymous`.
    pub actor_kind: String,
    /// What is done: the path of the RPC.
    pub action: String,
    /// The object (`default/hello`).
    pub object: String,
    /// The address that the call came from.
    pub source: String,
    /// The gRPC code's name; empty while the end is not known.
    pub result: String,
    /// What ties an entry to logs and traces.
    pub request_id: String,
    /// Particulars; never secrets.
    pub details: Value,
}

/// A tenant's audit trail.
#[derive(Clone, Copy, Debug)]
pub struct Audit<'a> {
    pub(crate) scope: &'a TenantScope,
}

const KEY: Spot<'static> = Spot {
    table: "audit_keys",
    column: "sealed",
    row: &[],
};

impl Audit<'_> {
    /// Adds an entry, together with those that others add meanwhile. Says its id. It is on disk when this returns, for what
    /// it speaks of may be no write to this database that would take it along.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.audit.append", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn append(&self, entry: &AuditEntry) -> Result<i64> {
        append::append(self.scope.store(), self.scope.tenant(), entry).await
    }

    /// What stands in the record for a secret: equal for equal ones of this tenant, and telling nothing else.
    ///
    /// # Errors
    /// When the tenant's key cannot be had.
    pub async fn mark(&self, secret: &[u8]) -> Result<String> {
        let key = self.scope.tenant_key().await?;
        let key = blake3::derive_key("naru 2026 audit marks of secrets", key.expose());
        let mark = blake3::keyed_hash(&key, secret);
        Ok(format!("secret:{}", hex::encode(&mark.as_bytes()[..12])))
    }

    /// What this tenant's seals are keyed with; `None` before the first.
    pub(crate) async fn key(&self) -> Result<Option<Secret>> {
        let mut tx = self.scope.begin().await?;
        let sealed: Option<Vec<u8>> = sqlx::query_scalar("SELECT sealed FROM naru.audit_keys")
            .fetch_optional(&mut *tx)
            .await?;
        drop(tx);
        match sealed {
            Some(sealed) => {
                let key = self.scope.open(KEY, &sealed).await?;
                Ok(Some(Secret::new(key.as_slice())))
            }
            None => Ok(None),
        }
    }

    /// The same, made if it is not there yet.
    pub(crate) async fn ensure_key(&self) -> Result<Secret> {
        if let Some(key) = self.key().await? {
            return Ok(key);
        }
        let sealed = self.scope.seal(KEY, &crate::seal::random::<32>()).await?;
        let mut tx = self.scope.begin().await?;
        sqlx::query(
            "INSERT INTO naru.audit_keys (tenant_id, sealed) VALUES (naru.current_tenant(), $1)
             ON CONFLICT DO NOTHING",
        )
        .bind(sealed)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        // Another may have been quicker; the one that is there counts.
        self.key()
            .await?
            .ok_or_else(|| Error::not_found("tenant", self.scope.tenant().to_string()))
    }
}
