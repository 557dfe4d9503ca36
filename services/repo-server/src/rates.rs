//! How many renders a tenant has left in this minute.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use domain::message;
use domain::quota::Quota;
use domain::tenant::TenantId;
use parking_lot::Mutex;
use source::{Error, Kind};

const MINUTE: Duration = Duration::from_secs(60);
/// The most tenants that are counted at once.
const MOST: usize = 20_000;

/// Renders of this minute, per tenant.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<HashMap<TenantId, (Instant, u64)>>);

impl Rates {
    /// Takes one render of a tenant that may have so many in a minute; 0 means without limit.
    ///
    /// # Errors
    /// `TooLarge`, with a cause that says when to come again.
    pub(crate) fn take(&self, tenant: TenantId, allowed: u64) -> Result<(), Error> {
        self.take_at(tenant, allowed, Instant::now())
    }

    fn take_at(&self, tenant: TenantId, allowed: u64, now: Instant) -> Result<(), Error> {
        if allowed == 0 {
            return Ok(());
        }
        let mut rates = self.0.lock();
        if rates.len() >= MOST {
            rates.retain(|_, (begun, _)| now.duration_since(*begun) < MINUTE);
        }
        let (begun, used) = rates.entry(tenant).or_insert((now, 0));
        if now.duration_since(*begun) >= MINUTE {
            (*begun, *used) = (now, 0);
        }
        if *used < allowed {
            *used += 1;
            return Ok(());
        }
        let wait = MINUTE.saturating_sub(now.duration_since(*begun));
        let words = message::tenant::RATE_REACHED
            .with("quota", Quota::Renders.as_str())
            .with("used", *used)
            .with("allowed", allowed)
            .with("seconds", wait.as_secs() + 1);
        Err(Error::new(Kind::TooLarge, words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_so_many_and_the_next_one_as_many_again() {
        let rates = Rates::default();
        let tenant = |last: char| {
            let id = format!("00000000-0000-0000-0000-00000000000{last}");
            TenantId(id.parse().unwrap())
        };
        let (a, b) = (tenant('1'), tenant('2'));
        let now = Instant::now();
        for _ in 0..3 {
            rates.take_at(a, 3, now).unwrap();
        }
        let refused = rates
            .take_at(a, 3, now + Duration::from_secs(20))
            .unwrap_err();
        assert_eq!(refused.kind(), Kind::TooLarge);
        assert!(refused.to_string().contains("41 s"), "{refused}");
        rates.take_at(b, 3, now).unwrap();
        rates.take_at(a, 0, now).unwrap();
        rates.take_at(a, 3, now + MINUTE).unwrap();
    }
}
