//! The tree of an application as it travels from the controller to the api: what makes it of the one before.

use domain::delta::{Delta, Misfit};

use crate::naru::internal::v1::{NodesUpdate, PlacedNode, TreeUpdate};
use crate::v1alpha1::{ApplicationTree, ResourceNode};

/// What makes `new` of `old`.
#[must_use]
pub fn between(old: &ApplicationTree, new: &ApplicationTree) -> TreeUpdate {
    let rest = rest_of(new);
    TreeUpdate {
        nodes: nodes_between(&old.nodes, &new.nodes),
        orphaned_nodes: nodes_between(&old.orphaned_nodes, &new.orphaned_nodes),
        rest: (rest != rest_of(old)).then_some(rest),
    }
}

/// Makes the new tree of the old one.
///
/// # Errors
/// When the tree is not the one that the update is of.
pub fn apply(tree: ApplicationTree, update: TreeUpdate) -> Result<ApplicationTree, Misfit> {
    let TreeUpdate {
        nodes,
        orphaned_nodes,
        rest,
    } = update;
    let rest = rest.unwrap_or_else(|| rest_of(&tree));
    Ok(ApplicationTree {
        nodes: applied(tree.nodes, nodes)?,
        orphaned_nodes: applied(tree.orphaned_nodes, orphaned_nodes)?,
        ..rest
    })
}

/// A tree without its nodes.
fn rest_of(tree: &ApplicationTree) -> ApplicationTree {
    let ApplicationTree {
        nodes: _,
        orphaned_nodes: _,
        hosts,
        shards_count,
    } = tree;
    ApplicationTree {
        nodes: Vec::new(),
        orphaned_nodes: Vec::new(),
        hosts: hosts.clone(),
        shards_count: *shards_count,
    }
}

fn nodes_between(old: &[ResourceNode], new: &[ResourceNode]) -> Option<NodesUpdate> {
    let delta = Delta::between(old, new, key);
    if delta.is_empty() {
        return None;
    }
    let Delta {
        length,
        removed,
        set,
    } = delta;
    let placed = |(at, node)| PlacedNode {
        place: number(at),
        node: Some(node),
    };
    Some(NodesUpdate {
        length: number(length),
        removed: removed.into_iter().map(number).collect(),
        set: set.into_iter().map(placed).collect(),
    })
}

fn applied(
    before: Vec<ResourceNode>,
    update: Option<NodesUpdate>,
) -> Result<Vec<ResourceNode>, Misfit> {
    let Some(NodesUpdate {
        length,
        removed,
        set,
    }) = update
    else {
        return Ok(before);
    };
    let placed = |PlacedNode { place, node }: PlacedNode| {
        let node = node.ok_or(Misfit);
        node.map(|node| (place as usize, node))
    };
    let delta = Delta {
        length: length as usize,
        removed: removed.into_iter().map(|at| at as usize).collect(),
        set: set.into_iter().map(placed).collect::<Result<_, Misfit>>()?,
    };
    delta.apply(before)
}

/// Which object a node is.
fn key(node: &ResourceNode) -> Option<[&str; 4]> {
    let object = node.resource_ref.as_ref()?;
    Some([
        object.group(),
        object.kind(),
        object.namespace(),
        object.name(),
    ])
}

/// No message holds as many nodes as a number can say.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use crate::v1alpha1::{HostInfo, ResourceRef};

    use super::*;

    fn node(name: &str, version: &str) -> ResourceNode {
        ResourceNode {
            resource_ref: Some(ResourceRef {
                kind: Some("Pod".into()),
                name: Some(name.into()),
                ..ResourceRef::default()
            }),
            resource_version: Some(version.into()),
            ..ResourceNode::default()
        }
    }

    fn tree(nodes: &[(&str, &str)], orphans: &[(&str, &str)], hosts: &[&str]) -> ApplicationTree {
        let made = |all: &[(&str, &str)]| all.iter().map(|(n, v)| node(n, v)).collect();
        let host = |name: &&str| HostInfo {
            name: Some((*name).into()),
            ..HostInfo::default()
        };
        ApplicationTree {
            nodes: made(nodes),
            orphaned_nodes: made(orphans),
            hosts: hosts.iter().map(host).collect(),
            shards_count: (!hosts.is_empty()).then_some(1),
        }
    }

    #[test]
    fn every_tree_is_made_of_the_one_before() {
        let story = [
            tree(&[("a", "1"), ("b", "1"), ("c", "1")], &[], &[]),
            tree(&[("a", "1"), ("b", "2"), ("c", "1")], &[("x", "1")], &[]),
            tree(&[("a", "1"), ("c", "1")], &[("x", "1")], &["node"]),
            tree(&[("c", "1"), ("a", "1"), ("d", "1")], &[], &["node"]),
            tree(&[], &[("c", "1")], &[]),
            ApplicationTree::default(),
        ];
        let mut before = ApplicationTree::default();
        for next in story {
            let update = between(&before, &next);
            assert_eq!(apply(before, update).as_ref(), Ok(&next));
            before = next;
        }
    }

    #[test]
    fn only_what_has_changed_travels() {
        let old = tree(&[("a", "1"), ("b", "1")], &[("x", "1")], &["node"]);
        let new = tree(&[("a", "1"), ("b", "2")], &[("x", "1")], &["node"]);
        let placed = PlacedNode {
            place: 1,
            node: Some(node("b", "2")),
        };
        let nodes = NodesUpdate {
            length: 2,
            removed: vec![1],
            set: vec![placed],
        };
        let update = TreeUpdate {
            nodes: Some(nodes),
            ..TreeUpdate::default()
        };
        assert_eq!(between(&old, &new), update);
        assert_eq!(between(&old, &old), TreeUpdate::default());
        assert_eq!(apply(ApplicationTree::default(), update), Err(Misfit));
    }
}
