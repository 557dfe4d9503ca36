//! Alarms: at most one per application, none for an application that waits for nothing.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

use super::queue::{AppKey, Queue};

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
    /// Wakes an application after `delay`, instead of whenever it was to be woken before.
    pub fn set(&self, app: AppKey, delay: Duration) {
        let _ = self.0.send(Order::Set(app, delay));
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
