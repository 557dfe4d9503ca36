//! Who is at work, and on what.
//!
//! Time is the database's; what a holder gets back is measured on its own monotonic clock from before the request was
//! sent, hence never ends later than the database thinks.

use std::time::{Duration, Instant};

use sqlx::postgres::types::PgInterval;

use super::PlatformScope;
use crate::error::{Error, Result};

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

fn interval(duration: Duration) -> Result<PgInterval> {
    let microseconds =
        i64::try_from(duration.as_micros()).map_err(|error| Error::invalid("duration", error))?;
    Ok(PgInterval {
        months: 0,
        days: 0,
        microseconds,
    })
}
