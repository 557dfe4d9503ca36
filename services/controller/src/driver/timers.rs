//! Alarms: at most one per application, none for an application that waits for nothing.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

use super::queue::{AppKey, Queue};

/// The longest that anybody sleeps. Who is woken too early sleeps again: a clock that was set, or a machine that stood still, is
/// noticed by then. What waits for years, as a retry may be told to, would be more than an alarm can be set for.
const LONGEST: Duration = Duration::from_secs(3600);

enum Order {
    Set(AppKey, Duration),
    Cancel(AppKey),
    Clear,
}

/// Sets alarms. Cheap to clone.
#[derive(Clone)]
pub struct Timers(mpsc::UnboundedSender<Order>);

/// What runs the alarms; a task of its own.
pub struct Alarms(mpsc::UnboundedReceiver<Order>);

/// The two ends.
#[must_use]
pub fn timers() -> (Timers, Alarms) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Timers(sender), Alarms(receiver))
}

impl Timers {
    /// Wakes an application after `delay`, or earlier where that is long, instead of whenever it was to be woken before.
    pub fn set(&self, app: AppKey, delay: Duration) {
        let _ = self.0.send(Order::Set(app, delay.min(LONGEST)));
    }

    /// Lets an application sleep.
    pub fn cancel(&self, app: AppKey) {
        let _ = self.0.send(Order::Cancel(app));
    }

    /// Lets all sleep.
    pub fn clear(&self) {
        let _ = self.0.send(Order::Clear);
    }
}

impl Alarms {
    /// Pushes an application into `queue` when its time has come, until the stop.
    pub async fn run(mut self, queue: Queue, stop: CancellationToken) {
        let mut delays = DelayQueue::new();
        let mut keys: HashMap<AppKey, Key> = HashMap::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(expired) = delays.next(), if !keys.is_empty() => {
                    let app: AppKey = expired.into_inner();
                    keys.remove(&app);
                    queue.push(app);
                }
                order = self.0.recv() => match order {
                    None => return,
                    Some(Order::Set(app, delay)) => match keys.get(&app) {
                        Some(key) => delays.reset(key, delay),
                        None => { keys.insert(app.clone(), delays.insert(app, delay)); }
                    },
                    Some(Order::Cancel(app)) => if let Some(key) = keys.remove(&app) { delays.remove(&key); },
                    Some(Order::Clear) => { keys.clear(); delays.clear(); }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::tenant::TenantId;
    use tokio::time::Instant;
    use uuid::Uuid;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_years_is_woken_within_the_hour() {
        let (timers, alarms) = timers();
        let queue = Queue::new(1);
        let app = AppKey::new(TenantId(Uuid::from_u128(1)), "a");
        let years = Duration::from_secs(10 * 366 * 86_400);
        // The second is put in the place of the first.
        timers.set(app.clone(), Duration::from_secs(60));
        timers.set(app.clone(), years);
        let begun = Instant::now();
        let woken = tokio::select! {
            () = alarms.run(queue.clone(), CancellationToken::new()) => None,
            turn = queue.pop() => Some(turn.app.clone()),
        };
        assert_eq!(woken, Some(app));
        let waited = begun.elapsed();
        assert!(waited >= LONGEST && waited < LONGEST * 2, "{waited:?}");
    }
}
