//! What happens in a cluster that a tenant has added, as the driver is told of it: no faster than a stranger may have
//! everything looked at (client required).

use std::time::Duration;

use cluster::{Cluster, Wake};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Event, News, Place, is_known};
use crate::metrics::Reachability;
use crate::reconcile::hooks;

/// How often at most all applications of a cluster are looked at, whatever the cluster does.
const WHOLE: Duration = Duration::from_secs(1);
/// How often at most it is looked through for hooks that nobody may know of any more: that goes through all that is marked.
const SEARCH: Duration = Duration::from_secs(30);

/// Who is told what happens in a cluster.
pub(super) struct Told {
    /// Which it is.
    pub(super) place: Place,
    /// Whose it is, as its objects name it.
    pub(super) name: String,
    /// Where the driver hears of it.
    pub(super) events: mpsc::Sender<Event>,
    /// Shows whether it answers.
    pub(super) answers: Reachability,
}

/// Keeps a cluster true and tells what happens in it, until it is closed.
pub(super) async fn follow(cluster: Cluster, told: Told, closed: CancellationToken) {
    let tell = tell(&cluster, told);
    tokio::select! {
        () = closed.cancelled() => {}
        () = cluster.clone().run() => {}
        () = tell => {}
    }
}

/// Tells what happens in a cluster, until nobody listens.
async fn tell(cluster: &Cluster, told: Told) {
    let Told {
        place: (tenant, server),
        name,
        events,
        answers,
    } = told;
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
    let (mut search, mut searches) = (false, Instant::now());
    let mut listed = cluster.index().is_ready();
    loop {
        let news = tokio::select! {
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
                wake => News::Wake(wake),
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
                search = true;
                News::Anything
            }
            () = tokio::time::sleep_until(searches), if search => {
                search = false;
                // That it is known then is news of its own.
                if !is_known(cluster) {
                    continue;
                }
                searches = Instant::now() + SEARCH;
                News::Kept(hooks::whose(cluster.index(), &name))
            }
        };
        let event = Event {
            tenant,
            server: server.clone(),
            news,
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}
