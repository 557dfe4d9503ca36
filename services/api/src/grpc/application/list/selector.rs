//! Label selectors as Kubernetes writes them.

use serde_json::Value;

/// A parsed selector: all of its requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl Selector {
    /// Reads `a=b,c!=d,e in (f,g),h notin (i),j,!k`; empty selects everything.
    ///
    /// # Errors
    /// What cannot be read.
    pub(in super::super) fn parse(text: &str) -> Result<Self, String> {
        parts(text)
            .iter()
            .map(|part| requirement(part))
            .collect::<Result<Vec<_>, _>>()
            .map(Self)
    }

    /// Whether an object with this metadata is selected.
    pub(in super::super) fn matches(&self, metadata: &Value) -> bool {
        self.0.iter().all(|Requirement { key, test }| {
            let value = metadata
                .get("labels")
                .and_then(|labels| labels.get(key))
                .and_then(Value::as_str);
            match test {
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
                Test::In(values) => {
                    value.is_some_and(|value| values.iter().any(|wanted| wanted == value))
                }
                Test::NotIn(values) => {
                    !value.is_some_and(|value| values.iter().any(|wanted| wanted == value))
                }
            }
        })
    }
}

/// Cuts at the commas outside parentheses.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_i32, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    if text.trim().is_empty() {
        Vec::new()
    } else {
        parts
    }
}

fn requirement(part: &str) -> Result<Requirement, String> {
    let part = part.trim();
    if let Some(key) = part.strip_prefix('!') {
        return Ok(Requirement {
            key: key_of(key)?,
            test: Test::Absent,
        });
    }
    if let Some(open) = part.find('(') {
        let set = part[open + 1..]
            .strip_suffix(')')
            .ok_or_else(|| unreadable(part))?;
        let values = set.split(',').map(value_of).collect::<Result<_, _>>()?;
        let mut words = part[..open].split_whitespace();
        let (key, word, rest) = (words.next().unwrap_or_default(), words.next(), words.next());
        let test = match (word, rest) {
            (Some("in"), None) => Test::In(values),
            (Some("notin"), None) => Test::NotIn(values),
            _ => return Err(unreadable(part)),
        };
        return Ok(Requirement {
            key: key_of(key)?,
            test,
        });
    }
    for (sign, negated) in [("!=", true), ("==", false), ("=", false)] {
        if let Some((key, value)) = part.split_once(sign) {
            let values = vec![value_of(value)?];
            let test = if negated {
                Test::NotIn(values)
            } else {
                Test::In(values)
            };
            return Ok(Requirement {
                key: key_of(key)?,
                test,
            });
        }
    }
    Ok(Requirement {
        key: key_of(part)?,
        test: Test::Exists,
    })
}

fn key_of(key: &str) -> Result<String, String> {
    let key = key.trim();
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    if key.is_empty() || !key.bytes().all(fine) {
        Err(unreadable(key))
    } else {
        Ok(key.to_owned())
    }
}

fn value_of(value: &str) -> Result<String, String> {
    let value = value.trim();
    let odd = |c: &char| !(c.is_ascii_alphanumeric() || "-_.".contains(*c));
    match value.chars().find(odd) {
        Some(odd) => Err(format!(
            "unable to parse requirement: found '{odd}', expected: identifier"
        )),
        None => Ok(value.to_owned()),
    }
}

fn unreadable(part: &str) -> String {
    format!("unable to parse requirement: {part:?}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(selector: &str) -> bool {
        Selector::parse(selector)
            .unwrap()
            .matches(&json!({"labels": {"env": "prod", "app.kubernetes.io/name": "x"}}))
    }

    #[test]
    fn requirements_hold_together() {
        assert!(selects(""));
        assert!(selects("env=prod,app.kubernetes.io/name==x"));
        assert!(selects("env in (dev, prod),!team"));
        assert!(selects("env notin (dev),team!=a"));
        assert!(!selects("env!=prod"));
        assert!(!selects("team"));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "env in prod)",
            "a b",
            "=x",
            "env within (a)",
            ",",
            "env===prod",
            "env in (a=b)",
        ] {
            assert!(Selector::parse(bad).is_err(), "{bad}");
        }
    }
}
