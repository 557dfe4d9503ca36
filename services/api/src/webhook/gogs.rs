//! Events of Gogs and of Gitea and Forgejo, which grew out of it: the body is signed with the secret.

use http::HeaderMap;

use super::Event;
use super::github::Hook;
use super::proof::{Keys, header};

/// The header that names the event. Gitea sends it too.
pub(super) const EVENT: &str = "x-gogs-event";
/// The header that only Gitea and Forgejo send.
pub(super) const GITEA_EVENT: &str = "x-gitea-event";
/// The headers of which one holds the signature.
pub(super) const SIGNATURES: [&str; 2] = ["x-gitea-signature", "x-gogs-signature"];

/// Whether a signature over the body was made with the secret.
pub(super) fn verified(headers: &HeaderMap, body: &[u8], keys: &Keys) -> bool {
    let signatures = SIGNATURES.map(|name| header(headers, name));
    // Gitea sends the same under both names: the first that is there decides.
    let signature = signatures
        .into_iter()
        .find(|signature| !signature.is_empty());
    signature.is_some_and(|signature| keys.signed(signature, body))
}

/// Reads a verified body. Branches and tags that come and go have events of their own.
pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Event, serde_json::Error> {
    let hook: Hook = serde_json::from_slice(body)?;
    let events = [GITEA_EVENT, EVENT].map(|name| header(headers, name));
    let event = events.into_iter().find(|event| !event.is_empty());
    Ok(match event {
        Some("push" | "create" | "delete") => hook.push(),
        _ => Event::Other,
    })
}
