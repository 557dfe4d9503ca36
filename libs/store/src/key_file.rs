//! The installation's key, from a file; it wraps the tenants' keys and nothing else.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::secret::Secret;
use domain::tenant::TenantId;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::seal::{self, Place};

/// The key of the installation: 32 bytes, base64 in the file.
#[derive(Clone)]
pub struct KeyFile {
    key: Secret,
}

impl KeyFile {
    /// Reads the key from its file.
    ///
    /// # Errors
    /// When the file cannot be read or does not hold 32 bytes in base64.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::KeyFile(format!("{}: {error}", path.display())))?;
        Self::from_base64(&Secret::from(text))
    }

    /// Takes the key as its file holds it.
    ///
    /// # Errors
    /// When it is not 32 bytes in base64.
    pub fn from_base64(text: &Secret) -> Result<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(text.expose_str().trim()).map_err(|_| {
            Error::KeyFile(
                "it must hold 32 bytes in base64 (`head -c 32 /dev/urandom | base64`)".into(),
            )
        })?);
        if bytes.len() != 32 {
            return Err(Error::KeyFile(format!(
                "it must hold 32 bytes in base64, but holds {}",
                bytes.len()
            )));
        }
        Ok(Self {
            key: Secret::new(bytes.as_slice()),
        })
    }

    /// A fresh key, as its file should hold it.
    #[must_use]
    pub fn generate() -> Secret {
        let bytes = Zeroizing::new(seal::random::<32>());
        Secret::from(STANDARD.encode(bytes.as_slice()))
    }

    /// A name by which rows say which key wrapped them; it tells nothing about the key.
    pub(crate) fn id(&self) -> String {
        let digest = Zeroizing::new(blake3::derive_key(
            "naru 2026 key-encryption-key id",
            self.key.expose(),
        ));
        hex::encode(digest.get(..8).unwrap_or_default())
    }

    pub(crate) fn wrap(&self, tenant: TenantId, key: &Secret) -> Result<Vec<u8>> {
        seal::seal(&self.key, &place(tenant), key.expose())
    }

    pub(crate) fn unwrap(&self, tenant: TenantId, wrapped: &[u8]) -> Result<Secret> {
        seal::open(&self.key, &place(tenant), wrapped).map(|key| Secret::new(key.as_slice()))
    }
}

fn place(tenant: TenantId) -> Place<'static> {
    Place {
        tenant,
        table: "tenant_keys",
        column: "wrapped",
        row: &[],
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyFile(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_and_has_an_id_of_its_own() {
        let a = KeyFile::from_base64(&KeyFile::generate()).unwrap();
        let b = KeyFile::from_base64(&KeyFile::generate()).unwrap();
        assert_eq!(a.id(), a.id());
        assert_ne!(a.id(), b.id());
        assert!(KeyFile::from_base64(&Secret::from("c2hvcnQ=")).is_err());
        assert!(KeyFile::from_base64(&Secret::from("?")).is_err());
        let tenant = TenantId(uuid::Uuid::from_u128(7));
        let wrapped = a.wrap(tenant, &Secret::from("k")).unwrap();
        assert_eq!(a.unwrap(tenant, &wrapped).unwrap(), Secret::from("k"));
        assert!(b.unwrap(tenant, &wrapped).is_err());
    }
}
