//! The settings of tenants, remembered until they change.

use std::sync::Arc;
use std::time::Duration;

use domain::settings::Config;
use domain::tenant::TenantId;
use store::Store;

use crate::ttl::TtlMap;

/// How long settings are trusted without asking again; a change is announced and forgets them at once.
const FRESH: Duration = Duration::from_secs(10);
/// How many tenants' settings are kept.
const CAPACITY: usize = 2_000;

/// Every tenant's settings.
pub(crate) struct Configs {
    store: Store,
    known: TtlMap<TenantId, Arc<Config>>,
}

impl Configs {
    /// Settings that are in the store.
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            known: TtlMap::new(FRESH, CAPACITY),
        }
    }

    /// A tenant's settings.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub(crate) async fn of(&self, tenant: TenantId) -> Result<Arc<Config>, store::Error> {
        if let Some(config) = self.known.get(&tenant) {
            return Ok(config);
        }
        let mark = self.known.mark();
        let config = Arc::new(self.store.tenant(tenant).config().load().await?);
        self.known.put_since(mark, tenant, Arc::clone(&config));
        Ok(config)
    }

    /// Forgets the settings of a tenant, or of all.
    pub(crate) fn forget(&self, tenant: Option<TenantId>) {
        self.known
            .forget(|known, _| tenant.is_none_or(|tenant| tenant == *known));
    }
}
