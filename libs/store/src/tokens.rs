//! Tokens that are void before their time.

use domain::clock::Timestamp;

use crate::error::Result;
use crate::scope::TenantScope;

impl TenantScope {
    /// Voids a token until it would have expired anyway.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.tokens.revoke", skip_all, fields(tenant = %self.tenant()))]
    pub async fn revoke_token(&self, jti: &str, expires_at: Timestamp) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM naru.revoked_tokens WHERE expires_at < clock_timestamp()")
            .execute(&mut *tx)
            .await?;
        // Voiding a void token is no mistake: zero or one row.
        sqlx::query(
            "INSERT INTO naru.revoked_tokens (tenant_id, jti, expires_at) VALUES (naru.current_tenant(), $1, $2)
             ON CONFLICT DO NOTHING",
        )
        .bind(jti)
        .bind(expires_at)
        .execute(&mut *tx)
        .await?;
        // Every process that trusts the token for a moment forgets it.
        sqlx::query("SELECT pg_notify('naru', naru.current_tenant() || ' identity')")
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whether a token was voided.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.tokens.is_revoked", skip_all, fields(tenant = %self.tenant()))]
    pub async fn is_revoked(&self, jti: &str) -> Result<bool> {
        let mut tx = self.begin().await?;
        Ok(
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM naru.revoked_tokens WHERE jti = $1)")
                .bind(jti)
                .fetch_one(&mut *tx)
                .await?,
        )
    }
}
