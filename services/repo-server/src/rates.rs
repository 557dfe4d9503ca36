//! How many renders a tenant has left in this minute.

use std::time::Instant;

use domain::quota::{PerMinute, Quota};
use domain::tenant::TenantId;
use parking_lot::Mutex;
use source::{Error, Kind};

/// The most tenants that are told apart at once.
const MOST: usize = 20_000;

/// Renders of this minute, per tenant.
#[derive(Debug)]
pub(crate) struct Rates(Mutex<PerMinute<TenantId>>);

impl Default for Rates {
    fn default() -> Self {
        Self(Mutex::new(PerMinute::new(MOST)))
    }
}

impl Rates {
    /// Takes one render of a tenant that may have so many in a minute; 0 means without limit.
    ///
    /// # Errors
    /// `TooLarge`, with a cause that says when to come again.
    pub(crate) fn take(&self, tenant: TenantId, allowed: u64) -> Result<(), Error> {
        self.take_at(tenant, allowed, Instant::now())
    }

    fn take_at(&self, tenant: TenantId, allowed: u64, now: Instant) -> Result<(), Error> {
        let taken = self.0.lock().take(tenant, allowed, now);
        taken.map_err(|wait| Error::new(Kind::TooLarge, Quota::Renders.reached(allowed, wait)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn renders_come_back_over_a_minute_and_a_refusal_says_when() {
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
        let later = now + Duration::from_millis(4_500);
        let refused = rates.take_at(a, 3, later).unwrap_err();
        assert_eq!(refused.kind(), Kind::TooLarge);
        assert!(
            refused.to_string().contains("3 of 3") && refused.to_string().contains("16 s"),
            "{refused}"
        );
        rates.take_at(b, 3, now).unwrap();
        rates.take_at(a, 0, now).unwrap();
        rates.take_at(a, 3, now + Duration::from_secs(21)).unwrap();
    }
}
