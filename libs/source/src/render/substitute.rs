//! Replaces a tenant's variables in a file's text.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::message;
use domain::tenant::is_variable_value;

use crate::error::{Error, Kind};

/// Replaces `${NAME}` by the value of each declared name and `$${NAME}` by `${NAME}`; every other `${…}` stays.
///
/// `seen` hears of every `${NAME}`, declared or not, since another declaration would change the outcome; and of the line on
/// which it was replaced, where it was. No value has more than one line, so that this is the line in both texts.
pub(super) fn substitute<'t>(
    text: &'t str,
    variables: &BTreeMap<String, String>,
    mut seen: impl FnMut(&str, Option<u32>),
) -> Cow<'t, str> {
    let mut out = String::new();
    let mut copied = 0;
    // The line of the first byte that is not counted yet.
    let (mut line, mut counted) = (1_u32, 0);
    let mut from = 0;
    while let Some(at) = text[from..].find("${").map(|at| at + from) {
        from = at + 2;
        let Some(name) = name_at(&text[from..]) else {
            continue;
        };
        from += name.len() + 1;
        let Some(value) = variables.get(name) else {
            seen(name, None);
            continue;
        };
        let escaped = at > copied && text.as_bytes()[at - 1] == b'$';
        if escaped {
            seen(name, None);
            out.push_str(&text[copied..at - 1]);
            out.push_str(&text[at..from]);
        } else {
            let breaks = text[counted..at].bytes().filter(|byte| *byte == b'\n');
            line = line.saturating_add(u32::try_from(breaks.count()).unwrap_or(u32::MAX));
            counted = at;
            seen(name, Some(line));
            out.push_str(&text[copied..at]);
            out.push_str(value);
        }
        copied = from;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// How many bytes longer a text becomes at most; less where some are escaped, or shorter than their names.
pub(super) fn added(text: &str, variables: &BTreeMap<String, String>) -> usize {
    if variables.is_empty() {
        return 0;
    }
    let pieces = text.split("${").skip(1).filter_map(name_at);
    let values = pieces.filter_map(|name| {
        let value = variables.get(name)?;
        Some(value.len().saturating_sub(name.len() + "${}".len()))
    });
    values.fold(0, usize::saturating_add)
}

/// The name before the closing brace, if it is one.
fn name_at(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let name = &text[..end];
    (text[end..].starts_with('}')
        && !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit()))
    .then_some(name)
}

/// Every `${…}` that stayed in a text, as written.
pub(super) fn left_over(text: &str) -> Option<&str> {
    let at = text.find("${")?;
    let end = text[at..].find('}')?;
    Some(&text[at..=at + end])
}

/// Checks that every value is one that a variable may have: what was stored under an older rule is refused here.
pub(super) fn check(variables: &BTreeMap<String, String>) -> Result<(), Error> {
    for (name, value) in variables {
        if !is_variable_value(value) {
            return Err(Error::new(
                Kind::Invalid,
                message::source::VARIABLE_UNSAFE.with("name", name),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_names_are_replaced_escapes_undone_and_the_rest_stays() {
        let variables = BTreeMap::from([("USER".to_owned(), "user01".to_owned())]);
        let mut seen = Vec::new();
        let text = "a: ${USER}.${USER}\nb: $${USER}\nc: ${OTHER} $${OTHER} ${} ${a-b} $USER ${USER\nd: ${USER}";
        let result = substitute(text, &variables, |name, line| {
            seen.push((name.to_owned(), line));
        });
        assert_eq!(
            result,
            "a: user01.user01\nb: ${USER}\nc: ${OTHER} $${OTHER} ${} ${a-b} $USER ${USER\nd: user01"
        );
        let told: Vec<(&str, Option<u32>)> = seen
            .iter()
            .map(|(name, line)| (name.as_str(), *line))
            .collect();
        assert_eq!(
            told,
            [
                ("USER", Some(1)),
                ("USER", Some(1)),
                ("USER", None),
                ("OTHER", None),
                ("OTHER", None),
                ("USER", Some(4)),
            ]
        );
        let value = BTreeMap::from([("USER".to_owned(), "0123456789".to_owned())]);
        let longer = substitute(text, &value, |_, _| ()).len() - text.len();
        assert_eq!(added(text, &value), longer + 3 + 1, "one is escaped");
        assert_eq!(added(text, &variables), 0, "it becomes shorter");
        assert!(matches!(
            substitute("plain", &variables, |_, _| ()),
            Cow::Borrowed(_)
        ));
    }

    #[test]
    fn one_value_that_is_none_refuses_all() {
        let with = |value: &str| {
            let pairs = [("X", value), ("USER_IDENTITY", "user01")];
            let owned = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
            check(&BTreeMap::from(owned))
        };
        assert!(with("registry.example/a").is_ok());
        for bad in ["a: b", "홍길동"] {
            let refused = with(bad).unwrap_err();
            assert!(refused.to_string().contains("`X`"), "{refused}");
        }
    }
}
