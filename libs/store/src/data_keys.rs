//! A tenant's data keys, unwrapped: one, or several while it is being given a new one.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::secret::Secret;
use domain::tenant::TenantId;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::error::{Error, Result};
use crate::key_file::KeyFile;

/// How long a process may seal under a key that is no longer the newest. A dropping of the older one waits for longer,
/// and what is nevertheless sealed under a key that is gone is refused by the database.
pub(crate) const ROTATION_OBEYED: Duration = Duration::from_secs(2);
/// How long a process may key what is only a cache by a key that is no longer the newest.
pub(crate) const ROTATION_SEEN: Duration = Duration::from_secs(60);

/// A tenant's keys by version; never without one.
#[derive(Debug)]
pub(crate) struct DataKeys {
    newest: (u32, Secret),
    all: BTreeMap<u32, Secret>,
}

impl DataKeys {
    /// Unwraps them from their rows (`version`, `wrapped`, `wrapped_by`); `None` where there is no row.
    pub(crate) fn unwrap(
        key_file: &KeyFile,
        tenant: TenantId,
        rows: &[PgRow],
    ) -> Result<Option<Self>> {
        let mut all = BTreeMap::new();
        for row in rows {
            let version =
                u32::try_from(row.try_get::<i32, _>("version")?).map_err(|_| Error::Sealed {
                    what: "tenant_keys",
                })?;
            let by: String = row.try_get("wrapped_by")?;
            let key = key_file.unwrap(tenant, row.try_get("wrapped")?, &by)?;
            all.insert(version, key);
        }
        let newest = all
            .last_key_value()
            .map(|(version, key)| (*version, key.clone()));
        Ok(newest.map(|newest| Self { newest, all }))
    }

    /// The one that is sealed under.
    pub(crate) fn current(&self) -> (u32, &Secret) {
        (self.newest.0, &self.newest.1)
    }

    /// The one of a version.
    pub(crate) fn find(&self, version: u32) -> Option<&Secret> {
        self.all.get(&version)
    }
}
