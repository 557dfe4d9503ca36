//! One tenant's rows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::clock::Timestamp;
use domain::quota::Quotas;
use domain::secret::Secret;
use domain::tenant::{Standing, Tenant, TenantId, TenantName, TenantSettings, TenantState};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};

use crate::accounts::Accounts;
use crate::applications::Applications;
use crate::audit::Audit;
use crate::clusters::Clusters;
use crate::config::Settings;
use crate::connect::Store;
use crate::data_keys::{DataKeys, ROTATION_OBEYED, ROTATION_SEEN};
use crate::error::{Error, Result, exactly_one};
use crate::history::History;
use crate::keys::Keys;
use crate::projects::Projects;
use crate::repositories::Repositories;
use crate::seal::{self, Place};
use crate::templates::Templates;
use crate::transaction::Transaction;
use crate::trust::TrustStore;

/// The rows of one tenant, and the only way to them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TenantScope {
    store: Store,
    id: TenantId,
    by_operator: bool,
}

impl TenantScope {
    pub(crate) fn new(store: Store, id: TenantId) -> Self {
        Self {
            store,
            id,
            by_operator: false,
        }
    }

    /// The same rows, written on behalf of somebody of whom it is known whether they have the operator grant. Without it
    /// the database refuses to change an account that has.
    #[must_use]
    pub fn written_by(mut self, operator: bool) -> Self {
        self.by_operator = operator;
        self
    }

    /// Whose rows.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.id
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Its applications.
    #[must_use]
    pub fn applications(&self) -> Applications<'_> {
        Applications { scope: self }
    }

    /// Its projects.
    #[must_use]
    pub fn projects(&self) -> Projects<'_> {
        Projects { scope: self }
    }

    /// Its repositories.
    #[must_use]
    pub fn repositories(&self) -> Repositories<'_> {
        Repositories {
            scope: self,
            table: "repositories",
        }
    }

    /// The repositories that it pushes to.
    #[must_use]
    pub fn write_repositories(&self) -> Repositories<'_> {
        Repositories {
            scope: self,
            table: "write_repositories",
        }
    }

    /// Its credential templates; `write` for those to push with.
    #[must_use]
    pub fn templates(&self, write: bool) -> Templates<'_> {
        Templates { scope: self, write }
    }

    /// Whom it trusts.
    #[must_use]
    pub fn trust(&self) -> TrustStore<'_> {
        TrustStore { scope: self }
    }

    /// The clusters it has added.
    #[must_use]
    pub fn clusters(&self) -> Clusters<'_> {
        Clusters { scope: self }
    }

    /// Its accounts.
    #[must_use]
    pub fn accounts(&self) -> Accounts<'_> {
        Accounts { scope: self }
    }

    /// Its signing keys.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        Keys { scope: self }
    }

    /// Its settings, as Argo CD's objects and keys.
    #[must_use]
    pub fn config(&self) -> Settings<'_> {
        Settings { scope: self }
    }

    /// What was deployed.
    #[must_use]
    pub fn history(&self) -> History<'_> {
        History { scope: self }
    }

    /// Who did what.
    #[must_use]
    pub fn audit(&self) -> Audit<'_> {
        Audit { scope: self }
    }

    /// The tenant itself.
    ///
    /// # Errors
    /// `NotFound` when it was destroyed.
    #[tracing::instrument(name = "db.tenant.describe", skip_all, fields(tenant = %self.id))]
    pub async fn describe(&self) -> Result<Tenant> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT t.name, t.settings, t.state, t.created_at, naru.effective_quotas(t.quotas) AS quotas,
                    ARRAY(SELECT host FROM naru.tenant_hosts ORDER BY host) AS hosts,
                    ARRAY(SELECT namespace FROM naru.namespaces ORDER BY namespace) AS namespaces
             FROM naru.tenants t",
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| Error::not_found("tenant", self.id.to_string()))?;
        Ok(Tenant {
            id: self.id,
            name: TenantName::from_stored(row.try_get("name")?),
            hosts: row.try_get("hosts")?,
            namespaces: row.try_get("namespaces")?,
            settings: row.try_get::<Json<TenantSettings>, _>("settings")?.0,
            standing: standing(&row)?,
        })
    }

    /// Its settings.
    ///
    /// # Errors
    /// `NotFound` when the tenant was destroyed.
    pub async fn settings(&self) -> Result<TenantSettings> {
        self.describe().await.map(|tenant| tenant.settings)
    }

    /// Replaces its settings.
    ///
    /// # Errors
    /// `NotFound` when the tenant was destroyed.
    #[tracing::instrument(name = "db.tenant.set_settings", skip_all, fields(tenant = %self.id))]
    pub async fn set_settings(&self, settings: &TenantSettings) -> Result<()> {
        let mut tx = self.begin_write().await?;
        let done = sqlx::query("UPDATE naru.tenants SET settings = $1")
            .bind(Json(settings))
            .execute(&mut *tx)
            .await?;
        exactly_one(done.rows_affected(), "tenant", &self.id.to_string())?;
        sqlx::query("SELECT naru.touch('tenant')")
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The version of its last write; versions below are all visible.
    ///
    /// # Errors
    /// `NotFound` when the tenant was destroyed.
    #[tracing::instrument(name = "db.tenant.current_version", skip_all, fields(tenant = %self.id))]
    pub async fn current_version(&self) -> Result<i64> {
        sqlx::query_scalar(&reading("SELECT resource_version FROM naru.tenants"))
            .bind(self.setting())
            .fetch_optional(self.store.pool())
            .await?
            .ok_or_else(|| Error::not_found("tenant", self.id.to_string()))
    }

    /// Wakes the applications of a repository (its normalised address): a hint that somebody pushed, no more.
    ///
    /// # Errors
    /// When the address is longer than a notification may be.
    #[tracing::instrument(name = "db.tenant.wake_repository", skip_all, fields(tenant = %self.id))]
    pub async fn wake_repository(&self, normalized: &str) -> Result<()> {
        if normalized.len() > MAX_NAME {
            return Err(Error::invalid("repository address", "it is too long"));
        }
        sqlx::query("SELECT pg_notify('naru', $1)")
            .bind(format!("{} repo {normalized}", self.whose()))
            .execute(self.store.pool())
            .await?;
        Ok(())
    }

    /// The tenant's current data key, 32 bytes.
    ///
    /// # Errors
    /// When the tenant was destroyed, or its key was wrapped by another installation's key.
    pub async fn tenant_key(&self) -> Result<Secret> {
        Ok(self.data_keys(ROTATION_SEEN).await?.current().1.clone())
    }

    /// Looks the tenant's data keys up, for who will seal in a transaction and should not need a second connection then.
    pub(crate) async fn ready_to_seal(&self) -> Result<()> {
        self.data_keys(ROTATION_OBEYED).await.map(|_| ())
    }

    /// The tenant's data keys, looked up within this time.
    #[tracing::instrument(name = "db.tenant.key", skip_all, fields(tenant = %self.id))]
    async fn data_keys(&self, within: Duration) -> Result<Arc<DataKeys>> {
        let cached = self.store.inner.tenant_keys.lock().get(&self.id).cloned();
        if let Some((read, keys)) = cached
            && read.elapsed() < within
        {
            return Ok(keys);
        }
        let read = Instant::now();
        let statement = reading("SELECT version, wrapped, wrapped_by FROM naru.tenant_keys");
        let rows = sqlx::query(&statement)
            .bind(self.setting())
            .fetch_all(self.store.pool())
            .await?;
        let missing = || Error::not_found("tenant", self.id.to_string());
        let keys =
            DataKeys::unwrap(&self.store.inner.key_file, self.id, &rows)?.ok_or_else(missing)?;
        let keys = Arc::new(keys);
        let kept = (read, Arc::clone(&keys));
        self.store.inner.tenant_keys.lock().insert(self.id, kept);
        Ok(keys)
    }

    /// Tells the change feed, within a write, that the way into repositories or clusters is another now.
    pub(crate) async fn access_changed(&self, tx: &mut PgConnection) -> Result<()> {
        sqlx::query("SELECT naru.touch('access')")
            .execute(tx)
            .await?;
        Ok(())
    }

    pub(crate) async fn seal(&self, place: Spot<'_>, value: &[u8]) -> Result<Vec<u8>> {
        let keys = self.data_keys(ROTATION_OBEYED).await?;
        let (version, key) = keys.current();
        seal::seal_under(version, key, &place.of(self.id), value)
    }

    pub(crate) async fn open(
        &self,
        place: Spot<'_>,
        sealed: &[u8],
    ) -> Result<zeroize::Zeroizing<Vec<u8>>> {
        let refused = || Error::Sealed { what: place.table };
        let version = seal::version(sealed).ok_or_else(refused)?;
        let mut keys = self.data_keys(Duration::MAX).await?;
        if keys.find(version).is_none() {
            // Made since the keys were last read.
            keys = self.data_keys(Duration::ZERO).await?;
        }
        let key = keys.find(version).ok_or_else(refused)?;
        seal::open(key, &place.of(self.id), sealed)
    }

    /// The beginning of a notification about this tenant.
    pub(crate) fn whose(&self) -> String {
        self.store.whose(self.id)
    }

    /// The tenant as a statement made by [`reading`] takes it.
    pub(crate) fn setting(&self) -> String {
        self.id.0.to_string()
    }

    /// A transaction in which the tenant is set, in one round trip. For reading it is simply dropped; what one statement
    /// reads needs none, see [`reading`].
    pub(crate) async fn begin(&self) -> Result<Transaction> {
        // A uuid prints as hex digits and hyphens only, hence needs no quoting.
        let statement = format!(
            "BEGIN; SELECT set_config('naru.tenant', '{}', true)",
            self.id.0
        );
        self.store.begin(statement).await
    }

    /// The same, with the tenant's counter locked: how every write begins that takes a version. All writers lock the
    /// counter first, hence none waits for another in a circle.
    pub(crate) async fn begin_write(&self) -> Result<Transaction> {
        self.begin_write_and("").await
    }

    /// The same, and one more command, in the same round trip.
    pub(crate) async fn begin_write_and(&self, command: &'static str) -> Result<Transaction> {
        let statement = format!(
            "BEGIN; SELECT set_config('naru.tenant', '{}', true){}{}; SELECT FROM naru.tenants FOR NO KEY UPDATE; {command}",
            self.id.0,
            match self.by_operator {
                true => ", set_config('naru.by_operator', 'on', true)",
                false => "",
            },
            // A traceparent is hex digits and hyphens only, too.
            (self.store.inner.trace)().map_or_else(String::new, |place| {
                format!(", set_config('naru.traceparent', '{place}', true)")
            })
        );
        self.store.begin(statement).await
    }
}

/// `reads` as a statement that sets the tenant itself, hence takes one round trip where a transaction takes three. `$1` is
/// [`TenantScope::setting`]; what `reads` takes begins at `$2`.
///
/// A statement alone is a transaction, with which the setting ends. The tenant is set before a row is looked at: what reads
/// needs the row that sets, and `OFFSET 0` keeps the planner from taking the two for one. Were it otherwise, the policies
/// would find no tenant, and refuse.
pub(crate) fn reading(reads: &str) -> String {
    format!(
        "SELECT q.* FROM (SELECT set_config('naru.tenant', $1, true) AS tenant OFFSET 0) s
         CROSS JOIN LATERAL (SELECT r.* FROM ({reads}) r WHERE s.tenant IS NOT NULL OFFSET 0) q"
    )
}

/// What the operator has decided about a tenant, from the columns `state`, `created_at` and `quotas`.
pub(crate) fn standing(row: &PgRow) -> Result<Standing> {
    let created_at: Timestamp = row.try_get("created_at")?;
    Ok(Standing {
        state: TenantState::from_stored(row.try_get("state")?),
        created_at: created_at.timestamp(),
        quotas: row.try_get::<Json<Quotas>, _>("quotas")?.0,
    })
}

/// The longest name that fits into a notification (8,000 bytes) with room for the rest.
pub(crate) const MAX_NAME: usize = 4096;

/// A place of the tenant's; see [`Place`].
pub(crate) struct Spot<'a> {
    pub table: &'static str,
    pub column: &'static str,
    pub row: &'a [&'a str],
}

impl<'a> Spot<'a> {
    pub(crate) fn of(&self, tenant: TenantId) -> Place<'a> {
        Place {
            tenant,
            table: self.table,
            column: self.column,
            row: self.row,
        }
    }
}
