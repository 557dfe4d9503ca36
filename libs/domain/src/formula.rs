//! The two small languages that people write links in: Go's templates ([`template`]) and the expressions of expr-lang
//! ([`expression`]), as far as addresses and conditions need them.
//!
//! Whoever writes them is a stranger. What is read is bounded in length and depth, what is made in length and steps, and
//! nothing outside of the values that are given can be reached. A word that is not understood is refused when it is
//! written, by its name.

pub mod expression;
pub mod template;
mod values;
mod words;

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

/// The longest text that is read.
pub const MAX_TEXT: usize = 4 << 10;
/// How deep what is written may be nested.
const MAX_DEPTH: usize = 32;
/// The longest text that comes out, or stands in between.
const MAX_MADE: usize = 16 << 10;
/// The longest text, and the longest row of values, that anything is done with.
const MAX_GIVEN: usize = 64 << 10;
const MAX_ROW: usize = 1_000;
/// How much may be done for one who asks.
const MAX_STEPS: usize = 5_000;
/// How much of a value, about as many bytes, is worked through or copied in one step.
const A_STEP: usize = 256;
/// How many steps a regular expression stands for, besides those for its length and for that of the text.
const PATTERN: usize = 100;
/// The longest regular expression.
const MAX_PATTERN: usize = 256;

/// Why a text is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misread {
    /// A word, or a sign, that is unknown or does not belong there.
    Word {
        /// As it is written, cut when it is long.
        word: String,
        /// The character it begins at, from 1.
        at: usize,
    },
    /// It ends before it is complete.
    End,
    /// It is longer, or nested deeper, than it may be.
    TooLarge,
}

impl Misread {
    /// A word of a text that begins at a byte of it.
    fn word(text: &str, at: usize, word: &str) -> Self {
        let before = text.get(..at).map_or(0, |before| before.chars().count());
        Self::Word {
            word: word.chars().take(40).collect(),
            at: before + 1,
        }
    }
}

/// Why nothing comes of values for which the text was not written. Says what was done, never with which values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(String);

impl Fault {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much may still be done, by all that is done for one who asks.
#[derive(Debug)]
pub struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_STEPS)
    }
}

impl Budget {
    fn spend(&mut self, steps: usize) -> Result<(), Fault> {
        let left = self.0.checked_sub(steps);
        self.0 = left.unwrap_or_default();
        match left {
            Some(_) => Ok(()),
            None => Err(Fault::new("it does more than it may")),
        }
    }

    /// Spends what it takes to work on values: texts are worked through, and what was made is copied and dropped; of what was
    /// given, lists and maps are looked into only so far as each function says.
    fn work<'m, 'v: 'm>(
        &mut self,
        values: impl IntoIterator<Item = &'m Cow<'v, Value>>,
    ) -> Result<(), Fault> {
        for value in values {
            match (value, &**value) {
                (_, Value::String(text)) => self.spend(text.len().min(MAX_GIVEN) / A_STEP)?,
                (Cow::Owned(made), Value::Array(_) | Value::Object(_)) => {
                    self.weigh(made, &mut { MAX_GIVEN })?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Spends what a value weighs, and takes it from what is left for it and others.
    fn weigh(&mut self, value: &Value, left: &mut usize) -> Result<(), Fault> {
        let before = *left;
        let outweighs = values::outweighs(value, left);
        // Of what weighs too much, that much has been looked at.
        self.spend((before - *left) / A_STEP)?;
        match outweighs {
            true => Err(Fault::new("a value is larger than anything is done with")),
            false => Ok(()),
        }
    }

    /// A copy of a value, which takes as long as the value is large.
    fn copy(&mut self, value: &Value) -> Result<Value, Fault> {
        self.weigh(value, &mut { MAX_GIVEN })?;
        Ok(value.clone())
    }
}

/// A text that is not longer than it may be.
fn short(text: String) -> Result<String, Fault> {
    if text.len() > MAX_MADE {
        return Err(Fault::new("a text becomes longer than it may be"));
    }
    Ok(text)
}
