//! A list of things that have keys: one is found, replaced or taken out without looking through it.

use std::collections::HashMap;

use domain::resource::ResourceKey;

/// The things in no particular order.
#[derive(Clone, Debug)]
pub(super) struct Keyed<T> {
    list: Vec<T>,
    /// The keys, in the order of the list.
    keys: Vec<ResourceKey>,
    places: HashMap<ResourceKey, usize>,
}

impl<T> Default for Keyed<T> {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            keys: Vec::new(),
            places: HashMap::new(),
        }
    }
}

impl<T> Keyed<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        &self.list
    }

    pub(super) fn find(&self, key: &ResourceKey) -> Option<&T> {
        self.list.get(*self.places.get(key)?)
    }

    pub(super) fn put(&mut self, key: ResourceKey, thing: T) {
        let place = self.places.get(&key).copied();
        match place.and_then(|place| self.list.get_mut(place)) {
            Some(known) => *known = thing,
            None => {
                self.places.insert(key.clone(), self.list.len());
                self.keys.push(key);
                self.list.push(thing);
            }
        }
    }

    /// The last takes its place.
    pub(super) fn remove(&mut self, key: &ResourceKey) {
        let Some(place) = self.places.remove(key) else {
            return;
        };
        self.list.swap_remove(place);
        self.keys.swap_remove(place);
        if let Some(moved) = self.keys.get(place) {
            self.places.insert(moved.clone(), place);
        }
    }
}

impl<T> FromIterator<(ResourceKey, T)> for Keyed<T> {
    fn from_iter<I: IntoIterator<Item = (ResourceKey, T)>>(things: I) -> Self {
        let mut keyed = Self::default();
        for (key, thing) in things {
            keyed.put(key, thing);
        }
        keyed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ResourceKey {
        ResourceKey {
            name: name.to_owned(),
            ..ResourceKey::default()
        }
    }

    #[test]
    fn what_moves_when_another_goes_is_found_where_it_is() {
        let things = ["a", "b", "c", "d"].map(|name| (key(name), name.to_owned()));
        let mut keyed: Keyed<String> = things.into_iter().collect();
        keyed.remove(&key("a"));
        keyed.remove(&key("a"));
        keyed.put(key("d"), "new".to_owned());
        keyed.put(key("e"), "e".to_owned());
        keyed.remove(&key("c"));
        let found = |name: &str| keyed.find(&key(name)).map(String::as_str);
        assert_eq!(found("a"), None);
        assert_eq!(found("b"), Some("b"));
        assert_eq!(found("c"), None);
        assert_eq!(found("d"), Some("new"));
        assert_eq!(found("e"), Some("e"));
        let mut all: Vec<&str> = keyed.as_slice().iter().map(String::as_str).collect();
        all.sort_unstable();
        assert_eq!(all, ["b", "e", "new"]);
    }
}
