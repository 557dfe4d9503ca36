//! Where the cluster has let us look since it last failed us. Rights may come a moment after the credentials that have them: what
//! is refused where nothing was let through yet may be let through then, and what is refused after something else was stays so.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::watch;

/// The namespaces in which something was let through; the empty one stands for all of them together.
#[derive(Debug, Default)]
pub(super) struct Rights(watch::Sender<HashSet<Box<str>>>);

impl Rights {
    /// Something was let through there.
    pub(super) fn seen(&self, namespace: &str) {
        if !self.are_known(namespace) {
            self.0
                .send_if_modified(|known| known.insert(namespace.into()));
        }
    }

    /// The cluster failed there: what comes back may be a server that does not know its rights yet.
    pub(super) fn doubt(&self, namespace: &str) {
        self.0.send_if_modified(|known| known.remove(namespace));
    }

    /// Whether anything was.
    pub(super) fn are_known(&self, namespace: &str) -> bool {
        self.0.borrow().contains(namespace)
    }

    /// Ends after so long, or as soon as anything was let through there.
    pub(super) async fn pause(&self, namespace: &str, longest: Duration) {
        let mut news = self.0.subscribe();
        let known = news.wait_for(|known| known.contains(namespace));
        let _ = tokio::time::timeout(longest, known).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(3);

    #[tokio::test(start_paused = true)]
    async fn who_was_refused_waits_no_longer_than_until_another_is_let_through_there() {
        let rights = Rights::default();
        let soon = Duration::from_millis(300);
        let lasts = async {
            let begun = Instant::now();
            rights.pause("web", LONG).await;
            begun.elapsed()
        };
        let other = async {
            rights.seen("shop");
            tokio::time::sleep(soon).await;
            assert!(
                !rights.are_known("web"),
                "what is seen elsewhere says nothing"
            );
            rights.seen("web");
        };
        let (lasted, ()) = tokio::join!(lasts, other);
        assert_eq!(lasted, soon);
        assert!(rights.are_known("web") && rights.are_known("shop"));
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_is_let_through_the_pause_has_its_length() {
        let rights = Rights::default();
        rights.seen("shop");
        let begun = Instant::now();
        rights.pause("web", LONG).await;
        assert_eq!(begun.elapsed(), LONG);
        let begun = Instant::now();
        rights.pause("shop", LONG).await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "it was before");
        rights.doubt("shop");
        let begun = Instant::now();
        rights.pause("shop", LONG).await;
        assert_eq!(begun.elapsed(), LONG, "it may be another server now");
    }
}
