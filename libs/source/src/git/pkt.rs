//! Git's packet lines, as far as listing refs needs them.

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

/// Reads packets until the bytes end; `None` where they are malformed.
pub(super) fn packets(mut bytes: &[u8]) -> impl Iterator<Item = Option<Packet<'_>>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let taken = take(bytes);
        match &taken {
            Some((_, rest)) => bytes = rest,
            None => bytes = &[],
        }
        Some(taken.map(|(packet, _)| packet))
    })
}

fn take(bytes: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    let (head, rest) = bytes.split_at_checked(4)?;
    let length = usize::from_str_radix(std::str::from_utf8(head).ok()?, 16).ok()?;
    if length < 4 {
        return Some((Packet::Mark, rest));
    }
    let (content, rest) = rest.split_at_checked(length - 4)?;
    Some((
        Packet::Line(content.strip_suffix(b"\n").unwrap_or(content)),
        rest,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_cut_and_malformed_ones_end_the_stream() {
        let bytes = format!("{}0000{}", line("version 2"), "00zz");
        let all: Vec<_> = packets(bytes.as_bytes()).collect();
        assert_eq!(
            all,
            [Some(Packet::Line(b"version 2")), Some(Packet::Mark), None]
        );
        assert_eq!(packets(b"fff0x").collect::<Vec<_>>(), [None]);
    }
}
