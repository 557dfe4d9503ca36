//! GitLab's push events: the secret stands in a header as it is.

use domain::secret::Secret;
use http::HeaderMap;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Event;

/// The header that names the event.
pub(super) const EVENT: &str = "x-gitlab-event";
const TOKEN: &str = "x-gitlab-token";

/// Whether the header holds the secret. Hashing first hides the length too.
pub(super) fn verified(headers: &HeaderMap, secret: &Secret) -> bool {
    let Some(token) = headers.get(TOKEN) else {
        return false;
    };
    let (given, wanted) = (
        Sha256::digest(token.as_bytes()),
        Sha256::digest(secret.expose()),
    );
    given.ct_eq(&wanted).into()
}

#[derive(Deserialize)]
struct Hook {
    #[serde(default)]
    object_kind: String,
    #[serde(default)]
    event_name: String,
    project: Option<Project>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Project {
    web_url: String,
    git_http_url: String,
    git_ssh_url: String,
}

/// Reads a verified body.
pub(super) fn parse(body: &[u8]) -> Result<Event, serde_json::Error> {
    let hook: Hook = serde_json::from_slice(body)?;
    let push = |kind: &str| matches!(kind, "push" | "tag_push");
    match hook.project {
        Some(project) if push(&hook.object_kind) || push(&hook.event_name) => {
            Ok(Event::Push(vec![
                project.git_http_url,
                project.git_ssh_url,
                project.web_url,
            ]))
        }
        _ => Ok(Event::Other),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_very_secret_verifies() {
        let secret = Secret::from("s3cret");
        let mut headers = HeaderMap::new();
        assert!(!verified(&headers, &secret));
        headers.insert(TOKEN, HeaderValue::from_static("s3cre"));
        assert!(!verified(&headers, &secret));
        headers.insert(TOKEN, HeaderValue::from_static("s3cret"));
        assert!(verified(&headers, &secret));
    }

    #[test]
    fn a_push_names_every_address_of_the_project() {
        let body = br#"{"object_kind":"push","ref":"refs/heads/main","project":{"git_http_url":"http://g/a.git","git_ssh_url":"git@g:a.git","web_url":"http://g/a"}}"#;
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
