//! GitLab's push events: the secret stands in a header as it is.

use http::HeaderMap;
use serde::Deserialize;

use super::Event;
use super::proof::Keys;

/// The header that names the event.
pub(super) const EVENT: &str = "x-gitlab-event";
/// The header with the secret.
pub(super) const TOKEN: &str = "x-gitlab-token";

/// Whether the header holds the secret.
pub(super) fn verified(headers: &HeaderMap, keys: &Keys) -> bool {
    let token = headers.get(TOKEN);
    token.is_some_and(|token| keys.hold(token.as_bytes()))
}

#[derive(Deserialize)]
struct Hook {
    object_kind: Option<String>,
    event_name: Option<String>,
    project: Option<Project>,
}

#[derive(Deserialize)]
struct Project {
    web_url: Option<String>,
    git_http_url: Option<String>,
    git_ssh_url: Option<String>,
}

/// Reads a verified body.
pub(super) fn parse(body: &[u8]) -> Result<Event, serde_json::Error> {
    let hook: Hook = serde_json::from_slice(body)?;
    // A system hook names itself by `event_name` alone.
    let kinds = [&hook.object_kind, &hook.event_name];
    let push = kinds
        .into_iter()
        .any(|kind| matches!(kind.as_deref(), Some("push" | "tag_push")));
    Ok(match hook.project {
        Some(one) if push => Event::push([one.git_http_url, one.git_ssh_url, one.web_url]),
        _ => Event::Other,
    })
}

#[cfg(test)]
mod tests {
    use domain::secret::Secret;
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_very_secret_verifies() {
        let keys = Keys {
            secrets: vec![Secret::from("s3cret")],
            ..Keys::default()
        };
        let mut headers = HeaderMap::new();
        assert!(!verified(&headers, &keys));
        headers.insert(TOKEN, HeaderValue::from_static("s3cre"));
        assert!(!verified(&headers, &keys));
        headers.insert(TOKEN, HeaderValue::from_static("s3cret"));
        assert!(verified(&headers, &keys));
        assert!(!verified(&headers, &Keys::default()));
    }

    #[test]
    fn a_push_names_every_address_of_the_project() {
        let body = br#"{"object_kind":"push","event_name":"push","before":"95790bf891e76fee5e1747ab589903a6a1f80f22","after":"da1560886d4f094c3e6c9ef40349f7d38b5d27d7","ref":"refs/heads/main","checkout_sha":null,"project":{"id":15,"name":"a","avatar_url":null,"git_http_url":"http://g/a.git","git_ssh_url":"git@g:a.git","web_url":"http://g/a","namespace":"g"},"commits":[],"total_commits_count":0}"#;
        let Event::Push(urls) = parse(body).unwrap() else {
            panic!("a push")
        };
        assert_eq!(urls, ["http://g/a.git", "git@g:a.git", "http://g/a"]);
        assert_eq!(
            parse(br#"{"object_kind":"issue","project":{}}"#).unwrap(),
            Event::Other
        );
        assert!(parse(b"not json").is_err());
    }
}
