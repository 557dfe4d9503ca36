//! Connections to repositories go only to addresses that [`Egress`] allows. Redirects are not followed at all.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use domain::egress::Egress;
use domain::message;

use super::access::{Access, Scheme};
use crate::error::{Error, Kind};

/// The addresses of a repository's host that may be connected to; none for a file.
pub(super) async fn addresses(egress: &Egress, access: &Access) -> Result<Vec<SocketAddr>, Error> {
    let Some((host, port)) = access.connects_to() else {
        return Ok(Vec::new());
    };
    let unreachable = || {
        Error::new(
            Kind::Unreachable,
            message::source::UNREACHABLE.with("url", access.url()),
        )
    };
    let found = tokio::net::lookup_host((host.as_str(), port)).await;
    let found: Vec<SocketAddr> = found.map_err(|_| unreachable())?.collect();
    if found.is_empty() {
        return Err(unreachable());
    }
    let allowed: Vec<SocketAddr> = found
        .into_iter()
        .filter(|address| egress.allows(address.ip()))
        .collect();
    if allowed.is_empty() {
        return Err(Error::new(
            Kind::Invalid,
            message::source::ADDRESS_NOT_ALLOWED.with("url", access.url()),
        ));
    }
    Ok(allowed)
}

/// Resolves names for connections made in process, to allowed addresses only.
pub(super) struct Resolver(pub(super) Arc<Egress>);

/// What the resolver says when a name leads nowhere that is allowed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the address is not allowed")]
pub(super) struct NotAllowed;

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver(…)")
    }
}

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let egress = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|address| egress.allows(address.ip()))
                .collect();
            if allowed.is_empty() {
                return Err(NotAllowed.into());
            }
            Ok(Box::new(allowed.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

impl Access {
    /// Host and port that are connected to: the proxy's where there is one; none for a file.
    pub(super) fn connects_to(&self) -> Option<(String, u16)> {
        match &self.through {
            Some(proxy) => Some((proxy.host.clone(), proxy.port)),
            None => self.target(),
        }
    }

    /// Host and port of the repository; none for a file.
    pub(super) fn target(&self) -> Option<(String, u16)> {
        let usual = match self.scheme {
            Scheme::File => return None,
            Scheme::Http => 443,
            Scheme::Ssh => 22,
        };
        if let Ok(url) = url::Url::parse(&self.url)
            && self.url.contains("://")
        {
            let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
            return Some((host, url.port_or_known_default().unwrap_or(usual)));
        }
        // user@host:path
        let (host, _) = self.url.split_once(':')?;
        let (_, host) = host.split_once('@')?;
        Some((host.to_owned(), usual))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::{Login, Rules};

    #[tokio::test]
    async fn s13_however_an_address_is_written_it_is_the_resolved_one_that_counts() {
        let access = |url: &str| Access::new("t", "", url, Login::default(), Rules::default());
        for url in [
            "http://127.1/a",
            "http://2130706433/a",
            "http://0x7f.0.0.1/a",
        ] {
            let refused = access(url).unwrap_err();
            assert_eq!(
                refused.cause().message.code,
                "source.address-refused",
                "{url}"
            );
        }
        for url in [
            "http://[::ffff:7f00:1]:8080/a",
            "http://localhost/a",
            "ssh://git@127.0.0.1:2222/a",
            "git@localhost:a/b.git",
        ] {
            let access = access(url).unwrap();
            let refused = addresses(&Egress::default(), &access).await.unwrap_err();
            assert_eq!(
                refused.cause().message.code,
                "source.address-not-allowed",
                "{url}"
            );
        }
        let here = Egress {
            allow: vec!["127.0.0.0/8".parse().unwrap()],
            ..Egress::default()
        };
        let access = access("ssh://git@127.0.0.1:2222/a").unwrap();
        let found = addresses(&here, &access).await.unwrap();
        assert_eq!(found, ["127.0.0.1:2222".parse().unwrap()]);
    }
}
