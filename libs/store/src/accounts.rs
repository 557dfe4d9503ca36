//! A tenant's accounts.

use domain::clock::Timestamp;
use domain::secret::Secret;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::error::{Result, exactly_one};
use crate::scope::TenantScope;

/// Somebody who may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub name: String,
    /// The bcrypt hash of the password.
    pub password_hash: Secret,
    /// When the password was last set; tokens issued before are void.
    pub password_mtime: Timestamp,
    /// Whether it may log in.
    pub enabled: bool,
    /// Whether it may run the platform: a grant outside the tenant's own rights.
    pub operator: bool,
}

/// A tenant's accounts.
#[derive(Clone, Copy, Debug)]
pub struct Accounts<'a> {
    pub(crate) scope: &'a TenantScope,
}

impl Accounts<'_> {
    /// One account.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.accounts.find", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn find(&self, name: &str) -> Result<Option<Account>> {
        let mut tx = self.scope.begin().await?;
        let row = sqlx::query(
            "SELECT a.name, a.password_hash, a.password_mtime, a.enabled, o.account IS NOT NULL AS operator
             FROM naru.accounts a LEFT JOIN naru.operators o ON o.tenant_id = a.tenant_id AND o.account = a.name
             WHERE a.name = $1",
        )
        .bind(name)
        .fetch_optional(&mut *tx)
        .await?;
        row.as_ref().map(account).transpose()
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.accounts.list", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn list(&self) -> Result<Vec<Account>> {
        let mut tx = self.scope.begin().await?;
        let rows = sqlx::query(
            "SELECT a.name, a.password_hash, a.password_mtime, a.enabled, o.account IS NOT NULL AS operator
             FROM naru.accounts a LEFT JOIN naru.operators o ON o.tenant_id = a.tenant_id AND o.account = a.name
             ORDER BY a.name",
        )
        .fetch_all(&mut *tx)
        .await?;
        rows.iter().map(account).collect()
    }

    /// Sets a password (its bcrypt hash); tokens issued before `at` are void from then on.
    ///
    /// # Errors
    /// `NotFound` when there is no such account.
    #[tracing::instrument(name = "db.accounts.set_password", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn set_password(&self, name: &str, hash: &Secret, at: Timestamp) -> Result<()> {
        let mut tx = self.scope.begin().await?;
        let done = sqlx::query(
            "UPDATE naru.accounts SET password_hash = $2, password_mtime = $3 WHERE name = $1",
        )
        .bind(name)
        .bind(hash.expose_str())
        .bind(at)
        .execute(&mut *tx)
        .await?;
        exactly_one(done.rows_affected(), "account", name)?;
        tx.commit().await?;
        Ok(())
    }
}

fn account(row: &PgRow) -> Result<Account> {
    Ok(Account {
        name: row.try_get("name")?,
        password_hash: Secret::from(row.try_get::<String, _>("password_hash")?),
        password_mtime: row.try_get("password_mtime")?,
        enabled: row.try_get("enabled")?,
        operator: row.try_get("operator")?,
    })
}
