//! Whom a change concerns. A wake says where to look, never what is there.

use std::sync::Arc;

use tokio::sync::broadcast;

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wake {
    /// An object of an application, or something that such an object owns.
    App {
        /// The installation id: the tenant's name.
        installation: Arc<str>,
        /// The application.
        app: Arc<str>,
    },
    /// An object that no application tracks came, changed or went; an application that wants to make an object of
    /// that name may care.
    Untracked(domain::resource::ResourceKey),
    /// An object whose label alone names an application, or something that such an object owns; an application may care
    /// where nobody but its tenant can be.
    Labelled {
        /// The object's namespace; empty for cluster-scoped ones.
        namespace: Box<str>,
        /// The application's name.
        app: Arc<str>,
    },
    /// A namespace came, changed or went.
    Namespace(Arc<str>),
    /// The cluster's kinds changed.
    Kinds,
    /// Everything may have changed: the first listing ended, the connection came back, or wakes were lost.
    Resync,
}

#[derive(Clone)]
pub(super) struct Sender(broadcast::Sender<Wake>);

impl Sender {
    /// So many may wait for a reader before it is told to look at everything.
    pub(super) fn new(waiting: usize) -> Self {
        Self(broadcast::channel(waiting).0)
    }

    pub(super) fn send(&self, wake: Wake) {
        // Nobody listening is no error.
        let _ = self.0.send(wake);
    }

    pub(super) fn subscribe(&self) -> Wakes {
        Wakes(self.0.subscribe())
    }
}

/// A reader of wakes.
pub struct Wakes(broadcast::Receiver<Wake>);

impl Wakes {
    /// The next wake. A reader that fell behind gets [`Wake::Resync`] for all that it missed.
    pub async fn next(&mut self) -> Wake {
        match self.0.recv().await {
            Ok(wake) => wake,
            Err(broadcast::error::RecvError::Lagged(_)) => Wake::Resync,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
