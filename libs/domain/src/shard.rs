//! Which controller has which cluster: the units of work, and how they are divided.
//!
//! Whoever holds the lease of a unit works on it. Everybody works the division out of the same rows, and acts on its own
//! part of it alone: it takes what is free and its own, and gives up what another is to have.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::cluster::Cluster;
use crate::tenant::TenantId;

/// A cluster with all that is done there, as one controller has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// The cluster that the installation runs on, and what is done for every tenant there.
    Shared,
    /// A cluster that a tenant has added.
    Added {
        /// Whose.
        tenant: TenantId,
        /// Its address.
        server: String,
    },
}

impl Unit {
    /// Where a tenant's application is that goes to this cluster of its own, or to none of them.
    #[must_use]
    pub fn of(tenant: TenantId, added: Option<&Cluster>) -> Self {
        match added {
            None => Self::Shared,
            Some(cluster) => Self::Added {
                tenant,
                server: cluster.server.clone(),
            },
        }
    }

    /// The work item of its lease: the cluster, and the slice of it, of which there is one for now.
    #[must_use]
    pub fn item(&self) -> String {
        match self {
            Self::Shared => "cluster/shared/0".to_owned(),
            Self::Added { tenant, server } => format!("cluster/{tenant}/{server}/0"),
        }
    }
}

/// Who is to have each of the units, in their order; nobody where there is no controller.
///
/// A share is as many units as each has when all have as many as can be. Whoever holds a unit keeps it as long as it has no
/// more than a share: nothing moves but what is too much for its holder, so that a controller that comes has moved to it no
/// more than what it is to have. What is free goes to the first controller with room left, in an order that is the unit's own
/// (rendezvous hashing): what a controller leaves behind is spread over all that remain. The shared cluster moves last.
#[must_use]
pub fn divide<'a>(
    units: &[(Unit, Option<String>)],
    controllers: &'a [String],
) -> Vec<Option<&'a str>> {
    if controllers.is_empty() {
        return vec![None; units.len()];
    }
    let share = units.len().div_ceil(controllers.len());
    let mut owners: Vec<Option<&'a str>> = vec![None; units.len()];
    let mut room: HashMap<&'a str, usize> = HashMap::new();
    for controller in controllers {
        let mut held: Vec<usize> = (0..units.len())
            .filter(|at| units[*at].1.as_ref() == Some(controller))
            .collect();
        held.sort_by_cached_key(|at| {
            let unit = &units[*at].0;
            (*unit != Unit::Shared, Reverse(score(controller, unit)))
        });
        held.truncate(share);
        room.insert(controller, share - held.len());
        for at in held {
            owners[at] = Some(controller);
        }
    }
    let mut free: Vec<usize> = (0..units.len())
        .filter(|at| owners[*at].is_none())
        .collect();
    free.sort_by_key(|at| &units[*at].0);
    for at in free {
        let unit = &units[at].0;
        let with_room = controllers
            .iter()
            .filter(|controller| room.get(controller.as_str()).is_some_and(|left| *left > 0));
        let first =
            with_room.max_by_key(|controller| (score(controller, unit), Reverse(*controller)));
        if let Some(first) = first
            && let Some(left) = room.get_mut(first.as_str())
        {
            *left -= 1;
            owners[at] = Some(first);
        }
    }
    owners
}

fn score(controller: &str, unit: &Unit) -> u64 {
    // SipHash with its fixed keys: the same in every process of one build. Where two do not agree, the lease decides.
    let mut hasher = DefaultHasher::new();
    (controller, unit.item()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    type Held = (Unit, Option<String>);

    fn units(number: usize) -> Vec<Held> {
        let added = |n: usize| Unit::Added {
            tenant: TenantId(Uuid::from_u128(n as u128)),
            server: "https://k8s.example".to_owned(),
        };
        std::iter::once(Unit::Shared)
            .chain((1..number).map(added))
            .map(|unit| (unit, None))
            .collect()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// All do as the division says; how many units changed hands.
    fn settle(units: &mut [Held], controllers: &[String]) -> usize {
        let owners: Vec<Option<String>> = divide(units, controllers)
            .into_iter()
            .map(|owner| owner.map(str::to_owned))
            .collect();
        let mut moved = 0;
        for ((_, holder), owner) in units.iter_mut().zip(owners) {
            moved += usize::from(holder.is_some() && *holder != owner);
            *holder = owner;
        }
        moved
    }

    fn count(units: &[Held], controller: &str) -> usize {
        let held = units
            .iter()
            .filter(|(_, holder)| holder.as_deref() == Some(controller));
        held.count()
    }

    #[test]
    fn one_has_all_and_without_any_nobody_has() {
        let mut all = units(5);
        assert_eq!(divide(&all, &[]), vec![None; 5]);
        settle(&mut all, &names(&["a"]));
        assert_eq!(count(&all, "a"), 5);
    }

    #[test]
    fn whoever_comes_gets_its_share_and_nothing_else_moves() {
        let mut all = units(12);
        settle(&mut all, &names(&["a"]));
        let two = names(&["a", "b"]);
        assert_eq!(settle(&mut all, &two), 6);
        assert_eq!((count(&all, "a"), count(&all, "b")), (6, 6));
        assert_eq!(all[0].1.as_deref(), Some("a"), "the shared cluster stays");
        assert_eq!(settle(&mut all, &two), 0, "and then nothing moves");
        let three = names(&["a", "b", "c"]);
        assert_eq!(settle(&mut all, &three), 4);
        for name in &three {
            assert_eq!(count(&all, name), 4);
        }
        assert_eq!(settle(&mut all, &three), 0);
    }

    #[test]
    fn what_one_leaves_behind_is_spread_and_the_others_keep_theirs() {
        let mut all = units(12);
        let three = names(&["a", "b", "c"]);
        settle(&mut all, &three);
        let before = all.clone();
        let two = names(&["a", "c"]);
        settle(&mut all, &two);
        assert_eq!((count(&all, "a"), count(&all, "c")), (6, 6));
        for ((unit, was), (_, is)) in before.iter().zip(&all) {
            assert!(was == is || was.as_deref() == Some("b"), "{unit:?}");
        }
    }

    #[test]
    fn one_cluster_stays_where_it_is_however_many_come() {
        let mut all = units(1);
        settle(&mut all, &names(&["b"]));
        assert_eq!(settle(&mut all, &names(&["a", "b", "c"])), 0);
        assert_eq!(count(&all, "b"), 1);
    }

    #[test]
    fn a_cluster_that_comes_or_goes_moves_no_more_than_what_is_too_much() {
        let two = names(&["a", "b"]);
        let mut all = units(8);
        settle(&mut all, &two);
        all.extend(units(12).split_off(8));
        assert_eq!(settle(&mut all, &two), 0, "what is new was nobody's");
        let of_a = |one: &Held| one.1.as_deref() == Some("a");
        let gone: Vec<Unit> = all
            .iter()
            .filter(|one| of_a(one) && one.0 != Unit::Shared)
            .take(4)
            .map(|(unit, _)| unit.clone())
            .collect();
        all.retain(|(unit, _)| !gone.contains(unit));
        assert_eq!(settle(&mut all, &two), 2);
        assert_eq!((count(&all, "a"), count(&all, "b")), (4, 4));
    }

    #[test]
    fn everybody_comes_to_the_same_whatever_the_order_of_the_rows() {
        let controllers = names(&["a", "b", "c"]);
        let mut all = units(10);
        settle(&mut all, &names(&["a"]));
        let reversed: Vec<String> = controllers.iter().rev().cloned().collect();
        let backwards: Vec<Held> = all.iter().rev().cloned().collect();
        let owners = divide(&all, &controllers);
        let again: Vec<Option<&str>> = divide(&backwards, &reversed).into_iter().rev().collect();
        assert_eq!(owners, again);
    }

    #[test]
    fn what_is_held_by_somebody_who_is_gone_is_to_be_anothers() {
        let mut all = units(4);
        settle(&mut all, &names(&["gone"]));
        let live = names(&["a", "b"]);
        assert!(divide(&all, &live).iter().all(Option::is_some));
    }

    #[test]
    fn items_name_tenant_and_address() {
        let tenant = TenantId(Uuid::from_u128(1));
        let cluster = Cluster {
            server: "https://k8s.example:6443".to_owned(),
            ..Cluster::default()
        };
        assert_eq!(Unit::of(tenant, None).item(), "cluster/shared/0");
        assert_eq!(
            Unit::of(tenant, Some(&cluster)).item(),
            "cluster/00000000-0000-0000-0000-000000000001/https://k8s.example:6443/0"
        );
    }
}
