//! How often somebody may be wrong: per account, and per source of each tenant.
//!
//! Bounded, and closed when full. Only accounts that exist are counted one by one, and there are no more of them than
//! the tenant made; names that nobody has count for their source. Sources fall into a fixed number of baskets per
//! tenant, so that a flood of them takes no memory and pushes nothing out: it closes that tenant's login for sources
//! that share a basket, never another tenant's.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::tenant::TenantId;
use parking_lot::Mutex;
use tokio::time::Instant;

/// How many failures in a row close an account.
pub(crate) const OF_ACCOUNT: u32 = 5;
/// How many failures close a source. Many people may sit behind one address.
pub(crate) const OF_SOURCE: u32 = 100;
/// How long a failure counts, from the last one on.
pub(crate) const WINDOW: Duration = Duration::from_secs(300);
/// How many accounts of a tenant are counted at a time.
const ACCOUNTS: usize = 1_000;
/// How many baskets a tenant's sources fall into.
const BASKETS: usize = 256;

/// Failures so far.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    failures: u32,
    last: Option<Instant>,
}

impl Tally {
    fn closed(&self, most: u32, now: Instant) -> bool {
        self.failures >= most && self.fresh(now)
    }

    fn fresh(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now < last + WINDOW)
    }

    fn fail(&mut self, now: Instant) {
        self.failures = if self.fresh(now) { self.failures } else { 0 }.saturating_add(1);
        self.last = Some(now);
    }
}

/// One account's failures, and whose turn it is: two attempts on one account are never looked at together.
#[derive(Default)]
struct Counted {
    tally: Tally,
    turn: Arc<tokio::sync::Mutex<()>>,
    waiting: usize,
}

struct Tenant {
    accounts: HashMap<String, Counted>,
    sources: Box<[Tally; BASKETS]>,
    last: Instant,
}

/// Counts failures.
pub(crate) struct Limiter {
    tenants: Mutex<HashMap<TenantId, Tenant>>,
    baskets: RandomState,
}

/// Whether an attempt may be looked at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// An attempt on an account, in its turn.
pub(crate) struct Attempt<'a> {
    limiter: &'a Limiter,
    tenant: TenantId,
    account: String,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut tenants = self.limiter.tenants.lock();
        let Some(tenant) = tenants.get_mut(&self.tenant) else {
            return;
        };
        if let Some(counted) = tenant.accounts.get_mut(&self.account) {
            counted.waiting -= 1;
            if counted.waiting == 0 && counted.tally.failures == 0 {
                tenant.accounts.remove(&self.account);
            }
        }
    }
}

impl Limiter {
    /// Nobody has failed yet.
    pub(crate) fn new() -> Self {
        Self {
            tenants: Mutex::default(),
            baskets: RandomState::new(),
        }
    }

    /// Whether a source may try at all.
    ///
    /// # Errors
    /// When it failed too often of late.
    pub(crate) fn source(
        &self,
        tenant: TenantId,
        source: IpAddr,
        now: Instant,
    ) -> Result<(), Closed> {
        let tenants = self.tenants.lock();
        let basket = self.basket(source);
        match tenants.get(&tenant) {
            Some(known) if known.sources[basket].closed(OF_SOURCE, now) => Err(Closed),
            _ => Ok(()),
        }
    }

    /// Counts a failure against its source.
    pub(crate) fn source_failed(&self, tenant: TenantId, source: IpAddr, now: Instant) {
        let basket = self.basket(source);
        let mut tenants = self.tenants.lock();
        let known = entry(&mut tenants, tenant, now);
        known.sources[basket].fail(now);
        known.last = now;
    }

    /// An attempt on an account that there is; the guard is awaited for its turn.
    ///
    /// # Errors
    /// When too many of the tenant's accounts are counted already, or too many wait for this one.
    pub(crate) fn account(
        &self,
        tenant: TenantId,
        account: &str,
        now: Instant,
    ) -> Result<(Attempt<'_>, Arc<tokio::sync::Mutex<()>>), Closed> {
        let mut tenants = self.tenants.lock();
        let known = entry(&mut tenants, tenant, now);
        if known.accounts.len() >= ACCOUNTS && !known.accounts.contains_key(account) {
            known
                .accounts
                .retain(|_, counted| counted.waiting > 0 || counted.tally.fresh(now));
            if known.accounts.len() >= ACCOUNTS {
                return Err(Closed);
            }
        }
        let counted = known.accounts.entry(account.to_owned()).or_default();
        counted.waiting += 1;
        let turn = Arc::clone(&counted.turn);
        drop(tenants);
        let attempt = Attempt {
            limiter: self,
            tenant,
            account: account.to_owned(),
        };
        Ok((attempt, turn))
    }

    fn basket(&self, source: IpAddr) -> usize {
        // Whoever has an IPv6 address has 2^64 of them.
        let source = match source.to_canonical() {
            IpAddr::V4(four) => u128::from(u32::from(four)),
            IpAddr::V6(six) => u128::from(six) >> 64 << 64,
        };
        usize::try_from(self.baskets.hash_one(source) % BASKETS as u64).unwrap_or_default()
    }
}

impl Attempt<'_> {
    /// Whether the account may be tried; asked in its turn.
    ///
    /// # Errors
    /// When it failed too often of late.
    pub(crate) fn open(&self, now: Instant) -> Result<(), Closed> {
        let mut tenants = self.limiter.tenants.lock();
        let tally = self.tally(&mut tenants);
        match tally {
            Some(tally) if tally.closed(OF_ACCOUNT, now) => Err(Closed),
            _ => Ok(()),
        }
    }

    /// Counts it. A success ends the row of failures.
    pub(crate) fn ended(&self, right: bool, now: Instant) -> u32 {
        let mut tenants = self.limiter.tenants.lock();
        let Some(tally) = self.tally(&mut tenants) else {
            return 0;
        };
        if right {
            *tally = Tally::default();
        } else {
            tally.fail(now);
        }
        let failures = tally.failures;
        if let Some(tenant) = tenants.get_mut(&self.tenant) {
            tenant.last = now;
        }
        failures
    }

    fn tally<'t>(&self, tenants: &'t mut HashMap<TenantId, Tenant>) -> Option<&'t mut Tally> {
        tenants
            .get_mut(&self.tenant)?
            .accounts
            .get_mut(&self.account)
            .map(|counted| &mut counted.tally)
    }
}

/// The tenant's counts. Making them is when those of others that say nothing any more go.
fn entry(tenants: &mut HashMap<TenantId, Tenant>, tenant: TenantId, now: Instant) -> &mut Tenant {
    if !tenants.contains_key(&tenant) {
        tenants.retain(|_, old| {
            now < old.last + WINDOW || old.accounts.values().any(|counted| counted.waiting > 0)
        });
    }
    tenants.entry(tenant).or_insert_with(|| Tenant {
        accounts: HashMap::new(),
        sources: Box::new([Tally::default(); BASKETS]),
        last: now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(n: u128) -> TenantId {
        TenantId(uuid::Uuid::from_u128(n))
    }

    fn ip(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    fn try_account(limiter: &Limiter, of: TenantId, name: &str, right: bool, now: Instant) -> bool {
        let Ok((attempt, _turn)) = limiter.account(of, name, now) else {
            return false;
        };
        if attempt.open(now).is_err() {
            return false;
        }
        attempt.ended(right, now);
        true
    }

    #[test]
    fn s10_an_account_closes_after_five_failures_and_opens_after_the_window() {
        let (limiter, now) = (Limiter::new(), Instant::now());
        for _ in 0..OF_ACCOUNT {
            assert!(try_account(&limiter, tenant(1), "admin", false, now));
        }
        assert!(!try_account(&limiter, tenant(1), "admin", true, now));
        let almost = now + WINDOW - Duration::from_secs(1);
        assert!(!try_account(&limiter, tenant(1), "admin", true, almost));
        assert!(try_account(
            &limiter,
            tenant(1),
            "admin",
            true,
            now + WINDOW
        ));
        // Other accounts, and the same name elsewhere, never closed.
        assert!(try_account(&limiter, tenant(1), "bob", true, now));
        assert!(try_account(&limiter, tenant(2), "admin", true, now));
    }

    #[test]
    fn s10_a_success_ends_the_row() {
        let (limiter, now) = (Limiter::new(), Instant::now());
        for round in 0..20 {
            assert!(try_account(
                &limiter,
                tenant(1),
                "admin",
                round % 5 == 4,
                now
            ));
        }
    }

    #[test]
    fn s10_a_flood_of_names_neither_resets_a_closed_account_nor_grows() {
        let (limiter, now) = (Limiter::new(), Instant::now());
        for _ in 0..OF_ACCOUNT {
            try_account(&limiter, tenant(1), "admin", false, now);
        }
        for n in 0..20 * ACCOUNTS {
            try_account(&limiter, tenant(1), &format!("name-{n}"), false, now);
        }
        assert!(!try_account(&limiter, tenant(1), "admin", true, now));
        assert!(limiter.tenants.lock()[&tenant(1)].accounts.len() <= ACCOUNTS);
        // Full is closed, for this tenant alone, until the failures are old.
        assert!(!try_account(&limiter, tenant(1), "fresh", true, now));
        assert!(try_account(&limiter, tenant(2), "fresh", true, now));
        assert!(try_account(
            &limiter,
            tenant(1),
            "fresh",
            true,
            now + WINDOW
        ));
    }

    #[test]
    fn s10_a_source_closes_and_a_flood_of_sources_does_not_open_it() {
        let (limiter, now) = (Limiter::new(), Instant::now());
        for _ in 0..OF_SOURCE {
            assert_eq!(limiter.source(tenant(1), ip(7), now), Ok(()));
            limiter.source_failed(tenant(1), ip(7), now);
        }
        for n in 0..100_000 {
            limiter.source_failed(tenant(1), ip(n), now);
        }
        assert_eq!(limiter.source(tenant(1), ip(7), now), Err(Closed));
        assert_eq!(limiter.source(tenant(2), ip(7), now), Ok(()));
        assert_eq!(limiter.source(tenant(1), ip(7), now + WINDOW), Ok(()));
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let limiter = Limiter::new();
        let basket = |text: &str| limiter.basket(text.parse().unwrap());
        assert_eq!(basket("2001:db8::1"), basket("2001:db8::ffff"));
        assert_eq!(basket("::ffff:10.0.0.1"), basket("10.0.0.1"));
    }

    #[test]
    fn tenants_that_say_nothing_any_more_are_forgotten() {
        let (limiter, now) = (Limiter::new(), Instant::now());
        for n in 0..1_000 {
            try_account(&limiter, tenant(n), "admin", false, now);
        }
        try_account(&limiter, tenant(5_000), "admin", false, now + WINDOW);
        assert_eq!(limiter.tenants.lock().len(), 1);
    }
}
