//! A small map whose entries are forgotten after a while, so that what was looked up once is not looked up every time.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A bounded map of entries that live for a fixed time.
#[derive(Debug)]
pub(crate) struct TtlMap<K, V> {
    entries: Mutex<HashMap<K, (Instant, V)>>,
    ttl: Duration,
    capacity: usize,
}

impl<K: Eq + Hash + Clone, V: Clone> TtlMap<K, V> {
    /// An empty map that keeps entries for `ttl` and never more than `capacity` of them.
    pub(crate) fn new(ttl: Duration, capacity: usize) -> Self {
        Self {
            entries: Mutex::new(HashMap::new()),
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

    /// Forgets an entry.
    pub(crate) fn remove<Q>(&self, key: &Q)
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.entries.lock().remove(key);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.entries.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_changed_in_one_step_or_left_alone() {
        let map = TtlMap::new(Duration::from_secs(2), 2);
        let up_to_two = |n: Option<u32>| Some(n.unwrap_or(0) + 1).filter(|n| *n <= 2);
        assert_eq!(map.update("a", up_to_two), Some(1));
        assert_eq!(map.update("a", up_to_two), Some(2));
        assert_eq!(map.update("a", up_to_two), None);
        assert_eq!(map.get("a"), Some(2));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(map.update("a", up_to_two), Some(1));
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
}
