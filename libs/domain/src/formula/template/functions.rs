//! The functions of templates: Go's own, and those of sprig that addresses are made with. A value that a pipeline hands on
//! is the last one.

use std::borrow::Cow;
use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Made;
use crate::formula::expression::replaced;
use crate::formula::values::{
    equal, is_empty, joined, length, order, outweighs, pattern, print, row, text,
};
use crate::formula::{Budget, Fault, MAX_MADE, short};

/// A function, and how many values it takes.
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) least: usize,
    pub(super) most: usize,
}

const fn takes(name: &'static str, least: usize, most: usize) -> Known {
    Known { name, least, most }
}

/// As many as one likes.
const MANY: usize = 16;

const KNOWN: &[Known] = &[
    takes("add", 1, MANY),
    takes("and", 1, MANY),
    takes("b64dec", 1, 1),
    takes("b64enc", 1, 1),
    takes("coalesce", 1, MANY),
    takes("contains", 2, 2),
    takes("default", 2, 2),
    takes("empty", 1, 1),
    takes("eq", 2, MANY),
    takes("first", 1, 1),
    takes("fromJson", 1, 1),
    takes("ge", 2, 2),
    takes("get", 2, 2),
    takes("gt", 2, 2),
    takes("hasKey", 2, 2),
    takes("hasPrefix", 2, 2),
    takes("hasSuffix", 2, 2),
    takes("index", 2, MANY),
    takes("join", 2, 2),
    takes("last", 1, 1),
    takes("le", 2, 2),
    takes("len", 1, 1),
    takes("lower", 1, 1),
    takes("lt", 2, 2),
    takes("ne", 2, 2),
    takes("nospace", 1, 1),
    takes("not", 1, 1),
    takes("or", 1, MANY),
    takes("print", 1, MANY),
    takes("printf", 1, MANY),
    takes("quote", 1, MANY),
    takes("regexFind", 2, 2),
    takes("regexMatch", 2, 2),
    takes("regexReplaceAll", 3, 3),
    takes("replace", 3, 3),
    takes("split", 2, 2),
    takes("splitList", 2, 2),
    takes("squote", 1, MANY),
    takes("sub", 2, 2),
    takes("ternary", 3, 3),
    takes("toJson", 1, 1),
    takes("toString", 1, 1),
    takes("trim", 1, 1),
    takes("trimAll", 2, 2),
    takes("trimPrefix", 2, 2),
    takes("trimSuffix", 2, 2),
    takes("trunc", 2, 2),
    takes("upper", 1, 1),
    takes("urlquery", 1, MANY),
];

/// The function of a name.
pub(super) fn find(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

/// What a function makes of values, of which there are as many as it takes.
pub(super) fn call<'v>(
    name: &str,
    values: &[Made<'v>],
    budget: &mut Budget,
) -> Result<Made<'v>, Fault> {
    if let Some(made) = chosen(name, values)? {
        return Ok(made);
    }
    let given = Given(values);
    let made: Value = match texts(name, &given, budget)? {
        Some(text) => Value::String(short(text)?),
        None => match name {
            "add" => sum(&given)?.into(),
            "contains" => given.text(1)?.contains(given.text(0)?).into(),
            "empty" => is_empty(given.value(0)).into(),
            "eq" => {
                let mut same = false;
                for at in 1..values.len() {
                    same |= plain(given.value(0), given.value(at))?;
                }
                same.into()
            }
            "fromJson" => serde_json::from_str(given.text(0)?).unwrap_or_default(),
            "ge" => order(given.value(0), given.value(1))?.is_ge().into(),
            "gt" => order(given.value(0), given.value(1))?.is_gt().into(),
            "hasKey" => given.value(0).get(given.text(1)?).is_some().into(),
            "hasPrefix" => given.text(1)?.starts_with(given.text(0)?).into(),
            "hasSuffix" => given.text(1)?.ends_with(given.text(0)?).into(),
            "le" => order(given.value(0), given.value(1))?.is_le().into(),
            "len" => length(given.value(0))?.into(),
            "lt" => order(given.value(0), given.value(1))?.is_lt().into(),
            "ne" => (!plain(given.value(0), given.value(1))?).into(),
            "not" => is_empty(given.value(0)).into(),
            "regexMatch" => {
                let text = given.text(1)?;
                pattern(given.text(0)?, text, budget)?.is_match(text).into()
            }
            "split" => {
                let parts = given.text(1)?.split(given.text(0)?);
                let parts = row(parts.clone().count(), parts)?.enumerate();
                let named = parts.map(|(at, part)| (format!("_{at}"), Value::from(part)));
                Value::Object(named.collect())
            }
            "splitList" => {
                let parts = given.text(1)?.split(given.text(0)?);
                row(parts.clone().count(), parts)?.collect()
            }
            "sub" => {
                let less = given.whole(0)?.checked_sub(given.whole(1)?);
                less.ok_or_else(overflows)?.into()
            }
            _ => return Err(Fault::new("a function is not there")),
        },
    };
    Ok(Some(Cow::Owned(made)))
}

/// Functions that answer one of their values, or a part of it.
fn chosen<'v>(name: &str, values: &[Made<'v>]) -> Result<Option<Made<'v>>, Fault> {
    let full = |made: &&Made<'v>| made.as_ref().is_some_and(|value| !is_empty(value));
    let at = |at: usize| values.get(at).cloned().flatten();
    Ok(Some(match name {
        "coalesce" => values.iter().find(full).cloned().flatten(),
        "default" => values.get(1).filter(full).cloned().unwrap_or_else(|| at(0)),
        "first" => item(at(0), |items| items.first())?,
        "last" => item(at(0), |items| items.last())?,
        "get" => match (at(0), at(1)) {
            (Some(map), Some(key)) => {
                let found = key.as_str().and_then(|key| part(map, |map| map.get(key)));
                found.or_else(|| Some(Cow::Owned(Value::String(String::new()))))
            }
            _ => return Err(Fault::new("a field of nothing is asked for")),
        },
        "index" => {
            let mut made = at(0);
            for key in values.iter().skip(1) {
                made = below(made, key.as_deref().unwrap_or(&Value::Null))?;
            }
            made
        }
        "ternary" => match at(2).as_deref() {
            Some(Value::Bool(true)) => at(0),
            Some(Value::Bool(false)) => at(1),
            _ => return Err(Fault::new("what has to be true or false is neither")),
        },
        _ => return Ok(None),
    }))
}

/// A part of a value, which stays where it is if it was given.
fn part<'v>(of: Cow<'v, Value>, pick: impl for<'x> Fn(&'x Value) -> Option<&'x Value>) -> Made<'v> {
    match of {
        Cow::Borrowed(value) => pick(value).map(Cow::Borrowed),
        Cow::Owned(value) => pick(&value).cloned().map(Cow::Owned),
    }
}

fn item<'v>(of: Made<'v>, pick: fn(&[Value]) -> Option<&Value>) -> Result<Made<'v>, Fault> {
    match of {
        Some(list) if list.is_array() => Ok(part(list, |list| {
            list.as_array().and_then(|items| pick(items))
        })),
        _ => Err(Fault::new(
            "a value that is no list stands where a list has to",
        )),
    }
}

/// The member of a map, or of a list, where it has to be there.
fn below<'v>(of: Made<'v>, key: &Value) -> Result<Made<'v>, Fault> {
    let no_such = || Fault::new("nothing has such a member");
    let of = of.ok_or_else(no_such)?;
    match key {
        Value::String(key) if of.is_object() => Ok(part(of, |map| map.get(key))),
        Value::Number(place) if of.is_array() => {
            let at = place.as_u64().and_then(|at| usize::try_from(at).ok());
            let found = at.and_then(|at| part(of, |list| list.get(at)));
            found.map(Some).ok_or_else(no_such)
        }
        _ => Err(no_such()),
    }
}

/// Functions that make texts.
fn texts(name: &str, given: &Given<'_, '_>, budget: &mut Budget) -> Result<Option<String>, Fault> {
    Ok(Some(match name {
        "b64dec" => {
            let bytes = STANDARD.decode(given.text(0)?).ok();
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            text.ok_or_else(|| Fault::new("a text is no base64 of a text"))?
        }
        "b64enc" => STANDARD.encode(given.text(0)?),
        "join" => match given.value(1) {
            Value::Array(items) => joined(row(items.len(), items)?, given.text(0)?)?,
            other => print(other)?,
        },
        "lower" => given.text(0)?.to_lowercase(),
        "nospace" => {
            let letters = given.text(0)?.chars();
            letters.filter(|letter| !letter.is_whitespace()).collect()
        }
        "print" => printed(given)?,
        "printf" => formatted(given)?,
        "quote" => each(given, |text| Value::String(text).to_string())?,
        "regexFind" => {
            let text = given.text(1)?;
            let pattern = pattern(given.text(0)?, text, budget)?;
            let found = pattern.find(text);
            found.map_or_else(String::new, |found| found.as_str().to_owned())
        }
        "regexReplaceAll" => {
            let (text, with) = (given.text(1)?, given.text(2)?);
            let pattern = pattern(given.text(0)?, text, budget)?;
            // Each letter may become all of it, and that the whole.
            if text.len().saturating_mul(with.len()) > MAX_MADE * 64 {
                return Err(Fault::new("a text becomes longer than it may be"));
            }
            pattern.replace_all(text, with).into_owned()
        }
        "replace" => replaced(given.text(2)?, given.text(0)?, given.text(1)?)?,
        "squote" => each(given, |text| format!("'{text}'"))?,
        "toJson" if outweighs(given.value(0), &mut { MAX_MADE }) => {
            return Err(Fault::new("a text becomes longer than it may be"));
        }
        "toJson" => given.value(0).to_string(),
        "toString" => print(given.value(0))?,
        "trim" => given.text(0)?.trim().to_owned(),
        "trimAll" => {
            let letters: HashSet<char> = given.text(0)?.chars().collect();
            let text = given.text(1)?;
            let text = text.trim_matches(|letter: char| letters.contains(&letter));
            text.to_owned()
        }
        "trimPrefix" => {
            let text = given.text(1)?;
            text.strip_prefix(given.text(0)?).unwrap_or(text).to_owned()
        }
        "trimSuffix" => {
            let text = given.text(1)?;
            text.strip_suffix(given.text(0)?).unwrap_or(text).to_owned()
        }
        "trunc" => cut(given.text(1)?, given.whole(0)?),
        "upper" => given.text(0)?.to_uppercase(),
        "urlquery" => escaped(&printed(given)?),
        _ => return Ok(None),
    }))
}

/// Values by their places.
struct Given<'a, 'v>(&'a [Made<'v>]);

impl Given<'_, '_> {
    /// What is not there is null.
    fn value(&self, at: usize) -> &Value {
        let made = self.0.get(at).and_then(Option::as_deref);
        made.unwrap_or(&Value::Null)
    }

    fn text(&self, at: usize) -> Result<&str, Fault> {
        text(self.value(at))
    }

    fn whole(&self, at: usize) -> Result<i64, Fault> {
        let other = || Fault::new("a value that is no whole number stands where one has to");
        self.value(at).as_i64().ok_or_else(other)
    }

    fn all(&self) -> impl Iterator<Item = &Value> {
        (0..self.0.len()).map(move |at| self.value(at))
    }
}

/// Whether two values are the same, which Go says of plain ones only.
fn plain(one: &Value, other: &Value) -> Result<bool, Fault> {
    let is_plain = |value: &Value| !(value.is_array() || value.is_object());
    if is_plain(one) && is_plain(other) {
        return Ok(equal(one, other));
    }
    Err(Fault::new("lists and maps are compared"))
}

fn overflows() -> Fault {
    Fault::new("a number becomes larger than it may be")
}

fn sum(given: &Given<'_, '_>) -> Result<i64, Fault> {
    (0..given.0.len()).try_fold(0_i64, |sum, at| {
        sum.checked_add(given.whole(at)?).ok_or_else(overflows)
    })
}

/// Each value that is there, as that writes it.
fn each(given: &Given<'_, '_>, write: fn(String) -> String) -> Result<String, Fault> {
    let there = given.all().filter(|value| !value.is_null());
    let written: Result<Vec<String>, Fault> = there.map(|value| print(value).map(write)).collect();
    Ok(written?.join(" "))
}

/// As Go prints values next to each other: with a space where neither is a text.
fn printed(given: &Given<'_, '_>) -> Result<String, Fault> {
    let mut made = String::new();
    let mut before: Option<&Value> = None;
    for value in given.all() {
        if before.is_some_and(|before| !before.is_string() && !value.is_string()) {
            made.push(' ');
        }
        made.push_str(&print(value)?);
        before = Some(value);
    }
    short(made)
}

/// `%s`, `%v`, `%d`, `%q` and `%%`.
fn formatted(given: &Given<'_, '_>) -> Result<String, Fault> {
    let mut made = String::new();
    let mut letters = given.text(0)?.chars();
    let mut next = 1;
    while let Some(letter) = letters.next() {
        if letter != '%' {
            made.push(letter);
            continue;
        }
        let verb = letters.next();
        if verb == Some('%') {
            made.push('%');
            continue;
        }
        if next >= given.0.len() {
            return Err(Fault::new("a format has more places than there are values"));
        }
        match verb {
            Some('s' | 'v') => made.push_str(&print(given.value(next))?),
            Some('d') => made.push_str(&given.whole(next)?.to_string()),
            Some('q') => made.push_str(&Value::from(given.text(next)?).to_string()),
            _ => return Err(Fault::new("a format has a place of an unknown kind")),
        }
        next += 1;
    }
    short(made)
}

/// So many letters from the beginning, or from the end where it is negative.
fn cut(text: &str, count: i64) -> String {
    let most = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count >= 0 {
        return text.chars().take(most).collect();
    }
    let all = text.chars().count();
    text.chars().skip(all.saturating_sub(most)).collect()
}

/// As a part of a query: what is no letter, digit, `-`, `_`, `.` or `~` is escaped, a space is a plus.
fn escaped(text: &str) -> String {
    let mut made = String::new();
    for byte in text.bytes() {
        match byte {
            b'-' | b'_' | b'.' | b'~' => made.push(char::from(byte)),
            b' ' => made.push('+'),
            _ if byte.is_ascii_alphanumeric() => made.push(char::from(byte)),
            _ => made.push_str(&format!("%{byte:02X}")),
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::formula::template::parse;

    #[test]
    fn functions_are_gos_and_sprigs() {
        let values = json!({"n": 3, "t": "Web App", "l": ["a", "b"], "m": {"k": "v"}, "e": ""});
        for (text, made) in [
            ("add 1 2 .n", "6"),
            ("sub 5 .n", "2"),
            ("b64enc .t | b64dec", "Web App"),
            ("coalesce .e nil .nothing .t", "Web App"),
            ("default \"x\" .e", "x"),
            ("default \"x\" .t", "Web App"),
            ("contains \"App\" .t", "true"),
            ("empty .e", "true"),
            ("eq .n 1 3", "true"),
            ("ne .t \"x\"", "true"),
            ("lt 1 .n", "true"),
            ("ge 1 .n", "false"),
            ("first .l", "a"),
            ("last .l", "b"),
            ("index .l 1", "b"),
            ("index .m \"k\"", "v"),
            ("index .m \"x\"", "<no value>"),
            ("get .m \"x\"", ""),
            ("hasKey .m \"k\"", "true"),
            ("hasPrefix \"Web\" .t", "true"),
            ("hasSuffix \"Web\" .t", "false"),
            ("join \"-\" .l", "a-b"),
            ("len .l", "2"),
            ("lower .t", "web app"),
            ("nospace .t", "WebApp"),
            ("not .e", "true"),
            ("print 1 2 \"a\" 3", "1 2a3"),
            (
                "printf \"%s/%d/%v/%q%%\" .t .n .l \"a\"",
                "Web App/3/[a b]/\"a\"%",
            ),
            ("quote .t .n", "\"Web App\" \"3\""),
            ("squote .t", "'Web App'"),
            ("regexFind \"[A-Z]p+\" .t", "App"),
            ("regexMatch \"^W\" .t", "true"),
            ("regexReplaceAll \"(W)eb\" .t \"${1}ide\"", "Wide App"),
            ("replace \" \" \"-\" .t", "Web-App"),
            ("(split \"-\" \"a-b\")._1", "b"),
            ("splitList \"-\" \"a-b\" | last", "b"),
            ("ternary \"y\" \"n\" true", "y"),
            ("toJson .m", "{\"k\":\"v\"}"),
            ("(fromJson \"{\\\"a\\\": 1}\").a", "1"),
            ("toString .n | trunc 5", "3"),
            ("trim \" a \"", "a"),
            ("trimAll \"$\" \"$a$\"", "a"),
            ("trimPrefix \"Web \" .t", "App"),
            ("trimSuffix \" App\" .t", "Web"),
            ("trunc 3 .t", "Web"),
            ("trunc -3 .t", "App"),
            ("upper .t", "WEB APP"),
            ("urlquery \"a b/ü~\"", "a+b%2F%C3%BC~"),
            ("le 1 1", "true"),
            ("gt 2 1", "true"),
            ("and 1 .e", ""),
            ("or .e 2", "2"),
        ] {
            let template = parse(&format!("{{{{ {text} }}}}")).unwrap();
            assert_eq!(
                template.render(&values, &mut Budget::default()).as_deref(),
                Ok(made),
                "{text}"
            );
        }
    }

    #[test]
    fn every_function_that_is_known_is_there() {
        for known in KNOWN
            .iter()
            .filter(|known| !matches!(known.name, "and" | "or"))
        {
            let values = vec![None; known.least];
            let missing = Fault::new("a function is not there");
            assert_ne!(
                call(known.name, &values, &mut Budget::default()).err(),
                Some(missing),
                "{}",
                known.name
            );
        }
    }
}
