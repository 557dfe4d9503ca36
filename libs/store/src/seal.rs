//! Sealing: authenticated encryption of values at rest, bound to the place they rest in.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use domain::secret::Secret;
use domain::tenant::TenantId;
use rand::RngCore;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// The first byte of what is sealed under a tenant's first key, or under the installation's.
const FIRST: u8 = 1;
/// The first byte of what is sealed under a later key; its version follows.
const LATER: u8 = 2;
const VERSION: usize = 4;
const NONCE: usize = 24;

/// Where a sealed value rests. A value that is moved elsewhere, or to another tenant, no longer opens.
pub(crate) struct Place<'a> {
    pub tenant: TenantId,
    pub table: &'static str,
    pub column: &'static str,
    pub row: &'a [&'a str],
}

impl Place<'_> {
    /// All parts, each led by its length, so that no two places read the same.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(96);
        let tenant = self.tenant.0.as_bytes().as_slice();
        let parts = [tenant, self.table.as_bytes(), self.column.as_bytes()];
        for part in parts
            .into_iter()
            .chain(self.row.iter().map(|r| r.as_bytes()))
        {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// Fresh random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

fn cipher(key: &Secret, what: &'static str) -> Result<XChaCha20Poly1305> {
    XChaCha20Poly1305::new_from_slice(key.expose()).map_err(|_| Error::Sealed { what })
}

/// Seals a value for its place, under a key that has no version, or the first.
pub(crate) fn seal(key: &Secret, place: &Place<'_>, value: &[u8]) -> Result<Vec<u8>> {
    seal_under(1, key, place, value)
}

/// Seals a value for its place under a tenant's key of this version.
pub(crate) fn seal_under(
    version: u32,
    key: &Secret,
    place: &Place<'_>,
    value: &[u8],
) -> Result<Vec<u8>> {
    let nonce = random::<NONCE>();
    let body = cipher(key, place.table)?
        .encrypt(
            XNonce::from_slice(&nonce),
            Payload {
                msg: value,
                aad: &place.bytes(),
            },
        )
        .map_err(|_| Error::Sealed { what: place.table })?;
    let mut sealed = Vec::with_capacity(1 + VERSION + NONCE + body.len());
    if version == 1 {
        sealed.push(FIRST);
    } else {
        sealed.push(LATER);
        sealed.extend_from_slice(&version.to_be_bytes());
    }
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&body);
    Ok(sealed)
}

/// The version of the key that a value is sealed under, and the rest of it.
fn split(sealed: &[u8]) -> Option<(u32, &[u8])> {
    match sealed.split_first()? {
        (&FIRST, rest) => Some((1, rest)),
        (&LATER, rest) => {
            let (version, rest) = rest.split_first_chunk::<VERSION>()?;
            Some((u32::from_be_bytes(*version), rest))
        }
        _ => None,
    }
}

/// The version of the key that a value is sealed under.
pub(crate) fn version(sealed: &[u8]) -> Option<u32> {
    split(sealed).map(|(version, _)| version)
}

/// Opens a value that was sealed for this place.
pub(crate) fn open(key: &Secret, place: &Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let refused = || Error::Sealed { what: place.table };
    let (_, rest) = split(sealed).ok_or_else(refused)?;
    let (nonce, body) = rest.split_at_checked(NONCE).ok_or_else(refused)?;
    cipher(key, place.table)?
        .decrypt(
            XNonce::from_slice(nonce),
            Payload {
                msg: body,
                aad: &place.bytes(),
            },
        )
        .map(Zeroizing::new)
        .map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place<'a>(tenant: u128, row: &'a [&'a str]) -> Place<'a> {
        Place {
            tenant: TenantId(uuid::Uuid::from_u128(tenant)),
            table: "t",
            column: "c",
            row,
        }
    }

    #[test]
    fn a_value_opens_only_in_its_own_place_and_unchanged() {
        let key = Secret::new(random::<32>());
        let mut sealed = seal(&key, &place(1, &["ab", "c"]), b"value").unwrap();
        assert_eq!(
            open(&key, &place(1, &["ab", "c"]), &sealed)
                .unwrap()
                .as_slice(),
            b"value"
        );
        assert!(open(&key, &place(2, &["ab", "c"]), &sealed).is_err());
        assert!(open(&key, &place(1, &["a", "bc"]), &sealed).is_err());
        assert!(
            open(
                &Secret::new(random::<32>()),
                &place(1, &["ab", "c"]),
                &sealed
            )
            .is_err()
        );
        assert!(open(&key, &place(1, &["ab", "c"]), &[]).is_err());
        let later = seal_under(7, &key, &place(1, &["ab", "c"]), b"value").unwrap();
        assert_eq!((version(&sealed), version(&later)), (Some(1), Some(7)));
        assert_eq!(
            open(&key, &place(1, &["ab", "c"]), &later)
                .unwrap()
                .as_slice(),
            b"value"
        );
        assert_eq!((version(&later[..4]), version(&[9, 9])), (None, None));
        *sealed.last_mut().unwrap() ^= 1;
        assert!(open(&key, &place(1, &["ab", "c"]), &sealed).is_err());
    }
}
