//! Values that must never be seen.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes that cannot be printed and cannot be serialised, and are wiped when dropped.
///
/// There is no `Serialize`, no `Display`, and `Debug` prints a fixed mark. [`Secret::expose`] is the one way to the
/// content, so that a reader can find every use.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the bytes in.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for the one use that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text; empty if they are not UTF-8.
    #[must_use]
    pub fn expose_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A value shorter than this stands in too many words to be taken out of them.
const SHORTEST_HIDDEN: usize = 4;

/// Takes secrets out of what others said: whoever talks to the outside with a secret passes the answer through one
/// that knows it.
#[derive(Default)]
pub struct Redactor {
    hidden: Vec<Secret>,
}

impl Redactor {
    /// Hides these, as they are and in base64; of a secret of several lines each line.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut hidden = Vec::new();
        for secret in secrets {
            hidden.push(Secret::from(BASE64_STANDARD.encode(secret.expose())));
            for line in secret.expose_str().lines().map(str::trim) {
                // The frame of a PEM block is no secret.
                if !line.starts_with("-----") {
                    hidden.push(Secret::from(line));
                }
            }
        }
        hidden.retain(|secret| secret.expose().len() >= SHORTEST_HIDDEN);
        // A secret that begins with another is taken out whole.
        hidden.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        Self { hidden }
    }

    /// The text without them.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.hidden {
            if text.contains(secret.expose_str()) {
                text = text.replace(secret.expose_str(), "++++++++");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_are_taken_out_of_a_text() {
        let secrets = [
            Secret::from("hunter2"),
            Secret::from("hunter2-and-more"),
            Secret::from("-----BEGIN KEY-----\nMIIBabc\n-----END KEY-----\n"),
            Secret::from("x"),
        ];
        let redactor = Redactor::new(&secrets);
        let said = "no hunter2-and-more, hunter2, aHVudGVyMg==, MIIBabc; x stays";
        assert_eq!(
            redactor.redact(said),
            "no ++++++++, ++++++++, ++++++++, ++++++++; x stays"
        );
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::from("hunter2")), "Secret(…)");
    }
}
