//! What is kept for all, a share of it for each tenant: whoever has more lets go of its own.

use std::cmp::Reverse;
use std::collections::HashMap;

/// How many are kept, and of one tenant.
const ALL: usize = 256;
const OF_TENANT: usize = 16;

/// What is kept by a key, and for whom it was made.
#[derive(Debug)]
pub(super) struct Pool<T> {
    kept: HashMap<[u8; 32], Kept<T>>,
    uses: u64,
}

#[derive(Debug)]
struct Kept<T> {
    /// Nobody's is for all, and stays.
    owner: Option<String>,
    used: u64,
    what: T,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self {
            kept: HashMap::new(),
            uses: 0,
        }
    }
}

impl<T: Clone> Pool<T> {
    pub(super) fn get(&mut self, key: &[u8; 32]) -> Option<T> {
        let kept = self.kept.get_mut(key)?;
        self.uses += 1;
        kept.used = self.uses;
        Some(kept.what.clone())
    }

    /// Keeps it; gives back what goes for it, for who lets it go.
    pub(super) fn put(&mut self, key: [u8; 32], owner: Option<&str>, what: T) -> Option<T> {
        self.uses += 1;
        let kept = Kept {
            owner: owner.map(str::to_owned),
            used: self.uses,
            what,
        };
        if let Some(before) = self.kept.insert(key, kept) {
            return Some(before.what);
        }
        let mut owned: HashMap<&str, usize> = HashMap::new();
        for owner in self.kept.values().filter_map(|kept| kept.owner.as_deref()) {
            *owned.entry(owner).or_default() += 1;
        }
        let own = owner.and_then(|owner| owned.get(owner)).copied();
        let too_many = own.is_some_and(|own| own > OF_TENANT);
        if !too_many && owned.values().sum::<usize>() <= ALL {
            return None;
        }
        // Of whoever has too many, or else most, the one that was used longest ago: never this one.
        let others = self.kept.iter().filter_map(|(other, kept)| {
            let whose = kept.owner.as_deref()?;
            let counts = *other != key && (!too_many || Some(whose) == owner);
            counts.then(|| (Reverse(owned.get(whose).copied()), kept.used, *other))
        });
        let (.., goes) = others.min()?;
        self.kept.remove(&goes).map(|gone| gone.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(owner: usize, number: usize) -> [u8; 32] {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&owner.to_le_bytes());
        key[8..16].copy_from_slice(&number.to_le_bytes());
        key
    }

    #[test]
    fn s02_whoever_has_too_many_lets_go_of_its_own_and_whoever_has_most_makes_room() {
        let mut pool = Pool::default();
        let everybodys = [9; 32];
        pool.put(everybodys, None, "everybody's".to_owned());
        pool.put(key(0, 0), Some("0"), "another's".to_owned());
        let put = |pool: &mut Pool<String>, owner: usize, number: usize| {
            let (name, what) = (owner.to_string(), format!("{owner}/{number}"));
            pool.put(key(owner, number), Some(&name), what)
        };
        for number in 0..OF_TENANT {
            assert_eq!(put(&mut pool, 1, number), None);
        }
        assert!(pool.get(&key(1, 0)).is_some());
        let gone = put(&mut pool, 1, OF_TENANT);
        assert_eq!(gone.as_deref(), Some("1/1"), "used longest ago");
        assert!(pool.get(&key(0, 0)).is_some() && pool.get(&everybodys).is_some());

        // Others have one each, and room is made by whoever has most.
        for owner in 2..=ALL - OF_TENANT {
            assert_eq!(put(&mut pool, owner, 0), None);
        }
        let gone = put(&mut pool, 1_000, 0);
        assert_eq!(gone.as_deref(), Some("1/2"));
        assert!(pool.get(&key(1_000, 0)).is_some() && pool.get(&key(0, 0)).is_some());
        // What is made anew takes the place of what there was.
        assert_eq!(put(&mut pool, 1_000, 0).as_deref(), Some("1000/0"));
        assert_eq!(pool.kept.len(), ALL + 1);
    }
}
