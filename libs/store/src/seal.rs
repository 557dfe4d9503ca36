//! Sealing: authenticated encryption of values at rest, bound to the place they rest in.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use domain::secret::Secret;
use domain::tenant::TenantId;
use rand::RngCore;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// The first byte of everything sealed, so that a later form can stand beside this one.
const FORM: u8 = 1;
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
    fn bytes(&self) -> Vec<u8> {
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

/// Seals a value for its place.
pub(crate) fn seal(key: &Secret, place: &Place<'_>, value: &[u8]) -> Result<Vec<u8>> {
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
    let mut sealed = Vec::with_capacity(1 + NONCE + body.len());
    sealed.push(FORM);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&body);
    Ok(sealed)
}

/// Opens a value that was sealed for this place.
pub(crate) fn open(key: &Secret, place: &Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let refused = || Error::Sealed { what: place.table };
    let (&form, rest) = sealed.split_first().ok_or_else(refused)?;
    if form != FORM || rest.len() < NONCE {
        return Err(refused());
    }
    let (nonce, body) = rest.split_at(NONCE);
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
        *sealed.last_mut().unwrap() ^= 1;
        assert!(open(&key, &place(1, &["ab", "c"]), &sealed).is_err());
    }
}
