//! The binary form: packets, one behind the other.

use super::Malformed;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Signature,
    PublicKey,
    UserId,
    /// Subkeys, pictures, trust: part of the key, and nothing that is asked for.
    Other,
}

/// One packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) tag: Tag,
    pub(super) body: &'a [u8],
    /// With its header.
    pub(super) whole: &'a [u8],
}

/// The packets of a block.
pub(super) fn read(mut bytes: &[u8]) -> Result<Vec<Packet<'_>>, Malformed> {
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        let (number, header, length) = header(bytes).ok_or(Malformed::Damaged)?;
        let end = header.checked_add(length).ok_or(Malformed::Damaged)?;
        let (Some(body), Some(whole)) = (bytes.get(header..end), bytes.get(..end)) else {
            return Err(Malformed::Damaged);
        };
        let tag = match number {
            2 => Tag::Signature,
            5 | 7 => return Err(Malformed::Private),
            6 => Tag::PublicKey,
            13 => Tag::UserId,
            12 | 14 | 17 => Tag::Other,
            _ => return Err(Malformed::Damaged),
        };
        packets.push(Packet { tag, body, whole });
        bytes = bytes.get(end..).unwrap_or_default();
    }
    Ok(packets)
}

/// A packet's number, the length of its header and of its body. Bodies in parts do not occur in keys.
fn header(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let first = *bytes.first()?;
    let at = |index: usize| bytes.get(index).copied().map(usize::from);
    if first & 0x80 == 0 {
        return None;
    }
    if first & 0x40 == 0 {
        let number = (first >> 2) & 0x0f;
        return match first & 3 {
            0 => Some((number, 2, at(1)?)),
            1 => Some((number, 3, at(1)? << 8 | at(2)?)),
            2 => Some((
                number,
                5,
                at(1)? << 24 | at(2)? << 16 | at(3)? << 8 | at(4)?,
            )),
            _ => None,
        };
    }
    let number = first & 0x3f;
    match at(1)? {
        length @ 0..=191 => Some((number, 2, length)),
        high @ 192..=223 => Some((number, 3, ((high - 192) << 8) + at(2)? + 192)),
        255 => Some((
            number,
            6,
            at(2)? << 24 | at(3)? << 16 | at(4)? << 8 | at(5)?,
        )),
        _ => None,
    }
}

/// The algorithm of a key of version 4, as GnuPG writes it.
pub(super) fn sub_type(body: &[u8]) -> Option<String> {
    let algorithm = *body.get(5)?;
    let rest = body.get(6..)?;
    let bits = || Some(u16::from_be_bytes(*rest.first_chunk()?));
    let curve = || {
        let length = usize::from(*rest.first()?);
        Some(match hex::encode(rest.get(1..1 + length)?).as_str() {
            "2b06010401da470f01" => "ed25519",
            "2b656f" => "ed448",
            "2a8648ce3d030107" => "nistp256",
            "2b81040022" => "nistp384",
            "2b81040023" => "nistp521",
            "2b8104000a" => "secp256k1",
            "2b2403030208010107" => "brainpoolP256r1",
            "2b240303020801010b" => "brainpoolP384r1",
            "2b240303020801010d" => "brainpoolP512r1",
            _ => "unknown",
        })
    };
    Some(match algorithm {
        1..=3 => format!("rsa{}", bits()?),
        17 => format!("dsa{}", bits()?),
        16 | 20 => format!("elg{}", bits()?),
        18 | 19 | 22 => curve()?.to_owned(),
        27 => "ed25519".to_owned(),
        28 => "ed448".to_owned(),
        other => format!("unknown_{other}"),
    })
}
