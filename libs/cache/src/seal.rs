//! Authenticated encryption of entries, bound to their place.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use domain::secret::Secret;
use rand::RngCore;

const NONCE: usize = 24;

/// Nonce and ciphertext; `None` when the key is not one (32 bytes).
pub(crate) fn seal(key: &Secret, place: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let mut sealed = vec![0; NONCE];
    rand::rng().fill_bytes(&mut sealed);
    let cipher = XChaCha20Poly1305::new_from_slice(key.expose()).ok()?;
    let body = cipher
        .encrypt(
            XNonce::from_slice(&sealed),
            Payload {
                msg: value,
                aad: place,
            },
        )
        .ok()?;
    sealed.extend_from_slice(&body);
    Some(sealed)
}

/// The value, if it was sealed under this key for this place.
pub(crate) fn open(key: &Secret, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, body) = sealed.split_at_checked(NONCE)?;
    let cipher = XChaCha20Poly1305::new_from_slice(key.expose()).ok()?;
    cipher
        .decrypt(
            XNonce::from_slice(nonce),
            Payload {
                msg: body,
                aad: place,
            },
        )
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_opens_only_under_its_key_and_at_its_place() {
        let (ours, theirs) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let sealed = seal(&ours, b"here", b"value").unwrap();
        assert_eq!(
            open(&ours, b"here", &sealed).as_deref(),
            Some(b"value".as_slice())
        );
        assert_eq!(open(&theirs, b"here", &sealed), None);
        assert_eq!(open(&ours, b"there", &sealed), None);
        let mut bent = sealed.clone();
        *bent.last_mut().unwrap() ^= 1;
        assert_eq!(open(&ours, b"here", &bent), None);
        assert_eq!(open(&ours, b"here", &sealed[..10]), None);
    }
}
