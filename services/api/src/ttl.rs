//! A small map whose entries are forgotten after a while, so that what was looked up once is not looked up every time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A bounded map of entries that live for a fixed time.
#[derive(Debug)]
pub(crate) struct TtlMap<K, V> {
    entries: Mutex<HashMap<K, (Instant, V)>>,
    /// How often something was forgotten on purpose.
    forgotten: AtomicU64,
    ttl: Duration,
    capacity: usize,
}

impl<K: Eq + Hash + Clone, V: Clone> TtlMap<K, V> {
    /// An empty map that keeps entries for `ttl` and never more than `capacity` of them.
    pub(crate) fn new(ttl: Duration, capacity: usize) -> Self {
        Self {
            entries: Mutex::new(HashMap::new()),
            forgotten: AtomicU64::new(0),
            ttl,
            capacity,
        }
    }

    /// The entry, if it is still fresh.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let entries = self.entries.lock();
        let (stored, value) = entries.get(key)?;
        (stored.elapsed() < self.ttl).then(|| value.clone())
    }

    /// Keeps an entry. When full, what has run out is dropped first, then an arbitrary one.
    pub(crate) fn put(&self, key: K, value: V) {
        self.insert(&mut self.entries.lock(), key, value);
    }

    /// Where one is before a look-up; see [`TtlMap::put_since`].
    pub(crate) fn mark(&self) -> u64 {
        self.forgotten.load(Ordering::Acquire)
    }

    /// Keeps what was looked up after `mark`, unless something was forgotten meanwhile: it may be of before the change.
    pub(crate) fn put_since(&self, mark: u64, key: K, value: V) {
        let mut entries = self.entries.lock();
        if self.mark() == mark {
            self.insert(&mut entries, key, value);
        }
    }

    /// Forgets the entries of which this is true.
    pub(crate) fn forget(&self, gone: impl Fn(&K, &V) -> bool) {
        let mut entries = self.entries.lock();
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        entries.retain(|key, (_, value)| !gone(key, value));
    }

    fn insert(&self, entries: &mut HashMap<K, (Instant, V)>, key: K, value: V) {
        if entries.len() >= self.capacity && !entries.contains_key(&key) {
            let ttl = self.ttl;
            entries.retain(|_, (stored, _)| stored.elapsed() < ttl);
            if entries.len() >= self.capacity
                && let Some(victim) = entries.keys().next().cloned()
            {
                entries.remove(&victim);
            }
        }
        entries.insert(key, (Instant::now(), value));
    }

    /// Changes an entry in one step: `change` gets what is there, if it is still fresh, and gives what to keep; `None`
    /// leaves everything as it is. Tells what is kept.
    pub(crate) fn update(&self, key: K, change: impl FnOnce(Option<V>) -> Option<V>) -> Option<V> {
        let mut entries = self.entries.lock();
        let fresh = entries
            .get(&key)
            .filter(|(stored, _)| stored.elapsed() < self.ttl)
            .map(|(_, value)| value.clone());
        let value = change(fresh)?;
        self.insert(&mut entries, key, value.clone());
        Some(value)
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.forget(|_, _| true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_looked_up_before_a_change_is_not_kept_after_it() {
        let map = TtlMap::new(Duration::from_secs(2), 10);
        let before = map.mark();
        map.put("kept", 1);
        map.forget(|key, _| *key == "gone");
        map.put_since(before, "old", 1);
        assert_eq!((map.get("old"), map.get("kept")), (None, Some(1)));
        map.put_since(map.mark(), "new", 1);
        assert_eq!(map.get("new"), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn entries_run_out_and_the_map_stays_bounded() {
        let map = TtlMap::new(Duration::from_secs(2), 2);
        map.put("a", 1);
        assert_eq!(map.get("a"), Some(1));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(map.get("a"), None);
        for key in ["b", "c", "d"] {
            map.put(key, 0);
        }
        assert!(map.entries.lock().len() <= 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_in_one_step_may_refuse() {
        let map = TtlMap::new(Duration::from_secs(1), 4);
        let up_to_two = |n: Option<u32>| Some(n.unwrap_or(0) + 1).filter(|n| *n <= 2);
        assert_eq!(map.update("a", up_to_two), Some(1));
        assert_eq!(map.update("a", up_to_two), Some(2));
        assert_eq!(map.update("a", up_to_two), None);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(map.update("a", up_to_two), Some(1));
    }
}
