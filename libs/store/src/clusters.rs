//! The clusters that a tenant has added. What opens them is sealed to the controllers' key.

use std::collections::BTreeMap;

use domain::cluster::{Cluster, Login, Shown};
use domain::secret::Secret;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use zeroize::{Zeroize, Zeroizing};

use crate::cluster_key::{OpeningKeys, SealingKey, place};
use crate::error::{Error, Result, exactly_one};
use crate::scope::{MAX_NAME, TenantScope, reading};

const COLUMNS: &str = "server, name, project, labels, annotations, namespaces, cluster_resources, shard, shown, \
                       refresh_requested";

/// A tenant's clusters.
#[derive(Clone, Copy, Debug)]
pub struct Clusters<'a> {
    pub(crate) scope: &'a TenantScope,
}

/// A cluster's credentials as the api writes them: sealed, for nobody but a controller.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedLogin(pub Vec<u8>);

impl Clusters<'_> {
    /// All of them, by address.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.clusters.list", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn list(&self) -> Result<Vec<Cluster>> {
        let statement = reading(&format!(
            "SELECT {COLUMNS} FROM naru.clusters ORDER BY server"
        ));
        let rows = sqlx::query(&statement)
            .bind(self.scope.setting())
            .fetch_all(self.scope.store().pool())
            .await?;
        rows.iter().map(cluster).collect()
    }

    /// The one at an address.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.clusters.find", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn find(&self, server: &str) -> Result<Option<Cluster>> {
        let mut tx = self.scope.begin().await?;
        let statement = format!("SELECT {COLUMNS} FROM naru.clusters WHERE server = $1");
        let row = sqlx::query(&statement)
            .bind(server)
            .fetch_optional(&mut *tx)
            .await?;
        row.as_ref().map(cluster).transpose()
    }

    /// The sealed credentials of one.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.clusters.sealed", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn sealed(&self, server: &str) -> Result<Option<SealedLogin>> {
        let mut tx = self.scope.begin().await?;
        let sealed = sqlx::query_scalar("SELECT sealed FROM naru.clusters WHERE server = $1")
            .bind(server)
            .fetch_optional(&mut *tx)
            .await?;
        Ok(sealed.map(SealedLogin))
    }

    /// Adds one, or replaces what is known of it; without `login` the credentials stay as they are.
    ///
    /// # Errors
    /// `NotFound` when there is none and no `login` is given.
    #[tracing::instrument(name = "db.clusters.put", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn put(&self, cluster: &Cluster, login: Option<&SealedLogin>) -> Result<()> {
        let Cluster {
            server,
            name,
            project,
            labels,
            annotations,
            namespaces,
            cluster_resources,
            shard,
            shown,
            refresh_requested,
        } = cluster;
        if [server, name, project]
            .iter()
            .any(|text| text.len() > MAX_NAME)
        {
            return Err(Error::invalid("cluster", "its name or project is too long"));
        }
        let statement = match login {
            Some(_) => {
                "INSERT INTO naru.clusters (tenant_id, server, name, project, labels, annotations, namespaces,
                                            cluster_resources, shard, shown, refresh_requested, sealed)
                 VALUES (naru.current_tenant(), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                 ON CONFLICT (tenant_id, server) DO UPDATE SET
                     name = excluded.name, project = excluded.project, labels = excluded.labels,
                     annotations = excluded.annotations, namespaces = excluded.namespaces,
                     cluster_resources = excluded.cluster_resources, shard = excluded.shard, shown = excluded.shown,
                     refresh_requested = excluded.refresh_requested, sealed = excluded.sealed"
            }
            None => {
                "UPDATE naru.clusters SET name = $2, project = $3, labels = $4, annotations = $5, namespaces = $6,
                     cluster_resources = $7, shard = $8, shown = $9, refresh_requested = $10
                 WHERE server = $1"
            }
        };
        let mut tx = self.scope.begin_write().await?;
        let mut query = sqlx::query(statement)
            .bind(server)
            .bind(name)
            .bind(project)
            .bind(Json(labels))
            .bind(Json(annotations))
            .bind(namespaces)
            .bind(cluster_resources)
            .bind(shard)
            .bind(Json(shown))
            .bind(refresh_requested);
        if let Some(login) = login {
            query = query.bind(&login.0);
        }
        let done = query.execute(&mut *tx).await?;
        exactly_one(done.rows_affected(), "cluster", server)?;
        self.scope.access_changed(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Forgets one.
    ///
    /// # Errors
    /// `NotFound` when it was not added.
    #[tracing::instrument(name = "db.clusters.delete", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn delete(&self, server: &str) -> Result<()> {
        let mut tx = self.scope.begin_write().await?;
        let done = sqlx::query("DELETE FROM naru.clusters WHERE server = $1")
            .bind(server)
            .execute(&mut *tx)
            .await?;
        exactly_one(done.rows_affected(), "cluster", server)?;
        self.scope.access_changed(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Replaces the credentials of one by others, if they still are the ones that were read.
    ///
    /// # Errors
    /// `NotFound` when the cluster is gone or has been given others meanwhile.
    #[tracing::instrument(name = "db.clusters.reseal", skip_all, fields(tenant = %self.scope.tenant()))]
    pub async fn reseal(&self, server: &str, old: &SealedLogin, new: &SealedLogin) -> Result<()> {
        let mut tx = self.scope.begin().await?;
        let done =
            sqlx::query("UPDATE naru.clusters SET sealed = $3 WHERE server = $1 AND sealed = $2")
                .bind(server)
                .bind(&old.0)
                .bind(&new.0)
                .execute(&mut *tx)
                .await?;
        exactly_one(done.rows_affected(), "cluster", server)?;
        // Nothing that a client reads has another version now; whoever is in the cluster goes on with the new ones.
        sqlx::query("SELECT pg_notify('naru', $1)")
            .bind(format!("{} access", self.scope.whose()))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Seals credentials for the cluster at this address.
    ///
    /// # Errors
    /// When they cannot be sealed.
    pub fn seal(&self, key: &SealingKey, server: &str, login: &Login) -> Result<SealedLogin> {
        let document = Document::from(login).json()?;
        key.seal(&place(self.scope.tenant(), &[server]), &document)
            .map(SealedLogin)
    }

    /// Opens what was sealed for the cluster at this address.
    ///
    /// # Errors
    /// When it was sealed to another key, or for another place.
    pub fn open(&self, keys: &OpeningKeys, server: &str, sealed: &SealedLogin) -> Result<Login> {
        let document = keys.open(&place(self.scope.tenant(), &[server]), &sealed.0)?;
        let document: Document =
            serde_json::from_slice(&document).map_err(|_| Error::Sealed { what: "clusters" })?;
        Ok(Login::from(&document))
    }
}

fn cluster(row: &PgRow) -> Result<Cluster> {
    let map = |column| -> Result<BTreeMap<String, String>> {
        Ok(row.try_get::<Json<BTreeMap<String, String>>, _>(column)?.0)
    };
    Ok(Cluster {
        server: row.try_get("server")?,
        name: row.try_get("name")?,
        project: row.try_get("project")?,
        labels: map("labels")?,
        annotations: map("annotations")?,
        namespaces: row.try_get("namespaces")?,
        cluster_resources: row.try_get("cluster_resources")?,
        shard: row.try_get("shard")?,
        shown: row.try_get::<Json<Shown>, _>("shown")?.0,
        refresh_requested: row.try_get("refresh_requested")?,
    })
}

/// Credentials inside their seal. [`Secret`] cannot be serialised, on purpose; this form lives only between there and
/// the cipher, and is wiped.
#[derive(Serialize, Deserialize, Zeroize)]
#[zeroize(drop)]
struct Document {
    username: String,
    password: Option<String>,
    bearer_token: Option<String>,
    insecure: bool,
    server_name: String,
    ca: String,
    cert: String,
    key: Option<String>,
    disable_compression: bool,
    proxy_url: Option<String>,
}

impl Document {
    fn json(&self) -> Result<Zeroizing<Vec<u8>>> {
        serde_json::to_vec(self)
            .map(Zeroizing::new)
            .map_err(|error| Error::invalid("cluster", error))
    }
}

impl From<&Login> for Document {
    fn from(login: &Login) -> Self {
        let text = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose_str().to_owned());
        Self {
            username: login.username.clone(),
            password: text(&login.password),
            bearer_token: text(&login.bearer_token),
            insecure: login.insecure,
            server_name: login.server_name.clone(),
            ca: login.ca.clone(),
            cert: login.cert.clone(),
            key: text(&login.key),
            disable_compression: login.disable_compression,
            proxy_url: text(&login.proxy_url),
        }
    }
}

impl From<&Document> for Login {
    fn from(document: &Document) -> Self {
        let secret = |text: &Option<String>| text.as_deref().map(Secret::from);
        Self {
            username: document.username.clone(),
            password: secret(&document.password),
            bearer_token: secret(&document.bearer_token),
            insecure: document.insecure,
            server_name: document.server_name.clone(),
            ca: document.ca.clone(),
            cert: document.cert.clone(),
            key: secret(&document.key),
            disable_compression: document.disable_compression,
            proxy_url: secret(&document.proxy_url),
        }
    }
}
