//! Events of Bitbucket Server and Data Center: the body is signed with the secret.

use http::HeaderMap;
use serde::Deserialize;

use super::Event;
use super::proof::{Keys, header};

/// The header that names the event. Bitbucket Cloud sends it too.
pub(super) const EVENT: &str = "x-event-key";
/// The header with the signature.
pub(super) const SIGNATURE: &str = "x-hub-signature";

/// Whether it only tries the connection.
pub(super) fn is_ping(headers: &HeaderMap) -> bool {
    header(headers, EVENT) == "diagnostics:ping"
}

/// Whether the signature over the body was made with the secret.
pub(super) fn verified(headers: &HeaderMap, body: &[u8], keys: &Keys) -> bool {
    keys.signed_with_sha256(header(headers, SIGNATURE), body)
}

#[derive(Deserialize)]
struct Hook {
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct Repository {
    links: Option<Links>,
}

#[derive(Deserialize)]
struct Links {
    clone: Option<Vec<Link>>,
}

#[derive(Deserialize)]
struct Link {
    href: Option<String>,
    name: Option<String>,
}

/// Reads a verified body. It names the repository by the addresses to clone it from.
pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Event, serde_json::Error> {
    let hook: Hook = serde_json::from_slice(body)?;
    if header(headers, EVENT) != "repo:refs_changed" {
        return Ok(Event::Other);
    }
    let links = hook.repository.and_then(|repository| repository.links);
    let clone = links.and_then(|links| links.clone).unwrap_or_default();
    let ours = clone
        .into_iter()
        .filter(|link| matches!(link.name.as_deref(), Some("http" | "ssh")));
    Ok(Event::push(ours.map(|link| link.href)))
}
