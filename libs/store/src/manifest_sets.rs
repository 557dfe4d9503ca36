//! Rendered manifests, kept by hash for as long as history names them.

use std::fmt;

use domain::manifest::ManifestSetHash;
use domain::tenant::TenantId;

use crate::connect::Store;
use crate::error::Result;
use crate::scope::{Spot, TenantScope, reading};
use crate::together::{self, Lines, Part};

/// How many sets that come out otherwise each time are kept for an application: as many as its history is long.
const HELD: i64 = 10;

/// Up to how many bytes a set is sent without asking whether it is there, and may go with the result that names it: the tenant's
/// counter is held meanwhile.
pub const SMALL_SET: usize = 16 << 10;

fn spot<'a>(row: &'a [&'a str]) -> Spot<'a> {
    Spot {
        table: "manifest_sets",
        column: "sealed",
        row,
    }
}

impl TenantScope {
    /// Keeps a manifest set under its hash, a small one together with those that others keep meanwhile. One that is there already
    /// stays as it is.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.manifest_sets.put", skip_all, fields(tenant = %self.tenant()))]
    pub async fn put_manifest_set(&self, hash: &ManifestSetHash, bytes: &[u8]) -> Result<()> {
        let small = bytes.len() <= SMALL_SET;
        // A small one is as soon sent as asked for.
        if !small {
            let statement =
                reading("SELECT EXISTS (SELECT FROM naru.manifest_sets WHERE hash = $2) AS known");
            let known: bool = sqlx::query_scalar(&statement)
                .bind(self.setting())
                .bind(&hash.0)
                .fetch_one(self.store().pool())
                .await?;
            if known {
                return Ok(());
            }
        }
        let set = self.seal_manifest_set(hash, bytes).await?;
        match small {
            true => together::share(self.store(), self.tenant(), set).await,
            false => write(self, &[set]).await,
        }
    }

    /// Seals a set that is to be kept with the result that names it ([`crate::StatusWrite::set`]), as small ones are ([`SMALL_SET`]).
    ///
    /// # Errors
    /// When the tenant's key cannot be had.
    pub async fn seal_manifest_set(
        &self,
        hash: &ManifestSetHash,
        bytes: &[u8],
    ) -> Result<SealedSet> {
        let sealed = self.seal(spot(&[&hash.0]), bytes).await?;
        let hash = hash.0.clone();
        Ok(SealedSet { hash, sealed })
    }

    /// Keeps a set that comes out otherwise each time for its application (by `uid`), with the newest others of it.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.manifest_sets.hold", skip_all, fields(tenant = %self.tenant()))]
    pub async fn hold_manifest_set(
        &self,
        uid: &str,
        name: &ManifestSetHash,
        bytes: &[u8],
    ) -> Result<()> {
        self.put_manifest_set(name, bytes).await?;
        let mut tx = self.begin().await?;
        sqlx::query(
            "DELETE FROM naru.manifest_sets WHERE starts_with(hash, $1) AND hash NOT IN
             (SELECT hash FROM naru.manifest_sets WHERE starts_with(hash, $1) ORDER BY created_at DESC, hash LIMIT $2)",
        )
        .bind(format!("held/{uid}/"))
        .bind(HELD)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The manifest set of a hash.
    ///
    /// # Errors
    /// When the database does not answer or the set does not open.
    #[tracing::instrument(name = "db.manifest_sets.find", skip_all, fields(tenant = %self.tenant()))]
    pub async fn manifest_set(&self, hash: &ManifestSetHash) -> Result<Option<Vec<u8>>> {
        let statement = reading("SELECT sealed FROM naru.manifest_sets WHERE hash = $2");
        let sealed: Option<Vec<u8>> = sqlx::query_scalar(&statement)
            .bind(self.setting())
            .bind(&hash.0)
            .fetch_optional(self.store().pool())
            .await?;
        match sealed {
            Some(sealed) => Ok(Some(self.open(spot(&[&hash.0]), &sealed).await?.to_vec())),
            None => Ok(None),
        }
    }
}

/// A sealed set that is to be kept.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSet {
    pub(crate) hash: String,
    pub(crate) sealed: Vec<u8>,
}

impl fmt::Debug for SealedSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut named = f.debug_struct("SealedSet");
        named.field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl Part for SealedSet {
    type Line = TenantId;
    type Answer = ();

    const READS: bool = false;

    fn lines(store: &Store) -> &Lines<Self> {
        &store.inner.sets
    }

    async fn run(store: &Store, tenant: TenantId, sets: &[Self]) -> Result<Vec<()>> {
        write(&store.tenant(tenant), sets).await?;
        Ok(vec![(); sets.len()])
    }
}

/// Puts sets in, each under its hash, in one statement.
#[tracing::instrument(name = "db.manifest_sets.write", skip_all, fields(tenant = %scope.tenant(), sets = sets.len()))]
async fn write(scope: &TenantScope, sets: &[SealedSet]) -> Result<()> {
    // In one order, so that two processes that keep the same ones do not wait for each other in a circle.
    let mut sets: Vec<&SealedSet> = sets.iter().collect();
    sets.sort_unstable_by_key(|set| &set.hash);
    let hashes: Vec<&str> = sets.iter().map(|set| set.hash.as_str()).collect();
    let sealed: Vec<&[u8]> = sets.iter().map(|set| set.sealed.as_slice()).collect();
    // No row for a set that is there by now: a hash names one content. Each row that is put in is made of the one that sets the
    // tenant, so that the policy finds it set. How many they are is not for the planner to see: it would plan anew for each few.
    sqlx::query(
        "INSERT INTO naru.manifest_sets (tenant_id, hash, sealed)
         SELECT s.tenant::uuid, n.hash, n.sealed
         FROM (SELECT set_config('naru.tenant', $1, true) AS tenant OFFSET 0) s
         CROSS JOIN LATERAL (SELECT * FROM unnest((SELECT $2::text[]), (SELECT $3::bytea[])) u (hash, sealed)
                             WHERE s.tenant IS NOT NULL OFFSET 0) n
         ON CONFLICT DO NOTHING",
    )
    .bind(scope.setting())
    .bind(hashes)
    .bind(sealed)
    .execute(scope.store().pool())
    .await?;
    Ok(())
}
