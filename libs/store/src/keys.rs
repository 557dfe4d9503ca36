//! The keys that sign a tenant's tokens.

use domain::secret::Secret;
use sqlx::Row;

use crate::error::{Error, Result};
use crate::scope::{Spot, TenantScope};

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
    /// The key of an id, if it is this tenant's.
    ///
    /// # Errors
    /// When the database does not answer or the key does not open.
    #[tracing::instrument(name = "db.keys.find", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn find(&self, kid: &str) -> Result<Option<SigningKey>> {
        let mut tx = self.scope.begin().await?;
        let sealed: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT sealed FROM naru.signing_keys WHERE kid = $1")
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
            "SELECT kid, sealed FROM naru.signing_keys ORDER BY created_at DESC, kid LIMIT 1",
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| Error::not_found("tenant", self.scope.tenant().to_string()))?;
        drop(tx);
        self.open(row.try_get("kid")?, row.try_get("sealed")?).await
    }

    async fn open(&self, kid: String, sealed: &[u8]) -> Result<SigningKey> {
        let key = self.scope.open(spot(&[&kid]), sealed).await?;
        Ok(SigningKey {
            key: Secret::new(key.as_slice()),
            kid,
        })
    }
}
