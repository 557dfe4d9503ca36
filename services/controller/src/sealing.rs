//! Seals the tenants' records of who did what, by the holder of a lease of its own.
//!
//! Nothing is written while nobody does anything: one question in ten seconds finds that there is nothing to seal.

use std::time::Duration;

use store::{Lease, PlatformScope, SEALING};
use tokio_util::sync::CancellationToken;

/// How often is asked what there is to seal.
const LOOK: Duration = Duration::from_secs(5);
/// How long the lease lasts without renewal.
const TTL: Duration = Duration::from_secs(30);
/// A round that has less left of it stops.
const MARGIN: Duration = Duration::from_secs(2);

/// Seals until the stop.
pub async fn run(platform: PlatformScope, me: String, stop: CancellationToken) {
    let mut held: Option<Lease> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(LOOK) => {}
        }
        match round(&platform, &me).await {
            Ok(lease) => held = lease.or(held),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the record could not be sealed yet"
            ),
        }
    }
    if let Some(lease) = held {
        let _ = platform.release_lease(&lease).await;
    }
}

/// One round, under the lease if it can be had.
async fn round(platform: &PlatformScope, me: &str) -> store::Result<Option<Lease>> {
    let tenants = platform.unsealed_audits().await?;
    if tenants.is_empty() {
        return Ok(None);
    }
    let Some(lease) = platform.acquire_lease(SEALING, me, TTL, MARGIN).await? else {
        return Ok(None);
    };
    for tenant in tenants {
        while lease.remaining() > MARGIN {
            match platform.seal_audit(&lease, tenant).await {
                Ok(0) => break,
                Ok(entries) => tracing::debug!(%tenant, entries, "sealed"),
                // Another tenant's can be sealed all the same.
                Err(error) if error.code() != store::Code::Stale => {
                    tracing::warn!(%tenant, error = &error as &dyn std::error::Error, "a record could not be sealed");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(Some(lease))
}
