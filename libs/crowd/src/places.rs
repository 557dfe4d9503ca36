//! How many may be at something at once: so many of each kind, and so many in all. A bound that nobody can push others
//! over, and that takes no more memory than there are at it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;

/// The places, and who has them. Cheap to clone.
#[derive(Debug)]
pub struct Places<K> {
    each: usize,
    all: usize,
    taken: Arc<Mutex<Taken<K>>>,
}

impl<K> Clone for Places<K> {
    fn clone(&self) -> Self {
        Self {
            each: self.each,
            all: self.all,
            taken: Arc::clone(&self.taken),
        }
    }
}

#[derive(Debug)]
struct Taken<K> {
    all: usize,
    each: HashMap<K, usize>,
}

/// No place is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// For this kind, which has so many.
    Each(usize),
    /// For anybody: there are so many.
    All(usize),
}

impl Full {
    /// How many places there are, all of which are taken.
    #[must_use]
    pub fn most(self) -> usize {
        match self {
            Self::Each(most) | Self::All(most) => most,
        }
    }
}

/// One place, given back when this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Place<K: Eq + Hash> {
    taken: Arc<Mutex<Taken<K>>>,
    kind: K,
}

impl<K: Eq + Hash + Clone> Places<K> {
    /// So many `all` together, `each` of one kind.
    #[must_use]
    pub fn new(each: usize, all: usize) -> Self {
        Self {
            each,
            all,
            taken: Arc::new(Mutex::new(Taken {
                all: 0,
                each: HashMap::new(),
            })),
        }
    }

    /// A place for one of this kind; nobody waits for one.
    ///
    /// # Errors
    /// When none is left.
    pub fn enter(&self, kind: K) -> Result<Place<K>, Full> {
        let mut taken = self.taken.lock();
        if taken.all >= self.all {
            return Err(Full::All(self.all));
        }
        let held = taken.each.get(&kind).copied().unwrap_or_default();
        if held >= self.each {
            return Err(Full::Each(self.each));
        }
        taken.each.insert(kind.clone(), held + 1);
        taken.all += 1;
        Ok(Place {
            taken: Arc::clone(&self.taken),
            kind,
        })
    }

    /// Whether one of this kind would find a place now.
    #[must_use]
    pub fn has_room(&self, kind: &K) -> bool {
        let taken = self.taken.lock();
        let held = taken.each.get(kind).copied().unwrap_or_default();
        taken.all < self.all && held < self.each
    }

    /// How many kinds there are whose places are counted now.
    #[must_use]
    pub fn kinds(&self) -> usize {
        self.taken.lock().each.len()
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.all = taken.all.saturating_sub(1);
        if let Some(held) = taken.each.get_mut(&self.kind) {
            *held -= 1;
            if *held == 0 {
                taken.each.remove(&self.kind);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_share_all_are_bounded_and_places_come_back() {
        let places = Places::new(2, 3);
        let held = [places.enter("a").unwrap(), places.enter("a").unwrap()];
        assert_eq!(places.enter("a").unwrap_err(), Full::Each(2));
        assert!(!places.has_room(&"a") && places.has_room(&"b"));
        let other = places.enter("b").unwrap();
        assert_eq!(places.enter("c").unwrap_err(), Full::All(3));
        assert!(!places.has_room(&"c"));
        drop(held);
        assert!(places.has_room(&"a") && places.has_room(&"c"));
        let again = places.enter("c").unwrap();
        assert_eq!(places.kinds(), 2);
        drop((other, again));
        assert_eq!(places.kinds(), 0, "nothing is left behind");
    }
}
