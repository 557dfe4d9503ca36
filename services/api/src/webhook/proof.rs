//! What an event is proven with, compared without telling how much of it was right.

use domain::secret::Secret;
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What a tenant's webhooks of one provider are proven with.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Any of these will do; none lets nobody in.
    pub(super) secrets: Vec<Secret>,
    /// The user that comes with the secret, where a provider sends one; none is an empty name.
    pub(super) username: Option<Secret>,
}

impl Keys {
    pub(super) fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Whether a text is one of the secrets.
    pub(super) fn hold(&self, given: &[u8]) -> bool {
        self.secrets
            .iter()
            .any(|secret| same(given, secret.expose()))
    }

    /// Whether a signature over the body, in hexadecimal digits, was made with one of the secrets.
    pub(super) fn signed(&self, signature: &str, body: &[u8]) -> bool {
        let Ok(signature) = hex::decode(signature) else {
            return false;
        };
        self.secrets.iter().any(|secret| {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose()) else {
                return false;
            };
            mac.update(body);
            mac.verify_slice(&signature).is_ok()
        })
    }

    /// The same of a signature that names its hash function, `sha256=…`; no other one counts.
    pub(super) fn signed_with_sha256(&self, signature: &str, body: &[u8]) -> bool {
        let signature = signature.strip_prefix("sha256=");
        signature.is_some_and(|signature| self.signed(signature, body))
    }
}

/// Whether two texts are the same. Hashing first hides the length too.
pub(super) fn same(given: &[u8], wanted: &[u8]) -> bool {
    Sha256::digest(given).ct_eq(&Sha256::digest(wanted)).into()
}

/// A header's text; empty where there is none.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).map(HeaderValue::to_str);
    value.and_then(Result::ok).unwrap_or_default()
}
