//! The messages of a terminal, as Argo CD's pages write and read them.

use serde::Deserialize;
use serde_json::json;

/// What makes a page open the terminal anew, with the token that it has by then.
const RECONNECT: u8 = 1;

/// What somebody sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// What was typed.
    Typed(String),
    /// How large the terminal is now.
    Size { rows: u16, columns: u16 },
}

/// Reads a message; `None` where it is none of a terminal's.
pub(super) fn read(message: &[u8]) -> Option<Sent> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Message {
        operation: String,
        data: String,
        rows: u16,
        cols: u16,
    }
    let message: Message = serde_json::from_slice(message).ok()?;
    match message.operation.as_str() {
        "stdin" => Some(Sent::Typed(message.data)),
        "resize" => Some(Sent::Size {
            rows: message.rows,
            columns: message.cols,
        }),
        _ => None,
    }
}

/// What the shell wrote.
pub(super) fn stdout(text: &str) -> String {
    json!({"operation": "stdout", "data": text, "rows": 0, "cols": 0}).to_string()
}

/// That the terminal is to be opened anew.
pub(super) fn reconnect() -> String {
    json!({"Code": RECONNECT}).to_string()
}

/// Bytes that arrive in pieces, as text: a character that is cut in two waits for its rest.
#[derive(Debug, Default)]
pub(super) struct Text {
    begun: Vec<u8>,
}

impl Text {
    /// The text of the next piece, as far as it is whole. What is no text is replaced.
    pub(super) fn take(&mut self, piece: &[u8]) -> String {
        let mut bytes = std::mem::take(&mut self.begun);
        bytes.extend_from_slice(piece);
        let begun = match std::str::from_utf8(&bytes) {
            // The end of the bytes came too early, rather than something wrong.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            // The last of several wrong places may be the end, too.
            Err(_) => last_begun(&bytes),
            Ok(_) => bytes.len(),
        };
        self.begun = bytes.split_off(begun);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Where a character begins that the bytes end within; their length where there is none.
fn last_begun(bytes: &[u8]) -> usize {
    let whole = bytes.len();
    let cut = |at: &usize| {
        let tail = bytes.get(*at..).unwrap_or_default();
        let first = tail.first().copied().unwrap_or_default();
        let is_cut = std::str::from_utf8(tail).is_err_and(|e| e.error_len().is_none());
        first >= 0xC0 && is_cut
    };
    (whole.saturating_sub(3)..whole).find(cut).unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_pages_send_is_read_and_nothing_else() {
        let typed = br#"{"operation":"stdin","data":"ls\r","rows":24,"cols":80}"#;
        assert_eq!(read(typed), Some(Sent::Typed("ls\r".into())));
        let size = br#"{"operation":"resize","cols":120,"rows":40}"#;
        let wanted = Sent::Size {
            rows: 40,
            columns: 120,
        };
        assert_eq!(read(size), Some(wanted));
        for bad in [
            &b"ls"[..],
            br#"{"operation":"stdout","data":"x"}"#,
            br#"{"operation":"resize","rows":70000}"#,
            br#"{"operation":"stdin","data":7}"#,
            b"[]",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_said_is_as_pages_read_it() {
        let said: Value = serde_json::from_str(&stdout("a\x1b[0m")).unwrap();
        let wanted = json!({"operation": "stdout", "data": "a\u{1b}[0m", "rows": 0, "cols": 0});
        assert_eq!(said, wanted);
        assert_eq!(reconnect(), r#"{"Code":1}"#);
    }

    #[test]
    fn a_character_that_is_cut_in_two_comes_whole() {
        let mut text = Text::default();
        let (han, smile) = ("\u{d55c}".as_bytes(), "\u{1f642}".as_bytes());
        assert_eq!(text.take(&han[..1]), "");
        assert_eq!(text.take(&han[1..]), "\u{d55c}");
        assert_eq!(
            text.take(&[b"\xff".as_slice(), &smile[..3]].concat()),
            "\u{fffd}"
        );
        assert_eq!(text.take(&smile[3..]), "\u{1f642}");
        assert_eq!(text.take(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(text.take(b"\xe2\x28"), "\u{fffd}(");
    }
}
