//! The resource tree, now and whenever it changes.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Wake, Wakes};
use domain::tenant::TenantId;
use engine::tree::{Network, Node};
use futures::{FutureExt, Stream};
use proto::convert::{time, tree as updates};
use proto::k8s::core::v1::LoadBalancerIngress;
use proto::naru::internal::v1::TreeUpdate;
use proto::v1alpha1 as wire;
use tokio::sync::{Semaphore, broadcast};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::scene::{self, Plot};
use crate::context::Context;
use crate::driver::queue::AppKey;
use crate::reconcile::look::Outline;

/// A watch makes a tree no sooner than this after it began the one before: changes that come together are shown together.
const GATHER: Duration = Duration::from_millis(25);
/// Nor sooner than so many times what that one took: however large a tree is, others get more of the processor.
const REST: u32 = 3;
/// How long a watch stays with not knowing what Git wants. Nobody tells when that is known again and is what it was before.
const UNSURE: Duration = Duration::from_secs(10);
/// A tree of more objects is drawn where that holds up nothing else.
const SMALL: usize = 500;
/// How many of these are drawn at once.
const LARGE_AT_ONCE: usize = 2;

/// The turns of those that draw large trees.
static DRAWING: Semaphore = Semaphore::const_new(LARGE_AT_ONCE);

/// The tree now.
pub(super) async fn tree(ctx: &Context, app: &AppKey) -> Result<wire::ApplicationTree, Status> {
    match scene::outline(ctx, app).await?.seen {
        Some((_, outline)) => drawn(outline, picture).await,
        None => Ok(wire::ApplicationTree::default()),
    }
}

/// The nodes of the tree, but for those of what no application has.
pub(super) async fn nodes(outline: Option<Outline>) -> Result<Vec<Node>, Status> {
    match outline {
        Some(outline) => drawn(outline, Outline::nodes).await,
        None => Ok(Vec::new()),
    }
}

fn picture(outline: &Outline) -> wire::ApplicationTree {
    wire::ApplicationTree {
        nodes: outline.nodes().iter().map(to_wire).collect(),
        orphaned_nodes: outline.orphaned().iter().map(to_wire).collect(),
        ..wire::ApplicationTree::default()
    }
}

/// Draws an outline.
async fn drawn<T: Send + 'static>(
    outline: Outline,
    draw: impl FnOnce(&Outline) -> T + Send + 'static,
) -> Result<T, Status> {
    if outline.size() <= SMALL {
        return Ok(draw(&outline));
    }
    let undrawn = || Status::internal("the tree could not be drawn");
    let turn = DRAWING.acquire().await.map_err(|_| undrawn())?;
    // Whoever asked may go; the turn is taken until it is done.
    let drawing = tokio::task::spawn_blocking(move || {
        let made = draw(&outline);
        drop(turn);
        made
    });
    drawing.await.map_err(|_| undrawn())
}

/// What makes the tree of nothing now, and of the one before whenever it has changed, for as long as the application stays in
/// the cluster that it is in.
pub(super) fn watch(
    shared: Arc<Context>,
    ctx: Arc<Context>,
    app: AppKey,
    stop: CancellationToken,
) -> impl Stream<Item = Result<TreeUpdate, Status>> + Send {
    async_stream::stream! {
        let mut news = News::of(&ctx, app.clone());
        let mut shown: Option<wire::ApplicationTree> = None;
        let mut plot: Option<Plot> = None;
        let mut anew = true;
        loop {
            let began = Instant::now();
            if anew {
                match replot(&shared, &ctx, &app).await {
                    Ok(found) => plot = found,
                    Err(status) => {
                        yield Err(status);
                        return;
                    }
                }
            }
            match update(&ctx, plot.as_ref(), shown.take()).await {
                Ok((tree, update)) => {
                    shown = Some(tree);
                    // What it takes to be sent is not what it took to make.
                    let made = began.elapsed();
                    if let Some(update) = update {
                        yield Ok(update);
                    }
                    let again = began + GATHER.max(made * REST);
                    let unsure = plot.as_ref().is_some_and(|plot| !plot.certain);
                    anew = tokio::select! {
                        // What nobody knew then, somebody may know now.
                        anew = news.next(&ctx, again) => anew || unsure,
                        () = tokio::time::sleep(UNSURE), if unsure => true,
                        () = stop.cancelled() => return,
                        () = ctx.closed.cancelled() => {
                            yield Err(Status::unavailable("the cluster is not followed in this way any more"));
                            return;
                        }
                    };
                }
                Err(status) => {
                    yield Err(status);
                    return;
                }
            }
            if ctx.term().is_none() {
                yield Err(Status::unavailable("this controller does not hold the cluster's lease any more"));
                return;
            }
        }
    }
}

/// What is known of an application without its cluster, while it is in this one.
async fn replot(
    shared: &Arc<Context>,
    ctx: &Arc<Context>,
    app: &AppKey,
) -> Result<Option<Plot>, Status> {
    let place = scene::goes_to(shared, app).await?;
    if !Arc::ptr_eq(&place, ctx) {
        return Err(Status::unavailable(
            "the application is in another cluster now",
        ));
    }
    Ok(scene::plot(ctx, app).await?.1)
}

/// The tree now, and what makes it of the one that was shown, unless that is the same.
async fn update(
    ctx: &Context,
    plot: Option<&Plot>,
    shown: Option<wire::ApplicationTree>,
) -> Result<(wire::ApplicationTree, Option<TreeUpdate>), Status> {
    let Some(plot) = plot else {
        return Ok(changed(shown, wire::ApplicationTree::default()));
    };
    let outline = plot.outline(ctx).await;
    drawn(outline, |outline| changed(shown, picture(outline))).await
}

/// The first tree is shown whatever is in it.
fn changed(
    shown: Option<wire::ApplicationTree>,
    tree: wire::ApplicationTree,
) -> (wire::ApplicationTree, Option<TreeUpdate>) {
    let first = shown.is_none();
    let update = updates::between(&shown.unwrap_or_default(), &tree);
    let says = first || update != TreeUpdate::default();
    (tree, says.then_some(update))
}

/// What may change a tree.
struct News {
    app: AppKey,
    wakes: Wakes,
    /// What is told of applications by those who look at them, or read their rows.
    told: broadcast::Receiver<Option<AppKey>>,
    /// What a tenant's settings say of kinds shows in the tree, too.
    tenants: broadcast::Receiver<TenantId>,
    moves: broadcast::Receiver<AppKey>,
}

impl News {
    fn of(ctx: &Context, app: AppKey) -> Self {
        Self {
            app,
            wakes: ctx.cluster.index().subscribe(),
            told: ctx.memory.told(),
            tenants: ctx.tenants.refreshed(),
            moves: ctx.clusters.moves(),
        }
    }

    /// Ends when something may have changed, and not before that time; what comes until then is taken together. Whether it may
    /// be more than what the cluster has.
    async fn next(&mut self, ctx: &Context, again: Instant) -> bool {
        let mut anew = self.one(ctx).await;
        let rest = tokio::time::sleep_until(again);
        tokio::pin!(rest);
        loop {
            tokio::select! {
                () = &mut rest => break,
                more = self.one(ctx) => anew |= more,
            }
        }
        // All of this was there before the tree is made.
        while let Some(more) = self.one(ctx).now_or_never() {
            anew |= more;
        }
        anew
    }

    /// Ends with the first thing that may have changed the tree.
    async fn one(&mut self, ctx: &Context) -> bool {
        loop {
            tokio::select! {
                wake = self.wakes.next() => {
                    if concerns(ctx, &self.app, &wake) {
                        return wake == Wake::Resync;
                    }
                }
                told = self.told.recv() => match told {
                    Ok(Some(other)) if other != self.app => {}
                    Ok(_) | Err(_) => return true,
                },
                tenant = self.tenants.recv() => match tenant {
                    Ok(other) if other != self.app.tenant => {}
                    Ok(_) | Err(_) => return true,
                },
                moved = self.moves.recv() => match moved {
                    Ok(other) if other != self.app => {}
                    Ok(_) | Err(_) => return true,
                },
            }
        }
    }
}

/// Whether a change in the cluster may be one of an application's tree.
fn concerns(ctx: &Context, app: &AppKey, wake: &Wake) -> bool {
    match wake {
        Wake::App {
            installation,
            app: named,
        } => *named == app.name && ctx.tenants.id_of(installation) == Some(app.tenant),
        Wake::Untracked(key) => {
            ctx.memory.who_wants(key).contains(app)
                || ctx.memory.who_watches(&key.namespace).contains(app)
        }
        Wake::Labelled {
            namespace,
            app: named,
        } => ctx.memory.who_is_labelled(named, namespace).contains(app),
        Wake::Namespace(_) | Wake::Kinds => false,
        Wake::Resync => true,
    }
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
