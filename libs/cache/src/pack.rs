//! Values as they rest: smaller where that is worth the time.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// Below so many bytes nothing is won.
const WORTH: usize = 512;

/// The first byte of a value that rests as it is, and of one that was made smaller.
const PLAIN: u8 = 0;
const DEFLATED: u8 = 1;

/// A value as it rests.
pub(crate) fn pack(value: &[u8]) -> Vec<u8> {
    if value.len() >= WORTH
        && let Some(smaller) = deflated(value)
        && smaller.len() <= value.len()
    {
        return smaller;
    }
    let mut packed = Vec::with_capacity(value.len() + 1);
    packed.push(PLAIN);
    packed.extend_from_slice(value);
    packed
}

fn deflated(value: &[u8]) -> Option<Vec<u8>> {
    let mut packed = Vec::with_capacity(value.len() / 4);
    packed.push(DEFLATED);
    let mut encoder = DeflateEncoder::new(packed, Compression::fast());
    encoder.write_all(value).ok()?;
    encoder.finish().ok()
}

/// The value of what rests; `None` where it is of another form, or larger than `most`.
pub(crate) fn unpack(mut packed: Vec<u8>, most: usize) -> Option<Vec<u8>> {
    match *packed.first()? {
        PLAIN => {
            packed.remove(0);
            Some(packed)
        }
        DEFLATED => {
            let mut value = Vec::with_capacity(packed.len().saturating_mul(4).min(most));
            let mut decoder = DeflateDecoder::new(&packed[1..]).take(most as u64 + 1);
            decoder.read_to_end(&mut value).ok()?;
            (value.len() <= most).then_some(value)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_as_it_was_and_never_larger_than_it_may_be() {
        let long = b"kind: ConfigMap, ".repeat(1_000);
        let noise: Vec<u8> = (0..2_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        for value in [&b""[..], &b"short"[..], &long[..], &noise[..]] {
            let packed = pack(value);
            assert!(packed.len() <= value.len() + 1);
            assert_eq!(unpack(packed, 1 << 20).as_deref(), Some(value));
        }
        assert!(pack(&long).len() < long.len() / 10);
        assert_eq!(unpack(pack(&long), long.len() - 1), None, "too large");
    }

    #[test]
    fn what_is_of_another_form_is_nothing() {
        for other in [&b""[..], &b"{}"[..], &[DEFLATED, 0xff, 0xff][..]] {
            assert_eq!(unpack(other.to_vec(), 1 << 20), None, "{other:?}");
        }
    }
}
