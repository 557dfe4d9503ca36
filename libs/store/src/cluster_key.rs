//! The controllers' key pair: the api seals clusters' credentials to its public half and cannot open them, controllers
//! hold the private half.
//!
//! HPKE (RFC 9180) in base mode: X25519, HKDF-SHA256, ChaCha20-Poly1305, a fresh key for each value, bound to the place
//! where it rests as everything sealed is.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::secret::Secret;
use domain::tenant::TenantId;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::seal::{self, Place};

type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;
type Encapped = <X25519HkdfSha256 as Kem>::EncappedKey;

/// What this key is for, so that nothing sealed for another purpose opens.
const INFO: &[u8] = b"naru 2026 cluster credentials";
/// The first byte of everything sealed, so that a later form can stand beside this one.
const FORM: u8 = 1;
const ID: usize = 8;
const ENCAPPED: usize = 32;

/// The public half: seals, and opens nothing.
#[derive(Clone)]
pub struct SealingKey {
    key: PublicKey,
}

/// The private halves: the first is the one in use, the others open what was sealed before it.
#[derive(Clone)]
pub struct OpeningKeys {
    keys: Vec<([u8; ID], PrivateKey)>,
}

impl SealingKey {
    /// Reads the public key from its file.
    ///
    /// # Errors
    /// When the file cannot be read or does not hold 32 bytes in base64.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_base64(&read(path)?)
    }

    /// Takes the public key as its file holds it.
    ///
    /// # Errors
    /// When it is not 32 bytes in base64.
    pub fn from_base64(text: &Secret) -> Result<Self> {
        let bytes = decoded(text.expose_str().trim())?;
        let key = PublicKey::from_bytes(&bytes).map_err(|_| malformed())?;
        Ok(Self { key })
    }

    pub(crate) fn seal(&self, place: &Place<'_>, value: &[u8]) -> Result<Vec<u8>> {
        let refused = |_| Error::Sealed { what: place.table };
        let mut randomness = rand::rng();
        let (encapped, body) =
            hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256, _>(
                &OpModeS::Base,
                &self.key,
                INFO,
                value,
                &place.bytes(),
                &mut randomness,
            )
            .map_err(refused)?;
        let mut sealed = vec![FORM];
        sealed.extend_from_slice(&id(&self.key));
        sealed.extend_from_slice(&encapped.to_bytes());
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }
}

impl OpeningKeys {
    /// Reads the private keys from their file, one a line.
    ///
    /// # Errors
    /// When the file cannot be read or a line does not hold 32 bytes in base64.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_base64(&read(path)?)
    }

    /// Takes the private keys as their file holds them.
    ///
    /// # Errors
    /// When there is none, or one is not 32 bytes in base64.
    pub fn from_base64(text: &Secret) -> Result<Self> {
        let lines = text.expose_str().lines().map(str::trim);
        let keys: Vec<([u8; ID], PrivateKey)> = lines
            .filter(|line| !line.is_empty())
            .map(|line| {
                let key = PrivateKey::from_bytes(&decoded(line)?).map_err(|_| malformed())?;
                Ok((id(&X25519HkdfSha256::sk_to_pk(&key)), key))
            })
            .collect::<Result<_>>()?;
        if keys.is_empty() {
            return Err(malformed());
        }
        Ok(Self { keys })
    }

    /// A fresh key, as its file should hold it.
    #[must_use]
    pub fn generate() -> Secret {
        let bytes = Zeroizing::new(seal::random::<32>());
        Secret::from(STANDARD.encode(bytes.as_slice()))
    }

    /// The public half of the key in use.
    #[must_use]
    pub fn sealing(&self) -> SealingKey {
        // There is always one.
        let key = X25519HkdfSha256::sk_to_pk(&self.keys[0].1);
        SealingKey { key }
    }

    /// The public half of the key in use, as its file should hold it.
    #[must_use]
    pub fn public(&self) -> String {
        STANDARD.encode(self.sealing().key.to_bytes())
    }

    pub(crate) fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let refused = || Error::Sealed { what: place.table };
        let (form, rest) = sealed.split_first().ok_or_else(refused)?;
        let (name, rest) = rest.split_at_checked(ID).ok_or_else(refused)?;
        let (encapped, body) = rest.split_at_checked(ENCAPPED).ok_or_else(refused)?;
        let known = self.keys.iter().find(|(id, _)| id == name);
        let (_, key) = known.filter(|_| *form == FORM).ok_or_else(refused)?;
        let encapped = Encapped::from_bytes(encapped).map_err(|_| refused())?;
        hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            key,
            &encapped,
            INFO,
            body,
            &place.bytes(),
        )
        .map(Zeroizing::new)
        .map_err(|_| refused())
    }
}

/// A name by which sealed values say which key they were sealed to.
fn id(key: &PublicKey) -> [u8; ID] {
    let digest = blake3::derive_key("naru 2026 cluster key id", &key.to_bytes());
    let mut id = [0; ID];
    id.copy_from_slice(digest.get(..ID).unwrap_or(&[0; ID]));
    id
}

fn read(path: &Path) -> Result<Secret> {
    std::fs::read_to_string(path)
        .map(Secret::from)
        .map_err(|error| Error::KeyFile(format!("{}: {error}", path.display())))
}

fn decoded(text: &str) -> Result<Zeroizing<Vec<u8>>> {
    let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| malformed())?);
    if bytes.len() == 32 {
        Ok(bytes)
    } else {
        Err(malformed())
    }
}

fn malformed() -> Error {
    Error::KeyFile(
        "the key of clusters' credentials must be 32 bytes in base64 (`naru-api cluster-key FILE` makes a pair)"
            .into(),
    )
}

/// Where the credentials of a cluster rest.
pub(crate) fn place<'a>(tenant: TenantId, row: &'a [&'a str]) -> Place<'a> {
    Place {
        tenant,
        table: "clusters",
        column: "sealed",
        row,
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(…)")
    }
}

impl fmt::Debug for OpeningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpeningKeys(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_place_with_the_private_key_alone() {
        let (old, new) = (OpeningKeys::generate(), OpeningKeys::generate());
        let keys = OpeningKeys::from_base64(&old).unwrap();
        let public = SealingKey::from_base64(&Secret::from(keys.public())).unwrap();
        let (tenant, other) = [7, 8].map(|n| TenantId(uuid::Uuid::from_u128(n))).into();
        let row = ["https://a"];
        let mut sealed = public.seal(&place(tenant, &row), b"token").unwrap();
        assert!(!sealed.windows(5).any(|part| part == b"token"));
        assert_ne!(sealed, public.seal(&place(tenant, &row), b"token").unwrap());
        assert_eq!(
            keys.open(&place(tenant, &row), &sealed).unwrap().as_slice(),
            b"token"
        );
        assert!(keys.open(&place(other, &row), &sealed).is_err());
        assert!(keys.open(&place(tenant, &["https://b"]), &sealed).is_err());

        let rotated = format!("{}\n{}\n", new.expose_str(), old.expose_str());
        let rotated = OpeningKeys::from_base64(&Secret::from(rotated)).unwrap();
        assert!(
            rotated.open(&place(tenant, &row), &sealed).is_ok(),
            "sealed before the change"
        );
        let alone = OpeningKeys::from_base64(&new).unwrap();
        assert_eq!(rotated.public(), alone.public());
        assert!(alone.open(&place(tenant, &row), &sealed).is_err());

        *sealed.last_mut().unwrap() ^= 1;
        assert!(keys.open(&place(tenant, &row), &sealed).is_err());
        for end in 0..sealed.len() {
            assert!(keys.open(&place(tenant, &row), &sealed[..end]).is_err());
        }
        assert!(OpeningKeys::from_base64(&Secret::from("")).is_err());
        assert!(SealingKey::from_base64(&Secret::from("c2hvcnQ=")).is_err());
    }
}
