//! The resource tree, now and whenever it changes.

use std::sync::Arc;
use std::time::Duration;

use cluster::{LiveEntry, Wake};
use engine::tree::{self, Entry, Network, Node};
use futures::Stream;
use proto::convert::time;
use proto::k8s::core::v1::LoadBalancerIngress;
use proto::v1alpha1 as wire;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::scene::{self, Scene};
use crate::context::Context;
use crate::driver::queue::AppKey;
use crate::reconcile::look;
use crate::shard::Shard;

/// Changes that come together are shown together.
const GATHER: Duration = Duration::from_millis(100);

/// The tree now.
pub(super) async fn tree(ctx: &Context, app: &AppKey) -> Result<wire::ApplicationTree, Status> {
    let scene = scene::scene(ctx, app).await?;
    Ok(wire::ApplicationTree {
        nodes: nodes(ctx, &scene).iter().map(to_wire).collect(),
        orphaned_nodes: orphaned(&scene).iter().map(to_wire).collect(),
        ..wire::ApplicationTree::default()
    })
}

/// The nodes of what no application has, as far as the project asks.
fn orphaned(scene: &Scene) -> Vec<Node> {
    let Some((_, look)) = &scene.seen else {
        return Vec::new();
    };
    let orphans = &look.orphans;
    let (top, below) = (entries(&orphans.entries), entries(&orphans.beneath));
    tree::build(&orphans.statuses(), &top, &below, &look.checks)
}

fn entries(all: &[Arc<LiveEntry>]) -> Vec<Entry<'_>> {
    all.iter().map(|entry| look::tree_entry(entry)).collect()
}

/// The tree now, and again whenever it has changed, for as long as the application stays in the cluster that it is in.
pub(super) fn watch(
    shared: Arc<Context>,
    ctx: Arc<Context>,
    app: AppKey,
    shard: Shard,
    stop: CancellationToken,
) -> impl Stream<Item = Result<wire::ApplicationTree, Status>> + Send {
    async_stream::stream! {
        let mut wakes = ctx.cluster.index().subscribe();
        // What the tenant's settings say of kinds shows in the tree, too.
        let mut tenants = ctx.tenants.refreshed();
        let mut moves = ctx.clusters.moves();
        let mut shown: Option<wire::ApplicationTree> = None;
        loop {
            match scene::goes_to(&shared, &app).await {
                Ok(place) if Arc::ptr_eq(&place, &ctx) => {}
                Ok(_) => {
                    yield Err(Status::unavailable("the application is in another cluster now"));
                    return;
                }
                Err(status) => {
                    yield Err(status);
                    return;
                }
            }
            match tree(&ctx, &app).await {
                Ok(tree) if shown.as_ref() == Some(&tree) => {}
                Ok(tree) => {
                    shown = Some(tree.clone());
                    yield Ok(tree);
                }
                Err(status) => {
                    yield Err(status);
                    return;
                }
            }
            loop {
                let wake = tokio::select! {
                    wake = wakes.next() => wake,
                    refreshed = tenants.recv() => match refreshed {
                        Ok(tenant) if tenant != app.tenant => continue,
                        Ok(_) | Err(_) => break,
                    },
                    moved = moves.recv() => match moved {
                        Ok(moved) if moved != app => continue,
                        Ok(_) | Err(_) => break,
                    },
                    () = stop.cancelled() => return,
                    () = ctx.closed.cancelled() => {
                        yield Err(Status::unavailable("the cluster is not followed in this way any more"));
                        return;
                    }
                };
                let concerned = match &wake {
                    Wake::App { installation, app: named } => {
                        *named == app.name && ctx.tenants.id_of(installation) == Some(app.tenant)
                    }
                    Wake::Untracked(key) => {
                        ctx.memory.who_wants(key).contains(&app)
                            || ctx.memory.who_watches(&key.namespace).contains(&app)
                    }
                    Wake::Namespace(_) | Wake::Kinds => false,
                    Wake::Resync => true,
                };
                if concerned {
                    break;
                }
            }
            tokio::time::sleep(GATHER).await;
            if shard.term().is_none() {
                yield Err(Status::unavailable("this controller does not hold the cluster's lease any more"));
                return;
            }
        }
    }
}

/// The nodes of a scene.
pub(super) fn nodes(ctx: &Context, scene: &Scene) -> Vec<Node> {
    let Some((subject, look)) = &scene.seen else {
        return Vec::new();
    };
    let below = look::beneath(ctx, subject.sight(), look.live.entries());
    let (live, under) = (entries(look.live.entries()), entries(&below));
    tree::build(&look.comparison.statuses(), &live, &under, &look.checks)
}

fn to_wire(node: &Node) -> wire::ResourceNode {
    let Node {
        key,
        version,
        uid,
        resource_version,
        parents,
        info,
        images,
        health,
        created_at,
        network,
    } = node;
    wire::ResourceNode {
        resource_ref: Some(reference(key, version, uid)),
        parent_refs: parents
            .iter()
            .map(|parent| reference(&parent.key, &parent.version, &parent.uid))
            .collect(),
        info: info
            .iter()
            .map(|(name, value)| wire::InfoItem {
                name: Some(name.clone()),
                value: Some(value.clone()),
            })
            .collect(),
        networking_info: network.as_ref().map(networking),
        resource_version: Some(resource_version.clone()),
        images: images.clone(),
        health: health.as_ref().map(|(code, message)| wire::HealthStatus {
            status: Some(code.as_str().to_owned()),
            message: Some(message.clone()),
            last_transition_time: None,
        }),
        created_at: created_at.map(time::to_wire),
    }
}

fn reference(key: &domain::resource::ResourceKey, version: &str, uid: &str) -> wire::ResourceRef {
    wire::ResourceRef {
        group: Some(key.group.clone()),
        version: Some(version.to_owned()),
        kind: Some(key.kind.clone()),
        namespace: Some(key.namespace.clone()),
        name: Some(key.name.clone()),
        uid: Some(uid.to_owned()),
    }
}

fn networking(network: &Network) -> wire::ResourceNetworkingInfo {
    let Network {
        target_labels,
        target_refs,
        labels,
        ingress,
        external_urls,
    } = network;
    let address = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    wire::ResourceNetworkingInfo {
        target_labels: target_labels.clone(),
        target_refs: target_refs
            .iter()
            .map(|key| reference(key, "", ""))
            .collect(),
        labels: labels.clone(),
        ingress: ingress
            .iter()
            .map(|given| LoadBalancerIngress {
                ip: address(&given.ip),
                hostname: address(&given.hostname),
                ..LoadBalancerIngress::default()
            })
            .collect(),
        external_ur_ls: external_urls.clone(),
    }
}
