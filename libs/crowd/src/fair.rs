//! A number of turns, shared out among tenants: whoever has many requests waits behind those who have few.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Hands out turns, one tenant after the other, and never all to one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fair(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    /// How many one tenant may have at once: what it waits for may be a server of its own that never answers.
    share: usize,
    /// Whether a tenant that has some leaves as many to others.
    sparing: bool,
    /// How many each tenant has.
    running: HashMap<String, usize>,
    waiting: BTreeMap<String, VecDeque<oneshot::Sender<Turn>>>,
    /// The tenants that wait, the next one first.
    order: VecDeque<String>,
}

/// A turn; it goes to the next tenant when dropped.
#[derive(Debug)]
pub struct Turn(Option<(Fair, String)>);

impl Fair {
    /// So many turns, at least one.
    #[must_use]
    pub fn new(turns: usize) -> Self {
        Self::with_share(turns, turns.div_ceil(2).max(turns.min(2)))
    }

    /// So many turns, and so many of them for one tenant at once, at least one each.
    #[must_use]
    pub fn with_share(turns: usize, share: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: turns.max(1),
            share: share.max(1),
            sparing: false,
            running: HashMap::new(),
            waiting: BTreeMap::new(),
            order: VecDeque::new(),
        })))
    }

    /// The same, where who has turns takes a further one only while more are free than it has. A few that each wait for a server of
    /// their own would have all of them otherwise, each no more than its share; like this each leaves as many as it has, and whoever has
    /// none finds one.
    #[must_use]
    pub fn sparing(turns: usize, share: usize) -> Self {
        let fair = Self::with_share(turns, share);
        fair.0.lock().sparing = true;
        fair
    }

    /// Waits for a turn. Dropping the future gives the place up.
    pub async fn turn(&self, tenant: &str) -> Turn {
        let receiver = {
            let mut state = self.0.lock();
            if state.take(tenant) {
                return self.given(tenant);
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

    /// A turn, where one is free for the tenant at this moment.
    #[must_use]
    pub fn turn_now(&self, tenant: &str) -> Option<Turn> {
        let taken = self.0.lock().take(tenant);
        taken.then(|| self.given(tenant))
    }

    fn given(&self, tenant: &str) -> Turn {
        Turn(Some((self.clone(), tenant.to_owned())))
    }

    fn release(&self, tenant: &str) {
        let mut next = {
            let mut state = self.0.lock();
            state.end(tenant);
            state.next()
        };
        // One turn that is free may let in several of those who spare.
        while let Some((tenant, waiting)) = next {
            let given = waiting.send(self.given(&tenant));
            let mut state = self.0.lock();
            // Nobody waits there any more; the turn must not be handed back by its own drop, which would recurse.
            if let Err(mut turn) = given {
                turn.0 = None;
                state.end(&tenant);
            }
            next = state.next();
        }
    }
}

impl State {
    fn may(&self, tenant: &str) -> bool {
        self.running.get(tenant).is_none_or(|has| {
            let spares = !self.sparing || *has < self.free;
            *has < self.share && spares
        })
    }

    /// Takes a free turn, where there is one and the tenant has not had its share.
    fn take(&mut self, tenant: &str) -> bool {
        let taken = self.free > 0 && self.may(tenant);
        if taken {
            self.begin(tenant);
        }
        taken
    }

    fn begin(&mut self, tenant: &str) {
        self.free -= 1;
        *self.running.entry(tenant.to_owned()).or_default() += 1;
    }

    fn end(&mut self, tenant: &str) {
        self.free += 1;
        if let Some(has) = self.running.get_mut(tenant) {
            *has -= 1;
            if *has == 0 {
                self.running.remove(tenant);
            }
        }
    }

    /// Who is next of those that may have a turn that is free, which has begun then.
    fn next(&mut self) -> Option<(String, oneshot::Sender<Turn>)> {
        while self.free > 0 {
            let at = self.order.iter().position(|tenant| self.may(tenant))?;
            let tenant = self.order.remove(at)?;
            let queue = self.waiting.get_mut(&tenant)?;
            // Whoever gave up has had no turn: the next of the same tenant has it.
            while queue.front().is_some_and(oneshot::Sender::is_closed) {
                queue.pop_front();
            }
            let next = queue.pop_front();
            if queue.is_empty() {
                self.waiting.remove(&tenant);
            } else {
                self.order.push_back(tenant.clone());
            }
            if let Some(next) = next {
                self.begin(&tenant);
                return Some((tenant, next));
            }
        }
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some((fair, tenant)) = self.0.take() {
            fair.release(&tenant);
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

    #[tokio::test]
    async fn whoever_gives_up_costs_its_tenant_no_turn() {
        let fair = Fair::new(1);
        let running = fair.turn("many").await;
        let mut many: Vec<_> = (0..3).map(|_| Box::pin(fair.turn("many"))).collect();
        let mut few = Box::pin(fair.turn("few"));
        for waiting in many.iter_mut().chain([&mut few]) {
            assert!(waiting.now_or_never().is_none());
        }
        let last = many.pop().expect("three wait");
        drop(many);
        drop(running);
        let first = last.now_or_never().expect("its tenant came first");
        assert!((&mut few).now_or_never().is_none());
        drop(first);
        drop(few.now_or_never().expect("the other tenant's turn"));
        // Where all have given up, the turn is the next tenant's.
        let running = fair.turn("many").await;
        let mut gone = Box::pin(fair.turn("many"));
        let mut few = Box::pin(fair.turn("few"));
        assert!((&mut gone).now_or_never().is_none());
        assert!((&mut few).now_or_never().is_none());
        drop(gone);
        drop(running);
        drop(few.now_or_never().expect("nobody else waits"));
        let state = fair.0.lock();
        assert_eq!(state.free, 1);
        assert!(state.running.is_empty() && state.waiting.is_empty() && state.order.is_empty());
    }

    #[tokio::test]
    async fn one_tenant_never_has_all_turns() {
        let fair = Fair::new(4);
        let first = fair.turn("many").await;
        let _second = fair.turn("many").await;
        let mut third = Box::pin(fair.turn("many"));
        assert!((&mut third).now_or_never().is_none());
        let _few = fair.turn("few").now_or_never().expect("a free turn");
        drop(first);
        let _third = third.now_or_never().expect("its share is free again");
        let mut fourth = Box::pin(fair.turn("many"));
        assert!((&mut fourth).now_or_never().is_none());
        let _last = fair.turn("other").now_or_never().expect("a free turn");
    }

    #[tokio::test]
    async fn one_who_has_its_share_waits_for_itself_and_others_do_not() {
        let fair = Fair::with_share(3, 1);
        let held = fair.turn("many").await;
        let mut own = Box::pin(fair.turn("many"));
        assert!((&mut own).now_or_never().is_none());
        let _few = fair.turn("few").now_or_never().expect("a free turn");
        let other = fair.turn("other").now_or_never().expect("a free turn");
        let mut last = Box::pin(fair.turn("last"));
        assert!((&mut last).now_or_never().is_none(), "none is free");
        drop(other);
        let _last = last.now_or_never().expect("the first that may have one");
        assert!((&mut own).now_or_never().is_none());
        drop(held);
        assert!(own.now_or_never().is_some());
    }

    #[tokio::test]
    async fn those_who_spare_leave_as_many_as_they_have_and_a_newcomer_finds_one() {
        let fair = Fair::sparing(8, 4);
        let all = |tenant| std::iter::from_fn(|| fair.turn_now(tenant)).collect::<Vec<Turn>>();
        let mut held = ["first", "second", "third", "fourth"].map(all);
        assert_eq!(held.each_ref().map(Vec::len), [4, 2, 1, 1]);
        let mut last = Box::pin(fair.turn("last"));
        assert!((&mut last).now_or_never().is_none(), "none is free");
        drop(held[0].pop());
        let _last = last.now_or_never().expect("whoever has none comes in");
        assert!(fair.turn_now("first").is_none(), "none is left");
        drop(held);
        assert_eq!(fair.0.lock().free, 7);
    }

    #[tokio::test]
    async fn a_turn_that_is_given_back_lets_in_all_who_need_spare_no_more() {
        let fair = Fair::sparing(3, 3);
        let first = fair.turn("one").await;
        let _other = fair.turn("other").await;
        let mut more = Box::pin(fair.turn("other"));
        assert!((&mut more).now_or_never().is_none(), "one is left");
        let mut again = Box::pin(fair.turn("one"));
        assert!((&mut again).now_or_never().is_none(), "and for nobody");
        drop(first);
        let _more = more.now_or_never().expect("it leaves one");
        assert!(again.now_or_never().is_some(), "which is the other's");
    }

    #[tokio::test]
    async fn whoever_cannot_wait_is_told_at_once() {
        let fair = Fair::new(3);
        let (first, _second) = (fair.turn_now("many"), fair.turn_now("many"));
        assert!(fair.turn_now("many").is_none(), "it has its share");
        let _few = fair.turn_now("few").expect("a free turn");
        assert!(fair.turn_now("other").is_none(), "none is free");
        drop(first);
        assert!(fair.turn_now("other").is_some());
    }
}
