//! Logging in: whose account a name is on a host, and whether the password is right.

use std::sync::Arc;
use std::time::Duration;

use domain::secret::Secret;
use domain::tenant::{Tenant, TenantId};
use rand::Rng;
use store::Store;
use tokio::time::Instant;
use tonic::Status;

use super::password;
use crate::failure;
use crate::permit::ADMIN;
use crate::ttl::TtlMap;

/// The longest name of an account.
const MAX_NAME: usize = 32;
/// The longest name on the operator's host, where a tenant's name may stand before it.
const MAX_OPERATOR_NAME: usize = 96;
/// How many failures in a row close an account's login for [`WINDOW`].
const MAX_FAILURES: u32 = 5;
/// How long failures count.
const WINDOW: Duration = Duration::from_secs(300);
/// Every answer takes a random time in between, whatever was found.
const PADDING: std::ops::Range<Duration> = Duration::from_millis(500)..Duration::from_millis(1000);

/// A successful login.
#[derive(Clone, Debug)]
pub(crate) struct LoggedIn {
    /// Whose account.
    pub(crate) tenant: Arc<Tenant>,
    /// The account's name inside its tenant.
    pub(crate) account: String,
}

/// Checks passwords.
pub(crate) struct Logins {
    store: Store,
    failures: TtlMap<(TenantId, String), u32>,
}

impl Logins {
    /// Checks against the accounts in the store.
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            failures: TtlMap::new(WINDOW, 10_000),
        }
    }

    /// Whose account it is, if the password is right. Takes 500 to 1000 ms whatever comes out.
    ///
    /// # Errors
    /// `Unauthenticated` with one text for a wrong name and a wrong password.
    pub(crate) async fn verify(
        &self,
        site: &Arc<Tenant>,
        name: &str,
        password: Secret,
    ) -> Result<LoggedIn, Status> {
        let longest = if site.name.is_operator() {
            MAX_OPERATOR_NAME
        } else {
            MAX_NAME
        };
        if name.len() > longest {
            return Err(Status::invalid_argument(format!(
                "Username is too long ({longest} bytes max)"
            )));
        }
        let answer_at = Instant::now() + rand::rng().random_range(PADDING);
        let outcome = self.check(site, name, password).await;
        tokio::time::sleep_until(answer_at).await;
        outcome
    }

    async fn check(
        &self,
        site: &Arc<Tenant>,
        name: &str,
        password: Secret,
    ) -> Result<LoggedIn, Status> {
        let found = self.resolve(site, name).await.map_err(failure::store)?;
        // By account, whichever host it is tried on.
        let counter = found.as_ref().map_or_else(
            || (site.id, name.to_owned()),
            |found| (found.tenant.id, found.account.clone()),
        );
        // Counted before the password is looked at, in one step: attempts sent at once are as many as attempts in a row.
        let one_more =
            |failures: Option<u32>| Some(failures.unwrap_or(0) + 1).filter(|n| *n <= MAX_FAILURES);
        let Some(failures) = self.failures.update(counter.clone(), one_more) else {
            tracing::warn!(tenant = %site.name, account = name, "too many failed logins");
            return Err(wrong());
        };
        let hash = found.as_ref().map(|found| found.hash.clone());
        let right = password::verify(password, hash).await;
        let Some(found) = found.filter(|_| right) else {
            tracing::warn!(tenant = %site.name, account = name, failures, "a login failed");
            return Err(wrong());
        };
        if !found.enabled {
            return Err(Status::unauthenticated(format!(
                "Account {name} is disabled"
            )));
        }
        self.failures.remove(&counter);
        Ok(LoggedIn {
            tenant: found.tenant,
            account: found.account,
        })
    }

    /// Own accounts first; on the operator's host then `<tenant>` (its admin) and `<tenant>/<account>`.
    async fn resolve(&self, site: &Arc<Tenant>, name: &str) -> Result<Option<Found>, store::Error> {
        if let Some(found) = self.find(site, name).await? {
            return Ok(Some(found));
        }
        if !site.name.is_operator() {
            return Ok(None);
        }
        let (tenant, account) = name.split_once('/').unwrap_or((name, ADMIN));
        match self.store.platform().tenant_by_name(tenant).await? {
            Some(tenant) => self.find(&Arc::new(tenant), account).await,
            None => Ok(None),
        }
    }

    async fn find(
        &self,
        tenant: &Arc<Tenant>,
        account: &str,
    ) -> Result<Option<Found>, store::Error> {
        let found = self
            .store
            .tenant(tenant.id)
            .accounts()
            .find(account)
            .await?;
        Ok(found.map(|row| Found {
            tenant: Arc::clone(tenant),
            account: account.to_owned(),
            hash: row.password_hash,
            enabled: row.enabled,
        }))
    }
}

struct Found {
    tenant: Arc<Tenant>,
    account: String,
    hash: Secret,
    enabled: bool,
}

fn wrong() -> Status {
    Status::unauthenticated("Invalid username or password")
}
