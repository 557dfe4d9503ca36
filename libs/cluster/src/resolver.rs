//! Names become addresses. Of what a tenant's word leads to, only addresses count that the operator allows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use domain::egress::Egress;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

/// A name leads to no address that is allowed.
#[derive(Debug, thiserror::Error)]
#[error("the address is not allowed")]
pub(crate) struct NotAllowed;

/// Asks the system's resolver.
#[derive(Clone, Default)]
pub(crate) struct Resolver {
    /// Which of the answers count; all of them where nothing is said.
    egress: Option<Arc<Egress>>,
}

impl Resolver {
    /// One that answers only with what may be connected to on a tenant's word.
    pub(crate) fn within(egress: &Arc<Egress>) -> Self {
        Self {
            egress: Some(Arc::clone(egress)),
        }
    }

    /// Connections, encrypted or not, to what it answers with. Addresses that are written out are not asked of it.
    pub(crate) fn connector(self) -> HttpConnector<Self> {
        let mut plain = HttpConnector::new_with_resolver(self);
        plain.enforce_http(false);
        plain.set_nodelay(true);
        plain
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, std::io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let egress = self.egress.clone();
        async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let Some(egress) = egress else {
                return Ok(found.collect::<Vec<_>>().into_iter());
            };
            let allowed = found.filter(|address| egress.allows(address.ip()));
            let allowed: Vec<SocketAddr> = allowed.collect();
            match allowed.is_empty() {
                true => Err(std::io::Error::other(NotAllowed)),
                false => Ok(allowed.into_iter()),
            }
        }
        .boxed()
    }
}

/// Whether a resolver found no address that is allowed.
pub(crate) fn is_not_allowed(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        error.is::<NotAllowed>()
            || error
                .downcast_ref::<std::io::Error>()
                .and_then(std::io::Error::get_ref)
                .is_some_and(|inner| inner.is::<NotAllowed>())
    })
}
