//! Turns that are others' while whoever has one waits for something else, which only so many do at once.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::fair::{Fair, Turn};

/// What takes no longer is not worth a turn: whoever gives one back waits behind others for the next.
const MOMENT: Duration = Duration::from_millis(100);

/// Hands out seats, each of which has a turn while it works. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Seats {
    places: Fair,
    turns: Fair,
}

/// A seat. Cheap to clone, and given up with the last of its clones: a thread has one, and whoever waits for that another.
///
/// Whoever has a turn waits for no seat, and whoever lends it has none: so turns come back, and seats with them.
#[derive(Clone, Debug)]
pub struct Seat(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    /// None while it is lent.
    turn: Mutex<Option<Turn>>,
    turns: Fair,
    tenant: String,
    _place: Turn,
}

impl Seats {
    /// So many seats, and so many turns for those who have one.
    #[must_use]
    pub fn new(places: Fair, turns: Fair) -> Self {
        Self { places, turns }
    }

    /// Waits for a seat, and there for its first turn. Dropping the future gives both up.
    pub async fn seat(&self, tenant: &str) -> Seat {
        let place = self.places.turn(tenant).await;
        let turn = self.turns.turn(tenant).await;
        Seat(Arc::new(Taken {
            turn: Mutex::new(Some(turn)),
            turns: self.turns.clone(),
            tenant: tenant.to_owned(),
            _place: place,
        }))
    }
}

impl Seat {
    /// What something comes to that this waits for. Where it takes longer than a moment the turn is others' meanwhile, and is waited
    /// for again; whoever drops the future before has a seat without one.
    pub async fn lending<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        if let Ok(done) = tokio::time::timeout(MOMENT, &mut work).await {
            return done;
        }
        let lent = self.0.turn.lock().take();
        drop(lent);
        let done = work.await;
        if self.is_without() {
            let turn = self.0.turns.turn(&self.0.tenant).await;
            *self.0.turn.lock() = Some(turn);
        }
        done
    }

    fn is_without(&self) -> bool {
        self.0.turn.lock().is_none()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    /// As many seats, one a tenant, and a single turn.
    fn seats(places: usize) -> Seats {
        Seats::new(Fair::with_share(places, 1), Fair::with_share(1, 1))
    }

    async fn a_moment_later() {
        tokio::time::advance(MOMENT + Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_turn_is_others_while_a_seat_waits_and_is_waited_for_again() {
        let seats = seats(2);
        let first = seats.seat("first").await;
        let (answer, answered) = oneshot::channel();
        let mut waiting = Box::pin(first.lending(answered));
        assert!((&mut waiting).now_or_never().is_none());
        let mut other = Box::pin(seats.seat("other"));
        assert!((&mut other).now_or_never().is_none(), "it may come at once");
        a_moment_later().await;
        assert!((&mut waiting).now_or_never().is_none());
        let other = other.now_or_never().expect("the turn is lent");
        answer.send("here").unwrap();
        assert!(
            (&mut waiting).now_or_never().is_none(),
            "what has come waits for the turn"
        );
        drop(other);
        assert_eq!(waiting.now_or_never(), Some(Ok("here")));
        assert!(
            seats.seat("other").now_or_never().is_none(),
            "it has a turn again"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_at_once_costs_no_turn() {
        let seats = seats(2);
        let first = seats.seat("first").await;
        let mut other = Box::pin(seats.seat("other"));
        assert!((&mut other).now_or_never().is_none());
        assert_eq!(first.lending(async { 1 }).await, 1);
        assert!((&mut other).now_or_never().is_none());
        drop(first);
        assert!(other.now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_lends_its_turn_keeps_its_seat_and_so_does_a_clone() {
        let seats = seats(2);
        let first = seats.seat("first").await;
        let threads = first.clone();
        {
            let mut waiting = Box::pin(first.lending(std::future::pending::<()>()));
            assert!((&mut waiting).now_or_never().is_none());
            a_moment_later().await;
            assert!((&mut waiting).now_or_never().is_none());
        }
        // Nobody waits for it any more, and its thread goes on.
        drop(first);
        let mut again = Box::pin(seats.seat("first"));
        assert!((&mut again).now_or_never().is_none(), "it has its share");
        let other = seats.seat("other").now_or_never();
        let other = other.expect("the turn is nobody's");
        drop(other);
        drop(threads);
        assert!(again.now_or_never().is_some());
    }
}
