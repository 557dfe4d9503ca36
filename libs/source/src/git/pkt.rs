//! Git's packet lines, as far as listing refs and fetching need them.

/// One packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    Line(&'a [u8]),
    /// `0000`, `0001`, `0002`.
    Mark,
}

/// A line with its length in front.
pub(super) fn line(text: &str) -> String {
    format!("{:04x}{text}\n", text.len() + 5)
}

/// No packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// One packet as it stands: what need not be a line is not cut where one would end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Raw<'a> {
    Content(&'a [u8]),
    /// `0000` is 0, and so on.
    Mark(usize),
}

/// The first packet as it stands, and what follows it; nothing where it has not come whole.
pub(super) fn raw(bytes: &[u8]) -> Result<Option<(Raw<'_>, &[u8])>, Malformed> {
    let Some((head, rest)) = bytes.split_at_checked(4) else {
        return Ok(None);
    };
    // A sign before them is no digit.
    if !head.iter().all(u8::is_ascii_hexdigit) {
        return Err(Malformed);
    }
    let head = std::str::from_utf8(head).map_err(|_| Malformed)?;
    let length = usize::from_str_radix(head, 16).map_err(|_| Malformed)?;
    let Some(content) = length.checked_sub(4) else {
        return Ok(Some((Raw::Mark(length), rest)));
    };
    let whole = rest.split_at_checked(content);
    Ok(whole.map(|(content, rest)| (Raw::Content(content), rest)))
}

/// The first packet and what follows it; nothing where it has not come whole.
pub(super) fn first(bytes: &[u8]) -> Result<Option<(Packet<'_>, &[u8])>, Malformed> {
    let packet = raw(bytes)?;
    Ok(packet.map(|(packet, rest)| match packet {
        Raw::Mark(_) => (Packet::Mark, rest),
        Raw::Content(content) => {
            let content = content.strip_suffix(b"\n").unwrap_or(content);
            (Packet::Line(content), rest)
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_cut_as_they_come_and_malformed_ones_are_none() {
        let bytes = format!("{}0000{}", line("version 2"), "00zz");
        let (packet, rest) = first(bytes.as_bytes()).unwrap().unwrap();
        assert_eq!(packet, Packet::Line(b"version 2"));
        let (packet, rest) = first(rest).unwrap().unwrap();
        assert_eq!(packet, Packet::Mark);
        assert_eq!(first(rest), Err(Malformed));
        for part in ["", "00", "fff0x", "0006x"] {
            assert_eq!(first(part.as_bytes()), Ok(None), "{part}");
        }
        let empty = (Packet::Line(&b""[..]), &b""[..]);
        assert_eq!(first(b"0004"), Ok(Some(empty)));
        let content = (Raw::Content(&b"\x01\n"[..]), &b"0001"[..]);
        assert_eq!(raw(b"0006\x01\n0001"), Ok(Some(content)));
        assert_eq!(raw(b"0001"), Ok(Some((Raw::Mark(1), &b""[..]))));
        for none in ["+005x", "-001", " 005", "\u{feff}0"] {
            assert_eq!(raw(none.as_bytes()), Err(Malformed), "{none}");
        }
    }
}
