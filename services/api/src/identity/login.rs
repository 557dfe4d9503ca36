//! Logging in: whose account a name is on a host, and whether the password is right.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::message;
use domain::secret::Secret;
use domain::settings::{self, Capability};
use domain::tenant::{Tenant, TenantId};
use rand::Rng;
use store::Store;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::limiter::Limiter;
use super::password::{self, PasswordError};
use crate::failure;
use crate::permit::ADMIN;

/// The longest name of an account.
const MAX_NAME: usize = 32;
/// The longest name on the operator's host, where a tenant's name may stand before it.
const MAX_OPERATOR_NAME: usize = 96;
/// Every refusal takes a random time in between, whatever was found. Who got in knows it anyway, and does not wait.
const PADDING: std::ops::Range<Duration> = Duration::from_millis(500)..Duration::from_millis(1000);

/// A successful login.
#[derive(Clone, Debug)]
pub(crate) struct LoggedIn {
    /// Whose account.
    pub(crate) tenant: Arc<Tenant>,
    /// The account.
    pub(crate) account: settings::Account,
}

/// Checks passwords.
pub(crate) struct Logins {
    store: Store,
    limiter: Limiter,
}

impl Logins {
    /// Checks against the accounts in the store.
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            limiter: Limiter::new(),
        }
    }

    /// Whether a right password came from this source to this tenant's host of late.
    pub(crate) fn is_known(&self, site: TenantId, source: IpAddr) -> bool {
        self.limiter.knows(site, source, Instant::now())
    }

    /// Whose account it is, if the password is right and it may log in. A refusal takes 500 to 1000 ms, whatever its
    /// reason.
    ///
    /// # Errors
    /// `Unauthenticated` with one text for a wrong name, a wrong password and too many of either; `ResourceExhausted`
    /// when too many passwords wait to be checked.
    pub(crate) async fn verify(
        &self,
        site: &Arc<Tenant>,
        name: &str,
        password: Secret,
        source: Option<IpAddr>,
    ) -> Result<LoggedIn, Status> {
        let longest = if site.name.is_operator() {
            MAX_OPERATOR_NAME
        } else {
            MAX_NAME
        };
        if password.is_empty() {
            return Err(Status::unauthenticated("Blank passwords are not allowed"));
        }
        if name.len() > longest {
            return Err(Status::invalid_argument(format!(
                "Username is too long ({longest} bytes max)"
            )));
        }
        let answer_at = Instant::now() + rand::rng().random_range(PADDING);
        let outcome = self.limited(site, name, password, source).await;
        if outcome
            .as_ref()
            .is_err_and(|refusal| refusal.code() == Code::Unauthenticated)
        {
            tokio::time::sleep_until(answer_at).await;
        }
        outcome
    }

    /// Counts the attempt against its source before and after.
    async fn limited(
        &self,
        site: &Arc<Tenant>,
        name: &str,
        password: Secret,
        source: Option<IpAddr>,
    ) -> Result<LoggedIn, Status> {
        if let Some(source) = source
            && self
                .limiter
                .source(site.id, source, Instant::now())
                .is_err()
        {
            tracing::warn!(tenant = %site.name, %source, "too many failed logins from one source");
            return Err(wrong());
        }
        let found = self.resolve(site, name).await.map_err(failure::store)?;
        let Some(found) = found else {
            password::verify(site.id, password, None)
                .await
                .map_err(busy)?;
            self.failed(site, name, source, 0);
            return Err(wrong());
        };
        crate::audit::belongs_to(found.tenant.id);
        let now = Instant::now();
        let name_there = found.account.name.as_str();
        let entered = self
            .limiter
            .account(found.tenant.id, name_there, source, now);
        let Ok((attempt, turn)) = entered else {
            tracing::warn!(tenant = %site.name, account = name, "too many accounts with failed logins");
            return Err(wrong());
        };
        // In turn: attempts sent at once are as many as attempts in a row, and right ones do not close the account. Whose
        // source is another does not wait.
        let _turn = turn.lock().await;
        if attempt.open(Instant::now()).is_err() {
            tracing::warn!(tenant = %site.name, account = name, "too many failed logins");
            return Err(wrong());
        }
        let hash = found.account.password_hash.clone();
        let right = password::verify(found.tenant.id, password, hash)
            .await
            .map_err(busy)?;
        let failures = attempt.ended(right, Instant::now());
        if !right {
            self.failed(site, name, source, failures);
            return Err(wrong());
        }
        if let Some(source) = source {
            // On the operator's host accounts of every tenant log in.
            let whose = format!("{}/{name_there}", found.tenant.id.0);
            let limiter = &self.limiter;
            limiter.source_right(site.id, source, &whose, Instant::now());
        }
        if let Some(closed) = found.tenant.standing.state.closed() {
            return Err(failure::say(tonic::Code::PermissionDenied, &closed));
        }
        if !found.account.enabled {
            return Err(Status::unauthenticated(format!(
                "Account {name} is disabled"
            )));
        }
        if !found.account.can(Capability::Login) {
            return Err(Status::unauthenticated(format!(
                "Account {name} does not have login capability"
            )));
        }
        Ok(found)
    }

    fn failed(&self, site: &Tenant, name: &str, source: Option<IpAddr>, failures: u32) {
        tracing::warn!(tenant = %site.name, account = name, failures, "a login failed");
        if let Some(source) = source {
            self.limiter.source_failed(site.id, source, Instant::now());
        }
    }

    /// Own accounts first; on the operator's host then `<tenant>` (its admin) and `<tenant>/<account>`.
    async fn resolve(
        &self,
        site: &Arc<Tenant>,
        name: &str,
    ) -> Result<Option<LoggedIn>, store::Error> {
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
    ) -> Result<Option<LoggedIn>, store::Error> {
        let found = self
            .store
            .tenant(tenant.id)
            .accounts()
            .find(account)
            .await?;
        Ok(found.map(|row| LoggedIn {
            tenant: Arc::clone(tenant),
            account: row.settings,
        }))
    }
}

fn wrong() -> Status {
    Status::unauthenticated("Invalid username or password")
}

/// What a caller is told when a password could not be worked on.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
pub(crate) fn busy(error: PasswordError) -> Status {
    match error {
        PasswordError::Busy => {
            failure::say(Code::ResourceExhausted, &message::account::BUSY.message())
        }
        PasswordError::Hash(_) | PasswordError::Stopped => {
            tracing::error!(
                error = failure::chain(&error),
                "a password cannot be hashed"
            );
            failure::internal()
        }
    }
}
