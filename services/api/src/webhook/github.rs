//! GitHub's push events: the body is signed with the secret.

use domain::secret::Secret;
use hmac::{Hmac, Mac};
use http::HeaderMap;
use serde::Deserialize;
use sha2::Sha256;

use super::Event;

/// The header that names the event.
pub(super) const EVENT: &str = "x-github-event";
const SIGNATURE: &str = "x-hub-signature-256";

/// Whether the signature over the body was made with the secret. The older SHA-1 signature does not count.
pub(super) fn verified(headers: &HeaderMap, body: &[u8], secret: &Secret) -> bool {
    let signature = headers
        .get(SIGNATURE)
        .and_then(|value| value.to_str().ok()?.strip_prefix("sha256="));
    let Some(signature) = signature.and_then(|signature| hex::decode(signature).ok()) else {
        return false;
    };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose()) else {
        return false;
    };
    mac.update(body);
    mac.verify_slice(&signature).is_ok()
}

#[derive(Deserialize)]
struct Hook {
    repository: Option<Repository>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Repository {
    html_url: String,
    clone_url: String,
    ssh_url: String,
}

/// Reads a verified body.
pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Event, serde_json::Error> {
    let hook: Hook = serde_json::from_slice(body)?;
    let push = headers.get(EVENT).is_some_and(|event| event == "push");
    match hook.repository {
        Some(repository) if push => Ok(Event::Push(vec![
            repository.clone_url,
            repository.ssh_url,
            repository.html_url,
        ])),
        _ => Ok(Event::Other),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_signature_covers_the_body() {
        // The example in GitHub's documentation.
        let secret = Secret::from("It's a Secret to Everybody");
        let mut headers = HeaderMap::new();
        assert!(!verified(&headers, b"Hello, World!", &secret));
        headers.insert(
            SIGNATURE,
            HeaderValue::from_static(
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            ),
        );
        assert!(verified(&headers, b"Hello, World!", &secret));
        assert!(!verified(&headers, b"Hello, World?", &secret));
        assert!(!verified(
            &headers,
            b"Hello, World!",
            &Secret::from("another")
        ));
    }

    #[test]
    fn only_a_push_wakes() {
        let body = br#"{"repository":{"clone_url":"https://g/a.git","ssh_url":"git@g:a.git","html_url":"https://g/a"}}"#;
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
