//! Where an entry rests, and what its seal binds to.

use domain::tenant::TenantId;

/// Where an entry rests.
pub(crate) struct Place<'a> {
    pub prefix: &'a str,
    pub tenant: TenantId,
    pub kind: &'a str,
    pub key: &'a str,
}

impl Place<'_> {
    /// The entry's name in Redis. The key goes in as a digest, which bounds the name and tells nothing.
    pub(crate) fn name(&self) -> String {
        let digest = blake3::hash(self.key.as_bytes()).to_hex();
        format!("{}{}:{}:{digest}", self.prefix, self.tenant, self.kind)
    }

    /// What the seal binds to: all parts, each led by its length, so that no two places read the same.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(96 + self.key.len());
        for part in [
            self.prefix.as_bytes(),
            self.tenant.0.as_bytes(),
            self.kind.as_bytes(),
            self.key.as_bytes(),
        ] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}
