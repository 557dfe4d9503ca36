//! Whom a tenant trusts: host keys, certificates and signing keys, kept under the names of Argo CD's own objects.

use std::collections::BTreeMap;

use domain::certificate::Trust;
use domain::openpgp::PublicKey;
use sqlx::PgConnection;

use crate::error::{Error, Result, exactly_one};
use crate::scope::{TenantScope, reading};

const KNOWN_HOSTS: &str = "argocd-ssh-known-hosts-cm";
const KNOWN_HOSTS_KEY: &str = "ssh_known_hosts";
const TLS: &str = "argocd-tls-certs-cm";
const GPG: &str = "argocd-gpg-keys-cm";

/// What a tenant trusts.
#[derive(Clone, Copy, Debug)]
pub struct TrustStore<'a> {
    pub(crate) scope: &'a TenantScope,
}

impl TrustStore<'_> {
    /// Host keys and certificates. Until the tenant changes its host keys, they are the usual ones.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.trust.certificates", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn certificates(&self) -> Result<Trust> {
        let statement = reading(&of_certificates());
        let rows: Vec<(String, String, String)> = sqlx::query_as(&statement)
            .bind(self.scope.setting())
            .fetch_all(self.scope.store().pool())
            .await?;
        Ok(certificates(rows))
    }

    /// Changes host keys and certificates: no two changes at once, and nothing is written when `change` refuses.
    ///
    /// # Errors
    /// When the database does not answer; the inner error is the refusal.
    #[tracing::instrument(name = "db.trust.change", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn change<T, E>(
        &self,
        change: impl FnOnce(&mut Trust) -> std::result::Result<T, E>,
    ) -> Result<std::result::Result<T, E>> {
        let mut tx = self.scope.begin_write().await?;
        let rows: Vec<(String, String, String)> = sqlx::query_as(&of_certificates())
            .fetch_all(&mut *tx)
            .await?;
        let before = certificates(rows);
        let mut after = before.clone();
        let answer = match change(&mut after) {
            Ok(answer) => answer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if after.known_hosts != before.known_hosts {
            put(
                &mut tx,
                KNOWN_HOSTS,
                KNOWN_HOSTS_KEY,
                &after.known_hosts_text(),
            )
            .await?;
        }
        for gone in before
            .tls
            .keys()
            .filter(|host| !after.tls.contains_key(*host))
        {
            delete(&mut tx, TLS, gone).await?;
        }
        for (host, pem) in after
            .tls
            .iter()
            .filter(|(host, pem)| before.tls.get(*host) != Some(pem))
        {
            put(&mut tx, TLS, host, pem).await?;
        }
        if after != before {
            self.scope.access_changed(&mut tx).await?;
            tx.commit().await?;
        }
        Ok(Ok(answer))
    }

    /// The signing keys, armored, by their ids.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.trust.signing_keys", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn signing_keys(&self) -> Result<BTreeMap<String, String>> {
        let statement = reading("SELECT key, value FROM naru.trust WHERE object = $2");
        let rows: Vec<(String, String)> = sqlx::query_as(&statement)
            .bind(self.scope.setting())
            .bind(GPG)
            .fetch_all(self.scope.store().pool())
            .await?;
        Ok(rows.into_iter().collect())
    }

    /// Keeps the keys that are not there yet; the ids of those that are.
    ///
    /// # Errors
    /// `Invalid` when there would be more than `limit`.
    #[tracing::instrument(name = "db.trust.add_signing_keys", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn add_signing_keys(&self, keys: &[PublicKey], limit: usize) -> Result<Vec<String>> {
        let mut tx = self.scope.begin_write().await?;
        let known = read(&mut tx, GPG).await?;
        let (old, new): (Vec<&PublicKey>, Vec<&PublicKey>) =
            keys.iter().partition(|key| known.contains_key(&key.id));
        if known.len() + new.len() > limit {
            return Err(Error::invalid(
                "signing keys",
                format!("a tenant has at most {limit}"),
            ));
        }
        for key in &new {
            put(&mut tx, GPG, &key.id, &key.armored).await?;
        }
        if !new.is_empty() {
            tx.commit().await?;
        }
        Ok(old.into_iter().map(|key| key.id.clone()).collect())
    }

    /// Forgets a key.
    ///
    /// # Errors
    /// `NotFound` when it was not there.
    #[tracing::instrument(name = "db.trust.delete_signing_key", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn delete_signing_key(&self, id: &str) -> Result<()> {
        let mut tx = self.scope.begin_write().await?;
        exactly_one(delete(&mut tx, GPG, id).await?, "signing key", id)?;
        tx.commit().await?;
        Ok(())
    }
}

/// What [`certificates`] are made of.
pub(crate) fn of_certificates() -> String {
    format!("SELECT object, key, value FROM naru.trust WHERE object IN ('{KNOWN_HOSTS}', '{TLS}')")
}

pub(crate) fn certificates(rows: Vec<(String, String, String)>) -> Trust {
    let mut trust = Trust::defaults();
    trust.tls.clear();
    for (object, key, value) in rows {
        if object == TLS {
            trust.tls.insert(key, value);
        } else if key == KNOWN_HOSTS_KEY {
            trust.set_known_hosts(&value);
        }
    }
    trust
}

async fn read(tx: &mut PgConnection, object: &'static str) -> Result<BTreeMap<String, String>> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT key, value FROM naru.trust WHERE object = $1")
            .bind(object)
            .fetch_all(tx)
            .await?;
    Ok(rows.into_iter().collect())
}

async fn put(tx: &mut PgConnection, object: &'static str, key: &str, value: &str) -> Result<()> {
    let done = sqlx::query(
        "INSERT INTO naru.trust (tenant_id, object, key, value) VALUES (naru.current_tenant(), $1, $2, $3)
         ON CONFLICT (tenant_id, object, key) DO UPDATE SET value = excluded.value",
    )
    .bind(object)
    .bind(key)
    .bind(value)
    .execute(tx)
    .await?;
    exactly_one(done.rows_affected(), object, key)
}

async fn delete(tx: &mut PgConnection, object: &'static str, key: &str) -> Result<u64> {
    let done = sqlx::query("DELETE FROM naru.trust WHERE object = $1 AND key = $2")
        .bind(object)
        .bind(key)
        .execute(tx)
        .await?;
    Ok(done.rows_affected())
}
