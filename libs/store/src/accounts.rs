//! A tenant's accounts and the tokens made for them.

use std::collections::BTreeMap;

use domain::clock::Timestamp;
use domain::secret::Secret;
use domain::settings::{self, AccountToken, Capability};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::error::{Error, Result, exactly_one, unless_unique};
use crate::scope::TenantScope;
use crate::transaction::Transaction;

/// An account, and what the platform knows of it besides its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The account as its tenant's settings have it.
    pub settings: settings::Account,
    /// Whether its password is one that it chose itself.
    pub own_password: bool,
    /// Whether it may run the platform: a grant outside the tenant's own rights.
    pub operator: bool,
}

/// A tenant's accounts. Those that have the operator grant are changed through a scope that is
/// [`TenantScope::written_by`] an operator; through any other a change is `Denied`.
#[derive(Clone, Copy, Debug)]
pub struct Accounts<'a> {
    pub(crate) scope: &'a TenantScope,
}

const SELECT: &str = "SELECT a.name, a.password_hash, a.password_mtime, a.enabled, a.capabilities, a.own_password,
        o.account IS NOT NULL AS operator,
        ARRAY(SELECT t.id FROM naru.account_tokens t WHERE t.account = a.name ORDER BY t.issued_at DESC, t.id) AS ids,
        ARRAY(SELECT t.issued_at FROM naru.account_tokens t WHERE t.account = a.name ORDER BY t.issued_at DESC, t.id) AS issued,
        ARRAY(SELECT t.expires_at FROM naru.account_tokens t WHERE t.account = a.name ORDER BY t.issued_at DESC, t.id) AS expires
    FROM naru.accounts a LEFT JOIN naru.operators o ON o.tenant_id = a.tenant_id AND o.account = a.name";

impl Accounts<'_> {
    /// One account.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.accounts.find", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn find(&self, name: &str) -> Result<Option<Account>> {
        let mut tx = self.scope.begin().await?;
        let row = sqlx::query(&format!("{SELECT} WHERE a.name = $1"))
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
        list(&mut tx).await
    }

    /// Sets a password (its bcrypt hash); tokens issued before `at` are void from then on. `own` says that the account
    /// chose it itself.
    ///
    /// # Errors
    /// `NotFound` when there is no such account; `Denied` when it is an operator's.
    #[tracing::instrument(name = "db.accounts.set_password", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn set_password(
        &self,
        name: &str,
        hash: &Secret,
        at: Timestamp,
        own: bool,
    ) -> Result<()> {
        let mut tx = self.scope.begin_write().await?;
        let done = sqlx::query(
            "UPDATE naru.accounts SET password_hash = $2, password_mtime = $3, own_password = $4 WHERE name = $1",
        )
        .bind(name)
        .bind(hash.expose_str())
        .bind(at)
        .bind(own)
        .execute(&mut *tx)
        .await?;
        exactly_one(done.rows_affected(), "account", name)?;
        touch(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Remembers a token that was made for an account.
    ///
    /// # Errors
    /// `AlreadyExists` for an id in use, `NotFound` when there is no such account; `Denied` when it is an operator's.
    #[tracing::instrument(name = "db.accounts.add_token", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn add_token(&self, name: &str, token: &AccountToken) -> Result<()> {
        let mut tx = self.scope.begin_write().await?;
        let there: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM naru.accounts WHERE name = $1)")
                .bind(name)
                .fetch_one(&mut *tx)
                .await?;
        if !there {
            return Err(Error::not_found("account", name));
        }
        insert_token(&mut tx, name, token).await?;
        touch(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Ends a token.
    ///
    /// # Errors
    /// `NotFound` when the account has no such token; `Denied` when it is an operator's.
    #[tracing::instrument(name = "db.accounts.delete_token", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn delete_token(&self, name: &str, id: &str) -> Result<()> {
        let mut tx = self.scope.begin_write().await?;
        let done = sqlx::query("DELETE FROM naru.account_tokens WHERE account = $1 AND id = $2")
            .bind(name)
            .bind(id)
            .execute(&mut *tx)
            .await?;
        exactly_one(done.rows_affected(), "token", id)?;
        touch(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Everybody who trusts an account for a moment looks again.
async fn touch(tx: &mut Transaction) -> Result<()> {
    sqlx::query("SELECT naru.touch('identity')")
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn insert_token(tx: &mut Transaction, name: &str, token: &AccountToken) -> Result<()> {
    sqlx::query(
        "INSERT INTO naru.account_tokens (tenant_id, account, id, issued_at, expires_at)
         VALUES (naru.current_tenant(), $1, $2, $3, $4)",
    )
    .bind(name)
    .bind(&token.id)
    .bind(token.issued_at)
    .bind(token.expires_at)
    .execute(&mut **tx)
    .await
    .map_err(|error| unless_unique(error, "token", &token.id))?;
    Ok(())
}

/// All accounts, by name.
pub(crate) async fn list(tx: &mut Transaction) -> Result<Vec<Account>> {
    let rows = sqlx::query(&format!("{SELECT} ORDER BY a.name"))
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(account).collect()
}

/// Makes the rows say what the settings say; a password that changes here was set by somebody else.
pub(crate) async fn write(
    tx: &mut Transaction,
    before: &BTreeMap<String, settings::Account>,
    after: &BTreeMap<String, settings::Account>,
) -> Result<()> {
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        let done = sqlx::query("DELETE FROM naru.accounts WHERE name = $1")
            .bind(name)
            .execute(&mut **tx)
            .await?;
        exactly_one(done.rows_affected(), "account", name)?;
    }
    for (name, account) in after {
        let old = before.get(name);
        if old == Some(account) {
            continue;
        }
        let words: Vec<&str> = account.capabilities.iter().map(|c| c.as_str()).collect();
        let same_password = old.is_some_and(|old| old.password_hash == account.password_hash);
        sqlx::query(
            "INSERT INTO naru.accounts (tenant_id, name, password_hash, password_mtime, enabled, capabilities)
             VALUES (naru.current_tenant(), $1, $2, $3, $4, $5)
             ON CONFLICT (tenant_id, name) DO UPDATE SET password_hash = excluded.password_hash,
                 password_mtime = CASE WHEN $7 THEN accounts.password_mtime ELSE excluded.password_mtime END,
                 enabled = excluded.enabled, capabilities = excluded.capabilities,
                 own_password = accounts.own_password AND $6",
        )
        .bind(name)
        .bind(account.password_hash.as_ref().map(Secret::expose_str))
        .bind(account.password_mtime)
        .bind(account.enabled)
        .bind(words)
        .bind(same_password)
        .bind(old.is_some_and(|old| old.password_mtime == account.password_mtime))
        .execute(&mut **tx)
        .await?;
        let no_tokens = Vec::new();
        let old_tokens = old.map_or(&no_tokens, |old| &old.tokens);
        for token in old_tokens
            .iter()
            .filter(|token| !account.tokens.contains(token))
        {
            sqlx::query("DELETE FROM naru.account_tokens WHERE account = $1 AND id = $2")
                .bind(name)
                .bind(&token.id)
                .execute(&mut **tx)
                .await?;
        }
        for token in account
            .tokens
            .iter()
            .filter(|token| !old_tokens.contains(token))
        {
            insert_token(tx, name, token).await?;
        }
    }
    Ok(())
}

fn account(row: &PgRow) -> Result<Account> {
    let name: String = row.try_get("name")?;
    let words: Vec<String> = row.try_get("capabilities")?;
    let ids: Vec<String> = row.try_get("ids")?;
    let issued: Vec<i64> = row.try_get("issued")?;
    let expires: Vec<i64> = row.try_get("expires")?;
    let tokens = ids.into_iter().zip(issued).zip(expires);
    Ok(Account {
        settings: settings::Account {
            enabled: row.try_get("enabled")?,
            capabilities: words
                .iter()
                .filter_map(|word| Capability::parse(word))
                .collect(),
            password_hash: row
                .try_get::<Option<String>, _>("password_hash")?
                .map(Secret::from),
            password_mtime: row.try_get("password_mtime")?,
            tokens: tokens
                .map(|((id, issued_at), expires_at)| AccountToken {
                    id,
                    issued_at,
                    expires_at,
                })
                .collect(),
            name,
        },
        own_password: row.try_get("own_password")?,
        operator: row.try_get("operator")?,
    })
}
