//! From a request's authority to the tenant that is served there.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::tenant::Tenant;
use http::{Request, header};
use store::Store;

use crate::front::strangers::{Recognised, Strangers, TooMany};
use crate::ttl::TtlMap;

/// How long a look-up is trusted without asking again; a change of a tenant is announced and forgets it at once.
const FRESH: Duration = Duration::from_secs(10);

/// Who a request comes from: the other end of its connection, or who a trusted proxy says. Put into its extensions by the listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Where a request came in. Put into every request's extensions before anything else is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// The tenant whose host it is.
    pub(crate) tenant: Arc<Tenant>,
    /// Whether the request came over TLS.
    pub(crate) secure: bool,
}

/// The host that a request names, lower case and without port: `:authority`, else `Host`. Nothing else counts.
pub(crate) fn of<B>(request: &Request<B>) -> Option<String> {
    let authority = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(header::HOST)?.to_str().ok()?,
    };
    without_port(authority)
}

fn without_port(authority: &str) -> Option<String> {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    (!host.is_empty() && !host.contains('@')).then(|| host.to_ascii_lowercase())
}

/// Which tenant is served on which host.
#[derive(Debug)]
pub(crate) struct Hosts {
    store: Store,
    known: TtlMap<String, Arc<Tenant>>,
    strangers: Arc<Strangers>,
    recognised: Recognised<String>,
}

/// Why it is not known whose a host is.
#[derive(Debug)]
pub(crate) enum NotAsked {
    /// Whoever names it has named too many that are nobody's.
    TooMany(TooMany),
    /// The store does not answer.
    Store(store::Error),
}

impl Hosts {
    /// Looks hosts up in the store, and remembers them for a moment.
    pub(crate) fn new(store: Store, strangers: Arc<Strangers>) -> Self {
        Self {
            store,
            known: TtlMap::new(FRESH, 10_000),
            strangers,
            recognised: Recognised::new(),
        }
    }

    /// The tenant of a host, if any, for who comes from `from`. A host on no list is looked up every time, so that
    /// strangers cannot fill anything, and so often as a source's minute lasts.
    ///
    /// # Errors
    /// When its source named too many that are nobody's, or the store cannot be asked.
    pub(crate) async fn find(
        &self,
        host: &str,
        from: Option<IpAddr>,
    ) -> Result<Option<Arc<Tenant>>, NotAsked> {
        if let Some(tenant) = self.known.get(host) {
            return Ok(Some(tenant));
        }
        let taken = match self.recognised.knows(host) {
            true => None,
            false => Some(self.strangers.take(from).map_err(NotAsked::TooMany)?),
        };
        let found = self.store.platform().tenant_by_host(host).await;
        let Some(tenant) = found.map_err(NotAsked::Store)? else {
            if taken.is_none() {
                self.recognised.forget(&host.to_owned());
            }
            return Ok(None);
        };
        if let Some(taken) = taken {
            taken.give_back();
        }
        self.recognised.remember(host.to_owned());
        let tenant = Arc::new(tenant);
        self.known.put(host.to_owned(), Arc::clone(&tenant));
        Ok(Some(tenant))
    }

    /// Forgets what was looked up: some tenant changed.
    pub(crate) fn forget(&self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_of(uri: &str, host: Option<&str>) -> Option<String> {
        let mut request = Request::builder().uri(uri);
        if let Some(host) = host {
            request = request.header(header::HOST, host);
        }
        of(&request
            .header("x-forwarded-host", "victim.example")
            .body(())
            .unwrap())
    }

    #[test]
    fn the_authority_wins_over_host_and_the_port_is_dropped() {
        assert_eq!(
            host_of("http://User01.Example:8080/x", Some("other")).as_deref(),
            Some("user01.example")
        );
        assert_eq!(
            host_of("/x", Some("127.0.1.1:8080")).as_deref(),
            Some("127.0.1.1")
        );
        assert_eq!(host_of("/x", Some("[::1]:8080")).as_deref(), Some("::1"));
        assert_eq!(
            host_of("/x", Some("user01.example.")).as_deref(),
            Some("user01.example")
        );
    }

    #[test]
    fn a_forwarded_host_counts_for_nothing() {
        assert_eq!(host_of("/x", None), None);
        assert_eq!(host_of("/x", Some("")), None);
        assert_eq!(host_of("/x", Some("a@b")), None);
    }
}
