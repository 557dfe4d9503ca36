//! A tenant's settings: Argo CD's objects and keys over the tables that hold them.
//!
//! Accounts and webhook secrets have tables of their own, which are the truth; `accounts.*`, `admin.*` and
//! `webhook.*.secret` are how settings show and change them.

use domain::settings::{self, Config, Object, Raw, Value, accounts as account_keys};
use sqlx::Row;

use crate::accounts;
use crate::error::{Error, Result};
use crate::scope::{Spot, TenantScope, reading};
use crate::secrets::{self, WEBHOOK, WebhookProvider};
use crate::transaction::Transaction;

/// The key of each provider's webhook secret.
const WEBHOOK_KEYS: [(WebhookProvider, &str); 7] = [
    (WebhookProvider::GitHub, "webhook.github.secret"),
    (WebhookProvider::GitLab, "webhook.gitlab.secret"),
    (WebhookProvider::Gitea, "webhook.gitea.secret"),
    (WebhookProvider::Gogs, "webhook.gogs.secret"),
    (WebhookProvider::Bitbucket, "webhook.bitbucket.uuid"),
    (
        WebhookProvider::BitbucketServer,
        "webhook.bitbucketserver.secret",
    ),
    (WebhookProvider::AzureDevOps, "webhook.azuredevops.password"),
];

/// A tenant's settings.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    pub(crate) scope: &'a TenantScope,
}

/// What [`Settings::update`] found and left.
#[derive(Clone, Debug)]
pub struct Updated {
    /// Before.
    pub before: Config,
    /// After.
    pub after: Config,
}

fn spot<'a>(row: &'a [&'a str]) -> Spot<'a> {
    Spot {
        table: "config",
        column: "sealed",
        row,
    }
}

impl Settings<'_> {
    /// All of them.
    ///
    /// # Errors
    /// When the database does not answer or a secret does not open.
    #[tracing::instrument(name = "db.config.load", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn load(&self) -> Result<Config> {
        // The keys are fetched before, on a connection of their own.
        self.scope.tenant_key().await?;
        let mut tx = self.scope.begin().await?;
        self.read(&mut tx).await
    }

    /// Those in plain text that the caller's role may read. No secret is read for it.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.config.plain", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn plain(&self) -> Result<Config> {
        let object = Object::Cm;
        let statement = reading("SELECT key, value FROM naru.config WHERE object = $2");
        let rows = sqlx::query(&statement)
            .bind(self.scope.setting())
            .bind(object.name())
            .fetch_all(self.scope.store().pool())
            .await?;
        let mut raw = Raw::default();
        for row in &rows {
            if let Some(value) = row.try_get::<Option<String>, _>("value")? {
                raw.set(&object, &row.try_get::<String, _>("key")?, &value);
            }
        }
        Ok(Config::from_raw(raw))
    }

    /// Changes them: `change` sees them as they are, under lock, and decides. In force on the next call everywhere.
    ///
    /// `change` must not wait for anything: the tenant's other writers wait for it.
    ///
    /// # Errors
    /// What `change` says, or why the database refused.
    #[tracing::instrument(name = "db.config.update", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn update<E, F>(&self, change: F) -> Result<Updated, E>
    where
        E: From<Error>,
        F: FnOnce(&Config) -> Result<Config, E>,
    {
        self.scope.ready_to_seal().await?;
        let mut tx = self.scope.begin_write().await?;
        let before = self.read(&mut tx).await?;
        let after = change(&before)?;
        if before != after {
            self.write(&mut tx, &before, &after).await?;
            sqlx::query("SELECT naru.touch('tenant')")
                .execute(&mut *tx)
                .await
                .map_err(Error::from)?;
            tx.commit().await.map_err(Error::from)?;
        }
        Ok(Updated { before, after })
    }

    async fn read(&self, tx: &mut Transaction) -> Result<Config> {
        let mut raw = Raw::default();
        let rows = sqlx::query("SELECT object, key, value, sealed FROM naru.config")
            .fetch_all(&mut **tx)
            .await?;
        for row in &rows {
            let (object, key): (String, String) = (row.try_get("object")?, row.try_get("key")?);
            let Some(object) = Object::parse(&object) else {
                tracing::warn!(
                    object,
                    "an object of settings that this version does not know"
                );
                continue;
            };
            match row.try_get::<Option<Vec<u8>>, _>("sealed")? {
                Some(sealed) => {
                    let place = [object.name(), key.as_str()];
                    let value = self.scope.open(spot(&place), &sealed).await?;
                    raw.set(&object, &key, &String::from_utf8_lossy(&value));
                }
                None => raw.set(&object, &key, &row.try_get::<String, _>("value")?),
            }
        }
        let webhooks = sqlx::query("SELECT name, sealed FROM naru.secrets WHERE kind = $1")
            .bind(WEBHOOK)
            .fetch_all(&mut **tx)
            .await?;
        for row in &webhooks {
            let name: String = row.try_get("name")?;
            let known = WEBHOOK_KEYS.iter().find(|(p, _)| p.as_str() == name);
            if let Some((provider, key)) = known {
                let place = [WEBHOOK, provider.as_str()];
                let sealed: Vec<u8> = row.try_get("sealed")?;
                let value = self.scope.open(secrets::spot(&place), &sealed).await?;
                raw.set(&Object::Secret, key, &String::from_utf8_lossy(&value));
            }
        }
        for account in accounts::list(tx).await? {
            account_keys::write(&mut raw, &account.settings);
        }
        Ok(Config::from_raw(raw))
    }

    async fn write(&self, tx: &mut Transaction, before: &Config, after: &Config) -> Result<()> {
        accounts::write(tx, before.accounts(), after.accounts()).await?;
        for ((object, key), (_, value)) in settings::differences(before.raw(), after.raw()) {
            if account_keys::is_account_key(object, key) {
                continue;
            }
            let webhook = WEBHOOK_KEYS
                .iter()
                .find(|(_, name)| *object == Object::Secret && *name == key);
            match webhook {
                Some((provider, _)) => self.write_webhook(tx, *provider, value).await?,
                None => self.write_key(tx, object, key, value).await?,
            }
        }
        Ok(())
    }

    async fn write_webhook(
        &self,
        tx: &mut Transaction,
        provider: WebhookProvider,
        value: Option<&Value>,
    ) -> Result<()> {
        let name = provider.as_str();
        sqlx::query("DELETE FROM naru.secrets WHERE kind = $1 AND name = $2")
            .bind(WEBHOOK)
            .bind(name)
            .execute(&mut **tx)
            .await?;
        if let Some(value) = value {
            let place = [WEBHOOK, name];
            let sealed = self
                .scope
                .seal(secrets::spot(&place), value.expose().as_bytes())
                .await?;
            sqlx::query(
                "INSERT INTO naru.secrets (tenant_id, kind, name, sealed) VALUES (naru.current_tenant(), $1, $2, $3)",
            )
            .bind(WEBHOOK)
            .bind(name)
            .bind(sealed)
            .execute(&mut **tx)
            .await?;
        }
        Ok(())
    }

    async fn write_key(
        &self,
        tx: &mut Transaction,
        object: &Object,
        key: &str,
        value: Option<&Value>,
    ) -> Result<()> {
        let Some(value) = value else {
            sqlx::query("DELETE FROM naru.config WHERE object = $1 AND key = $2")
                .bind(object.name())
                .bind(key)
                .execute(&mut **tx)
                .await?;
            return Ok(());
        };
        let (text, sealed) = match value {
            Value::Text(text) => (Some(text.as_str()), None),
            Value::Secret(secret) => {
                let place = [object.name(), key];
                let sealed = self.scope.seal(spot(&place), secret.expose()).await?;
                (None, Some(sealed))
            }
        };
        sqlx::query(
            "INSERT INTO naru.config (tenant_id, object, key, value, sealed)
             VALUES (naru.current_tenant(), $1, $2, $3, $4)
             ON CONFLICT (tenant_id, object, key) DO UPDATE
             SET value = excluded.value, sealed = excluded.sealed, updated_at = clock_timestamp()",
        )
        .bind(object.name())
        .bind(key)
        .bind(text)
        .bind(sealed)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}
