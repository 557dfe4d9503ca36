//! Protobuf's bytes: tags and the four ways a value is written.

/// A value as it lies on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw<'a> {
    /// A number or a truth value.
    Varint(u64),
    /// Eight bytes. No message here has such a field.
    Fixed64,
    /// Text, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
    /// Four bytes. No message here has such a field.
    Fixed32,
}

/// Takes a message apart, field by field.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        prost::encoding::decode_varint(&mut self.rest).ok()
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = tail;
        Some(head)
    }

    /// The next field's number and value; `None` when the bytes are malformed.
    pub(super) fn field(&mut self) -> Option<(u32, Raw<'a>)> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok()?;
        let value = match key & 7 {
            0 => Raw::Varint(self.varint()?),
            1 => self.take(8).map(|_| Raw::Fixed64)?,
            2 => {
                let length = self.varint()?;
                Raw::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Raw::Fixed32)?,
            _ => return None,
        };
        Some((number, value))
    }
}

/// Appends a number or truth value.
pub(super) fn put_varint(out: &mut Vec<u8>, number: u32, value: u64) {
    prost::encoding::encode_varint(u64::from(number) << 3, out);
    prost::encoding::encode_varint(value, out);
}

/// Appends text, bytes or a message.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    prost::encoding::encode_varint(u64::from(number) << 3 | 2, out);
    prost::encoding::encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
