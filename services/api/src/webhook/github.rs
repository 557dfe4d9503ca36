//! GitHub's push events: the body is signed with the secret.

use http::HeaderMap;
use serde::Deserialize;

use super::Event;
use super::proof::{Keys, header};

/// The header that names the event.
pub(super) const EVENT: &str = "x-github-event";
/// The header with the signature.
pub(super) const SIGNATURE: &str = "x-hub-signature-256";

/// Whether the signature over the body was made with the secret. The older SHA-1 signature does not count.
pub(super) fn verified(headers: &HeaderMap, body: &[u8], keys: &Keys) -> bool {
    keys.signed_with_sha256(header(headers, SIGNATURE), body)
}

/// A push as GitHub writes it, and those that took its form over.
#[derive(Deserialize)]
pub(super) struct Hook {
    repository: Option<Repository>,
}

impl Hook {
    /// The push; nothing of interest where no repository is named.
    pub(super) fn push(self) -> Event {
        match self.repository {
            Some(one) => Event::push([one.clone_url, one.ssh_url, one.html_url]),
            None => Event::Other,
        }
    }
}

#[derive(Deserialize)]
struct Repository {
    html_url: Option<String>,
    clone_url: Option<String>,
    ssh_url: Option<String>,
}

/// Reads a verified body.
pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Event, serde_json::Error> {
    let hook: Hook = serde_json::from_slice(body)?;
    Ok(match header(headers, EVENT) {
        "push" => hook.push(),
        _ => Event::Other,
    })
}

#[cfg(test)]
mod tests {
    use domain::secret::Secret;
    use http::HeaderValue;

    use super::*;

    fn keys(secret: &str) -> Keys {
        Keys {
            secrets: vec![Secret::from(secret)],
            ..Keys::default()
        }
    }

    #[test]
    fn the_signature_covers_the_body() {
        // The example in GitHub's documentation.
        let right = keys("It's a Secret to Everybody");
        let mut headers = HeaderMap::new();
        assert!(!verified(&headers, b"Hello, World!", &right));
        headers.insert(
            SIGNATURE,
            HeaderValue::from_static(
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            ),
        );
        assert!(verified(&headers, b"Hello, World!", &right));
        assert!(!verified(&headers, b"Hello, World?", &right));
        assert!(!verified(&headers, b"Hello, World!", &keys("another")));
        assert!(!verified(&headers, b"Hello, World!", &Keys::default()));
    }

    #[test]
    fn only_a_push_wakes() {
        let body = br#"{"ref":"refs/heads/main","before":"6113728f27ae82c7b1a177c8d03f9e96e0adf246","after":"0000000000000000000000000000000000000000","created":false,"deleted":true,"forced":false,"repository":{"id":186853002,"name":"a","full_name":"g/a","private":false,"owner":{"name":"g","email":null},"html_url":"https://g/a","git_url":"git://g/a.git","ssh_url":"git@g:a.git","clone_url":"https://g/a.git","default_branch":"main"},"pusher":{"name":"me"},"commits":[],"head_commit":null}"#;
        let mut headers = HeaderMap::new();
        headers.insert(EVENT, HeaderValue::from_static("push"));
        let Event::Push(urls) = parse(&headers, body).unwrap() else {
            panic!("a push")
        };
        assert_eq!(urls, ["https://g/a.git", "git@g:a.git", "https://g/a"]);
        headers.insert(EVENT, HeaderValue::from_static("ping"));
        assert_eq!(parse(&headers, body).unwrap(), Event::Other);
    }
}
