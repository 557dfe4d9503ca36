//! What happens in a cluster that a tenant has added, as the driver is told of it: no faster than a stranger may have
//! everything looked at (client required).

use std::time::Duration;

use cluster::{Cluster, Wake};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Event, Place};
use crate::metrics::Reachability;

/// How often at most all applications of a cluster are looked at, whatever the cluster does.
const WHOLE: Duration = Duration::from_secs(1);

/// Keeps a cluster true and tells what happens in it, until it is closed.
pub(super) async fn follow(
    place: Place,
    cluster: Cluster,
    events: mpsc::Sender<Event>,
    answers: Reachability,
    closed: CancellationToken,
) {
    let tell = tell(place, &cluster, &events, &answers);
    tokio::select! {
        () = closed.cancelled() => {}
        () = cluster.clone().run() => {}
        () = tell => {}
    }
}

/// Tells what happens in a cluster, until nobody listens.
async fn tell(
    (tenant, server): Place,
    cluster: &Cluster,
    events: &mpsc::Sender<Event>,
    answers: &Reachability,
) {
    let mut wakes = cluster.index().subscribe();
    let mut connection = cluster.connection();
    let first = connection.borrow_and_update().clone();
    let mut reachable = first.reachable;
    // Before the first answer it is neither, and whoever watches would be alarmed by each cluster that is opened.
    if reachable || !first.message.is_empty() {
        answers.set(reachable);
    }
    let mut opens = Instant::now();
    let mut whole = false;
    let mut listed = cluster.index().is_ready();
    loop {
        let wake = tokio::select! {
            wake = wakes.next() => match wake {
                wake @ (Wake::Kinds | Wake::Resync) => {
                    let ready = cluster.index().is_ready();
                    if ready && !listed {
                        // All applications wait for that, which a cluster cannot have happen at will.
                        opens = Instant::now();
                    }
                    listed = ready;
                    // Until then new kinds are of no use to anybody.
                    whole |= ready || wake == Wake::Resync;
                    continue;
                }
                wake => Some(wake),
            },
            changed = connection.changed() => {
                if changed.is_err() {
                    return;
                }
                // In which words it does not answer is nobody's concern.
                let now = connection.borrow_and_update().reachable;
                answers.set(now);
                whole |= now != reachable;
                reachable = now;
                continue;
            }
            () = tokio::time::sleep_until(opens), if whole => {
                whole = false;
                opens = Instant::now() + WHOLE;
                None
            }
        };
        let event = Event {
            tenant,
            server: server.clone(),
            wake,
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}
