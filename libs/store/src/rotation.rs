//! Replacing keys: the installation's, which wraps the tenants'; and a tenant's, under which everything of its is sealed.
//!
//! Both are chores of the schema's owner, in one tenant's scope at a time. Each step is a transaction of its own and
//! leaves everything readable, so that either may be killed anywhere and run again.

use std::str::FromStr;
use std::time::Duration;

use domain::secret::Secret;
use domain::tenant::TenantId;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, Postgres, Row, Transaction};
use uuid::Uuid;

use crate::data_keys::{DataKeys, ROTATION_OBEYED};
use crate::error::{Error, Result, exactly_one};
use crate::key_file::KeyFile;
use crate::migrate;
use crate::seal::{self, Place};

/// The tables with a column `sealed` that is sealed under the tenant's key, and what (SQL) names a row in its place.
///
/// A table that is missing here would keep its rows under a key that is dropped; a test compares with the catalogue.
pub const SEALED: &[(&str, &[&str])] = &[
    ("signing_keys", &["kid"]),
    ("secrets", &["kind", "name"]),
    ("config", &["object", "key"]),
    ("audit_keys", &[]),
    ("repositories", &["normalized", "project"]),
    (
        "repository_templates",
        &["normalized", "CASE WHEN write THEN 'write' ELSE 'read' END"],
    ),
    ("manifest_sets", &["hash"]),
    ("write_repositories", &["normalized", "project"]),
];

/// How many rows are sealed anew in one transaction.
const BATCH: i64 = 100;
/// How long after a key was made the one before may be dropped: every process seals under the new one by then.
const GRACE: Duration = Duration::from_secs(2 * ROTATION_OBEYED.as_secs() + 1);

/// What a tenant's new key is, and what was sealed under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The key's version.
    pub version: u32,
    /// How many values were sealed anew in this run.
    pub sealed: u64,
}

/// The owner's connection, for replacing keys.
#[derive(Debug)]
pub struct Rotation {
    connection: PgConnection,
    keys: KeyFile,
}

impl Rotation {
    /// Connects as role `naru_owner`, with the installation's keys.
    ///
    /// # Errors
    /// When the database cannot be reached, or the role is another.
    pub async fn connect(owner_url: &str, keys: KeyFile) -> Result<Self> {
        let options = PgConnectOptions::from_str(owner_url)?
            .application_name("naru-rotate")
            .options([("search_path", "naru"), ("lock_timeout", "30s")]);
        let mut connection = options.connect().await?;
        let role: String = sqlx::query_scalar("SELECT current_user::text")
            .fetch_one(&mut connection)
            .await?;
        if role != migrate::OWNER {
            return Err(Error::Role {
                role,
                why: format!("keys are replaced as `{}`", migrate::OWNER),
            });
        }
        Ok(Self { connection, keys })
    }

    async fn tenants(&mut self) -> Result<Vec<(TenantId, String)>> {
        let rows: Vec<(Uuid, String)> = sqlx::query_as("SELECT * FROM naru.key_holders()")
            .fetch_all(&mut self.connection)
            .await?;
        Ok(rows
            .into_iter()
            .map(|(id, name)| (TenantId(id), name))
            .collect())
    }

    async fn begin(&mut self, tenant: TenantId) -> Result<Transaction<'_, Postgres>> {
        let mut tx = self.connection.begin().await?;
        sqlx::query("SELECT set_config('naru.tenant', $1, true)")
            .bind(tenant.0.to_string())
            .execute(&mut *tx)
            .await?;
        Ok(tx)
    }

    /// Wraps every tenant's keys under the current key of the installation; tells how many were wrapped anew.
    ///
    /// # Errors
    /// When one was wrapped by a key that the file does not hold.
    #[tracing::instrument(name = "db.rotation.rewrap", skip_all)]
    pub async fn rewrap(&mut self) -> Result<u64> {
        let mut rewrapped = 0;
        for (tenant, _) in self.tenants().await? {
            let keys = self.keys.clone();
            let mut tx = self.begin(tenant).await?;
            let rows = sqlx::query(
                "SELECT version, wrapped, wrapped_by FROM naru.tenant_keys WHERE wrapped_by <> $1 FOR UPDATE",
            )
            .bind(keys.id())
            .fetch_all(&mut *tx)
            .await?;
            for row in rows {
                let version: i32 = row.try_get("version")?;
                let by: String = row.try_get("wrapped_by")?;
                let key = keys.unwrap(tenant, row.try_get("wrapped")?, &by)?;
                let (wrapped, by) = keys.wrap(tenant, &key)?;
                let done = sqlx::query(
                    "UPDATE naru.tenant_keys SET wrapped = $1, wrapped_by = $2 WHERE version = $3",
                )
                .bind(wrapped)
                .bind(by)
                .bind(version)
                .execute(&mut *tx)
                .await?;
                exactly_one(done.rows_affected(), "key of tenant", &tenant.to_string())?;
                rewrapped += 1;
            }
            tx.commit().await?;
        }
        Ok(rewrapped)
    }

    /// Gives a tenant a new key, seals everything of its under that one, and drops those before. Where an earlier run
    /// was interrupted it goes on with that one's key.
    ///
    /// # Errors
    /// `NotFound` when there is no such tenant; `Sealed` when a value does not open, which stays as it is, as do the keys.
    #[tracing::instrument(name = "db.rotation.rotate_tenant", skip_all, fields(tenant = name))]
    pub async fn rotate_tenant(&mut self, name: &str) -> Result<Rotated> {
        let tenants = self.tenants().await?;
        let tenant = tenants.into_iter().find(|(_, found)| found == name);
        let (tenant, _) = tenant.ok_or_else(|| Error::not_found("tenant", name))?;
        let keys = self.new_key(tenant).await?;
        let mut sealed = 0;
        loop {
            for (table, row) in SEALED {
                while let again @ 1.. = self.reseal(tenant, &keys, table, row).await? {
                    sealed += again;
                }
            }
            if self.drop_older(tenant, keys.current().0).await? {
                let version = keys.current().0;
                return Ok(Rotated { version, sealed });
            }
        }
    }

    /// The tenant's keys with a new one, unless an earlier run has made it.
    async fn new_key(&mut self, tenant: TenantId) -> Result<DataKeys> {
        let keys = self.keys.clone();
        let mut tx = self.begin(tenant).await?;
        // Two at once would each make one.
        sqlx::query("SELECT FROM naru.tenants FOR NO KEY UPDATE")
            .execute(&mut *tx)
            .await?;
        let all = "SELECT version, wrapped, wrapped_by FROM naru.tenant_keys";
        let mut rows = sqlx::query(all).fetch_all(&mut *tx).await?;
        if let [only] = rows.as_slice() {
            let key = Secret::new(seal::random::<32>());
            let (wrapped, by) = keys.wrap(tenant, &key)?;
            sqlx::query(
                "INSERT INTO naru.tenant_keys (tenant_id, version, wrapped, wrapped_by)
                 VALUES (naru.current_tenant(), $1, $2, $3)",
            )
            .bind(only.try_get::<i32, _>("version")? + 1)
            .bind(wrapped)
            .bind(by)
            .execute(&mut *tx)
            .await?;
            rows = sqlx::query(all).fetch_all(&mut *tx).await?;
        }
        let unwrapped = DataKeys::unwrap(&keys, tenant, &rows)?;
        tx.commit().await?;
        unwrapped.ok_or_else(|| Error::not_found("tenant", tenant.to_string()))
    }

    /// Seals a batch of a table's rows under the current key; how many there were.
    async fn reseal(
        &mut self,
        tenant: TenantId,
        keys: &DataKeys,
        table: &'static str,
        row: &[&str],
    ) -> Result<u64> {
        let (current, key) = keys.current();
        let mut tx = self.begin(tenant).await?;
        // Before its rows and its key, as whoever destroys a tenant comes to them: neither waits for the other in a circle.
        sqlx::query("SELECT FROM naru.tenants FOR KEY SHARE")
            .execute(&mut *tx)
            .await?;
        let named: Vec<String> = row.iter().map(|part| format!("({part})::text")).collect();
        let any = format!(
            "SELECT ctid::text AS place, ARRAY[{}]::text[] AS row, sealed FROM naru.{table}
             WHERE naru.seal_version(sealed) < $1 LIMIT $2 FOR UPDATE",
            named.join(", ")
        );
        // Whoever writes several rows comes to them in another order: what somebody has is left for later, and waited for when there is
        // nothing else, by itself.
        let (mut rows, free) = (Vec::new(), format!("{any} SKIP LOCKED"));
        for (statement, most) in [(&free, BATCH), (&any, 1)] {
            if rows.is_empty() {
                rows = sqlx::query(statement)
                    .bind(i64::from(current))
                    .bind(most)
                    .fetch_all(&mut *tx)
                    .await?;
            }
        }
        for found in &rows {
            let parts: Vec<String> = found.try_get("row")?;
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let place = Place {
                tenant,
                table,
                column: "sealed",
                row: &parts,
            };
            let sealed: &[u8] = found.try_get("sealed")?;
            let older = seal::version(sealed).and_then(|version| keys.find(version));
            let value = seal::open(older.ok_or(Error::Sealed { what: table })?, &place, sealed)?;
            let sealed = seal::seal_under(current, key, &place, &value)?;
            // The row is locked: it stays at its place until the end of this transaction.
            let statement = format!("UPDATE naru.{table} SET sealed = $1 WHERE ctid = $2::tid");
            let done = sqlx::query(&statement)
                .bind(sealed)
                .bind(found.try_get::<String, _>("place")?)
                .execute(&mut *tx)
                .await?;
            exactly_one(done.rows_affected(), "sealed row", table)?;
        }
        tx.commit().await?;
        Ok(rows.len() as u64)
    }

    /// Drops the keys before this one, unless something is still sealed under them.
    async fn drop_older(&mut self, tenant: TenantId, current: u32) -> Result<bool> {
        let mut tx = self.begin(tenant).await?;
        let left: Option<f64> = sqlx::query_scalar(
            "SELECT extract(epoch FROM created_at + make_interval(secs => $1) - clock_timestamp())::float8
             FROM naru.tenant_keys WHERE version = $2",
        )
        .bind(GRACE.as_secs_f64())
        .bind(i64::from(current))
        .fetch_optional(&mut *tx)
        .await?;
        // It was destroyed meanwhile.
        let left = left.ok_or_else(|| Error::not_found("tenant", tenant.to_string()))?;
        if left > 0.0 {
            drop(tx);
            tokio::time::sleep(Duration::from_secs_f64(left)).await;
            return Ok(false);
        }
        // Waits for writers that seal under them now; who comes later finds them gone.
        sqlx::query("SELECT FROM naru.tenant_keys WHERE version < $1 FOR UPDATE")
            .bind(i64::from(current))
            .execute(&mut *tx)
            .await?;
        for (table, _) in SEALED {
            let statement = format!(
                "SELECT EXISTS (SELECT FROM naru.{table} WHERE naru.seal_version(sealed) < $1)"
            );
            let older: bool = sqlx::query_scalar(&statement)
                .bind(i64::from(current))
                .fetch_one(&mut *tx)
                .await?;
            if older {
                return Ok(false);
            }
        }
        sqlx::query("DELETE FROM naru.tenant_keys WHERE version < $1")
            .bind(i64::from(current))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }
}
