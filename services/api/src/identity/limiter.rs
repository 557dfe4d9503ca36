//! How often somebody may be wrong: per account and source, per account from everywhere, and per source of each tenant.
//!
//! Whoever is wrong closes an account for themselves, not for its holder: failures are counted per account and source, and
//! only far more of them, from wherever, close an account for sources that it is not known from. A source is known where a
//! right password came from it of late; it is judged by what came from it alone.
//!
//! Bounded, and closed when full. Only accounts that exist are counted one by one, and there are no more of them than
//! the tenant made; names that nobody has count for their source. Sources fall into a fixed number of baskets per
//! account and per tenant, so that a flood of them takes no memory and pushes nothing out: it closes for sources that are
//! not known and share a basket, never for another tenant.

mod known;

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::tenant::TenantId;
use parking_lot::Mutex;
use tokio::time::Instant;

use self::known::Known;

/// How many failures in a row close an account for the source that they come from.
pub(crate) const OF_ACCOUNT: u32 = 5;
/// How many failures close an account for all sources that it is not known from.
pub(crate) const OF_ACCOUNT_EVERYWHERE: u32 = 100;
/// How many failures close a source. Many people may sit behind one address.
pub(crate) const OF_SOURCE: u32 = 100;
/// How long a failure counts, from the last one on.
pub(crate) const WINDOW: Duration = Duration::from_secs(300);
/// How many accounts of a tenant are counted at a time.
const ACCOUNTS: usize = 1_000;
/// How many baskets a tenant's sources fall into.
const BASKETS: u64 = 256;
/// How many baskets the sources of one account fall into.
const PLACES: u64 = 64;

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

/// An address, as far as it is its holder's: whoever has an IPv6 address has 2^64 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Source(u128);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(four) => u128::from(u32::from(four)),
            IpAddr::V6(six) => u128::from(six) >> 64 << 64,
        })
    }
}

/// From where an account is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// A source that the account is known from, alone.
    Known(Source),
    /// The other sources of one basket.
    Basket(u64),
}

/// The failures from one place, and whose turn it is: two attempts on one account from there are never looked at together.
#[derive(Default)]
struct Counted {
    tally: Tally,
    turn: Arc<tokio::sync::Mutex<()>>,
    waiting: usize,
}

impl Counted {
    fn counts(&self, now: Instant) -> bool {
        self.waiting > 0 || self.tally.fresh(now)
    }
}

#[derive(Default)]
struct Account {
    everywhere: Tally,
    places: HashMap<Place, Counted>,
}

impl Account {
    fn counts(&self, now: Instant) -> bool {
        self.everywhere.fresh(now) || self.places.values().any(|place| place.counts(now))
    }

    fn waiting(&self) -> bool {
        self.places.values().any(|place| place.waiting > 0)
    }
}

struct Tenant {
    accounts: HashMap<String, Account>,
    sources: Vec<Tally>,
    last: Instant,
}

/// Counts failures.
pub(crate) struct Limiter {
    tenants: Mutex<HashMap<TenantId, Tenant>>,
    /// From where an account's password was right.
    known: Known,
    /// From where any password at a tenant's host was right, with the failures since.
    known_sources: Known,
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
    source: Option<Source>,
    place: Place,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut tenants = self.limiter.tenants.lock();
        let Some(tenant) = tenants.get_mut(&self.tenant) else {
            return;
        };
        let Some(account) = tenant.accounts.get_mut(&self.account) else {
            return;
        };
        if let Some(counted) = account.places.get_mut(&self.place) {
            counted.waiting -= 1;
            if counted.waiting == 0 && counted.tally.failures == 0 {
                account.places.remove(&self.place);
            }
        }
        if account.places.is_empty() && account.everywhere.failures == 0 {
            tenant.accounts.remove(&self.account);
        }
    }
}

impl Limiter {
    /// Nobody has failed yet.
    pub(crate) fn new() -> Self {
        Self {
            tenants: Mutex::default(),
            known: Known::default(),
            known_sources: Known::default(),
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
        let source = Source::from(source);
        let tally = match self.known_sources.tally(tenant, source, now) {
            Some(own) => own,
            None => {
                let tenants = self.tenants.lock();
                let basket = tenants.get(&tenant);
                let basket = basket.and_then(|known| known.sources.get(self.basket(source)));
                basket.copied().unwrap_or_default()
            }
        };
        if tally.closed(OF_SOURCE, now) {
            return Err(Closed);
        }
        Ok(())
    }

    /// Whether somebody's password was right from this source of late.
    pub(crate) fn knows(&self, tenant: TenantId, source: IpAddr, now: Instant) -> bool {
        let known = self.known_sources.tally(tenant, source.into(), now);
        known.is_some()
    }

    /// Counts a failure against its source.
    pub(crate) fn source_failed(&self, tenant: TenantId, source: IpAddr, now: Instant) {
        let source = Source::from(source);
        if self.known_sources.failed(tenant, source, now) {
            return;
        }
        let basket = self.basket(source);
        let mut tenants = self.tenants.lock();
        let known = entry(&mut tenants, tenant, now);
        if let Some(tally) = known.sources.get_mut(basket) {
            tally.fail(now);
        }
        known.last = now;
    }

    /// Knows a source from which an account's password was right; its own failures stay counted.
    pub(crate) fn source_right(
        &self,
        tenant: TenantId,
        source: IpAddr,
        account: &str,
        now: Instant,
    ) {
        let source = Source::from(source);
        self.known_sources.right(tenant, account, source, now);
    }

    /// An attempt on an account that there is; the guard is awaited for its turn.
    ///
    /// # Errors
    /// When too many of the tenant's accounts are counted already.
    pub(crate) fn account(
        &self,
        tenant: TenantId,
        account: &str,
        source: Option<IpAddr>,
        now: Instant,
    ) -> Result<(Attempt<'_>, Arc<tokio::sync::Mutex<()>>), Closed> {
        let source = source.map(Source::from);
        let place = self.place(tenant, account, source, now);
        let mut tenants = self.tenants.lock();
        let known = entry(&mut tenants, tenant, now);
        if known.accounts.len() >= ACCOUNTS && !known.accounts.contains_key(account) {
            known.accounts.retain(|_, counted| counted.counts(now));
            if known.accounts.len() >= ACCOUNTS {
                return Err(Closed);
            }
        }
        let counted = known.accounts.entry(account.to_owned()).or_default();
        if !counted.places.contains_key(&place) {
            counted.places.retain(|_, place| place.counts(now));
        }
        let counted = counted.places.entry(place).or_default();
        counted.waiting += 1;
        let turn = Arc::clone(&counted.turn);
        drop(tenants);
        let attempt = Attempt {
            limiter: self,
            tenant,
            account: account.to_owned(),
            source,
            place,
        };
        Ok((attempt, turn))
    }

    fn place(
        &self,
        tenant: TenantId,
        account: &str,
        source: Option<Source>,
        now: Instant,
    ) -> Place {
        let Some(source) = source else {
            return Place::Basket(0);
        };
        match self.known.has(tenant, account, source, now) {
            true => Place::Known(source),
            // Other baskets for every account: who shares one with somebody shares no other.
            false => Place::Basket(self.baskets.hash_one((tenant, account, source)) % PLACES),
        }
    }

    fn basket(&self, source: Source) -> usize {
        usize::try_from(self.baskets.hash_one(source) % BASKETS).unwrap_or_default()
    }
}

impl Attempt<'_> {
    /// Whether the account may be tried; asked in its turn.
    ///
    /// # Errors
    /// When it failed too often of late.
    pub(crate) fn open(&self, now: Instant) -> Result<(), Closed> {
        let tenants = self.limiter.tenants.lock();
        let tenant = tenants.get(&self.tenant);
        let Some(account) = tenant.and_then(|tenant| tenant.accounts.get(&self.account)) else {
            return Ok(());
        };
        let here = account.places.get(&self.place);
        let here = here.is_some_and(|here| here.tally.closed(OF_ACCOUNT, now));
        let known = matches!(self.place, Place::Known(_));
        if here || (!known && account.everywhere.closed(OF_ACCOUNT_EVERYWHERE, now)) {
            return Err(Closed);
        }
        Ok(())
    }

    /// Counts it: how many failures in a row there are from here now. A success ends the row, and makes the source known.
    pub(crate) fn ended(&self, right: bool, now: Instant) -> u32 {
        if let Some(source) = self.source.filter(|_| right) {
            let known = &self.limiter.known;
            known.right(self.tenant, &self.account, source, now);
        }
        let mut tenants = self.limiter.tenants.lock();
        let Some(tenant) = tenants.get_mut(&self.tenant) else {
            return 0;
        };
        tenant.last = now;
        let Some(account) = tenant.accounts.get_mut(&self.account) else {
            return 0;
        };
        if !right {
            account.everywhere.fail(now);
        }
        let Some(here) = account.places.get_mut(&self.place) else {
            return 0;
        };
        if right {
            here.tally = Tally::default();
        } else {
            here.tally.fail(now);
        }
        here.tally.failures
    }
}

/// The tenant's counts. Making them is when those of others that say nothing any more go.
fn entry(tenants: &mut HashMap<TenantId, Tenant>, tenant: TenantId, now: Instant) -> &mut Tenant {
    if !tenants.contains_key(&tenant) {
        tenants.retain(|_, old| {
            now < old.last + WINDOW || old.accounts.values().any(Account::waiting)
        });
    }
    let baskets = usize::try_from(BASKETS).unwrap_or_default();
    tenants.entry(tenant).or_insert_with(|| Tenant {
        accounts: HashMap::new(),
        sources: vec![Tally::default(); baskets],
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
        try_from(limiter, (of, name), ip(7), right, now)
    }

    fn try_from(
        limiter: &Limiter,
        (of, name): (TenantId, &str),
        source: IpAddr,
        right: bool,
        now: Instant,
    ) -> bool {
        let Ok((attempt, _turn)) = limiter.account(of, name, Some(source), now) else {
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
    fn s10_strangers_close_an_account_for_themselves_and_not_for_who_is_known() {
        let (limiter, now) = (Limiter::new(), Instant::now());
        let admin = (tenant(1), "admin");
        let home = ip(1);
        assert!(try_from(&limiter, admin, home, true, now));
        for _ in 0..OF_ACCOUNT {
            assert!(try_from(&limiter, admin, ip(66), false, now));
        }
        assert!(!try_from(&limiter, admin, ip(66), true, now));
        assert!(try_from(&limiter, admin, home, true, now));
        // A flood from everywhere closes it for whoever is not known: from each source a few, in all not many more.
        let looked_at = (1_000..100_000).filter(|n| try_from(&limiter, admin, ip(*n), false, now));
        let all = u32::try_from(looked_at.count()).unwrap() + OF_ACCOUNT;
        assert_eq!(all, OF_ACCOUNT_EVERYWHERE);
        assert!(!try_from(&limiter, admin, ip(2), true, now));
        assert!(try_from(&limiter, admin, home, true, now));
        let places = limiter.tenants.lock()[&tenant(1)].accounts["admin"]
            .places
            .len();
        assert!(places as u64 <= PLACES + 1, "{places}");
        // Known is the source of one account; and it closes by its own failures.
        assert!(try_from(&limiter, (tenant(1), "bob"), home, true, now));
        for _ in 0..OF_ACCOUNT {
            assert!(try_from(&limiter, admin, home, false, now));
        }
        assert!(!try_from(&limiter, admin, home, true, now));
        assert!(try_from(&limiter, admin, ip(2), true, now + WINDOW));
    }

    #[test]
    fn s10_a_known_source_is_not_closed_by_others_of_its_basket() {
        let (limiter, now) = (Limiter::new(), Instant::now());
        limiter.source_right(tenant(1), ip(1), "admin", now);
        for n in 1_000..200_000 {
            limiter.source_failed(tenant(1), ip(n), now);
        }
        assert_eq!(limiter.source(tenant(1), ip(2), now), Err(Closed));
        assert_eq!(limiter.source(tenant(1), ip(1), now), Ok(()));
        for _ in 0..OF_SOURCE {
            limiter.source_failed(tenant(1), ip(1), now);
            // A right password in between is no way on.
            limiter.source_right(tenant(1), ip(1), "admin", now);
        }
        assert_eq!(limiter.source(tenant(1), ip(1), now), Err(Closed));
        assert_eq!(limiter.source(tenant(1), ip(1), now + WINDOW), Ok(()));
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
        let basket = |text: &str| limiter.basket(text.parse::<IpAddr>().unwrap().into());
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
