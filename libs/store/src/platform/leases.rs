//! Who is at work, and on what.
//!
//! Time is the database's; what a holder gets back is measured on its own monotonic clock from before the request was
//! sent, hence never ends later than the database thinks.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use domain::shard::Unit;
use domain::tenant::TenantId;
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use super::PlatformScope;
use crate::error::{Error, Result, sql_state};

/// A controller and where it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// New at every start.
    pub id: String,
    /// The URL of its gRPC service.
    pub address: String,
}

/// A work item held by one controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The work item.
    pub item: String,
    /// The holder.
    pub holder: String,
    /// Grows at every change of holder; every write carries it.
    pub fence: i64,
    /// Until when, on this process's monotonic clock. A holder starts a write to a cluster only before this less its
    /// margin.
    pub until: Instant,
}

impl Lease {
    /// How long it is still held; zero when it has ended.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl PlatformScope {
    /// Says that a controller is alive, and where.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.heartbeat", skip_all)]
    pub async fn heartbeat(&self, controller: &Controller) -> Result<()> {
        sqlx::query("SELECT naru.heartbeat($1, $2)")
            .bind(&controller.id)
            .bind(&controller.address)
            .execute(self.store.pool())
            .await?;
        Ok(())
    }

    /// Takes a controller off the list, at its graceful stop.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.retire_controller", skip_all)]
    pub async fn retire_controller(&self, id: &str) -> Result<()> {
        sqlx::query("SELECT naru.retire_controller($1)")
            .bind(id)
            .execute(self.store.pool())
            .await?;
        Ok(())
    }

    /// The controllers heard of within a time, by id.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.controllers", skip_all)]
    pub async fn controllers(&self, heard_within: Duration) -> Result<Vec<Controller>> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT id, address FROM naru.live_controllers($1)")
                .bind(interval(heard_within)?)
                .fetch_all(self.store.pool())
                .await?;
        Ok(rows
            .into_iter()
            .map(|(id, address)| Controller { id, address })
            .collect())
    }

    /// Takes or keeps the lease of a work item; `None` while somebody else has it. A successor waits the old expiry
    /// plus `margin`, unless the item was released.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.acquire_lease", skip_all, fields(item = item))]
    pub async fn acquire_lease(
        &self,
        item: &str,
        holder: &str,
        ttl: Duration,
        margin: Duration,
    ) -> Result<Option<Lease>> {
        let asked = Instant::now();
        let fence: Option<i64> = sqlx::query_scalar("SELECT naru.acquire_lease($1, $2, $3, $4)")
            .bind(item)
            .bind(holder)
            .bind(interval(ttl)?)
            .bind(interval(margin)?)
            .fetch_one(self.store.pool())
            .await?;
        Ok(fence.map(|fence| Lease {
            item: item.to_owned(),
            holder: holder.to_owned(),
            fence,
            until: asked + ttl,
        }))
    }

    /// Keeps a lease for another `ttl`; `None` when it has passed on.
    ///
    /// # Errors
    /// When the database does not answer; the lease then still ends when it said.
    #[tracing::instrument(name = "db.platform.renew_lease", skip_all, fields(item = lease.item))]
    pub async fn renew_lease(&self, lease: &Lease, ttl: Duration) -> Result<Option<Lease>> {
        let asked = Instant::now();
        let kept: bool = sqlx::query_scalar("SELECT naru.renew_lease($1, $2, $3, $4)")
            .bind(&lease.item)
            .bind(&lease.holder)
            .bind(lease.fence)
            .bind(interval(ttl)?)
            .fetch_one(self.store.pool())
            .await?;
        Ok(kept.then(|| Lease {
            until: asked + ttl,
            ..lease.clone()
        }))
    }

    /// Keeps those of a holder's leases for another `ttl` that have not passed on, and says which: one statement, however
    /// many they are.
    ///
    /// # Errors
    /// When the database does not answer; the leases then still end when they said.
    #[tracing::instrument(name = "db.platform.renew_leases", skip_all, fields(leases = leases.len()))]
    pub async fn renew_leases(
        &self,
        holder: &str,
        leases: &[Lease],
        ttl: Duration,
    ) -> Result<Vec<Lease>> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let asked = Instant::now();
        let items: Vec<String> = leases.iter().map(|lease| lease.item.clone()).collect();
        let fences: Vec<i64> = leases.iter().map(|lease| lease.fence).collect();
        let kept: Vec<(String, i64)> =
            sqlx::query_as("SELECT item, fence FROM naru.renew_leases($1, $2, $3, $4)")
                .bind(holder)
                .bind(items)
                .bind(fences)
                .bind(interval(ttl)?)
                .fetch_all(self.store.pool())
                .await?;
        let kept: HashSet<(&str, i64)> = kept
            .iter()
            .map(|(item, fence)| (item.as_str(), *fence))
            .collect();
        let renewed = leases
            .iter()
            .filter(|lease| kept.contains(&(lease.item.as_str(), lease.fence)));
        Ok(renewed
            .map(|lease| Lease {
                until: asked + ttl,
                ..lease.clone()
            })
            .collect())
    }

    /// The units of work, and who holds the lease of each. A holder counts until `margin` after its lease's end: what is
    /// nobody's may be taken.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.cluster_units", skip_all)]
    pub async fn cluster_units(&self, margin: Duration) -> Result<Vec<(Unit, Option<String>)>> {
        let rows: Vec<(Option<Uuid>, String, Option<String>)> =
            sqlx::query_as("SELECT tenant_id, server, holder FROM naru.cluster_units($1)")
                .bind(interval(margin)?)
                .fetch_all(self.store.pool())
                .await?;
        let unit = |tenant: Option<Uuid>, server| match tenant {
            None => Unit::Shared,
            Some(tenant) => Unit::Added {
                tenant: TenantId(tenant),
                server,
            },
        };
        Ok(rows
            .into_iter()
            .map(|(tenant, server, holder)| (unit(tenant, server), holder))
            .collect())
    }

    /// Makes an application the work of the holder of this lease. `false` while it is that of another, whose lease has not
    /// ended for `margin` yet and who has not let it go.
    ///
    /// # Errors
    /// `Stale` when the lease has passed on.
    #[tracing::instrument(name = "db.platform.claim_application", skip_all, fields(item = item, app = app))]
    pub async fn claim_application(
        &self,
        (item, fence): (&str, i64),
        tenant: TenantId,
        app: &str,
        margin: Duration,
    ) -> Result<bool> {
        sqlx::query_scalar("SELECT naru.claim_application($1, $2, $3, $4, $5)")
            .bind(item)
            .bind(fence)
            .bind(tenant.0)
            .bind(app)
            .bind(interval(margin)?)
            .fetch_one(self.store.pool())
            .await
            .map_err(|error| passed_on(error, item, fence))
    }

    /// Lets an application go that was the work of this lease's holder, and wakes whoever is to have it. `false` where it
    /// was not.
    ///
    /// # Errors
    /// `Stale` when the lease has passed on.
    #[tracing::instrument(name = "db.platform.release_application", skip_all, fields(item = item, app = app))]
    pub async fn release_application(
        &self,
        (item, fence): (&str, i64),
        tenant: TenantId,
        app: &str,
    ) -> Result<bool> {
        sqlx::query_scalar("SELECT naru.release_application($1, $2, $3, $4)")
            .bind(item)
            .bind(fence)
            .bind(tenant.0)
            .bind(app)
            .fetch_one(self.store.pool())
            .await
            .map_err(|error| passed_on(error, item, fence))
    }

    /// Gives a lease up, at a graceful stop and after the last write; the next holder need not wait. `false` when it
    /// had passed on already.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.release_lease", skip_all, fields(item = lease.item))]
    pub async fn release_lease(&self, lease: &Lease) -> Result<bool> {
        Ok(sqlx::query_scalar("SELECT naru.release_lease($1, $2, $3)")
            .bind(&lease.item)
            .bind(&lease.holder)
            .bind(lease.fence)
            .fetch_one(self.store.pool())
            .await?)
    }

    /// Who holds a work item now, and where to reach it.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.platform.lease_owner", skip_all, fields(item = item))]
    pub async fn lease_owner(&self, item: &str) -> Result<Option<Controller>> {
        let row: Option<(String, String)> =
            sqlx::query_as("SELECT id, address FROM naru.lease_owner($1)")
                .bind(item)
                .fetch_optional(self.store.pool())
                .await?;
        Ok(row.map(|(id, address)| Controller { id, address }))
    }
}

/// What the database says where a lease has passed on.
pub(super) fn passed_on(error: sqlx::Error, item: &str, fence: i64) -> Error {
    match sql_state(&error).as_deref() {
        Some("NR001") => Error::Stale {
            item: item.to_owned(),
            fence,
        },
        _ => error.into(),
    }
}

fn interval(duration: Duration) -> Result<PgInterval> {
    let microseconds =
        i64::try_from(duration.as_micros()).map_err(|error| Error::invalid("duration", error))?;
    Ok(PgInterval {
        months: 0,
        days: 0,
        microseconds,
    })
}
