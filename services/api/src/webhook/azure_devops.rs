//! Azure DevOps' events: a user and a password come with basic authentication.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::secret::Secret;
use http::HeaderMap;
use serde::Deserialize;

use super::Event;
use super::proof::{Keys, header, same};

/// The header that tells it.
pub(super) const ACTIVITY: &str = "x-vss-activityid";
/// The header with user and password.
pub(super) const CREDENTIALS: &str = "authorization";
/// The key of the user among the settings.
pub(super) const USERNAME: &str = "webhook.azuredevops.username";

/// Whether user and password are those that are set.
pub(super) fn verified(headers: &HeaderMap, keys: &Keys) -> bool {
    let Some((scheme, given)) = header(headers, CREDENTIALS).split_once(' ') else {
        return false;
    };
    if !scheme.eq_ignore_ascii_case("basic") {
        return false;
    }
    let Ok(given) = BASE64_STANDARD.decode(given.trim()) else {
        return false;
    };
    let Some(colon) = given.iter().position(|byte| *byte == b':') else {
        return false;
    };
    let (username, password) = (&given[..colon], &given[colon + 1..]);
    // Both are compared, whatever the first comparison says.
    let wanted = keys.username.as_ref().map_or(&b""[..], Secret::expose);
    same(username, wanted) & keys.hold(password)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hook {
    event_type: Option<String>,
    resource: Option<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    repository: Option<Repository>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Repository {
    remote_url: Option<String>,
}

/// Reads a verified body.
pub(super) fn parse(body: &[u8]) -> Result<Event, serde_json::Error> {
    let hook: Hook = serde_json::from_slice(body)?;
    if hook.event_type.as_deref() != Some("git.push") {
        return Ok(Event::Other);
    }
    let repository = hook.resource.and_then(|resource| resource.repository);
    Ok(Event::push([repository.and_then(|one| one.remote_url)]))
}
