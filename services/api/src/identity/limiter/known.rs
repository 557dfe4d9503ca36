//! From where a password was right of late, and what failed there since.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use domain::tenant::TenantId;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Source, Tally};

/// How long a source is known, from the last right password on.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 86_400);
/// How many sources one account makes known; the one from which it did so longest ago is forgotten first. Whoever has many
/// addresses, and a password, pushes out nobody else's.
const OF_ACCOUNT: usize = 32;
/// How many accounts of a tenant make sources known. There are no more of them than were made.
const ACCOUNTS: usize = 1_000;

#[derive(Default)]
struct Tenant {
    /// When an account's password was right from each of its sources.
    accounts: HashMap<String, BTreeMap<Source, Instant>>,
    /// By how many accounts a source is known, and its failures.
    sources: HashMap<Source, (usize, Tally)>,
}

impl Tenant {
    fn forget(&mut self, source: Source) {
        if let Some((accounts, _)) = self.sources.get_mut(&source) {
            *accounts -= 1;
            if *accounts == 0 {
                self.sources.remove(&source);
            }
        }
    }

    /// Forgets what is too long ago.
    fn expire(&mut self, now: Instant) {
        let mut gone = Vec::new();
        self.accounts.retain(|_, sources| {
            sources.retain(|source, last| {
                let fresh = now < *last + KNOWN_FOR;
                if !fresh {
                    gone.push(*source);
                }
                fresh
            });
            !sources.is_empty()
        });
        for source in gone {
            self.forget(source);
        }
    }
}

/// The sources that are known, of each tenant by its accounts. One that is forgotten is as any other.
#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<TenantId, Tenant>>);

impl Known {
    /// An account's password was right from here.
    pub(super) fn right(&self, tenant: TenantId, account: &str, source: Source, now: Instant) {
        let mut tenants = self.0.lock();
        let known = tenants.entry(tenant).or_default();
        if !known.accounts.contains_key(account) && known.accounts.len() >= ACCOUNTS {
            known.expire(now);
            if known.accounts.len() >= ACCOUNTS {
                return;
            }
        }
        let own = known.accounts.entry(account.to_owned()).or_default();
        if own.insert(source, now).is_none() {
            known.sources.entry(source).or_default().0 += 1;
            if own.len() > OF_ACCOUNT {
                let oldest = own.iter().min_by_key(|(_, last)| **last);
                if let Some(oldest) = oldest.map(|(source, _)| *source) {
                    own.remove(&oldest);
                    known.forget(oldest);
                }
            }
        }
    }

    /// Whether an account is known from here.
    pub(super) fn has(
        &self,
        tenant: TenantId,
        account: &str,
        source: Source,
        now: Instant,
    ) -> bool {
        let tenants = self.0.lock();
        let last = tenants
            .get(&tenant)
            .and_then(|known| known.accounts.get(account)?.get(&source));
        last.is_some_and(|last| now < *last + KNOWN_FOR)
    }

    /// What failed here, where any account is known from.
    pub(super) fn tally(&self, tenant: TenantId, source: Source, now: Instant) -> Option<Tally> {
        self.with(tenant, source, now, |tally| *tally)
    }

    /// Counts a failure here, if any account is known from here; for how long it is does not change.
    pub(super) fn failed(&self, tenant: TenantId, source: Source, now: Instant) -> bool {
        self.with(tenant, source, now, |tally| tally.fail(now))
            .is_some()
    }

    fn with<T>(
        &self,
        tenant: TenantId,
        source: Source,
        now: Instant,
        what: impl FnOnce(&mut Tally) -> T,
    ) -> Option<T> {
        let mut tenants = self.0.lock();
        let known = tenants.get_mut(&tenant)?;
        let (_, tally) = known.sources.get_mut(&source)?;
        let mut of_accounts = known.accounts.values().filter_map(|own| own.get(&source));
        of_accounts
            .any(|last| now < *last + KNOWN_FOR)
            .then(|| what(tally))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(n: u128) -> TenantId {
        TenantId(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn s10_an_account_with_many_addresses_pushes_nobody_elses_out() {
        let (known, now) = (Known::default(), Instant::now());
        let home = Source(1);
        known.right(tenant(1), "admin", home, now);
        known.right(tenant(2), "admin", home, now);
        for n in 0..50_000 {
            let now = now + Duration::from_millis(n);
            known.right(tenant(1), "bob", Source(1_000 + u128::from(n)), now);
        }
        assert!(known.has(tenant(1), "admin", home, now));
        assert!(known.has(tenant(2), "admin", home, now));
        assert!(known.tally(tenant(1), home, now).is_some());
        assert!(known.has(tenant(1), "bob", Source(50_999), now));
        assert!(!known.has(tenant(1), "bob", Source(1_000), now));
        let tenants = known.0.lock();
        assert_eq!(tenants[&tenant(1)].sources.len(), OF_ACCOUNT + 1);
    }

    #[test]
    fn s10_failures_do_not_keep_a_source_known() {
        let (known, now) = (Known::default(), Instant::now());
        known.right(tenant(1), "admin", Source(1), now);
        let later = now + KNOWN_FOR - Duration::from_secs(1);
        assert!(known.failed(tenant(1), Source(1), later));
        let end = now + KNOWN_FOR;
        assert!(!known.failed(tenant(1), Source(1), end));
        assert!(known.tally(tenant(1), Source(1), end).is_none());
        assert!(!known.has(tenant(1), "admin", Source(1), end));
        // What is too long ago leaves room.
        for n in 0..ACCOUNTS {
            known.right(tenant(1), &format!("name-{n}"), Source(2), now);
        }
        known.right(tenant(1), "fresh", Source(3), later);
        assert!(!known.has(tenant(1), "fresh", Source(3), later));
        known.right(tenant(1), "fresh", Source(3), end);
        assert!(known.has(tenant(1), "fresh", Source(3), end));
        assert_eq!(known.0.lock()[&tenant(1)].sources.len(), 1);
    }
}
