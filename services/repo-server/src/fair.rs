//! A number of turns, shared out among tenants: whoever has many requests waits behind those who have few.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Hands out turns, one tenant after the other. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Fair(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    waiting: BTreeMap<String, VecDeque<oneshot::Sender<Turn>>>,
    /// The tenants that wait, the next one first.
    order: VecDeque<String>,
}

/// A turn; it goes to the next tenant when dropped.
#[derive(Debug)]
pub(crate) struct Turn(Option<Fair>);

impl Fair {
    pub(crate) fn new(turns: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: turns.max(1),
            waiting: BTreeMap::new(),
            order: VecDeque::new(),
        })))
    }

    /// Waits for a turn. Dropping the future gives the place up.
    pub(crate) async fn turn(&self, tenant: &str) -> Turn {
        let receiver = {
            let mut state = self.0.lock();
            if state.free > 0 {
                state.free -= 1;
                return Turn(Some(self.clone()));
            }
            let (sender, receiver) = oneshot::channel();
            if !state.waiting.contains_key(tenant) {
                state.order.push_back(tenant.to_owned());
            }
            state
                .waiting
                .entry(tenant.to_owned())
                .or_default()
                .push_back(sender);
            receiver
        };
        // The sender is dropped only together with the queue, which this holds.
        receiver.await.unwrap_or(Turn(None))
    }

    fn release(&self) {
        loop {
            let next = {
                let mut state = self.0.lock();
                match state.next() {
                    Some(next) => next,
                    None => {
                        state.free += 1;
                        return;
                    }
                }
            };
            match next.send(Turn(Some(self.clone()))) {
                Ok(()) => return,
                // Nobody waits there any more; the turn must not be handed back by its own drop, which would recurse.
                Err(mut turn) => turn.0 = None,
            }
        }
    }
}

impl State {
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let tenant = self.order.pop_front()?;
        let queue = self.waiting.get_mut(&tenant)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&tenant);
        } else {
            self.order.push_back(tenant);
        }
        next
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(fair) = self.0.take() {
            fair.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_tenant_with_one_request_does_not_wait_behind_anothers_many() {
        let fair = Fair::new(1);
        let running = fair.turn("many").await;
        let mut many: Vec<_> = (0..3).map(|_| Box::pin(fair.turn("many"))).collect();
        for waiting in &mut many {
            assert!(waiting.now_or_never().is_none());
        }
        let mut few = Box::pin(fair.turn("few"));
        assert!((&mut few).now_or_never().is_none());
        drop(running);
        let first = (&mut many[0])
            .now_or_never()
            .expect("the first that waited");
        drop(first);
        let second = few.now_or_never().expect("the other tenant's turn");
        let given_up = many.swap_remove(1);
        drop(given_up);
        drop(second);
        assert!(
            many.into_iter()
                .next_back()
                .unwrap()
                .now_or_never()
                .is_some(),
            "a place given up is passed over"
        );
    }
}
