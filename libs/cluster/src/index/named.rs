//! What a listing has named so far: what it does not name by its end is gone.

use std::collections::HashSet;
use std::sync::Arc;

use domain::resource::ResourceKey;

use super::entry::weight_of_key;
use crate::budget::{Budget, Share};

/// The keys that a listing has named, which count in a budget until it is taken in.
pub(super) struct Named {
    keys: HashSet<ResourceKey>,
    bytes: usize,
    share: Share,
}

impl Named {
    /// None yet.
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        Self {
            keys: HashSet::new(),
            bytes: 0,
            share: Share::of_bytes(budget),
        }
    }

    /// Takes one in. `false` where there is no room for it.
    pub(super) fn insert(&mut self, key: ResourceKey) -> bool {
        let weight = weight_of_key(&key);
        if !self.keys.insert(key) {
            return true;
        }
        self.bytes += weight;
        self.share.hold(self.bytes)
    }

    pub(super) fn remove(&mut self, key: &ResourceKey) {
        if self.keys.remove(key) {
            self.bytes -= weight_of_key(key);
            self.share.hold(self.bytes);
        }
    }

    pub(super) fn keys(&self) -> &HashSet<ResourceKey> {
        &self.keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_names_as_many_as_there_is_room_for() {
        let key = |name: &str| ResourceKey {
            kind: "Pod".into(),
            name: name.into(),
            ..ResourceKey::default()
        };
        let mut named = Named::new(&Budget::new(2 * weight_of_key(&key("a")), 0, None));
        assert!(named.insert(key("a")) && named.insert(key("b")));
        assert!(named.insert(key("a")), "it is named already");
        named.remove(&key("b"));
        assert!(named.insert(key("c")) && !named.insert(key("d")));
    }
}
