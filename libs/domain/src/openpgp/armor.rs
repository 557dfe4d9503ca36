//! The ASCII form: base64 between two lines, with a checksum.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::Malformed;

const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";
const BEGIN_PRIVATE: &str = "-----BEGIN PGP PRIVATE KEY BLOCK-----";
/// The most bytes of one text.
const MAX_BYTES: usize = 2 << 20;

/// The bytes of every block of a text.
pub(super) fn blocks(text: &str) -> Result<Vec<Vec<u8>>, Malformed> {
    if text.len() > MAX_BYTES {
        return Err(Malformed::TooMany);
    }
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        match line {
            BEGIN_PRIVATE => return Err(Malformed::Private),
            BEGIN => {
                let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != END).collect();
                blocks.push(block(&inside)?);
            }
            _ => {}
        }
    }
    if blocks.is_empty() {
        return Err(Malformed::NoBlock);
    }
    Ok(blocks)
}

/// Headers, an empty line, base64, and perhaps a checksum.
fn block(lines: &[&str]) -> Result<Vec<u8>, Malformed> {
    let start = lines
        .iter()
        .position(|line| line.is_empty())
        .map_or(0, |empty| empty + 1);
    let mut content = String::new();
    let mut sum = None;
    for line in lines.iter().skip(start) {
        match line.strip_prefix('=') {
            Some(text) if text.len() == 4 => sum = Some(text),
            _ => content.push_str(line),
        }
    }
    let bytes = BASE64_STANDARD
        .decode(content)
        .map_err(|_| Malformed::Damaged)?;
    match sum {
        Some(sum) if sum != checksum(&bytes) => Err(Malformed::Damaged),
        _ => Ok(bytes),
    }
}

/// A block of these bytes.
pub(super) fn write(bytes: &[u8]) -> String {
    let content = BASE64_STANDARD.encode(bytes);
    let mut text = format!("{BEGIN}\n\n");
    let mut rest = content.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str(&format!("={}\n{END}\n", checksum(bytes)));
    text
}

/// CRC-24, base64.
fn checksum(bytes: &[u8]) -> String {
    let mut crc: u32 = 0x00B7_04CE;
    for byte in bytes {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4CFB;
            }
        }
    }
    BASE64_STANDARD.encode(crc.to_be_bytes().get(1..).unwrap_or_default())
}
