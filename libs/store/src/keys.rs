//! The keys that sign a tenant's tokens.

use std::time::Duration;

use domain::secret::Secret;
use sqlx::Row;
use sqlx::postgres::types::PgInterval;

use crate::error::{Error, Result};
use crate::scope::{Spot, TenantScope};
use crate::seal;

/// A key under a random id that no two tenants share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// The id, as tokens carry it.
    pub kid: String,
    /// The key, for HMAC-SHA256.
    pub key: Secret,
}

/// A tenant's signing keys.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a> {
    pub(crate) scope: &'a TenantScope,
}

pub(crate) fn spot<'a>(row: &'a [&'a str]) -> Spot<'a> {
    Spot {
        table: "signing_keys",
        column: "sealed",
        row,
    }
}

impl Keys<'_> {
    /// The key of an id, if it is this tenant's and still counts.
    ///
    /// # Errors
    /// When the database does not answer or the key does not open.
    #[tracing::instrument(name = "db.keys.find", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn find(&self, kid: &str) -> Result<Option<SigningKey>> {
        let mut tx = self.scope.begin().await?;
        let sealed: Option<Vec<u8>> = sqlx::query_scalar(
            "SELECT sealed FROM naru.signing_keys
                 WHERE kid = $1 AND (retires_at IS NULL OR retires_at > clock_timestamp())",
        )
        .bind(kid)
        .fetch_optional(&mut *tx)
        .await?;
        drop(tx);
        match sealed {
            Some(sealed) => self.open(kid.to_owned(), &sealed).await.map(Some),
            None => Ok(None),
        }
    }

    /// The key that new tokens are signed with.
    ///
    /// # Errors
    /// When the database does not answer or the key does not open.
    #[tracing::instrument(name = "db.keys.current", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn current(&self) -> Result<SigningKey> {
        let mut tx = self.scope.begin().await?;
        let row = sqlx::query(
            "SELECT kid, sealed FROM naru.signing_keys WHERE retires_at IS NULL
             ORDER BY created_at DESC, kid LIMIT 1",
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| Error::not_found("tenant", self.scope.tenant().to_string()))?;
        drop(tx);
        self.open(row.try_get("kid")?, row.try_get("sealed")?).await
    }

    /// Puts a fresh key in front. Those before it count for the grace; with none they are gone, and every token that
    /// they signed with them. The id of the new one.
    ///
    /// # Errors
    /// `NotFound` when the tenant was destroyed.
    #[tracing::instrument(name = "db.keys.rotate", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn rotate(&self, grace: Duration) -> Result<String> {
        let kid = hex::encode(seal::random::<16>());
        let fresh = Secret::new(seal::random::<32>());
        let sealed = self.scope.seal(spot(&[&kid]), fresh.expose()).await?;
        sqlx::query("SELECT naru.rotate_signing_key($1, $2, $3, $4)")
            .bind(self.scope.tenant().0)
            .bind(&kid)
            .bind(sealed)
            .bind(
                PgInterval::try_from(grace)
                    .map_err(|_| Error::invalid("grace", "it is too long"))?,
            )
            .execute(self.scope.store().pool())
            .await?;
        Ok(kid)
    }

    async fn open(&self, kid: String, sealed: &[u8]) -> Result<SigningKey> {
        let key = self.scope.open(spot(&[&kid]), sealed).await?;
        Ok(SigningKey {
            key: Secret::new(key.as_slice()),
            kid,
        })
    }
}
