//! How many objects tenants' applications manage, counted once for all who ask at the same time: a count reads all that a tenant
//! has, and where many applications are synced at once all workers ask.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::tenant::TenantId;
use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a count is good enough for a quota.
const COUNTED: Duration = Duration::from_secs(10);

/// The last counts, by tenant.
#[derive(Default)]
pub(super) struct Objects(Mutex<HashMap<TenantId, Last>>);

/// When was counted, and how many; locked while they are counted.
type Last = Arc<tokio::sync::Mutex<Option<(Instant, u64)>>>;

impl Objects {
    /// How many they are, counted with `count` unless they were a moment ago.
    pub(super) async fn of<F>(
        &self,
        tenant: TenantId,
        count: impl FnOnce() -> F,
    ) -> store::Result<u64>
    where
        F: Future<Output = store::Result<u64>>,
    {
        let known = self.0.lock().entry(tenant).or_default().clone();
        let mut last = known.lock().await;
        if let Some(objects) = recent(*last) {
            return Ok(objects);
        }
        let objects = count().await?;
        *last = Some((Instant::now(), objects));
        // Of those who sync no more nothing is kept.
        self.0.lock().retain(|_, known| match known.try_lock() {
            Ok(last) => recent(*last).is_some(),
            Err(_) => true,
        });
        Ok(objects)
    }
}

fn recent(last: Option<(Instant, u64)>) -> Option<u64> {
    let (at, objects) = last?;
    (at.elapsed() < COUNTED).then_some(objects)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use uuid::Uuid;

    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId(Uuid::from_u128(number))
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_at_once_have_it_counted_once_and_again_when_that_is_old() {
        let (objects, counts) = (Objects::default(), AtomicU64::new(0));
        let count = || async {
            counts.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok::<u64, store::Error>(7)
        };
        let ask = |number| objects.of(tenant(number), count);
        let (one, same, other) = tokio::join!(ask(1), ask(1), ask(2));
        assert_eq!((one.unwrap(), same.unwrap(), other.unwrap()), (7, 7, 7));
        assert_eq!(counts.load(Ordering::SeqCst), 2, "once for each tenant");
        assert_eq!(ask(1).await.unwrap(), 7);
        assert_eq!(counts.load(Ordering::SeqCst), 2);
        tokio::time::advance(COUNTED).await;
        assert_eq!(ask(1).await.unwrap(), 7);
        assert_eq!(counts.load(Ordering::SeqCst), 3);
        assert_eq!(objects.0.lock().len(), 1, "the other asks no more");
    }

    #[tokio::test]
    async fn what_could_not_be_counted_is_counted_by_the_next() {
        let objects = Objects::default();
        let away = || async {
            Err(store::Error::Conflict {
                what: "count",
                name: String::new(),
            })
        };
        assert!(objects.of(tenant(1), away).await.is_err());
        let counted = objects.of(tenant(1), || async { Ok(3) }).await;
        assert_eq!(counted.unwrap(), 3);
    }
}
