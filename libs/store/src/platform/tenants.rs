//! Finding and making tenants.

use std::collections::BTreeMap;

use domain::project::Project;
use domain::secret::Secret;
use domain::tenant::{Tenant, TenantId, TenantName, TenantSettings};
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::PlatformScope;
use crate::error::{Error, Result, Taken};
use crate::scope::{Spot, standing};
use crate::seal;
use crate::secrets::{self, WebhookProvider};

/// A tenant to be made.
#[derive(Clone, Debug)]
pub struct NewTenant {
    /// A fresh id.
    pub id: TenantId,
    /// Its name.
    pub name: TenantName,
    /// The hosts on which it is served, without port.
    pub hosts: Vec<String>,
    /// Its settings.
    pub settings: TenantSettings,
    /// The bcrypt hash of the password of its account `admin`.
    pub admin_password_hash: Secret,
    /// A fresh uid for its project `default`.
    pub project_uid: Uuid,
    /// Webhook secrets that are given; the others are random.
    pub webhook_secrets: BTreeMap<WebhookProvider, Secret>,
}

impl PlatformScope {
    /// The tenant that a host (without port, lower case) belongs to.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.tenant_by_host", skip_all)]
    pub async fn tenant_by_host(&self, host: &str) -> Result<Option<Tenant>> {
        let row = sqlx::query("SELECT * FROM naru.tenant_by_host($1)")
            .bind(host)
            .fetch_optional(self.store.pool())
            .await?;
        row.as_ref().map(tenant).transpose()
    }

    /// The tenant that a signing key's id belongs to.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.tenant_by_key_id", skip_all)]
    pub async fn tenant_by_key_id(&self, kid: &str) -> Result<Option<TenantId>> {
        let id: Option<Uuid> = sqlx::query_scalar("SELECT naru.tenant_by_key_id($1)")
            .bind(kid)
            .fetch_one(self.store.pool())
            .await?;
        Ok(id.map(TenantId))
    }

    /// A tenant by id.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.tenant_by_id", skip_all, fields(tenant = %id))]
    pub async fn tenant_by_id(&self, id: TenantId) -> Result<Option<Tenant>> {
        let row = sqlx::query("SELECT * FROM naru.tenant_by_id($1)")
            .bind(id.0)
            .fetch_optional(self.store.pool())
            .await?;
        row.as_ref().map(tenant).transpose()
    }

    /// A tenant by name.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.tenant_by_name", skip_all)]
    pub async fn tenant_by_name(&self, name: &str) -> Result<Option<Tenant>> {
        let row = sqlx::query("SELECT * FROM naru.tenant_by_name($1)")
            .bind(name)
            .fetch_optional(self.store.pool())
            .await?;
        row.as_ref().map(tenant).transpose()
    }

    /// All tenants, by name.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.tenants", skip_all)]
    pub async fn tenants(&self) -> Result<Vec<Tenant>> {
        let rows = sqlx::query("SELECT * FROM naru.tenants()")
            .fetch_all(self.store.pool())
            .await?;
        rows.iter().map(tenant).collect()
    }

    /// Makes a tenant whole, or not at all: its data key, a signing key under a random id, webhook secrets, the account
    /// `admin`, the project `default`, and its namespace (its name). The operator's tenant has no namespace, and its
    /// `admin` has the operator grant.
    ///
    /// # Errors
    /// `Taken` when its name, a host or its namespace is another tenant's.
    #[tracing::instrument(name = "db.platform.create_tenant", skip_all, fields(tenant = %new.id))]
    pub async fn create_tenant(&self, new: NewTenant) -> Result<Tenant> {
        let NewTenant {
            id,
            name,
            mut hosts,
            settings,
            admin_password_hash,
            project_uid,
            webhook_secrets,
        } = new;
        hosts
            .iter_mut()
            .for_each(|host| *host = host.to_lowercase());
        hosts.sort();
        hosts.dedup();
        let operator = name.is_operator();
        let namespaces = if operator {
            vec![]
        } else {
            vec![name.as_str().to_owned()]
        };

        let key = Secret::new(seal::random::<32>());
        let (wrapped, wrapped_by) = self.store.inner.key_file.wrap(id, &key)?;
        let place = |spot: Spot<'_>, value: &[u8]| seal::seal(&key, &spot.of(id), value);
        let kid = hex::encode(seal::random::<16>());
        let signing = Secret::new(seal::random::<32>());
        let sealed_signing = place(crate::keys::spot(&[&kid]), signing.expose())?;
        let mut sealed_secrets = Vec::new();
        for provider in WebhookProvider::ALL {
            let secret = match webhook_secrets.get(&provider) {
                Some(given) => given.clone(),
                None => Secret::from(hex::encode(seal::random::<16>())),
            };
            sealed_secrets.push(place(
                secrets::spot(&[secrets::WEBHOOK, provider.as_str()]),
                secret.expose(),
            )?);
        }
        let names: Vec<&str> = WebhookProvider::ALL.iter().map(|p| p.as_str()).collect();

        sqlx::query("SELECT naru.create_tenant($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)")
            .bind(id.0)
            .bind(name.as_str())
            .bind(Json(&settings))
            .bind(&hosts)
            .bind(&namespaces)
            .bind(wrapped)
            .bind(wrapped_by)
            .bind(&kid)
            .bind(sealed_signing)
            .bind(admin_password_hash.expose_str())
            .bind(operator)
            .bind(project_uid.to_string())
            .bind(Json(Project::default_spec()))
            .bind(vec![secrets::WEBHOOK; names.len()])
            .bind(&names)
            .bind(&sealed_secrets)
            .execute(self.store.pool())
            .await
            .map_err(|error| taken(error, &name, &hosts))?;
        // As it is now, with what the installation allows it.
        self.tenant_by_id(id)
            .await?
            .ok_or_else(|| Error::not_found("tenant", name.as_str()))
    }

    /// Makes the operator's own tenant where it is missing, with the operator grant for its `admin`; where it is there,
    /// its hosts become exactly these and nothing else changes. Says whether it was made.
    ///
    /// # Errors
    /// `Taken` when a host is another tenant's.
    #[tracing::instrument(name = "db.platform.ensure_operator_tenant", skip_all)]
    pub async fn ensure_operator_tenant(&self, wanted: NewTenant) -> Result<(Tenant, bool)> {
        let name = TenantName::operator();
        if self.tenant_by_name(name.as_str()).await?.is_none() {
            match self
                .create_tenant(NewTenant {
                    name: name.clone(),
                    ..wanted.clone()
                })
                .await
            {
                Ok(tenant) => return Ok((tenant, true)),
                // Another process was quicker.
                Err(Error::Taken {
                    kind: Taken::Tenant,
                    ..
                }) => {}
                Err(error) => return Err(error),
            }
        }
        let found = self.tenant_by_name(name.as_str()).await?;
        let found = found.ok_or_else(|| Error::not_found("tenant", TenantName::OPERATOR))?;
        let tenant = self.set_tenant_hosts(found.id, wanted.hosts).await?;
        Ok((tenant, false))
    }

    /// Makes a tenant's hosts exactly these.
    ///
    /// # Errors
    /// `Taken` when one is another tenant's, `NotFound` when there is no such tenant.
    #[tracing::instrument(name = "db.platform.set_tenant_hosts", skip_all, fields(tenant = %id))]
    pub async fn set_tenant_hosts(&self, id: TenantId, mut hosts: Vec<String>) -> Result<Tenant> {
        let missing = || Error::not_found("tenant", id.to_string());
        hosts
            .iter_mut()
            .for_each(|host| *host = host.to_lowercase());
        hosts.sort();
        hosts.dedup();
        let tenant = self.tenant_by_id(id).await?.ok_or_else(missing)?;
        sqlx::query("SELECT naru.set_tenant_hosts($1, $2)")
            .bind(id.0)
            .bind(&hosts)
            .execute(self.store.pool())
            .await
            .map_err(|error| taken(error, &tenant.name, &hosts))?;
        Ok(Tenant { hosts, ..tenant })
    }
}

fn tenant(row: &PgRow) -> Result<Tenant> {
    Ok(Tenant {
        id: TenantId(row.try_get("id")?),
        name: TenantName::from_stored(row.try_get("name")?),
        hosts: row.try_get("hosts")?,
        namespaces: row.try_get("namespaces")?,
        settings: row.try_get::<Json<TenantSettings>, _>("settings")?.0,
        standing: standing(row)?,
    })
}

/// Which unique name was taken, from the constraint that said so.
fn taken(error: sqlx::Error, name: &TenantName, hosts: &[String]) -> Error {
    let constraint = error
        .as_database_error()
        .and_then(|e| e.constraint())
        .unwrap_or_default();
    match constraint {
        "tenants_name_key" => Error::Taken {
            kind: Taken::Tenant,
            name: name.to_string(),
        },
        "tenant_hosts_pkey" => Error::Taken {
            kind: Taken::Host,
            name: hosts.join(", "),
        },
        "namespaces_pkey" => Error::Taken {
            kind: Taken::Namespace,
            name: name.to_string(),
        },
        _ => error.into(),
    }
}
