//! Taking a text apart: names, numbers, quoted texts and signs are alike in both languages.

use super::{MAX_TEXT, Misread};

/// A part of a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// Letters, digits and `_`.
    Name(String),
    /// A whole number.
    Whole(i64),
    /// Any other number.
    Fraction(f64),
    /// A quoted text.
    Text(String),
    /// A sign of one or two characters.
    Sign(&'static str),
}

/// A part, where it stands, and whether anything stands between it and the one before.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) spaced: bool,
    pub(super) token: Token,
}

/// Longer ones go before shorter ones.
const SIGNS: &[&str] = &[
    "==", "!=", "<=", ">=", "&&", "||", "??", "?.", "(", ")", "[", "]", ".", ",", ":", "?", "|",
    "!", "<", ">", "+", "-", "$",
];

/// The parts of `text[from..to]`. Texts are quoted as `quotes` says.
pub(super) fn words(
    text: &str,
    from: usize,
    to: usize,
    quotes: &[char],
) -> Result<Vec<Word>, Misread> {
    if text.len() > MAX_TEXT {
        return Err(Misread::TooLarge);
    }
    let (mut words, mut at, mut spaced) = (Vec::new(), from, true);
    while let Some(rest) = text.get(at..to)
        && let Some(first) = rest.chars().next()
    {
        if first.is_whitespace() {
            (at, spaced) = (at + first.len_utf8(), true);
            continue;
        }
        let found = if first == '_' || first.is_alphabetic() {
            Some(name(rest))
        } else if first.is_ascii_digit() {
            number(rest)
        } else if quotes.contains(&first) {
            Some(quoted(text, at, rest, first)?)
        } else {
            let sign = SIGNS.iter().copied().find(|sign| rest.starts_with(sign));
            sign.map(|sign| (Token::Sign(sign), sign.len()))
        };
        let Some((token, length)) = found else {
            let unknown = rest.split_whitespace().next().unwrap_or_default();
            return Err(Misread::word(text, at, unknown));
        };
        words.push(Word {
            from: at,
            to: at + length,
            spaced,
            token,
        });
        (at, spaced) = (at + length, false);
    }
    Ok(words)
}

fn name(rest: &str) -> (Token, usize) {
    let inner = |c: char| c == '_' || c.is_alphanumeric();
    let end = rest.find(|c| !inner(c)).unwrap_or(rest.len());
    let name = rest.get(..end).unwrap_or_default();
    (Token::Name(name.to_owned()), end)
}

/// `None` for a number that runs into a word, or is none.
fn number(rest: &str) -> Option<(Token, usize)> {
    let inner = |c: char| c == '.' || c == '_' || c.is_alphanumeric();
    let end = rest.find(|c| !inner(c)).unwrap_or(rest.len());
    let digits = rest.get(..end)?;
    let token = match digits.parse() {
        Ok(whole) => Token::Whole(whole),
        Err(_) => Token::Fraction(digits.parse().ok()?),
    };
    Some((token, end))
}

fn quoted(text: &str, at: usize, rest: &str, quote: char) -> Result<(Token, usize), Misread> {
    let mut made = String::new();
    let mut letters = rest.char_indices().skip(1);
    while let Some((place, letter)) = letters.next() {
        if letter == quote {
            return Ok((Token::Text(made), place + letter.len_utf8()));
        }
        if letter != '\\' || quote == '`' {
            made.push(letter);
            continue;
        }
        let Some((_, escaped)) = letters.next() else {
            break;
        };
        made.push(match escaped {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            '\\' | '"' | '\'' => escaped,
            _ => {
                let word = format!("\\{escaped}");
                return Err(Misread::word(text, at + place, &word));
            }
        });
    }
    Err(Misread::End)
}
