//! Renders remembered in this process, by how much they take.

use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;

/// The last values used, as many as fit.
#[derive(Debug)]
pub(crate) struct Memory<T>(Mutex<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    entries: LruCache<String, (Arc<T>, usize)>,
    taken: usize,
    limit: usize,
}

impl<T> Memory<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self(Mutex::new(Inner {
            entries: LruCache::unbounded(),
            taken: 0,
            limit,
        }))
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        let mut inner = self.0.lock();
        inner.entries.clear();
        inner.taken = 0;
    }

    pub(crate) fn get(&self, key: &str) -> Option<Arc<T>> {
        self.0
            .lock()
            .entries
            .get(key)
            .map(|(value, _)| value.clone())
    }

    /// Keeps a value of a size, and says whether it did: one larger than a quarter of everything is not kept.
    pub(crate) fn put(&self, key: String, value: Arc<T>, size: usize) -> bool {
        let mut inner = self.0.lock();
        if let Some((_, old)) = inner.entries.pop(&key) {
            inner.taken -= old;
        }
        if size > inner.limit / 4 {
            return false;
        }
        inner.taken += size;
        inner.entries.put(key, (value, size));
        while inner.taken > inner.limit {
            let Some((_, (_, old))) = inner.entries.pop_lru() else {
                break;
            };
            inner.taken -= old;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_used_go_first_and_the_huge_never_come() {
        let memory = Memory::new(100);
        for key in ["a", "b", "c", "d"] {
            assert!(memory.put(key.to_owned(), Arc::new(key), 25));
        }
        assert!(memory.get("a").is_some());
        memory.put("e".to_owned(), Arc::new("e"), 25);
        assert!(memory.get("b").is_none() && memory.get("a").is_some());
        assert!(!memory.put("huge".to_owned(), Arc::new("huge"), 26));
        assert!(memory.get("huge").is_none() && memory.get("e").is_some());
    }
}
