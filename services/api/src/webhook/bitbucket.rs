//! Bitbucket Cloud's events: each hook has an id, which comes in a header and is the secret.

use http::HeaderMap;
use serde::Deserialize;

use super::Event;
use super::proof::{Keys, header, same};

/// The header with the hook's id.
pub(super) const UUID: &str = "x-hook-uuid";
const EVENT: &str = "x-event-key";

/// Whether it is the hook whose id is set. Bitbucket shows ids in braces and sends them without.
pub(super) fn verified(headers: &HeaderMap, keys: &Keys) -> bool {
    let given = bare(header(headers, UUID).as_bytes());
    let known = keys.secrets.iter();
    !given.is_empty() && known.into_iter().any(|id| same(given, bare(id.expose())))
}

fn bare(id: &[u8]) -> &[u8] {
    let inner = id.strip_prefix(b"{").and_then(|id| id.strip_suffix(b"}"));
    inner.unwrap_or(id)
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
    html: Option<Link>,
}

#[derive(Deserialize)]
struct Link {
    href: Option<String>,
}

/// Reads a verified body. It names the repository by the address of its page.
pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Event, serde_json::Error> {
    let hook: Hook = serde_json::from_slice(body)?;
    if header(headers, EVENT) != "repo:push" {
        return Ok(Event::Other);
    }
    let links = hook.repository.and_then(|repository| repository.links);
    let page = links.and_then(|links| links.html?.href);
    Ok(Event::push([page]))
}
