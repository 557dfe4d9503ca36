//! Turns at working in added clusters: so many of one tenant's, and in all. Whoever finds none is remembered, and is told of when
//! there is one again. Nothing here waits or asks.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crowd::places::{Place, Places};
use domain::tenant::TenantId;
use parking_lot::Mutex;

use crate::driver::queue::AppKey;

/// A turn at working in an added cluster, given back when this is dropped.
pub type Turn = Place<TenantId>;

/// The turns, and who found none.
pub(super) struct Turns {
    places: Places<TenantId>,
    waiting: Mutex<Waiting>,
}

/// The applications that found no turn.
#[derive(Default)]
struct Waiting {
    lines: HashMap<TenantId, Line>,
    /// The tenants of whom some wait, the next one first.
    order: VecDeque<TenantId>,
}

/// Those of a tenant, each once.
#[derive(Default)]
struct Line {
    /// The next one first.
    order: VecDeque<Arc<str>>,
    all: HashSet<Arc<str>>,
}

impl Turns {
    /// So many turns in `all`, `each` of one tenant.
    pub(super) fn new(each: usize, all: usize) -> Self {
        Self {
            places: Places::new(each, all),
            waiting: Mutex::default(),
        }
    }

    /// A turn for an application; it is remembered where there is none.
    pub(super) fn enter(&self, app: &AppKey) -> Option<Turn> {
        // Held until it is remembered: who gives a turn back meanwhile asks for the next one after that.
        let mut waiting = self.waiting.lock();
        let turn = self.places.enter(app.tenant).ok();
        match turn {
            Some(_) => waiting.forget(app),
            None => waiting.add(app),
        }
        turn
    }

    /// An application that found no turn and would find one now, which is remembered no more: tenants take turns, and of each
    /// comes first who came first.
    pub(super) fn next(&self) -> Option<AppKey> {
        let mut waiting = self.waiting.lock();
        let mut tenants = waiting.order.iter();
        let at = tenants.position(|tenant| self.places.has_room(tenant))?;
        waiting.take(at)
    }
}

impl Waiting {
    fn add(&mut self, app: &AppKey) {
        let line = self.lines.entry(app.tenant).or_default();
        if line.all.is_empty() {
            self.order.push_back(app.tenant);
        }
        if line.all.insert(app.name.clone()) {
            line.order.push_back(app.name.clone());
        }
    }

    fn forget(&mut self, app: &AppKey) {
        let Some(line) = self.lines.get_mut(&app.tenant) else {
            return;
        };
        if !line.all.remove(&app.name) {
            return;
        }
        line.order.retain(|name| *name != app.name);
        if line.all.is_empty() {
            self.lines.remove(&app.tenant);
            self.order.retain(|tenant| *tenant != app.tenant);
        }
    }

    /// The first one of the tenant at that place, who is last from then on.
    fn take(&mut self, at: usize) -> Option<AppKey> {
        let tenant = self.order.remove(at)?;
        let line = self.lines.get_mut(&tenant)?;
        let name = line.order.pop_front()?;
        line.all.remove(&name);
        match line.all.is_empty() {
            true => drop(self.lines.remove(&tenant)),
            false => self.order.push_back(tenant),
        }
        Some(AppKey { tenant, name })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn app(tenant: u128, name: &str) -> AppKey {
        AppKey::new(TenantId(Uuid::from_u128(tenant)), name)
    }

    #[test]
    fn who_found_no_turn_is_told_of_as_soon_as_there_is_one() {
        let turns = Turns::new(1, 8);
        let first = turns.enter(&app(1, "a")).unwrap();
        for name in ["b", "c", "b"] {
            assert!(turns.enter(&app(1, name)).is_none());
        }
        assert_eq!(turns.next(), None, "there is none yet");
        drop(first);
        assert_eq!(turns.next(), Some(app(1, "b")));
        let second = turns.enter(&app(1, "b")).unwrap();
        assert_eq!(turns.next(), None);
        drop(second);
        assert_eq!(turns.next(), Some(app(1, "c")), "each once");
        assert_eq!(turns.next(), None);
        let waiting = turns.waiting.lock();
        assert!(waiting.lines.is_empty() && waiting.order.is_empty());
    }

    #[test]
    fn who_finds_a_turn_by_itself_waits_no_more() {
        let turns = Turns::new(1, 8);
        let first = turns.enter(&app(1, "a")).unwrap();
        assert!(turns.enter(&app(1, "b")).is_none());
        assert!(turns.enter(&app(1, "c")).is_none());
        drop(first);
        drop(turns.enter(&app(1, "b")).unwrap());
        assert_eq!(turns.next(), Some(app(1, "c")));
        assert_eq!(turns.next(), None);
    }

    #[test]
    fn tenants_take_turns_and_one_that_has_its_share_is_passed_over() {
        let turns = Turns::new(2, 3);
        let held = [1, 1, 2].map(|tenant| turns.enter(&app(tenant, "held")).unwrap());
        for (tenant, name) in [(1, "a"), (1, "b"), (2, "c"), (3, "d")] {
            assert!(turns.enter(&app(tenant, name)).is_none(), "{name}");
        }
        assert_eq!(turns.next(), None);
        let [first, second, other] = held;
        drop(other);
        assert_eq!(turns.next(), Some(app(2, "c")), "the first has its share");
        drop((first, second));
        let names: Vec<String> = std::iter::from_fn(|| turns.next())
            .map(|app| app.name.to_string())
            .collect();
        assert_eq!(names, ["a", "d", "b"]);
    }
}
