//! Rendered manifests, kept by hash for as long as history names them.

use domain::manifest::ManifestSetHash;

use crate::error::Result;
use crate::scope::{Spot, TenantScope};

/// How many sets that come out otherwise each time are kept for an application: as many as its history is long.
const HELD: i64 = 10;

fn spot<'a>(row: &'a [&'a str]) -> Spot<'a> {
    Spot {
        table: "manifest_sets",
        column: "sealed",
        row,
    }
}

impl TenantScope {
    /// Keeps a manifest set under its hash. One that is there already stays as it is.
    ///
    /// # Errors
    /// When the database does not answer.
    #[tracing::instrument(name = "db.manifest_sets.put", skip_all, fields(tenant = %self.tenant()))]
    pub async fn put_manifest_set(&self, hash: &ManifestSetHash, bytes: &[u8]) -> Result<()> {
        let mut tx = self.begin().await?;
        let known: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM naru.manifest_sets WHERE hash = $1)")
                .bind(&hash.0)
                .fetch_one(&mut *tx)
                .await?;
        if known {
            return Ok(());
        }
        // Sealing may need a connection of its own: none is held meanwhile.
        drop(tx);
        let sealed = self.seal(spot(&[&hash.0]), bytes).await?;
        let mut tx = self.begin().await?;
        // Zero rows when somebody else put the same set meanwhile: a hash names one content.
        sqlx::query(
            "INSERT INTO naru.manifest_sets (tenant_id, hash, sealed) VALUES (naru.current_tenant(), $1, $2)
             ON CONFLICT DO NOTHING",
        )
        .bind(&hash.0)
        .bind(sealed)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
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
        let mut tx = self.begin().await?;
        let sealed: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT sealed FROM naru.manifest_sets WHERE hash = $1")
                .bind(&hash.0)
                .fetch_optional(&mut *tx)
                .await?;
        drop(tx);
        match sealed {
            Some(sealed) => Ok(Some(self.open(spot(&[&hash.0]), &sealed).await?.to_vec())),
            None => Ok(None),
        }
    }
}
