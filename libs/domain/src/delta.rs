//! What makes one list of another, for lists that change a little at a time.
//!
//! Items are found again by a key; what counts is whether they are equal. The order of both lists is kept.

use std::collections::HashMap;
use std::hash::Hash;

/// What makes one list of another: what leaves it, and what comes in. An item that has changed, or moved, does both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta<T> {
    /// How long the list was before.
    pub length: usize,
    /// The places in the list before whose items leave it, ascending.
    pub removed: Vec<usize>,
    /// What comes in, by its place in the list afterwards, ascending.
    pub set: Vec<(usize, T)>,
}

/// A list is not the one that a [`Delta`] is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what has changed is of another list")]
pub struct Misfit;

impl<T> Delta<T> {
    /// What makes `new` of `old`. Where a key is there more than once, more may be set than has changed.
    #[must_use]
    pub fn between<'a, K>(old: &'a [T], new: &'a [T], key: impl Fn(&'a T) -> K) -> Self
    where
        T: Clone + PartialEq,
        K: Eq + Hash,
    {
        let places: HashMap<K, usize> = old
            .iter()
            .enumerate()
            .map(|(at, item)| (key(item), at))
            .collect();
        let same = new.iter().enumerate().filter_map(|(at, item)| {
            let before = *places.get(&key(item))?;
            (old.get(before) == Some(item)).then_some((before, at))
        });
        let kept = longest(&same.collect::<Vec<_>>());
        let mut stays = kept.iter().map(|(before, _)| *before).peekable();
        let removed = (0..old.len()).filter(|at| stays.next_if_eq(at).is_none());
        let removed = removed.collect();
        let mut stays = kept.iter().map(|(_, after)| *after).peekable();
        let set = new.iter().enumerate();
        let set = set.filter(|(at, _)| stays.next_if_eq(at).is_none());
        Self {
            length: old.len(),
            removed,
            set: set.map(|(at, item)| (at, item.clone())).collect(),
        }
    }

    /// Whether both lists are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.set.is_empty()
    }

    /// Makes the new list of the old one.
    ///
    /// # Errors
    /// When the list is not the one that this is of.
    pub fn apply(self, list: Vec<T>) -> Result<Vec<T>, Misfit> {
        let Self {
            length,
            removed,
            set,
        } = self;
        let left = list.len().checked_sub(removed.len()).ok_or(Misfit)?;
        if list.len() != length {
            return Err(Misfit);
        }
        let whole = left + set.len();
        let mut gone = removed.into_iter().peekable();
        let mut kept = list
            .into_iter()
            .enumerate()
            .filter(|(at, _)| gone.next_if_eq(at).is_none())
            .map(|(_, item)| item);
        let mut made = Vec::with_capacity(whole);
        for (at, item) in set {
            while made.len() < at {
                made.push(kept.next().ok_or(Misfit)?);
            }
            if made.len() > at {
                return Err(Misfit);
            }
            made.push(item);
        }
        made.extend(kept);
        // A place that is none, or out of its turn, took nothing away.
        if made.len() == whole {
            Ok(made)
        } else {
            Err(Misfit)
        }
    }
}

/// The most pairs, in their order, whose first numbers only grow: the items that are in both lists in the same order.
fn longest(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // The pair with the least first number that ends a row of each length, the shortest first.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (at, (first, _)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| pairs[*end].0 < *first);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        if length == ends.len() {
            ends.push(at);
        } else {
            ends[length] = at;
        }
    }
    let mut row = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(at) = next {
        row.push(pairs[at]);
        next = before[at];
    }
    row.reverse();
    row
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// A key and what is said of it.
    type Item = (u32, u32);

    fn between(old: &[Item], new: &[Item]) -> Delta<Item> {
        Delta::between(old, new, |(key, _)| *key)
    }

    #[test]
    fn what_has_changed_is_all_that_is_said() {
        let old = [(1, 0), (2, 0), (3, 0), (4, 0)];
        let delta = between(&old, &[(1, 0), (2, 5), (4, 0), (6, 0)]);
        assert_eq!(delta.removed, [1, 2]);
        assert_eq!(delta.set, [(1, (2, 5)), (3, (6, 0))]);
        assert!(between(&old, &old).is_empty());
        // One that moves is all that moves.
        let delta = between(&old, &[(4, 0), (1, 0), (2, 0), (3, 0)]);
        assert_eq!(delta.removed, [3]);
        assert_eq!(delta.set, [(0, (4, 0))]);
    }

    #[test]
    fn the_first_is_made_of_nothing_and_the_last_is_nothing() {
        let list = [(1, 0), (2, 0)];
        let made = between(&[], &list).apply(Vec::new()).unwrap();
        assert_eq!(made, list);
        let made = between(&list, &[]).apply(made).unwrap();
        assert!(made.is_empty());
    }

    #[test]
    fn any_list_is_made_of_any_other() {
        let mut random = StdRng::seed_from_u64(9);
        for _ in 0..5_000 {
            let mut list = || -> Vec<Item> {
                let length = random.random_range(0..12);
                // Few keys and few values, so that many are the same, in another order, or there twice.
                (0..length)
                    .map(|_| (random.random_range(0..10), random.random_range(0..2)))
                    .collect()
            };
            let (old, new) = (list(), list());
            let made = between(&old, &new).apply(old.clone());
            assert_eq!(made.as_ref(), Ok(&new), "of {old:?}");
        }
    }

    #[test]
    fn what_is_of_another_list_is_refused() {
        let list = vec![(1, 0), (2, 0)];
        let delta = |length, removed: &[usize], set: &[(usize, Item)]| Delta {
            length,
            removed: removed.to_vec(),
            set: set.to_vec(),
        };
        for wrong in [
            delta(3, &[], &[]),
            delta(2, &[2], &[]),
            delta(2, &[1, 0], &[]),
            delta(2, &[0, 0], &[]),
            delta(2, &[0, 1, 2], &[]),
            delta(2, &[], &[(3, (3, 0))]),
            delta(2, &[], &[(usize::MAX, (3, 0))]),
            delta(2, &[], &[(1, (3, 0)), (0, (4, 0))]),
        ] {
            assert_eq!(wrong.clone().apply(list.clone()), Err(Misfit), "{wrong:?}");
        }
    }
}
