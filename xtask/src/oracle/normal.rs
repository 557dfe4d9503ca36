//! What two right answers may differ in is replaced by a word for it: times, ids, hashes, addresses.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// Patterns of what differs from one run to the next, in the order in which they are replaced.
const PATTERNS: &[(&str, &str)] = &[
    (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "<token>"),
    (
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?Z| ?[+-]\d\d:?\d\d)?( [A-Z]{3})?",
        "<time>",
    ),
    (r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d", "<time>"),
    (
        r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
        "<uid>",
    ),
    (r"\b[0-9a-f]{40}\b", "<commit>"),
    // A ReplicaSet's name and a pod's: letters that make no words.
    (
        r"-[bcdfghjklmnpqrstvwxz2456789]{8,10}-[bcdfghjklmnpqrstvwxz2456789]{5}\b",
        "-<hash>-<id>",
    ),
    (r"-[bcdfghjklmnpqrstvwxz2456789]{8,10}\b", "-<hash>"),
    (
        r"\b(\d+d)?(\d+h)?(\d+m)?\d+(\.\d+)?(s|ms|µs)\b",
        "<duration>",
    ),
    (r"\b\d+m\b", "<duration>"),
    (r"\((now|\d+ \w+ (ago|from now))\)", "(<age>)"),
    // One of `MOMENTS`, in a text.
    (r"\b1[6-9]\d{8}\b", "<seconds>"),
    (r"\$2a\$10\$[./A-Za-z0-9]{53}", "<bcrypt>"),
    (r"\b127\.0\.\d\.\d+:\d{4,5}\b", "<address>"),
    // What the cluster gives a Service.
    (r"\b10\.96\.\d+\.\d+\b", "<ip>"),
    // Where the scheduler of each side's cluster put a pod.
    (r"\bnode-\d+\b", "<node>"),
];

static REGEXES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    PATTERNS
        .iter()
        .filter_map(|(pattern, word)| Some((Regex::new(pattern).ok()?, *word)))
        .collect()
});

/// Numbers that are a moment in seconds, from 2020 to 2033: a token's `issuedAt` and `expiresAt`.
const MOMENTS: Range<u64> = 1_600_000_000..2_000_000_000;

/// Members whose value says nothing but when or how often.
const NUMBERED: &[&str] = &["resourceVersion", "generation", "iat", "exp"];

/// A commit, or the beginning of one.
static COMMIT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\b[0-9a-f]{7,40}\b").ok());

/// One side's words: what it calls by a name of its own.
#[derive(Default)]
pub(super) struct Normal {
    known: Vec<(String, String)>,
    commits: Vec<String>,
}

impl Normal {
    /// From now on `value` is called `<word>`.
    pub(super) fn call(&mut self, value: &str, word: &str) {
        self.known.push((value.to_owned(), format!("<{word}>")));
        // The longest first: one may be a part of another.
        self.known
            .sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    }

    /// The next commit of the side's repository: told apart by their order, which both sides share.
    pub(super) fn commit(&mut self, commit: &str) {
        self.commits.push(commit.to_owned());
    }

    fn commits(&self, text: &str) -> String {
        let Some(regex) = COMMIT.as_ref() else {
            return text.to_owned();
        };
        let named = |found: &regex::Captures<'_>| {
            let known = self
                .commits
                .iter()
                .position(|commit| commit.starts_with(&found[0]));
            known.map_or_else(
                || found[0].to_owned(),
                |place| format!("<commit {}>", place + 1),
            )
        };
        regex.replace_all(text, named).into_owned()
    }

    fn line(&self, text: &str) -> String {
        let mut text = self.commits(text);
        for (value, word) in &self.known {
            text = text.replace(value.as_str(), word);
        }
        for (pattern, word) in REGEXES.iter() {
            text = pattern.replace_all(&text, *word).into_owned();
        }
        text
    }

    /// A text's lines, runs of spaces taken as one (columns are as wide as what is in them). Lines that begin with a
    /// time, of which there are as many as there were moments, are left out.
    pub(super) fn text(&self, text: &str) -> String {
        let line = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let indent = line.len() - line.trim_start().len();
            format!("{}{}", " ".repeat(indent), words.join(" "))
        };
        text.lines()
            .map(|one| line(&self.line(one)))
            .filter(|one| !one.starts_with("<time>"))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// A tree's nodes come as a map has them.
    fn any_order(&self, items: &[Value]) -> Value {
        let mut items: Vec<Value> = items.iter().map(|item| self.json(item)).collect();
        items.sort_by_key(|item| format!("{}/{}", item["kind"], item["name"]));
        Value::Array(items)
    }

    /// A document.
    pub(super) fn json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => match serde_json::from_str::<Value>(text) {
                // A document inside a document: its members are compared, not its letters.
                Ok(inner @ Value::Object(_)) => self.json(&inner),
                _ => Value::String(self.line(text)),
            },
            Value::Array(items) => items.iter().map(|item| self.json(item)).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(name, member)| {
                    if let (true, Value::Array(items)) = (name == "nodes", member) {
                        return (name.clone(), self.any_order(items));
                    }
                    let numbered = NUMBERED.contains(&name.as_str())
                        && (member.is_number() || member.is_string());
                    let member = match numbered {
                        true => Value::from("<number>"),
                        false => self.json(member),
                    };
                    (self.line(name), member)
                })
                .collect(),
            // Another word than a text's: that it is a number is compared.
            Value::Number(number) if number.as_u64().is_some_and(|n| MOMENTS.contains(&n)) => {
                Value::from("<number of seconds>")
            }
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_named() {
        let mut normal = Normal::default();
        normal.call("oracle-1", "tenant");
        normal.call("oracle-1-secret", "password");
        let said = normal.text(
            "NAME   AGE\nhello-express-7c9d8b6f5d-x2v4z  2m3s\noracle-1-secret of oracle-1\n2026-01-02T03:04:05Z x",
        );
        assert_eq!(
            said,
            "NAME AGE\nhello-express-<hash>-<id> <duration>\n<password> of <tenant>"
        );
        normal.commit("0123456789abcdef0123456789abcdef01234567");
        assert_eq!(
            normal.text("at 0123456 or 0123457"),
            "at <commit 1> or 0123457"
        );
        assert_eq!(
            normal.text("a-bcdfghjkl-xvz24 on node-2 at 127.0.0.1:8080"),
            "a-<hash>-<id> on <node> at <address>"
        );
    }

    #[test]
    fn documents_are_named_member_by_member() {
        let seen = Normal::default().json(&json!({
            "resourceVersion": "17", "at": "2026-01-02T03:04:05Z",
            "liveState": "{\"metadata\":{\"uid\":\"0f0e0d0c-0b0a-4908-8706-050403020100\"}}",
        }));
        assert_eq!(
            seen,
            json!({"resourceVersion": "<number>", "at": "<time>", "liveState": {"metadata": {"uid": "<uid>"}}})
        );
    }

    #[test]
    fn a_moment_in_seconds_is_one_as_a_number_too() {
        let seen = |token: &Value| Normal::default().json(token);
        let issued =
            seen(&json!({"id": "ci", "issuedAt": 1_790_000_000, "expiresAt": 1_790_003_600}));
        assert_eq!(
            issued,
            seen(&json!({"id": "ci", "issuedAt": 1_790_000_001, "expiresAt": 1_790_003_601}))
        );
        for other in [
            json!({"id": "ci", "issuedAt": "1790000000", "expiresAt": 1_790_003_600}),
            json!({"id": "ci", "issuedAt": 1_790_000_000, "expiresAt": 0}),
            json!({"id": "ci", "issuedAt": 1_790_000_000}),
        ] {
            assert_ne!(issued, seen(&other), "{other}");
        }
        let numbers = json!([1_599_999_999, 2_000_000_000, -1_790_000_000, 1.5]);
        assert_eq!(seen(&numbers), numbers);
    }

    #[test]
    fn every_pattern_is_one() {
        assert_eq!(REGEXES.len(), PATTERNS.len());
    }
}
