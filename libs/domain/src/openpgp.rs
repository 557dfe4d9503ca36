//! OpenPGP public keys: which they are and whose, read from their armor (RFC 4880).
//!
//! Nothing is verified here: a key is named by the hash of itself, which is all that a list of trusted keys needs. Crates
//! that read whole OpenPGP bring every cipher that it ever had; who verifies a signature will need one, who keeps a key
//! does not.

mod armor;
mod packet;

use sha1::{Digest, Sha1};

use packet::{Packet, Tag};

/// The most keys of one text.
const MAX_KEYS: usize = 100;

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// The last 16 digits of the fingerprint.
    pub id: String,
    /// 40 digits.
    pub fingerprint: String,
    /// Who it says it is: its first user id.
    pub owner: String,
    /// The algorithm and its size: `rsa4096`, `ed25519`.
    pub sub_type: String,
    /// The key alone, armored.
    pub armored: String,
}

/// Why a text holds no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No `BEGIN PGP PUBLIC KEY BLOCK`, or one that does not end.
    #[error("there is no PGP public key block in it")]
    NoBlock,
    /// The block is damaged.
    #[error("the PGP public key block is damaged")]
    Damaged,
    /// Somebody's secret.
    #[error("it holds a private key; export the public one (`gpg --armor --export`)")]
    Private,
    /// A key of another version than 4.
    #[error("it holds a key of version {0}, only version 4 is known")]
    Version(u8),
    /// A key that names nobody, or that nobody signed.
    #[error("it holds a key without a signed user id")]
    Nobody,
    /// More than one text may hold.
    #[error("it holds more than 100 keys")]
    TooMany,
}

/// The actual key id of an id or a fingerprint; `None` when it is neither.
#[must_use]
pub fn key_id(text: &str) -> Option<&str> {
    let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.len() {
        16 if hex => Some(text),
        40 if hex => text.get(24..),
        _ => None,
    }
}

/// The keys of a text, in their order; one that occurs twice once.
///
/// # Errors
/// What is wrong with the text.
pub fn public_keys(text: &str) -> Result<Vec<PublicKey>, Malformed> {
    let mut keys: Vec<PublicKey> = Vec::new();
    for block in armor::blocks(text)? {
        let packets = packet::read(&block)?;
        let starts: Vec<usize> = packets
            .iter()
            .enumerate()
            .filter(|(_, packet)| packet.tag == Tag::PublicKey)
            .map(|(at, _)| at)
            .collect();
        if starts.first() != Some(&0) {
            return Err(Malformed::Damaged);
        }
        for (n, start) in starts.iter().enumerate() {
            let end = starts.get(n + 1).copied().unwrap_or(packets.len());
            let key = one(packets.get(*start..end).unwrap_or_default())?;
            if !keys.iter().any(|known| known.id == key.id) {
                keys.push(key);
            }
            if keys.len() > MAX_KEYS {
                return Err(Malformed::TooMany);
            }
        }
    }
    Ok(keys)
}

fn one(packets: &[Packet<'_>]) -> Result<PublicKey, Malformed> {
    let body = packets.first().ok_or(Malformed::Damaged)?.body;
    match body.first() {
        Some(4) => {}
        Some(version) => return Err(Malformed::Version(*version)),
        None => return Err(Malformed::Damaged),
    }
    let length = u16::try_from(body.len()).map_err(|_| Malformed::Damaged)?;
    let mut hash = Sha1::new();
    hash.update([0x99]);
    hash.update(length.to_be_bytes());
    hash.update(body);
    let fingerprint = hex::encode_upper(hash.finalize());
    let signed = packets
        .windows(2)
        .find(|pair| pair[0].tag == Tag::UserId && pair[1].tag == Tag::Signature);
    let owner = signed.ok_or(Malformed::Nobody)?[0].body;
    let whole: Vec<u8> = packets
        .iter()
        .flat_map(|packet| packet.whole)
        .copied()
        .collect();
    Ok(PublicKey {
        id: fingerprint.get(24..).unwrap_or_default().to_owned(),
        owner: String::from_utf8_lossy(owner)
            .chars()
            .filter(|c| !c.is_control())
            .collect(),
        sub_type: packet::sub_type(body).ok_or(Malformed::Damaged)?,
        armored: armor::write(&whole),
        fingerprint,
    })
}

#[cfg(test)]
mod tests;
