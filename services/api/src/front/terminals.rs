//! How much the terminals of a tenant use together: a bound that does not begin again where one is opened anew.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::message::{self, Message};
use domain::quota::whole_seconds;
use domain::tenant::TenantId;
use parking_lot::Mutex;

/// For how many minutes they are open, all together, before one has to wait: as many as may be at once, for an hour.
const MINUTES: u64 = 20 * 60;
/// How many of these come back in a minute.
const A_MINUTE: u32 = 10;
/// How much goes through them before one has to wait, in MiB.
const MOST_MIB: u64 = 2 << 10;
/// How much of it comes back in a second.
const A_SECOND: u64 = 512 << 10;

/// What the terminals of all tenants have used of late. One per process.
#[derive(Debug, Default)]
pub(crate) struct Terminals(Mutex<HashMap<TenantId, Arc<Allowance>>>);

impl Terminals {
    /// What a tenant may use. Of who has all of it and no terminal, nothing is kept.
    pub(crate) fn of(&self, tenant: TenantId, now: Instant) -> Arc<Allowance> {
        let mut all = self.0.lock();
        all.retain(|_, one| Arc::strong_count(one) > 1 || !one.is_whole(now));
        let own = all.entry(tenant);
        Arc::clone(own.or_insert_with(|| Arc::new(Allowance::new(now))))
    }
}

/// What the terminals of one tenant may use.
#[derive(Debug)]
pub(crate) struct Allowance(Mutex<Used>);

/// When all of what was used will have come back.
#[derive(Clone, Copy, Debug)]
struct Used {
    time: Instant,
    bytes: Instant,
}

impl Allowance {
    /// All of it.
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new(Used {
            time: now,
            bytes: now,
        }))
    }

    /// Takes off what one of them has used.
    pub(crate) fn take(&self, open: Duration, bytes: u64, now: Instant) {
        let mut used = self.0.lock();
        used.time = used.time.max(now) + open / A_MINUTE;
        used.bytes = used.bytes.max(now) + back(bytes);
    }

    /// After how long there is some again; `None` while there is.
    pub(crate) fn spent(&self, now: Instant) -> Option<Duration> {
        let used = *self.0.lock();
        let over = |back: Instant, most: Duration| {
            let over = back.saturating_duration_since(now).checked_sub(most);
            over.filter(|wait| !wait.is_zero())
        };
        let time = over(used.time, Duration::from_secs(MINUTES * 60) / A_MINUTE);
        time.max(over(used.bytes, back(MOST_MIB << 20)))
    }

    fn is_whole(&self, now: Instant) -> bool {
        let used = *self.0.lock();
        used.time <= now && used.bytes <= now
    }
}

/// After how long so much has come back.
fn back(bytes: u64) -> Duration {
    Duration::from_micros(bytes.saturating_mul(1_000_000) / A_SECOND)
}

/// That all of it is used, and when there is some again.
pub(crate) fn used_up(wait: Duration) -> Message {
    message::terminal::USED_UP
        .with("minutes", MINUTES)
        .with("limit", MOST_MIB)
        .with("seconds", whole_seconds(wait))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn what_one_terminal_has_used_the_next_one_does_not_have() {
        let (terminals, now) = (Terminals::default(), Instant::now());
        let (a, b) = (
            TenantId(uuid::Uuid::from_u128(1)),
            TenantId(uuid::Uuid::from_u128(2)),
        );
        for _ in 0..20 {
            assert_eq!(terminals.of(a, now).spent(now), None);
            terminals.of(a, now).take(HOUR, 0, now);
        }
        assert_eq!(terminals.of(a, now).spent(now), None, "just as much");
        terminals.of(a, now).take(HOUR, 0, now);
        let wait = terminals.of(a, now).spent(now);
        assert_eq!(wait, Some(HOUR / A_MINUTE));
        assert_eq!(terminals.of(b, now).spent(now), None);
        assert_eq!(
            terminals.of(a, now).spent(now + HOUR),
            None,
            "it comes back"
        );

        terminals
            .of(b, now)
            .take(Duration::ZERO, MOST_MIB << 20, now);
        assert_eq!(terminals.of(b, now).spent(now), None);
        terminals.of(b, now).take(Duration::ZERO, A_SECOND, now);
        let wait = terminals.of(b, now).spent(now);
        assert_eq!(wait, Some(Duration::from_secs(1)));
    }

    #[test]
    fn who_has_all_of_it_is_not_remembered() {
        let (terminals, now) = (Terminals::default(), Instant::now());
        let tenant = |n: u128| TenantId(uuid::Uuid::from_u128(n));
        for n in 0..1_000 {
            terminals.of(tenant(n), now);
        }
        let held = terminals.of(tenant(1_000), now);
        terminals.of(tenant(1_001), now).take(HOUR, 0, now);
        terminals.of(tenant(1_002), now);
        assert_eq!(terminals.0.lock().len(), 3);
        drop(held);
        terminals.of(tenant(1_003), now + HOUR);
        assert_eq!(terminals.0.lock().len(), 1);
    }
}
